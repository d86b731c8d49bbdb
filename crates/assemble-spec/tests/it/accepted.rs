//! What good specs mean.

use std::collections::BTreeMap;

use assemble_spec::{BinarySources, CertificateSource, Spec};
use assemble_types::{Explain as _, Kind, Mode};
use expect_test::expect;

use crate::parsed;

fn binary(spec: &Spec) -> String {
    let binary = spec.binary.as_ref().expect("a binary");
    let sources = match &binary.sources {
        BinarySources::One(source) => source.value.clone(),
        BinarySources::PerPlatform(map) => {
            map.iter().map(|(k, v)| format!("{k}={}", v.value)).collect::<Vec<_>>().join(" ")
        }
    };
    format!("{sources} {:?} {:?}", binary.path, binary.permissions)
}

#[test]
fn the_smallest_spec() {
    let spec = parsed("contents:\n  binary: ../bin/hello\n");
    assert_eq!(binary(&spec), "../bin/hello None None");
    assert!(spec.base_files.enabled && spec.base_files.certificates && spec.base_files.time_zones);
    let rest = Spec { binary: None, ..spec };
    assert_eq!((rest.entrypoint, rest.cmd, rest.run_as, rest.platforms), (None, None, None, vec![]));
}

#[test]
fn every_form_of_binary() {
    for (yaml, expected) in [
        ("{source: ./a, path: /app, permissions: 0555}", "./a Some(/app) Some(0555)"),
        ("{source: ./a, permissions: '0o700'}", "./a None Some(0700)"),
        ("{amd64: ./a, linux/arm64: ./b}", "linux/amd64=./a linux/arm64=./b None None"),
        (
            "{source: {x86_64: ./a, armv7: ./b}, path: /app}",
            "linux/amd64=./a linux/arm/v7=./b Some(/app) None",
        ),
        ("'true'", "true None None"),
        ("yes", "yes None None"),
        ("0755", "0755 None None"),
    ] {
        assert_eq!(binary(&parsed(&format!("contents:\n  binary: {yaml}\n"))), expected, "{yaml}");
    }
}

