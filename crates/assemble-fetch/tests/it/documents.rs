//! Indexes and keys: revalidated, never old without a word.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use assemble_fetch::{Counters, DocumentState, FetchError};
use assemble_testkit::{Action, Fault, HttpServer, Request, Response};
use assemble_types::{Explain as _, Kind};

use crate::support::{
    RawServer, Setup, bytes, chain, location, quick, setup, setup_with, throw_away, unsized_answer,
};

#[test]
fn a_known_document_is_revalidated_in_each_run_and_a_new_one_is_taken() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = folder.path().join("index");
    std::fs::write(&file, "one").unwrap();
    let server = HttpServer::folder(folder.path());
    let place = location(&format!("{}/index", server.url()));
    let get = |run: &Setup| run.fetcher.document(&place, 100).map(|f| (f.bytes, f.from_cache)).unwrap();
    let (first, second, third) = (setup(cache.path()), setup(cache.path()), setup(cache.path()));
    assert_eq!(get(&first), (b"one".to_vec(), false));
    assert_eq!(get(&second), (b"one".to_vec(), true));
    std::fs::write(&file, "two").unwrap();
    assert_eq!(get(&second), (b"one".to_vec(), true), "a run sees one state");
    assert_eq!(get(&third), (b"two".to_vec(), false));
    assert_eq!(get(&setup(cache.path())), (b"two".to_vec(), true));
    let log = server.log();
    assert_eq!(log.iter().map(|l| l.status).collect::<Vec<_>>(), [200, 304, 200, 304]);
    assert!(log[0].header("if-none-match").is_none() && log[1].header("if-none-match").is_some());
    assert_eq!(log[0].header("accept-encoding"), Some("identity"));
    assert!(log[0].header("user-agent").unwrap().starts_with("assemble/"));
    assert_eq!(second.fetcher.counters(), Counters { hits: 2, misses: 0, bytes_fetched: 0, requests: 1 });
    assert_eq!(third.fetcher.counters(), Counters { hits: 0, misses: 1, bytes_fetched: 3, requests: 1 });
}

#[test]
fn what_another_run_puts_into_the_cache_does_not_change_this_one() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = folder.path().join("index");
    std::fs::write(&file, "one").unwrap();
    let server = HttpServer::folder(folder.path());
    let url = format!("{}/index", server.url());
    let first = setup(cache.path());
    assert_eq!(first.document(&url).unwrap(), b"one");
    std::fs::write(&file, "two").unwrap();
    assert_eq!(setup(cache.path()).document(&url).unwrap(), b"two");
    // The state that this run saw is gone, so it asks again.
    assert_eq!(first.document(&url).unwrap(), b"two");
    assert_eq!(server.log().len(), 3);
}

#[test]
fn what_turned_out_to_be_of_no_use_is_not_asked_for_by_what_it_was_called() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("index"), "one").unwrap();
    let server = HttpServer::folder(folder.path());
    let place = location(&format!("{}/index", server.url()));
    let run = setup(cache.path());
    run.fetcher.document(&place, 100).unwrap();
    run.fetcher.forget_document(&place);
    assert!(!setup(cache.path()).fetcher.document(&place, 100).unwrap().from_cache);
    let log = server.log();
    assert!(log.iter().all(|l| l.status == 200 && l.header("if-none-match").is_none()));
}

#[test]
fn what_is_not_there_is_asked_for_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = HttpServer::folder(folder.path());
    let url = format!("{}/apk-configuration", server.url());
    let run = throw_away();
    for _ in 0..3 {
        assert!(matches!(run.document(&url), Err(FetchError::NotFound { .. })));
    }
    assert_eq!(server.log().len(), 1);
    assert!(throw_away().document(&url).is_err());
    assert_eq!(server.log().len(), 2, "the next run looks again");
}

