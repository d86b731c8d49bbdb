//! apk's decisions, one name after the other, never taken back.
//!
//! What is certain is spread first: constraints of what was chosen, needs that all candidates for a name share, and that
//! nobody can be chosen whose own needs cannot be met. Then the most urgent name is decided, and so on.

use super::field::{Field, N, Need, OWN, P, Provider, Tags};
use super::state::{NameState, PackageState, Queue, Queues, initial};

/// Steps after which apk's way is left; each looks at one provider, need or name. Real worlds take less than a million.
const STEPS: u64 = 30_000_000;

/// Who allows a package to come from somewhere.
#[derive(Debug, Clone, Copy)]
enum Giver {
    /// An entry of the world, with its tag.
    World(Tags),
    Package(P),
    Nobody,
}

struct Greedy<'f, 'u, 'a> {
    field: &'f Field<'u, 'a>,
    names: Vec<NameState>,
    packages: Vec<PackageState>,
    queues: Queues,
    /// Packages all of whose names will have their needs looked at anyway.
    looked_at: Vec<bool>,
    failed: bool,
    steps: u64,
}

/// apk's choice, in no order; nothing if apk fails, or takes too long.
pub(crate) fn greedy(field: &Field<'_, '_>) -> Option<Vec<P>> {
    let (names, packages) = initial(field);
    let looked_at = vec![false; packages.len()];
    let mut greedy =
        Greedy { field, names, packages, queues: Queues::default(), looked_at, failed: false, steps: 0 };
    for need in &field.world {
        greedy.ask(None, need);
    }
    while greedy.steps < STEPS {
        if let Some(name) = greedy.queues.dirty.pop_front() {
            if std::mem::take(&mut greedy.names[name as usize].dirty) {
                greedy.reconsider(name);
            }
        } else if let Some(name) = greedy.next() {
            greedy.decide(name);
        } else {
            return greedy.collect();
        }
    }
    None
}

impl<'a> Greedy<'_, '_, 'a> {
    fn next(&mut self) -> Option<N> {
        while let Some(name) = self.queues.now.pop_front() {
            let state = &mut self.names[name as usize];
            if state.queue == Queue::Now {
                state.queue = Queue::Nowhere;
                return Some(name);
            }
        }
        let next = self.queues.selectable.pop_last().or_else(|| self.queues.unresolved.pop_last());
        let (_, name) = next?;
        self.names[name as usize].queue = Queue::Nowhere;
        Some(name)
    }

    fn soil(&mut self, name: N) {
        let state = &mut self.names[name as usize];
        let idle = state.requirers == 0 && !state.look_at_conditions;
        if !state.dirty && state.chosen.is_none() && !idle {
            state.dirty = true;
            self.queues.dirty.push_back(name);
        }
    }

    /// Lets a name wait for its decision. `again`: its place may have changed.
    fn enqueue(&mut self, name: N, again: bool) {
        let state = &self.names[name as usize];
        if state.chosen.is_some() || state.queue == Queue::Now {
            return;
        }
        let waits = state.queue != Queue::Nowhere;
        if !waits && state.requirers == 0 && !state.triggered && !state.needed_by_condition {
            return;
        }
        let now = state.askers_done && state.requirers > 0 && state.selectable && !state.has_options;
        if waits && !now && !again {
            return;
        }
        let queue = match (now, state.selectable) {
            (true, _) => Queue::Now,
            (false, true) => Queue::Selectable,
            (false, false) => Queue::Unresolved,
        };
        self.queues.remove(self.field, name, state.queue);
        self.queues.insert(self.field, name, queue);
        self.names[name as usize].queue = queue;
    }

    /// Whoever depends on the name may no longer be able to.
    fn recheck_dependents(&mut self, name: N) {
        let field = self.field;
        for &package in field.dependents(name) {
            self.steps += 1;
            if std::mem::replace(&mut self.looked_at[package as usize], true) {
                continue;
            }
            for name in field.names_of(package).filter(|name| field.name(*name).discovered) {
                self.steps += 1;
                self.names[name as usize].look_at_depends = true;
                self.soil(name);
            }
        }
    }

    /// Conditions for the name may hold now.
    fn recheck_conditions(&mut self, name: N) {
        let field = self.field;
        for &package in field.waiting(name) {
            for name in field.names_of(package).filter(|name| field.name(*name).discovered) {
                self.steps += 1;
                if !self.names[name as usize].untriggerable {
                    self.names[name as usize].look_at_conditions = true;
                    self.soil(name);
                }
            }
        }
    }

    /// Whether nothing rules a package out.
    fn is_selectable(&self, package: P) -> bool {
        !self.packages[package as usize].ruled_out && self.field.is_installable(package)
    }

