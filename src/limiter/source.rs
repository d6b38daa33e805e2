//! Where a call's readings come from.

use crate::cell::{Given, Now};
use crate::clock::Clock;
use crate::word::Reading;

/// The limiter's clock, read at most twice.
pub(super) struct Live<'a, C> {
    clock: &'a C,
    again: bool,
}

impl<'a, C> Live<'a, C> {
    #[inline]
    pub(super) fn new(clock: &'a C) -> Self {
        Live { clock, again: true }
    }
}

// By hand: the clock itself need not be.
impl<C> Clone for Live<'_, C> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Live<'_, C> {}

impl<C: Clock> Now for Live<'_, C> {
    #[inline]
    fn first(&mut self) -> Reading {
        Reading::from_nanos(self.clock.now())
    }

    #[cold]
    fn again(&mut self) -> Option<Reading> {
        core::mem::take(&mut self.again).then(|| self.first())
    }
}

/// A time that the caller gave: there is no second look at it.
#[inline]
pub(super) fn given(now_ns: u64) -> Given {
    Given(Reading::from_nanos(now_ns))
}

/// The limiter's clock, as it was read for a batch. Calls of the batch that begin anew read it
/// again.
#[cfg(feature = "std")]
pub(super) struct Noted<'a, C> {
    noted: Reading,
    live: Live<'a, C>,
}

#[cfg(feature = "std")]
impl<'a, C: Clock> Noted<'a, C> {
    pub(super) fn new(clock: &'a C) -> Self {
        let mut live = Live::new(clock);
        Noted { noted: live.first(), live }
    }
}

#[cfg(feature = "std")]
impl<C> Clone for Noted<'_, C> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

#[cfg(feature = "std")]
impl<C> Copy for Noted<'_, C> {}

#[cfg(feature = "std")]
impl<C: Clock> Now for Noted<'_, C> {
    #[inline]
    fn first(&mut self) -> Reading {
        self.noted
    }

    fn again(&mut self) -> Option<Reading> {
        self.live.again()
    }
}
