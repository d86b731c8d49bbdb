//! Gets bytes by location, checks their size, and keeps them in a cache that is addressed by content.
//!
//! **In:** a [`Location`] (a folder of this host or an `http(s):` URL), what is known about the bytes, paths that the
//! user named. **Out:** documents as bytes; contents and files as blobs that can be read again and notice changes; a
//! spool for bytes that stages make; the HTTP clients that the registry uses too.
//! **Never:** what the bytes mean. Signatures and checksums are checked by those who know them; they tell
//! [`Fetcher::forget`] when a content is not what its key says.
//!
//! # Why it is the way it is
//! *Documents* (indexes, keys) change at their place, so a server is asked each time, with the validator of the last
//! answer. *Contents* (packages) never change, so they are kept by a key that the caller derives from what vouches for
//! them, never by address: two mirrors share an entry, and no mirror can put a false one there for another.
//!
//! ```text
//! <cache>/v1/content/ab/cdef…     the bytes; the name is a hash of the key. If they are kept in two parts: a line with
//!                                 digest and size of the second, which lies under `blobs`, then the first
//! <cache>/v1/documents/ab/cdef…   validators, size and digest in a few lines, then the bytes; the name hashes the URL
//! <cache>/v1/blobs/ab/cdef…       layers that builds made, and second parts of contents; the name is their digest
//! <cache>/v1/records/KIND/ab/…    what is known of contents, layers and whole builds; the name is the record's key
//! <cache>/v1/tmp/part-XXXXXX      not finished; removed by the next run a day later if its process was killed
//! ```
//!
//! A file gets its name by a rename once it is whole, so readers need no lock, any number of processes share the
//! folder, and killing one leaves nothing that another could mistake for an entry. A file cut off by something else is
//! noticed by its size (and documents by their digest). A folder that cannot be written is still read; what is new then
//! goes into a throw-away folder, and a warning says so. Local repositories are read in place.
//!
//! One broken connection is not the end of a download: it is resumed where the server allows that. Waiting times come
//! from the server or an exponential back-off. There is no limit on a whole transfer, since nobody knows how slow a
//! line is, but one on standing still.
//!
//! Files of the user's are opened when they are read and only a few stay open, because a folder of 20,000 files must
//! not run out of descriptors; hence each blob remembers what the file was like, and compares. Files of the cache are held
//! open, as far as the process may have so many: others may prune it meanwhile, and what is open can be read without a name.

mod cache;
mod counters;
mod credentials;
mod error;
mod escape;
mod fetcher;
mod http;
mod local;
mod location;
mod parts;
mod platform_dir;
mod spool;
mod store;
mod transfer;
mod upkeep;

pub use counters::Counters;
pub use credentials::{Credential, FoundCredentials, NetrcFile};
pub use error::{FetchError, RedirectFault, TransferError};
pub use fetcher::{ContentKey, ContentRequest, DocumentState, FetchOptions, Fetched, Fetcher, Front};
pub use http::{
    GiveUp, Http, HttpError, HttpOptions, ProxySettings, REFUSED_TRIES, RetryDecision, RetryPolicy,
    TlsTrouble, is_refused, is_this_machine, is_transient_status, jitter_seed, may_lead_to, retry_delay,
};
pub use local::{LocalEntry, LocalKind, file_look, is_excluded, make_room_for_files, open_file, read_tree};
pub use location::{Location, LocationError};
pub use parts::{Divider, Division, MakeDivider};
pub use platform_dir::platform_cache_dir;
pub use spool::spool_in;
pub use store::{KeptBlob, RecordKind, Store};
pub use transfer::next_transfer_id;
pub use upkeep::{CachePart, Checked, OwnKey, PartSize, Prune};
