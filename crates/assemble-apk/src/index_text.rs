//! The text of an index.

use std::str::FromStr;

use crate::index::{IndexError, Record};
use crate::{Checksum, Constraint, PackageName, Provide, Version};

/// Longest line, as in apko. Dependencies of real packages have a few kilobytes.
const MAX_LINE: usize = 1 << 20;

/// A record while its lines are read.
#[derive(Default)]
struct Draft {
    name: Option<PackageName>,
    version: Option<Version>,
    rest: Rest,
}

#[derive(Default)]
struct Rest {
    arch: String,
    license: String,
    description: String,
    origin: String,
    maintainer: String,
    url: String,
    depends: Vec<Constraint>,
    provides: Vec<Provide>,
    install_if: Vec<Constraint>,
    commit: String,
    build_time: i64,
    size: u64,
    installed_size: u64,
    provider_priority: u64,
    checksum: Option<Checksum>,
    unknown_field: Option<char>,
}

fn number<T: FromStr + Default>(value: &str) -> Result<T, &'static str> {
    value.parse().map_err(|_| "this is no number")
}

/// Tags belong to the list of packages of an image. A package that asks for one cannot be installed by apk.
fn constraints(value: &str) -> Vec<Constraint> {
    let constraint = |token| match Constraint::parse_or_unmeetable(token) {
        Constraint { pin: Some(_), .. } => Constraint::unmeetable(token),
        constraint => constraint,
    };
    value.split_ascii_whitespace().map(constraint).collect()
}

impl Draft {
    /// Takes one line. Lower-case letters that are not known are passed over.
    fn line(&mut self, letter: u8, value: &str) -> Result<(), &'static str> {
        let rest = &mut self.rest;
        match letter {
            b'P' if value.is_empty() => self.name = None,
            b'P' => {
                let name = PackageName::parse(value).map_err(|_| "this is no package name")?;
                if !name.is_file_name() {
                    return Err("a package name that is a path");
                }
                self.name = Some(name);
            }
            b'V' if value.is_empty() => self.version = None,
            b'V' => {
                let version = Version::parse(value).map_err(|_| "this is no version")?;
                if !version.is_file_name() {
                    return Err("a version that is a path");
                }
                self.version = Some(version);
            }
            b'A' => value.clone_into(&mut rest.arch),
            b'L' => value.clone_into(&mut rest.license),
            b'T' => value.clone_into(&mut rest.description),
            b'o' => value.clone_into(&mut rest.origin),
            b'm' => value.clone_into(&mut rest.maintainer),
            b'U' => value.clone_into(&mut rest.url),
            b'c' => value.clone_into(&mut rest.commit),
            b'D' => rest.depends = constraints(value),
            b'i' => rest.install_if = constraints(value),
            b'p' => {
                rest.provides =
                    value.split_ascii_whitespace().filter_map(|token| Provide::parse(token).ok()).collect();
            }
            b't' => rest.build_time = number(value)?,
            b'S' => rest.size = number(value)?,
            b'I' => rest.installed_size = number(value)?,
            b'k' => rest.provider_priority = number(value)?,
            b'C' => rest.checksum = Checksum::parse(value).ok().filter(Checksum::is_short),
            // Fields of installed packages; an index has no use for them.
            b'F' | b'M' | b'R' | b'Z' => {}
            other if other.is_ascii_lowercase() => {}
            other => rest.unknown_field = Some(char::from(other)),
        }
        Ok(())
    }

    /// A record without a name or version is of no use to anyone.
    fn finish(self) -> Option<Record> {
        let rest = self.rest;
        Some(Record {
            name: self.name?,
            version: self.version?,
            arch: rest.arch,
            license: rest.license,
            description: rest.description,
            origin: rest.origin,
            maintainer: rest.maintainer,
            url: rest.url,
            depends: rest.depends,
            provides: rest.provides,
            install_if: rest.install_if,
            commit: rest.commit,
            build_time: rest.build_time,
            size: rest.size,
            installed_size: rest.installed_size,
            provider_priority: rest.provider_priority,
            checksum: rest.checksum,
            unknown_field: rest.unknown_field,
        })
    }
}

