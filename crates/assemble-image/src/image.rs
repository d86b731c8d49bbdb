//! Images and indexes as immutable values.

use std::collections::{BTreeMap, BTreeSet};

use assemble_types::{Digest, Platform, Timestamp};
use oci_spec::image as oci;
use serde::Serialize;

use crate::descriptor::{Descriptor, PlatformName};
use crate::media_type;

/// The time an image was created, as an annotation.
const CREATED: &str = oci::ANNOTATION_CREATED;

/// The bytes of a document: compact JSON, the keys of every object in byte order.
///
/// The types of `oci-spec` keep annotations, labels, ports and volumes in hash maps, so what serde writes of them
/// directly differs from run to run; a `serde_json::Value` keeps its keys sorted.
pub(crate) fn canonical(document: &impl Serialize) -> Vec<u8> {
    let value = serde_json::to_value(document).expect("these types have text keys and cannot fail");
    value.to_string().into_bytes()
}

/// What a manifest and a config say about one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerDescriptor {
    /// Digest of the compressed bytes.
    pub digest: Digest,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Size of the compressed bytes.
    pub size: u64,
    /// Size of the uncompressed tar. No document holds it; it is here for people.
    pub uncompressed_size: u64,
    /// What the bytes are, such as [`media_type::LAYER_GZIP`].
    pub media_type: String,
}

/// How a layer came about, for `docker history`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// What made it.
    pub created_by: String,
    /// A remark.
    pub comment: Option<String>,
}

/// All that an image's documents say beyond its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageOptions {
    /// What it runs on.
    pub platform: Platform,
    /// When it counts as created; also each history entry, and an annotation unless `annotations` has its own.
    pub created: Timestamp,
    /// `uid:gid` or what the config shall say instead.
    pub user: Option<String>,
    /// Such as `8080/tcp`.
    pub exposed_ports: BTreeSet<String>,
    /// Variables by name, written in this order.
    pub env: BTreeMap<String, String>,
    /// The command; left out if empty.
    pub entrypoint: Vec<String>,
    /// Its default arguments; left out if empty.
    pub cmd: Vec<String>,
    /// Folders that hold data.
    pub volumes: BTreeSet<String>,
    /// Labels of the config.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// Where the command starts.
    pub working_dir: Option<String>,
    /// Such as `SIGTERM`.
    pub stop_signal: Option<String>,
    /// One for each layer. Tools refuse an image with more, so what is too much is dropped and what is missing is
    /// filled in.
    pub history: Vec<History>,
}

impl ImageOptions {
    /// Nothing but what every image has to say.
    pub fn new(platform: Platform, created: Timestamp) -> Self {
        Self {
            platform,
            created,
            user: None,
            exposed_ports: BTreeSet::new(),
            env: BTreeMap::new(),
            entrypoint: Vec::new(),
            cmd: Vec::new(),
            volumes: BTreeSet::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            working_dir: None,
            stop_signal: None,
            history: Vec::new(),
        }
    }
}

/// An image: its layers and the bytes of its config and manifest. Never changes once made.
#[derive(Debug, Clone)]
pub struct Image {
    layers: Vec<LayerDescriptor>,
    options: ImageOptions,
    config: Vec<u8>,
    config_digest: Digest,
    manifest: Vec<u8>,
    manifest_digest: Digest,
}

impl Image {
    /// Makes the documents of an image with these layers, base first. No layer at all is allowed.
    pub fn new(layers: Vec<LayerDescriptor>, options: ImageOptions) -> Self {
        let config = canonical(&config_document(&layers, &options));
        let manifest = canonical(&manifest_document(&config, &layers, &options));
        Self::from_documents(layers, options, config, manifest)
    }

    /// An image whose documents were made before, byte for byte. Nothing if they do not belong together, or not to these
    /// layers.
    pub fn restored(
        platform: Platform,
        created: Timestamp,
        layers: Vec<LayerDescriptor>,
        config: Vec<u8>,
        manifest: Vec<u8>,
    ) -> Option<Self> {
        let image = Self::from_documents(layers, ImageOptions::new(platform, created), config, manifest);
        let said = crate::parse_manifest(&image.manifest).ok()?;
        let config = crate::parse_config(&image.config).ok()?;
        let listed = said.layers.iter().map(|layer| (layer.digest, layer.size));
        let fits = said.config.digest == image.config_digest
            && listed.eq(image.layers.iter().map(|layer| (layer.digest, layer.size)))
            && config.diff_ids.iter().eq(image.layers.iter().map(|layer| &layer.diff_id));
        fits.then_some(image)
    }

    pub(crate) fn from_documents(
        layers: Vec<LayerDescriptor>,
        options: ImageOptions,
        config: Vec<u8>,
        manifest: Vec<u8>,
    ) -> Self {
        let (config_digest, manifest_digest) = (Digest::of(&config), Digest::of(&manifest));
        Self { layers, options, config, config_digest, manifest, manifest_digest }
    }

    /// The manifest's bytes.
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// The config's bytes.
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// The digest that registries know the image by.
    pub fn manifest_digest(&self) -> Digest {
        self.manifest_digest
    }

    /// The image ID that docker lists.
    pub fn config_digest(&self) -> Digest {
        self.config_digest
    }

