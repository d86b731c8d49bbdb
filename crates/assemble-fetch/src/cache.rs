//! The folder that keeps what was fetched.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Seek as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use assemble_types::{Blob, Digest, Event, Observer};
use tempfile::NamedTempFile;

use crate::escape::shown_path;
use crate::local::{Keeper, Losses, Watch, kept, open_front, open_kept, open_limited, open_regular};
use crate::parts::{Divided, join, mark, read_mark};
use crate::store::{blob_path, name_of};
use crate::{ContentKey, FetchError};

/// Part of the path, so that another layout can live beside this one.
const VERSION: &str = "v1";
/// Begins the names of unfinished files.
const PART: &str = "part-";
/// Bytes of two files that are compared at a time.
const COMPARED: usize = 128 << 10;
/// An unfinished file this old belongs to no running process.
const STALE: Duration = Duration::from_hours(24);
/// How often something is put into a folder that somebody removes each time, if there is no way without it.
const MOST_TRIES: u32 = 1000;
/// How often, if there is.
const FEW_TRIES: u32 = 10;
/// The most a document's header takes.
const HEADER_LIMIT: u64 = 8192;
const HEADER_START: &str = "assemble document 2";

/// What tells a server which state of a document we have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

/// What stands in front of a document that was fetched: what it says of the bytes, which nobody compared.
#[derive(Debug)]
pub(crate) struct DocumentHead {
    pub(crate) validators: Validators,
    /// Of the bytes.
    pub(crate) digest: Digest,
    /// How many bytes there are.
    pub(crate) size: u64,
}

/// A document as it was last fetched, compared with what stands in front of it.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) head: DocumentHead,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Cache {
    /// The folder asked for, with the version.
    wanted: Option<PathBuf>,
    /// Where throw-away things go.
    temp_dir: PathBuf,
    observer: Arc<dyn Observer>,
    /// Nothing can be fetched again.
    offline: bool,
    /// Where to write, decided when something is written.
    root: Mutex<Option<Root>>,
    /// Contents that turned out damaged; a folder that cannot be written keeps them.
    forgotten: Mutex<BTreeSet<ContentKey>>,
    /// Contents that this run fetched.
    fresh: Mutex<BTreeSet<ContentKey>>,
    /// Contents whose copy from an earlier run was damaged.
    damaged: Mutex<BTreeSet<ContentKey>>,
    /// Files that went while they were in use.
    losses: Losses,
}

#[derive(Debug, Clone)]
pub(crate) struct Root {
    pub(crate) path: PathBuf,
    /// A throw-away folder goes with the last that holds this.
    pub(crate) keep: Arc<Keeper>,
}

impl Cache {
    pub(crate) fn new(
        dir: Option<&Path>,
        temp_dir: PathBuf,
        observer: Arc<dyn Observer>,
        offline: bool,
    ) -> Self {
        let wanted = dir.map(|dir| dir.join(VERSION));
        let (forgotten, fresh, damaged) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (root, losses) = (Mutex::default(), Losses::default());
        Self { wanted, temp_dir, observer, offline, root, forgotten, fresh, damaged, losses }
    }

    /// How many files somebody removed or cut while they were in use.
    pub(crate) fn losses(&self) -> u64 {
        self.losses.count()
    }

    /// Something that was there is gone, so that what was begun with it can be begun again.
    pub(crate) fn lost(&self) {
        self.losses.one_more();
    }

    /// The folder asked for, as one that stays.
    fn staying(&self, wanted: &Path) -> Root {
        Root { path: wanted.to_owned(), keep: Keeper::new(None, &self.losses) }
    }

    /// The content, if it is there in full length. One of another length was cut off by something and is removed.
    pub(crate) fn content(&self, key: &ContentKey) -> Option<Blob> {
        if self.forgotten.lock().unwrap_or_else(PoisonError::into_inner).contains(key) {
            return self.content_in(&self.current()?, key);
        }
        self.readable().into_iter().find_map(|root| self.content_in(&root, key))
    }

