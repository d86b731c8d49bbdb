//! Keys that nobody named: Alpine's list, and the key sets of repositories.

use std::collections::BTreeSet;

use assemble_apk::{AlpineKey, AlpineReleases, alpine_branch, jwks_keys, jwks_uri};
use assemble_fetch::{FetchError, Fetched, Location, is_this_machine, may_lead_to};
use assemble_types::{Arch, Event, Explain, SafeUrl, Timestamp};

use super::{ImageKey, KeyOrigin, Keys, MAX_KEY, address};
use crate::error::{Doing, Error, OwnError, Result};
use crate::index_sources::at_once;
use crate::plan::Mode;
use crate::sources::{RepositoryInput, Sources};

/// Where Alpine publishes the keys of its branches.
const ALPINE_RELEASES: &str = "https://alpinelinux.org/releases.json";
/// Largest list or key set that is read.
const MAX_DOCUMENT: u64 = 16 * 1024 * 1024;

/// Which list of Alpine's keys counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AlpineReleasesList {
    /// The one of alpinelinux.org.
    #[default]
    Public,
    /// A copy: an address or a path.
    At(String),
    /// None: a mirror's keys are those of the keyring, or built in.
    Off,
}

impl AlpineReleasesList {
    fn location(&self) -> Result<Option<Location>> {
        let text = match self {
            Self::Public => ALPINE_RELEASES,
            Self::At(text) => text,
            Self::Off => return Ok(None),
        };
        let location = Location::parse(text, std::path::Path::new("")).map_err(FetchError::from);
        location.doing(|| "reading where Alpine's list of keys is".into()).map(Some)
    }
}

/// What the discovery of keys depends on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Discovery {
    pub(crate) alpine: AlpineReleasesList,
    /// The time that decides which keys are out of use; never the clock.
    pub(crate) time: Option<Timestamp>,
}

