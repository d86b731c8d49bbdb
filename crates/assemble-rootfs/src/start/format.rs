//! Tells program formats apart by their first bytes.

use std::io;

use assemble_types::{Blob, Platform};

use super::elf;
use crate::shown::shown;

/// How many bytes the kernel looks at (`BINPRM_BUF_SIZE`).
pub(super) const HEAD: usize = 256;

/// What a file is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Elf,
    Script,
    MachO,
    Pe,
    Empty,
    /// Something else, in words.
    Other(&'static str),
}

/// What a file is that someone wants to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElfIdentity {
    /// An ELF file.
    Elf {
        /// The platform it is built for, if it is one that images can be for. 32-bit ARM counts as v7 unless the
        /// file says that it is for an older one.
        platform: Option<Platform>,
        /// Whether it runs without a loader and libraries.
        is_static: bool,
        /// The loader it asks for.
        interpreter: Option<String>,
    },
    /// A program for macOS.
    MachO,
    /// A program for Windows.
    Pe,
    /// A text that begins with `#!`.
    Script,
    /// Anything else, a damaged ELF file included.
    Other,
}

/// The first bytes of a file, as many as the kernel looks at.
pub(super) fn head(blob: &Blob) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD];
    let mut filled = 0;
    while filled < head.len() {
        match blob.read_at(&mut head[filled..], filled as u64)? {
            0 => break,
            n => filled += n,
        }
    }
    head.truncate(filled);
    Ok(head)
}

/// Tells by the first bytes.
pub(super) fn of(head: &[u8]) -> Format {
    let starts = |magic: &[u8]| head.starts_with(magic);
    match head {
        [] => Format::Empty,
        _ if starts(b"\x7fELF") => Format::Elf,
        _ if starts(b"#!") => Format::Script,
        _ if starts(b"\xef\xbb\xbf#!") => {
            Format::Other("a script with a byte order mark in front of its `#!`")
        }
        // The last of them is for several CPUs. Java's classes share it; there a version of 45 and more follows.
        [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..]
        | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..]
        | [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 0..=44, ..] => Format::MachO,
        [0xca, 0xfe, 0xba, 0xbe, ..] => Format::Other("a Java class"),
        [b'M', b'Z', ..] => Format::Pe,
        _ if starts(b"PK\x03\x04") => Format::Other("a ZIP or JAR archive"),
        _ if starts(b"\0asm") => Format::Other("a WebAssembly module"),
        _ if starts(b"\x1f\x8b") => Format::Other("gzip-compressed data"),
        _ if starts(b"\x28\xb5\x2f\xfd") => Format::Other("zstd-compressed data"),
        _ if starts(b"!<arch>\n") => Format::Other("a static library (`.a`)"),
        _ if head.iter().all(|b| *b >= b' ' && *b != 0x7f || b"\t\n\r\x0c".contains(b)) => {
            Format::Other("a text without `#!`")
        }
        _ => Format::Other("data of no known program format"),
    }
}

/// Says what a file is, from a few reads of its headers. What cannot be read is [`ElfIdentity::Other`].
pub fn elf_platform(bytes: &Blob) -> ElfIdentity {
    match head(bytes).map(|head| of(&head)) {
        Ok(Format::Elf) => elf::read(bytes).map_or(ElfIdentity::Other, |file| ElfIdentity::Elf {
            platform: file.platform,
            is_static: file.interpreter.is_none() && file.needed.is_empty(),
            interpreter: file.interpreter.map(shown),
        }),
        Ok(Format::MachO) => ElfIdentity::MachO,
        Ok(Format::Pe) => ElfIdentity::Pe,
        Ok(Format::Script) => ElfIdentity::Script,
        Ok(Format::Empty | Format::Other(_)) | Err(_) => ElfIdentity::Other,
    }
}
