//! Where the time comes from.

#[cfg(feature = "std")]
use std::boxed::Box;

#[cfg(feature = "std")]
mod agenda;
#[cfg(feature = "std")]
mod coarse;
#[cfg(feature = "tokio")]
mod courier;
#[cfg(all(feature = "std", not(brimful_loom)))]
mod mock;
#[cfg(feature = "wait")]
mod reactor;
#[cfg(feature = "std")]
mod timer;
#[cfg(feature = "tokio")]
mod tokio_timer;
#[cfg(feature = "std")]
mod tsc;

#[cfg(feature = "wait")]
pub(crate) use agenda::{Agenda, Entry};
#[cfg(feature = "std")]
pub use coarse::{CoarseClock, CoarseUpkeep};
#[cfg(all(feature = "std", not(brimful_loom)))]
pub use mock::MockClock;
#[cfg(feature = "wait")]
pub(crate) use reactor::default_timer;
#[cfg(feature = "std")]
pub use timer::Timer;
#[cfg(feature = "tokio")]
pub use tokio_timer::TokioTimer;
#[cfg(feature = "std")]
pub use tsc::{ClockHealth, ClockSource, QuantaClock, clock_health};

/// A source of time: nanoseconds since an origin of its own, near its start.
///
/// A limiter is exact for 2⁵⁹ ns (18 years) of its clock and earns nothing after. The origin
/// must therefore not be the UNIX epoch.
///
/// A clock need not be monotonic, nor agree with itself across cores: a reading counts as
/// itself, and the window bound holds for whatever the clock says. What a bad clock costs is
/// accuracy in real time: a reading far ahead that is recorded (a call was admitted by it)
/// empties the bucket for correct readings until they catch up, which a limiter's `reset`
/// cures.
///
/// # Examples
///
/// ```
/// use brimful::{Clock, Quota, RateLimiter};
/// use std::time::Instant;
///
/// struct Os(Instant);
///
/// impl Clock for Os {
///     fn now(&self) -> u64 {
///         self.0.elapsed().as_nanos() as u64
///     }
/// }
///
/// let limiter = RateLimiter::with_clock(Quota::per_second(5), Os(Instant::now()));
/// assert!(limiter.allow());
/// ```
pub trait Clock {
    /// Nanoseconds since the clock's origin. A queue and a table read it under their locks, so it must
    /// not call a limiter that reads it.
    fn now(&self) -> u64;

    /// A new timer for those who wait by this clock; `None` for one of async-io's, which is for
    /// clocks that go with real time.
    #[cfg(feature = "std")]
    fn timer(&self) -> Option<Box<dyn Timer>> {
        None
    }
}

impl<C: Clock + ?Sized> Clock for &C {
    #[inline]
    fn now(&self) -> u64 {
        (**self).now()
    }

    #[cfg(feature = "std")]
    fn timer(&self) -> Option<Box<dyn Timer>> {
        (**self).timer()
    }
}

impl<C: Clock + ?Sized> Clock for alloc::boxed::Box<C> {
    #[inline]
    fn now(&self) -> u64 {
        (**self).now()
    }

    #[cfg(feature = "std")]
    fn timer(&self) -> Option<Box<dyn Timer>> {
        (**self).timer()
    }
}

impl<C: Clock + ?Sized> Clock for alloc::sync::Arc<C> {
    #[inline]
    fn now(&self) -> u64 {
        (**self).now()
    }

    #[cfg(feature = "std")]
    fn timer(&self) -> Option<Box<dyn Timer>> {
        (**self).timer()
    }
}
