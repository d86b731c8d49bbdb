//! How much happens at once.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// Lets so many through at once, and fewer once the server complains.
#[derive(Debug)]
pub(crate) struct Gate {
    permits: Arc<Semaphore>,
    size: AtomicUsize,
    /// Permits to take out of use when they come back.
    debt: AtomicUsize,
}

impl Gate {
    pub(crate) fn new(size: usize) -> Self {
        let size = size.clamp(1, 64);
        Self {
            permits: Arc::new(Semaphore::new(size)),
            size: AtomicUsize::new(size),
            debt: AtomicUsize::new(0),
        }
    }

    /// One fewer from now on, but never none.
    pub(crate) fn shrink(&self) {
        let fewer = |n: usize| n.checked_sub(1).filter(|n| *n > 0);
        if self.size.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok() {
            self.debt.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn release(&self, permit: Option<OwnedSemaphorePermit>) {
        let Some(permit) = permit else { return };
        let paid = self.debt.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        if paid.is_ok() {
            permit.forget();
        }
    }
}

/// Runs a task for each item, begun in the given order, as many at once as the gate allows. The first failure ends all.
/// Results come in the order of the items; `None` in place of an error means that a task ended without one.
pub(crate) async fn each<T, R, E, F>(
    gate: &Arc<Gate>,
    items: Vec<T>,
    run: impl Fn(T) -> F,
) -> Result<Vec<R>, Option<E>>
where
    R: Send + 'static,
    E: Send + 'static,
    F: Future<Output = Result<R, E>> + Send + 'static,
{
    let mut tasks: JoinSet<(usize, Result<R, E>)> = JoinSet::new();
    let mut results: Vec<Option<R>> = Vec::new();
    for (at, item) in items.into_iter().enumerate() {
        results.push(None);
        // It is never closed, so a permit always comes.
        let permit = Arc::clone(&gate.permits).acquire_owned().await.ok();
        while let Some(done) = tasks.try_join_next() {
            keep(&mut results, done)?;
        }
        let task = run(item);
        let gate = Arc::clone(gate);
        tasks.spawn(async move {
            let result = task.await;
            gate.release(permit);
            (at, result)
        });
    }
    while let Some(done) = tasks.join_next().await {
        keep(&mut results, done)?;
    }
    results.into_iter().collect::<Option<Vec<R>>>().ok_or(None)
}

fn keep<R, E>(
    results: &mut [Option<R>],
    done: Result<(usize, Result<R, E>), tokio::task::JoinError>,
) -> Result<(), Option<E>> {
    let (at, result) = done.map_err(|_| None)?;
    results[at] = Some(result.map_err(Some)?);
    Ok(())
}
