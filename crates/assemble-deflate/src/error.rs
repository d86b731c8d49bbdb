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
    /// Bytes are asked for that the reader is past, or that it does not hold.
    #[error("bytes are asked for where the reader does not stand")]
    Place,
    /// The plain bytes do not have the checksum that they had.
    #[error("other bytes come out than before")]
    Sum,
    /// The source cannot be read.
    #[error("the compressed bytes cannot be read")]
    Read(#[source] io::Error),
    /// The plain bytes cannot be given on.
    #[error("the plain bytes cannot be written")]
    Write(#[source] io::Error),
}
