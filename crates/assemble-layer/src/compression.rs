//! How layers are compressed.

use std::fmt;

/// How layers are compressed. The tar within is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// A gzip member, which every tool reads.
    #[default]
    Gzip,
    /// Frames of zstd: faster to write and to unpack, but for newer tools.
    Zstd,
}

impl Compression {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Gzip, Self::Zstd];

    /// Name and version of the rule that turns a tree into compressed bytes. Equal entries with equal contents give equal
    /// compressed bytes under an equal name, if the same contents lie in equal streams.
    /// `docs/format/layer-v1.md` says what it fixes: where pieces end, which blocks are copied, how the rest is coded, the
    /// compressor with its version and level, and the framing. Whoever changes any of them has to count it up.
    pub const fn codec(self) -> &'static str {
        match self {
            Self::Gzip => "gzip-3",
            Self::Zstd => "zstd-3",
        }
    }

    /// As people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
