//! The part of the universe that a world can reach, as apk looks at it.

use std::cmp::Ordering;

use assemble_apk::{Constraint, Record, Version};
use assemble_types::Arch;

use crate::universe::{Id, Universe};

/// A name of the field.
pub(crate) type N = u32;
/// A package of the field.
pub(crate) type P = u32;

/// Tags of repositories, as bits; the lowest one is for repositories without a tag. More than 127 tags are not told apart
/// from none: apk itself knows 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tags(u128);

impl Tags {
    pub(crate) const UNTAGGED: Self = Self(1);

    pub(crate) fn has_any_of(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The tags of a world's repositories.
#[derive(Debug, Default)]
pub(crate) struct TagNames<'a>(Vec<&'a str>);

impl<'a> TagNames<'a> {
    pub(crate) fn new(mut tags: Vec<&'a str>) -> Self {
        tags.sort_unstable();
        tags.dedup();
        Self(tags)
    }

    /// The bit of a tag; none for a tag that no repository has.
    pub(crate) fn bit(&self, tag: Option<&str>) -> Tags {
        let Some(tag) = tag else { return Tags::UNTAGGED };
        let place = self.0.binary_search(&tag).ok().and_then(|place| u32::try_from(place + 1).ok());
        Tags(place.and_then(|place| 1_u128.checked_shl(place)).unwrap_or(0))
    }
}

/// Who provides a name, and in which version, if in a certain one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Provider<'a> {
    pub(crate) package: P,
    pub(crate) version: Option<&'a Version>,
}

/// A constraint, its name looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need<'a> {
    pub(crate) name: N,
    pub(crate) constraint: &'a Constraint,
}

impl<'a> Need<'a> {
    /// Whether a provider of the name is what this wants, asked for by `by` (nobody: the world). An exclusion wants
    /// everything but what it names, and never means who says it.
    pub(crate) fn is_met_by(&self, by: Option<P>, provider: &Provider<'a>) -> bool {
        if !self.constraint.conflict {
            return self.constraint.admits_as_apk(provider.version);
        }
        by == Some(provider.package) || !self.constraint.admits_as_apk(provider.version)
    }

    /// As [`Need::is_met_by`], where there may be no provider.
    pub(crate) fn is_met(&self, by: Option<P>, provider: Option<&Provider<'a>>) -> bool {
        provider.map_or(self.constraint.conflict, |provider| self.is_met_by(by, provider))
    }
}

#[derive(Debug)]
pub(crate) struct Name<'a> {
    pub(crate) text: &'a str,
    /// In order of the repositories and their indexes.
    pub(crate) providers: Vec<Provider<'a>>,
    /// Packages of the field that depend on the name or exclude it.
    pub(crate) dependents: Vec<P>,
    /// Packages of the field with an `install_if` condition for the name.
    pub(crate) waiting: Vec<P>,
    /// Names are decided by the highest: what was asked for, then what is a package's own name, then the last discovered.
    pub(crate) order: (bool, bool, u32),
    /// Whether somebody may ask for it; else it is only the name of a package of the field.
    pub(crate) discovered: bool,
}

#[derive(Debug)]
pub(crate) struct Package<'a> {
    pub(crate) id: Id,
    pub(crate) record: &'a Record,
    pub(crate) name: N,
    pub(crate) provides: Vec<(N, Option<&'a Version>)>,
    pub(crate) depends: Vec<Need<'a>>,
    pub(crate) install_if: Vec<Need<'a>>,
    pub(crate) tags: Tags,
    /// Place of the first repository that has it.
    pub(crate) repository: u32,
    /// Whether it can be installed at all.
    pub(crate) installable: bool,
    /// Whether it provides a discovered name; else it is only another version of a package of the field.
    pub(crate) discovered: bool,
}

impl Package<'_> {
    /// Its name and all it provides; one may come more than once.
    pub(crate) fn names(&self) -> impl Iterator<Item = N> + '_ {
        std::iter::once(self.name).chain(self.provides.iter().map(|(name, _)| *name))
    }
}

/// What a world can reach.
#[derive(Debug)]
pub(crate) struct Field<'u, 'a> {
    pub(crate) universe: &'u Universe<'a>,
    pub(crate) tags: TagNames<'a>,
    pub(crate) names: Vec<Name<'a>>,
    pub(crate) packages: Vec<Package<'a>>,
    /// The world, by name.
    pub(crate) world: Vec<Need<'a>>,
}

impl<'a> Field<'_, 'a> {
    pub(crate) fn name(&self, name: N) -> &Name<'a> {
        &self.names[name as usize]
    }

    pub(crate) fn package(&self, package: P) -> &Package<'a> {
        &self.packages[package as usize]
    }

    /// Which of two that provide a name is the better one, whatever else is chosen: the version of the name, of one
    /// package's versions the newer, the priority, the repository that stands first.
    pub(crate) fn compare(&self, a: &Provider<'_>, b: &Provider<'_>) -> Ordering {
        let (one, other) = (self.package(a.package), self.package(b.package));
        let by_name = match (a.version, b.version) {
            (Some(a), Some(b)) => a.compare_as_apk(b),
            _ => Ordering::Equal,
        };
        let by_version = || {
            if one.name == other.name {
                one.record.version.compare_as_apk(&other.record.version)
            } else {
                Ordering::Equal
            }
        };
        by_name
            .then_with(by_version)
            .then_with(|| one.record.provider_priority.cmp(&other.record.provider_priority))
            .then_with(|| other.repository.cmp(&one.repository))
    }
}

fn is_readable(constraint: &Constraint) -> bool {
    constraint.version.as_ref().is_none_or(Version::is_valid_for_apk)
}

/// Whether a record may come in by itself; a condition with a version that is none disables all.
pub(crate) fn conditions_are_readable(record: &Record) -> bool {
    record.install_if.iter().all(is_readable)
}

/// Whether apk can install a record at all, whoever asks for it.
pub(crate) fn is_installable(record: &Record, arch: Arch) -> bool {
    record.unknown_field.is_none()
        && arch.runs_packages_for(&record.arch)
        && record.depends.iter().all(is_readable)
}
