//! Locks: made, taken, drifted from, updated, vendored, and built from without a network.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use assemble_testkit::{ApkBuilder, HttpServer, RepositoryBuilder, TEST_KEY, TEST_KEY_NAME};

use crate::sandbox::{Ran, Sandbox, finish};
use crate::tools::skipped;

/// A sandbox with a mirror and a spec that installs `app`, which needs `lib`.
struct Place {
    s: Sandbox,
    server: HttpServer,
}

const ARCHS: [&str; 2] = ["x86_64", "aarch64"];

impl Place {
    fn new() -> Self {
        let s = Sandbox::new();
        fs::create_dir(s.path("mirror")).unwrap();
        let server = HttpServer::folder(s.path("mirror"));
        s.write(TEST_KEY_NAME, TEST_KEY);
        let place = Self { s, server };
        place.mirror(&[("app", "1-r0", &["lib"]), ("lib", "1-r0", &[]), ("other", "1-r0", &[])]);
        place.spec("[app]", "");
        place
    }

    /// Writes repositories of these packages, in place of what was there.
    fn mirror(&self, packages: &[(&str, &str, &[&str])]) {
        self.mirror_with(packages, |package| package);
    }

    fn mirror_with(&self, packages: &[(&str, &str, &[&str])], change: impl Fn(ApkBuilder) -> ApkBuilder) {
        for arch in ARCHS {
            let mut repository = RepositoryBuilder::new();
            for (name, version, depends) in packages {
                let package = ApkBuilder::new(name, version)
                    .arch(arch)
                    .depends(depends)
                    .dir("usr")
                    .dir("usr/share")
                    .file(&format!("usr/share/{name}"), format!("{name} {version} {arch}"));
                repository = repository.package(change(package).build());
            }
            repository.write(&self.s.path("mirror"), arch);
        }
    }

    fn spec(&self, packages: &str, more: &str) {
        let text = format!(
            "contents:\n  repositories: [{}]\n  keyring: [{TEST_KEY_NAME}]\n  packages: {packages}\n\
             archs: [x86_64, aarch64]\n{more}",
            self.server.url()
        );
        self.s.write("app.yaml", text);
    }

    fn build(&self, more: &[&str]) -> Ran {
        self.s.run([&["build", "app.yaml", "-o", "none", "--start-check", "off"], more].concat())
    }

    #[track_caller]
    fn digest(&self, more: &[&str]) -> String {
        let ran = self.build(more);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout
    }

    fn lock(&self) -> String {
        String::from_utf8(self.s.read("app.lock")).unwrap()
    }

    /// The locked versions for the first architecture.
    fn versions(&self) -> BTreeMap<String, String> {
        let document: serde_json::Value = serde_json::from_str(&self.lock()).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let packages = document["packages"].as_array().unwrap();
        let here = packages.iter().filter(|package| package["arch"] == "x86_64");
        here.map(|package| (text(&package["name"]), text(&package["version"]))).collect()
    }

    /// Shown without what differs from run to run.
    fn shown(&self, ran: &Ran) -> String {
        ran.shown().replace(&self.server.url(), "[MIRROR]")
    }
}

fn versions(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
}

#[test]
fn with_and_without_a_lock_the_image_is_the_same() {
    let p = Place::new();
    let without = p.digest(&[]);
    assert!(!p.s.path("app.lock").exists(), "a build makes no lock by itself");
    p.s.ok(["lock", "app.yaml"]);
    let first = p.lock();
    assert_eq!(p.versions(), versions(&[("app", "1-r0"), ("lib", "1-r0")]));
    p.server.clear_log();
    assert_eq!(p.digest(&[]), without);
    assert!(
        p.server.calls().is_empty(),
        "neither index nor key nor package is asked for: {:?}",
        p.server.calls()
    );
    // The build learnt the layers; nothing else changed.
    let learnt = p.lock();
    assert_ne!(learnt, first);
    assert_eq!(learnt.lines().filter(|line| !first.contains(*line)).count(), 2, "{learnt}");
    assert_eq!(p.digest(&["--locked"]), without);
    assert_eq!(p.lock(), learnt);
    assert_eq!(p.digest(&["--ignore-lock"]), without);
    assert_eq!(p.s.ok(["verify", "app.yaml", "--start-check", "off"]), without.trim());
    assert_eq!(p.lock(), learnt);
}

