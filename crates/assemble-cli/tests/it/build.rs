//! What a build puts where.

use std::fs;

use crate::sandbox::{Sandbox, hello};

/// Every file of an image: path, type, mode, owner.
fn files(sandbox: &Sandbox, image: &str) -> Vec<String> {
    let document = sandbox.json(["inspect", image, "--files", "--json"]);
    let list = document["images"][0]["files"].as_array().unwrap().clone();
    list.iter()
        .map(|f| {
            let text = |key: &str| f[key].as_str().unwrap_or_default().to_owned();
            format!("{} {} {} {}", text("path"), text("type"), text("mode"), text("owner"))
        })
        .collect()
}

#[test]
fn a_binary_alone_becomes_a_distroless_image() {
    let s = Sandbox::new().with_hello();
    let digest = s.ok(["build", "./hello"]);
    assert!(digest.starts_with("sha256:"), "{digest}");
    let files = files(&s, "hello.oci");
    for wanted in [
        "/etc/passwd file 0644 0:0",
        "/etc/group file 0644 0:0",
        "/etc/nsswitch.conf file 0644 0:0",
        "/tmp directory 1777 0:0",
        "/home/nonroot directory 0700 65532:65532",
        "/etc/ssl/certs/ca-certificates.crt file 0644 0:0",
        "/usr/bin/hello file 0755 0:0",
    ] {
        assert!(files.iter().any(|f| f == wanted), "{wanted} is missing in\n{}", files.join("\n"));
    }
    assert!(files.iter().any(|f| f.starts_with("/usr/share/zoneinfo/Europe/Berlin ")));
    assert!(!files.iter().any(|f| f.contains("/apk")), "nothing of apko's without packages");
    assert!(s.ok(["inspect", "hello.oci", "--cat", "/etc/passwd"]).contains("nonroot:x:65532:65532:"));
    assert!(s.ok(["inspect", "hello.oci", "--cat", "/etc/os-release"]).contains("ID="));
    assert!(
        s.ok(["inspect", "hello.oci", "--cat", "/etc/ssl/certs/ca-certificates.crt"])
            .matches("BEGIN")
            .count()
            > 100
    );
}

#[test]
fn the_three_ways_to_name_a_build_are_one() {
    let s = Sandbox::new().with_hello();
    let by_binary = s.ok(["build", "./hello"]);
    s.write("spec.yaml", "contents:\n  binary: hello\n");
    assert_eq!(s.ok(["build", "spec.yaml"]), by_binary);
    assert_eq!(s.run(["init", "./hello"]).code, 0);
    assert_eq!(s.ok(["build"]), by_binary, "the spec that init wrote");
    assert_eq!(s.run(["init", "./hello"]).code, 9, "init never overwrites");
    assert_eq!(s.run(["check"]).code, 0);
}

#[test]
fn what_the_host_adds_by_accident_stays_outside() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let s = Sandbox::new().with_hello();
    s.write("data/run.sh", "#!/bin/sh\n");
    s.write("data/secret.txt", "x");
    s.write("data/sub/deep.txt", "y");
    s.write("data/skip.md", "z");
    symlink("../elsewhere", s.path("data/link")).unwrap();
    let mode =
        |name: &str, bits: u32| fs::set_permissions(s.path(name), fs::Permissions::from_mode(bits)).unwrap();
    mode("data/run.sh", 0o700);
    mode("data/secret.txt", 0o600);
    mode("data/sub", 0o711);
    s.write(
        "spec.yaml",
        "contents:\n  binary: hello\n  base-files: false\n  files:\n    - {source: data, path: /data, exclude: ['*.md']}\n    \
         - {source: data/secret.txt, path: /etc/secret, permissions: 0640, uid: 10, gid: 20}\n",
    );
    s.ok(["build", "spec.yaml"]);
    assert_eq!(
        files(&s, "spec.oci"),
        [
            "/data directory 0755 0:0",
            "/data/link symlink 0777 0:0",
            "/data/run.sh file 0755 0:0",
            "/data/secret.txt file 0644 0:0",
            "/data/sub directory 0755 0:0",
            "/data/sub/deep.txt file 0644 0:0",
            "/etc directory 0755 0:0",
            "/etc/secret file 0640 10:20",
            "/usr directory 0755 0:0",
            "/usr/bin directory 0755 0:0",
            "/usr/bin/hello file 0755 0:0",
        ]
    );
}

#[test]
fn a_new_binary_changes_one_layer_and_the_base_layer_is_shared() {
    let s = Sandbox::new().with_hello();
    let layers = |document: &serde_json::Value| -> Vec<(String, String)> {
        let list = document["images"][0]["layers"].as_array().unwrap();
        list.iter()
            .map(|l| (l["part"].as_str().unwrap().into(), l["diff_id"].as_str().unwrap().into()))
            .collect()
    };
    s.write("a.yaml", "contents:\n  binary: hello\n  files: [{source: a.yaml, path: /etc/a}]\n");
    let first = layers(&s.json(["build", "a.yaml", "--json"]));
    assert_eq!(first.iter().map(|l| l.0.as_str()).collect::<Vec<_>>(), ["base files", "files", "binary"]);
    let mut bytes = s.read("hello");
    bytes.push(0);
    s.write("hello", bytes);
    let second = layers(&s.json(["build", "a.yaml", "--json"]));
    assert_eq!((&first[0], &first[1]), (&second[0], &second[1]));
    assert_ne!(first[2], second[2]);
    s.write("b.yaml", "contents:\n  binary: {source: hello, path: /app}\n");
    assert_eq!(layers(&s.json(["build", "b.yaml", "--json"]))[0], first[0]);
}

