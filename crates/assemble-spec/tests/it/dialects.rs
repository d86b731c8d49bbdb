//! What apko takes is taken in its dialect, what it refuses is refused; ours knows more and lets less pass.

use assemble_spec::{Dialect, IncludeProblem, PathKind, Spec, SpecText, read_spec};
use expect_test::expect;

fn read(yaml: &str, dialect: Dialect) -> Result<Spec, String> {
    let main = SpecText { shown: "a.yaml".into(), identity: "a".into(), bytes: yaml.as_bytes().to_vec() };
    let mut nothing = |_: &str| Err(IncludeProblem { message: "no such file".into(), hints: Vec::new() });
    read_spec(main, dialect, &mut nothing).map(|read| read.spec).map_err(|e| e.plain())
}

#[track_caller]
fn apko(yaml: &str) -> Spec {
    read(yaml, Dialect::Apko).unwrap_or_else(|e| panic!("{e}"))
}

const PACKAGES: &str = "contents:\n  repositories: [./r]\n  packages: [a]\n";

/// Taken by both: the name of the case and the lines below [`PACKAGES`].
const BOTH: [&str; 12] = [
    "entrypoint: {type: whatever, command: /a b}",
    "entrypoint: {services: {web: /bin/web}}",
    "accounts: {run-as: 65532, users: [{username: a, uid: 0x3e8, gid: ~, shell: /bin/a}]}",
    "accounts: {groups: [{groupname: g, gid: 1_000, members: [a, b]}]}",
    "paths: [{path: /a, type: directory, permissions: 0755, uid: 0, recursive: yes}]",
    "paths: [{path: a, type: empty-file, permissions: 0o644}, {path: /b, type: permissions, permissions: 493}]",
    "archs: [x86_64, aarch64, armhf, arm/v7, loong64, ppc64le, riscv64, s390x, x86]",
    "layering: {strategy: origin, budget: 0x10}",
    "layering: {}",
    "certificates: {providers: [ca]}",
    "vcs-url: git+ssh://git@example.org/x@abc",
    "stop-signal: SIGTERM\nvolumes: [/a]\nwork-dir: /b\nenvironment: {A: ~, B: yes, C: 0755}\nformat: tar",
];

/// Taken by apko alone.
const APKO_ALONE: [&str; 16] = [
    "stop-signal: NONSENSE",
    "work-dir: relative/dir",
    "volumes: [rel, /a, /a]",
    "accounts: {run-as: 'no such: user:x'}",
    "accounts: {users: [{username: 'a:b', uid: 08}]}",
    "accounts: {groups: [{groupname: a}]}",
    "archs: [sparc, AMD64, amd64, x86_64]",
    "environment: {'A=B': c, '': d}",
    "annotations: {'': x}",
    "entrypoint: {command: a && b}",
    "cmd: a | b",
    "paths: [{path: /a, type: directory, permissions: 755}]",
    "paths: [{path: /a, type: permissions}]",
    "paths: [{path: '', type: directory, recursive: 'on'}, ~]",
    "layering: {strategy: origin}",
    "accounts: {users: [{username: a, uid: 1.9}, ~]}",
];

/// Taken by ours alone.
const OURS_ALONE: [&str; 11] = [
    "layering: {strategy: package}",
    "layering: {strategy: package, budget: 3}",
    "ports: [8080]",
    "entrypoint: [/a, b]",
    "entrypoint: /a b",
    "cmd: [a, b]",
    "contents: {binary: ./x}",
    "contents: {files: [{source: a, path: /a}]}",
    "contents: {base-files: true}",
    "certificates: {additional: [{source: ./ca.pem}]}",
    "accounts: {users: [{username: a, uid: '5'}]}",
];

/// Refused by both.
const NEITHER: [&str; 30] = [
    "entry-point: {}",
    "os-release: {}",
    "accounts: {users: [{username: a, uid: 1, home: /x}]}",
    "cmd: [[a]]",
    "cmd: a\ncmd: b",
    "accounts: {users: [{username: a, uid: -1}]}",
    "accounts: {users: [{username: a, uid: 4294967296}]}",
    "accounts: {users: [{username: a, uid: 0}]}",
    "accounts: {users: [{username: a}]}",
    "accounts: {users: [{uid: 5}]}",
    "accounts: {groups: [{gid: 5}]}",
    "paths: [{path: /a, type: socket}]",
    "paths: [{path: /a}]",
    "paths: [{path: /a, type: directory, recursive: 1}]",
    "paths: {a: b}",
    "volumes: /a",
    "environment: [A=b]",
    "layering: {strategy: size, budget: 3}",
    "layering: {budget: 3}",
    "format: erofs",
    "format: zip",
    "certificates: {additional: [{name: ../a, content: '-----BEGIN CERTIFICATE-----'}]}",
    "certificates: {additional: [{content: '-----BEGIN CERTIFICATE-----'}]}",
    "contents: {runtime_keyring: [{name: a}]}",
    "contents: {runtime_keyring: [{name: a, content: '-----BEGIN PUBLIC KEY-----'}, {name: a, content: '-----BEGIN PUBLIC KEY-----'}]}",
    "contents: {repositories: ['https://u:p@example.org/os']}",
    "contents: {keyring: ['https://u@example.org/k.rsa.pub']}",
    "contents: {baseimage: {image: ./b, apkindex: ./i}}\ncmd: x",
    "vcs-url: https://token@example.org/x@1",
    "include: https://example.org/a.yaml",
];

