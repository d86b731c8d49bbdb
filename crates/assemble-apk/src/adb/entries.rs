//! The files of a package: what the database says about them, then their contents.
//!
//! A database lists folders, each with the files in it. Owners are names; what they are in numbers only the image's
//! own accounts could tell, so as in the package manager without accounts all but `root` become `nobody` (65534).
//! Folders have no time of their own. A folder that is not listed has the usual mode and owner: newer tools leave
//! those out.

use std::collections::{BTreeMap, HashMap};
use std::io;

use assemble_types::{Blob, ImagePath, Mode, Owner, Spool, SpoolWriter};
use data_encoding::HEXLOWER;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use super::AdbError;
use super::package::Wanted;
use super::value::Slots;
use crate::entries::entry_path;
use crate::error::PathProblem;
use crate::{ContentSum, Entry, EntryKind, Limits, PackageProblem};

const FOLDER_NAME: usize = 1;
const FOLDER_ACCESS: usize = 2;
const FOLDER_FILES: usize = 3;

const FILE_NAME: usize = 1;
const FILE_ACCESS: usize = 2;
const FILE_SIZE: usize = 3;
const FILE_TIME: usize = 4;
const FILE_HASH: usize = 5;
const FILE_TARGET: usize = 6;

const ACCESS_MODE: usize = 1;
const ACCESS_USER: usize = 2;
const ACCESS_GROUP: usize = 3;
const ACCESS_ATTRIBUTES: usize = 4;

/// What an entry takes in memory beyond its names.
const ENTRY_COST: usize = 256;
const ATTRIBUTE_COST: usize = 64;
/// Whom apk takes where it does not know a name.
const NOBODY: u32 = 65534;

/// All entries; of regular files without their contents.
#[derive(Debug)]
pub(super) struct Plan {
    entries: Vec<Entry>,
    contents: Vec<Content>,
    links: Vec<Link>,
}

/// A regular file.
#[derive(Debug)]
struct Content {
    entry: usize,
    wanted: Wanted,
    hash: FileHash,
}

/// One more name of a regular file; both by their places.
#[derive(Debug)]
struct Link {
    entry: usize,
    content: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum FileHash {
    Sha1([u8; 20]),
    Sha256([u8; 32]),
    Sha512([u8; 64]),
}

impl FileHash {
    fn parse(bytes: &[u8]) -> Option<Self> {
        match bytes.len() {
            20 => bytes.try_into().ok().map(Self::Sha1),
            32 => bytes.try_into().ok().map(Self::Sha256),
            64 => bytes.try_into().ok().map(Self::Sha512),
            _ => None,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Sha1(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
            Self::Sha512(bytes) => bytes,
        }
    }
}

/// Reads the list of folders.
pub(super) fn files(paths: Slots<'_>, build_time: i64, limits: &Limits) -> Result<Plan, PackageProblem> {
    let plan = Plan { entries: Vec::new(), contents: Vec::new(), links: Vec::new() };
    let mut reader = Reader { plan, places: HashMap::new(), limits, bytes: 0 };
    for number in paths.numbers() {
        let folder = paths.object(number, "paths").map_err(PackageProblem::Adb)?;
        reader.folder(
            number,
            folder.ok_or(AdbError::value("paths", "has an empty item")).map_err(PackageProblem::Adb)?,
        )?;
    }
    let mut plan = reader.plan;
    let newest = plan.entries.iter().map(|entry| entry.mtime).max().unwrap_or(0);
    let time = if build_time == 0 { newest } else { build_time };
    for entry in plan.entries.iter_mut().filter(|entry| matches!(entry.kind, EntryKind::Directory)) {
        entry.mtime = time;
    }
    Ok(plan)
}

/// What stands at a path.
#[derive(Debug, Clone, Copy)]
enum Place {
    Folder,
    /// A regular file: its place among the contents.
    Content(usize),
    Other,
}

struct Reader<'l> {
    plan: Plan,
    /// Looked up only, never walked.
    places: HashMap<ImagePath, Place>,
    limits: &'l Limits,
    /// Of all contents.
    bytes: u64,
}

impl Reader<'_> {
    fn folder(&mut self, number: usize, folder: Slots<'_>) -> Result<(), PackageProblem> {
        let name = folder.blob(FOLDER_NAME, "name").map_err(PackageProblem::Adb)?.unwrap_or_default();
        let path = self.path(name)?;
        // The mode of the root is not a package's business.
        if !path.is_root() {
            self.parents(&path, folder)?;
            let access = Access::read(folder, FOLDER_ACCESS).map_err(PackageProblem::Adb)?;
            self.add(folder, access.entry(path.clone(), EntryKind::Directory, 0), Place::Folder)?;
        }
        let files = folder.list(FOLDER_FILES, "files").map_err(PackageProblem::Adb)?;
        for slot in files.numbers() {
            let file = files.object(slot, "files").map_err(PackageProblem::Adb)?;
            let file =
                file.ok_or(AdbError::value("files", "has an empty item")).map_err(PackageProblem::Adb)?;
            self.file(name, (number, slot), file)?;
        }
        Ok(())
    }

