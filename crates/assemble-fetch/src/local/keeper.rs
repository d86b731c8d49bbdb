//! What files of a cache share: whether the cache is thrown away at the end, and what was lost of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

/// Counts the files of a cache that somebody removed or cut while they were in use. Whoever fails meanwhile may begin again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Losses(Arc<AtomicU64>);

impl Losses {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn one_more(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Held by every file of a folder of the cache that can still be read.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    /// Removes a throw-away folder when the last of its files goes.
    _dir: Option<TempDir>,
    losses: Losses,
}

impl Keeper {
    pub(crate) fn new(dir: Option<TempDir>, losses: &Losses) -> Arc<Self> {
        Arc::new(Self { _dir: dir, losses: losses.clone() })
    }

    pub(super) fn lost(&self) {
        self.losses.one_more();
    }
}
