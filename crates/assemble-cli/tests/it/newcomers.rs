//! What somebody meets who begins: messages that name the right thing, and documents that keep their word.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use assemble_testkit::{
    ApkBuilder, HttpServer, RepositoryBuilder, Request, Response, TEST_KEY, TEST_KEY_NAME,
};
use expect_test::expect;

use crate::sandbox::{Ran, Sandbox, hello, workspace};

/// A sandbox with a repository `repo` for one architecture, and its key.
fn sandbox() -> Sandbox {
    let s = Sandbox::new();
    s.write(TEST_KEY_NAME, TEST_KEY);
    let busy = ApkBuilder::new("busy", "1-r0")
        .dir("usr")
        .dir("usr/bin")
        .file("usr/bin/tool", fs::read(hello()).unwrap())
        .script(".post-install", b"#!/bin/sh\nfrobnicate /x\n");
    RepositoryBuilder::new()
        .package(busy.build())
        .package(ApkBuilder::new("other", "1-r0").depend("missing>=2").build())
        .write(&s.path("repo"), "x86_64");
    s
}

fn spec(s: &Sandbox, more: &str) {
    s.write(
        "spec.yaml",
        format!(
            "contents:\n  repositories: [repo]\n  keyring: [{TEST_KEY_NAME}]\n  packages: [busy]\narchs: [x86_64]\n{more}"
        ),
    );
}

