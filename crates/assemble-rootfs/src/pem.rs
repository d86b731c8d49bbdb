//! PEM (RFC 7468 and the headers of RFC 1421) as Go's reader takes it and its writer makes it.
//!
//! # Why it is the way it is
//! Certificates and keys of a configuration are taken out of whatever text stands around them and written anew, and
//! what is written is part of a layer. So the rules are those of the reader that apko uses: a damaged block is passed
//! over, not refused.

use data_encoding::{BASE64, Encoding};

/// One block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// What the block says it is, such as `CERTIFICATE`.
    pub(crate) label: String,
    /// Lines of the form `key: value` at the beginning.
    pub(crate) headers: Vec<(String, String)>,
    /// The decoded bytes.
    pub(crate) content: Vec<u8>,
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// The first line without its end and the blanks before that, and what follows it.
fn line(text: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match text.iter().position(|b| *b == b'\n') {
        Some(at) => (text[..at].strip_suffix(b"\r").unwrap_or(&text[..at]), &text[at + 1..]),
        None => (text, &text[text.len()..]),
    };
    let end = line.iter().rposition(|b| !matches!(b, b' ' | b'\t')).map_or(0, |at| at + 1);
    (&line[..end], rest)
}

/// Where `mark` stands at the beginning of a line.
fn at_line_start(text: &[u8], mark: &[u8]) -> Option<usize> {
    if text.starts_with(mark) {
        return Some(0);
    }
    let starts = text.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1);
    starts.into_iter().find(|at| text[*at..].starts_with(mark))
}

/// The first whole block, and what follows it.
pub(crate) fn next(text: &[u8]) -> Option<(Block, &[u8])> {
    let mut rest = text;
    loop {
        rest = &rest[at_line_start(rest, BEGIN)? + BEGIN.len()..];
        let (label, after) = line(rest);
        rest = after;
        let Some(label) = label.strip_suffix(DASHES) else { continue };
        if let Some((block, after)) = block(label, rest) {
            return Some((block, after));
        }
    }
}

/// The block whose first line was read already.
fn block<'a>(label: &[u8], text: &'a [u8]) -> Option<(Block, &'a [u8])> {
    let mut rest = text;
    let mut headers = Vec::new();
    loop {
        let (header, after) = line(rest);
        let Some(colon) = header.iter().position(|b| *b == b':') else { break };
        let word = |raw: &[u8]| String::from_utf8_lossy(raw).trim().to_owned();
        headers.push((word(&header[..colon]), word(&header[colon + 1..])));
        rest = after;
    }
    let end = if rest.starts_with(END) {
        // Without headers the last line may come at once.
        headers.is_empty().then_some(0)?
    } else {
        at_line_start(rest, END)?
    };
    let trailer = &rest[end + END.len()..];
    let after = trailer.strip_prefix(label)?.strip_prefix(DASHES)?;
    let (behind, after) = line(after);
    if !behind.is_empty() {
        return None;
    }
    let body: Vec<u8> =
        rest[..end].iter().copied().filter(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n')).collect();
    let content = lenient().decode(&body).ok()?;
    Some((Block { label: String::from_utf8_lossy(label).into_owned(), headers, content }, after))
}

/// Base64 whose last unused bits may be anything.
fn lenient() -> Encoding {
    let mut specification = BASE64.specification();
    specification.check_trailing_bits = false;
    specification.encoding().unwrap_or(BASE64)
}

/// A block with lines of 64 characters; headers are sorted, and `Proc-Type` comes first.
pub(crate) fn encode(label: &str, headers: &[(String, String)], content: &[u8]) -> String {
    let mut out = format!("-----BEGIN {label}-----\n");
    if !headers.is_empty() {
        let mut headers: Vec<_> = headers.iter().collect();
        headers.sort_by(|a, b| (a.0 != "Proc-Type", &a.0).cmp(&(b.0 != "Proc-Type", &b.0)));
        for (key, value) in headers {
            out.extend([key, ": ", value, "\n"]);
        }
        out.push('\n');
    }
    for line in BASE64.encode(content).as_bytes().chunks(64) {
        out.extend(line.iter().map(|b| char::from(*b)));
        out.push('\n');
    }
    out.extend(["-----END ", label, "-----\n"]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &str) -> Vec<(String, Vec<u8>)> {
        let (mut rest, mut out) = (text.as_bytes(), Vec::new());
        while let Some((block, after)) = next(rest) {
            out.push((block.label, block.content));
            rest = after;
        }
        out
    }

    #[test]
    fn text_around_blocks_and_damaged_blocks_are_passed_over() {
        let text = "words -----BEGIN X-----\nAAAA\n-----END X-----\n\
                    -----BEGIN A-----\nAQ==\n-----END A-----\n\
                    -----BEGIN DAMAGED-----\nA!==\n-----END DAMAGED-----\n\
                    -----BEGIN OTHER END-----\nAQ==\n-----END OTHER-----\n\
                    -----BEGIN B-----  \r\n A\tg =\r\n=\r\n-----END B-----\t\r\nrest";
        assert_eq!(all(text), [("A".to_owned(), vec![1]), ("B".to_owned(), vec![2])]);
        assert_eq!(all("-----BEGIN A-----\nAQ==\n-----END A----- x\n"), []);
        assert_eq!(all("-----BEGIN A-----\n-----END A-----"), [("A".to_owned(), vec![])]);
        assert_eq!(all("-----BEGIN A-----\nAQ==\n"), []);
    }

    #[test]
    fn headers_are_kept_in_go_s_order() {
        let text = "-----BEGIN A-----\nb: 2\nProc-Type: 4\na:1\n\nAQ==\n-----END A-----\n";
        let (block, _) = next(text.as_bytes()).unwrap();
        assert_eq!(block.content, [1]);
        assert_eq!(
            encode(&block.label, &block.headers, &block.content),
            "-----BEGIN A-----\nProc-Type: 4\na: 1\nb: 2\n\nAQ==\n-----END A-----\n"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = encode("CERTIFICATE", &[], &content);
            prop_assert!(text.lines().all(|line| line.len() <= 64));
            prop_assert_eq!(all(&text), [("CERTIFICATE".to_owned(), content)]);
        }

        #[test]
        fn no_text_breaks_it(text in "(-----(BEGIN|END) [AB]-----|[A-Za-z: =\r\n\t-]){0,40}") {
            all(&text);
        }
    }
}
