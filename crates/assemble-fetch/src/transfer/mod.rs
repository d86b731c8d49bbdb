//! One body over HTTP, however many tries that takes.

mod body;
mod progress;
mod redirect;
mod validate;

use std::error::Error as _;
use std::time::{Duration, Instant};

use assemble_types::SafeUrl;
use reqwest::header::{
    CACHE_CONTROL, CONTENT_RANGE, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LOCATION, RANGE,
};
use reqwest::{RequestBuilder, Response};

use crate::Location;
use crate::cache::Validators;
use crate::counters::Counting;
use crate::credentials::Access;
use crate::error::{FetchError, RedirectFault, TransferError};
use crate::http::{
    GiveUp, Http, REFUSED_TRIES, RetryDecision, is_refused, is_transient_status, jitter_seed, tls_error,
};

pub(crate) use body::{Bound, MemoryBody, PartBody, Sink};
pub(crate) use progress::Progress;
pub use progress::next_transfer_id;
pub(crate) use redirect::may_know;

const MOST_REDIRECTS: u32 = 10;
/// So much more of the body than ever before makes a broken transfer worth its full number of tries again.
const ENOUGH_PROGRESS: u64 = 1 << 20;
/// Fewer bytes than this in a minute is no transfer any more: a server that sends one byte a second would hold a build
/// for hours.
const LEAST_PER_MINUTE: f64 = 1000.0;
/// An unknown host name rarely becomes known within seconds, and each try may take a while.
const NAME_LOOKUP_TRIES: u32 = 3;

/// What to get, and whom to tell.
pub(crate) struct Transfer<'a> {
    pub(crate) http: &'a Http,
    pub(crate) location: &'a Location,
    pub(crate) url: &'a SafeUrl,
    pub(crate) access: &'a Access,
    pub(crate) counting: &'a Counting,
    pub(crate) bound: Bound,
    pub(crate) known: Option<&'a Validators>,
    /// Whether caches on the way have to ask the server, because what they have may be damaged.
    pub(crate) past_caches: bool,
    /// Only so many bytes from the start are wanted, fewer than there are. A server may send all the same.
    pub(crate) front: Option<u64>,
}

/// How a transfer ended well.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// What we know is still what there is.
    NotModified,
    /// The body is in the sink.
    Complete {
        /// What to ask by the next time.
        validators: Validators,
        /// Whether the server allows to keep it (RFC 9111 section 5.2.2.5).
        may_keep: bool,
    },
    /// The part that was asked for is in the sink, and no more.
    Front,
}

/// What the tries so far brought.
struct State<'s> {
    sink: &'s mut dyn Sink,
    progress: Progress,
    received: u64,
    /// Of the body that `received` counts.
    validators: Validators,
    may_keep: bool,
    /// Whether the server sends only the part that was asked for.
    partial: bool,
    /// Whether all of it is asked for, whatever is known.
    past_known: bool,
}

enum Failure {
    Final(FetchError),
    Passing(TransferError, Option<HeaderMap>),
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::Final(error)
    }
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        Self::Passing(error, None)
    }
}

