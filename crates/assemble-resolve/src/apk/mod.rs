//! The choice of `apk add` in an empty root; where apk fails, or its choice does not hold, any set that does.

mod discover;
pub(crate) mod field;
mod greedy;
mod state;

use std::collections::BTreeSet;

use assemble_apk::Constraint;

use crate::check::check;
use crate::error::Unsolvable;
use crate::joint::{agreement, for_arch, missing_elsewhere};
use crate::universe::{Id, Order, Universe};
use crate::{Policy, Repository, Solution, Target, apko, complete, order, world_of};

/// How often architectures that chose different versions are asked again.
const ROUNDS: usize = 32;

/// The solution for each target.
pub(crate) fn solve(world: &[Constraint], targets: &[Target<'_>]) -> Result<Vec<Solution>, Unsolvable> {
    let universes: Vec<Universe<'_>> =
        targets.iter().map(|target| Universe::new(target.repositories, Order::Given)).collect();
    for target in targets {
        tags_are_known(world, target.repositories).map_err(|e| for_arch(targets, target.arch, e))?;
    }
    let worlds: Vec<Vec<Constraint>> = targets.iter().map(|target| world_of(world, target)).collect();
    let lists = choose_all(world, &worlds, targets, &universes)?;
    let finish = |(((target, universe), world), list): (((&Target<'_>, &Universe<'_>), &Vec<_>), Vec<Id>)| {
        solution(world, target.repositories, universe, &list)
    };
    Ok(targets.iter().zip(&universes).zip(&worlds).zip(lists).map(finish).collect())
}

/// A tag without a repository is a mistake, though apko takes it for none.
fn tags_are_known(world: &[Constraint], repositories: &[Repository]) -> Result<(), Unsolvable> {
    let tags: BTreeSet<&str> =
        repositories.iter().filter_map(|repository| repository.pin.as_deref()).collect();
    for wanted in world {
        if let Some(tag) = wanted.pin.as_deref().filter(|tag| !tags.contains(tag)) {
            let known = tags.iter().map(|tag| format!("@{tag}")).collect();
            return Err(Unsolvable::UnknownTag { wanted: wanted.clone(), tag: tag.to_owned(), known });
        }
    }
    Ok(())
}

/// The set for each target, such that versions agree.
fn choose_all(
    world: &[Constraint],
    worlds: &[Vec<Constraint>],
    targets: &[Target<'_>],
    universes: &[Universe<'_>],
) -> Result<Vec<Vec<Id>>, Unsolvable> {
    let choose = |barred: &[Vec<Id>]| -> Result<Vec<Vec<Id>>, Unsolvable> {
        let all = targets.iter().zip(universes).zip(worlds).zip(barred);
        all.map(|(((target, universe), world), barred)| {
            choose(world, target, universe, barred).map_err(|error| for_arch(targets, target.arch, error))
        })
        .collect()
    };
    let agree = |lists: &[Vec<Id>]| {
        let lists: Vec<&[Id]> = lists.iter().map(Vec::as_slice).collect();
        agreement(world, targets, universes, &lists)
    };
    // First as if there was only what all have, so that as much as possible agrees, typed or not.
    let mut barred = missing_elsewhere(universes);
    if let Ok(lists) = choose(&barred)
        && agree(&lists).is_ok()
    {
        return Ok(lists);
    }
    barred.iter_mut().for_each(Vec::clear);
    let mut lists = choose(&barred)?;
    for _ in 0..ROUNDS {
        let Err(disagreement) = agree(&lists) else { return Ok(lists) };
        if !narrow(&disagreement, universes, &lists, &mut barred) {
            return Err(disagreement);
        }
        match choose(&barred) {
            Ok(next) => lists = next,
            Err(_) => return Err(disagreement),
        }
    }
    agree(&lists).map(|()| lists)
}

/// Bars what keeps architectures from agreeing: of what holds a name that was typed, what not all have; if that is
/// nothing, the highest version that one chose. Tells whether anything was barred.
fn narrow(
    disagreement: &Unsolvable,
    universes: &[Universe<'_>],
    lists: &[Vec<Id>],
    barred: &mut [Vec<Id>],
) -> bool {
    let Unsolvable::Disagree(all) = disagreement else { return false };
    let missing = missing_elsewhere(universes);
    let before: usize = barred.iter().map(Vec::len).sum();
    for one in all {
        let holds = |universe: &Universe<'_>, id: Id| {
            universe
                .name(&one.name)
                .is_some_and(|name| universe.own(id) == name || universe.provided(id).contains(&name))
        };
        let mut narrowed = false;
        for ((universe, missing), barred) in universes.iter().zip(&missing).zip(barred.iter_mut()) {
            for &id in missing.iter().filter(|id| holds(universe, **id)) {
                if !barred.contains(&id) {
                    barred.push(id);
                    narrowed = true;
                }
            }
        }
        if narrowed {
            continue;
        }
        let chosen = universes.iter().zip(lists).flat_map(|(universe, list)| {
            list.iter().filter(|id| holds(universe, **id)).map(|id| universe.record(*id))
        });
        let Some(highest) = chosen.max_by(|a, b| a.version.compare_as_apk(&b.version)) else { continue };
        for (universe, barred) in universes.iter().zip(barred.iter_mut()) {
            let same = |id: &&Id| {
                let record = universe.record(**id);
                record.name == highest.name && record.version == highest.version
            };
            let holders = universe.holders_of(highest.name.as_str());
            let fresh: Vec<Id> =
                holders.iter().filter(same).filter(|id| !barred.contains(id)).copied().collect();
            barred.extend(fresh);
        }
    }
    barred.iter().map(Vec::len).sum::<usize>() > before
}

fn choose(
    world: &[Constraint],
    target: &Target<'_>,
    universe: &Universe<'_>,
    barred: &[Id],
) -> Result<Vec<Id>, Unsolvable> {
    let field = discover::discover(universe, world, target.arch, barred);
    let records = |list: Vec<field::P>| list.into_iter().map(|package| field.package(package).id).collect();
    if let Some(list) = greedy::greedy(&field) {
        let list: Vec<Id> = records(list);
        let packages = list.iter().map(|id| universe.entry(*id).choice).collect();
        let solution = Solution { locked: Vec::new(), packages };
        if check(world, &solution, target.repositories, Policy::Apk).is_empty() {
            return Ok(list);
        }
    }
    complete::search(&field).map(records)
}

fn solution(
    world: &[Constraint],
    repositories: &[Repository],
    universe: &Universe<'_>,
    set: &[Id],
) -> Solution {
    let locked = apko::lock(universe, world, set);
    let order = apko::order(universe, &locked, set).unwrap_or_else(|| order::own_order(universe, set));
    let packages = order.into_iter().map(|id| universe.entry(id).choice).collect();
    let solution = Solution { locked, packages };
    debug_assert_eq!(check(world, &solution, repositories, Policy::Apk), []);
    solution
}
