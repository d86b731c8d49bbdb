//! Layers that are broken or mean harm.

use std::io::Write as _;

use assemble_layer::{ReadLimits, first_difference, read_layer, read_layer_within};
use assemble_types::{Blob, Explain};
use expect_test::expect;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use crate::blob;

fn header(name: &[u8], type_flag: u8, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.as_mut_bytes()[156] = type_flag;
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn extended(type_flag: u8, data: &[u8]) -> Vec<u8> {
    let mut out = header(b"x", type_flag, data.len() as u64);
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Reads to the end: number of entries, or the error with its cause.
fn read_all(layer: &Blob, limits: ReadLimits) -> Result<usize, String> {
    let say = |error: assemble_layer::LayerError| {
        let cause = std::error::Error::source(&error).map(|c| format!(": {c}")).unwrap_or_default();
        format!("{}: {error}{cause}", error.code())
    };
    let mut reader = read_layer_within(layer, limits).map_err(say)?;
    let mut count = 0;
    while reader.next_entry().map_err(say)?.is_some() {
        count += 1;
    }
    Ok(count)
}

#[test]
fn each_is_refused_with_its_reason() {
    let good = [header(b"a", b'0', 3), b"abc".to_vec(), vec![0; 509 + 1024]].concat();
    let packed = gzip(&good);
    let mut flipped = packed.clone();
    let middle = flipped.len() - 6;
    flipped[middle] ^= 1;
    let mut out = String::new();
    for bytes in vec![
        Vec::new(),
        b"hello".to_vec(),
        vec![b'#'; 600],
        b"\x28\xb5\x2f\xfd....".to_vec(),
        zstd::bulk::compress(&[0; 700], 3).unwrap(),
        b"\xfd7zXZ\0".to_vec(),
        good[..700].to_vec(),
        good[..513].to_vec(),
        [&good[..], &[0; 100]].concat()[..1536 + 300].to_vec(),
        packed[..packed.len() - 1].to_vec(),
        flipped,
        [packed.clone(), b"rubbish".to_vec()].concat(),
        header(b"../../etc/passwd", b'0', 0),
        header(b"x\x1b[31m", b'S', 0),
        extended(b'x', b"5 path=a\n"),
        extended(b'x', b"18446744073709551616 path=a\n"),
        [extended(b'x', b"11 size=-1\n"), header(b"a", b'0', 0)].concat(),
        [extended(b'x', b"12 mtime=x\n\n"), header(b"a", b'0', 0)].concat(),
        [extended(b'L', &vec![b'n'; 20_000]), header(b"a", b'0', 0)].concat(),
        extended(b'L', &[b'n'; 200]),
        extended(b'g', b"").repeat(20),
        header(b"a", b'x', 1 << 30),
        header(b"a", b'0', 1 << 32),
    ] {
        let result = read_all(&blob(bytes), ReadLimits::default());
        out += &result.map_or_else(|e| e, |count| format!("{count} entries"));
        out.push('\n');
    }
    expect![[r#"
        layer/not-a-layer: the layer is neither gzip, zstd nor tar: it begins with 
        layer/not-a-layer: the layer is neither gzip, zstd nor tar: it begins with 68 65 6c 6c 6f
        layer/not-a-layer: the layer is neither gzip, zstd nor tar: it begins with 23 23 23 23 23 23 23 23
        layer/read: the layer cannot be read at byte 0 of its tar: Unsupported frame parameter
        0 entries
        layer/compression: the layer is compressed with xz, expected gzip, zstd or none
        layer/read: the layer cannot be read at byte 700 of its tar: unexpected end of file
        layer/read: the layer cannot be read at byte 513 of its tar: unexpected end of file
        1 entries
        layer/read: the layer cannot be read at byte 2048 of its tar: unexpected end of file
        layer/read: the layer cannot be read at byte 2048 of its tar: corrupt gzip stream does not have a matching checksum
        layer/read: the layer cannot be read at byte 2048 of its tar: unexpected end of file
        layer/name: entry 0 of the layer has a bad name: `../../etc/passwd` climbs with `..`; a path in an image cannot leave its root
        layer/type: /x\u{1b}[31m: entry type `S` is not known
        layer/read: the layer cannot be read at byte 1024 of its tar: the records of an extended header are malformed
        layer/read: the layer cannot be read at byte 1024 of its tar: the records of an extended header are malformed
        layer/field: /a: its size in the layer is no valid value
        layer/field: /a: its mtime in the layer is no valid value
        layer/too-large: the layer has more than 16384 bytes in one name
        layer/read: the layer cannot be read at byte 1024 of its tar: extended headers without an entry behind them
        layer/read: the layer cannot be read at byte 4608 of its tar: too many extended headers in a row
        layer/too-large: the layer has more than 1048576 bytes in an extended header
        layer/read: the layer cannot be read at byte 512 of its tar: unexpected end of file
    "#]].assert_eq(&out);
}

#[test]
fn what_unpacks_to_too_much_is_refused() {
    let limits = ReadLimits { unpacked: 1 << 20, entries: 10 };
    let zeros = [header(b"a", b'0', 5 << 20), vec![0; 6 << 20]].concat();
    let bomb = gzip(&zeros);
    assert!(bomb.len() < 100_000);
    let error = read_all(&blob(bomb), limits).unwrap_err();
    assert_eq!(error, "layer/too-large: the layer has more than 1048576 unpacked bytes");
    let many = [header(b"a", b'0', 0).repeat(11), vec![0; 1024]].concat();
    assert_eq!(
        read_all(&blob(many), limits).unwrap_err(),
        "layer/too-large: the layer has more than 10 entries"
    );
}

#[test]
fn what_others_write_is_read() {
    let two_members = [gzip(&header(b"./usr/", b'5', 0)), gzip(&[0; 1024])].concat();
    assert_eq!(read_all(&blob(two_members), ReadLimits::default()), Ok(1));
    let gnu = [
        extended(b'L', &[&[b'n'; 150][..], b"\0"].concat()),
        header(b"n", b'0', 2),
        b"ab".to_vec(),
        vec![0; 510],
        header(b"old/", 0, 0),
        extended(b'g', b"30 comment=for all entries...\n"),
        extended(b'x', b"15 mtime=12.75\n"),
        header(b"link", b'1', 77),
    ]
    .concat();
    let layer = blob(gnu);
    let mut reader = read_layer(&layer).unwrap();
    let long = reader.next_entry().unwrap().unwrap();
    assert_eq!((long.path.as_bytes().len(), long.size, long.mtime), (150, 2, 0));
    let mut one = [0];
    assert_eq!(reader.read_content(&mut one).unwrap(), 1);
    let old = reader.next_entry().unwrap().unwrap();
    assert_eq!((old.kind.name(), old.name.as_slice()), ("folder", &b"old/"[..]));
    assert_eq!(reader.read_content(&mut one).unwrap(), 0);
    let link = reader.next_entry().unwrap().unwrap();
    assert_eq!((link.kind.name(), link.size, link.mtime), ("hard link", 0, 12));
    assert!(reader.next_entry().unwrap().is_none(), "a tar may end without zero blocks");
    assert!(reader.next_entry().unwrap().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_end_well(mut bytes in proptest::collection::vec(any::<u8>(), 0..3000), flags in any::<[u8; 4]>(), at in 0usize..2000) {
        let _ = read_all(&blob(bytes.clone()), ReadLimits::default());
        let mut tar = [extended(b'x', b"12 path=abc\n"), header(b"a", flags[0], u64::from(flags[1]) * 9), vec![0; 2000]].concat();
        tar[at] ^= flags[2] | 1;
        let _ = read_all(&blob(tar.clone()), ReadLimits::default());
        bytes.truncate(900);
        tar.extend_from_slice(&bytes);
        let _ = read_all(&blob(gzip(&tar)), ReadLimits::default());
        let _ = first_difference(&blob(tar.clone()), &blob(gzip(&bytes)));
    }
}
