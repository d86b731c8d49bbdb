//! The edge where package bytes come in: keys, indexes, packages, each checked before the next is asked for.

use std::cell::Cell;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;

use assemble_apk::{
    Beside, Expected, Extras, Format, Index, KNOWN_REPOSITORIES, Keyring, Limits, Package, PublicKey, Trust,
    builtin_keys, nearest_known_repository, open_package_with, open_with_table,
};
use assemble_fetch::{ContentKey, FetchError, Fetcher, Location, RecordKind, Store};
use assemble_resolve::Repository;
use assemble_spec::lock::LockedRepository;
use assemble_types::{Arch, Blob, Digest, Event, Observer, Platform, SourceSpan, Spool};

use crate::build::Env;
use crate::choose::Wanted;
use crate::error::{OwnError, Result};
use crate::index_sources::{AskedIndex, at_once};
use crate::keys::{Discovery, ImageKey, KeyInput, KeyOrigin, Keys, address, merge};
use crate::lock::LockError;
use crate::plain::PlainSections;
use crate::plan::{Mode, Plan, SizeLimits};
use crate::repository_layout::Layout;

/// A repository of the spec.
#[derive(Debug, Clone)]
pub(crate) struct RepositoryInput {
    /// As the spec has it, without tag and trailing slash.
    pub(crate) text: String,
    /// Its line in `/etc/apk/repositories`.
    pub(crate) line: String,
    pub(crate) layout: Layout,
    pub(crate) pin: Option<Box<str>>,
    pub(crate) location: Location,
    pub(crate) span: SourceSpan,
}

/// What a build needs to reach packages.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    pub(crate) fetcher: &'a Fetcher,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) mode: Mode,
    pub(crate) trust: Trust,
    pub(crate) limits: SizeLimits,
    pub(crate) threads: NonZeroUsize,
    pub(crate) discovery: Discovery,
    /// Whether packages are to say what their data sections would be called as layers.
    pub(crate) diff_ids: bool,
    /// Whether unpacked data sections are kept.
    pub(crate) cache_plain: bool,
    /// What the program is, for what is kept of its choices. Nothing if none is kept.
    pub(crate) program: Option<&'a str>,
}

/// Checked indexes, and the keys that the image keeps.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    /// One for each repository that was asked for, in that order; behind them what the base image has.
    pub(crate) repositories: Vec<Repository>,
    /// The files of `/etc/apk/keys`, by name.
    pub(crate) keys: Vec<ImageKey>,
    /// For the summary: which key signed what, where it was not the spec's own.
    pub(crate) foreign_keys_used: Vec<String>,
    /// Repositories that were used without a signature that could be checked.
    pub(crate) untrusted: Vec<String>,
    /// Each index as a lock remembers it.
    pub(crate) locked: Vec<LockedRepository>,
}

/// An index as it was found.
#[derive(Debug)]
pub(crate) struct FoundIndex {
    /// Its file, below the repository's base.
    pub(crate) file: String,
    /// As it is; nothing if what was needed of it was known.
    pub(crate) bytes: Option<Vec<u8>>,
    /// How many bytes it has.
    pub(crate) size: u64,
    /// Digest of the bytes.
    pub(crate) digest: Digest,
    /// What it says.
    pub(crate) index: Index,
}

impl RepositoryInput {
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// What the names of its files start from.
    pub(crate) fn base(&self) -> Location {
        self.layout().base(&self.location)
    }

    /// The base as it is written down: a URL without credentials, or a path like the spec's.
    pub(crate) fn base_text(&self) -> String {
        let base = self.base();
        if base.url().is_some() { address(&base) } else { self.layout().base_text(&self.text).to_owned() }
    }

    /// A file of the repository as it is written down.
    pub(crate) fn url_of(&self, file: &str) -> String {
        let location = self.base().join(file);
        match location.url() {
            Some(_) => address(&location),
            None => format!("{}/{file}", self.base_text()),
        }
    }

    /// The part of such a text below the repository, if it is of this one.
    pub(crate) fn below<'t>(&self, url: &'t str) -> Option<&'t str> {
        url.strip_prefix(self.base_text().trim_end_matches('/'))?.strip_prefix('/')
    }
}

