//! [`MockClock`]: a clock that stands still until it is moved.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use super::timer_queue::{TimerQueue, TimerSlot};
use super::{Clock, Timer};

/// A clock for tests. It stands at zero until [`advance`](MockClock::advance) moves it forward or
/// [`set`](MockClock::set) moves it anywhere. Clones share the time.
///
/// It drives waiters as well: a waiter that is due by the new time is served, and woken, before the
/// call that moves the clock returns.
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
    queue: Mutex<TimerQueue>,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, TimerQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the time up to the first alarm out of `left`, and returns the waker of that alarm;
    /// takes all of `left` if there is no alarm in it. Each advance moves the clock by its own
    /// time, whatever other threads do.
    fn step(&self, left: &mut u64) -> Option<Waker> {
        let mut queue = self.queue();
        let now = self.nanos.load(Ordering::Acquire);
        let target = queue.first().unwrap_or(u64::MAX).clamp(now, now.saturating_add(*left));
        *left -= target - now;
        self.nanos.store(target, Ordering::Release);
        queue.pop(target)
    }
}

impl MockClock {
    /// Returns a clock that stands at zero.
    #[must_use]
    pub fn new() -> Self {
        MockClock::default()
    }

    /// Moves the clock forward. The clock stops at every instant at which a waiter is due, to the
    /// nanosecond, and goes on after the waiter was served. Advances of several threads add up; but
    /// while one serves waiters, another may move the clock on, and the next waiters may be served late.
    /// At 2⁶⁴ ns, 584 years, the clock stands still.
    pub fn advance(&self, by: Duration) {
        let mut left = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        while let Some(waker) = self.shared.step(&mut left) {
            waker.wake();
        }
    }

    /// Sets the clock to `nanos` since its origin, which may be in the past. All waiters that are due by
    /// then are served at that time: the clock passes through no instant in between.
    pub fn set(&self, nanos: u64) {
        let due: Vec<Waker> = {
            let mut queue = self.shared.queue();
            self.shared.nanos.store(nanos, Ordering::Release);
            queue.pop_all(nanos)
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
        // Acquire: the work before the clock was moved happens before the work of a thread that
        // sees it moved.
        self.shared.nanos.load(Ordering::Acquire)
    }

    fn timer(&self) -> Option<Box<dyn Timer>> {
        let slot = self.shared.queue().join();
        Some(Box::new(MockTimer { clock: self.clone(), slot }))
    }
}

/// A timer of the mock clock's.
struct MockTimer {
    clock: MockClock,
    slot: TimerSlot,
}

impl Timer for MockTimer {
    fn arm(&mut self, _: u64, at_ns: u64, waker: &Waker) {
        let MockTimer { clock: MockClock { shared }, slot } = self;
        let waker = waker.clone();
        let mut queue = shared.queue();
        let old = queue.remove(slot);
        // The clock moves under the lock: it is not past that instant unseen.
        let due = if shared.nanos.load(Ordering::Acquire) < at_ns {
            queue.insert(slot, at_ns, waker);
            None
        } else {
            Some(waker)
        };
        drop(queue);
        drop(old);
        due.into_iter().for_each(Waker::wake);
    }

    /// Every waiter is served at the instant at which it is due.
    fn slack(&self) -> Duration {
        Duration::ZERO
    }
}

impl Drop for MockTimer {
    fn drop(&mut self) {
        let MockTimer { clock: MockClock { shared }, slot } = self;
        let _waker = shared.queue().remove(slot);
    }
}
