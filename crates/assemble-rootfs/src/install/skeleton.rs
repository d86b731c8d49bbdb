//! What is there before the first package, and the two files of it that change at the end.

use super::InstallInput;
use super::error::InstallError;
use super::root::Root;

const FOR: &str = "the skeleton of the image";

pub(super) const WORLD: &[u8] = b"etc/apk/world";
pub(super) const REPOSITORIES: &[u8] = b"etc/apk/repositories";
pub(super) const SCRIPTS: &[u8] = b"usr/lib/apk/db/scripts.tar";
pub(super) const TRIGGERS: &[u8] = b"usr/lib/apk/db/triggers";
pub(super) const INSTALLED: &[u8] = b"usr/lib/apk/db/installed";

const FOLDERS: [(&str, u32); 16] = [
    ("tmp", 0o1777),
    ("dev", 0o755),
    ("etc", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("var", 0o755),
    ("usr", 0o755),
    ("etc/apk", 0o755),
    ("etc/apk/keys", 0o755),
    ("usr/lib", 0o755),
    ("usr/lib/apk", 0o755),
    ("usr/lib/apk/db", 0o755),
    ("usr/lib/apk/exec", 0o755),
    ("var/cache", 0o755),
    ("var/cache/apk", 0o755),
    ("var/cache/misc", 0o755),
];

/// Path, major and minor number, mode.
const DEVICES: [(&str, (u32, u32), u32); 5] = [
    ("dev/zero", (1, 5), 0o666),
    ("dev/urandom", (1, 9), 0o666),
    ("dev/null", (1, 3), 0o666),
    ("dev/random", (1, 8), 0o666),
    ("dev/console", (5, 1), 0o620),
];

/// Folders, the empty database, devices, keys, and the files that say what is wanted from where.
pub(super) fn lay(root: &mut Root, input: &InstallInput<'_>) -> Result<(), InstallError> {
    for (path, mode) in FOLDERS {
        root.make_folders(path.as_bytes(), mode, FOR)?;
    }
    root.write(WORLD, sorted_lines(&input.world), 0o644, FOR)?;
    // While packages are unpacked this file names what they came from: a package may bring the very same file.
    root.write(REPOSITORIES, sorted_lines(&input.build_repositories), 0o644, FOR)?;
    root.write(b"usr/lib/apk/db/lock", Vec::new(), 0o600, FOR)?;
    root.write(TRIGGERS, Vec::new(), 0o644, FOR)?;
    root.write(INSTALLED, Vec::new(), 0o644, FOR)?;
    root.write(b"etc/apk/arch", format!("{}\n", input.arch.apk()).into_bytes(), 0o644, FOR)?;
    for (path, numbers, mode) in DEVICES {
        root.make_device(path.as_bytes(), numbers, mode, FOR)?;
    }
    root.write(SCRIPTS, vec![0; 1024], 0o644, FOR)?;
    for (name, key) in &input.keys {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(InstallError::KeyName { name: name.clone() });
        }
        root.write(format!("etc/apk/keys/{name}").as_bytes(), key.clone(), 0o644, FOR)?;
    }
    Ok(())
}

/// Makes the devices that are no longer there; without permissions, as apko does.
pub(super) fn missing_devices(root: &mut Root) -> Result<(), InstallError> {
    for (path, numbers, _) in DEVICES {
        if root.look_up(path.as_bytes())?.is_none() {
            root.make_folders(b"dev", 0o755, FOR)?;
            root.make_device(path.as_bytes(), numbers, 0, FOR)?;
        }
    }
    Ok(())
}

/// From now on the file names where the running image gets packages from.
pub(super) fn runtime_repositories(root: &mut Root, repositories: &[String]) -> Result<(), InstallError> {
    root.write(REPOSITORIES, sorted_lines(repositories), 0o644, FOR)?;
    Ok(())
}

/// Distinct lines in byte order, each with its line end; a bare line end if there are none.
fn sorted_lines(lines: &[String]) -> Vec<u8> {
    let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    lines.sort_unstable();
    lines.dedup();
    format!("{}\n", lines.join("\n")).into_bytes()
}
