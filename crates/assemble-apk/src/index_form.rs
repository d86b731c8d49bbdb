//! An index as it lies in the cache: its tables, so that nothing of it has to be read again. The records' lines lie beside it.
//!
//! ```text
//! the names | fifteen lists of 32-bit numbers | architectures | description | files | key name
//!     | lengths: lists, names, architectures, description, files, key name
//! ```
//! Numbers are little-endian. Architectures are lines of a record's number, a space, and what it and those behind it are
//! for. Where files lie is a line of its own kind. Whoever keeps the form sees to it that it comes back as it was, with the same lines; what could not have been
//! written is refused all the same.

use std::fmt::Write as _;
use std::sync::Arc;

use assemble_types::Blob;

use crate::lines::Lines;
use crate::names::{Lists, Names};
use crate::record_lines::read_foreign_lines;
use crate::records::Records;
use crate::{Index, Keyring, PackageSpec, Trust};

/// Counts up with the form and with all that decides what is read from an index, so that none is taken for another.
const FORM: &str = "index form 5";
/// The length that stands for no key name.
const NO_KEY: u32 = u32::MAX;
/// How many lengths stand at the end.
const LENGTHS: usize = Lists::COUNT + 5;

impl Index {
    /// The index as bytes and its records' lines, of which [`Index::from_form`] makes the same. Nothing of an index that was
    /// made of records.
    pub fn to_form(&self) -> Option<(Vec<u8>, Blob)> {
        let (names, lines) = self.records.as_text()?;
        let files = self.files.to_line();
        let lists = names.lists.all();
        let numbers: usize = lists.iter().map(|list| list.len()).sum();
        let archs = write_archs(&names.archs);
        let texts = names.name_text.len() + archs.len() + self.description.len() + files.len() + 256;
        let mut out = Vec::with_capacity(texts + 4 * (numbers + LENGTHS));
        out.extend_from_slice(&names.name_text);
        for list in &lists {
            put(&mut out, list);
        }
        for text in [&archs, &self.description, &files, self.signed_by.as_deref().unwrap_or_default()] {
            out.extend_from_slice(text.as_bytes());
        }
        let mut lengths = Vec::with_capacity(LENGTHS);
        for list in lists {
            lengths.push(u32::try_from(list.len()).ok()?);
        }
        for text in [names.name_text.len(), archs.len(), self.description.len(), files.len()] {
            lengths.push(u32::try_from(text).ok()?);
        }
        lengths.push(self.signed_by.as_ref().map_or(Some(NO_KEY), |name| u32::try_from(name.len()).ok())?);
        put(&mut out, &lengths);
        Some((out, lines.text().clone()))
    }

    /// An index of the bytes and lines that [`Index::to_form`] made of it. Nothing if they are no such bytes.
    pub fn from_form(bytes: &[u8], text: Blob) -> Option<Self> {
        let (mut rest, tail) = bytes.split_at(bytes.len().checked_sub(4 * LENGTHS)?);
        let lengths = numbers(tail);
        let (of_lists, others) = lengths.split_first_chunk::<{ Lists::COUNT }>()?;
        let [names, archs, description, files, key] = *others.first_chunk()?;
        let mut take = |length: usize| {
            let (taken, left) = rest.split_at_checked(length)?;
            rest = left;
            Some(taken)
        };
        let name_text = take(names as usize)?.to_vec();
        let mut lists = Lists::default();
        for (list, length) in lists.all_mut().into_iter().zip(of_lists) {
            *list = numbers(take((*length as usize).checked_mul(4)?)?);
        }
        let archs = read_archs(str::from_utf8(take(archs as usize)?).ok()?)?;
        let description = str::from_utf8(take(description as usize)?).ok()?.to_owned();
        let files = PackageSpec::from_line(str::from_utf8(take(files as usize)?).ok()?)?;
        let signed_by = match key {
            NO_KEY => None,
            length => Some(str::from_utf8(take(length as usize)?).ok()?.to_owned()),
        };
        if !rest.is_empty() || !lists.fit(text.len(), names) {
            return None;
        }
        let count = lists.own.len();
        let names = Arc::new(Names { name_text, lists, archs });
        let records = Records::of_lines(names, Lines::new(text, count));
        Some(Self { records, description, signed_by, files })
    }

