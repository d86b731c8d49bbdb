//! From JSON values to checked ones, with every mistake that can be found.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::Range;

use assemble_apk::{PackageName, Version};

use super::json::{Content, Member, Value};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{Source, plain};

/// More mistakes than this help nobody.
const MOST_MISTAKES: usize = 20;

/// Collects mistakes while values are read.
pub(super) struct Decoder<'s, 't> {
    source: &'s Source<'t>,
    mistakes: Vec<Diagnostic>,
}

/// A map that is being read.
#[derive(Clone, Copy)]
pub(super) struct Record<'v> {
    /// What it describes, for messages.
    what: &'static str,
    range: &'v Range<usize>,
    members: &'v [Member],
}

impl<'v> Record<'v> {
    pub(super) fn range(&self) -> &'v Range<usize> {
        self.range
    }

    /// The value of a key; null is the same as no key.
    pub(super) fn get(&self, key: &str) -> Option<&'v Value> {
        let member = self.members.iter().rfind(|member| member.key == key)?;
        (!matches!(member.value.content, Content::Null)).then_some(&member.value)
    }

    /// The same as Go finds it: whatever the letters' case, an exact match first.
    pub(super) fn get_like_go(&self, key: &str) -> Option<&'v Value> {
        let alike = |member: &&Member| member.key.eq_ignore_ascii_case(key);
        let exact = self.members.iter().rfind(|member| member.key == key);
        let member = exact.or_else(|| self.members.iter().rfind(alike))?;
        (!matches!(member.value.content, Content::Null)).then_some(&member.value)
    }
}

impl<'s, 't> Decoder<'s, 't> {
    pub(super) fn new(source: &'s Source<'t>) -> Self {
        Self { source, mistakes: Vec::new() }
    }

