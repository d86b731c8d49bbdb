//! Where test data lies, and short ways to say things.

use std::fs;
use std::path::{Path, PathBuf};

use assemble_apk::{
    Checksum, Expected, Index, Keyring, Limits, Package, PackageError, PackageId, PackageName, PublicKey,
    Trust, Version, open_package, read_index,
};
use assemble_testkit::{BuiltApk, TEST_KEY, TEST_KEY_NAME};
use assemble_types::{Blob, MemorySpool};

/// A path of the large test kit beside the workspace, or nothing, said aloud.
pub(crate) fn kit(path: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/testkit");
    let root = std::env::var_os("ASSEMBLE_TESTKIT").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let full = root.join(path);
    if full.exists() {
        return Some(full);
    }
    eprintln!("SKIPPED: {} is not there; set ASSEMBLE_TESTKIT to the folder of the test kit", full.display());
    None
}

/// A path of `testdata`, which is always there.
pub(crate) fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}

/// All public keys of a folder.
pub(crate) fn keyring(folder: &Path) -> Keyring {
    let mut ring = Keyring::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".pub") {
            ring.insert(PublicKey::parse(&name, &fs::read(&path).unwrap()).unwrap());
        }
    }
    ring
}

/// The key that the builders of `assemble-testkit` sign with.
pub(crate) fn test_keyring() -> Keyring {
    [PublicKey::parse(TEST_KEY_NAME, TEST_KEY.as_bytes()).unwrap()].into_iter().collect()
}

/// Reads an index of a folder, signature and all.
pub(crate) fn index(folder: &Path, keyring: &Keyring) -> Index {
    read_index(&fs::read(folder.join("APKINDEX.tar.gz")).unwrap(), keyring, Trust::Required).unwrap()
}

pub(crate) fn id(name: &str, version: &str) -> PackageId {
    PackageId { name: PackageName::parse(name).unwrap(), version: Version::parse(version).unwrap() }
}

/// Opens bytes as the package that an index promises.
pub(crate) fn open(
    bytes: Vec<u8>,
    name: &str,
    version: &str,
    checksum: Checksum,
    limits: &Limits,
) -> Result<Package, PackageError> {
    let expected = Expected { id: id(name, version), checksum };
    open_package(&Blob::from_bytes(bytes), &expected, limits, &MemorySpool)
}

/// Opens a package that was just built.
pub(crate) fn open_built(apk: &BuiltApk) -> Result<Package, PackageError> {
    let checksum = Checksum::parse(&apk.checksum).unwrap();
    open(apk.bytes.clone(), &apk.name, &apk.version, checksum, &Limits::default())
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The size of gzip members at the front: where signature, control and data sections begin and end.
pub(crate) fn member_ends(bytes: &[u8]) -> Vec<usize> {
    use std::io::Read as _;
    let mut ends = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut decoder = flate2::bufread::GzDecoder::new(rest);
        std::io::copy(&mut decoder.by_ref(), &mut std::io::sink()).unwrap();
        rest = decoder.into_inner();
        ends.push(bytes.len() - rest.len());
    }
    ends
}
