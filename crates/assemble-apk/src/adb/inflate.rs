//! Bare deflate, told from a stream that was cut.

use std::io::{self, BufRead, Read};

use flate2::{Decompress, FlushDecompress, Status};

/// Unpacks deflate without a header. A gzip reader knows its end by the trailer; here only the last block's mark
/// tells, so that reading on at the end of a cut stream has to fail.
#[derive(Debug)]
pub(super) struct Inflate<R> {
    input: R,
    state: Decompress,
    done: bool,
}

impl<R: BufRead> Inflate<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, state: Decompress::new(false), done: false }
    }

    pub(super) fn get_ref(&self) -> &R {
        &self.input
    }

    pub(super) fn get_mut(&mut self) -> &mut R {
        &mut self.input
    }
}

impl<R: BufRead> Read for Inflate<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.done && !out.is_empty() {
            let input = self.input.fill_buf()?;
            let at_end = input.is_empty();
            let (taken, given) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(input, out, FlushDecompress::None);
            let status = status.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            // Neither is more than the length of its slice.
            let taken = usize::try_from(self.state.total_in() - taken).unwrap_or(input.len());
            let given = usize::try_from(self.state.total_out() - given).unwrap_or(out.len());
            self.input.consume(taken);
            self.done = status == Status::StreamEnd;
            if given > 0 {
                return Ok(given);
            }
            if !self.done && (at_end || taken == 0) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::DeflateEncoder};
    use std::io::Write as _;

    #[test]
    fn the_end_is_the_last_blocks() {
        let plain: Vec<u8> = (0..100_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&plain).unwrap();
        let mut packed = encoder.finish().unwrap();
        let end = packed.len();
        packed.extend_from_slice(b"rest");
        let read = |packed: &[u8]| {
            let mut inflate = Inflate::new(io::BufReader::with_capacity(7, packed));
            let mut out = Vec::new();
            inflate.read_to_end(&mut out).map(|_| {
                let mut rest = Vec::new();
                inflate.get_mut().read_to_end(&mut rest).unwrap();
                (out, rest)
            })
        };
        assert_eq!(read(&packed).unwrap(), (plain, b"rest".to_vec()));
        for cut in [0, 1, end / 2, end - 1] {
            assert!(read(&packed[..cut]).is_err(), "{cut}");
        }
        assert!(read(&[7; 20]).is_err());
    }
}
