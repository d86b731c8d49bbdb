//! What can be wrong with a stream.

use std::io;

/// Why a stream cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DeflateError {
    /// The source ends within the stream.
    #[error("the compressed bytes end too early")]
    Cut,
    /// A block is of a kind that does not exist.
    #[error("a block has no known kind")]
    Kind,
    /// The two copies of a stored block's length differ.
    #[error("the length of a stored block is damaged")]
    StoredLength,
    /// The codes of a block are none.
    #[error("the codes of a block are damaged")]
    Code,
    /// Bits that are no code.
    #[error("a symbol is damaged")]
    Symbol,
    /// A match begins before the first byte.
    #[error("a match reaches back beyond the beginning")]
    Distance,
    /// A block that is to be copied does not lie in the bytes that were given.
    #[error("a block does not lie in the bytes it is said to lie in")]
    Place,
    /// The source cannot be read.
    #[error("the compressed bytes cannot be read")]
    Read(#[source] io::Error),
    /// The plain bytes cannot be given on.
    #[error("the plain bytes cannot be written")]
    Write(#[source] io::Error),
}
