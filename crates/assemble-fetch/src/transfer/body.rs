//! Where a body goes, and how large it may be.

use std::io::{Seek as _, SeekFrom, Write as _};

use tempfile::NamedTempFile;

use crate::cache::Cache;
use crate::{FetchError, Location};

/// How large the body may be, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    /// Nobody said how large it is; no more than this.
    AtMost(u64),
    /// Something that is trusted says so.
    Exactly(u64),
}

impl Bound {
    pub(crate) fn is_exact(self) -> bool {
        matches!(self, Self::Exactly(_))
    }

    /// Whether a body that ended after so many bytes ended too early.
    pub(crate) fn is_short(self, received: u64) -> bool {
        matches!(self, Self::Exactly(size) if received < size)
    }

    /// Asked before the first byte, with what the server says.
    pub(crate) fn check_total(self, location: &Location, total: Option<u64>) -> Result<(), FetchError> {
        match (self, total) {
            (Self::AtMost(_), Some(total)) => self.check_received(location, total),
            (Self::Exactly(size), Some(total)) if total != size => {
                Err(wrong_size(location, size, total, false))
            }
            _ => Ok(()),
        }
    }

    /// Asked before bytes are taken.
    pub(crate) fn check_received(self, location: &Location, received: u64) -> Result<(), FetchError> {
        match self {
            Self::AtMost(limit) if received > limit => {
                Err(FetchError::TooLarge { location: location.clone(), limit })
            }
            Self::Exactly(size) if received > size => Err(wrong_size(location, size, received, true)),
            _ => Ok(()),
        }
    }
}

fn wrong_size(location: &Location, expected: u64, found: u64, at_least: bool) -> FetchError {
    FetchError::WrongSize { location: location.clone(), expected, found, at_least }
}

/// Takes a body's bytes in order.
pub(crate) trait Sink {
    fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError>;
    /// Forgets all bytes so far.
    fn restart(&mut self) -> Result<(), FetchError>;
}

#[derive(Debug, Default)]
pub(crate) struct MemoryBody(pub(crate) Vec<u8>);

impl Sink for MemoryBody {
    fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn restart(&mut self) -> Result<(), FetchError> {
        self.0.clear();
        Ok(())
    }
}

/// Stays in memory up to a length, and goes to a file of the cache beyond it: who asks for a part may be sent all.
#[derive(Debug)]
pub(crate) struct PartBody<'a> {
    pub(crate) cache: &'a Cache,
    /// Most bytes that stay in memory.
    pub(crate) most: usize,
    pub(crate) memory: Vec<u8>,
    pub(crate) file: Option<FileBody>,
}

impl Sink for PartBody<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        if self.file.is_none() && self.memory.len() + bytes.len() > self.most {
            let mut file = FileBody(self.cache.part()?);
            file.write(&std::mem::take(&mut self.memory))?;
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => {
                self.memory.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    fn restart(&mut self) -> Result<(), FetchError> {
        self.memory.clear();
        self.file.as_mut().map_or(Ok(()), Sink::restart)
    }
}

#[derive(Debug)]
pub(crate) struct FileBody(pub(crate) NamedTempFile);

impl Sink for FileBody {
    fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        let result = self.0.as_file_mut().write_all(bytes);
        result.map_err(|e| FetchError::io(self.0.path(), "write", e))
    }

    fn restart(&mut self) -> Result<(), FetchError> {
        let file = self.0.as_file_mut();
        let result = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)));
        result.map(drop).map_err(|e| FetchError::io(self.0.path(), "write", e))
    }
}
