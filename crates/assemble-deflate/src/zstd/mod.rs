//! Writes a piece as a frame of zstd (RFC 8878): the symbols of its files, in codes of another kind.
//!
//! # Why it is the way it is
//! What makes compressing slow is the search for matches, and the streams that files come out of have them. Where a match
//! stands in a frame, it costs fewer bits than in a deflate block, so that a frame is smaller than what it was made of.
//! It is made of one piece alone, so that no piece has to wait for another.
//!
//! Nothing is known of libraries that write frames which could take matches of others, but in unsafe code.

mod fse;
mod literals;
mod sequences;

use twox_hash::XxHash64;

use crate::bits::BitWriter;
use crate::inflate::BlockKind;
use crate::walk::{Copied, Sink, Walk};
use crate::{Piece, Symbol};

use literals::Literals;
use sequences::Sequences;

/// What a frame begins with.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The frame is one segment, its size has four bytes, and a checksum ends it.
const DESCRIPTOR: u8 = 0b1010_0100;
/// The most plain bytes that a block stands for.
const BLOCK: usize = 128 << 10;
/// The shortest match.
const SHORTEST: usize = 3;
/// Kinds of blocks.
const RAW: usize = 0;
const COMPRESSED: usize = 2;

/// Writes pieces as frames. What it makes of one depends on nothing else.
#[derive(Debug, Default)]
pub struct FrameEncoder {
    walk: Walk,
    frame: Frame,
}

/// A frame that is written.
#[derive(Debug, Default)]
struct Frame {
    out: Vec<u8>,
    /// The contents of a block.
    body: BitWriter,
    literals: Literals,
    sequences: Sequences,
}

impl FrameEncoder {
    /// One that has written nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a piece as one frame. Its files must have been taken with [`Keep::Matches`](crate::Keep::Matches), and it
    /// may have less than 4 GiB: pieces never have more than a few megabytes.
    pub fn encode(&mut self, piece: &Piece) -> &[u8] {
        let Self { walk, frame } = self;
        frame.begin(piece.plain.len());
        let mut blocks = Blocks { plain: &piece.plain, start: 0, literals: 0, at: 0, frame };
        walk.run(piece, &mut blocks);
        blocks.finish();
        let sum = XxHash64::oneshot(0, &piece.plain).to_le_bytes();
        frame.out.extend_from_slice(&sum[..4]);
        &frame.out
    }
}

/// Blocks of a piece, as its symbols come.
struct Blocks<'a> {
    plain: &'a [u8],
    /// Where the open block begins.
    start: usize,
    /// Where the literals behind the last match of the open block begin.
    literals: usize,
    /// Up to here all is taken.
    at: usize,
    frame: &'a mut Frame,
}

impl Sink for Blocks<'_> {
    #[inline]
    fn symbol(&mut self, symbol: Symbol) {
        if symbol.byte().is_some() {
            self.at += 1;
        } else {
            self.repeat(symbol.length(), symbol.distance());
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "called for every match, and from one loop")]
    fn repeat(&mut self, length: usize, distance: usize) {
        if self.at + length <= self.start + BLOCK {
            self.take(length, distance);
        } else {
            self.does_not_fit(length, distance);
        }
    }

    #[inline]
    fn literals(&mut self, bytes: &[u8]) {
        self.at += bytes.len();
    }

    #[inline]
    fn reached(&mut self, _: &Piece, _: usize) {}

    fn copied(&mut self, _: &Piece, _: usize, block: Copied) {
        // Nobody takes blocks for a frame; their bytes would be right all the same.
        debug_assert!(matches!(block.kind, BlockKind::Stored | BlockKind::Coded), "never reached");
        self.at += block.plain;
    }
}

impl Blocks<'_> {
    /// Takes a match that does not fit into the open block.
    #[cold]
    fn does_not_fit(&mut self, length: usize, distance: usize) {
        let mut length = length;
        while self.at + length > self.start + BLOCK {
            length = self.cut(length, distance);
        }
        if length > 0 {
            self.take(length, distance);
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "called for every match, and from one loop")]
    fn take(&mut self, length: usize, distance: usize) {
        let run = self.at - self.literals;
        self.frame.literals.add(self.plain, self.literals, run);
        self.frame.sequences.add(run, length, distance);
        self.at += length;
        self.literals = self.at;
    }

    /// Ends the block in front of the match that goes beyond it, or within. Returns what is left of the match.
    fn cut(&mut self, length: usize, distance: usize) -> usize {
        let end = self.start + BLOCK;
        if self.at >= end {
            // The literals do.
            self.close(end);
            return length;
        }
        let mut now = end - self.at;
        if length - now < SHORTEST {
            now = now.saturating_sub(SHORTEST);
        }
        if now >= SHORTEST {
            self.take(now, distance);
            self.close(self.at);
            return length - now;
        }
        self.close(self.at);
        length
    }

    /// Ends the open block in front of this byte.
    fn close(&mut self, end: usize) {
        self.frame.literals.add(self.plain, self.literals, end - self.literals);
        self.frame.block(self.plain.get(self.start..end).unwrap_or_default(), end == self.plain.len());
        self.start = end;
        self.literals = end;
    }

    fn finish(mut self) {
        while self.at > self.start + BLOCK {
            self.close(self.start + BLOCK);
        }
        if self.at > self.start || self.plain.is_empty() {
            self.close(self.at);
        }
    }
}

impl Frame {
    fn begin(&mut self, size: usize) {
        self.out.clear();
        self.out.extend_from_slice(&MAGIC);
        self.out.push(DESCRIPTOR);
        self.out.extend_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
        self.literals.clear();
        self.sequences.begin();
    }

    /// Appends a block of the literals and sequences that were added, which stand for these bytes; or these bytes as they
    /// are, if that takes no more room.
    fn block(&mut self, plain: &[u8], last: bool) {
        self.body.clear();
        self.literals.write(&mut self.body);
        self.sequences.write(&mut self.body);
        let body = self.body.written();
        let (kind, content) = if body.len() < plain.len() {
            self.sequences.keep();
            (COMPRESSED, body)
        } else {
            self.sequences.undo();
            (RAW, plain)
        };
        let header = usize::from(last) | kind << 1 | content.len() << 3;
        self.out.extend_from_slice(&header.to_le_bytes()[..3]);
        self.out.extend_from_slice(content);
        self.literals.clear();
    }
}
