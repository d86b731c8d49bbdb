//! The text of an index.

use std::borrow::Cow;
use std::ops::Range;
use std::str::FromStr;

use assemble_types::Spool;

use crate::index::{IndexError, Record};
use crate::lines::LineWriter;
use crate::names::NamesBuilder;
use crate::plain_record::PlainRecord;
use crate::record_names::name_all;
use crate::records::Records;
use crate::{Checksum, Constraint, PackageName, Provide, Version};

/// Longest line, as in apko. Dependencies of real packages have a few kilobytes.
pub(crate) const MAX_LINE: usize = 1 << 20;

/// Most bytes of one record, a value that a later line replaces included. More than one line of every letter.
const MAX_DRAFT: usize = 18 << 20;

/// The letters that are kept. Lines that are not kept as they stand are kept in this order.
pub(crate) const LETTERS: [u8; 17] = *b"PVACSIkotDpiLTmUc";
/// Places of letters in it.
pub(crate) const NAME: usize = 0;
pub(crate) const VERSION: usize = 1;
pub(crate) const ARCH: usize = 2;
pub(crate) const SUM: usize = 3;
pub(crate) const DEPENDS: usize = 9;
pub(crate) const PROVIDES: usize = 10;
pub(crate) const INSTALL_IF: usize = 11;

/// The place of a letter in [`LETTERS`].
pub(crate) fn slot(letter: u8) -> Option<usize> {
    let slot = SLOTS[letter as usize] as usize;
    (slot < LETTERS.len()).then_some(slot)
}

const SLOTS: [u8; 256] = {
    let mut slots = [u8::MAX; 256];
    let mut slot = 0;
    while slot < LETTERS.len() {
        #[allow(clippy::cast_possible_truncation, reason = "there are few letters")]
        let number = slot as u8;
        slots[LETTERS[slot] as usize] = number;
        slot += 1;
    }
    slots
};

/// A record while its lines are read: the last value of each letter, checked.
#[derive(Default)]
struct Draft {
    text: String,
    /// Where the value of each letter stands in the text.
    values: [Range<usize>; LETTERS.len()],
    /// The last letter that has to be known and is not.
    unknown: Option<u8>,
    /// Whether a line was taken.
    begun: bool,
}

pub(crate) fn number<T: FromStr + Default>(value: &str) -> Result<T, &'static str> {
    value.parse().map_err(|_| "this is no number")
}

/// A dependency or condition. Tags belong to the list of packages of an image. A package that asks for one cannot be
/// installed by apk.
pub(crate) fn constraint(token: &str) -> Constraint {
    match Constraint::parse_or_unmeetable(token) {
        Constraint { pin: Some(_), .. } => Constraint::unmeetable(token),
        constraint => constraint,
    }
}

/// Whether a name or version is of the characters that nearly all are of, and so nothing is wrong with it.
fn is_plain(value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+');
    !value.starts_with('.') && value.bytes().all(plain)
}

/// What is wrong with a line, if anything is.
pub(crate) fn check(letter: u8, value: &str) -> Result<(), &'static str> {
    match letter {
        b'P' | b'V' if is_plain(value) => {}
        b'P' if !value.is_empty() => {
            let name = PackageName::parse(value).map_err(|_| "this is no package name")?;
            if !name.is_file_name() {
                return Err("a package name that is a path");
            }
        }
        b'V' if !value.is_empty() => {
            let version = Version::parse(value).map_err(|_| "this is no version")?;
            if !version.is_file_name() {
                return Err("a version that is a path");
            }
        }
        b't' => drop(number::<i64>(value)?),
        b'S' | b'I' | b'k' => drop(number::<u64>(value)?),
        _ => {}
    }
    Ok(())
}

impl Draft {
    /// Takes one line. Lower-case letters that are not known are passed over, as are fields of installed packages, for
    /// which an index has no use.
    fn line(&mut self, letter: u8, value: &str) -> Result<(), &'static str> {
        self.begun = true;
        match slot(letter) {
            Some(slot) => {
                check(letter, value)?;
                if self.text.len() > MAX_DRAFT {
                    return Err("the record is too long");
                }
                let start = self.text.len();
                self.text.push_str(value);
                self.values[slot] = start..self.text.len();
            }
            None if letter.is_ascii_lowercase() || b"FMRZ".contains(&letter) => {}
            None => self.unknown = Some(letter),
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.text.clear();
        self.values = Default::default();
        self.unknown = None;
        self.begun = false;
    }