impl<'a> Sources<'a> {
    /// What the plan says about reaching packages.
    pub(crate) fn of(plan: &Plan<'_>, env: &'a Env) -> Self {
        Self {
            fetcher: &env.fetcher,
            observer: env.observer.as_ref(),
            mode: plan.mode,
            trust: plan.trust,
            limits: plan.limits,
            threads: env.threads,
            discovery: Discovery { alpine: plan.alpine_releases.clone(), time: plan.times.fixed },
            diff_ids: plan.has_package_layers(),
            cache_plain: env.cache_plain,
            program: env.program.as_deref(),
        }
    }
}

/// What came of asking for indexes, and who may vouch for each of them; none was read yet.
#[derive(Debug)]
pub(crate) struct Asked {
    arch: Arch,
    repositories: Vec<RepositoryInput>,
    /// The spec's keys.
    own: Keys,
    /// The keys that were found for each repository.
    found: Vec<Keys>,
    /// The keys that may vouch for each repository: see [`Sources::trusted`].
    trusted: Vec<Vec<(Option<ImageKey>, PublicKey)>>,
    indexes: Vec<AskedIndex>,
}

impl Asked {
    /// Stands for all that will be read, under this trust and limit, if every index was found.
    pub(crate) fn key(&self, trust: Trust, limit: Option<u64>) -> Option<String> {
        let mut text = format!("for {:?}\n", self.arch);
        for ((repository, trusted), asked) in self.repositories.iter().zip(&self.trusted).zip(&self.indexes) {
            let (_, state) = asked.as_ref().ok()?;
            let form = Index::form_key(&state.digest().hex(), &ring(trusted), trust, limit);
            let _ = writeln!(text, "{:?} {:?} {form}", repository.text, repository.pin);
        }
        Some(text)
    }

    /// How many repositories were asked.
    pub(crate) fn len(&self) -> usize {
        self.repositories.len()
    }
}

/// An index of which it is known what is needed.
fn taken(asked: AskedIndex, index: Index) -> Result<Option<FoundIndex>> {
    let (file, state) = asked?;
    Ok(Some(FoundIndex { file, bytes: None, size: state.size(), digest: *state.digest(), index }))
}

fn ring(trusted: &[(Option<ImageKey>, PublicKey)]) -> Keyring {
    trusted.iter().map(|(_, key)| key.clone()).collect()
}

