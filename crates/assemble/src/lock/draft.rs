//! From what was chosen and fetched to a lock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assemble_apk::{PublicKey, SectionRanges};
use assemble_spec::lock::{
    Difference, Learnt, Lock, LockedHashes, LockedImage, LockedKey, LockedPackage, Outline, OutlinePackage,
    Section,
};
use assemble_types::{Arch, Blob, Platform};

use super::basis::{locked_spec, made_with};
use super::error::LockError;
use super::recall::digest_of;
use crate::build::BuiltImage;
use crate::choose::{Selection, Wanted};
use crate::error::{Error, OwnError, Result};
use crate::keys::{ImageKey, KeyOrigin};
use crate::plan::Plan;
use crate::sources::Sources;
use crate::temporary::write_whole;

/// Where a key comes from that nobody named.
pub(super) const BUILT_IN: &str = "built-in";

/// What is to be written into the lock after a build.
#[derive(Debug)]
pub(crate) enum Draft {
    /// Nothing but the layers.
    Learn {
        /// The lock's file.
        path: PathBuf,
        /// What it says, which fits.
        lock: Lock,
        /// Whether layers that it knows already have to be those.
        strict: bool,
    },
    /// All of it.
    Write(NewDraft),
}

/// What is to be locked once its packages were fetched.
#[derive(Debug)]
pub(crate) struct NewDraft {
    pub(crate) path: PathBuf,
    /// The lock that was there.
    pub(crate) old: Option<Lock>,
    /// One for each architecture that is to be locked; more than the build's, where the old lock has more.
    pub(crate) selections: Vec<(Platform, Selection)>,
}

/// A lock that was made and not written yet.
#[derive(Debug)]
pub struct PendingLock {
    /// Where it goes.
    pub path: PathBuf,
    /// What it says.
    pub lock: Lock,
    /// What of it is new; nothing where only layers were learnt or indexes moved.
    pub difference: Difference,
    /// Whether the file there says the same already.
    pub same: bool,
}

impl PendingLock {
    /// Writes the file, unless it says the same already.
    pub fn write(&self) -> Result<()> {
        if self.same {
            return Ok(());
        }
        write_whole(&self.path, self.lock.to_text().as_bytes())
            .map_err(OwnError::io(&self.path, "cannot be written"))
    }

    fn new(path: PathBuf, old: Option<&Lock>, lock: Lock) -> Self {
        let before = old.map_or_else(|| nothing(&lock), Lock::outline);
        let difference = Difference::between(&before, &lock.outline());
        let same = old.is_some_and(|old| old.to_text() == lock.to_text());
        Self { path, lock, difference, same }
    }
}

/// What stands for the lock that was not there: only packages are then news.
fn nothing(lock: &Lock) -> Outline {
    let mut outline = lock.outline();
    outline.images.values_mut().for_each(Vec::clear);
    outline
}

impl Draft {
    /// The lock after a build, if it says more or else than before.
    pub(crate) fn after_build(
        self,
        plan: &Plan<'_>,
        built: &[BuiltImage],
        sources: &Sources<'_>,
    ) -> Result<Option<PendingLock>> {
        let pending = match self {
            Self::Write(draft) => draft.finish(plan, built, sources)?,
            Self::Learn { path, lock, strict } => {
                let mut new = lock.clone();
                for built in built {
                    let image = new.images.iter_mut().find(|image| image.arch == built.platform.arch);
                    let Some(image) = image else { continue };
                    let learnt = learnt(plan, built);
                    if strict {
                        agree(&path, built, image.learnt.as_ref(), &learnt)?;
                    }
                    image.learnt = Some(learnt);
                }
                if strict {
                    return Ok(None);
                }
                PendingLock::new(path, Some(&lock), new)
            }
        };
        Ok((!pending.same).then_some(pending))
    }
}

/// Refuses layers that are others than those that the lock knows of the same time.
fn agree(path: &Path, built: &BuiltImage, known: Option<&Learnt>, now: &Learnt) -> Result<()> {
    match known {
        Some(known) if known.time == now.time && known.diff_ids != now.diff_ids => {
            Err(LockError::OtherLayers {
                path: path.display().to_string(),
                platform: built.platform.to_string(),
            }
            .into())
        }
        _ => Ok(()),
    }
}

impl NewDraft {
    /// What will be locked, as far as it is known before anything is fetched.
    pub(crate) fn outline(&self, plan: &Plan<'_>) -> Outline {
        let package = |wanted: &Wanted| OutlinePackage {
            name: wanted.id.name.clone(),
            version: wanted.id.version.clone(),
            checksum: wanted.checksum,
        };
        Outline {
            spec: locked_spec(plan).digest,
            made_with: made_with(plan, self.old.as_ref()),
            keys: self
                .selections
                .iter()
                .flat_map(|(_, selection)| &selection.keys)
                .map(|key| (key.name.clone(), key.bytes.clone()))
                .collect(),
            images: self
                .selections
                .iter()
                .map(|(platform, s)| (platform.arch, s.packages.iter().map(package).collect()))
                .collect(),
        }
    }

