//! Which addresses a registry may send us to, and what may go there.

use assemble_fetch::{is_this_machine, may_lead_to};
use assemble_types::Digest;
use url::Url;

/// Why an address is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// The answer that has to name the next address names none.
    #[error("the answer names no address")]
    Missing,
    /// Not a URL, relative or absolute.
    #[error("the address is no URL")]
    Unreadable,
    /// Neither http nor https.
    #[error("the address is neither http nor https")]
    Scheme,
    /// http, after https.
    #[error("the address is plain http, the registry is https")]
    Downgrade,
    /// User name or password in the address.
    #[error("the address carries user information")]
    UserInfo,
    /// A host inside a private network, named by a registry that is not in it.
    #[error("the address is in a private network that the registry is not in")]
    PrivateNetwork,
    /// More than ten redirects.
    #[error("more than ten redirects in a row")]
    TooMany,
    /// A call that cannot be repeated elsewhere was redirected.
    #[error("the call was redirected in a way that loses its body")]
    BodyLost,
}

/// Host, port and scheme are the same, with default ports filled in.
pub(crate) fn same_authority(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host_str() == b.host_str()
        && a.port_or_known_default() == b.port_or_known_default()
}

/// Resolves a `Location` that answered a call to `from`, on behalf of the registry at `registry`.
pub(crate) fn follow(registry: &Url, from: &Url, location: &str) -> Result<Url, AddressFault> {
    let mut url = from.join(location.trim()).map_err(|_| AddressFault::Unreadable)?;
    url.set_fragment(None);
    let secure = registry.scheme() == "https" || from.scheme() == "https";
    check(registry, &url, secure)?;
    Ok(url)
}

/// Checks the address of a token server that the registry named. http only for a registry that is itself http.
pub(crate) fn realm(registry: &Url, realm: &str) -> Result<Url, AddressFault> {
    let url = Url::parse(realm.trim()).map_err(|_| AddressFault::Unreadable)?;
    check(registry, &url, registry.scheme() == "https")?;
    Ok(url)
}

fn check(registry: &Url, url: &Url, secure: bool) -> Result<(), AddressFault> {
    match url.scheme() {
        "http" if secure => return Err(AddressFault::Downgrade),
        "http" | "https" => {}
        _ => return Err(AddressFault::Scheme),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressFault::UserInfo);
    }
    if url.host().is_none() || registry.host().is_none() {
        return Err(AddressFault::Unreadable);
    }
    if may_lead_to(registry, url) { Ok(()) } else { Err(AddressFault::PrivateNetwork) }
}

/// Appends `digest=` and changes nothing else: upload states are signed.
pub(crate) fn with_digest(location: &Url, digest: &Digest) -> Url {
    let mut url = location.clone();
    let query = match url.query() {
        None | Some("") => format!("digest={digest}"),
        Some(query) => format!("{query}&digest={digest}"),
    };
    url.set_query(Some(&query));
    url
}

