//! Running programs, and the Debian packages that the tests need.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Program or file that has to be there, and the Debian package that brings it.
const TOOLS: [(&str, &str); 15] = [
    ("docker-registry", "docker-registry"),
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
    ("runc", "runc"),
    ("podman", "podman"),
    ("dockerd", "docker.io"),
    ("openssl", "openssl"),
    ("python3", "python3"),
    ("git", "git"),
    ("curl", "curl"),
    ("zstd", "zstd"),
    ("qemu-x86_64-static", "qemu-user-static"),
    ("valgrind", "valgrind"),
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("/usr/aarch64-linux-gnu/include/stdlib.h", "libc6-dev-arm64-cross"),
];

/// Writes one line for people.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap_or_else(|_| PathBuf::from("."))
}

/// Runs a command from the workspace's root and shows it first.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let shown = words.join(" ");
    say(&format!("+ {shown}"));
    let status = command.current_dir(root()).status().map_err(|e| format!("{shown}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Whether a program is installed, or a file is there.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|dir| dir.join(program).is_file())
}

/// Installs the missing tools where that is allowed, and names them where it is not.
pub(crate) fn test_tools() {
    let missing: Vec<&str> =
        TOOLS.iter().filter(|(program, _)| !on_path(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return;
    }
    let list = missing.join(" ");
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n");
    if !(root && on_path("apt-get")) {
        say(&format!("xtask: tests that need these Debian packages will be skipped: {list}"));
        say(&format!("xtask: to run them too: sudo apt-get install --no-install-recommends {list}"));
        return;
    }
    let apt = |args: &[&str]| {
        run(Command::new("apt-get")
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::null()))
    };
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(&missing);
    if let Err(error) = apt(&["update"]).and_then(|()| apt(&install)) {
        say(&format!("xtask: {error}; tests that need {list} will be skipped"));
    }
}
