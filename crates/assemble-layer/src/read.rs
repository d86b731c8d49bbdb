//! Reads layers back, whoever made them.

use std::io::{self, BufReader, Read};

use assemble_rootfs::Xattrs;
use assemble_types::{Blob, BlobReader, Digest, ImagePath, Mode};
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use zstd::stream::read::Decoder;

use crate::LayerError;
use crate::header::{BLOCK, padding};
use crate::parse::{Headers, has_good_sum};

const PIECE: usize = 128 << 10;

/// Frames of zstd that need more than 128 MiB of window are refused, as the `zstd` program does by itself.
const MAX_WINDOW_LOG: u32 = 27;

/// How much a layer may hold before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes of the uncompressed tar.
    pub unpacked: u64,
    /// Entries.
    pub entries: u64,
}

impl Default for ReadLimits {
    /// 64 GiB and eight million entries: more than any image known.
    fn default() -> Self {
        Self { unpacked: 64 << 30, entries: 8 << 20 }
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// Another name of an earlier file.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A folder.
    Directory,
    /// A named pipe.
    Fifo,
}

impl EntryKind {
    pub(crate) fn of(type_flag: u8) -> Option<Self> {
        Some(match type_flag {
            0 | b'0' | b'7' => Self::File,
            b'1' => Self::HardLink,
            b'2' => Self::Symlink,
            b'3' => Self::CharDevice,
            b'4' => Self::BlockDevice,
            b'5' => Self::Directory,
            b'6' => Self::Fifo,
            _ => return None,
        })
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::HardLink => "hard link",
            Self::Symlink => "symbolic link",
            Self::CharDevice => "character device",
            Self::BlockDevice => "block device",
            Self::Directory => "folder",
            Self::Fifo => "named pipe",
        }
    }
}

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerEntry {
    /// Where it goes.
    pub path: ImagePath,
    /// Its name as written, which may begin with `./` or end in a slash.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission, set-id and sticky bits.
    pub mode: Mode,
    /// User id.
    pub uid: u64,
    /// Group id.
    pub gid: u64,
    /// User name, often none.
    pub uname: Vec<u8>,
    /// Group name, often none.
    pub gname: Vec<u8>,
    /// Whole seconds since the epoch, fractions cut.
    pub mtime: i64,
    /// Bytes of content.
    pub size: u64,
    /// Text of a symbolic link, or name of the file that a hard link leads to.
    pub link: Vec<u8>,
    /// Major and minor number of a device.
    pub device: Option<(u32, u32)>,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// Where its header blocks begin in the tar.
    pub offset: u64,
    /// Digest over its header blocks, extended ones included: differs if only the encoding does.
    pub header: Digest,
}

/// Begins to read a layer: a tar, a tar in gzip of any number of members, or in zstd of any number of frames.
pub fn read_layer(blob: &Blob) -> Result<LayerReader, LayerError> {
    read_layer_within(blob, ReadLimits::default())
}

/// As [`read_layer`], with limits of one's own.
pub fn read_layer_within(blob: &Blob, limits: ReadLimits) -> Result<LayerReader, LayerError> {
    Ok(LayerReader {
        input: Unpacked::open(blob, limits.unpacked)?,
        limits,
        entries: 0,
        content: 0,
        padding: 0,
        ended: false,
    })
}

/// Digest and size of the uncompressed tar of a layer.
pub fn diff_id(blob: &Blob) -> Result<(Digest, u64), LayerError> {
    let mut hasher = Sha256::new();
    let size = unpacked(blob, &mut |piece| {
        hasher.update(piece);
        Ok(())
    })?;
    Ok((Digest::from_bytes(hasher.finalize().into()), size))
}

/// Hands over the uncompressed tar of a layer piece by piece; gives its size.
pub(crate) fn unpacked(
    blob: &Blob,
    take: &mut dyn FnMut(&[u8]) -> Result<(), LayerError>,
) -> Result<u64, LayerError> {
    let mut input = Unpacked::open(blob, ReadLimits::default().unpacked)?;
    let mut piece = vec![0; PIECE];
    loop {
        match input.some(&mut piece)? {
            0 => return Ok(input.offset),
            n => take(&piece[..n])?,
        }
    }
}

/// Gives the entries of a layer in order, and the content of the one given last.
#[derive(Debug)]
pub struct LayerReader {
    input: Unpacked,
    limits: ReadLimits,
    entries: u64,
    /// What is left of the current entry's content.
    content: u64,
    /// Zero bytes behind it.
    padding: usize,
    ended: bool,
}

