//! Work is not done twice, and what the cache holds is never believed without a look.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use assemble_testkit::{ApkBuilder, HttpServer, RepositoryBuilder, TEST_KEY, TEST_KEY_NAME};

use serde_json::json;

use crate::sandbox::Sandbox;

/// A repository with two packages behind a server, and a spec of both with local files.
fn project() -> (Sandbox, HttpServer) {
    let s = Sandbox::new().with_hello();
    repository(&s, "1.0-r0");
    let server = HttpServer::folder(s.path("repo"));
    s.write(TEST_KEY_NAME, TEST_KEY);
    s.write("site/index.html", "<p>hello");
    s.write(
        "spec.yaml",
        format!(
            "contents:\n  repositories: ['{}']\n  keyring: [{TEST_KEY_NAME}]\n  packages: [one, two]\n  \
             files: [{{source: site, path: /srv}}, {{source: hello, path: /opt/hello}}]\narchs: [x86_64, aarch64]\n",
            server.url()
        ),
    );
    (s, server)
}

fn repository(s: &Sandbox, version: &str) {
    for arch in ["x86_64", "aarch64"] {
        let content: Vec<u8> =
            (0..300_000_u32).flat_map(|n| (n.wrapping_mul(n) / 77).to_le_bytes()).collect();
        let one = ApkBuilder::new("one", "1.0-r0").arch(arch).dir("usr").file("usr/one", content);
        let two = ApkBuilder::new("two", version).arch(arch).dir("etc").file("etc/two", version.as_bytes());
        RepositoryBuilder::new().package(one.build()).package(two.build()).write(&s.path("repo"), arch);
    }
}

/// Nothing was asked for but indexes, and what publishes keys.
pub(crate) fn assert_only_documents(server: &HttpServer) {
    for request in server.log() {
        let target = request.target;
        assert!(target.ends_with("APKINDEX.tar.gz") || target.ends_with("/apk-configuration"), "{target}");
    }
}

/// Every file below a folder of the cache, by name.
pub(crate) fn entries(s: &Sandbox, folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, out) } else { out.push(path) }
        }
    }
    let mut out = Vec::new();
    walk(&s.path("cache/v1").join(folder), &mut out);
    out.sort();
    out
}