    /// A text of some records, and where their files lie, from which [`Index::of_excerpt`] makes an index of these alone.
    /// Nothing of an index that was made of records, and if there are not so many.
    pub fn excerpt(&self, records: &[usize]) -> Option<String> {
        let (names, all) = self.records.as_text()?;
        let mut text = self.files.to_line() + "\n";
        for &record in records {
            let lines = all.read(names, record).ok()?;
            if lines.is_empty() {
                return None;
            }
            let _ = writeln!(text, "{}\n", lines.trim_end_matches('\n'));
        }
        Some(text)
    }

    /// An index of the text that [`Index::excerpt`] gave, if it has so many records; who signed the whole is for the caller
    /// to know.
    pub fn of_excerpt(text: &str, count: usize, signed_by: Option<String>) -> Option<Self> {
        let (files, mut rest) = text.split_once('\n')?;
        let files = PackageSpec::from_line(files)?;
        let mut records = Vec::new();
        while !rest.is_empty() {
            let (lines, next) = rest.split_at(rest.find("\n\n")? + 1);
            records.push(read_foreign_lines(lines)?);
            rest = &next[1..];
        }
        (records.len() == count).then(|| Self { records: records.into(), signed_by, files, ..Self::empty() })
    }

    /// A text that says which form of an index with these digits as its digest is meant: one that was read with these
    /// keys, under this trust and this limit, by this version of the program.
    pub fn form_key(digest: &str, keyring: &Keyring, trust: Trust, limit: Option<u64>) -> String {
        let mut key = format!("{FORM}\n{}\n{digest}\n{trust:?} {limit:?}\n", env!("CARGO_PKG_VERSION"));
        for one in keyring.iter() {
            // Writing to a text does not fail.
            let _ = writeln!(key, "{} {}", one.fingerprint().hex(), one.name());
        }
        key
    }
}

/// Writes lines of architectures.
fn write_archs(archs: &[(u32, String)]) -> String {
    let mut out = String::new();
    for (first, arch) in archs {
        // Writing to a text does not fail.
        let _ = writeln!(out, "{first} {arch}");
    }
    out
}

/// Reads lines of architectures as they are written: ascending, and no two of one in a row.
fn read_archs(text: &str) -> Option<Vec<(u32, String)>> {
    let mut archs: Vec<(u32, String)> = Vec::new();
    for line in text.split_terminator('\n') {
        let (first, arch) = line.split_once(' ')?;
        let first = first.parse().ok()?;
        if archs.last().is_some_and(|(before, last)| *before >= first || last == arch) {
            return None;
        }
        archs.push((first, arch.to_owned()));
    }
    (write_archs(&archs) == text).then_some(archs)
}

fn put(out: &mut Vec<u8>, list: &[u32]) {
    out.extend(list.iter().flat_map(|number| number.to_le_bytes()));
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|number| u32::from_le_bytes(*number)).collect()
}

