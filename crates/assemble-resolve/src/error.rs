//! Why there is no package set.

use std::fmt;

use assemble_apk::{Constraint, PackageId, Provide};
use assemble_types::{Arch, Explain, Kind};

use crate::explain::shown;

/// Who asked, from an entry of the world down: `alpine-base-3.19 -> busybox-1.36`. Empty means the world itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    /// The entry of the world it begins with, as written, where that is known.
    pub entry: Option<String>,
    /// The packages, each needed by the one before.
    pub packages: Vec<String>,
}

impl Chain {
    const SHOWN: usize = 8;

    /// What to change in the world: the entry, or else the first package.
    fn root(&self) -> Option<&str> {
        self.entry.as_deref().or_else(|| self.packages.first().map(String::as_str))
    }

    /// Whether the world itself asks.
    fn is_world(&self) -> bool {
        self.packages.is_empty()
    }

    /// The chain without its last package: who needs that.
    fn above(&self) -> Self {
        let mut packages = self.packages.clone();
        packages.pop();
        Self { entry: self.entry.clone(), packages }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.packages.iter().map(|name| shown(name)).collect();
        match all.len() {
            0 => write!(f, "the list of packages"),
            n if n <= Self::SHOWN => write!(f, "{}", all.join(" -> ")),
            n => {
                let (head, tail) = (&all[..Self::SHOWN / 2], &all[n - Self::SHOWN / 2..]);
                write!(f, "{} -> … {} more … -> {}", head.join(" -> "), n - Self::SHOWN, tail.join(" -> "))
            }
        }
    }
}

/// Two things that cannot be in one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// One package.
    pub left: PackageId,
    /// Who needs it, down to itself.
    pub left_by: Chain,
    /// The other package; nothing where the list of packages itself stands against it.
    pub right: Option<PackageId>,
    /// Who needs that, down to itself.
    pub right_by: Chain,
    /// What stands between them.
    pub rule: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with_chain = |id: &PackageId, chain: &Chain| {
            let (id, above) = (shown(&id.to_string()), chain.above());
            if above.is_world() { id } else { format!("{id} (needed by {above})") }
        };
        let left = with_chain(&self.left, &self.left_by);
        match &self.right {
            Some(right) => {
                write!(
                    f,
                    "{left} cannot be installed beside {}: {}",
                    with_chain(right, &self.right_by),
                    self.rule
                )
            }
            None => write!(f, "{left} cannot be installed: {}", self.rule),
        }
    }
}

/// A name that nobody provides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What was asked for.
    pub wanted: Constraint,
    /// By whom.
    pub required_by: Chain,
    /// Names that look alike or provide the command of this name, best first.
    pub near: Vec<String>,
    /// Tags of repositories that have it, but were not asked.
    pub tagged: Vec<String>,
}

/// A name that is there, but not in the version asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// What was asked for.
    pub wanted: Constraint,
    /// By whom.
    pub required_by: Chain,
    /// What is there, newest first.
    pub found: Vec<Holder>,
}

/// A package that has a name, though not in the version asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The package.
    pub package: PackageId,
    /// What it provides by that name; nothing if it is called so itself.
    pub provides: Option<Provide>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let package = shown(&self.package.to_string());
        match self.provides.as_ref().map(|provide| (shown(provide.name.as_str()), &provide.version)) {
            None => f.write_str(&package),
            Some((name, None)) => write!(f, "{package} (provides {name} without a version)"),
            Some((name, Some(version))) => {
                write!(f, "{package} (provides {name}={})", shown(version.as_str()))
            }
        }
    }
}

/// A package that is needed, but only a tagged repository has it and it is not asked for with that tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untagged {
    /// The package.
    pub package: PackageId,
    /// The tag of the repository that has it.
    pub tag: String,
    /// Who needs it, down to itself.
    pub required_by: Chain,
}

/// A name that several packages could stand in for, none of them more than another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ambiguous {
    /// What was asked for.
    pub wanted: Constraint,
    /// By whom.
    pub required_by: Chain,
    /// The names of those who could.
    pub providers: Vec<String>,
}

/// A package that cannot be installed, whoever asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotInstallable {
    /// The package.
    pub package: PackageId,
    /// Why.
    pub why: String,
    /// Who needs it; the world if nobody.
    pub required_by: Chain,
}

