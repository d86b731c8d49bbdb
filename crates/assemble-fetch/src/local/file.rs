//! One file as a blob that notices changes.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use assemble_types::{Blob, Digest, FileLook, ReadAt};
use rustix::fs::OFlags;

use super::keeper::Keeper;
use super::pool::{self, FileId, Held};
use crate::FetchError;

/// What a file must keep while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watch {
    /// A file of the user's, named by a path whose links are followed.
    Followed,
    /// A file of the user's, whose path must stay no link.
    NotFollowed,
    /// A file of the cache. Other processes may unlink or replace it meanwhile; it is held open, so that the bytes stay.
    Cache,
}

/// What tells two states of a file apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// All of it as text.
    fn text(&self) -> String {
        let Self { device, inode, size, modified, changed } = self;
        format!("{device}:{inode}:{size}:{}.{:09}:{}.{:09}", modified.0, modified.1, changed.0, changed.1)
    }

    /// Whether a change now would show: within the resolution of a file system's clock two states look alike. A time in
    /// the future says that the clock jumped, and nothing of when the change was.
    fn is_settled(&self) -> bool {
        const CLOCK: i64 = 2;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let now = i64::try_from(now).unwrap_or(0);
        self.modified.0.max(self.changed.0) < now - CLOCK
    }

    /// What must stay the same of a file of the cache, whose links may come and go.
    fn kept_text(&self) -> String {
        let Self { device: _, inode, size, modified, changed: _ } = self;
        format!("{inode}:{size}:{}.{:09}", modified.0, modified.1)
    }

    /// The first difference, for people.
    fn difference(&self, now: &Self, watch: Watch) -> Option<String> {
        if (self.device, self.inode) != (now.device, now.inode) {
            Some("another file is in its place".into())
        } else if self.size != now.size {
            Some(format!("size: {} -> {}", self.size, now.size))
        } else if self.modified != now.modified {
            Some("its modification time moved".into())
        } else if self.changed != now.changed && watch != Watch::Cache {
            Some("its change time moved".into())
        } else {
            None
        }
    }
}

/// A regular file that is opened when it is read, and may be closed in between; but for those of the cache.
#[derive(Debug)]
struct LocalFile {
    id: FileId,
    path: PathBuf,
    stamp: Stamp,
    watch: Watch,
    /// Of all its bytes, if they were hashed as they were written.
    digest: Option<Digest>,
    /// The file of a cache, as long as the process may have so many open.
    held: Option<Held>,
    /// Of a file of a cache. Keeps a throw-away one there as long as something of it can be read.
    keep: Option<Arc<Keeper>>,
}

impl LocalFile {
    fn file(&self) -> io::Result<Arc<File>> {
        if let Some(held) = &self.held {
            return Ok(Arc::clone(held.file()));
        }
        pool::get(self.id, || {
            let file = open_regular(&self.path, self.watch).map_err(|error| match error {
                FetchError::Missing { .. } if self.watch == Watch::Cache => self.changed("it is gone".into()),
                error => error.into_io(),
            })?;
            let meta = file.metadata().map_err(|e| self.failed(e))?;
            self.compare(&Stamp::of(&meta))?;
            Ok(file)
        })
    }

    fn compare(&self, now: &Stamp) -> io::Result<()> {
        self.stamp.difference(now, self.watch).map_or(Ok(()), |what| Err(self.changed(what)))
    }

    /// Files that the kernel makes up, such as those under /proc, say that they are empty and are not.
    fn ends_where_its_size_says(&self) -> io::Result<()> {
        let file = self.file()?;
        loop {
            match file.read_at(&mut [0], self.stamp.size) {
                Ok(0) => return Ok(()),
                Ok(_) => return Err(self.changed(FetchError::MORE_THAN_SIZE.into())),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed(e)),
            }
        }
    }

    fn changed(&self, what: String) -> io::Error {
        if let Some(keep) = &self.keep {
            keep.lost();
        }
        FetchError::Changed { path: self.path.clone(), what }.into_io()
    }

    fn failed(&self, source: io::Error) -> io::Error {
        FetchError::io(&self.path, "read", source).into_io()
    }
}

impl ReadAt for LocalFile {
    fn whole_file(&self) -> Option<(&Path, u64)> {
        (self.watch == Watch::Cache).then_some((&*self.path, self.stamp.size))
    }

    fn is_file(&self, found: &FileLook) -> bool {
        let Stamp { device, inode, size, modified, changed: _ } = self.stamp;
        self.watch == Watch::Cache && *found == FileLook { device, inode, size, modified }
    }

    fn identity(&self) -> Option<(String, bool)> {
        Some(match self.watch {
            Watch::Cache => (format!("{}@{}", self.stamp.kept_text(), boot()), !boot().is_empty()),
            _ => (self.stamp.text(), self.stamp.is_settled()),
        })
    }

    fn digest(&self) -> Option<Digest> {
        self.digest
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let file = self.file()?;
        loop {
            match file.read_at(buf, offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed(e)),
                Ok(0) if !buf.is_empty() && offset < self.stamp.size => {
                    return Err(self.changed(format!("it ends at or before byte {offset} now")));
                }
                Ok(n) => return Ok(n),
            }
        }
    }

    fn check(&self) -> io::Result<()> {
        // The path first, since that says more: a file replaced is also one whose number of links changed.
        let named = match self.watch {
            Watch::Followed => Some(std::fs::metadata(&self.path)),
            Watch::NotFollowed => Some(std::fs::symlink_metadata(&self.path)),
            Watch::Cache => None,
        };
        match named {
            Some(Ok(meta)) => self.compare(&Stamp::of(&meta))?,
            Some(Err(e)) if e.kind() == io::ErrorKind::NotFound => {
                return Err(self.changed("it is gone".into()));
            }
            Some(Err(e)) => return Err(self.failed(e)),
            None => {}
        }
        let open = self.file()?.metadata().map_err(|e| self.failed(e))?;
        self.compare(&Stamp::of(&open))?;
        if self.watch == Watch::Cache {
            return Ok(());
        }
        self.ends_where_its_size_says()
    }
}

