//! Makes, packs, hashes and writes pieces on several threads, and keeps their order.
//!
//! # Why it is the way it is
//! There is no thread for each of the four kinds of work: every thread takes what is most urgent. Making takes the
//! longest, and pieces out of one stream are made one after the other; so where there are several threads and pieces do
//! not pile up, some of them are always making. Otherwise what ends a piece's life comes first, so memory is bounded and
//! pieces are hashed while they are in a processor's cache. Hashing and writing have one lane each, as the next piece
//! needs the result of the one before. While pieces of a large file are made, other threads may make what comes behind
//! it out of other streams, as far as the bounds allow. The unit whose turn it is may always make a piece, so it goes on
//! whatever waits behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use assemble_deflate::Piece;
use assemble_types::Digest;
use sha2::{Digest as _, Sha256};

use crate::LayerError;
use crate::codec::{LayerWriter, Packed, Packer};
use crate::compression::Compression;
use crate::make::{Maker, Progress};

/// Units that are looked at beyond those in work.
const AHEAD: usize = 128;

/// Bytes of memory that pieces may take up, for each thread, unless one piece has more.
const HELD: usize = 1 << 20;

/// So many tar bytes are worth another thread.
const WORTH_A_THREAD: u64 = 512 << 10;

/// A unit, and the number of a piece of it.
type Key = (usize, usize);

/// A piece on its way.
struct Slot {
    piece: Arc<Piece>,
    packed: Option<Packed>,
    hashed: bool,
    written: bool,
}

/// One kind of work that has to be done in order.
struct Lane<T> {
    next: Key,
    /// Away while a thread works with it.
    tool: Option<T>,
}

/// A unit that is not finished.
enum Unit {
    Waiting,
    Running,
    Paused(Progress),
}

struct State {
    units: BTreeMap<usize, Unit>,
    /// The first unit that is not looked at yet.
    next: usize,
    /// How many pieces each unit has, once it is known.
    pieces: BTreeMap<usize, usize>,
    /// How many pieces of units in work were made.
    made: BTreeMap<usize, usize>,
    slots: BTreeMap<Key, Slot>,
    held: usize,
    unpacked: BTreeSet<Key>,
    hash: Lane<Sha256>,
    write: Lane<LayerWriter>,
    /// Threads that do something.
    busy: usize,
    /// Those of them that make a piece.
    making: usize,
    /// The first unit in order that failed.
    failed: Option<(usize, LayerError)>,
    /// A thread ended before it was told to.
    lost: bool,
}

enum Task {
    Write(LayerWriter, Packed, Key),
    Hash(Sha256, Arc<Piece>, Key),
    Pack(Arc<Piece>, Key),
    Make(usize, Progress),
}

struct Shared<'a> {
    maker: &'a Maker<'a>,
    state: Mutex<State>,
    changed: Condvar,
    threads: usize,
    most: usize,
    compression: Compression,
}

/// Makes all units of a plan, and gives the compressed layer but for its end, and the digest of the tar.
pub(crate) fn run(
    maker: &Maker<'_>,
    compression: Compression,
    threads: NonZeroUsize,
    out: LayerWriter,
) -> Result<(LayerWriter, Digest), LayerError> {
    let state = State {
        units: BTreeMap::new(),
        next: 0,
        pieces: BTreeMap::new(),
        made: BTreeMap::new(),
        slots: BTreeMap::new(),
        held: 0,
        unpacked: BTreeSet::new(),
        hash: Lane { next: (0, 0), tool: Some(Sha256::new()) },
        write: Lane { next: (0, 0), tool: Some(out) },
        busy: 0,
        making: 0,
        failed: None,
        lost: false,
    };
    let piece = usize::try_from(maker.plan.usual_footprint()).unwrap_or(HELD);
    let most = HELD.max(piece) * (threads.get() + 1);
    let useful = maker.plan.size() / WORTH_A_THREAD + 1;
    let threads = threads.get().min(usize::try_from(useful).unwrap_or(usize::MAX));
    let shared =
        Shared { maker, state: Mutex::new(state), changed: Condvar::new(), threads, most, compression };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| shared.work());
        }
        shared.work();
    });
    let state = shared.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, error)) = state.failed {
        return Err(error);
    }
    match (state.hash.tool, state.write.tool) {
        (Some(hasher), Some(out)) if state.slots.is_empty() && state.units.is_empty() => {
            Ok((out, Digest::from_bytes(hasher.finalize().into())))
        }
        _ => Err(LayerError::Worker),
    }
}

