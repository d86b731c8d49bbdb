//! Images upon others: built on layouts that we wrote, read by others' tools, and on layouts that are meant to hurt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use assemble_testkit::{ApkBuilder, RepositoryBuilder, TEST_KEY, TEST_KEY_NAME};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::sandbox::Sandbox;
use crate::tools::{have, run, unpack};

const DATABASE: &str = "/usr/lib/apk/db/installed";
const TOP: &str = "contents:\n  baseimage: {image: ./base.oci, apkindex: ./metadata}\n  repositories: [./repo]\n  \
                   keyring: [testkit.rsa.pub]\n  packages: [app]\narchs: [x86_64, aarch64]\n";

fn package(name: &str, version: &str, arch: &str, depends: &[&str]) -> ApkBuilder {
    let text = format!("{name} {version} {arch}");
    let file = format!("usr/share/{name}");
    ApkBuilder::new(name, version).arch(arch).depends(depends).dir("usr").dir("usr/share").file(&file, text)
}

/// A base image with `lib`, of another version for each architecture, and a spec that puts `app` on top, which needs it.
/// The repository has a newer `lib` by then.
fn place() -> Sandbox {
    let s = Sandbox::new();
    s.write(TEST_KEY_NAME, TEST_KEY);
    assert_eq!(TEST_KEY_NAME, "testkit.rsa.pub");
    s.write("hello.txt", "hello");
    s.write(
        "base.yaml",
        "contents:\n  repositories: [./old]\n  keyring: [testkit.rsa.pub]\n  packages: [lib]\n  \
         files: [{source: hello.txt, path: /etc/hello}]\n  base-files: false\nentrypoint: [/bin/lib, --serve]\ncmd: [now]\n\
         environment: {FROM: base}\naccounts: {run-as: 1234}\narchs: [x86_64, aarch64]\n\
         annotations: {org.example.of: base}\n",
    );
    for (arch, version) in [("x86_64", "1-r0"), ("aarch64", "1-r1")] {
        RepositoryBuilder::new().package(package("lib", version, arch, &[])).write(&s.path("old"), arch);
        RepositoryBuilder::new()
            .package(package("lib", version, arch, &[]))
            .package(package("lib", "2-r0", arch, &[]))
            .package(package("app", "1-r0", arch, &["lib"]))
            .write(&s.path("repo"), arch);
    }
    for (arch, platform) in [("x86_64", "amd64"), ("aarch64", "arm64")] {
        // Each by itself, since the two do not agree on a version.
        s.ok(["build", "base.yaml", "--start-check", "off", "--platform", platform, "-o", arch]);
        let database = s.run(["inspect", arch, "--cat", DATABASE]).stdout;
        assert!(database.starts_with("P:lib\n"), "{database}");
        s.write(&format!("metadata/{arch}/APKINDEX"), database);
        s.ok([
            "build",
            "base.yaml",
            "--start-check",
            "off",
            "--platform",
            platform,
            "-o",
            "base.oci",
            "-t",
            &format!("base:{arch}"),
        ]);
    }
    s.write("top.yaml", TOP);
    s
}

fn document(s: &Sandbox, name: &str) -> Value {
    serde_json::from_slice(&s.read(name)).unwrap()
}

