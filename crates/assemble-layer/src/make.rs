//! Makes the tar bytes of a unit, piece by piece.

use std::io::Read;

use assemble_deflate::{DeflateError, Piece};
use assemble_types::{BlobReader, ImagePath};

use crate::codec::{CUT, ENOUGH, GROUP};
use crate::header::{BLOCK, padding};
use crate::plan::{Content, Plan, Planned, Unit};
use crate::segment::{Earlier, PackedPiece, UnitKey};
use crate::source::{Recent, failed};
use crate::{AccountNames, LayerError};

/// Makes pieces of a plan.
pub(crate) struct Maker<'a> {
    pub(crate) plan: &'a Plan<'a>,
    names: &'a AccountNames,
    /// The keys of all units.
    pub(crate) keys: &'a [Option<UnitKey>],
    /// A layer that has some of the units.
    pub(crate) earlier: Option<&'a Earlier>,
    recent: Recent,
}

/// How far a large file is made.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes of its content.
    done: u64,
    /// Pieces.
    pieces: usize,
    /// Of a file that is compressed here.
    reader: Option<BlobReader>,
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
                let stream = &self.plan.streams[*source];
                let done = if known {
                    stream.take_plain(range, 0, piece, u64::MAX)
                } else {
                    stream.take(*source, range, 0, piece, usize::MAX)
                };
                if done.map_err(|source| failed(path, source))? < range.end - range.start {
                    return Err(failed(path, DeflateError::Cut));
                }
                self.recent.used(*source, &self.plan.streams);
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
        if progress.done == 0 {
            self.header(entry, piece)?;
        }
        let len = entry.content.len();
        match &entry.content {
            Content::None => {}
            Content::Plain(blob) => {
                let reader = progress.reader.get_or_insert_with(|| blob.reader());
                let left = len - progress.done;
                let now = if left > CUT as u64 + GROUP { CUT as u64 } else { left };
                fresh(reader, now, piece, path)?;
                progress.done += now;
                if progress.done == len {
                    at_end(reader, path)?;
                }
            }
            Content::Deflated { source, range } => {
                let stream = &self.plan.streams[*source];
                let done = match expected {
                    // The padding behind the last of it does not belong to the content.
                    Some(expected) => {
                        let count = u64::from(expected.plain).saturating_sub(piece.plain.len() as u64);
                        stream.take_plain(range, progress.done, piece, count)
                    }
                    None => stream.take(*source, range, progress.done, piece, ENOUGH),
                };
                progress.done = done.map_err(|source| failed(path, source))?;
                self.recent.used(*source, &self.plan.streams);
            }
        }
        progress.pieces += 1;
        if progress.done < len {
            return Ok(Some(progress));
        }
        piece.fresh(&[0; BLOCK][..padding(len)]);
        Ok(None)
    }

    /// Lets go of the streams that are not needed any more, and asks whether they changed meanwhile.
    fn leave(&self, number: usize, unit: &Unit) -> Result<(), LayerError> {
        for entry in &self.plan.entries[unit.entries.clone()] {
            let Content::Deflated { source, .. } = entry.content else { continue };
            let stream = &self.plan.streams[source];
            if stream.last_unit == Some(number) {
                stream.close().map_err(|source| failed(&entry.entry.path, source))?;
                let changed = |source| LayerError::Content { path: entry.entry.path.clone(), source };
                stream.check().map_err(changed)?;
            }
        }
        Ok(())
    }
}

/// Appends the next bytes of a content.
fn fresh(reader: &mut BlobReader, count: u64, piece: &mut Piece, path: &ImagePath) -> Result<(), LayerError> {
    let failed = |source| LayerError::Content { path: path.clone(), source };
    // Bounded: contents that are longer come in parts.
    let mut bytes = vec![0; usize::try_from(count).unwrap_or(0)];
    reader.read_exact(&mut bytes).map_err(failed)?;
    piece.fresh(&bytes);
    Ok(())
}

/// The content ends here, and its source, also that of an empty file, says that it has not changed.
fn at_end(reader: &mut BlobReader, path: &ImagePath) -> Result<(), LayerError> {
    let failed = |source| LayerError::Content { path: path.clone(), source };
    match reader.read(&mut [0]).map_err(failed)? {
        0 => Ok(()),
        _ => Err(failed(std::io::Error::other("the content is longer than it was"))),
    }
}
