//! Tar headers, encoded as Go's `archive/tar` encodes them when it is given no format.
//!
//! The plainest form that can hold the values is taken: USTAR, else PAX (a record block in front), else GNU. Every
//! layer digest depends on each byte made here; `docs/format/layer-v1.md` describes them.

use std::collections::BTreeMap;

pub(crate) const BLOCK: usize = 512;

/// What the record block of a PAX header may hold; Go has the same limit.
const MAX_RECORDS: usize = 1 << 20;

const NAME: usize = 100;
const PREFIX: usize = 155;
const ACCOUNT: usize = 32;
/// Widths of the numeric fields, the closing NUL included.
const SHORT_NUMBER: usize = 8;
const LONG_NUMBER: usize = 12;

/// The values of one header, borrowed from the tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct Header<'a> {
    pub(crate) type_flag: u8,
    pub(crate) name: &'a [u8],
    pub(crate) link: &'a [u8],
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) uname: &'a [u8],
    pub(crate) gname: &'a [u8],
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) xattrs: Option<&'a BTreeMap<Vec<u8>, Vec<u8>>>,
}

/// Why no form can hold the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unrepresentable {
    /// A NUL byte ends every text of a tar header.
    #[error("its {0} holds a NUL byte")]
    Nul(&'static str),
    /// A PAX record's key ends at its first `=`.
    #[error("the name of an extended attribute holds `=` or is empty")]
    XattrName,
    /// Only GNU's form holds big device numbers, and it has no room for what else is there.
    #[error("its device number is too big to stand together with its other attributes")]
    Device,
    /// More than a mebibyte of extended attributes.
    #[error("its extended attributes are more than a mebibyte")]
    TooManyRecords,
}

/// PAX records by key; their order in the file is that of the keys.
type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// The forms that can still hold the values.
struct Forms {
    ustar: bool,
    pax: bool,
    gnu: bool,
    records: Records,
}

impl Forms {
    fn text(&mut self, text: &[u8], width: usize, key: &str, splittable: bool, gnu_long: bool) {
        let long = text.len() > width;
        if text.contains(&0) || (long && !gnu_long) {
            self.gnu = false;
        }
        if long || !is_plain(text) {
            self.ustar &= splittable && split_name(text).is_some();
            self.records.insert(key.into(), text.to_vec());
        }
    }

    fn number(&mut self, number: i64, width: usize, key: Option<&str>) {
        if fits_octal(number, width) {
            return;
        }
        self.ustar = false;
        match key {
            Some(key) => drop(self.records.insert(key.into(), number.to_string().into_bytes())),
            None => self.pax = false,
        }
    }
}

/// A text that an old tar understands: ASCII without NUL.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|b| b.is_ascii() && *b != 0)
}

fn plain(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|b| b.is_ascii() && *b != 0).collect()
}

fn fits_octal(number: i64, width: usize) -> bool {
    number >= 0 && number < 1 << ((width - 1) * 3)
}

/// Splits a long ASCII name at the last slash that leaves at most 155 bytes in front.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= NAME || !is_plain(name) {
        return None;
    }
    let window = &name[..name.len().min(PREFIX + 1)];
    let slash = window.iter().rposition(|b| *b == b'/').filter(|at| *at > 0)?;
    let rest = &name[slash + 1..];
    (!rest.is_empty() && rest.len() <= NAME).then_some((&name[..slash], rest))
}

fn put_text(field: &mut [u8], text: &[u8]) {
    let n = text.len().min(field.len());
    field[..n].copy_from_slice(&text[..n]);
    // A cut name that ends in a slash would make old readers see a folder.
    if text.len() > field.len() && field.last() == Some(&b'/') {
        let keep = field[..n - 1].iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
        field[keep] = 0;
    }
}

/// Zero-padded octal digits and a NUL; a number that does not fit becomes 0, and a record has the real one.
fn put_octal(field: &mut [u8], number: i64) {
    let width = field.len() - 1;
    let mut number = if fits_octal(number, field.len()) { number } else { 0 };
    for digit in field[..width].iter_mut().rev() {
        *digit = b'0' + (number & 7).to_le_bytes()[0];
        number >>= 3;
    }
    field[width] = 0;
}

