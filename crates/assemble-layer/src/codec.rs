//! How tar bytes become gzip bytes: the rule named by [`CODEC`].

use assemble_types::{Digest, HashingWriter, SpoolWriter};
use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress};
use std::io::Write;

use crate::LayerError;

/// Name and version of the rule that turns tar bytes into compressed bytes. Equal tar bytes under an equal name give
/// equal compressed bytes. `docs/format/layer-v1.md` says what it fixes: where blocks end, the compressor with its
/// version and level, and the gzip framing. Whoever changes any of them has to count it up.
pub const CODEC: &str = "gzip-1";

/// An entry that brings the open block to this size closes it, and an entry of at least this size opens a new one.
/// Part of [`CODEC`].
pub(crate) const GROUP: usize = 128 << 10;

/// No block is larger. Part of [`CODEC`].
pub(crate) const CUT: usize = 384 << 10;

/// The compressor's level. Part of [`CODEC`].
const LEVEL: u32 = 5;

/// Magic, deflate, no flags, no time, no hints, unknown system. Part of [`CODEC`].
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// An empty last block with fixed codes.
const FINAL_BLOCK: [u8; 2] = [3, 0];

/// A compressed block.
#[derive(Debug)]
pub(crate) struct Packed {
    /// Deflate blocks that end on a byte border; none of them is the last.
    deflated: Vec<u8>,
    /// Sum over the plain bytes.
    crc: Hasher,
    /// Plain bytes.
    plain: u64,
}

/// More than deflate can need for so many bytes, so that one call always suffices.
fn worst_case(plain: usize) -> usize {
    plain + plain / 6 + 4096
}

/// Room for the output of [`compress_block`], to be used again and again.
pub(crate) fn scratch() -> Vec<u8> {
    vec![0; worst_case(CUT)]
}

/// Compresses at most [`CUT`] bytes in one call of a fresh compressor: what it gives depends on nothing else.
///
/// Streaming would not do: at this level the compressor looks at how its input is cut and at the room for its output.
pub(crate) fn compress_block(plain: &[u8], scratch: &mut [u8]) -> Result<Packed, LayerError> {
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    let room = &mut scratch[..worst_case(plain.len())];
    let size = room.len() as u64;
    let done = compress.compress(plain, room, FlushCompress::Sync);
    let (taken, given) = (compress.total_in(), compress.total_out());
    if done.is_err() || taken != plain.len() as u64 || given >= size {
        return Err(LayerError::Compressor { expected: plain.len() as u64, taken });
    }
    let mut crc = Hasher::new();
    crc.update(plain);
    let given = usize::try_from(given).unwrap_or(usize::MAX).min(room.len());
    Ok(Packed { deflated: room[..given].to_vec(), crc, plain: taken })
}

/// Joins compressed blocks into one gzip member.
pub(crate) struct GzipWriter {
    out: HashingWriter<Box<dyn SpoolWriter>>,
    crc: Hasher,
    plain: u64,
}

impl GzipWriter {
    pub(crate) fn new(out: Box<dyn SpoolWriter>) -> Result<Self, LayerError> {
        let mut out = HashingWriter::new(out);
        out.write_all(&GZIP_HEADER).map_err(LayerError::Store)?;
        Ok(Self { out, crc: Hasher::new(), plain: 0 })
    }

    pub(crate) fn append(&mut self, block: &Packed) -> Result<(), LayerError> {
        self.out.write_all(&block.deflated).map_err(LayerError::Store)?;
        self.crc.combine(&block.crc);
        self.plain += block.plain;
        Ok(())
    }

    /// Ends the member; returns where it is, its digest and its size.
    pub(crate) fn finish(mut self) -> Result<(Box<dyn SpoolWriter>, Digest, u64), LayerError> {
        let mut tail = FINAL_BLOCK.to_vec();
        tail.extend_from_slice(&self.crc.finalize().to_le_bytes());
        // The format keeps the plain size modulo 2^32.
        tail.extend_from_slice(&self.plain.to_le_bytes()[..4]);
        self.out.write_all(&tail).map_err(LayerError::Store)?;
        Ok(self.out.finish())
    }
}
