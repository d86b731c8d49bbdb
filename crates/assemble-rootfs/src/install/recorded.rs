//! What the database of installed packages says when it is read back, which is what the steps after it go by.

use assemble_apk::{PackageId, PackageName, Version};

use super::text::{MAX_LINE, join_clean, lines};

/// A package, as its record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) id: PackageId,
    pub(super) provides: Vec<String>,
    /// Seconds since 1970.
    pub(super) build_time: i64,
    /// Files that may be certificates, by their names.
    pub(super) certificates: Vec<Vec<u8>>,
}

/// Reads the records. Reading ends without a word at the first line that is too long.
pub(super) fn read(database: &[u8]) -> Vec<Recorded> {
    let mut all = Vec::new();
    let mut draft = Draft::default();
    for line in lines(database).take_while(|line| line.len() <= MAX_LINE) {
        match line {
            [] => all.extend(std::mem::take(&mut draft).finish()),
            [letter, b':', value @ ..] => draft.line(*letter, value),
            _ => {}
        }
    }
    all
}

#[derive(Default)]
struct Draft {
    name: String,
    version: String,
    provides: Vec<String>,
    build_time: i64,
    folder: Vec<u8>,
    certificates: Vec<Vec<u8>>,
}

impl Draft {
    fn line(&mut self, letter: u8, value: &[u8]) {
        let text = || String::from_utf8_lossy(value);
        match letter {
            b'P' => self.name = text().into_owned(),
            b'V' => self.version = text().into_owned(),
            b'p' => self.provides = text().split(' ').map(str::to_owned).collect(),
            b't' => self.build_time = text().parse().unwrap_or_default(),
            b'F' => self.folder = value.to_vec(),
            // Most packages have none, and some have ten thousand files.
            b'R' if value.windows(4).any(|part| part == b".crt" || part == b".pem") => {
                self.certificates.push(join_clean(&self.folder, value));
            }
            _ => {}
        }
    }

    fn finish(self) -> Option<Recorded> {
        let name = PackageName::parse(&self.name).ok()?;
        let version = Version::parse(&self.version).ok()?;
        let Self { provides, build_time, certificates, .. } = self;
        Some(Recorded { id: PackageId { name, version }, provides, build_time, certificates })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_hides_what_follows() {
        let names =
            |text: &str| read(text.as_bytes()).iter().map(|r| r.id.name.to_string()).collect::<Vec<_>>();
        let long = "x".repeat(MAX_LINE - 2);
        assert_eq!(names(""), Vec::<String>::new());
        assert_eq!(names("P:a\nV:1\n\nP:b\nV:1\n\n"), ["a", "b"]);
        assert_eq!(names(&format!("P:a\nV:1\n\nP:b\nV:1\np:{long}\n\nP:c\nV:1\n\n")), ["a", "b", "c"]);
        assert_eq!(names(&format!("P:a\nV:1\n\nP:b\nV:1\np:{long}x\n\nP:c\nV:1\n\n")), ["a"]);
    }

    #[test]
    fn files_have_their_folders() {
        let one = read(b"P:a\nV:1\np:x y=1\nt:5\nF:\nR:a.pem\nF:usr/bin\nR:tool\na:0:0:0755\nR:b.crt\n\n");
        assert_eq!(one[0].certificates, [b"a.pem".to_vec(), b"usr/bin/b.crt".to_vec()]);
        assert_eq!((one[0].provides.clone(), one[0].build_time), (vec!["x".to_owned(), "y=1".to_owned()], 5));
    }
}
