//! The data section: unpacked while it is checked, and again whenever its contents are read.
//!
//! # Why it is the way it is
//! Nothing that a package holds is written anywhere unpacked. The section is read once from end to end, while its
//! entries are checked; contents are then ranges of a stream that is unpacked anew for whoever reads them. Layers read
//! a package's files mostly in the order of the package, so that costs little more than having them on the disk, and
//! saves writing and reading three times the package's size.

use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use assemble_deflate::{DeflateError, Inflater};
use assemble_types::{
    Blob, BlobReader, Digest, HashingWriter, ReadAt, Spool, SpoolWriter, StreamMark, StreamMarks,
};
use flate2::bufread::{DeflateDecoder, GzDecoder};
use sha2::{Digest as _, Sha256};

use crate::PackageProblem;
use crate::error::Section;
use crate::sections::Source;

/// Packed bytes that a reader of contents takes at a time, and plain bytes that it keeps.
const PIECE: usize = 32 << 10;

/// What is wanted of a data section, besides its entries.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extras<'a> {
    /// The digest of the unpacked section.
    pub diff_id: bool,
    /// Keep the unpacked bytes here, so that they need not be unpacked again. A place that does not take them is no error:
    /// they are unpacked again then. Implies `diff_id`.
    pub keep: Option<&'a dyn Spool>,
    /// Keep here what is needed to read on from the marks of a section. A place that does not take it is no error: the
    /// section is read from its beginning then.
    pub marks: Option<&'a dyn Spool>,
}

/// What a data section came to.
pub(crate) struct Finished {
    /// Plain bytes.
    pub(crate) size: u64,
    /// Of the plain bytes, if it was asked for.
    pub(crate) diff_id: Option<Digest>,
    /// The plain bytes, if they were to be kept and are.
    pub(crate) kept: Option<Blob>,
    /// Where it can be read on from, and the digest of the windows; if that was to be kept, and there are such places.
    pub(crate) marks: Option<(StreamMarks, Digest)>,
    /// Packed bytes, with the end of the member.
    pub(crate) packed: u64,
}

/// Bytes in front of marks, as they come.
struct Windows<'a> {
    spool: &'a dyn Spool,
    out: Option<HashingWriter<Box<dyn SpoolWriter>>>,
    count: usize,
}

impl Windows<'_> {
    /// Keeps those of the next mark.
    fn add(&mut self, window: &[u8]) -> io::Result<()> {
        let out = match &mut self.out {
            Some(out) => out,
            none => none.insert(HashingWriter::new(self.spool.create()?)),
        };
        self.count += 1;
        out.write_all(window)
    }

    /// Nothing if there are other marks than windows.
    fn finish(self, marks: &[assemble_deflate::Mark]) -> Option<(StreamMarks, Digest)> {
        let (writer, digest, _) = self.out.filter(|_| self.count == marks.len())?.finish();
        let all = marks.iter().map(|mark| StreamMark { bit: mark.bit, plain: mark.plain, sum: mark.sum });
        let windows = writer.finish_as(&digest).ok()?;
        Some((StreamMarks { all: all.collect(), windows }, digest))
    }
}

/// A data section while it is unpacked for the first time. Every error of the section itself is kept, so that the walk,
/// which only sees a failed reader, does not have to tell them apart.
pub(crate) struct Plain<'a> {
    inflater: Inflater<Source>,
    /// The member, and where in it the stream begins.
    member: Blob,
    header: u64,
    /// Bytes that were read last and not used yet.
    ready: usize,
    /// What was read last.
    last: usize,
    total: u64,
    limit: u64,
    hasher: Option<Sha256>,
    keep: Option<Box<dyn SpoolWriter>>,
    windows: Option<Windows<'a>>,
    problem: Option<PackageProblem>,
}

