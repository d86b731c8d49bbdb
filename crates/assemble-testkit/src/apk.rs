//! Writes APK v2 packages.

use std::collections::BTreeMap;

use data_encoding::{BASE64, HEXLOWER};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::keys::SigningKey;
use crate::tarball::{TarEntry, TarKind, gzip_member, tar_bytes};

/// An entry of the data section; the same as an entry of any tar.
pub type ApkEntry = TarEntry;

/// Describes a package, then [`build`](Self::build)s its bytes.
#[derive(Debug, Clone)]
pub struct ApkBuilder {
    name: String,
    version: String,
    fields: Vec<(String, String)>,
    arch: String,
    build_date: i64,
    priority: Option<u64>,
    entries: Vec<ApkEntry>,
    scripts: BTreeMap<String, Vec<u8>>,
    key: Option<SigningKey>,
    data_hash: Option<String>,
    checksums: bool,
}

/// The bytes of a package and what an index says about it.
#[derive(Debug, Clone)]
pub struct BuiltApk {
    /// Name and version as in the file name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The whole file.
    pub bytes: Vec<u8>,
    /// Length of the signature member; 0 if unsigned.
    pub signature_len: usize,
    /// Length of the control member.
    pub control_len: usize,
    /// The SHA-1 of the control member, as indexes write it: `Q1` and base64.
    pub checksum: String,
    /// The index record, without its closing empty line.
    pub record: String,
}

