//! Folders of the user's.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use assemble_fetch::{FetchError, LocalEntry, LocalKind, read_tree};
use assemble_types::Explain as _;

fn line(entry: &LocalEntry) -> String {
    let path = String::from_utf8_lossy(&entry.relative);
    match &entry.kind {
        LocalKind::Directory => format!("{path}/"),
        LocalKind::Symlink(target) => format!("{path} -> {}", String::from_utf8_lossy(target)),
        LocalKind::File { blob, executable } => {
            let content = String::from_utf8(blob.read_to_vec(100).unwrap()).unwrap();
            format!("{path}{} {content}", if *executable { "*" } else { "" })
        }
    }
}

fn tree(source: &Path, exclude: &[&str]) -> Vec<String> {
    let exclude: Vec<String> = exclude.iter().map(|&pattern| pattern.to_owned()).collect();
    read_tree(source, &exclude).unwrap().iter().map(line).collect()
}

fn example() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("a/b")).unwrap();
    fs::create_dir(at("node_modules")).unwrap();
    for (name, content) in
        [("a/b/x.o", "o"), ("a/b/y", "y"), ("a.txt", "t"), ("node_modules/z", "z"), ("run", "r")]
    {
        fs::write(at(name), content).unwrap();
    }
    fs::set_permissions(at("run"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(at("a.txt"), fs::Permissions::from_mode(0o677)).unwrap();
    symlink("../nowhere", at("a/link")).unwrap();
    dir
}

#[test]
fn a_folder_is_listed_in_byte_order() {
    let dir = example();
    let expected = [
        "/",
        "a/",
        "a.txt t",
        "a/b/",
        "a/b/x.o o",
        "a/b/y y",
        "a/link -> ../nowhere",
        "node_modules/",
        "node_modules/z z",
        "run* r",
    ];
    assert_eq!(tree(dir.path(), &[]), expected);
    symlink(dir.path(), dir.path().with_extension("link")).unwrap();
    assert_eq!(tree(&dir.path().with_extension("link"), &[]), expected, "a link as source is followed");
    fs::remove_file(dir.path().with_extension("link")).unwrap();
}

#[test]
fn what_is_excluded_is_not_entered() {
    let dir = example();
    let left = tree(dir.path(), &["*.o", "node_modules", "/a/link", "a/*/y"]);
    assert_eq!(left, ["/", "a/", "a.txt t", "a/b/", "run* r"]);
    assert_eq!(tree(dir.path(), &["**"]), ["/"]);
    let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
    let error = read_tree(dir.path(), &[]).unwrap_err();
    let expected =
        format!("{}/socket: expected a file, folder or symbolic link, found a socket", dir.path().display());
    assert_eq!(error.to_string(), expected);
    assert!(error.hints()[0].contains("exclude"));
    assert_eq!(tree(dir.path(), &["sock*", "a*", "node*"]), ["/", "run* r"]);
    let error = read_tree(dir.path(), &["../x".into()]).unwrap_err();
    assert_eq!(error.to_string(), "exclude pattern `../x`: `..` leads out of the folder");
}

#[test]
fn a_file_is_a_tree_of_its_own() {
    let dir = example();
    assert_eq!(tree(&dir.path().join("run"), &["run"]), ["* r"]);
    symlink("run", dir.path().join("link")).unwrap();
    assert_eq!(tree(&dir.path().join("link"), &[]), ["* r"]);
    let missing = dir.path().join("none");
    assert_eq!(
        read_tree(&missing, &[]).unwrap_err().to_string(),
        format!("{}: no such file or folder", missing.display())
    );
    let error = read_tree(Path::new("/dev/null"), &[]).unwrap_err();
    assert!(error.to_string().ends_with("found a character device"), "{error}");
}

#[test]
fn names_need_not_be_text() {
    let dir = tempfile::tempdir().unwrap();
    let name = OsStr::from_bytes(b"a\xff\n");
    fs::write(dir.path().join(name), "x").unwrap();
    let entries = read_tree(dir.path(), &[]).unwrap();
    assert_eq!(entries[1].relative, b"a\xff\n");
    let LocalKind::File { blob, .. } = &entries[1].kind else { panic!("a file") };
    fs::write(dir.path().join(name), "yy").unwrap();
    let error = blob.read_to_vec(10).unwrap_err().to_string();
    assert!(error.ends_with("/a\\xff\\n: changed while it was read (size: 1 -> 2)"), "{error}");
}

#[test]
fn a_file_that_became_a_link_has_changed() {
    let dir = example();
    let entries = read_tree(dir.path(), &[]).unwrap();
    fs::remove_file(dir.path().join("run")).unwrap();
    symlink("a.txt", dir.path().join("run")).unwrap();
    let LocalKind::File { blob, .. } = &entries.last().unwrap().kind else { panic!("a file") };
    let error = blob.read_to_vec(10).unwrap_err();
    assert!(FetchError::inside(&error).unwrap().to_string().contains("/run: "), "{error}");
}

/// Counts this process's descriptors; other tests run beside this one, but none has hundreds.
#[test]
fn many_files_do_not_take_many_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..2000 {
        fs::write(dir.path().join(format!("{n:04}")), n.to_string()).unwrap();
    }
    let entries = read_tree(dir.path(), &[]).unwrap();
    let mut readers = Vec::new();
    for (n, entry) in entries[1..].iter().enumerate() {
        let LocalKind::File { blob, .. } = &entry.kind else { panic!("a file") };
        assert_eq!(blob.read_to_vec(10).unwrap(), n.to_string().as_bytes());
        let mut reader = blob.reader();
        assert_eq!(reader.read(&mut [0]).unwrap(), 1);
        readers.push(reader);
    }
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    assert!(open < 500, "{open} descriptors are open");
    drop(readers);
}
