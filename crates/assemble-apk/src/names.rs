//! Who has, provides and waits for which name, as tables of numbers beside the lines of an index.
//!
//! # Why it is the way it is
//! A choice looks at a few hundred of an index's records, and would otherwise pay for all of them. The records' lines are
//! therefore not in memory at all, names are ranges of one buffer, lists are rows of one list, and these are what lies in the
//! cache: see [`crate::index_form`].
//! What takes time is waiting for memory, so names stand side by side, numbered as they come: those of one record have
//! numbers and texts that are close. Names are found by a hash that says where they may stand; there they stand in byte
//! order, so that nobody can make finding them slow by choosing names of one hash.

use std::ops::Range;

use crate::Checksum;
use crate::seen::Seen;

/// The place of a record in its index.
pub type RecordNumber = u32;
/// The number of a name that some record of an index has, provides, needs, or waits for: below [`Names::count`]. Which number a
/// name gets depends on the records alone.
pub type NameNumber = u32;

/// Most bits of a hash that choose a bucket.
const MOST_BITS: u32 = 24;
/// Up to how many names are compared one by one.
const FEW: usize = 16;

/// The tables of one index.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// All names.
    pub(crate) name_text: Vec<u8>,
    pub(crate) lists: Lists,
    /// The first record of each row of records of one architecture, and that; the index of a repository has one.
    pub(crate) archs: Vec<(u32, String)>,
}

/// What stands beside the texts. The order is that of the form in the cache.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lists {
    /// Where the lines of each record begin, and where the last one's end.
    pub(crate) starts: Vec<u32>,
    /// Where the names of each bucket begin, and where the last one's end.
    pub(crate) buckets: Vec<u32>,
    /// The names of each bucket, in byte order.
    pub(crate) sorted: Vec<u32>,
    /// Where the text of each name begins, and where the last one's ends.
    pub(crate) name_starts: Vec<u32>,
    /// The name of each record.
    pub(crate) own: Vec<u32>,
    /// Where the provides of each record begin, and where the last one's end.
    pub(crate) provided_starts: Vec<u32>,
    /// The names of what is provided, as listed.
    pub(crate) provided: Vec<u32>,
    /// Where the needs of each record begin, and where the last one's end.
    pub(crate) needed_starts: Vec<u32>,
    /// The names of what records depend on or exclude, as listed.
    pub(crate) needed: Vec<u32>,
    /// Where the holders of each name begin, and where the last one's end.
    pub(crate) holder_starts: Vec<u32>,
    /// Records of the name, then others that provide it, each in the order of the index.
    pub(crate) holders: Vec<u32>,
    /// Name, record, place of the condition in the record's list; ascending.
    pub(crate) waiting: Vec<u32>,
    /// The first four bytes of a checksum, and its record; ascending.
    pub(crate) sums: Vec<u32>,
    /// Records with a field that has to be known and is not, or a bound among their needs that is no version to apk;
    /// ascending.
    pub(crate) unfit: Vec<u32>,
    /// Records with a bound among their conditions that is no version to apk; ascending.
    pub(crate) unreadable: Vec<u32>,
}

impl Lists {
    pub(crate) const COUNT: usize = 15;

    pub(crate) fn all(&self) -> [&Vec<u32>; Self::COUNT] {
        let Self { starts, buckets, sorted, name_starts, own, provided_starts, provided, .. } = self;
        let Self { needed_starts, needed, holder_starts, holders, waiting, sums, unfit, unreadable, .. } =
            self;
        [
            starts,
            buckets,
            sorted,
            name_starts,
            own,
            provided_starts,
            provided,
            needed_starts,
            needed,
            holder_starts,
            holders,
            waiting,
            sums,
            unfit,
            unreadable,
        ]
    }

    pub(crate) fn all_mut(&mut self) -> [&mut Vec<u32>; Self::COUNT] {
        let Self { starts, buckets, sorted, name_starts, own, provided_starts, provided, .. } = self;
        let Self { needed_starts, needed, holder_starts, holders, waiting, sums, unfit, unreadable, .. } =
            self;
        [
            starts,
            buckets,
            sorted,
            name_starts,
            own,
            provided_starts,
            provided,
            needed_starts,
            needed,
            holder_starts,
            holders,
            waiting,
            sums,
            unfit,
            unreadable,
        ]
    }
}

