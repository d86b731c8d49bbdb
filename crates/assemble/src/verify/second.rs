//! The second build: the same program, everything around it different.

use std::path::Path;
use std::process::Command;

use assemble_apk::Trust;
use assemble_types::Kind;
use tempfile::TempDir;

use super::VerifyOptions;
use crate::error::{OwnError, Result};
use crate::image_set::ImageSet;
use crate::lock::LockUse;
use crate::plan::StartCheck;
use crate::spec_file::SpecFile;
use crate::time::Created;

/// What the second build made. The folder goes when this does.
#[derive(Debug)]
pub(super) struct Second {
    pub(super) set: ImageSet,
    _folder: TempDir,
}

/// Variables that say how to reach the world, or what time it is for this build: they are inputs and stay.
const KEPT: [&str; 24] = [
    "PATH",
    "SOURCE_DATE_EPOCH",
    "ASSEMBLE_PLANT",
    "ASSEMBLE_ALPINE_RELEASES",
    "HTTP_AUTH",
    "NETRC",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "DOCKER_CONFIG",
    "DOCKER_AUTH_CONFIG",
    "REGISTRY_AUTH_FILE",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_COUNT",
    "LLVM_PROFILE_FILE",
];

/// Builds the spec in a new process under other circumstances.
pub(super) fn build_anew(file: &SpecFile, options: &VerifyOptions) -> Result<Second> {
    let folder = tempfile::Builder::new()
        .prefix("assemble-verify-")
        .tempdir()
        .map_err(OwnError::io(std::env::temp_dir(), "cannot hold a temporary folder"))?;
    let at = |name: &str| folder.path().join(name);
    for name in ["home", "work"] {
        std::fs::create_dir(at(name)).map_err(OwnError::io(at(name), "cannot be made"))?;
    }
    let shown = Path::new(&file.shown);
    let spec = std::path::absolute(shown).map_err(OwnError::io(shown, "has no absolute path"))?;
    let threads = if options.threads.get() == 1 { 2 } else { 1 };
    let mut command = Command::new(&options.program);
    command.arg("build").arg(&spec).arg("--output").arg(format!("oci:{}", at("image").display()));
    command.args(["--quiet", "--rebuild", "--threads", &threads.to_string()]);
    if !options.network.iter().any(|argument| argument == "--offline") {
        command.arg("--cache-dir").arg(at("cache"));
    }
    command.args(&options.network).args(build_arguments(options));
    if let Some(folder) = &options.build.vendor {
        let folder = std::path::absolute(folder).map_err(OwnError::io(folder, "has no absolute path"))?;
        command.arg("--vendor").arg(folder);
    }
    command.current_dir(at("work")).env_clear();
    for name in KEPT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    // Passwords come from this user's file, whatever home the build has.
    let netrc = std::env::var_os("HOME").map(|home| Path::new(&home).join(".netrc"));
    if let Some(netrc) = netrc.filter(|path| path.is_file() && std::env::var_os("NETRC").is_none()) {
        command.env("NETRC", netrc);
    }
    command
        .env("HOME", at("home"))
        .env("TZ", "Pacific/Kiritimati")
        .env("LANG", "tr_TR.UTF-8")
        .env("LC_ALL", "tr_TR.UTF-8");
    let output =
        with_other_umask(|| command.output()).map_err(OwnError::io(&options.program, "cannot be started"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(OwnError::SecondBuild { said, kind: kind_of(output.status.code()) }.into());
    }
    let set = ImageSet::open(&at("image").display().to_string())?;
    Ok(Second { set, _folder: folder })
}

fn build_arguments(options: &VerifyOptions) -> Vec<String> {
    let mut arguments = Vec::new();
    for platform in &options.build.platforms {
        arguments.extend(["--platform".to_owned(), platform.to_string()]);
    }
    arguments.extend(["--compression".to_owned(), options.build.compression.to_string()]);
    if options.build.created == Created::Commit {
        arguments.push("--created=commit".into());
    }
    match options.build.start_check {
        StartCheck::Refuse => {}
        StartCheck::Warn => arguments.push("--start-check=warn".into()),
        StartCheck::Off => arguments.push("--start-check=off".into()),
    }
    if options.build.trust == Trust::AllowUntrusted {
        arguments.push("--allow-untrusted".into());
    }
    // Whoever verifies changes nothing.
    arguments.push("--keep-lock".into());
    match &options.build.lock {
        LockUse::Beside => {}
        LockUse::Locked => arguments.push("--locked".into()),
        LockUse::Ignore => arguments.push("--ignore-lock".into()),
    }
    arguments
}

/// A child inherits the umask of its parent, so ours is another one while it is started and run.
fn with_other_umask<T>(work: impl FnOnce() -> T) -> T {
    let strict = rustix::fs::Mode::from_raw_mode(0o077);
    let usual = rustix::process::umask(strict);
    if usual == strict {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    }
    let result = work();
    rustix::process::umask(usual);
    result
}

fn kind_of(code: Option<i32>) -> Kind {
    const KINDS: [Kind; 10] = [
        Kind::Usage,
        Kind::Spec,
        Kind::Unsolvable,
        Kind::Integrity,
        Kind::Unavailable,
        Kind::Denied,
        Kind::Mismatch,
        Kind::Host,
        Kind::WouldNotStart,
        Kind::Interrupted,
    ];
    KINDS.into_iter().find(|kind| code == Some(i32::from(kind.exit_code()))).unwrap_or(Kind::Bug)
}
