//! The style of a text: plain where every reader takes it for that text, else quoted, or a block of lines.

use std::fmt::Write as _;

use super::{INDENT, deeper, pad};

#[derive(PartialEq, Clone, Copy)]
pub(super) enum Place {
    Key,
    Value,
}

/// Writes a text in the style that keeps it a text.
pub(super) fn scalar(text: &str, place: Place, column: usize, out: &mut String) {
    let looks = Looks::of(text);
    if text.contains('\n') && place == Place::Value && looks.as_block {
        literal(text, deeper(column), out);
    } else if text.contains('\n') || !is_text(text) || (place == Place::Key && text == "<<") {
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

/// Writes a text in double quotes.
pub(super) fn double_quoted(text: &str, out: &mut String) {
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
            (Some(b' '), None) | (Some(b'T' | b't'), Some("Z")) => true,
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
