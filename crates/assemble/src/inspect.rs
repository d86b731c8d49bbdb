//! Shows what is in an image, wherever it lies.

use std::collections::BTreeMap;
use std::io::Write;

use assemble_layer::{EntryKind, LayerEntry, ReadLimits, diff_id, read_file, read_layer_within};
use assemble_registry::Registry;
use assemble_types::{Blob, Digest, ImagePath, Platform};
use serde_json::Value;

use crate::build::PackageSummary;
use crate::chain::claim;
use crate::error::{OwnError, Result};
use crate::image_set::{ImageSet, ImageView};
use crate::layers;
use crate::merged::Merged;

/// Where the packages of an image are listed; the first that is there counts.
const DATABASES: [&str; 2] = ["usr/lib/apk/db/installed", "lib/apk/db/installed"];
/// Largest package database that is read.
const MAX_DATABASE: u64 = 32 * 1024 * 1024;
/// Most entries of a layer that are listed.
const MAX_LISTED: u64 = 1_000_000;

/// One platform's image, opened.
#[derive(Debug)]
pub struct OpenedImage {
    shown: String,
    set: ImageSet,
    platforms: Vec<String>,
    view: ImageView,
}

/// What `inspect` shows.
#[derive(Debug)]
pub struct Inspection {
    /// What was asked for.
    pub shown: String,
    /// Digest of the whole.
    pub digest: Digest,
    /// Media type of the whole.
    pub media_type: String,
    /// All platforms.
    pub platforms: Vec<String>,
    /// The platform that the rest is about.
    pub platform: String,
    /// Its manifest.
    pub manifest_digest: Digest,
    /// Its configuration: the image ID.
    pub config_digest: Digest,
    /// As the configuration has it.
    pub user: Option<String>,
    /// As the configuration has it.
    pub entrypoint: Vec<String>,
    /// As the configuration has it.
    pub cmd: Vec<String>,
    /// `K=V`.
    pub environment: Vec<String>,
    /// `8080/tcp`.
    pub ports: Vec<String>,
    /// As the configuration has it.
    pub work_dir: Option<String>,
    /// As the configuration has it.
    pub volumes: Vec<String>,
    /// As the configuration has it.
    pub stop_signal: Option<String>,
    /// As the configuration has it.
    pub created: Option<String>,
    /// Of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// Lowest first.
    pub layers: Vec<InspectedLayer>,
    /// From the package database of the image.
    pub packages: Vec<PackageSummary>,
    /// Every entry of every layer, if asked for.
    pub files: Vec<InspectedFile>,
}

/// A layer of an image.
#[derive(Debug)]
pub struct InspectedLayer {
    /// Digest of the stored bytes.
    pub digest: Digest,
    /// Digest of the tar.
    pub diff_id: Option<Digest>,
    /// Size of the stored bytes.
    pub size: u64,
    /// Size of the tar, where the layer was read.
    pub uncompressed_size: Option<u64>,
    /// Media type.
    pub media_type: String,
    /// From the history.
    pub created_by: String,
}

/// An entry of a layer.
#[derive(Debug)]
pub struct InspectedFile {
    /// Path in the image.
    pub path: String,
    /// `file`, `directory`, `symlink`, `hardlink`, `device` or `other`.
    pub kind: &'static str,
    /// Four octal digits.
    pub mode: String,
    /// `uid:gid`.
    pub owner: String,
    /// Bytes of content.
    pub size: u64,
    /// Whole seconds since 1970.
    pub mtime: i64,
    /// What a link names.
    pub link: Option<String>,
    /// Number of its layer, from 1.
    pub layer: usize,
}

impl InspectedFile {
    /// As in `ls -l`.
    pub fn kind_letter(&self) -> char {
        match self.kind {
            "directory" => 'd',
            "symlink" => 'l',
            "hardlink" => 'h',
            "device" => 'c',
            _ => '-',
        }
    }
}

impl OpenedImage {
    /// Opens a layout, an archive or a registry's image; of an index, one platform (the first unless named).
    pub fn open(text: &str, platform: Option<Platform>, registry: Option<&Registry>) -> Result<Self> {
        Self::of(ImageSet::open_or_pull(text, registry)?, text, platform)
    }

    /// An image of a set that is at hand; `text` is what people call it.
    pub fn of(set: ImageSet, text: &str, platform: Option<Platform>) -> Result<Self> {
        let views = set.images()?;
        let platforms: Vec<String> = views.iter().map(|view| view.platform.clone()).collect();
        let wanted = platform.map(|p| p.to_string());
        let view = views
            .into_iter()
            .find(|view| wanted.as_ref().is_none_or(|w| *w == view.platform))
            .ok_or_else(|| {
                let platform = wanted.unwrap_or_else(|| "any platform".into());
                OwnError::NoSuchPlatform { place: text.to_owned(), platform, known: platforms.clone() }
            })?;
        Ok(Self { shown: text.to_owned(), set, platforms, view })
    }

    /// All layers, lowest first, checked.
    pub(crate) fn layers(&self) -> Result<Vec<Blob>> {
        (0..self.view.layers.len()).map(|number| self.layer(number)).collect()
    }

    /// What it was opened by.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// The platform's name.
    pub(crate) fn platform(&self) -> &str {
        &self.view.platform
    }

    /// For each layer, lowest first, the package that its history says it is.
    pub(crate) fn claims(&self) -> Vec<Option<String>> {
        self.view.layers.iter().map(|layer| claim(&layer.created_by)).collect()
    }

