//! Layers of which parts were packed before.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use assemble_layer::{AccountNames, Compression, Earlier, Layer, LayerError, Packing, Segments};
use assemble_rootfs::{Body, Node, Part, Tree};
use assemble_types::{Blob, Digest, MemorySpool, ReadAt};
use proptest::prelude::*;

use crate::splicing::{Package, tree_of, varied};
use crate::{META, file, noise, pack_as, pack_with, prose, put, threads};

/// Counts what is read of it.
#[derive(Debug)]
struct Counted(Blob, Arc<AtomicUsize>);
impl ReadAt for Counted {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = self.0.read_at(buf, offset)?;
        self.1.fetch_add(n, Ordering::Relaxed);
        Ok(n)
    }
}

fn packed_as(
    compression: Compression,
    tree: &Tree,
    count: usize,
    earlier: Option<&Earlier>,
) -> Result<(Option<Digest>, Layer, Segments), LayerError> {
    let (entries, names) = (tree.layer(Part::Files), AccountNames::none());
    let packing = Packing::new(&entries, &names, compression, &MemorySpool)?;
    let key = packing.key();
    let (layer, segments) = packing.pack(threads(count), &MemorySpool, earlier)?;
    Ok((key, layer, segments))
}

fn packed(
    tree: &Tree,
    count: usize,
    earlier: Option<&Earlier>,
) -> Result<(Option<Digest>, Layer, Segments), LayerError> {
    packed_as(Compression::Gzip, tree, count, earlier)
}

fn assert_same(a: &Layer, b: &Layer) {
    let facts =
        |layer: &Layer| (layer.digest, layer.diff_id, layer.size, layer.uncompressed_size, layer.copied);
    assert_eq!(facts(a), facts(b));
}

fn packages() -> Vec<Package> {
    vec![Package::new(varied(1), 6, 20_000), Package::new(varied(2), 9, 1 << 20)]
}

#[test]
fn what_was_packed_before_is_taken_from_there() {
    let (first, _) = tree_of(&packages());
    let (key, layer, segments) = packed(&first, 2, None).unwrap();
    let mut second = tree_of(&packages()).0;
    put(&mut second, Part::Files, "d1/changed", file(prose(200_000, 5)));
    let expected = pack_with(&second.layer(Part::Files), 1);
    assert_ne!(expected.digest, layer.digest);
    let segments = Segments::from_bytes(&segments.to_bytes()).unwrap();
    for count in [1, 2, 3, 8] {
        let read = Arc::new(AtomicUsize::new(0));
        let blob = Blob::new(Arc::new(Counted(layer.blob.clone(), Arc::clone(&read))), layer.blob.len());
        let earlier = Earlier { segments: segments.clone(), blob };
        let (other, again, _) = packed(&second, count, Some(&earlier)).unwrap();
        assert_same(&again, &expected);
        assert_ne!(other, key);
        let read = read.load(Ordering::Relaxed) as u64;
        assert!(read * 10 > layer.size * 8, "{read} of {} bytes were taken", layer.size);
    }
    let (same, again, _) = packed(&tree_of(&packages()).0, 3, None).unwrap();
    assert_eq!(same, key);
    assert_same(&again, &layer);
}

#[test]
fn notes_that_do_not_fit_are_noticed() {
    let (tree, _) = tree_of(&packages());
    let (_, layer, segments) = packed(&tree, 2, None).unwrap();
    let bytes = segments.to_bytes();
    assert!(Segments::from_bytes(&bytes[..bytes.len() - 1]).is_none());
    // The first piece of the first unit: how large it is, packed and plain, and the sum over the plain bytes.
    for number in [32, 36, 44] {
        let mut other = bytes.clone();
        other[number] ^= 1;
        let earlier = Earlier { segments: Segments::from_bytes(&other).unwrap(), blob: layer.blob.clone() };
        match packed(&tree, 2, Some(&earlier)) {
            Err(error) => assert!(matches!(error, LayerError::Earlier), "{error:?}"),
            // One byte more or less of what is packed shows only to who unpacks it.
            Ok(_) => assert_eq!(number, 32),
        }
    }
    let blob = layer.blob.slice(0..layer.size / 2).unwrap();
    let error = packed(&tree, 2, Some(&Earlier { segments, blob })).unwrap_err();
    assert!(matches!(error, LayerError::Earlier), "{error:?}");
}

