//! The verbs of a [`RateLimiter`] beside those that only take.

use core::time::Duration;

use crate::clock::Clock;
use crate::error::TryAcquireError;
use crate::limiter::decision::Decision;
use crate::limiter::reservation::Reservation;
use crate::limiter::state::RateLimiter;
use crate::limiter::target::Target;
use crate::tokens::Tokens;

#[cfg(feature = "std")]
use crate::error::AcquireError;
use crate::limiter::bucket::{Bucket, BucketAt};
#[cfg(feature = "std")]
use crate::limiter::reservation::OwnedReservation;
#[cfg(feature = "std")]
use crate::limiter::target::OwnedTarget;
#[cfg(feature = "std")]
use crate::limiter::wait::{Acquire, Granted, OwnedAcquire, Reserve};
#[cfg(feature = "std")]
use crate::stats::Stats;
#[cfg(feature = "std")]
use std::sync::Arc;

impl<C: Clock> RateLimiter<C> {
    #[inline]
    pub(super) fn target(&self) -> Target<'_, C> {
        Target::Single(self)
    }

    /// Takes `n` tokens, all or none, and returns the decision with all its numbers, such as
    /// response headers show, for one operation on the bucket. A cost of zero looks and takes nothing.
    #[inline]
    pub fn decide(&self, n: impl Into<Tokens>) -> Decision {
        self.target().decide(n.into(), Tokens::ZERO, self.live())
    }

    /// Takes `n` tokens now, for a call whose cost is known later.
    /// [`commit`](Reservation::commit) then gives back the rest, or charges what is missing. Dropping
    /// the reservation gives all tokens back.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](RateLimiter::try_acquire_n).
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{MockClock, Quota, RateLimiter};
    ///
    /// let limiter = RateLimiter::with_clock(Quota::per_minute(1000), MockClock::new());
    /// let reservation = limiter.try_reserve_n(600)?;
    /// reservation.commit(450);
    /// assert_eq!(limiter.available_tokens(), 550.0);
    /// # Ok::<(), brimful::TryAcquireError>(())
    /// ```
    #[inline]
    pub fn try_reserve_n(&self, n: impl Into<Tokens>) -> Result<Reservation<'_, C>, TryAcquireError> {
        let n = n.into();
        self.try_acquire_n(n)?;
        Ok(Reservation::new(self.target(), n, None))
    }

    /// As [`try_reserve_n`](RateLimiter::try_reserve_n), for a reservation that keeps the limiter
    /// alive, and so may go to another thread or task.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](RateLimiter::try_acquire_n).
    #[cfg(feature = "std")]
    pub fn try_reserve_n_owned(self: &Arc<Self>, n: impl Into<Tokens>) -> Result<OwnedReservation<C>, TryAcquireError> {
        let n = n.into();
        self.try_acquire_n(n)?;
        Ok(self.settle_later(n))
    }

    /// Returns a reservation of `n` tokens that another verb has taken already, such as
    /// [`decide`](RateLimiter::decide) or a wait. It takes nothing.
    ///
    /// A reservation of zero tokens is of use too: its [`commit`](OwnedReservation::commit) charges all
    /// that it is given, which may take the bucket into debt.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{MockClock, Quota, RateLimiter};
    /// use std::sync::Arc;
    ///
    /// let limiter = Arc::new(RateLimiter::with_clock(Quota::per_minute(1000), MockClock::new()));
    /// assert!(limiter.decide(600).allowed());
    /// limiter.settle_later(600).commit(450);
    /// assert_eq!(limiter.available_tokens(), 550.0);
    /// limiter.settle_later(0).commit(700);
    /// assert_eq!(limiter.balance(), -150.0);
    /// ```
    #[cfg(feature = "std")]
    pub fn settle_later(self: &Arc<Self>, n: impl Into<Tokens>) -> OwnedReservation<C> {
        OwnedReservation::new(OwnedTarget::Single(self.clone()), n.into(), None)
    }

    /// Returns the tokens that are there for a call now: never below zero, and infinite without a
    /// limit. Tokens that waiters get first are not counted.
    #[must_use]
    pub fn available_tokens(&self) -> f64 {
        self.target().available_tokens(Tokens::ZERO, self.live())
    }

    /// Returns the tokens that the bucket holds now: negative in debt, and infinite without a limit.
    #[must_use]
    pub fn balance(&self) -> f64 {
        self.target().balance(self.live())
    }

    /// Returns the time until `n` tokens are there, after those that waiters get first, and if nothing
    /// else takes them: zero if they are there now. `None` if they never are, because `n` is above the
    /// burst or the instant lies beyond the 18 years that a clock's readings reach. Exact and rounded
    /// up: that instant is sufficient, one nanosecond earlier is not.
    #[must_use]
    pub fn time_until(&self, n: impl Into<Tokens>) -> Option<Duration> {
        self.target().time_until(n.into(), Tokens::ZERO, self.live())
    }

    /// Adds `n` tokens to the bucket, clipped at the burst, and returns the tokens that were added.
    pub fn add_tokens(&self, n: impl Into<Tokens>) -> Tokens {
        self.target().add_tokens(n.into(), self.live())
    }

    /// Fills the bucket, and forgets its past: its debt, and readings of a clock that was ahead. The
    /// bucket is then full at every reading.
    pub fn reset(&self) {
        self.target().reset(self.live());
    }

    /// Returns a view of the bucket for calls at `now_ns`, in nanoseconds since an origin of your
    /// choice: `limiter.at(t).try_acquire()`.
    ///
    /// Use either the clock or given times on a limiter, not both.
    #[inline]
    #[must_use]
    pub fn at(&self, now_ns: u64) -> BucketAt<'_, C> {
        Bucket::new(self.target()).at(now_ns)
    }

    /// Returns a view of the bucket for calls that leave `n` tokens in it:
    /// `limiter.leaving(20).try_acquire()`. See [`Bucket`].
    #[must_use]
    pub fn leaving(&self, n: impl Into<Tokens>) -> Bucket<'_, C> {
        Bucket::new(self.target()).leaving(n)
    }

    /// Returns a view of the bucket for background work: its calls leave the share of the burst that
    /// [`background_leaves`](crate::RateLimiterBuilder::background_leaves) set, a fifth by default. See
    /// [`Bucket`].
    #[must_use]
    pub fn background(&self) -> Bucket<'_, C> {
        Bucket::new(self.target()).background()
    }
}