/// A name for which architectures chose different versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// As it was typed, without version and tag.
    pub name: String,
    /// What was chosen, and for which architectures.
    pub choices: Vec<(String, Vec<Arch>)>,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is ", shown(&self.name))?;
        for (place, (choice, archs)) in self.choices.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            let archs: Vec<_> = archs.iter().map(|arch| arch.apk()).collect();
            write!(f, "{comma}{} for {}", shown(choice), archs.join(" and "))?;
        }
        Ok(())
    }
}

/// Why there is no package set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsolvable {
    /// No repository in use has a package of this name, or one that provides it.
    #[error("no package provides `{}`, required by {}", shown(&.0.wanted.to_string()), .0.required_by)]
    NoProvider(Box<Missing>),
    /// Packages would come from a tagged repository without having been asked for from there, each by its name. Never empty.
    #[error("{} is in a repository tagged @{} only; what comes from there has to be asked for by name{}",
        first_name(.0), first_tag(.0), others(.0))]
    Untagged(Vec<Untagged>),
    /// There are packages of this name, but none in this version.
    #[error(
        "`{}`, required by {}: there is {}, but {} was asked for",
        shown(&.0.wanted.to_string()), .0.required_by, there(&.0.found), asked(&.0.wanted)
    )]
    VersionMismatch(Box<Mismatch>),
    /// The version that is asked for is outside the grammar, so none can be compared with it.
    #[error("`{}`, required by {}, has a version that cannot be compared", shown(&.wanted.to_string()), .required_by)]
    NotAVersion {
        /// What was asked for.
        wanted: Constraint,
        /// By whom.
        required_by: Chain,
    },
    /// Two packages that are both needed exclude each other.
    #[error("{0}")]
    Conflict(Box<Conflict>),
    /// A chosen package's needs are not met, and nothing else could be chosen.
    #[error("`{}`, required by {}, is not met by any choice of packages", shown(&.wanted.to_string()), .required_by)]
    Unmet {
        /// What was asked for.
        wanted: Constraint,
        /// By whom.
        required_by: Chain,
    },
    /// Packages need each other in so many ways that one resolution does not end in reasonable time.
    #[error("no package set was found within {choices} choices; the dependencies are tangled")]
    Tangled {
        /// How many choices were made.
        choices: usize,
    },
    /// The search was given up: there may be a set.
    #[error("gave up after {steps} steps; there may be a package set, but none was found")]
    GivenUp {
        /// Counted, so that the result depends on nothing but the input.
        steps: u64,
    },
    /// Somebody has to say which of several packages is meant.
    #[error("`{}`, required by {}, could be {}, which may be chosen only if asked for by name",
        shown(&.0.wanted.to_string()), .0.required_by, .0.providers.join(" or "))]
    Ambiguous(Box<Ambiguous>),
    /// The only package that would do cannot be installed.
    #[error("{} cannot be installed: {}{}", shown(&.0.package.to_string()), .0.why, needed_by(&.0.required_by))]
    NotInstallable(Box<NotInstallable>),
    /// Another architecture lacks the only package that would do.
    #[error("{} is not there for every architecture{}", shown(&.package.to_string()), needed_by(.required_by))]
    NotEverywhere {
        /// The package.
        package: PackageId,
        /// Who needs it; the world if nobody.
        required_by: Chain,
    },
    /// No repository has the tag that is asked for.
    #[error("`{}`: no repository is tagged @{}", shown(&.wanted.to_string()), shown(.tag))]
    UnknownTag {
        /// As written.
        wanted: Constraint,
        /// The tag.
        tag: String,
        /// The tags that there are.
        known: Vec<String>,
    },
    /// apko looks for a package of this name, exclamation mark and all.
    #[error("`{}`: apko cannot exclude packages in the list of packages", shown(&.wanted.to_string()))]
    Exclusion {
        /// As written.
        wanted: Constraint,
    },
    /// Architectures chose different versions of what was typed.
    #[error("the architectures do not agree: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Disagree(Vec<Disagreement>),
    /// There are several architectures, and there is no package set for this one.
    #[error("for {}: {reason}", .arch.apk())]
    For {
        /// The architecture.
        arch: Arch,
        /// Why there is none.
        reason: Box<Unsolvable>,
    },
}

fn needed_by(chain: &Chain) -> String {
    if chain.is_world() { String::new() } else { format!(" (needed by {chain})") }
}

