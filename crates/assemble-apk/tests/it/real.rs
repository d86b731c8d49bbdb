//! Real repositories of the test kit.

use std::fs;
use std::time::Instant;

use assemble_apk::{Checksum, Limits, Provide};
use assemble_types::Explain;

use crate::kit::{chain, index, keyring, kit, open};

/// Every package of a real repository opens with what its index says.
#[test]
fn all_packages_of_a_real_repository_open() {
    let Some(real) = kit("real") else { return };
    let folder = real.join("alpine-3.19-iso/x86_64");
    let index = index(&folder, &keyring(&real.join("keys/alpine")));
    assert_eq!(index.records.len(), 100);
    let (mut entries, mut bytes) = (0, 0);
    for record in &index.records {
        let packed = fs::read(folder.join(format!("{}-{}.apk", record.name, record.version))).unwrap();
        bytes += packed.len();
        let checksum = record.checksum.unwrap();
        let package =
            open(packed, record.name.as_str(), record.version.as_str(), checksum, &Limits::default());
        let package = package.unwrap_or_else(|error| panic!("{}", chain(&error)));
        entries += package.entries.len();
        assert_eq!((package.size, package.checksum), (record.size, checksum));
        // What the index says of a package comes from its .PKGINFO.
        let info = &package.info;
        assert_eq!((&info.license, &info.origin), (&record.license, &record.origin));
        // The index of a repository lists packages for every architecture as if they were for this one.
        assert!(info.arch == record.arch || info.arch == "noarch", "{}", info.arch);
        assert_eq!((&info.commit, info.build_time), (&record.commit, record.build_time));
        // `#` begins a comment in .PKGINFO, as apko reads it.
        assert_eq!(Some(info.url.as_str()), record.url.split('#').next());
        // A dependency that is written twice counts once in .PKGINFO, as apko reads it.
        let mut depends: Vec<String> = Vec::new();
        for text in record.depends.iter().map(ToString::to_string) {
            if !depends.contains(&text) {
                depends.push(text);
            }
        }
        assert_eq!(info.depends, depends);
        assert_eq!(info.provides.len(), record.provides.len());
        assert_eq!(
            (info.installed_size, info.provider_priority),
            (record.installed_size, record.provider_priority)
        );
    }
    println!("{entries} entries in {bytes} bytes");
    assert!(entries > 3000, "{entries}");
}

/// Nearly everything in real indexes is inside the grammar.
#[test]
fn large_real_indexes() {
    let Some(real) = kit("real/alpine-3.19") else { return };
    let keys = keyring(&real.join("../keys/alpine"));
    for (part, count) in [("main", 5443), ("community", 17587)] {
        let start = Instant::now();
        let index = index(&real.join(part).join("x86_64"), &keys);
        println!("{part}: {:?}", start.elapsed());
        assert_eq!(index.records.len(), count);
        assert!(index.description.starts_with("v3.19.1-"), "{}", index.description);
        let mut outside = Vec::new();
        for record in &index.records {
            if !record.version.is_valid() {
                outside.push(format!("{}-{}", record.name, record.version));
            }
            assert!(record.checksum.is_some(), "{}", record.name);
            for constraint in record.depends.iter().chain(&record.install_if) {
                let text = constraint.to_string();
                assert_eq!(
                    assemble_apk::Constraint::parse(&text).as_ref(),
                    Ok(constraint),
                    "{}",
                    record.name
                );
                if !constraint.version.as_ref().is_none_or(assemble_apk::Version::is_valid) {
                    outside.push(text);
                }
            }
            for provide in &record.provides {
                assert_eq!(Provide::parse(&provide.to_string()).as_ref(), Ok(provide));
            }
        }
        println!("outside the grammar: {outside:?}");
        assert!(outside.len() < 30, "{outside:?}");
        if part == "main" {
            let musl = index.records.iter().find(|r| r.name.as_str() == "musl").unwrap();
            let provides: Vec<String> =
                musl.provides.iter().map(|p| p.clone().with_soname_rule().to_string()).collect();
            assert_eq!(provides, ["so:libc.musl-x86_64.so.1=0.1"]);
            assert!(index.records.iter().any(|r| !r.install_if.is_empty() && r.provides.len() > 20));
            assert!(index.records.iter().any(|r| r.depends.iter().any(|d| d.conflict)));
        }
    }
}

