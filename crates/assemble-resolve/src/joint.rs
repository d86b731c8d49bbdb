//! Several architectures: what one has and another lacks, and whether they chose the same versions.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use assemble_apk::Constraint;
use assemble_types::Arch;

use crate::Target;
use crate::error::{Disagreement, Unsolvable};
use crate::universe::{Id, Universe};

/// For each architecture, the records that another one does not have in this version.
pub(crate) fn missing_elsewhere(universes: &[Universe<'_>]) -> Vec<Vec<Id>> {
    if universes.len() < 2 {
        return vec![Vec::new(); universes.len()];
    }
    let have: Vec<HashSet<(&str, &str)>> =
        universes.iter().map(|universe| universe.ids().map(|id| key(universe, id)).collect()).collect();
    let missing = |(place, universe): (usize, &Universe<'_>)| {
        let everywhere = |id: Id| {
            let key = key(universe, id);
            have.iter().enumerate().all(|(other, have)| other == place || have.contains(&key))
        };
        universe.ids().filter(|id| !everywhere(*id)).collect()
    };
    universes.iter().enumerate().map(missing).collect()
}

fn key<'a>(universe: &Universe<'a>, id: Id) -> (&'a str, &'a str) {
    universe.identity(id)
}

/// Names the architecture if there are several.
pub(crate) fn for_arch(targets: &[Target<'_>], arch: Arch, error: Unsolvable) -> Unsolvable {
    if targets.len() < 2 { error } else { Unsolvable::For { arch, reason: Box::new(error) } }
}

/// Whether every name that was typed stands for something that all architectures chose in the same version.
///
/// # Errors
/// Some do not; tells which.
pub(crate) fn agreement(
    world: &[Constraint],
    targets: &[Target<'_>],
    universes: &[Universe<'_>],
    lists: &[&[Id]],
) -> Result<(), Unsolvable> {
    if targets.len() < 2 {
        return Ok(());
    }
    let sets: Vec<BTreeSet<(&str, &str)>> = universes
        .iter()
        .zip(lists)
        .map(|(universe, list)| list.iter().map(|id| key(universe, *id)).collect())
        .collect();
    let mut common: HashSet<&str> = HashSet::new();
    if let (Some(universe), Some(list)) = (universes.first(), lists.first()) {
        for &id in *list {
            if sets.iter().all(|set| set.contains(&key(universe, id))) {
                common.insert(universe.record(id).name.as_str());
                common.extend(universe.record(id).provides.iter().map(|p| p.name.as_str()));
            }
        }
    }
    let mut names: Vec<&str> = world.iter().filter(|c| !c.conflict).map(|c| c.name.as_str()).collect();
    names.retain(|name| !common.contains(name));
    names.dedup();
    if names.is_empty() {
        return Ok(());
    }
    let differ = names.into_iter().map(|name| {
        let mut choices: BTreeMap<String, Vec<Arch>> = BTreeMap::new();
        for ((target, universe), list) in targets.iter().zip(universes).zip(lists) {
            let Some(outer) = universe.name(name) else { continue };
            let holds = |id: &&Id| universe.own(**id) == outer || universe.provided(**id).contains(&outer);
            for id in list.iter().filter(holds) {
                choices.entry(universe.package(*id).to_string()).or_default().push(target.arch);
            }
        }
        Disagreement { name: name.to_owned(), choices: choices.into_iter().collect() }
    });
    Err(Unsolvable::Disagree(differ.collect()))
}
