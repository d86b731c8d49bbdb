//! Bytes that may not change while the codec keeps its name.

use assemble_layer::{Compression, pack};
use assemble_rootfs::{Body, Meta, Node, Part, Tree};
use assemble_types::{MemorySpool, Mode, Owner};
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::splicing::{Package, tree_of, varied};
use crate::{META, file, noise, pack_as, path, prose, put, threads};

/// The tree of the test vector: every kind of entry, and files around each border between blocks.
fn fixed_tree() -> Tree {
    let mut tree = Tree::new();
    let part = Part::Files;
    put(&mut tree, part, "bin/small", file("hello\n"));
    put(&mut tree, part, "bin/empty", file(""));
    put(&mut tree, part, "data/group-1", file(prose((128 << 10) - 513, 1)));
    put(&mut tree, part, "data/group-2", file(prose((128 << 10) - 512, 2)));
    put(&mut tree, part, "data/cut-1", file(prose((384 << 10) - 512, 3)));
    put(&mut tree, part, "data/cut-2", file(noise((384 << 10) - 511, 4)));
    put(&mut tree, part, "data/large", file(prose(1_500_000, 5)));
    put(&mut tree, part, "data/zeros", file(vec![0; 1_000_000]));
    for index in 0..300 {
        put(&mut tree, part, &format!("many/{index:03}"), file(prose(index * 7, 100 + index as u64)));
    }
    put(&mut tree, part, "link", Node::new(META, Body::Symlink(b"bin/small".as_slice().into())));
    put(&mut tree, part, "null", Node::new(META, Body::CharDevice { major: 1, minor: 3 }));
    let owner = Owner { uid: 65_532, gid: 3_000_000 };
    let meta = Meta { mode: Mode::from_bits(0o4755), owner, mtime: 1_700_000_000 };
    let mut special = Node { meta, ..file("special") };
    special.xattrs =
        Some(Box::new(BTreeMap::from([(b"security.capability".to_vec(), b"\x01\0\0\x02\n".to_vec())])));
    put(&mut tree, part, "gr\u{f6}\u{df}e", special);
    let id = tree.get(&path("bin/small")).unwrap();
    tree.insert(&path("other-name"), id, part, None).unwrap();
    tree
}

/// Emulation is slow, and is not about threads.
fn numbers_of_threads() -> &'static [usize] {
    if crate::processors::is_emulated() { &[2] } else { &[1, 2, 3, 8] }
}

#[test]
fn the_fixed_tree_has_these_digests() {
    let tree = fixed_tree();
    let names = assemble_layer::AccountNames::none();
    let mut out = String::new();
    for &n in numbers_of_threads() {
        let layer =
            pack(&tree.layer(Part::Files), &names, Compression::Gzip, threads(n), &MemorySpool).unwrap();
        let mut text = String::new();
        writeln!(text, "codec {}", Compression::Gzip.codec()).unwrap();
        writeln!(text, "diff_id {} {}", layer.diff_id, layer.uncompressed_size).unwrap();
        writeln!(text, "digest {} {}", layer.digest, layer.size).unwrap();
        assert!(out.is_empty() || out == text, "{n} threads");
        out = text;
    }
    expect_test::expect_file!["../../../../testdata/golden/layer-v1-tree.txt"].assert_eq(&out);
}

/// All codecs, on a tree with every kind of entry, and on contents that lie in streams. Pieces of all sorts are in it:
/// compressed, copied block by block, and coded anew.
#[test]
fn every_codec_gives_these_bytes() {
    let (mut out, tree) = (String::new(), fixed_tree());
    let packages = [Package::new(varied(1), 6, 1 << 20), Package::new(varied(2), 9, 50_000)];
    let (streams, _) = tree_of(&packages);
    for (what, tree) in [("tree", &tree), ("streams", &streams)] {
        let entries = tree.layer(Part::Files);
        for compression in Compression::ALL {
            let layer = pack_as(compression, &entries, 1);
            for &n in numbers_of_threads() {
                let other = pack_as(compression, &entries, n);
                assert_eq!(
                    (other.digest, other.size),
                    (layer.digest, layer.size),
                    "{compression}, {n} threads"
                );
            }
            let (codec, digest, size, copied) = (compression.codec(), layer.digest, layer.size, layer.copied);
            writeln!(out, "{what} {codec} {digest} {size} copied {copied}").unwrap();
        }
    }
    expect_test::expect_file!["../../../../testdata/golden/layer-codecs.txt"].assert_eq(&out);
}

/// The vectors of `docs/format/layer-v1.md`, simple enough to be made by hand.
#[test]
fn the_documented_vectors_hold() {
    let names = assemble_layer::AccountNames::none();
    let mut out = String::new();
    let mut add = |what: &str, files: &[(&str, Vec<u8>)]| {
        let mut tree = Tree::new();
        for (name, content) in files {
            put(&mut tree, Part::Files, name, file(content.clone()));
        }
        let layer =
            pack(&tree.layer(Part::Files), &names, Compression::Gzip, threads(2), &MemorySpool).unwrap();
        writeln!(out, "{what}").unwrap();
        writeln!(out, "  diff_id {} {}", layer.diff_id, layer.uncompressed_size).unwrap();
        writeln!(out, "  digest {} {}", layer.digest, layer.size).unwrap();
        let zstd = pack_as(Compression::Zstd, &tree.layer(Part::Files), 2);
        writeln!(out, "  in zstd {} {}", zstd.digest, zstd.size).unwrap();
        if layer.size < 200 {
            writeln!(out, "  bytes {}", hex(&layer.blob.read_to_vec(200).unwrap())).unwrap();
        }
    };
    let count = |n: u32| (0..n).flat_map(|i| format!("{i}\n").into_bytes()).collect::<Vec<u8>>();
    add("no entries", &[]);
    add("`hello` holds `hello` and a newline", &[("hello", b"hello\n".to_vec())]);
    add("`n` holds the numbers 0 to 199999, each on a line", &[("n", count(200_000))]);
    add(
        "`a` holds the numbers 0 to 999, `b` 0 to 99999, `c` 0 to 999",
        &[("a", count(1000)), ("b", count(100_000)), ("c", count(1000))],
    );
    expect_test::expect_file!["../../../../testdata/golden/layer-v1.txt"].assert_eq(&out);
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte in bytes {
        write!(out, "{byte:02x}").unwrap();
    }
    out
}
