//! Against zlib's reader and writer: same bytes, same acceptance, and pieces that others can read.

#![allow(clippy::unwrap_used, reason = "a test that fails shows where")]

use std::ops::Range;

use assemble_deflate::{DeflateError, Encoder, Inflater, Keep, LARGEST_BLOCK, Piece, inflate};
use flate2::{Decompress, FlushDecompress, Status};
use proptest::prelude::*;

use common::{compress, random_blocks, sample, some_files, zeros};

mod common;

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

fn ours(packed: &[u8]) -> Option<(Vec<u8>, u64)> {
    let mut out = Vec::new();
    let used = inflate(packed, &mut out).ok()?;
    Some((out, used))
}

/// Gives few bytes at a time.
struct Stingy<'a>(&'a [u8], usize);

impl std::io::Read for Stingy<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let size = self.1.min(buf.len());
        self.0.read(&mut buf[..size])
    }
}

/// Files of a stream as pieces, put together: plain and packed, with the reader laid aside now and then.
fn splice(
    packed: &[u8],
    files: &[Range<u64>],
    enough: usize,
    park: bool,
) -> Result<(Vec<u8>, Vec<u8>), DeflateError> {
    let step = if park { 13 } else { usize::MAX };
    let mut inflater = Inflater::new(Stingy(packed, step));
    let (mut plain, mut out) = (Vec::new(), Vec::new());
    let (mut piece, mut encoder) = (Piece::default(), Encoder::new());
    let mut flush = |piece: &mut Piece| {
        plain.extend_from_slice(&piece.plain);
        out.extend_from_slice(encoder.encode(piece));
        *piece = Piece::default();
    };
    for file in files {
        piece.fresh(b"a header, and a header, and a header");
        inflater.skip_to(file.start)?;
        while inflater.position() < file.end {
            if park {
                let parked = inflater.park();
                let at = usize::try_from(parked.source_offset()).unwrap();
                inflater = Inflater::resume(&parked, Stingy(&packed[at..], step))?;
            }
            piece.file(&mut inflater, 0, file, Some(enough), Keep::Blocks)?;
            assert!(piece.plain.len() <= enough.saturating_add(LARGEST_BLOCK + 258));
            if inflater.position() < file.end {
                flush(&mut piece);
            }
        }
    }
    flush(&mut piece);
    out.extend([3, 0]);
    Ok((plain, out))
}

fn expected(plain: &[u8], files: &[Range<u64>]) -> Vec<u8> {
    let mut out = Vec::new();
    for file in files {
        out.extend_from_slice(b"a header, and a header, and a header");
        out.extend_from_slice(
            &plain[usize::try_from(file.start).unwrap()..usize::try_from(file.end).unwrap()],
        );
    }
    out
}

