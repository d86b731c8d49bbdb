//! Reads a deflate stream, and tells of each block where it lies and how far back it reaches.

use std::io::{Read, Write};
use std::ops::Range;

use crate::DeflateError;
use crate::bits::BitReader;
use crate::huffman::{DEEPER, END, LITERAL, SPECIAL, code_bits, extra_bits, value};
use crate::symbols::{LENGTH_ORDER, MOST_DISTANCES, MOST_LITERALS, Tables};

/// How far back a match may reach.
pub(crate) const WINDOW: usize = 32 << 10;
/// Plain bytes that are given on at a time.
const CHUNK: usize = 64 << 10;
/// The longest match, and what copying in whole pieces may write behind it.
const SLACK: usize = 258 + 2 * PIECE;
/// Bytes that a match is copied by, where it does not overlap itself.
const PIECE: usize = 16;

/// How a block's contents are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// As they are.
    Stored,
    /// With the codes that the format fixes.
    Fixed,
    /// With codes of its own.
    Dynamic,
}

/// One block of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// How its contents are written.
    pub kind: BlockKind,
    /// Its bits, counted from the stream's first; it begins with the three bits of its header.
    pub bits: Range<u64>,
    /// The plain bytes that it stands for, counted from the stream's first.
    pub plain: Range<u64>,
    /// The lowest plain byte that it repeats; where it repeats nothing, its own first byte.
    pub reach: u64,
}

impl Block {
    /// Whether the block means the same in any stream in which `within` stands as a whole: all that it stands for and
    /// all that it repeats lies in that range of plain bytes.
    pub fn stays_within(&self, within: &Range<u64>) -> bool {
        within.start <= self.reach.min(self.plain.start) && self.plain.end <= within.end
    }
}

/// What is told of a stream while it is read.
pub trait Visitor {
    /// Plain bytes, in order. Their end need not be a block's.
    fn plain(&mut self, bytes: &[u8]) -> Result<(), DeflateError>;
    /// A block has ended. Its last plain bytes may come later.
    fn block(&mut self, block: Block) -> Result<(), DeflateError>;
}

/// Writes the plain bytes, and collects the blocks.
#[derive(Debug)]
pub struct Collect<W> {
    /// Takes the plain bytes.
    pub out: W,
    /// The blocks so far.
    pub blocks: Vec<Block>,
}

impl<W: Write> Visitor for Collect<W> {
    fn plain(&mut self, bytes: &[u8]) -> Result<(), DeflateError> {
        self.out.write_all(bytes).map_err(DeflateError::Write)
    }

    fn block(&mut self, block: Block) -> Result<(), DeflateError> {
        self.blocks.push(block);
        Ok(())
    }
}

/// Reads one stream up to its last block. Returns how many bytes of the source it takes up, counting the one that it
/// ends within; bytes behind it may have been read from the source, too.
///
/// # Errors
/// Bytes that are no such stream; a source that ends before it; errors of the source and the visitor.
pub fn inflate(source: impl Read, visitor: &mut impl Visitor) -> Result<u64, DeflateError> {
    let mut inflater = Inflater::new(source);
    while inflater.block(visitor)? {}
    inflater.give(visitor, true)?;
    Ok(inflater.input.position().div_ceil(8))
}

struct Inflater<R> {
    input: BitReader<R>,
    tables: Tables,
    /// The last plain bytes: up to [`WINDOW`] that were given on, then those that were not.
    window: Box<[u8]>,
    /// Where the next plain byte goes.
    at: usize,
    /// What was given on.
    given: usize,
    /// Plain bytes in front of `window[0]`.
    before: u64,
    /// The lowest place that a match of the block began at, as a place in the window plus `before`.
    reach: u64,
}

impl<R: Read> Inflater<R> {
    fn new(source: R) -> Self {
        let window = vec![0; WINDOW + CHUNK + SLACK].into_boxed_slice();
        Self {
            input: BitReader::new(source),
            tables: Tables::new(),
            window,
            at: 0,
            given: 0,
            before: 0,
            reach: 0,
        }
    }

