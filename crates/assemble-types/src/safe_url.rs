//! URLs whose text never shows a secret.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// A URL. Printing it hides passwords and tokens; only [`SafeUrl::expose`] gives them away.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SafeUrl(Url);

/// Text that is no URL.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{text}` is no URL")]
pub struct SafeUrlError {
    text: String,
    #[source]
    source: url::ParseError,
}

/// Query keys whose values may be shown; all others may be signatures or tokens.
const PLAIN_QUERY_KEYS: [&str; 7] = ["digest", "mount", "from", "n", "last", "scope", "service"];

impl SafeUrl {
    /// The URL with everything in it, for sending a request. Never for a message, a file or a log.
    pub fn expose(&self) -> &Url {
        &self.0
    }

    /// Host and, where it is not the scheme's default, port.
    pub fn host(&self) -> String {
        match (self.0.host_str(), self.0.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => String::new(),
        }
    }

    /// Whether user information stands in it.
    pub fn has_credentials(&self) -> bool {
        !self.0.username().is_empty() || self.0.password().is_some()
    }

    /// Resolves a reference against this URL (RFC 3986 section 5).
    pub fn join(&self, reference: &str) -> Result<Self, SafeUrlError> {
        self.0
            .join(reference)
            .map(Self)
            .map_err(|source| SafeUrlError { text: "relative reference".into(), source })
    }
}

impl From<Url> for SafeUrl {
    fn from(url: Url) -> Self {
        Self(url)
    }
}

impl FromStr for SafeUrl {
    type Err = SafeUrlError;

    fn from_str(text: &str) -> Result<Self, SafeUrlError> {
        Url::parse(text).map(Self).map_err(|source| SafeUrlError {
            text: if text.contains('@') { "(a text with user information)".into() } else { text.to_owned() },
            source,
        })
    }
}

impl fmt::Display for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.0.clone();
        if url.password().is_some() {
            let _ = url.set_password(Some("xxxxx"));
        } else if !url.username().is_empty() {
            let _ = url.set_username("xxxxx");
        }
        if url.query().is_some() {
            let pairs: Vec<(String, String)> = url
                .query_pairs()
                .map(|(k, v)| {
                    let shown =
                        if PLAIN_QUERY_KEYS.contains(&k.as_ref()) { v.into_owned() } else { "xxxxx".into() };
                    (k.into_owned(), shown)
                })
                .collect();
            url.query_pairs_mut().clear().extend_pairs(pairs);
        }
        f.write_str(url.as_str())
    }
}

impl fmt::Debug for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_shown() {
        let show = |text: &str| format!("{0} {0:?}", text.parse::<SafeUrl>().unwrap());
        for secret in ["https://u:hunter2@h/p", "https://hunter2@h/p", "https://h/p?_state=hunter2&digest=x"]
        {
            assert!(!show(secret).contains("hunter2"), "{}", show(secret));
        }
        assert!(show("https://h/p?digest=sha256:ab").contains("ab"));
        assert_eq!("https://h:443/a".parse::<SafeUrl>().unwrap().host(), "h");
        assert_eq!("http://h:5000/a".parse::<SafeUrl>().unwrap().host(), "h:5000");
        assert!(!"http://u:hunter2@:bad".parse::<SafeUrl>().unwrap_err().to_string().contains("hunter2"));
    }
}
