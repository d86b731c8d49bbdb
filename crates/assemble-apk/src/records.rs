//! The records of an index, each read when it is first asked for.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::index_text::{checksum, has_unknown_field, read_lines, texts_are_readable, value, value_near_end};
use crate::names::{Names, NamesBuilder};
use crate::{Checksum, Constraint, Record, Version};

/// The records of an index, in its order.
///
/// What was read from a repository is kept as text beside [tables](Names), and a record becomes one when somebody asks for
/// it: most are never asked for. What is made of records holds them as they are. Both are the same to whoever asks.
#[derive(Clone)]
pub struct Records(List);

#[derive(Clone)]
enum List {
    Made { records: Vec<Record>, names: OnceLock<Arc<Names>> },
    Text { names: Arc<Names>, read: Arc<[OnceLock<Box<Record>>]> },
}

impl Records {
    pub(crate) fn of_text(names: Names) -> Self {
        let count = names.lists.own.len();
        Self(List::Text { names: Arc::new(names), read: (0..count).map(|_| OnceLock::new()).collect() })
    }

    /// The text and its tables, if it is kept so.
    pub(crate) fn as_text(&self) -> Option<&Names> {
        match &self.0 {
            List::Text { names, .. } => Some(names),
            List::Made { .. } => None,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            List::Made { records, .. } => records.len(),
            List::Text { read, .. } => read.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A record, if there are so many.
    pub fn get(&self, number: usize) -> Option<&Record> {
        match &self.0 {
            List::Made { records, .. } => records.get(number),
            List::Text { names, read } => {
                let cell = read.get(number)?;
                Some(cell.get_or_init(|| Box::new(read_lines(names.lines(number)))))
            }
        }
    }

    /// Name and version of a record. Quicker than to ask for it, if it need not be read otherwise.
    pub fn identity(&self, number: usize) -> (&str, &str) {
        if let List::Text { names, .. } = &self.0 {
            let lines = names.line_bytes(number);
            return (value(lines, b'P'), value(lines, b'V'));
        }
        self.get(number).map_or(("", ""), |record| (record.name.as_str(), record.version.as_str()))
    }

    /// The checksum of a record, which need not be read for it.
    pub fn checksum(&self, number: usize) -> Option<Checksum> {
        match &self.0 {
            List::Text { names, .. } => checksum(value(names.line_bytes(number), b'C')),
            List::Made { records, .. } => records.get(number)?.checksum,
        }
    }

    /// The architecture of a record, which need not be read for it.
    pub fn arch(&self, number: usize) -> &str {
        match &self.0 {
            List::Text { names, .. } => value(names.line_bytes(number), b'A'),
            List::Made { records, .. } => records.get(number).map_or("", |record| &record.arch),
        }
    }

    /// Whether every bound among a record's conditions is a version to apk. The record need not be read for it.
    pub fn conditions_are_readable(&self, number: usize) -> bool {
        match &self.0 {
            List::Text { names, .. } => texts_are_readable(value_near_end(names.line_bytes(number), b'i')),
            List::Made { records, .. } => records.get(number).is_none_or(|one| are_readable(&one.install_if)),
        }
    }

    /// Whether a record has no field that has to be known and is not, and every bound among its needs is a version to apk.
    /// The record need not be read for it.
    pub fn is_understood(&self, number: usize) -> bool {
        match &self.0 {
            List::Text { names, .. } => {
                let lines = names.line_bytes(number);
                !has_unknown_field(lines) && texts_are_readable(value_near_end(lines, b'D'))
            }
            List::Made { records, .. } => {
                let understood = |one: &Record| one.unknown_field.is_none() && are_readable(&one.depends);
                records.get(number).is_none_or(understood)
            }
        }
    }

    /// All of them; each is read.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Record> + Clone {
        (0..self.len()).map(|number| &self[number])
    }

    /// The records of this name.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Record> {
        let names = self.names();
        let name = names.find(name);
        let holders = name.map(|name| names.holders(name)).unwrap_or_default();
        let named = holders.iter().take_while(move |record| Some(names.own(**record)) == name);
        named.map(|record| &self[*record as usize])
    }

    /// Who has, provides and waits for which name.
    pub fn names(&self) -> &Names {
        match &self.0 {
            List::Text { names, .. } => names,
            List::Made { records, names } => names.get_or_init(|| {
                let mut builder = NamesBuilder::default();
                for record in records {
                    builder.record(record);
                }
                Arc::new(builder.finish())
            }),
        }
    }

    /// All of them, to be changed.
    pub fn into_vec(self) -> Vec<Record> {
        match self.0 {
            List::Made { records, .. } => records,
            text @ List::Text { .. } => Self(text).iter().cloned().collect(),
        }
    }

    /// Keeps those for which this is true. Each is read.
    pub fn retain(&mut self, mut keep: impl FnMut(&Record) -> bool) {
        *self = self.iter().filter(|record| keep(record)).cloned().collect();
    }
}

fn are_readable(list: &[Constraint]) -> bool {
    list.iter().filter_map(|one| one.version.as_ref()).all(Version::is_valid_for_apk)
}

impl Default for Records {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl From<Vec<Record>> for Records {
    fn from(records: Vec<Record>) -> Self {
        Self(List::Made { records, names: OnceLock::new() })
    }
}

impl FromIterator<Record> for Records {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        Vec::from_iter(records).into()
    }
}

impl std::ops::Index<usize> for Records {
    type Output = Record;

    /// Panics if there are fewer, as that of a slice.
    fn index(&self, number: usize) -> &Record {
        self.get(number).expect("the caller counts no further than there are records")
    }
}

impl<'r> IntoIterator for &'r Records {
    type Item = &'r Record;
    type IntoIter = Box<dyn Iterator<Item = &'r Record> + 'r>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
