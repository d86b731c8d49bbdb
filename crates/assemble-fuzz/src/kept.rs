//! What lies in the cache in a form of its own.

use std::num::NonZeroUsize;

use assemble_apk::Index;
use assemble_layer::{AccountNames, Compression, Earlier, Packing, Segments};
use assemble_rootfs::{Body, Meta, Node, Part, Tree};
use assemble_types::{Blob, ImagePath, MemorySpool, Mode, Owner};

/// Any bytes as the form of an index.
pub(crate) fn index_form(input: &[u8]) {
    // The lines are what the form itself is: what they say is nobody's concern here.
    let Some(index) = Index::from_form(input, Blob::from_bytes(input)) else { return };
    let written = index.to_form().map(|(form, _)| form);
    assert_eq!(written.as_deref(), Some(input), "written again, it is something else");
    let names = index.records.names();
    for number in 0..index.records.len() {
        let row = u32::try_from(number).expect("the form counts in 32 bits");
        for name in [&[names.own(row)], names.provided(row), names.needed(row)].concat() {
            assert!((name as usize) < names.count());
        }
        let record = &index.records[number];
        let _ = (index.records.is_understood(number), index.records.conditions_are_readable(number));
        let _ = (index.records.arch(number), record.install_if.len());
    }
    for name in (0..names.count()).filter_map(|name| u32::try_from(name).ok()) {
        let _ = (names.find(names.text(name)), names.waiting(name).count());
        assert!(names.holders(name).iter().all(|record| (*record as usize) < index.records.len()));
    }
    assert_eq!(names.numbers_in(names).len(), names.count());
    let mut versions = 0;
    index.records.versions(|_| versions += 1);
    assert_eq!(versions, index.records.len());
    let left = index.records.without(&(0..index.records.len()).step_by(2).collect());
    let odd: Vec<_> = index.records.iter().skip(1).step_by(2).collect();
    assert_eq!(format!("{left:?}"), format!("{odd:?}"), "others are left");
}

/// The form of an index is the index, and so is an excerpt of all its records.
pub(crate) fn form_is_the_index(index: &Index) {
    let Some((form, lines)) = index.to_form() else { return };
    let again = Index::from_form(&form, lines).expect("what was written is read");
    assert_eq!(format!("{index:?}"), format!("{again:?}"), "another index comes back");
    let all: Vec<usize> = (0..index.records.len()).collect();
    let excerpt = index.excerpt(&all).expect("all of them are there");
    let some = Index::of_excerpt(&excerpt, all.len(), None).expect("what was written is read");
    assert!(some.records.iter().eq(&index.records) && some.files == index.files, "other records come back");
}

/// Any text as an excerpt of an index of version 2: what is no part of a file name is refused.
pub(crate) fn excerpt(text: &str) {
    let count = text.matches("\n\n").count();
    let Some(index) = Index::of_excerpt(&format!("2\n{text}"), count, None) else { return };
    for record in &index.records {
        for part in [record.name.as_str(), record.version.as_str()] {
            assert!(!part.is_empty() && !part.contains(['/', '\n']) && part != "..", "{part:?}");
        }
    }
}

/// Any bytes as what is noted of an earlier layer, which is then used to pack the same layer again.
pub(crate) fn segments(input: &[u8]) {
    let Some(segments) = Segments::from_bytes(input) else { return };
    let written = segments.to_bytes();
    assert_eq!(Segments::from_bytes(&written), Some(segments.clone()), "written again, it is something else");
    let tree = tree();
    let names = AccountNames::from_tree(&tree).expect("no file of accounts is there");
    let entries = tree.layer(Part::Packages);
    let packing =
        || Packing::new(&entries, &names, Compression::Gzip, &MemorySpool).expect("a tree of plain files");
    let pack = |earlier: Option<&Earlier>| packing().pack(NonZeroUsize::MIN, &MemorySpool, earlier);
    let (layer, own) = pack(None).expect("a tree of plain files");
    for segments in [segments, own.clone()] {
        let earlier = Earlier { segments, blob: layer.blob.clone() };
        match pack(Some(&earlier)) {
            Ok((again, _)) => assert_eq!(again.diff_id, layer.diff_id, "the plain bytes are others"),
            Err(error) => assert!(earlier.segments != own, "what is right is refused: {error}"),
        }
    }
}

/// Files that become more than one unit.
fn tree() -> Tree {
    let mut tree = Tree::new();
    let mut state = 1_u32;
    for (name, size) in [("a", 10), ("b", 70_000), ("c", 300_000), ("d", 0)] {
        let noise = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 28) as u8
        };
        let content: Vec<u8> = (0..size).map(noise).collect();
        let path = ImagePath::parse(name).expect("a plain path");
        let meta = Meta { mode: Mode::FILE, owner: Owner { uid: 0, gid: 0 }, mtime: 0 };
        let node = tree.add(Node::new(meta, Body::File(Blob::from_bytes(content))));
        tree.insert(&path, node, Part::Packages, None).expect("an empty place");
    }
    tree
}
