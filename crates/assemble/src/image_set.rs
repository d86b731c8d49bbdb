//! All that belongs to one image or index: manifests as exact bytes, and blobs that can be had.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assemble_fetch::open_file;
use assemble_image::{
    Descriptor, ImageIndex, PlatformName, Reference, media_type, parse_config, parse_index, parse_manifest,
};
use assemble_registry::Registry;
use assemble_types::{Blob, Digest, VerifyingReader};
use serde_json::Value;

use crate::build::BuiltImage;
use crate::error::{Error, OwnError, Result};
use crate::remote::RemoteBlobs;
use crate::stored::{StoredImage, open_archive, open_layout};

/// Largest manifest, as registries have it.
pub(crate) const MAX_MANIFEST: u64 = 4 * 1024 * 1024;
/// Largest sum of all manifests of an index, in bytes.
const MAX_MANIFESTS: usize = 64 * 1024 * 1024;
/// Largest configuration.
pub(crate) const MAX_CONFIG: u64 = 8 * 1024 * 1024;

/// A manifest or index, byte for byte.
#[derive(Debug, Clone)]
pub struct StoredManifest {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A blob that a manifest lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Gives the blobs of an image: from memory, a folder, an archive, a registry.
pub(crate) trait BlobSource: Send + Sync + fmt::Debug {
    /// A blob whose digest and size were checked.
    fn blob(&self, digest: &Digest, size: u64) -> Result<Blob>;

    /// A blob whose size fits, for who leaves it to somebody else to check the digest.
    fn unchecked(&self, digest: &Digest, size: u64) -> Result<Blob> {
        self.blob(digest, size)
    }

    /// Whether the manifests are those that came with the image. Others say nothing but what has to be in one.
    fn has_manifests(&self) -> bool {
        true
    }
}

/// An image or an index with everything below it.
#[derive(Debug, Clone)]
pub struct ImageSet {
    /// Platform manifests first, the top one last.
    manifests: Vec<StoredManifest>,
    source: Arc<dyn BlobSource>,
}

/// One platform's image, read.
#[derive(Debug, Clone)]
pub(crate) struct ImageView {
    pub(crate) platform: String,
    pub(crate) manifest_digest: Digest,
    pub(crate) manifest: Value,
    pub(crate) config: Value,
    pub(crate) config_digest: Digest,
    pub(crate) layers: Vec<LayerView>,
}

/// One layer, as manifest and configuration have it.
#[derive(Debug, Clone)]
pub(crate) struct LayerView {
    pub(crate) digest: Digest,
    pub(crate) diff_id: Option<Digest>,
    pub(crate) size: u64,
    pub(crate) media_type: String,
    pub(crate) created_by: String,
}

/// Blobs that were just made.
#[derive(Debug)]
struct Made(BTreeMap<Digest, Blob>);

impl BlobSource for Made {
    fn blob(&self, digest: &Digest, _: u64) -> Result<Blob> {
        self.0
            .get(digest)
            .cloned()
            .ok_or_else(|| OwnError::Bug(format!("blob {digest} was never made")).into())
    }
}

impl ImageSet {
    /// See [`BlobSource::has_manifests`].
    pub(crate) fn has_manifests(&self) -> bool {
        self.source.has_manifests()
    }

    /// The set of a build: one image as it is, several under an index.
    pub(crate) fn of(images: &[BuiltImage], index: Option<&ImageIndex>) -> Self {
        let mut blobs = BTreeMap::new();
        let mut manifests = Vec::new();
        for built in images {
            blobs.insert(built.image.config_digest(), Blob::from_bytes(built.image.config()));
            blobs.extend(built.layers.iter().map(|built| (built.layer.digest, built.layer.blob.clone())));
            manifests.push(StoredManifest {
                digest: built.image.manifest_digest(),
                media_type: built.image.descriptor().media_type,
                bytes: built.image.manifest().to_vec(),
            });
        }
        if let Some(index) = index {
            manifests.push(StoredManifest {
                digest: index.digest(),
                media_type: index.descriptor().media_type,
                bytes: index.bytes().to_vec(),
            });
        }
        Self { manifests, source: Arc::new(Made(blobs)) }
    }

