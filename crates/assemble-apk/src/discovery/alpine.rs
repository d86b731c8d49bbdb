//! Alpine's `releases.json`.

use std::collections::BTreeMap;

use assemble_types::Timestamp;
use serde::Deserialize;

use super::{DiscoveryError, MOST_KEYS, parse_json};

/// The branch in the address of a repository of Alpine's layout: `v3.22` of `https://host/alpine/v3.22/main`. Nothing for
/// another layout.
pub fn alpine_branch(repository: &str) -> Option<&str> {
    let tail = repository.strip_prefix("https://").or_else(|| repository.strip_prefix("http://"))?;
    let mut parts = tail.rsplit('/');
    let (last, branch, folder) = (parts.next()?, parts.next()?, parts.next()?);
    // Something has to stand in front of the folder, if only a host.
    let below = parts.next().is_some_and(|host| !host.is_empty());
    (below && folder == "alpine" && !branch.is_empty() && !last.is_empty()).then_some(branch)
}

/// The keys of all branches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlpineReleases {
    /// By branch, then by architecture.
    keys: BTreeMap<String, BTreeMap<String, Vec<AlpineKey>>>,
}

/// Where a key is, and since when it should not be used any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlpineKey {
    /// The address.
    pub url: String,
    /// The file name that signatures refer to.
    pub name: String,
    /// The first day on which it is out of use, such as `2024-01-31`.
    pub deprecated_since: Option<String>,
}

impl AlpineKey {
    /// Whether the key was out of use at that time (UTC).
    pub fn is_deprecated_at(&self, time: Timestamp) -> bool {
        // Both are `YYYY-MM-DD`, so their order is that of the days.
        let day = time.to_string();
        self.deprecated_since.as_deref().is_some_and(|since| day.get(..10).is_some_and(|day| day >= since))
    }
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    release_branches: Option<Vec<Branch>>,
}

#[derive(Deserialize)]
struct Branch {
    #[serde(default)]
    rel_branch: String,
    #[serde(default)]
    keys: Option<BTreeMap<String, Option<Vec<Key>>>>,
}

#[derive(Deserialize)]
struct Key {
    url: String,
    #[serde(default)]
    deprecated_since: Option<String>,
}

impl AlpineReleases {
    /// Reads the document. Of two branches of one name the first counts.
    ///
    /// # Errors
    /// JSON of another shape, a date that is none, an address without a name, more keys than anybody needs.
    pub fn parse(document: &[u8]) -> Result<Self, DiscoveryError> {
        let document: Document = parse_json(document)?;
        let mut keys = BTreeMap::new();
        for branch in document.release_branches.unwrap_or_default() {
            let mut of_branch = BTreeMap::new();
            for (arch, list) in branch.keys.unwrap_or_default() {
                let list = list.unwrap_or_default();
                if list.len() > MOST_KEYS {
                    return Err(DiscoveryError::TooMany(list.len()));
                }
                of_branch.insert(arch, list.into_iter().map(read_key).collect::<Result<_, _>>()?);
            }
            keys.entry(branch.rel_branch).or_insert(of_branch);
        }
        Ok(Self { keys })
    }

    /// The keys of a branch (`v3.22`, `edge`) for an architecture in APK's words, deprecated ones included. None where
    /// the branch or the architecture is not known.
    pub fn keys(&self, branch: &str, arch: &str) -> &[AlpineKey] {
        self.keys.get(branch).and_then(|archs| archs.get(arch)).map_or(&[], Vec::as_slice)
    }
}

fn read_key(key: Key) -> Result<AlpineKey, DiscoveryError> {
    // The list has a blank where the real name has an `@`.
    let url = key.url.replace("%20", "@");
    let last = url.rsplit('/').next().unwrap_or_default();
    let name = decode(last).filter(|name| !name.is_empty() && url.contains("://"));
    let name = name.ok_or_else(|| DiscoveryError::Address(url.clone()))?;
    let deprecated_since = key.deprecated_since.filter(|text| !text.is_empty()).map(day).transpose()?;
    Ok(AlpineKey { url, name, deprecated_since })
}

/// The day of a date, which may be followed by a time.
fn day(text: String) -> Result<String, DiscoveryError> {
    let (day, time) = text.split_at_checked(10).unwrap_or((&text, ""));
    let whole = if time.is_empty() { format!("{day}T00:00:00Z") } else { text.clone() };
    // Digits alone would be read as seconds.
    if !day.contains('-') || whole.parse::<Timestamp>().is_err() {
        return Err(DiscoveryError::Date(text));
    }
    Ok(day.to_owned())
}

