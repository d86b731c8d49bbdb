//! `assemble check`

use std::fmt::Write as _;
use std::process::ExitCode;

use assemble::{Result, SpecFile};

use super::Session;
use crate::args::CheckArgs;
use crate::{json, settings};

pub(crate) fn run(args: &CheckArgs) -> ExitCode {
    let session = Session::new(&args.report);
    let result = check(args, &session);
    session.end(result)
}

fn check(args: &CheckArgs, session: &Session) -> Result<String> {
    let file = SpecFile::load(args.spec.as_deref())?;
    let options = settings::build_options(&args.input, &[])?;
    let report = assemble::check(&file, &options, session.observer().as_ref())?;
    if args.report.json {
        return Ok(json::check(&report));
    }
    let platforms: Vec<String> = report.platforms.iter().map(ToString::to_string).collect();
    let mut text = format!("{}: no mistakes, for {}", file.shown, platforms.join(", "));
    if !report.start_checked {
        let _ = write!(text, " (whether it can start is seen when its packages are there: assemble build)");
    }
    session.tell(&text);
    Ok(String::new())
}
