//! Turns a dead end of the solver into an error that says why.

use assemble_apk::{Constraint, Version};

use crate::Policy;
use crate::apko::{Pass, Reason};
use crate::error::{Chain, Conflict, Holder, Mismatch, Missing, Unsolvable};
use crate::universe::{Id, Universe};

/// How many names are proposed at most.
const PROPOSALS: usize = 3;

/// Text from outside, safe for a terminal.
pub(crate) fn shown(text: &str) -> String {
    if text.chars().any(char::is_control) { text.escape_debug().to_string() } else { text.to_owned() }
}

/// Two records that exclude each other.
pub(crate) fn conflict(
    pass: &Pass<'_, '_>,
    left: (Id, Chain),
    right: Option<Id>,
    rule: String,
) -> Unsolvable {
    Unsolvable::Conflict(Box::new(Conflict {
        left: pass.universe.package(left.0),
        left_by: left.1,
        right: right.map(|id| pass.universe.package(id)),
        right_by: right.map(|id| pass.chain_to(id)).unwrap_or_default(),
        rule,
    }))
}

/// Why a constraint has no playable candidate. `fitting` are those that its bound allows.
pub(crate) fn nothing_for(
    pass: &Pass<'_, '_>,
    wanted: &Constraint,
    fitting: &[Id],
    allowed: Option<&str>,
    required_by: Chain,
) -> Unsolvable {
    let universe = pass.universe;
    match fitting.iter().find(|id| is_usable(universe, **id, allowed)) {
        Some(&id) if wanted.version.as_ref().is_none_or(Version::is_valid) => {
            ruled_out(pass, wanted, id, required_by)
        }
        _ => lacking(universe, wanted, fitting, allowed, required_by, Policy::Apko),
    }
}

/// Whether a record may be used by whoever asks for this tag.
fn is_usable(universe: &Universe<'_>, id: Id, allowed: Option<&str>) -> bool {
    let pin = universe.entry(id).pin;
    pin.is_none() || pin == allowed
}

/// Why nobody can be used for a constraint, whatever else is chosen. `fitting` are those that its bound allows.
pub(crate) fn lacking(
    universe: &Universe<'_>,
    wanted: &Constraint,
    fitting: &[Id],
    allowed: Option<&str>,
    required_by: Chain,
    policy: Policy,
) -> Unsolvable {
    let is_version = |version: &Version| match policy {
        Policy::Apk => version.is_valid_for_apk(),
        Policy::Apko => version.is_valid(),
    };
    if wanted.version.as_ref().is_some_and(|version| !is_version(version)) {
        return Unsolvable::NotAVersion { wanted: wanted.clone(), required_by };
    }
    let usable = |id: &Id| is_usable(universe, *id, allowed);
    let holders = universe.holders_of(wanted.name.as_str());
    let usable_holders: Vec<Id> = holders.iter().copied().filter(usable).collect();
    if !usable_holders.is_empty() && !fitting.iter().any(|id| !usable(id)) {
        let found = newest_first(universe, &usable_holders, wanted.name.as_str(), policy);
        return Unsolvable::VersionMismatch(Box::new(Mismatch {
            wanted: wanted.clone(),
            required_by,
            found,
        }));
    }
    let mut tagged: Vec<String> =
        fitting.iter().filter_map(|id| universe.entry(*id).pin).map(str::to_owned).collect();
    tagged.sort_unstable();
    tagged.dedup();
    let near = if tagged.is_empty() { near(universe, wanted.name.as_str()) } else { Vec::new() };
    Unsolvable::NoProvider(Box::new(Missing { wanted: wanted.clone(), required_by, near, tagged }))
}

/// The only candidates were taken out of play; the first of them says by what.
fn ruled_out(pass: &Pass<'_, '_>, wanted: &Constraint, id: Id, required_by: Chain) -> Unsolvable {
    let mut chain = required_by.clone();
    if chain.packages.is_empty() {
        chain.entry = Some(wanted.to_string());
    }
    chain.packages.push(pass.universe.package(id).to_string());
    match pass.reason(id) {
        Some(Reason::Bound { by, constraint }) => {
            let whose = if by.is_some() { "the latter" } else { "the list of packages" };
            let verb = if constraint.conflict { "says" } else { "wants" };
            let rule = format!("{whose} {verb} {}", shown(&constraint.to_string()));
            conflict(pass, (id, chain), by, rule)
        }
        Some(Reason::Provided { by, name }) => {
            conflict(pass, (id, chain), Some(by), format!("both provide {}", shown(name)))
        }
        Some(Reason::NotEverywhere) => {
            Unsolvable::NotEverywhere { package: pass.universe.package(id), required_by }
        }
        None => Unsolvable::Unmet { wanted: wanted.clone(), required_by },
    }
}

/// Who has a name, by the versions of the packages.
fn newest_first(universe: &Universe<'_>, ids: &[Id], name: &str, policy: Policy) -> Vec<Holder> {
    let provided = |id: Id| {
        let number = universe.name(name).filter(|_| universe.record(id).name.as_str() != name)?;
        universe.provides(id, number).next().cloned()
    };
    let mut found: Vec<Holder> =
        ids.iter().map(|id| Holder { package: universe.package(*id), provides: provided(*id) }).collect();
    found.sort_by(|Holder { package: a, .. }, Holder { package: b, .. }| {
        let versions = match policy {
            Policy::Apk => b.version.compare_as_apk(&a.version),
            // What is outside the grammar comes last, so that the order is total.
            Policy::Apko => b.version.compare(&a.version).unwrap_or_else(|| {
                let valid = b.version.is_valid().cmp(&a.version.is_valid());
                valid.then_with(|| b.version.as_str().cmp(a.version.as_str()))
            }),
        };
        versions.then_with(|| a.name.cmp(&b.name))
    });
    found.dedup();
    found
}

/// Packages that have the command of this name, then packages whose names look alike.
fn near(universe: &Universe<'_>, name: &str) -> Vec<String> {
    let command = format!("cmd:{name}");
    let mut out: Vec<String> = Vec::new();
    for &id in universe.holders_of(&command) {
        let package = shown(universe.record(id).name.as_str());
        if !out.contains(&package) && out.len() < PROPOSALS {
            out.push(package);
        }
    }
    let limit = 1 + name.chars().count() / 4;
    let mut alike: Vec<(usize, &str)> = universe
        .names()
        .filter(|other| other.len().abs_diff(name.len()) <= limit)
        .map(|other| (strsim::damerau_levenshtein(other, name), other))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    alike.sort_unstable();
    alike.dedup();
    for (_, other) in alike {
        let other = shown(other);
        if other != name && !out.contains(&other) && out.len() < PROPOSALS {
            out.push(other);
        }
    }
    out
}