impl Transfer<'_> {
    /// Tries until the body is there, an answer is final, or the tries are used up.
    pub(crate) fn run(&self, sink: &mut dyn Sink, progress: Progress) -> Result<Outcome, FetchError> {
        let validators = Validators::default();
        let mut state = State {
            sink,
            progress,
            received: 0,
            validators,
            may_keep: true,
            partial: false,
            past_known: false,
        };
        let (mut tries, mut failures, mut most) = (0, 0, 0);
        let seed = jitter_seed();
        loop {
            tries += 1;
            let (why, headers) = match self.http.block_on(self.attempt(&mut state)) {
                Ok(outcome) => return Ok(outcome),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(why, headers)) => (why, headers),
            };
            if state.received >= most + ENOUGH_PROGRESS {
                most = state.received;
                failures = 0;
            }
            failures += 1;
            let hopeless = match &why {
                TransferError::NameLookup(_) => failures >= NAME_LOOKUP_TRIES,
                TransferError::Connect(error) => is_refused(error) && failures >= REFUSED_TRIES,
                _ => false,
            };
            match self.http.retry().decide(failures, headers.as_ref(), seed) {
                RetryDecision::After(wait) if !hopeless => std::thread::sleep(wait),
                RetryDecision::GiveUp(GiveUp::AskedToWait(asked)) => {
                    return Err(self.too_busy(&why, asked));
                }
                _ => {
                    let location = self.location.clone();
                    return Err(FetchError::Unavailable { location, tries, source: why });
                }
            }
        }
    }

    async fn attempt(&self, state: &mut State<'_>) -> Result<Outcome, Failure> {
        if !self.may_resume(state) {
            state.restart()?;
        }
        let (mut response, url) = self.answer(state).await?;
        let total = response.content_length();
        match response.status().as_u16() {
            200 => {
                state.restart()?;
                state.validators = validate::validators(response.headers());
                state.may_keep = !forbids_storing(response.headers());
                self.bound.check_total(self.location, total)?;
            }
            206 if state.received == 0 && self.front.is_some() => {
                self.check_front(response.headers())?;
                state.validators = validate::validators(response.headers());
                state.partial = true;
            }
            206 if state.received > 0 => {
                let range = content_range(response.headers());
                let other = validate::validators(response.headers())
                    .etag
                    .is_some_and(|tag| Some(tag) != state.validators.etag);
                if other || range.map(|(from, _)| from) != Some(Some(state.received)) {
                    // Another part than the one asked for, or of something else that has taken its place: from the
                    // start then, which every server can do.
                    state.restart()?;
                    return Err(TransferError::Status(206).into());
                }
                self.bound.check_total(self.location, range.and_then(|(_, total)| total))?;
            }
            304 if state.received == 0 && self.known_to(state).is_some() => return Ok(Outcome::NotModified),
            416 if state.received > 0 => {
                self.bound
                    .check_total(self.location, content_range(response.headers()).and_then(|(_, t)| t))?;
                state.restart()?;
                return Err(TransferError::Status(416).into());
            }
            status => return Err(self.refused(status, response.headers(), &url)),
        }
        self.receive(&mut response, state).await?;
        if state.partial {
            return Ok(Outcome::Front);
        }
        let validators = std::mem::take(&mut state.validators);
        Ok(Outcome::Complete { validators, may_keep: state.may_keep })
    }

    async fn receive(&self, response: &mut Response, state: &mut State<'_>) -> Result<(), Failure> {
        let mut pace = Pace::new(self.http.stall_timeout());
        let bound = match self.front.filter(|_| state.partial) {
            Some(len) => Bound::Exactly(len),
            None => self.bound,
        };
        loop {
            match response.chunk().await {
                Ok(Some(bytes)) => {
                    let after = state.received + bytes.len() as u64;
                    bound.check_received(self.location, after)?;
                    state.sink.write(&bytes)?;
                    state.received = after;
                    self.counting.fetched(bytes.len() as u64);
                    state.progress.reached(after);
                    if pace.is_too_slow(bytes.len(), Instant::now()) {
                        return Err(TransferError::Stalled.into());
                    }
                }
                Ok(None) if bound.is_short(state.received) => {
                    return Err(TransferError::Cut { received: state.received }.into());
                }
                Ok(None) => return Ok(()),
                Err(error) if error.is_timeout() => return Err(TransferError::Stalled.into()),
                // What a broken connection is called inside depends on where it broke.
                Err(_) if state.received > 0 => {
                    return Err(TransferError::Cut { received: state.received }.into());
                }
                Err(error) => return Err(TransferError::Broken(error.without_url()).into()),
            }
        }
    }

    /// The answer, and who gave it. One that what we know is still there is believed only if it speaks of the same.
    async fn answer(&self, state: &mut State<'_>) -> Result<(Response, SafeUrl), Failure> {
        let (response, url) = self.ask(state).await?;
        match self.known_to(state) {
            Some(known)
                if response.status().as_u16() == 304 && !validate::agrees(known, response.headers()) =>
            {
                state.past_known = true;
                self.ask(state).await
            }
            _ => Ok((response, url)),
        }
    }

    /// What the server may say is still there.
    fn known_to(&self, state: &State<'_>) -> Option<&Validators> {
        self.known.filter(|_| !state.past_known)
    }

    /// Sends the request, and follows where it is sent; the answer, and who gave it.
    async fn ask(&self, state: &State<'_>) -> Result<(Response, SafeUrl), Failure> {
        let mut url = self.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            self.counting.request();
            let request = self.request(&url, state);
            let response = request.send().await.map_err(|error| self.classify(error))?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok((response, url));
            }
            url = self.redirected(&url, &response)?;
        }
        Err(self.redirect_fault(RedirectFault::TooMany).into())
    }

    fn request(&self, url: &SafeUrl, state: &State<'_>) -> RequestBuilder {
        let request = self.http.client_for(url.expose()).get(url.expose().clone());
        let mut request = self.access.authorize(self.url, url, request);
        if self.past_caches {
            request = request.header(CACHE_CONTROL, "no-cache");
        }
        if state.received > 0 {
            let last = self.front.filter(|_| state.partial).map(|len| (len - 1).to_string());
            let range = format!("bytes={}-{}", state.received, last.unwrap_or_default());
            request = request.header(RANGE, range);
            if let Some(validator) = validate::strong(&state.validators) {
                request = request.header(IF_RANGE, validator);
            }
        } else if let Some(len) = self.front {
            request = request.header(RANGE, format!("bytes=0-{}", len - 1));
        } else if let Some(known) = self.known_to(state) {
            if let Some(etag) = &known.etag {
                request = request.header(IF_NONE_MATCH, etag);
            } else if let Some(date) = &known.last_modified {
                request = request.header(IF_MODIFIED_SINCE, date);
            }
        }
        request
    }

    /// A server that says it sends another part than the one asked for, or one of something else, is not believed in
    /// anything.
    fn check_front(&self, headers: &HeaderMap) -> Result<(), FetchError> {
        let told = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let (Some(len), Bound::Exactly(size)) = (self.front, self.bound) else { return Ok(()) };
        if let Some((_, Some(total))) = content_range(headers) {
            self.bound.check_total(self.location, Some(total))?;
        }
        let asked = format!("bytes 0-{}/", len - 1);
        let rest = told.and_then(|told| told.strip_prefix(&asked));
        if rest.is_some_and(|total| total == "*" || total.parse() == Ok(size)) {
            return Ok(());
        }
        Err(FetchError::OtherRange {
            location: self.location.clone(),
            asked: format!("{asked}{size}"),
            found: told.unwrap_or("no range").chars().filter(|c| !c.is_control()).take(80).collect(),
        })
    }

    fn redirected(&self, from: &SafeUrl, response: &Response) -> Result<SafeUrl, FetchError> {
        let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        target
            .ok_or(RedirectFault::NoTarget)
            .and_then(|target| redirect::follow(self.url, from, target))
            .map_err(|why| self.redirect_fault(why))
    }

    fn redirect_fault(&self, why: RedirectFault) -> FetchError {
        FetchError::Redirect { location: self.location.clone(), why }
    }

    /// A part can be completed if somebody will notice that the parts do not fit: whoever checks the content's
    /// checksum, or the server, which compares a strong validator.
    fn may_resume(&self, state: &State<'_>) -> bool {
        self.bound.is_exact() || validate::strong(&state.validators).is_some()
    }

    fn refused(&self, status: u16, headers: &HeaderMap, url: &SafeUrl) -> Failure {
        let location = self.location.clone();
        match status {
            404 | 410 => FetchError::NotFound { location }.into(),
            401 | 403 | 407 => {
                let sent = self.access.source(self.url, url).map(str::to_owned);
                FetchError::Denied { location, status, sent }.into()
            }
            _ if is_transient_status(status) => {
                Failure::Passing(TransferError::Status(status), Some(headers.clone()))
            }
            _ => FetchError::Status { location, status }.into(),
        }
    }

    fn too_busy(&self, why: &TransferError, asked: Duration) -> FetchError {
        let status = if let TransferError::Status(status) = why { *status } else { 0 };
        let longest = self.http.retry().longest_asked;
        FetchError::TooBusy { location: self.location.clone(), status, asked, longest }
    }

    fn classify(&self, error: reqwest::Error) -> Failure {
        if let Some(source) = tls_error(&error).map(Box::new) {
            let own_ca = self.http.has_own_ca();
            return FetchError::Tls { location: self.location.clone(), source, own_ca }.into();
        }
        let error = error.without_url();
        if error.is_connect() {
            if chain_says(&error, "dns error") {
                return TransferError::NameLookup(error).into();
            }
            return TransferError::Connect(error).into();
        }
        if error.is_timeout() {
            return TransferError::Stalled.into();
        }
        TransferError::Broken(error).into()
    }
}

