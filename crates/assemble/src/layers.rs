//! From a tree to layers.

use assemble_apk::Package;
use assemble_image::{LayerDescriptor, media_type};
use assemble_layer::{AccountNames, Compression, Layer};
use assemble_rootfs::layering::{Split, group};
use assemble_rootfs::{DatabaseRecords, PackageIndex, Part, Tree, TreeEntry};
use assemble_types::counted;

use crate::build::Env;
use crate::contents::InstalledFacts;
use crate::error::{Doing, Result};
use crate::faults;
use crate::kept::KeptLayers;
use crate::verbatim::VerbatimLayers;

/// What stands in the history in place of the codec, of a layer that was not compressed here.
pub(crate) const AS_PACKED: &str = "as packed";

/// A layer, and what it holds.
#[derive(Debug, Clone)]
pub struct BuiltLayer {
    /// What the image's history and reports call it.
    pub name: String,
    /// Its bytes and digests.
    pub layer: Layer,
    /// What its bytes are.
    pub media_type: String,
    /// How it was compressed here; nothing if its bytes are as they were found.
    pub packed: Option<Compression>,
    /// Whether it holds packages, and depends on nothing else.
    pub of_packages: bool,
    /// Whether it is a package's data section, byte for byte: its digest is the one that the distribution signed.
    pub verbatim: bool,
}

impl BuiltLayer {
    /// A layer that was packed here.
    pub(crate) fn packed(name: String, layer: Layer, compression: Compression, of_packages: bool) -> Self {
        let media_type = match compression {
            Compression::Gzip => media_type::LAYER_GZIP,
            Compression::Zstd => media_type::LAYER_ZSTD,
        };
        let (media_type, packed) = (media_type.to_owned(), Some(compression));
        Self { name, layer, media_type, packed, of_packages, verbatim: false }
    }

    /// A package's data section.
    pub(crate) fn verbatim(name: String, layer: Layer) -> Self {
        let media_type = media_type::LAYER_GZIP.to_owned();
        Self { name, layer, media_type, packed: None, of_packages: true, verbatim: true }
    }

    /// How it was made, as the image's history has it.
    pub fn created_by(&self) -> String {
        let how = self.packed.map_or(AS_PACKED, Compression::codec);
        format!("assemble: {} ({how})", self.name)
    }
}

impl BuiltLayer {
    /// What manifests and configurations say of it.
    pub(crate) fn descriptor(&self) -> LayerDescriptor {
        LayerDescriptor {
            digest: self.layer.digest,
            diff_id: self.layer.diff_id,
            size: self.layer.size,
            uncompressed_size: self.layer.uncompressed_size,
            media_type: self.media_type.clone(),
        }
    }
}

/// What a part is called in the image's history and in reports.
fn part_name(part: Part) -> &'static str {
    match part {
        Part::Packages => "packages",
        Part::Base => "base files",
        Part::Files => "files",
        Part::Binary => "binary",
    }
}

/// Whether the history's words for a layer of ours say that no database of packages is in it. Those of packages have many names, and
/// of several layers with packages the topmost has all of the database.
pub(crate) fn is_without_packages(step: &str) -> bool {
    // A package that is a layer as it is has no database.
    step.starts_with("package ")
        || [Part::Base, Part::Files, Part::Binary].into_iter().any(|part| {
            step.strip_prefix(part_name(part)).is_some_and(|rest| rest.is_empty() || rest.starts_with(" ("))
        })
}

/// How the packages are cut into layers.
#[derive(Debug)]
pub(crate) enum PackageLayers {
    /// Packages of one origin share a layer.
    Origin(OriginLayers),
    /// Each package is a layer, as it is.
    Verbatim(VerbatimLayers),
}

/// Packages that share a layer, the largest groups lowest.
#[derive(Debug)]
pub(crate) struct OriginLayers {
    groups: Vec<Vec<PackageIndex>>,
    /// What each group is called.
    names: Vec<String>,
    /// The packages' records in the database of installed packages.
    records: DatabaseRecords,
}

impl OriginLayers {
    /// At most `budget` groups of packages with one origin.
    pub(crate) fn of(packages: &[Package], budget: i64, records: DatabaseRecords) -> Self {
        let groups = group(packages, budget);
        let names = groups.iter().map(|members| group_name(packages, members)).collect();
        Self { groups, names, records }
    }
}

/// After the origin if there is one, else after how many packages there are.
fn group_name(packages: &[Package], members: &[PackageIndex]) -> String {
    let mut origins: Vec<&str> = members
        .iter()
        .filter_map(|index| packages.get(index.0 as usize))
        .map(|p| p.info.origin.as_str())
        .collect();
    origins.dedup();
    match origins.as_slice() {
        [origin] if !origin.is_empty() => format!("packages of {origin}"),
        _ => counted(members.len(), "package", "packages"),
    }
}

/// One layer for each part that is not empty, lowest first; the packages may have several.
pub(crate) fn pack(
    tree: &Tree,
    installed: Option<&InstalledFacts>,
    kept: &KeptLayers,
    env: &Env,
) -> Result<Vec<BuiltLayer>> {
    let mut layers = Vec::new();
    for part in Part::ALL {
        match installed.and_then(|facts| facts.layers.as_ref()) {
            Some(PackageLayers::Origin(cut)) if part == Part::Packages => {
                pack_packages(tree, cut, kept, env, &mut layers)?;
            }
            Some(PackageLayers::Verbatim(cut)) if part == Part::Packages => {
                layers.extend(cut.pack(tree, kept, env)?);
            }
            _ => {
                let entries = tree.layer(part);
                if !entries.is_empty() {
                    let name = part_name(part).to_owned();
                    layers.push(pack_one(part, name, entries, &account_names(tree, part)?, kept, env)?);
                }
            }
        }
    }
    Ok(layers)
}

/// Names in headers are apko's way; our own layers must not change with the packages' accounts.
fn account_names(tree: &Tree, part: Part) -> Result<AccountNames> {
    Ok(if part == Part::Packages { AccountNames::from_tree(tree)? } else { AccountNames::none() })
}

fn pack_packages(
    tree: &Tree,
    cut: &OriginLayers,
    kept: &KeptLayers,
    env: &Env,
    layers: &mut Vec<BuiltLayer>,
) -> Result<()> {
    let split = Split::of(tree, &cut.groups, &cut.records);
    let names = account_names(tree, Part::Packages)?;
    for index in 0..split.len() {
        let name = cut.names.get(index).map_or("system files", String::as_str);
        layers.push(pack_one(Part::Packages, name.to_owned(), split.layer(index), &names, kept, env)?);
    }
    Ok(())
}

/// Packs entries as a layer of that name.
pub(crate) fn pack_one(
    part: Part,
    name: String,
    mut entries: Vec<TreeEntry<'_>>,
    names: &AccountNames,
    kept: &KeptLayers,
    env: &Env,
) -> Result<BuiltLayer> {
    faults::reorder(&mut entries, env.threads.get());
    let layer =
        kept.pack(&name, &entries, names, env).doing(|| format!("writing the layer with the {name}"))?;
    Ok(BuiltLayer::packed(name, layer, kept.compression, part == Part::Packages))
}
