//! The program with planted faults compiled in, for the test that `verify` finds them. Not shipped.

use std::process::ExitCode;

fn main() -> ExitCode {
    assemble_cli::main()
}
