//! Tells an observer how a transfer goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use assemble_types::{Event, Observer, TransferId};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A name for a transfer that no other transfer of this process has.
pub fn next_transfer_id() -> TransferId {
    TransferId(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// One transfer's events: starts when made, ends when dropped, and never counts a byte twice.
#[derive(Debug)]
pub(crate) struct Progress {
    observer: Arc<dyn Observer>,
    id: TransferId,
    told: u64,
}

impl Progress {
    pub(crate) fn start(observer: &Arc<dyn Observer>, label: String, total: u64) -> Self {
        let id = next_transfer_id();
        observer.event(Event::TransferStarted { id, label, total });
        Self { observer: Arc::clone(observer), id, told: 0 }
    }

    /// So many bytes of the body are there. After a start from scratch nothing is told until new ground is reached.
    pub(crate) fn reached(&mut self, received: u64) {
        if received > self.told {
            self.observer.event(Event::TransferAdvanced { id: self.id, bytes: received - self.told });
            self.told = received;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.observer.event(Event::TransferEnded { id: self.id });
    }
}