/// Whether bytes come fast enough, asked once per stall timeout.
struct Pace {
    window: Duration,
    least: f64,
    start: Instant,
    bytes: usize,
}

impl Pace {
    fn new(window: Duration) -> Self {
        let least = LEAST_PER_MINUTE * window.as_secs_f64() / 60.0;
        Self { window, least, start: Instant::now(), bytes: 0 }
    }

    fn is_too_slow(&mut self, more: usize, now: Instant) -> bool {
        self.bytes = self.bytes.saturating_add(more);
        if now.saturating_duration_since(self.start) < self.window {
            return false;
        }
        let bytes = u32::try_from(self.bytes).unwrap_or(u32::MAX);
        (self.start, self.bytes) = (now, 0);
        f64::from(bytes) < self.least
    }
}

impl State<'_> {
    fn restart(&mut self) -> Result<(), FetchError> {
        if self.received > 0 {
            self.sink.restart()?;
            self.received = 0;
        }
        self.validators = Validators::default();
        self.partial = false;
        Ok(())
    }
}

/// Whether `Cache-Control` says `no-store`, in any of its headers and spellings.
fn forbids_storing(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case("no-store"))
}

/// First byte and length of the whole in `Content-Range` (RFC 9110 section 14.4), each if it is told.
fn content_range(headers: &HeaderMap) -> Option<(Option<u64>, Option<u64>)> {
    let value = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let from = range.split_once('-').and_then(|(from, _)| from.parse().ok());
    Some((from, total.parse().ok()))
}

