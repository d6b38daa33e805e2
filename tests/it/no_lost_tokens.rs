//! Promise 2: a limiter that is polled all the time admits exactly what its rate earns, to the
//! unit, at any rate and any polling period, and never more.

use std::time::Duration;

use brimful::{Clock, QuantaClock, Quota, RateLimiter};

use crate::support::{Counted, LAST, Random, SECOND, from_pico, limiter, tokens};

const YEAR: u64 = 366 * 86_400;

fn rates() -> Vec<Quota> {
    vec![
        Quota::new(1, Duration::from_secs(10_000 * YEAR)),
        Quota::new(1, Duration::from_secs(600 * YEAR)),
        Quota::new(7, Duration::from_secs(1_000 * YEAR + 1)),
        Quota::per_day(1),
        Quota::per_hour(11),
        Quota::per_minute(7),
        Quota::per_minute(1),
        Quota::per_second(1),
        Quota::per_second(3),
        Quota::per_second(999),
        Quota::per_second(30_000_000),
        Quota::per_second(300_000_000),
        Quota::per_second(600_000_000),
        Quota::per_second(600_000_007),
        Quota::per_second(999_999_999),
        Quota::per_second(1_000_000_000),
    ]
}

/// Dropping the remainder at each refill once halved 1/s polled every 2 µs. An interval in whole
/// nanoseconds made 600 M/s admit 1.67 times as much.
#[test]
fn polling_at_any_period_earns_the_rate() {
    const POLLS: u64 = 50_000;
    let mut worst: (f64, f64) = (0.0, 0.0);
    for quota in rates() {
        let burst = if quota.tokens_per_second() < 1e6 { 1_000 } else { 1_000_000 };
        let quota = quota.burst(burst).initial(0);
        let counted = Counted::new(quota);
        // A poll earns between less than a unit and half a burst. The longest periods use the whole
        // range of the clock.
        let most = (counted.earning(counted.capacity / 2)).min(u128::from(LAST / POLLS)) as u64;
        for period in [1, 2_000, 1_009, 999_983, most / 1_000 + 1, most] {
            if period > most {
                continue;
            }
            let (limiter, mut exact) = (limiter(quota), counted.exact());
            exact.start(0, 0);
            let earned = counted.per_token as f64 * quota.tokens_per_second() * period as f64 / 1e9;
            // A poll asks for about half of what it earned, or a unit, so some polls are admitted
            // and others denied. The limiter rounds a cost up to whole units.
            let cost = (earned / 2.0).max(1.0) as u128;
            let cost = counted.tokens_up(cost).max(from_pico(1));
            let (units, mut admitted) = (counted.up(cost), 0u128);
            for poll in 1..=POLLS {
                while limiter.at(poll * period).try_acquire_n(cost).is_ok() {
                    admitted += units;
                    exact.take(poll * period, units);
                }
            }
            let end = POLLS * period;
            let ours = (limiter.at(end).balance() * counted.per_token as f64).round() as i128;
            let lost = exact.beyond(end, ours);
            assert!((-0.5..2.0).contains(&lost), "{quota} every {period} ns: {lost} units lost");
            // The rest is less than a cost, so everything that was earned was admitted.
            assert!(
                exact.beyond(end, units as i128) < 2.0,
                "{quota} every {period} ns: denied, although the bucket held more"
            );
            let all = exact.beyond(end, 0) + admitted as f64;
            if all >= 4e9 {
                let error = lost / all;
                assert!(error.abs() < 1e-9, "{quota} every {period} ns: off by {error:e}");
                worst = (worst.0.min(error), worst.1.max(error));
            }
        }
        assert!(counted.earning(4_000_000_000) / u128::from(POLLS) <= u128::from(most), "{quota} was not measured");
    }
    println!("rate lost by polling: from {:e} to {:e}", worst.0, worst.1);
}

fn everyday() -> impl Iterator<Item = Quota> {
    (1..=1_000u32).flat_map(|n| [Quota::per_second(n), Quota::per_minute(n), Quota::per_hour(n), Quota::per_day(n)])
}

#[test]
fn after_the_time_of_k_tokens_exactly_k_are_there() {
    for quota in everyday() {
        let (counted, burst) = (Counted::new(quota), quota.capacity().whole());
        let limiter = limiter(quota);
        assert!(limiter.at(0).try_acquire_n(burst).is_ok());
        for k in [1, 2, 3, 5, burst / 3, burst / 2, burst - 1, burst] {
            if !(1..=burst).contains(&k) {
                continue;
            }
            let due = counted.earning(u128::from(k) * counted.per_token) as u64;
            assert!(limiter.at(due).available_tokens() >= f64::from(k), "{quota}: {k} are not there at {due}");
            assert!(limiter.at(due - 1).available_tokens() < f64::from(k), "{quota}: {k} are there before {due}");
            let (then, before) = (limiter.at(due).decide(0), limiter.at(due - 1).decide(0));
            assert_eq!((then.remaining(), before.remaining()), (k, k - 1), "{quota} at {due}");
            let reservation = limiter.at(due).try_reserve_n(k).unwrap_or_else(|error| panic!("{quota}: {k}: {error}"));
            reservation.at(due).cancel();
            assert!(limiter.at(due - 1).try_acquire_n(k).is_err(), "{quota}: {k} before {due}");
        }
    }
}

