//! Writes a piece as blocks: copies those that mean the same here, and codes the rest anew.

use crate::bits::BitWriter;
use crate::block;
use crate::inflate::BlockKind;
use crate::walk::{Copied, Sink, Walk};
use crate::{Piece, Symbol};

/// So many symbols make a block.
const BLOCK: usize = 16 << 10;

/// Writes pieces. What it makes of one depends on nothing else.
#[derive(Debug, Default)]
pub struct Encoder {
    walk: Walk,
    blocks: Blocks,
}

/// Blocks that are written.
#[derive(Debug, Default)]
struct Blocks {
    out: BitWriter,
    /// The open block.
    symbols: Vec<Symbol>,
    /// Where the open block begins.
    start: usize,
}

impl Encoder {
    /// One that has written nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a piece as deflate blocks, none of them the last, which end on a byte border. They mean the same whatever
    /// stands before them, if a file that did not begin in this piece stands there as a whole.
    pub fn encode(&mut self, piece: &Piece) -> &[u8] {
        let Self { walk, blocks } = self;
        blocks.out.clear();
        blocks.symbols.clear();
        blocks.start = 0;
        walk.run(piece, blocks);
        blocks.close(piece, piece.plain.len());
        block::border(&mut blocks.out);
        blocks.out.written()
    }
}

impl Sink for Blocks {
    #[inline]
    fn symbol(&mut self, symbol: Symbol) {
        self.symbols.push(symbol);
    }

    #[inline]
    fn reached(&mut self, piece: &Piece, at: usize) {
        if self.symbols.len() >= BLOCK {
            self.close(piece, at);
        }
    }

    fn copied(&mut self, piece: &Piece, at: usize, block: Copied) {
        self.close(piece, at);
        self.copy(&piece.packed[block.from..], &block);
        self.start = at + block.plain;
    }
}

impl Blocks {
    fn copy(&mut self, packed: &[u8], block: &Copied) {
        if block.kind == BlockKind::Stored {
            let size = usize::try_from(block.bits / 8).unwrap_or(packed.len());
            block::stored(&packed[..size], &mut self.out);
            return;
        }
        // Whatever it was, it is not the last block here.
        self.out.put(0, 1);
        self.out.copy(packed, u64::from(block.shift) + 1, u64::from(block.shift) + block.bits);
    }

    /// Ends the open block, if it has any symbols.
    fn close(&mut self, piece: &Piece, at: usize) {
        if !self.symbols.is_empty() {
            block::symbols(&self.symbols, &piece.plain[self.start..at], &mut self.out);
            self.symbols.clear();
        }
        self.start = at;
    }
}
