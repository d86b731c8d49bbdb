//! Records as nearly all are written: each is kept as it stands in the index, without a look at single lines again.

use crate::index_text::{LETTERS, MAX_LINE, NAME, VERSION, check, slot};

/// A record whose lines can be kept as they are: every letter is known and there once, nothing is wrong with any line.
pub(crate) struct PlainRecord<'t> {
    /// The lines, each with its end.
    pub(crate) text: &'t str,
    /// Of each letter, where its value begins and ends; twice the same if there is none.
    pub(crate) values: [(usize, usize); LETTERS.len()],
    /// How many lines there are.
    pub(crate) lines: usize,
}

impl<'t> PlainRecord<'t> {
    /// The record in front of a text, if it is one, and the empty line behind it is there. Of any other, the lines have to be
    /// looked at one by one to know what is wrong or what is to be left out.
    pub(crate) fn read(bytes: &'t [u8]) -> Option<Self> {
        let mut values = [(0, 0); LETTERS.len()];
        let (mut seen, mut lines, mut start) = (0_u32, 0, 0);
        for end in memchr::memchr_iter(b'\n', bytes) {
            if end == start {
                let text = str::from_utf8(&bytes[..end]).ok()?;
                let record = Self { text, values, lines };
                return record.is_sound().then_some(record);
            }
            let &[letter, b':', ..] = &bytes[start..end] else { return None };
            let slot = slot(letter).filter(|slot| seen >> slot & 1 == 0)?;
            if end - start > MAX_LINE {
                return None;
            }
            seen |= 1 << slot;
            values[slot] = (start + 2, end);
            // The numbers, which are checked even if there is nothing in them.
            if matches!(letter, b't' | b'S' | b'I' | b'k') {
                check(letter, str::from_utf8(&bytes[start + 2..end]).ok()?).ok()?;
            }
            lines += 1;
            start = end + 1;
        }
        None
    }

    fn is_sound(&self) -> bool {
        let is_sound = |slot: usize| {
            let value = self.value(slot);
            !value.is_empty() && check(LETTERS[slot], value).is_ok()
        };
        is_sound(NAME) && is_sound(VERSION)
    }

    /// What a letter has, by its place in [`LETTERS`]; empty if it is not there.
    pub(crate) fn value(&self, slot: usize) -> &'t str {
        let (start, end) = self.values[slot];
        // Both stand at ASCII characters of a text that is UTF-8.
        self.text.get(start..end).unwrap_or_default()
    }
}
