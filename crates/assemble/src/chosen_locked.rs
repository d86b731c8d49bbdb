//! What a lock holds, as if an index listed it: for looking at a choice of packages where no index can be had.

use std::sync::Arc as Shared;

use assemble_apk::{Constraint, Index, PackageInfo, Provide, Record};
use assemble_resolve::{Choice, Repository, Solution};
use assemble_types::{Event, Explain as _, Kind, Platform, counted};

use crate::choose::Wanted;
use crate::error::Result;
use crate::lock::{self, Beside};
use crate::plan::Plan;
use crate::sources::Sources;

/// The packages of every platform of the plan, in its order. What they need and provide is in the packages themselves,
/// and shown of those that are at hand.
pub(crate) fn solutions(
    plan: &Plan<'_>,
    beside: &Beside,
    sources: &Sources<'_>,
) -> Result<Vec<(Vec<Repository>, Solution)>> {
    let selections = lock::recall(plan, beside, sources)?.selections;
    let mut out = Vec::with_capacity(selections.len());
    for (&platform, selection) in plan.platforms.iter().zip(&selections) {
        out.push(solution(plan, platform, &selection.packages, sources)?);
    }
    Ok(out)
}

fn solution(
    plan: &Plan<'_>,
    platform: Platform,
    packages: &[Wanted],
    sources: &Sources<'_>,
) -> Result<(Vec<Repository>, Solution)> {
    let homes = plan.repositories(platform.arch)?;
    // The last is for packages whose repository the spec no longer names; a lock that fits has none.
    let mut records: Vec<Vec<Record>> = vec![Vec::new(); homes.len() + 1];
    let (mut choices, mut missing) = (Vec::with_capacity(packages.len()), 0);
    for wanted in packages {
        let info = match sources.info(wanted, platform.arch) {
            Ok(info) => Some(info),
            Err(error) if error.kind() == Kind::Unavailable => {
                missing += 1;
                None
            }
            Err(error) => return Err(error),
        };
        let repository = homes.iter().position(|home| home.below(&wanted.url).is_some());
        let repository = repository.unwrap_or(homes.len());
        choices.push(Choice { repository, record: records[repository].len() });
        records[repository].push(record(wanted, info.as_ref(), platform));
    }
    if missing > 0 {
        sources.observer.event(Event::Warning(format!(
            "not at hand for {platform}: {missing} of {}; what these need, provide and weigh installed is not in the lock and \
             not shown",
            counted(packages.len(), "package", "packages")
        )));
    }
    let mut names = homes.into_iter().map(|home| (home.text, home.pin));
    let repositories = records.into_iter().map(|records| {
        let (name, pin) = names.next().unwrap_or_default();
        Repository {
            name,
            pin,
            index: Shared::new(Index { records: records.into(), ..Index::empty() }),
            installed: false,
        }
    });
    Ok((repositories.collect(), Solution { locked: Vec::new(), packages: choices }))
}

fn record(wanted: &Wanted, info: Option<&PackageInfo>, platform: Platform) -> Record {
    let constraints = |list: fn(&PackageInfo) -> &Vec<String>| -> Vec<Constraint> {
        let texts = info.map(list).into_iter().flatten();
        texts.map(|text| Constraint::parse_or_unmeetable(text)).collect()
    };
    let text = |of: fn(&PackageInfo) -> &String| info.map(of).cloned().unwrap_or_default();
    let provides = info.map(|info| &info.provides).into_iter().flatten();
    Record {
        name: wanted.id.name.clone(),
        version: wanted.id.version.clone(),
        arch: info.map_or_else(|| platform.arch.apk().to_owned(), |info| info.arch.clone()),
        license: text(|info| &info.license),
        description: text(|info| &info.description),
        origin: text(|info| &info.origin),
        maintainer: text(|info| &info.maintainer),
        url: text(|info| &info.url),
        depends: constraints(|info| &info.depends),
        provides: provides.filter_map(|text| Provide::parse(text).ok()).collect(),
        install_if: constraints(|info| &info.install_if),
        commit: text(|info| &info.commit),
        build_time: info.map_or(0, |info| info.build_time),
        size: wanted.size,
        installed_size: info.map_or(0, |info| info.installed_size),
        provider_priority: info.map_or(0, |info| info.provider_priority),
        checksum: Some(wanted.checksum),
        unknown_field: None,
    }
}
