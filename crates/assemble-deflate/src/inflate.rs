//! Reads a deflate stream, stops where it is told to, and can be laid aside meanwhile.

use std::io::{Read, Write};

use crc32fast::Hasher;

use crate::DeflateError;
use crate::bits::BitReader;
use crate::codes::{no_code, read_codes, stored_length};
use crate::fast::{Loop, PIECE, repeat};
use crate::huffman::{DEEPER, END, LITERAL, SPECIAL, all_bits, extended, value};
use crate::record::{Kind, Nothing, Record};
use crate::symbols::{Lengths, Tables};

/// How far back a match may reach.
pub(crate) const WINDOW: usize = 32 << 10;
/// Plain bytes that are collected behind the window before it is moved.
const CHUNK: usize = 64 << 10;
/// Plain bytes between two marks, at least. Part of every codec that takes pieces out of streams.
pub const MARKED: u64 = 1 << 20;
/// The longest match, and what copying in whole pieces may write behind it.
const SLACK: usize = 258 + 2 * PIECE;

/// How a block's contents are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockKind {
    Stored,
    Coded,
}

/// Where in the stream its reader stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// A block is to begin.
    Border,
    /// Among the symbols of a block.
    Coded(Lengths),
    /// So many bytes before the end of a stored block.
    Stored(usize),
    /// Behind the last block.
    End,
}

/// Why reading paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The block is at its end.
    Block,
    /// The limit is reached. The last symbol may go beyond it.
    Limit,
    /// What was read must be taken out.
    Full,
}

/// Reads one stream. It stands behind some symbol of it.
#[derive(Debug)]
pub struct Inflater<R> {
    pub(crate) input: BitReader<R>,
    pub(crate) tables: Box<Tables>,
    pub(crate) state: State,
    /// The block being read, or the one read last, is the stream's last.
    last: bool,
    /// The last plain bytes: up to [`WINDOW`] that are needed for matches, and those that were not taken out.
    window: Box<[u8]>,
    /// Where the next plain byte goes.
    at: usize,
    /// Plain bytes in front of `window[0]`.
    before: u64,
    /// What was taken out or skipped.
    pub(crate) given: u64,
    /// The lowest plain byte that a match began at since this was set.
    pub(crate) reach: u64,
    sums: Sums,
}

/// A place in a stream from which it can be read on by who knows the plain bytes in front of it: the first border of a
/// block that lies [`MARKED`] plain bytes or more behind the mark before, or behind the stream's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Its first bit, counted from the stream's.
    pub bit: u64,
    /// Plain bytes before it.
    pub plain: u64,
    /// The CRC-32 of those behind the mark before.
    pub sum: u32,
}

impl Mark {
    /// How many plain bytes in front of it have to be known.
    pub const WINDOW: usize = WINDOW;

    /// At which byte of the stream the source has to begin with which reading begins here.
    pub fn source_offset(&self) -> u64 {
        self.bit / 8
    }
}

/// Checksums of what was read.
#[derive(Debug, Clone, Default)]
struct Sums {
    /// The last mark, or where reading began.
    marked: u64,
    /// Of the bytes up to there.
    before: Hasher,
    /// Of the bytes from there to `end`.
    since: Hasher,
    end: u64,
    /// The marks that were passed.
    marks: Vec<Mark>,
}

impl Sums {
    /// Of who begins at a mark.
    fn at(plain: u64) -> Self {
        Self { marked: plain, end: plain, ..Self::default() }
    }

    fn pass(&mut self, bit: u64) {
        let since = std::mem::take(&mut self.since);
        self.before.combine(&since);
        self.marked = self.end;
        self.marks.push(Mark { bit, plain: self.end, sum: since.finalize() });
    }
}

/// An [`Inflater`] that was laid aside, without its buffers.
#[derive(Debug)]
pub struct Parked {
    window: Box<[u8]>,
    before: u64,
    given: u64,
    state: State,
    last: bool,
    /// The next bit of the stream.
    bit: u64,
    sums: Sums,
}

impl Parked {
    /// At which byte of the stream the source has to begin with which it is to go on.
    pub fn source_offset(&self) -> u64 {
        self.bit / 8
    }

    /// The next plain byte that can be asked for, counted from the stream's first.
    pub fn next_plain(&self) -> u64 {
        self.given
    }
}

impl<R: Read> Inflater<R> {
    /// Begins at the start of a stream.
    pub fn new(source: R) -> Self {
        Self::with(BitReader::new(source))
    }

    fn with(input: BitReader<R>) -> Self {
        Self {
            input,
            tables: Box::new(Tables::new()),
            state: State::Border,
            last: false,
            window: vec![0; WINDOW + CHUNK + SLACK].into_boxed_slice(),
            at: 0,
            before: 0,
            given: 0,
            reach: 0,
            sums: Sums::default(),
        }
    }

