//! Which credential goes with a request.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use assemble_types::{Event, Observer, SafeUrl};
use reqwest::RequestBuilder;

use super::Credential;
use crate::http::is_this_machine;
use crate::transfer::may_know;

/// All credentials of a fetcher.
#[derive(Debug)]
pub(crate) struct Access {
    credentials: Vec<Credential>,
    observer: Arc<dyn Observer>,
    /// Hosts to which something was sent in the open.
    warned: Mutex<BTreeSet<String>>,
}

impl Access {
    pub(crate) fn new(credentials: Vec<Credential>, observer: Arc<dyn Observer>) -> Self {
        Self { credentials, observer, warned: Mutex::default() }
    }

    /// Where the credentials come from that go to `url`, in a chain of redirections that began at `first`: a place that
    /// may not know those for `first` gets none at all, not even its own, since who sent us there could choose them.
    pub(crate) fn source(&self, first: &SafeUrl, url: &SafeUrl) -> Option<&str> {
        if url.has_credentials() {
            return Some("the address itself");
        }
        self.find(first, url).map(Credential::source)
    }

    /// Puts them on the request. Those of the URL itself are sent by the client.
    pub(crate) fn authorize(
        &self,
        first: &SafeUrl,
        url: &SafeUrl,
        request: RequestBuilder,
    ) -> RequestBuilder {
        let found = self.find(first, url);
        if (found.is_some() || url.has_credentials())
            && url.expose().scheme() == "http"
            && !is_this_machine(url.expose())
        {
            self.warn_once(&url.host());
        }
        match found {
            Some(credential) => credential.put_on(request),
            None => request,
        }
    }

    fn find(&self, first: &SafeUrl, url: &SafeUrl) -> Option<&Credential> {
        let free = !url.has_credentials() && may_know(first.expose(), url.expose());
        self.credentials.iter().find(|credential| free && credential.is_for(url.expose()))
    }

    fn warn_once(&self, host: &str) {
        if self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned()) {
            self.observer.event(Event::Warning(format!(
                "{host}: a password or token goes there over http, where others can read it; use https"
            )));
        }
    }
}
