//! From a lock back to what is to be fetched.

use std::collections::BTreeSet;
use std::path::Path;

use assemble_apk::{Constraint, Operator, PackageId, PublicKey};
use assemble_fetch::{FetchError, Location};
use assemble_spec::lock::{Change, Difference, Lock, LockedHashes, LockedImage, LockedKey, LockedPackage};
use assemble_types::{Blob, Digest, Event, Platform, SourceSpan};

use super::basis::Beside;
use super::draft::{BUILT_IN, Draft, NewDraft};
use super::error::LockError;
use super::keep::Keep;
use crate::build::Stopwatch;
use crate::choose::{self, Chosen, Pinned, Selection, Wanted};
use crate::error::{Error, OwnError, Result};
use crate::keys::{ImageKey, KeyOrigin, merge};
use crate::plan::Plan;
use crate::sources::{Sources, foreign_text};

/// What the lock says for every platform of the plan. It fits, so it has all of them.
pub(crate) fn recall(plan: &Plan<'_>, beside: &Beside, sources: &Sources<'_>) -> Result<Chosen> {
    let one = |&platform: &Platform| {
        let image = beside.lock.image(platform.arch).ok_or_else(|| {
            Error::from(OwnError::Bug(format!("a lock without {platform} was said to fit")))
        })?;
        selection(plan, &beside.lock, image, &beside.path, sources)
    };
    let selections = plan.platforms.iter().map(one).collect::<Result<_>>()?;
    let draft = Draft::Learn { path: beside.path.clone(), lock: beside.lock.clone(), strict: beside.strict };
    Ok(Chosen { selections, draft: Some(draft) })
}

/// Chooses from the indexes what the lock no longer says, and keeps the rest.
pub(crate) fn mend(
    plan: &Plan<'_>,
    beside: &Beside,
    sources: &Sources<'_>,
    watch: &mut Stopwatch,
) -> Result<Chosen> {
    let shown = beside.path.display().to_string();
    if beside.strict {
        return Err(drift(plan, beside, sources, watch, true));
    }
    sources.observer.event(Event::Note(format!(
        "{shown} does not fit any more: {}; what still fits is kept",
        beside.drift.join(", ")
    )));
    let (draft, mut selections) = choose_again(plan, beside, sources, watch)?;
    selections.truncate(plan.platforms.len());
    Ok(Chosen { selections, draft: Some(Draft::Write(draft)) })
}

fn choose_again(
    plan: &Plan<'_>,
    beside: &Beside,
    sources: &Sources<'_>,
    watch: &mut Stopwatch,
) -> Result<(NewDraft, Vec<Selection>)> {
    let platforms = plan.platforms_to_lock(Some(&beside.lock));
    let indexes = choose::indexes(plan, &platforms, sources, watch)?;
    let keep = Keep::of(&beside.lock, &BTreeSet::new());
    let choice = choose::choose(plan, &platforms, &indexes, &keep, watch)?;
    let selections = choice.selections.clone();
    let draft = NewDraft {
        path: beside.path.clone(),
        old: Some(beside.lock.clone()),
        selections: platforms.into_iter().zip(choice.selections).collect(),
    };
    Ok((draft, selections))
}

/// What does not fit, with the packages that would be others, if that can be said.
pub(super) fn drift(
    plan: &Plan<'_>,
    beside: &Beside,
    sources: &Sources<'_>,
    watch: &mut Stopwatch,
    asked: bool,
) -> Error {
    let mut differences = beside.drift.clone();
    // Without indexes there is no more to say; the reasons alone are an answer.
    if let Ok((draft, _)) = choose_again(plan, beside, sources, watch) {
        let changes = Difference::between(&beside.lock.outline(), &draft.outline(plan)).changes;
        let others = changes.iter().filter(|change| **change != Change::Spec);
        differences.extend(others.clone().map(ToString::to_string));
        // The lock has no more of the spec than its digest.
        if others.count() == 0 && changes.contains(&Change::Spec) {
            differences.push("it would get the same packages".to_owned());
        }
    }
    LockError::Drift { path: beside.path.display().to_string(), differences, asked }.into()
}