    /// Whether a content is there, as far as a look at its name tells.
    pub(crate) fn has_content(&self, key: &ContentKey) -> bool {
        self.readable().iter().any(|root| content_path(&root.path, key).exists())
    }

    fn content_in(&self, root: &Root, key: &ContentKey) -> Option<Blob> {
        let path = content_path(&root.path, key);
        match open_content(root, &path) {
            Ok(Some(blob)) if blob.len() == key.size() => return Some(blob),
            // The second part went, as layers may. That is no damage.
            Ok(None) => return None,
            Ok(_) | Err(FetchError::WrongType { .. }) => {}
            Err(_) => return None,
        }
        self.found_damaged(&path, key);
        // Where this is not allowed, it stays a miss.
        remove(&path);
        None
    }

    /// Tells once, however many threads find it.
    fn found_damaged(&self, path: &Path, key: &ContentKey) {
        if self.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone()) {
            let shown = shown_path(path);
            let then = if self.offline { "" } else { " and is fetched again" };
            let text = format!("{shown}: the copy in the cache was damaged{then}");
            self.observer.event(Event::Warning(text));
        }
    }

    /// Whether a copy of the content was there and could not be used.
    pub(crate) fn was_damaged(&self, key: &ContentKey) -> bool {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    /// Removes the content, wherever that is allowed, and does not use it again where it is not.
    pub(crate) fn forget(&self, key: &ContentKey) {
        // What a server just sent is that server's fault, and whoever asked for it says so.
        let ours = !self.fresh.lock().unwrap_or_else(PoisonError::into_inner).contains(key);
        for root in self.readable() {
            let path = content_path(&root.path, key);
            if ours && path.exists() {
                self.found_damaged(&path, key);
            }
            if let Some((_, digest, _)) =
                open_kept(&path, Watch::Cache, None).ok().and_then(|file| read_mark(&file))
            {
                remove(&blob_path(&root.path, &digest));
            }
            let gone = std::fs::remove_file(&path).is_ok() || !path.exists();
            if !gone {
                self.forgotten.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
            }
        }
    }

    /// A new file to write content to.
    pub(crate) fn part(&self) -> Result<NamedTempFile, FetchError> {
        let tmp = self.root()?.path.join("tmp");
        part_in(&tmp)
            .or_else(|error| if is_gone(&error) { make_in(&tmp, || part_in(&tmp)) } else { Err(error) })
    }

    /// Gives a finished file its name.
    pub(crate) fn keep_content(&self, part: NamedTempFile, key: &ContentKey) -> Result<Blob, FetchError> {
        let root = self.root()?;
        let path = content_path(&root.path, key);
        let (file, seen) = name_once(part, &path)?;
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        Ok(kept(&path, file, &seen, Some(root.keep), None))
    }

    /// Gives a finished body its names.
    pub(crate) fn keep_divided(&self, body: Divided, key: &ContentKey) -> Result<Blob, FetchError> {
        let (first, second, digest, size) = match body {
            Divided::Whole(part) => return self.keep_content(part, key),
            Divided::Parts { first, second, digest, size } => (first, second, digest, size),
        };
        let root = self.root()?;
        let second = keep_blob(&root, second, &digest)?;
        let mut part = self.part()?;
        let written = part.write_all(mark(&digest, size).as_bytes()).and_then(|()| part.write_all(&first));
        written.map_err(|e| FetchError::io(part.path(), "write", e))?;
        let file = self.keep_content(part, key)?;
        let start = file.len() - first.len() as u64;
        Ok(join(file.slice(start..file.len()).unwrap_or(file), second))
    }

    /// The document last fetched from this URL, if it is there and whole.
    pub(crate) fn document(&self, url: &str, limit: u64) -> Option<Document> {
        self.readable().into_iter().find_map(|root| {
            let path = document_path(&root.path, url);
            let bytes = open_limited(&path, limit.saturating_add(HEADER_LIMIT)).ok()??;
            parse_document(bytes, &name_of(&path))
        })
    }

    /// What stands in front of the document last fetched from this URL, if that is there with as many bytes as it had.
    pub(crate) fn document_head(&self, url: &str, limit: u64) -> Option<DocumentHead> {
        self.readable().into_iter().find_map(|root| {
            let path = document_path(&root.path, url);
            let (front, length) = open_front(&path, HEADER_LIMIT).ok()?;
            let (head, start) = parse_head(&front, &name_of(&path))?;
            (head.size <= limit && length.checked_sub(start as u64) == Some(head.size)).then_some(head)
        })
    }

    /// Keeps a document.
    pub(crate) fn keep_document(
        &self,
        url: &str,
        validators: &Validators,
        bytes: &[u8],
        digest: &Digest,
    ) -> Result<(), FetchError> {
        let path = document_path(&self.root()?.path, url);
        let header = document_header(validators, bytes.len(), digest, &name_of(&path));
        let Some(header) = header else { return Ok(()) };
        let mut part = self.part()?;
        let written = part.write_all(header.as_bytes()).and_then(|()| part.write_all(bytes));
        written.map_err(|e| FetchError::io(part.path(), "write", e))?;
        give_name(part, &path).map(drop)
    }

    /// Drops a document that may not be kept any more. Where this is not allowed, the next answer decides again.
    pub(crate) fn drop_document(&self, url: &str) {
        for root in self.readable() {
            remove(&document_path(&root.path, url));
        }
    }

    /// The folder asked for, with the version.
    pub(crate) fn lasting(&self) -> Option<PathBuf> {
        self.wanted.clone()
    }

    /// A folder for unnamed files.
    pub(crate) fn spool_dir(&self) -> Result<PathBuf, FetchError> {
        if self.wanted.is_none() {
            // An unnamed file needs no folder of its own.
            return Ok(self.temp_dir.clone());
        }
        Ok(self.root()?.path.join("tmp"))
    }

    /// Where to look: what this run wrote first, since it is what was just fetched.
    pub(crate) fn readable(&self) -> Vec<Root> {
        let mut roots: Vec<Root> = self.current().into_iter().collect();
        if let Some(wanted) = &self.wanted
            && roots.iter().all(|root| root.path != *wanted)
        {
            roots.push(self.staying(wanted));
        }
        roots
    }

    fn current(&self) -> Option<Root> {
        self.root.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where to write. Decided once; a folder that cannot be written is replaced by a throw-away one, with a warning.
    pub(crate) fn root(&self) -> Result<Root, FetchError> {
        let mut root = self.root.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = &*root {
            return Ok(root.clone());
        }
        let decided = self.decide()?;
        *root = Some(decided.clone());
        Ok(decided)
    }

    fn decide(&self) -> Result<Root, FetchError> {
        if let Some(wanted) = &self.wanted {
            match prepare(wanted) {
                Ok(()) => return Ok(self.staying(wanted)),
                Err(FetchError::Io { path, action, source }) => {
                    let path = shown_path(&path);
                    self.observer.event(Event::Warning(format!(
                        "nothing is kept in the cache: {path}: cannot {action}: {source}"
                    )));
                }
                Err(other) => return Err(other),
            }
        }
        let dir = tempfile::Builder::new()
            .prefix("assemble-")
            .tempdir_in(&self.temp_dir)
            .map_err(|e| FetchError::io(&self.temp_dir, "create a temporary folder in it", e))?;
        prepare(dir.path())?;
        let path = dir.path().to_owned();
        Ok(Root { path, keep: Keeper::new(Some(dir), &self.losses) })
    }
}

/// Makes the folders, proves that one can write there, and clears away what killed processes left.
fn prepare(root: &Path) -> Result<(), FetchError> {
    let tmp = root.join("tmp");
    make_in(&tmp, || part_in(&tmp).map(drop))?;
    sweep(&tmp, SystemTime::now());
    Ok(())
}

fn make_folder(path: &Path) -> Result<(), FetchError> {
    make_within(FEW_TRIES, path, || Ok(()))
}

/// Makes something in a folder of the cache, and the folder before it. Somebody may remove the whole cache between any two
/// steps of this.
pub(crate) fn make_in<T>(
    folder: &Path,
    make: impl FnMut() -> Result<T, FetchError>,
) -> Result<T, FetchError> {
    make_within(MOST_TRIES, folder, make)
}

fn make_within<T>(
    tries: u32,
    folder: &Path,
    mut make: impl FnMut() -> Result<T, FetchError>,
) -> Result<T, FetchError> {
    let mut more = 1..tries;
    loop {
        let made =
            std::fs::create_dir_all(folder).map_err(|e| FetchError::io(folder, "create the folder", e));
        match made.and_then(|()| make()) {
            Err(error) if is_gone(&error) && more.next().is_some() => {}
            other => return other,
        }
    }
}

/// Whether the folder of something that was to be made is not there; or was, and then was not.
fn is_gone(error: &FetchError) -> bool {
    let FetchError::Io { source, .. } = error else { return false };
    matches!(source.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists)
}

fn part_in(tmp: &Path) -> Result<NamedTempFile, FetchError> {
    let made = tempfile::Builder::new().prefix(PART).tempfile_in(tmp);
    made.map_err(|e| FetchError::io(tmp, "create a file in it", e))
}

/// Removes unfinished files of processes that are long gone. What cannot be removed stays.
fn sweep(tmp: &Path, now: SystemTime) {
    for entry in std::fs::read_dir(tmp).into_iter().flatten().flatten().take(10_000) {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PART));
        let modified = entry.metadata().and_then(|meta| meta.modified());
        let age = modified.ok().and_then(|then| now.duration_since(then).ok());
        if ours && age.is_some_and(|age| age > STALE) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Keeps a file under the digest of its bytes. Outputs link to it, and nobody is to write into it by mistake.
pub(crate) fn keep_blob(root: &Root, part: NamedTempFile, digest: &Digest) -> Result<Blob, FetchError> {
    let path = blob_path(&root.path, digest);
    let read_only = std::fs::Permissions::from_mode(0o444);
    part.as_file().set_permissions(read_only).map_err(|e| FetchError::io(part.path(), "write", e))?;
    let (file, seen) = name_once(part, &path)?;
    Ok(kept(&path, file, &seen, Some(Arc::clone(&root.keep)), Some(*digest)))
}

/// The content in a file, with its second part if that is kept elsewhere. Nothing if that is not there.
pub(crate) fn open_content(root: &Root, path: &Path) -> Result<Option<Blob>, FetchError> {
    let file = open_kept(path, Watch::Cache, Some(Arc::clone(&root.keep)))?;
    let Some((start, digest, size)) = read_mark(&file) else { return Ok(Some(file)) };
    let second = match open_kept(&blob_path(&root.path, &digest), Watch::Cache, Some(Arc::clone(&root.keep)))
    {
        Ok(second) => second,
        Err(FetchError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let first = file.slice(start..file.len()).filter(|_| second.len() == size);
    // Of another length than it should be, it is damaged, and whoever asks sees that by the length.
    Ok(Some(first.map_or_else(|| Blob::from_bytes(Vec::new()), |first| join(first, second))))
}

/// As [`give_name`], unless a file with these very bytes has the name: then that is the one. Another process may be reading it,
/// and finds it by its name. Also says what the file looked like before anybody could write to it by that name, or before
/// it was compared: what it becomes later is noticed by that.
fn name_once(mut part: NamedTempFile, path: &Path) -> Result<(File, Metadata), FetchError> {
    let look = |file: &File| file.metadata().map_err(|e| FetchError::io(path, "read", e));
    let ours = look(part.as_file())?;
    for _ in 0..FEW_TRIES {
        match open_regular(path, Watch::NotFollowed) {
            Ok(file) => {
                let seen = look(&file)?;
                if !has_same_bytes(part.as_file(), &file) {
                    break;
                }
                return Ok((file, seen));
            }
            Err(FetchError::Missing { .. }) => {}
            // No file at all.
            Err(_) => break,
        }
        if path.parent().is_some_and(|folder| make_folder(folder).is_err()) {
            break;
        }
        match part.persist_noclobber(path) {
            Ok(file) => return Ok((file, ours)),
            Err(e) if e.error.kind() == ErrorKind::AlreadyExists => part = e.file,
            Err(e) => {
                part = e.file;
                break;
            }
        }
    }
    let file = give_name(part, path)?;
    let now = look(&file)?;
    // It may have been written once more, to a file of its own.
    Ok((file, if now.ino() == ours.ino() { ours } else { now }))
}

/// Whether two files hold the same; not if one of them cannot be read.
fn has_same_bytes(a: &File, b: &File) -> bool {
    let size = |file: &File| file.metadata().ok().filter(Metadata::is_file).map(|meta| meta.len());
    let Some(size) = size(a).filter(|len| Some(*len) == size(b)) else { return false };
    let (mut of_a, mut of_b) = (vec![0; COMPARED], vec![0; COMPARED]);
    let mut at = 0;
    while at < size {
        let count = usize::try_from(size - at).unwrap_or(COMPARED).min(COMPARED);
        let read = |file: &File, room: &mut [u8]| file.read_exact_at(&mut room[..count], at).is_ok();
        if !read(a, &mut of_a) || !read(b, &mut of_b) || of_a[..count] != of_b[..count] {
            return false;
        }
        at += count as u64;
    }
    true
}

/// Renames, so that nobody ever sees half a file under the name; who comes second replaces like with like. Where somebody
/// removes the folder each time, the file has no name, and is as good to who has it open.
pub(crate) fn give_name(part: NamedTempFile, path: &Path) -> Result<File, FetchError> {
    let failed = |error| FetchError::io(path, "create", error);
    let folder = path.parent().unwrap_or(path);
    make_folder(folder).or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })?;
    if path.is_dir() {
        remove(path);
    }
    match part.persist(path) {
        Err(e) if e.error.kind() == ErrorKind::NotFound => {
            let part = e.file;
            match make_within(FEW_TRIES, folder, || written_again(&part, folder, path).map_err(failed)) {
                Err(error) if is_gone(&error) => Ok(part.into_file()),
                other => other,
            }
        }
        other => other.map_err(|e| failed(e.error)),
    }
}

/// The part's own name went, perhaps with the whole cache, or by somebody whose clock is far ahead. Its bytes are still
/// there as long as it is open.
fn written_again(part: &NamedTempFile, folder: &Path, path: &Path) -> io::Result<File> {
    let mut again = tempfile::Builder::new().prefix(PART).tempfile_in(folder)?;
    let mut from = part.as_file();
    from.rewind()?;
    io::copy(&mut from, &mut again)?;
    again.as_file().set_permissions(from.metadata()?.permissions())?;
    again.persist(path).map_err(|e| e.error)
}

/// Removes a damaged entry, also a folder in a file's place; a link is removed, never what it leads to. What cannot be
/// removed stays.
pub(crate) fn remove(path: &Path) {
    let is_folder = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    let _ = if is_folder { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
}

fn content_path(root: &Path, key: &ContentKey) -> PathBuf {
    hashed(root.join("content"), &content_text(key))
}

fn content_text(key: &ContentKey) -> String {
    format!("{}\n{}", key.size(), key.text())
}

/// What a content is called over its two folders.
pub(crate) fn content_name(key: &ContentKey) -> String {
    Digest::of(content_text(key).as_bytes()).hex()
}

/// Whether these are the bytes of a document's file.
pub(crate) fn is_whole_document(file: Vec<u8>, path: &Path) -> bool {
    parse_document(file, &name_of(path)).is_some()
}

/// The name is a hash, so that no secret of a URL ends up in a file name.
fn document_path(root: &Path, url: &str) -> PathBuf {
    hashed(root.join("documents"), url)
}

pub(crate) fn hashed(mut path: PathBuf, text: &str) -> PathBuf {
    let hex = Digest::of(text.as_bytes()).hex();
    path.push(&hex[..2]);
    path.push(&hex[2..]);
    path
}

/// Lines of `key: value` and an empty line; nothing if the validators are too long to keep.
fn document_header(validators: &Validators, size: usize, digest: &Digest, name: &str) -> Option<String> {
    let mut header = format!("{HEADER_START}\nname: {name}\nsha256: {}\nsize: {size}\n", digest.hex());
    for (key, value) in [("etag", &validators.etag), ("last-modified", &validators.last_modified)] {
        if let Some(value) = value {
            if value.contains('\n') {
                return None;
            }
            header = header + key + ": " + value + "\n";
        }
    }
    header.push('\n');
    (header.len() as u64 <= HEADER_LIMIT).then_some(header)
}

/// What stands in front of a document in a cache file of this name, and where its bytes begin; nothing if it is damaged in
/// any way, or another's.
fn parse_head(file: &[u8], name: &str) -> Option<(DocumentHead, usize)> {
    let window = &file[..file.len().min(usize::try_from(HEADER_LIMIT).ok()?)];
    let end = window.windows(2).position(|pair| pair == b"\n\n")?;
    let header = std::str::from_utf8(&file[..end]).ok()?;
    let mut lines = header.lines();
    if lines.next()? != HEADER_START {
        return None;
    }
    let (mut validators, mut digest, mut size, mut named) = (Validators::default(), None, None, false);
    for line in lines {
        let (key, value) = line.split_once(": ")?;
        match key {
            "etag" => validators.etag = Some(value.to_owned()),
            "last-modified" => validators.last_modified = Some(value.to_owned()),
            "name" => named = value == name,
            "sha256" => digest = Digest::parse_hex(value).ok(),
            "size" => size = value.parse().ok(),
            _ => return None,
        }
    }
    let head = DocumentHead { validators, digest: digest?, size: size? };
    named.then_some((head, end + 2))
}

/// The document in a cache file of this name; nothing if the file is damaged in any way, or another's.
fn parse_document(mut file: Vec<u8>, name: &str) -> Option<Document> {
    let (head, start) = parse_head(&file, name)?;
    // Without room for another copy, however large it is.
    file.drain(..start);
    let whole = file.len() as u64 == head.size && head.digest == Digest::of(&file);
    whole.then_some(Document { head, bytes: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_document_is_no_document() {
        let validators =
            Validators { etag: Some("\"a: b\"".into()), last_modified: Some("Sun, 06 Nov 1994".into()) };
        let body = b"one\n\ntwo";
        let mut file = document_header(&validators, body.len(), &Digest::of(body), "n").unwrap().into_bytes();
        file.extend_from_slice(body);
        let whole = parse_document(file.clone(), "n").unwrap();
        assert_eq!((whole.head.validators, whole.bytes), (validators, body.to_vec()));
        for end in 0..file.len() {
            assert!(parse_document(file[..end].to_vec(), "n").is_none(), "cut at {end}");
        }
        let body_at = file.len() - body.len();
        for at in (0..HEADER_START.len()).chain(body_at..file.len()) {
            let mut file = file.clone();
            file[at] ^= 1;
            assert!(parse_document(file, "n").is_none(), "changed at {at}");
        }
        assert!(parse_document(file.clone(), "m").is_none());
        file.push(b'x');
        assert!(parse_document(file, "n").is_none());
        let long = Validators { etag: Some("x".repeat(9000)), last_modified: None };
        assert!(document_header(&long, body.len(), &Digest::of(body), "n").is_none());
    }

    #[test]
    fn only_old_unfinished_files_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["part-old", "other"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let names = || {
            let mut names: Vec<_> =
                std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        sweep(dir.path(), SystemTime::now() + Duration::from_hours(23));
        assert_eq!(names(), ["other", "part-old"]);
        sweep(dir.path(), SystemTime::now() + Duration::from_hours(25));
        assert_eq!(names(), ["other"]);
    }
}