/// A full bucket is emptied each time that it is full, at instants at which it is full to the
/// nanosecond. A plain ceiling would lose a unit at some of them, and deny.
#[test]
fn a_burst_is_there_again_as_soon_as_it_was_earned() {
    for quota in everyday().step_by(7).chain([Quota::per_second(3), Quota::per_minute(7), Quota::per_second(30)]) {
        let (tokens, period) = quota.rate();
        // In a period in lowest terms, `tokens` are earned.
        let (burst, period) = (tokens as u32, period.as_nanos() as u64);
        let limiter = limiter(quota.burst(burst));
        for round in 0..200 {
            let now = round * period;
            assert!(limiter.at(now).try_acquire_n(burst).is_ok(), "{quota}, round {round}");
            assert!(limiter.at(now + period - 1).try_acquire_n(burst).is_err(), "{quota}, before round {round}");
        }
    }
}

#[test]
fn a_whole_burst_is_admitted_at_one_reading_where_a_token_takes_whole_nanoseconds() {
    let mut random = Random::new(5);
    for tokens in [1, 2, 4, 5, 8, 10, 64, 100, 1_000, 15_625, 1_000_000, 10_000_000, 500_000_000] {
        for quota in [Quota::per_second(tokens), Quota::per_minute(tokens), Quota::per_day(tokens)] {
            if quota.rate().0 != 1 {
                continue;
            }
            let quota = quota.burst(20);
            let fill = Counted::new(quota).earning(Counted::new(quota).capacity) as u64;
            let (limiter, mut now) = (limiter(quota), random.below(1_000_000_007));
            for _ in 0..200 {
                let admitted = (0..30).filter(|_| limiter.at(now).allow()).count();
                assert_eq!(admitted, 20, "{quota} at {now}");
                now += fill + random.below(1_000_007);
            }
        }
    }
}

/// A unit takes about the time of one decision. So a burst that is taken one by one on a running
/// clock loses nothing to rounding.
#[test]
fn a_burst_is_admitted_as_fast_as_it_can_be_taken() {
    let quotas = [
        Quota::per_second(3),
        Quota::per_minute(7),
        Quota::per_minute(11),
        Quota::per_hour(13),
        Quota::per_day(17),
        Quota::per_second(7),
        Quota::per_second(30),
        Quota::per_second(999),
        Quota::per_minute(601),
    ];
    for quota in quotas {
        for _ in 0..100 {
            let limiter = RateLimiter::new(quota);
            let burst = quota.capacity().whole();
            let admitted = (0..burst).filter(|_| limiter.allow()).count();
            assert_eq!(admitted as u32, burst, "{quota} at {}", QuantaClock.now());
        }
    }
}

/// A burst came back twice if a key returned just before it was forgotten.
#[test]
fn after_any_idle_time_there_is_at_most_a_burst() {
    const SWEEPS: u64 = 1_000_000;
    let quotas = [Quota::per_second(5), Quota::per_minute(7).burst(3), Quota::per_second(30_000_000).burst(6)];
    let mut random = Random::new(11);
    for quota in quotas {
        let counted = Counted::new(quota);
        let (burst, fill) = (quota.capacity().whole(), counted.earning(counted.capacity) as u64);
        let sweeps = SWEEPS / quotas.len() as u64;
        let (mut limiter, mut now) = (limiter(quota), 0);
        let (mut full, mut part) = (0, 0);
        for _ in 0..sweeps {
            if now > LAST / 2 {
                (limiter, now) = (crate::support::limiter(quota), 0);
            }
            // Full to the last unit some nanoseconds after the reset, then emptied.
            limiter.at(now).reset();
            now += 4;
            assert!(limiter.at(now).try_acquire_n(burst).is_ok());
            let idle = 1 + random.below(2 * fill - 1);
            now += idle;
            let admitted = (0..2 * burst).filter(|_| limiter.at(now).allow()).count() as u128;
            let (rate, nanos) = counted.rate();
            let earned = (u128::from(idle) * rate / nanos / counted.per_token).min(u128::from(burst));
            // Less than a unit is lost when the burst is taken, and less than a unit when the
            // bucket is full again.
            let least = (u128::from(idle) * rate / nanos).saturating_sub(2) / counted.per_token;
            let least = if counted.rate().1 == 1 { earned } else { least.min(u128::from(burst) - 1) };
            assert!((least..=earned).contains(&admitted), "{quota}: {admitted} after {idle} ns, {earned} were earned");
            if earned == u128::from(burst) { full += 1 } else { part += 1 }
        }
        assert!(full > sweeps / 4 && part > sweeps / 4, "{quota}: {full} times full, {part} not");
    }
}

#[test]
fn a_fraction_of_the_smallest_unit_is_not_lost_by_looking() {
    let limiter = limiter(Quota::per_minute(7).initial(0));
    for now in 0..100_000 {
        let _ = limiter.at(now).decide(tokens("0"));
        let _ = limiter.at(now).time_until(1);
    }
    assert!(limiter.at(SECOND * 60 / 7 + 1).allow());
    assert!(!limiter.at(SECOND * 60 / 7 + 1).allow());
}
