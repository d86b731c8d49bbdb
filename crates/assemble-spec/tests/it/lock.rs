//! Our lock: the way to text and back, and what a wrong one says.

use assemble_apk::{Checksum, PackageName, PublicKey, Version, builtin_keys};
use assemble_spec::lock::{
    Change, Difference, Learnt, Lock, LockedHashes, LockedImage, LockedKey, LockedPackage, LockedRepository,
    LockedSpec, MAX_LOCK, MadeWith, Section, parse_lock,
};
use assemble_types::{Arch, Digest};
use expect_test::{Expect, expect};
use proptest::prelude::*;

fn key() -> PublicKey {
    builtin_keys("packages.wolfi.dev").remove(0)
}

fn package(name: &str, version: &str) -> LockedPackage {
    let section = |text: &str, size| Section { size, sha256: Digest::of(text.as_bytes()) };
    LockedPackage {
        name: PackageName::parse(name).unwrap(),
        version: Version::parse(version).unwrap(),
        pin: None,
        url: format!("https://pkgs.example.org/os/x86_64/{name}-{version}.apk"),
        size: 1_000,
        hashes: LockedHashes::V2 {
            checksum: Checksum::of(format!("{name}{version}").as_bytes()),
            signature: Some(section("signature", 100)),
            control: section(name, 300),
            data: section(version, 600),
        },
    }
}

/// A package of format version 3.
fn third_version() -> LockedPackage {
    let hashes =
        LockedHashes::V3 { checksum: Checksum::from_sha256([3; 32]), sha256: Digest::of(b"the whole file") };
    LockedPackage { hashes, ..package("ucode", "2024-r1") }
}

fn lock() -> Lock {
    let mut tagged = package("zlib", "1.3-r0");
    tagged.pin = Some("edge".into());
    if let LockedHashes::V2 { signature, .. } = &mut tagged.hashes {
        *signature = None;
    }
    tagged.size = 900;
    Lock {
        spec: LockedSpec { name: "demo".into(), digest: Digest::of(b"spec") },
        made_with: MadeWith {
            codec: "tar+gzip/1".into(),
            certificates: None,
            time_zones: Some("2025b".into()),
        },
        keys: vec![LockedKey {
            key: key(),
            archs: vec![Arch::Aarch64, Arch::X86_64],
            from: "https://pkgs.example.org/wolfi-signing.rsa.pub".into(),
        }],
        repositories: vec![LockedRepository {
            arch: Arch::X86_64,
            url: "https://pkgs.example.org/os".into(),
            pin: Some("edge".into()),
            index: Digest::of(b"index"),
            size: 77,
            signed_by: Some("wolfi-signing.rsa.pub".into()),
        }],
        images: vec![
            LockedImage {
                arch: Arch::Aarch64,
                packages: vec![package("busybox", "1.36-r0"), third_version()],
                learnt: None,
            },
            LockedImage {
                arch: Arch::X86_64,
                packages: vec![tagged, package("busybox", "1.36-r0")],
                learnt: Some(Learnt { time: Some(0), diff_ids: vec![Digest::of(b"layer")] }),
            },
        ],
    }
}

