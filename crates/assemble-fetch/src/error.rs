use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assemble_types::{Explain, Kind};
use rustix::io::Errno;

use crate::escape::{for_shell, in_shell, shown, shown_path};
use crate::http::TlsTrouble;
use crate::{Location, LocationError};

/// What else can be done where nobody answers.
const WITHOUT_NETWORK: &str =
    "if the cache has it from an earlier run, --offline takes it from there, and asks nobody";

/// Why bytes could not be had. Messages never show a password or a token.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Text that names no place.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The server, or the folder, has no such thing.
    #[error("{location}: not found")]
    NotFound {
        /// The place asked.
        location: Location,
    },
    /// The server wants credentials, or other ones.
    #[error("{location}: access denied (status {status}){}", told_with(.sent.as_deref()))]
    Denied {
        /// The place asked.
        location: Location,
        /// 401, 403 or 407.
        status: u16,
        /// Where the credentials came from that were sent, if any were.
        sent: Option<String>,
    },
    /// The server answered something that trying again will not change.
    #[error("{location}: unexpected status {status}")]
    Status {
        /// The place asked.
        location: Location,
        /// What it answered.
        status: u16,
    },
    /// No try went well.
    #[error("{location}: not available after {tries} {}", if *.tries == 1 { "try" } else { "tries" })]
    Unavailable {
        /// The place asked.
        location: Location,
        /// How often it was tried.
        tries: u32,
        /// What happened the last time.
        source: TransferError,
    },
    /// The server asked to come back much later.
    #[error("{location}: the server asks to wait {} s (status {status}); we wait at most {} s", .asked.as_secs(), .longest.as_secs())]
    TooBusy {
        /// The place asked.
        location: Location,
        /// 429 or 503, most often.
        status: u16,
        /// The wait it asked for.
        asked: Duration,
        /// The wait we would have accepted.
        longest: Duration,
    },
    /// The server's certificate is not trusted, or TLS failed otherwise.
    #[error("{location}: no secure connection")]
    Tls {
        /// The place asked.
        location: Location,
        /// What TLS says.
        source: Box<rustls::Error>,
        /// Whether the user named authorities to trust.
        own_ca: bool,
    },
    /// The server sends another part than the one that was asked for.
    #[error("{location}: the server was asked for `{asked}` and sends `{found}`")]
    OtherRange {
        /// The place asked.
        location: Location,
        /// The part asked for, in the words of `Content-Range`.
        asked: String,
        /// What the server says it sends.
        found: String,
    },
    /// A redirection that is not followed.
    #[error("{location}: redirection refused: {why}")]
    Redirect {
        /// The place asked first.
        location: Location,
        /// What is wrong with it.
        why: RedirectFault,
    },
    /// Not in the cache, and the network may not be used.
    #[error("{location}: not in the cache, and this run is offline")]
    Offline {
        /// The place not asked.
        location: Location,
    },
    /// Not in the cache, and only indexes and keys may be fetched.
    #[error("{label} is not in the cache")]
    NotCached {
        /// What is missing, for people.
        label: String,
        /// The place not asked.
        location: Location,
    },
    /// The copy in the cache cannot be used, and the network may not be.
    #[error("{location}: the copy in the cache was damaged, and this run is offline")]
    DamagedOffline {
        /// The place not asked.
        location: Location,
    },
    /// What the server called unchanged cannot be used from the cache, and is another one by now.
    #[error(
        "{location}: the server has another one by now, and the copy in the cache cannot be used any more"
    )]
    Replaced {
        /// The place.
        location: Location,
    },
    /// More bytes than are sensible.
    #[error("{location}: larger than the limit of {limit} bytes")]
    TooLarge {
        /// The place asked.
        location: Location,
        /// The limit in bytes.
        limit: u64,
    },
    /// Another size than what vouches for the content says.
    #[error("{location}: expected {expected} bytes, found {}{found}", if *.at_least { "at least " } else { "" })]
    WrongSize {
        /// The place asked.
        location: Location,
        /// The size promised.
        expected: u64,
        /// The size there is.
        found: u64,
        /// Whether reading stopped there because it was too much already.
        at_least: bool,
    },
    /// A file that the user named is not there.
    #[error("{}: no such file or folder", shown_path(.path))]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A folder, socket, device or the like where a file (or, in trees, a file, folder or link) is meant.
    #[error("{}: expected {expected}, found {found}", shown_path(.path))]
    WrongType {
        /// The path.
        path: PathBuf,
        /// What can be used.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// What is to be the cache is no folder.
    #[error("{}: cannot be the cache: expected a folder, found {found}", shown_path(.path))]
    CacheType {
        /// The path.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A file changed while it was read.
    #[error("{}: changed while it was read ({what})", shown_path(.path))]
    Changed {
        /// The path.
        path: PathBuf,
        /// What differs, such as `size: 10 -> 12`.
        what: String,
    },
    /// A folder with more entries than are sensible.
    #[error("{}: more than {limit} entries", shown_path(.path))]
    TooManyEntries {
        /// The folder at the top.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// A pattern that can match nothing.
    #[error("exclude pattern `{}`: {why}", shown(.pattern.as_bytes()))]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The host failed.
    #[error("{}: cannot {action}", shown_path(.path))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, such as `read`.
        action: &'static str,
        /// What the host says.
        source: io::Error,
    },
}

/// Why one transfer failed in a way that may pass.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// An answer such as 503.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// The host's name is unknown, or no name server answers.
    #[error("the host name cannot be looked up")]
    NameLookup(#[source] reqwest::Error),
    /// Nobody answers there.
    #[error("the host cannot be reached")]
    Connect(#[source] reqwest::Error),
    /// No byte for too long.
    #[error("the transfer stood still for too long")]
    Stalled,
    /// The connection ended before the transfer did.
    #[error("the connection was cut after {received} bytes")]
    Cut {
        /// Bytes of the body that are there.
        received: u64,
    },
    /// The connection broke otherwise.
    #[error("the transfer broke off")]
    Broken(#[source] reqwest::Error),
}

/// Why a redirection is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedirectFault {
    /// More than ten in a row.
    #[error("more than 10 in a row")]
    TooMany,
    /// From `https:` to something that others can read and change.
    #[error("it leads from https to an insecure address")]
    Insecure,
    /// No target, or one that is no http(s) URL.
    #[error("its target is no http(s) URL")]
    NoTarget,
    /// To an address inside a private network, or on this machine, from a server that is not there.
    #[error("it leads to an address in a private network that the server is not in")]
    PrivateNetwork,
}

impl FetchError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::TooBusy { .. })
    }

    /// The error of this crate inside an error of a reader or writer that this crate made, if it is one.
    pub fn inside(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// Carries the error through a reader or writer; the kind stays, so that callers can still ask for it.
    pub(crate) fn into_io(self) -> io::Error {
        let kind = match &self {
            Self::Io { source, .. } => source.kind(),
            Self::Missing { .. } => io::ErrorKind::NotFound,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, self)
    }

    pub(crate) fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), action, source }
    }

    /// What differs in files such as those under /proc and /sys, which say that they are empty.
    pub(crate) const MORE_THAN_SIZE: &str = "it has more bytes than its size says";

    fn io_hints(path: &Path, action: &str, source: &io::Error) -> Vec<String> {
        let quoted = for_shell(path);
        // What was being written is gone by now, and removing takes a right to the folder.
        let folder = for_shell(path.parent().unwrap_or(path));
        if [Errno::MFILE, Errno::NFILE].iter().any(|e| source.raw_os_error() == Some(e.raw_os_error())) {
            return vec!["allow more open files in this shell: `ulimit -n 1024`".into()];
        }
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                vec![
                    format!("free some space there: `df -h {folder}`"),
                    "make the cache smaller: `assemble cache prune --max-size SIZE`, of the same `--cache-dir`, or use another one"
                        .into(),
                ]
            }
            io::ErrorKind::PermissionDenied if path.symlink_metadata().is_err() => {
                let there = path.ancestors().find(|above| above.symlink_metadata().is_ok());
                let quoted = for_shell(there.unwrap_or(Path::new(".")));
                vec![format!("this user may not go or write there: `ls -ld {quoted}`")]
            }
            io::ErrorKind::PermissionDenied if action == "remove" => {
                vec![format!("this user may not remove files there: `ls -ld {folder}`")]
            }
            io::ErrorKind::PermissionDenied => {
                vec![format!("give this user the right to: `ls -ld {quoted}`, then `chmod u+r {quoted}`")]
            }
            io::ErrorKind::ReadOnlyFilesystem => vec!["use another cache folder: `--cache-dir DIR`".into()],
            _ => Vec::new(),
        }
    }
}

