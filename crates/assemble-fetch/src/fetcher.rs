//! Documents and contents, from the cache or their place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use assemble_types::{Blob, Digest, Observer, SafeUrl, Spool};

use crate::cache::{Cache, Document, DocumentHead, Validators};
use crate::counters::{Counters, Counting};
use crate::credentials::{Access, Credential};
use crate::local::{open_file, open_limited, type_name};
use crate::parts::{DividedBody, MakeDivider, Undivided};
use crate::spool::FileSpool;
use crate::store::Store;
use crate::transfer::{Bound, MemoryBody, Outcome, PartBody, Progress, Sink, Transfer};
use crate::{FetchError, Http, Location};

/// More at once than this helps nobody.
const MOST_PARALLEL: usize = 64;

/// How to fetch.
#[derive(Debug)]
pub struct FetchOptions {
    /// Where to keep what was fetched; nothing means a folder that goes with the fetcher and its blobs.
    pub cache_dir: Option<PathBuf>,
    /// Takes everything from the cache and asks no server.
    pub offline: bool,
    /// The clients.
    pub http: Arc<Http>,
    /// Is told about transfers and warnings.
    pub observer: Arc<dyn Observer>,
}

/// What a content is known by: text that identifies its bytes, such as a checksum, and its size. The same key must
/// never stand for two contents, wherever they are fetched from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentKey {
    text: String,
    size: u64,
}

impl ContentKey {
    /// A key of an identifying text and the size in bytes.
    pub fn new(text: impl Into<String>, size: u64) -> Self {
        Self { text: text.into(), size }
    }

    /// The identifying text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// One content to fetch.
#[derive(Debug, Clone)]
pub struct ContentRequest {
    /// Where it is.
    pub location: Location,
    /// What it is known by.
    pub key: ContentKey,
    /// Its name, for people.
    pub label: String,
}

/// The beginning of a content, or more.
#[derive(Debug, Clone)]
pub enum Front {
    /// As many bytes from its start as were asked for.
    Part(Blob),
    /// All of it.
    Whole(Blob),
}

/// A document as it is now, or was when it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Digest of the bytes.
    pub digest: Digest,
    /// Whether the bytes came from the cache, be it that the server said they are current, or that nobody was asked.
    pub from_cache: bool,
}

impl Fetched {
    fn fresh(bytes: Vec<u8>) -> Self {
        Self { digest: Digest::of(&bytes), bytes, from_cache: false }
    }
}

/// A document that was asked for and need not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentState {
    /// What is in the cache is there still, or nobody was asked: [`Fetcher::kept_document`] reads it.
    Kept {
        /// Digest of its bytes.
        digest: Digest,
        /// How many they are.
        size: u64,
    },
    /// It was fetched, or lies on this host.
    Fetched(Fetched),
}

impl DocumentState {
    /// Digest of the bytes.
    pub fn digest(&self) -> &Digest {
        match self {
            Self::Kept { digest, .. } => digest,
            Self::Fetched(fetched) => &fetched.digest,
        }
    }

    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        match self {
            Self::Kept { size, .. } => *size,
            Self::Fetched(fetched) => fetched.bytes.len() as u64,
        }
    }
}

/// Gets documents and contents. Share it between threads.
#[derive(Debug)]
pub struct Fetcher {
    cache: Arc<Cache>,
    spool: Arc<FileSpool>,
    http: Arc<Http>,
    observer: Arc<dyn Observer>,
    offline: bool,
    access: Access,
    counting: Counting,
    /// What servers said so far about documents, by address.
    said: Mutex<BTreeMap<String, Said>>,
    /// Divides contents that come in.
    divider: MakeDivider,
    /// Whether contents may be fetched.
    fetches_contents: bool,
    /// Contents that were not what their key says.
    distrusted: Mutex<BTreeSet<ContentKey>>,
}

/// What a server said about a document.
#[derive(Debug, Clone, Copy)]
enum Said {
    /// That there is none.
    Nothing,
    /// That it is the one in the cache with this digest.
    Kept(Digest),
}

