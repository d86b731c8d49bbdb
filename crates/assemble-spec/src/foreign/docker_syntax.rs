//! Reading Dockerfiles: lines, continuations, here-documents, words and variables.

use std::collections::BTreeMap;
use std::ops::Range;

/// More than this is not looked at; what is shown would not fit a screen anyway.
const MOST_INSTRUCTIONS: usize = 500;

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instruction {
    /// Upper case.
    pub(super) name: String,
    /// `--name=value` in front of the arguments.
    pub(super) flags: BTreeMap<String, String>,
    /// Everything behind, continuation lines joined with spaces.
    pub(super) rest: String,
}

/// Whether this is a Dockerfile: its first instruction is `FROM`, or `ARG`s and then `FROM`. Gives that line's place.
pub(super) fn recognise(text: &str) -> Option<Range<usize>> {
    let mut offset = 0;
    for line in text.split_inclusive('\n').take(200) {
        let start = offset + line.len() - line.trim_start().len();
        offset += line.len();
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let (word, rest) = trimmed.split_once(char::is_whitespace)?;
        match word.to_ascii_uppercase().as_str() {
            "FROM" if !rest.trim_start().starts_with(':') => return Some(start..start + trimmed.len()),
            "ARG" => {}
            _ => return None,
        }
    }
    None
}

/// The instructions. What cannot be read is left out.
pub(super) fn instructions(text: &str) -> Vec<Instruction> {
    let escape = escape_character(text);
    let mut out = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let mut whole = line.trim().to_owned();
        while let Some(head) = whole.strip_suffix(escape) {
            let mut head = head.trim_end().to_owned();
            let next =
                lines.by_ref().find(|next| !next.trim_start().starts_with('#') && !next.trim().is_empty());
            let Some(next) = next else {
                whole = head;
                break;
            };
            head.push(' ');
            head.push_str(next.trim());
            whole = head;
        }
        let instruction = parse(&whole);
        for end in here_documents(&instruction) {
            let _ = lines.by_ref().find(|line| line.trim() == end);
        }
        out.push(instruction);
        if out.len() == MOST_INSTRUCTIONS {
            break;
        }
    }
    out
}

/// The parser directive `# escape=`.
fn escape_character(text: &str) -> char {
    text.lines()
        .take_while(|line| line.trim_start().starts_with('#'))
        .filter_map(|line| line.trim_start().trim_start_matches('#').trim().split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("escape"))
        .and_then(|(_, value)| value.trim().chars().next())
        .filter(|c| *c == '`')
        .unwrap_or('\\')
}

fn parse(line: &str) -> Instruction {
    let (name, mut rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let mut flags = BTreeMap::new();
    rest = rest.trim();
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, tail) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        let (key, value) = flag.split_once('=').unwrap_or((flag, ""));
        flags.insert(key.to_owned(), value.to_owned());
        rest = tail.trim_start();
    }
    Instruction { name: name.to_ascii_uppercase(), flags, rest: rest.to_owned() }
}

/// The words that end the here-documents of `RUN <<EOF` and `COPY <<EOF /x`.
fn here_documents(instruction: &Instruction) -> Vec<String> {
    if !matches!(instruction.name.as_str(), "RUN" | "COPY" | "ADD") {
        return Vec::new();
    }
    instruction
        .rest
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("<<"))
        .map(|word| word.trim_start_matches('-').trim_matches(['"', '\'']).to_owned())
        .filter(|word| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_'))
        .take(8)
        .collect()
}

/// The words of `["a", "b"]`, or nothing if this is not that form.
pub(super) fn json_words(text: &str) -> Option<Vec<String>> {
    let mut chars = text.trim().strip_prefix('[')?.strip_suffix(']')?.trim().chars().peekable();
    let mut out = Vec::new();
    while chars.peek().is_some() {
        if chars.next()? != '"' {
            return None;
        }
        let mut word = String::new();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => match chars.next()? {
                    'n' => word.push('\n'),
                    't' => word.push('\t'),
                    c => word.push(c),
                },
                c => word.push(c),
            }
        }
        out.push(word);
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        match chars.next() {
            None => break,
            Some(',') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
            Some(_) => return None,
        }
    }
    Some(out)
}

/// `K=V K="V V"`, or the old `K V`.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let words = crate::words::split(text).unwrap_or_default();
    match words.first() {
        Some(first) if !first.contains('=') => {
            let (name, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
            vec![(name.to_owned(), value.trim().to_owned())]
        }
        _ => words
            .iter()
            .filter_map(|word| word.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    }
}

/// Replaces `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+other}`. Unknown names stay as they are written.
pub(super) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    expand_marked(text, variables, "")
}

