//! The INI dialect that `.PKGINFO` is read in, with the habits of the library that apko uses: they reach the bytes of
//! the installed database.

use std::collections::BTreeMap;

use crate::text::shown;

/// Values of the unnamed section: of each key all distinct ones, in order.
#[derive(Debug, Default)]
pub(crate) struct Ini {
    values: BTreeMap<String, Vec<String>>,
}

/// Why a text is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IniError {
    /// A line without `=` or `:`, or with nothing in front of it.
    #[error("line {line} `{}` is not `key = value`", shown(text))]
    Line {
        /// Counts from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// `[` without `]`, or nothing between.
    #[error("line {line} `{}` is no section", shown(text))]
    Section {
        /// Counts from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// A quoted value that goes on in the next line. Records of the installed database are made of lines.
    #[error("the value in line {line} goes on over several lines")]
    Lines {
        /// Counts from 1.
        line: usize,
    },
    /// Substitution made a value that is too long.
    #[error("the value of `{}` grows beyond {limit} bytes", shown(key))]
    Growth {
        /// The key.
        key: String,
        /// The limit.
        limit: usize,
    },
}

const DELIMITERS: [char; 2] = ['=', ':'];
/// How often `%(key)s` is replaced in one value.
const MAX_SUBSTITUTIONS: usize = 99;
/// Longest value after that.
const MAX_VALUE: usize = 1 << 20;

/// The key, and what stands behind the delimiter.
fn split_key(line: &str) -> Option<(&str, &str)> {
    let quote = ["\"\"\"", "\"", "`"].into_iter().find(|q| line.starts_with(*q) && line.len() > q.len());
    if let Some(quote) = quote {
        let inner = &line[quote.len()..];
        let (key, rest) = inner.split_at(inner.find(quote)?);
        let at = rest.find(DELIMITERS)?;
        return Some((key.trim(), &rest[at + 1..]));
    }
    let at = line.find(DELIMITERS)?;
    (at > 0).then(|| (line[..at].trim(), &line[at + 1..]))
}

/// Whether the text stands in a pair of these quotes and has no other of them.
fn is_quoted(text: &str, quote: char) -> bool {
    text.len() >= 2
        && text.starts_with(quote)
        && text.ends_with(quote)
        && text[1..].find(quote) == Some(text.len() - 2)
}

impl Ini {
    /// Reads the unnamed section; `[DEFAULT]` leads back to it.
    pub(crate) fn parse(text: &str) -> Result<Self, IniError> {
        let mut ini = Self::default();
        let mut in_default = true;
        let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).split('\n').enumerate();
        while let Some((number, raw)) = lines.next() {
            let (number, line) = (number + 1, raw.trim_start());
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(tail) = line.strip_prefix('[') {
                let name = tail.rfind(']').map(|end| &tail[..end]).filter(|name| !name.is_empty());
                let error = || IniError::Section { line: number, text: line.to_owned() };
                in_default = name.ok_or_else(error)? == "DEFAULT";
                continue;
            }
            let error = || IniError::Line { line: number, text: line.to_owned() };
            let (key, rest) = split_key(line).ok_or_else(error)?;
            let value = read_value(rest, number, &mut lines)?;
            if in_default {
                let values = ini.values.entry(key.to_owned()).or_default();
                if !values.contains(&value) {
                    values.push(value);
                }
            }
        }
        Ok(ini)
    }

    /// The first value; empty where there is none.
    pub(crate) fn scalar(&self, key: &str) -> Result<String, IniError> {
        let first = self.values.get(key).and_then(|values| values.first());
        first.map_or_else(|| Ok(String::new()), |value| self.substitute(key, value))
    }

    /// All values that are not empty, each split at commas.
    pub(crate) fn list(&self, key: &str) -> Result<Vec<String>, IniError> {
        let values = self.values.get(key).into_iter().flatten().filter(|value| !value.is_empty());
        values.flat_map(|value| value.split(',')).map(|item| self.substitute(key, item.trim())).collect()
    }

    /// Replaces `%(other)s` by that key's first value, until there is none or one that is not known.
    fn substitute(&self, key: &str, value: &str) -> Result<String, IniError> {
        let mut text = value.to_owned();
        for _ in 0..MAX_SUBSTITUTIONS {
            let Some((pattern, other)) = pattern(&text) else { break };
            let Some(with) =
                self.values.get(other).and_then(|values| values.first()).filter(|_| other != key)
            else {
                break;
            };
            let count = text.matches(pattern).count();
            if text.len() + count * with.len() > MAX_VALUE {
                return Err(IniError::Growth { key: key.to_owned(), limit: MAX_VALUE });
            }
            text = text.replace(pattern, with);
        }
        Ok(text)
    }
}

/// The first `%(key)s`, and its key.
fn pattern(text: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    while let Some(start) = text[from..].find("%(").map(|at| from + at) {
        let inner = &text[start + 2..];
        let end = inner.find(')')?;
        if end > 0 && inner[end + 1..].starts_with('s') {
            return Some((&text[start..start + 2 + end + 2], &inner[..end]));
        }
        from = start + 2;
    }
    None
}

