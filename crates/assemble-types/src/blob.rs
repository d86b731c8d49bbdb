//! Byte ranges that can be read any number of times.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::{Digest, HashingWriter};

/// Bytes that are read at a time to be hashed: few enough to stay in the processor's cache.
const HASHED_AT_ONCE: usize = 128 << 10;

/// Something whose bytes can be read at any position, from several threads at once.
///
/// Implementations that read files live at the edges of the workspace; stages only see this trait.
pub trait ReadAt: Send + Sync + fmt::Debug {
    /// Reads up to `buf.len()` bytes at `offset`; 0 means the end.
    ///
    /// # Errors
    /// Whatever the medium reports.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Fails if the bytes are known to have changed since they were opened. Asked once a reader reaches its end.
    ///
    /// # Errors
    /// Says what changed.
    fn check(&self) -> io::Result<()> {
        Ok(())
    }

    /// The file that these bytes are, under a name that may be linked to, and its size; if they are one.
    fn whole_file(&self) -> Option<(&Path, u64)> {
        None
    }

    /// Whether this is said of the very file that these bytes are, which has not changed since they were opened.
    fn is_file(&self, _found: &FileLook) -> bool {
        false
    }

    /// A text that changes whenever the bytes do, as far as the medium tells without reading them; and whether they have
    /// been like this long enough for that to be certain.
    fn identity(&self) -> Option<(String, bool)> {
        None
    }

    /// The blob that a range of these bytes is, where it is kept by itself.
    fn part(&self, _offset: u64, _len: u64) -> Option<Blob> {
        None
    }

    /// The digest of all these bytes, if whoever made them hashed them while doing so.
    fn digest(&self) -> Option<Digest> {
        None
    }

    /// The raw deflate stream (RFC 1951) that these bytes, all of them and from their first on, are unpacked from, if
    /// they are. More bytes may stand behind its end.
    fn deflated(&self) -> Option<&Blob> {
        None
    }

    /// A digest that stands for the bytes of this stream: two streams of one digest are equal.
    fn deflated_digest(&self) -> Option<Digest> {
        None
    }

    /// The CRC-32 of all that this stream unpacks to, if it is known from when the stream was checked. Whoever unpacks it
    /// again can see that the same bytes came out.
    fn deflated_sum(&self) -> Option<u32> {
        None
    }

    /// Places of this stream from which it can be read on, as far as they are known.
    fn deflated_marks(&self) -> Option<&Arc<StreamMarks>> {
        None
    }

    /// The same bytes where they are kept unpacked, if they are unpacked as they are read, and are kept.
    fn unpacked(&self) -> Option<&Blob> {
        None
    }
}

/// Places of a deflate stream from which it can be read without what lies before them.
#[derive(Debug, Clone)]
pub struct StreamMarks {
    /// The places, ascending.
    pub all: Vec<StreamMark>,
    /// For each of them, in the same order, the [`StreamMarks::WINDOW`] plain bytes in front of it. Nobody vouches that they
    /// can be read, or are the right ones: who reads on from a mark compares the checksum of what comes out.
    pub windows: Blob,
}

/// A place of a deflate stream at which a block begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamMark {
    /// Its first bit, counted from the stream's.
    pub bit: u64,
    /// Plain bytes before it.
    pub plain: u64,
    /// The CRC-32 of those behind the mark before, or the stream's beginning.
    pub sum: u32,
}

impl StreamMarks {
    /// How far back a stream reaches: bytes.
    pub const WINDOW: u64 = 32 << 10;
}

/// What a file system says of a file, as far as that tells whether it is another one, or has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLook {
    /// The file system.
    pub device: u64,
    /// The file's number there.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// When it was last written to: seconds since 1970, and nanoseconds.
    pub modified: (i64, i64),
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let n = buf.len().min(self.len() - start);
        buf[..n].copy_from_slice(&self[start..start + n]);
        Ok(n)
    }
}

/// A range of bytes of a source that outlives the reader: a file's contents, a package's section, a layer.
///
/// Cloning is cheap and never copies bytes.
#[derive(Clone)]
pub struct Blob {
    source: Arc<dyn ReadAt>,
    offset: u64,
    len: u64,
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes at {})", self.len, self.offset)
    }
}

impl Blob {
    /// The first `len` bytes of `source`. That they are there is found out when they are read.
    pub fn new(source: Arc<dyn ReadAt>, len: u64) -> Self {
        Self { source, offset: 0, len }
    }

    /// A blob that owns its bytes.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        Self::new(Arc::new(bytes), len)
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the blob has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A part of this blob, or nothing if the range does not lie inside it.
    #[must_use]
    pub fn slice(&self, range: Range<u64>) -> Option<Self> {
        if range.start > range.end || range.end > self.len {
            return None;
        }
        let (offset, len) = (self.offset + range.start, range.end - range.start);
        let part = self.source.part(offset, len);
        Some(part.unwrap_or_else(|| Self { source: Arc::clone(&self.source), offset, len }))
    }

    /// A reader from the start. It fails rather than end early, and asks the source at the end whether it changed.
    pub fn reader(&self) -> BlobReader {
        BlobReader { blob: self.clone(), at: 0, checked: false }
    }

    /// The file that the blob is as a whole, if it is one that may be linked to.
    pub fn whole_file(&self) -> Option<&Path> {
        let (path, size) = self.source.whole_file()?;
        (self.offset == 0 && self.len == size).then_some(path)
    }

    /// Whether a file that was found is the very one that this blob is as a whole.
    pub fn is_file(&self, found: &FileLook) -> bool {
        self.whole_file().is_some() && self.source.is_file(found)
    }

