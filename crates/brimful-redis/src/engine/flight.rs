//! [`Flight`]: a task of which one runs at a time, and whose outcome all callers share.

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// The outcome of a task, when it has one.
type Landing<E> = watch::Receiver<Option<Result<(), E>>>;

/// A task of which one runs at a time. It runs on its own, whatever becomes of the callers that wait for it.
pub(crate) struct Flight<E>(Mutex<Option<Landing<E>>>);

impl<E> Default for Flight<E> {
    fn default() -> Self {
        Flight(Mutex::new(None))
    }
}

impl<E: Clone + Send + Sync + 'static> Flight<E> {
    /// Waits for the task that runs, or for a new one. A task that is new may find its work done by the one before. If the
    /// runtime of the task has ended, the outcome is the error that `ended` returns.
    pub(crate) async fn join<F>(&self, task: impl FnOnce() -> F, ended: impl FnOnce() -> E) -> Result<(), E>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let mut outcome = {
            let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // One whose runtime has ended has no outcome, and no sender.
            let runs = |outcome: &Landing<E>| outcome.borrow().is_none() && outcome.has_changed().is_ok();
            match current.clone().filter(runs) {
                Some(outcome) => outcome,
                None => {
                    let (sender, outcome) = watch::channel(None);
                    let task = task();
                    tokio::spawn(async move { sender.send(Some(task.await)) });
                    current.insert(outcome).clone()
                }
            }
        };
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Ok(())),
            Err(_) => Err(ended()),
        }
    }
}

impl<E> fmt::Debug for Flight<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn ended() -> &'static str {
        "ended"
    }

    #[tokio::test]
    async fn callers_share_one_task_and_its_failure() {
        let (flight, runs) = (Arc::new(Flight::default()), Arc::new(AtomicU32::new(0)));
        let (end, _) = tokio::sync::broadcast::channel::<()>(1);
        let task = || {
            let (runs, mut end) = (runs.clone(), end.subscribe());
            async move {
                runs.fetch_add(1, Ordering::Relaxed);
                let _ = end.recv().await;
                Err("on purpose")
            }
        };
        let callers = async {
            let (first, second) = tokio::join!(flight.join(task, ended), flight.join(task, ended));
            assert_eq!((first, second), (Err("on purpose"), Err("on purpose")));
        };
        let ends = async {
            tokio::task::yield_now().await;
            end.send(()).unwrap();
        };
        tokio::join!(callers, ends);
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        // It is over, so the next caller starts another.
        flight.join(|| async { Ok(()) }, ended).await.unwrap();
    }

    /// A task that its runtime took along does not keep the next caller waiting, nor from starting another.
    #[test]
    fn a_runtime_that_ends_takes_no_caller_along() {
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let flight = Flight::default();
        let first = runtime();
        first.block_on(async {
            let call = std::pin::pin!(flight.join(std::future::pending, ended));
            let polled = futures(call).await;
            assert!(polled.is_none());
        });
        drop(first);
        runtime().block_on(flight.join(|| async { Ok(()) }, ended)).unwrap();
    }

    /// Polls a future once.
    async fn futures<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|context| match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }
}