    /// A path as it has to be written: with no slash in front, behind or doubled.
    fn path(&self, name: &[u8]) -> Result<ImagePath, PackageProblem> {
        let path = entry_path(name, self.limits);
        let path =
            path.and_then(|path| if path.as_bytes() == name { Ok(path) } else { Err(PathProblem::Slashes) });
        path.map_err(|problem| PackageProblem::Path { name: name.to_vec(), problem })
    }

    /// Folders above that are not listed.
    fn parents(&mut self, path: &ImagePath, slots: Slots<'_>) -> Result<(), PackageProblem> {
        let mut missing = Vec::new();
        let mut above = path.parent();
        while let Some(path) = above.filter(|path| !path.is_root() && !self.places.contains_key(path)) {
            above = path.parent();
            missing.push(path);
        }
        while let Some(path) = missing.pop() {
            let access = Access { mode: Mode::DIRECTORY, owner: Owner::ROOT, attributes: BTreeMap::new() };
            self.add(slots, access.entry(path, EntryKind::Directory, 0), Place::Folder)?;
        }
        Ok(())
    }

    fn add(&mut self, slots: Slots<'_>, entry: Entry, place: Place) -> Result<usize, PackageProblem> {
        if self.plan.entries.len() as u64 >= self.limits.entries {
            return Err(PackageProblem::TooManyEntries { limit: self.limits.entries });
        }
        // A path is kept here and among the places.
        let cost = ENTRY_COST + 2 * entry.path.as_bytes().len();
        slots.database().pay(cost).map_err(PackageProblem::Adb)?;
        if let Some(parent) = entry.path.parent()
            && let Some(Place::Content(_) | Place::Other) = self.places.get(&parent)
        {
            return Err(PackageProblem::Clash { path: parent });
        }
        if self.places.insert(entry.path.clone(), place).is_some() {
            return Err(PackageProblem::Twice { path: entry.path });
        }
        self.plan.entries.push(entry);
        Ok(self.plan.entries.len() - 1)
    }

