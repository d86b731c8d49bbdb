//! Getting one blob into a repository.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use assemble_types::Blob;
use reqwest::Method;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION};
use url::Url;

use crate::auth::Stop;
use crate::conn::{Backoff, Conn, Trouble};
use crate::error::RegistryError;
use crate::exchange::{Answer, Request, shown};
use crate::location::{self, AddressFault};
use crate::payload::Payload;
use crate::push::PushBlob;
use crate::server_error::ServerError;

/// Anything else is taken for a form by some, and eaten.
const OCTETS: &str = "application/octet-stream";
/// Bytes of a chunk where the registry names no minimum.
const CHUNK: u64 = 5 * 1024 * 1024;
/// Codes after which the same blob may do well in a new session.
const RESTART_CODES: [&str; 5] =
    ["BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "TOOMANYREQUESTS", "UNKNOWN", "UNAVAILABLE"];

/// How the bytes go out. Each stands in for the one before where a registry, or a proxy before it, cannot do that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// One PUT.
    Whole,
    /// One PATCH, then an empty PUT.
    Patch,
    /// Several PATCHes, then an empty PUT.
    Chunks,
}

/// What the uploads of one push learn from each other.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    form: AtomicU8,
    /// Whether the registry refuses requests to mount.
    no_mounts: AtomicBool,
    /// Bytes of blobs that were sent and arrived.
    pub(crate) bytes: AtomicU64,
}

impl Uploads {
    fn form(&self) -> Form {
        match self.form.load(Ordering::Relaxed) {
            0 => Form::Whole,
            1 => Form::Patch,
            _ => Form::Chunks,
        }
    }

    fn learn(&self, form: Form) {
        self.form.fetch_max(form as u8, Ordering::Relaxed);
    }
}

/// Why an upload did not end.
enum Miss {
    /// A new session may do better.
    Trouble(Trouble),
    /// Another form may do.
    Form(Form),
    Fatal(RegistryError),
}

impl From<Stop> for Miss {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Failure(failure) => Self::Trouble(Trouble::Failure(failure)),
            Stop::Fatal(error) => Self::Fatal(error),
        }
    }
}

impl From<RegistryError> for Miss {
    fn from(error: RegistryError) -> Self {
        Self::Fatal(error)
    }
}

impl Conn {
    /// Makes sure that a blob is in the repository. Returns whether it had to be sent. `ask` says that a question of its
    /// own comes first.
    pub(crate) async fn ensure_blob(
        &self,
        blob: &PushBlob,
        uploads: &Uploads,
        mut ask: bool,
    ) -> Result<bool, RegistryError> {
        let action = format!("sending blob {}", blob.digest);
        let mut backoff = Backoff::new(self);
        let mut sent = false;
        // After a question there is nothing left for a mount to find out.
        let mut mount = !ask;
        let mut form = uploads.form();
        loop {
            // Also after a try of which the end is not known: it may have arrived.
            if ask && self.has_blob(blob).await? {
                return Ok(sent);
            }
            let upload = Upload { conn: self, blob, uploads, action: &action };
            let result = match upload.begin(mount).await {
                Ok(None) => return Ok(sent),
                Ok(Some(session)) => {
                    sent = true;
                    upload.run(session, form).await
                }
                Err(miss) => Err(miss),
            };
            mount = false;
            match result {
                Ok(()) => {
                    uploads.bytes.fetch_add(blob.size, Ordering::Relaxed);
                    return Ok(true);
                }
                Err(Miss::Form(next)) if next > form => {
                    form = next;
                    uploads.learn(next);
                    ask = false;
                }
                Err(Miss::Form(_)) => {
                    let (place, tries) = (self.place(&action), 1);
                    return Err(RegistryError::Refused { place, status: 413, message: String::new(), tries });
                }
                Err(Miss::Trouble(trouble)) => {
                    backoff.wait(&action, trouble).await?;
                    ask = true;
                }
                Err(Miss::Fatal(error)) => return Err(error),
            }
        }
    }

    /// HEAD. A refusal counts as absent: the upload then says why, or works all the same.
    async fn has_blob(&self, blob: &PushBlob) -> Result<bool, RegistryError> {
        let action = format!("asking for blob {}", blob.digest);
        let url = self.endpoint().blob(self.repository(), &blob.digest);
        let answer = self.call(&Request::new(Method::HEAD, url, &action)).await?;
        if answer.status != 200 {
            return Ok(false);
        }
        self.check_digest(&action, &answer, &blob.digest)?;
        // Another length means a damaged blob, which is worth sending again.
        Ok(answer.content_length().is_none_or(|length| length == blob.size))
    }
}

