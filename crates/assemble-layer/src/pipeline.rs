//! Compresses blocks on several threads and takes the results in order.
//!
//! # Why it is the way it is
//! The thread that makes blocks also compresses when enough of them wait, so `threads` threads are busy and no more
//! than a few blocks are in memory, however fast one side is. Threads are started only once two blocks wait: most
//! layers of small images never need one.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;

use crate::LayerError;
use crate::codec::{GzipWriter, Packed, compress_block, scratch};

/// Blocks that wait for a thread beyond those being compressed.
const AHEAD: usize = 2;

type Outcome = Result<Packed, LayerError>;

#[derive(Default)]
struct State {
    jobs: VecDeque<(u64, Vec<u8>)>,
    results: BTreeMap<u64, Outcome>,
    /// Buffers to be filled again.
    spare: Vec<Vec<u8>>,
    closed: bool,
    /// A worker ended before it was told to.
    lost: bool,
}

/// What all threads see.
#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let _leaving = Leaving(self);
        let mut room = scratch();
        loop {
            let mut state = self.lock();
            let (index, plain) = loop {
                if let Some(job) = state.jobs.pop_front() {
                    break job;
                }
                if state.closed {
                    return;
                }
                state = self.wait(state);
            };
            drop(state);
            self.run(index, plain, &mut room);
        }
    }

    fn run(&self, index: u64, plain: Vec<u8>, room: &mut [u8]) {
        let outcome = compress_block(&plain, room);
        let mut state = self.lock();
        state.results.insert(index, outcome);
        state.spare.push(plain);
        drop(state);
        self.changed.notify_all();
    }
}

/// Tells the others when a thread leaves, so that nobody waits for it.
struct Leaving<'a>(&'a Shared);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.lost |= !state.closed;
        drop(state);
        self.0.changed.notify_all();
    }
}

/// The maker's end. Dropping it lets the workers go.
pub(crate) struct Pipeline<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    shared: &'env Shared,
    /// There until [`Pipeline::finish`].
    out: Option<GzipWriter>,
    threads: usize,
    started: usize,
    room: Vec<u8>,
    submitted: u64,
    written: u64,
}

impl Drop for Pipeline<'_, '_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.jobs.clear();
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl<'scope, 'env> Pipeline<'scope, 'env> {
    pub(crate) fn new(
        scope: &'scope Scope<'scope, 'env>,
        shared: &'env Shared,
        threads: NonZeroUsize,
        out: GzipWriter,
    ) -> Self {
        Self {
            scope,
            shared,
            out: Some(out),
            threads: threads.get(),
            started: 1,
            room: scratch(),
            submitted: 0,
            written: 0,
        }
    }

    /// Takes a block, and gives a buffer for the next one.
    pub(crate) fn submit(&mut self, block: Vec<u8>) -> Result<Vec<u8>, LayerError> {
        let mut state = self.shared.lock();
        state.jobs.push_back((self.submitted, block));
        self.submitted += 1;
        let (waiting, spare) = (state.jobs.len(), state.spare.pop());
        drop(state);
        if waiting > 1 && self.started < self.threads {
            let shared = self.shared;
            self.scope.spawn(move || shared.work());
            self.started += 1;
        }
        self.shared.changed.notify_all();
        let ahead = if self.threads == 1 { 0 } else { self.threads + AHEAD };
        self.settle(ahead)?;
        let mut spare = spare.unwrap_or_default();
        spare.clear();
        Ok(spare)
    }

    /// Works, waits and writes until no more than `ahead` blocks are on their way.
    fn settle(&mut self, ahead: usize) -> Result<(), LayerError> {
        loop {
            let mut state = self.shared.lock();
            if let Some(outcome) = state.results.remove(&self.written) {
                drop(state);
                if let Some(out) = &mut self.out {
                    out.append(&outcome?)?;
                }
                self.written += 1;
            } else if self.submitted - self.written <= ahead as u64 {
                return Ok(());
            } else if let Some((index, plain)) = state.jobs.pop_front() {
                drop(state);
                self.shared.run(index, plain, &mut self.room);
            } else if state.lost {
                return Err(LayerError::Worker);
            } else {
                drop(self.shared.wait(state));
            }
        }
    }

    /// Waits for all blocks; the gzip member is complete but for its end.
    pub(crate) fn finish(mut self) -> Result<GzipWriter, LayerError> {
        self.settle(0)?;
        Ok(self.out.take().expect("taken only here, and this takes the pipeline"))
    }
}
