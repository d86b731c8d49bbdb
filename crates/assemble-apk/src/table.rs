//! What was found out about a package, written down so that its data section need not be read again to know its entries.
//!
//! A table is kept by whoever checked the package, and holds good for the very bytes that were checked. The control
//! section is not in it: that is small, and is checked against the index each time.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use assemble_types::{Blob, Digest, ImagePath, Mode, Owner, ReadAt, StreamMark, StreamMarks};

use crate::data::Unpacked;
use crate::open::read_start;
use crate::{
    ContentSum, Entry, EntryKind, Expected, Format, Limits, Oddity, Package, PackageProblem, SectionMarks,
    Xattrs,
};

/// Counts up with each change of the form.
const FORM: &[u8] = b"package table 2\n";

impl Package {
    /// The table of a package of version 2 whose contents are ranges of its data section. Nothing of others.
    pub fn to_table(&self) -> Option<Vec<u8>> {
        let Format::V2 { data, data_hash, plain_size, diff_id, marks, oddity, .. } = &self.format else {
            return None;
        };
        let mut out = Writer(FORM.to_vec());
        out.range(data);
        out.0.extend_from_slice(data_hash.as_bytes());
        out.number(*plain_size);
        out.bytes(diff_id.as_ref().map_or(&[], |digest| digest.as_bytes().as_slice()));
        out.marks(marks.as_ref());
        out.0.push(oddity.map_or(0, |oddity| oddity as u8 + 1));
        out.number(self.entries.len() as u64);
        for entry in &self.entries {
            out.entry(entry)?;
        }
        Some(out.0)
    }
}

/// What is kept beside a package, by its digest.
#[derive(Clone, Copy)]
pub struct Beside<'a> {
    /// The unpacked data section of this digest, if it is kept.
    pub plain: &'a dyn Fn(&Digest) -> Option<Blob>,
    /// The windows of this digest, of which there are so many bytes. That they cannot be had may show when they are read.
    pub windows: &'a dyn Fn(&Digest, u64) -> Blob,
}

impl fmt::Debug for Beside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beside").finish_non_exhaustive()
    }
}

/// A package as a table has it. `packed` has to be the bytes that the table was made of: that is for the caller to know.
/// Its control section is read and checked against `expected`. Nothing if the table is not one, or not of this package.
///
/// # Errors
/// As [`crate::open_package`] about everything in front of the data section.
pub fn open_with_table(
    packed: &Blob,
    expected: &Expected,
    limits: &Limits,
    table: &[u8],
    beside: Beside<'_>,
) -> Result<Option<Package>, crate::PackageError> {
    read(packed, expected, limits, table, beside)
        .map_err(|problem| crate::PackageError { package: expected.id.clone(), problem: Box::new(problem) })
}

fn read(
    packed: &Blob,
    expected: &Expected,
    limits: &Limits,
    table: &[u8],
    beside: Beside<'_>,
) -> Result<Option<Package>, PackageProblem> {
    let Some(body) = table.strip_prefix(FORM) else { return Ok(None) };
    let start = read_start(packed, expected, limits)?;
    let data = start.control.end..packed.len();
    let mut input = Reader(body);
    let fits = input.range().as_ref() == Some(&data)
        && input.take(32) == Some(start.data_hash.as_bytes().as_slice());
    let Some(member) = packed.slice(data.clone()).filter(|_| fits) else { return Ok(None) };
    let unpacked = Unpacked::new(&member, start.data_hash).map_err(PackageProblem::Read)?;
    let contents = Blob::new(Arc::clone(&unpacked) as Arc<dyn ReadAt>, u64::MAX);
    let Some(Rest { plain_size, diff_id, marks, oddity, entries }) = input.rest(&contents) else {
        return Ok(None);
    };
    if let Some(plain) = diff_id.as_ref().and_then(beside.plain).filter(|plain| plain.len() == plain_size) {
        unpacked.keep(plain);
    }
    let marks = marks.map(|(all, windows)| {
        let kept = (beside.windows)(&windows, all.len() as u64 * StreamMarks::WINDOW);
        let marks = Arc::new(StreamMarks { all, windows: kept });
        unpacked.mark(Arc::clone(&marks));
        SectionMarks { marks, windows }
    });
    let format = Format::V2 {
        signature: start.signature,
        control: start.control,
        data,
        data_hash: start.data_hash,
        plain_size,
        diff_id,
        marks,
        oddity,
    };
    Ok(Some(Package {
        info: start.info,
        checksum: expected.checksum,
        size: packed.len(),
        packed: packed.clone(),
        format,
        entries,
        control_entries: start.control_entries,
    }))
}

struct Writer(Vec<u8>);

