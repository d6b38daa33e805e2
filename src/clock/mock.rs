//! A clock that stands still until it is told to move.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

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
#[derive(Clone, Debug, Default)]
pub struct MockClock {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    nanos: AtomicU64,
    alarms: Mutex<Alarms>,
}

/// Who is to be woken when. Timers have numbers, so that those of one instant are woken in the
/// order in which they were made.
#[derive(Debug, Default)]
struct Alarms {
    wakers: BTreeMap<(u64, u64), Waker>,
    timers: u64,
}

impl Shared {
    fn alarms(&self) -> MutexGuard<'_, Alarms> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out of `left` what leads to the first alarm within it, and returns whom to wake; all
    /// of it where there is none. Each advance moves the clock by its own time, whoever else does.
    fn step(&self, left: &mut u64) -> Option<Waker> {
        let mut alarms = self.alarms();
        let now = self.nanos.load(Ordering::Acquire);
        let first = alarms.wakers.first_entry().filter(|first| first.key().0 <= now.saturating_add(*left));
        let ahead = first.as_ref().map_or(*left, |first| first.key().0.saturating_sub(now));
        *left -= ahead;
        self.nanos.store(now.saturating_add(ahead), Ordering::Release);
        first.map(|first| first.remove())
    }
}

impl MockClock {
    /// A clock that stands at zero.
    #[must_use]
    pub fn new() -> Self {
        MockClock::default()
    }

    /// Moves the clock forward, and stops at every instant at which somebody who waits is due: they
    /// are served then, to the nanosecond, before it goes on. Advances of several threads add up. At
    /// 2⁶⁴ ns, 584 years, it stands
    /// still.
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
            let mut alarms = self.shared.alarms();
            self.shared.nanos.store(nanos, Ordering::Release);
            let later = alarms.wakers.split_off(&(nanos.saturating_add(1), 0));
            std::mem::replace(&mut alarms.wakers, later).into_values().collect()
        };
        due.into_iter().for_each(Waker::wake);
    }
}

impl Clock for MockClock {
    fn now(&self) -> u64 {
        // Acquire: what was done before the clock was moved happens before whoever sees it moved.
        self.shared.nanos.load(Ordering::Acquire)
    }

    fn timer(&self) -> Option<Box<dyn Timer>> {
        let number = {
            let mut alarms = self.shared.alarms();
            alarms.timers += 1;
            alarms.timers
        };
        Some(Box::new(MockTimer { clock: self.clone(), number, armed: None }))
    }
}

/// A timer of the mock clock's.
struct MockTimer {
    clock: MockClock,
    number: u64,
    armed: Option<u64>,
}

impl MockTimer {
    fn disarm(&mut self, alarms: &mut Alarms) -> Option<Waker> {
        alarms.wakers.remove(&(self.armed.take()?, self.number))
    }
}

impl Timer for MockTimer {
    fn arm(&mut self, _: u64, at_ns: u64, waker: &Waker) {
        let shared = self.clock.shared.clone();
        let mut alarms = shared.alarms();
        let _old = self.disarm(&mut alarms);
        // The clock moves under the lock: it is not past that instant unseen.
        if shared.nanos.load(Ordering::Acquire) < at_ns {
            self.armed = Some(at_ns);
            alarms.wakers.insert((at_ns, self.number), waker.clone());
        } else {
            drop(alarms);
            waker.wake_by_ref();
        }
    }
}

impl Drop for MockTimer {
    fn drop(&mut self) {
        let shared = self.clock.shared.clone();
        let _waker = self.disarm(&mut shared.alarms());
    }
}
