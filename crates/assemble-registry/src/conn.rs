//! Talking to one repository of one registry: calls that are tried again, and errors that say where they happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use assemble_fetch::{
    GiveUp, Http, REFUSED_TRIES, RetryDecision, TlsTrouble, is_refused, is_transient_status, jitter_seed,
};
use assemble_types::{Digest, Event, Observer};
use reqwest::header::{HeaderMap, WARNING};
use tokio::time::sleep;

use crate::auth::{Session, Stop};
use crate::credentials::CredentialSources;
use crate::endpoint::{Endpoint, PlainHttp};
use crate::error::{Place, RegistryError, shown_name};
use crate::exchange::{Answer, Failure, Request};
use crate::gate::Gate;
use crate::memory::PushMemory;
use crate::scope::Access;
use crate::server_error::{BODY_LIMIT, ServerError};
use crate::text::clean;

/// Different warnings of servers that are passed on; more are not news.
const MAX_WARNINGS: usize = 8;

/// What all calls share.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) http: Arc<Http>,
    pub(crate) sources: Arc<CredentialSources>,
    pub(crate) plain: PlainHttp,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) parallelism: usize,
    pub(crate) memory: Arc<dyn PushMemory>,
    warned: Mutex<BTreeSet<String>>,
    sessions: Mutex<BTreeMap<(String, String, Access), SharedSession>>,
}

type SharedSession = Arc<tokio::sync::Mutex<Session>>;

impl Client {
    pub(crate) fn new(
        http: Arc<Http>,
        sources: CredentialSources,
        plain: PlainHttp,
        observer: Arc<dyn Observer>,
        parallelism: usize,
        memory: Arc<dyn PushMemory>,
    ) -> Self {
        Self {
            http,
            sources: Arc::new(sources),
            plain,
            observer,
            parallelism,
            memory,
            warned: Mutex::default(),
            sessions: Mutex::default(),
        }
    }

    /// A connection whose session is kept for the next one of the same sort.
    pub(crate) fn connect(
        self: &Arc<Self>,
        registry: &str,
        repository: &str,
        access: Access,
    ) -> Result<Conn, RegistryError> {
        let mut conn = self.connect_as(registry, repository, access, Arc::clone(&self.sources))?;
        let key = (conn.endpoint.name.clone(), repository.to_owned(), access);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        conn.session = Arc::clone(sessions.entry(key).or_default());
        drop(sessions);
        Ok(conn)
    }

    /// A connection with credentials of its own.
    pub(crate) fn connect_as(
        self: &Arc<Self>,
        registry: &str,
        repository: &str,
        access: Access,
        sources: Arc<CredentialSources>,
    ) -> Result<Conn, RegistryError> {
        let endpoint = Endpoint::new(registry, &self.plain)
            .ok_or_else(|| RegistryError::Name { name: shown_name(registry) })?;
        Ok(Conn {
            client: Arc::clone(self),
            endpoint,
            repository: repository.to_owned(),
            access,
            sources,
            session: SharedSession::default(),
            requests: AtomicU64::new(0),
            gate: Arc::new(Gate::new(self.parallelism)),
        })
    }
}

/// One repository of one registry.
#[derive(Debug)]
pub(crate) struct Conn {
    client: Arc<Client>,
    endpoint: Endpoint,
    repository: String,
    access: Access,
    sources: Arc<CredentialSources>,
    session: SharedSession,
    requests: AtomicU64,
    gate: Arc<Gate>,
}

impl Conn {
    pub(crate) fn http(&self) -> &Http {
        &self.client.http
    }

