//! Debian's docker-registry, if it is installed, started through the test kit's script.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use assemble_registry::CredentialSources;
use assemble_types::{Digest, Explain, Kind};

use crate::kit::*;

/// A running registry; ended when dropped, or when this process ends.
struct Real {
    script: PathBuf,
    settings: BTreeMap<String, String>,
}

impl Real {
    fn start(arguments: &[&str]) -> Option<Self> {
        let kit = std::env::var_os("ASSEMBLE_TESTKIT").map_or_else(
            || Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/testkit")).to_owned(),
            PathBuf::from,
        );
        let script = kit.join("registry.sh");
        let installed = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .any(|dir| dir.join("docker-registry").is_file());
        if !script.is_file() || !installed {
            #[expect(clippy::print_stderr, reason = "a test that did not run has to say so")]
            {
                eprintln!("SKIPPED: needs {} and the Debian package docker-registry", script.display());
            }
            return None;
        }
        let output = Command::new("bash")
            .arg(&script)
            .arg("start")
            .args(arguments)
            .args(["--print-env", "--owner", &std::process::id().to_string()])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let settings = text.lines().filter_map(|line| line.split_once('='));
        let settings = settings.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        Some(Self { script, settings })
    }

    fn get(&self, key: &str) -> &str {
        &self.settings[&format!("TESTREG_{key}")]
    }

    /// Lines of the access log, each with method, path and status.
    fn requests(&self) -> Vec<String> {
        let log = std::fs::read_to_string(Path::new(self.get("DIR")).join("registry.log")).unwrap();
        let access = log.lines().filter(|line| line.contains("HTTP/1.1\" "));
        access.map(|line| line.split('"').nth(1).unwrap_or_default().to_owned()).collect()
    }

    fn sources(&self) -> CredentialSources {
        let dir = self.settings.get("TESTREG_DOCKER_CONFIG").map(PathBuf::from);
        CredentialSources { docker_config_dir: dir, ..CredentialSources::default() }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = Command::new("bash").arg(&self.script).args(["stop", self.get("DIR")]).status();
    }
}

/// Pushes, pushes again, changes a layer, reads everything back.
fn round_trip(real: &Real) {
    let bench = bench(real.sources());
    let target = reference(real.get("HOST"), ":v1");
    let both = index(&[vec![noise(1, 7_000_000), noise(2, 10)], vec![noise(1, 7_000_000), noise(3, 0)]]);
    let report = bench.registry.push(&target, &both, &[reference(real.get("HOST"), ":v2")]).unwrap();
    assert_eq!((report.blobs_sent, report.blobs_present), (4, 0));

    let before = real.requests().len();
    let again = bench.registry.push(&target, &both, &[]).unwrap();
    assert_eq!((again.blobs_sent, again.bytes_sent, again.requests), (0, 0, 1));
    let new = real.requests().split_off(before);
    assert_eq!(new, [format!("HEAD /v2/{REPOSITORY}/manifests/v1 HTTP/1.1")]);

    let before = real.requests().len();
    let changed = index(&[vec![noise(1, 7_000_000), noise(4, 20)], vec![noise(1, 7_000_000), noise(3, 0)]]);
    let third = bench.registry.push(&target, &changed, &[]).unwrap();
    assert_eq!((third.blobs_sent, third.bytes_sent), (1, 20));
    let new = real.requests().split_off(before);
    let uploads = new.iter().filter(|line| line.starts_with("PUT") && line.contains("/blobs/")).count();
    assert_eq!(uploads, 1, "{new:?}");

    let (bytes, kind, digest) = bench.registry.manifest(&target).unwrap();
    let top = changed.manifests.last().unwrap();
    assert_eq!((&bytes, kind.as_str(), digest), (&top.bytes, INDEX, top.digest));
    let info = bench.registry.resolve(&reference(real.get("HOST"), ":v2")).unwrap().unwrap();
    assert_eq!(info.digest, both.manifests.last().unwrap().digest);
    for blob in &changed.blobs {
        let mut out = Vec::new();
        bench.registry.blob(&target, &blob.digest, blob.size, &mut out).unwrap();
        assert_eq!(Digest::of(&out), blob.digest);
    }
    assert_eq!(bench.registry.resolve(&reference(real.get("HOST"), ":v9")).unwrap(), None);
    assert!(!bench.recorder.text().contains("testpass"));
}

