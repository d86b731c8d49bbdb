//! Things that a user does once, and that must end in a sentence that helps.

use std::process::{Command, Stdio};

use crate::sandbox::{Ran, Sandbox, finish};

#[track_caller]
fn refused(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` is missing in\n{}", ran.stderr);
    }
}

#[test]
fn an_output_never_lies_in_what_is_packed() {
    let s = Sandbox::new().with_hello();
    s.write("spec.yaml", "contents:\n  binary: hello\n  files: [{source: ., path: /srv}]\n");
    refused(&s.run(["build", "spec.yaml"]), 3, &["spec.yaml:3:20", "exclude: [\"*.oci\"]"]);
    refused(&s.run(["build", "spec.yaml", "-o", "sub/out.tar"]), 3, &["exclude: [\"*.tar\"]"]);
    s.write(
        "spec.yaml",
        "contents:\n  binary: hello\n  files: [{source: ., path: /srv, exclude: ['*.oci', cache]}]\n",
    );
    let first = s.ok(["build", "spec.yaml"]);
    assert_eq!(s.ok(["build", "spec.yaml"]), first);
    assert_eq!(s.ok(["build", "spec.yaml", "-o", "none"]), first);
}

#[test]
fn offline_opens_no_connection() {
    let s = Sandbox::new().with_hello();
    s.ok(["build", "./hello"]);
    refused(&s.run(["build", "./hello", "--offline", "--push", "-t", "127.0.0.1:1/a:1"]), 2, &["--offline"]);
    refused(&s.run(["inspect", "127.0.0.1:1/a:1", "--offline"]), 6, &["--offline"]);
    assert_eq!(s.run(["inspect", "hello.oci", "--offline"]).code, 0);
    assert_eq!(s.run(["verify", "./hello", "--offline"]).code, 0);
}

#[test]
fn half_an_answer_is_an_error_and_a_closed_pipe_is_none() {
    let s = Sandbox::new().with_hello();
    s.ok(["build", "./hello"]);
    for args in
        [vec!["build", "./hello", "-q"], vec!["inspect", "hello.oci"], vec!["inspect", "hello.oci", "--json"]]
    {
        let mut command = s.command(&args);
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).stderr(Stdio::null()).status().unwrap();
        assert_eq!(output.code(), Some(9), "{args:?}");
    }
    let script = "\"$0\" inspect hello.oci --cat /etc/ssl/certs/ca-certificates.crt | head -1 >/dev/null; echo \"${PIPESTATUS[0]}\"";
    let mut command = Command::new("bash");
    command.args(["-c", script, env!("CARGO_BIN_EXE_assemble")]).current_dir(s.root());
    assert_eq!(finish(&mut command, s.root()).stdout, "0\n");
}

#[test]
fn a_misspelt_file_does_not_go_to_a_registry() {
    let s = Sandbox::new().with_hello();
    s.write("spec.yaml", "contents:\n  binary: hello\n");
    refused(&s.run(["inspect", "nope"]), 3, &["nope is no file or folder here", "docker.io/library/nope"]);
    let make = "make it first: assemble build SPEC -o nope.";
    for args in [
        &["inspect", "nope.tar"][..],
        &["verify", "nope.oci", "--spec", "spec.yaml"],
        &["verify", "nope.oci"],
        &["push", "nope.oci", "127.0.0.1:1/a:1"],
    ] {
        let ran = s.run(args);
        refused(&ran, 3, &["does not exist", make]);
        assert!(!ran.stderr.contains("docker.io"), "{}", ran.stderr);
    }
    // What is pushed lies here in any case.
    let ran = s.run(["push", "nope", "127.0.0.1:1/a:1"]);
    refused(&ran, 3, &["nope is no file or folder here", "assemble build SPEC -o nope"]);
    assert!(!ran.stderr.contains("docker.io"), "{}", ran.stderr);
    for command in [&["inspect", "spec.yaml"][..], &["push", "spec.yaml", "127.0.0.1:1/a:1"]] {
        let words = ["spec.yaml is a spec, not an image", "build it first: assemble build spec.yaml"];
        refused(&s.run(command), 3, &words);
    }
    s.write("text", "contents:");
    refused(&s.run(["inspect", "text"]), 3, &["the file is no tar archive"]);
}

#[test]
fn images_are_told_from_specs() {
    let s = Sandbox::new().with_hello();
    s.ok(["build", "./hello"]);
    s.ok(["build", "./hello", "-o", "hello.tar"]);
    for image in ["hello.oci", "hello.tar"] {
        refused(&s.run(["build", image]), 3, &["is an image already", "assemble inspect"]);
        refused(&s.run(["verify", image]), 2, &["--spec assemble.yaml"]);
    }
    refused(&s.run(["inspect", "hello.oci", "--platform", "s390x"]), 2, &["--platform linux/amd64"]);
    refused(&s.run(["inspect", "hello.oci", "--cat", "/etc"]), 2, &["is a folder"]);
    for output in ["docker-daemon:x", "localhost:5000/x:1", "out.zip", "-"] {
        refused(&s.run(["build", "./hello", "-o", output]), 2, &["no output we know"]);
    }
}

#[test]
fn init_takes_programs_and_overwrites_nothing() {
    let s = Sandbox::new().with_hello();
    s.write("main.go", "package main\n");
    refused(&s.run(["init", "main.go"]), 3, &["main.go is no program"]);
    assert_eq!(s.run(["init", "./hello"]).code, 0);
    refused(&s.run(["init", "./hello"]), 9, &["exists already", "-o other.yaml"]);
    std::fs::create_dir(s.path("deploy")).unwrap();
    assert_eq!(s.run(["init", "./hello", "-o", "deploy/app.yaml"]).code, 0);
    assert_eq!(s.run(["check", "deploy/app.yaml"]).code, 0);
}

#[test]
fn an_unexpected_digest_is_said_with_both() {
    let s = Sandbox::new().with_hello();
    let digest = s.ok(["build", "./hello", "-o", "none"]);
    let other = format!("sha256:{}", "0".repeat(64));
    refused(&s.run(["verify", "./hello", "--digest", &other]), 8, &[&digest, &other, "was expected"]);
}
