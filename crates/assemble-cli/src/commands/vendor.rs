//! `assemble vendor`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use assemble::{Result, SpecFile, VendorReport};
use assemble_types::counted;

use super::Session;
use crate::args::VendorArgs;
use crate::{json, settings, summary};

pub(crate) fn run(args: &VendorArgs) -> ExitCode {
    let session = Session::new(&args.report);
    let result = vendor(args, &session);
    session.end(result.map(|report| if args.report.json { json::vendor(&report) } else { String::new() }))
}

fn vendor(args: &VendorArgs, session: &Session) -> Result<VendorReport> {
    let spec = args.spec.as_deref().map(spec_of);
    let file = SpecFile::load(spec.as_deref())?;
    let options = settings::build_options(&args.input, &[])?;
    let http = settings::http(&args.network.registry)?;
    let observer = session.observer();
    let env = settings::env(&args.network, None, &http, &observer)?;
    let report = assemble::vendor(&file, &options, &env, &args.output)?;
    let packages = counted(report.packages, "package", "packages");
    let (indexes, size) = (counted(report.indexes, "index", "indexes"), summary::size(report.size));
    session.tell(&format!(
        "{}: {packages} ({size}), {indexes}\nbuild from it: assemble build --offline {} --vendor {}",
        report.folder.display(),
        file.shown,
        report.folder.display()
    ));
    Ok(report)
}

/// The spec that a lock belongs to lies beside it.
fn spec_of(named: &Path) -> PathBuf {
    if named.extension().is_none_or(|extension| extension != "lock") {
        return named.to_owned();
    }
    let candidates = ["yaml", "yml"].map(|extension| named.with_extension(extension));
    candidates.iter().find(|candidate| candidate.is_file()).unwrap_or(&candidates[0]).clone()
}