#[test]
fn a_lock_is_the_same_whenever_it_is_written() {
    let p = Place::new();
    p.s.ok(["lock", "app.yaml", "--deep"]);
    let first = p.lock();
    assert!(first.contains("\"diff-ids\":[\"sha256:"), "{first}");
    fs::remove_file(p.s.path("app.lock")).unwrap();
    fs::remove_dir_all(p.s.path("cache")).unwrap();
    p.s.ok(["lock", "app.yaml", "--deep"]);
    assert_eq!(p.lock(), first);
    let again = p.s.json(["lock", "app.yaml", "--json"]);
    assert_eq!((again["written"].clone(), p.lock()), (false.into(), first));
    let packages: Vec<u64> =
        again["images"].as_array().unwrap().iter().map(|i| i["packages"].as_u64().unwrap()).collect();
    assert_eq!(packages, [2, 2]);
}

#[test]
fn a_new_index_is_no_drift() {
    let p = Place::new();
    p.s.ok(["lock", "app.yaml"]);
    let before = p.digest(&[]);
    p.mirror(&[
        ("app", "2-r0", &["lib"]),
        ("app", "1-r0", &["lib"]),
        ("lib", "1-r0", &[]),
        ("lib", "2-r0", &[]),
    ]);
    assert_eq!(p.digest(&["--locked"]), before);
    assert_ne!(p.digest(&["--ignore-lock"]), before);
    assert_eq!(p.versions(), versions(&[("app", "1-r0"), ("lib", "1-r0")]));
}

