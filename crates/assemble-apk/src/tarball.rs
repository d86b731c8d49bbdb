//! Walks a tar archive, entry by entry, and believes none of its numbers.
//!
//! Header blocks are those of the `tar` crate. The walk is our own, because the crate reads a PAX header of any size
//! into memory, splits PAX records at line ends (values of extended attributes hold them), and overlooks
//! contradictions. Whatever two programs could read differently is an error here, not a choice.

use std::io::{self, BufRead, Read};
use std::ops::Range;

use crate::oddity::Oddity;
use crate::pax::{self, Attributes, PaxError};
use crate::text::shown;

const BLOCK: u64 = 512;
/// Sizes from here on do not fit a header's octal field, so a PAX record may say another one than the header.
const MAX_OCTAL_SIZE: u64 = 0o777_7777_7777;

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The archive ends in the middle of something.
    #[error("the archive ends in the middle of {}", if name.is_empty() { "its first header".into() } else { format!("`{}`", shown(name)) })]
    Cut {
        /// The entry, or the one before the header that was being read; empty at the first header.
        name: String,
    },
    /// A block that is no header.
    #[error("the block at byte {at} is no tar header: {problem}")]
    Header {
        /// Where it lies.
        at: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A PAX header or long name above the limit.
    #[error("the extended header at byte {at} has {size} bytes; the limit is {limit}")]
    ExtensionSize {
        /// Where it lies.
        at: u64,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A PAX header that cannot be read in one way only.
    #[error("the extended header at byte {at} is malformed")]
    Pax {
        /// Where it lies.
        at: u64,
        /// What is wrong with it.
        #[source]
        source: PaxError,
    },
    /// The size in the PAX header contradicts the one in the header itself.
    #[error("`{}` has {header} bytes by its header, but {pax} by its extended header", shown(name))]
    TwoSizes {
        /// The entry.
        name: String,
        /// Size in the header.
        header: u64,
        /// Size in the PAX header.
        pax: u64,
    },
    /// A sparse file.
    #[error("`{}` is a sparse file, which packages cannot hold", shown(name))]
    Sparse {
        /// The entry.
        name: String,
    },
    /// Something stands behind the end of the archive.
    #[error("the archive has more behind its end, at byte {at}")]
    AfterEnd {
        /// Where.
        at: u64,
    },
    /// More entries than allowed.
    #[error("the archive has more than {limit} entries")]
    TooMany {
        /// The limit.
        limit: u64,
    },
    /// The medium failed.
    #[error("the archive cannot be read")]
    Read(#[source] io::Error),
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemKind {
    File,
    HardLink,
    Symlink,
    Directory,
    Device,
    Fifo,
    Other(u8),
}

/// One entry, with all headers that belong to it merged.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: ItemKind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: i64,
    pub(crate) user: Vec<u8>,
    pub(crate) group: Vec<u8>,
    /// Where in the archive the content lies.
    pub(crate) content: Range<u64>,
    pub(crate) attributes: Attributes,
}

/// Bounds of a walk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WalkLimits {
    /// Bytes of one extended header.
    pub(crate) extension: u64,
    /// Header blocks, those of extended headers included.
    pub(crate) headers: u64,
}

/// Reads entries one after the other.
#[derive(Debug)]
pub(crate) struct Walker<R> {
    input: R,
    at: u64,
    limits: WalkLimits,
    headers: u64,
    /// Bytes of the present entry's content that were not read, and of the padding behind it.
    content_left: u64,
    padding: u64,
    name: Vec<u8>,
    ended: bool,
    /// Whether two empty blocks ended it, as they should.
    has_end: bool,
    has_global: bool,
}

/// The headers in front of an entry that add to it.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Option<Attributes>,
    seen: Option<u64>,
}

