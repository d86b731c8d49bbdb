//! Units of earlier layers, so that those that come again need not be packed again.
//!
//! # Why it is the way it is
//! What a unit is packed to depends on nothing but its headers, its contents and the streams that these lie in. So it has
//! a key, and who has a layer in which a unit of that key stands can copy it from there. The plain bytes are needed all
//! the same, for the digest of the tar; but not what is known of them.

use std::collections::BTreeMap;

use assemble_types::{Blob, Digest};
use sha2::{Digest as _, Sha256};

use crate::compression::Compression;
use crate::plan::{Content, Plan, Unit};
use crate::{AccountNames, LayerError};

/// Contents of more bytes are not read only to find out whether they were packed before.
const MOST_READ: u64 = 64 << 20;
/// Bytes of a key: more than enough to tell units apart that nobody chose to be confused.
const KEY: usize = 16;
/// Bytes of a piece in the written form.
const ROW: usize = 16;

/// Stands for all that a unit's bytes depend on.
pub(crate) type UnitKey = [u8; KEY];

/// A piece of a unit, as it was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackedPiece {
    /// Packed bytes.
    pub(crate) size: u32,
    /// Plain bytes.
    pub(crate) plain: u32,
    /// Plain bytes in blocks that were copied.
    pub(crate) copied: u32,
    /// The CRC-32 of the plain bytes.
    pub(crate) crc: u32,
}

/// The pieces of one unit, and where the first of them stands in the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PackedUnit {
    at: u64,
    pieces: Vec<PackedPiece>,
}

/// Which units stand where in a layer that was packed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Segments {
    units: BTreeMap<UnitKey, PackedUnit>,
}

/// A layer that was packed before.
#[derive(Debug)]
pub struct Earlier {
    /// What stands where in it.
    pub segments: Segments,
    /// Its compressed bytes.
    pub blob: Blob,
}

impl Segments {
    /// Notes a unit.
    pub(crate) fn add(&mut self, key: UnitKey, at: u64, pieces: Vec<PackedPiece>) {
        self.units.insert(key, PackedUnit { at, pieces });
    }

    /// The written form, which [`Segments::from_bytes`] reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = |count: usize| u32::try_from(count).unwrap_or(0).to_le_bytes();
        let mut out = count(self.units.len()).to_vec();
        for (key, unit) in &self.units {
            out.extend_from_slice(key);
            out.extend_from_slice(&unit.at.to_le_bytes());
            out.extend_from_slice(&count(unit.pieces.len()));
            for piece in &unit.pieces {
                for number in [piece.size, piece.plain, piece.copied, piece.crc] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
        out
    }

    /// Reads what [`Segments::to_bytes`] wrote; nothing if these are other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(bytes);
        let mut out = Self::default();
        for _ in 0..input.count()? {
            let (key, at, pieces) = (*input.array()?, input.number()?, input.count()?);
            let piece = |[size, plain, copied, crc]: [u32; 4]| PackedPiece { size, plain, copied, crc };
            let pieces = input.rows(pieces)?.iter().map(|row| piece(numbers(row))).collect();
            out.units.insert(key, PackedUnit { at, pieces });
        }
        input.0.is_empty().then_some(out)
    }
}

/// The written form, as far as it was not read.
struct Input<'b>(&'b [u8]);

impl<'b> Input<'b> {
    fn array<const N: usize>(&mut self) -> Option<&'b [u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(array)
    }

    fn count(&mut self) -> Option<u32> {
        self.array().copied().map(u32::from_le_bytes)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().copied().map(u64::from_le_bytes)
    }

    /// So many rows of sixteen bytes.
    fn rows(&mut self, count: u32) -> Option<&'b [[u8; ROW]]> {
        let size = usize::try_from(count).ok()?.checked_mul(ROW)?;
        let (rows, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(rows.as_chunks().0)
    }
}

