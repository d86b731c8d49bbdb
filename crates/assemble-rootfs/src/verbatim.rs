//! Decides which packages become layers just as their distribution packed them, and what has to stand above these.
//!
//! # Why it is the way it is
//! A data section that is a layer byte for byte costs nothing to make, and its digest is the one that the distribution
//! signed. It is only taken where whoever unpacks the layers, one above the other, gets the very tree that a single layer
//! has. That is not argued case by case: the layers are stacked here, by the rules of image layers, and whatever then
//! differs from the tree goes into the top layer. What is decided about a package is only whether its layer leaves
//! nothing behind that a layer above cannot put right, and does not make the top layer large.
//!
//! What is rewritten has the tree's own entries, so it may stand above all packages that are not: one layer, below the
//! top one. There it is above what is installed later, too, and hides what these have of its files, as the tree does.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;

use assemble_apk::{Entry, EntryKind, Package};
use assemble_types::ImagePath;
use foldhash::HashSet;
use foldhash::fast::RandomState;
use hashbrown::{HashTable, hash_table};

use crate::layering::Sets;
use crate::tree::{Body, Node, PackageIndex, Part, Tree, TreeEntry, Xattrs};

mod judge;
mod reason;

pub use reason::Reason;

/// Largest content that is compared byte by byte, where two files are not the same range of the same package.
const COMPARED: u64 = 1 << 20;

/// What becomes of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its data section is a layer.
    Verbatim,
    /// It has no entries, so it needs no layer.
    Empty,
    /// Its entries are packed anew.
    Rewritten(Reason),
}

/// Which packages are layers of their own, and what the layers above them hold.
#[derive(Debug, Clone)]
pub struct VerbatimPlan {
    verdicts: Vec<Verdict>,
    /// For each entry of the packages' part of the tree where it goes. That part stays as it is, whatever is placed on it.
    goes: Vec<Goes>,
}

/// In which layers above those of the packages an entry is.
#[derive(Debug, Clone, Copy, Default)]
struct Goes {
    rewritten: bool,
    top: bool,
}

/// The entries of the layers above those of the packages.
#[derive(Debug)]
pub struct Upper<'t> {
    /// Of the lower one, with the packages that are packed anew; perhaps none.
    pub rewritten: Vec<TreeEntry<'t>>,
    /// Of the layer on top of all packages.
    pub top: Vec<TreeEntry<'t>>,
}

impl VerbatimPlan {
    /// Decides for all `packages` of a tree, in their order of installation, with at most `budget` layers of packages.
    ///
    /// The tree is looked at as it is without the parts above the packages.
    pub fn of(tree: &Tree, packages: &[Package], budget: i64) -> Self {
        let entries = tree.layer(Part::Packages);
        let view = View::of(&entries);
        let mut verdicts = judge::verdicts(&view, packages);
        judge::keep_budget(&mut verdicts, packages, budget);
        let mut goes = vec![Goes::default(); entries.len()];
        for at in view.rewritten(&verdicts) {
            goes[at].rewritten = true;
        }
        for at in view.top(&Stack::of(packages, &verdicts), &goes) {
            goes[at].top = true;
        }
        Self { verdicts, goes }
    }

    /// What was decided of each package, in the order of installation.
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// The packages whose data sections are layers, lowest first.
    pub fn verbatim(&self) -> impl Iterator<Item = PackageIndex> {
        let verbatim =
            |(index, verdict): (usize, &Verdict)| (*verdict == Verdict::Verbatim).then(|| index_of(index));
        self.verdicts.iter().enumerate().filter_map(verbatim)
    }

    /// The entries of the layers above them, of the tree that this was decided for.
    pub fn upper<'t>(&self, tree: &'t Tree) -> Upper<'t> {
        let mut upper = Upper { rewritten: Vec::new(), top: Vec::new() };
        for (entry, goes) in tree.layer(Part::Packages).into_iter().zip(&self.goes) {
            if goes.rewritten && goes.top {
                upper.top.push(entry.clone());
            }
            if goes.rewritten {
                upper.rewritten.push(entry);
            } else if goes.top {
                upper.top.push(entry);
            }
        }
        links_last(&mut upper.rewritten);
        links_last(&mut upper.top);
        upper
    }
}

/// Names that are hard links stand last: most runtimes can only link to what is there.
fn links_last(entries: &mut Vec<TreeEntry<'_>>) {
    let links: Vec<_> = entries.extract_if(.., |entry| link_of(entry).is_some()).collect();
    entries.extend(links);
}

fn index_of(index: usize) -> PackageIndex {
    PackageIndex(u32::try_from(index).unwrap_or(u32::MAX))
}