fn chain_says(error: &reqwest::Error, text: &str) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        if cause.to_string() == text {
            return true;
        }
        next = cause.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kilobyte_a_minute_is_the_least() {
        let minute = Duration::from_mins(1);
        let mut pace = Pace::new(minute);
        let start = pace.start;
        for second in 1..60 {
            assert!(!pace.is_too_slow(1, start + Duration::from_secs(second)));
        }
        assert!(pace.is_too_slow(1, start + minute), "60 bytes in a minute");
        assert!(!pace.is_too_slow(999, start + Duration::from_secs(119)));
        assert!(!pace.is_too_slow(1, start + minute * 2), "1000 bytes in a minute");
        assert!(pace.is_too_slow(999, start + minute * 3), "each minute counts for itself");
    }

    #[test]
    fn storing_is_forbidden_by_one_word_only() {
        for (values, want) in [
            (&[][..], false),
            (&["no-store"], true),
            (&["private, No-Store"], true),
            (&["max-age=60", "no-store"], true),
            (&["no-cache, must-revalidate, max-age=0, immutable"], false),
            (&["x-no-store", "no-store=1"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CACHE_CONTROL, value.parse().unwrap());
            }
            assert_eq!(forbids_storing(&headers), want, "{values:?}");
        }
    }

    #[test]
    fn content_ranges() {
        for (value, expected) in [
            ("bytes 5-9/10", Some((Some(5), Some(10)))),
            ("bytes 5-9/*", Some((Some(5), None))),
            ("bytes */10", Some((None, Some(10)))),
            ("bytes 5-9", None),
            ("items 5-9/10", None),
            ("bytes x-9/y", Some((None, None))),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, value.parse().unwrap());
            assert_eq!(content_range(&headers), expected, "{value}");
        }
    }
}
