//! Says whether a package set holds together. Shares nothing with the solver.

use std::collections::BTreeMap;
use std::fmt;

use assemble_apk::{Constraint, Operator, PackageId, PackageName, Provide, Record};

use crate::explain::shown;
use crate::universe::{ruled, ruled_constraint};
use crate::{Choice, Policy, Repository, Solution};

/// Something wrong with a package set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// Nothing in the set meets this.
    Unmet {
        /// Whose constraint; nothing for the world.
        by: Option<Choice>,
        /// Shown as.
        package: Option<PackageId>,
        /// The constraint.
        constraint: Constraint,
        /// Who in the set has the name, though not so that it counts.
        holders: Vec<Choice>,
    },
    /// A package is in the set that this excludes.
    Excluded {
        /// Whose constraint; nothing for the world.
        by: Option<Choice>,
        /// Shown as.
        package: Option<PackageId>,
        /// The constraint.
        constraint: Constraint,
        /// What it excludes.
        excluded: Choice,
        /// Shown as.
        excluded_package: PackageId,
    },
    /// Two packages provide one name, and not both without a version.
    Clash {
        /// One of them.
        choice: Choice,
        /// Shown as.
        package: PackageId,
        /// The other one, shown.
        other: PackageId,
        /// The name.
        name: PackageName,
    },
    /// A second package of one name.
    Twice {
        /// The second one.
        choice: Choice,
        /// Shown as.
        package: PackageId,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = |package: &Option<PackageId>| {
            package.as_ref().map_or_else(|| "the list of packages".to_owned(), |id| shown(&id.to_string()))
        };
        let text = |constraint: &Constraint| shown(&constraint.to_string());
        match self {
            Self::Unmet { package, constraint, .. } => {
                write!(f, "`{}`, required by {}, is not met", text(constraint), who(package))
            }
            Self::Excluded { package, constraint, excluded_package, .. } => {
                let excluded = shown(&excluded_package.to_string());
                write!(f, "{excluded} is excluded by `{}` of {}", text(constraint), who(package))
            }
            Self::Clash { package, other, name, .. } => {
                let (package, other) = (shown(&package.to_string()), shown(&other.to_string()));
                write!(f, "{package} and {other} both provide `{}`", shown(name.as_str()))
            }
            Self::Twice { package, .. } => {
                write!(f, "{} is a second package of its name", shown(&package.to_string()))
            }
        }
    }
}

/// A package of the set under one of its names, with the versions in which it has that name.
pub(crate) struct Holder<'a> {
    pub(crate) choice: Choice,
    pub(crate) record: &'a Record,
    /// What it provides under this name, as listed.
    provides: Vec<&'a Provide>,
}

impl<'a> Holder<'a> {
    /// A record under each of its names.
    pub(crate) fn all_of(choice: Choice, record: &'a Record) -> impl Iterator<Item = (&'a str, Self)> {
        let mut under: BTreeMap<&str, Vec<&Provide>> = BTreeMap::from([(record.name.as_str(), Vec::new())]);
        for provide in &record.provides {
            under.entry(provide.name.as_str()).or_default().push(provide);
        }
        under.into_iter().map(move |(name, provides)| (name, Self { choice, record, provides }))
    }

    /// Whether it has the name in a version.
    fn is_versioned(&self, name: &str) -> bool {
        self.record.name.as_str() == name || self.provides.iter().any(|p| p.version.is_some())
    }

    /// Whether it is what a constraint means.
    pub(crate) fn is_named(&self, constraint: &Constraint, policy: Policy) -> bool {
        match policy {
            Policy::Apk => {
                let own = self.record.name == constraint.name;
                (own && constraint.admits_as_apk(Some(&self.record.version)))
                    || self.provides.iter().any(|p| constraint.admits_as_apk(p.version.as_ref()))
            }
            Policy::Apko if constraint.conflict => self.is_excluded(&ruled_constraint(constraint)),
            Policy::Apko => self.meets(&ruled_constraint(constraint)),
        }
    }

