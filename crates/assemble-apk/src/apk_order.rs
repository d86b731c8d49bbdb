//! The order of versions as apk-tools has it. It differs from apko's where a number has a leading zero, where suffixes
//! repeat, where there is a `~hash`, and where a number is absent: for apk-tools `1` is below `1-r0`.

use std::cmp::Ordering;

use crate::{Constraint, Operator, Version};

/// One step of a version, most significant first. A step that cannot stand where it stands ends the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'a> {
    /// The first number.
    First(&'a str),
    /// A further number, behind a dot.
    Number(&'a str),
    Letter(u8),
    /// Place in `SUFFIXES`.
    Suffix(u8),
    SuffixNumber(&'a str),
    Hash(&'a str),
    Revision(&'a str),
    End,
    Wrong,
}

/// Ascending; what comes first stands below a version without a suffix.
const SUFFIXES: [&str; 9] = ["alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p"];
/// How many of them stand below a version without a suffix.
const BEFORE: u8 = 4;

impl Step<'_> {
    /// What may stand behind what: a kind never comes before one that is lower, but for suffixes.
    fn kind(self) -> u8 {
        match self {
            Self::First(_) => 0,
            Self::Number(_) => 1,
            Self::Letter(_) => 2,
            Self::Suffix(_) => 3,
            Self::SuffixNumber(_) => 4,
            Self::Hash(_) => 5,
            Self::Revision(_) => 6,
            Self::End => 7,
            Self::Wrong => 8,
        }
    }

    fn is_last(self) -> bool {
        matches!(self, Self::End | Self::Wrong)
    }

    fn is_before(self) -> bool {
        matches!(self, Self::Suffix(rank) if rank < BEFORE)
    }
}

/// A version being read.
struct Steps<'a> {
    rest: &'a str,
    last: Option<Step<'a>>,
}

/// Splits what satisfies the predicate off the front.
fn take<'a>(text: &mut &'a str, of: impl Fn(u8) -> bool) -> &'a str {
    let (front, rest) = text.split_at(text.bytes().position(|b| !of(b)).unwrap_or(text.len()));
    *text = rest;
    front
}

impl<'a> Steps<'a> {
    fn of(version: &'a str) -> Self {
        Self { rest: version, last: None }
    }

    fn next(&mut self) -> Step<'a> {
        let step = self.read().unwrap_or(Step::Wrong);
        self.last = Some(step);
        step
    }

    /// Nothing where the text leaves the grammar.
    fn read(&mut self) -> Option<Step<'a>> {
        let digits = |rest: &mut &'a str| Some(take(rest, |b| b.is_ascii_digit())).filter(|d| !d.is_empty());
        let Some(last) = self.last else { return digits(&mut self.rest).map(Step::First) };
        let Some(&first) = self.rest.as_bytes().first() else { return Some(Step::End) };
        // The first byte is ASCII in every arm that cuts it off.
        match first {
            b'a'..=b'z' if last.kind() <= 1 => {
                self.rest = &self.rest[1..];
                Some(Step::Letter(first))
            }
            b'.' if last.kind() <= 1 => {
                self.rest = &self.rest[1..];
                digits(&mut self.rest).map(Step::Number)
            }
            b'0'..=b'9' if matches!(last, Step::Suffix(_)) => digits(&mut self.rest).map(Step::SuffixNumber),
            b'_' if last.kind() <= 4 => {
                self.rest = &self.rest[1..];
                let name = take(&mut self.rest, |b| b.is_ascii_lowercase());
                let rank = (0..).zip(SUFFIXES).find(|(_, suffix)| *suffix == name)?.0;
                Some(Step::Suffix(rank))
            }
            b'~' if last.kind() < 5 => {
                self.rest = &self.rest[1..];
                let hash = take(&mut self.rest, |b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                (!hash.is_empty()).then_some(Step::Hash(hash))
            }
            b'-' if last.kind() < 6 => {
                self.rest = self.rest.strip_prefix("-r")?;
                digits(&mut self.rest).map(Step::Revision)
            }
            _ => None,
        }
    }
}

