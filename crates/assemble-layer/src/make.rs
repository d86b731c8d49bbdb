//! Makes the tar bytes of a unit, piece by piece.

use std::cmp::Ordering;
use std::io::Read;
use std::ops::Range;

use assemble_deflate::{DeflateError, Piece};
use assemble_types::{BlobReader, ImagePath};

use crate::codec::Cut;
use crate::header::{BLOCK, padding};
use crate::plan::{Content, Plan, Planned, Unit};
use crate::segment::{Earlier, PackedPiece, UnitKey};
use crate::source::{Recent, Stream, failed};
use crate::{AccountNames, LayerError};

/// Makes pieces of a plan.
pub(crate) struct Maker<'a> {
    pub(crate) plan: &'a Plan<'a>,
    names: &'a AccountNames,
    /// The keys of all units.
    keys: &'a [Option<UnitKey>],
    /// A layer that has some of the units.
    earlier: Option<&'a Earlier>,
    recent: Recent,
}

/// How far a large file is made.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes of the unit's part of its content.
    done: u64,
    /// Pieces.
    pieces: usize,
    /// Of a file that is compressed here.
    reader: Option<BlobReader>,
}

/// A part of a content that lies in a stream.
#[derive(Clone, Copy)]
struct OfStream<'a> {
    /// The stream's number.
    source: usize,
    /// Where in the stream the content lies.
    file: &'a Range<u64>,
    /// How much of it is done.
    done: u64,
    next: Next,
}

/// How much of a content comes next.
#[derive(Clone, Copy)]
enum Next {
    /// So many bytes, of which nothing else is needed.
    Plain(u64),
    /// What the piece needs to have so many bytes, or all, with all that is known of it.
    Spliced(Option<usize>),
}

impl<'a> Maker<'a> {
    pub(crate) fn new(
        plan: &'a Plan<'a>,
        names: &'a AccountNames,
        keys: &'a [Option<UnitKey>],
        earlier: Option<&'a Earlier>,
    ) -> Self {
        Self { plan, names, keys, earlier, recent: Recent::default() }
    }

    /// What a unit was packed to before, if that is known.
    pub(crate) fn known(&self, number: usize) -> Option<(&'a Earlier, &'a UnitKey, &'a [PackedPiece])> {
        let (earlier, key) = (self.earlier?, self.keys.get(number)?.as_ref()?);
        Some((earlier, key, earlier.pieces(key)?))
    }

    /// Makes the next piece of a unit. Returns how far it came, unless the unit is done.
    pub(crate) fn piece(
        &self,
        number: usize,
        progress: Progress,
        piece: &mut Piece,
    ) -> Result<Option<Progress>, LayerError> {
        let unit = &self.plan.units[number];
        let known = self.known(number).map(|(.., pieces)| pieces);
        let expected =
            known.map(|pieces| pieces.get(progress.pieces).ok_or(LayerError::Earlier)).transpose()?;
        let more = if unit.large {
            self.large(unit, progress, piece, expected)?
        } else {
            for entry in &self.plan.entries[unit.entries.clone()] {
                self.entry(entry, piece, known.is_some())?;
            }
            None
        };
        if more.is_none() {
            if unit.last {
                piece.fresh(&[0; 2 * BLOCK]);
            }
            self.leave(number, unit)?;
        }
        if expected.is_some_and(|expected| expected.plain as usize != piece.plain.len()) {
            return Err(LayerError::Earlier);
        }
        Ok(more)
    }

    fn header(&self, entry: &Planned<'_>, piece: &mut Piece) -> Result<(), LayerError> {
        let mut bytes = Vec::with_capacity(BLOCK);
        entry.encode(self.names, &mut bytes)?;
        piece.fresh(&bytes);
        Ok(())
    }

    /// Appends an entry; of one that is known how it is packed only the plain bytes.
    fn entry(&self, entry: &Planned<'_>, piece: &mut Piece, known: bool) -> Result<(), LayerError> {
        self.header(entry, piece)?;
        let path = &entry.entry.path;
        match &entry.content {
            Content::None => {}
            Content::Plain(blob) => {
                let mut reader = blob.reader();
                fresh(&mut reader, blob.len(), piece, path)?;
                at_end(&mut reader, path)?;
            }
            Content::Deflated { range, .. } if range.is_empty() => {}
            Content::Deflated { source, range } => {
                let len = range.end - range.start;
                let next = if known { Next::Plain(len) } else { Next::Spliced(None) };
                let of = OfStream { source: *source as usize, file: range, done: 0, next };
                if self.deflated(of, piece, path)? < len {
                    return Err(failed(path, DeflateError::Cut));
                }
            }
        }
        piece.fresh(&[0; BLOCK][..padding(entry.content.len())]);
        Ok(())
    }

