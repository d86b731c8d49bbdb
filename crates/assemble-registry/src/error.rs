//! What can go wrong, and what to do about it.

use std::fmt;
use std::io;
use std::time::Duration;

use assemble_fetch::TlsTrouble;
use assemble_types::{Digest, Explain, Kind};

use crate::credentials::StoreError;
use crate::endpoint::{Endpoint, PlainHttp, is_hub};
use crate::location::{AddressFault, is_loopback_name};
use crate::text::clean;

/// Where something went wrong, and in the middle of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The registry as the user named it.
    pub registry: String,
    /// The repository; empty where none is concerned.
    pub repository: String,
    /// What was being done, such as `sending blob sha256:…`.
    pub action: String,
    /// Whether the registry is spoken to without TLS.
    pub plain_http: bool,
    /// Whether that is so because the user wants it, not because it is this machine's.
    pub plain_asked: bool,
    /// Whether the user named authorities to trust.
    pub own_ca: bool,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.registry)?;
        if !self.repository.is_empty() {
            write!(f, "/{}", self.repository)?;
        }
        write!(f, ": {}", self.action)
    }
}

/// The action of a login: what it failed for is not mended by another.
pub(crate) const LOGGING_IN: &str = "logging in";

/// Why a push, a pull or a login failed. No message, `Debug` form or source shows a password, a token or a signed
/// address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The registry part of a reference cannot be a host.
    #[error("`{name}` is no name of a registry")]
    Name {
        /// The name.
        name: String,
    },
    /// Where to push to is named by tag and digest at once.
    #[error("{reference}: a push goes to a tag or to a digest, not to both")]
    TagAndDigest {
        /// The reference.
        reference: String,
    },
    /// The digest to push to is not that of the image.
    #[error("{reference}: the image to push is {found}")]
    OtherImage {
        /// The reference, which names another digest.
        reference: String,
        /// The digest of the image's last manifest.
        found: Digest,
    },
    /// HTTP's basic scheme cannot carry this user name.
    #[error("a user name is not empty and has neither `:` nor control characters")]
    UserName,
    /// A part of the image to push contradicts itself: a bug of the caller.
    #[error("the image to push is not whole: {what}")]
    NotWhole {
        /// What is wrong.
        what: String,
    },
    /// The registry or its token server refused us.
    #[error("{place}: denied ({status}){}", said(.message))]
    Denied {
        /// Where.
        place: Box<Place>,
        /// 401 or 403.
        status: u16,
        /// The server's first message; may be empty.
        message: String,
        /// The sources of credentials that were asked, and what came of each.
        tried: Vec<String>,
    },
    /// The registry does not have it.
    #[error("{place}: not found (404){}", said(.message))]
    NotFound {
        /// Where.
        place: Box<Place>,
        /// The server's first message; may be empty.
        message: String,
    },
    /// The registry's paths are unknown to the server, which has pages for people.
    #[error("{place}: the server answered {status} with a page, as no registry does{}", said(.message))]
    NoRegistry {
        /// Where.
        place: Box<Place>,
        /// 404, 405 or 501.
        status: u16,
        /// The page's title; may be empty.
        message: String,
    },
    /// Another refusal, or a failure of the server that did not pass.
    #[error("{place}: the server answered {status}{}", said(.message))]
    Refused {
        /// Where.
        place: Box<Place>,
        /// The status.
        status: u16,
        /// The server's first message; may be empty.
        message: String,
        /// How often it was tried.
        tries: u32,
    },
    /// The server asks for more patience than is sensible.
    #[error("{place}: the server answered {status} and asks to wait {} s{}", .wait.as_secs(), said(.message))]
    AskedToWait {
        /// Where.
        place: Box<Place>,
        /// The status.
        status: u16,
        /// How long.
        wait: Duration,
        /// The server's first message; may be empty.
        message: String,
    },
    /// No connection, or it broke.
    #[error("{place}: {} {host} ({tries} {})", headline(.source), if *.tries == 1 { "try" } else { "tries" })]
    Transport {
        /// Where.
        place: Box<Place>,
        /// Host and port that were talked to.
        host: String,
        /// How often it was tried.
        tries: u32,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// The connection stood, and nothing moved.
    #[error("{place}: {host} was silent for {seconds} s")]
    Stalled {
        /// Where.
        place: Box<Place>,
        /// Host and port that were talked to.
        host: String,
        /// How long.
        seconds: u64,
    },
    /// The registry sent us to an address where we do not go.
    #[error("{place}: the registry points to {to}")]
    Address {
        /// Where.
        place: Box<Place>,
        /// The address, without anything secret; empty if there was none.
        to: String,
        /// Why not.
        #[source]
        source: AddressFault,
    },
    /// The token server's answer cannot be used.
    #[error("{place}: the answer of the token server {host} {why}")]
    Token {
        /// Where.
        place: Box<Place>,
        /// The token server.
        host: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The registry's digest is not ours, or the bytes that came do not have the digest asked for.
    #[error("{place}: expected {expected}, found {found}")]
    Digest {
        /// Where.
        place: Box<Place>,
        /// What it has to be.
        expected: Digest,
        /// What it is; text, for a registry may send anything.
        found: String,
    },
    /// More or fewer bytes than the descriptor says.
    #[error("{place}: expected {expected} bytes, {found} came")]
    Size {
        /// Where.
        place: Box<Place>,
        /// What it has to be.
        expected: u64,
        /// `more` or a number.
        found: String,
    },
    /// Larger than anything that is taken into memory.
    #[error("{place}: larger than the limit of {limit} bytes")]
    TooLarge {
        /// Where.
        place: Box<Place>,
        /// The limit.
        limit: u64,
    },
    /// A manifest calls itself other than the registry does.
    #[error("{place}: sent as {sent}, but its `mediaType` is {inside}")]
    MediaType {
        /// Where.
        place: Box<Place>,
        /// The `Content-Type`.
        sent: String,
        /// The manifest's own.
        inside: String,
    },
    /// A blob's local bytes are not, or no longer, what was hashed.
    #[error(
        "{place}: the local bytes have changed since they were hashed: expected {expected}, found {found}"
    )]
    LocalChanged {
        /// Where.
        place: Box<Place>,
        /// What was hashed.
        expected: Digest,
        /// What is there now.
        found: Digest,
    },
    /// A blob's local bytes cannot be read.
    #[error("{place}: the local bytes cannot be read")]
    LocalRead {
        /// Where.
        place: Box<Place>,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// What came could not be written where the caller wants it.
    #[error("{place}: what came could not be written")]
    Output {
        /// Where.
        place: Box<Place>,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The image is there, but not under all of its tags.
    #[error("{registry}/{repository}: tag `{tag}` failed; in place: {}", list(.done))]
    Tag {
        /// The registry.
        registry: String,
        /// The repository.
        repository: String,
        /// The first tag that failed.
        tag: String,
        /// Tags that are in place.
        done: Vec<String>,
        /// Why it failed.
        #[source]
        source: Box<RegistryError>,
    },
    /// The credentials are right, but could not be kept.
    #[error("{registry}: logged in, but the credentials could not be kept")]
    Store {
        /// The registry.
        registry: String,
        /// The cause.
        #[source]
        source: StoreError,
    },
    /// A part of the program ended early.
    #[error("{place}: a task of ours ended early")]
    Task {
        /// Where.
        place: Box<Place>,
    },
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn list(tags: &[String]) -> String {
    if tags.is_empty() { "none".into() } else { tags.join(", ") }
}

impl RegistryError {
    fn place(&self) -> Option<&Place> {
        match self {
            Self::Denied { place, .. }
            | Self::NotFound { place, .. }
            | Self::NoRegistry { place, .. }
            | Self::Refused { place, .. }
            | Self::AskedToWait { place, .. }
            | Self::Transport { place, .. }
            | Self::Stalled { place, .. } => Some(place),
            _ => None,
        }
    }
}

impl RegistryError {
    /// What to do where a login failed. `assemble login` is no help there.
    fn login_hints(&self, registry: &str) -> Option<Vec<String>> {
        match self {
            Self::Denied { .. } => Some(vec![
                "check the user name and the password".into(),
                "some registries want a token for a password: make one in your account's settings".into(),
            ]),
            Self::NotFound { .. } | Self::NoRegistry { .. } => {
                Some(vec![format!("check that `{registry}` is a registry")])
            }
            Self::Refused { status: 429, .. } | Self::AskedToWait { .. } => {
                Some(vec!["wait and run it again".into()])
            }
            _ => None,
        }
    }
}

/// The host in what was given for one: a URL, or a name with a repository behind it.
fn host_in(name: &str) -> Option<&str> {
    let rest = name.split_once("://").map_or(name, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let is_new = host != name && !host.is_empty();
    (is_new && Endpoint::new(host, &PlainHttp::default()).is_some()).then_some(host)
}

/// A name that cannot be a registry's, for a message. What stands before an `@` may be a password.
pub(crate) fn shown_name(name: &str) -> String {
    let (scheme, rest) = match name.find("://") {
        Some(at) => name.split_at(at + 3),
        None => ("", name),
    };
    match rest.rsplit_once('@') {
        Some((_, rest)) => clean(&format!("{scheme}…@{rest}"), 100),
        None => clean(name, 100),
    }
}

impl Explain for RegistryError {
    fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "registry/name",
            Self::TagAndDigest { .. } => "registry/tag-and-digest",
            Self::OtherImage { .. } => "registry/other-image",
            Self::UserName => "registry/user-name",
            Self::NotWhole { .. } => "registry/not-whole",
            Self::Denied { .. } => "registry/denied",
            Self::NotFound { .. } => "registry/not-found",
            Self::NoRegistry { .. } => "registry/no-registry",
            Self::Refused { .. } => "registry/refused",
            Self::AskedToWait { .. } => "registry/asked-to-wait",
            Self::Transport { .. } => "registry/transport",
            Self::Stalled { .. } => "registry/stalled",
            Self::Address { .. } => "registry/address",
            Self::Token { .. } => "registry/token",
            Self::Digest { .. } => "registry/digest",
            Self::Size { .. } => "registry/size",
            Self::TooLarge { .. } => "registry/too-large",
            Self::MediaType { .. } => "registry/media-type",
            Self::LocalChanged { .. } => "registry/local-changed",
            Self::LocalRead { .. } => "registry/local-read",
            Self::Output { .. } => "registry/output",
            Self::Tag { .. } => "registry/tag",
            Self::Store { .. } => "registry/store",
            Self::Task { .. } => "registry/task",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Name { .. } | Self::TagAndDigest { .. } | Self::OtherImage { .. } | Self::UserName => {
                Kind::Usage
            }
            Self::NotWhole { .. } | Self::Task { .. } => Kind::Bug,
            Self::Denied { .. } => Kind::Denied,
            Self::NotFound { .. }
            | Self::NoRegistry { .. }
            | Self::Refused { .. }
            | Self::AskedToWait { .. }
            | Self::Transport { .. }
            | Self::Stalled { .. }
            | Self::Token { .. } => Kind::Unavailable,
            Self::Address { .. }
            | Self::Digest { .. }
            | Self::Size { .. }
            | Self::TooLarge { .. }
            | Self::MediaType { .. }
            | Self::LocalChanged { .. } => Kind::Integrity,
            Self::LocalRead { .. } | Self::Output { .. } | Self::Store { .. } => Kind::Host,
            Self::Tag { source, .. } => source.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        let registry = self.place().map_or("", |place| place.registry.as_str());
        if self.place().is_some_and(|place| place.action == LOGGING_IN)
            && let Some(hints) = self.login_hints(registry)
        {
            return hints;
        }
        match self {
            Self::Name { name } => vec![match host_in(name) {
                Some(host) => format!("write `{host}`"),
                None => "write it as HOST or HOST:PORT".into(),
            }],
            Self::TagAndDigest { .. } => vec!["leave out the part after `@`".into()],
            Self::Denied { tried, .. } => {
                let tried = if tried.is_empty() { "nothing".into() } else { tried.join("; ") };
                vec![format!("tried: {tried}; run `assemble login {registry}`")]
            }
            Self::NotFound { .. } => vec![
                "check the name and the tag; some registries want the repository to be made beforehand"
                    .into(),
                format!("some answer 404 where access is denied: run `assemble login {registry}`"),
            ],
            Self::NoRegistry { place, .. } => {
                let scheme = if place.plain_http { "http" } else { "https" };
                vec![
                    format!(
                        "check that `{registry}` is a registry: `curl -i {scheme}://{registry}/v2/` shows it"
                    ),
                    "its host may have another port, or another name, for the registry: write HOST:PORT/NAME"
                        .into(),
                ]
            }
            Self::Refused { status: 429, .. } | Self::AskedToWait { .. } => {
                vec![format!("wait and run it again, or raise the limit: `assemble login {registry}`")]
            }
            Self::Refused { status: 500.., .. } | Self::Stalled { .. } => {
                vec!["run it again later: what has been sent is not sent twice".into()]
            }
            Self::Refused { status: 413, .. } => {
                vec!["a proxy before the registry limits the size of a request: raise its limit".into()]
            }
            Self::Refused { place, status: 400, message, .. } if place.plain_http && wants_tls(message) => {
                vec![tls_hint(registry, place.plain_asked)]
            }
            Self::Transport { source, place, .. } => match TlsTrouble::of(source) {
                Some(TlsTrouble::NotTls) => {
                    vec![format!("if the registry speaks plain http: `--plain-http={registry}`")]
                }
                Some(trouble) => trouble.hints(registry, place.own_ca),
                None => {
                    let causes = causes(source);
                    let tls = place.plain_http && broke_off(&causes);
                    let tls = tls.then(|| tls_hint(registry, place.plain_asked));
                    tls.into_iter().chain(transport_hints(&causes, registry)).collect()
                }
            },
            Self::LocalChanged { .. } => vec!["build again".into()],
            Self::Tag { source, .. } => source.hints(),
            _ => Vec::new(),
        }
    }
}

/// All of an error's causes as one lower-case text. The libraries below give no other way to tell them apart.
fn causes(error: &dyn std::error::Error) -> String {
    let mut out = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        out.push_str(&error.to_string().to_ascii_lowercase());
        out.push('\n');
        next = error.source();
    }
    out
}

/// What is said of a transfer that failed. A server that is not understood did answer.
fn headline(source: &reqwest::Error) -> &'static str {
    if TlsTrouble::of(source).is_some() {
        "no secure connection to"
    } else if causes(source).contains("invalid http") {
        "no answer in http from"
    } else {
        "no answer from"
    }
}

