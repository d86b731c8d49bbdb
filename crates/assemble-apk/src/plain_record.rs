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
        for end in LineEnds::of(bytes) {
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

/// Where lines end. Most lines are short: to look at eight bytes at a time is quicker than a search that begins anew for
/// each. Behind the last eight bytes none is found.
struct LineEnds<'t> {
    words: std::slice::Iter<'t, [u8; 8]>,
    /// Where the next word begins.
    next: usize,
    /// Of each byte of the last word its highest bit, if it is an end that was not told yet.
    ends: u64,
}

impl<'t> LineEnds<'t> {
    fn of(bytes: &'t [u8]) -> Self {
        Self { words: bytes.as_chunks().0.iter(), next: 0, ends: 0 }
    }
}

impl Iterator for LineEnds<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        while self.ends == 0 {
            let other = u64::from_le_bytes(*self.words.next()?) ^ u64::from_le_bytes([b'\n'; 8]);
            self.next += 8;
            // No sum carries into the next byte; its highest bit is clear only where all bits of `other` are.
            self.ends = !(((other & LOW) + LOW) | other | LOW);
        }
        let at = self.next - 8 + self.ends.trailing_zeros() as usize / 8;
        self.ends &= self.ends - 1;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn line_ends_are_found(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..60)) {
            let whole = bytes.len() / 8 * 8;
            let expected: Vec<usize> = memchr::memchr_iter(b'\n', &bytes[..whole]).collect();
            prop_assert_eq!(LineEnds::of(&bytes).collect::<Vec<_>>(), expected);
        }
    }
}
