//! What a build was decided on: lock files, ours and apko's.
//!
//! **In:** the bytes of a lock file. **Out:** a [`Lock`] or an [`apko::ApkoLock`] in which every value is checked, or
//! [`Diagnostics`](crate::Diagnostics) that point at the line; and the way back to bytes.
//!
//! # Why it is the way it is
//! A lock stands in for the index of a repository, so it is trusted as far as its file is, and read as distrustfully as
//! an index. It is JSON for the sake of other tools, with one package a line, sorted by architecture and name, for the
//! sake of whoever reviews a change of it. The order of installation is a list of names of its own: were it a number at
//! each package, one new package would change every line behind it. No time of writing is in it, so the same decision
//! has the same bytes.

pub mod apko;
mod decode;
mod difference;
mod json;
mod model;
mod read;
mod write;

pub use difference::{Change, Difference, Outline, OutlinePackage};
pub use model::{
    Learnt, Lock, LockedHashes, LockedImage, LockedKey, LockedPackage, LockedRepository, LockedSpec,
    MadeWith, Section,
};
pub use read::parse_lock;

/// The version of the format that is written, and the only one that is read.
pub const FORMAT: u64 = 1;

/// Larger than any lock: a package takes some 600 bytes, and an image has a few hundred.
pub const MAX_LOCK: usize = 32 << 20;
