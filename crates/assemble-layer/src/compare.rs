//! Names the first difference of two layers.

use std::collections::BTreeSet;
use std::fmt;

use assemble_types::{Blob, ImagePath, Timestamp};

use crate::LayerError;
use crate::read::{LayerEntry, LayerReader, ReadLimits, Unpacked, read_layer};

const PIECE: usize = 64 << 10;

/// Bytes of names that are kept to tell a missing entry from one that stands elsewhere.
const MAX_NAMES: usize = 256 << 20;

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DifferentField {
    /// Only one of the layers has the entry.
    Presence,
    /// Both have the entry, in another order.
    Order,
    /// One path, spelt differently.
    Name,
    /// File, folder, link.
    Kind,
    /// Mode bits.
    Mode,
    /// User or group id.
    Owner,
    /// User name in the header.
    UserName,
    /// Group name in the header.
    GroupName,
    /// Time of change.
    Mtime,
    /// Bytes of content.
    Size,
    /// Where a link leads.
    Link,
    /// Device number.
    Device,
    /// Extended attributes.
    Xattrs,
    /// The content, first at this byte of the file.
    Content {
        /// Byte of the file, from 0.
        offset: u64,
    },
    /// All values agree, but not the bytes of the header blocks.
    HeaderEncoding,
    /// All entries agree, but not the bytes between or behind them, first at this byte of the tar.
    Framing {
        /// Byte of the tar, from 0.
        offset: u64,
    },
}

impl fmt::Display for DifferentField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Presence => write!(f, "presence"),
            Self::Order => write!(f, "order"),
            Self::Name => write!(f, "spelling of the name"),
            Self::Kind => write!(f, "kind"),
            Self::Mode => write!(f, "mode"),
            Self::Owner => write!(f, "owner"),
            Self::UserName => write!(f, "user name"),
            Self::GroupName => write!(f, "group name"),
            Self::Mtime => write!(f, "mtime"),
            Self::Size => write!(f, "size"),
            Self::Link => write!(f, "link"),
            Self::Device => write!(f, "device number"),
            Self::Xattrs => write!(f, "extended attributes"),
            Self::Content { offset } => write!(f, "content at byte {offset}"),
            Self::HeaderEncoding => write!(f, "header encoding"),
            Self::Framing { offset } => write!(f, "tar framing at byte {offset}"),
        }
    }
}

/// The first entry and field in which two layers differ, with both values as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerDifference {
    /// The entry; nothing if all entries agree.
    pub path: Option<ImagePath>,
    /// What differs.
    pub field: DifferentField,
    /// The value in the first layer.
    pub a: String,
    /// The value in the second layer.
    pub b: String,
}

impl fmt::Display for LayerDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{path}: {}: {} and {}", self.field, self.a, self.b),
            None => write!(f, "{}: {} and {}", self.field, self.a, self.b),
        }
    }
}

/// Compares what two layers unpack to, entry by entry. Nothing means that their tars are the same bytes; then only
/// the compression can differ.
pub fn first_difference(a: &Blob, b: &Blob) -> Result<Option<LayerDifference>, LayerError> {
    let (mut left, mut right) = (read_layer(a)?, read_layer(b)?);
    loop {
        let (one, two) = match (left.next_entry()?, right.next_entry()?) {
            (None, None) => return framing(a, b),
            (Some(one), None) => return Ok(Some(presence(one.path, true))),
            (None, Some(two)) => return Ok(Some(presence(two.path, false))),
            (Some(one), Some(two)) => (one, two),
        };
        if one.path != two.path {
            return misplaced(one, two, &mut left, &mut right).map(Some);
        }
        if let Some((field, a, b)) = fields(&one, &two) {
            return Ok(Some(LayerDifference { path: Some(one.path), field, a, b }));
        }
        if let Some(found) = contents(&one, &mut left, &mut right)? {
            return Ok(Some(found));
        }
    }
}

fn presence(path: ImagePath, in_first: bool) -> LayerDifference {
    let (there, missing) = ("there".to_owned(), "missing".to_owned());
    let (a, b) = if in_first { (there, missing) } else { (missing, there) };
    LayerDifference { path: Some(path), field: DifferentField::Presence, a, b }
}

/// Tells whether an entry is missing or stands elsewhere.
fn misplaced(
    one: LayerEntry,
    two: LayerEntry,
    left: &mut LayerReader,
    right: &mut LayerReader,
) -> Result<LayerDifference, LayerError> {
    if !rest(right)?.contains(&one.path) {
        return Ok(presence(one.path, true));
    }
    if !rest(left)?.contains(&two.path) {
        return Ok(presence(two.path, false));
    }
    let (a, b) = (one.path.to_string(), two.path.to_string());
    Ok(LayerDifference { path: Some(one.path), field: DifferentField::Order, a, b })
}

