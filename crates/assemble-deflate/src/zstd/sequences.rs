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

/// As many bits as there is room for behind three states and less than a byte.
const FEW_BITS: u32 = 30;

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

/// A match, and what is in front of it.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    run: u32,
    /// Less the shortest.
    length: u32,
    /// One of the last distances, or a distance and three.
    distance: u32,
}

/// A sequence, as it is written. In two numbers, as it is copied as such.
#[derive(Debug, Clone, Copy)]
struct Sequence {
    /// The bits that the codes leave open: of the run, the length and the distance.
    rest: u64,
    /// The codes of these three, and how many bits the rest has: at most 16 of each. A byte each, the lowest first.
    codes: u32,
}

/// The last three distances. Zero for one that is not known, so that it stands for none.
type Last = [u32; 3];

/// Sequences of a block.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    all: Vec<Sequence>,
    /// The last one of the block, which may go on.
    open: Option<Found>,
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

/// A value as it is written: its code, how many bits are added to that, and these bits. They stand in the lowest byte, the
/// next one, and the upper two.
type Coded = u32;

/// Of small values.
const fn small<const N: usize>(steps: &[(u32, u32)], first: u32) -> [Coded; N] {
    let mut all = [0; N];
    let (mut value, mut at) = (0_u32, 0);
    while at < N {
        let (mut coded, mut step) = (value, 0);
        while step < steps.len() && steps[step].0 <= value {
            #[allow(clippy::cast_possible_truncation, reason = "there are few steps")]
            let code = first + step as u32;
            coded = code | steps[step].1 << 8 | (value - steps[step].0) << 16;
            step += 1;
        }
        all[at] = coded;
        value += 1;
        at += 1;
    }
    all
}

static SMALL_RUNS: [Coded; 64] = small(&RUN_STEPS, 16);
static SMALL_LENGTHS: [Coded; 128] = small(&LENGTH_STEPS, 32);

/// Of a value whose steps are powers of two: each has a code of its own, that of the first bit and so many more.
#[inline]
fn large(value: u32, more: u32) -> Coded {
    let log = value.max(1).ilog2();
    (log + more) | log << 8 | (value ^ 1 << log) << 16
}

impl Sequences {
    /// Begins a frame, of whose distances none is known. (Readers begin with some, of which no use is made.)
    pub(super) fn begin(&mut self) {
        self.all.clear();
        self.open = None;
        (self.last, self.before) = ([0; 3], [0; 3]);
    }

    /// Adds a match behind so many literals.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "called for every match, and from one loop")]
    pub(super) fn add(&mut self, run: usize, length: usize, distance: usize) {
        let number = |value: usize| u32::try_from(value).unwrap_or(0);
        let (run, length, distance) = (number(run), number(length.saturating_sub(3)), number(distance));
        if let Some(open) = &mut self.open {
            if run == 0 && distance == self.last[0] {
                // It goes on.
                open.length += length + 3;
                return;
            }
            let sequence = Sequence::of(*open);
            self.all.push(sequence);
        }
        let distance = self.written(run, distance);
        self.open = Some(Found { run, length, distance });
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
    pub(super) fn write(&mut self, out: &mut BitWriter) {
        self.all.extend(self.open.take().map(Sequence::of));
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
            runs[usize::from(one.run()) % RUNS] += 1;
            lengths[usize::from(one.length()) % LENGTHS] += 1;
            distances[usize::from(one.distance()) % DISTANCES] += 1;
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
        let mut run = State::begin(runs, last.run());
        let mut distance = State::begin(distances, last.distance());
        let mut length = State::begin(lengths, last.length());
        out.fast(self.all.len() * MOST_BYTES + 8, |bits| {
            last.rest(bits);
            for one in before.iter().rev() {
                distance.step(distances, one.distance(), bits);
                length.step(lengths, one.length(), bits);
                run.step(runs, one.run(), bits);
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
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "called for every match, and from one loop")]
    fn of(Found { run, length, distance }: Found) -> Self {
        let run = SMALL_RUNS.get(run as usize).copied().unwrap_or_else(|| large(run, 19));
        let length = SMALL_LENGTHS.get(length as usize).copied().unwrap_or_else(|| large(length, 36));
        let distance = large(distance, 0);
        let bits = |coded: Coded| coded >> 8 & 0xff;
        let rest = |coded: Coded| u64::from(coded >> 16);
        let two = bits(run) + bits(length);
        Self {
            rest: rest(run) | rest(length) << bits(run) | rest(distance) << two,
            codes: run & 0xff | (length & 0xff) << 8 | (distance & 0xff) << 16 | (two + bits(distance)) << 24,
        }
    }

    #[inline]
    fn run(self) -> u8 {
        self.codes.to_le_bytes()[0]
    }

    #[inline]
    fn length(self) -> u8 {
        self.codes.to_le_bytes()[1]
    }

    #[inline]
    fn distance(self) -> u8 {
        self.codes.to_le_bytes()[2]
    }

    /// Adds the bits that the codes leave open. So many, those of the states and less than a byte before them never fill the
    /// room for bits.
    #[inline]
    fn rest(self, bits: &mut FastBits<'_>) {
        let count = self.codes >> 24;
        if count > FEW_BITS {
            bits.flush();
        }
        bits.add(self.rest, count);
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
