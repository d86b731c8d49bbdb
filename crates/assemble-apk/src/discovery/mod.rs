//! Keys that a repository's host or its distribution publishes: what the documents say, not how to get them.
//!
//! Two kinds are read. Alpine lists the keys of every branch and architecture in `releases.json`; Chainguard's
//! repositories have a document `apk-configuration` that names a JSON Web Key Set (RFC 7517). Names and bytes of the
//! keys are those that apko gives them, since they end up in images.

mod alpine;
mod jwks;

use assemble_types::{Explain, Kind};

use crate::KeyError;
use crate::text::shown;

pub use alpine::{AlpineKey, AlpineReleases, alpine_branch};
pub use jwks::{jwks_keys, jwks_uri};

/// More keys than this are no list of keys, but a way to keep us busy.
const MOST_KEYS: usize = 64;

/// A document about keys that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// It is no JSON, or JSON of another shape.
    #[error("the document is not as expected: {}", shown(.0))]
    Shape(String),
    /// A date that is none.
    #[error("`{}` is no date; expected one such as 2024-01-31", shown(.0))]
    Date(String),
    /// The address of a key whose last component is no name.
    #[error("`{}` has no file name at its end", shown(.0))]
    Address(String),
    /// Too many keys.
    #[error("{0} keys are listed; at most {MOST_KEYS} are taken")]
    TooMany(usize),
    /// A key without a name.
    #[error("key {0} of the set has no `kid`, and signatures refer to keys by name")]
    NoName(usize),
    /// A key of another kind.
    #[error("key `{}` is of type `{}`; indexes are signed with RSA", shown(.name), shown(.kind))]
    NotRsa {
        /// Its `kid`.
        name: String,
        /// Its `kty`.
        kind: String,
    },
    /// A number of a key that is none.
    #[error("`{field}` of key `{}` is no number in base64url", shown(.name))]
    Number {
        /// The key's `kid`.
        name: String,
        /// `n` or `e`.
        field: &'static str,
    },
    /// A key that cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Explain for DiscoveryError {
    fn code(&self) -> &'static str {
        match self {
            Self::Key(error) => error.code(),
            _ => "apk/discovery",
        }
    }

    fn kind(&self) -> Kind {
        Kind::Unavailable
    }

    fn hints(&self) -> Vec<String> {
        vec!["name the repository's keys yourself, in contents.keyring".into()]
    }
}

fn parse_json<'a, T: serde::Deserialize<'a>>(document: &'a [u8]) -> Result<T, DiscoveryError> {
    serde_json::from_slice(document).map_err(|error| DiscoveryError::Shape(error.to_string()))
}