#[test]
fn an_unchanged_build_is_a_look_up() {
    let (s, server) = project();
    let first = s.ok(["build", "spec.yaml", "-o", "one"]);
    assert!(server.calls().iter().any(|call| call.contains("one-1.0-r0.apk")));
    server.clear_log();
    let ran = s.run(["build", "spec.yaml", "-o", "two", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["digest"], first.as_str());
    // The indexes were asked for, with the validators of the last answer, and nothing else.
    assert_only_documents(&server);
    assert_eq!(
        s.json(["inspect", "one", "--json"])["images"],
        s.json(["inspect", "two", "--json"])["images"]
    );
    // All layers are links to what the cache holds.
    let kept: Vec<PathBuf> = entries(&s, "blobs")
        .into_iter()
        .filter(|path| {
            let name = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
                + path.file_name().unwrap().to_str().unwrap();
            s.path("one/blobs/sha256").join(name).exists()
        })
        .collect();
    assert!(kept.len() >= 3, "{kept:?}");
    for blob in kept {
        assert_eq!(fs::metadata(&blob).unwrap().nlink(), 3, "{}", blob.display());
    }
    // What the first build told is told again.
    let again = s.run(["build", "spec.yaml", "-o", "none", "--json"]);
    let rebuilt = s.run(["build", "spec.yaml", "-o", "none", "--json", "--rebuild"]);
    let (again, rebuilt): (serde_json::Value, serde_json::Value) =
        (serde_json::from_str(&again.stdout).unwrap(), serde_json::from_str(&rebuilt.stdout).unwrap());
    assert_eq!(again["images"], rebuilt["images"]);
}

#[test]
fn whatever_a_build_depends_on_is_looked_at() {
    let (s, _server) = project();
    let build = || s.ok(["build", "spec.yaml", "-o", "none"]);
    let first = build();
    assert_eq!(build(), first);
    let mut seen = vec![first];
    let mut differs = |what: &str| {
        let now = s.ok(["build", "spec.yaml", "-o", "none"]);
        assert!(!seen.contains(&now), "{what}");
        assert_eq!(now, s.ok(["build", "spec.yaml", "-o", "none", "--rebuild"]), "{what}");
        seen.push(now);
    };
    s.write("site/index.html", "<p>Hello");
    differs("a file of the same size");
    s.write("site/more.html", "");
    differs("one more file");
    fs::set_permissions(s.path("site/more.html"), fs::Permissions::from_mode(0o755)).unwrap();
    differs("an executable file");
    let mut binary = s.read("hello");
    *binary.last_mut().unwrap() ^= 1;
    s.write("hello", binary);
    differs("another binary");
    repository(&s, "1.1-r0");
    differs("another package");
    let spec = String::from_utf8(s.read("spec.yaml")).unwrap();
    s.write("spec.yaml", format!("{spec}environment: {{A: b}}\n"));
    differs("another spec");
    // And what it does not depend on, is not.
    let last = s.ok(["build", "spec.yaml", "-o", "none", "-t", "another:name"]);
    assert_eq!(Some(&last), seen.last());
}

#[test]
fn a_changed_file_packs_no_package_again() {
    let (s, server) = project();
    s.ok(["build", "spec.yaml", "-o", "none"]);
    let notes = || -> Vec<(PathBuf, u64)> {
        let notes = entries(&s, "records/layers").into_iter();
        notes.map(|path| (path.clone(), fs::metadata(path).unwrap().ino())).collect()
    };
    let before = notes();
    server.clear_log();
    s.write("site/index.html", "<p>good morning");
    let digest = s.ok(["build", "spec.yaml", "-o", "none"]);
    assert_only_documents(&server);
    // A layer that is packed is noted, under its key and under its place. The packages' two are as they were, and of the
    // files' two, which are the same for both platforms, the notes of the places are others.
    let now = notes();
    let gone: Vec<_> = before.iter().filter(|note| !now.contains(note)).collect();
    let new: Vec<_> = now.iter().filter(|note| !before.contains(note)).collect();
    assert_eq!((gone.len(), new.len()), (2, 3), "{gone:?} {new:?}");
    assert_eq!(digest, s.ok(["build", "spec.yaml", "-o", "none", "--rebuild"]));
    // A newer package: the other's part of the layer is taken from the layer before, and nobody can tell.
    repository(&s, "1.2-r0");
    let digest = s.ok(["build", "spec.yaml", "-o", "none"]);
    assert_eq!(digest, s.ok(["build", "spec.yaml", "-o", "none", "--rebuild"]));
}

#[test]
fn packages_are_kept_unpacked_where_that_is_asked_for() {
    let (s, _server) = project();
    let build = ["build", "spec.yaml", "-o", "none"];
    let first = s.ok(build);
    // Where it can be read on from.
    assert_eq!(entries(&s, "records/plain").len(), 1);
    s.write("site/index.html", "<p>good morning");
    let plain = ["build", "spec.yaml", "-o", "none", "--cache-plain"];
    let changed = s.ok(plain);
    assert_ne!(changed, first);
    // Both architectures have the same files.
    let unpacked: Vec<PathBuf> = entries(&s, "blobs")
        .into_iter()
        .filter(|path| fs::read(path).is_ok_and(|bytes| bytes.get(257..262) == Some(b"ustar")))
        .collect();
    assert_eq!((entries(&s, "records/plain").len(), unpacked.len()), (3, 2));
    // Two sections as they are, two unpacked, and what is in front of a mark; the rest is layers.
    let parts = s.json(["cache", "--json"])["parts"].clone();
    assert_eq!(parts["sections"]["files"], 5, "{parts}");
    let checked = s.json(["cache", "verify", "--json"]);
    assert_eq!(checked["damaged"].as_array().unwrap().len(), 0, "{checked}");
    // A newer package: of the other one only plain bytes are needed. They are looked at before, and made again.
    for damaged in [false, true] {
        let version = if damaged { "1.2-r0" } else { "1.1-r0" };
        repository(&s, version);
        if damaged {
            for path in &unpacked {
                let mut bytes = fs::read(path).unwrap();
                bytes[600] ^= 1;
                fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
                fs::write(path, &bytes).unwrap();
            }
        }
        let now = s.ok(plain);
        assert_eq!(entries(&s, "records/plain").len(), 4 + usize::from(damaged));
        for compression in ["gzip", "zstd"] {
            let with = s.ok([&plain[..], &["--compression", compression]].concat());
            assert_eq!(with, s.ok([&build[..], &["--compression", compression, "--rebuild"]].concat()));
            assert!(compression == "zstd" || with == now);
        }
    }
}

/// A long package is unpacked at several places at once, with what was noted when it was checked. That is not believed
/// without a look, and nobody can tell whether it is there.
#[test]
fn what_was_noted_of_a_long_package_never_shows() {
    let (s, _server) = project();
    let content: Vec<u8> = (0..1_200_000_u32).flat_map(|n| (n.wrapping_mul(n) / 77).to_le_bytes()).collect();
    let repository = |version: &str| {
        for arch in ["x86_64", "aarch64"] {
            let one = ApkBuilder::new("one", "1.0-r0").arch(arch).file("one", content.clone());
            let two = ApkBuilder::new("two", version).arch(arch).file("two", version.as_bytes());
            RepositoryBuilder::new().package(one.build()).package(two.build()).write(&s.path("repo"), arch);
        }
    };
    repository("1.0-r0");
    let build = ["build", "spec.yaml", "-o", "none"];
    s.ok(build);
    // Both architectures have the same.
    assert_eq!(entries(&s, "records/plain").len(), 1);
    let is_windows = |path: &PathBuf| fs::metadata(path).unwrap().len().is_multiple_of(32 << 10);
    let windows: Vec<PathBuf> = entries(&s, "blobs").into_iter().filter(is_windows).collect();
    let [windows] = &windows[..] else { panic!("{windows:?}") };
    assert!(fs::metadata(windows).unwrap().len() >= 3 * (32 << 10));
    let damages: [&dyn Fn(); 4] = [
        &|| {},
        &|| {
            let mut bytes = fs::read(windows).unwrap();
            bytes.fill(7);
            fs::set_permissions(windows, fs::Permissions::from_mode(0o644)).unwrap();
            fs::write(windows, &bytes).unwrap();
        },
        &|| {
            let _ = fs::remove_file(windows);
        },
        &|| entries(&s, "records/plain").iter().for_each(|note| fs::remove_file(note).unwrap()),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        repository(&format!("1.{}-r0", number + 1));
        damage();
        for compression in ["gzip", "zstd"] {
            let options = [&build[..], &["--compression", compression]].concat();
            let with = s.ok(options.clone());
            let empty = format!("empty-{number}-{compression}");
            assert_eq!(
                with,
                s.ok([&options[..], &["--cache-dir", &empty]].concat()),
                "{number} {compression}"
            );
        }
    }
}

#[test]
fn a_damaged_entry_is_never_served() {
    let (s, _server) = project();
    let first = s.ok(["build", "spec.yaml", "-o", "one"]);
    for folder in ["blobs", "records", "content", "documents"] {
        let all = entries(&s, folder);
        assert!(!all.is_empty(), "{folder}");
        for path in all {
            for cut in [false, true] {
                let Ok(mut bytes) = fs::read(&path) else { continue };
                let mode = fs::metadata(&path).unwrap().permissions();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
                if cut {
                    bytes.truncate(bytes.len() / 2);
                } else {
                    let at = bytes.len() / 2;
                    bytes[at] ^= 1;
                }
                fs::write(&path, &bytes).unwrap();
                fs::set_permissions(&path, mode).unwrap();
                fs::remove_dir_all(s.path("two")).ok();
                let now = s.ok(["build", "spec.yaml", "-o", "two"]);
                assert_eq!(now, first, "{}", path.display());
                s.ok(["verify", "two", "--spec", "spec.yaml"]);
            }
        }
    }
    // The first output's layers were the very files that were damaged: a build makes it whole again.
    assert_eq!(s.ok(["build", "spec.yaml", "-o", "one"]), first);
    s.ok(["verify", "one", "--spec", "spec.yaml"]);
}

#[test]
fn a_cache_that_cannot_be_written_or_goes_away_costs_time_only() {
    let (s, _server) = project();
    let first = s.ok(["build", "spec.yaml", "-o", "one"]);
    fs::remove_dir_all(s.path("cache/v1/blobs")).unwrap();
    assert_eq!(s.ok(["build", "spec.yaml", "-o", "two"]), first);
    fs::remove_dir_all(s.path("cache")).unwrap();
    assert_eq!(s.ok(["build", "spec.yaml", "-o", "three"]), first);
    s.ok(["verify", "one", "--spec", "spec.yaml"]);
    // A cache on another file system than the output, and one that is no folder of ours.
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let dir = elsewhere.path().to_str().unwrap();
    for _ in 0..2 {
        assert_eq!(s.ok(["build", "spec.yaml", "-o", "four", "--cache-dir", dir]), first);
        s.ok(["verify", "four", "--spec", "spec.yaml"]);
    }
}

#[test]
fn the_cache_is_shown_pruned_and_checked() {
    let (s, _server) = project();
    let first = s.ok(["build", "spec.yaml", "-o", "none"]);
    let shown = s.json(["cache", "--json"]);
    assert!(shown["parts"]["layers"]["files"].as_u64().unwrap() >= 4, "{shown}");
    assert!(shown["parts"]["layers"]["bytes"].as_u64().unwrap() > 100_000, "{shown}");
    assert!(shown["parts"]["packages"]["bytes"].as_u64().unwrap() > 1000, "{shown}");
    let text = s.ok(["cache"]);
    assert!(text.contains("packages") && text.contains("records"), "{text}");
    // The data section of the large package, for each architecture, and what is in front of a mark of both; nothing of the
    // indexes, which are small.
    let sections = &shown["parts"]["sections"];
    assert_eq!((&sections["files"], &shown["parts"]["lines"]["files"]), (&json!(3), &json!(0)));
    let checked = s.json(["cache", "verify", "--json"]);
    assert_eq!(checked["damaged"].as_array().unwrap().len(), 0, "{checked}");

    let package = entries(&s, "content").into_iter().next().unwrap();
    let mut bytes = fs::read(&package).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&package, bytes).unwrap();
    let ran = s.run(["cache", "verify", "--json"]);
    assert_eq!(ran.code, 5, "{}", ran.shown());
    let checked: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(checked["error"]["code"], "cache/damaged");
    let below = package.strip_prefix(s.root()).unwrap().to_str().unwrap();
    assert_eq!(checked["damaged"], serde_json::json!([format!("[ROOT]/{below}")]));
    assert!(!package.exists());
    s.ok(["build", "spec.yaml", "-o", "none"]);

    // Pruning may leave the first part of a package without its second, which is no damage.
    for blob in entries(&s, "blobs") {
        fs::remove_file(blob).unwrap();
    }
    let halves = s.json(["cache", "verify", "--json"])["halves"].as_u64().unwrap();
    assert!(halves > 0);
    assert_eq!(s.json(["cache", "verify", "--json"])["halves"], 0);

    assert_eq!(s.json(["cache", "prune", "--unused-for", "1h", "--json"])["removed"]["files"], 0);
    assert_eq!(s.json(["cache", "prune", "--max-size", "1.5G", "--json"])["removed"]["files"], 0);
    let all = s.json(["cache", "prune", "--max-size", "0", "--json"]);
    assert!(all["removed"]["files"].as_u64().unwrap() > 5, "{all}");
    assert_eq!(s.run(["cache", "prune"]).code, 2);
    assert_eq!(s.run(["cache", "prune", "--max-size", "5X"]).code, 2);
    assert_eq!(s.ok(["build", "spec.yaml", "-o", "none"]), first);
    // Offline, a look-up needs no server.
    assert_eq!(s.ok(["build", "spec.yaml", "-o", "none", "--offline"]), first);
}

