//! What a lock file of apko says is to be installed: no index is read, and its order is that of installation.

use std::path::Path;

use assemble_apk::PackageId;
use assemble_fetch::{FetchError, Location};
use assemble_spec::lock::apko::{ApkoLockPackage, ReadApkoLock, parse};
use assemble_types::{Arch, Digest, Event, Platform, SourceSpan};

use super::basis::read_limited;
use super::error::LockError;
use crate::choose::{Selection, Wanted};
use crate::error::{Error, OwnError, Result};
use crate::keys::{ImageKey, merge};
use crate::plan::Plan;
use crate::sources::Sources;

/// Stands for what the file says, if it can be read.
pub(crate) fn apko_lock_digest(path: &Path) -> Option<Digest> {
    Some(Digest::of(&read_limited(path).ok()??))
}

/// The packages of every platform of the plan, in its order.
pub(crate) fn from_apko(plan: &Plan<'_>, path: &Path, sources: &Sources<'_>) -> Result<Vec<Selection>> {
    let shown = path.display().to_string();
    let Some(bytes) = read_limited(path)? else {
        return Err(LockError::NoLock(shown).into());
    };
    let read = parse(&shown, &bytes)?;
    match &read.lock.config {
        None => sources.observer.event(Event::Warning(format!(
            "{shown} does not say which configuration it was made for; it is taken as it is"
        ))),
        Some(config) if config.checksum != plan.file.apko_checksum() => {
            return Err(OwnError::OtherConfig { lock: shown, config: plan.file.shown.clone() }.into());
        }
        Some(_) => {}
    }
    let one = |platform: &Platform| {
        let own = sources.keyring(&plan.keyring)?;
        let found = sources.discover(&plan.repositories(platform.arch)?, platform.arch)?;
        let keys = merge(found.into_iter().flat_map(|keys| keys.files).chain(own.files));
        selection(plan, &shown, &read, platform.arch, keys)
    };
    plan.platforms.iter().map(one).collect()
}

fn selection(
    plan: &Plan<'_>,
    shown: &str,
    read: &ReadApkoLock,
    arch: Arch,
    keys: Vec<ImageKey>,
) -> Result<Selection> {
    let present = plan.present(arch)?;
    let mut selection = Selection { keys, ..Selection::default() };
    for (package, span) in read.lock.contents.packages.iter().zip(&read.places) {
        if package.architecture == arch.apk() {
            // What the base image has is not installed again.
            if present.is_none_or(|present| !present.has(&package.name)) {
                selection.packages.push(wanted(plan, shown, package, span)?);
            }
            selection.locked.push(format!("{}={}", package.name, package.version));
        }
    }
    if selection.locked.is_empty() {
        let what = format!("holds no package for {}", arch.apk());
        return Err(OwnError::UnfitLock { lock: shown.to_owned(), what }.into());
    }
    selection.locked.extend(plan.asked_for_again());
    selection.world = plan.world_of(&selection.locked, arch)?;
    Ok(selection)
}

fn wanted(plan: &Plan<'_>, shown: &str, package: &ApkoLockPackage, span: &SourceSpan) -> Result<Wanted> {
    let id = PackageId { name: package.name.clone(), version: package.version.clone() };
    let Some(checksum) = package.checksum else {
        let what = format!("has no checksum for {id}");
        return Err(Error::from(OwnError::UnfitLock { lock: shown.to_owned(), what }).at(span));
    };
    let location = Location::parse(&package.url, &plan.file.directory)
        .map_err(|error| Error::from(FetchError::from(error)).at(span))?;
    let size = package.data.range.rsplit('-').next().and_then(|end| end.parse::<u64>().ok());
    Ok(Wanted {
        id,
        location,
        url: package.url.clone(),
        pin: None,
        pinned: None,
        checksum,
        size: size.map_or(0, |last| last.saturating_add(1)),
        span: span.clone(),
    })
}
