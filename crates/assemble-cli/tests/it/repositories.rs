//! Repositories as they are in companies: private, behind proxies and authorities of their own, with keys to be found.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use assemble_testkit::{
    ApkBuilder, Handler, HttpServer, RepositoryBuilder, Request, Response, SigningKey, TEST_KEY,
    TEST_KEY_NAME, TlsServer, test_ca,
};

use crate::sandbox::{Ran, Sandbox};

/// A repository of one package in memory: `/<base>/x86_64/…`, and documents beside it.
#[derive(Clone)]
struct Mirror {
    files: Arc<Vec<(String, Vec<u8>)>>,
}

impl Mirror {
    fn new(base: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let package =
            ApkBuilder::new("tool", "1.0-r0").dir("usr").dir("usr/bin").file("usr/bin/tool", b"#!/bin/sh\n");
        RepositoryBuilder::new().package(package).write(folder.path(), "x86_64");
        let entries = fs::read_dir(folder.path().join("x86_64")).unwrap().map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (format!("{base}/x86_64/{name}"), fs::read(entry.path()).unwrap())
        });
        Self { files: Arc::new(entries.collect()) }
    }

    fn with(&self, path: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut files = self.files.as_ref().clone();
        files.push((path.to_owned(), body.into()));
        Self { files: Arc::new(files) }
    }
}

impl Handler for Mirror {
    fn handle(&self, request: &Request) -> Response {
        // A proxy is asked for the whole address.
        let path = request.path.strip_prefix("http://host.example").unwrap_or(&request.path);
        match self.files.iter().find(|(name, _)| name == path) {
            Some((_, body)) => Response::new(200).header("ETag", format!("\"{path}\"")).body(body.clone()),
            None => Response::text(404, "no\n"),
        }
    }
}

const PASSWORD: &str = "hunter2-correct";
const BASIC: &str = "Basic Y2k6aHVudGVyMi1jb3JyZWN0";

fn private() -> HttpServer {
    let mirror = Mirror::new("/os");
    HttpServer::new(move |request: &Request| match request.header("authorization") {
        Some(value) if value == BASIC || value == format!("Bearer {PASSWORD}") => mirror.handle(request),
        _ => Response::new(401).header("WWW-Authenticate", "Basic realm=\"os\""),
    })
}

fn spec(url: &str, keyring: &str) -> String {
    format!("contents:\n  repositories: [\"{url}\"]\n  keyring: [{keyring}]\n  packages: [tool]\n")
}

fn sandbox(url: &str, keyring: &str) -> Sandbox {
    let s = Sandbox::new();
    s.write("app.yaml", spec(url, keyring));
    s.write(TEST_KEY_NAME, TEST_KEY);
    s
}

fn build(s: &Sandbox, more: &[&str]) -> Ran {
    s.run(["build", "app.yaml", "--start-check", "off"].iter().chain(more))
}

/// Every file below a folder whose name or bytes hold the text.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let here = path.is_file()
            && fs::read(&path).unwrap().windows(text.len()).any(|window| window == text.as_bytes());
        if here || path.file_name().unwrap().to_string_lossy().contains(text) {
            found.push(path.display().to_string());
        }
        found.extend(holding(&path, text));
    }
    found
}

