//! A folder of this host, as it will be copied.

use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use assemble_types::Blob;
use rustix::fs::Access;

use super::file::{Stamp, Watch, open_later, type_name};
use super::glob::Glob;
use crate::FetchError;

/// More entries than any sensible image has; they would take half a gigabyte of our memory.
const MOST_ENTRIES: usize = 2_000_000;

/// One entry of a folder, or the file that was named instead of one.
#[derive(Debug, Clone)]
pub struct LocalEntry {
    /// The path relative to the source, with `/` between names; empty for the source itself. Not necessarily UTF-8.
    pub relative: Vec<u8>,
    /// What it is.
    pub kind: LocalKind,
}

/// What an entry is. Owners, times, other mode bits and extended attributes are accidents of the host and left out.
#[derive(Debug, Clone)]
pub enum LocalKind {
    /// A folder.
    Directory,
    /// A regular file.
    File {
        /// Its bytes; see [`crate::open_file`] for how changes are noticed.
        blob: Blob,
        /// Whether the owner may execute it.
        executable: bool,
    },
    /// A symbolic link with its target as it stands.
    Symlink(Vec<u8>),
}

/// A file, or a folder with everything below it, the source itself first, sorted by the bytes of the relative path.
///
/// A source that is a link is followed to its end, since whoever names it means what is behind it; links below stay
/// links. `exclude` holds patterns matched against the relative path: `*` any run within a component, `?` one
/// character, `**` any number of components; a pattern without `/` matches a name at any depth, one with `/` from the
/// top; an excluded folder is not entered, and the source itself cannot be excluded. Contents are opened only when
/// they are read.
///
/// # Errors
/// A source that is missing, a socket, pipe or device (unless excluded), a file or folder that may not be read, an
/// entry that vanishes meanwhile, more than two million entries, a pattern that can match nothing; each names the path.
pub fn read_tree(source: &Path, exclude: &[String]) -> Result<Vec<LocalEntry>, FetchError> {
    Walk {
        source,
        exclude: exclude.iter().map(|pattern| Glob::new(pattern)).collect::<Result<_, _>>()?,
        entries: Vec::new(),
        folders: Vec::new(),
        most: MOST_ENTRIES,
    }
    .run()
}

/// Whether [`read_tree`] would leave out the entry at `relative`, itself or for a folder above it.
///
/// # Errors
/// A pattern that can match nothing.
pub fn is_excluded(relative: &Path, exclude: &[String]) -> Result<bool, FetchError> {
    let globs: Vec<Glob> = exclude.iter().map(|pattern| Glob::new(pattern)).collect::<Result<_, _>>()?;
    let above = relative.ancestors().filter(|path| !path.as_os_str().is_empty());
    Ok(above.into_iter().any(|path| globs.iter().any(|glob| glob.matches(path.as_os_str().as_bytes()))))
}

struct Walk<'a> {
    source: &'a Path,
    exclude: Vec<Glob>,
    entries: Vec<LocalEntry>,
    /// Folders still to list: path on the host, path relative to the source.
    folders: Vec<(PathBuf, Vec<u8>)>,
    most: usize,
}

impl Walk<'_> {
    fn run(mut self) -> Result<Vec<LocalEntry>, FetchError> {
        let meta = std::fs::metadata(self.source).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                FetchError::Missing { path: self.source.to_owned() }
            }
            _ => FetchError::io(self.source, "read", e),
        })?;
        self.add(self.source.to_owned(), Vec::new(), &meta, Watch::Followed)?;
        while let Some((path, relative)) = self.folders.pop() {
            self.list(&path, &relative)?;
        }
        self.entries.sort_unstable_by(|a, b| a.relative.cmp(&b.relative));
        Ok(self.entries)
    }

    fn list(&mut self, folder: &Path, above: &[u8]) -> Result<(), FetchError> {
        let failed = |e| FetchError::io(folder, "list", e);
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let mut relative = above.to_vec();
            if !relative.is_empty() {
                relative.push(b'/');
            }
            relative.extend_from_slice(name.as_bytes());
            if self.exclude.iter().any(|glob| glob.matches(&relative)) {
                continue;
            }
            let path = folder.join(&name);
            let meta = std::fs::symlink_metadata(&path).map_err(|e| vanished(&path, e))?;
            self.add(path, relative, &meta, Watch::NotFollowed)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        path: PathBuf,
        relative: Vec<u8>,
        meta: &Metadata,
        watch: Watch,
    ) -> Result<(), FetchError> {
        if self.entries.len() >= self.most {
            return Err(FetchError::TooManyEntries { path: self.source.to_owned(), limit: self.most });
        }
        let kind = meta.file_type();
        let kind = if kind.is_dir() {
            self.folders.push((path, relative.clone()));
            LocalKind::Directory
        } else if kind.is_symlink() {
            let target = std::fs::read_link(&path).map_err(|e| vanished(&path, e))?;
            LocalKind::Symlink(target.into_os_string().into_vec())
        } else if kind.is_file() {
            // Better now, with all other mistakes of the spec, than after minutes of work.
            rustix::fs::access(&path, Access::READ_OK).map_err(|e| vanished(&path, e.into()))?;
            let executable = meta.mode() & 0o100 != 0;
            LocalKind::File { blob: open_later(&path, Stamp::of(meta), watch), executable }
        } else {
            let expected = "a file, folder or symbolic link";
            return Err(FetchError::WrongType { path, expected, found: type_name(kind) });
        };
        self.entries.push(LocalEntry { relative, kind });
        Ok(())
    }
}

/// The folder listed the name a moment ago.
fn vanished(path: &Path, e: io::Error) -> FetchError {
    match e.kind() {
        io::ErrorKind::NotFound => {
            FetchError::Changed { path: path.to_owned(), what: "it is gone".to_owned() }
        }
        _ => FetchError::io(path, "read", e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_entries_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..5 {
            std::fs::write(dir.path().join(n.to_string()), "").unwrap();
        }
        let walk = |most| {
            Walk { source: dir.path(), exclude: Vec::new(), entries: Vec::new(), folders: Vec::new(), most }
                .run()
        };
        assert_eq!(walk(6).unwrap().len(), 6);
        assert!(matches!(walk(5), Err(FetchError::TooManyEntries { limit: 5, .. })));
    }
}
