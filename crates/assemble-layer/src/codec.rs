//! How tar bytes become gzip bytes: the rule named by [`CODEC`].

use assemble_deflate::{Encoder, Piece};
use assemble_types::{Digest, HashingWriter, SpoolWriter};
use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress};
use std::io::Write;

use crate::LayerError;
use crate::segment::PackedPiece;

/// Name and version of the rule that turns a tree into compressed bytes. Equal entries with equal contents, of which
/// the same lie in equal streams, give equal compressed bytes under an equal name. `docs/format/layer-v1.md` says what
/// it fixes: where pieces end, which blocks are copied, how the rest is coded, the compressor with its version and level,
/// and the gzip framing. Whoever changes any of them has to count it up.
pub const CODEC: &str = "gzip-2";

/// Entries are put together until they have so many bytes, and a content of at least so many is for itself. Part of
/// [`CODEC`].
pub(crate) const GROUP: u64 = 128 << 10;

/// Pieces that are compressed have so many bytes, but the last of a file, which may have [`GROUP`] more. Part of
/// [`CODEC`].
pub(crate) const CUT: usize = 384 << 10;

/// A piece of a large file ends at the first border of a block at which it has so many bytes. Part of [`CODEC`].
pub(crate) const ENOUGH: usize = 256 << 10;

/// The compressor's level. Part of [`CODEC`].
const LEVEL: u32 = 5;

/// Magic, deflate, no flags, no time, no hints, unknown system. Part of [`CODEC`].
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// An empty last block with fixed codes.
const FINAL_BLOCK: [u8; 2] = [3, 0];

/// A compressed piece.
#[derive(Debug)]
pub(crate) struct Packed {
    /// Deflate blocks that end on a byte border; none of them is the last.
    deflated: Vec<u8>,
    /// Sum over the plain bytes.
    crc: Hasher,
    /// Plain bytes.
    plain: u64,
    /// Plain bytes in blocks that were copied.
    copied: u64,
}

impl Packed {
    /// A piece that was packed before, to `deflated`, if its plain bytes are the same.
    pub(crate) fn again(
        deflated: Vec<u8>,
        plain: &[u8],
        known: Option<&PackedPiece>,
    ) -> Result<Self, LayerError> {
        let mut crc = Hasher::new();
        crc.update(plain);
        match known {
            Some(known) if known.crc == crc.clone().finalize() && known.plain as usize == plain.len() => {
                Ok(Self { deflated, crc, plain: plain.len() as u64, copied: known.copied.into() })
            }
            _ => Err(LayerError::Earlier),
        }
    }

    fn piece(&self) -> Option<PackedPiece> {
        Some(PackedPiece {
            size: u32::try_from(self.deflated.len()).ok()?,
            plain: u32::try_from(self.plain).ok()?,
            copied: u32::try_from(self.copied).ok()?,
            crc: self.crc.clone().finalize(),
        })
    }
}

/// More than deflate can need for so many bytes, so that one call always suffices.
fn worst_case(plain: usize) -> usize {
    plain + plain / 6 + 4096
}

/// Packs pieces, with room that is used again and again.
#[derive(Default)]
pub(crate) struct Packer {
    encoder: Encoder,
    room: Vec<u8>,
}

impl Packer {
    /// Packs a piece: from what is known of it, or with a compressor.
    pub(crate) fn pack(&mut self, piece: &Piece, spliced: bool) -> Result<Packed, LayerError> {
        let mut crc = Hasher::new();
        crc.update(&piece.plain);
        let plain = piece.plain.len() as u64;
        if spliced {
            let deflated = self.encoder.encode(piece).to_vec();
            return Ok(Packed { deflated, crc, plain, copied: piece.copied() });
        }
        Ok(Packed { deflated: self.compress(&piece.plain)?, crc, plain, copied: 0 })
    }

    /// Compresses in one call of a fresh compressor: what it gives depends on nothing else.
    ///
    /// Streaming would not do: at this level the compressor looks at how its input is cut and at the room for its output.
    fn compress(&mut self, plain: &[u8]) -> Result<Vec<u8>, LayerError> {
        let mut compress = Compress::new(Compression::new(LEVEL), false);
        let needed = worst_case(plain.len());
        if self.room.len() < needed {
            self.room.resize(needed, 0);
        }
        let room = &mut self.room[..needed];
        let done = compress.compress(plain, room, FlushCompress::Sync);
        let (taken, given) = (compress.total_in(), compress.total_out());
        if done.is_err() || taken != plain.len() as u64 || given >= needed as u64 {
            return Err(LayerError::Compressor { expected: plain.len() as u64, taken });
        }
        let given = usize::try_from(given).unwrap_or(usize::MAX).min(needed);
        Ok(room[..given].to_vec())
    }
}

/// Joins compressed pieces into one gzip member.
pub(crate) struct GzipWriter {
    out: HashingWriter<Box<dyn SpoolWriter>>,
    crc: Hasher,
    plain: u64,
    copied: u64,
    /// Where the next piece goes.
    at: u64,
    /// The pieces of each unit; nothing of one that cannot be described.
    units: Vec<(u64, Option<Vec<PackedPiece>>)>,
}

impl GzipWriter {
    pub(crate) fn new(out: Box<dyn SpoolWriter>) -> Result<Self, LayerError> {
        let mut out = HashingWriter::new(out);
        out.write_all(&GZIP_HEADER).map_err(LayerError::Store)?;
        let at = GZIP_HEADER.len() as u64;
        Ok(Self { out, crc: Hasher::new(), plain: 0, copied: 0, at, units: Vec::new() })
    }

    /// Appends the next piece, which is of this unit.
    pub(crate) fn append(&mut self, piece: &Packed, unit: usize) -> Result<(), LayerError> {
        if self.units.len() <= unit {
            self.units.resize_with(unit + 1, || (self.at, Some(Vec::new())));
        }
        if let Some((_, pieces)) = self.units.last_mut() {
            *pieces = pieces.take().zip(piece.piece()).map(|(mut pieces, piece)| {
                pieces.push(piece);
                pieces
            });
        }
        self.at += piece.deflated.len() as u64;
        self.out.write_all(&piece.deflated).map_err(LayerError::Store)?;
        self.crc.combine(&piece.crc);
        self.plain += piece.plain;
        self.copied += piece.copied;
        Ok(())
    }

    /// Ends the member.
    pub(crate) fn finish(mut self) -> Result<Written, LayerError> {
        let mut tail = FINAL_BLOCK.to_vec();
        tail.extend_from_slice(&self.crc.finalize().to_le_bytes());
        // The format keeps the plain size modulo 2^32.
        tail.extend_from_slice(&self.plain.to_le_bytes()[..4]);
        self.out.write_all(&tail).map_err(LayerError::Store)?;
        let (writer, digest, size) = self.out.finish();
        let Self { plain, copied, units, .. } = self;
        Ok(Written { writer, digest, size, plain, copied, units })
    }
}

/// A whole gzip member.
pub(crate) struct Written {
    /// Where it is.
    pub(crate) writer: Box<dyn SpoolWriter>,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) plain: u64,
    pub(crate) copied: u64,
    /// Where each unit stands, and its pieces, as far as they can be described.
    pub(crate) units: Vec<(u64, Option<Vec<PackedPiece>>)>,
}
