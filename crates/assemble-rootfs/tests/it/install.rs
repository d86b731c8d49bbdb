//! The rules of installing one by one, with packages made by hand.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;

use assemble_apk::{
    Checksum, ContentSum, ControlEntry, Entry, EntryKind, Format, Package, PackageInfo, PackageName, Version,
};
use assemble_rootfs::{
    ApkoAccounts, ApkoConfig, InstallError, InstallInput, Installed, Mutations, Part, TreeEntry, install,
};
use assemble_types::{Arch, Blob, Digest, Explain as _, ImagePath, Mode, Owner, Timestamp};
use expect_test::expect;
use proptest::prelude::*;

use crate::listing::{listing, text_of};

pub(crate) fn package(name: &str, version: &str, entries: Vec<Entry>) -> Package {
    Package {
        info: PackageInfo {
            name: PackageName::parse(name).unwrap(),
            version: Version::parse(version).unwrap(),
            arch: "x86_64".into(),
            license: String::new(),
            description: String::new(),
            origin: name.into(),
            maintainer: String::new(),
            url: String::new(),
            depends: Vec::new(),
            provides: Vec::new(),
            install_if: Vec::new(),
            replaces: Vec::new(),
            triggers: Vec::new(),
            commit: String::new(),
            build_time: 0,
            installed_size: 0,
            provider_priority: 0,
            tags: Vec::new(),
        },
        checksum: Checksum::of(name.as_bytes()),
        size: 2,
        packed: Blob::from_bytes(*b"cd"),
        format: Format::V2 {
            signature: None,
            control: 0..1,
            data: 1..2,
            data_hash: Digest::of(b""),
            plain_size: 0,
            diff_id: None,
            marks: None,
            oddity: None,
        },
        entries,
        control_entries: Vec::new(),
    }
}

fn entry(path: &str, kind: EntryKind, mode: u32, checksum: Option<ContentSum>) -> Entry {
    Entry {
        path: ImagePath::parse(path).unwrap(),
        kind,
        mode: Mode::from_bits(mode),
        owner: Owner { uid: 1000, gid: 1000 },
        mtime: 7,
        checksum,
        xattrs: None,
    }
}

fn folder(path: &str, mode: u32) -> Entry {
    entry(path, EntryKind::Directory, mode, None)
}

fn file(path: &str, text: &str) -> Entry {
    entry(path, EntryKind::File(Blob::from_bytes(text)), 0o4755, Some(ContentSum::of(text.as_bytes())))
}

fn link(path: &str, text: &str) -> Entry {
    entry(path, EntryKind::Symlink(text.as_bytes().into()), 0o777, Some(ContentSum::of(text.as_bytes())))
}

fn hard(path: &str, target: &str) -> Entry {
    let target_path = ImagePath::parse(target).unwrap();
    entry(path, EntryKind::HardLink { target: target_path, text: target.as_bytes().into() }, 0o644, None)
}

pub(crate) fn input(packages: &[Package]) -> InstallInput<'_> {
    InstallInput {
        arch: Arch::X86_64,
        packages,
        world: vec!["b=1".into(), "a=1".into(), "b=1".into()],
        build_repositories: vec!["https://example.invalid/build".into()],
        repositories: vec!["https://example.invalid/os".into()],
        keys: vec![("k.rsa.pub".into(), b"key\n".to_vec())],
        config: ApkoConfig::default(),
        mutations: Mutations::default(),
        base: None,
        source_date_epoch: None,
        build_date: None,
    }
}

fn run(packages: &[Package]) -> Result<Installed, InstallError> {
    install(&input(packages))
}

fn text(installed: &Installed, path: &str) -> String {
    String::from_utf8(text_of(&installed.tree, path).unwrap_or_else(|| panic!("no {path}"))).unwrap()
}

/// The lines of some paths, without the content's digest.
fn lines(installed: &Installed, paths: &[&str]) -> String {
    let all = listing(&installed.tree);
    let line = |path: &&str| {
        let found = all.iter().find(|line| line.split(' ').nth(8) == Some(path));
        found.map_or_else(|| format!("no {path}\n"), |line| format!("{}\n", line.rsplit_once(' ').unwrap().0))
    };
    paths.iter().map(line).collect()
}

