//! What users see, and the code and kind that programs see.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use assemble_fetch::{FetchError, LocationError, RedirectFault, TransferError};
use assemble_types::Explain as _;
use expect_test::expect;

use crate::support::{chain, location};

fn all() -> Vec<FetchError> {
    let at = || location("https://me:hunter2@h.example/it's?token=hunter2");
    let path = || PathBuf::from("/a b/\u{1b}c");
    let io = |kind| FetchError::Io { path: path(), action: "write", source: io::Error::from(kind) };
    vec![
        LocationError::Empty.into(),
        FetchError::NotFound { location: at() },
        FetchError::NotFound { location: location("/repo/x") },
        FetchError::Denied { location: at(), status: 401, sent: None },
        FetchError::Denied { location: at(), status: 403, sent: Some("HTTP_AUTH".into()) },
        FetchError::Denied { location: at(), status: 407, sent: None },
        FetchError::Status { location: at(), status: 418 },
        FetchError::Status { location: location("http://h.example/x"), status: 400 },
        FetchError::Unavailable { location: at(), tries: 1, source: TransferError::Stalled },
        FetchError::Unavailable { location: at(), tries: 5, source: TransferError::Cut { received: 7 } },
        FetchError::TooBusy {
            location: at(),
            status: 429,
            asked: Duration::from_secs(90),
            longest: Duration::from_mins(1),
        },
        FetchError::Redirect { location: at(), why: RedirectFault::Insecure },
        FetchError::Offline { location: at() },
        FetchError::DamagedOffline { location: at() },
        FetchError::Replaced { location: at() },
        FetchError::TooLarge { location: at(), limit: 10 },
        FetchError::WrongSize { location: at(), expected: 1, found: 2, at_least: true },
        FetchError::Missing { path: path() },
        FetchError::WrongType { path: path(), expected: "a file", found: "a folder" },
        FetchError::CacheType { path: path(), found: "a file" },
        FetchError::Changed { path: path(), what: "size: 1 -> 2".into() },
        FetchError::TooManyEntries { path: path(), limit: 3 },
        FetchError::Pattern { pattern: "a\nb".into(), why: "it names nothing" },
        io(io::ErrorKind::StorageFull),
        io(io::ErrorKind::PermissionDenied),
        FetchError::Io {
            path: "/".into(),
            action: "open",
            source: io::Error::from(io::ErrorKind::PermissionDenied),
        },
        io(io::ErrorKind::ReadOnlyFilesystem),
        FetchError::Io { path: path(), action: "open", source: rustix::io::Errno::MFILE.into() },
        FetchError::Redirect { location: at(), why: RedirectFault::PrivateNetwork },
        FetchError::Missing { path: "/base/htp:/me:hunter2@h/x".into() },
    ]
}

