//! What builds made, kept beside what was fetched: layers by their digest, and small records by a key of the caller's.
//!
//! # Why it is the way it is
//! Outputs may be hard links to the files kept here, so whoever writes into an output writes into the cache. Each use
//! therefore compares what the file is like with what it was like when it was made; only if that differs is the file
//! read and hashed, and dropped if it is damaged. Contents are not flushed to the disk when they are written, so what
//! another boot of the machine left is hashed once, too: it may have been lost with the power. Every record holds a digest
//! of itself; those of builds, which point at all else, are flushed before they get their name.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assemble_types::{Blob, Digest, HashingWriter, ReadAt, Spool, SpoolWriter};
use tempfile::NamedTempFile;

use crate::FetchError;
use crate::cache::{Cache, give_name, hashed, keep_blob, remove};
use crate::local::{Watch, open_kept, open_limited};

/// The largest record that is read.
pub(crate) const MOST_RECORD: u64 = 256 << 20;
/// What every record begins with.
const RECORD_START: &str = "assemble record 2 ";
/// What the end of a record begins with that has only a checksum.
const SEAL_START: &str = "assemble index 1 ";
/// Bytes that are gathered before they are written.
const BUFFER: usize = 256 << 10;

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// A build: what it made of which inputs.
    Result,
    /// A package: what is in it.
    Package,
    /// A data section that is kept unpacked, by its digest: its size and what its file was like.
    Plain,
    /// A layer: under what it depends on, what it became; and under a place in an image, which was there last.
    Layer,
    /// A local file or folder: the digest of what it holds, by what it looks like from outside.
    Local,
    /// An image in a registry's repository: the tags that it was pushed under.
    Pushed,
    /// An index of packages, as it is read quickly. Large, and read by every run: a checksum is enough against damage.
    Index,
    /// A choice of packages: which records of which indexes.
    Choice,
}

impl RecordKind {
    fn folder(self) -> &'static str {
        match self {
            Self::Result => "results",
            Self::Package => "packages",
            Self::Plain => "plain",
            Self::Layer => "layers",
            Self::Local => "local",
            Self::Pushed => "pushed",
            Self::Index => "indexes",
            Self::Choice => "choices",
        }
    }
}

/// How a kept blob is found again, and known to be the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBlob {
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many they are.
    pub size: u64,
    /// What its file was like, and in which boot of the machine.
    pub stamp: String,
}

/// The cache, for those who make things.
#[derive(Debug, Clone)]
pub struct Store {
    cache: Arc<Cache>,
}

impl Store {
    pub(crate) fn new(cache: Arc<Cache>) -> Self {
        Self { cache }
    }

    /// The folder of the cache that was asked for.
    pub(crate) fn lasting(&self) -> Option<PathBuf> {
        self.cache.lasting()
    }

    /// A place for layers: what is written there and ended with its digest is kept under it.
    pub fn layers(&self) -> Arc<dyn Spool> {
        Arc::new(Layers(Arc::clone(&self.cache)))
    }

    /// What a kept blob was like when it was made or opened, to be given to [`Store::blob`] later. Nothing if the blob is
    /// not a file of a cache.
    pub fn kept(digest: &Digest, blob: &Blob) -> Option<KeptBlob> {
        blob.whole_file()?;
        let (stamp, _) = blob.identity()?;
        Some(KeptBlob { digest: *digest, size: blob.len(), stamp })
    }

    /// A text that is another one once the blob's bytes are others, as far as the file system tells. Nothing if it does
    /// not, or not for certain.
    pub fn look(blob: &Blob) -> Option<String> {
        blob.identity().filter(|(_, certain)| *certain).map(|(identity, _)| identity)
    }

    /// A blob that was kept, if it is still there and whole; and what its file is like now, if that is something else
    /// than before. A damaged one is dropped.
    pub fn blob(&self, wanted: &KeptBlob) -> Option<(Blob, Option<KeptBlob>)> {
        for root in self.cache.readable() {
            let path = blob_path(&root.path, &wanted.digest);
            let Ok(blob) = open_kept(&path, Watch::Cache, Some(root.keep)) else { continue };
            let (now, certain) = blob.identity()?;
            if now == wanted.stamp && certain && blob.len() == wanted.size {
                return Some((blob, None));
            }
            if blob.len() == wanted.size && blob.content_digest().is_ok_and(|found| found == wanted.digest) {
                let renewed = KeptBlob { stamp: now, ..wanted.clone() };
                return Some((blob, Some(renewed)));
            }
            remove(&path);
        }
        None
    }

