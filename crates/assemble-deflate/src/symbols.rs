//! Lengths, distances and the order of code lengths (RFC 1951, 3.2.5 to 3.2.7).

use crate::DeflateError;
use crate::huffman::{Alphabet, END, LITERAL, SPECIAL, Table, entry};

/// Bits of the first table for literals and lengths.
const LITERAL_BITS: u32 = 11;
/// Bits of the first table for distances.
const DISTANCE_BITS: u32 = 9;
/// Bits of the table for the lengths of codes, whose codes have no more.
const LENGTH_BITS: u32 = 7;

/// Base and extra bits of the symbols 257 to 285.
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// Base and extra bits of the distance symbols.
const DISTANCES: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];

/// Symbols of literals and lengths that may have a code.
pub(crate) const MOST_LITERALS: usize = 286;
/// Symbols of distances that may have a code.
pub(crate) const MOST_DISTANCES: usize = 30;
/// The symbol that ends a block.
pub(crate) const END_OF_BLOCK: usize = 256;
/// In which order the lengths of the codes for code lengths are written.
pub(crate) const LENGTH_ORDER: [usize; 19] =
    [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// A length or distance, as it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coded {
    pub(crate) symbol: u16,
    pub(crate) base: u16,
    pub(crate) extra_bits: u8,
}

const fn coded(table: &[(u16, u8)], value: u16, first: u16) -> Coded {
    let mut symbol = 0;
    while symbol + 1 < table.len() && table[symbol + 1].0 <= value {
        symbol += 1;
    }
    let (base, extra_bits) = table[symbol];
    #[allow(clippy::cast_possible_truncation, reason = "there are thirty at most")]
    Coded { symbol: first + symbol as u16, base, extra_bits }
}

/// The symbols of lengths from 3 on.
static LENGTH_SYMBOLS: [Coded; 256] = {
    let mut all = [Coded { symbol: 0, base: 0, extra_bits: 0 }; 256];
    let mut at = 0;
    while at < 256 {
        all[at as usize] = coded(&LENGTHS, at + 3, 257);
        at += 1;
    }
    all
};

/// The symbols of distances from 1 to 256, and then of every 128th from 1 on.
static DISTANCE_SYMBOLS: [Coded; 512] = {
    let mut all = [Coded { symbol: 0, base: 0, extra_bits: 0 }; 512];
    let mut at = 0;
    while at < 256 {
        all[at as usize] = coded(&DISTANCES, at + 1, 0);
        all[at as usize + 256] = coded(&DISTANCES, at * 128 + 1, 0);
        at += 1;
    }
    all
};

/// The symbol of a match's length, which is this and three.
#[inline]
pub(crate) fn length_symbol(less_three: u8) -> Coded {
    LENGTH_SYMBOLS[usize::from(less_three)]
}

/// The symbol of a match's distance, which is this and one; at most 32767.
#[inline]
pub(crate) fn distance_symbol(less_one: u16) -> Coded {
    let place = if less_one < 256 { less_one } else { 256 + (less_one >> 7) };
    DISTANCE_SYMBOLS[usize::from(place) & 511]
}

fn meaning_of_distance(symbol: usize) -> u32 {
    DISTANCES.get(symbol).map_or(SPECIAL, |(base, extra)| entry((*base).into(), (*extra).into()))
}

/// How long the codes of a block are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lengths {
    /// As the format fixes them.
    Fixed,
    /// As the block says: first literals and lengths, so many, then distances.
    Own(Box<[u8]>, usize),
}

/// The tables of one block.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) literals: Table<LITERAL_BITS, 4096>,
    pub(crate) distances: Table<DISTANCE_BITS, 1024>,
    pub(crate) lengths: Table<LENGTH_BITS, 128>,
    /// The first two are those of the fixed codes.
    are_fixed: bool,
}

impl Tables {
    pub(crate) fn new() -> Self {
        Self { literals: Table::new(), distances: Table::new(), lengths: Table::new(), are_fixed: false }
    }

    /// The table for the lengths of codes.
    pub(crate) fn set_lengths(&mut self, lengths: &[u8; 19]) -> Result<(), DeflateError> {
        self.lengths.build(Alphabet::Lengths, lengths, |symbol| entry(u32::try_from(symbol).unwrap_or(0), 0))
    }

    /// The tables for the block's contents.
    pub(crate) fn set(&mut self, lengths: &Lengths) -> Result<(), DeflateError> {
        match lengths {
            // Such a block may have ten bits: then most of the time would go into its tables.
            Lengths::Fixed if self.are_fixed => Ok(()),
            Lengths::Fixed => {
                self.set_own(&FIXED_LITERALS, &[5; 32])?;
                self.are_fixed = true;
                Ok(())
            }
            Lengths::Own(all, literals) => {
                self.are_fixed = false;
                let (literals, distances) = all.split_at(*literals);
                self.set_own(literals, distances)
            }
        }
    }

    fn set_own(&mut self, literals: &[u8], distances: &[u8]) -> Result<(), DeflateError> {
        self.literals.build(Alphabet::Literals, literals, |symbol| LITERAL_MEANINGS[symbol])?;
        self.distances.build(Alphabet::Distances, distances, meaning_of_distance)
    }
}

/// Lengths of the fixed codes for literals and lengths.
pub(crate) const FIXED_LITERALS: [u8; 288] = {
    let mut lengths = [8; 288];
    let mut at = 144;
    while at < 280 {
        lengths[at] = if at < 256 { 9 } else { 7 };
        at += 1;
    }
    lengths
};

static LITERAL_MEANINGS: [u32; 288] = {
    let mut all = [SPECIAL; 288];
    let mut at = 0;
    while at < 256 {
        all[at as usize] = LITERAL | (at << 16);
        at += 1;
    }
    all[END_OF_BLOCK] = SPECIAL | END;
    let mut at = 0;
    while at < LENGTHS.len() {
        all[257 + at] = ((LENGTHS[at].0 as u32) << 16) | LENGTHS[at].1 as u32;
        at += 1;
    }
    all
};
