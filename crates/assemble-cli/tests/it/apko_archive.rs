//! apko's own archives, and images with several layers of packages, read by our other commands.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use assemble_testkit::{ApkBuilder, RegistryStub, RepositoryBuilder, TEST_KEY, TEST_KEY_NAME};
use serde_json::Value;

use crate::sandbox::Sandbox;
use crate::tools::{have, run};

/// A sandbox with `app`, which needs `lib`, for two architectures.
fn place(more: &str) -> Sandbox {
    let s = Sandbox::new();
    s.write(TEST_KEY_NAME, TEST_KEY);
    for arch in ["x86_64", "aarch64"] {
        let package = |name: &str, depends: &[&str]| {
            ApkBuilder::new(name, "1-r0")
                .arch(arch)
                .origin(name)
                .depends(depends)
                .dir("usr")
                .dir("usr/share")
                .file(&format!("usr/share/{name}"), format!("{name} for {arch}"))
        };
        let repository =
            RepositoryBuilder::new().package(package("app", &["lib"])).package(package("lib", &[]));
        repository.write(&s.path("repo"), arch);
    }
    let text = format!(
        "contents:\n  repositories: [./repo]\n  keyring: [{TEST_KEY_NAME}]\n  packages: [app]\narchs: [x86_64, aarch64]\n{more}"
    );
    s.write("app.yaml", text);
    s
}

fn packages(inspected: &Value) -> BTreeSet<String> {
    let list = inspected["images"][0]["packages"].as_array().unwrap();
    list.iter().map(|package| package["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn apkos_archive_is_an_image() {
    let s = place("");
    s.ok(["apko", "build", "app.yaml", "localhost:5000/team/app:v1", "app.tar"]);
    fs::create_dir(s.path("layout")).unwrap();
    s.ok(["apko", "build", "app.yaml", "localhost:5000/team/app:v1", "layout"]);
    let whole = s.json(["inspect", "app.tar", "--json"]);
    assert_eq!(whole["platforms"], serde_json::json!(["linux/amd64", "linux/arm64"]));
    for (platform, arch, tag) in [("amd64", "x86_64", "v1-amd64"), ("arm64", "aarch64", "v1-arm64")] {
        let one = s.json(["inspect", "app.tar", "--platform", platform, "--json"]);
        assert_eq!(packages(&one), ["app", "lib"].map(str::to_owned).into());
        let told = s.ok(["inspect", "app.tar", "--platform", platform, "--cat", "/usr/share/app"]);
        assert_eq!(told, format!("app for {arch}"));
        // By its tag, as docker would know it.
        let tagged = s.json(["inspect", &format!("app.tar:localhost:5000/team/app:{tag}"), "--json"]);
        assert_eq!(tagged["images"][0]["config"], one["images"][0]["config"]);
    }
    s.ok(["export", "app.tar", "-o", "root.tar", "--platform", "arm64"]);
    let listed = run(Command::new("tar").arg("-tf").arg(s.path("root.tar")));
    assert!(listed.lines().any(|name| name == "usr/share/app"), "{listed}");
    // What is pushed is what `apko publish` would push.
    let registry = RegistryStub::start();
    let name = format!("{}/team/app:1", registry.host());
    let pushed = s.json(["push", "app.tar", &name, &format!("--plain-http={}", registry.host()), "--json"]);
    let index = fs::read(s.path("layout/index.json")).unwrap();
    assert_eq!(registry.manifest("team/app", "1").unwrap().1, index);
    assert_eq!(pushed["digest"], whole["digest"]);
    // Compared, and not called damaged: our own configurations say more than apko's.
    let ran = s.run(["verify", "app.tar", "--spec", "app.yaml", "--start-check", "off"]);
    assert_eq!(ran.code, 8, "{}", ran.stderr);
    assert!(ran.stderr.contains("config") && !ran.stderr.contains("damaged"), "{}", ran.stderr);
}

#[test]
fn a_tampered_archive_of_apkos_is_damaged() {
    let test = "a_tampered_archive_of_apkos_is_damaged";
    if !have("python3", test) {
        return;
    }
    let s = place("");
    s.ok(["apko", "build", "app.yaml", "app:v1", "app.tar", "--arch", "x86_64"]);
    let tamper = "import io,sys,tarfile\n\
                  a=tarfile.open('app.tar'); b=tarfile.open('bad.tar','w')\n\
                  for m in a:\n\
                  \x20 d=a.extractfile(m).read()\n\
                  \x20 if m.name.endswith('.tar.gz'):\n\
                  \x20   if sys.argv[1]=='drop': continue\n\
                  \x20   d=d[:-1]+bytes([d[-1]^1])\n\
                  \x20 b.addfile(m,io.BytesIO(d))\n";
    for (how, word) in [("drop", "is missing"), ("change", "image/damaged")] {
        run(Command::new("python3").args(["-c", tamper, how]).current_dir(s.root()));
        let ran = s.run(["inspect", "bad.tar", "--files"]);
        assert!(ran.code == 5 && ran.stderr.contains(word), "{how}: {}", ran.stderr);
    }
}

#[test]
fn packages_of_several_layers_are_all_listed() {
    let s = place("layering: {strategy: origin, budget: 5}\n");
    s.ok(["build", "app.yaml", "--platform", "amd64", "--start-check", "off", "-o", "oci:ours"]);
    s.ok(["apko", "build", "app.yaml", "app:v1", "theirs.tar", "--arch", "x86_64"]);
    for image in ["ours", "theirs.tar"] {
        let inspected = s.json(["inspect", image, "--json"]);
        assert!(inspected["images"][0]["layers"].as_array().unwrap().len() > 2, "{inspected}");
        assert_eq!(packages(&inspected), ["app", "lib"].map(str::to_owned).into(), "{image}");
    }
    // Nothing is lost where other layers lie on top.
    s.write("note", "x");
    let text = String::from_utf8(s.read("app.yaml")).unwrap();
    s.write(
        "more.yaml",
        text.replace("contents:\n", "contents:\n  files: [{source: note, path: /etc/note}]\n"),
    );
    s.ok(["build", "more.yaml", "--platform", "amd64", "--start-check", "off", "-o", "oci:more"]);
    let inspected = s.json(["inspect", "more", "--json"]);
    assert_eq!(packages(&inspected), ["app", "lib"].map(str::to_owned).into());
}