    /// What it runs on.
    pub fn platform(&self) -> Platform {
        self.options.platform
    }

    /// Its layers, base first.
    pub fn layers(&self) -> &[LayerDescriptor] {
        &self.layers
    }

    /// What it was made with.
    pub fn options(&self) -> &ImageOptions {
        &self.options
    }

    /// When it counts as created.
    pub fn created(&self) -> Timestamp {
        self.options.created
    }

    /// What an index or a layout says of it, platform included.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor {
            platform: Some(PlatformName::from(self.platform())),
            ..Descriptor::new(media_type::MANIFEST, self.manifest_digest, self.manifest.len() as u64)
        }
    }

    /// The descriptor of the config.
    pub fn config_descriptor(&self) -> Descriptor {
        Descriptor::new(media_type::CONFIG, self.config_digest, self.config.len() as u64)
    }
}

fn some_list(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn some_set(set: &BTreeSet<String>) -> Option<Vec<String>> {
    (!set.is_empty()).then(|| set.iter().cloned().collect())
}

fn config_document(layers: &[LayerDescriptor], options: &ImageOptions) -> oci::ImageConfiguration {
    let mut run = oci::Config::default();
    run.set_user(options.user.clone());
    run.set_exposed_ports(some_set(&options.exposed_ports));
    run.set_env(
        (!options.env.is_empty())
            .then(|| options.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
    );
    run.set_entrypoint(some_list(&options.entrypoint));
    run.set_cmd(some_list(&options.cmd));
    run.set_volumes(some_set(&options.volumes));
    run.set_working_dir(options.working_dir.clone());
    run.set_labels((!options.labels.is_empty()).then(|| options.labels.clone().into_iter().collect()));
    run.set_stop_signal(options.stop_signal.clone());

    let created = options.created.to_string();
    let history = layers.iter().enumerate().map(|(index, _)| {
        let given = options.history.get(index).cloned().unwrap_or_default();
        let mut entry = oci::History::default();
        entry.set_created(Some(created.clone()));
        entry.set_created_by(Some(if given.created_by.is_empty() {
            "assemble".into()
        } else {
            given.created_by
        }));
        entry.set_comment(given.comment);
        entry
    });
    let mut rootfs = oci::RootFs::default();
    rootfs.set_diff_ids(layers.iter().map(|layer| layer.diff_id.to_string()).collect());

    // The type's own default asks which machine this runs on; both fields are set here.
    let mut config = oci::ImageConfiguration::default();
    config.set_architecture(options.platform.arch.oci().into());
    config.set_os(oci::Os::Linux);
    config.set_variant(options.platform.arch.variant().map(Into::into));
    config.set_history(Some(history.collect()));
    config.set_created(Some(created));
    config.set_config(Some(run));
    config.set_rootfs(rootfs);
    config
}

fn manifest_document(
    config: &[u8],
    layers: &[LayerDescriptor],
    options: &ImageOptions,
) -> oci::ImageManifest {
    let layers = layers
        .iter()
        .map(|layer| Descriptor::new(layer.media_type.clone(), layer.digest, layer.size).to_oci())
        .collect::<Vec<_>>();
    oci::ImageManifestBuilder::default()
        .schema_version(oci::SCHEMA_VERSION)
        .media_type(oci::MediaType::ImageManifest)
        .config(Descriptor::of(media_type::CONFIG, config).to_oci())
        .layers(layers)
        .annotations(with_created(&options.annotations, options.created))
        .build()
        .expect("all required fields are set")
}

fn with_created(
    annotations: &BTreeMap<String, String>,
    created: Timestamp,
) -> std::collections::HashMap<String, String> {
    let mut out: std::collections::HashMap<_, _> = annotations.clone().into_iter().collect();
    out.entry(CREATED.to_owned()).or_insert_with(|| created.to_string());
    out
}

fn index_document(images: &[Image], annotations: &BTreeMap<String, String>) -> oci::ImageIndex {
    let created = images.iter().map(|image| image.options.created).max().unwrap_or_default();
    oci::ImageIndexBuilder::default()
        .schema_version(oci::SCHEMA_VERSION)
        .media_type(oci::MediaType::ImageIndex)
        .manifests(images.iter().map(|image| image.descriptor().to_oci()).collect::<Vec<_>>())
        .annotations(with_created(annotations, created))
        .build()
        .expect("all required fields are set")
}

/// Several images under one name, each for another platform.
#[derive(Debug, Clone)]
pub struct ImageIndex {
    images: Vec<Image>,
    bytes: Vec<u8>,
    digest: Digest,
}

impl ImageIndex {
    /// Makes the index. The images stand in the order given, which is the order of the platforms in the spec: readers
    /// take the first that fits. The time is that of the youngest image, unless `annotations` has its own.
    pub fn new(images: Vec<Image>, annotations: &BTreeMap<String, String>) -> Self {
        let bytes = canonical(&index_document(&images, annotations));
        Self::from_document(images, bytes)
    }

    pub(crate) fn from_document(images: Vec<Image>, bytes: Vec<u8>) -> Self {
        let digest = Digest::of(&bytes);
        Self { images, bytes, digest }
    }

    /// The index's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The images, in order.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// What a layout says of it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(media_type::INDEX, self.digest, self.bytes.len() as u64)
    }
}
