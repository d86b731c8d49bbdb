//! Checksums beside the bundles of certificates, so that tools can tell whether they were changed since.

use assemble_types::{ImagePath, Timestamp};

use super::certificates::{BUNDLES, JAVA};
use super::error::InstallError;
use super::root::{Root, split};

const FOR: &str = "the checksum of a bundle of certificates";

/// Writes `.NAME.sha256` beside every bundle that is there.
pub(super) fn write(root: &mut Root, epoch: Timestamp) -> Result<(), InstallError> {
    for bundle in BUNDLES.into_iter().chain([JAVA]) {
        let Some(blob) = root.blob(bundle.as_bytes(), FOR)? else { continue };
        let digest = blob.content_digest().map_err(|source| InstallError::Read {
            path: ImagePath::parse(bundle).unwrap_or_default(),
            source,
        })?;
        let (folder, name) = split(bundle.as_bytes());
        let name = String::from_utf8_lossy(name);
        let path = format!("{}/.{name}.sha256", String::from_utf8_lossy(folder));
        let line = format!("{}  {name}\n", digest.hex()).into_bytes();
        let id = root.write(path.as_bytes(), line, 0o444, FOR)?;
        root.tree.node_mut(id).meta.mtime = epoch.seconds();
    }
    Ok(())
}
