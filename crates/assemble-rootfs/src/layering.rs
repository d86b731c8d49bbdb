//! Cuts the packages' tree into several layers: packages of one origin together, the largest groups in layers of their
//! own, and what belongs to no package on top.
//!
//! # Why it is the way it is
//! A layer that holds one origin's packages stays the same when other packages are updated, so it need not be sent
//! again. Folders are in every layer that has something in them, since some runtimes need them there; their true times
//! are in the top layer only. Each layer has a database with its own packages, which is what scanners look at. What
//! goes where, and in which order, is apko's: the digest of every layer depends on it.

use std::collections::BTreeMap;

use assemble_apk::{Constraint, Package};
use assemble_types::{Blob, ImagePath};

use crate::install::DatabaseRecords;
use crate::tree::{Body, Meta, Node, NodeId, PackageIndex, Part, Tree, TreeEntry, Xattrs};

/// Where the database of installed packages is.
const DATABASE: &[u8] = b"usr/lib/apk/db/installed";

/// Puts packages into at most `budget` groups, but into one where there are any; the order is that of the layers.
///
/// Packages of one origin are together, as are those of which one replaces the other. Where there are too many groups,
/// the smallest become one.
pub fn group(packages: &[Package], budget: i64) -> Vec<Vec<PackageIndex>> {
    let mut groups: Vec<Group> =
        joined(packages).into_iter().map(|members| Group::of(packages, members)).collect();
    groups.sort_by(|a, b| (b.size, a.last_name).cmp(&(a.size, b.last_name)));
    let budget = usize::try_from(budget).unwrap_or(0);
    if groups.len() > budget {
        let rest = groups.split_off(budget.saturating_sub(1));
        let members = rest.into_iter().flat_map(|group| group.members).collect();
        groups.push(Group::of(packages, members));
    }
    groups.into_iter().map(|group| group.members).collect()
}

struct Group<'a> {
    /// In order of their names.
    members: Vec<PackageIndex>,
    /// Bytes when installed, as the packages say.
    size: u64,
    /// The greatest name, for groups of one size.
    last_name: &'a str,
}

fn named(packages: &[Package], index: PackageIndex) -> &str {
    packages.get(index.0 as usize).map_or("", |package| package.info.name.as_str())
}

impl<'a> Group<'a> {
    fn of(packages: &'a [Package], mut members: Vec<PackageIndex>) -> Self {
        members.sort_by_key(|index| named(packages, *index));
        let size = |index: &PackageIndex| packages.get(index.0 as usize).map_or(0, |p| p.info.installed_size);
        let last_name = members.last().map_or("", |index| named(packages, *index));
        Self { size: members.iter().map(size).fold(0, u64::wrapping_add), last_name, members }
    }
}

/// Sets of packages that have an origin or a replacement in common.
fn joined(packages: &[Package]) -> Vec<Vec<PackageIndex>> {
    let mut sets = Sets::new(packages.len());
    let mut of_origin: BTreeMap<&str, usize> = BTreeMap::new();
    let mut of_name: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, package) in packages.iter().enumerate() {
        let first = *of_origin.entry(&package.info.origin).or_insert(index);
        sets.join(first, index);
        of_name.insert(package.info.name.as_str(), index);
    }
    for (index, package) in packages.iter().enumerate() {
        for text in &package.info.replaces {
            let Ok(replaced) = Constraint::parse(text) else { continue };
            let Some(other) = of_name.get(replaced.name.as_str()) else { continue };
            if replaced.satisfied_by(&packages[*other].info.version) {
                sets.join(index, *other);
            }
        }
    }
    let mut members: BTreeMap<usize, Vec<PackageIndex>> = BTreeMap::new();
    for index in 0..packages.len() {
        let top = sets.top(index);
        members.entry(top).or_default().push(PackageIndex(u32::try_from(index).unwrap_or(u32::MAX)));
    }
    members.into_values().collect()
}

/// Disjoint sets of numbers: each number has another of its set above it, or itself.
pub(crate) struct Sets(Vec<usize>);

impl Sets {
    /// The numbers below `count`, each in a set of its own.
    pub(crate) fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    /// The number that stands for the set that `index` is in.
    pub(crate) fn top(&mut self, mut index: usize) -> usize {
        while self.0[index] != index {
            self.0[index] = self.0[self.0[index]];
            index = self.0[index];
        }
        index
    }

    /// Makes the sets of two numbers one.
    pub(crate) fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.top(a), self.top(b));
        self.0[b] = a;
    }
}

/// The packages' part of a tree, cut into layers.
#[derive(Debug)]
pub struct Split<'t> {
    tree: &'t Tree,
    /// Folders with another time, and parts of the database.
    made: Vec<Node>,
    layers: Vec<Vec<Item>>,
}

#[derive(Debug, Clone)]
struct Item {
    path: ImagePath,
    id: NodeId,
    hard_link: Option<Box<[u8]>>,
    /// Position among those that were made, if it is not the tree's own node.
    made: Option<usize>,
}

