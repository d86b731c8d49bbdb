//! What a lock says of the links: what it can be held against without anything else, and what it only records.

use std::path::Path;

use assemble_spec::lock::{Lock, LockedHashes, LockedPackage};
use assemble_types::{Arch, Digest};

use super::{Chain, id_of};
use crate::build::PackageSummary;
use crate::error::Result;
use crate::lock::{self, LockError};

/// The links as a lock has them. Of these only the data section can be held against an image; what signed the index, what
/// the index lists, and what the control section names was looked at when the lock was made.
#[derive(Debug, Clone)]
pub struct LockedLinks {
    /// Name and version.
    pub package: String,
    /// The index that the package was chosen from. Nothing if the lock does not tell which one it was.
    pub index: Option<LockedIndex>,
    /// Checksum of the control section, as the index had it.
    pub checksum: String,
    /// SHA-256 of the control section.
    pub control: Digest,
    /// Digest of the data section.
    pub data_hash: Digest,
}

/// An index, as a lock records it.
#[derive(Debug, Clone)]
pub struct LockedIndex {
    /// The repository, as the spec had it.
    pub repository: String,
    /// Digest of the index file.
    pub digest: Digest,
    /// The key whose signature was checked; nothing if none was.
    pub key: Option<LockedSigner>,
}

/// A key, as a lock records it.
#[derive(Debug, Clone)]
pub struct LockedSigner {
    /// Its name.
    pub name: String,
    /// SHA-256 of it, where the lock holds it.
    pub fingerprint: Option<Digest>,
}

/// A lock, and for which architecture it is asked.
pub(super) struct Word {
    lock: Lock,
    shown: String,
    arch: Arch,
}

impl Word {
    pub(super) fn read(path: &Path, arch: Arch) -> Result<Self> {
        let missing = || LockError::NoLock(path.display().to_string());
        let lock = lock::load(path)?.ok_or_else(missing)?;
        Ok(Self { lock, shown: path.display().to_string(), arch })
    }

    /// What the lock says of the package that a layer is said to be.
    pub(super) fn chain(&self, package: String, layer: Digest, image: &[PackageSummary]) -> Chain {
        let claimed = image.iter().find(|one| id_of(one) == package);
        let Some(claimed) = claimed else {
            let why = "the image's database has no such package".to_owned();
            return Chain::Claimed { package, checksum: None, why };
        };
        match self.links(claimed) {
            Ok(links) if links.data_hash == layer => Chain::Locked(links),
            Ok(links) => Chain::NotLocked { links },
            Err(why) => Chain::Claimed { package, checksum: Some(claimed.checksum.clone()), why },
        }
    }

    fn links(&self, claimed: &PackageSummary) -> std::result::Result<LockedLinks, String> {
        let Self { lock, shown, arch } = self;
        let image = lock.image(*arch).ok_or_else(|| format!("{shown} locks nothing for {}", arch.apk()))?;
        let same = |one: &&LockedPackage| {
            one.name.as_str() == claimed.name && one.version.as_str() == claimed.version
        };
        let package = image.packages.iter().find(same).ok_or_else(|| format!("{shown} does not lock it"))?;
        let LockedHashes::V2 { checksum, control, data, .. } = &package.hashes else {
            return Err("it is of format version 3, and has no data section".to_owned());
        };
        if checksum.to_string() != claimed.checksum {
            return Err(format!("{shown} locks another file of that name and version: {checksum}"));
        }
        Ok(LockedLinks {
            package: id_of(claimed),
            index: self.index(package),
            checksum: checksum.to_string(),
            control: control.sha256,
            data_hash: data.sha256,
        })
    }

    /// The index whose repository the package lies in: of several, the one whose address says most.
    fn index(&self, package: &LockedPackage) -> Option<LockedIndex> {
        let below = |url: &str| {
            let rest = package.url.strip_prefix(url.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let fitting =
            self.lock.repositories_for(self.arch).filter(|one| one.pin == package.pin && below(&one.url));
        let found = fitting.max_by_key(|one| one.url.len())?;
        let key = found.signed_by.as_ref().map(|name| {
            let held = self.lock.keys_for(self.arch).find(|held| held.key.name() == name);
            LockedSigner { name: name.clone(), fingerprint: held.map(|held| held.key.fingerprint()) }
        });
        Some(LockedIndex { repository: found.url.clone(), digest: found.index, key })
    }
}
