//! Whole seconds since the epoch.

use std::fmt;
use std::str::FromStr;

/// A point in time in whole seconds since 1970-01-01T00:00:00Z. Shown as RFC 3339 in UTC.
///
/// Nothing in the workspace asks the clock for one: it comes from the spec's inputs or `SOURCE_DATE_EPOCH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Text that is no time, or one outside the years 0 to 9999.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{0}` is no time: expected whole seconds since 1970, or RFC 3339 such as 2024-01-31T12:00:00Z")]
pub struct TimestampError(String);

const MIN: i64 = -62_167_219_200;
const MAX: i64 = 253_402_300_799;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// Seconds since the epoch; negative before it.
    pub fn from_seconds(seconds: i64) -> Result<Self, TimestampError> {
        if (MIN..=MAX).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(TimestampError(seconds.to_string()))
        }
    }

    /// Parses whole seconds since the epoch and nothing else, as `SOURCE_DATE_EPOCH` is specified.
    pub fn parse_seconds(text: &str) -> Result<Self, TimestampError> {
        text.parse().map_err(|_| TimestampError(text.to_owned())).and_then(Self::from_seconds)
    }

    /// Seconds since the epoch.
    pub fn seconds(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "@{}", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let bad = || TimestampError(text.to_owned());
        match text.parse::<i64>() {
            Ok(seconds) => Self::from_seconds(seconds),
            Err(_) => text
                .parse::<jiff::Timestamp>()
                .map_err(|_| bad())
                .and_then(|t| Self::from_seconds(t.as_second())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings() {
        assert_eq!(Timestamp::EPOCH.to_string(), "1970-01-01T00:00:00Z");
        assert_eq!("1700000023".parse::<Timestamp>().unwrap().to_string(), "2023-11-14T22:13:43Z");
        assert_eq!("2023-11-14T23:13:43+01:00".parse::<Timestamp>().unwrap().seconds(), 1_700_000_023);
        for bad in ["", "now", "99999999999999", "1.5"] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }
}
