//! Chooses the package set for a world and its indexes, or explains why there is none.
//!
//! **In:** the world (what the user wants installed) and the indexes of all repositories. **Out:** the exact list, the
//! order of installation, or an error that names who needs what.
//! **Never:** packages themselves, files, the network. The result depends on nothing but its input.
//!
//! # Why it is the way it is
//! There are two choices that users know: apk's and apko's. [`Policy::Apko`] follows apko step by step, and repairs
//! nothing. [`Policy::Apk`] gives the set that `apk add` would install; where apk fails, or gives a set in which something
//! does not hold, a complete search looks for another one. `docs/resolver.md` tells how each choice is made.
//!
//! The order of installation decides bytes of the image. It is that of apko in both cases, so that the same set gives the
//! same bytes. An independent [`check`] says what is wrong with a set.

mod apk;
mod apko;
mod check;
mod complete;
mod error;
mod explain;
mod graph;
mod joint;
mod order;
mod tables;
mod universe;

use std::sync::Arc;

use assemble_apk::{Constraint, Index, Operator, Record};
use assemble_types::Arch;

pub use check::{Violation, check};
pub use error::{
    Ambiguous, Chain, Conflict, Disagreement, Holder, Mismatch, Missing, NotInstallable, Unsolvable, Untagged,
};

pub use graph::{Edge, Graph, Path, graph};

/// A repository as the solver sees it.
#[derive(Debug, Clone)]
pub struct Repository {
    /// How people name it; also what it is sorted by. Never with credentials.
    pub name: String,
    /// `@tag`.
    pub pin: Option<Box<str>>,
    /// Its records for the architecture in question.
    pub index: Arc<Index>,
    /// Whether its records are in the image already, since they are those of the image that is built upon: then each
    /// has to be in the set, as if the world asked for it.
    pub installed: bool,
}

/// One chosen record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice {
    /// Which of the repositories that the solver was given.
    pub repository: usize,
    /// Which record of its index.
    pub record: usize,
}

/// A package set.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// One architecture for which a world is solved.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The architecture.
    pub arch: Arch,
    /// All repositories, with their index for this architecture.
    pub repositories: &'a [Repository],
}

/// What has to be in a target's set: the world, and all that is there already.
pub(crate) fn world_of(world: &[Constraint], target: &Target<'_>) -> Vec<Constraint> {
    let installed = target.repositories.iter().filter(|repository| repository.installed);
    let exact = |record: &Record| Constraint {
        name: record.name.clone(),
        operator: Operator::Equal,
        version: Some(record.version.clone()),
        pin: None,
        conflict: false,
    };
    let there = installed.flat_map(|repository| repository.index.records.iter().map(exact));
    let mut all: Vec<Constraint> = world.iter().cloned().chain(there).collect();
    if all.len() > world.len() {
        all.sort_by_cached_key(ToString::to_string);
        all.dedup();
    }
    all
}

/// Whose choice is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// That of `apk add` in an empty root, then any set that holds.
    Apk,
    /// That of apko, even if it breaks a rule: [`check`] tells.
    Apko,
}

/// The package sets for a world, one for each target, in their order.
///
/// # Errors
/// There is no set, or none was found: see [`Unsolvable`].
pub fn solve(
    world: &[Constraint],
    targets: &[Target<'_>],
    policy: Policy,
) -> Result<Vec<Solution>, Unsolvable> {
    // Sorted, so that not even the choice of what an error tells depends on the order.
    let mut world = world.to_vec();
    world.sort_by_cached_key(ToString::to_string);
    world.dedup();
    match policy {
        Policy::Apk => apk::solve(&world, targets),
        Policy::Apko => apko::solve(&world, targets),
    }
}

/// Only the first of apko's two resolutions, for each target: the packages in the order in which apko shows (but does not
/// install) them. Images are built from [`solve`].
///
/// # Errors
/// As [`solve`] with [`Policy::Apko`].
pub fn resolve_once(world: &[Constraint], targets: &[Target<'_>]) -> Result<Vec<Vec<Choice>>, Unsolvable> {
    let mut world = world.to_vec();
    world.sort_by_cached_key(ToString::to_string);
    world.dedup();
    apko::shown(&world, targets)
}
