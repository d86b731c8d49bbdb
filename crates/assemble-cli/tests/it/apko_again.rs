//! `assemble apko build` finds what it made before, and only that.

use std::fs;
use std::path::Path;

use assemble_testkit::{
    ApkBuilder, HttpServer, OTHER_KEY, OTHER_KEY_NAME, RepositoryBuilder, TEST_KEY, TEST_KEY_NAME,
};

use crate::cache::{assert_only_documents, entries};
use crate::sandbox::{Sandbox, finish};

/// Two repositories behind a server, and a configuration with a part in another folder.
fn project() -> (Sandbox, HttpServer) {
    let s = Sandbox::new();
    for arch in ["x86_64", "aarch64"] {
        let of = |name: &str| {
            let package = ApkBuilder::new(name, "1-r0").arch(arch).origin(name).build_date(1_700_000_000);
            package.dir("usr").file(&format!("usr/{name}"), format!("{name} for {arch}"))
        };
        let first =
            RepositoryBuilder::new().package(of("one").depend("two")).package(of("two")).package(of("four"));
        first.write(&s.path("repo/first"), arch);
        RepositoryBuilder::new().package(of("three")).write(&s.path("repo/second"), arch);
    }
    let server = HttpServer::folder(s.path("repo"));
    s.write(TEST_KEY_NAME, TEST_KEY);
    s.write(OTHER_KEY_NAME, OTHER_KEY);
    for (folder, name) in [("a", "A"), ("b", "B")] {
        s.write(&format!("{folder}/part.yaml"), format!("environment: {{PART: {name}}}\n"));
    }
    s.write(
        "app.yaml",
        format!(
            "include: part.yaml\ncontents:\n  repositories: ['{}/first']\n  keyring: [{TEST_KEY_NAME}]\n  \
             packages: [one]\narchs: [x86_64, aarch64]\nlayering: {{strategy: origin, budget: 2}}\n",
            server.url()
        ),
    );
    (s, server)
}

/// Builds into a folder with a cache, and gives all files of the folder.
fn build(s: &Sandbox, cache: &str, args: &[String], epoch: Option<&str>) -> Vec<(String, Vec<u8>)> {
    let _ = fs::remove_dir_all(s.path("out"));
    fs::create_dir(s.path("out")).unwrap();
    let include = ["--include-paths".to_owned(), "a".to_owned()];
    let include: &[String] = if args.iter().any(|arg| arg == "--include-paths") { &[] } else { &include };
    let common = ["apko", "build", "app.yaml", "team/app:1", "out", "--cache-dir", cache];
    let args =
        common.iter().map(ToString::to_string).chain(args.iter().cloned()).chain(include.iter().cloned());
    let mut command = s.command(args);
    if let Some(epoch) = epoch {
        command.env("SOURCE_DATE_EPOCH", epoch);
    }
    let ran = finish(&mut command, s.root());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let mut files = Vec::new();
    walk(&s.path("out"), &mut files);
    files.sort();
    files
}

fn walk(folder: &Path, out: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, out);
        } else {
            out.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn an_unchanged_build_of_apko_is_a_look_up() {
    let (s, server) = project();
    let first = build(&s, "cache", &[], None);
    server.clear_log();
    assert!(first == build(&s, "cache", &[], None));
    assert_only_documents(&server);
    assert!(!server.log().is_empty());
    // Other names, and an archive in place of a folder, are made of the same layers; a lock of apko is a basis of its own.
    let common = ["--cache-dir", "cache", "--include-paths", "a"];
    let made = |cache: &str, more: &[&str]| {
        let args = ["apko", "build", "app.yaml", "team/other:2", "out.tar"];
        let common = ["--cache-dir", cache, "--include-paths", "a"];
        s.ok(args.iter().chain(&common).chain(more));
        s.read("out.tar")
    };
    server.clear_log();
    let archive = made("cache", &[]);
    assert_only_documents(&server);
    assert!(archive == made("cold", &[]));
    s.ok(["apko", "lock", "app.yaml", "--output", "app.lock.json"].iter().chain(&common));
    let locked = made("cache", &["--lockfile", "app.lock.json"]);
    server.clear_log();
    assert!(locked == made("cache", &["--lockfile", "app.lock.json"]));
    assert_only_documents(&server);
    assert!(locked == made("cold-lock", &["--lockfile", "app.lock.json"]));
    // Another configuration than the lock's is refused, although it means the same.
    let text = String::from_utf8(s.read("app.yaml")).unwrap();
    s.write("app.yaml", text + "# the same\n");
    let args = ["apko", "build", "app.yaml", "team/other:2", "out.tar", "--lockfile", "app.lock.json"];
    assert_eq!(s.run(args.iter().chain(&common)).code, 1);
}

#[test]
fn every_flag_of_apko_counts() {
    let (s, server) = project();
    s.write(".git/config", "[remote \"origin\"]\n\turl = https://example.org/team/app.git\n");
    s.write(".git/HEAD", format!("{}\n", "0123456789".repeat(4)));
    let second = format!("{}/second", server.url());
    let flags: [(&[&str], bool); 16] = [
        (&[], true),
        (&["--arch", "x86_64"], true),
        (&["-p", "four"], true),
        (&["-r", &second], true),
        (&["-b", &second], true),
        (&["-b", &second, "-p", "three"], true),
        (&["-k", OTHER_KEY_NAME], true),
        (&["--annotations", "a:b"], true),
        (&["--build-date", "2031-06-01T12:34:56+02:00"], true),
        (&["--build-date", "2031-06-01T10:34:56Z"], true),
        (&["--include-paths", "b"], true),
        (&["--vcs=false"], true),
        (&["--ignore-signatures"], false),
        (&["--max-apkindex-decompressed-size", "1000000"], false),
        (&["--max-apk-control-size", "1000000"], false),
        (&["--max-apk-data-size", "1000000"], false),
    ];
    let mut cases: Vec<(Vec<String>, Option<&str>, bool)> = flags
        .iter()
        .map(|(flags, other)| (flags.iter().map(ToString::to_string).collect(), None, *other))
        .collect();
    cases.extend([(vec![], Some("1234567890"), true), (vec![], Some(""), true)]);
    let (mut seen, mut records) = (Vec::new(), 0);
    for (flags, epoch, other) in cases {
        let warm = build(&s, "cache", &flags, epoch);
        let now = entries(&s, "records/results").len();
        assert_eq!(now, records + 1, "{flags:?} {epoch:?}: not a case of its own");
        records = now;
        assert!(warm == build(&s, "cold", &flags, epoch), "{flags:?} {epoch:?}");
        fs::remove_dir_all(s.path("cold")).unwrap();
        assert_eq!(!seen.contains(&warm), other, "{flags:?} {epoch:?}");
        seen.push(warm);
    }
    assert!(build(&s, "cache", &[], None) == seen[0]);
    assert_eq!(entries(&s, "records/results").len(), records);
}
