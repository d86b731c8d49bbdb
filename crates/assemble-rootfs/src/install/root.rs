//! The tree with apko's way of following paths.
//!
//! apko's tree differs from the kernel in how links are followed, and its layers show it: a relative link is joined
//! to the *text* of the path so far, so below a folder reached through a link it may lead elsewhere; `..` is never
//! more than a name, so a link that climbs above the root, or an absolute one with `..` in it, leads nowhere.
//! Whatever is laid down the way apko does goes through here; [`Tree::resolve`] is for the rest of the world.

use std::collections::BTreeMap;

use assemble_types::{Blob, ImagePath, Mode, Owner};

use super::error::InstallError;
use super::text::join_clean;
use crate::shown::shown;
use crate::tree::{Body, Meta, Node, NodeId, Part, Tree};

/// Links inside links, as in Linux.
const MAX_DEPTH: u32 = 40;
/// Links in all for one look-up; without it forty links that each name the next twice would take 2^40 steps.
const MAX_FOLLOWED: u32 = 4096;

/// Too many links on the way.
struct LinkLimit;

pub(super) struct Root {
    pub(super) tree: Tree,
    /// The packages' bytes of packaged files that were written to since.
    packaged: BTreeMap<NodeId, Blob>,
}

/// Splits a path's text into the folder's text and the name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// The path for messages; a text that is no path of an image is shown as the root.
fn named(path: &[u8]) -> ImagePath {
    ImagePath::parse(join_clean(b"/", path)).unwrap_or_default()
}

fn meta(mode: u32, mtime: i64) -> Meta {
    Meta { mode: Mode::from_bits(mode), owner: Owner::ROOT, mtime }
}

impl Root {
    pub(super) fn new() -> Self {
        Self { tree: Tree::new(), packaged: BTreeMap::new() }
    }

    fn find(&self, path: &[u8], depth: u32, left: &mut u32) -> Result<Option<NodeId>, LinkLimit> {
        let mut at = self.tree.root();
        let mut seen: Vec<u8> = Vec::new();
        for name in path.split(|b| *b == b'/').filter(|name| !name.is_empty()) {
            let Some(entry) = self.tree.child(at, name) else { return Ok(None) };
            at = entry.node;
            if let Body::Symlink(text) = &self.tree.node(at).body {
                *left = left.checked_sub(1).ok_or(LinkLimit)?;
                if depth == MAX_DEPTH {
                    return Err(LinkLimit);
                }
                let absolute = text.starts_with(b"/");
                let next = if absolute { text.to_vec() } else { join_clean(&seen, text) };
                let Some(found) = self.find(&next, depth + 1, left)? else { return Ok(None) };
                at = found;
            }
            if !seen.is_empty() {
                seen.push(b'/');
            }
            seen.extend_from_slice(name);
        }
        Ok(Some(at))
    }

    /// What `path` leads to, its last link followed too; nothing if it leads nowhere.
    pub(super) fn look_up(&self, path: &[u8]) -> Result<Option<NodeId>, InstallError> {
        let mut left = MAX_FOLLOWED;
        self.find(path, 0, &mut left).map_err(|LinkLimit| InstallError::TooManyLinks { path: named(path) })
    }

    /// As [`Root::look_up`], for a path of the configuration: `.` is the root.
    pub(super) fn look_up_any(&self, path: &[u8]) -> Result<Option<NodeId>, InstallError> {
        self.look_up(if path == b"." { b"" } else { path })
    }

    /// The folder in which `path`'s last name stands.
    pub(super) fn parent(&self, path: &[u8], for_whom: &str) -> Result<NodeId, InstallError> {
        let (folder, _) = split(path);
        match self.look_up(folder)? {
            Some(id) if self.tree.node(id).is_directory() => Ok(id),
            _ => Err(self.not_a_folder(folder, for_whom)),
        }
    }