/// Undoes percent encoding; nothing where that gives no text.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || (bytes.next()? as char).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_alpine_s_layout_has_a_branch() {
        for (url, want) in [
            ("https://dl-cdn.alpinelinux.org/alpine/v3.22/main", Some("v3.22")),
            ("http://mirror.example/pub/alpine/edge/community", Some("edge")),
            ("http://127.0.0.1:8080/alpine/v3.19/main", Some("v3.19")),
            ("https://host/alpine/v3.22/main/", None),
            ("https://host/alpine/v3.22/main/x86_64", None),
            ("https://host/alpine/v3.22", None),
            ("https://alpine/v3.22/main", None),
            ("https:///alpine/v3.22/main", None),
            ("https://host/alpine//main", None),
            ("https://host/myalpine/v3.22/main", None),
            ("https://packages.wolfi.dev/os", None),
            ("file:///alpine/v3.22/main", None),
            ("/srv/alpine/v3.22/main", None),
            ("", None),
        ] {
            assert_eq!(alpine_branch(url), want, "{url}");
        }
    }

    const LIST: &str = r#"{
      "architectures": ["x86_64"], "latest_stable": "v3.22",
      "release_branches": [
        {"rel_branch": "edge", "keys": {"x86_64": [{"url": "https://alpinelinux.org/keys/a%40b-1.rsa.pub"}]}},
        {"rel_branch": "v3.22", "git_branch": "3.22-stable", "keys": {
          "x86_64": [
            {"url": "https://alpinelinux.org/keys/alpine-devel%20lists.alpinelinux.org-1.rsa.pub",
             "deprecated_since": "2022-05-01"},
            {"url": "https://alpinelinux.org/keys/two.rsa.pub", "deprecated_since": null}],
          "s390x": null}},
        {"rel_branch": "v3.22", "keys": {"x86_64": []}},
        {"rel_branch": "v2.1", "keys": null}, {"rel_branch": "v2.0"}]}"#;

    #[test]
    fn keys_are_found_by_branch_and_architecture() {
        let releases = AlpineReleases::parse(LIST.as_bytes()).unwrap();
        let names = |branch, arch| -> Vec<&str> {
            releases.keys(branch, arch).iter().map(|key| key.name.as_str()).collect()
        };
        assert_eq!(names("edge", "x86_64"), ["a@b-1.rsa.pub"]);
        assert_eq!(names("v3.22", "x86_64"), ["alpine-devel@lists.alpinelinux.org-1.rsa.pub", "two.rsa.pub"]);
        for (branch, arch) in
            [("v3.22", "s390x"), ("v3.22", "armv7"), ("v2.0", "x86_64"), ("latest-stable", "x86_64")]
        {
            assert!(names(branch, arch).is_empty(), "{branch} {arch}");
        }
        let first = &releases.keys("v3.22", "x86_64")[0];
        assert_eq!(first.url, "https://alpinelinux.org/keys/alpine-devel@lists.alpinelinux.org-1.rsa.pub");
        for (time, deprecated) in [
            ("2022-04-30T23:59:59Z", false),
            ("2022-05-01T00:00:00Z", true),
            ("2030-01-01T00:00:00Z", true),
            ("1970-01-01T00:00:00Z", false),
        ] {
            assert_eq!(first.is_deprecated_at(time.parse().unwrap()), deprecated, "{time}");
            assert!(!releases.keys("v3.22", "x86_64")[1].is_deprecated_at(time.parse().unwrap()));
        }
    }

    #[test]
    fn what_is_no_such_list_is_refused() {
        let of_key = |key: &str| {
            format!(r#"{{"release_branches":[{{"rel_branch":"x","keys":{{"x86_64":[{key}]}}}}]}}"#)
        };
        let many = vec![r#"{"url":"https://h/k"}"#; MOST_KEYS + 1].join(",");
        for (text, want) in [
            (String::new(), "the document is not as expected: EOF"),
            ("7".into(), "the document is not as expected"),
            (r#"{"release_branches": {}}"#.into(), "the document is not as expected"),
            ("[".repeat(100_000), "the document is not as expected"),
            (of_key("{}"), "the document is not as expected: missing field `url`"),
            (of_key(r#"{"url": "https://h/k", "deprecated_since": "soon"}"#), "`soon` is no date"),
            (
                of_key(r#"{"url": "https://h/k", "deprecated_since": "1700000000"}"#),
                "`1700000000` is no date",
            ),
            (
                of_key(r#"{"url": "https://h/k", "deprecated_since": "2024-02-31"}"#),
                "`2024-02-31` is no date",
            ),
            (of_key(r#"{"url": "https://h/k/"}"#), "`https://h/k/` has no file name at its end"),
            (of_key(r#"{"url": "https://h/%ff"}"#), "`https://h/%ff` has no file name at its end"),
            (of_key(r#"{"url": "https://h/%4"}"#), "`https://h/%4` has no file name at its end"),
            (of_key(r#"{"url": "k"}"#), "`k` has no file name at its end"),
            (of_key(&many), "65 keys are listed; at most 64 are taken"),
        ] {
            let error = AlpineReleases::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(want), "{error}");
        }
        // An empty list is a list.
        for text in ["{}", r#"{"release_branches": null}"#, r#"{"release_branches": []}"#] {
            assert_eq!(AlpineReleases::parse(text.as_bytes()).unwrap(), AlpineReleases::default());
        }
        let timed = of_key(r#"{"url": "https://h/k", "deprecated_since": "2024-01-31T10:00:00Z"}"#);
        let releases = AlpineReleases::parse(timed.as_bytes()).unwrap();
        assert_eq!(releases.keys("x", "x86_64")[0].deprecated_since.as_deref(), Some("2024-01-31"));
    }

    proptest! {
        #[test]
        fn no_document_breaks_it(text in "\\PC{0,200}", cut in 0..LIST.len(), byte in any::<u8>()) {
            let _ = AlpineReleases::parse(text.as_bytes());
            let _ = alpine_branch(&text);
            let mut document = LIST.as_bytes().to_vec();
            document[cut] = byte;
            let _ = AlpineReleases::parse(&document);
            let _ = AlpineReleases::parse(&document[..cut]);
        }
    }
}
