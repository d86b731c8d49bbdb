//! Packages: resumed, sized, kept by key.

use std::time::Duration;

use assemble_fetch::{ContentRequest, Counters, FetchError, HttpOptions};
use assemble_testkit::{Action, Fault, HttpServer, Request, Response};
use assemble_types::{Event, Explain as _, Kind};

use crate::support::{
    RawServer, bytes, chain, key, location, quick, setup, setup_with, throw_away, unsized_answer,
};

fn serve(content: &[u8]) -> (tempfile::TempDir, HttpServer, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.apk"), content).unwrap();
    let server = HttpServer::folder(folder.path());
    let url = format!("{}/a.apk", server.url());
    (folder, server, url)
}

#[test]
fn a_content_is_known_by_its_key_and_not_by_its_place() {
    let all = bytes(100_000);
    let (_one, one, url) = serve(&all);
    let (_two, two, other) = serve(&all);
    let cache = tempfile::tempdir().unwrap();
    let key = key("Q1abc", &all);
    let first = setup(cache.path());
    assert_eq!(first.content(&url, &key).unwrap(), all);
    assert_eq!(first.content(&other, &key).unwrap(), all);
    let counters = Counters { hits: 1, misses: 1, bytes_fetched: 100_000, requests: 1 };
    assert_eq!(first.fetcher.counters(), counters);
    let offline = setup_with(Some(cache.path()), true, quick());
    assert_eq!(offline.content(&url, &key).unwrap(), all);
    assert_eq!((one.log().len(), two.log().len()), (1, 0));
    let error = offline.content(&url, &crate::support::key("Q1abd", &all)).unwrap_err();
    assert_eq!(error.code(), "fetch/offline");
}

