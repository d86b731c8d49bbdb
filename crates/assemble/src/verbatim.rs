//! Packages that are layers just as their distribution packed them, and what a report says of them.

use assemble_apk::{Format, Package};
use assemble_image::MAX_LAYERS;
use assemble_layer::{AccountNames, Layer};
use assemble_rootfs::verbatim::{Upper, VerbatimPlan, Verdict};
use assemble_rootfs::{PackageIndex, Part, Tree};
use assemble_types::counted;
use serde::{Deserialize, Serialize};

use crate::build::Env;
use crate::error::{OwnError, Result};
use crate::kept::KeptLayers;
use crate::layers::{BuiltLayer, pack_one};

/// How many of an image's packages are layers as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerbatimReport {
    /// Packages that have any entries.
    pub packages: usize,
    /// Those that are layers as they are.
    pub verbatim: usize,
    /// Packages without entries, which need no layer.
    pub empty: usize,
    /// Bytes of the data sections of all packages, as they are packed.
    pub bytes: u64,
    /// Bytes of those that are layers.
    pub verbatim_bytes: u64,
    /// The others, in the order of installation.
    pub rewritten: Vec<RewrittenPackage>,
}

/// A package whose entries were packed anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewrittenPackage {
    /// Name and version.
    pub package: String,
    /// Why.
    pub reason: String,
}

impl VerbatimReport {
    fn of(packages: &[Package], verdicts: &[Verdict]) -> Self {
        let mut report = Self::default();
        for (package, verdict) in packages.iter().zip(verdicts) {
            let bytes = match &package.format {
                Format::V2 { data, .. } => data.end - data.start,
                Format::V3 => package.size,
            };
            match verdict {
                Verdict::Empty => report.empty += 1,
                Verdict::Verbatim => {
                    report.verbatim += 1;
                    report.verbatim_bytes += bytes;
                }
                Verdict::Rewritten(reason) => report
                    .rewritten
                    .push(RewrittenPackage { package: package.id().to_string(), reason: reason.to_string() }),
            }
            if *verdict != Verdict::Empty {
                report.packages += 1;
                report.bytes += bytes;
            }
        }
        report
    }
}

/// What is decided of the packages, and the layers that are there already.
#[derive(Debug)]
pub(crate) struct VerbatimLayers {
    plan: VerbatimPlan,
    layers: Vec<BuiltLayer>,
    pub(crate) report: VerbatimReport,
}

/// The layers of packages. The rest of what an image may have is left for what is no package.
const MOST_LAYERS: usize = MAX_LAYERS - 8;

impl VerbatimLayers {
    /// Decides for the packages of a tree.
    pub(crate) fn of(tree: &Tree, packages: &[Package], budget: i64) -> Result<Self> {
        let most = i64::try_from(MOST_LAYERS).unwrap_or(i64::MAX);
        let plan = VerbatimPlan::of(tree, packages, budget.min(most));
        let layers = plan.verbatim().map(|index| as_packed(packages, index)).collect::<Result<_>>()?;
        let report = VerbatimReport::of(packages, plan.verdicts());
        Ok(Self { plan, layers, report })
    }

    /// All layers of packages, lowest first. Names of accounts are in none of them: they would tie the layers to the
    /// image's accounts, and packages have others in theirs anyway.
    pub(crate) fn pack(&self, tree: &Tree, kept: &KeptLayers, env: &Env) -> Result<Vec<BuiltLayer>> {
        let mut layers = self.layers.clone();
        let names = AccountNames::none();
        let Upper { rewritten, top } = self.plan.upper(tree);
        if !rewritten.is_empty() {
            let name = counted(self.report.rewritten.len(), "package", "packages");
            layers.push(pack_one(Part::Packages, name, rewritten, &names, kept, env)?);
        }
        if !top.is_empty() {
            layers.push(pack_one(Part::Packages, "system files".to_owned(), top, &names, kept, env)?);
        }
        Ok(layers)
    }
}

/// The data section of a package as a layer.
fn as_packed(packages: &[Package], index: PackageIndex) -> Result<BuiltLayer> {
    let bug = || OwnError::Bug("a package without a data section of its own was to be a layer".into());
    let package = packages.get(index.0 as usize).ok_or_else(bug)?;
    let Format::V2 { data, data_hash, plain_size, diff_id: Some(diff_id), .. } = &package.format else {
        return Err(bug().into());
    };
    let blob = package.packed.slice(data.clone()).ok_or_else(bug)?;
    let layer = Layer {
        digest: *data_hash,
        diff_id: *diff_id,
        size: blob.len(),
        uncompressed_size: *plain_size,
        copied: *plain_size,
        blob,
    };
    Ok(BuiltLayer::verbatim(format!("package {}", package.id()), layer))
}

#[cfg(test)]
mod tests;
