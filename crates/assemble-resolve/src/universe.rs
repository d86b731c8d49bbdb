//! All records of all repositories, and who provides which name.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{HashMap, hash_map};

use assemble_apk::{Constraint, PackageId, Provide, Record, Version};

use crate::{Choice, Repository};

/// A record of the universe: its place in the order of repositories, then of their indexes.
pub(crate) type Id = u32;

/// A record and where it comes from.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) choice: Choice,
    pub(crate) record: &'a Record,
    pub(crate) pin: Option<&'a str>,
    /// Place of its repository in the order in which repositories count.
    pub(crate) place: u32,
}

/// The number of a name that a record has, provides, or waits for.
pub(crate) type NameId = u32;

/// In which order repositories count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// In byte order of `@tag name`, whatever order they are given in.
    Sorted,
    /// As given.
    Given,
}

/// A table of lists: those of one row stand together.
#[derive(Debug, Default)]
struct Rows<T> {
    items: Vec<T>,
    /// Where each row begins, and where the last one ends.
    starts: Vec<u32>,
}

impl<T> Rows<T> {
    fn row(&self, row: u32) -> &[T] {
        let row = row as usize;
        match (self.starts.get(row), self.starts.get(row + 1)) {
            (Some(&from), Some(&to)) => &self.items[from as usize..to as usize],
            _ => &[],
        }
    }
}

