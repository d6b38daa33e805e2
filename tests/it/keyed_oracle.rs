//! A keyed limiter is compared with a map of exact buckets after every decision, while its keys are
//! forgotten, moved and brought back all the time. Every admitted cost was there. As long as the
//! keys in use fit into the table, every denied cost was not.

use std::cell::Cell;

use brimful::{MockClock, OnFull, Quota, Reservation, Tokens, TryAcquireError};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

use crate::keyed_support::{Bounds, Keyed, Model, Places, keyed};
use crate::support::{LAST, from_pico, operations, pico};

/// One operation, as numbers that get their meaning from the quota.
type Gene = (u8, u64, u64, u64, u64);

/// The conditions of a run.
#[derive(Clone, Copy, Debug)]
struct Setting {
    quota: Quota,
    max_keys: u64,
    /// The number of keys that call.
    keys: u64,
    places: Places,
    on_full: OnFull,
    /// Times are whole numbers of units, so nothing is rounded.
    whole: bool,
    /// A third of the readings are stale.
    back: bool,
}

fn quotas() -> Vec<Quota> {
    let whole = [
        Quota::per_minute(5),
        Quota::per_second(100).burst(200),
        Quota::per_second(3).burst(3),
        Quota::per_minute(7),
        Quota::per_hour(5_000),
        Quota::per_second(1_000_000).burst(10),
        Quota::per_second(1_000_000_000),
        Quota::per_day(1),
    ];
    let partly = |quota: Quota| [quota, quota, quota.initial(0), quota.initial(2)];
    whole.into_iter().flat_map(partly).collect()
}

/// Counts of what happened. A run without grants or denials proves nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    done: u64,
    admitted: u64,
    denied: u64,
    full: u64,
}

struct Run<'a> {
    limiter: &'a Keyed,
    setting: Setting,
    model: Model,
    /// The keys in use always fit into the table.
    fits: bool,
    tally: Tally,
}

