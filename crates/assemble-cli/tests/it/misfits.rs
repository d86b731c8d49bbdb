//! Keys and packages that are missing, or are not what they should be: the messages say which file, and what mends it.

use std::fs;

use assemble_testkit::{ApkBuilder, HttpServer, RepositoryBuilder, TEST_KEY, TEST_KEY_NAME};
use expect_test::expect;

use crate::sandbox::Sandbox;

const PACKAGE: &str = "x86_64/app-1-r0.apk";
const BUILD: [&str; 5] = ["build", "spec.yaml", "-o", "none", "-q"];

/// A sandbox with a repository of one package, and the key of it.
fn sandbox() -> Sandbox {
    let s = Sandbox::new();
    s.write(TEST_KEY_NAME, TEST_KEY);
    let app = ApkBuilder::new("app", "1-r0").dir("srv").file("srv/app", vec![7; 5000]);
    RepositoryBuilder::new().package(app.build()).write(&s.path("repo"), "x86_64");
    s
}

fn spec(s: &Sandbox, repository: &str, key: &str) {
    s.write(
        "spec.yaml",
        format!(
            "contents:\n  repositories: [{repository}]\n  keyring: [{key}]\n  packages: [app]\narchs: [x86_64]\n"
        ),
    );
}

/// Without what was downloaded before.
fn forget(s: &Sandbox) {
    drop(fs::remove_dir_all(s.path("cache")));
}

