//! apko's lock file, version `v1`: JSON with its packages in the order of installation.
//!
//! It is read as apko reads it: keys that nobody knows are passed over, their case does not count, of a key that comes
//! twice the last counts. What is used is checked; what apko writes but never looks at (ranges, the sections' own
//! checksums, keys, repositories) is kept as it stands, so that a lock that was read is written with the same bytes.

use assemble_apk::{Checksum, PackageName, Version};
use assemble_types::{SourceSpan, go_json};
use serde::Serialize;

use super::MAX_LOCK;
use super::decode::{self, Decoder, Record, package_name, place};
use super::json::{self, Content, Value};
use crate::Located;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{Source, plain};

/// The version that is written, and read.
pub const VERSION: &str = "v1";

/// A lock file of apko.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApkoLock {
    /// `v1`; older files may leave it out.
    pub version: String,
    /// The configuration it was made for. Files of old versions have none, and then nothing says what they belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<ApkoConfigSum>,
    /// What is locked.
    pub contents: ApkoLockContents,
}

/// Which configuration a lock is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApkoConfigSum {
    /// The path of the configuration as it was typed.
    pub name: String,
    /// `sha256-` and base64 over the configuration's files.
    pub checksum: String,
}

/// The member `contents`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ApkoLockContents {
    /// Keys, sorted by name.
    pub keyring: Vec<ApkoLockKey>,
    /// Indexes used for building only.
    pub build_repositories: Vec<ApkoLockRepository>,
    /// Indexes named in the image only.
    pub runtime_repositories: Vec<ApkoLockRepository>,
    /// All other indexes.
    pub repositories: Vec<ApkoLockRepository>,
    /// Packages: architecture by architecture, each in the order of installation.
    pub packages: Vec<ApkoLockPackage>,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApkoLockKey {
    /// Its URL without the scheme.
    pub name: String,
    /// Its URL.
    pub url: String,
    /// Its bytes.
    pub content: String,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApkoLockRepository {
    /// The URL of its folder without the scheme.
    pub name: String,
    /// Its URL.
    pub url: String,
    /// The architecture's APK name.
    pub architecture: String,
}

/// A section of a package file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ApkoLockRange {
    /// `bytes=FIRST-LAST`; empty where there is no such section.
    pub range: String,
    /// `sha1-` or `sha256-` and base64; empty where there is no such section.
    pub checksum: String,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApkoLockPackage {
    /// Its name.
    #[serde(serialize_with = "as_text")]
    pub name: PackageName,
    /// Where it lies: a URL, or a path relative to the working directory.
    pub url: String,
    /// Its version.
    #[serde(serialize_with = "as_text")]
    pub version: Version,
    /// The architecture as the index says it.
    pub architecture: String,
    /// The signature section.
    pub signature: ApkoLockRange,
    /// The control section.
    pub control: ApkoLockRange,
    /// The data section.
    pub data: ApkoLockRange,
    /// The index's checksum of the control section. Files of apko before 0.13 have none; they cannot be built from.
    #[serde(serialize_with = "as_text_or_empty")]
    pub checksum: Option<Checksum>,
}

fn as_text<T: ToString, S: serde::Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

#[allow(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn as_text_or_empty<T: ToString, S: serde::Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.as_ref().map(ToString::to_string).unwrap_or_default())
}

impl ApkoLock {
    /// The file's bytes as apko writes them.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = indented(self);
        out.push(b'\n');
        out
    }
}

fn indented(lock: &ApkoLock) -> Vec<u8> {
    go_json::indented(lock).expect("structs of texts always serialise")
}

/// A lock that was read, with the places of its packages for later messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadApkoLock {
    /// The lock.
    pub lock: ApkoLock,
    /// Where each package stands, in the same order.
    pub places: Vec<SourceSpan>,
}

/// Reads and checks a lock of apko. `file` is only used in messages, as the user named it.
///
/// # Errors
/// Every mistake that could be found, at most about twenty. A missing checksum is none yet: it only matters for
/// packages that are installed.
pub fn parse(file: &str, bytes: &[u8]) -> Result<ReadApkoLock, Diagnostics> {
    let text = json::text_of(file, bytes, MAX_LOCK)?;
    let source = Source::new(file, text);
    let root = json::read(&source)?;
    let mut decoder = Decoder::new(&source);
    let lock = lock(&mut decoder, &root, &source);
    decoder.finish(lock)
}

fn lock(decoder: &mut Decoder<'_, '_>, root: &Value, source: &Source<'_>) -> Option<ReadApkoLock> {
    let record = decoder.map(root, "the lock")?;
    if record.get(super::read::MARK).is_some() {
        decoder.note(
            Diagnostic::new(
                "lock/foreign",
                format!("`{}` is a lock of assemble, not of apko", source.file()),
            )
            .at(source.span(&(0..1), ""))
            .help("leave --lockfile out: the lock beside the spec is taken by itself"),
        );
        return None;
    }
    let version = text(decoder, record, "version");
    if let Some(found) = version.as_deref().filter(|found| !matches!(*found, "" | VERSION)) {
        let at = record.get_like_go("version").map_or(root.range.clone(), |value| value.range.clone());
        let message = format!("a lock of apko of version `{}`; {VERSION} is known", plain(found));
        decoder.wrong("lock/version", message, &at);
    }
    let config = match record.get_like_go("config") {
        None => Some(None),
        Some(value) => decoder.map(value, "config").and_then(|config| {
            let (name, checksum) = (text(decoder, config, "name"), text(decoder, config, "checksum"));
            Some(Some(ApkoConfigSum { name: name?, checksum: checksum? }))
        }),
    };
    let Some(contents) = record.get_like_go("contents") else {
        decoder.wrong("lock/missing", "the lock: `contents` is missing", &(0..1));
        return None;
    };
    let contents = decoder.map(contents, "contents")?;
    let keyring = items(decoder, contents, "keyring", key);
    let build_repositories = items(decoder, contents, "build_repositories", repository);
    let runtime_repositories = items(decoder, contents, "runtime_repositories", repository);
    let repositories = items(decoder, contents, "repositories", repository);
    let (packages, places) = items(decoder, contents, "packages", package)?.into_iter().unzip();
    let contents = ApkoLockContents {
        keyring: keyring?,
        build_repositories: build_repositories?,
        runtime_repositories: runtime_repositories?,
        repositories: repositories?,
        packages,
    };
    Some(ReadApkoLock { lock: ApkoLock { version: version?, config: config?, contents }, places })
}

