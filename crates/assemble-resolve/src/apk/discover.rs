//! Finds what a world can reach, in the order in which apk comes by it: that order decides later.

use std::collections::HashMap;

use assemble_apk::{Constraint, Version};
use assemble_types::Arch;

use super::field::{
    Field, N, Name, Need, P, Package, Provider, TagNames, conditions_are_readable, is_installable,
};
use crate::universe::{Id, NameId, Universe};

/// Where the walk stands at one name.
#[derive(Debug)]
struct Step {
    name: N,
    phase: Phase,
    /// Which provider of the name it is at.
    provider: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Depends,
    Waiting,
    Provides,
    InstallIf,
}

/// How far the lists of a package were walked. What is in front of it was discovered, whoever asked.
#[derive(Debug, Clone, Copy, Default)]
struct Walked {
    depends: usize,
    names: usize,
    provides: usize,
    install_if: usize,
}

const NONE: u32 = u32::MAX;

struct Discovery<'f, 'u, 'a> {
    universe: &'u Universe<'a>,
    out: &'f mut Field<'u, 'a>,
    arch: Arch,
    /// Numbers of the field's names, by those of the universe, and by text where that knows none.
    by_name: Vec<N>,
    by_text: HashMap<&'a str, N>,
    /// Of each name of the field: that of the universe.
    outer: Vec<Option<NameId>>,
    opened: Vec<bool>,
    /// Numbers of the field's packages, by record.
    by_id: Vec<P>,
    walked: Vec<Walked>,
    waited: Vec<usize>,
    order: u32,
}

/// What `world` can reach. Records in `barred` cannot be installed.
pub(crate) fn discover<'u, 'a>(
    universe: &'u Universe<'a>,
    world: &'a [Constraint],
    arch: Arch,
    barred: &[Id],
) -> Field<'u, 'a> {
    let tags = TagNames::new(universe.pins().collect());
    let mut field = Field { universe, tags, names: Vec::new(), packages: Vec::new(), world: Vec::new() };
    let mut discovery = Discovery {
        universe,
        out: &mut field,
        arch,
        by_name: vec![NONE; universe.name_count()],
        by_text: HashMap::new(),
        outer: Vec::new(),
        opened: Vec::new(),
        by_id: vec![NONE; universe.len()],
        walked: Vec::new(),
        waited: Vec::new(),
        order: 0,
    };
    discovery.run(world);
    for &id in barred {
        let package = discovery.by_id[id as usize];
        if package != NONE {
            discovery.out.packages[package as usize].installable = false;
        }
    }
    field.link();
    field
}

/// The first record with the checksum of this one.
fn first_of(universe: &Universe<'_>, id: Id) -> Id {
    universe.same_sum(id).next().unwrap_or(id)
}

impl<'a> Discovery<'_, '_, 'a> {
    /// Whether a record has a number already, and so is the first of its checksum.
    fn is_known(&self, id: Id) -> bool {
        self.by_id[id as usize] != NONE
    }

    fn run(&mut self, world: &'a [Constraint]) {
        let mut sorted: Vec<&'a Constraint> = world.iter().collect();
        sorted.sort_by_cached_key(|c| (c.name.as_str().to_ascii_lowercase(), c.name.as_str(), c.to_string()));
        let world: Vec<Need<'a>> = sorted.into_iter().map(|c| self.need(c)).collect();
        for need in &world {
            self.walk(need.name);
        }
        for need in &world {
            self.out.names[need.name as usize].order.0 = true;
        }
        self.out.world = world;
    }

    /// The number of a name, which it gets if it has none.
    fn number(&mut self, text: &'a str, outer: Option<NameId>) -> N {
        let next = N::try_from(self.out.names.len()).unwrap_or(NONE);
        let place = match outer {
            Some(outer) => &mut self.by_name[outer as usize],
            None => self.by_text.entry(text).or_insert(NONE),
        };
        if *place != NONE {
            return *place;
        }
        *place = next;
        let (providers, dependents, waiting) = (Vec::new(), Vec::new(), Vec::new());
        let order = (false, false, 0);
        self.out.names.push(Name { text, providers, dependents, waiting, order, discovered: false });
        self.outer.push(outer);
        self.opened.push(false);
        self.waited.push(0);
        next
    }

    fn number_outer(&mut self, outer: NameId) -> N {
        self.number(self.universe.text(outer), Some(outer))
    }

