//! The images of a layout, through indexes in indexes.

use std::collections::BTreeSet;

use assemble_image::{Config, Descriptor, Manifest, media_type, parse_config, parse_index, parse_manifest};
use assemble_types::{Digest, Platform};

use super::BaseImageError;
use crate::error::{OwnError, Result};
use crate::image_set::{BlobSource, MAX_CONFIG, MAX_MANIFEST};

/// Deepest indexes in indexes.
const MAX_DEPTH: usize = 8;
/// Most documents that are read.
const MAX_DOCUMENTS: usize = 1024;
/// Bytes of all documents together.
const MAX_BYTES: u64 = 64 << 20;

/// An image of a layout.
#[derive(Debug)]
pub(super) struct Found {
    /// Of the manifest.
    pub(super) digest: Digest,
    pub(super) manifest: Manifest,
    pub(super) config: Config,
}

impl Found {
    /// Whether it is for this platform, variant and all.
    pub(super) fn is_for(&self, platform: Platform) -> bool {
        self.config.platform.known() == Some(platform)
    }

    /// Whether its architecture is the platform's: configurations often keep their variant to themselves.
    pub(super) fn fits(&self, platform: Platform) -> bool {
        let name = &self.config.platform;
        self.is_for(platform)
            || (name.os == "linux" && name.architecture == platform.arch.oci() && name.variant.is_none())
    }

    /// What it is for, as its configuration has it.
    pub(super) fn shown(&self) -> String {
        self.config.platform.to_string()
    }
}

/// All images, each once, in the order in which they are listed.
pub(super) fn images(place: &str, entries: &[Descriptor], source: &dyn BlobSource) -> Result<Vec<Found>> {
    let mut walk = Walk { place, source, seen: BTreeSet::new(), bytes: 0, found: Vec::new() };
    walk.entries(entries, 0)?;
    Ok(walk.found)
}

struct Walk<'a> {
    place: &'a str,
    source: &'a dyn BlobSource,
    seen: BTreeSet<Digest>,
    bytes: u64,
    found: Vec<Found>,
}

impl Walk<'_> {
    fn entries(&mut self, entries: &[Descriptor], depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(self.too_much("its indexes lie in one another too deep"));
        }
        for entry in entries {
            // The same image may be listed under several names.
            if !self.seen.insert(entry.digest) {
                continue;
            }
            if self.seen.len() > MAX_DOCUMENTS {
                return Err(self.too_much("it lists too many images"));
            }
            if media_type::is_index(&entry.media_type) {
                let index = parse_index(&self.document(entry, MAX_MANIFEST)?)?;
                self.entries(&index.manifests, depth + 1)?;
            } else if media_type::is_manifest(&entry.media_type) {
                self.image(entry)?;
            }
        }
        Ok(())
    }

    /// Attestations and other artifacts are listed among images; they have no configuration of one.
    fn image(&mut self, entry: &Descriptor) -> Result<()> {
        let manifest = parse_manifest(&self.document(entry, MAX_MANIFEST)?)?;
        if !manifest.is_image() || manifest.artifact_type.is_some() {
            return Ok(());
        }
        let config = parse_config(&self.document(&manifest.config, MAX_CONFIG)?)?;
        if config.platform.architecture == "unknown" {
            return Ok(());
        }
        let (layers, diff_ids) = (manifest.layers.len(), config.diff_ids.len());
        if layers != diff_ids {
            let (place, manifest) = (self.place.to_owned(), entry.digest);
            return Err(BaseImageError::Layers { place, manifest, layers, diff_ids }.into());
        }
        self.found.push(Found { digest: entry.digest, manifest, config });
        Ok(())
    }

    fn document(&mut self, entry: &Descriptor, limit: u64) -> Result<Vec<u8>> {
        self.bytes = self.bytes.saturating_add(entry.size);
        if entry.size > limit || self.bytes > MAX_BYTES {
            return Err(self.too_much("its documents are too large"));
        }
        let blob = self.source.blob(&entry.digest, entry.size)?;
        blob.read_to_vec(limit).map_err(OwnError::io(self.place, "cannot be read"))
    }

    fn too_much(&self, why: &'static str) -> crate::error::Error {
        BaseImageError::TooMuch { place: self.place.to_owned(), why }.into()
    }
}
