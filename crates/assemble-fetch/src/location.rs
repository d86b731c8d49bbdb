//! Where bytes are.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assemble_types::{SafeUrl, SafeUrlError};
use url::Url;

use crate::escape::{hide_user, shown, shown_path};

/// A folder or file of this host, or an `http:` or `https:` URL. Its text shows no password and no token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location(Place);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Place {
    Path(PathBuf),
    /// Shared, so that errors that name a place stay small.
    Url(Arc<SafeUrl>),
}

/// Text that names no place we can read from.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LocationError {
    /// There is no text.
    #[error("a location is empty: expected a path, `file:///…`, `http://…` or `https://…`")]
    Empty,
    /// The text has a scheme but is no URL.
    #[error(transparent)]
    Url(SafeUrlError),
    /// A URL with a scheme that is not ours.
    #[error("`{}:` is not supported: expected a path, `file:///…`, `http://…` or `https://…`", shown(.scheme.as_bytes()))]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// A `file:` URL that names another host or no absolute path.
    #[error("`{}` names no absolute path of this host: expected `file:///…`", shown(.text.as_bytes()))]
    FileUrl {
        /// The URL, without user information.
        text: String,
    },
}

impl Location {
    /// Reads a path (relative to `base_dir`), a `file:` URL or an `http(s):` URL. A query is kept, a fragment is not.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse(text: &str, base_dir: &Path) -> Result<Self, LocationError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(LocationError::Empty);
        }
        let Some(scheme) = scheme_of(text) else {
            return Ok(Self::from_path(base_dir.join(text)));
        };
        match scheme.as_str() {
            "http" | "https" => {
                let mut url = text.parse::<SafeUrl>().map_err(LocationError::Url)?.expose().clone();
                url.set_fragment(None);
                Ok(Self::from(SafeUrl::from(url)))
            }
            "file" => {
                let bad = || LocationError::FileUrl { text: hide_user(text) };
                // The URL standard would make an absolute path of a relative one, silently.
                let absolute = text.get("file:".len()..).is_some_and(|rest| rest.starts_with('/'));
                let url = text.parse::<Url>().map_err(|_| bad())?;
                let path = url.to_file_path().map_err(|()| bad())?;
                if absolute { Ok(Self::from_path(path)) } else { Err(bad()) }
            }
            _ => Err(LocationError::Scheme { scheme }),
        }
    }

    /// A path of this host as it stands.
    pub fn from_path(path: impl Into<PathBuf>) -> Self {
        Self(Place::Path(path.into()))
    }

    /// The place below this one. Empty, `.` and `..` components are left out, so that a hostile name cannot climb;
    /// a URL's query stays at the end.
    #[must_use]
    pub fn join(&self, below: &str) -> Self {
        let parts = below.split('/').filter(|part| !matches!(*part, "" | "." | ".."));
        match &self.0 {
            Place::Path(path) => {
                let mut path = path.clone();
                parts.for_each(|part| path.push(OsStr::from_bytes(part.as_bytes())));
                Self::from_path(path)
            }
            Place::Url(base) => {
                let mut url = base.expose().clone();
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.pop_if_empty().extend(parts);
                }
                Self::from(SafeUrl::from(url))
            }
        }
    }

    /// The folder that this place is in; a URL loses its query.
    #[must_use]
    pub fn parent(&self) -> Self {
        match &self.0 {
            Place::Path(path) => Self::from_path(path.parent().unwrap_or(path)),
            Place::Url(base) => {
                let mut url = base.expose().clone();
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.pop_if_empty().pop();
                }
                url.set_query(None);
                Self::from(SafeUrl::from(url))
            }
        }
    }

    /// The path, if it is on this host.
    pub fn local_path(&self) -> Option<&Path> {
        match &self.0 {
            Place::Path(path) => Some(path),
            Place::Url(_) => None,
        }
    }

    /// The URL, if it is elsewhere.
    pub fn url(&self) -> Option<&SafeUrl> {
        match &self.0 {
            Place::Path(_) => None,
            Place::Url(url) => Some(url),
        }
    }

    /// Host and port of the URL, if there is one.
    pub fn host(&self) -> Option<String> {
        self.url().map(SafeUrl::host)
    }
}