/// Verbs that wait until the tokens are there. Tasks on any runtime and threads share one FIFO queue.
/// A waiter for 50 tokens is not overtaken by calls for one. While callers wait, calls that do not
/// wait are refused, unless they leave less.
///
/// The clock is cloned for the queue, which may outlive the call that made it. A clock that is not
/// `Clone` can be given in an `Arc`.
///
/// # Lateness
///
/// The queue's timer grants a waiter its tokens, never early. With the default timer, a lone waiter is
/// granted within 0.1 ms of the instant at which the tokens are there, as a rule. Waiters that are due
/// within a millisecond of each other are granted together, up to a millisecond late. Tokens that come
/// in meanwhile are kept, up to the burst: a burst of 2 ms' worth or more keeps the full rate.
#[cfg(feature = "std")]
impl<C: Clock + Clone + Send + Sync + 'static> RateLimiter<C> {
    /// Waits for one token.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RateLimiter::acquire_n).
    #[inline]
    pub fn acquire(&self) -> Acquire<'_, C> {
        self.acquire_n(Tokens::ONE)
    }

    /// Waits for `n` tokens. The returned future has options:
    /// `limiter.acquire_n(5).within(timeout).await`. A thread waits by `.wait()`. A cost of zero does
    /// not wait, and charges nothing.
    ///
    /// # Errors
    ///
    /// [`AcquireError::ExceedsBurst`] at once if the tokens could never be there,
    /// [`AcquireError::QueueFull`] if there are already as many waiters as permitted (or later, if a
    /// caller that leaves less needs the place; see [`Bucket`]), [`AcquireError::LimiterClosed`] if the
    /// limiter is closed,
    /// [`AcquireError::TooLate`] if [`within`](Acquire::within) or [`until`](Acquire::until) does not
    /// leave enough time, and for a key [`AcquireError::TableFull`] if a keyed limiter has no room for
    /// it, and [`AcquireError::KeyRemoved`] if it is removed meanwhile. Nothing is charged then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: see [`Acquire`].
    #[inline]
    pub fn acquire_n(&self, n: impl Into<Tokens>) -> Acquire<'_, C> {
        Acquire::new(self.target(), n.into(), Tokens::ZERO)
    }

    /// As [`acquire_n`](RateLimiter::acquire_n), by a future that keeps the limiter alive, and so may
    /// go to another task.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RateLimiter::acquire_n).
    #[inline]
    pub fn acquire_n_owned(self: &Arc<Self>, n: impl Into<Tokens>) -> OwnedAcquire<C> {
        OwnedAcquire::new(OwnedTarget::Single(self.clone()), n.into(), Tokens::ZERO)
    }

    /// Waits for `n` tokens, as [`acquire_n`](RateLimiter::acquire_n), and returns them as a
    /// [`Reservation`], for a call whose cost is known later.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RateLimiter::acquire_n).
    pub fn reserve_n(&self, n: impl Into<Tokens>) -> Reserve<'_, C> {
        Reserve::new(self.target(), n.into(), Tokens::ZERO)
    }

    /// Blocks the thread until one token is there, and takes it.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RateLimiter::acquire_n).
    pub fn acquire_blocking(&self) -> Result<Granted, AcquireError> {
        self.acquire().wait()
    }

    /// Blocks the thread until `n` tokens are there, and takes them.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RateLimiter::acquire_n).
    pub fn acquire_n_blocking(&self, n: impl Into<Tokens>) -> Result<Granted, AcquireError> {
        self.acquire_n(n).wait()
    }
}

