//! Layers have the same digests on arm64: their golden tests, compiled for it and emulated.

use std::process::Command;

use crate::host::{cargo, on_path, run, say};

const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";
const EMULATOR: &str = "qemu-aarch64-static";
/// Where the libraries are that the program is linked with.
const ROOT: &str = "/usr/aarch64-linux-gnu";

/// Runs the tests, or says why not. With `get`, the library for the target is installed if it is missing: compiling for it
/// takes minutes, so those who only want all tests are not made to.
pub(crate) fn compare(get: bool) -> Result<(), String> {
    for (program, package) in [(LINKER, "gcc-aarch64-linux-gnu"), (EMULATOR, "qemu-user-static")] {
        if !on_path(program) {
            say(&format!("SKIPPED: arm64: {program} is not installed ({package})"));
            return Ok(());
        }
    }
    if !has_library(get) {
        say(&format!("SKIPPED: arm64: this toolchain has no library for {TARGET}: cargo xtask arm64"));
        return Ok(());
    }
    let key = TARGET.to_uppercase().replace('-', "_");
    run(cargo()
        .args(["test", "--quiet", "--package", "assemble-layer", "--test", "it", "--target", TARGET])
        .args(["--", "golden::"])
        .env(format!("CARGO_TARGET_{key}_LINKER"), LINKER)
        .env(format!("CARGO_TARGET_{key}_RUNNER"), format!("{EMULATOR} -L {ROOT}"))
        .env(format!("CC_{}", TARGET.replace('-', "_")), LINKER)
        .env("ASSEMBLE_TEST_EMULATED", "1")
        .env_remove("UPDATE_EXPECT"))
}

/// Whether the standard library for the target is there, or can be had.
fn has_library(get: bool) -> bool {
    let there = || {
        let found = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
        found.is_ok_and(|output| {
            let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            std::fs::read_dir(folder).is_ok_and(|mut files| files.next().is_some())
        })
    };
    there() || (get && run(Command::new("rustup").args(["target", "add", TARGET])).is_ok() && there())
}
