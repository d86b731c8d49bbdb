//! What fetching cost.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a [`crate::Fetcher`] did so far. Local files are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Documents and contents whose bytes came from the cache.
    pub hits: u64,
    /// Documents and contents that were fetched.
    pub misses: u64,
    /// Bytes of bodies that came over the network, those of broken transfers included.
    pub bytes_fetched: u64,
    /// Requests sent, redirections and repetitions included.
    pub requests: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counting {
    hits: AtomicU64,
    misses: AtomicU64,
    bytes: AtomicU64,
    requests: AtomicU64,
}

impl Counting {
    pub(crate) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fetched(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Counters {
        Counters {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            bytes_fetched: self.bytes.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
        }
    }
}
