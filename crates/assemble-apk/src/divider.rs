//! Where a package's data section begins, found while its bytes come in.

use std::io::Write as _;

use flate2::write::GzDecoder;

use crate::Limits;
use crate::open::is_signature;
use crate::sections::GZIP_MAGIC;

/// Finds the data section of a package of version 2.
#[derive(Debug)]
pub struct DataFinder {
    decoder: GzDecoder<Vec<u8>>,
    /// Bytes so far, of the section that is being read.
    seen: usize,
    sections: usize,
}

/// What bytes told about the data section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataFound {
    /// It begins further on.
    NotYet,
    /// It begins with this byte of those given last.
    Here(usize),
    /// This is no package of version 2, or none that will be opened.
    Never,
}

impl Default for DataFinder {
    fn default() -> Self {
        Self { decoder: GzDecoder::new(Vec::new()), seen: 0, sections: 0 }
    }
}

impl DataFinder {
    /// Takes the next bytes. What is found here is only where to cut: who opens the package finds its sections himself.
    pub fn feed(&mut self, bytes: &[u8]) -> DataFound {
        let limits = Limits::default();
        let mut at = 0;
        while at < bytes.len() {
            if self.seen < GZIP_MAGIC.len() && bytes[at] != GZIP_MAGIC[self.seen] {
                return DataFound::Never;
            }
            // In small pieces, so that a bomb is noticed before it fills the memory.
            let piece = &bytes[at..bytes.len().min(at + 4096)];
            let Ok(used) = self.decoder.write(piece) else { return DataFound::Never };
            if self.decoder.get_ref().len() as u64 > limits.control {
                return DataFound::Never;
            }
            if used > 0 {
                self.seen += used;
                at += used;
                continue;
            }
            // It takes no more: this section is at its end.
            let plain = std::mem::take(self.decoder.get_mut());
            if self.sections > 0 || !is_signature(&plain, &limits) {
                return DataFound::Here(at);
            }
            *self = Self { sections: 1, ..Self::default() };
        }
        DataFound::NotYet
    }
}