impl<'a> Plain<'a> {
    /// Of a member that begins with this blob, which may be longer.
    pub(crate) fn new(member: &Blob, limit: u64, extras: Extras<'a>) -> Result<Self, PackageProblem> {
        let header = check_header(member)?;
        let stream = member.slice(header..member.len()).ok_or_else(cut)?;
        Ok(Self {
            inflater: Inflater::new(Source::new(&stream)),
            member: member.clone(),
            header,
            ready: 0,
            last: 0,
            total: 0,
            limit,
            hasher: (extras.diff_id || extras.keep.is_some()).then(Sha256::new),
            keep: extras.keep.and_then(|spool| spool.create().ok()),
            windows: extras.marks.map(|spool| Windows { spool, out: None, count: 0 }),
            problem: None,
        })
    }

    fn more(&mut self) -> Result<(), PackageProblem> {
        self.inflater.consume(self.last);
        (self.last, self.ready) = (0, 0);
        if let Some(window) = self.inflater.window_of_mark() {
            self.windows.take_if(|windows| windows.add(window).is_err());
        }
        let bytes = self.inflater.fill().map_err(problem)?;
        (self.last, self.ready) = (bytes.len(), bytes.len());
        self.total += bytes.len() as u64;
        if self.total > self.limit {
            return Err(PackageProblem::TooLarge { section: Section::Data, limit: self.limit });
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.keep.take_if(|keep| keep.write_all(bytes).is_err());
        Ok(())
    }

    /// Reads on to the section's end, where its own checksum is compared.
    pub(crate) fn finish(mut self) -> Result<Finished, PackageProblem> {
        loop {
            if let Some(problem) = self.problem {
                return Err(problem);
            }
            self.more()?;
            if self.last == 0 {
                break;
            }
        }
        let packed = self.header + self.inflater.packed();
        let mut end = [0; 8];
        let trailer = self.member.slice(packed..packed + 8).ok_or_else(cut)?;
        trailer.reader().read_exact(&mut end).map_err(PackageProblem::Read)?;
        let marks = self.inflater.marks().to_vec();
        let (size, sum) = self.inflater.finish().map_err(problem)?;
        #[allow(clippy::cast_possible_truncation, reason = "the format has the lower bits only")]
        let size = size as u32;
        if end != [sum.to_le_bytes(), size.to_le_bytes()].concat()[..] {
            let why = "corrupt gzip stream does not have a matching checksum";
            return Err(damaged(io::Error::new(io::ErrorKind::InvalidInput, why)));
        }
        let diff_id = self.hasher.map(|hasher| Digest::from_bytes(hasher.finalize().into()));
        Ok(Finished {
            size: self.total,
            diff_id,
            kept: self.keep.zip(diff_id).and_then(|(keep, digest)| keep.finish_as(&digest).ok()),
            marks: self.windows.and_then(|windows| windows.finish(&marks)),
            packed: packed + 8,
        })
    }
}

fn damaged(source: io::Error) -> PackageProblem {
    PackageProblem::Damaged { section: Section::Data, source }
}

fn cut() -> PackageProblem {
    damaged(io::ErrorKind::UnexpectedEof.into())
}

fn problem(error: DeflateError) -> PackageProblem {
    match error {
        DeflateError::Read(source) => PackageProblem::Read(source),
        DeflateError::Cut => cut(),
        other => damaged(io::Error::new(io::ErrorKind::InvalidData, other)),
    }
}

/// Checks the header of a gzip member, and says how long it is.
fn check_header(member: &Blob) -> Result<u64, PackageProblem> {
    let mut input = BufReader::with_capacity(512, Source::new(member));
    let mut decoder = GzDecoder::new(&mut input);
    if decoder.header().is_none()
        && let Err(source) = decoder.read(&mut [0])
    {
        let failed = decoder.get_ref().get_ref().failed();
        return Err(if failed { PackageProblem::Read(source) } else { damaged(source) });
    }
    header_size(&mut BufReader::with_capacity(512, member.reader())).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => cut(),
        _ => PackageProblem::Read(error),
    })
}