impl Shared<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut leaving = Leaving { shared: self, lost: true };
        let mut packer = Packer::new(self.compression);
        let mut state = self.lock();
        loop {
            if state.lost {
                break;
            }
            if let Some(task) = state.task(self) {
                state.busy += 1;
                drop(state);
                // There may be work for another thread, too.
                self.changed.notify_one();
                let done = self.perform(task, &mut packer);
                state = self.lock();
                state.busy -= 1;
                done(&mut state);
                self.changed.notify_one();
            } else if state.busy == 0 {
                break;
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        drop(state);
        leaving.lost = false;
    }

    /// Does what needs no lock, and says how to note it.
    fn perform(&self, task: Task, packer: &mut Packer) -> Box<dyn FnOnce(&mut State)> {
        match task {
            Task::Write(mut out, packed, key) => {
                let done = out.append(&packed, key.0);
                Box::new(move |state| state.has_written(key, out, done))
            }
            Task::Hash(mut hasher, piece, key) => {
                hasher.update(&piece.plain);
                drop(piece);
                Box::new(move |state| state.has_hashed(key, hasher))
            }
            Task::Pack(piece, key) => {
                let packed = match self.maker.known(key.0) {
                    Some((earlier, unit, pieces)) => earlier
                        .packed(unit, key.1)
                        .and_then(|bytes| Packed::again(bytes, &piece.plain, pieces.get(key.1))),
                    None => packer.pack(&piece, self.maker.plan.units[key.0].spliced),
                };
                drop(piece);
                Box::new(move |state| state.has_packed(key, packed))
            }
            Task::Make(unit, progress) => {
                let mut piece = Piece::default();
                let more = self.maker.piece(unit, progress, &mut piece);
                Box::new(move |state| state.has_made(unit, piece, more))
            }
        }
    }
}

impl State {
    /// What to do next; nothing if there is nothing, or not yet.
    fn task(&mut self, shared: &Shared<'_>) -> Option<Task> {
        let makers_missing = 2 * self.making + 2 <= shared.threads && self.held < shared.most / 2;
        if makers_missing && let Some(task) = self.make(shared) {
            return Some(task);
        }
        if let Some(slot) = self.slots.get_mut(&self.write.next)
            && let Some(packed) = slot.packed.take()
        {
            if let Some(out) = self.write.tool.take() {
                return Some(Task::Write(out, packed, self.write.next));
            }
            slot.packed = Some(packed);
        }
        if let Some(slot) = self.slots.get(&self.hash.next)
            && let Some(hasher) = self.hash.tool.take()
        {
            return Some(Task::Hash(hasher, Arc::clone(&slot.piece), self.hash.next));
        }
        if let Some(key) = self.unpacked.pop_first()
            && let Some(slot) = self.slots.get(&key)
        {
            return Some(Task::Pack(Arc::clone(&slot.piece), key));
        }
        self.make(shared)
    }