    pub(crate) fn observer(&self) -> &Arc<dyn Observer> {
        &self.client.observer
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn repository(&self) -> &str {
        &self.repository
    }

    pub(crate) fn access(&self) -> Access {
        self.access
    }

    pub(crate) fn sources(&self) -> Arc<CredentialSources> {
        Arc::clone(&self.sources)
    }

    pub(crate) fn session(&self) -> &tokio::sync::Mutex<Session> {
        &self.session
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests were sent, those for tokens and redirects included.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    #[expect(clippy::unnecessary_box_returns, reason = "errors hold it boxed, to be small")]
    pub(crate) fn place(&self, action: &str) -> Box<Place> {
        Box::new(Place {
            registry: self.endpoint.name.clone(),
            repository: self.repository.clone(),
            action: action.to_owned(),
            plain_http: self.endpoint.is_plain(),
            plain_asked: self.client.plain.names(&self.endpoint.name),
            own_ca: self.http().has_own_ca(),
        })
    }

    /// `Warning: 299 - "text"` (distribution spec, warnings), each text once.
    pub(crate) fn show_warnings(&self, answer: &Answer) {
        for value in answer.headers.get_all(WARNING).iter().take(MAX_WARNINGS) {
            let text = value.to_str().unwrap_or_default();
            let Some(text) = text.strip_prefix("299 - ") else { continue };
            let text = clean(text.trim().trim_matches('"'), 300);
            let mut warned = self.client.warned.lock().unwrap_or_else(PoisonError::into_inner);
            if warned.len() < MAX_WARNINGS && warned.insert(text.clone()) {
                let note = format!("{} says: {text}", self.endpoint.name);
                self.client.observer.event(Event::Warning(note));
            }
        }
    }

    /// Sends a request, and again after failures that may pass. The answer is whatever the server settled on.
    pub(crate) async fn call(&self, request: &Request) -> Result<Answer, RegistryError> {
        let mut backoff = Backoff::new(self);
        loop {
            let trouble = match self.send(request).await {
                Ok(answer) => match backoff.judge(answer).await {
                    Ok(answer) => return Ok(answer),
                    Err(trouble) => trouble,
                },
                Err(Stop::Failure(failure)) => Trouble::Failure(failure),
                Err(Stop::Fatal(error)) => return Err(error),
            };
            backoff.wait(&request.action, trouble).await?;
        }
    }

    /// Reads what an answer says.
    pub(crate) async fn server_error(&self, answer: Answer) -> ServerError {
        let read = answer.read(BODY_LIMIT, self.http().stall_timeout()).await;
        read.map(|(bytes, _)| ServerError::parse(&bytes)).unwrap_or_default()
    }

    /// The error for an answer that is a refusal. `tried` is for who holds the session already.
    pub(crate) async fn refuse(
        &self,
        action: &str,
        answer: Answer,
        tries: u32,
        tried: Option<&[String]>,
    ) -> RegistryError {
        let status = answer.status;
        let error = self.server_error(answer).await;
        let tried = match tried {
            Some(tried) => tried.to_vec(),
            None => self.tried().await,
        };
        self.refusal(action, status, &error, tries, tried)
    }

    /// As [`Conn::refuse`], for an answer that has been read.
    pub(crate) fn refusal(
        &self,
        action: &str,
        status: u16,
        error: &ServerError,
        tries: u32,
        tried: Vec<String>,
    ) -> RegistryError {
        let (place, message) = (self.place(action), error.message.clone());
        match status {
            // Proxies before a registry answer other refusals with a page, too.
            404 | 405 | 501 if error.is_page => RegistryError::NoRegistry { place, status, message },
            401 | 403 => RegistryError::Denied { place, status, message, tried },
            404 => RegistryError::NotFound { place, message },
            _ => RegistryError::Refused { place, status, message, tries },
        }
    }

    /// The error for a failure that is not tried again.
    pub(crate) fn failure(&self, action: &str, failure: Failure, tries: u32) -> RegistryError {
        let place = self.place(action);
        match failure {
            Failure::Transport { host, source } => RegistryError::Transport { place, host, tries, source },
            Failure::Stalled { host, after } => {
                RegistryError::Stalled { place, host, seconds: after.as_secs() }
            }
            Failure::Local(source) => RegistryError::LocalRead { place, source },
            Failure::Address { to, source } => RegistryError::Address { place, to, source },
            Failure::Short { expected, found } => {
                RegistryError::Size { place, expected, found: found.to_string() }
            }
        }
    }

    /// Compares `Docker-Content-Digest`, if there is one and it is of our algorithm.
    pub(crate) fn check_digest(
        &self,
        action: &str,
        answer: &Answer,
        expected: &Digest,
    ) -> Result<(), RegistryError> {
        let sent = answer.header("docker-content-digest").unwrap_or_default().trim();
        if !sent.starts_with("sha256:") || sent == expected.to_string() {
            return Ok(());
        }
        let found = clean(sent, 80);
        Err(RegistryError::Digest { place: self.place(action), expected: *expected, found })
    }
}

/// Something that may pass.
#[derive(Debug)]
pub(crate) enum Trouble {
    Failure(Failure),
    Status(u16, Box<HeaderMap>, ServerError),
}

/// Counts the tries of one thing and waits between them.
pub(crate) struct Backoff<'a> {
    conn: &'a Conn,
    tries: u32,
    seed: u64,
}

impl<'a> Backoff<'a> {
    pub(crate) fn new(conn: &'a Conn) -> Self {
        Self { conn, tries: 0, seed: jitter_seed() }
    }

    /// Sorts out answers that may be others next time.
    pub(crate) async fn judge(&self, answer: Answer) -> Result<Answer, Trouble> {
        if !is_transient_status(answer.status) {
            return Ok(answer);
        }
        let (status, headers) = (answer.status, Box::new(answer.headers.clone()));
        Err(Trouble::Status(status, headers, self.conn.server_error(answer).await))
    }

    /// Waits before the next try, or gives up.
    pub(crate) async fn wait(&mut self, action: &str, trouble: Trouble) -> Result<(), RegistryError> {
        self.tries += 1;
        let conn = self.conn;
        let (hopeless, headers, status) = match &trouble {
            Trouble::Failure(failure) => (!may_pass(failure, self.tries), None, 0),
            Trouble::Status(status, headers, _) => (false, Some(&**headers), *status),
        };
        if matches!(status, 429 | 503) {
            conn.gate.shrink();
        }
        let decision = if hopeless {
            RetryDecision::GiveUp(GiveUp::TriesUsedUp)
        } else {
            conn.http().retry().decide(self.tries, headers, self.seed)
        };
        match (decision, trouble) {
            (RetryDecision::After(pause), _) => {
                sleep(pause).await;
                Ok(())
            }
            (RetryDecision::GiveUp(GiveUp::AskedToWait(wait)), Trouble::Status(status, _, error)) => {
                let place = conn.place(action);
                Err(RegistryError::AskedToWait { place, status, wait, message: error.message })
            }
            (RetryDecision::GiveUp(_), Trouble::Status(status, _, error)) => {
                Err(conn.refusal(action, status, &error, self.tries, Vec::new()))
            }
            (RetryDecision::GiveUp(_), Trouble::Failure(failure)) => {
                Err(conn.failure(action, failure, self.tries))
            }
        }
    }
}

/// Whether a later try may do better, after so many.
fn may_pass(failure: &Failure, tries: u32) -> bool {
    match failure {
        // What TLS does not like, it will not like later.
        Failure::Transport { source, .. } => {
            let refused = tries >= REFUSED_TRIES && is_refused(source);
            !source.is_builder() && TlsTrouble::of(source).is_none() && !refused
        }
        Failure::Stalled { .. } | Failure::Short { .. } => true,
        Failure::Local(_) | Failure::Address { .. } => false,
    }
}
