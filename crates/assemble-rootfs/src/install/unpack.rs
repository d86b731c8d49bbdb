//! Lays the packages' entries into the tree, in the order of installation.

use assemble_apk::{ContentSum, Entry, EntryKind, Package};
use assemble_types::{ImagePath, Owner};
use foldhash::HashMap;
use sha1::{Digest as _, Sha1};

use super::error::InstallError;
use super::index_of;
use super::root::{Root, split};
use crate::tree::{Body, Meta, Node, NodeId, PackageIndex};

/// Files that the installation itself makes and that a package may bring with the same bytes, such as keys.
const OWN_FILE_LIMIT: u64 = 64 << 20;

/// The longest path, and the longest text of a link, that Linux takes: `PATH_MAX` without the final NUL. That no name
/// in a path is too long was checked when the package was read.
const LONGEST_PATH: usize = 4095;

/// What came of the packages' entries.
#[derive(Default)]
pub(super) struct Placed<'a> {
    /// The package whose regular file stands at a path, where more than one was to stand.
    contested: HashMap<&'a [u8], PackageIndex>,
}

impl<'a> Placed<'a> {
    /// Those of a package's entries that are still its own. Folders belong to all packages that have them.
    pub(super) fn kept(&self, index: usize, entries: &'a [Entry]) -> Vec<&'a Entry> {
        let own = |entry: &&Entry| {
            matches!(entry.kind, EntryKind::Directory)
                || self.contested.get(entry.path.as_bytes()).is_none_or(|owner| *owner == index_of(index))
        };
        entries.iter().filter(own).collect()
    }
}

/// Unpacks all packages. Nobody's scripts run, and archive owners are not applied: everything belongs to root.
pub(super) fn packages<'a>(root: &mut Root, packages: &'a [Package]) -> Result<Placed<'a>, InstallError> {
    let mut placed = Placed::default();
    let count = packages.iter().map(|package| package.entries.len()).sum();
    root.tree.reserve(count);
    let mut nodes = Vec::with_capacity(count);
    for index in 0..packages.len() {
        let name = packages[index].id().to_string();
        let mut unpacker =
            Unpacker { root, packages, index, name, nodes: &mut nodes, placed: &mut placed, last: None };
        for entry in &packages[index].entries {
            unpacker.place(entry)?;
        }
    }
    Ok(placed)
}

struct Unpacker<'r, 'a> {
    root: &'r mut Root,
    packages: &'a [Package],
    index: usize,
    /// `name-version`, for messages.
    name: String,
    /// By the number of its node, the entry of a file or link.
    nodes: &'r mut Vec<Option<&'a Entry>>,
    placed: &'r mut Placed<'a>,
    /// The folder that something lay in last, and its path. No link leads to it, so it stays there: folders are not
    /// replaced.
    last: Option<(&'a [u8], NodeId)>,
}

impl<'a> Unpacker<'_, 'a> {
    fn package(&self) -> &Package {
        &self.packages[self.index]
    }

    fn place(&mut self, entry: &'a Entry) -> Result<(), InstallError> {
        self.within(entry, "a path", entry.path.as_bytes().len())?;
        if let EntryKind::Symlink(text) = &entry.kind {
            self.within(entry, "a link's text", text.len())?;
        }
        match &entry.kind {
            EntryKind::Directory => self.folder(entry),
            EntryKind::File(blob) => self.leaf(entry, Body::File(blob.clone())),
            EntryKind::Symlink(text) => {
                if self.root.read_link(entry.path.as_bytes())? == Some(&**text) {
                    return Ok(());
                }
                self.leaf(entry, Body::Symlink(text.clone()))
            }
            EntryKind::HardLink { target, text } => self.hard_link(entry, target, text),
        }
    }

    fn within(&self, entry: &Entry, what: &'static str, found: usize) -> Result<(), InstallError> {
        if found <= LONGEST_PATH {
            return Ok(());
        }
        let (path, package) = (entry.path.clone(), self.package().id());
        Err(InstallError::TooLong { path, package, what, found, limit: LONGEST_PATH })
    }

    /// The folder that a path's last name stands in.
    fn parent(&mut self, path: &'a [u8]) -> Result<NodeId, InstallError> {
        let (folder, _) = split(path);
        match self.last {
            Some((last, id)) if last == folder => return Ok(id),
            _ => {}
        }
        let direct = self.root.tree.at(folder).filter(|id| self.root.tree.node(*id).is_directory());
        if let Some(id) = direct {
            self.last = Some((folder, id));
            return Ok(id);
        }
        self.root.parent(path, &self.name)
    }

    /// The first package that has a folder decides its mode, the last one its time. Set-id and sticky bits are lost.
    fn folder(&mut self, entry: &Entry) -> Result<(), InstallError> {
        let permissions = entry.mode.bits() & 0o777;
        let id = self.root.make_folders(entry.path.as_bytes(), permissions, &self.name)?;
        self.root.tree.node_mut(id).meta.mtime = entry.mtime;
        self.attributes(entry)
    }

