//! From the key that signed an index to the layer of an image: which links hold, and which nobody has looked at.
//!
//! # Why it is the way it is
//! An image says of itself which package a layer is: its history names the package, its database the checksum of the
//! package's control section. Both are claims of whoever made the image. What proves them lies elsewhere: an index that
//! a key has signed lists the checksum, the control section with that checksum names the hash of the data section, and
//! that hash is the layer's digest. So a chain is only called whole if a spec says which keys and repositories count and
//! every link was looked at here; without a spec the claims are shown as such. A lock stands between the two: it names each
//! data section, so that layers are held against it, and records the other links, which need what it does not hold.

use std::collections::BTreeMap;
use std::path::Path;

use assemble_apk::{Checksum, Format, Index, PackageId, Record};
use assemble_types::{Arch, Digest, Platform};

use crate::build::{Env, PackageSummary};
use crate::choose::{Wanted, all_read};
use crate::error::{Doing, Error, OwnError, Result};
use crate::inspect::OpenedImage;
use crate::layers::AS_PACKED;
use crate::plan::{BuildOptions, Plan};
use crate::sources::{Indexes, RepositoryInput, Sources};
use crate::spec_file::SpecFile;

mod locked;

pub use locked::{LockedIndex, LockedLinks, LockedSigner};

/// The chains of an image's layers.
#[derive(Debug)]
pub struct ChainReport {
    /// What was asked for.
    pub image: String,
    /// The platform that it is about.
    pub platform: String,
    /// Lowest first.
    pub layers: Vec<ChainLayer>,
}

/// A layer, and what vouches for it.
#[derive(Debug)]
pub struct ChainLayer {
    /// Digest of the stored bytes, which was compared with them.
    pub digest: Digest,
    /// From the history.
    pub created_by: String,
    /// What is known.
    pub chain: Chain,
}

/// What vouches for a layer.
#[derive(Debug)]
pub enum Chain {
    /// The layer was made by whoever built the image: no distribution has signed it.
    Made,
    /// The image says which package it is, and that was not checked.
    Claimed {
        /// Name and version.
        package: String,
        /// Checksum of the package's control section, as the image's database has it.
        checksum: Option<String>,
        /// Why it was not checked.
        why: String,
    },
    /// Every link was checked.
    Whole(Links),
    /// The layer is the data section that a lock names; the links in front of it are the lock's word.
    Locked(LockedLinks),
    /// The image says which package it is, and the lock names another data section for that.
    NotLocked {
        /// What the lock says.
        links: LockedLinks,
    },
    /// The image says which package it is, and that package is another.
    Broken {
        /// What was found.
        links: Links,
    },
}

/// The links of a chain, each of which vouches for the next.
#[derive(Debug, Clone)]
pub struct Links {
    /// Name and version.
    pub package: String,
    /// Name of the key that signed the index.
    pub key: String,
    /// SHA-256 of the key, where it is the spec's own.
    pub fingerprint: Option<Digest>,
    /// The repository, as the spec has it.
    pub repository: String,
    /// Digest of the index file.
    pub index: Digest,
    /// Checksum of the control section.
    pub checksum: String,
    /// Digest of the data section, as the control section has it.
    pub data_hash: Digest,
}

impl ChainReport {
    /// The failure that this report stands for, if a chain is broken.
    pub fn error(&self) -> Option<Error> {
        let broken = |layer: &ChainLayer| {
            let (package, expected) = match &layer.chain {
                Chain::Broken { links } => (&links.package, links.data_hash),
                Chain::NotLocked { links } => (&links.package, links.data_hash),
                _ => return None,
            };
            Some((package.clone(), expected.to_string(), layer.digest.to_string()))
        };
        let (package, expected, found) = self.layers.iter().find_map(broken)?;
        Some(OwnError::BrokenChain { image: self.image.clone(), package, expected, found }.into())
    }
}

