//! What a lock says, once it is checked.

use assemble_apk::{Checksum, PackageName, PublicKey, Version};
use assemble_types::{Arch, Digest};

/// Everything that a build was decided on, for each architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The spec it was made for.
    pub spec: LockedSpec,
    /// What else goes into the image.
    pub made_with: MadeWith,
    /// The keys that the image holds.
    pub keys: Vec<LockedKey>,
    /// The indexes that the packages were chosen from, for information: nothing is decided by them.
    pub repositories: Vec<LockedRepository>,
    /// One for each architecture, sorted by the architecture's APK name.
    pub images: Vec<LockedImage>,
}

impl Lock {
    /// What is locked for an architecture.
    pub fn image(&self, arch: Arch) -> Option<&LockedImage> {
        self.images.iter().find(|image| image.arch == arch)
    }

    /// The keys that the image for an architecture holds.
    pub fn keys_for(&self, arch: Arch) -> impl Iterator<Item = &LockedKey> {
        self.keys.iter().filter(move |key| key.archs.contains(&arch))
    }

    /// The indexes that an architecture's packages were chosen from.
    pub fn repositories_for(&self, arch: Arch) -> impl Iterator<Item = &LockedRepository> {
        self.repositories.iter().filter(move |repository| repository.arch == arch)
    }
}

/// The spec that a lock belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedSpec {
    /// Its name, for people.
    pub name: String,
    /// Digest of the effective spec: after includes and defaults, whatever its layout and comments.
    pub digest: Digest,
}

/// Versions of what comes from the program itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MadeWith {
    /// The codec that writes layers.
    pub codec: String,
    /// Version of the CA certificates, where the image has them.
    pub certificates: Option<String>,
    /// Version of the time zones, where the image has them.
    pub time_zones: Option<String>,
}

/// A key of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedKey {
    /// Its name and bytes.
    pub key: PublicKey,
    /// The architectures whose images hold it, sorted by their APK names. At least one.
    pub archs: Vec<Arch>,
    /// Where it was found: a path or URL, or `built-in`.
    pub from: String,
}

/// An index as it was when the packages were chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedRepository {
    /// The architecture that the index is for.
    pub arch: Arch,
    /// The repository as the spec has it, without credentials.
    pub url: String,
    /// The tag of `@tag URL`.
    pub pin: Option<Box<str>>,
    /// Digest of the index file.
    pub index: Digest,
    /// Size of the index file in bytes.
    pub size: u64,
    /// Name of the key whose signature was checked. Nothing if none was: packages from here need the user's consent again.
    pub signed_by: Option<String>,
}

/// What is locked for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedImage {
    /// The architecture.
    pub arch: Arch,
    /// In order of installation. No name comes twice.
    pub packages: Vec<LockedPackage>,
    /// The layers, if a build has learnt them.
    pub learnt: Option<Learnt>,
}

impl LockedImage {
    /// The package of that name.
    pub fn package(&self, name: &PackageName) -> Option<&LockedPackage> {
        self.packages.iter().find(|package| package.name == *name)
    }
}

/// The layers that a build made of a lock's packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learnt {
    /// The `SOURCE_DATE_EPOCH` of that build, which is in the layers.
    pub time: Option<i64>,
    /// Digests of the unpacked layers with packages, lowest first.
    pub diff_ids: Vec<Digest>,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPackage {
    /// Its name.
    pub name: PackageName,
    /// Its version.
    pub version: Version,
    /// The tag that it was asked for with.
    pub pin: Option<Box<str>>,
    /// Where it lies: a URL without credentials, or a path relative to the spec.
    pub url: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// What its bytes must be.
    pub hashes: LockedHashes,
}

/// What vouches for a package's bytes, by format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockedHashes {
    /// Version 2: three gzip members.
    V2 {
        /// APK's checksum of the control section, as the index has it.
        checksum: Checksum,
        /// The signature section, if there is one.
        signature: Option<Section>,
        /// The control section.
        control: Section,
        /// The data section; the digest stands in the control section.
        data: Section,
    },
    /// Version 3: one compressed stream.
    V3 {
        /// APK's checksum of the database, as the index has it.
        checksum: Checksum,
        /// Digest of the file.
        sha256: Digest,
    },
}

/// A section of a package file, as it is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Bytes.
    pub size: u64,
    /// Digest of them.
    pub sha256: Digest,
}

impl LockedHashes {
    /// The index's checksum, by which a package is also known in the cache.
    pub fn checksum(&self) -> Checksum {
        match self {
            Self::V2 { checksum, .. } | Self::V3 { checksum, .. } => *checksum,
        }
    }
}
