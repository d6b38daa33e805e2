//! [`CompositeBucket`]: the buckets of several limits, with every verb; and [`CompositeBucketAt`]: the same at
//! a given time.

use std::fmt;
use std::time::Duration;

use super::acquire::{CompositeAcquire, CompositeReserve};
use super::decision::CompositeDecision;
use super::error::CompositeAcquireError;
use super::error::LimitError;
use super::holder::Holder;
use super::limits::{KeyCall, Leaving, SharedClock, SingleCall};
use super::order::{Order, OrderCall, Queue};
use super::queued::Effect;
use super::reservation::CompositeReservation;
use super::together::{self, Parts, Refused};
use crate::cell::TimeSource;
use crate::clock::{Clock, QuantaClock};
use crate::limiter::Granted;
use crate::tokens::Tokens;
use crate::word::Reading;

/// The buckets of a [`CompositeLimiter`](crate::CompositeLimiter), or those of one key of a
/// [`KeyedCompositeLimiter`](crate::KeyedCompositeLimiter), one for each limit. Its verbs are those of a
/// [`Bucket`](crate::Bucket), on all of them at once.
///
/// It is a borrow, `Copy` and cheap to make. For a key, it holds the key's hash.
///
/// # Examples
///
/// ```
/// use brimful::{CompositeLimiter, MockClock};
///
/// let quotas = "10/s; 100/h".parse()?;
/// let limiter = CompositeLimiter::with_clock(quotas, MockClock::new());
/// let background = limiter.leaving(4); // in each bucket
/// assert!(background.try_acquire_n(6).is_ok());
/// assert!(background.try_acquire().is_err());
/// assert!(limiter.try_acquire_n(4).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CompositeBucket<'a, C = QuantaClock> {
    holder: Holder<'a, C>,
    leaving: Leaving,
}

impl<C> Clone for CompositeBucket<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for CompositeBucket<'_, C> {}

impl<C> fmt::Debug for CompositeBucket<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompositeBucket").field("limits", &self.holder.limits().len()).finish_non_exhaustive()
    }
}

impl<'a, C> CompositeBucket<'a, C> {
    #[inline]
    pub(super) fn new(holder: Holder<'a, C>) -> Self {
        CompositeBucket { holder, leaving: Leaving::NOTHING }
    }

    /// Returns the same buckets, for calls that leave `n` tokens in each. See [`Bucket`](crate::Bucket).
    #[must_use]
    pub fn leaving(self, n: impl Into<Tokens>) -> Self {
        CompositeBucket { leaving: Leaving::Tokens(n.into()), ..self }
    }

    /// Returns the same buckets, for calls that leave the share of each burst that
    /// [`background_leaves`](crate::CompositeLimiterBuilder::background_leaves) set: a fifth by default.
    #[must_use]
    pub fn background(self) -> Self {
        CompositeBucket { leaving: Leaving::Background, ..self }
    }

    /// Returns the number of waiters.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.holder.waiting() as usize
    }

    /// Returns the same buckets, for calls at `now_ns`, in nanoseconds since an origin of your choice.
    ///
    /// Use either the clock or given times on a limiter, not both.
    #[inline]
    #[must_use]
    pub fn at(self, now_ns: u64) -> CompositeBucketAt<'a, C> {
        CompositeBucketAt { bucket: self, now: Reading::from_nanos(now_ns) }
    }
}

impl<'a, C: Clock> CompositeBucket<'a, C> {
    #[inline(always)]
    fn take(self, n: Tokens, at: Option<Reading>) -> Result<(), LimitError> {
        let leaving = self.leaving;
        #[inline(always)]
        fn take<C>(holder: Holder<'_, C>, call: impl Parts, at: Option<Reading>) -> Result<(), LimitError> {
            together::take(call, at, |_, _| ()).map_err(|refused| holder.refused(refused, call))
        }
        let taken = if let Some(queue) = self.holder.waiters() {
            self.take_behind(&*queue, n, at).map_err(|refused| self.refusal(refused, n))
        } else {
            match self.holder {
                Holder::Single(single) => take(self.holder, SingleCall { limits: single.limits(), n, leaving }, at),
                Holder::Key(keyed, key) => take(self.holder, KeyCall { limits: keyed.limits(), key, n, leaving }, at),
            }
        };
        if taken.is_ok() {
            self.holder.recording().admitted(n);
        }
        self.holder.report();
        taken
    }

