//! What a registry says when it refuses (distribution spec, error codes), or what came in its place.

use assemble_types::Digest;
use serde_json::Value;

use crate::text::clean;

/// Bytes of an error's body that are read.
pub(crate) const BODY_LIMIT: usize = 64 * 1024;
/// Errors of one body that are looked at, and digests taken from them.
const MAX_ERRORS: usize = 64;
/// Characters of a message that are shown.
const SHOWN: usize = 300;

/// The part of an error answer that is worth keeping.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ServerError {
    /// Codes such as `DENIED`, in the order given.
    pub(crate) codes: Vec<String>,
    /// The first message, fit to be shown; may be empty.
    pub(crate) message: String,
    /// Digests that the errors name.
    pub(crate) digests: Vec<Digest>,
    /// It is what servers of web pages answer, and no registry does.
    pub(crate) is_page: bool,
}

impl ServerError {
    pub(crate) fn has(&self, code: &str) -> bool {
        self.codes.iter().any(|c| c == code)
    }

    /// Reads a body that may be the specified JSON, a token server's, HTML, text or nothing.
    pub(crate) fn parse(body: &[u8]) -> Self {
        let body = &body[..body.len().min(BODY_LIMIT)];
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::from_json(&value),
            Err(_) => {
                let text = String::from_utf8_lossy(body);
                Self { message: from_text(&text), is_page: is_page(&text), ..Self::default() }
            }
        }
    }

    fn from_json(value: &Value) -> Self {
        let mut out = Self::default();
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let list = value.get("errors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for error in list.iter().take(MAX_ERRORS) {
            let code = text(error, "code").map(|code| clean(&code, 40)).filter(|code| !code.is_empty());
            let message = text(error, "message").unwrap_or_default();
            if out.message.is_empty() {
                let shown = match &code {
                    Some(code) if message.is_empty() => code.clone(),
                    Some(code) => format!("{code}: {message}"),
                    None => message.clone(),
                };
                out.message = clean(&shown, SHOWN);
            }
            out.codes.extend(code);
            let detail = error.get("detail").map(Value::to_string).unwrap_or_default();
            out.digests.extend(digests_in(&detail).chain(digests_in(&message)).take(4));
        }
        if out.message.is_empty() {
            // Token servers: RFC 6749 section 5.2, `details` of Docker Hub, `message` of some proxies.
            let first = ["error_description", "details", "message", "error"]
                .iter()
                .find_map(|key| text(value, key))
                .unwrap_or_default();
            out.message = clean(&first, SHOWN);
        }
        out
    }
}

fn digests_in(text: &str) -> impl Iterator<Item = Digest> + '_ {
    text.match_indices("sha256:").filter_map(|(at, _)| text.get(at..at + 71)?.parse().ok())
}

/// A page, or the words of Go's own server for a path that it does not know.
fn is_page(text: &str) -> bool {
    let text = text.trim();
    let start = text.get(..5).unwrap_or_default().to_ascii_lowercase();
    start == "<html" || start == "<!doc" || text == "404 page not found"
}

/// The title of a page, else the first words of a text.
fn from_text(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|start| {
        let start = start + "<title>".len();
        let end = start + lower[start..].find("</title>")?;
        text.get(start..end)
    });
    match title {
        Some(title) => clean(title, SHOWN),
        None if lower.trim_start().starts_with('<') => String::new(),
        None => clean(text, SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_all_sorts() {
        for (body, codes, message) in [
            (
                r#"{"errors":[{"code":"DENIED","message":"no\u001b push"}]}"#,
                vec!["DENIED"],
                "DENIED: no\\u{1b} push",
            ),
            (r#"{"errors":[{"code":"A"},{"code":"B","message":"m"}]}"#, vec!["A", "B"], "A"),
            (r#"{"errors":[{"message":"only text"}]}"#, vec![], "only text"),
            (r#"{"errors":[]}"#, vec![], ""),
            (r#"{"errors":null}"#, vec![], ""),
            (r#"{"error":"invalid_grant","error_description":"expired"}"#, vec![], "expired"),
            (r#"{"details":"incorrect username or password"}"#, vec![], "incorrect username or password"),
            ("<html><head><TITLE>413 Too\nLarge</TITLE></head></html>", vec![], "413 Too Large"),
            ("<html><body>x</body></html>", vec![], ""),
            ("plain\r\ntext", vec![], "plain text"),
            ("[1,2]", vec![], ""),
            ("", vec![], ""),
        ] {
            let found = ServerError::parse(body.as_bytes());
            assert_eq!(found.codes, codes, "{body}");
            assert_eq!(found.message, message, "{body}");
        }
    }

    #[test]
    fn pages_are_told_from_what_registries_say() {
        for (body, page) in [
            ("<!DOCTYPE html>\n<html>", true),
            ("\n <HTML><head>", true),
            ("404 page not found\n", true),
            ("<?xml version=\"1.0\"?>", false),
            (r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#, false),
            ("no such repository", false),
            ("", false),
        ] {
            assert_eq!(ServerError::parse(body.as_bytes()).is_page, page, "{body}");
        }
    }

    #[test]
    fn digests_are_found_in_both_forms_of_detail() {
        let digest = Digest::of(b"x");
        for detail in [format!("\"{digest}\""), format!("{{\"digest\":\"{digest}\"}}")] {
            let body = format!(r#"{{"errors":[{{"code":"MANIFEST_BLOB_UNKNOWN","detail":{detail}}}]}}"#);
            assert_eq!(ServerError::parse(body.as_bytes()).digests, [digest]);
        }
        let cut = r#"{"errors":[{"code":"X","detail":"sha256:12"}]}"#;
        assert!(ServerError::parse(cut.as_bytes()).digests.is_empty());
    }

    #[test]
    fn a_long_body_is_cut() {
        let found = ServerError::parse(&vec![b'a'; 5_000_000]);
        assert_eq!(found.message.chars().count(), SHOWN + 1);
    }
}
