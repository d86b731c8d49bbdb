//! The installed database against the one that apko writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assemble_apk::{
    Entry, EntryKind, Expected, InstalledPackage, Limits, Package, PackageInfo, Version, installed_db,
    open_package,
};
use assemble_testkit::ApkBuilder;
use assemble_types::{Blob, MemorySpool};
use expect_test::expect;

use crate::kit::{kit, open_built};

fn written(package: &Package) -> String {
    let entries: Vec<&Entry> = package.entries.iter().collect();
    String::from_utf8(installed_db::write(&[InstalledPackage { package, entries }]).unwrap()).unwrap()
}

/// Opens a package by its own word.
fn open_file(path: &Path) -> Option<Package> {
    let bytes = fs::read(path).ok()?;
    let ends = crate::kit::member_ends(&bytes);
    let (start, end) = if ends.len() == 3 { (ends[0], ends[1]) } else { (0, ends[0]) };
    let (name, version) = split_file_name(path.file_stem()?.to_str()?)?;
    let expected = Expected {
        id: crate::kit::id(name, version),
        checksum: assemble_apk::Checksum::of(&bytes[start..end]),
    };
    open_package(&Blob::from_bytes(bytes), &expected, &Limits::default(), &MemorySpool).ok()
}

/// `name-version`, where the version begins behind the last dash that a digit follows, `-rN` aside.
fn split_file_name(stem: &str) -> Option<(&str, &str)> {
    stem.char_indices().filter(|(_, c)| *c == '-').map(|(at, _)| (&stem[..at], &stem[at + 1..])).find(
        |(_, version)| {
            version.starts_with(|c: char| c.is_ascii_digit())
                && Version::parse(version).is_ok_and(|v| v.is_valid())
        },
    )
}

