//! Streams, and files in them.

#![allow(dead_code, reason = "not everybody needs everything")]

use std::ops::Range;

use flate2::{Compress, Compression, FlushCompress, Status};

pub(crate) fn compress(plain: &[u8], level: u32, every: usize) -> Vec<u8> {
    let mut compress = Compress::new(Compression::new(level), false);
    let mut out = vec![0; plain.len() * 2 + 4096 + 64 * (plain.len() / every + 1)];
    for part in plain.chunks(every) {
        let at = usize::try_from(compress.total_out()).unwrap();
        compress.compress(part, &mut out[at..], FlushCompress::Sync).unwrap();
    }
    let at = usize::try_from(compress.total_out()).unwrap();
    assert_eq!(compress.compress(&[], &mut out[at..], FlushCompress::Finish).unwrap(), Status::StreamEnd);
    out.truncate(usize::try_from(compress.total_out()).unwrap());
    out
}

pub(crate) fn generator(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// Text with repetitions near and far, noise, and runs.
pub(crate) fn sample(seed: u64, len: usize) -> Vec<u8> {
    let mut next = generator(seed);
    let mut out: Vec<u8> = Vec::with_capacity(len);
    while out.len() < len {
        let n = usize::try_from(next() % 200).unwrap() + 1;
        match next() % 5 {
            0 => out.extend((0..n).map(|_| next().to_le_bytes()[0])),
            1 => out.extend(std::iter::repeat_n(next().to_le_bytes()[0], n * 3)),
            2 | 3 if !out.is_empty() => {
                let from = usize::try_from(next()).unwrap_or(0) % out.len();
                let piece: Vec<u8> = out[from..].iter().copied().take(n).collect();
                out.extend(piece);
            }
            _ => out.extend(b"the quick brown fox jumps over the lazy dog ".iter().cycle().take(n)),
        }
    }
    out.truncate(len);
    out
}

/// Ranges in order, some of them side by side.
pub(crate) fn some_files(seed: u64, len: usize) -> Vec<Range<u64>> {
    let mut next = generator(seed);
    let mut files = Vec::new();
    let mut at = 0;
    while at < len as u64 {
        let skipped = if next().is_multiple_of(3) { 0 } else { next() % 3000 };
        let start = (at + skipped).min(len as u64);
        at = (start + next() % (1 << (next() % 17))).min(len as u64);
        files.push(start..at);
        if files.len() > 200 {
            break;
        }
    }
    files
}

/// Bits, the first one lowest.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    fn put(&mut self, value: u64, count: usize) {
        for bit in 0..count {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= u8::from(value >> bit & 1 == 1) << (self.count % 8);
            self.count += 1;
        }
    }

    fn code(&mut self, value: u64, count: usize) {
        for bit in (0..count).rev() {
            self.put(value >> bit & 1, 1);
        }
    }

    fn align(&mut self) {
        self.count = self.bytes.len() * 8;
    }
}

/// Stored and fixed blocks, many of them empty, with matches of any distance.
pub(crate) fn random_blocks(seed: u64, count: usize) -> (Vec<u8>, Vec<u8>) {
    let mut next = generator(seed);
    let (mut plain, mut bits): (Vec<u8>, _) = (Vec::new(), Bits::default());
    for number in 1..=count {
        bits.put(u64::from(number == count), 1);
        if next().is_multiple_of(3) {
            let size = if next().is_multiple_of(4) { 0 } else { next() % 5000 };
            bits.put(0, 2);
            bits.align();
            bits.put(size | (!size & 0xffff) << 16, 32);
            for _ in 0..size {
                let byte = next().to_le_bytes()[1];
                bits.put(byte.into(), 8);
                plain.push(byte);
            }
            continue;
        }
        bits.put(1, 2);
        for _ in 0..next() % 2000 {
            if plain.is_empty() || next().is_multiple_of(4) {
                let byte = next().to_le_bytes()[2] % 144;
                bits.code(0x30 + u64::from(byte), 8);
                plain.push(byte);
                continue;
            }
            // Length 3 to 10, or 258; distance 1 to 4, or 16385 to 24576.
            let length = if next().is_multiple_of(5) { 258 } else { 3 + next() % 8 };
            if length == 258 {
                bits.code(0xc5, 8);
            } else {
                bits.code(length - 2, 7);
            }
            let far = plain.len() >= 24_576 && next().is_multiple_of(2);
            let distance = if far { 16_385 + next() % 8192 } else { 1 + next() % 4.min(plain.len() as u64) };
            if far {
                bits.code(28, 5);
                bits.put(distance - 16_385, 13);
            } else {
                bits.code(distance - 1, 5);
            }
            for _ in 0..length {
                plain.push(plain[plain.len() - usize::try_from(distance).unwrap()]);
            }
        }
        bits.code(0, 7);
    }
    (plain, bits.bytes)
}

/// One block of so many zeros.
pub(crate) fn zeros(len: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(0b011, 3);
    bits.code(0x30, 8);
    for _ in 0..len / 258 {
        bits.code(0xc5, 8);
        bits.code(0, 5);
    }
    for _ in 0..len % 258 {
        bits.code(0x30, 8);
    }
    bits.code(0, 7);
    bits.bytes
}

/// Four bytes, and so many matches of three bytes, none of which goes on with the one before.
pub(crate) fn short_matches(count: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut plain, mut bits) = (b"abcd".to_vec(), Bits::default());
    bits.put(0b011, 3);
    for byte in b"abcd" {
        bits.code(0x30 + u64::from(*byte), 8);
    }
    for number in 0..count {
        let distance = 3 + number % 2;
        bits.code(1, 7);
        bits.code(distance as u64 - 1, 5);
        plain.extend_from_within(plain.len() - distance..plain.len() - distance + 3);
    }
    bits.code(0, 7);
    (plain, bits.bytes)
}