/// The error's message and hints.
fn refused(packages: &[Package]) -> String {
    let error = run(packages).unwrap_err();
    format!("{} {error}\n{}", error.code(), error.hints().join("\n"))
}

#[test]
fn everything_belongs_to_the_packages_part_and_to_root() {
    let packages = [package("a", "1-r0", vec![folder("opt/x", 0o1770), file("opt/x/f", "f")])];
    let installed = run(&packages).unwrap();
    assert!(
        installed.tree.entries().iter().all(|e| e.part == Part::Packages && e.node.meta.owner == Owner::ROOT)
    );
    expect![[r"
        5 0770 0 0 - - 0 7 opt/x - - -
        0 4755 0 0 - - 1 7 opt/x/f - - -
        0 0644 0 0 - - 4 0 etc/apk/keys/k.rsa.pub - - -
        0 0600 0 0 - - 0 0 usr/lib/apk/db/lock - - -
        0 0444 0 0 - - 46 0 etc/apko.json - - -
        5 1777 0 0 - - 0 0 tmp - - -
        2 0777 0 0 - - 0 0 lib/apk ../usr/lib/apk - -
    "]]
    .assert_eq(&lines(
        &installed,
        &[
            "opt/x",
            "opt/x/f",
            "etc/apk/keys/k.rsa.pub",
            "usr/lib/apk/db/lock",
            "etc/apko.json",
            "tmp",
            "lib/apk",
        ],
    ));
    assert_eq!(text(&installed, "etc/apk/world"), "a=1\nb=1\n");
    assert_eq!(text(&installed, "etc/apk/repositories"), "https://example.invalid/os\n");
    assert_eq!(text(&installed, "etc/apk/arch"), "x86_64\n");
    assert_eq!(
        installed.report.warnings,
        ["no package brings /etc/group", "no package brings /etc/os-release"]
    );
}

#[test]
fn the_first_package_decides_a_folders_mode_and_the_last_its_time() {
    let mut late = folder("opt/x", 0o700);
    late.mtime = 99;
    let packages = [package("a", "1-r0", vec![folder("opt/x", 0o750)]), package("b", "1-r0", vec![late])];
    let installed = run(&packages).unwrap();
    assert_eq!(lines(&installed, &["opt/x"]), "5 0750 0 0 - - 0 99 opt/x - - -\n");
}

#[test]
fn who_may_have_a_path_that_two_packages_bring() {
    let pair = |change: &dyn Fn(&mut Package, &mut Package)| {
        let mut first = package("first", "1-r0", vec![folder("etc", 0o755), file("etc/x", "one")]);
        let mut second = package("second", "1-r0", vec![folder("etc", 0o755), file("etc/x", "two")]);
        change(&mut first, &mut second);
        run(&[first, second])
    };
    let won = |result: Result<Installed, InstallError>| {
        let installed = result.unwrap();
        let database = text(&installed, "usr/lib/apk/db/installed");
        let owner = database.split("\n\n").position(|record| record.contains("R:x\n")).unwrap();
        assert_eq!(database.matches("R:x\n").count(), 1, "{database}");
        (text(&installed, "etc/x"), owner)
    };
    assert_eq!(won(pair(&|a, _| a.info.replaces = vec!["second".into()])), ("one".into(), 0));
    assert_eq!(won(pair(&|_, b| b.info.replaces = vec!["first".into()])), ("two".into(), 1));
    assert_eq!(won(pair(&|_, b| b.info.origin = "first".into())), ("two".into(), 1));
    assert_eq!(
        won(pair(&|a, b| (a.info.origin, b.info.origin) = (String::new(), String::new()))),
        ("two".into(), 1)
    );
    assert_eq!(won(pair(&|_, b| b.entries[1] = file("etc/x", "one"))), ("one".into(), 0));
    assert!(matches!(
        pair(&|_, b| b.info.replaces = vec!["first<2".into()]),
        Err(InstallError::FileConflict { .. })
    ));
}

#[test]
fn a_conflict_names_both_and_says_what_to_do() {
    let entries = |text| vec![file("etc/x", text)];
    expect![[r"
        rootfs/file-conflict /etc/x is in both first-1-r0 and second-2-r0, with different content
        remove first or second from `contents.packages`, or the package that asks for it
        if second is meant to take /etc/x over, its package has to say so: `replaces = first` in its .PKGINFO, the bare name without a version"]]
    .assert_eq(&refused(&[package("first", "1-r0", entries("one")), package("second", "2-r0", entries("two"))]));
}

#[test]
fn what_cannot_be_laid_down_is_named() {
    let one = |entries| refused(&[package("p", "1-r0", entries)]);
    let mut unsummed = file("etc/x", "x");
    unsummed.checksum = None;
    let messages = [
        one(vec![file("opt/none/x", "x")]),
        one(vec![file("opt", "x")]),
        one(vec![file("dev/null", "x")]),
        one(vec![file("usr/lib/apk/db/lock", "")]),
        one(vec![file("etc/apk/keys/k.rsa.pub", "other")]),
        one(vec![unsummed]),
        one(vec![hard("etc/x", "etc/none")]),
        one(vec![file("etc/x", "x"), hard("etc/apk/arch", "etc/x")]),
        one(vec![file("etc/x", "x"), folder("etc/x/y", 0o755)]),
        one(vec![link("opt/a", "b"), link("opt/b", "a"), folder("opt/a/c", 0o755)]),
        one(vec![folder("lib/apk/db", 0o755), file("lib/apk/db/x", "x")]),
        one(vec![folder("bin", 0o755), file("bin/busybox", "x")]),
    ];
    expect![[r#"
        rootfs/not-a-folder /opt/none: p-1-r0 needs a folder here, and there is none
        rootfs/is-a-folder /opt: p-1-r0 wants to put a file here, but there is a folder
        rootfs/own-file /dev/null: p-1-r0 brings this file, but it is made by the installation itself
        rootfs/own-file /usr/lib/apk/db/lock: p-1-r0 brings this file, but it is made by the installation itself
        rootfs/own-file /etc/apk/keys/k.rsa.pub: p-1-r0 brings this file, but it is made by the installation itself
        rootfs/no-checksum /etc/x: p-1-r0 gives no checksum for this entry
        rootfs/hard-link /etc/x: p-1-r0 has a hard link to /etc/none, which is not there
        rootfs/exists /etc/apk/arch exists already, and p-1-r0 wants to put something else there
        rootfs/not-a-folder /etc/x: p-1-r0 needs a folder here, and there is a file
        rootfs/links /opt/a leads through too many symbolic links
        rootfs/lib-apk /lib/apk/db: /lib/apk must be empty to become the link to /usr/lib/apk
        rootfs/busybox /bin/busybox is there, but no package is named busybox or provides it
    "#]]
    .assert_eq(&messages.iter().map(|m| format!("{}\n", m.lines().next().unwrap())).collect::<String>());
}

#[test]
fn the_same_key_may_come_with_a_package() {
    let installed = run(&[package("keys", "1-r0", vec![file("etc/apk/keys/k.rsa.pub", "key\n")])]).unwrap();
    assert_eq!(
        lines(&installed, &["etc/apk/keys/k.rsa.pub"]),
        "0 0644 0 0 - - 4 0 etc/apk/keys/k.rsa.pub - - -\n"
    );
    // While packages are unpacked, this file names what the build used.
    let repositories = vec![file("etc/apk/repositories", "https://example.invalid/build\n")];
    assert_eq!(
        text(&run(&[package("r", "1-r0", repositories)]).unwrap(), "etc/apk/repositories"),
        "https://example.invalid/os\n"
    );
}

#[test]
fn hard_links_and_links_to_folders() {
    let entries = vec![
        folder("usr/bin", 0o755),
        link("bin", "usr/bin"),
        file("bin/tool", "t"),
        hard("usr/bin/direct", "usr/bin/tool"),
        hard("bin/through", "bin/tool"),
        link("bin", "usr/bin"),
    ];
    let installed = run(&[package("a", "1-r0", entries)]).unwrap();
    expect![[r"
        0 4755 0 0 - - 1 7 usr/bin/tool - - -
        1 4755 0 0 - - 0 7 usr/bin/direct usr/bin/tool - -
        0 4755 0 0 - - 1 7 usr/bin/through - - -
    "]]
    .assert_eq(&lines(&installed, &["usr/bin/tool", "usr/bin/direct", "usr/bin/through"]));
}

#[test]
fn attributes_follow_links() {
    let mut entries = vec![folder("etc", 0o755), file("etc/x", "x"), link("etc/l", "x")];
    entries[2].xattrs = Some(BTreeMap::from([(b"user.a".to_vec(), b"1;2".to_vec())]).into());
    let installed = run(&[package("a", "1-r0", entries.clone())]).unwrap();
    assert_eq!(
        lines(&installed, &["etc/x", "etc/l"]),
        "0 4755 0 0 - - 1 7 etc/x - - SCHILY.xattr.user.a=1%3B2\n2 0777 0 0 - - 0 7 etc/l x - -\n"
    );
    entries.remove(1);
    let message = refused(&[package("a", "1-r0", entries)]);
    assert!(message.starts_with("rootfs/attributes /etc/l: a-1-r0"), "{message}");
}

#[test]
fn lib_apk_becomes_a_link_where_it_can() {
    let lib = |entries: Vec<Entry>, provides: &[&str]| {
        let mut package = package("a", "1-r0", entries);
        package.info.provides = provides.iter().map(|p| (*p).to_owned()).collect();
        lines(&run(&[package]).unwrap(), &["lib", "lib/apk", "lib/apk/db"])
    };
    let linked =
        "5 0755 0 0 - - 0 7 lib - - -\n2 0777 0 0 - - 0 7 lib/apk ../usr/lib/apk - -\nno lib/apk/db\n";
    assert_eq!(lib(vec![folder("lib/apk/db", 0o755), folder("lib", 0o755)], &[]), linked);
    let merged = "2 0777 0 0 - - 0 0 lib usr/lib - -\nno lib/apk\nno lib/apk/db\n";
    assert_eq!(lib(vec![], &["x merged-lib"]), merged);
    assert_eq!(lib(vec![link("lib", "/usr/lib")], &[]), merged.replace(" 0 lib usr/lib", " 7 lib /usr/lib"));
    assert!(lib(vec![], &["merged-lib=1"]).starts_with("5 0755 0 0 - - 0 0 lib"));
}

#[test]
fn scripts_are_kept_and_not_run() {
    let script = |name: &str, mode: u32, content: &str| ControlEntry {
        name: name.into(),
        mode: Mode::from_bits(mode),
        owner: Owner::ROOT,
        user: b"root".to_vec(),
        group: b"root".to_vec(),
        content: content.into(),
    };
    let mut first = package("first", "1-r0", vec![]);
    first.info.triggers = vec!["/usr/lib/*".into(), "/x".into()];
    first.control_entries = vec![
        script(".melange.yaml", 0o644, "x"),
        script(".post-install", 0o755, "#!/bin/sh\nadduser x\n"),
        script(".pre-upgrade", 0o755, "y"),
        script(".trigger", 0o755, "z"),
    ];
    let long = package(&"n".repeat(90), "1-r0", vec![]);
    let long = Package { control_entries: vec![script(".pre-install", 0o755, "l")], ..long };
    let packages = [first, long];
    let installed =
        install(&InstallInput { source_date_epoch: Some("1700000000".parse().unwrap()), ..input(&packages) })
            .unwrap();
    let archive = text_of(&installed.tree, "usr/lib/apk/db/scripts.tar").unwrap();
    let mut archive = tar::Archive::new(archive.as_slice());
    let entries = archive.entries().unwrap().map(|e| e.unwrap());
    let names: Vec<String> = entries
        .map(|e| {
            let header = e.header();
            format!(
                "{} {:o} {}",
                e.path().unwrap().display(),
                header.mode().unwrap(),
                header.mtime().unwrap()
            )
        })
        .collect();
    let (a, b) = (packages[0].checksum, packages[1].checksum);
    assert_eq!(
        names,
        [
            format!("first-1-r0.{a}.post-install 755 1700000000"),
            format!("first-1-r0.{a}.pre-upgrade 755 1700000000"),
            format!("first-1-r0.{a}.trigger 755 1700000000"),
            format!("{}-1-r0.{b}.pre-install 755 1700000000", "n".repeat(90)),
        ]
    );
    assert_eq!(text(&installed, "usr/lib/apk/db/triggers"), format!("{a} /usr/lib/*\n{a} /x\n"));
    let not_run = &installed.report.scripts_not_run;
    assert_eq!(not_run[0].scripts, ["post-install", "trigger"]);
    assert!(!not_run[0].reproduced() && not_run.len() == 2);
}

#[test]
fn the_time_is_the_newest_packages_unless_asked_for() {
    let mut packages =
        [package("a", "1-r0", vec![]), package("b", "1-r0", vec![]), package("c", "1-r0", vec![])];
    (packages[0].info.build_time, packages[1].info.build_time) = (1_700_000_000, -5);
    let epoch = |packages: &[Package]| run(packages).unwrap().build_date_epoch.seconds();
    assert_eq!(epoch(&packages), 1_700_000_000);
    assert_eq!(epoch(&packages[1..]), 0);
    let asked = InstallInput { source_date_epoch: Some(Timestamp::EPOCH), ..input(&packages) };
    assert_eq!(install(&asked).unwrap().build_date_epoch, Timestamp::EPOCH);
    // A line of 64 KiB ends the reading of the database, and with it what follows is not seen.
    packages[2].info.build_time = 1_800_000_000;
    assert_eq!(epoch(&packages), 1_800_000_000);
    packages[1].info.provides = vec!["x".repeat(65_534)];
    assert_eq!(epoch(&packages), 1_700_000_000);
    packages[1].info.provides = vec!["x".repeat(65_533)];
    assert_eq!(epoch(&packages), 1_800_000_000);
    packages[0].info.build_time = i64::MAX;
    assert!(refused(&packages).starts_with("rootfs/build-time a-1-r0"));
}

#[test]
fn accounts_come_from_the_packaged_file() {
    let passwd = "app:x:1000:1000::/home/app:/bin/sh\nx:x:7:7::/etc:/bin/sh\n";
    let packages = [package("a", "1-r0", vec![file("etc/passwd", passwd)])];
    let mut asked = input(&packages);
    asked.config.accounts = ApkoAccounts { run_as: "app".into(), ..ApkoAccounts::default() };
    let installed = install(&asked).unwrap();
    assert_eq!(installed.run_as.as_deref(), Some("1000"));
    assert!(text(&installed, "etc/apko.json").contains("\"accounts\":{\"run-as\":\"1000\"}"));
    assert_eq!(
        lines(&installed, &["home", "home/app", "etc/passwd"]),
        "5 0755 0 0 - - 0 0 home - - -\n5 0700 1000 1000 app - 0 0 home/app - - -\n0 4755 0 0 - - 57 7 etc/passwd - - -\n"
    );
    assert_eq!(run(&packages).unwrap().run_as, None);
}

#[test]
fn busybox_links_take_its_time_and_leave_what_is_there() {
    let entries = vec![
        folder("bin", 0o755),
        file("bin/busybox", "b"),
        file("bin/cat", "real"),
        link("bin/sh", "cat"),
        folder("etc/busybox-paths.d", 0o755),
        file("etc/busybox-paths.d/bb", "/bin/sh\n/bin/cat\n\n/bin/busybox\nls\n/opt/bb/vi\n/opt/bb/vi"),
    ];
    let mut bb = package("bb", "1-r0", entries);
    bb.info.provides = vec!["cmd:busybox=1".into()];
    let installed = run(std::slice::from_ref(&bb)).unwrap();
    expect![[r"
        5 0755 0 0 - - 0 7 opt/bb - - -
        2 0777 0 0 - - 0 7 opt/bb/vi /bin/busybox - -
        2 0777 0 0 - - 0 7 bin/sh cat - -
        no ls
        no bin/ash
    "]]
    .assert_eq(&lines(&installed, &["opt/bb", "opt/bb/vi", "bin/sh", "ls", "bin/ash"]));
    bb.entries.truncate(4);
    assert!(refused(std::slice::from_ref(&bb)).starts_with("rootfs/busybox bb-1-r0: expected a version"));
    bb.info.version = Version::parse("1.36.1-r2").unwrap();
    assert!(lines(&run(&[bb]).unwrap(), &["bin/ash"]).contains("bin/ash /bin/busybox"));
}

#[test]
fn certificates_get_a_checksum_beside_them() {
    let entries = vec![folder("etc/ssl/certs", 0o755), file("etc/ssl/certs/ca-certificates.crt", "abc")];
    let mut packages = [package("ca", "1-r0", entries)];
    packages[0].info.build_time = 1234;
    let installed = run(&packages).unwrap();
    let path = "etc/ssl/certs/.ca-certificates.crt.sha256";
    assert_eq!(lines(&installed, &[path]), format!("0 0444 0 0 - - 86 1234 {path} - - -\n"));
    assert_eq!(
        text(&installed, path),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  ca-certificates.crt\n"
    );
}

#[test]
fn libraries_for_other_processors_are_refused_where_a_cache_is_asked_for() {
    let elf = |machine: u8| {
        let mut raw = vec![0u8; 64];
        raw[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        (raw[16], raw[18], raw[20]) = (3, machine, 1);
        let checksum = Some(ContentSum::of(&raw));
        entry("usr/lib/libx.so", EntryKind::File(Blob::from_bytes(raw)), 0o755, checksum)
    };
    let with =
        |machine| run(&[package("l", "1-r0", vec![file("etc/ld.so.conf", "usr/lib\n"), elf(machine)])]);
    let cache = text_of(&with(62).unwrap().tree, "etc/ld.so.cache").unwrap();
    assert_eq!(cache[20..24], 1u32.to_le_bytes());
    assert!(cache.windows(17).any(|part| part == b"/usr/lib/libx.so\0"));
    assert_eq!(
        with(243).unwrap_err().to_string(),
        "/usr/lib/libx.so: the loader's cache can only hold libraries for x86-64 and AArch64, this is for ELF machine 243"
    );
    assert!(run(&[package("l", "1-r0", vec![elf(243)])]).is_ok());
}

#[test]
fn a_keys_name_is_one_name() {
    for name in ["", "..", "a/b", "/etc/passwd"] {
        let asked = InstallInput { keys: vec![(name.into(), vec![])], ..input(&[]) };
        assert!(matches!(install(&asked), Err(InstallError::KeyName { .. })), "{name}");
    }
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let name = prop::sample::select(vec!["a", "b", "lib", "etc", "bin"]);
    let path = prop::collection::vec(name, 1..4).prop_map(|parts| parts.join("/"));
    let target =
        prop::sample::select(vec!["a", "../a", "/b/a", "b", "../../..", ".", "/", "lib/b", "", "/a/../b"]);
    (path, target, 0..5u8).prop_map(|(path, target, kind)| match kind {
        0 | 1 => folder(&path, 0o755),
        2 => link(&path, target),
        3 => hard(&path, if target.contains("..") { "a/b" } else { target }),
        _ => file(&path, target),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever packages hold: an answer or an error, the same twice, and a tree that can be walked.
    #[test]
    fn any_packages_install_or_are_refused(
        a in prop::collection::vec(any_entry(), 0..12),
        b in prop::collection::vec(any_entry(), 0..12),
    ) {
        let mut packages = [package("a", "1-r0", a), package("b", "1-r0", b)];
        packages[1].info.origin = "a".into();
        match (run(&packages), run(&packages)) {
            (Ok(one), Ok(two)) => {
                let lines = listing(&one.tree);
                prop_assert_eq!(&lines, &listing(&two.tree));
                let parts = |e: &TreeEntry<'_>| e.path.components().map(<[u8]>::to_vec).collect::<Vec<_>>();
                prop_assert!(one.tree.entries().is_sorted_by_key(parts));
            }
            (Err(one), Err(two)) => prop_assert_eq!(one.to_string(), two.to_string()),
            _ => prop_assert!(false, "another answer the second time"),
        }
    }
}

#[test]
fn what_no_runtime_can_unpack_is_refused_and_shown_short() {
    let path = |len: usize| {
        let mut text = "d/".repeat(len / 2);
        text.push('n');
        text
    };
    let fine = [package("a", "1-r0", vec![folder(&path(4094), 0o755), link("l", &"t".repeat(4095))])];
    assert!(run(&fine).is_ok());
    for (bad, what) in [
        (folder(&path(4096), 0o755), "a path of 4097 bytes"),
        (link("l", &"t".repeat(4096)), "a link's text of 4096 bytes"),
    ] {
        let text = refused(&[package("a", "1-r0", vec![bad])]);
        let want = format!(": a-1-r0 has {what}; a container runtime can unpack at most 4095\n");
        assert!(text.starts_with("rootfs/too-long /") && text.contains(&want), "{text}");
        assert!(text.chars().count() < 450, "{text}");
    }
}