impl ApkBuilder {
    /// A package for `x86_64` without files, signed by the test key.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            fields: Vec::new(),
            arch: "x86_64".to_owned(),
            build_date: 0,
            priority: None,
            entries: Vec::new(),
            scripts: BTreeMap::new(),
            key: Some(SigningKey::Test),
            data_hash: None,
            checksums: true,
        }
    }

    /// The architecture.
    #[must_use]
    pub fn arch(mut self, arch: &str) -> Self {
        arch.clone_into(&mut self.arch);
        self
    }

    /// One more dependency, such as `musl>=1.2` or `!other`.
    #[must_use]
    pub fn depend(self, dependency: &str) -> Self {
        self.field("depend", dependency)
    }

    /// Several dependencies.
    #[must_use]
    pub fn depends(self, dependencies: &[&str]) -> Self {
        dependencies.iter().fold(self, |builder, dependency| builder.depend(dependency))
    }

    /// One more provided name.
    #[must_use]
    pub fn provides(self, name: &str) -> Self {
        self.field("provides", name)
    }

    /// The source package.
    #[must_use]
    pub fn origin(self, origin: &str) -> Self {
        self.field("origin", origin)
    }

    /// One more condition of automatic installation.
    #[must_use]
    pub fn install_if(self, condition: &str) -> Self {
        self.field("install_if", condition)
    }

    /// One more package whose files this one may replace.
    #[must_use]
    pub fn replaces(self, name: &str) -> Self {
        self.field("replaces", name)
    }

    /// The commit of the recipe.
    #[must_use]
    pub fn commit(self, commit: &str) -> Self {
        self.field("commit", commit)
    }

    /// The licence expression.
    #[must_use]
    pub fn license(self, license: &str) -> Self {
        self.field("license", license)
    }

    /// The one-line description.
    #[must_use]
    pub fn description(self, text: &str) -> Self {
        self.field("pkgdesc", text)
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn build_date(mut self, seconds: i64) -> Self {
        self.build_date = seconds;
        self
    }

    /// Which provider of a virtual name wins.
    #[must_use]
    pub fn provider_priority(mut self, priority: u64) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Any other line of `.PKGINFO`; it may be repeated.
    #[must_use]
    pub fn field(mut self, key: &str, value: &str) -> Self {
        self.fields.push((key.to_owned(), value.to_owned()));
        self
    }

    /// A folder, mode 0755.
    #[must_use]
    pub fn dir(self, path: &str) -> Self {
        self.entry(ApkEntry::new(path, TarKind::Directory))
    }

    /// A file, mode 0644.
    #[must_use]
    pub fn file(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.entry(ApkEntry::file(path, content))
    }

    /// A file, mode 0755.
    #[must_use]
    pub fn executable(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.file(path, content).mode(0o755)
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(ApkEntry::new(path, TarKind::Symlink(target.to_owned())))
    }

    /// A hard link to an earlier file.
    #[must_use]
    pub fn hardlink(self, path: &str, target: &str) -> Self {
        self.entry(ApkEntry::new(path, TarKind::HardLink(target.to_owned())))
    }

    /// Any entry.
    #[must_use]
    pub fn entry(mut self, entry: ApkEntry) -> Self {
        self.entries.push(entry);
        self
    }

    /// The mode of the entry added last.
    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        self.last(|entry| entry.mode = mode)
    }

    /// The owner of the entry added last.
    #[must_use]
    pub fn owner(self, uid: u64, gid: u64) -> Self {
        self.last(|entry| (entry.uid, entry.gid) = (uid, gid))
    }

    /// The time of the entry added last.
    #[must_use]
    pub fn mtime(self, seconds: i64) -> Self {
        self.last(|entry| entry.mtime = seconds)
    }

    /// One more extended attribute of the entry added last.
    #[must_use]
    pub fn xattr(self, name: &str, value: &[u8]) -> Self {
        self.pax(&format!("SCHILY.xattr.{name}"), value)
    }

    /// One more PAX record of the entry added last; an `APK-TOOLS.checksum.SHA1` given here is used as it is.
    #[must_use]
    pub fn pax(self, key: &str, value: &[u8]) -> Self {
        self.last(|entry| drop(entry.pax.insert(key.to_owned(), value.to_vec())))
    }

    fn last(mut self, change: impl FnOnce(&mut ApkEntry)) -> Self {
        change(self.entries.last_mut().expect("there is an entry to change"));
        self
    }

    /// A script of the control section, such as `.post-install`.
    #[must_use]
    pub fn script(mut self, name: &str, content: &[u8]) -> Self {
        self.scripts.insert(name.to_owned(), content.to_vec());
        self
    }

    /// Who signs the package, or nobody.
    #[must_use]
    pub fn signed_by(mut self, key: Option<SigningKey>) -> Self {
        self.key = key;
        self
    }

    /// Writes this `datahash` instead of the true one.
    #[must_use]
    pub fn data_hash(mut self, text: &str) -> Self {
        self.data_hash = Some(text.to_owned());
        self
    }

    /// Leaves the checksums of all entries out.
    #[must_use]
    pub fn without_checksums(mut self) -> Self {
        self.checksums = false;
        self
    }

    /// The package.
    pub fn build(&self) -> BuiltApk {
        let data = gzip_member(&tar_bytes(&self.checked_entries(), true));
        let installed: usize = self.entries.iter().map(size_of_entry).sum();
        let control = gzip_member(&tar_bytes(&self.control_entries(&data, installed), false));
        let signature = self.key.map_or_else(Vec::new, |key| signature_member(key, &control));
        let checksum = format!("Q1{}", BASE64.encode(&Sha1::digest(&control)));
        let bytes = [&signature[..], &control, &data].concat();
        BuiltApk {
            name: self.name.clone(),
            version: self.version.clone(),
            signature_len: signature.len(),
            control_len: control.len(),
            record: self.record(&checksum, bytes.len(), installed),
            checksum,
            bytes,
        }
    }

    /// Hard links repeat the checksum of what they link to.
    fn checked_entries(&self) -> Vec<ApkEntry> {
        let mut entries = self.entries.clone();
        if !self.checksums {
            return entries;
        }
        for entry in &mut entries {
            let sum = match &entry.kind {
                TarKind::File(content) => Sha1::digest(content),
                TarKind::Symlink(target) => Sha1::digest(target),
                TarKind::HardLink(target) => {
                    let file = self.entries.iter().find(|e| e.name == *target).map(|e| &e.kind);
                    let Some(TarKind::File(content)) = file else { continue };
                    Sha1::digest(content)
                }
                TarKind::Directory | TarKind::Other(_) => continue,
            };
            let key = "APK-TOOLS.checksum.SHA1".to_owned();
            entry.pax.entry(key).or_insert_with(|| HEXLOWER.encode(&sum).into_bytes());
        }
        entries
    }

    fn control_entries(&self, data: &[u8], installed: usize) -> Vec<TarEntry> {
        let hash = self.data_hash.clone().unwrap_or_else(|| HEXLOWER.encode(&Sha256::digest(data)));
        let mut info = format!(
            "# Generated by a test\npkgname = {}\npkgver = {}\nbuilddate = {}\nsize = {installed}\narch = {}\n",
            self.name, self.version, self.build_date, self.arch
        );
        if let Some(priority) = self.priority {
            info += &format!("provider_priority = {priority}\n");
        }
        for (key, value) in &self.fields {
            info += &format!("{key} = {value}\n");
        }
        info += &format!("datahash = {hash}\n");
        let file = |name: &str, content: &[u8], mode| {
            let mut entry = TarEntry::file(name, content);
            (entry.mode, entry.mtime) = (mode, self.build_date);
            entry
        };
        let mut entries = vec![file(".PKGINFO", info.as_bytes(), 0o644)];
        entries.extend(self.scripts.iter().map(|(name, content)| file(name, content, 0o755)));
        entries
    }

    fn record(&self, checksum: &str, size: usize, installed: usize) -> String {
        let joined = |key: &str| {
            let values: Vec<_> =
                self.fields.iter().filter(|(k, _)| k == key).map(|(_, value)| value.as_str()).collect();
            values.join(" ")
        };
        let priority = self.priority.map_or_else(String::new, |p| p.to_string());
        let rows = [
            ("C", checksum.to_owned()),
            ("P", self.name.clone()),
            ("V", self.version.clone()),
            ("A", self.arch.clone()),
            ("S", size.to_string()),
            ("I", installed.to_string()),
            ("T", joined("pkgdesc")),
            ("U", joined("url")),
            ("L", joined("license")),
            ("o", joined("origin")),
            ("m", joined("maintainer")),
            ("t", self.build_date.to_string()),
            ("c", joined("commit")),
            ("k", priority),
            ("D", joined("depend")),
            ("p", joined("provides")),
            ("i", joined("install_if")),
        ];
        rows.iter().filter(|(_, value)| !value.is_empty()).fold(String::new(), |mut text, (key, value)| {
            text += &format!("{key}:{value}\n");
            text
        })
    }
}

