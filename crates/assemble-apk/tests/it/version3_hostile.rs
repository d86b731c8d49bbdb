//! Packages and indexes of format version 3 made for the purpose: sound ones, altered ones, and such as no tool makes.

use std::collections::BTreeMap;

use assemble_apk::{
    Checksum, EntryKind, Expected, IndexError, Limits, Package, PackageError, Trust, open_package,
    open_signed_package, read_index,
};
use assemble_testkit::{
    AdbCompression, AdbPackageBuilder, AdbValue, BuiltAdb, SigningKey, adb_database, adb_file, adb_index,
};
use assemble_types::{Blob, Explain as _, MemorySpool};
use expect_test::expect;
use sha2::{Digest as _, Sha256};

use crate::kit::{chain, id, test_keyring};

const ALL: [AdbCompression; 3] = [AdbCompression::None, AdbCompression::Deflate, AdbCompression::Zstd];

fn sample() -> AdbPackageBuilder {
    AdbPackageBuilder::new("sample", "1.0-r0")
        .depend("musl")
        .provides("cmd:sample")
        .folder("", 0o700)
        .file(".hidden", 0o644, *b"h")
        .folder("usr/bin", 0o755)
        .file("sample", 0o755, *b"#!/bin/sh\n")
        .xattr(b"user.kind\0a\0b")
        .target("other", 0o100_000, b"usr/bin/sample", b"#!/bin/sh\n")
        .target("soft", 0o120_000, b"sample", b"")
        .file("empty", 0o4755, *b"")
        .folder("var/empty", 0o1777)
        .script(3, "#!/bin/sh\nexit 0\n")
        .script(1, "#!/bin/sh\n")
        .trigger("/usr/lib/*")
        .trigger("/bin")
}

fn open_as(bytes: Vec<u8>, hash: [u8; 32], limits: &Limits) -> Result<Package, PackageError> {
    let expected = Expected { id: id("sample", "1.0-r0"), checksum: Checksum::from_sha256(hash) };
    open_package(&Blob::from_bytes(bytes), &expected, limits, &MemorySpool)
}

fn open(built: &BuiltAdb) -> Result<Package, PackageError> {
    open_as(built.bytes.clone(), built.hash, &Limits::default())
}

/// Everything of a package that matters, in lines.
fn shown(package: &Package) -> String {
    let info = &package.info;
    let mut text = format!(
        "{} {} depends {:?} provides {:?} triggers {:?} time {} size {}\n",
        package.id(),
        info.arch,
        info.depends,
        info.provides,
        info.triggers,
        info.build_time,
        info.installed_size
    );
    for entry in &package.entries {
        let what = match &entry.kind {
            EntryKind::Directory => "folder".to_owned(),
            EntryKind::File(blob) => String::from_utf8(blob.read_to_vec(100).unwrap()).unwrap(),
            EntryKind::Symlink(to) => format!("-> {}", String::from_utf8_lossy(to)),
            EntryKind::HardLink { target, .. } => format!("= {target}"),
        };
        let sum = entry.checksum.map_or_else(|| "-".to_owned(), |sum| sum.to_string());
        text.push_str(&format!(
            "{} {} {} {} {sum} {:?} {what:?}\n",
            entry.path,
            entry.mode,
            entry.owner,
            entry.mtime,
            entry.xattrs.as_deref().unwrap_or(&BTreeMap::new())
        ));
    }
    for script in &package.control_entries {
        text.push_str(&format!("{} {} {}\n", script.name, script.mode, script.content.len()));
    }
    text
}

