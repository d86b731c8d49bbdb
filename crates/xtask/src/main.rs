//! Not shipped: the commands of a developer's day. `cargo xtask` lists them.

mod arm64;
mod cost;
mod host;
mod steps;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask COMMAND

  first-image   builds assemble and the example service, and makes the first image: out/hello.oci
  hello         builds only the example service, static, to bin/hello
  test [ARG…]   installs what the tests need (or names it) and runs them all; arguments go to `cargo test`
  arm64         compares the golden digests of layers on an emulated arm64
  cost          counts instructions of fixed work and compares them with benches/cost.txt; --update writes it anew
  check         formatting, lints, documentation, dependency rules
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.first().map(String::as_str) {
        Some("first-image") => steps::first_image(),
        Some("hello") => steps::hello().map(drop),
        Some("test") => steps::test(&args[1..]),
        Some("arm64") => arm64::compare(true),
        Some("cost") => cost::guard(args.iter().any(|arg| arg == "--update")),
        Some("check") => steps::check(),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            host::say(&message);
            ExitCode::FAILURE
        }
    }
}
