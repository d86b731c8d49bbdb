//! The streams that a layer's files come out of, and how far each was read.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assemble_deflate::{DeflateError, Inflater, Keep, Mark, Parked, Piece};
use assemble_types::{Blob, DeflatedRange, Digest, ImagePath, StreamMark, StreamMarks};
use crc32fast::Hasher;

use crate::LayerError;

/// Readers that keep their buffers. Files of many packages stand side by side in some folders; laying a reader aside
/// and taking it up again for each would cost as much as reading.
const WARM: usize = 16;

/// Readers that are laid aside at the same time: of others only the place is known, and they begin again at their mark.
const PARKED: usize = 512;

/// Places of one stream that are remembered to go back to, where it has no marks. Without them it is read again from
/// further ahead.
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
    /// Where it can be read on from.
    marks: Option<Arc<StreamMarks>>,
    /// All its plain bytes, if they are kept.
    unpacked: Option<Blob>,
    /// Where its last file ends.
    pub(crate) end: u64,
    /// What lies between two marks, each with readers of its own, so that several threads can read one stream.
    lanes: Vec<Lane>,
}

/// A part of a stream: from a mark, or the beginning, to the next. What begins in it is read by its readers.
#[derive(Debug, Default)]
struct Lane {
    /// The last unit that takes from it.
    last_unit: Option<usize>,
    state: Mutex<State>,
}

/// Where a lane's readers are. Files are taken in one order only, so nobody waits for the lock for long.
#[derive(Debug, Default)]
struct State {
    /// The one that was used last.
    warm: Option<Box<Inflater<StreamReader>>>,
    /// The others, by position.
    parked: Vec<Parked>,
    /// The files that come after one that lies behind them, by position, as long as they are not taken.
    places: Vec<u64>,
    /// There were readers that had to be given up.
    gave_up: bool,
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
    /// `marked` says whether marks may be used.
    pub(crate) fn new(deflated: &DeflatedRange, content: &Blob, marked: bool) -> Self {
        let DeflatedRange { ref stream, digest, sum, ref marks, ref unpacked, .. } = *deflated;
        let marks = marks.clone().filter(|_| marked);
        let lanes = marks.as_ref().map_or(0, |marks| marks.all.len()) + 1;
        Self {
            packed: stream.clone(),
            digest,
            content: content.clone(),
            sum,
            marks,
            unpacked: unpacked.clone(),
            end: 0,
            lanes: std::iter::repeat_with(Lane::default).take(lanes).collect(),
        }
    }

    fn marks(&self) -> &[StreamMark] {
        self.marks.as_ref().map_or(&[], |marks| &marks.all)
    }

    /// The lane in which a byte lies.
    pub(crate) fn lane(&self, plain: u64) -> usize {
        self.marks().partition_point(|mark| mark.plain <= plain)
    }

