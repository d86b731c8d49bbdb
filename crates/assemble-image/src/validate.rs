//! Checks everything that must hold of an image, whoever made it.

use std::fmt;

use assemble_types::{Blob, Digest, VerifyingReader};

use crate::descriptor::Descriptor;
use crate::media_type::{is_config, is_index, is_manifest};
use crate::read::{Config, MAX_CONFIG, MAX_MANIFEST, Manifest, parse_config, parse_index, parse_manifest};
use crate::{ImageError, PlatformName};

/// How many indexes may stand within each other.
pub const MAX_DEPTH: usize = 4;

/// Images looked at by one validation.
const MAX_IMAGES: usize = 4096;

/// Gives the bytes that descriptors name: a layout, an archive, a registry. It need not check them.
pub trait ImageSource: fmt::Debug {
    /// The bytes of one blob. An error's text says why there are none.
    ///
    /// # Errors
    /// Not there, or not readable.
    fn blob(&self, descriptor: &Descriptor) -> Result<Blob, Box<dyn std::error::Error + Send + Sync>>;
}

/// Tells the digest of a layer's uncompressed tar.
pub type DiffId<'a> =
    dyn Fn(&Descriptor, &Blob) -> Result<Digest, Box<dyn std::error::Error + Send + Sync>> + 'a;

/// One thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The document or blob it is about.
    pub digest: Digest,
    /// What does not hold, with both values.
    pub problem: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.digest, self.problem)
    }
}

/// Checks an image or index and all below it: that every blob is there with the size and digest its descriptor says,
/// documents are well-formed and have the media types they are listed under, there are as many layers as diff_ids and
/// each layer unpacks to its own, there are not more history entries than layers, and platforms agree.
///
/// Entries of an index that are no images (attestations, signatures) are only read.
pub fn validate(
    source: &dyn ImageSource,
    descriptor: &Descriptor,
    diff_id: &DiffId<'_>,
) -> Result<(), Vec<Invalid>> {
    let mut run = Run { source, diff_id, found: Vec::new(), images: 0 };
    run.document(descriptor, MAX_DEPTH);
    if run.found.is_empty() { Ok(()) } else { Err(run.found) }
}

struct Run<'a> {
    source: &'a dyn ImageSource,
    diff_id: &'a DiffId<'a>,
    found: Vec<Invalid>,
    images: usize,
}

