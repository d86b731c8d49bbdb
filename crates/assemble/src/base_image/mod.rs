//! The image that another one is stacked on: `contents.baseimage`.
//!
//! # Why it is the way it is
//! A base image comes from anyone, so nothing in it is relied on: documents are read by digest, their number and depth
//! are bounded, and each layer is unpacked once to hold it against the configuration, since what is built on top
//! vouches for it from then on. What packages it has is not looked up in its layers: the spec names a database of
//! them, as apko has it, and that is read in two ways, as records to write down again and as an index to choose from.

mod error;
mod find;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc as Shared;

use assemble_apk::{Index, PackageName};
use assemble_fetch::{FetchError, open_file};
use assemble_image::{LayerDescriptor, MAX_LAYERS};
use assemble_layer::{Layer, diff_id};
use assemble_resolve::Repository;
use assemble_rootfs::BaseDb;
use assemble_spec::BaseImageSource;
use assemble_types::{Arch, Digest, Platform, SourceSpan};
use serde_json::{Value, json};

pub use error::BaseImageError;
use find::Found;

use crate::error::{Doing, Error, OwnError, Result};
use crate::image_set::{BlobSource, split_name};
use crate::layers::BuiltLayer;
use crate::plan::Mode;
use crate::spec_file::SpecFile;

/// Largest database that is read, in bytes.
const MAX_DATABASE: u64 = 64 * 1024 * 1024;
/// What the resolver calls the packages of a base image.
const REPOSITORY: &str = "the base image";

/// A base image, opened: all its images and databases.
#[derive(Debug)]
pub(crate) struct Base {
    /// The layout, for messages.
    place: String,
    found: Vec<Found>,
    source: Shared<dyn BlobSource>,
    /// The folder of databases.
    databases: PathBuf,
    packages: BTreeMap<Arch, Packages>,
    /// Whether the first image for a platform is the one that is meant, as it is to apko.
    first_counts: bool,
    span: SourceSpan,
    database_span: SourceSpan,
}

/// The packages of a base image, for one architecture.
#[derive(Debug)]
pub(crate) struct Packages {
    /// As they are written down in the new image.
    pub(crate) db: BaseDb,
    /// As they are chosen from.
    pub(crate) repository: Repository,
    names: HashSet<PackageName>,
    digest: Digest,
}

/// What a base image gives one platform.
#[derive(Debug)]
pub(crate) struct Ground<'b> {
    found: &'b Found,
    base: &'b Base,
}

impl Packages {
    fn parse(text: &[u8]) -> Result<Self> {
        let db = BaseDb::parse(text)?;
        let index = Index::of_installed(text)?;
        // What the new image does not write down is not there.
        let mut there: HashSet<_> = db.packages().cloned().collect();
        let mut records = index.records.into_vec();
        records.retain(|record| {
            let id = assemble_apk::PackageId { name: record.name.clone(), version: record.version.clone() };
            there.remove(&id)
        });
        for record in &mut records {
            // It is installed, so whether it could be is no question.
            record.unknown_field = None;
        }
        let index = Index { records: records.into(), ..Index::empty() };
        let repository =
            Repository { name: REPOSITORY.to_owned(), pin: None, index: Shared::new(index), installed: true };
        let names = db.packages().map(|id| id.name.clone()).collect();
        Ok(Self { db, repository, names, digest: Digest::of(text) })
    }

    /// Whether a package of this name is there.
    pub(crate) fn has(&self, name: &PackageName) -> bool {
        self.names.contains(name)
    }

    /// The packages as `name=version`.
    pub(crate) fn world(&self) -> impl Iterator<Item = String> {
        self.db.packages().map(|id| format!("{}={}", id.name, id.version))
    }
}

impl Base {
    /// Opens the base image of a spec, if it has one. Reads documents and databases, no layers.
    pub(crate) fn of(file: &SpecFile, mode: Mode) -> Result<Option<Self>> {
        let Some(base) = &file.spec.base_image else { return Ok(None) };
        let BaseImageSource::Layout(text) = &base.source.value;
        let span = base.source.span.clone();
        let opened: Result<_> = (|| {
            let (folder, name) = layout(file, text)?;
            let place = folder.display().to_string();
            let (entries, source) = crate::stored::layout_entries(&folder, name.as_deref())?;
            let found = find::images(&place, &entries, source.as_ref())?;
            Ok((place, source, found))
        })();
        let (place, source, found) =
            opened.doing(|| "opening contents.baseimage".into()).map_err(|e| e.at(&span))?;
        let candidates = file.candidates(&base.apkindex.value);
        let there = candidates.iter().find(|path| path.is_dir());
        let databases = there.or(candidates.first()).cloned().unwrap_or_default();
        let mut opened = Self {
            place,
            found,
            source,
            databases,
            packages: BTreeMap::new(),
            first_counts: mode == Mode::Apko,
            span,
            database_span: base.apkindex.span.clone(),
        };
        for arch in Arch::ALL {
            if opened.found.iter().any(|found| found.fits(Platform::from(arch)))
                && let Some(packages) = opened.read(arch).map_err(|e| e.at(&opened.database_span))?
            {
                opened.packages.insert(arch, packages);
            }
        }
        Ok(Some(opened))
    }