#[test]
fn a_sound_package_opens() {
    let texts = ALL.map(|compression| shown(&open(&sample().compression(compression).build()).unwrap()));
    assert!(texts[0] == texts[1] && texts[1] == texts[2]);
    expect![[r##"
        sample-1.0-r0 x86_64 depends ["musl"] provides ["cmd:sample"] triggers ["/usr/lib/* /bin"] time 0 size 21
        /.hidden 0644 0:0 1700000000 Q1J9VILuvQdd5EOJd0/OKMafRcinU= {} "h"
        /usr 0755 0:0 1700000000 - {} "folder"
        /usr/bin 0755 0:0 1700000000 - {} "folder"
        /usr/bin/sample 0755 0:0 1700000000 Q1vZcb7IgUmVZFihD8nF7LPrmd1FI= {[117, 115, 101, 114, 46, 107, 105, 110, 100]: [97, 0, 98]} "#!/bin/sh\n"
        /usr/bin/other 0755 0:0 1700000000 Q1vZcb7IgUmVZFihD8nF7LPrmd1FI= {} "= /usr/bin/sample"
        /usr/bin/soft 0755 0:0 1700000000 Q1gVEyXc266eD/lfn5ZYQy2+39sgk= {} "-> sample"
        /usr/bin/empty 4755 0:0 1700000000 Q12jmj7l5rSw0yVb/vlWAYkK/YBwk= {} ""
        /var 0755 0:0 1700000000 - {} "folder"
        /var/empty 1777 0:0 1700000000 - {} "folder"
        .trigger 0755 10
        .post-install 0755 17
    "##]].assert_eq(&texts[0]);
    let dated = open(&sample().build_time(1_600_000_000).build()).unwrap();
    let times: Vec<i64> = dated.entries.iter().map(|entry| entry.mtime).collect();
    assert_eq!(
        times[..2],
        [1_700_000_000, 1_600_000_000],
        "files have times of their own, folders the build's"
    );
}

#[test]
fn a_package_may_vouch_for_itself() {
    let open = |builder: &AdbPackageBuilder| {
        let blob = Blob::from_bytes(builder.build().bytes);
        match open_signed_package(&blob, &test_keyring(), &Limits::default(), &MemorySpool) {
            Ok(opened) => format!("{} by {}", opened.package.id(), opened.signed_by),
            Err(problem) => chain(&problem),
        }
    };
    let keys = [SigningKey::Test, SigningKey::Other];
    let texts: Vec<String> =
        [&keys[..1], &keys[1..], &keys, &[]].map(|keys| open(&sample().signed_by(keys))).to_vec();
    expect![[r#"
        sample-1.0-r0 by testkit.rsa.pub
        the package is not trusted: it is signed by the key with identifier a51f497deb32269e36a38fc7eb9bccb7, and none of these keys is trusted
        sample-1.0-r0 by testkit.rsa.pub
        the package is not trusted: it is not signed"#]].assert_eq(&texts.join("\n"));
}

/// Any altered bit is found, or does not matter: signatures do not where an index vouches.
#[test]
fn every_altered_byte_is_found_or_does_not_matter() {
    for compression in ALL {
        let built = sample().compression(compression).build();
        let sound = shown(&open(&built).unwrap());
        let blob = |bytes: &[u8]| Blob::from_bytes(bytes);
        let limits = Limits::default();
        let mut let_in = 0;
        for at in 0..built.bytes.len() {
            let mut altered = built.bytes.clone();
            altered[at] ^= 1 << (at % 8);
            if let Ok(package) = open_as(altered.clone(), built.hash, &limits) {
                assert_eq!(shown(&package), sound, "{compression:?}, byte {at}");
                let_in += 1;
            }
            if let Ok(opened) = open_signed_package(&blob(&altered), &test_keyring(), &limits, &MemorySpool) {
                assert_eq!(shown(&opened.package), sound, "{compression:?}, byte {at}");
            }
        }
        assert!(let_in < built.bytes.len(), "{compression:?}");
        for cut in 0..built.bytes.len() {
            assert!(
                open_as(built.bytes[..cut].to_vec(), built.hash, &limits).is_err(),
                "{compression:?} {cut}"
            );
        }
    }
}

#[test]
fn every_altered_byte_of_an_index_is_found() {
    let package = sample().build();
    for compression in ALL {
        let bytes = adb_index(&[&package], "", &[SigningKey::Test], compression);
        let read = |bytes: &[u8]| {
            read_index(bytes, &test_keyring(), Trust::Required)
                .map(|index| format!("{:?} {:?} {:?}", index.records, index.description, index.signed_by))
        };
        let sound = read(&bytes).unwrap();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1 << (at % 8);
            if let Ok(text) = read(&altered) {
                assert_eq!(text, sound, "{compression:?}, byte {at}");
            }
            assert!(read(&bytes[..at]).is_err(), "{compression:?}, cut at {at}");
        }
    }
}

/// A package of this root object and these blocks, which its index vouches for.
fn made(root: &AdbValue, data: &[(u32, u32, Vec<u8>)]) -> String {
    let database = adb_database(root);
    let bytes = adb_file(*b"pckg", &database, &[], data, AdbCompression::None);
    judged(open_as(bytes, Sha256::digest(&database).into(), &Limits::default()))
}

fn judged(opened: Result<Package, PackageError>) -> String {
    match opened {
        Ok(package) => format!("opened: {} entries", package.entries.len()),
        Err(error) => format!("{} {}", error.code(), chain(&error)),
    }
}

fn package() -> AdbPackageBuilder {
    AdbPackageBuilder::new("sample", "1.0-r0")
}

#[test]
fn entries_that_cannot_be_installed() {
    let folder = |name: &str| package().folder(name, 0o755);
    let file = |name: &str| package().file(name, 0o644, *b"x");
    let target = |kind: u16, to: &[u8]| folder("a").file("f", 0o644, *b"x").target("g", kind, to, b"x");
    let mut text = String::new();
    for (name, builder) in [
        ("climbs", folder("a/../b")),
        ("absolute", folder("/a")),
        ("slash behind", folder("a/")),
        ("two slashes", folder("a//b")),
        ("whiteout", folder("a/.wh.b")),
        ("line end", folder("a\nb")),
        ("dot", folder(".")),
        ("file with slash", file("a/b")),
        ("file without name", file("")),
        ("file that climbs", file("..")),
        ("folder twice", folder("a").folder("a", 0o755)),
        ("file twice", file("a").file("a", 0o644, *b"x")),
        ("file, then folder", file("a").folder("a", 0o755)),
        ("file, then below it", file("a").folder("a/b/c", 0o755)),
        ("folder, then file", folder("a").folder("", 0o755).file("a", 0o644, *b"x")),
        ("block device", target(0o060_000, &[0; 8])),
        ("character device", target(0o020_000, &[0; 8])),
        ("pipe", target(0o010_000, &[0; 8])),
        ("socket", target(0o140_000, b"x")),
        ("no kind", package().target("g", 0, b"", b"")),
        ("link without text", target(0o120_000, b"")),
        ("link with zero byte", target(0o120_000, b"a\0b")),
        ("hard link to nothing", target(0o100_000, b"a/none")),
        ("hard link to a folder", target(0o100_000, b"a")),
        ("hard link that climbs", target(0o100_000, b"../a/f")),
        (
            "hard link to another content",
            folder("a").file("f", 0o644, *b"y").target("g", 0o100_000, b"a/f", b"x"),
        ),
        ("hard link to itself", target(0o100_000, b"a/g")),
        ("hard link forward", folder("a").target("e", 0o100_000, b"a/f", b"x").file("f", 0o644, *b"x")),
        ("sound hard link", target(0o100_000, b"a/f")),
        ("mode", folder("a").file("f", 0o100_644, *b"x")),
        ("attribute without name", file("a").xattr(b"\0value")),
        ("attribute without value", file("a").xattr(b"user.x")),
        ("attribute twice", file("a").xattr(b"user.x\0a").xattr(b"user.x\0b")),
        ("trigger", package().trigger("/a b")),
        ("dependency with operator", package().depend("a=1")),
        ("dependency without name", package().depend("")),
        ("another package", AdbPackageBuilder::new("other", "1.0-r0")),
    ] {
        text.push_str(&format!("{name}: {}\n", made(&builder.root(), &builder.data())));
    }
    expect![[r#"
        climbs: apk/path sample-1.0-r0: the path `a/../b` cannot be used: it climbs with `..`
        absolute: apk/path sample-1.0-r0: the path `/a` cannot be used: it has a slash in front, behind, or two in a row
        slash behind: apk/path sample-1.0-r0: the path `a/` cannot be used: it has a slash in front, behind, or two in a row
        two slashes: apk/path sample-1.0-r0: the path `a//b` cannot be used: it has a slash in front, behind, or two in a row
        whiteout: apk/path sample-1.0-r0: the path `a/.wh.b` cannot be used: a part of it begins with `.wh.`, which deletes files of lower layers when the image is unpacked
        line end: apk/path sample-1.0-r0: the path `a\nb` cannot be used: it holds a control character
        dot: apk/path sample-1.0-r0: the path `.` cannot be used: it has a component `.`
        file with slash: apk/path sample-1.0-r0: the path `a/b` cannot be used: it has a slash in front, behind, or two in a row
        file without name: apk/path sample-1.0-r0: the path `` cannot be used: it is empty
        file that climbs: apk/path sample-1.0-r0: the path `..` cannot be used: it climbs with `..`
        folder twice: apk/clash sample-1.0-r0: /a is listed twice
        file twice: apk/clash sample-1.0-r0: /a is listed twice
        file, then folder: apk/clash sample-1.0-r0: /a is listed twice
        file, then below it: apk/clash sample-1.0-r0: /a is listed both as a folder and as something else
        folder, then file: apk/clash sample-1.0-r0: /a is listed twice
        block device: apk/entry-kind sample-1.0-r0: /a/g is a device, which a package cannot install
        character device: apk/entry-kind sample-1.0-r0: /a/g is a device, which a package cannot install
        pipe: apk/entry-kind sample-1.0-r0: /a/g is a named pipe, which a package cannot install
        socket: apk/entry-kind sample-1.0-r0: /a/g is an entry of unknown kind, which a package cannot install
        no kind: apk/entry-kind sample-1.0-r0: /g is an entry of unknown kind, which a package cannot install
        link without text: apk/link sample-1.0-r0: /a/g is a symbolic link without a usable target
        link with zero byte: apk/link sample-1.0-r0: /a/g is a symbolic link without a usable target
        hard link to nothing: apk/link sample-1.0-r0: /a/g is a hard link to /a/none, which is no file that the package lists before it
        hard link to a folder: apk/link sample-1.0-r0: /a/g is a hard link to /a, which is no file that the package lists before it
        hard link that climbs: apk/path sample-1.0-r0: /a/g is a hard link to `../a/f`, which cannot be used: it climbs with `..`
        hard link to another content: apk/link sample-1.0-r0: /a/g is a hard link to /a/f, but is listed with another size or hash
        hard link to itself: apk/link sample-1.0-r0: /a/g is a hard link to /a/g, which is no file that the package lists before it
        hard link forward: apk/link sample-1.0-r0: /a/e is a hard link to /a/f, which is no file that the package lists before it
        sound hard link: opened: 3 entries
        mode: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: `mode` in its database is no mode
        attribute without name: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: `xattrs` in its database has an item without a name
        attribute without value: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: `xattrs` in its database has an item without a name
        attribute twice: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: `xattrs` in its database has a name twice
        trigger: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: `triggers` in its database holds white space or a control character
        dependency with operator: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: `depends` in its database holds no dependency
        dependency without name: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: `depends` in its database holds no dependency
        another package: apk/identity sample-1.0-r0: the file says that it is other-1.0-r0
    "#]].assert_eq(&text);
}

type Data = Vec<(u32, u32, Vec<u8>)>;

#[test]
fn contents_are_those_that_are_listed() {
    let builder =
        package().folder("a", 0o755).file("e", 0o644, *b"").file("f", 0o644, *b"x").file("g", 0o644, *b"yz");
    let data = builder.data();
    let root = builder.root();
    let with = |change: &dyn Fn(&mut Data)| {
        let mut data = data.clone();
        change(&mut data);
        made(&root, &data)
    };
    let mut text = String::new();
    for (name, outcome) in [
        ("sound", with(&|_| {})),
        ("swapped", with(&|data| data.swap(0, 1))),
        ("missing", with(&|data| drop(data.pop()))),
        ("one more", with(&|data| data.push((1, 3, b"yz".to_vec())))),
        ("of an empty file", with(&|data| data.insert(0, (1, 1, Vec::new())))),
        ("other folder", with(&|data| data[0].0 = 2)),
        ("other file", with(&|data| data[0].1 = 1)),
        ("longer", with(&|data| data[0].2.push(b'x'))),
        ("shorter", with(&|data| data[1].2.truncate(1))),
        ("altered", with(&|data| data[1].2[0] = b'Y')),
    ] {
        text.push_str(&format!("{name}: {outcome}\n"));
    }
    expect![[r#"
        sound: opened: 4 entries
        swapped: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 544 of its contents is not that of the next file
        missing: apk/damaged sample-1.0-r0: the package of format version 3 cannot be used: it is damaged or cut short: unexpected end of file
        one more: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 576 of its contents belongs to no file
        of an empty file: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 544 of its contents is not that of the next file
        other folder: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 544 of its contents is not that of the next file
        other file: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 544 of its contents is not that of the next file
        longer: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 544 of its contents is not that of the next file
        shorter: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 560 of its contents is not that of the next file
        altered: apk/file-checksum sample-1.0-r0: /a/g has hash 9a1367154da4bf89c64092ce4912d3472ae9ced2ecce5f54d1724ab8970f11f0, but is listed with 68d617d6d2ee5715af77d9795566cfaba9a43a33d14cbbc95831c507c935bad1
    "#]].assert_eq(&text);
}

/// Words of a database by their places: 8 stands behind the header.
#[test]
fn databases_that_turn_on_themselves() {
    let info = || AdbValue::Object(vec![AdbValue::text("sample"), AdbValue::text("1.0-r0")]);
    let with_paths = |paths| AdbValue::Object(vec![info(), paths]);
    let access = || {
        AdbValue::Object(vec![
            AdbValue::Int(0o755),
            AdbValue::text("root"),
            AdbValue::text("root"),
            AdbValue::Null,
        ])
    };
    // One file object, in a list that names it over and over; a folder object likewise.
    let many = |folders: usize, files: usize| {
        let folder = |number: usize| {
            let files = (0..files)
                .map(|file| {
                    AdbValue::Object(vec![
                        AdbValue::text(&format!("f{file}")),
                        access(),
                        AdbValue::Null,
                        AdbValue::Null,
                        AdbValue::Blob(Sha256::digest(b"").to_vec()),
                    ])
                })
                .collect();
            AdbValue::Object(vec![AdbValue::text(&format!("d{number}")), access(), AdbValue::Array(files)])
        };
        with_paths(AdbValue::Array((0..folders).map(folder).collect()))
    };
    let mut text = String::new();
    for (name, root) in [
        ("no info", AdbValue::Object(vec![AdbValue::Null])),
        ("a list as root", AdbValue::Array(vec![info()])),
        ("a number as info", AdbValue::Object(vec![AdbValue::Int(1)])),
        ("an object as list", with_paths(info())),
        ("an empty folder", with_paths(AdbValue::Array(vec![AdbValue::Null]))),
        (
            "a folder without mode",
            with_paths(AdbValue::Array(vec![AdbValue::Object(vec![AdbValue::text("a")])])),
        ),
        ("outside", with_paths(AdbValue::Raw(0xdfff_fffc))),
        ("at the header", with_paths(AdbValue::Raw(0xd000_0000))),
        ("unknown kind", with_paths(AdbValue::Raw(0xf000_0001))),
        ("true", with_paths(AdbValue::Raw(1))),
        ("large list", many(2, 1000)),
    ] {
        text.push_str(&format!("{name}: {}\n", made(&root, &[])));
    }
    let limits = Limits { entries: 100, metadata: 1 << 16, ..Limits::default() };
    let judge = |root: &AdbValue, limits: &Limits| {
        let database = adb_database(root);
        let bytes = adb_file(*b"pckg", &database, &[], &[], AdbCompression::None);
        judged(open_as(bytes, Sha256::digest(&database).into(), limits))
    };
    text.push_str(&format!("too many: {}\n", judge(&many(2, 60), &limits)));
    let names = Limits { entries: 10_000, ..limits };
    text.push_str(&format!("too much: {}\n", judge(&many(4, 100), &names)));
    let small = Limits { database: 100, ..Limits::default() };
    text.push_str(&format!("too large: {}\n", judge(&many(1, 10), &small)));
    let version = {
        let mut database = adb_database(&with_paths(AdbValue::Null));
        database[0] = 1;
        let bytes = adb_file(*b"pckg", &database, &[], &[], AdbCompression::None);
        judged(open_as(bytes, Sha256::digest(&database).into(), &Limits::default()))
    };
    text.push_str(&format!("newer: {version}\n"));
    expect![[r#"
        no info: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: `info` in its database is missing
        a list as root: opened: 0 entries
        a number as info: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: `info` in its database has no slots
        an object as list: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: `paths` in its database has no slots
        an empty folder: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: `paths` in its database has an empty item
        a folder without mode: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: `acl` in its database is missing
        outside: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: `paths` in its database points outside the database
        at the header: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: `paths` in its database has no slots
        unknown kind: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: `paths` in its database has no slots
        true: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: `paths` in its database has no slots
        large list: opened: 2002 entries
        too many: apk/too-large sample-1.0-r0: the package has more than 100 entries
        too much: apk/too-large sample-1.0-r0: the package of format version 3 cannot be used: the values of its database add up to more than 65536 bytes
        too large: apk/too-large sample-1.0-r0: the package of format version 3 cannot be used: its database has more than 100 bytes
        newer: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: its database needs a newer reader (format 1)
    "#]].assert_eq(&text);
}

/// A long text that a list names over and over is few bytes in the file, and many in memory.
#[test]
fn shared_values_cannot_fill_the_memory() {
    let with = |length: usize, times: usize| {
        // An object behind all that is read, written first, so that its text has a known place: behind the header.
        let first = AdbValue::Object(vec![AdbValue::Blob(vec![b'a'; length])]);
        let dependency = AdbValue::Object(vec![AdbValue::Raw(0x9000_0008)]);
        let mut info = vec![first, AdbValue::text("1.0-r0")];
        info.resize(14, AdbValue::Null);
        info.push(AdbValue::Array(vec![dependency; times]));
        let AdbValue::Object(mut root) = package().root() else { panic!("an object") };
        root[0] = AdbValue::Object(info);
        let mut database = adb_database(&AdbValue::Object(root));
        assert_eq!(database[8..10], u16::try_from(length).unwrap().to_le_bytes());
        // The name is the same text.
        let object = u32::from_le_bytes(database[4..8].try_into().unwrap()) & 0x0fff_ffff;
        let info = word(&database, object as usize + 4) & 0x0fff_ffff;
        let name = info as usize + 4;
        database[name..name + 4].copy_from_slice(&0x9000_0008_u32.to_le_bytes());
        let bytes = adb_file(*b"pckg", &database, &[], &[], AdbCompression::Deflate);
        let limits = Limits { metadata: 1 << 20, ..Limits::default() };
        judged(open_as(bytes, Sha256::digest(&database).into(), &limits))
    };
    let text = [with(300, 10), with(300, 5000), with(5000, 1)].join("\n");
    expect![[r#"
        apk/identity sample-1.0-r0: the file says that it is aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-1.0-r0
        apk/too-large sample-1.0-r0: the package of format version 3 cannot be used: the values of its database add up to more than 1048576 bytes
        apk/adb sample-1.0-r0: the package of format version 3 cannot be used: `name` in its database is too long"#]].assert_eq(&text);
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The container around a sound database.
#[test]
fn blocks_that_cannot_be() {
    let built = package().folder("a", 0o755).file("f", 0o644, *b"x").signed_by(&[]).build();
    let judge = |bytes: Vec<u8>| judged(open_as(bytes, built.hash, &Limits::default()));
    let plain = &built.bytes;
    // Header of eight bytes, the database, the block of data.
    let data_at = 8 + (built.database.len() + 4).next_multiple_of(8);
    let insert = |at: usize, bytes: &[u8]| [&plain[..at], bytes, &plain[at..]].concat();
    let long = |kind: u32, size: u64| {
        [(0xc000_0000 | kind).to_le_bytes().as_slice(), &[0; 4], &size.to_le_bytes()].concat()
    };
    let signature = |len: u32| [&(1 << 30 | (len + 4)).to_le_bytes()[..], &vec![0; len as usize]].concat();
    // The block of the database in the long form.
    let mut in_long_form =
        [&plain[..8], &long(0, built.database.len() as u64 + 16), &built.database].concat();
    in_long_form.resize(in_long_form.len().next_multiple_of(8), 0);
    in_long_form.extend_from_slice(&plain[data_at..]);
    let mut filled = plain.clone();
    *filled.last_mut().unwrap() = 1;
    let mut text = String::new();
    for (name, bytes) in [
        ("sound", plain.clone()),
        ("long form", in_long_form),
        ("long form, endless", [&plain[..data_at], &long(2, u64::MAX)].concat()),
        ("long form, shorter than itself", [&plain[..data_at], &long(2, 15)].concat()),
        ("unknown kind", [&plain[..data_at], &long(3, 16)].concat()),
        ("unknown large kind", [&plain[..data_at], &long(0x3fff_ffff, 16)].concat()),
        ("reserved", [&plain[..data_at], &[0, 0, 0, 0xc0, 1, 0, 0, 0], &[0; 8]].concat()),
        ("empty block", insert(data_at, &[0; 8])),
        ("second database", insert(data_at, &plain[8..data_at])),
        ("signature", insert(data_at, &signature(20))),
        ("large signature", insert(data_at, &signature(5004))),
        ("17 signatures", insert(data_at, &signature(20).repeat(17))),
        ("signature behind data", insert(plain.len(), &signature(20))),
        ("data first", [&plain[..8], &plain[data_at..]].concat()),
        ("no blocks", plain[..8].to_vec()),
        ("filled up", filled),
        ("eight zeros behind", insert(plain.len(), &[0; 8])),
        ("a byte behind", insert(plain.len(), b"x")),
        ("other schema", insert(0, b"ADB.indx")),
        ("unknown compression", b"ADBx".to_vec()),
        ("unknown numbered compression", b"ADBc\x09\x00rest".to_vec()),
        ("numbered, none", [b"ADBc\0\0".as_slice(), plain].concat()),
        ("magic alone", b"ADB".to_vec()),
        ("nothing packed", b"ADBd".to_vec()),
        ("packed in packed", assemble_in(&built.bytes, b"ADBd")),
        ("rest behind deflate", [packed(AdbCompression::Deflate), b"x".to_vec()].concat()),
        ("rest behind zstd", [packed(AdbCompression::Zstd), b"x".to_vec()].concat()),
        (
            "second zstd frame",
            [packed(AdbCompression::Zstd), packed(AdbCompression::Zstd)[6..].to_vec()].concat(),
        ),
    ] {
        text.push_str(&format!("{name}: {}\n", judge(bytes)));
    }
    expect![[r#"
        sound: opened: 2 entries
        long form: opened: 2 entries
        long form, endless: apk/damaged sample-1.0-r0: the package of format version 3 cannot be used: it is damaged or cut short: failed to fill whole buffer
        long form, shorter than itself: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 320 of its contents is shorter than its own header
        unknown kind: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 320 of its contents is of an unknown kind
        unknown large kind: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 320 of its contents is of an unknown kind
        reserved: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 320 of its contents has something in its reserved bytes
        empty block: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 320 of its contents is shorter than its own header
        second database: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 320 of its contents has no place among the files
        signature: opened: 2 entries
        large signature: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 320 of its contents is too large for a signature
        17 signatures: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 704 of its contents is one signature too many
        signature behind data: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 336 of its contents belongs to no file
        data first: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 8 of its contents stands where the database has to
        no blocks: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: it holds no database
        filled up: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 335 of its contents is filled up with something
        eight zeros behind: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: the block at byte 336 of its contents is shorter than its own header
        a byte behind: apk/damaged sample-1.0-r0: the package of format version 3 cannot be used: it is damaged or cut short: unexpected end of file
        other schema: apk/not-a-package sample-1.0-r0: the package of format version 3 cannot be used: it holds an index, not a package
        unknown compression: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: it is compressed in an unknown way (`x`)
        unknown numbered compression: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: it is compressed in an unknown way (`c9`)
        numbered, none: opened: 2 entries
        magic alone: apk/damaged sample-1.0-r0: the package of format version 3 cannot be used: it is damaged or cut short: failed to fill whole buffer
        nothing packed: apk/damaged sample-1.0-r0: the package of format version 3 cannot be used: it is damaged or cut short: unexpected end of file
        packed in packed: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: it holds no database
        rest behind deflate: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: it goes on behind its end
        rest behind zstd: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: it goes on behind its end
        second zstd frame: apk/adb sample-1.0-r0: the package of format version 3 cannot be used: it goes on behind its end
    "#]].assert_eq(&text);
}

/// The package of `blocks_that_cannot_be`, compressed.
fn packed(compression: AdbCompression) -> Vec<u8> {
    package().folder("a", 0o755).file("f", 0o644, *b"x").signed_by(&[]).compression(compression).build().bytes
}

/// A stored deflate stream of these bytes behind a mark, twice.
fn assemble_in(plain: &[u8], mark: &[u8]) -> Vec<u8> {
    let stored = |bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).unwrap();
        [mark, &[1], &length.to_le_bytes(), &(!length).to_le_bytes(), bytes].concat()
    };
    stored(&stored(plain))
}

#[test]
fn indexes() {
    let good = sample().build();
    let read = |bytes: &[u8], trust| match read_index(bytes, &test_keyring(), trust) {
        Ok(index) => {
            let records: Vec<String> = index
                .records
                .iter()
                .map(|r| {
                    format!(
                        "{}-{} {:?} at {}",
                        r.name,
                        r.version,
                        r.depends.iter().map(ToString::to_string).collect::<Vec<_>>(),
                        index.files.beside_index(r)
                    )
                })
                .collect();
            format!("{} signed by {:?}", records.join(", "), index.signed_by)
        }
        Err(error) => format!("{} {}", error.code(), chain(&error)),
    };
    let index = |spec: &str, keys: &[SigningKey]| adb_index(&[&good], spec, keys, AdbCompression::Deflate);
    let (test, other) = (SigningKey::Test, SigningKey::Other);
    let named = |name: &str, version: &str| {
        adb_index(&[&AdbPackageBuilder::new(name, version).build()], "", &[test], AdbCompression::None)
    };
    let odd = AdbPackageBuilder::new("a", "1").depend("b=1").depend("c d").provides("!x").build();
    let mut text = String::new();
    for (name, bytes, trust) in [
        ("signed", index("", &[test]), Trust::Required),
        ("both keys", index("", &[other, test]), Trust::Required),
        ("other key", index("", &[other]), Trust::Required),
        ("unsigned", index("", &[]), Trust::Required),
        ("unsigned, allowed", index("", &[]), Trust::AllowUntrusted),
        ("other key, allowed", index("", &[other]), Trust::AllowUntrusted),
        ("named files", index("${arch}/${name}.apk", &[test]), Trust::Required),
        ("files elsewhere", index("https://x.invalid/${name}.apk", &[test]), Trust::Required),
        ("a path as name", named("../a", "1"), Trust::Required),
        ("a path as version", named("a", "1/../2"), Trust::Required),
        ("no name", named("", "1"), Trust::Required),
        ("garbage dependencies", adb_index(&[&odd], "", &[test], AdbCompression::None), Trust::Required),
        ("a package", good.bytes.clone(), Trust::Required),
        (
            "data in it",
            adb_file(*b"indx", &good.database, &[test], &[(1, 1, vec![1])], AdbCompression::None),
            Trust::Required,
        ),
        (
            "a package's database",
            adb_file(*b"indx", &good.database, &[test], &[], AdbCompression::None),
            Trust::Required,
        ),
    ] {
        text.push_str(&format!("{name}: {}\n", read(&bytes, trust)));
    }
    expect![[r#"
        signed: sample-1.0-r0 ["musl"] at sample-1.0-r0.apk signed by Some("testkit.rsa.pub")
        both keys: sample-1.0-r0 ["musl"] at sample-1.0-r0.apk signed by Some("testkit.rsa.pub")
        other key: apk/index-unknown-key the index is signed by the key with identifier a51f497deb32269e36a38fc7eb9bccb7, and none of these keys is trusted; trusted are testkit.rsa.pub
        unsigned: apk/index-unsigned the index is not signed
        unsigned, allowed: sample-1.0-r0 ["musl"] at sample-1.0-r0.apk signed by None
        other key, allowed: sample-1.0-r0 ["musl"] at sample-1.0-r0.apk signed by None
        named files: sample-1.0-r0 ["musl"] at x86_64/sample.apk signed by Some("testkit.rsa.pub")
        files elsewhere: apk/package-spec the index names its files as `https://x.invalid/${name}.apk`: it leads away from the repository
        a path as name: apk/index-damaged package 1 of the index cannot be used: `name` in its database is a path
        a path as version: apk/index-damaged package 1 of the index cannot be used: `version` in its database is a path
        no name: apk/index-damaged package 1 of the index cannot be used: `name` in its database is no package name
        garbage dependencies: a-1 ["b=1", "c d"] at a-1.apk signed by Some("testkit.rsa.pub")
        a package: apk/not-an-index the index of format version 3 cannot be used: it holds a package, not an index
        data in it: apk/index-damaged the index of format version 3 cannot be used: the block at byte 1664 of its contents has no place in an index
        a package's database: apk/index-damaged package 1 of the index cannot be used: `version` in its database is no text
    "#]].assert_eq(&text);
    // A signature over the same database under another schema is none.
    let as_package = adb_file(*b"pckg", &good.database, &[test], &[], AdbCompression::None);
    let mut as_index = as_package.clone();
    as_index[4..8].copy_from_slice(b"indx");
    let error = read_index(&as_index, &test_keyring(), Trust::Required).unwrap_err();
    assert!(matches!(error, IndexError::BadSignature { .. }), "{}", chain(&error));
}
