//! The edge where package bytes come in: keys, indexes, packages, each checked before the next is asked for.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use assemble_apk::{
    Expected, Index, KNOWN_REPOSITORIES, Keyring, Limits, Package, PublicKey, Trust, builtin_keys,
    nearest_known_repository, open_package, read_index,
};
use assemble_fetch::{ContentKey, FetchError, Fetcher, Location};
use assemble_resolve::Repository;
use assemble_types::{Arch, Event, Explain, Kind, Observer, SourceSpan, Spool};

use crate::build::Env;
use crate::choose::Wanted;
use crate::error::{Error, OwnError, Result};
use crate::keys::{Discovery, ImageKey, KeyInput, KeyOrigin, Keys, merge};
use crate::plan::{Mode, Plan};

/// Largest index that is read, packed, in bytes.
const MAX_INDEX: u64 = 128 * 1024 * 1024;
/// Fewest packages that are fetched at once, however few cores there are: fetching is mostly waiting.
const MIN_FETCHES: usize = 4;

/// A repository of the spec.
#[derive(Debug, Clone)]
pub(crate) struct RepositoryInput {
    /// As the spec has it, without tag and trailing slash.
    pub(crate) text: String,
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
    pub(crate) threads: NonZeroUsize,
    pub(crate) discovery: Discovery,
}

/// Checked indexes, and the keys that the image keeps.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    /// One for each repository that was asked for, in that order.
    pub(crate) repositories: Vec<Repository>,
    /// The files of `/etc/apk/keys`, by name.
    pub(crate) keys: Vec<ImageKey>,
    /// For the summary: which key signed what, where it was not the spec's own.
    pub(crate) foreign_keys_used: Vec<String>,
    /// Repositories that were used without a signature that could be checked.
    pub(crate) untrusted: Vec<String>,
}

impl<'a> Sources<'a> {
    /// What the plan says about reaching packages.
    pub(crate) fn of(plan: &Plan<'_>, env: &'a Env) -> Self {
        Self {
            fetcher: &env.fetcher,
            observer: env.observer.as_ref(),
            mode: plan.mode,
            trust: plan.trust,
            threads: env.threads,
            discovery: Discovery { alpine: plan.alpine_releases.clone(), time: plan.times.fixed },
        }
    }
}