    /// The database for an architecture, if there is a file of that name.
    fn read(&self, arch: Arch) -> Result<Option<Packages>> {
        let path = self.database(arch);
        let blob = match open_file(&path) {
            Err(FetchError::Missing { .. }) => return Ok(None),
            other => other?,
        };
        if blob.len() > MAX_DATABASE {
            let path = path.display().to_string();
            return Err(BaseImageError::LargeDatabase { path, limit: MAX_DATABASE }.into());
        }
        let text = blob.read_to_vec(MAX_DATABASE).map_err(OwnError::io(&path, "cannot be read"))?;
        Packages::parse(&text).doing(|| format!("reading {}", path.display())).map(Some)
    }

    fn database(&self, arch: Arch) -> PathBuf {
        self.databases.join(arch.apk()).join("APKINDEX")
    }

    /// The packages for an architecture.
    pub(crate) fn packages(&self, arch: Arch) -> Result<&Packages> {
        self.packages.get(&arch).ok_or_else(|| {
            let path = self.database(arch).display().to_string();
            Error::from(BaseImageError::NoDatabase { arch: arch.apk(), path }).at(&self.database_span)
        })
    }

    /// What it gives a platform.
    pub(crate) fn ground(&self, platform: Platform) -> Result<Ground<'_>> {
        let exact = self.found.iter().filter(|found| found.is_for(platform));
        let alike = self.found.iter().filter(|found| found.fits(platform));
        let mut fitting: Vec<&Found> = exact.collect();
        if fitting.is_empty() {
            fitting = alike.collect();
        }
        let place = self.place.clone();
        match fitting.as_slice() {
            [] => {
                let mut found: Vec<String> = self.found.iter().map(Found::shown).collect();
                found.dedup();
                Err(Error::from(BaseImageError::NoPlatform { place, wanted: platform, found }).at(&self.span))
            }
            [found, ..] if self.first_counts || fitting.len() == 1 => Ok(Ground { found, base: self }),
            _ => Err(Error::from(BaseImageError::Several { place, wanted: platform }).at(&self.span)),
        }
    }

    /// What tells two states of it apart: the images and databases, whatever else lies beside them.
    pub(crate) fn meaning(&self) -> Value {
        let images = self.found.iter().map(|found| found.digest.to_string()).collect::<Vec<_>>();
        let databases: BTreeMap<&str, String> =
            self.packages.iter().map(|(arch, packages)| (arch.apk(), packages.digest.to_string())).collect();
        json!([images, databases])
    }
}

impl Ground<'_> {
    /// The manifest's digest.
    pub(crate) fn digest(&self) -> Digest {
        self.found.digest
    }

    /// The configuration, as far as it is understood.
    pub(crate) fn config(&self) -> &assemble_image::Config {
        &self.found.config
    }

    /// What a new image's documents are made from.
    pub(crate) fn image(&self, layers: &[BuiltLayer]) -> assemble_image::BaseImage {
        assemble_image::BaseImage {
            config: self.found.config.raw.clone(),
            layers: layers.iter().map(BuiltLayer::descriptor).collect(),
            annotations: self.found.manifest.annotations.clone(),
        }
    }

    /// Its layers, lowest first, each checked against manifest and configuration.
    pub(crate) fn layers(&self) -> Result<Vec<BuiltLayer>> {
        let Found { manifest, config, .. } = self.found;
        let one = |(number, layer): (usize, LayerDescriptor)| -> Result<BuiltLayer> {
            let blob = self.base.source.blob(&layer.digest, layer.size)?;
            let (found, uncompressed_size) = diff_id(&blob)
                .doing(|| format!("unpacking layer {} of the base image {}", number + 1, self.base.place))?;
            if found != layer.diff_id {
                let (place, listed) = (self.base.place.clone(), layer.diff_id);
                return Err(BaseImageError::DiffId { place, number: number + 1, found, listed }.into());
            }
            Ok(BuiltLayer {
                name: "base image".to_owned(),
                layer: Layer {
                    digest: layer.digest,
                    diff_id: found,
                    size: layer.size,
                    uncompressed_size,
                    copied: 0,
                    blob,
                },
                media_type: layer.media_type,
                packed: None,
                of_packages: false,
                verbatim: false,
            })
        };
        let all = manifest.layer_descriptors(config).into_iter().enumerate().map(one);
        all.collect::<Result<_>>().map_err(|error| error.at(&self.base.span))
    }

    /// Refuses more layers than can be mounted.
    pub(crate) fn bears(&self, own: usize) -> Result<()> {
        let below = self.found.manifest.layers.len();
        if below + own <= MAX_LAYERS {
            return Ok(());
        }
        let place = self.base.place.clone();
        Err(Error::from(BaseImageError::TooManyLayers { place, below, own }).at(&self.base.span))
    }
}

/// The folder of a layout, and the name in it that is asked for: `FOLDER`, or `FOLDER:NAME`.
fn layout(file: &SpecFile, text: &str) -> Result<(PathBuf, Option<String>)> {
    let candidates = file.candidates(text);
    for candidate in &candidates {
        let (path, name) = split_name(&candidate.display().to_string());
        if path.is_dir() {
            return Ok((path, name));
        }
        if path.exists() {
            return Err(BaseImageError::NotAFolder(path.display().to_string()).into());
        }
    }
    let host = text.split_once('/').map_or("", |(host, _)| host);
    if !host.starts_with('.') && (host.contains(['.', ':']) || host == "localhost") {
        return Err(BaseImageError::Registry(text.to_owned()).into());
    }
    let tried = candidates.iter().map(|path| path.display().to_string()).collect();
    Err(BaseImageError::Missing { text: text.to_owned(), tried }.into())
}
