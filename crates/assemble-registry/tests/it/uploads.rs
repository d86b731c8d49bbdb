//! Faults while a blob goes up.

use std::time::{Duration, Instant};

use assemble_registry::{AddressFault, PushBlob, RegistryError};
use assemble_testkit::{Action, Fault, HttpServer, RegistryOptions, RegistryStub, Request, Response};
use assemble_types::{Blob, Digest, Explain, Kind};
use expect_test::expect;

use crate::kit::*;

fn push(stub: &RegistryStub, image: &assemble_registry::PushImage) -> Result<(), RegistryError> {
    anonymous().push(&at(stub, ":v1"), image, &[]).map(|_| ())
}

#[test]
fn failures_that_pass() {
    for status in [408, 429, 499, 500, 502, 503, 504, 522] {
        for (method, path) in [
            ("HEAD", "/manifests/"),
            ("HEAD", "/blobs/"),
            ("POST", "/blobs/uploads/"),
            ("PUT", "/blobs/uploads/"),
            ("PUT", "/manifests/"),
        ] {
            let stub = RegistryStub::start();
            stub.fault(Fault::status(method, path, status, "busy").times(3));
            push(&stub, &large()).unwrap_or_else(|e| panic!("{status} {method} {path}: {}", shown(&e)));
            assert_holds(&stub, &large(), "v1");
        }
    }
}