#[cfg(feature = "std")]
impl<C: Clock> RateLimiter<C> {
    /// Ends every wait, now and later, with [`AcquireError::LimiterClosed`]: for a shutdown. Tokens that
    /// were granted before stay granted. It cannot be undone.
    ///
    /// Calls that do not wait go on, but each takes the lock of the queue from then on. To refuse them too,
    /// [`pause_for`](RateLimiter::pause_for)`(Duration::MAX)`. A
    /// [`ConcurrencyLimit`](crate::ConcurrencyLimit::close) that is closed refuses every call, so that the permits
    /// in flight fall to zero; a bucket's tokens come back however few calls are admitted.
    ///
    /// A later wait for more than the burst, or until an instant that has passed, fails with that error, and
    /// one that costs nothing is granted. Waits on an [unlimited](RateLimiter::unlimited) limiter never
    /// last, and go on.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{AcquireError, Quota, RateLimiter};
    ///
    /// let limiter = RateLimiter::new(Quota::per_hour(1));
    /// limiter.acquire_blocking()?;
    /// std::thread::scope(|scope| {
    ///     let worker = scope.spawn(|| limiter.acquire_blocking());
    ///     limiter.close();
    ///     assert!(matches!(worker.join().unwrap(), Err(AcquireError::LimiterClosed(_))));
    /// });
    /// # Ok::<(), AcquireError>(())
    /// ```
    pub fn close(&self) {
        if !self.has_no_limit() {
            self.close_queue(self.live().read());
        }
    }
}

#[cfg(feature = "std")]
impl<C> RateLimiter<C> {
    /// Returns the number of waiters for which the timer is armed: a mock clock may be moved then.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.waiting() as usize
    }

    /// Returns the statistics since the limiter was built, or since the last
    /// [`take_stats`](RateLimiter::take_stats); `None` unless the builder was asked for
    /// [`stats`](crate::RateLimiterBuilder::stats).
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{MockClock, Quota, RateLimiter};
    ///
    /// let limiter = RateLimiter::builder().quota(Quota::per_second(2)).clock(MockClock::new()).stats().build()?;
    /// let admitted = (0..5).filter(|_| limiter.allow()).count();
    /// let stats = limiter.stats().unwrap();
    /// assert_eq!((stats.admitted, stats.rate_limited), (2, 3));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Option<Stats> {
        self.recording().read(|| None)
    }

    /// Returns the statistics as [`stats`](RateLimiter::stats) does, and begins anew. No call is lost between
    /// two reads: their sums are the totals.
    pub fn take_stats(&self) -> Option<Stats> {
        self.recording().take(|| None)
    }
}
