//! The lines of an index's records, which stay where they take no memory until somebody asks for a record.

use std::io;
use std::sync::{Arc, OnceLock};

use assemble_types::{Blob, Spool, SpoolWriter};

use crate::names::Names;
use crate::record_lines::{checksum_of, read_lines};
use crate::{Checksum, Record};

/// Takes lines, one record's behind the other.
pub(crate) struct LineWriter {
    out: Option<Box<dyn SpoolWriter>>,
    len: u32,
    failed: Option<io::Error>,
}

impl LineWriter {
    pub(crate) fn new(spool: &dyn Spool) -> Self {
        match spool.create() {
            Ok(out) => Self { out: Some(out), len: 0, failed: None },
            Err(error) => Self { out: None, len: 0, failed: Some(error) },
        }
    }

    /// How many bytes there are. Never more than an offset of 32 bits can tell: see [`crate::index_text::Room`].
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Adds bytes. Where that fails, [`LineWriter::finish`] tells.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.len = self.len.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        if let Some(out) = &mut self.out
            && let Err(error) = out.write_all(bytes)
        {
            (self.out, self.failed) = (None, Some(error));
        }
    }

    pub(crate) fn finish(self) -> io::Result<Blob> {
        match (self.out, self.failed) {
            (Some(out), None) => out.finish(),
            (_, failed) => Err(failed.unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())),
        }
    }
}

/// How many bytes are read at once where all are read.
const AT_ONCE: u64 = 256 << 10;
/// How many records have their places allocated together.
const PAGE: usize = 8;
/// Places of records that are read when they are first asked for.
type Page = Box<[OnceLock<Box<Record>>; PAGE]>;

/// Lines, and the records that were read of them.
#[derive(Debug)]
pub(crate) struct Lines {
    text: Blob,
    count: usize,
    read: Box<[OnceLock<Page>]>,
    failed: OnceLock<io::Error>,
}

impl Lines {
    /// The lines of so many records.
    pub(crate) fn new(text: Blob, count: usize) -> Arc<Self> {
        let read = (0..count.div_ceil(PAGE)).map(|_| OnceLock::new()).collect();
        Arc::new(Self { text, count, read, failed: OnceLock::new() })
    }

    /// How many records there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// All lines.
    pub(crate) fn text(&self) -> &Blob {
        &self.text
    }

    /// A record, if there are so many. One whose lines cannot be read has nothing in it, and [`Lines::check`] fails.
    pub(crate) fn get(&self, names: &Names, number: usize) -> Option<&Record> {
        if number >= self.count {
            return None;
        }
        let page = self.read.get(number / PAGE)?.get_or_init(Page::default);
        let record = || Box::new(read_lines(&self.read_or_note(names, number)));
        Some(page[number % PAGE].get_or_init(record))
    }

    /// The checksum of a record, which is not kept for it.
    pub(crate) fn checksum(&self, names: &Names, number: usize) -> Option<Checksum> {
        checksum_of(&self.read_or_note(names, number))
    }

    /// The lines of a record; none where they cannot be read, and [`Lines::check`] fails.
    fn read_or_note(&self, names: &Names, number: usize) -> String {
        self.read(names, number).unwrap_or_else(|error| {
            self.failed.get_or_init(|| error);
            String::new()
        })
    }

    /// The lines of a record.
    pub(crate) fn read(&self, names: &Names, number: usize) -> io::Result<String> {
        let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let range = names.line_range(number);
        let len = usize::try_from(range.end - range.start).map_err(|_| short())?;
        let (mut bytes, mut done) = (vec![0; len], 0);
        while done < len {
            // Fails rather than end early.
            done += match self.text.read_at(&mut bytes[done..], range.start + done as u64)? {
                0 => return Err(short()),
                read => read,
            };
        }
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Tells the version of every record, in order: all lines are read, and none is kept. Where that fails, versions are
    /// empty from there on, and [`Lines::check`] fails.
    pub(crate) fn versions(&self, names: &Names, mut tell: impl FnMut(&str)) {
        let (mut held, mut at) = (Vec::new(), 0_u64);
        for number in 0..self.count {
            let range = names.line_range(number);
            let held_to = at + held.len() as u64;
            if range.end > held_to {
                (held, at) = (self.piece(range.start, range.end), range.start);
            }
            let place = |offset: u64| usize::try_from(offset.saturating_sub(at)).unwrap_or(usize::MAX);
            let lines = held.get(place(range.start)..place(range.end)).unwrap_or_default();
            let version = lines.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"V:"));
            tell(version.and_then(|version| str::from_utf8(version).ok()).unwrap_or_default());
        }
    }

    /// The bytes from here on that are read at once, to this end at least.
    fn piece(&self, from: u64, to: u64) -> Vec<u8> {
        let end = to.max(self.text.len().min(from + AT_ONCE));
        let read = self.text.slice(from..end).ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
        read.and_then(|piece| piece.read_to_vec(u64::MAX)).unwrap_or_else(|error| {
            self.failed.get_or_init(|| error);
            Vec::new()
        })
    }

    /// Fails if a record's lines could not be read.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.failed.get() {
            Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
            None => Ok(()),
        }
    }

    /// Bytes of memory that this takes, but for what is in the records that were read.
    pub(crate) fn weight(&self) -> usize {
        let pages = self.read.iter().filter(|page| page.get().is_some()).count();
        size_of_val(&*self.read) + pages * size_of::<[OnceLock<Box<Record>>; PAGE]>()
    }
}

#[cfg(test)]
mod tests {
    use assemble_types::ReadAt;

    use super::*;
    use crate::index_text::tests::parse_records;
    use crate::records::Records;

    /// A disk that fails.
    #[derive(Debug)]
    struct Broken;

    impl ReadAt for Broken {
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }

    impl Spool for Broken {
        fn create(&self) -> io::Result<Box<dyn SpoolWriter>> {
            Err(io::Error::other("no room"))
        }
    }

    #[test]
    fn lines_that_cannot_be_read_are_told() {
        let whole = parse_records(b"P:a\nV:1\n\nP:b\nV:2\n\n").unwrap();
        let (names, lines) = whole.as_text().unwrap();
        let blob = Blob::new(Arc::new(Broken), lines.text().len());
        let records = Records::of_lines(Arc::clone(names), Lines::new(blob, 2));
        assert!(records.check().is_ok() && whole.check().is_ok());
        assert_eq!(records[1].version.as_str(), crate::Version::none().as_str());
        assert_eq!(records.check().unwrap_err().to_string(), "the disk is gone");
        assert!(records.get(2).is_none());
    }

    #[test]
    fn lines_that_cannot_be_written_are_told() {
        let mut writer = LineWriter::new(&Broken);
        writer.add(b"P:a\n");
        assert_eq!((writer.len(), writer.finish().unwrap_err().to_string()), (4, "no room".into()));
    }
}