    fn behind(self, n: Tokens) -> OrderCall<'a, C> {
        OrderCall { limits: self.holder.limits(), order: Order { n, leaving: self.leaving } }
    }

    #[cold]
    fn refusal(self, refused: Refused, n: Tokens) -> LimitError {
        self.holder.refused(refused, self.behind(n))
    }

    /// Takes unless a waiter comes first.
    #[cold]
    #[inline(never)]
    fn take_behind(self, queue: &Queue, n: Tokens, at: Option<Reading>) -> Result<(), Refused> {
        if n.is_zero() {
            return Ok(());
        }
        let call = self.behind(n);
        match queue.take(call.order, at) {
            Some(taken) => taken.map(|_| ()).map_err(|why| {
                why.unwrap_or_else(|| Refused::behind(0, at.unwrap_or_else(|| call.part(0).target.live().read())))
            }),
            // A queue that was given up has no waiters.
            None => together::take(call, at, |_, _| ()),
        }
    }

    fn decide_at(self, n: Tokens, at: Option<Reading>) -> CompositeDecision {
        let leaving = self.leaving;
        let gave_back = || self.holder.changed(Effect::Earlier);
        let decision = if let Some(queue) = self.holder.waiters() {
            let taken = self.take_behind(&*queue, n, at);
            if taken.is_err_and(|refused| refused.gave_back) {
                gave_back();
            }
            CompositeDecision::behind(self.behind(n), taken, at)
        } else {
            match self.holder {
                Holder::Single(single) => {
                    CompositeDecision::of(SingleCall { limits: single.limits(), n, leaving }, at, gave_back)
                }
                Holder::Key(keyed, key) => {
                    CompositeDecision::of(KeyCall { limits: keyed.limits(), key, n, leaving }, at, gave_back)
                }
            }
        };
        match decision.refusal() {
            None => self.holder.recording().admitted(n),
            Some(refusal) => self.holder.count_refused(n, refusal),
        }
        self.holder.report();
        decision
    }

    fn reserve(self, n: Tokens, at: Option<Reading>) -> Result<CompositeReservation<'a, C>, LimitError> {
        self.take(n, at)?;
        Ok(CompositeReservation::new(self.holder, n, at))
    }

    fn least(self, of: impl Fn(usize) -> f64) -> f64 {
        let least = (0..self.holder.limits().len()).map(of).fold(f64::INFINITY, f64::min);
        self.holder.report();
        least
    }

    fn source(self, nth: usize, at: Option<Reading>) -> TimeSource<'a, SharedClock<C>> {
        at.map_or(self.holder.limits().target(nth).live(), TimeSource::given)
    }

    fn available_at(self, at: Option<Reading>) -> f64 {
        self.least(|nth| {
            let target = self.holder.limits().target(nth);
            target.available_tokens(self.leaving.of(&target), self.source(nth, at))
        })
    }

    fn balance_at(self, at: Option<Reading>) -> f64 {
        self.least(|nth| self.holder.limits().target(nth).balance(self.source(nth, at)))
    }

    fn time_until_at(self, n: Tokens, at: Option<Reading>) -> Option<Duration> {
        let time_until = |nth| {
            let target = self.holder.limits().target(nth);
            target.time_until(n, self.leaving.of(&target), self.source(nth, at))
        };
        let longer = |longest: Duration, time: Option<Duration>| time.map(|time| longest.max(time));
        let longest = (0..self.holder.limits().len()).map(time_until).try_fold(Duration::ZERO, longer);
        self.holder.report();
        longest
    }

    fn add_tokens_at(self, n: Tokens, at: Option<Reading>) {
        for nth in 0..self.holder.limits().len() {
            self.holder.limits().target(nth).add_tokens(n, self.source(nth, at));
        }
        self.holder.recording().refunded(n);
        self.holder.changed(Effect::Earlier);
        self.holder.report();
    }

    fn reset_at(self, at: Option<Reading>) {
        for nth in 0..self.holder.limits().len() {
            self.holder.limits().target(nth).reset(self.source(nth, at));
        }
        self.holder.changed(Effect::Earlier);
        self.holder.report();
    }
}

/// Verbs that wait, in order of arrival. A waiter is charged when all limits admit it, and not before.
impl<'a, C: Clock + Clone + Send + Sync + 'static> CompositeBucket<'a, C> {
    /// Waits for one token from every limit.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](CompositeBucket::acquire_n).
    pub fn acquire(&self) -> CompositeAcquire<'a, C> {
        self.acquire_n(Tokens::ONE)
    }

    /// Waits for `n` tokens from every limit.
    ///
    /// # Errors
    ///
    /// [`CompositeAcquireError`], which names the limit that cannot be met.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: see [`CompositeAcquire`].
    pub fn acquire_n(&self, n: impl Into<Tokens>) -> CompositeAcquire<'a, C> {
        CompositeAcquire::new(self.holder, n.into(), self.leaving)
    }

    /// Waits for `n` tokens from every limit, for a call whose cost is known later.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](CompositeBucket::acquire_n).
    pub fn reserve_n(&self, n: impl Into<Tokens>) -> CompositeReserve<'a, C> {
        CompositeReserve::new(self.holder, n.into(), self.leaving)
    }

    /// As [`acquire`](CompositeBucket::acquire), by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](CompositeBucket::acquire_n).
    pub fn acquire_blocking(&self) -> Result<Granted, CompositeAcquireError> {
        self.acquire().wait()
    }

    /// As [`acquire_n`](CompositeBucket::acquire_n), by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](CompositeBucket::acquire_n).
    pub fn acquire_n_blocking(&self, n: impl Into<Tokens>) -> Result<Granted, CompositeAcquireError> {
        self.acquire_n(n).wait()
    }
}

