//! Images of a registry: manifests at once, blobs when they are asked for.

use std::fmt;
use std::sync::Arc;

use assemble_image::{Descriptor, Reference};
use assemble_registry::Registry;
use assemble_types::{Blob, Digest, Spool};

use crate::error::{Doing, OwnError, Result};
use crate::image_set::{BlobSource, ImageSet};

/// Blobs of one repository, fetched into a spool and checked on the way.
pub(crate) struct RemoteBlobs {
    registry: Registry,
    reference: Reference,
    spool: Arc<dyn Spool>,
}

impl fmt::Debug for RemoteBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteBlobs({})", self.reference)
    }
}

impl RemoteBlobs {
    /// Asks the registry for an image or index and all manifests below it.
    pub(crate) fn open(reference: &Reference, registry: &Registry) -> Result<ImageSet> {
        let doing = || format!("reading {reference}");
        let (bytes, media_type, digest) = registry.manifest(reference).doing(doing)?;
        let top = Descriptor::new(media_type, digest, bytes.len() as u64);
        let source = Arc::new(Self {
            registry: registry.clone(),
            reference: reference.clone(),
            spool: assemble_fetch::spool_in(&std::env::temp_dir()),
        });
        let read = |descriptor: &Descriptor| {
            if descriptor.digest == digest {
                return Ok(bytes.clone());
            }
            let child = reference.with_digest(descriptor.digest);
            Ok(registry.manifest(&child).doing(|| format!("reading {child}"))?.0)
        };
        ImageSet::read(&top, source, &read)
    }
}

impl BlobSource for RemoteBlobs {
    fn blob(&self, digest: &Digest, size: u64) -> Result<Blob> {
        let mut writer =
            self.spool.create().map_err(OwnError::io(std::env::temp_dir(), "cannot hold a download"))?;
        self.registry
            .blob(&self.reference, digest, size, &mut writer)
            .doing(|| format!("reading a blob of {}", self.reference))?;
        writer.finish().map_err(|e| OwnError::io(std::env::temp_dir(), "cannot hold a download")(e))
    }
}