impl LayerReader {
    /// The next entry, skipping what was not read of the current one's content.
    pub fn next_entry(&mut self) -> Result<Option<LayerEntry>, LayerError> {
        if self.ended {
            return Ok(None);
        }
        let mut piece = vec![0; PIECE];
        while self.read_content(&mut piece)? > 0 {}
        let gap = std::mem::take(&mut self.padding);
        self.input.exact(&mut piece[..gap])?;
        let Some(headers) = Headers::read(&mut self.input)? else {
            self.ended = true;
            // To the very end, where checksums are compared.
            while self.input.some(&mut piece)? > 0 {}
            return Ok(None);
        };
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(LayerError::TooLarge { what: "entries", limit: self.limits.entries });
        }
        let entry = headers.entry(self.entries - 1)?;
        self.content = entry.size;
        self.padding = padding(entry.size);
        Ok(Some(entry))
    }

    /// Reads on in the current entry's content; 0 is its end.
    pub fn read_content(&mut self, buf: &mut [u8]) -> Result<usize, LayerError> {
        let room = usize::try_from(self.content).unwrap_or(usize::MAX).min(buf.len());
        if room == 0 {
            return Ok(0);
        }
        let n = self.input.some(&mut buf[..room])?;
        if n == 0 {
            return Err(self.input.failed(io::ErrorKind::UnexpectedEof.into()));
        }
        self.content -= n as u64;
        Ok(n)
    }

    /// The rest of the current entry's content, refused if it has more than `limit` bytes.
    pub fn content(&mut self, limit: u64) -> Result<Vec<u8>, LayerError> {
        if self.content > limit {
            return Err(LayerError::TooLarge { what: "bytes in one file", limit });
        }
        let mut out = Vec::new();
        let mut piece = vec![0; PIECE];
        loop {
            let n = self.read_content(&mut piece)?;
            if n == 0 {
                return Ok(out);
            }
            out.extend_from_slice(&piece[..n]);
        }
    }
}

/// The content of a file of a layer, refused if it has more than `limit` bytes; nothing if there is no such file. A
/// hard link gives what it leads to. Of several entries with one name the last counts, as it does when unpacked.
pub fn read_file(layer: &Blob, path: &ImagePath, limit: u64) -> Result<Option<Vec<u8>>, LayerError> {
    let mut wanted = path.clone();
    // Hard links lead to files, so one step is enough but for odd layers.
    for _ in 0..4 {
        let mut reader = read_layer(layer)?;
        let mut found = None;
        let mut link = None;
        while let Some(entry) = reader.next_entry()? {
            if entry.path != wanted {
                continue;
            }
            found = None;
            link = None;
            match entry.kind {
                EntryKind::File => found = Some(reader.content(limit)?),
                EntryKind::HardLink => link = ImagePath::parse(&entry.link).ok(),
                _ => {}
            }
        }
        match link {
            Some(next) => wanted = next,
            None => return Ok(found),
        }
    }
    Ok(None)
}

/// The bytes of the tar, with their position.
pub(crate) struct Unpacked {
    reader: Packing,
    pub(crate) offset: u64,
    limit: u64,
}

enum Packing {
    Plain(BufReader<BlobReader>),
    Gzip(Box<MultiGzDecoder<BufReader<BlobReader>>>),
    Zstd(Box<Decoder<'static, BufReader<BlobReader>>>),
}

impl std::fmt::Debug for Unpacked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unpacked(at byte {})", self.offset)
    }
}

impl Unpacked {
    pub(crate) fn open(blob: &Blob, limit: u64) -> Result<Self, LayerError> {
        let failed = |source| LayerError::Read { offset: 0, source };
        let mut begin = Vec::new();
        blob.reader().take(BLOCK as u64).read_to_end(&mut begin).map_err(failed)?;
        let input = BufReader::with_capacity(PIECE, blob.reader());
        let reader = match begin.as_slice() {
            [0x1f, 0x8b, ..] => Packing::Gzip(Box::new(MultiGzDecoder::new(input))),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                let mut decoder = Decoder::with_buffer(input).map_err(failed)?;
                decoder.window_log_max(MAX_WINDOW_LOG).map_err(failed)?;
                Packing::Zstd(Box::new(decoder))
            }
            [0xfd, b'7', b'z', b'X', b'Z', ..] => return Err(LayerError::Compression { found: "xz" }),
            [b'B', b'Z', b'h', ..] => return Err(LayerError::Compression { found: "bzip2" }),
            [..] if begin.len() == BLOCK && (begin.iter().all(|b| *b == 0) || has_good_sum(&begin)) => {
                Packing::Plain(input)
            }
            _ => {
                let begin: Vec<String> = begin.iter().take(8).map(|b| format!("{b:02x}")).collect();
                return Err(LayerError::NotALayer { begin: begin.join(" ") });
            }
        };
        Ok(Self { reader, offset: 0, limit })
    }

    pub(crate) fn failed(&self, source: io::Error) -> LayerError {
        LayerError::Read { offset: self.offset, source }
    }

    pub(crate) fn broken(&self, what: &'static str) -> LayerError {
        self.failed(io::Error::new(io::ErrorKind::InvalidData, what))
    }

    /// Reads some bytes; 0 is the end.
    pub(crate) fn some(&mut self, buf: &mut [u8]) -> Result<usize, LayerError> {
        loop {
            let result = match &mut self.reader {
                Packing::Plain(reader) => reader.read(buf),
                Packing::Gzip(reader) => reader.read(buf),
                Packing::Zstd(reader) => reader.read(buf),
            };
            match result {
                Ok(n) => {
                    self.offset += n as u64;
                    if self.offset > self.limit {
                        return Err(LayerError::TooLarge { what: "unpacked bytes", limit: self.limit });
                    }
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    /// Fills the buffer as far as there are bytes.
    pub(crate) fn full(&mut self, buf: &mut [u8]) -> Result<usize, LayerError> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.some(&mut buf[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        Ok(filled)
    }

    pub(crate) fn exact(&mut self, buf: &mut [u8]) -> Result<(), LayerError> {
        if self.full(buf)? == buf.len() {
            Ok(())
        } else {
            Err(self.failed(io::ErrorKind::UnexpectedEof.into()))
        }
    }
}
