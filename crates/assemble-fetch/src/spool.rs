//! Bytes that stages make and read again.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assemble_types::{Blob, ReadAt, Spool, SpoolWriter};

use crate::FetchError;
use crate::cache::{Cache, make_in};

/// A blob up to this length stays in memory, and longer ones are written in pieces of this length.
const PIECE: usize = 256 << 10;

/// All blobs in memory together, in bytes. Past it short ones go to the file as well.
const MEMORY: u64 = 32 << 20;

/// Where the file goes.
#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    Cache(Arc<Cache>),
}

/// Short blobs in memory, long ones in one file without a name.
///
/// There is one file for all blobs, since every open file takes one of a process's descriptors, and a build may make
/// thousands. It is made of pieces; a blob has a list of them, and when its last clone goes they are used again. The
/// file has no name from the start (or loses it at once where the file system cannot do that), so that nothing is left
/// behind however the process ends.
#[derive(Debug)]
pub(crate) struct FileSpool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    place: Place,
    in_memory: AtomicU64,
    pieces: Mutex<Pieces>,
}

#[derive(Debug, Default)]
struct Pieces {
    file: Option<Arc<File>>,
    /// Number of pieces the file has.
    count: u64,
    /// Pieces nobody uses.
    free: Vec<u64>,
}

impl FileSpool {
    pub(crate) fn in_cache(cache: Arc<Cache>) -> Self {
        Self::new(Place::Cache(cache))
    }

    fn new(place: Place) -> Self {
        let shared = Shared { place, in_memory: AtomicU64::new(0), pieces: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }
}

/// A spool whose file, made once it is needed, lies without a name in this folder.
pub fn spool_in(dir: &Path) -> Arc<dyn Spool> {
    Arc::new(FileSpool::new(Place::Folder(dir.to_owned())))
}

impl Spool for FileSpool {
    fn create(&self) -> io::Result<Box<dyn SpoolWriter>> {
        Ok(Box::new(Writer { buffer: Vec::new(), stored: Stored::new(Arc::clone(&self.shared)) }))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pieces> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file and the number of a piece of it that nobody else uses.
    fn piece(&self) -> io::Result<(Arc<File>, u64)> {
        let mut pieces = self.lock();
        let file = if let Some(file) = &pieces.file {
            Arc::clone(file)
        } else {
            let file = Arc::new(self.make_file()?);
            pieces.file = Some(Arc::clone(&file));
            file
        };
        let piece = pieces.free.pop().unwrap_or_else(|| {
            pieces.count += 1;
            pieces.count - 1
        });
        Ok((file, piece))
    }

    fn make_file(&self) -> io::Result<File> {
        let dir = self.dir().map_err(io::Error::other)?;
        let make = || tempfile::tempfile_in(&dir).map_err(|e| FetchError::io(&dir, "create a file in it", e));
        let made = match &self.place {
            Place::Folder(_) => make(),
            // Somebody may remove the whole cache meanwhile.
            Place::Cache(_) => make_in(&dir, make),
        };
        made.map_err(FetchError::into_io)
    }

    fn dir(&self) -> Result<PathBuf, FetchError> {
        match &self.place {
            Place::Folder(dir) => Ok(dir.clone()),
            Place::Cache(cache) => cache.spool_dir(),
        }
    }

    fn failed(&self, action: &'static str, e: io::Error) -> io::Error {
        match self.dir() {
            Ok(dir) => io::Error::new(e.kind(), FetchError::io(&dir, action, e)),
            Err(_) => e,
        }
    }
}

/// The pieces of one blob. Gives them back when it goes.
#[derive(Debug)]
struct Stored {
    shared: Arc<Shared>,
    file: Option<Arc<File>>,
    pieces: Vec<u64>,
}

impl Stored {
    fn new(shared: Arc<Shared>) -> Self {
        Self { shared, file: None, pieces: Vec::new() }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (file, piece) = self.shared.piece()?;
        self.pieces.push(piece);
        let result = file.write_all_at(bytes, piece * PIECE as u64);
        self.file = Some(file);
        result.map_err(|e| self.shared.failed("write a temporary file in it", e))
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if !self.pieces.is_empty() {
            self.shared.lock().free.append(&mut self.pieces);
        }
    }
}

impl ReadAt for Stored {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let index = usize::try_from(offset / PIECE as u64).unwrap_or(usize::MAX);
        let (Some(piece), Some(file)) = (self.pieces.get(index), &self.file) else { return Ok(0) };
        let within = offset % PIECE as u64;
        let n = buf.len().min(PIECE - usize::try_from(within).unwrap_or(0));
        loop {
            match file.read_at(&mut buf[..n], piece * PIECE as u64 + within) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map_err(|e| self.shared.failed("read a temporary file in it", e)),
            }
        }
    }
}

