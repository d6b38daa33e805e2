//! The limiter is compared with the exact bucket after every decision. The exact bucket follows the
//! limiter's grants. Every admitted cost was there, every denied cost was not, and the two balances
//! are never more than two units apart.

use std::cell::Cell;

use brimful::{MockClock, Quota, RateLimiter, Reservation, Tokens, TryAcquireError};
use brimful_oracle::ExactBucket;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

use crate::support::{Counted, LAST, PICO, any_quota, any_size, from_pico, operations, pico};

/// One operation, as numbers that get their meaning from the quota.
#[derive(Clone, Copy, Debug)]
struct Gene {
    verb: u8,
    step: u64,
    back: u64,
    cost: u64,
}

fn gene() -> impl Strategy<Value = Gene> {
    (any::<u8>(), any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(verb, step, back, cost)| Gene {
        verb,
        step,
        back,
        cost,
    })
}

/// Exact balance less the limiter's, in units: the least and the most of a run.
#[derive(Clone, Copy, Debug)]
struct Spread {
    least: f64,
    most: f64,
}

/// A limiter and its exact bucket.
struct Pair<'a> {
    limiter: &'a RateLimiter<MockClock>,
    exact: ExactBucket,
    counted: Counted,
    /// How far the limiter may be above the exact balance: zero if a nanosecond earns a whole
    /// number of units.
    above: f64,
    /// How far below: zero if a nanosecond earns a whole number of units.
    below: f64,
    /// The latest reading that may be in the word.
    written: u64,
    spread: Spread,
    admitted: u64,
}

impl<'a> Pair<'a> {
    fn new(limiter: &'a RateLimiter<MockClock>, start: u64) -> Self {
        let quota = limiter.quota();
        let counted = Counted::new(quota);
        let mut exact = counted.exact();
        if quota.initial_tokens() < quota.capacity() {
            exact.start(start, counted.down(quota.initial_tokens()));
        }
        let (_, nanos) = counted.rate();
        let above = if nanos == 1 { 0.0 } else { 0.5 };
        let below = if nanos == 1 { 0.0 } else { 2.0 };
        let spread = Spread { least: 0.0, most: 0.0 };
        Pair { limiter, exact, counted, above, below, written: start, spread, admitted: 0 }
    }

    /// Whether a balance in `f64` determines the units exactly, about as far below zero as `ours`,
    /// too. Before a clock ran backwards, a bucket is deep in debt.
    fn readable(&self, ours: i128) -> bool {
        (self.counted.capacity + self.counted.debt + ours.unsigned_abs()) >> 51 == 0
    }

    /// The limiter's balance in units.
    fn ours(&self, now: u64) -> i128 {
        (self.limiter.at(now).balance() * self.counted.per_token as f64).round() as i128
    }

    /// Asserts that the balances agree at `now`.
    fn balanced(&mut self, now: u64) -> TestCaseResult {
        let ours = self.ours(now);
        let apart = self.exact.beyond(now.min(LAST), ours);
        if self.readable(ours) {
            self.spread.least = self.spread.least.min(apart);
            self.spread.most = self.spread.most.max(apart);
            prop_assert!(self.lies(apart), "at {now}: {apart} units apart, ours is {ours}");
        } else {
            let slack = ours.unsigned_abs() as f64 / (1u64 << 50) as f64;
            prop_assert!(-0.5 - slack <= apart && apart < 2.0 + slack, "at {now}: {apart} apart, ours is {ours}");
        }
        Ok(())
    }

    fn lies(&self, apart: f64) -> bool {
        -self.above <= apart && (apart < self.below || apart == 0.0)
    }

    /// Asserts that the decision on `cost` at `now` is right, and applies it to the exact bucket.
    fn decided(&mut self, now: u64, cost: Tokens, admitted: bool, exceeds: bool) -> TestCaseResult {
        let units = self.counted.up(cost);
        prop_assert_eq!(exceeds, units > self.counted.capacity, "{} of {:?}", cost, self.counted);
        let left = self.exact.beyond(now, units as i128);
        if cost.is_zero() {
            prop_assert!(admitted);
        } else if admitted {
            prop_assert!(left >= -self.above, "{cost} admitted at {now}, {left} units were left");
            self.exact.take(now, units);
            self.written = self.written.max(now);
            self.admitted += 1;
        } else {
            prop_assert!(exceeds || left < self.below, "{cost} denied at {now}, {left} units were left");
        }
        Ok(())
    }

