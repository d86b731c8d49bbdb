//! World entries, dependencies and provides.

use std::cmp::Ordering;
use std::fmt;

use crate::text::shown;
use crate::{NameError, PackageName, Version, VersionError};

/// How a version is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// No bound.
    Any,
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `~`, also written `=~`: see [`Version::matches_fuzzy`].
    Fuzzy,
    /// `>~`: `~` or `>`. apko takes it for no bound.
    GreaterFuzzy,
    /// `<~`: `~` or `<`. apko takes it for no bound.
    LessFuzzy,
}

impl Operator {
    /// As it is written; empty for [`Operator::Any`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Equal => "=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Fuzzy => "~",
            Self::GreaterFuzzy => ">~",
            Self::LessFuzzy => "<~",
        }
    }

    /// What a run of operator characters means; an empty one is no bound.
    pub(crate) fn of_run(run: &str) -> Option<Self> {
        Some(match run {
            "" => Self::Any,
            "=" => Self::Equal,
            "<" => Self::Less,
            "<=" => Self::LessEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterEqual,
            "~" | "=~" => Self::Fuzzy,
            ">~" => Self::GreaterFuzzy,
            "<~" => Self::LessFuzzy,
            _ => return None,
        })
    }

    /// Whether apko takes it for no bound.
    pub fn is_any_for_apko(self) -> bool {
        matches!(self, Self::Any | Self::GreaterFuzzy | Self::LessFuzzy)
    }
}

/// A world entry or a dependency: `name`, `name>=1.2`, `!name`, `name=1.2@edge`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Constraint {
    /// The package, or something that packages provide.
    pub name: PackageName,
    /// How `version` bounds it.
    pub operator: Operator,
    /// Present unless `operator` is [`Operator::Any`].
    pub version: Option<Version>,
    /// The tag of a repository, from `@tag`.
    pub pin: Option<Box<str>>,
    /// `!name`: the named must not be there. The bound then says which versions are meant.
    pub conflict: bool,
}

/// Text that is no constraint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// The name is missing or wrong.
    #[error("`{}` is no package constraint", shown(text))]
    Name {
        /// The constraint.
        text: String,
        /// What is wrong with the name.
        #[source]
        source: NameError,
    },
    /// The version is missing or wrong.
    #[error("`{}` is no package constraint", shown(text))]
    Version {
        /// The constraint.
        text: String,
        /// What is wrong with the version.
        #[source]
        source: VersionError,
    },
    /// A run of operator characters that means nothing.
    #[error("`{}`: `{operator}` is no operator{}; there are = < <= > >= ~", shown(text), meant(operator))]
    Operator {
        /// The constraint.
        text: String,
        /// The run.
        operator: String,
    },
    /// What stands behind `@`.
    #[error(
        "`{}`: a repository tag has letters and digits only and comes last, as in name=1.2@edge",
        shown(text)
    )]
    Pin {
        /// The constraint.
        text: String,
    },
}

/// What people write who mean one of the operators.
fn meant(operator: &str) -> &'static str {
    match operator {
        "==" => " (write =)",
        "=>" => " (write >=)",
        "=<" => " (write <=)",
        "~=" | "~~" => " (write ~)",
        _ => "",
    }
}

fn is_operator(c: char) -> bool {
    matches!(c, '=' | '<' | '>' | '~')
}

/// The part before the first operator, the run of operator characters, and what is left.
fn split(token: &str) -> (&str, &str, &str) {
    let start = token.find(is_operator).unwrap_or(token.len());
    let (name, tail) = token.split_at(start);
    let end = tail.find(|c| !is_operator(c)).unwrap_or(tail.len());
    let (run, version) = tail.split_at(end);
    (name, run, version)
}

