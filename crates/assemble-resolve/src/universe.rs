//! All records of all repositories, and who provides which name.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use assemble_apk::{Constraint, Operator, PackageId, Provide, Record, Version};

use crate::{Choice, Repository};

/// A record of the universe: its place in the order of repositories, then of their indexes.
pub(crate) type Id = u32;

/// A record and where it comes from.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) choice: Choice,
    pub(crate) record: &'a Record,
    pub(crate) pin: Option<&'a str>,
}

/// The tables that a resolution reads. Maps in here are only looked into, never walked.
#[derive(Debug)]
pub(crate) struct Universe<'a> {
    entries: Vec<Entry<'a>>,
    named: HashMap<&'a str, Vec<Id>>,
    providers: HashMap<&'a str, Vec<Id>>,
    install_if: HashMap<String, Vec<Id>>,
    /// Of records that provide much: the places of their provides, by name, then as listed.
    sorted: HashMap<Id, Vec<u32>>,
}

/// From how many provides on a record gets a table of its own.
const MANY: usize = 32;

/// What is preferred among several candidates, beside what they are.
pub(crate) trait Preference {
    /// The version of the package of this name that is in the set already.
    fn version_of(&self, name: &str) -> Option<&Version>;
    /// The version in which packages of this origin are in the set already.
    fn version_of_origin(&self, origin: &str) -> Option<&Version>;
}

/// No preference.
pub(crate) struct Indifferent;

impl Preference for Indifferent {
    fn version_of(&self, _: &str) -> Option<&Version> {
        None
    }

    fn version_of_origin(&self, _: &str) -> Option<&Version> {
        None
    }
}

impl<'a> Universe<'a> {
    /// Repositories count in byte order of `@tag name`, whatever order they are given in.
    pub(crate) fn new(repositories: &'a [Repository]) -> Self {
        let mut order: Vec<usize> = (0..repositories.len()).collect();
        let key = |i: &usize| {
            let Repository { name, pin, .. } = &repositories[*i];
            pin.as_ref().map_or_else(|| name.clone(), |pin| format!("@{pin} {name}"))
        };
        order.sort_by_cached_key(key);
        let mut entries = Vec::new();
        for repository in order {
            let Repository { index, pin, .. } = &repositories[repository];
            entries.extend(index.records.iter().enumerate().map(|(i, record)| Entry {
                choice: Choice { repository, record: i },
                record,
                pin: pin.as_deref(),
            }));
        }
        // More records than numbers would need more memory than there is: an index is at most some hundred megabytes.
        entries.truncate(Id::MAX as usize);
        let (named, providers, install_if) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut universe = Self { entries, named, providers, install_if, sorted: HashMap::new() };
        universe.fill();
        universe
    }

    fn fill(&mut self) {
        let mut shared: Vec<&'a str> = Vec::new();
        for (id, entry) in (0..).zip(&self.entries) {
            let record = entry.record;
            self.named.entry(record.name.as_str()).or_default().push(id);
            for name in record.provides.iter().map(|p| &p.name).filter(|name| **name != record.name) {
                let providers = self.providers.entry(name.as_str()).or_default();
                if providers.last() != Some(&id) {
                    providers.push(id);
                    if providers.len() == 2 {
                        shared.push(name.as_str());
                    }
                }
            }
            if record.provides.len() >= MANY {
                let mut places: Vec<u32> = (0..).zip(&record.provides).map(|(place, _)| place).collect();
                places.sort_by_key(|place| &record.provides[*place as usize].name);
                self.sorted.insert(id, places);
            }
            for condition in &record.install_if {
                let waiting = self.install_if.entry(condition.to_string()).or_default();
                if waiting.last() != Some(&id) {
                    waiting.push(id);
                }
            }
        }
        for name in shared {
            let providers = self.providers.entry(name).or_default();
            providers.sort_by_key(|id| (&self.entries[*id as usize].record.name, *id));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn entry(&self, id: Id) -> &Entry<'a> {
        &self.entries[id as usize]
    }

    pub(crate) fn record(&self, id: Id) -> &'a Record {
        self.entry(id).record
    }

    pub(crate) fn id_of(&self, choice: Choice) -> Option<Id> {
        (0..).zip(&self.entries).find(|(_, entry)| entry.choice == choice).map(|(id, _)| id)
    }

    pub(crate) fn package(&self, id: Id) -> PackageId {
        let record = self.record(id);
        PackageId { name: record.name.clone(), version: record.version.clone() }
    }

