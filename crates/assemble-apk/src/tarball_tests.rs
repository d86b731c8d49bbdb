//! Archives that no sound tool writes.

use super::*;
use assemble_testkit::{TarEntry, TarKind, tar_bytes};
use proptest::prelude::*;

const LIMITS: WalkLimits = WalkLimits { extension: 4096, headers: 20 };

/// All entries as `name kind content`, and the error at the end, if any.
fn walk(bytes: &[u8]) -> String {
    let mut walker = Walker::new(bytes, LIMITS);
    let mut out = Vec::new();
    loop {
        match walker.next() {
            Ok(Some(item)) => {
                let link =
                    if item.link.is_empty() { String::new() } else { format!(" -> {}", shown(&item.link)) };
                let head = format!("{} {:?}{link} {}", shown(&item.name), item.kind, item.mtime);
                assert!(item.content.end <= bytes.len() as u64 || item.content.start <= item.content.end);
                match walker.content_to_vec() {
                    Ok(content) => {
                        let range = usize::try_from(item.content.start).unwrap()
                            ..usize::try_from(item.content.end).unwrap();
                        assert_eq!(content, &bytes[range]);
                        out.push(format!("{head} {}", shown(content)));
                    }
                    Err(error) => {
                        out.push(format!("{head} ERROR {error}"));
                        break;
                    }
                }
            }
            Ok(None) => break,
            Err(error) => {
                out.push(format!("ERROR {error}"));
                break;
            }
        }
    }
    out.join("; ")
}

/// Changes a field of the first header and makes the checksum right again.
fn with_field(bytes: &[u8], at: usize, value: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes[148..156].fill(b' ');
    let sum: u64 = bytes[..512].iter().map(|b| u64::from(*b)).sum();
    bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    bytes
}

/// An entry of any type with content, such as an extended header.
fn raw(kind: u8, name: &str, content: &[u8]) -> Vec<u8> {
    with_field(&tar_bytes(&[TarEntry::file(name, content)], false), 156, &[kind])
}

fn file(name: &str) -> Vec<u8> {
    tar_bytes(&[TarEntry::file(name, *b"x")], false)
}

