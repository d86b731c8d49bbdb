//! Versions: their grammar and their order.

use std::cmp::Ordering;
use std::fmt;

use crate::text::shown;

/// A version as written. Not empty, without white space and control characters.
///
/// Equality and hash are those of the text: `1.0` and `1.0-r0` are different texts, though [`Version::compare`] calls
/// them equal. Texts outside the grammar are kept, since indexes have them; they compare with nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    text: Box<str>,
}

/// Text that cannot be a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Nothing at all.
    #[error("a version is empty")]
    Empty,
    /// White space or a control character.
    #[error("`{}` is no version: it holds {character:?}", shown(text))]
    Character {
        /// The text.
        text: String,
        /// The first such character.
        character: char,
    },
}

/// Rank of a version without a pre-suffix, above `_alpha`, `_beta`, `_pre`, `_rc`.
const NO_PRE: u8 = 4;
const PRE: [&str; 4] = ["alpha", "beta", "pre", "rc"];
const POST: [&str; 5] = ["cvs", "svn", "git", "hg", "p"];

/// A version inside the grammar, taken apart. The components are parsed again where they are compared; that is
/// cheaper than keeping them, as most versions of an index are never looked at.
#[derive(Debug, Clone, Copy)]
struct Parts<'a> {
    components: &'a str,
    /// 0 if there is none.
    letter: u8,
    pre: u8,
    pre_number: u64,
    /// 0 if there is none, else 1 + place in `POST`.
    post: u8,
    post_number: u64,
    revision: u64,
}

/// Numbers are at most 63 bits, as in apko.
fn number(digits: &str) -> Option<u64> {
    let mut value = 0_u64;
    for digit in digits.bytes() {
        value = value.checked_mul(10)?.checked_add(u64::from(digit.checked_sub(b'0')?))?;
    }
    i64::try_from(value).is_ok().then_some(value)
}

/// Splits leading digits off.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len()))
}

/// Takes one `_name` with optional digits off the front. The names of one family never begin one another.
fn suffix<'a>(text: &'a str, names: &[&str]) -> Option<(u8, u64, &'a str)> {
    let tail = text.strip_prefix('_')?;
    for (rank, name) in (0_u8..).zip(names) {
        if let Some(tail) = tail.strip_prefix(name) {
            let (count, rest) = digits(tail);
            return Some((rank, number(count)?, rest));
        }
    }
    None
}

impl<'a> Parts<'a> {
    /// `DIGITS(.DIGITS)* [a-z]? (_alpha|_beta|_pre|_rc DIGITS?)? (_cvs|_svn|_git|_hg|_p DIGITS?)? (-rDIGITS)?`
    fn parse(text: &'a str) -> Option<Self> {
        let mut rest = text;
        loop {
            let (component, tail) = digits(rest);
            if component.is_empty() {
                return None;
            }
            number(component)?;
            rest = tail;
            match tail.strip_prefix('.') {
                Some(tail) => rest = tail,
                None => break,
            }
        }
        let components = &text[..text.len() - rest.len()];
        let mut parts =
            Self { components, letter: 0, pre: NO_PRE, pre_number: 0, post: 0, post_number: 0, revision: 0 };
        if let Some(letter) = rest.bytes().next().filter(u8::is_ascii_lowercase) {
            parts.letter = letter;
            rest = &rest[1..];
        }
        if let Some((rank, count, tail)) = suffix(rest, &PRE) {
            (parts.pre, parts.pre_number, rest) = (rank, count, tail);
        }
        if let Some((rank, count, tail)) = suffix(rest, &POST) {
            (parts.post, parts.post_number, rest) = (rank + 1, count, tail);
        }
        if let Some(tail) = rest.strip_prefix("-r") {
            let (count, tail) = digits(tail);
            if count.is_empty() {
                return None;
            }
            (parts.revision, rest) = (number(count)?, tail);
        }
        rest.is_empty().then_some(parts)
    }