    /// The digest of a layer, and what its history says of it.
    pub(crate) fn layer_name(&self, number: usize) -> (Digest, &str) {
        let layer = &self.view.layers[number];
        (layer.digest, &layer.created_by)
    }

    /// A layer, checked.
    pub(crate) fn layer(&self, number: usize) -> Result<Blob> {
        let layer = &self.view.layers[number];
        self.set.blob(&layer.digest, layer.size)
    }

    /// Reads what there is to show; the layers themselves only as far as needed.
    pub fn inspect(&self, with_files: bool) -> Result<Inspection> {
        let config = &self.view.config["config"];
        let mut files = Vec::new();
        let mut layers = Vec::new();
        for (number, layer) in self.view.layers.iter().enumerate() {
            let mut uncompressed_size = None;
            if with_files {
                let blob = self.layer(number)?;
                let limits = ReadLimits { entries: MAX_LISTED, ..ReadLimits::default() };
                let mut reader = read_layer_within(&blob, limits)?;
                while let Some(entry) = reader.next_entry()? {
                    files.push(inspected(&entry, number + 1));
                }
                let (found, size) = diff_id(&blob)?;
                if layer.diff_id.is_some_and(|listed| listed != found) {
                    let why = format!(
                        "layer {} unpacks to {found}, and the configuration lists another",
                        number + 1
                    );
                    return Err(OwnError::Damaged { place: self.shown.clone(), why }.into());
                }
                uncompressed_size = Some(size);
            }
            layers.push(InspectedLayer {
                digest: layer.digest,
                diff_id: layer.diff_id,
                size: layer.size,
                uncompressed_size,
                media_type: layer.media_type.clone(),
                created_by: layer.created_by.clone(),
            });
        }
        Ok(Inspection {
            shown: self.shown.clone(),
            digest: self.set.digest(),
            media_type: self.set.media_type().to_owned(),
            platforms: self.platforms.clone(),
            platform: self.view.platform.clone(),
            manifest_digest: self.view.manifest_digest,
            config_digest: self.view.config_digest,
            user: text(&config["User"]),
            entrypoint: texts(&config["Entrypoint"]),
            cmd: texts(&config["Cmd"]),
            environment: texts(&config["Env"]),
            ports: config["ExposedPorts"]
                .as_object()
                .map(|m| m.keys().cloned().collect())
                .unwrap_or_default(),
            work_dir: text(&config["WorkingDir"]),
            volumes: config["Volumes"].as_object().map(|m| m.keys().cloned().collect()).unwrap_or_default(),
            stop_signal: text(&config["StopSignal"]),
            created: text(&self.view.config["created"]),
            annotations: annotations(&self.view.manifest),
            layers,
            packages: self.packages()?,
            files,
        })
    }

    /// Copies a file's content, as a container would see it; links are followed.
    pub fn cat(&self, path: &str, out: &mut dyn Write) -> Result<()> {
        let wanted = ImagePath::parse(path).map_err(|e| OwnError::Usage(e.to_string()))?;
        let missing = || OwnError::NoSuchFile { path: wanted.to_string() };
        let merged = Merged::new(self.layers()?)?;
        if merged.is_folder(&wanted) {
            return Err(OwnError::IsFolder { path: wanted.to_string() }.into());
        }
        if merged.copy(&wanted, out)? { Ok(()) } else { Err(missing().into()) }
    }

    /// The packages of the topmost layer that has a database.
    pub(crate) fn packages(&self) -> Result<Vec<PackageSummary>> {
        for number in (0..self.view.layers.len()).rev() {
            // Our own history says which layers hold packages; layers of others have to be looked into.
            let by = &self.view.layers[number].created_by;
            if by.strip_prefix("assemble: ").is_some_and(layers::is_without_packages) {
                continue;
            }
            let blob = self.layer(number)?;
            for name in DATABASES {
                let path = ImagePath::parse(name).expect("a constant path without `..`");
                if let Some(bytes) = read_file(&blob, &path, MAX_DATABASE)? {
                    return Ok(assemble_apk::installed_db::parse(&bytes)
                        .map_err(|e| OwnError::Damaged { place: name.into(), why: e.to_string() })?
                        .into_iter()
                        .map(|record| PackageSummary {
                            name: record.name.to_string(),
                            version: record.version.to_string(),
                            arch: record.arch,
                            origin: record.origin,
                            license: record.license,
                            installed_size: record.installed_size,
                            checksum: record.checksum.map(|c| c.to_string()).unwrap_or_default(),
                        })
                        .collect());
                }
            }
        }
        Ok(Vec::new())
    }
}

fn inspected(entry: &LayerEntry, layer: usize) -> InspectedFile {
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (kind, link) = match entry.kind {
        EntryKind::File => ("file", None),
        EntryKind::Directory => ("directory", None),
        EntryKind::Symlink => ("symlink", Some(shown(&entry.link))),
        EntryKind::HardLink => ("hardlink", Some(shown(&entry.link))),
        EntryKind::CharDevice | EntryKind::BlockDevice => ("device", None),
        EntryKind::Fifo => ("other", None),
    };
    InspectedFile {
        path: entry.path.to_string(),
        kind,
        mode: entry.mode.to_string(),
        owner: format!("{}:{}", entry.uid, entry.gid),
        size: entry.size,
        mtime: entry.mtime,
        link,
        layer,
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

fn annotations(manifest: &Value) -> BTreeMap<String, String> {
    let map = manifest["annotations"].as_object();
    map.into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}
