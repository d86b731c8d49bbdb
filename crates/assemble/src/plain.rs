//! Unpacked data sections in the cache, for those who give disk for time; and of every large one what is needed to read on
//! from its marks.
//!
//! They are a copy of what the packed sections hold. A layer of which only a part has changed is hashed over all its plain
//! bytes, and takes them from here instead of unpacking every package again. With the bytes in front of marks, several
//! threads unpack one package.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use assemble_fetch::{KeptBlob, RecordKind, Store};
use assemble_types::{Blob, Digest, ReadAt, Spool, SpoolWriter};

/// The unpacked data sections of the cache, and parts of such.
#[derive(Debug, Clone)]
pub(crate) struct PlainSections {
    store: Store,
    layers: Arc<dyn Spool>,
}

impl PlainSections {
    pub(crate) fn of(store: &Store) -> Self {
        Self { store: store.clone(), layers: store.layers() }
    }

    /// The unpacked section of this digest, if it is kept, and whole.
    pub(crate) fn find(&self, diff_id: &Digest) -> Option<Blob> {
        let record = self.store.record(RecordKind::Plain, diff_id)?;
        let (size, stamp) = std::str::from_utf8(&record).ok()?.split_once(' ')?;
        let kept = KeptBlob { digest: *diff_id, size: size.parse().ok()?, stamp: stamp.to_owned() };
        let Some((blob, renewed)) = self.store.blob(&kept) else {
            self.store.forget_record(RecordKind::Plain, diff_id);
            return None;
        };
        if let Some(renewed) = renewed {
            note(&self.store, &renewed);
        }
        Some(blob)
    }

    /// What is kept under this digest, so many bytes. Whether it is, and whole, shows when it is read.
    pub(crate) fn later(&self, digest: &Digest, size: u64) -> Blob {
        let later = Later { sections: self.clone(), digest: *digest, found: OnceLock::new() };
        Blob::new(Arc::new(later), size)
    }
}

/// What is kept under a digest, looked for when it is read: most builds do not.
#[derive(Debug)]
struct Later {
    sections: PlainSections,
    digest: Digest,
    found: OnceLock<Option<Blob>>,
}

impl ReadAt for Later {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.found.get_or_init(|| self.sections.find(&self.digest)) {
            Some(blob) => blob.read_at(buf, offset),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn check(&self) -> io::Result<()> {
        self.found.get().and_then(Option::as_ref).map_or(Ok(()), Blob::check)
    }
}

/// Without the note the section is unpacked once more the next time.
fn note(store: &Store, kept: &KeptBlob) {
    let text = format!("{} {}", kept.size, kept.stamp);
    let _ = store.keep_record(RecordKind::Plain, &kept.digest, text.as_bytes());
}

impl Spool for PlainSections {
    fn create(&self) -> io::Result<Box<dyn SpoolWriter>> {
        Ok(Box::new(Writer { out: self.layers.create()?, store: self.store.clone() }))
    }
}

struct Writer {
    out: Box<dyn SpoolWriter>,
    store: Store,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl SpoolWriter for Writer {
    fn finish(self: Box<Self>) -> io::Result<Blob> {
        self.out.finish()
    }

    fn finish_as(self: Box<Self>, digest: &Digest) -> io::Result<Blob> {
        let blob = self.out.finish_as(digest)?;
        if let Some(kept) = Store::kept(digest, &blob) {
            note(&self.store, &kept);
        }
        Ok(blob)
    }
}
