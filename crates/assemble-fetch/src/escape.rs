//! Text from outside, made fit for messages.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The text with control characters and bytes that are no UTF-8 escaped.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            // Direction marks could make a message read as something else.
            if c.is_control()
                || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// The same for a path.
pub(crate) fn shown_path(path: &Path) -> String {
    shown(path.as_os_str().as_bytes())
}

/// A path as one word of a command that can be copied into a shell.
pub(crate) fn for_shell(path: &Path) -> String {
    let text = shown_path(path);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+,:@%=".contains(&b);
    if !text.is_empty() && !text.starts_with('-') && text.bytes().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_reaches_the_terminal_raw() {
        assert_eq!(super::shown("a\u{1b}[2Jb\n\u{202e}é".as_bytes()), "a\\u{1b}[2Jb\\n\\u{202e}é");
        assert_eq!(super::shown(b"a\xffb"), "a\\xffb");
    }
}
