//! Looks paths up as the kernel does for a given user: links, permissions, the working folder.

use assemble_types::{Blob, ImagePath};

use crate::tree::{Body, Meta, NodeId, Tree};

/// How many links one look-up may follow (path_resolution(7)).
const MAX_LINKS: u32 = 40;
/// The longest path the kernel takes (`PATH_MAX` without the closing zero).
const MAX_PATH: usize = 4095;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// A permission bit of one of the three groups of a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    Read = 4,
    /// Running a file, or going through a folder.
    Execute = 1,
}

impl User {
    /// Whether the mode grants this. User 0 is taken to have the capabilities that runtimes leave it: everything but
    /// running what nobody may run.
    pub(super) fn may(self, right: Right, meta: &Meta, is_directory: bool) -> bool {
        let mode = meta.mode.bits();
        let bit = right as u32;
        if self.uid == 0 {
            right == Right::Read || is_directory || mode & 0o111 != 0
        } else if self.uid == meta.owner.uid {
            mode & (bit << 6) != 0
        } else if self.gid == meta.owner.gid {
            mode & (bit << 3) != 0
        } else {
            mode & bit != 0
        }
    }
}

/// Why a look-up ends without a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Miss {
    /// This is not there. `link` if a link leads to it.
    Absent { path: ImagePath, link: bool },
    /// This is in the middle of the path and no folder.
    NotAFolder(ImagePath),
    /// Links lead in a circle.
    Links,
    /// The user may not go through this folder.
    NoSearch(ImagePath),
    /// The path is too long, empty or has a NUL byte.
    Invalid,
}

/// A folder, and how `..` leads out of it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    at: NodeId,
    trail: Vec<(NodeId, Vec<u8>)>,
}

impl Place {
    fn root(tree: &Tree) -> Self {
        Self { at: tree.root(), trail: Vec::new() }
    }

    fn path(&self, last: Option<&[u8]>) -> ImagePath {
        let names = self.trail.iter().map(|(_, name)| name.as_slice()).chain(last);
        let raw: Vec<u8> = names.flat_map(|name| [b"/", name]).flatten().copied().collect();
        ImagePath::parse(raw).expect("made of names in the tree and names without `..`")
    }
}

/// A file, folder or device at the end of a look-up.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) path: ImagePath,
    pub(super) node: NodeId,
}

/// Looks things up in one tree for one user from one folder.
#[derive(Debug)]
pub(super) struct Walker<'t> {
    pub(super) tree: &'t Tree,
    pub(super) user: User,
    cwd: Place,
}

impl<'t> Walker<'t> {
    /// Looks up from the root.
    pub(super) fn new(tree: &'t Tree, user: User) -> Self {
        Self { tree, user, cwd: Place::root(tree) }
    }

    /// Goes to a folder. Runtimes do so before they give up root, so permissions do not count.
    pub(super) fn change_directory(&mut self, path: &[u8]) -> Result<(), Miss> {
        let root = Walker { tree: self.tree, user: User { uid: 0, gid: 0 }, cwd: Place::root(self.tree) };
        let place = root.walk(path)?;
        if !self.tree.node(place.at).is_directory() {
            return Err(Miss::NotAFolder(place.path(None)));
        }
        self.cwd = place;
        Ok(())
    }

    /// The path of what `raw` names, links not followed, for messages.
    pub(super) fn absolute(&self, raw: &[u8]) -> Vec<u8> {
        if raw.starts_with(b"/") {
            return raw.to_vec();
        }
        let mut out = vec![b'/'];
        out.extend_from_slice(self.cwd.path(None).as_bytes());
        if out.len() > 1 {
            out.push(b'/');
        }
        out.extend_from_slice(raw.strip_prefix(b"./").unwrap_or(raw));
        out
    }

    /// Looks up `raw`, absolute or from the working folder; the last component's link is followed too. What is not
    /// there is absent, even behind a folder that is closed: to open that would not help.
    pub(super) fn find(&self, raw: &[u8]) -> Result<Found, Miss> {
        let place = self.walk(raw).map_err(|miss| match miss {
            Miss::NoSearch(_) => {
                let root = User { uid: 0, gid: 0 };
                Walker { tree: self.tree, user: root, cwd: self.cwd.clone() }.walk(raw).err().unwrap_or(miss)
            }
            miss => miss,
        })?;
        let path = place.path(None);
        if raw.ends_with(b"/") && !self.tree.node(place.at).is_directory() {
            return Err(Miss::NotAFolder(path));
        }
        Ok(Found { path, node: place.at })
    }

    /// The content of the file at `raw`, if it is one.
    pub(super) fn file(&self, raw: &[u8]) -> Option<&'t Blob> {
        match &self.tree.node(self.find(raw).ok()?.node).body {
            Body::File(blob) => Some(blob),
            _ => None,
        }
    }

    fn walk(&self, raw: &[u8]) -> Result<Place, Miss> {
        if raw.is_empty() || raw.len() > MAX_PATH || raw.contains(&0) {
            return Err(Miss::Invalid);
        }
        let mut place = if raw.starts_with(b"/") { Place::root(self.tree) } else { self.cwd.clone() };
        let mut todo: Vec<&[u8]> = raw.split(|b| *b == b'/').rev().collect();
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name.is_empty() || name == b"." {
                continue;
            }
            let node = self.tree.node(place.at);
            if !node.is_directory() {
                return Err(Miss::NotAFolder(place.path(None)));
            }
            if !self.user.may(Right::Execute, &node.meta, true) {
                return Err(Miss::NoSearch(place.path(None)));
            }
            if name == b".." {
                if let Some((parent, _)) = place.trail.pop() {
                    place.at = parent;
                }
                continue;
            }
            let Some(entry) = self.tree.child(place.at, name) else {
                return Err(Miss::Absent { path: beyond(place.path(Some(name)), &todo), link: links > 0 });
            };
            if let Body::Symlink(text) = &self.tree.node(entry.node).body {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Miss::Links);
                }
                if text.is_empty() || text.len() > MAX_PATH {
                    return Err(Miss::Invalid);
                }
                if text.starts_with(b"/") {
                    place = Place::root(self.tree);
                }
                todo.extend(text.split(|b| *b == b'/').rev());
            } else {
                place.trail.push((place.at, name.to_vec()));
                place.at = entry.node;
            }
        }
        Ok(place)
    }
}

/// The path that the rest of a look-up would have led to.
fn beyond(path: ImagePath, todo: &[&[u8]]) -> ImagePath {
    let rest: Vec<&[u8]> = todo.iter().rev().take_while(|name| **name != b"..").copied().collect();
    path.join(rest.join(&b'/')).unwrap_or(path)
}
