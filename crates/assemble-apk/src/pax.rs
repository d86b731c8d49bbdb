//! PAX extended headers (POSIX.1-2017, pax, section «pax Extended Header»).

use std::collections::BTreeMap;

use crate::text::shown;

/// What an extended header says about the entry behind it.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link_path: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    /// Whole seconds, rounded to nearest, halves up.
    pub(crate) mtime: Option<i64>,
    /// Whether the time had to be rounded.
    pub(crate) fractional_time: bool,
    pub(crate) user: Option<Vec<u8>>,
    pub(crate) group: Option<Vec<u8>>,
    pub(crate) sparse: bool,
    /// The text of `APK-TOOLS.checksum.SHA1`.
    pub(crate) checksum: Option<Vec<u8>>,
    /// `SCHILY.xattr.*` without the prefix.
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Why an extended header cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaxError {
    /// A record whose length, space, `=` or line end is not where it should be.
    #[error("the record at byte {at} is not `LENGTH KEY=VALUE`")]
    Record {
        /// Offset in the extended header.
        at: usize,
    },
    /// A value that its key cannot have.
    #[error("the value of `{}` is `{}`", shown(key), shown(value))]
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// A zero byte where a name or text stands.
    #[error("the value of `{}` holds a zero byte", shown(key))]
    Nul {
        /// The key.
        key: String,
    },
}

/// Splits off one record.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    // No header is so large that a length has more than 19 digits.
    let space = bytes.iter().take(20).position(|b| *b == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    if !bytes[0].is_ascii_digit() || length <= space + 1 || length > bytes.len() {
        return None;
    }
    let (record, rest) = bytes.split_at(length);
    let text = record[space + 1..].strip_suffix(b"\n")?;
    let equals = text.iter().position(|b| *b == b'=')?;
    (equals > 0).then_some((&text[..equals], &text[equals + 1..], rest))
}

/// Seconds with an optional fraction, rounded to the nearest whole second, halves up.
fn seconds(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (negative, digits) = match whole.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, whole),
    };
    if digits.is_empty() || !digits.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds = i128::from(digits.parse::<i64>().ok()?);
    let mut nanos = 0;
    for i in 0..9 {
        nanos = nanos * 10 + fraction.as_bytes().get(i).map_or(0, |b| i128::from(b - b'0'));
    }
    let total = seconds * 1_000_000_000 + nanos;
    let total = if negative { -total } else { total };
    i64::try_from((total + 500_000_000).div_euclid(1_000_000_000)).ok()
}

fn number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// Reads all records. Of a key that comes twice the last counts; an empty value takes the key back.
pub(crate) fn parse(bytes: &[u8]) -> Result<Attributes, PaxError> {
    let mut out = Attributes::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let (key, value, tail) = record(rest).ok_or(PaxError::Record { at })?;
        rest = tail;
        apply(&mut out, key, value)?;
    }
    Ok(out)
}

fn apply(out: &mut Attributes, key: &[u8], value: &[u8]) -> Result<(), PaxError> {
    let name = || String::from_utf8_lossy(key).into_owned();
    let text = || {
        if value.contains(&0) {
            return Err(PaxError::Nul { key: name() });
        }
        Ok((!value.is_empty()).then(|| value.to_vec()))
    };
    let wrong = || PaxError::Value { key: name(), value: String::from_utf8_lossy(value).into_owned() };
    let empty = value.is_empty();
    match key {
        b"path" => out.path = text()?,
        b"linkpath" => out.link_path = text()?,
        b"uname" => out.user = text()?,
        b"gname" => out.group = text()?,
        b"APK-TOOLS.checksum.SHA1" => out.checksum = text()?,
        b"size" => out.size = if empty { None } else { Some(number(value).ok_or_else(wrong)?) },
        b"uid" => out.uid = if empty { None } else { Some(number(value).ok_or_else(wrong)?) },
        b"gid" => out.gid = if empty { None } else { Some(number(value).ok_or_else(wrong)?) },
        b"mtime" => {
            out.mtime = if empty { None } else { Some(seconds(value).ok_or_else(wrong)?) };
            let fraction = value.iter().skip_while(|byte| **byte != b'.').skip(1);
            out.fractional_time = fraction.into_iter().any(|digit| *digit != b'0');
        }
        _ if key.starts_with(b"GNU.sparse.") => out.sparse = true,
        _ => {
            if let Some(attribute) = key.strip_prefix(b"SCHILY.xattr.") {
                if attribute.is_empty() || attribute.contains(&0) {
                    return Err(wrong());
                }
                out.xattrs.insert(attribute.to_vec(), value.to_vec());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rec(key: &str, value: &[u8]) -> Vec<u8> {
        let body = key.len() + value.len() + 3;
        let mut length = body + 1;
        while length != body + length.to_string().len() {
            length += 1;
        }
        [length.to_string().as_bytes(), b" ", key.as_bytes(), b"=", value, b"\n"].concat()
    }

    #[test]
    fn values_may_hold_line_ends_and_zero_bytes_where_they_are_no_text() {
        let bytes = [
            rec("path", b"a"),
            rec("SCHILY.xattr.security.x", b"\n\0=\n"),
            rec("path", b"b"),
            rec("foo", b""),
        ]
        .concat();
        let got = parse(&bytes).unwrap();
        assert_eq!(got.path.as_deref(), Some(&b"b"[..]));
        assert_eq!(got.xattrs.get(&b"security.x"[..]).map(Vec::as_slice), Some(&b"\n\0=\n"[..]));
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [
            &b"0 a=b\n"[..],
            b"5 a=b\n",
            b"7 a=b\n",
            b"99 a=b\n",
            b"x a=b\n",
            b"6 a=b",
            b"6 a b\n",
            b"-6 a=b\n",
            b"6 =ab\n",
            b"99999999999999999999999 a=b\n",
            b"+6 a=b\n",
            b" a=b\n",
            b"a",
        ] {
            assert_eq!(parse(bad).unwrap_err(), PaxError::Record { at: 0 }, "{}", shown(bad));
        }
        assert!(parse(b"6 a=b\n").is_ok());
        for (key, value) in [
            ("size", &b"-1"[..]),
            ("size", b"9x"),
            ("uid", b"4294967296"),
            ("mtime", b"1.x"),
            ("mtime", b""),
            ("mtime", b"-"),
        ] {
            assert_eq!(parse(&rec(key, value)).is_err(), !value.is_empty(), "{key} {value:?}");
        }
        assert_eq!(parse(&rec("path", b"a\0b")).unwrap_err(), PaxError::Nul { key: "path".into() });
    }

    #[test]
    fn times_are_rounded_not_cut() {
        for (text, expected) in [
            ("5", 5),
            ("5.4999", 5),
            ("5.5", 6),
            ("5.75", 6),
            ("5.999999999", 6),
            ("5.", 5),
            ("-5.5", -5),
            ("-5.51", -6),
            ("-5.75", -6),
            ("-0.4", 0),
            ("-1", -1),
            ("1234567890.123456789012", 1_234_567_890),
            ("0.4999999999999", 0),
        ] {
            assert_eq!(seconds(text.as_bytes()), Some(expected), "{text}");
        }
        assert_eq!(seconds(b"9223372036854775807.9"), None);
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(bytes in proptest::collection::vec(any::<u8>(), 0..80), length in 0_usize..40) {
            let _ = parse(&bytes);
            let _ = parse(&[length.to_string().as_bytes(), b" path=", &bytes, b"\n"].concat());
        }
    }
}
