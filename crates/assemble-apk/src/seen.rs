//! Names as they occur, each known again.

use std::hash::{BuildHasher, RandomState};

/// Names by text, in the order in which they came.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Where the text of each name stands, and how long it is.
    pub(crate) names: Vec<(u32, u32)>,
    /// By the lower bits of the hash, or behind that: the number of a name, or [`FREE`], and its hash. Nobody can foresee a
    /// hash, and so choose names that have the same one.
    places: Vec<(u32, u32)>,
    seed: [u64; 2],
}

const FREE: u32 = u32::MAX;

impl Default for Seen {
    fn default() -> Self {
        let random = RandomState::new();
        let seed = [random.hash_one(0), random.hash_one(1)];
        Self { names: Vec::new(), places: vec![(FREE, 0); 1024], seed }
    }
}

impl Seen {
    fn hash(&self, text: &[u8]) -> u32 {
        let [mut sum, factor] = self.seed;
        sum ^= text.len() as u64;
        let mut step = |word: u64| {
            let product = u128::from(sum ^ word) * u128::from(factor | 1);
            #[allow(clippy::cast_possible_truncation, reason = "both halves are taken")]
            let folded = product as u64 ^ (product >> 64) as u64;
            sum = folded;
        };
        let (words, rest) = text.as_chunks::<8>();
        for word in words {
            step(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        step(u64::from_le_bytes(last));
        step(self.seed[1]);
        (sum >> 32) as u32
    }

    /// The number of a name, which it gets if it has none; then its text stands at `at`: an offset into `text`, or one with
    /// its highest bit set into `behind`.
    pub(crate) fn number(&mut self, text: &[u8], behind: &[u8], at: u32, name: &[u8]) -> u32 {
        let hash = self.hash(name);
        let mask = self.places.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let (number, other) = self.places[place];
            if number == FREE {
                break;
            }
            if other == hash && self.text_of(number, text, behind) == Some(name) {
                return number;
            }
            place = (place + 1) & mask;
        }
        // Never more than offsets.
        let number = u32::try_from(self.names.len()).unwrap_or(FREE);
        self.places[place] = (number, hash);
        self.names.push((at, u32::try_from(name.len()).unwrap_or(FREE)));
        if self.names.len() * 2 > self.places.len() {
            self.grow();
        }
        number
    }

    fn text_of<'t>(&self, number: u32, text: &'t [u8], behind: &'t [u8]) -> Option<&'t [u8]> {
        let (start, length) = self.names[number as usize];
        let (from, start) = if start >> 31 == 0 { (text, start) } else { (behind, start ^ (1 << 31)) };
        from.get(start as usize..)?.get(..length as usize)
    }

    fn grow(&mut self) {
        let mask = self.places.len() * 4 - 1;
        let mut places = vec![(FREE, 0); mask + 1];
        for &(number, hash) in self.places.iter().filter(|(number, _)| *number != FREE) {
            let mut place = hash as usize & mask;
            while places[place].0 != FREE {
                place = (place + 1) & mask;
            }
            places[place] = (number, hash);
        }
        self.places = places;
    }
}
