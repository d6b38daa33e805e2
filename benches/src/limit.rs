//! The limit of all contenders, in the form that each library takes.

use std::num::NonZeroU32;
use std::time::Duration;

/// A number of tokens per period, and a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) tokens: u32,
    pub(crate) period: Duration,
    pub(crate) burst: u32,
}

impl Limit {
    pub(crate) const fn per_second(tokens: u32, burst: u32) -> Self {
        Limit { tokens, period: Duration::from_secs(1), burst }
    }

    /// Returns a token's time, rounded down to a nanosecond.
    pub(crate) fn token(self) -> Duration {
        self.period / self.tokens
    }

    /// Returns the least seconds in which `tokens` tokens can be served.
    pub(crate) fn ideal(self, tokens: u64) -> f64 {
        tokens.saturating_sub(self.burst.into()) as f64 * self.token().as_secs_f64()
    }

    pub(crate) fn quota(self) -> brimful::Quota {
        brimful::Quota::new(self.tokens.into(), self.period).burst(self.burst)
    }

    /// Returns governor's quota, by the division that its named constructors do.
    pub(crate) fn governors(self) -> governor::Quota {
        let Some(quota) = governor::Quota::with_period(self.token()) else {
            panic!("governor has no interval for {self:?}")
        };
        quota.allow_burst(NonZeroU32::new(self.burst).unwrap_or(NonZeroU32::MIN))
    }

    pub(crate) fn rate_net(self) -> rate_net::Quota {
        valid(rate_net::Quota::rate(self.tokens, self.period)).with_burst(self.burst)
    }

    pub(crate) fn better_bucket(self) -> better_bucket::BucketConfig {
        valid(better_bucket::BucketConfig::new(self.burst, self.tokens, self.period, self.burst))
    }

    pub(crate) fn ratelimit<C: ratelimit::Clock>(self, clock: C) -> ratelimit::Ratelimiter<C> {
        let builder = ratelimit::Builder::with_clock(self.tokens.into(), clock).period(self.period);
        // Without initial tokens the limiter starts empty.
        valid(builder.max_tokens(self.burst.into()).initial_available(self.burst.into()).build())
    }

    /// Returns a constructor for leaky-bucket, which fills in lumps, each after a time of at least
    /// a millisecond.
    pub(crate) fn leaky_buckets(
        self,
        interval: Duration,
    ) -> impl Fn() -> leaky_bucket::RateLimiter + Send + Sync + 'static {
        let interval = interval.max(Duration::from_millis(1));
        let refill = (f64::from(self.tokens) * interval.as_secs_f64() / self.period.as_secs_f64()).round() as usize;
        let burst = self.burst as usize;
        move || {
            let mut builder = leaky_bucket::RateLimiter::builder();
            builder.initial(burst).max(burst).interval(interval).refill(refill).build()
        }
    }
}

/// Returns a value that is known to be valid.
fn valid<T, E: std::fmt::Display>(built: Result<T, E>) -> T {
    built.unwrap_or_else(|error| panic!("{error}"))
}
