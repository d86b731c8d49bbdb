//! Reads a deflate stream, stops where it is told to, and can be laid aside meanwhile.

use std::io::{Read, Write};

use crc32fast::Hasher;

use crate::bits::{BitReader, Cursor};
use crate::huffman::{DEEPER, END, LITERAL, SPECIAL, all_bits, code_bits, extended, value};
use crate::symbols::{LENGTH_ORDER, Lengths, MOST_DISTANCES, MOST_LITERALS, Tables};
use crate::{DeflateError, Symbol};

/// How far back a match may reach.
pub(crate) const WINDOW: usize = 32 << 10;
/// Plain bytes that are collected behind the window before it is moved.
const CHUNK: usize = 64 << 10;
/// The longest match, and what copying in whole pieces may write behind it.
const SLACK: usize = 258 + 2 * PIECE;
/// Bytes that a match is copied by, where it does not overlap itself.
const PIECE: usize = 16;
/// Symbols that are recorded at a time.
const BATCH: usize = 256;

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
    /// The checksum of the plain bytes before this one.
    sum: (u64, Hasher),
}

/// An [`Inflater`] that was laid aside, without its buffers.
#[derive(Debug)]
pub struct Parked {
    window: Box<[u8]>,
    before: u64,
    given: u64,
    state: State,
    last: bool,
    position: u64,
    sum: (u64, Hasher),
}

impl Parked {
    /// At which byte of the stream the source has to begin with which it is to go on.
    pub fn source_offset(&self) -> u64 {
        self.position / 8
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
            sum: (0, Hasher::new()),
        }
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
            position: self.input.position(),
            sum: self.sum.clone(),
        }
    }

    /// Goes on with a source that begins at [`Parked::source_offset`].
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn resume(parked: &Parked, source: R) -> Result<Self, DeflateError> {
        let mut inflater = Self::with(BitReader::at(source, parked.position)?);
        inflater.state = parked.state.clone();
        if let State::Coded(lengths) = &inflater.state {
            inflater.tables.set(lengths)?;
        }
        inflater.last = parked.last;
        inflater.at = parked.window.len();
        inflater.window[..inflater.at].copy_from_slice(&parked.window);
        inflater.before = parked.before;
        inflater.given = parked.given;
        inflater.sum = parked.sum.clone();
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
        let (summed, hasher) = &mut self.sum;
        let from = usize::try_from(summed.saturating_sub(self.before)).unwrap_or(self.at);
        hasher.update(&self.window[from.min(self.at)..self.at]);
        *summed = self.before + self.at as u64;
    }

    /// Reads what is left of the stream. Returns how many plain bytes the whole stream has, and their CRC-32: whoever
    /// knew it can be sure that what was taken out is what it should be.
    ///
    /// # Errors
    /// Bytes that are no stream.
    pub fn finish(mut self) -> Result<(u64, u32), DeflateError> {
        while self.state != State::End {
            self.begin_block()?;
            if self.advance(u64::MAX, None)? == Stop::Full {
                self.slide();
            }
        }
        self.sum_up();
        Ok((self.plain(), self.sum.1.finalize()))
    }

    /// Makes room in the window. What was not taken out may get lost.
    pub(crate) fn slide(&mut self) {
        self.sum_up();
        if self.at > WINDOW {
            let cut = self.at - WINDOW;
            self.window.copy_within(cut..self.at, 0);
            self.before += cut as u64;
            self.at = WINDOW;
        }
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
            self.begin_block()?;
            if self.advance(to, None)? == Stop::Full {
                self.slide();
            }
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
            self.advance(end, None)?;
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
    pub(crate) fn advance(
        &mut self,
        limit: u64,
        symbols: Option<&mut Vec<Symbol>>,
    ) -> Result<Stop, DeflateError> {
        let within = usize::try_from(limit.saturating_sub(self.before)).unwrap_or(usize::MAX);
        let full = WINDOW + CHUNK;
        let ended = match self.state {
            State::Stored(left) => self.stored(left, within.min(full))?,
            State::Coded(_) => match symbols {
                None => self.symbols::<false>(within.min(full), &mut Vec::new())?,
                Some(symbols) => self.symbols::<true>(within.min(full), symbols)?,
            },
            State::Border | State::End => return Ok(Stop::Block),
        };
        if ended {
            return Ok(self.block_ended());
        }
        Ok(if self.at >= within { Stop::Limit } else { Stop::Full })
    }

    fn stored(&mut self, left: usize, within: usize) -> Result<bool, DeflateError> {
        let size = left.min(within.saturating_sub(self.at));
        self.input.bytes(&mut self.window[self.at..self.at + size])?;
        self.at += size;
        self.state = State::Stored(left - size);
        Ok(left == size)
    }

    /// Reads symbols until one reaches the limit (false) or the block is at its end (true).
    fn symbols<const RECORD: bool>(
        &mut self,
        limit: usize,
        out: &mut Vec<Symbol>,
    ) -> Result<bool, DeflateError> {
        let mut low = usize::MAX;
        let ended = loop {
            let (input, mut cursor) = self.input.cursor();
            let mut loops = Loop { tables: &self.tables, window: &mut self.window, at: self.at, low, limit };
            let ended = loops.run::<RECORD>(input, &mut cursor, out)?;
            (self.at, low) = (loops.at, loops.low);
            self.input.go_on(&cursor);
            if ended {
                break true;
            }
            if self.at >= limit {
                break self.ends_here()?;
            }
            if self.slow_symbol::<RECORD>(&mut low, out)? {
                break true;
            }
        };
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
    fn slow_symbol<const RECORD: bool>(
        &mut self,
        low: &mut usize,
        out: &mut Vec<Symbol>,
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
            if RECORD {
                out.push(Symbol::literal(value(found).to_le_bytes()[0]));
            }
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
        if RECORD {
            out.push(Symbol::repeat(length, distance));
        }
        Ok(false)
    }
}

/// Symbols that are not recorded yet.
struct Batch {
    symbols: [Symbol; BATCH],
    count: usize,
}

impl Batch {
    #[inline]
    fn push(&mut self, symbol: Symbol, out: &mut Vec<Symbol>) {
        self.symbols[self.count & (BATCH - 1)] = symbol;
        self.count += 1;
        if self.count == BATCH {
            out.extend_from_slice(&self.symbols);
            self.count = 0;
        }
    }
}

/// The loop that takes the time, with what it works on.
struct Loop<'a> {
    tables: &'a Tables,
    window: &'a mut [u8],
    at: usize,
    low: usize,
    limit: usize,
}