impl Sources<'_> {
    /// Reads the keyring, looks for published keys, reads every index, and checks each index's signature.
    pub(crate) fn indexes(
        &self,
        repositories: &[RepositoryInput],
        keyring: &[KeyInput],
        arch: Arch,
    ) -> Result<Indexes> {
        let own = self.keyring(keyring)?;
        let mut found = self.discover(repositories, arch)?;
        self.prefer_builtin(repositories, &mut found);
        let mut out = Indexes::default();
        for (number, repository) in repositories.iter().enumerate() {
            let trusted = self.trusted(&own, &found, number, repository);
            let keys: Keyring = trusted.iter().map(|(_, key)| key.clone()).collect();
            let Some(index) = self.index(repository, &keys, arch)? else {
                out.push(repository, Index::empty());
                continue;
            };
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
                    self.observer.event(Event::Warning(format!(
                        "{}: no signature of its index was checked (--allow-untrusted)",
                        repository.text
                    )));
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

    /// The index of a repository; nothing if there is none in a folder of this host, and that is no error.
    fn index(&self, repository: &RepositoryInput, keys: &Keyring, arch: Arch) -> Result<Option<Index>> {
        let location = repository.location.join(&format!("{}/APKINDEX.tar.gz", arch.apk()));
        let fetched = self.fetcher.document(&location, MAX_INDEX);
        if self.mode == Mode::Apko
            && location.local_path().is_some()
            && matches!(fetched, Err(FetchError::NotFound { .. }))
        {
            let text =
                format!("{location}: there is no such index; the repository is left out, as apko does");
            self.observer.event(Event::Warning(text));
            return Ok(None);
        }
        let fetched = fetched.map_err(|error| {
            let unavailable = error.kind() == Kind::Unavailable;
            let mut error = Error::from(error)
                .doing(format!("reading the index for {}", arch.apk()))
                .at(&repository.span);
            if unavailable && let Some(hint) = unreachable_hint(repository) {
                error = error.hint(hint);
            }
            error
        })?;
        read_index(&fetched.bytes, keys, self.trust).map(Some).map_err(|error| {
            Error::from(error)
                .doing(format!("checking the index of {} for {}", repository.text, arch.apk()))
                .at(&repository.span)
        })
    }

    /// Fetches, checks and opens packages, in the order given.
    pub(crate) fn packages(&self, wanted: &[Wanted], arch: Arch) -> Result<Vec<Package>> {
        let total = wanted.len();
        self.observer.event(Event::Stage(format!(
            "fetching and checking {total} packages for linux/{}",
            arch.oci_with_variant()
        )));
        let spool = self.fetcher.spool();
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let slots: Vec<Mutex<Option<Result<Package>>>> = (0..total).map(|_| Mutex::new(None)).collect();
        let work = || {
            while !failed.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(wanted) = wanted.get(number) else { return };
                let result = self.package(wanted, spool.as_ref()).map_err(|e| {
                    e.doing(format!("reading package {} of {total} for {}", number + 1, arch.apk()))
                });
                if result.is_err() {
                    failed.store(true, Ordering::Relaxed);
                }
                *slots[number].lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(result);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.threads.get().max(MIN_FETCHES).min(total) {
                scope.spawn(work);
            }
        });
        let mut packages = Vec::with_capacity(total);
        for slot in slots {
            // A slot stays empty where a later package failed first; that error is met further on.
            if let Some(result) = slot.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
                packages.push(result?);
            }
        }
        if packages.len() == total {
            Ok(packages)
        } else {
            Err(OwnError::Bug("a package was never fetched".into()).into())
        }
    }

    fn package(&self, wanted: &Wanted, spool: &dyn Spool) -> Result<Package> {
        let key = ContentKey::new(wanted.checksum.to_string(), wanted.size);
        let expected = Expected { id: wanted.id.clone(), checksum: wanted.checksum };
        let label = wanted.id.to_string();
        let get = || -> Result<Package> {
            let packed = self.fetcher.content(&wanted.location, &key, &label)?;
            Ok(open_package(&packed, &expected, &Limits::default(), spool)?)
        };
        let result = match get() {
            // What the cache, or one on the way, has may be damaged or old: the repository itself is asked once. What it
            // gives is final. Answers that may be others the next time were asked for again already.
            Err(error) if wanted.location.url().is_some() && error.kind() == Kind::Integrity => {
                self.fetcher.forget(&key);
                get()
            }
            result => result,
        };
        result.map_err(|e| e.at(&wanted.span))
    }
}

impl Indexes {
    fn push(&mut self, repository: &RepositoryInput, index: Index) {
        self.repositories.push(Repository {
            name: repository.text.clone(),
            pin: repository.pin.clone(),
            index: Arc::new(index),
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
        let (name, print) = (&key.name, parsed.fingerprint());
        let text = match key.origin {
            KeyOrigin::BuiltIn => format!("{}: signed by the built-in key {name} ({print})", repository.text),
            _ => format!("{}: signed by the key {name} ({print}), found at {}", repository.text, key.url),
        };
        observer.event(Event::Note(text.clone()));
        self.foreign_keys_used.push(text);
        self.keys.push(key.clone());
    }
}

/// The repository that was probably meant.
fn unreachable_hint(repository: &RepositoryInput) -> Option<String> {
    let near = nearest_known_repository(&repository.text)?;
    let known = KNOWN_REPOSITORIES.iter().any(|known| repository.text.starts_with(known.url));
    (!known).then(|| format!("did you mean {}, {}?", near.url, near.name))
}