fn whole(lines: &str) -> String {
    match lines.strip_prefix("contents: {") {
        Some(rest) => format!("contents: {{packages: [a], build_repositories: [./r], {rest}"),
        None => format!("{PACKAGES}{lines}\n"),
    }
}

#[test]
fn each_dialect_takes_what_is_its_own() {
    let table = [
        (&BOTH[..], true, true),
        (&APKO_ALONE[..], true, false),
        (&OURS_ALONE[..], false, true),
        (&NEITHER[..], false, false),
    ];
    for (cases, by_apko, by_us) in table {
        for lines in cases {
            let yaml = whole(lines);
            let (apko, ours) = (read(&yaml, Dialect::Apko), read(&yaml, Dialect::Assemble));
            assert_eq!((apko.is_ok(), ours.is_ok()), (by_apko, by_us), "{lines}\n{apko:?}\n{ours:?}");
        }
    }
}

#[test]
fn values_of_apkos_dialect() {
    let spec = apko(
        "contents: {repositories: ['@e ./r//', x y], packages: ['foo >1', ~, '', 'a@b=c']}\n\
         archs: [sparc, x86_64, amd64]\n\
         paths: [{path: a, type: hardlink, permissions: 0o40755, gid: 0, source: b}]\n\
         accounts: {users: [{username: u, uid: 07_0}], run-as: 0}\n\
         entrypoint: {type: service-bundle, command: x, services: {}}\n",
    );
    let packages: Vec<String> = spec.packages.iter().map(|p| p.value.to_string()).collect();
    assert_eq!(packages, ["foo", ">1", "a@b=c", "s6"]);
    assert_eq!(spec.apko.packages, ["foo >1", "", "a@b=c", "s6"]);
    assert_eq!(spec.repositories[0].value.pin.as_deref(), Some("e"));
    assert_eq!(
        (spec.repositories[0].value.location.as_str(), spec.repositories[1].value.location.as_str()),
        ("./r", "x y")
    );
    assert_eq!(spec.apko.archs, ["sparc", "amd64", "amd64"]);
    assert_eq!((spec.platforms.len(), spec.unknown_platforms.len()), (1, 1));
    let path = &spec.paths[0];
    assert_eq!((path.kind, path.permissions, path.mode().bits()), (PathKind::HardLink, 0o40755, 0o755));
    assert_eq!((path.uid, path.gid), (None, Some(0)));
    assert_eq!(spec.users[0].uid, 0o70);
    assert_eq!(spec.entrypoint.as_deref(), Some(&["/bin/s6-svscan".to_owned(), "/sv".to_owned()][..]));
    assert!(!spec.base_files.enabled);
    assert_eq!(
        apko("~"),
        Spec { dialect: Dialect::Apko, base_files: assemble_spec::BaseFiles::NONE, ..Spec::default() }
    );
    assert!(read("", Dialect::Apko).is_err());
}

