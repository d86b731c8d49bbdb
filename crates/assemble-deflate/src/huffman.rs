//! Prefix codes: tables to read them by, and lengths to write them with (RFC 1951, 3.2.2 and 3.2.7).

use crate::DeflateError;

/// The longest code of a literal, length or distance.
pub(crate) const LONGEST: usize = 15;

/// The entry holds a byte.
pub(crate) const LITERAL: u32 = 1 << 31;
/// The entry is none of the frequent ones: see the next three.
pub(crate) const SPECIAL: u32 = 1 << 15;
/// The code goes on: the entry leads to another table.
pub(crate) const DEEPER: u32 = 1 << 14;
/// The block ends.
pub(crate) const END: u32 = 1 << 13;

/// What an entry says: bits 0 to 3 are the bits of the code, 8 to 12 the extra bits that follow it, 16 to 30 a byte, a
/// base value or the place of a deeper table.
pub(crate) fn code_bits(entry: u32) -> u32 {
    entry & 15
}

/// How many extra bits follow the code, or how many bits choose an entry of the deeper table.
pub(crate) fn extra_bits(entry: u32) -> u32 {
    (entry >> 8) & 31
}

/// A byte, a base value, or the place of a deeper table.
pub(crate) fn value(entry: u32) -> u32 {
    (entry >> 16) & 0x7fff
}

/// An entry with no code of its own.
pub(crate) fn entry(value: u32, extra: u32) -> u32 {
    (value << 16) | (extra << 8)
}

/// Which symbols a code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alphabet {
    /// The lengths of the other codes' codes.
    Lengths,
    /// Literals, lengths, the end of the block.
    Literals,
    /// Distances.
    Distances,
}

/// A table to read codes by: the next `bits` bits choose an entry.
#[derive(Debug)]
pub(crate) struct Table {
    entries: Vec<u32>,
    bits: u32,
}

impl Table {
    pub(crate) fn new(bits: u32) -> Self {
        Self { entries: Vec::new(), bits }
    }

    /// The entry for these bits; for a long code, from the deeper table. Its `code_bits` are those of the whole code.
    #[inline]
    pub(crate) fn look_up(&self, bits: u64) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "the mask leaves few bits")]
        let place = (bits & ((1_u64 << self.bits) - 1)) as usize;
        self.entries.get(place).copied().unwrap_or(SPECIAL)
    }

    /// Follows an entry that is [`DEEPER`]; the bits are the same that led to it.
    #[inline]
    pub(crate) fn follow(&self, entry: u32, bits: u64) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "the mask leaves few bits")]
        let offset = ((bits >> self.bits) & ((1_u64 << extra_bits(entry)) - 1)) as usize;
        self.entries.get(value(entry) as usize + offset).copied().unwrap_or(SPECIAL)
    }

    /// Fills the table for codes of these lengths; `meaning` gives the entry of a symbol.
    ///
    /// Which sets of lengths are taken is what every reader takes: complete ones, and one single code of one bit.
    pub(crate) fn build(
        &mut self,
        alphabet: Alphabet,
        lengths: &[u8],
        meaning: impl Fn(usize) -> u32,
    ) -> Result<(), DeflateError> {
        let mut count = [0_u32; LONGEST + 1];
        for &length in lengths {
            count[usize::from(length)] += 1;
        }
        let longest = (1..=LONGEST).rev().find(|length| count[*length] > 0).unwrap_or(0);
        let mut left = 1_i64;
        for length in &count[1..] {
            left = left * 2 - i64::from(*length);
            if left < 0 {
                return Err(DeflateError::Code);
            }
        }
        if longest > 0 && left > 0 && (alphabet == Alphabet::Lengths || longest != 1) {
            return Err(DeflateError::Code);
        }
        if longest == 0 && alphabet == Alphabet::Lengths {
            return Err(DeflateError::Code);
        }
        self.entries.clear();
        self.entries.resize(1 << self.bits, SPECIAL);
        self.place(&count, lengths, meaning);
        Ok(())
    }

    fn place(&mut self, count: &[u32; LONGEST + 1], lengths: &[u8], meaning: impl Fn(usize) -> u32) {
        let mut next = [0_u32; LONGEST + 2];
        for length in 1..=LONGEST {
            next[length + 1] = (next[length] + count[length]) << 1;
        }
        // Sorted by length, so that a deeper table is made once and is large enough for all that begin alike.
        let mut remaining = *count;
        let mut symbols: Vec<(u8, usize)> =
            lengths.iter().copied().zip(0..).filter(|(length, _)| *length > 0).collect();
        symbols.sort_unstable();
        let mut deeper: Option<(u32, usize, u32)> = None;
        for (length, symbol) in symbols {
            let bits = u32::from(length);
            let code = next[usize::from(length)];
            next[usize::from(length)] += 1;
            let reversed = code.reverse_bits() >> (32 - bits);
            let entry = meaning(symbol) | bits;
            if bits <= self.bits {
                fill(&mut self.entries, reversed, bits, self.bits, entry);
            } else {
                let prefix = reversed & ((1 << self.bits) - 1);
                let (base, size) = match deeper {
                    Some((known, base, size)) if known == prefix => (base, size),
                    _ => {
                        let size = deeper_bits(&remaining, usize::from(length), self.bits);
                        let base = self.entries.len();
                        self.entries.resize(base + (1 << size), SPECIAL);
                        let place = u32::try_from(base).unwrap_or(u32::MAX);
                        self.entries[prefix as usize] =
                            crate::huffman::entry(place, size) | SPECIAL | DEEPER | self.bits;
                        deeper = Some((prefix, base, size));
                        (base, size)
                    }
                };
                fill(&mut self.entries[base..], reversed >> self.bits, bits - self.bits, size, entry);
            }
            remaining[usize::from(length)] -= 1;
        }
    }
}

