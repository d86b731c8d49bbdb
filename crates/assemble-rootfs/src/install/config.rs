//! `/etc/apko.json`: the configuration an image was made from, as apko writes it.

use assemble_types::Mode;

use super::error::InstallError;
use super::root::Root;
use crate::apko_config::ApkoConfig;

/// Writes the file, for all to read and none to write.
pub(super) fn write(root: &mut Root, config: &ApkoConfig) -> Result<(), InstallError> {
    let id = root.write(b"etc/apko.json", config.to_line(), 0o444, "the configuration of the image")?;
    root.tree.node_mut(id).meta.mode = Mode::from_bits(0o444);
    Ok(())
}
