//! The contenders: the floors, brimful, and its peers, each as its users would configure it.

use std::num::NonZeroU32;

use brimful::{Clock, QuantaClock, RateLimiter};
use governor::clock::Clock as GovernorClock;

use crate::contenders::{Floor, Governor, MutexBucket};
use crate::limit::Limit;

pub(super) fn mutexes(limit: Limit) -> impl Fn() -> MutexBucket + Send + Sync + 'static {
    let (rate, burst) = (f64::from(limit.tokens) / limit.period.as_secs_f64(), limit.burst.into());
    move || MutexBucket::new(rate, burst)
}

/// A limiter of one bucket.
pub(super) trait Limiter: Send + Sync + 'static {
    /// Takes a token.
    fn take(&self) -> bool;

    /// Takes `n` tokens.
    fn take_n(&self, n: u32) -> bool;
}

impl<C: Clock + Send + Sync + 'static> Limiter for RateLimiter<C> {
    #[inline]
    fn take(&self) -> bool {
        self.try_acquire().is_ok()
    }

    #[inline]
    fn take_n(&self, n: u32) -> bool {
        self.try_acquire_n(n).is_ok()
    }
}

impl<C: GovernorClock + Send + Sync + 'static> Limiter for Governor<C>
where
    C::Instant: Send + Sync,
{
    #[inline]
    fn take(&self) -> bool {
        self.check().is_ok()
    }

    #[inline]
    fn take_n(&self, n: u32) -> bool {
        NonZeroU32::new(n).is_none_or(|n| self.check_n(n).is_ok_and(|inner| inner.is_ok()))
    }
}

impl<C: ratelimit::Clock + Send + Sync + 'static> Limiter for ratelimit::Ratelimiter<C> {
    #[inline]
    fn take(&self) -> bool {
        self.try_wait().is_ok()
    }

    #[inline]
    fn take_n(&self, n: u32) -> bool {
        self.try_wait_n(n.into()).is_ok()
    }
}

impl<C: clock_lib::Clock + 'static> Limiter for better_bucket::Bucket<C> {
    #[inline]
    fn take(&self) -> bool {
        self.try_acquire(1)
    }

    #[inline]
    fn take_n(&self, n: u32) -> bool {
        self.try_acquire(n)
    }
}

impl<C: clock_lib::Clock + Clone + 'static> Limiter for rate_net::DirectLimiter<C> {
    #[inline]
    fn take(&self) -> bool {
        self.check().is_allow()
    }

    #[inline]
    fn take_n(&self, n: u32) -> bool {
        self.check_n(n).is_allow()
    }
}

impl Limiter for leaky_bucket::RateLimiter {
    #[inline]
    fn take(&self) -> bool {
        self.try_acquire(1)
    }

    #[inline]
    fn take_n(&self, n: u32) -> bool {
        self.try_acquire(n as usize)
    }
}

impl Limiter for MutexBucket {
    #[inline]
    fn take(&self) -> bool {
        self.try_acquire(1.0)
    }

    #[inline]
    fn take_n(&self, n: u32) -> bool {
        self.try_acquire(n.into())
    }
}

/// The least work of an admission, for any number of tokens.
struct Admits(Floor);

impl Limiter for Admits {
    #[inline]
    fn take(&self) -> bool {
        self.0.swap(&QuantaClock) != 0
    }

    #[inline]
    fn take_n(&self, _: u32) -> bool {
        self.take()
    }
}

/// The least work of a refusal.
struct Refuses(Floor);

impl Limiter for Refuses {
    #[inline]
    fn take(&self) -> bool {
        self.0.look(&QuantaClock)
    }

    #[inline]
    fn take_n(&self, _: u32) -> bool {
        self.take()
    }
}

pub(super) const ADMITS: &str = "floor: clock, load, CAS";
pub(super) const REFUSES: &str = "floor: clock, load";
pub(super) const BRIMFUL: &str = "brimful";
pub(super) const GOVERNOR: &str = "governor";
pub(super) const RATELIMIT: &str = "ratelimit";
pub(super) const BETTER_BUCKET: &str = "better-bucket";
pub(super) const RATE_NET: &str = "rate-net";
pub(super) const LEAKY_BUCKET: &str = "leaky-bucket";
pub(super) const MUTEX: &str = "Mutex<(f64, Instant)>";

/// brimful and its peers, in the order of the tables.
pub(super) const FIELD: [&str; 7] = [BRIMFUL, GOVERNOR, RATELIMIT, BETTER_BUCKET, RATE_NET, LEAKY_BUCKET, MUTEX];

/// A measurement that any contender can be used for.
pub(super) trait Job {
    type Answer;

    fn run<L: Limiter>(self, make: impl Fn() -> L + Send + Sync + 'static) -> Self::Answer;
}

/// Runs a job with the contender of this name.
pub(super) fn with<J: Job>(name: &str, limit: Limit, job: J) -> Option<J::Answer> {
    // The first reading calibrates.
    let _ = QuantaClock.now();
    Some(match name {
        ADMITS => job.run(|| Admits(Floor::default())),
        REFUSES => job.run(|| Refuses(Floor::default())),
        BRIMFUL => {
            let quota = limit.quota();
            job.run(move || RateLimiter::new(quota))
        }
        GOVERNOR => {
            let quota = limit.governors();
            job.run(move || governor::RateLimiter::direct(quota))
        }
        RATELIMIT => job.run(move || limit.ratelimit(ratelimit::StdClock::new())),
        BETTER_BUCKET => {
            let config = limit.better_bucket();
            job.run(move || better_bucket::Bucket::from_config(config))
        }
        RATE_NET => {
            let quota = limit.rate_net();
            job.run(move || rate_net::DirectLimiter::with_quota(quota))
        }
        LEAKY_BUCKET => job.run(limit.leaky_buckets(limit.token())),
        MUTEX => job.run(mutexes(limit)),
        _ => return None,
    })
}
