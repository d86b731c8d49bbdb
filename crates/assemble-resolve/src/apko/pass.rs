//! One greedy resolution, by the rules of apko.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use assemble_apk::{Constraint, Operator, Version};

use super::frame::{Frame, Rank};
use crate::error::{Chain, Unsolvable};
use crate::explain;
use crate::universe::{Id, Indifferent, NameId, Preference, Universe, ruled, ruled_constraint};

/// Why a record is out of play.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reason<'a> {
    /// Somebody (nobody: the world) wants the name excluded or bounded: the constraint as written.
    Bound { by: Option<Id>, constraint: &'a Constraint },
    /// A chosen record provides what this one is or provides.
    Provided { by: Id, name: &'a str },
    /// Another architecture does not have it.
    NotEverywhere,
}

/// Who asked for a record first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    Nobody,
    /// The entry's place in the sorted world.
    World(usize),
    Package(Id),
}

/// What is being asked for, with everything about it that does not change during a resolution.
#[derive(Debug, Clone)]
pub(crate) struct Wish<'a> {
    /// As written.
    pub(crate) constraint: &'a Constraint,
    /// As written, for ordering.
    pub(crate) text: Rc<str>,
    /// With the rule for shared libraries.
    bound: Cow<'a, Constraint>,
    /// The number of its name, if anybody knows that.
    name: Option<NameId>,
    /// Who fits, before exclusions and tags.
    candidates: Rc<[Id]>,
}

/// Choices after which one resolution is given up. Real distributions need some thousands. Counted, never timed.
const MAX_CHOICES: usize = 1_000_000;

/// State of one resolution.
#[derive(Debug)]
pub(crate) struct Pass<'u, 'a> {
    pub(crate) universe: &'u Universe<'a>,
    excluded: Vec<Option<Reason<'a>>>,
    /// What automatic installation may bring; everything, if nothing is said.
    automatic: Option<Vec<bool>>,
    /// Choices made so far; an index can be written so that they double with each level.
    choices: usize,
    /// Records whose rivals are out already. What they are never changes, and one record is chosen again and again.
    rivals_out: Vec<bool>,
    selected: HashMap<&'a str, Id>,
    /// Names for which something changed that decides about wishes, oldest first. Who looked at all wishes once need
    /// look again only at those named since.
    changed: Vec<&'a str>,
    asked_by: Vec<Asker>,
    /// The world's entries as written, sorted.
    entries: Vec<Rc<str>>,
    wishes: HashMap<Rc<str>, Rc<[Id]>>,
}

/// The records that are in the set, as they are known while one world entry is expanded.
#[derive(Debug, Default)]
struct Existing<'s> {
    /// From earlier entries: name -> record.
    settled: BTreeMap<&'s str, Id>,
    /// From earlier entries: origin -> name and version; of several the last by name.
    origins: HashMap<&'s str, (&'s str, &'s Version)>,
    /// From this entry: name -> place in its list and record.
    fresh: HashMap<&'s str, (usize, Id)>,
    fresh_origins: HashMap<&'s str, (usize, &'s Version)>,
}

/// [`Existing`] as a preference.
struct Known<'x, 'u, 'a>(&'x Existing<'a>, &'u Universe<'a>);

impl Preference for Known<'_, '_, '_> {
    fn version_of(&self, name: &str) -> Option<&Version> {
        self.0.get(name).map(|id| &self.1.record(id).version)
    }

    fn version_of_origin(&self, origin: &str) -> Option<&Version> {
        let fresh = self.0.fresh_origins.get(origin).map(|(_, version)| *version);
        fresh.or_else(|| self.0.origins.get(origin).map(|(_, version)| *version))
    }
}

impl<'s> Existing<'s> {
    fn get(&self, name: &str) -> Option<Id> {
        self.fresh.get(name).map(|(_, id)| *id).or_else(|| self.settled.get(name).copied())
    }

    /// Kept from now on, if the name is new.
    fn settle(&mut self, universe: &Universe<'s>, id: Id) {
        let record = universe.record(id);
        let name = record.name.as_str();
        if !self.settled.contains_key(name) {
            self.settled.insert(name, id);
            self.count_origin(universe, id);
        }
    }

    fn count_origin(&mut self, universe: &Universe<'s>, id: Id) {
        let record = universe.record(id);
        let name = record.name.as_str();
        let now = self.origins.entry(&record.origin).or_insert((name, &record.version));
        if name >= now.0 {
            *now = (name, &record.version);
        }
    }

