//! Root file systems on disk: what is written, and that nothing is written elsewhere.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use assemble_testkit::{
    ApkBuilder, RepositoryBuilder, TEST_KEY, TEST_KEY_NAME, TarEntry, TarKind, tar_bytes,
};
use data_encoding::HEXLOWER;
use expect_test::expect;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::hostile_checks::Image;
use crate::sandbox::{Sandbox, workspace};
use crate::tools::{root, run, skipped, try_run};

/// A layout whose only layer is this tar, whoever would make such a thing.
fn layout(s: &Sandbox, name: &str, layer: &[u8]) {
    let blob = |bytes: &[u8]| {
        let hex = HEXLOWER.encode(&Sha256::digest(bytes));
        s.write(&format!("{name}/blobs/sha256/{hex}"), bytes);
        json!({"digest": format!("sha256:{hex}"), "size": bytes.len()})
    };
    let layer = blob(layer);
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    });
    let config = blob(config.to_string().as_bytes());
    let with = |descriptor: &serde_json::Value, kind: &str| json!({"mediaType": kind, "digest": descriptor["digest"], "size": descriptor["size"]});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": with(&config, "application/vnd.oci.image.config.v1+json"),
        "layers": [with(&layer, "application/vnd.oci.image.layer.v1.tar")],
    });
    let manifest = blob(manifest.to_string().as_bytes());
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [with(&manifest, "application/vnd.oci.image.manifest.v1+json")],
    });
    s.write(&format!("{name}/index.json"), index.to_string());
    s.write(&format!("{name}/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
}

/// A spec of one package with everything that a file system can hold.
fn packaged(s: &Sandbox) {
    let package = ApkBuilder::new("tool", "1.0-r0")
        .dir("usr")
        .dir("usr/bin")
        .executable("usr/bin/tool", b"#!/bin/sh\n")
        .hardlink("usr/bin/again", "usr/bin/tool")
        .symlink("usr/bin/link", "tool")
        .symlink("out", "../../../../etc")
        .file("usr/bin/su", b"x")
        .mode(0o4755)
        .dir("closed")
        .mode(0o555)
        .file("closed/in", b"inside")
        .mtime(1_500_000_000);
    RepositoryBuilder::new().package(package).write(&s.path("repo"), "x86_64");
    s.write(TEST_KEY_NAME, TEST_KEY);
    let spec = json!({"contents": {"repositories": ["./repo"], "keyring": [format!("./{TEST_KEY_NAME}")], "packages": ["tool"]}});
    s.write("spec.yaml", spec.to_string());
}

#[test]
fn a_spec_becomes_a_folder_and_a_tar() {
    let s = Sandbox::new();
    packaged(&s);
    let report = s.json(["export", "spec.yaml", "-o", "root", "--start-check", "off", "--json"]);
    let at = |name: &str| s.path(&format!("root/{name}"));
    assert_eq!(fs::read(at("usr/bin/tool")).unwrap(), b"#!/bin/sh\n");
    assert_eq!(fs::metadata(at("usr/bin/tool")).unwrap().permissions().mode() & 0o7777, 0o755);
    assert_eq!(fs::read_link(at("usr/bin/link")).unwrap(), Path::new("tool"));
    assert_eq!(fs::read_link(at("out")).unwrap(), Path::new("../../../../etc"), "kept as it is");
    assert_eq!(fs::metadata(at("closed")).unwrap().permissions().mode() & 0o7777, 0o555);
    let inside = fs::metadata(at("closed/in")).unwrap();
    assert_eq!((inside.len(), inside.mtime()), (6, 1_500_000_000));
    let linked = |name: &str| fs::metadata(at(name)).unwrap().ino();
    assert_eq!(linked("usr/bin/again"), linked("usr/bin/tool"));
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let set_id = fs::metadata(at("usr/bin/su")).unwrap().permissions().mode() & 0o7777;
    assert_eq!(set_id, if is_root { 0o4755 } else { 0o755 });
    assert_eq!(report["owners_ignored"], !is_root);
    assert_eq!(report["without_set_id"], u64::from(!is_root));

    s.ok(["export", "spec.yaml", "-o", "one.tar", "--start-check", "off"]);
    s.ok(["build", "spec.yaml", "-o", "image.oci", "--start-check", "off"]);
    s.ok(["export", "image.oci", "-o", "two.tar"]);
    assert_eq!(s.read("one.tar"), s.read("two.tar"), "the same tree has the same bytes");
    let names: Vec<String> = tar_names(&s.path("one.tar"));
    assert!(names.contains(&"usr/bin/su".to_owned()) && names.contains(&"dev/null".to_owned()), "{names:?}");
    // The report counts what the tar has, devices and all.
    let tar = s.json(["export", "image.oci", "-o", "three.tar", "--json"]);
    assert_eq!(tar["entries"], names.len());
    assert!(Image::read(&s.path("image.oci")).is_some());
}

/// The tar on standard output is that of a file; who has read enough may leave.
#[test]
fn a_tar_goes_down_a_pipe() {
    let s = Sandbox::new();
    packaged(&s);
    s.ok(["build", "spec.yaml", "-o", "image.oci", "--start-check", "off"]);
    s.ok(["export", "image.oci", "-o", "file.tar"]);
    let output = s.command(["export", "image.oci", "-o", "-"]).output().unwrap();
    assert!(output.status.success());
    assert!(output.stdout == s.read("file.tar"), "other bytes");
    assert!(String::from_utf8_lossy(&output.stderr).contains("to standard output"));
    assert!(!s.path("-").exists());
    let mut reader = s.command(["export", "image.oci", "-o", "-"]);
    let mut reader = reader.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(reader.stdout.take());
    assert!(reader.wait().unwrap().success());
    let both = s.run(["export", "image.oci", "-o", "-", "--json"]);
    assert_eq!(both.code, 2, "{}", both.stderr);
    assert!(both.stderr.contains("both write to standard output"), "{}", both.stderr);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let full = s.command(["export", "image.oci", "-o", "-"]).stdout(full).output().unwrap();
    assert_eq!(full.status.code(), Some(9), "{}", String::from_utf8_lossy(&full.stderr));
}

fn tar_names(path: &Path) -> Vec<String> {
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    let name = |entry: std::io::Result<tar::Entry<'_, fs::File>>| {
        String::from_utf8_lossy(&entry.unwrap().path_bytes()).trim_end_matches('/').to_owned()
    };
    archive.entries().unwrap().map(name).collect()
}