    fn leaf(&mut self, entry: &'a Entry, body: Body) -> Result<(), InstallError> {
        let Some(checksum) = &entry.checksum else {
            return Err(InstallError::NoChecksum { path: entry.path.clone(), package: self.package().id() });
        };
        let path = entry.path.as_bytes();
        let folder = self.parent(path)?;
        let existing = self.root.tree.child(folder, split(path).1).map(|entry| entry.node);
        let wins = match existing {
            None => true,
            Some(existing) => {
                let wins = self.wins_over(entry, checksum, existing)?;
                self.contest(entry, existing, wins);
                wins
            }
        };
        if wins {
            let meta = Meta { mode: entry.mode, owner: Owner::ROOT, mtime: entry.mtime };
            let mut node = Node::new(meta, body);
            node.package = Some(index_of(self.index));
            let id = self.root.tree.add(node);
            self.nodes.resize(id.index() + 1, None);
            self.nodes[id.index()] = Some(entry);
            self.root.name(folder, path, id, None, &self.name)?;
        }
        self.attributes(entry)
    }

    /// Notes whose regular files stand at the paths of an entry and of what was there before it. Paths of archives count: two
    /// may lead to one place.
    fn contest(&mut self, entry: &'a Entry, existing: NodeId, wins: bool) {
        let is_file = |entry: &Entry| matches!(entry.kind, EntryKind::File(_));
        let before = self.nodes.get(existing.index()).copied().flatten().filter(|before| is_file(before));
        if let Some(before) = before
            && let Some(package) = self.root.tree.node(existing).package
        {
            self.placed.contested.entry(before.path.as_bytes()).or_insert(package);
        }
        if wins && is_file(entry) {
            self.placed.contested.insert(entry.path.as_bytes(), index_of(self.index));
        }
    }

    /// Whether the entry takes the place of what is there; an error if neither may have it.
    fn wins_over(
        &self,
        entry: &Entry,
        checksum: &ContentSum,
        existing: NodeId,
    ) -> Result<bool, InstallError> {
        let node = self.root.tree.node(existing);
        if node.is_directory() {
            return Err(InstallError::IsAFolder { path: entry.path.clone(), needed_by: self.name.clone() });
        }
        let Some(owner) = node.package else {
            return self.same_as_ours(entry, checksum, node).map(|()| false);
        };
        let before = self.nodes.get(existing.index()).copied().flatten();
        if before.and_then(|before| before.checksum.as_ref()) == Some(checksum) {
            return Ok(false);
        }
        let (first, second) = (&self.packages[owner.0 as usize], self.package());
        // The text is compared as it stands: a `replaces` with a version never matches here.
        if first.info.replaces.iter().any(|name| name == second.info.name.as_str()) {
            return Ok(false);
        }
        let replaces = second.info.replaces.iter().any(|name| name == first.info.name.as_str());
        if replaces || first.info.origin == second.info.origin {
            return Ok(true);
        }
        Err(InstallError::FileConflict { path: entry.path.clone(), first: first.id(), second: second.id() })
    }

    /// A package may bring a file that we made, if it is not empty and has the very same bytes.
    fn same_as_ours(&self, entry: &Entry, checksum: &ContentSum, node: &Node) -> Result<(), InstallError> {
        if let Body::File(blob) = &node.body
            && !blob.is_empty()
        {
            let bytes = blob
                .read_to_vec(OWN_FILE_LIMIT)
                .map_err(|source| InstallError::Read { path: entry.path.clone(), source })?;
            if Sha1::digest(&bytes).as_slice() == checksum.as_bytes() {
                return Ok(());
            }
        }
        Err(InstallError::ClashesWithOurs { path: entry.path.clone(), package: self.package().id() })
    }

    fn hard_link(&mut self, entry: &'a Entry, target: &ImagePath, text: &[u8]) -> Result<(), InstallError> {
        let path = entry.path.as_bytes();
        let folder = self.parent(path)?;
        let Some(id) = self.root.look_up(target.as_bytes())? else {
            return Err(InstallError::HardLinkTarget {
                path: entry.path.clone(),
                target: target.clone(),
                package: self.package().id(),
            });
        };
        if self.root.tree.node(id).is_directory() {
            return Err(InstallError::IsAFolder { path: target.clone(), needed_by: self.name.clone() });
        }
        if self.root.tree.child(folder, split(path).1).is_some() {
            return Err(InstallError::Exists { path: entry.path.clone(), needed_by: self.name.clone() });
        }
        // Through a linked folder the name is not the one in the archive, and the layer gets a full copy.
        let direct = entry.path.parent().and_then(|parent| self.root.tree.get(&parent)) == Some(folder);
        self.root.name(folder, path, id, direct.then_some(text), &self.name)
    }

    /// Extended attributes go to whatever the path leads to now, even if this package's file lost.
    fn attributes(&mut self, entry: &Entry) -> Result<(), InstallError> {
        let Some(xattrs) = &entry.xattrs else { return Ok(()) };
        let Some(id) = self.root.look_up(entry.path.as_bytes())? else {
            return Err(InstallError::DanglingAttributes {
                path: entry.path.clone(),
                package: self.package().id(),
            });
        };
        let all = self.root.tree.node_mut(id).xattrs.get_or_insert_default();
        for (name, value) in &**xattrs {
            all.insert(name.clone(), value.clone());
        }
        Ok(())
    }
}