    /// The lock. Packages that were built in are known by then; of others the fronts of those are fetched whose sections
    /// the old lock does not tell.
    pub(crate) fn finish(
        self,
        plan: &Plan<'_>,
        built: &[BuiltImage],
        sources: &Sources<'_>,
    ) -> Result<PendingLock> {
        let mut keys: BTreeMap<(String, Vec<u8>), (Vec<Arch>, String)> = BTreeMap::new();
        let (mut images, mut repositories) = (Vec::new(), Vec::new());
        for (platform, selection) in &self.selections {
            for key in &selection.keys {
                let from = found_at(plan, key);
                keys.entry((key.name.clone(), key.bytes.clone()))
                    .or_insert_with(|| (Vec::new(), from))
                    .0
                    .push(platform.arch);
            }
            repositories.extend(selection.repositories.iter().cloned());
            let built = built.iter().find(|image| image.platform == *platform);
            let packages = self.packages(*platform, selection, built, sources)?;
            let mut image = LockedImage { arch: platform.arch, packages, learnt: None };
            image.learnt = match built {
                Some(built) => Some(learnt(plan, built)),
                None => self.still_learnt(plan, &image),
            };
            images.push(image);
        }
        images.sort_by_key(|image| image.arch.apk());
        let key = |((name, pem), (mut archs, from)): ((String, Vec<u8>), (Vec<Arch>, String))| {
            archs.sort_by_key(|arch| arch.apk());
            let key = PublicKey::parse(&name, &pem).map_err(Error::from)?;
            Ok(LockedKey { key, archs, from })
        };
        let keys = keys.into_iter().map(key).collect::<Result<_>>()?;
        let (spec, made_with) = (locked_spec(plan), made_with(plan, self.old.as_ref()));
        let lock = Lock { spec, made_with, keys, repositories, images };
        Ok(PendingLock::new(self.path, self.old.as_ref(), lock))
    }

    fn packages(
        &self,
        platform: Platform,
        selection: &Selection,
        built: Option<&BuiltImage>,
        sources: &Sources<'_>,
    ) -> Result<Vec<LockedPackage>> {
        let hashes = match built {
            Some(image) => image.hashes.clone(),
            None => {
                let known = |wanted: &Wanted| self.known(platform.arch, wanted);
                let (unknown, places): (Vec<Wanted>, Vec<usize>) = selection
                    .packages
                    .iter()
                    .enumerate()
                    .filter(|(_, wanted)| known(wanted).is_none())
                    .map(|(place, wanted)| (wanted.clone(), place))
                    .unzip();
                let mut hashes: Vec<Option<LockedHashes>> = selection.packages.iter().map(known).collect();
                if !unknown.is_empty() {
                    let fronts = sources.fronts(&unknown, platform.arch)?;
                    for ((front, wanted), place) in fronts.iter().zip(&unknown).zip(places) {
                        hashes[place] = Some(hashes_of(&front.packed, front.sections.as_ref(), wanted)?);
                    }
                }
                hashes.into_iter().flatten().collect()
            }
        };
        let package = |(wanted, hashes): (&Wanted, LockedHashes)| LockedPackage {
            name: wanted.id.name.clone(),
            version: wanted.id.version.clone(),
            pin: wanted.pin.clone(),
            url: wanted.url.clone(),
            size: wanted.size,
            hashes,
        };
        Ok(selection.packages.iter().zip(hashes).map(package).collect())
    }

    /// What a lock says of the package's sections already.
    fn known(&self, arch: Arch, wanted: &Wanted) -> Option<LockedHashes> {
        if let Some(pinned) = &wanted.pinned {
            return Some(pinned.hashes.clone());
        }
        let package = self.old.as_ref()?.image(arch)?.package(&wanted.id.name)?;
        let same = package.version == wanted.id.version && package.hashes.checksum() == wanted.checksum;
        (same && package.size == wanted.size).then(|| package.hashes.clone())
    }

    /// Layers that were learnt of the same packages of the same spec.
    fn still_learnt(&self, plan: &Plan<'_>, image: &LockedImage) -> Option<Learnt> {
        let old = self.old.as_ref()?;
        let before = old.image(image.arch)?;
        let same = old.spec.digest == locked_spec(plan).digest
            && old.made_with == made_with(plan, Some(old))
            && before.packages == image.packages;
        same.then(|| before.learnt.clone()).flatten()
    }
}

/// Where a key was found, as it is written down: the spec's own words, where the spec names it.
fn found_at(plan: &Plan<'_>, key: &ImageKey) -> String {
    match key.origin {
        KeyOrigin::BuiltIn => BUILT_IN.to_owned(),
        KeyOrigin::Keyring => {
            let named = plan.keyring.iter().rfind(|input| input.name == key.name);
            named.map_or_else(|| key.url.clone(), |input| input.text.clone())
        }
        KeyOrigin::Alpine | KeyOrigin::Repository => key.url.clone(),
    }
}

/// The layers with packages of a build.
pub(super) fn learnt(plan: &Plan<'_>, built: &BuiltImage) -> Learnt {
    let packages = built.layers.iter().filter(|layer| layer.of_packages);
    Learnt {
        time: plan.times.fixed.map(assemble_types::Timestamp::seconds),
        diff_ids: packages.map(|layer| layer.layer.diff_id).collect(),
    }
}

/// What a lock says of an opened package's bytes, of which those before the data section are needed.
pub(crate) fn hashes_of(
    packed: &Blob,
    sections: Option<&SectionRanges>,
    wanted: &Wanted,
) -> Result<LockedHashes> {
    let id = &wanted.id;
    let section = |range: &std::ops::Range<u64>| -> Result<Section> {
        let part = packed
            .slice(range.clone())
            .ok_or_else(|| Error::from(OwnError::Bug(format!("{id}: a section outside of the file"))))?;
        Ok(Section { size: part.len(), sha256: digest_of(&part, id)? })
    };
    let checksum = wanted.checksum;
    Ok(match sections {
        Some(SectionRanges { signature, control, data, data_hash }) => LockedHashes::V2 {
            checksum,
            signature: signature.as_ref().map(&section).transpose()?,
            control: section(control)?,
            data: Section { size: data.end - data.start, sha256: *data_hash },
        },
        None => LockedHashes::V3 { checksum, sha256: digest_of(packed, id)? },
    })
}
