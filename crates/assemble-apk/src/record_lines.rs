//! Records as lines that are kept: written here where an index has none of its own, and read.

use std::fmt::Display;
use std::io;

use assemble_types::Spool;

use crate::index_text::{check, checksum, constraint, number};
use crate::lines::LineWriter;
use crate::names::NamesBuilder;
use crate::record_names::name_record;
use crate::records::Records;
use crate::{Checksum, Constraint, PackageName, Provide, Record, Version};

/// A checksum of 32 bytes: a text has none, and `C:` means shorter ones. As the two letters below, this one is in lower
/// case and unknown to texts, so that no kept line of a text begins with it.
const LONG_SUM: &str = "h:";
/// In place of `D:` and `i:`, where one of the list is outside the grammar: what it says may read as if it were inside.
const MARKED_DEPENDS: &str = "d:";
const MARKED_INSTALL_IF: &str = "w:";
/// Stands in such a list in front of what is outside the grammar. Nothing that is inside begins so.
const OUTSIDE: &str = "=";
/// Stands for a space in what is outside: that is fit to be shown, and so has no control character.
const SPACE: &str = "\u{1}";

/// Keeps records of format version 3, one by one: what is asked of all of them in tables, and each as lines.
pub(crate) struct RecordKeeper {
    names: NamesBuilder,
    pen: Pen,
}

impl RecordKeeper {
    /// Keeps the records' lines in the spool.
    pub(crate) fn new(spool: &dyn Spool) -> Self {
        Self { names: NamesBuilder::default(), pen: Pen { text: String::new(), out: LineWriter::new(spool) } }
    }

    /// The next record. The caller sees to it that there is room for all of them.
    pub(crate) fn add(&mut self, record: &Record) {
        name_record(&mut self.names, self.pen.out.len(), record);
        self.pen.record(record);
        self.pen.rest();
    }

    /// All records, in order.
    pub(crate) fn finish(self) -> io::Result<Records> {
        Records::of_built(self.names, self.pen.out)
    }
}

/// How many bytes a pen holds, before a last piece: one record may be as long as all may be together.
const HELD: usize = 16 << 10;

/// Hands over what is written in pieces that are not as small as it is written in.
struct Pen {
    text: String,
    out: LineWriter,
}

impl Pen {
    fn put(&mut self, piece: &str) {
        self.text.push_str(piece);
        if self.text.len() > HELD {
            self.rest();
        }
    }

    fn rest(&mut self) {
        self.out.add(self.text.as_bytes());
        self.text.clear();
    }

    /// Writes the lines that [`read_lines`] reads a record of format version 3 from, in the order of
    /// [`LETTERS`](crate::index_text::LETTERS). Nothing in such a record has a line break in it, and no name or version
    /// white space; it has neither tags nor unknown fields.
    fn record(&mut self, record: &Record) {
        self.line("P:", record.name.as_str());
        self.line("V:", record.version.as_str());
        self.line("A:", &record.arch);
        if let Some(sum) = &record.checksum {
            self.line(if sum.is_short() { "C:" } else { LONG_SUM }, &sum.to_string());
        }
        self.number("S:", record.size);
        self.number("I:", record.installed_size);
        self.number("k:", record.provider_priority);
        self.line("o:", &record.origin);
        self.number("t:", record.build_time);
        self.constraints("D:", MARKED_DEPENDS, &record.depends);
        self.list("p:", &record.provides, Self::provide);
        self.constraints("i:", MARKED_INSTALL_IF, &record.install_if);
        self.line("L:", &record.license);
        self.line("T:", &record.description);
        self.line("m:", &record.maintainer);
        self.line("U:", &record.url);
        self.line("c:", &record.commit);
    }

    /// One that is empty need not be there.
    fn line(&mut self, letter: &str, value: &str) {
        if !value.is_empty() {
            for piece in [letter, value, "\n"] {
                self.put(piece);
            }
        }
    }

    fn number<T: Display + Default + PartialEq + Copy>(&mut self, letter: &str, value: T) {
        if value != T::default() {
            self.line(letter, &value.to_string());
        }
    }

    fn list<T>(&mut self, letter: &str, items: &[T], item: impl Fn(&mut Self, &T)) {
        let mut before = letter;
        for one in items {
            self.put(before);
            item(self, one);
            before = " ";
        }
        if !items.is_empty() {
            self.put("\n");
        }
    }

    fn provide(&mut self, provide: &Provide) {
        self.put(provide.name.as_str());
        if let Some(version) = &provide.version {
            self.put("=");
            self.put(version.as_str());
        }
    }

