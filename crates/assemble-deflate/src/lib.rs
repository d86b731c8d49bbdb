//! Reads deflate streams block by block, and writes streams that hold blocks of others (RFC 1951).
//!
//! **In:** deflate streams, such as those inside packages. **Out:** their plain bytes and a list of their blocks, each with
//! how far back it reaches; new streams into which such blocks are copied, bit by bit.
//! **Never:** I/O of its own, a search for matches, anything that depends on the processor.
//!
//! # Why it is the way it is
//! What a package holds is compressed already. A block that repeats nothing from outside a file means the same wherever
//! that file stands, so a layer can take it over as it is. Only what lies at the seams is written anew, from the
//! symbols that are there: without searching for matches, which is what makes compressing slow.
//!
//! No crate tells where blocks begin and how far back they reach, so the reader is ours. It takes and refuses exactly
//! what zlib takes and refuses; tests and a fuzz target compare the two.

mod bits;
mod error;
mod huffman;
mod inflate;
mod splice;
mod symbols;
mod tokens;

pub use error::DeflateError;
pub use inflate::{Block, BlockKind, Collect, Visitor, inflate};
pub use splice::Splicer;
pub use tokens::{Token, tokens};