/// The text of a name that the layer has as a hard link. Links to symbolic links are written as such.
fn link_of<'a>(entry: &TreeEntry<'a>) -> Option<&'a [u8]> {
    entry.hard_link.filter(|_| matches!(entry.node.body, Body::File(_)))
}

/// The packages' part of a tree, by path. A path is in it only if all its folders are true folders.
struct View<'v, 't> {
    entries: &'v [TreeEntry<'t>],
    /// The place of each path among the entries.
    places: HashTable<u32>,
    hasher: RandomState,
    /// For each name of a file with hard links, one that stands for them all.
    linked: BTreeMap<usize, usize>,
}

impl<'v, 't> View<'v, 't> {
    fn of(entries: &'v [TreeEntry<'t>]) -> Self {
        let hasher = RandomState::default();
        let hash = |at: &u32| hasher.hash_one(entries[*at as usize].path.as_bytes());
        let mut places = HashTable::with_capacity(entries.len());
        // A tree has fewer than 2^32 nodes, and each path is there once.
        for at in (0_u32..).take(entries.len()) {
            places.insert_unique(hash(&at), at, hash);
        }
        let mut view = Self { entries, places, hasher, linked: BTreeMap::new() };
        view.linked = view.links();
        view
    }

    fn place(&self, path: &[u8]) -> Option<usize> {
        let is_same = |at: &u32| self.entries[*at as usize].path.as_bytes() == path;
        self.places.find(self.hasher.hash_one(path), is_same).map(|at| *at as usize)
    }

    fn get(&self, path: &[u8]) -> Option<&'v TreeEntry<'t>> {
        self.place(path).map(|at| &self.entries[at])
    }

    /// Names that whoever unpacks the tree as one layer makes into one file: links go by text, not by what the tree has.
    fn links(&self) -> BTreeMap<usize, usize> {
        let mut sets = Sets::new(self.entries.len());
        let mut linked = BTreeSet::new();
        for (at, entry) in self.entries.iter().enumerate() {
            let target = link_of(entry).and_then(|text| ImagePath::parse(text).ok());
            let Some(target) = target.and_then(|path| self.place(path.as_bytes())) else { continue };
            sets.join(at, target);
            linked.extend([at, target]);
        }
        linked.into_iter().map(|at| (at, sets.top(at))).collect()
    }

    /// What belongs to packages that are packed anew.
    fn rewritten(&self, verdicts: &[Verdict]) -> Vec<usize> {
        let anew = |index: PackageIndex| {
            matches!(verdicts.get(index.0 as usize), Some(Verdict::Rewritten(_) | Verdict::Empty))
        };
        let wanted =
            |entry: &TreeEntry<'_>| !entry.node.is_directory() && entry.node.package.is_some_and(anew);
        self.whole((0..self.entries.len()).filter(|at| wanted(&self.entries[*at])))
    }

    /// What differs from the tree once all layers below are stacked.
    fn top(&self, stack: &Stack<'_>, goes: &[Goes]) -> Vec<usize> {
        let differs = |at: &usize| !goes[*at].rewritten && !stack.has(self, &self.entries[*at]);
        self.whole((0..self.entries.len()).filter(differs))
    }

    /// Entries with all that has to stand in the same layer: the other names of a file, and the folders, since some
    /// runtimes make those that are missing with other modes, and unpack each layer into a folder of its own.
    fn whole(&self, wanted: impl Iterator<Item = usize>) -> Vec<usize> {
        let wanted: Vec<usize> = wanted.collect();
        let files: HashSet<usize> = wanted.iter().filter_map(|at| self.linked.get(at).copied()).collect();
        let others = self.linked.iter().filter(|(_, file)| files.contains(file)).map(|(at, _)| *at);
        let mut all = BTreeSet::new();
        for at in wanted.into_iter().chain(others) {
            let mut next = Some(at);
            while let Some(at) = next.filter(|at| all.insert(*at)) {
                next = self.place(folder_of(self.entries[at].path.as_bytes()));
            }
        }
        all.into_iter().collect()
    }
}

/// What is at each path once the layers of packages are unpacked: the entry and its package, or, of a folder that a
/// layer did not list, nothing.
struct Stack<'p> {
    packages: &'p [Package],
    places: HashTable<Place>,
    hasher: RandomState,
}

/// A path, as the beginning of that of an entry: all of it where the entry itself is meant.
#[derive(Clone, Copy)]
struct Place {
    package: u32,
    entry: u32,
    len: u32,
}

