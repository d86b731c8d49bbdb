//! What is remembered of earlier pushes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Remembers under which tags images were put into repositories. It decides which question a push asks first, and
/// nothing else: the registry may have lost the image since, so it is asked in any case.
pub trait PushMemory: Send + Sync + fmt::Debug {
    /// The tags under which the image of this place (`registry/repository@digest`) is known to have been named; nothing
    /// if the place is not known.
    fn recall(&self, place: &str) -> Option<BTreeSet<String>>;

    /// From now on the image of this place is known under these tags.
    fn keep(&self, place: &str, tags: &BTreeSet<String>);
}

/// Remembers as long as it lives.
#[derive(Debug, Default)]
pub struct RunMemory(Mutex<BTreeMap<String, BTreeSet<String>>>);

impl PushMemory for RunMemory {
    fn recall(&self, place: &str) -> Option<BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }

    fn keep(&self, place: &str, tags: &BTreeSet<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(place.to_owned(), tags.clone());
    }
}
