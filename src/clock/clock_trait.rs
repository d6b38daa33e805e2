//! [`Clock`].

#[cfg(feature = "std")]
use std::boxed::Box;

#[cfg(feature = "std")]
use super::timer::Timer;

/// A source of time, in nanoseconds since an origin of its own, near its start.
///
/// A limiter is exact for 2⁵⁹ ns (18 years) of its clock and earns nothing after. The origin
/// must therefore not be the UNIX epoch.
///
/// A clock need not be monotonic, nor agree with itself across cores: a reading counts as itself, and
/// the window bound holds for all readings. A bad clock costs accuracy in real time. After a call was
/// admitted by a reading far ahead, correct readings see an empty bucket until they catch up; a
/// limiter's `reset` cures that.
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
    /// Returns the time, in nanoseconds since the clock's origin. A queue and a table read it under their
    /// locks, so it must not call a limiter that reads this clock.
    fn now(&self) -> u64;

    /// Returns a new timer for waits on this clock, or `None` for the [default timer](Timer), which is
    /// for clocks that follow real time. `None` by default.
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