/// Reads records as their text comes. Bytes that are not UTF-8 become U+FFFD. A last record without an empty line behind
/// it counts.
///
/// What is kept is bounded, and what the text claims is not believed: a text of hundreds of megabytes may leave a few, or
/// more than there is room for.
pub(crate) struct RecordReader {
    records: Vec<Record>,
    draft: Draft,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    /// Of the line that is being read.
    number: usize,
    room: Room,
    failed: Option<IndexError>,
}

impl RecordReader {
    pub(crate) fn new(room: Room) -> Self {
        let (records, draft, begun) = (Vec::new(), Draft::default(), Vec::new());
        Self { records, draft, begun, number: 1, room, failed: None }
    }

    /// Takes what comes next. After a mistake nothing counts any more.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.failed.is_some() {
                return;
            }
            let result = match piece.strip_suffix(b"\n") {
                Some(end) if self.begun.is_empty() => self.line(end),
                Some(end) => {
                    let mut line = std::mem::take(&mut self.begun);
                    line.extend_from_slice(end);
                    let result = self.line(&line);
                    line.clear();
                    self.begun = line;
                    result
                }
                None => {
                    self.begun.extend_from_slice(piece);
                    if self.begun.len() <= MAX_LINE {
                        return;
                    }
                    let line = std::mem::take(&mut self.begun);
                    self.line(&line)
                }
            };
            self.failed = result.err();
        }
    }

    /// All records, in order.
    pub(crate) fn finish(mut self) -> Result<Vec<Record>, IndexError> {
        let last = std::mem::take(&mut self.begun);
        if self.failed.is_none() && !last.is_empty() {
            self.failed = self.line(&last).err();
        }
        if self.failed.is_none() {
            self.failed = self.end().err();
        }
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.records),
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), IndexError> {
        let number = self.number;
        self.number += 1;
        if line.is_empty() {
            return self.end();
        }
        let text = String::from_utf8_lossy(line);
        let error =
            |problem| IndexError::Line { line: number, text: text.chars().take(200).collect(), problem };
        if text.len() > MAX_LINE {
            return Err(error("the line is too long"));
        }
        match text.as_bytes() {
            [letter, b':', ..] => self.draft.line(*letter, &text[2..]).map_err(error),
            _ => Err(error("expected a letter, a colon and a value")),
        }
    }

    fn end(&mut self) -> Result<(), IndexError> {
        if let Some(record) = std::mem::take(&mut self.draft).finish() {
            self.room.take(&record)?;
            self.records.push(record);
        }
        Ok(())
    }
}

/// How much memory records may still take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    left: u64,
    all: u64,
}

impl Room {
    /// What an index may take in memory, with its packed bytes.
    const ALL: u64 = 224 << 20;

    /// The room beside bytes that are in memory anyway.
    pub(crate) fn beside(bytes: usize) -> Self {
        let all = Self::ALL.saturating_sub(bytes as u64);
        Self { left: all, all }
    }

    /// Takes the room of a record, or fails if there is too little.
    pub(crate) fn take(&mut self, record: &Record) -> Result<(), IndexError> {
        self.left = self.left.checked_sub(weight(record)).ok_or(IndexError::TooMuch { limit: self.all })?;
        Ok(())
    }
}

