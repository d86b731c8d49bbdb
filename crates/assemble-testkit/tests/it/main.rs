//! The registry, spoken to over a bare socket.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use assemble_testkit::{Action, Auth, Fault, RegistryOptions, RegistryStub};
use assemble_types::Digest;
use serde_json::json;

/// Status and head of the answer.
fn call(stub: &RegistryStub, method: &str, target: &str, headers: &str, body: &[u8]) -> (u16, String) {
    let mut stream = std::net::TcpStream::connect(stub.host()).expect("the stub listens");
    let target = target.strip_prefix(&format!("http://{}", stub.host())).unwrap_or(target);
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n",
        stub.host()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).expect("the stub reads");
    let mut answer = String::new();
    drop(stream.read_to_string(&mut answer));
    (answer.get(9..12).and_then(|s| s.parse().ok()).unwrap_or(0), answer)
}

fn header(answer: &str, name: &str) -> String {
    let line = answer.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_default().to_owned()
}

fn upload(stub: &RegistryStub, bytes: &[u8]) -> String {
    let (status, answer) = call(stub, "POST", "/v2/a/b/blobs/uploads/", "", b"");
    assert_eq!(status, 202);
    let digest = Digest::of(bytes).to_string();
    let target = format!("{}&digest={digest}", header(&answer, "Location"));
    assert_eq!(call(stub, "PUT", &target, "", bytes).0, 201);
    digest
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[test]
fn a_push_and_its_checks() {
    let stub = RegistryStub::start();
    let config = upload(&stub, b"{}");
    let manifest = |digest: &str, size: usize| {
        json!({ "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
            "config": { "mediaType": "x", "digest": digest, "size": size } })
        .to_string()
    };
    let kind = format!("Content-Type: {MANIFEST}\r\n");
    let put = |body: &str, kind: &str| call(&stub, "PUT", "/v2/a/b/manifests/v1", kind, body.as_bytes());
    assert!(put(&manifest(&Digest::of(b"x").to_string(), 1), &kind).1.contains("MANIFEST_BLOB_UNKNOWN"));
    assert!(put(&manifest(&config, 3), &kind).1.contains("MANIFEST_BLOB_UNKNOWN"));
    assert!(put(&manifest(&config, 2), "Content-Type: a/b\r\n").1.contains("MANIFEST_INVALID"));
    assert_eq!(put(&manifest(&config, 2), &kind).0, 201);
    assert_eq!(call(&stub, "GET", "/v2/a/b/manifests/v1", "", b"").0, 404);
    let accept = format!("Accept: a/b, {MANIFEST}\r\n");
    assert_eq!(call(&stub, "GET", "/v2/a/b/manifests/v1", &accept, b"").0, 200);
    assert!(call(&stub, "GET", "/v2/a/b/tags/list", "", b"").1.contains("[\"v1\"]"));
    let mount = format!("/v2/c/blobs/uploads/?mount={config}&from=a/b");
    assert_eq!(call(&stub, "POST", &mount, "", b"").0, 201);
    assert_eq!(stub.blobs("c").len(), 1);
    assert_eq!(call(&stub, "POST", "/v2/c/blobs/uploads", "", b"").0, 301);
}

#[test]
fn sessions_are_strict() {
    let stub = RegistryStub::with(RegistryOptions { relative_locations: true, ..Default::default() });
    let (_, answer) = call(&stub, "POST", "/v2/a/blobs/uploads/", "", b"");
    let first = header(&answer, "Location");
    assert!(first.starts_with("/v2/a/blobs/uploads/"), "{first}");
    let (status, answer) = call(&stub, "PATCH", &first, "Content-Range: 0-2\r\n", b"abc");
    assert_eq!(status, 202);
    assert_eq!(call(&stub, "PATCH", &first, "", b"def").0, 404);
    let second = header(&answer, "Location");
    assert_eq!(call(&stub, "PATCH", &second, "Content-Range: 2-4\r\n", b"def").0, 416);
    assert_eq!(call(&stub, "PUT", &format!("{second}&digest={}", Digest::of(b"x")), "", b"").0, 400);
    let decoded = second.replace("%2F", "/");
    assert_eq!(call(&stub, "PUT", &format!("{decoded}&digest={}", Digest::of(b"abc")), "", b"").0, 404);
    assert_eq!(call(&stub, "PUT", &format!("{second}&digest={}", Digest::of(b"abc")), "", b"").0, 201);
}

#[test]
fn tokens_have_scopes() {
    let auth = Auth::Token {
        user: "u".into(),
        password: "p".into(),
        anonymous_pull: true,
        lifetime: Duration::from_mins(1),
    };
    let stub = RegistryStub::with(RegistryOptions { auth, ..Default::default() });
    let (status, answer) = call(&stub, "POST", "/v2/a/blobs/uploads/", "", b"");
    assert_eq!(status, 401);
    assert!(header(&answer, "WWW-Authenticate").contains("scope=\"repository:a:pull,push\""), "{answer}");
    let token = |credentials: &str| {
        let (_, answer) = call(&stub, "GET", "/token?scope=repository:a:pull,push", credentials, b"");
        let text = answer.split("\"token\":\"").nth(1).unwrap_or_default();
        format!("Authorization: Bearer {}\r\n", text.split('"').next().unwrap_or_default())
    };
    assert_eq!(call(&stub, "POST", "/v2/a/blobs/uploads/", &token(""), b"").0, 401);
    let good = token("Authorization: Basic dTpw\r\n");
    assert_eq!(call(&stub, "POST", "/v2/a/blobs/uploads/", &good, b"").0, 202);
    assert_eq!(call(&stub, "POST", "/v2/b/blobs/uploads/", &good, b"").0, 401);
    stub.expire_tokens();
    let (_, answer) = call(&stub, "POST", "/v2/a/blobs/uploads/", &good, b"");
    assert!(answer.contains("invalid_token"), "{answer}");
}

#[test]
fn a_stalled_server_still_stops() {
    let stub = RegistryStub::start();
    stub.fault(Fault::on("*", "/", Action::Stall(Duration::from_mins(10))));
    let mut stream = std::net::TcpStream::connect(stub.host()).unwrap();
    stream.write_all(b"GET /v2/ HTTP/1.1\r\n\r\n").unwrap();
    while stub.calls().is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let start = Instant::now();
    drop(stub);
    assert!(start.elapsed() < Duration::from_mins(1));
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap_or(0), 0);
}