    /// How many lanes there are.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// The places within a file at which its pieces end in any case, counted from its beginning.
    pub(crate) fn marks_within(&self, file: &Range<u64>) -> impl Iterator<Item = u64> + '_ {
        let start = file.start;
        let from = self.marks().partition_point(|mark| mark.plain <= start);
        let to = self.marks().partition_point(|mark| mark.plain < file.end);
        self.marks()[from..to.max(from)].iter().map(move |mark| mark.plain - start)
    }

    /// Notes the last unit that takes something from a lane.
    pub(crate) fn set_last_unit(&mut self, lane: usize, unit: Option<usize>) {
        self.lanes[lane].last_unit = unit;
    }

    /// Whether this unit is the last that takes something from the lane.
    pub(crate) fn is_last(&self, lane: usize, unit: usize) -> bool {
        self.lanes[lane].last_unit == Some(unit)
    }

    /// Where files begin that come after one that lies behind them.
    pub(crate) fn set_places(&mut self, mut places: Vec<u64>) {
        places.sort_unstable();
        places.dedup();
        for place in places {
            let lane = self.lane(place);
            self.lanes[lane].state.get_mut().unwrap_or_else(PoisonError::into_inner).places.push(place);
        }
    }

    /// Whether something from earlier is believed of it.
    pub(crate) fn relies_on_marks(&self) -> bool {
        !self.marks().is_empty()
    }

    pub(crate) fn reader(&self, at: u64) -> StreamReader {
        StreamReader { stream: self.packed.clone(), at }
    }

    /// Fails if the bytes are known to have changed.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.unpacked.as_ref().map_or(Ok(()), Blob::check)?;
        self.marks.as_ref().map_or(Ok(()), |marks| marks.windows.check())?;
        self.packed.check()?;
        self.content.check()
    }

    fn lock(&self, lane: usize) -> MutexGuard<'_, State> {
        self.lanes[lane].state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends what there is of a file from its byte `done` on, with what is known of how it is compressed, until it is whole
    /// or the piece has enough. Returns how much of the file is done then.
    pub(crate) fn take(
        &self,
        number: usize,
        file: &Range<u64>,
        done: u64,
        piece: &mut Piece,
        enough: Option<usize>,
        keep: Keep,
    ) -> Result<u64, DeflateError> {
        let lane = self.lane(file.start + done);
        let mut state = self.lock(lane);
        let before = piece.plain.len();
        let mut inflater = self.reader_at(&mut state, lane, file, done)?;
        piece.file(&mut inflater, number, file, enough, keep)?;
        let end = inflater.position();
        if let Some(unpacked) = &self.unpacked {
            compare(unpacked, file.start + done..end, &piece.plain[before..])?;
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
        let lane = self.lane(file.start + part.start);
        let mut state = self.lock(lane);
        let mut inflater = self.reader_at(&mut state, lane, file, part.start)?;
        piece.plain_file(&mut inflater, file.start + part.end)?;
        state.warm = Some(inflater);
        Ok(())
    }

    /// A reader that stands at this byte of a file.
    fn reader_at(
        &self,
        state: &mut State,
        lane: usize,
        file: &Range<u64>,
        done: u64,
    ) -> Result<Box<Inflater<StreamReader>>, DeflateError> {
        let from = file.start + done;
        state.places.retain(|place| *place != file.start);
        let mut inflater = self.nearest(state, lane, from)?;
        while inflater.position() < from {
            // On the way, places are remembered that will be gone back to.
            let next = state.places.partition_point(|place| *place <= inflater.position());
            let stop = state.places.get(next).copied().filter(|place| *place < from);
            inflater.skip_to(stop.unwrap_or(from))?;
            if stop.is_some() && !self.relies_on_marks() && state.parked.len() < REMEMBERED {
                let snapshot = inflater.snapshot();
                state.remember(snapshot);
            }
        }
        Ok(inflater)
    }

    /// The reader of a lane that is furthest but not behind a place.
    fn nearest(
        &self,
        state: &mut State,
        lane: usize,
        from: u64,
    ) -> Result<Box<Inflater<StreamReader>>, DeflateError> {
        let best =
            |state: &State| state.parked.partition_point(|parked| parked.next_plain() <= from).checked_sub(1);
        let start = best(state).and_then(|index| state.parked.get(index)).map_or(0, Parked::next_plain);
        if let Some(inflater) = state.warm.take_if(|warm| (start..=from).contains(&warm.position())) {
            return Ok(inflater);
        }
        state.park();
        let Some(index) = best(state) else {
            return self.first(lane);
        };
        // It passes the places behind it once more, so it need not be kept.
        let parked = state.parked.remove(index);
        let source = self.reader(parked.source_offset());
        state.forget();
        Ok(Box::new(Inflater::resume(&parked, source)?))
    }

    /// A reader at the beginning of a lane.
    fn first(&self, lane: usize) -> Result<Box<Inflater<StreamReader>>, DeflateError> {
        let Some((number, marks)) = lane.checked_sub(1).zip(self.marks.as_ref()) else {
            return Ok(Box::new(Inflater::new(self.reader(0))));
        };
        let StreamMark { bit, plain, sum } = marks.all[number];
        let mark = Mark { bit, plain, sum };
        let (kept, end) = match &self.unpacked {
            Some(unpacked) => (unpacked, plain),
            None => (&marks.windows, (number as u64 + 1) * StreamMarks::WINDOW),
        };
        let window = end.checked_sub(StreamMarks::WINDOW).and_then(|start| kept.slice(start..end));
        let window = window.ok_or(DeflateError::Place)?.read_to_vec(StreamMarks::WINDOW);
        let window = window.map_err(DeflateError::Read)?;
        Inflater::at_mark(&mark, &window, self.reader(mark.source_offset())).map(Box::new)
    }

    /// Ends reading a lane. Reads what is left of it, up to the next mark, so that what was taken out in front of that is known
    /// to be what was checked; unless it was compared with what is kept.
    pub(crate) fn close(&self, lane: usize) -> Result<(), DeflateError> {
        let mut state = std::mem::take(&mut *self.lock(lane));
        state.park();
        let compared = self.unpacked.is_some() || (self.sum.is_none() && !self.relies_on_marks());
        let inflater = match state.parked.pop() {
            _ if compared => return Ok(()),
            Some(parked) => Inflater::resume(&parked, self.reader(parked.source_offset()))?,
            None if state.gave_up => *self.first(lane)?,
            None => return Ok(()),
        };
        if self.relies_on_marks() { self.compare_part(inflater) } else { self.compare(inflater) }
    }

    /// Compares all plain bytes with those that were there when the stream was checked.
    pub(crate) fn compare(&self, inflater: Inflater<StreamReader>) -> Result<(), DeflateError> {
        match self.sum {
            Some(sum) if inflater.finish()?.1 != sum => Err(DeflateError::Sum),
            _ => Ok(()),
        }
    }

    /// The same for those from a mark to the next.
    fn compare_part(&self, inflater: Inflater<StreamReader>) -> Result<(), DeflateError> {
        for (plain, sum) in inflater.finish_part()? {
            let number = self.marks().partition_point(|mark| mark.plain < plain);
            let same = match self.marks().get(number) {
                Some(mark) => (mark.plain, mark.sum) == (plain, sum),
                None => self.sum.is_none_or(|all| all == self.sum_with(plain, sum)),
            };
            if !same {
                return Err(DeflateError::Sum);
            }
        }
        Ok(())
    }

    /// The CRC-32 of the whole stream, by what is known of it up to the last mark, and what comes from there to the end.
    fn sum_with(&self, end: u64, last: u32) -> u32 {
        let (mut all, mut before) = (Hasher::new(), 0);
        let parts = self.marks().iter().map(|mark| (mark.plain, mark.sum)).chain([(end, last)]);
        for (plain, sum) in parts {
            all.combine(&Hasher::new_with_initial_len(sum, plain - before));
            before = plain;
        }
        all.finalize()
    }

    fn cool(&self, lane: usize) {
        // One that is in use comes back to the list.
        if let Ok(mut state) = self.lanes[lane].state.try_lock() {
            state.park();
        }
    }

    /// Gives up the readers of a lane, which begin again at its mark if they are needed.
    fn give_up(&self, lane: usize) {
        if let Ok(mut state) = self.lanes[lane].state.try_lock() {
            state.gave_up |= !state.parked.is_empty();
            state.parked = Vec::new();
        }
    }
}

