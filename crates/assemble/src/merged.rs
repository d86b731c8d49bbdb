//! The file system of an image as a container sees it, from its layers (OCI image spec, layer, "Applying Changesets").

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use assemble_layer::{EntryKind, read_layer};
use assemble_rootfs::{Body, Meta, Node, NodeId, Part, Tree};
use assemble_types::{Blob, ImagePath, Mode, Owner};

use crate::error::{OwnError, Result};

/// A name in a layer that starts like this takes a name of a lower layer away.
const WHITEOUT: &[u8] = b".wh.";
/// Takes away all that lower layers have in its folder.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Names of all layers put together; contents are read from their layer when asked for.
#[derive(Debug)]
pub(crate) struct Merged {
    tree: Tree,
    /// Where the content of a file is: the number of its layer, and of its entry there.
    contents: BTreeMap<NodeId, (usize, u64)>,
    layers: Vec<Blob>,
}

impl Merged {
    /// Stacks layers, lowest first.
    pub(crate) fn new(layers: Vec<Blob>) -> Result<Self> {
        let mut merged = Self { tree: Tree::new(), contents: BTreeMap::new(), layers: Vec::new() };
        for (number, layer) in layers.iter().enumerate() {
            merged.apply(number, layer)?;
        }
        merged.layers = layers;
        Ok(merged)
    }

    fn apply(&mut self, number: usize, layer: &Blob) -> Result<()> {
        let mut reader = read_layer(layer)?;
        // Names of this very layer are not touched by its own whiteouts.
        let mut fresh: BTreeSet<ImagePath> = BTreeSet::new();
        let mut position = 0;
        while let Some(entry) = reader.next_entry()? {
            position += 1;
            let Some(name) = entry.path.file_name().map(<[u8]>::to_vec) else { continue };
            let parent = entry.path.parent().unwrap_or_default();
            if name == OPAQUE {
                self.clear(&parent, &fresh);
                continue;
            }
            if let Some(hidden) = name.strip_prefix(WHITEOUT) {
                if let Ok(path) = parent.join(hidden) {
                    self.tree.remove(&path);
                }
                continue;
            }
            let owner = Owner { uid: narrow(entry.uid), gid: narrow(entry.gid) };
            let meta = Meta { mode: entry.mode, owner, mtime: entry.mtime };
            let existing = self.tree.get(&entry.path);
            let is_directory = existing.is_some_and(|id| self.tree.node(id).is_directory());
            if entry.kind == EntryKind::Directory && is_directory {
                continue;
            }
            let id = match self.node(entry.kind, &entry.link, meta) {
                Some(Made::New(node)) => self.tree.add(node),
                Some(Made::Known(id)) => id,
                None => continue,
            };
            if entry.kind == EntryKind::File {
                self.contents.insert(id, (number, position));
            }
            if is_directory {
                self.tree.remove(&entry.path);
            }
            let usual = Meta { mode: Mode::DIRECTORY, owner: Owner::ROOT, mtime: 0 };
            let placed = self
                .tree
                .make_directories(&parent, usual, Part::Packages)
                .and_then(|(_, real)| {
                    Ok((real.join(&name).map_err(|_| assemble_rootfs::TreeError::Escapes(real))?, id))
                })
                .and_then(|(path, id)| self.tree.insert(&path, id, Part::Packages, None));
            placed.map_err(|e| OwnError::Damaged {
                place: format!("layer {}", number + 1),
                why: e.to_string(),
            })?;
            fresh.insert(entry.path);
        }
        Ok(())
    }

    fn node(&self, kind: EntryKind, link: &[u8], meta: Meta) -> Option<Made> {
        Some(match kind {
            EntryKind::Directory => Made::New(Node::directory(meta)),
            EntryKind::Symlink => Made::New(Node::new(meta, Body::Symlink(link.into()))),
            EntryKind::File => Made::New(Node::new(meta, Body::File(Blob::from_bytes(Vec::new())))),
            EntryKind::HardLink => Made::Known(self.tree.get(&ImagePath::parse(link).ok()?)?),
            EntryKind::CharDevice | EntryKind::BlockDevice | EntryKind::Fifo => return None,
        })
    }

    /// Takes away what lower layers have in a folder.
    fn clear(&mut self, folder: &ImagePath, keep: &BTreeSet<ImagePath>) {
        let Some(id) = self.tree.get(folder) else { return };
        let names: Vec<Vec<u8>> = self.tree.names(id).map(|(name, _)| name.to_vec()).collect();
        for path in names.iter().filter_map(|name| folder.join(name).ok()).filter(|path| !keep.contains(path))
        {
            self.tree.remove(&path);
        }
    }

    /// Whether a folder is there, links followed.
    pub(crate) fn is_folder(&self, path: &ImagePath) -> bool {
        let node = self.tree.resolve(path, true).ok().and_then(|resolved| resolved.node);
        node.is_some_and(|id| self.tree.node(id).is_directory())
    }

    /// Copies a file's content, links followed; false if no file is there.
    pub(crate) fn copy(&self, path: &ImagePath, out: &mut dyn Write) -> Result<bool> {
        let found = self.tree.resolve(path, true).ok().and_then(|resolved| resolved.node);
        let Some((number, position)) = found.and_then(|id| self.contents.get(&id)) else { return Ok(false) };
        let mut reader = read_layer(&self.layers[*number])?;
        for _ in 0..*position {
            reader.next_entry()?;
        }
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let n = reader.read_content(&mut buffer)?;
            match out.write_all(&buffer[..n]) {
                Ok(()) if n > 0 => {}
                Ok(()) => return Ok(true),
                // Whoever reads has seen enough.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(true),
                Err(error) => return Err(OwnError::io("standard output", "cannot be written")(error)),
            }
        }
    }
}

enum Made {
    New(Node),
    Known(NodeId),
}

/// Ids that do not fit are only seen in layers of others; nothing here depends on them.
fn narrow(id: u64) -> u32 {
    u32::try_from(id).unwrap_or(u32::MAX)
}