/// Whether a server says, in Go's, nginx's or Apache's words, that it was spoken to without TLS.
fn wants_tls(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["http request to an https server", "plain http request was sent to https", "plain http to an ssl"]
        .iter()
        .any(|words| message.contains(words))
}

/// Whether the other side hung up instead of an answer, or did not answer in HTTP: a server that speaks TLS only does.
fn broke_off(causes: &str) -> bool {
    ["connection closed before message completed", "connection reset", "invalid http"]
        .iter()
        .any(|words| causes.contains(words))
}

/// What to do where a server that is spoken to in plain http may want TLS.
fn tls_hint(registry: &str, plain_asked: bool) -> String {
    let certificates =
        "`--ca-file FILE` names who signed its certificate, `--insecure-skip-tls-verify` takes any";
    let flags = match (plain_asked, is_loopback_name(registry)) {
        (true, true) => format!("leave `--plain-http` out; {certificates}"),
        (true, false) => "leave `--plain-http` out".into(),
        (false, _) => format!("{certificates}; without either, loopback is spoken to in plain http"),
    };
    format!("if {registry} speaks TLS: {flags}")
}

/// What to do where there was no answer, by the causes as [`causes`] gives them.
fn transport_hints(causes: &str, registry: &str) -> Vec<String> {
    // Docker Hub is meant by every name without a host, most often unknowingly.
    let hub =
        is_hub(registry).then(|| "a name without a host is one of docker.io: write HOST[:PORT]/NAME".into());
    let first = if causes.contains("dns error") || causes.contains("lookup address") {
        format!("check the name `{registry}`")
    } else {
        "check that the registry runs and can be reached from here".into()
    };
    hub.into_iter().chain([first]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_host_may_be_why_docker_hub_was_asked() {
        let about_hub = "a name without a host is one of docker.io: write HOST[:PORT]/NAME";
        for (causes, next) in [
            ("dns error\n", "check the name `docker.io`"),
            ("timed out\n", "check that the registry runs and can be reached from here"),
        ] {
            assert_eq!(transport_hints(causes, "docker.io"), [about_hub, next]);
        }
        assert_eq!(transport_hints("dns error", "reg.example"), ["check the name `reg.example`"]);
    }

    #[test]
    fn servers_that_want_tls() {
        for said in [
            "Client sent an HTTP request to an HTTPS server.",
            "400 The plain HTTP request was sent to HTTPS port",
            "Reason: You're speaking plain HTTP to an SSL-enabled server port.",
        ] {
            assert!(wants_tls(said), "{said}");
        }
        assert!(!wants_tls("MANIFEST_INVALID: manifest invalid"));
        assert!(tls_hint("localhost:5000", false).contains("`--ca-file FILE`"));
        let asked = tls_hint("localhost:5000", true);
        assert!(asked.contains("leave `--plain-http` out; `--ca-file FILE`"), "{asked}");
        assert_eq!(tls_hint("reg.lan", true), "if reg.lan speaks TLS: leave `--plain-http` out");
    }
}