#[test]
fn a_digest_comes_from_the_cache_or_says_what_is_missing() {
    let (s, server) = project();
    let missing = s.run(["digest", "spec.yaml"]);
    assert_eq!(missing.code, 6, "{}", missing.stderr);
    assert!(missing.stderr.contains("one-1.0-r0 is not in the cache"), "{}", missing.stderr);
    assert!(missing.stderr.contains("--fetch"), "{}", missing.stderr);
    let fetched = s.ok(["digest", "spec.yaml", "--fetch"]);
    server.clear_log();
    assert_eq!(s.ok(["digest", "spec.yaml"]), fetched);
    assert_only_documents(&server);
    assert_eq!(s.ok(["digest", "spec.yaml", "--offline"]), fetched);
    assert_eq!(s.ok(["build", "spec.yaml", "--rebuild"]), fetched);
    let document = s.json(["digest", "spec.yaml", "--json"]);
    assert_eq!(document["digest"], fetched.as_str());
    assert_eq!(document["images"].as_object().unwrap().len(), 2);
    // A changed local file is part of it, and needs nothing fetched.
    s.write("site/index.html", "<p>another");
    let other = s.ok(["digest", "spec.yaml"]);
    assert_ne!(other, fetched);
    assert_eq!(other, s.ok(["build", "spec.yaml", "--rebuild", "-o", "none"]));
}

