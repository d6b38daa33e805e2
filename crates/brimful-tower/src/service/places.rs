//! [`Places`]: the places in a queue of requests that the shadow mode did not let wait.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// A wait that no request awaits.
pub(super) type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Waits that no request awaits. They keep their places in the limiter's queue, and take their tokens in turn, so that the
/// requests after them find what they would find in the real mode.
pub(super) struct Places(Mutex<Waits>);

struct Waits {
    waits: Vec<Wait>,
    /// As many waits are looked through for those that have ended. So there are at most about twice as many as in the queue.
    sweep_at: usize,
}

const FEW: usize = 64;

impl Default for Places {
    fn default() -> Self {
        Places(Mutex::new(Waits { waits: Vec::new(), sweep_at: FEW }))
    }
}

impl Places {
    /// Keeps a wait until it has ended.
    pub(super) fn keep(&self, wait: Wait) {
        let mut places = self.lock();
        places.waits.push(wait);
        if places.waits.len() < places.sweep_at {
            return;
        }
        // No other thread sweeps meanwhile.
        places.sweep_at = usize::MAX;
        let mut waits = mem::take(&mut places.waits);
        drop(places);
        // Not under the lock: the end of a wait may wake a task, which may come here.
        waits.retain_mut(|wait| wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let mut places = self.lock();
        places.waits.append(&mut waits);
        places.sweep_at = FEW.max(2 * places.waits.len());
    }

    fn lock(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Places").field(&self.lock().waits.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Poll;

    use super::*;

    /// Behind one that never ends, too.
    #[test]
    fn waits_that_have_ended_are_dropped() {
        let (places, alive) = (Places::default(), Arc::new(()));
        for nth in 0..1_000 {
            let alive = alive.clone();
            let ends = move || Arc::strong_count(&alive) == 0 || nth % 100 != 0;
            places.keep(Box::pin(std::future::poll_fn(move |_| if ends() { Poll::Ready(()) } else { Poll::Pending })));
        }
        let kept = Arc::strong_count(&alive) - 1;
        assert!((10..=10 + FEW).contains(&kept), "{kept}");
        drop(places);
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