#[test]
fn failures_that_do_not_pass_end() {
    for (method, path) in [("POST", "/blobs/uploads/"), ("PUT", "/blobs/uploads/")] {
        let stub = RegistryStub::start();
        stub.fault(Fault::on(method, path, Action::Answer(json_error(503, "UNAVAILABLE", "no disk"))));
        let error = push(&stub, &image(&[])).unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(told(&error, &stub).contains("the server answered 503"), "{}", told(&error, &stub));
        assert!(stub.calls().len() <= 13, "{:?}", stub.calls());
    }
    let stub = RegistryStub::start();
    stub.fault(Fault::on("POST", "/uploads/", Action::Answer(json_error(500, "UNKNOWN", "no disk"))));
    let image = image(&[]);
    let error = push(&stub, &image).unwrap_err();
    let text = told(&error, &stub).replace(&image.blobs[0].digest.to_string(), "DIGEST");
    expect![[r#"REGISTRY/team/app: sending blob DIGEST: the server answered 500: UNKNOWN: no disk | run it again later: what has been sent is not sent twice"#]].assert_eq(&text);
}

#[test]
fn connections_that_break() {
    for action in [
        Action::Close,
        Action::CloseWhileReading(0),
        Action::CloseWhileReading(100_000),
        Action::CloseAfterDoing,
        Action::Garbage,
    ] {
        for (method, path) in [
            ("HEAD", "/manifests/"),
            ("HEAD", "/blobs/"),
            ("POST", "/blobs/uploads/"),
            ("PUT", "/blobs/uploads/"),
            ("PUT", "/manifests/"),
        ] {
            let stub = RegistryStub::start();
            stub.fault(Fault::on(method, path, action.clone()).nth(1));
            push(&stub, &large()).unwrap_or_else(|e| panic!("{action:?} {method} {path}: {}", shown(&e)));
            assert_holds(&stub, &large(), "v1");
        }
    }
}

#[test]
fn what_arrived_is_not_sent_again() {
    let stub = RegistryStub::start();
    stub.fault(Fault::on("PUT", "/blobs/uploads/", Action::CloseAfterDoing).nth(1));
    push(&stub, &image(&[])).unwrap();
    assert_eq!(count(&stub, "PUT upload"), 1);
    assert_eq!(count(&stub, "HEAD blob"), 1);
}

#[test]
fn patience_as_asked_for() {
    for (asked, longest) in [("0", 1.0), ("1", 3.0), ("soon", 1.0), ("Sun, 06 Nov 1994 08:49:37 GMT", 1.0)] {
        let stub = RegistryStub::start();
        let answer = Response::text(429, "").header("Retry-After", asked);
        stub.fault(Fault::on("POST", "/uploads/", Action::Answer(answer)).nth(1));
        let start = Instant::now();
        push(&stub, &image(&[])).unwrap();
        let took = start.elapsed().as_secs_f64();
        assert!(took < longest && (asked != "1" || took >= 1.0), "{asked}: {took}");
    }
    let stub = RegistryStub::start();
    let answer = json_error(429, "TOOMANYREQUESTS", "slow down").header("Retry-After", "86400");
    stub.fault(Fault::on("HEAD", "/manifests/", Action::Answer(answer.clone())).nth(1));
    let error = push(&stub, &image(&[])).unwrap_err();
    assert_eq!(stub.calls().len(), 1);
    assert_eq!(error.kind(), Kind::Unavailable);
    expect![[r#"REGISTRY/team/app: asking for v1: the server answered 429 and asks to wait 86400 s | wait and run it again, or raise the limit: `assemble login REGISTRY`"#]].assert_eq(&told(&error, &stub));
}

#[test]
fn a_server_that_is_silent() {
    for action in [Action::Stall(Duration::from_mins(1)), Action::Delay(Duration::from_mins(1))] {
        let stub = RegistryStub::start();
        stub.fault(Fault::on("PUT", "/blobs/uploads/", action.clone()).nth(1));
        push(&stub, &large()).unwrap();
        assert_holds(&stub, &large(), "v1");
        let stub = RegistryStub::start();
        stub.fault(Fault::on("POST", "/blobs/uploads/", action));
        let start = Instant::now();
        let error = push(&stub, &image(&[])).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(20));
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(
            matches!(error, RegistryError::Stalled { .. } | RegistryError::Transport { .. }),
            "{error:?}"
        );
    }
}

#[test]
fn other_forms_where_a_whole_put_is_refused() {
    for status in [404, 405, 411, 501] {
        let stub = RegistryStub::start();
        stub.fault(Fault::status("PUT", "/blobs/uploads/", status, "no").nth(1));
        push(&stub, &single(noise(7, 600_000))).unwrap();
        assert_holds(&stub, &single(noise(7, 600_000)), "v1");
        let patches: Vec<_> = stub.log().into_iter().filter(|l| l.method == "PATCH").collect();
        assert!(!patches.is_empty());
        assert!(patches.iter().all(|l| l.header("content-range").is_none()));
    }
    // In one piece it is too large, whichever way.
    for early in [false, true] {
        let stub = RegistryStub::start();
        let image = single(noise(7, 6_000_000));
        let big = image.blobs[0].size;
        let answer = Response::text(413, "too large");
        let action = if early { Action::AnswerEarly(answer) } else { Action::Answer(answer) };
        stub.fault(Fault::on("PUT", "/blobs/uploads/", action).nth(1));
        push(&stub, &image).unwrap_or_else(|e| panic!("{early} {}", shown(&e)));
        assert_holds(&stub, &image, "v1");
        let ranges: Vec<_> = stub
            .log()
            .iter()
            .filter(|l| l.method == "PATCH" && l.body_len > 1000)
            .map(|l| l.header("content-range").unwrap_or("none").to_owned())
            .collect();
        if !early {
            assert_eq!(ranges, ["0-5242879".to_owned(), format!("5242880-{}", big - 1)]);
        }
    }
}

#[test]
fn chunks_are_as_large_as_the_registry_wants_them() {
    for (minimum, chunks) in [(6_000_000, 2), (1 << 30, 1), (1, 2)] {
        let stub = RegistryStub::with(RegistryOptions {
            chunk_minimum: Some(minimum),
            ..RegistryOptions::default()
        });
        let image = single(noise(7, 7_000_000));
        stub.fault(Fault::status("PUT", "/blobs/uploads/", 413, "").nth(1));
        // A chunk that the server lost: from the start, never with a hole.
        stub.fault(Fault::status("PATCH", "/blobs/uploads/", 416, "").nth(1));
        push(&stub, &image).unwrap();
        assert_holds(&stub, &image, "v1");
        let large =
            stub.log().iter().filter(|l| l.method == "PATCH" && l.status == 202 && l.body_len > 1000).count();
        assert_eq!(large, chunks);
    }
}

#[test]
fn sessions_that_end_before_their_time_are_begun_anew() {
    for code in ["BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"] {
        let stub = RegistryStub::start();
        stub.fault(Fault::on("PUT", "/uploads/", Action::Answer(json_error(404, code, ""))).nth(1));
        push(&stub, &small()).unwrap();
        assert_holds(&stub, &small(), "v1");
        assert_eq!(count(&stub, "PATCH upload"), 0);
    }
}

#[test]
fn success_that_is_none() {
    for (method, path, status) in [
        ("POST", "/uploads/", 201),
        ("PUT", "/uploads/", 202),
        ("PUT", "/uploads/", 204),
        ("PUT", "/uploads/", 200),
    ] {
        let stub = RegistryStub::start();
        stub.fault(Fault::status(method, path, status, "").nth(1));
        push(&stub, &small()).unwrap_or_else(|e| panic!("{method} {status}: {}", shown(&e)));
        assert_holds(&stub, &small(), "v1");
    }
    // A damaged blob has another length.
    let stub = RegistryStub::start();
    stub.put_blob(REPOSITORY, &noise(1, 3000));
    stub.fault(Fault::status("POST", "/uploads/", 503, "").nth(1));
    stub.fault(Fault::on("HEAD", "/blobs/", Action::Header("Content-Length".into(), "7".into())));
    push(&stub, &single(noise(1, 3000))).unwrap();
    assert_eq!(count(&stub, "PUT upload"), 1);
}

#[test]
fn relative_locations() {
    let stub = RegistryStub::with(RegistryOptions { relative_locations: true, ..RegistryOptions::default() });
    push(&stub, &large()).unwrap();
    assert_holds(&stub, &large(), "v1");
}

#[test]
fn locations_that_are_not_followed() {
    for (location, want) in [
        ("http://169.254.169.254/latest/meta-data?_state=hunter2", AddressFault::PrivateNetwork),
        ("http://10.1.2.3/x", AddressFault::PrivateNetwork),
        ("http://jo:hunter2@127.0.0.1:1/x", AddressFault::UserInfo),
        ("ftp://127.0.0.1/x", AddressFault::Scheme),
        ("http://[", AddressFault::Unreadable),
        ("", AddressFault::Missing),
    ] {
        let stub = RegistryStub::start();
        stub.fault(Fault::on("POST", "/uploads/", Action::Header("Location".into(), location.into())));
        let error = push(&stub, &image(&[])).unwrap_err();
        assert!(matches!(&error, RegistryError::Address { source, .. } if *source == want), "{error:?}");
        assert_eq!(error.kind(), Kind::Integrity);
        assert!(!format!("{error:?}{}", shown(&error)).contains(PASSWORD), "{error:?}");
        assert_eq!(count(&stub, "POST upload"), 1);
    }
}

#[test]
fn storage_elsewhere_gets_the_blob_and_no_credentials() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let storage = HttpServer::new({
        let seen = seen.clone();
        move |request: &Request| {
            seen.lock().unwrap().push(request.clone());
            Response::new(201)
        }
    });
    let stub = RegistryStub::with(RegistryOptions {
        auth: assemble_testkit::Auth::Basic { user: USER.into(), password: PASSWORD.into() },
        ..RegistryOptions::default()
    });
    let image = image(&[]);
    let bytes = image.blobs[0].content.read_to_vec(1000).unwrap();
    let location = format!("{}/put?X-Sig=a%2Bb%3d", storage.url());
    stub.fault(Fault::on("POST", "/uploads/", Action::Header("Location".into(), location)));
    stub.fault(Fault::on("PUT", "/manifests/", Action::Answer(Response::new(201))));
    bench(with_password()).registry.push(&at(&stub, ":v1"), &image, &[]).unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].query, format!("X-Sig=a%2Bb%3d&digest={}", image.blobs[0].digest));
    assert_eq!(seen[0].body, bytes);
    assert_eq!(seen[0].header("authorization"), None);
    assert!(stub.log().iter().any(|l| l.header("authorization").is_some()));
}

