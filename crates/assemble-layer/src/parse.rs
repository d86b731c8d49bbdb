//! Reads the header blocks of one entry, whoever wrote them.
//!
//! # Why it is the way it is
//! The `tar` crate knows the header's names, prefix and magic values. Records and numbers are decoded here: that crate
//! splits PAX records at newlines, which the values of extended attributes may hold, reads extended headers without a
//! limit, and refuses fields left blank and device numbers in binary.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use assemble_types::{Digest, ImagePath, Mode};
use sha2::{Digest as _, Sha256};

use crate::LayerError;
use crate::header::{BLOCK, padding};
use crate::read::{EntryKind, LayerEntry, Unpacked};

/// Extended headers of one kind for one entry; Go has the same limit.
const MAX_EXTENSION: u64 = 1 << 20;
/// Extended headers in a row before one entry.
const MAX_EXTENSIONS: usize = 8;
/// Bytes of one name.
const MAX_NAME: usize = 16 << 10;

/// Whether a block's checksum is right, so that it is a header.
pub(crate) fn has_good_sum(block: &[u8]) -> bool {
    let sum = |bytes: &[u8]| bytes.iter().map(|b| u64::from(*b)).sum::<u64>();
    let expected = sum(&block[..148]) + 8 * u64::from(b' ') + sum(&block[156..]);
    field_number(&block[148..156]) == Some(expected)
}

/// The header blocks of one entry.
pub(crate) struct Headers {
    main: tar::Header,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    offset: u64,
    digest: Digest,
}

impl Headers {
    /// Reads up to the next main header; nothing at the end of the tar.
    pub(crate) fn read(input: &mut Unpacked) -> Result<Option<Self>, LayerError> {
        let offset = input.offset;
        let mut hasher = Sha256::new();
        let (mut records, mut long_name, mut long_link) = (BTreeMap::new(), None, None);
        for extensions in 0..=MAX_EXTENSIONS {
            let mut block = [0; BLOCK];
            let filled = input.full(&mut block)?;
            if filled == 0 || block.iter().all(|b| *b == 0) {
                if filled > 0 && filled < BLOCK {
                    return Err(input.failed(io::ErrorKind::UnexpectedEof.into()));
                }
                if extensions > 0 {
                    return Err(input.broken("extended headers without an entry behind them"));
                }
                return Ok(None);
            }
            if filled < BLOCK {
                return Err(input.failed(io::ErrorKind::UnexpectedEof.into()));
            }
            if !has_good_sum(&block) {
                return Err(input.broken("a header's checksum is wrong"));
            }
            hasher.update(block);
            let mut main = tar::Header::new_old();
            main.as_mut_bytes().copy_from_slice(&block);
            let type_flag = block[156];
            if !matches!(type_flag, b'x' | b'g' | b'L' | b'K') {
                let digest = Digest::from_bytes(hasher.finalize().into());
                return Ok(Some(Self { main, records, long_name, long_link, offset, digest }));
            }
            let data = extension(input, &main, &mut hasher)?;
            match type_flag {
                b'x' => {
                    records = pax_records(&data)
                        .ok_or_else(|| input.broken("the records of an extended header are malformed"))?;
                }
                b'L' => long_name = Some(until_nul(&data)),
                b'K' => long_link = Some(until_nul(&data)),
                // What holds for all entries is of no use in a layer, and no runtime heeds it.
                _ => {}
            }
        }
        Err(input.broken("too many extended headers in a row"))
    }

