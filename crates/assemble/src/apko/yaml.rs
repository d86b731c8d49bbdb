//! The effective configuration as YAML, as apko prints it.
//!
//! # Why it is the way it is
//! People compare and process this text, so it is apko's to the byte: the order of keys, what is left out, and the style
//! that Go's most used YAML encoder gives a text. Members that apko does not mark as optional are there even if empty,
//! but not if the whole they belong to is empty.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use assemble_rootfs::{ApkoConfig, ApkoNamed, ApkoPath, ApkoUser};

/// Columns that a level is indented by.
const INDENT: usize = 4;

enum Node {
    Text(String),
    /// A number or truth value, written as it is.
    Plain(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// The document.
pub(super) fn document(config: &ApkoConfig) -> String {
    let contents = &config.contents;
    let mut root = Members::default();
    let mut inner = Members::default();
    inner.texts("build_repositories", &contents.build_repositories);
    inner.texts("runtime_repositories", &contents.runtime_repositories);
    inner.texts("repositories", &contents.repositories);
    inner.texts("keyring", &contents.keyring);
    inner.list("runtime_keyring", &contents.runtime_keyring, named);
    inner.texts("packages", &contents.packages);
    if let Some(base) = &contents.baseimage {
        let mut image = Members::default();
        image.text("image", &base.image);
        image.text("apkindex", &base.apkindex);
        inner.0.push(("baseimage".to_owned(), image.map()));
    }
    root.unless_empty("contents", inner);
    root.0.extend(entrypoint(config));
    root.text("cmd", &config.cmd);
    root.text("stop-signal", &config.stop_signal);
    root.text("work-dir", &config.work_dir);
    root.0.extend(accounts(config));
    root.texts("archs", &config.archs);
    if !config.environment.is_empty() {
        root.0.push(("environment".to_owned(), map(&config.environment)));
    }
    root.list("paths", &config.paths, path);
    root.text("vcs-url", &config.vcs_url);
    if !config.annotations.is_empty() {
        root.0.push(("annotations".to_owned(), map(&config.annotations)));
    }
    root.text("include", &config.include);
    root.texts("volumes", &config.volumes);
    if let Some(layering) = &config.layering {
        let mut inner = Members::default();
        inner.text("strategy", &layering.strategy);
        if layering.budget != 0 {
            inner.0.push(("budget".to_owned(), Node::Plain(layering.budget.to_string())));
        }
        root.0.push(("layering".to_owned(), inner.map()));
    }
    root.text("format", &config.format);
    if let Some(certificates) = &config.certificates {
        let mut inner = Members::default();
        inner.list("additional", &certificates.additional, named);
        inner.texts("providers", &certificates.providers);
        root.0.push(("certificates".to_owned(), inner.map()));
    }
    let mut out = String::new();
    match root.map() {
        Node::Map(members) if members.is_empty() => out.push_str("{}\n"),
        root => emit(&root, 0, &mut out),
    }
    out
}

#[derive(Default)]
struct Members(Vec<(String, Node)>);

impl Members {
    fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.0.push((key.to_owned(), Node::Text(value.to_owned())));
        }
    }

    fn texts(&mut self, key: &str, values: &[String]) {
        self.list(key, values, |value| Node::Text(value.clone()));
    }

    fn list<T>(&mut self, key: &str, values: &[T], node: impl Fn(&T) -> Node) {
        if !values.is_empty() {
            self.0.push((key.to_owned(), Node::List(values.iter().map(node).collect())));
        }
    }

    /// Also if it is empty.
    fn always(&mut self, key: &str, node: Node) {
        self.0.push((key.to_owned(), node));
    }

    fn unless_empty(&mut self, key: &str, members: Self) {
        if !members.0.is_empty() {
            self.0.push((key.to_owned(), members.map()));
        }
    }

    fn map(self) -> Node {
        Node::Map(self.0)
    }
}

fn text(value: &str) -> Node {
    Node::Text(value.to_owned())
}

fn number(value: u32) -> Node {
    Node::Plain(value.to_string())
}

fn map(values: &BTreeMap<String, String>) -> Node {
    let mut members: Vec<_> = values.iter().map(|(key, value)| (key.clone(), text(value))).collect();
    members.sort_by(|(a, _), (b, _)| natural(a, b));
    Node::Map(members)
}

fn named(entry: &ApkoNamed) -> Node {
    let mut members = Members::default();
    members.text("name", &entry.name);
    members.text("content", &entry.content);
    members.map()
}

fn entrypoint(config: &ApkoConfig) -> Option<(String, Node)> {
    let entrypoint = &config.entrypoint;
    if *entrypoint == Default::default() {
        return None;
    }
    let mut members = Members::default();
    members.always("type", text(&entrypoint.kind));
    members.always("command", text(&entrypoint.command));
    members.always("shell-fragment", text(&entrypoint.shell_fragment));
    members.always("services", map(&entrypoint.services));
    Some(("entrypoint".to_owned(), members.map()))
}