impl Read for Plain<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Plain<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.ready == 0 && self.problem.is_none() {
            self.problem = self.more().err();
        }
        match &self.problem {
            Some(_) => Err(io::Error::other("the section cannot be unpacked")),
            None => {
                let read = self.inflater.ready();
                Ok(&read[read.len().saturating_sub(self.ready)..])
            }
        }
    }

    fn consume(&mut self, amount: usize) {
        self.ready = self.ready.saturating_sub(amount);
    }
}

/// A checked data section, unpacked anew for whoever reads its contents, unless it is kept unpacked. Cheap to read in
/// order; each step back starts over.
#[derive(Debug)]
pub(crate) struct Unpacked {
    stream: Blob,
    /// The digest of the section, which was compared before it was read.
    digest: Digest,
    /// The CRC-32 in the member's end, which was compared when it was read.
    sum: u32,
    cursor: Mutex<Option<Cursor>>,
    kept: OnceLock<Blob>,
    marks: OnceLock<Arc<StreamMarks>>,
}

#[derive(Debug)]
struct Cursor {
    decoder: DeflateDecoder<BufReader<BlobReader>>,
    /// The last plain bytes that were unpacked, and where they lie.
    recent: Vec<u8>,
    start: u64,
}

impl Unpacked {
    /// The contents of a section: one gzip member of this digest, which was read to its end before.
    pub(crate) fn new(member: &Blob, digest: Digest) -> io::Result<Arc<Self>> {
        let header = header_size(&mut BufReader::with_capacity(512, member.reader()))?;
        let stream = member.slice(header..member.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut end = [0; 8];
        let at = stream.len().checked_sub(8).ok_or(io::ErrorKind::UnexpectedEof)?;
        stream.slice(at..stream.len()).ok_or(io::ErrorKind::UnexpectedEof)?.reader().read_exact(&mut end)?;
        let sum = u32::from_le_bytes([end[0], end[1], end[2], end[3]]);
        Ok(Arc::new(Self {
            stream,
            digest,
            sum,
            cursor: Mutex::default(),
            kept: OnceLock::new(),
            marks: OnceLock::new(),
        }))
    }

    /// The plain bytes, all of them, are kept here.
    pub(crate) fn keep(&self, plain: Blob) {
        // Of two places one is as good as the other.
        let _ = self.kept.set(plain);
    }

    /// From these places it can be read on.
    pub(crate) fn mark(&self, marks: Arc<StreamMarks>) {
        let _ = self.marks.set(marks);
    }

    fn start(&self) -> Cursor {
        let input = BufReader::with_capacity(PIECE, self.stream.reader());
        Cursor { decoder: DeflateDecoder::new(input), recent: Vec::new(), start: 0 }
    }
}

impl Cursor {
    /// Unpacks the next piece; nothing is left of the one before.
    fn step(&mut self) -> io::Result<()> {
        self.start += self.recent.len() as u64;
        self.recent.resize(PIECE, 0);
        let mut filled = 0;
        while filled < PIECE {
            match self.decoder.read(&mut self.recent[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.recent.truncate(filled);
        Ok(())
    }
}

impl ReadAt for Unpacked {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if let Some(kept) = self.kept.get() {
            return kept.read_at(buf, offset);
        }
        let mut slot = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out, so that a cursor that failed is not used again.
        let mut cursor = slot.take().filter(|c| c.start <= offset).unwrap_or_else(|| self.start());
        let within = loop {
            let within = usize::try_from(offset - cursor.start).unwrap_or(usize::MAX);
            if within < cursor.recent.len() {
                break within;
            }
            if let Err(error) = cursor.step() {
                // A file that changed meanwhile is what is wrong then.
                self.stream.check()?;
                return Err(error);
            }
            if cursor.recent.is_empty() {
                return Ok(0);
            }
        };
        let n = buf.len().min(cursor.recent.len() - within);
        buf[..n].copy_from_slice(&cursor.recent[within..within + n]);
        *slot = Some(cursor);
        Ok(n)
    }

    fn check(&self) -> io::Result<()> {
        self.kept.get().map_or(Ok(()), Blob::check)?;
        self.stream.check()
    }

    fn unpacked(&self) -> Option<&Blob> {
        self.kept.get()
    }

    fn deflated(&self) -> Option<&Blob> {
        Some(&self.stream)
    }

    fn deflated_digest(&self) -> Option<Digest> {
        Some(self.digest)
    }

    fn deflated_sum(&self) -> Option<u32> {
        Some(self.sum)
    }

    fn deflated_marks(&self) -> Option<&Arc<StreamMarks>> {
        self.marks.get()
    }
}

/// How long the header of a gzip member is (RFC 1952, section 2.3).
fn header_size(input: &mut dyn BufRead) -> io::Result<u64> {
    const CRC: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    let mut fixed = [0; 10];
    input.read_exact(&mut fixed)?;
    let (flags, mut size) = (fixed[3], 10);
    if flags & EXTRA != 0 {
        let mut length = [0; 2];
        input.read_exact(&mut length)?;
        let length = u64::from(u16::from_le_bytes(length));
        if io::copy(&mut Read::take(&mut *input, length), &mut io::sink())? != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        size += 2 + length;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            size += skip_text(input)?;
        }
    }
    if flags & CRC != 0 {
        size += 2;
    }
    Ok(size)
}

/// Reads on behind the next zero byte, without keeping what stands in front of it.
fn skip_text(input: &mut dyn BufRead) -> io::Result<u64> {
    let mut size = 0;
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = buffer.iter().position(|byte| *byte == 0);
        let used = end.map_or(buffer.len(), |at| at + 1);
        input.consume(used);
        size += used as u64;
        if end.is_some() {
            return Ok(size);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, GzBuilder};

    use super::*;

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|i| u8::try_from((i / 11 + i * i / 7) % 251).unwrap()).collect()
    }

