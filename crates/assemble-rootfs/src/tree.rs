//! The root file system in memory: sorted folders over a table of nodes.
//!
//! # Why it is the way it is
//! Folders are sorted maps, so every walk is in byte order by construction. Nodes live in a table and names refer to
//! them by index, so hard links are two names of one node and contents are never copied. A name remembers which
//! [`Part`] put it there and what it hides of the parts below, so the layer of a lower part can still be written as
//! if nothing had been placed on top of it.

use std::collections::BTreeMap;

use assemble_types::{Blob, ImagePath, Mode, Owner};

pub use assemble_apk::Xattrs;

/// Which stage of the build brought something. Each becomes one layer, in this order, if it is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Packages, their database, and all else that apko's tree has.
    Packages,
    /// Accounts, certificates, time zones and the like that we add ourselves.
    Base,
    /// `contents.files`.
    Files,
    /// `contents.binary`.
    Binary,
}

impl Part {
    /// All parts, lowest first.
    pub const ALL: [Self; 4] = [Self::Packages, Self::Base, Self::Files, Self::Binary];
}

/// A node's place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// As a place in a list with one item for each node.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Position of a package in the order of installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageIndex(pub u32);

/// What every node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Permission, set-id and sticky bits.
    pub mode: Mode,
    /// Numeric owner.
    pub owner: Owner,
    /// Whole seconds since the epoch.
    pub mtime: i64,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Body {
    /// Names in byte order.
    Directory(BTreeMap<Box<[u8]>, DirectoryEntry>),
    /// A regular file's content.
    File(Blob),
    /// The link's text.
    Symlink(Box<[u8]>),
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

/// A name in a folder.
#[derive(Debug, Clone)]
pub struct DirectoryEntry {
    /// The node it names.
    pub node: NodeId,
    /// Who put the name there.
    pub part: Part,
    /// What hardly any name has.
    rare: Option<Box<Rare>>,
}

#[derive(Debug, Clone, Default)]
struct Rare {
    hard_link: Option<Box<[u8]>>,
    below: Option<DirectoryEntry>,
}

impl DirectoryEntry {
    fn new(node: NodeId, part: Part, hard_link: Option<&[u8]>, below: Option<Self>) -> Self {
        let rare = Rare { hard_link: hard_link.map(Into::into), below };
        let is_rare = rare.hard_link.is_some() || rare.below.is_some();
        Self { node, part, rare: is_rare.then(|| Box::new(rare)) }
    }

    /// The archive's own link text, if the name came as a hard link.
    pub fn hard_link(&self) -> Option<&[u8]> {
        self.rare.as_ref()?.hard_link.as_deref()
    }

    /// What the name was in the parts below, if this hides something.
    pub fn below(&self) -> Option<&Self> {
        self.rare.as_ref()?.below.as_ref()
    }

    /// The entry as the parts up to `part` made it.
    pub fn seen_from(&self, part: Part) -> Option<&Self> {
        let mut entry = Some(self);
        while let Some(found) = entry {
            if found.part <= part {
                return Some(found);
            }
            entry = found.below();
        }
        None
    }
}

/// A file, folder, link or device.
#[derive(Debug, Clone)]
pub struct Node {
    /// Mode, owner, time.
    pub meta: Meta,
    /// Content.
    pub body: Body,
    /// Extended attributes; almost always none.
    pub xattrs: Option<Box<Xattrs>>,
    /// The package this came from.
    pub package: Option<PackageIndex>,
}

impl Node {
    /// A node with no package behind it.
    pub fn new(meta: Meta, body: Body) -> Self {
        Self { meta, body, xattrs: None, package: None }
    }

    /// An empty folder.
    pub fn directory(meta: Meta) -> Self {
        Self::new(meta, Body::Directory(BTreeMap::new()))
    }

    /// Whether this is a folder.
    pub fn is_directory(&self) -> bool {
        matches!(self.body, Body::Directory(_))
    }
}

/// Why a path cannot be used in the tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Nothing is there.
    #[error("{0} does not exist")]
    NotFound(ImagePath),
    /// Something other than a folder is in the way.
    #[error("{0} is not a folder")]
    NotADirectory(ImagePath),
    /// A folder is where something else should go.
    #[error("{0} is a folder")]
    IsADirectory(ImagePath),
    /// Something is there already.
    #[error("{0} exists already")]
    Exists(ImagePath),
    /// Links lead nowhere or in a circle.
    #[error("{path} leads through too many symbolic links")]
    TooManyLinks {
        /// The path that was followed.
        path: ImagePath,
    },
    /// A link climbs above the root.
    #[error("the link at {0} leads outside the image")]
    Escapes(ImagePath),
}

