//! All records of all repositories, and who provides which name.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::rc::Rc;

use assemble_apk::{
    Checksum, Constraint, NameNumber, Names, PackageId, Provide, Record, RecordNumber, Records, Version,
};
use assemble_types::Arch;

use crate::tables::{Condition, Conditions};
use crate::{Choice, Repository};

/// A record of the universe: its place in the order of repositories, then of their indexes.
pub(crate) type Id = u32;

/// A record and where it comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) choice: Choice,
    pub(crate) pin: Option<&'a str>,
}

/// The number of a name that a record has, provides, needs, or waits for.
pub(crate) type NameId = u32;

/// In which order repositories count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// In byte order of `@tag name`, whatever order they are given in.
    Sorted,
    /// As given.
    Given,
}

/// A repository, with the numbers that its records and names have here.
#[derive(Debug)]
struct Shelf<'a> {
    repository: usize,
    pin: Option<&'a str>,
    records: &'a Records,
    names: &'a Names,
    /// The number of its first record.
    first: Id,
    /// The number of its first name. A name that an earlier repository has, too, goes by the number that it has there.
    first_name: NameId,
    /// By its own number of a name: the number that it goes by. Empty for the first repository, where it is the same.
    known: Vec<NameId>,
    /// By the number of an earlier repository's name: its own, or [`NONE`].
    own_number: Vec<NameNumber>,
    /// By its own number of a record: the names that it provides, once they were asked for. Empty for the first.
    provided: Vec<OnceCell<Box<[NameId]>>>,
}

/// No number.
const NONE: u32 = u32::MAX;

/// All records as one list, and all names. It is made of the tables of the indexes, and joins of them what is asked for.
#[derive(Debug)]
pub(crate) struct Universe<'a> {
    shelves: Vec<Shelf<'a>>,
    records: Id,
    names: NameId,
    /// Who holds each name that was asked for: records of that name as listed, then those that provide it, in byte order
    /// of their names.
    holders: Vec<OnceCell<Box<[Id]>>>,
    /// Of records that provide much: the places of their provides, by name, then as listed.
    sorted: RefCell<HashMap<Id, Rc<[u32]>>>,
}

/// From how many provides on a record gets a table of its own.
pub(crate) const MANY: usize = 32;

/// Records that have the checksum of another one.
#[derive(Debug, Default)]
pub(crate) struct Doubles {
    /// Each with the place of its group.
    group: HashMap<Id, usize>,
    groups: Vec<Box<[Id]>>,
}

impl Doubles {
    fn add(&mut self, group: Box<[Id]>) {
        self.group.extend(group.iter().map(|id| (*id, self.groups.len())));
        self.groups.push(group);
    }

    /// All that have the checksum of a record, if there is more than it.
    pub(crate) fn of(&self, id: Id) -> &[Id] {
        if self.groups.is_empty() {
            return &[];
        }
        self.group.get(&id).map_or(&[], |group| &self.groups[*group])
    }

