//! Lists beside the universe: who waits for what, and rows of numbers.

use std::cell::Cell;

use crate::universe::{Id, NameId, Universe};

/// Rows of numbers in one list.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Rows {
    /// Of pairs of a row and a number; within a row the numbers stay in order.
    pub(crate) fn of(rows: usize, pairs: &[(u32, u32)]) -> Self {
        let mut starts = vec![0_u32; rows + 1];
        for (row, _) in pairs {
            starts[*row as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut items = vec![0; pairs.len()];
        for (row, item) in pairs {
            let place = &mut next[*row as usize];
            items[*place as usize] = *item;
            *place += 1;
        }
        Self { starts, items }
    }

    pub(crate) fn row(&self, row: u32) -> &[u32] {
        let row = row as usize;
        let range = self.starts.get(row).zip(self.starts.get(row + 1));
        range.and_then(|(from, to)| self.items.get(*from as usize..*to as usize)).unwrap_or_default()
    }
}

/// A condition under which a record comes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Condition {
    pub(crate) record: Id,
    /// Its place in the record's list.
    pub(crate) place: u32,
    pub(crate) name: NameId,
}

/// All conditions of all records.
#[derive(Debug)]
pub(crate) struct Conditions {
    /// By record, then as listed.
    all: Vec<Condition>,
    /// Of each record the first one.
    starts: Vec<u32>,
    /// For each name the records that wait for it, in order.
    waiting: Rows,
    /// Whether the conditions of a record can be read, once somebody asked.
    readable: Vec<Cell<Option<bool>>>,
}

impl Conditions {
    pub(crate) fn new(records: usize, names: usize, mut all: Vec<Condition>) -> Self {
        let pairs: Vec<(u32, u32)> = all.iter().map(|one| (one.name, one.record)).collect();
        let waiting = Rows::of(names, &pairs);
        all.sort_unstable();
        let mut starts = vec![0_u32; records + 1];
        for one in &all {
            starts[one.record as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        Self { all, starts, waiting, readable: vec![Cell::new(None); records] }
    }

    /// Those of a record, as listed.
    pub(crate) fn of(&self, id: Id) -> &[Condition] {
        let at = id as usize;
        &self.all[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    /// Records that wait for a name, in order; one may come more than once.
    pub(crate) fn waiting(&self, name: NameId) -> &[Id] {
        self.waiting.row(name)
    }

    /// Whether a record may come in by itself; a condition with a version that is none disables all.
    pub(crate) fn are_readable(&self, universe: &Universe<'_>, id: Id) -> bool {
        let known = &self.readable[id as usize];
        known.get().unwrap_or_else(|| {
            let readable = universe.conditions_are_readable(id);
            known.set(Some(readable));
            readable
        })
    }
}