#[test]
fn a_cut_download_is_resumed_without_taking_a_byte_twice() {
    let all = bytes(300_000);
    let (_folder, server, url) = serve(&all);
    server.fault(Fault::on("GET", "/a.apk", Action::CutBody(100_000)).nth(1));
    server.fault(Fault::on("GET", "/a.apk", Action::StallInBody(50_000, Duration::from_secs(20))).nth(1));
    let setup = throw_away();
    assert_eq!(setup.content(&url, &key("k", &all)).unwrap(), all);
    let ranges: Vec<_> = server.log().iter().map(|l| l.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-".into()), Some("bytes=150000-".into())]);
    assert_eq!(setup.fetcher.counters().bytes_fetched, 300_000);
    let events = setup.recorder.events();
    assert!(matches!(&events[0], Event::TransferStarted { label, total: 300_000, .. } if label == "label"));
    assert!(matches!(events.last(), Some(Event::TransferEnded { .. })));
    let told = |e: &Event| if let Event::TransferAdvanced { bytes, .. } = e { *bytes } else { 0 };
    assert_eq!(events.iter().map(told).sum::<u64>(), 300_000);
}

#[test]
fn a_server_without_ranges_starts_over() {
    let all = bytes(300_000);
    let body = all.clone();
    let server = HttpServer::new(move |_: &Request| Response::new(200).body(body.clone()));
    server.fault(Fault::on("GET", "/", Action::CutBody(100_000)).nth(1));
    let setup = throw_away();
    assert_eq!(setup.content(&server.url(), &key("k", &all)).unwrap(), all);
    assert_eq!(setup.fetcher.counters().bytes_fetched, 400_000);
    let told = |e: &Event| if let Event::TransferAdvanced { bytes, .. } = e { *bytes } else { 0 };
    assert_eq!(setup.recorder.events().iter().map(told).sum::<u64>(), 300_000, "no byte is told twice");
}

#[test]
fn parts_that_do_not_fit_are_not_taken() {
    let all = bytes(9000);
    for range in ["bytes 4000-8999/9000", "bytes */9000", "nonsense"] {
        let body = all.clone();
        let server = HttpServer::new(move |request: &Request| match request.header("range") {
            Some(_) => Response::new(206).header("Content-Range", range).body(&body[4000..]),
            None => Response::new(200).body(body.clone()),
        });
        server.fault(Fault::on("GET", "/", Action::CutBody(5000)).nth(1));
        assert_eq!(throw_away().content(&server.url(), &key("k", &all)).unwrap(), all, "{range}");
    }
}

#[test]
fn a_part_of_something_newer_is_not_taken() {
    // The file changes while it is fetched, and the server does not know `If-Range`.
    for (first, second) in [("\"a\"", "\"b\""), ("", "\"b\"")] {
        let all = bytes(9000);
        let body = all.clone();
        let server = HttpServer::new(move |request: &Request| match request.header("range") {
            Some(_) => {
                let part = Response::new(206).header("Content-Range", "bytes 5000-8999/9000");
                part.header("ETag", second).body(vec![0; 4000])
            }
            None => Response::new(200).header("ETag", first).body(body.clone()),
        });
        server.fault(Fault::on("GET", "/", Action::CutBody(5000)).nth(1));
        assert_eq!(throw_away().content(&server.url(), &key("k", &all)).unwrap(), all, "{first}");
    }
    // A server that does know it sends the whole.
    let (old, new) = (bytes(9000), vec![7; 9000]);
    let body = new.clone();
    let server = HttpServer::new(move |request: &Request| match request.header("if-range") {
        Some(tag) => {
            assert_eq!(tag, "\"old\"");
            Response::new(200).header("ETag", "\"new\"").body(body.clone())
        }
        None => Response::new(200).header("ETag", "\"old\"").body(old.clone()),
    });
    server.fault(Fault::on("GET", "/", Action::CutBody(5000)).nth(1));
    assert_eq!(throw_away().content(&server.url(), &key("k", &new)).unwrap(), new);
}

#[test]
fn what_was_damaged_on_the_way_is_asked_of_the_server_itself() {
    let all = bytes(5000);
    let (_folder, server, url) = serve(&all);
    let setup = throw_away();
    let key = key("k", &all);
    setup.content(&url, &key).unwrap();
    setup.fetcher.forget(&key);
    setup.content(&url, &key).unwrap();
    let asked: Vec<_> = server.log().iter().map(|l| l.header("cache-control").map(str::to_owned)).collect();
    assert_eq!(asked, [None, Some("no-cache".into())]);
}

#[test]
fn a_range_refused_starts_over() {
    let all = bytes(9000);
    let body = all.clone();
    let server = HttpServer::new(move |request: &Request| match request.header("range") {
        Some(_) => Response::new(416),
        None => Response::new(200).body(body.clone()),
    });
    server.fault(Fault::on("GET", "/", Action::CutBody(5000)).nth(1));
    assert_eq!(throw_away().content(&server.url(), &key("k", &all)).unwrap(), all);
}

#[test]
fn progress_earns_new_tries_and_repetition_does_not() {
    let all = bytes(10 << 20);
    let (_folder, server, url) = serve(&all);
    server.fault(Fault::on("GET", "/a.apk", Action::CutBody(1 << 20)).times(9));
    assert!(throw_away().content(&url, &key("k", &all)).unwrap() == all);
    assert_eq!(server.log().len(), 10);
    let body = all.clone();
    let server = HttpServer::new(move |_: &Request| Response::new(200).body(body.clone()));
    server.fault(Fault::on("GET", "/", Action::CutBody(2 << 20)));
    let error = throw_away().content(&server.url(), &key("k", &all)).unwrap_err();
    assert!(matches!(error, FetchError::Unavailable { tries: 5, .. }), "{error}");
    assert!(
        chain(&error).ends_with("after 5 tries: the connection was cut after 2097152 bytes"),
        "{}",
        chain(&error)
    );
}

#[test]
fn another_size_is_an_error_that_names_both() {
    let all = bytes(5000);
    let (_folder, server, url) = serve(&all);
    let setup = throw_away();
    for (size, expected) in
        [(4999, "expected 4999 bytes, found 5000"), (5001, "expected 5001 bytes, found 5000")]
    {
        let error = setup.content(&url, &key("k", &bytes(size))).unwrap_err();
        assert_eq!(error.to_string(), format!("{url}: {expected}"));
        assert_eq!(error.kind(), Kind::Integrity);
    }
    assert_eq!(server.log().len(), 2);
    // Nobody tells the length: too much is noticed at once, too little is a cut, and asking for the rest tells.
    let raw = RawServer::new(vec![unsized_answer("200 OK", &all)]);
    let error = setup.content(&raw.url, &key("k", &bytes(4000))).unwrap_err();
    assert!(error.to_string().contains("expected 4000 bytes, found at least "), "{error}");
    let rest = unsized_answer("416 Range\r\nContent-Range: bytes */5000", b"");
    let raw = RawServer::new(vec![unsized_answer("200 OK", &all), rest]);
    let error = setup.content(&raw.url, &key("k", &bytes(6000))).unwrap_err();
    assert!(error.to_string().ends_with("expected 6000 bytes, found 5000"), "{error}");
    assert!(raw.requests()[1].contains("range: bytes=5000-"));
}

#[test]
fn nothing_is_kept_of_a_download_that_fails() {
    let all = bytes(5000);
    let (_folder, server, url) = serve(&all);
    server.fault(Fault::on("GET", "/a.apk", Action::CutBody(10)));
    let cache = tempfile::tempdir().unwrap();
    assert!(setup(cache.path()).content(&url, &key("k", &all)).is_err());
    assert!(!cache.path().join("v1/content").exists());
    assert_eq!(std::fs::read_dir(cache.path().join("v1/tmp")).unwrap().count(), 0);
}

#[test]
fn local_contents_are_read_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.apk");
    std::fs::write(&path, bytes(5000)).unwrap();
    let cache = folder.path().join("cache");
    let setup = setup(&cache);
    let text = path.to_str().unwrap();
    assert_eq!(setup.content(text, &key("k", &bytes(5000))).unwrap(), bytes(5000));
    assert!(!cache.exists());
    let error = setup.content(text, &key("k", &bytes(5001))).unwrap_err();
    assert_eq!(error.to_string(), format!("{text}: expected 5001 bytes, found 5000"));
}