#[test]
fn places_that_hold_something_are_refused_before_anything_is_built() {
    let s = Sandbox::new();
    packaged(&s);
    s.write("full/thesis.txt", "x");
    std::os::unix::fs::symlink("nowhere", s.path("dangling")).unwrap();
    for (place, says) in
        [("full", "is not empty"), ("dangling", "cannot be read"), ("root.tar.gz", "name it .tar")]
    {
        let ran = s.run(["export", "spec.yaml", "-o", place, "--start-check", "off"]);
        assert!(ran.code != 0 && ran.stderr.contains(says), "{place}: {}", ran.stderr);
    }
    assert!(!s.path("nowhere").exists());
    assert_eq!(fs::read_dir(s.path("full")).unwrap().count(), 1);
    fs::create_dir(s.path("empty")).unwrap();
    s.ok(["export", "spec.yaml", "-o", "empty", "--start-check", "off"]);
    assert!(s.path("empty/usr/bin/tool").is_file());
    let left: Vec<_> = fs::read_dir(s.root()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{left:?}");
}

/// Whatever the layer says, only names below the folder are made.
#[test]
fn an_image_is_not_what_export_writes() {
    let s = Sandbox::new();
    let export = |output: &str| s.run(["export", "spec.yaml", "-o", output]).shown();
    expect![[r#"
        exit: 2
        error[output/unknown]: `oci:DIR` is nothing that export writes
         |
         = help: an image is written by build: assemble build SPEC -o oci:DIR
         = help: export writes the root file system of an image: -o DIR for a folder, NAME.tar for a tar that is not compressed, - for that tar on standard output
    "#]]
    .assert_eq(&export("oci:DIR"));
    expect![[r#"
        exit: 2
        error[output/unknown]: `x.tgz` is nothing that export writes
         |
         = help: the tar is written as it is: name it .tar and compress it afterwards
         = help: export writes the root file system of an image: -o DIR for a folder, NAME.tar for a tar that is not compressed, - for that tar on standard output
    "#]]
    .assert_eq(&export("x.tgz"));
    for output in ["docker-archive:FILE", "docker-daemon:x", "registry.example.org/app:1", "x.zip"] {
        let shown = export(output);
        assert!(shown.starts_with("exit: 2\n") && shown.contains("nothing that export writes"), "{shown}");
    }
    assert!(!s.path("oci:DIR").exists() && !s.path("x.zip").exists());
}

#[test]
fn nothing_is_written_outside() {
    let link = |name: &str, to: &str| TarEntry::new(name, TarKind::Symlink(to.into()));
    let hard = |name: &str, to: &str| TarEntry::new(name, TarKind::HardLink(to.into()));
    let file = |name: &str| TarEntry::file(name, b"evil".to_vec());
    let s = Sandbox::new();
    s.write("victim/file", "precious");
    let victim = s.path("victim").display().to_string();
    let attacks: Vec<(&str, Vec<TarEntry>)> = vec![
        ("dotdot", vec![file("../victim/new")]),
        ("absolute", vec![file(&format!("{victim}/new"))]),
        ("through", vec![link("a", &victim), file("a/new")]),
        ("through-relative", vec![link("a", "../victim"), file("a/new")]),
        ("over-a-link", vec![link("a", &format!("{victim}/file")), file("a")]),
        (
            "folder-over-a-link",
            vec![link("a", &victim), TarEntry::new("a", TarKind::Directory), file("a/new")],
        ),
        ("chain", vec![link("a", "."), link("a/b", ".."), file("b/victim/new")]),
        ("hard", vec![hard("a", &format!("{victim}/file")), file("a")]),
        ("hard-dotdot", vec![hard("a", "../victim/file")]),
        ("hard-of-a-link", vec![link("a", &format!("{victim}/file")), hard("b", "a"), file("b")]),
        ("whiteout", vec![file("../.wh.victim"), file(".wh...")]),
        ("dot", vec![file("."), file("./")]),
    ];
    let mut written = 0;
    for (name, entries) in attacks {
        layout(&s, name, &tar_bytes(&entries, true));
        for target in [format!("{name}.root"), format!("{name}.tar")] {
            let ran = s.run(["export", name, "-o", &target]);
            written += u32::from(ran.code == 0);
            assert!(ran.code != 101 && ran.code != 70, "{name}: {}", ran.stderr);
            assert_eq!(s.read("victim/file"), b"precious", "{name}");
            assert_eq!(fs::read_dir(s.path("victim")).unwrap().count(), 1, "{name}");
        }
        let outside = s.path(&format!("{name}.root")).canonicalize();
        assert!(outside.is_err() || !outside.unwrap().starts_with(&victim));
    }
    assert!(written > 5, "a tool that refuses everything has failed, too");
    let names: Vec<PathBuf> = fs::read_dir(s.root()).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(!names.iter().any(|path| path.ends_with("new")), "{names:?}");
}

#[test]
fn a_plain_user_gets_files_modes_and_links() {
    let test = "a_plain_user_gets_files_modes_and_links";
    if !root(test) {
        return;
    }
    let s = Sandbox::new();
    packaged(&s);
    s.ok(["build", "spec.yaml", "-o", "image.oci", "--start-check", "off"]);
    fs::set_permissions(s.root(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = s.path("assemble");
    fs::copy(env!("CARGO_BIN_EXE_assemble"), &program).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65532", "--regid", "65532", "--clear-groups"]).arg(&program);
    command
        .args(["export", "image.oci", "-o", "mine", "--json", "--cache-dir", "own-cache"])
        .current_dir(s.root());
    let output = try_run(&mut command);
    if output.status.code() == Some(127) {
        return skipped(test, "setpriv cannot be used here");
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["owners_ignored"], &report["without_set_id"]), (&true.into(), &1.into()));
    assert!(report["left_out"].as_u64().unwrap() >= 4, "the devices: {report}");
    let closed = fs::metadata(s.path("mine/closed")).unwrap();
    assert_eq!((closed.uid(), closed.permissions().mode() & 0o7777), (65532, 0o555));
    assert!(s.path("mine/closed/in").is_file());
    run(Command::new("chmod").args(["-R", "u+w"]).arg(s.path("mine")));
}

#[test]
fn the_example_is_exported() {
    let s = Sandbox::new().with_hello();
    let spec = workspace().join("configs/hello.yaml");
    assert!(spec.is_file());
    s.ok(["build", "./hello", "-t", "a:1"]);
    s.ok(["export", "hello.oci:1", "-o", "by-name"]);
    assert!(s.path("by-name/usr/bin/hello").is_file());
}
