//! A small mutator with a seed: the same seed makes the same inputs, on every machine.

/// Numbers and pieces of text that parsers trip over.
const SPICE: [&[u8]; 22] = [
    b"\0",
    b"\n",
    b"\r",
    b"\n\n",
    b"..",
    b"/",
    b"../",
    b".wh.",
    b"\xff\xff",
    b"\x80\0\0\0\0\0\0\0\x7f\xff\xff\xff",
    b"77777777777\0",
    b"00000000000\0",
    b"99999999999999999999",
    b"-1",
    b"0",
    b"_rc1",
    b"-r",
    b"~",
    b"@",
    b"!",
    b"=",
    b"\xe2\x80\xae",
];

/// Makes inputs out of others.
#[derive(Debug, Clone)]
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// A mutator that always makes the same of the same.
    pub fn new(seed: u64) -> Self {
        Self { state: seed ^ 0x9e37_79b9_7f4a_7c15 }
    }

    /// Steele, Lea and Flood's splitmix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { usize::try_from(self.next() % bound as u64).unwrap_or(0) }
    }

    /// A changed copy of `input`, perhaps with a part of `other` in it.
    pub fn mutate(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut out = input.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(out.len() + 1);
            let end = at + self.below(out.len() - at + 1).min(64);
            match self.below(8) {
                0 if at < out.len() => out[at] ^= 1 << self.below(8),
                1 if at < out.len() => out[at] = u8::try_from(self.below(256)).unwrap_or(0),
                2 => drop(out.drain(at..end)),
                3 => {
                    let piece = out[at..end].to_vec();
                    out.splice(at..at, piece);
                }
                4 => out.truncate(at),
                5 => {
                    let from = self.below(other.len() + 1);
                    let to = from + self.below(other.len() - from + 1).min(512);
                    out.splice(at..end.min(at + 512), other[from..to].iter().copied());
                }
                6 => {
                    let spice = SPICE[self.below(SPICE.len())];
                    let stop = (at + spice.len()).min(out.len());
                    out.splice(at..stop, spice.iter().copied());
                }
                _ => {
                    let spice = SPICE[self.below(SPICE.len())];
                    out.splice(at..at, spice.iter().copied());
                }
            }
        }
        out
    }
}
