//! SHA-256 digests as the OCI specification writes them, and readers and writers that compute or enforce them.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest. Its text form is `sha256:` and 64 lower-case hexadecimal digits (OCI image spec, descriptor).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Text that is no digest.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{}` is no digest: expected `sha256:` and 64 lower-case hexadecimal digits", .0.escape_debug())]
pub struct DigestError(String);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest computed elsewhere.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hexadecimal digits, without the algorithm.
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> String {
        HEXLOWER.encode(&self.0[..6])
    }

    /// Parses 64 lower-case hexadecimal digits without the algorithm.
    pub fn parse_hex(text: &str) -> Result<Self, DigestError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| DigestError(text.to_owned()))?;
        Ok(Self(bytes.try_into().map_err(|_| DigestError(text.to_owned()))?))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let hex = text.strip_prefix("sha256:").ok_or_else(|| DigestError(text.to_owned()))?;
        Self::parse_hex(hex).map_err(|_| DigestError(text.to_owned()))
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Passes bytes on, and keeps their digest and number.
#[derive(Debug)]
pub struct HashingWriter<W> {
    inner: W,
    hasher: Sha256,
    written: u64,
}

impl<W: Write> HashingWriter<W> {
    /// Starts with no bytes.
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new(), written: 0 }
    }

    /// How many bytes went through so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The inner writer, the digest and the number of the bytes that went through.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, Digest(self.hasher.finalize().into()), self.written)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.hasher.update(&buf[..n]);
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A reader that cannot end well on the wrong bytes: too many, too few or another digest are errors.
#[derive(Debug)]
pub struct VerifyingReader<R> {
    inner: R,
    hasher: Option<Sha256>,
    left: u64,
    expected: Digest,
}

impl<R: Read> VerifyingReader<R> {
    /// Reads `size` bytes whose digest must be `expected`.
    pub fn new(inner: R, expected: Digest, size: u64) -> Self {
        Self { inner, hasher: Some(Sha256::new()), left: size, expected }
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let Some(hasher) = self.hasher.as_mut() else { return Ok(0) };
        let n = self.inner.read(buf)?;
        let bad = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        if n as u64 > self.left {
            return Err(bad(format!("{} is longer than its descriptor says", self.expected)));
        }
        self.left -= n as u64;
        hasher.update(&buf[..n]);
        if n == 0 {
            if self.left > 0 {
                return Err(bad(format!("{} ends {} bytes early", self.expected, self.left)));
            }
            let found = Digest(self.hasher.take().unwrap_or_default().finalize().into());
            if found != self.expected {
                return Err(bad(format!("expected {}, the bytes have {found}", self.expected)));
            }
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn text_form_is_strict() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>().unwrap(), Digest::of(b""));
        for bad in ["", "sha256:", &EMPTY.to_uppercase(), &EMPTY[7..], &EMPTY[..70], "sha512:00"] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn verifying_reader_tells_every_difference() {
        let read = |bytes: &[u8], size: u64| {
            let mut out = Vec::new();
            VerifyingReader::new(bytes, Digest::of(b"abc"), size).read_to_end(&mut out).map(|_| out)
        };
        assert_eq!(read(b"abc", 3).unwrap(), b"abc");
        assert!(read(b"abd", 3).unwrap_err().to_string().contains("the bytes have"));
        assert!(read(b"ab", 3).unwrap_err().to_string().contains("ends 1 bytes early"));
        assert!(read(b"abcd", 3).unwrap_err().to_string().contains("longer"));
    }
}
