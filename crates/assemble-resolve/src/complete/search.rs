//! The search over the packages of a field.

use std::collections::{HashMap, HashSet};

use assemble_apk::{Constraint, Record};

use super::engine::{Conflict, Engine, Literal, Reason};
use super::reasons;
use crate::apk::field::{Field, N, Need, P, Provider, Tags};
use crate::error::Unsolvable;
use crate::explain::shown;

/// Steps after which the search is given up; each looks at one package, literal or clause.
const STEPS: u64 = 5_000_000;

/// A constraint that somebody has, shared by all who have it.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    pub(super) need: Need<'a>,
    pub(super) variable: u32,
    /// Who can grant it; filled when it is first asked for.
    pub(super) candidates: Option<Vec<Provider>>,
}

/// Why a branch is left though no rule is broken.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stuck {
    /// All who are left provide the name without a version and have no priority: somebody has to be named.
    Unnamed(usize),
    /// All who are left come from a tagged repository from which nobody who asks may come.
    Untagged(usize),
}

pub(super) struct Search<'f, 'u, 'a> {
    pub(super) field: &'f Field<'u, 'a>,
    pub(super) engine: Engine,
    pub(super) wishes: Vec<Wish<'a>>,
    by_constraint: HashMap<&'a Constraint, usize>,
    /// By variable above the packages'.
    by_variable: Vec<Extra>,
    /// By name: who excludes something of it.
    excluders: Vec<Vec<P>>,
    /// Wishes that were asked for, in order; on going back, the later ones are dropped.
    agenda: Vec<usize>,
    /// For each level: how long the agenda was, and how much of it was granted.
    marks: Vec<(usize, usize)>,
    granted: usize,
    tagged: bool,
    /// What stands for a package with exclusions among its conditions coming by itself.
    automatics: HashMap<P, u32>,
    /// What was missing where the first branch was left.
    pub(super) stuck: Option<Unsolvable>,
}

/// What a variable that is no package stands for.
#[derive(Debug)]
enum Extra {
    Wish(usize),
    /// A package comes by itself: what that implies.
    Automatic(Vec<Literal>),
}

/// A set that holds, in no order.
pub(crate) fn search(field: &Field<'_, '_>) -> Result<Vec<P>, Unsolvable> {
    let mut search = Search::new(field);
    if let Err(conflict) = search.start() {
        return Err(reasons::explain(&search, conflict));
    }
    loop {
        if search.engine.steps > STEPS {
            return Err(Unsolvable::GivenUp { steps: STEPS });
        }
        let outcome = search.propagate();
        let step = match outcome {
            Err(conflict) => search.learn(conflict),
            Ok(()) => match search.decide() {
                Step::Decided => Ok(()),
                Step::Done => return Ok(search.needed()),
                Step::Stuck(stuck) => search.leave(stuck),
            },
        };
        if let Err(conflict) = step {
            return Err(reasons::explain(&search, conflict));
        }
    }
}

enum Step {
    Decided,
    Done,
    Stuck(Stuck),
}

impl<'f, 'u, 'a> Search<'f, 'u, 'a> {
    fn new(field: &'f Field<'u, 'a>) -> Self {
        let mut engine = Engine::default();
        for _ in &field.packages {
            engine.variable();
        }
        let mut excluders = vec![Vec::new(); field.names.len()];
        for package in field.numbers() {
            for need in field.depends(package).iter().filter(|need| need.constraint.conflict) {
                excluders[need.name as usize].push(package);
            }
        }
        let tagged = field.packages.iter().any(|p| !p.tags.has_any_of(Tags::UNTAGGED));
        Self {
            field,
            engine,
            wishes: Vec::new(),
            by_constraint: HashMap::new(),
            by_variable: Vec::new(),
            excluders,
            agenda: Vec::new(),
            marks: Vec::new(),
            granted: 0,
            tagged,
            automatics: HashMap::new(),
            stuck: None,
        }
    }

    /// What holds whatever is chosen.
    fn start(&mut self) -> Result<(), Conflict> {
        let field = self.field;
        for package in field.numbers() {
            if !field.is_installable(package) {
                self.engine.imply(Literal::no(package), Reason::Fact)?;
            }
        }
        for need in field.world.iter().filter(|need| need.constraint.conflict) {
            for provider in field.providers(need.name) {
                if !field.is_met_by(need, None, *provider) {
                    self.engine.imply(Literal::no(provider.package), Reason::Fact)?;
                }
            }
        }
        for need in field.world.iter().filter(|need| !need.constraint.conflict) {
            let wish = self.wish(need);
            self.engine.imply(Literal::yes(self.wishes[wish].variable), Reason::Fact)?;
        }
        Ok(())
    }

