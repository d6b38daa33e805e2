//! A clock that stands still until it is told to move.

use std::sync::Arc;
use std::time::Duration;

use super::Clock;
use crate::sync::{AtomicU64, Ordering};

/// A clock for tests: it stands at zero until [`advance`](MockClock::advance) or
/// [`set`](MockClock::set) moves it, backwards too. Clones share the time.
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
    nanos: Arc<AtomicU64>,
}

impl MockClock {
    /// A clock that stands at zero.
    #[must_use]
    pub fn new() -> Self {
        MockClock::default()
    }

    /// Moves the clock forward. At 2⁶⁴ ns, 584 years, it stands still.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        // Release: what was done before the clock moved happens before whoever sees it moved.
        let moved = |now: u64| Some(now.saturating_add(by));
        let _ = self.nanos.fetch_update(Ordering::AcqRel, Ordering::Relaxed, moved);
    }

    /// Puts the clock at `nanos` since its origin, be it in the past.
    pub fn set(&self, nanos: u64) {
        self.nanos.store(nanos, Ordering::Release);
    }
}

impl Clock for MockClock {
    fn now(&self) -> u64 {
        self.nanos.load(Ordering::Acquire)
    }
}
