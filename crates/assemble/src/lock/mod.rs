//! Decisions that were made once and stay: locks beside specs, and folders that keep what they name.
//!
//! # Why it is the way it is
//! A lock takes the place of keys, indexes and the resolution, and of nothing else: what comes out of either is a list
//! of [`Selection`](crate::choose::Selection)s, so the rest of a build does not know which it was, and the image is the
//! same. A lock that no longer fits its spec is no reason to choose everything anew: what it holds is kept as long as
//! there is a package set with it, and let go one by one where there is none.

mod apko;
mod basis;
mod digest;
mod draft;
mod error;
mod keep;
mod recall;
mod relock;
mod vendor;

use crate::error::{OwnError, Result};
use crate::plan::BuildOptions;

pub use draft::PendingLock;
pub use error::LockError;
pub use relock::{Held, LockReport, Moves, Relock, lock};
pub use vendor::{VendorReport, vendor};

pub(crate) use apko::{apko_lock_digest, from_apko};
pub(crate) use basis::{Basis, Beside, load};
pub(crate) use digest::spec_digest;
pub(crate) use draft::{Draft, hashes_of};
pub(crate) use error::spec_beside;
pub(crate) use keep::{Keep, Kept, solve_keeping};
pub(crate) use recall::{check_start, mend, recall};
pub(crate) use vendor::Vendored;

/// Refuses a lock of apko where a command would not look at it.
pub(crate) fn refuse_apko_lock(options: &BuildOptions, what: &str) -> Result<()> {
    match &options.apko_lock {
        Some(path) => Err(OwnError::Usage(format!(
            "--lockfile {}: {what}; build, digest, verify and export take it",
            path.display()
        ))
        .into()),
        None => Ok(()),
    }
}

/// How a build uses locks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LockUse {
    /// Not at all: packages are chosen from the indexes.
    #[default]
    Ignore,
    /// The lock beside the spec is taken, if there is one; one that does not fit is made to fit.
    Beside,
    /// There has to be a lock beside the spec, and it has to fit.
    Locked,
}
