//! Reading from marks: the places at which a stream can be begun without what lies before.

#![allow(clippy::unwrap_used, reason = "a test that fails shows where")]

use assemble_deflate::{DeflateError, Inflater, Keep, MARKED, Mark, Piece, inflate};

use common::{compress, sample, zeros};

mod common;

/// The plain bytes, the marks, and the bytes in front of each.
fn marks(packed: &[u8]) -> (Vec<u8>, Vec<Mark>, Vec<Vec<u8>>) {
    let (mut inflater, mut plain, mut windows) = (Inflater::new(packed), Vec::new(), Vec::new());
    loop {
        windows.extend(inflater.window_of_mark().map(<[u8]>::to_vec));
        let bytes = inflater.fill().unwrap();
        let count = bytes.len();
        plain.extend_from_slice(bytes);
        inflater.consume(count);
        if count == 0 {
            break;
        }
    }
    assert_eq!(inflater.packed(), packed.len() as u64);
    let marks = inflater.marks().to_vec();
    let (size, sum) = inflater.finish().unwrap();
    assert_eq!((size, sum), (plain.len() as u64, crc(&plain)));
    (plain, marks, windows)
}

fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

fn place(at: u64) -> usize {
    usize::try_from(at).unwrap()
}

#[test]
fn a_stream_can_be_read_from_each_of_its_marks() {
    for (level, every) in [(0, 1 << 20), (1, 70_000), (6, 1 << 20), (9, 900)] {
        let packed = compress(&sample(level.into(), 5_000_000), level, every);
        let (plain, marks, windows) = marks(&packed);
        assert!((3..5).contains(&marks.len()) && windows.len() == marks.len(), "{}", marks.len());
        let mut before = 0;
        for (number, (mark, window)) in marks.iter().zip(&windows).enumerate() {
            assert!(mark.plain - before >= MARKED && mark.plain - before < MARKED + 400_000, "{mark:?}");
            assert!(window[..] == plain[place(mark.plain) - Mark::WINDOW..place(mark.plain)]);
            assert_eq!(mark.sum, crc(&plain[place(before)..place(mark.plain)]));
            before = mark.plain;
            let source = || &packed[place(mark.source_offset())..];
            let part = Inflater::at_mark(mark, window, source()).unwrap().finish_part().unwrap();
            let next = marks.get(number + 1).map_or(plain.len() as u64, |next| next.plain);
            assert_eq!(part, [(next, crc(&plain[place(mark.plain)..place(next)]))]);
            // Who begins there comes by the same marks, and pieces end at them.
            let mut inflater = Inflater::at_mark(mark, window, source()).unwrap();
            let mut ends = Vec::new();
            let file = mark.plain - 5..plain.len() as u64;
            while inflater.position() < file.end {
                let mut piece = Piece::default();
                piece.file(&mut inflater, 0, &file, Some(usize::MAX), Keep::Blocks).unwrap();
                ends.push(inflater.position());
            }
            let rest: Vec<u64> =
                marks[number + 1..].iter().map(|mark| mark.plain).chain([file.end]).collect();
            assert_eq!(ends, rest);
        }
    }
}

#[test]
fn who_passed_a_mark_knows_the_sums_on_both_sides() {
    let packed = compress(&sample(3, 4_000_000), 6, 100_000);
    let (plain, marks, _) = marks(&packed);
    let mut inflater = Inflater::new(packed.as_slice());
    inflater.skip_to(marks[1].plain + 7).unwrap();
    let parked = inflater.park();
    let from = place(parked.source_offset());
    let part = Inflater::resume(&parked, &packed[from..]).unwrap().finish_part().unwrap();
    assert_eq!(part, [0, 1].map(|n| (marks[n].plain, marks[n].sum)));
    let whole = Inflater::resume(&parked, &packed[from..]).unwrap().finish().unwrap();
    assert_eq!(whole, (plain.len() as u64, crc(&plain)));
}

/// A block of any length has no marks within, and an end of a stream is none.
#[test]
fn marks_are_borders_of_blocks() {
    let packed = zeros(9 << 20);
    let (plain, marks, _) = marks(&packed);
    assert!(plain.len() > 9 << 20 && marks.is_empty(), "{marks:?}");
    let mark = Mark { bit: 8, plain: 100, sum: 0 };
    let window = vec![0; Mark::WINDOW];
    assert!(matches!(Inflater::at_mark(&mark, &[0; 100], &packed[1..]), Err(DeflateError::Place)));
    assert!(matches!(Inflater::at_mark(&mark, &window, &packed[1..]), Err(DeflateError::Place)));
}

/// Blocks of few bytes: what has to be kept for matches is not moved for each of them.
#[test]
fn a_stream_of_tiny_blocks_takes_no_longer_than_its_bytes() {
    // Fixed blocks without a byte, ten bits each: making tables for each would take minutes.
    let empty = [2, 8, 32, 128, 0].repeat(200_000);
    let mut plain = Vec::new();
    inflate([&empty[..], &[3, 0]].concat().as_slice(), &mut plain).unwrap();
    assert!(plain.is_empty());
    // Stored blocks of one byte, 200,000 of them; moving a window for each would be 6 GiB.
    let mut packed = Vec::new();
    for n in 0..200_000_u32 {
        packed.extend([0, 1, 0, 0xfe, 0xff, n.to_le_bytes()[0]]);
    }
    packed.extend([3, 0]);
    let mut plain = Vec::new();
    inflate(packed.as_slice(), &mut plain).unwrap();
    assert_eq!(plain.len(), 200_000);
    assert!(marks(&packed).0 == plain);
}