    /// Says what stands where a folder is needed.
    fn not_a_folder(&self, path: &[u8], for_whom: &str) -> InstallError {
        let there = match self.entry(path) {
            Ok(Some(id)) => match &self.tree.node(id).body {
                Body::Symlink(text) => {
                    format!("a symbolic link to `{}`, which leads to no folder of the image", shown(text))
                }
                Body::File(_) => "a file".to_owned(),
                Body::CharDevice { .. } => "a device".to_owned(),
                Body::Directory(_) => "a folder".to_owned(),
            },
            Ok(None) | Err(_) => "none".to_owned(),
        };
        InstallError::NotAFolder { path: named(path), needed_by: for_whom.to_owned(), there }
    }

    /// The node whose name is the last of `path`; that link is not followed.
    pub(super) fn entry(&self, path: &[u8]) -> Result<Option<NodeId>, InstallError> {
        let (folder, name) = split(path);
        let Some(folder) = self.look_up(folder)? else { return Ok(None) };
        Ok(self.tree.child(folder, name).map(|entry| entry.node))
    }

    /// The text of the link at `path`, if there is one.
    pub(super) fn read_link(&self, path: &[u8]) -> Result<Option<&[u8]>, InstallError> {
        Ok(self.entry(path)?.and_then(|id| match &self.tree.node(id).body {
            Body::Symlink(text) => Some(&**text),
            _ => None,
        }))
    }

    /// Adds a name that must be free.
    fn put(
        &mut self,
        folder: NodeId,
        path: &[u8],
        node: Node,
        for_whom: &str,
    ) -> Result<NodeId, InstallError> {
        let (_, name) = split(path);
        if self.tree.child(folder, name).is_some() {
            return Err(InstallError::Exists { path: named(path), needed_by: for_whom.to_owned() });
        }
        let id = self.tree.add(node);
        self.name(folder, path, id, None, for_whom)?;
        Ok(id)
    }

    /// Gives a node the name that `path` ends with, in place of what has that name.
    pub(super) fn name(
        &mut self,
        folder: NodeId,
        path: &[u8],
        id: NodeId,
        hard_link: Option<&[u8]>,
        for_whom: &str,
    ) -> Result<(), InstallError> {
        let (_, name) = split(path);
        self.tree
            .insert_in(folder, name, id, Part::Packages, hard_link)
            .map_err(|_| InstallError::IsAFolder { path: named(path), needed_by: for_whom.to_owned() })
    }

    /// Makes the folder and all that are missing above it, each with `mode` and time 0. Links are followed. Names that
    /// are dots would become folders of that name, so they are refused.
    pub(super) fn make_folders(
        &mut self,
        path: &[u8],
        mode: u32,
        for_whom: &str,
    ) -> Result<NodeId, InstallError> {
        if path.split(|b| *b == b'/').any(|name| matches!(name, b"." | b"..")) {
            return Err(InstallError::Dots { path: shown(path), needed_by: for_whom.to_owned() });
        }
        let mut at = self.tree.root();
        for end in (0..=path.len()).filter(|i| *i == path.len() || path[*i] == b'/') {
            let (_, name) = split(&path[..end]);
            if name.is_empty() {
                continue;
            }
            at = match self.tree.child(at, name).map(|entry| entry.node) {
                None => self.put(at, &path[..end], Node::directory(meta(mode, 0)), for_whom)?,
                Some(id) if matches!(self.tree.node(id).body, Body::Symlink(_)) => {
                    self.look_up(&path[..end])?.ok_or_else(|| self.not_a_folder(&path[..end], for_whom))?
                }
                Some(id) => id,
            };
            if !self.tree.node(at).is_directory() {
                return Err(self.not_a_folder(&path[..end], for_whom));
            }
        }
        Ok(at)
    }

    /// Makes one folder, whose parent must be there and whose name must be free.
    pub(super) fn make_folder(
        &mut self,
        path: &[u8],
        mode: u32,
        owner: Owner,
        for_whom: &str,
    ) -> Result<(), InstallError> {
        let folder = self.parent(path, for_whom)?;
        let id = self.put(folder, path, Node::directory(meta(mode, 0)), for_whom)?;
        self.tree.node_mut(id).meta.owner = owner;
        Ok(())
    }

    /// Makes a link with the time of the folder it is put into.
    pub(super) fn make_link(&mut self, path: &[u8], text: &[u8], for_whom: &str) -> Result<(), InstallError> {
        let folder = self.parent(path, for_whom)?;
        let mtime = self.tree.node(folder).meta.mtime;
        self.put(folder, path, Node::new(meta(0o777, mtime), Body::Symlink(text.into())), for_whom)?;
        Ok(())
    }

