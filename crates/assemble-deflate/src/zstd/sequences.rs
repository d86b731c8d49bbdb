//! The matches of a block, each with the literals in front of it (RFC 8878, 3.1.1.3.2).

use std::sync::LazyLock;

use super::fse::{State, Table};
use crate::bits::{BitWriter, FastBits};

/// Codes of runs of literals, of lengths of matches, and of distances.
const RUNS: usize = 36;
const LENGTHS: usize = 53;
const DISTANCES: usize = 32;

/// The most bits of a state.
const RUN_BITS: u32 = 9;
const LENGTH_BITS: u32 = 9;
const DISTANCE_BITS: u32 = 8;

/// More bytes than a sequence takes: three states and what their codes leave open.
const MOST_BYTES: usize = 12;

/// From so many sequences on their number has three bytes.
const MANY: usize = 0x7f00;

/// Which table stands for a code.
const PREDEFINED: u8 = 0;
const ONE: u8 = 1;
const OWN: u8 = 2;

static USUAL_RUNS: LazyLock<Table> = LazyLock::new(|| {
    let shares = [
        4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1,
        -1, -1, -1,
    ];
    Table::of(&shares, 6)
});
static USUAL_LENGTHS: LazyLock<Table> = LazyLock::new(|| {
    let mut shares = [1; LENGTHS];
    shares[1..9].copy_from_slice(&[4, 3, 2, 2, 2, 2, 2, 2]);
    shares[46..].fill(-1);
    Table::of(&shares, 6)
});
static USUAL_DISTANCES: LazyLock<Table> = LazyLock::new(|| {
    let mut shares = [1; 29];
    shares[6..9].fill(2);
    shares[24..].fill(-1);
    Table::of(&shares, 5)
});

/// A sequence, as it is written.
#[derive(Debug, Clone, Copy)]
struct Sequence {
    run: u32,
    /// Less the shortest.
    length: u32,
    /// One of the last distances, or a distance and three.
    distance: u32,
    run_code: u8,
    length_code: u8,
    distance_code: u8,
}

/// The last three distances. Zero for one that is not known, so that it stands for none.
type Last = [u32; 3];

/// Sequences of a block.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    all: Vec<Sequence>,
    last: Last,
    /// As they were before the block.
    before: Last,
}

/// The first value of the codes from 16 on, and how many bits are added to it.
const RUN_STEPS: [(u32, u32); 20] = [
    (16, 1),
    (18, 1),
    (20, 1),
    (22, 1),
    (24, 2),
    (28, 2),
    (32, 3),
    (40, 3),
    (48, 4),
    (64, 6),
    (128, 7),
    (256, 8),
    (512, 9),
    (1024, 10),
    (2048, 11),
    (4096, 12),
    (8192, 13),
    (16384, 14),
    (32768, 15),
    (65536, 16),
];

/// The same of the codes from 32 on, less the shortest length.
const LENGTH_STEPS: [(u32, u32); 21] = [
    (32, 1),
    (34, 1),
    (36, 1),
    (38, 1),
    (40, 2),
    (44, 2),
    (48, 3),
    (56, 3),
    (64, 4),
    (80, 4),
    (96, 5),
    (128, 7),
    (256, 8),
    (512, 9),
    (1024, 10),
    (2048, 11),
    (4096, 12),
    (8192, 13),
    (16384, 14),
    (32768, 15),
    (65536, 16),
];

/// The codes of small values.
const fn small_codes<const N: usize>(steps: &[(u32, u32)], first: u8) -> [u8; N] {
    let mut codes = [0; N];
    let mut value = 0;
    while value < N {
        #[allow(clippy::cast_possible_truncation, reason = "there are few codes")]
        let mut code = value as u8;
        let mut step = 0;
        while step < steps.len() && steps[step].0 as usize <= value {
            #[allow(clippy::cast_possible_truncation, reason = "there are few codes")]
            let number = step as u8;
            code = first + number;
            step += 1;
        }
        codes[value] = code;
        value += 1;
    }
    codes
}

static RUN_CODES: [u8; 64] = small_codes(&RUN_STEPS, 16);
static LENGTH_CODES: [u8; 128] = small_codes(&LENGTH_STEPS, 32);