/// Whether a registry's name (host, perhaps with a port) means this machine.
pub(crate) fn is_loopback_name(registry: &str) -> bool {
    Url::parse(&format!("http://{registry}/")).is_ok_and(|url| is_this_machine(&url))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn locations() {
        let post = "https://r.io/v2/a/blobs/uploads/";
        for (registry, from, location, want) in [
            ("https://r.io", post, "/v2/a/x?_state=a%2Bb%3D", Ok("https://r.io/v2/a/x?_state=a%2Bb%3D")),
            ("https://r.io", post, "uuid", Ok("https://r.io/v2/a/blobs/uploads/uuid")),
            ("https://r.io", post, "?x=1#f", Ok("https://r.io/v2/a/blobs/uploads/?x=1")),
            ("https://r.io", post, "https://store.io/b", Ok("https://store.io/b")),
            ("https://r.io:443", post, "https://r.io/b", Ok("https://r.io/b")),
            ("https://r.io", post, "//other.io/b", Ok("https://other.io/b")),
            ("https://r.io", post, "http://r.io/b", Err(AddressFault::Downgrade)),
            ("http://r.io", "https://r.io/x", "http://r.io/b", Err(AddressFault::Downgrade)),
            ("http://r.io", "http://r.io/x", "https://r.io/b", Ok("https://r.io/b")),
            ("https://r.io", post, "https://u:p@r.io/b", Err(AddressFault::UserInfo)),
            ("https://r.io", post, "https://u@r.io/b", Err(AddressFault::UserInfo)),
            ("https://r.io", post, "ftp://r.io/b", Err(AddressFault::Scheme)),
            ("https://r.io", post, "file:///etc/passwd", Err(AddressFault::Scheme)),
            ("https://r.io", post, "http://", Err(AddressFault::Unreadable)),
            ("https://r.io", post, "https://169.254.169.254/x", Err(AddressFault::PrivateNetwork)),
            ("https://r.io", post, "https://10.0.0.1/x", Err(AddressFault::PrivateNetwork)),
            ("https://r.io", post, "https://0x7f.1/x", Err(AddressFault::PrivateNetwork)),
            ("https://r.io", post, "https://2130706433/x", Err(AddressFault::PrivateNetwork)),
            ("https://r.io", post, "https://localhost/x", Err(AddressFault::PrivateNetwork)),
            ("https://r.io", post, "https://a.localhost./x", Err(AddressFault::PrivateNetwork)),
            ("https://r.io", post, "https://100.64.0.1/x", Err(AddressFault::PrivateNetwork)),
            ("https://r.io", post, "https://0.0.0.0/x", Err(AddressFault::PrivateNetwork)),
            ("https://r.io", post, "https://[::1]/x", Err(AddressFault::PrivateNetwork)),
            ("https://r.io", post, "https://[::ffff:10.0.0.1]/x", Err(AddressFault::PrivateNetwork)),
            ("https://r.io", post, "https://[fd00::1]/x", Err(AddressFault::PrivateNetwork)),
            ("https://r.io", post, "https://[fe80::1]/x", Err(AddressFault::PrivateNetwork)),
            ("https://10.0.0.1", "https://10.0.0.1/", "https://10.0.0.2/x", Ok("https://10.0.0.2/x")),
            (
                "https://10.0.0.1",
                "https://10.0.0.1/",
                "https://127.0.0.1/x",
                Err(AddressFault::PrivateNetwork),
            ),
            ("http://127.0.0.1:1", "http://127.0.0.1:1/", "http://localhost:2/x", Ok("http://localhost:2/x")),
            (
                "http://127.0.0.1:1",
                "http://127.0.0.1:1/",
                "http://10.0.0.1/x",
                Err(AddressFault::PrivateNetwork),
            ),
            (
                "http://127.0.0.1:1",
                "http://127.0.0.1:1/",
                "http://169.254.169.254/x",
                Err(AddressFault::PrivateNetwork),
            ),
        ] {
            let found = follow(&url(registry), &url(from), location);
            assert_eq!(found.as_ref().map(Url::as_str), want.as_ref().map(|w| *w), "{registry} {location}");
        }
    }

    #[test]
    fn realms() {
        for (registry, text, want) in [
            ("https://r.io", "https://auth.io/token?a=b", Ok(())),
            ("https://r.io", "http://auth.io/token", Err(AddressFault::Downgrade)),
            ("http://r.io", "http://auth.io/token", Ok(())),
            ("https://r.io", "/token", Err(AddressFault::Unreadable)),
            ("https://r.io", "https://u:p@auth.io/", Err(AddressFault::UserInfo)),
            ("https://r.io", "https://192.168.0.1/", Err(AddressFault::PrivateNetwork)),
            ("https://192.168.0.1", "https://192.168.0.1:8443/", Ok(())),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", Ok(())),
            ("http://localhost:5000", "http://[::1]:5001/token", Ok(())),
        ] {
            assert_eq!(realm(&url(registry), text).map(|_| ()), want, "{registry} {text}");
        }
    }

    #[test]
    fn the_query_is_kept_as_it_is() {
        let digest = Digest::of(b"x");
        for (location, want) in [
            ("https://r/u?_state=a%2Bb%3D%3d&x=%7e+", "https://r/u?_state=a%2Bb%3D%3d&x=%7e+&digest="),
            ("https://r/u", "https://r/u?digest="),
            ("https://r/u?", "https://r/u?digest="),
        ] {
            assert_eq!(with_digest(&url(location), &digest).as_str(), format!("{want}{digest}"));
        }
    }

    #[test]
    fn authorities_and_loopback() {
        assert!(same_authority(&url("https://a:443/x"), &url("https://A/y")));
        assert!(!same_authority(&url("https://a/"), &url("http://a/")));
        assert!(!same_authority(&url("https://a/"), &url("https://a:8443/")));
        assert!(!same_authority(&url("https://a/"), &url("https://a.b/")));
        for (name, want) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("x.localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("[::1]:5000", true),
            ("10.0.0.1:5000", false),
            ("localhost.example.com", false),
            ("notlocalhost", false),
            ("127.0.0.1.example.com", false),
            ("", false),
        ] {
            assert_eq!(is_loopback_name(name), want, "{name}");
        }
    }
}