#[test]
fn a_private_repository_is_read_with_credentials_that_show_up_nowhere() {
    let server = private();
    let (url, host) = (format!("{}/os", server.url()), server.host());
    let netrc = |host: &str| format!("machine {host}\n  login ci\n  password {PASSWORD}\n");
    for (what, http_auth, file) in [
        ("basic", format!("basic:{host}:ci:{PASSWORD}"), None),
        ("bearer", format!("bearer:{host}:{PASSWORD}"), None),
        ("several", format!("basic:other.example:u:p\nbasic:{host}:ci:{PASSWORD}"), None),
        (
            "before netrc",
            format!("basic:{host}:ci:{PASSWORD}"),
            Some("machine 127.0.0.1 login ci password no".into()),
        ),
        ("netrc", String::new(), Some(netrc("127.0.0.1"))),
        (
            "netrc with a port",
            String::new(),
            Some(format!("machine 127.0.0.1 password no\n{}", netrc(&host))),
        ),
        ("netrc beside another's", "basic:other.example:u:p".into(), Some(netrc("127.0.0.1"))),
    ] {
        let s = sandbox(&url, TEST_KEY_NAME).variable("HTTP_AUTH", http_auth);
        if let Some(text) = file {
            let path = s.write("home/.netrc", text);
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        let ran = build(&s, &["--json"]);
        assert_eq!(ran.code, 0, "{what}: {}", ran.stderr);
        assert!(!ran.stderr.contains("warning"), "{what}: {}", ran.stderr);
        // What went wrong, and what is looked at afterwards, does not show it either.
        s.write("app.yaml", spec(&format!("{url}/nothing"), TEST_KEY_NAME));
        let failed = build(&s, &["--json"]);
        assert_ne!(failed.code, 0);
        s.ok(["inspect", "app.oci", "--files"]);
        for secret in [PASSWORD, "Y2k6aHVudGVyMi1jb3JyZWN0"] {
            for text in [&ran.stdout, &ran.stderr, &failed.stdout, &failed.stderr] {
                assert!(!text.contains(secret), "{what}: {text}");
            }
            for folder in ["app.oci", "cache"] {
                assert_eq!(holding(&s.path(folder), secret), Vec::<String>::new(), "{what}");
            }
        }
        // The bytes are signed and their checksums known, so reading the cache needs no password.
        s.write("app.yaml", spec(&url, TEST_KEY_NAME));
        fs::remove_dir_all(s.path("home")).ok();
        let offline = build(&s, &["--offline", "-q"]);
        assert!(ran.stdout.contains(offline.stdout.trim_end()), "{what}: {}", offline.stderr);
    }
}

/// What is written down once and committed: locks of either kind, vendored folders, and what `update` leaves.
#[test]
fn a_password_is_in_no_lock() {
    let server = private();
    let (url, host) = (format!("{}/os", server.url()), server.host());
    for (what, http_auth) in
        [("basic", format!("basic:{host}:ci:{PASSWORD}")), ("bearer", format!("bearer:{host}:{PASSWORD}"))]
    {
        let s = sandbox(&url, TEST_KEY_NAME).variable("HTTP_AUTH", http_auth);
        let runs = [
            &["lock", "app.yaml"][..],
            &["update", "--spec", "app.yaml", "--json"],
            &["lock", "app.yaml", "--deep", "--json"],
            &["vendor", "app.yaml", "-o", "vendored"],
            &["apko", "lock", "app.yaml", "--arch", "x86_64"],
        ];
        for args in runs {
            let ran = s.run(args);
            assert_eq!(ran.code, 0, "{what} {args:?}: {}", ran.stderr);
            assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(PASSWORD), "{what} {args:?}");
        }
        assert!(s.path("app.lock").is_file() && s.path("app.lock.json").is_file());
        for secret in [PASSWORD, "Y2k6aHVudGVyMi1jb3JyZWN0"] {
            assert_eq!(holding(s.root(), secret), Vec::<String>::new(), "{what}");
        }
        // A URL that has one is refused before anything is written.
        fs::remove_file(s.path("app.lock")).unwrap();
        s.write("app.yaml", spec(&url.replace("http://", &format!("http://ci:{PASSWORD}@")), TEST_KEY_NAME));
        for args in [
            &["lock", "app.yaml"][..],
            &["apko", "lock", "app.yaml", "--output", "other.json", "--arch", "x86_64"],
        ] {
            let ran = s.run(args);
            assert_ne!(ran.code, 0, "{what}");
            assert!(!ran.stderr.contains(PASSWORD) && ran.stderr.contains("HTTP_AUTH"), "{}", ran.stderr);
        }
        assert!(!s.path("app.lock").exists() && !s.path("other.json").exists());
    }
}

