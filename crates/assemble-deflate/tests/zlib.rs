//! Against zlib's reader and writer: same bytes, same acceptance, and spliced streams that others can read.

#![allow(clippy::unwrap_used, reason = "a test that fails shows where")]

use std::io::Write as _;

use assemble_deflate::{Block, Collect, Splicer, Token, inflate, tokens};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use proptest::prelude::*;

fn compress(plain: &[u8], level: u32, every: usize) -> Vec<u8> {
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

/// What zlib makes of a stream: its plain bytes and how much of the input it took, if it accepts it.
fn zlib(packed: &[u8], most: usize) -> Option<(Vec<u8>, u64)> {
    let mut decompress = Decompress::new(false);
    let mut out = vec![0; most + 1];
    match decompress.decompress(packed, &mut out, FlushDecompress::Finish) {
        Ok(Status::StreamEnd) => {
            out.truncate(usize::try_from(decompress.total_out()).unwrap());
            Some((out, decompress.total_in()))
        }
        _ => None,
    }
}

fn ours(packed: &[u8]) -> Option<(Vec<u8>, Vec<Block>, u64)> {
    let mut collect = Collect { out: Vec::new(), blocks: Vec::new() };
    let used = inflate(packed, &mut collect).ok()?;
    Some((collect.out, collect.blocks, used))
}

/// Text with repetitions near and far, noise, and runs.
fn sample(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
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

fn check_blocks(plain: &[u8], blocks: &[Block], packed: &[u8]) {
    let mut at = 0;
    let mut bit = 0;
    for block in blocks {
        assert_eq!((block.plain.start, block.bits.start), (at, bit));
        (at, bit) = (block.plain.end, block.bits.end);
        let mut reach = block.plain.start;
        let mut place = block.plain.start;
        for token in tokens(packed, 0, block).unwrap() {
            if let Token::Match { distance, .. } = token {
                reach = reach.min(place - u64::from(distance));
            }
            place += token.plain_size();
        }
        assert_eq!((place, reach), (block.plain.end, block.reach));
    }
    assert_eq!(at, plain.len() as u64);
}

/// Writes a stream again: every second block copied, the others from their symbols.
fn rewrite(plain: &[u8], blocks: &[Block], packed: &[u8]) -> Vec<u8> {
    let mut splicer = Splicer::new();
    let mut out = Vec::new();
    for (number, block) in blocks.iter().enumerate() {
        if number % 2 == 0 {
            splicer.copy(packed, 0, block).unwrap();
        } else {
            let range =
                usize::try_from(block.plain.start).unwrap()..usize::try_from(block.plain.end).unwrap();
            splicer.symbols(&tokens(packed, 0, block).unwrap(), (number % 3 == 0).then(|| &plain[range]));
        }
        out.extend(splicer.take());
    }
    out.extend(splicer.finish());
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_zlib_writes_is_read_and_written_again(
        seed: u64, len in 0_usize..120_000, level in 0_u32..=9, every in prop::sample::select(vec![100_usize, 3_000, 1 << 20])
    ) {
        let plain = sample(seed, len);
        let packed = compress(&plain, level, every);
        let (read, blocks, used) = ours(&packed).unwrap();
        prop_assert!(read == plain);
        prop_assert_eq!(used, packed.len() as u64);
        check_blocks(&plain, &blocks, &packed);
        let again = rewrite(&plain, &blocks, &packed);
        prop_assert!(zlib(&again, plain.len()).unwrap().0 == plain);
        prop_assert!(ours(&again).unwrap().0 == plain);
    }

    #[test]
    fn what_zlib_refuses_is_refused(
        seed: u64, len in 0_usize..3_000, level in 0_u32..=9, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>(), shorten: bool
    ) {
        let mut packed = compress(&sample(seed, len), level, 1 << 20);
        for (index, byte) in changes {
            let at = index.index(packed.len());
            packed[at] = byte;
        }
        if shorten {
            packed.truncate(cut.index(packed.len()));
        }
        let theirs = zlib(&packed, 4 << 20);
        let ours = ours(&packed).map(|(plain, _, used)| (plain, used));
        prop_assert!(theirs == ours, "{:?} {:?}", theirs.map(|t| t.1), ours.map(|t| t.1));
    }

    #[test]
    fn noise_is_judged_alike(packed in prop::collection::vec(any::<u8>(), 0..200)) {
        let ours = ours(&packed).map(|(plain, _, used)| (plain, used));
        prop_assert!(zlib(&packed, 4 << 20) == ours);
    }
}

#[test]
fn other_readers_take_what_is_spliced() {
    let plain = sample(7, 2_000_000);
    let packed = compress(&plain, 6, 1 << 20);
    let (_, blocks, _) = ours(&packed).unwrap();
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    gzip.extend(rewrite(&plain, &blocks, &packed));
    let mut crc = flate2::Crc::new();
    crc.update(&plain);
    gzip.extend(crc.sum().to_le_bytes());
    gzip.extend(u32::try_from(plain.len()).unwrap().to_le_bytes());
    for command in
        [&["gzip", "-t"][..], &["python3", "-c", "import gzip,sys;gzip.decompress(sys.stdin.buffer.read())"]]
    {
        let child = std::process::Command::new(command[0])
            .args(&command[1..])
            .stdin(std::process::Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            eprintln!("skipped: there is no {}", command[0]);
            continue;
        };
        child.stdin.take().unwrap().write_all(&gzip).unwrap();
        assert!(child.wait().unwrap().success(), "{}", command[0]);
    }
}
