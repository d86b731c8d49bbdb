//! Slips on the command line: what was meant is said.

use std::fs;

use assemble_testkit::{ApkBuilder, RepositoryBuilder, TEST_KEY, TEST_KEY_NAME};

use crate::sandbox::{Sandbox, finish};

/// A sandbox with a spec of one package.
fn sandbox() -> Sandbox {
    let s = Sandbox::new();
    s.write(TEST_KEY_NAME, TEST_KEY);
    let app = ApkBuilder::new("app", "1-r0").dir("srv").file("srv/app", *b"app");
    RepositoryBuilder::new().package(app.build()).write(&s.path("repo"), "x86_64");
    spec(&s, "");
    s
}

fn spec(s: &Sandbox, more: &str) {
    s.write(
        "spec.yaml",
        format!(
            "contents:\n  repositories: [repo]\n  keyring: [{TEST_KEY_NAME}]\n  packages: [app]\narchs: [x86_64]\n{more}"
        ),
    );
}

#[track_caller]
fn says(s: &Sandbox, args: &[&str], code: i32, words: &[&str]) {
    let ran = s.run(args);
    assert_eq!(ran.code, code, "{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` is missing in\n{}", ran.stderr);
    }
}

#[test]
fn values_of_options() {
    let s = sandbox();
    says(
        &s,
        &["build", "spec.yaml", "--platform", "amd46"],
        2,
        &["`amd46` is no platform", "did you mean `amd64`?"],
    );
    says(&s, &["inspect", "x", "--arch", "linux/arm46"], 2, &["did you mean `linux/arm64`?"]);
    says(&s, &["packages", "spec.yaml", "--platform", "host"], 2, &["name it"]);
    let threads = "give a whole number from 1, or leave it out for as many as there are cores";
    says(&s, &["build", "spec.yaml", "--threads", "0"], 2, &[threads]);
    let apko = ["apko", "build", "spec.yaml", "a:b", "out.tar", "--sbom=false", "--arch", "amd46"];
    says(&s, &apko, 1, &["did you mean `amd64`?", "known are x86, x86_64"]);
}

#[test]
fn a_lock_in_the_place_of_its_spec() {
    let s = sandbox();
    s.ok(["lock", "spec.yaml"]);
    for command in ["build", "check", "lock", "packages", "show"] {
        says(&s, &[command, "spec.lock"], 3, &["spec.lock is a lock, not a spec", "made for: spec.yaml"]);
    }
}

#[test]
fn a_spec_in_the_place_of_a_package() {
    let s = sandbox();
    s.ok(["lock", "spec.yaml"]);
    says(&s, &["update", "spec.yaml"], 2, &["`spec.yaml` is no package", "assemble update --spec spec.yaml"]);
    let both = "assemble update app --spec spec.yaml";
    says(&s, &["update", "app", "spec.yaml"], 2, &[both]);
    says(&s, &["update", "spec.lock", "app"], 2, &[both]);
    says(&s, &["update", "app"], 2, &["there is no assemble.yaml here", "assemble update app --spec SPEC"]);
    says(&s, &["why", "app", "spec.yaml"], 2, &["the spec comes first: assemble why spec.yaml app"]);
    says(&s, &["why", "spec.yaml", "no"], 2, &["not among the 1 package of", "assemble packages spec.yaml"]);
    says(&s, &["why", "app", "no"], 3, &["app does not exist"]);
}

#[test]
fn one_package_is_not_several() {
    let s = sandbox();
    says(&s, &["lock", "spec.yaml"], 0, &["fronts of 1 package for", "written, 1 package for linux/amd64"]);
    says(
        &s,
        &["vendor", "spec.yaml", "-o", "copies"],
        0,
        &["checking 1 package for", "1 package (", "1 index\n"],
    );
    assert!(s.ok(["packages", "spec.yaml"]).starts_with("linux/amd64: 1 package, "));
    assert!(s.ok(["tree", "spec.yaml"]).starts_with("linux/amd64: 1 package\n"));
}

