//! Builds valid outer forms around an input, without any code of the readers under test.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

/// One gzip member.
pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("writing to memory works");
    encoder.finish().expect("writing to memory works")
}

/// A tar archive of plain files; without the closing blocks if `open`.
pub fn tar(files: &[(&str, &[u8])], open: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).expect("names given here are short");
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    if !open {
        out.resize(out.len() + 1024, 0);
    }
    out
}

/// SHA-1.
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    Sha1::digest(bytes).into()
}

/// SHA-256 as lower-case hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().flat_map(|b| [b >> 4, b & 15]).map(hex_digit).collect()
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('?')
}

/// A package whose hashes are right, whatever its parts hold.
#[derive(Debug)]
pub struct Wrapped {
    /// The file.
    pub bytes: Vec<u8>,
    /// SHA-1 of its control section.
    pub checksum: [u8; 20],
    /// `.PKGINFO`, with the line that vouches for the data.
    pub info: Vec<u8>,
}

/// Puts `info`, a line for the data's hash, and `data`, a plain tar, into a package.
pub fn package(info: &[u8], data: &[u8]) -> Wrapped {
    let data = gzip(data);
    let mut info = info.to_vec();
    info.extend_from_slice(format!("\ndatahash = {}\n", sha256_hex(&data)).as_bytes());
    let control = gzip(&tar(&[(".PKGINFO", &info)], true));
    let checksum = sha1(&control);
    let mut bytes = control;
    bytes.extend_from_slice(&data);
    Wrapped { bytes, checksum, info }
}
