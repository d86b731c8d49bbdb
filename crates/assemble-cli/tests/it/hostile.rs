//! Images, layouts and places that are meant to hurt.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::process::Command;

use crate::sandbox::Sandbox;

#[test]
fn many_builds_into_one_new_layout_lose_no_name() {
    let s = Sandbox::new().with_hello();
    s.write("spec.yaml", "contents:\n  binary: hello\n  base-files: false\n");
    let builds: Vec<_> = (0..16)
        .map(|n| {
            let mut command = s.command(["build", "spec.yaml", "-q", "-o", "all", "-t", &format!("app:{n}")]);
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut build in builds {
        assert!(build.wait().unwrap().success());
    }
    let index: serde_json::Value = serde_json::from_slice(&s.read("all/index.json")).unwrap();
    let mut names: Vec<_> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| {
            m["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap().parse::<u32>().unwrap()
        })
        .collect();
    names.sort_unstable();
    assert_eq!(names, (0..16).collect::<Vec<_>>());
    let left: Vec<_> = fs::read_dir(s.path("all")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|n| n.to_string_lossy().contains(".tmp")), "{left:?}");
}

#[test]
fn what_an_interrupted_build_left_is_no_obstacle() {
    let s = Sandbox::new().with_hello();
    s.write("out/.assemble-AbCdEf.tmp", "half");
    assert_eq!(s.run(["build", "./hello", "-o", "out"]).code, 0);
    s.write("other/thesis.txt", "x");
    assert_eq!(
        s.run(["build", "./hello", "-o", "other/new/../.."]).code,
        9,
        "leads into a folder that is none of ours"
    );
    assert!(!s.path("oci-layout").exists());
}

#[test]
fn devices_and_pipes_stay_what_they_are() {
    let s = Sandbox::new().with_hello();
    std::os::unix::fs::symlink("/dev/null", s.path("null")).unwrap();
    assert_eq!(s.run(["build", "./hello", "-o", "none", "--digest-file", "null"]).code, 0);
    assert!(s.path("null").is_symlink());
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn an_index_that_never_ends_is_not_read() {
    let s = Sandbox::new().with_hello();
    assert_eq!(s.run(["build", "./hello", "-o", "out"]).code, 0);
    fs::remove_file(s.path("out/index.json")).unwrap();
    let made = Command::new("mkfifo").arg(s.path("out/index.json")).status().unwrap();
    assert!(made.success());
    let ran = s.run(["build", "./hello", "-o", "out"]);
    assert!(ran.code != 0 && ran.stderr.contains("index.json"), "{}", ran.stderr);
    assert_ne!(s.run(["inspect", "out"]).code, 0);
}

#[test]
fn lies_in_an_image_are_noticed() {
    let s = Sandbox::new().with_hello();
    s.ok(["build", "./hello"]);
    let document = s.json(["inspect", "hello.oci", "--json"]);
    let layer = document["images"][0]["layers"][1]["digest"]
        .as_str()
        .unwrap()
        .trim_start_matches("sha256:")
        .to_owned();
    let path = s.path(&format!("hello.oci/blobs/sha256/{layer}"));
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let ran = s.run(["inspect", "hello.oci", "--files"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    let registry = assemble_testkit::RegistryStub::start();
    let ran = s.run(["push", "hello.oci", &format!("{}/a:1", registry.host())]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(registry.tags("a").is_empty());
    // A build into it notices the damaged blob and writes it anew.
    s.ok(["build", "./hello"]);
    assert_eq!(s.run(["inspect", "hello.oci", "--files"]).code, 0);
}

#[test]
fn names_cannot_steer_the_terminal() {
    let s = Sandbox::new().with_hello();
    s.write(
        "spec.yaml",
        "contents: {binary: hello}\ncmd: [\"a\\nFAKE line\", \"\\e[2J\", \"\\u202Eabc\"]\nannotations: {x: \"\\u009B1m\"}\n",
    );
    let built = s.run(["build", "spec.yaml"]);
    let inspected = s.run(["inspect", "spec.oci"]);
    for text in [&built.stderr, &inspected.stdout] {
        assert!(!text.lines().any(|line| line.starts_with("FAKE")), "{text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(!text.contains('\u{202e}'), "{text:?}");
    }
}

#[test]
fn files_of_the_kernel_are_not_packed_as_empty() {
    let s = Sandbox::new().with_hello();
    s.write("spec.yaml", "contents:\n  binary: hello\n  files: [{source: /proc/version, path: /v}]\n");
    let ran = s.run(["build", "spec.yaml"]);
    assert_eq!(ran.code, 9, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("more bytes than its size says") && ran.stderr.contains("cat "),
        "{}",
        ran.stderr
    );
}
