//! The documents of an image upon another one.
//!
//! # Why it is the way it is
//! What the base says stays unless there is something to say instead: whoever builds upon an image expects its
//! environment, its user and its health check. Members that are not known here stay, too. Labels do not: they describe
//! what was built before. Annotations of the manifest are inherited, as apko has it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::apko::BaseImage;
use crate::descriptor::Descriptor;
use crate::error::ImageError;
use crate::image::{Image, ImageOptions, LayerDescriptor, canonical};
use crate::{media_type, parse_config};

/// The time an image was created, as an annotation.
const CREATED: &str = oci_spec::image::ANNOTATION_CREATED;

impl Image {
    /// Makes the documents of an image with `layers` on those of `base`. What `options` leaves empty is the base's;
    /// an entrypoint comes with its own arguments, and the history is that of `layers` alone.
    ///
    /// # Errors
    /// The base's configuration cannot be read.
    pub fn stacked(
        base: &BaseImage,
        layers: Vec<LayerDescriptor>,
        options: ImageOptions,
    ) -> Result<Self, ImageError> {
        let config = canonical(&config_document(base, &layers, &options)?);
        let mut annotations = base.annotations.clone();
        annotations.insert(CREATED.to_owned(), options.created.to_string());
        annotations.extend(options.annotations.clone());
        let all: Vec<LayerDescriptor> = base.layers.iter().cloned().chain(layers).collect();
        let entry = |descriptor: &Descriptor| {
            json!({
                "mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size,
            })
        };
        let listed = all.iter().map(|layer| Descriptor::new(&*layer.media_type, layer.digest, layer.size));
        let manifest = canonical(&json!({
            "schemaVersion": 2,
            "mediaType": media_type::MANIFEST,
            "config": entry(&Descriptor::of(media_type::CONFIG, &config)),
            "layers": listed.map(|layer| entry(&layer)).collect::<Vec<_>>(),
            "annotations": annotations,
        }));
        Ok(Self::from_documents(all, options, config, manifest))
    }
}

fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

fn config_document(
    base: &BaseImage,
    layers: &[LayerDescriptor],
    options: &ImageOptions,
) -> Result<Value, ImageError> {
    // Checks what is relied on below.
    parse_config(&base.config)?;
    let whole: Value = serde_json::from_slice(&base.config)
        .map_err(|source| ImageError::Json { document: "config", source })?;
    let mut config = object(Some(whole));
    // About the container that docker made the base from, and by whom.
    for about in ["author", "container", "container_config", "docker_version", "id", "parent"] {
        config.remove(about);
    }
    let created = options.created.to_string();
    let mut history = list(config.remove("history"));
    let made = history.iter().filter(|step| step["empty_layer"] != Value::Bool(true)).count();
    // Tools count: a base without a history gets one.
    history.extend((made..base.layers.len()).map(|_| json!({ "created_by": "base image" })));
    history.extend(layers.iter().enumerate().map(|(index, _)| {
        let given = options.history.get(index).cloned().unwrap_or_default();
        let by = if given.created_by.is_empty() { "assemble".to_owned() } else { given.created_by };
        let mut step = json!({ "created": created, "created_by": by });
        if let Some(comment) = given.comment {
            step["comment"] = Value::from(comment);
        }
        step
    }));
    let diff_ids = base.layers.iter().chain(layers).map(|layer| layer.diff_id.to_string());
    let run = run_config(object(config.remove("config")), options);
    config.insert("created".into(), Value::from(created));
    config.insert("history".into(), Value::Array(history));
    config.insert("rootfs".into(), json!({ "type": "layers", "diff_ids": diff_ids.collect::<Vec<_>>() }));
    config.insert("config".into(), Value::Object(run));
    Ok(Value::Object(config))
}

fn run_config(mut run: Map<String, Value>, options: &ImageOptions) -> Map<String, Value> {
    run.remove("Labels");
    let mut set = |key: &str, value: Value| run.insert(key.to_owned(), value);
    if !options.labels.is_empty() {
        set("Labels", json!(options.labels));
    }
    for (key, text) in
        [("User", &options.user), ("WorkingDir", &options.working_dir), ("StopSignal", &options.stop_signal)]
    {
        if let Some(text) = text {
            set(key, Value::from(text.as_str()));
        }
    }
    if !options.entrypoint.is_empty() {
        set("Entrypoint", json!(options.entrypoint));
    }
    if !options.cmd.is_empty() {
        set("Cmd", json!(options.cmd));
    } else if !options.entrypoint.is_empty() {
        run.remove("Cmd");
    }
    for (key, more) in [("Volumes", &options.volumes), ("ExposedPorts", &options.exposed_ports)] {
        if !more.is_empty() {
            let mut all = object(run.remove(key));
            all.extend(more.iter().map(|name| (name.clone(), json!({}))));
            run.insert(key.to_owned(), Value::Object(all));
        }
    }
    if !options.env.is_empty() {
        run.insert("Env".to_owned(), json!(environment(list(run.get("Env").cloned()), &options.env)));
    }
    run
}

/// The base's variables in their order, with other values where there are some, then what is new.
fn environment(base: Vec<Value>, own: &BTreeMap<String, String>) -> Vec<String> {
    let texts = base.into_iter().filter_map(|text| text.as_str().map(str::to_owned));
    let kept = texts.filter(|text| !own.contains_key(text.split('=').next().unwrap_or_default()));
    kept.chain(own.iter().map(|(name, value)| format!("{name}={value}"))).collect()
}
