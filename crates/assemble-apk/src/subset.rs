//! Some of an index's records, as an index lists them.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use assemble_types::{Blob, ReadAt};

use crate::lines::Lines;
use crate::names::{Lists, Names, short};
use crate::records::Records;

impl Records {
    /// All records but those with these numbers, in the same order. None is read for it, and lines stay where they are.
    #[must_use]
    pub fn without(&self, gone: &BTreeSet<usize>) -> Self {
        let left = (0..self.len()).filter(|number| !gone.contains(number));
        match self.as_text() {
            Some((names, lines)) => {
                let left: Vec<usize> = left.collect();
                let joined = Joined::of(names, lines.text(), &left);
                let text = Blob::new(Arc::new(joined.0), joined.1);
                Self::of_lines(Arc::new(names.only(&left)), Lines::new(text, left.len()))
            }
            None => left.map(|number| self[number].clone()).collect(),
        }
    }
}

/// Pieces of a text, one behind the other.
#[derive(Debug)]
struct Joined {
    text: Blob,
    /// Where each piece begins here, and in the text.
    pieces: Vec<(u64, u64)>,
}

impl Joined {
    /// The lines of these records, and how many bytes they are.
    fn of(names: &Names, text: &Blob, records: &[usize]) -> (Self, u64) {
        let (mut pieces, mut len, mut next) = (Vec::new(), 0, None);
        for record in records {
            let range = names.line_range(*record);
            if next != Some(range.start) {
                pieces.push((len, range.start));
            }
            len += range.end - range.start;
            next = Some(range.end);
        }
        (Self { text: text.clone(), pieces }, len)
    }
}

impl ReadAt for Joined {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let after = self.pieces.partition_point(|(begin, _)| *begin <= offset);
        let Some((begin, there)) = after.checked_sub(1).map(|piece| self.pieces[piece]) else { return Ok(0) };
        let end = self.pieces.get(after).map_or(u64::MAX, |(next, _)| *next);
        let most = usize::try_from(end - offset).unwrap_or(usize::MAX).min(buf.len());
        self.text.read_at(&mut buf[..most], there + (offset - begin))
    }
}

impl Names {
    /// The tables of these records of it, ascending. Names keep their numbers.
    fn only(&self, records: &[usize]) -> Self {
        let all = &self.lists;
        let mut new = vec![u32::MAX; all.own.len()];
        for (number, record) in (0..).zip(records) {
            new[*record] = number;
        }
        let renumbered = |record: &u32| new[*record as usize];
        let kept = |list: &[u32]| list.iter().map(renumbered).filter(|new| *new != u32::MAX).collect();
        let mut lists = Lists {
            buckets: all.buckets.clone(),
            sorted: all.sorted.clone(),
            name_starts: all.name_starts.clone(),
            unfit: kept(&all.unfit),
            unreadable: kept(&all.unreadable),
            ..Lists::default()
        };
        let (mut archs, mut bytes): (Vec<(u32, String)>, _) = (Vec::new(), 0);
        for (number, &record) in (0..).zip(records) {
            let (range, arch) = (self.line_range(record), self.arch(record));
            lists.starts.push(bytes);
            bytes += u32::try_from(range.end - range.start).unwrap_or(u32::MAX);
            if archs.last().is_none_or(|(_, last)| last != arch) {
                archs.push((number, arch.to_owned()));
            }
            let record = short(record);
            lists.own.push(self.own(record));
            lists.provided_starts.push(short(lists.provided.len()));
            lists.provided.extend_from_slice(self.provided(record));
            lists.needed_starts.push(short(lists.needed.len()));
            lists.needed.extend_from_slice(self.needed(record));
        }
        lists.starts.push(bytes);
        lists.provided_starts.push(short(lists.provided.len()));
        lists.needed_starts.push(short(lists.needed.len()));
        for [name, record, place] in
            self.all_waiting().filter(|[_, record, _]| renumbered(record) != u32::MAX)
        {
            lists.waiting.extend([name, renumbered(&record), place]);
        }
        for (head, record) in self.heads().filter(|(_, record)| renumbered(record) != u32::MAX) {
            lists.sums.extend([head, renumbered(&record)]);
        }
        lists.hold();
        Self { name_text: self.name_text.clone(), lists, archs }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::index_text::tests::parse_records;

    proptest! {
        #[test]
        fn what_is_left_is_what_it_would_be_alone(
            all in prop::collection::vec(("P:[a-c]\nV:[1-3]\n(A:[xy]\n)?(p:([a-e](=1)? ){0,3}\n)?(i:([a-e](=!)? ){0,2}\n)?(C:Q1kqFQHSGzXGq3k7gQTqb\\+GxbmnOw=\n)?(D:([a-c](>!)? ){0,3}\n)?(X:\n)?\n", any::<bool>()), 0..12),
        ) {
            let text: String = all.iter().map(|(text, _)| text.as_str()).collect();
            let alone: String = all.iter().filter(|(_, stays)| *stays).map(|(text, _)| text.as_str()).collect();
            let gone = all.iter().enumerate().filter(|(_, (_, stays))| !stays).map(|(number, _)| number).collect();
            let records = parse_records(text.as_bytes()).unwrap();
            let made: Records = records.iter().cloned().collect();
            let alone = parse_records(alone.as_bytes()).unwrap();
            for left in [records.without(&gone), made.without(&gone)] {
                prop_assert_eq!(format!("{left:?}"), format!("{alone:?}"));
                let (mut versions, mut expected) = (Vec::new(), Vec::new());
                left.versions(|version| versions.push(version.to_owned()));
                alone.versions(|version| expected.push(version.to_owned()));
                prop_assert_eq!(versions, expected);
                let (names, others) = (left.names(), alone.names());
                for name in 0..short(others.count()) {
                    let text = others.text(name);
                    let same = names.find(text).unwrap();
                    prop_assert_eq!(names.holders(same), others.holders(name));
                    prop_assert!(names.waiting(same).eq(others.waiting(name)));
                }
                prop_assert!(names.heads().eq(others.heads()));
                for number in 0..left.len() {
                    prop_assert_eq!(left.arch(number), alone.arch(number));
                    prop_assert_eq!(left.is_understood(number), alone.is_understood(number));
                    prop_assert_eq!(left.conditions_are_readable(number), alone.conditions_are_readable(number));
                    let texts = |names: &Names, list: &[u32]| -> Vec<String> {
                        list.iter().map(|name| names.text(*name).to_owned()).collect()
                    };
                    let row = short(number);
                    prop_assert_eq!(texts(names, names.needed(row)), texts(others, others.needed(row)));
                    prop_assert_eq!(texts(names, names.provided(row)), texts(others, others.provided(row)));
                }
            }
        }
    }
}
