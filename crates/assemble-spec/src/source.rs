//! Offsets in the spec's text, turned into places that can be shown.

use std::ops::Range;

use assemble_types::SourceSpan;

/// A longer line is not repeated in spans: every package of a spec carries its line, and a spec in one line of a
/// megabyte would be kept once for each of them.
const LONGEST_SHOWN_LINE: usize = 400;

const STEP: usize = 64;

/// The text of a spec and where its lines begin.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    file: String,
    text: &'a str,
    starts: Vec<usize>,
    /// How many characters begin before every [`STEP`]th byte: a spec may be one line of megabytes.
    steps: Vec<usize>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(file: &str, text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let breaks = bytes.iter().enumerate().filter_map(|(at, byte)| match byte {
            b'\n' => Some(at + 1),
            b'\r' if bytes.get(at + 1) != Some(&b'\n') => Some(at + 1),
            _ => None,
        });
        let counts = bytes.chunks(STEP).scan(0, |sum, chunk| {
            *sum += characters(chunk);
            Some(*sum)
        });
        Self {
            file: plain(file),
            text,
            starts: std::iter::once(0).chain(breaks).collect(),
            steps: std::iter::once(0).chain(counts).collect(),
        }
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// The file's name, fit for a message.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// The place of a range. What goes beyond the first line is left out; an empty range becomes one character.
    pub(crate) fn span(&self, range: &Range<usize>, label: impl Into<String>) -> SourceSpan {
        let start = self.boundary(range.start);
        let row = self.starts.partition_point(|at| *at <= start).saturating_sub(1);
        let line_start = self.starts[row];
        let line_end = self.starts.get(row + 1).copied().unwrap_or(self.text.len());
        let line = self.text[line_start..line_end].trim_end_matches(['\n', '\r']);
        let end = self.boundary(range.end.min(line_start + line.trim_end().len())).max(start);
        SourceSpan {
            file: self.file.clone(),
            line: number(row + 1),
            column: number(self.before(start) - self.before(line_start) + 1),
            length: number((self.before(end) - self.before(start)).max(1)),
            text: if line.len() <= LONGEST_SHOWN_LINE { shown_line(line) } else { String::new() },
            label: label.into(),
        }
    }

    /// How many characters begin before this byte.
    fn before(&self, offset: usize) -> usize {
        let step = offset / STEP;
        self.steps[step] + characters(&self.text.as_bytes()[step * STEP..offset])
    }

    fn boundary(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

/// Bytes that begin a character of UTF-8.
fn characters(bytes: &[u8]) -> usize {
    #[cfg(test)]
    tests::WORK.set(tests::WORK.get() + bytes.len());
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A line, character for character as wide as written, but without control characters and without the user
/// information of URLs: lines end up in the logs of build machines.
fn shown_line(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let authority = tail.find(['/', '?', '#', ' ', '\t', '"', '\'', ',']).unwrap_or(tail.len());
        let secret = tail[..authority].rfind('@').unwrap_or(0);
        out.extend(tail[..secret].chars().map(|_| 'x'));
        rest = &tail[secret..];
    }
    out.push_str(rest);
    out.chars().map(visible).collect()
}

fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() || is_bidi(c) => '\u{fffd}',
        c => c,
    }
}

/// Characters that reorder what a terminal or editor shows around them.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Text from outside, fit for a message: no control characters, not longer than a line, no user information of URLs.
pub(crate) fn plain(text: &str) -> String {
    const LONGEST: usize = 100;
    let mut out = String::new();
    let masked = if text.contains("://") { shown_secretless(text) } else { text.to_owned() };
    for (n, c) in masked.chars().enumerate() {
        if n == LONGEST {
            out.push('…');
            break;
        }
        if c.is_control() || is_bidi(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

fn shown_secretless(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| match line.strip_suffix('\n') {
            Some(line) => shown_line(line) + "\n",
            None => shown_line(line),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::parse_lock;
    use crate::parse_spec;

    thread_local! {
        /// How many bytes were counted for places on this thread.
        pub(super) static WORK: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    /// A place costs some steps, however long the line is that it stands in: counted, since time depends on the machine.
    #[test]
    fn places_in_a_long_line_cost_no_more_than_others() {
        let of = |packages: usize| {
            let names: Vec<String> = (0..packages).map(|n| format!("\"package-{n}\"")).collect();
            let names = names.join(",");
            let text = format!("{{\"contents\": {{\"repositories\": [\"./r\"], \"packages\": [{names}]}}}}");
            WORK.set(0);
            assert_eq!(parse_spec("a.yaml", text.as_bytes()).unwrap().packages.len(), packages);
            (WORK.get(), text.len())
        };
        for packages in [1, 1000, 20_000] {
            let (work, size) = of(packages);
            assert!(work <= 4 * size + (packages + 20) * 8 * STEP, "{work} for {packages} packages");
        }
    }

    /// Of many mistakes few are shown, and only those cost a place.
    #[test]
    fn many_mistakes_of_a_lock_cost_few_places() {
        let of = |keys: usize| {
            let text = (0..keys).map(|n| format!("\"k{n}\":1,")).collect::<Vec<_>>().concat();
            let text = format!("{{{text}\"assemble-lock\":1}}");
            WORK.set(0);
            assert!(parse_lock("demo.lock", text.as_bytes()).unwrap_err().len() <= 21);
            (WORK.get(), text.len())
        };
        for keys in [10, 100, 50_000] {
            let (work, size) = of(keys);
            assert!(work <= 4 * size + 100 * STEP, "{work} for {keys} keys");
        }
    }

    #[test]
    fn places_count_characters_and_stay_on_a_line() {
        let source = Source::new("a.yaml", "é: ü\r\nb: [1,\r\n 2]\rc\u{1b}d: x");
        let at = |needle: &str, len: usize| {
            let start = source.text().find(needle).unwrap();
            source.span(&(start..start + len), "")
        };
        let show = |s: SourceSpan| format!("{s}+{} {:?}", s.length, s.text);
        assert_eq!(show(at("ü", 2)), "a.yaml:1:4+1 \"é: ü\"");
        assert_eq!(show(at("[1", 8)), "a.yaml:2:4+3 \"b: [1,\"");
        assert_eq!(show(at(": x", 0)), "a.yaml:4:4+1 \"c\u{fffd}d: x\"");
        assert_eq!(show(source.span(&(900..901), "")), "a.yaml:4:7+1 \"c\u{fffd}d: x\"");
    }

    #[test]
    fn no_line_shows_a_password() {
        for line in ["- https://u:hunter2@h/p", "a: ['@x https://hunter2@h', 'http://u:hunter2@g@h?q']"] {
            let shown = Source::new("f", line).span(&(0..1), "").text;
            assert!(!shown.contains("hunter2"), "{shown}");
            assert_eq!(shown.chars().count(), line.chars().count());
            assert!(!plain(line).contains("hunter2"));
        }
        assert_eq!(shown_line("see https://h/a@b"), "see https://h/a@b");
    }

    #[test]
    fn columns_are_counted_across_steps() {
        let text = "é".repeat(3 * STEP);
        let source = Source::new("f", &text);
        for at in [0, 1, STEP / 2, STEP - 1, STEP, 2 * STEP + 7, 3 * STEP - 1] {
            let span = source.span(&(2 * at..2 * at + 2), "");
            assert_eq!((span.column as usize, span.length), (at + 1, 1));
        }
    }

    #[test]
    fn a_very_long_line_is_not_repeated() {
        assert_eq!(Source::new("f", &"x".repeat(401)).span(&(0..1), "").text, "");
    }
}
