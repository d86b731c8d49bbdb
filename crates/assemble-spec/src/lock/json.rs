//! JSON (RFC 8259) as a tree of values with their places.
//!
//! Typed decoding would lose the places, and the first wrong value would end it. Numbers stay as they are written.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{Source, plain};

/// Deepest nesting. Lock files need five.
const DEEPEST: usize = 32;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) range: Range<usize>,
    pub(super) content: Content,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Null,
    Bool,
    Number(String),
    Text(String),
    List(Vec<Value>),
    Map(Vec<Member>),
}

/// A key of a map with its value.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) key_range: Range<usize>,
    pub(super) value: Value,
}

impl Value {
    /// For messages.
    pub(super) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Null => "nothing",
            Content::Bool => "true or false",
            Content::Number(_) => "a number",
            Content::Text(_) => "a text",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }
}

/// The bytes as text, if they are some and not too many.
pub(super) fn text_of<'t>(file: &str, bytes: &'t [u8], limit: usize) -> Result<&'t str, Diagnostics> {
    let shown = plain(file);
    if bytes.len() > limit {
        let message = format!("`{shown}` has {} bytes, and a lock at most {limit}", bytes.len());
        return Err(Diagnostics::one(
            Diagnostic::new("lock/too-large", message).help("is this the file you meant?"),
        ));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let before = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        let source = Source::new(file, before);
        let span = source.span(&(before.len()..before.len()), "here");
        Diagnostics::one(Diagnostic::new("lock/not-text", format!("`{shown}` is no text")).at(span))
    })
}

/// Reads a document: one value and nothing behind it.
pub(super) fn read(source: &Source<'_>) -> Result<Value, Diagnostics> {
    let mut reader = Reader { text: source.text(), at: 0 };
    let read = reader.value(0).and_then(|value| {
        reader.skip_blanks();
        if reader.at == reader.text.len() { Ok(value) } else { Err(reader.wrong("the end of the file")) }
    });
    read.map_err(|wrong| Diagnostics::one(wrong.diagnostic(source)))
}

/// What was expected where.
#[derive(Debug)]
struct Wrong {
    expected: &'static str,
    at: usize,
}

