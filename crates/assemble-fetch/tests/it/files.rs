//! Files of the user's, and what happens to them meanwhile.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, SystemTime};

use assemble_fetch::{FetchError, open_file};
use assemble_types::{Explain as _, Kind};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::bytes;

#[test]
fn a_file_is_read_again_and_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, bytes(300_000)).unwrap();
    symlink("f", dir.path().join("link")).unwrap();
    for path in [path, dir.path().join("link")] {
        let blob = open_file(&path).unwrap();
        for _ in 0..2 {
            assert_eq!(blob.read_to_vec(u64::MAX).unwrap(), bytes(300_000));
        }
        let part = blob.slice(100_000..200_000).unwrap();
        assert_eq!(part.read_to_vec(u64::MAX).unwrap(), &bytes(300_000)[100_000..200_000]);
    }
    fs::write(dir.path().join("empty"), "").unwrap();
    assert_eq!(open_file(&dir.path().join("empty")).unwrap().read_to_vec(1).unwrap(), b"");
}

type Change = fn(&Path);

const CHANGES: [(&str, Change, &str); 6] = [
    (
        "append",
        |path| OpenOptions::new().append(true).open(path).unwrap().write_all(b"x").unwrap(),
        "size: 9000 -> 9001",
    ),
    ("truncate", |path| OpenOptions::new().write(true).open(path).unwrap().set_len(10).unwrap(), ""),
    (
        "rewrite",
        |path| OpenOptions::new().write(true).open(path).unwrap().write_all(b"other").unwrap(),
        "its modification time moved",
    ),
    (
        "replace",
        |path| {
            let other = path.with_extension("new");
            fs::copy(path, &other).unwrap();
            fs::rename(other, path).unwrap();
        },
        "another file is in its place",
    ),
    ("remove", |path| fs::remove_file(path).unwrap(), "it is gone"),
    (
        "rewrite and set the time back",
        |path| {
            let modified = fs::metadata(path).unwrap().modified().unwrap();
            let mut file = OpenOptions::new().write(true).open(path).unwrap();
            file.write_all(b"other").unwrap();
            file.set_modified(modified).unwrap();
        },
        "its change time moved",
    ),
];

#[test]
fn a_file_that_changes_while_it_is_read_is_named() {
    for (name, change, what) in CHANGES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, bytes(9000)).unwrap();
        // A time that lies back, so that even a coarse clock shows the change.
        let old = SystemTime::now() - Duration::from_hours(1);
        OpenOptions::new().write(true).open(&path).unwrap().set_modified(old).unwrap();
        let blob = open_file(&path).unwrap();
        let mut reader = blob.reader();
        reader.read_exact(&mut [0; 100]).unwrap();
        change(&path);
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        let error = FetchError::inside(&error).expect("an error of ours");
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("{}: changed while it was read (", path.display())),
            "{name}: {text}"
        );
        assert!(text.contains(what), "{name}: {text}");
        assert_eq!((error.code(), error.kind()), ("fetch/changed", Kind::Host), "{name}");
    }
}

#[test]
fn only_regular_files_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    symlink("loop", at("loop")).unwrap();
    fs::write(at("file"), "").unwrap();
    let message = |path: &Path| open_file(path).unwrap_err().to_string();
    for (name, found) in [("fifo", "a named pipe"), ("socket", "a socket"), (".", "a folder")] {
        let expected = format!("{}: expected a file, found {found}", at(name).display());
        assert_eq!(message(&at(name)), expected);
        assert_eq!(open_file(&at(name)).unwrap_err().kind(), Kind::Spec);
    }
    assert_eq!(message(Path::new("/dev/null")), "/dev/null: expected a file, found a character device");
    for name in ["none", "dangling", "file/below"] {
        assert_eq!(message(&at(name)), format!("{}: no such file or folder", at(name).display()));
    }
    assert_eq!(message(&at("loop")), format!("{}: cannot open", at("loop").display()));
    assert_eq!(message(Path::new("/tmp/a\u{1b}[2J")), "/tmp/a\\u{1b}[2J: no such file or folder");
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_says_it_is_empty_and_is_not_is_refused() {
    let blob = open_file(Path::new("/proc/version")).unwrap();
    assert_eq!(blob.len(), 0);
    let error = blob.read_to_vec(1 << 20).unwrap_err();
    let error = FetchError::inside(&error).expect("an error of ours");
    assert_eq!(
        error.to_string(),
        "/proc/version: changed while it was read (it has more bytes than its size says)"
    );
    assert_eq!(error.hints(), ["give a copy of it instead: `cat /proc/version > FILE`"]);
}