fn rest(reader: &mut LayerReader) -> Result<BTreeSet<ImagePath>, LayerError> {
    let mut out = BTreeSet::new();
    let mut bytes = 0;
    while let Some(entry) = reader.next_entry()? {
        bytes += entry.path.as_bytes().len();
        if bytes > MAX_NAMES {
            return Err(LayerError::TooLarge { what: "bytes in all names", limit: MAX_NAMES as u64 });
        }
        out.insert(entry.path);
    }
    Ok(out)
}

fn shown(text: &[u8]) -> String {
    if text.is_empty() { "(empty)".into() } else { text.escape_ascii().to_string() }
}

fn time(seconds: i64) -> String {
    Timestamp::from_seconds(seconds)
        .map_or_else(|_| seconds.to_string(), |time| format!("{seconds} ({time})"))
}

fn device(entry: &LayerEntry) -> String {
    entry.device.map_or_else(|| "(none)".to_owned(), |(major, minor)| format!("{major}:{minor}"))
}

fn xattrs(entry: &LayerEntry) -> String {
    let all: Vec<String> = entry
        .xattrs
        .iter()
        .map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii()))
        .collect();
    if all.is_empty() { "(none)".into() } else { all.join(" ") }
}

/// The first field that differs, with both values.
fn fields(one: &LayerEntry, two: &LayerEntry) -> Option<(DifferentField, String, String)> {
    type Show = fn(&LayerEntry) -> String;
    let table: [(DifferentField, Show); 11] = [
        (DifferentField::Name, |e| shown(&e.name)),
        (DifferentField::Kind, |e| e.kind.name().to_owned()),
        (DifferentField::Mode, |e| e.mode.to_string()),
        (DifferentField::Owner, |e| format!("{}:{}", e.uid, e.gid)),
        (DifferentField::UserName, |e| shown(&e.uname)),
        (DifferentField::GroupName, |e| shown(&e.gname)),
        (DifferentField::Mtime, |e| time(e.mtime)),
        (DifferentField::Size, |e| e.size.to_string()),
        (DifferentField::Link, |e| shown(&e.link)),
        (DifferentField::Device, device),
        (DifferentField::Xattrs, xattrs),
    ];
    for (field, show) in table {
        let (a, b) = (show(one), show(two));
        if a != b {
            return Some((field, a, b));
        }
    }
    (one.header != two.header)
        .then(|| (DifferentField::HeaderEncoding, one.header.short(), two.header.short()))
}

fn contents(
    entry: &LayerEntry,
    left: &mut LayerReader,
    right: &mut LayerReader,
) -> Result<Option<LayerDifference>, LayerError> {
    let (mut one, mut two) = (vec![0; PIECE], vec![0; PIECE]);
    let mut done = 0;
    while done < entry.size {
        let want = usize::try_from(entry.size - done).unwrap_or(PIECE).min(PIECE);
        for (reader, piece) in [(&mut *left, &mut one), (&mut *right, &mut two)] {
            let mut filled = 0;
            while filled < want {
                // Never 0 here: the reader fails when content is cut short.
                filled += reader.read_content(&mut piece[filled..want])?;
            }
        }
        if let Some(at) = position(&one[..want], &two[..want]) {
            let field = DifferentField::Content { offset: done + at as u64 };
            let (a, b) = (byte(&one[..want], at), byte(&two[..want], at));
            return Ok(Some(LayerDifference { path: Some(entry.path.clone()), field, a, b }));
        }
        done += want as u64;
    }
    Ok(None)
}

/// Compares the bare bytes: padding, and what stands behind the last entry.
fn framing(a: &Blob, b: &Blob) -> Result<Option<LayerDifference>, LayerError> {
    let limit = ReadLimits::default().unpacked;
    let (mut left, mut right) = (Unpacked::open(a, limit)?, Unpacked::open(b, limit)?);
    let (mut one, mut two) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let done = left.offset;
        let (n, m) = (left.full(&mut one)?, right.full(&mut two)?);
        if let Some(at) = position(&one[..n], &two[..m]) {
            let field = DifferentField::Framing { offset: done + at as u64 };
            let (a, b) = (byte(&one[..n], at), byte(&two[..m], at));
            return Ok(Some(LayerDifference { path: None, field, a, b }));
        }
        if n == 0 {
            return Ok(None);
        }
    }
}

/// Where two texts first differ; the end of the shorter counts.
fn position(a: &[u8], b: &[u8]) -> Option<usize> {
    if a == b {
        return None;
    }
    Some(a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len())))
}

fn byte(bytes: &[u8], at: usize) -> String {
    bytes.get(at).map_or_else(|| "the end".to_owned(), |b| format!("0x{b:02x}"))
}
