//! The documents of apko's images, rebuilt from what they say: each has to have apko's own digest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assemble_image::{Image, ImageIndex, ImageOptions, LayerDescriptor};
use assemble_types::{Arch, Platform};
use serde_json::Value;

fn kit() -> Option<PathBuf> {
    let place = std::env::var_os("ASSEMBLE_TESTKIT")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testkit"), PathBuf::from);
    place.join("apko-oracle").is_dir().then_some(place)
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn map(value: &Value) -> BTreeMap<String, String> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect()
}

fn layers(answer: &Value) -> Vec<LayerDescriptor> {
    let layer = |layer: &Value| LayerDescriptor {
        digest: layer["digest"].as_str().unwrap().parse().unwrap(),
        diff_id: layer["diff_id"].as_str().unwrap().parse().unwrap(),
        size: layer["size"].as_u64().unwrap(),
        uncompressed_size: layer["tar_size"].as_u64().unwrap(),
        media_type: layer["media_type"].as_str().unwrap().to_owned(),
    };
    answer["layers"].as_array().unwrap().iter().map(layer).collect()
}

/// An image with the same layers that says the same.
fn image(arch: &str, answer: &Value) -> Image {
    let config = &answer["config"];
    let run = &config["config"];
    let created = config["created"].as_str().unwrap();
    let arch = Arch::ALL.into_iter().find(|known| known.apk() == arch).unwrap();
    let text = |key: &str| run[key].as_str().map(str::to_owned);
    let pair = |text: String| text.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap();
    let options = ImageOptions {
        user: text("User"),
        env: texts(&run["Env"]).into_iter().map(pair).collect(),
        entrypoint: texts(&run["Entrypoint"]),
        cmd: texts(&run["Cmd"]),
        volumes: run["Volumes"].as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect(),
        annotations: map(&answer["manifest_annotations"]),
        working_dir: text("WorkingDir"),
        stop_signal: text("StopSignal"),
        ..ImageOptions::new(Platform::from(arch), created.parse().unwrap())
    };
    Image::apko(layers(answer), options, created, None).unwrap()
}

#[test]
fn documents_have_apkos_digests() {
    let Some(kit) = kit() else {
        eprintln!("SKIPPED: documents_have_apkos_digests: the test kit is not here (ASSEMBLE_TESTKIT)");
        return;
    };
    let mut compared = 0;
    for case in std::fs::read_dir(kit.join("apko-oracle")).unwrap() {
        let folder = case.unwrap().path();
        let Ok(answer) = std::fs::read(folder.join("expected.json")) else { continue };
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap();
        // What comes from a base image is not said again.
        let stacked = folder.join("base").is_dir();
        if answer["exit"] != "accepted" || answer["archs"].is_null() || stacked {
            continue;
        }
        let mut images = Vec::new();
        for (arch, answer) in answer["archs"].as_object().unwrap() {
            let image = image(arch, answer);
            assert_eq!(image.config_digest().to_string(), answer["config_digest"], "{name} {arch}");
            assert_eq!(image.manifest_digest().to_string(), answer["manifest_digest"], "{name} {arch}");
            images.push(image);
            compared += 1;
        }
        let index = ImageIndex::apko(images, &map(&answer["index"]["annotations"]));
        assert_eq!(index.digest().to_string(), answer["index_digest"], "{name}");
    }
    assert!(compared >= 70, "only {compared} images");
}
