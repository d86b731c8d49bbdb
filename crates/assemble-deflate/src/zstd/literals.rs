//! The bytes of a block that repeat nothing (RFC 8878, 3.1.1.3.1 and 4.2).

use super::fse::{State, Table};
use crate::bits::{BitWriter, FastBits};
use crate::huffman::code_lengths;

/// The longest code.
const LONGEST: usize = 11;
/// Fewer bytes are not worth a code.
const WORTH_A_CODE: usize = 64;
/// From so many on they stand in four streams, which readers read at once.
const WORTH_FOUR: usize = 256;
/// The most bits of a state where lengths of codes are written.
const STATE_BITS: u32 = 6;
/// Bytes that are copied at once.
const SHORT: usize = 16;
/// Kinds.
const RAW: u64 = 0;
const RUN: u64 = 1;
const CODED: u64 = 2;

/// Literals of a block.
#[derive(Debug, Default)]
pub(super) struct Literals {
    /// What is behind the first so many means nothing.
    bytes: Vec<u8>,
    size: usize,
    tree: BitWriter,
    streams: BitWriter,
}

impl Literals {
    pub(super) fn clear(&mut self) {
        self.size = 0;
    }

    /// Adds so many bytes of those that begin at a place.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "called for every match, and from one loop")]
    pub(super) fn add(&mut self, plain: &[u8], from: usize, count: usize) {
        // Most runs are short: of what is copied too much, the next is written over.
        if count <= SHORT
            && let Some(bytes) = plain.get(from..).and_then(|rest| rest.first_chunk::<SHORT>())
            && let Some(place) = self.bytes.get_mut(self.size..).and_then(|rest| rest.first_chunk_mut())
        {
            *place = *bytes;
            self.size += count;
        } else {
            self.add_any(plain.get(from..from + count).unwrap_or_default());
        }
    }

    #[cold]
    fn add_any(&mut self, bytes: &[u8]) {
        let end = self.size + bytes.len();
        if self.bytes.len() < end + SHORT {
            self.bytes.resize(end.next_power_of_two() + SHORT, 0);
        }
        self.bytes[self.size..end].copy_from_slice(bytes);
        self.size = end;
    }

    /// Writes them as the section of a block.
    pub(super) fn write(&mut self, out: &mut BitWriter) {
        let size = self.size;
        if size >= WORTH_A_CODE {
            let counts = counts(&self.bytes[..size]);
            if counts.iter().any(|count| *count as usize == size) {
                plain_header(RUN, size, out);
                return out.bytes(&self.bytes[..1]);
            }
            if self.code(&counts, out) {
                return;
            }
        }
        plain_header(RAW, size, out);
        out.bytes(&self.bytes[..size]);
    }

    /// Writes them in a code of their own, if that is worth it.
    fn code(&mut self, counts: &[u32; 256], out: &mut BitWriter) -> bool {
        let size = self.size;
        let mut lengths = [0; 256];
        code_lengths(counts, LONGEST, &mut lengths);
        let bits: u64 = counts.iter().zip(lengths).map(|(n, len)| u64::from(*n) * u64::from(len)).sum();
        let worth = (size - (size >> 6) - 2) as u64;
        if bits / 8 >= worth {
            return false;
        }
        self.tree.clear();
        if !describe(&lengths, &mut self.tree) {
            return false;
        }
        let codes = codes(&lengths);
        let four = size >= WORTH_FOUR;
        self.streams.clear();
        let mut sizes = [0_u16; 3];
        let each = if four { size.div_ceil(4) } else { size };
        for (number, part) in self.bytes[..size].chunks(each).enumerate() {
            let before = self.streams.written().len();
            stream(part, &codes, &mut self.streams);
            if let Some(size) = sizes.get_mut(number) {
                *size = u16::try_from(self.streams.written().len() - before).unwrap_or(u16::MAX);
            }
        }
        let (tree, streams) = (self.tree.written(), self.streams.written());
        let packed = tree.len() + if four { 6 } else { 0 } + streams.len();
        if packed as u64 >= worth {
            return false;
        }
        coded_header(size, packed, four, out);
        out.bytes(tree);
        if four {
            for size in sizes {
                out.bytes(&size.to_le_bytes());
            }
        }
        out.bytes(streams);
        true
    }
}

/// How often each byte comes. Four tables, so that a byte does not wait for the one before.
fn counts(bytes: &[u8]) -> [u32; 256] {
    let mut tables = [[0_u32; 256]; 4];
    let (fours, rest) = bytes.as_chunks::<4>();
    for four in fours {
        for (table, byte) in tables.iter_mut().zip(four) {
            table[usize::from(*byte)] += 1;
        }
    }
    for byte in rest {
        tables[0][usize::from(*byte)] += 1;
    }
    let [mut all, others @ ..] = tables;
    for other in others {
        all.iter_mut().zip(other).for_each(|(sum, count)| *sum += count);
    }
    all
}