/// A row of a table of lists; an empty one where there is none.
fn row<'t>(items: &'t [u32], starts: &[u32], row: u32) -> &'t [u32] {
    let row = row as usize;
    let range = starts.get(row).zip(starts.get(row + 1));
    range.and_then(|(&from, &to)| items.get(from as usize..to as usize)).unwrap_or_default()
}

/// The upper bits choose a bucket. Its values are part of the form in the cache.
fn hash(text: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |sum: u64, bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let sum = (sum ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
        sum ^ (sum >> 32)
    };
    let sum = text.chunks(8).fold(text.len() as u64, step).wrapping_mul(FACTOR);
    (sum >> 32) as u32
}

/// The first four bytes.
fn head(sum: &Checksum) -> u32 {
    sum.as_bytes().first_chunk().map_or(0, |head| u32::from_be_bytes(*head))
}

impl Names {
    /// How many names there are.
    pub fn count(&self) -> usize {
        self.lists.name_starts.len().saturating_sub(1)
    }

    /// A name.
    pub fn text(&self, name: NameNumber) -> &str {
        str::from_utf8(self.bytes(name)).unwrap_or_default()
    }

    fn bytes(&self, name: NameNumber) -> &[u8] {
        let at = name as usize;
        let range = self.lists.name_starts.get(at).zip(self.lists.name_starts.get(at + 1));
        range.and_then(|(&from, &to)| self.name_text.get(from as usize..to as usize)).unwrap_or_default()
    }

    /// The names of a bucket.
    fn in_bucket(&self, bucket: usize) -> &[NameNumber] {
        row(&self.lists.sorted, &self.lists.buckets, short(bucket))
    }

    /// The number of a name.
    pub fn find(&self, text: &str) -> Option<NameNumber> {
        let buckets = u32::try_from(self.lists.buckets.len().checked_sub(1)?).ok()?;
        let names = self.in_bucket(bucket(hash(text.as_bytes()), buckets.checked_ilog2()?));
        names.binary_search_by(|name| self.bytes(*name).cmp(text.as_bytes())).ok().map(|place| names[place])
    }

    /// The name of a record.
    pub fn own(&self, record: RecordNumber) -> NameNumber {
        self.lists.own.get(record as usize).copied().unwrap_or(NameNumber::MAX)
    }

    /// The names of what a record provides, as listed.
    pub fn provided(&self, record: RecordNumber) -> &[NameNumber] {
        row(&self.lists.provided, &self.lists.provided_starts, record)
    }

    /// The names of what a record depends on or excludes, as listed.
    pub fn needed(&self, record: RecordNumber) -> &[NameNumber] {
        row(&self.lists.needed, &self.lists.needed_starts, record)
    }

    /// For each name, the number that another table has for it, if it has one.
    pub fn numbers_in(&self, other: &Self) -> Vec<Option<NameNumber>> {
        let mut out = vec![None; self.count()];
        let bits = |names: &Self| names.lists.buckets.len().saturating_sub(1).checked_ilog2().unwrap_or(0);
        let (own, others) = (bits(self), bits(other));
        let start = |bucket: usize| other.lists.buckets.get(bucket).copied().unwrap_or_default() as usize;
        for (bucket, pair) in self.lists.buckets.windows(2).enumerate() {
            // Buckets are ordered by the upper bits of the hash, and the other table may look at more or fewer of them.
            let (from, to) = if own >= others {
                (bucket >> (own - others), (bucket >> (own - others)) + 1)
            } else {
                (bucket << (others - own), (bucket + 1) << (others - own))
            };
            let candidates = other.lists.sorted.get(start(from)..start(to)).unwrap_or_default();
            let names = self.lists.sorted.get(pair[0] as usize..pair[1] as usize).unwrap_or_default();
            for name in names {
                let text = self.bytes(*name);
                out[*name as usize] = if candidates.len() <= FEW {
                    candidates.iter().find(|other_name| other.bytes(**other_name) == text).copied()
                } else {
                    other.find(self.text(*name))
                };
            }
        }
        out
    }

    /// Records of this name, then others that provide it, each once and in the order of the index.
    pub fn holders(&self, name: NameNumber) -> &[RecordNumber] {
        row(&self.lists.holders, &self.lists.holder_starts, name)
    }

