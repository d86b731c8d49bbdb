//! One digest everywhere.

use std::fs;
use std::process::Command;

use crate::sandbox::{Sandbox, finish, hello, workspace};

fn project(s: &Sandbox, folder: &str) {
    s.write(&format!("{folder}/site/b.txt"), "b");
    s.write(&format!("{folder}/site/a.txt"), "a");
    fs::copy(hello(), s.path(&format!("{folder}/hello"))).unwrap();
    let alpine = workspace().join("testdata/alpine");
    let key = fs::read_dir(alpine.join("keys")).unwrap().next().unwrap().unwrap().path();
    fs::create_dir_all(s.path(&format!("{folder}/repo/x86_64"))).unwrap();
    for file in fs::read_dir(alpine.join("x86_64")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), s.path(&format!("{folder}/repo/x86_64")).join(file.file_name())).unwrap();
    }
    let name = key.file_name().unwrap().to_str().unwrap().to_owned();
    fs::copy(&key, s.path(&format!("{folder}/{name}"))).unwrap();
    s.write(
        &format!("{folder}/spec.yaml"),
        format!(
            "contents:\n  repositories: [repo]\n  keyring: [{name}]\n  packages: [busybox, alpine-baselayout-data]\n  \
             binary: hello\n  files: [{{source: site, path: /srv}}]\nannotations: {{b: '2', a: '1', c: '3'}}\n\
             environment: {{B: '2', A: '1'}}\nvolumes: [/z, /a]\n"
        ),
    );
}

#[test]
fn nothing_around_the_build_reaches_the_digest() {
    let s = Sandbox::new();
    project(&s, "one");
    project(&s, "somewhere/else");
    let old =
        Command::new("touch").args(["-d", "2001-01-01"]).arg(s.path("somewhere/else/site/a.txt")).status();
    assert!(old.unwrap().success());
    let build = |folder: &str, spec: &str, umask: &str, variables: &[(&str, &str)], threads: &str| {
        let mut command = Command::new("sh");
        let script = format!("umask {umask}; exec \"$0\" build {spec} -o none --rebuild --threads {threads}");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_assemble")]).current_dir(s.path(folder)).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", s.path("home")).env("ASSEMBLE_CACHE", s.path("cache"));
        command.envs(variables.iter().copied());
        let ran = finish(&mut command, s.root());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout
    };
    let first = build("one", "spec.yaml", "022", &[], "1");
    let all = [
        build("one", "./spec.yaml", "077", &[], "2"),
        build("somewhere", "else/spec.yaml", "000", &[("TZ", "Asia/Tokyo"), ("LANG", "tr_TR.UTF-8")], "3"),
        build("somewhere/else", "spec.yaml", "022", &[("HOME", "/nonexistent"), ("LC_ALL", "C")], "8"),
        build("one", "spec.yaml", "022", &[("SOURCE_DATE_EPOCH", "")], "2"),
    ];
    for other in all {
        assert_eq!(first, other);
    }
    let dated = build("one", "spec.yaml", "022", &[("SOURCE_DATE_EPOCH", "1700000000")], "2");
    assert_ne!(first, dated, "SOURCE_DATE_EPOCH is honoured");
}

#[test]
fn the_time_is_an_input() {
    let s = Sandbox::new().with_hello().variable("SOURCE_DATE_EPOCH", "1700000000");
    s.write("spec.yaml", "contents:\n  binary: hello\n");
    let document = s.json(["build", "spec.yaml", "--json"]);
    assert_eq!(document["created"], "2023-11-14T22:13:20Z");
    let files = s.json(["inspect", "spec.oci", "--files", "--json"]);
    let files = files["images"][0]["files"].as_array().unwrap().clone();
    assert!(files.iter().all(|f| f["mtime"] == 1_700_000_000), "{files:?}");
    let s = Sandbox::new().with_hello().variable("SOURCE_DATE_EPOCH", "tomorrow");
    assert_eq!(s.run(["build", "./hello"]).code, 2);
}

#[test]
fn the_commits_time_is_taken_when_asked_for() {
    if !crate::tools::have("git", "the_commits_time_is_taken_when_asked_for") {
        return;
    }
    let s = Sandbox::new().with_hello();
    s.write("spec.yaml", "contents:\n  binary: hello\n");
    assert_eq!(s.run(["build", "spec.yaml", "--created", "commit"]).code, 3, "no checkout");
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"])
            .args(args);
        command
            .current_dir(s.root())
            .env("GIT_COMMITTER_DATE", "2024-02-03T04:05:06Z")
            .env("HOME", s.path("home"));
        crate::tools::run(&mut command);
    };
    git(&["init", "-q"]);
    git(&["add", "spec.yaml"]);
    git(&["commit", "-qm", "x"]);
    let document = s.json(["build", "spec.yaml", "--created", "commit", "--json"]);
    assert_eq!(document["created"], "2024-02-03T04:05:06Z");
}
