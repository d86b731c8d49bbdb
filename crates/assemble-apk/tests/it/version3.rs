//! Packages and indexes of format version 3: those that the real tool made, against what the real tool reads out of
//! them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assemble_apk::{
    Checksum, ContentSum, Entry, EntryKind, Format, Keyring, Limits, Package, PublicKey, SignedPackage,
    Trust, open_signed_package, read_index,
};
use assemble_types::{Blob, Explain as _, MemorySpool};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::kit::{chain, kit, open};

const MAX: u64 = 64 << 20;

/// Version 3 keys have names that end in `.pem` too.
fn keys(folder: &Path) -> Keyring {
    let mut ring = Keyring::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        ring.insert(PublicKey::parse(&name, &fs::read(&path).unwrap()).unwrap());
    }
    ring
}

/// Every file of the kit with the keys for it, and where the expected texts lie.
fn files(root: &Path) -> Vec<(PathBuf, Keyring, PathBuf)> {
    let mut out = Vec::new();
    for (folder, keyring, expected) in [
        ("generated/x86_64", "generated/keys", "generated/expected"),
        ("generated/variants", "generated/keys", "generated/expected"),
        ("openwrt", "openwrt/keys", "openwrt/expected"),
    ] {
        let keyring = keys(&root.join(keyring));
        for file in fs::read_dir(root.join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.is_file() {
                out.push((path, keyring.clone(), root.join(expected)));
            }
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

enum Opened {
    Package(Box<Package>),
    Index,
}

fn open_any(path: &Path, keyring: &Keyring) -> Result<Opened, (String, String)> {
    let bytes = fs::read(path).unwrap();
    if path.extension().unwrap() == "adb" {
        return match read_index(&bytes, keyring, Trust::Required) {
            Ok(_) => Ok(Opened::Index),
            Err(error) => Err((error.code().to_owned(), chain(&error))),
        };
    }
    match open_signed_package(&Blob::from_bytes(bytes), keyring, &Limits::default(), &MemorySpool) {
        Ok(SignedPackage { package, signed_by }) => {
            assert!(keyring.get(&signed_by).is_some());
            Ok(Opened::Package(Box::new(package)))
        }
        Err(problem) => {
            let package = crate::kit::id("x", "1");
            let error = assemble_apk::PackageError { package, problem: Box::new(problem) };
            Err((error.code().to_owned(), chain(&error)))
        }
    }
}

/// What the real tool says, and ours for the same reason.
fn agrees(verdict: &str, code: &str) -> bool {
    match verdict {
        "UNTRUSTED signature" => {
            code.ends_with("signature") || code == "apk/index-unsigned" || code == "apk/index-unknown-key"
        }
        "unexpected end of file" => code == "apk/damaged",
        "file integrity error" => code == "apk/file-checksum",
        "ADB compression not supported" => code == "apk/adb",
        _ => false,
    }
}

#[test]
fn every_file_is_judged_as_by_the_real_tool() {
    let Some(root) = kit("real-v3") else { return };
    let (mut judged, mut good) = (0, 0);
    for (path, keyring, expected) in files(&root) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let outcome = open_any(&path, &keyring);
        let Ok(verdict) = fs::read_to_string(expected.join(format!("{name}.verify.txt"))) else {
            // The real ones have no verdict in the kit; they are what their maker signed.
            assert!(outcome.is_ok(), "{name}: {:?}", outcome.err());
            good += 1;
            continue;
        };
        let verdict = verdict.trim().split_once(": ").unwrap().1;
        match outcome {
            Ok(_) => assert_eq!(verdict, "OK", "{name}"),
            Err((code, text)) => {
                assert!(agrees(verdict, &code), "{name}: {verdict}, but ours is {code} {text}");
            }
        }
        judged += 1;
    }
    assert!(judged >= 20 && good >= 12, "{judged} {good}");
}

/// Our reading of a package in the words of `apk adbdump`, as far as we keep what it says.
fn dump_package(package: &Package) -> Vec<String> {
    let info = &package.info;
    let mut out = vec!["info:".to_owned()];
    let mut field = |name: &str, value: String| {
        if !value.is_empty() && value != "0" {
            out.push(format!("  {name}: {value}"));
        }
    };
    field("name", info.name.to_string());
    field("version", info.version.to_string());
    field("description", info.description.clone());
    field("arch", info.arch.clone());
    field("license", info.license.clone());
    field("origin", info.origin.clone());
    field("maintainer", info.maintainer.clone());
    field("url", info.url.clone());
    field("repo-commit", info.commit.clone());
    field("build-time", info.build_time.to_string());
    field("installed-size", info.installed_size.to_string());
    field("provider-priority", info.provider_priority.to_string());
    for (name, list) in [
        ("depends", &info.depends),
        ("provides", &info.provides),
        ("replaces", &info.replaces),
        ("install-if", &info.install_if),
    ] {
        list_of(&mut out, name, list);
    }
    for entry in &package.entries {
        out.push(dump_entry(entry));
    }
    for script in &package.control_entries {
        out.push(format!("script {}:", &script.name[1..]));
        out.extend(
            String::from_utf8_lossy(&script.content)
                .trim_end()
                .lines()
                .map(|line| line.trim_end().to_owned()),
        );
    }
    for trigger in info.triggers.iter().flat_map(|line| line.split(' ')) {
        out.push(format!("trigger {trigger}"));
    }
    out
}

fn list_of(out: &mut Vec<String>, name: &str, list: &[String]) {
    if !list.is_empty() {
        out.push(format!("  {name}: {}", list.join(" ")));
    }
}

fn dump_entry(entry: &Entry) -> String {
    let path = String::from_utf8_lossy(entry.path.as_bytes()).into_owned();
    let mode = format!("{:04o}", entry.mode.bits());
    let attributes: Vec<String> = entry
        .xattrs
        .iter()
        .flat_map(|all| all.iter())
        .map(|(name, value)| format!(" {}={}", String::from_utf8_lossy(name), HEXLOWER.encode(value)))
        .collect();
    let rest = attributes.concat();
    match &entry.kind {
        EntryKind::Directory => format!("{path} {mode} {}{rest} folder", entry.owner),
        EntryKind::File(blob) => {
            let bytes = blob.read_to_vec(MAX).unwrap();
            assert_eq!(entry.checksum, Some(ContentSum::of(&bytes)));
            let hash = HEXLOWER.encode(&Sha256::digest(&bytes));
            format!("{path} {mode} {}{rest} {} {} {hash}", entry.owner, bytes.len(), entry.mtime)
        }
        EntryKind::Symlink(text) => {
            assert_eq!(entry.checksum, Some(ContentSum::of(text)));
            let target = HEXLOWER.encode(&[b"\x00\xa0", &**text].concat());
            format!("{path} {mode} {}{rest} {} {target}", entry.owner, entry.mtime)
        }
        EntryKind::HardLink { text, .. } => {
            assert!(entry.checksum.is_some());
            let target = HEXLOWER.encode(&[b"\x00\x80", &**text].concat());
            format!("{path} {mode} {}{rest} {} {target}", entry.owner, entry.mtime)
        }
    }
}

/// The same out of the real tool's dump.
fn expected_package(dump: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut lines = dump.lines().filter(|line| !line.starts_with('#')).peekable();
    let mut reader = DumpReader::default();
    while let Some(line) = lines.next() {
        let mut line = line.to_owned();
        // A value of several lines stands below its key, indented.
        if line.trim_end().ends_with(": |") {
            let depth = line.len() - line.trim_start().len();
            let mut text = Vec::new();
            while let Some(next) = lines.peek() {
                if !next.trim().is_empty() && next.len() - next.trim_start().len() <= depth {
                    break;
                }
                text.push(next.get(depth + 2..).unwrap_or("").trim_end().to_owned());
                lines.next();
            }
            while text.last().is_some_and(String::is_empty) {
                text.pop();
            }
            if reader.section == "info" {
                line = line.replace('|', &text.join(" "));
            } else {
                reader.flush(&mut out);
                out.push(format!("script {}", line.trim().trim_end_matches(" |")));
                out.extend(text);
                continue;
            }
        }
        reader.line(&line, &mut out);
    }
    reader.flush(&mut out);
    out
}

/// Collects list items and entries.
#[derive(Default)]
struct DumpReader {
    section: String,
    list: Option<(String, Vec<String>)>,
    folder: String,
    entry: Option<BTreeMap<String, String>>,
    attributes: Vec<String>,
    is_file: bool,
    in_attributes: bool,
}

impl DumpReader {
    fn flush(&mut self, out: &mut Vec<String>) {
        if let Some((name, items)) = self.list.take() {
            list_of(out, &name, &items);
        }
        let Some(entry) = self.entry.take() else { return };
        let rest: String = self.attributes.drain(..).map(|a| format!(" {a}")).collect();
        let get = |key: &str| entry.get(key).cloned().unwrap_or_default();
        let number = |name: &str| if name == "root" { "0".to_owned() } else { "65534".to_owned() };
        let owner = format!("{}:{}", number(&get("user")), number(&get("group")));
        let mode = format!("{:04o}", u32::from_str_radix(&get("mode"), 8).unwrap_or(0));
        if self.is_file {
            let folder = if self.folder.is_empty() { String::new() } else { format!("{}/", self.folder) };
            let what = match entry.get("target") {
                Some(target) => format!("{} {target}", get("mtime")),
                None => format!("{} {} {}", get("size"), get("mtime"), get("hash")),
            };
            out.push(format!("{folder}{} {mode} {owner}{rest} {what}", get("name")));
        } else if !get("name").is_empty() {
            out.push(format!("{} {mode} {owner}{rest} folder", get("name")));
        }
    }

    fn line(&mut self, line: &str, out: &mut Vec<String>) {
        let depth = line.len() - line.trim_start().len();
        let text = line.trim().split(" #").next().unwrap().trim();
        if depth == 0 {
            self.flush(out);
            text.trim_end_matches(':').clone_into(&mut self.section);
            if self.section == "info" {
                out.push("info:".into());
            }
            return;
        }
        match self.section.as_str() {
            "info" => match text.strip_prefix("- ") {
                Some(item) => {
                    if let Some((_, items)) = &mut self.list {
                        items.push(item.trim_matches('\'').to_owned());
                    }
                }
                None => {
                    self.flush(out);
                    let (key, value) = text.split_once(':').unwrap();
                    let value = value.trim();
                    if value.is_empty() {
                        self.list = Some((key.to_owned(), Vec::new()));
                    } else if key != "hashes" {
                        // The dump of a package has its own identifier there, which we do not keep.
                        out.push(format!("  {key}: {}", value.trim_matches('\'')));
                    }
                }
            },
            "paths" => self.path_line(depth, text, out),
            "triggers" => out.push(format!("trigger {}", text.trim_start_matches("- "))),
            _ => {}
        }
    }

    fn path_line(&mut self, depth: usize, text: &str, out: &mut Vec<String>) {
        let begins = text.strip_prefix("- ");
        let pair = begins.unwrap_or(text);
        if depth == 2 && begins.is_some() {
            self.flush(out);
            (self.entry, self.is_file, self.folder) = (Some(BTreeMap::new()), false, String::new());
            self.in_attributes = false;
        } else if depth == 6 && begins.is_some() && !self.in_attributes {
            self.flush(out);
            (self.entry, self.is_file) = (Some(BTreeMap::new()), true);
        }
        if self.in_attributes && begins.is_some() {
            self.attributes.push(pair.to_owned());
            return;
        }
        let Some((key, value)) = pair.split_once(':') else { return };
        self.in_attributes = key == "xattrs";
        if key == "name" && !self.is_file {
            value.trim().clone_into(&mut self.folder);
        }
        if let Some(entry) = &mut self.entry {
            entry.insert(key.to_owned(), value.trim().trim_matches('\'').to_owned());
        }
    }
}

#[test]
fn packages_hold_what_the_real_tool_reads() {
    let Some(root) = kit("real-v3") else { return };
    let mut compared = 0;
    for (path, keyring, expected) in files(&root) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let Ok(Opened::Package(package)) = open_any(&path, &keyring) else { continue };
        let Ok(dump) = fs::read_to_string(expected.join(format!("{name}.dump.txt"))) else { continue };
        let ours = dump_package(&package);
        let theirs = expected_package(&dump);
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{name}");
        }
        assert_eq!(ours.len(), theirs.len(), "{name}");
        assert!(matches!(package.format, Format::V3));
        compared += 1;
    }
    assert!(compared >= 14, "{compared}");
}