impl Run<'_> {
    fn above(&self) -> f64 {
        if self.setting.whole { 0.0 } else { 0.5 }
    }

    /// Whether an exact balance this far above the limiter's is right.
    fn near(&self, beyond: f64) -> bool {
        beyond <= 0.0 || !self.setting.whole && beyond < 2.0
    }

    /// The limiter's balance of the key in units. A peek starts a bucket that does not start full.
    fn ours(&mut self, now: u64, key: u64) -> i128 {
        if self.model.starts_with_less() {
            self.model.enter(key, now);
        }
        (self.limiter.key(&key).at(now).balance() * self.model.counted.per_token as f64).round() as i128
    }

    fn balanced(&mut self, now: u64, key: u64) -> TestCaseResult {
        let (ours, Bounds { most, least }) = (self.ours(now, key), self.model.bounds_at(key, now));
        let (above, below) = (most.beyond(now, ours), least.beyond(now, ours));
        prop_assert!(above >= -self.above(), "key {key} at {now}: {} units too many of {ours}", -above);
        prop_assert!(!self.fits || self.near(below), "key {key} at {now}: {below} units fewer than {ours}");
        Ok(())
    }

    /// Asserts that the decision is right, and applies it to the exact bucket.
    fn decided(&mut self, now: u64, key: u64, cost: Tokens, answer: Result<(), TryAcquireError>) -> TestCaseResult {
        let (units, above) = (self.model.counted.up(cost), self.above());
        let exceeds = units > self.model.counted.capacity;
        if cost.is_zero() {
            prop_assert!(answer.is_ok());
            return Ok(());
        }
        let Bounds { most, least } = self.model.bounds_at(key, now);
        match answer {
            Ok(()) => {
                let left = most.beyond(now, units as i128);
                prop_assert!(left >= -above, "{cost} admitted to {key} at {now}, {left} units were left");
                self.tally.admitted += 1;
            }
            Err(TryAcquireError::ExceedsBurst(_)) => prop_assert!(exceeds, "{cost} is not above the burst"),
            Err(TryAcquireError::TableFull(_)) => {
                prop_assert!(!self.fits, "{key} refused at {now}: {:?}", self.limiter);
                self.tally.full += 1;
                return Ok(());
            }
            Err(_) => {
                let left = least.beyond(now, units as i128);
                prop_assert!(!exceeds);
                let right = if self.setting.whole { left < 0.0 } else { left < 2.0 };
                prop_assert!(!self.fits || right, "{cost} denied to {key} at {now}, {left} units were left");
                self.tally.denied += 1;
            }
        }
        let bounds = self.model.enter(key, now);
        if answer.is_ok() {
            bounds.most.take(now, units);
            bounds.least.take(now, units);
        }
        Ok(())
    }

    /// Asserts a give-back of up to `units`, if the limiter's balance was `before`.
    fn given(&mut self, now: u64, key: u64, before: i128, units: u128) -> Result<u128, TestCaseError> {
        let capacity = self.model.counted.capacity;
        let added = self.ours(now, key) - before;
        // A full bucket may be forgotten at once. It then starts with less, or full as of a later
        // reading.
        let filled = before + units as i128 >= capacity as i128 - 2;
        let forgotten = filled && (self.model.starts_with_less() || now < self.model.latest);
        // If a key in use was evicted for this one, it started with less. A full bucket that moves
        // is rounded to a unit first.
        let rounded = i128::from(!self.setting.whole && before == capacity as i128);
        prop_assert!(added >= -rounded || forgotten || !self.fits, "{key} lost {added} at {now}");
        let added = added.max(0) as u128;
        prop_assert!(added <= units, "{added} added to {key} at {now}, {units} were given");
        let most_added = if forgotten { (capacity as i128 - before).clamp(0, units as i128) as u128 } else { added };
        let Bounds { most, least } = self.model.enter(key, now);
        for (bucket, added) in [(most, most_added), (least, added)] {
            // A full bucket stays full, also at earlier readings.
            if added > 0 && !bucket.has(now, capacity, 0) {
                bucket.give_back(now, added);
            }
        }
        Ok(added)
    }

    fn settled(&mut self, now: u64, reservation: (u64, Reservation<'_, MockClock>), cost: Tokens) -> TestCaseResult {
        let (key, reservation) = reservation;
        let counted = self.model.counted;
        let (held, units) = (counted.up(reservation.tokens()), counted.up(cost));
        let before = self.ours(now, key);
        let uncharged = reservation.at(now).commit(cost);
        if units <= held {
            prop_assert!(uncharged.is_zero());
            if units < held {
                self.given(now, key, before, held - units)?;
            }
            return Ok(());
        }
        // 10⁻¹² token does not always determine the units, but the balance does.
        let charged = if uncharged.is_zero() { (units - held) as i128 } else { before - self.ours(now, key) };
        prop_assert!(charged <= (units - held) as i128 + 1, "{charged} of {} charged at {now}", units - held);
        let Bounds { most, least } = self.model.enter(key, now);
        // A charge on a full bucket is rounded to a unit first.
        let rounded = i128::from(!self.setting.whole && before == counted.capacity as i128 && !uncharged.is_zero());
        for (bucket, charged) in [(most, charged - rounded), (least, charged)] {
            if charged > 0 {
                bucket.take(now, charged as u128);
            }
        }
        if !uncharged.is_zero() && self.fits {
            prop_assert!(self.ours(now, key) <= 1 - counted.debt as i128, "{uncharged} uncharged though there is room");
        }
        Ok(())
    }

    /// Asserts that the wait until `cost` is there ends when it is there.
    fn waits(&mut self, now: u64, key: u64, cost: Tokens) -> TestCaseResult {
        let units = self.model.counted.up(cost) as i128;
        self.ours(now, key);
        let Bounds { most, least } = self.model.bounds_at(key, now);
        let wait = self.limiter.key(&key).at(now).time_until(cost).map_or(u128::MAX, |wait| wait.as_nanos());
        let Some(then) = u64::try_from(wait).ok().and_then(|wait| now.checked_add(wait)).filter(|&then| then <= LAST)
        else {
            let never = units > self.model.counted.capacity as i128 || least.beyond(LAST, units) < 2.0;
            prop_assert!(never || !self.fits, "never {cost} for {key} after {now}");
            return Ok(());
        };
        prop_assert!(
            cost.is_zero() || most.beyond(then, units) >= -self.above(),
            "{cost} not there {wait} after {now}"
        );
        let early = wait > 0 && least.beyond(then - 1, units) >= 2.0;
        // A new key waits for a place, too.
        let early = early && !self.limiter.key(&key).at(now).peek().table_is_full();
        prop_assert!(!early || !self.fits, "{cost} there for {key} before {wait} after {now}");
        Ok(())
    }

    fn counts(&self, now: u64) -> TestCaseResult {
        let (limiter, len) = (self.limiter, self.limiter.len());
        prop_assert!(len <= limiter.max_keys());
        prop_assert!(limiter.memory_usage() <= limiter.memory_limit());
        if self.fits {
            prop_assert_eq!((limiter.evictions(), limiter.refusals()), (0, 0));
            let least = self.model.least_in_use();
            prop_assert!(least <= len as u64, "{len} keys at {now}, {least} in use");
        }
        Ok(())
    }

    /// Whether the key may call: the keys in use still fit.
    fn may_come(&self, now: u64, key: u64) -> bool {
        let most = self.limiter.max_keys();
        !self.fits || self.setting.keys <= most as u64 || self.model.most_in_use(now, Some(key)) < most as u64
    }
}

