//! Finds repetitions, for bytes of which no symbols are known.

use crate::Symbol;
use crate::inflate::WINDOW;

const HASH_BITS: u32 = 13;
/// The shortest match that is looked for.
const SHORTEST: usize = 4;
/// The longest match there is.
pub(crate) const LONGEST: usize = 258;
/// Of longer matches only the beginning is remembered.
const REMEMBERED: usize = 32;

/// Knows where some of the last bytes of a piece stand.
#[derive(Debug)]
pub(crate) struct Matcher {
    /// By hash of four bytes: one more than the last place where they were.
    places: Vec<u32>,
    /// How far back the last match was: headers often differ from those before them in few bytes.
    last_distance: usize,
}

impl Default for Matcher {
    fn default() -> Self {
        Self { places: vec![0; 1 << HASH_BITS], last_distance: 0 }
    }
}

fn hash(plain: &[u8], at: usize) -> Option<usize> {
    let four = plain.get(at..)?.first_chunk::<SHORTEST>()?;
    Some((u32::from_le_bytes(*four).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize)
}

/// How many bytes at two places are the same, but not more than `most`; `from` is the lower one.
pub(crate) fn common(plain: &[u8], from: usize, at: usize, most: usize) -> usize {
    let (Some(one), Some(two)) = (plain.get(from..), plain.get(at..)) else {
        return 0;
    };
    let most = most.min(two.len());
    let (one, two) = (&one[..most], &two[..most]);
    let mut equal = 0;
    for (a, b) in one.as_chunks::<8>().0.iter().zip(two.as_chunks::<8>().0) {
        let differing = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differing != 0 {
            return equal + (differing.trailing_zeros() / 8) as usize;
        }
        equal += 8;
    }
    equal + one[equal..].iter().zip(&two[equal..]).take_while(|(a, b)| a == b).count()
}

impl Matcher {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.places.fill(0);
        self.last_distance = 0;
    }

    /// Gives symbols for the bytes from `from` up to `to`. They repeat what stands in `plain` before them.
    pub(crate) fn search(&mut self, plain: &[u8], from: usize, to: usize, found: &mut impl FnMut(Symbol)) {
        let plain = &plain[..to];
        let mut at = from;
        while at < to {
            let most = LONGEST.min(to - at);
            let (mut length, mut distance) = (0, 0);
            if self.last_distance > 0 && self.last_distance <= at {
                distance = self.last_distance;
                length = common(plain, at - distance, at, most);
            }
            if let Some(hash) = hash(plain, at) {
                let place = std::mem::replace(&mut self.places[hash], number(at + 1)) as usize;
                if place > 0 && at + 1 - place <= WINDOW && length < most {
                    let other = common(plain, place - 1, at, most);
                    if other > length {
                        (length, distance) = (other, at + 1 - place);
                    }
                }
            }
            if length < SHORTEST {
                found(Symbol::literal(plain[at]));
                at += 1;
                continue;
            }
            found(Symbol::repeat(length, distance));
            self.last_distance = distance;
            for place in at + 1..at + length.min(REMEMBERED) {
                self.remember(plain, place);
            }
            at += length;
        }
    }

    fn remember(&mut self, plain: &[u8], at: usize) {
        if let Some(hash) = hash(plain, at) {
            self.places[hash] = number(at + 1);
        }
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(0)
}