fn plain_header(kind: u64, size: usize, out: &mut BitWriter) {
    let (form, bits) = match size {
        0..32 => (0, 5),
        32..4096 => (1, 12),
        _ => (3, 20),
    };
    out.add(kind, 2);
    // The shortest form has one bit only.
    out.add(form, if bits == 5 { 1 } else { 2 });
    out.put(size as u64, bits);
}

fn coded_header(size: usize, packed: usize, four: bool, out: &mut BitWriter) {
    let (form, bits) = match size.max(packed) {
        _ if !four => (0, 10),
        0..1024 => (1, 10),
        1024..16384 => (2, 14),
        _ => (3, 18),
    };
    out.add(CODED, 2);
    out.add(form, 2);
    out.add(size as u64, bits);
    out.put(packed as u64, bits);
}

/// Codes for these lengths: the code in the lower half, how long it is in the upper one.
fn codes(lengths: &[u8; 256]) -> [u32; 256] {
    let mut of_length = [0_u32; LONGEST + 1];
    for length in lengths {
        of_length[usize::from(*length)] += 1;
    }
    let (mut next, mut first) = ([0_u32; LONGEST + 1], 0);
    for length in (1..=LONGEST).rev() {
        next[length] = first;
        first = (first + of_length[length]) >> 1;
    }
    let mut codes = [0; 256];
    for (code, length) in codes.iter_mut().zip(lengths).filter(|(_, length)| **length > 0) {
        *code = next[usize::from(*length)] | u32::from(*length) << 16;
        next[usize::from(*length)] += 1;
    }
    codes
}

/// Writes bytes from the last to the first, and a bit behind them.
fn stream(bytes: &[u8], codes: &[u32; 256], out: &mut BitWriter) {
    let add = |byte: u8, bits: &mut FastBits<'_>| {
        let code = codes[usize::from(byte)];
        bits.add(u64::from(code & 0xffff), code >> 16);
    };
    out.fast(bytes.len() * LONGEST / 8 + 8, |bits| {
        let (rest, fours) = bytes.as_rchunks::<4>();
        for [a, b, c, d] in fours.iter().rev() {
            add(*d, bits);
            add(*c, bits);
            add(*b, bits);
            add(*a, bits);
            bits.flush();
        }
        rest.iter().rev().for_each(|byte| add(*byte, bits));
        bits.add(1, 1);
        bits.flush();
    });
    out.align();
}

/// Describes a complete code, whose longest codes have [`LONGEST`] bits at most; false if there is no way to.
fn describe(lengths: &[u8; 256], out: &mut BitWriter) -> bool {
    let longest = lengths.iter().max().copied().unwrap_or(0);
    let last = lengths.iter().rposition(|length| *length > 0).unwrap_or(0);
    // That of the last byte follows from the others.
    let mut weights = [0_u8; 256];
    for (weight, length) in weights.iter_mut().zip(lengths).filter(|(_, length)| **length > 0) {
        *weight = longest + 1 - length;
    }
    let weights = &weights[..last];
    let mut packed = BitWriter::default();
    let is_packed = pack(weights, &mut packed);
    let direct = last.div_ceil(2);
    if is_packed && packed.written().len() < 128 && (packed.written().len() < direct || last > 128) {
        let size = u8::try_from(packed.written().len()).unwrap_or(0);
        out.bytes(&[size]);
        out.bytes(packed.written());
        return true;
    }
    if last > 128 {
        return false;
    }
    out.bytes(&[127 + u8::try_from(last).unwrap_or(0)]);
    for pair in weights.chunks(2) {
        out.bytes(&[pair[0] << 4 | pair.get(1).copied().unwrap_or(0)]);
    }
    true
}

/// Writes weights with two states in turn; false if they are too few, or all the same.
fn pack(weights: &[u8], out: &mut BitWriter) -> bool {
    let mut counts = [0_u32; LONGEST + 2];
    for weight in weights {
        counts[usize::from(*weight)] += 1;
    }
    let (Some((&last, before)), true) = (weights.split_last(), weights.len() > 2) else { return false };
    if counts.iter().filter(|count| **count > 0).count() < 2 {
        return false;
    }
    let Some((&other, rest)) = before.split_last() else { return false };
    let table = Table::fitting(&counts, STATE_BITS);
    table.describe(out);
    // The first weight is the first state's, whichever of them the last one is.
    let mut states = [State::begin(&table, last), State::begin(&table, other)];
    if weights.len().is_multiple_of(2) {
        states.reverse();
    }
    out.fast(weights.len() + 8, |bits| {
        for (number, weight) in rest.iter().enumerate().rev() {
            states[number % 2].step(&table, *weight, bits);
            bits.flush();
        }
        states[1].end(&table, bits);
        states[0].end(&table, bits);
        bits.add(1, 1);
        bits.flush();
    });
    out.align();
    true
}
