//! The netrc file, as ftp wrote it and curl reads it.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::{Credential, FoundCredentials, Ports, Secret, split_port};
use crate::escape::{for_shell, shown_path};

/// Larger files are something else.
const LIMIT: u64 = 1 << 20;

/// Where the netrc file is, if it is anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetrcFile {
    /// The user named it: if it is not there, that is worth a word.
    Named(PathBuf),
    /// It is there or not: `~/.netrc`.
    Usual(PathBuf),
}

impl NetrcFile {
    pub(super) fn read(&self) -> FoundCredentials {
        let (path, named) = match self {
            Self::Named(path) => (path, true),
            Self::Usual(path) => (path, false),
        };
        let name = shown_path(path);
        let warn = |text: String| FoundCredentials { warnings: vec![text], ..FoundCredentials::default() };
        let read = std::fs::File::open(path).and_then(|file| {
            let meta = file.metadata()?;
            let mut bytes = Vec::new();
            file.take(LIMIT + 1).read_to_end(&mut bytes)?;
            Ok((meta, bytes))
        });
        let (meta, bytes) = match read {
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => {
                return FoundCredentials::default();
            }
            Err(error) => return warn(format!("{name}: no password is taken from it: {error}")),
        };
        let text = match String::from_utf8(bytes) {
            Ok(text) if text.len() as u64 <= LIMIT => text,
            _ => return warn(format!("{name}: no password is taken from it: it is no netrc file")),
        };
        let mut found = parse(&text, &name);
        if !found.credentials.is_empty() && meta.is_file() && meta.permissions().mode() & 0o077 != 0 {
            let quoted = for_shell(path);
            found.warnings.push(format!("{name}: others can read the passwords in it: `chmod 600 {quoted}`"));
        }
        found
    }
}

/// The entries of all machines with a password. What follows a mistake is not used, since it may belong to something
/// else than it seems; the words themselves are not shown, since each may be a password.
fn parse(text: &str, name: &str) -> FoundCredentials {
    let mut found = FoundCredentials::default();
    if let Err((line, why)) = read_entries(text, name, &mut found.credentials) {
        found
            .warnings
            .push(format!("{name}: line {line}: {why}; passwords from there on are not taken from it"));
    }
    // A machine with a port is meant more exactly than one without.
    found.credentials.sort_by_key(|credential| credential.ports == Ports::Any);
    found
}

