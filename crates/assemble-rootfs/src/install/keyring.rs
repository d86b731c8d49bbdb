//! Keys that only the running image trusts.

use assemble_types::{ImagePath, Timestamp};

use super::error::InstallError;
use super::mutations::RuntimeKey;
use super::root::Root;

const FOR: &str = "contents.runtime_keyring";
const FOLDER: &str = "etc/apk/keys";

/// Writes the keys. A name that is taken is never taken over, not even that of a link that leads nowhere.
pub(super) fn install(root: &mut Root, keys: &[RuntimeKey], epoch: Timestamp) -> Result<(), InstallError> {
    if keys.is_empty() {
        return Ok(());
    }
    root.make_folders(FOLDER.as_bytes(), 0o755, FOR)?;
    for key in keys {
        let path = format!("{FOLDER}/{}", key.name);
        if root.entry(path.as_bytes())?.is_some() {
            let path = ImagePath::parse(&path).unwrap_or_default();
            return Err(InstallError::Exists { path, needed_by: FOR.into() });
        }
        let id = root.write(path.as_bytes(), key.pem.clone(), 0o644, FOR)?;
        root.tree.node_mut(id).meta.mtime = epoch.seconds();
    }
    Ok(())
}
