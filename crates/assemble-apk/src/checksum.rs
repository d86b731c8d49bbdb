//! APK's own checksum.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use sha1::{Digest as _, Sha1};

use crate::text::shown;

/// APK's own checksum, a SHA-1 written as `Q1` and base64: of a package it is that of the compressed control section,
/// of a file that of its content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checksum([u8; 20]);

/// Text that is no checksum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no checksum: expected `Q1` and 28 characters of base64", shown(text))]
pub struct ChecksumError {
    /// The text.
    pub text: String,
}

impl Checksum {
    /// Parses `Q1` and base64. `Q2` (SHA-256) is not understood.
    pub fn parse(text: &str) -> Result<Self, ChecksumError> {
        text.strip_prefix("Q1")
            .and_then(|tail| BASE64.decode(tail.as_bytes()).ok())
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| ChecksumError { text: text.to_owned() })
    }

    /// Parses what the PAX record `APK-TOOLS.checksum.SHA1` of a file holds: 40 hexadecimal digits, or the form of
    /// [`Checksum::parse`], which some tools write.
    pub fn parse_pax(text: &str) -> Result<Self, ChecksumError> {
        if let Some(bytes) = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().and_then(|b| b.try_into().ok())
        {
            return Ok(Self(bytes));
        }
        Self::parse(text)
    }

    /// A SHA-1 computed elsewhere.
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The checksum of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha1::digest(bytes).into())
    }

    /// The 20 bytes.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// 40 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Q1{}", BASE64.encode(&self.0))
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
        assert_eq!(Checksum::parse_pax(&sum.hex()).unwrap(), sum);
        assert_eq!(Checksum::parse_pax(&sum.hex().to_uppercase()).unwrap(), sum);
        assert_eq!(Checksum::parse_pax(text).unwrap(), sum);
        assert_eq!(Checksum::of(b"").hex(), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        let q2 = format!("Q2{}", BASE64.encode(&[0; 32]));
        for bad in [
            "",
            "Q1",
            "Q1!!!",
            "Q1kqFQ",
            &text[2..],
            &text[..20],
            q2.as_str(),
            "Q1kqFQHSGzXGq3k7gQTqb+GxbmnOw",
        ] {
            assert!(Checksum::parse(bad).is_err(), "{bad}");
        }
    }
}
