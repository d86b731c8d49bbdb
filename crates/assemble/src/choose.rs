//! Which packages each platform gets: keys and indexes of every platform, then one resolution over all of them.
//!
//! What comes out no longer says how it was chosen, so that installing does not know whether there was an index.

use assemble_apk::{Checksum, PackageId};
use assemble_fetch::Location;
use assemble_resolve::{Policy, Repository, Solution, Target};
use assemble_types::{Platform, SourceSpan};

use crate::build::Stopwatch;
use crate::error::{Doing, Error, OwnError, Result};
use crate::keys::ImageKey;
use crate::plan::{Mode, Plan};
use crate::sources::{Indexes, Sources};

/// What one platform's image is to hold, wherever the choice came from.
#[derive(Debug, Default)]
pub(crate) struct Selection {
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
}

/// A package that is to be fetched, and what it must be.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) id: PackageId,
    pub(crate) location: Location,
    /// Of its control section.
    pub(crate) checksum: Checksum,
    /// Of the whole file, in bytes.
    pub(crate) size: u64,
    /// Where the spec names the repository.
    pub(crate) span: SourceSpan,
}

/// The packages of every platform of the plan, in its order.
pub(crate) fn packages(
    plan: &Plan<'_>,
    sources: &Sources<'_>,
    watch: &mut Stopwatch,
) -> Result<Vec<Selection>> {
    let mut indexes = Vec::new();
    for &platform in &plan.platforms {
        indexes.push(watch.time("index", || {
            sources
                .indexes(&plan.build_repositories, &plan.keyring, platform.arch)
                .doing(|| format!("reading the indexes for {platform}"))
        })?);
    }
    let solutions = watch.time("resolve", || solve(plan, &indexes))?;
    let chosen = plan.platforms.iter().zip(indexes).zip(solutions);
    chosen.map(|((&platform, indexes), solution)| selection(plan, platform, indexes, &solution)).collect()
}

fn solve(plan: &Plan<'_>, indexes: &[Indexes]) -> Result<Vec<Solution>> {
    let policy = match plan.mode {
        Mode::Assemble => Policy::Apk,
        Mode::Apko => Policy::Apko,
    };
    let targets: Vec<_> = plan
        .platforms
        .iter()
        .zip(indexes)
        .map(|(platform, indexes)| Target { arch: platform.arch, repositories: &indexes.repositories })
        .collect();
    assemble_resolve::solve(&plan.world, &targets, policy).doing(|| {
        let platforms: Vec<String> = plan.platforms.iter().map(ToString::to_string).collect();
        format!("choosing packages for {}", platforms.join(", "))
    })
}

fn selection(
    plan: &Plan<'_>,
    platform: Platform,
    indexes: Indexes,
    solution: &Solution,
) -> Result<Selection> {
    let mut packages = Vec::with_capacity(solution.packages.len());
    for choice in &solution.packages {
        let input = &plan.build_repositories[choice.repository];
        let Repository { index, .. } = &indexes.repositories[choice.repository];
        let record = &index.records[choice.record];
        let id = PackageId { name: record.name.clone(), version: record.version.clone() };
        if ![platform.arch.apk(), "noarch", "all", ""].contains(&record.arch.as_str()) {
            let other = OwnError::OtherArch {
                package: id.to_string(),
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
        let file = format!("{}/{}-{}.apk", platform.arch.apk(), record.name, record.version);
        packages.push(Wanted {
            id,
            location: input.location.join(&file),
            checksum,
            size: record.size,
            span: input.span.clone(),
        });
    }
    Ok(Selection {
        locked: solution.locked.iter().map(ToString::to_string).collect(),
        packages,
        keys: indexes.keys,
        foreign_keys: indexes.foreign_keys_used,
        untrusted: indexes.untrusted,
    })
}
