//! Reads deflate streams block by block, and writes streams that hold blocks of others (RFC 1951), or frames of zstd that
//! hold their matches (RFC 8878).
//!
//! **In:** deflate streams, such as those inside packages, and which of their plain bytes are files. **Out:** pieces of
//! these files with what is known of their compressed form; and streams and frames made of such pieces.
//! **Never:** I/O of its own, bytes that depend on the processor.
//!
//! # Why it is the way it is
//! What a package holds is compressed already. A block that repeats nothing from outside a file means the same wherever
//! that file stands, so a layer can take it over as it is, bit by bit. What lies at the seams is coded anew from the
//! symbols that are there, which need no search for matches: that is what makes compressing slow. Matches are only
//! searched for bytes that no stream has symbols for, such as the headers of a tar. A frame takes over nothing as it is,
//! but all matches.
//!
//! No crate tells where blocks begin and how far back they reach, so the reader is ours. It takes and refuses exactly
//! what zlib takes and refuses; tests and a fuzz target compare the two.
//!
//! What an encoder makes of a piece depends on the piece alone, and where a piece ends on its file and stream alone; not
//! on how the reader came there, or on how its source gives its bytes.

mod bits;
mod block;
mod codes;
mod encode;
mod error;
mod fast;
mod huffman;
mod inflate;
mod matcher;
mod piece;
mod record;
mod replay;
mod symbol;
mod symbols;
mod walk;
mod zstd;

pub use encode::Encoder;
pub use error::DeflateError;
pub use inflate::{Inflater, MARKED, Mark, Parked, inflate};
pub use piece::{Keep, LARGEST_BLOCK, Piece};
use symbol::Symbol;
pub use zstd::FrameEncoder;