/// A number as tar headers have them: octal text, or two's complement if the first bit is set.
fn numeric(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // Sign-extend the seven bits of the first byte.
        let start = i128::from(first & 0x7f) - if first & 0x40 != 0 { 0x80 } else { 0 };
        let value = rest.iter().fold(start, |sum, byte| sum << 8 | i128::from(*byte));
        return i64::try_from(value).ok();
    }
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    let digits = field[..end].trim_ascii();
    if field[end..].iter().any(|b| *b != 0 && *b != b' ') {
        return None;
    }
    digits.iter().try_fold(0_i64, |sum, digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// The sum of the header's bytes, with its own field taken as spaces, must be what the field says.
fn sum_is_right(header: &tar::Header) -> bool {
    let bytes = header.as_bytes();
    let sum: i64 = bytes.iter().map(|b| i64::from(*b)).sum();
    let field: i64 = bytes[148..156].iter().map(|b| i64::from(*b)).sum();
    numeric(&bytes[148..156]) == Some(sum - field + 8 * i64::from(b' '))
}

impl<R: BufRead> Walker<R> {
    pub(crate) fn new(input: R, limits: WalkLimits) -> Self {
        Self {
            input,
            at: 0,
            limits,
            headers: 0,
            content_left: 0,
            padding: 0,
            name: Vec::new(),
            ended: false,
            has_end: false,
            has_global: false,
        }
    }

    fn cut(&self) -> ArchiveError {
        ArchiveError::Cut { name: String::from_utf8_lossy(&self.name).into_owned() }
    }

    /// Hands out and consumes up to `want` bytes; nothing means the input ended.
    fn chunk(&mut self, want: u64, use_bytes: &mut dyn FnMut(&[u8])) -> Result<u64, ArchiveError> {
        let buffer = loop {
            match self.input.fill_buf() {
                Ok(buffer) => break buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ArchiveError::Read(error)),
            }
        };
        let n = buffer.len().min(usize::try_from(want).unwrap_or(usize::MAX));
        use_bytes(&buffer[..n]);
        self.input.consume(n);
        self.at += n as u64;
        Ok(n as u64)
    }

    /// Consumes exactly `count` bytes.
    fn exactly(&mut self, mut count: u64, use_bytes: &mut dyn FnMut(&[u8])) -> Result<(), ArchiveError> {
        while count > 0 {
            match self.chunk(count, use_bytes)? {
                0 => return Err(self.cut()),
                n => count -= n,
            }
        }
        Ok(())
    }

    /// Hands the whole content of the entry that was returned last to `use_bytes`.
    pub(crate) fn content(&mut self, use_bytes: &mut dyn FnMut(&[u8])) -> Result<(), ArchiveError> {
        let left = std::mem::take(&mut self.content_left);
        self.exactly(left, use_bytes)
    }

    /// The whole content of the entry that was returned last. For inputs that are bounded themselves: the claimed size
    /// may be more than there is, so memory grows with what comes.
    pub(crate) fn content_to_vec(&mut self) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = Vec::new();
        self.content(&mut |chunk| bytes.extend_from_slice(chunk))?;
        Ok(bytes)
    }

    /// One block, or nothing at the end of the input.
    fn block(&mut self) -> Result<Option<[u8; 512]>, ArchiveError> {
        let mut block = [0; 512];
        let mut filled = 0;
        while filled < block.len() {
            let want = (block.len() - filled) as u64;
            let n = self.chunk(want, &mut |bytes| {
                block[filled..filled + bytes.len()].copy_from_slice(bytes);
                filled += bytes.len();
            })?;
            if n == 0 {
                return if filled == 0 { Ok(None) } else { Err(self.cut()) };
            }
        }
        Ok(Some(block))
    }

    /// What is odd about the archive as a whole, once it was walked to its end.
    pub(crate) fn oddity(&self) -> Option<Oddity> {
        if self.has_global {
            Some(Oddity::GlobalHeader)
        } else if self.has_end {
            None
        } else {
            Some(Oddity::NoEnd)
        }
    }

    /// Behind the first empty block nothing but zeros may come.
    fn end(&mut self) -> Result<(), ArchiveError> {
        self.ended = true;
        let first = self.at;
        loop {
            let at = self.at;
            self.has_end = at - first >= BLOCK;
            let mut other = None;
            let n = self.chunk(u64::MAX, &mut |bytes| {
                other = bytes.iter().position(|b| *b != 0);
            })?;
            if let Some(offset) = other {
                return Err(ArchiveError::AfterEnd { at: at + offset as u64 });
            }
            if n == 0 {
                return Ok(());
            }
        }
    }

    /// The next entry, or nothing at the end. What was not read of the content of the one before is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Item>, ArchiveError> {
        let mut extensions = Extensions::default();
        while !self.ended {
            self.content(&mut |_| {})?;
            let padding = std::mem::take(&mut self.padding);
            self.exactly(padding, &mut |_| {})?;
            let at = self.at;
            let block = match self.block()? {
                Some(block) if block != [0; 512] => block,
                found => {
                    if found.is_some() {
                        self.end()?;
                    }
                    self.ended = true;
                    break;
                }
            };
            self.headers += 1;
            if self.headers > self.limits.headers {
                return Err(ArchiveError::TooMany { limit: self.limits.headers });
            }
            let header = tar::Header::from_byte_slice(&block);
            let size = check_header(header, at)?;
            self.name = header.path_bytes().into_owned();
            self.expect_content(size);
            match header.entry_type().as_byte() {
                b'x' | b'L' | b'K' | b'g' => {
                    self.extension(header.entry_type().as_byte(), at, &mut extensions)?;
                }
                _ => return self.item(header, at, size, extensions).map(Some),
            }
        }
        match extensions.seen {
            Some(at) => Err(ArchiveError::Header { at, problem: "an extended header belongs to no entry" }),
            None => Ok(None),
        }
    }

    fn expect_content(&mut self, size: u64) {
        self.content_left = size;
        self.padding = (BLOCK - size % BLOCK) % BLOCK;
    }

    fn extension(&mut self, kind: u8, at: u64, extensions: &mut Extensions) -> Result<(), ArchiveError> {
        let (size, limit) = (self.content_left, self.limits.extension);
        if size > limit {
            return Err(ArchiveError::ExtensionSize { at, size, limit });
        }
        if kind == b'g' {
            // Defaults for all that follows. No package tool writes them, and nothing in them may take effect.
            self.has_global = true;
            return Ok(());
        }
        extensions.seen = Some(at);
        let mut bytes = self.content_to_vec()?;
        let twice = if kind == b'x' {
            let parsed = pax::parse(&bytes).map_err(|source| ArchiveError::Pax { at, source })?;
            extensions.pax.replace(parsed).is_some()
        } else {
            // The text ends with a NUL in most archives.
            while bytes.last() == Some(&0) {
                bytes.pop();
            }
            if bytes.contains(&0) {
                return Err(ArchiveError::Header { at, problem: "a long name holds a zero byte" });
            }
            let place = if kind == b'L' { &mut extensions.name } else { &mut extensions.link };
            place.replace(bytes).is_some()
        };
        if twice {
            return Err(ArchiveError::Header { at, problem: "two extended headers belong to one entry" });
        }
        Ok(())
    }

    fn item(
        &mut self,
        header: &tar::Header,
        at: u64,
        size: u64,
        extensions: Extensions,
    ) -> Result<Item, ArchiveError> {
        let attributes = extensions.pax.unwrap_or_default();
        if (attributes.path.is_some() && extensions.name.is_some())
            || (attributes.link_path.is_some() && extensions.link.is_some())
        {
            // Readers do not agree which of the two counts.
            return Err(ArchiveError::Header { at, problem: "two extended headers name one entry" });
        }
        let name =
            attributes.path.clone().or(extensions.name).unwrap_or_else(|| header.path_bytes().into_owned());
        let link = attributes
            .link_path
            .clone()
            .or(extensions.link)
            .unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned());
        self.name.clone_from(&name);
        let shown_name = || String::from_utf8_lossy(&name).into_owned();
        if attributes.sparse || header.entry_type().is_gnu_sparse() {
            return Err(ArchiveError::Sparse { name: shown_name() });
        }
        let mut actual = size;
        if let Some(pax) = attributes.size
            && pax != size
        {
            if pax <= MAX_OCTAL_SIZE {
                return Err(ArchiveError::TwoSizes { name: shown_name(), header: size, pax });
            }
            actual = pax;
            self.expect_content(actual);
        }
        let bad = |problem| ArchiveError::Header { at, problem };
        let old = header.as_old();
        let unsigned = |field: &[u8], problem| {
            numeric(field).and_then(|n| u32::try_from(n).ok()).ok_or_else(|| bad(problem))
        };
        let end = self.at.checked_add(actual).ok_or_else(|| bad("the size is out of range"))?;
        Ok(Item {
            kind: kind(header),
            mode: unsigned(&old.mode, "the mode is no number")?,
            uid: match attributes.uid {
                Some(uid) => uid,
                None => unsigned(&old.uid, "the user is no number")?,
            },
            gid: match attributes.gid {
                Some(gid) => gid,
                None => unsigned(&old.gid, "the group is no number")?,
            },
            mtime: match attributes.mtime {
                Some(mtime) => mtime,
                None => numeric(&old.mtime).ok_or_else(|| bad("the time is no number"))?,
            },
            user: attributes
                .user
                .clone()
                .unwrap_or_else(|| header.username_bytes().unwrap_or_default().to_vec()),
            group: attributes
                .group
                .clone()
                .unwrap_or_else(|| header.groupname_bytes().unwrap_or_default().to_vec()),
            content: self.at..end,
            name,
            link,
            attributes,
        })
    }
}