#[test]
fn plain() {
    let Some(real) = Real::start(&["plain"]) else { return };
    round_trip(&real);
}

/// Distribution mounts from the repository itself, and lists no tags of one that is new.
#[test]
fn requests() {
    let Some(real) = Real::start(&["plain"]) else { return };
    let mut layers: Vec<_> = (0..20).map(|n| noise(n, 30_000)).collect();
    layers.push(noise(99, 5 << 20));
    let first = image(&layers);
    let push = |image: &assemble_registry::PushImage, rest: &str| {
        let before = real.requests().len();
        let report = patient().push(&reference(real.get("HOST"), rest), image, &[]).unwrap();
        let new = real.requests().split_off(before);
        assert_eq!(new.len() as u64, report.requests, "{new:?}");
        (report, new)
    };
    let (report, new) = push(&first, ":v1");
    assert_eq!((report.blobs_sent, report.requests), (22, 2 * 22 + 3), "{new:?}");
    assert_eq!(push(&first, ":v1").0.requests, 1);
    layers[7] = noise(100, 30_000);
    let (report, new) = push(&image(&layers), ":v1");
    assert!(report.blobs_sent == 1 && report.requests <= 8, "{new:?}");
    // Back to what was there, and another name for it, for one who remembers nothing.
    for rest in [":v1", ":v2"] {
        let (report, new) = push(&first, rest);
        assert!(report.bytes_sent == 0 && report.requests == 4, "{new:?}");
    }
    // What an unfinished push left is there, and takes a request each.
    let part = image(&layers[..5]);
    let (report, new) = push(&part, ":v3");
    assert!(report.blobs_sent == 1 && report.blobs_present == 5 && new.len() <= 5 + 2 + 2, "{new:?}");
}

#[test]
fn plain_with_relative_addresses() {
    let Some(real) = Real::start(&["plain", "--relative-urls"]) else { return };
    round_trip(&real);
}

#[test]
fn htpasswd_with_docker_s_configuration() {
    let Some(real) = Real::start(&["htpasswd"]) else { return };
    round_trip(&real);
    let target = reference(real.get("HOST"), ":v1");
    let error = anonymous().push(&target, &small(), &[]).unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    // Without an entry, then logged in.
    let dir = tempfile::tempdir().unwrap();
    let sources =
        CredentialSources { docker_config_dir: Some(dir.path().into()), ..CredentialSources::default() };
    let bench = bench(sources);
    let wrong = bench.registry.login(real.get("HOST"), "testuser", "nonsense").unwrap_err();
    assert_eq!(wrong.kind(), Kind::Denied);
    bench.registry.login(real.get("HOST"), "testuser", "testpass").unwrap();
    bench.registry.push(&reference(real.get("HOST"), ":v3"), &small(), &[]).unwrap();
}

#[test]
fn tokens() {
    let Some(real) = Real::start(&["token"]) else { return };
    round_trip(&real);
    let log = std::fs::read_to_string(real.get("TOKEN_LOG")).unwrap();
    // One to push and one to read, however many calls there were.
    assert_eq!(log.lines().count(), 2, "{log}");
    // Anybody may pull; to push, one has to log in.
    anonymous().manifest(&reference(real.get("HOST"), ":v1")).unwrap();
    let error = anonymous().push(&reference(real.get("HOST"), ":v1"), &small(), &[]).unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(shown(&error).contains("assemble login"), "{}", shown(&error));
}

#[test]
fn tokens_that_end_soon() {
    let Some(real) = Real::start(&["token", "--ttl", "-57"]) else { return };
    let bench = bench(real.sources());
    for n in 0..4 {
        bench.registry.push(&reference(real.get("HOST"), ":v1"), &image(&[noise(n, 100)]), &[]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1300));
    }
}
