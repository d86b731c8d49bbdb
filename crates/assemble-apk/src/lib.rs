//! Reads APK packages, indexes, versions, constraints and signatures, and trusts none of them until checked.
//!
//! **In:** bytes of packages and indexes (format versions 2 and 3), keys, what the index promises. **Out:** [`Index`],
//! [`Package`], [`Constraint`], [`Keyring`], the text of the installed database.
//! **Never:** network, host file system, clock; no script of a package is run; no byte of a section is interpreted
//! before the checksum over it was compared.
//!
//! # Why it is the way it is
//! The chain index signature -> index checksum -> control section -> data hash -> files is walked in this order, and
//! each function of this crate takes what the link before it promised. [`open_package`] hashes a section in its packed
//! form before it looks into it, so an attacker who can only alter files reaches the decompressor, but never the
//! archive reader. The archive reader is strict all the same: wherever two programs could read an archive
//! differently, it refuses. Names that would be dangerous later (`..`, line ends, the deletion marks of image layers)
//! do not get past this crate.
//!
//! Both format versions come to the same types. In version 3 the chain is shorter: index signature -> index checksum ->
//! database of the package -> files; the rules are the same.
//!
//! File contents are not copied: they are unpacked once into a [`Spool`](assemble_types::Spool), and every
//! [`EntryKind::File`] is a range of it.
//!
//! Where the words of a package reach the image's bytes, decoding follows apko, quirks included: see [`PackageInfo`]
//! and [`installed_db`].
//!
//! # Example
//! ```
//! use assemble_apk::{Constraint, Version};
//!
//! let constraint = Constraint::parse("busybox>=1.36")?;
//! assert!(constraint.satisfied_by(&Version::parse("1.37.0-r3")?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(
    test,
    allow(
        clippy::format_push_string,
        clippy::needless_raw_string_hashes,
        reason = "tests need not be fast; expect-test writes hashes"
    )
)]

mod adb;
mod apk_order;
mod checksum;
mod constraint;
mod data;
mod discovery;
mod divider;
mod entries;
mod error;
mod flaw;
mod index;
mod index_form;
mod index_text;
mod ini;
pub mod installed_db;
mod keyring;
mod known;
mod lines;
mod members;
mod name;
mod names;
mod oddity;
mod open;
mod package;
mod package_info;
mod package_spec;
mod pax;
mod plain_record;
mod record_lines;
mod record_names;
mod records;
mod sections;
mod seen;
mod subset;
mod table;
mod tarball;
mod text;
mod version;

pub use adb::{AdbError, SignatureError, SignedPackage, open_signed_package};
pub use apk_order::compare_provided_as_apk;
pub use checksum::{Checksum, ChecksumError, ContentSum};
pub use constraint::{Constraint, ConstraintError, Operator, Provide};
pub use data::Extras;
pub use discovery::{AlpineKey, AlpineReleases, DiscoveryError, alpine_branch, jwks_keys, jwks_uri};
pub use divider::{DataFinder, DataFound};
pub use error::{PackageError, PackageProblem, PathProblem, Section};
pub use flaw::Flaw;
pub use index::{Index, IndexError, Record, Trust, read_index, read_index_into};
pub use ini::IniError;
pub use installed_db::{InstalledDbError, InstalledPackage, InstalledRecord};
pub use keyring::{KeyError, Keyring, PublicKey};
pub use known::{KNOWN_REPOSITORIES, KnownRepository, builtin_keys, nearest_known_repository};
pub use name::{NameError, PackageName};
pub use names::{NameNumber, Names, RecordNumber};
pub use oddity::Oddity;
pub use open::{PackageFront, is_version_3, open_front, open_package, open_package_with, own_checksum};
pub use package::{
    ControlEntry, Entry, EntryKind, Expected, Format, Limits, Package, PackageId, SectionMarks,
    SectionRanges, Xattrs,
};
pub use package_info::{PackageInfo, PackageInfoError};
pub use package_spec::PackageSpec;
pub use pax::PaxError;
pub use records::Records;
pub use table::{Beside, open_with_table};
pub use tarball::ArchiveError;
pub use version::{Version, VersionError};
