//! The documents of an image as apko writes them, to the byte.
//!
//! # Why it is the way it is
//! A configuration's digest is the image's ID, so whoever replaces apko expects the same. The order of keys is that of
//! the structs below, the escapes are Go's, and what is empty is left out. A base image's configuration is read into
//! the same structs and written again: what they do not know is lost, as it is in apko.
#![allow(clippy::zero_sized_map_values, reason = "the format has objects of empty objects")]

use std::collections::{BTreeMap, BTreeSet};

use assemble_types::{Blob, Digest, go_json};
use serde::{Deserialize, Serialize};

use crate::archive::{Member, MemberContent};
use crate::descriptor::{Descriptor, PlatformName};
use crate::error::ImageError;
use crate::image::{Image, ImageIndex, ImageOptions, LayerDescriptor};
use crate::media_type;
use crate::reference::Reference;

/// The file `oci-layout` of a layout as apko writes it. Its `index.json` is the image's index itself.
pub const APKO_OCI_LAYOUT: &[u8] = b"{\n    \"imageLayoutVersion\": \"1.0.0\"\n}";

const AUTHOR: &str = "github.com/chainguard-dev/apko";
const NAME: &str = "apko";
const CREATED: &str = "org.opencontainers.image.created";
const TITLE: &str = "org.opencontainers.image.title";
const VENDOR: &str = "org.opencontainers.image.vendor";
const SINGLE_LAYER: &str = "This is an apko single-layer image";

/// The image that another one is stacked on, for one platform.
#[derive(Debug, Clone)]
pub struct BaseImage {
    /// The bytes of its configuration.
    pub config: Vec<u8>,
    /// Its layers, lowest first.
    pub layers: Vec<LayerDescriptor>,
    /// The annotations of its manifest.
    pub annotations: BTreeMap<String, String>,
}

