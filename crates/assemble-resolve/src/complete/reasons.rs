//! Why there is no set: what the dead end rests on, told from the world down.

use std::collections::{BTreeSet, VecDeque};

use super::engine::{Conflict, Literal, Reason, Source};
use super::search::{Search, Stuck};
use crate::Policy;
use crate::apk::field::{Need, P, Tags};
use crate::error::{Ambiguous, Chain, Conflict as Clash, NotInstallable, Unsolvable, Untagged};
use crate::explain::{lacking, shown};

/// What a proof rests on.
#[derive(Debug, Default)]
struct Core {
    /// Who needs what: a package and a wish.
    needs: BTreeSet<(P, usize)>,
    /// Who cannot be beside whom.
    clashes: Vec<(P, P)>,
}

/// Why the search ended where it did.
pub(super) fn explain(search: &Search<'_, '_, '_>, conflict: Conflict) -> Unsolvable {
    if let Some(stuck) = &search.stuck {
        return stuck.clone();
    }
    let core = core(search, conflict);
    let mut walk = Walk::new(search);
    let field = search.field;
    let leaf = walk.run(
        |package, wish| core.needs.contains(&(package, wish)),
        |package| !is_settled(search, package),
        |search, wish| {
            let candidates = search.wishes[wish].candidates.as_deref().unwrap_or(&[]);
            candidates.iter().all(|p| is_settled(search, p.package))
        },
    );
    if let Some((by, wish)) = leaf {
        return nothing_for(search, &search.wishes[wish].need, by, &walk);
    }
    let reached = |(a, b): &&(P, P)| walk.place(*a).is_some() && walk.place(*b).is_some();
    let first = core.clashes.iter().filter(reached).min_by_key(|(a, b)| {
        let (a, b) = (walk.place(*a), walk.place(*b));
        (a.max(b), a.min(b))
    });
    match first {
        Some(&(a, b)) => clash(search, a, b, &walk),
        None => match field.world.iter().find(|need| !need.constraint.conflict) {
            Some(need) => {
                Unsolvable::Unmet { wanted: need.constraint.clone(), required_by: Chain::default() }
            }
            None => Unsolvable::GivenUp { steps: search.engine.steps },
        },
    }
}

/// Whether a package is out whatever is chosen, for a reason of its own.
fn is_settled(search: &Search<'_, '_, '_>, package: P) -> bool {
    search.engine.value(Literal::yes(package)) == Some(false)
        && search.engine.reason(Literal::no(package)) == Some(Reason::Fact)
}

/// Everything that the final conflict follows from.
fn core(search: &Search<'_, '_, '_>, conflict: Conflict) -> Core {
    let engine = &search.engine;
    let mut core = Core::default();
    let mut open = vec![match conflict {
        Conflict::Clause(id) => Source::Clause(id),
        Conflict::Pair(one, other) => Source::Pair(one, other),
    }];
    let mut clauses = BTreeSet::new();
    let mut literals = BTreeSet::new();
    let mut falsified: Vec<Literal> = Vec::new();
    while let Some(source) = open.pop() {
        match source {
            Source::Clause(id) => {
                if clauses.insert(id) {
                    let (parts, sources) = engine.clause(id);
                    falsified.extend(parts.iter().filter(|l| engine.value(**l) == Some(false)));
                    open.extend_from_slice(sources);
                }
            }
            Source::Pair(one, other) => {
                core.note(search, one, other);
                falsified.extend([one, other].iter().filter(|l| engine.value(**l) == Some(false)));
            }
            Source::Settled(literal) => falsified.push(literal),
        }
        while let Some(literal) = falsified.pop() {
            if !literals.insert(literal) {
                continue;
            }
            match engine.reason(literal) {
                Some(Reason::Clause(id)) => open.push(Source::Clause(id)),
                Some(Reason::Pair(other)) => open.push(Source::Pair(literal.not(), other)),
                Some(Reason::Decision | Reason::Fact) | None => {}
            }
        }
    }
    core
}