#[test]
fn a_post_that_is_redirected() {
    let stub = RegistryStub::start();
    let to = format!("/v2/{REPOSITORY}/blobs/uploads/?again");
    let answer = Response::new(307).header("Location", to);
    stub.fault(Fault::on("POST", "/uploads/", Action::Answer(answer)).nth(1));
    push(&stub, &image(&[])).unwrap();
    let stub = RegistryStub::start();
    stub.fault(Fault::on("POST", "/uploads/", Action::Answer(Response::new(302).header("Location", "/x"))));
    let error = push(&stub, &image(&[])).unwrap_err();
    assert!(matches!(error, RegistryError::Address { source: AddressFault::BodyLost, .. }), "{error:?}");
    let stub = RegistryStub::start();
    stub.fault(Fault::on("HEAD", "/", Action::Answer(Response::new(302).header("Location", "/x"))));
    let error = push(&stub, &image(&[])).unwrap_err();
    assert!(matches!(error, RegistryError::Address { source: AddressFault::TooMany, .. }), "{error:?}");
    assert_eq!(stub.calls().len(), 11);
}

#[test]
fn local_bytes_that_have_changed() {
    let stub = RegistryStub::start();
    let mut image = image(&[noise(1, 1000)]);
    let digest = image.blobs[0].digest;
    image.blobs[0] = PushBlob { digest, size: 1000, content: Blob::from_bytes(noise(2, 1000)) };
    let error = push(&stub, &image).unwrap_err();
    assert!(
        matches!(&error, RegistryError::LocalChanged { expected, found, .. }
            if *expected == digest && *found == Digest::of(&noise(2, 1000))),
        "{error:?}"
    );
    let puts = stub.calls().iter().filter(|c| c.starts_with("PUT") && c.contains(&digest.hex())).count();
    assert_eq!(puts, 1);

    // The bytes are right, and the registry finds another digest: not our file's fault.
    let stub = RegistryStub::start();
    stub.fault(Fault::on("PUT", "/uploads/", Action::Answer(json_error(400, "DIGEST_INVALID", "bad"))));
    let error = push(&stub, &small()).unwrap_err();
    assert!(shown(&error).contains("DIGEST_INVALID: bad (the local bytes are right"), "{}", shown(&error));
}