    /// The number of a constraint, which it gets if it has none.
    fn wish(&mut self, need: &Need<'a>) -> usize {
        let next = self.wishes.len();
        let wish = *self.by_constraint.entry(need.constraint).or_insert(next);
        if wish == next {
            let variable = self.engine.variable();
            self.by_variable.push(Extra::Wish(wish));
            self.wishes.push(Wish { need: *need, variable, candidates: None });
        }
        wish
    }

    /// The number of a constraint that was met with.
    pub(super) fn known_wish(&self, need: &Need<'a>) -> Option<usize> {
        self.by_constraint.get(need.constraint).copied()
    }

    /// The wish that a variable stands for.
    pub(super) fn wish_of(&self, variable: u32) -> Option<usize> {
        match self.by_variable.get((variable as usize).checked_sub(self.field.packages.len())?)? {
            Extra::Wish(wish) => Some(*wish),
            Extra::Automatic(_) => None,
        }
    }

    /// Who can grant a wish, the best first.
    pub(super) fn in_order(&self, wish: usize, pin: Tags) -> Vec<P> {
        let (field, need) = (self.field, &self.wishes[wish].need);
        let providers = field.providers(need.name).iter().copied();
        let mut left: Vec<Provider> = providers.filter(|p| field.is_met_by(need, None, *p)).collect();
        // As `is_better`, but an order that is total: whoever has no version comes last.
        left.sort_by(|a, b| {
            let (one, other) = (field.package(a.package), field.package(b.package));
            let (left, right) = (field.record(a.package), field.record(b.package));
            let versions = || match (field.version(*a), field.version(*b)) {
                (Some(a), Some(b)) => b.compare_as_apk(a),
                (a, b) => b.is_some().cmp(&a.is_some()),
            };
            (other.tags.has_any_of(pin).cmp(&one.tags.has_any_of(pin)))
                .then_with(versions)
                .then_with(|| right.provider_priority.cmp(&left.provider_priority))
                .then_with(|| right.version.compare_as_apk(&left.version))
                .then_with(|| (one.repository, a.package).cmp(&(other.repository, b.package)))
        });
        let mut packages: Vec<P> = left.into_iter().map(|p| p.package).collect();
        packages.dedup();
        packages
    }

    /// Why apk does not install a record, in words.
    pub(super) fn why_not(record: &Record) -> String {
        let versions = record.depends.iter().filter_map(|c| Some((c, c.version.as_ref()?)));
        let odd = versions.filter(|(_, version)| !version.is_valid_for_apk()).map(|(c, _)| c).next();
        match (record.unknown_field, odd) {
            (Some(field), _) => format!(
                "its record has a field `{}`, and who does not know that must not install the package",
                field.escape_debug()
            ),
            (None, Some(odd)) => {
                format!("it needs `{}`, a version that cannot be compared", shown(&odd.to_string()))
            }
            (None, None) => format!("it is for {}", shown(&record.arch)),
        }
    }

    pub(super) fn is_in(&self, package: P) -> bool {
        self.engine.value(Literal::yes(package)) == Some(true)
    }

    fn is_open(&self, package: P) -> bool {
        self.engine.value(Literal::yes(package)).is_none()
    }

    /// Draws all consequences of what holds.
    fn propagate(&mut self) -> Result<(), Conflict> {
        while let Some(literal) = self.engine.next()? {
            if !literal.is_yes() {
                continue;
            }
            let variable = literal.variable() as usize;
            match variable.checked_sub(self.field.packages.len()) {
                None => self.bring_in(literal.variable())?,
                Some(extra) => match self.by_variable.get(extra) {
                    Some(Extra::Wish(wish)) => self.ask(*wish)?,
                    Some(Extra::Automatic(implied)) => {
                        for implied in implied.clone() {
                            self.engine.imply(implied, Reason::Pair(literal.not()))?;
                        }
                    }
                    None => {}
                },
            }
        }
        Ok(())
    }

