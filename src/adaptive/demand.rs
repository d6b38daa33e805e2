//! [`DemandLimit`]: a limit that follows demand.

use std::fmt;

use super::demand_policy::DemandPolicy;
use crate::clock::{Clock, QuantaClock};
use crate::error::TryAcquireError;
use crate::limiter::RateLimiter;
use crate::sync::{AtomicU64, Mutex, Ordering, lock, try_lock};
use crate::tokens::Tokens;

/// A limit that follows demand: each period, the refill becomes the mean of the requests in the last
/// period and the current refill, rounded up.
///
/// By default a period is a second, the first refill is 5 tokens a second and the highest 10, and a bucket
/// holds twice the refill, at most 20. [`builder`](DemandLimit::builder) sets each of these numbers.
///
/// A request is one token that was asked for, admitted or not. The tokens that are there are kept when the
/// quota changes. No thread runs for this: the first call after the end of a period counts it, and every
/// period without calls since then as one without requests. Counts are exact if calls do not overlap the end
/// of a period; a call that does counts in either. If the clock panics when a period ends, the quota follows at the end
/// of the next one.
///
/// # Examples
///
/// ```
/// use brimful::MockClock;
/// use brimful::adaptive::DemandLimit;
/// use std::time::Duration;
///
/// let clock = MockClock::new();
/// let limit = DemandLimit::builder().clock(clock.clone()).build()?;
/// assert!((0..3).all(|_| limit.allow()));
/// clock.advance(Duration::from_secs(1));
/// assert!(limit.allow()); // 3 requests, at a refill of 5
/// assert_eq!(limit.limiter().quota().to_string(), "4/s burst 8");
/// # Ok::<(), brimful::BuildError>(())
/// ```
pub struct DemandLimit<C = QuantaClock> {
    limiter: RateLimiter<C>,
    policy: DemandPolicy,
    /// The requests in this period.
    requests: AtomicU64,
    /// The end of this period, in nanoseconds since the clock's origin.
    ends: AtomicU64,
    /// The current refill. Held by the call that ends a period, while it computes the next one.
    refill: Mutex<u32>,
}

impl<C: Clock> DemandLimit<C> {
    pub(super) fn new(limiter: RateLimiter<C>, policy: DemandPolicy) -> Self {
        let ends = limiter.clock().now().saturating_add(period(&policy));
        DemandLimit {
            limiter,
            requests: AtomicU64::new(0),
            ends: AtomicU64::new(ends),
            refill: Mutex::new(policy.initial),
            policy,
        }
    }

    /// Takes one token if it is there, and returns whether it was.
    #[must_use]
    pub fn allow(&self) -> bool {
        self.try_acquire().is_ok()
    }

    /// Takes one token if it is there.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::try_acquire_n`].
    pub fn try_acquire(&self) -> Result<(), TryAcquireError> {
        self.try_acquire_n(1)
    }

    /// Takes `n` tokens, all or none. They count as `n` requests.
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::try_acquire_n`].
    pub fn try_acquire_n(&self, n: u32) -> Result<(), TryAcquireError> {
        let now = self.limiter.clock().now();
        // Relaxed, as all here: a count, which orders nothing. The limiter has its own order.
        if now >= self.ends.load(Ordering::Relaxed) {
            self.end_periods(now);
        }
        self.requests.fetch_add(n.into(), Ordering::Relaxed);
        self.limiter.try_acquire_n(Tokens::new(n))
    }

    /// Returns the limiter, whose quota follows demand: to look at it, to wait on it, or to pause it. Its calls do not
    /// count as requests, and do not end periods.
    ///
    /// A quota that is [set](RateLimiter::set_quota) on it holds until the end of the period, and the refill after
    /// that is the one that would have followed without it. To hold calls back for longer, use
    /// [`pause_for`](RateLimiter::pause_for), which outlasts periods.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::adaptive::DemandLimit;
    /// use brimful::{MockClock, Quota};
    /// use std::time::Duration;
    ///
    /// let clock = MockClock::new();
    /// let limit = DemandLimit::builder().clock(clock.clone()).build()?;
    /// limit.limiter().set_quota(Quota::per_second(1))?; // was 5
    /// assert!(limit.allow() && !limit.allow());
    /// clock.advance(Duration::from_secs(1));
    /// assert!(limit.allow()); // 2 requests, at a refill of 5
    /// assert_eq!(limit.limiter().quota().to_string(), "4/s burst 8");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn limiter(&self) -> &RateLimiter<C> {
        &self.limiter
    }

    /// Counts the periods that have ended, and sets the quota that follows from them. If another call is
    /// about to, leaves it to that.
    #[cold]
    fn end_periods(&self, now: u64) {
        let Some(mut refill) = try_lock(&self.refill) else { return };
        let (ended, period) = (self.ends.load(Ordering::Relaxed), period(&self.policy));
        let Some(since) = now.checked_sub(ended) else { return };
        let without_requests = since / period;
        *refill = self.policy.next_refill(*refill, self.requests.swap(0, Ordering::Relaxed));
        for _ in 0..without_requests {
            let next = self.policy.next_refill(*refill, 0);
            // From then on, it stays.
            if std::mem::replace(&mut *refill, next) == next {
                break;
            }
        }
        self.ends.store(ended.saturating_add((without_requests + 1).saturating_mul(period)), Ordering::Relaxed);
        drop(refill);
        self.follow();
    }

    /// Sets the quota of the current refill, with no lock held, because that wakes waiters. Meanwhile another call may
    /// end the next period and set its quota first, so this one looks again.
    fn follow(&self) {
        // The limiter's quota is not read again: the user may have set it meanwhile.
        let mut last = self.limiter.quota();
        loop {
            let quota = self.policy.quota(*lock(&self.refill));
            // No error is possible: the builder has checked the highest quota, no refill is above it, and every burst
            // is a whole number of tokens, which every limiter can count.
            if quota == last || self.limiter.set_quota(quota).is_err() {
                return;
            }
            last = quota;
        }
    }
}

fn period(policy: &DemandPolicy) -> u64 {
    u64::try_from(policy.period.as_nanos()).unwrap_or(u64::MAX)
}

impl<C: Clock> fmt::Debug for DemandLimit<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DemandLimit").field("limiter", &self.limiter).finish_non_exhaustive()
    }
}
