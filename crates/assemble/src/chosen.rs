//! Which packages an image would have, and because of whom. Needs indexes, no packages.

use std::sync::OnceLock;

use assemble_apk::Constraint;
use assemble_resolve::{Graph, Path, Policy, Repository, Solution, graph};
use assemble_types::{Event, Explain as _, Kind, Platform};

use crate::base_image::Packages;
use crate::build::{Env, Stopwatch};
use crate::choose;
use crate::chosen_locked;
use crate::error::{OwnError, Result};
use crate::lock::{Basis, refuse_apko_lock};
use crate::near::nearest;
use crate::plan::{BuildOptions, Mode, Plan};
use crate::sources::Sources;
use crate::spec_file::SpecFile;

/// The packages for one platform.
#[derive(Debug)]
pub struct ChosenPackages {
    /// The platform.
    pub platform: Platform,
    /// In order of installation.
    pub packages: Vec<ChosenPackage>,
    set: Set,
    graph: OnceLock<Graph>,
}

/// The records of the packages, and what was asked for.
#[derive(Debug)]
struct Set {
    world: Vec<Constraint>,
    repositories: Vec<Repository>,
    solution: Solution,
    policy: Policy,
}

/// A package as its index lists it.
#[derive(Debug, Clone)]
pub struct ChosenPackage {
    /// Name.
    pub name: String,
    /// Version with release.
    pub version: String,
    /// Architecture, as the index says.
    pub arch: String,
    /// The source package.
    pub origin: String,
    /// Licence expression, as the index says.
    pub license: String,
    /// One line.
    pub description: String,
    /// Bytes to download.
    pub size: u64,
    /// Bytes it takes when installed, as the index says.
    pub installed_size: u64,
    /// APK's checksum of the control section, if the index has one.
    pub checksum: Option<String>,
    /// The repository that has it, as the spec names it.
    pub repository: String,
    /// The repository's tag.
    pub tag: Option<String>,
}

impl ChosenPackages {
    /// Who needs whom; its places are those of `packages`.
    pub fn graph(&self) -> &Graph {
        let Set { world, repositories, solution, policy } = &self.set;
        self.graph.get_or_init(|| graph(world, solution, repositories, *policy))
    }

    /// What each package can stand in for, without versions.
    fn provides(&self) -> impl Iterator<Item = impl Iterator<Item = &str>> {
        let records = self.set.solution.records(&self.set.repositories);
        records.map(|(_, record)| record.provides.iter().map(|provide| provide.name.as_str()))
    }

    /// The places of packages of this name; if there are none, of those that provide it. `name-version` is a name, too.
    pub fn find(&self, name: &str) -> Vec<usize> {
        let is_named = |package: &ChosenPackage| {
            let rest = name.strip_prefix(package.name.as_str());
            rest.is_some_and(|rest| {
                rest.is_empty() || rest.strip_prefix('-') == Some(package.version.as_str())
            })
        };
        let named: Vec<usize> =
            (0..).zip(&self.packages).filter(|(_, p)| is_named(p)).map(|(n, _)| n).collect();
        if !named.is_empty() {
            return named;
        }
        let holders =
            (0..).zip(self.provides()).filter_map(|(n, mut held)| held.any(|held| held == name).then_some(n));
        holders.collect()
    }

    /// The name of a package, or of what one provides, that was probably meant.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        let names = self.packages.iter().map(|package| package.name.as_str());
        nearest(name, names).or_else(|| nearest(name, self.provides().flatten()))
    }

    /// The shortest way to a package from each entry of the spec's list that leads there.
    pub fn why(&self, place: usize) -> Vec<Path> {
        self.graph().paths_to(place)
    }
}

/// Chooses the packages of a spec. Reads indexes, and downloads nothing else. Where no index can be had, a lock that fits
/// is enough, with as much as the packages at hand tell.
///
/// # Errors
/// As [`crate::build`] until packages are chosen; a spec that names no packages.
pub fn chosen(file: &SpecFile, options: &BuildOptions, env: &Env) -> Result<Vec<ChosenPackages>> {
    let plan = Plan::lower(file, options)?;
    if plan.mode == Mode::Assemble {
        refuse_apko_lock(options, "this shows what the indexes or our own lock say")?;
    }
    if plan.world.is_empty() {
        return Err(OwnError::Usage(format!("{} names no packages", file.shown)).into());
    }
    let sources = Sources::of(&plan, env);
    let policy = match plan.mode {
        Mode::Assemble => Policy::Apk,
        Mode::Apko => Policy::Apko,
    };
    let all = match (choose::solutions(&plan, &sources, &mut Stopwatch::default()), &plan.basis) {
        (Err(error), Basis::Lock(beside)) if error.kind() == Kind::Unavailable && beside.drift.is_empty() => {
            let lock = beside.path.display();
            env.observer.event(Event::Note(format!("{error}; what {lock} holds is shown")));
            chosen_locked::solutions(&plan, beside, &sources)?
        }
        (found, _) => found?,
    };
    let mut out = Vec::with_capacity(all.len());
    for (&platform, (repositories, solution)) in plan.platforms.iter().zip(all) {
        let packages = solution.records(&repositories).map(|(repository, record)| ChosenPackage {
            name: record.name.to_string(),
            version: record.version.to_string(),
            arch: record.arch.clone(),
            origin: record.origin.clone(),
            license: record.license.clone(),
            description: record.description.clone(),
            size: record.size,
            installed_size: record.installed_size,
            checksum: record.checksum.map(|sum| sum.to_string()),
            repository: repository.name.clone(),
            tag: repository.pin.as_deref().map(str::to_owned),
        });
        let packages = packages.collect();
        choose::all_read(&repositories)?;
        let set = Set { world: world(&plan, platform)?, repositories, solution, policy };
        out.push(ChosenPackages { platform, packages, set, graph: OnceLock::new() });
    }
    Ok(out)
}

/// What was asked for, and what the base image has anyway.
fn world(plan: &Plan<'_>, platform: Platform) -> Result<Vec<Constraint>> {
    let present = plan.present(platform.arch)?.into_iter().flat_map(Packages::world);
    let present = present.map(|text| Constraint::parse_or_unmeetable(&text));
    Ok(plan.world.iter().cloned().chain(present).collect())
}
