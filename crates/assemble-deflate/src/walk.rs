//! Goes through a piece, and gives symbols for all of it: those that are known where they mean the same, others else.

use std::collections::VecDeque;
use std::ops::Range;

use crate::inflate::{BlockKind, WINDOW};
use crate::matcher::{Matcher, common};
use crate::piece::Part;
use crate::record::Match;
use crate::{Piece, Symbol};

/// Takes what a piece consists of, from its first byte to its last.
pub(crate) trait Sink {
    /// The next symbol.
    fn symbol(&mut self, symbol: Symbol);

    /// The next match.
    #[inline]
    fn repeat(&mut self, length: usize, distance: usize) {
        self.symbol(Symbol::repeat(length, distance));
    }

    /// The next bytes, which repeat nothing.
    fn literals(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.symbol(Symbol::literal(*byte));
        }
    }

    /// All up to this byte of the piece was given. Asked often, but not behind every symbol.
    fn reached(&mut self, piece: &Piece, at: usize);

    /// A block that is copied stands at this byte.
    fn copied(&mut self, piece: &Piece, at: usize, block: Copied);
}

/// A block of a stream: see [`Part::Block`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) kind: BlockKind,
    /// Its bits stand at this place of the piece's packed bytes,
    pub(crate) from: usize,
    /// behind so many others,
    pub(crate) shift: u32,
    /// and are so many.
    pub(crate) bits: u64,
    /// It stands for so many plain bytes.
    pub(crate) plain: usize,
}

/// What has to be remembered on the way. What comes of a piece depends on nothing else.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    matcher: Matcher,
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

impl Walk {
    /// Gives all of a piece.
    pub(crate) fn run<S: Sink>(&mut self, piece: &Piece, sink: &mut S) {
        self.matcher.clear();
        self.files.clear();
        let (mut symbols, mut matches) = (piece.symbols.as_slice(), piece.matches.as_slice());
        let mut at = 0;
        for part in &piece.parts {
            match *part {
                Part::Fresh(count) => {
                    let to = at + count;
                    self.matcher.search(&piece.plain, at, to, &mut |symbol| sink.symbol(symbol));
                    sink.reached(piece, to);
                    at = to;
                }
                Part::File { stream, at: first, before } => {
                    self.files.retain(|file| file.end + WINDOW > at);
                    self.files.push_back(Place { stream, first, start: at, end: at, before });
                }
                Part::Symbols(count, plain) => {
                    let (now, later) = symbols.split_at(count.min(symbols.len()));
                    symbols = later;
                    self.known(piece, at, at + plain, now, sink);
                    at += plain;
                }
                Part::Matches(count, plain) => {
                    let (now, later) = matches.split_at(count.min(matches.len()));
                    matches = later;
                    self.matches(piece, at..at + plain, now, sink);
                    at += plain;
                }
                Part::Block(block) => {
                    sink.copied(piece, at, block);
                    at += block.plain;
                }
            }
            if let Some(file) = self.files.back_mut()
                && !matches!(part, Part::Fresh(_))
            {
                file.end = at;
            }
        }
    }

    /// Takes symbols of a file over, and finds others where they repeat what is not there.
    fn known<S: Sink>(&mut self, piece: &Piece, mut at: usize, to: usize, symbols: &[Symbol], sink: &mut S) {
        let Some(file) = self.files.back().copied() else {
            return;
        };
        for &symbol in symbols {
            if symbol.byte().is_some() {
                sink.symbol(symbol);
                at += 1;
            } else {
                let length = symbol.length().min(to - at);
                let there = (at - file.start) as u64 + file.before;
                if symbol.distance() as u64 <= there && length == symbol.length() {
                    sink.symbol(symbol);
                } else {
                    self.reaching_out(piece, &file, at, length, symbol.distance(), sink);
                }
                at += length;
            }
            sink.reached(piece, at);
        }
    }

    /// The same for matches, and what stands between and behind them.
    fn matches<S: Sink>(&mut self, piece: &Piece, range: Range<usize>, matches: &[Match], sink: &mut S) {
        let (Some(file), Range { start: mut at, end }) = (self.files.back().copied(), range) else {
            return;
        };
        for one in matches {
            sink.literals(&piece.plain[at..at + one.run()]);
            at += one.run();
            let length = one.length().min(end - at);
            if one.distance() <= at - file.start && length == one.length() {
                sink.repeat(length, one.distance());
            } else {
                self.reaching_out(piece, &file, at, length, one.distance(), sink);
            }
            at += length;
        }
        sink.literals(&piece.plain[at..end]);
    }

    /// A match that reaches beyond its file. It is kept if its bytes stand elsewhere in the piece.
    fn reaching_out<S: Sink>(
        &mut self,
        piece: &Piece,
        file: &Place,
        at: usize,
        length: usize,
        distance: usize,
        sink: &mut S,
    ) {
        let mut kept = 0;
        if let Some(from) = self.place(file, at, distance)
            && from < at
            && at - from <= WINDOW
        {
            kept = common(&piece.plain, from, at, length);
            if kept >= 3 {
                sink.symbol(Symbol::repeat(kept, at - from));
            } else {
                kept = 0;
            }
        }
        if kept < length {
            let found = &mut |symbol| sink.symbol(symbol);
            self.matcher.search(&piece.plain, at + kept, at + length, found);
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