/// As [`split`], of a token that holds nothing unusual: only visible ASCII, no tag and no `!`, and behind an operator a
/// version. Such a token is inside the grammar if its name is not empty and its run is an operator.
fn split_plain(token: &str) -> Option<(&str, &str)> {
    let bytes = token.as_bytes();
    let other = |kind: Kind| move |byte: &u8| KINDS[*byte as usize] != kind;
    let name = bytes.iter().position(other(Kind::Plain)).unwrap_or(bytes.len());
    let run = bytes[name..].iter().position(other(Kind::Operator)).unwrap_or(bytes.len() - name);
    let version = &bytes[name + run..];
    let unusual = version.iter().any(|byte| KINDS[*byte as usize] == Kind::Unusual);
    let fits = name > 0 && bytes[0] != b'!' && !unusual && (run == 0) == version.is_empty();
    fits.then(|| (&token[..name], &token[name..name + run]))
}

/// What a byte of a token is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Operator,
    Unusual,
}

const KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Unusual; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        kinds[byte] = Kind::Plain;
        byte += 1;
    }
    kinds[b'@' as usize] = Kind::Unusual;
    kinds[b'=' as usize] = Kind::Operator;
    kinds[b'<' as usize] = Kind::Operator;
    kinds[b'>' as usize] = Kind::Operator;
    kinds[b'~' as usize] = Kind::Operator;
    kinds
};

/// How many bytes in front of a text belong to a token that is only a name; none if it begins with `!`.
pub(crate) fn plain_length(text: &[u8]) -> usize {
    let length = text.iter().position(|byte| KINDS[*byte as usize] != Kind::Plain).unwrap_or(text.len());
    if text.first() == Some(&b'!') { 0 } else { length }
}

/// The length of the name in front of a token, if that is a [`Provide`].
pub(crate) fn provided_name(token: &str) -> Option<usize> {
    match split_plain(token) {
        Some((name, "" | "=")) => Some(name.len()),
        _ => Provide::parse(token).ok().map(|provide| provide.name.as_str().len()),
    }
}

/// The length of the name in front of a token. Nothing where it has to be parsed to know the name.
pub(crate) fn condition_name(token: &str) -> Option<usize> {
    match split_plain(token) {
        Some((name, "" | "=" | "<" | "<=" | ">" | ">=" | "~" | "=~" | ">~" | "<~")) => Some(name.len()),
        _ => None,
    }
}

/// The version behind a token's name and operator; empty if there is none. Nothing where the token has to be parsed to know it.
pub(crate) fn plain_version(token: &str) -> Option<&str> {
    let name = condition_name(token)?;
    Some(token[name..].trim_start_matches(is_operator))
}