type Mistake = (usize, &'static str);

fn read_entries(text: &str, name: &str, out: &mut Vec<Credential>) -> Result<(), Mistake> {
    let mut words = Words { rest: text, line: 1 };
    let mut entry = Entry::default();
    while let Some(word) = words.keyword() {
        let line = words.line;
        match word {
            "machine" => {
                std::mem::take(&mut entry).finish(name, out)?;
                entry.machine = Some((words.value()?, line));
            }
            // Whatever host a spec names would be told that password, so it belongs to none.
            "default" => std::mem::take(&mut entry).finish(name, out)?,
            "login" => entry.login = words.value()?,
            "password" => entry.password = Some(words.value()?),
            "account" => drop(words.value()?),
            "macdef" => words.skip_macro(),
            _ => {
                return Err((
                    line,
                    "a word that is none of `machine`, `default`, `login`, `password`, `account`, `macdef`",
                ));
            }
        }
    }
    entry.finish(name, out)
}

#[derive(Default)]
struct Entry {
    /// The host, and the line it is on.
    machine: Option<(String, usize)>,
    login: String,
    password: Option<String>,
}

impl Entry {
    fn finish(self, source: &str, out: &mut Vec<Credential>) -> Result<(), Mistake> {
        let (Some((host, line)), Some(password)) = (self.machine, self.password) else { return Ok(()) };
        let (host, port) = split_port(&host);
        let secret = Secret::Basic { user: self.login, password };
        let ports = port.map_or(Ports::Any, Ports::One);
        out.push(Credential::new(host, ports, secret, source).map_err(|why| (line, why))?);
        Ok(())
    }
}

/// The words of the file. A word in quotation marks may hold blanks and, behind a backslash, anything.
struct Words<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Words<'a> {
    fn skip(&mut self, bytes: usize) {
        let (skipped, rest) = self.rest.split_at(bytes);
        self.line += skipped.matches('\n').count();
        self.rest = rest;
    }

    fn skip_blanks(&mut self) {
        self.skip(self.rest.len() - self.rest.trim_start().len());
    }

    fn plain(&mut self) -> &'a str {
        let word = &self.rest[..self.rest.find(char::is_whitespace).unwrap_or(self.rest.len())];
        self.rest = &self.rest[word.len()..];
        word
    }

    /// The next word outside of comments, which can only begin where a keyword can: a password may begin with `#`.
    fn keyword(&mut self) -> Option<&'a str> {
        loop {
            self.skip_blanks();
            match self.rest.chars().next()? {
                '#' => self.skip(self.rest.find('\n').unwrap_or(self.rest.len())),
                _ => return Some(self.plain()),
            }
        }
    }

    fn value(&mut self) -> Result<String, Mistake> {
        self.skip_blanks();
        if self.rest.is_empty() {
            return Err((self.line, "the file ends in the middle of an entry"));
        }
        match self.rest.strip_prefix('"') {
            Some(quoted) => self.quoted(quoted),
            None => Ok(self.plain().to_owned()),
        }
    }

    fn quoted(&mut self, text: &'a str) -> Result<String, Mistake> {
        let mut out = String::new();
        let mut chars = text.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &text[at + 1..];
                    return Ok(out);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => out.push('\n'),
                    Some('r') => out.push('\r'),
                    Some('t') => out.push('\t'),
                    Some(c) => out.push(c),
                    None => break,
                },
                '\n' => break,
                _ => out.push(c),
            }
        }
        Err((self.line, "a quotation mark that is not closed on its line"))
    }

    /// A macro ends with an empty line or the file.
    fn skip_macro(&mut self) {
        let end = ["\n\n", "\n\r\n"].iter().filter_map(|end| Some(self.rest.find(end)? + end.len())).min();
        self.skip(end.unwrap_or(self.rest.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{sent, shown};
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let found = parse(text, "netrc");
        found.credentials.iter().map(shown).chain(found.warnings).collect()
    }

    #[test]
    fn every_form() {
        for (text, want) in [
            ("machine h login u password p", &["h:* u p"][..]),
            ("machine h\n\tlogin u\n\tpassword p\n", &["h:* u p"]),
            ("machine h password p login u account a\nmachine i password q", &["h:* u p", "i:*  q"]),
            ("# c machine x password y\nmachine h login u password #p # c\n", &["h:* u #p"]),
            ("machine h login \"a b\" password \"p\\\"q\\\\ \\tr\"", &["h:* a b p\"q\\ \tr"]),
            ("machine h:8080 login u password p", &["h:8080 u p"]),
            ("machine h login u password p machine h:1 login v password q", &["h:1 v q", "h:* u p"]),
            (
                "machine [::1]:8080 login u password p machine ::1 password q",
                &["[::1]:8080 u p", "[::1]:*  q"],
            ),
            ("machine h login u", &[]),
            ("machine h password p default login u password q", &["h:*  p"]),
            ("default login u password q", &[]),
            ("login u password q", &[]),
            ("macdef init\nmachine x password y\n\nmachine h password p", &["h:*  p"]),
            (
                "machine h password p\r\nmacdef init\r\nput x\r\n\r\nmachine i password q\r\n",
                &["h:*  p", "i:*  q"],
            ),
            ("machine h password p macdef init\nmachine x password y", &["h:*  p"]),
            ("", &[]),
        ] {
            assert_eq!(read(text), want, "{text}");
        }
    }

    #[test]
    fn a_name_without_port_means_every_port() {
        let found =
            parse("machine h login u password p\nmachine h:1 login v password q", "netrc").credentials;
        assert_eq!(sent(&found, "https://h/x").unwrap(), "h:* u p");
        assert_eq!(sent(&found, "http://h:8080/x").unwrap(), "h:* u p");
        assert_eq!(sent(&found, "http://h:1/x").unwrap(), "h:1 v q");
        assert_eq!(sent(&found, "https://x.h/"), None);
    }

    #[test]
    fn mistakes_are_told_by_their_line_and_spoil_what_follows() {
        let tail = "; passwords from there on are not taken from it";
        for (text, line, why) in [
            ("machine h login u password hunter2 hunter3\nmachine i password p", 1, "a word that is none of"),
            ("machine h login\n", 2, "the file ends in the middle of an entry"),
            ("\n\nmachine h password \"hunter2\n", 3, "a quotation mark that is not closed on its line"),
            ("machine * password hunter2", 1, "`*` would send it to every host"),
            ("\nmachine a/b password hunter2\n\n", 2, "the host is no host name"),
        ] {
            let shown = read(text);
            assert_eq!(shown.len(), 1, "{text}: {shown:?}");
            assert!(shown[0].starts_with(&format!("netrc: line {line}: {why}")), "{}", shown[0]);
            assert!(shown[0].ends_with(tail) && !shown[0].contains("hunter"), "{}", shown[0]);
        }
        assert_eq!(read("machine a password p\nmachine b passwort q").len(), 2);
    }

    #[test]
    fn no_text_breaks_it() {
        let text = "machine h login \"a\\n\" password é\nmacdef x\ny\n\n# c\ndefault account b machine [::1]:1 password p";
        let ends = (0..=text.len()).filter(|end| text.is_char_boundary(*end));
        for (cut, end) in ends.map(|end| (&text[..end], end)) {
            for odd in ["", "\"", "\\", "\n\n", " machine", "#", "\u{2028}"] {
                let found = parse(&format!("{cut}{odd}{}", &text[end..]), "netrc");
                assert!(found.credentials.len() <= 3 && found.warnings.len() <= 1);
            }
        }
    }

    #[test]
    fn the_file_is_there_or_not_and_private_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my netrc");
        assert!(NetrcFile::Usual(path.clone()).read().warnings.is_empty());
        let warnings = NetrcFile::Named(path.clone()).read().warnings;
        assert!(warnings[0].contains("my netrc: no password is taken from it: No such file"), "{warnings:?}");
        let mode = |bits| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(bits)).unwrap();
        std::fs::write(&path, "machine h password p").unwrap();
        mode(0o600);
        let found = NetrcFile::Usual(path.clone()).read();
        assert_eq!((found.credentials.len(), found.warnings.len()), (1, 0));
        mode(0o640);
        let found = NetrcFile::Usual(path.clone()).read();
        assert_eq!(found.credentials.len(), 1);
        let name = path.display();
        assert_eq!(
            found.warnings,
            [format!("{name}: others can read the passwords in it: `chmod 600 '{name}'`")]
        );
        std::fs::write(&path, b"machine \xff").unwrap();
        assert!(NetrcFile::Usual(path).read().warnings[0].ends_with("it is no netrc file"));
        assert_eq!(NetrcFile::Named(folder.path().to_owned()).read().warnings.len(), 1);
    }
}
