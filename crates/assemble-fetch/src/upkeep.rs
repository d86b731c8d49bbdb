//! Looking through the cache, and making it smaller.
//!
//! # Why it is the way it is
//! Everything in the cache can be got or made again, so removing is always allowed: other processes keep what they have
//! open. How long something was not used is told by the later of its times of access and of change; a file system that
//! writes no access times tells when it was made instead.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use assemble_types::{Blob, Digest};

use crate::cache::{Root, content_name, is_whole_document, open_content, remove};
use crate::local::{Watch, open_kept, open_limited};
use crate::parts::read_mark;
use crate::store::{MOST_RECORD, Store, whole_record};
use crate::{ContentKey, FetchError};

/// The folder of records about sections that are kept unpacked, and parts of such.
const PLAIN: &str = "plain";

/// A part of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CachePart {
    /// Packages as they were fetched, but for data sections, which lie with the layers.
    Packages,
    /// Indexes and keys as they were fetched.
    Documents,
    /// Layers that builds made.
    Layers,
    /// Data sections of packages, which may be layers as they are; perhaps unpacked, too; and what is needed to read on from
    /// places within long ones.
    Sections,
    /// The text of large indexes, unpacked, in which single records are looked up.
    Lines,
    /// What is known of packages, local files and builds.
    Records,
    /// What is being written, or was when a process was killed.
    Unfinished,
}

impl CachePart {
    /// All parts.
    pub const ALL: [Self; 7] = [
        Self::Packages,
        Self::Documents,
        Self::Layers,
        Self::Sections,
        Self::Lines,
        Self::Records,
        Self::Unfinished,
    ];

    /// Those that a folder tells. What lies among the layers is told apart only where somebody wants to know.
    const FOLDERS: [Self; 5] =
        [Self::Packages, Self::Documents, Self::Layers, Self::Records, Self::Unfinished];

    fn folder(self) -> &'static str {
        match self {
            Self::Packages => "content",
            Self::Documents => "documents",
            Self::Layers | Self::Sections | Self::Lines => "blobs",
            Self::Records => "records",
            Self::Unfinished => "tmp",
        }
    }
}

/// How much a part holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartSize {
    /// The part.
    pub part: CachePart,
    /// Files.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// What pruning keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prune {
    /// What was not used for longer is removed.
    pub unused_for: Option<Duration>,
    /// What was used last is kept, up to so many bytes in all.
    pub max_size: Option<u64>,
}

/// What a package's own bytes say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnKey {
    /// It is whole, and is the content of this key.
    Is(ContentKey),
    /// It is damaged.
    Damaged,
    /// Only who has its key could tell.
    Unknown,
}

/// What was found out about the files of a cache.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// Files that were read.
    pub files: u64,
    /// Files that were not what they should be, and are gone.
    pub damaged: Vec<PathBuf>,
    /// Those that could not be removed.
    pub stuck: Vec<PathBuf>,
    /// Files that this user may not read; nobody knows what they are.
    pub unread: Vec<PathBuf>,
    /// First parts of packages whose second part was pruned. They were of no use, and are gone.
    pub halves: u64,
}

/// What a file of the cache is.
enum Verdict {
    Whole,
    Damaged,
    /// Whole, and of no use without what is not there.
    Half,
}

struct Found {
    part: CachePart,
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

impl Store {
    /// The folder of the cache, if there is one that lasts.
    pub fn folder(&self) -> Option<PathBuf> {
        self.lasting()
    }

    /// How much each part holds.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn sizes(&self) -> Result<Vec<PartSize>, FetchError> {
        let mut found = self.found()?;
        tell_blobs_apart(&mut found);
        let size = |part| {
            let of_part = found.iter().filter(|file| file.part == part);
            let (files, bytes) = of_part.fold((0, 0), |(files, bytes), file| (files + 1, bytes + file.size));
            PartSize { part, files, bytes }
        };
        Ok(CachePart::ALL.map(size).to_vec())
    }

