//! Files that must not be left behind: written under a hidden name, renamed when whole, removed on the way out.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
static COUNTER: AtomicU64 = AtomicU64::new(0);

fn unfinished() -> std::sync::MutexGuard<'static, BTreeSet<PathBuf>> {
    // A panic while the set was held cannot have broken it.
    UNFINISHED.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Removes every file that this process has begun and not finished. For use when it is about to end by a signal.
pub fn remove_unfinished() {
    for path in std::mem::take(&mut *unfinished()) {
        let _ = std::fs::remove_file(path);
    }
}

/// A file that appears under its name only when it is whole.
#[derive(Debug)]
pub(crate) struct Unfinished {
    path: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Unfinished {
    /// Starts a file beside `target`, so that the rename stays on one file system.
    pub(crate) fn beside(target: &Path) -> io::Result<Self> {
        let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".{name}.{}-{number}.tmp", std::process::id()));
        unfinished().insert(path.clone());
        let mut this = Self { path, file: None };
        // Left over from a process of the same number that was killed.
        let _ = std::fs::remove_file(&this.path);
        let file = File::options().write(true).create_new(true).open(&this.path)?;
        this.file = Some(BufWriter::with_capacity(256 * 1024, file));
        Ok(this)
    }

    /// Renames the file to its final name.
    pub(crate) fn finish(mut self, target: &Path) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            file.into_inner().map_err(io::IntoInnerError::into_error)?;
        }
        std::fs::rename(&self.path, target)
    }
}

impl Write for Unfinished {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(buf),
            None => Err(io::Error::other("the file is finished")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.file = None;
        // After a rename nothing is there under the hidden name any more.
        let _ = std::fs::remove_file(&self.path);
        unfinished().remove(&self.path);
    }
}

/// Writes a small file whole or not at all.
pub(crate) fn write_whole(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = Unfinished::beside(target)?;
    file.write_all(bytes)?;
    file.finish(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_what_was_not_finished() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("image.tar");
        let mut file = Unfinished::beside(&target).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        write_whole(&target, b"whole").unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"whole");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_signal_takes_the_unfinished_files_away() {
        let folder = tempfile::tempdir().unwrap();
        let file = Unfinished::beside(&folder.path().join("x")).unwrap();
        assert!(file.path.exists());
        assert!(unfinished().contains(&file.path), "what `remove_unfinished` goes through");
    }
}
