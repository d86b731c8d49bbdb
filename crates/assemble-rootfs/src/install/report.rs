//! What is worth telling about an installation.

use assemble_apk::{ControlEntry, PackageId};

use super::InstallInput;
use super::error::InstallError;
use super::root::Root;
use super::scripts::{self, Image};

/// Scripts of one package that its package manager would have run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptNotRun {
    /// The package.
    pub package: PackageId,
    /// Their names, such as `post-install`, in the package's order.
    pub scripts: Vec<String>,
    /// What the image lacks because of that, and how to get it: one sentence each. Nothing if all that they do is done
    /// here anyway (links to busybox, the loader's cache) or is there already.
    pub missing: Vec<String>,
}

impl ScriptNotRun {
    /// Whether the image has all that the scripts would have made.
    pub fn reproduced(&self) -> bool {
        self.missing.is_empty()
    }
}

/// What is worth telling about an installation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstallReport {
    /// Scripts are never run; these would have been.
    pub scripts_not_run: Vec<ScriptNotRun>,
    /// For people, in the order they were found.
    pub warnings: Vec<String>,
}

/// What the installation does itself of what scripts do.
pub(super) struct Done {
    /// The package whose links to busybox were made.
    pub(super) busybox: Option<PackageId>,
    /// Whether the loader's cache was made.
    pub(super) loader_cache: bool,
}

/// The scripts that count when a package comes into an empty image; those for upgrades and removal do not.
const AT_INSTALL: [&str; 3] = ["pre-install", "post-install", "trigger"];

pub(super) fn of(root: &Root, input: &InstallInput<'_>, done: &Done) -> Result<InstallReport, InstallError> {
    let mut report = InstallReport::default();
    let image = Image::of(root, done)?;
    for package in input.packages {
        let entries: Vec<(&str, &ControlEntry)> =
            package.control_entries.iter().filter_map(|e| Some((script(e)?, e))).collect();
        if entries.is_empty() {
            continue;
        }
        let mut missing = Vec::new();
        for (name, entry) in &entries {
            let watched = if *name == "trigger" { package.info.triggers.as_slice() } else { &[] };
            if *name == "trigger" && !image.has_any(watched)? {
                continue;
            }
            for sentence in scripts::missing(name, &entry.content, &package.id(), &image)? {
                if !missing.contains(&sentence) {
                    missing.push(sentence);
                }
            }
        }
        let scripts = entries.into_iter().map(|(name, _)| name.to_owned()).collect();
        report.scripts_not_run.push(ScriptNotRun { package: package.id(), scripts, missing });
    }
    for path in ["/etc/passwd", "/etc/group", "/etc/os-release"] {
        if input.base.is_none() && root.look_up(path.as_bytes())?.is_none() {
            report.warnings.push(format!("no package brings {path}"));
        }
    }
    Ok(report)
}

/// The name of a script that would run now.
fn script(entry: &ControlEntry) -> Option<&str> {
    entry.name.strip_prefix('.').filter(|name| AT_INSTALL.contains(name))
}