/// Says that nothing has changed of all that is no newer than what is asked by, as many servers do.
fn dated(content: &'static str, modified: &'static str, sent: &'static str, says: bool) -> HttpServer {
    HttpServer::new(move |request: &Request| {
        let answer = match request.header("if-modified-since") {
            // All of one day, so that they compare as texts.
            Some(known) if known >= modified => Response::new(304),
            _ => Response::text(200, content),
        };
        let answer =
            if answer.status == 200 || says { answer.header("Last-Modified", modified) } else { answer };
        answer.header("Date", sent)
    })
}

const EIGHT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const NINE: &str = "Sun, 06 Nov 1994 09:00:00 GMT";
const NINE_AND_A_SECOND: &str = "Sun, 06 Nov 1994 09:00:01 GMT";
const TEN: &str = "Sun, 06 Nov 1994 10:00:00 GMT";

#[test]
fn a_date_revalidates_where_there_is_no_tag() {
    for says in [true, false] {
        let cache = tempfile::tempdir().unwrap();
        let server = dated("x", EIGHT, TEN, says);
        for hits in 0..2 {
            let setup = setup(cache.path());
            assert_eq!(setup.document(&server.url()).unwrap(), b"x");
            assert_eq!(setup.fetcher.counters().hits, hits);
        }
    }
}

#[test]
fn a_date_of_a_moment_ago_is_not_asked_by() {
    let cache = tempfile::tempdir().unwrap();
    let server = dated("x", NINE, NINE_AND_A_SECOND, true);
    for _ in 0..2 {
        assert_eq!(setup(cache.path()).document(&server.url()).unwrap(), b"x");
    }
    assert_eq!(server.log().iter().map(|request| request.status).collect::<Vec<_>>(), [200, 200]);
}

#[test]
fn an_older_document_in_its_place_is_not_taken_for_it() {
    let cache = tempfile::tempdir().unwrap();
    let modified = Arc::new(Mutex::new((NINE, "newer")));
    let now = Arc::clone(&modified);
    let server = HttpServer::new(move |request: &Request| {
        let (modified, content) = *now.lock().unwrap();
        let answer = match request.header("if-modified-since") {
            Some(known) if known >= modified => Response::new(304),
            _ => Response::text(200, content),
        };
        answer.header("Last-Modified", modified).header("Date", TEN)
    });
    assert_eq!(setup(cache.path()).document(&server.url()).unwrap(), b"newer");
    *modified.lock().unwrap() = (EIGHT, "older");
    for _ in 0..2 {
        assert_eq!(setup(cache.path()).document(&server.url()).unwrap(), b"older");
    }
    assert_eq!(server.log().iter().map(|request| request.status).collect::<Vec<_>>(), [200, 304, 200, 304]);
}

#[test]
fn freshness_is_the_server_s_word_and_asking_is_ours() {
    for (words, kept) in [
        ("max-age=3600", true),
        ("max-age=31536000, immutable", true),
        ("no-cache", true),
        ("max-age=0, must-revalidate", true),
        ("private, no-store", false),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let server = HttpServer::new(move |request: &Request| {
            let answer = match request.header("if-none-match") {
                Some("\"a\"") => Response::new(304),
                _ => Response::text(200, "x"),
            };
            answer.header("ETag", "\"a\"").header("Cache-Control", words).header("Age", "5")
        });
        for _ in 0..2 {
            assert_eq!(setup(cache.path()).document(&server.url()).unwrap(), b"x", "{words}");
        }
        let log = server.log();
        assert_eq!(log.len(), 2, "{words}: each run asks");
        assert_eq!(log[1].status, if kept { 304 } else { 200 }, "{words}");
        let offline = setup_with(Some(cache.path()), true, quick()).document(&server.url());
        assert_eq!(offline.is_ok(), kept, "{words}");
    }
}

