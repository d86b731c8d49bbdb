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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The most tasks of twenty that were running at one moment.
    async fn most(gate: &Arc<Gate>) -> usize {
        let running = Arc::new(AtomicUsize::new(0));
        let task = |_| {
            let running = Arc::clone(&running);
            async move {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, ()>(now)
            }
        };
        each(gate, (0..20).collect(), task).await.unwrap().into_iter().max().unwrap()
    }

    #[test]
    fn complaints_make_it_narrower_but_never_shut() {
        let http = assemble_fetch::Http::new(assemble_fetch::HttpOptions::default()).unwrap();
        let gate = Arc::new(Gate::new(3));
        http.block_on(async {
            assert_eq!(most(&gate).await, 3);
            for _ in 0..10 {
                gate.shrink();
            }
            // The permits that are out come back and are kept.
            let _ = most(&gate).await;
            assert_eq!(most(&gate).await, 1);
        });
    }

    #[test]
    fn results_keep_their_order_and_the_first_failure_ends_all() {
        let http = assemble_fetch::Http::new(assemble_fetch::HttpOptions::default()).unwrap();
        let gate = Arc::new(Gate::new(4));
        http.block_on(async {
            let slow_first = |n: u64| async move {
                tokio::time::sleep(Duration::from_millis(20 - n)).await;
                Ok::<_, ()>(n)
            };
            assert_eq!(each(&gate, (0..10).collect(), slow_first).await, Ok((0..10).collect()));
            let fails = |n: u64| async move { if n == 3 { Err(n) } else { Ok(n) } };
            assert_eq!(each(&gate, (0..10).collect(), fails).await, Err(Some(3)));
        });
    }
}