fn first_name(list: &[Untagged]) -> String {
    list.first()
        .map(|one| format!("{} (needed by {})", shown(&one.package.to_string()), one.required_by.above()))
        .unwrap_or_default()
}

fn first_tag(list: &[Untagged]) -> String {
    list.first().map(|one| shown(&one.tag)).unwrap_or_default()
}

fn others(list: &[Untagged]) -> String {
    match list.len() {
        0 | 1 => String::new(),
        n => format!(", and so have {} more", n - 1),
    }
}

fn there(found: &[Holder]) -> String {
    let names: Vec<_> = found.iter().take(3).map(ToString::to_string).collect();
    let more = found.len().saturating_sub(3);
    if more > 0 { format!("{} (and {more} more)", names.join(", ")) } else { names.join(", ") }
}

fn asked(wanted: &Constraint) -> String {
    let version = wanted.version.as_ref().map(|v| shown(v.as_str())).unwrap_or_default();
    match wanted.operator.as_str() {
        "=" => version,
        operator => format!("{operator}{version}"),
    }
}

impl Unsolvable {
    /// The entries of the list of packages that lead to it, as they are written, or the `name-version` of the package that
    /// an entry led to where only that is known.
    pub fn entries(&self) -> Vec<String> {
        let of = |chain: &Chain, wanted: Option<&Constraint>| {
            let wanted = wanted.filter(|_| chain.is_world()).map(ToString::to_string);
            wanted.or_else(|| chain.root().map(str::to_owned))
        };
        let found = match self {
            Self::NoProvider(one) => vec![of(&one.required_by, Some(&one.wanted))],
            Self::Untagged(list) => list.iter().map(|one| of(&one.required_by, None)).collect(),
            Self::VersionMismatch(one) => vec![of(&one.required_by, Some(&one.wanted))],
            Self::NotAVersion { wanted, required_by } | Self::Unmet { wanted, required_by } => {
                vec![of(required_by, Some(wanted))]
            }
            Self::Conflict(conflict) => vec![of(&conflict.left_by, None), of(&conflict.right_by, None)],
            Self::Ambiguous(one) => vec![of(&one.required_by, Some(&one.wanted))],
            Self::NotInstallable(one) => {
                let own = one.required_by.is_world().then(|| one.package.to_string());
                vec![own.or_else(|| of(&one.required_by, None))]
            }
            Self::NotEverywhere { package, required_by } => {
                let own = required_by.is_world().then(|| package.to_string());
                vec![own.or_else(|| of(required_by, None))]
            }
            Self::UnknownTag { wanted, .. } | Self::Exclusion { wanted } => vec![Some(wanted.to_string())],
            Self::Disagree(all) => all.iter().map(|one| Some(one.name.clone())).collect(),
            Self::For { reason, .. } => return reason.entries(),
            Self::Tangled { .. } | Self::GivenUp { .. } => Vec::new(),
        };
        found.into_iter().flatten().collect()
    }
}