fn accounts(config: &ApkoConfig) -> Option<(String, Node)> {
    let accounts = &config.accounts;
    if *accounts == Default::default() {
        return None;
    }
    let groups = accounts.groups.iter().map(|group| {
        let mut members = Members::default();
        members.always("groupname", text(&group.groupname));
        members.always("gid", number(group.gid));
        members.always("members", Node::List(group.members.iter().map(|name| text(name)).collect()));
        members.map()
    });
    let mut members = Members::default();
    members.always("run-as", text(&accounts.run_as));
    members.always("users", Node::List(accounts.users.iter().map(user).collect()));
    members.always("groups", Node::List(groups.collect()));
    Some(("accounts".to_owned(), members.map()))
}

fn user(user: &ApkoUser) -> Node {
    let mut members = Members::default();
    members.always("username", text(&user.username));
    members.always("uid", number(user.uid));
    if let Some(gid) = user.gid {
        members.always("gid", number(gid));
    }
    members.always("shell", text(&user.shell));
    members.always("homedir", text(&user.homedir));
    members.map()
}

fn path(path: &ApkoPath) -> Node {
    let mut members = Members::default();
    members.always("path", text(&path.path));
    members.always("type", text(&path.kind));
    if let Some(uid) = path.uid {
        members.always("uid", number(uid));
    }
    if let Some(gid) = path.gid {
        members.always("gid", number(gid));
    }
    members.always("permissions", number(path.permissions));
    members.always("source", text(&path.source));
    members.always("recursive", Node::Plain(path.recursive.to_string()));
    members.map()
}

/// Writes a map or list at this column; its first line is not indented.
fn emit(node: &Node, column: usize, out: &mut String) {
    match node {
        Node::Map(members) => {
            for (number, (key, value)) in members.iter().enumerate() {
                if number > 0 {
                    pad(column, out);
                }
                scalar(key, Place::Key, column, out);
                out.push(':');
                emit_value(value, column, out);
            }
        }
        Node::List(items) => {
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    pad(column, out);
                }
                out.push('-');
                match item {
                    Node::Map(members) if !members.is_empty() => {
                        out.push(' ');
                        emit(item, column + 2, out);
                    }
                    _ => emit_value(item, column, out),
                }
            }
        }
        Node::Text(_) | Node::Plain(_) => emit_value(node, column, out),
    }
}

/// Writes what stands behind a key or dash, and ends the line.
fn emit_value(value: &Node, column: usize, out: &mut String) {
    match value {
        Node::Text(text) => {
            out.push(' ');
            scalar(text, Place::Value, column, out);
            if !out.ends_with('\n') {
                out.push('\n');
            }
        }
        Node::Plain(text) => {
            let _ = writeln!(out, " {text}");
        }
        Node::List(items) if items.is_empty() => out.push_str(" []\n"),
        Node::Map(members) if members.is_empty() => out.push_str(" {}\n"),
        _ => {
            out.push('\n');
            pad(deeper(column), out);
            emit(value, deeper(column), out);
        }
    }
}

fn deeper(column: usize) -> usize {
    INDENT * ((column + INDENT) / INDENT)
}

fn pad(column: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', column));
}

#[derive(PartialEq, Clone, Copy)]
enum Place {
    Key,
    Value,
}

/// Writes a text in the style that keeps it a text.
fn scalar(text: &str, place: Place, column: usize, out: &mut String) {
    let looks = Looks::of(text);
    if text.contains('\n') && place == Place::Value && looks.as_block {
        literal(text, deeper(column), out);
    } else if text.contains('\n') || !is_text(text) {
        double_quoted(text, out);
    } else if looks.plain {
        out.push_str(text);
    } else if looks.single_quoted {
        let _ = write!(out, "'{}'", text.replace('\'', "''"));
    } else {
        double_quoted(text, out);
    }
}

fn literal(text: &str, column: usize, out: &mut String) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push_str(&INDENT.to_string());
    }
    let body = text.strip_suffix('\n');
    match body {
        None => out.push('-'),
        Some(body) if body.is_empty() || body.ends_with('\n') => out.push('+'),
        Some(_) => {}
    }
    for (number, line) in body.unwrap_or(text).split('\n').enumerate() {
        // The line end of an empty first line is the one behind the indicator.
        if number > 0 || !line.is_empty() {
            out.push('\n');
        }
        if !line.is_empty() {
            pad(column, out);
            out.push_str(line);
        }
    }
    out.push('\n');
}