impl Sources<'_> {
    /// Reads the keyring, looks for published keys, reads every index, and checks each index's signature.
    pub(crate) fn indexes(
        &self,
        repositories: &[RepositoryInput],
        keyring: &[KeyInput],
        arch: Arch,
    ) -> Result<Indexes> {
        self.checked(self.asked(repositories, keyring, arch)?, None)
    }

    /// Reads the keyring, looks for published keys, and asks for every index.
    pub(crate) fn asked(
        &self,
        repositories: &[RepositoryInput],
        keyring: &[KeyInput],
        arch: Arch,
    ) -> Result<Asked> {
        let own = self.keyring(keyring)?;
        let (found, indexes) = self.ask(repositories, arch);
        let mut found = found?;
        self.prefer_builtin(repositories, &mut found);
        let trusted = (0..).zip(repositories).map(|(n, r)| self.trusted(&own, &found, n, r)).collect();
        Ok(Asked { arch, repositories: repositories.to_vec(), own, found, trusted, indexes })
    }

    /// Whether those who may vouch for the indexes that were asked for did so for these.
    pub(crate) fn are_vouched_for(&self, asked: &Asked, known: &[Index]) -> bool {
        known.iter().zip(&asked.trusted).all(|(index, trusted)| self.is_vouched_for(index, &ring(trusted)))
    }

    /// Reads the indexes that were asked for, and checks each one's signature; but those of which it is known already what
    /// that came to.
    pub(crate) fn checked(&self, asked: Asked, known: Option<Vec<Index>>) -> Result<Indexes> {
        let Asked { arch, repositories, own, found, trusted, indexes } = asked;
        let read: Vec<Result<Option<FoundIndex>>> = match known {
            Some(known) => indexes.into_iter().zip(known).map(|(asked, index)| taken(asked, index)).collect(),
            None => {
                let jobs = repositories.iter().zip(&trusted).zip(indexes).collect();
                at_once(jobs, |((repository, trusted), asked)| {
                    self.check_index(repository, asked, &ring(trusted), arch)
                })
            }
        };
        let mut out = Indexes::default();
        for ((repository, trusted), read) in repositories.iter().zip(&trusted).zip(read) {
            let Some(FoundIndex { size, digest, index, .. }) = read? else {
                self.warn_left_out(repository);
                out.push(repository, Index::empty());
                continue;
            };
            out.locked.push(LockedRepository {
                arch,
                url: repository.text.clone(),
                pin: repository.pin.clone(),
                index: digest,
                size,
                signed_by: index.signed_by.clone(),
            });
            match &index.signed_by {
                Some(signer) => {
                    // The first is the one that needs least trust: a built-in key may be published as well.
                    let named = own.ring.get(signer).is_some();
                    let key = trusted.iter().find(|(_, key)| !named && key.name() == signer);
                    if let Some((Some(file), key)) = key {
                        out.note_foreign(file, key, repository, self.observer);
                    }
                }
                None => {
                    self.warn_untrusted(&repository.text);
                    out.untrusted.push(repository.text.clone());
                }
            }
            out.push(repository, index);
        }
        // The spec's word is the last one about a name.
        let found = found.into_iter().flat_map(|keys| keys.files);
        out.keys = merge(out.keys.into_iter().chain(found).chain(own.files));
        Ok(out)
    }

    /// The keys that may vouch for a repository, those that count more behind those of the same name that count less;
    /// with the file of each that is not the spec's own.
    fn trusted(
        &self,
        own: &Keys,
        found: &[Keys],
        number: usize,
        repository: &RepositoryInput,
    ) -> Vec<(Option<ImageKey>, PublicKey)> {
        let mut out = Vec::new();
        let mut add = |keys: &Keys| {
            for file in &keys.files {
                out.extend(keys.ring.get(&file.name).map(|key| (Some(file.clone()), key.clone())));
            }
        };
        match self.mode {
            // One folder for all.
            Mode::Apko => found.iter().for_each(&mut add),
            Mode::Assemble => {
                let host = repository.location.host().unwrap_or_default();
                for key in builtin_keys(&host) {
                    add(&Keys::builtin(key));
                }
                add(&found[number]);
            }
        }
        out.extend(own.ring.iter().map(|key| (None, key.clone())));
        out
    }

    /// A key that a host publishes under the name of one that is built in for it must be that key. Another one is not
    /// taken, with a warning: names do not come back with other keys by themselves.
    pub(crate) fn prefer_builtin(&self, repositories: &[RepositoryInput], found: &mut [Keys]) {
        if self.mode == Mode::Apko {
            return;
        }
        for (repository, keys) in repositories.iter().zip(found) {
            for key in builtin_keys(&repository.location.host().unwrap_or_default()) {
                let other =
                    keys.ring.get(key.name()).filter(|other| other.fingerprint() != key.fingerprint());
                let Some(other) = other.map(PublicKey::fingerprint) else { continue };
                self.observer.event(Event::Warning(format!(
                    "{}: the key published as {} is not the one that is built in ({other}, not {}); it is not taken; \
                     if you trust it, name it in contents.keyring",
                    repository.text,
                    key.name(),
                    key.fingerprint(),
                )));
                keys.remove(key.name());
            }
        }
    }

    pub(crate) fn warn_untrusted(&self, repository: &str) {
        self.observer.event(Event::Warning(format!(
            "{repository}: no signature of its index was checked (--allow-untrusted)"
        )));
    }

    /// The package: by what was found out about these very bytes before, else anew.
    pub(crate) fn read(
        &self,
        packed: &Blob,
        expected: &Expected,
        limits: &Limits,
        spool: &dyn Spool,
    ) -> Result<Package> {
        let store = self.fetcher.store();
        let sections = PlainSections::of(&store);
        let plain = self.cache_plain.then_some(&sections);
        let keep = plain.map(|plain| plain as &dyn Spool);
        let extras = Extras { diff_id: self.diff_ids, keep, marks: Some(&sections) };
        let Some(look) = Store::look(packed) else {
            return Ok(open_package_with(packed, expected, limits, spool, extras)?);
        };
        let complete = Cell::new(plain.is_none());
        let find = |diff_id: &Digest| {
            let found = plain?.find(diff_id);
            complete.set(found.is_some());
            found
        };
        let beside = Beside { plain: &find, windows: &|digest, size| sections.later(digest, size) };
        let key = format!("{} {} {limits:?}", expected.checksum, packed.len());
        let key = Digest::of(key.as_bytes());
        let start = format!("{look}\n");
        if let Some(record) = store.record(RecordKind::Package, &key)
            && let Some(table) = record.strip_prefix(start.as_bytes())
            && let Some(package) = open_with_table(packed, expected, limits, table, beside)?
            && (!self.diff_ids || matches!(package.format, Format::V2 { diff_id: Some(_), .. }))
            && complete.get()
        {
            return Ok(package);
        }
        let package = open_package_with(packed, expected, limits, spool, extras)?;
        if let Some(table) = package.to_table() {
            // Without it the package is read once more the next time.
            let _ = store.keep_record(RecordKind::Package, &key, &[start.as_bytes(), &table].concat());
        }
        Ok(package)
    }

    pub(crate) fn section_limits(&self) -> Limits {
        let usual = Limits::default();
        Limits {
            control: self.limits.control.unwrap_or(usual.control),
            data: self.limits.data.unwrap_or(usual.data),
            ..usual
        }
    }

    pub(crate) fn check_response(&self, wanted: &Wanted) -> Result<()> {
        match self.limits.response.filter(|limit| wanted.size > *limit) {
            Some(limit) => {
                let package = wanted.id.to_string();
                Err(OwnError::PackageTooLarge { package, size: wanted.size, limit }.into())
            }
            None => Ok(()),
        }
    }

    /// The package's file, of which nothing was checked but its size.
    pub(crate) fn packed(&self, wanted: &Wanted) -> Result<Blob> {
        self.check_response(wanted)?;
        let package = wanted.id.to_string();
        let fetched = self.fetcher.content(&wanted.location, &wanted.key(), &package);
        match (fetched, &wanted.pinned) {
            (Err(FetchError::WrongSize { expected, found, .. }), Some(pinned)) => {
                Err(LockError::OtherPackage {
                    package,
                    name: wanted.id.name.to_string(),
                    lock: pinned.lock.clone(),
                    what: "size",
                    expected: expected.to_string(),
                    found: found.to_string(),
                }
                .into())
            }
            (fetched, _) => Ok(fetched?),
        }
    }
}