    /// Known for the rest of this entry. What stands later in its list wins.
    fn learn(&mut self, universe: &Universe<'s>, at: usize, id: Id) {
        let record = universe.record(id);
        let known = self.fresh.entry(record.name.as_str()).or_insert((at, id));
        if at > known.0 {
            *known = (at, id);
        }
        let known = self.fresh_origins.entry(&record.origin).or_insert((at, &record.version));
        if at > known.0 {
            *known = (at, &record.version);
        }
    }
}

impl<'u, 'a> Pass<'u, 'a> {
    /// `elsewhere` are the records that another architecture lacks.
    pub(crate) fn new(universe: &'u Universe<'a>, elsewhere: &[Id]) -> Self {
        let mut excluded = vec![None; universe.len()];
        for id in elsewhere {
            excluded[*id as usize] = Some(Reason::NotEverywhere);
        }
        let asked_by = vec![Asker::Nobody; universe.len()];
        Self {
            universe,
            excluded,
            automatic: None,
            choices: 0,
            rivals_out: vec![false; universe.len()],
            selected: HashMap::new(),
            changed: Vec::new(),
            asked_by,
            entries: Vec::new(),
            wishes: HashMap::new(),
        }
    }

    /// Automatic installation brings only these.
    pub(crate) fn with_automatic(mut self, only: &[Id]) -> Self {
        let mut allowed = vec![false; self.universe.len()];
        for id in only {
            allowed[*id as usize] = true;
        }
        self.automatic = Some(allowed);
        self
    }

    /// The records in order of installation. `world` need not be sorted; what it excludes is not looked at.
    pub(crate) fn run(&mut self, world: &'a [Constraint]) -> Result<Vec<Id>, Unsolvable> {
        let mut entries: Vec<Wish<'a>> = world.iter().filter(|c| !c.conflict).map(|c| self.wish(c)).collect();
        entries.sort_by(|a, b| a.text.cmp(&b.text));
        entries.dedup_by(|a, b| a.text == b.text);
        self.entries = entries.iter().map(|wish| Rc::clone(&wish.text)).collect();
        self.constrain(world, None);

        let mut existing = Existing::default();
        for id in self.choose_entries(&entries)? {
            existing.settled.insert(self.universe.record(id).name.as_str(), id);
        }
        let first: Vec<Id> = existing.settled.values().copied().collect();
        for id in first {
            existing.count_origin(self.universe, id);
        }
        let mut listed = HashSet::new();
        let mut list = Vec::new();
        for entry in &entries {
            let (package, needs) = self.expand(entry, &mut existing)?;
            for id in needs.into_iter().chain([package]) {
                if listed.insert(self.universe.record(id).name.as_str()) {
                    list.push(id);
                }
                existing.settle(self.universe, id);
            }
        }
        Ok(list)
    }

    fn wish(&mut self, constraint: &'a Constraint) -> Wish<'a> {
        let text: Rc<str> = constraint.to_string().into();
        let bound = ruled_constraint(constraint);
        let known = self.wishes.get(&text).cloned();
        let candidates = known.unwrap_or_else(|| self.universe.candidates(&bound).into());
        self.wishes.insert(Rc::clone(&text), Rc::clone(&candidates));
        let name = self.universe.name(constraint.name.as_str());
        Wish { constraint, text, bound, name, candidates }
    }

    /// Chooses a record for every entry of the world, the one with the fewest candidates first.
    fn choose_entries(&mut self, entries: &[Wish<'a>]) -> Result<Vec<Id>, Unsolvable> {
        let mut left = Frame::new(0, entries.to_vec());
        let mut chosen = Vec::new();
        loop {
            for at in left.stale(&self.changed) {
                let Some(wish) = left.wish(at) else { continue };
                let pin = wish.constraint.pin.as_deref();
                match self.playable(wish, pin, None).count() {
                    0 => return Err(self.nothing_for(wish, pin, &[])),
                    count => left.rank(at, Rank::Open(count)),
                }
            }
            let Some(wish) = left.take_first() else { return Ok(chosen) };
            let id = self.best_for_entry(&wish)?;
            chosen.push(id);
            self.exclude_rivals(id);
        }
    }

    fn best_for_entry(&mut self, wish: &Wish<'a>) -> Result<Id, Unsolvable> {
        let pin = wish.constraint.pin.as_deref();
        let best = self.best(wish, pin, pin, None, &Indifferent);
        let id = best.ok_or_else(|| self.nothing_for(wish, pin, &[]))?;
        if let Ok(at) = self.entries.binary_search(&wish.text) {
            self.ask(id, Asker::World(at));
        }
        Ok(id)
    }

    /// Candidates that are not excluded and whose repository may be used: untagged, tagged as allowed, or already in use.
    fn playable<'w>(
        &'w self,
        wish: &'w Wish<'a>,
        allowed: Option<&'w str>,
        installed: Option<Id>,
    ) -> impl Iterator<Item = Id> + 'w {
        wish.candidates.iter().copied().filter(move |id| {
            let pin = self.universe.entry(*id).pin;
            self.excluded[*id as usize].is_none()
                && (pin.is_none() || pin == allowed || installed == Some(*id))
        })
    }

