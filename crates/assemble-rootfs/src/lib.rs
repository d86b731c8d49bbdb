//! Places packages, base files, the local binary and the spec's files into one in-memory tree, and checks that it can
//! start.
//!
//! **In:** opened packages, file mappings, accounts. **Out:** a finished [`Tree`] and what is worth reporting.
//! **Never:** touches the host's disk, writes tar, asks the clock.
//!
//! # Why it is the way it is
//! Each step puts names into the same [`Tree`] under its own [`Part`], lowest first: [`install`], [`place_base`],
//! [`place`]. A name that is hidden stays known, so every part's layer is what it would be without those above.
//! Whether the image starts can only be told of the whole, so [`check_start`] looks at the merged tree, by the rules of
//! the runtime, the kernel and the dynamic loaders, and only reports what is certain.

mod apko_config;
mod base;
mod der;
mod install;
pub mod layering;
mod overlay;
mod pem;
mod shown;
mod start;
mod tree;
pub mod verbatim;

pub use apko_config::{
    ApkoAccounts, ApkoBaseImage, ApkoCertificates, ApkoConfig, ApkoContents, ApkoEntrypoint, ApkoGroup,
    ApkoLayering, ApkoNamed, ApkoPath, ApkoUser,
};
pub use base::{AdditionalCertificate, BaseError, BaseOptions, BaseReport, data_versions, place_base};
pub use install::{
    Accounts, BaseDb, BaseDbError, Certificate, DatabaseRecords, InstallError, InstallInput, InstallReport,
    Installed, KeyStoreError, MutationError, Mutations, NamedCertificate, NewGroup, NewUser, PathKind,
    PathMutation, PemProblem, RuntimeKey, ScriptNotRun, Service, Unfit, install,
};
pub use overlay::{OverlayError, Placement, PlacementKind, Replaced, place};
pub use start::{
    ElfError, ElfIdentity, FolderSource, Language, LibraryFault, Searched, ShebangFault, StartProblem,
    StartRequest, StartUser, check_start, elf_platform, start_notes,
};
pub use tree::{
    Body, DirectoryEntry, Meta, Node, NodeId, PackageIndex, Part, Resolved, Tree, TreeEntry, TreeError,
    Xattrs,
};