/// A text; empty if it is missing, as in Go.
fn text(decoder: &mut Decoder<'_, '_>, record: Record<'_>, key: &'static str) -> Option<String> {
    match record.get_like_go(key) {
        None => Some(String::new()),
        Some(value) => decoder.text(value, key, |text| Ok::<_, String>(text.to_owned())),
    }
}

/// Every item of a list, or nothing if one is wrong.
fn items<T>(
    decoder: &mut Decoder<'_, '_>,
    record: Record<'_>,
    key: &'static str,
    read: impl Fn(&mut Decoder<'_, '_>, &Value) -> Option<T>,
) -> Option<Vec<T>> {
    let list = decoder.list(record.get_like_go(key), key);
    let read: Vec<Option<T>> = list.iter().map(|item| read(decoder, item)).collect();
    read.into_iter().collect()
}

fn key(decoder: &mut Decoder<'_, '_>, value: &Value) -> Option<ApkoLockKey> {
    let record = decoder.map(value, "a key")?;
    let (name, url) = (text(decoder, record, "name"), text(decoder, record, "url"));
    let content = text(decoder, record, "content");
    Some(ApkoLockKey { name: name?, url: url?, content: content? })
}

fn repository(decoder: &mut Decoder<'_, '_>, value: &Value) -> Option<ApkoLockRepository> {
    let record = decoder.map(value, "a repository")?;
    let (name, url) = (text(decoder, record, "name"), text(decoder, record, "url"));
    let architecture = text(decoder, record, "architecture");
    Some(ApkoLockRepository { name: name?, url: url?, architecture: architecture? })
}

fn range(decoder: &mut Decoder<'_, '_>, record: Record<'_>, key: &'static str) -> Option<ApkoLockRange> {
    let Some(value) = record.get_like_go(key) else { return Some(ApkoLockRange::default()) };
    let record = decoder.map(value, key)?;
    let (range, checksum) = (text(decoder, record, "range"), text(decoder, record, "checksum"));
    Some(ApkoLockRange { range: range?, checksum: checksum? })
}

/// Something that a package cannot do without.
fn need<'v, T, E: std::fmt::Display>(
    decoder: &mut Decoder<'_, '_>,
    record: Record<'v>,
    key: &'static str,
    check: impl FnOnce(&'v str) -> Result<T, E>,
) -> Option<T> {
    match record.get_like_go(key) {
        Some(value) => decoder.text(value, key, check),
        None => {
            let start = record.range().start..record.range().start + 1;
            decoder.wrong("lock/missing", format!("a package: `{key}` is missing"), &start);
            None
        }
    }
}

fn package(decoder: &mut Decoder<'_, '_>, value: &Value) -> Option<(ApkoLockPackage, SourceSpan)> {
    let record = decoder.map(value, "a package")?;
    let name = need(decoder, record, "name", package_name);
    let url = need(decoder, record, "url", place);
    let version = need(decoder, record, "version", decode::version);
    let architecture = text(decoder, record, "architecture");
    let signature = range(decoder, record, "signature");
    let (control, data) = (range(decoder, record, "control"), range(decoder, record, "data"));
    let checksum = match record.get_like_go("checksum") {
        None => Some(None),
        Some(Value { content: Content::Text(text), .. }) if text.is_empty() => Some(None),
        Some(value) => decoder.text(value, "checksum", Checksum::parse).map(Some),
    };
    let package = ApkoLockPackage {
        name: name?,
        url: url?,
        version: version?,
        architecture: architecture?,
        signature: signature?,
        control: control?,
        data: data?,
        checksum: checksum?,
    };
    // The place is that of the first line: the text of a whole entry spans several.
    let start = value.range.start..value.range.start + 1;
    Some((package, decoder.span(&start)))
}

/// What a lock and the place of a package are to `build`: kept beside each other.
impl ReadApkoLock {
    /// The packages of an architecture in order of installation, each with its place. As in apko, packages whose
    /// `architecture` is another word (also `noarch`) are passed over.
    pub fn packages_for(&self, arch: assemble_types::Arch) -> Vec<Located<&ApkoLockPackage>> {
        let all = self.lock.contents.packages.iter().zip(&self.places);
        all.filter(|(package, _)| package.architecture == arch.apk())
            .map(|(value, span)| Located { value, span: span.clone() })
            .collect()
    }
}

impl ApkoLockPackage {
    /// Size of the file in bytes: where the data section, which is the last, ends.
    pub fn size(&self) -> Option<u64> {
        let (_, last) = self.data.range.strip_prefix("bytes=")?.split_once('-')?;
        last.parse::<u64>().ok()?.checked_add(1)
    }
}
