//! Reading, and faults while doing so.

use assemble_registry::{AddressFault, RegistryError};
use assemble_testkit::{Action, Auth, Fault, HttpServer, RegistryOptions, RegistryStub, Request, Response};
use assemble_types::{Digest, Explain, Kind};
use expect_test::expect;

use crate::kit::*;

fn fetch(stub: &RegistryStub, bytes: &[u8], size: u64) -> Result<Vec<u8>, RegistryError> {
    let mut out = Vec::new();
    anonymous().blob(&at(stub, ""), &Digest::of(bytes), size, &mut out).map(|()| out)
}

#[test]
fn manifests_by_tag_and_digest() {
    let stub = RegistryStub::start();
    let registry = anonymous();
    assert_eq!(registry.resolve(&at(&stub, ":v1")).unwrap(), None);
    let error = registry.manifest(&at(&stub, ":v1")).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    expect![[r#"REGISTRY/team/app: reading manifest v1: not found (404): NAME_UNKNOWN: repository name not known to registry | check the name and the tag; some registries want the repository to be made beforehand | some answer 404 where access is denied: run `assemble login REGISTRY`"#]].assert_eq(&told(&error, &stub));

    let image = small();
    registry.push(&at(&stub, ":v1"), &image, &[]).unwrap();
    let top = &image.manifests[0];
    for rest in [":v1".to_owned(), format!("@{}", top.digest), format!(":nope@{}", top.digest)] {
        let info = registry.resolve(&at(&stub, &rest)).unwrap().unwrap();
        assert_eq!(
            (info.digest, info.size, info.media_type.as_str()),
            (top.digest, top.bytes.len() as u64, MANIFEST)
        );
        let got = registry.manifest(&at(&stub, &rest)).unwrap();
        assert_eq!(got, (top.bytes.clone(), MANIFEST.to_owned(), top.digest));
    }
}

#[test]
fn head_that_tells_too_little() {
    for header in ["Docker-Content-Digest", "Content-Type"] {
        let stub = RegistryStub::start();
        anonymous().push(&at(&stub, ":v1"), &small(), &[]).unwrap();
        stub.fault(Fault::on("HEAD", "/manifests/", Action::Header(header.into(), String::new())));
        let info = anonymous().resolve(&at(&stub, ":v1")).unwrap().unwrap();
        assert_eq!(info.digest, small().manifests[0].digest);
    }
    let stub = RegistryStub::start();
    anonymous().push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    stub.fault(Fault::status("HEAD", "/manifests/", 405, ""));
    assert!(anonymous().resolve(&at(&stub, ":v1")).unwrap().is_some());
}

#[test]
fn manifests_that_are_wrong() {
    let top = small().manifests.remove(0);
    let by_tag = ":v1".to_owned();
    let by_digest = format!("@{}", top.digest);
    let header = |name: &str, value: &str| Action::Header(name.into(), value.into());
    let kind = |action: Action, rest: &str| {
        let stub = RegistryStub::start();
        anonymous().push(&at(&stub, ":v1"), &small(), &[]).unwrap();
        stub.fault(Fault::on("GET", "/manifests/", action));
        anonymous().manifest(&at(&stub, rest)).map_err(|e| (e.code(), e.kind()))
    };
    for rest in [&by_tag, &by_digest] {
        assert_eq!(kind(Action::WrongBytes, rest), Err(("registry/digest", Kind::Integrity)));
        let type_of = header("Content-Type", INDEX);
        assert_eq!(kind(type_of, rest), Err(("registry/media-type", Kind::Integrity)));
        let large = Action::Answer(Response::text(200, &" ".repeat((4 << 20) + 1)));
        assert_eq!(kind(large, rest), Err(("registry/too-large", Kind::Integrity)));
        assert!(kind(header("Content-Type", "application/json; charset=utf-8"), rest).is_ok());
        let cut = Action::CutBody(10);
        assert_eq!(kind(cut, rest), Err(("registry/transport", Kind::Unavailable)));
    }
    let other = Digest::of(b"").to_string();
    assert_eq!(
        kind(header("Docker-Content-Digest", &other), &by_tag),
        Err(("registry/digest", Kind::Integrity))
    );
}

#[test]
fn a_manifest_that_breaks_off_once_is_read_again() {
    let stub = RegistryStub::start();
    anonymous().push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    stub.fault(Fault::on("GET", "/manifests/", Action::CutBody(10)).nth(1));
    anonymous().manifest(&at(&stub, ":v1")).unwrap();
}

#[test]
fn blobs_of_all_sizes() {
    let stub = RegistryStub::start();
    for size in [0, 1, 70_000, 1_000_000] {
        let bytes = noise(size, usize::try_from(size).unwrap());
        stub.put_blob(REPOSITORY, &bytes);
        assert_eq!(fetch(&stub, &bytes, size).unwrap(), bytes);
    }
    let error = fetch(&stub, b"none", 4).unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
}

#[test]
fn blobs_that_are_wrong() {
    let bytes = noise(1, 100_000);
    let code = |action: Option<Action>, size: u64| {
        let stub = RegistryStub::start();
        stub.put_blob(REPOSITORY, &bytes);
        if let Some(action) = action {
            stub.fault(Fault::on("GET", "/blobs/", action));
        }
        let error = fetch(&stub, &bytes, size).unwrap_err();
        (error.code(), error.kind(), stub.calls().len())
    };
    let size = bytes.len() as u64;
    assert_eq!(code(Some(Action::WrongBytes), size), ("registry/digest", Kind::Integrity, 1));
    assert_eq!(code(None, size - 1), ("registry/size", Kind::Integrity, 1));
    assert_eq!(code(None, size + 1), ("registry/size", Kind::Integrity, 1));
    let (what, kind, calls) = code(Some(Action::CutBody(0)), size);
    assert_eq!((what, kind, calls), ("registry/transport", Kind::Unavailable, 4));
    let denied = Action::Answer(json_error(403, "DENIED", "no"));
    assert_eq!(code(Some(denied), size), ("registry/denied", Kind::Denied, 1));
    let busy = Action::Answer(Response::new(503));
    assert_eq!(code(Some(busy), size), ("registry/refused", Kind::Unavailable, 4));
}

#[test]
fn a_body_without_length_is_bounded_by_the_descriptor() {
    // The connection's end is the body's end, as in HTTP/1.0.
    let endless = |extra: usize| {
        std::thread::spawn(move || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let host = listener.local_addr().unwrap().to_string();
            let serve = std::thread::spawn(move || {
                use std::io::{Read, Write};
                while let Ok((mut stream, _)) = listener.accept() {
                    let mut head = [0; 4096];
                    if stream.read(&mut head).unwrap_or(0) < 20 {
                        return;
                    }
                    let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n");
                    let _ = stream.write_all(&noise(1, 1000 + extra)[..1000 + extra]);
                }
            });
            (host, serve)
        })
        .join()
        .unwrap()
    };
    let bytes = noise(1, 1000);
    for (extra, digest, size, want) in [
        (0, Digest::of(&bytes), 1000, None),
        (50_000, Digest::of(&bytes), 1000, Some("registry/size")),
        (0, Digest::of(&noise(1, 1001)), 1001, Some("registry/size")),
    ] {
        let (host, serve) = endless(extra);
        let mut out = Vec::new();
        let result = anonymous().blob(&reference(&host, ""), &digest, size, &mut out);
        assert_eq!(result.map_err(|e| e.code()).err(), want);
        assert!(out.len() as u64 <= size);
        drop(std::net::TcpStream::connect(&host));
        serve.join().unwrap();
    }
}

#[test]
fn a_download_that_breaks_off_goes_on() {
    let bytes = noise(1, 1_000_000);
    // Cut at each 64 KiB.
    let stub = RegistryStub::start();
    stub.put_blob(REPOSITORY, &bytes);
    stub.fault(Fault::on("GET", "/blobs/", Action::CutBody(65_536)).times(15));
    assert_eq!(fetch(&stub, &bytes, 1_000_000).unwrap(), bytes);
    let ranges: Vec<_> = stub.log().iter().filter_map(|l| l.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges.len(), 15);
    assert!(ranges.windows(2).all(|w| w[0] != w[1]), "{ranges:?}");

    // The range is ignored: a whole answer, of which the known part is skipped.
    let stub = RegistryStub::start();
    stub.put_blob(REPOSITORY, &bytes);
    stub.fault(Fault::on("GET", "/blobs/", Action::CutBody(65_536)).nth(1));
    let whole = Response::new(200).body(bytes.clone());
    stub.fault(Fault::on("GET", "/blobs/", Action::Answer(whole)));
    assert_eq!(fetch(&stub, &bytes, 1_000_000).unwrap(), bytes);

    // Another part than asked for, or none.
    let other = Response::new(206).header("Content-Range", "bytes 5-9/1000000").body(bytes[5..10].to_vec());
    for odd in [other, Response::new(206).body(bytes.clone()), Response::new(416)] {
        let stub = RegistryStub::start();
        stub.put_blob(REPOSITORY, &bytes);
        stub.fault(Fault::on("GET", "/blobs/", Action::CutBody(65_536)).nth(1));
        stub.fault(Fault::on("GET", "/blobs/", Action::Answer(odd)).nth(1));
        assert_eq!(fetch(&stub, &bytes, 1_000_000).unwrap(), bytes);
        assert_eq!(stub.calls().len(), 3);
    }

    // It stands still.
    let stub = RegistryStub::start();
    stub.put_blob(REPOSITORY, &bytes);
    let stall = Action::StallInBody(100_000, std::time::Duration::from_mins(1));
    stub.fault(Fault::on("GET", "/blobs/", stall).nth(1));
    assert_eq!(fetch(&stub, &bytes, 1_000_000).unwrap(), bytes);
}

#[test]
fn storage_elsewhere_gets_no_credentials() {
    let bytes = noise(1, 5000);
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let storage = HttpServer::new({
        let (seen, bytes) = (seen.clone(), bytes.clone());
        move |request: &Request| {
            seen.lock().unwrap().push(request.clone());
            Response::new(200).body(bytes.clone())
        }
    });
    let auth = Auth::Basic { user: USER.into(), password: PASSWORD.into() };
    let stub = RegistryStub::with(RegistryOptions { auth, ..RegistryOptions::default() });
    for (status, to) in [
        (302, format!("{}/s?sig=1%2B", storage.url())),
        (307, format!("{}/s", storage.url())),
        (308, format!("{}/s", storage.url())),
    ] {
        stub.server().clear_faults();
        let answer = Response::new(status).header("Location", to);
        // The first call brings the challenge.
        stub.fault(Fault::on("GET", "/blobs/", Action::Answer(answer)).nth(2));
        let mut out = Vec::new();
        let registry = bench(with_password()).registry;
        registry.blob(&at(&stub, ""), &Digest::of(&bytes), 5000, &mut out).unwrap();
        assert_eq!(out, bytes);
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|request| request.header("authorization").is_none()));
    assert_eq!(seen[0].query, "sig=1%2B");
}

#[test]
fn redirects_that_are_not_followed() {
    let bytes = noise(1, 10);
    for (to, want) in [
        ("http://169.254.169.254/x?sig=hunter2", AddressFault::PrivateNetwork),
        ("http://192.168.1.1/", AddressFault::PrivateNetwork),
        ("gopher://127.0.0.1/", AddressFault::Scheme),
        ("?again", AddressFault::TooMany),
    ] {
        let stub = RegistryStub::start();
        stub.fault(Fault::on("GET", "/", Action::Answer(Response::new(307).header("Location", to))));
        let error = fetch(&stub, &bytes, 10).unwrap_err();
        assert!(matches!(&error, RegistryError::Address { source, .. } if *source == want), "{error:?}");
        assert!(!format!("{error:?} {}", shown(&error)).contains(PASSWORD));
        assert!(stub.calls().len() <= 11);
    }
}

#[derive(Debug)]
struct Full;

impl std::io::Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn nowhere_to_put_it() {
    let stub = RegistryStub::start();
    stub.put_blob(REPOSITORY, b"abc");
    let error = anonymous().blob(&at(&stub, ""), &Digest::of(b"abc"), 3, &mut Full).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("registry/output", Kind::Host));
    assert_eq!(stub.calls().len(), 1);
}