    /// Begins at a mark. The source begins at [`Mark::source_offset`], and `window` has the [`Mark::WINDOW`] plain bytes in
    /// front of it. What comes out is only as right as these are; the checksum of the whole stream is not known.
    ///
    /// # Errors
    /// The source cannot be read; the window has another size.
    pub fn at_mark(mark: &Mark, window: &[u8], source: R) -> Result<Self, DeflateError> {
        let before = mark.plain.checked_sub(WINDOW as u64).filter(|_| window.len() == WINDOW);
        let mut inflater = Self::with(BitReader::at(source, mark.bit)?);
        inflater.before = before.ok_or(DeflateError::Place)?;
        inflater.at = window.len();
        inflater.window[..window.len()].copy_from_slice(window);
        inflater.given = mark.plain;
        inflater.sums = Sums::at(mark.plain);
        Ok(inflater)
    }

    /// Whether the next mark is here.
    pub(crate) fn is_at_mark(&self) -> bool {
        self.state == State::Border && self.plain() - self.sums.marked >= MARKED
    }

    /// If the next mark is here: the plain bytes with which reading can begin at it.
    pub fn window_of_mark(&self) -> Option<&[u8]> {
        self.is_at_mark().then(|| &self.window[self.at - WINDOW..self.at])
    }

    /// The marks that reading came by since it began.
    pub fn marks(&self) -> &[Mark] {
        &self.sums.marks
    }

    /// Lays the reader aside. What is kept is little more than 32 KiB.
    pub fn park(mut self) -> Parked {
        self.snapshot()
    }

    /// What [`Inflater::park`] gives, while the reader goes on.
    pub fn snapshot(&mut self) -> Parked {
        self.sum_up();
        let from = self.at.saturating_sub(WINDOW);
        let given = usize::try_from(self.given.saturating_sub(self.before)).unwrap_or(from);
        let from = from.min(given);
        Parked {
            window: self.window[from..self.at].into(),
            before: self.before + from as u64,
            given: self.given,
            state: self.state.clone(),
            last: self.last,
            bit: self.input.position(),
            sums: self.sums.clone(),
        }
    }

    /// Goes on with a source that begins at [`Parked::source_offset`].
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn resume(parked: &Parked, source: R) -> Result<Self, DeflateError> {
        let mut inflater = Self::with(BitReader::at(source, parked.bit)?);
        inflater.state = parked.state.clone();
        if let State::Coded(lengths) = &inflater.state {
            inflater.tables.set(lengths)?;
        }
        inflater.last = parked.last;
        inflater.at = parked.window.len();
        inflater.window[..inflater.at].copy_from_slice(&parked.window);
        inflater.before = parked.before;
        inflater.given = parked.given;
        inflater.sums = parked.sums.clone();
        Ok(inflater)
    }

    /// The next plain byte that can be asked for, counted from the stream's first.
    pub fn position(&self) -> u64 {
        self.given
    }

    /// The plain bytes that were read, whether they were asked for or not.
    pub(crate) fn plain(&self) -> u64 {
        self.before + self.at as u64
    }

    /// Takes plain bytes out, up to the given one or the last there is.
    pub(crate) fn give(&mut self, to: u64, out: &mut Vec<u8>) {
        let to = to.min(self.plain());
        let place = |at: u64| usize::try_from(at.saturating_sub(self.before)).unwrap_or(self.at).min(self.at);
        if let Some(bytes) = self.window.get(place(self.given)..place(to)) {
            out.extend_from_slice(bytes);
        }
        self.given = self.given.max(to);
    }

    /// Adds what was read to the checksum.
    fn sum_up(&mut self) {
        let from = usize::try_from(self.sums.end.saturating_sub(self.before)).unwrap_or(self.at);
        self.sums.since.update(&self.window[from.min(self.at)..self.at]);
        self.sums.end = self.plain();
    }

    /// Reads what is left of the stream. Returns how many plain bytes the whole stream has, and their CRC-32: whoever
    /// knew it can be sure that what was taken out is what it should be.
    ///
    /// # Errors
    /// Bytes that are no stream.
    pub fn finish(mut self) -> Result<(u64, u32), DeflateError> {
        while self.state != State::End {
            self.read_more()?;
        }
        self.sum_up();
        let mut all = self.sums.before;
        all.combine(&self.sums.since);
        Ok((self.sums.end, all.finalize()))
    }

    /// Reads on to the next mark, or the end of the stream, unless one was passed since reading began. Returns the places
    /// that were passed, and the CRC-32 of the bytes between each and the one before.
    ///
    /// # Errors
    /// Bytes that are no stream.
    pub fn finish_part(mut self) -> Result<Vec<(u64, u32)>, DeflateError> {
        while self.sums.marks.is_empty() && self.state != State::End && !self.is_at_mark() {
            self.read_more()?;
        }
        self.sum_up();
        let ends_here = self.state == State::End || self.is_at_mark();
        let mut passed: Vec<_> = self.sums.marks.iter().map(|mark| (mark.plain, mark.sum)).collect();
        passed.extend(ends_here.then(|| (self.sums.end, self.sums.since.finalize())));
        Ok(passed)
    }