fn double_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        let escape = match c {
            '\0' => "\\0",
            '\x07' => "\\a",
            '\x08' => "\\b",
            '\t' => "\\t",
            '\n' => "\\n",
            '\x0b' => "\\v",
            '\x0c' => "\\f",
            '\r' => "\\r",
            '\x1b' => "\\e",
            '"' => "\\\"",
            '\\' => "\\\\",
            '\u{85}' => "\\N",
            '\u{2028}' => "\\L",
            '\u{2029}' => "\\P",
            c if printable(c) => {
                out.push(c);
                continue;
            }
            c => {
                let _ = match u32::from(c) {
                    code @ 0..=0xff => write!(out, "\\x{code:02X}"),
                    code @ 0x100..=0xffff => write!(out, "\\u{code:04X}"),
                    code => write!(out, "\\U{code:08X}"),
                };
                continue;
            }
        };
        out.push_str(escape);
    }
    out.push('"');
}

fn printable(c: char) -> bool {
    matches!(c, '\n' | '\x20'..='\x7e' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && c != '\u{feff}'
}

/// Which styles a text can be written in.
struct Looks {
    plain: bool,
    single_quoted: bool,
    as_block: bool,
}

impl Looks {
    fn of(text: &str) -> Self {
        let is_break = |c: char| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut tab, mut breaks, mut space_break, mut break_space) =
            (false, false, false, false, false);
        let mut before: Option<char> = None;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let blank_follows = chars.peek().is_none_or(|next| matches!(next, ' ' | '\t'));
            let blank_before = before.is_none_or(|c| matches!(c, ' ' | '\t') || is_break(c));
            indicators |= match (c, before) {
                (
                    '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
                    | '`',
                    None,
                ) => true,
                ('?' | ':' | '-', None) | (':', Some(_)) => blank_follows,
                ('#', Some(_)) => blank_before,
                _ => false,
            };
            tab |= c == '\t';
            special |= c != '\t' && !printable(c);
            breaks |= is_break(c);
            break_space |= c == ' ' && before.is_some_and(is_break);
            space_break |= is_break(c) && before == Some(' ');
            before = Some(c);
        }
        let blank_edge = |c: Option<char>| c.is_some_and(|c| c == ' ' || is_break(c));
        let edges = blank_edge(text.chars().next()) || blank_edge(before);
        let odd = space_break || tab || special;
        Self {
            plain: !(edges || break_space || odd || breaks || indicators),
            single_quoted: !(break_space || odd),
            as_block: !(text.ends_with(' ') || space_break || special || text.is_empty()),
        }
    }
}

/// Whether a plain text is read back as a text by readers of YAML 1.1 and 1.2 alike.
fn is_text(text: &str) -> bool {
    let words: &[&str] = &[
        "", "~", "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE", ".nan", ".NaN",
        ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", "y", "Y",
        "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF",
    ];
    !(words.contains(&text) || is_number(text) || is_base_60(text) || is_time(text))
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_number(text: &str) -> bool {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return false;
    }
    let plain = text.replace('_', "");
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let based = [("0x", 16), ("0X", 16), ("0b", 2), ("0B", 2), ("0o", 8), ("0O", 8)];
    if based.iter().any(|(prefix, base)| {
        unsigned.strip_prefix(prefix).is_some_and(|rest| {
            !rest.is_empty()
                && rest.chars().all(|c| c.is_digit(*base))
                && u64::from_str_radix(rest, *base).is_ok()
        })
    }) {
        return true;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", after)) => digits(after),
        Some((before, after)) => digits(before) && (after.is_empty() || digits(after)),
        None => digits(mantissa),
    };
    // What is too large for a number is a text.
    mantissa_fits && exponent.is_none_or(digits) && unsigned.parse::<f64>().is_ok_and(f64::is_finite)
}

/// `1:30:00`, which YAML 1.1 takes for a number.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let word = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    first.starts_with(|c: char| c.is_ascii_digit())
        && word(first)
        && !rest.is_empty()
        && rest
            .iter()
            .all(|part| digits(part) && (part.len() == 1 || (part.len() == 2 && part.as_bytes()[0] <= b'5')))
        && word(fraction)
}