#[test]
fn what_may_not_be_kept_any_more_is_dropped() {
    let cache = tempfile::tempdir().unwrap();
    let server = HttpServer::new(|_: &Request| Response::text(200, "x").header("ETag", "\"a\""));
    setup(cache.path()).document(&server.url()).unwrap();
    let private = Action::Header("Cache-Control".into(), "no-store".into());
    server.fault(Fault::on("GET", "/", private));
    setup(cache.path()).document(&server.url()).unwrap();
    let error = setup_with(Some(cache.path()), true, quick()).document(&server.url()).unwrap_err();
    assert_eq!(error.code(), "fetch/offline");
}

#[test]
fn who_asks_does_not_matter_to_what_is_kept() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("index"), "one").unwrap();
    let server = HttpServer::folder(folder.path());
    let url = format!("{}/index", server.url());
    setup(cache.path()).document(&url.replace("http://", "http://me:hunter2@")).unwrap();
    assert_eq!(setup_with(Some(cache.path()), true, quick()).document(&url).unwrap(), b"one");
}

#[test]
fn offline_takes_the_last_one_seen_and_asks_nobody() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("index"), "one").unwrap();
    let server = HttpServer::folder(folder.path());
    let url = format!("{}/index", server.url());
    let offline = || setup_with(Some(cache.path()), true, quick());
    let error = offline().document(&url).unwrap_err();
    assert_eq!(error.to_string(), format!("{url}: not in the cache, and this run is offline"));
    assert_eq!((error.code(), error.kind()), ("fetch/offline", Kind::Unavailable));
    setup(cache.path()).document(&url).unwrap();
    assert_eq!(offline().document(&url).unwrap(), b"one");
    assert_eq!(server.log().len(), 1);
}

#[test]
fn a_server_that_does_not_answer_is_an_error_even_with_an_older_one_at_hand() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("index"), "one").unwrap();
    let server = HttpServer::folder(folder.path());
    let url = format!("{}/index", server.url());
    setup(cache.path()).document(&url).unwrap();
    server.fault(Fault::status("GET", "/index", 503, ""));
    assert!(matches!(setup(cache.path()).document(&url), Err(FetchError::Unavailable { tries: 5, .. })));
}

#[test]
fn a_damaged_cache_entry_is_fetched_again() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("index"), "one").unwrap();
    let server = HttpServer::folder(folder.path());
    let url = format!("{}/index", server.url());
    setup(cache.path()).document(&url).unwrap();
    let documents = cache.path().join("v1/documents");
    let below = std::fs::read_dir(&documents).unwrap().next().unwrap().unwrap().path();
    let entry = std::fs::read_dir(below).unwrap().next().unwrap().unwrap().path();
    let mut content = std::fs::read(&entry).unwrap();
    *content.last_mut().unwrap() ^= 1;
    std::fs::write(&entry, content).unwrap();
    let setup = setup(cache.path());
    assert_eq!(setup.document(&url).unwrap(), b"one");
    assert_eq!(setup.fetcher.counters().misses, 1);
    assert!(server.log()[1].header("if-none-match").is_none());
}

#[test]
fn a_document_that_is_kept_need_not_be_read() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = folder.path().join("index");
    std::fs::write(&file, "one").unwrap();
    let server = HttpServer::folder(folder.path());
    let place = location(&format!("{}/index", server.url()));
    let digest = match setup(cache.path()).fetcher.state_of(&place, 100).unwrap() {
        DocumentState::Fetched(fetched) => fetched.digest,
        kept @ DocumentState::Kept { .. } => panic!("{kept:?}"),
    };
    let run = setup(cache.path());
    assert_eq!(run.fetcher.state_of(&place, 100).unwrap(), DocumentState::Kept { digest, size: 3 });
    assert_eq!(run.fetcher.kept_document(&place, 100, &digest).unwrap().bytes, b"one");
    assert_eq!(run.fetcher.counters(), Counters { hits: 1, misses: 0, bytes_fetched: 0, requests: 1 });
    // A damaged one is fetched again, whole, and has to be the same.
    let damage = || {
        let documents = cache.path().join("v1/documents");
        let below = std::fs::read_dir(&documents).unwrap().next().unwrap().unwrap().path();
        let entry = std::fs::read_dir(below).unwrap().next().unwrap().unwrap().path();
        let mut content = std::fs::read(&entry).unwrap();
        *content.last_mut().unwrap() ^= 1;
        std::fs::write(&entry, content).unwrap();
    };
    damage();
    assert_eq!(run.fetcher.kept_document(&place, 100, &digest).unwrap().bytes, b"one");
    assert!(server.log().last().unwrap().header("if-none-match").is_none());
    damage();
    std::fs::write(&file, "two").unwrap();
    let error = run.fetcher.kept_document(&place, 100, &digest).unwrap_err();
    assert!(matches!(error, FetchError::Replaced { .. }), "{error}");
}