/// Octal if it fits, else GNU's big-endian binary with the top bit set.
fn put_gnu_number(field: &mut [u8], number: i64) {
    if fits_octal(number, field.len()) {
        return put_octal(field, number);
    }
    let mut number = number;
    for byte in field.iter_mut().rev() {
        *byte = number.to_le_bytes()[0];
        number >>= 8;
    }
    field[0] |= 0x80;
}

/// One 512-byte block under construction.
struct Block([u8; BLOCK]);

impl Block {
    fn new() -> Self {
        Self([0; BLOCK])
    }

    fn field(&mut self, at: usize, width: usize) -> &mut [u8] {
        &mut self.0[at..at + width]
    }

    fn numbers(&mut self, header: &Header<'_>, put: fn(&mut [u8], i64)) {
        put(self.field(100, SHORT_NUMBER), i64::from(header.mode));
        put(self.field(108, SHORT_NUMBER), i64::from(header.uid));
        put(self.field(116, SHORT_NUMBER), i64::from(header.gid));
        put(self.field(124, LONG_NUMBER), i64::try_from(header.size).unwrap_or(i64::MAX));
        put(self.field(136, LONG_NUMBER), header.mtime);
        put(self.field(329, SHORT_NUMBER), i64::from(header.major));
        put(self.field(337, SHORT_NUMBER), i64::from(header.minor));
    }

    fn texts(&mut self, header: &Header<'_>, name: &[u8], clean: fn(&[u8]) -> Vec<u8>) {
        put_text(self.field(0, NAME), &clean(name));
        put_text(self.field(157, NAME), &clean(header.link));
        put_text(self.field(265, ACCOUNT), &clean(header.uname));
        put_text(self.field(297, ACCOUNT), &clean(header.gname));
    }

    fn finish(mut self, type_flag: u8, magic: [u8; 8], out: &mut Vec<u8>) {
        self.0[156] = type_flag;
        self.field(257, 8).copy_from_slice(&magic);
        self.field(148, 8).fill(b' ');
        let sum: i64 = self.0.iter().map(|b| i64::from(*b)).sum();
        put_octal(self.field(148, 7), sum);
        out.extend_from_slice(&self.0);
    }
}

const USTAR: [u8; 8] = *b"ustar\x0000";
const GNU: [u8; 8] = *b"ustar  \x00";

impl Header<'_> {
    /// Appends the header blocks, the extended ones included.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), Unrepresentable> {
        let forms = self.forms()?;
        if forms.ustar {
            let (prefix, name) = split_name(self.name).unwrap_or((b"", self.name));
            let mut block = Block::new();
            block.texts(self, name, <[u8]>::to_vec);
            block.numbers(self, put_octal);
            put_text(block.field(345, PREFIX), prefix);
            block.finish(self.type_flag, USTAR, out);
        } else if forms.pax {
            put_records(self.name, &forms.records, out)?;
            let mut block = Block::new();
            block.texts(self, self.name, plain);
            block.numbers(self, put_octal);
            block.finish(self.type_flag, USTAR, out);
        } else if forms.gnu {
            for (text, flag) in [(self.name, b'L'), (self.link, b'K')] {
                if text.len() > NAME {
                    put_extension(b"././@LongLink", flag, GNU, &[text, &[0]].concat(), out);
                }
            }
            let mut block = Block::new();
            block.texts(self, self.name, <[u8]>::to_vec);
            block.numbers(self, put_gnu_number);
            block.finish(self.type_flag, GNU, out);
        } else {
            return Err(Unrepresentable::Device);
        }
        Ok(())
    }

    fn forms(&self) -> Result<Forms, Unrepresentable> {
        for (text, what) in [
            (self.name, "name"),
            (self.link, "link text"),
            (self.uname, "user name"),
            (self.gname, "group name"),
        ] {
            if text.contains(&0) {
                return Err(Unrepresentable::Nul(what));
            }
        }
        let mut forms = Forms { ustar: true, pax: true, gnu: true, records: Records::new() };
        forms.text(self.name, NAME, "path", true, true);
        forms.text(self.link, NAME, "linkpath", false, true);
        forms.text(self.uname, ACCOUNT, "uname", false, false);
        forms.text(self.gname, ACCOUNT, "gname", false, false);
        forms.number(i64::from(self.uid), SHORT_NUMBER, Some("uid"));
        forms.number(i64::from(self.gid), SHORT_NUMBER, Some("gid"));
        forms.number(i64::try_from(self.size).unwrap_or(i64::MAX), LONG_NUMBER, Some("size"));
        forms.number(self.mtime, LONG_NUMBER, Some("mtime"));
        forms.number(i64::from(self.major), SHORT_NUMBER, None);
        forms.number(i64::from(self.minor), SHORT_NUMBER, None);
        for (name, value) in self.xattrs.into_iter().flatten() {
            if name.is_empty() || name.contains(&b'=') {
                return Err(Unrepresentable::XattrName);
            }
            if name.contains(&0) {
                return Err(Unrepresentable::Nul("extended attribute's name"));
            }
            forms.ustar = false;
            forms.gnu = false;
            forms.records.insert([b"SCHILY.xattr.", name.as_slice()].concat(), value.clone());
        }
        Ok(forms)
    }
}

