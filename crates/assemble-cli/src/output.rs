//! Standard output holds the answer and nothing else.

use std::io::Write as _;
use std::process::ExitCode;

use assemble::Error;
use assemble_types::Explain as _;

use crate::render;
use crate::terminal;

/// Prints one line or document. A reader that went away is no error of ours.
pub(crate) fn answer(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = out.write_all(b"\n");
    }
    let _ = out.flush();
}

/// Prints text for people.
pub(crate) fn tell(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = err.write_all(b"\n");
    }
}

/// Reports a failure on both streams, and gives its exit code.
pub(crate) fn failure(error: &Error, json: bool, what: Option<&serde_json::Value>) -> ExitCode {
    if json {
        let causes = crate::json::causes(error);
        answer(&crate::json::failure_document(
            error.code(),
            error.kind().name(),
            &error.to_string(),
            &crate::json::hints(error, &causes),
            &crate::json::spans(error),
            what,
        ));
    }
    tell(&render::error(error, terminal::colour()));
    ExitCode::from(error.kind().exit_code())
}