impl Lists {
    /// Whether every number in here is one of what it should be, beside so many bytes of lines and of names.
    fn fit(&self, text: u64, name_text: u32) -> bool {
        let (records, names) = (self.own.len(), self.sorted.len());
        let (names_below, records_below) = (below(names), below(records));
        let starts = |list: &[u32], rows: usize, end: usize| {
            list.len() == rows + 1
                && list.is_sorted()
                && list.last().is_some_and(|last| *last as usize <= end)
        };
        let (waiting, rest) = self.waiting.as_chunks::<3>();
        let (sums, odd) = self.sums.as_chunks::<2>();
        let ascending = |list: &[u32]| {
            list.is_sorted_by(|one, next| one < next) && list.last().is_none_or(&records_below)
        };
        starts(&self.starts, records, usize::try_from(text).unwrap_or(usize::MAX))
            && ascending(&self.unfit)
            && ascending(&self.unreadable)
            && starts(&self.provided_starts, records, self.provided.len())
            && starts(&self.needed_starts, records, self.needed.len())
            && starts(&self.holder_starts, names, self.holders.len())
            && starts(&self.name_starts, names, name_text as usize)
            && self.buckets.len() > 2
            && self.buckets.is_sorted()
            && self.buckets.first() == Some(&0)
            && self.buckets.last().is_some_and(|last| *last as usize == names)
            && is_permutation(&self.sorted)
            && (self.buckets.len() - 1).is_power_of_two()
            && self.own.iter().all(&names_below)
            && self.provided.iter().all(&names_below)
            && self.needed.iter().all(&names_below)
            && self.holders.iter().all(&records_below)
            && waiting.iter().all(|[name, record, _]| names_below(name) && records_below(record))
            && sums.iter().all(|[_, record]| records_below(record))
            && rest.is_empty()
            && odd.is_empty()
    }
}

/// Whether each number below the count is there once.
fn is_permutation(list: &[u32]) -> bool {
    let mut seen = vec![false; list.len()];
    let is_new = |seen: &mut bool| !std::mem::replace(seen, true);
    list.iter().all(|number| seen.get_mut(*number as usize).is_some_and(is_new))
}