impl Explain for FetchError {
    fn code(&self) -> &'static str {
        match self {
            Self::Location(_) => "fetch/location",
            Self::NotFound { .. } => "fetch/not-found",
            Self::Denied { .. } => "fetch/denied",
            Self::Status { .. } => "fetch/status",
            Self::Unavailable { .. } => "fetch/unavailable",
            Self::TooBusy { .. } => "fetch/too-busy",
            Self::Tls { .. } => "fetch/tls",
            Self::OtherRange { .. } => "fetch/range",
            Self::Redirect { .. } => "fetch/redirect",
            Self::Offline { .. } | Self::DamagedOffline { .. } => "fetch/offline",
            Self::NotCached { .. } => "fetch/not-cached",
            Self::TooLarge { .. } => "fetch/too-large",
            Self::WrongSize { .. } => "fetch/size",
            Self::Missing { .. } => "fetch/missing",
            Self::WrongType { .. } => "fetch/type",
            Self::CacheType { .. } => "fetch/cache",
            Self::Changed { .. } | Self::Replaced { .. } => "fetch/changed",
            Self::TooManyEntries { .. } => "fetch/entries",
            Self::Pattern { .. } => "fetch/pattern",
            Self::Io { .. } => "fetch/io",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Location(_)
            | Self::Missing { .. }
            | Self::WrongType { .. }
            | Self::TooManyEntries { .. }
            | Self::Pattern { .. } => Kind::Spec,
            Self::NotFound { .. }
            | Self::Status { .. }
            | Self::Unavailable { .. }
            | Self::TooBusy { .. }
            | Self::Tls { .. }
            | Self::Redirect { .. }
            | Self::Offline { .. }
            | Self::NotCached { .. }
            | Self::Replaced { .. }
            | Self::DamagedOffline { .. } => Kind::Unavailable,
            Self::Denied { .. } => Kind::Denied,
            Self::TooLarge { .. } | Self::WrongSize { .. } | Self::OtherRange { .. } => Kind::Integrity,
            Self::CacheType { .. } | Self::Changed { .. } | Self::Io { .. } => Kind::Host,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NotFound { location } if location.local_path().is_some() => {
                vec!["check the path of the repository in the spec".into()]
            }
            Self::NotFound { .. } => {
                vec!["check the address; if the server's index is newer than yours, run again".into()]
            }
            Self::Denied { status: 407, .. } => {
                vec![
                    "give the proxy's user and password: `HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT`".into(),
                ]
            }
            Self::Denied { sent: Some(sent), .. } => {
                vec![format!("check the user and the password in {sent}, and whether they may read this")]
            }
            Self::Denied { location, sent: None, .. } => {
                let (host, bare) = (location.host().unwrap_or_default(), bare_host(location));
                vec![format!(
                    "give credentials: `HTTP_AUTH=basic:{host}:USER:PASSWORD`, or `machine {bare}` in ~/.netrc"
                )]
            }
            Self::Unavailable { source: TransferError::NameLookup(_), location, .. } => {
                vec![
                    format!("check the host name: `getent hosts {}`", bare_host(location)),
                    WITHOUT_NETWORK.into(),
                ]
            }
            Self::Unavailable { source, location, .. } => {
                let by_hand = format!("try it by hand: `curl -I {}`", in_shell(&location.to_string()));
                let unreachable = matches!(source, TransferError::Connect(_));
                [by_hand].into_iter().chain(unreachable.then(|| WITHOUT_NETWORK.into())).collect()
            }
            Self::TooBusy { .. } => vec!["run again later, or use another mirror".into()],
            Self::Tls { location, source, own_ca } => match TlsTrouble::from(&**source) {
                TlsTrouble::NotTls => {
                    vec!["if the server speaks plain http, write http:// in the place of https://".into()]
                }
                trouble => trouble.hints(&location.host().unwrap_or_default(), *own_ca),
            },
            Self::NotCached { location, .. } => vec![format!("--fetch gets it from {location}")],
            Self::Offline { .. } | Self::DamagedOffline { .. } => vec!["run once without --offline".into()],
            Self::Replaced { .. } => vec!["run again: the new one is in the cache".into()],
            Self::OtherRange { .. } => {
                vec!["the server, or a proxy before it, answers wrongly; nothing of it was used: use another mirror".into()]
            }
            Self::WrongSize { .. } => {
                vec!["the mirror may be halfway through an update: run again, or use another one".into()]
            }
            Self::Missing { .. } => vec!["paths in a spec are relative to the spec file".into()],
            Self::Changed { path, what } if what == Self::MORE_THAN_SIZE => {
                vec![format!("give a copy of it instead: `cat {} > FILE`", for_shell(path))]
            }
            Self::Changed { path, .. } => {
                vec![format!("wait until nothing writes `{}` any more, then run again", shown_path(path))]
            }
            Self::WrongType { path, expected, .. } if expected.contains("link") => {
                vec![format!("remove it, or list it under `exclude`: `ls -ld {}`", for_shell(path))]
            }
            Self::CacheType { path, .. } => vec![
                "name a folder for the cache: `--cache-dir DIR`, or ASSEMBLE_CACHE in the environment".into(),
                format!("or remove what is there: `ls -l {}`", for_shell(path)),
            ],
            Self::TooManyEntries { .. } => vec!["name a smaller folder, or use `exclude`".into()],
            Self::Io { path, action, source } => Self::io_hints(path, action, source),
            Self::Redirect { why: RedirectFault::PrivateNetwork, .. } => {
                vec!["if it is meant to lead there, write the address it leads to in the spec".into()]
            }
            // What a server that speaks TLS answers to whom does not.
            Self::Status { status: 400, location } if is_plain(location) => {
                vec!["if the server speaks TLS, write https:// in the place of http://".into()]
            }
            Self::Location(_)
            | Self::Status { .. }
            | Self::Redirect { .. }
            | Self::TooLarge { .. }
            | Self::WrongType { .. }
            | Self::Pattern { .. } => Vec::new(),
        }
    }
}

fn told_with(sent: Option<&str>) -> String {
    sent.map(|sent| format!(" with the credentials in {sent}")).unwrap_or_default()
}

fn is_plain(location: &Location) -> bool {
    location.url().is_some_and(|url| url.expose().scheme() == "http")
}

fn bare_host(location: &Location) -> String {
    location.url().and_then(|url| url.expose().host_str().map(str::to_owned)).unwrap_or_default()
}