#[test]
fn everything_at_once() {
    let spec = parsed(
        r#"
contents:
  repositories:
    - https://packages.wolfi.dev/os///
    - '@local ./packages/'
  build_repositories: [file:///srv/apk]
  runtime_repositories: [http://127.0.0.1:8000/os]
  keyring: [./a.rsa.pub, https://example.com/b.rsa.pub]
  packages: [busybox, "ca-certificates>=2024", tzdata@local]
  binary: ./hello
  files:
    - source: ./static/
      path: /srv/static/
      exclude: ['*.map', cache/**]
    - {source: rootfs, path: /, permissions: 0640, uid: 1000, gid: 0x3e8}
    - {source: other, path: /}
  base-files: {time-zones: off}
certificates:
  additional:
    - {source: ./ca.pem}
    - name: my-ca
      content: |
        -----BEGIN CERTIFICATE-----
        AAAA
        -----END CERTIFICATE-----
entrypoint: [/usr/bin/hello, "-v"]
cmd: "serve '--name=a b'"
environment: {A: 1, B: ~, C: 0755, D: yes, PATH: ""}
work-dir: /srv/static
ports: [8080, "53/udp", "8080/tcp", 9/SCTP]
volumes: [/data, /cache]
stop-signal: SIGQUIT
annotations: {org.opencontainers.image.title: Hello, n: 1.10}
archs: [amd64, aarch64]
accounts: {run-as: 65532}
format: tar
include:
paths: []
layering: {}
vcs-url: ""
"#,
    );
    let shown = format!(
        "{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        spec.repositories.iter().map(|r| &r.value).collect::<Vec<_>>(),
        spec.build_repositories[0].value.location,
        spec.runtime_repositories[0].value.location,
        spec.keyring.iter().map(|k| &k.value).collect::<Vec<_>>(),
        spec.packages.iter().map(|p| p.value.to_string()).collect::<Vec<_>>(),
        spec.files
            .iter()
            .map(|f| (&f.source.value, &f.path.value, f.permissions, f.uid, f.gid, &f.exclude))
            .collect::<Vec<_>>(),
        (spec.entrypoint.as_ref(), spec.cmd.as_ref(), &spec.work_dir, &spec.stop_signal, &spec.volumes),
        (&spec.environment, &spec.annotations, &spec.apko),
    );
    expect![[r#"
        [RepositorySource { kind: Unsaid, pin: None, location: "https://packages.wolfi.dev/os" }, RepositorySource { kind: Unsaid, pin: Some("local"), location: "./packages" }]
        "file:///srv/apk"
        "http://127.0.0.1:8000/os"
        ["./a.rsa.pub", "https://example.com/b.rsa.pub"]
        ["busybox", "ca-certificates>=2024", "tzdata@local"]
        [("./static/", /srv/static, None, None, None, ["*.map", "cache/**"]), ("rootfs", /, Some(0640), Some(1000), Some(1000), []), ("other", /, None, None, None, [])]
        (Some(["/usr/bin/hello", "-v"]), Some(["serve", "--name=a b"]), Some("/srv/static"), Some("SIGQUIT"), ["/data", "/cache"])
        ({"A": "1", "B": "", "C": "0755", "D": "yes", "PATH": ""}, {"n": "1.10", "org.opencontainers.image.title": "Hello"}, ApkoView { packages: ["busybox", "ca-certificates>=2024", "tzdata@local"], entrypoint_type: None, entrypoint_command: Some("/usr/bin/hello -v"), entrypoint_shell_fragment: None, cmd: Some("serve '--name=a b'"), archs: ["amd64", "arm64"], format: Some("tar") })"#]].assert_eq(&shown);
    assert_eq!(
        spec.ports.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["8080/tcp", "53/udp", "9/sctp"]
    );
    assert_eq!(spec.run_as.as_ref().map(|user| user.value.as_str()), Some("65532"));
    assert_eq!(
        spec.platforms.iter().map(|p| p.value.to_string()).collect::<Vec<_>>(),
        ["linux/amd64", "linux/arm64"]
    );
    assert!(spec.base_files.enabled && spec.base_files.certificates && !spec.base_files.time_zones);
    let certificates = &spec.certificates.as_ref().unwrap().additional;
    assert!(matches!(&certificates[0].source, CertificateSource::File(file) if file.value == "./ca.pem"));
    assert!(matches!(&certificates[1].source, CertificateSource::Inline(pem) if pem.ends_with("-----\n")));
    let place = |path: &str| spec.span_of(path).map(ToString::to_string);
    assert_eq!(place("entrypoint").as_deref(), Some("a.yaml:26:1"));
    assert_eq!(place("accounts.run-as").as_deref(), Some("a.yaml:35:20"));
    assert_eq!(place("environment.C").as_deref(), Some("a.yaml:28:30"));
    assert_eq!(place("contents.binary").as_deref(), Some("a.yaml:10:11"));
    assert_eq!(place("nothing"), None);
}

#[test]
fn forms_of_entrypoint_and_cmd() {
    let of = |yaml: &str| {
        let spec = parsed(&format!("contents: {{binary: ./x}}\nentrypoint: {yaml}\n"));
        (spec.entrypoint, spec.apko.entrypoint_command, spec.apko.entrypoint_shell_fragment)
    };
    let words = |words: &[&str]| Some(words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
    assert_eq!(of("{command: /bin/sh -l}"), (words(&["/bin/sh", "-l"]), Some("/bin/sh -l".into()), None));
    assert_eq!(
        of("{command: /x, shell-fragment: echo $A}"),
        (words(&["/bin/sh", "-c", "echo $A"]), Some("/x".into()), Some("echo $A".into()))
    );
    assert_eq!(of("/bin/app 'a b'"), (words(&["/bin/app", "a b"]), Some("/bin/app 'a b'".into()), None));
    assert_eq!(
        of("[/bin/app, a b, 1]"),
        (words(&["/bin/app", "a b", "1"]), Some("/bin/app 'a b' 1".into()), None)
    );
    assert_eq!(of("{type: whatever}"), (None, None, None));
    for empty in ["", "~", "[]", "{}", "''", "{command: ''}", "{command: ~}"] {
        assert_eq!(of(empty).0, None, "{empty}");
    }
}

#[test]
fn base_files_follow_what_the_image_is() {
    let of = |yaml: &str| {
        let base = parsed(yaml).base_files;
        (base.enabled, base.certificates, base.time_zones)
    };
    let packages = "contents:\n  repositories: [./r]\n  packages: [a]\n";
    assert_eq!(of(packages), (false, false, false));
    assert_eq!(of(&format!("{packages}  binary: ./x\n")), (true, true, true));
    assert_eq!(of(&format!("{packages}  base-files: true\n")), (true, true, true));
    assert_eq!(of("contents: {binary: ./x, base-files: none}"), (false, false, false));
    assert_eq!(of("contents: {binary: ./x, base-files: No}"), (false, false, false));
    assert_eq!(of("contents: {base-files: true}"), (true, true, true));
    assert_eq!(of("contents: {base-files: {certificates: false}}"), (true, false, true));
}

#[test]
fn mode_zero_is_a_mode() {
    let spec = parsed("contents: {files: [{source: a, path: /a, permissions: 0}]}");
    assert_eq!(spec.files[0].permissions, Some(Mode::from_bits(0)));
}

#[test]
fn yaml_beyond_the_plain() {
    let anchors = "x: &a 1\n";
    let spec = parsed(
        "contents: &c\n  binary: &b ./x\nannotations:\n  a: *b\n  <<: [{b: '2', a: no}, {b: 3, c: 4}]\nenvironment:\n  T: |\n    a\n    b\n",
    );
    let map: BTreeMap<_, _> =
        [("a", "./x"), ("b", "2"), ("c", "4")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    assert_eq!(spec.annotations, map);
    assert_eq!(spec.environment["T"], "a\nb\n");
    assert!(assemble_spec::parse_spec("a.yaml", anchors.as_bytes()).is_err());

    parsed("\u{feff}contents:\r\n  binary: ./x\r\n");
    // What has nothing in it is no second document.
    parsed("---\ncontents: {binary: ./x}\n---\n");
    parsed("---\ncontents: {binary: ./x}\n...\n---\n# nothing\n...\n");
    parsed("{\"contents\": {\"binary\": \"./x\"}, \"ports\": [8080]}");
    parsed("%YAML 1.2\n---\ncontents: {binary: !!str ./x}\n");
}

#[test]
fn only_the_first_mistake_speaks_for_all() {
    let error = assemble_spec::parse_spec("a.yaml", b"a: 1\nb: 2\nc: 3").unwrap_err();
    assert_eq!(error.to_string(), "there is no key `a` (and 2 more mistakes)");
    assert_eq!((error.code(), error.kind()), ("spec/unknown-key", Kind::Spec));
    assert_eq!(error.spans()[0].to_string(), "a.yaml:1:1");
    assert_eq!(error.len(), 3);
}
