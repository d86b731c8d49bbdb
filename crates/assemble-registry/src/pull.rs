//! Reading: manifests and blobs, checked before anyone can rely on them.

use std::io::Write;

use assemble_types::{Digest, HashingWriter};
use reqwest::Method;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, RANGE};

use crate::auth::Stop;
use crate::conn::{Backoff, Conn, Trouble};
use crate::error::RegistryError;
use crate::exchange::{Answer, Failure, Request, host_of, next_chunk};
use crate::manifest::{ACCEPT_ALL, MANIFEST_LIMIT, Parts};
use crate::payload::Transfer;
use crate::text::clean;

/// How often a download that still moves may be cut and go on.
const MAX_CUTS: u32 = 1024;

/// What a registry says about a manifest without sending it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestInfo {
    /// Digest of its bytes, as the registry says it.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
}

/// A manifest whose bytes have the digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PulledManifest {
    /// The exact bytes.
    pub(crate) bytes: Vec<u8>,
    /// The media type it was sent with.
    pub(crate) media_type: String,
    /// The digest of the bytes.
    pub(crate) digest: Digest,
}

impl Conn {
    pub(crate) fn head_manifest(&self, tag_or_digest: &str, action: &str) -> Request {
        let url = self.endpoint().manifest(self.repository(), tag_or_digest);
        Request::new(Method::HEAD, url, action).header(ACCEPT, ACCEPT_ALL)
    }

    /// HEAD; GET where the answer to HEAD is not enough or there is none.
    pub(crate) async fn resolve(
        &self,
        tag_or_digest: &str,
        wanted: Option<&Digest>,
    ) -> Result<Option<ManifestInfo>, RegistryError> {
        let action = format!("asking for {tag_or_digest}");
        let answer = self.call(&self.head_manifest(tag_or_digest, &action)).await?;
        match answer.status {
            404 => return Ok(None),
            200..=299 => {
                if let Some(wanted) = wanted {
                    self.check_digest(&action, &answer, wanted)?;
                }
                if let Some(info) = info_of(&answer) {
                    return Ok(Some(info));
                }
            }
            _ => {}
        }
        // Also to hear the reason for a refusal, for which HEAD has no room.
        match self.manifest(tag_or_digest, wanted).await {
            Ok(manifest) => Ok(Some(ManifestInfo {
                digest: manifest.digest,
                size: manifest.bytes.len() as u64,
                media_type: manifest.media_type,
            })),
            Err(RegistryError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn manifest(
        &self,
        tag_or_digest: &str,
        wanted: Option<&Digest>,
    ) -> Result<PulledManifest, RegistryError> {
        let action = format!("reading manifest {tag_or_digest}");
        let url = self.endpoint().manifest(self.repository(), tag_or_digest);
        let request = Request::new(Method::GET, url, &action).header(ACCEPT, ACCEPT_ALL);
        let mut backoff = Backoff::new(self);
        loop {
            let answer = self.call(&request).await?;
            if answer.status != 200 {
                return Err(self.refuse(&action, answer, 1, None).await);
            }
            let said = answer.header("docker-content-digest").map(|text| text.trim().to_owned());
            let media_type = answer.content_type().map(|text| clean(text, 200));
            let limit = usize::try_from(MANIFEST_LIMIT).unwrap_or(usize::MAX);
            let (bytes, whole) = match answer.read(limit, self.http().stall_timeout()).await {
                Ok(read) => read,
                Err(failure) => {
                    backoff.wait(&action, Trouble::Failure(failure)).await?;
                    continue;
                }
            };
            if !whole {
                return Err(RegistryError::TooLarge { place: self.place(&action), limit: MANIFEST_LIMIT });
            }
            return self.check_manifest(&action, bytes, media_type, said.as_deref(), wanted);
        }
    }

    fn check_manifest(
        &self,
        action: &str,
        bytes: Vec<u8>,
        sent: Option<String>,
        said: Option<&str>,
        wanted: Option<&Digest>,
    ) -> Result<PulledManifest, RegistryError> {
        let digest = Digest::of(&bytes);
        let expected = wanted.copied().or_else(|| said?.parse().ok());
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            let (place, found) = (self.place(action), digest.to_string());
            return Err(RegistryError::Digest { place, expected, found });
        }
        let inside = Parts::of(&bytes).media_type.map(|text| clean(&text, 200));
        // Servers that do not know a file's type say one of these.
        let sent = sent.filter(|t| {
            !matches!(t.as_str(), "" | "application/json" | "application/octet-stream" | "text/plain")
        });
        let media_type = match (sent, inside) {
            (Some(sent), Some(inside)) if sent != inside => {
                return Err(RegistryError::MediaType { place: self.place(action), sent, inside });
            }
            (Some(media_type), _) | (None, Some(media_type)) => media_type,
            (None, None) => "application/octet-stream".into(),
        };
        Ok(PulledManifest { bytes, media_type, digest })
    }

    /// Streams a blob into `out`. Size and digest are checked at the end, so `out` may hold wrong bytes after an error.
    /// A download that is cut goes on where it was.
    pub(crate) async fn blob(
        &self,
        digest: &Digest,
        size: u64,
        out: &mut dyn Write,
    ) -> Result<(), RegistryError> {
        let action = format!("reading blob {digest}");
        let transfer =
            Transfer::start(self.observer(), format!("{} {}", self.repository(), digest.short()), size);
        let mut download = Download { conn: self, action, digest, size, transfer, ranges: true };
        let mut out = HashingWriter::new(out);
        let mut backoff = Backoff::new(self);
        for _ in 0..MAX_CUTS {
            let before = out.written();
            let trouble = match download.go_on(&mut out).await {
                Ok(()) => return download.check(out),
                Err(Cut::Fatal(error)) => return Err(error),
                Err(Cut::Trouble(trouble)) => trouble,
            };
            if out.written() > before {
                // It moves: only standing still counts as failure.
                backoff = Backoff::new(self);
            }
            backoff.wait(&download.action, trouble).await?;
        }
        Err(download.size_error(out.written().to_string()))
    }
}

/// A blob on its way, over however many answers it takes.
struct Download<'a> {
    conn: &'a Conn,
    action: String,
    digest: &'a Digest,
    size: u64,
    transfer: Transfer,
    /// Whether the server can be asked for a part.
    ranges: bool,
}

/// Why an answer did not bring a blob to its end.
enum Cut {
    Fatal(RegistryError),
    Trouble(Trouble),
}

impl From<Stop> for Cut {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Failure(failure) => Self::Trouble(Trouble::Failure(failure)),
            Stop::Fatal(error) => Self::Fatal(error),
        }
    }
}

