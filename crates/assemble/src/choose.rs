//! Which packages each platform gets: keys and indexes of every platform, then one resolution over all of them.
//!
//! What comes out no longer says how it was chosen, so that installing does not know whether there was an index.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use assemble_apk::{Checksum, Constraint, Index, IndexError, PackageId, PackageName};
use assemble_fetch::Location;
use assemble_resolve::{Policy, Repository, Solution, Target, Unsolvable, check};
use assemble_spec::lock::{LockedHashes, LockedRepository};
use assemble_types::{Event, Platform, SourceSpan};

use crate::build::Stopwatch;
use crate::choices::KeptChoice;
use crate::error::{Doing, Error, OwnError, Result};
use crate::keys::ImageKey;
use crate::lock::{self, Basis, Draft, Keep, Kept, solve_keeping};
use crate::missing::AlsoMissing;
use crate::plan::{Mode, Plan};
use crate::sources::{Asked, Indexes, Sources};

/// What one platform's image is to hold, wherever the choice came from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// The lines of `/etc/apk/world`.
    pub(crate) world: Vec<String>,
    /// The chosen packages as `name=version[@tag]`: what `/etc/apko.json` of the image lists.
    pub(crate) locked: Vec<String>,
    /// The packages in the order of installation.
    pub(crate) packages: Vec<Wanted>,
    /// Files of `/etc/apk/keys`.
    pub(crate) keys: Vec<ImageKey>,
    /// For the summary: which key signed what, where it was not the spec's own.
    pub(crate) foreign_keys: Vec<String>,
    /// Repositories that were used without a signature that could be checked.
    pub(crate) untrusted: Vec<String>,
    /// The indexes that it was chosen from.
    pub(crate) repositories: Vec<LockedRepository>,
}

impl Selection {
    /// The package of that name.
    pub(crate) fn wanted(&self, name: &PackageName) -> Option<&Wanted> {
        self.packages.iter().find(|wanted| wanted.id.name == *name)
    }
}

/// A package that is to be fetched, and what it must be.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) id: PackageId,
    pub(crate) location: Location,
    /// The location as it is written down: a URL without credentials, or a path relative to the spec.
    pub(crate) url: String,
    /// The tag that the package was asked for with.
    pub(crate) pin: Option<Box<str>>,
    /// What the index or the lock vouches for it with.
    pub(crate) checksum: Checksum,
    /// Of the whole file, in bytes.
    pub(crate) size: u64,
    /// What a lock says beyond that.
    pub(crate) pinned: Option<Pinned>,
    /// Where the spec names the repository.
    pub(crate) span: SourceSpan,
}

/// What a lock says of a package's bytes.
#[derive(Debug, Clone)]
pub(crate) struct Pinned {
    pub(crate) hashes: LockedHashes,
    /// The lock's file, for messages.
    pub(crate) lock: String,
    /// The folder of copies that it is taken from.
    pub(crate) vendored: Option<PathBuf>,
}

/// What was chosen from indexes.
#[derive(Debug)]
pub(crate) struct Choice {
    /// One for each platform.
    pub(crate) selections: Vec<Selection>,
    /// What was to stay as it is, and could not.
    pub(crate) released: Vec<PackageName>,
    /// What apko's choice breaks: it is kept as it is, and this is said.
    pub(crate) broken: Vec<String>,
}

/// What is built from, and what is to be locked afterwards.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// One for each platform of the plan.
    pub(crate) selections: Vec<Selection>,
    pub(crate) draft: Option<Draft>,
}

