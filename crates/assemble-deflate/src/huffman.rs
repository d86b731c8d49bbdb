//! Prefix codes: tables to read them by, and lengths to write them with (RFC 1951, 3.2.2 and 3.2.7).

use crate::DeflateError;

/// The longest code of a literal, length or distance.
pub(crate) const LONGEST: usize = 15;

/// The entry holds a byte.
pub(crate) const LITERAL: u32 = 1 << 31;
/// The entry is none of the frequent ones: see the next two.
pub(crate) const SPECIAL: u32 = 1 << 15;
/// The code goes on: the entry leads to another table.
pub(crate) const DEEPER: u32 = 1 << 14;
/// The block ends.
pub(crate) const END: u32 = 1 << 13;

/// The bits of the code, and of what belongs to it: all that is to be stepped over. Of an entry that is [`DEEPER`], the
/// bits that choose one of the deeper table.
///
/// These are bits 0 to 5 of an entry, those of the code alone 8 to 11, a byte or base value or the place of a deeper
/// table 16 to 30.
#[inline]
pub(crate) fn all_bits(entry: u32) -> u32 {
    entry & 63
}

/// The bits of the code.
#[inline]
pub(crate) fn code_bits(entry: u32) -> u32 {
    (entry >> 8) & 15
}

/// A byte, a base value, or the place of a deeper table.
#[inline]
pub(crate) fn value(entry: u32) -> u32 {
    (entry >> 16) & 0x7fff
}

/// The base value with what the extra bits add. `bits` begin with the code.
#[inline]
pub(crate) fn extended(entry: u32, bits: u64) -> usize {
    let all = bits & ((1_u64 << all_bits(entry)) - 1);
    #[allow(clippy::cast_possible_truncation, reason = "the mask leaves few bits")]
    let extra = (all >> code_bits(entry)) as usize;
    value(entry) as usize + extra
}

/// An entry with no code of its own.
pub(crate) fn entry(value: u32, extra: u32) -> u32 {
    (value << 16) | extra
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

/// A table to read codes by: the next `BITS` bits choose an entry. `SIZE` is a power of two with room for all deeper
/// tables; so no place has to be checked.
#[derive(Debug)]
pub(crate) struct Table<const BITS: u32, const SIZE: usize> {
    entries: [u32; SIZE],
}

impl<const BITS: u32, const SIZE: usize> Table<BITS, SIZE> {
    pub(crate) fn new() -> Self {
        Self { entries: [SPECIAL; SIZE] }
    }

    /// The entry for these bits, which may be [`DEEPER`].
    #[inline]
    pub(crate) fn look_up(&self, bits: u64) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "the mask leaves few bits")]
        let place = (bits & ((1_u64 << BITS) - 1)) as usize;
        self.entries[place & (SIZE - 1)]
    }

    /// Follows an entry that is [`DEEPER`]; the bits are the same that led to it. The `code_bits` of what it gives are
    /// those of the whole code.
    #[inline]
    pub(crate) fn follow(&self, entry: u32, bits: u64) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "the mask leaves few bits")]
        let offset = ((bits >> BITS) & ((1_u64 << all_bits(entry)) - 1)) as usize;
        self.entries[(value(entry) as usize + offset) & (SIZE - 1)]
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
        count[0] = 0;
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
        if left > 0 {
            self.entries[..1 << BITS].fill(SPECIAL);
        }
        self.place(&count, lengths, meaning);
        Ok(())
    }

    fn place(&mut self, count: &[u32; LONGEST + 1], lengths: &[u8], meaning: impl Fn(usize) -> u32) {
        // Sorted by length, so that a deeper table is made once and is large enough for all that begin alike.
        let mut first = [0_usize; LONGEST + 2];
        for length in 1..=LONGEST {
            first[length + 1] = first[length] + count[length] as usize;
        }
        let used = first[LONGEST + 1];
        let mut sorted = [0_u16; 512];
        for (symbol, &length) in (0_u16..).zip(lengths).filter(|(_, length)| **length > 0) {
            sorted[first[usize::from(length)] & 511] = symbol;
            first[usize::from(length)] += 1;
        }
        let mut remaining = *count;
        let (mut code, mut before) = (0_u32, 0_u32);
        let mut end = 1 << BITS;
        let mut deeper: Option<(u32, usize, u32)> = None;
        for &symbol in &sorted[..used.min(512)] {
            let bits = u32::from(lengths[usize::from(symbol)]);
            code <<= bits - before;
            before = bits;
            let reversed = code.reverse_bits() >> (32 - bits);
            code += 1;
            let mut entry = meaning(usize::from(symbol));
            entry += bits | (bits << 8);
            if bits <= BITS {
                fill(&mut self.entries[..1 << BITS], reversed, bits, entry);
            } else {
                let prefix = reversed & ((1 << BITS) - 1);
                let (base, size) = match deeper {
                    Some((known, base, size)) if known == prefix => (base, size),
                    _ => {
                        let size = deeper_bits(&remaining, bits, BITS);
                        let base = end;
                        end += 1 << size;
                        let place = u32::try_from(base).unwrap_or(0);
                        self.entries[prefix as usize & (SIZE - 1)] = (place << 16) | SPECIAL | DEEPER | size;
                        deeper = Some((prefix, base, size));
                        (base, size)
                    }
                };
                // Complete codes never need more than there is; and nothing else gets here.
                let room = self.entries.get_mut(base..base + (1 << size)).unwrap_or_default();
                fill(room, reversed >> BITS, bits - BITS, entry);
            }
            remaining[bits as usize & 15] -= 1;
        }
    }
}

