//! What a package is once it has been checked.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use assemble_types::{Blob, ImagePath, Mode, Owner};

use crate::{Checksum, PackageInfo, PackageName, Version};

/// Which package, for messages: shown as `name-version`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PackageId {
    /// Its name.
    pub name: PackageName,
    /// Its version.
    pub version: Version,
}

impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.name, self.version)
    }
}

/// What the signed index promises about a package.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its name and version.
    pub id: PackageId,
    /// SHA-1 of its compressed control section.
    pub checksum: Checksum,
}

/// How much of a package is read before it is refused. All are sizes in bytes unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The signature section and the control section, each, unpacked.
    pub control: u64,
    /// The data section, unpacked.
    pub data: u64,
    /// The path of an entry, and the text of a link.
    pub path: u64,
    /// Entries of the data section: a number.
    pub entries: u64,
    /// One PAX header.
    pub pax: u64,
    /// All paths, link texts and extended attributes together: they are kept in memory.
    pub metadata: u64,
}

impl Default for Limits {
    /// Those of apko where it has some, and beyond that what is far from anything real.
    fn default() -> Self {
        Self {
            control: 10 << 20,
            data: 16 << 30,
            path: 4096,
            entries: 2_000_000,
            pax: 1 << 20,
            metadata: 256 << 20,
        }
    }
}

/// A package whose chain was checked down to every file: index checksum -> control -> data hash -> file checksums.
#[derive(Debug, Clone)]
pub struct Package {
    /// `.PKGINFO`.
    pub info: PackageInfo,
    /// SHA-1 of the compressed control section, as the index has it.
    pub checksum: Checksum,
    /// Size of the whole file in bytes.
    pub size: u64,
    /// Where in the packed file the signature section lies, if there is one. It is not checked: the index vouches for
    /// the control section.
    pub signature: Option<Range<u64>>,
    /// Where in the packed file the control section lies.
    pub control: Range<u64>,
    /// Where in the packed file the data section lies.
    pub data: Range<u64>,
    /// Entries of the data section in archive order. Each path comes once.
    pub entries: Vec<Entry>,
    /// Entries of the control section but `.PKGINFO` (scripts), with their bytes.
    pub control_entries: Vec<ControlEntry>,
}

impl Package {
    /// Name and version.
    pub fn id(&self) -> PackageId {
        PackageId { name: self.info.name.clone(), version: self.info.version.clone() }
    }
}

/// A script or other entry of the control section. All are regular files.
#[derive(Debug, Clone)]
pub struct ControlEntry {
    /// A file name such as `.post-install`.
    pub name: String,
    /// Mode bits.
    pub mode: Mode,
    /// Numeric owner.
    pub owner: Owner,
    /// The owner's name, perhaps empty.
    pub user: Vec<u8>,
    /// The group's name, perhaps empty.
    pub group: Vec<u8>,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// One entry of the data section.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its path.
    pub path: ImagePath,
    /// What it is.
    pub kind: EntryKind,
    /// Mode bits.
    pub mode: Mode,
    /// Numeric owner.
    pub owner: Owner,
    /// Whole seconds, rounded to nearest.
    pub mtime: i64,
    /// `APK-TOOLS.checksum.SHA1`, checked against the content for regular files. Nothing where the package gives none.
    pub checksum: Option<Checksum>,
    /// `SCHILY.xattr.*` without the prefix.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What an entry is.
#[derive(Debug, Clone)]
pub enum EntryKind {
    /// A folder.
    Directory,
    /// A regular file with its content.
    File(Blob),
    /// The link's text.
    Symlink(Vec<u8>),
    /// One more name of a file.
    HardLink {
        /// The linked path.
        target: ImagePath,
        /// The archive's own text for it.
        text: Vec<u8>,
    },
}
