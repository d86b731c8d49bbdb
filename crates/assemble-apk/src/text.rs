//! Text from outside, made fit for a message.

/// How many characters of a foreign text a message shows.
const SHOWN: usize = 160;

/// Escapes what a terminal would act on, and cuts what is too long to read.
pub(crate) fn shown(raw: impl AsRef<[u8]>) -> String {
    let raw = raw.as_ref();
    // Enough bytes for `SHOWN` characters; the rest need not be decoded.
    let head = &raw[..raw.len().min(SHOWN * 4)];
    let text = String::from_utf8_lossy(head);
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == SHOWN {
            out.push('…');
            return out;
        }
        if c.is_control() { out.extend(c.escape_debug()) } else { out.push(c) }
    }
    if head.len() < raw.len() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_raw_and_nothing_endless() {
        assert_eq!(shown("a\x1b[31m\n\u{85}"), "a\\u{1b}[31m\\n\\u{85}");
        assert_eq!(shown(vec![b'x'; 10_000]).chars().count(), SHOWN + 1);
        assert_eq!(shown([0xff, b'a']), "\u{fffd}a");
    }
}
