//! Keeps few files open, whoever holds how many blobs.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A usual process may have 1024 descriptors; stages read a handful of files at a time.
const MOST_OPEN: usize = 64;

/// The files used last, latest at the back. One for the process, since descriptors are the process's.
static OPEN: Mutex<VecDeque<(FileId, Arc<File>)>> = Mutex::new(VecDeque::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Names a file in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64);

impl FileId {
    pub(super) fn new() -> Self {
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
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
