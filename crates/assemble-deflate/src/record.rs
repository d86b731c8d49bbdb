//! What is written down of symbols while they are read.

use crate::Symbol;

/// What is written down.
pub(crate) trait Kind {
    type Item: Copy + Default;

    /// Whether anything is.
    const ANY: bool;

    /// Of a byte.
    fn literal(byte: u8) -> Option<Self::Item>;

    /// Of a match behind so many bytes.
    fn repeat(run: usize, length: usize, distance: usize) -> Self::Item;
}

/// Nothing.
#[derive(Debug)]
pub(crate) enum Nothing {}

impl Kind for Nothing {
    type Item = ();

    const ANY: bool = false;

    #[inline]
    fn literal(_: u8) -> Option<()> {
        None
    }

    #[inline]
    fn repeat(_: usize, _: usize, _: usize) {}
}

impl Kind for Symbol {
    type Item = Self;

    const ANY: bool = true;

    #[inline]
    fn literal(byte: u8) -> Option<Self> {
        Some(Self::literal(byte))
    }

    #[inline]
    fn repeat(_: usize, length: usize, distance: usize) -> Self {
        Self::repeat(length, distance)
    }
}

/// Bytes, and a match behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Match {
    run: u32,
    /// 3 to 258.
    length: u16,
    /// Less one: at most 32767.
    distance: u16,
}

impl Kind for Match {
    type Item = Self;

    const ANY: bool = true;

    #[inline]
    fn literal(_: u8) -> Option<Self> {
        None
    }

    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "steps end long before 4 GiB, and the others are small"
    )]
    fn repeat(run: usize, length: usize, distance: usize) -> Self {
        Self { run: run as u32, length: length as u16, distance: distance.wrapping_sub(1) as u16 }
    }
}

impl Match {
    /// How many bytes stand in front of it.
    #[inline]
    pub(crate) fn run(self) -> usize {
        self.run as usize
    }

    /// For how many bytes it stands.
    #[inline]
    pub(crate) fn length(self) -> usize {
        self.length.into()
    }

    /// How far back they are.
    #[inline]
    pub(crate) fn distance(self) -> usize {
        usize::from(self.distance) + 1
    }
}

/// Where it is written down.
#[derive(Debug)]
pub(crate) struct Record<'v, K: Kind> {
    pub(crate) items: &'v mut Vec<K::Item>,
    /// The plain byte behind the last match, or the one that writing down began at.
    pub(crate) end: u64,
}

/// Items that are written down at a time.
const BATCH: usize = 256;

/// Items that are not yet written down.
pub(crate) struct Batch<T> {
    items: [T; BATCH],
    count: usize,
}

impl<T: Copy + Default> Batch<T> {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { items: [T::default(); BATCH], count: 0 }
    }

    #[inline]
    pub(crate) fn push(&mut self, item: T, out: &mut Vec<T>) {
        self.items[self.count & (BATCH - 1)] = item;
        self.count += 1;
        if self.count == BATCH {
            out.extend_from_slice(&self.items);
            self.count = 0;
        }
    }

    /// Writes the last ones down.
    pub(crate) fn end(&self, out: &mut Vec<T>) {
        out.extend_from_slice(&self.items[..self.count]);
    }
}
