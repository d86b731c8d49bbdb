//! Writes blocks.

use crate::Symbol;
use crate::bits::BitWriter;
use crate::huffman::{LONGEST, code_lengths, codes};
use crate::symbols::{
    END_OF_BLOCK, FIXED_LITERALS, LENGTH_ORDER, MOST_DISTANCES, MOST_LITERALS, distance_symbol, length_symbol,
};

/// The most that a stored block holds.
const MOST_STORED: usize = u16::MAX as usize;

/// Appends plain bytes as they are.
pub(crate) fn stored(plain: &[u8], out: &mut BitWriter) {
    for part in plain.chunks(MOST_STORED) {
        let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
        out.put(0, 3);
        out.align();
        out.bytes(&length.to_le_bytes());
        out.bytes(&(!length).to_le_bytes());
        out.bytes(part);
    }
}

/// Fills up to a byte border with an empty block.
pub(crate) fn border(out: &mut BitWriter) {
    out.put(0, 3);
    out.align();
    out.bytes(&[0, 0, 0xff, 0xff]);
}

/// Appends symbols as one block, in whichever way takes the fewest bits. `plain` are the bytes that they stand for.
pub(crate) fn symbols(symbols: &[Symbol], plain: &[u8], out: &mut BitWriter) {
    let counts = Counts::of(symbols);
    let dynamic = Codes::fitting(&counts);
    let header = Header::of(&dynamic);
    let fixed_bits = bits(&counts, &FIXED_LITERALS, &[5; 32]);
    let dynamic_bits = header.bits() + bits(&counts, &dynamic.literals, &dynamic.distances);
    let stored_bits = plain.chunks(MOST_STORED).map(|part| 40 + 8 * part.len() as u64).sum::<u64>();
    if stored_bits < dynamic_bits.min(fixed_bits) {
        stored(plain, out);
    } else if fixed_bits <= dynamic_bits {
        out.put(0b010, 3);
        Codes::fixed().write(symbols, out);
    } else {
        out.put(0b100, 3);
        header.write(out);
        dynamic.write(symbols, out);
    }
}

/// How often each symbol comes.
struct Counts {
    literals: [u32; MOST_LITERALS + 2],
    distances: [u32; MOST_DISTANCES + 2],
    extra_bits: u64,
}

impl Counts {
    fn of(symbols: &[Symbol]) -> Self {
        let mut counts =
            Self { literals: [0; MOST_LITERALS + 2], distances: [0; MOST_DISTANCES + 2], extra_bits: 0 };
        for symbol in symbols {
            if let Some(byte) = symbol.byte() {
                counts.literals[usize::from(byte)] += 1;
            } else {
                let (length, distance) = symbol.reduced();
                let (length, distance) = (length_symbol(length), distance_symbol(distance));
                counts.literals[usize::from(length.symbol)] += 1;
                counts.distances[usize::from(distance.symbol) & 31] += 1;
                counts.extra_bits += u64::from(length.extra_bits) + u64::from(distance.extra_bits);
            }
        }
        counts.literals[END_OF_BLOCK] += 1;
        counts
    }
}

/// Bits of a block's contents, with its kind.
fn bits(counts: &Counts, literals: &[u8], distances: &[u8]) -> u64 {
    let sum = |counts: &[u32], lengths: &[u8]| -> u64 {
        counts.iter().zip(lengths).map(|(n, length)| u64::from(*n) * u64::from(*length)).sum()
    };
    3 + sum(&counts.literals, literals) + sum(&counts.distances, distances) + counts.extra_bits
}

/// How long codes are.
struct Codes {
    literals: [u8; MOST_LITERALS + 2],
    distances: [u8; MOST_DISTANCES + 2],
}

impl Codes {
    fn fitting(counts: &Counts) -> Self {
        let mut codes = Self { literals: [0; MOST_LITERALS + 2], distances: [0; MOST_DISTANCES + 2] };
        code_lengths(&counts.literals, LONGEST, &mut codes.literals);
        code_lengths(&counts.distances, LONGEST, &mut codes.distances);
        // Not every reader takes a code with less than two symbols.
        for lengths in [&mut codes.literals[..], &mut codes.distances[..]] {
            while lengths.iter().filter(|length| **length > 0).count() < 2 {
                let unused = usize::from(lengths[0] > 0);
                lengths[unused] = 1;
            }
        }
        codes
    }

    fn fixed() -> Self {
        Self { literals: FIXED_LITERALS, distances: [5; MOST_DISTANCES + 2] }
    }

    fn write(&self, symbols: &[Symbol], out: &mut BitWriter) {
        let writer = Written::of(self);
        for symbol in symbols {
            if let Some(byte) = symbol.byte() {
                let (bits, count) = writer.literals[usize::from(byte)];
                out.put(bits.into(), count.into());
            } else {
                let (length, distance) = symbol.reduced();
                let (bits, count) = writer.lengths[usize::from(length)];
                out.add(bits.into(), count.into());
                let coded = distance_symbol(distance);
                let (bits, count) = writer.distances[usize::from(coded.symbol) & 31];
                let extra = u64::from(distance + 1 - coded.base) << count;
                out.add(extra | u64::from(bits), u32::from(count) + u32::from(coded.extra_bits));
                out.flush();
            }
        }
        let (bits, count) = writer.literals[END_OF_BLOCK];
        out.put(bits.into(), count.into());
    }
}

