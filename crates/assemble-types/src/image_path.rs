//! Paths inside an image.

use std::borrow::Borrow;
use std::fmt;

/// A path inside the image, from its root. Bytes, since archive names are bytes.
///
/// It cannot hold `..`, `.`, empty components or NUL. It is kept without a leading slash, which is how tar names it;
/// it is shown with one. The root is the empty path. Order is byte order of the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ImagePath(Box<[u8]>);

/// Why a text is no path inside an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImagePathError {
    /// A component is `..`.
    #[error("`{0}` climbs with `..`; a path in an image cannot leave its root")]
    Climbs(String),
    /// A NUL byte.
    #[error("`{0}` holds a NUL byte")]
    Nul(String),
}

fn lossy(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).escape_debug().to_string()
}

impl ImagePath {
    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Normalises: leading, trailing and doubled slashes and `.` components are dropped.
    pub fn parse(raw: impl AsRef<[u8]>) -> Result<Self, ImagePathError> {
        let raw = raw.as_ref();
        if raw.contains(&0) {
            return Err(ImagePathError::Nul(lossy(raw)));
        }
        let mut out = Vec::with_capacity(raw.len());
        for part in raw.split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return Err(ImagePathError::Climbs(lossy(raw))),
                _ => {
                    if !out.is_empty() {
                        out.push(b'/');
                    }
                    out.extend_from_slice(part);
                }
            }
        }
        Ok(Self(out.into()))
    }

    /// Whether a text is one component of a path: not empty, no `.` or `..`, without a slash or NUL.
    pub fn is_component(name: &[u8]) -> bool {
        !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0)
    }

    /// This path with one more component; nothing if the name is none.
    pub fn child(&self, name: &[u8]) -> Option<Self> {
        if !Self::is_component(name) {
            return None;
        }
        Some(Self(if self.0.is_empty() { name.into() } else { [&*self.0, b"/", name].concat().into() }))
    }

    /// This path with the components of another, which may start with a slash, behind it.
    pub fn join(&self, tail: impl AsRef<[u8]>) -> Result<Self, ImagePathError> {
        let mut raw = self.0.to_vec();
        raw.push(b'/');
        raw.extend_from_slice(tail.as_ref());
        Self::parse(raw)
    }

    /// Without leading slash, as in a tar header.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The components from the root.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|part| !part.is_empty())
    }

    /// The last component, if this is not the root.
    pub fn file_name(&self) -> Option<&[u8]> {
        self.components().next_back()
    }

    /// The folder this lies in; nothing for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Some(Self(self.0[..end].into()))
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `self` is `other` or lies below it.
    pub fn starts_with(&self, other: &Self) -> bool {
        other.is_root()
            || (self.0.starts_with(&other.0) && matches!(self.0.get(other.0.len()), None | Some(b'/')))
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/")?;
        for c in String::from_utf8_lossy(&self.0).chars() {
            if c.is_control() { write!(f, "{}", c.escape_debug())? } else { write!(f, "{c}")? }
        }
        Ok(())
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Borrow<[u8]> for ImagePath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl std::str::FromStr for ImagePath {
    type Err = ImagePathError;

    fn from_str(text: &str) -> Result<Self, ImagePathError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn normalises_and_refuses() {
        let show = |raw: &str| ImagePath::parse(raw).map(|p| p.to_string()).map_err(|e| e.to_string());
        assert_eq!(show("/usr//bin/./x/"), Ok("/usr/bin/x".into()));
        assert_eq!(show(""), Ok("/".into()));
        assert_eq!(show("/"), Ok("/".into()));
        assert!(show("usr/../etc").unwrap_err().contains("`..`"));
        assert!(show("a\0b").unwrap_err().contains("NUL"));
        assert_eq!(show("a\x1b[31mb"), Ok("/a\\u{1b}[31mb".into()));
    }

    #[test]
    fn a_child_is_one_component_more() {
        let usr = ImagePath::parse("usr").unwrap();
        assert_eq!(usr.child(b"bin"), ImagePath::parse("usr/bin").ok());
        assert_eq!(ImagePath::root().child(b"usr"), Some(usr.clone()));
        for name in ["", ".", "..", "a/b", "/", "a\0"] {
            assert_eq!(usr.child(name.as_bytes()), None, "{name:?}");
        }
    }

    #[test]
    fn below_means_whole_components() {
        let p = |raw: &str| ImagePath::parse(raw).unwrap();
        assert!(p("usr/lib/x").starts_with(&p("usr/lib")));
        assert!(!p("usr/lib64").starts_with(&p("usr/lib")));
        assert!(p("x").starts_with(&ImagePath::root()));
        assert_eq!(p("usr/bin/x").parent(), Some(p("usr/bin")));
        assert_eq!(p("usr").parent(), Some(ImagePath::root()));
        assert_eq!(ImagePath::root().parent(), None);
    }

    proptest! {
        #[test]
        fn parsing_what_was_parsed_changes_nothing(raw in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(path) = ImagePath::parse(&raw) {
                prop_assert!(path.components().all(|c| c != b".." && c != b"." && !c.contains(&0)));
                prop_assert_eq!(ImagePath::parse(path.as_bytes()).unwrap(), path);
            }
        }
    }
}
