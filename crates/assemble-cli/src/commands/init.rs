//! `assemble init`

use std::process::ExitCode;

use crate::args::InitArgs;
use crate::output;

pub(crate) fn run(args: &InitArgs) -> ExitCode {
    match assemble::init(&args.binary, &args.output) {
        Ok(()) => {
            output::tell(&format!("wrote {0}; next: assemble build {0}", args.output.display()));
            ExitCode::SUCCESS
        }
        Err(error) => output::failure(&error, false, None),
    }
}