impl Drop for LocalFile {
    fn drop(&mut self) {
        pool::forget(self.id);
    }
}

/// The bytes of a regular file, read in place. Links are followed.
///
/// The file is opened when it is read and may be closed in between, so that any number of blobs can be held. A reader
/// that reaches the end compares device, inode, size, modification and change time with those at the call, of the open
/// file and of whatever the path names then: a file that changes while it is read is an error that names it. That error
/// is a [`FetchError::Changed`] inside an [`io::Error`].
///
/// # Errors
/// [`FetchError::Missing`], [`FetchError::WrongType`] for folders, pipes, sockets and devices (none of which is even
/// opened), [`FetchError::Io`] otherwise.
pub fn open_file(path: &Path) -> Result<Blob, FetchError> {
    open_kept(path, Watch::Followed, None)
}

/// How a file looks.
pub fn file_look(meta: &Metadata) -> FileLook {
    let Stamp { device, inode, size, modified, changed: _ } = Stamp::of(meta);
    FileLook { device, inode, size, modified }
}

/// [`open_file`] with a choice of what to watch, and something to keep alive.
pub(crate) fn open_kept(path: &Path, watch: Watch, keep: Option<Arc<Keeper>>) -> Result<Blob, FetchError> {
    let file = open_regular(path, watch)?;
    let meta = file.metadata().map_err(|e| FetchError::io(path, "read", e))?;
    Ok(blob_of(path, Stamp::of(&meta), watch, keep, (Some(file), None)))
}

/// The blob of a cache file that is open already, and looked as `seen` when its bytes were known.
pub(crate) fn kept(
    path: &Path,
    file: File,
    seen: &Metadata,
    keep: Option<Arc<Keeper>>,
    digest: Option<Digest>,
) -> Blob {
    blob_of(path, Stamp::of(seen), Watch::Cache, keep, (Some(file), digest))
}

/// Differs from boot to boot of the machine; empty where that cannot be told.
fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().to_owned()
    })
}

/// The blob of a file whose state is known already and which is opened later.
pub(super) fn open_later(path: &Path, stamp: Stamp, watch: Watch) -> Blob {
    blob_of(path, stamp, watch, None, (None, None))
}

fn blob_of(
    path: &Path,
    stamp: Stamp,
    watch: Watch,
    keep: Option<Arc<Keeper>>,
    (file, digest): (Option<File>, Option<Digest>),
) -> Blob {
    let id = FileId::new();
    let mut held = None;
    if let Some(file) = file.map(Arc::new) {
        held = if watch == Watch::Cache { Held::new(&file) } else { None };
        if held.is_none() {
            pool::put(id, file);
        }
    }
    let source = LocalFile { id, path: path.to_owned(), stamp, watch, digest, held, keep };
    Blob::new(Arc::new(source), stamp.size)
}

/// All bytes of a small file, refused if there are more than `limit`.
pub(crate) fn open_limited(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FetchError> {
    let failed = |e| FetchError::io(path, "read", e);
    let file = open_regular(path, Watch::Followed)?;
    let meta = file.metadata().map_err(failed)?;
    let before = Stamp::of(&meta);
    // One byte more, so that the end is met without asking for more room.
    let room = usize::try_from(meta.len().min(limit).saturating_add(1)).unwrap_or_default();
    let mut bytes = Vec::with_capacity(room);
    (&file).take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Ok(None);
    }
    let after = Stamp::of(&file.metadata().map_err(failed)?);
    match before.difference(&after, Watch::Followed) {
        Some(what) => Err(FetchError::Changed { path: path.to_owned(), what }),
        None => Ok(Some(bytes)),
    }
}

/// The first bytes of a file, at most so many, and how many it has.
pub(crate) fn open_front(path: &Path, most: u64) -> Result<(Vec<u8>, u64), FetchError> {
    let failed = |e| FetchError::io(path, "read", e);
    let file = open_regular(path, Watch::Followed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut bytes =
        Vec::with_capacity(usize::try_from(length.min(most).saturating_add(1)).unwrap_or_default());
    (&file).take(most).read_to_end(&mut bytes).map_err(failed)?;
    Ok((bytes, length))
}

/// Opens a regular file, and nothing else. Asks before opening, since opening alone can do things to a device; and
/// opens without blocking, since a pipe may have taken the file's place in between.
pub(crate) fn open_regular(path: &Path, watch: Watch) -> Result<File, FetchError> {
    let expected = "a file";
    let wrong = |kind| FetchError::WrongType { path: path.to_owned(), expected, found: type_name(kind) };
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            FetchError::Missing { path: path.to_owned() }
        }
        _ => FetchError::io(path, "open", e),
    };
    let follow = watch != Watch::NotFollowed;
    let meta =
        if follow { std::fs::metadata(path) } else { std::fs::symlink_metadata(path) }.map_err(failed)?;
    if !meta.is_file() {
        return Err(wrong(meta.file_type()));
    }
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let kind = file.metadata().map_err(failed)?.file_type();
    if kind.is_file() { Ok(file) } else { Err(wrong(kind)) }
}

/// The name of a file type, for people.
pub(crate) fn type_name(kind: FileType) -> &'static str {
    if kind.is_file() {
        "a file"
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_block_device() {
        "a block device"
    } else if kind.is_char_device() {
        "a character device"
    } else {
        "something unknown"
    }
}
