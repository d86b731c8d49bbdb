//! Text from outside, made fit for a message.

/// How many characters of a foreign text a message shows.
const LONGEST: usize = 200;

/// The text with control characters escaped, bytes that are no UTF-8 replaced, and cut where it is absurdly long.
pub(crate) fn shown(raw: impl AsRef<[u8]>) -> String {
    let raw = raw.as_ref();
    let text = String::from_utf8_lossy(&raw[..raw.len().min(LONGEST * 4)]);
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST {
            out.push('…');
            break;
        }
        if c.is_control() { out.extend(c.escape_debug()) } else { out.push(c) }
    }
    out
}

/// The text as one word of a shell command.
pub(crate) fn in_shell(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "._-+/:@%=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{in_shell, shown};

    #[test]
    fn a_name_is_one_word() {
        for (name, want) in [
            ("certs/ca.pem", "certs/ca.pem"),
            ("x (t.yaml)", "'x (t.yaml)'"),
            ("it's; $x", r"'it'\''s; $x'"),
            ("", "''"),
        ] {
            assert_eq!(in_shell(name), want);
        }
    }

    #[test]
    fn nothing_raw_gets_through() {
        assert_eq!(shown("a\x1b[31m\r\nb"), "a\\u{1b}[31m\\r\\nb");
        assert_eq!(shown(b"\xffx"), "\u{fffd}x");
        assert_eq!(shown("é".repeat(1000)).chars().count(), 201);
    }
}
