//! What can go wrong while packages are laid down.

use std::io;

use assemble_apk::{InstalledDbError, PackageId};
use assemble_types::{Explain, ImagePath, ImagePathError, Kind, TimestampError};

use super::jks::KeyStoreError;
use crate::shown::shown;

/// Why packages could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A path in a package or a packaged file leaves the image or holds a NUL byte.
    #[error("{what} names a path that an image cannot have")]
    Path {
        /// Who names it.
        what: String,
        /// What is wrong with it.
        #[source]
        source: ImagePathError,
    },
    /// A path or a link's text that Linux does not take, so that no runtime could unpack the image.
    #[error("/{}: {package} has {what} of {found} bytes; a container runtime can unpack at most {limit}", shown(.path.as_bytes()))]
    TooLong {
        /// The path.
        path: ImagePath,
        /// The package.
        package: PackageId,
        /// `a path` or `a link's text`.
        what: &'static str,
        /// Its length in bytes.
        found: usize,
        /// The greatest length in bytes.
        limit: usize,
    },
    /// Something other than a folder is where a folder is needed.
    #[error("{path}: {needed_by} needs a folder here, and there is {there}")]
    NotAFolder {
        /// The place.
        path: ImagePath,
        /// A package or a step of the installation.
        needed_by: String,
        /// What is there instead.
        there: String,
    },
    /// A folder is where something else should go.
    #[error("{path}: {needed_by} wants to put a file here, but there is a folder")]
    IsAFolder {
        /// The place.
        path: ImagePath,
        /// A package or a step of the installation.
        needed_by: String,
    },
    /// Something is there already.
    #[error("{path} exists already, and {needed_by} wants to put something else there")]
    Exists {
        /// The place.
        path: ImagePath,
        /// A package or a step of the installation.
        needed_by: String,
    },
    /// Links lead in a circle, or through too many others.
    #[error("{path} leads through too many symbolic links")]
    TooManyLinks {
        /// The path that was followed.
        path: ImagePath,
    },
    /// Two packages bring one path, and nothing says who may.
    #[error("{path} is in both {first} and {second}, with different content")]
    FileConflict {
        /// The path.
        path: ImagePath,
        /// The package that was there first.
        first: PackageId,
        /// The package that comes now.
        second: PackageId,
    },
    /// A package brings a path that the installation itself makes.
    #[error("{path}: {package} brings this file, but it is made by the installation itself")]
    ClashesWithOurs {
        /// The path.
        path: ImagePath,
        /// The package.
        package: PackageId,
    },
    /// A regular file or symbolic link has no checksum record.
    #[error("{path}: {package} gives no checksum for this entry")]
    NoChecksum {
        /// The path.
        path: ImagePath,
        /// The package.
        package: PackageId,
    },
    /// A hard link to something that is not there.
    #[error("{path}: {package} has a hard link to {target}, which is not there")]
    HardLinkTarget {
        /// The link.
        path: ImagePath,
        /// What it should be a name of.
        target: ImagePath,
        /// The package.
        package: PackageId,
    },
    /// Extended attributes on a link that leads nowhere.
    #[error("{path}: {package} has extended attributes for this link, which leads nowhere")]
    DanglingAttributes {
        /// The link.
        path: ImagePath,
        /// The package.
        package: PackageId,
    },
    /// A package's build time is outside the years 0 to 9999.
    #[error("{package}: the build time cannot be used")]
    BuildTime {
        /// The package.
        package: PackageId,
        /// What is wrong with it.
        #[source]
        source: TimestampError,
    },
    /// A key's name would lead out of the folder of keys.
    #[error("key `{}`: expected a plain file name", shown(.name))]
    KeyName {
        /// The name.
        name: String,
    },
    /// A line of an accounts file has another number of fields, or no numbers where ids belong.
    #[error("{path}, line {line}: expected {expected}, found `{}`", shown(.found))]
    AccountsLine {
        /// The file.
        path: ImagePath,
        /// The line, counted from 1.
        line: usize,
        /// What the line should be.
        expected: &'static str,
        /// The line.
        found: Vec<u8>,
    },
    /// A text file that has to be read has a line that is too long.
    #[error("{path}, line {line}: expected at most 65535 bytes")]
    LongLine {
        /// The file.
        path: ImagePath,
        /// The line, counted from 1.
        line: usize,
    },
    /// The home of an account is something other than a folder.
    #[error("{path}: the home of `{}` is not a folder", shown(.user))]
    Home {
        /// The home.
        path: ImagePath,
        /// The account.
        user: Vec<u8>,
    },
    /// `/lib/apk` holds files, so it cannot become a link to the database.
    #[error("{path}: /lib/apk must be empty to become the link to /usr/lib/apk")]
    LibApk {
        /// What is there.
        path: ImagePath,
    },
    /// There is a busybox, but no package that it could come from.
    #[error("/bin/busybox is there, but no package is named busybox or provides it")]
    BusyboxUnknown,
    /// A busybox whose version does not tell which commands it has.
    #[error(
        "{package}: expected a version such as 1.36.1, with which the commands of busybox can be looked up"
    )]
    BusyboxVersion {
        /// The package.
        package: PackageId,
    },
    /// A library for a processor that the loader's cache has no flags for.
    #[error(
        "{path}: the loader's cache can only hold libraries for x86-64 and AArch64, this is for ELF machine {machine}"
    )]
    LibraryMachine {
        /// The library.
        path: ImagePath,
        /// `e_machine`.
        machine: u16,
    },
    /// The loader's configuration includes itself, or far too much.
    #[error("{path}: the includes of the loader's configuration are nested too deeply or too many")]
    LoaderConfig {
        /// The file.
        path: ImagePath,
    },
    /// A file that has to be edited or looked into is larger than such files are.
    #[error("{path}: expected at most {limit} bytes, found {size}")]
    TooLarge {
        /// The file.
        path: ImagePath,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A path of the configuration, or what it links to, is not there.
    #[error("{needed_by}: {path} is not there, or is a link that leads nowhere")]
    NoSuchPath {
        /// The path, as it was written.
        path: String,
        /// A member of the configuration.
        needed_by: String,
    },
    /// A path that would become a name of dots, with which nothing can be done.
    #[error(
        "{needed_by}: `{path}` cannot be made; expected an absolute path without `.` and `..` that names something"
    )]
    Dots {
        /// The path, as it was written.
        path: String,
        /// A member of the configuration.
        needed_by: String,
    },
    /// A folder as a name in itself, so that it would have no end.
    #[error("{needed_by}: with `{path}` a folder would lie in itself, or hold too many names")]
    FolderInItself {
        /// The path, as it was written.
        path: String,
        /// A member of the configuration.
        needed_by: String,
    },
    /// A package says that it has a file with a certificate, and the file is not there.
    #[error("{path}: {package} has this certificate, but it is not in the image")]
    CertificateFile {
        /// The file.
        path: ImagePath,
        /// The package.
        package: PackageId,
    },
    /// Java's bundle of certificates cannot be changed.
    #[error("{path}: the certificates cannot be added to this file")]
    KeyStore {
        /// The file.
        path: ImagePath,
        /// The cause.
        #[source]
        source: KeyStoreError,
    },
    /// The bytes of a packaged file could not be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: ImagePath,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The database of installed packages cannot express a package.
    #[error("the database of installed packages cannot be written")]
    Database {
        /// The cause.
        #[source]
        source: InstalledDbError,
    },
}

