//! Reads APK packages, indexes, versions, constraints and signatures, and trusts none of them until checked.

use std::collections::BTreeMap;
use std::ops::Range;

use assemble_types::{Blob, ImagePath, Mode, Owner, Spool};

/// A package name, or a provided name such as `so:libc.musl-x86_64.so.1`, `cmd:sh`, `/bin/sh`. Not empty, without
/// white space, control characters and the characters `@ = > < ~`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(Box<str>); // parse(&str) -> Result<_, NameError>, as_str(), Display

/// A version as written. Not empty, without white space. `compare` gives nothing where a side is outside the grammar.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    text: Box<str>,
} // parse, as_str, Display, is_valid(), compare(&self,&Self)->Option<Ordering>, matches_fuzzy

/// `=`, `<`, `<=`, `>`, `>=`, `~`, or any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    Any,
    Equal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Fuzzy,
}

/// A world entry or a dependency: `name`, `name>=1.2`, `!name`, `name=1.2@edge`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Constraint {
    pub name: PackageName,
    pub operator: Operator,
    pub version: Option<Version>,
    /// The tag of a repository, from `@tag`.
    pub pin: Option<Box<str>>,
    /// `!name`.
    pub conflict: bool,
} // parse(&str), Display (round trips), satisfied_by(&Version)

/// `name` or `name=version`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Provide {
    pub name: PackageName,
    pub version: Option<Version>,
}

/// APK's own package checksum: SHA-1 of the compressed control section, `Q1` and base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checksum([u8; 20]); // parse("Q1…"), from_bytes, as_bytes, Display

/// Which package, for messages: shown as `name-version`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PackageId {
    pub name: PackageName,
    pub version: Version,
}

/// A public key (PEM SubjectPublicKeyInfo, RSA) under the file name that signatures refer to.
#[derive(Debug, Clone)]
pub struct PublicKey {
    name: String,
    pem: Vec<u8>,
} // parse(name, pem) ; name() ; pem() ; fingerprint()

/// The keys an index may be signed with, by name.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: BTreeMap<String, PublicKey>,
}

/// One package as the index lists it.
#[derive(Debug, Clone)]
pub struct Record {
    pub name: PackageName,
    pub version: Version,
    pub arch: String,
    pub license: String,
    pub description: String,
    pub origin: String,
    pub maintainer: String,
    pub url: String,
    pub depends: Vec<Constraint>,
    pub provides: Vec<Provide>,
    pub install_if: Vec<Constraint>,
    pub commit: String,
    pub build_time: i64,
    pub size: u64,
    pub installed_size: u64,
    pub provider_priority: u64,
    pub checksum: Option<Checksum>,
}

/// A repository index whose signature was checked (or was allowed to be missing).
#[derive(Debug, Clone)]
pub struct Index {
    pub records: Vec<Record>,
    pub description: String,
    pub signed_by: Option<String>,
}

/// Whether an unsigned or foreign-signed index is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    Required,
    AllowUntrusted,
}

// pub fn read_index(packed: &[u8], keyring: &Keyring, trust: Trust) -> Result<Index, IndexError>;

/// What the signed index promises about a package.
#[derive(Debug, Clone)]
pub struct Expected {
    pub id: PackageId,
    pub checksum: Checksum,
}

// pub fn open_package(packed: &Blob, expected: &Expected, limits: &Limits, spool: &dyn Spool) -> Result<Package, PackageError>;

/// A package whose chain was checked down to every file: index checksum -> control -> data hash -> file checksums.
#[derive(Debug, Clone)]
pub struct Package {
    pub info: PackageInfo,
    pub checksum: Checksum,
    /// Size of the whole file in bytes.
    pub size: u64,
    /// Byte ranges of the gzip members in the packed file.
    pub signature: Option<Range<u64>>,
    pub control: Range<u64>,
    pub data: Range<u64>,
    /// Entries of the data section in archive order.
    pub entries: Vec<Entry>,
    /// Entries of the control section but `.PKGINFO` (scripts), with their bytes.
    pub control_entries: Vec<ControlEntry>,
}

/// `.PKGINFO`, decoded the way apko does (reference section 5.2).
#[derive(Debug, Clone)]
pub struct PackageInfo {
    pub name: PackageName,
    pub version: Version,
    pub arch: String,
    pub license: String,
    pub description: String,
    pub origin: String,
    pub maintainer: String,
    pub url: String,
    /// As written; the installed database needs the text.
    pub depends: Vec<String>,
    pub provides: Vec<String>,
    pub install_if: Vec<String>,
    pub replaces: Vec<String>,
    pub triggers: Vec<String>,
    pub commit: String,
    pub build_time: i64,
    pub installed_size: u64,
    pub provider_priority: u64,
    pub data_hash: [u8; 32],
}

/// A script or other entry of the control section.
#[derive(Debug, Clone)]
pub struct ControlEntry {
    pub name: String,
    pub mode: Mode,
    pub owner: Owner,
    pub user: Vec<u8>,
    pub group: Vec<u8>,
    pub content: Vec<u8>,
}

/// One entry of the data section.
#[derive(Debug, Clone)]
pub struct Entry {
    pub path: ImagePath,
    pub kind: EntryKind,
    pub mode: Mode,
    pub owner: Owner,
    /// Whole seconds, rounded to nearest.
    pub mtime: i64,
    /// `APK-TOOLS.checksum.SHA1`, checked against the content for regular files.
    pub checksum: Option<Checksum>,
    /// `SCHILY.xattr.*` without the prefix.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What an entry is.
#[derive(Debug, Clone)]
pub enum EntryKind {
    Directory,
    File(Blob),
    /// The link's text.
    Symlink(Vec<u8>),
    /// The linked path and the archive's own text for it.
    HardLink {
        target: ImagePath,
        text: Vec<u8>,
    },
}

#[allow(dead_code)]
fn spool(_: &dyn Spool) {}
