//! Keeps few files open, whoever holds how many blobs; and those of the cache, whose names may go, as far as there is room.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit};

/// A usual process may have 1024 descriptors; stages read a handful of files at a time.
const MOST_OPEN: usize = 64;

/// The files used last, latest at the back. One for the process, since descriptors are the process's.
static OPEN: Mutex<VecDeque<(FileId, Arc<File>)>> = Mutex::new(VecDeque::new());
static NEXT: AtomicU64 = AtomicU64::new(0);
/// Files that are held open.
static HELD: AtomicUsize = AtomicUsize::new(0);
/// The most of them: half of what the process may have, since outputs, connections and the pool need some, too.
static MOST_HELD: LazyLock<usize> = LazyLock::new(|| most_descriptors() / 2);
/// For so many descriptors there is room from the start. A usual process may have no more.
const ROOM: usize = 1024;

fn most_descriptors() -> usize {
    let most = getrlimit(Resource::Nofile).current.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
    most.unwrap_or(usize::MAX)
}

/// Prepares a process that is about to open hundreds of files. For its first thread, before there are others: Linux doubles
/// a process's table of descriptors when it is full, and if there are several threads, that waits until each processor
/// has been through the scheduler, which takes some 15 ms.
pub fn make_room_for_files() {
    let last = i32::try_from(most_descriptors().min(ROOM).saturating_sub(1));
    // The table keeps its size when the descriptor goes. Without the room all works the same, and later.
    let _ = last.map(|last| fcntl_dupfd_cloexec(io::stderr(), last).map(drop));
}

/// Names a file in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64);

impl FileId {
    pub(super) fn new() -> Self {
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A file that stays open as long as this is there.
#[derive(Debug)]
pub(super) struct Held(Arc<File>);

impl Held {
    /// Nothing if as many are held as may be.
    pub(super) fn new(file: &Arc<File>) -> Option<Self> {
        let held = Self(Arc::clone(file));
        (HELD.fetch_add(1, Ordering::Relaxed) < *MOST_HELD).then_some(held)
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The file, opened by `open` if it is not open now.
pub(super) fn get(id: FileId, open: impl FnOnce() -> io::Result<File>) -> io::Result<Arc<File>> {
    if let Some(file) = take(id) {
        put(id, Arc::clone(&file));
        return Ok(file);
    }
    let file = Arc::new(open()?);
    put(id, Arc::clone(&file));
    Ok(file)
}

/// Puts an open file in.
pub(super) fn put(id: FileId, file: Arc<File>) {
    let evicted = {
        let mut open = lock();
        open.push_back((id, file));
        if open.len() > MOST_OPEN { open.pop_front() } else { None }
    };
    // Closing may take a while on a network file system: not under the lock.
    drop(evicted);
}

/// Closes the file if it is open.
pub(super) fn forget(id: FileId) {
    drop(take(id));
}

fn take(id: FileId) -> Option<Arc<File>> {
    let mut open = lock();
    let at = open.iter().rposition(|(known, _)| *known == id)?;
    open.remove(at).map(|(_, file)| file)
}

fn lock() -> MutexGuard<'static, VecDeque<(FileId, Arc<File>)>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}
