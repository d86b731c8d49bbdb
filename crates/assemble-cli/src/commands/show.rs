//! `assemble show` and `assemble schema`

use std::process::ExitCode;

use assemble::{EffectiveSpec, SpecFile};

use super::Session;
use crate::args::ShowArgs;
use crate::output;

pub(crate) fn run(args: &ShowArgs) -> ExitCode {
    let session = Session::new(&args.report);
    let shown = SpecFile::load(args.spec.as_deref()).map(|file| {
        let effective = EffectiveSpec::of(&file);
        if args.report.json { effective.json() } else { effective.yaml() }
    });
    session.end(shown)
}

pub(crate) fn schema() -> ExitCode {
    match output::answer(&assemble::json_schema()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output::failure(&assemble::stdout_error(error), false, None),
    }
}
