//! Writes the entries of a tree as a layer.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::thread;

use assemble_rootfs::{Body, NodeId, Part, TreeEntry};
use assemble_types::{Blob, Digest, ImagePath, Spool};
use sha2::{Digest as _, Sha256};

use crate::codec::{CUT, GROUP, GzipWriter};
use crate::header::{BLOCK, Header, padding};
use crate::pipeline::{Pipeline, Shared};
use crate::read::unpacked;
use crate::{AccountNames, LayerError};

/// How much is read and hashed at a time: small enough to stay in the cache between the two.
const PIECE: usize = 128 << 10;

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
/// The result does not depend on `threads`; about `threads + 3` blocks of at most 384 KiB are in memory.
pub fn pack(
    entries: &[TreeEntry<'_>],
    names: &AccountNames,
    threads: NonZeroUsize,
    spool: &dyn Spool,
) -> Result<Layer, LayerError> {
    let out = GzipWriter::new(spool.create().map_err(LayerError::Store)?)?;
    let shared = Shared::default();
    let (out, diff_id, uncompressed_size) = thread::scope(|scope| {
        let mut tar = TarWriter::new(Pipeline::new(scope, &shared, threads, out));
        let mut first_names: BTreeMap<NodeId, &ImagePath> = BTreeMap::new();
        for entry in entries {
            tar.entry(entry, names, &mut first_names)?;
        }
        tar.finish()
    })?;
    let (writer, digest, size) = out.finish()?;
    let blob = writer.finish_as(&digest).map_err(LayerError::Store)?;
    Ok(Layer { digest, diff_id, size, uncompressed_size, blob })
}

/// Makes tar bytes, hashes them, and cuts them into blocks.
struct TarWriter<'scope, 'env> {
    pipeline: Pipeline<'scope, 'env>,
    hasher: Sha256,
    total: u64,
    /// The open block; shorter than [`CUT`].
    block: Vec<u8>,
    header: Vec<u8>,
}

impl<'scope, 'env> TarWriter<'scope, 'env> {
    fn new(pipeline: Pipeline<'scope, 'env>) -> Self {
        Self { pipeline, hasher: Sha256::new(), total: 0, block: Vec::new(), header: Vec::new() }
    }

    fn entry<'a>(
        &mut self,
        entry: &'a TreeEntry<'_>,
        names: &'a AccountNames,
        first_names: &mut BTreeMap<NodeId, &'a ImagePath>,
    ) -> Result<(), LayerError> {
        let (header, content) = describe(entry, names, first_names);
        let mut bytes = std::mem::take(&mut self.header);
        bytes.clear();
        header
            .encode(&mut bytes)
            .map_err(|why| LayerError::Unrepresentable { path: entry.path.clone(), why })?;
        let size = content.map_or(0, Blob::len);
        self.begin(bytes.len() as u64 + size + padding(size) as u64)?;
        self.bytes(&bytes)?;
        if let Some(content) = content {
            self.content(content, &entry.path)?;
            self.bytes(&[0; BLOCK][..padding(size)])?;
        }
        self.header = bytes;
        self.end()
    }

    /// Begins an entry of so many bytes.
    fn begin(&mut self, len: u64) -> Result<(), LayerError> {
        if len >= GROUP as u64 { self.close() } else { Ok(()) }
    }

    /// Ends an entry.
    fn end(&mut self) -> Result<(), LayerError> {
        if self.block.len() >= GROUP { self.close() } else { Ok(()) }
    }

    /// Ends the open block, if it has any bytes.
    fn close(&mut self) -> Result<(), LayerError> {
        if !self.block.is_empty() {
            self.block = self.pipeline.submit(std::mem::take(&mut self.block))?;
        }
        Ok(())
    }

    /// Counts what was put into the open block from `start` on, and closes it when it is full.
    fn added(&mut self, start: usize) -> Result<(), LayerError> {
        self.hasher.update(&self.block[start..]);
        self.total += (self.block.len() - start) as u64;
        if self.block.len() == CUT { self.close() } else { Ok(()) }
    }

    fn bytes(&mut self, mut bytes: &[u8]) -> Result<(), LayerError> {
        while !bytes.is_empty() {
            let start = self.block.len();
            let (now, later) = bytes.split_at(bytes.len().min(CUT - start));
            self.block.extend_from_slice(now);
            self.added(start)?;
            bytes = later;
        }
        Ok(())
    }

    fn content(&mut self, content: &Blob, path: &ImagePath) -> Result<(), LayerError> {
        let failed = |source| LayerError::Content { path: path.clone(), source };
        let mut reader = content.reader();
        let mut left = content.len();
        while left > 0 {
            let start = self.block.len();
            let room = PIECE.min(CUT - start);
            let now = usize::try_from(left).unwrap_or(room).min(room);
            self.block.resize(start + now, 0);
            reader.read_exact(&mut self.block[start..]).map_err(failed)?;
            left -= now as u64;
            self.added(start)?;
        }
        // Also asks the source of an empty file whether it has changed.
        match reader.read(&mut [0]).map_err(failed)? {
            0 => Ok(()),
            _ => Err(failed(std::io::Error::other("the content is longer than it was"))),
        }
    }

    fn finish(mut self) -> Result<(GzipWriter, Digest, u64), LayerError> {
        self.bytes(&[0; 2 * BLOCK])?;
        self.close()?;
        let out = self.pipeline.finish()?;
        Ok((out, Digest::from_bytes(self.hasher.finalize().into()), self.total))
    }
}

/// The header of an entry, and the content that follows it.
fn describe<'a>(
    entry: &'a TreeEntry<'_>,
    names: &'a AccountNames,
    first_names: &mut BTreeMap<NodeId, &'a ImagePath>,
) -> (Header<'a>, Option<&'a Blob>) {
    let meta = &entry.node.meta;
    let mut header = Header {
        name: entry.path.as_bytes(),
        mode: meta.mode.bits(),
        uid: meta.owner.uid,
        gid: meta.owner.gid,
        uname: names.user(meta.owner.uid),
        gname: names.group(meta.owner.gid),
        mtime: meta.mtime,
        ..Header::default()
    };
    let mut content = None;
    match &entry.node.body {
        Body::Directory(_) => {
            header.type_flag = b'5';
            header.xattrs = entry.node.xattrs.as_deref();
        }
        Body::Symlink(text) => {
            header.type_flag = b'2';
            header.mode = assemble_types::Mode::SYMLINK.bits();
            header.link = text;
        }
        Body::CharDevice { major, minor } => {
            header.type_flag = b'3';
            (header.major, header.minor) = (*major, *minor);
        }
        Body::File(blob) => {
            if let Some(text) = link_text(entry, first_names) {
                header.type_flag = b'1';
                header.link = text;
            } else {
                header.type_flag = b'0';
                header.size = blob.len();
                header.xattrs = entry.node.xattrs.as_deref();
                content = Some(blob);
            }
        }
    }
    if header.xattrs.is_some_and(BTreeMap::is_empty) {
        header.xattrs = None;
    }
    (header, content)
}

/// The link text, if this name of a file is written as a hard link.
fn link_text<'a>(
    entry: &'a TreeEntry<'_>,
    first_names: &mut BTreeMap<NodeId, &'a ImagePath>,
) -> Option<&'a [u8]> {
    if entry.hard_link.is_some() {
        return entry.hard_link;
    }
    if entry.part == Part::Packages {
        return None;
    }
    if let Some(first) = first_names.get(&entry.id) {
        return Some(first.as_bytes());
    }
    first_names.insert(entry.id, &entry.path);
    None
}