fn below(end: usize) -> impl Fn(&u32) -> bool {
    move |number| (*number as usize) < end
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::index_text::tests::parse_records;

    fn index(text: &str, signed_by: Option<&str>) -> Index {
        let records = parse_records(text.as_bytes()).unwrap();
        Index { records, description: "d".into(), signed_by: signed_by.map(Into::into), ..Index::empty() }
    }

    proptest! {
        #[test]
        fn tables_are_joined_by_text(left in "(P:[a-d]{1,2}\nV:1\n\n){0,40}", right in "(P:[a-d]{1,2}\nV:1\n\n){0,9}") {
            let (left, right) = (index(&left, None), index(&right, None));
            for (one, other) in [(&left, &right), (&right, &left)] {
                let (one, other) = (one.records.names(), other.records.names());
                let joined = one.numbers_in(other);
                prop_assert_eq!(joined.len(), one.count());
                for (name, number) in (0..).zip(joined) {
                    prop_assert_eq!(number, other.find(one.text(name)));
                }
            }
        }
    }

    /// All that can be asked of the names.
    pub(crate) fn told(index: &Index) -> String {
        let names = index.records.names();
        let mut all: Vec<String> = (0..u32::try_from(names.count()).unwrap())
            .map(|name| {
                assert_eq!(names.find(names.text(name)), Some(name));
                let waiting: Vec<_> = names.waiting(name).collect();
                format!("{} {:?} {waiting:?}", names.text(name), names.holders(name))
            })
            .collect();
        all.sort();
        for (number, record) in (0..).zip(&index.records) {
            let provided: Vec<_> = names.provided(number).iter().map(|name| names.text(*name)).collect();
            let alike: Vec<_> = names.heads().filter(|(_, other)| *other == number).collect();
            assert_eq!(alike.len(), usize::from(record.checksum.is_some()));
            let of = number as usize;
            assert_eq!(index.records.arch(of), record.arch);
            assert_eq!(index.records.checksum(of), record.checksum);
            let readable = |list: &[crate::Constraint]| {
                list.iter().filter_map(|one| one.version.as_ref()).all(crate::Version::is_valid_for_apk)
            };
            assert_eq!(index.records.conditions_are_readable(of), readable(&record.install_if));
            let understood = record.unknown_field.is_none() && readable(&record.depends);
            assert_eq!(index.records.is_understood(of), understood);
            let needed: Vec<_> = names.needed(number).iter().map(|name| names.text(*name)).collect();
            assert!(
                needed.iter().eq(record
                    .depends
                    .iter()
                    .map(|need| need.name.as_str())
                    .collect::<Vec<_>>()
                    .iter())
            );
            all.push(format!("{} {provided:?} {alike:?}", names.text(names.own(number))));
        }
        format!("{all:#?} {:#?} {} {:?}", index.records, index.description, index.signed_by)
    }

    #[test]
    fn what_is_no_excerpt_is_refused() {
        let index = index("P:a\nV:1\nk:3\n\nP:b\nV:2\nD:a\nX:\n", None);
        let text = index.excerpt(&[1, 0]).unwrap();
        assert_eq!(text, "2\nP:b\nV:2\nD:a\nX:\n\nP:a\nV:1\nk:3\n\n");
        let again = Index::of_excerpt(&text, 2, None).unwrap();
        assert!(again.records.iter().eq(index.records.clone().into_vec().iter().rev()));
        assert!(
            index.excerpt(&[2]).is_none() && Index { records: again.records, ..index }.excerpt(&[]).is_none()
        );
        assert!(Index::of_excerpt("2\n", 0, None).is_some());
        for (from, to) in [
            ("2\n", ""),
            ("2\n", "4\n"),
            ("2\n", "=/x\n"),
            ("P:b", "P:../b"),
            ("P:b", "P:"),
            ("P:b\n", ""),
            ("V:2", "V:1/2"),
            ("V:2\n", ""),
            ("V:2", "V:1 2"),
            ("D:a", "a"),
            ("D:a", ""),
            ("k:3", "k:x"),
            ("k:3\n\n", "k:3\n"),
            ("\n\nP:a", "\nP:a"),
        ] {
            let damaged = text.replacen(from, to, 1);
            assert!(Index::of_excerpt(&damaged, 2, None).is_none(), "{damaged:?}");
        }
    }

    proptest! {
        #[test]
        fn the_form_of_an_index_is_the_index(text in "((P:[a-c]\nV:[1-3]\n(p:([a-e](=[1-3])? |/x |so:a=1 |!x |b@c ){0,4}\n)?(i:([a-e](=1)? |!a |a@x ){0,3}\n)?(C:Q1kqFQHSGzXGq3k7gQTqb\\+GxbmnOw=\n)?(T:[a-z\u{e9}]{0,5}\n)?(D:[a-c] [a-c]>1\n)?)?\n){0,12}", signed: bool) {
            let index = index(&text, signed.then_some("k.rsa.pub"));
            let again = {
                let (form, lines) = index.to_form().unwrap();
                Index::from_form(&form, lines).unwrap()
            };
            prop_assert_eq!(told(&again), told(&index));
            // The same of records that were made otherwise.
            let made = Index { records: index.records.clone().into_vec().into(), ..index.clone() };
            prop_assert!(made.to_form().is_none());
            prop_assert_eq!(told(&made), told(&index));
        }

        #[test]
        fn what_is_no_form_is_refused_or_harmless(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
            let index = index("P:a\nV:1\nA:x\np:b c=1\ni:b =\nX:\n\nP:b\nV:1\n", None);
            let (form, lines) = index.to_form().unwrap();
            let mut other = form.clone();
            let at = at.index(form.len());
            other[at] = byte;
            for bytes in [other, form[..cut.index(form.len())].to_vec()] {
                if let Some(index) = Index::from_form(&bytes, lines.clone()) {
                    let names = index.records.names();
                    for name in 0..u32::try_from(names.count()).unwrap() {
                        let _ = (names.find(names.text(name)), names.holders(name), names.waiting(name).count());
                    }
                    let _ = format!("{:?}", index.records);
                }
            }
        }
    }
}
