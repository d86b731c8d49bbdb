//! Changes to paths, in the order of the configuration.
//!
//! # Why it is the way it is
//! apko makes the thing at `dirname/basename` of the path, but changes mode and owner at the path as it is written,
//! with links followed. For most paths that is one place; where it is not (a slash at the end, a link), the result is
//! what falls out of these two rules, and layers show it.

use std::collections::{BTreeMap, BTreeSet};

use assemble_types::ImagePath;

use super::error::InstallError;
use super::mutations::{PathKind, PathMutation};
use super::root::Root;
use super::text::{base_name, dir_name, join_clean};
use crate::shown::shown;
use crate::tree::{NodeId, Tree};

/// Names that one recursive change may touch: folders with several names can multiply them.
const MAX_TOUCHED: usize = 2_000_000;

/// Names that an image may have once folders have several: forty such links can make more than fit on any disk.
const MAX_NAMES: u64 = 2_000_000;
/// The longest path that Linux takes.
const LONGEST_PATH: u64 = 4095;

/// Does the changes.
pub(super) fn apply(root: &mut Root, paths: &[PathMutation]) -> Result<(), InstallError> {
    let mut last_linked_folder = None;
    for (number, mutation) in paths.iter().enumerate() {
        let step = Step { mutation, name: format!("paths[{number}]") };
        if step.make(root)? == Made::SecondNameOfAFolder {
            last_linked_folder = Some((mutation, step.name.clone()));
        }
        step.permissions(root)?;
    }
    if let Some((mutation, needed_by)) = last_linked_folder {
        let (names, longest) = extent(&root.tree, root.tree.root());
        if names > MAX_NAMES || longest > LONGEST_PATH {
            return Err(InstallError::FolderInItself { path: shown(mutation.path.as_bytes()), needed_by });
        }
    }
    Ok(())
}

/// What a change put into the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// One name at most, and folders that lead to it.
    Usual,
    /// Everything in the folder has one path more.
    SecondNameOfAFolder,
}

struct Step<'a> {
    mutation: &'a PathMutation,
    /// For messages.
    name: String,
}

impl Step<'_> {
    fn path(&self) -> &[u8] {
        self.mutation.path.as_bytes()
    }

    fn missing(&self, path: &[u8]) -> InstallError {
        InstallError::NoSuchPath { path: shown(path), needed_by: self.name.clone() }
    }

    fn make(&self, root: &mut Root) -> Result<Made, InstallError> {
        match &self.mutation.kind {
            PathKind::Permissions => {}
            PathKind::Directory => {
                root.make_folders(self.path(), self.mutation.mode.bits(), &self.name)?;
            }
            PathKind::EmptyFile => {
                let place = self.place(root)?;
                root.empty(&place, &self.name)?;
            }
            PathKind::Symlink(text) => {
                let place = self.place(root)?;
                root.make_link(&place, text.as_bytes(), &self.name)?;
            }
            PathKind::HardLink(source) => return self.hard_link(root, source.as_bytes()),
        }
        Ok(Made::Usual)
    }

    /// Where the thing is made; the folder is made first.
    fn place(&self, root: &mut Root) -> Result<Vec<u8>, InstallError> {
        let (folder, name) = (dir_name(self.path()), base_name(self.path()));
        if folder == b"." || matches!(name.as_slice(), b"." | b".." | b"/") {
            return Err(InstallError::Dots { path: shown(self.path()), needed_by: self.name.clone() });
        }
        root.make_folders(&folder, 0o755, &self.name)?;
        Ok(join_clean(&folder, &name))
    }

    fn hard_link(&self, root: &mut Root, source: &[u8]) -> Result<Made, InstallError> {
        let place = self.place(root)?;
        let folder = root.parent(&place, &self.name)?;
        let name = base_name(&place);
        // What the path leads to is looked at, but the name itself is taken away.
        if root.look_up_any(self.path())?.is_some() && !root.tree.remove_from(folder, &name) {
            return Err(self.missing(&place));
        }
        let node = root.look_up_any(source)?.ok_or_else(|| self.missing(source))?;
        if contains(&root.tree, node, folder) {
            return Err(InstallError::FolderInItself {
                path: shown(self.path()),
                needed_by: self.name.clone(),
            });
        }
        if root.tree.child(folder, &name).is_some() {
            let path = ImagePath::parse(&place).unwrap_or_default();
            return Err(InstallError::Exists { path, needed_by: self.name.clone() });
        }
        root.name(folder, &place, node, None, &self.name)?;
        Ok(if root.tree.node(node).is_directory() { Made::SecondNameOfAFolder } else { Made::Usual })
    }

    /// Mode and owner of what the path leads to, and of all below it if that is asked for.
    fn permissions(&self, root: &mut Root) -> Result<(), InstallError> {
        let nodes = if self.mutation.recursive {
            self.all_below(root)?
        } else {
            vec![self.target(root, self.path())?]
        };
        for node in nodes {
            let meta = &mut root.tree.node_mut(node).meta;
            meta.mode = self.mutation.mode;
            if let Some(owner) = self.mutation.owner {
                meta.owner = owner;
            }
        }
        Ok(())
    }

    fn target(&self, root: &Root, path: &[u8]) -> Result<NodeId, InstallError> {
        root.look_up_any(path)?.ok_or_else(|| self.missing(path))
    }

    /// The node at the path and those of all names below. A link below is followed for its target's sake, but what
    /// lies below that is not meant.
    fn all_below(&self, root: &Root) -> Result<Vec<NodeId>, InstallError> {
        let top = self.target(root, self.path())?;
        let mut found = vec![top];
        let mut folders = vec![(self.path().to_vec(), top)];
        while let Some((path, folder)) = folders.pop() {
            for (name, entry) in root.tree.names(folder) {
                let below = if path == b"." { name.to_vec() } else { join_clean(&path, name) };
                found.push(self.target(root, &below)?);
                if found.len() > MAX_TOUCHED {
                    return Err(InstallError::FolderInItself {
                        path: shown(self.path()),
                        needed_by: self.name.clone(),
                    });
                }
                if root.tree.node(entry.node).is_directory() {
                    folders.push((below, entry.node));
                }
            }
        }
        Ok(found)
    }
}

