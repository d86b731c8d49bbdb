//! Where stages put bytes that they make and will read again.

use std::fmt;
use std::io::{self, Write};

use crate::{Blob, Digest};

/// Makes places for new bytes. The edge decides whether that is memory or an unnamed file.
pub trait Spool: Send + Sync + fmt::Debug {
    /// A new, empty place.
    ///
    /// # Errors
    /// Whatever the medium reports.
    fn create(&self) -> io::Result<Box<dyn SpoolWriter>>;
}

/// Takes bytes and gives them back as a [`Blob`].
pub trait SpoolWriter: Write + Send {
    /// Ends writing. The bytes live as long as the blob or a clone of it.
    ///
    /// # Errors
    /// Whatever the medium reports.
    fn finish(self: Box<Self>) -> io::Result<Blob>;

    /// Ends writing, and tells the digest of all that was written: a place that keeps things can name them by it.
    ///
    /// # Errors
    /// Whatever the medium reports.
    fn finish_as(self: Box<Self>, _digest: &Digest) -> io::Result<Blob> {
        self.finish()
    }
}

/// Keeps everything in memory; for tests and small things.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemorySpool;

impl Spool for MemorySpool {
    fn create(&self) -> io::Result<Box<dyn SpoolWriter>> {
        Ok(Box::<MemoryWriter>::default())
    }
}

#[derive(Default)]
struct MemoryWriter(Vec<u8>);

impl Write for MemoryWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SpoolWriter for MemoryWriter {
    fn finish(self: Box<Self>) -> io::Result<Blob> {
        Ok(Blob::from_bytes(self.0))
    }
}