    fn rule_out(&mut self, package: P) {
        if !self.is_selectable(package) {
            return;
        }
        self.packages[package as usize].ruled_out = true;
        let field = self.field;
        for name in field.names_of(package) {
            self.recheck_dependents(name);
        }
        for name in field.names_of(package) {
            self.recheck_conditions(name);
        }
    }

    fn asked_first(&mut self, name: N) {
        self.enqueue(name, false);
        self.recheck_conditions(name);
        self.soil(name);
    }

    /// Lets a package come from where its asker may come from.
    fn allow(&mut self, package: P, by: Giver) {
        let tags = self.field.package(package).tags;
        let inherited = match by {
            Giver::World(tag) => tag,
            Giver::Package(asker) => self.packages[asker as usize].allowed,
            Giver::Nobody => Tags::default(),
        };
        let state = &mut self.packages[package as usize];
        state.allowed.add(inherited);
        if !matches!(by, Giver::Package(_)) {
            state.tag_preferred = tags.has_any_of(inherited);
        }
        state.tag_ok |= tags.has_any_of(state.allowed);
    }

    /// Applies a constraint of a package that is sure to come, or of the world.
    fn ask(&mut self, by: Option<P>, need: &Need<'a>) {
        let field = self.field;
        let giver = match by {
            Some(package) => Giver::Package(package),
            None => Giver::World(field.tags.bit(need.constraint.pin.as_deref())),
        };
        if !need.constraint.conflict {
            self.names[need.name as usize].requirers += 1;
            if self.names[need.name as usize].requirers == 1 {
                self.asked_first(need.name);
            }
        }
        for provider in field.providers(need.name) {
            self.steps += 1;
            if field.is_met_by(need, by, *provider) {
                // apk lets an exclusion allow what it does not exclude; whoever excludes asks for nothing.
                if !need.constraint.conflict {
                    self.allow(provider.package, giver);
                }
            } else {
                self.packages[provider.package as usize].conflicts += 1;
                self.rule_out(provider.package);
            }
        }
    }

    /// Whether a need of a candidate can still be met.
    fn can_be_met(&mut self, by: P, need: &Need<'a>) -> bool {
        let state = &self.names[need.name as usize];
        if let Some(chosen) = &state.chosen {
            return self.field.is_met(need, Some(by), *chosen);
        }
        if state.requirers == 0 && need.constraint.conflict {
            return true;
        }
        let providers = self.field.providers(need.name);
        self.steps += providers.len() as u64;
        providers.iter().any(|p| self.is_selectable(p.package) && self.field.is_met_by(need, Some(by), *p))
    }

    /// Looks whether the conditions of a package hold, as far as they are decided.
    fn trigger(&mut self, package: P) {
        for condition in self.field.install_if(package) {
            self.steps += 1;
            let state = &mut self.names[condition.name as usize];
            match &state.chosen {
                None => {
                    if condition.constraint.conflict {
                        state.needed_by_condition = true;
                        self.enqueue(condition.name, false);
                    }
                    return;
                }
                Some(chosen) if !self.field.is_met(condition, Some(package), *chosen) => {
                    self.packages[package as usize].untriggerable = true;
                    return;
                }
                Some(_) => {}
            }
        }
        self.packages[package as usize].triggered = true;
    }

    fn may_be_chosen_unnamed(&self, provider: Provider) -> bool {
        self.names[self.field.package(provider.package).name as usize].requirers > 0
            || self.field.is_versioned(provider)
            || self.field.record(provider.package).provider_priority > 0
    }

