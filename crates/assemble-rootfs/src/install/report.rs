//! What is worth telling about an installation.

use assemble_apk::{ControlEntry, Package, PackageId};

use super::error::InstallError;
use super::root::Root;

/// Scripts of one package that its package manager would have run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptNotRun {
    /// The package.
    pub package: PackageId,
    /// Their names, such as `post-install`, in the package's order.
    pub scripts: Vec<String>,
    /// Whether what they do is done here anyway: links to busybox, the loader's cache.
    pub reproduced: bool,
}

/// What is worth telling about an installation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstallReport {
    /// Scripts are never run; these would have been.
    pub scripts_not_run: Vec<ScriptNotRun>,
    /// For people, in the order they were found.
    pub warnings: Vec<String>,
}

/// The scripts that count when a package comes into an empty image; those for upgrades and removal do not.
const AT_INSTALL: [&str; 3] = ["pre-install", "post-install", "trigger"];

pub(super) fn of(
    root: &Root,
    packages: &[Package],
    busybox: Option<usize>,
    loader_cache: bool,
) -> Result<InstallReport, InstallError> {
    let mut report = InstallReport::default();
    for (index, package) in packages.iter().enumerate() {
        let entries: Vec<&ControlEntry> =
            package.control_entries.iter().filter(|e| script(e).is_some()).collect();
        if !entries.is_empty() {
            let done = busybox == Some(index)
                || (loader_cache && entries.iter().all(|entry| only_calls_ldconfig(&entry.content)));
            report.scripts_not_run.push(ScriptNotRun {
                package: package.id(),
                scripts: entries.into_iter().filter_map(script).map(str::to_owned).collect(),
                reproduced: done,
            });
        }
    }
    for path in ["/etc/passwd", "/etc/group", "/etc/os-release"] {
        if root.look_up(path.as_bytes())?.is_none() {
            report.warnings.push(format!("no package brings {path}"));
        }
    }
    Ok(report)
}

/// The name of a script that would run now.
fn script(entry: &ControlEntry) -> Option<&str> {
    entry.name.strip_prefix('.').filter(|name| AT_INSTALL.contains(name))
}

/// Whether a script does nothing but have the loader's cache made.
fn only_calls_ldconfig(script: &[u8]) -> bool {
    let text = String::from_utf8_lossy(script);
    let mut commands = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("set -"))
        .filter(|line| *line != "exit 0")
        .peekable();
    commands.peek().is_some()
        && commands.all(|line| {
            let line = line.strip_prefix("exec ").unwrap_or(line);
            matches!(line, "ldconfig" | "/sbin/ldconfig" | "/usr/sbin/ldconfig" | "/sbin/ldconfig || :")
        })
}

#[cfg(test)]
mod tests {
    use super::only_calls_ldconfig;

    #[test]
    fn scripts_that_the_cache_stands_for() {
        assert!(only_calls_ldconfig(b"#!/bin/sh\nset -e\n\n/sbin/ldconfig\nexit 0\n"));
        assert!(!only_calls_ldconfig(b"#!/bin/sh\nldconfig\nrm -rf /tmp/x\n"));
        assert!(!only_calls_ldconfig(b"#!/bin/sh\nldconfig; adduser x\n"));
        assert!(!only_calls_ldconfig(b"#!/bin/sh\nexit 0\n"));
    }
}