    /// As apko sees it: by its own version if the name is its own; else by a version it provides the name in; and who
    /// provides it without a version counts with its own.
    fn meets(&self, bound: &Constraint) -> bool {
        let mut provides = self.provides.iter().copied().map(ruled).peekable();
        if bound.operator == Operator::Any {
            return true;
        }
        let own = self.record.name == bound.name || provides.peek().is_some_and(|p| p.version.is_none());
        (own && bound.satisfied_by(&self.record.version))
            || provides.any(|p| p.version.as_ref().is_some_and(|version| bound.satisfied_by(version)))
    }

    /// As [`Holder::meets`], but without a version nothing is said about bounds.
    fn is_excluded(&self, bound: &Constraint) -> bool {
        let own = self.record.name == bound.name && bound.satisfied_by(&self.record.version);
        let mut provides = self.provides.iter().copied().map(ruled);
        own || provides.any(|p| match &p.version {
            Some(version) => bound.satisfied_by(version),
            None => bound.operator == Operator::Any,
        })
    }
}

/// Everything wrong with a solution: needs that nothing in it meets, exclusions it breaks, two packages of one name, or
/// of one provided name. `policy` says whose order of versions counts. Empty for every solution that [`crate::solve`]
/// returns under [`Policy::Apk`]. A choice that points at no record counts as nothing.
pub fn check(
    world: &[Constraint],
    solution: &Solution,
    repositories: &[Repository],
    policy: Policy,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut chosen: Vec<Holder<'_>> = Vec::new();
    for &choice in &solution.packages {
        let repository = repositories.get(choice.repository);
        let record = repository.and_then(|r| r.index.records.get(choice.record));
        chosen.extend(record.map(|record| Holder { choice, record, provides: Vec::new() }));
    }
    let mut names: BTreeMap<&str, Vec<Holder<'_>>> = BTreeMap::new();
    for holder in &chosen {
        let name = holder.record.name.as_str();
        let same = names.entry(name).or_default();
        if same.iter().any(|other| other.record.name.as_str() == name) {
            violations.push(Violation::Twice { choice: holder.choice, package: id(holder.record) });
        }
        for (name, holder) in Holder::all_of(holder.choice, holder.record) {
            names.entry(name).or_default().push(holder);
        }
    }
    for constraint in world {
        violations.extend(broken(&names, constraint, None, policy));
    }
    for holder in &chosen {
        let depends = holder.record.depends.iter();
        violations.extend(depends.filter_map(|constraint| broken(&names, constraint, Some(holder), policy)));
    }
    for (name, holders) in names.iter().filter(|(_, holders)| holders.len() > 1) {
        violations.extend(clash(name, holders));
    }
    violations
}

fn id(record: &Record) -> PackageId {
    PackageId { name: record.name.clone(), version: record.version.clone() }
}

fn clash(name: &str, holders: &[Holder<'_>]) -> Option<Violation> {
    let versioned = holders.iter().find(|holder| holder.is_versioned(name))?;
    let other = holders.iter().find(|other| other.record.name != versioned.record.name)?;
    Some(Violation::Clash {
        choice: versioned.choice,
        package: id(versioned.record),
        other: id(other.record),
        name: PackageName::parse(name).ok()?,
    })
}

fn broken(
    names: &BTreeMap<&str, Vec<Holder<'_>>>,
    constraint: &Constraint,
    by: Option<&Holder<'_>>,
    policy: Policy,
) -> Option<Violation> {
    let holders = names.get(constraint.name.as_str()).map_or(&[][..], Vec::as_slice);
    let package = by.map(|holder| id(holder.record));
    let by = by.map(|holder| holder.choice);
    if constraint.conflict {
        let excluded = holders.iter().find(|h| Some(h.choice) != by && h.is_named(constraint, policy))?;
        return Some(Violation::Excluded {
            by,
            package,
            constraint: constraint.clone(),
            excluded: excluded.choice,
            excluded_package: id(excluded.record),
        });
    }
    if holders.iter().any(|holder| holder.is_named(constraint, policy)) {
        return None;
    }
    let holders = holders.iter().map(|holder| holder.choice).collect();
    Some(Violation::Unmet { by, package, constraint: constraint.clone(), holders })
}