    /// Looks at a name again: who can still be chosen, and what is certain whoever is.
    fn reconsider(&mut self, name: N) {
        let field = self.field;
        let look_at_depends = std::mem::take(&mut self.names[name as usize].look_at_depends);
        let look_at_conditions = std::mem::take(&mut self.names[name as usize].look_at_conditions);
        let asked = self.names[name as usize].requirers > 0;
        let (mut options, mut not_ok, mut selectable) = (0, 0, false);
        let (mut triggered, mut untriggerable) = (false, true);
        let mut first = None;
        for &provider in field.providers(name) {
            let package = provider.package;
            let at = package as usize;
            self.steps += 1;
            self.packages[at].merged = false;
            self.packages[at].last_looked_at_for = name;
            if look_at_depends {
                self.looked_at[at] = false;
                if self.is_selectable(package)
                    && !field.depends(package).iter().all(|need| self.can_be_met(package, need))
                {
                    self.rule_out(package);
                }
            }
            if !self.is_selectable(package) {
                continue;
            }
            if look_at_conditions {
                if !self.packages[at].triggered && !self.packages[at].untriggerable {
                    self.trigger(package);
                }
                if self.packages[at].triggered {
                    self.allow_as_conditions(package);
                }
            }
            triggered |= self.packages[at].triggered;
            untriggerable &= self.packages[at].untriggerable;
            selectable |= self.packages[at].triggered;
            if !asked {
                continue;
            }
            self.packages[at].merged = true;
            first = first.or(Some(package));
            self.count_common(provider, options);
            not_ok += u32::from(!self.packages[at].tag_ok);
            options += 1;
            selectable = selectable || self.may_be_chosen_unnamed(provider);
        }
        let state = &mut self.names[name as usize];
        state.has_options = options > 1 || not_ok > 0;
        state.triggered = triggered;
        state.untriggerable = untriggerable;
        let moved = std::mem::replace(&mut state.selectable, selectable) != selectable;
        if let Some(first) = first {
            for provider in field.providers(name) {
                let state = &mut self.packages[provider.package as usize];
                state.used = state.merged;
            }
            self.apply_common(name, first, options);
        }
        let decided = |package: &P| {
            let mut names = field.names_of(*package).filter(|name| field.name(*name).discovered);
            names.all(|name| self.names[name as usize].chosen.is_some())
        };
        let dependents = field.dependents(name);
        self.steps += dependents.len() as u64;
        self.names[name as usize].askers_done = dependents.iter().all(decided);
        self.enqueue(name, moved);
    }

    /// What comes by itself may come from where the packages of its conditions may.
    fn allow_as_conditions(&mut self, package: P) {
        for condition in self.field.install_if(package) {
            let chosen = self.names[condition.name as usize].chosen.flatten();
            self.allow(package, chosen.map_or(Giver::Nobody, |p| Giver::Package(p.package)));
        }
    }

    /// Counts what all candidates up to this one, the `options`th, have in common.
    fn count_common(&mut self, provider: Provider, options: u32) {
        let field = self.field;
        let depends = field.depends(provider.package);
        self.steps += (depends.len() + field.provide_count(provider.package)) as u64;
        for need in depends.iter().filter(|need| !need.constraint.conflict) {
            let count = &mut self.names[need.name as usize].common_depends;
            *count += u32::from(*count == options);
        }
        for (name, held) in field.held_by(provider.package) {
            let state = &mut self.names[name as usize];
            if state.common_provides == options {
                state.common_provides += 1;
                // The package's own name counts in the version of what is looked at.
                let held = if held.place == OWN { provider } else { held };
                state.provided_without_version |= !field.is_versioned(held);
            }
        }
    }

    /// Applies what all candidates for a name have in common.
    fn apply_common(&mut self, name: N, first: P, options: u32) {
        let field = self.field;
        for need in field.depends(first) {
            let state = &mut self.names[need.name as usize];
            if std::mem::take(&mut state.common_depends) != options {
                continue;
            }
            if options == 1 {
                self.ask(Some(first), need);
            } else if state.requirers == 0 {
                state.requirers = 1;
                self.asked_first(need.name);
                for provider in field.providers(need.name) {
                    self.allow(provider.package, Giver::Package(first));
                }
            }
        }
        for held in field.names_of(first) {
            if std::mem::take(&mut self.names[held as usize].common_provides) == options {
                self.must_provide(held, name);
            }
        }
        for held in field.names_of(first) {
            self.names[held as usize].provided_without_version = false;
        }
    }

    /// Whoever is chosen for `name` holds `held` as well, so who holds `held` alone is out.
    fn must_provide(&mut self, held: N, name: N) {
        let field = self.field;
        if held == name {
            return;
        }
        let virtual_too = self.names[held as usize].provided_without_version;
        for provider in field.providers(held) {
            self.steps += 1;
            let package = provider.package;
            if self.packages[package as usize].last_looked_at_for == name
                || !self.is_selectable(package)
                || (virtual_too && !field.is_versioned(*provider))
            {
                continue;
            }
            let both = virtual_too && {
                self.steps += field.provide_count(package) as u64;
                field.held_by(package).skip(1).any(|(_, p)| !field.is_versioned(p))
            };
            if !both {
                self.rule_out(package);
            }
        }
    }

    /// Whether one provider is better than another; the first difference decides.
    fn is_better(&self, a: Provider, b: Provider) -> bool {
        let (left, right) = (&self.packages[a.package as usize], &self.packages[b.package as usize]);
        (self.is_selectable(a.package).cmp(&self.is_selectable(b.package)))
            .then(left.used.cmp(&right.used))
            .then(right.conflicts.cmp(&left.conflicts))
            .then(left.tag_ok.cmp(&right.tag_ok))
            .then(left.tag_preferred.cmp(&right.tag_preferred))
            .then_with(|| self.field.compare(a, b))
            .is_gt()
    }

