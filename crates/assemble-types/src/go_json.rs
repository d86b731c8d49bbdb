//! JSON as Go's encoder writes it: the same escapes, compact or indented by two spaces.
//!
//! # Why it is the way it is
//! Documents that must be equal to apko's to the byte go through here, whatever they are. What sets Go's encoder
//! apart are five characters more that it escapes, since they are unsafe in HTML and JavaScript. The order of keys and
//! what is left out is the business of the value's own `Serialize`.

use std::io;

use serde::Serialize;
use serde_json::Error;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

/// One line without a line end. Fails only where `value`'s own `Serialize` does, or with a map whose keys are no texts.
pub fn compact<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    write(value, CompactFormatter)
}

/// Indented by two spaces, without a final line end. Empty lists and objects stay `[]` and `{}`. Fails as [`compact`]
/// does.
pub fn indented<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    write(value, PrettyFormatter::with_indent(b"  "))
}

fn write<T: Serialize + ?Sized>(value: &T, layout: impl Formatter) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut out, GoEscapes(layout)))?;
    Ok(out)
}

/// A layout with Go's escapes.
struct GoEscapes<F>(F);

impl<F: Formatter> Formatter for GoEscapes<F> {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        let special = |c| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
        let mut rest = text;
        while let Some(at) = rest.find(special) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let mut chars = rest[at..].chars();
            if let Some(c) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(c))?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn text(bytes: Result<Vec<u8>, Error>) -> String {
        String::from_utf8(bytes.unwrap()).unwrap()
    }

    #[test]
    fn escapes_are_those_of_go() {
        assert_eq!(
            text(compact("a<b>&\u{2028}\u{2029}\"\\/\t\n\r\u{8}\u{c}\u{1}\u{1f}\u{7f}é😀")),
            "\"a\\u003cb\\u003e\\u0026\\u2028\\u2029\\\"\\\\/\\t\\n\\r\\b\\f\\u0001\\u001f\u{7f}é😀\""
        );
    }

    #[test]
    fn both_layouts() {
        let map = BTreeMap::from([("<a>", vec!["1", "&"]), ("b", Vec::new())]);
        assert_eq!(text(compact(&map)), r#"{"\u003ca\u003e":["1","\u0026"],"b":[]}"#);
        assert_eq!(
            text(indented(&map)),
            "{\n  \"\\u003ca\\u003e\": [\n    \"1\",\n    \"\\u0026\"\n  ],\n  \"b\": []\n}"
        );
        assert_eq!(text(indented(&BTreeMap::<String, u8>::new())), "{}");
    }
}
