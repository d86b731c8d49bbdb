//! `verify` finds what must not be there, and nothing else.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use assemble_testkit::{ApkBuilder, RepositoryBuilder, TEST_KEY, TEST_KEY_NAME};

use crate::sandbox::{Sandbox, finish, workspace};
use crate::tools::Registry;

#[test]
fn an_image_is_identical_to_what_its_spec_builds() {
    let s = Sandbox::new().with_hello();
    s.write("spec.yaml", "contents:\n  binary: hello\n");
    let digest = s.ok(["build", "spec.yaml"]);
    s.ok(["build", "spec.yaml", "-o", "spec.tar"]);
    for args in [
        vec!["verify", "spec.yaml"],
        vec!["verify", "spec.oci", "--spec", "spec.yaml"],
        vec!["verify", "spec.tar", "--spec", "spec.yaml", "--digest", &digest],
    ] {
        let ran = s.run(&args);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(ran.stdout.trim(), digest);
        assert_eq!(
            ran.stderr.lines().next(),
            Some("signatures of the image were not looked for, only its contents")
        );
        assert!(ran.stderr.contains("identical"));
    }
    if let Some(registry) = Registry::start("an_image_is_identical_to_what_its_spec_builds", None) {
        let name = format!("{}/spec:1", registry.host);
        s.ok(["push", "spec.oci", &name]);
        assert_eq!(s.run(["verify", &name, "--spec", "spec.yaml"]).code, 0);
    }
    let wrong = format!("sha256:{}", "0".repeat(64));
    assert_eq!(s.run(["verify", "spec.yaml", "--digest", &wrong]).code, 8);
}

/// What another program made has other bytes by its rules; that is said, and how to compare all the same.
#[test]
fn an_image_of_another_maker_is_said_to_be_one() {
    let s = Sandbox::new().with_hello();
    s.write(TEST_KEY_NAME, TEST_KEY);
    RepositoryBuilder::new().package(ApkBuilder::new("app", "1-r0").build()).write(&s.path("repo"), "x86_64");
    s.write(
        "apko.yaml",
        format!(
            "contents: {{repositories: [repo], keyring: [{TEST_KEY_NAME}], packages: [app]}}\narchs: [x86_64]\n"
        ),
    );
    s.write("spec.yaml", "contents:\n  binary: hello\narchs: [x86_64]\n");
    s.ok(["apko", "build", "apko.yaml", "a:b", "apko.tar", "--sbom=false"]);
    let ran = s.run(["verify", "apko.tar", "--spec", "spec.yaml"]);
    assert_eq!(ran.code, 8, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("made by apko") && ran.stderr.contains("assemble apko build"),
        "{}",
        ran.stderr
    );
    s.ok(["build", "spec.yaml"]);
    s.write("spec.yaml", "contents:\n  binary: hello\narchs: [x86_64]\nenvironment: {A: b}\n");
    let own = s.run(["verify", "spec.oci", "--spec", "spec.yaml"]);
    assert_eq!(own.code, 8, "{}", own.stderr);
    assert!(!own.stderr.contains("made by"), "{}", own.stderr);
}