    /// A package is in the set: whom that keeps out, and what it needs.
    fn bring_in(&mut self, package: P) -> Result<(), Conflict> {
        let field = self.field;
        let because = Reason::Pair(Literal::no(package));
        for (name, provider) in field.held_by(package) {
            for rival in field.providers(name) {
                self.engine.steps += 1;
                let versioned = || field.is_versioned(provider) || field.is_versioned(*rival);
                if rival.package != package && versioned() {
                    self.engine.imply(Literal::no(rival.package), because)?;
                }
            }
            for place in 0..self.excluders[name as usize].len() {
                let excluder = self.excluders[name as usize][place];
                self.engine.steps += 1;
                let excludes = field.depends(excluder).iter().any(|need| {
                    need.name == name
                        && need.constraint.conflict
                        && !field.is_met_by(need, Some(excluder), provider)
                });
                if excludes {
                    self.engine.imply(Literal::no(excluder), because)?;
                }
            }
        }
        for need in field.depends(package) {
            self.engine.steps += 1;
            if need.constraint.conflict {
                for rival in field.providers(need.name) {
                    self.engine.steps += 1;
                    if !field.is_met_by(need, Some(package), *rival) {
                        self.engine.imply(Literal::no(rival.package), because)?;
                    }
                }
            } else {
                let wish = self.wish(need);
                self.engine.imply(Literal::yes(self.wishes[wish].variable), because)?;
            }
        }
        Ok(())
    }

    /// Somebody in the set has this wish.
    fn ask(&mut self, wish: usize) -> Result<(), Conflict> {
        self.agenda.push(wish);
        if self.wishes[wish].candidates.is_some() {
            return Ok(());
        }
        let (field, need) = (self.field, self.wishes[wish].need);
        let providers = field.providers(need.name);
        self.engine.steps += providers.len() as u64;
        let candidates: Vec<Provider> =
            providers.iter().filter(|p| field.is_met_by(&need, None, **p)).copied().collect();
        let mut clause = vec![Literal::no(self.wishes[wish].variable)];
        clause.extend(candidates.iter().map(|p| Literal::yes(p.package)));
        clause.sort_unstable();
        clause.dedup();
        self.wishes[wish].candidates = Some(candidates);
        self.engine.add(clause, Vec::new()).map(|_| ())
    }

    fn mark(&mut self) {
        self.marks.push((self.agenda.len(), self.granted));
    }

    fn learn(&mut self, conflict: Conflict) -> Result<(), Conflict> {
        let outcome = self.engine.learn(conflict);
        self.back();
        outcome
    }

    /// Brings the agenda back to where the engine is.
    fn back(&mut self) {
        let level = self.engine.level() as usize;
        if let Some(&(agenda, granted)) = self.marks.get(level) {
            self.agenda.truncate(agenda);
            self.granted = granted;
            self.marks.truncate(level);
        }
    }

    /// Leaves a branch in which no rule is broken, but nobody may be chosen.
    fn leave(&mut self, stuck: Stuck) -> Result<(), Conflict> {
        if self.stuck.is_none() {
            self.stuck = Some(reasons::missing(self, stuck));
        }
        let mut clause: Vec<Literal> = self.engine.decisions().map(Literal::not).collect();
        clause.reverse();
        let level = self.engine.level();
        self.engine.back_to(level.saturating_sub(1));
        self.back();
        match self.engine.add(clause, Vec::new()) {
            Ok(_) => Ok(()),
            Err(conflict) if self.engine.level() == 0 => Err(conflict),
            Err(conflict) => self.learn(conflict),
        }
    }

    fn granted(&self, wish: usize) -> bool {
        let candidates = self.wishes[wish].candidates.as_deref().unwrap_or(&[]);
        candidates.iter().any(|p| self.is_in(p.package))
    }

