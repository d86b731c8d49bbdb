//! The links by which busybox is called, which its package leaves to a script.

use assemble_apk::PackageId;
use assemble_types::ImagePath;

use super::busybox_table;
use super::error::InstallError;
use super::recorded::Recorded;
use super::root::{Root, split};
use super::text::join_clean;
use crate::tree::Body;

const FOR: &str = "the links to busybox";
const BUSYBOX: &[u8] = b"/bin/busybox";
/// Such lists have a few kilobytes.
const LIST_LIMIT: u64 = 1 << 20;

/// Makes the links, and gives their folders busybox's time. Returns the package they were made for.
pub(super) fn link(
    root: &mut Root,
    installed: &[Recorded],
    version3: bool,
) -> Result<Option<PackageId>, InstallError> {
    let Some(busybox) = root.look_up(BUSYBOX)? else { return Ok(None) };
    let mtime = root.tree.node(busybox).meta.mtime;
    let package = provider(installed).ok_or(InstallError::BusyboxUnknown)?;
    for link in commands(root, &package.id, version3)? {
        if link.is_empty() || link == BUSYBOX {
            continue;
        }
        let path = ImagePath::parse(&link)
            .map_err(|source| InstallError::Path { what: "the list of busybox's commands".into(), source })?;
        let folder = root.make_folders(split(path.as_bytes()).0, 0o755, FOR)?;
        root.tree.node_mut(folder).meta.mtime = mtime;
        match root.entry(path.as_bytes())?.map(|id| &root.tree.node(id).body) {
            None => root.make_link(path.as_bytes(), BUSYBOX, FOR)?,
            Some(Body::Symlink(_) | Body::File(_)) => {}
            Some(_) => return Err(InstallError::IsAFolder { path, needed_by: FOR.into() }),
        }
    }
    Ok(Some(package.id.clone()))
}

/// The first package of that name, else the last that provides something with the name in it.
fn provider(installed: &[Recorded]) -> Option<&Recorded> {
    let provides = |package: &&Recorded| package.provides.iter().any(|name| name.contains("busybox"));
    installed
        .iter()
        .find(|package| package.id.name.as_str() == "busybox")
        .or_else(|| installed.iter().rev().find(provides))
}

/// The package's own list, else what its version is known to have. A name without a folder does not count. A version
/// that tells nothing is an error to apko; where packages of version 3 are, which apko does not know, it counts as new.
fn commands(root: &Root, package: &PackageId, version3: bool) -> Result<Vec<Vec<u8>>, InstallError> {
    let list = join_clean(b"etc/busybox-paths.d", package.name.as_str().as_bytes());
    let is_file = root.look_up(&list)?.is_some_and(|id| matches!(root.tree.node(id).body, Body::File(_)));
    if is_file && let Some(text) = root.read(&list, LIST_LIMIT, FOR)? {
        return Ok(text
            .split(|b| *b == b'\n')
            .filter(|link| link.contains(&b'/'))
            .map(<[u8]>::to_vec)
            .collect());
    }
    let version = match basic_version(package.version.as_str()) {
        Some(version) => version,
        None if version3 => "",
        None => return Err(InstallError::BusyboxVersion { package: package.clone() }),
    };
    Ok(busybox_table::links(version).into_iter().map(String::into_bytes).collect())
}

/// `1.36.1` of `1.36.1-r15` or `v1.36.1`; nothing for what looks otherwise.
fn basic_version(version: &str) -> Option<&str> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let (basic, rest) = version.split_once('-').map_or((version, None), |(a, b)| (a, Some(b)));
    let is_word =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let numbers: Vec<&str> = basic.split('.').collect();
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (numbers.len() == 3 && numbers.iter().all(is_number) && rest.is_none_or(is_word)).then_some(basic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (version, basic) in [
            ("1.36.1-r15", Some("1.36.1")),
            ("v1.2.3", Some("1.2.3")),
            ("1.36-r1", None),
            ("1.36.1-r1-x", None),
            ("1.36.1_git-r0", None),
            ("1.36.1-", None),
            ("", None),
        ] {
            assert_eq!(basic_version(version), basic, "{version}");
        }
    }

    #[test]
    fn the_table_shrinks_with_age() {
        let count = |version: &str| busybox_table::links(version).len();
        assert_eq!(count("1.36.0"), count("1.99.0"));
        assert_eq!(count("1.36.0") - count("1.35.0"), 3);
        assert_eq!(count("1.36.0") - count("1.34.0"), 4);
        assert_eq!(count("1.36.0") - count("1.33.2"), 5);
        assert_eq!(count("1.36.0") - count("1.32.1"), 6);
        let all = busybox_table::links("1.36.0");
        assert!(all.contains(&"/usr/bin/[[".to_owned()) && all.contains(&"/root/linuxrc".to_owned()));
        assert!(all.iter().is_sorted());
    }
}