    fn plain(&self) -> u64 {
        self.before + self.at as u64
    }

    /// Gives on what is full, or all.
    fn give(&mut self, visitor: &mut impl Visitor, all: bool) -> Result<(), DeflateError> {
        if !all && self.at < WINDOW + CHUNK {
            return Ok(());
        }
        if self.given < self.at {
            visitor.plain(&self.window[self.given..self.at])?;
        }
        self.given = self.at;
        if self.at > WINDOW {
            let cut = self.at - WINDOW;
            self.window.copy_within(cut..self.at, 0);
            self.before += cut as u64;
            self.at = WINDOW;
            self.given = WINDOW;
        }
        Ok(())
    }

    /// Reads a block; false after the last.
    fn block(&mut self, visitor: &mut impl Visitor) -> Result<bool, DeflateError> {
        let (bits, plain) = (self.input.position(), self.plain());
        self.reach = plain;
        let header = self.input.take(3)?;
        let kind = match header >> 1 {
            0 => BlockKind::Stored,
            1 => BlockKind::Fixed,
            2 => BlockKind::Dynamic,
            _ => return Err(DeflateError::Kind),
        };
        match kind {
            BlockKind::Stored => self.stored(visitor)?,
            BlockKind::Fixed => {
                self.tables.set_fixed()?;
                self.coded(visitor)?;
            }
            BlockKind::Dynamic => {
                read_codes(&mut self.input, &mut self.tables)?;
                self.coded(visitor)?;
            }
        }
        let block =
            Block { kind, bits: bits..self.input.position(), plain: plain..self.plain(), reach: self.reach };
        visitor.block(block)?;
        Ok(header & 1 == 0)
    }

    fn stored(&mut self, visitor: &mut impl Visitor) -> Result<(), DeflateError> {
        let mut left = stored_length(&mut self.input)?;
        while left > 0 {
            self.give(visitor, false)?;
            let size = left.min(WINDOW + CHUNK - self.at);
            self.input.bytes(&mut self.window[self.at..self.at + size])?;
            self.at += size;
            left -= size;
        }
        Ok(())
    }

    /// Reads symbols up to the end of the block.
    fn coded(&mut self, visitor: &mut impl Visitor) -> Result<(), DeflateError> {
        loop {
            self.give(visitor, false)?;
            if self.symbols()? {
                return Ok(());
            }
        }
    }

    /// Reads symbols until the window is full (false) or the block is at its end (true).
    fn symbols(&mut self) -> Result<bool, DeflateError> {
        let Self { input, tables, window, at: place, before, reach, .. } = self;
        let mut at = *place;
        let done = loop {
            if at >= WINDOW + CHUNK {
                break false;
            }
            input.refill()?;
            let mut found = tables.literals.look_up(input.peek());
            // Up to three short literals for one refill, and 56 - 3 * 11 bits are enough to look up the next symbol.
            let mut more = 3;
            while found & LITERAL != 0 && more > 0 {
                input.consume(code_bits(found))?;
                window[at] = value(found).to_le_bytes()[0];
                at += 1;
                more -= 1;
                found = tables.literals.look_up(input.peek());
            }
            if more < 3 && (found & LITERAL != 0 || input.ready() < 48) {
                continue;
            }
            if found & SPECIAL != 0 {
                if found & DEEPER != 0 {
                    found = tables.literals.follow(found, input.peek());
                }
                if found & LITERAL != 0 {
                    input.consume(code_bits(found))?;
                    window[at] = value(found).to_le_bytes()[0];
                    at += 1;
                    continue;
                }
                if found & END != 0 {
                    input.consume(code_bits(found))?;
                    break true;
                }
                if found & SPECIAL != 0 {
                    return Err(no_code(input.ready()));
                }
            }
            let length = extended(input, found)?;
            let mut distance = tables.distances.look_up(input.peek());
            if distance & DEEPER != 0 {
                distance = tables.distances.follow(distance, input.peek());
            }
            if distance & SPECIAL != 0 {
                return Err(no_code(input.ready()));
            }
            let distance = extended(input, distance)?;
            let from = at.checked_sub(distance).ok_or(DeflateError::Distance)?;
            *reach = (*reach).min(*before + from as u64);
            repeat(window, from, at, length);
            at += length;
        };
        *place = at;
        Ok(done)
    }
}

