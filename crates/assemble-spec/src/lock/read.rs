//! Our lock's text, checked.

use std::collections::{BTreeMap, BTreeSet};

use assemble_apk::{Checksum, PackageName, PublicKey};
use assemble_types::{Arch, Digest};

use super::decode::{self, Decoder, Record, line, package_name, place};
use super::json::{self, Value};
use super::model::{
    Learnt, Lock, LockedHashes, LockedImage, LockedKey, LockedPackage, LockedRepository, LockedSpec,
    MadeWith, Section,
};
use super::{FORMAT, MAX_LOCK};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{Source, plain};

/// The key that tells our lock from other JSON, and its version.
pub(super) const MARK: &str = "assemble-lock";

/// Packages by architecture and name, with the place of their line.
type Packages<'v> = BTreeMap<(&'static str, PackageName), (LockedPackage, &'v Value)>;

/// Reads and checks a lock. `file` is only used in messages, as the user named it.
///
/// # Errors
/// Another version of the format; otherwise every mistake that could be found, at most about twenty.
pub fn parse_lock(file: &str, bytes: &[u8]) -> Result<Lock, Diagnostics> {
    let text = json::text_of(file, bytes, MAX_LOCK)?;
    let source = Source::new(file, text);
    let root = json::read(&source)?;
    let mut decoder = Decoder::new(&source);
    let lock = match version(&mut decoder, &root, &source) {
        Err(diagnostic) => return Err(Diagnostics::one(diagnostic)),
        Ok(record) => record.and_then(|()| lock(&mut decoder, &root)),
    };
    decoder.finish(lock)
}

/// Looks at the version before anything else: another one may mean anything by its other keys.
fn version(
    decoder: &mut Decoder<'_, '_>,
    root: &Value,
    source: &Source<'_>,
) -> Result<Option<()>, Diagnostic> {
    let Some(record) = decoder.map(root, "the lock") else { return Ok(None) };
    let file = source.file();
    let Some(value) = record.get(MARK) else {
        let start = root.range.start..root.range.start + 1;
        let mut diagnostic = Diagnostic::new("lock/foreign", format!("`{file}` is no lock of assemble"))
            .at(source.span(&start, format!("there is no key `{MARK}`")));
        if record.get("contents").is_some() {
            diagnostic = diagnostic.help(format!("this looks like a lock of apko: --lockfile {file}"));
        }
        return Err(diagnostic.help("write one: assemble lock SPEC"));
    };
    let Some(found) = decoder.whole(value, MARK) else { return Ok(None) };
    if found == FORMAT {
        return Ok(Some(()));
    }
    let message = format!("`{file}` is a lock of version {found}, and this assemble reads version {FORMAT}");
    Err(Diagnostic::new("lock/version", message)
        .at(source.span(&value.range, ""))
        .help("use the assemble that wrote it, or make it anew: assemble lock SPEC"))
}

const KEYS: [&str; 7] = [MARK, "spec", "made-with", "keys", "repositories", "packages", "images"];

fn lock(decoder: &mut Decoder<'_, '_>, root: &Value) -> Option<Lock> {
    let record = decoder.record(root, "the lock", &KEYS)?;
    let spec = decoder.required(record, "spec").and_then(|value| spec(decoder, value));
    let made_with = decoder.required(record, "made-with").and_then(|value| made_with(decoder, value));
    let keys = all(decoder, record, "keys", key);
    let repositories = all(decoder, record, "repositories", repository);
    let packages = packages(decoder, record);
    let images = images(decoder, record, packages);
    Some(Lock {
        spec: spec?,
        made_with: made_with?,
        keys: keys?,
        repositories: repositories?,
        images: images?,
    })
}

/// Every item of a list, or nothing if one is wrong.
fn all<'v, T>(
    decoder: &mut Decoder<'_, '_>,
    record: Record<'v>,
    key: &'static str,
    read: impl Fn(&mut Decoder<'_, '_>, &'v Value) -> Option<T>,
) -> Option<Vec<T>> {
    let list = decoder.required(record, key)?;
    // Not `collect` into an option, which would stop at the first mistake.
    let mut out = Some(Vec::new());
    for item in decoder.list(Some(list), key) {
        let value = read(decoder, item);
        out = out.zip(value).map(|(mut out, value)| {
            out.push(value);
            out
        });
    }
    out
}

fn spec(decoder: &mut Decoder<'_, '_>, value: &Value) -> Option<LockedSpec> {
    let record = decoder.record(value, "spec", &["name", "digest"])?;
    let name = decoder.need(record, "name", line);
    let digest = decoder.need(record, "digest", str::parse::<Digest>);
    Some(LockedSpec { name: name?, digest: digest? })
}

fn made_with(decoder: &mut Decoder<'_, '_>, value: &Value) -> Option<MadeWith> {
    let record = decoder.record(value, "made-with", &["codec", "certificates", "time-zones"])?;
    let codec = decoder.need(record, "codec", line);
    let certificates = decoder.may(record, "certificates", line);
    let time_zones = decoder.may(record, "time-zones", line);
    Some(MadeWith { codec: codec?, certificates: certificates?, time_zones: time_zones? })
}

fn key(decoder: &mut Decoder<'_, '_>, value: &Value) -> Option<LockedKey> {
    let record = decoder.record(value, "a key", &["name", "archs", "from", "pem"])?;
    let name = decoder.need(record, "name", line);
    let archs = all(decoder, record, "archs", |decoder, value| decoder.text(value, "archs", arch));
    if archs.as_ref().is_some_and(Vec::is_empty) {
        decoder.wrong("lock/value", "archs: a key is for one architecture at least", record.range());
    }
    let from = decoder.need(record, "from", place);
    let pem = decoder.required(record, "pem")?;
    let name = name?;
    let key = decoder.text(pem, "pem", |text| PublicKey::parse(&name, text.as_bytes()));
    Some(LockedKey { key: key?, archs: archs?, from: from? })
}

fn repository(decoder: &mut Decoder<'_, '_>, value: &Value) -> Option<LockedRepository> {
    let known = ["arch", "url", "pin", "index", "size", "signed-by"];
    let record = decoder.record(value, "a repository", &known)?;
    let (arch, url) = (decoder.need(record, "arch", arch), decoder.need(record, "url", place));
    let pin = decoder.may(record, "pin", line);
    let index = decoder.need(record, "index", str::parse::<Digest>);
    let size = decoder.number(record, "size");
    let signed_by = decoder.may(record, "signed-by", line);
    Some(LockedRepository {
        arch: arch?,
        url: url?,
        pin: pin?.map(Into::into),
        index: index?,
        size: size?,
        signed_by: signed_by?,
    })
}

fn packages<'v>(decoder: &mut Decoder<'_, '_>, record: Record<'v>) -> Option<Packages<'v>> {
    let list = decoder.required(record, "packages")?;
    let mut packages = Some(Packages::new());
    for value in decoder.list(Some(list), "packages") {
        let Some((arch, package)) = package(decoder, value) else {
            packages = None;
            continue;
        };
        let name = package.name.clone();
        if let Some(packages) = &mut packages
            && packages.insert((arch.apk(), name.clone()), (package, value)).is_some()
        {
            let message = format!("{name} is locked twice for {}", arch.apk());
            decoder.wrong("lock/package-twice", message, &value.range);
        }
    }
    packages
}