    /// Records of this name as listed, then records that provide it, in byte order of their names.
    pub(crate) fn holders(&self, name: &str) -> impl Iterator<Item = Id> + '_ {
        let named = self.named.get(name).map_or(&[][..], Vec::as_slice);
        let providers = self.providers.get(name).map_or(&[][..], Vec::as_slice);
        named.iter().chain(providers).copied()
    }

    /// What a record provides under this name, as listed. Quick, however much it provides.
    pub(crate) fn provides<'n>(
        &self,
        id: Id,
        name: &'n str,
    ) -> impl Iterator<Item = &'a Provide> + use<'_, 'a, 'n> {
        let all = &self.record(id).provides;
        let (few, places) = match (all.len() >= MANY).then(|| self.sorted.get(&id)).flatten() {
            None => (all.as_slice(), &[][..]),
            Some(places) => {
                let named = |place: &u32| all[*place as usize].name.as_str();
                let from = places.partition_point(|place| named(place) < name);
                let count = places[from..].partition_point(|place| named(place) == name);
                (&[][..], &places[from..from + count])
            }
        };
        few.iter()
            .filter(move |p| p.name.as_str() == name)
            .chain(places.iter().map(|place| &all[*place as usize]))
    }

    /// The names of all records; one may come more than once.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().map(|entry| entry.record.name.as_str())
    }

    /// Records that wait for this condition.
    pub(crate) fn waiting_for(&self, condition: &str) -> Option<&[Id]> {
        self.install_if.get(condition).map(Vec::as_slice)
    }

    /// Holders of the constraint's name that its bound allows. `bound` has the rule for shared libraries applied.
    /// A bound is met by a record's own version, or by any version the record provides anything in.
    pub(crate) fn candidates(&self, bound: &Constraint) -> Vec<Id> {
        let holders = self.holders(bound.name.as_str());
        if bound.operator == Operator::Any {
            return holders.collect();
        }
        if !bound.version.as_ref().is_some_and(Version::is_valid) {
            return Vec::new();
        }
        let fits = |id: &Id| {
            let record = self.record(*id);
            record.version.is_valid()
                && (bound.satisfied_by(&record.version)
                    || record
                        .provides
                        .iter()
                        .any(|p| ruled(p).version.as_ref().is_some_and(|v| bound.satisfied_by(v))))
        };
        holders.filter(fits).collect()
    }

    /// Whether `a` is to be preferred over `b` for the name that is asked for: the first difference decides.
    pub(crate) fn better(
        &self,
        a: Id,
        b: Id,
        name: &str,
        pin: Option<&str>,
        preference: &impl Preference,
    ) -> bool {
        let (left, right) = (self.record(a), self.record(b));
        let kept = |r: &Record| preference.version_of(r.name.as_str()) == Some(&r.version);
        let kin =
            |r: &Record| !r.origin.is_empty() && preference.version_of_origin(&r.origin) == Some(&r.version);
        let version_for = |id: Id, r: &'a Record| {
            if r.name.as_str() == name {
                return Some(Cow::Borrowed(&r.version));
            }
            self.provides(id, name).next().and_then(|p| match ruled(p) {
                Cow::Borrowed(p) => p.version.as_ref().map(Cow::Borrowed),
                Cow::Owned(p) => p.version.map(Cow::Owned),
            })
        };
        let by_name = || match (version_for(a, left), version_for(b, right)) {
            (Some(l), Some(r)) if l != r => newer_first(&l, &r),
            _ => Ordering::Equal,
        };
        let by_version = || newer_first(&left.version, &right.version);
        let same_package = || if left.name == right.name { by_version() } else { Ordering::Equal };
        kept(right)
            .cmp(&kept(left))
            .then_with(|| kin(right).cmp(&kin(left)))
            .then_with(|| (self.entry(b).pin == pin).cmp(&(self.entry(a).pin == pin)))
            .then_with(by_name)
            .then_with(same_package)
            .then_with(|| right.provider_priority.cmp(&left.provider_priority))
            .then_with(by_version)
            .then_with(|| left.name.cmp(&right.name))
            .is_lt()
    }
}

/// A version outside the grammar loses against one inside.
fn newer_first(left: &Version, right: &Version) -> Ordering {
    right.compare(left).unwrap_or_else(|| right.is_valid().cmp(&left.is_valid()))
}

/// The provide with the rule for shared libraries applied.
pub(crate) fn ruled(provide: &Provide) -> Cow<'_, Provide> {
    if provide.version.is_some() && provide.name.as_str().starts_with("so:") {
        Cow::Owned(provide.clone().with_soname_rule())
    } else {
        Cow::Borrowed(provide)
    }
}

/// The constraint with the rule for shared libraries applied.
pub(crate) fn ruled_constraint(constraint: &Constraint) -> Cow<'_, Constraint> {
    if constraint.version.is_some() && constraint.name.as_str().starts_with("so:") {
        Cow::Owned(constraint.clone().with_soname_rule())
    } else {
        Cow::Borrowed(constraint)
    }
}
