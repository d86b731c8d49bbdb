//! From bytes to a spec, with the files that it includes.

use assemble_types::{Digest, SourceSpan};

use crate::check::{self, Draft, MOST_MISTAKES};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::foreign;
use crate::model::{Dialect, Located, Spec};
use crate::node;
use crate::source::{Source, plain};
use crate::whole::{self, SMALLEST};

/// Larger than any spec: real ones have some kilobytes, machine-made lists of packages a megabyte.
const MOST_BYTES: usize = 4 << 20;
/// More files in a row include one another in no real spec.
const MOST_FILES: usize = 64;

/// The text of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecText {
    /// The name for messages, as the user named the file.
    pub shown: String,
    /// What is the same for the same file however it is named, such as its canonical path.
    pub identity: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Why an included file cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncludeProblem {
    /// One line, lower case, without a full stop.
    pub message: String,
    /// What to do.
    pub hints: Vec<String>,
}

/// Reads what `include` names. This crate opens no files.
pub trait Includes {
    /// The file of `include: path`; the path is as written, and not a URL.
    fn read(&mut self, path: &str) -> Result<SpecText, IncludeProblem>;
}

impl<F: FnMut(&str) -> Result<SpecText, IncludeProblem>> Includes for F {
    fn read(&mut self, path: &str) -> Result<SpecText, IncludeProblem> {
        self(path)
    }
}

/// A spec and the files that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadSpec {
    /// What they say together.
    pub spec: Spec,
    /// The file that was named, then each that the one before includes.
    pub files: Vec<SpecText>,
}

impl ReadSpec {
    /// SHA-256 over the bytes of all files in the order in which they were read: what apko's lock files call the
    /// configuration's checksum.
    pub fn digest(&self) -> Digest {
        let all: Vec<u8> = self.files.iter().flat_map(|file| file.bytes.iter().copied()).collect();
        Digest::of(&all)
    }
}

/// Reads and checks a spec of our own dialect that includes nothing. `file` is only used in messages, as the user named
/// it.
///
/// The text is one document. A byte order mark and CRLF are fine.
///
/// # Errors
/// Every mistake that could be found: at least one, at most about fifty.
pub fn parse_spec(file: &str, text: &[u8]) -> Result<Spec, Diagnostics> {
    let main = SpecText { shown: file.to_owned(), identity: String::new(), bytes: text.to_owned() };
    let mut nothing = |_: &str| {
        Err(IncludeProblem { message: "there is nothing to include from here".to_owned(), hints: Vec::new() })
    };
    Ok(read_spec(main, Dialect::Assemble, &mut nothing)?.spec)
}

/// Reads and checks a spec and what it includes.
///
/// # Errors
/// Every mistake that could be found, those of the named file first. Mistakes of an included file point into that and
/// show the `include` that led there.
pub fn read_spec(
    main: SpecText,
    dialect: Dialect,
    includes: &mut dyn Includes,
) -> Result<ReadSpec, Diagnostics> {
    let mut mistakes = Vec::new();
    let mut files = vec![main];
    let mut drafts: Vec<Draft> = Vec::new();
    let mut led_here: Option<SourceSpan> = None;
    while let Some(file) = files.get(drafts.len()) {
        let mut own = Vec::new();
        let draft = read_file(file, dialect, &mut own);
        if let Some(span) = &led_here {
            for mistake in &mut own {
                mistake.spans.push(span.clone());
            }
        }
        mistakes.append(&mut own);
        if let Some(include) = &draft.spec.include {
            match next(include, &files, includes) {
                Ok(text) => files.push(text),
                Err(diagnostic) => mistakes.push(diagnostic),
            }
            led_here = Some(SourceSpan { label: "included here".into(), ..include.span.clone() });
        }
        drafts.push(draft);
    }
    let merged = drafts.into_iter().rev().reduce(|included, mut own| {
        whole::merge(&mut own, included);
        own
    });
    let mut spec = Spec::default();
    // With mistakes in the parts, those of the whole would be about what is missing only because of them.
    if mistakes.is_empty() {
        spec = whole::finish(merged.unwrap_or_default(), &mut mistakes);
    }
    mistakes.truncate(MOST_MISTAKES);
    match Diagnostics::new(mistakes) {
        Some(diagnostics) => Err(diagnostics),
        None => Ok(ReadSpec { spec, files }),
    }
}

/// The file that an included path names, unless the way there is a circle or leads to the network.
fn next(
    include: &Located<String>,
    files: &[SpecText],
    includes: &mut dyn Includes,
) -> Result<SpecText, Diagnostic> {
    let path = include.value.as_str();
    let wrong = |message: String| Diagnostic::new("spec/include", message).at(include.span.clone());
    if path.contains("://") || path.starts_with("git@") || path.starts_with("github.com/") {
        return Err(wrong("`include` names a file of this machine, not one of the network".to_owned()).help(
            "download it, and name the file: what an image is made from has to be there unchanged next year",
        ));
    }
    let text = includes.read(path).map_err(|problem| {
        let mut diagnostic = wrong(problem.message);
        diagnostic.help = problem.hints;
        diagnostic
    })?;
    if let Some(first) = files.iter().position(|file| file.identity == text.identity) {
        let circle: Vec<String> =
            files[first..].iter().chain([&text]).map(|file| format!("`{}`", plain(&file.shown))).collect();
        let message = format!("`include` leads in a circle: {}", circle.join(" includes "));
        return Err(wrong(message).help("remove one of these includes"));
    }
    if files.len() >= MOST_FILES {
        return Err(wrong(format!("more than {MOST_FILES} files include one another")));
    }
    Ok(text)
}

/// What one file says.
fn read_file(file: &SpecText, dialect: Dialect, mistakes: &mut Vec<Diagnostic>) -> Draft {
    let text = match text_of(&file.shown, &file.bytes) {
        Ok(text) => text,
        Err(diagnostic) => {
            mistakes.push(diagnostic);
            return Draft::default();
        }
    };
    let source = Source::new(&file.shown, text);
    if let Some(diagnostic) = foreign::in_text(&source) {
        mistakes.push(diagnostic);
        return Draft::default();
    }
    match node::read(&source, dialect == Dialect::Apko, mistakes) {
        Err(()) => Draft::default(),
        Ok(Some(root)) if !root.is_null() => {
            if let Some(diagnostic) = foreign::in_tree(&source, &root) {
                *mistakes = vec![diagnostic];
                return Draft::default();
            }
            check::check(&source, &root, dialect, mistakes)
        }
        // Nothing, and then a second document: that is told already.
        Ok(_) if !mistakes.is_empty() => Draft::default(),
        // apko takes a null for a spec that says nothing.
        Ok(Some(_)) if dialect == Dialect::Apko => {
            Draft { spec: Spec { dialect, ..Spec::default() }, ..Draft::default() }
        }
        Ok(_) => {
            let empty = Diagnostic::new("spec/empty", "the spec is empty").at(source.span(&(0..0), ""));
            mistakes.push(match dialect {
                Dialect::Assemble => empty.help(format!("the smallest spec names a program:\n{SMALLEST}")),
                Dialect::Apko => empty,
            });
            Draft::default()
        }
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