    fn member(builder: GzBuilder, plain: &[u8]) -> Blob {
        let mut encoder = builder.write(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        Blob::from_bytes(encoder.finish().unwrap())
    }

    #[test]
    fn every_range_can_be_read_in_any_order() {
        let plain = pattern(5 * PIECE + 77);
        let blob = Blob::new(
            Unpacked::new(&member(GzBuilder::new(), &plain), Digest::of(b"")).unwrap(),
            plain.len() as u64,
        );
        let ranges =
            [(0, 10), (3 * PIECE - 5, 10), (5, 2 * PIECE), (5 * PIECE, 77), (PIECE, 1), (0, plain.len())];
        for (start, len) in ranges {
            let part = blob.slice(start as u64..(start + len) as u64).unwrap();
            assert_eq!(part.read_to_vec(u64::MAX).unwrap(), &plain[start..start + len], "{start} {len}");
        }
        let behind = Blob::new(Unpacked::new(&member(GzBuilder::new(), b"abc"), Digest::of(b"")).unwrap(), 4);
        assert_eq!(behind.read_to_vec(9).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn the_stream_begins_behind_any_header() {
        for builder in [
            GzBuilder::new(),
            GzBuilder::new().filename("name").comment("a comment").extra(vec![7; 300]),
            GzBuilder::new().filename(vec![b'n'; 2000]),
        ] {
            let member = member(builder, b"the plain bytes");
            let blob = Blob::new(Unpacked::new(&member, Digest::of(b"")).unwrap(), 15);
            assert_eq!(blob.read_to_vec(99).unwrap(), b"the plain bytes");
            let range = blob.slice(4..9).unwrap().deflated().unwrap();
            assert_eq!(range.plain, 4..9);
            let mut out = Vec::new();
            DeflateDecoder::new(BufReader::new(range.stream.reader())).read_to_end(&mut out).unwrap();
            assert_eq!(out, b"the plain bytes");
        }
        let cut = Blob::from_bytes([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 0, b'n']);
        assert!(Unpacked::new(&cut, Digest::of(b"")).is_err());
    }
}