    /// Reads on in this block or the next. What was not taken out may get lost.
    fn read_more(&mut self) -> Result<(), DeflateError> {
        self.slide();
        self.begin_block()?;
        self.read_on(u64::MAX).map(drop)
    }

    /// The plain bytes that were read and not yet taken out; if there are none, more are read. None at the stream's end.
    ///
    /// # Errors
    /// Bytes that are no stream, or one that is shorter.
    pub fn fill(&mut self) -> Result<&[u8], DeflateError> {
        while self.given == self.plain() && self.state != State::End {
            self.read_more()?;
        }
        Ok(self.ready())
    }

    /// The plain bytes that were read and not yet taken out.
    pub fn ready(&self) -> &[u8] {
        let from = usize::try_from(self.given.saturating_sub(self.before)).unwrap_or(self.at);
        &self.window[from.min(self.at)..self.at]
    }

    /// Takes so many of them out.
    pub fn consume(&mut self, count: usize) {
        self.given = self.plain().min(self.given + count as u64);
    }

    /// Bytes of the source that were used, counting the one that reading stands within.
    pub fn packed(&self) -> u64 {
        self.input.position().div_ceil(8)
    }

    /// Makes room in the window, where there is little. What was not taken out may get lost.
    pub(crate) fn slide(&mut self) {
        if self.at <= WINDOW + CHUNK / 2 {
            return;
        }
        self.sum_up();
        let cut = self.at - WINDOW;
        self.window.copy_within(cut..self.at, 0);
        self.before += cut as u64;
        self.at = WINDOW;
    }

    /// Steps over plain bytes, so that the next one is this. Going back is not possible.
    ///
    /// # Errors
    /// Bytes that are no stream, or one that is shorter.
    pub fn skip_to(&mut self, to: u64) -> Result<(), DeflateError> {
        if to < self.given {
            return Err(DeflateError::Place);
        }
        while self.plain() < to {
            self.slide();
            self.begin_block()?;
            self.read_on(to)?;
        }
        self.given = to;
        Ok(())
    }

    /// Appends some of the next plain bytes, but none from `end` on.
    ///
    /// # Errors
    /// Bytes that are no stream, or one that is shorter.
    pub fn read(&mut self, end: u64, out: &mut Vec<u8>) -> Result<(), DeflateError> {
        while self.given < end && self.given == self.plain() {
            self.slide();
            self.begin_block()?;
            self.read_on(end)?;
        }
        self.give(end, out);
        Ok(())
    }

    /// Reads the header of a block, if one is to begin.
    pub(crate) fn begin_block(&mut self) -> Result<(), DeflateError> {
        match self.state {
            State::Border => {}
            State::End => return Err(DeflateError::Cut),
            _ => return Ok(()),
        }
        if self.is_at_mark() {
            self.sum_up();
            self.sums.pass(self.input.position());
        }
        let header = self.input.take(3)?;
        self.last = header & 1 == 1;
        self.state = match header >> 1 {
            0 => State::Stored(stored_length(&mut self.input)?),
            1 => State::Coded(Lengths::Fixed),
            2 => State::Coded(read_codes(&mut self.input, &mut self.tables)?),
            _ => return Err(DeflateError::Kind),
        };
        if let State::Coded(lengths) = &self.state {
            self.tables.set(lengths)?;
        }
        Ok(())
    }

    fn block_ended(&mut self) -> Stop {
        self.state = if self.last { State::End } else { State::Border };
        Stop::Block
    }

    /// Reads on in a block that has begun: to its end, or to the first symbol's end that is at the limit or beyond it.
    /// A block that ends right at the limit is at its end.
    pub(crate) fn advance<K: Kind>(
        &mut self,
        limit: u64,
        record: &mut Record<'_, K>,
    ) -> Result<Stop, DeflateError> {
        let within = usize::try_from(limit.saturating_sub(self.before)).unwrap_or(usize::MAX);
        let full = WINDOW + CHUNK;
        let ended = match self.state {
            State::Stored(left) => self.stored(left, within.min(full))?,
            State::Coded(_) => self.symbols(within.min(full), record)?,
            State::Border | State::End => return Ok(Stop::Block),
        };
        if ended {
            return Ok(self.block_ended());
        }
        Ok(if self.at >= within { Stop::Limit } else { Stop::Full })
    }