    /// See [`ReadAt::identity`]. Nothing for what does not begin where its source does.
    pub fn identity(&self) -> Option<(String, bool)> {
        if self.offset == 0 { self.source.identity() } else { None }
    }

    /// The identity of the source that this is a part of, perhaps all.
    pub fn whole_identity(&self) -> Option<(String, bool)> {
        self.source.identity()
    }

    /// See [`ReadAt::digest`]. Nothing for what does not begin where its source does.
    pub fn known_digest(&self) -> Option<Digest> {
        let (_, size) = self.source.whole_file()?;
        if self.offset == 0 && self.len == size { self.source.digest() } else { None }
    }

    /// Whether both are the same bytes of the same source; of equal bytes elsewhere this says nothing.
    pub fn is_same_range(&self, other: &Self) -> bool {
        Arc::as_ptr(&self.source).addr() == Arc::as_ptr(&other.source).addr()
            && (self.offset, self.len) == (other.offset, other.len)
    }

    /// Fails if the source is known to have changed.
    ///
    /// # Errors
    /// See [`ReadAt::check`].
    pub fn check(&self) -> io::Result<()> {
        self.source.check()
    }

    /// The deflate stream that the bytes are unpacked from, if they are.
    pub fn deflated(&self) -> Option<DeflatedRange> {
        let stream = self.source.deflated()?.clone();
        let source = Arc::as_ptr(&self.source).cast::<()>().addr();
        let plain = self.offset..self.offset + self.len;
        let (sum, digest) = (self.source.deflated_sum(), self.source.deflated_digest());
        let (marks, unpacked) = (self.source.deflated_marks().cloned(), self.source.unpacked().cloned());
        Some(DeflatedRange { stream, digest, sum, marks, unpacked, plain, source })
    }

    /// All bytes, refused if there are more than `limit`.
    ///
    /// # Errors
    /// Too large, or whatever reading reports.
    pub fn read_to_vec(&self, limit: u64) -> io::Result<Vec<u8>> {
        if self.len > limit {
            return Err(io::Error::other(format!("{} bytes are more than the limit of {limit}", self.len)));
        }
        let mut out = Vec::with_capacity(usize::try_from(self.len).unwrap_or(0));
        self.reader().read_to_end(&mut out)?;
        Ok(out)
    }

    /// The digest of all bytes. Memory does not depend on how many they are.
    ///
    /// # Errors
    /// Whatever reading reports.
    pub fn content_digest(&self) -> io::Result<Digest> {
        let mut hasher = HashingWriter::new(io::sink());
        let at_once = usize::try_from(self.len).unwrap_or(HASHED_AT_ONCE).clamp(1, HASHED_AT_ONCE);
        io::copy(&mut BufReader::with_capacity(at_once, self.reader()), &mut hasher)?;
        Ok(hasher.finish().1)
    }

    /// Fills `buf` as far as the blob has bytes at `offset`; returns how many.
    ///
    /// # Errors
    /// Whatever reading reports; a source that ends before the blob does is an error.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.len.saturating_sub(offset);
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        if want == 0 {
            return Ok(0);
        }
        let n = self.source.read_at(&mut buf[..want], self.offset + offset)?;
        if n == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the source is shorter than it was"));
        }
        Ok(n)
    }
}

/// Where bytes come from that are unpacked as they are read.
#[derive(Debug, Clone)]
pub struct DeflatedRange {
    /// The raw deflate stream.
    pub stream: Blob,
    /// Stands for the stream's bytes, if it is known: two streams of one digest are equal.
    pub digest: Option<Digest>,
    /// The CRC-32 of all its plain bytes, if it is known.
    pub sum: Option<u32>,
    /// Where it can be read on from, as far as that is known.
    pub marks: Option<Arc<StreamMarks>>,
    /// All its plain bytes, if they are kept.
    pub unpacked: Option<Blob>,
    /// Which of its plain bytes.
    pub plain: Range<u64>,
    /// Equal for ranges of one source, and different for ranges of two, as long as blobs of both are there. It says
    /// nothing else, and no result may depend on its order.
    pub source: usize,
}

/// Reads a [`Blob`] from its start to its end.
#[derive(Debug)]
pub struct BlobReader {
    blob: Blob,
    at: u64,
    checked: bool,
}

impl Read for BlobReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let n = self.blob.read_at(buf, self.at)?;
        self.at += n as u64;
        if self.at == self.blob.len && !self.checked {
            self.checked = true;
            self.blob.source.check()?;
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_nest_and_stay_inside() {
        let blob = Blob::from_bytes(*b"0123456789");
        let part = blob.slice(2..8).unwrap().slice(1..3).unwrap();
        assert_eq!(part.read_to_vec(10).unwrap(), b"34");
        assert!(blob.slice(5..11).is_none());
        assert!(part.slice(0..3).is_none());
    }

    #[test]
    fn a_source_that_shrank_is_an_error_not_an_end() {
        let blob = Blob::new(Arc::new(b"abc".to_vec()), 5);
        let error = blob.read_to_vec(10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[derive(Debug)]
    struct Changed;
    impl ReadAt for Changed {
        fn read_at(&self, buf: &mut [u8], _: u64) -> io::Result<usize> {
            buf.fill(0);
            Ok(buf.len())
        }
        fn check(&self) -> io::Result<()> {
            Err(io::Error::other("changed"))
        }
    }

    #[test]
    fn a_change_is_noticed_at_the_end() {
        assert!(Blob::new(Arc::new(Changed), 3).read_to_vec(10).is_err());
    }
}
