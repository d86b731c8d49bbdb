//! Images are started by real runtimes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::sandbox::{Sandbox, workspace};
use crate::tools::{Running, have, root, run, skipped, try_run, unpack, wait_for};

/// One GET on loopback; the body, if anything answers.
pub(crate) fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// A port that nobody uses right now.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts a bundle with runc until the returned guard is dropped.
pub(crate) struct Container {
    id: String,
    state: std::path::PathBuf,
    _process: Running,
}

impl Container {
    pub(crate) fn start(bundle: &Path, state: &Path) -> Self {
        let id =
            format!("assemble-test-{}-{}", std::process::id(), bundle.file_name().unwrap().to_string_lossy());
        let mut command = Command::new("runc");
        command.arg("--root").arg(state).args(["run", "--bundle"]).arg(bundle).arg(&id);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self { id, state: state.to_owned(), _process: Running::start(&mut command) }
    }

    pub(crate) fn user(&self) -> Option<String> {
        let output = try_run(Command::new("runc").arg("--root").arg(&self.state).args(["state", &self.id]));
        let state: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", state["pid"])).ok()?;
        let line = |name: &str| {
            status
                .lines()
                .find(|l| l.starts_with(name))
                .map(|l| l.split_whitespace().nth(1).unwrap().to_owned())
        };
        Some(format!("{}:{}", line("Uid:")?, line("Gid:")?))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let runc = |args: &[&str]| {
            let mut command = Command::new("runc");
            let _ = try_run(command.arg("--root").arg(&self.state).args(args));
        };
        runc(&["kill", &self.id, "TERM"]);
        std::thread::sleep(std::time::Duration::from_millis(200));
        runc(&["delete", "--force", &self.id]);
    }
}

#[test]
fn runc_starts_the_example_as_65532_and_it_answers() {
    let test = "runc_starts_the_example_as_65532_and_it_answers";
    if !(have("umoci", test) && have("runc", test) && root(test)) {
        return;
    }
    let s = Sandbox::new().with_hello();
    let port = free_port();
    s.write("spec.yaml", format!("contents: {{binary: hello}}\nenvironment: {{PORT: '{port}'}}\n"));
    s.ok(["build", "spec.yaml", "-t", "spec:1"]);
    unpack(&s.path("spec.oci"), "1", &s.path("bundle"));
    let container = Container::start(&s.path("bundle"), &s.path("state"));
    wait_for("the service", || get(port, "/health").as_deref() == Some("ok\n"));
    assert!(get(port, "/").unwrap().contains("Hello"));
    assert_eq!(container.user().as_deref(), Some("65532:65532"));
}