    /// Removes what `prune` does not keep. Returns files and bytes that went.
    ///
    /// # Errors
    /// A folder cannot be read, or a file cannot be removed.
    pub fn prune(&self, prune: &Prune) -> Result<(u64, u64), FetchError> {
        let mut found = self.found()?;
        // What was used last comes first; the path decides where that is the same.
        found.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.path.cmp(&b.path)));
        let oldest = prune.unused_for.and_then(|unused| SystemTime::now().checked_sub(unused));
        let (mut kept, mut files, mut bytes) = (0_u64, 0, 0);
        for file in found {
            // Somebody may be writing it.
            if file.part == CachePart::Unfinished {
                continue;
            }
            let fits = prune.max_size.is_none_or(|most| kept + file.size <= most);
            if fits && oldest.is_none_or(|oldest| file.used >= oldest) {
                kept += file.size;
                continue;
            }
            match std::fs::remove_file(&file.path) {
                Ok(()) => (files, bytes) = (files + 1, bytes + file.size),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(FetchError::io(&file.path, "remove", error)),
            }
        }
        Ok((files, bytes))
    }

    /// Reads everything, and removes what is damaged. What a package should be is for `own_key` to say.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn check(&self, own_key: &dyn Fn(&Blob) -> OwnKey) -> Result<Checked, FetchError> {
        let mut checked = Checked::default();
        let Some(root) = self.lasting() else { return Ok(checked) };
        for file in self.found()? {
            if file.part == CachePart::Unfinished {
                continue;
            }
            let verdict = match verdict(&root, &file, own_key) {
                Ok(verdict) => verdict,
                // Somebody has removed it meanwhile.
                Err(FetchError::Missing { .. }) => continue,
                Err(FetchError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
                    checked.unread.push(file.path);
                    continue;
                }
                Err(_) => Verdict::Damaged,
            };
            checked.files += 1;
            if matches!(verdict, Verdict::Whole) {
                continue;
            }
            remove(&file.path);
            match verdict {
                _ if file.path.exists() => checked.stuck.push(file.path),
                Verdict::Half => checked.halves += 1,
                _ => checked.damaged.push(file.path),
            }
        }
        Ok(checked)
    }

    /// Every file of the cache, part by part and by name.
    fn found(&self) -> Result<Vec<Found>, FetchError> {
        let mut out = Vec::new();
        if let Some(root) = self.lasting() {
            for part in CachePart::FOLDERS {
                walk(&root.join(part.folder()), part, 0, &mut out)?;
            }
        }
        Ok(out)
    }
}

fn verdict(root: &Path, file: &Found, own_key: &dyn Fn(&Blob) -> OwnKey) -> Result<Verdict, FetchError> {
    let name = key_in_name(&file.path);
    let whole = match file.part {
        CachePart::Packages => {
            let root = Root { path: root.to_owned(), keep: Arc::default() };
            let Some(found) = open_content(&root, &file.path)? else { return Ok(Verdict::Half) };
            match own_key(&found) {
                OwnKey::Is(key) => content_name(&key) == name,
                OwnKey::Damaged => false,
                OwnKey::Unknown => true,
            }
        }
        CachePart::Layers | CachePart::Sections | CachePart::Lines => {
            let blob = open_kept(&file.path, Watch::Cache, None)?;
            blob.content_digest().is_ok_and(|digest| digest.hex() == name)
        }
        CachePart::Documents => {
            let bytes = open_limited(&file.path, MOST_RECORD)?;
            bytes.is_some_and(|bytes| is_whole_document(bytes, &file.path))
        }
        CachePart::Records => {
            let bytes = open_limited(&file.path, MOST_RECORD)?;
            bytes.is_some_and(|bytes| whole_record(&bytes, &file.path).is_some())
        }
        CachePart::Unfinished => true,
    };
    Ok(if whole { Verdict::Whole } else { Verdict::Damaged })
}

