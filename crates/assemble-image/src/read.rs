//! Checked views of documents that somebody else may have written. The raw bytes are kept: they are what digests are
//! of.

use std::collections::BTreeMap;

use assemble_types::{Digest, Platform};
use oci_spec::image as oci;
use serde::de::DeserializeOwned;

use crate::descriptor::{Descriptor, PlatformName};
use crate::image::History;
use crate::media_type::{is_config, is_index, is_manifest};
use crate::{ImageError, LayerDescriptor};

/// No registry takes a larger manifest or index.
pub const MAX_MANIFEST: u64 = 4 << 20;
/// No known config comes near.
pub const MAX_CONFIG: u64 = 8 << 20;
/// No storage driver mounts more layers.
pub const MAX_LAYERS: usize = 128;
/// Entries of an index.
const MAX_MANIFESTS: usize = 1024;

/// A manifest that was read.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The bytes it was read from.
    pub raw: Vec<u8>,
    /// The media type it gives itself, or OCI's where it gives none.
    pub media_type: String,
    /// The config.
    pub config: Descriptor,
    /// The layers, base first.
    pub layers: Vec<Descriptor>,
    /// Notes, by key.
    pub annotations: BTreeMap<String, String>,
    /// What it is, if it is no image.
    pub artifact_type: Option<String>,
}

/// An index that was read; `index.json` of a layout is one, too.
#[derive(Debug, Clone)]
pub struct Index {
    /// The bytes it was read from.
    pub raw: Vec<u8>,
    /// The media type it gives itself, or OCI's where it gives none.
    pub media_type: String,
    /// Its entries, in order.
    pub manifests: Vec<Descriptor>,
    /// Notes, by key.
    pub annotations: BTreeMap<String, String>,
}

/// A config that was read.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bytes it was read from.
    pub raw: Vec<u8>,
    /// What the image runs on.
    pub platform: PlatformName,
    /// When it was created, as written.
    pub created: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// As whom it runs.
    pub user: Option<String>,
    /// Such as `8080/tcp`, sorted.
    pub exposed_ports: Vec<String>,
    /// `NAME=value`, in the order of the document.
    pub env: Vec<String>,
    /// The command.
    pub entrypoint: Vec<String>,
    /// Its default arguments.
    pub cmd: Vec<String>,
    /// Folders that hold data, sorted.
    pub volumes: Vec<String>,
    /// Where the command starts.
    pub working_dir: Option<String>,
    /// Notes, by key.
    pub labels: BTreeMap<String, String>,
    /// Such as `SIGTERM`.
    pub stop_signal: Option<String>,
    /// Digests of the uncompressed layers, base first.
    pub diff_ids: Vec<Digest>,
    /// How the layers came about; entries that made no layer are left out.
    pub history: Vec<History>,
}

fn parse<T: DeserializeOwned>(document: &'static str, bytes: &[u8], limit: u64) -> Result<T, ImageError> {
    let size = bytes.len() as u64;
    if size > limit {
        return Err(ImageError::TooLarge { document, size, limit });
    }
    // The parser bounds the depth of nesting by itself.
    serde_json::from_slice(bytes).map_err(|source| ImageError::Json { document, source })
}

fn check_version(document: &'static str, found: u32) -> Result<(), ImageError> {
    if found == 2 { Ok(()) } else { Err(ImageError::SchemaVersion { document, found }) }
}

fn check_count(
    document: &'static str,
    what: &'static str,
    count: usize,
    limit: usize,
) -> Result<(), ImageError> {
    if count > limit { Err(ImageError::TooMany { document, what, count, limit }) } else { Ok(()) }
}

fn own_media_type(
    document: &'static str,
    found: Option<&oci::MediaType>,
    default: &str,
    good: fn(&str) -> bool,
    expected: &'static str,
) -> Result<String, ImageError> {
    let found = found.map_or_else(|| default.to_owned(), ToString::to_string);
    if good(&found) { Ok(found) } else { Err(ImageError::MediaType { document, found, expected }) }
}

fn descriptors(document: &'static str, found: &[oci::Descriptor]) -> Result<Vec<Descriptor>, ImageError> {
    found.iter().map(|d| Descriptor::from_oci(document, d)).collect()
}

fn sorted<T: IntoIterator<Item = (String, String)>>(map: Option<T>) -> BTreeMap<String, String> {
    map.into_iter().flatten().collect()
}

