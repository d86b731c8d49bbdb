//! Writes signed indexes and folders of packages.

use std::path::Path;

use crate::apk::{BuiltApk, signature_member};
use crate::keys::SigningKey;
use crate::tarball::{TarEntry, gzip_member, tar_bytes};

/// A repository of packages, signed by the test key unless told otherwise.
#[derive(Debug, Clone)]
pub struct RepositoryBuilder {
    packages: Vec<BuiltApk>,
    records: Vec<String>,
    description: String,
    key: Option<SigningKey>,
}

impl Default for RepositoryBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl RepositoryBuilder {
    /// Without packages.
    pub fn new() -> Self {
        let description = "a test repository".to_owned();
        Self { packages: Vec::new(), records: Vec::new(), description, key: Some(SigningKey::Test) }
    }

    /// One more package, listed and present.
    #[must_use]
    pub fn package(mut self, package: impl Into<BuiltApk>) -> Self {
        let package = package.into();
        self.records.push(package.record.clone());
        self.packages.push(package);
        self
    }

    /// One more index record, without a package file: lines `X:value`.
    #[must_use]
    pub fn record(mut self, text: &str) -> Self {
        self.records.push(text.to_owned());
        self
    }

    /// The content of `DESCRIPTION`.
    #[must_use]
    pub fn description(mut self, text: &str) -> Self {
        text.clone_into(&mut self.description);
        self
    }

    /// Who signs the index, or nobody.
    #[must_use]
    pub fn signed_by(mut self, key: Option<SigningKey>) -> Self {
        self.key = key;
        self
    }

    /// The text of `APKINDEX`.
    pub fn index_text(&self) -> String {
        self.records.iter().map(|record| format!("{}\n\n", record.trim_end())).collect()
    }

    /// `APKINDEX.tar.gz`.
    pub fn index(&self) -> Vec<u8> {
        let entries = [
            TarEntry::file("DESCRIPTION", self.description.as_bytes()),
            TarEntry::file("APKINDEX", self.index_text()),
        ];
        let body = gzip_member(&tar_bytes(&entries, true));
        let mut out = self.key.map_or_else(Vec::new, |key| signature_member(key, &body));
        out.extend(body);
        out
    }

    /// Writes `<folder>/<arch>/APKINDEX.tar.gz` and the packages beside it. `arch` is the APK name, such as `x86_64`.
    pub fn write(&self, folder: &Path, arch: &str) {
        let folder = folder.join(arch);
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        std::fs::write(folder.join("APKINDEX.tar.gz"), self.index()).expect("the index can be written");
        for package in &self.packages {
            std::fs::write(folder.join(package.file_name()), &package.bytes)
                .expect("packages can be written");
        }
    }
}