/// Single packages from many builders: with their own identity they open, and the two that were cut for tests of their
/// own do not.
#[test]
fn packages_of_many_builders() {
    let Some(real) = kit("real") else { return };
    let provenance: serde_json::Value =
        serde_json::from_slice(&fs::read(real.join("provenance.json")).unwrap()).unwrap();
    let mut refused = Vec::new();
    let mut count = 0;
    for file in provenance.as_array().unwrap() {
        let path = file["dest"].as_str().unwrap();
        if std::path::Path::new(path).extension().is_none_or(|e| e != "apk") {
            continue;
        }
        let text = |key: &str| file[key].as_str().unwrap_or_default();
        let Ok(checksum) = Checksum::parse(text("identity")) else {
            assert!(path.contains("v3"), "{path}");
            continue;
        };
        count += 1;
        let packed = fs::read(real.join(path)).unwrap();
        let result = open(packed.clone(), text("name"), text("version"), checksum, &Limits::default());
        if let Err(error) = result {
            refused.push(format!("{path}: {} {}", error.code(), chain(&error)));
        }
        let other = open(packed, text("name"), "0-r0", checksum, &Limits::default()).unwrap_err();
        assert_eq!(other.code(), "apk/identity");
    }
    assert!(count > 100, "{count}");
    refused.sort();
    expect_test::expect![[r#"
        wolfi/x86_64/aws-c-s3-0.4.9-r0.apk: apk/data-hash aws-c-s3-0.4.9-r0: its .PKGINFO promises data with SHA-256 854d0f04211d3eb0160111839e64c90bca94ed804a599423b4cfacddc9b2437f, the file's data has e2816f0b22f08a1a0decac06072bd0e297cb57295975ed09f161d52168826516
        wolfi/x86_64/neon-4604-r0.apk: apk/data-hash neon-4604-r0: its .PKGINFO promises data with SHA-256 cb21fa1e6f8af5bff823e30f05dbb6f482c5d61711713cc4bd5235e2be9165a1, the file's data has 7c74535c23efa132c98419618ee588b190d570153f3c987429a8f0317b4d0906"#]]
    .assert_eq(&refused.join("\n"));
}

/// A package that is not the one its index lists.
#[test]
fn a_package_beside_an_index_of_other_packages() {
    let Some(real) = kit("real") else { return };
    let folder = real.join("alpine-3.16/main/x86_64");
    let index = index(&folder, &keyring(&real.join("keys/alpine")));
    let record = index.records.iter().find(|r| r.name.as_str() == "alpine-baselayout").unwrap();
    let packed = fs::read(folder.join("alpine-baselayout-3.2.0-r23.apk")).unwrap();
    let error = open(packed, "alpine-baselayout", "3.2.0-r23", record.checksum.unwrap(), &Limits::default())
        .unwrap_err();
    assert_eq!(error.code(), "apk/checksum");
    assert_eq!(error.kind().exit_code(), 5);
}

#[test]
fn a_record_takes_no_more_memory_than_it_may() {
    let Some(real) = kit("real") else { return };
    let keys = keyring(&real.join("keys/alpine"));
    for folder in ["alpine-3.19/main/x86_64", "alpine-3.19/community/x86_64"] {
        let index = index(&real.join(folder), &keys);
        let (bytes, count) = (index.records.weight().unwrap(), index.records.len());
        assert!(bytes <= 150 * count, "{} bytes for each of {count} records", bytes / count);
        // Those that are read are in memory as they are; what is needed to find them is not much.
        for number in (0..count).step_by(10) {
            assert!(index.records.get(number).is_some());
        }
        assert!(index.records.weight().unwrap() <= bytes + 16 * count);
        index.records.check().unwrap();
    }
}
