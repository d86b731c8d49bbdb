//! Writes a tree into a folder of this machine, and nowhere else.
//!
//! # Why it is the way it is
//! No path is ever handed to the kernel, only single names below folders that were opened without following links, one
//! step at a time. A name must be new, so nothing is written through something that was there, or that the image brought
//! a moment ago. Folders get their final mode last, and deepest first: one that its owner may not write is filled
//! before it is closed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use assemble_rootfs::{Body, Meta, Node, NodeId, Part, Tree, TreeEntry, Xattrs};
use assemble_types::{Blob, ImagePath};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::ExportReport;
use crate::error::{OwnError, Result};

/// Set-user-id and set-group-id.
const SET_ID: u32 = 0o6000;

/// Writes everything. A folder that is not there yet appears when it is whole.
pub(super) fn write(tree: &Tree, target: &Path, new: bool) -> Result<ExportReport> {
    if !new {
        return fill(tree, target);
    }
    let parent = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(parent).map_err(OwnError::io(parent, "cannot be made"))?;
    let hidden = tempfile::Builder::new()
        .prefix(".assemble-")
        .suffix(".tmp")
        .tempdir_in(parent)
        .map_err(OwnError::io(parent, "cannot be written"))?;
    let report = fill(tree, hidden.path())?;
    fs::rename(hidden.path(), target).map_err(OwnError::io(target, "cannot be written"))?;
    // It has another name by now.
    let _ = hidden.keep();
    Ok(report)
}

fn fill(tree: &Tree, target: &Path) -> Result<ExportReport> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, target, flags, Mode::empty())
        .map_err(|error| OwnError::io(target, "cannot be opened")(error.into()))?;
    let mut writer = Writer {
        open: vec![(ImagePath::root(), Rc::new(root))],
        target: target.to_owned(),
        first_names: BTreeMap::new(),
        is_root: rustix::process::geteuid().is_root(),
        report: ExportReport::default(),
    };
    writer.report.owners_ignored = !writer.is_root;
    writer.all(tree)?;
    Ok(writer.report)
}

/// A folder is kept open at every so many levels: reaching its neighbours takes few steps then, however deep they lie,
/// and few folders are open at once.
const KEPT_LEVELS: usize = 32;

struct Writer {
    /// The root, and folders on the way to the one that was asked for last, each below the one before.
    open: Vec<(ImagePath, Rc<OwnedFd>)>,
    target: PathBuf,
    /// Where a node that is no folder was written first.
    first_names: BTreeMap<NodeId, ImagePath>,
    is_root: bool,
    report: ExportReport,
}

