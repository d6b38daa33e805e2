//! The window bound of a limiter whose quota changes: the burst at the window's start, and the integral of the
//! rate, with the higher of two quotas while they change. A window that begins during a change counts from the
//! change's begin. Resets and proportional changes add a burst at most.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use brimful::{Clock, KeyedRateLimiter, MockClock, Quota, QuotaChange, RateLimiter};

use crate::support::{ErringClock, Random, SECOND, operations};

/// In 10⁻⁹ tokens.
type Nano = i128;

/// A quota that a limiter had, and the change that set it.
struct Period {
    rate: u32,
    burst: u32,
    /// The tokens that came with the change.
    added: u32,
    /// The readings of calls that overlap the change lie in this range.
    begin: u64,
    end: u64,
}

/// A grant: its reading and cost, and a time that is after the call.
struct Grant {
    now: u64,
    cost: u32,
    end: u64,
}

/// The quotas that a limiter had.
struct Schedule(Vec<Period>);

impl Schedule {
    fn new(rate: u32, burst: u32) -> Self {
        Schedule(vec![Period { rate, burst, added: 0, begin: 0, end: 0 }])
    }

    /// Asserts the bound for all windows that begin and end at a grant.
    ///
    /// A call whose thread was held up after its reading overlaps the changes since. So a change begins at the
    /// earliest reading of a call that overlaps it.
    fn check(mut self, mut grants: Vec<Grant>) {
        grants.sort_unstable_by_key(|grant| grant.now);
        let periods = &mut self.0;
        for grant in &grants {
            let first = periods.partition_point(|period| period.end < grant.now);
            for period in periods[first..].iter_mut().take_while(|period| period.begin <= grant.end) {
                period.begin = period.begin.min(grant.now);
            }
        }
        // Changes are made one after the other: none ends its overlap before an earlier one begins it.
        for at in (1..periods.len()).rev() {
            periods[at - 1].begin = periods[at - 1].begin.min(periods[at].begin);
        }
        let nano = |tokens: u32| Nano::from(tokens) * Nano::from(SECOND);
        let (mut first, mut last) = (0, 0);
        let (mut earned, mut since, mut added) = (0, 0, 0);
        // The tokens earned when the changes that are being made began, and the tokens added before.
        let mut calm = (0, 0);
        let (mut granted, mut least): (Nano, Nano) = (0, Nano::MAX);
        for Grant { now, cost, .. } in grants {
            // From one begin or end to the next.
            loop {
                let begin = periods.get(last + 1).map(|period| period.begin).filter(|&begin| begin <= now);
                let end = if first < last { Some(periods[first + 1].end).filter(|&end| end < now) } else { None };
                let until = begin.into_iter().chain(end).min().unwrap_or(now).max(since);
                let rate = periods[first..=last].iter().map(|period| period.rate).max().unwrap();
                earned += Nano::from(rate) * Nano::from(until - since);
                since = until;
                if first == last {
                    calm = (earned, added);
                }
                match (begin, end) {
                    (Some(begin), end) if end.is_none_or(|end| begin <= end) => {
                        last += 1;
                        added += nano(periods[last].added);
                    }
                    (_, Some(_)) => first += 1,
                    _ => break,
                }
            }
            let burst = nano(periods[first..=last].iter().map(|period| period.burst).max().unwrap());
            let from = if first == last { earned + added } else { calm.0 + calm.1 };
            least = least.min(granted - from + burst);
            granted += nano(cost);
            let most = least + earned + added;
            assert!(granted <= most, "{} tokens too many at {now}", (granted - most) as f64 / SECOND as f64);
        }
    }
}

fn quota(rate: u32, burst: u32) -> Quota {
    Quota::per_second(rate).burst(burst)
}

/// One thread, an exact clock, and the exact bound: no slack for overlaps.
#[test]
fn the_bound_is_the_integral_of_the_rate() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let clock = MockClock::new();
        let limiter = RateLimiter::builder().quota(quota(40, 15)).up_to(quota(97, 20)).clock(clock.clone());
        let limiter = limiter.build().unwrap();
        let mut schedules = [Schedule::new(40, 15), Schedule::new(40, 15)];
        let keyed = KeyedRateLimiter::<u64>::builder().quota(quota(40, 15)).up_to(quota(97, 20)).max_keys(100);
        let keyed = keyed.clock(clock.clone()).build().unwrap();
        let mut grants = [Vec::new(), Vec::new()];
        for _ in 0..400 {
            let now = clock.now();
            match random.below(10) {
                0 => {
                    let (rate, burst) = (1 + random.below(97) as u32, 1 + random.below(20) as u32);
                    limiter.set_quota(quota(rate, burst)).unwrap();
                    keyed.set_quota(quota(rate, burst)).unwrap();
                    for schedule in &mut schedules {
                        schedule.0.push(Period { rate, burst, added: 0, begin: now, end: now });
                    }
                }
                1..=4 => clock.advance(Duration::from_nanos(random.below(100_000_000))),
                5 => {
                    let cost = 1 + random.below(3) as u32;
                    if let Some(wait) = limiter.time_until(cost) {
                        clock.advance(wait);
                        limiter.try_acquire_n(cost).unwrap();
                        grants[0].push(Grant { now: clock.now(), cost, end: 0 });
                    }
                }
                _ => {
                    let cost = 1 + random.below(3) as u32;
                    if limiter.try_acquire_n(cost).is_ok() {
                        grants[0].push(Grant { now, cost, end: 0 });
                    }
                    if keyed.try_acquire_n(&3, cost).is_ok() {
                        grants[1].push(Grant { now, cost, end: 0 });
                    }
                }
            }
        }
        assert!(grants[0].len() > 50);
        schedules.into_iter().zip(grants).for_each(|(schedule, grants)| schedule.check(grants));
    }
}