impl Sources<'_> {
    /// The keys that are published for each repository, in the order of the repositories. As with apko, those with a tag
    /// and local ones have none.
    pub(crate) fn discover(&self, repositories: &[RepositoryInput], arch: Arch) -> Result<Vec<Keys>> {
        let remote_ones = || repositories.iter().map(|one| remote(one).map(|_| one));
        let (alpine, configurations) = std::thread::scope(|scope| {
            let ask = || at_once(remote_ones().collect(), |one| one.map(|one| self.configuration(one)));
            // Who has nobody to ask needs no thread for it.
            let asking = remote_ones().flatten().next().map(|_| scope.spawn(ask));
            let alpine = self.alpine_keys(repositories, arch);
            let asked = asking.map(std::thread::ScopedJoinHandle::join);
            let asked = asked.map(|asked| asked.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            (alpine, asked.unwrap_or_default())
        });
        let mut alpine = alpine?;
        let asked = repositories.iter().zip(configurations);
        for ((repository, configuration), keys) in asked.zip(&mut alpine) {
            if let Some((url, configuration)) = remote(repository).zip(configuration) {
                for key in self.keys_of_repository(repository, url, configuration) {
                    keys.add(key, self.mode).map_err(|e| Error::from(e).at(&repository.span))?;
                }
            }
        }
        Ok(alpine)
    }

    /// Alpine's keys for each repository of Alpine's layout.
    fn alpine_keys(&self, repositories: &[RepositoryInput], arch: Arch) -> Result<Vec<Keys>> {
        let mut out = vec![Keys::default(); repositories.len()];
        let branch = |repository| remote(repository).and_then(|_| alpine_branch(&repository.text));
        let branches: BTreeSet<&str> = repositories.iter().filter_map(branch).collect();
        let Some(list) = self.discovery.alpine.location()?.filter(|_| !branches.is_empty()) else {
            return Ok(out);
        };
        let found =
            branches.into_iter().map(|branch| Ok((branch, self.alpine_branch_keys(&list, branch, arch)?)));
        match found.collect::<Result<Vec<_>>>() {
            Ok(found) => {
                for (repository, keys) in repositories.iter().zip(&mut out) {
                    let of_branch = found.iter().find(|(name, _)| branch(repository) == Some(name));
                    *keys = of_branch.map(|(_, keys)| keys.clone()).unwrap_or_default();
                }
                Ok(out)
            }
            Err(error) if is_offline(&error) => {
                self.observer.event(Event::Note(
                    "offline, and Alpine's list of keys is not in the cache: the keys of the keyring and the built-in ones count"
                        .into(),
                ));
                Ok(out)
            }
            Err(error) => Err(error.hint(
                "a copy of the list will do: ASSEMBLE_ALPINE_RELEASES=URL; `off` stands for none, and leaves the keys to contents.keyring",
            )),
        }
    }

    fn alpine_branch_keys(&self, list: &Location, branch: &str, arch: Arch) -> Result<Keys> {
        let doing = || "reading Alpine's list of keys".to_owned();
        let document = self.fetcher.document(list, MAX_DOCUMENT).doing(doing)?;
        let releases = AlpineReleases::parse(&document.bytes).map_err(|e| Error::from(e).doing(doing()))?;
        let wanted = self.in_use(releases.keys(branch, arch.apk()), branch, arch);
        let mut keys = Keys::default();
        if wanted.is_empty() || !self.may_take(list, "Alpine's list of keys") {
            return Ok(keys);
        }
        let fetched = std::thread::scope(|scope| {
            let one = |key| move || self.alpine_key(list, key);
            let running: Vec<_> = wanted.into_iter().map(|key| scope.spawn(one(key))).collect();
            let done = running.into_iter().map(std::thread::ScopedJoinHandle::join);
            // A thread of ours that panics is a bug of ours, and nothing here does.
            done.map(|done| {
                done.unwrap_or_else(|_| Err(OwnError::Bug("a key was not fetched".into()).into()))
            })
            .collect::<Result<Vec<_>>>()
        })?;
        for key in fetched {
            let url = key.url.clone();
            keys.add(key, self.mode)
                .map_err(|e| Error::from(e).doing(format!("reading Alpine's key {url}")))?;
        }
        Ok(keys)
    }

    /// Leaves out the keys that were out of use at the build's time.
    fn in_use<'k>(&self, keys: &'k [AlpineKey], branch: &str, arch: Arch) -> Vec<&'k AlpineKey> {
        let Some(time) = self.discovery.time else {
            let ending = keys.iter().filter(|key| key.deprecated_since.is_some()).count();
            if ending > 0 {
                self.observer.event(Event::Warning(format!(
                    "{ending} of Alpine's {} keys for {branch} on {} have a day on which they go out of use; without \
                     SOURCE_DATE_EPOCH all are taken",
                    keys.len(),
                    arch.apk(),
                )));
            }
            return keys.iter().collect();
        };
        keys.iter().filter(|key| !key.is_deprecated_at(time)).collect()
    }

    fn alpine_key(&self, list: &Location, key: &AlpineKey) -> Result<ImageKey> {
        let doing = || format!("fetching a key of Alpine's list, {}", key.name);
        let location = led_to(list, &key.url).map_err(|e| e.doing(doing()))?;
        let fetched = self.fetcher.document(&location, MAX_KEY).doing(doing)?;
        let (name, url) = (key.name.clone(), address(&location));
        Ok(ImageKey { name, bytes: fetched.bytes, url, origin: KeyOrigin::Alpine })
    }

    /// The key set of a repository. What is wrong with it is worth a warning, as the keyring may do without.
    fn keys_of_repository(
        &self,
        repository: &RepositoryInput,
        url: &SafeUrl,
        configuration: std::result::Result<Fetched, FetchError>,
    ) -> Vec<ImageKey> {
        let keys = configuration.map_err(Error::from);
        match keys.and_then(|configuration| self.key_set(repository, url, &configuration)) {
            Ok(keys) => keys,
            // Some servers say so of whatever they do not have.
            Err(error) if is_absent(&error) => Vec::new(),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                self.observer.event(Event::Warning(format!(
                    "{}: no keys are taken from its apk-configuration: {error}{}",
                    repository.text,
                    cause.unwrap_or_default()
                )));
                Vec::new()
            }
        }
    }

    /// The document of a repository that says where its keys are.
    fn configuration(&self, repository: &RepositoryInput) -> std::result::Result<Fetched, FetchError> {
        self.fetcher.document(&repository.location.join("apk-configuration"), MAX_DOCUMENT)
    }

    fn key_set(
        &self,
        repository: &RepositoryInput,
        url: &SafeUrl,
        configuration: &Fetched,
    ) -> Result<Vec<ImageKey>> {
        let Some(uri) = jwks_uri(&configuration.bytes)? else { return Ok(Vec::new()) };
        let place = led_to(&repository.location, &uri)?;
        if !self.may_take(&Location::from(url.clone()), &repository.text)
            || !self.may_take(&place, &repository.text)
        {
            return Ok(Vec::new());
        }
        let set = self.fetcher.document(&place, MAX_DOCUMENT)?;
        let base = address(&repository.location);
        let named = |key: assemble_apk::PublicKey| ImageKey {
            url: format!("{}/{}", base.trim_end_matches('/'), key.name()),
            name: key.name().to_owned(),
            bytes: key.pem().to_vec(),
            origin: KeyOrigin::Repository,
        };
        Ok(jwks_keys(&set.bytes)?.into_iter().map(named).collect())
    }

    /// Whether keys from there may count, with a word to the user where anybody on the way can change them.
    fn may_take(&self, place: &Location, whose: &str) -> bool {
        let open = |url: &SafeUrl| url.expose().scheme() == "http" && !is_this_machine(url.expose());
        if !place.url().is_some_and(open) {
            return true;
        }
        let then = match self.mode {
            Mode::Apko => "they are taken all the same, as apko does",
            Mode::Assemble => "they are not taken; use https, or name the keys in contents.keyring",
        };
        self.observer.event(Event::Warning(format!(
            "{whose}: keys are published over http, where anybody on the way can change them; {then}"
        )));
        self.mode == Mode::Apko
    }
}

/// Where a document says something is, under the rules that redirections follow.
fn led_to(from: &Location, text: &str) -> Result<Location> {
    let refused = |why| OwnError::KeyPlace { text: text.to_owned(), why };
    let target = Location::parse(text, std::path::Path::new("/")).map_err(FetchError::from)?;
    // A list in a file of this host was chosen by the user, and may name any place.
    if let Some(from) = from.url().map(SafeUrl::expose) {
        let url = target.url().ok_or_else(|| refused("it is no http(s) URL"))?.expose();
        if from.scheme() == "https" && url.scheme() != "https" {
            return Err(refused("it leads from https to an insecure address").into());
        }
        if !may_lead_to(from, url) {
            return Err(refused("it leads into a private network that the document is not in").into());
        }
    }
    Ok(target)
}

/// The address of a repository that may publish keys.
fn remote(repository: &RepositoryInput) -> Option<&SafeUrl> {
    repository.location.url().filter(|_| repository.pin.is_none())
}

fn is_offline(error: &Error) -> bool {
    error.code() == "fetch/offline"
}

fn is_absent(error: &Error) -> bool {
    is_offline(error) || matches!(error.code(), "fetch/not-found" | "fetch/denied")
}