    fn components(&self) -> impl Iterator<Item = u64> + 'a {
        self.components.split('.').map(|c| number(c).unwrap_or(0))
    }

    /// Everything behind the components, most significant first.
    fn tail(&self) -> (u8, u8, u64, u8, u64, u64) {
        (self.letter, self.pre, self.pre_number, self.post, self.post_number, self.revision)
    }

    fn compare(&self, other: &Self) -> Ordering {
        // Comparing iterators item by item, then by length, is what lexicographic order means.
        self.components().cmp(other.components()).then_with(|| self.tail().cmp(&other.tail()))
    }

    fn falls_under(&self, required: &Self) -> bool {
        let mut actual = self.components();
        for component in required.components() {
            if actual.next() != Some(component) {
                return false;
            }
        }
        if actual.next().is_some() {
            return true;
        }
        (required.letter == 0 || required.letter == self.letter)
            && (required.pre == NO_PRE || required.pre == self.pre)
            && (required.pre_number == 0 || required.pre_number == self.pre_number)
            && (required.post == 0 || required.post == self.post)
            && (required.post_number == 0 || required.post_number == self.post_number)
            && (required.revision == 0 || required.revision == self.revision)
    }
}

impl Version {
    /// Takes any text without white space and control characters; [`Version::is_valid`] says if it is in the grammar.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        if text.is_empty() {
            return Err(VersionError::Empty);
        }
        if text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Self { text: text.into() });
        }
        match text.chars().find(|c| c.is_whitespace() || c.is_control()) {
            Some(character) => Err(VersionError::Character { text: text.to_owned(), character }),
            None => Ok(Self { text: text.into() }),
        }
    }

    /// What stands where there is no version; outside the grammar.
    pub(crate) fn none() -> Self {
        Self { text: "?".into() }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the version is in the grammar and so has a place in the order.
    pub fn is_valid(&self) -> bool {
        Parts::parse(&self.text).is_some()
    }

    /// The order of apko: components as integers, then their number, letter, pre-suffix, post-suffix, revision, where
    /// an absent number is 0. Nothing where a side is outside the grammar.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(Parts::parse(&self.text)?.compare(&Parts::parse(&other.text)?))
    }

    /// Whether this, an actual version, falls under `required` in the sense of `~`: the same leading components, and
    /// if there are no more of them, the same letter, suffixes and revision wherever `required` has them. Never where a
    /// side is outside the grammar.
    pub fn matches_fuzzy(&self, required: &Self) -> bool {
        match (Parts::parse(&self.text), Parts::parse(&required.text)) {
            (Some(actual), Some(required)) => actual.falls_under(&required),
            _ => false,
        }
    }

    /// Whether the version can be part of a file name: the path of a package is made from its version.
    pub(crate) fn is_file_name(&self) -> bool {
        !self.text.contains(['/', '\\'])
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn grammar() {
        for good in [
            "0",
            "1",
            "1.2.3",
            "1.2a",
            "1_alpha",
            "1_beta2",
            "1_pre",
            "1_rc1",
            "1_cvs",
            "1_svn3",
            "1_git20240101",
            "1_hg",
            "1_p1",
            "1a_rc2_p3-r4",
            "1-r0",
            "007",
            "9223372036854775807",
            "1.2.4_git20230717-r4",
            "000000000000000000000000000000000001",
        ] {
            assert!(v(good).is_valid(), "{good}");
        }
        for bad in [
            "a",
            "1.",
            ".1",
            "1..2",
            "1ab",
            "1A",
            "1-r",
            "1-rX",
            "1-1",
            "1_foo",
            "1_rc_rc",
            "1_p1_rc1",
            "1_rc1_alpha",
            "1~abc",
            "1.0~git2-r0",
            "9223372036854775808",
            "1.99999999999999999999",
            "1-r99999999999999999999",
            "é",
            "1_p1_git2",
            "1-r1-r2",
            "1+2",
            "_rc1",
            "v1",
            "1_",
            "1_p-r",
            "1_rc9223372036854775808",
        ] {
            assert!(!v(bad).is_valid(), "{bad}");
            assert_eq!(v(bad).compare(&v("1")), None);
            assert_eq!(v("1").compare(&v(bad)), None);
            assert!(!v(bad).matches_fuzzy(&v(bad)));
        }
        for refused in ["", " ", "1 2", "1\n", "1\r"] {
            assert!(Version::parse(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn ascending() {
        // Each is below the next.
        let order = [
            "0.9",
            "1_alpha",
            "1_alpha1",
            "1_alpha2",
            "1_beta",
            "1_pre",
            "1_rc",
            "1_rc1_cvs",
            "1_rc2",
            "1",
            "1-r1",
            "1-r10",
            "1_cvs",
            "1_svn",
            "1_git",
            "1_git2",
            "1_hg",
            "1_p",
            "1_p1",
            "1_p1-r1",
            "1a_rc1",
            "1a",
            "1b",
            "1z_p9-r9",
            "1.0_alpha",
            "1.0",
            "1.0.0",
            "1.1",
            "1.2",
            "1.10",
            "2",
        ];
        for (i, a) in order.iter().enumerate() {
            for (j, b) in order.iter().enumerate() {
                assert_eq!(v(a).compare(&v(b)), Some(i.cmp(&j)), "{a} and {b}");
            }
        }
    }

    #[test]
    fn equal_though_written_otherwise() {
        for (a, b) in [("1", "1-r0"), ("1.01", "1.1"), ("1_rc", "1_rc0"), ("1_p", "1_p0"), ("00", "0")] {
            assert_eq!(v(a).compare(&v(b)), Some(Ordering::Equal), "{a} and {b}");
            assert_ne!(v(a), v(b));
        }
    }

    #[test]
    fn fuzzy() {
        for (actual, required, expected) in [
            ("1.2.3", "1", true),
            ("1.2.3", "1.2", true),
            ("1.2.3-r4", "1.2.3", true),
            ("1.2.3-r4", "1.2.3-r4", true),
            ("1.2.3-r4", "1.2.3-r5", false),
            ("1.2.3-r4", "1.2.3-r0", true),
            ("1.2.3_rc1-r4", "1.2.3", true),
            ("1.2.3_rc1", "1.2.3_rc", true),
            ("1.2.3_rc1", "1.2.3_beta", false),
            ("1.2.3_rc1", "1.2.3_rc2", false),
            ("1.2.3a", "1.2.3", true),
            ("1.2.3", "1.2.3a", false),
            ("1.2.3_p1", "1.2.3_p", true),
            ("1.2.3_git1", "1.2.3_p1", false),
            ("1.20", "1.2", false),
            ("1", "1.0", false),
            ("1.2.3", "1.2_rc1-r9", true),
            ("2", "1", false),
        ] {
            assert_eq!(v(actual).matches_fuzzy(&v(required)), expected, "{actual} ~ {required}");
        }
    }

    fn valid() -> impl Strategy<Value = Version> {
        "[0-3]{1,2}(\\.[0-3]){0,2}[ab]?(_(alpha|beta|pre|rc)[0-2]?)?(_(cvs|svn|git|hg|p)[0-2]?)?(-r[0-2])?"
            .prop_map(|text| v(&text))
    }

    proptest! {
        #[test]
        fn total_order(a in valid(), b in valid(), c in valid()) {
            prop_assert!(a.is_valid());
            let ab = a.compare(&b).unwrap();
            prop_assert_eq!(a.compare(&a), Some(Ordering::Equal));
            prop_assert_eq!(b.compare(&a), Some(ab.reverse()));
            let bc = b.compare(&c).unwrap();
            if ab == bc || bc == Ordering::Equal {
                prop_assert_eq!(a.compare(&c), Some(ab));
            }
            if ab == Ordering::Equal {
                prop_assert_eq!(a.compare(&c), Some(bc));
            }
            prop_assert!(a.matches_fuzzy(&a));
        }

        #[test]
        fn no_text_breaks_it(a in "\\PC*", b in "[0-9.a-z_r-]{0,30}") {
            if let (Ok(a), Ok(b)) = (Version::parse(&a), Version::parse(&b)) {
                let _ = (a.compare(&b), b.matches_fuzzy(&a), a.matches_fuzzy(&b));
            }
        }
    }
}