/// `2006-1-2`, and the same with a time behind it.
fn is_time(text: &str) -> bool {
    let Some((date, time)) = split_date(text) else { return false };
    let Some(time) = time else { return date };
    let zone = time.rfind(['Z', '+', '-']);
    let (clock, zoned) = match zone {
        Some(at) => (&time[..at], Some(&time[at..])),
        None => (time, None),
    };
    let mut parts = clock.split(':');
    let seconds = |part: &str| {
        let (whole, fraction) = part.split_once('.').unwrap_or((part, "0"));
        digits(whole) && whole.len() <= 2 && digits(fraction)
    };
    let fits = matches!(
        (parts.next(), parts.next(), parts.next(), parts.next()),
        (Some(h), Some(m), Some(s), None)
            if digits(h) && h.len() <= 2 && digits(m) && m.len() <= 2 && seconds(s)
    );
    let separator = text.as_bytes().iter().find(|b| matches!(b, b'T' | b't' | b' '));
    date && fits
        && match (separator, zoned) {
            (Some(b' '), None) => true,
            (Some(b'T' | b't'), Some("Z")) => true,
            (Some(b'T' | b't'), Some(zone)) => zone.len() == 6 && zone.as_bytes()[3] == b':',
            _ => false,
        }
}

/// Whether it begins with a date, and what follows that.
fn split_date(text: &str) -> Option<(bool, Option<&str>)> {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let small = |text: &str, most: u32| {
        digits(text) && text.len() <= 2 && (1..=most).contains(&text.parse().unwrap_or(0))
    };
    let fits =
        year.len() == 4 && digits(year) && small(month, 12) && small(day, 31) && parts.next().is_none();
    Some((fits, time))
}

/// The order of the encoder's map keys: numbers within them count as numbers, and a letter comes after whatever else
/// stands in its place, but before it where a number has just begun.
fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(a, b)| a != b) else { return a.len().cmp(&b.len()) };
    let after_digit = at > 0 && a[at - 1].is_ascii_digit();
    let first = if after_digit { Ordering::Less } else { Ordering::Greater };
    match (a[at].is_alphabetic(), b[at].is_alphabetic()) {
        (true, true) => a[at].cmp(&b[at]),
        (true, false) => first,
        (false, true) => first.reverse(),
        (false, false) => {
            let begun = a[..at].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
            let lead = u128::from(begun && (a[at] == '0' || b[at] == '0'));
            let run = |text: &[char]| {
                let digits = text.iter().map_while(|c| c.to_digit(10));
                let add = |(n, len): (u128, usize), digit| {
                    (n.saturating_mul(10).saturating_add(u128::from(digit)), len + 1)
                };
                digits.fold((lead, 0), add)
            };
            run(&a[at..]).cmp(&run(&b[at..])).then(a[at].cmp(&b[at]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &str) -> String {
        let mut config = ApkoConfig::default();
        config.environment.insert("K".into(), value.into());
        document(&config).strip_prefix("environment:\n    K:").unwrap().to_owned()
    }

    #[test]
    fn a_text_is_quoted_where_it_would_be_read_as_something_else() {
        for plain in [
            "<<", "1e400", "a", "-a", "a b", "a#b", "/x:y", "1.2.3", "0x", "1e", "x=y", "2006-1", "a'b",
            "a\"b", "é", "=", "0b2", "a\u{a0}b",
        ] {
            assert_eq!(written(plain), format!(" {plain}\n"));
        }
        for quoted in [
            "",
            "yes",
            "1",
            "1_000",
            "1.5",
            ".5",
            "+1",
            "0x1f",
            "0755",
            "null",
            "~",
            "1:30",
            "2024-01-31",
            "2024-01-31T10:00:00Z",
            "n",
            ".inf",
            "1e3",
        ] {
            assert_eq!(written(quoted), format!(" \"{quoted}\"\n"));
        }
        for single in ["{a}", "- a", "a: b", "a #b", " a", "a ", "*x", "@x", "a:", "[x", "%x", "---"] {
            assert_eq!(written(single), format!(" '{single}'\n"));
        }
        assert_eq!(written("'x"), " '''x'\n");
        assert_eq!(written("a\tb"), " \"a\\tb\"\n");
        assert_eq!(written("\u{7f}\u{1F600}"), " \"\\x7F\\U0001F600\"\n");
    }

    #[test]
    fn lines_are_kept_as_lines() {
        assert_eq!(written("a\nb\n"), " |\n        a\n        b\n");
        assert_eq!(written("a\n\nb"), " |-\n        a\n\n        b\n");
        assert_eq!(written("a\n\n"), " |+\n        a\n\n");
        assert_eq!(written(" a\nb\n"), " |4\n         a\n        b\n");
        assert_eq!(written("\n"), " |4+\n");
        assert_eq!(written("a \nb"), " \"a \\nb\"\n");
    }

    #[test]
    fn keys_are_in_natural_order() {
        let mut keys = vec!["b", "A_EMPTY", "JSON", "a10", "a9", "AB", "A_B", "a1b", "a1_", "1", "a"];
        keys.sort_by(|a, b| natural(a, b));
        assert_eq!(keys, ["1", "A_B", "A_EMPTY", "AB", "JSON", "a", "a1b", "a1_", "a9", "a10", "b"]);
    }
}