/// Reads a manifest of an image or artifact, OCI's or Docker's.
pub fn parse_manifest(bytes: &[u8]) -> Result<Manifest, ImageError> {
    const WHAT: &str = "manifest";
    let found: oci::ImageManifest = parse(WHAT, bytes, MAX_MANIFEST)?;
    check_version(WHAT, found.schema_version())?;
    check_count(WHAT, "layers", found.layers().len(), MAX_LAYERS)?;
    let default = crate::media_type::MANIFEST;
    Ok(Manifest {
        raw: bytes.to_vec(),
        media_type: own_media_type(WHAT, found.media_type().as_ref(), default, is_manifest, default)?,
        config: Descriptor::from_oci(WHAT, found.config())?,
        layers: descriptors(WHAT, found.layers())?,
        annotations: sorted(found.annotations().clone()),
        artifact_type: found.artifact_type().as_ref().map(ToString::to_string),
    })
}

/// Reads an index, OCI's or Docker's, or a layout's `index.json`.
pub fn parse_index(bytes: &[u8]) -> Result<Index, ImageError> {
    const WHAT: &str = "index";
    let found: oci::ImageIndex = parse(WHAT, bytes, MAX_MANIFEST)?;
    check_version(WHAT, found.schema_version())?;
    check_count(WHAT, "entries", found.manifests().len(), MAX_MANIFESTS)?;
    let default = crate::media_type::INDEX;
    Ok(Index {
        raw: bytes.to_vec(),
        media_type: own_media_type(WHAT, found.media_type().as_ref(), default, is_index, default)?,
        manifests: descriptors(WHAT, found.manifests())?,
        annotations: sorted(found.annotations().clone()),
    })
}

/// Reads the config of an image.
pub fn parse_config(bytes: &[u8]) -> Result<Config, ImageError> {
    const WHAT: &str = "config";
    let found: oci::ImageConfiguration = parse(WHAT, bytes, MAX_CONFIG)?;
    let diff_ids = found.rootfs().diff_ids();
    check_count(WHAT, "layers", diff_ids.len(), MAX_LAYERS)?;
    let diff_ids = diff_ids
        .iter()
        .map(|text| text.parse().map_err(|_| ImageError::Digest { document: WHAT, found: text.clone() }))
        .collect::<Result<Vec<Digest>, _>>()?;
    let history = found.history().iter().flatten().filter(|entry| entry.empty_layer() != Some(true));
    let history = history
        .map(|entry| History {
            created_by: entry.created_by().clone().unwrap_or_default(),
            comment: entry.comment().clone(),
        })
        .collect();
    let run = found.config().clone().unwrap_or_default();
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let set = |set: &Option<Vec<String>>| {
        let mut set = list(set);
        set.sort();
        set
    };
    let text = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    Ok(Config {
        raw: bytes.to_vec(),
        platform: PlatformName {
            os: found.os().to_string(),
            architecture: found.architecture().to_string(),
            variant: found.variant().clone(),
        },
        created: found.created().clone(),
        author: found.author().clone(),
        user: text(run.user()),
        exposed_ports: set(run.exposed_ports()),
        env: list(run.env()),
        entrypoint: list(run.entrypoint()),
        cmd: list(run.cmd()),
        volumes: set(run.volumes()),
        working_dir: text(run.working_dir()),
        labels: sorted(run.labels().clone()),
        stop_signal: text(run.stop_signal()),
        diff_ids,
        history,
    })
}

impl Manifest {
    /// The layers with what the config says of them. A size that only the bytes could tell is 0.
    pub fn layer_descriptors(&self, config: &Config) -> Vec<LayerDescriptor> {
        let pairs = self.layers.iter().zip(&config.diff_ids);
        pairs
            .map(|(layer, diff_id)| LayerDescriptor {
                digest: layer.digest,
                diff_id: *diff_id,
                size: layer.size,
                uncompressed_size: 0,
                media_type: layer.media_type.clone(),
            })
            .collect()
    }

    /// Whether its config is one of an image.
    pub fn is_image(&self) -> bool {
        is_config(&self.config.media_type)
    }
}

/// The entry of an index that a runtime for this platform would take: the first whose platform fits, or the only one
/// if it names none.
pub fn select(index: &Index, platform: Platform) -> Result<&Descriptor, ImageError> {
    let fits = |d: &&Descriptor| d.platform.as_ref().and_then(PlatformName::known) == Some(platform);
    if let Some(found) = index.manifests.iter().find(fits) {
        return Ok(found);
    }
    if let [only] = index.manifests.as_slice()
        && only.platform.is_none()
    {
        return Ok(only);
    }
    let mut found: Vec<String> =
        index.manifests.iter().filter_map(|d| d.platform.as_ref()).map(ToString::to_string).collect();
    // Attestations are listed under a platform that does not exist.
    found.retain(|name| name != "unknown/unknown");
    Err(ImageError::NoPlatform { wanted: platform, found })
}