    /// Makes a character device with the time of the folder it is put into.
    pub(super) fn make_device(
        &mut self,
        path: &[u8],
        (major, minor): (u32, u32),
        mode: u32,
        for_whom: &str,
    ) -> Result<(), InstallError> {
        let folder = self.parent(path, for_whom)?;
        let mtime = self.tree.node(folder).meta.mtime;
        self.put(folder, path, Node::new(meta(mode, mtime), Body::CharDevice { major, minor }), for_whom)?;
        Ok(())
    }

    /// The file that `path` leads to, links followed: the name to be made if it is missing.
    fn file_at(&self, path: &[u8], for_whom: &str) -> Result<(Vec<u8>, Option<NodeId>), InstallError> {
        let mut path = path.to_vec();
        for _ in 0..=MAX_DEPTH {
            let folder = self.parent(&path, for_whom)?;
            let (folder_text, name) = split(&path);
            let Some(id) = self.tree.child(folder, name).map(|entry| entry.node) else {
                return Ok((path, None));
            };
            match &self.tree.node(id).body {
                Body::File(_) => return Ok((path, Some(id))),
                Body::Symlink(text) if text.starts_with(b"/") => path = join_clean(b"", text),
                Body::Symlink(text) => path = join_clean(folder_text, text),
                Body::Directory(_) | Body::CharDevice { .. } => {
                    return Err(InstallError::IsAFolder {
                        path: named(&path),
                        needed_by: for_whom.to_owned(),
                    });
                }
            }
        }
        Err(InstallError::TooManyLinks { path: named(&path) })
    }

    /// Writes a file. A new one has `mode` and time 0; one that is there keeps its mode, owner, package and time.
    pub(super) fn write(
        &mut self,
        path: &[u8],
        content: Vec<u8>,
        mode: u32,
        for_whom: &str,
    ) -> Result<NodeId, InstallError> {
        self.write_blob(path, Blob::from_bytes(content), mode, for_whom)
    }

    /// As [`Root::write`], of bytes that others hold too.
    pub(super) fn write_blob(
        &mut self,
        path: &[u8],
        content: Blob,
        mode: u32,
        for_whom: &str,
    ) -> Result<NodeId, InstallError> {
        match self.file_at(path, for_whom)? {
            (_, Some(id)) => {
                self.replace(id, content);
                Ok(id)
            }
            (path, None) => {
                let folder = self.parent(&path, for_whom)?;
                let node = Node::new(meta(mode, 0), Body::File(content));
                self.put(folder, &path, node, for_whom)
            }
        }
    }

    /// Gives a file new bytes. Nothing over a packaged file brings back the packaged bytes: that is what apko falls
    /// back to.
    fn replace(&mut self, id: NodeId, content: Blob) {
        let node = self.tree.node_mut(id);
        if node.package.is_some()
            && let Body::File(blob) = &node.body
        {
            let packaged = self.packaged.entry(id).or_insert_with(|| blob.clone());
            if content.is_empty() {
                node.body = Body::File(packaged.clone());
                return;
            }
        }
        node.body = Body::File(content);
    }

    /// Makes an empty file, or empties the one that is there; a device stays as it is.
    pub(super) fn empty(&mut self, path: &[u8], for_whom: &str) -> Result<(), InstallError> {
        let device = |id: &NodeId| matches!(self.tree.node(*id).body, Body::CharDevice { .. });
        if self.look_up(path)?.is_some_and(|id| device(&id)) {
            return Ok(());
        }
        self.write(path, Vec::new(), 0o644, for_whom).map(|_| ())
    }

    /// Makes an empty file unless one is there.
    pub(super) fn file(&mut self, path: &[u8], mode: u32, for_whom: &str) -> Result<NodeId, InstallError> {
        match self.file_at(path, for_whom)? {
            (_, Some(id)) => Ok(id),
            (_, None) => self.write(path, Vec::new(), mode, for_whom),
        }
    }