impl Download<'_> {
    /// Asks for what is missing and writes what comes.
    async fn go_on(&mut self, out: &mut HashingWriter<&mut dyn Write>) -> Result<(), Cut> {
        let have = out.written();
        if have == self.size && have > 0 {
            return Ok(());
        }
        let mut answer = self.ask(have).await?;
        if self.ranges && have > 0 && !starts_at(&answer, have) && answer.status != 200 {
            if !matches!(answer.status, 206 | 416) {
                return Err(self.refuse(answer).await);
            }
            // Ranges that are not what was asked for are of no use: from the start, and what is there is skipped.
            self.ranges = false;
            answer = self.ask(have).await?;
        }
        let skip = match answer.status {
            200 => have,
            206 if starts_at(&answer, have) => 0,
            _ => return Err(self.refuse(answer).await),
        };
        let expected = self.size - have + skip;
        if let Some(length) = answer.content_length().filter(|length| *length != expected) {
            return Err(Cut::Fatal(self.size_error((have - skip).saturating_add(length).to_string())));
        }
        self.take(answer, skip, out).await
    }

    async fn ask(&self, have: u64) -> Result<Answer, Cut> {
        let url = self.conn.endpoint().blob(self.conn.repository(), self.digest);
        let mut request = Request::new(Method::GET, url, &self.action).header(ACCEPT_ENCODING, "identity");
        if have > 0 && self.ranges {
            request = request.header(RANGE, format!("bytes={have}-"));
        }
        let answer = self.conn.send(&request).await?;
        Backoff::new(self.conn).judge(answer).await.map_err(Cut::Trouble)
    }

    async fn refuse(&self, answer: Answer) -> Cut {
        Cut::Fatal(self.conn.refuse(&self.action, answer, 1, None).await)
    }

    async fn take(
        &self,
        answer: Answer,
        mut skip: u64,
        out: &mut HashingWriter<&mut dyn Write>,
    ) -> Result<(), Cut> {
        let failed = |failure| Cut::Trouble(Trouble::Failure(failure));
        let stall = self.conn.http().stall_timeout();
        let host = host_of(&answer.url);
        let mut response = answer.response;
        while let Some(chunk) = next_chunk(&mut response, stall, &host).await.map_err(failed)? {
            let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            skip -= skipped as u64;
            let fresh = &chunk[skipped..];
            if fresh.len() as u64 > self.size - out.written() {
                return Err(Cut::Fatal(self.size_error("more".into())));
            }
            out.write_all(fresh).map_err(|source| {
                Cut::Fatal(RegistryError::Output { place: self.conn.place(&self.action), source })
            })?;
            self.transfer.advance(fresh.len() as u64);
        }
        if out.written() == self.size {
            return Ok(());
        }
        Err(failed(Failure::Short { expected: self.size, found: out.written() }))
    }

    fn check(&self, out: HashingWriter<&mut dyn Write>) -> Result<(), RegistryError> {
        let (_, found, _) = out.finish();
        if found == *self.digest {
            return Ok(());
        }
        let place = self.conn.place(&self.action);
        Err(RegistryError::Digest { place, expected: *self.digest, found: found.to_string() })
    }

    fn size_error(&self, found: String) -> RegistryError {
        RegistryError::Size { place: self.conn.place(&self.action), expected: self.size, found }
    }
}

/// Whether an answer is the part from `have` on (RFC 9110 section 14.4).
fn starts_at(answer: &Answer, have: u64) -> bool {
    let range = answer.header("content-range").and_then(|text| text.trim().strip_prefix("bytes "));
    let start = range.and_then(|range| range.split('-').next()?.trim().parse::<u64>().ok());
    answer.status == 206 && start == Some(have)
}

fn info_of(answer: &Answer) -> Option<ManifestInfo> {
    Some(ManifestInfo {
        digest: answer.header("docker-content-digest")?.trim().parse().ok()?,
        size: answer.content_length()?,
        media_type: clean(answer.content_type()?, 200),
    })
}
