//! The `assemble` program; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    assemble_cli::main()
}