impl Loop<'_> {
    /// Reads symbols as long as there is plenty of input; true at the end of the block.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "called once for each way of recording")]
    fn run<const RECORD: bool>(
        &mut self,
        input: &[u8],
        cursor: &mut Cursor,
        out: &mut Vec<Symbol>,
    ) -> Result<bool, DeflateError> {
        let Self { tables, window, .. } = self;
        let (literals, distances) = (&tables.literals, &tables.distances);
        let window: &mut [u8] = window;
        let mut c = Cursor { ..*cursor };
        let (mut at, mut low) = (self.at, self.low);
        let mut batch = Batch { symbols: [Symbol::default(); BATCH], count: 0 };
        if !c.refill(input) {
            return Ok(false);
        }
        // The next entry is always looked up before what is found is written: loads take long.
        let mut found = literals.look_up(c.bits);
        let ended = loop {
            // Three literals and whatever follows do not begin at the limit or behind it.
            if at + 4 > self.limit {
                break false;
            }
            if found & LITERAL != 0 {
                let mut more = 2;
                let next = loop {
                    c.step(all_bits(found));
                    let next = literals.look_up(c.bits);
                    let byte = value(found).to_le_bytes()[0];
                    window[at] = byte;
                    at += 1;
                    if RECORD {
                        batch.push(Symbol::literal(byte), out);
                    }
                    found = next;
                    if next & LITERAL == 0 || more == 0 {
                        break next;
                    }
                    more -= 1;
                };
                if !c.refill(input) {
                    break false;
                }
                if next & LITERAL != 0 {
                    continue;
                }
            }
            if found & SPECIAL != 0 {
                if found & DEEPER != 0 {
                    found = literals.follow(found, c.bits);
                }
                if found & LITERAL != 0 {
                    c.step(all_bits(found));
                    let byte = value(found).to_le_bytes()[0];
                    window[at] = byte;
                    at += 1;
                    if RECORD {
                        batch.push(Symbol::literal(byte), out);
                    }
                    if !c.refill(input) {
                        break false;
                    }
                    found = literals.look_up(c.bits);
                    continue;
                }
                if found & SPECIAL != 0 {
                    if found & END == 0 {
                        return Err(DeflateError::Symbol);
                    }
                    c.step(all_bits(found));
                    break true;
                }
            }
            let length = extended(found, c.bits);
            c.step(all_bits(found));
            let mut further = distances.look_up(c.bits);
            if further & SPECIAL != 0 {
                if further & DEEPER != 0 {
                    further = distances.follow(further, c.bits);
                }
                if further & SPECIAL != 0 {
                    return Err(DeflateError::Symbol);
                }
            }
            let distance = extended(further, c.bits);
            c.step(all_bits(further));
            let filled = c.refill(input);
            found = literals.look_up(c.bits);
            let Some(from) = at.checked_sub(distance) else {
                return Err(DeflateError::Distance);
            };
            low = low.min(from);
            repeat(window, from, at, length);
            at += length;
            if RECORD {
                batch.push(Symbol::repeat(length, distance), out);
            }
            if !filled {
                break false;
            }
        };
        if RECORD {
            out.extend_from_slice(&batch.symbols[..batch.count]);
        }
        (self.at, self.low) = (at, low);
        *cursor = c;
        Ok(ended)
    }
}

