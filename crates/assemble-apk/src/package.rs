//! What a package is once it has been checked.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use assemble_types::{Blob, Digest, ImagePath, Mode, Owner, StreamMarks};

use crate::{Checksum, ContentSum, Oddity, PackageInfo, PackageName, Version};

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
    /// Of a version 2 package the SHA-1 of the packed control section; of a version 3 package the SHA-256 of its
    /// database, or the first 20 bytes of it.
    pub checksum: Checksum,
}

/// How much of a package is read before it is refused. All are sizes in bytes unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The signature section and the control section, each, unpacked; of version 3 all scripts.
    pub control: u64,
    /// The data section, unpacked; of version 3 all files.
    pub data: u64,
    /// The path of an entry, and the text of a link.
    pub path: u64,
    /// Entries: a number.
    pub entries: u64,
    /// One PAX header.
    pub pax: u64,
    /// All paths, link texts and extended attributes together: they are kept in memory.
    pub metadata: u64,
    /// The database of a version 3 package.
    pub database: u64,
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
            database: 32 << 20,
        }
    }
}

/// A package whose chain was checked down to every file.
#[derive(Debug, Clone)]
pub struct Package {
    /// What it says about itself.
    pub info: PackageInfo,
    /// As found in the file: the SHA-1 of a version 2 package's control section, the whole SHA-256 of a version 3
    /// package's database (also where the index has only the first 20 bytes of it).
    pub checksum: Checksum,
    /// Size of the whole file in bytes.
    pub size: u64,
    /// The whole file, as it was checked.
    pub packed: Blob,
    /// How the file is built.
    pub format: Format,
    /// Its entries in the order of the file. Each path comes once.
    pub entries: Vec<Entry>,
    /// Scripts, and whatever else the control section has but `.PKGINFO`, with their bytes.
    pub control_entries: Vec<ControlEntry>,
}

/// How a package file is built, and what its parts are vouched for with.
#[derive(Debug, Clone)]
pub enum Format {
    /// Gzip members one behind another: index checksum -> control section -> data hash -> file checksums.
    V2 {
        /// Where in the packed file the signature section lies, if there is one. It is not checked: the index vouches
        /// for the control section.
        signature: Option<Range<u64>>,
        /// Where in the packed file the control section lies.
        control: Range<u64>,
        /// Where in the packed file the data section lies.
        data: Range<u64>,
        /// SHA-256 of the packed data section, which the control section promises.
        data_hash: Digest,
        /// Size of the unpacked data section in bytes.
        plain_size: u64,
        /// Digest of the unpacked data section, if it was asked for: the diff_id of a layer that is this section.
        diff_id: Option<Digest>,
        /// Where the data section can be read on from, if that was asked for, and it is long enough to have such places.
        marks: Option<SectionMarks>,
        /// Why the data section would not be these entries, unpacked as a layer.
        oddity: Option<Oddity>,
    },
    /// One stream of blocks, compressed as a whole: index checksum -> database -> file hashes. There are no parts of
    /// the packed file to point at; [`Package::checksum`] is the SHA-256 that covers all contents.
    V3,
}

/// Places of a data section from which it can be read on.
#[derive(Debug, Clone)]
pub struct SectionMarks {
    /// The places.
    pub marks: Arc<StreamMarks>,
    /// The digest of [`StreamMarks::windows`].
    pub windows: Digest,
}

/// Where the parts of a version 2 package lie in its packed file, and what vouches for the last of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionRanges {
    /// The signature section, if there is one.
    pub signature: Option<Range<u64>>,
    /// The control section.
    pub control: Range<u64>,
    /// The data section.
    pub data: Range<u64>,
    /// SHA-256 of the packed data section, which the control section promises.
    pub data_hash: Digest,
}

impl Format {
    /// The parts of a version 2 package.
    pub fn sections(&self) -> Option<SectionRanges> {
        match self {
            Self::V2 { signature, control, data, data_hash, .. } => Some(SectionRanges {
                signature: signature.clone(),
                control: control.clone(),
                data: data.clone(),
                data_hash: *data_hash,
            }),
            Self::V3 => None,
        }
    }
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

/// One entry that is installed.
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
    /// SHA-1 of a file's content or a link's text. Version 2: `APK-TOOLS.checksum.SHA1`, checked against the content
    /// for regular files, and nothing where the package gives none. Version 3: computed from the checked content.
    pub checksum: Option<ContentSum>,
    /// Extended attributes; nothing if there are none, as of nearly all.
    pub xattrs: Option<Box<Xattrs>>,
}

/// Extended attributes by full name, such as `security.capability`.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// What an entry is.
#[derive(Debug, Clone)]
pub enum EntryKind {
    /// A folder.
    Directory,
    /// A regular file with its content.
    File(Blob),
    /// The link's text.
    Symlink(Box<[u8]>),
    /// One more name of a file.
    HardLink {
        /// The linked path.
        target: ImagePath,
        /// The archive's own text for it.
        text: Box<[u8]>,
    },
}
