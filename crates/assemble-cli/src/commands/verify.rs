//! `assemble verify`

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use assemble::{Result, SpecFile, VerifyOptions, VerifyReport};

use super::Session;
use crate::args::VerifyArgs;
use crate::render::printable_line;
use crate::{json, output, settings};

pub(crate) fn run(args: &VerifyArgs) -> ExitCode {
    let session = Session::new(&args.report);
    let report = match verify(args, &session) {
        Ok(report) => report,
        Err(error) => return session.fail(&error, None),
    };
    let document = json::verify(&report);
    let mut text = String::from("signatures of the image were not looked for, only its contents\n");
    let _ = writeln!(text, "{}: {}", printable_line(&report.target), report.outcome.name());
    for difference in &report.differences {
        let _ = writeln!(text, "  {}", printable_line(difference));
    }
    for hint in &report.hints {
        let _ = writeln!(text, "  help: {}", printable_line(hint));
    }
    session.terminal.clear();
    match report.error() {
        None => {
            session.tell(&text);
            let answer = if args.report.json { json::finish(document) } else { report.found.to_string() };
            session.end(Ok(answer))
        }
        Some(error) => {
            output::tell(&text);
            session.fail(&error, Some(&document))
        }
    }
}

fn verify(args: &VerifyArgs, session: &Session) -> Result<VerifyReport> {
    let target = args.target.as_deref().unwrap_or(assemble::DEFAULT_SPEC);
    if args.spec.is_none() && assemble::is_image(target) {
        return Err(assemble::verify_without_spec(target));
    }
    let http = settings::http(&args.network.registry)?;
    let observer = session.observer();
    let build = settings::with_lock(settings::build_options(&args.input, &[])?, &args.lock);
    let options = VerifyOptions {
        program: std::env::current_exe().map_err(assemble::own_program_error)?,
        build: settings::with_compression(build, &args.compression),
        expected: args.digest.clone(),
        network: args.network.arguments(),
        threads: settings::default_threads(),
    };
    match &args.spec {
        None => {
            let file = SpecFile::load(Some(Path::new(target)))?;
            let env = settings::env(&args.network, None, &http, &observer)?;
            assemble::verify_spec(&file, &options, &env)
        }
        Some(spec) => {
            let file = SpecFile::load(Some(spec))?;
            let registry = settings::registry_unless_offline(&args.network, &http, &observer);
            assemble::verify_image(target, &file, &options, registry.as_ref())
        }
    }
}
