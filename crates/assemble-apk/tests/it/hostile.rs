//! The hostile packages and indexes of the test kit. They are made on demand: run the kit's `make-bad-apks.py FOLDER` and
//! set `ASSEMBLE_BAD_APKS` to FOLDER.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use assemble_apk::{Index, Keyring, Limits, PublicKey, Trust, read_index};
use assemble_types::Explain;

use crate::kit::{chain, open};

/// What this crate by itself says about one repository: `ok`, or the first error. Cases that only the solver, the
/// fetcher or the tree can refuse are `ok` here.
fn verdict(folder: &Path, keys: &Keyring, install: &[String]) -> Result<(), (String, String)> {
    let packed = fs::read(folder.join("x86_64/APKINDEX.tar.gz")).unwrap();
    let Index { records, .. } = read_index(&packed, keys, Trust::Required)
        .map_err(|error| (error.code().to_owned(), chain(&error)))?;
    let wanted = |name: &str| install.iter().any(|i| i == name) || install.iter().any(|i| i.contains("good"));
    for record in records.iter().filter(|r| wanted(r.name.as_str()) || records.len() < 5) {
        let path = folder.join(format!("x86_64/{}-{}.apk", record.name, record.version));
        let Ok(bytes) = fs::read(path) else { continue };
        let Some(checksum) = record.checksum else {
            return Err(("no checksum".into(), format!("{} has no checksum", record.name)));
        };
        let limits = Limits { data: 1 << 30, ..Limits::default() };
        open(bytes, record.name.as_str(), record.version.as_str(), checksum, &limits)
            .map_err(|error| (error.code().to_owned(), chain(&error)))?;
    }
    Ok(())
}

#[test]
fn nothing_hostile_passes_panics_or_takes_long() {
    let Some(root) = std::env::var_os("ASSEMBLE_BAD_APKS").map(PathBuf::from) else {
        eprintln!(
            "SKIPPED: hostile packages: set ASSEMBLE_BAD_APKS to what the test kit's make-bad-apks.py wrote"
        );
        return;
    };
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(root.join("manifest.json")).unwrap()).unwrap();
    let mut table = String::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for case in manifest["cases"].as_array().unwrap() {
        let text = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
        let list = |key: &str| -> Vec<String> {
            case[key].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
        };
        let (case_id, expect) = (text("id"), text("expect"));
        let keys: Keyring = list("keys")
            .iter()
            .map(|name| PublicKey::parse(name, &fs::read(root.join("keys").join(name)).unwrap()).unwrap())
            .collect();
        let start = Instant::now();
        let verdict = verdict(&root.join(&case_id), &keys, &list("install"));
        let took = start.elapsed();
        assert!(took < Duration::from_mins(1), "{case_id} took {took:?}");
        if let Err((_, message)) = &verdict {
            assert!(!message.chars().any(char::is_control), "{case_id}: {message:?}");
        }
        let (code, message) = match verdict {
            Ok(()) => ("ok".to_owned(), String::new()),
            Err(found) => found,
        };
        *seen.entry(code.clone()).or_default() += 1;
        table.push_str(&format!("{case_id} | {expect} | {code} | {message} | {took:?}\n"));
        let expected = REFUSED.iter().find(|(id, _)| *id == case_id).map_or("ok", |(_, code)| code);
        assert_eq!(code, expected, "{case_id}: {message}");
        match expect.as_str() {
            "accept" => assert_eq!(code, "ok", "{case_id}"),
            "reject" => assert!(code != "ok" || FOR_OTHERS.contains(&case_id.as_str()), "{case_id} passes"),
            _ => {}
        }
    }
    println!("{table}\n{seen:?}");
}