    /// A record, if there is one and it is whole.
    pub fn record(&self, kind: RecordKind, key: &Digest) -> Option<Vec<u8>> {
        self.cache.readable().into_iter().find_map(|root| {
            let path = record_path(&root.path, kind, key);
            let mut bytes = open_limited(&path, MOST_RECORD).ok()??;
            // In place: some are large.
            let body = if kind == RecordKind::Index || !bytes.starts_with(RECORD_START.as_bytes()) {
                let length = sealed(&bytes, &name_of(&path)).map(<[u8]>::len);
                length.map(|length| {
                    bytes.truncate(length);
                    bytes
                })
            } else {
                let length = whole_record(&bytes, &path).map(<[u8]>::len);
                length.map(|length| {
                    bytes.drain(..bytes.len() - length);
                    bytes
                })
            };
            if body.is_none() {
                remove(&path);
            }
            body
        })
    }

    /// Keeps a record; one that is there already is replaced. Those of builds are on the disk when this returns.
    ///
    /// # Errors
    /// The cache's disk does not take it.
    pub fn keep_record(&self, kind: RecordKind, key: &Digest, bytes: &[u8]) -> Result<(), FetchError> {
        let mut part = self.cache.part()?;
        let path = record_path(&self.cache.root()?.path, kind, key);
        let failed = |part: &NamedTempFile, e| FetchError::io(part.path(), "write", e);
        let name = name_of(&path);
        let (head, end) = match kind {
            RecordKind::Index => (String::new(), seal(bytes, &name)),
            _ => (format!("{RECORD_START}{}", digest_under(&name, bytes).hex()), String::new()),
        };
        part.write_all(head.as_bytes())
            .and_then(|()| part.write_all(bytes))
            .and_then(|()| part.write_all(end.as_bytes()))
            .and_then(|()| if kind == RecordKind::Result { part.as_file().sync_data() } else { Ok(()) })
            .map_err(|e| failed(&part, e))?;
        give_name(part, &path).map(drop)
    }

    /// Drops a record.
    pub fn forget_record(&self, kind: RecordKind, key: &Digest) {
        for root in self.cache.readable() {
            remove(&record_path(&root.path, kind, key));
        }
    }

    /// The digest of local files, each with a label of the caller's, which says all that there is to say of what is no
    /// file. They are read unless it is certain that they are what they were when they were read last.
    ///
    /// # Errors
    /// One of them cannot be read, or changes while it is.
    pub fn digest_of_files(&self, files: &[(Vec<u8>, Option<Blob>)]) -> io::Result<Digest> {
        let (mut looks, mut settled) = (HashingWriter::new(io::sink()), true);
        for (label, blob) in files {
            frame(&mut looks, label)?;
            let Some(blob) = blob else { continue };
            match blob.identity() {
                Some((identity, certain)) => {
                    frame(&mut looks, identity.as_bytes())?;
                    settled &= certain;
                }
                None => settled = false,
            }
        }
        let looks = looks.finish().1;
        if settled
            && let Some(known) = self.record(RecordKind::Local, &looks)
            && let Ok(digest) = Digest::parse_hex(&String::from_utf8_lossy(&known))
        {
            return Ok(digest);
        }
        let mut contents = HashingWriter::new(io::sink());
        for (label, blob) in files {
            frame(&mut contents, label)?;
            if let Some(blob) = blob {
                frame(&mut contents, blob.content_digest()?.hex().as_bytes())?;
            }
        }
        let digest = contents.finish().1;
        if settled {
            // It saves reading them the next time, and nothing else.
            let _ = self.keep_record(RecordKind::Local, &looks, digest.hex().as_bytes());
        }
        Ok(digest)
    }
}