#[test]
fn every_field_reaches_the_configuration() {
    let s = Sandbox::new().with_hello();
    s.write(
        "spec.yaml",
        "contents: {binary: hello}\nentrypoint: {command: /usr/bin/hello --flag 'two words'}\ncmd: serve now\n\
         environment: {A: b, PORT: 1}\nwork-dir: /tmp\nports: [8080, 53/udp]\nvolumes: [/data]\nstop-signal: SIGQUIT\n\
         annotations: {org.opencontainers.image.title: t}\naccounts: {run-as: 1234}\narchs: [x86_64]\n",
    );
    s.ok(["build", "spec.yaml", "-o", "spec.tar"]);
    let image = s.json(["inspect", "spec.tar", "--json"])["images"][0].clone();
    assert_eq!(image["entrypoint"], serde_json::json!(["/usr/bin/hello", "--flag", "two words"]));
    assert_eq!(image["cmd"], serde_json::json!(["serve", "now"]));
    assert_eq!(image["user"], "1234:1234");
    assert_eq!(image["work_dir"], "/tmp");
    assert_eq!(image["ports"], serde_json::json!(["53/udp", "8080/tcp"]));
    assert_eq!(image["annotations"]["org.opencontainers.image.title"], "t");
    let environment = image["environment"].as_array().unwrap().clone();
    assert!(
        environment.contains(&"PORT=1".into())
            && environment.iter().any(|e| e.as_str().unwrap().starts_with("PATH="))
    );
    assert!(environment.contains(&"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt".into()));
}

#[test]
fn root_has_to_be_asked_for_and_draws_a_warning() {
    let s = Sandbox::new().with_hello();
    for run_as in ["root", "0"] {
        s.write("spec.yaml", format!("contents: {{binary: hello}}\naccounts: {{run-as: {run_as}}}\n"));
        let ran = s.run(["build", "spec.yaml", "--quiet"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(ran.stderr.contains("the image runs as root"), "{}", ran.stderr);
        assert_eq!(s.json(["inspect", "spec.oci", "--json"])["images"][0]["user"], "0:0");
    }
}

#[test]
fn several_platforms_make_an_index() {
    let s = Sandbox::new().with_hello();
    s.write(
        "spec.yaml",
        "contents:\n  base-files: false\n  files: [{source: hello, path: /data}]\narchs: [amd64, aarch64, armv7]\n",
    );
    let document = s.json(["build", "spec.yaml", "--json"]);
    assert_eq!(document["media_type"], "application/vnd.oci.image.index.v1+json");
    let platforms: Vec<_> =
        document["images"].as_array().unwrap().iter().map(|i| i["platform"].clone()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64", "linux/arm/v7"]);
    let other = s.json(["inspect", "spec.oci", "--json", "--platform", "arm64"]);
    assert_eq!(other["images"][0]["platform"], "linux/arm64");
    assert_eq!(other["digest"], document["digest"]);
}

#[test]
fn other_names_in_a_layout_stay() {
    let s = Sandbox::new().with_hello();
    s.write("data.txt", "one");
    s.write("spec.yaml", "contents:\n  base-files: false\n  files: [{source: data.txt, path: /data}]\n");
    let first = s.ok(["build", "spec.yaml", "-o", "oci:all", "-t", "app:1"]);
    s.write("data.txt", "two");
    let second = s.ok(["build", "spec.yaml", "-o", "oci:all", "-t", "app:2", "-t", "app:new"]);
    assert_ne!(first, second);
    for (name, digest) in [("all:1", &first), ("all:2", &second), ("all:new", &second)] {
        assert_eq!(s.json(["inspect", name, "--json"])["digest"], digest.as_str(), "{name}");
    }
}

#[test]
fn archives_of_every_kind_are_read_back() {
    let s = Sandbox::new().with_hello();
    let digest = s.ok(["build", "./hello"]);
    let config = s.json(["inspect", "hello.oci", "--json"])["images"][0]["config"].clone();
    for output in ["hybrid.tar", "oci-archive:oci.tar", "docker-archive:docker.tar"] {
        assert_eq!(s.ok(["build", "./hello", "-o", output]), digest);
        let image = s.json(["inspect", output, "--json"]);
        assert_eq!(image["images"][0]["config"], config, "{output}");
        let passwd = s.ok(["inspect", output, "--cat", "/etc/passwd"]);
        assert!(passwd.contains("nonroot"), "{output}");
    }
    assert!(hello().is_file());
}

#[test]
fn a_huge_file_is_streamed() {
    let s = Sandbox::new().with_hello();
    let file = fs::File::create(s.path("big")).unwrap();
    file.set_len(256 * 1024 * 1024).unwrap();
    s.write("spec.yaml", "contents:\n  base-files: false\n  files: [{source: big, path: /big}]\n");
    // A limit on address space far below twice the file: whoever reads it whole cannot do this.
    let binary = env!("CARGO_BIN_EXE_assemble");
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "ulimit -v 400000; exec \"$0\" build spec.yaml --threads 2", binary])
        .current_dir(s.root());
    command.env("HOME", s.path("home")).env("ASSEMBLE_CACHE", s.path("cache"));
    let ran = crate::sandbox::finish(&mut command, s.root());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}
