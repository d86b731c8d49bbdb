//! From bytes to a spec.

use crate::check::{self, MOST_MISTAKES};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::foreign;
use crate::model::Spec;
use crate::node;
use crate::source::{Source, plain};

/// Larger than any spec: real ones have some kilobytes, machine-made lists of packages a megabyte.
const MOST_BYTES: usize = 4 << 20;

/// Reads and checks a spec. `file` is only used in messages, as the user named it.
///
/// Only the first document of the text counts. A byte order mark and CRLF are fine.
///
/// # Errors
/// Every mistake that could be found: at least one, at most about fifty.
pub fn parse_spec(file: &str, text: &[u8]) -> Result<Spec, Diagnostics> {
    let text = text_of(file, text).map_err(Diagnostics::one)?;
    let source = Source::new(file, text);
    if let Some(diagnostic) = foreign::in_text(&source) {
        return Err(Diagnostics::one(diagnostic));
    }
    let mut mistakes = Vec::new();
    let root = node::read(&source, &mut mistakes);
    let spec = match root {
        Err(()) => Spec::default(),
        Ok(Some(root)) if !root.is_null() => {
            if let Some(diagnostic) = foreign::in_tree(&source, &root) {
                return Err(Diagnostics::one(diagnostic));
            }
            check::check(&source, &root, &mut mistakes)
        }
        Ok(_) => {
            let help = format!("the smallest spec names a program:\n{}", check::SMALLEST);
            mistakes.push(
                Diagnostic::new("spec/empty", "the spec is empty").at(source.span(&(0..0), "")).help(help),
            );
            Spec::default()
        }
    };
    mistakes.truncate(MOST_MISTAKES);
    match Diagnostics::new(mistakes) {
        Some(diagnostics) => Err(diagnostics),
        None => Ok(spec),
    }
}

/// The bytes as text, unless they are something else.
fn text_of<'t>(file: &str, bytes: &'t [u8]) -> Result<&'t str, Diagnostic> {
    if let Some(diagnostic) = foreign::in_bytes(file, bytes) {
        return Err(diagnostic);
    }
    if bytes.len() > MOST_BYTES {
        let message = format!("`{}` has {} bytes, and a spec at most {MOST_BYTES}", plain(file), bytes.len());
        return Err(Diagnostic::new("spec/too-large", message).help("is this the file you meant?"));
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let before = std::str::from_utf8(&bytes[..at]).unwrap_or_default();
        not_text(file, before, &format!("the byte 0x{:02x} here is no UTF-8", bytes[at]))
    })?;
    match text.find('\0') {
        None => Ok(text),
        Some(at) => Err(not_text(file, &text[..at], "there is a NUL byte here")),
    }
}

fn not_text(file: &str, before: &str, what: &str) -> Diagnostic {
    let source = Source::new(file, before);
    Diagnostic::new("spec/not-text", format!("`{}` is no text: {what}", plain(file)))
        .at(source.span(&(before.len()..before.len()), what))
        .help("a spec is YAML in UTF-8")
}