/// Everything that an index promises is what the packages beside it have.
#[test]
fn indexes_vouch_for_their_packages() {
    let Some(root) = kit("real-v3") else { return };
    for (folder, keyring, least) in
        [("generated/x86_64", "generated/keys", 6), ("openwrt", "openwrt/keys", 12)]
    {
        let folder = root.join(folder);
        let bytes = fs::read(folder.join("packages.adb")).unwrap();
        let index = read_index(&bytes, &keys(&root.join(keyring)), Trust::Required).unwrap();
        let mut opened = 0;
        for record in &index.records {
            let Ok(bytes) = fs::read(folder.join(index.files.beside_index(record))) else { continue };
            assert_eq!(record.size, bytes.len() as u64);
            let (name, version) = (record.name.as_str(), record.version.as_str());
            let checksum = record.checksum.unwrap();
            let package = open(bytes.clone(), name, version, checksum, &Limits::default())
                .unwrap_or_else(|error| panic!("{}", chain(&error)));
            assert_eq!(package.checksum, checksum);
            assert_eq!(
                package.info.depends,
                record.depends.iter().map(ToString::to_string).collect::<Vec<_>>()
            );
            assert_eq!(package.info.provides.len(), record.provides.len());
            assert_eq!((&package.info.arch, &package.info.origin), (&record.arch, &record.origin));
            assert_eq!(package.info.installed_size, record.installed_size);
            // The short form of the hash vouches as well; another one does not.
            open(bytes.clone(), name, version, checksum.short(), &Limits::default()).unwrap();
            let other = Checksum::from_sha256([1; 32]);
            let error = open(bytes, name, version, other, &Limits::default()).unwrap_err();
            assert_eq!(error.code(), "apk/checksum");
            opened += 1;
        }
        assert!(opened >= least, "{opened} of {}", folder.display());
    }
}

/// An index of the new format over packages of the old one.
#[test]
fn a_converted_index_still_means_version_2_packages() {
    let Some(root) = kit("real-v3") else { return };
    let bytes = fs::read(root.join("generated/variants/index-from-v2.adb")).unwrap();
    let ring = keys(&root.join("generated/keys"));
    let error = read_index(&bytes, &ring, Trust::Required).unwrap_err();
    assert_eq!(error.code(), "apk/index-unsigned");
    let index = read_index(&bytes, &ring, Trust::AllowUntrusted).unwrap();
    assert_eq!((index.records.len(), index.signed_by), (12, None));
    assert!(index.records.iter().all(|record| record.checksum.is_some_and(|sum| sum.is_short())));
    assert_eq!(index.records[0].checksum.unwrap().hex(), "a623908f883bb93caa15071bd0d58254f5797e79");
}
