//! Packages and indexes of format version 3.

use assemble_apk::{Checksum, Expected, PackageId, PackageName, PackageProblem, Version, open_package};
use assemble_types::{Blob, MemorySpool};
use sha2::{Digest as _, Sha256};

use crate::package::{LIMITS, sound};

/// A block of a plain file: its kind in the upper two bits of the header, its size with the header in the others.
fn block(kind: u32, content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 4).unwrap_or(0x3fff_ffff);
    let mut out = (kind << 30 | size & 0x3fff_ffff).to_le_bytes().to_vec();
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(8), 0);
    out
}

/// Two bytes with the length of the database, the database, and whatever blocks follow. The promise is that of an
/// index over this very database.
pub(crate) fn package(input: &[u8]) {
    let Some((length, rest)) = input.split_first_chunk::<2>() else { return };
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (database, blocks) = rest.split_at(length);
    let mut file = b"ADB.pckg".to_vec();
    file.extend(block(0, database));
    file.extend_from_slice(blocks);
    let file = Blob::from_bytes(file);
    let checksum = Checksum::from_sha256(Sha256::digest(database).into());
    let nobody = PackageId {
        name: PackageName::parse("nobody").expect("a name"),
        version: Version::parse("1").expect("a version"),
    };
    let first = open_package(&file, &Expected { id: nobody.clone(), checksum }, &LIMITS, &MemorySpool);
    // The database says who it is; that is asked for then.
    let id = match &first {
        Err(error) => match &*error.problem {
            PackageProblem::Identity { found } => found.clone(),
            _ => nobody,
        },
        Ok(_) => nobody,
    };
    sound(first);
    let other = Expected { id: id.clone(), checksum: Checksum::from_bytes([9; 20]) };
    assert!(open_package(&file, &other, &LIMITS, &MemorySpool).is_err(), "another checksum was promised");
    let opened = open_package(&file, &Expected { id: id.clone(), checksum }, &LIMITS, &MemorySpool);
    if let Some(package) = sound(opened) {
        assert_eq!(package.id(), id);
        assert_eq!(package.checksum, checksum);
    }
}
