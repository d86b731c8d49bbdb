//! The folder that many processes share and that anything can happen to.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use assemble_testkit::{Action, Fault, HttpServer, Request, Response};

use crate::support::{Setup, bytes, key, quick, setup, setup_with, throw_away};

const LEN: usize = 200_000;

fn server() -> HttpServer {
    HttpServer::new(|_: &Request| Response::new(200).body(bytes(LEN)))
}

fn get(setup: &Setup, server: &HttpServer) -> Vec<u8> {
    setup.content(&server.url(), &key("k", &bytes(LEN))).unwrap()
}

/// All files below, relative.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.append(&mut files(&path)) } else { out.push(path) }
    }
    out
}

#[test]
fn an_entry_cut_short_is_noticed_and_replaced() {
    let (cache, server) = (tempfile::tempdir().unwrap(), server());
    get(&setup(cache.path()), &server);
    let entry = files(&cache.path().join("v1/content")).remove(0);
    std::fs::OpenOptions::new().write(true).open(&entry).unwrap().set_len(100).unwrap();
    let setup = setup(cache.path());
    assert_eq!(get(&setup, &server), bytes(LEN));
    assert_eq!((setup.fetcher.counters().misses, server.log().len()), (1, 2));
    assert_eq!(std::fs::read(&entry).unwrap(), bytes(LEN));
    let told = format!("{}: the copy in the cache was damaged and is fetched again", entry.display());
    assert_eq!(setup.recorder.warnings(), [told]);
}

#[test]
fn a_folder_in_an_entry_s_place_is_a_damaged_entry() {
    let (cache, server) = (tempfile::tempdir().unwrap(), server());
    get(&setup(cache.path()), &server);
    let entry = files(&cache.path().join("v1/content")).remove(0);
    std::fs::remove_file(&entry).unwrap();
    std::fs::create_dir_all(entry.join("sub")).unwrap();
    let again = setup(cache.path());
    assert_eq!(get(&again, &server), bytes(LEN));
    assert_eq!(again.recorder.warnings().len(), 1);
    assert_eq!(std::fs::read(&entry).unwrap(), bytes(LEN));
    again.document(&format!("{}/document", server.url())).unwrap();
    let document = files(&cache.path().join("v1/documents")).remove(0);
    std::fs::remove_file(&document).unwrap();
    std::fs::create_dir_all(document.join("sub")).unwrap();
    setup(cache.path()).document(&format!("{}/document", server.url())).unwrap();
    assert!(document.is_file());
}

#[test]
fn a_damaged_copy_is_called_that_also_offline() {
    let (cache, server) = (tempfile::tempdir().unwrap(), server());
    get(&setup(cache.path()), &server);
    let key = key("k", &bytes(LEN));
    // The right length and other bytes, which only the caller notices; then the wrong length.
    for round in 0..2 {
        let offline = setup_with(Some(cache.path()), true, quick());
        if round == 0 {
            offline.content(&server.url(), &key).unwrap();
            offline.fetcher.forget(&key);
        } else {
            let entry = files(&cache.path().join("v1/content")).remove(0);
            std::fs::write(&entry, "short").unwrap();
        }
        for _ in 0..2 {
            let error = offline.content(&server.url(), &key).unwrap_err();
            let want = "/: the copy in the cache was damaged, and this run is offline";
            assert!(error.to_string().ends_with(want), "{error}");
        }
        assert_eq!(offline.recorder.warnings().len(), 1);
        get(&setup(cache.path()), &server);
    }
}

#[test]
fn a_content_that_is_not_what_its_key_says_is_forgotten() {
    let (cache, server) = (tempfile::tempdir().unwrap(), server());
    server.fault(Fault::on("GET", "/", Action::WrongBytes).nth(1));
    let setup = setup(cache.path());
    assert_ne!(get(&setup, &server), bytes(LEN));
    assert_ne!(get(&setup, &server), bytes(LEN), "only the caller knows");
    setup.fetcher.forget(&key("k", &bytes(LEN)));
    assert_eq!(get(&setup, &server), bytes(LEN));
    assert_eq!(get(&setup, &server), bytes(LEN));
    assert_eq!(server.log().len(), 2);
    assert!(setup.recorder.warnings().is_empty(), "the copy in the cache was what the server had sent");
}