    fn file(
        &mut self,
        folder: &[u8],
        (folder_number, number): (usize, usize),
        file: Slots<'_>,
    ) -> Result<(), PackageProblem> {
        let adb = PackageProblem::Adb;
        let name = file.blob(FILE_NAME, "name").map_err(adb)?.unwrap_or_default();
        let full = if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() };
        let path_error = |problem| PackageProblem::Path { name: full.clone(), problem };
        if name.is_empty() {
            return Err(path_error(PathProblem::Empty));
        }
        if name.contains(&b'/') {
            return Err(path_error(PathProblem::Slashes));
        }
        let path = self.path(&full)?;
        self.parents(&path, file)?;
        let access = Access::read(file, FILE_ACCESS).map_err(adb)?;
        let size = file.int(FILE_SIZE, "size").map_err(adb)?.unwrap_or(0);
        let time = file.int(FILE_TIME, "mtime").map_err(adb)?.unwrap_or(0);
        let time = i64::try_from(time).map_err(|_| adb(AdbError::value("mtime", "is too large")))?;
        let hash = file.blob(FILE_HASH, "hash").map_err(adb)?;
        if let Some(target) = file.blob(FILE_TARGET, "target").map_err(adb)? {
            let (kind, content) = self.target(&path, target, size, hash)?;
            let checksum = match &kind {
                EntryKind::Symlink(text) => Some(ContentSum::of(text)),
                _ => None,
            };
            let entry = Entry { checksum, ..access.entry(path, kind, time) };
            let entry = self.add(file, entry, Place::Other)?;
            self.plan.links.extend(content.map(|content| Link { entry, content }));
            return Ok(());
        }
        let hash =
            hash.and_then(FileHash::parse).ok_or(adb(AdbError::value("hash", "is of no known kind")))?;
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.data {
            let section = crate::Section::Data;
            return Err(PackageProblem::TooLarge { section, limit: self.limits.data });
        }
        let kind = EntryKind::File(Blob::from_bytes(Vec::new()));
        let entry =
            self.add(file, access.entry(path, kind, time), Place::Content(self.plan.contents.len()))?;
        let place = |n: usize| u32::try_from(n).map_err(|_| adb(AdbError::value("files", "is too long")));
        let wanted = Wanted { folder: place(folder_number)?, file: place(number)?, size };
        self.plan.contents.push(Content { entry, wanted, hash });
        Ok(())
    }

    /// What stands in place of content: the kind in two bytes, then a link's text, a linked path or a device number.
    fn target(
        &self,
        path: &ImagePath,
        target: &[u8],
        size: u64,
        hash: Option<&[u8]>,
    ) -> Result<(EntryKind, Option<usize>), PackageProblem> {
        let odd = |kind: &str| PackageProblem::Kind { path: path.clone(), kind: kind.to_owned() };
        let (kind, text) = target.split_first_chunk::<2>().ok_or(odd("an entry of no kind"))?;
        match u16::from_le_bytes(*kind) {
            0o120_000 => {
                if text.is_empty() || text.len() as u64 > self.limits.path || text.contains(&0) {
                    return Err(PackageProblem::LinkText { path: path.clone() });
                }
                Ok((EntryKind::Symlink(text.into()), None))
            }
            0o100_000 => {
                let target = entry_path(text, self.limits).map_err(|problem| {
                    PackageProblem::HardLinkTarget { path: path.clone(), target: text.to_vec(), problem }
                })?;
                let Some(&Place::Content(content)) = self.places.get(&target) else {
                    return Err(PackageProblem::NoLinkTarget { path: path.clone(), target });
                };
                let linked = &self.plan.contents[content];
                if size != linked.wanted.size || hash.is_some_and(|hash| hash != linked.hash.bytes()) {
                    return Err(PackageProblem::LinkContent { path: path.clone(), target });
                }
                Ok((EntryKind::HardLink { target, text: text.into() }, Some(content)))
            }
            0o060_000 | 0o020_000 => Err(odd("a device")),
            0o010_000 => Err(odd("a named pipe")),
            _ => Err(odd("an entry of unknown kind")),
        }
    }
}