/// There is no such code, or there are no more bits.
fn no_code(ready: u32) -> DeflateError {
    if ready < 15 { DeflateError::Cut } else { DeflateError::Symbol }
}

/// Steps over a code and the extra bits behind it; gives the base value with them added.
#[inline]
fn extended<R: Read>(input: &mut BitReader<R>, found: u32) -> Result<usize, DeflateError> {
    let (code, extra) = (code_bits(found), extra_bits(found));
    #[allow(clippy::cast_possible_truncation, reason = "the mask leaves few bits")]
    let added = ((input.peek() >> code) & ((1_u64 << extra) - 1)) as usize;
    input.consume(code + extra)?;
    Ok(value(found) as usize + added)
}

/// Writes `length` bytes at `at` that repeat those from `from` on.
#[inline]
fn repeat(window: &mut [u8], from: usize, at: usize, length: usize) {
    if at - from >= PIECE {
        let mut done = 0;
        // What is written too much is written over by what comes next.
        while done < length {
            let Some(piece) = window.get(from + done..).and_then(|rest| rest.first_chunk::<PIECE>().copied())
            else {
                return;
            };
            if let Some(place) = window.get_mut(at + done..).and_then(|rest| rest.first_chunk_mut::<PIECE>())
            {
                *place = piece;
            }
            done += PIECE;
        }
    } else if at - from == 1 {
        let byte = window[from];
        window[at..at + length].fill(byte);
    } else {
        for place in 0..length {
            window[at + place] = window[from + place];
        }
    }
}

/// Reads the length of a stored block; the next bits are its bytes.
pub(crate) fn stored_length<R: Read>(input: &mut BitReader<R>) -> Result<usize, DeflateError> {
    input.align()?;
    let mut head = [0; 4];
    input.bytes(&mut head)?;
    let length = u16::from_le_bytes([head[0], head[1]]);
    if length != !u16::from_le_bytes([head[2], head[3]]) {
        return Err(DeflateError::StoredLength);
    }
    Ok(length.into())
}

/// Reads the codes of a block that has its own.
pub(crate) fn read_codes<R: Read>(input: &mut BitReader<R>, tables: &mut Tables) -> Result<(), DeflateError> {
    let literals = input.take(5)? as usize + 257;
    let distances = input.take(5)? as usize + 1;
    let given = input.take(4)? as usize + 4;
    if literals > MOST_LITERALS || distances > MOST_DISTANCES {
        return Err(DeflateError::Code);
    }
    let mut of_lengths = [0_u8; 19];
    for place in &LENGTH_ORDER[..given] {
        of_lengths[*place] = input.take(3)?.to_le_bytes()[0];
    }
    tables.set_lengths(&of_lengths)?;
    let mut lengths = [0_u8; MOST_LITERALS + MOST_DISTANCES];
    let all = &mut lengths[..literals + distances];
    let mut at = 0;
    while at < all.len() {
        input.refill()?;
        let found = tables.lengths.look_up(input.peek());
        if found & SPECIAL != 0 {
            return Err(no_code(input.ready()));
        }
        input.consume(code_bits(found))?;
        let (length, times) = match value(found) {
            16 => {
                let last = at.checked_sub(1).and_then(|before| all.get(before)).copied();
                (last.ok_or(DeflateError::Code)?, 3 + input.take(2)? as usize)
            }
            17 => (0, 3 + input.take(3)? as usize),
            18 => (0, 11 + input.take(7)? as usize),
            length => (length.to_le_bytes()[0], 1),
        };
        all.get_mut(at..at + times).ok_or(DeflateError::Code)?.fill(length);
        at += times;
    }
    if lengths[256] == 0 {
        return Err(DeflateError::Code);
    }
    let (of_literals, of_distances) = lengths[..literals + distances].split_at(literals);
    tables.set(of_literals, of_distances)
}
