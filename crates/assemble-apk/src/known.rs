//! What is built in about the public repositories that most people use.

use crate::PublicKey;

/// A public repository that most people mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownRepository {
    /// What people call it.
    pub name: &'static str,
    /// Its address, as it goes into `contents.repositories`.
    pub url: &'static str,
    /// What to know about it.
    pub note: &'static str,
}

/// The repositories that are suggested when a host does not answer. The first of a host is the one suggested.
pub const KNOWN_REPOSITORIES: &[KnownRepository] = &[
    KnownRepository {
        name: "Wolfi",
        url: "https://packages.wolfi.dev/os",
        note: "glibc; signed by wolfi-signing.rsa.pub, which is built in",
    },
    KnownRepository {
        name: "Alpine main",
        url: "https://dl-cdn.alpinelinux.org/alpine/latest-stable/main",
        note: "musl; write a branch such as v3.22 for latest-stable to stay on it; its keys are built in",
    },
    KnownRepository {
        name: "Alpine community",
        url: "https://dl-cdn.alpinelinux.org/alpine/latest-stable/community",
        note: "needs Alpine main beside it",
    },
];

macro_rules! key {
    ($folder:literal, $name:literal) => {
        ($name, include_bytes!(concat!("../keys/", $folder, "/", $name)))
    };
}

type KeyFile = (&'static str, &'static [u8]);

/// As the package `alpine-keys` installs them: all keys that Alpine signs with, for every architecture.
const ALPINE: [KeyFile; 17] = [
    key!("alpine", "alpine-devel@lists.alpinelinux.org-4a6a0840.rsa.pub"),
    key!("alpine", "alpine-devel@lists.alpinelinux.org-5243ef4b.rsa.pub"),
    key!("alpine", "alpine-devel@lists.alpinelinux.org-524d27bb.rsa.pub"),
    key!("alpine", "alpine-devel@lists.alpinelinux.org-5261cecb.rsa.pub"),
    key!("alpine", "alpine-devel@lists.alpinelinux.org-58199dcc.rsa.pub"),
    key!("alpine", "alpine-devel@lists.alpinelinux.org-58cbb476.rsa.pub"),
    key!("alpine", "alpine-devel@lists.alpinelinux.org-58e4f17d.rsa.pub"),
    key!("alpine", "alpine-devel@lists.alpinelinux.org-5e69ca50.rsa.pub"),
    key!("alpine", "alpine-devel@lists.alpinelinux.org-60ac2099.rsa.pub"),
    key!("alpine", "alpine-devel@lists.alpinelinux.org-6165ee59.rsa.pub"),
    key!("alpine", "alpine-devel@lists.alpinelinux.org-61666e3f.rsa.pub"),
    key!("alpine", "alpine-devel@lists.alpinelinux.org-616a9724.rsa.pub"),
    key!("alpine", "alpine-devel@lists.alpinelinux.org-616abc23.rsa.pub"),
    key!("alpine", "alpine-devel@lists.alpinelinux.org-616ac3bc.rsa.pub"),
    key!("alpine", "alpine-devel@lists.alpinelinux.org-616adfeb.rsa.pub"),
    key!("alpine", "alpine-devel@lists.alpinelinux.org-616ae350.rsa.pub"),
    key!("alpine", "alpine-devel@lists.alpinelinux.org-616db30d.rsa.pub"),
];
const WOLFI: [KeyFile; 1] = [key!("wolfi", "wolfi-signing.rsa.pub")];

/// The keys that are trusted without being named, for this host alone: Alpine's for `*.alpinelinux.org`, Wolfi's for
/// `packages.wolfi.dev`. None for any other host, nor for one with a port.
pub fn builtin_keys(host: &str) -> Vec<PublicKey> {
    let host = host.to_ascii_lowercase();
    let files: &[KeyFile] = if host.ends_with(".alpinelinux.org") {
        &ALPINE
    } else if host == "packages.wolfi.dev" {
        &WOLFI
    } else {
        &[]
    };
    // A test proves that none of them is left out.
    files.iter().filter_map(|(name, pem)| PublicKey::parse(name, pem).ok()).collect()
}

/// The host of a URL, or of what should have been one.
fn host(url: &str) -> &str {
    let tail = url.split_once("://").map_or(url, |(_, tail)| tail);
    let authority = &tail[..tail.find(['/', '?', '#']).unwrap_or(tail.len())];
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.split_once(':').map_or(host, |(host, _)| host)
}

/// How many insertions, deletions and exchanges of a byte make one text the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != y)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

/// Longer texts are no host name.
const MAX_HOST: usize = 253;

/// The well-known repository that was probably meant by a URL whose host does not answer: one with a similar host, or
/// one of the same host if the path differs. Nothing if no host is near, or if the URL is a known one.
pub fn nearest_known_repository(url: &str) -> Option<&'static KnownRepository> {
    if KNOWN_REPOSITORIES.iter().any(|known| known.url == url.trim_end_matches('/')) {
        return None;
    }
    let host_given = host(url).to_ascii_lowercase();
    if host_given.is_empty() || host_given.len() > MAX_HOST {
        return None;
    }
    KNOWN_REPOSITORIES
        .iter()
        .map(|known| (distance(&host_given, host(known.url)), known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, known)| *distance <= host(known.url).len() / 4)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_for_their_own_hosts_only() {
        for host in
            ["dl-cdn.alpinelinux.org", "dl-4.alpinelinux.org", "DL-CDN.alpinelinux.org", "x.alpinelinux.org"]
        {
            assert_eq!(builtin_keys(host).len(), 17, "{host}");
        }
        assert_eq!(builtin_keys("packages.wolfi.dev").len(), 1);
        for host in [
            "",
            "alpinelinux.org.example.org",
            "evilalpinelinux.org",
            "packages.wolfi.dev.example.org",
            "wolfi.dev",
            "packages.wolfi.dev:8443",
            "packages.wolfi.sh",
        ] {
            assert!(builtin_keys(host).is_empty(), "{host}");
        }
    }

    #[test]
    fn nearest() {
        let name = |url: &str| nearest_known_repository(url).map(|r| r.url);
        assert_eq!(name("https://packages.wolfi.sh/os"), Some("https://packages.wolfi.dev/os"));
        assert_eq!(name("https://packages.wolfi.dev/oss"), Some("https://packages.wolfi.dev/os"));
        assert_eq!(name("packages.wolfi.dev"), Some("https://packages.wolfi.dev/os"));
        assert_eq!(
            name("http://u:p@dl-cdn.alpinelinux.com:80/alpine/v3.20/main"),
            Some("https://dl-cdn.alpinelinux.org/alpine/latest-stable/main")
        );
        for url in [
            "https://packages.wolfi.dev/os/",
            "https://example.org/x",
            "",
            "https://",
            "http://localhost:8080",
            "é",
        ] {
            assert_eq!(name(url), None, "{url}");
        }
        assert_eq!(name(&"x".repeat(100_000)), None);
    }

    #[test]
    fn edit_distance() {
        for (a, b, expected) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("sh", "dev", 3)]
        {
            assert_eq!(distance(a, b), expected);
            assert_eq!(distance(b, a), expected);
        }
    }
}
