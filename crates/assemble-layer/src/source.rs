//! The streams that a layer's files come out of, and how far each was read.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use assemble_deflate::{Border, DeflateError, Inflater, Keep, Parked, Piece};
use assemble_types::{Blob, DeflatedRange, Digest, ImagePath};

use crate::LayerError;

/// Readers that keep their buffers. Files of many packages stand side by side in some folders; laying a reader aside
/// and taking it up again for each would cost as much as reading.
const WARM: usize = 16;

/// Places of one stream that are remembered to go back to. Without them it is read again from further ahead.
const REMEMBERED: usize = 8;

/// A stream.
#[derive(Debug)]
pub(crate) struct Stream {
    packed: Blob,
    /// Stands for its bytes, if that is known.
    pub(crate) digest: Option<Digest>,
    /// Some bytes that come out of it; they are asked whether the medium has changed.
    content: Blob,
    /// The CRC-32 of all its plain bytes, if it is known.
    sum: Option<u32>,
    /// All its plain bytes, if they are kept.
    unpacked: Option<Blob>,
    /// Where blocks begin, as far as that was noted earlier, by plain byte. Used where the plain bytes are kept.
    borders: Vec<Border>,
    /// Where its last file ends.
    pub(crate) end: u64,
    /// The last unit that takes from it.
    pub(crate) last_unit: Option<usize>,
    state: Mutex<State>,
}

/// Where a stream's readers are. Files are taken in one order only, so nobody waits for the lock for long.
#[derive(Debug, Default)]
struct State {
    /// The one that was used last.
    warm: Option<Box<Inflater<StreamReader>>>,
    /// The others, by position.
    parked: Vec<Parked>,
    /// The files that come after one that lies behind them, by position, as long as they are not taken.
    places: Vec<u64>,
    /// Where blocks were found to begin, by plain byte.
    borders: BTreeMap<u64, Border>,
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

impl State {
    /// Lays the warm reader aside.
    fn park(&mut self) {
        if let Some(inflater) = self.warm.take() {
            self.remember(inflater.park());
        }
    }

    fn remember(&mut self, parked: Parked) {
        let place = self.parked.partition_point(|other| other.next_plain() < parked.next_plain());
        self.parked.insert(place, parked);
    }

    /// Forgets readers that will not be gone back to, but for the one that is furthest.
    fn forget(&mut self) {
        let ends: Vec<u64> = self.parked.iter().skip(1).map(Parked::next_plain).collect();
        let mut ends = ends.into_iter();
        let places = &self.places;
        self.parked.retain(|parked| {
            ends.next().is_none_or(|end| {
                let next = places.partition_point(|place| *place < parked.next_plain());
                places.get(next).is_some_and(|place| *place < end)
            })
        });
    }
}

/// Compares plain bytes with those that are kept, so that nothing else of the stream need be read to know that they are the
/// right ones.
fn compare(unpacked: &Blob, range: Range<u64>, plain: &[u8]) -> Result<(), DeflateError> {
    let kept = unpacked.slice(range).ok_or(DeflateError::Place)?;
    let kept = kept.read_to_vec(plain.len() as u64).map_err(DeflateError::Read)?;
    if kept == plain { Ok(()) } else { Err(DeflateError::Sum) }
}

impl Stream {
    pub(crate) fn new(deflated: &DeflatedRange, content: &Blob) -> Self {
        let DeflatedRange { ref stream, digest, sum, ref unpacked, .. } = *deflated;
        Self {
            packed: stream.clone(),
            digest,
            content: content.clone(),
            sum,
            unpacked: unpacked.clone(),
            borders: Vec::new(),
            end: 0,
            last_unit: None,
            state: Mutex::default(),
        }
    }

    /// Where files begin that come after one that lies behind them.
    pub(crate) fn set_places(&mut self, mut places: Vec<u64>) {
        places.sort_unstable();
        places.dedup();
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).places = places;
    }

    /// Where blocks begin, from when the stream was read earlier.
    pub(crate) fn set_borders(&mut self, borders: &[Border]) {
        if self.unpacked.is_some() {
            self.borders = borders.to_vec();
        }
    }

    /// Whether something from earlier is believed of it.
    pub(crate) fn relies_on_borders(&self) -> bool {
        !self.borders.is_empty()
    }

    /// All places that are known at which blocks begin. Nothing where they are of no use.
    pub(crate) fn into_borders(self) -> Vec<Border> {
        if self.unpacked.is_none() {
            return Vec::new();
        }
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut all = state.borders;
        all.extend(self.borders.into_iter().map(|border| (border.plain, border)));
        all.into_values().collect()
    }

    pub(crate) fn reader(&self, at: u64) -> StreamReader {
        StreamReader { stream: self.packed.clone(), at }
    }