#[inline]
fn log(value: u32) -> u8 {
    value.max(1).ilog2().to_le_bytes()[0]
}

#[inline]
fn run_code(run: u32) -> u8 {
    RUN_CODES.get(run as usize).copied().unwrap_or_else(|| log(run) + 19)
}

#[inline]
fn length_code(length: u32) -> u8 {
    LENGTH_CODES.get(length as usize).copied().unwrap_or_else(|| log(length) + 36)
}

/// For every code its first value, and how many bits are added to that.
const fn rests<const N: usize>(steps: &[(u32, u32); N], first: usize) -> [(u32, u32); 64] {
    let mut rests = [(0, 0); 64];
    let mut code = 0;
    while code < 64 {
        #[allow(clippy::cast_possible_truncation, reason = "there are few codes")]
        let value = code as u32;
        rests[code] = if code < first {
            (value, 0)
        } else if code < first + N {
            steps[code - first]
        } else {
            (0, 0)
        };
        code += 1;
    }
    rests
}

static RUN_RESTS: [(u32, u32); 64] = rests(&RUN_STEPS, 16);
static LENGTH_RESTS: [(u32, u32); 64] = rests(&LENGTH_STEPS, 32);

impl Sequences {
    /// Begins a frame, of whose distances none is known. (Readers begin with some, of which no use is made.)
    pub(super) fn begin(&mut self) {
        self.all.clear();
        (self.last, self.before) = ([0; 3], [0; 3]);
    }

    /// Adds a match behind so many literals.
    #[inline]
    pub(super) fn add(&mut self, run: usize, length: usize, distance: usize) {
        let number = |value: usize| u32::try_from(value).unwrap_or(0);
        let (run, length, distance) = (number(run), number(length.saturating_sub(3)), number(distance));
        if run == 0
            && distance == self.last[0]
            && let Some(before) = self.all.last_mut()
        {
            // It goes on.
            before.length += length + 3;
            before.length_code = length_code(before.length);
            return;
        }
        let distance = self.written(run, distance);
        self.all.push(Sequence {
            run,
            length,
            distance,
            run_code: run_code(run),
            length_code: length_code(length),
            distance_code: log(distance),
        });
    }

    /// How a distance is written, which is the last one then.
    #[inline]
    fn written(&mut self, run: u32, distance: u32) -> u32 {
        let [first, second, third] = self.last;
        let (written, last) = if run > 0 {
            match distance {
                _ if distance == first => (1, [first, second, third]),
                _ if distance == second => (2, [second, first, third]),
                _ if distance == third => (3, [third, first, second]),
                _ => (distance + 3, [distance, first, second]),
            }
        } else {
            match distance {
                _ if distance == second => (1, [second, first, third]),
                _ if distance == third => (2, [third, first, second]),
                _ if distance + 1 == first => (3, [distance, first, second]),
                _ => (distance + 3, [distance, first, second]),
            }
        };
        self.last = last;
        written
    }

    /// The block was written.
    pub(super) fn keep(&mut self) {
        self.all.clear();
        self.before = self.last;
    }

    /// The block was written otherwise: nobody who reads it knows these distances.
    pub(super) fn undo(&mut self) {
        self.all.clear();
        self.last = self.before;
    }

    /// Writes them as the section of a block.
    pub(super) fn write(&self, out: &mut BitWriter) {
        let count = self.all.len();
        match count {
            0..128 => out.put(count as u64, 8),
            128..MANY => out.put((count >> 8 | 0x80 | (count & 0xff) << 8) as u64, 16),
            _ => out.put((0xff | (count - MANY) << 8) as u64, 24),
        }
        if count == 0 {
            return;
        }
        let mut runs = [0_u32; RUNS];
        let mut lengths = [0_u32; LENGTHS];
        let mut distances = [0_u32; DISTANCES];
        for one in &self.all {
            runs[usize::from(one.run_code) % RUNS] += 1;
            lengths[usize::from(one.length_code) % LENGTHS] += 1;
            distances[usize::from(one.distance_code) % DISTANCES] += 1;
        }
        let runs = Chosen::of(&runs, &USUAL_RUNS, RUN_BITS);
        let distances = Chosen::of(&distances, &USUAL_DISTANCES, DISTANCE_BITS);
        let lengths = Chosen::of(&lengths, &USUAL_LENGTHS, LENGTH_BITS);
        out.put((runs.kind() << 6 | distances.kind() << 4 | lengths.kind() << 2).into(), 8);
        for chosen in [&runs, &distances, &lengths] {
            chosen.describe(out);
        }
        let tables = Tables { runs: runs.table(), distances: distances.table(), lengths: lengths.table() };
        self.stream(&tables, out);
    }

