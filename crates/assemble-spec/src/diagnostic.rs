//! What is wrong with a spec, as data. Showing it is the rim's work.

use std::fmt::{self, Write as _};

use assemble_types::{Explain, Kind, SourceSpan};

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// A stable name, `spec/what`.
    pub code: &'static str,
    /// One line, lower case, without a full stop.
    pub message: String,
    /// The place it is about first, then others that explain it. Labels are inside. `text` is empty where the line is
    /// too long to show.
    pub spans: Vec<SourceSpan>,
    /// What to do, most likely first. May have several lines: some show a piece of a spec.
    pub help: Vec<String>,
}

impl Diagnostic {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), spans: Vec::new(), help: Vec::new() }
    }

    pub(crate) fn at(mut self, span: SourceSpan) -> Self {
        self.spans.push(span);
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Plain text: message, place, line with a caret under it, help. For tests and for logs.
    pub fn plain(&self) -> String {
        let mut out = format!("error[{}]: {}\n", self.code, self.message);
        let digits = self.spans.iter().map(|s| s.line).max().unwrap_or(1).to_string().len();
        for (n, span) in self.spans.iter().enumerate() {
            let arrow = if n == 0 { "-->" } else { ":::" };
            let _ = writeln!(out, "{:digits$}{arrow} {span}", "");
            if span.text.is_empty() {
                if !span.label.is_empty() {
                    let _ = writeln!(out, "{:digits$} = {}", "", span.label);
                }
                continue;
            }
            let pad = " ".repeat(span.column.saturating_sub(1) as usize);
            let mark = if n == 0 { "^" } else { "-" }.repeat(span.length as usize);
            let _ = writeln!(out, "{:digits$} | {}", span.line, span.text.trim_end());
            let _ = writeln!(out, "{:digits$} | {}", "", format!("{pad}{mark} {}", span.label).trim_end());
        }
        for help in &self.help {
            let mut lines = help.lines();
            let _ = writeln!(out, "  help: {}", lines.next().unwrap_or_default());
            for line in lines {
                let _ = writeln!(out, "{}", format!("        {line}").trim_end());
            }
        }
        out
    }
}

/// All mistakes that were found; at least one, in the order of their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Sorts by place, files in the order in which they first come up. `None` if there are none, for there is nothing
    /// wrong then.
    pub(crate) fn new(mut all: Vec<Diagnostic>) -> Option<Self> {
        let mut files: Vec<String> = Vec::new();
        for span in all.iter().filter_map(|d| d.spans.first()) {
            if !files.contains(&span.file) {
                files.push(span.file.clone());
            }
        }
        let place = |d: &Diagnostic| {
            d.spans.first().map_or((0, 0, 0), |s| {
                (files.iter().position(|file| *file == s.file).unwrap_or_default(), s.line, s.column)
            })
        };
        all.sort_by_key(place);
        (!all.is_empty()).then_some(Self(all))
    }

    pub(crate) fn one(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }

    /// The mistakes.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// How many there are; never 0.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The mistakes, owned.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.0
    }

    /// All of them as [`Diagnostic::plain`] has them, with an empty line between.
    pub fn plain(&self) -> String {
        self.0.iter().map(Diagnostic::plain).collect::<Vec<_>>().join("\n")
    }

    fn first(&self) -> &Diagnostic {
        &self.0[0]
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first().message)?;
        match self.len() - 1 {
            0 => Ok(()),
            1 => f.write_str(" (and one more mistake)"),
            more => write!(f, " (and {more} more mistakes)"),
        }
    }
}

impl std::error::Error for Diagnostics {}

impl Explain for Diagnostics {
    fn code(&self) -> &'static str {
        self.first().code
    }

    fn kind(&self) -> Kind {
        Kind::Spec
    }

    fn hints(&self) -> Vec<String> {
        self.first().help.clone()
    }

    fn spans(&self) -> Vec<SourceSpan> {
        self.first().spans.clone()
    }
}
