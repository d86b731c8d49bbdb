//! Writes a stream from blocks of others and from symbols.

use crate::bits::BitWriter;
use crate::huffman::{LONGEST, code_lengths, codes};
use crate::inflate::stored_length;
use crate::symbols::{
    END_OF_BLOCK, LENGTH_ORDER, MOST_DISTANCES, MOST_LITERALS, distance_symbol, fixed_literals, length_symbol,
};
use crate::{Block, BlockKind, DeflateError, Token};

/// The most that a stored block holds.
const MOST_STORED: usize = u16::MAX as usize;

/// Puts a stream together. None of its blocks is the last until [`Splicer::finish`].
#[derive(Debug, Default)]
pub struct Splicer {
    out: BitWriter,
}

impl Splicer {
    /// An empty stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a block of another stream as it is. It is for the caller to know that what it repeats stands before it:
    /// see [`Block::stays_within`]. `stream` begins at the bit `first` of that stream, a multiple of eight.
    ///
    /// # Errors
    /// The block does not lie in these bytes.
    pub fn copy(&mut self, stream: &[u8], first: u64, block: &Block) -> Result<(), DeflateError> {
        let place = |bit: u64| bit.checked_sub(first).ok_or(DeflateError::Place);
        let (start, end) = (place(block.bits.start)?, place(block.bits.end)?);
        if end > stream.len() as u64 * 8 || start + 3 > end {
            return Err(DeflateError::Place);
        }
        if block.kind == BlockKind::Stored {
            return self.copy_stored(stream, start);
        }
        // Whatever it was, it is not the last block here.
        self.out.put(0, 1);
        self.out.copy(stream, start + 1, end);
        Ok(())
    }

    /// A stored block fills up to a byte border, which lies elsewhere now.
    fn copy_stored(&mut self, stream: &[u8], start: u64) -> Result<(), DeflateError> {
        let from = usize::try_from((start + 3).div_ceil(8)).map_err(|_| DeflateError::Place)?;
        let bytes = stream.get(from..).ok_or(DeflateError::Place)?;
        let length = stored_length(&mut crate::bits::BitReader::new(bytes))?;
        let contents = bytes.get(4..).and_then(|rest| rest.get(..length)).ok_or(DeflateError::Place)?;
        self.stored(contents);
        Ok(())
    }

    /// Appends plain bytes as they are.
    pub fn stored(&mut self, plain: &[u8]) {
        for part in plain.chunks(MOST_STORED) {
            let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
            self.out.put(0, 3);
            self.out.align();
            self.out.bytes(&length.to_le_bytes());
            self.out.bytes(&(!length).to_le_bytes());
            self.out.bytes(part);
        }
    }

    /// Appends symbols as one block, in whichever way takes the fewest bits. `plain` are the bytes that they stand for,
    /// if the caller has them at hand: only then the block can be a stored one.
    pub fn symbols(&mut self, symbols: &[Token], plain: Option<&[u8]>) {
        if symbols.is_empty() {
            return;
        }
        let counts = Counts::of(symbols);
        let dynamic = Codes::fitting(&counts);
        let header = Header::of(&dynamic);
        let fixed = Codes::fixed();
        let (dynamic_bits, fixed_bits) = (header.bits() + dynamic.bits(&counts), fixed.bits(&counts));
        if let Some(plain) = plain {
            let stored = plain.chunks(MOST_STORED).map(|part| 40 + 8 * part.len() as u64).sum::<u64>();
            if stored < dynamic_bits.min(fixed_bits) {
                return self.stored(plain);
            }
        }
        if fixed_bits <= dynamic_bits {
            self.out.put(0b010, 3);
            fixed.write(symbols, &mut self.out);
        } else {
            self.out.put(0b100, 3);
            header.write(&mut self.out);
            dynamic.write(symbols, &mut self.out);
        }
    }

    /// The whole bytes so far, which are taken out. What comes later goes on within the next byte.
    pub fn take(&mut self) -> Vec<u8> {
        self.out.take_bytes()
    }

    /// Ends the stream with an empty block. Returns what was not taken yet.
    pub fn finish(mut self) -> Vec<u8> {
        self.out.put(0b011, 3);
        self.out.put(0, 7);
        self.out.align();
        self.out.take_bytes()
    }
}

/// How often each symbol comes.
struct Counts {
    literals: [u32; MOST_LITERALS],
    distances: [u32; MOST_DISTANCES],
    extra_bits: u64,
}

