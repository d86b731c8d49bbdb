//! The entries of a data section.

use std::collections::BTreeSet;
use std::hash::BuildHasher as _;
use std::io::BufRead;

use assemble_types::{Blob, ImagePath, Mode, Owner};
use foldhash::fast::RandomState;
use hashbrown::{HashTable, hash_table};
use sha1::{Digest as _, Sha1};

use crate::error::{PathProblem, Section};
use crate::oddity::Oddity;
use crate::open::walk_limits;
use crate::tarball::{ArchiveError, Item, ItemKind, Walker};
use crate::{ContentSum, Entry, EntryKind, Limits, PackageProblem};

/// The longest name that Linux file systems take.
const MAX_PART: usize = 255;

/// Collects entries; a later one of the same path takes the place of an earlier one.
#[derive(Default)]
struct Entries {
    list: Vec<Entry>,
    /// Places in the list whose path is another entry's by now.
    gone: BTreeSet<usize>,
    /// The place of each path in the list. Looked up only, never walked; paths are not kept twice.
    places: HashTable<u32>,
    hasher: RandomState,
    count: u64,
    metadata: u64,
    oddity: Option<Oddity>,
}

impl Entries {
    fn add(&mut self, entry: Entry) -> Result<(), PackageProblem> {
        let is_directory = matches!(entry.kind, EntryKind::Directory);
        let Self { list, places, hasher, gone, .. } = self;
        // There are never so many: see `Limits::entries`.
        let next = u32::try_from(list.len()).unwrap_or(u32::MAX);
        let hash = |path: &ImagePath| hasher.hash_one(path);
        let is_same = |place: &u32| list[*place as usize].path == entry.path;
        match places.entry(hash(&entry.path), is_same, |place| hash(&list[*place as usize].path)) {
            hash_table::Entry::Vacant(free) => drop(free.insert(next)),
            hash_table::Entry::Occupied(mut taken) => {
                let place = std::mem::replace(taken.get_mut(), next) as usize;
                if is_directory != matches!(list[place].kind, EntryKind::Directory) {
                    return Err(PackageProblem::Clash { path: entry.path });
                }
                self.oddity.get_or_insert(Oddity::Twice);
                if is_directory {
                    // In its old place, as what lies in it may stand between.
                    *taken.get_mut() = u32::try_from(place).unwrap_or(u32::MAX);
                    list[place] = entry;
                    return Ok(());
                }
                gone.insert(place);
            }
        }
        self.list.push(entry);
        Ok(())
    }

    /// Those that count, in order, and why they are not a layer as they are.
    fn finish(self) -> (Vec<Entry>, Option<Oddity>) {
        let Self { mut list, gone, oddity, .. } = self;
        if !gone.is_empty() {
            let mut place = 0..;
            list.retain(|_| place.next().is_none_or(|place| !gone.contains(&place)));
        }
        list.shrink_to_fit();
        (list, oddity)
    }

    /// The first one found is the one that is told.
    fn odd(&mut self, oddity: Oddity) {
        self.oddity.get_or_insert(oddity);
    }

    /// Counts what the entry will keep in memory.
    fn account(&mut self, item: &Item, limits: &Limits) -> Result<(), PackageProblem> {
        self.count += 1;
        if self.count > limits.entries {
            return Err(PackageProblem::TooManyEntries { limit: limits.entries });
        }
        let xattrs: usize =
            item.attributes.xattrs.iter().map(|(key, value)| key.len() + value.len() + 64).sum();
        self.metadata += (item.name.len() + item.link.len() + xattrs) as u64;
        if self.metadata > limits.metadata {
            return Err(PackageProblem::Metadata { limit: limits.metadata });
        }
        Ok(())
    }
}

/// Normalises a path of a package: slashes in front and doubled ones are dropped. All else that is odd is refused.
pub(crate) fn entry_path(name: &[u8], limits: &Limits) -> Result<ImagePath, PathProblem> {
    if name.len() as u64 > limits.path {
        return Err(PathProblem::TooLong(limits.path));
    }
    if name.iter().any(u8::is_ascii_control) {
        return Err(PathProblem::Control);
    }
    for part in name.split(|b| *b == b'/') {
        match part {
            b".." => return Err(PathProblem::Climbs),
            b"." => return Err(PathProblem::Dot),
            _ if part.len() > MAX_PART => return Err(PathProblem::PartTooLong),
            _ if part.starts_with(b".wh.") => return Err(PathProblem::Whiteout),
            _ => {}
        }
    }
    ImagePath::parse(name).map_err(|_| PathProblem::Climbs)
}

/// Hidden files at the top of the archive, which hold data for tools and are not installed.
fn is_top_dot_file(name: &[u8]) -> bool {
    name.starts_with(b".") && !name.contains(&b'/') && name != b".."
}