#[test]
fn headers() {
    use expect_test::expect;
    let sound = file("f");
    let mut wrong_sum = sound.clone();
    wrong_sum[0] = b'g';
    let gnu = with_field(&sound, 257, b"ustar  \0");
    let prefixed = with_field(&sound, 345, b"a/b");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("sound", sound.clone()),
        ("gnu", gnu),
        ("prefix", prefixed),
        ("wrong sum", wrong_sum),
        ("version 7", with_field(&sound, 257, &[0; 8])),
        ("size in letters", with_field(&sound, 124, b"0000000000x\0")),
        ("size 8", with_field(&sound, 124, b"00000000008\0")),
        ("size empty", with_field(&sound, 124, &[0; 12])),
        ("size beyond", with_field(&sound, 124, b"77777777777\0")),
        ("size 2^62", with_field(&sound, 124, b"\x80\0\0\0\x40\0\0\0\0\0\0\0")),
        ("size 2^64", with_field(&sound, 124, b"\x80\0\0\x01\0\0\0\0\0\0\0\0")),
        ("size -1", with_field(&sound, 124, &[0xff; 12])),
        ("size binary", with_field(&sound, 124, b"\x80\0\0\0\0\0\0\0\0\0\0\x01")),
        ("size after zero", with_field(&sound, 124, b"1\x000000000001")),
        ("mode in letters", with_field(&sound, 100, b"rwxrwxr\0")),
        ("mode empty", with_field(&sound, 100, &[0; 8])),
        ("uid 2^32", with_field(&sound, 108, b"\x80\0\0\x01\0\0\0\0")),
        ("uid negative", with_field(&sound, 108, &[0xff; 8])),
        ("mtime negative", with_field(&sound, 136, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe")),
        ("mtime spaces", with_field(&sound, 136, b"         17 ")),
        ("one end block", [&sound[..], &[0; 512]].concat()),
        ("long end", [&sound[..], &[0; 10240]].concat()),
        ("after the end", [&sound[..], &[0; 1024], &sound].concat()),
        ("after one end block", [&sound[..], &[0; 512], &sound].concat()),
        ("cut header", sound[..300].to_vec()),
        ("cut content", sound[..512].to_vec()),
        ("cut padding", sound[..600].to_vec()),
        ("cut second header", [&sound[..], &sound[..100]].concat()),
        ("empty", Vec::new()),
        ("text", b"not a tar".to_vec()),
        ("block of text", vec![b'x'; 512]),
        ("many", sound.repeat(21)),
    ];
    let text =
        cases.iter().fold(String::new(), |text, (what, bytes)| text + what + ": " + &walk(bytes) + "\n");
    expect![[r#"
        sound: f File 0 x
        gnu: f File 0 x
        prefix: a/b/f File 0 x
        wrong sum: ERROR the block at byte 0 is no tar header: its checksum is wrong
        version 7: ERROR the block at byte 0 is no tar header: it has no ustar mark
        size in letters: ERROR the block at byte 0 is no tar header: the size is no number
        size 8: ERROR the block at byte 0 is no tar header: the size is no number
        size empty: f File 0 ; ERROR the block at byte 512 is no tar header: it has no ustar mark
        size beyond: f File 0 ERROR the archive ends in the middle of `f`
        size 2^62: f File 0 ERROR the archive ends in the middle of `f`
        size 2^64: ERROR the block at byte 0 is no tar header: the size is no number
        size -1: ERROR the block at byte 0 is no tar header: the size is no number
        size binary: f File 0 x
        size after zero: ERROR the block at byte 0 is no tar header: the size is no number
        mode in letters: ERROR the block at byte 0 is no tar header: the mode is no number
        mode empty: f File 0 x
        uid 2^32: ERROR the block at byte 0 is no tar header: the user is no number
        uid negative: ERROR the block at byte 0 is no tar header: the user is no number
        mtime negative: f File -2 x
        mtime spaces: f File 15 x
        one end block: f File 0 x
        long end: f File 0 x
        after the end: f File 0 x; ERROR the archive has more behind its end, at byte 2048
        after one end block: f File 0 x; ERROR the archive has more behind its end, at byte 1536
        cut header: ERROR the archive ends in the middle of its first header
        cut content: f File 0 ERROR the archive ends in the middle of `f`
        cut padding: f File 0 x; ERROR the archive ends in the middle of `f`
        cut second header: f File 0 x; ERROR the archive ends in the middle of `f`
        empty: 
        text: ERROR the archive ends in the middle of its first header
        block of text: ERROR the block at byte 0 is no tar header: it has no ustar mark
        many: f File 0 x; f File 0 x; f File 0 x; f File 0 x; f File 0 x; f File 0 x; f File 0 x; f File 0 x; f File 0 x; f File 0 x; f File 0 x; f File 0 x; f File 0 x; f File 0 x; f File 0 x; f File 0 x; f File 0 x; f File 0 x; f File 0 x; f File 0 x; ERROR the archive has more than 20 entries
    "#]]
    .assert_eq(&text);
}

#[test]
fn extended_headers() {
    use expect_test::expect;
    let long = "n".repeat(150);
    let (pax, name, link) =
        (raw(b'x', "x", b"10 path=p\n"), raw(b'L', "L", b"long\0"), raw(b'K', "K", b"target\0"));
    let global = raw(b'g', "g", b"10 path=g\n");
    let symlink = tar_bytes(&[TarEntry::new("s", TarKind::Symlink("short".into()))], false);
    let f = file("f");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("pax", [&pax[..], &f].concat()),
        ("pax for one entry only", [&pax[..], &f, &f].concat()),
        ("gnu long name", [&name[..], &f].concat()),
        ("gnu long link", [&link[..], &symlink].concat()),
        ("both", [&name[..], &pax, &f].concat()),
        ("name over 100 bytes", tar_bytes(&[TarEntry::file(&*long, "")], false).clone()),
        ("global", [&global[..], &f].concat()),
        ("two", [&pax[..], &pax, &f].concat()),
        ("two names", [&name[..], &name, &f].concat()),
        ("orphan", [&f[..], &pax].concat()),
        ("orphan before the end", [&pax[..], &[0; 1024]].concat()),
        ("zero byte in a long name", [&raw(b'L', "L", b"a\0b\0")[..], &f].concat()),
        ("too large", [&raw(b'x', "x", &[b'x'; 5000])[..], &f].concat()),
        ("global too large", [&raw(b'g', "g", &[b'x'; 5000])[..], &f].concat()),
        ("claims too much", with_field(&pax, 124, b"77777777777\0")),
        ("cut", with_field(&pax, 124, b"00000002000\0")),
        ("malformed", [&raw(b'x', "x", b"8 path=p\n")[..], &f].concat()),
        ("size of 8 GiB by PAX alone", [&raw(b'x', "x", b"19 size=8589934592\n")[..], &f].concat()),
        ("two sizes", [&raw(b'x', "x", b"10 size=9\n")[..], &f].concat()),
        ("same size twice", [&raw(b'x', "x", b"10 size=1\n")[..], &f].concat()),
        ("only global headers", global.repeat(21)),
    ];
    let text =
        cases.iter().fold(String::new(), |text, (what, bytes)| text + what + ": " + &walk(bytes) + "\n");
    expect![[r#"
        pax: p File 0 x
        pax for one entry only: p File 0 x; f File 0 x
        gnu long name: long File 0 x
        gnu long link: s Symlink -> target 0 
        both: ERROR the block at byte 2048 is no tar header: two extended headers name one entry
        name over 100 bytes: n…n File 0 
        global: f File 0 x
        two: ERROR the block at byte 1024 is no tar header: two extended headers belong to one entry
        two names: ERROR the block at byte 1024 is no tar header: two extended headers belong to one entry
        orphan: f File 0 x; ERROR the block at byte 1024 is no tar header: an extended header belongs to no entry
        orphan before the end: ERROR the block at byte 0 is no tar header: an extended header belongs to no entry
        zero byte in a long name: ERROR the block at byte 0 is no tar header: a long name holds a zero byte
        too large: ERROR the extended header at byte 0 has 5000 bytes; the limit is 4096
        global too large: ERROR the extended header at byte 0 has 5000 bytes; the limit is 4096
        claims too much: ERROR the extended header at byte 0 has 8589934591 bytes; the limit is 4096
        cut: ERROR the archive ends in the middle of `x`
        malformed: ERROR the extended header at byte 0 is malformed
        size of 8 GiB by PAX alone: f File 0 ERROR the archive ends in the middle of `f`
        two sizes: ERROR `f` has 1 bytes by its header, but 9 by its extended header
        same size twice: f File 0 x
        only global headers: ERROR the archive has more than 20 entries
    "#]]
    .assert_eq(&text.replace(&long, "n…n"));
}

#[test]
fn numbers() {
    for (field, expected) in [
        (&b"0000644\0"[..], Some(0o644)),
        (b"   644 \0", Some(0o644)),
        (b"644\0\0\0\0\0", Some(0o644)),
        (b"00000644", Some(0o644)),
        (b"\0\0\0\0", Some(0)),
        (b"", None),
        (b"-1\0", None),
        (b"+1\0", None),
        (b"8\0", None),
        (b"\x80\0\0\x05", Some(5)),
        (b"\xff\xff\xff\xfb", Some(-5)),
        (b"\x80\x80\0\0\0\0\0\0\0", None),
        (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
    ] {
        assert_eq!(numeric(field), expected, "{field:?}");
    }
}

proptest! {
    #[test]
    fn nothing_breaks_it(changes in proptest::collection::vec((0_usize..4096, any::<u8>()), 0..6), fix in any::<bool>()) {
        let entries = [
            TarEntry::new("d", TarKind::Directory),
            TarEntry::file("n".repeat(120), "content"),
            TarEntry::new("l", TarKind::Symlink("x".repeat(120))),
        ];
        let mut bytes = tar_bytes(&entries, true);
        for (at, value) in changes {
            if at < bytes.len() {
                bytes[at] = value;
            }
        }
        if fix {
            bytes = with_field(&bytes, 0, b"d");
        }
        walk(&bytes);
    }

    #[test]
    fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        walk(&bytes);
    }
}