    fn large(
        &self,
        unit: &Unit,
        mut progress: Progress,
        piece: &mut Piece,
        expected: Option<&PackedPiece>,
    ) -> Result<Option<Progress>, LayerError> {
        let entry = &self.plan.entries[unit.entries.start];
        let path = &entry.entry.path;
        let whole = entry.content.len();
        let part = unit.part.clone().unwrap_or(0..whole);
        let done = part.start + progress.done;
        if done == 0 {
            self.header(entry, piece)?;
        }
        let sizes = &self.plan.sizes;
        let left = part.end - done;
        match &entry.content {
            Content::None => {}
            Content::Plain(blob) => {
                let Cut { group, piece: most } = sizes.compressed;
                let now = if left > most + group { most } else { left };
                let reader = progress.reader.get_or_insert_with(|| blob.reader());
                fresh(reader, now, piece, path)?;
                progress.done += now;
                if progress.done == whole {
                    at_end(reader, path)?;
                }
            }
            Content::Deflated { source, range } => {
                let next = match expected {
                    // Behind the last of it there is its padding, too.
                    Some(expected) => Next::Plain(
                        u64::from(expected.plain).saturating_sub(piece.plain.len() as u64).min(left),
                    ),
                    None => Next::Spliced(Some(usize::try_from(sizes.spliced.piece).unwrap_or(usize::MAX))),
                };
                let of = OfStream { source: *source as usize, file: range, done, next };
                progress.done = self.deflated(of, piece, path)?.saturating_sub(part.start);
            }
        }
        progress.pieces += 1;
        match (part.start + progress.done).cmp(&part.end) {
            Ordering::Less => return Ok(Some(progress)),
            // A mark that was noted is none.
            Ordering::Greater => return Err(LayerError::Earlier),
            Ordering::Equal => {}
        }
        if part.end == whole {
            piece.fresh(&[0; BLOCK][..padding(whole)]);
        }
        Ok(None)
    }

    /// Appends what is wanted of a content that lies in a stream. Returns how much of it is done then.
    fn deflated(&self, of: OfStream<'_>, piece: &mut Piece, path: &ImagePath) -> Result<u64, LayerError> {
        let OfStream { source, file, done, next } = of;
        let stream = &self.plan.streams[source];
        let done = match next {
            Next::Spliced(enough) => stream.take(source, file, done, piece, enough, self.plan.sizes.keep),
            Next::Plain(count) => {
                let end = done + count;
                stream.take_plain(file, &(done..end), piece).map(|()| end)
            }
        };
        let lane = stream.lane(file.start + of.done);
        let done = done.map_err(|source| broken(stream, path, source))?;
        self.recent.used(source, lane, &self.plan.streams);
        Ok(done)
    }

    /// Lets go of the streams that are not needed any more, and asks whether they changed meanwhile.
    fn leave(&self, number: usize, unit: &Unit) -> Result<(), LayerError> {
        for entry in &self.plan.entries[unit.entries.clone()] {
            let Content::Deflated { source, range } = &entry.content else { continue };
            let stream = &self.plan.streams[*source as usize];
            let lane = stream.lane(range.start + unit.part.as_ref().map_or(0, |part| part.start));
            if stream.is_last(lane, number) {
                stream.close(lane).map_err(|source| broken(stream, &entry.entry.path, source))?;
                let changed = |source| LayerError::Content { path: entry.entry.path.clone(), source };
                stream.check().map_err(changed)?;
            }
        }
        Ok(())
    }
}

/// What is wrong with a stream, unless that may be what was noted of it earlier: made anew without that, it turns out. And
/// unless its file changed while it was read: then that is what is wrong.
fn broken(stream: &Stream, path: &ImagePath, source: DeflateError) -> LayerError {
    if stream.relies_on_marks() {
        return LayerError::Earlier;
    }
    match stream.check() {
        Ok(()) => failed(path, source),
        Err(source) => LayerError::Content { path: path.clone(), source },
    }
}

/// Appends the next bytes of a content.
fn fresh(reader: &mut BlobReader, count: u64, piece: &mut Piece, path: &ImagePath) -> Result<(), LayerError> {
    let failed = |source| LayerError::Content { path: path.clone(), source };
    // Bounded: contents that are longer come in parts.
    piece.fresh_from(reader, count).map_err(failed)
}

/// The content ends here, and its source, also that of an empty file, says that it has not changed.
fn at_end(reader: &mut BlobReader, path: &ImagePath) -> Result<(), LayerError> {
    let failed = |source| LayerError::Content { path: path.clone(), source };
    match reader.read(&mut [0]).map_err(failed)? {
        0 => Ok(()),
        _ => Err(failed(std::io::Error::other("the content is longer than it was"))),
    }
}