impl Core {
    /// A rule between two literals: a package that needs something, or two packages that clash.
    fn note(&mut self, search: &Search<'_, '_, '_>, one: Literal, other: Literal) {
        let packages = search.field.packages.len();
        let is_package = |l: Literal| (l.variable() as usize) < packages;
        match (is_package(one), is_package(other)) {
            (true, true) if !one.is_yes() && !other.is_yes() => {
                self.clashes.push((one.variable(), other.variable()));
            }
            (false, true) | (true, false) => {
                let (wish, package) = if is_package(one) { (other, one) } else { (one, other) };
                if let Some(place) = search.wish_of(wish.variable())
                    && !package.is_yes()
                {
                    self.needs.insert((package.variable(), place));
                }
            }
            _ => {}
        }
    }
}

/// A walk from the world down, nearest first.
struct Walk<'s, 'f, 'u, 'a> {
    search: &'s Search<'f, 'u, 'a>,
    /// Of each package that was reached: when, who needs it, and the entry of the world that began it.
    reached: Vec<Option<(usize, Option<P>, usize)>>,
    count: usize,
}

impl<'s, 'f, 'u, 'a> Walk<'s, 'f, 'u, 'a> {
    fn new(search: &'s Search<'f, 'u, 'a>) -> Self {
        Self { search, reached: vec![None; search.field.packages.len()], count: 0 }
    }

    fn place(&self, package: P) -> Option<usize> {
        self.reached[package as usize].map(|(place, _, _)| place)
    }

    /// Follows the needs that `follows` tells to packages that `enters` tells, until a wish at which it `ends`.
    fn run(
        &mut self,
        follows: impl Fn(P, usize) -> bool,
        enters: impl Fn(P) -> bool,
        ends: impl Fn(&Search<'f, 'u, 'a>, usize) -> bool,
    ) -> Option<(Option<P>, usize)> {
        let search = self.search;
        let world = search.field.world.iter().enumerate().filter(|(_, need)| !need.constraint.conflict);
        let mut open: VecDeque<(Option<P>, usize, usize)> =
            world.filter_map(|(entry, need)| Some((None, search.known_wish(need)?, entry))).collect();
        while let Some((by, wish, entry)) = open.pop_front() {
            if ends(search, wish) {
                return Some((by, wish));
            }
            let pin = search.field.tags.bit(search.wishes[wish].need.constraint.pin.as_deref());
            for package in search.in_order(wish, pin) {
                if self.reached[package as usize].is_some() || !enters(package) {
                    continue;
                }
                self.reached[package as usize] = Some((self.count, by, entry));
                self.count += 1;
                let needs = search.field.depends(package).iter();
                let needs = needs.filter(|need| !need.constraint.conflict);
                let known = needs.filter_map(|need| search.known_wish(need));
                open.extend(known.filter(|w| follows(package, *w)).map(|w| (Some(package), w, entry)));
            }
        }
        None
    }

    /// From the world to a package.
    fn chain(&self, package: Option<P>) -> Chain {
        let mut packages = Vec::new();
        let mut entry = None;
        let mut at = package;
        while let Some(package) = at {
            let Some((_, by, from)) = self.reached[package as usize] else { break };
            packages
                .push(self.search.field.universe.package(self.search.field.package(package).id).to_string());
            entry = Some(self.search.field.world[from].constraint.to_string());
            at = by;
        }
        packages.reverse();
        Chain { entry, packages }
    }
}

/// Why nobody grants a wish, whatever else is chosen.
fn nothing_for(
    search: &Search<'_, '_, '_>,
    need: &Need<'_>,
    by: Option<P>,
    walk: &Walk<'_, '_, '_, '_>,
) -> Unsolvable {
    let field = search.field;
    let universe = field.universe;
    let required_by = walk.chain(by);
    let fitting: Vec<P> = field
        .providers(need.name)
        .iter()
        .filter(|p| field.is_met_by(need, None, **p))
        .map(|p| p.package)
        .collect();
    if let Some(&package) = fitting.iter().find(|p| field.is_installable(**p)) {
        // Installable, and still out whatever is chosen: the world says so.
        let excludes = |entry: &&Need<'_>| {
            let mut named = field.providers(entry.name).iter().filter(|p| p.package == package);
            entry.constraint.conflict && named.any(|p| !field.is_met_by(entry, None, *p))
        };
        let rule = field.world.iter().find(excludes).map(|entry| entry.constraint.to_string());
        let mut left_by = required_by;
        let id = universe.package(field.package(package).id);
        if left_by.packages.is_empty() {
            left_by.entry = Some(need.constraint.to_string());
        }
        left_by.packages.push(id.to_string());
        return Unsolvable::Conflict(Box::new(Clash {
            left: id,
            left_by,
            right: None,
            right_by: Chain::default(),
            rule: format!("the list of packages says {}", shown(&rule.unwrap_or_default())),
        }));
    }
    if let Some(&package) = fitting.first() {
        let entry = field.package(package);
        return Unsolvable::NotInstallable(Box::new(NotInstallable {
            package: universe.package(entry.id),
            why: Search::why_not(field.record(package)),
            required_by,
        }));
    }
    // A record that is none of the field's packages is a double of one of them.
    let record_fits = |id: &&u32| {
        let record = universe.record(**id);
        record.name == need.constraint.name && need.constraint.admits_as_apk(Some(&record.version))
    };
    if let Some(&double) = universe.holders_of(field.text(need.name)).iter().find(record_fits) {
        return Unsolvable::NotInstallable(Box::new(NotInstallable {
            package: universe.package(double),
            why: "another package has its checksum, and so is the same".to_owned(),
            required_by,
        }));
    }
    lacking(universe, need.constraint, &[], None, required_by, Policy::Apk)
}

