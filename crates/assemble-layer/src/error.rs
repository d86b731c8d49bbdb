//! Why a layer cannot be written or read.

use std::io;

use assemble_deflate::DeflateError;
use assemble_types::{Explain, ImagePath, ImagePathError, Kind};

use crate::header::Unrepresentable;

/// Why a layer cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// A file's content could not be read, or changed meanwhile.
    #[error("{path}: its content cannot be read")]
    Content {
        /// The file in the image.
        path: ImagePath,
        /// What the medium said.
        #[source]
        source: io::Error,
    },
    /// A file cannot be taken out of the compressed stream that it lies in.
    #[error("{path}: the package that holds it cannot be unpacked")]
    Stream {
        /// The file in the image.
        path: ImagePath,
        /// What is wrong with the stream.
        #[source]
        source: DeflateError,
    },
    /// A value that no tar header can hold.
    #[error("{path}: cannot be written to a tar: {why}")]
    Unrepresentable {
        /// The entry.
        path: ImagePath,
        /// What does not fit.
        why: Unrepresentable,
    },
    /// The place for the finished layer took no more.
    #[error("the layer cannot be stored")]
    Store(#[source] io::Error),
    /// The compressor did not take a whole block in one call.
    #[error("the compressor took {taken} of {expected} bytes")]
    Compressor {
        /// Bytes of the block.
        expected: u64,
        /// Bytes that went in.
        taken: u64,
    },
    /// What was kept of an earlier layer, or noted of a package when it was checked, does not fit. Without it the layer can
    /// be packed.
    #[error("a layer that was packed before, or a package, is not what was noted of it")]
    Earlier,
    /// A compressing thread ended early.
    #[error("a compressing thread ended early")]
    Worker,
    /// The layer's bytes could not be read: the medium, a broken compressed stream, or a broken tar.
    #[error("the layer cannot be read at byte {offset} of its tar")]
    Read {
        /// Position in the uncompressed tar.
        offset: u64,
        /// What was wrong there.
        #[source]
        source: io::Error,
    },
    /// A compression that is not read.
    #[error("the layer is compressed with {found}, expected gzip, zstd or none")]
    Compression {
        /// The compression's name.
        found: &'static str,
    },
    /// Neither gzip, zstd nor tar.
    #[error("the layer is neither gzip, zstd nor tar: it begins with {begin}")]
    NotALayer {
        /// The first bytes in hexadecimal digits.
        begin: String,
    },
    /// More than the limit.
    #[error("the layer has more than {limit} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// An entry's name is no path inside an image.
    #[error("entry {index} of the layer has a bad name")]
    Name {
        /// Position of the entry, from 0.
        index: u64,
        /// Why.
        #[source]
        source: ImagePathError,
    },
    /// An entry's header has a value that makes no sense.
    #[error("{path}: its {field} in the layer is no valid value")]
    Field {
        /// The entry.
        path: ImagePath,
        /// The header field.
        field: &'static str,
    },
    /// An entry of a type that no image has.
    #[error("{path}: entry type `{}` is not known", .type_flag.escape_ascii())]
    Type {
        /// The entry.
        path: ImagePath,
        /// Its type byte.
        type_flag: u8,
    },
}

impl Explain for LayerError {
    fn code(&self) -> &'static str {
        match self {
            Self::Content { .. } => "layer/content",
            Self::Stream { .. } => "layer/stream",
            Self::Unrepresentable { .. } => "layer/unrepresentable",
            Self::Store(_) => "layer/store",
            Self::Compressor { .. } | Self::Worker => "layer/compressor",
            Self::Earlier => "layer/earlier",
            Self::Read { .. } => "layer/read",
            Self::Compression { .. } => "layer/compression",
            Self::NotALayer { .. } => "layer/not-a-layer",
            Self::TooLarge { .. } => "layer/too-large",
            Self::Name { .. } => "layer/name",
            Self::Field { .. } => "layer/field",
            Self::Type { .. } => "layer/type",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Content { .. } | Self::Store(_) => Kind::Host,
            Self::Unrepresentable { .. } => Kind::Spec,
            Self::Compressor { .. } | Self::Worker => Kind::Bug,
            Self::Stream { .. }
            | Self::Earlier
            | Self::Read { .. }
            | Self::Compression { .. }
            | Self::NotALayer { .. }
            | Self::TooLarge { .. }
            | Self::Name { .. }
            | Self::Field { .. }
            | Self::Type { .. } => Kind::Integrity,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Content { .. } => {
                vec!["build again once nothing writes to the file any more".into()]
            }
            Self::Store(_) => vec!["free space in the cache folder, or name another with --cache-dir".into()],
            Self::Unrepresentable { .. } => vec!["rename the file, or leave it out with `exclude`".into()],
            Self::Compression { .. } => {
                vec!["convert the image first: skopeo copy --dest-compress-format gzip SRC oci:DIR".into()]
            }
            _ => Vec::new(),
        }
    }
}