/// There is no such code, or there are no more bits.
fn no_code(ready: u32) -> DeflateError {
    if ready < 15 { DeflateError::Cut } else { DeflateError::Symbol }
}

/// Writes `length` bytes at `at` that repeat those from `from` on.
#[inline(always)]
#[allow(clippy::inline_always, reason = "short, and called for every match")]
fn repeat(window: &mut [u8], from: usize, at: usize, length: usize) {
    let distance = at - from;
    if distance >= PIECE {
        return copy_pieces(window, from, at, length);
    }
    repeat_near(window, at, distance, length);
}

/// The same for a short distance.
fn repeat_near(window: &mut [u8], at: usize, distance: usize, length: usize) {
    if distance == 1 {
        let byte = [window[at - 1]; PIECE];
        let mut done = 0;
        while done < length {
            put_piece(window, at + done, byte);
            done += PIECE;
        }
        return;
    }
    // What is repeated comes again after twice the distance, too, and so on; until that is a piece.
    let period = distance * PIECE.div_ceil(distance);
    let first = period.min(length);
    for place in at..at + first {
        window[place] = window[place - distance];
    }
    if length > first {
        copy_pieces(window, at, at + period, length - period);
    }
}

/// Copies what is at least [`PIECE`] before.
#[inline]
fn copy_pieces(window: &mut [u8], from: usize, at: usize, length: usize) {
    let mut done = 0;
    // What is written too much is written over by what comes next.
    while done < length {
        let Some(piece) = window.get(from + done..).and_then(|rest| rest.first_chunk::<PIECE>().copied())
        else {
            return;
        };
        put_piece(window, at + done, piece);
        done += PIECE;
    }
}

#[inline]
fn put_piece(window: &mut [u8], at: usize, piece: [u8; PIECE]) {
    if let Some(place) = window.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<PIECE>()) {
        *place = piece;
    }
}

/// Reads the length of a stored block; the next bits are its bytes.
fn stored_length<R: Read>(input: &mut BitReader<R>) -> Result<usize, DeflateError> {
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
fn read_codes<R: Read>(input: &mut BitReader<R>, tables: &mut Tables) -> Result<Lengths, DeflateError> {
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
    let mut lengths = vec![0_u8; literals + distances].into_boxed_slice();
    let mut at = 0;
    while at < lengths.len() {
        input.refill()?;
        let found = tables.lengths.look_up(input.peek());
        if found & SPECIAL != 0 {
            return Err(no_code(input.ready()));
        }
        input.consume(code_bits(found))?;
        let (length, times) = match value(found) {
            16 => {
                let last = at.checked_sub(1).and_then(|before| lengths.get(before)).copied();
                (last.ok_or(DeflateError::Code)?, 3 + input.take(2)? as usize)
            }
            17 => (0, 3 + input.take(3)? as usize),
            18 => (0, 11 + input.take(7)? as usize),
            length => (length.to_le_bytes()[0], 1),
        };
        lengths.get_mut(at..at + times).ok_or(DeflateError::Code)?.fill(length);
        at += times;
    }
    if lengths[256] == 0 {
        return Err(DeflateError::Code);
    }
    Ok(Lengths::Own(lengths, literals))
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
        let stop = inflater.advance(u64::MAX, None)?;
        if stop == Stop::Full || inflater.state == State::End {
            inflater.give(u64::MAX, &mut plain);
            inflater.slide();
            out.write_all(&plain).map_err(DeflateError::Write)?;
            plain.clear();
        }
    }
    Ok(inflater.input.position().div_ceil(8))
}