/// Returns the size that the header says.
fn check_header(header: &tar::Header, at: u64) -> Result<u64, ArchiveError> {
    let bad = |problem| ArchiveError::Header { at, problem };
    if header.as_ustar().is_none() && header.as_gnu().is_none() {
        return Err(bad("it has no ustar mark"));
    }
    if !sum_is_right(header) {
        return Err(bad("its checksum is wrong"));
    }
    numeric(&header.as_old().size)
        .and_then(|size| u64::try_from(size).ok())
        .ok_or_else(|| bad("the size is no number"))
}

fn kind(header: &tar::Header) -> ItemKind {
    match header.entry_type().as_byte() {
        0 | b'0' => ItemKind::File,
        b'1' => ItemKind::HardLink,
        b'2' => ItemKind::Symlink,
        b'3' | b'4' => ItemKind::Device,
        b'5' => ItemKind::Directory,
        b'6' => ItemKind::Fifo,
        other => ItemKind::Other(other),
    }
}

/// The name of the first entry, if the bytes begin with one.
pub(crate) fn first_name(plain: &[u8], limits: WalkLimits) -> Option<Vec<u8>> {
    Walker::new(plain, limits).next().ok().flatten().map(|item| item.name)
}

/// Reads at most `limit` bytes; more are an error that the caller names.
pub(crate) fn read_limited(input: &mut dyn Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    const PIECE: usize = 64 << 10;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut bytes: Vec<u8> = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let n = match input.read(&mut piece) {
            Ok(0) => return Ok(Some(bytes)),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if n > limit - bytes.len() {
            return Ok(None);
        }
        // Doubled, but never beyond the limit: a bomb takes no more memory than what is allowed.
        if bytes.capacity() - bytes.len() < n {
            bytes.reserve_exact(bytes.len().max(PIECE).min(limit - bytes.len()));
        }
        bytes.extend_from_slice(&piece[..n]);
    }
}

#[cfg(test)]
#[path = "tarball_tests.rs"]
mod tests;
