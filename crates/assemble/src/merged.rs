//! The file system of an image as a container sees it, from its layers (OCI image spec, layer, "Applying Changesets").

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::ops::Range;

use assemble_layer::{EntryKind, LayerEntry, LayerReader, read_layer};
use assemble_rootfs::{Body, Meta, Node, NodeId, Part, Tree, Xattrs};
use assemble_types::{Blob, ImagePath, Mode, Owner, Spool, SpoolWriter};

use crate::error::{OwnError, Result};

/// A name in a layer that starts like this takes a name of a lower layer away.
const WHITEOUT: &[u8] = b".wh.";
/// Takes away all that lower layers have in its folder.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What was left out, since a tree has no place for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Block devices and named pipes.
    pub(crate) specials: u64,
}

/// Names of all layers put together; contents are read from their layer when asked for.
#[derive(Debug)]
pub(crate) struct Merged {
    tree: Tree,
    /// Where the content of a file is: the number of its layer, and of its entry there.
    contents: BTreeMap<NodeId, (usize, u64)>,
    layers: Vec<Blob>,
    left_out: LeftOut,
}

/// The contents of one layer's files, one after the other.
struct Unpacked {
    writer: Box<dyn SpoolWriter>,
    length: u64,
    files: Vec<(NodeId, Range<u64>)>,
}

impl Unpacked {
    fn new(spool: &dyn Spool) -> Result<Self> {
        let writer = spool.create().map_err(OwnError::io(TEMPORARY, "cannot be made"))?;
        Ok(Self { writer, length: 0, files: Vec::new() })
    }

    /// Takes the content of the reader's entry for a file.
    fn take(&mut self, id: NodeId, reader: &mut LayerReader) -> Result<()> {
        let start = self.length;
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let n = reader.read_content(&mut buffer)?;
            if n == 0 {
                break;
            }
            self.writer.write_all(&buffer[..n]).map_err(OwnError::io(TEMPORARY, "cannot be written"))?;
            self.length += n as u64;
        }
        self.files.push((id, start..self.length));
        Ok(())
    }

    /// Gives the files their contents.
    fn finish(self, tree: &mut Tree) -> Result<()> {
        let all = self.writer.finish().map_err(OwnError::io(TEMPORARY, "cannot be written"))?;
        for (id, range) in self.files {
            let content =
                all.slice(range).ok_or_else(|| OwnError::Bug("a file lies outside its layer".into()))?;
            tree.node_mut(id).body = Body::File(content);
        }
        Ok(())
    }
}

/// Where contents are kept until they are written, for messages.
const TEMPORARY: &str = "the temporary file";

impl Merged {
    /// Stacks layers, lowest first.
    pub(crate) fn new(layers: Vec<Blob>) -> Result<Self> {
        let mut merged = Self {
            tree: Tree::new(),
            contents: BTreeMap::new(),
            layers: Vec::new(),
            left_out: LeftOut::default(),
        };
        for (number, layer) in layers.iter().enumerate() {
            merged.apply(number, layer, None)?;
        }
        merged.layers = layers;
        Ok(merged)
    }

    /// Stacks layers into a tree whose files have their contents, which are unpacked into `spool`.
    pub(crate) fn tree(layers: &[Blob], spool: &dyn Spool) -> Result<(Tree, LeftOut)> {
        let mut merged = Self::new(Vec::new())?;
        for (number, layer) in layers.iter().enumerate() {
            let mut unpacked = Unpacked::new(spool)?;
            merged.apply(number, layer, Some(&mut unpacked))?;
            unpacked.finish(&mut merged.tree)?;
        }
        Ok((merged.tree, merged.left_out))
    }

    fn apply(&mut self, number: usize, layer: &Blob, mut unpacked: Option<&mut Unpacked>) -> Result<()> {
        let mut reader = read_layer(layer)?;
        // Names of this very layer are not touched by its own whiteouts.
        let mut fresh: BTreeSet<ImagePath> = BTreeSet::new();
        // apko's layers, and so ours, may name a hard link before the file that it is a name of.
        let mut later: Vec<(ImagePath, Vec<u8>)> = Vec::new();
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
            if let (EntryKind::Directory, true, Some(id)) = (entry.kind, is_directory, existing) {
                let node = self.tree.node_mut(id);
                node.meta = meta;
                node.xattrs = attributes(&entry);
                continue;
            }
            let id = match self.node(&entry, meta) {
                Some(Made::New(node)) => self.tree.add(node),
                Some(Made::Known(id)) => id,
                None if entry.kind == EntryKind::HardLink => {
                    later.push((entry.path, entry.link));
                    continue;
                }
                None => {
                    self.left_out.specials += 1;
                    continue;
                }
            };
            if entry.kind == EntryKind::File {
                self.contents.insert(id, (number, position));
                if let Some(unpacked) = unpacked.as_deref_mut() {
                    unpacked.take(id, &mut reader)?;
                }
            }
            if is_directory {
                self.tree.remove(&entry.path);
            }
            self.put(number, &entry.path, id)?;
            fresh.insert(entry.path);
        }
        for (path, link) in later {
            match self.linked(&link) {
                Some(id) => self.put(number, &path, id)?,
                None => self.left_out.specials += 1,
            }
        }
        Ok(())
    }

    /// Gives a node a name. Links among the parents are followed.
    fn put(&mut self, number: usize, path: &ImagePath, id: NodeId) -> Result<()> {
        let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else { return Ok(()) };
        let usual = Meta { mode: Mode::DIRECTORY, owner: Owner::ROOT, mtime: 0 };
        let placed = self
            .tree
            .make_directories(&parent, usual, Part::Files)
            .and_then(|(_, real)| {
                Ok((real.join(name).map_err(|_| assemble_rootfs::TreeError::Escapes(real))?, id))
            })
            .and_then(|(path, id)| self.tree.insert(&path, id, Part::Files, None));
        placed.map_err(|e| {
            OwnError::Damaged { place: format!("layer {}", number + 1), why: e.to_string() }.into()
        })
    }

    /// What a hard link with this text is another name of.
    fn linked(&self, text: &[u8]) -> Option<NodeId> {
        let id = self.tree.get(&ImagePath::parse(text).ok()?)?;
        (!self.tree.node(id).is_directory()).then_some(id)
    }

    fn node(&self, entry: &LayerEntry, meta: Meta) -> Option<Made> {
        let body = match entry.kind {
            EntryKind::Directory => Body::Directory(BTreeMap::new()),
            EntryKind::Symlink => Body::Symlink(entry.link.as_slice().into()),
            EntryKind::File => Body::File(Blob::from_bytes(Vec::new())),
            EntryKind::HardLink => {
                return self.linked(&entry.link).map(Made::Known);
            }
            EntryKind::CharDevice => {
                let (major, minor) = entry.device?;
                Body::CharDevice { major, minor }
            }
            EntryKind::BlockDevice | EntryKind::Fifo => return None,
        };
        let mut node = Node::new(meta, body);
        node.xattrs = attributes(entry);
        Some(Made::New(node))
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

fn attributes(entry: &LayerEntry) -> Option<Box<Xattrs>> {
    (!entry.xattrs.is_empty()).then(|| Box::new(entry.xattrs.clone()))
}

enum Made {
    New(Node),
    Known(NodeId),
}

/// Ids that do not fit are only seen in layers of others; nothing here depends on them.
fn narrow(id: u64) -> u32 {
    u32::try_from(id).unwrap_or(u32::MAX)
}
