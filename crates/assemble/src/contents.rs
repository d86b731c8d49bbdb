//! Puts one platform's tree together: packages, base files, the spec's files, the binary, in this order.

use assemble_apk::Package;
use assemble_resolve::Solution;
use assemble_rootfs::{
    ApkoConfig, InstallInput, Installed, Part, Replaced, Tree, install, place, place_base,
};
use assemble_types::{Platform, Timestamp};

use crate::build::{ContentsReport, PackageSummary};
use crate::error::{Doing, Result};
use crate::plan::{Plan, repository_line};
use crate::sources::Indexes;

/// A finished tree.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) tree: Tree,
    pub(crate) report: ContentsReport,
    pub(crate) installed: Option<InstalledFacts>,
}

/// What installing packages decided for the image's configuration.
#[derive(Debug)]
pub(crate) struct InstalledFacts {
    /// The newest build time of a package, or `SOURCE_DATE_EPOCH`.
    pub(crate) created: Timestamp,
}

pub(crate) fn assemble(
    plan: &Plan<'_>,
    platform: Platform,
    solution: Option<&Solution>,
    packages: &[Package],
    indexes: &Indexes,
) -> Result<Contents> {
    let mut report =
        ContentsReport { packages: packages.iter().map(summary).collect(), ..ContentsReport::default() };
    let mut tree = Tree::new();
    let mut installed = None;
    if let Some(solution) = solution {
        let done = install_packages(plan, platform, solution, packages, indexes)?;
        for script in done.report.scripts_not_run.iter().filter(|s| !s.reproduced) {
            report.scripts_not_run.push(format!(
                "{}: not run: {}",
                script.package,
                script.scripts.join(", ")
            ));
        }
        installed = Some(InstalledFacts { created: done.build_date_epoch });
        tree = done.tree;
    }
    let time = plan.own_time();
    if !plan.packages_only()
        && let Some(base) = &plan.base
    {
        let placed = place_base(&mut tree, base, time)?;
        report.certificates = placed.certificates_version;
        report.time_zones = placed.time_zones_version;
    }
    let files = plan.files()?;
    let binary = plan.binary(platform)?;
    let mut replaced =
        place(&mut tree, Part::Files, &files, time).doing(|| "placing contents.files".into())?;
    let binary: Vec<_> = binary.into_iter().collect();
    replaced
        .extend(place(&mut tree, Part::Binary, &binary, time).doing(|| "placing contents.binary".into())?);
    report.replaced = replaced.iter().map(|r| replaced_text(r, packages)).collect();
    Ok(Contents { tree, report, installed })
}

fn install_packages(
    plan: &Plan<'_>,
    platform: Platform,
    solution: &Solution,
    packages: &[Package],
    indexes: &Indexes,
) -> Result<Installed> {
    let world: Vec<String> = solution.locked.iter().map(ToString::to_string).collect();
    let input = InstallInput {
        arch: platform.arch,
        packages,
        build_repositories: plan
            .build_repositories
            .iter()
            .map(|r| repository_line(r.pin.as_deref(), &r.text))
            .collect(),
        repositories: plan.runtime_repositories.clone(),
        keys: indexes.keys.clone(),
        config: apko_config(plan, platform, &world),
        world,
        source_date_epoch: plan.fixed_time,
    };
    install(&input).doing(|| format!("installing {} packages for {platform}", packages.len()))
}

/// What apko would write into `/etc/apko.json` for the same packages.
fn apko_config(plan: &Plan<'_>, platform: Platform, world: &[String]) -> ApkoConfig {
    let spec = plan.spec();
    let lines = |sources: &[assemble_spec::Located<assemble_spec::RepositorySource>]| {
        let mut lines: Vec<String> =
            sources.iter().map(|s| repository_line(s.value.pin.as_deref(), &s.value.location)).collect();
        lines.sort();
        lines.dedup();
        lines
    };
    let mut keyring: Vec<String> = spec.keyring.iter().map(|key| key.value.clone()).collect();
    keyring.sort();
    keyring.dedup();
    let mut config = ApkoConfig {
        archs: vec![platform.arch.oci_with_variant()],
        environment: spec.environment.clone(),
        annotations: spec.annotations.clone(),
        cmd: spec.apko.cmd.clone().unwrap_or_default(),
        stop_signal: spec.stop_signal.clone().unwrap_or_default(),
        work_dir: spec.work_dir.clone().unwrap_or_default(),
        volumes: spec.volumes.clone(),
        ..ApkoConfig::default()
    };
    config.contents.build_repositories = lines(&spec.build_repositories);
    config.contents.runtime_repositories = lines(&spec.runtime_repositories);
    config.contents.repositories = lines(&spec.repositories);
    config.contents.keyring = keyring;
    config.contents.packages = world.to_vec();
    config.entrypoint.kind = spec.apko.entrypoint_type.clone().unwrap_or_default();
    config.entrypoint.command = spec.apko.entrypoint_command.clone().unwrap_or_default();
    config.entrypoint.shell_fragment = spec.apko.entrypoint_shell_fragment.clone().unwrap_or_default();
    config.accounts.run_as = spec.run_as.as_ref().map(|r| r.value.clone()).unwrap_or_default();
    config
}

fn summary(package: &Package) -> PackageSummary {
    let info = &package.info;
    PackageSummary {
        name: info.name.to_string(),
        version: info.version.to_string(),
        arch: info.arch.clone(),
        origin: info.origin.clone(),
        license: info.license.clone(),
        installed_size: info.installed_size,
        checksum: package.checksum.to_string(),
    }
}

fn replaced_text(replaced: &Replaced, packages: &[Package]) -> String {
    let owner = replaced.package.and_then(|index| packages.get(index.0 as usize));
    match owner {
        Some(package) => format!("{} (of {}-{})", replaced.path, package.info.name, package.info.version),
        None => replaced.path.to_string(),
    }
}
