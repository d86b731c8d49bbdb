//! The variable `HTTP_AUTH`.

use super::{Credential, FoundCredentials, Ports, Secret, parse_port};

const NAME: &str = "HTTP_AUTH";

/// Reads an entry a line. What is wrong with one is told by its number, never by its text.
pub(super) fn parse(text: &str) -> FoundCredentials {
    let mut found = FoundCredentials::default();
    let entries = text.lines().map(str::trim_start).filter(|line| !line.is_empty());
    for (number, entry) in entries.enumerate() {
        match parse_entry(entry) {
            Ok(credential) => found.credentials.push(credential),
            Err(why) => found.warnings.push(format!(
                "{NAME}: entry {} is not used: {why}; expected `basic:HOST:USER:PASSWORD` or `bearer:HOST:TOKEN`",
                number + 1
            )),
        }
    }
    found
}

fn parse_entry(entry: &str) -> Result<Credential, &'static str> {
    let (scheme, rest) = entry.split_once(':').ok_or("it has no `:`")?;
    let basic = match scheme.to_ascii_lowercase().as_str() {
        "basic" => true,
        "bearer" => false,
        _ => return Err("its first word is neither `basic` nor `bearer`"),
    };
    let missing = if basic { "the user or the password is missing" } else { "the token is missing" };
    let (host, rest) = split_host(rest).ok_or(missing)?;
    let (ports, rest) = split_port(rest, if basic { 2 } else { 1 });
    let secret = if basic {
        let (user, password) = rest.split_once(':').ok_or(missing)?;
        Secret::Basic { user: user.to_owned(), password: password.to_owned() }
    } else if rest.is_empty() {
        return Err(missing);
    } else if rest.bytes().all(|b| b.is_ascii_graphic()) {
        Secret::Bearer(rest.to_owned())
    } else {
        return Err("the token holds characters that no header can");
    };
    Credential::new(host, ports, secret, NAME)
}

/// The host, which may be an IPv6 address in brackets, and what follows its colon.
fn split_host(text: &str) -> Option<(&str, &str)> {
    if text.starts_with('[') {
        let end = text.find(']')? + 1;
        return Some((&text[..end], text[end..].strip_prefix(':')?));
    }
    text.split_once(':')
}

/// A number in front is a port if enough fields are left without it: a user may be called 8080. Passwords may hold
/// colons, which apko's form does not allow, so nothing that apko takes is read otherwise.
fn split_port(text: &str, needed: usize) -> (Ports, &str) {
    match text.split_once(':') {
        Some((port, rest)) if rest.split(':').count() >= needed => match parse_port(port) {
            Some(port) => (Ports::One(port), rest),
            None => (Ports::Usual, text),
        },
        _ => (Ports::Usual, text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{sent, shown};
    use super::*;

    fn read(text: &str) -> Vec<String> {
        parse(text).credentials.iter().map(shown).collect()
    }

    #[test]
    fn every_form() {
        for (text, want) in [
            ("basic:apk.example.org:ci:secret", "apk.example.org ci secret"),
            ("Basic:APK.example.org:ci:secret", "apk.example.org ci secret"),
            ("basic:apk.example.org:ci:se:cr:et", "apk.example.org ci se:cr:et"),
            ("basic:apk.example.org:ci:", "apk.example.org ci "),
            ("basic:apk.example.org::token", "apk.example.org  token"),
            ("basic:apk.example.org:8443:ci:secret", "apk.example.org:8443 ci secret"),
            ("basic:apk.example.org:8443:ci", "apk.example.org 8443 ci"),
            ("basic:apk.example.org:443:8443:ci:x", "apk.example.org:443 8443 ci:x"),
            ("basic:apk.example.org:99999:ci:x", "apk.example.org 99999 ci:x"),
            ("basic:[::1]:8080:ci:secret", "[::1]:8080 ci secret"),
            ("basic:[::1]:ci:secret", "[::1] ci secret"),
            ("bearer:apk.example.org:abc.def-_=", "apk.example.org abc.def-_="),
            ("bearer:apk.example.org:8443:abc", "apk.example.org:8443 abc"),
            ("bearer:apk.example.org:8443", "apk.example.org 8443"),
        ] {
            assert_eq!(read(text), [want], "{text}");
        }
    }

    #[test]
    fn several_entries_stand_on_lines_and_the_first_that_fits_counts() {
        let found = parse("basic:a.example:u:p q\n\n  bearer:b.example:t\r\nbasic:a.example:v:w\n");
        assert_eq!(found.warnings, Vec::<String>::new());
        assert_eq!(sent(&found.credentials, "https://a.example/x").unwrap(), "a.example u p q");
        assert_eq!(sent(&found.credentials, "https://b.example/x").unwrap(), "b.example t");
        assert_eq!(sent(&found.credentials, "https://c.example/x"), None);
    }

    #[test]
    fn mistakes_are_told_without_a_word_of_the_secret() {
        for (text, why) in [
            ("hunter2", "it has no `:`"),
            ("digest:h:u:hunter2", "its first word is neither `basic` nor `bearer`"),
            ("basic:h", "the user or the password is missing"),
            ("basic:h:hunter2", "the user or the password is missing"),
            ("basic::u:hunter2", "the host is missing"),
            ("basic:*:u:hunter2", "`*` would send it to every host"),
            ("basic:hunter2@h:u:p", "the host is no host name"),
            ("basic:[::1:u:hunter2", "the user or the password is missing"),
            ("bearer:h:", "the token is missing"),
            ("bearer:h:hunter2 x", "the token holds characters that no header can"),
        ] {
            let found = parse(text);
            assert!(found.credentials.is_empty(), "{text}");
            let want = format!(
                "HTTP_AUTH: entry 1 is not used: {why}; expected `basic:HOST:USER:PASSWORD` or `bearer:HOST:TOKEN`"
            );
            assert_eq!(found.warnings, [want], "{text}");
        }
    }
}