/// The packages of every platform of the plan, in its order: from the lock if there is one that fits, else from the
/// indexes.
pub(crate) fn packages(plan: &Plan<'_>, sources: &Sources<'_>, watch: &mut Stopwatch) -> Result<Chosen> {
    let apkos = plan.file.lock_path().with_extension("lock.json");
    let named = matches!(plan.basis, Basis::ApkoLock(_));
    if plan.mode == Mode::Assemble && !named && apkos.is_file() {
        let apkos = apkos.display();
        sources.observer.event(Event::Note(format!(
            "{apkos} is a lock of apko; it is not looked at unless it is named: --lockfile {apkos}"
        )));
    }
    match &plan.basis {
        Basis::Indexes => {
            let (_, choice) = fresh(plan, &plan.platforms, sources, watch)?;
            for broken in choice.broken {
                sources.observer.event(Event::Warning(broken));
            }
            Ok(Chosen { selections: choice.selections, draft: None })
        }
        Basis::ApkoLock(path) => {
            Ok(Chosen { selections: lock::from_apko(plan, path, sources)?, draft: None })
        }
        Basis::Lock(beside) if beside.drift.is_empty() => lock::recall(plan, beside, sources),
        Basis::Lock(beside) => lock::mend(plan, beside, sources, watch),
    }
}

/// Keys and indexes for platforms.
pub(crate) fn indexes(
    plan: &Plan<'_>,
    platforms: &[Platform],
    sources: &Sources<'_>,
    watch: &mut Stopwatch,
) -> Result<Vec<Indexes>> {
    let asked = asked(plan, platforms, sources, watch)?;
    read(plan, platforms, asked, None, sources, watch)
}

fn asked(
    plan: &Plan<'_>,
    platforms: &[Platform],
    sources: &Sources<'_>,
    watch: &mut Stopwatch,
) -> Result<Vec<Asked>> {
    let ask = |platform: &Platform| {
        sources
            .asked(&plan.repositories(platform.arch)?, &plan.keyring, platform.arch)
            .doing(|| format!("reading the indexes for {platform}"))
    };
    watch.time("index", || platforms.iter().map(ask).collect())
}

/// Reads what was asked for, but those indexes of which it is `known` what is needed.
fn read(
    plan: &Plan<'_>,
    platforms: &[Platform],
    asked: Vec<Asked>,
    known: Option<Vec<Vec<Index>>>,
    sources: &Sources<'_>,
    watch: &mut Stopwatch,
) -> Result<Vec<Indexes>> {
    let mut known = known.map(Vec::into_iter);
    let read = |(platform, asked): (&Platform, Asked)| {
        let known = known.as_mut().and_then(Iterator::next);
        let mut indexes =
            sources.checked(asked, known).doing(|| format!("reading the indexes for {platform}"))?;
        // Last, so that the numbers of the others are those of the plan's repositories.
        indexes.repositories.extend(plan.present(platform.arch)?.map(|present| present.repository.clone()));
        Ok(indexes)
    };
    watch.time("index", || platforms.iter().zip(asked).map(read).collect())
}

/// One resolution over all platforms, in which nothing is held; and the indexes, as far as they were needed.
pub(crate) fn fresh(
    plan: &Plan<'_>,
    platforms: &[Platform],
    sources: &Sources<'_>,
    watch: &mut Stopwatch,
) -> Result<(Vec<Indexes>, Choice)> {
    let (indexes, kept) = chosen_or_found(plan, platforms, sources, watch)?;
    let choice = choice_of(plan, platforms, &indexes, kept)?;
    Ok((indexes, choice))
}

/// One resolution over all platforms of which nothing is held, and the indexes: if it was made before, only with the records
/// that were chosen.
fn chosen_or_found(
    plan: &Plan<'_>,
    platforms: &[Platform],
    sources: &Sources<'_>,
    watch: &mut Stopwatch,
) -> Result<(Vec<Indexes>, Kept)> {
    let asked = asked(plan, platforms, sources, watch)?;
    let known = KeptChoice::of(plan, platforms, &asked, sources);
    let vouched = |excerpts: &[Vec<Index>]| {
        asked.iter().zip(excerpts).all(|(asked, known)| sources.are_vouched_for(asked, known))
    };
    let (solutions, excerpts) = known.find().filter(|(_, excerpts)| vouched(excerpts)).unzip();
    let indexes = read(plan, platforms, asked, excerpts, sources, watch)?;
    let kept = match solutions {
        Some(solutions) => {
            let repositories = indexes.iter().map(|indexes| indexes.repositories.clone()).collect();
            Kept { solutions, repositories, released: Vec::new() }
        }
        None => {
            let kept = watch.time("resolve", || solved(plan, platforms, &indexes, &Keep::default()))?;
            known.keep(&kept.solutions, &kept.repositories);
            kept
        }
    };
    Ok((indexes, kept))
}