    /// The value, unless there was a mistake.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Diagnostics> {
        let Self { source, mistakes } = self;
        match (Diagnostics::new(mistakes), value) {
            (None, Some(value)) => Ok(value),
            (Some(mistakes), _) => Err(mistakes),
            // A value is only ever missing after a mistake was noted.
            (None, None) => Err(Diagnostics::one(
                Diagnostic::new("lock/value", "the lock cannot be read").at(source.span(&(0..0), "")),
            )),
        }
    }

    pub(super) fn wrong(&mut self, code: &'static str, message: impl Into<String>, range: &Range<usize>) {
        // Finding the place of a mistake is dear where a lock of megabytes holds nothing else.
        if self.mistakes.len() < MOST_MISTAKES {
            self.note(Diagnostic::new(code, message).at(self.source.span(range, "")));
        }
    }

    pub(super) fn note(&mut self, diagnostic: Diagnostic) {
        self.mistakes.push(diagnostic);
    }

    pub(super) fn span(&self, range: &Range<usize>) -> assemble_types::SourceSpan {
        self.source.span(range, "")
    }

    /// A map.
    pub(super) fn map<'v>(&mut self, value: &'v Value, what: &'static str) -> Option<Record<'v>> {
        match &value.content {
            Content::Map(members) => Some(Record { what, range: &value.range, members }),
            _ => {
                self.wrong(
                    "lock/type",
                    format!("{what} is {}, and has to be a map", value.kind()),
                    &value.range,
                );
                None
            }
        }
    }

    /// A map in which every key is known and comes once.
    pub(super) fn record<'v>(
        &mut self,
        value: &'v Value,
        what: &'static str,
        known: &[&'static str],
    ) -> Option<Record<'v>> {
        let record = self.map(value, what)?;
        let mut seen = BTreeSet::new();
        for member in record.members {
            if !seen.insert(member.key.as_str()) {
                let message = format!("{what}: `{}` comes twice", plain(&member.key));
                self.wrong("lock/key-twice", message, &member.key_range);
            }
            if !known.contains(&member.key.as_str()) {
                let message = format!("{what}: there is no key `{}`", plain(&member.key));
                self.wrong("lock/unknown-key", message, &member.key_range);
            }
        }
        Some(record)
    }

    /// The items of a list; none if the key is missing.
    pub(super) fn list<'v>(&mut self, value: Option<&'v Value>, what: &'static str) -> &'v [Value] {
        match value.map(|value| (&value.content, value)) {
            None => &[],
            Some((Content::List(items), _)) => items,
            Some((_, value)) => {
                self.wrong(
                    "lock/type",
                    format!("{what} is {}, and has to be a list", value.kind()),
                    &value.range,
                );
                &[]
            }
        }
    }

    /// A value that has to be there.
    pub(super) fn required<'v>(&mut self, record: Record<'v>, key: &'static str) -> Option<&'v Value> {
        let found = record.get(key);
        if found.is_none() {
            let start = record.range.start..record.range.start + 1;
            self.wrong("lock/missing", format!("{}: `{key}` is missing", record.what), &start);
        }
        found
    }

    /// A text, checked by `check`.
    pub(super) fn text<'v, T, E: Display>(
        &mut self,
        value: &'v Value,
        what: &'static str,
        check: impl FnOnce(&'v str) -> Result<T, E>,
    ) -> Option<T> {
        let Content::Text(text) = &value.content else {
            self.wrong(
                "lock/type",
                format!("{what} is {}, and has to be a text", value.kind()),
                &value.range,
            );
            return None;
        };
        match check(text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.wrong("lock/value", format!("{what}: {why}"), &value.range);
                None
            }
        }
    }

    /// A text that has to be there.
    pub(super) fn need<'v, T, E: Display>(
        &mut self,
        record: Record<'v>,
        key: &'static str,
        check: impl FnOnce(&'v str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.required(record, key)?;
        self.text(value, key, check)
    }

    /// A text that may be missing. The outer nothing is a mistake.
    #[allow(clippy::option_option, reason = "a mistake is another thing than nothing")]
    pub(super) fn may<'v, T, E: Display>(
        &mut self,
        record: Record<'v>,
        key: &'static str,
        check: impl FnOnce(&'v str) -> Result<T, E>,
    ) -> Option<Option<T>> {
        match record.get(key) {
            None => Some(None),
            Some(value) => self.text(value, key, check).map(Some),
        }
    }

    /// A whole number that has to be there.
    pub(super) fn number(&mut self, record: Record<'_>, key: &'static str) -> Option<u64> {
        let value = self.required(record, key)?;
        self.whole(value, key)
    }

    /// A whole number that is not negative.
    pub(super) fn whole(&mut self, value: &Value, what: &str) -> Option<u64> {
        let number = match &value.content {
            Content::Number(text) => text.parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.wrong("lock/value", format!("{what} has to be a whole number"), &value.range);
        }
        number
    }
}

/// Any text that can be shown on one line.
pub(super) fn line(text: &str) -> Result<String, String> {
    const LONGEST: usize = 4096;
    if text.is_empty() {
        return Err("an empty text".into());
    }
    if text.len() > LONGEST {
        return Err(format!("{} bytes, and at most {LONGEST} are taken", text.len()));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(format!("it holds the control character {c:?}")),
        None => Ok(text.to_owned()),
    }
}

/// A path or URL without user information: what is locked is committed, and shown.
pub(super) fn place(text: &str) -> Result<String, String> {
    let text = line(text)?;
    let authority =
        text.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    if authority.is_some_and(|authority| authority.contains('@')) {
        return Err("a URL with user information; passwords come from netrc or HTTP_AUTH".into());
    }
    Ok(text)
}

/// A package's name, which is part of the name of its file.
pub(super) fn package_name(text: &str) -> Result<PackageName, String> {
    file_name(text)?;
    PackageName::parse(text).map_err(|error| error.to_string())
}

/// A package's version, which is part of the name of its file.
pub(super) fn version(text: &str) -> Result<Version, String> {
    file_name(text)?;
    Version::parse(text).map_err(|error| error.to_string())
}

fn file_name(text: &str) -> Result<(), String> {
    match text.find(['/', '\\']) {
        Some(_) => Err(format!("`{}` cannot be part of a file's name", plain(text))),
        None => Ok(()),
    }
}
