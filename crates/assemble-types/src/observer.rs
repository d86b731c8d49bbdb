//! Libraries announce, the rim displays.

use std::fmt;

/// Names one running transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransferId(pub u64);

/// Something worth telling while work goes on. None of it changes a result.
#[derive(Debug, Clone)]
pub enum Event {
    /// A stage begins; the text is for people, such as `fetching 12 packages`.
    Stage(String),
    /// Bytes begin to move; `total` is 0 where it is not known.
    TransferStarted {
        /// Names this transfer in later events.
        id: TransferId,
        /// What is moved, for people.
        label: String,
        /// Bytes to move.
        total: u64,
    },
    /// So many more bytes have moved.
    TransferAdvanced {
        /// The transfer.
        id: TransferId,
        /// Bytes since the last such event.
        bytes: u64,
    },
    /// The transfer ended, well or not.
    TransferEnded {
        /// The transfer.
        id: TransferId,
    },
    /// Worth knowing, shown once, never an error.
    Note(String),
    /// Something the user can and should act on.
    Warning(String),
}

/// Is told what happens. Called from several threads.
pub trait Observer: Send + Sync + fmt::Debug {
    /// Must return soon and must not panic.
    fn event(&self, event: Event);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: Event) {}
}
