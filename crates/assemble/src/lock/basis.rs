//! What the packages of a build are decided by, and whether a lock still fits.

use std::path::{Path, PathBuf};

use assemble_apk::Trust;
use assemble_layer::Compression;
use assemble_rootfs::data_versions;
use assemble_spec::lock::{Lock, LockedSpec, MAX_LOCK, MadeWith, parse_lock};

use super::LockUse;
use super::digest::spec_digest;
use super::error::LockError;
use crate::error::{Error, OwnError, Result};
use crate::plan::{BuildOptions, Plan};
use crate::spec_file::SpecFile;

/// What the packages of a build are decided by.
#[derive(Debug, Default)]
pub(crate) enum Basis {
    /// The indexes, and nothing is remembered.
    #[default]
    Indexes,
    /// A lock file of apko, which the user named.
    ApkoLock(PathBuf),
    /// The lock beside the spec.
    Lock(Box<Beside>),
}

/// A lock beside the spec.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) path: PathBuf,
    pub(crate) lock: Lock,
    /// Why it does not fit; nothing if it does.
    pub(crate) drift: Vec<String>,
    /// Whether it has to fit.
    pub(crate) strict: bool,
}

impl Basis {
    /// What the options and the files beside the spec say.
    pub(crate) fn of(plan: &Plan<'_>, options: &BuildOptions) -> Result<Self> {
        if let Some(path) = &options.apko_lock {
            return Ok(Self::ApkoLock(path.clone()));
        }
        let strict = options.lock == LockUse::Locked;
        if options.lock == LockUse::Ignore || !plan.installs() {
            return Ok(Self::Indexes);
        }
        let path = plan.file.lock_path();
        let Some(lock) = load(&path)? else {
            return if strict { Err(no_lock(plan.file, &path)) } else { Ok(Self::Indexes) };
        };
        let drift = drift(plan, &lock);
        if drift.is_empty() {
            consent(plan, &lock, &path)?;
        }
        Ok(Self::Lock(Box::new(Beside { path, lock, drift, strict })))
    }
}

/// The lock of that path, if there is one.
pub(crate) fn load(path: &Path) -> Result<Option<Lock>> {
    let shown = path.display().to_string();
    let Some(bytes) = read_limited(path)? else { return Ok(None) };
    Ok(Some(parse_lock(&shown, &bytes)?))
}

/// At most one byte more than is accepted, so that the parser says what is wrong.
pub(super) fn read_limited(path: &Path) -> Result<Option<Vec<u8>>> {
    use std::io::Read as _;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OwnError::io(path, "cannot be read")(error)),
    };
    let mut bytes = Vec::new();
    let limit = MAX_LOCK as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(OwnError::io(path, "cannot be read"))?;
    Ok(Some(bytes))
}

pub(super) fn no_lock(file: &SpecFile, path: &Path) -> Error {
    LockError::Missing { path: path.display().to_string(), spec: file.shown.clone() }.into()
}

/// The spec, as a lock names it.
pub(super) fn locked_spec(plan: &Plan<'_>) -> LockedSpec {
    let digest = spec_digest(plan.spec(), plan.base_image.as_ref());
    LockedSpec { name: plan.file.name.clone(), digest }
}

/// Versions of what the program itself would bring along. What is locked does not depend on how layers are compressed, so
/// an old lock keeps its codec as long as it is one of ours.
pub(super) fn made_with(plan: &Plan<'_>, old: Option<&Lock>) -> MadeWith {
    let base = plan.base.as_ref().filter(|_| !plan.packages_only());
    let (certificates, time_zones) = data_versions();
    let ours = Compression::ALL.map(Compression::codec);
    let kept = old.map(|old| old.made_with.codec.as_str()).filter(|codec| ours.contains(codec));
    MadeWith {
        codec: kept.unwrap_or(plan.compression.codec()).to_owned(),
        certificates: base.filter(|base| base.certificates).map(|_| certificates.to_owned()),
        time_zones: base.filter(|base| base.time_zones).map(|_| time_zones.to_owned()),
    }
}

/// Why the lock is not one of this plan; nothing if it is.
fn drift(plan: &Plan<'_>, lock: &Lock) -> Vec<String> {
    let mut reasons = Vec::new();
    if lock.spec.digest != locked_spec(plan).digest {
        let base = if plan.base_image.is_some() { ", or its base image" } else { "" };
        reasons.push(format!("the spec has changed{base}"));
    }
    if lock.made_with != made_with(plan, Some(lock)) {
        reasons.push("another codec, other certificates or other time zones".to_owned());
    }
    for platform in &plan.platforms {
        if lock.image(platform.arch).is_none() {
            reasons.push(format!("nothing is locked for {platform}"));
        }
    }
    reasons
}

/// Packages that no signature vouched for are not taken silently because a lock lists them.
fn consent(plan: &Plan<'_>, lock: &Lock, path: &Path) -> Result<()> {
    if plan.trust == Trust::AllowUntrusted {
        return Ok(());
    }
    let archs: Vec<_> = plan.platforms.iter().map(|platform| platform.arch).collect();
    let unsigned = lock.repositories.iter().find(|r| archs.contains(&r.arch) && r.signed_by.is_none());
    match unsigned {
        None => Ok(()),
        Some(repository) => {
            Err(LockError::Untrusted { path: path.display().to_string(), repository: repository.url.clone() }
                .into())
        }
    }
}
