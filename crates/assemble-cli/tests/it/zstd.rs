//! Images whose layers are in zstd: built, read by everything of ours, and by others.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::runtimes::{Dockerd, podman};
use crate::sandbox::{Sandbox, workspace};
use crate::tools::{Registry, have, root, run, skipped};

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// A binary, a file, and packages of Alpine's.
fn spec(s: &Sandbox, layering: &str) {
    let runtime = workspace().join("configs/runtime.yaml");
    let text = std::fs::read_to_string(&runtime).unwrap();
    let base = runtime.parent().unwrap().display().to_string();
    let text = text.replace("../", &format!("{base}/../"));
    s.write("app.yaml", format!("{text}{layering}"));
}

fn build(s: &Sandbox, output: &str, how: &str) -> Value {
    let tag = ["-t", "team/app:1"];
    s.json([&["build", "app.yaml", "-o", output, "--compression", how, "--json"], &tag[..]].concat())
}

fn layers(document: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let layers = document["images"][0]["layers"].as_array().unwrap();
    layers.iter().map(|l| (text(&l["media_type"]), text(&l["diff_id"]), text(&l["digest"]))).collect()
}

fn blob(s: &Sandbox, layout: &str, digest: &str) -> PathBuf {
    s.path(layout).join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap())
}

#[test]
fn only_the_compression_is_another() {
    let test = "only_the_compression_is_another";
    let s = Sandbox::new().with_hello();
    spec(&s, "");
    let (gzip, zstd) = (build(&s, "gzip.oci", "gzip"), build(&s, "zstd.oci", "zstd"));
    assert_eq!((&gzip["codec"], &zstd["codec"]), (&"gzip-3".into(), &"zstd-3".into()));
    let diff_ids = |document| layers(document).into_iter().map(|(_, diff_id, _)| diff_id).collect::<Vec<_>>();
    assert_eq!(diff_ids(&gzip), diff_ids(&zstd));
    assert!(layers(&gzip).iter().all(|layer| layer.0 == GZIP));
    assert!(layers(&zstd).iter().all(|layer| layer.0 == ZSTD));
    // Once more, now that the cache knows both; in the other order.
    assert_eq!(build(&s, "zstd2.oci", "zstd")["digest"], zstd["digest"]);
    assert_eq!(layers(&build(&s, "zstd2.oci", "zstd")), layers(&zstd));
    assert_eq!(build(&s, "gzip2.oci", "gzip")["digest"], gzip["digest"]);
    assert_eq!(s.ok(["digest", "app.yaml", "--compression", "zstd"]).trim(), zstd["digest"]);
    assert_eq!(s.ok(["digest", "app.yaml"]).trim(), gzip["digest"]);
    for (_, _, digest) in layers(&zstd) {
        let file = blob(&s, "zstd.oci", &digest);
        if have("zstd", test) {
            run(Command::new("zstd").arg("-tq").arg(&file));
        }
    }
}

#[test]
fn another_codec_is_told_from_other_content() {
    let s = Sandbox::new().with_hello();
    s.write("text", "one");
    s.write("app.yaml", "contents:\n  binary: hello\n  files: [{source: text, path: /etc/text}]\n");
    build(&s, "app.oci", "zstd");
    build(&s, "app.tar", "zstd");
    let verify = |target: &str, flags: &[&str]| {
        s.run([&["verify", target, "--spec", "app.yaml"], flags].concat()).shown()
    };
    let zstd = ["--compression", "zstd"];
    for target in ["app.oci", "app.tar"] {
        assert!(verify(target, &zstd).contains(&format!("{target}: identical")), "{target}");
    }
    for target in ["app.oci", "app.tar"] {
        let said = verify(target, &[]);
        assert!(said.contains("same content, other codec"), "{said}");
        assert!(said.contains("--compression zstd compares digests, too"), "{said}");
    }
    assert!(s.run(["verify", "app.yaml", "--compression", "zstd"]).shown().contains("app.yaml: identical"));
    s.write("text", "two");
    for flags in [&zstd[..], &[]] {
        let said = verify("app.oci", flags);
        assert!(said.contains("/etc/text: content at byte 0"), "{said}");
    }
}

