//! What every error can say about itself beyond its message.

use std::fmt;

/// A number with what is counted: `1 package`, `2 packages`.
pub fn counted<N: Copy + fmt::Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    let what = if count == N::from(1) { one } else { many };
    format!("{count} {what}")
}

/// The kind of a failure; each has one exit code, documented in `docs/exit-codes.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line is wrong.
    Usage,
    /// The spec, or a file it names, is wrong.
    Spec,
    /// There is no package set, or packages clash.
    Unsolvable,
    /// The chain of trust broke, or an input is hostile.
    Integrity,
    /// Not available after retries, or offline.
    Unavailable,
    /// Credentials are missing or refused.
    Denied,
    /// `verify` found a difference.
    Mismatch,
    /// The host: disk, permissions, a missing program.
    Host,
    /// The image would not start.
    WouldNotStart,
    /// A bug of ours.
    Bug,
    /// The user interrupted.
    Interrupted,
}

impl Kind {
    /// The process's exit code for this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Spec => 3,
            Self::Unsolvable => 4,
            Self::Integrity => 5,
            Self::Unavailable => 6,
            Self::Denied => 7,
            Self::Mismatch => 8,
            Self::Host => 9,
            Self::WouldNotStart => 10,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }

    /// The name used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Spec => "spec",
            Self::Unsolvable => "unsolvable",
            Self::Integrity => "integrity",
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
            Self::Mismatch => "mismatch",
            Self::Host => "host",
            Self::WouldNotStart => "would-not-start",
            Self::Bug => "bug",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A place in a text that the user wrote. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceSpan {
    /// The file as the user named it.
    pub file: String,
    /// Line of the first character.
    pub line: u32,
    /// Column of the first character.
    pub column: u32,
    /// Number of characters, at least 1, on that line.
    pub length: u32,
    /// The whole line, for showing it.
    pub text: String,
    /// What to write beside the place, or nothing.
    pub label: String,
}

impl fmt::Display for SourceSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// An error that names its kind and code and says how to mend it. Messages are lower case without a full stop, name
/// the thing first, and leave the cause to the `source` chain.
pub trait Explain: std::error::Error + Send + Sync {
    /// A stable name, `stage/what`, such as `apk/checksum`.
    fn code(&self) -> &'static str;

    /// Decides the exit code.
    fn kind(&self) -> Kind;

    /// What the user can do now: commands or edits, most likely first.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }

    /// Places in the user's text that this is about.
    fn spans(&self) -> Vec<SourceSpan> {
        Vec::new()
    }
}
