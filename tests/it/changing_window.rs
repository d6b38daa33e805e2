//! The window bound of a limiter whose quota changes: the burst at the window's start, and the integral of the
//! rate, with the higher of two quotas while they change. A window that begins during a change counts from the
//! change's begin. Resets and proportional changes add a burst at most.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use brimful::{Clock, KeyedRateLimiter, MockClock, Quota, QuotaChange, RateLimiter};

use crate::support::{ErringClock, Random, SECOND};

/// In 10⁻⁹ tokens.
type Nano = i128;

/// The quotas that a limiter had, as an upper bound at each time.
struct Schedule {
    /// From this time on: the rate in tokens per second, the burst, and the tokens added so far.
    steps: Vec<(u64, u32, u32, Nano)>,
}

impl Schedule {
    fn new(rate: u32, burst: u32) -> Self {
        Schedule { steps: vec![(0, rate, burst, 0)] }
    }

    /// Records that the quota changed between `begin` and `end`, and that `added` tokens came with it.
    fn change(&mut self, (begin, end): (u64, u64), (rate, burst): (u32, u32), added: u32) {
        let &(_, old_rate, old_burst, before) = self.steps.last().unwrap();
        let added = before + Nano::from(added) * Nano::from(SECOND);
        self.steps.push((begin, rate.max(old_rate), burst.max(old_burst), added));
        self.steps.push((end, rate, burst, added));
    }

    /// Asserts the bound for all windows that begin and end at a grant. Grants are readings, costs, and the
    /// times at which the calls ended. A call whose thread was held up after its reading overlaps the changes
    /// since, and may have had the burst of any of them.
    fn check(&self, mut grants: Vec<(u64, u32, u64)>) {
        grants.sort_unstable();
        let (mut at, mut earned, mut since) = (0, 0, 0);
        let (mut granted, mut least): (Nano, Nano) = (0, Nano::MAX);
        let mut at_step = 0;
        for (now, cost, end) in grants {
            while self.steps.get(at + 1).is_some_and(|step| step.0 <= now) {
                earned += Nano::from(self.steps[at].1) * Nano::from(self.steps[at + 1].0 - since);
                since = self.steps[at + 1].0;
                at += 1;
                at_step = earned;
            }
            let (_, rate, _, added) = self.steps[at];
            // At the very instant of a change, a grant may have been by any of its quotas.
            let before = self.steps[..=at].iter().rev().find(|step| step.0 < now);
            let until = self.steps[at + 1..].iter().take_while(|step| step.0 <= end);
            let now_or_before = self.steps[..=at].iter().rev().take_while(|step| step.0 == now).chain(before);
            let bursts = self.steps[at..=at].iter().chain(now_or_before).chain(until);
            let burst = bursts.map(|step| step.2).max().unwrap();
            earned += Nano::from(rate) * Nano::from(now - since);
            since = now;
            // The least of (granted before, less earned, and the burst), over all starts.
            let line = earned + added;
            // Every other step is a change, whose tokens may come after the window's start.
            let from = if at % 2 == 1 { at_step + self.steps[at - 1].3 } else { line };
            least = least.min(granted - from + Nano::from(burst) * Nano::from(SECOND));
            granted += Nano::from(cost) * Nano::from(SECOND);
            assert!(granted - line <= least, "{} tokens too many at {now}", granted - line - least);
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
        let (limiter, mut schedule) = (limiter.build().unwrap(), Schedule::new(40, 15));
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
                    schedule.change((now, now), (rate, burst), 0);
                }
                1..=4 => clock.advance(Duration::from_nanos(random.below(100_000_000))),
                5 => {
                    let cost = 1 + random.below(3) as u32;
                    if let Some(wait) = limiter.time_until(cost) {
                        clock.advance(wait);
                        limiter.try_acquire_n(cost).unwrap();
                        grants[0].push((clock.now(), cost, clock.now()));
                    }
                }
                _ => {
                    let cost = 1 + random.below(3) as u32;
                    if limiter.try_acquire_n(cost).is_ok() {
                        grants[0].push((now, cost, now));
                    }
                    if keyed.try_acquire_n(&3, cost).is_ok() {
                        grants[1].push((now, cost, now));
                    }
                }
            }
        }
        assert!(grants[0].len() > 50);
        grants.into_iter().for_each(|grants| schedule.check(grants));
    }
}

/// The readings of threads differ by this, and go back by this.
const SKEW: u64 = 3_000;
const BACK: u64 = 5_000;

/// Threads take all the time, by clocks that err in every way, while the quota changes a thousand times.
fn hammer(
    take: impl Fn(&mut Random) -> Option<u32> + Sync,
    set: impl Fn(QuotaChange),
    clock: &ErringClock,
    carries: u64,
) -> usize {
    const CHANGES: u64 = 1_000;
    const TAKERS: u64 = 2;
    let (mut random, mut schedule) = (Random::new(99), Schedule::new(1_000_000, 50));
    let is_over = AtomicBool::new(false);
    let grants = thread::scope(|scope| {
        let takers: Vec<_> = (0..TAKERS)
            .map(|taker| {
                let (is_over, take) = (&is_over, &take);
                scope.spawn(move || {
                    ErringClock::enter(taker, taker * SKEW);
                    let (mut random, mut grants) = (Random::new(taker), Vec::new());
                    while !is_over.load(Ordering::Acquire) {
                        if let Some(cost) = take(&mut random) {
                            grants.push((ErringClock::last(), cost, clock.time() + BACK + TAKERS * SKEW));
                        }
                    }
                    grants
                })
            })
            .collect();
        ErringClock::enter(77, 0);
        for change in 0..CHANGES {
            // Two changes never overlap, as far as the clocks show.
            let until = clock.time() + 4 * (BACK + TAKERS * SKEW) + random.below(400_000);
            while clock.time() < until {
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
            schedule.change((begin, clock.time() + BACK + TAKERS * SKEW), (rate, burst), added);
        }
        is_over.store(true, Ordering::Release);
        takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(schedule.steps.is_sorted_by_key(|step| step.0));
    let count = grants.len();
    schedule.check(grants);
    count
}

#[test]
fn a_thousand_changes_under_threads() {
    for carries in [1, 3] {
        let clock = ErringClock::new(SECOND, 2_000, BACK);
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
        let clock = ErringClock::new(SECOND, 2_000, BACK);
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
