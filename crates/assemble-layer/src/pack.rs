//! Writes the entries of a tree as a layer.

use std::io::Write;
use std::num::NonZeroUsize;

use assemble_rootfs::TreeEntry;
use assemble_types::{Blob, Digest, Spool};

use crate::codec::GzipWriter;
use crate::make::Maker;
use crate::pipeline;
use crate::plan::Plan;
use crate::read::unpacked;
use crate::{AccountNames, LayerError};

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
    /// Bytes of the tar whose compressed form was copied from packages.
    pub copied: u64,
    /// The compressed bytes.
    pub blob: Blob,
}

impl Layer {
    /// Writes the uncompressed tar.
    ///
    /// # Errors
    /// The layer's bytes cannot be read, or `out` does not take them.
    pub fn write_unpacked(&self, out: &mut dyn Write) -> Result<(), LayerError> {
        unpacked(&self.blob, &mut |piece| out.write_all(piece).map_err(LayerError::Store))?;
        Ok(())
    }
}

/// Writes `entries`, in their order, as the layer format of `docs/format/layer-v1.md` under [`crate::CODEC`].
///
/// A name that came from an archive as a hard link stays one, with the archive's own text. Of a node that has several
/// names otherwise, each name of a package's node is a full copy, as apko has it; in the other parts the first is the
/// file and the later ones are hard links to it.
///
/// The result does not depend on `threads`. In memory are a few pieces of the layer of at most 1.3 MB each, and some
/// 33 KiB for each package that is open.
pub fn pack(
    entries: &[TreeEntry<'_>],
    names: &AccountNames,
    threads: NonZeroUsize,
    spool: &dyn Spool,
) -> Result<Layer, LayerError> {
    let out = GzipWriter::new(spool.create().map_err(LayerError::Store)?)?;
    let plan = Plan::new(entries, spool)?;
    let (out, diff_id) = pipeline::run(&Maker::new(&plan, names), threads, out)?;
    let written = out.finish()?;
    Ok(Layer {
        digest: written.digest,
        diff_id,
        size: written.size,
        uncompressed_size: written.plain,
        copied: written.copied,
        blob: written.writer.finish_as(&written.digest).map_err(LayerError::Store)?,
    })
}
