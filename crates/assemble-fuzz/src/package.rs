//! Package files.

use std::io::Read as _;

use assemble_apk::{
    Checksum, ContentSum, EntryKind, Expected, Format, Limits, Package, PackageError, PackageId, PackageInfo,
    open_package,
};
use assemble_types::{Blob, MemorySpool};
use flate2::bufread::GzDecoder;

use crate::wrap;

/// Small, so that bombs are refused at once.
pub(crate) const LIMITS: Limits = Limits {
    control: 1 << 20,
    data: 4 << 20,
    path: 4096,
    entries: 5000,
    pax: 1 << 16,
    metadata: 1 << 20,
    database: 1 << 20,
};

/// Whatever is asked for where the input does not say who it is.
fn nobody() -> PackageInfo {
    let text = format!("pkgname = nobody\npkgver = 1\ndatahash = {}\n", "0".repeat(64));
    PackageInfo::parse(text.as_bytes()).expect("a constant .PKGINFO").0
}

pub(crate) fn expected(info: &PackageInfo, checksum: [u8; 20]) -> Expected {
    Expected {
        id: PackageId { name: info.name.clone(), version: info.version.clone() },
        checksum: Checksum::from_bytes(checksum),
    }
}

/// One gzip member of at most a megabyte, and where it ends.
fn member(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut decoder = GzDecoder::new(input);
    let mut plain = Vec::new();
    (&mut decoder).take(1 << 20).read_to_end(&mut plain).ok()?;
    Some((plain, input.len() - decoder.into_inner().len()))
}

fn first_name(tar: &[u8]) -> Option<&[u8]> {
    tar.get(..100)?.split(|b| *b == 0).next()
}

/// What an index would say of the file, read without the reader under test; and where its data begins.
fn promise(input: &[u8]) -> Option<(Expected, usize)> {
    let (mut plain, mut end) = member(input)?;
    let mut start = 0;
    if first_name(&plain)?.starts_with(b".SIGN.") {
        start = end;
        let (next, length) = member(&input[start..])?;
        plain = next;
        end = start + length;
    }
    let mut info = None;
    for entry in tar::Archive::new(plain.as_slice()).entries().ok()? {
        let mut entry = entry.ok()?;
        let mut text = Vec::new();
        entry.read_to_end(&mut text).ok()?;
        if &*entry.path_bytes() == b".PKGINFO" {
            info = PackageInfo::parse(&text).ok().map(|(info, _)| info);
        }
    }
    Some((expected(&info?, wrap::sha1(&input[start..end])), end))
}

/// Any bytes as a package, with the promise that an index would make.
pub(crate) fn packed(input: &[u8]) {
    let promised = promise(input);
    let (promised, data) = promised.unwrap_or_else(|| (expected(&nobody(), [0; 20]), 0));
    let opened = open_package(&Blob::from_bytes(input), &promised, &LIMITS, &MemorySpool);
    if let Some(package) = sound(opened) {
        assert_eq!(package.checksum, promised.checksum);
        assert_eq!(package.id(), promised.id);
        let Format::V2 { data: range, data_hash, .. } = package.format else {
            panic!("an index promised a package of version 2")
        };
        assert_eq!(range, data as u64..input.len() as u64, "all that follows is covered by the data hash");
        assert_eq!(data_hash.hex(), wrap::sha256_hex(&input[data..]));
    }
}

/// Any bytes as the plain tar of a data section.
pub(crate) fn data(input: &[u8]) {
    let wrapped = wrap::package(b"pkgname = a\npkgver = 1-r0\n", input);
    let (info, _) = PackageInfo::parse(&wrapped.info).expect("a constant .PKGINFO and a hash");
    let promised = expected(&info, wrapped.checksum);
    sound(open_package(&Blob::from_bytes(wrapped.bytes), &promised, &LIMITS, &MemorySpool));
}

/// What holds for every package that was let in.
pub(crate) fn sound(opened: Result<Package, PackageError>) -> Option<Package> {
    let package = match opened {
        Ok(package) => package,
        Err(error) => {
            assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
            return None;
        }
    };
    let mut total = 0;
    let mut paths = std::collections::BTreeSet::new();
    for entry in &package.entries {
        assert!(paths.insert(entry.path.clone()), "{} is there twice", entry.path);
        assert!(entry.path.as_bytes().len() <= 4096);
        for part in entry.path.components() {
            assert!(!part.is_empty() && part != b"." && part != b".." && part.len() <= 255, "{}", entry.path);
            assert!(!part.starts_with(b".wh.") && !part.iter().any(u8::is_ascii_control), "{}", entry.path);
        }
        if let EntryKind::File(blob) = &entry.kind {
            let content = blob.read_to_vec(LIMITS.data).expect("the content is there");
            total += content.len() as u64;
            if let Some(checksum) = entry.checksum {
                assert_eq!(ContentSum::of(&content), checksum, "{}", entry.path);
            }
        }
    }
    assert!(total <= LIMITS.data, "{total} bytes got past the limit");
    Some(package)
}
