//! Looks for another way where the greedy choice does not hold together.

use std::collections::BTreeSet;

use assemble_apk::{Constraint, Operator};

use crate::check::{Violation, check};
use crate::error::{Chain, Conflict, Unsolvable, Untagged};
use crate::explain::shown;
use crate::pass::Pass;
use crate::universe::{Id, Universe};
use crate::{Choice, Repository, Solution};

/// How many package sets are tried before giving up. Each try costs as much as a whole resolution.
const STEPS: usize = 200;

/// The greedy solution if it holds; else the first that holds after taking out, one by one, records that broke it.
pub(crate) fn search(world: &[Constraint], repositories: &[Repository]) -> Result<Solution, Unsolvable> {
    let universe = Universe::new(repositories);
    let search = Search { universe: &universe, world, repositories };
    let (first, violation) = match search.attempt(&[]) {
        Attempt::Holds(solution) => return Ok(solution),
        Attempt::Fails(error) => return Err(error),
        Attempt::Breaks(violation) => (describe(&violation), violation),
    };
    let mut seen = BTreeSet::new();
    let mut open = Vec::new();
    search.branch(&violation, &[], &mut seen, &mut open);
    let mut steps = 1;
    while let Some(without) = open.pop() {
        if steps == STEPS {
            return Err(Unsolvable::GivenUp { steps, first: Box::new(first) });
        }
        steps += 1;
        match search.attempt(&without) {
            Attempt::Holds(solution) => return Ok(solution),
            Attempt::Fails(error @ Unsolvable::Tangled { .. }) => return Err(error),
            Attempt::Fails(_) => {}
            Attempt::Breaks(violation) => search.branch(&violation, &without, &mut seen, &mut open),
        }
    }
    Err(first)
}

struct Search<'u, 'a> {
    universe: &'u Universe<'a>,
    world: &'a [Constraint],
    repositories: &'a [Repository],
}

/// What came of one greedy resolution.
enum Attempt {
    Holds(Solution),
    /// There is a set, but it breaks a rule.
    Breaks(Violation),
    Fails(Unsolvable),
}

impl Search<'_, '_> {
    /// Two passes, as apko builds: the second one over the exact list that the first one found decides the order.
    fn attempt(&self, without: &[Id]) -> Attempt {
        let mut pass = Pass::new(self.universe, without);
        let first = match pass.run(self.world) {
            Ok(list) => list,
            Err(error) => return Attempt::Fails(error),
        };
        let locked = lock(self.universe, self.world, &first);
        let mut exact = locked.clone();
        exact.extend(self.world.iter().filter(|c| c.conflict).cloned());
        let second = Pass::new(self.universe, without).run(&exact);
        match second {
            Ok(list) => {
                let solution = self.solution(locked, &list);
                match self.check(&solution).into_iter().next() {
                    None => Attempt::Holds(solution),
                    Some(violation) => Attempt::Breaks(violation),
                }
            }
            // The first list may lack what automatic installation needs; the second pass completes that. But where it
            // holds things that do not go together, that is why there is no second one.
            Err(error) => {
                let clash = |violation: &Violation| match violation {
                    Violation::Unmet { holders, .. } => !holders.is_empty(),
                    Violation::Excluded { .. } | Violation::Twice { .. } => true,
                };
                let violations = self.check(&self.solution(locked, &first));
                match violations.into_iter().find(clash) {
                    Some(violation) => Attempt::Breaks(violation),
                    None => Attempt::Fails(self.untagged(&pass, &first).unwrap_or(error)),
                }
            }
        }
    }

    /// What the list has from tagged repositories without a tag of its own. The second pass cannot find that, as in apko,
    /// which so makes sure that nothing comes from there unseen.
    fn untagged(&self, pass: &Pass<'_, '_>, list: &[Id]) -> Option<Unsolvable> {
        let universe = self.universe;
        let elsewhere = |id: Id| {
            let record = universe.record(id);
            let same = |other: Id| {
                let entry = universe.entry(other);
                entry.pin.is_none()
                    && entry.record.name == record.name
                    && entry.record.version == record.version
            };
            universe.holders(record.name.as_str()).any(same)
        };
        let untagged = list.iter().filter_map(|&id| {
            let tag = universe.entry(id).pin?;
            let asked = pin_of(self.world, universe.record(id).name.as_str()).is_some();
            (!asked && !elsewhere(id)).then(|| Untagged {
                package: universe.package(id),
                tag: tag.to_owned(),
                required_by: pass.chain_to(id),
            })
        });
        let untagged: Vec<_> = untagged.collect();
        (!untagged.is_empty()).then_some(Unsolvable::Untagged(untagged))
    }

    fn solution(&self, locked: Vec<Constraint>, list: &[Id]) -> Solution {
        Solution { locked, packages: list.iter().map(|id| self.universe.entry(*id).choice).collect() }
    }

    fn check(&self, solution: &Solution) -> Vec<Violation> {
        check(self.world, solution, self.repositories)
    }

    /// Adds the ways to avoid a violation, so that the most promising is tried next.
    fn branch(
        &self,
        violation: &Violation,
        without: &[Id],
        seen: &mut BTreeSet<Vec<Id>>,
        open: &mut Vec<Vec<Id>>,
    ) {
        for culprit in culprits(violation).into_iter().rev().filter_map(|choice| self.universe.id_of(choice))
        {
            let mut more = without.to_vec();
            more.push(culprit);
            more.sort_unstable();
            if seen.insert(more.clone()) {
                open.push(more);
            }
        }
    }
}

/// Every package as `name=version`, with the tag that was typed for this name, sorted as text.
fn lock(universe: &Universe<'_>, world: &[Constraint], list: &[Id]) -> Vec<Constraint> {
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

/// Whom to do without, the most promising first.
fn culprits(violation: &Violation) -> Vec<Choice> {
    match violation {
        Violation::Unmet { by, holders, .. } => holders.iter().copied().chain(*by).collect(),
        Violation::Excluded { by, excluded, .. } => [*excluded].into_iter().chain(*by).collect(),
        Violation::Twice { choice, .. } => vec![*choice],
    }
}

fn describe(violation: &Violation) -> Unsolvable {
    let alone =
        |package: &assemble_apk::PackageId| Chain { entry: None, packages: vec![package.to_string()] };
    match violation {
        Violation::Excluded { package, constraint, excluded_package, .. } => {
            let whose = if package.is_some() { "the latter" } else { "the list of packages" };
            Unsolvable::Conflict(Box::new(Conflict {
                left: excluded_package.clone(),
                left_by: alone(excluded_package),
                right: package.clone(),
                right_by: package.as_ref().map(alone).unwrap_or_default(),
                rule: format!("{whose} says {}", shown(&constraint.to_string())),
            }))
        }
        Violation::Unmet { package, constraint, .. } => Unsolvable::Unmet {
            wanted: constraint.clone(),
            required_by: package.as_ref().map(alone).unwrap_or_default(),
        },
        Violation::Twice { package, .. } => Unsolvable::Conflict(Box::new(Conflict {
            left: package.clone(),
            left_by: alone(package),
            right: None,
            right_by: Chain::default(),
            rule: "another package of its name is needed, too".to_owned(),
        })),
    }
}
