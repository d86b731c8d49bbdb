//! Format version 3 (ADB): packages and indexes.
//!
//! A file is a header, then blocks: one database, signatures over it, and in a package one block of data for each
//! file that has content. All behind the first bytes may be compressed: `ADB.` is not, `ADBd` is deflate, `ADBc` names
//! the way in two more bytes. The database is a tree of values that point at one another by offset; its schema says
//! what the slots of an object mean.
//!
//! # Why it is the way it is
//! Nothing of the database is interpreted before it was hashed as a whole and the hash compared, or a signature over
//! it verified. It may still be hostile: offsets may be shared, so that a few bytes stand for a list of lists without
//! end. Each value that is read is therefore paid for out of a budget, and the depth is that of the schema. A value of
//! another kind than the schema wants, which the package manager takes for nothing, is refused here.
//!
//! # For fuzzing
//! [`read_index`](crate::read_index), [`open_package`](crate::open_package) and
//! [`open_signed_package`](crate::open_signed_package) take bytes as they come. With the hash of the very input in
//! [`Expected`](crate::Expected), all of the package reader is reached.

mod entries;
mod error;
mod index;
mod inflate;
mod info;
mod package;
mod signature;
mod stream;
mod value;

pub use error::{AdbError, SignatureError};
pub(crate) use index::read;
pub(crate) use package::open;
pub use package::{SignedPackage, open_signed_package};

use crate::text::shown;

/// What all files of format version 3 begin with.
pub(crate) const MAGIC: [u8; 3] = *b"ADB";

/// What a database is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Schema {
    Package,
    Index,
}

impl Schema {
    fn bytes(self) -> [u8; 4] {
        match self {
            Self::Package => *b"pckg",
            Self::Index => *b"indx",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Package => "a package",
            Self::Index => "an index",
        }
    }

    /// Fails for a file of another schema.
    fn check(self, found: [u8; 4]) -> Result<(), AdbError> {
        if found == self.bytes() {
            return Ok(());
        }
        let found = match &found {
            b"pckg" => "a package".to_owned(),
            b"indx" => "an index".to_owned(),
            other => format!("something of the unknown kind `{}`", shown(other)),
        };
        Err(AdbError::Schema { expected: self.name(), found })
    }
}
