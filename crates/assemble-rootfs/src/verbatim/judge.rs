//! Decides of each package whether its data section may be a layer.

use std::collections::HashSet;
use std::ops::Range;

use assemble_apk::{Entry, EntryKind, Format, Package};
use assemble_types::{ImagePath, Owner};

use super::{Reason, Verdict, View, index_of, is_same, link_of};
use crate::tree::{Body, TreeEntry};

/// So much of a package may be changed by the build, whatever its size: the top layer has it a second time.
const FEW_BYTES: u64 = 16 << 10;
/// Of more than that, at most the part of the package's contents that this divides it into.
const EDITED_PART: u64 = 4;

/// Set-user-id, set-group-id and sticky.
const SPECIAL_BITS: u32 = 0o7000;

pub(super) fn verdict(view: &View<'_>, packages: &[Package], index: usize) -> Verdict {
    if packages[index].entries.is_empty() {
        return Verdict::Empty;
    }
    let mut judge = Judge { view, index, earlier: HashSet::new(), edited: 0, content: 0, largest: None };
    match judge.package(&packages[index]) {
        Ok(()) => Verdict::Verbatim,
        Err(reason) => Verdict::Rewritten(reason),
    }
}

/// Keeps the largest packages if there are more than there may be layers. What is packed anew takes one layer.
pub(super) fn keep_budget(verdicts: &mut [Verdict], packages: &[Package], budget: i64) {
    let budget = usize::try_from(budget).unwrap_or(0).max(1);
    let size = |index: usize| packages.get(index).and_then(data_of).map_or(0, |data| data.end - data.start);
    let mut fitting: Vec<usize> =
        (0..verdicts.len()).filter(|index| verdicts[*index] == Verdict::Verbatim).collect();
    let anew = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Rewritten(_)));
    if fitting.len() + usize::from(anew) <= budget {
        return;
    }
    fitting.sort_by_key(|index| (std::cmp::Reverse(size(*index)), *index));
    for index in fitting.into_iter().skip(budget - 1) {
        verdicts[index] = Verdict::Rewritten(Reason::Budget);
    }
}

fn data_of(package: &Package) -> Option<&Range<u64>> {
    match &package.format {
        Format::V2 { data, .. } => Some(data),
        Format::V3 => None,
    }
}

struct Judge<'v, 't, 'p> {
    view: &'v View<'t>,
    index: usize,
    /// Files of the package, and hard links to them, so far.
    earlier: HashSet<&'p ImagePath>,
    /// Bytes that the top layer will have anew.
    edited: u64,
    /// Bytes of all files.
    content: u64,
    largest: Option<(u64, &'p ImagePath)>,
}

impl<'p> Judge<'_, '_, 'p> {
    fn package(&mut self, package: &'p Package) -> Result<(), Reason> {
        let Format::V2 { oddity, diff_id, .. } = &package.format else { return Err(Reason::Version3) };
        if let Some(oddity) = oddity {
            return Err(Reason::Form(*oddity));
        }
        for entry in &package.entries {
            self.entry(entry)?;
        }
        if let Some((_, path)) = self.largest
            && self.edited > FEW_BYTES.max(self.content / EDITED_PART)
        {
            return Err(Reason::Edited { path: path.clone() });
        }
        diff_id.map(|_| ()).ok_or(Reason::NoDiffId)
    }

    fn entry(&mut self, entry: &'p Entry) -> Result<(), Reason> {
        let path = || entry.path.clone();
        if entry.path.is_root() {
            return Err(Reason::RootFolder);
        }
        if entry.owner != Owner::ROOT {
            return Err(Reason::Owner { path: path(), owner: entry.owner });
        }
        let found = find(self.view, entry)?;
        let is_folder = matches!(entry.kind, EntryKind::Directory);
        if is_folder != found.node.is_directory() {
            return Err(Reason::OtherKind { path: path() });
        }
        match &entry.kind {
            EntryKind::Directory => folder(entry, found),
            EntryKind::HardLink { target, text } => {
                let target = self.earlier.contains(target).then(|| self.view.get(target)).flatten();
                let same = target.is_some_and(|target| target.id == found.id)
                    && link_of(found) == Some(text.as_slice());
                self.earlier.insert(&entry.path);
                if same {
                    return Ok(());
                }
                // If another package's stands there, nobody sees the link.
                match self.hidden(found) {
                    Some(true) => Ok(()),
                    _ => Err(Reason::HardLink { path: path() }),
                }
            }
            EntryKind::File(blob) => {
                self.earlier.insert(&entry.path);
                self.content += blob.len();
                self.leaf(entry, found)
            }
            EntryKind::Symlink(_) => self.leaf(entry, found),
        }
    }

    /// Whether a package's file stands there that comes later, in a layer above; nothing if no other package's does.
    fn hidden(&self, found: &TreeEntry<'_>) -> Option<bool> {
        let own = index_of(self.index);
        found.node.package.filter(|package| *package != own).map(|package| package > own)
    }

    fn leaf(&mut self, entry: &'p Entry, found: &TreeEntry<'_>) -> Result<(), Reason> {
        if is_same(entry, found.node) && link_of(found).is_none() {
            return Ok(());
        }
        match self.hidden(found) {
            Some(true) => Ok(()),
            Some(false) => Err(Reason::Overlap { path: entry.path.clone() }),
            None => {
                let bytes = match &found.node.body {
                    Body::File(blob) => blob.len(),
                    _ => 0,
                };
                self.edited += bytes;
                if self.largest.is_none_or(|(largest, _)| bytes > largest) {
                    self.largest = Some((bytes, &entry.path));
                }
                Ok(())
            }
        }
    }
}

/// Mode and time of a folder are put right by the top layer; what that cannot take away must not be there.
fn folder(entry: &Entry, found: &TreeEntry<'_>) -> Result<(), Reason> {
    if entry.mode.bits() & SPECIAL_BITS != 0 {
        return Err(Reason::FolderBits { path: entry.path.clone(), mode: entry.mode });
    }
    let wanted = found.node.xattrs.as_deref();
    let there = |(name, value)| wanted.and_then(|all| all.get(name)) == Some(value);
    if entry.xattrs.iter().all(there) {
        Ok(())
    } else {
        Err(Reason::FolderXattrs { path: entry.path.clone() })
    }
}

/// What the tree has at the entry's path.
fn find<'v, 't>(view: &'v View<'t>, entry: &Entry) -> Result<&'v TreeEntry<'t>, Reason> {
    if let Some(found) = view.get(&entry.path) {
        return Ok(found);
    }
    let mut folder = entry.path.parent();
    while let Some(path) = folder {
        if view.get(&path).is_some_and(|found| matches!(found.node.body, Body::Symlink(_))) {
            return Err(Reason::ThroughLink { path: entry.path.clone() });
        }
        folder = path.parent();
    }
    Err(Reason::Missing { path: entry.path.clone() })
}
