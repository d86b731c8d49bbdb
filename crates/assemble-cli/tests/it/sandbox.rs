//! A throw-away place to run the binary in, with nothing of the developer's environment.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

/// A temporary folder, and the variables that every run in it gets.
pub(crate) struct Sandbox {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// What a run said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The workspace's root.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The static example service; built on the first use if it is not at its place.
pub(crate) fn hello() -> &'static Path {
    static HELLO: OnceLock<PathBuf> = OnceLock::new();
    HELLO.get_or_init(|| {
        let place = workspace().join("bin/hello");
        if !place.is_file() {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let status = Command::new(cargo)
                .args(["run", "--quiet", "--package", "xtask", "--", "hello"])
                .env("CARGO_TARGET_DIR", workspace().join("target/hello"))
                .current_dir(workspace())
                .status()
                .unwrap();
            assert!(status.success(), "the example service does not build");
        }
        place
    })
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Sets a variable for all later runs.
    pub(crate) fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Writes a file, and the folders that lead to it.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Puts the example service into the folder.
    pub(crate) fn with_hello(self) -> Self {
        fs::copy(hello(), self.path("hello")).unwrap();
        self
    }

    /// A command of the binary with a clean environment.
    pub(crate) fn command<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assemble"));
        command.args(args).current_dir(self.root()).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("ASSEMBLE_CACHE", self.path("cache"));
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn run<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Ran {
        finish(&mut self.command(args), self.root())
    }

    /// Runs the binary and expects success; gives standard output without the line break.
    #[track_caller]
    pub(crate) fn ok<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "stderr: {}", ran.stderr);
        ran.stdout.trim_end().to_owned()
    }

    /// Runs the binary with `--json` and expects success.
    #[track_caller]
    pub(crate) fn json<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Value {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "stderr: {}", ran.stderr);
        assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
        serde_json::from_str(&ran.stdout).unwrap()
    }
}

/// Runs a command; the sandbox's own path is shown as `[ROOT]`.
pub(crate) fn finish(command: &mut Command, root: &Path) -> Ran {
    let output = command.output().unwrap();
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&root.display().to_string(), "[ROOT]");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: shown(&output.stdout),
        stderr: shown(&output.stderr),
    }
}

impl Ran {
    /// Exit code and standard error, for snapshots.
    pub(crate) fn shown(&self) -> String {
        format!("exit: {}\n{}{}", self.code, self.stdout, self.stderr)
    }
}
