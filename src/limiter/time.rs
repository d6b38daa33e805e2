//! The sources of a call's readings.

use crate::cell::{FixedTime, TimeSource};
use crate::clock::Clock;
use crate::word::Reading;

/// The limiter's clock, read at most twice.
pub(super) struct LiveClock<'a, C> {
    clock: &'a C,
    again: bool,
}

impl<'a, C> LiveClock<'a, C> {
    #[inline]
    pub(super) fn new(clock: &'a C) -> Self {
        LiveClock { clock, again: true }
    }
}

// Not derived: the clock itself need not be `Clone`.
impl<C> Clone for LiveClock<'_, C> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for LiveClock<'_, C> {}

impl<C: Clock> TimeSource for LiveClock<'_, C> {
    #[inline]
    fn read(&mut self) -> Reading {
        Reading::from_nanos(self.clock.now())
    }

    #[cold]
    fn reread(&mut self) -> Option<Reading> {
        core::mem::take(&mut self.again).then(|| self.read())
    }
}

/// Returns a reading that the caller gave, without a second one.
#[inline]
pub(super) fn given(now_ns: u64) -> FixedTime {
    FixedTime(Reading::from_nanos(now_ns))
}

/// The limiter's clock, as it was read for a batch. Calls of the batch that begin anew read it
/// again.
#[cfg(feature = "std")]
pub(super) struct CachedClock<'a, C> {
    cached: Reading,
    live: LiveClock<'a, C>,
}

#[cfg(feature = "std")]
impl<'a, C: Clock> CachedClock<'a, C> {
    pub(super) fn new(clock: &'a C) -> Self {
        let mut live = LiveClock::new(clock);
        CachedClock { cached: live.read(), live }
    }
}

#[cfg(feature = "std")]
impl<C> Clone for CachedClock<'_, C> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

#[cfg(feature = "std")]
impl<C> Copy for CachedClock<'_, C> {}

#[cfg(feature = "std")]
impl<C: Clock> TimeSource for CachedClock<'_, C> {
    #[inline]
    fn read(&mut self) -> Reading {
        self.cached
    }

    fn reread(&mut self) -> Option<Reading> {
        self.live.reread()
    }
}