    fn best(
        &self,
        wish: &Wish<'a>,
        allowed: Option<&str>,
        preferred: Option<&str>,
        installed: Option<Id>,
        preference: &impl Preference,
    ) -> Option<Id> {
        self.playable(wish, allowed, installed).reduce(|best, id| {
            if self.universe.better(id, best, wish.name, preferred, preference) { id } else { best }
        })
    }

    fn ask(&mut self, id: Id, asker: Asker) {
        let known = &mut self.asked_by[id as usize];
        if *known == Asker::Nobody {
            *known = asker;
        }
    }

    fn exclude(&mut self, id: Id, reason: Reason<'a>) {
        let known = &mut self.excluded[id as usize];
        if known.is_none() {
            *known = Some(reason);
            let record = self.universe.record(id);
            self.changed.push(record.name.as_str());
            self.changed.extend(record.provides.iter().map(|p| p.name.as_str()));
        }
    }

    /// Takes out what these dependencies rule out: named conflicts, and holders of a bounded name outside the bound.
    fn constrain(&mut self, list: &'a [Constraint], by: Option<Id>) {
        for constraint in list {
            let bound = ruled_constraint(constraint);
            let out: Vec<Id> = if constraint.conflict {
                self.universe.candidates(&bound)
            } else if bound.operator.is_any_for_apko() {
                continue;
            } else {
                let Some(name) = self.universe.name(constraint.name.as_str()) else { continue };
                let holders = self.universe.holders(name).iter().copied();
                holders.filter(|id| !within(self.universe, *id, name, &bound)).collect()
            };
            for id in out {
                self.exclude(id, Reason::Bound { by, constraint });
            }
        }
    }

    /// Takes out what cannot stand beside a chosen record because both provide the same thing. Two that provide it without
    /// a version may stay together.
    fn exclude_rivals(&mut self, chosen: Id) {
        if std::mem::replace(&mut self.rivals_out[chosen as usize], true) {
            return;
        }
        let universe = self.universe;
        for (provide, &name) in universe.record(chosen).provides.iter().zip(universe.provided(chosen)) {
            for &rival in universe.holders(name) {
                let virtual_too = || {
                    universe.own(rival) != name && universe.provides(rival, name).all(|p| p.version.is_none())
                };
                if rival != chosen && !(provide.version.is_none() && virtual_too()) {
                    self.exclude(rival, Reason::Provided { by: chosen, name: provide.name.as_str() });
                }
            }
        }
    }