impl Counts {
    fn of(symbols: &[Token]) -> Self {
        let mut counts = Self { literals: [0; MOST_LITERALS], distances: [0; MOST_DISTANCES], extra_bits: 0 };
        for symbol in symbols {
            match *symbol {
                Token::Literal(byte) => counts.literals[usize::from(byte)] += 1,
                Token::Match { length, distance } => {
                    let (length, distance) = (length_symbol(length), distance_symbol(distance));
                    counts.literals[length.symbol] += 1;
                    counts.distances[distance.symbol] += 1;
                    counts.extra_bits += u64::from(length.extra_bits + distance.extra_bits);
                }
            }
        }
        counts.literals[END_OF_BLOCK] += 1;
        counts
    }
}

/// Codes with their lengths.
struct Codes {
    literals: (Vec<u8>, Vec<u32>),
    distances: (Vec<u8>, Vec<u32>),
}

impl Codes {
    fn new(literals: Vec<u8>, distances: Vec<u8>) -> Self {
        let (of_literals, of_distances) = (codes(&literals), codes(&distances));
        Self { literals: (literals, of_literals), distances: (distances, of_distances) }
    }

    fn fitting(counts: &Counts) -> Self {
        let longest = u32::try_from(LONGEST).unwrap_or(0);
        Self::new(code_lengths(&counts.literals, longest), code_lengths(&counts.distances, longest))
    }

    fn fixed() -> Self {
        Self::new(fixed_literals().to_vec(), vec![5; 32])
    }

    /// Bits of the block's contents, with its kind.
    fn bits(&self, counts: &Counts) -> u64 {
        let sum = |counts: &[u32], lengths: &[u8]| -> u64 {
            counts.iter().zip(lengths).map(|(n, length)| u64::from(*n) * u64::from(*length)).sum()
        };
        3 + sum(&counts.literals, &self.literals.0)
            + sum(&counts.distances, &self.distances.0)
            + counts.extra_bits
    }

    fn write(&self, symbols: &[Token], out: &mut BitWriter) {
        for symbol in symbols {
            match *symbol {
                Token::Literal(byte) => put(out, &self.literals, byte.into()),
                Token::Match { length, distance } => {
                    let (length, distance) = (length_symbol(length), distance_symbol(distance));
                    put(out, &self.literals, length.symbol);
                    out.put(length.extra.into(), length.extra_bits);
                    put(out, &self.distances, distance.symbol);
                    out.put(distance.extra.into(), distance.extra_bits);
                }
            }
        }
        put(out, &self.literals, END_OF_BLOCK);
    }
}

fn put(out: &mut BitWriter, (lengths, codes): &(Vec<u8>, Vec<u32>), symbol: usize) {
    out.put(codes[symbol].into(), lengths[symbol].into());
}

/// What stands in front of a block with codes of its own: the lengths of its codes, themselves in a code.
struct Header {
    literals: usize,
    distances: usize,
    /// Symbol, extra bits, their number.
    runs: Vec<(usize, u32, u32)>,
    lengths: Vec<u8>,
    /// How many of `lengths` are written.
    given: usize,
}

impl Header {
    fn of(codes: &Codes) -> Self {
        let used = |lengths: &[u8], least: usize| {
            lengths.iter().rposition(|length| *length > 0).map_or(0, |last| last + 1).max(least)
        };
        let (literals, distances) = (used(&codes.literals.0, 257), used(&codes.distances.0, 1));
        let mut all = codes.literals.0[..literals].to_vec();
        all.extend_from_slice(&codes.distances.0[..distances]);
        let runs = runs(&all);
        let mut counts = [0; 19];
        for (symbol, ..) in &runs {
            counts[*symbol] += 1;
        }
        let mut lengths = code_lengths(&counts, 7);
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
        let runs =
            self.runs.iter().map(|(symbol, _, extra)| u64::from(self.lengths[*symbol]) + u64::from(*extra));
        14 + 3 * self.given as u64 + runs.sum::<u64>()
    }

    fn write(&self, out: &mut BitWriter) {
        out.put((self.literals - 257) as u64, 5);
        out.put((self.distances - 1) as u64, 5);
        out.put((self.given - 4) as u64, 4);
        for place in &LENGTH_ORDER[..self.given] {
            out.put(self.lengths[*place].into(), 3);
        }
        let codes = codes(&self.lengths);
        for (symbol, extra, extra_bits) in &self.runs {
            out.put(codes[*symbol].into(), self.lengths[*symbol].into());
            out.put((*extra).into(), *extra_bits);
        }
    }
}

/// Lengths as symbols: each once, or a run of them.
fn runs(lengths: &[u8]) -> Vec<(usize, u32, u32)> {
    let mut out = Vec::new();
    let number = |n: usize| u32::try_from(n).unwrap_or(0);
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
            out.push((first.into(), 0, 0));
            run -= 1;
            while run >= 3 {
                let now = run.min(6);
                out.push((16, number(now - 3), 2));
                run -= now;
            }
        }
        out.extend(std::iter::repeat_n((first.into(), 0, 0), run));
    }
    out
}
