//! Packages: fetched by many threads, which wait, and opened by few, which work.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use assemble_apk::Package;
use assemble_spec::lock::LockedHashes;
use assemble_types::{Arch, Blob, Event, Explain as _, Kind, Spool, counted};

use crate::choose::Wanted;
use crate::error::{OwnError, Result};
use crate::lock::{self, LockError};
use crate::misfits;
use crate::sources::{Sources, check_arch};

/// How many packages are fetched at once. Most of that is waiting for a server; more would not be kind to it.
const FETCHES_AT_ONCE: usize = 8;

/// A checked package, and what a lock says of it.
pub(crate) type Opened = (Package, LockedHashes);

/// What is done for each package, in two steps.
pub(crate) struct Steps<'s, P, T> {
    /// Waits for a server, on one of so many threads.
    pub(crate) fetch: &'s (dyn Fn(&Wanted) -> Result<P> + Sync),
    pub(crate) at_once: usize,
    /// Works, on as many threads as the build has.
    pub(crate) open: &'s (dyn Fn(&Wanted, P) -> Result<T> + Sync),
}

impl<P, T> Steps<'_, P, T> {
    fn all(&self, wanted: &Wanted) -> Result<T> {
        (self.open)(wanted, (self.fetch)(wanted)?)
    }
}

impl Sources<'_> {
    /// Fetches, checks and opens packages, in the order given.
    pub(crate) fn packages(&self, wanted: &[Wanted], arch: Arch) -> Result<Vec<Opened>> {
        // What lies on this machine is read where it is.
        let fetches = wanted.iter().any(|wanted| wanted.location.url().is_some());
        self.observer.event(Event::Stage(format!(
            "{} {} for linux/{}",
            if fetches { "fetching and checking" } else { "checking" },
            counted(wanted.len(), "package", "packages"),
            arch.oci_with_variant()
        )));
        let spool = self.fetcher.spool();
        let steps = Steps {
            fetch: &|wanted| self.packed(wanted),
            at_once: FETCHES_AT_ONCE,
            open: &|wanted, packed| self.opened(wanted, &packed, arch, spool.as_ref()),
        };
        self.each(wanted, arch, &steps)
    }

    /// Takes these steps for each, several at once, and asks the repository itself once more for what turned out damaged.
    pub(crate) fn each<P: Send, T: Send>(
        &self,
        wanted: &[Wanted],
        arch: Arch,
        steps: &Steps<'_, P, T>,
    ) -> Result<Vec<T>> {
        let total = wanted.len();
        // The largest first, so that no thread is left with a large one when the others are done.
        let mut order: Vec<usize> = (0..total).collect();
        order.sort_by_key(|number| std::cmp::Reverse(wanted[*number].size));
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let slots: Vec<Mutex<Option<Result<T>>>> = (0..total).map(|_| Mutex::new(None)).collect();
        let (sender, receiver) = channel();
        let receiver: Mutex<Receiver<(usize, Result<P>)>> = Mutex::new(receiver);
        let fetch = |sender: Sender<(usize, Result<P>)>| {
            while !failed.load(Ordering::Relaxed) {
                let Some(&number) = order.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                if sender.send((number, (steps.fetch)(&wanted[number]))).is_err() {
                    return;
                }
            }
        };
        let open = || {
            let fetched = || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
            while let Ok((number, fetched)) = fetched() {
                if failed.load(Ordering::Relaxed) {
                    continue;
                }
                let one = &wanted[number];
                let first = fetched.and_then(|fetched| (steps.open)(one, fetched));
                let result = self.again_if_damaged(one, first, &|| steps.all(one)).map_err(|e| {
                    e.doing(format!("reading package {} of {total} for {}", number + 1, arch.apk()))
                });
                if result.is_err() {
                    failed.store(true, Ordering::Relaxed);
                }
                *slots[number].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..steps.at_once.min(total) {
                let sender = sender.clone();
                scope.spawn(|| fetch(sender));
            }
            drop(sender);
            for _ in 1..self.threads.get().min(total) {
                scope.spawn(open);
            }
            open();
        });
        in_order(slots)
    }

    /// Does this, and if what came is damaged, once more with what the repository itself has.
    pub(crate) fn twice<T>(&self, wanted: &Wanted, open: &dyn Fn(&Wanted) -> Result<T>) -> Result<T> {
        self.again_if_damaged(wanted, open(wanted), &|| open(wanted))
    }

    fn again_if_damaged<T>(
        &self,
        wanted: &Wanted,
        first: Result<T>,
        again: &dyn Fn() -> Result<T>,
    ) -> Result<T> {
        let result = match first {
            // What the cache, or one on the way, has may be damaged or old: the repository itself is asked once. What it
            // gives is final. Answers that may be others the next time were asked for again already.
            Err(error) if wanted.location.url().is_some() && error.kind() == Kind::Integrity => {
                self.fetcher.forget(&wanted.key());
                again()
            }
            result => result,
        };
        result.map_err(|e| misfits::of_package(e, wanted).at(&wanted.span))
    }

    fn opened(&self, wanted: &Wanted, packed: &Blob, arch: Arch, spool: &dyn Spool) -> Result<Opened> {
        if let Some(pinned) = &wanted.pinned {
            lock::check_start(packed, &wanted.id, pinned)?;
        }
        let package = self.read(packed, &wanted.expected(), &self.section_limits(), spool)?;
        check_arch(&package.info.arch, wanted, arch)?;
        let hashes = lock::hashes_of(packed, package.format.sections().as_ref(), wanted)?;
        if let Some(pinned) = wanted.pinned.as_ref().filter(|pinned| pinned.hashes != hashes) {
            let lock = pinned.lock.clone();
            return Err(LockError::Contradiction { package: wanted.id.to_string(), lock }.into());
        }
        Ok((package, hashes))
    }
}

/// What was opened, in order; the first error if there is any.
fn in_order<T>(slots: Vec<Mutex<Option<Result<T>>>>) -> Result<Vec<T>> {
    let total = slots.len();
    let mut opened = Vec::with_capacity(total);
    for slot in slots {
        // A slot stays empty where a later package failed first; that error is met further on.
        if let Some(result) = slot.into_inner().unwrap_or_else(PoisonError::into_inner) {
            opened.push(result?);
        }
    }
    if opened.len() == total {
        Ok(opened)
    } else {
        Err(OwnError::Bug("a package was never fetched".into()).into())
    }
}