    /// Records with an `install_if` condition for this name, and its place in their list.
    pub fn waiting(&self, name: NameNumber) -> impl Iterator<Item = (RecordNumber, usize)> + '_ {
        let (all, _) = self.lists.waiting.as_chunks::<3>();
        let from = all.partition_point(|[other, ..]| *other < name);
        let same = all[from..].iter().take_while(move |[other, ..]| *other == name);
        same.map(|&[_, record, place]| (record, place as usize))
    }

    /// All conditions: name, record, place of the condition in the record's list; ascending.
    pub fn all_waiting(&self) -> impl Iterator<Item = [u32; 3]> + '_ {
        self.lists.waiting.as_chunks::<3>().0.iter().copied()
    }

    /// The beginning of each record's checksum, and the record; ascending. Records without one are not among them.
    pub fn heads(&self) -> impl Iterator<Item = (u32, RecordNumber)> + '_ {
        self.lists.sums.as_chunks::<2>().0.iter().map(|[head, record]| (*head, *record))
    }

    /// Where a record's lines stand in the text of all.
    pub(crate) fn line_range(&self, record: usize) -> Range<u64> {
        let range = self.lists.starts.get(record).zip(self.lists.starts.get(record + 1));
        range.map(|(&from, &to)| u64::from(from)..u64::from(to)).unwrap_or_default()
    }

    /// The architecture of a record.
    pub(crate) fn arch(&self, record: usize) -> &str {
        let after = self.archs.partition_point(|(first, _)| *first as usize <= record);
        after.checked_sub(1).map_or("", |row| &self.archs[row].1)
    }

    /// Bytes of memory that all of this takes.
    pub(crate) fn weight(&self) -> usize {
        let numbers: usize = self.lists.all().iter().map(|list| list.capacity()).sum();
        let archs: usize = self.archs.iter().map(|one| size_of_val(one) + one.1.len()).sum();
        self.name_text.capacity() + numbers * size_of::<u32>() + archs
    }
}

fn bucket(hash: u32, bits: u32) -> usize {
    hash.checked_shr(32 - bits).unwrap_or(0) as usize
}

/// What a record has a name for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Use {
    /// It is its own.
    Own,
    /// It provides it.
    Provide,
    /// It needs or excludes it.
    Need,
    /// It waits for it, with the condition at this place of its list.
    Condition(u32),
}

/// How many bytes of lines there usually are for each name.
const BYTES_A_NAME: usize = 128;
/// Most names that are entered at once.
pub(crate) const AT_ONCE: usize = 24;

/// Makes the tables, record by record. There is never so much text that an offset has more than 32 bits: see
/// [`crate::index_text::Room`].
#[derive(Debug, Default)]
pub(crate) struct NamesBuilder {
    seen: Seen,
    lists: Lists,
    archs: Vec<(u32, String)>,
    conditions: Vec<[u32; 3]>,
    sums: Vec<(u32, u32)>,
}

/// Adds a record to a list that may have it as its last.
fn note(list: &mut Vec<u32>, record: u32) {
    if list.last() != Some(&record) {
        list.push(record);
    }
}

