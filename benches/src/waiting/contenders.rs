//! The contenders: brimful, its peers, and hand-written limiters.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brimful::{Clock, CompositeLimiter, QuantaClock, Quotas, RateLimiter, TokioTimer};
use governor::clock::{Clock as GovernorClock, QuantaClock as GovernorQuanta, ReasonablyRealtime};

use super::floors::{Nothing, Permits, Reserve};
use crate::contenders::Governor;
use crate::limit::Limit;

/// A limiter whose tokens can be waited for.
pub(super) trait Waits: Send + Sync + 'static {
    /// Waits for one token. Returns the instant of the grant by the process's clock, if the limiter
    /// reports it.
    fn acquire(&self) -> impl Future<Output = Option<u64>> + Send;

    /// Set if a late grant is charged when it is made, and not when it was due. The next grant is
    /// due later then, if the bucket is full meanwhile.
    const CHARGES_LATE: bool = false;
}

/// brimful, on any clock.
impl<C: Clock + Clone + Send + Sync + 'static> Waits for RateLimiter<C> {
    async fn acquire(&self) -> Option<u64> {
        self.acquire().await.ok().map(|granted| granted.granted_at())
    }

    const CHARGES_LATE: bool = true;
}

/// Several limits.
impl Waits for CompositeLimiter {
    async fn acquire(&self) -> Option<u64> {
        self.acquire().await.ok().map(|granted| granted.granted_at())
    }

    const CHARGES_LATE: bool = true;
}

impl<C: ReasonablyRealtime + Send + Sync + 'static> Waits for Governor<C>
where
    C::Instant: Send + Sync,
{
    async fn acquire(&self) -> Option<u64> {
        self.until_ready().await;
        None
    }

    const CHARGES_LATE: bool = true;
}

impl Waits for leaky_bucket::RateLimiter {
    async fn acquire(&self) -> Option<u64> {
        self.acquire_one().await;
        None
    }
}

impl Waits for rate_net::DirectLimiter {
    async fn acquire(&self) -> Option<u64> {
        let _ = self.try_until_ready().await;
        None
    }

    const CHARGES_LATE: bool = true;
}

impl Waits for async_speed_limit::Limiter {
    async fn acquire(&self) -> Option<u64> {
        self.consume(1).await;
        None
    }
}

/// The process's clock, with a count of its readings.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    reads: Arc<AtomicU64>,
}

impl Counted {
    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

impl Clock for Counted {
    fn now(&self) -> u64 {
        self.reads.fetch_add(1, Ordering::Relaxed);
        QuantaClock.now()
    }
}

/// [`Counted`] for governor.
#[derive(Clone, Debug, Default)]
pub(super) struct GovernorCounted {
    clock: GovernorQuanta,
    count: Counted,
}

impl GovernorClock for GovernorCounted {
    type Instant = <GovernorQuanta as GovernorClock>::Instant;

    fn now(&self) -> Self::Instant {
        self.count.reads.fetch_add(1, Ordering::Relaxed);
        self.clock.now()
    }
}

impl ReasonablyRealtime for GovernorCounted {}

pub(super) const BRIMFUL: &str = "brimful";
pub(super) const ON_TOKIO: &str = "brimful, TokioTimer";
/// The limit, and one of twice its rate.
pub(super) const TWO_LIMITS: &str = "brimful, two limits";
pub(super) const GOVERNOR: &str = "governor";
pub(super) const RESERVE: &str = "floor: reserve, tokio sleep";
const NOTHING: &str = "floor: tasks without a limit";
const PERMITS: &str = "floor: tokio Semaphore";

/// The names, in the order of the tables.
pub(super) const NAMES: [&str; 8] =
    [RESERVE, PERMITS, BRIMFUL, ON_TOKIO, GOVERNOR, "rate-net", "leaky-bucket", "async-speed-limit"];

/// The names with the cost of the tasks themselves, and of the bench.
pub(super) const CONTENDERS: [&str; 9] =
    [NOTHING, RESERVE, PERMITS, BRIMFUL, ON_TOKIO, GOVERNOR, "rate-net", "leaky-bucket", "async-speed-limit"];

/// A measurement that any contender can be used for.
pub(super) trait Job {
    type Answer;

    fn run<L: Waits>(self, limiter: L) -> Self::Answer;
}

/// Runs a job with the contender of this name, in a runtime.
pub(super) fn with<J: Job>(name: &str, limit: Limit, job: J) -> Option<J::Answer> {
    // The first reading calibrates.
    let _ = QuantaClock.now();
    Some(match name {
        BRIMFUL => job.run(RateLimiter::new(limit.quota())),
        ON_TOKIO => job.run(RateLimiter::builder().quota(limit.quota()).timer(TokioTimer::new).build().ok()?),
        TWO_LIMITS => {
            let quota = limit.quota();
            let other = Limit { tokens: limit.tokens * 2, ..limit }.quota();
            job.run(CompositeLimiter::new(Quotas::new([quota, other]).ok()?))
        }
        GOVERNOR => job.run(governor::RateLimiter::direct_with_clock(limit.governors(), GovernorQuanta::default())),
        "rate-net" => job.run(rate_net::DirectLimiter::with_quota(limit.rate_net())),
        "leaky-bucket" => {
            // The longest ticks that the burst has room for. Each tick comes a millisecond late,
            // and that much of the rate is lost.
            job.run(limit.leaky_buckets(limit.token() * limit.burst)())
        }
        "async-speed-limit" => {
            let refill = limit.token() * limit.burst;
            let mut builder = async_speed_limit::Limiter::builder(limit.tokens.into());
            // Otherwise each waiter waits for a whole refill more.
            job.run(builder.refill(refill).min_wait(Duration::ZERO).build())
        }
        NOTHING => job.run(Nothing),
        RESERVE => job.run(Reserve::new(limit)),
        PERMITS => job.run(Permits::new(limit)),
        _ => return None,
    })
}

/// Runs a job with a contender that counts its readings of the clock. Returns the count as well.
pub(super) fn with_counted<J: Job>(name: &str, limit: Limit, job: J) -> Option<(J::Answer, u64)> {
    let clock = Counted::default();
    let builder = RateLimiter::builder().quota(limit.quota()).clock(clock.clone());
    let answer = match name {
        BRIMFUL => job.run(builder.build().ok()?),
        ON_TOKIO => job.run(builder.timer(TokioTimer::new).build().ok()?),
        GOVERNOR => {
            let theirs = GovernorCounted { clock: GovernorQuanta::default(), count: clock.clone() };
            job.run(governor::RateLimiter::direct_with_clock(limit.governors(), theirs))
        }
        _ => return None,
    };
    Some((answer, clock.reads()))
}
