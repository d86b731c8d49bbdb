//! Turns tree entries into canonical tar bytes and a compressed layer, and reads layers back.

use assemble_types::{Blob, Digest};

/// A finished layer.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Digest of the compressed bytes.
    pub digest: Digest,
    /// Digest of the uncompressed tar: the promise for ever.
    pub diff_id: Digest,
    /// Size of the compressed bytes.
    pub size: u64,
    /// Size of the tar.
    pub uncompressed_size: u64,
    /// The compressed bytes.
    pub blob: Blob,
}
// pub const CODEC: &str  — name+version of the compressor rule, recorded in history and --json
// pub fn pack(entries: &[TreeEntry<'_>], names: &AccountNames, threads: NonZeroUsize, spool: &dyn Spool) -> Result<Layer, LayerError>
// pub fn read_layer(...)