impl Image {
    /// Makes the documents as apko does. Of the options, `exposed_ports` and `history` say nothing to it, and
    /// `annotations` serve as labels as well. `created` is the time as it is written down.
    ///
    /// # Errors
    /// The base's configuration cannot be read.
    pub fn apko(
        layers: Vec<LayerDescriptor>,
        options: ImageOptions,
        created: &str,
        base: Option<&BaseImage>,
    ) -> Result<Self, ImageError> {
        let mut annotations = options.annotations.clone();
        annotations.insert(CREATED.to_owned(), created.to_owned());
        let config = bytes(&config_file(&layers, &options, created, &annotations, base)?);
        if let Some(base) = base {
            for (key, value) in &base.annotations {
                annotations.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        let layers = base.map(|base| base.layers.clone()).unwrap_or_default().into_iter().chain(layers);
        let layers: Vec<LayerDescriptor> = layers.collect();
        let manifest = bytes(&Manifest {
            schema_version: 2,
            media_type: media_type::MANIFEST,
            config: Entry::of(&Descriptor::of(media_type::CONFIG, &config)),
            layers: layers
                .iter()
                .map(|layer| Entry::of(&Descriptor::new(&*layer.media_type, layer.digest, layer.size)))
                .collect(),
            annotations: &annotations,
        });
        Ok(Self::from_documents(layers, options, config, manifest))
    }
}

impl ImageIndex {
    /// Makes the index as apko does: sorted by architecture. The annotations are taken as they are.
    pub fn apko(mut images: Vec<Image>, annotations: &BTreeMap<String, String>) -> Self {
        images.sort_by_key(|image| image.platform().arch.oci_with_variant());
        let manifests = images.iter().map(|image| {
            let mut entry = Entry::of(&image.descriptor());
            entry.artifact_type = Some(media_type::CONFIG);
            entry
        });
        let bytes = bytes(&Index {
            schema_version: 2,
            media_type: media_type::INDEX,
            manifests: manifests.collect(),
            annotations,
        });
        Self::from_document(images, bytes)
    }
}

/// The members of apko's archive for `docker load`, in its order: every image with a tag of its own, then the manifests
/// and the index, which docker passes over.
///
/// # Errors
/// There is no image, or `layer` does not have the bytes of one.
pub fn apko_archive_members(
    index: &ImageIndex,
    name: &Reference,
    layer: &dyn Fn(&LayerDescriptor) -> Option<Blob>,
) -> Result<Vec<Member>, ImageError> {
    if index.images().is_empty() {
        return Err(ImageError::NoImages);
    }
    let mut members: Vec<Member> = Vec::new();
    let mut add = |name: String, content: MemberContent| {
        if !members.iter().any(|member| member.name == name) {
            members.push(Member { name, content });
        }
    };
    let mut loaded = Vec::new();
    for image in index.images() {
        let config = image.config_digest().to_string();
        add(config.clone(), MemberContent::Bytes(image.config().to_vec()));
        let mut layers = Vec::new();
        for descriptor in image.layers() {
            let blob = layer(descriptor).ok_or(ImageError::MissingBlob(descriptor.digest))?;
            let file = format!("{}.tar.gz", descriptor.digest.hex());
            add(file.clone(), MemberContent::Blob(blob));
            layers.push(file);
        }
        loaded.push(Loaded { config, repo_tags: [tag(index, image, name)], layers });
    }
    loaded.sort_by(|a, b| a.repo_tags.cmp(&b.repo_tags));
    add("manifest.json".to_owned(), MemberContent::Bytes(bytes(&loaded)));
    for image in index.images() {
        add(image.manifest_digest().to_string(), MemberContent::Bytes(image.manifest().to_vec()));
    }
    add("index.json".to_owned(), MemberContent::Bytes(index.bytes().to_vec()));
    Ok(members)
}

/// An entry of `manifest.json`.
#[derive(Serialize)]
struct Loaded {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags")]
    repo_tags: [String; 1],
    #[serde(rename = "Layers")]
    layers: Vec<String>,
}

/// The name with the architecture behind it. Where two variants of one architecture would share a tag, and one of them
/// would be lost, the variant stands behind it as well.
fn tag(index: &ImageIndex, image: &Image, name: &Reference) -> String {
    let arch = image.platform().arch;
    let shared = index.images().iter().filter(|other| other.platform().arch.oci() == arch.oci()).count() > 1;
    let variant = arch.variant().filter(|_| shared).unwrap_or_default();
    let repository = match name.name().strip_prefix("docker.io/") {
        Some(repository) => format!("index.docker.io/{repository}"),
        None => name.name(),
    };
    format!("{repository}:{}-{}{variant}", name.tag().unwrap_or("latest"), arch.oci())
}

fn bytes(document: &(impl Serialize + ?Sized)) -> Vec<u8> {
    go_json::compact(document).expect("structs of texts, numbers and lists always serialise")
}

#[derive(Serialize)]
struct Manifest<'a> {
    #[serde(rename = "schemaVersion")]
    schema_version: u32,
    #[serde(rename = "mediaType")]
    media_type: &'static str,
    config: Entry,
    layers: Vec<Entry>,
    annotations: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Index<'a> {
    #[serde(rename = "schemaVersion")]
    schema_version: u32,
    #[serde(rename = "mediaType")]
    media_type: &'static str,
    manifests: Vec<Entry>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Entry {
    #[serde(rename = "mediaType")]
    media_type: String,
    size: u64,
    digest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<PlatformEntry>,
    #[serde(rename = "artifactType", skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'static str>,
}

#[derive(Serialize)]
struct PlatformEntry {
    architecture: String,
    os: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
}

impl Entry {
    fn of(descriptor: &Descriptor) -> Self {
        Self {
            media_type: descriptor.media_type.clone(),
            size: descriptor.size,
            digest: descriptor.digest,
            platform: descriptor.platform.clone().map(PlatformEntry::from),
            artifact_type: None,
        }
    }
}

impl From<PlatformName> for PlatformEntry {
    fn from(name: PlatformName) -> Self {
        Self { architecture: name.architecture, os: name.os, variant: name.variant }
    }
}

/// A configuration with the members that apko's library knows, in its order.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ConfigFile {
    architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    author: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    container: String,
    created: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    docker_version: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_nothing")]
    history: Vec<History>,
    os: String,
    rootfs: RootFs,
    config: RunConfig,
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    os_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    variant: String,
    #[serde(rename = "os.features", skip_serializing_if = "Vec::is_empty", deserialize_with = "or_nothing")]
    os_features: Vec<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct History {
    #[serde(skip_serializing_if = "String::is_empty")]
    author: String,
    created: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    created_by: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    comment: String,
    #[serde(skip_serializing_if = "is_false")]
    empty_layer: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct RootFs {
    #[serde(rename = "type")]
    kind: String,
    #[serde(deserialize_with = "or_nothing")]
    diff_ids: Vec<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
#[allow(clippy::struct_excessive_bools, reason = "the document has them")]
struct RunConfig {
    #[serde(skip_serializing_if = "is_false")]
    attach_stderr: bool,
    #[serde(skip_serializing_if = "is_false")]
    attach_stdin: bool,
    #[serde(skip_serializing_if = "is_false")]
    attach_stdout: bool,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_nothing")]
    cmd: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Healthcheck>,
    #[serde(skip_serializing_if = "String::is_empty")]
    domainname: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_nothing")]
    entrypoint: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_nothing")]
    env: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    hostname: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    image: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_nothing")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_nothing")]
    on_build: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    open_stdin: bool,
    #[serde(skip_serializing_if = "is_false")]
    stdin_once: bool,
    #[serde(skip_serializing_if = "is_false")]
    tty: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(skip_serializing_if = "BTreeSet::is_empty", with = "keys_of_objects")]
    volumes: BTreeSet<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    working_dir: String,
    #[serde(skip_serializing_if = "BTreeSet::is_empty", with = "keys_of_objects")]
    exposed_ports: BTreeSet<String>,
    #[serde(skip_serializing_if = "is_false")]
    args_escaped: bool,
    #[serde(skip_serializing_if = "is_false")]
    network_disabled: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    mac_address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    stop_signal: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_nothing")]
    shell: Vec<String>,
}

/// A set that the document has as an object with empty objects in it.
mod keys_of_objects {
    use std::collections::{BTreeMap, BTreeSet};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    #[derive(Serialize)]
    struct Empty {}