/// One blob in one session.
struct Upload<'a> {
    conn: &'a Conn,
    blob: &'a PushBlob,
    uploads: &'a Uploads,
    action: &'a str,
}

impl Upload<'_> {
    async fn run(&self, session: Session, form: Form) -> Result<(), Miss> {
        match form {
            Form::Whole => {
                let body = Payload::Blob(self.blob.content.clone(), self.label());
                self.finish(&session.location, body, form).await
            }
            Form::Patch => {
                let last = self.patch(&session, 0..self.blob.size, None, form).await?;
                self.finish(&last, Payload::Empty, form).await
            }
            Form::Chunks => {
                let last = self.chunks(session).await?;
                self.finish(&last, Payload::Empty, form).await
            }
        }
    }

    fn label(&self) -> String {
        format!("{} {}", self.conn.repository(), self.blob.digest.short())
    }

    /// Opens a session; nothing if the registry has the blob after all. A request to mount the blob from where it is to
    /// go is answered with a session if it is not there.
    async fn begin(&self, mount: bool) -> Result<Option<Session>, Miss> {
        let mount = mount && !self.uploads.no_mounts.load(Ordering::Relaxed);
        let mut url = self.conn.endpoint().uploads(self.conn.repository());
        if mount {
            let digest = self.blob.digest.to_string();
            url.query_pairs_mut().append_pair("mount", &digest).append_pair("from", self.conn.repository());
        }
        let request = Request::new(Method::POST, url, self.action);
        let answer = self.send(&request).await?;
        match answer.status {
            200 | 202 | 204 => {
                let minimum = answer.header("oci-chunk-min-length").and_then(|text| text.trim().parse().ok());
                let location = self.next_location(&answer, None)?;
                answer.drain(self.conn.http().stall_timeout()).await;
                Ok(Some(Session { location, chunk: CHUNK.max(minimum.unwrap_or(0)) }))
            }
            201 => {
                if mount && self.is_vouched_for(&answer)? {
                    answer.drain(self.conn.http().stall_timeout()).await;
                } else {
                    self.verify(answer).await?;
                }
                Ok(None)
            }
            _ if mount => {
                answer.drain(self.conn.http().stall_timeout()).await;
                self.uploads.no_mounts.store(true, Ordering::Relaxed);
                Box::pin(self.begin(false)).await
            }
            _ => Err(self.refuse(answer).await),
        }
    }

    /// Whether the registry names the blob's digest as what it has.
    fn is_vouched_for(&self, answer: &Answer) -> Result<bool, RegistryError> {
        self.conn.check_digest(self.action, answer, &self.blob.digest)?;
        let named = answer.header("docker-content-digest").unwrap_or_default();
        Ok(named.trim() == self.blob.digest.to_string())
    }

    /// An answer that claims success without it being a matter of course.
    async fn verify(&self, answer: Answer) -> Result<(), Miss> {
        let (status, headers) = (answer.status, Box::new(answer.headers.clone()));
        answer.drain(self.conn.http().stall_timeout()).await;
        if self.conn.has_blob(self.blob).await? {
            return Ok(());
        }
        Err(Miss::Trouble(Trouble::Status(status, headers, ServerError::default())))
    }

    async fn send(&self, request: &Request) -> Result<Answer, Miss> {
        let answer = self.conn.send(request).await?;
        Backoff::new(self.conn).judge(answer).await.map_err(Miss::Trouble)
    }

    /// The PUT that names the digest.
    async fn finish(&self, location: &Url, body: Payload, form: Form) -> Result<(), Miss> {
        let url = location::with_digest(location, &self.blob.digest);
        let empty = body.len() == 0;
        let request = Request::new(Method::PUT, url, self.action).header(CONTENT_TYPE, OCTETS).body(body);
        let answer = self.send(&request).await?;
        match answer.status {
            200 | 201 | 204 => {
                let vouched_for = self.is_vouched_for(&answer)?;
                answer.drain(self.conn.http().stall_timeout()).await;
                // Nobody else says that what was sent is what it should be.
                if vouched_for { Ok(()) } else { self.check_local().await }
            }
            202 => self.verify(answer).await,
            404 | 405 | 411 | 413 | 501 if form == Form::Whole && !empty => {
                self.other_form(answer, form).await
            }
            _ => Err(self.refuse(answer).await),
        }
    }

    /// Sends a range of the blob; returns where to go on.
    async fn patch(
        &self,
        session: &Session,
        range: std::ops::Range<u64>,
        header: Option<String>,
        form: Form,
    ) -> Result<Url, Miss> {
        // The range lies inside: the caller cuts it from the blob's own length.
        let content = self.blob.content.slice(range).unwrap_or_else(|| Blob::from_bytes(Vec::new()));
        let mut request = Request::new(Method::PATCH, session.location.clone(), self.action)
            .header(CONTENT_TYPE, OCTETS)
            .body(Payload::Blob(content, self.label()));
        if let Some(header) = header {
            request = request.header(CONTENT_RANGE, header);
        }
        let answer = self.send(&request).await?;
        match answer.status {
            200 | 201 | 202 | 204 => {
                let next = self.next_location(&answer, Some(&session.location))?;
                answer.drain(self.conn.http().stall_timeout()).await;
                Ok(next)
            }
            413 if form == Form::Patch => {
                self.other_form(answer, form).await.map(|()| session.location.clone())
            }
            416 => {
                // The server lost count. A new session starts from nothing, so no hole can come of it.
                let headers = Box::new(answer.headers.clone());
                Err(Miss::Trouble(Trouble::Status(416, headers, self.conn.server_error(answer).await)))
            }
            _ => Err(self.refuse(answer).await),
        }
    }

    /// In order, each to where the one before points. The registry's own count is not asked: some do not count.
    async fn chunks(&self, mut session: Session) -> Result<Url, Miss> {
        let size = self.blob.size;
        let mut at = 0;
        while at < size {
            let end = at.saturating_add(session.chunk).min(size);
            let header = format!("{at}-{}", end - 1);
            session.location = self.patch(&session, at..end, Some(header), Form::Chunks).await?;
            at = end;
        }
        Ok(session.location)
    }

    async fn other_form(&self, answer: Answer, form: Form) -> Result<(), Miss> {
        let status = answer.status;
        let headers = Box::new(answer.headers.clone());
        let error = self.conn.server_error(answer).await;
        if RESTART_CODES.iter().any(|code| error.has(code)) {
            return Err(Miss::Trouble(Trouble::Status(status, headers, error)));
        }
        // What is too large in one piece is so by PATCH too.
        let next = if status == 413 || form == Form::Patch { Form::Chunks } else { Form::Patch };
        Err(Miss::Form(next))
    }

    async fn refuse(&self, answer: Answer) -> Miss {
        let status = answer.status;
        let headers = Box::new(answer.headers.clone());
        let error = self.conn.server_error(answer).await;
        if status == 400 && error.has("DIGEST_INVALID") {
            return self.diagnose(&error).await;
        }
        if !matches!(status, 401 | 403) && RESTART_CODES.iter().any(|code| error.has(code)) {
            return Miss::Trouble(Trouble::Status(status, headers, error));
        }
        Miss::Fatal(self.conn.refusal(self.action, status, &error, 1, self.conn.tried().await))
    }

    /// The registry computed another digest: was it the file, or the way?
    async fn diagnose(&self, error: &ServerError) -> Miss {
        if let Err(miss) = self.check_local().await {
            return miss;
        }
        let place = self.conn.place(self.action);
        let message = format!("{} (the local bytes are right: they were altered on the way)", error.message);
        Miss::Fatal(RegistryError::Refused { place, status: 400, message, tries: 1 })
    }

    /// Reads the local bytes and compares their digest.
    async fn check_local(&self) -> Result<(), Miss> {
        let content = self.blob.content.clone();
        let read = tokio::task::spawn_blocking(move || content.content_digest()).await;
        let (place, expected) = (self.conn.place(self.action), self.blob.digest);
        match read {
            Ok(Ok(found)) if found == expected => Ok(()),
            Ok(Ok(found)) => Err(RegistryError::LocalChanged { place, expected, found }.into()),
            Ok(Err(source)) => Err(RegistryError::LocalRead { place, source }.into()),
            Err(_) => Err(RegistryError::Task { place }.into()),
        }
    }

    fn next_location(&self, answer: &Answer, same: Option<&Url>) -> Result<Url, RegistryError> {
        let fault = |to, source| RegistryError::Address { place: self.conn.place(self.action), to, source };
        let Some(to) = answer.headers.get(LOCATION) else {
            return same.cloned().ok_or_else(|| fault(String::new(), AddressFault::Missing));
        };
        let to = to.to_str().map_err(|_| fault(String::new(), AddressFault::Unreadable))?;
        location::follow(&self.conn.endpoint().base, &answer.url, to)
            .map_err(|source| fault(answer.url.join(to).map(|to| shown(&to)).unwrap_or_default(), source))
    }
}

/// Where an upload goes on, and in pieces of which size.
struct Session {
    location: Url,
    chunk: u64,
}

/// Shared by the tasks of one push.
pub(crate) type SharedUploads = Arc<Uploads>;