#[test]
fn a_spec_that_changed_beside_its_packages() {
    let s = sandbox();
    s.ok(["lock", "spec.yaml"]);
    spec(&s, "cmd: serve\n");
    let build = ["build", "spec.yaml", "-o", "none", "--start-check", "off", "--locked"];
    says(&s, &build, 8, &["does not fit: the spec has changed; it would get the same packages\n"]);
    fs::remove_dir_all(s.path("repo")).unwrap();
    says(&s, &build, 8, &["does not fit: the spec has changed\n"]);
}

#[test]
fn every_command_shows_how_it_is_used() {
    let s = Sandbox::new();
    let help = s.ok(["--help"]);
    let commands = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let mut seen = 0;
    for command in commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()) {
        if !command.is_empty() && command != "help" {
            assert!(s.ok([command, "--help"]).contains("\nExample"), "{command} has no example");
            seen += 1;
        }
    }
    assert!(seen >= 20, "{help}");
}

#[test]
fn a_spec_that_is_not_there() {
    let s = sandbox();
    for command in ["build", "digest", "verify", "check"] {
        let ran = s.run([command]);
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        assert!(ran.stderr.contains("without an argument, ./assemble.yaml is taken"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("assemble build"), "{}", ran.stderr);
    }
    // A folder has the specs that it has.
    says(&s, &["build", "repo"], 3, &["no *.yaml is in it", "-o repo/assemble.yaml"]);
    s.write("app/one.yaml", "");
    s.write("app/two.yml", "");
    s.write("app/readme.md", "");
    says(&s, &["build", "app"], 3, &["name the file: app/one.yaml", "name the file: app/two.yml"]);
    s.write("app/assemble.yaml", "");
    let ran = s.run(["build", "app"]);
    assert!(ran.stderr.contains("name the file: app/assemble.yaml"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("one.yaml"), "{}", ran.stderr);
    // Not from standard input, unless a file is called so.
    let words = ["a spec is not read from standard input", "write it to a file"];
    says(&s, &["build", "-"], 2, &words);
    says(&s, &["check", "-"], 2, &words);
}

#[test]
fn names_of_packages() {
    let s = sandbox();
    says(&s, &["why", "spec.yaml", "apt"], 2, &["apt is not among the 1 package", "did you mean `app`?"]);
    s.ok(["lock", "spec.yaml"]);
    says(&s, &["update", "apo", "--spec", "spec.yaml"], 2, &["there is app"]);
    let update = ["update", "nosuch", "--spec", "spec.yaml"];
    says(&s, &update, 2, &["see what is there: assemble packages spec.yaml"]);
}

/// Who has a docker that does not answer may look there for what podman took.
#[test]
fn an_engine_that_does_not_answer_is_named_also_quietly() {
    let s = sandbox();
    let engine = |name: &str, script: &str| {
        let path = s.write(&format!("bin/{name}"), format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    engine("podman", "if [ $1 = load ]; then echo 'Loaded image: localhost/app:1'; else echo 4.3.1; fi");
    let path = format!("{}:/usr/bin:/bin", s.path("bin").display());
    let load = || {
        let args = ["build", "spec.yaml", "--load", "-t", "app:1", "-q", "-o", "none"];
        finish(s.command(args).env("PATH", &path), s.root())
    };
    engine("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1");
    let ran = load();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stderr, "warning: docker: Cannot connect to the Docker daemon; podman takes the image\n");
    engine("docker", "if [ $1 = load ]; then echo 'Loaded image: app:1'; else echo 28.0.1; fi");
    let ran = load();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn what_lies_here_is_not_fetched() {
    let s = sandbox();
    let ran = s.run(["build", "spec.yaml", "-o", "none"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("checking 1 package for linux/amd64"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("fetching"), "{}", ran.stderr);
}