/// How many names lie below a folder, each as often as paths lead to it, and how many bytes the longest path has.
fn extent(tree: &Tree, top: NodeId) -> (u64, u64) {
    let mut known: BTreeMap<NodeId, (u64, u64)> = BTreeMap::new();
    let mut todo = vec![(top, false)];
    while let Some((id, entered)) = todo.pop() {
        if known.contains_key(&id) {
            continue;
        }
        if !entered {
            todo.push((id, true));
            let folders = tree.names(id).map(|(_, entry)| entry.node);
            todo.extend(folders.filter(|id| tree.node(*id).is_directory()).map(|id| (id, false)));
            continue;
        }
        let (mut names, mut longest) = (0_u64, 0_u64);
        for (name, entry) in tree.names(id) {
            let (below, length) = known.get(&entry.node).copied().unwrap_or_default();
            names = names.saturating_add(1).saturating_add(below);
            longest = longest.max(length + name.len() as u64 + 1);
        }
        known.insert(id, (names, longest));
    }
    known.get(&top).copied().unwrap_or_default()
}

/// Whether `folder` is `top` or lies somewhere below it.
fn contains(tree: &Tree, top: NodeId, folder: NodeId) -> bool {
    let mut seen = BTreeSet::new();
    let mut todo = vec![top];
    while let Some(id) = todo.pop() {
        if id == folder {
            return true;
        }
        if seen.insert(id) {
            todo.extend(tree.names(id).map(|(_, e)| e.node).filter(|id| tree.node(*id).is_directory()));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use assemble_types::{Mode, Owner};

    use super::*;
    use crate::tree::Body;

    fn mutation(kind: PathKind, path: &str, mode: u32) -> PathMutation {
        PathMutation { path: path.into(), kind, mode: Mode::from_bits(mode), owner: None, recursive: false }
    }

    fn recursive(kind: PathKind, path: &str, mode: u32, uid: u32) -> PathMutation {
        PathMutation { owner: Some(Owner { uid, gid: 0 }), recursive: true, ..mutation(kind, path, mode) }
    }

    fn made(files: &[&str], links: &[(&str, &str)]) -> Root {
        let mut root = Root::new();
        for file in files {
            root.make_folders(super::super::root::split(file.as_bytes()).0, 0o755, "test").unwrap();
            root.write(file.as_bytes(), b"text".to_vec(), 0o644, "test").unwrap();
        }
        for (path, text) in links {
            root.make_link(path.as_bytes(), text.as_bytes(), "test").unwrap();
        }
        root
    }

    /// Path and mode (or target) of everything.
    fn all(root: &Root) -> Vec<String> {
        let line = |e: crate::tree::TreeEntry<'_>| match &e.node.body {
            Body::Symlink(text) => format!("{} -> {}", e.path, String::from_utf8_lossy(text)),
            Body::File(blob) => format!("{} {} {}", e.path, e.node.meta.mode, blob.len()),
            _ => format!("{} {}", e.path, e.node.meta.mode),
        };
        root.tree.entries().into_iter().map(line).collect()
    }

    fn refused(root: &mut Root, mutation: PathMutation) -> String {
        let error = apply(root, &[mutation]).unwrap_err();
        assert!(error.to_string().contains("paths[0]"), "{error}");
        format!("{error:?}").split([' ', '(']).next().unwrap().to_owned()
    }

    #[test]
    fn folders_have_one_mode_and_files_lie_in_usual_ones() {
        let mut root = made(&[], &[]);
        apply(
            &mut root,
            &[
                mutation(PathKind::Directory, "//a//b/", 0o1700),
                mutation(PathKind::EmptyFile, "c/d", 0o600),
                mutation(PathKind::Directory, "nomode", 0),
            ],
        )
        .unwrap();
        assert_eq!(all(&root), ["/a 1700", "/a/b 1700", "/c 0755", "/c/d 0600 0", "/nomode 0000"]);
    }

    #[test]
    fn a_slash_at_the_end_makes_a_folder_with_a_file_in_it() {
        let mut root = made(&[], &[]);
        apply(&mut root, &[mutation(PathKind::EmptyFile, "/a/b/", 0o700)]).unwrap();
        assert_eq!(all(&root), ["/a 0755", "/a/b 0700", "/a/b/b 0644 0"]);
        let source = PathKind::HardLink("/a/b/b".into());
        assert_eq!(refused(&mut root, mutation(source, "/x/", 0)), "NoSuchPath");
    }

    #[test]
    fn modes_go_through_links() {
        let mut root = made(&["etc/motd"], &[("cur", "etc")]);
        apply(&mut root, &[mutation(PathKind::Symlink("/etc/motd".into()), "/opt/l", 0o600)]).unwrap();
        assert_eq!(
            all(&root),
            ["/cur -> etc", "/etc 0755", "/etc/motd 0600 4", "/opt 0755", "/opt/l -> /etc/motd"]
        );
        apply(&mut root, &[mutation(PathKind::Permissions, "cur", 0o711)]).unwrap();
        assert_eq!(root.tree.node(root.look_up(b"etc").unwrap().unwrap()).meta.mode.bits(), 0o711);
        let dangling = PathKind::Symlink("/nowhere".into());
        assert_eq!(refused(&mut root, mutation(dangling, "/opt/d", 0)), "NoSuchPath");
        assert_eq!(refused(&mut root, mutation(PathKind::Permissions, "/not/there", 0)), "NoSuchPath");
        assert_eq!(refused(&mut root, mutation(PathKind::Symlink("/x".into()), "/etc/motd", 0)), "Exists");
    }

    #[test]
    fn recursive_follows_links_but_does_not_go_down_there() {
        let mut root = made(&["a/x", "b/y"], &[("a/l", "/b"), ("a/x2", "x")]);
        apply(&mut root, &[recursive(PathKind::Permissions, "/a", 0o750, 3)]).unwrap();
        assert_eq!(
            all(&root),
            ["/a 0750", "/a/l -> /b", "/a/x 0750 4", "/a/x2 -> x", "/b 0750", "/b/y 0644 4"]
        );
        root.make_link(b"a/z", b"nowhere", "test").unwrap();
        assert_eq!(refused(&mut root, recursive(PathKind::Permissions, "/a", 0, 0)), "NoSuchPath");
        // The whole tree, by any of its names.
        for top in ["/", "", "."] {
            let mut root = made(&["a/x"], &[]);
            apply(&mut root, &[recursive(PathKind::Permissions, top, 0o700, 1)]).unwrap();
            assert_eq!(all(&root), ["/a 0700", "/a/x 0700 4"], "{top:?}");
        }
    }

    #[test]
    fn hard_links_share_everything_even_folders() {
        let mut root = made(&["a/x", "b/y"], &[("l", "b/y"), ("d", "none")]);
        let link = |source: &str, path: &str| mutation(PathKind::HardLink(source.into()), path, 0o640);
        apply(&mut root, &[link("a/x", "/b/y"), link("/a", "c/d")]).unwrap();
        assert_eq!(
            all(&root),
            [
                "/a 0640",
                "/a/x 0640 4",
                "/b 0755",
                "/b/y 0640 4",
                "/c 0755",
                "/c/d 0640",
                "/c/d/x 0640 4",
                "/d -> none",
                "/l -> b/y"
            ]
        );
        // A folder gives way to a file, a link that leads somewhere to what is linked; one that leads nowhere does not.
        apply(&mut root, &[link("b/y", "/c/d"), link("b/y", "/l")]).unwrap();
        assert!(
            all(&root).contains(&"/c/d 0640 4".to_owned()) && all(&root).contains(&"/l 0640 4".to_owned())
        );
        assert_eq!(refused(&mut root, link("b/y", "/d")), "Exists");
        assert_eq!(refused(&mut root, link("/none", "/e")), "NoSuchPath");
        assert_eq!(refused(&mut root, link("/", "/a/b")), "FolderInItself");
        assert_eq!(refused(&mut root, link("/a", "/a/b")), "FolderInItself");
    }

    #[test]
    fn folders_with_several_names_do_not_multiply_without_end() {
        let link = |source: String, path: String| mutation(PathKind::HardLink(source), &path, 0o755);
        let doubled = |levels: usize| -> Vec<PathMutation> {
            let names = (1..levels).flat_map(|i| [("x", i), ("y", i)]);
            names.map(|(name, i)| link(format!("/a{}", i - 1), format!("/a{i}/{name}"))).collect()
        };
        let mut root = made(&["a0/f"], &[]);
        apply(&mut root, &doubled(6)).unwrap();
        assert_eq!(extent(&root.tree, root.tree.root()).0, root.tree.entries().len() as u64);
        let error = apply(&mut made(&["a0/f"], &[]), &doubled(40)).unwrap_err();
        assert!(matches!(error, InstallError::FolderInItself { .. }), "{error}");
        let deep: Vec<PathMutation> =
            (1..5000).map(|i| link(format!("/a{}", i - 1), format!("/a{i}/x"))).collect();
        let error = apply(&mut made(&["a0/f"], &[]), &deep).unwrap_err();
        assert!(matches!(error, InstallError::FolderInItself { .. }), "{error}");
    }

    #[test]
    fn what_makes_apko_break_down_is_refused() {
        for (kind, path) in [
            (PathKind::Directory, "/srv/x/../y"),
            (PathKind::Directory, "./app"),
            (PathKind::EmptyFile, "app"),
            (PathKind::EmptyFile, "./app"),
            (PathKind::EmptyFile, "/"),
            (PathKind::EmptyFile, ""),
            (PathKind::Symlink("x".into()), "app"),
            (PathKind::EmptyFile, "/srv/.."),
        ] {
            assert_eq!(refused(&mut made(&["srv/x/z"], &[]), mutation(kind, path, 0)), "Dots", "{path}");
        }
        let dotted = mutation(PathKind::EmptyFile, "/srv/./y", 0);
        assert_eq!(refused(&mut made(&["srv/x/z"], &[]), dotted), "NoSuchPath");
    }

    #[test]
    fn an_emptied_packaged_file_has_its_packaged_bytes() {
        let mut root = made(&["etc/passwd"], &[]);
        let id = root.look_up(b"etc/passwd").unwrap().unwrap();
        root.tree.node_mut(id).package = Some(crate::tree::PackageIndex(0));
        root.write(b"etc/passwd", b"rewritten".to_vec(), 0o644, "test").unwrap();
        apply(&mut root, &[mutation(PathKind::EmptyFile, "/etc/passwd", 0o600)]).unwrap();
        assert_eq!(root.read(b"etc/passwd", 99, "test").unwrap().unwrap(), b"text");
    }
}
