//! Small rules about text that several steps share.

/// The longest line that apko's readers take, in bytes.
pub(super) const MAX_LINE: usize = 65_535;

/// Splits as Go's line scanner does: `\n` or `\r\n` ends a line, and nothing follows a final line end.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let empty = text.is_empty();
    body.split(|b| *b == b'\n').filter(move |_| !empty).map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Without white space at both ends, Unicode's where the bytes are UTF-8.
pub(super) fn trim(line: &[u8]) -> &[u8] {
    match std::str::from_utf8(line) {
        Ok(text) => text.trim().as_bytes(),
        Err(_) => line.trim_ascii(),
    }
}

/// `base` and `tail` joined, with `.`, `..` and doubled slashes taken out of the text. A `..` that leads above the
/// start stays, unless the path is absolute.
pub(super) fn join_clean(base: &[u8], tail: &[u8]) -> Vec<u8> {
    let absolute = if base.is_empty() { tail.starts_with(b"/") } else { base.starts_with(b"/") };
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in base.split(|b| *b == b'/').chain(tail.split(|b| *b == b'/')) {
        match part {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|last| *last != b"..") => {
                kept.pop();
            }
            b".." if absolute => {}
            _ => kept.push(part),
        }
    }
    let mut out = if absolute { vec![b'/'] } else { Vec::new() };
    out.extend(kept.join(&b'/'));
    out
}

/// What `dirname` says of a path, cleaned: `.` for a single name, all but the last slash for one that ends with it.
pub(super) fn dir_name(path: &[u8]) -> Vec<u8> {
    let end = path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    let folder = join_clean(&path[..end], b"");
    if folder.is_empty() { b".".to_vec() } else { folder }
}

/// What `basename` says of a path: slashes at the end do not count; `/` of slashes only, `.` of nothing.
pub(super) fn base_name(path: &[u8]) -> Vec<u8> {
    let Some(end) = path.iter().rposition(|b| *b != b'/') else {
        return if path.is_empty() { b".".to_vec() } else { b"/".to_vec() };
    };
    let start = path[..=end].iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    path[start..=end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_the_scanner_ends_them() {
        let all = |text: &str| lines(text.as_bytes()).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(all(""), Vec::<Vec<u8>>::new());
        assert_eq!(all("\n"), [b"".to_vec()]);
        assert_eq!(all("a\r\nb"), [b"a".to_vec(), b"b".to_vec()]);
        assert_eq!(all("a\n\n"), [b"a".to_vec(), b"".to_vec()]);
    }

    #[test]
    fn joining_is_lexical() {
        let join = |a: &str, b: &str| String::from_utf8(join_clean(a.as_bytes(), b.as_bytes())).unwrap();
        assert_eq!(join("usr/lib", "../bin/./x"), "usr/bin/x");
        assert_eq!(join("usr", "../../x"), "../x");
        assert_eq!(join("", "a//b/"), "a/b");
        assert_eq!(join("/", "../x"), "/x");
        assert_eq!(join("a", ".."), "");
        assert_eq!(join("", "../../x"), "../../x");
    }

    #[test]
    fn folders_and_names() {
        for (path, folder, name) in [
            ("/a/b", "/a", "b"),
            ("/a/b/", "/a/b", "b"),
            ("a", ".", "a"),
            ("a/", "a", "a"),
            ("./a", ".", "a"),
            ("/a", "/", "a"),
            ("//a//b", "/a", "b"),
            ("/x/../b", "/", "b"),
            ("../b", "..", "b"),
            ("/", "/", "/"),
            ("", ".", "."),
        ] {
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            let found = (text(dir_name(path.as_bytes())), text(base_name(path.as_bytes())));
            assert_eq!(found, (folder.to_owned(), name.to_owned()), "{path:?}");
        }
    }
}