/// Packages whose plain bytes are kept, and how much is read of their streams.
fn unpacked(changed: bool) -> (Tree, Arc<AtomicUsize>) {
    let read = Arc::new(AtomicUsize::new(0));
    let stream = |bytes: Vec<u8>| {
        let len = bytes.len() as u64;
        Blob::new(Arc::new(Counted(Blob::from_bytes(bytes), Arc::clone(&read))), len)
    };
    let of = |contents| Package::made(contents, 6, 20_000, &stream, u64::MAX, true);
    // Long enough for several marks.
    let long = |seed| [varied(seed), varied(seed + 2), varied(seed + 4)].concat();
    let mut tree = tree_of(&[of(long(1)), of(long(2))]).0;
    if changed {
        // Without content, it is in one unit with the files that stand behind it.
        put(&mut tree, Part::Files, "d2/a", file(Vec::new()));
    }
    (tree, read)
}

#[test]
fn of_a_stream_that_is_kept_unpacked_little_is_read_again() {
    Compression::ALL.into_iter().for_each(little_is_read_again);
}

fn little_is_read_again(compression: Compression) {
    let (first, read) = unpacked(false);
    let pack = |tree: &Tree, count: usize, read: &AtomicUsize, earlier: Option<&Earlier>| {
        let (entries, names) = (tree.layer(Part::Files), AccountNames::none());
        let packing = Packing::new(&entries, &names, compression, &MemorySpool).unwrap();
        read.store(0, Ordering::Relaxed);
        let (layer, segments) = packing.pack(threads(count), &MemorySpool, earlier).unwrap();
        (layer, segments, read.load(Ordering::Relaxed))
    };
    let (layer, segments, whole) = pack(&first, 2, &read, None);
    let segments = Segments::from_bytes(&segments.to_bytes()).unwrap();
    let expected = pack_as(compression, &unpacked(true).0.layer(Part::Files), 1);
    for count in [1, 2, 8] {
        let (second, read) = unpacked(true);
        let earlier = Earlier { segments: segments.clone(), blob: layer.blob.clone() };
        let (again, learnt, read) = pack(&second, count, &read, Some(&earlier));
        assert_same(&again, &expected);
        assert!(read > 0 && read * 3 < whole, "{read} of {whole}");
        // What was known of the streams is known on.
        let (third, _) = unpacked(false);
        let earlier = Earlier { segments: learnt, blob: again.blob };
        assert_same(&packed_as(compression, &third, count, Some(&earlier)).unwrap().1, &layer);
    }
}

#[test]
fn what_cannot_be_named_has_no_key() {
    #[derive(Debug)]
    struct Nameless(Vec<u8>, Blob);
    impl ReadAt for Nameless {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            self.0.read_at(buf, offset)
        }
        fn deflated(&self) -> Option<&Blob> {
            Some(&self.1)
        }
    }
    let stored = [&[1, 5, 0, 0xfa, 0xff][..], b"hello"].concat();
    let blob = Blob::new(Arc::new(Nameless(b"hello".to_vec(), Blob::from_bytes(stored))), 5);
    let mut tree = Tree::new();
    put(&mut tree, Part::Files, "f", Node::new(META, Body::File(blob)));
    let (key, layer, segments) = packed(&tree, 1, None).unwrap();
    assert_eq!((key, segments), (None, Segments::default()));
    assert_same(&layer, &pack_with(&tree.layer(Part::Files), 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn parts_of_any_other_layer_change_nothing(
        seed: u64,
        sizes in prop::collection::vec(prop_oneof![0_usize..2000, 0_usize..300_000], 1..16),
        changed in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        count in 1_usize..4,
        compression in prop::sample::select(Compression::ALL.to_vec()),
        kept: bool,
    ) {
        let content = |seed: u64, size: usize, index: usize| match (seed >> (index % 60)) % 3 {
            0 => noise(size, seed.wrapping_add(index as u64)),
            1 => prose(size, seed % 5),
            _ => [prose(size / 2, 1), vec![0; size - size / 2]].concat(),
        };
        let mut contents: Vec<Vec<u8>> =
            sizes.iter().enumerate().map(|(index, size)| content(seed, *size, index)).collect();
        let of = |contents| Package::made(contents, 6, 20_000, &|stream| Blob::from_bytes(stream), u64::MAX, kept);
        let others = || of(varied(seed % 3));
        let (first, _) = tree_of(&[others(), of(contents.clone())]);
        for index in changed {
            let at = index.index(contents.len());
            contents[at] = content(seed.wrapping_add(77), sizes[at] / 2 + 1, at);
        }
        let (second, _) = tree_of(&[others(), of(contents)]);
        let (_, layer, segments) = packed_as(compression, &first, count, None).unwrap();
        let earlier = Earlier { segments, blob: layer.blob };
        let (_, again, _) = packed_as(compression, &second, count, Some(&earlier)).unwrap();
        assert_same(&again, &pack_as(compression, &second.layer(Part::Files), 1));
    }
}