#[test]
fn with_another_spec_what_still_fits_is_kept() {
    let p = Place::new();
    p.s.ok(["lock", "app.yaml"]);
    p.digest(&[]);
    p.mirror(&[
        ("app", "2-r0", &["lib"]),
        ("app", "1-r0", &["lib"]),
        ("lib", "1-r0", &[]),
        ("lib", "2-r0", &[]),
        ("other", "3-r0", &[]),
    ]);
    let before = p.lock();
    p.spec("[app, other]", "");
    let ran = p.build(&["--locked"]);
    expect_test::expect![[r#"
        exit: 8
        error[lock/drift]: app.lock does not fit: the spec has changed; other 3-r0: new (aarch64, x86_64)
         |
         = help: make it fit, keeping what still does: assemble lock app.yaml
         = help: or leave --locked out: the build then does so itself
    "#]]
    .assert_eq(&p.shown(&ran));
    assert_eq!((ran.code, p.lock()), (8, before));
    let ran = p.build(&[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("app.lock was written anew"), "{}", ran.stderr);
    assert!(ran.stderr.contains("other 3-r0: new (aarch64, x86_64)"), "{}", ran.stderr);
    assert_eq!(p.versions(), versions(&[("app", "1-r0"), ("lib", "1-r0"), ("other", "3-r0")]));
    assert_eq!(p.digest(&["--locked"]), ran.stdout);
    // Something that is no package is another spec as well; every package stays.
    p.spec("[app, other]", "environment: {A: b}\n");
    assert_eq!(p.build(&["--locked"]).code, 8);
    p.digest(&[]);
    assert_eq!(p.versions(), versions(&[("app", "1-r0"), ("lib", "1-r0"), ("other", "3-r0")]));
    // Comments and layout are none.
    let text = String::from_utf8(p.s.read("app.yaml")).unwrap();
    p.s.write(
        "app.yaml",
        format!("# a comment\n{}", text.replace("[app, other]", "\n    - app\n    - other")),
    );
    p.digest(&["--locked"]);
}

#[test]
fn what_has_to_move_moves_and_no_more() {
    let p = Place::new();
    p.s.ok(["lock", "app.yaml"]);
    p.mirror(&[
        ("app", "1-r0", &["lib"]),
        ("lib", "1-r0", &[]),
        ("lib", "2-r0", &[]),
        ("new", "1-r0", &["lib>=2"]),
        ("app", "2-r0", &["lib"]),
    ]);
    p.spec("[app, new]", "");
    let ran = p.s.run(["lock", "app.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("lib could not stay as it was"), "{}", ran.stderr);
    assert_eq!(p.versions(), versions(&[("app", "1-r0"), ("lib", "2-r0"), ("new", "1-r0")]));
}

#[test]
fn another_file_in_a_locked_packages_place_is_refused() {
    for other in ["longer content", "same"] {
        let p = Place::new();
        p.s.ok(["lock", "app.yaml"]);
        fs::remove_dir_all(p.s.path("cache")).unwrap();
        let content = if other == "same" { "lib 1-r0 XXXXXX" } else { other };
        p.mirror_with(&[("app", "1-r0", &["lib"]), ("lib", "1-r0", &[])], |package| {
            package.file("usr/share/extra", content)
        });
        let before = p.lock();
        let ran = p.build(&[]);
        assert_eq!((ran.code, p.lock()), (5, before), "{}", ran.stderr);
        assert!(ran.stderr.contains("is not the file that app.lock names"), "{}", ran.stderr);
        // What the signed index says now is taken when that is asked for.
        p.s.ok(["update", "--spec", "app.yaml"]);
        p.digest(&["--locked"]);
    }
}

#[test]
fn a_lock_that_was_edited_is_refused() {
    let p = Place::new();
    p.s.ok(["lock", "app.yaml"]);
    let good = p.lock();
    let field = |name: &str| {
        let at = good.find(&format!("\"{name}\":{{\"size\"")).unwrap();
        let hash = good[at..].find("sha256\":\"").unwrap() + at + 9;
        good[hash..hash + 64].to_owned()
    };
    for section in ["control", "data", "signature"] {
        p.s.write("app.lock", good.replace(&field(section), &"ab".repeat(32)));
        let ran = p.build(&[]);
        assert_eq!(ran.code, 5, "{section}: {}", ran.stderr);
    }
    p.s.write("app.lock", good.replace("\"assemble-lock\": 1", "\"assemble-lock\": 99"));
    let ran = p.build(&[]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("lock of version 99"), "{}", ran.stderr);
    p.s.write("app.lock", &good[..good.len() / 2]);
    assert_eq!(p.build(&[]).code, 3);
}

#[test]
fn updates_move_what_is_named() {
    let p = Place::new();
    p.spec("[app, other]", "");
    p.s.ok(["lock", "app.yaml"]);
    p.mirror(&[
        ("app", "1-r0", &["lib"]),
        ("app", "2-r0", &["lib"]),
        ("lib", "1-r0", &[]),
        ("lib", "2-r0", &[]),
        ("other", "1-r0", &[]),
        ("other", "2-r0", &["lib>=2"]),
    ]);
    assert_eq!(p.s.ok(["update", "app", "--spec", "app.yaml"]), "app 1-r0 -> 2-r0 (aarch64, x86_64)");
    assert_eq!(p.versions(), versions(&[("app", "2-r0"), ("lib", "1-r0"), ("other", "1-r0")]));
    // The newest of `other` needs another `lib`, which was not named.
    let ran = p.s.run(["update", "other", "--spec", "app.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("other stays at 1-r0: 2-r0 needs others to move as well: assemble update other lib"),
        "{}",
        ran.stderr
    );
    let document = p.s.json(["update", "other", "lib", "--spec", "app.yaml", "--json"]);
    assert_eq!(document["changes"][0]["package"], "lib");
    assert_eq!(document["changes"][1]["to"], "2-r0");
    assert_eq!(p.versions(), versions(&[("app", "2-r0"), ("lib", "2-r0"), ("other", "2-r0")]));
    let ran = p.s.run(["update", "othr", "--spec", "app.yaml"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    p.mirror(&[("app", "3-r0", &["lib"]), ("lib", "3-r0", &[]), ("other", "3-r0", &[])]);
    assert_eq!(p.s.ok(["update", "--spec", "app.yaml"]).lines().count(), 3);
    assert_eq!(p.versions(), versions(&[("app", "3-r0"), ("lib", "3-r0"), ("other", "3-r0")]));
    // An index that lists older ones only is believed, since it was asked for, but not in silence.
    p.mirror(&[("app", "2-r0", &["lib"]), ("lib", "3-r0", &[]), ("other", "2-r0", &[])]);
    let ran = p.s.run(["update", "--spec", "app.yaml"]);
    let warning = "warning: packages become older: app 3-r0 -> 2-r0 (aarch64, x86_64), and 1 more;";
    assert!(ran.code == 0 && ran.stderr.contains(warning), "{}", ran.stderr);
}

#[test]
fn an_old_index_cannot_move_what_is_locked() {
    let p = Place::new();
    p.mirror(&[("app", "2-r0", &["lib"]), ("lib", "2-r0", &[])]);
    p.s.ok(["lock", "app.yaml"]);
    let digest = p.digest(&[]);
    // Signed as well, and older.
    p.mirror(&[("app", "1-r0", &["lib"]), ("lib", "1-r0", &[])]);
    assert_eq!(p.digest(&[]), digest);
    assert_eq!(p.versions(), versions(&[("app", "2-r0"), ("lib", "2-r0")]));
}

#[test]
fn one_architecture_may_be_built_and_others_asked_for() {
    let p = Place::new();
    p.s.ok(["lock", "app.yaml"]);
    let locked = p.lock();
    p.digest(&["--platform", "arm64", "--locked"]);
    assert_eq!(p.lock(), locked);
    let ran = p.build(&["--platform", "riscv64", "--locked"]);
    assert_eq!(ran.code, 8, "{}", ran.stderr);
    assert!(ran.stderr.contains("nothing is locked for linux/riscv64"), "{}", ran.stderr);
    let ran = p.s.run(["build", "app.yaml", "-o", "none", "--locked", "--ignore-lock"]);
    assert_eq!(ran.code, 2);
    fs::remove_file(p.s.path("app.lock")).unwrap();
    let ran = p.build(&["--locked"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("assemble lock app.yaml"), "{}", ran.stderr);
}

#[test]
fn what_was_untrusted_when_it_was_locked_stays_untrusted() {
    let p = Place::new();
    for arch in ARCHS {
        RepositoryBuilder::new()
            .signed_by(None)
            .package(ApkBuilder::new("app", "1-r0").arch(arch).build())
            .write(&p.s.path("mirror"), arch);
    }
    assert_eq!(p.s.run(["lock", "app.yaml"]).code, 5);
    p.s.ok(["lock", "app.yaml", "--allow-untrusted"]);
    let ran = p.build(&[]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(ran.stderr.contains("--allow-untrusted"), "{}", ran.stderr);
    p.digest(&["--allow-untrusted"]);
}

#[test]
fn a_lock_of_apko_is_taken_when_it_is_named() {
    let p = Place::new();
    p.s.ok(["apko", "lock", "app.yaml"]);
    let ran = p.build(&[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("app.lock.json is a lock of apko; it is not looked at"), "{}", ran.stderr);
    p.mirror(&[
        ("app", "2-r0", &["lib"]),
        ("app", "1-r0", &["lib"]),
        ("lib", "1-r0", &[]),
        ("lib", "2-r0", &[]),
    ]);
    let args = ["build", "app.yaml", "-o", "none", "--start-check", "off", "--lockfile", "app.lock.json"];
    let built = p.s.json([&args[..], &["--json"]].concat());
    let installed: Vec<String> = built["images"][0]["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| format!("{} {}", package["name"], package["version"]).replace('"', ""))
        .collect();
    assert_eq!(installed, ["lib 1-r0", "app 1-r0"], "the file's packages in the file's order");
    assert_eq!(p.build(&["--locked", "--lockfile", "app.lock.json"]).code, 2);
    p.spec("[app, other]", "");
    let ran = p.s.run(args);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
}

/// Runs without any network: in a namespace that has no interface but a loopback that is down.
fn without_network(test: &str, s: &Sandbox, args: &[&str]) -> Option<Ran> {
    for flags in [["-rn", "--"], ["-n", "--"]] {
        if Command::new("unshare").args(flags).arg("true").output().is_ok_and(|o| o.status.success()) {
            let inner = s.command(args);
            let mut command = Command::new("unshare");
            command.args(flags).arg(inner.get_program()).args(inner.get_args()).current_dir(s.root());
            command.env_clear();
            for (name, value) in inner.get_envs() {
                command.env(name, value.unwrap_or_default());
            }
            return Some(finish(&mut command, s.root()));
        }
    }
    skipped(test, "unshare -n is not permitted here");
    None
}

#[test]
fn offline_builds_open_no_socket() {
    let test = "offline_builds_open_no_socket";
    let p = Place::new();
    p.s.ok(["lock", "app.yaml"]);
    let digest = p.digest(&[]);
    let args = ["build", "app.yaml", "-o", "none", "--start-check", "off", "--offline"];
    assert_eq!(p.s.ok(args), digest.trim());
    let Some(ran) = without_network(test, &p.s, &args) else { return };
    assert_eq!((ran.code, ran.stdout), (0, digest), "{}", ran.stderr);
    // Without the cache there is nothing to build from, and that is said.
    fs::remove_dir_all(p.s.path("cache")).unwrap();
    let ran = without_network(test, &p.s, &args).unwrap();
    assert_eq!(ran.code, 6, "{}", ran.stderr);
}

#[test]
fn a_vendored_build_outlives_its_mirror() {
    let test = "a_vendored_build_outlives_its_mirror";
    let p = Place::new();
    let ran = p.s.run(["vendor", "app.yaml", "-o", "vendored"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    p.s.ok(["lock", "app.yaml"]);
    let digest = p.digest(&[]);
    let document = p.s.json(["vendor", "app.lock", "-o", "vendored", "--json"]);
    assert_eq!((document["packages"].clone(), document["indexes"].clone()), (4.into(), 2.into()));
    // The mirror and the cache are gone.
    fs::remove_dir_all(p.s.path("cache")).unwrap();
    for entry in fs::read_dir(p.s.path("mirror")).unwrap() {
        fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
    let options = ["-o", "none", "--start-check", "off", "--offline"];
    let beside = [&["build", "app.yaml", "--vendor", "vendored"][..], &options].concat();
    assert_eq!(p.s.ok(&beside), digest.trim());
    // The folder stands for itself, wherever it is, also without the lock: it is a repository.
    fs::rename(p.s.path("vendored"), p.s.path("moved")).unwrap();
    let inside = [&["build", "moved/app.yaml"][..], &options].concat();
    assert_eq!(p.s.ok(&inside), digest.trim());
    assert_eq!(p.s.ok([&inside[..], &["--ignore-lock"]].concat()), digest.trim());
    if let Some(ran) = without_network(test, &p.s, &inside) {
        assert_eq!((ran.code, ran.stdout), (0, digest), "{}", ran.stderr);
    }
    // What lies there is checked like what a mirror sends.
    let folder = p.s.path("moved/repositories");
    let host = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let package = host.join("x86_64/lib-1-r0.apk");
    let mut bytes = fs::read(&package).unwrap();
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    fs::write(&package, bytes).unwrap();
    assert_eq!(p.s.run(&inside).code, 5);
}

/// What is in an image and why can be told from the lock, without an index; what packages say of themselves, from those
/// that are at hand.
#[test]
fn a_lock_is_looked_at_without_an_index() {
    let p = Place::new();
    p.s.ok(["lock", "app.yaml"]);
    let commands = [
        &["packages", "app.yaml"][..],
        &["tree", "app.yaml"],
        &["why", "app.yaml", "lib"],
        &["tree", "app.yaml", "--dot"],
    ];
    let told = |args: &[&str]| p.s.run(args).stdout;
    let with: Vec<String> = commands.iter().map(|args| told(args)).collect();
    assert!(with[2].contains("app"), "{}", with[2]);
    // Documents are gone from the cache, packages are not.
    p.digest(&[]);
    fs::remove_dir_all(p.s.path("cache/v1/documents")).unwrap();
    for (args, with) in commands.iter().zip(&with) {
        let ran = p.s.run([args, &["--offline"][..]].concat());
        assert_eq!((ran.code, &ran.stdout), (0, with), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("what app.lock holds is shown"), "{}", ran.stderr);
    }
    // Without packages there are still names, versions and sizes.
    fs::remove_dir_all(p.s.path("cache")).unwrap();
    let document = p.s.json(["packages", "app.yaml", "--json", "--offline"]);
    let names: Vec<String> = document["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| format!("{} {}", p["name"], p["version"]))
        .collect();
    assert_eq!(names.len(), 4, "{document}");
    assert!(names.contains(&"\"lib\" \"1-r0\"".to_owned()), "{names:?}");
    let ran = p.s.run(["tree", "app.yaml", "--offline"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("not at hand for linux/amd64: 2 of 2 packages"), "{}", ran.stderr);
    // A lock that does not fit, or none, is no answer.
    p.spec("[app, other]", "");
    assert_eq!(p.s.run(["packages", "app.yaml", "--offline"]).code, 6);
    fs::remove_file(p.s.path("app.lock")).unwrap();
    assert_eq!(p.s.run(["packages", "app.yaml", "--offline"]).code, 6);
}