/// Whether the version ends in `-r<digits>`, as versions of packages do and numbers of ABIs do not.
fn ends_in_revision(version: &str) -> bool {
    version.rsplit_once("-r").is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// A version below every version of a package: ABI numbers must not win against those.
fn below_packages(version: &Version) -> Option<Version> {
    Version::parse(&format!("0.{version}")).ok()
}

impl Constraint {
    /// Parses one token: `[!]NAME[OP VERSION][@TAG]`, where OP is `=`, `<`, `<=`, `>`, `>=`, `~` or `=~`.
    ///
    /// The rule for names of shared libraries is not applied: see [`Constraint::with_soname_rule`].
    pub fn parse(text: &str) -> Result<Self, ConstraintError> {
        let (conflict, token) = match text.strip_prefix('!') {
            Some(token) => (true, token),
            None => (false, text),
        };
        let pin_error = || ConstraintError::Pin { text: text.to_owned() };
        let (token, pin) = match token.split_once('@') {
            Some((token, pin)) => (token, Some(pin)),
            None => (token, None),
        };
        if pin.is_some_and(|pin| pin.is_empty() || !pin.bytes().all(|b| b.is_ascii_alphanumeric())) {
            return Err(pin_error());
        }
        let (name, run, version) = split(token);
        let name = PackageName::parse(name)
            .map_err(|source| ConstraintError::Name { text: text.to_owned(), source })?;
        let operator = Operator::of_run(run)
            .ok_or_else(|| ConstraintError::Operator { text: text.to_owned(), operator: run.to_owned() })?;
        let version = match operator {
            Operator::Any => None,
            _ => Some(
                Version::parse(version)
                    .map_err(|source| ConstraintError::Version { text: text.to_owned(), source })?,
            ),
        };
        Ok(Self { name, operator, version, pin: pin.map(Into::into), conflict })
    }

    /// As [`Constraint::parse`]; a token outside the grammar becomes a name, shown as it was written, that nothing
    /// provides. An index must stay readable though one dependency in it is garbage, and garbage must not be met.
    pub fn parse_or_unmeetable(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|_| Self::unmeetable(text))
    }

    /// What a dependency outside the grammar becomes.
    pub(crate) fn unmeetable(text: &str) -> Self {
        Self::named(PackageName::unmeetable(text))
    }

    /// The same of what is fit to be shown: see [`PackageName::unmeetable_as`].
    pub(crate) fn unmeetable_as(shown: &str) -> Self {
        Self::named(PackageName::unmeetable_as(shown))
    }

    fn named(name: PackageName) -> Self {
        Self { name, operator: Operator::Any, version: None, pin: None, conflict: false }
    }

    /// Whether `actual` is within the bound, by apko's rules. The name, the tag and `!` are not looked at. A version outside the grammar
    /// satisfies only [`Operator::Any`].
    pub fn satisfied_by(&self, actual: &Version) -> bool {
        let Some(required) = &self.version else { return self.operator == Operator::Any };
        let order = || actual.compare(required);
        match self.operator {
            Operator::Any | Operator::GreaterFuzzy | Operator::LessFuzzy => true,
            Operator::Equal => order() == Some(Ordering::Equal),
            Operator::Less => order() == Some(Ordering::Less),
            Operator::LessEqual => matches!(order(), Some(Ordering::Less | Ordering::Equal)),
            Operator::Greater => order() == Some(Ordering::Greater),
            Operator::GreaterEqual => matches!(order(), Some(Ordering::Greater | Ordering::Equal)),
            Operator::Fuzzy => actual.matches_fuzzy(required),
        }
    }

    /// Applies the rule for shared libraries, which makes versions that are ABI numbers lower than those of packages:
    /// where the name begins with `so:`, the operator has `=`, and the version does not end in `-r<digits>`, it becomes
    /// `0.<version>`. To be applied once, and to [provides](Provide::with_soname_rule) as well.
    #[must_use]
    pub fn with_soname_rule(mut self) -> Self {
        let applies = matches!(self.operator, Operator::Equal | Operator::LessEqual | Operator::GreaterEqual)
            && self.name.as_str().starts_with("so:");
        if applies && let Some(version) = &self.version {
            // A tag behind the version hides its revision from apko.
            if (self.pin.is_some() || !ends_in_revision(version.as_str()))
                && let Some(lowered) = below_packages(version)
            {
                self.version = Some(lowered);
            }
        }
        self
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.conflict {
            f.write_str("!")?;
        }
        write!(f, "{}", self.name)?;
        if let Some(version) = &self.version {
            write!(f, "{}{version}", self.operator.as_str())?;
        }
        if let Some(pin) = &self.pin {
            write!(f, "@{pin}")?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Constraint {
    type Err = ConstraintError;

    fn from_str(text: &str) -> Result<Self, ConstraintError> {
        Self::parse(text)
    }
}

/// `name` or `name=version`: what a package can stand in for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Provide {
    /// The name.
    pub name: PackageName,
    /// In which version, if in a certain one.
    pub version: Option<Version>,
}

impl Provide {
    /// Parses `name` or `name=version`.
    pub fn parse(text: &str) -> Result<Self, ConstraintError> {
        let (name, run, version) = split(text);
        let name = PackageName::parse(name)
            .map_err(|source| ConstraintError::Name { text: text.to_owned(), source })?;
        let version = match run {
            "" => None,
            "=" => Some(
                Version::parse(version)
                    .map_err(|source| ConstraintError::Version { text: text.to_owned(), source })?,
            ),
            other => {
                return Err(ConstraintError::Operator { text: text.to_owned(), operator: other.to_owned() });
            }
        };
        Ok(Self { name, version })
    }

    /// See [`Constraint::with_soname_rule`].
    #[must_use]
    pub fn with_soname_rule(mut self) -> Self {
        if self.name.as_str().starts_with("so:")
            && let Some(version) = &self.version
            && !ends_in_revision(version.as_str())
            && let Some(lowered) = below_packages(version)
        {
            self.version = Some(lowered);
        }
        self
    }
}

impl fmt::Display for Provide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}={version}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn show(text: &str) -> String {
        match Constraint::parse(text) {
            Ok(c) => format!(
                "{} {:?} {:?} {:?} {}",
                c.name,
                c.operator,
                c.version.map(|v| v.to_string()),
                c.pin,
                c.conflict
            ),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|s| format!(": {s}")).unwrap_or_default();
                format!("error: {error}{cause}")
            }
        }
    }

    #[test]
    fn grammar() {
        use expect_test::expect;
        let mut all = String::new();
        for text in [
            "a",
            "a=1",
            "a<1",
            "a<=1",
            "a>1",
            "a>=1.2-r3",
            "a~1",
            "a=~1",
            "a@edge",
            "a=1.2@edge",
            "!a",
            "!a<2",
            "so:x.so.1=1",
            "/bin/sh",
            "cmd:[",
            "a=1.0~git2-r0",
            "a>not.a.version",
            "",
            "!",
            "=1",
            ">1",
            "a>=",
            "a~=",
            "a==1",
            "a=>1",
            "a><1",
            "a>~1",
            "a~=1",
            "a@",
            "a@b-c",
            "a@edge=1.2",
            "a b",
            "a=1 2",
            "a=\x1b",
            "a>1<2",
        ] {
            all.push_str(&format!("{text:?}: {}\n", show(text)));
        }
        expect![[r#"
            "a": a Any None None false
            "a=1": a Equal Some("1") None false
            "a<1": a Less Some("1") None false
            "a<=1": a LessEqual Some("1") None false
            "a>1": a Greater Some("1") None false
            "a>=1.2-r3": a GreaterEqual Some("1.2-r3") None false
            "a~1": a Fuzzy Some("1") None false
            "a=~1": a Fuzzy Some("1") None false
            "a@edge": a Any None Some("edge") false
            "a=1.2@edge": a Equal Some("1.2") Some("edge") false
            "!a": a Any None None true
            "!a<2": a Less Some("2") None true
            "so:x.so.1=1": so:x.so.1 Equal Some("1") None false
            "/bin/sh": /bin/sh Any None None false
            "cmd:[": cmd:[ Any None None false
            "a=1.0~git2-r0": a Equal Some("1.0~git2-r0") None false
            "a>not.a.version": a Greater Some("not.a.version") None false
            "": error: `` is no package constraint: a package name is empty
            "!": error: `!` is no package constraint: a package name is empty
            "=1": error: `=1` is no package constraint: a package name is empty
            ">1": error: `>1` is no package constraint: a package name is empty
            "a>=": error: `a>=` is no package constraint: a version is empty
            "a~=": error: `a~=`: `~=` is no operator (write ~); there are = < <= > >= ~
            "a==1": error: `a==1`: `==` is no operator (write =); there are = < <= > >= ~
            "a=>1": error: `a=>1`: `=>` is no operator (write >=); there are = < <= > >= ~
            "a><1": error: `a><1`: `><` is no operator; there are = < <= > >= ~
            "a>~1": a GreaterFuzzy Some("1") None false
            "a~=1": error: `a~=1`: `~=` is no operator (write ~); there are = < <= > >= ~
            "a@": error: `a@`: a repository tag has letters and digits only and comes last, as in name=1.2@edge
            "a@b-c": error: `a@b-c`: a repository tag has letters and digits only and comes last, as in name=1.2@edge
            "a@edge=1.2": error: `a@edge=1.2`: a repository tag has letters and digits only and comes last, as in name=1.2@edge
            "a b": error: `a b` is no package constraint: `a b` is no package name: it holds ' '; names have no white space, none of @ = > < ~, and no ! in front
            "a=1 2": error: `a=1 2` is no package constraint: `1 2` is no version: it holds ' '
            "a=\u{1b}": error: `a=\u{1b}` is no package constraint: `\u{1b}` is no version: it holds '\u{1b}'
            "a>1<2": a Greater Some("1<2") None false
        "#]]
        .assert_eq(&all);
    }

    #[test]
    fn round_trip() {
        for text in ["a", "a=1", "a<1", "a<=1", "a>1", "a>=1", "a~1", "a@edge", "a>=1@edge", "!a", "!a<2"] {
            assert_eq!(Constraint::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Constraint::parse("a=~1").unwrap().to_string(), "a~1");
    }

    #[test]
    fn bounds() {
        for (constraint, version, expected) in [
            ("a", "1", true),
            ("a", "none", true),
            ("a=1", "1-r0", true),
            ("a=1", "1-r1", false),
            ("a<1", "1_rc1", true),
            ("a<1", "1", false),
            ("a<=1", "1", true),
            ("a<=1", "1.0", false),
            ("a>1", "1.0", true),
            ("a>1", "1", false),
            ("a>=1", "1", true),
            ("a>=1", "0", false),
            ("a~1", "1.9", true),
            ("a~1", "2", false),
            ("a=none", "none", false),
            ("a>=none", "1", false),
            ("a<none", "1", false),
            ("a>=1", "none", false),
            ("!a<2", "1", true),
        ] {
            let actual = Version::parse(version).unwrap();
            assert_eq!(
                Constraint::parse(constraint).unwrap().satisfied_by(&actual),
                expected,
                "{constraint} {version}"
            );
        }
    }

    #[test]
    fn abi_numbers_sort_below_versions_of_packages() {
        for (text, expected) in [
            ("so:x=6", "so:x=0.6"),
            ("so:x>=1", "so:x>=0.1"),
            ("so:x<=1", "so:x<=0.1"),
            ("so:x>1", "so:x>1"),
            ("so:x~1", "so:x~1"),
            ("so:x=1.2-r3", "so:x=1.2-r3"),
            ("so:x=1.2-r", "so:x=0.1.2-r"),
            ("so:x", "so:x"),
            ("sox=1", "sox=1"),
        ] {
            assert_eq!(Constraint::parse(text).unwrap().with_soname_rule().to_string(), expected);
        }
        for (text, expected) in
            [("so:x=6", "so:x=0.6"), ("so:x=6-r0", "so:x=6-r0"), ("cmd:x=6", "cmd:x=6"), ("so:x", "so:x")]
        {
            assert_eq!(Provide::parse(text).unwrap().with_soname_rule().to_string(), expected);
        }
    }

    #[test]
    fn garbage_is_kept_by_name_and_never_met() {
        for text in ["b>=", "=1", ">1", "b><1", "b==1", "!", "b@edge=1"] {
            let garbage = Constraint::parse_or_unmeetable(text);
            assert_eq!(garbage.to_string(), text);
            assert!(PackageName::parse(garbage.name.as_str()).is_err(), "{text}");
        }
        assert_eq!(Constraint::parse_or_unmeetable("b>=1"), Constraint::parse("b>=1").unwrap());
    }

    #[test]
    fn provides() {
        for text in ["a", "a=1", "so:libc.musl-x86_64.so.1=1", "cmd:[=1.2-r3", "/bin/sh"] {
            assert_eq!(Provide::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "=1", "a=", "a>1", "a==1", "a b", "a@b"] {
            assert!(Provide::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_round_trips(text in "!?[a-c:/.!]{1,4}((=|<|<=|>|>=|~)[0-9a-c.~=-]{1,6})?(@[a-z0-9]{1,3})?") {
            if let Ok(constraint) = Constraint::parse(&text) {
                prop_assert_eq!(&Constraint::parse(&constraint.to_string()).unwrap(), &constraint);
                if !text.contains("=~") {
                    prop_assert_eq!(constraint.to_string(), text);
                }
            }
        }

        #[test]
        fn nothing_breaks_it(text in "\\PC*") {
            let garbage = Constraint::parse_or_unmeetable(&text);
            prop_assert!(!garbage.to_string().contains('\x1b'));
            let _ = Provide::parse(&text);
        }
    }
}
