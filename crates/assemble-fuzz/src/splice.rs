//! Deflate streams, taken apart and put together again, as streams and as frames.

use std::io::Read;
use std::ops::Range;

use assemble_deflate::{Encoder, FrameEncoder, Inflater, Keep, Piece, inflate};

/// Plain bytes that are looked at; more come out of bombs.
const MOST: u64 = 1 << 20;

/// Any bytes as a stream, behind some that say where files lie in it.
pub(crate) fn any(input: &[u8]) {
    let (borders, stream) = input.split_at(input.len().min(8));
    let mut plain = Vec::new();
    let theirs = flate2::read::DeflateDecoder::new(stream).take(MOST + 1).read_to_end(&mut plain);
    if plain.len() as u64 > MOST {
        return;
    }
    let mut ours = Vec::new();
    let accepted = inflate(stream, &mut ours).is_ok();
    assert_eq!(theirs.is_ok(), accepted, "{theirs:?}");
    let files = files(borders, plain.len() as u64);
    let wanted: Vec<u8> = files.iter().flat_map(|file| part(&plain, file)).copied().collect();
    let mut blocks = Encoder::new();
    let spliced = splice(stream, &files, Keep::Blocks, &mut |piece| blocks.encode(piece).to_vec());
    let mut frames = FrameEncoder::new();
    let framed = splice(stream, &files, Keep::Matches, &mut |piece| frames.encode(piece).to_vec());
    if !accepted {
        return;
    }
    assert!(ours == plain, "other bytes come out");
    let (expected, mut packed) = spliced.expect("the stream is as long as its files");
    assert!(expected == wanted, "other files come out");
    packed.extend([3, 0]);
    let mut again = Vec::new();
    let read = flate2::read::DeflateDecoder::new(packed.as_slice()).read_to_end(&mut again);
    assert!(read.is_ok() && again == wanted, "what was put together is not what was taken apart");
    let (expected, packed) = framed.expect("the stream is as long as its files");
    assert!(expected == wanted, "other files come out for frames");
    let again = zstd::stream::decode_all(packed.as_slice());
    assert!(again.is_ok_and(|again| again == wanted), "frames are not what was taken apart");
}

fn part<'a>(plain: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    plain.get(place(range.start)..place(range.end)).expect("it was made to lie inside")
}

/// A file for each two bytes: how much lies before it, and how long it is.
fn files(borders: &[u8], len: u64) -> Vec<Range<u64>> {
    let mut at = 0;
    let mut out = Vec::new();
    for pair in borders.chunks_exact(2) {
        let start = (at + u64::from(pair[0])).min(len);
        at = (start + (1 << (pair[1] % 21)) + u64::from(pair[1])).min(len);
        out.push(start..at);
    }
    out
}

/// The plain bytes of files, and what they are encoded to.
fn splice(
    stream: &[u8],
    files: &[Range<u64>],
    keep: Keep,
    encode: &mut dyn FnMut(&Piece) -> Vec<u8>,
) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut plain, mut packed) = (Vec::new(), Vec::new());
    let (mut inflater, mut piece) = (Inflater::new(stream), Piece::default());
    for (number, file) in files.iter().enumerate() {
        inflater.skip_to(file.start).ok()?;
        while inflater.position() < file.end {
            if number % 2 == 1 {
                let parked = inflater.park();
                let rest = stream.get(usize::try_from(parked.source_offset()).ok()?..)?;
                inflater = Inflater::resume(&parked, rest).ok()?;
            }
            piece.file(&mut inflater, 0, file, Some(30_000), keep).ok()?;
            if piece.plain.len() >= 30_000 {
                plain.extend_from_slice(&piece.plain);
                packed.extend(encode(&piece));
                piece = Piece::default();
            }
        }
    }
    plain.extend_from_slice(&piece.plain);
    packed.extend(encode(&piece));
    Some((plain, packed))
}