/// The readings of threads differ by this, and go back by this.
const SKEW: u64 = 3_000;
const BACK: u64 = 5_000;

/// The longest time that a reading takes. The mean is half of that.
const STEP: u64 = 2_000;

/// Threads take all the time, by clocks that err in every way, while the quota changes a thousand times.
fn hammer(
    take: impl Fn(&mut Random) -> Option<u32> + Sync,
    set: impl Fn(QuotaChange),
    clock: &ErringClock,
    carries: u64,
) -> usize {
    const CHANGES: u64 = 1_000;
    const TAKERS: u64 = 2;
    // Of the four runs.
    let calls = operations("BRIMFUL_WINDOW_OPS", 1_000_000) / 4;
    let (mut random, mut schedule) = (Random::new(99), Schedule::new(1_000_000, 50));
    let is_over = AtomicBool::new(false);
    let grants = thread::scope(|scope| {
        let takers: Vec<_> = (0..TAKERS)
            .map(|taker| {
                let (is_over, take) = (&is_over, &take);
                scope.spawn(move || {
                    ErringClock::enter(taker, taker * SKEW);
                    let (mut random, mut grants) = (Random::new(taker), Vec::new());
                    let mut made = 0;
                    while made < calls / TAKERS || !is_over.load(Ordering::Acquire) {
                        made += 1;
                        if let Some(cost) = take(&mut random) {
                            grants.push(Grant {
                                now: ErringClock::last(),
                                cost,
                                end: clock.time() + BACK + TAKERS * SKEW,
                            });
                        }
                    }
                    grants
                })
            })
            .collect();
        ErringClock::enter(77, 0);
        for change in 0..CHANGES {
            // Two changes never overlap, as far as the clocks show. The calls last as long as the changes.
            let until = clock.time() + 4 * (BACK + TAKERS * SKEW) + random.below((calls / CHANGES).max(1) * STEP);
            // If a taker panics, the clock may stand still.
            while clock.time() < until && !takers.iter().any(|taker| taker.is_finished()) {
                thread::yield_now();
            }
            let (rate, burst) = (1 + random.below(1_000_000) as u32, 1 + random.below(50) as u32);
            let (make, added): (fn(Quota) -> QuotaChange, u32) = match change % carries {
                0 => (QuotaChange::keep, 0),
                1 => (QuotaChange::reset, burst),
                _ => (QuotaChange::proportional, burst),
            };
            let begin = clock.time().saturating_sub(BACK);
            set(make(quota(rate, burst)));
            let end = clock.time() + BACK + TAKERS * SKEW;
            schedule.0.push(Period { rate, burst, added, begin, end });
        }
        is_over.store(true, Ordering::Release);
        takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect::<Vec<_>>()
    });
    let count = grants.len();
    println!("{count} grants of at least {calls} calls, {CHANGES} changes");
    schedule.check(grants);
    count
}

#[test]
fn a_thousand_changes_under_threads() {
    for carries in [1, 3] {
        let clock = ErringClock::new(SECOND, STEP, BACK);
        let limiter = RateLimiter::with_clock(quota(1_000_000, 50), &clock);
        let take = |random: &mut Random| {
            let cost = 1 + random.below(4) as u32;
            limiter.try_acquire_n(cost).is_ok().then_some(cost)
        };
        let count = hammer(take, |change| limiter.set_quota(change).unwrap(), &clock, carries);
        assert!(count > 10_000, "{count} grants");
    }
}

#[test]
fn a_thousand_changes_of_keys_under_threads() {
    for carries in [1, 3] {
        let clock = ErringClock::new(SECOND, STEP, BACK);
        let limiter = KeyedRateLimiter::<u64>::builder().quota(quota(1_000_000, 50)).max_keys(1_000).clock(&clock);
        let limiter = limiter.build().unwrap();
        let take = |random: &mut Random| {
            // Other keys come and move.
            let _ = limiter.try_acquire(&random.below(3_000));
            let cost = 1 + random.below(4) as u32;
            limiter.try_acquire_n(&1_000_000, cost).is_ok().then_some(cost)
        };
        let count = hammer(take, |change| limiter.set_quota(change).unwrap(), &clock, carries);
        assert!(count > 5_000, "{count} grants");
    }
}
