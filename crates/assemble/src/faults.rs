//! Faults that make a build depend on what it must not depend on. They exist only in test builds (the feature
//! `planted-faults`), to show that `verify` finds each of them; in every other build these functions do nothing.

use assemble_types::Mode;

#[cfg(feature = "planted-faults")]
fn planted(name: &str) -> bool {
    std::env::var("ASSEMBLE_PLANT").is_ok_and(|value| value == name)
}

/// The clock instead of the build's time.
#[cfg(feature = "planted-faults")]
pub(crate) fn now() -> Option<i64> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    // Nanoseconds, so that two builds within one second differ as well.
    planted("clock").then(|| i64::from(since.subsec_nanos()))
}

/// The mode as the process's umask would leave it.
#[cfg(feature = "planted-faults")]
pub(crate) fn umask(mode: Mode) -> Mode {
    if !planted("umask") {
        return mode;
    }
    let mask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(mask);
    Mode::from_bits(mode.bits() & !mask.bits())
}

/// Puts a list into an order that hangs on the number of threads, or on a randomly seeded hash map.
#[cfg(feature = "planted-faults")]
pub(crate) fn reorder<T: Clone>(items: &mut [T], threads: usize) {
    if planted("threads") && !items.is_empty() {
        let by = threads % items.len();
        items.rotate_left(by);
    }
    if planted("map") {
        let map: std::collections::HashMap<usize, T> = items.iter().cloned().enumerate().collect();
        #[expect(clippy::iter_over_hash_type, reason = "this is the fault")]
        for (slot, item) in items.iter_mut().zip(map.into_values()) {
            *slot = item;
        }
    }
}

#[cfg(not(feature = "planted-faults"))]
pub(crate) fn now() -> Option<i64> {
    None
}

#[cfg(not(feature = "planted-faults"))]
pub(crate) fn umask(mode: Mode) -> Mode {
    mode
}

#[cfg(not(feature = "planted-faults"))]
pub(crate) fn reorder<T>(_: &mut [T], _: usize) {}
