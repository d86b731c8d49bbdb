//! What was pushed where, kept in the cache from one run to the next.

use std::collections::BTreeSet;

use assemble_fetch::{RecordKind, Store};
use assemble_registry::PushMemory;
use assemble_types::Digest;

/// Remembers pushes in the cache. What the cache does not take is not remembered, which costs a question or two.
#[derive(Debug)]
pub struct StoreMemory(Store);

impl StoreMemory {
    /// In this cache.
    pub fn new(store: Store) -> Self {
        Self(store)
    }
}

impl PushMemory for StoreMemory {
    fn recall(&self, place: &str) -> Option<BTreeSet<String>> {
        let bytes = self.0.record(RecordKind::Pushed, &Digest::of(place.as_bytes()))?;
        let text = String::from_utf8(bytes).ok()?;
        let mut lines = text.lines();
        (lines.next() == Some(place)).then(|| lines.map(str::to_owned).collect())
    }

    fn keep(&self, place: &str, tags: &BTreeSet<String>) {
        let lines = std::iter::once(place).chain(tags.iter().map(String::as_str));
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        let _ = self.0.keep_record(RecordKind::Pushed, &Digest::of(place.as_bytes()), text.as_bytes());
    }
}
