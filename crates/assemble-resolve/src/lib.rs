//! Chooses the package set for a world and its indexes, or explains why there is none.
//!
//! **In:** the world (what the user wants installed) and the indexes of all repositories. **Out:** the exact list, the
//! order of installation, or an error that names who needs what.
//! **Never:** packages themselves, files, the network. The result depends on nothing but its input.
//!
//! # Why it is the way it is
//! The order of installation decides bytes of the image, so the choice follows apko step by step: a greedy resolution of the
//! world gives the locked list, a second one over that list gives the order. Greedy choices can be wrong. An
//! independent [`check`] looks at each result, and where it finds a broken rule, records that broke it are taken out, one
//! after the other, until a set holds or a counted number of tries is used up. So a set that apko gets right is apko's, and
//! one that apko gets wrong is never built.
//!
//! Where apko's answer depends on the order of a hash map, ours follows the byte order of names. The world may hold
//! exclusions (`!name`), which apko refuses.

mod check;
mod error;
mod explain;
mod frame;
mod pass;
mod search;
mod universe;

use std::sync::Arc;

use assemble_apk::{Constraint, Index, Record};
use assemble_types::Arch;

pub use check::{Violation, check};
pub use error::{Chain, Conflict, Mismatch, Missing, Unsolvable, Untagged};

/// A repository as the solver sees it.
#[derive(Debug, Clone)]
pub struct Repository {
    /// How people name it; also what it is sorted by. Never with credentials.
    pub name: String,
    /// `@tag`.
    pub pin: Option<Box<str>>,
    /// Its records for the architecture in question.
    pub index: Arc<Index>,
}

/// One chosen record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice {
    /// Which of the repositories that the solver was given.
    pub repository: usize,
    /// Which record of its index.
    pub record: usize,
}

/// A package set that meets every constraint.
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
    let solve_one = |target: &Target<'_>| match policy {
        Policy::Apk | Policy::Apko => search::search(&world, target.repositories),
    };
    targets.iter().map(solve_one).collect()
}

/// Only the first of the two resolutions, unchecked: the packages in the order in which apko shows (but does not install)
/// them. Needed where a list must be compared with apko's; images are built from [`solve`].
///
/// # Errors
/// As [`solve`].
pub fn resolve_once(world: &[Constraint], repositories: &[Repository]) -> Result<Vec<Choice>, Unsolvable> {
    let universe = universe::Universe::new(repositories);
    let list = pass::Pass::new(&universe, &[]).run(world)?;
    Ok(list.into_iter().map(|id| universe.entry(id).choice).collect())
}
