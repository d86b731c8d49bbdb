//! The records of an index, each read when it is first asked for.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use crate::lines::{LineWriter, Lines};
use crate::names::{Names, NamesBuilder};
use crate::record_names::name_record;
use crate::{Checksum, Constraint, Record, Version};

/// The records of an index, in its order.
///
/// What was read from a repository, of either format version, is [tables](Names) in memory, and lines that are not: a record
/// is read from these when somebody asks for it, and most are never asked for. What is made of records holds them as they are. Both are the same
/// to whoever asks.
#[derive(Clone)]
pub struct Records(List);

#[derive(Clone)]
enum List {
    Made { records: Vec<Record>, names: OnceLock<Arc<Names>> },
    Text { names: Arc<Names>, lines: Arc<Lines> },
}

impl Records {
    pub(crate) fn of_lines(names: Arc<Names>, lines: Arc<Lines>) -> Self {
        Self(List::Text { names, lines })
    }

    /// Those whose names and lines were written down.
    pub(crate) fn of_built(names: NamesBuilder, lines: LineWriter) -> io::Result<Self> {
        let names = names.finish(lines.len());
        let lines = Lines::new(lines.finish()?, names.lists.own.len());
        Ok(Self::of_lines(Arc::new(names), lines))
    }

    /// The tables and the lines, if it is kept so.
    pub(crate) fn as_text(&self) -> Option<(&Arc<Names>, &Lines)> {
        match &self.0 {
            List::Text { names, lines } => Some((names, lines)),
            List::Made { .. } => None,
        }
    }

    /// Fails if a record could not be read that somebody asked for. Whoever uses what records say asks this before it
    /// counts.
    ///
    /// # Errors
    /// Whatever reading reported.
    pub fn check(&self) -> io::Result<()> {
        self.as_text().map_or(Ok(()), |(_, lines)| lines.check())
    }

    /// Bytes of memory that all of them take, but for what is in those that were read. Nothing where all are in memory.
    pub fn weight(&self) -> Option<usize> {
        self.as_text().map(|(names, lines)| names.weight() + lines.weight())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            List::Made { records, .. } => records.len(),
            List::Text { lines, .. } => lines.count(),
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
            List::Text { names, lines } => lines.get(names, number),
        }
    }

    /// The checksum of a record, which need not be kept for it.
    pub fn checksum(&self, number: usize) -> Option<Checksum> {
        match &self.0 {
            List::Text { names, lines } => lines.checksum(names, number),
            List::Made { records, .. } => records.get(number)?.checksum,
        }
    }

    /// The architecture of a record, which need not be read for it.
    pub fn arch(&self, number: usize) -> &str {
        match &self.0 {
            List::Text { names, .. } => names.arch(number),
            List::Made { records, .. } => records.get(number).map_or("", |record| &record.arch),
        }
    }

    /// Whether every bound among a record's conditions is a version to apk. The record need not be read for it.
    pub fn conditions_are_readable(&self, number: usize) -> bool {
        match &self.0 {
            List::Text { names, .. } => !has(&names.lists.unreadable, number),
            List::Made { records, .. } => records.get(number).is_none_or(Record::conditions_are_readable),
        }
    }

    /// Whether a record has no field that has to be known and is not, and every bound among its needs is a version to apk.
    /// The record need not be read for it.
    pub fn is_understood(&self, number: usize) -> bool {
        match &self.0 {
            List::Text { names, .. } => !has(&names.lists.unfit, number),
            List::Made { records, .. } => records.get(number).is_none_or(Record::is_understood),
        }
    }

    /// Tells the version of every record, in order, and keeps none that was read for it.
    pub fn versions(&self, mut tell: impl FnMut(&str)) {
        match &self.0 {
            List::Text { names, lines } => lines.versions(names, tell),
            List::Made { records, .. } => records.iter().for_each(|record| tell(record.version.as_str())),
        }
    }

    /// All of them; each is read.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Record> + Clone {
        (0..self.len()).map(|number| &self[number])
    }

    /// The records of this name.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Record> {
        self.numbers_of(name).map(|number| &self[number])
    }

    /// The numbers of the records of this name.
    pub fn numbers_of(&self, name: &str) -> impl Iterator<Item = usize> {
        let names = self.names();
        let name = names.find(name);
        let holders = name.map(|name| names.holders(name)).unwrap_or_default();
        let named = holders.iter().take_while(move |record| Some(names.own(**record)) == name);
        named.map(|record| *record as usize)
    }

    /// Who has, provides and waits for which name.
    pub fn names(&self) -> &Names {
        match &self.0 {
            List::Text { names, .. } => names,
            List::Made { records, names } => names.get_or_init(|| {
                let mut builder = NamesBuilder::default();
                for record in records {
                    name_record(&mut builder, 0, record);
                }
                Arc::new(builder.finish(0))
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
}

/// Whether an ascending list has this number.
fn has(list: &[u32], number: usize) -> bool {
    list.binary_search_by(|one| (*one as usize).cmp(&number)).is_ok()
}

impl Record {
    /// See [`Records::is_understood`].
    pub(crate) fn is_understood(&self) -> bool {
        self.unknown_field.is_none() && are_readable(&self.depends)
    }

    /// See [`Records::conditions_are_readable`].
    pub(crate) fn conditions_are_readable(&self) -> bool {
        are_readable(&self.install_if)
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