#[test]
fn what_passes_is_tried_again() {
    for fault in [
        Fault::status("GET", "/", 500, "oops").nth(1).times(4),
        Fault::status("GET", "/", 429, "").nth(1),
        Fault::on("GET", "/", Action::Close).nth(1),
        Fault::on("GET", "/", Action::Garbage).nth(1),
        Fault::on("GET", "/", Action::CutBody(10)).nth(1),
        Fault::on("GET", "/", Action::Stall(Duration::from_secs(20))).nth(1),
        Fault::on("GET", "/", Action::StallInBody(10, Duration::from_secs(20))).nth(1),
    ] {
        let server = HttpServer::new(|_: &Request| Response::new(200).body(bytes(5000)));
        server.fault(fault.clone());
        assert_eq!(throw_away().document(&server.url()).unwrap(), bytes(5000), "{fault:?}");
    }
}

#[test]
fn what_does_not_pass_is_not() {
    for (status, code) in [
        (404, "fetch/not-found"),
        (410, "fetch/not-found"),
        (401, "fetch/denied"),
        (403, "fetch/denied"),
        (400, "fetch/status"),
        (206, "fetch/status"),
        (304, "fetch/status"),
        (416, "fetch/status"),
        (302, "fetch/redirect"),
    ] {
        let server = HttpServer::new(move |_: &Request| Response::new(status));
        let error = throw_away().document(&server.url()).unwrap_err();
        assert_eq!(error.code(), code, "{status}");
        assert!(!error.is_transient(), "{status}");
        assert!(error.to_string().starts_with(&server.url()), "{error}");
        assert_eq!(server.log().len(), 1, "{status}");
    }
}

#[test]
fn the_tries_end() {
    let server = HttpServer::new(|_: &Request| Response::new(503));
    let error = throw_away().document(&server.url()).unwrap_err();
    let expected =
        format!("{}/: not available after 5 tries: the server answered with status 503", server.url());
    assert_eq!(chain(&error), expected);
    assert!(error.is_transient());
    assert_eq!(server.log().len(), 5);
}

#[test]
fn retry_after_is_obeyed_within_reason() {
    let timed = |value: &'static str| {
        let server = HttpServer::new(|_: &Request| Response::text(200, "x"));
        let busy = Response::new(429).header("Retry-After", value);
        server.fault(Fault::on("GET", "/", Action::Answer(busy)).nth(1));
        let start = Instant::now();
        let result = throw_away().document(&server.url());
        (result, start.elapsed(), server.log().len())
    };
    let (result, took, calls) = timed("1");
    assert!(result.is_ok() && calls == 2 && took >= Duration::from_secs(1), "{took:?}");
    for value in ["0", "soon", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let (result, took, calls) = timed(value);
        assert!(result.is_ok() && calls == 2 && took < Duration::from_millis(900), "{value}: {took:?}");
    }
    let (result, _, calls) = timed("86400");
    let error = result.unwrap_err();
    assert!(
        error.to_string().ends_with("the server asks to wait 86400 s (status 429); we wait at most 60 s")
    );
    assert!(error.is_transient() && error.kind() == Kind::Unavailable && calls == 1);
}

