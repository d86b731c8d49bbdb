//! One request and its answer, redirects included: no credentials of its own, no second try.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use assemble_fetch::Http;
use assemble_types::SafeUrl;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, LOCATION};
use tokio::time::timeout;
use url::Url;

use crate::conn::Conn;
use crate::location::{self, AddressFault};
use crate::payload::Payload;
use crate::secret::Secret;

/// Redirects that are followed in a row.
const MAX_REDIRECTS: u32 = 10;

/// A request that can be sent again.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) body: Payload,
    /// What it is for, as an error says it.
    pub(crate) action: String,
}

impl Request {
    pub(crate) fn new(method: Method, url: Url, action: impl Into<String>) -> Self {
        Self { method, url, headers: Vec::new(), body: Payload::Empty, action: action.into() }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, body: Payload) -> Self {
        self.body = body;
        self
    }
}

/// An answer whose body has not been read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Where it came from in the end.
    pub(crate) url: Url,
    pub(crate) response: reqwest::Response,
}

impl Answer {
    /// A header's value, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `Content-Length` as sent, which for HEAD is not that of the answer itself.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.trim().parse().ok()
    }

    /// `Content-Type` without parameters.
    pub(crate) fn content_type(&self) -> Option<&str> {
        let value = self.header("content-type")?;
        Some(value.split(';').next().unwrap_or(value).trim())
    }

    /// Up to `limit` bytes of the body, and whether that was all.
    pub(crate) async fn read(self, limit: usize, stall: Duration) -> Result<(Vec<u8>, bool), Failure> {
        let host = host_of(&self.url);
        let mut response = self.response;
        let mut out = Vec::new();
        while let Some(chunk) = next_chunk(&mut response, stall, &host).await? {
            let room = limit - out.len();
            if chunk.len() > room {
                out.extend_from_slice(&chunk[..room]);
                return Ok((out, false));
            }
            out.extend_from_slice(&chunk);
        }
        Ok((out, true))
    }

    /// Reads what is left, so that the connection can be used again.
    pub(crate) async fn drain(self, stall: Duration) {
        let _ = self.read(crate::server_error::BODY_LIMIT, stall).await;
    }
}

/// The next bytes of a body; nothing at its end.
pub(crate) async fn next_chunk(
    response: &mut reqwest::Response,
    stall: Duration,
    host: &str,
) -> Result<Option<impl std::ops::Deref<Target = [u8]> + use<>>, Failure> {
    match timeout(stall, response.chunk()).await {
        Ok(Ok(chunk)) => Ok(chunk),
        Ok(Err(error)) => Err(Failure::transport(error, host)),
        Err(_) => Err(Failure::Stalled { host: host.to_owned(), after: stall }),
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    Transport {
        host: String,
        source: reqwest::Error,
    },
    Stalled {
        host: String,
        after: Duration,
    },
    /// The local bytes to send cannot be read.
    Local(io::Error),
    /// We were sent to where we do not go.
    Address {
        to: String,
        source: AddressFault,
    },
    /// The answer ended, and bytes are missing.
    Short {
        expected: u64,
        found: u64,
    },
}

impl Failure {
    pub(crate) fn transport(error: reqwest::Error, host: &str) -> Self {
        // The address may hold a signed state.
        Self::Transport { host: host.to_owned(), source: error.without_url() }
    }
}

/// Host and port, for people.
pub(crate) fn host_of(url: &Url) -> String {
    SafeUrl::from(url.clone()).host()
}

/// An address without query, fit to be shown.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    SafeUrl::from(url).to_string()
}

impl Conn {
    /// Sends a request and follows redirects by hand. `authorization` goes to `home`'s authority only; a body goes
    /// elsewhere only where the redirect says that it is to be sent again.
    pub(crate) async fn exchange(
        &self,
        request: &Request,
        authorization: Option<&Secret>,
        home: &Url,
    ) -> Result<Answer, Failure> {
        let mut url = request.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let trusted = location::same_authority(&url, home);
            let answer = self.once(request, &url, authorization.filter(|_| trusted)).await?;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let address = |to: String, source| Failure::Address { to, source };
            let safe = matches!(request.method, Method::GET | Method::HEAD);
            if !safe && !matches!(answer.status, 307 | 308) {
                return Err(address(shown(&url), AddressFault::BodyLost));
            }
            let Some(to) = answer.headers.get(LOCATION) else {
                return Err(address(String::new(), AddressFault::Missing));
            };
            let to = to.to_str().map_err(|_| address(String::new(), AddressFault::Unreadable))?;
            let next = location::follow(home, &url, to)
                .map_err(|source| address(url.join(to).map(|to| shown(&to)).unwrap_or_default(), source))?;
            answer.drain(self.http().stall_timeout()).await;
            url = next;
        }
        Err(Failure::Address { to: shown(&url), source: AddressFault::TooMany })
    }

    /// As [`Conn::exchange`] without credentials, and a redirect is an answer like any other.
    pub(crate) async fn exchange_here(&self, request: &Request) -> Result<Answer, Failure> {
        self.once(request, &request.url, None).await
    }

    async fn once(
        &self,
        request: &Request,
        url: &Url,
        authorization: Option<&Secret>,
    ) -> Result<Answer, Failure> {
        let host = host_of(url);
        let http = self.http();
        let client = match url.host_str() {
            // Both kinds of bodies share the connections, and no certificates are read.
            Some(name) if url.scheme() == "http" && Http::is_loopback(name) => http.plain_client(),
            _ if request.body.is_large() => http.upload_client(),
            _ => http.client(),
        };
        let (body, progress) = request.body.open(self.observer()).map_err(Failure::Local)?;
        let mut builder = client.request(request.method.clone(), url.clone());
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if !matches!(request.method, Method::GET | Method::HEAD) {
            // Of a streamed body the library does not know the length, and would send it in chunks.
            builder = builder.header(CONTENT_LENGTH, request.body.len()).body(body);
        }
        if let Some(secret) = authorization
            && let Ok(mut value) = HeaderValue::from_str(secret.expose())
        {
            value.set_sensitive(true);
            builder = builder.header(AUTHORIZATION, value);
        }
        self.count_request();
        let total = request.body.len();
        let stall = http.stall_timeout();
        let mut sending = std::pin::pin!(builder.send());
        let mut seen = 0;
        let mut idle = Duration::ZERO;
        let result = loop {
            if let Ok(result) = timeout(stall, &mut sending).await {
                break result;
            }
            let sent = progress.sent.load(Ordering::Relaxed);
            idle = if sent == seen { idle + stall } else { Duration::ZERO };
            seen = sent;
            // Once it has everything, a server may need a while to put a large blob in its place.
            let grace = if sent == total { Duration::from_secs(total >> 22) } else { Duration::ZERO };
            if idle >= stall + grace || (total == 0 && idle >= stall) {
                return Err(Failure::Stalled { host, after: idle });
            }
        };
        match result {
            Ok(response) => {
                let answer = Answer {
                    status: response.status().as_u16(),
                    headers: response.headers().clone(),
                    url: url.clone(),
                    response,
                };
                self.show_warnings(&answer);
                Ok(answer)
            }
            Err(error) => Err(match progress.take_fault() {
                Some(fault) => Failure::Local(fault),
                None => Failure::transport(error, &host),
            }),
        }
    }
}
