//! Bits in the order of deflate: of each byte the least significant first (RFC 1951, 3.1.1).

use std::io::{self, Read};

use crate::DeflateError;

/// Bytes asked of the source at a time.
const CHUNK: usize = 32 << 10;

/// Takes bits from a byte source.
#[derive(Debug)]
pub(crate) struct BitReader<R> {
    source: R,
    buffer: Vec<u8>,
    /// The unread part of the buffer.
    start: usize,
    end: usize,
    /// The next bits; those from `count` on are either zero or already the right ones.
    bits: u64,
    count: u32,
    /// Bytes of the source in front of `buffer[0]`.
    before: u64,
    ended: bool,
    /// What is in the buffer from this bit of the source on is kept.
    mark: Option<u64>,
}

/// What the loop that reads symbols holds in registers.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) bits: u64,
    pub(crate) count: u32,
    pub(crate) start: usize,
}

impl Cursor {
    /// Makes at least 56 bits ready; false if there are not eight bytes to take them from.
    #[inline]
    pub(crate) fn refill(&mut self, input: &[u8]) -> bool {
        let Some(next) = input.get(self.start..).and_then(|rest| rest.first_chunk::<8>()) else {
            return false;
        };
        self.bits |= u64::from_le_bytes(*next) << self.count;
        self.start += ((63 - self.count) >> 3) as usize;
        self.count |= 0x38;
        true
    }

    /// Steps over bits that are ready.
    #[inline]
    pub(crate) fn step(&mut self, count: u32) {
        self.bits >>= count & 63;
        self.count = self.count.wrapping_sub(count);
    }
}

impl<R: Read> BitReader<R> {
    pub(crate) fn new(source: R) -> Self {
        Self {
            source,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            bits: 0,
            count: 0,
            before: 0,
            ended: false,
            mark: None,
        }
    }

    /// A reader that stands at this bit; the source gives the bytes from the one on in which it lies.
    pub(crate) fn at(source: R, position: u64) -> Result<Self, DeflateError> {
        let mut reader = Self::new(source);
        reader.before = position / 8;
        #[allow(clippy::cast_possible_truncation, reason = "less than eight")]
        reader.take((position % 8) as u32)?;
        Ok(reader)
    }

    /// The place of the next bit, counted from the source's first.
    pub(crate) fn position(&self) -> u64 {
        (self.before + self.start as u64) * 8 - u64::from(self.count)
    }

    /// Keeps everything from the next bit on, until told otherwise.
    pub(crate) fn mark(&mut self) {
        self.mark = Some(self.position());
    }

    /// What was marked is no longer needed.
    pub(crate) fn unmark(&mut self) {
        self.mark = None;
    }

    /// The bytes in which the bits from a place behind the mark lie, and the first one's number in them.
    pub(crate) fn since(&self, position: u64) -> Option<(&[u8], u32)> {
        let from = usize::try_from((position / 8).checked_sub(self.before)?).ok()?;
        #[allow(clippy::cast_possible_truncation, reason = "less than eight")]
        Some((self.buffer.get(from..self.end)?, (position % 8) as u32))
    }

    /// The buffer, and where reading stands in it.
    pub(crate) fn cursor(&self) -> (&[u8], Cursor) {
        (&self.buffer[..self.end], Cursor { bits: self.bits, count: self.count, start: self.start })
    }

    /// Goes on where a cursor stands.
    pub(crate) fn go_on(&mut self, cursor: &Cursor) {
        (self.bits, self.count, self.start) = (cursor.bits, cursor.count, cursor.start);
    }

    /// Makes at least 56 bits ready, or all that are left.
    #[inline]
    pub(crate) fn refill(&mut self) -> Result<(), DeflateError> {
        if let Some(next) = self.buffer[self.start..self.end].first_chunk::<8>() {
            self.bits |= u64::from_le_bytes(*next) << self.count;
            self.start += ((63 - self.count) >> 3) as usize;
            self.count |= 0x38;
            return Ok(());
        }
        self.refill_slowly()
    }

    #[cold]
    fn refill_slowly(&mut self) -> Result<(), DeflateError> {
        self.fill_buffer(8)?;
        // What the quick way left beyond `count` is dropped, as it will come again.
        self.bits &= (1_u64 << self.count) - 1;
        while self.count <= 55 && self.start < self.end {
            self.bits |= u64::from(self.buffer[self.start]) << self.count;
            self.start += 1;
            self.count += 8;
        }
        Ok(())
    }

