//! Why image documents cannot be made or read.

use assemble_types::{Digest, Explain, Kind, Platform};

/// Why image documents cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Not JSON, or not of the expected shape.
    #[error("the {document} cannot be read")]
    Json {
        /// What it should be: `manifest`, `index`, `config`.
        document: &'static str,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// Larger than any tool takes.
    #[error("the {document} has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// What it should be.
        document: &'static str,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// More of something than the limit.
    #[error("the {document} has {count} {what}, the limit is {limit}")]
    TooMany {
        /// Where.
        document: &'static str,
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A schema version other than 2.
    #[error("the {document} has schema version {found}, expected 2")]
    SchemaVersion {
        /// What it should be.
        document: &'static str,
        /// What it says.
        found: u32,
    },
    /// A media type that does not belong there.
    #[error("the {document} has media type `{}`, expected {expected}", .found.escape_debug())]
    MediaType {
        /// What it should be.
        document: &'static str,
        /// What it says.
        found: String,
        /// What is taken.
        expected: &'static str,
    },
    /// A digest that is not SHA-256.
    #[error("the {document} names the digest `{}`, only sha256 is read", .found.escape_debug())]
    Digest {
        /// Where.
        document: &'static str,
        /// What it says.
        found: String,
    },
    /// An index without an entry for the platform.
    #[error("the index has no image for {wanted}, it has {}", list(.found))]
    NoPlatform {
        /// What was asked for.
        wanted: Platform,
        /// What is there, as text.
        found: Vec<String>,
    },
    /// Indexes within indexes within indexes.
    #[error("{digest} is an index nested more than {limit} deep")]
    TooDeep {
        /// The innermost index.
        digest: Digest,
        /// The limit.
        limit: usize,
    },
    /// A form that holds one platform was asked to hold several.
    #[error("a docker-archive holds one platform, this image has {count}")]
    OnePlatform {
        /// How many there are.
        count: usize,
    },
    /// Nothing to put into an archive.
    #[error("the index lists no image")]
    NoImages,
    /// Bytes that should be at hand are not.
    #[error("the bytes of {0} are missing")]
    MissingBlob(Digest),
}

fn list(texts: &[String]) -> String {
    if texts.is_empty() { "none".into() } else { texts.join(", ") }
}

impl Explain for ImageError {
    fn code(&self) -> &'static str {
        match self {
            Self::Json { .. } => "image/json",
            Self::TooLarge { .. } | Self::TooMany { .. } => "image/too-large",
            Self::SchemaVersion { .. } => "image/schema-version",
            Self::MediaType { .. } => "image/media-type",
            Self::Digest { .. } => "image/digest",
            Self::NoPlatform { .. } => "image/no-platform",
            Self::TooDeep { .. } => "image/too-deep",
            Self::OnePlatform { .. } => "image/one-platform",
            Self::NoImages => "image/no-images",
            Self::MissingBlob(_) => "image/missing-blob",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NoPlatform { .. } | Self::OnePlatform { .. } | Self::NoImages => Kind::Usage,
            Self::MissingBlob(_) => Kind::Bug,
            _ => Kind::Integrity,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoPlatform { found, .. } => {
                found.first().map(|first| format!("say --platform {first}")).into_iter().collect()
            }
            Self::OnePlatform { .. } => {
                vec!["choose one with --platform, or write oci-archive:FILE, which holds all".into()]
            }
            _ => Vec::new(),
        }
    }
}