/// Reads all entries of a data section while it is unpacked, and checks every file's content. The contents are ranges of
/// `contents`, which is the same bytes. Also tells why the section, taken for a layer as it is, would not be these
/// entries, if that is so.
pub(crate) fn read_entries(
    input: impl BufRead,
    contents: &Blob,
    limits: &Limits,
) -> Result<(Vec<Entry>, Option<Oddity>), PackageProblem> {
    let mut entries = Entries::default();
    let mut walker = Walker::new(input, walk_limits(limits));
    let mut in_front = true;
    while let Some(item) = walker.next().map_err(archive)? {
        entries.account(&item, limits)?;
        if in_front && is_top_dot_file(&item.name) {
            entries.odd(Oddity::TopFile);
            continue;
        }
        in_front = false;
        let path_error = |problem| PackageProblem::Path { name: item.name.clone(), problem };
        let path = entry_path(&item.name, limits).map_err(path_error)?;
        if item.kind != ItemKind::Directory {
            if path.is_root() {
                return Err(path_error(PathProblem::Empty));
            }
            if item.name.ends_with(b"/") {
                return Err(path_error(PathProblem::Slash));
            }
        }
        if let Some(oddity) = Oddity::of(&item, &path) {
            entries.odd(oddity);
        }
        entries.add(entry(&mut walker, contents, item, path, limits)?)?;
    }
    let (list, oddity) = entries.finish();
    Ok((list, walker.oddity().or(oddity)))
}

fn archive(source: ArchiveError) -> PackageProblem {
    PackageProblem::Archive { section: Section::Data, source }
}

fn entry<R: BufRead>(
    walker: &mut Walker<R>,
    contents: &Blob,
    item: Item,
    path: ImagePath,
    limits: &Limits,
) -> Result<Entry, PackageProblem> {
    let checksum = match &item.attributes.checksum {
        Some(text) => Some(
            ContentSum::parse_pax(&String::from_utf8_lossy(text))
                .map_err(|source| PackageProblem::ChecksumText { path: path.clone(), source })?,
        ),
        None => None,
    };
    let size = item.content.end - item.content.start;
    let is_link_or_folder = matches!(item.kind, ItemKind::Directory | ItemKind::Symlink | ItemKind::HardLink);
    if is_link_or_folder && size > 0 {
        return Err(PackageProblem::Content { path, size });
    }
    let kind = match item.kind {
        ItemKind::Directory => EntryKind::Directory,
        ItemKind::File => EntryKind::File(file(walker, contents, &item, &path, checksum)?),
        ItemKind::Symlink => {
            if item.link.is_empty() || item.link.len() as u64 > limits.path || item.link.contains(&0) {
                return Err(PackageProblem::LinkText { path });
            }
            EntryKind::Symlink(item.link.into())
        }
        ItemKind::HardLink => {
            let target = entry_path(&item.link, limits)
                .and_then(|target| if target.is_root() { Err(PathProblem::Empty) } else { Ok(target) })
                .map_err(|problem| PackageProblem::HardLinkTarget {
                    path: path.clone(),
                    target: item.link.clone(),
                    problem,
                })?;
            EntryKind::HardLink { target, text: item.link.into() }
        }
        ItemKind::Device => return Err(PackageProblem::Kind { path, kind: "a device".into() }),
        ItemKind::Fifo => return Err(PackageProblem::Kind { path, kind: "a named pipe".into() }),
        ItemKind::Other(byte) => {
            let kind = format!("an entry of unknown type `{}`", byte.escape_ascii());
            return Err(PackageProblem::Kind { path, kind });
        }
    };
    Ok(Entry {
        path,
        kind,
        mode: Mode::from_bits(item.mode),
        owner: Owner { uid: item.uid, gid: item.gid },
        mtime: item.mtime,
        checksum,
        xattrs: Some(item.attributes.xattrs).filter(|xattrs| !xattrs.is_empty()).map(Box::new),
    })
}

/// The content of a regular file, hashed if there is something to compare it with.
fn file<R: BufRead>(
    walker: &mut Walker<R>,
    contents: &Blob,
    item: &Item,
    path: &ImagePath,
    checksum: Option<ContentSum>,
) -> Result<Blob, PackageProblem> {
    let mut hasher = Sha1::new();
    // Reading to the end also proves that the content is there.
    walker
        .content(&mut |bytes| {
            if checksum.is_some() {
                hasher.update(bytes);
            }
        })
        .map_err(archive)?;
    if let Some(expected) = checksum {
        let found = ContentSum::from_bytes(hasher.finalize().into());
        if found != expected {
            let (expected, found) = (expected.into(), found.into());
            return Err(PackageProblem::FileChecksum { path: path.clone(), expected, found });
        }
    }
    Ok(contents
        .slice(item.content.clone())
        .expect("the content was read to its end just now, and has no more bytes"))
}