impl Explain for InstallError {
    fn code(&self) -> &'static str {
        match self {
            Self::Path { .. } => "rootfs/path",
            Self::TooLong { .. } => "rootfs/too-long",
            Self::NotAFolder { .. } => "rootfs/not-a-folder",
            Self::IsAFolder { .. } => "rootfs/is-a-folder",
            Self::Exists { .. } => "rootfs/exists",
            Self::TooManyLinks { .. } => "rootfs/links",
            Self::FileConflict { .. } => "rootfs/file-conflict",
            Self::ClashesWithOurs { .. } => "rootfs/own-file",
            Self::NoChecksum { .. } => "rootfs/no-checksum",
            Self::HardLinkTarget { .. } => "rootfs/hard-link",
            Self::DanglingAttributes { .. } => "rootfs/attributes",
            Self::BuildTime { .. } => "rootfs/build-time",
            Self::KeyName { .. } => "rootfs/key-name",
            Self::AccountsLine { .. } => "rootfs/accounts",
            Self::LongLine { .. } => "rootfs/long-line",
            Self::Home { .. } => "rootfs/home",
            Self::LibApk { .. } => "rootfs/lib-apk",
            Self::BusyboxUnknown | Self::BusyboxVersion { .. } => "rootfs/busybox",
            Self::LibraryMachine { .. } | Self::LoaderConfig { .. } => "rootfs/loader-cache",
            Self::TooLarge { .. } => "rootfs/too-large",
            Self::NoSuchPath { .. } | Self::Dots { .. } | Self::FolderInItself { .. } => "rootfs/paths",
            Self::CertificateFile { .. } => "rootfs/certificate",
            Self::KeyStore { .. } => "rootfs/key-store",
            Self::Read { .. } => "rootfs/read",
            Self::Database { .. } => "rootfs/database",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::FileConflict { .. }
            | Self::CertificateFile { .. }
            | Self::KeyStore { .. }
            | Self::ClashesWithOurs { .. }
            | Self::NotAFolder { .. }
            | Self::IsAFolder { .. }
            | Self::Exists { .. }
            | Self::LibApk { .. }
            | Self::Home { .. }
            | Self::AccountsLine { .. }
            | Self::BusyboxUnknown
            | Self::BusyboxVersion { .. }
            | Self::LibraryMachine { .. } => Kind::Unsolvable,
            Self::KeyName { .. }
            | Self::NoSuchPath { .. }
            | Self::Dots { .. }
            | Self::FolderInItself { .. } => Kind::Spec,
            Self::Read { .. } => Kind::Host,
            Self::Database { source } => source.kind(),
            _ => Kind::Integrity,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::FileConflict { path, first, second } => vec![
                format!(
                    "remove {} or {} from `contents.packages`, or the package that asks for it",
                    first.name, second.name
                ),
                format!(
                    "if {0} is meant to take {path} over, its package has to say so: `replaces = {1}` in its .PKGINFO, \
                     the bare name without a version",
                    second.name, first.name
                ),
            ],
            Self::ClashesWithOurs { package, .. }
            | Self::NoChecksum { package, .. }
            | Self::TooLong { package, .. } => {
                vec![format!(
                    "remove {} from `contents.packages`, or have it built anew without this file",
                    package.name
                )]
            }
            Self::LibraryMachine { .. } => {
                vec!["leave out the package that brings /etc/ld.so.conf; without it no cache is made".into()]
            }
            Self::NoSuchPath { .. } => vec![
                "mode and owner are those of what a link leads to, so that has to be there; links to busybox are made \
                 after `paths`"
                    .into(),
            ],
            Self::Dots { path, .. } => {
                vec![format!("write it from the root: /{}", path.trim_start_matches(['.', '/']))]
            }
            Self::FolderInItself { .. } => vec!["give another `path` or `source`".into()],
            Self::CertificateFile { package, .. } => {
                vec![format!("leave what {} provides out of `certificates.providers`", package.name)]
            }
            Self::KeyStore { .. } => {
                vec!["use a package that brings a store of format JKS with the password `changeit`".into()]
            }
            Self::KeyName { .. } => vec!["give the key a file name without a slash".into()],
            Self::Database { source } => source.hints(),
            Self::AccountsLine { path, .. } => {
                vec![format!("mend {path} in the package that brings it")]
            }
            _ => Vec::new(),
        }
    }
}