impl Place {
    fn entry(self, packages: &[Package]) -> &Entry {
        &packages[self.package as usize].entries[self.entry as usize]
    }

    fn path(self, packages: &[Package]) -> &[u8] {
        &self.entry(packages).path.as_bytes()[..self.len as usize]
    }
}

impl<'p> Stack<'p> {
    fn of(packages: &'p [Package], verdicts: &[Verdict]) -> Self {
        let places = HashTable::with_capacity(packages.iter().map(|package| package.entries.len()).sum());
        let mut stack = Self { packages, places, hasher: RandomState::default() };
        for (index, package) in (0..).zip(packages) {
            if verdicts.get(index as usize) != Some(&Verdict::Verbatim) {
                continue;
            }
            let listed: HashSet<&[u8]> = package.entries.iter().map(|entry| entry.path.as_bytes()).collect();
            let mut last: &[u8] = b"";
            for (number, entry) in (0..).zip(&package.entries) {
                let of = folder_of(entry.path.as_bytes());
                let mut folder = if of == last { b"" } else { of };
                while !folder.is_empty() && !listed.contains(folder) {
                    stack.put(index, number, folder.len());
                    folder = folder_of(folder);
                }
                last = of;
                stack.put(index, number, entry.path.as_bytes().len());
            }
        }
        stack
    }

    /// Puts a path over what was there. Packages and entries were counted when they were read, and paths are short.
    fn put(&mut self, package: u32, entry: u32, len: usize) {
        let Self { packages, places, hasher } = self;
        let place = Place { package, entry, len: u32::try_from(len).unwrap_or(u32::MAX) };
        let path = place.path(packages);
        let is_same = |other: &Place| other.path(packages) == path;
        match places.entry(hasher.hash_one(path), is_same, |other| hasher.hash_one(other.path(packages))) {
            hash_table::Entry::Occupied(mut taken) => *taken.get_mut() = place,
            hash_table::Entry::Vacant(free) => drop(free.insert(place)),
        }
    }

    fn at(&self, path: &[u8]) -> Option<(usize, &'p Entry)> {
        let is_same = |place: &Place| place.path(self.packages) == path;
        let place = *self.places.find(self.hasher.hash_one(path), is_same)?;
        let entry = place.entry(self.packages);
        (entry.path.as_bytes().len() == place.len as usize).then_some((place.package as usize, entry))
    }

    /// Whether the stack has at the entry's path what the tree has there.
    fn has(&self, view: &View<'_, '_>, wanted: &TreeEntry<'_>) -> bool {
        let Some((index, entry)) = self.at(wanted.path.as_bytes()) else { return false };
        match (&entry.kind, link_of(wanted)) {
            (EntryKind::HardLink { target, text }, Some(wanted_text)) => {
                let Some((of, file)) = self.at(target.as_bytes()) else { return false };
                let linked = view.get(target.as_bytes()).is_some_and(|target| target.id == wanted.id);
                **text == *wanted_text && of == index && linked && is_same(file, wanted.node)
            }
            (EntryKind::HardLink { .. }, None) | (_, Some(_)) => false,
            (_, None) => is_same(entry, wanted.node),
        }
    }
}

/// The folder part of a path's text, empty at the top.
fn folder_of(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(b"", |at| &path[..at])
}

/// Whether an entry that is no hard link is what the node is, once it is unpacked. Of symbolic links modes do not count.
fn is_same(entry: &Entry, node: &Node) -> bool {
    let bodies = match (&entry.kind, &node.body) {
        (EntryKind::Directory, Body::Directory(_)) => true,
        (EntryKind::Symlink(text), Body::Symlink(wanted)) => text == wanted,
        (EntryKind::File(blob), Body::File(wanted)) => {
            let small = blob.len() == wanted.len() && blob.len() <= COMPARED;
            let equal = || match (blob.read_to_vec(COMPARED), wanted.read_to_vec(COMPARED)) {
                (Ok(a), Ok(b)) => a == b,
                // Whoever packs the content will say why it cannot be read.
                _ => false,
            };
            blob.is_same_range(wanted) || (small && equal())
        }
        _ => false,
    };
    let is_link = matches!(node.body, Body::Symlink(_));
    bodies
        && entry.owner == node.meta.owner
        && entry.mtime == node.meta.mtime
        && (is_link
            || (entry.mode == node.meta.mode
                && listed(entry.xattrs.as_deref()) == listed(node.xattrs.as_deref())))
}

/// Attributes, of which none at all are as good as an empty list.
fn listed(xattrs: Option<&Xattrs>) -> Option<&Xattrs> {
    xattrs.filter(|xattrs| !xattrs.is_empty())
}
