//! From a registry's name to where it answers.

use std::collections::BTreeSet;

use assemble_types::Digest;
use url::Url;

use crate::location::is_loopback_name;

/// The key under which docker keeps Docker Hub's credentials.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// Where Docker Hub's API answers.
const HUB_API: &str = "registry-1.docker.io";

/// Registries that are spoken to over plain http. This machine's own (`localhost`, `*.localhost`, `127.0.0.0/8`,
/// `[::1]`) are unless `tls_here`; no other is without being named here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlainHttp {
    /// All of them.
    pub all: bool,
    /// Only these, each `host` (any port) or `host:port`.
    pub hosts: BTreeSet<String>,
    /// This machine's own speak TLS, too: for whoever says which certificates to take.
    pub tls_here: bool,
}

impl PlainHttp {
    fn covers(&self, registry: &str) -> bool {
        self.names(registry) || (!self.tls_here && is_loopback_name(registry))
    }

    /// Whether the registry was named, or all are meant.
    pub(crate) fn names(&self, registry: &str) -> bool {
        let host = host_without_port(registry);
        self.all
            || self.hosts.iter().any(|h| h.eq_ignore_ascii_case(registry) || h.eq_ignore_ascii_case(host))
    }
}

fn host_without_port(registry: &str) -> &str {
    match registry.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => registry,
    }
}

/// Whether a name is one of Docker Hub's.
pub(crate) fn is_hub(registry: &str) -> bool {
    matches!(registry, "docker.io" | "index.docker.io" | HUB_API)
}

/// Where one registry answers, and what its credentials are filed under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The name as people write it.
    pub(crate) name: String,
    /// Scheme, host and port, path `/`.
    pub(crate) base: Url,
}

impl Endpoint {
    /// Nothing if the name is none that a URL can hold.
    pub(crate) fn new(registry: &str, plain: &PlainHttp) -> Option<Self> {
        let hub = is_hub(registry);
        let host = if hub { HUB_API } else { registry };
        let scheme = if !hub && plain.covers(registry) { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{host}/")).ok()?;
        let bare = base.path() == "/" && base.query().is_none() && base.username().is_empty();
        bare.then(|| Self { name: if hub { "docker.io".into() } else { registry.to_owned() }, base })
    }

    /// Whether it is spoken to without TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }

    /// What a credential helper is asked for and docker's file is keyed by.
    pub(crate) fn credential_key(&self) -> &str {
        if self.name == "docker.io" { HUB_KEY } else { &self.name }
    }

    /// `/v2/`.
    pub(crate) fn root(&self) -> Url {
        self.at("v2/")
    }

    pub(crate) fn manifest(&self, repository: &str, tag_or_digest: &str) -> Url {
        self.at(&format!("v2/{repository}/manifests/{tag_or_digest}"))
    }

    pub(crate) fn blob(&self, repository: &str, digest: &Digest) -> Url {
        self.at(&format!("v2/{repository}/blobs/{digest}"))
    }

    /// A question for one tag, whichever.
    pub(crate) fn any_tag(&self, repository: &str) -> Url {
        let mut url = self.at(&format!("v2/{repository}/tags/list"));
        url.set_query(Some("n=1"));
        url
    }

    /// Where an upload begins. The slash at the end is part of it: some redirect without.
    pub(crate) fn uploads(&self, repository: &str) -> Url {
        self.at(&format!("v2/{repository}/blobs/uploads/"))
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_schemes_and_keys() {
        let none = PlainHttp::default();
        let named = |names: &[&str]| PlainHttp {
            hosts: names.iter().map(|name| (*name).to_owned()).collect(),
            ..PlainHttp::default()
        };
        let some = named(&["reg.lan", "other.lan:81"]);
        let all = PlainHttp { all: true, ..PlainHttp::default() };
        let tls = PlainHttp { tls_here: true, ..named(&["localhost:81"]) };
        for (name, plain, base, key) in [
            ("ghcr.io", &none, "https://ghcr.io/", "ghcr.io"),
            ("docker.io", &none, "https://registry-1.docker.io/", HUB_KEY),
            ("index.docker.io", &all, "https://registry-1.docker.io/", HUB_KEY),
            ("localhost:5000", &none, "http://localhost:5000/", "localhost:5000"),
            ("localhost:5000", &tls, "https://localhost:5000/", "localhost:5000"),
            ("localhost:81", &tls, "http://localhost:81/", "localhost:81"),
            ("[::1]:5000", &none, "http://[::1]:5000/", "[::1]:5000"),
            ("reg.lan:5000", &none, "https://reg.lan:5000/", "reg.lan:5000"),
            ("reg.lan:5000", &some, "http://reg.lan:5000/", "reg.lan:5000"),
            ("other.lan:81", &some, "http://other.lan:81/", "other.lan:81"),
            ("other.lan:82", &some, "https://other.lan:82/", "other.lan:82"),
            ("10.0.0.1:5000", &none, "https://10.0.0.1:5000/", "10.0.0.1:5000"),
            ("a.io", &all, "http://a.io/", "a.io"),
        ] {
            let endpoint = Endpoint::new(name, plain).unwrap();
            assert_eq!((endpoint.base.as_str(), endpoint.credential_key()), (base, key), "{name}");
        }
        for bad in ["", "a/b", "u@h", "a?b", "a b"] {
            assert_eq!(Endpoint::new(bad, &none), None, "{bad}");
        }
    }

    #[test]
    fn paths() {
        let endpoint = Endpoint::new("r.io", &PlainHttp::default()).unwrap();
        assert_eq!(endpoint.uploads("a/b").as_str(), "https://r.io/v2/a/b/blobs/uploads/");
        assert_eq!(endpoint.manifest("a", "v1").as_str(), "https://r.io/v2/a/manifests/v1");
        let digest = Digest::of(b"");
        assert_eq!(endpoint.blob("a", &digest).as_str(), format!("https://r.io/v2/a/blobs/{digest}"));
    }
}