impl BuiltApk {
    /// `name-version.apk`.
    pub fn file_name(&self) -> String {
        format!("{}-{}.apk", self.name, self.version)
    }
}

impl From<ApkBuilder> for BuiltApk {
    fn from(builder: ApkBuilder) -> Self {
        builder.build()
    }
}

fn size_of_entry(entry: &ApkEntry) -> usize {
    if let TarKind::File(content) = &entry.kind { content.len() } else { 0 }
}

/// The first member: a cut tar with one entry, the signature of all bytes that follow (package: of the control member).
pub(crate) fn signature_member(key: SigningKey, message: &[u8]) -> Vec<u8> {
    let entry = TarEntry::file(format!(".SIGN.RSA256.{}", key.name()), key.sign(message));
    gzip_member(&tar_bytes(&[entry], false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn a_package_is_three_members_that_read_as_one_tar() {
        let apk =
            ApkBuilder::new("x", "1-r0").depend("y").file("usr/x", *b"hi").symlink("l", "usr/x").build();
        let mut rest = &apk.bytes[..];
        let mut lengths = Vec::new();
        while !rest.is_empty() {
            let mut decoder = flate2::bufread::GzDecoder::new(rest);
            let mut plain = Vec::new();
            decoder.read_to_end(&mut plain).unwrap();
            assert_eq!(plain.len() % 512, 0);
            let left = decoder.into_inner().len();
            lengths.push(rest.len() - left);
            rest = &rest[rest.len() - left..];
        }
        assert_eq!(lengths.len(), 3);
        assert_eq!(lengths[..2], [apk.signature_len, apk.control_len]);
        let control = &apk.bytes[apk.signature_len..apk.signature_len + apk.control_len];
        assert_eq!(apk.checksum, format!("Q1{}", BASE64.encode(&Sha1::digest(control))));
        assert!(apk.record.contains("\nP:x\nV:1-r0\n") && apk.record.contains("\nD:y\n"));
    }
}
