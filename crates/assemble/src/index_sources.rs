//! Indexes as they come in: asked for at once, found as they were read before, or read.

use std::io;

use assemble_apk::{Index, IndexError, Keyring, Trust, read_index_into};
use assemble_fetch::{DocumentState, FetchError, Fetched, KeptBlob, Location, RecordKind, Store};
use assemble_types::{Arch, Digest, Event, Explain, HashingWriter, Kind};

use crate::error::{Error, OwnError, Result};
use crate::keys::Keys;
use crate::misfits;
use crate::plan::Mode;
use crate::sources::{FoundIndex, RepositoryInput, Sources, unreachable_hint};

/// Largest index that is read, packed, in bytes.
const MAX_INDEX: u64 = 128 * 1024 * 1024;
/// Smallest index of which the cache keeps how it was read, packed, in bytes.
const MIN_FORM: usize = 64 * 1024;

/// What came of asking for an index: its file, below the repository's base, and the file itself or that the cache has it.
pub(crate) type AskedIndex = std::result::Result<(String, DocumentState), FetchError>;
/// An index's file, below the repository's base, and what it holds.
type FetchedIndex = std::result::Result<(String, Fetched), FetchError>;

/// Does this for each, several at once; the results are in the order of the items.
pub(crate) fn at_once<T: Send, R: Send>(mut items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let Some(last) = items.pop() else { return Vec::new() };
    std::thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
        let last = work(last);
        let done = others.into_iter().map(std::thread::ScopedJoinHandle::join);
        let mut done: Vec<R> =
            done.map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect();
        done.push(last);
        done
    })
}

impl Sources<'_> {
    /// Asks for the keys that are published and for the indexes, all at once: none waits for what another says.
    pub(crate) fn ask(
        &self,
        repositories: &[RepositoryInput],
        arch: Arch,
    ) -> (Result<Vec<Keys>>, Vec<AskedIndex>) {
        if repositories.iter().all(|repository| repository.location.url().is_none()) {
            let asked = repositories.iter().map(|repository| self.ask_for_index(repository, arch)).collect();
            return (self.discover(repositories, arch), asked);
        }
        std::thread::scope(|scope| {
            let fetch = || at_once(repositories.iter().collect(), |one| self.ask_for_index(one, arch));
            let fetching = scope.spawn(fetch);
            let found = self.discover(repositories, arch);
            let fetched = fetching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (found, fetched)
        })
    }

    /// The index of a repository; nothing if there is none in a folder of this host, and that is no error.
    pub(crate) fn read_index(
        &self,
        repository: &RepositoryInput,
        keys: &Keyring,
        arch: Arch,
    ) -> Result<Option<FoundIndex>> {
        let read = self.check_index(repository, self.ask_for_index(repository, arch), keys, arch)?;
        if read.is_none() {
            self.warn_left_out(repository);
        }
        Ok(read)
    }

    pub(crate) fn warn_left_out(&self, repository: &RepositoryInput) {
        self.observer.event(Event::Warning(format!(
            "{}: there is no index; the repository is left out, as apko does",
            repository.location
        )));
    }

    fn ask_for_index(&self, repository: &RepositoryInput, arch: Arch) -> AskedIndex {
        let mut files = repository.layout().indexes(&repository.text, arch);
        if self.mode == Mode::Apko {
            files.truncate(1);
        }
        self.first(&repository.base(), &files)
    }

    /// The index that was asked for, read from the cache if it is there.
    fn fetched(&self, repository: &RepositoryInput, asked: AskedIndex) -> FetchedIndex {
        let (file, state) = asked?;
        let fetched = match state {
            DocumentState::Fetched(fetched) => fetched,
            DocumentState::Kept { digest, .. } => {
                let location = repository.base().join(&file);
                self.fetcher.kept_document(&location, self.index_limit(), &digest)?
            }
        };
        Ok((file, fetched))
    }

    /// How many bytes an index has at most, packed.
    fn index_limit(&self) -> u64 {
        self.limits.response.unwrap_or(MAX_INDEX)
    }

    pub(crate) fn check_index(
        &self,
        repository: &RepositoryInput,
        asked: AskedIndex,
        keys: &Keyring,
        arch: Arch,
    ) -> Result<Option<FoundIndex>> {
        let found = self.fetched(repository, asked);
        if self.mode == Mode::Apko
            && repository.location.local_path().is_some()
            && matches!(found, Err(FetchError::NotFound { .. }))
        {
            return Ok(None);
        }
        let (file, fetched) = found.map_err(|error| {
            let unavailable = error.kind() == Kind::Unavailable;
            let mut error = no_index(repository, arch, error);
            if unavailable && let Some(hint) = unreachable_hint(repository) {
                error = error.hint(hint);
            }
            error
        })?;
        if self.mode == Mode::Apko && fetched.bytes.starts_with(b"ADB") {
            let what = format!("the index of {} for {}", repository.text, arch.apk());
            let why = "it is one of APK v3, which apko does not know; `assemble build` does";
            return Err(Error::from(OwnError::NotSupported { what, why }).at(&repository.span));
        }
        let remote = repository.location.url().is_some();
        let index = self.parsed(&fetched, keys, remote).map_err(|error| {
            if error.kind() == Kind::Integrity {
                self.fetcher.forget_document(&repository.base().join(&file));
            }
            misfits::of_index(error, repository, arch)
                .doing(format!("checking the index of {} for {}", repository.text, arch.apk()))
                .at(&repository.span)
        })?;
        let Fetched { bytes, digest, .. } = fetched;
        Ok(Some(FoundIndex { file, size: bytes.len() as u64, bytes: Some(bytes), digest, index }))
    }

    /// Reads an index, or finds how it was read when the same keys counted. What was `fetched` from this host leaves
    /// nothing in the cache, and small ones are read as quickly as found. How it was read is kept once the same index is
    /// read a second time: most are read once, for one list of packages, and what was chosen is kept anyway.
    fn parsed(
        &self,
        fetched: &Fetched,
        keys: &Keyring,
        remote: bool,
    ) -> std::result::Result<Index, IndexError> {
        let key = (remote && fetched.bytes.len() >= MIN_FORM).then(|| {
            let digest = fetched.digest.hex();
            Digest::of(Index::form_key(&digest, keys, self.trust, self.limits.index).as_bytes())
        });
        let store = self.fetcher.store();
        let found = key.and_then(|key| kept_index(&store, &key));
        if let Some(found) = found.filter(|found| self.is_vouched_for(found, keys)) {
            return Ok(found);
        }
        let spool = self.fetcher.spool();
        let index = read_index_into(&fetched.bytes, keys, self.trust, self.limits.index, &*spool)?;
        if let Some(key) = key.filter(|_| fetched.from_cache) {
            // It saves reading it the next time, and nothing else.
            let _ = keep_index(&store, &key, &index);
        }
        Ok(index)
    }

    /// Whether one of these keys signed an index that was read before, or none need have.
    pub(crate) fn is_vouched_for(&self, index: &Index, keys: &Keyring) -> bool {
        match &index.signed_by {
            Some(name) => keys.get(name).is_some(),
            None => self.trust == Trust::AllowUntrusted,
        }
    }

    /// The first of these files that is there, with its name. If none is, that is said of the first.
    pub(crate) fn first(&self, base: &Location, files: &[String]) -> AskedIndex {
        let mut missing = None;
        let limit = self.index_limit();
        for file in files {
            match self.fetcher.state_of(&base.join(file), limit) {
                Err(error @ FetchError::NotFound { .. }) => missing = missing.or(Some(error)),
                other => return other.map(|state| (file.clone(), state)),
            }
        }
        Err(missing.unwrap_or_else(|| FetchError::NotFound { location: base.clone() }))
    }
}

