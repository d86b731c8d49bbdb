//! Places the user's own files and binary over what is there.

use assemble_types::{Blob, Explain, ImagePath, Kind, Mode, Owner};

use crate::shown::shown;
use crate::tree::{Body, Meta, Node, PackageIndex, Part, Tree, TreeError};

/// Names with this beginning mean "removed" to a runtime that unpacks layers (OCI image spec, layer, whiteouts).
const WHITEOUT: &[u8] = b".wh.";

/// The longest name in bytes that a file system takes.
const LONGEST_NAME: usize = 255;

/// The longest path, and the longest text of a link, that Linux takes: `PATH_MAX` without the final NUL.
const LONGEST_PATH: usize = 4095;

/// One thing to place.
#[derive(Debug, Clone)]
pub struct Placement {
    /// Where. Links of the tree among the parents are followed.
    pub path: ImagePath,
    /// What.
    pub kind: PlacementKind,
    /// Permission bits.
    pub mode: Mode,
    /// Numeric owner.
    pub owner: Owner,
}

/// What to place.
#[derive(Debug, Clone)]
pub enum PlacementKind {
    /// A folder. One that exists, be it through a link, stays as it is.
    Directory,
    /// A regular file.
    File(Blob),
    /// A symbolic link with this text.
    Symlink(Vec<u8>),
}

/// A name of a lower part that is now something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// The name, without links.
    pub path: ImagePath,
    /// The package it came from, if one did.
    pub package: Option<PackageIndex>,
    /// The part it came from.
    pub part_below: Part,
}

/// Why something cannot be placed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// A file or link should go where a folder is.
    #[error("{path} cannot be a {what}: {found} is a folder")]
    FileOverFolder {
        /// Where it should go.
        path: ImagePath,
        /// The folder, without links.
        found: ImagePath,
        /// `file` or `link`.
        what: &'static str,
    },
    /// A folder should go where something else is.
    #[error("{path} cannot be a folder: {found} is a {what}")]
    FolderOverFile {
        /// Where it should go.
        path: ImagePath,
        /// What is there, without links.
        found: ImagePath,
        /// `file`, `link` or `device`.
        what: &'static str,
    },
    /// The name would make a runtime remove another.
    #[error(
        "{path} has `{name}` in it: a container runtime takes names with `.wh.` in front for removed files"
    )]
    Whiteout {
        /// Where it should go.
        path: ImagePath,
        /// The component.
        name: String,
    },
    /// A name, path or link that no file system takes, so that no runtime could unpack the image.
    #[error("{path}: {what} of {found} bytes; a container runtime can unpack at most {limit}")]
    TooLong {
        /// Where it should go, cut short.
        path: String,
        /// `a name`, `a path` or `a link's text`.
        what: &'static str,
        /// Its length in bytes.
        found: usize,
        /// The greatest length in bytes.
        limit: usize,
    },
    /// A parent cannot be used.
    #[error("{path} cannot be placed")]
    Parent {
        /// Where it should go.
        path: ImagePath,
        /// What is in the way.
        #[source]
        source: TreeError,
    },
}

impl Explain for OverlayError {
    fn code(&self) -> &'static str {
        match self {
            Self::FileOverFolder { .. } => "overlay/file-over-folder",
            Self::FolderOverFile { .. } => "overlay/folder-over-file",
            Self::Whiteout { .. } => "overlay/whiteout",
            Self::TooLong { .. } => "overlay/too-long",
            Self::Parent { .. } => "overlay/in-the-way",
        }
    }

    fn kind(&self) -> Kind {
        Kind::Spec
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::FileOverFolder { found, what, .. } => {
                vec![format!("to put the {what} into that folder, give a path below {found}")]
            }
            Self::FolderOverFile { .. } | Self::Parent { .. } => vec!["give another `path`".to_owned()],
            Self::TooLong { .. } => {
                vec!["give it a shorter name, or leave it out with `exclude`".to_owned()]
            }
            Self::Whiteout { .. } => {
                vec!["rename the file, or leave it out with `exclude`".to_owned()]
            }
        }
    }
}

