//! Compares the tokens that a limiter admits with its quota, on a driven clock.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use brimful::{MockClock, RateLimiter};
use clock_lib::ManualClock;
use governor::clock::FakeRelativeClock;
use tokio::runtime::Builder;

use super::limiters::{
    BETTER_BUCKET, BRIMFUL, FIELD, GOVERNOR, LEAKY_BUCKET, Limiter, MUTEX, RATE_NET, RATELIMIT, mutexes,
};
use crate::bench::Scale;
use crate::limit::Limit;
use crate::report::{Bar, Report};

/// A limit, and the steps of the time.
struct Case {
    name: &'static str,
    limit: Limit,
    time: Duration,
    /// The shortest step, and the longest step, which is well below the time that fills the bucket.
    steps: [Duration; 2],
}

const HOUR: Duration = Duration::from_secs(3_600);

const SECOND: Duration = Duration::from_secs(1);

/// Steps for a bucket that fills in a millisecond, or with governor's intervals in 0.6 of it.
const WITHIN_A_MILLISECOND: [Duration; 2] = [Duration::from_micros(50), Duration::from_micros(500)];

const CASES: [Case; 4] = [
    Case {
        name: "30 million per second, burst 30 000, for a second",
        limit: Limit::per_second(30_000_000, 30_000),
        time: SECOND,
        steps: WITHIN_A_MILLISECOND,
    },
    Case {
        name: "600 million per second, burst 600 000, for a tenth of a second",
        limit: Limit::per_second(600_000_000, 600_000),
        time: Duration::from_millis(100),
        steps: WITHIN_A_MILLISECOND,
    },
    Case {
        name: "7 per minute, burst 7, for an hour",
        limit: Limit { tokens: 7, period: Duration::from_secs(60), burst: 7 },
        time: HOUR,
        steps: [SECOND, Duration::from_secs(50)],
    },
    Case {
        name: "1 per day, burst 300 000, for ten days",
        limit: Limit { tokens: 1, period: Duration::from_secs(86_400), burst: 300_000 },
        time: Duration::from_secs(864_000),
        steps: [HOUR, Duration::from_secs(43_200)],
    },
];

/// clock-lib's manual clock, for ratelimit.
struct Driven(Arc<ManualClock>);

impl ratelimit::Clock for Driven {
    fn elapsed(&self) -> Duration {
        self.0.offset()
    }
}

impl Case {
    /// Returns the burst, and the tokens that are earned in the time.
    fn exact(&self) -> u64 {
        let earned = u128::from(self.limit.tokens) * self.time.as_nanos() / self.limit.period.as_nanos();
        u64::from(self.limit.burst) + earned as u64
    }

    /// Counts the tokens that are admitted until there are no more, at the start and after each
    /// step. The last step ends with the time.
    fn admitted(&self, mut advance: impl FnMut(Duration), take: impl Fn() -> bool) -> u64 {
        let [least, most] = self.steps;
        let span = (most - least).as_nanos() as u64;
        let (mut left, mut seed, mut admitted) = (self.time, 0u64, 0);
        loop {
            while take() {
                admitted += 1;
            }
            if left.is_zero() {
                return admitted;
            }
            // These numbers fill the span evenly, and each is far from the one before it.
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let step = (least + Duration::from_nanos((seed >> 11) % span)).min(left);
            left -= step;
            advance(step);
        }
    }

    /// Returns the tokens that the contender of this name admits, on a clock of its own.
    fn measure(&self, name: &str) -> Option<u64> {
        let limit = self.limit;
        Some(match name {
            BRIMFUL => {
                let clock = MockClock::new();
                let limiter = RateLimiter::with_clock(limit.quota(), clock.clone());
                self.admitted(|step| clock.advance(step), || limiter.take())
            }
            GOVERNOR => {
                let clock = FakeRelativeClock::default();
                let limiter = governor::RateLimiter::direct_with_clock(limit.governors(), clock.clone());
                self.admitted(|step| clock.advance(step), || limiter.take())
            }
            RATELIMIT => {
                let clock = Arc::new(ManualClock::new());
                let limiter = limit.ratelimit(Driven(clock.clone()));
                self.admitted(|step| clock.advance(step), || limiter.take())
            }
            BETTER_BUCKET => {
                let clock = Arc::new(ManualClock::new());
                let limiter = better_bucket::Bucket::with_config_and_clock(limit.better_bucket(), clock.clone());
                self.admitted(|step| clock.advance(step), || limiter.take())
            }
            RATE_NET => {
                let clock = Arc::new(ManualClock::new());
                let limiter = rate_net::DirectLimiter::with_quota(limit.rate_net()).with_clock(clock.clone());
                self.admitted(|step| clock.advance(step), || limiter.take())
            }
            LEAKY_BUCKET => {
                // leaky-bucket's clock is the runtime's. Once one runtime's clock is driven, all
                // clocks in the process are read more slowly: nothing is timed after this.
                let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().ok()?;
                let _entered = runtime.enter();
                let limiter = limit.leaky_buckets(limit.token())();
                self.admitted(|step| runtime.block_on(tokio::time::advance(step)), || limiter.take())
            }
            MUTEX => {
                let limiter = mutexes(limit)();
                let now = Cell::new(Instant::now());
                let advance = |step| now.set(now.get() + step);
                self.admitted(advance, || limiter.try_acquire_at(1.0, || now.get()))
            }
            _ => return None,
        })
    }
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    const MEASURES: [&str; 4] = ["tokens admitted", "exact number", "difference", "parts per million"];
    for case in CASES {
        let scenario = format!("exact: {}", case.name);
        if !scale.wants(&scenario) {
            continue;
        }
        let exact = case.exact();
        let figures = FIELD.map(|name| match case.measure(name) {
            Some(admitted) => {
                let difference = admitted as f64 - exact as f64;
                vec![admitted as f64, exact as f64, difference, difference / exact as f64 * 1e6]
            }
            None => vec![f64::NAN; MEASURES.len()],
        });
        println!("\n{scenario}");
        report.figures(&scenario, &FIELD, &MEASURES, &figures);
        let off = report.get(&scenario, BRIMFUL, MEASURES[2]).map(f64::abs);
        report.bar(&format!("{scenario}: brimful: tokens too many or too few"), Bar::AtMost(0.0), off);
    }
    Ok(())
}
