//! Text from outside, made fit for a message.

use std::fmt::Write as _;

/// At most `limit` characters on one line: white space is folded, control and direction characters are escaped.
pub(crate) fn clean(text: &str, limit: usize) -> String {
    let mut out = String::new();
    let mut shown = 0;
    let mut gap = false;
    for c in text.trim().chars() {
        if c.is_whitespace() {
            gap = true;
            continue;
        }
        if shown >= limit {
            out.push('…');
            return out;
        }
        if gap {
            out.push(' ');
            gap = false;
            shown += 1;
        }
        shown += 1;
        if c.is_control() || is_format(c) {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters that are not seen but change how their neighbours look.
fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_raw_comes_through() {
        for (text, want) in [
            (" a \n\t b ", "a b"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("", ""),
            ("abcdefghijk", "abcdefghij…"),
            ("abcdefghij", "abcdefghij"),
        ] {
            assert_eq!(clean(text, 10), want, "{text:?}");
        }
    }
}