#[test]
fn a_configuration_that_lies_about_its_tar_is_found() {
    let s = Sandbox::new().with_hello();
    s.write("text", "one");
    s.write("app.yaml", "contents:\n  binary: hello\n  files: [{source: text, path: /etc/text}]\n");
    let one = build(&s, "one.oci", "gzip");
    s.write("text", "two");
    let two = build(&s, "two.oci", "zstd");
    // The layers of the one with the configuration of the other.
    let manifest = |document: &Value, layout: &str| -> (PathBuf, Value) {
        let file = blob(&s, layout, document["digest"].as_str().unwrap());
        (file.clone(), serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())
    };
    let (_, theirs) = manifest(&two, "two.oci");
    let (_, mut mixed) = manifest(&one, "one.oci");
    mixed["layers"] = theirs["layers"].clone();
    let bytes = mixed.to_string();
    let digest = assemble_types::Digest::of(bytes.as_bytes()).to_string();
    run(Command::new("cp").arg("-r").arg(s.path("one.oci")).arg(s.path("mixed.oci")));
    run(Command::new("cp").arg("-r").arg(s.path("two.oci/blobs")).arg(s.path("mixed.oci")));
    std::fs::write(blob(&s, "mixed.oci", &digest), &bytes).unwrap();
    let index = s.path("mixed.oci/index.json");
    let mut listed: Value = serde_json::from_slice(&std::fs::read(&index).unwrap()).unwrap();
    listed["manifests"][0]["digest"] = digest.into();
    listed["manifests"][0]["size"] = bytes.len().into();
    std::fs::write(&index, listed.to_string()).unwrap();
    s.write("text", "one");
    let ran = s.run(["verify", "mixed.oci", "--spec", "app.yaml"]);
    let said = ran.shown();
    assert!(said.contains("configuration says that its tar is another one"), "{said}");
    assert!(!said.contains("same content, other codec"), "{said}");
}

#[test]
fn everything_of_ours_reads_it() {
    let s = Sandbox::new().with_hello();
    spec(&s, "");
    let (zstd, gzip) = (build(&s, "app.oci", "zstd"), build(&s, "gzip.oci", "gzip"));
    build(&s, "app.tar", "zstd");
    build(&s, "oci-archive:bare.tar", "zstd");
    build(&s, "docker-archive:flat.tar", "zstd");
    // An archive without manifests says nothing that could differ in them.
    for compression in ["zstd", "gzip"] {
        let ran = s.run(["verify", "flat.tar", "--spec", "app.yaml", "--compression", compression]);
        assert_eq!(ran.code, 0, "{}", ran.shown());
    }
    let files = |image: &str| s.ok(["inspect", image, "--files"]);
    let expected = files("gzip.oci");
    assert!(expected.contains("/bin/busybox"));
    let listed =
        |text: &str| text.lines().filter(|line| line.contains(" /")).map(str::to_owned).collect::<Vec<_>>();
    for image in ["app.oci", "app.tar", "bare.tar", "flat.tar"] {
        assert_eq!(listed(&files(image)), listed(&expected), "{image}");
        let group = s.ok(["inspect", image, "--cat", "/etc/group"]);
        assert!(group.starts_with("root:x:0:"), "{image}: {group}");
    }
    s.ok(["export", "app.oci", "-o", "zstd.tar"]);
    s.ok(["export", "gzip.oci", "-o", "gzip.tar"]);
    assert!(s.read("zstd.tar") == s.read("gzip.tar"));
    // On top of it.
    let database = s.run(["inspect", "app.oci", "--cat", "/usr/lib/apk/db/installed"]).stdout;
    s.write("metadata/x86_64/APKINDEX", database);
    let upper = "contents:\n  baseimage: {image: ./app.oci, apkindex: ./metadata}\n  binary: hello\narchs: [x86_64]\n";
    s.write("upper.yaml", upper);
    let upper = s.json(["build", "upper.yaml", "-o", "upper.oci", "--json"]);
    let below = layers(&zstd).len();
    assert_eq!(layers(&upper)[..below], layers(&zstd)[..]);
    assert!(layers(&upper)[below..].iter().all(|layer| layer.0 == GZIP));
    assert_ne!(zstd["digest"], gzip["digest"]);
}

