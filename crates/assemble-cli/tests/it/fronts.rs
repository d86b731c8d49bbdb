//! Locks are made from the fronts of packages: from few bytes where servers send parts, the same from those that send all.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use assemble_testkit::{
    Action, ApkBuilder, Fault, HttpServer, RepositoryBuilder, Request, Response, TEST_KEY, TEST_KEY_NAME,
};

use crate::sandbox::{Ran, Sandbox};

const PACKAGES: usize = 40;
const CONTENT: usize = 200_000;

/// A mirror of packages whose contents cannot be compressed, and a spec that wants all of them.
struct Place {
    s: Sandbox,
    all: u64,
}

fn noise(seed: usize) -> Vec<u8> {
    let mut state = seed as u64 + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..CONTENT).map(|_| next()).collect()
}

impl Place {
    fn new() -> Self {
        let s = Sandbox::new();
        s.write(TEST_KEY_NAME, TEST_KEY);
        let mut repository = RepositoryBuilder::new();
        let mut all = 0;
        for number in 0..PACKAGES {
            let mut package =
                ApkBuilder::new(&format!("p{number}"), "1-r0").file(&format!("f{number}"), noise(number));
            if number == 0 {
                // A control section beyond the first part.
                package = package.script(".post-install", &noise(99)[..20_000]);
            }
            let package = package.build();
            all += package.bytes.len() as u64;
            repository = repository.package(package);
        }
        repository.write(&s.path("mirror"), "x86_64");
        Self { s, all }
    }

    fn mirror(&self) -> PathBuf {
        self.s.path("mirror")
    }

    /// Locks with this server at a fixed name in the spec, from nothing.
    fn lock(&self, server: &HttpServer, command: &[&str]) -> Ran {
        let names: Vec<String> = (0..PACKAGES).map(|number| format!("p{number}")).collect();
        self.s.write(
            "app.yaml",
            format!(
                "contents:\n  repositories: [{}]\n  keyring: [{TEST_KEY_NAME}]\n  packages: [{}]\narchs: [x86_64]\n",
                server.url(),
                names.join(", ")
            ),
        );
        for file in ["app.lock", "app.lock.json"] {
            drop(fs::remove_file(self.s.path(file)));
        }
        drop(fs::remove_dir_all(self.s.path("cache")));
        server.clear_log();
        self.s.run(command)
    }

    fn text(&self, server: &HttpServer, command: &[&str], file: &str) -> String {
        let ran = self.lock(server, command);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        // The address is part of the spec and so of its digest.
        let text = String::from_utf8(self.s.read(file)).unwrap().replace(&server.url(), "[MIRROR]");
        let lines = text
            .lines()
            .filter(|line| !line.contains("\"spec\"") && !line.contains("\"checksum\": \"sha256"));
        let host = server.host();
        lines.map(|line| line.replace(&host, "[HOST]") + "\n").collect()
    }
}

fn sent(server: &HttpServer) -> u64 {
    server.log().iter().map(|line| line.sent as u64).sum()
}

#[test]
fn a_lock_needs_few_bytes_and_is_the_same_from_a_server_without_parts() {
    let p = Place::new();
    let parts = HttpServer::folder(p.mirror());
    let mirror = p.mirror();
    let wholes = HttpServer::new(move |request: &Request| {
        match fs::read(mirror.join(request.path.trim_start_matches('/'))) {
            Ok(bytes) => Response::new(200).body(bytes),
            Err(_) => Response::new(404),
        }
    });
    for (command, file) in
        [(&["lock", "app.yaml"][..], "app.lock"), (&["apko", "lock", "app.yaml"], "app.lock.json")]
    {
        let before = parts.connections();
        let with_parts = p.text(&parts, command, file);
        let few = sent(&parts);
        assert!(few * 5 < p.all, "{few} of {}", p.all);
        let connections = parts.connections() - before;
        assert!(connections < 30, "{connections} connections for {PACKAGES} packages: they are used again");
        let without = p.text(&wholes, command, file);
        assert!(sent(&wholes) > p.all);
        assert_eq!(with_parts, without, "{file}");
    }
    // The whole files say the same: what is locked is built.
    let ran = p.lock(&parts, &["lock", "app.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let before = p.s.read("app.lock");
    p.s.ok(["build", "app.yaml", "-o", "none", "--start-check", "off", "--locked"]);
    assert_eq!(p.s.read("app.lock"), before);
    // Packages that are at hand are not asked for.
    fs::remove_file(p.s.path("app.lock")).unwrap();
    parts.clear_log();
    p.s.ok(["lock", "app.yaml"]);
    assert!(parts.calls().iter().all(|call| !call.contains(".apk")), "{:?}", parts.calls());
    let learnt = String::from_utf8(before).unwrap();
    assert_eq!(String::from_utf8(p.s.read("app.lock")).unwrap(), learnt);
}

#[test]
fn fronts_are_asked_for_at_once() {
    let p = Place::new();
    let server = HttpServer::folder(p.mirror());
    server.fault(Fault::on("GET", ".apk", Action::Delay(Duration::from_millis(200))));
    let start = Instant::now();
    let ran = p.lock(&server, &["lock", "app.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let most = server.most_in_flight();
    assert!((4..=20).contains(&most), "{most} at once, {:?}", start.elapsed());
}

#[test]
fn a_server_that_lies_about_parts_is_refused() {
    let p = Place::new();
    let server = HttpServer::folder(p.mirror());
    for (fault, code) in [
        (Action::Header("Content-Range".into(), "bytes 7-12294/400000".into()), "fetch/size"),
        (Action::Header("Content-Range".into(), "bytes 7-12294/*".into()), "fetch/range"),
        (Action::WrongBytes, "apk/"),
    ] {
        server.clear_faults();
        server.fault(Fault::on("GET", "/x86_64/p7-1-r0.apk", fault));
        for command in ["lock app.yaml", "apko lock app.yaml"] {
            let ran = p.lock(&server, &command.split(' ').collect::<Vec<_>>());
            assert!(matches!(ran.code, 1 | 5), "{}: {}", ran.code, ran.stderr);
            assert!(ran.stderr.contains(&format!("error[{code}")), "{}", ran.stderr);
            assert!(!p.s.path("app.lock").exists() && !p.s.path("app.lock.json").exists());
        }
    }
    // Once is not enough to be refused: a cache on the way may be what is damaged, and is asked past.
    server.clear_faults();
    server.fault(Fault::on("GET", "/x86_64/p7-1-r0.apk", Action::WrongBytes).nth(1));
    assert_eq!(p.lock(&server, &["lock", "app.yaml"]).code, 0);
}
