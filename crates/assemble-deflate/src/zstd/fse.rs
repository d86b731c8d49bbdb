//! Codes whose symbols take fractions of a bit (RFC 8878, 4.1): tables to write with, and how these are described.

use crate::bits::{BitWriter, FastBits};

/// The most symbols of any table.
pub(super) const MOST_SYMBOLS: usize = 64;
/// The most bits of a state.
pub(super) const MOST_BITS: u32 = 9;
/// The fewest bits of a state that can be described.
const FEWEST_BITS: u32 = 5;

/// How a symbol moves the state: see [`State::step`].
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    /// Added to the state it says in its upper half how many bits are written.
    bits: u32,
    /// Where its states stand, less the first of their shifted numbers; below zero it wraps around.
    place: u32,
}

/// A table. All in whole numbers, so it is the same everywhere.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) log: u32,
    /// Of each symbol the share of the table that it has; less than none stands for a share below one.
    shares: [i16; MOST_SYMBOLS],
    steps: [Step; MOST_SYMBOLS],
    next: [u16; 1 << MOST_BITS],
}

/// How many bits a table should have for so many symbols, of which so many differ; at most so many.
fn bits_for(total: u32, used: usize, most: u32) -> u32 {
    let wanted = total.saturating_sub(1).max(1).ilog2().saturating_sub(2);
    // Every symbol needs a place.
    let needed = usize::BITS - used.saturating_sub(1).leading_zeros();
    wanted.max(needed).clamp(FEWEST_BITS, most)
}

/// Shares of a table that are about those of the counts. Each that is there has one at least.
fn shares_of(counts: &[u32], total: u32, log: u32) -> [i16; MOST_SYMBOLS] {
    let size = 1_u64 << log;
    let mut shares = [0_i16; MOST_SYMBOLS];
    let mut left = i32::try_from(size).unwrap_or(0);
    for (share, &count) in shares.iter_mut().zip(counts).filter(|(_, count)| **count > 0) {
        let rounded = (2 * u64::from(count) * size + u64::from(total)) / (2 * u64::from(total).max(1));
        *share = i16::try_from(rounded.max(1)).unwrap_or(i16::MAX);
        left -= i32::from(*share);
    }
    while left != 0 {
        // The largest one notices least.
        let mut largest = 0;
        for (symbol, share) in shares.iter().enumerate() {
            if *share > shares[largest] {
                largest = symbol;
            }
        }
        let step = left.signum();
        shares[largest] += if step > 0 { 1 } else { -1 };
        left -= step;
    }
    shares
}

impl Table {
    /// One that fits counts, of which two at least are not zero, with at most so many bits.
    pub(super) fn fitting(counts: &[u32], most_bits: u32) -> Self {
        let total = counts.iter().sum();
        let used = counts.iter().filter(|count| **count > 0).count();
        let log = bits_for(total, used, most_bits);
        Self::of(&shares_of(counts, total, log), log)
    }

    /// One of these shares, which add up to the size of the table.
    pub(super) fn of(given: &[i16], log: u32) -> Self {
        let mut shares = [0; MOST_SYMBOLS];
        shares[..given.len()].copy_from_slice(given);
        let mut table =
            Self { log, shares, steps: [Step::default(); MOST_SYMBOLS], next: [0; 1 << MOST_BITS] };
        table.lay_out();
        table
    }

    fn lay_out(&mut self) {
        let size = 1_usize << self.log;
        let mut places = [0_u8; 1 << MOST_BITS];
        let mut top = size;
        let numbered = || (0_u8..).zip(self.shares);
        for (symbol, _) in numbered().filter(|(_, share)| *share < 0) {
            top -= 1;
            places[top] = symbol;
        }
        let (step, mut at) = ((size >> 1) + (size >> 3) + 3, 0);
        for (symbol, share) in numbered() {
            for _ in 0..share.max(0) {
                places[at] = symbol;
                at = (at + step) & (size - 1);
                while at >= top {
                    at = (at + step) & (size - 1);
                }
            }
        }
        let mut starts = [0_usize; MOST_SYMBOLS];
        let mut total = 0;
        for ((start, step), share) in starts.iter_mut().zip(&mut self.steps).zip(self.shares) {
            *start = total;
            *step = Step::of(share, total, self.log);
            total += usize::from(share.unsigned_abs());
        }
        for (state, symbol) in (size..2 * size).zip(places) {
            let start = &mut starts[usize::from(symbol)];
            self.next[*start] = u16::try_from(state).unwrap_or(0);
            *start += 1;
        }
    }