    /// The first record that has the checksum of this one.
    pub(crate) fn first(&self, id: Id) -> Id {
        self.of(id).first().copied().unwrap_or(id)
    }
}

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
        let mut shelves: Vec<Shelf<'a>> = Vec::with_capacity(order.len());
        let (mut records, mut names) = (0, 0);
        for repository in order {
            let Repository { index, pin, .. } = &repositories[repository];
            let (first, first_name) = (records, names);
            let table = index.records.names();
            // More than numbers would need more memory than there is: an index is at most some hundred megabytes.
            records += length(index.records.len());
            names += length(table.count());
            let joined = !shelves.is_empty();
            let (known, own_number) = join(&shelves, table, first_name);
            shelves.push(Shelf {
                repository,
                pin: pin.as_deref(),
                records: &index.records,
                names: table,
                first,
                first_name,
                known,
                own_number,
                provided: cells(index.records.len(), joined),
            });
        }
        let holders = cells(names as usize, true);
        Self { shelves, records, names, holders, sorted: RefCell::default() }
    }

    /// The repository of a record, and the record's number there.
    fn shelf(&self, id: Id) -> (usize, RecordNumber) {
        let place = self.shelves.partition_point(|shelf| shelf.first <= id).saturating_sub(1);
        (place, id - self.shelves[place].first)
    }

    /// The number that a repository's own number of a name goes by.
    fn joined(&self, place: usize, local: NameNumber) -> NameId {
        self.shelves[place].known.get(local as usize).copied().unwrap_or(local)
    }

    /// The number of a name in the first of so many repositories that has it.
    fn name_before(&self, end: usize, text: &str) -> Option<NameId> {
        self.shelves[..end].iter().find_map(|shelf| Some(shelf.first_name + shelf.names.find(text)?))
    }

    /// The repositories that have a name, and the number that it has there.
    fn with_name(&self, name: NameId) -> impl Iterator<Item = (&Shelf<'a>, NameNumber)> {
        let place = self.shelves.partition_point(|shelf| shelf.first_name <= name).saturating_sub(1);
        // Repositories without names begin where the next one does.
        let (first, others) = (self.shelves.get(place), self.shelves.get(place + 1..).unwrap_or_default());
        let first = first.into_iter().map(move |shelf| (shelf, name - shelf.first_name));
        let number =
            move |shelf: &Shelf<'a>| shelf.own_number.get(name as usize).copied().filter(|own| *own != NONE);
        first.chain(others.iter().filter_map(move |shelf| Some((shelf, number(shelf)?))))
    }

    fn held(&self, name: NameId) -> Box<[Id]> {
        let (mut named, mut others) = (Vec::new(), Vec::new());
        for (shelf, local) in self.with_name(name) {
            let all = shelf.names.holders(local);
            let end = all.partition_point(|record| shelf.names.own(*record) == local);
            named.extend(all[..end].iter().map(|record| shelf.first + record));
            others.extend(all[end..].iter().map(|record| shelf.first + record));
        }
        if others.len() > 1 {
            others.sort_by_cached_key(|id| {
                let (place, record) = self.shelf(*id);
                let names = self.shelves[place].names;
                (names.text(names.own(record)), *id)
            });
        }
        named.append(&mut others);
        named.into()
    }

    pub(crate) fn len(&self) -> usize {
        self.records as usize
    }

    pub(crate) fn entry(&self, id: Id) -> Entry<'a> {
        let (place, record) = self.shelf(id);
        let Shelf { repository, pin, .. } = self.shelves[place];
        Entry { choice: Choice { repository, record: record as usize }, pin }
    }

    pub(crate) fn record(&self, id: Id) -> &'a Record {
        let (place, record) = self.shelf(id);
        &self.shelves[place].records[record as usize]
    }

    /// Tells name and version of every record, in order, and keeps none that was read for it.
    pub(crate) fn identities(&self, mut tell: impl FnMut(&'a str, &str)) {
        for shelf in &self.shelves {
            let mut own = (0..).map(|record| shelf.names.text(shelf.names.own(record)));
            shelf.records.versions(|version| tell(own.next().unwrap_or_default(), version));
        }
    }

    pub(crate) fn package(&self, id: Id) -> PackageId {
        let record = self.record(id);
        PackageId { name: record.name.clone(), version: record.version.clone() }
    }

    /// Records that have one checksum. Heads of checksums are compared first, so that hardly any has to be read.
    pub(crate) fn doubles(&self) -> Doubles {
        let mut heads: Vec<(u32, Id)> = Vec::with_capacity(self.len());
        for shelf in &self.shelves {
            heads.extend(shelf.names.heads().map(|(head, record)| (head, shelf.first + record)));
        }
        #[allow(
            clippy::stable_sort_primitive,
            reason = "it makes use of each repository's being in order already"
        )]
        heads.sort();
        let mut doubles = Doubles::default();
        for same_head in heads.chunk_by(|a, b| a.0 == b.0).filter(|all| all.len() > 1) {
            let mut sums: Vec<(Checksum, Id)> = Vec::new();
            for (_, id) in same_head {
                let (place, record) = self.shelf(*id);
                let sum = self.shelves[place].records.checksum(record as usize);
                sums.extend(sum.map(|sum| (sum, *id)));
            }
            sums.sort_unstable_by(|a, b| (a.0.as_bytes(), a.1).cmp(&(b.0.as_bytes(), b.1)));
            for same in sums.chunk_by(|a, b| a.0 == b.0).filter(|all| all.len() > 1) {
                doubles.add(same.iter().map(|(_, id)| *id).collect());
            }
        }
        doubles
    }

    /// The tags of all repositories; one may come more than once.
    pub(crate) fn pins(&self) -> impl Iterator<Item = &'a str> {
        self.shelves.iter().filter(|shelf| !shelf.records.is_empty()).filter_map(|shelf| shelf.pin)
    }

    /// The tag of each repository, by its place.
    pub(crate) fn pins_by_place(&self) -> impl Iterator<Item = Option<&'a str>> {
        self.shelves.iter().map(|shelf| shelf.pin)
    }

    /// The place of a record's repository.
    pub(crate) fn place(&self, id: Id) -> u32 {
        length(self.shelf(id).0)
    }

    /// Names have numbers below this; not every number is one of a name.
    pub(crate) fn name_count(&self) -> usize {
        self.names as usize
    }

    /// A name by its number.
    pub(crate) fn text(&self, name: NameId) -> &'a str {
        let place = self.shelves.partition_point(|shelf| shelf.first_name <= name).saturating_sub(1);
        self.shelves.get(place).map_or("", |shelf| shelf.names.text(name - shelf.first_name))
    }

    /// The number of a name that some record has, provides, needs, or waits for.
    pub(crate) fn name(&self, text: &str) -> Option<NameId> {
        self.name_before(self.shelves.len(), text)
    }

    /// The name of a record.
    pub(crate) fn own(&self, id: Id) -> NameId {
        let (place, record) = self.shelf(id);
        self.joined(place, self.shelves[place].names.own(record))
    }

    /// The names of what a record provides, as listed.
    pub(crate) fn provided(&self, id: Id) -> &[NameId] {
        let (place, record) = self.shelf(id);
        let shelf = &self.shelves[place];
        let listed = shelf.names.provided(record);
        // The numbers of the first repository are those of the universe.
        let Some(known) = shelf.provided.get(record as usize) else { return listed };
        known.get_or_init(|| listed.iter().map(|local| self.joined(place, *local)).collect())
    }

    /// As [`Universe::provided`], without keeping them.
    pub(crate) fn provided_names(&self, id: Id) -> impl Iterator<Item = NameId> + '_ {
        let (place, record) = self.shelf(id);
        self.shelves[place].names.provided(record).iter().map(move |local| self.joined(place, *local))
    }

    /// The names of what a record depends on or excludes, as listed.
    pub(crate) fn needed(&self, id: Id) -> impl Iterator<Item = NameId> + '_ {
        let (place, record) = self.shelf(id);
        self.shelves[place].names.needed(record).iter().map(move |local| self.joined(place, *local))
    }

    /// One of [`Universe::needed`], by its place.
    pub(crate) fn needed_at(&self, id: Id, at: u32) -> Option<NameId> {
        let (place, record) = self.shelf(id);
        let local = self.shelves[place].names.needed(record).get(at as usize)?;
        Some(self.joined(place, *local))
    }

    /// Puts all records that have or provide a name behind the others in a list.
    pub(crate) fn holders_into(&self, name: NameId, list: &mut Vec<Id>) {
        for (shelf, local) in self.with_name(name) {
            list.extend(shelf.names.holders(local).iter().map(|record| shelf.first + record));
        }
    }

    /// Records of this name as listed, then records that provide it, in byte order of their names.
    pub(crate) fn holders(&self, name: NameId) -> &[Id] {
        self.holders.get(name as usize).map_or(&[], |held| held.get_or_init(|| self.held(name)))
    }

    /// As [`Universe::holders`]; none if nobody knows the name.
    pub(crate) fn holders_of(&self, name: &str) -> &[Id] {
        self.name(name).map_or(&[], |name| self.holders(name))
    }

    /// What a record provides under this name, as listed. Quick, however much it provides.
    pub(crate) fn provides(&self, id: Id, name: NameId) -> impl Iterator<Item = &'a Provide> + '_ {
        let all = &self.record(id).provides;
        let names = self.provided(id);
        let (few, places) =
            if names.len() < MANY { (names, Vec::new()) } else { (&[][..], self.places(id, name)) };
        let listed =
            all.iter().zip(few).filter(move |(_, other)| **other == name).map(|(provide, _)| provide);
        listed.chain(places.into_iter().map(|place| &all[place as usize]))
    }

    /// The places at which a record provides a name. Quick, however much it provides.
    pub(crate) fn places(&self, id: Id, name: NameId) -> Vec<u32> {
        let names = self.provided(id);
        let places = self.sorted_places(id, names);
        let from = places.partition_point(|place| names[*place as usize] < name);
        let count = places[from..].partition_point(|place| names[*place as usize] == name);
        places[from..from + count].to_vec()
    }

    fn sorted_places(&self, id: Id, names: &[NameId]) -> Rc<[u32]> {
        let mut sorted = self.sorted.borrow_mut();
        let places = sorted.entry(id).or_insert_with(|| {
            let mut places: Vec<u32> = (0..length(names.len())).collect();
            places.sort_by_key(|place| names[*place as usize]);
            places.into()
        });
        Rc::clone(places)
    }

    /// The names of all records; one may come more than once.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        let of = |shelf: &Shelf<'a>| {
            let names = shelf.names;
            (0..length(shelf.records.len())).map(move |record| names.text(names.own(record)))
        };
        self.shelves.iter().flat_map(of)
    }

    /// All conditions under which records come by themselves.
    pub(crate) fn conditions(&self) -> Conditions {
        let mut all = Vec::new();
        for (place, shelf) in self.shelves.iter().enumerate() {
            all.extend(shelf.names.all_waiting().map(|[name, record, at]| Condition {
                record: shelf.first + record,
                place: at,
                name: self.joined(place, name),
            }));
        }
        Conditions::new(self.len(), self.name_count(), all)
    }

    /// Whether every bound among a record's conditions is a version to apk. The record need not be read for it.
    pub(crate) fn conditions_are_readable(&self, id: Id) -> bool {
        let (place, record) = self.shelf(id);
        self.shelves[place].records.conditions_are_readable(record as usize)
    }

    /// Whether apk can install a record at all, whoever asks for it. The record need not be read for it.
    pub(crate) fn is_installable(&self, id: Id, arch: Arch) -> bool {
        let (place, record) = self.shelf(id);
        let records = self.shelves[place].records;
        records.is_understood(record as usize) && arch.runs_packages_for(records.arch(record as usize))
    }

    /// Records with an `install_if` condition for this name, and the condition.
    pub(crate) fn waiting(&self, name: NameId) -> impl Iterator<Item = (Id, &'a Constraint)> + '_ {
        self.with_name(name).flat_map(|(shelf, local)| {
            let condition = move |(record, place): (RecordNumber, usize)| {
                let condition = shelf.records[record as usize].install_if.get(place)?;
                Some((shelf.first + record, condition))
            };
            shelf.names.waiting(local).filter_map(condition)
        })
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
fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// For each name of a table its number in the universe, which is `first` and its own if no earlier repository has it; and
/// the other way round, for the names of those. Both empty for the first.
fn join(earlier: &[Shelf<'_>], names: &Names, first: NameId) -> (Vec<NameId>, Vec<NameNumber>) {
    if earlier.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let mut known = vec![NONE; names.count()];
    for shelf in earlier {
        for (known, there) in known.iter_mut().zip(names.numbers_in(shelf.names)) {
            if let Some(there) = there.filter(|_| *known == NONE) {
                *known = shelf.first_name + there;
            }
        }
    }
    let mut own_number = vec![NONE; first as usize];
    for (local, known) in (0..).zip(&mut known) {
        match *known {
            NONE => *known = first + local,
            name => own_number[name as usize] = local,
        }
    }
    (known, own_number)
}

/// So many cells, or none if they are not used.
fn cells<T: Clone>(count: usize, used: bool) -> Vec<OnceCell<T>> {
    vec![OnceCell::new(); if used { count } else { 0 }]
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