/// What stands behind the lengths of a form that lies in the cache: digest, size and stamp of the records' lines, each
/// a line, and how many bytes these three are.
fn lines_of(record: &[u8]) -> Option<(&[u8], KeptBlob)> {
    let (rest, length) = record.split_last_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (form, about) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
    let mut about = str::from_utf8(about).ok()?.splitn(3, '\n');
    let digest = Digest::parse_hex(about.next()?).ok()?;
    let size = about.next()?.parse().ok()?;
    Some((form, KeptBlob { digest, size, stamp: about.next()?.to_owned() }))
}

/// An index as it was read before.
fn kept_index(store: &Store, key: &Digest) -> Option<Index> {
    let record = store.record(RecordKind::Index, key)?;
    let (form, lines) = lines_of(&record)?;
    let (lines, renewed) = store.blob(&lines)?;
    let index = Index::from_form(form, lines);
    if let Some(now) = renewed {
        let _ = keep_form(store, key, form, &now);
    }
    index
}

/// Keeps how an index was read; nothing if that cannot be kept.
fn keep_index(store: &Store, key: &Digest, index: &Index) -> Option<()> {
    let (form, lines) = index.to_form()?;
    let mut out = HashingWriter::new(store.layers().create().ok()?);
    io::copy(&mut lines.reader(), &mut out).ok()?;
    let (out, digest, _) = out.finish();
    let lines = out.finish_as(&digest).ok()?;
    keep_form(store, key, &form, &Store::kept(&digest, &lines)?)
}

fn keep_form(store: &Store, key: &Digest, form: &[u8], lines: &KeptBlob) -> Option<()> {
    let about = format!("{}\n{}\n{}", lines.digest.hex(), lines.size, lines.stamp);
    let length = u32::try_from(about.len()).ok()?.to_le_bytes();
    store.keep_record(RecordKind::Index, key, &[form, about.as_bytes(), &length].concat()).ok()
}

/// The error of an index that could not be had.
pub(crate) fn no_index(repository: &RepositoryInput, arch: Arch, error: FetchError) -> Error {
    let missing = matches!(error, FetchError::NotFound { .. });
    let hints = if missing { misfits::other_letters(repository, arch) } else { None };
    let error = match error {
        _ if missing && is_missing(repository) => OwnError::NothingHere(repository.text.clone()).into(),
        source if missing => Error::from(OwnError::NoIndex {
            repository: repository.text.clone(),
            arch: arch.apk(),
            source: Box::new(source),
        }),
        other => other.into(),
    };
    let error = hints.into_iter().fold(error, Error::hints_instead);
    error.doing(format!("reading the index for {}", arch.apk())).at(&repository.span)
}

/// Whether a repository is a place on this host where nothing is.
fn is_missing(repository: &RepositoryInput) -> bool {
    repository.location.local_path().is_some_and(|path| !path.exists())
}