/// Bits that choose an entry of the deeper table that begins with a code of this length: enough for all codes that
/// share its beginning.
fn deeper_bits(remaining: &[u32; LONGEST + 1], length: u32, bits: u32) -> u32 {
    let mut size = length - bits;
    let mut space = 1_i64 << size;
    let mut length = length as usize;
    while length < LONGEST {
        space -= i64::from(remaining[length]);
        if space <= 0 {
            break;
        }
        length += 1;
        size += 1;
        space <<= 1;
    }
    size
}

fn fill(entries: &mut [u32], code: u32, bits: u32, entry: u32) {
    for place in entries.iter_mut().skip(code as usize).step_by(1 << bits) {
        *place = entry;
    }
}

/// More symbols than any alphabet has.
const MOST: usize = 288;

/// The lengths of a prefix code in which no code is longer than `longest` bits: the best one, unless that has longer
/// codes, which are then shortened. Symbols that never come get none. All in whole numbers, so it is the same everywhere.
pub(crate) fn code_lengths(counts: &[u32], longest: usize, lengths: &mut [u8]) {
    lengths.fill(0);
    let mut leaves = [(0_u32, 0_u16); MOST];
    let mut used = 0;
    for (symbol, &count) in (0_u16..).zip(counts.iter().take(MOST)) {
        if count > 0 {
            leaves[used] = (count, symbol);
            used += 1;
        }
    }
    let leaves = &mut leaves[..used];
    if used < 2 {
        for (_, symbol) in leaves {
            lengths[usize::from(*symbol)] = 1;
        }
        return;
    }
    leaves.sort_unstable();
    let mut of_length = lengths_of_tree(leaves);
    limit(&mut of_length, longest);
    let mut rarest_first = leaves.iter();
    for length in (1..=longest).rev() {
        for (_, symbol) in rarest_first.by_ref().take(of_length[length] as usize) {
            lengths[usize::from(*symbol)] = length.to_le_bytes()[0];
        }
    }
}

