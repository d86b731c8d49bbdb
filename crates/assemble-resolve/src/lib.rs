//! Chooses the package set for a world and its indexes, or explains why there is none.

use assemble_apk::{Constraint, Index, Record};
use std::sync::Arc;

/// A repository as the solver sees it.
#[derive(Debug, Clone)]
pub struct Repository {
    /// How people name it; also what it is sorted by. Never with credentials.
    pub name: String,
    /// `@tag`.
    pub pin: Option<Box<str>>,
    pub index: Arc<Index>,
}

/// One chosen record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice {
    pub repository: usize,
    pub record: usize,
}

/// A package set that meets every constraint.
#[derive(Debug, Clone)]
pub struct Solution {
    /// Every package as `name=version[@pin]`, sorted as text: what the image's world holds.
    pub locked: Vec<Constraint>,
    /// In order of installation.
    pub packages: Vec<Choice>,
}

impl Solution {
    /// The chosen records, in order of installation, with their repository.
    pub fn records<'a>(
        &'a self,
        repositories: &'a [Repository],
    ) -> impl Iterator<Item = (&'a Repository, &'a Record)> {
        self.packages
            .iter()
            .map(|c| (&repositories[c.repository], &repositories[c.repository].index.records[c.record]))
    }
}
// pub fn solve(world: &[Constraint], repositories: &[Repository]) -> Result<Solution, Unsolvable>
