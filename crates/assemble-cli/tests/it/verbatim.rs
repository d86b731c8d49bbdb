//! Packages as layers just as they were signed: real sets, real runtimes, and the chain from key to layer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use assemble_types::Digest;
use serde_json::Value;

use crate::runtimes::Dockerd;
use crate::sandbox::{Sandbox, workspace};
use crate::tools::{Registry, have, run, skipped, try_run};

const KEY: &str = "alpine-devel@lists.alpinelinux.org-6165ee59.rsa.pub";

/// A folder of the test kit, or nothing, said aloud.
fn kit(path: &str, test: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ASSEMBLE_TESTKIT")
        .map_or_else(|| workspace().join("../shared/testkit"), PathBuf::from);
    let full = root.join(path);
    if !full.exists() {
        skipped(test, "the test kit is not here (ASSEMBLE_TESTKIT)");
        return None;
    }
    Some(full)
}

fn example() -> PathBuf {
    workspace().join("configs/signed-layers.yaml")
}

/// Name and version of each package of a folder.
fn packages_of(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files
        .filter_map(|file| Some(file.strip_suffix(".apk")?.rsplitn(3, '-').nth(2)?.to_owned()))
        .collect();
    names.sort();
    names
}

/// Writes `one.yaml` and `many.yaml`, which differ in their layers only.
fn specs(s: &Sandbox, repositories: &[&Path], keys: &Path, packages: &[String]) {
    let keys: Vec<String> =
        fs::read_dir(keys).unwrap().map(|key| key.unwrap().path().display().to_string()).collect();
    let repositories: Vec<String> = repositories.iter().map(|folder| folder.display().to_string()).collect();
    let text = format!(
        "contents:\n  repositories: [{}]\n  keyring: [{}]\n  packages: [{}]\narchs: [x86_64]\n",
        repositories.join(", "),
        keys.join(", "),
        packages.join(", ")
    );
    s.write("one.yaml", &text);
    s.write("many.yaml", format!("{text}layering: {{strategy: package}}\n"));
}

/// Type, mode, owner, time, size, link, and the digest of every file below a folder, sorted.
fn listing(root: &Path) -> String {
    let find = "find . -printf '%P %y %m %U:%G %T@ %l %n\\n' | LC_ALL=C sort; \
                find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum";
    run(Command::new("sh").args(["-c", find]).current_dir(root))
}

/// Both images, unpacked by a real runtime, are one tree. Without root it makes files in place of devices.
fn same_tree(s: &Sandbox, test: &str) {
    if !have("umoci", test) {
        return;
    }
    for name in ["one", "many"] {
        let image = format!("{}:{name}", s.path(&format!("{name}.oci")).display());
        run(Command::new("umoci").args(["unpack", "--rootless", "--image", &image]).arg(s.path(name)));
    }
    let (one, many) = (listing(&s.path("one/rootfs")), listing(&s.path("many/rootfs")));
    let differ = one.lines().zip(many.lines()).find(|(a, b)| a != b);
    assert!(one == many, "{differ:?}");
}

/// Builds both, and gives what the second said.
fn build(s: &Sandbox) -> Value {
    let common = ["--start-check", "off"];
    s.ok(["build", "one.yaml", "-t", "x:one"].into_iter().chain(common));
    let document = s.json(["build", "many.yaml", "-t", "x:many", "--json"].into_iter().chain(common));
    let digest = document["digest"].as_str().unwrap();
    for threads in ["1", "2", "3", "8"] {
        // Each has a cache of its own, so that none takes what another made.
        let cache = format!("cache-{threads}");
        let again = ["build", "many.yaml", "-t", "x:many", "-o", "none", "--threads", threads];
        let again = again.into_iter().chain(["--cache-dir", &cache]);
        assert_eq!(s.ok(again.chain(common)), digest, "{threads} threads");
    }
    document
}

#[test]
fn the_installer_set_is_mostly_verbatim() {
    let test = "the_installer_set_is_mostly_verbatim";
    let Some(iso) = kit("real/alpine-3.19-iso", test) else { return };
    let s = Sandbox::new();
    let mut packages = packages_of(&iso.join("x86_64"));
    assert_eq!(packages.len(), 100);
    // They cannot be installed beside ifupdown-ng, which alpine-base needs.
    packages.retain(|name| name != "vlan" && name != "network-extras");
    specs(&s, &[&iso], &iso.join("../keys/alpine"), &packages);
    let document = build(&s);
    let report = &document["images"][0]["verbatim"];
    let number = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(number("packages") + number("empty"), 98);
    // As docs/layers.md has it.
    assert_eq!((number("verbatim"), number("packages")), (91, 96), "{report}");
    assert_eq!((number("verbatim_bytes") * 100).div_ceil(number("bytes")), 95, "{report}");
    for one in report["rewritten"].as_array().unwrap() {
        let reason = one["reason"].as_str().unwrap();
        let known = ["sticky bits", "belongs to", "is a folder in one"];
        assert!(known.iter().any(|words| reason.contains(words)), "{one}");
    }
    same_tree(&s, test);
    s.ok(["verify", "many.oci", "--spec", "many.yaml", "--start-check", "off", "--offline"]);
}