/// Every record that apko wrote in any case of the oracle is reproduced from its package, but where another package owns
/// some of its files.
#[test]
fn records_are_those_of_apko() {
    let Some(oracle) = kit("apko-oracle") else { return };
    let Some(real) = kit("real") else { return };
    let mut cases: Vec<PathBuf> = fs::read_dir(&oracle).unwrap().map(|f| f.unwrap().path()).collect();
    cases.sort();
    let (mut same, mut owned_by_others) = (0, BTreeMap::new());
    for case in cases {
        let Ok(expected) = fs::read(case.join("expected.json")) else { continue };
        let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
        let case = case.file_name().unwrap().to_str().unwrap().to_owned();
        for (arch, answer) in expected["archs"].as_object().into_iter().flatten() {
            let Some(text) = answer["files"]["usr/lib/apk/db/installed"].as_str() else { continue };
            let folders = ["os", "alt", "tagged", "sha1", "unsigned", "broken"]
                .map(|f| oracle.join("repo").join(f).join(arch));
            let others = ["apko/packages", "alpine-3.19-iso", "alpine-3.19/main", "wolfi"]
                .map(|f| real.join(f).join(arch));
            for record in text.split_inclusive("\n\n") {
                let field = |letter: &str| record.lines().find_map(|l| l.strip_prefix(letter)).unwrap();
                let file = format!("{}-{}.apk", field("P:"), field("V:"));
                let local = oracle.join(&case).join("repo").join(arch);
                let candidates =
                    folders.iter().chain(&others).chain([&local]).filter_map(|f| open_file(&f.join(&file)));
                let Some(package) = candidates.into_iter().find(|p| p.checksum.to_string() == field("C:"))
                else {
                    panic!("{case}: {file} of {arch} is not in the kit");
                };
                let ours = written(&package);
                if ours == record {
                    same += 1;
                } else {
                    owned_by_others.insert(format!("{case} {}", field("P:")), (ours, record.to_owned()));
                }
                let [parsed] = installed_db::parse(record.as_bytes()).unwrap().try_into().unwrap();
                assert_eq!((&parsed.name, &parsed.version), (&package.info.name, &package.info.version));
                assert_eq!(parsed.checksum, Some(package.checksum));
                assert_eq!(parsed.build_time, package.info.build_time);
            }
        }
    }
    assert!(same > 250, "{same}");
    let mut text = String::new();
    for (place, (ours, theirs)) in owned_by_others {
        let theirs: Vec<&str> = theirs.lines().collect();
        let more: Vec<&str> = ours.lines().filter(|line| !theirs.contains(line)).collect();
        text.push_str(&format!("{place}: {more:?}\n"));
    }
    expect![[r#"
        003-golden-apko pretend-baselayout: ["R:os-release", "a:501:20:0644", "Z:Q1KhFxtJsuPVmrrXKMewSAc2/3kus="]
        066-replaces file-owner: ["R:shared.conf", "a:0:0:0600", "Z:Q1my8iHZKMjrLC2tmD2zk+CCGwGOM="]
        066-replaces file-same: ["R:same-bytes", "a:0:0:0755", "Z:Q1LJhbFhIXqVK3pBD9kUlc68NJ9SA="]
        066-replaces file-yields-to: ["R:yield.conf", "Z:Q1e+6POxhOHhQf927+Npw7i/xQ5kw="]
        067-replaces-origin file-owner: ["R:shared.conf", "a:0:0:0600", "Z:Q1my8iHZKMjrLC2tmD2zk+CCGwGOM="]
        103-baseimage base-layout: ["i:[]", "Z:Q1HoiOtn+jC4j4pv70HhPFiAcwP+g=", "Z:Q119mBxzrh8dlkU9KYZ+XqCunYYFI=", "Z:Q1F689bDsdWTbKSghBZKO5swL6YZg=", "Z:Q1b3Xz9CV6pXeiljm2AnWB+PWjl94=", "Z:Q1FZdKcdhWm+sHIm9ThlC0fGnwiyc=", "a:0:0:0640", "Z:Q1gDI4wBICHYs7xLSCaUOtvP0z0TM=", "M:0:0:0555", "M:0:0:0700", "M:0:0:0555", "M:0:0:1777", "M:0:0:0555", "M:0:0:2775", "M:0:0:1777"]
        103-baseimage ca-bundle: ["i:[]", "a:0:0:0777", "Z:Q1Nj6gTBdkZpTFW/obJGdpfvK0StA=", "Z:Q1fQmKfcYqsltcz+InLYjV1vO5kic="]
        103-baseimage file-owner: ["i:[]", "a:0:0:0600", "Z:Q1my8iHZKMjrLC2tmD2zk+CCGwGOM=", "Z:Q1eoGvPlkaxxP4HqHv6T3PNhV9g3Y=", "Z:Q1LJhbFhIXqVK3pBD9kUlc68NJ9SA="]
    "#]]
    .assert_eq(&text);
}

/// The entries without those files that a later package replaces.
fn owned<'a>(package: &'a Package, later: &[Package]) -> Vec<&'a Entry> {
    let replaced = |entry: &Entry| {
        let mut others = later.iter().flat_map(|p| &p.entries);
        matches!(entry.kind, EntryKind::File(_))
            && others.any(|e| e.path == entry.path && e.checksum != entry.checksum)
    };
    package.entries.iter().filter(|entry| !replaced(entry)).collect()
}