    /// From where each package may come under what is in the set; nothing where there are no tags.
    fn allowed(&mut self) -> Option<Vec<Tags>> {
        if !self.tagged {
            return None;
        }
        let field = self.field;
        let mut allowed = vec![Tags::UNTAGGED; field.packages.len()];
        let mut open: Vec<P> = Vec::new();
        let mut steps = 0;
        let mut give =
            |allowed: &mut Vec<Tags>, by: Option<P>, need: &Need<'a>, tags: Tags, open: &mut Vec<P>| {
                if need.constraint.conflict {
                    return;
                }
                for &provider in field.providers(need.name) {
                    steps += 1;
                    if field.is_met_by(need, by, provider) {
                        let known = allowed[provider.package as usize];
                        allowed[provider.package as usize].add(tags);
                        if allowed[provider.package as usize] != known {
                            open.push(provider.package);
                        }
                    }
                }
            };
        for need in &field.world {
            give(&mut allowed, None, need, field.tags.bit(need.constraint.pin.as_deref()), &mut open);
        }
        while let Some(package) = open.pop() {
            if !self.is_in(package) {
                continue;
            }
            let tags = allowed[package as usize];
            for need in field.depends(package) {
                give(&mut allowed, Some(package), need, tags, &mut open);
            }
            // What comes by itself may come from where what it came for may.
            for name in field.names_of(package) {
                for &waiting in field.waiting(name) {
                    let known = allowed[waiting as usize];
                    allowed[waiting as usize].add(tags);
                    if allowed[waiting as usize] != known {
                        open.push(waiting);
                    }
                }
            }
        }
        self.engine.steps += steps;
        Some(allowed)
    }

    /// Decides for the best candidate of the first wish that is open.
    fn decide(&mut self) -> Step {
        while self.agenda.get(self.granted).is_some_and(|wish| self.granted(*wish)) {
            self.engine.steps += 1;
            self.granted += 1;
        }
        let allowed = self.allowed();
        let named: HashSet<N> = self.agenda.iter().map(|wish| self.wishes[*wish].need.name).collect();
        let mut stuck = None;
        for at in self.granted..self.agenda.len() {
            let wish = self.agenda[at];
            self.engine.steps += 1;
            if self.granted(wish) {
                continue;
            }
            let comes = |p: &Provider| {
                let tags = self.field.package(p.package).tags;
                allowed.as_ref().is_none_or(|allowed| tags.has_any_of(allowed[p.package as usize]))
            };
            let candidates = self.wishes[wish].candidates.as_deref().unwrap_or(&[]);
            let open: Vec<Provider> =
                candidates.iter().copied().filter(|p| self.is_open(p.package)).collect();
            let fitting: Vec<Provider> = open.iter().copied().filter(|p| comes(p)).collect();
            let pin = self.field.tags.bit(self.wishes[wish].need.constraint.pin.as_deref());
            let auto = fitting.iter().copied().filter(|p| self.may_be_chosen(*p, &named));
            let best = auto.reduce(|best, p| if self.is_better(p, best, pin) { p } else { best });
            if let Some(best) = best {
                let chosen = Literal::yes(best.package);
                self.mark();
                self.engine.decide(chosen);
                return Step::Decided;
            }
            stuck.get_or_insert(if fitting.is_empty() {
                Stuck::Untagged(wish)
            } else {
                Stuck::Unnamed(wish)
            });
        }
        if let Some(stuck) = stuck {
            return Step::Stuck(stuck);
        }
        if let Some(stuck) = self.unfounded(allowed.as_deref(), &named) {
            return Step::Stuck(stuck);
        }
        match self.automatic(allowed.as_deref()) {
            Some(literal) => {
                self.mark();
                self.engine.decide(literal);
                Step::Decided
            }
            None => Step::Done,
        }
    }

    fn may_be_chosen(&self, provider: Provider, named: &HashSet<N>) -> bool {
        named.contains(&self.field.package(provider.package).name)
            || self.field.is_versioned(provider)
            || self.field.record(provider.package).provider_priority > 0
    }

    /// A wish that is granted only by packages that are there since nobody else was left, though they may not be chosen.
    fn unfounded(&self, allowed: Option<&[Tags]>, named: &HashSet<N>) -> Option<Stuck> {
        let granting = |wish: usize| {
            let candidates = self.wishes[wish].candidates.as_deref().unwrap_or(&[]);
            candidates.iter().filter(|p| self.is_in(p.package))
        };
        let mut founded: HashSet<P> = HashSet::new();
        for &wish in &self.agenda {
            founded.extend(granting(wish).filter(|p| self.may_be_chosen(**p, named)).map(|p| p.package));
        }
        let by_itself = |package: P| {
            let conditions = self.field.install_if(package);
            !conditions.is_empty() && conditions.iter().all(|c| self.holds(package, c, |p| self.is_in(p)))
        };
        for &wish in &self.agenda {
            let comes = |p: &Provider| {
                let tags = self.field.package(p.package).tags;
                allowed.is_none_or(|allowed| tags.has_any_of(allowed[p.package as usize]))
            };
            if !granting(wish).all(comes) {
                return Some(Stuck::Untagged(wish));
            }
            if !granting(wish).any(|p| founded.contains(&p.package) || by_itself(p.package)) {
                return Some(Stuck::Unnamed(wish));
            }
        }
        None
    }

    /// Whether one candidate is to be tried before another; the first difference decides.
    fn is_better(&self, a: Provider, b: Provider, pin: Tags) -> bool {
        let preferred = |p: Provider| self.field.package(p.package).tags.has_any_of(pin);
        preferred(a).cmp(&preferred(b)).then_with(|| self.field.compare(a, b)).is_gt()
    }

    /// A condition of a package that wants to come by itself.
    fn holds(&self, package: P, condition: &Need<'a>, is_in: impl Fn(P) -> bool) -> bool {
        let is_met = |p: &Provider| self.field.is_met_by(condition, Some(package), *p);
        let mut providers = self.field.providers(condition.name).iter().filter(|p| is_in(p.package));
        if condition.constraint.conflict { providers.all(is_met) } else { providers.any(is_met) }
    }

    /// The next package that comes by itself: the first by name, of several versions the best.
    fn automatic(&mut self, allowed: Option<&[Tags]>) -> Option<Literal> {
        let field = self.field;
        let mut best: Option<P> = None;
        let mut steps = 0;
        for literal in self.engine.trail().iter().filter(|l| l.is_yes()) {
            let package = Some(literal.variable()).filter(|one| (*one as usize) < field.packages.len());
            let held = package.into_iter().flat_map(|package| field.names_of(package));
            for waiting in held.flat_map(|name| field.waiting(name).iter().copied()) {
                steps += 1;
                let tags = field.package(waiting).tags;
                let comes = allowed.is_none_or(|allowed| tags.has_any_of(allowed[waiting as usize]));
                let refused = || {
                    let known = self.automatics.get(&waiting);
                    known.is_some_and(|variable| self.engine.value(Literal::yes(*variable)).is_some())
                };
                if !self.is_open(waiting)
                    || !comes
                    || refused()
                    || field.install_if(waiting).is_empty()
                    || !field.install_if(waiting).iter().all(|c| self.holds(waiting, c, |p| self.is_in(p)))
                {
                    continue;
                }
                let better = |best: &P| {
                    let (package, known) = (field.record(waiting), field.record(*best));
                    let names = package.name.cmp(&known.name);
                    let versions = || known.version.compare_as_apk(&package.version);
                    names.then_with(versions).then_with(|| waiting.cmp(best)).is_lt()
                };
                if best.as_ref().is_none_or(better) {
                    best = Some(waiting);
                }
            }
        }
        self.engine.steps += steps;
        let package = best?;
        // While it is there, what it must not be beside stays out.
        let mut implied = vec![Literal::yes(package)];
        for condition in field.install_if(package).iter().filter(|c| c.constraint.conflict) {
            let providers = field.providers(condition.name).iter();
            let named = providers.filter(|p| !field.is_met_by(condition, Some(package), **p));
            implied.extend(named.map(|p| Literal::no(p.package)));
        }
        if implied.len() == 1 {
            return Some(Literal::yes(package));
        }
        let known = self.automatics.get(&package).copied();
        Some(Literal::yes(known.unwrap_or_else(|| {
            let variable = self.engine.variable();
            self.by_variable.push(Extra::Automatic(implied));
            self.automatics.insert(package, variable);
            variable
        })))
    }

    /// Of what is in the set, what is needed: a package chosen early may serve nobody in the end.
    fn needed(&self) -> Vec<P> {
        let field = self.field;
        let mut kept = vec![false; field.packages.len()];
        let mut list: Vec<P> = Vec::new();
        let mut open: Vec<(Option<P>, &Need<'a>)> = field.world.iter().rev().map(|n| (None, n)).collect();
        let mut come: Vec<P> = Vec::new();
        loop {
            while let Some((by, need)) = open.pop() {
                if need.constraint.conflict {
                    continue;
                }
                let providers = field.providers(need.name).iter().copied();
                let granting: Vec<Provider> =
                    providers.filter(|p| self.is_in(p.package) && field.is_met_by(need, by, *p)).collect();
                if granting.iter().any(|p| kept[p.package as usize]) {
                    continue;
                }
                let pin = field.tags.bit(need.constraint.pin.as_deref());
                let best = granting
                    .into_iter()
                    .reduce(|best, p| if self.is_better(p, best, pin) { p } else { best });
                come.extend(best.map(|p| p.package));
                while let Some(package) = come.pop() {
                    kept[package as usize] = true;
                    list.push(package);
                    open.extend(field.depends(package).iter().rev().map(|need| (Some(package), need)));
                }
            }
            let mut packages = (0..).zip(&kept).filter(|(_, kept)| !**kept).map(|(package, _)| package);
            let by_itself = packages.find(|package| {
                let conditions = || field.install_if(*package);
                self.is_in(*package)
                    && !conditions().is_empty()
                    && conditions().iter().all(|c| self.holds(*package, c, |p| kept[p as usize]))
            });
            let Some(package) = by_itself else { break };
            kept[package as usize] = true;
            list.push(package);
            open.extend(field.depends(package).iter().map(|need| (Some(package), need)));
        }
        list.sort_unstable();
        list
    }
}
