//! [`Flight`]: a task of which one runs at a time, and whose outcome all callers share.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Mutex, PoisonError};

use redis::RedisError;
use tokio::sync::watch;

type Outcome = Result<(), RedisError>;

/// A task of which one runs at a time. It runs on its own, whatever becomes of the callers that wait for it.
#[derive(Default)]
pub(super) struct Flight(Mutex<Option<watch::Receiver<Option<Outcome>>>>);

impl Flight {
    /// Waits for the task that runs, or for a new one. A task that is new may find its work done by the one before.
    pub(super) async fn join<F>(&self, task: impl FnOnce() -> F) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut outcome = {
            let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // One whose runtime has ended has no outcome, and no sender.
            let runs = |outcome: &watch::Receiver<Option<Outcome>>| {
                outcome.borrow().is_none() && outcome.has_changed().is_ok()
            };
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
            Err(_) => Err(not_connected("the runtime of the task that connects has ended")),
        }
    }
}

/// Returns the failure to connect, for this reason. Nothing was sent.
pub(super) fn not_connected(why: impl Into<String>) -> RedisError {
    io::Error::new(io::ErrorKind::NotConnected, why.into()).into()
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn callers_share_one_task_and_its_failure() {
        let (flight, runs) = (Arc::new(Flight::default()), Arc::new(AtomicU32::new(0)));
        let (end, _) = tokio::sync::broadcast::channel::<()>(1);
        let task = || {
            let (runs, mut end) = (runs.clone(), end.subscribe());
            async move {
                runs.fetch_add(1, Ordering::Relaxed);
                let _ = end.recv().await;
                Err(not_connected("on purpose"))
            }
        };
        let callers = async {
            let (first, second) = tokio::join!(flight.join(task), flight.join(task));
            assert!(first.unwrap_err().to_string().contains("on purpose") && second.is_err());
        };
        let ends = async {
            tokio::task::yield_now().await;
            end.send(()).unwrap();
        };
        tokio::join!(callers, ends);
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        // It is over, so the next caller starts another.
        flight.join(|| async { Ok(()) }).await.unwrap();
    }

    /// A task that its runtime took along does not keep the next caller waiting, nor from starting another.
    #[test]
    fn a_runtime_that_ends_takes_no_caller_along() {
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let flight = Flight::default();
        let first = runtime();
        first.block_on(async {
            let call = std::pin::pin!(flight.join(std::future::pending));
            let polled = futures(call).await;
            assert!(polled.is_none());
        });
        drop(first);
        runtime().block_on(flight.join(|| async { Ok(()) })).unwrap();
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