#[derive(Debug)]
struct Shrunk;

impl assemble_types::ReadAt for Shrunk {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
        if offset > 400_000 {
            return Ok(0);
        }
        buf.fill(7);
        Ok(buf.len())
    }
}

#[test]
fn local_bytes_that_cannot_be_read() {
    let stub = RegistryStub::start();
    let mut image = image(&[noise(1, 1000)]);
    let content = Blob::new(std::sync::Arc::new(Shrunk), 1_000_000);
    image.blobs[0] = PushBlob { digest: image.blobs[0].digest, size: 1_000_000, content };
    let error = push(&stub, &image).unwrap_err();
    assert!(matches!(&error, RegistryError::LocalRead { .. }), "{error:?}");
    assert_eq!(error.kind(), Kind::Host);
    assert!(shown(&error).contains("the source is shorter than it was"), "{}", shown(&error));
}

#[test]
fn nobody_there() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let target = reference(&format!("127.0.0.1:{port}"), ":v1");
    let error = anonymous().push(&target, &small(), &[]).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    let text = shown(&error).replace(&port.to_string(), "PORT");
    assert!(
        text.starts_with("127.0.0.1:PORT/team/app: asking for v1: no answer from 127.0.0.1:PORT (3 tries) <"),
        "{text}"
    );
    assert!(text.ends_with("| check that the registry runs and can be reached from here"), "{text}");
}

#[test]
fn a_registry_without_tls_is_not_spoken_to_unless_said() {
    // Not a loopback name, so https is spoken, and the hint says what to do.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let mut hello = [0; 4096];
        let read = stream.read(&mut hello).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        hello[..read].to_vec()
    });
    let error = anonymous().push(&reference(&format!("0.0.0.0:{port}"), ":v1"), &small(), &[]).unwrap_err();
    assert!(shown(&error).contains(&format!("`--plain-http=0.0.0.0:{port}`")), "{}", shown(&error));
    assert!(shown(&error).contains("(1 try)"), "{}", shown(&error));
    assert_eq!(serve.join().unwrap()[0], 0x16, "a TLS handshake");
}
