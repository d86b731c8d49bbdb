//! The database of installed packages, their scripts and their triggers.

use assemble_apk::{InstalledPackage, Package, installed_db};
use assemble_types::Timestamp;

use super::InstallInput;
use super::base_db::BaseDb;
use super::error::InstallError;
use super::recorded::{self, Recorded};
use super::root::Root;
use super::skeleton::{INSTALLED, SCRIPTS, TRIGGERS};
use super::unpack::Placed;
use super::ustar;

const FOR: &str = "the database of installed packages";

/// What the database holds.
pub(super) struct Written {
    /// The record of each package, in the order of installation.
    pub(super) records: Vec<Vec<u8>>,
    /// All packages, those of the base image first, as far as they can be read back.
    pub(super) installed: Vec<Recorded>,
}

/// Writes the three files.
pub(super) fn write(
    root: &mut Root,
    input: &InstallInput<'_>,
    placed: &Placed<'_>,
) -> Result<Written, InstallError> {
    let mut records = Vec::with_capacity(input.packages.len());
    for (i, package) in input.packages.iter().enumerate() {
        let package = InstalledPackage { package, entries: placed.kept(i) };
        records.push(installed_db::record(&package).map_err(|source| InstallError::Database { source })?);
    }
    let mut text = input.base.map(BaseDb::write).unwrap_or_default();
    for record in &records {
        text.extend_from_slice(record);
    }
    let installed = recorded::read(&text);
    root.write(INSTALLED, text, 0o644, FOR)?;
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
