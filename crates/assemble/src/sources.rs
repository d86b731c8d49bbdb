//! The edge where package bytes come in: keys, indexes, packages, each checked before the next is asked for.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use assemble_apk::{
    Expected, Index, KNOWN_REPOSITORIES, Keyring, Limits, Package, PublicKey, Trust, builtin_keys,
    nearest_known_repository, open_package, read_index,
};
use assemble_fetch::{ContentKey, Fetcher, Location};
use assemble_resolve::Repository;
use assemble_types::{Arch, Event, Explain, Kind, Observer, SourceSpan, Spool};

use crate::choose::Wanted;
use crate::error::{Doing, Error, OwnError, Result};

/// Largest index that is read, packed, in bytes.
const MAX_INDEX: u64 = 128 * 1024 * 1024;
/// Largest key file.
const MAX_KEY: u64 = 64 * 1024;
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

/// A key of the spec.
#[derive(Debug, Clone)]
pub(crate) struct KeyInput {
    pub(crate) location: Location,
    /// Last component of the location: the name that signatures refer to.
    pub(crate) name: String,
    pub(crate) span: SourceSpan,
}

/// What a build needs to reach packages.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    pub(crate) fetcher: &'a Fetcher,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) trust: Trust,
    pub(crate) threads: NonZeroUsize,
}

/// Checked indexes, and the keys that the image keeps.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    pub(crate) repositories: Vec<Repository>,
    pub(crate) keys: Vec<(String, Vec<u8>)>,
    /// For the summary: which key signed what, where it was not the spec's own.
    pub(crate) builtin_keys_used: Vec<String>,
    /// Repositories that were used without a signature that could be checked.
    pub(crate) untrusted: Vec<String>,
}

impl Sources<'_> {
    /// Reads the keyring and every index, and checks each index's signature.
    pub(crate) fn indexes(
        &self,
        repositories: &[RepositoryInput],
        keyring: &[KeyInput],
        arch: Arch,
    ) -> Result<Indexes> {
        let own = self.keyring(keyring)?;
        let mut out = Indexes {
            repositories: Vec::new(),
            keys: own.iter().map(|key| (key.name().to_owned(), key.pem().to_vec())).collect(),
            builtin_keys_used: Vec::new(),
            untrusted: Vec::new(),
        };
        for repository in repositories {
            let mut keys = own.clone();
            let builtin = builtin_keys(&repository.location.host().unwrap_or_default());
            for key in &builtin {
                if keys.get(key.name()).is_none() {
                    keys.insert(key.clone());
                }
            }
            let index = self.index(repository, &keys, arch)?;
            match &index.signed_by {
                Some(signer) => {
                    let foreign =
                        builtin.iter().find(|key| key.name() == signer && own.get(signer).is_none());
                    if let Some(key) = foreign {
                        out.note_builtin(key, repository, self.observer);
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
            out.repositories.push(Repository {
                name: repository.text.clone(),
                pin: repository.pin.clone(),
                index: Arc::new(index),
            });
        }
        out.keys.sort();
        Ok(out)
    }

    fn keyring(&self, inputs: &[KeyInput]) -> Result<Keyring> {
        let mut keyring = Keyring::new();
        for input in inputs {
            let fetched = self
                .fetcher
                .document(&input.location, MAX_KEY)
                .doing(|| "reading the keyring".into())
                .map_err(|e| e.at(&input.span))?;
            let key =
                PublicKey::parse(&input.name, &fetched.bytes).map_err(|e| Error::from(e).at(&input.span))?;
            let (name, fingerprint) = (key.name().to_owned(), key.fingerprint());
            if keyring.insert(key).is_some_and(|other| other.fingerprint() != fingerprint) {
                self.observer.event(Event::Warning(format!(
                    "two different keys are named {name}; signatures go by that name, and only the last one counts"
                )));
            }
        }
        Ok(keyring)
    }

    fn index(&self, repository: &RepositoryInput, keys: &Keyring, arch: Arch) -> Result<Index> {
        let location = repository.location.join(&format!("{}/APKINDEX.tar.gz", arch.apk()));
        let fetched = self.fetcher.document(&location, MAX_INDEX).map_err(|error| {
            let unavailable = error.kind() == Kind::Unavailable;
            let mut error = Error::from(error)
                .doing(format!("reading the index for {}", arch.apk()))
                .at(&repository.span);
            if unavailable && let Some(hint) = unreachable_hint(repository) {
                error = error.hint(hint);
            }
            error
        })?;
        read_index(&fetched.bytes, keys, self.trust).map_err(|error| {
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
        let fetch = || self.fetcher.content(&wanted.location, &key, &label);
        let packed = fetch().map_err(|e| Error::from(e).at(&wanted.span))?;
        match open_package(&packed, &expected, &Limits::default(), spool) {
            Ok(package) => Ok(package),
            // A damaged copy in the cache is made again once; what the repository itself gives is final.
            Err(_) if wanted.location.url().is_some() => {
                self.fetcher.forget(&key);
                let packed = fetch().map_err(|e| Error::from(e).at(&wanted.span))?;
                open_package(&packed, &expected, &Limits::default(), spool)
                    .map_err(|e| Error::from(e).at(&wanted.span))
            }
            Err(error) => Err(Error::from(error).at(&wanted.span)),
        }
    }
}

impl Indexes {
    fn note_builtin(&mut self, key: &PublicKey, repository: &RepositoryInput, observer: &dyn Observer) {
        if !self.keys.iter().any(|(name, _)| name == key.name()) {
            self.keys.push((key.name().to_owned(), key.pem().to_vec()));
        }
        let text =
            format!("{}: signed by the built-in key {} ({})", repository.text, key.name(), key.fingerprint());
        observer.event(Event::Note(text.clone()));
        self.builtin_keys_used.push(text);
    }
}

/// The repository that was probably meant.
fn unreachable_hint(repository: &RepositoryInput) -> Option<String> {
    let near = nearest_known_repository(&repository.text)?;
    let known = KNOWN_REPOSITORIES.iter().any(|known| repository.text.starts_with(known.url));
    (!known).then(|| format!("did you mean {}, {}?", near.url, near.name))
}
