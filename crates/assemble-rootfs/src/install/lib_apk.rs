//! `/lib/apk`: the database lives under `/usr/lib/apk` and is reachable under the old path too.

use assemble_types::ImagePath;

use super::error::InstallError;
use super::recorded::Recorded;
use super::root::Root;
use super::text::join_clean;

const FOR: &str = "the link /lib/apk to the database";

/// Makes the link, or leaves alone what leads there already. Packages of format version 3 may have files of their own
/// below `/lib/apk`, as OpenWrt's do: then only the database itself is linked.
pub(super) fn link(root: &mut Root, installed: &[Recorded], version3: bool) -> Result<(), InstallError> {
    for (path, place) in [(&b"lib"[..], &b"/usr/lib"[..]), (b"lib/apk", b"/usr/lib/apk")] {
        if root.read_link(path)?.is_some_and(|text| join_clean(b"/", text) == place) {
            return Ok(());
        }
    }
    if root.look_up(b"lib")?.is_none() {
        if installed.iter().any(provides_merged_lib) {
            // A `lib` that leads nowhere is there: apko leaves it so.
            return if root.entry(b"lib")?.is_some() {
                Ok(())
            } else {
                root.make_link(b"lib", b"usr/lib", FOR)
            };
        }
        root.make_folder(b"lib", 0o755, assemble_types::Owner::ROOT, FOR)?;
    }
    match remove_empty(root) {
        Err(InstallError::LibApk { .. }) if version3 && root.entry(b"lib/apk/db")?.is_none() => {
            root.make_link(b"lib/apk/db", b"../../usr/lib/apk/db", FOR)
        }
        outcome => {
            outcome?;
            root.make_link(b"lib/apk", b"../usr/lib/apk", FOR)
        }
    }
}

/// Only the bare name counts, among the words of the record's line of provides.
fn provides_merged_lib(package: &Recorded) -> bool {
    package.provides.iter().any(|name| name == "merged-lib")
}

/// Takes `/lib/apk` away if it is a folder that holds nothing but empty folders.
fn remove_empty(root: &mut Root) -> Result<(), InstallError> {
    let Some(folder) = root.look_up(b"lib/apk")?.filter(|id| root.tree.node(*id).is_directory()) else {
        return Ok(());
    };
    let full = |name: &[u8]| InstallError::LibApk {
        path: ImagePath::parse(b"lib/apk").and_then(|path| path.join(name)).unwrap_or_default(),
    };
    let mut names = Vec::new();
    for (name, child) in root.tree.names(folder) {
        if !root.tree.node(child.node).is_directory() || root.tree.names(child.node).next().is_some() {
            return Err(full(name));
        }
        names.push(name.to_vec());
    }
    for name in names {
        root.tree.remove_from(folder, &name);
    }
    if let Some(lib) = root.look_up(b"lib")? {
        root.tree.remove_from(lib, b"apk");
    }
    Ok(())
}