    /// Reads until so many bytes are in the buffer, or the source is at its end.
    fn fill_buffer(&mut self, wanted: usize) -> Result<(), DeflateError> {
        if self.end - self.start >= wanted || self.ended {
            return Ok(());
        }
        // The last bytes are still to be read as bits, and may be marked yet.
        let unread = self.start.saturating_sub(8);
        let kept = self.mark.map_or(unread, |mark| {
            usize::try_from((mark / 8).saturating_sub(self.before)).unwrap_or(0).min(unread)
        });
        self.buffer.copy_within(kept..self.end, 0);
        self.before += kept as u64;
        self.end -= kept;
        self.start -= kept;
        // Only what is marked makes the buffer grow, and blocks that are marked have a largest size.
        if self.buffer.len() < self.end + CHUNK / 2 {
            self.buffer.resize(self.end + CHUNK, 0);
        }
        while self.end - self.start < wanted {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(());
                }
                Ok(n) => self.end += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(DeflateError::Read(error)),
            }
        }
        Ok(())
    }

    /// The next bits. Only as many as are ready mean anything.
    #[inline]
    pub(crate) fn peek(&self) -> u64 {
        self.bits
    }

    /// How many bits are ready.
    #[inline]
    pub(crate) fn ready(&self) -> u32 {
        self.count
    }

    /// Steps over bits that are ready.
    #[inline]
    pub(crate) fn consume(&mut self, count: u32) -> Result<(), DeflateError> {
        self.count = self.count.checked_sub(count).ok_or(DeflateError::Cut)?;
        self.bits >>= count;
        Ok(())
    }

    /// The next bits as a number: at most 32.
    pub(crate) fn take(&mut self, count: u32) -> Result<u32, DeflateError> {
        if self.count < count {
            self.refill()?;
        }
        #[allow(clippy::cast_possible_truncation, reason = "at most 32 bits are left by the mask")]
        let value = (self.bits & ((1_u64 << count) - 1)) as u32;
        self.consume(count)?;
        Ok(value)
    }

    /// Steps over the bits up to the next byte border.
    pub(crate) fn align(&mut self) -> Result<(), DeflateError> {
        self.consume(self.count % 8)
    }

    /// Fills `out` with whole bytes. Only at a byte border.
    pub(crate) fn bytes(&mut self, out: &mut [u8]) -> Result<(), DeflateError> {
        let mut at = 0;
        while self.count >= 8 && at < out.len() {
            out[at] = self.bits.to_le_bytes()[0];
            self.consume(8)?;
            at += 1;
        }
        if self.count == 0 {
            self.bits = 0;
        }
        while at < out.len() {
            self.fill_buffer(1)?;
            let size = (out.len() - at).min(self.end - self.start);
            if size == 0 {
                return Err(DeflateError::Cut);
            }
            out[at..at + size].copy_from_slice(&self.buffer[self.start..self.start + size]);
            self.start += size;
            at += size;
        }
        Ok(())
    }
}

/// Collects bits into bytes.
#[derive(Debug, Default)]
pub(crate) struct BitWriter {
    /// What is behind `at` means nothing.
    bytes: Vec<u8>,
    at: usize,
    bits: u64,
    /// Less than eight, but between [`BitWriter::add`] and [`BitWriter::flush`].
    count: u32,
}

impl BitWriter {
    /// Begins again, with the room there is.
    pub(crate) fn clear(&mut self) {
        (self.at, self.bits, self.count) = (0, 0, 0);
    }

    /// Appends the lowest bits of a number: at most 56, and the others have to be zero.
    #[inline]
    pub(crate) fn put(&mut self, value: u64, count: u32) {
        self.add(value, count);
        self.flush();
    }

    /// Like [`BitWriter::put`], but up to 56 bits may come before they are flushed together.
    #[inline]
    pub(crate) fn add(&mut self, value: u64, count: u32) {
        self.bits |= value << (self.count & 63);
        self.count += count;
    }

