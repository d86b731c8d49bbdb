//! What the cache has to know of packages: where to divide them, and whether they are whole.

use assemble_apk::{DataFinder, DataFound, is_version_3, own_checksum};
use assemble_fetch::{Checked, ContentKey, Divider, Division, OwnKey, Store};

use crate::error::{Error, OwnError, Result};

/// Reads everything in the cache, and removes what is damaged. Packages of version 2 are held against their own control
/// section and against the checksum that they are kept by; of version 3 there is nothing to hold against until an index
/// names them.
///
/// # Errors
/// A folder of the cache cannot be read.
pub fn check_cache(store: &Store) -> Result<Checked> {
    let own_key = |packed: &assemble_types::Blob| {
        if is_version_3(packed) {
            return OwnKey::Unknown;
        }
        match own_checksum(packed) {
            Some(checksum) => OwnKey::Is(ContentKey::new(checksum.to_string(), packed.len())),
            None => OwnKey::Damaged,
        }
    };
    Ok(store.check(&own_key)?)
}

/// The failure that damage in the cache stands for, if there was any, or that not all could be read. Whoever looks after a
/// cache is to see it.
pub fn damaged_cache(checked: &Checked) -> Option<Error> {
    let (gone, stuck, unread) = (checked.damaged.len(), checked.stuck.len(), checked.unread.len());
    if gone + stuck > 0 {
        return Some(OwnError::CacheDamaged { gone, stuck }.into());
    }
    (unread > 0).then(|| OwnError::CacheUnread(unread).into())
}

/// Divides packages in front of their data section, which may be a layer as it is.
pub fn package_divider() -> Box<dyn Divider> {
    Box::new(PackageDivider(DataFinder::default()))
}

struct PackageDivider(DataFinder);

impl Divider for PackageDivider {
    fn feed(&mut self, bytes: &[u8]) -> Division {
        match self.0.feed(bytes) {
            DataFound::NotYet => Division::NotYet,
            DataFound::Here(at) => Division::Here(at),
            DataFound::Never => Division::Never,
        }
    }
}
