//! What the loader's cache has to know of a library: its processor and the names it goes by.
//!
//! Read from the section headers, as apko does: a library without them has no name of its own here.

use assemble_types::Blob;

/// Larger tables are no library's.
const TABLE_LIMIT: u64 = 4 << 20;
const NAME_LIMIT: u64 = 4096;
const ET_DYN: u64 = 3;
const SHT_STRTAB: u64 = 3;
const SHT_DYNAMIC: u64 = 6;
const DT_SONAME: u64 = 14;

/// A shared object.
pub(super) struct Library {
    /// `e_machine`.
    pub(super) machine: u16,
    /// All `DT_SONAME` in their order; almost always one or none.
    pub(super) names: Vec<Vec<u8>>,
}

/// The numbers of one file: width and byte order.
#[derive(Clone, Copy)]
struct Layout {
    wide: bool,
    big: bool,
}

impl Layout {
    /// A number of `width` bytes at `at`; nothing beyond the end.
    fn number(self, bytes: &[u8], at: usize, width: usize) -> Option<u64> {
        let field = bytes.get(at..at.checked_add(width)?)?;
        let join = |n: u64, b: &u8| n << 8 | u64::from(*b);
        Some(if self.big { field.iter().fold(0, join) } else { field.iter().rev().fold(0, join) })
    }

    /// An address or offset.
    fn word(self, bytes: &[u8], narrow_at: usize, wide_at: usize) -> Option<u64> {
        if self.wide { self.number(bytes, wide_at, 8) } else { self.number(bytes, narrow_at, 4) }
    }
}

struct Section {
    name: u64,
    kind: u64,
    offset: u64,
    size: u64,
    link: u64,
}

/// Nothing for what is no well-formed shared object.
pub(super) fn read(blob: &Blob) -> Option<Library> {
    let head = bytes(blob, 0, blob.len().min(64), 64)?;
    if head.get(..4)? != b"\x7fELF" || head.get(6)? != &1 {
        return None;
    }
    let layout = Layout { wide: flag(*head.get(4)?)?, big: flag(*head.get(5)?)? };
    if layout.number(&head, 16, 2)? != ET_DYN || layout.number(&head, 20, 4)? != 1 {
        return None;
    }
    let machine = u16::try_from(layout.number(&head, 18, 2)?).ok()?;
    let sections = sections(blob, layout, &head)?;
    let names = match sections.iter().find(|section| section.kind == SHT_DYNAMIC) {
        Some(dynamic) => names(blob, layout, &sections, dynamic)?,
        None => Vec::new(),
    };
    Some(Library { machine, names })
}

fn flag(byte: u8) -> Option<bool> {
    match byte {
        1 => Some(false),
        2 => Some(true),
        _ => None,
    }
}

fn bytes(blob: &Blob, offset: u64, size: u64, limit: u64) -> Option<Vec<u8>> {
    blob.slice(offset..offset.checked_add(size)?)?.read_to_vec(limit).ok()
}

fn sections(blob: &Blob, layout: Layout, head: &[u8]) -> Option<Vec<Section>> {
    let offset = layout.word(head, 32, 40)?;
    let (entry_size, mut count, mut names) = if layout.wide {
        (layout.number(head, 58, 2)?, layout.number(head, 60, 2)?, layout.number(head, 62, 2)?)
    } else {
        (layout.number(head, 46, 2)?, layout.number(head, 48, 2)?, layout.number(head, 50, 2)?)
    };
    if offset == 0 {
        return (count == 0).then(Vec::new);
    }
    let size: usize = if layout.wide { 64 } else { 40 };
    if usize::try_from(entry_size).ok()? != size {
        return None;
    }
    if count == 0 {
        // Too many for the header: the first section says how many.
        let first = section(&bytes(blob, offset, entry_size, 64)?, layout)?;
        (count, names) = (first.size, if names == 0xFFFF { first.link } else { names });
    }
    let table = bytes(blob, offset, count.checked_mul(entry_size)?, TABLE_LIMIT)?;
    let sections = table.chunks_exact(size).map(|raw| section(raw, layout)).collect::<Option<Vec<_>>>()?;
    if sections.is_empty() {
        return Some(sections);
    }
    let names = sections.get(usize::try_from(names).ok()?)?;
    let sound = names.kind == SHT_STRTAB && sections.iter().all(|section| section.name < names.size);
    sound.then_some(sections)
}

fn section(raw: &[u8], layout: Layout) -> Option<Section> {
    Some(Section {
        name: layout.number(raw, 0, 4)?,
        kind: layout.number(raw, 4, 4)?,
        offset: layout.word(raw, 16, 24)?,
        size: layout.word(raw, 20, 32)?,
        link: layout.number(raw, if layout.wide { 40 } else { 24 }, 4)?,
    })
}

fn names(blob: &Blob, layout: Layout, sections: &[Section], dynamic: &Section) -> Option<Vec<Vec<u8>>> {
    let table = bytes(blob, dynamic.offset, dynamic.size, TABLE_LIMIT)?;
    let width = if layout.wide { 16 } else { 8 };
    if table.len() % width != 0 || dynamic.link == 0 {
        return None;
    }
    let texts = sections.get(usize::try_from(dynamic.link).ok()?)?;
    let texts = blob.slice(texts.offset..texts.offset.checked_add(texts.size)?)?;
    let mut names = Vec::new();
    for entry in table.chunks_exact(width) {
        if layout.number(entry, 0, width / 2)? == DT_SONAME {
            names.extend(text(&texts, layout.number(entry, width / 2, width / 2)?));
        }
    }
    Some(names)
}

/// The text up to its NUL byte.
fn text(texts: &Blob, start: u64) -> Option<Vec<u8>> {
    let end = texts.len().min(start.saturating_add(NAME_LIMIT));
    let mut raw = texts.slice(start..end)?.read_to_vec(NAME_LIMIT).ok()?;
    raw.truncate(raw.iter().position(|b| *b == 0)?);
    Some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_library_is_nothing() {
        for raw in [
            &b""[..],
            b"\x7fELF",
            b"#!/bin/sh\n",
            &[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3],
        ] {
            assert!(read(&Blob::from_bytes(raw)).is_none());
        }
    }

    #[test]
    fn without_sections_there_is_no_name() {
        let mut raw = vec![0u8; 64];
        raw[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        (raw[16], raw[18], raw[20]) = (3, 62, 1);
        let library = read(&Blob::from_bytes(raw.clone())).unwrap();
        assert_eq!((library.machine, library.names.len()), (62, 0));
        raw[16] = 2;
        assert!(read(&Blob::from_bytes(raw)).is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_it(mut raw in proptest::collection::vec(proptest::prelude::any::<u8>(), 64..400)) {
            raw[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
            (raw[16], raw[17], raw[20], raw[58], raw[59]) = (3, 0, 1, 64, 0);
            raw[40..48].copy_from_slice(&64u64.to_le_bytes());
            let _ = read(&Blob::from_bytes(raw));
        }
    }
}
