//! Turns a dead end of the solver into an error that says why.

use assemble_apk::{Constraint, PackageId};

use crate::error::{Chain, Conflict, Mismatch, Missing, Unsolvable};
use crate::pass::{Pass, Reason};
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
    if wanted.version.as_ref().is_some_and(|version| !version.is_valid()) {
        return Unsolvable::NotAVersion { wanted: wanted.clone(), required_by };
    }
    let usable = |id: &Id| {
        let pin = universe.entry(*id).pin;
        pin.is_none() || pin == allowed
    };
    let usable_holders: Vec<Id> = universe.holders(wanted.name.as_str()).filter(usable).collect();
    if let Some(&id) = fitting.iter().find(|id| usable(id)) {
        return ruled_out(pass, wanted, id, required_by);
    }
    if !usable_holders.is_empty() && !fitting.iter().any(|id| !usable(id)) {
        let found = newest_first(universe, &usable_holders);
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
        Some(Reason::Tried) | None => Unsolvable::Unmet { wanted: wanted.clone(), required_by },
    }
}

fn newest_first(universe: &Universe<'_>, ids: &[Id]) -> Vec<PackageId> {
    let mut found: Vec<PackageId> = ids.iter().map(|id| universe.package(*id)).collect();
    found.sort_by(|a, b| {
        let versions = b.version.compare(&a.version);
        versions
            .unwrap_or_else(|| b.version.as_str().cmp(a.version.as_str()))
            .then_with(|| a.name.cmp(&b.name))
    });
    found.dedup();
    found
}

/// Packages that have the command of this name, then packages whose names look alike.
fn near(universe: &Universe<'_>, name: &str) -> Vec<String> {
    let command = format!("cmd:{name}");
    let mut out: Vec<String> = Vec::new();
    for id in universe.holders(&command) {
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