#[test]
fn an_image_upon_another_is_whole() {
    let s = place();
    let built = s.json(["build", "top.yaml", "-o", "oci:top", "-t", "top:1", "--json"]);
    for (image, (platform, lib)) in
        built["images"].as_array().unwrap().iter().zip([("linux/amd64", "1-r0"), ("linux/arm64", "1-r1")])
    {
        assert_eq!(image["platform"], platform);
        let parts: Vec<&Value> =
            image["layers"].as_array().unwrap().iter().map(|layer| &layer["part"]).collect();
        assert_eq!(parts, ["base image", "base image", "packages"], "{platform}");
        let names: Vec<&Value> =
            image["packages"].as_array().unwrap().iter().map(|package| &package["name"]).collect();
        assert_eq!(names, ["app"], "what the base has is not installed again");
        let inspected = s.json(["inspect", "top", "--platform", platform, "--json"])["images"][0].clone();
        let packages: Vec<String> = inspected["packages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| format!("{}-{}", p["name"].as_str().unwrap(), p["version"].as_str().unwrap()))
            .collect();
        assert_eq!(packages, [format!("lib-{lib}"), "app-1-r0".to_owned()]);
        assert_eq!(inspected["entrypoint"], json!(["/bin/lib", "--serve"]));
        assert_eq!(inspected["cmd"], json!(["now"]));
        assert_eq!(inspected["user"], "1234:1234");
        assert!(inspected["environment"].as_array().unwrap().contains(&json!("FROM=base")));
        assert_eq!(inspected["annotations"]["org.example.of"], "base", "annotations are inherited");
        assert!(inspected["annotations"]["org.opencontainers.image.base.digest"].is_string());
        for (path, text) in [("/etc/hello", "hello"), ("/usr/share/app", "app 1-r0")] {
            let found = s.ok(["inspect", "top", "--platform", platform, "--cat", path]);
            assert!(found.starts_with(text), "{path}: {found}");
        }
        let world = s.ok(["inspect", "top", "--platform", platform, "--cat", "/etc/apk/world"]);
        assert_eq!(world, format!("app=1-r0\nlib={lib}"));
    }
    s.ok(["verify", "top.yaml"]);
    s.ok(["verify", "top", "--spec", "top.yaml"]);
    for output in ["hybrid.tar", "oci-archive:oci.tar"] {
        assert_eq!(s.ok(["build", "top.yaml", "-o", output]), built["digest"].as_str().unwrap(), "{output}");
        let passed = s.ok(["inspect", output, "--cat", "/etc/hello"]);
        assert_eq!(passed, "hello");
    }
}

#[test]
fn others_read_an_image_upon_another() {
    let test = "others_read_an_image_upon_another";
    if !(have("skopeo", test) && have("umoci", test)) {
        return;
    }
    let s = place();
    s.ok(["build", "top.yaml", "--platform", "amd64", "-o", "oci:top", "-t", "top:1"]);
    let top = format!("oci:{}:1", s.path("top").display());
    let inspected: Value =
        serde_json::from_str(&run(Command::new("skopeo").args(["inspect", "--config", &top]))).unwrap();
    assert!(inspected["config"]["Labels"].is_null(), "labels are not inherited: {inspected}");
    assert_eq!(inspected["history"].as_array().unwrap().len(), 3);
    assert_eq!(inspected["rootfs"]["diff_ids"].as_array().unwrap().len(), 3);
    run(Command::new("skopeo").args(["copy", &top]).arg(format!("dir:{}", s.path("copied").display())));
    unpack(&s.path("top"), "1", &s.path("bundle"));
    for (path, text) in [("etc/hello", "hello"), ("usr/share/lib", "lib 1-r0"), ("usr/share/app", "app 1-r0")]
    {
        let found = fs::read_to_string(s.path("bundle/rootfs").join(path)).unwrap();
        assert!(found.starts_with(text), "{path}: {found}");
    }
}

#[test]
fn a_binary_upon_another_image() {
    let s = place().with_hello();
    s.write(
        "top.yaml",
        "contents:\n  baseimage: {image: './base.oci:x86_64', apkindex: ./metadata}\n  binary: hello\narchs: [x86_64]\n",
    );
    let built = s.json(["build", "top.yaml", "-o", "oci:top", "--json"]);
    let parts: Vec<&Value> =
        built["images"][0]["layers"].as_array().unwrap().iter().map(|layer| &layer["part"]).collect();
    assert_eq!(parts, ["base image", "base image", "binary"], "no base files of ours on top of another's");
    let image = s.json(["inspect", "top", "--json"])["images"][0].clone();
    assert_eq!(image["entrypoint"], json!(["/usr/bin/hello"]));
    assert_eq!(image["cmd"], json!([]), "arguments of another program");
    assert_eq!(image["user"], "1234:1234");
}

#[test]
fn locks_of_an_image_upon_another() {
    let s = place();
    s.ok(["lock", "top.yaml"]);
    let lock = String::from_utf8(s.read("top.lock")).unwrap();
    assert!(lock.contains("app") && !lock.contains("lib-1"), "{lock}");
    let digest = s.ok(["build", "top.yaml", "--locked", "-o", "none"]);
    assert_eq!(digest, s.ok(["build", "top.yaml", "--ignore-lock", "-o", "none"]));
    s.ok(["vendor", "top.yaml", "-o", "vendored"]);
    fs::rename(s.path("repo"), s.path("gone")).unwrap();
    assert_eq!(digest, s.ok(["build", "top.yaml", "--locked", "--vendor", "vendored", "-o", "none"]));
    fs::rename(s.path("gone"), s.path("repo")).unwrap();
    // Another base image is drift, though not a letter of the spec is another one.
    let database = String::from_utf8(s.read("metadata/x86_64/APKINDEX")).unwrap();
    s.write("metadata/x86_64/APKINDEX", database.replace("T:", "T:other "));
    let ran = s.run(["build", "top.yaml", "--locked", "-o", "none"]);
    assert!(ran.code != 0 && ran.stderr.contains("base image"), "{}", ran.stderr);
}

#[test]
fn apko_builds_upon_another_image_from_a_lock() {
    let s = place();
    fs::create_dir(s.path("out")).unwrap();
    let ran = s.run(["apko", "build", "top.yaml", "top:1", "out"]);
    assert!(ran.code == 1 && ran.stderr.contains("base-image/needs-lockfile"), "{}", ran.stderr);
    s.ok(["apko", "lock", "top.yaml"]);
    assert!(!String::from_utf8(s.read("top.lock.json")).unwrap().contains("\"lib\""));
    s.ok(["apko", "build", "top.yaml", "top:1", "out", "--lockfile", "top.lock.json"]);
    let index = document(&s, "out/index.json");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    let ran = s.run(["apko", "build-minirootfs", "top.yaml", "mini.tar", "--build-arch", "x86_64"]);
    assert!(ran.code == 1 && ran.stderr.contains("assemble export"), "{}", ran.stderr);
}

/// Fails with this code, and in time.
#[track_caller]
fn refused(s: &Sandbox, code: &str, words: &[&str]) {
    let start = Instant::now();
    let mut command = s.command(["build", "top.yaml", "-o", "oci:result", "--platform", "amd64"]);
    let ran = crate::sandbox::finish(&mut command, s.root());
    assert!(start.elapsed().as_secs() < 30, "{code}: too slow");
    assert_ne!(ran.code, 0, "{code}: built");
    assert!(ran.stderr.contains(&format!("error[{code}]")), "{code} is missing in\n{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` is missing in\n{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("panic"), "{}", ran.stderr);
    assert!(!s.path("result").exists(), "{code}: something is left behind");
}

fn blob(s: &Sandbox, digest: &Value) -> PathBuf {
    s.path("base.oci/blobs/sha256").join(digest.as_str().unwrap().trim_start_matches("sha256:"))
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Stores a document and gives its descriptor.
fn store(s: &Sandbox, media_type: &str, document: &Value) -> Value {
    let bytes = document.to_string().into_bytes();
    let digest = format!("sha256:{}", data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes)));
    fs::write(blob(s, &json!(digest)), &bytes).unwrap();
    json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The layout with only the image for amd64; its manifest.
fn one(s: &Sandbox) -> Value {
    let index = document(s, "base.oci/index.json");
    let entry = index["manifests"][0].clone();
    list(s, std::slice::from_ref(&entry));
    read(&blob(s, &entry["digest"]))
}

fn list(s: &Sandbox, entries: &[Value]) {
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
    s.write("base.oci/index.json", index.to_string());
}

/// The manifest with another configuration, as the layout's only image.
fn with_config(s: &Sandbox, manifest: &Value, change: impl Fn(&mut Value)) {
    let mut config = read(&blob(s, &manifest["config"]["digest"]));
    change(&mut config);
    let mut manifest = manifest.clone();
    manifest["config"] = store(s, CONFIG, &config);
    list(s, &[store(s, MANIFEST, &manifest)]);
}

#[test]
fn blobs_and_documents_that_do_not_fit() {
    let s = place();
    let manifest = one(&s);
    let layer = blob(&s, &manifest["layers"][0]["digest"]);
    let good = fs::read(&layer).unwrap();
    fs::remove_file(&layer).unwrap();
    refused(&s, "image/damaged", &["is missing"]);
    run(Command::new("mkfifo").arg(&layer));
    refused(&s, "image/damaged", &["is no file"]);
    fs::remove_file(&layer).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &layer).unwrap();
    refused(&s, "image/damaged", &["is no file"]);
    fs::remove_file(&layer).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(&layer, bad).unwrap();
    refused(&s, "image/damaged", &["base.oci"]);
    fs::write(&layer, good).unwrap();
    with_config(&s, &manifest, |config| {
        config["rootfs"]["diff_ids"][0] = json!(format!("sha256:{}", "0".repeat(64)));
    });
    refused(&s, "base-image/diff-id", &["layer 1", "top.yaml:2"]);
    with_config(&s, &manifest, |config| {
        config["rootfs"]["diff_ids"].as_array_mut().unwrap().pop();
    });
    refused(&s, "base-image/layers", &["lists 2 layers", "1"]);
    with_config(&s, &manifest, |config| config["architecture"] = json!("s390x"));
    refused(&s, "base-image/no-platform", &["linux/amd64", "linux/s390x"]);
    let entry = store(&s, MANIFEST, &manifest);
    let mut twice = manifest.clone();
    twice["annotations"]["other"] = json!("1");
    list(&s, &[entry.clone(), store(&s, MANIFEST, &twice)]);
    refused(&s, "base-image/several", &["base.oci:NAME"]);
    // Indexes in indexes are looked into, but not for ever.
    let nested = |depth: usize| {
        let index = |entry: &Value| json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
        (0..depth).fold(entry.clone(), |inner, _| store(&s, INDEX, &index(&inner)))
    };
    list(&s, &[nested(3)]);
    s.ok(["build", "top.yaml", "-o", "none", "--platform", "amd64"]);
    list(&s, &[nested(12)]);
    refused(&s, "base-image/too-much", &["too deep"]);
    // A loop cannot be written with digests that are checked: the index that is named is another one.
    let loops = json!({ "mediaType": INDEX, "digest": entry["digest"], "size": entry["size"] });
    list(&s, &[loops]);
    refused(&s, "image/json", &["the index cannot be read"]);
    for (text, code) in [("", "image/json"), ("[]", "image/json"), ("{\"schemaVersion\":2}", "image/json")] {
        s.write("base.oci/index.json", text);
        refused(&s, code, &[]);
    }
    let traversal = json!({ "mediaType": MANIFEST, "digest": "sha256:../../../../etc/passwd", "size": 3 });
    list(&s, &[traversal]);
    refused(&s, "image/json", &[]);
    fs::remove_file(s.path("base.oci/index.json")).unwrap();
    run(Command::new("mkfifo").arg(s.path("base.oci/index.json")));
    refused(&s, "fetch/type", &["a named pipe"]);
}

#[test]
fn databases_and_places_that_do_not_fit() {
    let s = place();
    let path = s.path("metadata/x86_64/APKINDEX");
    let good = fs::read(&path).unwrap();
    for (text, words) in [
        (&b"\x1f\x8b\x08garbage"[..], ["line 1", "a letter, a colon and a value"]),
        (b"P:lib\nV:1\nF:../../etc\n\n", ["line 3", "no path"]),
        (b"P:lib\nV:not a version\n\n", ["line", "version"]),
    ] {
        fs::write(&path, text).unwrap();
        refused(&s, "rootfs/base-database", &words);
    }
    fs::remove_file(&path).unwrap();
    refused(&s, "base-image/no-database", &["x86_64/APKINDEX", "assemble inspect"]);
    run(Command::new("mkfifo").arg(&path));
    refused(&s, "fetch/type", &["a named pipe"]);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused(&s, "fetch/type", &["a folder"]);
    fs::remove_dir(&path).unwrap();
    fs::write(&path, good).unwrap();
    for (image, code, word) in [
        ("./nowhere", "base-image/missing", "nowhere"),
        ("registry.example.org/team/base:1", "base-image/registry", "skopeo copy docker://"),
        ("./top.yaml", "base-image/no-folder", "skopeo copy"),
        ("./metadata", "image/not-an-image", "oci-layout"),
        ("./base.oci:nobody", "image/not-there", "nobody"),
    ] {
        s.write("top.yaml", TOP.replace("./base.oci", &format!("'{image}'")));
        refused(&s, code, &[word]);
    }
    s.write("top.yaml", TOP);
    let ran = s.run(["build", "top.yaml", "-o", "oci:base.oci"]);
    assert!(ran.stderr.contains("error[base-image/output]"), "{}", ran.stderr);
}