pub(super) fn selection(
    plan: &Plan<'_>,
    lock: &Lock,
    image: &LockedImage,
    path: &Path,
    sources: &Sources<'_>,
) -> Result<Selection> {
    let shown = path.display().to_string();
    let packages: Vec<Wanted> =
        image.packages.iter().map(|package| wanted(plan, package, &shown)).collect::<Result<_>>()?;
    let mut locked: Vec<String> = image.packages.iter().map(constraint).collect();
    locked.sort();
    let keys: Vec<(ImageKey, &PublicKey)> =
        lock.keys_for(image.arch).map(|key| (image_key(plan, key), &key.key)).collect();
    let (mut foreign_keys, mut untrusted) = (Vec::new(), Vec::new());
    for repository in lock.repositories_for(image.arch) {
        let url = &repository.url;
        match &repository.signed_by {
            None => {
                sources.warn_untrusted(url);
                untrusted.push(url.clone());
            }
            Some(signer) => {
                let key =
                    keys.iter().find(|(key, _)| key.name == *signer && key.origin != KeyOrigin::Keyring);
                foreign_keys.extend(key.map(|(key, parsed)| foreign_text(url, key, parsed)));
            }
        }
    }
    sources.observer.event(Event::Stage(format!("taking what {shown} locks for {}", image.arch.apk())));
    let repositories = lock.repositories_for(image.arch).cloned().collect();
    let keys = merge(keys.into_iter().map(|(key, _)| key));
    locked.extend(plan.asked_for_again());
    let world = plan.world_of(&locked, image.arch)?;
    Ok(Selection { world, locked, packages, keys, foreign_keys, untrusted, repositories })
}

/// A locked key as the image holds it.
fn image_key(plan: &Plan<'_>, key: &LockedKey) -> ImageKey {
    let (name, bytes) = (key.key.name().to_owned(), key.key.pem().to_vec());
    let (url, origin) = if key.from == BUILT_IN {
        (String::new(), KeyOrigin::BuiltIn)
    } else if plan.keyring.iter().any(|input| input.text == key.from) {
        (key.from.clone(), KeyOrigin::Keyring)
    } else {
        (key.from.clone(), KeyOrigin::Repository)
    };
    ImageKey { name, bytes, url, origin }
}

/// `name=version[@tag]`, as the solver would have said it.
fn constraint(package: &LockedPackage) -> String {
    Constraint {
        name: package.name.clone(),
        operator: Operator::Equal,
        version: Some(package.version.clone()),
        pin: package.pin.clone(),
        conflict: false,
    }
    .to_string()
}

fn wanted(plan: &Plan<'_>, package: &LockedPackage, lock: &str) -> Result<Wanted> {
    let copy =
        plan.vendored.as_ref().and_then(|copies| Some((copies.package(&package.url)?, copies.folder())));
    let (location, vendored) = match copy {
        Some((location, folder)) => (location, Some(folder.to_owned())),
        None => (Location::parse(&package.url, &plan.file.directory).map_err(FetchError::from)?, None),
    };
    Ok(Wanted {
        id: PackageId { name: package.name.clone(), version: package.version.clone() },
        location,
        url: package.url.clone(),
        pin: package.pin.clone(),
        checksum: package.hashes.checksum(),
        size: package.size,
        pinned: Some(Pinned { hashes: package.hashes.clone(), lock: lock.to_owned(), vendored }),
        span: plan.repository_span(&package.url).unwrap_or_else(unknown),
    })
}

/// A place that is not shown.
fn unknown() -> SourceSpan {
    SourceSpan {
        file: String::new(),
        line: 0,
        column: 0,
        length: 0,
        text: String::new(),
        label: String::new(),
    }
}

/// Holds the front of a package file, signature and control section, against the lock, before anything in it is read.
pub(crate) fn check_start(packed: &Blob, id: &PackageId, pinned: &Pinned) -> Result<()> {
    let other = |what: &'static str, expected: String, found: String| -> Result<()> {
        let lock = pinned.lock.clone();
        let (package, name) = (id.to_string(), id.name.to_string());
        Err(LockError::OtherPackage { package, name, lock, what, expected, found }.into())
    };
    let (signature, control) = match &pinned.hashes {
        LockedHashes::V2 { signature, control, .. } => (signature, control),
        LockedHashes::V3 { sha256, .. } => {
            let found = digest_of(packed, id)?;
            return if found == *sha256 {
                Ok(())
            } else {
                other("file", sha256.to_string(), found.to_string())
            };
        }
    };
    let mut at = 0;
    let named = signature.iter().map(|section| ("signature section", section));
    for (what, section) in named.chain([("control section", control)]) {
        let end = at + section.size;
        let Some(part) = packed.slice(at..end) else {
            return other("size", format!("{end} bytes or more"), packed.len().to_string());
        };
        let found = digest_of(&part, id)?;
        if found != section.sha256 {
            return other(what, section.sha256.to_string(), found.to_string());
        }
        at = end;
    }
    Ok(())
}

/// Of any number of bytes: a section's size is the lock's word only.
pub(super) fn digest_of(bytes: &Blob, id: &PackageId) -> Result<Digest> {
    bytes.content_digest().map_err(OwnError::io(id.to_string(), "cannot be read"))
}
