//! Whole numbers and truth values, as apko's decoder of YAML takes them.

use crate::node::Scalar;

/// A whole number: decimal, `0x`, `0b`, `0o`, octal with a leading zero, `_` anywhere, a sign; and a decimal fraction,
/// of which what stands before the point counts. Nothing if it is quoted, no number, or beyond `i64`.
pub(super) fn integer(scalar: &Scalar) -> Option<i64> {
    let text = scalar.text.as_str();
    if !scalar.plain || !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let text = text.replace('_', "");
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, &text[..]),
    };
    let (radix, body) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if body.bytes().all(|b| b.is_ascii_alphanumeric())
        && let Ok(number) = i64::from_str_radix(body, radix)
    {
        return Some(if negative { -number } else { number });
    }
    fraction(digits).map(|number| if negative { -number } else { number })
}

/// The whole part of `1.5`, `1e3`, `08`, `.5`.
fn fraction(text: &str) -> Option<i64> {
    let decimal = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    let begins = text.starts_with(|c: char| c.is_ascii_digit())
        || text.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if !begins || !text.chars().all(decimal) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    // Far below 2^53, where every whole number has a value of its own.
    #[allow(clippy::cast_possible_truncation)]
    (number < 1e15).then_some(number as i64)
}

/// A number that fits 32 bits without a sign.
pub(super) fn unsigned(scalar: &Scalar) -> Option<u32> {
    integer(scalar).and_then(|number| u32::try_from(number).ok())
}

/// `true` and `false` without quotes; `yes`, `no`, `on`, `off`, `y`, `n` with and without.
pub(super) fn truth(scalar: &Scalar) -> Option<bool> {
    let text = scalar.text.as_str();
    let is = |words: &[&str]| words.contains(&text);
    match () {
        () if is(&["y", "Y", "yes", "Yes", "YES", "on", "On", "ON"]) => Some(true),
        () if is(&["n", "N", "no", "No", "NO", "off", "Off", "OFF"]) => Some(false),
        () if scalar.plain && is(&["true", "True", "TRUE"]) => Some(true),
        () if scalar.plain && is(&["false", "False", "FALSE"]) => Some(false),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_apkos_decoder() {
        let of = |text: &str| unsigned(&Scalar { text: text.to_owned(), plain: true });
        for (text, number) in [
            ("0", 0),
            ("5", 5),
            ("+5", 5),
            ("-0", 0),
            ("65532", 65532),
            ("0x1F", 31),
            ("0X1f", 31),
            ("0b101", 5),
            ("0o755", 493),
            ("0O755", 493),
            ("0755", 493),
            ("1_000", 1000),
            ("0o7_55", 493),
            ("08", 8),
            ("1.9", 1),
            (".5", 0),
            ("1e3", 1000),
            ("4294967295", u32::MAX),
        ] {
            assert_eq!(of(text), Some(number), "{text}");
        }
        for text in [
            "",
            "-1",
            "-1.5",
            "4294967296",
            "1e99",
            "root",
            "0x",
            "0xg",
            "_1",
            "1a",
            ".",
            ".inf",
            ".nan",
            "1-2",
            "0x+1",
            "++1",
            "inf",
            "nan",
            "é",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(unsigned(&Scalar { text: "5".into(), plain: false }), None);
        assert_eq!(integer(&Scalar { text: "-3".into(), plain: true }), Some(-3));
    }

    #[test]
    fn truth_is_that_of_apkos_decoder() {
        let of = |text: &str, plain| truth(&Scalar { text: text.to_owned(), plain });
        assert_eq!((of("true", true), of("True", true), of("true", false)), (Some(true), Some(true), None));
        assert_eq!(
            (of("FALSE", true), of("no", false), of("Off", true)),
            (Some(false), Some(false), Some(false))
        );
        assert_eq!((of("1", true), of("tRUE", true), of("", true)), (None, None, None));
    }
}