impl Wanted {
    /// What vouches for it.
    pub(crate) fn expected(&self) -> Expected {
        Expected { id: self.id.clone(), checksum: self.checksum }
    }

    /// What it is known by in the cache.
    pub(crate) fn key(&self) -> ContentKey {
        ContentKey::new(self.checksum.to_string(), self.size)
    }
}

impl Indexes {
    fn push(&mut self, repository: &RepositoryInput, index: Index) {
        self.repositories.push(Repository {
            name: repository.text.clone(),
            pin: repository.pin.clone(),
            index: Arc::new(index),
            installed: false,
        });
    }

    /// A key that the spec does not name vouches for an index: the user is told, and the image keeps it.
    fn note_foreign(
        &mut self,
        key: &ImageKey,
        parsed: &PublicKey,
        repository: &RepositoryInput,
        observer: &dyn Observer,
    ) {
        let text = foreign_text(&repository.text, key, parsed);
        observer.event(Event::Note(text.clone()));
        self.foreign_keys_used.push(text);
        self.keys.push(key.clone());
    }
}

/// Which key that the spec does not name vouches for a repository.
pub(crate) fn foreign_text(repository: &str, key: &ImageKey, parsed: &PublicKey) -> String {
    let (name, print) = (&key.name, parsed.fingerprint());
    match key.origin {
        KeyOrigin::BuiltIn => format!("{repository}: signed by the built-in key {name} ({print})"),
        _ => format!("{repository}: signed by the key {name} ({print}), found at {}", key.url),
    }
}

/// An index may say less than the package, as those of Alpine do of what fits everywhere; but not another thing.
pub(crate) fn check_arch(said: &str, wanted: &Wanted, arch: Arch) -> Result<()> {
    match said.parse::<Platform>() {
        Ok(other) if other.arch != arch => Err(OwnError::OtherArch {
            package: wanted.id.to_string(),
            who: "its .PKGINFO",
            found: said.to_owned(),
            wanted: arch.apk().to_owned(),
        }
        .into()),
        _ => Ok(()),
    }
}

/// The repository that was probably meant.
pub(crate) fn unreachable_hint(repository: &RepositoryInput) -> Option<String> {
    let near = nearest_known_repository(&repository.text)?;
    let known = KNOWN_REPOSITORIES.iter().any(|known| repository.text.starts_with(known.url));
    (!known).then(|| format!("did you mean {}, {}?", near.url, near.name))
}
