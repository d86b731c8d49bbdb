//! The beginnings of packages: parts where servers send parts, wholes where they do not, nothing from servers that lie.

use assemble_fetch::{ContentKey, FetchError, Front};
use assemble_testkit::{Action, Fault, HttpServer, Request, Response};
use assemble_types::{Explain as _, Kind};

use crate::support::{Setup, bytes, key, location, quick, setup, setup_with, throw_away};

const LEN: u64 = 1000;

fn serve(content: &[u8]) -> (tempfile::TempDir, HttpServer, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.apk"), content).unwrap();
    let server = HttpServer::folder(folder.path());
    let url = format!("{}/a.apk", server.url());
    (folder, server, url)
}

impl Setup {
    /// The front's bytes, and whether they are all.
    fn front(&self, url: &str, key: &ContentKey) -> Result<(Vec<u8>, bool), FetchError> {
        Ok(match self.fetcher.front(&location(url), key, "label", LEN)? {
            Front::Part(blob) => (blob.read_to_vec(u64::MAX).unwrap(), false),
            Front::Whole(blob) => (blob.read_to_vec(u64::MAX).unwrap(), true),
        })
    }
}

#[test]
fn a_part_is_asked_for_and_not_kept() {
    let all = bytes(100_000);
    let (_folder, server, url) = serve(&all);
    let cache = tempfile::tempdir().unwrap();
    let setup = setup(cache.path());
    let key = key("k", &all);
    for _ in 0..8 {
        assert_eq!(setup.front(&url, &key).unwrap(), (all[..1000].to_vec(), false));
    }
    let sent: Vec<_> = server.log().iter().map(|line| (line.status, line.sent)).collect();
    assert_eq!(sent, [(206, 1000); 8]);
    // A connection is free again a moment after all was read, which on a busy machine the next request may not wait for.
    assert!(server.connections() <= 4, "the connection is used again: {}", server.connections());
    // The whole is another request, and then serves fronts, too.
    assert_eq!(setup.content(&url, &key).unwrap(), all);
    server.clear_log();
    assert_eq!(setup.front(&url, &key).unwrap(), (all.clone(), true));
    let offline = setup_with(Some(cache.path()), true, quick());
    assert_eq!(offline.front(&url, &key).unwrap(), (all, true));
    assert!(server.log().is_empty());
}

#[test]
fn what_is_hardly_longer_is_fetched_as_a_whole() {
    let all = bytes(1500);
    let (_folder, server, url) = serve(&all);
    assert_eq!(throw_away().front(&url, &key("k", &all)).unwrap(), (all, true));
    assert_eq!(server.log()[0].header("range"), None);
}

#[test]
fn a_server_without_ranges_sends_all_and_that_is_kept() {
    let all = bytes(300_000);
    let body = all.clone();
    let server = HttpServer::new(move |_: &Request| Response::new(200).body(body.clone()));
    server.fault(Fault::on("GET", "/", Action::CutBody(100_000)).nth(1));
    let setup = throw_away();
    let key = key("k", &all);
    assert_eq!(setup.front(&server.url(), &key).unwrap(), (all.clone(), true));
    server.clear_log();
    assert_eq!(setup.content(&server.url(), &key).unwrap(), all);
    assert!(server.log().is_empty(), "one download is enough");
}

#[test]
fn a_part_that_is_cut_is_completed() {
    let all = bytes(100_000);
    let (_folder, server, url) = serve(&all);
    server.fault(Fault::on("GET", "/a.apk", Action::CutBody(400)).nth(1));
    assert_eq!(throw_away().front(&url, &key("k", &all)).unwrap(), (all[..1000].to_vec(), false));
    let ranges: Vec<_> = server.log().iter().map(|l| l.header("range").unwrap().to_owned()).collect();
    assert_eq!(ranges, ["bytes=0-999", "bytes=400-999"]);
}

#[test]
fn a_server_that_lies_about_the_part_is_refused() {
    let all = bytes(100_000);
    for (range, code) in [
        ("bytes 1000-1999/100000", "fetch/range"),
        ("bytes 0-99/100000", "fetch/range"),
        ("bytes 0-999/99999", "fetch/size"),
        ("bytes 0-999/100000/1", "fetch/range"),
        ("bytes */100000", "fetch/range"),
        ("", "fetch/range"),
    ] {
        let (_folder, server, url) = serve(&all);
        server.fault(Fault::on("GET", "/", Action::Header("Content-Range".into(), range.into())));
        let error = throw_away().front(&url, &key("k", &all)).unwrap_err();
        assert_eq!((error.code(), error.kind()), (code, Kind::Integrity), "{range}: {error}");
        assert!(!error.hints().is_empty());
        assert_eq!(server.log().len(), 1, "{range}: it is not asked again");
    }
    // More than the part that it announces.
    let server = HttpServer::new(move |_: &Request| {
        Response::new(206).header("Content-Range", "bytes 0-999/100000").body(vec![0; 1001])
    });
    let error = throw_away().front(&server.url(), &key("k", &all)).unwrap_err();
    assert_eq!(error.code(), "fetch/size");
}
