//! The OCI image layout: a folder of blobs with an index of the images in it.

use assemble_types::Digest;
use serde_json::{Map, Value, json};

use crate::descriptor::Descriptor;
use crate::image::canonical;
use crate::read::{MAX_MANIFEST, parse_index};
use crate::{ImageError, Reference, media_type};

/// The content of the file `oci-layout`, which marks a folder as a layout.
pub const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The annotation by which tools of the containers family find an image in a layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The annotation by which docker and containerd name an image of a layout.
pub const IMAGE_NAME: &str = "io.containerd.image.name";

/// Where a blob lies in a layout.
pub fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// A name that an image has in a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefName {
    /// What stands in [`REF_NAME`], such as a tag.
    pub ref_name: String,
    /// What stands in [`IMAGE_NAME`]: the full reference.
    pub image_name: Option<String>,
}

impl From<&Reference> for RefName {
    /// The tag, and the whole reference; the whole reference as both if there is no tag.
    fn from(reference: &Reference) -> Self {
        let full = reference.to_string();
        Self {
            ref_name: reference.tag().map_or_else(|| full.clone(), ToOwned::to_owned),
            image_name: Some(full),
        }
    }
}

/// The new `index.json` of a layout in which `entry` has these names, from the one that is there.
///
/// An entry with the same name is replaced, all others stay as they are, unknown fields included. If another image
/// has the same tag, the new one is listed under its full reference, so that each name leads to one image. Without
/// names the image is listed once without one.
pub fn layout_index(
    existing: Option<&[u8]>,
    entry: &Descriptor,
    names: &[RefName],
) -> Result<Vec<u8>, ImageError> {
    let mut index = match existing {
        None => nothing(),
        Some(bytes) => {
            // Checks what the merge below relies on.
            parse_index(bytes)?;
            serde_json::from_slice(bytes).map_err(|source| ImageError::Json { document: "index", source })?
        }
    };
    let mut manifests = match index.get_mut("manifests").map(Value::take) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    let digest = entry.digest.to_string();
    // The same image without a name says nothing once it has one, or is listed again.
    manifests.retain(|m| m["digest"] != digest.as_str() || name_of(m) != (None, None));
    let plain = serde_json::to_value(entry.to_oci()).unwrap_or_default();
    for name in names {
        place(&mut manifests, &plain, name);
    }
    if names.is_empty() {
        manifests.push(plain);
    }
    if let Value::Object(fields) = &mut index {
        fields.insert("manifests".into(), Value::Array(manifests));
    }
    let bytes = canonical(&index);
    let size = bytes.len() as u64;
    if size > MAX_MANIFEST {
        return Err(ImageError::TooLarge { document: "index", size, limit: MAX_MANIFEST });
    }
    Ok(bytes)
}

/// The index of a layout without images, which is a layout all the same.
pub fn empty_layout_index() -> Vec<u8> {
    canonical(&nothing())
}

fn nothing() -> Value {
    json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": []})
}

/// Ref name and image name of an entry.
fn name_of(entry: &Value) -> (Option<&str>, Option<&str>) {
    let note = |key: &str| entry.get("annotations").and_then(|a| a.get(key)).and_then(Value::as_str);
    (note(REF_NAME), note(IMAGE_NAME))
}

fn place(manifests: &mut Vec<Value>, plain: &Value, name: &RefName) {
    let same = |m: &Value| {
        let (ref_name, image_name) = name_of(m);
        match (image_name, &name.image_name) {
            (Some(theirs), Some(ours)) => theirs == ours,
            _ => ref_name == Some(&name.ref_name),
        }
    };
    let at = manifests.iter().position(same);
    let mut others = manifests.iter().enumerate().filter(|(i, _)| Some(*i) != at);
    let taken = others.any(|(_, m)| name_of(m).0 == Some(&name.ref_name) && !same(m));
    let ref_name = match &name.image_name {
        Some(full) if taken => full,
        _ => &name.ref_name,
    };
    let mut new = plain.clone();
    let mut notes = match new.get("annotations") {
        Some(Value::Object(notes)) => notes.clone(),
        _ => Map::new(),
    };
    notes.insert(REF_NAME.into(), Value::from(ref_name.as_str()));
    if let Some(full) = &name.image_name {
        notes.insert(IMAGE_NAME.into(), Value::from(full.as_str()));
    }
    new["annotations"] = Value::Object(notes);
    match at {
        Some(at) => manifests[at] = new,
        None => manifests.push(new),
    }
}