impl From<SafeUrl> for Location {
    fn from(url: SafeUrl) -> Self {
        Self(Place::Url(Arc::new(url)))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Path(path) => f.write_str(&shown_path(path)),
            Place::Url(url) => fmt::Display::fmt(url, f),
        }
    }
}

/// The lower-case scheme of something that was meant as a URL: `name:` where the name has two letters or more, and
/// either we know it or `//` follows. Everything else is a path, also `a:b`.
fn scheme_of(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once(':')?;
    let formed = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let scheme = scheme.to_ascii_lowercase();
    let known = matches!(scheme.as_str(), "file" | "http" | "https");
    (formed && (known || rest.starts_with("//"))).then_some(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> String {
        match Location::parse(text, Path::new("/base")) {
            Ok(location) => location.to_string(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn every_form() {
        for (text, expected) in [
            ("repo", "/base/repo"),
            ("./repo/main", "/base/./repo/main"),
            ("/abs/repo", "/abs/repo"),
            ("a:b", "/base/a:b"),
            ("file:///abs/a%20b", "/abs/a b"),
            ("file:/abs", "/abs"),
            ("file://localhost/abs", "/abs"),
            ("file:rel", "error: `file:rel` names no absolute path of this host: expected `file:///…`"),
            (
                "file://other/abs",
                "error: `file://other/abs` names no absolute path of this host: expected `file:///…`",
            ),
            ("https://h.example/a/b#x", "https://h.example/a/b"),
            ("HTTP://h.example:80/a", "http://h.example/a"),
            (" https://h.example/ ", "https://h.example/"),
            ("https://u:hunter2@h.example/a", "https://u:xxxxx@h.example/a"),
            ("http:/u:hunter2@h/x", "http://u:xxxxx@h/x"),
            ("HTTP:u:hunter2@h/x", "http://u:xxxxx@h/x"),
            ("http:/u:hunter2@:bad/x", "error: `(a text with user information)` is no URL"),
            ("htp:/u:hunter2@h/x", "/base/htp:/xxxxx@h/x"),
            (
                "file:u:hunter2@h/x",
                "error: `xxxxx@h/x` names no absolute path of this host: expected `file:///…`",
            ),
            (
                "file://u:hunter2@h/x",
                "error: `file://xxxxx@h/x` names no absolute path of this host: expected `file:///…`",
            ),
            ("http://", "error: `http://` is no URL"),
            (
                "ftp://h/x",
                "error: `ftp:` is not supported: expected a path, `file:///…`, `http://…` or `https://…`",
            ),
            ("", "error: a location is empty: expected a path, `file:///…`, `http://…` or `https://…`"),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn joining_stays_below() {
        for (base, below, expected) in [
            ("https://h/os", "x86_64/APKINDEX.tar.gz", "https://h/os/x86_64/APKINDEX.tar.gz"),
            ("https://h/os/", "x86_64/libstdc++-1.apk", "https://h/os/x86_64/libstdc++-1.apk"),
            ("https://h", "a", "https://h/a"),
            ("https://h/os", "../../x//./y", "https://h/os/x/y"),
            ("https://h/os", "a?b#c d%2e", "https://h/os/a%3Fb%23c%20d%252e"),
            ("/repo", "x86_64/APKINDEX.tar.gz", "/repo/x86_64/APKINDEX.tar.gz"),
            ("/repo/", "/../etc/passwd", "/repo/etc/passwd"),
        ] {
            let location = Location::parse(base, Path::new("/")).unwrap();
            assert_eq!(location.join(below).to_string(), expected);
        }
        let signed = Location::parse("https://h/os?digest=1", Path::new("/")).unwrap();
        assert_eq!(signed.join("a").to_string(), "https://h/os/a?digest=1");
        assert_eq!(signed.host().unwrap(), "h");
    }

    #[test]
    fn parents() {
        let parent = |text: &str| Location::parse(text, Path::new("/base")).unwrap().parent().to_string();
        assert_eq!(parent("https://x.invalid/a/b/packages.adb"), "https://x.invalid/a/b");
        assert_eq!(parent("https://x.invalid/a/?q=packages.adb"), "https://x.invalid/");
        assert_eq!(parent("https://x.invalid"), "https://x.invalid/");
        assert_eq!(parent("feed/packages.adb"), "/base/feed");
        assert_eq!(parent("/"), "/");
    }
}
