//! Why a package is refused.

use std::fmt;
use std::io;

use assemble_types::{Digest, Explain, ImagePath, Kind};

use crate::adb::{AdbError, SignatureError};
use crate::flaw::Flaw;
use crate::tarball::ArchiveError;
use crate::text::shown;
use crate::{Checksum, ChecksumError, PackageId, PackageInfoError};

/// A package that is not what the index promises, is damaged, or is not safe to install.
#[derive(Debug)]
pub struct PackageError {
    /// The package that was to be opened.
    pub package: PackageId,
    /// What is wrong.
    pub problem: Box<PackageProblem>,
}

impl fmt::Display for PackageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.package, self.problem)
    }
}

impl std::error::Error for PackageError {
    /// The cause of the problem; the problem itself is part of the message.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.problem.source()
    }
}

/// A part of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The first one, before it is known whether it is the signature or, in an unsigned package, the control section.
    First,
    /// `.PKGINFO` and scripts.
    Control,
    /// The files.
    Data,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first section",
            Self::Control => "control section",
            Self::Data => "data section",
        })
    }
}

/// Why a path of a package cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathProblem {
    /// It has no component.
    #[error("it is empty")]
    Empty,
    /// `..`
    #[error("it climbs with `..`")]
    Climbs,
    /// `.`
    #[error("it has a component `.`")]
    Dot,
    /// A zero byte, a line end or another control character; the installed database is made of lines.
    #[error("it holds a control character")]
    Control,
    /// Longer than the limit.
    #[error("it has more than {0} bytes")]
    TooLong(u64),
    /// A component that no file system takes.
    #[error("a part of it has more than 255 bytes")]
    PartTooLong,
    /// `.wh.`: in an image layer such a name deletes files of the layers below.
    #[error(
        "a part of it begins with `.wh.`, which deletes files of lower layers when the image is unpacked"
    )]
    Whiteout,
    /// Version 3 writes paths in one way only.
    #[error("it has a slash in front, behind, or two in a row")]
    Slashes,
    /// A slash at the end of something that is no folder.
    #[error("it ends in a slash, but is no folder")]
    Slash,
}

