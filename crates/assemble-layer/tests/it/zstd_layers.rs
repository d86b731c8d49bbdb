//! Layers in zstd: the same tar, in frames whose borders follow from the content.

use assemble_layer::{Compression, ReadLimits, diff_id, first_difference, read_file, read_layer_within};
use assemble_rootfs::{Part, Tree};
use assemble_types::{Digest, Explain};

use crate::{blob, file, noise, pack_as, path, prose, put};

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Contents around each border between frames.
fn varied() -> Tree {
    let mut tree = Tree::new();
    let mib = 1 << 20;
    let sizes = [0, 1, 513, 900_000, mib - 1, mib, 5, 3 * mib, 3 * mib + 1, 600_000, 700_000, 3];
    for (index, size) in sizes.into_iter().enumerate() {
        let content = if index % 5 == 3 { noise(size, 7) } else { prose(size, index as u64) };
        put(&mut tree, Part::Files, &format!("d{}/f{index:02}", index % 3), file(content));
    }
    tree
}

#[test]
fn threads_do_not_show_and_the_tar_is_the_same() {
    let tree = varied();
    let entries = tree.layer(Part::Files);
    let gzip = pack_as(Compression::Gzip, &entries, 2);
    let one = pack_as(Compression::Zstd, &entries, 1);
    for n in [2, 3, 8] {
        let other = pack_as(Compression::Zstd, &entries, n);
        assert_eq!((other.digest, other.size), (one.digest, one.size), "{n} threads");
    }
    assert_eq!((one.diff_id, one.uncompressed_size), (gzip.diff_id, gzip.uncompressed_size));
    assert_eq!(one.copied, 0);
    let packed = one.blob.read_to_vec(u64::MAX).unwrap();
    assert_eq!((Digest::of(&packed), packed.len() as u64), (one.digest, one.size));
    let plain = zstd::stream::decode_all(packed.as_slice()).unwrap();
    assert_eq!(Digest::of(&plain), one.diff_id);
}

/// What images mostly hold: a program.
#[test]
fn programs_are_no_larger_than_in_gzip() {
    let mut program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    program.truncate(8 << 20);
    let mut tree = Tree::new();
    put(&mut tree, Part::Binary, "bin/program", file(program));
    let size = |compression| pack_as(compression, &tree.layer(Part::Binary), 2).size;
    let (zstd, gzip) = (size(Compression::Zstd), size(Compression::Gzip));
    assert!(zstd < gzip, "{zstd} in zstd, {gzip} in gzip");
}

#[test]
fn layers_are_read_back() {
    let tree = varied();
    let entries = tree.layer(Part::Files);
    let (gzip, zstd) = (pack_as(Compression::Gzip, &entries, 2), pack_as(Compression::Zstd, &entries, 2));
    assert_eq!(diff_id(&zstd.blob).unwrap(), (gzip.diff_id, gzip.uncompressed_size));
    assert_eq!(first_difference(&gzip.blob, &zstd.blob).unwrap(), None);
    let content = read_file(&zstd.blob, &path("d1/f07"), u64::MAX).unwrap().unwrap();
    assert!(content == prose(3 << 20, 7));
}

/// Each frame says how much it holds, and can be unpacked without the others.
#[test]
fn frames_stand_alone() {
    let tree = varied();
    let layer = pack_as(Compression::Zstd, &tree.layer(Part::Files), 2);
    let packed = layer.blob.read_to_vec(u64::MAX).unwrap();
    let (mut rest, mut sizes, mut plain) = (packed.as_slice(), Vec::new(), Vec::new());
    while !rest.is_empty() {
        assert_eq!(rest[..4], MAGIC);
        // The bit of the frame header's descriptor that says that a checksum stands at the end.
        assert_eq!(rest[4] & 4, 4);
        let size = zstd::zstd_safe::find_frame_compressed_size(rest).unwrap();
        let (frame, behind) = rest.split_at(size);
        let holds = zstd::zstd_safe::get_frame_content_size(frame).unwrap().unwrap();
        let holds = usize::try_from(holds).unwrap();
        let content = zstd::bulk::decompress(frame, holds).unwrap();
        assert_eq!(content.len(), holds);
        plain.extend_from_slice(&content);
        sizes.push(holds);
        rest = behind;
    }
    assert_eq!(Digest::of(&plain), layer.diff_id);
    let most = 3 << 20;
    assert!(sizes.iter().all(|size| *size <= most + 4096), "{sizes:?}");
    assert!(sizes.len() > 6, "{sizes:?}");
}

/// A frame that is cut, one bit that is not what it was, and rubbish behind the last frame.
#[test]
fn damaged_frames_are_errors() {
    let mut tree = Tree::new();
    put(&mut tree, Part::Files, "a", file(prose(300_000, 1)));
    let packed = pack_as(Compression::Zstd, &tree.layer(Part::Files), 1).blob.read_to_vec(u64::MAX).unwrap();
    let mut flipped = packed.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let mut other_sum = packed.clone();
    *other_sum.last_mut().unwrap() ^= 1;
    let cut = packed[..packed.len() - 2].to_vec();
    let behind = [packed.clone(), b"rubbish!".to_vec()].concat();
    for (what, bytes) in [("flipped", flipped), ("sum", other_sum), ("cut", cut), ("behind", behind)] {
        let error = diff_id(&blob(bytes)).expect_err(what);
        assert_eq!(error.code(), "layer/read", "{what}: {error}");
    }
    // Frames that hold nothing, or are to be skipped, are no end.
    let skipped = [b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec(), packed].concat();
    assert_eq!(diff_id(&blob(skipped)).unwrap().1, 300_000 / 512 * 512 + 512 + 512 + 1024);
}

/// A few bytes that unpack to a lot are refused at the limit.
#[test]
fn a_bomb_is_refused() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
    assert!(bomb.len() < 10_000);
    let limits = ReadLimits { unpacked: 1 << 20, ..ReadLimits::default() };
    let mut reader = read_layer_within(&blob(bomb), limits).unwrap();
    let error = loop {
        match reader.next_entry() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the limit was not seen"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), "layer/too-large");
}