    /// Writes all sequences from the last to the first, and a bit behind them.
    fn stream(&self, tables: &Tables, out: &mut BitWriter) {
        let Tables { runs, distances, lengths } = tables;
        let Some((last, before)) = self.all.split_last() else { return };
        let mut run = State::begin(runs, last.run_code);
        let mut distance = State::begin(distances, last.distance_code);
        let mut length = State::begin(lengths, last.length_code);
        out.fast(self.all.len() * MOST_BYTES + 8, |bits| {
            last.rest(bits);
            for one in before.iter().rev() {
                distance.step(distances, one.distance_code, bits);
                length.step(lengths, one.length_code, bits);
                run.step(runs, one.run_code, bits);
                one.rest(bits);
            }
            length.end(lengths, bits);
            distance.end(distances, bits);
            run.end(runs, bits);
            bits.add(1, 1);
            bits.flush();
        });
        out.align();
    }
}

impl Sequence {
    /// Adds the bits that the codes leave open. So many and those of the states never fill the room for bits.
    #[inline]
    fn rest(&self, bits: &mut FastBits<'_>) {
        let rest = |value: u32, rests: &[(u32, u32); 64], code: u8| {
            let (first, count) = rests[usize::from(code) & 63];
            (u64::from(value.wrapping_sub(first)) & ((1 << count) - 1), count)
        };
        let (value, count) = rest(self.run, &RUN_RESTS, self.run_code);
        bits.add(value, count);
        bits.flush();
        let (value, count) = rest(self.length, &LENGTH_RESTS, self.length_code);
        bits.add(value, count);
        let count = u32::from(self.distance_code) & 31;
        bits.add(u64::from(self.distance) & ((1 << count) - 1), count);
        bits.flush();
    }
}

/// All tables of a block, in one place: so writing needs to know only where that is.
struct Tables {
    runs: Table,
    distances: Table,
    lengths: Table,
}

/// A table for a code.
enum Chosen {
    Predefined(&'static Table),
    /// For one symbol, which then takes no bits.
    One(u8, Table),
    Own(Table),
}

impl Chosen {
    /// What takes the fewest bits.
    fn of(counts: &[u32], usual: &'static Table, most_bits: u32) -> Self {
        let mut used = (0_u8..).zip(counts).filter(|(_, count)| **count > 0).map(|(symbol, _)| symbol);
        let usual_cost = usual.cost(counts).unwrap_or(u64::MAX);
        let first = used.next().unwrap_or(0);
        if used.next().is_none() {
            return if usual_cost <= 8 * 256 { Self::Predefined(usual) } else { Self::one(first) };
        }
        let own = Table::fitting(counts, most_bits);
        let mut description = BitWriter::default();
        own.describe(&mut description);
        let own_cost =
            description.written().len() as u64 * 8 * 256 + own.cost(counts).unwrap_or(u64::MAX / 2);
        if own_cost < usual_cost { Self::Own(own) } else { Self::Predefined(usual) }
    }

    fn one(symbol: u8) -> Self {
        let mut shares = [0; super::fse::MOST_SYMBOLS];
        shares[usize::from(symbol) % shares.len()] = 1;
        Self::One(symbol, Table::of(&shares, 0))
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Predefined(_) => PREDEFINED,
            Self::One(..) => ONE,
            Self::Own(_) => OWN,
        }
    }

    fn table(self) -> Table {
        match self {
            Self::Predefined(table) => table.clone(),
            Self::One(_, table) | Self::Own(table) => table,
        }
    }

    fn describe(&self, out: &mut BitWriter) {
        match self {
            Self::Predefined(_) => {}
            Self::One(symbol, _) => out.put((*symbol).into(), 8),
            Self::Own(table) => table.describe(out),
        }
    }
}