#[test]
fn packages_of_alpine_run_a_command() {
    let test = "packages_of_alpine_run_a_command";
    if !(have("umoci", test) && have("runc", test) && root(test)) {
        return;
    }
    let s = Sandbox::new();
    let spec = workspace().join("configs/runtime.yaml");
    s.ok(["build", spec.to_str().unwrap(), "-o", "image", "-t", "image:1"]);
    unpack(&s.path("image"), "1", &s.path("bundle"));
    let file = s.path("bundle/config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let script = "id -u; cat /etc/alpine-release /etc/hostname 2>/dev/null; ls /bin/busybox; echo done";
    config["process"]["args"] = serde_json::json!(["/bin/sh", "-c", script]);
    std::fs::write(&file, config.to_string()).unwrap();
    let id = format!("assemble-test-alpine-{}", std::process::id());
    let said = run(Command::new("runc")
        .arg("--root")
        .arg(s.path("state"))
        .args(["run", "--bundle"])
        .arg(s.path("bundle"))
        .arg(id));
    assert!(said.starts_with("65532\n") && said.ends_with("/bin/busybox\ndone"), "{said}");
}

/// A docker daemon of our own, with nothing of the machine's.
pub(crate) struct Dockerd {
    pub(crate) socket: String,
    _process: Running,
}

impl Dockerd {
    pub(crate) fn start(s: &Sandbox, test: &str) -> Option<Self> {
        if !(have("dockerd", test) && have("docker", test) && root(test)) {
            return None;
        }
        let at = |name: &str| s.path(&format!("docker/{name}")).display().to_string();
        std::fs::create_dir_all(s.path("docker")).unwrap();
        let socket = format!("unix://{}", at("sock"));
        let log = std::fs::File::create(s.path("docker/log")).unwrap();
        let mut command = Command::new("dockerd");
        command.args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs"]);
        command.args([
            "--data-root",
            &at("root"),
            "--exec-root",
            &at("exec"),
            "--pidfile",
            &at("pid"),
            "-H",
            &socket,
        ]);
        command.stdout(Stdio::null()).stderr(log);
        let process = Running::start(&mut command);
        let mut up = false;
        for _ in 0..150 {
            up = try_run(Command::new("docker").args(["-H", &socket, "version"])).status.success();
            if up {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        if !up {
            let log = std::fs::read_to_string(s.path("docker/log")).unwrap_or_default();
            skipped(
                test,
                &format!(
                    "dockerd {} does not come up: {}",
                    process.pid(),
                    log.lines().last().unwrap_or_default()
                ),
            );
            return None;
        }
        Some(Self { socket, _process: process })
    }
}

#[test]
fn docker_loads_and_runs_it() {
    let test = "docker_loads_and_runs_it";
    let s = Sandbox::new();
    let Some(docker) = Dockerd::start(&s, test) else { return };
    let s = s.with_hello().variable("DOCKER_HOST", docker.socket.clone());
    let spec = workspace().join("configs/runtime.yaml");
    let document = s.json(["build", spec.to_str().unwrap(), "-t", "team/runtime:1", "--load", "--json"]);
    assert_eq!(document["loaded"], serde_json::json!(["team/runtime:1"]));
    let config = document["images"][0]["config"].clone();
    let run_docker = |args: &[&str]| run(Command::new("docker").args(["-H", &docker.socket]).args(args));
    assert_eq!(run_docker(&["image", "inspect", "--format", "{{.Id}}", "team/runtime:1"]), config);
    let said = run_docker(&[
        "run",
        "--rm",
        "--pull=never",
        "--network=none",
        "team/runtime:1",
        "-c",
        "id -u; echo ran",
    ]);
    assert_eq!(said, "65532\nran");
    for output in ["hybrid.tar", "docker-archive:flat.tar"] {
        s.ok(["build", "./hello", "-o", output, "-t", "team/hello:2"]);
        let file = output.trim_start_matches("docker-archive:");
        assert_eq!(run_docker(&["load", "-i", s.path(file).to_str().unwrap()]), "Loaded image: team/hello:2");
    }
}

/// podman with a storage of its own.
pub(crate) fn podman(s: &Sandbox, args: &[&str]) -> String {
    let conf = "[containers]\ndefault_ulimits=[\"nofile=1024:1024\",\"nproc=1024:1024\"]\n[engine]\nruntime=\"runc\"\n\
                cgroup_manager=\"cgroupfs\"\nevents_logger=\"file\"\n";
    let conf = s.write("containers.conf", conf);
    let mut command = Command::new("podman");
    command.arg("--root").arg(s.path("podman")).arg("--runroot").arg(s.path("podman-run"));
    command
        .args(["--storage-driver", "vfs"])
        .args(args)
        .env("CONTAINERS_CONF", &conf)
        .env("HOME", s.path("home"));
    run(&mut command)
}

#[test]
fn podman_loads_it() {
    let test = "podman_loads_it";
    if !(have("podman", test) && root(test)) {
        return;
    }
    let s = Sandbox::new().with_hello();
    s.ok(["build", "./hello", "-o", "hello.tar", "-t", "team/hello:3"]);
    let said = podman(&s, &["load", "-i", s.path("hello.tar").to_str().unwrap()]);
    assert!(said.contains("team/hello:3"), "{said}");
    let user = podman(&s, &["image", "inspect", "--format", "{{.Config.User}}", "team/hello:3"]);
    assert_eq!(user, "65532:65532");
}