#[test]
fn messages_of_apkos_dialect() {
    let wrong = "contents: {packages: [a], binary: ./x}\nentrypoint: /a\naccounts: {users: [{username: a, uid: '5'}], groups: []}\nport: 1\n";
    expect![[r#"
        error[spec/unknown-key]: there is no key `binary` in `contents`
         --> a.yaml:1:27
        1 | contents: {packages: [a], binary: ./x}
          |                           ^^^^^^ unknown key
          help: apko has no such key; `assemble build` knows it

        error[spec/type]: `entrypoint` has to be a map, not one value
         --> a.yaml:2:1
        2 | entrypoint: /a
          | ^^^^^^^^^^
          help: known here: `command`, `shell-fragment`, `services`

        error[spec/value]: `uid` has to be a number, not a text
         --> a.yaml:3:39
        3 | accounts: {users: [{username: a, uid: '5'}], groups: []}
          |                                       ^^^
          help: write `5` without quotes

        error[spec/unknown-key]: there is no key `port`
         --> a.yaml:4:1
        4 | port: 1
          | ^^^^ unknown key
          help: known here: `contents`, `entrypoint`, `cmd`, `environment`, `work-dir`, `volumes`, `stop-signal`, `annotations`, `accounts`, `archs`, `certificates`, `include`, `paths`, `layering`, `vcs-url`
    "#]]
    .assert_eq(&read(wrong, Dialect::Apko).unwrap_err());
}

#[test]
fn messages_about_apkos_keys() {
    let wrong = "contents: {binary: ./x, runtime_keyring: [{name: k, content: '-----BEGIN PRIVATE KEY-----'}], baseimage: {image: 'https://example.org/x', apkindex: ./i}}\n\
        accounts: {users: [{name: a, uid: 0}, {username: 'a b', uid: 1}]}\n\
        paths: [/srv, {path: /a, type: dir}, {path: /a, type: symlink}, {path: /a/../b, type: directory, permissions: 755}]\n\
        layering: {strategy: size, budget: 3}\n\
        vcs-url: https://user:secret@example.org/x\n";
    expect![[r#"
        error[spec/value]: this is a private key, not a public one
         --> a.yaml:1:53
        1 | contents: {binary: ./x, runtime_keyring: [{name: k, content: '-----BEGIN PRIVATE KEY-----'}], baseimage: {image: 'https://example.org/x', apkindex: ./i}}
          |                                                     ^^^^^^^
          help: take it out and make a new one: the spec is no place for secrets

        error[spec/value]: `contents.baseimage.image` has to be a file of this machine, not a URL
         --> a.yaml:1:114
        1 | contents: {binary: ./x, runtime_keyring: [{name: k, content: '-----BEGIN PRIVATE KEY-----'}], baseimage: {image: 'https://example.org/x', apkindex: ./i}}
          |                                                                                                                  ^^^^^^^^^^^^^^^^^^^^^^^
          help: download it first, and name the file

        error[spec/unknown-key]: there is no key `name` in an entry of `accounts.users`
         --> a.yaml:2:21
        2 | accounts: {users: [{name: a, uid: 0}, {username: 'a b', uid: 1}]}
          |                     ^^^^ unknown key
          help: write `username`

        error[spec/value]: a user of the number 0 would be root
         --> a.yaml:2:35
        2 | accounts: {users: [{name: a, uid: 0}, {username: 'a b', uid: 1}]}
          |                                   ^
          help: to run as root, no user is needed: `run-as: 0`

        error[spec/value]: `a b` is no name of an account: it holds a space
         --> a.yaml:2:50
        2 | accounts: {users: [{name: a, uid: 0}, {username: 'a b', uid: 1}]}
          |                                                  ^^^^^
          help: write letters, digits, `_`, `.` and `-`

        error[spec/type]: an entry of `paths` has to be a map
         --> a.yaml:3:9
        3 | paths: [/srv, {path: /a, type: dir}, {path: /a, type: symlink}, {path: /a/../b, type: directory, permissions: 755}]
          |         ^^^^
          help: write
                - path: /srv
                  type: directory
                  permissions: 0o755

        error[spec/value]: `dir` is no type of a path
         --> a.yaml:3:32
        3 | paths: [/srv, {path: /a, type: dir}, {path: /a, type: symlink}, {path: /a/../b, type: directory, permissions: 755}]
          |                                ^^^
          help: write `directory`

        error[spec/missing]: a symlink names no `source`
         --> a.yaml:3:38
        3 | paths: [/srv, {path: /a, type: dir}, {path: /a, type: symlink}, {path: /a/../b, type: directory, permissions: 755}]
          |                                      ^^^^^^^^^^^^^^^^^^^^^^^^^
          help: `source` is what the link at `path` leads to

        error[spec/value]: `permissions` has to be octal with a leading zero, not `755`
         --> a.yaml:3:111
        3 | paths: [/srv, {path: /a, type: dir}, {path: /a, type: symlink}, {path: /a/../b, type: directory, permissions: 755}]
          |                                                                                                               ^^^
          help: write `0755`

        error[spec/value]: `size` is no strategy of layering
         --> a.yaml:4:22
        4 | layering: {strategy: size, budget: 3}
          |                      ^^^^
          help: write `strategy: origin`: packages built from the same source share a layer; or `strategy: package`: each is a layer of its own, as it was packed

        error[spec/secret]: `vcs-url` holds credentials, and it goes into the image's annotations
         --> a.yaml:5:10
        5 | vcs-url: https://xxxxxxxxxxx@example.org/x
          |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          help: remove them and make a new password: whoever reads the spec or its history has this one
    "#]]
    .assert_eq(&read(wrong, Dialect::Assemble).unwrap_err());
}

#[test]
fn layers_of_packages_are_ours() {
    let yaml = format!("{PACKAGES}layering: {{strategy: package}}\n");
    let layering = read(&yaml, Dialect::Assemble).unwrap().layering.unwrap();
    assert_eq!(
        (layering.strategy.map(assemble_spec::LayerStrategy::name), layering.budget),
        (Some("package"), 100)
    );
    expect![[r#"
        error[spec/value]: `package` is no strategy of apko's, whose images have to be the same here
         --> a.yaml:4:22
        4 | layering: {strategy: package}
          |                      ^^^^^^^
          help: write `strategy: origin`: packages built from the same source share a layer; `assemble build` knows `package`, too
    "#]]
    .assert_eq(&read(&yaml, Dialect::Apko).unwrap_err());
}

/// apko reads the first document and does not look at what follows.
#[test]
fn one_document_is_all_of_a_spec() {
    let yaml = format!("{}---\nanother: document\n...\n\tnot even YAML", whole(""));
    assert_eq!(read(&yaml, Dialect::Apko), read(&whole(""), Dialect::Apko));
    assert!(read(&yaml, Dialect::Assemble).unwrap_err().contains("a second YAML document begins here"));
}