impl<'t> Split<'t> {
    /// Cuts `tree` by `groups`, which are those of [`group`]; `records` are the packages' in the database.
    ///
    /// The tree is walked as it is without the parts above the packages.
    pub fn of(tree: &'t Tree, groups: &[Vec<PackageIndex>], records: &DatabaseRecords) -> Self {
        let mut layer_of = BTreeMap::new();
        for (layer, members) in groups.iter().enumerate() {
            layer_of.extend(members.iter().map(|index| (*index, layer)));
        }
        let top = groups.len();
        let mut writer = Writer {
            split: Self { tree, made: Vec::new(), layers: vec![Vec::new(); top + 1] },
            stack: Vec::new(),
            stacks: vec![Vec::new(); top + 1],
        };
        for entry in tree.layer(Part::Packages) {
            if entry.node.is_directory() {
                writer.enter(&entry);
            }
            let layer = entry.node.package.and_then(|p| layer_of.get(&p)).copied().unwrap_or(top);
            writer.align(layer, entry.node.meta.mtime, Some(&entry.path));
            let own = Item::of(&entry);
            writer.split.layers[layer].push(own.clone());
            if entry.path.as_bytes() == DATABASE {
                for (layer, members) in groups.iter().enumerate() {
                    writer.align(layer, entry.node.meta.mtime, None);
                    let part: Vec<u8> =
                        members.iter().flat_map(|index| records.get(*index).iter().copied()).collect();
                    let xattrs = entry.node.xattrs.clone();
                    writer.make(
                        layer,
                        own.clone(),
                        entry.node.meta,
                        xattrs,
                        Body::File(Blob::from_bytes(part)),
                    );
                }
            }
        }
        writer.split
    }

    /// How many layers there are: one a group, and the top one.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there are no layers, which cannot be.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The entries of a layer, lowest first, in the order in which they are written.
    pub fn layer(&self, index: usize) -> Vec<TreeEntry<'_>> {
        self.layers.get(index).into_iter().flatten().map(|item| self.entry(item)).collect()
    }

    fn entry<'s>(&'s self, item: &'s Item) -> TreeEntry<'s> {
        TreeEntry {
            path: item.path.clone(),
            node: item.made.map_or_else(|| self.tree.node(item.id), |index| &self.made[index]),
            id: item.id,
            hard_link: item.hard_link.as_deref(),
            part: Part::Packages,
        }
    }
}

impl Item {
    fn of(entry: &TreeEntry<'_>) -> Self {
        Self {
            path: entry.path.clone(),
            id: entry.id,
            hard_link: entry.hard_link.map(Into::into),
            made: None,
        }
    }
}

struct Writer<'t> {
    split: Split<'t>,
    /// The folders on the way to where the walk is. It is only shortened when a folder is entered: after the last
    /// file of a finished folder, that folder is still there. So apko does it, and its layers show it.
    stack: Vec<Item>,
    /// For each layer the folders that were last written to it.
    stacks: Vec<Vec<ImagePath>>,
}

impl Writer<'_> {
    fn enter(&mut self, entry: &TreeEntry<'_>) {
        let parent = entry.path.parent().unwrap_or_default();
        while self.stack.last().is_some_and(|last| last.path != parent) {
            self.stack.pop();
        }
        self.stack.push(Item::of(entry));
    }

    /// Writes the folders that a layer lacks, with the time of what comes next. `next` itself is not written.
    fn align(&mut self, layer: usize, mtime: i64, next: Option<&ImagePath>) {
        let known = &mut self.stacks[layer];
        let common = known.iter().zip(&self.stack).take_while(|(a, b)| **a == b.path).count();
        known.truncate(common);
        let missing: Vec<Item> = self.stack[common..].to_vec();
        known.extend(missing.iter().map(|item| item.path.clone()));
        for item in missing.into_iter().filter(|item| Some(&item.path) != next) {
            let node = self.split.tree.node(item.id);
            let (meta, xattrs) = (Meta { mtime, ..node.meta }, node.xattrs.clone());
            self.make(layer, item, meta, xattrs, Body::Directory(BTreeMap::new()));
        }
    }

    fn make(&mut self, layer: usize, item: Item, meta: Meta, xattrs: Option<Box<Xattrs>>, body: Body) {
        let made = Some(self.split.made.len());
        self.split.made.push(Node { xattrs, ..Node::new(meta, body) });
        self.split.layers[layer].push(Item { made, ..item });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_joined_for_good() {
        let mut sets = Sets::new(6);
        for (a, b) in [(0, 1), (2, 3), (4, 5), (3, 1), (5, 5)] {
            sets.join(a, b);
        }
        let tops: Vec<usize> = (0..6).map(|index| sets.top(index)).collect();
        assert!(tops[..4].iter().all(|top| *top == tops[0]) && tops[4] == tops[5] && tops[0] != tops[4]);
    }
}