#[test]
fn a_refusal_names_the_way_in() {
    let server = private();
    let (url, host) = (format!("{}/os", server.url()), server.host());
    let ran = build(&sandbox(&url, TEST_KEY_NAME), &[]);
    assert_eq!(ran.code, 7, "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("HTTP_AUTH=basic:{host}:USER:PASSWORD")), "{}", ran.stderr);
    let wrong = sandbox(&url, TEST_KEY_NAME).variable("HTTP_AUTH", format!("basic:{host}:ci:hunter3"));
    let ran = build(&wrong, &[]);
    assert_eq!(ran.code, 7);
    assert!(ran.stderr.contains("(status 401) with the credentials in HTTP_AUTH"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("hunter3"));
    let odd = sandbox(&url, TEST_KEY_NAME).variable("HTTP_AUTH", "basic:hunter4");
    odd.write("home/.netrc", "machine 127.0.0.1 login ci password hunter5 hunter6");
    let ran = build(&odd, &[]);
    assert_eq!(ran.code, 7);
    assert!(ran.stderr.contains("HTTP_AUTH: entry 1 is not used"), "{}", ran.stderr);
    assert!(ran.stderr.contains("home/.netrc: line 1: a word that is none of"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("hunter"), "{}", ran.stderr);
}

#[test]
fn an_authority_of_one_s_own_is_trusted_when_it_is_named() {
    let server = TlsServer::new(Mirror::new("/os"));
    let url = format!("{}/os", server.url());
    let ran = build(&sandbox(&url, TEST_KEY_NAME), &[]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.contains("--ca-file"), "{}", ran.stderr);
    let ca = test_ca().display().to_string();
    let ran = build(&sandbox(&url, TEST_KEY_NAME), &["--ca-file", &ca]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = build(&sandbox(&url, TEST_KEY_NAME).variable("SSL_CERT_FILE", ca), &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn proxies_are_those_of_the_environment() {
    let proxy = HttpServer::new(Mirror::new("/os"));
    let s = || sandbox("http://host.example/os", TEST_KEY_NAME);
    for (name, value) in [
        ("HTTP_PROXY", proxy.url()),
        ("http_proxy", proxy.url()),
        ("ALL_PROXY", proxy.url()),
        ("HTTP_PROXY", proxy.url().replace("http://", "http://me:hunter2@")),
    ] {
        let ran = build(&s().variable(name, value), &[]);
        assert_eq!(ran.code, 0, "{name}: {}", ran.stderr);
    }
    assert!(proxy.log().last().unwrap().header("proxy-authorization").is_some());
    let asked = proxy.log().len();
    let round = s().variable("HTTP_PROXY", proxy.url()).variable("NO_PROXY", "host.example");
    assert_eq!(build(&round, &[]).code, 6);
    assert_eq!(proxy.log().len(), asked);
}

fn key_of_image(s: &Sandbox, name: &str) -> String {
    s.run(["inspect", "app.oci", "--cat", &format!("/etc/apk/keys/{name}")]).stdout
}

#[test]
fn a_repository_s_own_key_set_is_found_and_its_keys_are_in_the_image() {
    let kid = TEST_KEY_NAME.trim_end_matches(".rsa.pub");
    let set =
        serde_json::json!({"keys": [SigningKey::Test.jwk(kid), SigningKey::Other.jwk("spare")]}).to_string();
    let place = Arc::new(std::sync::OnceLock::<String>::new());
    let mirror = Mirror::new("/os").with("/os/keys.json", set);
    let server = HttpServer::new({
        let place = Arc::clone(&place);
        move |request: &Request| match request.path.as_str() {
            "/os/apk-configuration" => {
                Response::text(200, &format!("{{\"jwks_uri\": \"{}/os/keys.json\"}}", place.get().unwrap()))
                    .header("ETag", "\"c\"")
            }
            _ => mirror.handle(request),
        }
    });
    place.set(server.url()).unwrap();
    let s = sandbox(&format!("{}/os", server.url()), "");
    let ran = build(&s, &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let found = format!("found at {}/os/{TEST_KEY_NAME}", server.url());
    assert!(ran.stderr.contains(&found), "{}", ran.stderr);
    // The file is the one that the key was made from.
    assert_eq!(key_of_image(&s, TEST_KEY_NAME), TEST_KEY);
    assert_eq!(key_of_image(&s, "spare.rsa.pub"), SigningKey::Other.public());
    // The same without the network.
    let again = build(&s, &["--offline", "-q"]);
    assert_eq!(again.stdout, ran.stdout, "{}", again.stderr);
}

#[test]
fn alpine_s_list_of_keys_is_read_as_apko_reads_it() {
    let list = |host: &str| {
        serde_json::json!({"release_branches": [{"rel_branch": "v3.19", "keys": {"x86_64": [
            {"url": format!("{host}/keys/old.rsa.pub"), "deprecated_since": "2022-05-01"},
            {"url": format!("{host}/keys/{TEST_KEY_NAME}")},
        ]}}]})
    };
    let mirror = Mirror::new("/alpine/v3.19/main")
        .with("/keys/old.rsa.pub", SigningKey::Other.public())
        .with(&format!("/keys/{TEST_KEY_NAME}"), TEST_KEY);
    let server = HttpServer::new(mirror);
    let mine = |epoch: &str| {
        let s = sandbox(&format!("{}/alpine/v3.19/main", server.url()), "");
        let path = s.write("releases.json", list(&server.url()).to_string());
        let s = s.variable("ASSEMBLE_ALPINE_RELEASES", path.display().to_string());
        if epoch.is_empty() { s } else { s.variable("SOURCE_DATE_EPOCH", epoch) }
    };
    for (epoch, old) in [("1700000000", false), ("1600000000", true), ("", true)] {
        let s = mine(epoch);
        let ran = build(&s, &[]);
        assert_eq!(ran.code, 0, "{epoch}: {}", ran.stderr);
        assert_eq!(key_of_image(&s, TEST_KEY_NAME), TEST_KEY);
        assert_eq!(key_of_image(&s, "old.rsa.pub") == SigningKey::Other.public(), old, "{epoch}");
        let warned = ran.stderr.contains("1 of Alpine's 2 keys for v3.19 on x86_64 have a day");
        assert_eq!(warned, epoch.is_empty(), "{epoch}: {}", ran.stderr);
        assert_eq!(build(&s, &["--offline", "-q"]).stdout, ran.stdout);
        // apko's command finds the same ones.
        fs::create_dir(s.path("layout")).unwrap();
        let arguments =
            ["apko", "build", "--arch", "x86_64", "--vcs=false", "app.yaml", "localhost/app:v1", "layout"];
        let ran = s.run(arguments);
        assert_eq!(ran.code, 0, "{epoch}: {}", ran.stderr);
        let cat = |name: &str| s.run(["inspect", "layout", "--cat", &format!("/etc/apk/keys/{name}")]).stdout;
        assert_eq!(cat(TEST_KEY_NAME), TEST_KEY);
        assert_eq!(cat("old.rsa.pub") == SigningKey::Other.public(), old, "{epoch}");
    }
    // A key of the list that is not there ends the build, since the image would lack it.
    let s = mine("");
    let text = list(&server.url()).to_string().replace("old.rsa.pub", "none.rsa.pub");
    s.write("releases.json", text);
    let ran = build(&s, &[]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.contains("/keys/none.rsa.pub: not found"), "{}", ran.stderr);
    assert!(ran.stderr.contains("ASSEMBLE_ALPINE_RELEASES"), "{}", ran.stderr);
    // A list without the branch is no mistake; then nobody vouches for the index, and with a key of ours, we do.
    s.write("releases.json", "{}");
    assert_eq!(build(&s, &[]).code, 5);
    s.write("app.yaml", spec(&format!("{}/alpine/v3.19/main", server.url()), TEST_KEY_NAME));
    assert_eq!(build(&s, &[]).code, 0);
    let off = s.variable("ASSEMBLE_ALPINE_RELEASES", "off");
    assert_eq!(build(&off, &[]).code, 0);
    // Without a network, a list that was never seen is none.
    let public = off.variable("ASSEMBLE_ALPINE_RELEASES", "");
    let ran = build(&public, &["--offline"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("offline, and Alpine's list of keys is not in the cache"), "{}", ran.stderr);
}

#[test]
fn keys_that_anybody_could_have_put_there_are_not_taken() {
    let kid = TEST_KEY_NAME.trim_end_matches(".rsa.pub");
    let set = serde_json::json!({"keys": [SigningKey::Test.jwk(kid)]}).to_string();
    let configuration = |uri: &str| format!("{{\"jwks_uri\": \"{uri}\"}}");
    // Over http from another machine.
    let open = Mirror::new("/os")
        .with("/os/apk-configuration", configuration("http://host.example/os/keys.json"))
        .with("/os/keys.json", set);
    let proxy = HttpServer::new(open);
    let s = sandbox("http://host.example/os", "").variable("HTTP_PROXY", proxy.url());
    let ran = build(&s, &[]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(ran.stderr.contains("keys are published over http"), "{}", ran.stderr);
    assert!(!proxy.calls().iter().any(|call| call.ends_with("/os/keys.json")));
    // From a place that the server has no business with, or that is none.
    for (uri, why) in [
        ("http://169.254.169.254/latest", "it leads into a private network that the document is not in"),
        ("file:///etc/passwd", "it is no http(s) URL"),
        ("keys.json", "it is no http(s) URL"),
    ] {
        let server = HttpServer::new(Mirror::new("/os").with("/os/apk-configuration", configuration(uri)));
        let ran = build(&sandbox(&format!("{}/os", server.url()), ""), &[]);
        assert_eq!(ran.code, 5, "{uri}: {}", ran.stderr);
        assert!(ran.stderr.contains(why), "{uri}: {}", ran.stderr);
    }
    // With the key at hand, what is wrong with the set is only a warning.
    let server = HttpServer::new(Mirror::new("/os").with("/os/apk-configuration", "<html>"));
    let ran = build(&sandbox(&format!("{}/os", server.url()), TEST_KEY_NAME), &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("no keys are taken from its apk-configuration"), "{}", ran.stderr);
}

#[test]
fn a_local_repository_needs_an_index() {
    let s = sandbox("packages", TEST_KEY_NAME);
    let ran = build(&s, &[]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("the repository packages does not exist"), "{}", ran.stderr);
    std::fs::create_dir(s.path("packages")).unwrap();
    let ran = build(&s, &[]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.contains("packages/x86_64/APKINDEX.tar.gz: not found"), "{}", ran.stderr);
    let package =
        ApkBuilder::new("tool", "1.0-r0").dir("usr").dir("usr/bin").file("usr/bin/tool", b"#!/bin/sh\n");
    RepositoryBuilder::new().package(package).write(&s.path("packages"), "x86_64");
    assert_eq!(build(&s, &["--offline"]).code, 0);
}