/// What the first of apko's two resolutions chooses, in its order, which is not that of installation; nothing is locked.
pub(crate) fn first_pass(
    plan: &Plan<'_>,
    platforms: &[Platform],
    indexes: &[Indexes],
) -> Result<Vec<Solution>> {
    let packages = assemble_resolve::resolve_once(&plan.world, &targets(platforms, indexes));
    let packages = all_read(indexes.iter().flat_map(|indexes| &indexes.repositories))
        .and(Ok(packages))?
        .map_err(|error| blaming(plan, error))
        .doing(|| choosing_for(platforms))?;
    Ok(packages.into_iter().map(|packages| Solution { locked: Vec::new(), packages }).collect())
}

/// The choice of every platform of the plan, in its order, with the repositories that it points into. Under a lock, what
/// that holds stays, as far as the indexes still have it.
pub(crate) fn solutions(
    plan: &Plan<'_>,
    sources: &Sources<'_>,
    watch: &mut Stopwatch,
) -> Result<Vec<(Vec<Repository>, Solution)>> {
    let kept = match &plan.basis {
        Basis::Lock(beside) => {
            let indexes = indexes(plan, &plan.platforms, sources, watch)?;
            let keep = Keep::of(&beside.lock, &BTreeSet::new());
            watch.time("resolve", || solved(plan, &plan.platforms, &indexes, &keep))?
        }
        Basis::Indexes | Basis::ApkoLock(_) => chosen_or_found(plan, &plan.platforms, sources, watch)?.1,
    };
    Ok(kept.repositories.into_iter().zip(kept.solutions).collect())
}

fn targets<'a>(platforms: &[Platform], indexes: &'a [Indexes]) -> Vec<Target<'a>> {
    let target = |(platform, indexes): (&Platform, &'a Indexes)| Target {
        arch: platform.arch,
        repositories: &indexes.repositories,
    };
    platforms.iter().zip(indexes).map(target).collect()
}

fn choosing_for(platforms: &[Platform]) -> String {
    let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
    format!("choosing packages for {}", platforms.join(", "))
}

/// Points at the entries of the spec's list that lead to a dead end.
fn blaming(plan: &Plan<'_>, error: Unsolvable) -> Error {
    let mut spans: Vec<&SourceSpan> = Vec::new();
    for entry in error.entries() {
        let packages = || plan.spec().packages.iter();
        let written = packages().find(|package| package.value.to_string() == entry);
        // `name-version` of the package that an entry led to, or the name alone.
        let named = || {
            packages().find(|package| {
                let rest = entry.strip_prefix(package.value.name.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            })
        };
        let span = written.or_else(named).map(|package| &package.span);
        spans.extend(span.filter(|span| !spans.contains(span)));
    }
    spans.into_iter().fold(Error::from(error), Error::at)
}

fn policy(mode: Mode) -> Policy {
    match mode {
        Mode::Assemble => Policy::Apk,
        Mode::Apko => Policy::Apko,
    }
}

/// Fails if one of these repositories' records could not be read when it was asked for: then nothing counts that was made
/// of it.
pub(crate) fn all_read<'a>(repositories: impl IntoIterator<Item = &'a Repository>) -> Result<()> {
    for repository in repositories {
        repository
            .index
            .records
            .check()
            .map_err(IndexError::Keep)
            .doing(|| format!("reading the index of {}", repository.name))?;
    }
    Ok(())
}

/// One resolution over all platforms.
fn solved(plan: &Plan<'_>, platforms: &[Platform], indexes: &[Indexes], keep: &Keep) -> Result<Kept> {
    let repositories: Vec<Vec<Repository>> =
        indexes.iter().map(|indexes| indexes.repositories.clone()).collect();
    let kept = solve_keeping(&plan.world, policy(plan.mode), platforms, &repositories, keep);
    all_read(repositories.iter().flatten())?;
    let told = |error: Unsolvable| {
        let also = AlsoMissing::of(plan, platforms, &repositories, &error);
        also.tell(blaming(plan, error))
    };
    kept.map_err(told).doing(|| choosing_for(platforms))
}

