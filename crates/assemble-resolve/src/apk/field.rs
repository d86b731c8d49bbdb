//! The part of the universe that a world can reach, as apk looks at it.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::ops::Range;

use assemble_apk::{Constraint, Record, Version, compare_provided_as_apk};
use assemble_types::Arch;

use crate::tables::{Conditions, Rows};
use crate::universe::{Id, NameId, Universe};

/// A name of the field.
pub(crate) type N = u32;
/// A package of the field.
pub(crate) type P = u32;

/// Tags of repositories, as bits; the lowest one is for repositories without a tag. More than 127 tags are not told apart
/// from none: apk itself knows 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tags {
    // Two halves, since there are many of these, and a whole one would stand at every sixteenth byte only.
    low: u64,
    high: u64,
}

impl Tags {
    pub(crate) const UNTAGGED: Self = Self { low: 1, high: 0 };

    pub(crate) fn has_any_of(self, other: Self) -> bool {
        (self.low & other.low) | (self.high & other.high) != 0
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.low |= other.low;
        self.high |= other.high;
    }

    /// Only this bit; none if there are fewer.
    fn only(bit: usize) -> Self {
        let half = |bit: usize| u32::try_from(bit).ok().and_then(|bit| 1_u64.checked_shl(bit)).unwrap_or(0);
        match bit.checked_sub(64) {
            None => Self { low: half(bit), high: 0 },
            Some(bit) => Self { low: 0, high: half(bit) },
        }
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
        self.0.binary_search(&tag).map_or(Tags::default(), |place| Tags::only(place + 1))
    }
}

/// Who provides a name, and where in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Provider {
    pub(crate) package: P,
    /// The place among what the package provides, or [`OWN`].
    pub(crate) place: u32,
}

/// The place of a package's own name.
pub(crate) const OWN: u32 = u32::MAX;

/// A constraint, its name looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need<'a> {
    pub(crate) name: N,
    pub(crate) constraint: &'a Constraint,
}

/// A name as the universe knows it, or the place of its text among those that it does not know.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outer {
    Known(NameId),
    Unknown(u32),
}

#[derive(Debug)]
pub(crate) struct Name {
    pub(super) outer: Outer,
    pub(super) providers: Range<u32>,
    pub(super) waiting: Range<u32>,
    /// Names are decided by the highest: what was asked for, then what is a package's own name, then the last discovered.
    pub(crate) order: (bool, bool, u32),
    /// Whether somebody may ask for it; else it is only the name of a package of the field.
    pub(crate) discovered: bool,
}

#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) id: Id,
    pub(crate) name: N,
    pub(super) held: Range<u32>,
    pub(crate) tags: Tags,
    /// Place of the first repository that has it.
    pub(crate) repository: u32,
    /// Whether it provides a discovered name; else it is only another version of a package of the field.
    pub(crate) discovered: bool,
}

/// What is known of a package once its record was read.
#[derive(Debug)]
struct Detail<'a> {
    depends: Box<[Need<'a>]>,
    install_if: Box<[Need<'a>]>,
}

/// What a world can reach. Who has, needs and waits for what is numbers; a record is read when somebody asks what it says,
/// which is so for a small part of them.
#[derive(Debug)]
pub(crate) struct Field<'u, 'a> {
    pub(crate) universe: &'u Universe<'a>,
    pub(crate) tags: TagNames<'a>,
    pub(crate) names: Vec<Name>,
    /// Names that the universe does not know.
    pub(super) unknown: Vec<&'a str>,
    pub(crate) packages: Vec<Package>,
    /// The world, by name.
    pub(crate) world: Vec<Need<'a>>,
    pub(super) arch: Arch,
    /// Numbers of names, by those of the universe.
    pub(super) by_name: Vec<N>,
    /// Who provides each name, who waits for it, and which names each package provides: rows of one list each.
    pub(super) providers: Vec<Provider>,
    pub(super) waiting: Vec<P>,
    pub(super) held: Vec<N>,
    pub(super) dependents: Rows,
    pub(super) conditions: Conditions,
    details: Vec<OnceCell<Detail<'a>>>,
    installable: Vec<OnceCell<bool>>,
}

fn row<'t, T>(items: &'t [T], range: &Range<u32>) -> &'t [T] {
    &items[range.start as usize..range.end as usize]
}

impl<'u, 'a> Field<'u, 'a> {
    pub(super) fn new(universe: &'u Universe<'a>, arch: Arch) -> Self {
        Self {
            universe,
            tags: TagNames::new(universe.pins().collect()),
            names: Vec::new(),
            unknown: Vec::new(),
            packages: Vec::new(),
            world: Vec::new(),
            arch,
            by_name: vec![u32::MAX; universe.name_count()],
            providers: Vec::new(),
            waiting: Vec::new(),
            held: Vec::new(),
            dependents: Rows::default(),
            conditions: universe.conditions(),
            details: Vec::new(),
            installable: Vec::new(),
        }
    }

    /// Fills in who depends on a name, when all is discovered. Packages in `barred` cannot be installed.
    pub(super) fn link(&mut self, barred: &[P]) {
        self.details = (0..self.packages.len()).map(|_| OnceCell::new()).collect();
        self.installable = vec![OnceCell::new(); self.packages.len()];
        for package in barred {
            // It is new, and so empty.
            let _ = self.installable[*package as usize].set(false);
        }
        let mut last = vec![u32::MAX; self.names.len()];
        let mut pairs = Vec::new();
        for (package, entry) in (0..).zip(&self.packages).filter(|(_, entry)| entry.discovered) {
            for outer in self.universe.needed(entry.id) {
                let name = self.by_name[outer as usize];
                if std::mem::replace(&mut last[name as usize], package) != package {
                    pairs.push((name, package));
                }
            }
        }
        self.dependents = Rows::of(self.names.len(), &pairs);
    }

