//! The gzip members of a package file.

use std::io::{self, BufRead as _, BufReader, Read};
use std::ops::Range;

use assemble_types::{Blob, BlobReader};
use flate2::bufread::GzDecoder;

use crate::data::{Extras, Finished, Plain};
use crate::error::Section;
use crate::{Limits, PackageProblem};

/// How much is read at once.
pub(crate) const BUFFER: usize = 128 << 10;
/// How much is read at once of what is mostly small: hundreds of packages may be opened without a look at their data.
pub(crate) const SMALL_BUFFER: usize = 16 << 10;
/// What a gzip member begins with (RFC 1952 section 2.3.1).
pub(crate) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Counts what is taken from a blob, and remembers whether the medium failed: the decompressor's errors look alike.
#[derive(Debug)]
pub(crate) struct Source {
    reader: BlobReader,
    taken: u64,
    failed: bool,
}

impl Source {
    pub(crate) fn new(packed: &Blob) -> Self {
        Self { reader: packed.reader(), taken: 0, failed: false }
    }

    /// Whether an error came from here.
    pub(crate) fn failed(&self) -> bool {
        self.failed
    }
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(buf) {
            Ok(n) => {
                self.taken += n as u64;
                Ok(n)
            }
            Err(error) => {
                self.failed = error.kind() != io::ErrorKind::Interrupted;
                Err(error)
            }
        }
    }
}

/// A package file, read section by section.
#[derive(Debug)]
pub(crate) struct Sections {
    input: BufReader<Source>,
    packed: Blob,
}

impl Sections {
    /// Looks at the first bytes only; from then on reads so much at once.
    pub(crate) fn open(packed: &Blob, buffer: usize) -> Result<Self, PackageProblem> {
        let mut input = BufReader::with_capacity(buffer, Source::new(packed));
        let head = input.fill_buf().map_err(PackageProblem::Read)?;
        if !head.starts_with(&GZIP_MAGIC) {
            return Err(PackageProblem::NotAPackage);
        }
        Ok(Self { input, packed: packed.clone() })
    }

    /// Where the next section begins.
    pub(crate) fn position(&self) -> u64 {
        self.input.get_ref().taken - self.input.buffer().len() as u64
    }

    fn at_end(&self) -> bool {
        self.position() == self.packed.len()
    }

    /// Unpacks one gzip member of at most `limit` bytes, handing them to `sink`. Returns where it lies.
    fn member(
        &mut self,
        section: Section,
        limit: u64,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<Range<u64>, PackageProblem> {
        let start = self.position();
        if self.at_end() {
            return Err(PackageProblem::NoSection { section });
        }
        let mut decoder = GzDecoder::new(&mut self.input);
        let mut buffer = vec![0; SMALL_BUFFER];
        let mut total = 0_u64;
        loop {
            let n = match decoder.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(if decoder.get_ref().get_ref().failed() {
                        PackageProblem::Read(source)
                    } else {
                        PackageProblem::Damaged { section, source }
                    });
                }
            };
            total += n as u64;
            if total > limit {
                return Err(PackageProblem::TooLarge { section, limit });
            }
            sink(&buffer[..n]);
        }
        Ok(start..self.position())
    }

    /// Unpacks a signature or control section into memory.
    pub(crate) fn small(
        &mut self,
        section: Section,
        limits: &Limits,
    ) -> Result<(Vec<u8>, Range<u64>), PackageProblem> {
        let mut plain = Vec::new();
        let range = self.member(section, limits.control, &mut |bytes| plain.extend_from_slice(bytes))?;
        Ok((plain, range))
    }

    /// Unpacks the data section, which must be one member and the last thing in the file, while `walk` reads it. What is
    /// wrong with the section counts for more than what the walk finds in it.
    pub(crate) fn data<T>(
        self,
        limits: &Limits,
        extras: Extras<'_>,
        walk: impl FnOnce(&mut Plain<'_>) -> Result<T, PackageProblem>,
    ) -> Result<(T, Finished), PackageProblem> {
        let start = self.position();
        let section = Section::Data;
        let member = self.packed.slice(start..self.packed.len()).filter(|member| !member.is_empty());
        let member = member.ok_or(PackageProblem::NoSection { section })?;
        let packed = member.len();
        let limit = data_limit(packed, limits);
        let mut plain = Plain::new(&member, limit, extras)?;
        let walked = walk(&mut plain);
        let finished = plain.finish().map_err(|problem| match problem {
            PackageProblem::TooLarge { section, .. } if limit < limits.data => {
                PackageProblem::Bomb { section, packed, limit }
            }
            other => other,
        })?;
        let at = start + finished.packed;
        if finished.packed < packed {
            let mut next = [0; GZIP_MAGIC.len()];
            let read = member.read_at(&mut next, finished.packed).map_err(PackageProblem::Read)?;
            return Err(if next[..read] == GZIP_MAGIC {
                PackageProblem::SecondMember { at }
            } else {
                PackageProblem::Trailing { at }
            });
        }
        Ok((walked?, finished))
    }
}

/// How far a data section may unpack. Small ones may shrink as they like, as files of zero bytes do; beyond that, real
/// contents stay far below the ratio, and what does not would fill the disk for nothing.
pub(crate) fn data_limit(packed: u64, limits: &Limits) -> u64 {
    const ANYWAY: u64 = 512 << 20;
    const RATIO: u64 = 100;
    limits.data.min(packed.saturating_mul(RATIO).max(ANYWAY))
}

/// Reads a range of a blob in pieces.
pub(crate) fn each_chunk(blob: &Blob, use_bytes: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut reader = blob.reader();
    let mut buffer = vec![0; usize::try_from(blob.len()).unwrap_or(BUFFER).clamp(1, BUFFER)];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => use_bytes(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A buffered reader of a blob, for walking it.
pub(crate) fn buffered(blob: &Blob) -> BufReader<BlobReader> {
    BufReader::with_capacity(BUFFER, blob.reader())
}