fn check_splice(plain: &[u8], packed: &[u8], files: &[Range<u64>]) {
    let (spliced, out) = splice(packed, files, usize::MAX, false).unwrap();
    let whole = expected(plain, files);
    assert!(spliced == whole);
    assert!(zlib(&out, whole.len()).unwrap().0 == whole);
    assert!(ours(&out).unwrap().0 == whole);
    let parked = splice(packed, files, usize::MAX, true).unwrap();
    assert!(parked.1 == out, "laying the reader aside shows");
    let pieces = splice(packed, files, 10_000, false).unwrap();
    assert!(zlib(&pieces.1, whole.len()).unwrap().0 == whole);
    assert!(splice(packed, files, 10_000, true).unwrap().1 == pieces.1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_zlib_writes_is_read_and_spliced(
        seed: u64, len in 0_usize..120_000, level in 0_u32..=9, every in prop::sample::select(vec![100_usize, 3_000, 1 << 20])
    ) {
        let plain = sample(seed, len);
        let packed = compress(&plain, level, every);
        let (read, used) = ours(&packed).unwrap();
        prop_assert!(read == plain);
        prop_assert_eq!(used, packed.len() as u64);
        check_splice(&plain, &packed, &some_files(seed, len));
        check_splice(&plain, &packed, std::slice::from_ref(&(0..len as u64)));
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
        let ours = ours(&packed);
        prop_assert!(theirs == ours, "{:?} {:?}", theirs.map(|t| t.1), ours.map(|t| t.1));
        let _ = splice(&packed, &some_files(seed, len), 1000, true);
    }

    #[test]
    fn noise_is_judged_alike(packed in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(zlib(&packed, 4 << 20) == ours(&packed));
    }

    #[test]
    fn blocks_of_all_kinds(seed: u64, count in 1_usize..30) {
        let (plain, packed) = random_blocks(seed, count);
        let theirs = zlib(&packed, plain.len()).unwrap();
        prop_assert!(theirs.0 == plain);
        prop_assert!(ours(&packed).unwrap().0 == plain);
        check_splice(&plain, &packed, &some_files(seed, plain.len()));
    }
}

#[test]
fn no_symbol_beyond_a_border_is_read() {
    let plain: Vec<u8> = sample(5, 3000).iter().map(|byte| byte % 23).collect();
    for level in [1, 4, 9] {
        let packed = compress(&plain, level, 1 << 20);
        for border in 0..3000 {
            let files = [0..border, border..3000];
            let (spliced, out) = splice(&packed, &files, usize::MAX, false).unwrap();
            assert!(zlib(&out, spliced.len()).unwrap().0 == expected(&plain, &files), "{border}");
            assert!(splice(&packed, &files, usize::MAX, true).unwrap().1 == out);
            let second = splice(&packed, &files[1..], usize::MAX, false).unwrap().1;
            let mut piece = Piece::default();
            let mut inflater = Inflater::new(packed.as_slice());
            piece.file(&mut inflater, 0, &files[0], None, Keep::Blocks).unwrap();
            let mut piece = Piece::default();
            piece.fresh(b"a header, and a header, and a header");
            piece.file(&mut inflater, 0, &files[1], None, Keep::Blocks).unwrap();
            let mut encoder = Encoder::new();
            assert!(second.starts_with(encoder.encode(&piece)), "the way to {border} shows");
        }
    }
}

#[test]
fn blocks_that_go_beyond_a_large_file_are_coded_anew() {
    for (seed, level) in [(1, 1), (2, 4), (3, 6), (4, 9)] {
        for (text, zeros) in [(86_578, 86_578), (300_000, 0), (10_000, 2_000_000), (200_000, 3000)] {
            let mut plain = sample(seed, 5000);
            let start = plain.len() as u64;
            plain.extend(sample(seed + 10, text));
            plain.extend(vec![0; zeros]);
            let end = plain.len() as u64;
            plain.extend(vec![0; 700]);
            plain.extend(sample(seed, 3000));
            let packed = compress(&plain, level, 1 << 22);
            check_splice(&plain, &packed, std::slice::from_ref(&(start..end)));
        }
    }
}

#[test]
fn a_block_without_measure_comes_in_parts() {
    let len = 100 << 20;
    let packed = zeros(len - 1);
    let file = 1..len as u64;
    let mut inflater = Inflater::new(packed.as_slice());
    let mut encoder = Encoder::new();
    let (mut total, mut size) = (0, 0);
    inflater.skip_to(1).unwrap();
    while inflater.position() < file.end {
        let mut piece = Piece::default();
        piece.file(&mut inflater, 0, &file, Some(1000), Keep::Blocks).unwrap();
        assert!(piece.plain.len() <= 1000 + LARGEST_BLOCK + 258 && piece.plain.iter().all(|b| *b == 0));
        total += piece.plain.len();
        size += encoder.encode(&piece).len();
    }
    assert_eq!(total, len - 1);
    assert!(size < len / 500, "{size}");
}

#[test]
fn blocks_of_one_file_are_copied() {
    let plain = sample(7, 500_000);
    let packed = compress(&plain, 6, 50_000);
    let mut inflater = Inflater::new(packed.as_slice());
    let mut piece = Piece::default();
    piece.file(&mut inflater, 0, &(0..500_000), None, Keep::Blocks).unwrap();
    assert_eq!(piece.copied(), 500_000);
    let mut encoder = Encoder::new();
    let size = encoder.encode(&piece).len();
    assert!(size < packed.len() + 100, "{size} {}", packed.len());
}