#[test]
fn what_lies_in_the_target_is_read_whatever_it_is_called() {
    let s = Sandbox::new().with_hello();
    s.write("spec.yaml", "contents:\n  binary: hello\n");
    s.ok(["build", "spec.yaml"]);
    let blobs: Vec<_> = std::fs::read_dir(s.path("spec.oci/blobs/sha256"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| std::fs::metadata(path).unwrap().len() > 0)
        .collect();
    assert!(blobs.len() >= 4, "{blobs:?}");
    for blob in blobs {
        // Another file, since this one is the cache's, too.
        let whole = std::fs::read(&blob).unwrap();
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        std::fs::remove_file(&blob).unwrap();
        for content in [Some(damaged), None] {
            if let Some(content) = content {
                std::fs::write(&blob, content).unwrap();
            } else {
                std::fs::remove_file(&blob).unwrap();
            }
            let ran = s.run(["verify", "spec.oci", "--spec", "spec.yaml"]);
            assert_ne!(ran.code, 0, "{}: {}", blob.display(), ran.stderr);
            assert!(!ran.stderr.contains("identical"), "{}", ran.stderr);
        }
        std::fs::write(&blob, whole).unwrap();
    }
    assert_eq!(s.run(["verify", "spec.oci", "--spec", "spec.yaml"]).code, 0);
}

#[test]
fn the_first_differing_entry_and_field_are_named() {
    let s = Sandbox::new().with_hello();
    s.write("site/index.html", "one");
    s.write("spec.yaml", "contents:\n  binary: hello\n  files: [{source: site, path: /srv}]\n");
    s.ok(["build", "spec.yaml"]);
    s.write("site/index.html", "two");
    let ran = s.run(["verify", "spec.oci", "--spec", "spec.yaml"]);
    assert_eq!(ran.code, 8, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("/srv/index.html") && ran.stderr.contains("content at byte 0"),
        "{}",
        ran.stderr
    );
    s.write("site/index.html", "one");
    s.write(
        "spec.yaml",
        "contents:\n  binary: hello\n  files: [{source: site, path: /srv, permissions: 0600}]\n",
    );
    let ran = s.run(["verify", "spec.oci", "--spec", "spec.yaml", "--json"]);
    assert_eq!(ran.code, 8);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["result"], "different");
    assert_eq!(document["error"]["kind"], "mismatch");
    let differences = document["differences"].to_string();
    assert!(differences.contains("/srv/index.html") && differences.contains("mode"), "{differences}");
    s.write(
        "spec.yaml",
        "contents:\n  binary: hello\n  files: [{source: site, path: /srv}]\nenvironment: {A: b}\n",
    );
    let ran = s.run(["verify", "spec.oci", "--spec", "spec.yaml"]);
    assert!(ran.code == 8 && ran.stderr.contains("config.Env"), "{}", ran.stderr);
}

#[test]
fn a_binary_compiled_elsewhere_is_recognised() {
    let s = Sandbox::new().with_hello();
    s.write("spec.yaml", "contents:\n  binary: hello\n");
    let with_path = |path: &str| {
        let mut bytes = std::fs::read(crate::sandbox::hello()).unwrap();
        bytes.extend_from_slice(b"\0");
        bytes.extend_from_slice(path.as_bytes());
        bytes.extend_from_slice(b"\0");
        s.write("hello", bytes);
    };
    with_path("/home/ann/app/src/main.rs");
    s.ok(["build", "spec.yaml"]);
    with_path("/builds/ci/app/src/main.rs");
    let ran = s.run(["verify", "spec.oci", "--spec", "spec.yaml"]);
    assert_eq!(ran.code, 8, "{}", ran.stderr);
    for words in
        ["/usr/bin/hello", "compiled differently", "/home/ann/app/src/main.rs", "--remap-path-prefix"]
    {
        assert!(ran.stderr.contains(words), "`{words}` is missing in {}", ran.stderr);
    }
}

/// A build with the planted faults compiled in, beside the real one.
fn faulty() -> &'static PathBuf {
    static FAULTY: OnceLock<PathBuf> = OnceLock::new();
    FAULTY.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--package", "assemble-cli", "--features", "planted-faults"])
            .args(["--bin", "assemble-planted"])
            .current_dir(workspace())
            .status()
            .unwrap();
        assert!(status.success(), "the test build does not compile");
        std::path::Path::new(env!("CARGO_BIN_EXE_assemble")).with_file_name("assemble-planted")
    })
}

#[test]
fn every_planted_fault_is_found() {
    let s = Sandbox::new().with_hello();
    s.write("site/a.txt", "a");
    s.write("site/b.txt", "b");
    s.write("spec.yaml", "contents:\n  binary: hello\n  files: [{source: site, path: /srv}]\n");
    let run = |fault: &str| {
        let mut command = Command::new(faulty());
        command.args(["verify", "spec.yaml"]).current_dir(s.root()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", s.path("home"));
        command.env("ASSEMBLE_CACHE", s.path("cache")).env("ASSEMBLE_PLANT", fault);
        finish(&mut command, s.root())
    };
    let none = run("none");
    assert_eq!(none.code, 0, "{}", none.stderr);
    for (fault, words) in [("clock", "mtime"), ("umask", "mode"), ("threads", "order"), ("map", "order")] {
        let ran = run(fault);
        assert_eq!(ran.code, 8, "{fault}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{fault}: `{words}` is missing in {}", ran.stderr);
    }
}