    /// The content of the file that `path` leads to, or nothing if it leads nowhere.
    pub(super) fn blob(&self, path: &[u8], for_whom: &str) -> Result<Option<Blob>, InstallError> {
        if self.look_up(path)?.is_none() {
            return Ok(None);
        }
        let (_, id) = self.file_at(path, for_whom)?;
        Ok(id.and_then(|id| match &self.tree.node(id).body {
            Body::File(blob) => Some(blob.clone()),
            _ => None,
        }))
    }

    /// All bytes of the file that `path` leads to, or nothing if it leads nowhere.
    pub(super) fn read(
        &self,
        path: &[u8],
        limit: u64,
        for_whom: &str,
    ) -> Result<Option<Vec<u8>>, InstallError> {
        let Some(blob) = self.blob(path, for_whom)? else { return Ok(None) };
        if blob.len() > limit {
            return Err(InstallError::TooLarge { path: named(path), size: blob.len(), limit });
        }
        blob.read_to_vec(limit).map(Some).map_err(|source| InstallError::Read { path: named(path), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(folders: &[&str], links: &[(&str, &str)]) -> Root {
        let mut root = Root::new();
        for folder in folders {
            root.make_folders(folder.as_bytes(), 0o755, "test").unwrap();
        }
        for (path, text) in links {
            root.make_link(path.as_bytes(), text.as_bytes(), "test").unwrap();
        }
        root
    }

    fn same(root: &Root, a: &str, b: &str) -> bool {
        let find = |path: &str| root.look_up(path.as_bytes()).unwrap();
        find(a).is_some() && find(a) == find(b)
    }

    #[test]
    fn a_relative_link_is_joined_to_the_text_of_the_path() {
        // `a` leads to `deep/er`; the link in there climbs once. The kernel finds `deep/x`, apko `x`.
        let root = made(&["deep/er", "deep/x", "x"], &[("a", "deep/er"), ("deep/er/up", "../x")]);
        assert!(same(&root, "a/up", "x"));
        assert!(same(&root, "deep/er/up", "deep/x"));
    }

    #[test]
    fn climbing_above_the_root_leads_nowhere() {
        let root = made(&["usr/lib"], &[("l", "../usr"), ("m", "/usr/../usr"), ("n", "usr/../usr/lib")]);
        assert_eq!(root.look_up(b"l").unwrap(), None);
        assert_eq!(root.look_up(b"m").unwrap(), None);
        assert!(same(&root, "n", "usr/lib"));
        assert!(same(&root, "//usr///lib/", "usr/lib"));
        assert_eq!(root.look_up(b"usr/./lib").unwrap(), None);
    }

    #[test]
    fn circles_and_doubling_links_end() {
        let mut root = made(&[], &[("me", "me")]);
        assert!(root.look_up(b"me").is_err());
        for i in 0..38 {
            root.make_link(format!("l{i}").as_bytes(), format!("l{0}/../l{0}", i + 1).as_bytes(), "test")
                .unwrap();
            root.make_link(format!("k{i}").as_bytes(), format!("/k{0}/k{0}", i + 1).as_bytes(), "test")
                .unwrap();
        }
        root.make_link(b"k38", b"/", "test").unwrap();
        assert!(root.look_up(b"k0").is_err());
        assert_eq!(root.look_up(b"l0").unwrap(), None);
    }

    #[test]
    fn writing_follows_links_and_keeps_what_is_there() {
        let mut root = made(&["etc", "run"], &[("etc/link", "../run/file")]);
        let first = root.write(b"etc/link", b"one".to_vec(), 0o600, "test").unwrap();
        let second = root.write(b"/run/file", b"two".to_vec(), 0o644, "test").unwrap();
        assert_eq!(first, second);
        assert_eq!(root.tree.node(first).meta.mode.bits(), 0o600);
        assert_eq!(root.read(b"etc/link", 10, "test").unwrap().unwrap(), b"two");
        assert_eq!(root.read(b"etc/none", 10, "test").unwrap(), None);
        assert!(matches!(root.read(b"run/file", 2, "test"), Err(InstallError::TooLarge { .. })));
        assert!(matches!(root.write(b"run", Vec::new(), 0o644, "test"), Err(InstallError::IsAFolder { .. })));
    }
}
