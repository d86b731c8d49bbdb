//! Contents that are kept in two parts, so that the second can be used by itself.
//!
//! # Why it is the way it is
//! A package's last section may be a layer as it is. Kept as a file of its own, under its own digest, it *is* that layer:
//! an output links to it, and it is written once. Where the first part ends is found while the bytes come in, by somebody
//! who knows what they mean; the digest is made on the way, while the bytes are at hand anyway.

use std::io::Write as _;
use std::sync::Arc;

use assemble_types::{Blob, Digest, HashingWriter, ReadAt};
use tempfile::NamedTempFile;

use crate::FetchError;
use crate::cache::Cache;
use crate::transfer::Sink;

/// What a file begins with that is the first part of a content, and names the second.
const MARK: &str = "assemble parts 1 ";
/// No first part is larger; what is, is kept in one piece.
const MOST_FIRST: usize = 16 << 20;

/// Where a content is to be divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Division {
    /// Not in these bytes, as far as they tell.
    NotYet,
    /// In front of this byte of them.
    Here(usize),
    /// Nowhere.
    Never,
}

/// Finds where a content is to be divided, while its bytes come in.
pub trait Divider: Send {
    /// Takes the next bytes. Not called again once it said where, or that there is no such place.
    fn feed(&mut self, bytes: &[u8]) -> Division;
}

/// Makes a divider for the next content.
pub type MakeDivider = fn() -> Box<dyn Divider>;

/// Keeps every content in one piece.
pub(crate) struct Undivided;

impl Divider for Undivided {
    fn feed(&mut self, _: &[u8]) -> Division {
        Division::Never
    }
}

/// Takes a body apart as it comes in.
pub(crate) struct DividedBody<'a> {
    cache: &'a Cache,
    make: MakeDivider,
    state: State,
}

enum State {
    First { bytes: Vec<u8>, divider: Box<dyn Divider> },
    Second { first: Vec<u8>, out: HashingWriter<NamedTempFile> },
    Whole(NamedTempFile),
}

/// A body that came in whole.
pub(crate) enum Divided {
    Whole(NamedTempFile),
    Parts { first: Vec<u8>, second: NamedTempFile, digest: Digest, size: u64 },
}

impl<'a> DividedBody<'a> {
    pub(crate) fn new(cache: &'a Cache, make: MakeDivider) -> Self {
        Self { cache, make, state: State::First { bytes: Vec::new(), divider: make() } }
    }

    pub(crate) fn finish(self) -> Result<Divided, FetchError> {
        match self.state {
            State::First { bytes, .. } => Ok(Divided::Whole(whole(self.cache, &bytes)?)),
            State::Whole(file) => Ok(Divided::Whole(file)),
            State::Second { first, out } => {
                let (second, digest, size) = out.finish();
                Ok(Divided::Parts { first, second, digest, size })
            }
        }
    }
}

fn whole(cache: &Cache, bytes: &[u8]) -> Result<NamedTempFile, FetchError> {
    let mut file = cache.part()?;
    file.write_all(bytes).map_err(|e| FetchError::io(file.path(), "write", e))?;
    Ok(file)
}

impl Sink for DividedBody<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        match &mut self.state {
            State::Whole(file) => file.write_all(bytes).map_err(|e| FetchError::io(file.path(), "write", e)),
            State::Second { out, .. } => out.write_all(bytes).map_err(|e| {
                let folder = self.cache.root().map(|root| root.path).unwrap_or_default();
                FetchError::io(&folder, "write a file in it", e)
            }),
            State::First { bytes: first, divider } => {
                let division = match divider.feed(bytes) {
                    Division::NotYet if first.len() + bytes.len() > MOST_FIRST => Division::Never,
                    division => division,
                };
                match division {
                    Division::NotYet => {
                        first.extend_from_slice(bytes);
                        Ok(())
                    }
                    Division::Never => {
                        let file = whole(self.cache, first)?;
                        self.state = State::Whole(file);
                        self.write(bytes)
                    }
                    Division::Here(at) => {
                        let (front, rest) = bytes.split_at(at.min(bytes.len()));
                        first.extend_from_slice(front);
                        let first = std::mem::take(first);
                        self.state = State::Second { first, out: HashingWriter::new(self.cache.part()?) };
                        if rest.is_empty() { Ok(()) } else { self.write(rest) }
                    }
                }
            }
        }
    }

    fn restart(&mut self) -> Result<(), FetchError> {
        self.state = State::First { bytes: Vec::new(), divider: (self.make)() };
        Ok(())
    }
}