    pub(crate) fn name(&self, name: N) -> &Name {
        &self.names[name as usize]
    }

    pub(crate) fn package(&self, package: P) -> &Package {
        &self.packages[package as usize]
    }

    /// The numbers of all packages.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = P> + use<> {
        (0..).take(self.packages.len())
    }

    pub(crate) fn text(&self, name: N) -> &'a str {
        match self.name(name).outer {
            Outer::Known(outer) => self.universe.text(outer),
            Outer::Unknown(place) => self.unknown[place as usize],
        }
    }

    /// Who provides a name, in order of the repositories and their indexes.
    pub(crate) fn providers(&self, name: N) -> &[Provider] {
        row(&self.providers, &self.name(name).providers)
    }

    /// Packages of the field with an `install_if` condition for the name.
    pub(crate) fn waiting(&self, name: N) -> &[P] {
        row(&self.waiting, &self.name(name).waiting)
    }

    /// Packages of the field that depend on the name or exclude it.
    pub(crate) fn dependents(&self, name: N) -> &[P] {
        self.dependents.row(name)
    }

    /// The name of a package and all it provides, as listed; one may come more than once.
    pub(crate) fn names_of(&self, package: P) -> impl Iterator<Item = N> + '_ {
        let entry = self.package(package);
        std::iter::once(entry.name).chain(row(&self.held, &entry.held).iter().copied())
    }

    /// As [`Field::names_of`], each with what it is as a provider.
    pub(crate) fn held_by(&self, package: P) -> impl Iterator<Item = (N, Provider)> + '_ {
        let places = std::iter::once(OWN).chain(0..);
        self.names_of(package).zip(places).map(move |(name, place)| (name, Provider { package, place }))
    }

    pub(crate) fn provide_count(&self, package: P) -> usize {
        self.package(package).held.len()
    }

    /// What a package says. It is read now, if it was not before.
    pub(crate) fn record(&self, package: P) -> &'a Record {
        self.universe.record(self.package(package).id)
    }

    /// The version in which a name is provided, if in a certain one.
    pub(crate) fn version(&self, provider: Provider) -> Option<&'a Version> {
        let record = self.record(provider.package);
        match provider.place {
            OWN => Some(&record.version),
            place => record.provides.get(place as usize)?.version.as_ref(),
        }
    }

    pub(crate) fn is_versioned(&self, provider: Provider) -> bool {
        provider.place == OWN || self.version(provider).is_some()
    }

    pub(crate) fn depends(&self, package: P) -> &[Need<'a>] {
        &self.detail(package).depends
    }

    /// The conditions under which a package comes by itself; none if they cannot be read.
    pub(crate) fn install_if(&self, package: P) -> &[Need<'a>] {
        if self.waits(package) { &self.detail(package).install_if } else { &[] }
    }

    /// Whether a package may come by itself.
    pub(crate) fn waits(&self, package: P) -> bool {
        let entry = self.package(package);
        entry.discovered
            && !self.conditions.of(entry.id).is_empty()
            && self.conditions.are_readable(self.universe, entry.id)
    }

    /// Whether it can be installed at all.
    pub(crate) fn is_installable(&self, package: P) -> bool {
        let installable = || self.universe.is_installable(self.package(package).id, self.arch);
        *self.installable[package as usize].get_or_init(installable)
    }

    fn detail(&self, package: P) -> &Detail<'a> {
        self.details[package as usize].get_or_init(|| {
            let Package { id, discovered, .. } = *self.package(package);
            let record = self.universe.record(id);
            let need = |(constraint, outer): (&'a Constraint, NameId)| Need {
                name: self.by_name[outer as usize],
                constraint,
            };
            let conditions = self.conditions.of(id).iter().map(|condition| condition.name);
            let (depends, install_if) = (&record.depends, &record.install_if);
            // Who was not discovered asks for nothing that was.
            Detail {
                depends: depends
                    .iter()
                    .zip(self.universe.needed(id))
                    .filter(|_| discovered)
                    .map(need)
                    .collect(),
                install_if: install_if
                    .iter()
                    .zip(conditions)
                    .filter(|_| self.waits(package))
                    .map(need)
                    .collect(),
            }
        })
    }

    /// Whether a provider of the name is what a need wants, asked for by `by` (nobody: the world). An exclusion wants
    /// everything but what it names, and never means who says it.
    pub(crate) fn is_met_by(&self, need: &Need<'_>, by: Option<P>, provider: Provider) -> bool {
        let admits =
            || need.constraint.version.is_none() || need.constraint.admits_as_apk(self.version(provider));
        if !need.constraint.conflict {
            return admits();
        }
        by == Some(provider.package) || !admits()
    }

    /// As [`Field::is_met_by`], where there may be no provider.
    pub(crate) fn is_met(&self, need: &Need<'_>, by: Option<P>, provider: Option<Provider>) -> bool {
        provider.map_or(need.constraint.conflict, |provider| self.is_met_by(need, by, provider))
    }

    /// Which of two that provide a name is the better one, whatever else is chosen: the version of the name, of one
    /// package's versions the newer, the priority, the repository that stands first.
    pub(crate) fn compare(&self, a: Provider, b: Provider) -> Ordering {
        let (one, other) = (self.record(a.package), self.record(b.package));
        let by_name = compare_provided_as_apk(self.version(a), self.version(b));
        let place = |provider: Provider| self.package(provider.package).repository;
        let by_version = || {
            if one.name == other.name { one.version.compare_as_apk(&other.version) } else { Ordering::Equal }
        };
        by_name
            .then_with(by_version)
            .then_with(|| one.provider_priority.cmp(&other.provider_priority))
            .then_with(|| place(b).cmp(&place(a)))
    }
}
