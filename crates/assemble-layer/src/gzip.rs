//! What `gzip-3` fixes: see [`crate::Compression::codec`].

use assemble_deflate::Keep;
use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress};

use crate::LayerError;
use crate::codec::{Cut, Sizes};

/// Part of the codec.
pub(crate) const SIZES: Sizes = Sizes {
    compressed: Cut { group: 128 << 10, piece: 384 << 10 },
    spliced: Cut { group: 128 << 10, piece: 256 << 10 },
    keep: Keep::Blocks,
};

/// The compressor's level. Part of the codec.
const LEVEL: u32 = 5;

/// Magic, deflate, no flags, no time, no hints, unknown system. Part of the codec.
pub(crate) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// An empty last block with fixed codes.
const FINAL_BLOCK: [u8; 2] = [3, 0];

/// More than deflate can need for so many bytes, so that one call always suffices.
fn worst_case(plain: usize) -> usize {
    plain + plain / 6 + 4096
}

/// Compresses in one call of a fresh compressor: what it gives depends on nothing else. It is deflate blocks that end on a
/// byte border; none of them is the last.
///
/// Streaming would not do: at this level the compressor looks at how its input is cut and at the room for its output.
pub(crate) fn compress(plain: &[u8], room: &mut Vec<u8>) -> Result<Vec<u8>, LayerError> {
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    let needed = worst_case(plain.len());
    if room.len() < needed {
        room.resize(needed, 0);
    }
    let room = &mut room[..needed];
    let done = compress.compress(plain, room, FlushCompress::Sync);
    let (taken, given) = (compress.total_in(), compress.total_out());
    if done.is_err() || taken != plain.len() as u64 || given >= needed as u64 {
        return Err(LayerError::Compressor { expected: plain.len() as u64, taken });
    }
    let given = usize::try_from(given).unwrap_or(usize::MAX).min(needed);
    Ok(room[..given].to_vec())
}

/// What ends the member.
pub(crate) fn end(crc: Hasher, plain: u64) -> Vec<u8> {
    let mut end = FINAL_BLOCK.to_vec();
    end.extend_from_slice(&crc.finalize().to_le_bytes());
    // The format keeps the plain size modulo 2^32.
    end.extend_from_slice(&plain.to_le_bytes()[..4]);
    end
}