const PACKAGE_KEYS: [&str; 11] =
    ["arch", "name", "version", "checksum", "size", "signature", "control", "data", "sha256", "pin", "url"];

fn package(decoder: &mut Decoder<'_, '_>, value: &Value) -> Option<(Arch, LockedPackage)> {
    let record = decoder.record(value, "a package", &PACKAGE_KEYS)?;
    let arch = decoder.need(record, "arch", arch);
    let name = decoder.need(record, "name", package_name);
    let version = decoder.need(record, "version", decode::version);
    let checksum = decoder.need(record, "checksum", Checksum::parse);
    let size = decoder.number(record, "size");
    let hashes = checksum.zip(size).and_then(|(checksum, size)| hashes(decoder, record, checksum, size));
    let pin = decoder.may(record, "pin", line);
    let url = decoder.need(record, "url", place);
    let (pin, size, hashes) = (pin?.map(Into::into), size?, hashes?);
    Some((arch?, LockedPackage { name: name?, version: version?, pin, url: url?, size, hashes }))
}

/// A file of version 3 has a digest of its own, one of version 2 those of its sections.
fn hashes(
    decoder: &mut Decoder<'_, '_>,
    record: Record<'_>,
    checksum: Checksum,
    size: u64,
) -> Option<LockedHashes> {
    if let Some(value) = record.get("sha256") {
        let sha256 = decoder.text(value, "sha256", Digest::parse_hex)?;
        if ["signature", "control", "data"].iter().any(|key| record.get(key).is_some()) {
            decoder.wrong("lock/value", "a file has a digest, or sections, but not both", record.range());
            return None;
        }
        return Some(LockedHashes::V3 { checksum, sha256 });
    }
    let signature = match record.get("signature") {
        None => Some(None),
        Some(value) => section(decoder, value, "signature").map(Some),
    };
    let mut needed = |key| decoder.required(record, key).and_then(|value| section(decoder, value, key));
    let (control, data) = (needed("control"), needed("data"));
    let (signature, control, data) = (signature?, control?, data?);
    let sizes = [signature.map_or(0, |section| section.size), control.size, data.size];
    let sum = sizes.iter().try_fold(0_u64, |sum, size| sum.checked_add(*size));
    if sum != Some(size) {
        let message = "the sizes of the sections do not add up to the size of the file";
        decoder.wrong("lock/value", message, record.range());
        return None;
    }
    Some(LockedHashes::V2 { checksum, signature, control, data })
}

