//! The small checked values that every stage speaks: digests, platforms, image paths, modes, time stamps, URLs that
//! hide secrets, byte ranges that can be read again, and the vocabulary of errors and progress.
//!
//! **In:** text and numbers from outside. **Out:** values that can only be valid.
//! **Never:** I/O of its own, policy, anything that fewer than three crates use.
//!
//! # Why it is the way it is
//! A stage that takes an [`ImagePath`] need not ask whether it climbs out of the image, and one that takes a
//! [`Blob`] need not know whether the bytes lie in memory or in a verified range of a file.

mod blob;
mod digest;
mod explain;
pub mod go_json;
mod image_path;
mod meta;
mod observer;
mod platform;
mod safe_url;
mod spool;
mod timestamp;

pub use blob::{Blob, BlobReader, DeflatedRange, FileLook, ReadAt, StreamMark, StreamMarks};
pub use digest::{Digest, DigestError, HashingWriter, VerifyingReader};
pub use explain::{Explain, Kind, SourceSpan, counted};
pub use image_path::{ImagePath, ImagePathError};
pub use meta::{Mode, Owner};
pub use observer::{Event, Observer, Silent, TransferId};
pub use platform::{Arch, Platform, PlatformError};
pub use safe_url::{SafeUrl, SafeUrlError};
pub use spool::{MemorySpool, Spool, SpoolWriter};
pub use timestamp::{Timestamp, TimestampError};
