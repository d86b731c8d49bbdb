//! Names of users and groups for tar headers.

use std::collections::BTreeMap;

use assemble_rootfs::{Body, DirectoryEntry, Node, NodeId, Part, Tree};
use assemble_types::{Blob, ImagePath};

use crate::LayerError;

/// Account files larger than this are not read; no image has one.
const MAX_FILE: u64 = 16 << 20;

/// How many links a look-up may follow, as in Linux.
const MAX_LINKS: u32 = 40;

/// Names for numeric owners. apko writes them into the headers of its layers, taken from the image's own account
/// files; what it writes is part of the layer's digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountNames {
    users: BTreeMap<u32, Vec<u8>>,
    groups: BTreeMap<u32, Vec<u8>>,
}

impl AccountNames {
    /// No names: the fields stay empty.
    pub fn none() -> Self {
        Self::default()
    }

    /// The names that `/etc/passwd` and `/etc/group` hold as the packages' part left them. Of several lines with one
    /// number the last wins; lines that are malformed count for nothing, as do files that are missing.
    pub fn from_tree(tree: &Tree) -> Result<Self, LayerError> {
        Ok(Self {
            users: read_accounts(tree, "etc/passwd", 7)?,
            groups: read_accounts(tree, "etc/group", 4)?,
        })
    }

    /// The user's name, or nothing.
    pub fn user(&self, uid: u32) -> &[u8] {
        self.users.get(&uid).map_or(b"", Vec::as_slice)
    }

    /// The group's name, or nothing.
    pub fn group(&self, gid: u32) -> &[u8] {
        self.groups.get(&gid).map_or(b"", Vec::as_slice)
    }
}

fn read_accounts(tree: &Tree, path: &str, fields: usize) -> Result<BTreeMap<u32, Vec<u8>>, LayerError> {
    let mut out = BTreeMap::new();
    let Some(blob) = file_of_packages(tree, path.as_bytes()) else { return Ok(out) };
    let text = blob
        .read_to_vec(MAX_FILE)
        .map_err(|source| LayerError::Content { path: ImagePath::parse(path).unwrap_or_default(), source })?;
    for line in text.split(|b| *b == b'\n') {
        let parts: Vec<&[u8]> = line.trim_ascii().split(|b| *b == b':').collect();
        if parts.len() != fields {
            continue;
        }
        if let Some(id) = std::str::from_utf8(parts[2]).ok().and_then(|id| id.parse().ok()) {
            out.insert(id, parts[0].to_vec());
        }
    }
    Ok(out)
}

/// The content of a file as the packages' part sees the tree, links followed.
fn file_of_packages(tree: &Tree, path: &[u8]) -> Option<Blob> {
    let mut todo: Vec<Vec<u8>> = path.split(|b| *b == b'/').rev().map(<[u8]>::to_vec).collect();
    let mut trail: Vec<NodeId> = vec![tree.root()];
    let mut links = 0;
    while let Some(name) = todo.pop() {
        match name.as_slice() {
            b"" | b"." => continue,
            b".." => {
                if trail.len() > 1 {
                    trail.pop();
                }
                continue;
            }
            _ => {}
        }
        let id = tree.child(*trail.last()?, &name).and_then(seen_from_packages)?.node;
        if let Node { body: Body::Symlink(text), .. } = tree.node(id) {
            links += 1;
            if links > MAX_LINKS {
                return None;
            }
            if text.starts_with(b"/") {
                trail.truncate(1);
            }
            todo.extend(text.split(|b| *b == b'/').rev().map(<[u8]>::to_vec));
        } else {
            trail.push(id);
        }
    }
    match &tree.node(*trail.last()?).body {
        Body::File(blob) => Some(blob.clone()),
        _ => None,
    }
}

fn seen_from_packages(entry: &DirectoryEntry) -> Option<&DirectoryEntry> {
    entry.seen_from(Part::Packages)
}
