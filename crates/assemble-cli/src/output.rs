//! Standard output holds the answer and nothing else.

use std::io::Write as _;
use std::process::ExitCode;

use assemble::Error;
use assemble_types::Explain as _;

use crate::render;
use crate::terminal;

/// Prints one line or document. A reader that went away is no error of ours; a disk that is full is one, since
/// whoever reads the file would take half an answer for a whole one.
pub(crate) fn answer(text: &str) -> Result<(), std::io::Error> {
    let mut out = std::io::stdout().lock();
    let end: &[u8] = if text.ends_with('\n') { b"" } else { b"\n" };
    match out.write_all(text.as_bytes()).and_then(|()| out.write_all(end)).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints text for people.
pub(crate) fn tell(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = err.write_all(b"\n");
    }
}

/// How hints of the library are said on a command line.
pub(crate) type Words = fn(&str) -> String;

/// Reports a failure on both streams, and gives its exit code.
pub(crate) fn failure(error: &Error, json: bool, what: Option<&serde_json::Value>) -> ExitCode {
    failure_in(error, json, what, str::to_owned)
}

/// The same with hints in other words.
pub(crate) fn failure_in(
    error: &Error,
    json: bool,
    what: Option<&serde_json::Value>,
    words: Words,
) -> ExitCode {
    if json {
        let causes = crate::json::causes(error);
        // The failure itself decides the exit code, whether it could be told or not.
        let _ = answer(&crate::json::failure_document(
            error.code(),
            error.kind().name(),
            &error.to_string(),
            &crate::json::hints(error, &causes),
            &crate::json::spans(error),
            what,
        ));
    }
    tell(&render::error(error, terminal::colour(), words));
    ExitCode::from(error.kind().exit_code())
}