    /// Fails if the bytes are known to have changed.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.unpacked.as_ref().map_or(Ok(()), Blob::check)?;
        self.packed.check()?;
        self.content.check()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends what there is of a file from its byte `done` on, with what is known of how it is compressed, until it is whole
    /// or the piece has enough. Returns how much of the file is done then.
    pub(crate) fn take(
        &self,
        number: usize,
        file: &Range<u64>,
        done: u64,
        piece: &mut Piece,
        enough: usize,
        keep: Keep,
    ) -> Result<u64, DeflateError> {
        let mut state = self.lock();
        let before = piece.plain.len();
        let mut inflater = self.reader_at(&mut state, file, done)?;
        piece.file(&mut inflater, number, file, enough, keep)?;
        let end = inflater.position();
        if let Some(unpacked) = &self.unpacked {
            compare(unpacked, file.start + done..end, &piece.plain[before..])?;
            state.borders.extend(inflater.take_borders().into_iter().map(|border| (border.plain, border)));
        }
        state.warm = Some(inflater);
        Ok(end - file.start)
    }

    /// Appends a part of a file as plain bytes.
    pub(crate) fn take_plain(
        &self,
        file: &Range<u64>,
        part: &Range<u64>,
        piece: &mut Piece,
    ) -> Result<(), DeflateError> {
        if let Some(unpacked) = &self.unpacked {
            let range = file.start + part.start..file.start + part.end;
            let mut reader = unpacked.slice(range).ok_or(DeflateError::Place)?.reader();
            return piece.fresh_from(&mut reader, part.end - part.start).map_err(DeflateError::Read);
        }
        let mut state = self.lock();
        let mut inflater = self.reader_at(&mut state, file, part.start)?;
        piece.plain_file(&mut inflater, file.start + part.end)?;
        state.warm = Some(inflater);
        Ok(())
    }

    /// A reader that stands at this byte of a file.
    fn reader_at(
        &self,
        state: &mut State,
        file: &Range<u64>,
        done: u64,
    ) -> Result<Box<Inflater<StreamReader>>, DeflateError> {
        let from = file.start + done;
        state.places.retain(|place| *place != file.start);
        let mut inflater = self.nearest(state, from)?;
        while inflater.position() < from {
            // On the way, places are remembered that will be gone back to.
            let next = state.places.partition_point(|place| *place <= inflater.position());
            let stop = state.places.get(next).copied().filter(|place| *place < from);
            inflater.skip_to(stop.unwrap_or(from))?;
            if stop.is_some() && state.parked.len() < REMEMBERED {
                let snapshot = inflater.snapshot();
                state.remember(snapshot);
            }
        }
        Ok(inflater)
    }

    /// The reader that is furthest but not behind a place.
    fn nearest(&self, state: &mut State, from: u64) -> Result<Box<Inflater<StreamReader>>, DeflateError> {
        let best =
            |state: &State| state.parked.partition_point(|parked| parked.next_plain() <= from).checked_sub(1);
        let parked = best(state).and_then(|index| state.parked.get(index)).map_or(0, Parked::next_plain);
        let border = self.border(from).filter(|border| border.plain > parked);
        let start = border.map_or(parked, |border| border.plain);
        if let Some(inflater) = state.warm.take_if(|warm| (start..=from).contains(&warm.position())) {
            return Ok(inflater);
        }
        state.park();
        if let Some((border, unpacked)) = border.zip(self.unpacked.as_ref()) {
            let window = border.window();
            let size = window.end - window.start;
            let window = unpacked.slice(window).ok_or(DeflateError::Place)?;
            let window = window.read_to_vec(size).map_err(DeflateError::Read)?;
            let source = self.reader(border.source_offset());
            return Inflater::at_border(border, &window, source).map(Box::new);
        }
        let Some(index) = best(state) else {
            return Ok(Box::new(Inflater::new(self.reader(0))));
        };
        // It passes the places behind it once more, so it need not be kept.
        let parked = state.parked.remove(index);
        let source = self.reader(parked.source_offset());
        state.forget();
        Ok(Box::new(Inflater::resume(&parked, source)?))
    }

    /// The last border that is known up to a place.
    fn border(&self, from: u64) -> Option<&Border> {
        self.borders.partition_point(|border| border.plain <= from).checked_sub(1).map(|at| &self.borders[at])
    }

    /// Ends reading the stream. Reads what is left of it, so that all bytes that were taken out are known to be those
    /// that were checked; unless they were compared with those that are kept.
    pub(crate) fn close(&self) -> Result<(), DeflateError> {
        let mut state = {
            let mut kept = self.lock();
            let borders = std::mem::take(&mut kept.borders);
            std::mem::replace(&mut *kept, State { borders, ..State::default() })
        };
        state.park();
        match state.parked.pop() {
            Some(parked) if self.sum.is_some() && self.unpacked.is_none() => {
                let source = self.reader(parked.source_offset());
                self.compare(Inflater::resume(&parked, source)?)
            }
            _ => Ok(()),
        }
    }

    /// Compares all plain bytes with those that were there when the stream was checked.
    pub(crate) fn compare(&self, inflater: Inflater<StreamReader>) -> Result<(), DeflateError> {
        match self.sum {
            Some(sum) if inflater.finish()?.1 != sum => Err(DeflateError::Sum),
            _ => Ok(()),
        }
    }

    fn cool(&self) {
        // One that is in use comes back to the list.
        if let Ok(mut state) = self.state.try_lock() {
            state.park();
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
            stream.cool();
        }
    }
}
