//! Names as they occur, each known again.

use std::hash::{BuildHasher, RandomState};

/// Names by text, in the order in which they came. Their texts stand side by side, so that few of the processor's caches'
/// lines hold many.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The names, one behind the other.
    pub(crate) text: Vec<u8>,
    /// Where each name begins, and where the last one ends.
    pub(crate) starts: Vec<u32>,
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
        Self { text: Vec::new(), starts: vec![0], places: vec![(FREE, 0); 1024], seed }
    }
}

impl Seen {
    /// Makes room for so many names. None may be there yet.
    pub(crate) fn expect(&mut self, names: usize) {
        let places = names.saturating_mul(2).next_power_of_two();
        if places > self.places.len() && self.starts.len() == 1 {
            self.places = vec![(FREE, 0); places];
        }
    }

    pub(crate) fn hash(&self, text: &[u8]) -> u32 {
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

    /// The number of a name of this hash, or none: most often of the one that is meant. To ask for several before they are
    /// looked at lets the processor wait for all of them at once.
    pub(crate) fn guess(&self, hash: u32) -> Option<u32> {
        let (number, other) = self.places[hash as usize & (self.places.len() - 1)];
        (other == hash && number != FREE).then_some(number)
    }

    /// The number of a name with its hash, which it gets if it has none; a guess is tried first. There is never so much text
    /// that an offset has more than 32 bits: see [`crate::index_text::Room`].
    pub(crate) fn number(&mut self, name: &[u8], hash: u32, guess: Option<u32>) -> u32 {
        if let Some(number) = guess.filter(|number| self.text_of(*number) == name) {
            return number;
        }
        let mask = self.places.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let (number, other) = self.places[place];
            if number == FREE {
                break;
            }
            if other == hash && self.text_of(number) == name {
                return number;
            }
            place = (place + 1) & mask;
        }
        let count = self.starts.len();
        let number = u32::try_from(count - 1).unwrap_or(FREE);
        self.places[place] = (number, hash);
        self.text.extend_from_slice(name);
        self.starts.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        if count * 2 > self.places.len() {
            self.grow();
        }
        number
    }

    fn text_of(&self, number: u32) -> &[u8] {
        let at = number as usize;
        &self.text[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    fn grow(&mut self) {
        let mask = self.places.len() * 2 - 1;
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