/// As numbers, however long.
fn by_value(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

/// Two steps of one kind.
fn same_kind(left: Step<'_>, right: Step<'_>) -> Ordering {
    match (left, right) {
        // A leading zero makes decimals of both.
        (Step::Number(l), Step::Number(r)) if l.starts_with('0') || r.starts_with('0') => l.cmp(r),
        (Step::First(l), Step::First(r))
        | (Step::Number(l), Step::Number(r))
        | (Step::SuffixNumber(l), Step::SuffixNumber(r))
        | (Step::Revision(l), Step::Revision(r)) => by_value(l, r),
        (Step::Letter(l), Step::Letter(r)) | (Step::Suffix(l), Step::Suffix(r)) => l.cmp(&r),
        (Step::Hash(l), Step::Hash(r)) => l.cmp(r),
        _ => Ordering::Equal,
    }
}

/// `fuzzy`: equal as soon as `right` is at its end.
fn compare(left: &str, right: &str, fuzzy: bool) -> Ordering {
    let (mut left, mut right) = (Steps::of(left), Steps::of(right));
    loop {
        let (l, r) = (left.next(), right.next());
        if l.kind() == r.kind() {
            let order = same_kind(l, r);
            if order.is_ne() || l.is_last() {
                return order;
            }
        } else if fuzzy && r == Step::End {
            return Ordering::Equal;
        } else {
            // What announces a version is below everything, else the one that goes on is above.
            return r.is_before().cmp(&l.is_before()).then_with(|| r.kind().cmp(&l.kind()));
        }
    }
}

/// As [`Version::is_valid_for_apk`], of a text.
pub(crate) fn is_valid_for_apk(version: &str) -> bool {
    let mut steps = Steps::of(version);
    loop {
        match steps.next() {
            Step::End => return true,
            Step::Wrong => return false,
            _ => {}
        }
    }
}

impl Version {
    /// Whether apk-tools knows the version for one. It knows more than [`Version::is_valid`]: repeated suffixes and `~hash`.
    pub fn is_valid_for_apk(&self) -> bool {
        is_valid_for_apk(self.as_str())
    }

    /// The order of apk-tools. It is total; texts outside the grammar count as far as they are inside it.
    pub fn compare_as_apk(&self, other: &Self) -> Ordering {
        compare(self.as_str(), other.as_str(), false)
    }

    /// Whether this, an actual version, falls under `required` in the sense of apk-tools' `~`: it begins with the same steps.
    pub fn matches_fuzzy_as_apk(&self, required: &Self) -> bool {
        compare(self.as_str(), required.as_str(), true).is_eq()
    }
}

/// What apk-tools compares: a name that is provided without a version has an empty one.
fn text(version: Option<&Version>) -> &str {
    version.map_or("", Version::as_str)
}

/// The order of the versions in which a name is provided; without one it is below all.
pub fn compare_provided_as_apk(left: Option<&Version>, right: Option<&Version>) -> Ordering {
    compare(text(left), text(right), false)
}

impl Constraint {
    /// Whether apk-tools takes a name that is provided in this version (or without one, which is below every version) for
    /// one within the bound. The name, the tag and `!` are not looked at.
    pub fn admits_as_apk(&self, provided: Option<&Version>) -> bool {
        let Some(required) = &self.version else { return true };
        let fuzzy = || compare(text(provided), required.as_str(), true).is_eq();
        let order = || compare(text(provided), required.as_str(), false);
        match self.operator {
            Operator::Any => true,
            Operator::Equal => order().is_eq(),
            Operator::Less => order().is_lt(),
            Operator::LessEqual => order().is_le(),
            Operator::Greater => order().is_gt(),
            Operator::GreaterEqual => order().is_ge(),
            Operator::Fuzzy => fuzzy(),
            Operator::GreaterFuzzy => order().is_gt() || fuzzy(),
            Operator::LessFuzzy => order().is_lt() || fuzzy(),
        }
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
            "1.2.3",
            "1a",
            "1_rc1",
            "1_p1_git2",
            "1_rc_rc",
            "1_p1_rc1",
            "1~abc",
            "1.0_git2~0f-r1",
            "1-r0",
        ] {
            assert!(v(good).is_valid_for_apk(), "{good}");
        }
        for bad in [
            "a", "1.", ".1", "1ab", "1A", "1-r", "1-1", "1_foo", "1~", "1~xyz", "1~a~b", "1-r1-r2", "é",
            "1é", "1.0~git2",
        ] {
            assert!(!v(bad).is_valid_for_apk(), "{bad}");
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
            "1-r0",
            "1-r1",
            "1-r10",
            "1~ab",
            "1~ab-r1",
            "1~b",
            "1_cvs",
            "1_svn",
            "1_git",
            "1_git2",
            "1_hg",
            "1_p",
            "1_p1_rc1",
            "1_p1",
            "1_p1-r1",
            "1_p1_git2",
            "1a_rc1",
            "1a",
            "1b",
            "1.0_alpha",
            "1.0",
            "1.0.0",
            "1.01",
            "1.010",
            "1.1",
            "1.2",
            "1.10",
            "2",
        ];
        for (i, a) in order.iter().enumerate() {
            for (j, b) in order.iter().enumerate() {
                assert_eq!(v(a).compare_as_apk(&v(b)), i.cmp(&j), "{a} and {b}");
            }
        }
    }

    #[test]
    fn equal_though_written_otherwise() {
        for (a, b) in [("01", "1"), ("1-r01", "1-r1"), ("1_p00", "1_p0")] {
            assert_eq!(v(a).compare_as_apk(&v(b)), Ordering::Equal, "{a} and {b}");
        }
    }

    #[test]
    fn fuzzy() {
        for (actual, required, expected) in [
            ("1.2.3", "1", true),
            ("1.2.3-r4", "1.2.3", true),
            ("1.2.3-r4", "1.2.3-r0", false),
            ("1.2.3_rc1-r4", "1.2.3", true),
            ("1.2.3a", "1.2.3", true),
            ("1.20", "1.2", false),
            ("1", "1.0", false),
            ("2", "1", false),
        ] {
            assert_eq!(v(actual).matches_fuzzy_as_apk(&v(required)), expected, "{actual} ~ {required}");
        }
    }

    #[test]
    fn bounds() {
        for (constraint, version, expected) in [
            ("a", Some("x"), true),
            ("a", None, true),
            ("a=1", None, false),
            ("a<1", None, true),
            ("a<=0", None, true),
            ("a>=0", None, false),
            ("a~1", None, false),
            ("a=1", Some("1-r0"), false),
            ("a>~1.2", Some("1.2.9-r3"), true),
            ("a>~1.2", Some("1.1"), false),
            ("a<~1.2", Some("1.2.9-r3"), true),
            ("a<~1.2", Some("1.3"), false),
            ("a>=1.2~ab", Some("1.2"), false),
            ("a<1", Some("1_rc1"), true),
        ] {
            let actual = version.map(v);
            let constraint = Constraint::parse(constraint).unwrap();
            assert_eq!(constraint.admits_as_apk(actual.as_ref()), expected, "{constraint} {version:?}");
        }
    }

    fn any_version() -> impl Strategy<Value = Version> {
        "[0-2]{1,2}(\\.[0-2]{1,2}){0,2}[ab]?(_(alpha|rc|cvs|p|x)[0-2]{0,2}){0,2}(~[0-9ag]{0,2})?(-r?[0-2]{0,2})?"
            .prop_map(|text| v(&text))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn total_order(a in any_version(), b in any_version(), c in any_version()) {
            let ab = a.compare_as_apk(&b);
            prop_assert_eq!(a.compare_as_apk(&a), Ordering::Equal);
            prop_assert_eq!(b.compare_as_apk(&a), ab.reverse());
            let bc = b.compare_as_apk(&c);
            if ab == bc || bc.is_eq() {
                prop_assert_eq!(a.compare_as_apk(&c), ab);
            }
            if ab.is_eq() {
                prop_assert_eq!(a.compare_as_apk(&c), bc);
            }
            prop_assert!(a.matches_fuzzy_as_apk(&a));
        }

        #[test]
        fn no_text_breaks_it(a in "\\PC*", b in "[0-9.a-z_~r-]{0,30}") {
            if let (Ok(a), Ok(b)) = (Version::parse(&a), Version::parse(&b)) {
                let _ = (a.compare_as_apk(&b), b.compare_as_apk(&a), a.is_valid_for_apk(), b.matches_fuzzy_as_apk(&a));
            }
        }
    }
}