    fn is_empty(&self) -> bool {
        !self.begun
    }

    fn value(&self, slot: usize) -> &str {
        self.text.get(self.values[slot].clone()).unwrap_or_default()
    }

    /// Adds the record to those that are kept.
    fn keep(&self, out: &mut NamesBuilder, lines: &mut LineWriter) {
        out.begin(lines.len(), self.value(ARCH));
        for (value, letter) in self.values.iter().zip(LETTERS).filter(|(value, _)| !value.is_empty()) {
            lines.add(&[letter, b':']);
            lines.add(&self.text.as_bytes()[value.clone()]);
            lines.add(b"\n");
        }
        if let Some(letter) = self.unknown {
            lines.add(&[letter, b':', b'\n']);
            out.is_unfit();
        }
        name_all(out, |slot| self.value(slot));
    }
}

/// About how many bytes a record with these values takes once it was asked for, or a little more.
fn weight_of<'t>(value: impl Fn(usize) -> &'t str) -> u64 {
    let texts: usize = (0..LETTERS.len()).map(|slot| value(slot).len() + OWN).sum();
    let lists = (DEPENDS..=INSTALL_IF).map(&value).filter(|list| !list.is_empty());
    let tokens: usize = lists.map(|list| 1 + list.bytes().filter(|byte| *byte <= b' ').count()).sum();
    (size_of::<Record>() + texts + tokens * (size_of::<Constraint>() + 2 * OWN)) as u64
}

pub(crate) fn checksum(value: &str) -> Option<Checksum> {
    Checksum::parse(value).ok().filter(Checksum::is_short)
}

/// Reads records as their text comes. Bytes that are not UTF-8 become U+FFFD. A last record without an empty line behind
/// it counts. Every line is checked; what it says is read when somebody asks for the record.
///
/// What is kept is bounded, and what the text claims is not believed: a text of hundreds of megabytes may leave a few, or
/// more than there is room for.
pub(crate) struct RecordReader {
    records: NamesBuilder,
    lines: LineWriter,
    draft: Draft,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    /// Of the line that is being read.
    number: usize,
    room: Room,
    failed: Option<IndexError>,
}

impl RecordReader {
    /// Keeps the records' lines in the spool.
    pub(crate) fn new(room: Room, spool: &dyn Spool) -> Self {
        let (records, lines) = (NamesBuilder::default(), LineWriter::new(spool));
        Self { records, lines, draft: Draft::default(), begun: Vec::new(), number: 1, room, failed: None }
    }

    /// The same, with room for the names in so many bytes at once.
    pub(crate) fn expecting(mut self, bytes: usize) -> Self {
        self.records.expect(bytes);
        self
    }

    /// Takes what comes next. After a mistake nothing counts any more.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while self.failed.is_none() && !rest.is_empty() {
            if self.begun.is_empty()
                && self.draft.is_empty()
                && let Some(record) = PlainRecord::read(rest)
            {
                self.failed = self.plain(&record).err();
                rest = &rest[record.text.len() + 1..];
                continue;
            }
            let Some(end) = memchr::memchr(b'\n', rest) else {
                self.begun.extend_from_slice(rest);
                if self.begun.len() > MAX_LINE {
                    let line = std::mem::take(&mut self.begun);
                    self.failed = self.line(&line).err();
                }
                return;
            };
            let (line, next) = rest.split_at(end);
            rest = &next[1..];
            let result = if self.begun.is_empty() {
                self.line(line)
            } else {
                let mut whole = std::mem::take(&mut self.begun);
                whole.extend_from_slice(line);
                let result = self.line(&whole);
                whole.clear();
                self.begun = whole;
                result
            };
            self.failed = result.err();
        }
    }

    /// All records, in order.
    pub(crate) fn finish(mut self) -> Result<Records, IndexError> {
        let last = std::mem::take(&mut self.begun);
        if self.failed.is_none() && !last.is_empty() {
            self.failed = self.line(&last).err();
        }
        if self.failed.is_none() {
            self.failed = self.end().err();
        }
        if let Some(error) = self.failed {
            return Err(error);
        }
        Records::of_built(self.records, self.lines).map_err(IndexError::Keep)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), IndexError> {
        let number = self.number;
        self.number += 1;
        if line.is_empty() {
            return self.end();
        }
        // Quicker, where it is what it should be.
        let text = str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed);
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

    fn plain(&mut self, record: &PlainRecord<'_>) -> Result<(), IndexError> {
        self.number += record.lines + 1;
        self.room.take_bytes(weight_of(|slot| record.value(slot)))?;
        self.records.begin(self.lines.len(), record.value(ARCH));
        self.lines.add(record.text.as_bytes());
        name_all(&mut self.records, |slot| record.value(slot));
        Ok(())
    }

    /// A record without a name or version is of no use to anyone.
    fn end(&mut self) -> Result<(), IndexError> {
        if !self.draft.values[NAME].is_empty() && !self.draft.values[VERSION].is_empty() {
            self.room.take_bytes(weight_of(|slot| self.draft.value(slot)))?;
            self.draft.keep(&mut self.records, &mut self.lines);
        }
        self.draft.clear();
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
        self.take_bytes(weight(record))
    }

    fn take_bytes(&mut self, bytes: u64) -> Result<(), IndexError> {
        self.left = self.left.checked_sub(bytes).ok_or(IndexError::TooMuch { limit: self.all })?;
        Ok(())
    }
}