/// Never more than offsets: see [`NamesBuilder`].
pub(crate) fn short(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl NamesBuilder {
    /// Makes room for the names that there usually are in so many bytes of lines.
    pub(crate) fn expect(&mut self, bytes: usize) {
        self.seen.expect(bytes / BYTES_A_NAME);
    }

    /// A new record, whose lines stand behind so many bytes of others, and its architecture.
    pub(crate) fn begin(&mut self, at: u32, arch: &str) {
        self.lists.starts.push(at);
        if self.archs.last().is_none_or(|(_, last)| last != arch) {
            self.archs.push((self.record_number(), arch.to_owned()));
        }
        self.lists.provided_starts.push(short(self.lists.provided.len()));
        self.lists.needed_starts.push(short(self.lists.needed.len()));
    }

    fn record_number(&self) -> u32 {
        short(self.lists.starts.len() - 1)
    }

    /// Names of the record that was begun, its own first. Never more than [`AT_ONCE`].
    pub(crate) fn enter(&mut self, names: &[(Use, &str)]) {
        let (mut hashes, mut guesses) = ([0; AT_ONCE], [None; AT_ONCE]);
        for ((_, name), hash) in names.iter().zip(&mut hashes) {
            *hash = self.seen.hash(name.as_bytes());
        }
        for ((hash, guess), _) in hashes.iter().zip(&mut guesses).zip(names) {
            *guess = self.seen.guess(*hash);
        }
        for (((of, name), hash), guess) in names.iter().zip(hashes).zip(guesses) {
            let number = self.seen.number(name.as_bytes(), hash, guess);
            match of {
                Use::Own => self.lists.own.push(number),
                Use::Provide => self.lists.provided.push(number),
                Use::Need => self.lists.needed.push(number),
                Use::Condition(place) => self.conditions.push([number, self.record_number(), *place]),
            }
        }
    }

    /// The record's checksum.
    pub(crate) fn sum(&mut self, sum: &Checksum) {
        self.sums.push((head(sum), self.record_number()));
    }

    /// Apk cannot install the record, whoever asks for it.
    pub(crate) fn is_unfit(&mut self) {
        let record = self.record_number();
        note(&mut self.lists.unfit, record);
    }

    /// Apk cannot tell whether the record's conditions are met.
    pub(crate) fn is_unreadable(&mut self) {
        let record = self.record_number();
        note(&mut self.lists.unreadable, record);
    }

    /// The tables of all records, which have so many bytes of lines.
    pub(crate) fn finish(mut self, bytes: u32) -> Names {
        self.lists.starts.push(bytes);
        self.lists.provided_starts.push(short(self.lists.provided.len()));
        self.lists.needed_starts.push(short(self.lists.needed.len()));
        self.sums.sort_unstable();
        self.lists.sums = self.sums.iter().flat_map(|(head, record)| [*head, *record]).collect();
        self.conditions.sort_unstable();
        self.lists.waiting = self.conditions.into_flattened();
        let Seen { text: name_text, starts, .. } = self.seen;
        self.lists.name_starts = starts;
        let mut all = Names { name_text, lists: self.lists, archs: self.archs };
        all.sort_names();
        all.lists.hold();
        all.name_text.shrink_to_fit();
        for list in all.lists.all_mut() {
            list.shrink_to_fit();
        }
        all
    }
}

impl Names {
    /// Puts all names in buckets, there in byte order.
    fn sort_names(&mut self) {
        let count = self.count();
        let bits = (count.next_power_of_two().ilog2().saturating_sub(1)).clamp(1, MOST_BITS);
        let buckets: Vec<u32> =
            (0..short(count)).map(|name| short(bucket(hash(self.bytes(name)), bits))).collect();
        let mut starts = vec![0_u32; (1 << bits) + 1];
        for bucket in &buckets {
            starts[*bucket as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut sorted = vec![0_u32; count];
        for (name, bucket) in (0..).zip(&buckets) {
            let place = &mut next[*bucket as usize];
            sorted[*place as usize] = name;
            *place += 1;
        }
        for pair in starts.windows(2).filter(|pair| pair[1] - pair[0] > 1) {
            sorted[pair[0] as usize..pair[1] as usize].sort_unstable_by_key(|name| self.bytes(*name));
        }
        (self.lists.buckets, self.lists.sorted) = (starts, sorted);
    }
}

impl Lists {
    /// Fills in who holds which name.
    pub(crate) fn hold(&mut self) {
        let names = self.name_starts.len().saturating_sub(1);
        let mut ends = vec![0_u32; names + 1];
        for name in &self.own {
            ends[*name as usize + 1] += 1;
        }
        self.each_provider(|name, _| ends[name as usize + 1] += 1);
        for at in 1..ends.len() {
            ends[at] += ends[at - 1];
        }
        let mut next = ends.clone();
        let mut holders = vec![0; ends[names] as usize];
        let mut hold = |name: u32, record: u32| {
            let place = &mut next[name as usize];
            holders[*place as usize] = record;
            *place += 1;
        };
        for (record, name) in (0..).zip(&self.own) {
            hold(*name, record);
        }
        self.each_provider(hold);
        self.holder_starts = ends;
        self.holders = holders;
    }

    /// Each record with each name that it provides, once, and never its own.
    fn each_provider(&self, mut with: impl FnMut(u32, u32)) {
        let mut last = vec![u32::MAX; self.name_starts.len()];
        for (record, own) in (0..).zip(&self.own) {
            for name in row(&self.provided, &self.provided_starts, record) {
                if name != own && std::mem::replace(&mut last[*name as usize], record) != record {
                    with(*name, record);
                }
            }
        }
    }
}
