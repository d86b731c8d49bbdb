//! Names, passwords and tokens of package repositories: what each is for, and when it may be sent.
//!
//! The environment and the netrc file are read by whoever owns them; what stands in them is understood here. A mistake
//! in them is a warning, since the build at hand may not need what it spoils, and no text of this module shows a part
//! of a line that could be a secret.

mod access;
mod http_auth;
mod netrc;

use std::fmt;
use std::net::Ipv6Addr;

use reqwest::RequestBuilder;
use url::{Host, Url};

pub(crate) use access::Access;
pub use netrc::NetrcFile;

/// What a server is told to let us in, the one host it is for, and where it came from. Its `Debug` form shows no secret.
#[derive(Clone)]
pub struct Credential {
    host: Host<String>,
    ports: Ports,
    secret: Secret,
    source: String,
}

/// On which ports of a host a credential may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ports {
    /// Where the URL names none that is not its scheme's own.
    Usual,
    /// This one.
    One(u16),
    /// Each.
    Any,
}

#[derive(Clone)]
enum Secret {
    Basic { user: String, password: String },
    Bearer(String),
}

/// Credentials in order of precedence, and what was wrong where they stand.
#[derive(Debug, Default)]
pub struct FoundCredentials {
    /// The first that is for a URL is the one that is sent.
    pub credentials: Vec<Credential>,
    /// What could not be used, and why, for people. Holds no secret.
    pub warnings: Vec<String>,
}

impl FoundCredentials {
    /// What `HTTP_AUTH` says, then what netrc says.
    ///
    /// `HTTP_AUTH` holds an entry a line: `basic:HOST:USER:PASSWORD`, as in apko, or `bearer:HOST:TOKEN`. `HOST` may be
    /// followed by `:PORT`; without one, it is the host with its scheme's own port. A name in netrc without a port means
    /// the host with any port, as for everybody who reads that file.
    pub fn gather(http_auth: Option<&str>, netrc: Option<&NetrcFile>) -> Self {
        let mut found = http_auth.map(http_auth::parse).unwrap_or_default();
        if let Some(netrc) = netrc {
            let mut more = netrc.read();
            found.credentials.append(&mut more.credentials);
            found.warnings.append(&mut more.warnings);
        }
        found
    }
}

/// A host that cannot be one, in words.
pub(crate) type BadHost = &'static str;

impl Credential {
    /// A name and a password for a host, with `:PORT` behind it where that is not the scheme's own. `source` says in
    /// messages where it came from.
    pub fn basic(host: &str, user: &str, password: &str, source: &str) -> Option<Self> {
        let (host, port) = split_port(host);
        let secret = Secret::Basic { user: user.into(), password: password.into() };
        Self::new(host, port.map_or(Ports::Usual, Ports::One), secret, source).ok()
    }

    fn new(host: &str, ports: Ports, secret: Secret, source: &str) -> Result<Self, BadHost> {
        Ok(Self { host: parse_host(host)?, ports, secret, source: source.to_owned() })
    }

    /// Where it came from, such as `HTTP_AUTH`.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Whether it is meant for this URL's host and port.
    pub(crate) fn is_for(&self, url: &Url) -> bool {
        let ports = match self.ports {
            Ports::Usual => url.port().is_none(),
            Ports::One(port) => url.port_or_known_default() == Some(port),
            Ports::Any => true,
        };
        ports && url.host().is_some_and(|host| same_host(&host.to_owned(), &self.host))
    }

    pub(crate) fn put_on(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.secret {
            Secret::Basic { user, password } => request.basic_auth(user, Some(password)),
            Secret::Bearer(token) => request.bearer_auth(token),
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("host", &self.host)
            .field("ports", &self.ports)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// A host name with a dot at its end is the same host.
fn same_host(a: &Host<String>, b: &Host<String>) -> bool {
    match (a, b) {
        (Host::Domain(a), Host::Domain(b)) => a.trim_end_matches('.') == b.trim_end_matches('.'),
        _ => a == b,
    }
}

fn parse_host(text: &str) -> Result<Host<String>, BadHost> {
    if text.is_empty() {
        return Err("the host is missing");
    }
    if text == "*" {
        return Err("`*` would send it to every host");
    }
    if let Ok(ip) = text.parse::<Ipv6Addr>() {
        return Ok(Host::Ipv6(ip));
    }
    Host::parse(text).map_err(|_| "the host is no host name")
}

/// `host:8080` and `[::1]:8080` in two; a bare IPv6 address has no port.
fn split_port(text: &str) -> (&str, Option<u16>) {
    match text.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => match parse_port(port) {
            Some(port) => (host, Some(port)),
            None => (text, None),
        },
        _ => (text, None),
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whose credential goes to a URL, of these.
    pub(super) fn sent(credentials: &[Credential], url: &str) -> Option<String> {
        let url = url.parse().unwrap();
        credentials.iter().find(|c| c.is_for(&url)).map(shown)
    }

    pub(super) fn shown(credential: &Credential) -> String {
        let host = match credential.ports {
            Ports::Usual => credential.host.to_string(),
            Ports::One(port) => format!("{}:{port}", credential.host),
            Ports::Any => format!("{}:*", credential.host),
        };
        match &credential.secret {
            Secret::Basic { user, password } => format!("{host} {user} {password}"),
            Secret::Bearer(token) => format!("{host} {token}"),
        }
    }

    #[test]
    fn a_credential_is_for_its_host_and_port_only() {
        let usual = [Credential::basic("Apk.Example.org", "u", "p", "x").unwrap()];
        for (url, want) in [
            ("https://apk.example.org/os", true),
            ("http://apk.example.org:80/os", true),
            ("https://apk.example.org./os", true),
            ("https://apk.example.org:8443/os", false),
            ("https://example.org/os", false),
            ("https://apk.example.org.evil.example/os", false),
            ("https://xapk.example.org/os", false),
        ] {
            assert_eq!(sent(&usual, url).is_some(), want, "{url}");
        }
        let one = [Credential::basic("[::1]:8443", "u", "p", "x").unwrap()];
        assert!(sent(&one, "https://[::1]:8443/").is_some() && sent(&one, "https://[::1]/").is_none());
        let one = [Credential::basic("h:443", "u", "p", "x").unwrap()];
        assert!(sent(&one, "https://h/").is_some() && sent(&one, "http://h/").is_none());
        for bad in ["", "*", "a b", "a/b", "[::1", "a@b"] {
            assert!(Credential::basic(bad, "u", "p", "x").is_none(), "{bad}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let credential = Credential::basic("h", "u", "hunter2", "HTTP_AUTH").unwrap();
        assert!(!format!("{credential:?}").contains("hunter2"));
        assert_eq!(credential.source(), "HTTP_AUTH");
    }
}
