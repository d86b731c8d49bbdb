//! apko's choice, exactly: a greedy resolution of the world gives the locked list, a second one over that list the order.
//!
//! Nothing is repaired. Where apko's answer depends on the order of a hash map, ours follows the byte order of names.

mod frame;
mod pass;

use assemble_apk::{Constraint, Operator};

pub(crate) use pass::{Pass, Reason};

use crate::error::{Unsolvable, Untagged};
use crate::joint::{agreement, for_arch, missing_elsewhere};
use crate::universe::{Id, Order, Universe};
use crate::{Choice, Solution, Target, world_of};

/// What the first resolution gives for each target, in apko's order. The architectures see each other.
fn first<'u, 'a>(
    worlds: &'a [Vec<Constraint>],
    targets: &[Target<'_>],
    universes: &'u [Universe<'a>],
) -> Result<Vec<(Pass<'u, 'a>, Vec<Id>)>, Unsolvable> {
    if let Some(wanted) = worlds.iter().flatten().find(|c| c.conflict) {
        return Err(Unsolvable::Exclusion { wanted: wanted.clone() });
    }
    let elsewhere = missing_elsewhere(universes);
    let mut all = Vec::with_capacity(targets.len());
    for (((target, universe), world), elsewhere) in targets.iter().zip(universes).zip(worlds).zip(&elsewhere)
    {
        let mut pass = Pass::new(universe, elsewhere);
        let list = pass.run(world).map_err(|error| for_arch(targets, target.arch, error))?;
        all.push((pass, list));
    }
    Ok(all)
}

fn universes<'a>(targets: &[Target<'a>]) -> Vec<Universe<'a>> {
    targets.iter().map(|target| Universe::new(target.repositories, Order::Sorted)).collect()
}

fn worlds(world: &[Constraint], targets: &[Target<'_>]) -> Vec<Vec<Constraint>> {
    targets.iter().map(|target| world_of(world, target)).collect()
}

/// The choices of the first resolution, in order, for each target.
pub(crate) fn shown(world: &[Constraint], targets: &[Target<'_>]) -> Result<Vec<Vec<Choice>>, Unsolvable> {
    let (universes, worlds) = (universes(targets), worlds(world, targets));
    let all = first(&worlds, targets, &universes)?;
    let choices = |(universe, (_, list)): (&Universe<'_>, (Pass<'_, '_>, Vec<Id>))| {
        list.into_iter().map(|id| universe.entry(id).choice).collect()
    };
    Ok(universes.iter().zip(all).map(choices).collect())
}

/// apko's solution for each target.
pub(crate) fn solve(world: &[Constraint], targets: &[Target<'_>]) -> Result<Vec<Solution>, Unsolvable> {
    let (universes, worlds) = (universes(targets), worlds(world, targets));
    let all = first(&worlds, targets, &universes)?;
    let lists: Vec<&[Id]> = all.iter().map(|(_, list)| list.as_slice()).collect();
    agreement(world, targets, &universes, &lists)?;
    let mut solutions = Vec::with_capacity(targets.len());
    for (((target, universe), world), (pass, list)) in targets.iter().zip(&universes).zip(&worlds).zip(all) {
        let locked = lock(universe, world, &list);
        let order = Pass::new(universe, &[]).run(&locked).map_err(|error| {
            let error = untagged(world, universe, &pass, &list).unwrap_or(error);
            for_arch(targets, target.arch, error)
        })?;
        let packages = order.into_iter().map(|id| universe.entry(id).choice).collect();
        solutions.push(Solution { locked, packages });
    }
    Ok(solutions)
}

/// The order in which apko's second resolution brings a set in; nothing if it cannot, or brings in something else.
pub(crate) fn order(universe: &Universe<'_>, locked: &[Constraint], set: &[Id]) -> Option<Vec<Id>> {
    let order = Pass::new(universe, &[]).with_automatic(set).run(locked).ok()?;
    let is = |a: Id, b: Id| {
        let (a, b) = (universe.record(a), universe.record(b));
        a.name == b.name && a.version == b.version
    };
    let mut by_name = set.to_vec();
    by_name.sort_unstable_by_key(|id| universe.own(*id));
    let same = |id: Id| {
        let place = by_name.binary_search_by_key(&universe.own(id), |id| universe.own(*id)).ok()?;
        Some(by_name[place]).filter(|other| is(id, *other))
    };
    // Of two repositories that have the same version, the set says which one is meant.
    let mapped: Option<Vec<Id>> = order.into_iter().map(same).collect();
    mapped.filter(|order| order.len() == set.len())
}

/// What a list has from tagged repositories without a tag of its own. The second resolution cannot find that, as in apko,
/// which so makes sure that nothing comes from there unseen.
fn untagged(
    world: &[Constraint],
    universe: &Universe<'_>,
    pass: &Pass<'_, '_>,
    list: &[Id],
) -> Option<Unsolvable> {
    let elsewhere = |id: Id| {
        let record = universe.record(id);
        let same = |other: &Id| {
            let (pin, other) = (universe.entry(*other).pin, universe.record(*other));
            pin.is_none() && other.name == record.name && other.version == record.version
        };
        universe.holders(universe.own(id)).iter().any(same)
    };
    let untagged = list.iter().filter_map(|&id| {
        let tag = universe.entry(id).pin?;
        let asked = pin_of(world, universe.record(id).name.as_str()).is_some();
        (!asked && !elsewhere(id)).then(|| Untagged {
            package: universe.package(id),
            tag: tag.to_owned(),
            required_by: pass.chain_to(id),
        })
    });
    let untagged: Vec<_> = untagged.collect();
    (!untagged.is_empty()).then_some(Unsolvable::Untagged(untagged))
}

/// Every package as `name=version`, with the tag that was typed for this name, sorted as text.
pub(crate) fn lock(universe: &Universe<'_>, world: &[Constraint], list: &[Id]) -> Vec<Constraint> {
    let exact = |id: &Id| {
        let record = universe.record(*id);
        Constraint {
            name: record.name.clone(),
            operator: Operator::Equal,
            version: Some(record.version.clone()),
            pin: pin_of(world, record.name.as_str()).map(Into::into),
            conflict: false,
        }
    };
    let mut locked: Vec<Constraint> = list.iter().map(exact).collect();
    locked.sort_by_cached_key(ToString::to_string);
    locked
}

/// The tag that was typed for a name.
fn pin_of<'w>(world: &'w [Constraint], name: &str) -> Option<&'w str> {
    world.iter().find(|c| !c.conflict && c.pin.is_some() && c.name.as_str() == name)?.pin.as_deref()
}