    /// Fixes a record as the holder of its name and of what it provides in a version.
    fn pick(&mut self, id: Id, stack: &[Frame<'a>]) -> Result<(), Unsolvable> {
        let record = self.universe.record(id);
        let clash = |pass: &Self, other: Id, name: &str| {
            let rule = if pass.universe.record(other).name == record.name {
                format!("both are named {}", explain::shown(name))
            } else {
                format!("both provide {}", explain::shown(name))
            };
            Err(explain::conflict(pass, (id, pass.chain(stack)), Some(other), rule))
        };
        match self.selected.get(record.name.as_str()) {
            Some(&other) if other == id => return Ok(()),
            Some(&other) => return clash(self, other, record.name.as_str()),
            None => {}
        }
        self.selected.insert(record.name.as_str(), id);
        self.changed.push(record.name.as_str());
        for provide in &record.provides {
            if let Some(&other) = self.selected.get(provide.name.as_str())
                && other != id
            {
                return clash(self, other, provide.name.as_str());
            }
            if provide.version.is_some() {
                self.selected.insert(provide.name.as_str(), id);
                self.changed.push(provide.name.as_str());
            }
        }
        Ok(())
    }

    /// The best record for a world entry, with everything it needs in order.
    fn expand(&mut self, entry: &Wish<'a>, existing: &mut Existing<'a>) -> Result<(Id, Vec<Id>), Unsolvable> {
        let package = self.best_for_entry(entry)?;
        existing.fresh.clear();
        existing.fresh_origins.clear();
        let all = self.needs_of(package, entry.constraint.pin.as_deref(), existing)?;
        let mut names = HashSet::new();
        let mut needs: Vec<Id> =
            all.into_iter().filter(|id| names.insert(self.universe.record(*id).name.as_str())).collect();
        let automatic = self.automatic(&needs, entry.constraint.pin.as_deref());
        for id in automatic {
            self.ask(id, Asker::Package(package));
            needs.push(id);
        }
        Ok((package, needs))
    }

    /// Records whose every `install_if` condition is met by these dependencies, in byte order of what triggers them.
    fn automatic(&self, needs: &[Id], pin: Option<&str>) -> Vec<Id> {
        let by_name: BTreeMap<&str, Id> =
            needs.iter().map(|id| (self.universe.record(*id).name.as_str(), *id)).collect();
        let met = |condition: &Constraint| {
            let found = by_name.get(condition.name.as_str()).map(|id| &self.universe.record(*id).version);
            found.is_some_and(|version| condition.version.as_ref().is_none_or(|wanted| wanted == version))
        };
        let mut out = Vec::new();
        for &id in by_name.values() {
            for waiting in self.waiting_for(id) {
                let entry = self.universe.entry(waiting);
                let usable = self.automatic.as_ref().is_none_or(|allowed| allowed[waiting as usize])
                    && (entry.pin.is_none() || entry.pin == pin);
                if usable && self.universe.record(waiting).install_if.iter().all(met) {
                    out.push(waiting);
                }
            }
        }
        out
    }

    /// Records that wait for the name of a record; if there are none, those that wait for it in exactly its version.
    fn waiting_for(&self, id: Id) -> Vec<Id> {
        let version = &self.universe.record(id).version;
        let bare = |c: &Constraint| !c.conflict && c.pin.is_none() && c.operator == Operator::Any;
        let exact = |c: &Constraint| {
            !c.conflict
                && c.pin.is_none()
                && c.operator == Operator::Equal
                && c.version.as_ref() == Some(version)
        };
        let of = |wanted: &dyn Fn(&Constraint) -> bool| {
            let waiting = self.universe.waiting(self.universe.own(id));
            let mut ids: Vec<Id> = waiting.filter(|(_, c)| wanted(c)).map(|(id, _)| id).collect();
            ids.dedup();
            ids
        };
        let waiting = of(&bare);
        if waiting.is_empty() { of(&exact) } else { waiting }
    }

    /// What a package needs, each after what it needs itself. Uses an explicit stack: chains can be as long as an index.
    fn needs_of(
        &mut self,
        package: Id,
        pin: Option<&str>,
        existing: &mut Existing<'a>,
    ) -> Result<Vec<Id>, Unsolvable> {
        let mut list: Vec<Id> = Vec::new();
        let mut on_path: HashSet<&str> = HashSet::from([self.universe.record(package).name.as_str()]);
        let mut stack = vec![self.enter(package)];
        while !stack.is_empty() {
            if let Some(best) = self.next_choice(&mut stack, pin, existing)? {
                self.choices += 1;
                if self.choices > MAX_CHOICES {
                    return Err(Unsolvable::Tangled { choices: MAX_CHOICES });
                }
                self.exclude_rivals(best);
                let top = stack.len() - 1;
                let parent = stack[top].id;
                self.ask(best, Asker::Package(parent));
                self.pick(parent, &stack)?;
                if on_path.insert(self.universe.record(best).name.as_str()) {
                    let frame = self.enter(best);
                    stack.push(frame);
                } else {
                    stack[top].chosen.push(list.len());
                    list.push(best);
                }
                continue;
            }
            let Some(done) = stack.pop() else { break };
            on_path.remove(self.universe.record(done.id).name.as_str());
            if let Some(parent) = stack.last_mut() {
                for at in done.chosen {
                    existing.learn(self.universe, at, list[at]);
                    self.changed.push(self.universe.record(list[at]).name.as_str());
                }
                parent.chosen.push(list.len());
                list.push(done.id);
            }
        }
        Ok(list)
    }

    fn enter(&mut self, id: Id) -> Frame<'a> {
        let record = self.universe.record(id);
        self.constrain(&record.depends, Some(id));
        let universe = self.universe;
        // What it is or provides itself it needs of nobody.
        let own = |c: &Constraint| {
            universe.name(c.name.as_str()).is_some_and(|name| universe.provides(id, name).next().is_some())
                || (record.name == c.name && ruled_constraint(c).satisfied_by(&record.version))
        };
        let open = record.depends.iter().filter(|c| !c.conflict && !own(c));
        Frame::new(id, open.map(|c| self.wish(c)).collect())
    }

