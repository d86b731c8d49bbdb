//! Takes files out of streams, together with the way in which they are compressed there.

use std::io::{self, Read};
use std::ops::Range;

use crate::inflate::{BlockKind, Inflater, State, Stop};
use crate::record::{Match, Record};
use crate::walk::Copied;
use crate::{DeflateError, Symbol};

/// Blocks of more plain bytes are not copied, and their symbols come in parts that end where they have as many. So what
/// has to be held in memory is bounded.
pub const LARGEST_BLOCK: usize = 1024 << 10;

/// A block that begins so close to the file's end will hardly be copied.
const NEAR_END: u64 = 80 << 10;

/// Plain bytes that few blocks have more of.
const USUAL_BLOCK: usize = 96 << 10;

/// Plain bytes, and how they can be written as a stream.
#[derive(Debug, Default)]
pub struct Piece {
    /// The bytes.
    pub plain: Vec<u8>,
    pub(crate) parts: Vec<Part>,
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) matches: Vec<Match>,
    pub(crate) packed: Vec<u8>,
}

/// A run of plain bytes, and what is known of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// So many bytes of which nothing is known.
    Fresh(usize),
    /// The contents of a file begin or go on.
    File {
        /// The number of the stream.
        stream: usize,
        /// Where in the stream the next byte stands.
        at: u64,
        /// Bytes of the file that stood before this piece.
        before: u64,
    },
    /// So many symbols for so many bytes. What the last one goes beyond that does not count.
    Symbols(usize, usize),
    /// So many matches, and so many bytes that they and what stands between and behind them stand for. What the last one
    /// goes beyond that does not count.
    Matches(usize, usize),
    /// A block of the stream.
    Block(Copied),
}

/// What is kept of how a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Blocks as they are, and symbols of all others.
    Blocks,
    /// The matches of all blocks.
    Matches,
}

impl Piece {
    /// Bytes of memory that the piece takes up.
    pub fn footprint(&self) -> usize {
        let known = size_of_val(self.symbols.as_slice()) + size_of_val(self.matches.as_slice());
        self.plain.len() + self.packed.len() + known
    }

    /// Appends bytes of which nothing is known.
    pub fn fresh(&mut self, bytes: &[u8]) {
        self.plain.extend_from_slice(bytes);
        self.count_fresh(bytes.len());
    }

