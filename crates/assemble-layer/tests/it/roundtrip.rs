//! What is written reads back the same.

use std::collections::BTreeMap;

use assemble_layer::{EntryKind, first_difference, read_file, read_layer};
use assemble_rootfs::{Body, Meta, Node, Part, Tree};
use assemble_types::{Blob, ImagePath, Mode, Owner};
use proptest::prelude::*;

use crate::{pack_part, pack_with};

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-c]{1,3}".prop_map(String::into_bytes),
        1 => "[a-z]{90,170}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(1u8.., 1..40),
    ]
    .prop_filter("a component", |n| !n.contains(&b'/') && n != b"." && n != b"..")
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..2000).prop_map(|b| Body::File(Blob::from_bytes(b))),
        1 => (0usize..600_000, any::<u8>()).prop_map(|(n, b)| Body::File(Blob::from_bytes(vec![b; n]))),
        2 => proptest::collection::vec(1u8.., 1..200).prop_map(|t| Body::Symlink(t.into())),
        1 => (0u32..3_000_000, 0u32..3_000_000).prop_map(|(major, minor)| Body::CharDevice { major, minor }),
        2 => Just(Body::Directory(BTreeMap::new())),
    ]
}

prop_compose! {
    fn node()(
        body in body(),
        mode in 0u32..0o10000,
        uid in prop_oneof![Just(0), Just(65_532), Just(3_000_000), any::<u32>()],
        gid in prop_oneof![Just(0), any::<u32>()],
        mtime in prop_oneof![3 => 0i64..2_000_000_000, 1 => -1_000_000i64..0, 1 => (1i64 << 33)..(1i64 << 40)],
        xattrs in proptest::option::weighted(0.2, proptest::collection::btree_map(
            "[a-z]{1,8}\\.[a-z]{0,20}".prop_map(String::into_bytes), proptest::collection::vec(any::<u8>(), 0..60), 0..4)),
    ) -> Node {
        let meta = Meta { mode: Mode::from_bits(mode), owner: Owner { uid, gid }, mtime };
        let mut node = Node::new(meta, body);
        if matches!(node.body, Body::File(_) | Body::Directory(_)) {
            node.xattrs = xattrs.map(Box::new);
        }
        node
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let place = (proptest::collection::vec(name(), 1..4), node());
    proptest::collection::vec(place, 0..25).prop_map(|places| {
        let mut tree = Tree::new();
        let meta = Meta { mode: Mode::DIRECTORY, owner: Owner::ROOT, mtime: 0 };
        for (names, node) in places {
            let path = ImagePath::parse(names.join(&b'/')).unwrap();
            let id = tree.add(node);
            // Places that are taken or lie below a file are left out.
            if tree.make_directories(&path.parent().unwrap(), meta, Part::Files).is_ok() {
                let _ = tree.insert(&path, id, Part::Files, None);
            }
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_packed_tree_reads_back(tree in tree()) {
        let entries = tree.layer(Part::Files);
        let layer = pack_part(&tree, Part::Files);
        let mut reader = read_layer(&layer.blob).unwrap();
        for entry in &entries {
            let found = reader.next_entry().unwrap().unwrap();
            let meta = &entry.node.meta;
            prop_assert_eq!(&found.path, &entry.path);
            prop_assert_eq!(found.name.as_slice(), entry.path.as_bytes());
            prop_assert_eq!((found.uid, found.gid), (u64::from(meta.owner.uid), u64::from(meta.owner.gid)));
            prop_assert_eq!(found.mtime, meta.mtime);
            prop_assert_eq!(&found.xattrs, &entry.node.xattrs.as_deref().cloned().unwrap_or_default());
            let mode = if matches!(entry.node.body, Body::Symlink(_)) { Mode::SYMLINK } else { meta.mode };
            prop_assert_eq!(found.mode, mode);
            match &entry.node.body {
                Body::Directory(_) => prop_assert_eq!(found.kind, EntryKind::Directory),
                Body::Symlink(text) => {
                    prop_assert_eq!(found.kind, EntryKind::Symlink);
                    prop_assert_eq!(found.link.as_slice(), &**text);
                }
                Body::CharDevice { major, minor } => prop_assert_eq!(found.device, Some((*major, *minor))),
                Body::File(blob) => {
                    prop_assert_eq!(found.size, blob.len());
                    prop_assert_eq!(reader.content(1 << 20).unwrap(), blob.read_to_vec(1 << 20).unwrap());
                }
            }
        }
        prop_assert!(reader.next_entry().unwrap().is_none());
        let other = pack_with(&entries, 1);
        prop_assert_eq!(other.digest, layer.digest);
        prop_assert_eq!(first_difference(&layer.blob, &other.blob).unwrap(), None);
    }
}

#[test]
fn one_file_can_be_read() {
    let mut tree = Tree::new();
    let id = crate::put(&mut tree, Part::Base, "b/file", crate::file("content"));
    tree.insert(&crate::path("b/link"), id, Part::Base, None).unwrap();
    let layer = pack_part(&tree, Part::Base).blob;
    let read = |path: &str, limit| read_file(&layer, &crate::path(path), limit).map_err(|e| e.to_string());
    assert_eq!(read("b/file", 7), Ok(Some(b"content".to_vec())));
    assert_eq!(read("b/link", 7), Ok(Some(b"content".to_vec())));
    assert_eq!(read("b", 7), Ok(None));
    assert_eq!(read("none", 7), Ok(None));
    assert_eq!(read("b/file", 6), Err("the layer has more than 6 bytes in one file".into()));
}