/// Where a path leads once its links are followed.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The path without links (of the parent folders, and of the last component if it was followed).
    pub path: ImagePath,
    /// The node there, or nothing if only the last component is missing.
    pub node: Option<NodeId>,
}

/// One step of a walk: what a layer's tar needs to know.
#[derive(Debug, Clone)]
pub struct TreeEntry<'a> {
    /// Its path.
    pub path: ImagePath,
    /// Its node.
    pub node: &'a Node,
    /// The node's identity; two names of one node are hard links.
    pub id: NodeId,
    /// The archive's own link text, if the name came as a hard link.
    pub hard_link: Option<&'a [u8]>,
    /// Who put the name there.
    pub part: Part,
}

/// A root file system in memory.
#[derive(Debug, Clone)]
pub struct Tree {
    nodes: Vec<Node>,
    root: NodeId,
}

/// How many links one look-up may follow, as in Linux.
const MAX_LINKS: u32 = 40;

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// A tree with an empty root folder, 0755 0:0 at time 0.
    pub fn new() -> Self {
        let meta = Meta { mode: Mode::DIRECTORY, owner: Owner::ROOT, mtime: 0 };
        Self { nodes: vec![Node::directory(meta)], root: NodeId(0) }
    }

    /// The root folder.
    pub fn root(&self) -> NodeId {
        self.root
    }

    /// A node of this tree.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// A node of this tree, to be changed in place.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    /// Adds a node that no name refers to yet.
    ///
    /// # Panics
    /// With 2^32 nodes, for which there is no memory.
    pub fn add(&mut self, node: Node) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("a tree holds fewer than 2^32 nodes"));
        self.nodes.push(node);
        id
    }

    /// Makes room for so many nodes more.
    pub(crate) fn reserve(&mut self, nodes: usize) {
        self.nodes.reserve_exact(nodes);
    }

    /// Gives back the memory that was taken for nodes and names to come.
    pub(crate) fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
        for node in &mut self.nodes {
            if let Body::Directory(names) = &mut node.body {
                // Made of what is sorted already, a map is full.
                *names = std::mem::take(names).into_iter().collect();
            }
        }
    }

    fn children(&self, id: NodeId) -> Option<&BTreeMap<Box<[u8]>, DirectoryEntry>> {
        match &self.node(id).body {
            Body::Directory(children) => Some(children),
            _ => None,
        }
    }

    /// The entry of that name in a folder.
    pub fn child(&self, directory: NodeId, name: &[u8]) -> Option<&DirectoryEntry> {
        self.children(directory)?.get(name)
    }

    /// The node exactly at `path`; no link is followed, not even among the parents.
    pub fn get(&self, path: &ImagePath) -> Option<NodeId> {
        self.at(path.as_bytes())
    }

    /// As [`Tree::get`], by the text of a path.
    pub(crate) fn at(&self, path: &[u8]) -> Option<NodeId> {
        let mut names = path.split(|b| *b == b'/').filter(|name| !name.is_empty());
        names.try_fold(self.root, |at, name| self.child(at, name).map(|e| e.node))
    }

    /// Follows `path`, links among the parents included, and the last component's link too if `follow_last`.
    ///
    /// Links are followed as the kernel does: absolute ones from the image's root, relative ones from the folder that
    /// the link really lies in, `..` at the root stays at the root.
    #[allow(clippy::missing_panics_doc, reason = "its parts were checked when they came into the tree")]
    pub fn resolve(&self, path: &ImagePath, follow_last: bool) -> Result<Resolved, TreeError> {
        let mut todo: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        let mut trail: Vec<(NodeId, Vec<u8>)> = Vec::new();
        let mut at = self.root;
        let mut links = 0;
        let path_of = |trail: &[(NodeId, Vec<u8>)], last: Option<&[u8]>| {
            let mut raw = Vec::new();
            for name in trail.iter().map(|(_, n)| n.as_slice()).chain(last) {
                raw.push(b'/');
                raw.extend_from_slice(name);
            }
            ImagePath::parse(raw).expect("made of components of valid paths and links without `..`")
        };
        while let Some(name) = todo.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    at = trail.pop().map_or(self.root, |(parent, _)| parent);
                    continue;
                }
                _ => {}
            }
            let here = || path_of(&trail, Some(&name));
            let Some(children) = self.children(at) else {
                return Err(TreeError::NotADirectory(path_of(&trail, None)));
            };
            let Some(entry) = children.get(name.as_slice()) else {
                return if todo.iter().all(|n| n.is_empty() || n == b".") {
                    Ok(Resolved { path: here(), node: None })
                } else {
                    Err(TreeError::NotFound(here()))
                };
            };
            match &self.node(entry.node).body {
                Body::Symlink(text) if follow_last || !todo.is_empty() => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(TreeError::TooManyLinks { path: path.clone() });
                    }
                    if text.starts_with(b"/") {
                        trail.clear();
                        at = self.root;
                    }
                    todo.extend(text.split(|b| *b == b'/').rev().map(<[u8]>::to_vec));
                }
                _ => {
                    trail.push((at, name));
                    at = entry.node;
                }
            }
        }
        Ok(Resolved { path: path_of(&trail, None), node: Some(at) })
    }

    /// Puts a name for `node` at `path`, whose parents must be folders (no link is followed). A name of an earlier
    /// part is hidden, one of the same part is replaced; a folder is never hidden or replaced.
    pub fn insert(
        &mut self,
        path: &ImagePath,
        node: NodeId,
        part: Part,
        hard_link: Option<&[u8]>,
    ) -> Result<(), TreeError> {
        let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
            return Err(TreeError::IsADirectory(path.clone()));
        };
        let directory = self.get(&parent).ok_or_else(|| TreeError::NotFound(parent.clone()))?;
        if !self.node(directory).is_directory() {
            return Err(TreeError::NotADirectory(parent));
        }
        self.insert_in(directory, name, node, part, hard_link)
            .map_err(|_| TreeError::IsADirectory(path.clone()))
    }

    /// As [`Tree::insert`], in a folder that was found already. Nothing is done if it is no folder, if the name is
    /// that of a folder, or if it is no single component of a path; the node is handed back then.
    pub fn insert_in(
        &mut self,
        directory: NodeId,
        name: &[u8],
        node: NodeId,
        part: Part,
        hard_link: Option<&[u8]>,
    ) -> Result<(), NodeId> {
        if !ImagePath::is_component(name) {
            return Err(node);
        }
        let existing = self.children(directory).ok_or(node)?.get(name).cloned();
        if let Some(existing) = &existing
            && self.node(existing.node).is_directory()
        {
            return Err(node);
        }
        let below = existing.and_then(|e| if e.part < part { Some(e) } else { e.rare?.below });
        let entry = DirectoryEntry::new(node, part, hard_link, below);
        if let Body::Directory(children) = &mut self.node_mut(directory).body {
            children.insert(name.into(), entry);
        }
        Ok(())
    }

    /// Takes a name away for good (in all parts); returns whether there was one.
    pub fn remove(&mut self, path: &ImagePath) -> bool {
        let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else { return false };
        self.get(&parent).is_some_and(|directory| self.remove_from(directory, name))
    }

    /// As [`Tree::remove`], in a folder that was found already.
    pub fn remove_from(&mut self, directory: NodeId, name: &[u8]) -> bool {
        match &mut self.node_mut(directory).body {
            Body::Directory(children) => children.remove(name).is_some(),
            _ => false,
        }
    }

    /// The names in a folder and their entries, in byte order; none if it is no folder.
    pub fn names(&self, directory: NodeId) -> impl Iterator<Item = (&[u8], &DirectoryEntry)> {
        self.children(directory).into_iter().flatten().map(|(name, entry)| (&**name, entry))
    }

    /// Makes the folder at `path` and all that are missing above it, each with `meta`; links among the parents and at
    /// the end are followed. Folders that exist stay as they are. Returns the folder and its path without links.
    pub fn make_directories(
        &mut self,
        path: &ImagePath,
        meta: Meta,
        part: Part,
    ) -> Result<(NodeId, ImagePath), TreeError> {
        let mut real = ImagePath::root();
        let mut at = self.root;
        for name in path.components() {
            let next = real.join(name).map_err(|_| TreeError::Escapes(real.clone()))?;
            let resolved = self.resolve(&next, true)?;
            at = match resolved.node {
                Some(id) if self.node(id).is_directory() => id,
                Some(_) => return Err(TreeError::NotADirectory(resolved.path)),
                None => {
                    let id = self.add(Node::directory(meta));
                    self.insert(&resolved.path, id, part, None)?;
                    id
                }
            };
            real = resolved.path;
        }
        Ok((at, real))
    }

    /// Everything that the layer of `part` has to hold, parents first, names in byte order, without the root.
    ///
    /// For [`Part::Packages`] that is the whole tree as the packages made it; for the others, the names that the part
    /// put there and the folders that lead to them.
    pub fn layer(&self, part: Part) -> Vec<TreeEntry<'_>> {
        let mut out = Vec::new();
        if part == Part::Packages {
            out.reserve_exact(self.nodes.len());
            self.collect(self.root, &ImagePath::root(), &mut out, Some(part));
        } else {
            self.collect_own(self.root, &mut Vec::new(), &mut out, part);
        }
        out
    }

    /// The whole merged tree, parents first, names in byte order, without the root.
    pub fn entries(&self) -> Vec<TreeEntry<'_>> {
        let mut out = Vec::new();
        self.collect(self.root, &ImagePath::root(), &mut out, None);
        out
    }

    fn entry<'a>(&'a self, path: ImagePath, entry: &'a DirectoryEntry) -> TreeEntry<'a> {
        let hard_link = entry.hard_link();
        TreeEntry { path, node: self.node(entry.node), id: entry.node, hard_link, part: entry.part }
    }

    /// All below a folder, as it is or as the parts up to one made it.
    fn collect<'a>(
        &'a self,
        directory: NodeId,
        path: &ImagePath,
        out: &mut Vec<TreeEntry<'a>>,
        up_to: Option<Part>,
    ) {
        for (name, entry) in self.children(directory).into_iter().flatten() {
            let seen = up_to.map_or(Some(entry), |part| entry.seen_from(part));
            let Some(entry) = seen else { continue };
            let path = path.child(name).expect("names in the tree are components of paths");
            if self.node(entry.node).is_directory() {
                out.push(self.entry(path.clone(), entry));
                self.collect(entry.node, &path, out, up_to);
            } else {
                out.push(self.entry(path, entry));
            }
        }
    }

    /// What one part put below a folder, with the folders that lead there. `path` is that of the folder.
    fn collect_own<'a>(
        &'a self,
        directory: NodeId,
        path: &mut Vec<&'a [u8]>,
        out: &mut Vec<TreeEntry<'a>>,
        part: Part,
    ) {
        for (name, entry) in self.children(directory).into_iter().flatten() {
            let Some(entry) = entry.seen_from(part) else { continue };
            path.push(name);
            let start = out.len();
            self.collect_own(entry.node, path, out, part);
            // Most of the tree is other parts', so a path is only made once it is wanted.
            if entry.part == part || out.len() > start {
                let path =
                    ImagePath::parse(path.join(&b'/')).expect("names in the tree are components of paths");
                out.insert(start, self.entry(path, entry));
            }
            path.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: Meta = Meta { mode: Mode::DIRECTORY, owner: Owner::ROOT, mtime: 0 };

    fn path(raw: &str) -> ImagePath {
        ImagePath::parse(raw).unwrap()
    }

    fn put(tree: &mut Tree, raw: &str, body: Body, part: Part) {
        let full = path(raw);
        let (_, parent) = tree.make_directories(&full.parent().unwrap(), META, part).unwrap();
        let id = tree.add(Node::new(META, body));
        tree.insert(&parent.join(full.file_name().unwrap()).unwrap(), id, part, None).unwrap();
    }

    fn file(text: &str) -> Body {
        Body::File(Blob::from_bytes(text.as_bytes()))
    }

    fn link(text: &str) -> Body {
        Body::Symlink(text.as_bytes().into())
    }

    fn names(entries: &[TreeEntry<'_>]) -> Vec<String> {
        entries.iter().map(|e| e.path.to_string()).collect()
    }

    #[test]
    fn a_lower_layer_does_not_see_what_hides_it() {
        let mut tree = Tree::new();
        put(&mut tree, "usr/bin/app", file("old"), Part::Packages);
        put(&mut tree, "etc/passwd", file("p"), Part::Packages);
        put(&mut tree, "usr/bin/app", file("newer"), Part::Binary);
        put(&mut tree, "usr/bin/extra", file("x"), Part::Binary);
        assert_eq!(
            names(&tree.layer(Part::Packages)),
            ["/etc", "/etc/passwd", "/usr", "/usr/bin", "/usr/bin/app"]
        );
        assert_eq!(names(&tree.layer(Part::Binary)), ["/usr", "/usr/bin", "/usr/bin/app", "/usr/bin/extra"]);
        assert!(tree.layer(Part::Files).is_empty());
        let size = |part| match &tree
            .layer(part)
            .iter()
            .find(|e| e.path == path("usr/bin/app"))
            .unwrap()
            .node
            .body
        {
            Body::File(blob) => blob.len(),
            _ => 0,
        };
        assert_eq!((size(Part::Packages), size(Part::Binary)), (3, 5));
        assert_eq!(tree.entries().len(), 6);
    }

    #[test]
    fn links_are_followed_as_the_kernel_does() {
        let mut tree = Tree::new();
        put(&mut tree, "usr/bin/tool", file("t"), Part::Packages);
        put(&mut tree, "bin", link("usr/bin"), Part::Packages);
        put(&mut tree, "usr/sbin", link("../../../usr/./bin"), Part::Packages);
        put(&mut tree, "loop", link("/loop"), Part::Packages);
        let real = |raw: &str| tree.resolve(&path(raw), true).map(|r| (r.path.to_string(), r.node.is_some()));
        assert_eq!(real("bin/tool"), Ok(("/usr/bin/tool".into(), true)));
        assert_eq!(real("usr/sbin/new"), Ok(("/usr/bin/new".into(), false)));
        assert!(matches!(real("loop/x"), Err(TreeError::TooManyLinks { .. })));
        assert!(matches!(real("no/x"), Err(TreeError::NotFound(_))));
        assert!(matches!(real("usr/bin/tool/x"), Err(TreeError::NotADirectory(_))));
        assert_eq!(tree.resolve(&path("bin"), false).unwrap().path, path("bin"));
    }

    #[test]
    fn a_folder_is_never_replaced() {
        let mut tree = Tree::new();
        put(&mut tree, "usr/bin/tool", file("t"), Part::Packages);
        let id = tree.add(Node::new(META, file("x")));
        assert_eq!(
            tree.insert(&path("usr/bin"), id, Part::Binary, None),
            Err(TreeError::IsADirectory(path("usr/bin")))
        );
    }
}
