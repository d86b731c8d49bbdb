//! Choosing again without moving what need not move.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc as Shared;

use assemble_apk::{Checksum, Constraint, Index, PackageName, Version};
use assemble_resolve::{Policy, Repository, Solution, Target, Unsolvable, solve};
use assemble_spec::lock::Lock;
use assemble_types::{Arch, Platform};

/// The packages that stay as they are, if there is a package set with them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keep(BTreeMap<Arch, BTreeMap<PackageName, (Version, Checksum)>>);

impl Keep {
    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.values().all(BTreeMap::is_empty)
    }

    /// Everything that a lock holds but these.
    pub(crate) fn of(lock: &Lock, but: &BTreeSet<PackageName>) -> Self {
        let image = |image: &assemble_spec::lock::LockedImage| {
            let kept = image.packages.iter().filter(|package| !but.contains(&package.name));
            kept.map(|p| (p.name.clone(), (p.version.clone(), p.hashes.checksum()))).collect()
        };
        Self(lock.images.iter().map(|locked| (locked.arch, image(locked))).collect())
    }

    /// Also holds a package at a version.
    pub(crate) fn hold(&mut self, arch: Arch, name: PackageName, version: Version, checksum: Checksum) {
        self.0.entry(arch).or_default().insert(name, (version, checksum));
    }

    fn names(&self) -> BTreeSet<PackageName> {
        self.0.values().flat_map(BTreeMap::keys).cloned().collect()
    }
}

/// A package set, and what had to move for it.
#[derive(Debug)]
pub(crate) struct Kept {
    /// One solution a target.
    pub(crate) solutions: Vec<Solution>,
    /// What the solutions' choices point into: the repositories without the records that were kept out.
    pub(crate) repositories: Vec<Vec<Repository>>,
    /// Names whose packages could not stay, in order.
    pub(crate) released: Vec<PackageName>,
}

/// Solutions, and the repositories that they point into.
type Solved = (Vec<Solution>, Vec<Vec<Repository>>);

/// A problem to be solved with some names held.
struct Problem<'a> {
    world: &'a [Constraint],
    policy: Policy,
    platforms: &'a [Platform],
    repositories: &'a [Vec<Repository>],
    keep: &'a Keep,
}

/// Solves a world with as much as possible of `keep` in place.
///
/// Whatever has to move is let go as little as a search by halves finds: what is let go first is what a free choice
/// moves, and each half of it that can be held after all is held again.
pub(crate) fn solve_keeping(
    world: &[Constraint],
    policy: Policy,
    platforms: &[Platform],
    repositories: &[Vec<Repository>],
    keep: &Keep,
) -> Result<Kept, Unsolvable> {
    let problem = Problem { world, policy, platforms, repositories, keep };
    let all = keep.names();
    if let Ok((solutions, repositories)) = problem.solve(&all) {
        return Ok(Kept { solutions, repositories, released: Vec::new() });
    }
    let (free, all_repositories) = problem.solve(&BTreeSet::new())?;
    let moved = problem.moved(&free, &all_repositories);
    let mut held: BTreeSet<PackageName> = all.difference(&moved).cloned().collect();
    let Ok(mut best) = problem.solve(&held) else {
        // The search gave up where a free one did not.
        let released = moved.into_iter().collect();
        return Ok(Kept { solutions: free, repositories: all_repositories, released });
    };
    let mut open = vec![moved.into_iter().collect::<Vec<_>>()];
    let mut released = BTreeSet::new();
    while let Some(names) = open.pop() {
        let tried: BTreeSet<PackageName> = held.iter().chain(&names).cloned().collect();
        match problem.solve(&tried) {
            Ok(found) => (held, best) = (tried, found),
            Err(_) if names.len() > 1 => {
                let (first, second) = names.split_at(names.len() / 2);
                open.extend([second.to_vec(), first.to_vec()]);
            }
            Err(_) => released.extend(names),
        }
    }
    Ok(Kept { solutions: best.0, repositories: best.1, released: released.into_iter().collect() })
}

impl Problem<'_> {
    fn solve(&self, held: &BTreeSet<PackageName>) -> Result<Solved, Unsolvable> {
        let none = BTreeMap::new();
        let filtered: Vec<Vec<Repository>> = self
            .platforms
            .iter()
            .zip(self.repositories)
            .map(|(platform, repositories)| {
                filter(repositories, self.keep.0.get(&platform.arch).unwrap_or(&none), held)
            })
            .collect();
        let targets: Vec<Target<'_>> = self
            .platforms
            .iter()
            .zip(&filtered)
            .map(|(platform, repositories)| Target { arch: platform.arch, repositories })
            .collect();
        let solutions = solve(self.world, &targets, self.policy)?;
        Ok((solutions, filtered))
    }

    /// The kept names that a free choice takes another package for.
    fn moved(&self, solutions: &[Solution], repositories: &[Vec<Repository>]) -> BTreeSet<PackageName> {
        let mut moved = BTreeSet::new();
        for ((platform, solution), repositories) in self.platforms.iter().zip(solutions).zip(repositories) {
            let Some(kept) = self.keep.0.get(&platform.arch) else { continue };
            let chosen: BTreeMap<_, _> = solution
                .records(repositories)
                .map(|(_, record)| (&record.name, (&record.version, record.checksum)))
                .collect();
            for (name, (version, checksum)) in kept {
                if chosen.get(name) != Some(&(version, Some(*checksum))) {
                    moved.insert(name.clone());
                }
            }
        }
        moved
    }
}

/// The repositories without other packages of the held names. A name whose package no repository lists any more is not
/// held: it has to move.
fn filter(
    repositories: &[Repository],
    kept: &BTreeMap<PackageName, (Version, Checksum)>,
    held: &BTreeSet<PackageName>,
) -> Vec<Repository> {
    let is_kept = |record: &assemble_apk::Record| {
        kept.get(&record.name)
            .is_some_and(|(version, sum)| record.version == *version && record.checksum == Some(*sum))
    };
    let is_listed = |name: &&PackageName| {
        let named = |repository: &Repository| repository.index.records.named(name.as_str()).any(is_kept);
        repositories.iter().any(named)
    };
    let listed: BTreeSet<PackageName> = held.iter().filter(is_listed).cloned().collect();
    if listed.is_empty() {
        return repositories.to_vec();
    }
    let without = |repository: &Repository| {
        // What is in the image stays there, whatever a lock says.
        if repository.installed {
            return repository.clone();
        }
        let records = &repository.index.records;
        let named = listed.iter().flat_map(|name| records.numbers_of(name.as_str()));
        let gone =
            named.filter(|number| records.get(*number).is_none_or(|record| !is_kept(record))).collect();
        let index = Index { records: records.without(&gone), ..(*repository.index).clone() };
        Repository { index: Shared::new(index), ..repository.clone() }
    };
    repositories.iter().map(without).collect()
}
