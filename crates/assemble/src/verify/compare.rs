//! Holds two images against each other, from the descriptor down to the byte.

use std::collections::BTreeSet;

use assemble_image::media_type;
use assemble_layer::{Compression, DifferentField, LayerDifference, diff_id, first_difference, read_file};
use assemble_types::{ImagePath, counted};
use serde_json::Value;

use super::elf;
use crate::error::Result;
use crate::image_set::{ImageSet, ImageView, LayerView};

/// Most differences that are listed.
const MAX_DIFFERENCES: usize = 12;
/// Largest file whose content is looked into for an explanation.
const MAX_EXPLAINED: u64 = 256 * 1024 * 1024;

/// How a comparison ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The same digest.
    Identical,
    /// The same content and configuration, compressed by another codec.
    OtherCodec,
    /// Something differs.
    Different,
}

impl Outcome {
    /// As it is shown and written to JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::OtherCodec => "same content, other codec",
            Self::Different => "different",
        }
    }
}

/// What was found.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) outcome: Outcome,
    pub(super) differences: Vec<String>,
    pub(super) hints: Vec<String>,
}

/// Compares two sets; `a` is the target, `b` what the spec builds.
pub(super) fn sets(a: &ImageSet, b: &ImageSet) -> Result<Comparison> {
    let mut out = Comparison { outcome: Outcome::Identical, differences: Vec::new(), hints: Vec::new() };
    if a.digest() == b.digest() {
        return Ok(out);
    }
    out.outcome = Outcome::OtherCodec;
    let (images_a, images_b) = (a.images()?, b.images()?);
    let platforms = |images: &[ImageView]| images.iter().map(|i| i.platform.clone()).collect::<BTreeSet<_>>();
    let (have, want) = (platforms(&images_a), platforms(&images_b));
    for platform in want.difference(&have) {
        out.differ(format!("{platform}: missing in the target"));
    }
    for platform in have.difference(&want) {
        out.differ(format!("{platform}: only in the target"));
    }
    for image_a in &images_a {
        if let Some(image_b) = images_b.iter().find(|i| i.platform == image_a.platform)
            && image_a.manifest_digest != image_b.manifest_digest
        {
            compare_images(a, image_a, b, image_b, &mut out)?;
        }
    }
    if out.outcome == Outcome::OtherCodec && a.top_kind() != b.top_kind() {
        out.differ(format!("the target is {}, the spec builds {}", a.top_kind(), b.top_kind()));
    }
    if out.outcome == Outcome::OtherCodec && a.has_manifests() {
        compare_annotations(&a.top_value()?, &b.top_value()?, "index", &mut out);
    }
    out.differences.truncate(MAX_DIFFERENCES);
    out.hints.dedup();
    Ok(out)
}

impl Comparison {
    fn differ(&mut self, what: String) {
        self.outcome = Outcome::Different;
        self.differences.push(what);
    }
}

fn compare_images(
    a: &ImageSet,
    image_a: &ImageView,
    b: &ImageSet,
    image_b: &ImageView,
    out: &mut Comparison,
) -> Result<()> {
    let platform = &image_a.platform;
    // Content first: a changed file also changes the configuration, which would hide the cause.
    if image_a.layers.len() != image_b.layers.len() {
        out.differ(format!(
            "{platform}: {} in the target, {} from the spec",
            counted(image_a.layers.len(), "layer", "layers"),
            image_b.layers.len()
        ));
    }
    for (number, (layer_a, layer_b)) in image_a.layers.iter().zip(&image_b.layers).enumerate() {
        let place = format!("{platform}: layer {} of {}", number + 1, image_a.layers.len());
        compare_layers(a, layer_a, b, layer_b, &place, out)?;
    }
    out.hints.extend(made_by_others(&image_a.config));
    let (config_a, config_b) = (without_layers(&image_a.config), without_layers(&image_b.config));
    json_difference(&config_a, &config_b, &format!("{platform}: config"), &mut |what| out.differ(what));
    if a.has_manifests() {
        compare_annotations(&image_a.manifest, &image_b.manifest, &format!("{platform}: manifest"), out);
    }
    Ok(())
}

fn compare_layers(
    a: &ImageSet,
    layer_a: &LayerView,
    b: &ImageSet,
    layer_b: &LayerView,
    place: &str,
    out: &mut Comparison,
) -> Result<()> {
    if layer_a.digest == layer_b.digest {
        return Ok(());
    }
    if layer_a.diff_id == layer_b.diff_id {
        // So far that is the target's word only.
        let found = diff_id(&a.blob(&layer_a.digest, layer_a.size)?)?.0;
        if layer_a.diff_id != Some(found) {
            out.differ(format!(
                "{place}: the target's configuration says that its tar is another one: {found}"
            ));
            return Ok(());
        }
        if layer_a.media_type != layer_b.media_type {
            out.hints.extend(other_compression(layer_a));
        }
        out.differences.push(format!(
            "{place}: the same tar, compressed differently ({}, {})",
            layer_a.digest, layer_b.digest
        ));
        return Ok(());
    }
    let (blob_a, blob_b) = (a.blob(&layer_a.digest, layer_a.size)?, b.blob(&layer_b.digest, layer_b.size)?);
    let Some(difference) = first_difference(&blob_a, &blob_b)? else {
        out.differ(format!(
            "{place}: {} in the target, {} from the spec, yet equal entries",
            layer_a.digest, layer_b.digest
        ));
        return Ok(());
    };
    out.differ(format!(
        "{place}: descriptor {} in the target, {} from the spec",
        layer_a.digest, layer_b.digest
    ));
    out.differ(format!("{place}: {}", difference_text(&difference)));
    if let Some(path) = content_path(&difference) {
        let content = |blob| read_file(blob, &path, MAX_EXPLAINED);
        if let (Ok(Some(bytes_a)), Ok(Some(bytes_b))) = (content(&blob_a), content(&blob_b))
            && let Some(explained) = elf::explain(&bytes_a, &bytes_b)
        {
            for fact in explained.facts {
                out.differ(format!("{path}: {fact}"));
            }
            out.hints.extend(explained.hints);
        }
    }
    Ok(())
}

