//! Real programs that judge our images. A test that needs one that is not here says so and passes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Whether a program is installed; if not, says which test is skipped for it.
pub(crate) fn have(program: &str, test: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into(), "/usr/bin".into()])
        .any(|dir: PathBuf| dir.join(program).is_file());
    if !found {
        skipped(test, &format!("{program} is not installed"));
    }
    found
}

/// Says loudly that a test did not run.
pub(crate) fn skipped(test: &str, why: &str) {
    eprintln!("SKIPPED: {test}: {why}");
}

/// Whether containers can be run here: the runtimes need root.
pub(crate) fn root(test: &str) -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n");
    if !root {
        skipped(test, "it needs root");
    }
    root
}

/// Runs a program and expects success.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = try_run(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

#[track_caller]
pub(crate) fn try_run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

/// A process that is ended, by its pid and no other, when the test ends.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "{what} does not come up");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Debian's registry on loopback.
pub(crate) struct Registry {
    pub(crate) host: String,
    folder: tempfile::TempDir,
    _process: Running,
}

impl Registry {
    /// Starts one; `None`, said loudly, where it is not installed. With `accounts` (the text of an htpasswd file) it asks for a password.
    pub(crate) fn start(test: &str, accounts: Option<&str>) -> Option<Self> {
        if !have("docker-registry", test) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\nhttp:\n  addr: 127.0.0.1:0\n",
            data.display()
        );
        if let Some(accounts) = accounts {
            let file = folder.path().join("htpasswd");
            std::fs::write(&file, accounts).unwrap();
            config += &format!("auth:\n  htpasswd: {{realm: test, path: {}}}\n", file.display());
        }
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let log = std::fs::File::create(folder.path().join("registry.log")).unwrap();
        let process = Running::start(
            Command::new("docker-registry")
                .args(["serve"])
                .arg(&file)
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap_or_default())
                .stdout(log.try_clone().unwrap())
                .stderr(log),
        );
        let mut host = None;
        wait_for("docker-registry", || {
            let text = std::fs::read_to_string(folder.path().join("registry.log")).unwrap_or_default();
            host = text.split("listening on ").nth(1).map(|rest| {
                rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.' || *c == ':').collect::<String>()
            });
            host.as_ref().is_some_and(|h| h.contains(':'))
        });
        Some(Self { host: host.unwrap(), folder, _process: process })
    }

    /// The access log so far: one line a request.
    pub(crate) fn requests(&self, method: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("registry.log")).unwrap_or_default();
        let wanted = format!("\"{method} /v2/");
        text.lines().filter(|line| line.contains(&wanted)).map(str::to_owned).collect()
    }
}

/// An OCI layout unpacked by umoci, ready for runc.
pub(crate) fn unpack(layout: &Path, tag: &str, bundle: &Path) {
    run(Command::new("umoci")
        .args(["unpack", "--image"])
        .arg(format!("{}:{tag}", layout.display()))
        .arg(bundle));
    let file = bundle.join("config.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    config["process"]["terminal"] = false.into();
    // The container shares the host's network, so that the test can reach it.
    let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "network");
    std::fs::write(&file, config.to_string()).unwrap();
}