impl Fetcher {
    /// A fetcher. It makes nothing until it is used: a build that needs no cache gets none.
    ///
    /// # Errors
    /// A cache folder that is no folder. One that cannot be written is replaced by a throw-away one when something is
    /// to be written, with a warning.
    pub fn new(options: FetchOptions) -> Result<Self, FetchError> {
        let FetchOptions { cache_dir, offline, http, observer } = options;
        if let Some(path) = &cache_dir
            && let Ok(meta) = path.metadata()
            && !meta.is_dir()
        {
            return Err(FetchError::CacheType { path: path.clone(), found: type_name(meta.file_type()) });
        }
        let cache =
            Arc::new(Cache::new(cache_dir.as_deref(), std::env::temp_dir(), Arc::clone(&observer), offline));
        let spool = Arc::new(FileSpool::in_cache(Arc::clone(&cache)));
        let access = Access::new(Vec::new(), Arc::clone(&observer));
        let counting = Counting::default();
        let (said, distrusted) = (Mutex::default(), Mutex::default());
        let divider: MakeDivider = || Box::new(Undivided);
        Ok(Self {
            cache,
            spool,
            http,
            observer,
            offline,
            access,
            counting,
            said,
            divider,
            fetches_contents: true,
            distrusted,
        })
    }

    /// The same, keeping contents in two parts where a divider says so.
    #[must_use]
    pub fn with_divider(mut self, make: MakeDivider) -> Self {
        self.divider = make;
        self
    }

    /// The same, which takes contents from the cache only unless `fetch`. Documents are still asked for.
    #[must_use]
    pub fn fetching_contents(mut self, fetch: bool) -> Self {
        self.fetches_contents = fetch;
        self
    }