    /// A set that was read from somewhere; `top` and all below it are looked up with `manifest`.
    pub(crate) fn read(
        top: &Descriptor,
        source: Arc<dyn BlobSource>,
        manifest: &dyn Fn(&Descriptor) -> Result<Vec<u8>>,
    ) -> Result<Self> {
        let bytes = manifest(top)?;
        let mut manifests = Vec::new();
        if media_type::is_index(&top.media_type) {
            let mut total = 0;
            for child in &parse_index(&bytes)?.manifests {
                // An index may list one manifest many times; it is one manifest all the same.
                if manifests.iter().any(|known: &StoredManifest| known.digest == child.digest) {
                    continue;
                }
                let bytes = manifest(child)?;
                total += bytes.len();
                if total > MAX_MANIFESTS {
                    return Err(not_an_image("the index", "its manifests are larger than 64 MB together"));
                }
                parse_manifest(&bytes)?;
                manifests.push(StoredManifest {
                    digest: child.digest,
                    media_type: child.media_type.clone(),
                    bytes,
                });
            }
        } else {
            parse_manifest(&bytes)?;
        }
        manifests.push(StoredManifest { digest: top.digest, media_type: top.media_type.clone(), bytes });
        Ok(Self { manifests, source })
    }

    /// Opens a layout folder or an archive; `:NAME` behind the path picks one of several images.
    pub fn open(text: &str) -> Result<Self> {
        let (path, name) = split_name(text);
        let missing = || OwnError::NoImageHere { text: text.to_owned(), pulls: false }.into();
        Self::stored(&path, name.as_deref())?.ok_or_else(missing)
    }

    fn stored(path: &Path, name: Option<&str>) -> Result<Option<Self>> {
        let image: StoredImage = if path.is_dir() {
            open_layout(path, name)?
        } else if path.is_file() {
            open_archive(path, &open_file(path)?, name)?
        } else {
            return Ok(None);
        };
        let source = Arc::clone(&image.source);
        let read = |descriptor: &Descriptor| {
            source
                .blob(&descriptor.digest, descriptor.size)?
                .read_to_vec(MAX_MANIFEST)
                .map_err(OwnError::io(path, "cannot be read"))
        };
        Self::read(&image.top, Arc::clone(&source), &read).map(Some)
    }

    /// Opens a layout or archive if there is one of that name, else asks the registry.
    ///
    /// A name without a registry's host is no such image: a misspelt file must not go to a registry. Without a client
    /// no connection is opened.
    pub fn open_or_pull(text: &str, registry: Option<&Registry>) -> Result<Self> {
        let (path, name) = split_name(text);
        if let Some(set) = Self::stored(&path, name.as_deref())? {
            return Ok(set);
        }
        let host = text.split_once('/').map(|(host, _)| host);
        if !host.is_some_and(|h| {
            !h.is_empty() && (h.contains(['.', ':']) || h == "localhost") && !h.starts_with('.')
        }) {
            return Err(OwnError::NoImageHere { text: text.to_owned(), pulls: true }.into());
        }
        let reference = Reference::parse(text)
            .map_err(|error| Error::from(error).hint(format!("{text} is no file or folder either")))?;
        let Some(registry) = registry else { return Err(OwnError::OfflineRegistry(text.to_owned()).into()) };
        RemoteBlobs::open(&reference, registry)
    }

    /// The digest of the whole: the manifest's, or the index's.
    pub fn digest(&self) -> Digest {
        self.top().digest
    }

    /// The media type of the whole.
    pub fn media_type(&self) -> &str {
        &self.top().media_type
    }

    pub(crate) fn top(&self) -> &StoredManifest {
        self.manifests.last().expect("a set has at least one manifest")
    }

    /// `an index` or `one image`, for messages.
    pub(crate) fn top_kind(&self) -> &'static str {
        if self.is_index() { "an index" } else { "one image" }
    }

    pub(crate) fn is_index(&self) -> bool {
        media_type::is_index(self.media_type())
    }

    pub(crate) fn top_value(&self) -> Result<Value> {
        value(&self.top().bytes, "manifest")
    }

    /// All manifests: the platforms' first, the top one last.
    pub fn manifests(&self) -> &[StoredManifest] {
        &self.manifests
    }

    fn image_manifests(&self) -> impl Iterator<Item = &StoredManifest> {
        self.manifests.iter().filter(|m| !media_type::is_index(&m.media_type))
    }

    /// A blob to be sent to a registry, which checks the digest of what it gets.
    pub(crate) fn blob_to_send(&self, digest: &Digest, size: u64) -> Result<Blob> {
        self.source.unchecked(digest, size)
    }

    /// A blob, checked.
    pub(crate) fn blob(&self, digest: &Digest, size: u64) -> Result<Blob> {
        self.source.blob(digest, size)
    }

    /// All blobs that the manifests list, each once: configurations and layers.
    pub fn blobs(&self) -> Result<Vec<ListedBlob>> {
        let mut blobs: Vec<ListedBlob> = Vec::new();
        for stored in self.image_manifests() {
            let manifest = parse_manifest(&stored.bytes)?;
            for descriptor in manifest.layers.iter().chain([&manifest.config]) {
                let blob = ListedBlob { digest: descriptor.digest, size: descriptor.size };
                if !blobs.contains(&blob) {
                    blobs.push(blob);
                }
            }
        }
        Ok(blobs)
    }