/// The times, keys and costs of a run, scaled to its quota.
struct Script {
    now: u64,
    token: u64,
    fill: u64,
    grain: u64,
}

impl Script {
    fn new(model: &Model, start: u64) -> Self {
        let clip = |nanos: u128| nanos.clamp(1, u128::from(LAST / 1_024)) as u64;
        let counted = &model.counted;
        let (token, fill) = (clip(counted.earning(counted.per_token)), clip(counted.earning(counted.capacity)));
        let grain = model.grain();
        Script { now: start / grain * grain, token, fill, grain }
    }

    fn span(&self, gene: u64) -> u64 {
        let random = gene / 16;
        match gene % 16 {
            0..=4 => 0,
            5 => random % 8,
            6 => self.token,
            7..=10 => random % self.token,
            11 => random % self.token.saturating_mul(3),
            12 | 13 => random % self.fill.div_ceil(4),
            14 => random % self.fill.saturating_mul(2),
            _ => self.fill,
        }
    }

    /// Advances the time. A third of the readings are stale.
    fn reading(&mut self, setting: &Setting, step: u64, back: u64) -> u64 {
        let on = (self.now + self.span(step)).min(LAST);
        let whole = |now: u64| if setting.whole { now / self.grain * self.grain } else { now };
        self.now = self.now.max(whole(on));
        if setting.back && back % 3 == 2 { whole(self.now.saturating_sub(self.span(back / 3))) } else { self.now }
    }
}

fn cost(quota: &Quota, gene: u64) -> Tokens {
    let (random, burst) = (gene / 12, pico(quota.capacity()));
    match gene % 12 {
        0..=3 => Tokens::ONE,
        4 => Tokens::ZERO,
        5 => from_pico(u128::from(random) % 3_000_000_000_000),
        6..=8 => quota.capacity(),
        9 | 10 => from_pico(u128::from(random) * u128::from(random) % (burst + 1)),
        _ => from_pico(burst + u128::from(random % 3)),
    }
}

