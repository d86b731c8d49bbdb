//! `.PKGINFO`.

use assemble_types::Digest;
use data_encoding::HEXLOWER_PERMISSIVE;

use crate::ini::{Ini, IniError};
use crate::text::shown;
use crate::{NameError, PackageName, Version, VersionError};

/// `.PKGINFO`, decoded the way apko does, since its words become the record in the installed database.
///
/// No text in it holds control characters other than tabs: a record of the database is made of lines, so a line end
/// in a value could forge records.
#[derive(Debug, Clone)]
pub struct PackageInfo {
    /// `pkgname`
    pub name: PackageName,
    /// `pkgver`
    pub version: Version,
    /// `arch`, perhaps `noarch`.
    pub arch: String,
    /// `license`
    pub license: String,
    /// `pkgdesc`
    pub description: String,
    /// `origin`: the source package; perhaps empty.
    pub origin: String,
    /// `maintainer`
    pub maintainer: String,
    /// `url`
    pub url: String,
    /// `depend`, as written; the installed database needs the text.
    pub depends: Vec<String>,
    /// `provides`, as written.
    pub provides: Vec<String>,
    /// `install_if`, as written.
    pub install_if: Vec<String>,
    /// `replaces`, as written.
    pub replaces: Vec<String>,
    /// `triggers`: each is a list of paths with spaces between.
    pub triggers: Vec<String>,
    /// `commit` of the recipe.
    pub commit: String,
    /// `builddate` in seconds since 1970; 0 if it is missing or unreadable.
    pub build_time: i64,
    /// `size` in bytes; a claim only.
    pub installed_size: u64,
    /// `provider_priority`
    pub provider_priority: u64,
    /// Tags, which only version 3 has.
    pub tags: Vec<String>,
}

