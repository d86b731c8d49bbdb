//! Against zstd's reader: what a frame is made of comes out of it.

#![allow(clippy::unwrap_used, reason = "a test that fails shows where")]

use std::ops::Range;

use assemble_deflate::{FrameEncoder, Inflater, Keep, Piece};
use proptest::prelude::*;

use common::{compress, generator, random_blocks, sample, short_matches, some_files, zeros};

mod common;

fn read(frame: &[u8], most: usize) -> Vec<u8> {
    zstd::bulk::decompress(frame, most).unwrap()
}

/// Files of a stream as frames: those, and the plain bytes.
fn frames(packed: &[u8], files: &[Range<u64>], enough: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut piece, mut encoder) = (Piece::default(), FrameEncoder::new());
    let (mut frames, mut plain) = (Vec::new(), Vec::new());
    let mut inflater = Inflater::new(packed);
    let mut flush = |piece: &mut Piece| {
        let frame = encoder.encode(piece).to_vec();
        assert!(read(&frame, piece.plain.len()) == piece.plain);
        assert!(frame == FrameEncoder::new().encode(piece), "what came before shows");
        assert!(frame.len() <= piece.plain.len() + 16 + piece.plain.len() / 1000);
        plain.extend_from_slice(&piece.plain);
        frames.push(frame);
        *piece = Piece::default();
    };
    for file in files {
        piece.fresh(b"a header, and a header, and a header");
        inflater.skip_to(file.start).unwrap();
        while inflater.position() < file.end {
            piece.file(&mut inflater, 0, file, Some(enough), Keep::Matches).unwrap();
            if inflater.position() < file.end {
                flush(&mut piece);
            }
        }
    }
    flush(&mut piece);
    (frames, plain)
}

fn check(plain: &[u8], packed: &[u8], files: &[Range<u64>]) {
    let place = |at: u64| usize::try_from(at).unwrap();
    for enough in [usize::MAX, 300_000, 10_000] {
        let mut expected = Vec::new();
        for file in files {
            expected.extend_from_slice(b"a header, and a header, and a header");
            expected.extend_from_slice(&plain[place(file.start)..place(file.end)]);
        }
        assert!(frames(packed, files, enough).1 == expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_zlib_writes_becomes_frames(
        seed: u64, len in 0_usize..400_000, level in 0_u32..=9, every in prop::sample::select(vec![100_usize, 3_000, 1 << 20])
    ) {
        let plain = sample(seed, len);
        let packed = compress(&plain, level, every);
        check(&plain, &packed, &some_files(seed, len));
        check(&plain, &packed, std::slice::from_ref(&(0..len as u64)));
    }

    #[test]
    fn blocks_of_all_kinds(seed: u64, count in 1_usize..40) {
        let (plain, packed) = random_blocks(seed, count);
        check(&plain, &packed, &some_files(seed, plain.len()));
        check(&plain, &packed, std::slice::from_ref(&(0..plain.len() as u64)));
    }

    /// Few values, many values, and all of them equally often: every way to describe a code.
    #[test]
    fn literals_of_every_sort(seed: u64, len in 0_usize..3000, first: u8, values in 1_u16..=256, skew in 0_u32..4) {
        let mut state = seed | 1;
        let plain: Vec<u8> = (0..len)
            .map(|_| {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                let one = (0..=skew).fold(u64::MAX, |least, turn| least.min((state >> (8 * turn + 7)) % u64::from(values)));
                first.wrapping_add(one.to_le_bytes()[0])
            })
            .collect();
        check(&plain, &compress(&plain, 1, 1 << 20), std::slice::from_ref(&(0..len as u64)));
    }
}

#[test]
fn matches_and_literals_across_the_end_of_a_block() {
    let block = 128 << 10;
    for before in block - 300..block + 10 {
        // Literals, then zeros in one match after another, then literals once more.
        let mut plain: Vec<u8> = sample(9, before);
        plain.extend(vec![0; 700]);
        plain.extend(sample(4, 300_000 - before));
        if before % 7 == 0 {
            check(&plain, &compress(&plain, 9, 1 << 20), std::slice::from_ref(&(0..plain.len() as u64)));
        }
        let (mut piece, mut encoder) = (Piece::default(), FrameEncoder::new());
        piece.fresh(&plain[..before + 700]);
        let frame = encoder.encode(&piece).to_vec();
        assert!(read(&frame, piece.plain.len()) == piece.plain);
    }
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut next = generator(seed);
    (0..len).map(|_| next().to_le_bytes()[4]).collect()
}

fn fresh(plain: &[u8]) -> Vec<u8> {
    let mut piece = Piece::default();
    piece.fresh(plain);
    let frame = FrameEncoder::new().encode(&piece).to_vec();
    assert!(read(&frame, plain.len()) == plain);
    frame
}

#[test]
fn literals_as_many_as_a_block_holds_in_front_of_a_match() {
    for run in [65_535, 65_536, 65_537, 98_303, 98_304, 130_000] {
        let plain = noise(run, 3);
        fresh(&[&plain[..], &plain[run - 500..]].concat());
    }
}

#[test]
fn more_sequences_than_two_bytes_count() {
    for count in [126, 127, 128, 0x7eff, 0x7f00, 0x7f01, 43_000] {
        let (plain, packed) = short_matches(count);
        check(&plain, &packed, std::slice::from_ref(&(0..plain.len() as u64)));
    }
}

/// A block whose only match is not worth it is raw, and nobody who reads it learns the distance.
#[test]
fn distances_of_raw_blocks_are_not_known() {
    let mut plain = noise(131_072, 11);
    plain.copy_within(60_000..60_004, 61_000);
    plain.extend(noise(2000, 13));
    let at = plain.len();
    plain.extend_from_within(at - 1000..at - 800);
    let frame = fresh(&plain);
    // The first block's header, little-endian: its kind, and how long it is.
    let header = u32::from_le_bytes([frame[9], frame[10], frame[11], 0]);
    assert_eq!((header >> 1 & 3, header >> 3), (0, 131_072));
}

#[test]
fn long_runs_cost_little() {
    let len = 20 << 20;
    let packed = zeros(len);
    let (frames, plain) = frames(&packed, std::slice::from_ref(&(0..len as u64)), 1 << 20);
    assert_eq!(plain.len(), len + 36);
    assert!(frames.iter().map(Vec::len).sum::<usize>() < 10_000);
}

#[test]
fn frames_are_smaller_than_what_they_are_made_of() {
    let text: Vec<u8> =
        (0..200_000_u32).flat_map(|n| format!("line {} of {}\n", n * 7 % 1013, n).into_bytes()).collect();
    for level in [1, 6, 9] {
        let packed = compress(&text, level, 1 << 23);
        let (frames, _) = frames(&packed, std::slice::from_ref(&(0..text.len() as u64)), 1 << 20);
        let size: usize = frames.iter().map(Vec::len).sum();
        assert!(size < packed.len(), "{level}: {size} {}", packed.len());
    }
}

/// Every platform, and every version under one name, gives these.
#[test]
fn frames_are_always_the_same() {
    let plain = sample(3, 700_000);
    let packed = compress(&plain, 6, 70_000);
    let (frames, _) = frames(&packed, &some_files(3, plain.len()), 200_000);
    let sum = crc32fast::hash(&frames.concat());
    assert_eq!((frames.len(), sum), (3, 1_216_661_341));
}
