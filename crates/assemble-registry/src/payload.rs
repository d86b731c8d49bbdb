//! Request bodies that can be sent again.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll};

use assemble_fetch::next_transfer_id;
use assemble_types::{Blob, Event, Observer, TransferId};
use bytes::Bytes;
use futures_core::Stream;
use reqwest::Body;
use tokio::sync::mpsc::{Receiver, channel};

/// Bytes read and handed on at a time. A few of them are on their way in each of many uploads.
const CHUNK: usize = 128 * 1024;
/// Larger bodies are read while they are sent.
const LARGE: u64 = 256 * 1024;

/// What a request carries. Opening it twice gives the same bytes twice.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    Empty,
    Bytes(Arc<[u8]>),
    /// With a name for people.
    Blob(Blob, String),
}

impl Payload {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blob(blob, _) => blob.len(),
        }
    }

    /// Whether it is worth a connection of its own.
    pub(crate) fn is_large(&self) -> bool {
        matches!(self, Self::Blob(blob, _) if blob.len() > LARGE)
    }

    /// Opens it from the start. Must be called on the runtime.
    pub(crate) fn open(&self, observer: &Arc<dyn Observer>) -> io::Result<(Body, Arc<Progress>)> {
        let progress = Arc::new(Progress::default());
        let body = match self {
            Self::Empty => Body::default(),
            Self::Bytes(bytes) => Body::from(bytes.to_vec()),
            Self::Blob(blob, _) if blob.len() <= LARGE => {
                let bytes = blob.read_to_vec(LARGE)?;
                progress.sent.store(bytes.len() as u64, Ordering::Relaxed);
                Body::from(bytes)
            }
            Self::Blob(blob, label) => {
                Body::wrap_stream(stream(blob.clone(), label.clone(), &progress, observer))
            }
        };
        Ok((body, progress))
    }
}

/// How far a body has been taken.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) sent: AtomicU64,
    fault: Mutex<Option<io::Error>>,
}

impl Progress {
    /// Why reading the local bytes failed, if it did. The HTTP library only says that the body did.
    pub(crate) fn take_fault(&self) -> Option<io::Error> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A buffer on its way to the network, which goes back to the reader when nobody needs its bytes any more: a fresh one
/// for each would cost as much as reading and sending.
struct Lent {
    bytes: Vec<u8>,
    filled: usize,
    back: mpsc::Sender<Vec<u8>>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // A reader that is done needs it no more.
        let _ = self.back.send(std::mem::take(&mut self.bytes));
    }
}

/// Fills a buffer as far as there are bytes.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Reads on a thread that may block, a little ahead of the network.
fn stream(blob: Blob, label: String, progress: &Arc<Progress>, observer: &Arc<dyn Observer>) -> BlobStream {
    let (sender, receiver) = channel(2);
    let total = blob.len();
    tokio::task::spawn_blocking(move || {
        let mut reader = blob.reader();
        let (back, returned) = mpsc::channel();
        loop {
            let mut bytes = returned.try_recv().unwrap_or_else(|_| vec![0; CHUNK]);
            let item = match fill(&mut reader, &mut bytes) {
                Ok(0) => return,
                Ok(filled) => Ok(Bytes::from_owner(Lent { bytes, filled, back: back.clone() })),
                Err(error) => Err(error),
            };
            let last = item.is_err();
            // A receiver that is gone means that the request is over.
            if sender.blocking_send(item).is_err() || last {
                return;
            }
        }
    });
    BlobStream { receiver, progress: Arc::clone(progress), transfer: Transfer::start(observer, label, total) }
}

struct BlobStream {
    receiver: Receiver<io::Result<Bytes>>,
    progress: Arc<Progress>,
    transfer: Transfer,
}

impl Stream for BlobStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = self.receiver.poll_recv(cx);
        match &item {
            Poll::Ready(Some(Ok(bytes))) => {
                self.progress.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                self.transfer.advance(bytes.len() as u64);
            }
            Poll::Ready(Some(Err(error))) => {
                let copy = io::Error::new(error.kind(), error.to_string());
                *self.progress.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
            }
            _ => {}
        }
        item
    }
}

/// Tells an observer of bytes that move, and of their end however it comes.
#[derive(Debug)]
pub(crate) struct Transfer {
    observer: Arc<dyn Observer>,
    id: TransferId,
}

impl Transfer {
    pub(crate) fn start(observer: &Arc<dyn Observer>, label: String, total: u64) -> Self {
        let id = next_transfer_id();
        observer.event(Event::TransferStarted { id, label, total });
        Self { observer: Arc::clone(observer), id }
    }

    pub(crate) fn advance(&self, bytes: u64) {
        self.observer.event(Event::TransferAdvanced { id: self.id, bytes });
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.observer.event(Event::TransferEnded { id: self.id });
    }
}