/// The verbs that do not wait. `$at` is the time of the call; `None` for the clock. `$bucket` is the view.
macro_rules! verbs {
    ($name:ident, |$this:ident| $bucket:expr, $at:expr) => {
        impl<'a, C: Clock> $name<'a, C> {
            /// Takes one token from every limit if it is there, and returns whether it was.
            #[inline]
            #[must_use]
            pub fn allow(&self) -> bool {
                self.try_acquire().is_ok()
            }

            /// Takes one token from every limit, or none.
            ///
            /// # Errors
            ///
            /// As `try_acquire_n`.
            #[inline]
            pub fn try_acquire(&self) -> Result<(), LimitError> {
                self.try_acquire_n(Tokens::ONE)
            }

            /// Takes `n` tokens from every limit, or none. A cost of zero is always admitted, and charges
            /// nothing.
            ///
            /// # Errors
            ///
            /// [`LimitError`], which names the limit that refused the call. Nothing was charged anywhere.
            #[inline]
            pub fn try_acquire_n(&self, n: impl Into<Tokens>) -> Result<(), LimitError> {
                let $this = self;
                $bucket.take(n.into(), $at)
            }

            /// Takes `n` tokens from every limit, or none, and returns the decision with the numbers of each
            /// limit.
            pub fn decide(&self, n: impl Into<Tokens>) -> CompositeDecision {
                let $this = self;
                $bucket.decide_at(n.into(), $at)
            }

            /// Takes `n` tokens from every limit now, for a call whose cost is known later.
            ///
            /// # Errors
            ///
            /// As `try_acquire_n`.
            pub fn try_reserve_n(&self, n: impl Into<Tokens>) -> Result<CompositeReservation<'a, C>, LimitError> {
                let $this = self;
                $bucket.reserve(n.into(), $at)
            }

            /// Returns the tokens that are there for a call now, in every limit: those of the limit that has
            /// the fewest.
            #[must_use]
            pub fn available_tokens(&self) -> f64 {
                let $this = self;
                $bucket.available_at($at)
            }

            /// Returns the tokens that the emptiest bucket holds now: negative in debt.
            #[must_use]
            pub fn balance(&self) -> f64 {
                let $this = self;
                $bucket.balance_at($at)
            }

            /// Returns the time until `n` tokens are there in every limit, if nothing else takes them; `None`
            /// if they never are. Exact and rounded up: that instant is sufficient, one nanosecond earlier is
            /// not.
            #[must_use]
            pub fn time_until(&self, n: impl Into<Tokens>) -> Option<Duration> {
                let $this = self;
                $bucket.time_until_at(n.into(), $at)
            }

            /// Adds `n` tokens to every bucket, clipped at its burst.
            pub fn add_tokens(&self, n: impl Into<Tokens>) {
                let $this = self;
                $bucket.add_tokens_at(n.into(), $at);
            }

            /// Fills every bucket, and forgets its past.
            pub fn reset(&self) {
                let $this = self;
                $bucket.reset_at($at);
            }
        }
    };
}

verbs!(CompositeBucket, |this| *this, None);

/// A [`CompositeBucket`] at a given time: its verbs that do not wait, without a reading of the clock.
pub struct CompositeBucketAt<'a, C = QuantaClock> {
    bucket: CompositeBucket<'a, C>,
    now: Reading,
}

impl<C> Clone for CompositeBucketAt<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for CompositeBucketAt<'_, C> {}

impl<C> fmt::Debug for CompositeBucketAt<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = Duration::from_nanos(self.now.nanos());
        f.debug_struct("CompositeBucketAt").field("bucket", &self.bucket).field("now", &now).finish()
    }
}

impl<C> CompositeBucketAt<'_, C> {
    /// As [`CompositeBucket::leaving`].
    #[must_use]
    pub fn leaving(self, n: impl Into<Tokens>) -> Self {
        CompositeBucketAt { bucket: self.bucket.leaving(n), ..self }
    }

    /// As [`CompositeBucket::background`].
    #[must_use]
    pub fn background(self) -> Self {
        CompositeBucketAt { bucket: self.bucket.background(), ..self }
    }
}

verbs!(CompositeBucketAt, |this| this.bucket, Some(this.now));