/// Why a `.PKGINFO` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageInfoError {
    /// Not the format.
    #[error(transparent)]
    Syntax(#[from] IniError),
    /// A key that has to be there.
    #[error("`{key}` is missing")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A control character where text is expected.
    #[error("the value of `{key}` holds the control character {character:?}")]
    Control {
        /// The key.
        key: &'static str,
        /// The character.
        character: char,
    },
    /// `pkgname` is no name.
    #[error("`pkgname` cannot be used")]
    Name(#[source] NameError),
    /// `pkgver` is no version.
    #[error("`pkgver` cannot be used")]
    Version(#[source] VersionError),
    /// `datahash` is no SHA-256.
    #[error("`datahash` is `{}`: expected 64 hexadecimal digits", shown(text))]
    DataHash {
        /// The value.
        text: String,
    },
}

fn no_control(key: &'static str, value: String) -> Result<String, PackageInfoError> {
    match value.chars().find(|c| c.is_control() && *c != '\t') {
        Some(character) => Err(PackageInfoError::Control { key, character }),
        None => Ok(value),
    }
}

impl PackageInfo {
    /// Parses the file. Bytes that are not UTF-8 become U+FFFD. Also gives `datahash`, the SHA-256 of the packed data
    /// section.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Digest), PackageInfoError> {
        let ini = Ini::parse(&String::from_utf8_lossy(bytes))?;
        let text = |key| no_control(key, ini.scalar(key)?);
        let list = |key| -> Result<Vec<String>, PackageInfoError> {
            ini.list(key)?.into_iter().map(|item| no_control(key, item)).collect()
        };
        let needed = |key| match text(key)? {
            value if value.is_empty() => Err(PackageInfoError::Missing { key }),
            value => Ok(value),
        };
        let data_hash = needed("datahash")?;
        let decoded = HEXLOWER_PERMISSIVE.decode(data_hash.as_bytes()).ok().and_then(|b| b.try_into().ok());
        let info = Self {
            name: PackageName::parse(&needed("pkgname")?).map_err(PackageInfoError::Name)?,
            version: Version::parse(&needed("pkgver")?).map_err(PackageInfoError::Version)?,
            arch: text("arch")?,
            license: text("license")?,
            description: text("pkgdesc")?,
            origin: text("origin")?,
            maintainer: text("maintainer")?,
            url: text("url")?,
            depends: list("depend")?,
            provides: list("provides")?,
            install_if: list("install_if")?,
            replaces: list("replaces")?,
            triggers: list("triggers")?,
            commit: text("commit")?,
            build_time: signed(&text("builddate")?),
            installed_size: unsigned(&text("size")?),
            provider_priority: unsigned(&text("provider_priority")?),
            tags: Vec::new(),
        };
        let decoded = decoded.ok_or(PackageInfoError::DataHash { text: data_hash })?;
        Ok((info, Digest::from_bytes(decoded)))
    }
}

/// An integer as Go reads one of unknown base: `0x`, `0o`, `0b`, a leading 0 for octal, and underscores between
/// digits. Anything else is 0, as is what does not fit.
fn unsigned(text: &str) -> u64 {
    go_integer(text).unwrap_or(0)
}

fn signed(text: &str) -> i64 {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = go_integer(digits).map(i128::from).map(|value| if negative { -value } else { value });
    value.and_then(|value| i64::try_from(value).ok()).unwrap_or(0)
}

fn go_integer(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    // An underscore stands between digits, or between a prefix and a digit.
    let misplaced = lower.starts_with('_') || lower.ends_with('_') || lower.contains("__");
    if misplaced || digits.is_empty() {
        return None;
    }
    digits
        .chars()
        .filter(|c| *c != '_')
        .try_fold(0_u64, |sum, c| sum.checked_mul(radix.into())?.checked_add(c.to_digit(radix)?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "datahash = 382c75e2d1a2e2b9d281e879b763b3b363508400d7cc796d9448c46a7b6ba342\n";

    fn with(text: &str) -> PackageInfo {
        PackageInfo::parse(format!("pkgname = a\npkgver = 1\n{HASH}{text}").as_bytes()).unwrap().0
    }

    #[test]
    fn all_fields() {
        let info = with(
            "arch = x86_64\nlicense = MIT\npkgdesc = d\norigin = o\nmaintainer = M <m@x>\nurl = u\ndepend = b\ndepend = c>1\nprovides = p=1\n\
             install_if = i\nreplaces = r<2\ntriggers = /bin /lib/*\ncommit = c\nbuilddate = 5\nsize = 6\nprovider_priority = 7\npackager = x\n",
        );
        assert_eq!((info.name.as_str(), info.version.as_str(), info.arch.as_str()), ("a", "1", "x86_64"));
        assert_eq!((info.license, info.description, info.origin), ("MIT".into(), "d".into(), "o".into()));
        assert_eq!((info.maintainer, info.url, info.commit), ("M <m@x>".into(), "u".into(), "c".into()));
        assert_eq!((info.depends, info.provides), (vec!["b".into(), "c>1".into()], vec!["p=1".to_owned()]));
        assert_eq!((info.install_if, info.replaces), (vec!["i".to_owned()], vec!["r<2".to_owned()]));
        assert_eq!(info.triggers, ["/bin /lib/*"]);
        assert_eq!((info.build_time, info.installed_size, info.provider_priority), (5, 6, 7));
        let (_, data_hash) =
            PackageInfo::parse(format!("pkgname = a\npkgver = 1\n{HASH}").as_bytes()).unwrap();
        assert_eq!(data_hash.as_bytes()[..2], [0x38, 0x2c]);
    }

    #[test]
    fn integers() {
        for (text, expected) in [
            ("10", 10),
            ("0x10", 16),
            ("0X1F", 31),
            ("010", 8),
            ("0o10", 8),
            ("0b101", 5),
            ("1_000", 1000),
            ("0_7", 7),
            ("0x_f", 15),
            ("08", 0),
            ("1__0", 0),
            ("_1", 0),
            ("1_", 0),
            ("x", 0),
            ("", 0),
            ("-5", 0),
            ("1.5", 0),
            ("0", 0),
            ("00", 0),
            ("0x", 0),
            ("18446744073709551616", 0),
            ("1 000", 0),
            ("é1", 0),
        ] {
            assert_eq!(with(&format!("size = {text}\n")).installed_size, expected, "{text}");
        }
        for (text, expected) in [
            ("-5", -5),
            ("+5", 5),
            ("9223372036854775808", 0),
            ("-9223372036854775808", i64::MIN),
            ("--5", 0),
        ] {
            assert_eq!(with(&format!("builddate = {text}\n")).build_time, expected, "{text}");
        }
    }

    #[test]
    fn refused() {
        use expect_test::expect;
        let mut all = String::new();
        for text in [
            "pkgver = 1\n",
            "pkgname = a\n",
            "pkgname = a\npkgver = 1\n",
            "pkgname = a b\npkgver = 1\n",
            "pkgname = a\npkgver = 1 2\n",
            "pkgname = a\npkgver = 1\npkgdesc = a\0b\n",
            "pkgname = a\npkgver = 1\npkgdesc = a\rP:forged\n",
            "pkgname = a\npkgver = 1\ndepend = a\x1bb\n",
            "pkgname = a\npkgver = 1\nx\n",
        ] {
            let hash = if text == "pkgname = a\npkgver = 1\n" { "" } else { HASH };
            let error = PackageInfo::parse(format!("{hash}{text}").as_bytes()).unwrap_err();
            let cause = std::error::Error::source(&error).map(|s| format!(": {s}")).unwrap_or_default();
            all.push_str(&format!("{error}{cause}\n"));
        }
        for hash in ["xyz", "38", &HASH[11..40]] {
            let text = format!("pkgname = a\npkgver = 1\ndatahash = {hash}\n");
            all.push_str(&format!("{}\n", PackageInfo::parse(text.as_bytes()).unwrap_err()));
        }
        expect![[r#"
            `pkgname` is missing
            `pkgver` is missing
            `datahash` is missing
            `pkgname` cannot be used: `a b` is no package name: it holds ' '; names have no white space, none of @ = > < ~, and no ! in front
            `pkgver` cannot be used: `1 2` is no version: it holds ' '
            the value of `pkgdesc` holds the control character '\0'
            the value of `pkgdesc` holds the control character '\r'
            the value of `depend` holds the control character '\u{1b}'
            line 4 `x` is not `key = value`
            `datahash` is `xyz`: expected 64 hexadecimal digits
            `datahash` is `38`: expected 64 hexadecimal digits
            `datahash` is `382c75e2d1a2e2b9d281e879b763b`: expected 64 hexadecimal digits
        "#]]
        .assert_eq(&all);
    }
}
