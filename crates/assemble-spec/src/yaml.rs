//! Writing single YAML values, for the specs that help texts show and `init` writes.

use std::fmt::Write as _;

/// A text as a plain scalar where every YAML reader takes it as that text, else in double quotes.
pub(crate) fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

fn is_plain(text: &str) -> bool {
    let body = |c: char| c.is_ascii_alphanumeric() || "_-./:@+=~,$%<>!*".contains(c);
    let first = |c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '.' | '_' | '$');
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null" | ".nan" | ".inf"
    );
    text.starts_with(first)
        && text.chars().all(body)
        && !text.contains(',')
        && !text.ends_with(':')
        && !word
        && !text.starts_with(|c: char| c == '.' && text[1..].starts_with(|d: char| d.is_ascii_digit()))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out + "\""
}

/// A flow list.
pub(crate) fn list<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<String> = items.iter().map(|item| scalar(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// A number may stand without quotes, for texts are taken as they are spelt.
pub(crate) fn number_or_text(text: &str) -> String {
    if !text.is_empty() && text.len() < 12 && text.bytes().all(|b| b.is_ascii_digit()) {
        text.to_owned()
    } else {
        scalar(text)
    }
}