    /// The record for the dependency of the topmost package that has the fewest candidates; nothing if all are met.
    fn next_choice(
        &self,
        stack: &mut [Frame<'a>],
        pin: Option<&str>,
        existing: &Existing<'a>,
    ) -> Result<Option<Id>, Unsolvable> {
        let Some((frame, _)) = stack.split_last_mut() else { return Ok(None) };
        for at in frame.stale(&self.changed) {
            let Some(wish) = frame.wish(at) else { continue };
            match self.rank(wish, pin, existing) {
                Ok(rank) => frame.rank(at, rank),
                Err(other) => {
                    let wish = wish.clone();
                    return Err(match other {
                        Some(other) => self.taken(&wish, other, stack),
                        None => self.nothing_for(&wish, pin, stack),
                    });
                }
            }
        }
        let Some(wish) = frame.take_first() else { return Ok(None) };
        let installed = existing.get(wish.constraint.name.as_str());
        Ok(self.best(&wish, pin, None, installed, &Known(existing, self.universe)))
    }

    /// Where a wish stands; if nothing can grant it, the selected record that is in its way, if that is why.
    fn rank(&self, wish: &Wish<'a>, pin: Option<&str>, existing: &Existing<'a>) -> Result<Rank, Option<Id>> {
        if self.is_met(wish).map_err(Some)? {
            return Ok(Rank::Met);
        }
        match self.playable(wish, pin, existing.get(wish.constraint.name.as_str())).count() {
            0 => Err(None),
            count => Ok(Rank::Open(count)),
        }
    }

    /// Whether a dependency is met by what was selected; the selected record if that cannot meet it.
    fn is_met(&self, wish: &Wish<'a>) -> Result<bool, Id> {
        let (name, bound) = (&wish.constraint.name, &wish.bound);
        let Some(&other) = self.selected.get(name.as_str()) else { return Ok(false) };
        let selected = self.universe.record(other);
        let exact = |version: &Version| {
            bound
                .version
                .as_ref()
                .is_some_and(|wanted| version.compare(wanted).is_some_and(std::cmp::Ordering::is_eq))
        };
        let provided = || {
            let same = wish.name.into_iter().flat_map(|name| self.universe.provides(other, name));
            same.map(ruled).any(|p| p.version.as_ref().is_some_and(exact))
        };
        if bound.operator.is_any_for_apko() || bound.satisfied_by(&selected.version) || provided() {
            Ok(true)
        } else {
            Err(other)
        }
    }

    /// From the world to the package on top of the stack.
    fn chain(&self, stack: &[Frame<'a>]) -> Chain {
        let Some(first) = stack.first() else { return Chain::default() };
        let mut chain = self.chain_to(first.id);
        chain.packages.extend(stack[1..].iter().map(|frame| self.universe.package(frame.id).to_string()));
        chain
    }

    /// From the world to a record, the way it was first asked for.
    pub(crate) fn chain_to(&self, id: Id) -> Chain {
        let mut packages = Vec::new();
        let mut at = Asker::Package(id);
        // Who asks was asked for earlier, so this ends; the limit only guards against a mistake here.
        while let Asker::Package(id) = at
            && packages.len() < self.universe.len()
        {
            packages.push(self.universe.package(id).to_string());
            at = self.asked_by[id as usize];
        }
        packages.reverse();
        let entry = match at {
            Asker::World(entry) => self.entries.get(entry).map(ToString::to_string),
            Asker::Nobody | Asker::Package(_) => None,
        };
        Chain { entry, packages }
    }

    pub(crate) fn reason(&self, id: Id) -> Option<Reason<'a>> {
        self.excluded[id as usize]
    }

    fn nothing_for(&self, wish: &Wish<'a>, allowed: Option<&str>, stack: &[Frame<'a>]) -> Unsolvable {
        explain::nothing_for(self, wish.constraint, &wish.candidates, allowed, self.chain(stack))
    }

    fn taken(&self, wish: &Wish<'a>, other: Id, stack: &[Frame<'a>]) -> Unsolvable {
        let rule = format!("it needs {}", explain::shown(&wish.text));
        match stack.last() {
            Some(top) => explain::conflict(self, (top.id, self.chain(stack)), Some(other), rule),
            None => explain::nothing_for(self, wish.constraint, &wish.candidates, None, Chain::default()),
        }
    }
}

/// Whether a holder of a bounded name is within the bound: by its own version if the name is its own, else by every
/// version it provides the name in. Who provides it without version neither fits nor hurts.
fn within(universe: &Universe<'_>, id: Id, name: NameId, bound: &Constraint) -> bool {
    if universe.own(id) == name {
        return bound.satisfied_by(&universe.record(id).version);
    }
    let mut versions = universe.provides(id, name).map(ruled);
    versions.all(|p| p.version.as_ref().is_none_or(|version| bound.satisfied_by(version)))
}
