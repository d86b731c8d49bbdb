//! Writes a piece as blocks: copies those that mean the same here, and codes the rest anew.

use std::collections::VecDeque;

use crate::bits::BitWriter;
use crate::block;
use crate::inflate::{BlockKind, WINDOW};
use crate::matcher::{Matcher, common};
use crate::piece::Part;
use crate::{Piece, Symbol};

/// So many symbols make a block.
const BLOCK: usize = 16 << 10;

/// Writes pieces. What it makes of one depends on nothing else.
#[derive(Debug, Default)]
pub struct Encoder {
    out: BitWriter,
    matcher: Matcher,
    /// The open block.
    symbols: Vec<Symbol>,
    /// Where the open block begins.
    start: usize,
    /// The files of which something stands in the last [`WINDOW`] bytes of the piece.
    files: VecDeque<Place>,
}

/// Where bytes of a stream stand in a piece.
#[derive(Debug, Clone, Copy)]
struct Place {
    stream: usize,
    /// The byte of the stream that stands at `start`.
    first: u64,
    start: usize,
    end: usize,
    /// Bytes of the file before those.
    before: u64,
}

impl Encoder {
    /// One that has written nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a piece as deflate blocks, none of them the last, which end on a byte border. They mean the same whatever
    /// stands before them, if a file that did not begin in this piece stands there as a whole.
    pub fn encode(&mut self, piece: &Piece) -> &[u8] {
        self.out.clear();
        self.matcher.clear();
        self.symbols.clear();
        self.files.clear();
        self.start = 0;
        let (mut at, mut symbols) = (0, piece.symbols.as_slice());
        for part in &piece.parts {
            match *part {
                Part::Fresh(count) => {
                    self.fresh(piece, at, at + count);
                    at += count;
                }
                Part::File { stream, at: first, before } => {
                    self.files.retain(|file| file.end + WINDOW > at);
                    self.files.push_back(Place { stream, first, start: at, end: at, before });
                }
                Part::Symbols(count, plain) => {
                    let (now, later) = symbols.split_at(count.min(symbols.len()));
                    symbols = later;
                    self.known(piece, at, at + plain, now);
                    at += plain;
                }
                Part::Block { kind, from, shift, bits, plain } => {
                    self.close(piece, at);
                    self.copy(&piece.packed[from..], kind, shift, bits);
                    at += plain;
                    self.start = at;
                }
            }
            if let Some(file) = self.files.back_mut()
                && !matches!(part, Part::Fresh(_))
            {
                file.end = at;
            }
        }
        self.close(piece, at);
        block::border(&mut self.out);
        self.out.written()
    }

    fn copy(&mut self, packed: &[u8], kind: BlockKind, shift: u32, bits: u64) {
        if kind == BlockKind::Stored {
            let size = usize::try_from(bits / 8).unwrap_or(packed.len());
            block::stored(&packed[..size], &mut self.out);
            return;
        }
        // Whatever it was, it is not the last block here.
        self.out.put(0, 1);
        self.out.copy(packed, u64::from(shift) + 1, u64::from(shift) + bits);
    }

    /// Ends the open block, if it has any symbols.
    fn close(&mut self, piece: &Piece, at: usize) {
        if !self.symbols.is_empty() {
            block::symbols(&self.symbols, &piece.plain[self.start..at], &mut self.out);
            self.symbols.clear();
        }
        self.start = at;
    }

    fn close_full(&mut self, piece: &Piece, at: usize) {
        if self.symbols.len() >= BLOCK {
            self.close(piece, at);
        }
    }

    fn fresh(&mut self, piece: &Piece, from: usize, to: usize) {
        let Self { matcher, symbols, .. } = self;
        matcher.search(&piece.plain, from, to, &mut |symbol| symbols.push(symbol));
        self.close_full(piece, to);
    }

    /// Takes symbols of a file over, and finds others where they repeat what is not there.
    fn known(&mut self, piece: &Piece, mut at: usize, to: usize, symbols: &[Symbol]) {
        let Some(file) = self.files.back().copied() else {
            return;
        };
        for &symbol in symbols {
            if symbol.byte().is_some() {
                self.symbols.push(symbol);
                at += 1;
            } else {
                let length = symbol.length().min(to - at);
                let there = (at - file.start) as u64 + file.before;
                if symbol.distance() as u64 <= there && length == symbol.length() {
                    self.symbols.push(symbol);
                } else {
                    self.reaching_out(piece, &file, at, length, symbol.distance());
                }
                at += length;
            }
            self.close_full(piece, at);
        }
    }

    /// A match that reaches beyond its file. It is kept if its bytes stand elsewhere in the piece.
    fn reaching_out(&mut self, piece: &Piece, file: &Place, at: usize, length: usize, distance: usize) {
        let mut kept = 0;
        if let Some(from) = self.place(file, at, distance)
            && from < at
            && at - from <= WINDOW
        {
            kept = common(&piece.plain, from, at, length);
            if kept >= 3 {
                self.symbols.push(Symbol::repeat(kept, at - from));
            } else {
                kept = 0;
            }
        }
        if kept < length {
            let Self { matcher, symbols, .. } = self;
            matcher.search(&piece.plain, at + kept, at + length, &mut |symbol| symbols.push(symbol));
        }
    }

    /// Where a byte of the stream stands in the piece that is `distance` before the one of the file at `at`.
    fn place(&self, file: &Place, at: usize, distance: usize) -> Option<usize> {
        let wanted = (file.first + (at - file.start) as u64).checked_sub(distance as u64)?;
        let mut candidates = self.files.iter().rev().filter(|other| other.stream == file.stream);
        candidates.find_map(|other| {
            let end = if other.start == file.start { at } else { other.end };
            let offset = usize::try_from(wanted.checked_sub(other.first)?).ok()?;
            (offset < end - other.start).then_some(other.start + offset)
        })
    }
}
