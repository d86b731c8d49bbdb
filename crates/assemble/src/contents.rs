//! Puts one platform's tree together: packages, base files, the spec's files, the binary, in this order.

use assemble_apk::Package;
use assemble_rootfs::{
    ApkoConfig, DatabaseRecords, InstallInput, Installed, Mutations, Part, Replaced, Tree, install, place,
    place_base,
};
use assemble_spec::LayerStrategy;
use assemble_types::{Platform, Timestamp, counted};

use crate::apko_config;
use crate::build::{ContentsReport, PackageSummary};
use crate::certificates;
use crate::choose::Selection;
use crate::error::{Doing, Result};
use crate::layers::{OriginLayers, PackageLayers};
use crate::plan::Plan;
use crate::verbatim::VerbatimLayers;

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
    /// Whom the image runs as, in apko's words: a known user's number, anything else as it was written.
    pub(crate) run_as: Option<String>,
    /// How the packages are cut into layers; nothing means one layer.
    pub(crate) layers: Option<PackageLayers>,
}

pub(crate) fn assemble(
    plan: &Plan<'_>,
    platform: Platform,
    selection: &Selection,
    packages: &[Package],
) -> Result<Contents> {
    let mut report = ContentsReport {
        packages: packages.iter().map(summary).collect(),
        foreign_keys: selection.foreign_keys.clone(),
        untrusted: selection.untrusted.clone(),
        ..ContentsReport::default()
    };
    let mut tree = Tree::new();
    let mut installed = None;
    if plan.installs() {
        let mut config = apko_config::locked(plan.spec(), platform, &selection.locked);
        certificates::inline(plan.file, &mut config)?;
        let done = install_packages(plan, platform, selection, packages, config)?;
        for script in done.report.scripts_not_run.iter().filter(|script| !script.reproduced()) {
            let missing = script.missing.iter();
            report
                .scripts_not_run
                .extend(missing.map(|missing| format!("{} was not run: {missing}", script.package)));
        }
        let layers = package_layers(plan, packages, &done.tree, done.records)?;
        if let Some(PackageLayers::Verbatim(cut)) = &layers {
            report.verbatim = Some(cut.report.clone());
        }
        installed = Some(InstalledFacts { created: done.build_date_epoch, run_as: done.run_as, layers });
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

/// Packages alone, with this configuration in `/etc/apko.json`.
pub(crate) fn install_packages(
    plan: &Plan<'_>,
    platform: Platform,
    selection: &Selection,
    packages: &[Package],
    config: ApkoConfig,
) -> Result<Installed> {
    let mutations = Mutations::of(&config)?;
    let input = InstallInput {
        arch: platform.arch,
        packages,
        world: selection.world.clone(),
        build_repositories: plan.build_repositories.iter().map(|r| r.line.clone()).collect(),
        repositories: plan.runtime_repositories.clone(),
        keys: selection.keys.iter().map(|key| (key.name.clone(), key.bytes.clone())).collect(),
        config,
        mutations,
        base: plan.present(platform.arch)?.map(|present| &present.db),
        source_date_epoch: plan.times.fixed,
        build_date: plan.times.no_earlier,
    };
    let count = counted(packages.len(), "package", "packages");
    install(&input).doing(|| format!("installing {count} for {platform}"))
}

/// As `layering` of the spec has it.
fn package_layers(
    plan: &Plan<'_>,
    packages: &[Package],
    tree: &Tree,
    records: DatabaseRecords,
) -> Result<Option<PackageLayers>> {
    let layering = plan.spec().layering.unwrap_or_default();
    Ok(match layering.strategy {
        None => None,
        Some(LayerStrategy::Origin) => {
            Some(PackageLayers::Origin(OriginLayers::of(packages, layering.budget, records)))
        }
        Some(LayerStrategy::Package) => {
            Some(PackageLayers::Verbatim(VerbatimLayers::of(tree, packages, layering.budget)?))
        }
    })
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
