//! What the commands do.

use std::path::PathBuf;
use std::process::Command;

use crate::host::{cargo, root, run, say, test_tools};
use crate::{arm64, cost};

/// Version of cargo-deny that `check` installs where none is there.
const CARGO_DENY: &str = "0.20.2";

pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The host's target triple, as the compiler names it.
fn host_triple() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|e| format!("rustc: {e}"))?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .ok_or_else(|| "rustc -vV names no host".to_owned())
}

/// Builds the example service as a static binary and puts it where the examples expect it.
///
/// The triple is named although it is the host's own: only then do the flags stay away from build scripts.
pub(crate) fn hello() -> Result<PathBuf, String> {
    let triple = host_triple()?;
    let flags = format!("-C target-feature=+crt-static --remap-path-prefix={}=.", root().display());
    run(cargo()
        .args(["build", "--release", "--package", "hello", "--target", &triple])
        .env("RUSTFLAGS", flags))?;
    let built = target_dir().join(triple).join("release/hello");
    let bin = root().join("bin");
    let place = bin.join("hello");
    // Written beside and renamed: a test may be reading the old one.
    let fresh = bin.join(format!(".hello.{}", std::process::id()));
    let put = || {
        std::fs::create_dir_all(&bin)?;
        std::fs::copy(&built, &fresh)?;
        std::fs::rename(&fresh, &place)
    };
    put().map_err(|e| format!("{}: {e}", place.display()))?;
    Ok(place)
}

/// From a clone to the first image.
pub(crate) fn first_image() -> Result<(), String> {
    say("xtask: compiling; this takes some minutes on two cores");
    run(cargo().args(["build", "--release", "--package", "assemble-cli"]))?;
    hello()?;
    let assemble = target_dir().join("release/assemble");
    let bin = root().join("bin/assemble");
    let _ = std::fs::remove_file(&bin);
    std::fs::copy(&assemble, &bin).map_err(|e| format!("{}: {e}", bin.display()))?;
    run(Command::new(&bin).args(["build", "configs/hello.yaml", "-o", "out/hello.oci"]))?;
    say("xtask: the tool is bin/assemble, the image is out/hello.oci");
    Ok(())
}

/// All tests, with the programs they need.
pub(crate) fn test(arguments: &[String]) -> Result<(), String> {
    test_tools();
    hello()?;
    run(cargo().args(["test", "--workspace"]).args(arguments))?;
    arm64::compare(false)?;
    cost::guard(false)
}

/// Everything that is checked without running the product.
pub(crate) fn check() -> Result<(), String> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(cargo().args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    run(cargo().args(["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    if cargo().args(["deny", "--version"]).output().is_ok_and(|o| !o.status.success()) {
        run(cargo().args(["install", "--quiet", "--locked", "cargo-deny", "--version", CARGO_DENY]))?;
    }
    run(cargo().args(["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]))
}
