//! Writes the entries of a tree as a layer.

use std::io::Write;
use std::num::NonZeroUsize;

use assemble_rootfs::TreeEntry;
use assemble_types::{Blob, Digest, Spool};

use crate::codec::{LayerWriter, Sizes};
use crate::compression::Compression;
use crate::make::Maker;
use crate::pipeline;
use crate::plan::Plan;
use crate::read::unpacked;
use crate::segment::{Earlier, Segments, UnitKey, layer_key};
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

/// Writes `entries`, in their order, as the layer format of `docs/format/layer-v1.md` with the codec of `compression`.
///
/// A name that came from an archive as a hard link stays one, with the archive's own text. Of a node that has several
/// names otherwise, each name of a package's node is a full copy, as apko has it; in the other parts the first is the
/// file and the later ones are hard links to it.
///
/// The result does not depend on `threads`. In memory are a few pieces of the layer, of at most 1.3 MB each with gzip and
/// 3 MiB with zstd, and some 33 KiB for each of up to 512 parts of packages that are open.
pub fn pack(
    entries: &[TreeEntry<'_>],
    names: &AccountNames,
    compression: Compression,
    threads: NonZeroUsize,
    spool: &dyn Spool,
) -> Result<Layer, LayerError> {
    let pack = |marked| {
        let packing = Packing::without_keys(entries, names, compression, marked, spool)?;
        packing.pack(threads, spool, None).map(|(layer, _)| layer)
    };
    match pack(true) {
        Err(LayerError::Earlier) => pack(false),
        other => other,
    }
}

/// A layer that is about to be written.
#[derive(Debug)]
pub struct Packing<'a> {
    plan: Plan<'a>,
    names: &'a AccountNames,
    compression: Compression,
    /// What stands for each unit.
    keys: Vec<Option<UnitKey>>,
}

impl<'a> Packing<'a> {
    /// Prepares what [`pack`] does, and finds out what stands for the layer and its parts.
    ///
    /// # Errors
    /// See [`pack`].
    pub fn new(
        entries: &'a [TreeEntry<'_>],
        names: &'a AccountNames,
        compression: Compression,
        spool: &dyn Spool,
    ) -> Result<Self, LayerError> {
        let packing = Self::without_keys(entries, names, compression, true, spool)?;
        let keys = packing.plan.keys(names, compression)?;
        Ok(Self { keys, ..packing })
    }

    /// The same, and nothing that was noted of packages is used.
    ///
    /// # Errors
    /// See [`pack`].
    pub fn anew(
        entries: &'a [TreeEntry<'_>],
        names: &'a AccountNames,
        compression: Compression,
        spool: &dyn Spool,
    ) -> Result<Self, LayerError> {
        let packing = Self::without_keys(entries, names, compression, false, spool)?;
        let keys = packing.plan.keys(names, compression)?;
        Ok(Self { keys, ..packing })
    }

    fn without_keys(
        entries: &'a [TreeEntry<'_>],
        names: &'a AccountNames,
        compression: Compression,
        marked: bool,
        spool: &dyn Spool,
    ) -> Result<Self, LayerError> {
        let plan = Plan::new(entries, Sizes::of(compression), marked, spool)?;
        Ok(Self { plan, names, compression, keys: Vec::new() })
    }

    /// Stands for all that the layer depends on: what is packed under the same key is the same layer. Nothing if that
    /// cannot be said without much reading.
    pub fn key(&self) -> Option<Digest> {
        layer_key(&self.keys, self.compression)
    }

    /// Writes the layer, and tells what stands where in it. What `earlier` has already is copied from there.
    ///
    /// # Errors
    /// See [`pack`]; [`LayerError::Earlier`] if `earlier`, or what is known of packages, is not what was noted of it.
    pub fn pack(
        self,
        threads: NonZeroUsize,
        spool: &dyn Spool,
        earlier: Option<&Earlier>,
    ) -> Result<(Layer, Segments), LayerError> {
        let out = LayerWriter::new(self.compression, spool.create().map_err(LayerError::Store)?)?;
        let maker = Maker::new(&self.plan, self.names, &self.keys, earlier);
        let (out, diff_id) = pipeline::run(&maker, self.compression, threads, out)?;
        let written = out.finish()?;
        let mut segments = Segments::default();
        for (key, (at, pieces)) in self.keys.iter().zip(written.units) {
            if let (Some(key), Some(pieces)) = (key, pieces) {
                segments.add(*key, at, pieces);
            }
        }
        let layer = Layer {
            digest: written.digest,
            diff_id,
            size: written.size,
            uncompressed_size: written.plain,
            copied: written.copied,
            blob: written.writer.finish_as(&written.digest).map_err(LayerError::Store)?,
        };
        Ok((layer, segments))
    }
}