    /// The same with credentials, each for one host; of several for a host the first is sent.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Vec<Credential>) -> Self {
        self.access = Access::new(credentials, Arc::clone(&self.observer));
        self
    }

    /// Something that changes at its place: an index, a key. A server is asked once in the life of a fetcher whether it
    /// changed, whatever the last answer said of how long it would stay fresh, so that a build sees what is there now,
    /// and one state of it for all platforms; without one (offline) it is the one last seen.
    ///
    /// # Errors
    /// More than `limit` bytes; the place's refusal; no answer, also where the cache has an older one, since an old
    /// index without a word would hide updates.
    pub fn document(&self, location: &Location, limit: u64) -> Result<Fetched, FetchError> {
        let Some(url) = location.url() else { return local_document(location, limit) };
        let cache_key = cache_key(url);
        let known = self.cache.document(&cache_key, limit);
        let (known, bytes) = known.map(|Document { head, bytes }| (head, bytes)).unzip();
        match (self.state(location, url, &cache_key, limit, known)?, bytes) {
            (DocumentState::Fetched(fetched), _) => Ok(fetched),
            (DocumentState::Kept { digest, .. }, Some(bytes)) => {
                Ok(Fetched { bytes, digest, from_cache: true })
            }
            // Only what was there is kept.
            (DocumentState::Kept { .. }, None) => Err(FetchError::Replaced { location: location.clone() }),
        }
    }

    /// As [`Fetcher::document`], but what is in the cache is not read: who knows what it came to by its digest need not.
    /// What the cache says of it was not compared with its bytes.
    ///
    /// # Errors
    /// As [`Fetcher::document`].
    pub fn state_of(&self, location: &Location, limit: u64) -> Result<DocumentState, FetchError> {
        let Some(url) = location.url() else {
            return local_document(location, limit).map(DocumentState::Fetched);
        };
        let cache_key = cache_key(url);
        let known = self.cache.document_head(&cache_key, limit);
        self.state(location, url, &cache_key, limit, known)
    }

    /// The document of which [`Fetcher::state_of`] said that it is in the cache. If it is not, or damaged, it is fetched.
    ///
    /// # Errors
    /// As [`Fetcher::document`]; what was fetched is another one, so that what follows from the digest would be wrong.
    pub fn kept_document(
        &self,
        location: &Location,
        limit: u64,
        digest: &Digest,
    ) -> Result<Fetched, FetchError> {
        let Some(url) = location.url() else { return local_document(location, limit) };
        let cache_key = cache_key(url);
        let kept = self.cache.document(&cache_key, limit).filter(|kept| kept.head.digest == *digest);
        if let Some(Document { bytes, .. }) = kept {
            return Ok(Fetched { bytes, digest: *digest, from_cache: true });
        }
        if self.offline {
            return Err(FetchError::Offline { location: location.clone() });
        }
        match self.ask_for_document(location, url, &cache_key, limit, None)? {
            DocumentState::Fetched(fetched) if fetched.digest == *digest => Ok(fetched),
            _ => {
                self.cache.lost();
                Err(FetchError::Replaced { location: location.clone() })
            }
        }
    }

    /// Takes a document out of the cache that turned out to be of no use: asked by what it was called, a server would say
    /// that it is unchanged. Without network it stays.
    pub fn forget_document(&self, location: &Location) {
        if let Some(url) = location.url().filter(|_| !self.offline) {
            let cache_key = cache_key(url);
            locked(&self.said).remove(&cache_key);
            self.cache.drop_document(&cache_key);
        }
    }

    /// What the server says now, or has said, about a document that is `known`.
    fn state(
        &self,
        location: &Location,
        url: &SafeUrl,
        cache_key: &str,
        limit: u64,
        known: Option<DocumentHead>,
    ) -> Result<DocumentState, FetchError> {
        let said = locked(&self.said).get(cache_key).copied();
        if let Some(Said::Nothing) = said {
            return Err(FetchError::NotFound { location: location.clone() });
        }
        if self.offline {
            let known = known.ok_or_else(|| FetchError::Offline { location: location.clone() })?;
            return Ok(self.known_again(&known));
        }
        match (said, known) {
            (Some(Said::Kept(digest)), Some(known)) if known.digest == digest => Ok(self.known_again(&known)),
            (_, known) => self.ask_for_document(location, url, cache_key, limit, known),
        }
    }

    /// Asks the server, and remembers what it said.
    fn ask_for_document(
        &self,
        location: &Location,
        url: &SafeUrl,
        cache_key: &str,
        limit: u64,
        known: Option<DocumentHead>,
    ) -> Result<DocumentState, FetchError> {
        let asked = self.transfer_document(location, url, cache_key, limit, known);
        let said = match &asked {
            Ok((_, said)) => *said,
            Err(FetchError::NotFound { .. }) => Some(Said::Nothing),
            Err(_) => None,
        };
        if let Some(said) = said {
            locked(&self.said).insert(cache_key.to_owned(), said);
        }
        asked.map(|(state, _)| state)
    }

    fn transfer_document(
        &self,
        location: &Location,
        url: &SafeUrl,
        cache_key: &str,
        limit: u64,
        known: Option<DocumentHead>,
    ) -> Result<(DocumentState, Option<Said>), FetchError> {
        // Without a validator there is nothing to ask by.
        let known = known.filter(|known| known.validators != Validators::default());
        let mut body = MemoryBody::default();
        let progress = Progress::start(&self.observer, location.to_string(), 0);
        let transfer = Transfer {
            known: known.as_ref().map(|known| &known.validators),
            ..self.transfer(location, url, Bound::AtMost(limit))
        };
        match (transfer.run(&mut body, progress)?, known) {
            (Outcome::NotModified, Some(known)) => {
                let said = Said::Kept(known.digest);
                Ok((self.known_again(&known), Some(said)))
            }
            (Outcome::NotModified, None) | (Outcome::Front, _) => {
                Err(FetchError::Status { location: location.clone(), status: 304 })
            }
            (Outcome::Complete { validators, may_keep: true }, _) => {
                self.counting.miss();
                let fetched = Fetched::fresh(body.0);
                self.cache.keep_document(cache_key, &validators, &fetched.bytes, &fetched.digest)?;
                let said = Said::Kept(fetched.digest);
                Ok((DocumentState::Fetched(fetched), Some(said)))
            }
            (Outcome::Complete { .. }, _) => {
                self.counting.miss();
                self.cache.drop_document(cache_key);
                Ok((DocumentState::Fetched(Fetched::fresh(body.0)), None))
            }
        }
    }

    fn known_again(&self, known: &DocumentHead) -> DocumentState {
        self.counting.hit();
        DocumentState::Kept { digest: known.digest, size: known.size }
    }

    /// Something that never changes, known by its key and not by its place: a package. Its size is checked; whether its
    /// bytes are those the key stands for is for the caller to check, who calls [`Fetcher::forget`] if they are not and
    /// asks once more.
    ///
    /// # Errors
    /// Another size; the place's refusal; no answer; a full disk.
    pub fn content(&self, location: &Location, key: &ContentKey, label: &str) -> Result<Blob, FetchError> {
        if location.local_path().is_some() {
            return local_content(location, key);
        }
        if let Some(blob) = self.cache.content(key) {
            self.counting.hit();
            return Ok(blob);
        }
        let Some(url) = location.url().filter(|_| !self.offline) else {
            if self.cache.was_damaged(key) {
                return Err(FetchError::DamagedOffline { location: location.clone() });
            }
            return Err(FetchError::Offline { location: location.clone() });
        };
        if !self.fetches_contents {
            return Err(FetchError::NotCached { label: label.to_owned(), location: location.clone() });
        }
        self.counting.miss();
        let mut body = DividedBody::new(&self.cache, self.divider);
        let progress = Progress::start(&self.observer, label.to_owned(), key.size());
        let past_caches = locked(&self.distrusted).contains(key);
        let transfer = Transfer { past_caches, ..self.transfer(location, url, Bound::Exactly(key.size())) };
        match transfer.run(&mut body as &mut dyn Sink, progress)? {
            Outcome::Complete { .. } => self.cache.keep_divided(body.finish()?, key),
            Outcome::NotModified | Outcome::Front => {
                Err(FetchError::Status { location: location.clone(), status: 304 })
            }
        }
    }

    /// Whether a content need not be fetched, as far as a look at its name tells: enough to know where to begin.
    pub fn is_at_hand(&self, location: &Location, key: &ContentKey) -> bool {
        location.local_path().is_some() || self.cache.has_content(key)
    }

    /// The first `len` bytes of a content, or all of it: where that is at hand, where it is hardly longer, and where the
    /// server sends it anyway. A part is not kept.
    ///
    /// # Errors
    /// As [`Fetcher::content`]; a server that sends another part than the one asked for.
    pub fn front(
        &self,
        location: &Location,
        key: &ContentKey,
        label: &str,
        len: u64,
    ) -> Result<Front, FetchError> {
        let most = usize::try_from(len).ok().filter(|_| len > 0 && len < key.size() / 2);
        let at_hand = || location.local_path().is_some() || self.cache.content(key).is_some();
        let (Some(most), Some(url)) = (most, location.url().filter(|_| !self.offline && !at_hand())) else {
            return self.content(location, key, label).map(Front::Whole);
        };
        self.counting.miss();
        let mut body = PartBody { cache: &self.cache, most, memory: Vec::new(), file: None };
        let progress = Progress::start(&self.observer, label.to_owned(), len);
        let past_caches = locked(&self.distrusted).contains(key);
        let transfer = Transfer {
            past_caches,
            front: Some(len),
            ..self.transfer(location, url, Bound::Exactly(key.size()))
        };
        match (transfer.run(&mut body, progress)?, body.file) {
            (Outcome::Front, _) => Ok(Front::Part(Blob::from_bytes(body.memory))),
            (Outcome::Complete { .. }, Some(file)) => self.cache.keep_content(file.0, key).map(Front::Whole),
            // What is complete has more than the part's length, so there is a file.
            (Outcome::Complete { .. }, None) => self.content(location, key, label).map(Front::Whole),
            (Outcome::NotModified, _) => Err(FetchError::Status { location: location.clone(), status: 304 }),
        }
    }

    /// Drops a content from the cache, because its bytes turned out not to be those its key stands for. The next time it
    /// is asked for, caches on the way have to ask the server, too.
    pub fn forget(&self, key: &ContentKey) {
        locked(&self.distrusted).insert(key.clone());
        self.cache.forget(key);
    }

    /// [`Fetcher::content`] for each, several at once, in the order of the items.
    ///
    /// # Errors
    /// That of the first item that failed; others that had not begun by then are not begun.
    pub fn fetch_all(&self, items: &[ContentRequest], parallelism: usize) -> Result<Vec<Blob>, FetchError> {
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let done: Mutex<Vec<(usize, Result<Blob, FetchError>)>> = Mutex::new(Vec::with_capacity(items.len()));
        let work = || {
            while !failed.load(Ordering::Relaxed) {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(at) else { return };
                let result = self.content(&item.location, &item.key, &item.label);
                failed.fetch_or(result.is_err(), Ordering::Relaxed);
                done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..parallelism.clamp(1, MOST_PARALLEL).min(items.len()) {
                // Where the host gives no further thread, those there are do the work.
                let _ = std::thread::Builder::new().name("assemble-fetch".into()).spawn_scoped(scope, work);
            }
            work();
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_unstable_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, result)| result).collect()
    }

    /// A place for bytes that stages make: short ones in memory, long ones in an unnamed file on the cache's disk.
    pub fn spool(&self) -> Arc<dyn Spool> {
        Arc::clone(&self.spool) as Arc<dyn Spool>
    }

    /// Where builds keep what they made, beside what was fetched.
    pub fn store(&self) -> Store {
        Store::new(Arc::clone(&self.cache))
    }

    /// How many files of the cache somebody removed or cut while they were in use, so that they could not be read to their
    /// end. What was begun with them can be begun again.
    pub fn losses(&self) -> u64 {
        self.cache.losses()
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        self.counting.now()
    }

    fn transfer<'a>(&'a self, location: &'a Location, url: &'a SafeUrl, bound: Bound) -> Transfer<'a> {
        Transfer {
            http: &self.http,
            location,
            url,
            access: &self.access,
            counting: &self.counting,
            bound,
            known: None,
            past_caches: false,
            front: None,
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a document is kept under: its address without user information, which says who asks and not what for.
fn cache_key(url: &SafeUrl) -> String {
    let mut url = url.expose().clone();
    // A URL that has no place for them has none.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.into()
}

fn local_document(location: &Location, limit: u64) -> Result<Fetched, FetchError> {
    let path = location.local_path().unwrap_or(std::path::Path::new(""));
    let bytes = open_limited(path, limit).map_err(|error| of_repository(location, error))?;
    let bytes = bytes.ok_or_else(|| FetchError::TooLarge { location: location.clone(), limit })?;
    Ok(Fetched::fresh(bytes))
}

fn local_content(location: &Location, key: &ContentKey) -> Result<Blob, FetchError> {
    let path = location.local_path().unwrap_or(std::path::Path::new(""));
    let blob = open_file(path).map_err(|error| of_repository(location, error))?;
    if blob.len() != key.size() {
        return Err(FetchError::WrongSize {
            location: location.clone(),
            expected: key.size(),
            found: blob.len(),
            at_least: false,
        });
    }
    Ok(blob)
}

/// A repository lacks a file: that is not a file the user named.
fn of_repository(location: &Location, error: FetchError) -> FetchError {
    match error {
        FetchError::Missing { .. } => FetchError::NotFound { location: location.clone() },
        other => other,
    }
}