/// Whose word counts about an image's layers.
#[derive(Debug, Clone, Copy)]
pub enum Witness<'a> {
    /// Nobody's: the image's claims are shown.
    Nobody,
    /// That of the keys and repositories of a spec.
    Spec(&'a SpecFile, &'a BuildOptions, &'a Env),
    /// That of the lock of this path, and of nothing beside it.
    Lock(&'a Path),
}

/// The chains of an image, as the witness knows them.
pub fn chain(image: &OpenedImage, witness: Witness<'_>) -> Result<ChainReport> {
    let packages = image.packages()?;
    let claims: Vec<Option<String>> = image.claims();
    let platform = image.platform();
    let arch = || -> Result<Arch> {
        let known = platform.parse::<Platform>().map_err(|_| OwnError::UnknownArch(platform.to_owned()))?;
        Ok(known.arch)
    };
    let (mut proofs, mut lock) = (Proofs::default(), None);
    match witness {
        Witness::Nobody => {}
        Witness::Spec(file, options, env) => {
            let claimed = packages.iter().filter(|package| claims.contains(&Some(id_of(package))));
            proofs = Proofs::find(claimed, arch()?, file, options, env)?;
        }
        Witness::Lock(path) => lock = Some(locked::Word::read(path, arch()?)?),
    }
    let asked = matches!(witness, Witness::Spec(..));
    let mut layers = Vec::new();
    for (number, claim) in claims.into_iter().enumerate() {
        // Reading it compares its bytes with its digest.
        image.layer(number)?;
        let (digest, created_by) = image.layer_name(number);
        let chain = match (claim, &lock) {
            (None, _) => Chain::Made,
            (Some(package), Some(lock)) => lock.chain(package, digest, &packages),
            (Some(package), None) => proofs.chain(package, digest, &packages, asked),
        };
        layers.push(ChainLayer { digest, created_by: created_by.to_owned(), chain });
    }
    Ok(ChainReport { image: image.shown().to_owned(), platform: platform.to_owned(), layers })
}

fn id_of(package: &PackageSummary) -> String {
    format!("{}-{}", package.name, package.version)
}

/// The package that a layer's history names.
pub(crate) fn claim(created_by: &str) -> Option<String> {
    let package = created_by.strip_prefix("assemble: package ")?;
    package.strip_suffix(&format!(" ({AS_PACKED})")).map(str::to_owned)
}

/// What keys and repositories say, by name and version.
#[derive(Default)]
struct Proofs {
    links: BTreeMap<String, Links>,
    missing: BTreeMap<String, String>,
}

impl Proofs {
    fn find<'p>(
        packages: impl Iterator<Item = &'p PackageSummary>,
        arch: Arch,
        file: &SpecFile,
        options: &BuildOptions,
        env: &Env,
    ) -> Result<Self> {
        let plan = Plan::lower(file, options)?;
        let sources = Sources::of(&plan, env);
        let indexes = sources
            .indexes(&plan.build_repositories, &plan.keyring, arch)
            .doing(|| "reading the indexes".into())?;
        let own = sources.keyring(&plan.keyring)?;
        let mut proofs = Self::default();
        let (mut wanted, mut listed) = (Vec::new(), Vec::new());
        for package in packages {
            let id = id_of(package);
            match listing(&plan.build_repositories, &indexes, package) {
                Some((number, record, checksum)) => {
                    wanted.push(want(
                        &plan.build_repositories[number],
                        &indexes,
                        number,
                        record,
                        checksum,
                        arch,
                    ));
                    listed.push((id, number));
                }
                None => {
                    let why = "no index of the spec lists a package with this checksum";
                    proofs.missing.insert(id, why.to_owned());
                }
            }
        }
        all_read(&indexes.repositories)?;
        // None at all would still be announced.
        let opened = if wanted.is_empty() { Vec::new() } else { sources.packages(&wanted, arch)? };
        for ((id, number), (package, _)) in listed.into_iter().zip(opened) {
            let (repository, locked) = (&indexes.repositories[number], &indexes.locked[number]);
            let Some(key) = repository.index.signed_by.clone() else {
                proofs.missing.insert(id, format!("the index of {} is not signed", repository.name));
                continue;
            };
            let Format::V2 { data_hash, .. } = package.format else {
                proofs.missing.insert(id, "it is of format version 3, and has no data section".to_owned());
                continue;
            };
            let links = Links {
                package: id.clone(),
                fingerprint: own.ring.get(&key).map(assemble_apk::PublicKey::fingerprint),
                key,
                repository: repository.name.clone(),
                index: locked.index,
                checksum: package.checksum.to_string(),
                data_hash,
            };
            proofs.links.insert(id, links);
        }
        Ok(proofs)
    }

    fn chain(&self, package: String, layer: Digest, packages: &[PackageSummary], asked: bool) -> Chain {
        if let Some(links) = self.links.get(&package) {
            let links = links.clone();
            return if links.data_hash == layer { Chain::Whole(links) } else { Chain::Broken { links } };
        }
        let checksum = packages.iter().find(|one| id_of(one) == package).map(|one| one.checksum.clone());
        let why = match self.missing.get(&package) {
            Some(why) => why.clone(),
            None if checksum.is_none() => "the image's database has no such package".to_owned(),
            None if asked => "it was not looked for".to_owned(),
            None => "no keys and repositories are named: give the spec with --spec, or its lock with --lock"
                .to_owned(),
        };
        Chain::Claimed { package, checksum, why }
    }
}

/// The index that lists just this package.
fn listing<'i>(
    inputs: &[RepositoryInput],
    indexes: &'i Indexes,
    package: &PackageSummary,
) -> Option<(usize, &'i Record, Checksum)> {
    let of = |index: &'i Index| {
        index.records.named(&package.name).find_map(|record| {
            let checksum = record.checksum.filter(|checksum| checksum.to_string() == package.checksum)?;
            (record.version.as_str() == package.version).then_some((record, checksum))
        })
    };
    // Under our rules each repository that is named has an index.
    (0..inputs.len().min(indexes.repositories.len()).min(indexes.locked.len())).find_map(|number| {
        of(&indexes.repositories[number].index).map(|(record, checksum)| (number, record, checksum))
    })
}

fn want(
    input: &RepositoryInput,
    indexes: &Indexes,
    number: usize,
    record: &Record,
    checksum: Checksum,
    arch: Arch,
) -> Wanted {
    let file = input.layout().file(&indexes.repositories[number].index.files, record, arch);
    Wanted {
        id: PackageId { name: record.name.clone(), version: record.version.clone() },
        location: input.base().join(&file),
        url: input.url_of(&file),
        pin: None,
        checksum,
        size: record.size,
        pinned: None,
        span: input.span.clone(),
    }
}