impl Explain for Unsolvable {
    fn code(&self) -> &'static str {
        match self {
            Self::NoProvider(_) => "resolve/no-provider",
            Self::Untagged(_) => "resolve/untagged",
            Self::VersionMismatch(_) => "resolve/version",
            Self::NotAVersion { .. } => "resolve/not-a-version",
            Self::Conflict(_) => "resolve/conflict",
            Self::Unmet { .. } => "resolve/unmet",
            Self::Tangled { .. } => "resolve/tangled",
            Self::GivenUp { .. } => "resolve/given-up",
            Self::Ambiguous(_) => "resolve/ambiguous",
            Self::NotInstallable(_) => "resolve/not-installable",
            Self::NotEverywhere { .. } => "resolve/not-everywhere",
            Self::Exclusion { .. } => "resolve/exclusion",
            Self::Disagree(_) => "resolve/disagree",
            Self::UnknownTag { .. } => "resolve/unknown-tag",
            Self::For { reason, .. } => reason.code(),
        }
    }

    fn kind(&self) -> Kind {
        Kind::Unsolvable
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoProvider(missing) => missing.hints(),
            Self::Untagged(list) => {
                let entries: Vec<_> = list
                    .iter()
                    .map(|one| format!("`{}@{}`", shown(one.package.name.as_str()), shown(&one.tag)))
                    .collect();
                vec![format!("add {} to contents.packages", entries.join(", "))]
            }
            Self::VersionMismatch(mismatch) => mismatch.hints(),
            Self::Conflict(conflict) => conflict.hints(),
            Self::NotAVersion { .. } => {
                vec![
                    "write versions as 1.2.3, 1.2.3_rc1 or 1.2.3-r4, the way the repository lists them"
                        .to_owned(),
                ]
            }
            Self::Unmet { required_by, .. } => leave_out(&[required_by]),
            Self::Tangled { .. } | Self::GivenUp { .. } => {
                vec![
                    "name the packages that are wanted themselves in contents.packages, `name=version`"
                        .into(),
                ]
            }
            Self::Ambiguous(ambiguous) => {
                vec![format!("add one of them to contents.packages: {}", ambiguous.providers.join(", "))]
            }
            Self::NotInstallable(one) if one.required_by.is_world() => {
                let name = shown(one.package.name.as_str());
                vec![format!(
                    "take `{name}` out of contents.packages, or add a repository that has another one"
                )]
            }
            Self::NotInstallable(one) => leave_out(&[&one.required_by]),
            Self::NotEverywhere { required_by, .. } => {
                let mut hints = leave_out(&[required_by]);
                hints.push("build the architectures that have it alone, with `--arch`".to_owned());
                hints
            }
            Self::Exclusion { .. } => {
                vec!["take it out, or build with `assemble build`, which keeps to exclusions".to_owned()]
            }
            Self::Disagree(all) => all
                .iter()
                .filter_map(|one| one.choices.first())
                .map(|(choice, _)| {
                    format!(
                        "ask for a version that all have, such as {}, in contents.packages",
                        shown(choice)
                    )
                })
                .collect(),
            Self::UnknownTag { tag, known, .. } => {
                let mut hints = vec![format!("write `@{} ADDRESS` in contents.repositories", shown(tag))];
                if !known.is_empty() {
                    hints.push(format!("use a tag that there is: {}", known.join(", ")));
                }
                hints
            }
            Self::For { reason, .. } => reason.hints(),
        }
    }
}

impl Missing {
    fn hints(&self) -> Vec<String> {
        let name = shown(self.wanted.name.as_str());
        let wanted = shown(&Constraint { pin: None, ..self.wanted.clone() }.to_string());
        let by_user = self.required_by.is_world();
        let mut hints = Vec::new();
        for tag in &self.tagged {
            let place = if by_user { "write" } else { "add" };
            hints.push(format!(
                "{place} `{wanted}@{tag}` in contents.packages: the repository tagged @{tag} has it"
            ));
        }
        if let (true, Some((first, others))) = (by_user, self.near.split_first()) {
            let others =
                if others.is_empty() { String::new() } else { format!(" (or {})", others.join(", ")) };
            hints.push(format!("write `{first}` instead of `{name}` in contents.packages{others}"));
        }
        if hints.is_empty() || (!by_user && self.tagged.is_empty()) {
            hints.push(format!("add the repository that has `{name}` to contents.repositories"));
        }
        hints
    }
}

impl Mismatch {
    fn hints(&self) -> Vec<String> {
        let Some(newest) = self.found.first() else { return Vec::new() };
        let newest = &newest.package;
        let (name, version) = (shown(newest.name.as_str()), shown(newest.version.as_str()));
        let wanted = shown(self.wanted.name.as_str());
        let mut hints = Vec::new();
        if self.required_by.is_world() {
            hints
                .push(format!("write `{name}={version}` in contents.packages, or `{wanted}` for the newest"));
        } else {
            hints.extend(leave_out(&[&self.required_by]));
        }
        hints.push(format!(
            "add the repository that has the version asked for of `{wanted}` to contents.repositories"
        ));
        hints
    }
}

impl Conflict {
    fn hints(&self) -> Vec<String> {
        leave_out(&[&self.left_by, &self.right_by])
    }
}

/// Which entries to take out of the list of packages.
fn leave_out(chains: &[&Chain]) -> Vec<String> {
    let mut roots: Vec<_> = chains.iter().filter_map(|chain| chain.root()).map(shown).collect();
    roots.dedup();
    match roots.as_slice() {
        [] => Vec::new(),
        [one] => vec![format!("take `{one}` out of contents.packages, or ask for another version of it")],
        all => vec![format!("take one of `{}` out of contents.packages", all.join("` and `"))],
    }
}