    pub(super) fn serialize<S: Serializer>(set: &BTreeSet<String>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(set.iter().map(|key| (key, Empty {})))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<String>, D::Error> {
        let map: Option<BTreeMap<String, Value>> = Option::deserialize(deserializer)?;
        Ok(map.unwrap_or_default().into_keys().collect())
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Healthcheck {
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_nothing")]
    test: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    retries: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference to the field")]
fn is_false(value: &bool) -> bool {
    !value
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference to the field")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// `null` is an empty list or map.
fn or_nothing<'de, T: Default + Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn config_file(
    layers: &[LayerDescriptor],
    options: &ImageOptions,
    created: &str,
    annotations: &BTreeMap<String, String>,
    base: Option<&BaseImage>,
) -> Result<ConfigFile, ImageError> {
    let mut file = match base {
        Some(base) => serde_json::from_slice(&base.config)
            .map_err(|source| ImageError::Json { document: "config", source })?,
        None => ConfigFile {
            rootfs: RootFs { kind: "layers".to_owned(), ..RootFs::default() },
            ..ConfigFile::default()
        },
    };
    let comment = match (annotations.get(TITLE), annotations.get(VENDOR)) {
        (Some(title), Some(vendor)) => format!("{title} by {vendor}"),
        _ if layers.len() == 1 => SINGLE_LAYER.to_owned(),
        _ => String::new(),
    };
    for layer in layers {
        file.rootfs.diff_ids.push(layer.diff_id.to_string());
        file.history.push(History {
            author: NAME.to_owned(),
            created: created.to_owned(),
            created_by: NAME.to_owned(),
            comment: comment.clone(),
            empty_layer: false,
        });
    }
    AUTHOR.clone_into(&mut file.author);
    created.clone_into(&mut file.created);
    options.platform.arch.oci().clone_into(&mut file.architecture);
    options.platform.arch.variant().unwrap_or_default().clone_into(&mut file.variant);
    "linux".clone_into(&mut file.os);
    run_config(&mut file.config, options);
    file.config.labels.clone_from(annotations);
    Ok(file)
}

/// What the options do not say stays as the base has it.
fn run_config(config: &mut RunConfig, options: &ImageOptions) {
    if !options.entrypoint.is_empty() {
        config.entrypoint.clone_from(&options.entrypoint);
    }
    if !options.cmd.is_empty() {
        config.cmd.clone_from(&options.cmd);
    }
    config.env = options.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    config.env.sort();
    for (ours, theirs) in [
        (&mut config.user, &options.user),
        (&mut config.working_dir, &options.working_dir),
        (&mut config.stop_signal, &options.stop_signal),
    ] {
        if let Some(value) = theirs {
            ours.clone_from(value);
        }
    }
    if !options.volumes.is_empty() {
        config.volumes.clone_from(&options.volumes);
    }
}
