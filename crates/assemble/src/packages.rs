//! Packages, fetched and opened several at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use assemble_apk::Package;
use assemble_spec::lock::LockedHashes;
use assemble_types::{Arch, Event, Explain as _, Kind, Spool, counted};

use crate::choose::Wanted;
use crate::error::{OwnError, Result};
use crate::lock::{self, LockError};
use crate::misfits;
use crate::sources::{Sources, check_arch};

/// Fewest packages that are fetched at once, however few cores there are: fetching is mostly waiting. With more, memory is
/// what they cost.
const FETCHES_AT_ONCE: usize = 4;

/// A checked package, and what a lock says of it.
pub(crate) type Opened = (Package, LockedHashes);

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
        let at_once = self.threads.get().max(FETCHES_AT_ONCE);
        self.each(wanted, arch, at_once, &|wanted| self.opened(wanted, arch, spool.as_ref()))
    }

    /// Does this for each, several at once, and asks the repository itself once more for what turned out damaged.
    pub(crate) fn each<T: Send>(
        &self,
        wanted: &[Wanted],
        arch: Arch,
        at_once: usize,
        open: &(dyn Fn(&Wanted) -> Result<T> + Sync),
    ) -> Result<Vec<T>> {
        let total = wanted.len();
        // What takes longest first, so that no thread is left with it when the others are done: what has to be fetched,
        // then what is large.
        let mut order: Vec<(bool, usize)> = (0..total)
            .map(|number| (self.fetcher.is_at_hand(&wanted[number].location, &wanted[number].key()), number))
            .collect();
        order.sort_by_key(|(at_hand, number)| (*at_hand, std::cmp::Reverse(wanted[*number].size)));
        // What is at hand needs a core, and would only keep what is fetched from one.
        let fetched = order.partition_point(|(at_hand, _)| !at_hand);
        let at_once = at_once.min(fetched.max(self.threads.get()));
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let slots: Vec<Mutex<Option<Result<T>>>> = (0..total).map(|_| Mutex::new(None)).collect();
        let work = || {
            while !failed.load(Ordering::Relaxed)
                && let Some(&(_, number)) = order.get(next.fetch_add(1, Ordering::Relaxed))
            {
                let result = self.twice(&wanted[number], open).map_err(|e| {
                    e.doing(format!("reading package {} of {total} for {}", number + 1, arch.apk()))
                });
                if result.is_err() {
                    failed.store(true, Ordering::Relaxed);
                }
                *slots[number].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..at_once.min(total) {
                scope.spawn(work);
            }
        });
        in_order(slots)
    }

    /// Does this, and if what came is damaged, once more with what the repository itself has.
    pub(crate) fn twice<T>(&self, wanted: &Wanted, open: &dyn Fn(&Wanted) -> Result<T>) -> Result<T> {
        let result = match open(wanted) {
            // What the cache, or one on the way, has may be damaged or old: the repository itself is asked once. What it
            // gives is final. Answers that may be others the next time were asked for again already.
            Err(error) if wanted.location.url().is_some() && error.kind() == Kind::Integrity => {
                self.fetcher.forget(&wanted.key());
                open(wanted)
            }
            result => result,
        };
        result.map_err(|e| misfits::of_package(e, wanted).at(&wanted.span))
    }

    fn opened(&self, wanted: &Wanted, arch: Arch, spool: &dyn Spool) -> Result<Opened> {
        let packed = self.packed(wanted)?;
        if let Some(pinned) = &wanted.pinned {
            lock::check_start(&packed, &wanted.id, pinned)?;
        }
        let package = self.read(&packed, &wanted.expected(), &self.section_limits(), spool)?;
        check_arch(&package.info.arch, wanted, arch)?;
        let hashes = lock::hashes_of(&packed, package.format.sections().as_ref(), wanted)?;
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
