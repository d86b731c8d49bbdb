//! The little of a manifest that moving images takes: its type, its blobs, its children.

use assemble_types::Digest;
use serde_json::Value;

/// Sent with every question for a manifest: registries hide types that are not asked for.
pub(crate) const ACCEPT_ALL: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json, */*";

/// Bytes of a manifest that are taken.
pub(crate) const MANIFEST_LIMIT: u64 = 4 * 1024 * 1024;
/// Parts of one manifest that are looked at.
const MAX_PARTS: usize = 4096;

/// What a manifest or index lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    /// `mediaType`, if it says one.
    pub(crate) media_type: Option<String>,
    /// Config and layers.
    pub(crate) blobs: Vec<Digest>,
    /// Manifests of an index.
    pub(crate) children: Vec<Digest>,
}

impl Parts {
    /// Takes what can be understood; anything else is as if it were not there.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return Self::default() };
        let digest = |part: &Value| part.get("digest")?.as_str()?.parse().ok();
        let all = |key: &str| -> Vec<Digest> {
            let list = value.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            list.iter().take(MAX_PARTS).filter_map(digest).collect()
        };
        let mut blobs = all("layers");
        blobs.extend(value.get("config").and_then(digest));
        let media_type = value.get("mediaType").and_then(Value::as_str).map(str::to_owned);
        Self { media_type, blobs, children: all("manifests") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let manifest = format!(
            r#"{{"mediaType":"m","config":{{"digest":"{a}"}},"layers":[{{"digest":"{b}"}},{{"digest":"md5:1"}},7]}}"#
        );
        assert_eq!(
            Parts::of(manifest.as_bytes()),
            Parts { media_type: Some("m".into()), blobs: vec![b, a], children: vec![] }
        );
        let index = format!(r#"{{"manifests":[{{"digest":"{a}"}}]}}"#);
        assert_eq!(Parts::of(index.as_bytes()).children, [a]);
        for bad in ["", "[]", "null", r#"{"layers":{},"config":[],"mediaType":1}"#] {
            assert_eq!(Parts::of(bad.as_bytes()), Parts::default(), "{bad}");
        }
        assert_eq!(Parts::of("[".repeat(100_000).as_bytes()), Parts::default());
    }
}
