//! Which addresses a server may send us to, and what goes there.

use assemble_types::SafeUrl;
use url::Url;

use crate::error::RedirectFault;
use crate::http::may_lead_to;

/// Resolves a `Location` that answered a request to `from`, which began as one to `first`.
///
/// User information in the target is dropped: it is the server's, and would become a header of our making at a host of
/// its choice. That of `first` goes along only to the same authority.
pub(super) fn follow(first: &SafeUrl, from: &SafeUrl, target: &str) -> Result<SafeUrl, RedirectFault> {
    let mut url = from.expose().join(target.trim()).map_err(|_| RedirectFault::NoTarget)?;
    match url.scheme() {
        "http" if first.expose().scheme() == "https" || from.expose().scheme() == "https" => {
            return Err(RedirectFault::Insecure);
        }
        "http" | "https" => {}
        _ => return Err(RedirectFault::NoTarget),
    }
    if !may_lead_to(first.expose(), &url) {
        return Err(if url.host().is_some() {
            RedirectFault::PrivateNetwork
        } else {
            RedirectFault::NoTarget
        });
    }
    url.set_fragment(None);
    let (user, password) = if may_know(first.expose(), &url) {
        (first.expose().username(), first.expose().password())
    } else {
        ("", None)
    };
    let set = url.set_username(user).and_then(|()| url.set_password(password));
    set.map_err(|()| RedirectFault::NoTarget)?;
    Ok(SafeUrl::from(url))
}

/// Whether credentials for `first` may go to `url`: the same scheme, host and port, or the same host where both have
/// their scheme's own port and the second has TLS.
pub(crate) fn may_know(first: &Url, url: &Url) -> bool {
    let same_host = first.host() == url.host();
    let same_port = first.port_or_known_default() == url.port_or_known_default();
    let secured = url.scheme() == "https" && first.port().is_none() && url.port().is_none();
    same_host && ((first.scheme() == url.scheme() && same_port) || secured)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> SafeUrl {
        text.parse().unwrap()
    }

    #[test]
    fn targets() {
        let private = Err(RedirectFault::PrivateNetwork);
        for (first, target, want) in [
            ("https://m.io/a/b", "../c?x=1#f", Ok("https://m.io/c?x=1")),
            ("https://m.io/a", "https://store.io/b", Ok("https://store.io/b")),
            ("http://m.io/a", "https://m.io/b", Ok("https://m.io/b")),
            ("https://m.io/a", "http://m.io/b", Err(RedirectFault::Insecure)),
            ("https://m.io/a", "ftp://m.io/b", Err(RedirectFault::NoTarget)),
            ("https://m.io/a", "http://", Err(RedirectFault::NoTarget)),
            // The server's user information never goes anywhere, ours stays with its authority.
            ("https://m.io/a", "https://u:p@store.io/b", Ok("https://store.io/b")),
            ("https://m.io/a", "https://u:p@m.io/b", Ok("https://m.io/b")),
            ("https://me:pw@m.io/a", "https://u:p@m.io/b", Ok("https://me:pw@m.io/b")),
            ("https://me:pw@m.io/a", "/b", Ok("https://me:pw@m.io/b")),
            ("http://me:pw@m.io/a", "https://m.io/b", Ok("https://me:pw@m.io/b")),
            ("https://me:pw@m.io/a", "https://m.io:8443/b", Ok("https://m.io:8443/b")),
            ("https://me:pw@m.io/a", "https://store.io/b", Ok("https://store.io/b")),
            // Addresses inside.
            ("http://m.io/a", "http://169.254.169.254/x", private),
            ("http://m.io/a", "http://u:p@10.0.0.1/x", private),
            ("https://m.io/a", "https://127.0.0.1/x", private),
            ("https://m.io/a", "https://2130706433/x", private),
            ("https://m.io/a", "https://a.localhost./x", private),
            ("https://m.io/a", "https://[::ffff:10.0.0.1]/x", private),
            ("https://m.io/a", "https://[fd00::1]/x", private),
            ("https://m.io/a", "https://[fe80::1]/x", private),
            ("http://10.0.0.1/a", "http://192.168.0.1/x", Ok("http://192.168.0.1/x")),
            ("http://10.0.0.1/a", "http://127.0.0.1/x", private),
            ("http://127.0.0.1:1/a", "http://localhost:2/x", Ok("http://localhost:2/x")),
            ("http://127.0.0.1:1/a", "http://169.254.169.254/x", private),
            ("http://169.254.1.1/a", "/x", Ok("http://169.254.1.1/x")),
        ] {
            let found = follow(&url(first), &url(first), target);
            let found = found.as_ref().map(|url| url.expose().as_str());
            assert_eq!(found, want.as_ref().map(|w| *w), "{first} {target}");
        }
        let (first, from) = (url("http://m.io/"), url("https://other.io/"));
        assert_eq!(follow(&first, &from, "http://m.io/").unwrap_err(), RedirectFault::Insecure);
    }
}