#[track_caller]
fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` is missing in\n{}", ran.stderr);
    }
}

const BUILD: [&str; 6] = ["build", "spec.yaml", "-o", "none", "--start-check", "off"];

#[test]
fn hints_name_flags_of_the_command_that_was_typed() {
    let s = sandbox();
    RepositoryBuilder::new()
        .signed_by(None)
        .package(ApkBuilder::new("busy", "1-r0").build())
        .write(&s.path("repo"), "x86_64");
    spec(&s, "");
    let ours = s.run(BUILD);
    says(&ours, &["--allow-untrusted"]);
    let apkos = s.run(["apko", "build", "spec.yaml", "a:b", "out.tar"]);
    says(&apkos, &["--ignore-signatures"]);
    assert!(!apkos.stderr.contains("--allow-untrusted"), "{}", apkos.stderr);
    let taken =
        s.run(["apko", "build", "spec.yaml", "a:b", "out.tar", "--ignore-signatures", "--sbom=false"]);
    assert_eq!(taken.code, 0, "{}", taken.stderr);
    says(&taken, &["(--ignore-signatures)"]);
    assert!(!taken.stderr.contains("--allow-untrusted"), "{}", taken.stderr);
}

/// What `show` prints builds the same image, from the same folder.
#[test]
fn what_is_shown_builds_the_same() {
    let s = sandbox();
    let folder = workspace().join("configs");
    for entry in fs::read_dir(&folder).unwrap() {
        copy(&entry.unwrap().path(), &s.path("configs"));
    }
    fs::create_dir_all(s.path("bin")).unwrap();
    fs::copy(hello(), s.path("bin/hello")).unwrap();
    copy(&workspace().join("testdata/alpine"), &s.path("testdata"));
    let mut specs: Vec<String> = fs::read_dir(s.path("configs"))
        .unwrap()
        .map(|entry| format!("configs/{}", entry.unwrap().file_name().to_str().unwrap()))
        .filter(|name| std::path::Path::new(name).extension().is_some_and(|end| end == "yaml"))
        .collect();
    let own = [
        "",
        "environment: {A: b}\naccounts: {run-as: '7', users: [{username: u, uid: 7}], groups: [{groupname: g, gid: 9}]}\n",
        "cmd: \"a  'b c'\"\nentrypoint: {command: \"/usr/bin/tool   x\"}\n",
        "entrypoint: {type: service-bundle, services: {web: /usr/bin/tool}}\n",
        "entrypoint: [/usr/bin/tool, 'a b']\nwork-dir: /\nstop-signal: TERM\nvolumes: [/v]\nannotations: {k: v}\n",
        "paths: [{path: /d, type: directory, permissions: 0o755, uid: 3}, {path: /l, type: symlink, source: /d}]\n",
        "layering: {strategy: origin, budget: 2}\n",
        "environment: {PATH: /x, SSL_CERT_FILE: /y}\n",
    ];
    RepositoryBuilder::new()
        .package(
            ApkBuilder::new("busy", "1-r0")
                .dir("usr")
                .dir("usr/bin")
                .executable("usr/bin/tool", *b"x")
                .build(),
        )
        .package(ApkBuilder::new("s6", "1-r0").build())
        .write(&s.path("repo"), "x86_64");
    for (number, more) in own.iter().enumerate() {
        spec(&s, more);
        fs::rename(s.path("spec.yaml"), s.path(&format!("own{number}.yaml"))).unwrap();
        specs.push(format!("own{number}.yaml"));
    }
    assert!(specs.len() >= 5 + own.len(), "{specs:?}");
    for name in specs {
        let build = |name: &str| s.ok(["build", name, "-o", "none", "--start-check", "off"]);
        let digest = build(&name);
        let folder = Path::new(&name).parent().unwrap();
        for (args, shown) in
            [(&["show", &name][..], "shown.yaml"), (&["show", &name, "--json"], "shown.json.yaml")]
        {
            let shown = folder.join(shown).display().to_string();
            s.write(&shown, s.run(args).stdout);
            assert_eq!(build(&shown), digest, "{name}: {}", String::from_utf8(s.read(&shown)).unwrap());
            fs::remove_file(s.path(&shown)).unwrap();
        }
    }
    // The defaults are told all the same.
    let shown = s.ok(["show", "own0.yaml"]);
    assert!(shown.contains("#   environment: SSL_CERT_FILE: /etc/ssl/certs/ca-certificates.crt"), "{shown}");
    assert!(shown.contains("#   accounts: run-as: 65532:65532"), "{shown}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let target = to.join(from.file_name().unwrap());
    if from.is_dir() {
        for entry in fs::read_dir(from).unwrap() {
            copy(&entry.unwrap().path(), &target);
        }
    } else {
        fs::copy(from, target).unwrap();
    }
}

#[test]
fn a_link_without_permissions_is_named_where_it_closes_a_program() {
    let s = sandbox();
    RepositoryBuilder::new()
        .package(
            ApkBuilder::new("busy", "1-r0")
                .dir("usr")
                .dir("usr/bin")
                .executable("usr/bin/tool", fs::read(hello()).unwrap())
                .build(),
        )
        .write(&s.path("repo"), "x86_64");
    spec(&s, "entrypoint: [/app]\npaths:\n  - {path: /app, type: symlink, source: /usr/bin/tool}\n");
    let ran = s.run(["build", "spec.yaml", "-o", "none"]);
    assert_eq!(ran.code, 10, "{}", ran.stderr);
    says(&ran, &["mode 0000", "the link /app in `paths` has no `permissions`", "0o755", "spec.yaml:8:5"]);
    spec(
        &s,
        "entrypoint: [/app]\npaths:\n  - {path: /app, type: symlink, source: /usr/bin/tool, permissions: 0o755}\n",
    );
    s.ok(["build", "spec.yaml", "-o", "none"]);
}

#[test]
fn an_architecture_that_a_repository_lacks_is_said_to_be_that() {
    let s = sandbox();
    spec(&s, "");
    let ran = s.run([&BUILD[..], &["--platform", "riscv64"]].concat());
    expect![[r#"
        exit: 6
        error[repository/no-index]: repo has no index for riscv64
         --> spec.yaml:2:18
          |
        2 |   repositories: [repo]
          |                  ^^^^
          |
          = note: while reading the index for riscv64
          = note: because repo/riscv64/APKINDEX.tar.gz: not found
          = help: if it has no packages for riscv64, build for those that it has: `archs` in the spec, or --platform
          = help: otherwise check its address: the index lies in a folder with the architecture's name
    "#]]
    .assert_eq(&ran.shown());
}

#[test]
fn a_vendor_that_cannot_go_on_lists_what_moved() {
    let s = sandbox();
    spec(&s, "");
    s.ok(["lock", "spec.yaml"]);
    RepositoryBuilder::new()
        .package(
            ApkBuilder::new("busy", "1-r0")
                .dir("usr")
                .dir("usr/bin")
                .executable("usr/bin/tool", *b"x")
                .build(),
        )
        .package(ApkBuilder::new("extra", "2-r0").build())
        .write(&s.path("repo"), "x86_64");
    let text = String::from_utf8(s.read("spec.yaml")).unwrap();
    s.write("spec.yaml", text.replace("[busy]", "[busy, extra]"));
    let ran = s.run(["vendor", "spec.yaml", "-o", "vendored"]);
    assert_eq!(ran.code, 8, "{}", ran.stderr);
    says(&ran, &["the spec has changed", "extra 2-r0: new (x86_64)", "assemble lock spec.yaml"]);
    assert!(!ran.stderr.contains("--locked"), "{}", ran.stderr);
}

#[test]
fn a_vendored_folder_has_what_the_spec_includes() {
    let s = sandbox();
    spec(&s, "");
    let text = String::from_utf8(s.read("spec.yaml")).unwrap();
    s.write("parts/base.yaml", &text);
    s.write("parts/more.yaml", "include: parts/base.yaml\nenvironment: {A: b}\n");
    s.write("spec.yaml", "include: parts/more.yaml\n");
    s.ok(["lock", "spec.yaml"]);
    let digest = s.ok(BUILD);
    let ran = s.run(["vendor", "spec.yaml", "-o", "vendored"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    for gone in ["repo", "parts", "cache"] {
        fs::remove_dir_all(s.path(gone)).unwrap();
    }
    fs::remove_file(s.path("spec.yaml")).unwrap();
    let args = ["build", "vendored/spec.yaml", "-o", "none", "--start-check", "off", "--offline", "--locked"];
    assert_eq!(s.ok(args), digest);
    // What lies elsewhere is not copied, and that is said.
    let s = sandbox();
    spec(&s, "");
    s.write("sub/spec.yaml", "include: ../base.yaml\n");
    let text = String::from_utf8(s.read("spec.yaml")).unwrap();
    s.write(
        "base.yaml",
        text.replace("[repo]", "[../repo]").replace(TEST_KEY_NAME, &format!("../{TEST_KEY_NAME}")),
    );
    s.ok(["lock", "sub/spec.yaml"]);
    let ran = s.run(["vendor", "sub/spec.yaml", "-o", "vendored"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    says(&ran, &["base.yaml is included from outside of the spec's folder and was not copied"]);
}

#[test]
fn dead_ends_point_at_the_entry_that_leads_there() {
    let s = sandbox();
    for (packages, place) in [
        ("[busy, nothere]", "spec.yaml:4:20"),
        ("[busy, 'busy>2']", "spec.yaml:4:20"),
        ("[busy, other]", "spec.yaml:4:20"),
        ("[busy, '!busy']", "spec.yaml:4:14"),
        ("[busy@edge]", "spec.yaml:4:14"),
    ] {
        spec(&s, "");
        let text = String::from_utf8(s.read("spec.yaml")).unwrap();
        s.write("spec.yaml", text.replace("[busy]", packages));
        for args in [&BUILD[..], &["lock", "spec.yaml"], &["packages", "spec.yaml"]] {
            let ran = s.run(args);
            assert_eq!(ran.code, 4, "{packages}: {}", ran.stderr);
            says(&ran, &[place]);
        }
    }
    // In an included file as well.
    s.write("base.yaml", "contents:\n  packages:\n    - nothere\n");
    spec(&s, "include: base.yaml\n");
    says(&s.run(BUILD), &["base.yaml:3:7"]);
}

#[test]
fn the_summary_keeps_entrypoint_and_cmd_apart_and_says_things_once() {
    let s = sandbox();
    spec(&s, "cmd: serve --all\n");
    let ran = s.run(BUILD);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    says(&ran, &["  cmd          serve --all"]);
    assert!(!ran.stderr.contains("entrypoint"), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("busy-1-r0 was not run").count(), 1, "{}", ran.stderr);
    spec(&s, "entrypoint: [/usr/bin/tool]\ncmd: serve\n");
    says(&s.run(BUILD), &["  entrypoint   /usr/bin/tool\n", "  cmd          serve\n"]);
    spec(&s, "");
    says(&s.run(BUILD), &["  entrypoint   none: name a command when you run it"]);
}

#[test]
fn quiet_runs_still_warn_as_their_help_says() {
    let s = sandbox();
    spec(&s, "accounts: {run-as: '0'}\n");
    let ran = s.run([&BUILD[..], &["-q"]].concat());
    assert_eq!(ran.code, 0);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    says(&ran, &["warning: the image runs as root"]);
    assert!(s.ok(["build", "--help"]).contains("Say nothing but the result, warnings and errors"));
}

#[test]
fn an_included_pipe_holds_nobody_up() {
    let s = sandbox();
    assert!(Command::new("mkfifo").arg(s.path("pipe.yaml")).status().unwrap().success());
    for included in ["pipe.yaml", "/dev/zero", "/dev/tty"] {
        s.write("spec.yaml", format!("include: {included}\ncontents:\n  binary: x\n"));
        let start = Instant::now();
        let mut child =
            s.command(["show", "spec.yaml"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() && start.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let ended = child.try_wait().unwrap();
        drop(child.kill());
        assert_eq!(ended.and_then(|status| status.code()), Some(3), "{included}");
        let ran = s.run(["show", "spec.yaml"]);
        says(&ran, &["the included file is a pipe, a socket or a device", "spec.yaml:1:10"]);
    }
}

/// A lock holds packages still, not the user's own files: what is built of those is what they are now.
#[test]
fn a_changed_file_is_another_image_and_no_drift() {
    let s = sandbox();
    s.write("motd", "one");
    spec(&s, "");
    let text = String::from_utf8(s.read("spec.yaml")).unwrap();
    s.write("spec.yaml", text.replace("archs", "  files: [{source: motd, path: /etc/motd}]\narchs"));
    s.ok(["lock", "spec.yaml"]);
    let locked = [&BUILD[..], &["--locked"]].concat();
    let first = s.ok(&locked);
    let lock = s.read("spec.lock");
    s.write("motd", "two");
    let second = s.ok(&locked);
    assert_ne!(first, second);
    assert_eq!(s.read("spec.lock"), lock);
    s.write("motd", "one");
    assert_eq!(s.ok(&locked), first);
}

#[test]
fn mistakes_of_the_first_hour() {
    let s = sandbox();
    spec(&s, "layering: {strategy: origin, budget: 0}\n");
    says(
        &s.run(BUILD),
        &["a `layering.budget` of 0 leaves no layer to put packages in", "leave `layering` out"],
    );
    for text in [
        "contents:\n\tpackages: [a]\n",
        "contents:\n  packages:\n\t- a\n",
        "contents:\n  packages:\n  \t- a\n",
        "contents:\n  packages:\n    - a\n\tkeyring: [b]\n",
        "environment:\n  A: b\n\tC: d\n",
        "contents:\n  packages: [\n\t\ta\n  ]\n\tkeyring: x\n",
    ] {
        s.write("spec.yaml", text);
        let ran = s.run(BUILD);
        assert_eq!(ran.code, 3, "{text}");
        says(&ran, &["a tab is used for indentation", "use spaces"]);
    }
}

#[test]
fn the_schema_is_the_one_that_editors_are_pointed_at() {
    let s = sandbox();
    let printed = s.run(["schema"]);
    let committed = fs::read_to_string(workspace().join("docs/schema/assemble.schema.json")).unwrap();
    assert_eq!((printed.code, printed.stdout), (0, committed));
    // What is shown says the same in both forms.
    spec(&s, "environment: {A: '0755'}\n");
    let shown = s.ok(["show", "spec.yaml"]);
    assert!(shown.contains("A: \"0755\"") && shown.contains("packages:\n        - busy\n"), "{shown}");
    let document: serde_json::Value = serde_json::from_str(&s.ok(["show", "spec.yaml", "--json"])).unwrap();
    assert_eq!(
        (&document["environment"]["A"], &document["contents"]["packages"][0]),
        (&"0755".into(), &"busy".into())
    );
    let ran = s.run(["show", "none.yaml"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
}

#[test]
fn a_lock_that_is_none_is_made_anew_by_whoever_asks_for_one() {
    let s = sandbox();
    spec(&s, "");
    s.write("spec.lock", "garbage");
    let ran = s.run(BUILD);
    says(&ran, &["make it anew: assemble lock"]);
    let ran = s.run(["lock", "spec.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    says(&ran, &["made anew"]);
    assert_eq!(s.run(BUILD).code, 0);
}

#[test]
fn a_lock_of_apko_is_not_left_aside_in_silence() {
    let s = sandbox();
    spec(&s, "");
    s.ok(["lock", "spec.yaml"]);
    for command in ["packages", "tree", "check", "lock"] {
        let ran = s.run([command, "spec.yaml", "--lockfile", "nope.json"]);
        assert_ne!(ran.code, 0, "{command}");
        says(&ran, &["--lockfile nope.json"]);
    }
    let ran = s.run(["vendor", "spec.yaml", "-o", "vendored", "--lockfile", "nope.json"]);
    says(&ran, &["--lockfile nope.json"]);
}

#[test]
fn all_names_that_nobody_has_are_told_at_once() {
    let s = sandbox();
    spec(&s, "");
    let text = String::from_utf8(s.read("spec.yaml")).unwrap();
    s.write("spec.yaml", text.replace("[busy]", "[nope, busy, '!never', nada, 'nix>2', nope]"));
    expect![[r#"
        exit: 4
        error[resolve/no-provider]: no package provides `nada`, required by the list of packages
         --> spec.yaml:4:36
          |
        4 |   packages: [nope, busy, '!never', nada, 'nix>2', nope]
          |                                    ^^^^
          |
         ::: spec.yaml:4:14
          |
        4 |   packages: [nope, busy, '!never', nada, 'nix>2', nope]
          |              ----
          |
         ::: spec.yaml:4:42
          |
        4 |   packages: [nope, busy, '!never', nada, 'nix>2', nope]
          |                                          -------
          |
          = note: while choosing packages for linux/amd64
          = help: no package provides these, either: `nope`, `nix`
          = help: add the repository that has `nada` to contents.repositories
    "#]]
    .assert_eq(&s.run(["packages", "spec.yaml"]).shown());
    let many: Vec<String> = (0..15).map(|n| format!("none{n}")).collect();
    s.write("spec.yaml", text.replace("[busy]", &format!("[{}]", many.join(", "))));
    let ran = s.run(["packages", "spec.yaml"]);
    says(&ran, &["no package provides `none0`", "`none1`, `none2`", "`none10` and 4 more"]);
    // Where another one is at fault, the list is not.
    s.write("spec.yaml", text.replace("[busy]", "[other, nada]"));
    let ran = s.run(["packages", "spec.yaml"]);
    says(&ran, &["no package provides"]);
}

#[test]
fn check_looks_at_keys_and_repositories_that_lie_here() {
    let s = sandbox();
    spec(&s, "");
    s.ok(["check", "spec.yaml"]);
    let text = String::from_utf8(s.read("spec.yaml")).unwrap();
    s.write("empty/notes.txt", "");
    s.write(
        "spec.yaml",
        text.replace("[repo]", "[repo, nowhere, empty, 'https://h.example/os']")
            .replace("keyring: [", "keyring: [keys/none.pub, empty/notes.txt, 'https://h.example/k.pub', "),
    );
    let wrong = s.run(["check", "spec.yaml"]);
    expect![[r#"
        exit: 3
        error[repository/missing]: the repository nowhere does not exist
         --> spec.yaml:2:24
          |
        2 |   repositories: [repo, nowhere, empty, 'https://h.example/os']
          |                        ^^^^^^^
          |
          = note: while reading the index for x86_64
          = help: this, too: spec.yaml:2:33: empty has no index for x86_64
          = help: this, too: spec.yaml:3:13: keys/none.pub: no such file or folder
          = help: this, too: spec.yaml:3:28: key `notes.txt` has no block `-----BEGIN PUBLIC KEY-----`, or a damaged one
          = help: check the path; the address of a repository of another host begins with https://
    "#]].assert_eq(&wrong.shown());
    // With a lock that fits, nobody asks for keys and indexes.
    s.write("spec.yaml", &text);
    s.ok(["lock", "spec.yaml"]);
    fs::rename(s.path("repo/x86_64/APKINDEX.tar.gz"), s.path("elsewhere")).unwrap();
    s.ok(["check", "spec.yaml"]);
    fs::remove_file(s.path("spec.lock")).unwrap();
    says(&s.run(["check", "spec.yaml"]), &["repo has no index for x86_64"]);
}

#[test]
fn a_key_beside_the_repository_is_named_by_its_path() {
    let s = sandbox();
    s.write("spec.yaml", "contents: {repositories: [repo], packages: [busy]}\n");
    let hint = |s: &Sandbox| {
        let ran = s.run(["packages", "spec.yaml"]);
        let hints = ran.stderr.lines().filter_map(|line| line.split_once("contents.keyring: "));
        hints.map(|(_, path)| path.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(hint(&s), [TEST_KEY_NAME]);
    fs::remove_file(s.path(TEST_KEY_NAME)).unwrap();
    for place in ["keys", "repo", "repo/keys", "repo/x86_64"] {
        let path = format!("{place}/{TEST_KEY_NAME}");
        s.write(&path, TEST_KEY);
        assert_eq!(hint(&s), [path.as_str()]);
        s.write(
            "spec.yaml",
            format!("contents: {{repositories: [repo], packages: [busy], keyring: ['{path}']}}\n"),
        );
        s.ok(["packages", "spec.yaml"]);
        s.write("spec.yaml", "contents: {repositories: [repo], packages: [busy]}\n");
        fs::remove_file(s.path(&path)).unwrap();
    }
    assert_eq!(hint(&s), [TEST_KEY_NAME]);
    // A key that is named, but lies in the folder for keys.
    s.write(&format!("keys/{TEST_KEY_NAME}"), TEST_KEY);
    spec(&s, "");
    says(&s.run(["packages", "spec.yaml"]), &[&format!("did you mean `keys/{TEST_KEY_NAME}`?")]);
}

#[test]
fn an_index_in_other_letters_is_found_for_the_hint() {
    let s = sandbox();
    fs::rename(s.path("repo/x86_64/APKINDEX.tar.gz"), s.path("repo/x86_64/ApkIndex.tar.gz")).unwrap();
    spec(&s, "");
    says(
        &s.run(["packages", "spec.yaml"]),
        &[
            "there is repo/x86_64/ApkIndex.tar.gz",
            "name it `APKINDEX.tar.gz`",
            "`ndx repo/x86_64/ApkIndex.tar.gz`",
        ],
    );
    fs::rename(s.path("repo/x86_64/ApkIndex.tar.gz"), s.path("repo/x86_64/packages.adb")).unwrap();
    let ran = s.run(["packages", "spec.yaml"]);
    says(
        &ran,
        &["there is repo/x86_64/packages.adb", "name it `Packages.adb`", ": `repo/x86_64/packages.adb`"],
    );
    let text = String::from_utf8(s.read("spec.yaml")).unwrap();
    s.write("spec.yaml", text.replace("[repo]", "[repo/x86_64/Packages.adb]"));
    says(
        &s.run(["packages", "spec.yaml"]),
        &["there is repo/x86_64/packages.adb, and upper and lower case count"],
    );
    s.write("spec.yaml", text.replace("[repo]", "[repo/x86_64/apkindex.tar.gz]"));
    says(&s.run(["packages", "spec.yaml"]), &["named by its folder, not by its index", "write `repo`"]);
}

#[test]
fn an_image_is_called_as_its_program() {
    let s = Sandbox::new().with_hello();
    s.ok(["init", "./hello"]);
    let built = s.json(["build", "--json"]);
    assert_eq!(built["written"], serde_json::json!(["hello.oci"]), "{built}");
    let index = String::from_utf8(s.read("hello.oci/index.json")).unwrap();
    assert!(index.contains("library/hello:latest"), "{index}");
}

#[test]
fn a_server_that_is_no_registry_is_said_to_be_that() {
    let s = Sandbox::new().with_hello();
    s.ok(["build", "./hello", "-q"]);
    let page = "<!DOCTYPE html>\n<html><head><title>Not here</title></head></html>";
    let server = HttpServer::new(move |_: &Request| Response::text(404, page));
    let host = server.url().replace("http://", "");
    let ran = s.run(["push", "hello.oci", &format!("{host}/team/hello:1")]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    says(&ran, &["the server answered 404 with a page, as no registry does: Not here"]);
    says(&ran, &[&format!("check that `{host}` is a registry: `curl -i http://{host}/v2/` shows it")]);
}