impl Wrong {
    fn diagnostic(&self, source: &Source<'_>) -> Diagnostic {
        let rest = &source.text()[self.at..];
        if ["<<<<<<<", "=======", ">>>>>>>"].iter().any(|marker| rest.starts_with(marker)) {
            return Diagnostic::new(
                "lock/conflict",
                format!("`{}` holds a conflict of a merge", source.file()),
            )
            .at(source.span(&(self.at..self.at + 7), "marks the conflict"))
            .help("take either side whole, and then make the lock fit the spec: assemble lock SPEC");
        }
        let found = match rest.chars().next() {
            None => "the file ends".to_owned(),
            Some(c) => format!("`{}` stands", plain(&c.to_string())),
        };
        let end = self.at + rest.chars().next().map_or(0, char::len_utf8);
        Diagnostic::new("lock/json", format!("expected {}, and {found} there", self.expected))
            .at(source.span(&(self.at..end), "here"))
            .help("make it anew: assemble lock SPEC")
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

type Read<T> = Result<T, Wrong>;

impl Reader<'_> {
    fn wrong(&self, expected: &'static str) -> Wrong {
        Wrong { expected, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8, expected: &'static str) -> Read<()> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.wrong(expected))
        }
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        self.skip_blanks();
        let start = self.at;
        if depth > DEEPEST {
            return Err(self.wrong("no more nesting"));
        }
        let content = match self.peek() {
            Some(b'{') => Content::Map(self.map(depth)?),
            Some(b'[') => Content::List(self.list(depth)?),
            Some(b'"') => Content::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => Content::Number(self.number()?),
            _ => self.word()?,
        };
        Ok(Value { range: start..self.at, content })
    }

    fn word(&mut self) -> Read<Content> {
        for (word, content) in [("true", Content::Bool), ("false", Content::Bool), ("null", Content::Null)] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(content);
            }
        }
        Err(self.wrong("a value"))
    }

    fn map(&mut self, depth: usize) -> Read<Vec<Member>> {
        let mut members = Vec::new();
        self.at += 1;
        self.skip_blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(members);
        }
        loop {
            self.skip_blanks();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.wrong("a key in quotes"));
            }
            let key = self.string()?;
            let key_range = start..self.at;
            self.skip_blanks();
            self.take(b':', "`:`")?;
            let value = self.value(depth + 1)?;
            members.push(Member { key, key_range, value });
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => {
                    self.take(b'}', "`,` or `}`")?;
                    return Ok(members);
                }
            }
        }
    }

    fn list(&mut self, depth: usize) -> Read<Vec<Value>> {
        let mut items = Vec::new();
        self.at += 1;
        self.skip_blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(items);
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => {
                    self.take(b']', "`,` or `]`")?;
                    return Ok(items);
                }
            }
        }
    }

    fn number(&mut self) -> Read<String> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(self.text[start..self.at].to_owned())
    }

    fn digits(&mut self) -> Read<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.wrong("a digit")) }
    }

    fn string(&mut self) -> Read<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => return Err(self.wrong("the closing quote")),
            }
        }
    }

    fn escape(&mut self) -> Read<char> {
        let expected = "a character after `\\`, as JSON knows them";
        self.at += 1;
        let c = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.wrong(expected)),
        };
        self.at += 1;
        Ok(c)
    }

    /// Four digits, or two times four where the first are the upper half of a surrogate pair.
    fn unicode(&mut self) -> Read<char> {
        let start = self.at;
        let unit = self.four_digits()?;
        let code = if (0xd800..0xdc00).contains(&unit) && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            let low = self.four_digits()?;
            if (0xdc00..0xe000).contains(&low) {
                0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
            } else {
                unit
            }
        } else {
            unit
        };
        char::from_u32(code).ok_or(Wrong { expected: "a whole character and not half of one", at: start })
    }

    fn four_digits(&mut self) -> Read<u32> {
        let digits = self.text.get(self.at..self.at + 4);
        let code = digits
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.wrong("four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match read(&Source::new("f.lock", text)) {
            Ok(value) => format!("{:?}", value.content),
            Err(wrong) => {
                let first = wrong.iter().next().unwrap();
                format!("{} {}", first.spans[0], first.message)
            }
        }
    }

    #[test]
    fn every_kind_of_value() {
        for (text, expected) in [
            (" null ", "Null"),
            ("true", "Bool"),
            ("-0.5e+10", "Number(\"-0.5e+10\")"),
            (r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é""#, "Text(\"a\\\"\\\\/\\u{8}\\u{c}\\n\\r\\té😀é\")"),
            ("[]", "List([])"),
            ("{}", "Map([])"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_have_a_place() {
        for (text, expected) in [
            ("", "f.lock:1:1 expected a value, and the file ends there"),
            ("{\"a\": 1,\n}", "f.lock:2:1 expected a key in quotes, and `}` stands there"),
            ("{\"a\" 1}", "f.lock:1:6 expected `:`, and `1` stands there"),
            ("[1 2]", "f.lock:1:4 expected `,` or `]`, and `2` stands there"),
            ("01", "f.lock:1:2 expected the end of the file, and `1` stands there"),
            ("-", "f.lock:1:2 expected a digit, and the file ends there"),
            ("\"a\nb\"", "f.lock:1:3 expected the closing quote, and `\\n` stands there"),
            (
                "\"\\x\"",
                "f.lock:1:3 expected a character after `\\`, as JSON knows them, and `x` stands there",
            ),
            (
                "\"\\ud83d\"",
                "f.lock:1:4 expected a whole character and not half of one, and `d` stands there",
            ),
            ("\"\\u00g0\"", "f.lock:1:4 expected four hexadecimal digits, and `0` stands there"),
            ("[\n<<<<<<< HEAD\n1]", "f.lock:2:1 `f.lock` holds a conflict of a merge"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(shown(&deep), "f.lock:1:34 expected no more nesting, and `[` stands there");
    }
}