    /// One view a platform.
    pub(crate) fn images(&self) -> Result<Vec<ImageView>> {
        self.image_manifests().map(|stored| self.view(stored)).collect()
    }

    fn view(&self, stored: &StoredManifest) -> Result<ImageView> {
        let manifest = parse_manifest(&stored.bytes)?;
        let bytes = self
            .blob(&manifest.config.digest, manifest.config.size)?
            .read_to_vec(MAX_CONFIG)
            .map_err(OwnError::io("the image's configuration", "cannot be read"))?;
        let config = parse_config(&bytes)?;
        let raw = value(&bytes, "configuration")?;
        let mut steps = config.history.iter().map(|step| step.created_by.clone());
        let layers = manifest
            .layers
            .iter()
            .enumerate()
            .map(|(number, layer)| LayerView {
                digest: layer.digest,
                diff_id: config.diff_ids.get(number).copied(),
                size: layer.size,
                media_type: layer.media_type.clone(),
                created_by: steps.next().unwrap_or_default(),
            })
            .collect();
        Ok(ImageView {
            platform: platform_name(&config.platform),
            manifest_digest: stored.digest,
            manifest: value(&stored.bytes, "manifest")?,
            config: raw,
            config_digest: manifest.config.digest,
            layers,
        })
    }
}

/// `linux/arm64`: known platforms in our one spelling, others as they are.
fn platform_name(platform: &PlatformName) -> String {
    match platform.known() {
        Some(known) => known.to_string(),
        None => {
            let variant = platform.variant.as_ref().map(|v| format!("/{v}")).unwrap_or_default();
            format!("{}/{}{variant}", platform.os, platform.architecture)
        }
    }
}

fn value(bytes: &[u8], what: &str) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|e| not_an_image(what, &e.to_string()))
}

pub(crate) fn not_an_image(place: &str, why: &str) -> Error {
    OwnError::NotAnImage { place: place.to_owned(), why: why.to_owned() }.into()
}

/// Checks how many bytes a blob has.
pub(crate) fn sized(blob: Blob, digest: &Digest, size: u64, place: &str) -> Result<Blob> {
    if blob.len() == size {
        return Ok(blob);
    }
    let why = format!("{digest} has {} bytes, and {size} are listed", blob.len());
    Err(OwnError::Damaged { place: place.to_owned(), why }.into())
}

/// Checks a blob's bytes once, before anybody uses them.
pub(crate) fn checked(blob: Blob, digest: &Digest, size: u64, place: &str) -> Result<Blob> {
    let bad = |why: String| Error::from(OwnError::Damaged { place: place.to_owned(), why });
    let blob = sized(blob, digest, size, place)?;
    let mut reader = VerifyingReader::new(blob.reader(), *digest, size);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(blob),
            Ok(_) => {}
            Err(error) => return Err(bad(error.to_string())),
        }
    }
}

/// `oci:DIR:NAME`, `DIR:NAME`, `FILE.tar:NAME`: the path, and the name behind the last colon if the whole is no path.
pub(crate) fn split_name(text: &str) -> (PathBuf, Option<String>) {
    let text =
        ["oci:", "oci-archive:", "docker-archive:"].iter().find_map(|p| text.strip_prefix(p)).unwrap_or(text);
    let whole = PathBuf::from(text);
    if whole.exists() {
        return (whole, None);
    }
    // A name may itself hold a colon (app:1.0), so the longest existing path wins.
    let colons: Vec<usize> = text.match_indices(':').map(|(at, _)| at).collect();
    for at in colons.into_iter().rev() {
        let path = PathBuf::from(&text[..at]);
        if at > 0 && path.exists() {
            return (path, Some(text[at + 1..].to_owned()));
        }
    }
    (whole, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_behind_an_existing_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        assert_eq!(split_name(&path), (folder.path().to_owned(), None));
        assert_eq!(
            split_name(&format!("oci:{path}:app:1.0")),
            (folder.path().to_owned(), Some("app:1.0".into()))
        );
        assert_eq!(split_name("localhost:5000/a:1"), (PathBuf::from("localhost:5000/a:1"), None));
    }

    #[test]
    fn damaged_blobs_are_not_used() {
        let digest = Digest::of(b"abc");
        assert!(checked(Blob::from_bytes(*b"abc"), &digest, 3, "x").is_ok());
        assert!(checked(Blob::from_bytes(*b"abd"), &digest, 3, "x").is_err());
        assert!(checked(Blob::from_bytes(*b"ab"), &digest, 3, "x").is_err());
    }
}
