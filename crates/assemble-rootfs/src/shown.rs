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

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn nothing_raw_gets_through() {
        assert_eq!(shown("a\x1b[31m\r\nb"), "a\\u{1b}[31m\\r\\nb");
        assert_eq!(shown(b"\xffx"), "\u{fffd}x");
        assert_eq!(shown("é".repeat(1000)).chars().count(), 201);
    }
}