    fn need(&mut self, constraint: &'a Constraint) -> Need<'a> {
        let text = constraint.name.as_str();
        Need { name: self.number(text, self.universe.name(text)), constraint }
    }

    /// The number of a package, which it gets if it has none. Its names are numbered, what it needs is not.
    fn package(&mut self, id: Id) -> P {
        if self.is_known(id) {
            return self.by_id[id as usize];
        }
        let universe = self.universe;
        // Two records with one checksum are one package.
        let id = first_of(universe, id);
        if self.is_known(id) {
            return self.by_id[id as usize];
        }
        let next = P::try_from(self.out.packages.len()).unwrap_or(NONE);
        let record = universe.record(id);
        let mut tags = self.out.tags.bit(universe.entry(id).pin);
        for double in universe.same_sum(id) {
            tags.add(self.out.tags.bit(universe.entry(double).pin));
        }
        let name = self.number_outer(universe.own(id));
        let names = universe.provided(id).iter().zip(&record.provides);
        let provides: Vec<(N, Option<&'a Version>)> =
            names.map(|(name, provide)| (self.number_outer(*name), provide.version.as_ref())).collect();
        self.by_id[id as usize] = next;
        self.walked.push(Walked::default());
        self.out.packages.push(Package {
            id,
            record,
            name,
            provides,
            depends: Vec::new(),
            install_if: Vec::new(),
            tags,
            repository: universe.entry(id).place,
            installable: is_installable(record, self.arch),
            discovered: false,
        });
        next
    }

    /// Fills in who provides a name and who waits for it.
    fn open(&mut self, name: N) {
        if std::mem::replace(&mut self.opened[name as usize], true) {
            return;
        }
        let Some(outer) = self.outer[name as usize] else { return };
        let mut holders = self.universe.holders(outer).to_vec();
        holders.retain(|id| self.is_known(*id) || first_of(self.universe, *id) == *id);
        holders.sort_unstable();
        let mut providers = Vec::with_capacity(holders.len());
        for id in holders {
            let package = self.package(id);
            let package_of = &self.out.packages[package as usize];
            if package_of.name == name {
                providers.push(Provider { package, version: Some(&package_of.record.version) });
            }
            let provided = self.universe.provides(id, outer);
            providers.extend(provided.map(|p| Provider { package, version: p.version.as_ref() }));
        }
        self.out.names[name as usize].providers = providers;
        let mut waiting: Vec<Id> = self.universe.waiting(outer).map(|(id, _)| id).collect();
        waiting.dedup();
        waiting.retain(|id| conditions_are_readable(self.universe.record(*id)));
        let waiting: Vec<P> = waiting.into_iter().map(|id| self.package(id)).collect();
        self.out.names[name as usize].waiting = waiting;
    }

    fn walk(&mut self, from: N) {
        let mut stack = Vec::new();
        self.enter(from, &mut stack);
        while let Some(step) = stack.last_mut() {
            let mut next = Step { ..*step };
            let child = self.advance(&mut next);
            *step = next;
            match child {
                Some(child) => self.enter(child, &mut stack),
                None => {
                    stack.pop();
                }
            }
        }
    }

    fn enter(&mut self, name: N, stack: &mut Vec<Step>) {
        if !std::mem::replace(&mut self.out.names[name as usize].discovered, true) {
            self.open(name);
            stack.push(Step { name, phase: Phase::Depends, provider: 0 });
        }
    }

    /// The next name to look at from here, if there is one.
    fn advance(&mut self, step: &mut Step) -> Option<N> {
        loop {
            let provider = self.out.names[step.name as usize].providers.get(step.provider).map(|p| p.package);
            let child = match (step.phase, provider) {
                (Phase::Depends, Some(package)) => self.next_depend(package),
                (Phase::Waiting, _) => self.next_waiting(step.name),
                (Phase::Provides, Some(package)) => self.next_provided(package),
                (Phase::InstallIf, Some(package)) => self.next_condition(package),
                (_, None) => None,
            };
            if child.is_some() {
                return child;
            }
            if provider.is_some() && step.phase != Phase::Waiting {
                step.provider += 1;
                continue;
            }
            step.provider = 0;
            step.phase = match step.phase {
                Phase::Depends => Phase::Waiting,
                Phase::Waiting => Phase::Provides,
                Phase::Provides => {
                    self.close(step.name);
                    Phase::InstallIf
                }
                Phase::InstallIf => return None,
            };
        }
    }

    /// All that comes before a name was discovered.
    fn close(&mut self, name: N) {
        self.order += 1;
        let own = |p: &Provider<'_>| self.out.packages[p.package as usize].name == name;
        let real = self.out.names[name as usize].providers.iter().any(own);
        self.out.names[name as usize].order = (false, real, self.order);
    }

    fn next_depend(&mut self, package: P) -> Option<N> {
        let at = package as usize;
        self.out.packages[at].discovered = true;
        let record = self.out.packages[at].record;
        let place = self.walked[at].depends;
        let constraint = record.depends.get(place)?;
        self.walked[at].depends += 1;
        let outer = self.universe.needed(self.out.packages[at].id, place);
        let need = Need { name: self.number(constraint.name.as_str(), outer), constraint };
        self.out.packages[at].depends.push(need);
        Some(need.name)
    }

    fn next_condition(&mut self, package: P) -> Option<N> {
        let at = package as usize;
        let record = self.out.packages[at].record;
        if !conditions_are_readable(record) {
            return None;
        }
        let constraint = record.install_if.get(self.walked[at].install_if)?;
        self.walked[at].install_if += 1;
        let need = self.need(constraint);
        self.out.packages[at].install_if.push(need);
        Some(need.name)
    }

    /// A name of the packages that wait for this one.
    fn next_waiting(&mut self, name: N) -> Option<N> {
        loop {
            let at = self.waited[name as usize];
            let package = *self.out.names[name as usize].waiting.get(at)?;
            match self.next_name(package) {
                Some(name) => return Some(name),
                None => self.waited[name as usize] += 1,
            }
        }
    }

    fn next_name(&mut self, package: P) -> Option<N> {
        let walked = &mut self.walked[package as usize].names;
        let package = &self.out.packages[package as usize];
        let name = match walked.checked_sub(1) {
            None => package.name,
            Some(place) => package.provides.get(place)?.0,
        };
        *walked += 1;
        Some(name)
    }

    /// What waits for the package's name, then the names that it provides.
    fn next_provided(&mut self, package: P) -> Option<N> {
        let name = self.out.packages[package as usize].name;
        self.open(name);
        self.next_waiting(name).or_else(|| {
            let walked = &mut self.walked[package as usize].provides;
            let (name, _) = *self.out.packages[package as usize].provides.get(*walked)?;
            *walked += 1;
            Some(name)
        })
    }
}

impl Field<'_, '_> {
    /// Fills in who depends on a name.
    fn link(&mut self) {
        for (package, entry) in (0..).zip(&self.packages) {
            for need in &entry.depends {
                let dependents = &mut self.names[need.name as usize].dependents;
                if dependents.last() != Some(&package) {
                    dependents.push(package);
                }
            }
        }
    }
}