    /// Bits that so many of each symbol take, in 256ths; nothing if one has no place.
    pub(super) fn cost(&self, counts: &[u32]) -> Option<u64> {
        let mut sum = 0;
        for (symbol, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            if self.shares[symbol] == 0 {
                return None;
            }
            sum += u64::from(count) * self.steps[symbol].cost(self.log);
        }
        Some(sum)
    }

    /// Describes the table.
    pub(super) fn describe(&self, out: &mut BitWriter) {
        out.put(u64::from(self.log - FEWEST_BITS), 4);
        let (mut left, mut threshold, mut bits) = ((1_i32 << self.log) + 1, 1_i32 << self.log, self.log + 1);
        let mut symbol = 0;
        let mut after_none = false;
        while left > 1 && symbol < MOST_SYMBOLS {
            if after_none {
                let run = self.shares[symbol..].iter().take_while(|share| **share == 0).count();
                symbol += run;
                for _ in 0..run / 3 {
                    out.put(3, 2);
                }
                out.put((run % 3) as u64, 2);
            }
            let share = i32::from(self.shares[symbol]);
            symbol += 1;
            let most = 2 * threshold - 1 - left;
            left -= share.abs();
            // Small values take one bit less.
            let value = if share + 1 >= threshold { share + 1 + most } else { share + 1 };
            let short = u32::from(value < most);
            out.put(u64::try_from(value).unwrap_or(0), bits - short);
            after_none = share == 0;
            while left < threshold && threshold > 1 {
                bits -= 1;
                threshold >>= 1;
            }
        }
        out.align();
    }
}

impl Step {
    fn of(share: i16, before: usize, log: u32) -> Self {
        let before = u32::try_from(before).unwrap_or(0);
        match share {
            // The only symbol of a table takes no bits.
            _ if log == 0 => Self::default(),
            0 => Self { bits: ((log + 1) << 16) - (1 << log), place: 0 },
            -1 | 1 => Self { bits: (log << 16) - (1 << log), place: before.wrapping_sub(1) },
            _ => {
                let share = u32::from(share.unsigned_abs());
                let bits = log - (share - 1).ilog2();
                Self { bits: (bits << 16) - (share << bits), place: before.wrapping_sub(share) }
            }
        }
    }

    /// Bits that the symbol takes, in 256ths.
    fn cost(self, log: u32) -> u64 {
        let fewest = self.bits >> 16;
        let threshold = (fewest + 1) << 16;
        let below = u64::from(threshold - (self.bits + (1 << log)));
        u64::from(fewest + 1) * 256 - ((below << 8) >> log)
    }
}

/// Where writing stands. Symbols are written from the last to the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct State(u32);

impl State {
    /// Begins with the last symbol, which costs nothing here.
    pub(super) fn begin(table: &Table, symbol: u8) -> Self {
        let step = table.steps[usize::from(symbol) & (MOST_SYMBOLS - 1)];
        let bits = (step.bits + (1 << 15)) >> 16;
        let value = (bits << 16).wrapping_sub(step.bits);
        Self(table.at((value >> bits).wrapping_add(step.place)))
    }

    /// Adds what leads from the state of this symbol to the one behind it.
    #[inline]
    pub(super) fn step(&mut self, table: &Table, symbol: u8, out: &mut FastBits<'_>) {
        let step = table.steps[usize::from(symbol) & (MOST_SYMBOLS - 1)];
        let bits = (self.0.wrapping_add(step.bits)) >> 16;
        out.add(u64::from(self.0) & ((1 << (bits & 31)) - 1), bits);
        self.0 = table.at((self.0 >> (bits & 31)).wrapping_add(step.place));
    }

    /// Adds the state itself, with which reading begins.
    pub(super) fn end(self, table: &Table, out: &mut FastBits<'_>) {
        out.add(u64::from(self.0) & ((1 << table.log) - 1), table.log);
    }
}

impl Table {
    #[inline]
    fn at(&self, place: u32) -> u32 {
        self.next[place as usize & ((1 << MOST_BITS) - 1)].into()
    }
}