/// What is refused, and as what.
const REFUSED: &[(&str, &str)] = &[
    ("cut-data", "apk/data-hash"),
    ("cut-control", "apk/damaged"),
    ("empty-file", "apk/not-a-package"),
    ("not-gzip", "apk/not-a-package"),
    ("zip-file", "apk/not-a-package"),
    ("gzip-crc", "apk/data-hash"),
    ("trailing-text", "apk/data-hash"),
    ("fourth-member", "apk/data-hash"),
    ("only-control", "apk/damaged"),
    ("data-first", "apk/checksum"),
    ("two-data-members", "apk/trailing-data"),
    ("wrong-datahash", "apk/data-hash"),
    ("no-datahash", "apk/info"),
    ("datahash-garbage", "apk/info"),
    ("swapped-data", "apk/data-hash"),
    ("swapped-control", "apk/checksum"),
    ("pax-checksum-wrong", "apk/file-checksum"),
    ("path-dotdot", "apk/path"),
    ("path-dotdot-inside", "apk/path"),
    ("path-dotdot-deep", "apk/path"),
    ("path-dot", "apk/path"),
    ("path-empty", "apk/path"),
    ("path-dotdot-pax", "apk/path"),
    ("link-chain", "apk/path"),
    ("link-over-dir", "apk/clash"),
    ("hard-outside", "apk/path"),
    ("dir-then-file", "apk/clash"),
    ("size-beyond", "apk/archive"),
    ("size-base256", "apk/archive"),
    ("size-negative", "apk/archive"),
    ("size-letters", "apk/archive"),
    ("pax-size-lie", "apk/archive"),
    ("pax-size-huge", "apk/archive"),
    ("bomb-data", "apk/too-large"),
    ("bomb-control", "apk/too-large"),
    ("bomb-signature", "apk/too-large"),
    ("bomb-pkginfo-line", "apk/too-large"),
    ("sparse-gnu", "apk/archive"),
    ("sparse-pax", "apk/archive"),
    ("pax-huge", "apk/archive"),
    ("pax-huge-claim", "apk/archive"),
    ("pax-many", "apk/archive"),
    ("pax-bad-zero", "apk/archive"),
    ("pax-bad-long", "apk/archive"),
    ("pax-bad-letters", "apk/archive"),
    ("pax-bad-no-nl", "apk/archive"),
    ("pax-bad-no-eq", "apk/archive"),
    ("pax-bad-neg", "apk/archive"),
    ("pax-bad-big", "apk/archive"),
    ("pax-nul", "apk/archive"),
    ("pax-last", "apk/archive"),
    ("name-newline", "apk/path"),
    ("name-control", "apk/path"),
    ("name-256", "apk/path"),
    ("name-path-max", "apk/path"),
    ("name-whiteout", "apk/path"),
    ("name-opaque", "apk/path"),
    ("dev-char", "apk/entry-kind"),
    ("dev-block", "apk/entry-kind"),
    ("fifo", "apk/entry-kind"),
    ("type-unknown", "apk/entry-kind"),
    ("type-contiguous", "apk/entry-kind"),
    ("tar-checksum", "apk/archive"),
    ("tar-v7", "apk/archive"),
    ("tar-cut", "apk/archive"),
    ("tar-after-end", "apk/archive"),
    ("mode-garbage", "apk/archive"),
    ("info-name", "apk/identity"),
    ("info-version", "apk/identity"),
    ("info-missing", "apk/info"),
    ("info-no-name", "apk/info"),
    ("index-unsigned", "apk/index-unsigned"),
    ("index-unknown-key", "apk/index-unknown-key"),
    ("index-bad-signature", "apk/index-signature"),
    ("index-tampered", "apk/index-signature"),
    ("index-signature-last", "apk/index-unsigned"),
    ("index-appended", "apk/index-signature"),
    ("index-cut", "apk/index-signature"),
    ("index-empty-file", "apk/not-an-index"),
    ("index-not-gzip", "apk/not-an-index"),
    ("index-no-apkindex", "apk/not-an-index"),
    ("index-bomb", "apk/index-too-large"),
    ("index-crlf", "apk/index-line"),
    ("index-no-checksum", "no checksum"),
    ("index-no-checksum-other", "no checksum"),
    ("index-checksum-base64", "no checksum"),
    ("index-checksum-wrong", "apk/checksum"),
    ("index-checksum-q2", "no checksum"),
    ("index-size-garbage", "apk/index-line"),
    ("index-name-path", "apk/index-line"),
    ("index-version-path", "apk/index-line"),
    ("index-twice", "apk/checksum"),
];

/// What has to be refused, but by the solver, the fetcher or the tree.
const FOR_OTHERS: &[&str] = &[
    "link-out-relative",
    "link-to-self",
    "hard-missing",
    "hard-absolute",
    "hard-through-link",
    "hard-to-self",
    "file-then-dir",
    "same-file-no-replaces",
    "index-no-packages",
    "index-no-name",
    "index-no-version",
    "index-file-missing",
    "index-other-arch",
    "dep-conflicting-provides",
    "dep-missing",
    "dep-impossible",
    "dep-chain-5000",
    "request-garbage",
];