    /// Asserts a give-back of `units`, if the limiter's balance was `before`. Returns the added
    /// units.
    fn given(&mut self, now: u64, before: i128, units: u128) -> Result<u128, TestCaseError> {
        self.written = self.written.max(now);
        let capacity = self.counted.capacity as i128;
        if !self.readable(before) {
            // If the give-back may have been clipped, the added units cannot be seen, so the
            // comparison starts again.
            let margin = 4 + ((self.counted.capacity + self.counted.debt) >> 50) as i128;
            if self.exact.beyond(self.written, capacity - margin) + units as f64 >= 0.0 {
                self.limiter.at(now).reset();
                self.exact.start(0, self.counted.capacity);
                self.written = now;
            } else {
                self.exact.give_back(now, units);
            }
            return Ok(units);
        }
        let added = self.ours(now) - before;
        prop_assert!(0 <= added && added as u128 <= units, "{added} added at {now}, {units} were given");
        if (added as u128) < units {
            let later = self.ours(self.written);
            prop_assert!(later >= capacity - 1, "clipped at {now} with {later} of {capacity} at {}", self.written);
        }
        if added > 0 {
            self.exact.give_back(now, added as u128);
        }
        Ok(added as u128)
    }

    /// Asserts a charge of as many of `units` as the debt limit allows, if the limiter's balance
    /// was `before`, and applies it to the exact bucket.
    fn charged(&mut self, now: u64, before: i128, units: u128, uncharged: Tokens) -> TestCaseResult {
        self.written = self.written.max(now);
        let left = units - self.exact.clone().charge(now, units);
        // Up to two units are between the two.
        let least = pico(self.counted.tokens_down(left.saturating_sub(1)));
        let most = pico(self.counted.tokens_up(left + self.below as u128));
        prop_assert!((least..=most).contains(&pico(uncharged)), "{uncharged} of {units} uncharged, exactly {left}");
        let charged = if uncharged.is_zero() {
            units
        } else if self.counted.per_token <= PICO {
            units - self.counted.down(uncharged)
        } else if self.readable(before) {
            // 10⁻¹² token does not determine the units, but all of the room was charged.
            let (rate, nanos) = self.counted.rate();
            let nice = u128::from(now).checked_mul(rate).is_some_and(|product| product % nanos == 0);
            let anchored = before == self.counted.capacity as i128 && !nice;
            (before + self.counted.debt as i128 - i128::from(anchored)).max(0) as u128
        } else {
            self.limiter.at(now).reset();
            self.exact.start(0, self.counted.capacity);
            self.written = now;
            return Ok(());
        };
        // A charge on a full bucket is anchored first, which rounds by less than a unit.
        let anchored = i128::from(before == self.counted.capacity as i128);
        prop_assert!(
            uncharged.is_zero() || !self.readable(before) || self.ours(now) <= anchored - self.counted.debt as i128,
            "{uncharged} uncharged at {now} though there is room"
        );
        if charged > 0 {
            self.exact.take(now, charged);
        }
        Ok(())
    }

    /// Asserts that the wait until `cost` is there ends when it is there.
    fn waits(&self, now: u64, cost: Tokens) -> TestCaseResult {
        let (units, wait) = (self.counted.up(cost) as i128, self.limiter.at(now).time_until(cost));
        let beyond = |at: u64| self.exact.beyond(at, units);
        let Some(wait) = wait.map(|wait| u64::try_from(wait.as_nanos()).expect("a wait within the clock's range"))
        else {
            let never = units > self.counted.capacity as i128 || beyond(LAST) < self.below;
            prop_assert!(never, "never {cost} after {now}");
            return Ok(());
        };
        if cost.is_zero() {
            prop_assert_eq!(wait, 0);
            return Ok(());
        }
        let then = now.min(LAST) + wait;
        prop_assert!(beyond(then) >= -self.above, "{cost} not there {wait} after {now}");
        prop_assert!(wait == 0 || beyond(then - 1) < self.below, "{cost} there before {wait} after {now}");
        Ok(())
    }
}

/// The times and costs of a run, scaled to its quota.
struct Script {
    now: u64,
    /// The time that earns a token, and the one that earns a full bucket.
    token: u64,
    fill: u64,
}

impl Script {
    fn new(counted: &Counted, start: u64) -> Self {
        let clip = |nanos: u128| nanos.clamp(1, u128::from(LAST)) as u64;
        let token = clip(counted.earning(counted.per_token));
        Script { now: start, token, fill: clip(counted.earning(counted.capacity)) }
    }

    fn span(&self, gene: u64) -> u64 {
        let random = gene / 8;
        match gene % 8 {
            0 => 0,
            1 => random % 16,
            2 => self.token,
            3 => random % self.token,
            4 => random % self.token.saturating_mul(4),
            5 => random % self.fill.saturating_mul(2),
            6 => self.fill,
            _ => any_size(random, 58) / 1_024,
        }
    }

    /// Advances the time. A third of the readings are stale.
    fn reading(&mut self, gene: Gene) -> u64 {
        self.now += self.span(gene.step) % (LAST - self.now + 1);
        if gene.back % 3 == 2 { self.now.saturating_sub(self.span(gene.back / 3)) } else { self.now }
    }
}

