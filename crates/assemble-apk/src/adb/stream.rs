//! The blocks of a file, unpacked as they are read.

use std::io::{self, BufRead, Read};

use zstd::stream::read::Decoder;

use super::inflate::Inflate;
use super::{AdbError, Schema};

/// Blocks begin at multiples of this.
const ALIGNMENT: u64 = 8;
/// The largest window that a frame may ask for: that of the highest level, which packages may be packed with.
const MAX_WINDOW_LOG: u32 = 27;

/// The unpacked contents of a file.
pub(super) struct Stream<R: BufRead> {
    input: Input<R>,
    /// Where in the unpacked contents.
    at: u64,
    /// Unread bytes of the block, and the filling behind it.
    left: u64,
    filling: u64,
}

enum Input<R: BufRead> {
    Plain(R),
    Deflate(Box<Inflate<R>>),
    Zstd(Box<Decoder<'static, R>>),
}

impl<R: BufRead> Read for Input<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(buf),
            Self::Deflate(input) => input.read(buf),
            Self::Zstd(input) => input.read(buf),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    Database,
    Signature,
    Data,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) kind: BlockKind,
    /// Where it begins.
    pub(super) at: u64,
    /// Bytes of its content.
    pub(super) len: u64,
}

impl Block {
    pub(super) fn error(&self, problem: &'static str) -> AdbError {
        AdbError::Block { at: self.at, problem }
    }
}

impl<R: BufRead> Stream<R> {
    /// Reads the header, which has to be of this schema.
    pub(super) fn open(mut input: R, schema: Schema) -> Result<Self, AdbError> {
        let mut head = [0; 4];
        input.read_exact(&mut head).map_err(AdbError::Damaged)?;
        let input = match &head {
            b"ADB." => Input::Plain(input),
            b"ADBd" => Input::Deflate(Box::new(Inflate::new(input))),
            b"ADBc" => Self::named(input)?,
            _ => return Err(AdbError::Compression { tag: head[3..].to_vec() }),
        };
        let mut stream = Self { input, at: 4, left: 0, filling: 0 };
        if head != *b"ADB." {
            stream.take(&mut head)?;
            if head != *b"ADB." {
                return Err(AdbError::NoDatabase);
            }
            stream.at = 4;
        }
        let mut found = [0; 4];
        stream.take(&mut found)?;
        schema.check(found)?;
        Ok(stream)
    }

    /// The compression that two more bytes name; the second is the level it was made with.
    fn named(mut input: R) -> Result<Input<R>, AdbError> {
        let mut spec = [0; 2];
        input.read_exact(&mut spec).map_err(AdbError::Damaged)?;
        match spec[0] {
            0 => Ok(Input::Plain(input)),
            1 => Ok(Input::Deflate(Box::new(Inflate::new(input)))),
            2 => {
                let mut decoder = Decoder::with_buffer(input).map_err(AdbError::Damaged)?.single_frame();
                decoder.window_log_max(MAX_WINDOW_LOG).map_err(AdbError::Damaged)?;
                Ok(Input::Zstd(Box::new(decoder)))
            }
            _ => Err(AdbError::Compression { tag: format!("c{}", spec[0]).into_bytes() }),
        }
    }

    /// What is unpacked.
    pub(super) fn source(&self) -> &R {
        match &self.input {
            Input::Plain(input) => input,
            Input::Deflate(input) => input.get_ref(),
            Input::Zstd(input) => input.get_ref(),
        }
    }

    fn source_mut(&mut self) -> &mut R {
        match &mut self.input {
            Input::Plain(input) => input,
            Input::Deflate(input) => input.get_mut(),
            Input::Zstd(input) => input.get_mut(),
        }
    }

    fn take(&mut self, buf: &mut [u8]) -> Result<(), AdbError> {
        self.input.read_exact(buf).map_err(AdbError::Damaged)?;
        self.at += buf.len() as u64;
        Ok(())
    }

