//! Names of packages and of what they provide.

use std::fmt;

use crate::text::shown;

/// A package name, or a provided name such as `so:libc.musl-x86_64.so.1`, `cmd:sh`, `/bin/sh`.
///
/// Not empty, without white space, control characters and the characters `@ = > < ~`; no `!` in front. Order is byte
/// order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(Box<str>);

/// Text that is no package name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("a package name is empty")]
    Empty,
    /// A character that no name may have.
    #[error(
        "`{}` is no package name: it holds {character:?}; names have no white space, none of @ = > < ~, and no ! in front",
        shown(name)
    )]
    Character {
        /// The text.
        name: String,
        /// The first such character.
        character: char,
    },
}

/// The first character that no name may have.
fn bad_character(text: &str) -> Option<char> {
    // A leading `!` would read as a conflict wherever the name is written into a constraint.
    if text.starts_with('!') {
        return Some('!');
    }
    // Nearly all names are of these; looking at characters one by one takes longer.
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'@' | b'=' | b'>' | b'<' | b'~');
    if text.bytes().all(plain) {
        return None;
    }
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '=' | '>' | '<' | '~');
    text.chars().find(|c| bad(*c))
}

impl PackageName {
    /// Checks the characters.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        match bad_character(text) {
            Some(character) => Err(NameError::Character { name: text.to_owned(), character }),
            None => Ok(Self(text.into())),
        }
    }

    /// A name that no package has: the whole of a dependency that is outside the grammar. It can be shown, and
    /// nothing ever provides it.
    pub(crate) fn unmeetable(token: &str) -> Self {
        Self::unmeetable_as(&shown(token))
    }

    /// The same of what is fit to be shown. A name that [`PackageName::unmeetable`] made comes back as it is.
    pub(crate) fn unmeetable_as(shown: &str) -> Self {
        let name = Self(shown.into());
        if name.can_be_met() { Self(format!("={shown}").into()) } else { name }
    }

    /// Whether it is a name that a package may have or provide, and not what was written in place of one.
    pub(crate) fn can_be_met(&self) -> bool {
        !self.0.is_empty() && bad_character(&self.0).is_none()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name can be part of a file name: the path of a package is made from its name.
    pub(crate) fn is_file_name(&self) -> bool {
        !self.0.contains(['/', '\\']) && !self.0.starts_with('.')
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for PackageName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for PackageName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_names_pass_and_others_do_not() {
        for good in ["musl", "so:libc.musl-x86_64.so.1", "cmd:[", "/bin/sh", "py3.11:foo", "gtk+3.0", "größe"]
        {
            assert_eq!(PackageName::parse(good).unwrap().to_string(), good);
        }
        for bad in ["", "a b", "a\n", "a=1", "a@b", "a>1", "a<1", "a~1", "!a", "!", "\u{1b}[31m"] {
            assert!(PackageName::parse(bad).is_err(), "{bad:?}");
        }
        let message = PackageName::parse("a\x1b").unwrap_err().to_string();
        assert!(!message.contains('\x1b'), "{message:?}");
        for token in ["a\x1b", "a>=", "", "!", "a"] {
            let name = PackageName::unmeetable(token);
            assert!(PackageName::parse(name.as_str()).is_err(), "{token:?}");
        }
    }
}
