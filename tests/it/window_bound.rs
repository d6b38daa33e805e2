//! Promise 1: for any threads and any clock errors, no window of readings is granted more than a
//! burst and what the rate earns in it.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use brimful::{MockClock, Quota, RateLimiter, Tokens};
use brimful_oracle::window::{Bound, worst_window};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{Counted, ErringClock, Random, SECOND, limiter, operations, tokens};

/// Runs `threads` on one limiter, and returns the worst margin and the share admitted.
fn contend(quota: Quota, costs: &[Tokens], clock: ErringClock, threads: u64, calls: u64) -> (f64, f64) {
    let counted = Counted::new(quota);
    let step = clock.step;
    let limiter = RateLimiter::with_clock(quota, clock);
    let mut grants: Vec<(u64, i64)> = thread::scope(|scope| {
        let run = |thread: u64| {
            let limiter = &limiter;
            scope.spawn(move || {
                ErringClock::enter(thread + 1, thread * step);
                let (mut random, mut grants) = (Random::new(!thread), Vec::new());
                for _ in 0..calls / threads {
                    let cost = costs[random.below(costs.len() as u64) as usize];
                    if limiter.try_acquire_n(cost).is_ok() {
                        grants.push((ErringClock::last(), counted.up(cost) as i64));
                    }
                }
                grants
            })
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let (rate, nanos) = counted.rate();
    let end = grants.iter().map(|&(reading, _)| reading).max().unwrap_or(0);
    // Up to this time, the word's rate and the quota's earn the same units, so the bound has no
    // slack at all.
    assert!(u128::from(end).checked_mul(rate).is_some_and(|product| product >> 63 == 0), "{quota} runs too long");
    let worst = worst_window(Bound::new(counted.capacity, rate, nanos), &mut grants).expect("something was admitted");
    assert!(!worst.margin.is_violation(), "{quota}, {threads} threads: {worst:?}");
    (worst.margin.as_f64(), grants.len() as f64 / calls as f64)
}

/// Quotas, costs, and the step of a clock that earns about what is asked for.
fn contests() -> Vec<(Quota, Vec<Tokens>, u64)> {
    let costs = |texts: &[&str]| texts.iter().map(|text| tokens(text)).collect::<Vec<_>>();
    vec![
        (Quota::per_second(1_000_000_000).burst(5), costs(&["1", "2", "5"]), 2),
        (Quota::per_second(600_000_007).burst(40), costs(&["1", "7"]), 3),
        (Quota::per_second(1_000_000).burst(10), costs(&["1", "0.5", "0.001"]), 600),
        (Quota::per_second(3).burst(3), costs(&["1", "0.3", "3"]), SECOND / 4),
        (Quota::per_minute(7).burst(2), costs(&["1", "0.3", "0.000001"]), 5 * SECOND),
        (Quota::per_hour(11).burst(1), costs(&["0.25", "1"]), 77 * SECOND),
    ]
}

#[test]
fn no_window_is_granted_more_whatever_the_threads_and_clocks_do() {
    let contests = contests();
    let calls = operations("BRIMFUL_WINDOW_OPS", 1_200_000) / (contests.len() as u64 * 3);
    for (quota, costs, step) in contests {
        for threads in 2..=4 {
            // Far from the origin, readings are not whole multiples of anything.
            let clock = ErringClock::new(1 + 1_000 * step, step, 4 * step);
            let (margin, admitted) = contend(quota, &costs, clock, threads, calls);
            println!("{quota}, {threads} threads: {:.0}% admitted, worst margin {margin} units", admitted * 100.0);
            assert!(admitted > 0.02, "{quota}: a run without grants proves nothing");
        }
    }
}

/// A packed word's stale clock once wrapped: 7 times the limit at 2 threads, 14 at 4.
#[test]
fn a_stall_between_the_reading_and_the_write_admits_no_more() {
    for threads in [2, 4] {
        let quota = Quota::per_second(1_000_000).burst(100);
        let clock = ErringClock::new(SECOND, 200, 0);
        let (margin, admitted) = contend(quota, &[Tokens::ONE], clock, threads, 60_000);
        println!("{threads} threads: {:.0}% admitted, worst margin {margin} units", admitted * 100.0);
    }
}

/// With tokens and time in two atomics, both were admitted in 1 to 8 % of the trials.
#[test]
fn of_two_threads_that_meet_at_one_token_exactly_one_gets_it() {
    const HOUR: u64 = 3_600 * SECOND;
    // One trial for each hour of the clock.
    const ROUND: u64 = 100_000;
    let trials = operations("BRIMFUL_TRIALS", ROUND);
    for _ in 0..trials.div_ceil(ROUND) {
        let clock = MockClock::new();
        let limiter = RateLimiter::with_clock(Quota::per_second(1).burst(1), clock.clone());
        let arrived = AtomicUsize::new(0);
        let run = || {
            let mut admitted = Vec::with_capacity(ROUND as usize);
            for trial in 0..ROUND as usize {
                // The last thread to arrive advances the clock by an hour, and then the clock
                // stands still.
                if arrived.fetch_add(1, Ordering::AcqRel) == 3 * trial + 1 {
                    clock.set((trial as u64 + 1) * HOUR);
                    arrived.fetch_add(1, Ordering::AcqRel);
                }
                let mut spins = 0;
                while arrived.load(Ordering::Acquire) < 3 * (trial + 1) {
                    spins += 1;
                    if spins % 128 == 0 { thread::yield_now() } else { spin_loop() }
                }
                admitted.push(limiter.allow());
            }
            admitted
        };
        let (one, other) = thread::scope(|scope| {
            let other = scope.spawn(run);
            (run(), other.join().unwrap())
        });
        let wrong = one.iter().zip(&other).filter(|(one, other)| one == other).count();
        assert_eq!(wrong, 0, "of {ROUND} trials");
    }
}

/// A grant or a give-back of a run on one thread.
#[derive(Clone, Copy, Debug)]
enum Entry {
    Granted { reading: u64, units: i128 },
    GivenBack { units: i128 },
}

/// The smallest margin of all windows, each summed separately. A give-back counts if its change of
/// the word is between the window's first and last grant.
fn brute(counted: &Counted, story: &[Entry]) -> f64 {
    let (rate, nanos) = counted.rate();
    let bound = Bound::new(counted.capacity, rate, nanos);
    let grants = || {
        story.iter().filter_map(|entry| match entry {
            Entry::Granted { reading, .. } => Some(*reading),
            Entry::GivenBack { .. } => None,
        })
    };
    let mut worst = f64::INFINITY;
    for a in grants() {
        for b in grants().filter(|&b| b >= a) {
            let inside = |entry: &Entry| matches!(entry, Entry::Granted { reading, .. } if (a..=b).contains(reading));
            let (Some(first), Some(last)) = (story.iter().position(inside), story.iter().rposition(inside)) else {
                continue;
            };
            let sum = story[first..=last].iter().map(|entry| match entry {
                Entry::Granted { units, .. } if inside(entry) => *units,
                Entry::Granted { .. } => 0,
                Entry::GivenBack { units } => -units,
            });
            worst = worst.min(bound.margin(b - a, sum.sum()).as_f64());
        }
    }
    worst
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Given-back tokens may be granted again, and no others, at any readings.
    #[test]
    fn what_is_given_back_is_granted_once_more(
        pick in 0..6usize,
        burst in 1..6u32,
        start in 0..1_000_000u64,
        calls in vec((0..8u8, 0..1_000u64, 1..4u32), 1..24),
    ) {
        let (quota, _, step) = contests().swap_remove(pick);
        let quota = quota.burst(burst);
        let (limiter, counted) = (limiter(quota), Counted::new(quota));
        let units = |now: u64| (limiter.at(now).balance() * counted.per_token as f64).round() as i128;
        let (mut now, mut story, mut reserved) = (start, Vec::new(), Vec::new());
        for (verb, random, n) in calls {
            // A third of the readings go back.
            now = if random % 3 == 0 { now.saturating_sub(random * step / 150) } else { now + random * step / 200 };
            // A reset fills the bucket at every reading, so the effect of a reset is measured at a
            // reading at which nothing is clipped.
            let is_reset = verb == 6 && random % 4 == 0;
            let measured = if is_reset { 0 } else { now };
            let before = units(measured);
            match verb {
                0..=2 => {
                    if let Ok(reservation) = limiter.at(now).try_reserve_n(n) {
                        story.push(Entry::Granted { reading: now, units: counted.up(n.into()) as i128 });
                        reserved.push(reservation);
                    }
                    continue;
                }
                3 => drop(reserved.pop().map(|reservation| reservation.at(now).cancel())),
                4 => drop(reserved.pop().map(|reservation| reservation.at(now).commit(tokens("0.4")))),
                5 => drop(limiter.at(now).add_tokens(n)),
                6 if is_reset => limiter.at(now).reset(),
                _ => {
                    if limiter.at(now).try_acquire_n(n).is_ok() {
                        story.push(Entry::Granted { reading: now, units: counted.up(n.into()) as i128 });
                    }
                    continue;
                }
            }
            story.push(Entry::GivenBack { units: (units(measured) - before).max(0) });
        }
        let worst = brute(&counted, &story);
        prop_assert!(worst >= 0.0, "{quota}: {worst} units in {story:?}");
        reserved.drain(..).for_each(|reservation| reservation.at(now).cancel());
    }
}
