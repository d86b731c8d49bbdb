//! What `zstd-3` fixes: see [`crate::Compression::codec`].

use assemble_deflate::Keep;
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, compress_bound};

use crate::LayerError;
use crate::codec::{Cut, Sizes};

/// Part of the codec.
pub(crate) const SIZES: Sizes = Sizes {
    compressed: Cut { group: 1 << 20, piece: 2 << 20 },
    spliced: Cut { group: 256 << 10, piece: 512 << 10 },
    keep: Keep::Matches,
};

/// The compressor's level. Part of the codec.
const LEVEL: i32 = 3;

/// Compresses in one call of a fresh compressor into a frame of its own, with the size of its content and a checksum of it.
///
/// One call and no worker: with a stream, or with workers, the same bytes give other frames.
pub(crate) fn compress(plain: &[u8], room: &mut Vec<u8>) -> Result<Vec<u8>, LayerError> {
    let failed = |_| LayerError::Compressor { expected: plain.len() as u64, taken: 0 };
    let mut compressor = Compressor::new(LEVEL).map_err(failed)?;
    compressor.set_parameter(CParameter::ContentSizeFlag(true)).map_err(failed)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true)).map_err(failed)?;
    // With so much room no frame can fail.
    let needed = compress_bound(plain.len());
    if room.len() < needed {
        room.resize(needed, 0);
    }
    let given = compressor.compress_to_buffer(plain, &mut room[..needed]).map_err(failed)?;
    Ok(room[..given].to_vec())
}

#[cfg(test)]
mod tests {
    /// The build takes the library that comes with the crate. Another one may give other bytes.
    #[test]
    fn the_library_is_the_one_that_the_codec_names() {
        assert_eq!(zstd::zstd_safe::version_string(), "1.5.7");
    }
}