    fn decide(&mut self, name: N) {
        let field = self.field;
        let NameState { requirers, triggered, .. } = self.names[name as usize];
        let mut best: Option<Provider> = None;
        if requirers > 0 || triggered {
            for &provider in field.providers(name) {
                self.steps += 1;
                let state = &self.packages[provider.package as usize];
                let unasked = requirers == 0
                    && !(state.triggered && state.tag_ok && self.is_selectable(provider.package));
                if !unasked
                    && self.may_be_chosen_unnamed(provider)
                    && best.is_none_or(|best| self.is_better(provider, best))
                {
                    best = Some(provider);
                }
            }
        }
        let Some(best) = best else {
            self.assign(name, None, &mut Vec::new());
            self.failed |= requirers > 0;
            return;
        };
        let chosen = best.package;
        self.failed |= !self.is_selectable(chosen) || !self.packages[chosen as usize].tag_ok;
        let awaited = field.names_of(chosen).filter(|name| !field.waiting(*name).is_empty());
        let mut awaited: Vec<N> = awaited.collect();
        for (name, provider) in field.held_by(chosen) {
            self.assign(name, Some(provider), &mut awaited);
        }
        for need in field.depends(chosen) {
            self.ask(Some(chosen), need);
        }
    }

    /// Decides a name for good. `awaited` are those names of the provider's package for which conditions wait, until these were
    /// looked at: for the package's next names that would change nothing.
    fn assign(&mut self, name: N, provider: Option<Provider>, awaited: &mut Vec<N>) {
        let field = self.field;
        self.steps += 1;
        let state = &mut self.names[name as usize];
        if let Some(chosen) = &state.chosen {
            // Two that provide a name without a version may stay together.
            let without = |p: Option<Provider>| p.is_none_or(|p| !field.is_versioned(p));
            self.failed |= !(without(provider) && without(*chosen));
            return;
        }
        state.chosen = Some(provider);
        let queue = std::mem::take(&mut state.queue);
        state.dirty = false;
        let asked = state.requirers > 0;
        self.queues.remove(field, name, queue);
        let Some(provider) = provider else {
            for rival in field.providers(name) {
                if field.is_versioned(*rival) {
                    self.rule_out(rival.package);
                }
            }
            self.recheck_dependents(name);
            self.recheck_conditions(name);
            return;
        };
        if !asked && self.packages[provider.package as usize].triggered {
            for condition in field.install_if(provider.package) {
                if self.names[condition.name as usize].chosen.is_none() {
                    self.ask(Some(provider.package), condition);
                }
            }
        }
        for rival in field.providers(name) {
            self.steps += 1;
            let both_without = || !field.is_versioned(provider) && !field.is_versioned(*rival);
            if rival.package != provider.package && !both_without() {
                self.rule_out(rival.package);
            }
        }
        self.recheck_dependents(name);
        for held in std::mem::take(awaited) {
            self.recheck_conditions(held);
        }
    }

    /// What was chosen and is needed; nothing if something does not hold.
    fn collect(&self) -> Option<Vec<P>> {
        let field = self.field;
        if self.failed {
            return None;
        }
        let chosen = |need: &Need<'a>| self.names[need.name as usize].chosen.flatten();
        let mut reached = vec![false; field.packages.len()];
        let mut done = vec![false; field.names.len()];
        let mut list = Vec::new();
        let mut open: Vec<(Option<P>, &Need<'a>)> = field.world.iter().map(|need| (None, need)).collect();
        let mut coming: Vec<P> = Vec::new();
        while let Some((by, need)) = open.pop() {
            let provider = chosen(need);
            if !field.is_met(need, by, provider) {
                return None;
            }
            done[need.name as usize] = true;
            coming.extend(provider.map(|p| p.package));
            while let Some(package) = coming.pop() {
                if std::mem::replace(&mut reached[package as usize], true) {
                    continue;
                }
                list.push(package);
                open.extend(field.depends(package).iter().map(|need| (Some(package), need)));
                for name in field.names_of(package) {
                    done[name as usize] = true;
                }
                let waiting = field.names_of(package).flat_map(|name| field.waiting(name));
                coming.extend(waiting.copied().filter(|waiting| {
                    let holds = |name| {
                        let chosen = self.names[name as usize].chosen.flatten();
                        chosen.is_some_and(|p| p.package == *waiting)
                    };
                    holds(field.package(*waiting).name)
                        && !reached[*waiting as usize]
                        && field.install_if(*waiting).iter().all(|condition| {
                            (condition.constraint.conflict || done[condition.name as usize])
                                && field.is_met(condition, Some(*waiting), chosen(condition))
                        })
                }));
            }
        }
        list.sort_unstable();
        Some(list)
    }
}