/// Whole databases of the first cases.
#[test]
fn whole_databases_are_those_of_apko() {
    let Some(oracle) = kit("apko-oracle") else { return };
    for (case, repository) in [
        ("001-minimal", "repo/os"),
        ("002-base-layout", "repo/os"),
        ("003-golden-apko", "../real/apko/packages"),
    ] {
        let expected = fs::read(oracle.join(case).join("expected.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
        for (arch, answer) in expected["archs"].as_object().unwrap() {
            let packages: Vec<Package> = answer["installed"]
                .as_array()
                .unwrap()
                .iter()
                .map(|p| format!("{}-{}.apk", p[0].as_str().unwrap(), p[1].as_str().unwrap()))
                .map(|file| open_file(&oracle.join(repository).join(arch).join(file)).unwrap())
                .collect();
            let installed: Vec<InstalledPackage<'_>> = packages
                .iter()
                .enumerate()
                .map(|(i, package)| InstalledPackage { package, entries: owned(package, &packages[i + 1..]) })
                .collect();
            let ours = String::from_utf8(installed_db::write(&installed).unwrap()).unwrap();
            assert_eq!(ours, answer["files"]["usr/lib/apk/db/installed"].as_str().unwrap(), "{case} {arch}");
        }
    }
}

#[test]
fn order_and_orphans() {
    let package = open_built(
        &ApkBuilder::new("a", "1")
            .depends(&["b", "c>1"])
            .replaces("r")
            .install_if("x y")
            .file("top", *b"")
            .dir("b")
            .dir("b/z")
            .file("b/z/f", *b"")
            .file("b/a", *b"")
            .mode(0o4755)
            .owner(1, 2)
            .dir("b.c")
            .file("b.c/x", *b"")
            .dir("b/a.d")
            .mode(0o1777)
            .symlink("b/link", "x")
            .file("orphan/f", *b"")
            .dir("half/way")
            .file("half/way/f", *b"")
            .build(),
    )
    .unwrap();
    let text = written(&package);
    let text: String = text
        .lines()
        .filter(|l| !l.starts_with("C:") && !l.starts_with("S:"))
        .map(|l| format!("{l}\n"))
        .collect();
    expect![[r#"
        P:a
        V:1
        A:x86_64
        L:
        T:
        o:
        m:
        U:
        D:b c>1
        p:
        r:r
        c:
        i:[x y]
        t:0
        I:0
        k:0
        F:
        R:top
        Z:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=
        F:b
        R:a
        a:1:2:4755
        Z:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=
        R:link
        a:0:0:0777
        Z:Q1EfatjsUqKYSrqv18O1FlA3hcIHI=
        F:b/a.d
        M:0:0:1777
        F:b/z
        R:f
        Z:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=
        F:b.c
        R:x
        Z:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=

    "#]]
    .assert_eq(&text);
}

#[test]
fn the_root_folder_has_no_place_for_a_mode() {
    let root =
        |mode| open_built(&ApkBuilder::new("a", "1").dir("/").mode(mode).file("f", *b"").build()).unwrap();
    assert!(written(&root(0o755)).contains("\nF:\nR:f\n"));
    let package = root(0o700);
    let entries = package.entries.iter().collect();
    let error = installed_db::write(&[InstalledPackage { package: &package, entries }]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a-1: it sets mode 0700 and owner 0:0 for the root folder, which the database cannot record"
    );
}

#[test]
fn databases_of_other_writers_are_read() {
    let text = "C:Q1kqFQHSGzXGq3k7gQTqb+GxbmnOw=\nP:musl\nV:1.2\nA:x86_64\nS:1\nI:667648\nT:the musl c library\nL:MIT\no:musl\n\
                t:1699271358\np:so:libc.musl-x86_64.so.1=1 x\nr:libc\nq:1\nF:lib\nR:ld\na:0:0:755\nZ:Q1=\n\nP:b\nV:2\n";
    let records = installed_db::parse(text.as_bytes()).unwrap();
    let shown: Vec<String> = records
        .iter()
        .map(|r| {
            format!("{} {} {} {} {} {:?}", r.name, r.version, r.arch, r.license, r.installed_size, r.provides)
        })
        .collect();
    assert_eq!(shown, [r#"musl 1.2 x86_64 MIT 667648 ["so:libc.musl-x86_64.so.1=1", "x"]"#, "b 2   0 []"]);
    assert_eq!(installed_db::parse(b"").unwrap(), []);
    let mut errors = String::new();
    for bad in ["x\n", "P:a b\n", "I:x\n", "\x1b[31m\n"] {
        errors.push_str(&format!("{}\n", installed_db::parse(bad.as_bytes()).unwrap_err()));
    }
    expect![[r#"
        line 1 of the installed database, `x`: expected a letter, a colon and a value
        line 1 of the installed database, `P:a b`: this is no package name
        line 1 of the installed database, `I:x`: this is no number
        line 1 of the installed database, `\u{1b}[31m`: expected a letter, a colon and a value
    "#]]
    .assert_eq(&errors);
    let Some(real) = kit("real") else { return };
    for path in ["apko/installed/installed", "minirootfs/installed"] {
        let Ok(bytes) = fs::read(real.join(path)) else { continue };
        assert!(installed_db::parse(&bytes).unwrap().len() > 5, "{path}");
    }
}

/// A description cannot forge a record: `.PKGINFO` gives lines only.
#[test]
fn records_cannot_be_forged() {
    for text in ["x\rP:forged", "x\u{b}P:forged", "x\0"] {
        let info = format!("pkgname = a\npkgver = 1\npkgdesc = {text}y\ndatahash = {}\n", "0".repeat(64));
        assert!(PackageInfo::parse(info.as_bytes()).is_err(), "{text:?}");
    }
}
