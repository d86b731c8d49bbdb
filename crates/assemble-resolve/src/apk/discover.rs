//! Finds what a world can reach, in the order in which apk comes by it: that order decides later.

use std::collections::HashMap;

use assemble_apk::Constraint;
use assemble_types::Arch;

use super::field::{Field, N, Name, Need, OWN, Outer, P, Package, Provider, Tags};
use crate::universe::{Doubles, Id, MANY, NameId, Universe};

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
    depends: u32,
    names: u32,
    provides: u32,
    install_if: u32,
}

const NONE: u32 = u32::MAX;

struct Discovery<'u, 'a> {
    universe: &'u Universe<'a>,
    out: Field<'u, 'a>,
    /// Numbers of names that the universe does not know.
    by_text: HashMap<&'a str, N>,
    opened: Vec<bool>,
    /// Names that were entered. Beside them, since nearly every step only asks whether a name was, and waits for memory.
    entered: Vec<bool>,
    /// Numbers of the field's packages, by record.
    by_id: Vec<P>,
    walked: Vec<Walked>,
    waited: Vec<u32>,
    order: u32,
    /// The tags of the repositories.
    tags: Vec<Tags>,
    doubles: Doubles,
    /// Room for the holders of a name.
    holders: Vec<Id>,
}

/// What `world` can reach. Records in `barred` cannot be installed.
pub(crate) fn discover<'u, 'a>(
    universe: &'u Universe<'a>,
    world: &'a [Constraint],
    arch: Arch,
    barred: &[Id],
) -> Field<'u, 'a> {
    let out = Field::new(universe, arch);
    let tags = universe.pins_by_place().map(|pin| out.tags.bit(pin)).collect();
    let mut discovery = Discovery {
        universe,
        out,
        by_text: HashMap::new(),
        opened: Vec::new(),
        entered: Vec::new(),
        by_id: vec![NONE; universe.len()],
        walked: Vec::new(),
        waited: Vec::new(),
        order: 0,
        tags,
        doubles: universe.doubles(),
        holders: Vec::new(),
    };
    discovery.run(world);
    let Discovery { mut out, by_id, .. } = discovery;
    let mut barred: Vec<P> = barred.iter().map(|id| by_id[*id as usize]).collect();
    barred.retain(|package| *package != NONE);
    out.link(&barred);
    out
}

