//! Turns tree entries into canonical tar bytes and a compressed layer, and reads layers back.
//!
//! **In:** the entries of one part of a finished tree. **Out:** a [`Layer`] whose digests are final; or, the other
//! way, the entries of any layer, and the first difference of two.
//! **Never:** touches the host, takes options that alter bytes, lets threads or read sizes reach a digest.
//!
//! # Why it is the way it is
//! One writer without knobs: every knob would be a second digest for the same input. The headers are our own, since a
//! layer's digest is a digest of header bytes, and what the well-known builders write differs from what apko writes
//! (`docs/format/layer-v1.md`). The layer is cut into pieces whose borders follow from the content alone. Contents that
//! lie in packages are compressed already, so their deflate blocks are copied as far as they can be, and only the rest is
//! coded anew; with zstd, their matches are. Pieces of other contents are compressed, each in one call of a fresh compressor,
//! since a streaming one lets the caller's write sizes show through. Contents are streamed: a few pieces are in memory,
//! whatever the size of a file.

mod accounts;
mod codec;
mod compare;
mod compression;
mod error;
mod gzip;
mod header;
mod make;
mod pack;
mod parse;
mod pipeline;
mod plan;
mod read;
mod segment;
mod source;
mod zstd_frames;

pub use accounts::AccountNames;
pub use compare::{DifferentField, LayerDifference, first_difference};
pub use compression::Compression;
pub use error::LayerError;
pub use header::Unrepresentable;
pub use pack::{Layer, Packing, pack};
pub use read::{
    EntryKind, LayerEntry, LayerReader, ReadLimits, diff_id, read_file, read_layer, read_layer_within,
};
pub use segment::{Earlier, Segments};
