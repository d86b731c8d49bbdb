//! `assemble digest`

use std::process::ExitCode;

use assemble::{Result, SpecFile};

use super::Session;
use crate::args::DigestArgs;
use crate::{json, settings};

pub(crate) fn run(args: &DigestArgs) -> ExitCode {
    let session = Session::new(&args.look.report);
    let result = digest(args, &session);
    session.end(result)
}

fn digest(args: &DigestArgs, session: &Session) -> Result<String> {
    let file = SpecFile::load(args.spec.as_deref())?;
    let options = settings::with_lock(settings::build_options(&args.look.input, &[])?, &args.lock);
    let options = settings::with_compression(options, &args.compression);
    let http = settings::http(&args.look.network.registry)?;
    let mut env = settings::env_fetching(args.fetch, &args.look.network, None, &http, &session.observer())?;
    env.program = settings::program();
    let built = assemble::build(&file, &options, &env)?;
    Ok(if args.look.report.json { json::digest(&built) } else { built.set.digest().to_string() })
}