    /// Fills the buffer from the block that was begun last.
    pub(super) fn content(&mut self, buf: &mut [u8]) -> Result<(), AdbError> {
        let at = self.at;
        let left = self.left.checked_sub(buf.len() as u64);
        self.left = left.ok_or(AdbError::Block { at, problem: "is too short for what it is" })?;
        self.take(buf)
    }

    /// All that is left of the block, which the caller knows to be small.
    pub(super) fn rest(&mut self) -> Result<Vec<u8>, AdbError> {
        let mut out = Vec::new();
        (&mut self.input).take(self.left).read_to_end(&mut out).map_err(AdbError::Damaged)?;
        if out.len() as u64 != self.left {
            return Err(AdbError::Damaged(io::ErrorKind::UnexpectedEof.into()));
        }
        self.at += self.left;
        self.left = 0;
        Ok(out)
    }

    /// The database, which is the first block.
    pub(super) fn database(&mut self, limit: u64) -> Result<Vec<u8>, AdbError> {
        let block = self.next()?.ok_or(AdbError::NoDatabase)?;
        if block.kind != BlockKind::Database {
            return Err(block.error("stands where the database has to"));
        }
        if block.len > limit {
            return Err(AdbError::TooLarge { limit });
        }
        self.rest()
    }

    /// The next block, or nothing at the end of the file. The one before has to be read to its end.
    pub(super) fn next(&mut self) -> Result<Option<Block>, AdbError> {
        self.end_block()?;
        let at = self.at;
        let mut word = [0; 4];
        if !self.begins(&mut word)? {
            return Ok(None);
        }
        let word = u32::from_le_bytes(word);
        let (mut kind, mut size, mut header) = (word >> 30, u64::from(word & 0x3fff_ffff), 4);
        if kind == 3 {
            // The long form: the kind is in the low bits, then four reserved bytes, then the size.
            let mut long = [0; 12];
            self.take(&mut long)?;
            let (reserved, length) = long.split_at(4);
            let mut bytes = [0; 8];
            bytes.copy_from_slice(length);
            (kind, size, header) = (word & 0x3fff_ffff, u64::from_le_bytes(bytes), 16);
            if reserved != [0; 4] {
                return Err(AdbError::Block { at, problem: "has something in its reserved bytes" });
            }
        }
        let kind = match kind {
            0 => BlockKind::Database,
            1 => BlockKind::Signature,
            2 => BlockKind::Data,
            _ => return Err(AdbError::Block { at, problem: "is of an unknown kind" }),
        };
        let len = size.checked_sub(header);
        let len = len.ok_or(AdbError::Block { at, problem: "is shorter than its own header" })?;
        self.left = len;
        self.filling = (ALIGNMENT - size % ALIGNMENT) % ALIGNMENT;
        Ok(Some(Block { kind, at, len }))
    }

    /// Reads the first word of a block; false at the end of the contents, which has to be that of the file.
    fn begins(&mut self, word: &mut [u8; 4]) -> Result<bool, AdbError> {
        let mut filled = 0;
        while filled < word.len() {
            match self.input.read(&mut word[filled..]) {
                Ok(0) if filled == 0 => {
                    let rest = self.source_mut().fill_buf().map_err(AdbError::Damaged)?;
                    return if rest.is_empty() { Ok(false) } else { Err(AdbError::Trailing) };
                }
                Ok(0) => return Err(AdbError::Damaged(io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(AdbError::Damaged(error)),
            }
        }
        self.at += word.len() as u64;
        Ok(true)
    }

    /// The filling behind a block is zeros.
    fn end_block(&mut self) -> Result<(), AdbError> {
        if self.left > 0 {
            return Err(AdbError::Block { at: self.at, problem: "is longer than what it is for" });
        }
        for _ in 0..std::mem::take(&mut self.filling) {
            let (at, mut byte) = (self.at, [0]);
            self.take(&mut byte)?;
            if byte != [0] {
                return Err(AdbError::Block { at, problem: "is filled up with something" });
            }
        }
        Ok(())
    }
}