impl<'a> Discovery<'_, 'a> {
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
    fn number(&mut self, outer: NameId) -> N {
        let known = self.out.by_name[outer as usize];
        if known != NONE {
            return known;
        }
        let name = self.add(Outer::Known(outer));
        self.out.by_name[outer as usize] = name;
        name
    }

    /// As [`Discovery::number`], of a name that the universe does not know.
    fn unknown(&mut self, text: &'a str) -> N {
        if let Some(known) = self.by_text.get(text) {
            return *known;
        }
        let name = self.add(Outer::Unknown(length(self.out.unknown.len())));
        self.out.unknown.push(text);
        self.by_text.insert(text, name);
        name
    }

    fn add(&mut self, outer: Outer) -> N {
        let name = length(self.out.names.len());
        let order = (false, false, 0);
        self.out.names.push(Name { outer, providers: 0..0, waiting: 0..0, order, discovered: false });
        self.opened.push(false);
        self.entered.push(false);
        self.waited.push(0);
        name
    }

    fn need(&mut self, constraint: &'a Constraint) -> Need<'a> {
        let text = constraint.name.as_str();
        let name = match self.universe.name(text) {
            Some(outer) => self.number(outer),
            None => self.unknown(text),
        };
        Need { name, constraint }
    }

    /// The number of a package, which it gets if it has none. Its names are numbered, what it needs is not.
    fn package(&mut self, id: Id) -> P {
        if self.is_known(id) {
            return self.by_id[id as usize];
        }
        let universe = self.universe;
        // Two records with one checksum are one package.
        let id = self.doubles.first(id);
        if self.is_known(id) {
            return self.by_id[id as usize];
        }
        let next = P::try_from(self.out.packages.len()).unwrap_or(NONE);
        let repository = universe.place(id);
        let mut tags = self.tags[repository as usize];
        for double in self.doubles.of(id) {
            tags.add(self.tags[universe.place(*double) as usize]);
        }
        let name = self.number(universe.own(id));
        let start = length(self.out.held.len());
        for name in universe.provided_names(id) {
            let name = self.number(name);
            self.out.held.push(name);
        }
        self.by_id[id as usize] = next;
        self.walked.push(Walked::default());
        let held = start..length(self.out.held.len());
        self.out.packages.push(Package { id, name, held, tags, repository, discovered: false });
        next
    }

    /// Fills in who provides a name and who waits for it.
    fn open(&mut self, name: N) {
        if std::mem::replace(&mut self.opened[name as usize], true) {
            return;
        }
        let Outer::Known(outer) = self.out.names[name as usize].outer else { return };
        let mut holders = std::mem::take(&mut self.holders);
        self.universe.holders_into(outer, &mut holders);
        holders.retain(|id| self.is_known(*id) || self.doubles.first(*id) == *id);
        holders.sort_unstable();
        let start = length(self.out.providers.len());
        for id in holders.drain(..) {
            let package = self.package(id);
            self.provide(package, name, outer);
        }
        self.holders = holders;
        self.out.names[name as usize].providers = start..length(self.out.providers.len());
        let start = length(self.out.waiting.len());
        let mut last = None;
        for at in 0..self.out.conditions.waiting(outer).len() {
            let id = self.out.conditions.waiting(outer)[at];
            if last.replace(id) != Some(id) && self.out.conditions.are_readable(self.universe, id) {
                let package = self.package(id);
                self.out.waiting.push(package);
            }
        }
        self.out.names[name as usize].waiting = start..length(self.out.waiting.len());
    }

    /// Adds a package to the providers of a name: as its own, then as listed. Quick, however much it provides.
    fn provide(&mut self, package: P, name: N, outer: NameId) {
        let Package { id, name: own, ref held, .. } = self.out.packages[package as usize];
        if own == name {
            self.out.providers.push(Provider { package, place: OWN });
        }
        let held = &self.out.held[held.start as usize..held.end as usize];
        if held.len() < MANY {
            let places = (0..).zip(held).filter(|(_, other)| **other == name).map(|(place, _)| place);
            self.out.providers.extend(places.map(|place| Provider { package, place }));
        } else {
            let places = self.universe.places(id, outer);
            self.out.providers.extend(places.into_iter().map(|place| Provider { package, place }));
        }
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
        if !std::mem::replace(&mut self.entered[name as usize], true) {
            self.out.names[name as usize].discovered = true;
            self.open(name);
            stack.push(Step { name, phase: Phase::Depends, provider: 0 });
        }
    }

    /// The next name to look at from here, if there is one.
    fn advance(&mut self, step: &mut Step) -> Option<N> {
        loop {
            let provider = self.out.providers(step.name).get(step.provider).map(|p| p.package);
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
        let real = self.out.providers(name).iter().any(|p| p.place == OWN);
        self.out.names[name as usize].order = (false, real, self.order);
    }

    fn next_depend(&mut self, package: P) -> Option<N> {
        let at = package as usize;
        self.out.packages[at].discovered = true;
        let outer = self.universe.needed_at(self.out.packages[at].id, self.walked[at].depends)?;
        self.walked[at].depends += 1;
        Some(self.number(outer))
    }

    fn next_condition(&mut self, package: P) -> Option<N> {
        let at = package as usize;
        let id = self.out.packages[at].id;
        let condition = *self.out.conditions.of(id).get(self.walked[at].install_if as usize)?;
        if !self.out.conditions.are_readable(self.universe, id) {
            return None;
        }
        self.walked[at].install_if += 1;
        Some(self.number(condition.name))
    }

    /// A name of the packages that wait for this one.
    fn next_waiting(&mut self, name: N) -> Option<N> {
        loop {
            let at = self.waited[name as usize] as usize;
            let package = *self.out.waiting(name).get(at)?;
            match self.next_name(package) {
                Some(name) => return Some(name),
                None => self.waited[name as usize] += 1,
            }
        }
    }

    fn next_name(&mut self, package: P) -> Option<N> {
        let walked = &mut self.walked[package as usize].names;
        let Package { name, ref held, .. } = self.out.packages[package as usize];
        let name = match walked.checked_sub(1) {
            None => name,
            Some(place) => *self.out.held.get(held.start as usize..held.end as usize)?.get(place as usize)?,
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
            let held = &self.out.packages[package as usize].held;
            let name = *self.out.held.get(held.start as usize..held.end as usize)?.get(*walked as usize)?;
            *walked += 1;
            Some(name)
        })
    }
}

/// Never more than numbers: a universe has no more names and records than those.
fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(NONE)
}