/// A lock is about packages and tars.
#[test]
fn a_lock_fits_both() {
    let s = Sandbox::new().with_hello();
    spec(&s, "");
    s.ok(["lock", "app.yaml"]);
    build(&s, "first.oci", "gzip");
    let lock = s.read("app.lock");
    assert!(String::from_utf8_lossy(&lock).contains(r#""codec":"gzip-3""#));
    s.ok(["build", "app.yaml", "--locked", "--compression", "zstd", "-o", "zstd.oci"]);
    build(&s, "unlocked.oci", "zstd");
    assert!(s.read("app.lock") == lock);
    let foreign = String::from_utf8(lock).unwrap().replace("gzip-3", "gzip-1");
    s.write("app.lock", foreign);
    let said = s.run(["build", "app.yaml", "--locked", "--compression", "zstd", "-o", "zstd.oci"]).shown();
    assert!(said.contains("another codec"), "{said}");
}

#[test]
fn packages_as_they_were_signed_stay_so() {
    let s = Sandbox::new().with_hello();
    spec(&s, "layering: {strategy: package}\n");
    let (gzip, zstd) = (build(&s, "gzip.oci", "gzip"), build(&s, "zstd.oci", "zstd"));
    let is_verbatim = |document: &Value| -> Vec<bool> {
        let layers = document["images"][0]["layers"].as_array().unwrap();
        layers.iter().map(|layer| layer["verbatim"].as_bool().unwrap()).collect()
    };
    assert_eq!(is_verbatim(&gzip), is_verbatim(&zstd));
    assert!(is_verbatim(&zstd).contains(&true) && is_verbatim(&zstd).contains(&false));
    for ((gzip, zstd), verbatim) in layers(&gzip).iter().zip(&layers(&zstd)).zip(is_verbatim(&zstd)) {
        assert_eq!(gzip == zstd, verbatim);
        assert_eq!((zstd.0 == ZSTD, &zstd.1), (!verbatim, &gzip.1));
    }
    // As it is found again.
    assert_eq!(layers(&build(&s, "again.oci", "zstd")), layers(&zstd));
    s.ok(["verify", "zstd.oci", "--spec", "app.yaml", "--compression", "zstd"]);
}

#[test]
fn other_tools_read_it() {
    let test = "other_tools_read_it";
    let s = Sandbox::new().with_hello();
    spec(&s, "");
    let zstd = build(&s, "app.oci", "zstd");
    let layout = s.path("app.oci");
    if have("skopeo", test) {
        let source = format!("oci:{}:1", layout.display());
        let inspect = |flags: &[&str]| -> Value {
            let said = run(Command::new("skopeo").arg("inspect").args(flags).arg(&source));
            serde_json::from_str(&said).unwrap()
        };
        assert_eq!(inspect(&[])["Digest"], zstd["digest"]);
        assert_eq!(inspect(&["--raw"])["layers"][0]["mediaType"], ZSTD);
        let copy = format!("oci:{}:1", s.path("copy.oci").display());
        run(Command::new("skopeo").args(["--insecure-policy", "copy", "-q", &source, &copy]));
        let said = s.run(["verify", "copy.oci", "--spec", "app.yaml", "--compression", "zstd"]).shown();
        assert!(said.contains("identical"), "{said}");
        // Unpacked and compressed by others: the tars are what the configuration says.
        let gzip = format!("dir:{}", s.path("dir").display());
        let again = ["--insecure-policy", "copy", "-q", "--dest-compress", "--dest-compress-format", "gzip"];
        run(Command::new("skopeo").args(again).args([&source, &gzip]));
    }
    if have("podman", test) && root(test) {
        let loaded = podman(&s, &["load", "-i", layout_archive(&s).to_str().unwrap()]);
        assert!(loaded.contains("team/app:1"), "{loaded}");
        let flat = podman(&s, &["load", "-i", flat_archive(&s).to_str().unwrap()]);
        assert!(flat.contains("team/app:1"), "{flat}");
        let run_it = ["run", "--rm", "--network=host", "team/app:1", "-c", "echo ran"];
        assert_eq!(podman(&s, &run_it).lines().last(), Some("ran"));
    }
}

#[test]
fn registries_take_it_and_give_it_back() {
    let Some(registry) = Registry::start("registries_take_it_and_give_it_back", None) else { return };
    let s = Sandbox::new().with_hello();
    spec(&s, "");
    let name = format!("{}/team/app:1", registry.host);
    let pushed = s.ok(["build", "app.yaml", "--compression", "zstd", "--push", "-t", &name]);
    let digest = s.ok(["digest", "app.yaml", "--compression", "zstd"]);
    assert!(pushed.trim().ends_with(digest.trim()), "{pushed}");
    let said = s.run(["verify", &name, "--spec", "app.yaml", "--compression", "zstd"]).shown();
    assert!(said.contains(&format!("{name}: identical")), "{said}");
    assert!(s.ok(["inspect", &name, "--files"]).contains("/bin/busybox"));
}

/// The archive that `--load` hands over.
fn layout_archive(s: &Sandbox) -> PathBuf {
    build(s, "app.tar", "zstd");
    s.path("app.tar")
}

fn flat_archive(s: &Sandbox) -> PathBuf {
    build(s, "docker-archive:flat.tar", "zstd");
    s.path("flat.tar")
}

#[test]
fn docker_loads_and_runs_zstd() {
    let test = "docker_loads_and_runs_zstd";
    let s = Sandbox::new();
    let Some(docker) = Dockerd::start(&s, test) else { return };
    let s = s.with_hello().variable("DOCKER_HOST", docker.socket.clone());
    spec(&s, "");
    let run_docker = |args: &[&str]| run(Command::new("docker").args(["-H", &docker.socket]).args(args));
    let version = run_docker(&["version", "--format", "{{.Server.Version}}"]);
    let major: u32 = version.split('.').next().unwrap().parse().unwrap();
    if major < 23 {
        let refused =
            s.run(["build", "app.yaml", "-t", "team/app:1", "--load", "--compression", "zstd"]).shown();
        assert!(
            refused.contains("error[load/no-zstd]") && refused.contains("--compression gzip"),
            "{refused}"
        );
        s.ok(["build", "app.yaml", "-t", "team/app:1", "--load"]);
        return skipped(
            test,
            &format!("dockerd {version} does not read zstd; that it is refused was tested"),
        );
    }
    s.ok(["build", "app.yaml", "-t", "team/app:1", "--load", "--compression", "zstd"]);
    let command = ["run", "--rm", "--pull=never", "--network=none", "team/app:1", "-c", "echo ran"];
    assert_eq!(run_docker(&command), "ran");
    for archive in [layout_archive(&s), flat_archive(&s)] {
        assert_eq!(run_docker(&["load", "-i", archive.to_str().unwrap()]), "Loaded image: team/app:1");
    }
}
