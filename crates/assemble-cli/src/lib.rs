//! The `assemble` command: arguments, environment, terminal, exit codes.
//!
//! **In:** `argv` and the environment. **Out:** an exit code, one answer on standard output, all else on standard error.
//! **Never:** decides anything about images; everything it does is a call of the library `assemble`.
//!
//! # Why it is the way it is
//! A library with one function, so that the shipped program and the test build with planted faults are the same code.

mod apko;
mod args;
mod cache_args;
mod commands;
mod json;
mod network_args;
mod output;
mod render;
mod settings;
mod signals;
mod summary;
mod terminal;
mod values;

use std::process::ExitCode;

/// Runs the command to its exit code.
pub fn main() -> ExitCode {
    assemble::make_room_for_files();
    signals::install();
    args::run()
}
