//! Scripted misbehaviour of a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::http::Response;

/// What a server does instead of answering well.
#[derive(Debug, Clone)]
pub enum Action {
    /// Reads the request, does nothing, and answers this.
    Answer(Response),
    /// Answers this after the request's head, before its body was read; then reads the rest.
    AnswerEarly(Response),
    /// Reads the request, does nothing, and closes the connection.
    Close,
    /// Closes the connection after reading this many bytes of the request's body.
    CloseWhileReading(usize),
    /// Does what was asked, and closes the connection instead of telling.
    CloseAfterDoing,
    /// Does what was asked, sends the head and this many bytes of the body, and closes.
    CutBody(usize),
    /// Waits this long (or until the server stops), then closes.
    Stall(Duration),
    /// Sends the head and this many bytes of the body, waits this long, then closes.
    StallInBody(usize, Duration),
    /// Waits this long, then goes on as if nothing were.
    Delay(Duration),
    /// Waits until this is opened (or the server stops), then goes on as if nothing were.
    Hold(Gate),
    /// Sends bytes that are no HTTP, and closes.
    Garbage,
    /// Does what was asked, but inverts every byte of the answer's body.
    WrongBytes,
    /// Does what was asked, then sets this header of the answer (an empty value removes it).
    Header(String, String),
}

/// What requests wait at until a test opens it. Clones are the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(AtomicUsize, AtomicBool)>);

impl Gate {
    /// How many requests came to it, also those that it let pass.
    pub fn came(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    /// Lets those that wait and those to come pass.
    pub fn open(&self) {
        self.0.1.store(true, Ordering::SeqCst);
    }

    pub(crate) fn arrive(&self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.1.load(Ordering::SeqCst)
    }
}

/// A fault: which calls, and what happens to them.
#[derive(Debug, Clone)]
pub struct Fault {
    method: Option<String>,
    path: String,
    first: usize,
    times: usize,
    pub(crate) action: Action,
    seen: usize,
}

impl Fault {
    /// For requests with this method (`*` for any) whose path and query contain `path`: every one of them, unless
    /// [`nth`](Self::nth) or [`times`](Self::times) say less.
    pub fn on(method: &str, path: &str, action: Action) -> Self {
        let method = (method != "*").then(|| method.to_owned());
        Self { method, path: path.to_owned(), first: 1, times: usize::MAX, action, seen: 0 }
    }

    /// Answers with a status and a body.
    pub fn status(method: &str, path: &str, status: u16, body: &str) -> Self {
        Self::on(method, path, Action::Answer(Response::text(status, body)))
    }

    /// Only the nth matching call, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: usize) -> Self {
        (self.first, self.times) = (n, 1);
        self
    }

    /// Only this many calls, from the first (or the one given to [`nth`](Self::nth)) on.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Counts a call; the action if it is one of those meant.
    pub(crate) fn strike(&mut self, method: &str, target: &str) -> Option<Action> {
        if self.method.as_deref().is_some_and(|m| m != method) || !target.contains(&self.path) {
            return None;
        }
        self.seen += 1;
        let hit = self.seen >= self.first && self.seen - self.first < self.times;
        hit.then(|| self.action.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_only_what_matches() {
        let mut fault = Fault::on("GET", "/x", Action::Close).nth(2).times(2);
        let mut strike = |method, path| fault.strike(method, path).is_some();
        assert!(!strike("GET", "/x"));
        assert!(!strike("PUT", "/x"));
        assert!(!strike("GET", "/y"));
        assert!(strike("GET", "/a/x?q"));
        assert!(strike("GET", "/x"));
        assert!(!strike("GET", "/x"));
    }
}