fn section(decoder: &mut Decoder<'_, '_>, value: &Value, what: &'static str) -> Option<Section> {
    let record = decoder.record(value, what, &["size", "sha256"])?;
    let size = decoder.number(record, "size");
    let sha256 = decoder.need(record, "sha256", Digest::parse_hex);
    Some(Section { size: size?, sha256: sha256? })
}

fn images(
    decoder: &mut Decoder<'_, '_>,
    record: Record<'_>,
    packages: Option<Packages<'_>>,
) -> Option<Vec<LockedImage>> {
    let list = decoder.required(record, "images")?;
    // Without all packages, every order would seem to name some that are not there.
    let mut packages = packages?;
    let mut archs = BTreeSet::new();
    let mut images = Some(Vec::new());
    for value in decoder.list(Some(list), "images") {
        let image = image(decoder, value, &mut packages);
        if let Some(image) = &image
            && !archs.insert(image.arch)
        {
            let message = format!("{} is locked twice", image.arch.apk());
            decoder.wrong("lock/image-twice", message, &value.range);
        }
        images = images.zip(image).map(|(mut images, image)| {
            images.push(image);
            images
        });
    }
    let mut images = images?;
    for ((arch, name), (_, value)) in &packages {
        let message = format!("{name} is in no order of installation for {arch}");
        decoder.wrong("lock/order", message, &value.range);
    }
    images.sort_by_key(|image| image.arch.apk());
    Some(images)
}

fn image(decoder: &mut Decoder<'_, '_>, value: &Value, packages: &mut Packages<'_>) -> Option<LockedImage> {
    let record = decoder.record(value, "an image", &["arch", "order", "layers"])?;
    let arch = decoder.need(record, "arch", arch);
    let learnt = match record.get("layers") {
        None => Some(None),
        Some(value) => learnt(decoder, value).map(Some),
    };
    let order = decoder.required(record, "order")?;
    let arch = arch?;
    let mut ordered = Vec::new();
    for item in decoder.list(Some(order), "order") {
        let Some(name) = decoder.text(item, "order", PackageName::parse) else { continue };
        match packages.remove(&(arch.apk(), name.clone())) {
            Some((package, _)) => ordered.push(package),
            None => {
                let message = format!("{name} is not among the packages for {}, or comes twice", arch.apk());
                decoder.wrong("lock/order", message, &item.range);
            }
        }
    }
    Some(LockedImage { arch, packages: ordered, learnt: learnt? })
}

fn learnt(decoder: &mut Decoder<'_, '_>, value: &Value) -> Option<Learnt> {
    let record = decoder.record(value, "layers", &["time", "diff-ids"])?;
    let time = match record.get("time") {
        None => Some(None),
        Some(value) => decoder.whole(value, "time").map(i64::try_from).and_then(Result::ok).map(Some),
    };
    let diff_ids = all(decoder, record, "diff-ids", |decoder, value| {
        decoder.text(value, "diff-ids", str::parse::<Digest>)
    });
    if time.is_none() {
        decoder.wrong("lock/value", "time: no number of seconds since 1970", &value.range);
    }
    Some(Learnt { time: time?, diff_ids: diff_ids? })
}

/// An architecture in its APK name.
fn arch(text: &str) -> Result<Arch, String> {
    let found = Arch::ALL.into_iter().find(|arch| arch.apk() == text);
    found.ok_or_else(|| {
        let known: Vec<&str> = Arch::ALL.iter().map(|arch| arch.apk()).collect();
        format!("`{}` is no architecture: expected one of {}", plain(text), known.join(", "))
    })
}