fn numbers(row: &[u8; ROW]) -> [u32; 4] {
    let words = row.as_chunks::<4>().0;
    [0, 1, 2, 3].map(|n| words.get(n).map_or(0, |word| u32::from_le_bytes(*word)))
}

impl Earlier {
    /// The pieces of a unit of this key, if the layer has one.
    pub(crate) fn pieces(&self, key: &UnitKey) -> Option<&[PackedPiece]> {
        Some(self.segments.units.get(key)?.pieces.as_slice())
    }

    /// The packed bytes of a piece of a unit.
    pub(crate) fn packed(&self, key: &UnitKey, number: usize) -> Result<Vec<u8>, LayerError> {
        let unit = self.segments.units.get(key).ok_or(LayerError::Earlier)?;
        let piece = unit.pieces.get(number).ok_or(LayerError::Earlier)?;
        let before: u64 = unit.pieces[..number].iter().map(|piece| u64::from(piece.size)).sum();
        let at = unit.at.checked_add(before).ok_or(LayerError::Earlier)?;
        let bytes = self.blob.slice(at..at.saturating_add(piece.size.into())).ok_or(LayerError::Earlier)?;
        bytes.read_to_vec(piece.size.into()).map_err(|_| LayerError::Earlier)
    }
}

impl Plan<'_> {
    /// The keys of all units; nothing for those of which it cannot be said, or not without much reading.
    pub(crate) fn keys(
        &self,
        names: &AccountNames,
        compression: Compression,
    ) -> Result<Vec<Option<UnitKey>>, LayerError> {
        let mut header = Vec::new();
        self.units.iter().map(|unit| self.unit_key(unit, names, compression, &mut header)).collect()
    }

    fn unit_key(
        &self,
        unit: &Unit,
        names: &AccountNames,
        compression: Compression,
        header: &mut Vec<u8>,
    ) -> Result<Option<UnitKey>, LayerError> {
        let mut hasher = Sha256::new_with_prefix(compression.codec());
        // Which of the contents lie in one stream counts, and not which it is.
        let mut sources = Vec::new();
        for entry in &self.entries[unit.entries.clone()] {
            header.clear();
            entry.encode(names, header)?;
            hasher.update((header.len() as u64).to_le_bytes());
            hasher.update(&header);
            match &entry.content {
                Content::None => hasher.update(b"n"),
                Content::Plain(blob) if blob.len() > MOST_READ => return Ok(None),
                Content::Plain(blob) => {
                    let failed = |source| LayerError::Content { path: entry.entry.path.clone(), source };
                    hasher.update(b"p");
                    hasher.update(blob.content_digest().map_err(failed)?.as_bytes());
                }
                Content::Deflated { source, range } => {
                    let Some(digest) = self.streams[*source as usize].digest else { return Ok(None) };
                    let known = sources.iter().position(|other| other == source);
                    let number = known.unwrap_or_else(|| {
                        sources.push(*source);
                        sources.len() - 1
                    });
                    hasher.update(b"d");
                    hasher.update((number as u64).to_le_bytes());
                    hasher.update(digest.as_bytes());
                    hasher.update(range.start.to_le_bytes());
                    hasher.update(range.end.to_le_bytes());
                    let part = unit.part.clone().unwrap_or(0..range.end - range.start);
                    hasher.update(part.start.to_le_bytes());
                    hasher.update(part.end.to_le_bytes());
                }
            }
        }
        hasher.update(if unit.last { b"l" } else { b"-" });
        let digest: [u8; 32] = hasher.finalize().into();
        Ok(digest.first_chunk().copied())
    }
}

/// Stands for a whole layer, if it can be said of all units what stands for them.
pub(crate) fn layer_key(keys: &[Option<UnitKey>], compression: Compression) -> Option<Digest> {
    let mut all = compression.codec().as_bytes().to_vec();
    for key in keys {
        all.extend_from_slice(key.as_ref()?);
    }
    Some(Digest::of(&all))
}