#[test]
fn a_key_that_is_not_there() {
    let s = sandbox();
    spec(&s, "repo", &TEST_KEY_NAME.replace(".rsa", ".rs"));
    expect![[r#"
        exit: 3
        error[fetch/missing]: testkit.rs.pub: no such file or folder
         --> spec.yaml:3:13
          |
        3 |   keyring: [testkit.rs.pub]
          |             ^^^^^^^^^^^^^^
          |
          = note: while reading the keyring
          = help: there is no key file `testkit.rs.pub`, which spec.yaml:3:13 names
          = help: did you mean `testkit.rsa.pub`?
    "#]]
    .assert_eq(&s.run(BUILD).shown());
    s.write("keys/other.rsa.pub", TEST_KEY);
    spec(&s, "repo", "keys/mine.rsa.pub");
    let ran = s.run(BUILD);
    assert!(ran.stderr.contains("did you mean `keys/other.rsa.pub`?"), "{}", ran.stderr);
    spec(&s, "repo", "kes/mine.rsa.pub");
    let ran = s.run(BUILD);
    assert!(ran.stderr.contains("spec.yaml:3:13 names, nor a folder `kes`"), "{}", ran.stderr);
    let apko = ["apko", "build", "spec.yaml", "a:b", "out.tar", "--sbom=false", "-k", "none.rsa.pub"];
    spec(&s, "repo", TEST_KEY_NAME);
    let ran = s.run(apko);
    assert!(
        ran.stderr.contains("no key file `none.rsa.pub`, which the command line names"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_host_that_is_down_names_the_way_without_it() {
    let s = sandbox();
    let server = HttpServer::folder(s.root());
    spec(&s, &format!("{}/repo", server.url()), TEST_KEY_NAME);
    let digest = s.ok(BUILD);
    drop(server);
    let ran = s.run(BUILD);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.contains("--offline takes it from there"), "{}", ran.stderr);
    assert_eq!(s.ok([&BUILD[..], &["--offline"]].concat()), digest);
}

#[test]
fn a_cache_that_is_no_folder() {
    let s = sandbox();
    spec(&s, "repo", TEST_KEY_NAME);
    s.write("cache", "");
    expect![[r#"
        exit: 9
        error[fetch/cache]: [ROOT]/cache: cannot be the cache: expected a folder, found a file
         |
         = help: name a folder for the cache: `--cache-dir DIR`, or ASSEMBLE_CACHE in the environment
         = help: or remove what is there: `ls -l [ROOT]/cache`
    "#]]
    .assert_eq(&s.run(BUILD).shown());
}

#[test]
fn a_repository_with_the_architecture_behind_it() {
    let s = sandbox();
    let server = HttpServer::folder(s.root());
    for (written, meant) in [
        ("repo/x86_64".to_owned(), "repo".to_owned()),
        (format!("{}/repo/x86_64/", server.url()), format!("{}/repo", server.url())),
    ] {
        spec(&s, &written, TEST_KEY_NAME);
        let ran = s.run(BUILD);
        assert_eq!(ran.code, 6, "{}", ran.stderr);
        let hint = format!("the folder of the architecture is added by assemble: write `{meant}`");
        assert!(ran.stderr.contains(&hint), "{}", ran.stderr);
    }
}

#[test]
fn a_locked_package_that_the_mirror_has_no_more() {
    let s = sandbox();
    let server = HttpServer::folder(s.root());
    spec(&s, &format!("{}/repo", server.url()), TEST_KEY_NAME);
    s.ok(["lock", "spec.yaml"]);
    fs::remove_file(s.path("repo").join(PACKAGE)).unwrap();
    forget(&s);
    let shown = |ran: crate::sandbox::Ran| ran.shown().replace(&server.url(), "[URL]");
    let locked = shown(s.run(BUILD));
    for hint in ["assemble update app --spec spec.yaml", "assemble vendor spec.yaml -o DIR"] {
        assert!(locked.contains(hint), "{locked}");
    }
    let free = shown(s.run([&BUILD[..], &["--ignore-lock"]].concat()));
    assert!(free.contains("the mirror may be halfway through an update"), "{free}");
    // Here, there is no mirror.
    spec(&s, "repo", TEST_KEY_NAME);
    let here = shown(s.run(BUILD));
    assert!(here.contains("the index lists it: put it there, or make the index anew"), "{here}");
}

#[test]
fn a_copy_that_was_altered() {
    let s = sandbox();
    spec(&s, "repo", TEST_KEY_NAME);
    s.ok(["lock", "spec.yaml"]);
    s.ok(["vendor", "spec.yaml", "-o", "copies"]);
    let copy = format!("copies/repositories/repo/{PACKAGE}");
    let whole = s.read(&copy);
    let build = |more: &[&str]| {
        forget(&s);
        s.run([&BUILD[..], more].concat()).shown()
    };
    let vendored = ["--vendor", "copies", "--offline"];
    s.write(&copy, [&whole[..], b"x"].concat());
    expect![[r#"
        exit: 5
        error[lock/other-package]: app-1-r0 is not the file that spec.lock names: expected size 1114, found 1115
         --> spec.yaml:2:18
          |
        2 |   repositories: [repo]
          |                  ^^^^
          |
          = note: while reading package 1 of 1 for x86_64
          = help: the file copies/repositories/repo/x86_64/app-1-r0.apk differs from what spec.lock says of it; nothing of it was used
          = help: copy it there again: assemble vendor spec.yaml -o copies
    "#]].assert_eq(&build(&vendored));
    let mut altered = whole.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    s.write(&copy, &altered);
    let said = build(&vendored);
    assert!(said.contains(&format!("the file {copy} differs from what spec.lock says of it")), "{said}");
    assert!(!said.contains("mirror"), "{said}");
    fs::remove_file(s.path(&copy)).unwrap();
    let said = build(&vendored);
    assert!(said.contains("copy it there again: assemble vendor spec.yaml -o copies"), "{said}");
    s.ok(["vendor", "spec.yaml", "-o", "copies"]);
    assert!(build(&vendored).starts_with("exit: 0"));
    // A repository of one's own is no mirror either.
    s.write(&format!("repo/{PACKAGE}"), &altered);
    for more in [&[][..], &["--ignore-lock"]] {
        let said = build(more);
        assert!(
            said.contains("copy it there again; if the index has another by now, take")
                || said.contains("copy it there again, or"),
            "{said}"
        );
        assert!(!said.contains("mirror"), "{said}");
    }
}
