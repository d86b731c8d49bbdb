//! The database of installed packages, their scripts and their triggers.

use assemble_apk::{InstalledPackage, Package, installed_db};
use assemble_types::Timestamp;

use super::InstallInput;
use super::error::InstallError;
use super::root::Root;
use super::skeleton::{INSTALLED, SCRIPTS, TRIGGERS};
use super::text::MAX_LINE;
use super::unpack::Placed;
use super::ustar;

const FOR: &str = "the database of installed packages";

/// Writes the three files. Returns how many packages can be read back from the database, which is what apko goes by
/// from here on.
pub(super) fn write(
    root: &mut Root,
    input: &InstallInput<'_>,
    placed: &Placed<'_>,
) -> Result<usize, InstallError> {
    let packages: Vec<_> = input.packages.iter().enumerate().collect();
    let records: Vec<_> =
        packages.iter().map(|(i, package)| InstalledPackage { package, entries: placed.kept(*i) }).collect();
    let text = installed_db::write(&records).map_err(|source| InstallError::Database { source })?;
    let readable = readable(&text);
    root.write(INSTALLED, text, 0o644, FOR)?;
    let time = input.source_date_epoch.or(input.build_date).unwrap_or_default();
    root.write(SCRIPTS, scripts(input.packages, time), 0o644, FOR)?;
    root.write(TRIGGERS, triggers(input.packages), 0o644, FOR)?;
    Ok(readable)
}

/// How many records are read back: reading ends without a word at the first line that is too long.
fn readable(text: &[u8]) -> usize {
    text.split(|b| *b == b'\n').take_while(|line| line.len() <= MAX_LINE).filter(|line| line.is_empty()).count()
        // What follows the last line end is not a line.
        - usize::from(text.split(|b| *b == b'\n').all(|line| line.len() <= MAX_LINE))
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

/// The time of what is made for this build: as asked for, else the newest package's, but not before the build date.
pub(super) fn build_date_epoch(
    input: &InstallInput<'_>,
    readable: &[Package],
) -> Result<Timestamp, InstallError> {
    if let Some(asked) = input.source_date_epoch {
        return Ok(asked);
    }
    let mut newest = input.build_date.unwrap_or_default();
    for package in readable {
        let built = Timestamp::from_seconds(package.info.build_time)
            .map_err(|source| InstallError::BuildTime { package: package.id(), source })?;
        newest = newest.max(built);
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_hides_what_follows() {
        let long = "x".repeat(MAX_LINE - 2);
        assert_eq!(readable(b""), 0);
        assert_eq!(readable(b"P:a\n\nP:b\n\n"), 2);
        assert_eq!(readable(format!("P:a\n\nP:b\np:{long}\n\nP:c\n\n").as_bytes()), 3);
        assert_eq!(readable(format!("P:a\n\nP:b\np:{long}x\n\nP:c\n\n").as_bytes()), 1);
    }
}