fn follow(limiter: &Keyed, setting: Setting, start: u64, genes: &[Gene]) -> Result<Tally, TestCaseError> {
    let quota = setting.quota;
    let model = Model::new(limiter);
    let mut script = Script::new(&model, start);
    let mut run = Run { limiter, setting, model, fits: setting.keys <= 2 * setting.max_keys, tally: Tally::default() };
    let mut reserved: Vec<(u64, Reservation<'_, MockClock>)> = Vec::new();
    for (index, &(verb, pick, step, back, price)) in genes.iter().enumerate() {
        let now = script.reading(&setting, step, back);
        let (key, cost) = (pick % setting.keys, cost(&quota, price));
        run.model.latest = run.model.latest.max(now);
        let may_come = run.may_come(now, key);
        // A peek starts a bucket that does not start full. Like a call, it needs a place.
        if !may_come && run.model.starts_with_less() {
            run.counts(now)?;
            continue;
        }
        let verb = if may_come { verb % 32 } else { 14 + verb % 3 };
        match verb {
            0..=7 => run.decided(now, key, cost, limiter.key(&key).at(now).try_acquire_n(cost))?,
            8 | 9 => {
                let full = run.limiter.refusals();
                let decision = limiter.key(&key).at(now).decide(cost);
                if decision.allowed() {
                    run.decided(now, key, cost, Ok(()))?;
                    // The bucket was full, so the charge was rounded to a unit.
                    let rounded = if setting.whole { 0 } else { 1 };
                    let (left, ours) = (u128::from(decision.remaining()), run.ours(now, key));
                    let tokens = |units: i128| units.max(0) as u128 / run.model.counted.per_token;
                    prop_assert!(left == tokens(ours) || left == tokens(ours + rounded), "{left} at {now}");
                } else {
                    prop_assert!(!run.fits || limiter.refusals() == full);
                    // A denied decision changes nothing, so a take at the same time agrees with it.
                    run.decided(now, key, cost, limiter.key(&key).at(now).try_acquire_n(cost))?;
                }
            }
            10 | 11 => {
                let taken = limiter.key(&key).at(now).try_reserve_n(cost);
                run.decided(now, key, cost, taken.as_ref().map(drop).map_err(|&error| error))?;
                reserved.extend(taken.ok().map(|reservation| (key, reservation)));
            }
            12 | 13 => {
                let Some(reservation) = reserved.pop() else { continue };
                if !run.may_come(now, reservation.0) {
                    reserved.insert(0, reservation);
                    continue;
                }
                let cost = if verb == 12 { Tokens::ZERO } else { cost };
                run.settled(now, reservation, cost)?;
            }
            14 => {
                let held = run.ours(now, key).max(0) as u128 / run.model.counted.per_token;
                let peek = limiter.key(&key).at(now).peek();
                let remaining = if peek.table_is_full() { 0 } else { held };
                prop_assert_eq!(u128::from(peek.remaining()), remaining);
                prop_assert_eq!(peek.allowed(), !peek.table_is_full());
            }
            15 => run.waits(now, key, cost)?,
            16 => run.counts(now)?,
            17 | 18 => {
                let before = run.ours(now, key);
                let added = limiter.key(&key).at(now).add_tokens(cost);
                let units = run.given(now, key, before, run.model.counted.down(cost))?;
                let reported = added == run.model.counted.tokens_down(units);
                prop_assert!(
                    !run.fits || reported || now < run.model.latest || run.model.starts_with_less(),
                    "{units} units are {added}"
                );
            }
            19 if step % 2 == 0 => {
                limiter.key(&key).at(now).reset();
                run.model.refill(key, now);
            }
            20 if step % 2 == 0 => {
                let (known, there) = (run.model.surely_in_use(key), limiter.remove(&key));
                prop_assert!(!run.fits || there || !known, "{key} is not there");
                run.model.forget(key);
            }
            21 => {
                limiter.clock().set(now);
                limiter.retain_recent();
                run.counts(now)?;
                if run.fits {
                    let (len, most) = (limiter.len(), run.model.most_in_use(now, None));
                    prop_assert!(len <= most as usize, "{len} keys at {now}, at most {most} in use");
                }
            }
            22 if step % 16 == 0 => {
                limiter.clear();
                prop_assert!(limiter.is_empty());
                run.model.clear();
            }
            23..=25 => {
                let keys: Vec<u64> =
                    (0..1 + price % 20).map(|nth| (key + nth * (1 + back % 3)) % setting.keys).collect();
                if run.fits && setting.keys > setting.max_keys {
                    let coming = run.model.most_in_use(now, None) + keys.len() as u64;
                    if coming > setting.max_keys {
                        continue;
                    }
                }
                let mut answers = Vec::new();
                limiter.clock().set(now);
                limiter.try_acquire_many(&keys, &mut answers);
                prop_assert_eq!(answers.len(), keys.len());
                for (key, answer) in keys.into_iter().zip(answers) {
                    run.decided(now, key, Tokens::ONE, answer)?;
                }
            }
            _ => run.decided(now, key, Tokens::ONE, limiter.key(&key).at(now).try_acquire())?,
        }
        // The key of a settled reservation may have taken the last place.
        if run.may_come(now, key) || !run.model.starts_with_less() {
            run.balanced(now, key)?;
        }
        if index % 8 == 0 {
            run.counts(now)?;
        }
    }
    for (_, reservation) in reserved {
        reservation.at(script.now).cancel();
    }
    run.tally.done = genes.len() as u64;
    Ok(run.tally)
}

fn limiter(setting: Setting) -> Keyed {
    let Setting { quota, max_keys, places, on_full, .. } = setting;
    keyed(quota, max_keys).hasher(places).on_full(on_full).build().unwrap()
}

fn places() -> impl Strategy<Value = Places> {
    prop_oneof![Just(Places::Anywhere), (2..6u64).prop_map(Places::Few), Just(Places::Same)]
}

/// Runs many cases of `settings`, with `ops` operations in all, and returns the totals.
fn live(ops: u64, settings: impl Strategy<Value = Setting>) -> Tally {
    const LONGEST: usize = 400;
    let cases = u32::try_from(ops / (LONGEST as u64 / 2)).expect("more cases than can be counted");
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let total = Cell::new(Tally::default());
    let gene = any::<Gene>();
    let result = runner.run(&(settings, any::<u64>(), vec(gene, 1..=LONGEST)), |(setting, start, genes)| {
        let start = if start % 2 == 0 { 0 } else { (start / 2) % (LAST / 2) };
        let tally = follow(&limiter(setting), setting, start, &genes).map_err(|error| match error {
            TestCaseError::Fail(reason) => TestCaseError::fail(format!("{setting:?} from {start}: {reason}")),
            reject => reject,
        })?;
        let Tally { done, admitted, denied, full } = total.get();
        total.set(Tally {
            done: done + tally.done,
            admitted: admitted + tally.admitted,
            denied: denied + tally.denied,
            full: full + tally.full,
        });
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    println!("{:?}", total.get());
    total.get()
}

/// Settings with `tenths`/10 times as many keys as `max_keys`.
fn settings(
    max_keys: std::ops::Range<u64>,
    tenths: std::ops::Range<u64>,
    back: impl Strategy<Value = bool>,
) -> impl Strategy<Value = Setting> {
    let on_full = prop_oneof![Just(OnFull::EvictLeastDebt), Just(OnFull::Deny)];
    (0..quotas().len(), max_keys, tenths, places(), on_full, any::<bool>(), back).prop_map(
        |(pick, max_keys, tenths, places, on_full, whole, back)| {
            let keys = (max_keys * tenths / 10).max(1);
            // If keys collide, only some of them find a place.
            let places = if max_keys > 60 { Places::Anywhere } else { places };
            Setting { quota: quotas()[pick], max_keys, keys, places, on_full, whole, back }
        },
    )
}

#[test]
fn tiny_tables_agree_with_the_exact_buckets_decision_by_decision() {
    let ops = operations("BRIMFUL_KEYED_ORACLE_OPS", 200_000);
    let Tally { done, admitted, denied, .. } = live(ops, settings(1..41, 5..21, any::<bool>()));
    assert!(admitted > done / 5 && denied > done / 50);
}

#[test]
fn larger_tables_agree_with_the_exact_buckets_decision_by_decision() {
    let ops = operations("BRIMFUL_KEYED_ORACLE_OPS", 200_000) / 2;
    let Tally { done, admitted, denied, .. } = live(ops, settings(41..200, 8..21, any::<bool>()));
    assert!(admitted > done / 5 && denied > done / 50);
}

/// With fewer places than keys in use, some keys are refused, and others are forgotten with their
/// debt. No key ever holds more than its exact bucket, so an exhausted key stays exhausted.
#[test]
fn in_a_table_that_is_too_small_no_key_is_above_its_exact_bucket() {
    let ops = operations("BRIMFUL_KEYED_ORACLE_OPS", 200_000);
    let Tally { done, admitted, full, .. } = live(ops, settings(1..20, 30..100, Just(false)));
    assert!(admitted > done / 10 && full > done / 50);
}