/// Mode, owner and extended attributes.
struct Access {
    mode: Mode,
    owner: Owner,
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Access {
    fn read(slots: Slots<'_>, slot: usize) -> Result<Self, AdbError> {
        let access = slots.object(slot, "acl")?.ok_or(AdbError::value("acl", "is missing"))?;
        let mode = access.int(ACCESS_MODE, "mode")?.unwrap_or(0);
        let mode = u32::try_from(mode).ok().filter(|mode| *mode <= 0o7777);
        let mode = Mode::from_bits(mode.ok_or(AdbError::value("mode", "is no mode"))?);
        let owner = Owner {
            uid: number_of(access.blob(ACCESS_USER, "user")?),
            gid: number_of(access.blob(ACCESS_GROUP, "group")?),
        };
        let mut attributes = BTreeMap::new();
        let list = access.list(ACCESS_ATTRIBUTES, "xattrs")?;
        for number in list.numbers() {
            list.database().pay(ATTRIBUTE_COST)?;
            let whole = list.blob(number, "xattrs")?.unwrap_or_default();
            let end = whole.iter().position(|byte| *byte == 0).filter(|end| *end > 0);
            let end = end.ok_or(AdbError::value("xattrs", "has an item without a name"))?;
            if attributes.insert(whole[..end].to_vec(), whole[end + 1..].to_vec()).is_some() {
                return Err(AdbError::value("xattrs", "has a name twice"));
            }
        }
        Ok(Self { mode, owner, attributes })
    }

    fn entry(self, path: ImagePath, kind: EntryKind, mtime: i64) -> Entry {
        let Self { mode, owner, attributes } = self;
        let xattrs = Some(attributes).filter(|attributes| !attributes.is_empty()).map(Box::new);
        Entry { path, kind, mode, owner, mtime, checksum: None, xattrs }
    }
}

fn number_of(name: Option<&[u8]>) -> u32 {
    match name {
        Some(b"root") => 0,
        Some(name) => std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()).unwrap_or(NOBODY),
        None => NOBODY,
    }
}

impl Plan {
    /// Reads the contents in order with `data`, checks each against its hash, and keeps them in `spool`.
    pub(super) fn fill(
        self,
        mut data: impl FnMut(Wanted, &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), PackageProblem>,
        spool: &dyn Spool,
    ) -> Result<Vec<Entry>, PackageProblem> {
        let Self { mut entries, contents, links } = self;
        let mut writer = spool.create().map_err(PackageProblem::Spool)?;
        for content in &contents {
            let path = &entries[content.entry].path;
            let sum = keep(content, path, &mut data, writer.as_mut())?;
            entries[content.entry].checksum = Some(sum);
        }
        let all = writer.finish().map_err(PackageProblem::Spool)?;
        let mut start = 0;
        for content in &contents {
            let end = start + content.wanted.size;
            let short = || PackageProblem::Spool(io::ErrorKind::UnexpectedEof.into());
            let blob = all.slice(start..end).ok_or_else(short)?;
            entries[content.entry].kind = EntryKind::File(blob);
            start = end;
        }
        for link in links {
            entries[link.entry].checksum = entries[contents[link.content].entry].checksum;
        }
        Ok(entries)
    }
}

/// Moves one content into the writer; gives its SHA-1, which is what the rest of the image knows files by.
fn keep(
    content: &Content,
    path: &ImagePath,
    data: &mut impl FnMut(Wanted, &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), PackageProblem>,
    writer: &mut dyn SpoolWriter,
) -> Result<ContentSum, PackageProblem> {
    let mut hasher = Hasher::new(&content.hash);
    let mut sum = Sha1::new();
    // What is empty has no block.
    if content.wanted.size > 0 {
        data(content.wanted, &mut |bytes| {
            hasher.update(bytes);
            sum.update(bytes);
            writer.write_all(bytes)
        })?;
    }
    let found = hasher.finish();
    if found != content.hash.bytes() {
        let (expected, found) = (HEXLOWER.encode(content.hash.bytes()), HEXLOWER.encode(&found));
        return Err(PackageProblem::FileHash { path: path.clone(), expected, found });
    }
    Ok(ContentSum::from_bytes(sum.finalize().into()))
}

enum Hasher {
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    fn new(hash: &FileHash) -> Self {
        match hash {
            FileHash::Sha1(_) => Self::Sha1(Sha1::new()),
            FileHash::Sha256(_) => Self::Sha256(Sha256::new()),
            FileHash::Sha512(_) => Self::Sha512(Sha512::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha1(hasher) => hasher.finalize().to_vec(),
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::Sha512(hasher) => hasher.finalize().to_vec(),
        }
    }
}