    fn make(&mut self, shared: &Shared<'_>) -> Option<Task> {
        let all = &shared.maker.plan.units;
        let units = self.failed.as_ref().map_or(all.len(), |(unit, _)| *unit);
        while self.next < units && self.units.len() < AHEAD {
            self.units.insert(self.next, Unit::Waiting);
            self.next += 1;
        }
        let urgent = !self.slots.contains_key(&self.write.next) && !self.slots.contains_key(&self.hash.next);
        let (&first, _) = self.units.first_key_value()?;
        let room = self.held < shared.most;
        let unfinished = |before: &usize| *before >= self.next || self.units.contains_key(before);
        let startable = |(number, unit): (&usize, &Unit)| {
            let ready = match unit {
                Unit::Running => false,
                Unit::Paused(_) => true,
                Unit::Waiting => !all[*number].after.iter().any(unfinished),
            };
            (*number < units && ready && (room || (urgent && *number == first))).then_some(*number)
        };
        let number = self.units.iter().find_map(startable)?;
        let progress = match self.units.insert(number, Unit::Running) {
            Some(Unit::Paused(progress)) => progress,
            _ => Progress::default(),
        };
        self.making += 1;
        Some(Task::Make(number, progress))
    }

    fn has_made(&mut self, unit: usize, piece: Piece, more: Result<Option<Progress>, LayerError>) {
        self.making -= 1;
        let more = match more {
            Ok(more) => more,
            Err(error) => return self.fail(unit, error),
        };
        let made = self.made.entry(unit).or_default();
        let key = (unit, *made);
        *made += 1;
        self.held += piece.footprint();
        let piece = Arc::new(piece);
        self.slots.insert(key, Slot { piece, packed: None, hashed: false, written: false });
        self.unpacked.insert(key);
        if let Some(progress) = more {
            self.units.insert(unit, Unit::Paused(progress));
        } else {
            self.units.remove(&unit);
            if let Some(made) = self.made.remove(&unit) {
                self.pieces.insert(unit, made);
            }
            // A lane that waits behind the last piece goes on.
            self.hash.next = self.behind(self.hash.next);
            self.write.next = self.behind(self.write.next);
            self.forget();
        }
    }

    /// The same key, or the next unit's first if the unit has no such piece.
    fn behind(&self, key: Key) -> Key {
        match self.pieces.get(&key.0) {
            Some(made) if key.1 >= *made => (key.0 + 1, 0),
            _ => key,
        }
    }

    fn has_packed(&mut self, key: Key, packed: Result<Packed, LayerError>) {
        match packed {
            Ok(packed) => {
                if let Some(slot) = self.slots.get_mut(&key) {
                    slot.packed = Some(packed);
                }
            }
            Err(error) => self.fail(key.0, error),
        }
    }

    fn has_hashed(&mut self, key: Key, hasher: Sha256) {
        self.hash = Lane { next: self.behind((key.0, key.1 + 1)), tool: Some(hasher) };
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.hashed = true;
        }
        self.done(key);
    }

    fn has_written(&mut self, key: Key, out: LayerWriter, written: Result<(), LayerError>) {
        if let Err(error) = written {
            // Nothing that comes later matters.
            return self.fail(0, error);
        }
        self.write = Lane { next: self.behind((key.0, key.1 + 1)), tool: Some(out) };
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.written = true;
        }
        self.done(key);
    }

    /// Lets a piece go that went through everything.
    fn done(&mut self, key: Key) {
        if self.slots.get(&key).is_none_or(|slot| !slot.hashed || !slot.written) {
            return;
        }
        if let Some(slot) = self.slots.remove(&key) {
            self.held -= slot.piece.footprint();
        }
        self.forget();
    }

    /// Forgets the numbers of pieces that both lanes are past.
    fn forget(&mut self) {
        let first = self.hash.next.0.min(self.write.next.0);
        self.pieces = self.pieces.split_off(&first);
    }

    /// Of several errors the first in order counts, whichever came first.
    fn fail(&mut self, unit: usize, error: LayerError) {
        self.units.remove(&unit);
        if self.failed.as_ref().is_none_or(|(other, _)| unit < *other) {
            self.failed = Some((unit, error));
        }
    }
}

/// Tells the others when a thread leaves, so that nobody waits for it.
struct Leaving<'a> {
    shared: &'a Shared<'a>,
    lost: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if self.lost {
            self.shared.lock().lost = true;
        }
        self.shared.changed.notify_all();
    }
}
