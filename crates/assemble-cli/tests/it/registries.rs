//! Pushing to Debian's registry, reading with skopeo.

use std::fs;
use std::process::Command;

use assemble_testkit::{
    ApkBuilder, HttpServer, RegistryStub, RepositoryBuilder, Response, TEST_KEY, TEST_KEY_NAME, TlsServer,
    test_ca,
};

use crate::sandbox::Sandbox;
use crate::tools::{Registry, have, run};

#[test]
fn a_push_sends_what_is_missing_and_nothing_twice() {
    let test = "a_push_sends_what_is_missing_and_nothing_twice";
    let Some(registry) = Registry::start(test, None) else { return };
    let s = Sandbox::new().with_hello();
    let name = format!("{}/team/hello:1.0", registry.host);
    let pushed = s.ok(["build", "./hello", "--push", "-t", &name, "--image-refs", "refs.txt"]);
    let digest = s.ok(["build", "./hello"]);
    assert_eq!(pushed, format!("{}/team/hello@{digest}", registry.host));
    assert_eq!(s.read("refs.txt"), format!("{pushed}\n").as_bytes());
    let (posts, puts) = (registry.requests("POST").len(), registry.requests("PUT").len());
    assert_eq!(s.ok(["build", "./hello", "--push", "-t", &name]), pushed);
    assert_eq!(
        (registry.requests("POST").len(), registry.requests("PUT").len()),
        (posts, puts),
        "a second push sends nothing"
    );
    // A changed binary sends its layer and the configuration.
    let mut bytes = s.read("hello");
    bytes.push(0);
    s.write("hello", bytes);
    let document = s.json(["build", "./hello", "--push", "-t", &name, "--json"]);
    assert_eq!(document["pushed"][0]["blobs_sent"], 2, "{document}");
    // From a layout, into another repository.
    s.ok(["build", "./hello"]);
    let document = s.json(["push", "hello.oci", &format!("{}/other/hello:1.0", registry.host), "--json"]);
    assert_eq!(document["digest"], s.ok(["build", "./hello"]));
    let remote = s.json(["inspect", &name, "--json"]);
    assert_eq!(remote["digest"], document["digest"]);
    assert!(s.ok(["inspect", &name, "--cat", "/etc/passwd"]).contains("nonroot"));
}

/// Each command is a process of its own: what was pushed is remembered in the cache.
#[test]
fn what_is_there_is_neither_built_nor_sent() {
    let registry = RegistryStub::start();
    let s = Sandbox::new().with_hello();
    let name = |tag: &str| format!("{}/team/hello:{tag}", registry.host());
    let digest = s.ok(["build", "./hello"]);
    let calls = |arguments: &[&str]| {
        registry.server().clear_log();
        s.ok(arguments.iter().copied());
        registry.calls().join("\n").replace(&digest, "DIGEST")
    };
    let build = |tag: &str| calls(&["build", "./hello", "--push", "-t", &name(tag)]);
    build("1.0");
    assert_eq!(build("1.0"), "HEAD /v2/team/hello/manifests/1.0");
    assert_eq!(build("1.1"), "HEAD /v2/team/hello/manifests/DIGEST\nPUT /v2/team/hello/manifests/1.1");
    assert_eq!(
        calls(&["push", "hello.oci", &name("1.2")]),
        "HEAD /v2/team/hello/manifests/DIGEST\nPUT /v2/team/hello/manifests/1.2"
    );
    // Of a layout that is not sent, nothing is read but the manifest.
    assert_eq!(calls(&["push", "hello.oci", &name("1.2")]), "HEAD /v2/team/hello/manifests/1.2");
    let document = s.json(["build", "./hello", "--push", "-t", &name("1.0"), "--json"]);
    assert_eq!(document["pushed"][0]["requests"], 1, "{document}");
}