fn cost(quota: &Quota, gene: u64) -> Tokens {
    let (random, burst) = (gene / 10, pico(quota.capacity()));
    match gene % 10 {
        0..=2 => Tokens::ONE,
        3 => Tokens::ZERO,
        4 => quota.resolution(),
        5 => from_pico(u128::from(random) % 3_000_000_000_000),
        6 => quota.capacity(),
        7 => from_pico(u128::from(random) * u128::from(random) % (burst + 1)),
        8 => Tokens::new(1 + (u128::from(random) % (burst / 1_000_000_000_000 + 1)) as u32),
        _ => from_pico(burst + u128::from(random % 3)),
    }
}

/// Compares one quota through many operations.
fn follow<'a>(limiter: &'a RateLimiter<MockClock>, start: u64, genes: &[Gene]) -> Result<Pair<'a>, TestCaseError> {
    let quota = limiter.quota();
    let mut pair = Pair::new(limiter, start);
    let mut script = Script::new(&pair.counted, start);
    let mut reserved: Vec<Reservation<'_, MockClock>> = Vec::new();
    for &gene in genes {
        let (now, cost) = (script.reading(gene), cost(&quota, gene.cost));
        let units = pair.counted.up(cost);
        match gene.verb % 16 {
            0..=4 => {
                let taken = limiter.at(now).try_acquire_n(cost);
                let exceeds = matches!(taken, Err(TryAcquireError::ExceedsBurst(_)));
                pair.decided(now, cost, taken.is_ok(), exceeds)?;
            }
            5 | 6 => {
                let decision = limiter.at(now).decide(cost);
                pair.decided(now, cost, decision.allowed(), units > pair.counted.capacity)?;
            }
            7 | 8 => {
                let taken = limiter.at(now).try_reserve_n(cost);
                let exceeds = matches!(taken, Err(TryAcquireError::ExceedsBurst(_)));
                pair.decided(now, cost, taken.is_ok(), exceeds)?;
                reserved.extend(taken.ok());
            }
            9 | 10 => {
                let Some(reservation) = reserved.pop() else { continue };
                let held = pair.counted.up(reservation.tokens());
                let before = pair.ours(now);
                let uncharged = reservation.at(now).commit(cost);
                if units > held {
                    pair.charged(now, before, units - held, uncharged)?;
                } else {
                    prop_assert!(uncharged.is_zero());
                    pair.given(now, before, held - units)?;
                }
            }
            11 => {
                let Some(reservation) = reserved.pop() else { continue };
                let (held, before) = (pair.counted.up(reservation.tokens()), pair.ours(now));
                reservation.at(now).cancel();
                pair.given(now, before, held)?;
            }
            12 | 13 => {
                let before = pair.ours(now);
                let added = limiter.at(now).add_tokens(cost);
                let units = pair.given(now, before, pair.counted.down(cost))?;
                prop_assert!(
                    !pair.readable(before) || added == pair.counted.tokens_down(units),
                    "{units} units are {added}"
                );
            }
            14 => pair.waits(now, cost)?,
            _ if gene.step % 4 == 0 => {
                limiter.at(now).reset();
                pair.exact.start(0, pair.counted.capacity);
                pair.written = now;
            }
            _ => {}
        }
        pair.balanced(now)?;
    }
    for reservation in reserved {
        reservation.at(script.now).cancel();
    }
    Ok(pair)
}

#[test]
fn it_agrees_with_the_exact_bucket_decision_by_decision() {
    const LONGEST: usize = 512;
    let wanted = operations("BRIMFUL_ORACLE_OPS", 1_200_000);
    let cases = u32::try_from(wanted / (LONGEST as u64 / 2)).expect("more cases than can be counted");
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let (done, admitted) = (Cell::new(0u64), Cell::new(0u64));
    let spread = Cell::new(Spread { least: 0.0, most: 0.0 });
    let story = (any::<[u64; 6]>(), any::<u64>(), vec(gene(), 1..=LONGEST));
    let result = runner.run(&story, |(genes, start, operations)| {
        let quota = any_quota(genes);
        let start = if start % 2 == 0 { 0 } else { any_size(start / 2, 59) };
        let clock = MockClock::new();
        clock.set(start);
        let limiter = RateLimiter::with_clock(quota, clock);
        let pair = follow(&limiter, start, &operations).map_err(|error| match error {
            TestCaseError::Fail(reason) => TestCaseError::fail(format!("{quota:?}: {reason}")),
            reject => reject,
        })?;
        done.set(done.get() + operations.len() as u64);
        admitted.set(admitted.get() + pair.admitted);
        let (all, this) = (spread.get(), pair.spread);
        spread.set(Spread { least: all.least.min(this.least), most: all.most.max(this.most) });
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let Spread { least, most } = spread.get();
    println!("{} operations, {} admitted; exact − ours from {least:e} to {most} units", done.get(), admitted.get());
    // A run without grants, or without rounding, proves nothing.
    assert!(admitted.get() > wanted / 10 && most > 0.0);
}
