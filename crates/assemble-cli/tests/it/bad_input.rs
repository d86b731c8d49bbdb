//! What bad input gets: the exit code of its kind, a message that names the thing, nothing left behind, no panic.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use crate::sandbox::{Sandbox, workspace};

#[track_caller]
fn refused(s: &Sandbox, args: &[&str], code: i32, words: &[&str]) {
    let ran = s.run(args);
    assert_eq!(ran.code, code, "{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` is missing in\n{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("panic"), "{}", ran.stderr);
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
}

#[test]
fn files_that_cannot_be_used() {
    let s = Sandbox::new().with_hello();
    refused(&s, &["build"], 3, &["assemble.yaml", "assemble init"]);
    refused(&s, &["build", "nowhere.yaml"], 3, &["nowhere.yaml"]);
    refused(&s, &["build", "."], 3, &["folder"]);
    s.write("spec.yaml", "contents:\n  binary: nowhere\n");
    refused(&s, &["build", "spec.yaml"], 3, &["spec.yaml:2:11", "nowhere"]);
    s.write("spec.yaml", "contents:\n  binary: .\n");
    refused(&s, &["build", "spec.yaml"], 3, &["spec.yaml:2:11"]);
    s.write("spec.yaml", "contents:\n  binary: hello\n  files: [{source: missing, path: /x}]\n");
    refused(&s, &["build", "spec.yaml"], 3, &["spec.yaml:3:20", "missing"]);
    assert!(!s.path("spec.oci").exists(), "nothing is left under the final name");
}

#[test]
fn yaml_that_is_meant_to_hurt() {
    let s = Sandbox::new();
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let last = n - 1;
        bomb += &format!(
            "a{n}: &a{n} [*a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}]\n"
        );
    }
    s.write("bomb.yaml", bomb);
    s.write("deep.yaml", format!("contents: {}", "[".repeat(20_000)));
    s.write("twice.yaml", "contents:\n  binary: a\n  binary: b\n");
    s.write("binary.yaml", [0xff, 0xfe, 0, 1, 2]);
    s.write("empty.yaml", "");
    for name in ["bomb.yaml", "deep.yaml", "twice.yaml", "binary.yaml", "empty.yaml"] {
        refused(&s, &["build", name], 3, &[name]);
    }
    refused(&s, &["build", "twice.yaml"], 3, &["twice.yaml:3:3"]);
}

/// A repository folder with its key, as an example to be spoilt.
fn repository(s: &Sandbox) -> String {
    let alpine = workspace().join("testdata/alpine");
    fs::create_dir_all(s.path("repo/x86_64")).unwrap();
    for file in fs::read_dir(alpine.join("x86_64")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), s.path("repo/x86_64").join(file.file_name())).unwrap();
    }
    let key = fs::read_dir(alpine.join("keys")).unwrap().next().unwrap().unwrap();
    let name = key.file_name().into_string().unwrap();
    fs::copy(key.path(), s.path(&name)).unwrap();
    s.write(
        "spec.yaml",
        format!("contents:\n  repositories: [repo]\n  keyring: ['{name}']\n  packages: [musl]\n"),
    );
    name
}

