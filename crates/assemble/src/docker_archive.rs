//! docker's own archives have no OCI manifest; one is made for them, so that the rest sees one kind of image.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use assemble_image::{Descriptor, media_type};
use assemble_types::{Blob, Digest};
use serde_json::{Value, json};

use crate::error::{OwnError, Result};
use crate::image_set::{BlobSource, MAX_CONFIG, not_an_image};
use crate::stored::StoredImage;

/// Blobs by digest; all were hashed when the archive was opened.
#[derive(Debug)]
struct Hashed(BTreeMap<Digest, Blob>);

impl BlobSource for Hashed {
    fn blob(&self, digest: &Digest, _: u64) -> Result<Blob> {
        self.0
            .get(digest)
            .cloned()
            .ok_or_else(|| not_an_image("the archive", &format!("blob {digest} is missing")))
    }

    fn has_manifests(&self) -> bool {
        false
    }
}

/// Reads `manifest.json` of a docker archive.
pub(crate) fn open(
    place: &str,
    manifest: &[u8],
    members: &BTreeMap<String, Blob>,
    name: Option<&str>,
) -> Result<StoredImage> {
    let list: Value = serde_json::from_slice(manifest).map_err(|e| not_an_image(place, &e.to_string()))?;
    let images = list.as_array().cloned().unwrap_or_default();
    let tags = |image: &Value| -> Vec<String> {
        let tags = image["RepoTags"].as_array().cloned().unwrap_or_default();
        tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect()
    };
    let found = match name {
        Some(name) => images
            .iter()
            .find(|image| tags(image).iter().any(|t| t == name || t.ends_with(&format!("/{name}")))),
        None => images.first().filter(|_| images.len() == 1),
    };
    let Some(image) = found else {
        let known = images.iter().flat_map(tags).collect();
        let name = name.map(str::to_owned);
        return Err(OwnError::NoSuchImage { place: place.to_owned(), name, known }.into());
    };
    let member = |value: &Value| {
        let name = value.as_str().unwrap_or_default();
        members
            .get(name)
            .cloned()
            .ok_or_else(|| not_an_image(place, &format!("its member `{name}` is missing")))
    };
    let mut blobs = BTreeMap::new();
    let config = member(&image["Config"])?;
    if config.len() > MAX_CONFIG {
        return Err(not_an_image(place, "its configuration is too large"));
    }
    let config = add(&mut blobs, config, media_type::CONFIG, place)?;
    let mut layers = Vec::new();
    for layer in image["Layers"].as_array().cloned().unwrap_or_default() {
        let blob = member(&layer)?;
        let kind = layer_type(&blob);
        layers.push(add(&mut blobs, blob, kind, place)?);
    }
    let bytes =
        json!({ "schemaVersion": 2, "mediaType": media_type::MANIFEST, "config": config, "layers": layers })
            .to_string()
            .into_bytes();
    let top = Descriptor::of(media_type::MANIFEST, &bytes);
    blobs.insert(top.digest, Blob::from_bytes(bytes));
    Ok(StoredImage { top, source: Arc::new(Hashed(blobs)) })
}

/// These archives do not say how a layer is compressed; its first bytes do.
fn layer_type(blob: &Blob) -> &'static str {
    let mut begin = Vec::new();
    // What cannot be read is told when it is hashed.
    let _ = blob.reader().take(4).read_to_end(&mut begin);
    match begin.as_slice() {
        [0x1f, 0x8b, ..] => media_type::LAYER_GZIP,
        [0x28, 0xb5, 0x2f, 0xfd] => media_type::LAYER_ZSTD,
        _ => media_type::LAYER_TAR,
    }
}

fn add(blobs: &mut BTreeMap<Digest, Blob>, blob: Blob, media_type: &str, place: &str) -> Result<Value> {
    let digest = blob.content_digest().map_err(OwnError::io(place, "cannot be read"))?;
    let size = blob.len();
    blobs.insert(digest, blob);
    Ok(json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size }))
}