/// The record block `<folder>/PaxHeaders.0/<name>`: each record is its own length, a blank, key, `=`, value, newline.
fn put_records(name: &[u8], records: &Records, out: &mut Vec<u8>) -> Result<(), Unrepresentable> {
    let mut data = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut len = rest + decimal_digits(rest);
        // One more digit may be needed to write the length once its own digits are counted.
        len = rest + decimal_digits(len);
        data.extend_from_slice(len.to_string().as_bytes());
        data.push(b' ');
        data.extend_from_slice(key);
        data.push(b'=');
        data.extend_from_slice(value);
        data.push(b'\n');
        if data.len() > MAX_RECORDS {
            return Err(Unrepresentable::TooManyRecords);
        }
    }
    let split = name.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    let (folder, base) = name.split_at(split);
    let mut label = plain(&[folder, b"PaxHeaders.0/", base].concat());
    label.truncate(NAME);
    while label.last() == Some(&b'/') {
        label.pop();
    }
    put_extension(&label, b'x', USTAR, &data, out);
    Ok(())
}

fn decimal_digits(number: usize) -> usize {
    number.to_string().len()
}

/// A block of type `flag` with `data` behind it; owner, mode and time are 0, the device fields empty.
fn put_extension(name: &[u8], flag: u8, magic: [u8; 8], data: &[u8], out: &mut Vec<u8>) {
    let mut block = Block::new();
    put_text(block.field(0, NAME), name);
    for (at, width) in [(100, SHORT_NUMBER), (108, SHORT_NUMBER), (116, SHORT_NUMBER), (136, LONG_NUMBER)] {
        put_octal(block.field(at, width), 0);
    }
    put_octal(block.field(124, LONG_NUMBER), i64::try_from(data.len()).unwrap_or(i64::MAX));
    block.finish(flag, magic, out);
    out.extend_from_slice(data);
    out.resize(out.len() + padding(data.len() as u64), 0);
}

