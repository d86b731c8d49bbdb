//! By what a server is asked whether a document is still the same (RFC 9110 section 8.8).

use reqwest::header::{DATE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED};

use crate::cache::Validators;
use crate::http::http_date;

/// A document that has changed less than so many seconds before it was sent may change once more under the same date.
const SETTLED: i64 = 2;

/// What to ask by the next time. A date counts only if it was settled by the server's own clock.
pub(super) fn validators(headers: &HeaderMap) -> Validators {
    let last_modified = text(headers, LAST_MODIFIED).filter(|modified| {
        let sent = text(headers, DATE).and_then(http_date);
        let age = sent.zip(http_date(modified)).map(|(sent, modified)| sent - modified);
        age.is_some_and(|age| age >= SETTLED)
    });
    Validators {
        etag: text(headers, ETAG).map(str::to_owned),
        last_modified: last_modified.map(str::to_owned),
    }
}

/// Whether an answer that nothing has changed is about what is known. Many servers say so of anything that is no newer, such as
/// an older document that was put in its place; most of them send the date of that.
pub(super) fn agrees(known: &Validators, headers: &HeaderMap) -> bool {
    match (&known.etag, &known.last_modified) {
        (Some(known), _) => text(headers, ETAG).is_none_or(|found| opaque(found) == opaque(known)),
        (None, Some(known)) => text(headers, LAST_MODIFIED).is_none_or(|found| found == known),
        (None, None) => false,
    }
}

/// A tag as weak comparison looks at it (RFC 9110 section 8.8.3.2).
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// The entity tag if it promises equal bytes (RFC 9110 section 8.8.1).
pub(super) fn strong(validators: &Validators) -> Option<&str> {
    validators.etag.as_deref().filter(|etag| etag.starts_with('"'))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
