//! Why a file of format version 3 is refused.

use std::io;

use crate::text::shown;

/// What is wrong with a file of format version 3.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdbError {
    /// A compression that nobody knows.
    #[error("it is compressed in an unknown way (`{}`)", shown(tag))]
    Compression {
        /// The byte that names it.
        tag: Vec<u8>,
    },
    /// It cannot be unpacked, or ends too early.
    #[error("it is damaged or cut short")]
    Damaged(#[source] io::Error),
    /// Behind the compression there is no `ADB.`.
    #[error("it holds no database")]
    NoDatabase,
    /// A package where an index is expected, or the other way round.
    #[error("it holds {found}, not {expected}")]
    Schema {
        /// What it should hold.
        expected: &'static str,
        /// What it holds.
        found: String,
    },
    /// Made for readers that do not exist yet.
    #[error("its database needs a newer reader (format {version})")]
    Version {
        /// The number.
        version: u8,
    },
    /// A block that cannot be there, or is none.
    #[error("the block at byte {at} of its contents {problem}")]
    Block {
        /// Where it begins, unpacked.
        at: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The database is larger than the limit.
    #[error("its database has more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// Few bytes that stand for many: shared offsets.
    #[error("the values of its database add up to more than {limit} bytes")]
    Growth {
        /// The limit.
        limit: u64,
    },
    /// A value that is not what the schema wants.
    #[error("`{field}` in its database {problem}")]
    Value {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The file goes on behind its compressed contents.
    #[error("it goes on behind its end")]
    Trailing,
}

impl AdbError {
    pub(super) fn value(field: &'static str, problem: &'static str) -> Self {
        Self::Value { field, problem }
    }
}

/// Why no signature of a file counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is none.
    #[error("it is not signed")]
    Unsigned,
    /// None is by a key of the keyring.
    #[error("it is signed by {}, and none of these keys is trusted", ids.join(", "))]
    UnknownKey {
        /// The keys as the signatures name them.
        ids: Vec<String>,
    },
    /// Keys are known, but the signatures are not theirs.
    #[error("its signature does not verify with key {}", keys.join(", "))]
    Wrong {
        /// The keys' file names.
        keys: Vec<String>,
    },
    /// Signatures of a form that is not known.
    #[error("it has no signature of a known form")]
    Form,
}
