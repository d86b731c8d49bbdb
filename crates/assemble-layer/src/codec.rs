//! How pieces of tar bytes become a compressed layer: the rules that [`Compression`] names.

use assemble_deflate::{Encoder, FrameEncoder, Keep, Piece};
use assemble_types::{Digest, HashingWriter, SpoolWriter};
use crc32fast::Hasher;
use std::io::Write;

use crate::compression::Compression;
use crate::segment::PackedPiece;
use crate::{LayerError, gzip, zstd_frames};

/// How contents of one sort are cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// Entries are put together until they have so many bytes, and a content of at least so many is for itself.
    pub(crate) group: u64,
    /// Bytes of a piece of such a content.
    pub(crate) piece: u64,
}

/// Where the pieces of a layer end. Part of the codec.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Of what is compressed. The last piece of a content may have `group` more.
    pub(crate) compressed: Cut,
    /// Of contents that lie in streams, and are written from what is known of those. A piece ends at the first border of a
    /// block at which it has so many bytes.
    pub(crate) spliced: Cut,
    /// What has to be known of them.
    pub(crate) keep: Keep,
}

impl Sizes {
    pub(crate) fn of(compression: Compression) -> Self {
        match compression {
            Compression::Gzip => gzip::SIZES,
            Compression::Zstd => zstd_frames::SIZES,
        }
    }

    /// See [`Cut::group`]. What has no content is of no sort.
    pub(crate) fn group(&self, spliced: Option<bool>) -> u64 {
        if spliced == Some(true) { self.spliced.group } else { self.compressed.group }
    }
}

/// A compressed piece.
#[derive(Debug)]
pub(crate) struct Packed {
    /// What stands in the layer.
    bytes: Vec<u8>,
    /// Sum over the plain bytes.
    crc: Hasher,
    /// Plain bytes.
    plain: u64,
    /// Plain bytes in blocks that were copied.
    copied: u64,
}

impl Packed {
    /// A piece that was packed to `bytes` before, if its plain bytes are the same.
    pub(crate) fn again(
        bytes: Vec<u8>,
        plain: &[u8],
        known: Option<&PackedPiece>,
    ) -> Result<Self, LayerError> {
        let mut crc = Hasher::new();
        crc.update(plain);
        match known {
            Some(known) if known.crc == crc.clone().finalize() && known.plain as usize == plain.len() => {
                Ok(Self { bytes, crc, plain: plain.len() as u64, copied: known.copied.into() })
            }
            _ => Err(LayerError::Earlier),
        }
    }

    fn piece(&self) -> Option<PackedPiece> {
        Some(PackedPiece {
            size: u32::try_from(self.bytes.len()).ok()?,
            plain: u32::try_from(self.plain).ok()?,
            copied: u32::try_from(self.copied).ok()?,
            crc: self.crc.clone().finalize(),
        })
    }
}

/// Packs pieces, with room that is used again and again.
pub(crate) struct Packer {
    compression: Compression,
    blocks: Encoder,
    frames: FrameEncoder,
    room: Vec<u8>,
}

impl Packer {
    pub(crate) fn new(compression: Compression) -> Self {
        Self { compression, blocks: Encoder::new(), frames: FrameEncoder::new(), room: Vec::new() }
    }

    /// Packs a piece: from what is known of it, or with a compressor.
    pub(crate) fn pack(&mut self, piece: &Piece, spliced: bool) -> Result<Packed, LayerError> {
        let plain = piece.plain.len() as u64;
        let mut crc = Hasher::new();
        crc.update(&piece.plain);
        let bytes = match self.compression {
            Compression::Gzip if spliced => self.blocks.encode(piece).to_vec(),
            Compression::Zstd if spliced => self.frames.encode(piece).to_vec(),
            Compression::Gzip => gzip::compress(&piece.plain, &mut self.room)?,
            Compression::Zstd => zstd_frames::compress(&piece.plain, &mut self.room)?,
        };
        let copied = if spliced { piece.copied() } else { 0 };
        Ok(Packed { bytes, crc, plain, copied })
    }
}

/// Joins compressed pieces into one layer.
pub(crate) struct LayerWriter {
    compression: Compression,
    out: HashingWriter<Box<dyn SpoolWriter>>,
    crc: Hasher,
    plain: u64,
    copied: u64,
    /// Where the next piece goes.
    at: u64,
    /// The pieces of each unit; nothing of one that cannot be described.
    units: Vec<(u64, Option<Vec<PackedPiece>>)>,
}

impl LayerWriter {
    pub(crate) fn new(compression: Compression, out: Box<dyn SpoolWriter>) -> Result<Self, LayerError> {
        let mut out = HashingWriter::new(out);
        let header = match compression {
            Compression::Gzip => &gzip::HEADER[..],
            Compression::Zstd => &[],
        };
        out.write_all(header).map_err(LayerError::Store)?;
        let at = header.len() as u64;
        Ok(Self { compression, out, crc: Hasher::new(), plain: 0, copied: 0, at, units: Vec::new() })
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
        self.at += piece.bytes.len() as u64;
        self.out.write_all(&piece.bytes).map_err(LayerError::Store)?;
        self.crc.combine(&piece.crc);
        self.plain += piece.plain;
        self.copied += piece.copied;
        Ok(())
    }

    /// Ends the layer.
    pub(crate) fn finish(mut self) -> Result<Written, LayerError> {
        if self.compression == Compression::Gzip {
            let end = gzip::end(self.crc.clone(), self.plain);
            self.out.write_all(&end).map_err(LayerError::Store)?;
        }
        let (writer, digest, size) = self.out.finish();
        let Self { plain, copied, units, .. } = self;
        Ok(Written { writer, digest, size, plain, copied, units })
    }
}

/// A whole layer.
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
