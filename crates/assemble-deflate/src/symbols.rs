//! Lengths, distances and the order of code lengths (RFC 1951, 3.2.5 to 3.2.7).

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

/// A symbol and the extra bits behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coded {
    pub(crate) symbol: usize,
    pub(crate) extra: u32,
    pub(crate) extra_bits: u32,
}

fn coded(table: &[(u16, u8)], value: u16) -> Coded {
    let symbol = table.partition_point(|(base, _)| *base <= value).saturating_sub(1);
    let (base, extra_bits) = table[symbol];
    Coded { symbol, extra: u32::from(value - base), extra_bits: u32::from(extra_bits) }
}

/// The symbol of a match's length, 3 to 258.
pub(crate) fn length_symbol(length: u16) -> Coded {
    let coded = coded(&LENGTHS, length);
    Coded { symbol: coded.symbol + 257, ..coded }
}

/// The symbol of a match's distance, 1 to 32768.
pub(crate) fn distance_symbol(distance: u16) -> Coded {
    coded(&DISTANCES, distance)
}

fn meaning_of_literal(symbol: usize) -> u32 {
    let number = |n: usize| u32::try_from(n).unwrap_or(0);
    match symbol {
        0..=255 => LITERAL | entry(number(symbol), 0),
        END_OF_BLOCK => SPECIAL | END,
        _ => {
            LENGTHS.get(symbol - 257).map_or(SPECIAL, |(base, extra)| entry((*base).into(), (*extra).into()))
        }
    }
}

fn meaning_of_distance(symbol: usize) -> u32 {
    DISTANCES.get(symbol).map_or(SPECIAL, |(base, extra)| entry((*base).into(), (*extra).into()))
}

/// The tables of one block.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) literals: Table,
    pub(crate) distances: Table,
    pub(crate) lengths: Table,
}

impl Tables {
    pub(crate) fn new() -> Self {
        Self {
            literals: Table::new(LITERAL_BITS),
            distances: Table::new(DISTANCE_BITS),
            lengths: Table::new(LENGTH_BITS),
        }
    }

    /// The table for the lengths of codes.
    pub(crate) fn set_lengths(&mut self, lengths: &[u8; 19]) -> Result<(), crate::DeflateError> {
        self.lengths.build(Alphabet::Lengths, lengths, |symbol| entry(u32::try_from(symbol).unwrap_or(0), 0))
    }

    /// The tables for the block's contents.
    pub(crate) fn set(&mut self, literals: &[u8], distances: &[u8]) -> Result<(), crate::DeflateError> {
        self.literals.build(Alphabet::Literals, literals, meaning_of_literal)?;
        self.distances.build(Alphabet::Distances, distances, meaning_of_distance)
    }

    /// The tables of blocks with fixed codes.
    pub(crate) fn set_fixed(&mut self) -> Result<(), crate::DeflateError> {
        self.set(&fixed_literals(), &[5; 32])
    }
}

/// Lengths of the fixed codes for literals and lengths.
pub(crate) fn fixed_literals() -> [u8; 288] {
    let mut lengths = [8; 288];
    lengths[144..256].fill(9);
    lengths[256..280].fill(7);
    lengths
}