/// What stands in front of the first part in its file.
pub(crate) fn mark(digest: &Digest, size: u64) -> String {
    format!("{MARK}{} {size}\n", digest.hex())
}

/// Whether a file is a first part: how long its mark is, and which content is the second.
pub(crate) fn read_mark(file: &Blob) -> Option<(u64, Digest, u64)> {
    // As long as the mark of the largest size can be.
    let mut front = [0; MARK.len() + 64 + 22];
    let n = file.read_at(&mut front, 0).ok()?;
    let line = front[..n].split(|byte| *byte == b'\n').next().filter(|line| line.len() < n)?;
    let text = std::str::from_utf8(line).ok()?.strip_prefix(MARK)?;
    let (hex, size) = text.split_once(' ')?;
    Some((line.len() as u64 + 1, Digest::parse_hex(hex).ok()?, size.parse().ok()?))
}

/// Two files that are one content.
#[derive(Debug)]
struct Joined {
    first: Blob,
    second: Blob,
}

/// The content whose parts these are.
pub(crate) fn join(first: Blob, second: Blob) -> Blob {
    let len = first.len() + second.len();
    Blob::new(Arc::new(Joined { first, second }), len)
}

impl ReadAt for Joined {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
        match offset.checked_sub(self.first.len()) {
            Some(offset) => self.second.read_at(buf, offset),
            None => self.first.read_at(buf, offset),
        }
    }

    fn check(&self) -> std::io::Result<()> {
        self.first.check()?;
        self.second.check()
    }

    fn identity(&self) -> Option<(String, bool)> {
        let ((first, one), (second, other)) = (self.first.whole_identity()?, self.second.whole_identity()?);
        Some((format!("{first} {second}"), one && other))
    }

    fn part(&self, offset: u64, len: u64) -> Option<Blob> {
        (offset == self.first.len() && len == self.second.len()).then(|| self.second.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assemble_types::Silent;

    /// Divides in front of the first `|`, and not at all behind a `!`.
    struct Bar;

    impl Divider for Bar {
        fn feed(&mut self, bytes: &[u8]) -> Division {
            match bytes.iter().position(|byte| matches!(byte, b'|' | b'!')) {
                Some(at) if bytes[at] == b'|' => Division::Here(at),
                Some(_) => Division::Never,
                None => Division::NotYet,
            }
        }
    }

    #[test]
    fn bodies_are_divided_wherever_they_are_cut() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(Some(dir.path()), std::env::temp_dir(), Arc::new(Silent), false);
        for (text, parts) in [
            ("front|rest", true),
            ("|", true),
            ("front|", true),
            ("no bar", false),
            ("a!b|c", false),
            ("", false),
        ] {
            for step in [1, 3, 100] {
                let mut body = DividedBody::new(&cache, || Box::new(Bar));
                body.write(b"something else").unwrap();
                body.restart().unwrap();
                for piece in text.as_bytes().chunks(step) {
                    body.write(piece).unwrap();
                }
                match body.finish().unwrap() {
                    Divided::Whole(file) => {
                        assert!(!parts, "{text}");
                        assert_eq!(std::fs::read(file.path()).unwrap(), text.as_bytes());
                    }
                    Divided::Parts { first, second, digest, size } => {
                        assert!(parts, "{text}");
                        let second = std::fs::read(second.path()).unwrap();
                        assert_eq!([&first[..], &second].concat(), text.as_bytes());
                        assert!(second.starts_with(b"|"));
                        assert_eq!((digest, size), (Digest::of(&second), second.len() as u64));
                    }
                }
            }
        }
    }

    #[test]
    fn marks_and_joined_parts() {
        let digest = Digest::of(b"second");
        for size in [0, 6, u64::MAX] {
            let mark = mark(&digest, size);
            let file = Blob::from_bytes([mark.as_bytes(), b"first"].concat());
            assert_eq!(read_mark(&file), Some((mark.len() as u64, digest, size)));
            for cut in 0..mark.len() {
                assert_eq!(read_mark(&Blob::from_bytes(&mark.as_bytes()[..cut])), None);
            }
        }
        assert_eq!(read_mark(&Blob::from_bytes([0x1f, 0x8b, 8, 0])), None);
        let joined = join(Blob::from_bytes(*b"first"), Blob::from_bytes(*b"second"));
        assert_eq!(joined.read_to_vec(99).unwrap(), b"firstsecond");
        assert_eq!(joined.slice(3..8).unwrap().read_to_vec(99).unwrap(), b"stsec");
        assert_eq!(joined.slice(5..11).unwrap().read_to_vec(99).unwrap(), b"second");
    }
}
