//! Splitting a command line into words the way apko does, and the way back.

/// Why a command line cannot be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SplitError {
    /// `'` or `"` without its partner.
    OpenQuote(char),
    /// A backslash at the very end.
    OpenEscape,
}

/// Splits at blanks (space, tab, CR, LF). `'…'` is literal; in `"…"` and outside, `\x` is `x`; a word that starts with
/// `#` begins a comment up to the end of the line; `""` is an empty word. Nothing is expanded: no shell is involved.
pub(crate) fn split(text: &str) -> Result<Vec<String>, SplitError> {
    Ok(marked(text)?.into_iter().map(|(word, _)| word).collect())
}

/// The first word that only a shell would understand: `&&`, `||`, `|`, `;`, `<` or `>`, not quoted. Nothing as well if
/// the text cannot be split.
pub(crate) fn shell_operator(text: &str) -> Option<&'static str> {
    let words = marked(text).ok()?;
    let operator = |word: &str| ["&&", "||", "|", ";", "<", ">"].into_iter().find(|known| *known == word);
    words.iter().filter(|(_, bare)| *bare).find_map(|(word, _)| operator(word))
}

/// The words, and whether each was written without quotes and backslashes.
fn marked(text: &str) -> Result<Vec<(String, bool)>, SplitError> {
    let mut words = Vec::new();
    let mut word: Option<(String, bool)> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if matches!(c, ' ' | '\t' | '\r' | '\n') {
            words.extend(word.take());
            continue;
        }
        if c == '#' && word.is_none() {
            let _ = chars.by_ref().find(|c| *c == '\n');
            continue;
        }
        let (word, bare) = word.get_or_insert_with(|| (String::new(), true));
        *bare &= !matches!(c, '\\' | '\'' | '"');
        match c {
            '\\' => word.push(chars.next().ok_or(SplitError::OpenEscape)?),
            '\'' | '"' => quoted(c, &mut chars, word)?,
            c => word.push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(quote: char, chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), SplitError> {
    loop {
        match chars.next().ok_or(SplitError::OpenQuote(quote))? {
            c if c == quote => return Ok(()),
            '\\' if quote == '"' => word.push(chars.next().ok_or(SplitError::OpenQuote(quote))?),
            c => word.push(c),
        }
    }
}

/// One text that [`split`] takes apart into these words again.
pub(crate) fn join<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_apko_does() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            (" \t\n", &[]),
            ("/bin/sh -l", &["/bin/sh", "-l"]),
            ("a 'b c' \"d e\"", &["a", "b c", "d e"]),
            ("a\"b\"'c'd", &["abcd"]),
            ("\"\" ''", &["", ""]),
            (r#"'a\b' "a\"b\\" a\ b"#, &[r"a\b", r#"a"b\"#, "a b"]),
            ("a # no\nb c#d", &["a", "b", "c#d"]),
            ("# all", &[]),
            ("$HOME | x", &["$HOME", "|", "x"]),
        ];
        for (text, words) in table {
            assert_eq!(split(text).unwrap(), *words, "{text}");
        }
        assert_eq!(split("a 'b"), Err(SplitError::OpenQuote('\'')));
        assert_eq!(split("a \"b\\"), Err(SplitError::OpenQuote('"')));
        assert_eq!(split("a\\"), Err(SplitError::OpenEscape));
    }

    #[test]
    fn operators_are_words_without_quotes() {
        for (text, operator) in [
            ("a && b", Some("&&")),
            ("a || b | c", Some("||")),
            ("find / -exec x ;", Some(";")),
            ("a < b", Some("<")),
            ("sh -c 'a && b'", None),
            ("a '|' \\; \">\" c", None),
            ("a&&b 2>&1 -> x;", None),
            ("a # && b", None),
            ("a && 'b", None),
        ] {
            assert_eq!(shell_operator(text), operator, "{text}");
        }
    }

    #[test]
    fn joined_words_split_again() {
        for words in [vec!["a", "b c", "", "it's", "\\", "#x", "\n"], vec![], vec!["$x"]] {
            assert_eq!(split(&join(&words)).unwrap(), words);
        }
    }
}
