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

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use assemble_apk::{Entry, EntryKind, Package};
use assemble_types::ImagePath;

use crate::layering::Sets;
use crate::tree::{Body, Node, PackageIndex, Part, Tree, TreeEntry};

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
    rewritten: BTreeSet<ImagePath>,
    top: BTreeSet<ImagePath>,
}

impl VerbatimPlan {
    /// Decides for all `packages` of a tree, in their order of installation, with at most `budget` layers of packages.
    ///
    /// The tree is looked at as it is without the parts above the packages.
    pub fn of(tree: &Tree, packages: &[Package], budget: i64) -> Self {
        let view = View::of(tree);
        let mut verdicts = judge::verdicts(&view, packages);
        judge::keep_budget(&mut verdicts, packages, budget);
        let rewritten = view.rewritten(&verdicts);
        let top = view.top(&Stack::of(packages, &verdicts), &rewritten);
        Self { verdicts, rewritten, top }
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

    /// The entries of the layer above them, with the packages that are packed anew; perhaps none.
    pub fn rewritten<'t>(&self, tree: &'t Tree) -> Vec<TreeEntry<'t>> {
        chosen(tree, &self.rewritten)
    }

    /// The entries of the layer on top of all packages.
    pub fn top<'t>(&self, tree: &'t Tree) -> Vec<TreeEntry<'t>> {
        chosen(tree, &self.top)
    }
}

/// Names that are hard links stand last: most runtimes can only link to what is there.
fn chosen<'t>(tree: &'t Tree, paths: &BTreeSet<ImagePath>) -> Vec<TreeEntry<'t>> {
    let all = tree.layer(Part::Packages).into_iter().filter(|entry| paths.contains(&entry.path));
    let (links, mut entries): (Vec<_>, Vec<_>) = all.partition(|entry| link_of(entry).is_some());
    entries.extend(links);
    entries
}

fn index_of(index: usize) -> PackageIndex {
    PackageIndex(u32::try_from(index).unwrap_or(u32::MAX))
}

/// The text of a name that the layer has as a hard link. Links to symbolic links are written as such.
fn link_of<'a>(entry: &TreeEntry<'a>) -> Option<&'a [u8]> {
    entry.hard_link.filter(|_| matches!(entry.node.body, Body::File(_)))
}

/// The packages' part of a tree, by path. A path is in it only if all its folders are true folders.
struct View<'t> {
    entries: Vec<TreeEntry<'t>>,
    places: HashMap<ImagePath, usize>,
    /// For each name of a file with hard links, one that stands for them all.
    linked: BTreeMap<usize, usize>,
}

impl<'t> View<'t> {
    fn of(tree: &'t Tree) -> Self {
        let entries = tree.layer(Part::Packages);
        let places = entries.iter().enumerate().map(|(at, entry)| (entry.path.clone(), at)).collect();
        let mut view = Self { entries, places, linked: BTreeMap::new() };
        view.linked = view.links();
        view
    }