/// Blobs are kept by their digests alone: what they are is said by those who point at them, or by how they begin.
fn tell_blobs_apart(found: &mut [Found]) {
    // What stands for a blob: its own name, or the one that a record of it has.
    let section = |file: &Found| match file.part {
        CachePart::Packages => {
            let first = open_kept(&file.path, Watch::Cache, None).ok()?;
            read_mark(&first).map(|(_, second, _)| second.hex())
        }
        CachePart::Records if file.path.iter().any(|folder| folder == PLAIN) => Some(key_in_name(&file.path)),
        _ => None,
    };
    let sections: BTreeSet<String> = found.iter().filter_map(section).collect();
    for blob in found.iter_mut().filter(|file| file.part == CachePart::Layers) {
        let name = key_in_name(&blob.path);
        if sections.contains(&Digest::of(name.as_bytes()).hex()) || sections.contains(&name) {
            blob.part = CachePart::Sections;
        } else if begins_like_lines(&blob.path) {
            blob.part = CachePart::Lines;
        }
    }
}

/// A letter and a colon: how each line of a record begins, and nothing that is packed.
fn begins_like_lines(path: &Path) -> bool {
    let mut front = [0; 2];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut front));
    read.is_ok() && front[0].is_ascii_alphabetic() && front[1] == b':'
}

/// The name that an entry has over its two folders.
fn key_in_name(path: &Path) -> String {
    let text =
        |part: Option<&std::ffi::OsStr>| part.map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
    text(path.parent().and_then(Path::file_name)) + &text(path.file_name())
}

fn walk(folder: &Path, part: CachePart, depth: usize, out: &mut Vec<Found>) -> Result<(), FetchError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(FetchError::io(folder, "read", error)),
    };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() && depth < 3 {
            walk(&entry.path(), part, depth + 1, out)?;
        } else if meta.is_file() {
            out.push(Found { part, path: entry.path(), size: meta.len(), used: used(&meta) });
        }
    }
    Ok(())
}

fn used(meta: &Metadata) -> SystemTime {
    let (accessed, modified) = (meta.accessed().ok(), meta.modified().ok());
    accessed.max(modified).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::sync::Arc;

    use assemble_types::{Digest, Silent};

    use super::*;
    use crate::RecordKind;
    use crate::cache::Cache;

    #[test]
    fn sizes_pruning_and_checking() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(Some(dir.path()), std::env::temp_dir(), Arc::new(Silent), false);
        let store = Store::new(Arc::new(cache));
        assert!(store.folder().is_some());
        assert!(store.sizes().unwrap().iter().all(|size| size.files == 0));
        let layer = |bytes: &[u8]| {
            let mut writer = store.layers().create().unwrap();
            writer.write_all(bytes).unwrap();
            let blob = writer.finish_as(&Digest::of(bytes)).unwrap();
            blob.whole_file().unwrap().to_owned()
        };
        let (old, new) = (layer(b"an old layer"), layer(b"a new one"));
        store.keep_record(RecordKind::Result, &Digest::of(b"k"), b"record").unwrap();
        let layers = store.sizes().unwrap()[2];
        assert_eq!(layers, PartSize { part: CachePart::Layers, files: 2, bytes: 21 });
        assert_eq!(store.check(&|_| OwnKey::Unknown).unwrap(), Checked { files: 3, ..Checked::default() });

        let long_ago = SystemTime::now() - Duration::from_secs(1000);
        fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let times = fs::FileTimes::new().set_accessed(long_ago).set_modified(long_ago);
        fs::File::options().write(true).open(&old).unwrap().set_times(times).unwrap();
        let all = Prune::default();
        assert_eq!(store.prune(&all).unwrap(), (0, 0));
        let age = Prune { unused_for: Some(Duration::from_secs(500)), ..all };
        assert_eq!(store.prune(&age).unwrap(), (1, 12));
        assert!(!old.exists() && new.exists());

        fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        fs::write(&new, b"A new one").unwrap();
        assert_eq!(
            store.check(&|_| OwnKey::Unknown).unwrap(),
            Checked { files: 2, damaged: vec![new.clone()], ..Checked::default() }
        );
        assert!(!new.exists());
        assert_eq!(store.prune(&Prune { max_size: Some(0), ..all }).unwrap().0, 1);
        assert!(store.sizes().unwrap().iter().all(|size| size.files == 0));
    }
}
