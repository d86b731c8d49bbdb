//! `assemble login`

use std::io::Read as _;
use std::process::ExitCode;

use assemble::Result;

use super::Session;
use crate::args::LoginArgs;
use crate::{json, settings};

/// Longest password or token.
const MAX_PASSWORD: u64 = 64 * 1024;

pub(crate) fn run(args: &LoginArgs) -> ExitCode {
    let session = Session::new(&args.report);
    let result = login(args, &session);
    session.end(result)
}

fn login(args: &LoginArgs, session: &Session) -> Result<String> {
    let mut password = String::new();
    std::io::stdin().take(MAX_PASSWORD).read_to_string(&mut password).map_err(assemble::stdin_error)?;
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(assemble::usage_error("no password came in on standard input"));
    }
    let http = settings::http(&args.registry)?;
    let registry = settings::registry(&args.registry, &http, &session.observer());
    registry.login(&args.host, &args.username, password)?;
    session.tell(&format!("logged in to {} as {}", args.host, args.username));
    Ok(if args.report.json { json::login(&args.host) } else { String::new() })
}
