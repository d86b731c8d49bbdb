//! The `assemble` command: arguments, environment, terminal, exit codes. Everything it does is a library call.

mod args;
mod commands;
mod json;
mod output;
mod render;
mod settings;
mod signals;
mod summary;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    signals::install();
    args::run()
}