#[test]
fn builds_that_begin_together_share_a_cache() {
    let s = Sandbox::new();
    let mut builder = RepositoryBuilder::new();
    let mut names = String::new();
    // More files than a process keeps open: they are found again by their names.
    for number in 0..70_u32 {
        let name = format!("p{number:02}");
        let content: Vec<u8> =
            (0..9000).flat_map(|n: u32| (n.wrapping_mul(n + number) / 7).to_le_bytes()).collect();
        let package = ApkBuilder::new(&name, "1-r0").dir("usr").file(&format!("usr/{name}"), content);
        builder = builder.package(package.build());
        names += &format!("{name}, ");
    }
    builder.write(&s.path("repo"), "x86_64");
    let server = HttpServer::folder(s.path("repo"));
    s.write(TEST_KEY_NAME, TEST_KEY);
    let spec = format!(
        "contents: {{repositories: ['{}'], keyring: [{TEST_KEY_NAME}], packages: [{names}]}}\narchs: [x86_64]\n",
        server.url()
    );
    s.write("spec.yaml", spec);
    for round in 0..3 {
        let cache = format!("together-{round}");
        let digests: Vec<String> = std::thread::scope(|scope| {
            let build = || s.ok(["build", "spec.yaml", "-o", "none", "--cache-dir", &cache]);
            let running: Vec<_> = (0..3).map(|_| scope.spawn(build)).collect();
            running.into_iter().map(|build| build.join().unwrap()).collect()
        });
        assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    }
}