fn lies_at_or_below(path: &ImagePath, folder: &ImagePath) -> bool {
    let rest = path.as_bytes().strip_prefix(folder.as_bytes());
    folder.is_root() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// One name of the host, below an open folder.
fn name(raw: &[u8]) -> &OsStr {
    OsStr::from_bytes(raw)
}

impl Writer {
    fn all(&mut self, tree: &Tree) -> Result<()> {
        let entries = tree.layer(Part::Files);
        for entry in &entries {
            let folder = self.at(&entry.path.parent().unwrap_or_default())?;
            self.entry(&folder, entry)?;
        }
        for entry in entries.iter().rev().filter(|entry| entry.node.is_directory()) {
            let open = self.at(&entry.path)?;
            self.close(&open, &entry.path, entry.node)?;
        }
        let open = self.at(&ImagePath::root())?;
        self.close(&open, &ImagePath::root(), tree.node(tree.root()))
    }

    fn failed(&self, path: &ImagePath) -> impl FnOnce(Errno) -> crate::error::Error + use<> {
        let place = format!("{}/{path}", self.target.display());
        move |errno| OwnError::io(place, "cannot be written")(errno.into())
    }

    /// Opens a folder that was made here, one name at a time, following nothing.
    fn at(&mut self, path: &ImagePath) -> Result<Rc<OwnedFd>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        while self.open.len() > 1 && self.open.last().is_some_and(|(at, _)| !lies_at_or_below(path, at)) {
            self.open.pop();
        }
        loop {
            let Some((at, folder)) = self.open.last() else {
                return Err(OwnError::Bug("the root of an export was closed".into()).into());
            };
            let depth = at.components().count();
            let Some(part) = path.components().nth(depth) else { return Ok(Rc::clone(folder)) };
            let next =
                rustix::fs::openat(folder, name(part), flags, Mode::empty()).map_err(self.failed(path))?;
            let below = at.join(part).map_err(|e| OwnError::Bug(e.to_string()))?;
            if depth > 0 && !depth.is_multiple_of(KEPT_LEVELS) {
                self.open.pop();
            }
            self.open.push((below, Rc::new(next)));
        }
    }

    fn entry(&mut self, folder: &OwnedFd, entry: &TreeEntry<'_>) -> Result<()> {
        let last = name(entry.path.file_name().unwrap_or_default());
        let first = self.first_names.get(&entry.id).filter(|_| !entry.node.is_directory()).cloned();
        if let Some(first) = first {
            let there = self.at(&first.parent().unwrap_or_default())?;
            let first = name(first.file_name().unwrap_or_default());
            rustix::fs::linkat(&there, first, folder, last, AtFlags::empty())
                .map_err(self.failed(&entry.path))?;
            self.report.entries += 1;
            return Ok(());
        }
        let meta = &entry.node.meta;
        match &entry.node.body {
            // Writable until all that belongs into it is there.
            Body::Directory(_) => {
                rustix::fs::mkdirat(folder, last, Mode::RWXU).map_err(self.failed(&entry.path))?;
            }
            Body::Symlink(text) => {
                rustix::fs::symlinkat(name(text), folder, last).map_err(self.failed(&entry.path))?;
                self.own(folder, last, meta, &entry.path)?;
                self.times(folder, last, meta, &entry.path)?;
            }
            Body::File(blob) => self.file(folder, last, blob, entry)?,
            Body::CharDevice { major, minor } => {
                if !self.device(folder, last, (*major, *minor), entry)? {
                    return Ok(());
                }
            }
        }
        if !entry.node.is_directory() {
            self.first_names.insert(entry.id, entry.path.clone());
        }
        self.report.entries += 1;
        Ok(())
    }

    fn file(&mut self, folder: &OwnedFd, last: &OsStr, blob: &Blob, entry: &TreeEntry<'_>) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = rustix::fs::openat(folder, last, flags, Mode::RUSR | Mode::WUSR)
            .map_err(self.failed(&entry.path))?;
        let place = self.target.join(name(entry.path.as_bytes()));
        let mut file = File::from(open);
        io::copy(&mut blob.reader(), &mut file)
            .and_then(|_| file.flush())
            .map_err(OwnError::io(place, "cannot be written"))?;
        self.report.bytes += blob.len();
        self.own(folder, last, &entry.node.meta, &entry.path)?;
        self.attributes(&file, entry.node.xattrs.as_deref());
        let bits = self.bits(entry.node);
        rustix::fs::fchmod(&file, bits).map_err(self.failed(&entry.path))?;
        self.times(folder, last, &entry.node.meta, &entry.path)
    }

    /// The mode of a file or folder. Set-id bits mean another user, who is not the owner here unless root writes.
    fn bits(&mut self, node: &Node) -> Mode {
        let mut bits = node.meta.mode.bits();
        if !self.is_root && bits & SET_ID != 0 {
            bits &= !SET_ID;
            self.report.without_set_id += 1;
        }
        Mode::from_raw_mode(bits)
    }

    /// Returns whether the device could be made.
    fn device(
        &mut self,
        folder: &OwnedFd,
        last: &OsStr,
        (major, minor): (u32, u32),
        entry: &TreeEntry<'_>,
    ) -> Result<bool> {
        let number = rustix::fs::makedev(major, minor);
        let bits = Mode::from_raw_mode(entry.node.meta.mode.bits());
        let made = if self.is_root {
            rustix::fs::mknodat(folder, last, FileType::CharacterDevice, bits, number)
        } else {
            Err(Errno::PERM)
        };
        match made {
            // Root of a container may not make devices either.
            Err(Errno::PERM) => {
                self.report.left_out += 1;
                Ok(false)
            }
            Err(errno) => Err(self.failed(&entry.path)(errno)),
            Ok(()) => {
                self.own(folder, last, &entry.node.meta, &entry.path)?;
                // The mask of the process has cut the mode; the device was made just now, in a folder of ours.
                rustix::fs::chmodat(folder, last, bits, AtFlags::empty())
                    .map_err(self.failed(&entry.path))?;
                self.times(folder, last, &entry.node.meta, &entry.path)?;
                Ok(true)
            }
        }
    }

    fn own(&self, folder: &OwnedFd, last: &OsStr, meta: &Meta, path: &ImagePath) -> Result<()> {
        if !self.is_root {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(meta.owner.uid), Gid::from_raw(meta.owner.gid));
        rustix::fs::chownat(folder, last, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.failed(path))
    }

    fn times(&self, folder: &OwnedFd, last: &OsStr, meta: &Meta, path: &ImagePath) -> Result<()> {
        rustix::fs::utimensat(folder, last, &stamps(meta), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.failed(path))
    }

    fn attributes(&mut self, file: &File, xattrs: Option<&Xattrs>) {
        let Some(xattrs) = xattrs else { return };
        let set = |(key, value): (&Vec<u8>, &Vec<u8>)| {
            rustix::fs::fsetxattr(file, name(key), value, XattrFlags::empty()).is_ok()
        };
        if !xattrs.iter().all(set) {
            self.report.without_attributes += 1;
        }
    }

    /// Gives a folder its owner, mode and time, now that nothing more is put into it.
    fn close(&mut self, open: &OwnedFd, path: &ImagePath, node: &Node) -> Result<()> {
        let bits = self.bits(node);
        let file = File::from(open.try_clone().map_err(OwnError::io(&self.target, "cannot be written"))?);
        self.attributes(&file, node.xattrs.as_deref());
        if self.is_root {
            let owner = node.meta.owner;
            rustix::fs::fchown(open, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
                .map_err(self.failed(path))?;
        }
        rustix::fs::fchmod(open, bits).map_err(self.failed(path))?;
        rustix::fs::futimens(open, &stamps(&node.meta)).map_err(self.failed(path))
    }
}

fn stamps(meta: &Meta) -> Timestamps {
    let time = Timespec { tv_sec: meta.mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}