    fn constraints(&mut self, letter: &str, marked: &str, items: &[Constraint]) {
        let inside = items.iter().all(|one| one.name.can_be_met());
        self.list(if inside { letter } else { marked }, items, Self::constraint);
    }

    fn constraint(&mut self, one: &Constraint) {
        let name = one.name.as_str();
        if !one.name.can_be_met() {
            self.put(OUTSIDE);
            return self.put(&name.replace(' ', SPACE));
        }
        self.put(if one.conflict { "!" } else { "" });
        self.put(name);
        if let Some(version) = &one.version {
            self.put(one.operator.as_str());
            self.put(version.as_str());
        }
    }
}

/// A record of its lines, as they are kept: nothing in them is wrong.
pub(crate) fn read_lines(lines: &str) -> Record {
    let mut record = Record {
        name: PackageName::unmeetable(""),
        version: Version::none(),
        arch: String::new(),
        license: String::new(),
        description: String::new(),
        origin: String::new(),
        maintainer: String::new(),
        url: String::new(),
        depends: Vec::new(),
        provides: Vec::new(),
        install_if: Vec::new(),
        commit: String::new(),
        build_time: 0,
        size: 0,
        installed_size: 0,
        provider_priority: 0,
        checksum: None,
        unknown_field: None,
    };
    let mut rest = lines;
    while let Some(end) = memchr::memchr(b'\n', rest.as_bytes()) {
        let (line, next) = rest.split_at(end);
        rest = &next[1..];
        if let Some((letter, value)) = line.split_once(':') {
            field(&mut record, letter, value);
        }
    }
    record
}

/// The same of lines that somebody may have altered. Nothing where one of them is wrong, or where the record has no name or
/// version.
pub(crate) fn read_foreign_lines(lines: &str) -> Option<Record> {
    let (mut name, mut version) = (false, false);
    for line in lines.split_terminator('\n') {
        let &[letter, b':', ..] = line.as_bytes() else { return None };
        let value = &line[2..];
        check(letter, value).ok()?;
        match letter {
            b'P' => name = !value.is_empty(),
            b'V' => version = !value.is_empty(),
            _ => {}
        }
    }
    (name && version).then(|| read_lines(lines))
}

/// The checksum in a record's lines.
pub(crate) fn checksum_of(lines: &str) -> Option<Checksum> {
    let short = |line: &str| line.strip_prefix("C:").map(checksum);
    let long = |line: &str| line.strip_prefix(LONG_SUM).map(long_checksum);
    lines.split('\n').find_map(|line| short(line).or_else(|| long(line)))?
}

fn long_checksum(value: &str) -> Option<Checksum> {
    Checksum::parse(value).ok().filter(|sum| !sum.is_short())
}

fn constraints(value: &str, read: impl Fn(&str) -> Constraint) -> Vec<Constraint> {
    value.split_ascii_whitespace().map(read).collect()
}

fn marked(token: &str) -> Constraint {
    match token.strip_prefix(OUTSIDE) {
        Some(shown) => Constraint::unmeetable_as(&shown.replace(SPACE, " ")),
        None => constraint(token),
    }
}

fn field(record: &mut Record, letter: &str, value: &str) {
    match letter.as_bytes().first().copied().unwrap_or_default() {
        b'P' => record.name = PackageName::parse(value).unwrap_or_else(|_| PackageName::unmeetable(value)),
        b'V' => record.version = Version::parse(value).unwrap_or_else(|_| Version::none()),
        b'A' => value.clone_into(&mut record.arch),
        b'L' => value.clone_into(&mut record.license),
        b'T' => value.clone_into(&mut record.description),
        b'o' => value.clone_into(&mut record.origin),
        b'm' => value.clone_into(&mut record.maintainer),
        b'U' => value.clone_into(&mut record.url),
        b'c' => value.clone_into(&mut record.commit),
        b'D' => record.depends = constraints(value, constraint),
        b'd' => record.depends = constraints(value, marked),
        b'i' => record.install_if = constraints(value, constraint),
        b'w' => record.install_if = constraints(value, marked),
        b'p' => {
            let provides = value.split_ascii_whitespace();
            record.provides = provides.filter_map(|token| Provide::parse(token).ok()).collect();
        }
        b't' => record.build_time = number(value).unwrap_or_default(),
        b'S' => record.size = number(value).unwrap_or_default(),
        b'I' => record.installed_size = number(value).unwrap_or_default(),
        b'k' => record.provider_priority = number(value).unwrap_or_default(),
        b'C' => record.checksum = checksum(value),
        b'h' => record.checksum = long_checksum(value),
        other => record.unknown_field = Some(char::from(other)),
    }
}
