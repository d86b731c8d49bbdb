//! The streams that a layer's files come out of, and how far each was read.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use assemble_deflate::{DeflateError, Inflater, Parked, Piece};
use assemble_types::{Blob, DeflatedRange, ImagePath};

use crate::LayerError;

/// Readers that keep their buffers. Files of many packages stand side by side in some folders; laying a reader aside
/// and taking it up again for each would cost as much as reading.
const WARM: usize = 24;

/// A stream.
#[derive(Debug)]
pub(crate) struct Stream {
    stream: Blob,
    /// Some bytes that come out of it; they are asked whether the medium has changed.
    content: Blob,
    /// The CRC-32 of all its plain bytes, if it is known.
    sum: Option<u32>,
    /// Where its last file ends.
    pub(crate) end: u64,
    /// The last unit that takes from it.
    pub(crate) last_unit: Option<usize>,
    state: Mutex<State>,
}

/// Where a stream's reader is. Files are taken in one order only, so nobody ever waits for the lock.
#[derive(Debug, Default)]
enum State {
    #[default]
    Fresh,
    Parked(Parked),
    Warm(Box<Inflater<StreamReader>>),
}

/// Reads a stream's packed bytes.
#[derive(Debug)]
pub(crate) struct StreamReader {
    stream: Blob,
    at: u64,
}

impl Read for StreamReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read_at(buf, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// What went wrong with a stream, while a file was taken out of it.
pub(crate) fn failed(path: &ImagePath, source: DeflateError) -> LayerError {
    let path = path.clone();
    match source {
        DeflateError::Read(source) => LayerError::Content { path, source },
        source => LayerError::Stream { path, source },
    }
}

impl Stream {
    pub(crate) fn new(deflated: &DeflatedRange, content: &Blob) -> Self {
        let (stream, sum) = (deflated.stream.clone(), deflated.sum);
        Self { stream, content: content.clone(), sum, end: 0, last_unit: None, state: Mutex::default() }
    }

    pub(crate) fn reader(&self, at: u64) -> StreamReader {
        StreamReader { stream: self.stream.clone(), at }
    }

    /// Fails if the bytes are known to have changed.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.stream.check()?;
        self.content.check()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends what there is of a file from its byte `done` on, until it is whole or the piece has enough. Returns how
    /// much of the file is done then.
    pub(crate) fn take(
        &self,
        number: usize,
        file: &Range<u64>,
        done: u64,
        piece: &mut Piece,
        enough: usize,
    ) -> Result<u64, DeflateError> {
        let mut state = self.lock();
        let from = file.start + done;
        let mut inflater = match std::mem::take(&mut *state) {
            State::Warm(inflater) if inflater.position() <= from => inflater,
            State::Parked(parked) if parked.position() <= from => {
                let source = self.reader(parked.source_offset());
                Box::new(Inflater::resume(&parked, source)?)
            }
            other => {
                self.finish(other)?;
                Box::new(Inflater::new(self.reader(0)))
            }
        };
        if inflater.position() < from {
            inflater.skip_to(from)?;
        }
        piece.file(&mut inflater, number, file, enough)?;
        let done = inflater.position() - file.start;
        *state = State::Warm(inflater);
        Ok(done)
    }

    /// Ends reading the stream.
    pub(crate) fn close(&self) -> Result<(), DeflateError> {
        let state = std::mem::take(&mut *self.lock());
        self.finish(state)
    }

    /// Reads what is left, so that all bytes that were taken out are known to be those that were checked.
    fn finish(&self, state: State) -> Result<(), DeflateError> {
        if self.sum.is_none() {
            return Ok(());
        }
        match state {
            State::Fresh => Ok(()),
            State::Parked(parked) => {
                let source = self.reader(parked.source_offset());
                self.compare(Inflater::resume(&parked, source)?)
            }
            State::Warm(inflater) => self.compare(*inflater),
        }
    }

    /// Compares all plain bytes with those that were there when the stream was checked.
    pub(crate) fn compare(&self, inflater: Inflater<StreamReader>) -> Result<(), DeflateError> {
        match self.sum {
            Some(sum) if inflater.finish()?.1 != sum => Err(DeflateError::Sum),
            _ => Ok(()),
        }
    }

    fn park(&self) {
        // One that is in use comes back to the list.
        if let Ok(mut state) = self.state.try_lock() {
            *state = match std::mem::take(&mut *state) {
                State::Warm(inflater) => State::Parked(inflater.park()),
                other => other,
            };
        }
    }
}

/// Which streams were read last, so that only few of them keep their buffers.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<usize>>);

impl Recent {
    /// Notes that a stream was used.
    pub(crate) fn used(&self, number: usize, streams: &[Stream]) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|other| *other != number);
        recent.push_back(number);
        let oldest = if recent.len() > WARM { recent.pop_front() } else { None };
        drop(recent);
        if let Some(stream) = oldest.and_then(|number| streams.get(number)) {
            stream.park();
        }
    }
}