/// What a file of the cache is called: its kind and its key. It is part of what is hashed, so that a record under another's
/// name is a damaged one.
pub(crate) fn name_of(path: &Path) -> String {
    let mut parts: Vec<_> = path.iter().rev().take(3).map(|part| part.to_string_lossy()).collect();
    parts.reverse();
    parts.join("/")
}

/// The digest of bytes that are called so.
fn digest_under(name: &str, bytes: &[u8]) -> Digest {
    let mut hasher = HashingWriter::new(io::sink());
    // A sink takes everything.
    let _ = hasher.write_all(name.as_bytes()).and_then(|()| hasher.write_all(b"\n"));
    let _ = hasher.write_all(bytes);
    hasher.finish().1
}

/// What stands behind a record that has only a checksum.
fn seal(bytes: &[u8], name: &str) -> String {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(name.as_bytes());
    hasher.update(bytes);
    format!("{SEAL_START}{:08x}", hasher.finalize())
}

/// What stands in front of a seal, if it is one and it fits.
fn sealed<'b>(bytes: &'b [u8], name: &str) -> Option<&'b [u8]> {
    let (body, end) = bytes.split_at_checked(bytes.len().checked_sub(SEAL_START.len() + 8)?)?;
    (end.starts_with(SEAL_START.as_bytes()) && end == seal(body, name).as_bytes()).then_some(body)
}

/// What the record in this file holds, if it is one and whole.
pub(crate) fn whole_record<'b>(bytes: &'b [u8], path: &Path) -> Option<&'b [u8]> {
    let name = name_of(path);
    if !bytes.starts_with(RECORD_START.as_bytes()) {
        return sealed(bytes, &name);
    }
    let (hex, body) = bytes.strip_prefix(RECORD_START.as_bytes())?.split_at_checked(64)?;
    (hex == digest_under(&name, body).hex().as_bytes()).then_some(body)
}

/// Writes a text so that two of them in a row cannot be taken for two others.
fn frame(out: &mut impl Write, text: &[u8]) -> io::Result<()> {
    out.write_all(&(text.len() as u64).to_le_bytes())?;
    out.write_all(text)
}

pub(crate) fn blob_path(root: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    root.join("blobs").join(&hex[..2]).join(&hex[2..])
}

fn record_path(root: &Path, kind: RecordKind, key: &Digest) -> PathBuf {
    hashed(root.join("records").join(kind.folder()), &key.hex())
}

/// Files that are kept once they are whole.
#[derive(Debug)]
struct Layers(Arc<Cache>);

impl Spool for Layers {
    fn create(&self) -> io::Result<Box<dyn SpoolWriter>> {
        let part = self.0.part().map_err(io::Error::other)?;
        let out = BufWriter::with_capacity(BUFFER, part);
        Ok(Box::new(LayerWriter { cache: Arc::clone(&self.0), out }))
    }
}

struct LayerWriter {
    cache: Arc<Cache>,
    out: BufWriter<NamedTempFile>,
}

impl LayerWriter {
    fn part(mut self) -> io::Result<(Arc<Cache>, NamedTempFile)> {
        self.flush()?;
        let part = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok((self.cache, part))
    }

    /// With the name of the file in it.
    fn failed(&self, e: io::Error) -> io::Error {
        io::Error::new(e.kind(), FetchError::io(self.out.get_ref().path(), "write", e))
    }
}

impl Write for LayerWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes).map_err(|e| self.failed(e))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().map_err(|e| self.failed(e))
    }
}

/// A file that lost its name: nobody knows what it is, and it goes with the blob.
#[derive(Debug)]
struct Unnamed(std::fs::File);

impl ReadAt for Unnamed {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match std::os::unix::fs::FileExt::read_at(&self.0, buf, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

impl SpoolWriter for LayerWriter {
    fn finish(self: Box<Self>) -> io::Result<Blob> {
        let (_, part) = self.part()?;
        let len = part.as_file().metadata()?.len();
        Ok(Blob::new(Arc::new(Unnamed(part.into_file())), len))
    }

    fn finish_as(self: Box<Self>, digest: &Digest) -> io::Result<Blob> {
        let (cache, part) = self.part()?;
        let keep = || keep_blob(&cache.root()?, part, digest);
        keep().map_err(io::Error::other)
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