#[test]
fn one_package_a_line_and_sorted() {
    let text = lock().to_text();
    let shown: String = text.lines().map(|line| format!("{}\n", line.replace(pem(), "PEM"))).collect();
    expect![[r#"
        {
          "assemble-lock": 1,
          "spec": {"name":"demo","digest":"sha256:d4f02eaafd1a9e9de7d10972ca8e47fa7a985825c3c9c1e249c72683cb3e4f19"},
          "made-with": {"codec":"tar+gzip/1","time-zones":"2025b"},
          "keys": [
            {"name":"wolfi-signing.rsa.pub","archs":["aarch64","x86_64"],"from":"https://pkgs.example.org/wolfi-signing.rsa.pub","pem":"PEM"}
          ],
          "repositories": [
            {"arch":"x86_64","url":"https://pkgs.example.org/os","pin":"edge","index":"sha256:1bc04b5291c26a46d918139138b992d2de976d6851d0893b0476b85bfbdfc6e6","size":77,"signed-by":"wolfi-signing.rsa.pub"}
          ],
          "packages": [
            {"arch":"aarch64","name":"busybox","version":"1.36-r0","checksum":"Q1dVvHrR+BIfxatQq1tIWYM1Lz2Vs=","size":1000,"signature":{"size":100,"sha256":"1a2fc26dc7ea5a2a4748b7cb2b1ef193d96ab2c99f93092f69e63075b28d1278"},"control":{"size":300,"sha256":"9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91"},"data":{"size":600,"sha256":"9b01a17dece1592aa7e5cc0c1c0beffca90f9c4ec331de58cd90d3add9cf6f85"},"url":"https://pkgs.example.org/os/x86_64/busybox-1.36-r0.apk"},
            {"arch":"aarch64","name":"ucode","version":"2024-r1","checksum":"Q2AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=","size":1000,"sha256":"820480309f460664c2771eedec77663260b7da322f7d11f8b2fff2691e778242","url":"https://pkgs.example.org/os/x86_64/ucode-2024-r1.apk"},
            {"arch":"x86_64","name":"busybox","version":"1.36-r0","checksum":"Q1dVvHrR+BIfxatQq1tIWYM1Lz2Vs=","size":1000,"signature":{"size":100,"sha256":"1a2fc26dc7ea5a2a4748b7cb2b1ef193d96ab2c99f93092f69e63075b28d1278"},"control":{"size":300,"sha256":"9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91"},"data":{"size":600,"sha256":"9b01a17dece1592aa7e5cc0c1c0beffca90f9c4ec331de58cd90d3add9cf6f85"},"url":"https://pkgs.example.org/os/x86_64/busybox-1.36-r0.apk"},
            {"arch":"x86_64","name":"zlib","version":"1.3-r0","checksum":"Q1jwubdzHhcpLPy9b4PtcTjEfDRnk=","size":900,"control":{"size":300,"sha256":"0ea55c28f8014d8886b6248fe3da5d588f55c0823847a6b4579f1131b051b5e2"},"data":{"size":600,"sha256":"db2c8f69d6c0117fcc2180cc87aea6630fdb69fae28968e0154aaac951962ed5"},"pin":"edge","url":"https://pkgs.example.org/os/x86_64/zlib-1.3-r0.apk"}
          ],
          "images": [
            {"arch":"aarch64","order":["busybox","ucode"]},
            {"arch":"x86_64","order":["zlib","busybox"],"layers":{"time":0,"diff-ids":["sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85"]}}
          ]
        }
    "#]]
    .assert_eq(&shown);
}

/// The key as it stands in the text.
fn pem() -> &'static str {
    static PEM: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    PEM.get_or_init(|| String::from_utf8(key().pem().to_vec()).unwrap().replace('\n', "\\n"))
}

#[test]
fn what_is_written_is_read() {
    let lock = lock();
    let text = lock.to_text();
    let read = parse_lock("demo.lock", text.as_bytes()).unwrap();
    assert_eq!(read, lock);
    assert_eq!(read.to_text(), text);
    assert_eq!(read.image(Arch::X86_64).unwrap().packages[0].name.as_str(), "zlib", "the order is kept");
    assert_eq!(read.keys_for(Arch::Aarch64).count(), 1);
    assert_eq!(read.keys_for(Arch::Armv7).count(), 0);
    assert_eq!(read.repositories_for(Arch::X86_64).count(), 1);
}

#[test]
fn an_empty_lock_is_a_lock() {
    let empty = Lock { keys: vec![], repositories: vec![], images: vec![], ..lock() };
    assert_eq!(parse_lock("a.lock", empty.to_text().as_bytes()).unwrap(), empty);
}

#[track_caller]
fn refused(change: impl FnOnce(String) -> String, expected: Expect) {
    let text = change(lock().to_text());
    match parse_lock("demo.lock", text.as_bytes()) {
        Ok(lock) => panic!("accepted: {lock:#?}"),
        Err(wrong) => {
            let shown: Vec<String> = wrong
                .iter()
                .map(|d| {
                    format!(
                        "{} {} {}{}",
                        d.spans[0],
                        d.code,
                        d.message,
                        d.help.iter().map(|h| format!("\n  {h}")).collect::<String>()
                    )
                })
                .collect();
            expected.assert_eq(&shown.join("\n"));
        }
    }
}

#[test]
fn other_versions_and_other_files_are_named() {
    refused(
        |text| text.replace("\"assemble-lock\": 1", "\"assemble-lock\": 2"),
        expect![[r#"
        demo.lock:2:20 lock/version `demo.lock` is a lock of version 2, and this assemble reads version 1
          use the assemble that wrote it, or make it anew: assemble lock SPEC"#]],
    );
    refused(
        |_| "{\"version\": \"v1\", \"contents\": {}}".into(),
        expect![[r#"
        demo.lock:1:1 lock/foreign `demo.lock` is no lock of assemble
          this looks like a lock of apko: --lockfile demo.lock
          write one: assemble lock SPEC"#]],
    );
    refused(
        |_| "contents: {}".into(),
        expect![[r#"
        demo.lock:1:1 lock/json expected a value, and `c` stands there
          make it anew: assemble lock SPEC"#]],
    );
    refused(
        |_| String::new(),
        expect![[r#"
        demo.lock:1:1 lock/json expected a value, and the file ends there
          make it anew: assemble lock SPEC"#]],
    );
}

#[test]
fn every_value_is_checked_and_every_mistake_is_told() {
    let hex = "ab".repeat(32);
    refused(
        |text| {
            text.replace("1.36-r0\",\"checksum\":\"Q1", "1.36 r0\",\"checksum\":\"Q2")
                .replace("\"size\":77", "\"size\":-1")
                .replace("\"signed-by\"", "\"signedby\"")
                .replace(
                    "\"url\":\"https://pkgs.example.org/os\"",
                    "\"url\":\"https://me:hunter2@pkgs.example.org/os\"",
                )
        },
        expect![[r#"
            demo.lock:9:28 lock/value url: a URL with user information; passwords come from netrc or HTTP_AUTH
            demo.lock:9:171 lock/value size has to be a whole number
            demo.lock:9:174 lock/unknown-key a repository: there is no key `signedby`
            demo.lock:12:50 lock/value version: `1.36 r0` is no version: it holds ' '
            demo.lock:12:71 lock/value checksum: `Q2dVvHrR+BIfxatQq1tIWYM1Lz2Vs=` is no checksum: expected `Q1` and 28 characters of base64, or `Q2` and 44
            demo.lock:14:49 lock/value version: `1.36 r0` is no version: it holds ' '
            demo.lock:14:70 lock/value checksum: `Q2dVvHrR+BIfxatQq1tIWYM1Lz2Vs=` is no checksum: expected `Q1` and 28 characters of base64, or `Q2` and 44"#]],
    );
    refused(
        |text| text.replace("\"time\":0", "\"time\":1.5").replace("\"size\":900", "\"size\":901"),
        expect!["demo.lock:15:5 lock/value the sizes of the sections do not add up to the size of the file"],
    );
    refused(
        |text| text.replacen("[\"busybox\",\"ucode\"]", "[\"busybox\",\"ucode\",\"busybox\",\"nano\"]", 1),
        expect![[r#"
            demo.lock:18:50 lock/order busybox is not among the packages for aarch64, or comes twice
            demo.lock:18:60 lock/order nano is not among the packages for aarch64, or comes twice"#]],
    );
    refused(
        |text| text.replacen("[\"busybox\",\"ucode\"]", "[\"ucode\"]", 1),
        expect!["demo.lock:12:5 lock/order busybox is in no order of installation for aarch64"],
    );
    refused(
        |text| text.replace("\"arch\":\"aarch64\",\"order\"", "\"arch\":\"arm64\",\"order\""),
        expect![
            "demo.lock:18:13 lock/value arch: `arm64` is no architecture: expected one of x86, x86_64, aarch64, armhf, armv7, loongarch64, ppc64le, riscv64, s390x"
        ],
    );
    refused(
        |text| text.replace("\"name\":\"ucode\"", "\"name\":\"../ucode\""),
        expect!["demo.lock:13:30 lock/value name: `../ucode` cannot be part of a file's name"],
    );
    refused(
        |text| text.replace("PUBLIC KEY", "PUBLIC CHEESE"),
        expect![
            "demo.lock:6:128 lock/value pem: key `wolfi-signing.rsa.pub` has no block `-----BEGIN PUBLIC KEY-----`, or a damaged one"
        ],
    );
    refused(
        |text| {
            let line = text.lines().find(|line| line.contains("\"zlib\",\"version\"")).unwrap().to_owned();
            text.replace(&line, &format!("{line},\n{line}"))
        },
        expect!["demo.lock:16:5 lock/package-twice zlib is locked twice for x86_64"],
    );
    refused(
        |text| text.replace("\"name\":\"demo\"", &format!("\"name\":\"\\u001b[2J\",\"x\":\"{hex}\"")),
        expect![[r#"
        demo.lock:3:19 lock/value name: it holds the control character '\u{1b}'
        demo.lock:3:31 lock/unknown-key spec: there is no key `x`"#]],
    );
}

#[test]
fn merge_conflicts_are_told_as_such() {
    refused(
        |text| text.replacen("    {\"arch\"", "<<<<<<< HEAD\n    {\"arch\"", 1),
        expect![[r#"
        demo.lock:9:1 lock/conflict `demo.lock` holds a conflict of a merge
          take either side whole, and then make the lock fit the spec: assemble lock SPEC"#]],
    );
}

#[test]
fn sizes_are_bounded() {
    let wrong = parse_lock("demo.lock", &vec![b' '; MAX_LOCK + 1]).unwrap_err();
    assert_eq!(wrong.iter().next().unwrap().code, "lock/too-large");
    // Sizes whose sum does not fit.
    refused(
        |text| text.replace("\"size\":300", "\"size\":18446744073709551615"),
        expect![[r#"
            demo.lock:12:5 lock/value the sizes of the sections do not add up to the size of the file
            demo.lock:14:5 lock/value the sizes of the sections do not add up to the size of the file
            demo.lock:15:5 lock/value the sizes of the sections do not add up to the size of the file"#]],
    );
    // Many keys in one map, many mistakes: few are told. What that costs is counted where places are.
    let keys: String = (0..200_000).map(|n| format!("\"k{n}\":1,")).collect();
    let wrong = parse_lock("demo.lock", format!("{{{keys}\"assemble-lock\":1}}").as_bytes()).unwrap_err();
    assert!(wrong.len() <= 21, "{}", wrong.len());
}

#[test]
fn differences_are_told_by_package() {
    let old = lock();
    let mut new = lock();
    new.spec.digest = Digest::of(b"another");
    new.made_with.time_zones = Some("2026a".into());
    new.keys.clear();
    for image in &mut new.images {
        image.packages.retain(|package| package.name.as_str() != "busybox");
        image.packages.push(package("busybox", "1.37-r0"));
    }
    new.images[0].packages.push(package("nano", "8-r0"));
    new.images[1].packages.remove(0);
    let told = |old: &Lock, new: &Lock| -> String {
        Difference::between(&old.outline(), &new.outline())
            .changes
            .iter()
            .map(|change| format!("{change}\n"))
            .collect()
    };
    expect![[r#"
        the spec has changed
        made with: tar+gzip/1, time zones 2025b -> tar+gzip/1, time zones 2026a
        key wolfi-signing.rsa.pub: gone
        busybox 1.36-r0 -> 1.37-r0 (aarch64, x86_64)
        nano 8-r0: new (aarch64)
        zlib 1.3-r0: gone (x86_64)
    "#]]
    .assert_eq(&told(&old, &new));
    let mut order = lock();
    order.images[1].packages.reverse();
    expect![[r#"
        x86_64: another order of installation
    "#]]
    .assert_eq(&told(&old, &order));
    let mut bytes = lock();
    bytes.images[0].packages[0].hashes = package("busybox", "x").hashes;
    bytes.images.remove(1);
    expect![[r#"
        x86_64: gone
        busybox 1.36-r0: other bytes (aarch64)
    "#]]
    .assert_eq(&told(&old, &bytes));
    let mut informed = lock();
    informed.repositories.clear();
    informed.images[1].learnt = None;
    assert!(
        Difference::between(&old.outline(), &informed.outline()).is_empty(),
        "indexes and layers are no decision"
    );
    assert!(matches!(
        Difference::between(&old.outline(), &new.outline()).packages().next(),
        Some(Change::Package { .. })
    ));
}

fn arch() -> impl Strategy<Value = Arch> {
    prop::sample::select(Arch::ALL.to_vec())
}

fn section() -> impl Strategy<Value = Section> {
    (0..u64::MAX / 8, any::<[u8; 32]>())
        .prop_map(|(size, bytes)| Section { size, sha256: Digest::from_bytes(bytes) })
}

prop_compose! {
    fn any_package()(
        name in "[a-zA-Z0-9_:.+-]{1,12}",
        version in "[^\\s\\p{C}/\\\\]{1,8}",
        pin in prop::option::of("[a-z]{1,5}"),
        url in "(https?://[a-z.:0-9]{1,12})?/[^\\p{C}]{0,20}",
        checksum in any::<[u8; 20]>(),
        signature in prop::option::of(section()),
        control in section(),
        data in section(),
        third in any::<bool>(),
    ) -> LockedPackage {
        let size = signature.map_or(0, |s| s.size) + control.size + data.size;
        let checksum = Checksum::from_bytes(checksum);
        let hashes = if third {
            LockedHashes::V3 { checksum: Checksum::from_sha256(*data.sha256.as_bytes()), sha256: control.sha256 }
        } else {
            LockedHashes::V2 { checksum, signature, control, data }
        };
        LockedPackage {
            name: PackageName::parse(&name).unwrap(),
            version: Version::parse(&version).unwrap(),
            pin: pin.map(Into::into), url, size, hashes,
        }
    }
}

prop_compose! {
    fn any_image()(
        arch in arch(),
        packages in prop::collection::vec(any_package(), 0..6),
        learnt in prop::option::of((prop::option::of(0..i64::MAX), prop::collection::vec(any::<[u8; 32]>(), 0..3))),
    ) -> LockedImage {
        let mut seen = std::collections::BTreeSet::new();
        let packages = packages.into_iter().filter(|p| seen.insert(p.name.clone())).collect();
        let learnt = learnt.map(|(time, ids)| Learnt { time, diff_ids: ids.into_iter().map(Digest::from_bytes).collect() });
        LockedImage { arch, packages, learnt }
    }
}

proptest! {
    #[test]
    fn any_lock_is_read_back(mut images in prop::collection::vec(any_image(), 0..4), name in "[^\\p{C}]{1,20}") {
        images.sort_by_key(|image| image.arch.apk());
        images.dedup_by_key(|image| image.arch);
        let lock = Lock { images, spec: LockedSpec { name, digest: Digest::of(b"x") }, ..lock() };
        let text = lock.to_text();
        prop_assert_eq!(parse_lock("a.lock", text.as_bytes()).unwrap(), lock.clone());
        prop_assert_eq!(text.lines().filter(|line| line.contains("\"checksum\"")).count(),
            lock.images.iter().map(|image| image.packages.len()).sum::<usize>());
    }

    #[test]
    fn no_mutation_breaks_the_reader(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_usize), 1..6)) {
        let mut bytes = lock().to_text().into_bytes();
        for (at, byte, what) in edits {
            let at = at.index(bytes.len());
            match what {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] = byte,
                2 => bytes.insert(at, byte),
                _ => { let rest = bytes[at..].to_vec(); bytes.extend(rest); }
            }
        }
        match parse_lock("a.lock", &bytes) {
            // Whatever is taken can be written and read again.
            Ok(lock) => prop_assert_eq!(parse_lock("a.lock", lock.to_text().as_bytes()).unwrap().to_text(), lock.to_text()),
            Err(wrong) => {
                prop_assert!(wrong.len() <= 21);
                for diagnostic in &wrong {
                    prop_assert!(!diagnostic.message.contains(char::is_control), "{:?}", diagnostic.message);
                }
            }
        }
    }
}
