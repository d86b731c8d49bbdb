//! Specs that include others.

use std::collections::BTreeMap;

use assemble_spec::{Dialect, IncludeProblem, ReadSpec, SpecText, read_spec};
use expect_test::expect;

/// Reads the first of these files.
fn read(files: &[(&str, &str)], dialect: Dialect) -> Result<ReadSpec, String> {
    let text = |name: &str, text: &str| SpecText {
        shown: name.to_owned(),
        identity: name.trim_start_matches("./").to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    let all: BTreeMap<&str, &str> = files.iter().copied().collect();
    let mut includes = |path: &str| match all.get(path.trim_start_matches("./")) {
        Some(bytes) => Ok(text(path, bytes)),
        None => Err(IncludeProblem {
            message: "the included file does not exist".into(),
            hints: vec!["make it".into()],
        }),
    };
    read_spec(text(files[0].0, files[0].1), dialect, &mut includes).map_err(|e| e.plain())
}

const TOP: &str = "include: mid.yaml
contents: {packages: [docs], keyring: [top.pub]}
entrypoint: {command: /top}
environment: {BOTH: top, TOP: x}
annotations: {both: top}
volumes: [/top]
accounts: {groups: [{groupname: top, gid: 3}]}
paths: [{path: /top, type: directory, permissions: 0o755}]
";
const MID: &str = "include: low.yaml
contents: {packages: [ca], runtime_repositories: [./mid]}
entrypoint: {shell-fragment: mid}
cmd: mid
layering: {strategy: origin, budget: 2}
accounts: {run-as: mid, users: [{username: m, uid: 4}]}
archs: [x86_64]
vcs-url: https://example.org/mid@1
";
const LOW: &str = "contents: {packages: [base], repositories: [./low], keyring: [low.pub]}
environment: {BOTH: low, LOW: y}
annotations: {both: low, low: z}
volumes: [/low, /top]
cmd: low
stop-signal: INT
layering: {strategy: origin, budget: 5}
accounts: {run-as: low, groups: [{groupname: low, gid: 2}]}
archs: [aarch64, x86_64]
certificates: {providers: [ca]}
paths: [{path: /low, type: directory, permissions: 0o755}]
vcs-url: https://example.org/low@1
";

#[test]
fn several_levels_are_merged() {
    for dialect in [Dialect::Assemble, Dialect::Apko] {
        let files = [("top.yaml", TOP), ("mid.yaml", MID), ("low.yaml", LOW)];
        let read = read(&files, dialect).unwrap();
        let spec = &read.spec;
        assert_eq!(spec.apko.packages, ["base", "ca", "docs"]);
        assert_eq!(spec.keyring.iter().map(|k| k.value.as_str()).collect::<Vec<_>>(), ["low.pub", "top.pub"]);
        assert_eq!(spec.repositories.len() + spec.runtime_repositories.len(), 2);
        assert_eq!(spec.apko.entrypoint_command.as_deref(), Some("/top"));
        assert_eq!(spec.apko.entrypoint_shell_fragment, None);
        assert_eq!(spec.apko.cmd.as_deref(), Some("mid"));
        assert_eq!(spec.stop_signal.as_deref(), Some("INT"));
        assert_eq!(spec.apko.archs, ["amd64"]);
        assert_eq!(spec.layering.unwrap().budget, 2);
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        assert_eq!(spec.environment, map(&[("BOTH", "top"), ("TOP", "x"), ("LOW", "y")]));
        assert_eq!(spec.annotations, map(&[("both", "top"), ("low", "z")]));
        assert_eq!(spec.volumes, ["/low", "/top", "/top"]);
        assert_eq!(spec.run_as.as_ref().unwrap().value, "mid");
        assert_eq!(spec.groups.iter().map(|g| g.name.as_str()).collect::<Vec<_>>(), ["low", "top"]);
        assert_eq!((spec.users.len(), spec.paths.len()), (1, 2));
        assert!(spec.certificates.is_some());
        // Neither is merged.
        assert_eq!(spec.vcs_url, None);
        assert_eq!(spec.include.as_ref().unwrap().value, "mid.yaml");
        // Each value knows the file it is in.
        assert_eq!(spec.span_of("cmd").unwrap().to_string(), "mid.yaml:4:6");
        assert_eq!(spec.span_of("stop-signal").unwrap().file, "low.yaml");
        assert_eq!(spec.span_of("environment.BOTH").unwrap().file, "top.yaml");
        let all = [TOP, MID, LOW].concat();
        assert_eq!(read.digest(), assemble_types::Digest::of(all.as_bytes()));
    }
}

#[test]
fn keys_of_ours_are_merged_too() {
    let read = read(
        &[
            ("a", "include: b\ncontents: {files: [{source: a, path: /a}]}\nports: [80]\n"),
            ("b", "contents: {binary: ./x, base-files: false, files: [{source: b, path: /b}]}\nports: [90, 80]\n"),
        ],
        Dialect::Assemble,
    )
    .unwrap();
    let spec = read.spec;
    assert!(spec.binary.is_some() && !spec.base_files.enabled);
    assert_eq!(spec.files.iter().map(|f| f.source.value.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(spec.ports.iter().map(|p| p.number).collect::<Vec<_>>(), [90, 80]);
}

#[test]
fn what_cannot_be_included() {
    let top = "contents: {binary: ./x}\ninclude: b.yaml\n";
    let refused = |files: &[(&str, &str)]| read(files, Dialect::Assemble).unwrap_err();
    let remote = "contents: {binary: ./x}\ninclude: https://user:pw@example.org/base.yaml\n";
    let shown = [
        refused(&[("a.yaml", top)]),
        refused(&[("a.yaml", top), ("b.yaml", "include: ./c.yaml\n"), ("c.yaml", "include: ./b.yaml\n")]),
        refused(&[("a.yaml", "contents: {binary: ./x}\ninclude: ./a.yaml\n")]),
        refused(&[("a.yaml", remote)]),
        refused(&[("a.yaml", top), ("b.yaml", "cmd: x\nworkdir: /\n")]),
        refused(&[("a.yaml", top), ("b.yaml", "")]),
    ];
    expect![[r#"
        error[spec/include]: the included file does not exist
         --> a.yaml:2:10
        2 | include: b.yaml
          |          ^^^^^^
          help: make it
        ----
        error[spec/include]: `include` leads in a circle: `b.yaml` includes `./c.yaml` includes `./b.yaml`
         --> ./c.yaml:1:10
        1 | include: ./b.yaml
          |          ^^^^^^^^
          help: remove one of these includes
        ----
        error[spec/include]: `include` leads in a circle: `a.yaml` includes `./a.yaml`
         --> a.yaml:2:10
        2 | include: ./a.yaml
          |          ^^^^^^^^
          help: remove one of these includes
        ----
        error[spec/include]: `include` names a file of this machine, not one of the network
         --> a.yaml:2:10
        2 | include: https://xxxxxxx@example.org/base.yaml
          |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          help: download it, and name the file: what an image is made from has to be there unchanged next year
        ----
        error[spec/unknown-key]: there is no key `workdir`
         --> b.yaml:2:1
        2 | workdir: /
          | ^^^^^^^ unknown key
         ::: a.yaml:2:10
        2 | include: b.yaml
          |          ------ included here
          help: did you mean `work-dir`?
        ----
        error[spec/empty]: the spec is empty
         --> b.yaml:1:1
         ::: a.yaml:2:10
        2 | include: b.yaml
          |          ------ included here
          help: the smallest spec names a program:
                contents:
                  binary: ./my-program
    "#]]
    .assert_eq(&shown.join("----\n"));
}

#[test]
fn not_more_files_than_anyone_needs() {
    let texts: Vec<(String, String)> =
        (0..100).map(|n| (format!("f{n}"), format!("include: f{}\n", n + 1))).collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert!(read(&files, Dialect::Assemble).unwrap_err().contains("more than 64 files"));
}