/// Two packages that cannot be in one set.
fn clash(search: &Search<'_, '_, '_>, a: P, b: P, walk: &Walk<'_, '_, '_, '_>) -> Unsolvable {
    let field = search.field;
    let excludes = |by: P, other: P| {
        field.depends(by).iter().find(|need| {
            let mut providers = field.providers(need.name).iter();
            need.constraint.conflict
                && providers.any(|p| p.package == other && !field.is_met_by(need, Some(by), *p))
        })
    };
    let told = |left: P, right: P, rule: String| {
        Unsolvable::Conflict(Box::new(Clash {
            left: field.universe.package(field.package(left).id),
            left_by: walk.chain(Some(left)),
            right: Some(field.universe.package(field.package(right).id)),
            right_by: walk.chain(Some(right)),
            rule,
        }))
    };
    for (left, right) in [(a, b), (b, a)] {
        if let Some(need) = excludes(right, left) {
            return told(left, right, format!("the latter says {}", shown(&need.constraint.to_string())));
        }
    }
    let (one, other) = (field.package(a), field.package(b));
    if one.name == other.name {
        let rule = format!("both are named {}", shown(field.text(one.name)));
        return told(a, b, rule);
    }
    let shared = field.names_of(a).find(|name| field.names_of(b).any(|held| held == *name));
    let name = shared.map(|name| shown(field.text(name))).unwrap_or_default();
    told(a, b, format!("both provide {name}"))
}

/// What would have to be asked for where a branch was left.
pub(super) fn missing(search: &Search<'_, '_, '_>, stuck: Stuck) -> Unsolvable {
    let field = search.field;
    let mut walk = Walk::new(search);
    let (wish, untagged) = match stuck {
        Stuck::Unnamed(wish) => (wish, false),
        Stuck::Untagged(wish) => (wish, true),
    };
    let found = walk.run(|_, _| true, |package| search.is_in(package), |_, at| at == wish);
    let required_by = walk.chain(found.and_then(|(by, _)| by));
    let need = &search.wishes[wish].need;
    let packages = search.in_order(wish, Tags::UNTAGGED);
    if untagged {
        let tagged = packages.iter().find_map(|package| {
            let entry = field.package(*package);
            Some((entry, field.universe.entry(entry.id).pin?))
        });
        if let Some((entry, tag)) = tagged {
            let package = field.universe.package(entry.id);
            let mut chain = required_by;
            if chain.packages.is_empty() {
                chain.entry = Some(need.constraint.to_string());
            }
            chain.packages.push(package.to_string());
            return Unsolvable::Untagged(vec![Untagged { package, tag: tag.to_owned(), required_by: chain }]);
        }
    }
    let mut providers: Vec<String> = packages.iter().map(|p| shown(field.record(*p).name.as_str())).collect();
    providers.dedup();
    Unsolvable::Ambiguous(Box::new(Ambiguous { wanted: need.constraint.clone(), required_by, providers }))
}
