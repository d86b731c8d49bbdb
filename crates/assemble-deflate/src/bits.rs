//! Bits in the order of deflate: of each byte the least significant first (RFC 1951, 3.1.1).

use std::io::{self, Read};

use crate::DeflateError;

/// Bytes asked of the source at a time.
const CHUNK: usize = 64 << 10;

/// Takes bits from a byte source.
#[derive(Debug)]
pub(crate) struct BitReader<R> {
    source: R,
    buffer: Box<[u8]>,
    /// The unread part of the buffer.
    start: usize,
    end: usize,
    /// The next bits; those from `count` on are either zero or already the right ones.
    bits: u64,
    count: u32,
    /// Bytes of the source in front of `buffer[0]`.
    before: u64,
    ended: bool,
}

impl<R: Read> BitReader<R> {
    pub(crate) fn new(source: R) -> Self {
        let buffer = vec![0; CHUNK].into_boxed_slice();
        Self { source, buffer, start: 0, end: 0, bits: 0, count: 0, before: 0, ended: false }
    }

    /// The place of the next bit, counted from the source's first.
    pub(crate) fn position(&self) -> u64 {
        (self.before + self.start as u64) * 8 - u64::from(self.count)
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
        self.buffer.copy_within(self.start..self.end, 0);
        self.before += self.start as u64;
        self.end -= self.start;
        self.start = 0;
        while self.end < wanted {
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
    bytes: Vec<u8>,
    bits: u64,
    count: u32,
}

impl BitWriter {
    /// Appends the lowest bits of a number: at most 32, and the others have to be zero.
    #[inline]
    pub(crate) fn put(&mut self, value: u64, count: u32) {
        self.bits |= value << self.count;
        self.count += count;
        if self.count >= 32 {
            self.bytes.extend_from_slice(&self.bits.to_le_bytes()[..4]);
            self.bits >>= 32;
            self.count -= 32;
        }
    }

    /// Fills up with zero bits to a byte border.
    pub(crate) fn align(&mut self) {
        let missing = (8 - self.count % 8) % 8;
        self.put(0, missing);
    }

    /// Appends whole bytes. Only at a byte border.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        while self.count > 0 {
            self.bytes.push(self.bits.to_le_bytes()[0]);
            self.bits >>= 8;
            self.count = self.count.saturating_sub(8);
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends bits of a byte string from bit `start` up to bit `end`, which has to lie within it.
    pub(crate) fn copy(&mut self, from: &[u8], start: u64, end: u64) {
        let byte = |bit: u64| usize::try_from(bit / 8).unwrap_or(usize::MAX);
        let mut at = start;
        let shift = start % 8;
        // Whole words first: 32 bits of 8 bytes, whatever the offset in the first.
        while end - at >= 32
            && let Some(word) = from.get(byte(at)..).and_then(|rest| rest.first_chunk::<8>())
        {
            self.put((u64::from_le_bytes(*word) >> shift) & 0xffff_ffff, 32);
            at += 32;
        }
        while at < end {
            let bit = from.get(byte(at)).map_or(0, |b| u64::from(b >> (at % 8)) & 1);
            self.put(bit, 1);
            at += 1;
        }
    }

    /// The whole bytes so far; the bits of an unfinished byte stay.
    pub(crate) fn take_bytes(&mut self) -> Vec<u8> {
        while self.count >= 8 {
            self.bytes.push(self.bits.to_le_bytes()[0]);
            self.bits >>= 8;
            self.count -= 8;
        }
        std::mem::take(&mut self.bytes)
    }
}