    /// The same, and nothing is written down.
    pub(crate) fn read_on(&mut self, limit: u64) -> Result<Stop, DeflateError> {
        self.advance::<Nothing>(limit, &mut Record { items: &mut Vec::new(), end: 0 })
    }

    fn stored(&mut self, left: usize, within: usize) -> Result<bool, DeflateError> {
        let size = left.min(within.saturating_sub(self.at));
        self.input.bytes(&mut self.window[self.at..self.at + size])?;
        self.at += size;
        self.state = State::Stored(left - size);
        Ok(left == size)
    }

    /// Reads symbols until one reaches the limit (false) or the block is at its end (true).
    fn symbols<K: Kind>(&mut self, limit: usize, record: &mut Record<'_, K>) -> Result<bool, DeflateError> {
        let mut low = usize::MAX;
        #[allow(clippy::cast_possible_truncation, reason = "differences count, and are small")]
        let mut end = record.end.wrapping_sub(self.before) as usize;
        let ended = loop {
            let (input, mut cursor) = self.input.cursor();
            let mut loops =
                Loop { tables: &self.tables, window: &mut self.window, at: self.at, low, end, limit };
            let ended = loops.run::<K>(input, &mut cursor, record.items)?;
            (self.at, low, end) = (loops.at, loops.low, loops.end);
            self.input.go_on(&cursor);
            if ended {
                break true;
            }
            if self.at >= limit {
                break self.ends_here()?;
            }
            if self.slow_symbol::<K>(&mut low, &mut end, record.items)? {
                break true;
            }
        };
        record.end = self.before.wrapping_add(end as u64);
        if low < usize::MAX {
            self.reach = self.reach.min(self.before + low as u64);
        }
        Ok(ended)
    }

    /// Steps over the end of the block, if that comes next.
    fn ends_here(&mut self) -> Result<bool, DeflateError> {
        self.input.refill()?;
        let found = self.literal_entry();
        let ends = found & (SPECIAL | END) == SPECIAL | END && all_bits(found) <= self.input.ready();
        if ends {
            self.input.consume(all_bits(found))?;
        }
        Ok(ends)
    }

    fn literal_entry(&self) -> u32 {
        let found = self.tables.literals.look_up(self.input.peek());
        if found & LITERAL == 0 && found & (SPECIAL | DEEPER) == SPECIAL | DEEPER {
            return self.tables.literals.follow(found, self.input.peek());
        }
        found
    }

    /// Reads one symbol with all checks; true at the end of the block.
    fn slow_symbol<K: Kind>(
        &mut self,
        low: &mut usize,
        end: &mut usize,
        out: &mut Vec<K::Item>,
    ) -> Result<bool, DeflateError> {
        self.input.refill()?;
        let found = self.literal_entry();
        if found & LITERAL == 0 && found & (SPECIAL | END) == SPECIAL {
            return Err(no_code(self.input.ready()));
        }
        let bits = self.input.peek();
        self.input.consume(all_bits(found))?;
        if found & LITERAL != 0 {
            self.window[self.at] = value(found).to_le_bytes()[0];
            self.at += 1;
            out.extend(K::literal(value(found).to_le_bytes()[0]));
            return Ok(false);
        }
        if found & SPECIAL != 0 {
            return Ok(true);
        }
        let length = extended(found, bits);
        let mut found = self.tables.distances.look_up(self.input.peek());
        if found & DEEPER != 0 && found & SPECIAL != 0 {
            found = self.tables.distances.follow(found, self.input.peek());
        }
        if found & SPECIAL != 0 {
            return Err(no_code(self.input.ready()));
        }
        let distance = extended(found, self.input.peek());
        self.input.consume(all_bits(found))?;
        let from = self.at.checked_sub(distance).ok_or(DeflateError::Distance)?;
        *low = (*low).min(from);
        repeat(&mut self.window, from, self.at, length);
        self.at += length;
        if K::ANY {
            out.push(K::repeat((self.at - length).wrapping_sub(*end), length, distance));
            *end = self.at;
        }
        Ok(false)
    }
}

/// Reads one stream up to its last block, and writes its plain bytes. Returns how many bytes of the source it takes up,
/// counting the one that it ends within; bytes behind it may have been read from the source, too.
///
/// # Errors
/// Bytes that are no such stream; a source that ends before it; errors of the source and of `out`.
pub fn inflate(source: impl Read, out: &mut impl Write) -> Result<u64, DeflateError> {
    let mut inflater = Inflater::new(source);
    let mut plain = Vec::new();
    while inflater.state != State::End {
        inflater.begin_block()?;
        let stop = inflater.read_on(u64::MAX)?;
        if stop == Stop::Full || inflater.state == State::End {
            inflater.give(u64::MAX, &mut plain);
            inflater.slide();
            out.write_all(&plain).map_err(DeflateError::Write)?;
            plain.clear();
        }
    }
    Ok(inflater.input.position().div_ceil(8))
}