/// Places `placements` one after the other, as `part`, with `time` in seconds since the epoch. Missing parents are
/// made 0755 0:0. A later placement replaces an earlier one of the same path. Tells which names of lower parts are
/// replaced.
pub fn place(
    tree: &mut Tree,
    part: Part,
    placements: &[Placement],
    time: i64,
) -> Result<Vec<Replaced>, OverlayError> {
    let mut replaced = Vec::new();
    for placement in placements {
        refuse_whiteouts(&placement.path)?;
        refuse_long(&placement.path)?;
        if let PlacementKind::Symlink(text) = &placement.kind {
            within(&placement.path, "a link's text", text.len(), LONGEST_PATH)?;
        }
        if let Some(one) = place_one(tree, part, placement, time)? {
            replaced.push(one);
        }
    }
    Ok(replaced)
}

fn refuse_whiteouts(path: &ImagePath) -> Result<(), OverlayError> {
    match path.components().find(|name| name.starts_with(WHITEOUT)) {
        Some(name) => Err(OverlayError::Whiteout { path: path.clone(), name: shown(name) }),
        None => Ok(()),
    }
}

fn refuse_long(path: &ImagePath) -> Result<(), OverlayError> {
    within(path, "a path", path.as_bytes().len(), LONGEST_PATH)?;
    path.components().try_for_each(|name| within(path, "a name", name.len(), LONGEST_NAME))
}

fn within(path: &ImagePath, what: &'static str, found: usize, limit: usize) -> Result<(), OverlayError> {
    if found <= limit {
        return Ok(());
    }
    Err(OverlayError::TooLong { path: format!("/{}", shown(path.as_bytes())), what, found, limit })
}

fn place_one(
    tree: &mut Tree,
    part: Part,
    placement: &Placement,
    time: i64,
) -> Result<Option<Replaced>, OverlayError> {
    let path = &placement.path;
    let parent_error = |source| OverlayError::Parent { path: path.clone(), source };
    let (body, what) = match &placement.kind {
        PlacementKind::Directory => return place_folder(tree, part, placement, time).map(|()| None),
        PlacementKind::File(blob) => (Body::File(blob.clone()), "file"),
        PlacementKind::Symlink(text) => (Body::Symlink(text.as_slice().into()), "link"),
    };
    let over_folder = |found| OverlayError::FileOverFolder { path: path.clone(), found, what };
    let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
        return Err(over_folder(ImagePath::root()));
    };
    let parents = Meta { mode: Mode::DIRECTORY, owner: Owner::ROOT, mtime: time };
    let (folder, real) = tree.make_directories(&parent, parents, part).map_err(parent_error)?;
    let real = real.join(name).expect("a component of a valid path");
    // Links on the way may have made it longer.
    refuse_long(&real)?;
    let below = tree.child(folder, name).map(|entry| (entry.node, entry.part));
    if let Some((id, _)) = below
        && tree.node(id).is_directory()
    {
        return Err(over_folder(real));
    }
    let mode = if what == "link" { Mode::SYMLINK } else { placement.mode };
    let node = Node::new(Meta { mode, owner: placement.owner, mtime: time }, body);
    let id = tree.add(node);
    tree.insert(&real, id, part, None).map_err(parent_error)?;
    Ok(below.filter(|(_, part_below)| *part_below < part).map(|(id, part_below)| Replaced {
        path: real,
        package: tree.node(id).package,
        part_below,
    }))
}

fn place_folder(tree: &mut Tree, part: Part, placement: &Placement, time: i64) -> Result<(), OverlayError> {
    let path = &placement.path;
    let parent_error = |source| OverlayError::Parent { path: path.clone(), source };
    let Some(parent) = path.parent() else { return Ok(()) };
    let parents = Meta { mode: Mode::DIRECTORY, owner: Owner::ROOT, mtime: time };
    tree.make_directories(&parent, parents, part).map_err(parent_error)?;
    let resolved = tree.resolve(path, true).map_err(parent_error)?;
    let what = match resolved.node.map(|id| &tree.node(id).body) {
        None => {
            refuse_long(&resolved.path)?;
            let meta = Meta { mode: placement.mode, owner: placement.owner, mtime: time };
            let id = tree.add(Node::directory(meta));
            return tree.insert(&resolved.path, id, part, None).map_err(parent_error);
        }
        Some(Body::Directory(_)) => return Ok(()),
        Some(Body::File(_)) => "file",
        Some(Body::Symlink(_)) => "link",
        Some(Body::CharDevice { .. }) => "device",
    };
    Err(OverlayError::FolderOverFile { path: path.clone(), found: resolved.path, what })
}