#[test]
fn packages_altered_anywhere_are_refused() {
    let s = Sandbox::new();
    repository(&s);
    let name = fs::read_dir(s.path("repo/x86_64"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .find(|n| n.starts_with("musl-"))
        .unwrap();
    let path = format!("repo/x86_64/{name}");
    let good = s.read(&path);
    assert_eq!(s.run(["build", "spec.yaml", "-o", "none"]).code, 0);
    for share in [40, 120, 1000] {
        // A byte of the signature or control section, of the middle, near the end.
        let mut bad = good.clone();
        let at = if share == 1000 {
            bad.len() - 20
        } else if share == 120 {
            bad.len() / 2
        } else {
            900
        };
        bad[at] ^= 0x40;
        s.write(&path, &bad);
        refused(&s, &["build", "spec.yaml", "--rebuild"], 5, &["musl"]);
    }
    s.write(&path, &good[..good.len() / 2]);
    refused(&s, &["build", "spec.yaml", "--rebuild"], 5, &["musl"]);
    fs::remove_file(s.path(&path)).unwrap();
    refused(&s, &["build", "spec.yaml", "--rebuild"], 6, &["musl"]);
    assert!(!s.path("spec.oci").exists());
}

#[test]
fn an_index_without_the_right_signature_is_refused_unless_said_otherwise() {
    let s = Sandbox::new();
    let key = repository(&s);
    s.write("spec.yaml", "contents:\n  repositories: [repo]\n  packages: [musl]\n");
    refused(&s, &["build", "spec.yaml"], 5, &["spec.yaml:2:18", &key]);
    let ran = s.run(["build", "spec.yaml", "--allow-untrusted"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("UNTRUSTED"), "{}", ran.stderr);
}

#[test]
fn package_sets_that_do_not_exist() {
    let s = Sandbox::new();
    let key = repository(&s);
    s.write(
        "spec.yaml",
        format!("contents:\n  repositories: [repo]\n  keyring: ['{key}']\n  packages: [muls]\n"),
    );
    refused(&s, &["build", "spec.yaml"], 4, &["muls", "musl"]);
}

#[test]
fn hosts_that_do_not_answer() {
    let s = Sandbox::new();
    s.write("spec.yaml", "contents:\n  repositories: ['http://127.0.0.1:1/os']\n  packages: [musl]\n");
    refused(&s, &["build", "spec.yaml"], 6, &["spec.yaml:2:18", "127.0.0.1:1"]);
    refused(&s, &["build", "spec.yaml", "--offline"], 6, &["offline"]);
}

#[test]
fn targets_that_cannot_be_written() {
    let s = Sandbox::new().with_hello();
    s.write("folder/thesis.txt", "x");
    refused(&s, &["build", "./hello", "-o", "folder"], 9, &["folder", "left untouched"]);
    refused(&s, &["build", "./hello", "-o", "folder/thesis.txt"], 9, &["thesis.txt"]);
    refused(&s, &["build", "./hello", "-o", "folder/thesis.txt/x.tar"], 9, &["thesis.txt"]);
    refused(&s, &["build", "./hello", "-o", "/proc/x.tar"], 9, &["/proc"]);
    refused(&s, &["build", "./hello", "--push"], 2, &["-t"]);
    refused(&s, &["build", "./hello", "-t", "Upper/Case"], 2, &["Upper/Case"]);
    assert_eq!(s.read("folder/thesis.txt"), b"x");
}

#[test]
fn a_full_disk_leaves_nothing_under_the_final_name() {
    let s = Sandbox::new().with_hello();
    // A limit on file size stands in for a full disk: the write fails in the middle.
    let mut command = std::process::Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 600; exec \"$0\" build ./hello -o out.tar";
    command.args(["-c", script, env!("CARGO_BIN_EXE_assemble")]).current_dir(s.root());
    command.env("HOME", s.path("home")).env("ASSEMBLE_CACHE", s.path("cache"));
    let ran = crate::sandbox::finish(&mut command, s.root());
    assert_eq!(ran.code, 9, "{}", ran.stderr);
    let left: Vec<_> = fs::read_dir(s.root()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|n| n.to_string_lossy().contains("out.tar")), "{left:?}");
}

#[test]
fn an_interrupt_ends_it_and_leaves_nothing() {
    let s = Sandbox::new().with_hello();
    let file = fs::File::create(s.path("big")).unwrap();
    file.set_len(8 * 1024 * 1024 * 1024).unwrap();
    s.write("spec.yaml", "contents:\n  base-files: false\n  files: [{source: big, path: /big}]\n");
    let mut child = s
        .command(["build", "spec.yaml", "-o", "out.tar", "--threads", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    let left: Vec<_> = fs::read_dir(s.root()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|n| n.to_string_lossy().contains("out.tar")), "{left:?}");
}

#[test]
fn special_files_are_refused_by_name() {
    let s = Sandbox::new().with_hello();
    fs::create_dir_all(s.path("data")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(s.path("data/sock")).unwrap();
    s.write("spec.yaml", "contents:\n  binary: hello\n  files: [{source: data, path: /data}]\n");
    refused(&s, &["build", "spec.yaml"], 3, &["data/sock"]);
}