#[test]
fn a_document_over_the_limit_is_refused() {
    let server = HttpServer::new(|_: &Request| Response::new(200).body(bytes(5000)));
    let setup = throw_away();
    let place = location(&server.url());
    let error = setup.fetcher.document(&place, 4999).unwrap_err();
    assert_eq!(error.to_string(), format!("{}/: larger than the limit of 4999 bytes", server.url()));
    assert_eq!(setup.fetcher.counters().bytes_fetched, 0, "the length was told");
    assert_eq!(setup.fetcher.document(&place, 5000).unwrap().bytes.len(), 5000);
    let server = RawServer::new(vec![unsized_answer("200 OK", &bytes(1 << 20))]);
    let error = setup.fetcher.document(&location(&server.url), 4999).unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { limit: 4999, .. }));
    assert!(setup.fetcher.counters().bytes_fetched < 5000 + 4999);
}

#[test]
fn a_cut_document_is_resumed_only_under_a_strong_tag() {
    for (tag, resumed) in [("\"a\"", true), ("W/\"a\"", false), ("", false)] {
        let server = HttpServer::new(move |request: &Request| {
            let all = bytes(5000);
            let answer = match request.header("range") {
                Some("bytes=3000-") => {
                    Response::new(206).header("Content-Range", "bytes 3000-4999/5000").body(&all[3000..])
                }
                Some(_) => Response::new(500),
                None => Response::new(200).body(all),
            };
            if tag.is_empty() { answer } else { answer.header("ETag", tag) }
        });
        server.fault(Fault::on("GET", "/", Action::CutBody(3000)).nth(1));
        let setup = throw_away();
        assert_eq!(setup.document(&server.url()).unwrap(), bytes(5000), "{tag}");
        let log = server.log();
        assert_eq!(log[1].header("range"), resumed.then_some("bytes=3000-"), "{tag}");
        assert_eq!(log[1].header("if-range"), resumed.then_some(tag), "{tag}");
        assert_eq!(setup.fetcher.counters().bytes_fetched, if resumed { 5000 } else { 8000 }, "{tag}");
    }
}

#[test]
fn local_documents_are_read_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let text = path.to_str().unwrap();
    let setup = setup_with(None, true, quick());
    let error = setup.document(text).unwrap_err();
    assert_eq!(error.to_string(), format!("{text}: not found"));
    assert_eq!(error.kind(), Kind::Unavailable);
    std::fs::write(&path, "one").unwrap();
    assert_eq!(setup.document(text).unwrap(), b"one");
    assert_eq!(setup.document(&format!("file://{text}")).unwrap(), b"one");
    let error = setup.fetcher.document(&location(text), 2).unwrap_err();
    assert_eq!(error.to_string(), format!("{text}: larger than the limit of 2 bytes"));
    let error = setup.document(folder.path().to_str().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: expected a file, found a folder", folder.path().display()));
    assert_eq!(setup.fetcher.counters(), Counters::default());
}

#[test]
fn without_a_validator_the_whole_comes_again_and_is_kept_for_runs_without_a_network() {
    let cache = tempfile::tempdir().unwrap();
    let server =
        HttpServer::new(|_: &Request| Response::text(200, "x").header("Cache-Control", "max-age=60"));
    for _ in 0..2 {
        assert_eq!(setup(cache.path()).document(&server.url()).unwrap(), b"x");
    }
    let log = server.log();
    assert!(log.len() == 2 && log.iter().all(|l| l.status == 200 && l.header("if-none-match").is_none()));
    let run = setup(cache.path());
    assert_eq!(
        (run.document(&server.url()).unwrap(), run.document(&server.url()).unwrap()),
        (b"x".into(), b"x".into())
    );
    assert_eq!(server.log().len(), 3, "once a run");
    assert_eq!(setup_with(Some(cache.path()), true, quick()).document(&server.url()).unwrap(), b"x");
}
