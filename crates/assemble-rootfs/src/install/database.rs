//! The database of installed packages, their scripts and their triggers.

use std::ops::Range;
use std::sync::Arc;

use assemble_apk::{InstalledPackage, Package, installed_db};
use assemble_types::{Blob, ReadAt, Timestamp};

use super::InstallInput;
use super::base_db::BaseDb;
use super::error::InstallError;
use super::recorded::{self, Recorded};
use super::root::Root;
use super::skeleton::{INSTALLED, SCRIPTS, TRIGGERS};
use super::unpack::Placed;
use super::ustar;
use crate::tree::PackageIndex;

const FOR: &str = "the database of installed packages";

/// About what a record takes beside its entries, and an entry beside its name, in bytes.
const HEADER: usize = 1 << 10;
const ENTRY: usize = 40;

/// The records of packages in the database of installed packages, in the order of installation. They are its own bytes.
#[derive(Debug, Clone, Default)]
pub struct DatabaseRecords {
    text: Arc<Vec<u8>>,
    ranges: Vec<Range<usize>>,
}

impl DatabaseRecords {
    /// The record of a package; an empty one if there is none.
    pub fn get(&self, package: PackageIndex) -> &[u8] {
        let range = self.ranges.get(package.0 as usize).cloned();
        range.and_then(|range| self.text.get(range)).unwrap_or_default()
    }
}

/// What the database holds.
pub(super) struct Written {
    /// The packages' records.
    pub(super) records: DatabaseRecords,
    /// All packages, those of the base image first, as far as they can be read back.
    pub(super) installed: Vec<Recorded>,
}

/// Writes the three files.
pub(super) fn write(
    root: &mut Root,
    input: &InstallInput<'_>,
    placed: &Placed<'_>,
) -> Result<Written, InstallError> {
    let mut text = input.base.map(BaseDb::write).unwrap_or_default();
    // More than most need; what is not used is given back.
    let entries = input.packages.iter().flat_map(|package| &package.entries);
    let names = entries.map(|entry| entry.path.file_name().map_or(0, <[u8]>::len) + ENTRY);
    text.reserve_exact(names.sum::<usize>() + input.packages.len() * HEADER);
    let mut ranges = Vec::with_capacity(input.packages.len());
    for (i, package) in input.packages.iter().enumerate() {
        let start = text.len();
        let package = InstalledPackage { package, entries: placed.kept(i, &package.entries) };
        installed_db::record(&mut text, &package).map_err(|source| InstallError::Database { source })?;
        ranges.push(start..text.len());
    }
    text.shrink_to_fit();
    let installed = recorded::read(&text);
    let text = Arc::new(text);
    let blob = Blob::new(Arc::clone(&text) as Arc<dyn ReadAt>, text.len() as u64);
    let records = DatabaseRecords { text, ranges };
    root.write_blob(INSTALLED, blob, 0o644, FOR)?;
    let time = input.source_date_epoch.or(input.build_date).unwrap_or_default();
    root.write(SCRIPTS, scripts(input.packages, time), 0o644, FOR)?;
    root.write(TRIGGERS, triggers(input.packages), 0o644, FOR)?;
    Ok(Written { records, installed })
}

/// The scripts of all packages as one archive. They are kept, never run.
fn scripts(packages: &[Package], time: Timestamp) -> Vec<u8> {
    let mut out = Vec::new();
    for package in packages {
        let id = package.id();
        for entry in &package.control_entries {
            if entry.name == ".PKGINFO" || entry.mode.bits() & 0o555 != 0o555 {
                continue;
            }
            let name = format!(
                "{}-{}.{}{}",
                id.name.as_str(),
                id.version.as_str(),
                package.checksum.short(),
                entry.name
            );
            ustar::append(&mut out, name.as_bytes(), entry, time.seconds());
        }
    }
    out.resize(out.len() + 1024, 0);
    out
}

fn triggers(packages: &[Package]) -> Vec<u8> {
    let lines =
        packages.iter().flat_map(|p| p.info.triggers.iter().map(|t| format!("{} {t}\n", p.checksum.short())));
    lines.collect::<String>().into_bytes()
}

/// The time of what is made for this build: the fixed one, else the newest package's, but not before `not_before`.
pub(super) fn build_date_epoch(
    fixed: Option<Timestamp>,
    not_before: Option<Timestamp>,
    installed: &[Recorded],
) -> Result<Timestamp, InstallError> {
    if let Some(fixed) = fixed {
        return Ok(fixed);
    }
    let mut newest = not_before.unwrap_or_default();
    // A record without a time has one long before any that can be.
    for package in installed.iter().filter(|package| package.build_time > 0) {
        let built = Timestamp::from_seconds(package.build_time)
            .map_err(|source| InstallError::BuildTime { package: package.id.clone(), source })?;
        newest = newest.max(built);
    }
    Ok(newest)
}