/// What is written for each symbol, and how many bits that is.
struct Written {
    literals: [(u16, u8); MOST_LITERALS + 2],
    /// With their extra bits.
    lengths: [(u32, u8); 256],
    distances: [(u16, u8); MOST_DISTANCES + 2],
}

impl Written {
    fn of(lengths: &Codes) -> Self {
        let mut written = Self {
            literals: [(0, 0); MOST_LITERALS + 2],
            lengths: [(0, 0); 256],
            distances: [(0, 0); MOST_DISTANCES + 2],
        };
        let mut bits = [0; MOST_LITERALS + 2];
        codes(&lengths.literals, &mut bits);
        for (place, pair) in written.literals.iter_mut().zip(bits.into_iter().zip(lengths.literals)) {
            *place = pair;
        }
        codes(&lengths.distances, &mut bits);
        for (place, pair) in written.distances.iter_mut().zip(bits.into_iter().zip(lengths.distances)) {
            *place = pair;
        }
        for (length, place) in (0_u8..=255).zip(&mut written.lengths) {
            let coded = length_symbol(length);
            let (bits, count) = written.literals[usize::from(coded.symbol)];
            let extra = u32::from(length) + 3 - u32::from(coded.base);
            *place = (u32::from(bits) | (extra << count), count + coded.extra_bits);
        }
        written
    }
}

/// What stands in front of a block with codes of its own: the lengths of its codes, themselves in a code.
struct Header {
    literals: usize,
    distances: usize,
    /// Symbol, extra bits, their number.
    runs: Vec<(u8, u8, u8)>,
    lengths: [u8; 19],
    /// How many of `lengths` are written.
    given: usize,
}

impl Header {
    fn of(codes: &Codes) -> Self {
        let used = |lengths: &[u8], least: usize| {
            lengths.iter().rposition(|length| *length > 0).map_or(0, |last| last + 1).max(least)
        };
        let (literals, distances) = (used(&codes.literals, 257), used(&codes.distances, 1));
        let mut all = [0_u8; MOST_LITERALS + MOST_DISTANCES + 4];
        all[..literals].copy_from_slice(&codes.literals[..literals]);
        all[literals..literals + distances].copy_from_slice(&codes.distances[..distances]);
        let runs = runs(&all[..literals + distances]);
        let mut counts = [0; 19];
        for (symbol, ..) in &runs {
            counts[usize::from(*symbol)] += 1;
        }
        let mut lengths = [0; 19];
        code_lengths(&counts, 7, &mut lengths);
        // A code of a single symbol is not complete, and some readers take none such here.
        if lengths.iter().filter(|length| **length > 0).count() == 1 {
            let other = usize::from(lengths[0] > 0);
            lengths[other] = 1;
        }
        let given =
            LENGTH_ORDER.iter().rposition(|place| lengths[*place] > 0).map_or(4, |last| (last + 1).max(4));
        Self { literals, distances, runs, lengths, given }
    }

    fn bits(&self) -> u64 {
        let bits = |(symbol, _, extra): &(u8, u8, u8)| {
            u64::from(self.lengths[usize::from(*symbol)]) + u64::from(*extra)
        };
        14 + 3 * self.given as u64 + self.runs.iter().map(bits).sum::<u64>()
    }

    fn write(&self, out: &mut BitWriter) {
        out.put((self.literals - 257) as u64, 5);
        out.put((self.distances - 1) as u64, 5);
        out.put((self.given - 4) as u64, 4);
        for place in &LENGTH_ORDER[..self.given] {
            out.put(self.lengths[*place].into(), 3);
        }
        let mut bits = [0; 19];
        codes(&self.lengths, &mut bits);
        for (symbol, extra, extra_bits) in &self.runs {
            let symbol = usize::from(*symbol);
            out.put(bits[symbol].into(), self.lengths[symbol].into());
            out.put((*extra).into(), (*extra_bits).into());
        }
    }
}

/// Lengths as symbols: each once, or a run of them.
fn runs(lengths: &[u8]) -> Vec<(u8, u8, u8)> {
    let mut out = Vec::with_capacity(lengths.len());
    let number = |n: usize| n.to_le_bytes()[0];
    let mut rest = lengths;
    while let Some(&first) = rest.first() {
        let mut run = rest.iter().take_while(|length| **length == first).count();
        rest = &rest[run..];
        if first == 0 {
            while run >= 3 {
                let now = run.min(138);
                out.push(if now < 11 { (17, number(now - 3), 3) } else { (18, number(now - 11), 7) });
                run -= now;
            }
        } else {
            out.push((first, 0, 0));
            run -= 1;
            while run >= 3 {
                let now = run.min(6);
                out.push((16, number(now - 3), 2));
                run -= now;
            }
        }
        out.extend(std::iter::repeat_n((first, 0, 0), run));
    }
    out
}