fn read_value<'a>(
    raw: &str,
    number: usize,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> Result<String, IniError> {
    let text = raw.trim_start();
    let quote = if text.len() > 3 && text.starts_with("\"\"\"") {
        Some("\"\"\"")
    } else if text.starts_with('`') {
        Some("`")
    } else {
        None
    };
    if let Some(quote) = quote {
        let inner = &text[quote.len()..];
        let end = inner.rfind(quote).ok_or(IniError::Lines { line: number })?;
        return Ok(inner[..end].to_owned());
    }
    let text = text.trim_end();
    if let Some(first) = text.strip_suffix('\\') {
        return Ok(continued(first, lines));
    }
    let text = text.find(['#', ';']).map_or(text, |at| text[..at].trim());
    let unquoted =
        if is_quoted(text, '\'') || is_quoted(text, '"') { &text[1..text.len() - 1] } else { text };
    Ok(unquoted.to_owned())
}

/// A backslash at the end joins the next line; comments in such values are kept.
fn continued<'a>(first: &str, lines: &mut impl Iterator<Item = (usize, &'a str)>) -> String {
    let mut value = first.to_owned();
    for (_, line) in lines {
        let next = line.trim();
        if next.is_empty() {
            break;
        }
        value.push_str(next);
        if !value.ends_with('\\') {
            break;
        }
        value.pop();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values() {
        for (line, expected) in [
            ("k = v", "v"),
            ("k=v", "v"),
            ("  k  :  v  ", "v"),
            ("k = C# tools", "C"),
            ("k = a; b", "a"),
            ("k = https://x.invalid/#part", "https://x.invalid/"),
            ("k = a = b : c", "a = b : c"),
            ("k = \"quoted\"", "quoted"),
            ("k = 'quoted'", "quoted"),
            ("k = \"quoted C# tools; more\"", "\"quoted C"),
            ("k = 'it's'", "'it's'"),
            ("k = \"a\" and \"b\"", "\"a\" and \"b\""),
            ("k = \"half", "\"half"),
            ("k = \"", "\""),
            ("k = `a # b`", "a # b"),
            ("k = `a` # b", "a"),
            ("k = \"\"\"a ; b\"\"\"", "a ; b"),
            ("k = \"\"\"", "\"\"\""),
            ("k = one \\\n  two # kept\n", "one two # kept"),
            ("k = one\\\ntwo\\\nthree", "onetwothree"),
            ("k = one\\\n\nother = 1", "one"),
            ("k = v\r", "v"),
            ("k =", ""),
            ("k = %(other)s!\nother = %(third)s\nthird = 3", "3!"),
            ("k = %(missing)s", "%(missing)s"),
            ("k = %(k)s", "%(k)s"),
            ("k = 100%", "100%"),
            ("k = %() %(other)s\nother = x", "%() x"),
            ("\u{feff}k = v", "v"),
            ("\"k\" = v", "v"),
            ("`k` = v", "v"),
            ("# c\n; c\n\nk = v", "v"),
            ("k = first\nk = second", "first"),
            ("[section]\nk = no\n[DEFAULT]\nk = yes", "yes"),
            ("[section]\nk = no", ""),
            ("k = größe 日本", "größe 日本"),
        ] {
            assert_eq!(Ini::parse(line).unwrap().scalar("k").unwrap(), expected, "{line:?}");
        }
    }

    #[test]
    fn lists() {
        for (text, expected) in [
            ("k = a\nk = b\nk = a", vec!["a", "b"]),
            ("k = a, b\nk = b", vec!["a", "b", "b"]),
            ("k = a,,b", vec!["a", "", "b"]),
            ("k =\nk = a", vec!["a"]),
            ("k =", vec![]),
            ("j = x", vec![]),
            ("k = /a /b", vec!["/a /b"]),
            ("k = %(j)s,c\nj = x,y", vec!["x,y", "c"]),
        ] {
            assert_eq!(Ini::parse(text).unwrap().list("k").unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn errors() {
        use expect_test::expect;
        let mut all = String::new();
        for text in ["nothing", "a = 1\n= x", "[", "[]", "k = `a\nb`", "k = \"\"\"a\nb\"\"\"", "\x1b[31m\n"] {
            all.push_str(&format!("{}\n", Ini::parse(text).unwrap_err()));
        }
        expect![[r#"
            line 1 `nothing` is not `key = value`
            line 2 `= x` is not `key = value`
            line 1 `[` is no section
            line 1 `[]` is no section
            the value in line 1 goes on over several lines
            the value in line 1 goes on over several lines
            line 1 `\u{1b}[31m` is not `key = value`
        "#]]
        .assert_eq(&all);
    }

    #[test]
    fn substitution_cannot_blow_up() {
        let mut text = String::from("k = %(a0)s\n");
        for i in 0..90 {
            text.push_str(&format!("a{i} = %(a{0})s%(a{0})s%(a{0})s%(a{0})s\n", i + 1));
        }
        text.push_str("a90 = xxxxxxxxxxxxxxxxxxxx");
        assert!(matches!(Ini::parse(&text).unwrap().scalar("k"), Err(IniError::Growth { .. })));
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(text in "([k=:#;\\\\\"'`%()s\\[\\] a\\n\u{e9}]){0,60}") {
            if let Ok(ini) = Ini::parse(&text) {
                let _ = (ini.scalar("k"), ini.list("k"));
            }
        }
    }
}
