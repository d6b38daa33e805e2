//! [`Alarm`]: the timer of a limiter, in the hands of a simulation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use brimful::Timer;

/// A timer that does not run. The simulation looks at the instant for which it is armed, moves the clock there, and
/// rings it. Clones are the same timer: the limiter has one for all its waiters.
#[derive(Clone, Default)]
pub(super) struct Alarm(Arc<Mutex<Option<(u64, Waker)>>>);

impl Alarm {
    fn armed(&self) -> MutexGuard<'_, Option<(u64, Waker)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the instant at which the alarm rings; `None` if it is not armed.
    pub(super) fn at(&self) -> Option<u64> {
        self.armed().as_ref().map(|&(at, _)| at)
    }

    /// Serves the waiters that are due, and disarms the alarm until the limiter arms it again.
    pub(super) fn ring(&self) {
        let armed = self.armed().take();
        if let Some((_, waker)) = armed {
            waker.wake();
        }
    }
}

impl Timer for Alarm {
    fn arm(&mut self, _: u64, at_ns: u64, waker: &Waker) {
        *self.armed() = Some((at_ns, waker.clone()));
    }

    /// Every waiter is served at the instant at which it is due.
    fn slack(&self) -> Duration {
        Duration::ZERO
    }
}