/// About how many bytes a record takes.
fn weight(record: &Record) -> u64 {
    /// What the allocator adds to a text.
    const OWN: usize = 16;
    let texts = [
        record.name.as_str(),
        record.version.as_str(),
        &record.arch,
        &record.license,
        &record.description,
        &record.origin,
        &record.maintainer,
        &record.url,
        &record.commit,
    ];
    let texts: usize = texts.iter().map(|text| text.len() + OWN).sum();
    let constraint = |constraint: &Constraint| {
        let version = constraint.version.as_ref().map_or(0, |version| version.as_str().len() + OWN);
        size_of::<Constraint>() + constraint.name.as_str().len() + OWN + version
    };
    let needs: usize = record.depends.iter().chain(&record.install_if).map(constraint).sum();
    let provides: usize =
        record.provides.iter().map(|one| size_of::<Provide>() + one.to_string().len() + 2 * OWN).sum();
    (size_of::<Record>() + texts + needs + provides) as u64
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn parse_records(bytes: &[u8]) -> Result<Vec<Record>, IndexError> {
        let mut reader = RecordReader::new(Room::beside(0));
        reader.feed(bytes);
        reader.finish()
    }

    #[test]
    fn it_does_not_matter_in_which_pieces_the_text_comes() {
        let text = "P:a\nV:1\nT:\u{e9}\n\n\nP:b\nV:2\nD:x y\n\nP:c\nV:3";
        let whole = format!("{:?}", parse_records(text.as_bytes()).unwrap());
        for size in 1..text.len() {
            let mut reader = RecordReader::new(Room::beside(0));
            text.as_bytes().chunks(size).for_each(|piece| reader.feed(piece));
            assert_eq!(format!("{:?}", reader.finish().unwrap()), whole, "{size}");
        }
        for (bad, line) in [("P:a\nx\nP:b\n", 2), ("P:a\nV:1\n\nS:x\n", 4)] {
            for size in 1..bad.len() {
                let mut reader = RecordReader::new(Room::beside(0));
                bad.as_bytes().chunks(size).for_each(|piece| reader.feed(piece));
                let error = reader.finish().unwrap_err().to_string();
                assert!(error.starts_with(&format!("line {line} of the index")), "{size}: {error}");
            }
        }
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let record = format!("P:a\nV:1\nT:{}\n\n", "x".repeat(1000));
        let mut reader = RecordReader::new(Room::beside(usize::try_from(Room::ALL).unwrap() - 100_000));
        for _ in 0..50 {
            reader.feed(record.as_bytes());
        }
        assert!(reader.failed.is_none());
        for _ in 0..50 {
            reader.feed(record.as_bytes());
        }
        let error = reader.finish().unwrap_err();
        assert!(matches!(error, IndexError::TooMuch { limit: 100_000 }), "{error}");
        // A text that leaves nothing may be as long as it likes.
        let mut reader = RecordReader::new(Room::beside(usize::try_from(Room::ALL).unwrap() - 1000));
        for _ in 0..1000 {
            reader.feed(format!("T:{}\nx:{}\n", "y".repeat(500), "z".repeat(500)).as_bytes());
        }
        assert_eq!(reader.finish().unwrap().len(), 0);
    }

    fn names(text: &str) -> Vec<String> {
        parse_records(text.as_bytes()).unwrap().iter().map(|r| format!("{}-{}", r.name, r.version)).collect()
    }

    #[test]
    fn records() {
        assert_eq!(names("P:a\nV:1\n\nP:b\nV:2\n\n"), ["a-1", "b-2"]);
        assert_eq!(names("P:a\nV:1"), ["a-1"]);
        assert_eq!(names(""), Vec::<String>::new());
        assert_eq!(names("\n\n\nP:a\nV:1\n\n\n\n"), ["a-1"]);
        assert_eq!(names("V:1\n\nP:b\n\nP:\nV:1\n\nP:c\nV:1\nx:?\nX:?\n\n"), ["c-1"]);
    }

    #[test]
    fn all_fields() {
        let text = "C:Q1kqFQHSGzXGq3k7gQTqb+GxbmnOw=\nP:a\nV:1-r0\nA:x86_64\nS:5\nI:6\nT:d\nU:u\nL:l\no:o\nm:m\nt:7\nc:c\nk:8\n\
                    D:b>1 !c so:x\np:so:y=1 z bad> cmd:q=1-r0\ni:e f=1\nr:never\nq:1\n\n";
        let record = &parse_records(text.as_bytes()).unwrap()[0];
        let show = |list: &[Constraint]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(show(&record.depends), ["b>1", "!c", "so:x"]);
        assert_eq!(show(&record.install_if), ["e", "f=1"]);
        assert_eq!(
            record.provides.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["so:y=1", "z", "cmd:q=1-r0"]
        );
        assert_eq!(
            (record.size, record.installed_size, record.build_time, record.provider_priority),
            (5, 6, 7, 8)
        );
        assert_eq!(
            (&*record.arch, &*record.license, &*record.description, &*record.origin),
            ("x86_64", "l", "d", "o")
        );
        assert_eq!((&*record.maintainer, &*record.url, &*record.commit), ("m", "u", "c"));
        assert_eq!(record.checksum.unwrap().to_string(), "Q1kqFQHSGzXGq3k7gQTqb+GxbmnOw=");
    }

    #[test]
    fn unknown_fields_are_noted_if_they_must_be_known() {
        for (line, expected) in [("x:1", None), ("F:a", None), ("X:1", Some('X')), ("0:1", Some('0'))] {
            let records = parse_records(format!("P:a\nV:1\n{line}\n").as_bytes()).unwrap();
            assert_eq!(records[0].unknown_field, expected, "{line}");
        }
    }

    #[test]
    fn a_checksum_of_another_form_is_none() {
        for text in ["P:a\nV:1\n", "P:a\nV:1\nC:\n", "P:a\nV:1\nC:Q2aaaa\n", "P:a\nV:1\nC:Q1!\n"] {
            assert_eq!(parse_records(text.as_bytes()).unwrap()[0].checksum, None, "{text}");
        }
    }

    #[test]
    fn errors() {
        use expect_test::expect;
        let mut all = String::new();
        for text in [
            "P:a\nx\n",
            "P:a\nVx1\n",
            "P:../a\nV:1\n",
            "P:.a\nV:1\n",
            "P:a\nV:1/../2\n",
            "P:a b\n",
            "P:a\nV:1\r\n",
            "t:x\n",
            "S:-1\n",
            "I:\n",
            "k:18446744073709551616\n",
            "é:1\n",
            "\x1b[31m\n",
        ] {
            all.push_str(&format!("{}\n", parse_records(text.as_bytes()).unwrap_err()));
        }
        expect![[r#"
            line 2 of the index, `x`: expected a letter, a colon and a value
            line 2 of the index, `Vx1`: expected a letter, a colon and a value
            line 1 of the index, `P:../a`: a package name that is a path
            line 1 of the index, `P:.a`: a package name that is a path
            line 2 of the index, `V:1/../2`: a version that is a path
            line 1 of the index, `P:a b`: this is no package name
            line 2 of the index, `V:1\r`: this is no version
            line 1 of the index, `t:x`: this is no number
            line 1 of the index, `S:-1`: this is no number
            line 1 of the index, `I:`: this is no number
            line 1 of the index, `k:18446744073709551616`: this is no number
            line 1 of the index, `é:1`: expected a letter, a colon and a value
            line 1 of the index, `\u{1b}[31m`: expected a letter, a colon and a value
        "#]]
        .assert_eq(&all);
        let long = format!("D:{}\n", "a ".repeat(MAX_LINE / 2));
        let message = parse_records(long.as_bytes()).unwrap_err().to_string();
        assert!(message.ends_with("the line is too long") && message.len() < 400, "{message}");
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(bytes in proptest::collection::vec(any::<u8>(), 0..80), text in "([PVDpitSC]:[ -~]{0,9}\\n){0,9}") {
            let _ = (parse_records(&bytes), parse_records(text.as_bytes()));
        }
    }
}