/// What `apko publish` leaves: the image under its names, the reference on standard output and in a file.
#[test]
fn apko_publish_pushes_what_apko_build_builds() {
    let test = "apko_publish_pushes_what_apko_build_builds";
    let Some(registry) = Registry::start(test, None) else { return };
    let s = Sandbox::new();
    s.write(TEST_KEY_NAME, TEST_KEY);
    for arch in ["x86_64", "aarch64"] {
        RepositoryBuilder::new()
            .package(ApkBuilder::new("app", "1-r0").arch(arch).dir("srv").file("srv/app", *b"app").build())
            .write(&s.path("repo"), arch);
    }
    s.write(
        "apko.yaml",
        format!(
            "contents:\n  repositories: [./repo]\n  keyring: [./{TEST_KEY_NAME}]\n  packages: [app]\n\
             archs: [x86_64, aarch64]\nannotations: {{k: v}}\n"
        ),
    );
    let names = [format!("{}/team/app:1.0", registry.host), format!("{}/team/app:latest", registry.host)];
    let args =
        ["apko", "publish", "apko.yaml", &names[0], &names[1], "--sbom=false", "--image-refs", "refs.txt"];
    let ran = s.run(args);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let reference = ran.stdout.trim();
    let (place, digest) = reference.split_once('@').unwrap();
    assert!(place.starts_with(&format!("{}/team/app", registry.host)), "{reference}");
    // The index is what is named last, behind the image of each architecture.
    let references = String::from_utf8(s.read("refs.txt")).unwrap();
    assert_eq!(references.lines().last(), Some(reference), "{references}");
    assert_eq!(references.lines().count(), 3, "{references}");
    for name in &names {
        assert_eq!(s.json(["inspect", name, "--json"])["digest"], digest, "{name}");
    }
    assert_eq!(s.ok(["inspect", &names[0], "--platform", "linux/arm64", "--cat", "/srv/app"]), "app");
    // The same as what `apko build` writes down.
    fs::create_dir(s.path("built")).unwrap();
    s.ok(["apko", "build", "apko.yaml", "team/app:1.0", "built", "--sbom=false"]);
    let index = String::from_utf8(s.read("built/index.json")).unwrap();
    for image in references.lines().take(2) {
        let (_, digest) = image.split_once('@').unwrap();
        assert!(index.contains(digest), "{image} is not in {index}");
    }
    let again = s.run(args);
    assert_eq!((again.code, again.stdout.trim()), (0, reference), "{}", again.stderr);
    let refused = s.run(["apko", "publish", "apko.yaml", &names[0], "--local"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("assemble build --load"), "{}", refused.stderr);
    let nowhere = s.run(["apko", "publish", "apko.yaml", "127.0.0.1:1/a:1", "--sbom=false"]);
    assert_eq!(nowhere.code, 1, "{}", nowhere.stderr);
}

#[test]
fn skopeo_reads_layouts_archives_and_registries() {
    let test = "skopeo_reads_layouts_archives_and_registries";
    if !have("skopeo", test) {
        return;
    }
    let Some(registry) = Registry::start(test, None) else { return };
    let s = Sandbox::new().with_hello();
    let digest = s.ok(["build", "./hello", "-t", "hello:1.0"]);
    s.ok(["build", "./hello", "-t", "hello:1.0", "-o", "hello.tar"]);
    s.ok(["build", "./hello", "-t", "hello:1.0", "-o", "oci-archive:oci.tar"]);
    s.ok(["build", "./hello", "-t", "hello:1.0", "-o", "docker-archive:docker.tar"]);
    s.ok(["push", "hello.oci", &format!("{}/team/hello:1.0", registry.host)]);
    let skopeo = |args: &[&str]| {
        let mut command = Command::new("skopeo");
        command.args(args).current_dir(s.root()).env("HOME", s.path("home")).env_remove("REGISTRY_AUTH_FILE");
        run(&mut command)
    };
    for place in ["oci:hello.oci:1.0", "oci-archive:hello.tar:1.0", "oci-archive:oci.tar:1.0"] {
        assert_eq!(skopeo(&["inspect", "--format", "{{.Digest}}", place]), digest, "{place}");
    }
    let remote = format!("docker://{}/team/hello:1.0", registry.host);
    assert_eq!(skopeo(&["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &remote]), digest);
    for (number, place) in
        ["oci:hello.oci:1.0", "docker-archive:hello.tar", "docker-archive:docker.tar"].iter().enumerate()
    {
        skopeo(&["copy", place, &format!("oci:copy{number}:x")]);
    }
    skopeo(&["copy", "--src-tls-verify=false", "--preserve-digests", &remote, "oci:pulled:x"]);
    assert_eq!(s.json(["inspect", "pulled", "--json"])["digest"], digest.as_str());
}

/// bcrypt of `secret`, made once with `htpasswd -nbB ci secret`; worth nothing.
const ACCOUNTS: &str = "ci:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC\n";

#[test]
fn a_password_is_asked_for_stored_and_used() {
    let test = "a_password_is_asked_for_stored_and_used";
    if !have("python3", test) {
        return;
    }
    let Some(accounts) = bcrypt_account("ci", "secret", test) else { return };
    let Some(registry) = Registry::start(test, Some(&accounts)) else { return };
    let s = Sandbox::new().with_hello();
    let name = format!("{}/team/hello:1.0", registry.host);
    let ran = s.run(["build", "./hello", "--push", "-t", &name]);
    assert_eq!(ran.code, 7, "{}", ran.stderr);
    assert!(ran.stderr.contains("assemble login"), "{}", ran.stderr);
    let login = |password: &str| {
        fs::write(s.path("password"), password).unwrap();
        let mut command = s.command(["login", &registry.host, "-u", "ci", "--password-stdin"]);
        command.stdin(fs::File::open(s.path("password")).unwrap());
        crate::sandbox::finish(&mut command, s.root())
    };
    let wrong = login("hunter2");
    assert_eq!(wrong.code, 7, "{}", wrong.stderr);
    assert!(!wrong.stderr.contains("hunter2"));
    let right = login("secret\n");
    assert_eq!(right.code, 0, "{}", right.stderr);
    assert!(s.path("home/.docker/config.json").is_file(), "where docker looks for it");
    assert!(s.ok(["build", "./hello", "--push", "-t", &name]).contains("@sha256:"));
    // docker's file, made by somebody else.
    let file = fs::read_to_string(s.path("home/.docker/config.json")).unwrap();
    let s = Sandbox::new().with_hello().variable("DOCKER_AUTH_CONFIG", file);
    assert!(s.ok(["build", "./hello", "--push", "-t", &name]).contains("@sha256:"));
}

/// An htpasswd line, made by perl's `crypt`, or the fixed one where perl cannot do bcrypt.
fn bcrypt_account(user: &str, password: &str, test: &str) -> Option<String> {
    let script = "print crypt($ARGV[0], '$2y$05$abcdefghijklmnopqrstuu')";
    let output = Command::new("perl").args(["-e", script, password]).output().ok()?;
    let hash = String::from_utf8_lossy(&output.stdout).into_owned();
    if hash.starts_with("$2y$") {
        return Some(format!("{user}:{hash}\n"));
    }
    crate::tools::skipped(test, "perl makes no bcrypt; a fixed account is used");
    Some(ACCOUNTS.to_owned())
}

#[test]
fn registries_that_do_not_answer() {
    let s = Sandbox::new().with_hello();
    let ran = s.run(["build", "./hello", "--push", "-t", "127.0.0.1:1/team/hello:1.0"]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.contains("127.0.0.1:1"), "{}", ran.stderr);
}

/// This machine's registries speak plain http, unless one says which certificates to take.
#[test]
fn a_registry_on_loopback_may_speak_tls() {
    let server = TlsServer::new(|_: &assemble_testkit::Request| Response::text(404, "not here"));
    let s = Sandbox::new();
    let inspect =
        |more: &[&str]| s.run([&["inspect", &format!("{}/team/app:1", server.host())], more].concat());
    let ca = test_ca().display().to_string();
    for flags in [&["--ca-file", &ca][..], &["--insecure-skip-tls-verify"]] {
        let ran = inspect(flags);
        assert!(ran.stderr.contains("not found (404): not here"), "{flags:?}: {}", ran.stderr);
    }
    let hint = format!("if {} speaks TLS: `--ca-file FILE` names who signed", server.host());
    let ran = inspect(&[]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.contains(&hint), "{}", ran.stderr);
    // As Go's servers put it.
    let told = HttpServer::new(|_: &assemble_testkit::Request| {
        Response::text(400, "Client sent an HTTP request to an HTTPS server.\n")
    });
    for (flags, advice) in [
        (&[][..], "`--ca-file FILE` names who signed"),
        (&["--ca-file", &ca, "--plain-http"], "leave `--plain-http` out; `--ca-file FILE` names who signed"),
    ] {
        let ran = s.run([&["inspect", &format!("{}/team/app:1", told.host())], flags].concat());
        let hint = format!("if {} speaks TLS: {advice}", told.host());
        assert!(ran.stderr.contains(&hint), "{flags:?}: {}", ran.stderr);
    }
    let ran = inspect(&["--plain-http"]);
    assert!(ran.stderr.contains("speaks TLS: leave `--plain-http` out"), "{}", ran.stderr);
}

/// What is wrong with a certificate is told apart, and nobody is told to give what was given.
#[test]
fn certificates_that_are_not_taken() {
    let answer = |_: &assemble_testkit::Request| Response::text(404, "not here");
    let server = TlsServer::on("0.0.0.0", HttpServer::new(answer));
    let port = server.host().rsplit_once(':').unwrap().1.to_owned();
    let s = Sandbox::new();
    let ca = test_ca().display().to_string();
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=other"])
        .arg("-keyout")
        .arg(s.path("other.key"))
        .arg("-out")
        .arg(s.path("other.pem"))
        .output();
    if !made.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no openssl here");
        return;
    }
    let inspect = |host: &str, more: &[&str]| {
        s.run([&["inspect", &format!("{host}:{port}/team/app:1")], more].concat())
    };
    // The certificate is not for this name of the same machine.
    let ran = inspect("127.0.0.2", &["--ca-file", &ca]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.contains("no secure connection to 127.0.0.2"), "{}", ran.stderr);
    assert!(ran.stderr.contains("certificate is for other names"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("--ca-file"), "{}", ran.stderr);
    let host = "127.0.0.1";
    let ran = inspect(host, &["--ca-file", "other.pem"]);
    assert!(ran.stderr.contains("is not in the file of --ca-file"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("`--ca-file FILE`"), "{}", ran.stderr);
    // A repository says the same.
    s.write("key.rsa.pub", TEST_KEY);
    s.write(
        "spec.yaml",
        format!(
            "contents:\n  repositories: ['https://{host}:{port}/repo']\n  keyring: [key.rsa.pub]\n  packages: [app]\n\
             archs: [x86_64]\n"
        ),
    );
    let build = |more: &[&str]| s.run([&["build", "spec.yaml", "-o", "none"], more].concat());
    let ran = build(&["--ca-file", "other.pem"]);
    assert!(ran.stderr.contains("is not in the file of --ca-file"), "{}", ran.stderr);
    let ran = build(&[]);
    assert!(ran.stderr.contains("`--ca-file FILE`"), "{}", ran.stderr);
}