/// What the allocator adds to a text.
const OWN: usize = 16;

/// About how many bytes a record takes.
fn weight(record: &Record) -> u64 {
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
    let provide = |provide: &Provide| {
        let version = provide.version.as_ref().map_or(0, |version| 1 + version.as_str().len());
        size_of::<Provide>() + provide.name.as_str().len() + version + 2 * OWN
    };
    let provides: usize = record.provides.iter().map(provide).sum();
    (size_of::<Record>() + texts + needs + provides) as u64
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use assemble_types::MemorySpool;
    use proptest::prelude::*;

    pub(crate) fn parse_records(bytes: &[u8]) -> Result<Records, IndexError> {
        let mut reader = RecordReader::new(Room::beside(0), &MemorySpool);
        reader.feed(bytes);
        reader.finish()
    }

    #[test]
    fn it_does_not_matter_in_which_pieces_the_text_comes() {
        let text = "P:a\nV:1\nT:\u{e9}\n\n\nP:b\nV:2\nD:x y\n\nP:c\nV:3";
        let whole = format!("{:?}", parse_records(text.as_bytes()).unwrap());
        for size in 1..text.len() {
            let mut reader = RecordReader::new(Room::beside(0), &MemorySpool);
            text.as_bytes().chunks(size).for_each(|piece| reader.feed(piece));
            assert_eq!(format!("{:?}", reader.finish().unwrap()), whole, "{size}");
        }
        for (bad, line) in [("P:a\nx\nP:b\n", 2), ("P:a\nV:1\n\nS:x\n", 4)] {
            for size in 1..bad.len() {
                let mut reader = RecordReader::new(Room::beside(0), &MemorySpool);
                bad.as_bytes().chunks(size).for_each(|piece| reader.feed(piece));
                let error = reader.finish().unwrap_err().to_string();
                assert!(error.starts_with(&format!("line {line} of the index")), "{size}: {error}");
            }
        }
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let record = format!("P:a\nV:1\nT:{}\n\n", "x".repeat(1000));
        let mut reader =
            RecordReader::new(Room::beside(usize::try_from(Room::ALL).unwrap() - 100_000), &MemorySpool);
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
        let mut reader =
            RecordReader::new(Room::beside(usize::try_from(Room::ALL).unwrap() - 1000), &MemorySpool);
        for _ in 0..1000 {
            reader.feed(format!("T:{}\nx:{}\n", "y".repeat(500), "z".repeat(500)).as_bytes());
        }
        assert_eq!(reader.finish().unwrap().len(), 0);
    }

    /// Letters that stand for something in lines which were written for records of version 3.
    #[test]
    fn letters_of_kept_lines_mean_nothing_in_a_text() {
        let long = Checksum::from_sha256([7; 32]);
        let text = format!("P:a\nV:1\nh:{long}\nd:=x\nw:=y\n\nP:b\nV:1\nC:{long}\n\n");
        let records = parse_records(text.as_bytes()).unwrap();
        for (number, record) in records.iter().enumerate() {
            assert_eq!((record.checksum, records.checksum(number), record.unknown_field), (None, None, None));
            assert!(record.depends.is_empty() && record.install_if.is_empty());
        }
        let (names, lines) = records.as_text().unwrap();
        assert_eq!(lines.read(names, 0).unwrap(), "P:a\nV:1\n");
        assert_eq!(names.heads().count(), 0);
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
