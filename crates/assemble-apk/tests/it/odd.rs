//! What odd entries come to: accepted and normalised, or refused by name.

use assemble_apk::EntryKind;
use assemble_testkit::{ApkBuilder, ApkEntry, TarKind};
use expect_test::expect;

use crate::kit::{chain, open_built};

/// The paths of a package, or why it is refused.
fn result(builder: &ApkBuilder) -> String {
    match open_built(&builder.build()) {
        Err(error) => format!("{} {}", assemble_types::Explain::code(&error), chain(&error)),
        Ok(package) => {
            let paths: Vec<String> =
                package.entries.iter().map(|e| format!("{} {}", e.path, e.mtime)).collect();
            paths.join(", ")
        }
    }
}

fn file(name: &str) -> ApkBuilder {
    ApkBuilder::new("a", "1").file(name, *b"x")
}

#[test]
fn names() {
    let long = "x".repeat(255);
    let mut text = String::new();
    for name in [
        "usr/x",
        "/usr/x",
        "//usr//x",
        "usr/x/",
        "./usr/x",
        "usr/./x",
        "../x",
        "usr/../x",
        "..",
        "",
        "/",
        "a\nb",
        "a\x1b[31m",
        "a\x7f",
        ".wh.x",
        "usr/.wh.x/y",
        "usr/.wh..wh..opq",
        "usr/.whx",
        "gr\u{f6}\u{df}e",
    ] {
        text.push_str(&format!("{name:?}: {}\n", result(&file(name))));
    }
    text.push_str(&format!("255: {}\n", result(&file(&long)).replace(&long, "…")));
    text.push_str(&format!("256: {}\n", result(&file(&format!("{long}x"))).replace('x', "")));
    text.push_str(&format!(
        "4096: {}\n",
        result(&file(&"ab/".repeat(1365).replacen('a', "aa", 1).replacen("b/", "b", 0)))
    ));
    text.push_str(&format!("5000: {}\n", result(&file(&"ab/c".repeat(1250)))));
    expect![[r#"
        "usr/x": /usr/x 0
        "/usr/x": /usr/x 0
        "//usr//x": /usr/x 0
        "usr/x/": apk/path a-1: the path `usr/x/` cannot be used: it ends in a slash, but is no folder
        "./usr/x": apk/path a-1: the path `./usr/x` cannot be used: it has a component `.`
        "usr/./x": apk/path a-1: the path `usr/./x` cannot be used: it has a component `.`
        "../x": apk/path a-1: the path `../x` cannot be used: it climbs with `..`
        "usr/../x": apk/path a-1: the path `usr/../x` cannot be used: it climbs with `..`
        "..": apk/path a-1: the path `..` cannot be used: it climbs with `..`
        "": apk/path a-1: the path `` cannot be used: it is empty
        "/": apk/path a-1: the path `/` cannot be used: it is empty
        "a\nb": apk/path a-1: the path `a\nb` cannot be used: it holds a control character
        "a\u{1b}[31m": apk/path a-1: the path `a\u{1b}[31m` cannot be used: it holds a control character
        "a\u{7f}": apk/path a-1: the path `a\u{7f}` cannot be used: it holds a control character
        ".wh.x": 
        "usr/.wh.x/y": apk/path a-1: the path `usr/.wh.x/y` cannot be used: a part of it begins with `.wh.`, which deletes files of lower layers when the image is unpacked
        "usr/.wh..wh..opq": apk/path a-1: the path `usr/.wh..wh..opq` cannot be used: a part of it begins with `.wh.`, which deletes files of lower layers when the image is unpacked
        "usr/.whx": /usr/.whx 0
        "größe": /größe 0
        255: /… 0
        256: apk/path a-1: the path `…` cannot be used: a part of it has more than 255 bytes
        4096: apk/path a-1: the path `aab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/ab/…` cannot be used: it ends in a slash, but is no folder
        5000: apk/path a-1: the path `ab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/cab/c…` cannot be used: it has more than 4096 bytes
    "#]]
    .assert_eq(&text);
}

#[test]
fn hidden_files_at_the_top_are_left_out_until_something_else_comes() {
    let builder = ApkBuilder::new("a", "1")
        .file(".dummy", *b"")
        .file(".PKGINFO", *b"pkgname = forged")
        .dir("usr")
        .file(".third", *b"t")
        .file("usr/.dot", *b"d");
    assert_eq!(result(&builder), "/usr 0, /.third 0, /usr/.dot 0");
    assert_eq!(result(&ApkBuilder::new("a", "1").dir(".hidden").file(".hidden/x", *b"")), "/.hidden/x 0");
    assert_eq!(result(&ApkBuilder::new("a", "1").file("..", *b"")), result(&file("..")));
}

#[test]
fn of_a_name_listed_twice_the_last_wins() {
    let package =
        open_built(&ApkBuilder::new("a", "1").file("x", *b"1").file("y", *b"2").file("//x", *b"3").build())
            .unwrap();
    let shown: Vec<String> = package
        .entries
        .iter()
        .map(|e| match &e.kind {
            EntryKind::File(blob) => {
                format!("{}={}", e.path, String::from_utf8(blob.read_to_vec(9).unwrap()).unwrap())
            }
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(shown, ["/y=2", "/x=3"]);
    let folders = ApkBuilder::new("a", "1").dir("d").file("d/x", *b"1").dir("d/").mode(0o700).mtime(7);
    assert_eq!(result(&folders), "/d 7, /d/x 0");
    let text = [
        ApkBuilder::new("a", "1").dir("d").file("d", *b"1"),
        ApkBuilder::new("a", "1").file("d", *b"1").dir("d/"),
        ApkBuilder::new("a", "1").dir("d").symlink("d", "/etc"),
    ]
    .into_iter()
    .fold(String::new(), |text, builder| text + &result(&builder) + "\n");
    expect![[r#"
        apk/clash a-1: /d is listed both as a folder and as something else
        apk/clash a-1: /d is listed both as a folder and as something else
        apk/clash a-1: /d is listed both as a folder and as something else
    "#]]
    .assert_eq(&text);
}

#[test]
fn kinds_and_links() {
    let entry = |kind| ApkBuilder::new("a", "1").entry(ApkEntry::new("dev/x", kind));
    let mut text = String::new();
    for (what, builder) in [
        ("char", entry(TarKind::Other(b'3'))),
        ("block", entry(TarKind::Other(b'4'))),
        ("fifo", entry(TarKind::Other(b'6'))),
        ("contiguous", entry(TarKind::Other(b'7'))),
        ("unknown", entry(TarKind::Other(b'Z'))),
        ("sparse", entry(TarKind::Other(b'S'))),
        ("sparse pax", file("x").pax("GNU.sparse.major", b"1")),
        ("link", ApkBuilder::new("a", "1").symlink("l", "../../../etc/passwd")),
        ("empty link", ApkBuilder::new("a", "1").symlink("l", "")),
        ("long link", ApkBuilder::new("a", "1").symlink("l", &"x".repeat(4097))),
        ("hard", ApkBuilder::new("a", "1").file("x", *b"").hardlink("y", "/x")),
        ("hard outside", ApkBuilder::new("a", "1").hardlink("y", "../../etc/passwd")),
        ("hard to nothing", ApkBuilder::new("a", "1").hardlink("y", "")),
        ("folder with slash", ApkBuilder::new("a", "1").dir("usr/")),
    ] {
        text.push_str(&format!("{what}: {}\n", result(&builder)));
    }
    expect![[r#"
        char: apk/entry-kind a-1: /dev/x is a device, which a package cannot install
        block: apk/entry-kind a-1: /dev/x is a device, which a package cannot install
        fifo: apk/entry-kind a-1: /dev/x is a named pipe, which a package cannot install
        contiguous: apk/entry-kind a-1: /dev/x is an entry of unknown type `7`, which a package cannot install
        unknown: apk/entry-kind a-1: /dev/x is an entry of unknown type `Z`, which a package cannot install
        sparse: apk/archive a-1: the data section is no sound archive: `dev/x` is a sparse file, which packages cannot hold
        sparse pax: apk/archive a-1: the data section is no sound archive: `x` is a sparse file, which packages cannot hold
        link: /l 0
        empty link: apk/link a-1: /l is a symbolic link without a usable target
        long link: apk/link a-1: /l is a symbolic link without a usable target
        hard: /x 0, /y 0
        hard outside: apk/path a-1: /y is a hard link to `../../etc/passwd`, which cannot be used: it climbs with `..`
        hard to nothing: apk/path a-1: /y is a hard link to ``, which cannot be used: it is empty
        folder with slash: /usr 0
    "#]]
    .assert_eq(&text);
}

#[test]
fn pax_records() {
    let mut text = String::new();
    for (key, value) in [
        ("path", &b"usr/other"[..]),
        ("path", b"../other"),
        ("path", b"a\0b"),
        ("path", b""),
        ("size", b"0"),
        ("size", b"1"),
        ("size", b"9223372036854775808"),
        ("size", b"18446744073709551615"),
        ("size", b"18446744073709551616"),
        ("size", b"-1"),
        ("uid", b"4294967296"),
        ("mtime", b"1.5"),
        ("mtime", b"-5.5"),
        ("mtime", b"x"),
        ("APK-TOOLS.checksum.SHA1", b"11f6ad8ec52a2984abaafd7c3b516503785c2072"),
        ("APK-TOOLS.checksum.SHA1", b"Q1EfatjsUqKYSrqv18O1FlA3hcIHI="),
        ("APK-TOOLS.checksum.SHA1", b"0000000000000000000000000000000000000000"),
        ("APK-TOOLS.checksum.SHA1", b"xyz"),
        ("SCHILY.xattr.", b"x"),
    ] {
        text.push_str(&format!(
            "{key}={:?}: {}\n",
            String::from_utf8_lossy(value),
            result(&file("f").pax(key, value))
        ));
    }
    expect![[r#"
        path="usr/other": /usr/other 0
        path="../other": apk/path a-1: the path `../other` cannot be used: it climbs with `..`
        path="a\0b": apk/archive a-1: the data section is no sound archive: the extended header at byte 0 is malformed: the value of `path` holds a zero byte
        path="": /f 0
        size="0": apk/archive a-1: the data section is no sound archive: `f` has 1 bytes by its header, but 0 by its extended header
        size="1": /f 0
        size="9223372036854775808": apk/archive a-1: the data section is no sound archive: the archive ends in the middle of `f`
        size="18446744073709551615": apk/archive a-1: the data section is no sound archive: the block at byte 1024 is no tar header: the size is out of range
        size="18446744073709551616": apk/archive a-1: the data section is no sound archive: the extended header at byte 0 is malformed: the value of `size` is `18446744073709551616`
        size="-1": apk/archive a-1: the data section is no sound archive: the extended header at byte 0 is malformed: the value of `size` is `-1`
        uid="4294967296": apk/archive a-1: the data section is no sound archive: the extended header at byte 0 is malformed: the value of `uid` is `4294967296`
        mtime="1.5": /f 2
        mtime="-5.5": /f -5
        mtime="x": apk/archive a-1: the data section is no sound archive: the extended header at byte 0 is malformed: the value of `mtime` is `x`
        APK-TOOLS.checksum.SHA1="11f6ad8ec52a2984abaafd7c3b516503785c2072": /f 0
        APK-TOOLS.checksum.SHA1="Q1EfatjsUqKYSrqv18O1FlA3hcIHI=": /f 0
        APK-TOOLS.checksum.SHA1="0000000000000000000000000000000000000000": apk/file-checksum a-1: /f has checksum Q1EfatjsUqKYSrqv18O1FlA3hcIHI=, but is listed with Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=
        APK-TOOLS.checksum.SHA1="xyz": apk/file-checksum a-1: /f has an unreadable checksum: `xyz` is no checksum: expected `Q1` and 28 characters of base64, or `Q2` and 44
        SCHILY.xattr.="x": apk/archive a-1: the data section is no sound archive: the extended header at byte 0 is malformed: the value of `SCHILY.xattr.` is `x`
    "#]]
    .assert_eq(&text);
}

/// Only then may a file be without one: refusing it is for whoever installs it.
#[test]
fn a_missing_checksum_is_kept_as_missing() {
    let package = open_built(&file("f").without_checksums().build()).unwrap();
    assert_eq!(package.entries[0].checksum, None);
}