/// What to do about an image that says that another program made it.
fn made_by_others(config: &Value) -> Option<String> {
    let history = config.get("history").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let makers: Vec<&str> = history.iter().filter_map(|entry| entry.get("created_by")?.as_str()).collect();
    if makers.iter().any(|maker| maker.starts_with("assemble: ")) {
        return None;
    }
    Some(if makers.contains(&"apko") {
        "the target was made by apko, or as apko makes it: build it by `assemble apko build SPEC NAME OUT.tar`, \
         and compare the digests"
            .to_owned()
    } else {
        "the target was made by another program; what assemble builds has other layers, whatever the spec says"
            .to_owned()
    })
}

/// How to build what can be compared digest by digest.
fn other_compression(target: &LayerView) -> Option<String> {
    let compression = match target.media_type.as_str() {
        media_type::LAYER_GZIP => Compression::Gzip,
        media_type::LAYER_ZSTD => Compression::Zstd,
        _ => return None,
    };
    Some(format!(
        "the target's layers are in {compression}: --compression {compression} compares digests, too"
    ))
}

/// What differs, with the two values told apart.
fn difference_text(difference: &LayerDifference) -> String {
    let path = difference.path.as_ref().map(|path| format!("{path}: ")).unwrap_or_default();
    format!("{path}{}: {} in the target, {} from the spec", difference.field, difference.a, difference.b)
}

/// The path of a file whose content or size differs.
fn content_path(difference: &LayerDifference) -> Option<ImagePath> {
    matches!(difference.field, DifferentField::Content { .. } | DifferentField::Size)
        .then(|| difference.path.clone())
        .flatten()
}

/// The configuration without what only repeats the layers: their ids, and the codec's name in the history.
fn without_layers(config: &Value) -> Value {
    let mut config = config.clone();
    if let Some(map) = config.as_object_mut() {
        map.remove("rootfs");
        if let Some(history) = map.get_mut("history").and_then(Value::as_array_mut) {
            for entry in history.iter_mut().filter_map(Value::as_object_mut) {
                entry.remove("created_by");
            }
        }
    }
    config
}

fn compare_annotations(a: &Value, b: &Value, place: &str, out: &mut Comparison) {
    json_difference(&a["annotations"], &b["annotations"], &format!("{place} annotations"), &mut |what| {
        out.differ(what);
    });
}

/// Names every member in which two JSON values differ. Iterative, since files of other tools may be deep.
fn json_difference(a: &Value, b: &Value, place: &str, report: &mut dyn FnMut(String)) {
    let mut todo = vec![(place.to_owned(), a, b)];
    while let Some((place, a, b)) = todo.pop() {
        if a == b {
            continue;
        }
        match (a, b) {
            (Value::Object(map_a), Value::Object(map_b)) => {
                let keys: BTreeSet<&String> = map_a.keys().chain(map_b.keys()).collect();
                for key in keys.into_iter().rev() {
                    todo.push((format!("{place}.{key}"), &a[key], &b[key]));
                }
            }
            (Value::Array(list_a), Value::Array(list_b)) if list_a.len() == list_b.len() => {
                for (number, pair) in list_a.iter().zip(list_b).enumerate().rev() {
                    todo.push((format!("{place}[{number}]"), pair.0, pair.1));
                }
            }
            _ => report(format!("{place}: {a} in the target, {b} from the spec")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_are_named() {
        let mut said = Vec::new();
        let a = json!({"config": {"User": "0", "Env": ["A=1", "B=2"]}, "os": "linux"});
        let b = json!({"config": {"User": "65532:65532", "Env": ["A=1", "B=3"]}, "os": "linux", "x": null});
        json_difference(&a, &b, "config", &mut |what| said.push(what));
        assert_eq!(
            said,
            [
                "config.config.Env[1]: \"B=2\" in the target, \"B=3\" from the spec",
                "config.config.User: \"0\" in the target, \"65532:65532\" from the spec",
            ]
        );
    }

    #[test]
    fn the_codec_alone_is_no_difference_of_the_configuration() {
        let a =
            json!({"history": [{"created_by": "assemble: binary (gzip-1)", "created": "x"}], "rootfs": 1});
        let b =
            json!({"history": [{"created_by": "assemble: binary (gzip-3)", "created": "x"}], "rootfs": 2});
        assert_eq!(without_layers(&a), without_layers(&b));
    }
}
