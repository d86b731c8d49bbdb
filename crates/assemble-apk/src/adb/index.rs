//! Indexes of format version 3.

use super::info::{record, text};
use super::signature::Signatures;
use super::stream::{BlockKind, Stream};
use super::value::Database;
use super::{AdbError, Schema};
use crate::index_text::Room;
use crate::package_spec::PackageSpec;
use crate::{Index, IndexError, Keyring, Trust};

const DESCRIPTION: usize = 1;
const PACKAGES: usize = 2;
const PACKAGE_SPEC: usize = 3;

/// Largest database of an index, which is kept in memory while it is read, and what its values may add up to: a package of
/// a real one has a kilobyte.
const MAX_DATABASE: u64 = 128 << 20;
const MAX_VALUES: u64 = 300 << 20;

/// Reads an index and checks its signature before its database is interpreted.
pub(crate) fn read(packed: &[u8], keyring: &Keyring, trust: Trust, limit: u64) -> Result<Index, IndexError> {
    let (database, signatures) = blocks(packed, limit.min(MAX_DATABASE)).map_err(IndexError::Adb)?;
    let signed_by = match signatures.verify(Schema::Index, &database, keyring) {
        Ok(key) => Some(key),
        Err(_) if trust == Trust::AllowUntrusted => None,
        Err(error) => return Err(IndexError::signature(error, keyring)),
    };
    interpret(&database, signed_by, Room::beside(packed.len() + database.len()))
}

fn blocks(packed: &[u8], limit: u64) -> Result<(Vec<u8>, Signatures), AdbError> {
    let mut stream = Stream::open(packed, Schema::Index)?;
    let database = stream.database(limit)?;
    let mut signatures = Signatures::default();
    while let Some(block) = stream.next()? {
        if block.kind != BlockKind::Signature {
            return Err(block.error("has no place in an index"));
        }
        signatures.read(&block, &mut stream)?;
    }
    Ok((database, signatures))
}

fn interpret(database: &[u8], signed_by: Option<String>, mut room: Room) -> Result<Index, IndexError> {
    let database = Database::new(database, MAX_VALUES).map_err(IndexError::Adb)?;
    let root = database.root().map_err(IndexError::Adb)?;
    let packages = root.list(PACKAGES, "packages").map_err(IndexError::Adb)?;
    let mut records = Vec::new();
    for number in packages.numbers() {
        let read = || match packages.object(number, "packages")? {
            Some(info) => record(info),
            None => Err(AdbError::value("packages", "has an empty item")),
        };
        let record = read().map_err(|source| IndexError::Record { number, source })?;
        room.take(&record)?;
        records.push(record);
    }
    let spec = text(root, PACKAGE_SPEC, "pkgname-spec").map_err(IndexError::Adb)?;
    let files = match spec.as_str() {
        "" => PackageSpec::version_3(),
        spec => PackageSpec::parse(spec)?,
    };
    let description = text(root, DESCRIPTION, "description").map_err(IndexError::Adb)?;
    Ok(Index { records: records.into(), description, signed_by, files })
}
