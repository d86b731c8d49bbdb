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

/// The same for a path. What may be a password in it is hidden: a URL with one slash, or with a slip in its scheme, is
/// taken for a path.
pub(crate) fn shown_path(path: &Path) -> String {
    hide_user(&shown(path.as_os_str().as_bytes()))
}

/// The text with `xxxxx` in place of what stands before the last `@`: all that follows `scheme:/`, or else, where a
/// component has `:` before its last `@`, the component's part up to there. Names such as `@scope/x@1` stay.
pub(crate) fn hide_user(text: &str) -> String {
    if let Some(at) = text.find(":/")
        && let after = at + 1 + text[at + 1..].bytes().take_while(|b| *b == b'/').count()
        && let Some(end) = text[after..].rfind('@')
    {
        return format!("{}xxxxx{}", &text[..after], &text[after + end..]);
    }
    let hide = |part: &str| match part.rfind('@') {
        Some(end) if part[..end].contains(':') => format!("xxxxx{}", &part[end..]),
        _ => part.to_owned(),
    };
    text.split('/').map(hide).collect::<Vec<_>>().join("/")
}

/// A path as one word of a command that can be copied into a shell.
pub(crate) fn for_shell(path: &Path) -> String {
    in_shell(&shown_path(path))
}

/// A text that is fit for messages as one word of a command that can be copied into a shell.
pub(crate) fn in_shell(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+,:@%=".contains(&b);
    if !text.is_empty() && !text.starts_with('-') && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_may_be_a_password_is_hidden() {
        for (text, want) in [
            ("/base/htp:/u:hunter2@h/x", "/base/htp:/xxxxx@h/x"),
            ("htp:///u:hun/ter@2@h/x", "htp:///xxxxx@h/x"),
            ("/base/me:hunter2@h/x", "/base/xxxxx@h/x"),
            ("file:me:hunter2@h/x", "xxxxx@h/x"),
            ("/a/node_modules/@scope/x@1/y", "/a/node_modules/@scope/x@1/y"),
            ("/a:b/c@d", "/a:b/c@d"),
            ("@", "@"),
            (":/", ":/"),
        ] {
            assert_eq!(super::hide_user(text), want);
        }
    }

    #[test]
    fn nothing_reaches_the_terminal_raw() {
        assert_eq!(super::shown("a\u{1b}[2Jb\n\u{202e}é".as_bytes()), "a\\u{1b}[2Jb\\n\\u{202e}é");
        assert_eq!(super::shown(b"a\xffb"), "a\\xffb");
    }
}
