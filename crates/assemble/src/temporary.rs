//! Files that must not be left behind: written under a hidden name, renamed when whole, removed on the way out.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::NamedTempFile;

static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

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
///
/// A link is followed: what it leads to is replaced. Something that is no file, such as `/dev/stdout` or a pipe, is
/// written to as it is.
#[derive(Debug)]
pub(crate) struct Unfinished {
    place: Option<Place>,
    hidden: Option<PathBuf>,
    target: PathBuf,
}

#[derive(Debug)]
enum Place {
    /// A file with a random name beside the target: another process, even of the same number in another container,
    /// never has the same.
    Beside(BufWriter<NamedTempFile>),
    /// The target itself.
    Direct(BufWriter<File>),
}

/// Bytes that are gathered before they are written.
const BUFFER: usize = 256 * 1024;

impl Unfinished {
    /// Starts a file beside `target`, so that the rename stays on one file system.
    pub(crate) fn beside(target: &Path) -> io::Result<Self> {
        let target = target.canonicalize().unwrap_or_else(|_| target.to_owned());
        if std::fs::metadata(&target).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            let file = File::options().write(true).open(&target)?;
            let place = Some(Place::Direct(BufWriter::with_capacity(BUFFER, file)));
            return Ok(Self { place, hidden: None, target });
        }
        let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let file = tempfile::Builder::new()
            .prefix(".assemble-")
            .suffix(".tmp")
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        let hidden = file.path().to_owned();
        unfinished().insert(hidden.clone());
        let place = Some(Place::Beside(BufWriter::with_capacity(BUFFER, file)));
        Ok(Self { place, hidden: Some(hidden), target })
    }

    /// A name beside `target` that nothing has, and that a build may leave behind.
    pub(crate) fn name_beside(target: &Path) -> io::Result<PathBuf> {
        let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let file = tempfile::Builder::new().prefix(".assemble-").suffix(".tmp").tempfile_in(folder)?;
        Ok(file.path().to_owned())
    }

    /// Appends what is left of a file. The kernel copies it, and where the file system can, both files share their blocks.
    pub(crate) fn append_file(&mut self, mut from: File) -> io::Result<()> {
        self.flush()?;
        let to = match &mut self.place {
            Some(Place::Beside(file)) => file.get_mut().as_file_mut(),
            Some(Place::Direct(file)) => file.get_mut(),
            None => return Err(io::Error::other("the file is finished")),
        };
        io::copy(&mut from, to).map(drop)
    }

    /// Gives the file its final name.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        match self.place.take() {
            Some(Place::Beside(file)) => {
                let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.persist(&self.target).map(drop).map_err(|error| error.error)
            }
            Some(Place::Direct(mut file)) => file.flush(),
            None => Ok(()),
        }
    }
}

impl Write for Unfinished {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut self.place {
            Some(Place::Beside(file)) => file.write(buf),
            Some(Place::Direct(file)) => file.write(buf),
            None => Err(io::Error::other("the file is finished")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.place {
            Some(Place::Beside(file)) => file.flush(),
            Some(Place::Direct(file)) => file.flush(),
            None => Ok(()),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Dropping a temporary file removes it, unless it has its final name by now.
        self.place = None;
        if let Some(hidden) = &self.hidden {
            unfinished().remove(hidden);
        }
    }
}

/// Writes a small file whole or not at all.
pub(crate) fn write_whole(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = Unfinished::beside(target)?;
    file.write_all(bytes)?;
    file.finish()
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
        let hidden = file.hidden.clone().unwrap();
        assert!(hidden.exists());
        assert!(unfinished().contains(&hidden), "what `remove_unfinished` goes through");
    }

    #[test]
    fn links_are_followed_and_devices_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link, null) =
            (folder.path().join("file"), folder.path().join("link"), folder.path().join("null"));
        std::fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        write_whole(&link, b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert!(link.is_symlink());
        std::os::unix::fs::symlink("/dev/null", &null).unwrap();
        write_whole(&null, b"gone").unwrap();
        assert!(null.is_symlink() && !Path::new("/dev/null").is_file());
    }
}