    fn get(&self, path: &ImagePath) -> Option<&TreeEntry<'t>> {
        self.places.get(path).map(|at| &self.entries[*at])
    }

    /// Names that whoever unpacks the tree as one layer makes into one file: links go by text, not by what the tree has.
    fn links(&self) -> BTreeMap<usize, usize> {
        let mut sets = Sets::new(self.entries.len());
        let mut linked = BTreeSet::new();
        for (at, entry) in self.entries.iter().enumerate() {
            let target = link_of(entry).and_then(|text| ImagePath::parse(text).ok());
            let Some(&target) = target.and_then(|path| self.places.get(&path)) else { continue };
            sets.join(at, target);
            linked.extend([at, target]);
        }
        linked.into_iter().map(|at| (at, sets.top(at))).collect()
    }

    /// What belongs to packages that are packed anew.
    fn rewritten(&self, verdicts: &[Verdict]) -> BTreeSet<ImagePath> {
        let anew = |index: PackageIndex| {
            matches!(verdicts.get(index.0 as usize), Some(Verdict::Rewritten(_) | Verdict::Empty))
        };
        let wanted =
            |entry: &TreeEntry<'_>| !entry.node.is_directory() && entry.node.package.is_some_and(anew);
        self.whole((0..self.entries.len()).filter(|at| wanted(&self.entries[*at])))
    }

    /// What differs from the tree once all layers below are stacked.
    fn top(&self, stack: &Stack<'_>, rewritten: &BTreeSet<ImagePath>) -> BTreeSet<ImagePath> {
        let differs = |entry: &TreeEntry<'_>| !rewritten.contains(&entry.path) && !stack.has(self, entry);
        self.whole((0..self.entries.len()).filter(|at| differs(&self.entries[*at])))
    }

    /// Paths with all that has to stand in the same layer: the other names of a file, and the folders, since some
    /// runtimes make those that are missing with other modes, and unpack each layer into a folder of its own.
    fn whole(&self, wanted: impl Iterator<Item = usize>) -> BTreeSet<ImagePath> {
        let wanted: Vec<usize> = wanted.collect();
        let files: HashSet<usize> = wanted.iter().filter_map(|at| self.linked.get(at).copied()).collect();
        let others = self.linked.iter().filter(|(_, file)| files.contains(file)).map(|(at, _)| *at);
        let mut paths = BTreeSet::new();
        for at in wanted.into_iter().chain(others) {
            let mut path = self.entries[at].path.clone();
            while !path.is_root() && !paths.contains(&path) {
                let parent = path.parent().unwrap_or_default();
                paths.insert(path);
                path = parent;
            }
        }
        paths
    }
}

/// What is at each path once the layers of packages are unpacked: the entry and its package, or, of a folder that a
/// layer did not list, nothing.
struct Stack<'p>(HashMap<&'p [u8], Option<(usize, &'p Entry)>>);

impl<'p> Stack<'p> {
    fn of(packages: &'p [Package], verdicts: &[Verdict]) -> Self {
        let mut stack = HashMap::new();
        for (index, package) in packages.iter().enumerate() {
            if verdicts.get(index) != Some(&Verdict::Verbatim) {
                continue;
            }
            let listed: HashSet<&[u8]> = package.entries.iter().map(|entry| entry.path.as_bytes()).collect();
            for entry in &package.entries {
                let mut folder = folder_of(entry.path.as_bytes());
                while !folder.is_empty() && !listed.contains(folder) {
                    stack.insert(folder, None);
                    folder = folder_of(folder);
                }
                stack.insert(entry.path.as_bytes(), Some((index, entry)));
            }
        }
        Self(stack)
    }

    fn at(&self, path: &[u8]) -> Option<(usize, &'p Entry)> {
        self.0.get(path).copied().flatten()
    }

    /// Whether the stack has at the entry's path what the tree has there.
    fn has(&self, view: &View<'_>, wanted: &TreeEntry<'_>) -> bool {
        let Some((index, entry)) = self.at(wanted.path.as_bytes()) else { return false };
        match (&entry.kind, link_of(wanted)) {
            (EntryKind::HardLink { target, text }, Some(wanted_text)) => {
                let Some((of, file)) = self.at(target.as_bytes()) else { return false };
                let linked = view.get(target).is_some_and(|target| target.id == wanted.id);
                text == wanted_text && of == index && linked && is_same(file, wanted.node)
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
        (EntryKind::Symlink(text), Body::Symlink(wanted)) => text.as_slice() == &**wanted,
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
    let no_xattrs = BTreeMap::new();
    bodies
        && entry.owner == node.meta.owner
        && entry.mtime == node.meta.mtime
        && (is_link
            || (entry.mode == node.meta.mode
                && entry.xattrs == *node.xattrs.as_deref().unwrap_or(&no_xattrs)))
}