/// A short blob. Gives its share of the memory back when it goes.
#[derive(Debug)]
struct InMemory {
    bytes: Vec<u8>,
    shared: Arc<Shared>,
}

impl ReadAt for InMemory {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.bytes.read_at(buf, offset)
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        self.shared.in_memory.fetch_sub(self.bytes.len() as u64, Ordering::Relaxed);
    }
}

struct Writer {
    /// Bytes that are not stored yet; never more than a piece.
    buffer: Vec<u8>,
    stored: Stored,
}

impl Writer {
    fn len(&self) -> u64 {
        (self.stored.pieces.len() * PIECE + self.buffer.len()) as u64
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full piece is stored only once more comes, since it may be all there is.
        if self.buffer.len() == PIECE && !bytes.is_empty() {
            self.stored.append(&self.buffer)?;
            self.buffer.clear();
        }
        let n = bytes.len().min(PIECE - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SpoolWriter for Writer {
    fn finish(mut self: Box<Self>) -> io::Result<Blob> {
        let len = self.len();
        if self.stored.pieces.is_empty() {
            let shared = Arc::clone(&self.stored.shared);
            if shared.in_memory.fetch_add(len, Ordering::Relaxed) + len <= MEMORY {
                let mut bytes = std::mem::take(&mut self.buffer);
                bytes.shrink_to_fit();
                return Ok(Blob::new(Arc::new(InMemory { bytes, shared }), len));
            }
            shared.in_memory.fetch_sub(len, Ordering::Relaxed);
        }
        if !self.buffer.is_empty() {
            self.stored.append(&self.buffer)?;
        }
        Ok(Blob::new(Arc::new(self.stored), len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(len: usize, seed: usize) -> Vec<u8> {
        (0..len).map(|i| u8::try_from((i / 7 + i * seed) % 251).unwrap()).collect()
    }

    fn store(spool: &dyn Spool, bytes: &[u8], step: usize) -> Blob {
        let mut writer = spool.create().unwrap();
        for chunk in bytes.chunks(step) {
            writer.write_all(chunk).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn every_length_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool_in(dir.path());
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1, 5 * PIECE + 12_345] {
            for step in [4093, PIECE - 1, usize::MAX] {
                let bytes = pattern(len, step % 13);
                let blob = store(&*spool, &bytes, step);
                assert_eq!(blob.len(), len as u64);
                assert_eq!(blob.read_to_vec(u64::MAX).unwrap(), bytes, "{len} {step}");
            }
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the file has no name");
    }

    #[test]
    fn interleaved_writers_and_freed_pieces_do_not_mix() {
        let dir = tempfile::tempdir().unwrap();
        let spool = FileSpool::new(Place::Folder(dir.path().to_owned()));
        let (one, two) = (pattern(3 * PIECE + 5, 3), pattern(4 * PIECE, 5));
        let (mut a, mut b) = (spool.create().unwrap(), spool.create().unwrap());
        for (x, y) in one.chunks(100_000).zip(two.chunks(100_000)) {
            a.write_all(x).unwrap();
            b.write_all(y).unwrap();
        }
        b.write_all(&two[one.chunks(100_000).len() * 100_000..]).unwrap();
        let (a, b) = (a.finish().unwrap(), b.finish().unwrap());
        drop(a);
        let count = spool.shared.lock().count;
        let again = store(&spool, &one, 777_777);
        assert_eq!(spool.shared.lock().count, count, "freed pieces are used again");
        assert_eq!(again.read_to_vec(u64::MAX).unwrap(), one);
        assert_eq!(b.read_to_vec(u64::MAX).unwrap(), two);
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let spool = FileSpool::new(Place::Folder(dir.path().to_owned()));
        let bytes = pattern(PIECE, 1);
        let blobs: Vec<Blob> = (0..=MEMORY / PIECE as u64).map(|_| store(&spool, &bytes, PIECE)).collect();
        assert_eq!(spool.shared.in_memory.load(Ordering::Relaxed), MEMORY);
        assert_eq!(spool.shared.lock().count, 1, "one blob went to the file");
        assert!(blobs.iter().all(|blob| blob.read_to_vec(u64::MAX).unwrap() == bytes));
        drop(blobs);
        assert_eq!(spool.shared.in_memory.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_named() {
        let spool = spool_in(Path::new("/nonexistent/spool"));
        let mut writer = spool.create().unwrap();
        let error = writer.write_all(&pattern(2 * PIECE, 1)).unwrap_err();
        assert_eq!(error.to_string(), "/nonexistent/spool: cannot create a file in it");
    }
}
