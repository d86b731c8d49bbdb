//! The names in a record's lists, on their way to the tables.

use crate::Record;
use crate::apk_order::is_valid_for_apk;
use crate::constraint::{condition_name, plain_length, plain_version, provided_name};
use crate::index_text::{DEPENDS, INSTALL_IF, NAME, PROVIDES, SUM, checksum, constraint};
use crate::names::{AT_ONCE, NamesBuilder, Use};

/// Enters the names in a record's values, its checksum, and whether there are bounds that apk cannot read.
pub(crate) fn name_all<'t>(out: &mut NamesBuilder, value: impl Fn(usize) -> &'t str) {
    let mut batch = Batch { names: [(Use::Own, value(NAME)); AT_ONCE], count: 1 };
    for token in Tokens(value(PROVIDES)) {
        if let Some(len) = token.name.or_else(|| provided_name(token.text)) {
            batch.add(out, Use::Provide, &token.text[..len]);
        }
    }
    for token in Tokens(value(DEPENDS)) {
        batch.add_condition(out, Use::Need, token);
        if !token.is_readable() {
            out.is_unfit();
        }
    }
    for (place, token) in (0..).zip(Tokens(value(INSTALL_IF))) {
        batch.add_condition(out, Use::Condition(place), token);
        if !token.is_readable() {
            out.is_unreadable();
        }
    }
    batch.enter(out);
    if let Some(sum) = checksum(value(SUM)) {
        out.sum(&sum);
    }
}

/// Enters the same of a record whose lines stand behind so many bytes of others, and that it is the next.
pub(crate) fn name_record(out: &mut NamesBuilder, at: u32, record: &Record) {
    out.begin(at, &record.arch);
    let mut batch = Batch { names: [(Use::Own, record.name.as_str()); AT_ONCE], count: 1 };
    for provide in &record.provides {
        batch.add(out, Use::Provide, provide.name.as_str());
    }
    for need in &record.depends {
        batch.add(out, Use::Need, need.name.as_str());
    }
    for (place, condition) in (0..).zip(&record.install_if) {
        batch.add(out, Use::Condition(place), condition.name.as_str());
    }
    batch.enter(out);
    if !record.is_understood() {
        out.is_unfit();
    }
    if !record.conditions_are_readable() {
        out.is_unreadable();
    }
    if let Some(sum) = &record.checksum {
        out.sum(sum);
    }
}

/// Names that wait until there are enough of them.
struct Batch<'t> {
    names: [(Use, &'t str); AT_ONCE],
    count: usize,
}

impl<'t> Batch<'t> {
    fn enter(&mut self, out: &mut NamesBuilder) {
        out.enter(&self.names[..std::mem::take(&mut self.count)]);
    }

    fn add(&mut self, out: &mut NamesBuilder, of: Use, name: &'t str) {
        if self.count == AT_ONCE {
            self.enter(out);
        }
        self.names[self.count] = (of, name);
        self.count += 1;
    }

    fn add_condition(&mut self, out: &mut NamesBuilder, of: Use, token: Token<'t>) {
        match token.name.or_else(|| condition_name(token.text)) {
            Some(len) => self.add(out, of, &token.text[..len]),
            // It is shown in another way than it is written.
            None => {
                self.enter(out);
                out.enter(&[(of, constraint(token.text).name.as_str())]);
            }
        }
    }
}

/// What stands between white space.
struct Tokens<'t>(&'t str);

#[derive(Clone, Copy)]
struct Token<'t> {
    text: &'t str,
    /// Its length, if it is only a name.
    name: Option<usize>,
}

impl Token<'_> {
    /// Whether its bound, if it has one, is a version to apk.
    fn is_readable(self) -> bool {
        self.name.is_some()
            || match plain_version(self.text) {
                Some(version) => version.is_empty() || is_valid_for_apk(version),
                None => constraint(self.text).version.is_none_or(|version| version.is_valid_for_apk()),
            }
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        let rest = self.0.trim_ascii_start();
        let length = plain_length(rest.as_bytes());
        let ends = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_whitespace);
        let (end, name) = if length > 0 && ends(rest.as_bytes().get(length)) {
            (length, Some(length))
        } else {
            let end = rest[length..].bytes().position(|byte| byte.is_ascii_whitespace());
            (end.map_or(rest.len(), |end| length + end), None)
        };
        let (text, rest) = rest.split_at(end);
        self.0 = rest;
        (!text.is_empty()).then_some(Token { text, name })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_are_what_stands_between_white_space(text in "([a-c!=<>@\u{e9}]{1,3}[ \t\n]{0,2}){0,9}") {
            let tokens: Vec<&str> = Tokens(&text).map(|token| token.text).collect();
            prop_assert_eq!(tokens, text.split_ascii_whitespace().collect::<Vec<_>>());
            for token in Tokens(&text).filter(|token| token.name.is_some()) {
                prop_assert_eq!(token.name, condition_name(token.text));
                prop_assert_eq!(token.name, provided_name(token.text));
            }
        }
    }
}