/// Which lanes were read last, so that only few of them keep their buffers, and not too many their place.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Lists>);

#[derive(Debug, Default)]
struct Lists {
    warm: VecDeque<(usize, usize)>,
    parked: VecDeque<(usize, usize)>,
}

impl Lists {
    /// Puts a lane in front. Returns those that have to be laid aside and given up now.
    fn used(&mut self, lane: (usize, usize)) -> [Option<(usize, usize)>; 2] {
        if self.warm.back() == Some(&lane) {
            return [None; 2];
        }
        self.warm.retain(|other| *other != lane);
        self.parked.retain(|other| *other != lane);
        self.warm.push_back(lane);
        let cooled = if self.warm.len() > WARM { self.warm.pop_front() } else { None };
        self.parked.extend(cooled);
        let given_up = if self.parked.len() > PARKED { self.parked.pop_front() } else { None };
        [cooled, given_up]
    }
}

impl Recent {
    /// Notes that a lane of a stream was used.
    pub(crate) fn used(&self, number: usize, lane: usize, streams: &[Stream]) {
        let [cooled, given_up] = self.0.lock().unwrap_or_else(PoisonError::into_inner).used((number, lane));
        if let Some((number, lane)) = cooled
            && let Some(stream) = streams.get(number)
        {
            stream.cool(lane);
        }
        if let Some((number, lane)) = given_up
            && let Some(stream) = streams.get(number)
        {
            stream.give_up(lane);
        }
    }
}
