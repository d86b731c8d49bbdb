//! Each link of the chain from the index to the files, and what happens when it is broken.

use assemble_apk::{
    Checksum, EntryKind, Expected, Format, Keyring, Limits, Oddity, PackageProblem, PublicKey, builtin_keys,
    open_front,
};
use assemble_testkit::{ApkBuilder, BuiltApk, TarEntry, TarKind, gzip_member, tar_bytes};
use assemble_types::{Blob, Digest, Explain, Kind, MemorySpool, ReadAt};
use expect_test::expect;
use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::sync::Arc;

use crate::kit::{chain, id, index, keyring, member_ends, open, open_built, testdata};

fn sample() -> BuiltApk {
    ApkBuilder::new("sample", "1.0-r0")
        .dir("usr")
        .dir("usr/bin")
        .executable("usr/bin/tool", *b"#!/bin/sh\n")
        .hardlink("usr/bin/alias", "usr/bin/tool")
        .symlink("usr/bin/link", "tool")
        .file("usr/empty", *b"")
        .xattr("security.capability", b"\x01\0\n=\n")
        .script(".post-install", b"#!/bin/sh\nexit 0\n")
        .build()
}

#[test]
fn a_sound_package_opens() {
    let package = open_built(&sample()).unwrap();
    let mut text = String::new();
    for entry in &package.entries {
        let kind = match &entry.kind {
            EntryKind::Directory => "folder".to_owned(),
            EntryKind::File(blob) => {
                format!("{:?}", String::from_utf8(blob.read_to_vec(100).unwrap()).unwrap())
            }
            EntryKind::Symlink(target) => format!("-> {}", String::from_utf8_lossy(target)),
            EntryKind::HardLink { target, text } => format!("= {target} {}", String::from_utf8_lossy(text)),
        };
        let sum = entry.checksum.map_or_else(|| "-".to_owned(), |sum| sum.to_string());
        writeln!(
            text,
            "{} {} {} {kind} {sum} {}",
            entry.path,
            entry.mode,
            entry.owner,
            entry.xattrs.iter().flat_map(|all| all.iter()).count()
        )
        .unwrap();
    }
    expect![[r##"
        /usr 0755 0:0 folder - 0
        /usr/bin 0755 0:0 folder - 0
        /usr/bin/tool 0755 0:0 "#!/bin/sh\n" Q1vZcb7IgUmVZFihD8nF7LPrmd1FI= 0
        /usr/bin/alias 0644 0:0 = /usr/bin/tool usr/bin/tool Q1vZcb7IgUmVZFihD8nF7LPrmd1FI= 0
        /usr/bin/link 0777 0:0 -> tool Q1GTfEwo9yYYaJdOkmamSRUpOfZLA= 0
        /usr/empty 0644 0:0 "" Q12jmj7l5rSw0yVb/vlWAYkK/YBwk= 1
    "##]]
    .assert_eq(&text);
    assert_eq!(package.entries[5].xattrs.as_ref().unwrap()[&b"security.capability"[..]], b"\x01\0\n=\n");
    let [script] = package.control_entries.as_slice() else { panic!("one script") };
    assert_eq!(
        (script.name.as_str(), script.mode.bits(), script.user.as_slice()),
        (".post-install", 0o755, &b"root"[..])
    );
    assert_eq!(script.content, b"#!/bin/sh\nexit 0\n");
    assert_eq!(package.id().to_string(), "sample-1.0-r0");
    let ends = member_ends(&sample().bytes);
    let ends: Vec<u64> = ends.into_iter().map(|n| n as u64).collect();
    let Format::V2 { signature, control, data, .. } = package.format else { panic!("version 2") };
    assert_eq!((signature, control, data), (Some(0..ends[0]), ends[0]..ends[1], ends[1]..ends[2]));
    assert_eq!(package.size, ends[2]);
}

/// The front of a package says the same as the whole of it, and whatever is shorter says that it is too short.
#[test]
fn the_front_of_a_package_is_enough_to_say_where_its_parts_are() {
    for built in [sample(), ApkBuilder::new("a", "1").file("f", *b"x").signed_by(None).build()] {
        let expected = Expected {
            id: id(&built.name, &built.version),
            checksum: Checksum::parse(&built.checksum).unwrap(),
        };
        let size = built.bytes.len() as u64;
        let front = |bytes: &[u8], expected: &Expected| {
            open_front(&Blob::from_bytes(bytes), size, expected, &Limits::default())
        };
        let control_end = built.signature_len + built.control_len;
        for len in 2..control_end {
            assert!(front(&built.bytes[..len], &expected).unwrap().is_none(), "{len}");
        }
        let whole = open_built(&built).unwrap();
        for len in [control_end, control_end + 1, built.bytes.len()] {
            let front = front(&built.bytes[..len], &expected).unwrap().unwrap();
            assert_eq!(Some(front.sections), whole.format.sections(), "{len}");
            assert_eq!(format!("{:?}", front.info), format!("{:?}", whole.info), "{len}");
        }
        // The chain is the same: another control section, another name, no data.
        let mut altered = built.bytes[..control_end].to_vec();
        altered[control_end - 4] ^= 1;
        assert_eq!(front(&altered, &expected).unwrap_err().code(), "apk/damaged");
        let other = Expected { checksum: Checksum::of(b"other"), ..expected.clone() };
        assert_eq!(front(&built.bytes[..control_end], &other).unwrap_err().code(), "apk/checksum");
        let other = Expected { id: id("other", "1"), ..expected.clone() };
        assert_eq!(front(&built.bytes[..control_end], &other).unwrap_err().code(), "apk/identity");
        let short = Blob::from_bytes(&built.bytes[..control_end]);
        let error = open_front(&short, control_end as u64, &expected, &Limits::default()).unwrap_err();
        assert!(matches!(*error.problem, PackageProblem::NoSection { .. }), "{error:?}");
    }
}

#[test]
fn an_unsigned_package_opens_since_the_index_vouches_for_it() {
    let package = open_built(&ApkBuilder::new("a", "1").file("f", *b"x").signed_by(None).build()).unwrap();
    let Format::V2 { signature, control, .. } = package.format else { panic!("version 2") };
    assert_eq!((signature, control.start), (None, 0));
}

/// Real packages of a real repository: the index verifies with the built-in key of its host, the packages open with
/// its checksums, and any altered byte is found.
#[test]
fn real_packages_open_and_altered_ones_do_not() {
    let folder = testdata("alpine/x86_64");
    let index = index(&folder, &keyring(&testdata("alpine/keys")));
    let host_keys: Keyring = builtin_keys("dl-cdn.alpinelinux.org").into_iter().collect();
    assert_eq!(crate::kit::index(&folder, &host_keys).signed_by, index.signed_by);
    assert_eq!(index.records.len(), 100);
    let mut opened = 0;
    for record in &index.records {
        let Ok(bytes) = std::fs::read(folder.join(format!("{}-{}.apk", record.name, record.version))) else {
            continue;
        };
        opened += 1;
        let checksum = record.checksum.unwrap();
        let open = |bytes: Vec<u8>| {
            open(bytes, record.name.as_str(), record.version.as_str(), checksum, &Limits::default())
        };
        let package = open(bytes.clone()).unwrap();
        assert_eq!((package.size, package.checksum), (record.size, checksum));
        assert_eq!(package.info.installed_size, record.installed_size);
        let ends = member_ends(&bytes);
        let mut codes = String::new();
        for (start, end) in [(0, ends[0]), (ends[0], ends[1]), (ends[1], ends[2])] {
            for at in [start, start + 20, usize::midpoint(start, end), end - 1] {
                let mut altered = bytes.clone();
                altered[at] ^= 0x10;
                write!(codes, "{} ", open(altered).unwrap_err().code()).unwrap();
            }
            codes.push('\n');
        }
        let lines: Vec<&str> = codes.lines().collect();
        // The signature is not read, but a section that cannot be unpacked has no end.
        assert_eq!(lines[0], "apk/not-a-package apk/damaged apk/damaged apk/damaged ");
        // Nothing in the control section is looked at before its checksum; unpacking it comes first all the same.
        assert!(
            lines[1].split_whitespace().all(|code| code == "apk/damaged" || code == "apk/checksum"),
            "{codes}"
        );
        assert_eq!(lines[2], "apk/data-hash ".repeat(4));
    }
    assert_eq!(opened, 4);
}

fn failure(bytes: Vec<u8>, checksum: Checksum) -> String {
    match open(bytes, "a", "1", checksum, &Limits::default()) {
        Ok(_) => "opened".into(),
        Err(error) => {
            assert!(!error.hints().is_empty());
            assert_eq!(error.kind(), Kind::Integrity);
            format!("{} {}", error.code(), chain(&error))
        }
    }
}

/// A package of these members, with the checksum of the second or, if it is unsigned, the first.
fn assembled(members: &[&[u8]], control: usize) -> String {
    let sum = Checksum::of(members.get(control).copied().unwrap_or_default());
    failure(members.concat(), sum)
}

fn control_of(info: &str) -> Vec<u8> {
    gzip_member(&tar_bytes(&[TarEntry::file(".PKGINFO", info)], false))
}

#[test]
fn broken_chains() {
    let apk = ApkBuilder::new("a", "1").file("f", *b"x").build();
    let ends = member_ends(&apk.bytes);
    let (signature, control, data) =
        (&apk.bytes[..ends[0]], &apk.bytes[ends[0]..ends[1]], &apk.bytes[ends[1]..]);
    let other = ApkBuilder::new("b", "1").file("f", *b"y").build();
    let other_ends = member_ends(&other.bytes);
    let hash = |bytes: &[u8]| assemble_types::Digest::of(bytes).hex();
    let info = |data: &[u8]| control_of(&format!("pkgname = a\npkgver = 1\ndatahash = {}\n", hash(data)));
    let split = [data, &gzip_member(&[0; 1024])].concat();
    let followed = [data, b"text"].concat();
    let cut = &data[..data.len() - 3];
    let damaged = [&data[..data.len() - 8], &[0; 8]].concat();
    let twice =
        gzip_member(&tar_bytes(&[TarEntry::file(".PKGINFO", "x"), TarEntry::file(".PKGINFO", "x")], false));
    let folder = gzip_member(&tar_bytes(&[TarEntry::new(".PKGINFO", TarKind::Directory)], false));
    let nested = gzip_member(&tar_bytes(&[TarEntry::file("a/b", "x")], false));
    let large = gzip_member(&vec![0; (10 << 20) + 1]);
    let not_tar = gzip_member(b"not a tar");
    let all = [
        ("sound", assembled(&[signature, control, data], 1)),
        ("unsigned", assembled(&[control, data], 0)),
        ("empty", assembled(&[], 0)),
        ("text", assembled(&[b"hello"], 0)),
        ("version 3", assembled(&[b"ADB.rest"], 0)),
        ("signature only", assembled(&[signature], 1)),
        ("no data", assembled(&[signature, control], 1)),
        ("control behind data", assembled(&[signature, data, control], 2)),
        ("other control", assembled(&[signature, &other.bytes[other_ends[0]..other_ends[1]], data], 0)),
        ("other package", assembled(&[signature, &other.bytes[other_ends[0]..other_ends[1]], data], 1)),
        ("other data", assembled(&[signature, control, &other.bytes[other_ends[1]..]], 1)),
        ("behind the data", assembled(&[signature, control, data, b"x"], 1)),
        ("behind the data, hashed", assembled(&[&info(&followed), &followed], 0)),
        ("two members, hashed", assembled(&[&info(&split), &split], 0)),
        ("cut, hashed", assembled(&[&info(cut), cut], 0)),
        ("bad sum, hashed", assembled(&[&info(&damaged), &damaged], 0)),
        ("not gzip, hashed", assembled(&[&info(b"text"), b"text"], 0)),
        ("not tar, hashed", assembled(&[&info(&not_tar), &not_tar], 0)),
        ("no datahash", assembled(&[&control_of("pkgname = a\npkgver = 1\n"), data], 0)),
        ("control is no tar", assembled(&[&not_tar, data], 0)),
        ("two infos", assembled(&[&twice, data], 0)),
        ("info is a folder", assembled(&[&folder, data], 0)),
        ("control has folders", assembled(&[&nested, data], 0)),
        ("no info", assembled(&[&gzip_member(&[]), data], 0)),
        ("control too large", assembled(&[&large, data], 0)),
        ("signature too large", assembled(&[signature, &large, data], 1)),
    ];
    let text = all.iter().fold(String::new(), |text, (what, result)| text + what + ": " + result + "\n");
    expect![[r#"
        sound: opened
        unsigned: opened
        empty: apk/not-a-package a-1: the file is no APK package: it begins with neither a gzip header nor `ADB`
        text: apk/not-a-package a-1: the file is no APK package: it begins with neither a gzip header nor `ADB`
        version 3: apk/not-a-package a-1: the package of format version 3 cannot be used: it holds something of the unknown kind `rest`, not a package
        signature only: apk/damaged a-1: the file ends before its control section
        no data: apk/damaged a-1: the file ends before its data section
        control behind data: apk/checksum a-1: the index promises checksum Q1r68P/CrrhOfXCNkCpVBQmOkbCgk=, the file has Q1cASGR8m2DTZQVNsl8Y9HqJvIO74=; its sections are in the wrong order
        other control: apk/checksum a-1: the index promises checksum Q1IPrTeQnNRV6cTWxXyeqONRwUMJc=, the file has Q1lhXyhdjOuFaeCJB6uB8SCu7tBS4=
        other package: apk/identity a-1: the file says that it is b-1
        other data: apk/data-hash a-1: its .PKGINFO promises data with SHA-256 500b70c46abb471c7cdd281c986e62d74f08b2fab6ba4ff45ccb4e69733ececd, the file's data has 80687c6d01ec3d227b3b18053e3eae8388cd99f1f3c8d9168c9b0bf356546571
        behind the data: apk/data-hash a-1: its .PKGINFO promises data with SHA-256 500b70c46abb471c7cdd281c986e62d74f08b2fab6ba4ff45ccb4e69733ececd, the file's data has 2891a9d15c43d79859fc14f9c1d3e6f4398122561ac2c900bf55533fea9f1b5c; bytes follow behind its end, which nothing vouches for
        behind the data, hashed: apk/trailing-data a-1: the data section ends at byte 380, but the file does not
        two members, hashed: apk/trailing-data a-1: a second gzip member begins inside the data section, at byte 378 of the file; only one is allowed
        cut, hashed: apk/damaged a-1: the data section is damaged or cut short: unexpected end of file
        bad sum, hashed: apk/damaged a-1: the data section is damaged or cut short: corrupt gzip stream does not have a matching checksum
        not gzip, hashed: apk/damaged a-1: the data section is damaged or cut short: unexpected end of file
        not tar, hashed: apk/archive a-1: the data section is no sound archive: the archive ends in the middle of its first header
        no datahash: apk/info a-1: .PKGINFO cannot be used: `datahash` is missing
        control is no tar: apk/archive a-1: the control section is no sound archive: the archive ends in the middle of its first header
        two infos: apk/info a-1: the control section has 2 entries `.PKGINFO`; one is needed
        info is a folder: apk/info a-1: the control section holds `.PKGINFO`, which is no plain file with a plain name
        control has folders: apk/info a-1: the control section holds `a/b`, which is no plain file with a plain name
        no info: apk/info a-1: the control section has 0 entries `.PKGINFO`; one is needed
        control too large: apk/too-large a-1: the first section unpacks to more than 10485760 bytes
        signature too large: apk/too-large a-1: the control section unpacks to more than 10485760 bytes
    "#]]
    .assert_eq(&text);
}

#[derive(Debug)]
struct Failing;

impl ReadAt for Failing {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset > 0 {
            return Err(io::Error::other("the medium is gone"));
        }
        buf[..2].copy_from_slice(&[0x1f, 0x8b]);
        Ok(2)
    }
}

/// A failing disk is not the package's fault, and says so.
#[test]
fn failures_of_the_host_are_told_from_those_of_the_package() {
    let apk = sample();
    let expected = assemble_apk::Expected {
        id: crate::kit::id("sample", "1.0-r0"),
        checksum: Checksum::parse(&apk.checksum).unwrap(),
    };
    let blob = Blob::new(Arc::new(Failing), 100);
    let error = assemble_apk::open_package(&blob, &expected, &Limits::default(), &MemorySpool).unwrap_err();
    assert!(matches!(*error.problem, PackageProblem::Read(_)), "{error:?}");
    assert_eq!((error.kind(), error.code()), (Kind::Host, "apk/read"));
    assert_eq!(chain(&error), "sample-1.0-r0: the package file cannot be read: the medium is gone");

    let shorter = Blob::new(Arc::new(apk.bytes[..900].to_vec()), apk.bytes.len() as u64);
    let error =
        assemble_apk::open_package(&shorter, &expected, &Limits::default(), &MemorySpool).unwrap_err();
    assert_eq!(error.kind(), Kind::Host, "{}", chain(&error));
}

const DIFF_ID: assemble_apk::Extras<'_> = assemble_apk::Extras { diff_id: true, keep: None, marks: None };

/// Contents are ranges of a stream, and the form of the section is told where it would not do as a layer.
#[test]
fn contents_are_unpacked_when_read_and_oddities_are_told() {
    let apk = sample();
    let expected = assemble_apk::Expected {
        id: crate::kit::id("sample", "1.0-r0"),
        checksum: Checksum::parse(&apk.checksum).unwrap(),
    };
    let blob = Blob::from_bytes(apk.bytes);
    let limits = Limits::default();
    let package = assemble_apk::open_package_with(&blob, &expected, &limits, &MemorySpool, DIFF_ID).unwrap();
    let Format::V2 { data, plain_size, diff_id, oddity, .. } = &package.format else { panic!("version 2") };
    let member = blob.slice(data.clone()).unwrap();
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(member.reader()).read_to_end(&mut plain).unwrap();
    assert_eq!((plain.len() as u64, Some(Digest::of(&plain)), None), (*plain_size, *diff_id, *oddity));
    let mut files = 0;
    for entry in &package.entries {
        let EntryKind::File(content) = &entry.kind else { continue };
        let range = content.deflated().unwrap();
        let [start, end] = [range.plain.start, range.plain.end].map(|at| usize::try_from(at).unwrap());
        assert_eq!(content.read_to_vec(u64::MAX).unwrap(), &plain[start..end], "{}", entry.path);
        files += 1;
    }
    assert!(files > 0);
}

/// A package whose data section can be read on from several places, and the bytes of a file in it.
fn large() -> (assemble_testkit::BuiltApk, Vec<u8>) {
    let content: Vec<u8> = (0..1_200_000_u32).flat_map(|n| (n.wrapping_mul(n) / 77).to_le_bytes()).collect();
    (ApkBuilder::new("sample", "1.0-r0").dir("usr").file("usr/large", content.clone()).build(), content)
}

#[test]
fn marks_are_noted_and_found_again() {
    let (apk, content) = large();
    let expected = assemble_apk::Expected {
        id: crate::kit::id("sample", "1.0-r0"),
        checksum: Checksum::parse(&apk.checksum).unwrap(),
    };
    let (blob, limits) = (Blob::from_bytes(apk.bytes.clone()), Limits::default());
    let extras = assemble_apk::Extras { marks: Some(&MemorySpool), ..DIFF_ID };
    let package = assemble_apk::open_package_with(&blob, &expected, &limits, &MemorySpool, extras).unwrap();
    let Format::V2 { marks: Some(noted), .. } = &package.format else { panic!("no marks") };
    assert!(noted.marks.all.len() >= 3, "{:?}", noted.marks.all);
    let windows = noted.marks.windows.read_to_vec(u64::MAX).unwrap();
    assert_eq!(Digest::of(&windows), noted.windows);
    let found = |digest: &Digest, size| {
        assert_eq!((*digest, size), (noted.windows, windows.len() as u64));
        noted.marks.windows.clone()
    };
    let beside = assemble_apk::Beside { plain: &|_| None, windows: &found };
    let table = package.to_table().unwrap();
    let again = assemble_apk::open_with_table(&blob, &expected, &limits, &table, beside).unwrap().unwrap();
    assert_eq!(format!("{package:?}"), format!("{again:?}"));
    for package in [package.clone(), again] {
        let file = package.entries.iter().find_map(|entry| match &entry.kind {
            EntryKind::File(content) => Some(content.clone()),
            _ => None,
        });
        let file = file.unwrap();
        assert!(file.read_to_vec(u64::MAX).unwrap() == content);
        let range = file.deflated().unwrap();
        let marks = range.marks.unwrap();
        assert_eq!(marks.all, noted.marks.all);
        for (mark, window) in marks.all.iter().zip(windows.chunks(32 << 10)) {
            let end = usize::try_from(mark.plain - range.plain.start).unwrap();
            assert!(content[..end].ends_with(window));
        }
    }
}

#[test]
fn a_table_stands_for_the_data_section() {
    let apk = sample();
    let expected = assemble_apk::Expected {
        id: crate::kit::id("sample", "1.0-r0"),
        checksum: Checksum::parse(&apk.checksum).unwrap(),
    };
    let (blob, limits) = (Blob::from_bytes(apk.bytes.clone()), Limits::default());
    let package = assemble_apk::open_package_with(&blob, &expected, &limits, &MemorySpool, DIFF_ID).unwrap();
    let table = package.to_table().unwrap();
    let windows = |_: &Digest, _| Blob::from_bytes([]);
    let beside = assemble_apk::Beside { plain: &|_| None, windows: &windows };
    let with = |blob: &Blob, expected, table: &[u8]| {
        assemble_apk::open_with_table(blob, expected, &limits, table, beside)
    };
    let again = with(&blob, &expected, &table).unwrap().unwrap();
    assert_eq!(format!("{package:?}"), format!("{again:?}"));
    let contents = |package: &assemble_apk::Package| -> Vec<Vec<u8>> {
        let content = |entry: &assemble_apk::Entry| match &entry.kind {
            EntryKind::File(content) => content.read_to_vec(u64::MAX).unwrap(),
            _ => Vec::new(),
        };
        package.entries.iter().map(content).collect()
    };
    assert_eq!(contents(&package), contents(&again));

    // Whatever a table says, it is no reason to fall over; and what is in front of the data is checked each time.
    for at in 0..table.len() {
        let _ = with(&blob, &expected, &table[..at]).unwrap();
        for bit in 0..8 {
            let mut table = table.clone();
            table[at] ^= 1 << bit;
            let _ = with(&blob, &expected, &table).unwrap();
        }
    }
    assert!(with(&blob, &expected, &table[..table.len() - 1]).unwrap().is_none());
    let other = ApkBuilder::new("sample", "1.0-r0").file("x", *b"y").build();
    assert!(with(&Blob::from_bytes(other.bytes), &expected, &table).is_err());
}

#[test]
fn oddities() {
    let base = || ApkBuilder::new("a", "1").dir("d").file("d/f", *b"x");
    let oddity = |builder: ApkBuilder| match open_built(&builder.build()).unwrap().format {
        Format::V2 { oddity, .. } => oddity,
        Format::V3 => panic!("version 2"),
    };
    assert_eq!(oddity(base()), None);
    for (builder, expected) in [
        (ApkBuilder::new("a", "1").file(".hidden", *b"x").file("f", *b"x"), Oddity::TopFile),
        (base().file("d/f", *b"y"), Oddity::Twice),
        (base().dir("d"), Oddity::Twice),
        (base().pax("mtime", b"12.5"), Oddity::FractionalTime),
        (base().symlink("l", "d").xattr("user.x", b"1"), Oddity::LinkXattrs),
        (base().file("/e", *b"y"), Oddity::Spelling),
        (base().hardlink("h", "d//f"), Oddity::Spelling),
    ] {
        assert_eq!(oddity(builder), Some(expected));
    }
    assert_eq!(oddity(base().pax("mtime", b"12.00")), None);
}

#[test]
fn limits_hold() {
    let apk = ApkBuilder::new("a", "1")
        .file("f", vec![b'x'; 5000])
        .file("g", *b"x")
        .xattr("user.x", &[b'v'; 3000])
        .build();
    let checksum = Checksum::parse(&apk.checksum).unwrap();
    let show = |limits: Limits| match open(apk.bytes.clone(), "a", "1", checksum, &limits) {
        Ok(_) => "opened".to_owned(),
        Err(error) => format!("{} {}", error.code(), chain(&error)),
    };
    let all = Limits::default();
    assert_eq!(show(all), "opened");
    let text = [
        Limits { control: 1000, ..all },
        Limits { data: 6000, ..all },
        Limits { path: 0, ..all },
        Limits { entries: 1, ..all },
        Limits { pax: 3000, ..all },
        Limits { metadata: 3000, ..all },
    ]
    .into_iter()
    .fold(String::new(), |text, limits| text + &show(limits) + "\n");
    expect![[r#"
        apk/too-large a-1: the first section unpacks to more than 1000 bytes
        apk/too-large a-1: the data section unpacks to more than 6000 bytes
        apk/path a-1: the path `f` cannot be used: it has more than 0 bytes
        apk/too-large a-1: the package has more than 1 entries
        apk/archive a-1: the data section is no sound archive: the extended header at byte 6656 has 3094 bytes; the limit is 3000
        apk/too-large a-1: the paths, links and extended attributes of the package have more than 3000 bytes
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_key_file_is_checked_when_it_is_read() {
    let pem =
        std::fs::read(testdata("alpine/keys/alpine-devel@lists.alpinelinux.org-6165ee59.rsa.pub")).unwrap();
    let key = PublicKey::parse("k", &pem).unwrap();
    let named =
        builtin_keys("dl-cdn.alpinelinux.org").into_iter().find(|k| k.name().contains("6165ee59")).unwrap();
    assert_eq!(key.fingerprint(), named.fingerprint());
    assert_ne!(key, named);
}

/// Where to divide is found however the bytes come in, and what is no package is left in one piece.
#[test]
fn the_data_section_is_found_while_bytes_come_in() {
    use assemble_apk::{DataFinder, DataFound};
    let find = |bytes: &[u8], step: usize| {
        let mut finder = DataFinder::default();
        let mut before = 0;
        for piece in bytes.chunks(step) {
            match finder.feed(piece) {
                DataFound::NotYet => before += piece.len(),
                DataFound::Here(at) => return Some(before + at),
                DataFound::Never => return None,
            }
        }
        None
    };
    for apk in [sample(), ApkBuilder::new("u", "1").file("f", *b"x").signed_by(None).build()] {
        let ends = member_ends(&apk.bytes);
        let data = ends[ends.len() - 2];
        for step in [1, 7, 512, 4095, 4097, apk.bytes.len()] {
            assert_eq!(find(&apk.bytes, step), Some(data), "{step}");
        }
        assert_eq!(find(&apk.bytes[..data], 100), None, "there is none");
    }
    for other in [&b"ADBd"[..], b"", b"\x1f", b"\x1f\x8cxx", b"\x1f\x8b\x08\0\0\0\0\0\0\0\xff\xff\xff"] {
        assert_eq!(find(other, 3), None);
    }
    assert_eq!(find(&gzip_member(&vec![0; 20 << 20]), 1000), None, "more than a control section may hold");
}
