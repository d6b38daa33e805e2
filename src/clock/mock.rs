//! A clock that stands still until it is told to move.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use super::agenda::{Agenda, Entry};
use super::{Clock, Timer};

/// A clock for tests: it stands at zero until [`advance`](MockClock::advance) or
/// [`set`](MockClock::set) moves it, backwards too. Clones share the time.
///
/// It drives those who wait as well: whoever is due by the time that the clock is moved to is
/// served, and woken, before the call returns.
///
/// # Examples
///
/// ```
/// use brimful::{MockClock, Quota, RateLimiter};
/// use std::time::Duration;
///
/// let clock = MockClock::new();
/// let limiter = RateLimiter::with_clock(Quota::per_second(1), clock.clone());
/// assert!(limiter.allow());
/// assert!(!limiter.allow());
/// clock.advance(Duration::from_secs(1));
/// assert!(limiter.allow());
/// ```
#[derive(Clone, Default)]
pub struct MockClock {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    nanos: AtomicU64,
    agenda: Mutex<Agenda>,
}

impl Shared {
    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out of `left` what leads to the first alarm within it, and returns whom to wake; all
    /// of it where there is none. Each advance moves the clock by its own time, whoever else does.
    fn step(&self, left: &mut u64) -> Option<Waker> {
        let mut agenda = self.agenda();
        let now = self.nanos.load(Ordering::Acquire);
        let target = agenda.first().unwrap_or(u64::MAX).clamp(now, now.saturating_add(*left));
        *left -= target - now;
        self.nanos.store(target, Ordering::Release);
        agenda.pop(target)
    }
}

impl MockClock {
    /// A clock that stands at zero.
    #[must_use]
    pub fn new() -> Self {
        MockClock::default()
    }

    /// Moves the clock forward, and stops at every instant at which somebody who waits is due: they
    /// are served then, to the nanosecond, before it goes on. Advances of several threads add up; but
    /// while one serves, another may go on, and who is due next be served late. At 2⁶⁴ ns, 584 years,
    /// it stands still.
    pub fn advance(&self, by: Duration) {
        let mut left = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        while let Some(waker) = self.shared.step(&mut left) {
            waker.wake();
        }
    }

    /// Puts the clock at `nanos` since its origin, be it in the past. Whoever is due by then is
    /// served then: between, there was no time.
    pub fn set(&self, nanos: u64) {
        let due: Vec<Waker> = {
            let mut agenda = self.shared.agenda();
            self.shared.nanos.store(nanos, Ordering::Release);
            std::iter::from_fn(|| agenda.pop(nanos)).collect()
        };
        due.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for MockClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockClock").field("now", &Duration::from_nanos(self.now())).finish()
    }
}

impl Clock for MockClock {
    fn now(&self) -> u64 {
        // Acquire: what was done before the clock was moved happens before whoever sees it moved.
        self.shared.nanos.load(Ordering::Acquire)
    }

    fn timer(&self) -> Option<Box<dyn Timer>> {
        let entry = self.shared.agenda().join();
        Some(Box::new(MockTimer { clock: self.clone(), entry }))
    }
}

/// A timer of the mock clock's.
struct MockTimer {
    clock: MockClock,
    entry: Entry,
}

impl Timer for MockTimer {
    fn arm(&mut self, _: u64, at_ns: u64, waker: &Waker) {
        let MockTimer { clock: MockClock { shared }, entry } = self;
        let waker = waker.clone();
        let mut agenda = shared.agenda();
        let old = agenda.remove(entry);
        // The clock moves under the lock: it is not past that instant unseen.
        let due = if shared.nanos.load(Ordering::Acquire) < at_ns {
            agenda.insert(entry, at_ns, waker);
            None
        } else {
            Some(waker)
        };
        drop(agenda);
        drop(old);
        due.into_iter().for_each(Waker::wake);
    }
}

impl Drop for MockTimer {
    fn drop(&mut self) {
        let MockTimer { clock: MockClock { shared }, entry } = self;
        let _waker = shared.agenda().remove(entry);
    }
}
