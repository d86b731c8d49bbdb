//! Errors for people: the message, the places of the spec, what was being done, why, and what to do.

use std::error::Error as _;
use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use assemble::{Cause, Error};
use assemble_types::{Explain as _, SourceSpan};

use crate::output::Words;

/// Longest cause chain that is shown.
const MAX_CAUSES: usize = 8;

/// Characters that change the direction of what follows; in a name they can make one thing look like another.
const BIDI: [char; 11] = [
    '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}',
    '\u{2066}', '\u{2067}', '\u{2068}',
];

/// Text from outside without line breaks, for one field of one line.
pub(crate) fn printable_line(text: &str) -> String {
    cleaned(text, |_| false)
}

/// Text from outside without control characters, so that a name cannot steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    cleaned(text, |c| c == '\n')
}

/// Writes out control characters, but those that are allowed.
fn cleaned(text: &str, allowed: impl Fn(char) -> bool) -> String {
    let is_bad = |c: char| (c.is_control() && !allowed(c)) || (!c.is_ascii() && BIDI.contains(&c));
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_bad(c) {
            out.extend(c.escape_debug());
        } else {
            out.push(c);
        }
    }
    out
}

/// One problem, ready to be shown.
struct Problem<'a> {
    code: &'a str,
    message: String,
    spans: &'a [SourceSpan],
    notes: Vec<String>,
    help: Vec<String>,
}

/// The whole error, with a final line break.
pub(crate) fn error(error: &Error, colour: bool, words: Words) -> String {
    if let Cause::Spec(diagnostics) = error.cause() {
        let mut out = String::new();
        for diagnostic in diagnostics {
            let problem = Problem {
                code: diagnostic.code,
                message: diagnostic.message.clone(),
                spans: &diagnostic.spans,
                notes: Vec::new(),
                help: diagnostic.help.iter().map(|help| words(help)).collect(),
            };
            out.push_str(&show(&problem, colour));
        }
        let count = diagnostics.iter().count();
        if count > 1 {
            let _ = writeln!(out, "{count} mistakes");
        }
        return out;
    }
    let mut notes: Vec<String> =
        error.while_doing().map(|what| format!("while {what}")).into_iter().collect();
    let mut source = error.source();
    while let Some(cause) = source {
        if notes.len() > MAX_CAUSES {
            break;
        }
        let text = cause.to_string();
        // Libraries below us like to repeat their cause in their own text.
        if !notes.iter().any(|note| note.ends_with(&text)) {
            notes.push(format!("because {text}"));
        }
        source = cause.source();
    }
    let spans = error.spans();
    show(
        &Problem {
            code: error.code(),
            message: error.to_string(),
            spans: &spans,
            notes,
            help: error.hints().iter().map(|hint| words(hint)).collect(),
        },
        colour,
    )
}

fn show(problem: &Problem<'_>, colour: bool) -> String {
    let message = printable_line(&problem.message);
    let title = Level::ERROR.primary_title(message).id(problem.code);
    let mut group = Group::with_title(title);
    // A spec that was never written, as for a bare binary, has no lines to show.
    let written = problem.spans.iter().filter(|span| span.line > 0 && !span.text.is_empty());
    let shown: Vec<Place> = written.map(place).collect();
    for (number, (path, text, line, range, label)) in shown.iter().enumerate() {
        let kind = if number == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        let annotation = kind.span(range.clone());
        let annotation = if label.is_empty() { annotation } else { annotation.label(label.as_str()) };
        group = group.element(
            Snippet::source(text.as_str()).line_start(*line).path(path.as_str()).annotation(annotation),
        );
    }
    // A line too long to be shown is still a place.
    let origins: Vec<(String, &SourceSpan)> = problem
        .spans
        .iter()
        .filter(|span| span.line > 0 && span.text.is_empty())
        .map(|span| (printable(&span.file), span))
        .collect();
    for (path, span) in &origins {
        group = group
            .element(Origin::path(path.as_str()).line(span.line as usize).char_column(span.column as usize));
    }
    for note in &problem.notes {
        group = group.element(Level::NOTE.message(printable(note)));
    }
    for help in &problem.help {
        group = group.element(Level::HELP.message(printable(help.trim_end())));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut out = renderer.render(&[group]).clone();
    out.push('\n');
    out
}

/// File, line text, line number, byte range in the line, label.
type Place = (String, String, usize, std::ops::Range<usize>, String);

fn place(span: &SourceSpan) -> Place {
    let text = printable(&span.text);
    let skip = (span.column as usize).saturating_sub(1);
    let at = |characters: usize| text.char_indices().nth(characters).map_or(text.len(), |(byte, _)| byte);
    let range = at(skip)..at(skip + span.length.max(1) as usize);
    (printable(&span.file), text.clone(), span.line as usize, range, printable(&span.label))
}
