//! `lock` and `update`: decide again, and write it down.

use std::collections::BTreeSet;
use std::path::PathBuf;

use assemble_apk::PackageName;
use assemble_spec::lock::{Difference, Lock};
use assemble_types::{Event, Explain as _, Kind, Platform};

use super::basis::{Basis, Beside, load};
use super::draft::{NewDraft, PendingLock};
use super::error::LockError;
use super::keep::Keep;
use super::{LockUse, refuse_apko_lock};
use crate::build::{Env, Stopwatch, build};
use crate::choose::{self, Choice};
use crate::error::{Error, Result};
use crate::near::nearest;
use crate::plan::{BuildOptions, Plan};
use crate::sources::Sources;
use crate::spec_file::SpecFile;

/// What may move when a spec is locked that has a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moves {
    /// Nothing that need not.
    Nothing,
    /// These packages, to the best version that fits all others.
    Named(Vec<PackageName>),
    /// Everything: the old lock is not looked at.
    Everything,
}

/// How to lock.
#[derive(Debug, Clone)]
pub struct Relock {
    /// What may move.
    pub moves: Moves,
    /// Whether images are built, too, to learn their layers.
    pub deep: bool,
}

/// What came of locking.
#[derive(Debug)]
pub struct LockReport {
    /// The lock's file.
    pub path: PathBuf,
    /// What changed.
    pub difference: Difference,
    /// Whether the file was written; it is not if it says the same already.
    pub written: bool,
    /// Architectures, each with the number of its packages.
    pub images: Vec<(Platform, usize)>,
    /// What moved though it was to stay, for there is no package set with it.
    pub released: Vec<PackageName>,
    /// What was to move and did not.
    pub held: Vec<Held>,
}

/// A package that was to move, and did not because of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The package.
    pub name: PackageName,
    /// The version it stays at.
    pub at: String,
    /// The version it would have if everything could move.
    pub newest: String,
    /// What would have to move with it.
    pub with: Vec<PackageName>,
}

/// Makes the lock beside a spec, or makes it fit again.
pub fn lock(file: &SpecFile, options: &BuildOptions, env: &Env, how: &Relock) -> Result<LockReport> {
    refuse_apko_lock(options, "a lock is made from the indexes")?;
    let path = file.lock_path();
    let (old, lock) = match (load(&path), &how.moves) {
        // Whoever asks for a lock gets one, whatever lies in its place.
        (Err(error), Moves::Nothing | Moves::Everything) if error.kind() == Kind::Spec => {
            let text = format!("{}: what is there cannot be read as a lock; it is made anew", path.display());
            env.observer.event(Event::Warning(text));
            (None, LockUse::Ignore)
        }
        (loaded, _) => (loaded?, LockUse::Beside),
    };
    let options = BuildOptions { lock, ..options.clone() };
    let plan = Plan::lower(file, &options)?;
    if !plan.installs() {
        return Err(LockError::NoPackages(file.shown.clone()).into());
    }
    let sources = Sources::of(&plan, env);
    if let (Moves::Nothing, Basis::Lock(beside)) = (&how.moves, &plan.basis)
        && beside.drift.is_empty()
    {
        let report = fits(beside);
        return if how.deep { deepen(file, &options, env, report) } else { Ok(report) };
    }
    let platforms = plan.platforms_to_lock(old.as_ref());
    let named = names(&how.moves, old.as_ref(), &path)?;
    let keep = match (&how.moves, &old) {
        (Moves::Everything, _) | (_, None) => Keep::default(),
        (_, Some(old)) => Keep::of(old, &named),
    };
    let mut watch = Stopwatch::default();
    let (indexes, mut choice) = if keep.is_empty() && named.is_empty() {
        choose::fresh(&plan, &platforms, &sources, &mut watch)?
    } else {
        let indexes = choose::indexes(&plan, &platforms, &sources, &mut watch)?;
        let choice = choose::choose(&plan, &platforms, &indexes, &keep, &mut watch)?;
        (indexes, choice)
    };
    if let Some(old) = old.as_ref().filter(|_| !named.is_empty() && !choice.released.is_empty()) {
        // Others are not to move for the named ones; if need be, those stay as well.
        let all = Keep::of(old, &BTreeSet::new());
        let unmoved = choose::choose(&plan, &platforms, &indexes, &all, &mut watch)?;
        if unmoved.released.is_empty() {
            choice = unmoved;
        }
    }
    let held = held(&plan, &platforms, &indexes, &choice, &keep, &named)?;
    let Choice { selections, released, .. } = choice;
    let selections: Vec<_> = platforms.iter().copied().zip(selections).collect();
    let images = selections.iter().map(|(platform, s)| (*platform, s.packages.len())).collect();
    let pending = NewDraft { path: path.clone(), old, selections }.finish(&plan, &[], &sources)?;
    pending.write()?;
    let PendingLock { difference, same, .. } = pending;
    if let Some(warning) = difference.warning() {
        env.observer.event(Event::Warning(warning));
    }
    let report = LockReport { path, difference, written: !same, images, released, held };
    if how.deep { deepen(file, &options, env, report) } else { Ok(report) }
}