    /// What they say of the entry, which is number `index` of its layer.
    pub(crate) fn entry(self, index: u64) -> Result<LayerEntry, LayerError> {
        // An empty value takes a record back.
        let record = |key: &str| self.records.get(key.as_bytes()).filter(|value| !value.is_empty());
        let text = |key: &str| record(key).cloned();
        let name = text("path").or(self.long_name).unwrap_or_else(|| self.main.path_bytes().into_owned());
        if name.len() > MAX_NAME {
            return Err(LayerError::TooLarge { what: "bytes in one name", limit: MAX_NAME as u64 });
        }
        let path = ImagePath::parse(&name).map_err(|source| LayerError::Name { index, source })?;
        let bad = |field| LayerError::Field { path: path.clone(), field };
        let block = self.main.as_bytes();
        let number = |key: &'static str, field: Range<usize>| {
            let found = match record(key) {
                Some(value) => parse_number(value).and_then(|n| u64::try_from(n).ok()),
                None => field_number(&block[field]),
            };
            found.ok_or_else(|| bad(key))
        };
        let type_flag = block[156];
        let mut kind =
            EntryKind::of(type_flag).ok_or_else(|| LayerError::Type { path: path.clone(), type_flag })?;
        // Before folders had a type of their own, a slash at the end said what they are.
        if type_flag == 0 && name.ends_with(b"/") {
            kind = EntryKind::Directory;
        }
        // Links, folders and devices have no content, whatever their size field says.
        let size = number("size", 124..136)?;
        let size = if kind == EntryKind::File { size } else { 0 };
        let mtime = match record("mtime") {
            Some(value) => parse_number(value),
            None => header_time(&block[136..148]),
        };
        let device = match kind {
            EntryKind::CharDevice | EntryKind::BlockDevice => {
                let number = |field: Range<usize>| {
                    let found = field_number(&block[field]).and_then(|n| u32::try_from(n).ok());
                    found.ok_or_else(|| bad("device number"))
                };
                Some((number(329..337)?, number(337..345)?))
            }
            _ => None,
        };
        let header_text = |found: Option<&[u8]>| found.unwrap_or_default().to_vec();
        let prefix = b"SCHILY.xattr.";
        Ok(LayerEntry {
            kind,
            mode: Mode::from_bits(u32::try_from(number("mode", 100..108)? & 0o7777).unwrap_or(0)),
            uid: number("uid", 108..116)?,
            gid: number("gid", 116..124)?,
            uname: text("uname").unwrap_or_else(|| header_text(self.main.username_bytes())),
            gname: text("gname").unwrap_or_else(|| header_text(self.main.groupname_bytes())),
            mtime: mtime.ok_or_else(|| bad("mtime"))?,
            size,
            link: text("linkpath")
                .or(self.long_link)
                .unwrap_or_else(|| self.main.link_name_bytes().unwrap_or_default().into_owned()),
            device,
            xattrs: self
                .records
                .iter()
                .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_vec(), value.clone())))
                .collect(),
            offset: self.offset,
            header: self.digest,
            path,
            name,
        })
    }
}

/// A numeric field: octal digits, or GNU's binary with the top bit set. Old writers leave out what they take for 0.
fn field_number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        return rest.iter().try_fold(u64::from(first & 0x7f), |number, byte| {
            Some(number.checked_mul(256)? | u64::from(*byte))
        });
    }
    let digits = field.split(|b| *b == 0).next()?.trim_ascii();
    digits.iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// The time in the main header, which GNU writes in binary with the sign in front if it is negative.
fn header_time(field: &[u8]) -> Option<i64> {
    if field.first() == Some(&0xff) {
        let (sign, low) = field.split_at_checked(4)?;
        let time = i64::from_be_bytes(low.try_into().ok()?);
        return (sign == [0xff; 4] && time < 0).then_some(time);
    }
    i64::try_from(field_number(field)?).ok()
}

/// The data behind an extended header.
fn extension(input: &mut Unpacked, header: &tar::Header, hasher: &mut Sha256) -> Result<Vec<u8>, LayerError> {
    let size = field_number(&header.as_bytes()[124..136])
        .ok_or_else(|| input.broken("an extended header's size is no number"))?;
    if size > MAX_EXTENSION {
        return Err(LayerError::TooLarge { what: "bytes in an extended header", limit: MAX_EXTENSION });
    }
    let len = usize::try_from(size).unwrap_or(0);
    let mut data = vec![0; len + padding(size)];
    input.exact(&mut data)?;
    hasher.update(&data);
    data.truncate(len);
    Ok(data)
}

fn until_nul(data: &[u8]) -> Vec<u8> {
    data.split(|b| *b == 0).next().unwrap_or_default().to_vec()
}

/// Records are read by their length, as their values may hold newlines.
fn pax_records(mut data: &[u8]) -> Option<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut out = BTreeMap::new();
    while !data.is_empty() {
        let blank = data.iter().take(8).position(|b| *b == b' ')?;
        let len = usize::try_from(parse_number(&data[..blank])?).ok()?;
        if len <= blank + 1 || len > data.len() {
            return None;
        }
        let (record, rest) = data.split_at(len);
        let record = record[blank + 1..].strip_suffix(b"\n")?;
        let equals = record.iter().position(|b| *b == b'=')?;
        out.insert(record[..equals].to_vec(), record[equals + 1..].to_vec());
        data = rest;
    }
    Some(out)
}

/// A decimal number; what follows a point is cut.
fn parse_number(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    whole.parse().ok()
}
