//! `assemble packages`

use std::fmt::Write as _;
use std::process::ExitCode;

use assemble::{ChosenPackages, Result};
use assemble_types::counted;

use super::{Session, chosen};
use crate::args::PackagesArgs;
use crate::json;
use crate::render::printable_line;
use crate::summary::size;

pub(crate) fn run(args: &PackagesArgs) -> ExitCode {
    let session = Session::new(&args.look.report);
    let result = packages(args, &session);
    session.end(result)
}

fn packages(args: &PackagesArgs, session: &Session) -> Result<String> {
    let all = chosen(args.spec.as_deref(), &args.look, session)?;
    if args.look.report.json {
        return Ok(json::packages(&all));
    }
    let tables: Vec<String> = all.iter().map(table).collect();
    Ok(tables.join("\n"))
}

fn table(one: &ChosenPackages) -> String {
    let head = ["PACKAGE", "VERSION", "DOWNLOAD", "INSTALLED", "ORIGIN", "LICENCE"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(one.packages.iter().map(|package| {
        let tag = package.tag.as_ref().map(|tag| format!("@{tag}")).unwrap_or_default();
        [
            printable_line(&format!("{}{tag}", package.name)),
            printable_line(&package.version),
            size(package.size),
            size(package.installed_size),
            printable_line(&package.origin),
            printable_line(&package.license),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3), width(4)];
    let sum =
        |of: fn(&assemble::ChosenPackage) -> u64| one.packages.iter().map(of).fold(0, u64::saturating_add);
    let mut out = format!("{}: {}, ", one.platform, counted(one.packages.len(), "package", "packages"));
    let _ =
        writeln!(out, "{} to download, {} installed", size(sum(|p| p.size)), size(sum(|p| p.installed_size)));
    for [name, version, download, installed, origin, licence] in &rows {
        let line = format!(
            "{name:<0$}  {version:<1$}  {download:>2$}  {installed:>3$}  {origin:<4$}  {licence}",
            widths[0], widths[1], widths[2], widths[3], widths[4]
        );
        let _ = writeln!(out, "  {}", line.trim_end());
    }
    out
}
