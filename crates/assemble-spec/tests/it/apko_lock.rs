//! apko's lock: read as apko reads it, written as apko writes it.

use std::path::PathBuf;

use assemble_spec::lock::apko::parse;
use assemble_types::Arch;
use expect_test::{Expect, expect};

fn kit() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/testkit");
    let kit = std::env::var_os("ASSEMBLE_TESTKIT").map_or_else(|| PathBuf::from(default), PathBuf::from);
    if kit.join("apko-oracle").is_dir() {
        return Some(kit.join("apko-oracle"));
    }
    eprintln!("SKIPPED: no test kit at {}; set ASSEMBLE_TESTKIT", kit.display());
    None
}

#[test]
fn every_lock_of_apko_is_written_back_byte_for_byte() {
    let Some(kit) = kit() else { return };
    let mut count = 0;
    for case in std::fs::read_dir(kit).unwrap().map(Result::unwrap) {
        for name in ["apko.lock.json", "pinned.lock.json", "top.lock.json"] {
            let path = case.path().join(name);
            let Ok(bytes) = std::fs::read(&path) else { continue };
            let shown = path.display().to_string();
            let read = match parse(&shown, &bytes) {
                Ok(read) => read,
                Err(wrong) => panic!("{}", wrong.plain()),
            };
            assert!(read.lock.to_json() == bytes, "{shown}");
            assert_eq!(read.places.len(), read.lock.contents.packages.len());
            count += 1;
        }
    }
    assert!(count >= 70, "only {count} locks");
}

const SMALL: &str = r#"{
  "version": "v1",
  "config": { "name": "a.yaml", "checksum": "sha256-x" },
  "contents": {
    "packages": [
      { "name": "b", "url": "https://h/x86_64/b-1.apk", "version": "1", "architecture": "x86_64",
        "checksum": "Q1kqFQHSGzXGq3k7gQTqb+GxbmnOw=" },
      { "name": "any", "url": "https://h/x86_64/any-1.apk", "version": "1", "architecture": "noarch" },
      { "name": "a", "url": "https://h/x86_64/a-1.apk", "version": "1", "architecture": "x86_64" },
      { "name": "a", "url": "https://h/aarch64/a-1.apk", "version": "1", "architecture": "aarch64" }
    ]
  }
}
"#;

#[test]
fn the_order_of_the_file_is_that_of_installation() {
    let read = parse("apko.lock.json", SMALL.as_bytes()).unwrap();
    let shown: Vec<String> = read
        .packages_for(Arch::X86_64)
        .iter()
        .map(|p| format!("{} {} {}", p.span, p.value.name, p.value.checksum.is_some()))
        .collect();
    assert_eq!(shown, ["apko.lock.json:6:7 b true", "apko.lock.json:9:7 a false"]);
    assert!(read.packages_for(Arch::Armv7).is_empty());
}

#[test]
fn it_is_read_as_go_reads_it() {
    let odd = r#"{"Version":"v0","version":"v1","unknown":[{"x":1.5}],"CONTENTS":{"Packages":[
        {"NAME":"a","url":"/a.apk","version":"1","architecture":null,"signature":null,"checksum":""}],"keyring":null}}"#;
    let read = parse("f", odd.as_bytes()).unwrap();
    assert_eq!(read.lock.version, "v1");
    assert!(read.lock.config.is_none() && read.lock.contents.packages[0].checksum.is_none());
}

#[track_caller]
fn refused(text: &str, expected: Expect) {
    let wrong = parse("apko.lock.json", text.as_bytes()).unwrap_err();
    let lines: Vec<String> =
        wrong.iter().map(|d| format!("{} {} {}", d.spans[0], d.code, d.message)).collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn wrong_values_are_named_with_their_place() {
    refused(
        &SMALL.replace("\"v1\"", "\"v2\""),
        expect!["apko.lock.json:2:14 lock/version a lock of apko of version `v2`; v1 is known"],
    );
    refused(
        &SMALL.replace("Q1kq", "Q2kq").replace("\"name\": \"any\", ", ""),
        expect![[r#"
            apko.lock.json:7:21 lock/value checksum: `Q2kqFQHSGzXGq3k7gQTqb+GxbmnOw=` is no checksum: expected `Q1` and 28 characters of base64, or `Q2` and 44
            apko.lock.json:8:7 lock/missing a package: `name` is missing"#]],
    );
    refused(
        &SMALL.replace("\"a-1", "\"a 1").replace("\"version\": \"1\", \"arch", "\"version\": 1, \"arch"),
        expect![[r#"
        apko.lock.json:6:68 lock/type version is a number, and has to be a text
        apko.lock.json:8:72 lock/type version is a number, and has to be a text
        apko.lock.json:9:68 lock/type version is a number, and has to be a text
        apko.lock.json:10:69 lock/type version is a number, and has to be a text"#]],
    );
    refused(
        &SMALL.replace("https://h/aarch64", "https://me:hunter2@h/aarch64"),
        expect![
            "apko.lock.json:10:29 lock/value url: a URL with user information; passwords come from netrc or HTTP_AUTH"
        ],
    );
    refused("{}", expect!["apko.lock.json:1:1 lock/missing the lock: `contents` is missing"]);
    refused("[]", expect!["apko.lock.json:1:1 lock/type the lock is a list, and has to be a map"]);
    refused(
        "{\"assemble-lock\": 1}",
        expect!["apko.lock.json:1:1 lock/foreign `apko.lock.json` is a lock of assemble, not of apko"],
    );
    refused(
        "{\"contents\": {\"packages\": {}}}",
        expect!["apko.lock.json:1:27 lock/type packages is a map, and has to be a list"],
    );
}