#[test]
#[allow(clippy::needless_raw_string_hashes, reason = "the tool that updates the text writes them")]
fn messages() {
    let mut out = String::new();
    for error in all() {
        let mut line = format!("{} {} {}\n", error.code(), error.kind().name(), chain(&error));
        for hint in error.hints() {
            writeln!(line, "  = {hint}").unwrap();
        }
        assert!(!line.contains("hunter2") && !line.contains('\u{1b}'), "{line}");
        out += &line;
    }
    expect![[r#"
        fetch/location spec a location is empty: expected a path, `file:///…`, `http://…` or `https://…`
        fetch/not-found unavailable https://me:xxxxx@h.example/it's?token=xxxxx: not found
          = check the address; if the server's index is newer than yours, run again
        fetch/not-found unavailable /repo/x: not found
          = check the path of the repository in the spec
        fetch/denied denied https://me:xxxxx@h.example/it's?token=xxxxx: access denied (status 401)
          = give credentials: `HTTP_AUTH=basic:h.example:USER:PASSWORD`, or `machine h.example` in ~/.netrc
        fetch/denied denied https://me:xxxxx@h.example/it's?token=xxxxx: access denied (status 403) with the credentials in HTTP_AUTH
          = check the user and the password in HTTP_AUTH, and whether they may read this
        fetch/denied denied https://me:xxxxx@h.example/it's?token=xxxxx: access denied (status 407)
          = give the proxy's user and password: `HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT`
        fetch/status unavailable https://me:xxxxx@h.example/it's?token=xxxxx: unexpected status 418
        fetch/status unavailable http://h.example/x: unexpected status 400
          = if the server speaks TLS, write https:// in the place of http://
        fetch/unavailable unavailable https://me:xxxxx@h.example/it's?token=xxxxx: not available after 1 try: the transfer stood still for too long
          = try it by hand: `curl -I 'https://me:xxxxx@h.example/it'\''s?token=xxxxx'`
        fetch/unavailable unavailable https://me:xxxxx@h.example/it's?token=xxxxx: not available after 5 tries: the connection was cut after 7 bytes
          = try it by hand: `curl -I 'https://me:xxxxx@h.example/it'\''s?token=xxxxx'`
        fetch/too-busy unavailable https://me:xxxxx@h.example/it's?token=xxxxx: the server asks to wait 90 s (status 429); we wait at most 60 s
          = run again later, or use another mirror
        fetch/redirect unavailable https://me:xxxxx@h.example/it's?token=xxxxx: redirection refused: it leads from https to an insecure address
        fetch/offline unavailable https://me:xxxxx@h.example/it's?token=xxxxx: not in the cache, and this run is offline
          = run once without --offline
        fetch/offline unavailable https://me:xxxxx@h.example/it's?token=xxxxx: the copy in the cache was damaged, and this run is offline
          = run once without --offline
        fetch/changed unavailable https://me:xxxxx@h.example/it's?token=xxxxx: the server has another one by now, and the copy in the cache cannot be used any more
          = run again: the new one is in the cache
        fetch/too-large integrity https://me:xxxxx@h.example/it's?token=xxxxx: larger than the limit of 10 bytes
        fetch/size integrity https://me:xxxxx@h.example/it's?token=xxxxx: expected 1 bytes, found at least 2
          = the mirror may be halfway through an update: run again, or use another one
        fetch/missing spec /a b/\u{1b}c: no such file or folder
          = paths in a spec are relative to the spec file
        fetch/type spec /a b/\u{1b}c: expected a file, found a folder
        fetch/cache host /a b/\u{1b}c: cannot be the cache: expected a folder, found a file
          = name a folder for the cache: `--cache-dir DIR`, or ASSEMBLE_CACHE in the environment
          = or remove what is there: `ls -l '/a b/\u{1b}c'`
        fetch/changed host /a b/\u{1b}c: changed while it was read (size: 1 -> 2)
          = wait until nothing writes `/a b/\u{1b}c` any more, then run again
        fetch/entries spec /a b/\u{1b}c: more than 3 entries
          = name a smaller folder, or use `exclude`
        fetch/pattern spec exclude pattern `a\nb`: it names nothing
        fetch/io host /a b/\u{1b}c: cannot write: no storage space
          = free some space there: `df -h '/a b'`
          = make the cache smaller: `assemble cache prune --max-size SIZE`, of the same `--cache-dir`, or use another one
        fetch/io host /a b/\u{1b}c: cannot write: permission denied
          = this user may not go or write there: `ls -ld /`
        fetch/io host /: cannot open: permission denied
          = give this user the right to: `ls -ld /`, then `chmod u+r /`
        fetch/io host /a b/\u{1b}c: cannot write: read-only filesystem or storage medium
          = use another cache folder: `--cache-dir DIR`
        fetch/io host /a b/\u{1b}c: cannot open: Too many open files (os error 24)
          = allow more open files in this shell: `ulimit -n 1024`
        fetch/redirect unavailable https://me:xxxxx@h.example/it's?token=xxxxx: redirection refused: it leads to an address in a private network that the server is not in
          = if it is meant to lead there, write the address it leads to in the spec
        fetch/missing spec /base/htp:/xxxxx@h/x: no such file or folder
          = paths in a spec are relative to the spec file
    "#]].assert_eq(&out);
}