/// The tables that a resolution reads. Maps in here are only looked into, never walked.
#[derive(Debug)]
pub(crate) struct Universe<'a> {
    entries: Vec<Entry<'a>>,
    names: HashMap<&'a str, NameId>,
    texts: Vec<&'a str>,
    /// The name of each record.
    own: Vec<NameId>,
    /// The names that each record provides, as listed.
    provided: Rows<NameId>,
    /// Who holds each name: records of that name as listed, then those that provide it, in byte order of their names.
    holders: Rows<Id>,
    /// A name that an `install_if` condition has, the record, and the condition's place; sorted.
    waiting: Vec<(NameId, Id, u32)>,
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
    pub(crate) fn new(repositories: &'a [Repository], count: Order) -> Self {
        let mut order: Vec<usize> = (0..repositories.len()).collect();
        let key = |i: &usize| {
            let Repository { name, pin, .. } = &repositories[*i];
            pin.as_ref().map_or_else(|| name.clone(), |pin| format!("@{pin} {name}"))
        };
        if count == Order::Sorted {
            order.sort_by_cached_key(key);
        }
        let mut entries = Vec::with_capacity(repositories.iter().map(|r| r.index.records.len()).sum());
        for (place, repository) in (0..).zip(order) {
            let Repository { index, pin, .. } = &repositories[repository];
            entries.extend(index.records.iter().enumerate().map(|(i, record)| Entry {
                choice: Choice { repository, record: i },
                record,
                pin: pin.as_deref(),
                place,
            }));
        }
        // More records than numbers would need more memory than there is: an index is at most some hundred megabytes.
        entries.truncate(Id::MAX as usize);
        let mut universe = Self {
            entries,
            names: HashMap::new(),
            texts: Vec::new(),
            own: Vec::new(),
            provided: Rows::default(),
            holders: Rows::default(),
            waiting: Vec::new(),
            sorted: HashMap::new(),
        };
        universe.number_names();
        universe.list_holders();
        universe
    }

    fn intern(&mut self, text: &'a str) -> NameId {
        // There are fewer names than bytes of indexes.
        let next = u32::try_from(self.texts.len()).unwrap_or(NameId::MAX);
        match self.names.entry(text) {
            hash_map::Entry::Occupied(known) => *known.get(),
            hash_map::Entry::Vacant(place) => {
                self.texts.push(text);
                *place.insert(next)
            }
        }
    }

    fn number_names(&mut self) {
        let count = self.entries.len();
        self.names.reserve(count * 2);
        self.own.reserve(count);
        self.provided.starts.reserve(count + 1);
        for id in 0..count {
            let record = self.entries[id].record;
            let own = self.intern(record.name.as_str());
            self.own.push(own);
            self.provided.starts.push(length(&self.provided.items));
            for provide in &record.provides {
                let name = self.intern(provide.name.as_str());
                self.provided.items.push(name);
            }
            for (place, condition) in (0..).zip(&record.install_if) {
                let name = self.intern(condition.name.as_str());
                self.waiting.push((name, length(&self.own) - 1, place));
            }
        }
        self.provided.starts.push(length(&self.provided.items));
        self.waiting.sort_unstable();
    }

    /// Sorts records by the names they hold, by counting.
    fn list_holders(&mut self) {
        const NOBODY: Id = Id::MAX;
        let names = self.texts.len();
        // A record may provide a name twice, or its own.
        let mut last = vec![NOBODY; names];
        let mut counts = vec![0_u32; names];
        let mut shared = Vec::new();
        let mut named = vec![0_u32; names];
        for (id, &own) in (0..).zip(&self.own) {
            counts[own as usize] += 1;
            named[own as usize] += 1;
            last[own as usize] = id;
            for &name in self.provided.row(id) {
                if last[name as usize] != id {
                    last[name as usize] = id;
                    counts[name as usize] += 1;
                }
            }
        }
        let mut at = 0;
        self.holders.starts.reserve(names + 1);
        for count in &counts {
            self.holders.starts.push(at);
            at += count;
        }
        self.holders.starts.push(at);
        self.holders.items = vec![NOBODY; at as usize];
        // Where the next record of a name, and the next that provides it, goes.
        let mut next_named = self.holders.starts.clone();
        let mut next: Vec<u32> = next_named.iter().zip(&named).map(|(start, named)| start + named).collect();
        last.fill(NOBODY);
        for (id, &own) in (0..).zip(&self.own) {
            self.holders.items[next_named[own as usize] as usize] = id;
            next_named[own as usize] += 1;
            last[own as usize] = id;
            for &name in self.provided.row(id) {
                let name = name as usize;
                if last[name] != id {
                    last[name] = id;
                    self.holders.items[next[name] as usize] = id;
                    next[name] += 1;
                    if next[name] - self.holders.starts[name] == named[name] + 2 {
                        shared.push(name);
                    }
                }
            }
        }
        for name in shared {
            let (from, to) = (self.holders.starts[name] + named[name], self.holders.starts[name + 1]);
            let providers = &mut self.holders.items[from as usize..to as usize];
            providers.sort_unstable_by_key(|id| (self.texts[self.own[*id as usize] as usize], *id));
        }
        for id in 0..length(&self.own) {
            let provided = self.provided.row(id);
            if provided.len() >= MANY {
                let mut places: Vec<u32> = (0..length(provided)).collect();
                places.sort_by_key(|place| provided[*place as usize]);
                self.sorted.insert(id, places);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All records.
    pub(crate) fn ids(&self) -> impl Iterator<Item = Id> + use<> {
        0..length(&self.entries)
    }

    pub(crate) fn entry(&self, id: Id) -> &Entry<'a> {
        &self.entries[id as usize]
    }

    pub(crate) fn record(&self, id: Id) -> &'a Record {
        self.entry(id).record
    }

    pub(crate) fn package(&self, id: Id) -> PackageId {
        let record = self.record(id);
        PackageId { name: record.name.clone(), version: record.version.clone() }
    }

    /// The tags of all repositories; one may come more than once.
    pub(crate) fn pins(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().filter_map(|entry| entry.pin)
    }

    pub(crate) fn name_count(&self) -> usize {
        self.texts.len()
    }

    /// A name by its number.
    pub(crate) fn text(&self, name: NameId) -> &'a str {
        self.texts[name as usize]
    }

    /// The number of a name that some record has, provides, or waits for.
    pub(crate) fn name(&self, text: &str) -> Option<NameId> {
        self.names.get(text).copied()
    }

    /// The name of a record.
    pub(crate) fn own(&self, id: Id) -> NameId {
        self.own[id as usize]
    }

    /// The names of what a record provides, as listed.
    pub(crate) fn provided(&self, id: Id) -> &[NameId] {
        self.provided.row(id)
    }

    /// Records of this name as listed, then records that provide it, in byte order of their names.
    pub(crate) fn holders(&self, name: NameId) -> &[Id] {
        self.holders.row(name)
    }

    /// As [`Universe::holders`]; none if nobody knows the name.
    pub(crate) fn holders_of(&self, name: &str) -> &[Id] {
        self.name(name).map_or(&[], |name| self.holders(name))
    }

    /// What a record provides under this name, as listed. Quick, however much it provides.
    pub(crate) fn provides(&self, id: Id, name: NameId) -> impl Iterator<Item = &'a Provide> + '_ {
        let all = &self.record(id).provides;
        let names = self.provided.row(id);
        let (few, places) = match (all.len() >= MANY).then(|| self.sorted.get(&id)).flatten() {
            None => (names, &[][..]),
            Some(places) => {
                let from = places.partition_point(|place| names[*place as usize] < name);
                let count = places[from..].partition_point(|place| names[*place as usize] == name);
                (&[][..], &places[from..from + count])
            }
        };
        let listed =
            all.iter().zip(few).filter(move |(_, other)| **other == name).map(|(provide, _)| provide);
        listed.chain(places.iter().map(|place| &all[*place as usize]))
    }

    /// The names of all records; one may come more than once.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().map(|entry| entry.record.name.as_str())
    }

    /// Records with an `install_if` condition for this name, and the condition.
    pub(crate) fn waiting(&self, name: NameId) -> impl Iterator<Item = (Id, &'a Constraint)> + '_ {
        let from = self.waiting.partition_point(|(other, _, _)| *other < name);
        let same = self.waiting[from..].iter().take_while(move |(other, _, _)| *other == name);
        same.map(|&(_, id, place)| (id, &self.record(id).install_if[place as usize]))
    }

    /// Holders of the constraint's name that its bound allows. `bound` has the rule for shared libraries applied.
    /// A bound is met by a record's own version, or by any version the record provides anything in.
    pub(crate) fn candidates(&self, bound: &Constraint) -> Vec<Id> {
        let holders = self.holders_of(bound.name.as_str());
        if bound.operator.is_any_for_apko() {
            return holders.to_vec();
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
        holders.iter().copied().filter(fits).collect()
    }

    /// Whether `a` is to be preferred over `b` for the name that is asked for: the first difference decides.
    pub(crate) fn better(
        &self,
        a: Id,
        b: Id,
        name: Option<NameId>,
        pin: Option<&str>,
        preference: &impl Preference,
    ) -> bool {
        let (left, right) = (self.record(a), self.record(b));
        let kept = |r: &Record| preference.version_of(r.name.as_str()) == Some(&r.version);
        let kin =
            |r: &Record| !r.origin.is_empty() && preference.version_of_origin(&r.origin) == Some(&r.version);
        let version_for = |id: Id, r: &'a Record| {
            let name = name?;
            if self.own(id) == name {
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

/// Never more than numbers: see [`Universe::new`].
fn length<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
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
