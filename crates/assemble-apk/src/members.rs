//! The gzip members of an index, unpacked while what they hold is read.

use std::io::{self, BufRead as _, Read as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use flate2::bufread::GzDecoder;

use crate::index::IndexError;
use crate::sections::GZIP_MAGIC;

/// How much is unpacked at once.
const PIECE: usize = 64 << 10;
/// How many pieces may wait to be read.
const WAITING: usize = 4;
/// From how many packed bytes on unpacking has a thread of its own.
const MANY: usize = 256 << 10;

/// Reads the archive that all members of a body are together, and what is wrong with the members, which counts more than
/// what is wrong with what they hold: they are unpacked to their end in any case. Where there is much, unpacking and reading
/// run side by side; what comes out is the same.
pub(crate) fn unpacked<T>(
    body: &[u8],
    limit: u64,
    read: impl FnOnce(&mut dyn io::BufRead) -> T,
) -> (T, Option<IndexError>) {
    thread::scope(|scope| {
        let (send, receive) = sync_channel(WAITING);
        let thread = || {
            let unpack = move || Members::new(body, limit).send(&send);
            thread::Builder::new().name("assemble-unpack".into()).spawn_scoped(scope, unpack).ok()
        };
        // Where the host gives no further thread, this one does all.
        let Some(unpacking) = Some(body.len()).filter(|size| *size >= MANY).and_then(|_| thread()) else {
            let mut members = io::BufReader::with_capacity(PIECE, Members::new(body, limit));
            let read = read(&mut members);
            return (read, members.into_inner().flaw());
        };
        let read = {
            // Dropped with this block: nobody waits any more for pieces to be taken.
            let mut pieces = Pieces { receive, piece: Vec::new(), at: 0 };
            read(&mut pieces)
        };
        let flaw = unpacking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (read, flaw)
    })
}

/// What comes from another thread. It ends where that found something wrong, too.
struct Pieces {
    receive: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl io::BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.len()
            && let Ok(piece) = self.receive.recv()
        {
            (self.piece, self.at) = (piece, 0);
        }
        Ok(&self.piece[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.piece.len().min(self.at + amount);
    }
}

impl io::Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buf)?;
        self.consume(read);
        Ok(read)
    }
}

/// The contents of all gzip members, unpacked as they are read: together they are one archive.
struct Members<'a> {
    decoder: Option<GzDecoder<&'a [u8]>>,
    rest: &'a [u8],
    /// Bytes of all members, packed.
    size: usize,
    limit: u64,
    left: u64,
    failed: Option<IndexError>,
}

impl<'a> Members<'a> {
    fn new(body: &'a [u8], limit: u64) -> Self {
        Self { decoder: None, rest: body, size: body.len(), limit, left: limit, failed: None }
    }

    fn fail(&mut self, error: IndexError) -> io::Error {
        self.failed.get_or_insert(error);
        io::ErrorKind::InvalidData.into()
    }

    /// Sends all, in pieces none of which is empty, as long as somebody takes them. Tells what is wrong with the members.
    fn send(mut self, to: &SyncSender<Vec<u8>>) -> Option<IndexError> {
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            // An error is remembered as what is wrong.
            let _ = (&mut self).take(PIECE as u64).read_to_end(&mut piece);
            if piece.is_empty() || to.send(piece).is_err() {
                return self.flaw();
            }
        }
    }

    /// What is wrong with the members, which counts more than what is wrong with what they hold.
    fn flaw(mut self) -> Option<IndexError> {
        let _ = io::copy(&mut self, &mut io::sink());
        self.failed
    }
}

impl io::Read for Members<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.failed.is_some() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        loop {
            let Some(decoder) = &mut self.decoder else {
                if self.rest.is_empty() || buf.is_empty() {
                    return Ok(0);
                }
                if !self.rest.starts_with(&GZIP_MAGIC) {
                    let at = self.size - self.rest.len();
                    return Err(self.fail(IndexError::Trailing { at }));
                }
                self.decoder = Some(GzDecoder::new(self.rest));
                continue;
            };
            match decoder.read(buf) {
                Ok(0) => self.rest = self.decoder.take().map_or(&[], GzDecoder::into_inner),
                Ok(n) => {
                    let Some(left) = self.left.checked_sub(n as u64) else {
                        let limit = self.limit;
                        return Err(self.fail(IndexError::TooLarge { limit }));
                    };
                    self.left = left;
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.fail(IndexError::Damaged(error))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn packed(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    /// Bytes that cannot be packed.
    fn noise(count: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn a_thread_of_its_own_changes_nothing() {
        let plain = noise(2 * MANY);
        let whole = [packed(&plain[..MANY]), packed(&plain[MANY..])].concat();
        let cut = whole[..whole.len() - 20].to_vec();
        let trailing = [&whole[..], b"x"].concat();
        let most = plain.len() as u64;
        for (body, limit) in [(&whole, most), (&whole, most - 1), (&cut, most), (&trailing, most)] {
            let flaw = Members::new(body, limit).flaw().map(|flaw| flaw.to_string());
            assert_eq!(flaw.is_none(), body.len() == whole.len() && limit == most);
            let (read, found) = unpacked(body, limit, |archive| {
                let mut read = Vec::new();
                archive.read_to_end(&mut read).map(|_| read).unwrap()
            });
            // How much is read in front of a flaw is nobody's concern.
            assert!(plain.starts_with(&read) && (flaw.is_some() || read == plain), "{flaw:?}");
            assert_eq!(found.map(|flaw| flaw.to_string()), flaw);
            // Who reads no more learns all the same what is wrong further on.
            let ((), found) = unpacked(body, limit, |archive| archive.read_exact(&mut [0; 100]).unwrap());
            assert_eq!(found.map(|flaw| flaw.to_string()), flaw);
        }
    }
}