/// One resolution over all platforms, in which as much as possible of `keep` stays as it is.
pub(crate) fn choose(
    plan: &Plan<'_>,
    platforms: &[Platform],
    indexes: &[Indexes],
    keep: &Keep,
    watch: &mut Stopwatch,
) -> Result<Choice> {
    let kept = watch.time("resolve", || solved(plan, platforms, indexes, keep))?;
    choice_of(plan, platforms, indexes, kept)
}

fn choice_of(plan: &Plan<'_>, platforms: &[Platform], indexes: &[Indexes], kept: Kept) -> Result<Choice> {
    let (mut selections, mut broken) = (Vec::new(), Vec::new());
    for (((&platform, indexes), repositories), solution) in
        platforms.iter().zip(indexes).zip(&kept.repositories).zip(&kept.solutions)
    {
        selections.push(selection(plan, platform, indexes, repositories, solution)?);
        if plan.mode == Mode::Apko {
            let violations = check(&plan.world, solution, repositories, Policy::Apko);
            broken.extend(violations.iter().map(|violation| format!("{platform}: {violation}")));
        }
    }
    Ok(Choice { selections, released: kept.released, broken })
}

/// A solution as what is to be fetched: all of it but what the base image has. `repositories` are those of `indexes`, or some of their records.
pub(crate) fn selection(
    plan: &Plan<'_>,
    platform: Platform,
    indexes: &Indexes,
    repositories: &[Repository],
    solution: &Solution,
) -> Result<Selection> {
    let pins: BTreeMap<&PackageName, &Constraint> =
        solution.locked.iter().map(|constraint| (&constraint.name, constraint)).collect();
    let inputs = plan.repositories(platform.arch)?;
    let mut packages = Vec::with_capacity(solution.packages.len());
    let present = plan.present(platform.arch)?;
    let is_there = |name: &PackageName| present.is_some_and(|present| present.has(name));
    for choice in &solution.packages {
        let Repository { index, .. } = &repositories[choice.repository];
        let record = &index.records[choice.record];
        if is_there(&record.name) {
            continue;
        }
        let input = inputs.get(choice.repository).ok_or_else(|| {
            OwnError::Bug(format!("{} was chosen from no repository of the spec", record.name))
        })?;
        let id = PackageId { name: record.name.clone(), version: record.version.clone() };
        if !input.layout().fits(&record.arch, platform.arch) {
            let other = OwnError::OtherArch {
                package: id.to_string(),
                who: "the index",
                found: record.arch.clone(),
                wanted: platform.arch.apk().to_owned(),
            };
            return Err(Error::from(other).at(&input.span));
        }
        let Some(checksum) = record.checksum else {
            return Err(
                OwnError::NoChecksum { package: id.to_string(), repository: input.text.clone() }.into()
            );
        };
        let file = input.layout().file(&index.files, record, platform.arch);
        packages.push(Wanted {
            pin: pins.get(&id.name).and_then(|constraint| constraint.pin.clone()),
            id,
            location: input.base().join(&file),
            url: input.url_of(&file),
            checksum,
            size: record.size,
            pinned: None,
            span: input.span.clone(),
        });
    }
    all_read(repositories)?;
    let locked = solution.locked.iter().filter(|constraint| !is_there(&constraint.name));
    let mut locked: Vec<String> = locked.map(ToString::to_string).collect();
    locked.extend(plan.asked_for_again());
    Ok(Selection {
        world: plan.world_of(&locked, platform.arch)?,
        locked,
        packages,
        keys: indexes.keys.clone(),
        foreign_keys: indexes.foreign_keys_used.clone(),
        untrusted: indexes.untrusted.clone(),
        repositories: indexes.locked.clone(),
    })
}