fn fits(beside: &Beside) -> LockReport {
    let images = &beside.lock.images;
    LockReport {
        path: beside.path.clone(),
        difference: Difference::default(),
        written: false,
        images: images.iter().map(|i| (Platform::from(i.arch), i.packages.len())).collect(),
        released: Vec::new(),
        held: Vec::new(),
    }
}

/// Builds under the lock, so that it learns the layers.
fn deepen(file: &SpecFile, options: &BuildOptions, env: &Env, mut report: LockReport) -> Result<LockReport> {
    let built = build(file, options, env)?;
    if let Some(pending) = &built.lock {
        pending.write()?;
        report.written |= !pending.same;
    }
    Ok(report)
}

/// The names that were said, each of which has to be locked.
fn names(moves: &Moves, old: Option<&Lock>, path: &std::path::Path) -> Result<BTreeSet<PackageName>> {
    let Moves::Named(names) = moves else { return Ok(BTreeSet::new()) };
    let shown = path.display().to_string();
    let Some(old) = old else { return Err(LockError::NothingToUpdate(shown).into()) };
    for name in names {
        if old.images.iter().all(|image| image.package(name).is_none()) {
            let alike = |other: &PackageName| {
                other.as_str().contains(name.as_str()) || name.as_str().contains(other.as_str())
            };
            let locked: BTreeSet<&PackageName> =
                old.images.iter().flat_map(|image| &image.packages).map(|package| &package.name).collect();
            let mut alike: Vec<String> =
                locked.iter().filter(|other| alike(other)).take(8).map(ToString::to_string).collect();
            if alike.is_empty() {
                let near = nearest(name.as_str(), locked.into_iter().map(PackageName::as_str));
                alike.extend(near.map(str::to_owned));
            }
            return Err(Error::from(LockError::NotLocked { path: shown, name: name.to_string(), alike }));
        }
    }
    Ok(names.iter().cloned().collect())
}

/// Which of the named packages would be newer if others could move, and which others those are.
fn held(
    plan: &Plan<'_>,
    platforms: &[Platform],
    indexes: &[crate::sources::Indexes],
    choice: &Choice,
    keep: &Keep,
    named: &BTreeSet<PackageName>,
) -> Result<Vec<Held>> {
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let mut watch = Stopwatch::default();
    let free = choose::choose(plan, platforms, indexes, &Keep::default(), &mut watch)?;
    let mut out: Vec<Held> = Vec::new();
    for ((platform, now), best) in platforms.iter().zip(&choice.selections).zip(&free.selections) {
        for name in named {
            let (Some(now), Some(best)) = (now.wanted(name), best.wanted(name)) else { continue };
            let newer = best.id.version.compare(&now.id.version) == Some(std::cmp::Ordering::Greater);
            if !newer || out.iter().any(|held| held.name == *name) {
                continue;
            }
            let mut forced = keep.clone();
            forced.hold(platform.arch, name.clone(), best.id.version.clone(), best.checksum);
            let all = choose::choose(plan, platforms, indexes, &forced, &mut watch)?;
            // Where the forced version itself had to go, everything would have to move.
            let with = all.released.into_iter().filter(|other| other != name).collect();
            out.push(Held {
                name: name.clone(),
                at: now.id.version.to_string(),
                newest: best.id.version.to_string(),
                with,
            });
        }
    }
    Ok(out)
}
