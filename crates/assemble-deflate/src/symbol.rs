//! What the contents of a block consist of.

use std::fmt;

/// A byte, or a match: bytes that were there before.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Symbol(u32);

const MATCH: u32 = 1 << 31;

impl Symbol {
    /// A byte.
    #[inline]
    pub(crate) fn literal(byte: u8) -> Self {
        Self(byte.into())
    }

    /// A match: 3 to 258 bytes that stand 1 to 32768 bytes further back.
    #[inline]
    pub(crate) fn repeat(length: usize, distance: usize) -> Self {
        #[allow(clippy::cast_possible_truncation, reason = "masked")]
        let (length, distance) =
            ((length.wrapping_sub(3) & 0xff) as u32, (distance.wrapping_sub(1) & 0x7fff) as u32);
        Self(MATCH | (length << 16) | distance)
    }

    /// The byte, if it is one.
    #[inline]
    pub(crate) fn byte(self) -> Option<u8> {
        (self.0 & MATCH == 0).then(|| self.0.to_le_bytes()[0])
    }

    /// Of a match: its length less three, and its distance less one.
    #[inline]
    pub(crate) fn reduced(self) -> (u8, u16) {
        let [low, high, length, _] = self.0.to_le_bytes();
        (length, u16::from_le_bytes([low, high]))
    }

    /// How many bytes it stands for.
    #[inline]
    pub(crate) fn length(self) -> usize {
        if self.0 & MATCH == 0 { 1 } else { usize::from(self.reduced().0) + 3 }
    }

    /// Of a match: how far back its bytes stand.
    #[inline]
    pub(crate) fn distance(self) -> usize {
        usize::from(self.reduced().1) + 1
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.byte() {
            Some(byte) => write!(f, "{}", byte.escape_ascii()),
            None => write!(f, "<{},{}>", self.length(), self.distance()),
        }
    }
}