/// Stands in front of what [`expand_marked`] could not replace; no character of any text.
pub(super) const UNKNOWN: &str = "\u{fffe}";

/// The same, with a mark in front of each unknown name.
pub(super) fn expand_marked(text: &str, variables: &BTreeMap<String, String>, mark: &str) -> String {
    const LONGEST: usize = 64 << 10;
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '\\']) {
        out.push_str(&rest[..at]);
        let escaped = rest[at..].starts_with("\\$");
        let token = if escaped { 2 } else { variable_len(&rest[at..]) };
        let written = &rest[at..at + token];
        match (escaped, lookup(written, variables)) {
            (true, _) => out.push('$'),
            (false, Some(value)) => out.push_str(&value),
            (false, None) => {
                if token > 1 {
                    out.push_str(mark);
                }
                out.push_str(written);
            }
        }
        rest = &rest[at + token..];
        if out.len() > LONGEST {
            break;
        }
    }
    out.push_str(rest);
    out
}

/// Bytes of the variable at the start, or of the one character that is none.
fn variable_len(text: &str) -> usize {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if let Some(inner) = text.strip_prefix("${") {
        return inner.find('}').map_or(1, |end| end + 3);
    }
    match text.strip_prefix('$') {
        Some(name) => 1 + name.find(|c| !word(c)).unwrap_or(name.len()),
        None => 1,
    }
}

fn lookup(written: &str, variables: &BTreeMap<String, String>) -> Option<String> {
    let name = written.strip_prefix('$')?;
    let inner = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    if let Some((name, default)) = inner.split_once(":-").or_else(|| inner.split_once('-')) {
        let value = variables.get(name).filter(|value| !value.is_empty());
        return Some(value.cloned().unwrap_or_else(|| default.to_owned()));
    }
    if let Some((name, other)) = inner.split_once(":+") {
        return Some(if variables.contains_key(name) { other.to_owned() } else { String::new() });
    }
    variables.get(inner).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_dockerfiles_from_specs() {
        for yes in
            ["FROM scratch", "# c\n\nfrom x AS y\n", "ARG V=1\nARG W\nFROM a:$V", "FROM --platform=x y"]
        {
            assert!(recognise(yes).is_some(), "{yes}");
        }
        for no in
            ["from: x", "from : x", "contents:\n  binary: x", "ARG: x", "", "ARG x\n", "FROM", "arg x\nb: c"]
        {
            assert!(recognise(no).is_none(), "{no}");
        }
    }

    #[test]
    fn joins_lines_and_skips_here_documents() {
        let text =
            "# escape=`\nFROM a\nRUN x `\n # c\n\n  y\nCOPY <<EOF /z\nFROM no\nEOF\nCMD [\"a\"]\nRUN a `";
        let shown: Vec<String> =
            instructions(text).iter().map(|i| format!("{} {}", i.name, i.rest)).collect();
        assert_eq!(shown, ["FROM a", "RUN x y", "COPY <<EOF /z", "CMD [\"a\"]", "RUN a"]);
        let one = &instructions("COPY --from=b --chmod=755 x y")[0];
        assert_eq!(
            (one.flags["from"].as_str(), one.flags["chmod"].as_str(), one.rest.as_str()),
            ("b", "755", "x y")
        );
    }

    #[test]
    fn words_and_variables() {
        assert_eq!(json_words(r#"[ "a b", "c\"d" ,"e"]"#).unwrap(), ["a b", "c\"d", "e"]);
        assert_eq!(json_words("[]").unwrap(), [""; 0]);
        for bad in ["a", "[a]", "[\"a\" b]", "[\"a]", "['a']"] {
            assert_eq!(json_words(bad), None, "{bad}");
        }
        assert_eq!(pairs("A=1 B=\"x y\""), [("A".into(), "1".into()), ("B".into(), "x y".into())]);
        assert_eq!(pairs("A some text"), [("A".into(), "some text".into())]);
        let vars = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("E".to_owned(), String::new())]);
        for (text, expanded) in [
            ("$A/${A}x", "1/1x"),
            ("${B:-d} ${E:-e} ${A:+y}", "d e y"),
            ("$B ${B} \\$A $", "$B ${B} $A $"),
            ("${A", "${A"),
            ("é$Aé", "é1é"),
        ] {
            assert_eq!(expand(text, &vars), expanded);
        }
    }
}