impl Run<'_> {
    fn add(&mut self, digest: Digest, problem: impl fmt::Display) {
        self.found.push(Invalid { digest, problem: problem.to_string() });
    }

    /// Reports an error with its causes.
    fn add_error(&mut self, digest: Digest, error: &(dyn std::error::Error + 'static)) {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            text.push_str(": ");
            text.push_str(&next.to_string());
            cause = next.source();
        }
        self.add(digest, text);
    }

    fn blob(&mut self, descriptor: &Descriptor) -> Option<Blob> {
        match self.source.blob(descriptor) {
            Ok(blob) if blob.len() == descriptor.size => Some(blob),
            Ok(blob) => {
                let problem = format!("has {} bytes, its descriptor says {}", blob.len(), descriptor.size);
                self.add(descriptor.digest, problem);
                None
            }
            Err(error) => {
                self.add_error(descriptor.digest, error.as_ref());
                None
            }
        }
    }

    /// The bytes of a document, checked against its descriptor.
    fn bytes(&mut self, descriptor: &Descriptor, document: &'static str, limit: u64) -> Option<Vec<u8>> {
        if descriptor.size > limit {
            self.add_error(
                descriptor.digest,
                &ImageError::TooLarge { document, size: descriptor.size, limit },
            );
            return None;
        }
        let bytes = match self.blob(descriptor)?.read_to_vec(limit) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.add_error(descriptor.digest, &error);
                return None;
            }
        };
        let found = Digest::of(&bytes);
        if found != descriptor.digest {
            self.add(descriptor.digest, format!("its bytes have the digest {found}"));
            return None;
        }
        Some(bytes)
    }

    fn parsed<T>(&mut self, digest: Digest, result: Result<T, ImageError>) -> Option<T> {
        result.map_err(|error| self.add_error(digest, &error)).ok()
    }

    fn document(&mut self, descriptor: &Descriptor, depth: usize) {
        self.images += 1;
        if self.images > MAX_IMAGES {
            if self.images == MAX_IMAGES + 1 {
                self.add(descriptor.digest, format!("is one of more than {MAX_IMAGES} images"));
            }
            return;
        }
        if is_index(&descriptor.media_type) {
            self.index(descriptor, depth);
        } else if is_manifest(&descriptor.media_type) {
            self.manifest(descriptor);
        } else {
            let problem =
                format!("has media type `{}`, which is no image", descriptor.media_type.escape_debug());
            self.add(descriptor.digest, problem);
        }
    }

    fn index(&mut self, descriptor: &Descriptor, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else {
            let error = ImageError::TooDeep { digest: descriptor.digest, limit: MAX_DEPTH };
            return self.add_error(descriptor.digest, &error);
        };
        let Some(bytes) = self.bytes(descriptor, "index", MAX_MANIFEST) else { return };
        let Some(index) = self.parsed(descriptor.digest, parse_index(&bytes)) else { return };
        self.same_media_type(descriptor, &index.media_type);
        for entry in &index.manifests {
            self.document(entry, depth);
        }
    }

    fn same_media_type(&mut self, descriptor: &Descriptor, own: &str) {
        if descriptor.media_type != own {
            let problem = format!("calls itself {own}, its descriptor says {}", descriptor.media_type);
            self.add(descriptor.digest, problem);
        }
    }

    fn manifest(&mut self, descriptor: &Descriptor) {
        let Some(bytes) = self.bytes(descriptor, "manifest", MAX_MANIFEST) else { return };
        let Some(manifest) = self.parsed(descriptor.digest, parse_manifest(&bytes)) else { return };
        self.same_media_type(descriptor, &manifest.media_type);
        let Some(bytes) = self.bytes(&manifest.config, "config", MAX_CONFIG) else { return };
        if !is_config(&manifest.config.media_type) {
            for layer in &manifest.layers {
                self.whole_blob(layer);
            }
            return;
        }
        let Some(config) = self.parsed(manifest.config.digest, parse_config(&bytes)) else { return };
        self.image(descriptor, &manifest, &config);
    }

    fn image(&mut self, descriptor: &Descriptor, manifest: &Manifest, config: &Config) {
        let (layers, diff_ids) = (manifest.layers.len(), config.diff_ids.len());
        if layers != diff_ids {
            self.add(descriptor.digest, format!("has {layers} layers, its config has {diff_ids} diff_ids"));
        }
        if config.history.len() > diff_ids {
            let problem = format!("has {} history entries for {diff_ids} layers", config.history.len());
            self.add(manifest.config.digest, problem);
        }
        if let Some(listed) = &descriptor.platform
            && !same_platform(listed, &config.platform)
        {
            let problem = format!("is listed for {listed}, its config says {}", config.platform);
            self.add(descriptor.digest, problem);
        }
        for (index, layer) in manifest.layers.iter().enumerate() {
            let Some(blob) = self.whole_blob(layer) else { continue };
            let Some(expected) = config.diff_ids.get(index) else { continue };
            match (self.diff_id)(layer, &blob) {
                Ok(found) if found == *expected => {}
                Ok(found) => {
                    self.add(layer.digest, format!("unpacks to {found}, the config says {expected}"));
                }
                Err(error) => self.add_error(layer.digest, error.as_ref()),
            }
        }
    }

    /// Reads a blob to its end, checking size and digest.
    fn whole_blob(&mut self, descriptor: &Descriptor) -> Option<Blob> {
        let blob = self.blob(descriptor)?;
        let mut reader = VerifyingReader::new(blob.reader(), descriptor.digest, descriptor.size);
        if let Err(error) = std::io::copy(&mut reader, &mut std::io::sink()) {
            self.add_error(descriptor.digest, &error);
            return None;
        }
        Some(blob)
    }
}

fn same_platform(a: &PlatformName, b: &PlatformName) -> bool {
    match (a.known(), b.known()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}
