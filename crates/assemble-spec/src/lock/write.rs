//! A lock as text: one package a line, sorted, so that a change of it can be read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use assemble_types::{Arch, Digest};
use serde::Serialize;

use super::FORMAT;
use super::model::{Lock, LockedHashes, LockedImage, LockedKey, LockedPackage, LockedRepository, Section};
use super::read::MARK;

impl Lock {
    /// The file's text. The same lock has the same text, whatever the order of its lists of keys and repositories.
    pub fn to_text(&self) -> String {
        let mut out = format!("{{\n  \"{MARK}\": {FORMAT},\n");
        let _ = writeln!(out, "  \"spec\": {},", line(&SpecLine::of(self)));
        let _ = writeln!(out, "  \"made-with\": {},", line(&MadeWithLine::of(self)));
        let mut keys: Vec<KeyLine<'_>> = self.keys.iter().map(KeyLine::of).collect();
        keys.sort_by(|a, b| (a.name, a.pem, a.from).cmp(&(b.name, b.pem, b.from)));
        list(&mut out, "keys", &keys, ",");
        let mut repositories: Vec<RepositoryLine<'_>> =
            self.repositories.iter().map(RepositoryLine::of).collect();
        repositories.sort_by_key(|r| (r.arch, r.url, r.pin));
        list(&mut out, "repositories", &repositories, ",");
        let mut packages = BTreeMap::new();
        for image in &self.images {
            for package in &image.packages {
                let line = PackageLine::of(image.arch, package);
                packages.insert((line.arch, line.name), line);
            }
        }
        list(&mut out, "packages", packages.values(), ",");
        let mut images: Vec<ImageLine<'_>> = self.images.iter().map(ImageLine::of).collect();
        images.sort_by_key(|image| image.arch);
        list(&mut out, "images", &images, "");
        out.push_str("}\n");
        out
    }
}

fn line<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("structs of texts and numbers always serialise")
}

/// A list with an item a line.
fn list<T: Serialize>(out: &mut String, key: &str, items: impl IntoIterator<Item = T>, end: &str) {
    let lines: Vec<String> = items.into_iter().map(|item| format!("\n    {}", line(&item))).collect();
    let close = if lines.is_empty() { "" } else { "\n  " };
    let _ = writeln!(out, "  \"{key}\": [{}{close}]{end}", lines.join(","));
}

#[derive(Serialize)]
struct SpecLine<'a> {
    name: &'a str,
    digest: Digest,
}

impl<'a> SpecLine<'a> {
    fn of(lock: &'a Lock) -> Self {
        Self { name: &lock.spec.name, digest: lock.spec.digest }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct MadeWithLine<'a> {
    codec: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificates: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zones: Option<&'a str>,
}

impl<'a> MadeWithLine<'a> {
    fn of(lock: &'a Lock) -> Self {
        let made = &lock.made_with;
        Self {
            codec: &made.codec,
            certificates: made.certificates.as_deref(),
            time_zones: made.time_zones.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct KeyLine<'a> {
    name: &'a str,
    archs: Vec<&'static str>,
    from: &'a str,
    /// A key that is not text was refused when it was parsed.
    pem: &'a str,
}

impl<'a> KeyLine<'a> {
    fn of(key: &'a LockedKey) -> Self {
        let mut archs: Vec<&str> = key.archs.iter().map(|arch| arch.apk()).collect();
        archs.sort_unstable();
        archs.dedup();
        let pem = std::str::from_utf8(key.key.pem()).unwrap_or_default();
        Self { name: key.key.name(), archs, from: &key.from, pem }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct RepositoryLine<'a> {
    arch: &'static str,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pin: Option<&'a str>,
    index: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<&'a str>,
}

impl<'a> RepositoryLine<'a> {
    fn of(repository: &'a LockedRepository) -> Self {
        Self {
            arch: repository.arch.apk(),
            url: &repository.url,
            pin: repository.pin.as_deref(),
            index: repository.index,
            size: repository.size,
            signed_by: repository.signed_by.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct SectionPart {
    size: u64,
    sha256: String,
}

impl SectionPart {
    fn of(section: &Section) -> Self {
        Self { size: section.size, sha256: section.sha256.hex() }
    }
}

#[derive(Serialize)]
struct PackageLine<'a> {
    arch: &'static str,
    name: &'a str,
    version: &'a str,
    checksum: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<SectionPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<SectionPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<SectionPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pin: Option<&'a str>,
    url: &'a str,
}

impl<'a> PackageLine<'a> {
    fn of(arch: Arch, package: &'a LockedPackage) -> Self {
        let (signature, control, data, sha256) = match &package.hashes {
            LockedHashes::V2 { signature, control, data, .. } => {
                (signature.as_ref(), Some(control), Some(data), None)
            }
            LockedHashes::V3 { sha256, .. } => (None, None, None, Some(sha256.hex())),
        };
        Self {
            arch: arch.apk(),
            name: package.name.as_str(),
            version: package.version.as_str(),
            checksum: package.hashes.checksum().to_string(),
            size: package.size,
            signature: signature.map(SectionPart::of),
            control: control.map(SectionPart::of),
            data: data.map(SectionPart::of),
            sha256,
            pin: package.pin.as_deref(),
            url: &package.url,
        }
    }
}

#[derive(Serialize)]
struct ImageLine<'a> {
    arch: &'static str,
    order: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<LayersPart<'a>>,
}

#[derive(Serialize)]
struct LayersPart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<i64>,
    #[serde(rename = "diff-ids")]
    diff_ids: &'a [Digest],
}

impl<'a> ImageLine<'a> {
    fn of(image: &'a LockedImage) -> Self {
        Self {
            arch: image.arch.apk(),
            order: image.packages.iter().map(|package| package.name.as_str()).collect(),
            layers: image
                .learnt
                .as_ref()
                .map(|learnt| LayersPart { time: learnt.time, diff_ids: &learnt.diff_ids }),
        }
    }
}