/// Bits that choose an entry of the deeper table that begins with a code of this length: enough for all codes that
/// share its beginning.
fn deeper_bits(remaining: &[u32; LONGEST + 1], length: usize, bits: u32) -> u32 {
    let mut size = length - bits as usize;
    let mut space = 1_i64 << size;
    let mut length = length;
    while length < LONGEST {
        space -= i64::from(remaining[length]);
        if space <= 0 {
            break;
        }
        length += 1;
        size += 1;
        space <<= 1;
    }
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn fill(entries: &mut [u32], code: u32, bits: u32, of: u32, entry: u32) {
    for place in (code as usize..1 << of).step_by(1 << bits) {
        entries[place] = entry;
    }
}

/// The lengths of an optimal prefix code in which no code is longer than `longest` bits. Symbols that never come get
/// none. The method is package-merge, in whole numbers, so it gives the same everywhere.
pub(crate) fn code_lengths(counts: &[u32], longest: u32) -> Vec<u8> {
    let mut lengths = vec![0_u8; counts.len()];
    let mut leaves: Vec<(u64, usize)> =
        counts.iter().copied().zip(0..).filter(|(n, _)| *n > 0).map(|(n, s)| (u64::from(n), s)).collect();
    leaves.sort_unstable();
    if leaves.len() < 2 {
        for (_, symbol) in leaves {
            lengths[symbol] = 1;
        }
        return lengths;
    }
    // A level lists leaves and pairs of the level before, lightest first; `None` is a pair.
    let mut levels: Vec<Vec<(u64, Option<usize>)>> = Vec::new();
    for _ in 0..longest {
        let pairs: Vec<u64> = levels.last().map_or_else(Vec::new, |before| {
            before.chunks_exact(2).map(|pair| pair[0].0 + pair[1].0).collect()
        });
        let mut level = Vec::with_capacity(leaves.len() + pairs.len());
        let (mut leaf, mut pair) = (leaves.iter().peekable(), pairs.iter().peekable());
        loop {
            match (leaf.peek(), pair.peek()) {
                (Some((weight, symbol)), other) if other.is_none_or(|other| weight <= *other) => {
                    level.push((*weight, Some(*symbol)));
                    leaf.next();
                }
                (_, Some(weight)) => {
                    level.push((**weight, None));
                    pair.next();
                }
                (_, None) => break,
            }
        }
        levels.push(level);
    }
    let mut take = 2 * (leaves.len() - 1);
    for level in levels.iter().rev() {
        let chosen = &level[..take.min(level.len())];
        for symbol in chosen.iter().filter_map(|(_, symbol)| *symbol) {
            lengths[symbol] += 1;
        }
        take = 2 * chosen.iter().filter(|(_, symbol)| symbol.is_none()).count();
    }
    lengths
}

/// The codes for these lengths, with their bits in the order in which they are written.
pub(crate) fn codes(lengths: &[u8]) -> Vec<u32> {
    let mut next = [0_u32; LONGEST + 2];
    let mut count = [0_u32; LONGEST + 1];
    for &length in lengths.iter().filter(|length| **length > 0) {
        count[usize::from(length)] += 1;
    }
    for length in 1..=LONGEST {
        next[length + 1] = (next[length] + count[length]) << 1;
    }
    let code = |&length: &u8| {
        if length == 0 {
            return 0;
        }
        let code = next[usize::from(length)];
        next[usize::from(length)] += 1;
        code.reverse_bits() >> (32 - u32::from(length))
    };
    lengths.iter().map(code).collect()
}