impl Writer {
    /// Seven bits a byte, the lowest first.
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
            number >>= 7;
        }
        self.0.push(u8::try_from(number).unwrap_or(0));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn range(&mut self, range: &Range<u64>) {
        self.number(range.start);
        self.number(range.end);
    }

    fn marks(&mut self, marks: Option<&SectionMarks>) {
        let all = marks.map_or(&[][..], |marks| &marks.marks.all);
        self.number(all.len() as u64);
        let (mut bit, mut plain) = (0, 0);
        for mark in all {
            self.number(mark.bit - bit);
            self.number(mark.plain - plain);
            self.0.extend_from_slice(&mark.sum.to_le_bytes());
            (bit, plain) = (mark.bit, mark.plain);
        }
        if let Some(marks) = marks.filter(|_| !all.is_empty()) {
            self.0.extend_from_slice(marks.windows.as_bytes());
        }
    }

    /// Nothing if its content is no range of a data section.
    fn entry(&mut self, entry: &Entry) -> Option<()> {
        let Entry { path, kind, mode, owner, mtime, checksum, xattrs } = entry;
        self.bytes(path.as_bytes());
        match kind {
            EntryKind::Directory => self.0.push(b'd'),
            EntryKind::File(content) => {
                self.0.push(b'f');
                self.range(&content.deflated()?.plain);
            }
            EntryKind::Symlink(text) => {
                self.0.push(b'l');
                self.bytes(text);
            }
            EntryKind::HardLink { target, text } => {
                self.0.push(b'h');
                self.bytes(target.as_bytes());
                self.bytes(text);
            }
        }
        self.number(mode.bits().into());
        self.number(owner.uid.into());
        self.number(owner.gid.into());
        self.0.extend_from_slice(&mtime.to_le_bytes());
        self.bytes(checksum.as_ref().map_or(&[], ContentSum::as_bytes));
        self.number(xattrs.as_ref().map_or(0, |xattrs| xattrs.len()) as u64);
        for (name, value) in xattrs.iter().flat_map(|xattrs| xattrs.iter()) {
            self.bytes(name);
            self.bytes(value);
        }
        Some(())
    }
}

struct Reader<'a>(&'a [u8]);

struct Rest {
    plain_size: u64,
    diff_id: Option<Digest>,
    marks: Option<(Vec<StreamMark>, Digest)>,
    oddity: Option<Oddity>,
    entries: Vec<Entry>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u64> {
        let mut out = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // What is shifted out would be lost.
            if bits != 0 && bits.leading_zeros() < shift {
                return None;
            }
            out |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(out);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.number()?;
        self.take(usize::try_from(count).ok()?)
    }

    fn range(&mut self) -> Option<Range<u64>> {
        let (start, end) = (self.number()?, self.number()?);
        (start <= end).then_some(start..end)
    }

    fn path(&mut self) -> Option<ImagePath> {
        ImagePath::parse(self.bytes()?).ok()
    }

    /// All behind the data section's hash.
    fn rest(mut self, contents: &Blob) -> Option<Rest> {
        let plain_size = self.number()?;
        let diff_id = match self.bytes()? {
            [] => None,
            bytes => Some(Digest::from_bytes(bytes.try_into().ok()?)),
        };
        let (marks, windows) = self.marks(plain_size)?;
        let marks = windows.map(|windows| (marks, windows));
        let oddity = match self.byte()? {
            0 => None,
            number => Some(*Oddity::ALL.get(usize::from(number) - 1)?),
        };
        let count = self.number()?;
        // Each takes more than a byte, so that a wrong count cannot ask for much.
        let mut entries = Vec::with_capacity(usize::try_from(count).ok()?.min(self.0.len()));
        for _ in 0..count {
            entries.push(self.entry(contents, plain_size)?);
        }
        self.0.is_empty().then_some(Rest { plain_size, diff_id, marks, oddity, entries })
    }

    /// Ascending, and each with a whole window in front of it; the digest of the windows if there are any.
    fn marks(&mut self, plain_size: u64) -> Option<(Vec<StreamMark>, Option<Digest>)> {
        let (mut all, mut last) = (Vec::new(), StreamMark { bit: 0, plain: 0, sum: 0 });
        for _ in 0..self.number()? {
            let (bits, bytes) = (self.number()?, self.number()?);
            last = StreamMark {
                bit: last.bit.checked_add(bits)?,
                plain: last.plain.checked_add(bytes).filter(|plain| *plain <= plain_size)?,
                sum: u32::from_le_bytes(self.take(4)?.try_into().ok()?),
            };
            if bytes < StreamMarks::WINDOW || bits == 0 {
                return None;
            }
            all.push(last);
        }
        let windows =
            if all.is_empty() { None } else { Some(Digest::from_bytes(self.take(32)?.try_into().ok()?)) };
        Some((all, windows))
    }

    fn entry(&mut self, contents: &Blob, plain_size: u64) -> Option<Entry> {
        let path = self.path()?;
        let kind = match self.byte()? {
            b'd' => EntryKind::Directory,
            b'f' => {
                let range = self.range().filter(|range| range.end <= plain_size)?;
                EntryKind::File(contents.slice(range)?)
            }
            b'l' => EntryKind::Symlink(self.bytes()?.into()),
            b'h' => EntryKind::HardLink { target: self.path()?, text: self.bytes()?.into() },
            _ => return None,
        };
        let mode = Mode::from_bits(self.small()?);
        let owner = Owner { uid: self.small()?, gid: self.small()? };
        let mtime = i64::from_le_bytes(self.take(8)?.try_into().ok()?);
        let checksum = match self.bytes()? {
            [] => None,
            bytes => Some(ContentSum::from_bytes(bytes.try_into().ok()?)),
        };
        let xattrs = Some(self.xattrs()?).filter(|xattrs| !xattrs.is_empty()).map(Box::new);
        Some(Entry { path, kind, mode, owner, mtime, checksum, xattrs })
    }

    fn xattrs(&mut self) -> Option<Xattrs> {
        let mut out = Xattrs::new();
        for _ in 0..self.number()? {
            let (name, value) = (self.bytes()?.to_vec(), self.bytes()?.to_vec());
            out.insert(name, value);
        }
        Some(out)
    }
}
