//! APK's own checksums.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use sha1::{Digest as _, Sha1};

use crate::text::shown;

/// What an index vouches for a package with, and what a file's content is known by.
///
/// * 20 bytes, written `Q1` and base64: a SHA-1; of a version 2 package it is that of the packed control section, of a
///   file that of its content. Old indexes of version 3 packages have the first 20 bytes of a SHA-256 there.
/// * 32 bytes, written `Q2` and base64: a SHA-256; of a version 3 package it is that of the database in front, which
///   covers all else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checksum(Bytes);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Bytes {
    Short([u8; 20]),
    Long([u8; 32]),
}

/// The SHA-1 of a file's content or of a link's text, which an image knows files by. Every entry has one, so it is no
/// larger than it has to be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentSum([u8; 20]);

impl ContentSum {
    /// Parses what the PAX record `APK-TOOLS.checksum.SHA1` of a file holds: 40 hexadecimal digits, or the form of
    /// [`Checksum::parse`] for a SHA-1, which some tools write.
    pub fn parse_pax(text: &str) -> Result<Self, ChecksumError> {
        if let Some(bytes) = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().and_then(|b| b.try_into().ok())
        {
            return Ok(Self(bytes));
        }
        match Checksum::parse(text) {
            Ok(Checksum(Bytes::Short(bytes))) => Ok(Self(bytes)),
            _ => Err(ChecksumError { text: text.to_owned() }),
        }
    }

    /// A SHA-1 computed elsewhere.
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The SHA-1 of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha1::digest(bytes).into())
    }

    /// The 20 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As it is shown, `Q1` and base64: databases of installed packages have tens of thousands of them.
    pub(crate) fn text(&self) -> [u8; 30] {
        let mut text = *b"Q1............................";
        BASE64.encode_mut(&self.0, &mut text[2..]);
        text
    }
}

impl From<ContentSum> for Checksum {
    fn from(sum: ContentSum) -> Self {
        Self::from_bytes(sum.0)
    }
}

impl fmt::Display for ContentSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Checksum::from(*self), f)
    }
}

impl fmt::Debug for ContentSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no checksum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no checksum: expected `Q1` and 28 characters of base64, or `Q2` and 44", shown(text))]
pub struct ChecksumError {
    /// The text.
    pub text: String,
}

impl Checksum {
    /// Parses `Q1` or `Q2` and base64.
    pub fn parse(text: &str) -> Result<Self, ChecksumError> {
        let bytes = |tail: &str| BASE64.decode(tail.as_bytes()).ok();
        let parsed = match (text.strip_prefix("Q1"), text.strip_prefix("Q2")) {
            (Some(tail), _) => bytes(tail).and_then(|b| b.try_into().ok()).map(Bytes::Short),
            (_, Some(tail)) => bytes(tail).and_then(|b| b.try_into().ok()).map(Bytes::Long),
            _ => None,
        };
        parsed.map(Self).ok_or_else(|| ChecksumError { text: text.to_owned() })
    }

    /// A SHA-1 computed elsewhere.
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(Bytes::Short(bytes))
    }

    /// A SHA-256 computed elsewhere.
    pub fn from_sha256(bytes: [u8; 32]) -> Self {
        Self(Bytes::Long(bytes))
    }

    /// The SHA-1 of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_bytes(Sha1::digest(bytes).into())
    }

    /// The 20 or 32 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short(bytes) => bytes,
            Bytes::Long(bytes) => bytes,
        }
    }

    /// Whether it has 20 bytes, as all that version 2 knows.
    pub fn is_short(&self) -> bool {
        matches!(self.0, Bytes::Short(_))
    }

    /// The form with 20 bytes: of a SHA-256 the first 20. Package managers know an installed package by it.
    #[must_use]
    pub fn short(&self) -> Self {
        match self.0 {
            Bytes::Short(_) => *self,
            Bytes::Long(bytes) => {
                let mut short = [0; 20];
                short.copy_from_slice(&bytes[..20]);
                Self::from_bytes(short)
            }
        }
    }

    /// 40 or 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        HEXLOWER.encode(self.as_bytes())
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_short() { '1' } else { '2' };
        write!(f, "Q{kind}{}", BASE64.encode(self.as_bytes()))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings() {
        let text = "Q1kqFQHSGzXGq3k7gQTqb+GxbmnOw=";
        let sum = Checksum::parse(text).unwrap();
        assert_eq!(sum.to_string(), text);
        assert_eq!(Checksum::from(ContentSum::parse_pax(&sum.hex()).unwrap()), sum);
        assert_eq!(Checksum::from(ContentSum::parse_pax(&sum.hex().to_uppercase()).unwrap()), sum);
        let content = ContentSum::parse_pax(text).unwrap();
        assert_eq!((Checksum::from(content), content.text().as_slice()), (sum, sum.to_string().as_bytes()));
        assert_eq!(Checksum::of(b"").hex(), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        let short_q2 = format!("Q2{}", BASE64.encode(&[0; 20]));
        let long_q1 = format!("Q1{}", BASE64.encode(&[0; 32]));
        for bad in [
            "",
            "Q1",
            "Q1!!!",
            "Q1kqFQ",
            &text[2..],
            &text[..20],
            short_q2.as_str(),
            long_q1.as_str(),
            "Q1kqFQHSGzXGq3k7gQTqb+GxbmnOw",
        ] {
            assert!(Checksum::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_long_form() {
        let sum = Checksum::from_sha256([7; 32]);
        let text = sum.to_string();
        assert_eq!(text, "Q2BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
        assert_eq!(Checksum::parse(&text).unwrap(), sum);
        assert_eq!(sum.short(), Checksum::from_bytes([7; 20]));
        assert_eq!((sum.short().short(), sum.is_short()), (sum.short(), false));
        assert!(ContentSum::parse_pax(&text).is_err() && ContentSum::parse_pax(&sum.hex()).is_err());
    }
}