/// How many zero bytes fill up the last block of so many bytes.
pub(crate) fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    (BLOCK - over) % BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(header: &Header<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        header.encode(&mut out).unwrap();
        assert_eq!(out.len() % BLOCK, 0);
        out
    }

    fn named(name: &[u8]) -> Header<'_> {
        Header { type_flag: b'0', name, mode: 0o644, ..Header::default() }
    }

    /// Name of the extended block, its records, name and prefix of the main block.
    fn forms(name: &[u8]) -> String {
        let bytes = encode(&named(name));
        let text = |bytes: &[u8]| bytes.split(|b| *b == 0).next().unwrap().escape_ascii().to_string();
        let main = &bytes[bytes.len() - BLOCK..];
        let (name, prefix) = (text(&main[..100]), text(&main[345..500]));
        match bytes.len() {
            BLOCK => format!("{prefix}|{name}"),
            _ => format!("{} {} {prefix}|{name}", text(&bytes[..100]), text(&bytes[BLOCK..])),
        }
    }

    #[test]
    fn names_are_split_recorded_or_cut() {
        let long = "n".repeat(100);
        assert_eq!(forms(long.as_bytes()), format!("|{long}"));
        assert_eq!(forms(format!("a/{long}").as_bytes()), format!("a|{long}"));
        let (d155, d156) = ("d".repeat(155), "d".repeat(156));
        assert_eq!(forms(format!("{d155}/{long}").as_bytes()), format!("{d155}|{long}"));
        let recorded = forms(format!("{d156}/x").as_bytes());
        assert!(recorded.contains(&format!("path={d156}/x")), "{recorded}");
        // The label is cut to 100 bytes, and so is the name of the main block.
        assert!(
            recorded.starts_with(&"d".repeat(100)) && recorded.ends_with(&format!("|{}", "d".repeat(100)))
        );
        assert_eq!(forms("\u{fc}/x".as_bytes()), r"/PaxHeaders.0/x 13 path=\xc3\xbc/x\n |/x");
        assert_eq!(forms("x/\u{fc}".as_bytes()), r"x/PaxHeaders.0 13 path=x/\xc3\xbc\n |x/");
        // A cut that ends in a slash would look like a folder.
        let slash = format!("{}/{}", "s".repeat(99), "\u{fc}x".repeat(40));
        assert!(forms(slash.as_bytes()).ends_with(&format!("|{}", "s".repeat(99))));
    }

    #[test]
    fn a_records_length_counts_its_own_digits() {
        for (len, expected) in [(4, 9), (5, 11), (6, 12), (92, 98), (93, 99), (94, 101), (95, 102)] {
            let mut out = Vec::new();
            let value = "p".repeat(len);
            let records = [(b"k".to_vec(), value.clone().into_bytes())].into();
            put_records(b"x", &records, &mut out).unwrap();
            let record = format!("{expected} k={value}\n");
            assert_eq!(record.len(), expected, "the table itself");
            assert_eq!(&out[BLOCK..BLOCK + expected], record.as_bytes());
        }
    }

    #[test]
    fn numbers_that_do_not_fit_become_records() {
        let bytes = encode(&Header { size: (8 << 30) + 1, uid: 2_097_152, mtime: -5, ..named(b"f") });
        let records = bytes[BLOCK..2 * BLOCK].split(|b| *b == 0).next().unwrap();
        assert_eq!(records, b"12 mtime=-5\n19 size=8589934593\n15 uid=2097152\n");
        let main = &bytes[2 * BLOCK..];
        assert_eq!(&main[108..116], b"0000000\0");
        assert_eq!(&main[124..136], b"00000000000\0");
        assert_eq!(&main[136..148], b"00000000000\0");
        assert_eq!(encode(&Header { size: (8 << 30) - 1, uid: 2_097_151, ..named(b"f") }).len(), BLOCK);
    }

    #[test]
    fn a_big_device_number_needs_gnu() {
        let device = Header { type_flag: b'3', major: 2_097_152, ..named(b"d") };
        let bytes = encode(&device);
        assert_eq!(
            (&bytes[257..265], &bytes[329..337]),
            (&b"ustar  \0"[..], &[0x80, 0, 0, 0, 0, 0x20, 0, 0][..])
        );
        let name = "n".repeat(101);
        let bytes = encode(&Header { name: name.as_bytes(), mtime: -1, ..device.clone() });
        assert_eq!((&bytes[..13], bytes[156], bytes.len()), (&b"././@LongLink"[..], b'L', 3 * BLOCK));
        assert_eq!(bytes[2 * BLOCK + 136..2 * BLOCK + 148], [0xff; 12]);
        let xattrs = [(b"user.a".to_vec(), Vec::new())].into();
        let both = Header { xattrs: Some(&xattrs), ..device };
        assert_eq!(both.encode(&mut Vec::new()), Err(Unrepresentable::Device));
    }

    #[test]
    fn what_no_form_holds_is_refused() {
        let refuse = |header: &Header<'_>| header.encode(&mut Vec::new()).unwrap_err().to_string();
        assert_eq!(refuse(&Header { link: b"a\0b", ..named(b"x") }), "its link text holds a NUL byte");
        let xattrs = |name: &[u8], value: usize| BTreeMap::from([(name.to_vec(), vec![0; value])]);
        let refuse_xattr = |x: &BTreeMap<_, _>| refuse(&Header { xattrs: Some(x), ..named(b"x") });
        assert!(refuse_xattr(&xattrs(b"user.a=b", 1)).contains('='));
        assert!(refuse_xattr(&xattrs(b"", 1)).contains("empty"));
        assert!(refuse_xattr(&xattrs(b"a\0", 1)).contains("NUL"));
        assert!(refuse_xattr(&xattrs(b"a", 1 << 20)).contains("mebibyte"));
    }
}