#[test]
fn other_packages_of_alpine_are_the_same_tree() {
    let test = "other_packages_of_alpine_are_the_same_tree";
    let Some(main) = kit("real/alpine-3.19/main", test) else { return };
    let Some(iso) = kit("real/alpine-3.19-iso", test) else { return };
    let s = Sandbox::new();
    // Of those whose files are there, with all that they need.
    let packages = "brotli-libs c-ares coreutils-env gdbm grep jq libedit libidn2 libstdc++ libxml2 lsblk make mount \
        nettle openssh-sftp-server p11-kit pcre2 readline sqlite-libs utmps-libs yaml zstd";
    let packages: Vec<String> = packages.split_whitespace().map(str::to_owned).collect();
    specs(&s, &[&main, &iso], &iso.join("../keys/alpine"), &packages);
    let document = build(&s);
    let report = &document["images"][0]["verbatim"];
    assert!(report["verbatim"].as_u64().unwrap() >= 30, "{report}");
    same_tree(&s, test);
}

/// The states of the layers, as `inspect --chain` has them.
fn states(document: &Value) -> Vec<String> {
    let layers = document["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_chain_of_the_example_holds_and_a_broken_one_is_found() {
    let s = Sandbox::new();
    let (spec, image) = (example(), "image");
    let spec = spec.to_str().unwrap();
    s.ok(["build", spec, "-o", "oci:image", "-t", "x:1"]);
    let bare = s.json(["inspect", image, "--chain", "--json"]);
    assert_eq!(states(&bare), ["claimed", "claimed", "made", "made"]);
    let checked = s.json(["inspect", image, "--chain", "--spec", spec, "--json"]);
    assert_eq!(states(&checked), ["whole", "whole", "made", "made"]);
    for layer in &checked["layers"].as_array().unwrap()[..2] {
        assert_eq!(layer["links"]["data"], layer["digest"]);
        assert_eq!(layer["links"]["key"], KEY);
    }
    let text = s.ok(["inspect", image, "--chain", "--spec", spec]);
    assert!(
        text.ends_with("4 layers: 2 are what was signed, 0 are said to be, 2 were made by the build"),
        "{text}"
    );

    // Another history: each of the two packages is said to be the other.
    let layout = s.path(image);
    let blob = |digest: &str| layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let index = read(&layout.join("index.json"));
    let top: Value = serde_json::from_str(&index).unwrap();
    let top = top["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let manifest = read(&blob(&top));
    let config_digest =
        serde_json::from_str::<Value>(&manifest).unwrap()["config"]["digest"].as_str().unwrap().to_owned();
    let config = read(&blob(&config_digest));
    let packages = ["package musl-1.2.4_git20230717-r4 ", "package ca-certificates-bundle-20230506-r0 "];
    assert!(packages.iter().all(|name| config.contains(name)), "{config}");
    let config =
        config.replace(packages[0], "\u{0}").replace(packages[1], packages[0]).replace('\u{0}', packages[1]);
    let put = |text: &str| {
        let digest = Digest::of(text.as_bytes()).to_string();
        fs::write(blob(&digest), text).unwrap();
        digest
    };
    let manifest = manifest.replace(&config_digest, &put(&config));
    fs::write(layout.join("index.json"), index.replace(&top, &put(&manifest))).unwrap();
    let ran = s.run(["inspect", image, "--chain", "--spec", spec]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(ran.stderr.contains("BROKEN") && ran.stderr.contains("inspect/broken-chain"), "{}", ran.stderr);
}

#[test]
fn the_chain_is_held_against_a_lock() {
    let s = Sandbox::new();
    let alpine = workspace().join("testdata/alpine");
    specs(&s, &[&alpine], &alpine.join("keys"), &["musl".to_owned(), "ca-certificates-bundle".to_owned()]);
    s.ok(["lock", "many.yaml"]);
    s.ok(["build", "many.yaml", "-o", "image.tar", "--start-check", "off"]);
    // Neither the spec nor a cache is there any more.
    let chain = |lock: &str| {
        let ran = s.run(["inspect", "image.tar", "--chain", "--lock", lock, "--offline", "--json"]);
        (ran.code, serde_json::from_str::<Value>(&ran.stdout).unwrap())
    };
    fs::remove_file(s.path("many.yaml")).unwrap();
    fs::remove_dir_all(s.path("cache")).unwrap();
    let (code, document) = chain("many.lock");
    assert_eq!((code, states(&document)), (0, ["locked", "locked", "made"].map(str::to_owned).to_vec()));
    let links = &document["layers"][0]["links"];
    assert_eq!((&links["data"], &links["key"]), (&document["layers"][0]["digest"], &Value::from(KEY)));
    assert_eq!(links["recorded"], serde_json::json!(["key", "index", "control"]));
    let index = Digest::of(&fs::read(alpine.join("x86_64/APKINDEX.tar.gz")).unwrap());
    assert_eq!(links["index"], index.to_string());
    assert!(links["fingerprint"].is_string() && links["control_sha256"].is_string(), "{links}");
    let text = s.ok(["inspect", "image.tar", "--chain", "--lock", "many.lock"]);
    for words in ["(recorded)", "3 layers: 2 are what was locked", "recorded: the lock's word"] {
        assert!(text.contains(words), "{text}");
    }

    let lock = String::from_utf8(s.read("many.lock")).unwrap();
    let hex = |value: &Value| value.as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let data = hex(&links["data"]);
    s.write("other.lock", lock.replace(&data, &data.chars().rev().collect::<String>()));
    let ran = s.run(["inspect", "image.tar", "--chain", "--lock", "other.lock"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(ran.stderr.contains("BROKEN") && ran.stderr.contains("inspect/broken-chain"), "{}", ran.stderr);
    // What the lock does not know stays a claim.
    let checksum = links["control"].as_str().unwrap();
    s.write("other.lock", lock.replace(checksum, "Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    let (code, document) = chain("other.lock");
    assert_eq!((code, states(&document)[0].as_str()), (0, "claimed"));
    let why = document["layers"][0]["links"]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("locks another file"), "{why}");
    s.write("other.lock", lock.replace("\"x86_64\"", "\"aarch64\""));
    let (code, document) = chain("other.lock");
    assert_eq!((code, states(&document)[0].as_str()), (0, "claimed"));
    let why = document["layers"][0]["links"]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("locks nothing for x86_64"), "{why}");
    let ran = s.run(["inspect", "image.tar", "--chain", "--lock", "no.lock"]);
    assert!(ran.code != 0 && ran.stderr.contains("no.lock"), "{}", ran.stderr);
    assert_eq!(s.run(["inspect", "image.tar", "--lock", "many.lock"]).code, 2);
}

#[test]
fn the_chain_is_checked_without_us() {
    let test = "the_chain_is_checked_without_us";
    if !(have("openssl", test) && have("sha256sum", test)) {
        return;
    }
    let s = Sandbox::new();
    s.ok(["build", example().to_str().unwrap(), "-o", "oci:image", "-t", "x:1"]);
    let alpine = workspace().join("testdata/alpine");
    let key = alpine.join("keys").join(KEY);
    let script = |key: &Path, index: &Path, package: &str| {
        let mut command = Command::new("sh");
        command.arg(workspace().join("docs/chain.sh")).arg(key).arg(index);
        try_run(command.arg(alpine.join("x86_64").join(package)).arg(s.path("image")))
    };
    let index = alpine.join("x86_64/APKINDEX.tar.gz");
    let said = script(&key, &index, "musl-1.2.4_git20230717-r4.apk");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success() && text.lines().count() == 4, "{text}");
    let last = text.lines().last().unwrap().rsplit(':').next().unwrap().to_owned();
    assert!(s.path(&format!("image/blobs/sha256/{last}")).is_file(), "{text}");
    // One that was packed anew, and an index that was changed after it was signed.
    let anew = script(&key, &index, "busybox-1.36.1-r15.apk");
    assert!(!anew.status.success());
    assert!(String::from_utf8_lossy(&anew.stdout).contains("BROKEN: the image has no such layer"));
    // One whose digest stands in the manifest, and whose blob is there, but not as a layer.
    let listed = fs::read_to_string(s.path("image/index.json")).unwrap();
    let manifest = listed.split("sha256:").nth(1).unwrap()[..64].to_owned();
    let blobs = s.path("image/blobs/sha256");
    let text = fs::read_to_string(blobs.join(&manifest)).unwrap();
    let layer = format!("{{\"digest\":\"sha256:{last}\"");
    let quoted = format!("{{\\\"digest\\\":\\\"sha256:{last}\\\"");
    assert!(text.contains(&layer));
    let other = text.replace(&layer, &layer.replace(&last, &manifest));
    let other = other.replacen('{', &format!("{{\"annotations\":{{\"layers\":\"[{quoted}]\"}},"), 1);
    let digest = Digest::of(other.as_bytes()).hex();
    fs::write(blobs.join(&digest), &other).unwrap();
    s.write("image/index.json", listed.replace(&manifest, &digest));
    let fooled = script(&key, &index, "musl-1.2.4_git20230717-r4.apk");
    assert!(
        String::from_utf8_lossy(&fooled.stdout).contains("BROKEN: the image has no such layer"),
        "{other}"
    );
    let mut bytes = fs::read(&index).unwrap();
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    let changed = s.write("APKINDEX.tar.gz", bytes);
    let refused = script(&key, &changed, "musl-1.2.4_git20230717-r4.apk");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("BROKEN: the key did not sign the index"));
    let lines = fs::read_to_string(workspace().join("docs/chain.sh")).unwrap();
    assert_eq!(lines.lines().filter(|line| !line.starts_with('#')).count(), 10);
}

/// What a container of the image has, as docker writes it: one line a name. Files that docker makes itself, and times of
/// folders that it puts them into, are left out.
fn exported(docker: &Dockerd, s: &Sandbox, image: &str) -> Vec<String> {
    let file = s.path("exported.tar");
    let command = |args: &[&str]| run(Command::new("docker").args(["-H", &docker.socket]).args(args));
    let id = command(&["create", "--network=none", image, "/bin/sh"]);
    command(&["export", "-o", file.to_str().unwrap(), &id]);
    command(&["rm", &id]);
    let mut archive = tar::Archive::new(fs::File::open(file).unwrap());
    let line = |entry: std::io::Result<tar::Entry<'_, fs::File>>| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string().trim_end_matches('/').to_owned();
        let own = [".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab"];
        if own.contains(&path.as_str())
            || ["dev", "proc", "sys"].iter().any(|at| path.split('/').next() == Some(at))
        {
            return None;
        }
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        let header = entry.header();
        let time = if path == "etc" { 0 } else { header.mtime().unwrap() };
        let link = entry.link_name().unwrap().map(|link| link.display().to_string());
        let (kind, mode) = (header.entry_type(), header.mode().unwrap());
        let owner = (header.uid().unwrap(), header.gid().unwrap());
        Some(format!("{path} {kind:?} {mode:o} {owner:?} {time} {link:?} {}", Digest::of(&content)))
    };
    let mut lines: Vec<String> = archive.entries().unwrap().filter_map(line).collect();
    lines.sort();
    lines
}

#[test]
fn docker_has_the_same_tree_of_one_layer_and_of_many() {
    let test = "docker_has_the_same_tree_of_one_layer_and_of_many";
    let Some(iso) = kit("real/alpine-3.19-iso", test) else { return };
    let s = Sandbox::new();
    let Some(docker) = Dockerd::start(&s, test) else { return };
    let packages = "alpine-baselayout busybox-binsh doas musl-utils yaml zlib";
    let packages: Vec<String> = packages.split_whitespace().map(str::to_owned).collect();
    specs(&s, &[&iso], &iso.join("../keys/alpine"), &packages);
    let command = |args: &[&str]| run(Command::new("docker").args(["-H", &docker.socket]).args(args));
    let mut trees = Vec::new();
    for name in ["one", "many"] {
        let (spec, file, tag) = (format!("{name}.yaml"), format!("{name}.tar"), format!("team/{name}:1"));
        let document = s.json(["build", &spec, "-o", &file, "-t", &tag, "--json"]);
        assert_eq!(command(&["load", "-i", s.path(&file).to_str().unwrap()]), format!("Loaded image: {tag}"));
        assert_eq!(
            document["images"][0]["config"],
            command(&["image", "inspect", "--format", "{{.Id}}", &tag])
        );
        trees.push(exported(&docker, &s, &tag));
        if name == "many" {
            assert!(document["images"][0]["verbatim"]["verbatim"].as_u64().unwrap() >= 6, "{document}");
        }
    }
    let differ = trees[0].iter().zip(&trees[1]).find(|(a, b)| a != b);
    assert!(trees[0] == trees[1], "{differ:?}");
    assert!(trees[0].len() > 400, "{}", trees[0].len());
    let say = |image: &str| {
        let words = "id -u; ls -lA /lib /usr/bin | sha256sum; scanelf --version; echo ran";
        command(&["run", "--rm", "--network=none", "--user=0", "--entrypoint=/bin/sh", image, "-c", words])
    };
    let said = say("team/many:1");
    assert!(said == say("team/one:1") && said.starts_with("0\n") && said.ends_with("\nran"), "{said}");

    // Docker hashes the layers that it pulls, and unpacks them another way.
    let Some(registry) = Registry::start(test, None) else { return };
    let name = format!("{}/team/many:1", registry.host);
    s.ok(["build", "many.yaml", "--push", "-t", &name]);
    command(&["rmi", "team/many:1"]);
    command(&["pull", &name]);
    assert_eq!(exported(&docker, &s, &name), trees[0]);
    assert_eq!(say(&name), said);
}
