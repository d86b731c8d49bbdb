//! Decides of each package whether its data section may be a layer.

use std::ops::Range;

use assemble_apk::{Entry, EntryKind, Format, Package};
use assemble_types::Owner;
use foldhash::{HashMap, HashMapExt as _};

use super::{Reason, Verdict, View, index_of, is_same, link_of};
use crate::tree::{Body, TreeEntry};

/// So much of a package may be changed by the build, whatever its size: the top layer has it a second time.
const FEW_BYTES: u64 = 16 << 10;
/// Of more than that, at most the part of the package's contents that this divides it into.
const EDITED_PART: u64 = 4;

/// Set-user-id, set-group-id and sticky.
const SPECIAL_BITS: u32 = 0o7000;

/// Decides of the packages one by one, in their order: what is packed anew lies above all that come later.
pub(super) fn verdicts(view: &View<'_, '_>, packages: &[Package]) -> Vec<Verdict> {
    let mut verdicts = Vec::with_capacity(packages.len());
    for package in packages {
        let verdict = if package.entries.is_empty() {
            Verdict::Empty
        } else {
            match Judge::of(view, &verdicts).package(package) {
                Ok(()) => Verdict::Verbatim,
                Err(reason) => Verdict::Rewritten(reason),
            }
        };
        verdicts.push(verdict);
    }
    verdicts
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
    view: &'v View<'v, 't>,
    /// What was decided of the packages before this one.
    before: &'v [Verdict],
    /// Files of the package by their names and those of hard links to them, so far; not kept for a package without hard links.
    earlier: Option<HashMap<&'p [u8], &'p Entry>>,
    /// Bytes that the top layer will have anew.
    edited: u64,
    /// Bytes of all files.
    content: u64,
    /// The largest of them, and why it is not the package's.
    largest: Option<(u64, Reason)>,
}

impl<'v, 't, 'p> Judge<'v, 't, 'p> {
    fn of(view: &'v View<'v, 't>, before: &'v [Verdict]) -> Self {
        Self { view, before, earlier: None, edited: 0, content: 0, largest: None }
    }

    fn package(&mut self, package: &'p Package) -> Result<(), Reason> {
        let Format::V2 { oddity, diff_id, .. } = &package.format else { return Err(Reason::Version3) };
        if let Some(oddity) = oddity {
            return Err(Reason::Form(*oddity));
        }
        let is_link = |entry: &Entry| matches!(entry.kind, EntryKind::HardLink { .. });
        self.earlier = package.entries.iter().any(is_link).then(HashMap::new);
        for entry in &package.entries {
            self.entry(entry)?;
        }
        if self.edited > FEW_BYTES.max(self.content / EDITED_PART)
            && let Some((_, reason)) = self.largest.take()
        {
            return Err(reason);
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
                // Whatever comes above it, the layer has to be unpacked first.
                let file = self.earlier.as_ref().and_then(|all| all.get(target.as_bytes()).copied());
                // Some runtimes give the file what the link's header says.
                let Some(file) = file.filter(|file| (file.mode, file.mtime) == (entry.mode, entry.mtime))
                else {
                    return Err(Reason::HardLink { path: path() });
                };
                let same = self.view.get(target.as_bytes()).is_some_and(|target| target.id == found.id)
                    && link_of(found) == Some(&**text);
                self.has(entry, file);
                // If another package's stands there, nobody sees the link.
                if same || self.over(found) == Over::Layer {
                    Ok(())
                } else {
                    Err(Reason::HardLink { path: path() })
                }
            }
            EntryKind::File(blob) => {
                self.has(entry, entry);
                self.content += blob.len();
                self.leaf(entry, found);
                Ok(())
            }
            EntryKind::Symlink(_) => {
                self.leaf(entry, found);
                Ok(())
            }
        }
    }

    /// Notes a file, or one more name of it.
    fn has(&mut self, entry: &'p Entry, file: &'p Entry) {
        if let Some(earlier) = &mut self.earlier {
            earlier.insert(entry.path.as_bytes(), file);
        }
    }

    /// Whose entry the image has in place of one of the package's.
    fn over(&self, found: &TreeEntry<'_>) -> Over {
        let own = index_of(self.before.len());
        match found.node.package.filter(|package| *package != own) {
            None => Over::Build,
            Some(other) if other > own => Over::Layer,
            Some(other) => match self.before.get(other.0 as usize) {
                Some(Verdict::Rewritten(_)) => Over::Layer,
                _ => Over::Below,
            },
        }
    }

    fn leaf(&mut self, entry: &'p Entry, found: &TreeEntry<'_>) {
        if is_same(entry, found.node) && link_of(found).is_none() {
            return;
        }
        let path = || entry.path.clone();
        let reason = match self.over(found) {
            Over::Layer => return,
            Over::Below => Reason::Overlap { path: path() },
            Over::Build => Reason::Edited { path: path() },
        };
        let bytes = match &found.node.body {
            Body::File(blob) => blob.len(),
            _ => 0,
        };
        self.edited += bytes;
        if self.largest.as_ref().is_none_or(|(largest, _)| bytes > *largest) {
            self.largest = Some((bytes, reason));
        }
    }
}

/// What puts right that the image does not have what the package has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// The layer of another package above it, or that of those that are packed anew.
    Layer,
    /// The top layer: a package below it has the image's entry.
    Below,
    /// The top layer: the entry is the build's.
    Build,
}

/// Mode and time of a folder are put right by the top layer; what that cannot take away must not be there.
fn folder(entry: &Entry, found: &TreeEntry<'_>) -> Result<(), Reason> {
    if entry.mode.bits() & SPECIAL_BITS != 0 {
        return Err(Reason::FolderBits { path: entry.path.clone(), mode: entry.mode });
    }
    let wanted = found.node.xattrs.as_deref();
    let there = |(name, value)| wanted.and_then(|all| all.get(name)) == Some(value);
    if entry.xattrs.iter().flat_map(|xattrs| xattrs.iter()).all(there) {
        Ok(())
    } else {
        Err(Reason::FolderXattrs { path: entry.path.clone() })
    }
}

/// What the tree has at the entry's path.
fn find<'v, 't>(view: &View<'v, 't>, entry: &Entry) -> Result<&'v TreeEntry<'t>, Reason> {
    if let Some(found) = view.get(entry.path.as_bytes()) {
        return Ok(found);
    }
    let mut folder = entry.path.parent();
    while let Some(path) = folder {
        if view.get(path.as_bytes()).is_some_and(|found| matches!(found.node.body, Body::Symlink(_))) {
            return Err(Reason::ThroughLink { path: entry.path.clone() });
        }
        folder = path.parent();
    }
    Err(Reason::Missing { path: entry.path.clone() })
}