    /// Moves whole bytes out of the way of the next bits.
    #[inline]
    pub(crate) fn flush(&mut self) {
        loop {
            if let Some(place) = self.bytes.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut::<8>()) {
                *place = self.bits.to_le_bytes();
                self.at += (self.count >> 3) as usize;
                self.bits = self.bits.checked_shr(self.count & !7).unwrap_or(0);
                self.count &= 7;
                return;
            }
            self.grow(8);
        }
    }

    #[cold]
    fn grow(&mut self, by: usize) {
        let size = (self.bytes.len() + by).max(self.bytes.len() * 2).max(4096);
        self.bytes.resize(size, 0);
    }

    /// Fills up with zero bits to a byte border.
    pub(crate) fn align(&mut self) {
        let missing = (8 - self.count % 8) % 8;
        self.put(0, missing);
    }

    /// Appends whole bytes. Only at a byte border.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.flush();
        if self.bytes.len() - self.at < bytes.len() + 8 {
            self.grow(bytes.len() + 8);
        }
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// Appends bits of a byte string from bit `start` up to bit `end`, which has to lie within it.
    pub(crate) fn copy(&mut self, from: &[u8], start: u64, end: u64) {
        let byte = |bit: u64| usize::try_from(bit / 8).unwrap_or(usize::MAX);
        let bits_of = |at: u64, count: u64| {
            let mut word = [0; 8];
            let rest = from.get(byte(at)..).unwrap_or_default();
            let size = rest.len().min(8);
            word[..size].copy_from_slice(&rest[..size]);
            (u64::from_le_bytes(word) >> (at % 8)) & ((1 << count) - 1)
        };
        // Up to a byte border of the source, word by word, and what is left.
        let border = start.next_multiple_of(8).min(end);
        self.put(bits_of(start, border - start), u32::try_from(border - start).unwrap_or(0));
        let whole = from.get(byte(border)..byte(end)).unwrap_or_default();
        let (words, _) = whole.as_chunks::<8>();
        self.words(words);
        let mut at = border + words.len() as u64 * 64;
        while at < end {
            let count = (end - at).min(32);
            self.put(bits_of(at, count), u32::try_from(count).unwrap_or(0));
            at += count;
        }
    }

    fn words(&mut self, words: &[[u8; 8]]) {
        let size = words.len() * 8;
        if self.bytes.len() - self.at < size + 8 {
            self.grow(size + 8);
        }
        let shift = self.count;
        let (out, _) = self.bytes[self.at..self.at + size].as_chunks_mut::<8>();
        let mut carried = self.bits;
        for (place, word) in out.iter_mut().zip(words) {
            let word = u64::from_le_bytes(*word);
            *place = (carried | (word << shift)).to_le_bytes();
            carried = word.checked_shr(64 - shift).unwrap_or(0);
        }
        self.bits = carried;
        self.at += size;
    }

    /// All that was written. Only at a byte border.
    pub(crate) fn written(&self) -> &[u8] {
        &self.bytes[..self.at]
    }

    /// Appends bits of which there are no more than this many bytes: quicker, since it looks for room only once.
    #[inline]
    pub(crate) fn fast(&mut self, most: usize, write: impl FnOnce(&mut FastBits<'_>)) {
        self.flush();
        if self.bytes.len() - self.at < most + 16 {
            self.grow(most + 16);
        }
        let mut fast =
            FastBits { room: &mut self.bytes[self.at..], at: 0, bits: self.bits, count: self.count };
        write(&mut fast);
        let FastBits { at, bits, count, .. } = fast;
        (self.at, self.bits, self.count) = (self.at + at, bits, count);
    }
}

/// Collects bits where there is room for them.
pub(crate) struct FastBits<'a> {
    room: &'a mut [u8],
    at: usize,
    bits: u64,
    count: u32,
}

impl FastBits<'_> {
    /// See [`BitWriter::add`].
    #[inline]
    pub(crate) fn add(&mut self, value: u64, count: u32) {
        self.bits |= value << (self.count & 63);
        self.count += count;
    }

    /// See [`BitWriter::flush`].
    #[inline]
    pub(crate) fn flush(&mut self) {
        if let Some(place) = self.room.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut::<8>()) {
            *place = self.bits.to_le_bytes();
        }
        self.at += (self.count >> 3) as usize;
        self.bits >>= self.count & !7 & 63;
        self.count &= 7;
    }
}