    /// Appends the next `count` bytes of `input`, of which nothing is known.
    ///
    /// # Errors
    /// They cannot be read, or are fewer.
    pub fn fresh_from(&mut self, input: &mut dyn Read, count: u64) -> io::Result<()> {
        let start = self.plain.len();
        self.plain.reserve(usize::try_from(count).unwrap_or(0));
        let read = input.take(count).read_to_end(&mut self.plain)?;
        self.count_fresh(self.plain.len() - start);
        if read as u64 == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn count_fresh(&mut self, count: usize) {
        if let Some(Part::Fresh(before)) = self.parts.last_mut() {
            *before += count;
        } else if count > 0 {
            self.parts.push(Part::Fresh(count));
        }
    }

    /// How many of the bytes stand in blocks that are copied.
    pub fn copied(&self) -> u64 {
        let plain = |part: &Part| if let Part::Block(block) = part { block.plain as u64 } else { 0 };
        self.parts.iter().map(plain).sum()
    }

    /// Appends the contents of a file, which take up these plain bytes in a stream, from the byte on at which `inflater`
    /// stands. Stops at the end of the file; and, where it need not be whole, at the next [`Mark`](crate::Mark) or, if the
    /// piece has at least `enough` bytes, at the first border of a block: then it has at most [`LARGEST_BLOCK`] and 258
    /// bytes more. `stream` is the same for files of one stream, and `keep` for all of a piece.
    ///
    /// # Errors
    /// Bytes that are no stream, or one that is shorter; `inflater` stands elsewhere.
    pub fn file<R: Read>(
        &mut self,
        inflater: &mut Inflater<R>,
        stream: usize,
        file: &Range<u64>,
        enough: Option<usize>,
        keep: Keep,
    ) -> Result<(), DeflateError> {
        let at = inflater.position();
        if at < file.start || at > file.end {
            return Err(DeflateError::Place);
        }
        self.parts.push(Part::File { stream, at, before: at - file.start });
        let left = usize::try_from(file.end - at).unwrap_or(usize::MAX);
        let most = enough.unwrap_or(usize::MAX);
        let usual = most.saturating_sub(self.plain.len()).saturating_add(USUAL_BLOCK);
        if usual < left {
            // About as much as it will be: growing would double it.
            self.plain.reserve_exact(usual.min(LARGEST_BLOCK));
        }
        while inflater.given < file.end && self.plain.len() < most {
            self.step(inflater, file, keep)?;
            if enough.is_some() && inflater.is_at_mark() {
                break;
            }
        }
        Ok(())
    }

    /// Appends plain bytes of a stream from where `inflater` stands up to this one, as bytes of which nothing is known.
    ///
    /// # Errors
    /// Bytes that are no stream, or one that is shorter.
    pub fn plain_file<R: Read>(&mut self, inflater: &mut Inflater<R>, end: u64) -> Result<(), DeflateError> {
        let start = self.plain.len();
        while inflater.position() < end {
            inflater.read(end, &mut self.plain)?;
        }
        self.count_fresh(self.plain.len() - start);
        Ok(())
    }

    /// Appends what the current block has of the file.
    fn step<R: Read>(
        &mut self,
        inflater: &mut Inflater<R>,
        file: &Range<u64>,
        keep: Keep,
    ) -> Result<(), DeflateError> {
        let start = self.plain.len();
        if inflater.given < inflater.plain() {
            // A match from before the file reaches into it, or one from before the last border.
            inflater.give(file.end, &mut self.plain);
            self.count_fresh(self.plain.len() - start);
            return Ok(());
        }
        let mut begins = None;
        if keep == Keep::Matches {
            return self.matches_of_block(inflater, file);
        }
        if inflater.state == State::Border {
            inflater.input.mark();
            begins = Some(inflater.input.position());
        }
        let done = self.block(inflater, file, begins);
        inflater.input.unmark();
        done
    }

    fn block<R: Read>(
        &mut self,
        inflater: &mut Inflater<R>,
        file: &Range<u64>,
        begins: Option<u64>,
    ) -> Result<(), DeflateError> {
        inflater.begin_block()?;
        let body = inflater.input.position();
        let kind =
            if matches!(inflater.state, State::Stored(_)) { BlockKind::Stored } else { BlockKind::Coded };
        let start = inflater.plain();
        inflater.reach = start;
        let limit = file.end.min(start + LARGEST_BLOCK as u64);
        let record = kind == BlockKind::Coded && (begins.is_none() || file.end - start < NEAR_END);
        let (plain, symbols) = (self.plain.len(), self.symbols.len());
        let stop = loop {
            let stop = if record {
                inflater.advance::<Symbol>(limit, &mut Record { items: &mut self.symbols, end: 0 })?
            } else {
                inflater.read_on(limit)?
            };
            inflater.give(file.end, &mut self.plain);
            if stop != Stop::Full {
                break stop;
            }
            inflater.slide();
        };
        let count = self.plain.len() - plain;
        let whole = stop == Stop::Block && inflater.plain() <= file.end && inflater.reach >= file.start;
        if let Some(begins) = begins
            && whole
        {
            self.symbols.truncate(symbols);
            return if count > 0 { self.copy(inflater, kind, begins, body, count) } else { Ok(()) };
        }
        if kind == BlockKind::Stored {
            self.count_fresh(count);
            return Ok(());
        }
        if !record {
            self.record(inflater, body, inflater.plain() - start)?;
        }
        if count > 0 {
            self.parts.push(Part::Symbols(self.symbols.len() - symbols, count));
        }
        Ok(())
    }

    /// What the current block has of the file, as matches.
    fn matches_of_block<R: Read>(
        &mut self,
        inflater: &mut Inflater<R>,
        file: &Range<u64>,
    ) -> Result<(), DeflateError> {
        inflater.begin_block()?;
        let limit = file.end.min(inflater.plain() + LARGEST_BLOCK as u64);
        let (plain, matches) = (self.plain.len(), self.matches.len());
        let mut record = Record::<Match> { items: &mut self.matches, end: inflater.plain() };
        loop {
            let stop = inflater.advance(limit, &mut record)?;
            inflater.give(file.end, &mut self.plain);
            if stop != Stop::Full {
                break;
            }
            inflater.slide();
        }
        let count = self.plain.len() - plain;
        if count > 0 {
            self.parts.push(Part::Matches(self.matches.len() - matches, count));
        }
        Ok(())
    }

    fn copy<R: Read>(
        &mut self,
        inflater: &Inflater<R>,
        kind: BlockKind,
        begins: u64,
        body: u64,
        plain: usize,
    ) -> Result<(), DeflateError> {
        // Of a stored block only the contents: it is aligned anew.
        let begins = if kind == BlockKind::Stored { body } else { begins };
        let bits = inflater.input.position() - begins;
        let (bytes, shift) = inflater.input.since(begins).ok_or(DeflateError::Place)?;
        let size = usize::try_from((u64::from(shift) + bits).div_ceil(8)).unwrap_or(usize::MAX);
        let from = self.packed.len();
        self.packed.extend_from_slice(bytes.get(..size).ok_or(DeflateError::Place)?);
        self.parts.push(Part::Block(Copied { kind, from, shift, bits, plain }));
        Ok(())
    }

    /// Records symbols that were read without, when it was not known that they would be needed.
    fn record<R: Read>(&mut self, inflater: &Inflater<R>, body: u64, plain: u64) -> Result<(), DeflateError> {
        let (bytes, shift) = inflater.input.since(body).ok_or(DeflateError::Place)?;
        inflater.tables.read(bytes, shift, plain, &mut self.symbols)
    }
}
