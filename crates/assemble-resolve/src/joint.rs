//! Several architectures: what one has and another lacks, and whether they chose the same versions.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

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
    let mut versions = Versions::default();
    let keys: Vec<Vec<(&str, u32)>> = universes
        .iter()
        .map(|universe| {
            let mut keys = Vec::with_capacity(universe.len());
            universe.identities(|name, version| keys.push((name, versions.number(version))));
            keys
        })
        .collect();
    let have: Vec<HashSet<(&str, u32)>> = keys.iter().map(|keys| keys.iter().copied().collect()).collect();
    let missing = |(place, keys): (usize, &Vec<(&str, u32)>)| {
        let everywhere =
            |key| have.iter().enumerate().all(|(other, have)| other == place || have.contains(key));
        (0..).zip(keys).filter(|(_, key)| !everywhere(*key)).map(|(id, _)| id).collect()
    };
    keys.iter().enumerate().map(missing).collect()
}

/// Versions as they occur, each with a number: many records have the same one, and most are not in memory otherwise.
#[derive(Default)]
struct Versions(HashMap<Box<str>, u32>);

impl Versions {
    fn number(&mut self, version: &str) -> u32 {
        if let Some(number) = self.0.get(version) {
            return *number;
        }
        let number = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.insert(version.into(), number);
        number
    }
}

/// Name and version of a record.
fn key<'a>(universe: &Universe<'a>, id: Id) -> (&'a str, &'a str) {
    let record = universe.record(id);
    (record.name.as_str(), record.version.as_str())
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
