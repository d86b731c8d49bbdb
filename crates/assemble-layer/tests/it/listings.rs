//! Headers against the answers of apko: each line of a listing ends in a digest over the entry's header blocks.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use assemble_layer::{AccountNames, Compression, pack, read_layer};
use assemble_rootfs::{Body, Meta, Node, Part, Tree, TreeEntry};
use assemble_types::{Blob, MemorySpool, Mode, Owner};

use crate::{blob, path, put, threads};

fn kit() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/testkit");
    std::env::var_os("ASSEMBLE_TESTKIT").map_or_else(|| default.into(), PathBuf::from)
}

/// The listings with their names, unpacked.
fn listings(folder: &Path) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for case in fs::read_dir(folder).unwrap() {
        let case = case.unwrap().path();
        for file in fs::read_dir(&case).into_iter().flatten() {
            let file = file.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            if !name.starts_with("layer-") {
                continue;
            }
            let bytes = fs::read(&file).unwrap();
            let mut text = String::new();
            if bytes.starts_with(b"\x1f\x8b") {
                flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
            } else {
                text = String::from_utf8(bytes).unwrap();
            }
            out.insert(format!("{}/{name}", case.file_name().unwrap().to_str().unwrap()), text);
        }
    }
    out
}

fn decode(field: &str) -> Vec<u8> {
    if field == "-" {
        return Vec::new();
    }
    let mut out = Vec::new();
    let mut rest = field.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            out.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
            rest = &tail[2..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

/// The node that a line describes; contents are unknown, so zeros stand for them.
fn node(fields: &[&str]) -> Node {
    let number = |text: &str| text.parse::<i64>().unwrap();
    let id = |text: &str| u32::try_from(number(text)).unwrap();
    let meta = Meta {
        mode: Mode::from_bits(u32::from_str_radix(fields[1], 8).unwrap()),
        owner: Owner { uid: id(fields[2]), gid: id(fields[3]) },
        mtime: number(fields[7]),
    };
    let size = usize::try_from(number(fields[6])).unwrap();
    let body = match fields[0] {
        "0" | "1" => Body::File(Blob::from_bytes(vec![0; size])),
        "2" => Body::Symlink(decode(fields[9]).into()),
        "3" => {
            let (major, minor) = fields[10].split_once(',').unwrap();
            Body::CharDevice { major: id(major), minor: id(minor) }
        }
        "5" => Body::Directory(BTreeMap::new()),
        other => panic!("entry type {other}"),
    };
    let mut node = Node::new(meta, body);
    if fields[11] != "-" {
        let records = fields[11].split(';').map(|record| record.split_once('=').unwrap());
        let xattrs: BTreeMap<_, _> = records
            .filter_map(|(key, value)| Some((decode(key.strip_prefix("SCHILY.xattr.")?), decode(value))))
            .collect();
        node.xattrs = (!xattrs.is_empty()).then(|| Box::new(xattrs));
    }
    node
}

/// Account names as apko found them, by way of account files that give them.
fn names(fields: &[&str]) -> AccountNames {
    let mut tree = Tree::new();
    let text = |id: &str, name: &str, rest: &str| {
        if name == "-" {
            Vec::new()
        } else {
            [&decode(name), ":x:".as_bytes(), id.as_bytes(), rest.as_bytes()].concat()
        }
    };
    put(&mut tree, Part::Packages, "etc/passwd", crate::file(text(fields[2], fields[4], ":0::/:/bin/sh\n")));
    put(&mut tree, Part::Packages, "etc/group", crate::file(text(fields[3], fields[5], ":\n")));
    AccountNames::from_tree(&tree).unwrap()
}

#[test]
fn every_header_of_every_listing_is_the_same() {
    let folder = kit().join("apko-oracle");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no test kit at {}", folder.display());
        return;
    }
    let mut ids = Tree::new();
    let (mut lines, mut wrong) = (0, Vec::new());
    let all = listings(&folder);
    for (listing, text) in &all {
        for line in text.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            assert_eq!(fields.len(), 14, "{listing}: {line}");
            let node = node(&fields);
            let link = decode(fields[9]);
            let entry = TreeEntry {
                path: path(decode(fields[8])),
                id: ids.add(node.clone()),
                node: &node,
                hard_link: (fields[0] == "1").then_some(link.as_slice()),
                part: Part::Packages,
            };
            let layer = pack(&[entry], &names(&fields), Compression::Gzip, threads(1), &MemorySpool).unwrap();
            let read = read_layer(&layer.blob).unwrap().next_entry().unwrap().unwrap();
            let expected = fields[13].split_once(':').unwrap().1;
            lines += 1;
            if !read.header.hex().starts_with(expected) {
                wrong.push(format!("{listing}: {line}: got {}", read.header.short()));
            }
        }
    }
    eprintln!("{lines} header digests in {} listings", all.len());
    assert!(lines > 12_000, "only {lines} lines");
    assert!(
        wrong.is_empty(),
        "{} of {lines} differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}

/// The empty tar is two blocks of zeros.
#[test]
fn no_entries_are_two_zero_blocks() {
    let layer = crate::pack_with(&[], 1);
    assert_eq!(layer.uncompressed_size, 1024);
    assert_eq!(layer.diff_id, assemble_types::Digest::of(&[0; 1024]));
    assert!(read_layer(&layer.blob).unwrap().next_entry().unwrap().is_none());
    assert!(read_layer(&blob(vec![0; 1024])).unwrap().next_entry().unwrap().is_none());
}
