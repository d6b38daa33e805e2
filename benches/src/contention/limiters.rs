//! Who is measured: the floors, brimful, and its peers, each as its users would configure it.

use std::num::NonZeroU32;
use std::time::Duration;

use brimful::{Clock, QuantaClock, Quota, RateLimiter};
use governor::clock::Clock as GovernorClock;

use crate::contenders::{Floor, Governor, MutexBucket};

/// What everybody is held to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) tokens: u32,
    pub(super) period: Duration,
    pub(super) burst: u32,
}

impl Limit {
    pub(super) const fn per_second(tokens: u32, burst: u32) -> Self {
        Limit { tokens, period: Duration::from_secs(1), burst }
    }

    pub(super) fn quota(self) -> Quota {
        Quota::new(self.tokens.into(), self.period).burst(self.burst)
    }

    /// governor's constructors by name do the same division.
    pub(super) fn governors(self) -> governor::Quota {
        let Some(quota) = governor::Quota::with_period(self.period / self.tokens) else {
            panic!("governor has no interval for {self:?}")
        };
        quota.allow_burst(NonZeroU32::new(self.burst).unwrap_or(NonZeroU32::MIN))
    }

    pub(super) fn better_bucket(self) -> better_bucket::BucketConfig {
        let Limit { tokens, period, burst } = self;
        valid(better_bucket::BucketConfig::new(burst, tokens, period, burst))
    }

    pub(super) fn rate_net(self) -> rate_net::Quota {
        valid(rate_net::Quota::rate(self.tokens, self.period)).with_burst(self.burst)
    }

    pub(super) fn mutex(self) -> MutexBucket {
        let rate = f64::from(self.tokens) / self.period.as_secs_f64();
        MutexBucket::new(rate, self.burst.into())
    }

    /// It fills in lumps: the shortest interval that it has is a millisecond.
    fn leaky_bucket(self) -> leaky_bucket::RateLimiter {
        let token = self.period / self.tokens;
        let interval = token.max(Duration::from_millis(1));
        let refill = (interval.as_secs_f64() / token.as_secs_f64()).round() as usize;
        let (burst, mut builder) = (self.burst as usize, leaky_bucket::RateLimiter::builder());
        builder.initial(burst).max(burst).interval(interval).refill(refill).build()
    }
}

pub(super) fn ratelimit<C: ratelimit::Clock>(limit: Limit, clock: C) -> ratelimit::Ratelimiter<C> {
    let Limit { tokens, period, burst } = limit;
    let builder = ratelimit::Builder::with_clock(tokens.into(), clock).period(period);
    // Without initial tokens it starts empty.
    valid(builder.max_tokens(burst.into()).initial_available(burst.into()).build())
}

/// What is known to be valid.
pub(super) fn valid<T, E: std::fmt::Display>(built: Result<T, E>) -> T {
    built.unwrap_or_else(|error| panic!("{error}"))
}

/// A limiter of one bucket.
pub(super) trait Limiter: Send + Sync + 'static {
    /// Takes a token.
    fn take(&self) -> bool;

    /// Takes several.
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

/// Does what admitting takes at least, however many.
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

/// Does what refusing takes at least.
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

/// What is done with any of them.
pub(super) trait Job {
    type Answer;

    fn run<L: Limiter>(self, make: impl Fn() -> L + Send + Sync + 'static) -> Self::Answer;
}

/// Does it with the one of that name.
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
        RATELIMIT => job.run(move || ratelimit(limit, ratelimit::StdClock::new())),
        BETTER_BUCKET => {
            let config = limit.better_bucket();
            job.run(move || better_bucket::Bucket::from_config(config))
        }
        RATE_NET => {
            let quota = limit.rate_net();
            job.run(move || rate_net::DirectLimiter::with_quota(quota))
        }
        LEAKY_BUCKET => job.run(move || limit.leaky_bucket()),
        MUTEX => job.run(move || limit.mutex()),
        _ => return None,
    })
}