#[test]
fn a_folder_that_cannot_be_written_is_read_and_nothing_is_kept() {
    let (cache, server) = (tempfile::tempdir().unwrap(), server());
    get(&setup(cache.path()), &server);
    // Root may write wherever permissions say; a file where a folder is needed stops anybody.
    std::fs::remove_dir_all(cache.path().join("v1/tmp")).unwrap();
    std::fs::write(cache.path().join("v1/tmp"), "").unwrap();
    let setup = setup(cache.path());
    assert_eq!(get(&setup, &server), bytes(LEN));
    assert!(setup.recorder.warnings().is_empty(), "nothing had to be written");
    let other = key("other", &bytes(LEN));
    for _ in 0..2 {
        assert_eq!(setup.content(&server.url(), &other).unwrap(), bytes(LEN));
    }
    assert_eq!(server.log().len(), 2, "a throw-away folder serves the rest of the run");
    let warnings = setup.recorder.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("nothing is kept in the cache: "), "{}", warnings[0]);
    assert!(warnings[0].contains(&format!("{}/v1/tmp: ", cache.path().display())), "{}", warnings[0]);
}

#[test]
fn a_throw_away_folder_lasts_as_long_as_its_contents() {
    let server = server();
    let setup = throw_away();
    let place = crate::support::location(&server.url());
    let blob = setup.fetcher.content(&place, &key("k", &bytes(LEN)), "x").unwrap();
    drop(setup);
    assert_eq!(blob.read_to_vec(u64::MAX).unwrap(), bytes(LEN));
}

#[test]
fn a_file_is_no_cache_folder() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let http = std::sync::Arc::new(assemble_fetch::Http::new(quick()).unwrap());
    let observer = std::sync::Arc::new(assemble_types::Silent);
    let cache_dir = Some(file.path().to_owned());
    let options = assemble_fetch::FetchOptions { cache_dir, offline: false, http, observer };
    let error = assemble_fetch::Fetcher::new(options).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{}: cannot be the cache: expected a folder, found a file", file.path().display())
    );
}

#[test]
fn threads_that_want_the_same_all_get_it() {
    let (cache, server) = (tempfile::tempdir().unwrap(), server());
    let setup = setup(cache.path());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(get(&setup, &server), bytes(LEN)));
        }
    });
    assert_eq!(files(&cache.path().join("v1")).len(), 1);
}

/// Not a test of its own: what the processes below run. They give it a cache and a server.
#[test]
#[ignore = "is started by other tests"]
fn child() {
    let (Some(cache), Ok(url)) = (std::env::var_os("CHILD_CACHE"), std::env::var("CHILD_URL")) else {
        return;
    };
    let http = assemble_fetch::HttpOptions { stall_timeout: Duration::from_mins(1), ..quick() };
    let setup = setup_with(Some(Path::new(&cache)), false, http);
    for n in 0..20 {
        assert_eq!(setup.content(&url, &key(&n.to_string(), &bytes(LEN))).unwrap(), bytes(LEN));
    }
}

fn start_child(cache: &Path, server: &HttpServer) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "cache::child"])
        .env("CHILD_CACHE", cache)
        .env("CHILD_URL", server.url())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn processes_that_want_the_same_all_get_it() {
    let (cache, server) = (tempfile::tempdir().unwrap(), server());
    let children: Vec<_> = (0..4).map(|_| start_child(cache.path(), &server)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(files(&cache.path().join("v1")).len(), 20);
}

#[test]
fn a_killed_process_leaves_nothing_that_looks_whole() {
    let (cache, server) = (tempfile::tempdir().unwrap(), server());
    server.fault(Fault::on("GET", "/", Action::StallInBody(LEN / 2, Duration::from_mins(1))).nth(1));
    let mut child = start_child(cache.path(), &server);
    let start = Instant::now();
    let half = || {
        let tmp = cache.path().join("v1/tmp");
        tmp.is_dir() && files(&tmp).iter().any(|f| f.metadata().is_ok_and(|m| m.len() > 1000))
    };
    while !half() && start.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(half(), "the process was killed in the middle of a download");
    assert!(!cache.path().join("v1/content").exists());
    let setup = setup(cache.path());
    assert_eq!(setup.content(&server.url(), &key("0", &bytes(LEN))).unwrap(), bytes(LEN));
}

#[test]
fn the_spool_s_file_has_no_name() {
    use std::io::Write as _;
    let cache = tempfile::tempdir().unwrap();
    let setup = setup(cache.path());
    let spool = setup.fetcher.spool();
    let mut writer = spool.create().unwrap();
    writer.write_all(&bytes(1000)).unwrap();
    assert_eq!(writer.finish().unwrap().read_to_vec(u64::MAX).unwrap(), bytes(1000));
    assert!(!cache.path().join("v1").exists(), "what fits in memory needs no folder");
    let mut writer = spool.create().unwrap();
    writer.write_all(&bytes(1 << 20)).unwrap();
    let blob = writer.finish().unwrap();
    assert!(files(cache.path()).is_empty());
    drop((setup, spool));
    assert_eq!(blob.read_to_vec(u64::MAX).unwrap(), bytes(1 << 20));
}