/// What is wrong with a package.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageProblem {
    /// A package of format version 3 that cannot be used.
    #[error("the package of format version 3 cannot be used")]
    Adb(#[source] AdbError),
    /// A package that is to be vouched for by its own signature, and is not.
    #[error("the package is not trusted")]
    Signature(#[source] SignatureError),
    /// Something else altogether.
    #[error("the file is no APK package: it begins with neither a gzip header nor `ADB`")]
    NotAPackage,
    /// The file ends before a section begins.
    #[error("the file ends before its {section}")]
    NoSection {
        /// The missing one.
        section: Section,
    },
    /// A section cannot be unpacked.
    #[error("the {section} is damaged or cut short")]
    Damaged {
        /// Which one.
        section: Section,
        /// What the decompressor says.
        #[source]
        source: io::Error,
    },
    /// A section unpacks to more than the limit.
    #[error("the {section} unpacks to more than {limit} bytes")]
    TooLarge {
        /// Which one.
        section: Section,
        /// The limit.
        limit: u64,
    },
    /// A section unpacks to far more than its packed size allows to expect.
    #[error(
        "the {section} has {packed} bytes and unpacks to more than {limit}; only made-up contents shrink so far"
    )]
    Bomb {
        /// Which one.
        section: Section,
        /// Its packed size.
        packed: u64,
        /// The limit.
        limit: u64,
    },
    /// The control section is not the one that the index vouches for.
    #[error(
        "the index promises checksum {expected}, the file has {found}{}",
        if *.misplaced { "; its sections are in the wrong order" } else { "" }
    )]
    Checksum {
        /// By the index.
        expected: Checksum,
        /// Of the file's control section.
        found: Checksum,
        /// Whether the section behind it has the promised one.
        misplaced: bool,
    },
    /// A section is no proper tar archive.
    #[error("the {section} is no sound archive")]
    Archive {
        /// Which one.
        section: Section,
        /// What is wrong with it.
        #[source]
        source: ArchiveError,
    },
    /// No `.PKGINFO`, or several.
    #[error("the control section has {count} entries `.PKGINFO`; one is needed")]
    Infos {
        /// How many.
        count: usize,
    },
    /// An entry of the control section that has no place there.
    #[error("the control section holds `{}`, which is no plain file with a plain name", shown(name))]
    ControlEntry {
        /// Its name.
        name: String,
    },
    /// `.PKGINFO` cannot be used.
    #[error(".PKGINFO cannot be used")]
    Info(#[source] PackageInfoError),
    /// The index and the package disagree about what this is.
    #[error("the file says that it is {found}")]
    Identity {
        /// By its `.PKGINFO`.
        found: PackageId,
    },
    /// The data section is not the one that the control section vouches for.
    #[error(
        "its .PKGINFO promises data with SHA-256 {}, the file's data has {}{}",
        expected.hex(),
        found.hex(),
        Flaw::clause(*.flaw)
    )]
    DataHash {
        /// By `.PKGINFO`.
        expected: Digest,
        /// Of the file's data section.
        found: Digest,
        /// What is visibly wrong with it.
        flaw: Option<Flaw>,
    },
    /// The data section is followed by, or made of, one more gzip member.
    #[error(
        "a second gzip member begins inside the data section, at byte {at} of the file; only one is allowed"
    )]
    SecondMember {
        /// Where.
        at: u64,
    },
    /// Bytes behind the data section.
    #[error("the data section ends at byte {at}, but the file does not")]
    Trailing {
        /// Where it ends.
        at: u64,
    },
    /// A path that cannot be used.
    #[error("the path `{}` cannot be used: {problem}", shown(name))]
    Path {
        /// As the archive has it.
        name: Vec<u8>,
        /// Why.
        problem: PathProblem,
    },
    /// The target of a hard link cannot be used.
    #[error("{path} is a hard link to `{}`, which cannot be used: {problem}", shown(target))]
    HardLinkTarget {
        /// The link.
        path: ImagePath,
        /// Its target as the archive has it.
        target: Vec<u8>,
        /// Why.
        problem: PathProblem,
    },
    /// The text of a symbolic link is empty, too long, or holds a zero byte.
    #[error("{path} is a symbolic link without a usable target")]
    LinkText {
        /// The link.
        path: ImagePath,
    },
    /// A device, a named pipe, or something that nobody knows.
    #[error("{path} is {kind}, which a package cannot install")]
    Kind {
        /// The entry.
        path: ImagePath,
        /// What it is, with its article.
        kind: String,
    },
    /// A folder or link with content.
    #[error("{path} is no regular file, but has {size} bytes of content")]
    Content {
        /// The entry.
        path: ImagePath,
        /// How many.
        size: u64,
    },
    /// A path that is there twice.
    #[error("{path} is listed twice")]
    Twice {
        /// The path.
        path: ImagePath,
    },
    /// A hard link to something that is no file in front of it.
    #[error("{path} is a hard link to {target}, which is no file that the package lists before it")]
    NoLinkTarget {
        /// The link.
        path: ImagePath,
        /// Its target.
        target: ImagePath,
    },
    /// A hard link with facts of its own.
    #[error("{path} is a hard link to {target}, but is listed with another size or hash")]
    LinkContent {
        /// The link.
        path: ImagePath,
        /// Its target.
        target: ImagePath,
    },
    /// One path for a folder and for something else.
    #[error("{path} is listed both as a folder and as something else")]
    Clash {
        /// The path.
        path: ImagePath,
    },
    /// A file that does not have the checksum that the package itself gives for it.
    #[error("{path} has checksum {found}, but is listed with {expected}")]
    FileChecksum {
        /// The file.
        path: ImagePath,
        /// By the package.
        expected: Checksum,
        /// Of its content.
        found: Checksum,
    },
    /// A file that does not have the hash that the database gives for it.
    #[error("{path} has hash {found}, but is listed with {expected}")]
    FileHash {
        /// The file.
        path: ImagePath,
        /// By the database, in hexadecimal digits.
        expected: String,
        /// Of its content.
        found: String,
    },
    /// A checksum of a file that cannot be read.
    #[error("{path} has an unreadable checksum")]
    ChecksumText {
        /// The file.
        path: ImagePath,
        /// What is wrong with it.
        #[source]
        source: ChecksumError,
    },
    /// More entries than allowed.
    #[error("the package has more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: u64,
    },
    /// More names and attributes than are kept in memory.
    #[error("the paths, links and extended attributes of the package have more than {limit} bytes")]
    Metadata {
        /// The limit.
        limit: u64,
    },
    /// The packed file cannot be read.
    #[error("the package file cannot be read")]
    Read(#[source] io::Error),
    /// The unpacked data cannot be kept, or cannot be read again.
    #[error("the unpacked data cannot be kept")]
    Spool(#[source] io::Error),
}

impl Explain for PackageError {
    fn code(&self) -> &'static str {
        match &*self.problem {
            PackageProblem::Adb(AdbError::Schema { .. }) | PackageProblem::NotAPackage => "apk/not-a-package",
            PackageProblem::NoSection { .. }
            | PackageProblem::Damaged { .. }
            | PackageProblem::Adb(AdbError::Damaged(_)) => "apk/damaged",
            PackageProblem::Adb(AdbError::TooLarge { .. } | AdbError::Growth { .. })
            | PackageProblem::TooLarge { .. }
            | PackageProblem::Bomb { .. }
            | PackageProblem::TooManyEntries { .. }
            | PackageProblem::Metadata { .. } => "apk/too-large",
            PackageProblem::Adb(_) => "apk/adb",
            PackageProblem::Signature(_) => "apk/package-signature",
            PackageProblem::Checksum { .. } => "apk/checksum",
            PackageProblem::Archive { .. } | PackageProblem::Content { .. } => "apk/archive",
            PackageProblem::Infos { .. } | PackageProblem::ControlEntry { .. } | PackageProblem::Info(_) => {
                "apk/info"
            }
            PackageProblem::Identity { .. } => "apk/identity",
            PackageProblem::DataHash { .. } => "apk/data-hash",
            PackageProblem::SecondMember { .. } | PackageProblem::Trailing { .. } => "apk/trailing-data",
            PackageProblem::Path { .. } | PackageProblem::HardLinkTarget { .. } => "apk/path",
            PackageProblem::LinkText { .. }
            | PackageProblem::NoLinkTarget { .. }
            | PackageProblem::LinkContent { .. } => "apk/link",
            PackageProblem::Kind { .. } => "apk/entry-kind",
            PackageProblem::Clash { .. } | PackageProblem::Twice { .. } => "apk/clash",
            PackageProblem::FileChecksum { .. }
            | PackageProblem::FileHash { .. }
            | PackageProblem::ChecksumText { .. } => "apk/file-checksum",
            PackageProblem::Read(_) => "apk/read",
            PackageProblem::Spool(_) => "apk/spool",
        }
    }

    fn kind(&self) -> Kind {
        match &*self.problem {
            PackageProblem::Read(_) | PackageProblem::Spool(_) => Kind::Host,
            _ => Kind::Integrity,
        }
    }

    fn hints(&self) -> Vec<String> {
        let name = &self.package.name;
        match &*self.problem {
            PackageProblem::Checksum { .. } | PackageProblem::Identity { .. } => vec![
                "build again: the repository may have replaced the package after its index was fetched".into(),
                "if it happens again, the repository or something on the way to it altered the file: do not use it"
                    .into(),
            ],
            PackageProblem::NotAPackage
            | PackageProblem::NoSection { .. }
            | PackageProblem::Damaged { .. }
            | PackageProblem::Adb(_) => {
                vec![
                    "build again; if it happens again, the repository's copy is damaged: tell its owner or use a mirror"
                        .into(),
                ]
            }
            PackageProblem::DataHash { .. }
            | PackageProblem::FileChecksum { .. }
            | PackageProblem::FileHash { .. } => vec![
                "the file was altered or badly built: do not use it".into(),
                format!("list an older version under contents.packages, as in {name}=1.2.3-r0, if there is one"),
            ],
            PackageProblem::Signature(_) => {
                vec!["add the key of whoever made the package, or get the package from a signed repository".into()]
            }
            PackageProblem::Read(_) | PackageProblem::Spool(_) => {
                vec!["look at free space and permissions of the cache and of the folder for temporary files".into()]
            }
            _ => vec![format!("leave {name} out of contents.packages, or tell its maintainer")],
        }
    }
}
