//! The first difference of two layers is named.

use std::collections::BTreeMap;

use assemble_layer::first_difference;
use assemble_rootfs::{Body, Node, Part, Tree};
use assemble_types::{Blob, Mode, Owner};
use expect_test::expect;

use crate::{blob, file, pack_part, path, put};

fn base() -> Tree {
    let mut tree = Tree::new();
    put(&mut tree, Part::Files, "etc/a", file("hello"));
    put(&mut tree, Part::Files, "etc/b", file(vec![7; 200_000]));
    put(&mut tree, Part::Files, "etc/l", Node::new(crate::META, Body::Symlink(b"a".as_slice().into())));
    put(&mut tree, Part::Files, "z/last", file("x"));
    tree
}

fn layer(change: impl FnOnce(&mut Tree)) -> Blob {
    let mut tree = base();
    change(&mut tree);
    pack_part(&tree, Part::Files).blob
}

fn node<'a>(tree: &'a mut Tree, at: &str) -> &'a mut Node {
    let id = tree.get(&path(at)).unwrap();
    tree.node_mut(id)
}

#[test]
fn the_first_differing_entry_and_field_are_named() {
    let good = layer(|_| ());
    let mut out = String::new();
    let mut say = |other: Blob| {
        let found = first_difference(&good, &other).unwrap();
        out += &found.map_or_else(|| "the same".to_owned(), |d| d.to_string());
        out.push('\n');
    };
    say(layer(|_| ()));
    say(layer(|t| node(t, "etc/a").meta.mode = Mode::EXECUTABLE));
    say(layer(|t| node(t, "etc").meta.mtime = 1_700_000_000));
    say(layer(|t| node(t, "etc/b").meta.owner = Owner { uid: 1, gid: 2 }));
    say(layer(|t| node(t, "etc/a").body = Body::File(Blob::from_bytes("hello!"))));
    say(layer(|t| node(t, "etc/a").body = Body::File(Blob::from_bytes("hellO"))));
    say(layer(|t| {
        let mut bytes = vec![7; 200_000];
        bytes[150_000] = 8;
        node(t, "etc/b").body = Body::File(Blob::from_bytes(bytes));
    }));
    say(layer(|t| node(t, "etc/l").body = Body::Symlink(b"\x1bb".as_slice().into())));
    say(layer(|t| node(t, "etc/l").body = Body::File(Blob::from_bytes("a"))));
    say(layer(|t| {
        let xattrs = BTreeMap::from([(b"user.x".to_vec(), b"1\n".to_vec())]);
        node(t, "z").xattrs = Some(Box::new(xattrs));
    }));
    say(layer(|t| assert!(t.remove(&path("etc/b")))));
    say(layer(|t| assert!(t.remove(&path("z/last")))));
    say(layer(|t| _ = put(t, Part::Files, "etc/a2", file(""))));
    say(layer(|t| _ = put(t, Part::Files, "zz", file(""))));
    expect![[r#"
        the same
        /etc/a: mode: 0644 and 0755
        /etc: mtime: 0 (1970-01-01T00:00:00Z) and 1700000000 (2023-11-14T22:13:20Z)
        /etc/b: owner: 0:0 and 1:2
        /etc/a: size: 5 and 6
        /etc/a: content at byte 4: 0x6f and 0x4f
        /etc/b: content at byte 150000: 0x07 and 0x08
        /etc/l: link: a and \x1bb
        /etc/l: kind: symbolic link and file
        /z: extended attributes: (none) and user.x=1\n
        /etc/b: presence: there and missing
        /z/last: presence: there and missing
        /etc/a2: presence: missing and there
        /zz: presence: missing and there
    "#]]
    .assert_eq(&out);
}

/// Differences that only other tools' tars can have.
#[test]
fn order_spelling_and_framing_are_seen() {
    let tar = |names: &[&str], owner: u64, tail: &[u8]| {
        let mut out = Vec::new();
        for name in names {
            let mut header = tar::Header::new_ustar();
            header.set_size(0);
            header.set_mode(0o644);
            header.set_uid(owner);
            header.set_gid(0);
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            out.extend_from_slice(header.as_bytes());
        }
        out.extend_from_slice(&[0; 1024]);
        out.extend_from_slice(tail);
        blob(out)
    };
    let say = |a: &Blob, b: &Blob| first_difference(a, b).unwrap().map(|d| d.to_string()).unwrap_or_default();
    let one = tar(&["a", "b", "c"], 0, b"");
    assert_eq!(say(&one, &tar(&["a", "c", "b"], 0, b"")), "/b: order: /b and /c");
    assert_eq!(say(&one, &tar(&["a", "./b", "c"], 0, b"")), "/b: spelling of the name: b and ./b");
    assert_eq!(say(&one, &tar(&["a", "b", "c"], 0, &[0])), "tar framing at byte 2560: the end and 0x00");
    let mut other = one.read_to_vec(10_000).unwrap();
    // A blank instead of a zero in front of the uid's digits: the same number.
    other[108] = b' ';
    let sum: u32 = other[..148].iter().chain(&other[156..512]).map(|b| u32::from(*b)).sum::<u32>() + 256;
    other[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert!(say(&one, &blob(other)).starts_with("/a: header encoding: "));
}