/// How many codes of each length the best code has; all that are longer than 31 are counted as 31.
fn lengths_of_tree(leaves: &[(u32, u16)]) -> [u32; 32] {
    // Inner nodes come into being lightest first, so two queues are enough.
    let inner = leaves.len() - 1;
    let mut weights = [0_u64; MOST];
    let mut parents = [0_u16; 2 * MOST];
    let (mut leaf, mut pair) = (0, 0);
    for node in 0..inner {
        for _ in 0..2 {
            let is_leaf = leaf < leaves.len() && (pair >= node || u64::from(leaves[leaf].0) <= weights[pair]);
            let (weight, child) = if is_leaf {
                leaf += 1;
                (u64::from(leaves[leaf - 1].0), MOST + leaf - 1)
            } else {
                pair += 1;
                (weights[pair - 1], pair - 1)
            };
            weights[node] += weight;
            parents[child] = u16::try_from(node).unwrap_or(0);
        }
    }
    let mut depths = [0_u8; MOST];
    for node in (0..inner - 1).rev() {
        depths[node] = depths[usize::from(parents[node])].saturating_add(1);
    }
    let mut of_length = [0; 32];
    for parent in &parents[MOST..MOST + leaves.len()] {
        of_length[usize::from(depths[usize::from(*parent)]).min(30) + 1] += 1;
    }
    of_length
}

/// Makes the longest codes shorter, and in exchange as few others as possible longer.
fn limit(of_length: &mut [u32; 32], longest: usize) {
    let beyond: u32 = of_length[longest + 1..].iter().sum();
    if beyond == 0 {
        return;
    }
    of_length[longest + 1..].fill(0);
    of_length[longest] += beyond;
    let space = 1_u64 << longest;
    let mut total: u64 = (1..=longest).map(|length| u64::from(of_length[length]) << (longest - length)).sum();
    while total > space {
        of_length[longest] -= 1;
        if let Some(length) = (1..longest).rev().find(|length| of_length[*length] > 0) {
            of_length[length] -= 1;
            of_length[length + 1] += 2;
        }
        total -= 1;
    }
}

/// The codes for these lengths, with their bits in the order in which they are written.
pub(crate) fn codes(lengths: &[u8], codes: &mut [u16]) {
    let mut next = [0_u16; LONGEST + 2];
    let mut count = [0_u16; LONGEST + 1];
    for &length in lengths.iter().filter(|length| **length > 0) {
        count[usize::from(length)] += 1;
    }
    for length in 1..=LONGEST {
        next[length + 1] = (next[length] + count[length]) << 1;
    }
    for (code, &length) in codes.iter_mut().zip(lengths) {
        *code = 0;
        if length > 0 {
            *code = next[usize::from(length)].reverse_bits() >> (16 - u32::from(length));
            next[usize::from(length)] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kraft(lengths: &[u8]) -> u64 {
        lengths.iter().filter(|length| **length > 0).map(|length| 1_u64 << (15 - length)).sum()
    }

    #[test]
    fn codes_are_complete_and_short_enough() {
        let mut fibonacci = vec![1_u32, 1];
        for at in 2..40 {
            fibonacci.push(fibonacci[at - 1] + fibonacci[at - 2]);
        }
        let flat = vec![3_u32; 286];
        let skewed: Vec<u32> = (0..286).map(|n| if n % 7 == 0 { 0 } else { 1 << (n % 29) }).collect();
        for (counts, longest) in [(&fibonacci, 15), (&flat, 15), (&skewed, 15), (&skewed, 9), (&fibonacci, 7)]
        {
            let mut lengths = vec![0; counts.len()];
            code_lengths(counts, longest, &mut lengths);
            assert_eq!(kraft(&lengths), 1 << 15);
            assert!(lengths.iter().all(|length| usize::from(*length) <= longest));
            assert!(counts.iter().zip(&lengths).all(|(count, length)| (*count > 0) == (*length > 0)));
        }
    }

    #[test]
    fn a_known_code() {
        let mut lengths = [0; 4];
        code_lengths(&[1, 1, 2, 4], 15, &mut lengths);
        assert_eq!(lengths, [3, 3, 2, 1]);
    }
}