#[test]
fn many_at_once_keep_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let items: Vec<_> = (1..=40).map(|n| (format!("p{n}"), bytes(n * 100))).collect();
    for (name, content) in &items {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let server = HttpServer::folder(folder.path());
    server.fault(Fault::on("GET", "/p3", Action::Delay(Duration::from_millis(100))).nth(1));
    server.fault(Fault::status("GET", "/p7", 503, "").nth(1));
    let request = |(name, content): &(String, Vec<u8>)| ContentRequest {
        location: location(&server.url()).join(name),
        key: key(name, content),
        label: name.clone(),
    };
    let requests: Vec<_> = items.iter().map(request).collect();
    for parallelism in [8, 0, 1, 1000] {
        let setup = throw_away();
        let blobs = setup.fetcher.fetch_all(&requests, parallelism).unwrap();
        let found: Vec<_> = blobs.iter().map(|blob| blob.read_to_vec(u64::MAX).unwrap()).collect();
        assert!(found.iter().eq(items.iter().map(|(_, content)| content)), "{parallelism}");
    }
    assert!(throw_away().fetcher.fetch_all(&[], 4).unwrap().is_empty());
    server.clear_faults();
    server.fault(Fault::status("GET", "/p2", 404, ""));
    let error = throw_away().fetcher.fetch_all(&requests[..2], 1).unwrap_err();
    assert!(error.to_string().ends_with("/p2: not found"), "{error}");
    server.clear_log();
    assert!(throw_away().fetcher.fetch_all(&requests[1..], 1).is_err());
    assert_eq!(server.log().len(), 1, "nothing is begun after a failure");
}

#[test]
fn several_are_under_way_at_once() {
    // Neither is answered before both are asked for.
    let both = std::sync::Barrier::new(2);
    let server = HttpServer::new(move |_: &Request| {
        both.wait();
        Response::text(200, "x")
    });
    let request = |name: &str| ContentRequest {
        location: location(&server.url()).join(name),
        key: key(name, b"x"),
        label: name.into(),
    };
    let setup = setup_with(None, false, HttpOptions { stall_timeout: Duration::from_secs(20), ..quick() });
    assert_eq!(setup.fetcher.fetch_all(&[request("a"), request("b")], 2).unwrap().len(), 2);
}
