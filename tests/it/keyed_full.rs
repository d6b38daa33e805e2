//! A full table: a new key gets the place of another key, or a counted refusal that says when to
//! retry. A peek at a new key shows the same as a call for it.

use std::time::Duration;

use brimful::{AcquireError, Decision, OnFull, Quota, Tokens, TryAcquireError};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::keyed_support::{Keyed, Places, keyed};
use crate::support::{Counted, LAST, PICO, SECOND, any_quota, any_size, from_pico, pico};
use crate::waiting::poll;

const POLICIES: [OnFull; 2] = [OnFull::EvictLeastDebt, OnFull::Deny];

/// The first number that is not a key of a full table.
const NEW: u64 = 1_000;

fn table(quota: Quota, keys: u64, places: Places, on_full: OnFull) -> Keyed {
    keyed(quota, keys).hasher(places).on_full(on_full).build().unwrap()
}

/// The tokens that the keys of a full table have taken.
#[derive(Clone, Copy, Debug)]
enum Used {
    /// Some tokens, a different amount for each key.
    Some(u64),
    /// So many that less than a token is left, or a debt.
    Exhausted(u64),
    /// Half a token, or half of a smaller burst.
    Alike,
}

/// Fills a table with keys that are in use at `now`.
fn fill(limiter: &Keyed, now: u64, used: Used) {
    let burst = limiter.quota().capacity();
    for key in 0..limiter.max_keys() as u64 {
        let gene = |seed: u64| (seed ^ key.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        match used {
            Used::Some(seed) => {
                let cost = from_pico(u128::from(gene(seed) >> 2) * u128::from(gene(seed)) % pico(burst) + 1);
                assert!(limiter.key(&key).at(now).try_acquire_n(cost).is_ok());
            }
            Used::Exhausted(seed) => {
                let reserved = limiter.key(&key).at(now).try_reserve_n(burst).unwrap();
                let debt =
                    if gene(seed) % 4 == 0 { burst.saturating_add(Tokens::new(gene(seed) as u32 / 8)) } else { burst };
                reserved.at(now).commit(debt);
                let below_a_token = u128::from(gene(seed) / 4) % (pico(burst).min(PICO) / 2);
                limiter.key(&key).at(now).add_tokens(from_pico(below_a_token));
            }
            Used::Alike => {
                let cost = from_pico((pico(burst).min(PICO) / 2).max(1));
                assert!(limiter.key(&key).at(now).try_acquire_n(cost).is_ok());
            }
        }
    }
    assert_eq!((limiter.len(), limiter.evictions(), limiter.refusals()), (limiter.max_keys(), 0, 0));
}

/// The wait that a full table's refusal states.
fn refused_for(answer: Result<(), TryAcquireError>) -> Option<Option<Duration>> {
    match answer {
        Err(TryAcquireError::TableFull(full)) => Some(full.retry_after()),
        _ => None,
    }
}

/// Asserts the refusal of a new key at a full table with no other calls: after the stated wait the
/// same call is admitted. If the wait is the `earliest`, it is not admitted one nanosecond before.
fn retries(make: impl Fn() -> Keyed, now: u64, cost: Tokens, earliest: bool) -> TestCaseResult {
    let limiter = make();
    let reported = refused_for(limiter.key(&NEW).at(now).try_acquire_n(cost));
    prop_assert!(reported.is_some(), "the table has room");
    let reported = reported.flatten();
    prop_assert_eq!(limiter.refusals(), 1);
    let decision = limiter.key(&NEW).at(now).decide(cost);
    prop_assert_eq!((decision.table_is_full(), decision.retry_after()), (true, reported));
    prop_assert_eq!(limiter.key(&NEW).at(now).time_until(cost), reported);
    prop_assert_eq!((limiter.key(&NEW).at(now).peek().table_is_full(), limiter.refusals()), (true, 2));
    limiter.clock().set(now);
    let waited = poll(&mut limiter.acquire_n(&NEW, cost));
    let Some(Err(AcquireError::TableFull(full))) = waited else {
        panic!("{waited:?}: the table has room for a waiter")
    };
    prop_assert_eq!((full.retry_after(), limiter.refusals()), (reported, 3));
    let Some(wait) = reported else {
        let never = !earliest || limiter.key(&NEW).at(LAST).try_acquire_n(cost).is_err();
        prop_assert!(never, "admitted, although the wait for a place is endless");
        return Ok(());
    };
    let then = now + wait.as_nanos() as u64;
    prop_assert!(wait > Duration::ZERO && then <= LAST);
    if earliest {
        let early = limiter.key(&NEW).at(then - 1).try_acquire_n(cost);
        prop_assert!(early.is_err(), "admitted a nanosecond before {:?}", wait);
    }
    let answer = limiter.key(&NEW).at(then).try_acquire_n(cost);
    prop_assert!(answer.is_ok(), "{:?} after {:?}", answer, wait);
    Ok(())
}

fn any_full_quota(genes: [u64; 6]) -> Quota {
    let [kind, rate, terms, burst, _, debt] = genes;
    any_quota([kind, rate, terms, burst, 0, debt])
}

fn cost_of(quota: Quota, gene: u64) -> Tokens {
    from_pico(u128::from(gene) * u128::from(gene / 3) % pico(quota.capacity()) + 1)
}

fn explained(quota: Quota, now: u64) -> impl Fn(TestCaseError) -> TestCaseError {
    move |error| match error {
        TestCaseError::Fail(reason) => TestCaseError::fail(format!("{quota} at {now}: {reason}")),
        reject => reject,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// All keys have the same sixteen slots, so a new key can only get one of these.
    #[test]
    fn a_refused_key_is_admitted_when_it_was_told_and_not_before(
        genes in any::<[u64; 6]>(),
        time in any::<u64>(),
        price in any::<u64>(),
        seed in any::<u64>(),
    ) {
        let (quota, now) = (any_full_quota(genes), any_size(time, 58));
        let cost = cost_of(quota, price);
        let denied = |used| move || {
            let limiter = table(quota, 16, Places::Same, OnFull::Deny);
            fill(&limiter, now, used);
            limiter
        };
        let evicts = || {
            let limiter = table(quota, 16, Places::Same, OnFull::EvictLeastDebt);
            fill(&limiter, now, Used::Exhausted(seed));
            limiter
        };
        retries(denied(Used::Some(seed)), now, cost, true).map_err(explained(quota, now))?;
        retries(denied(Used::Exhausted(seed)), now, cost, true).map_err(explained(quota, now))?;
        retries(evicts, now, cost, true).map_err(explained(quota, now))?;
    }

    /// With keys in many groups and in the overflow, another bucket may be full before those of the
    /// new key's slots. So the wait is sufficient. If all keys owe the same, it is also the
    /// earliest.
    #[test]
    fn a_wait_for_a_place_is_sufficient_wherever_the_keys_are(
        genes in any::<[u64; 6]>(),
        time in any::<u64>(),
        price in any::<u64>(),
        seed in any::<u64>(),
        keys in 1..200u64,
        few in 1..5u64,
    ) {
        let (quota, now) = (any_full_quota(genes), any_size(time, 58));
        let cost = cost_of(quota, price);
        let places = match seed % 3 {
            0 => Places::Same,
            1 => Places::Few(few),
            _ => Places::Anywhere,
        };
        let keys = if places == Places::Anywhere { keys } else { 1 + keys % 60 };
        let of_policy = |on_full, used| move || {
            let limiter = table(quota, keys, places, on_full);
            fill(&limiter, now, used);
            limiter
        };
        let explain = |error| explained(quota, now)(error);
        retries(of_policy(OnFull::Deny, Used::Some(seed)), now, cost, false).map_err(explain)?;
        retries(of_policy(OnFull::Deny, Used::Alike), now, cost, true).map_err(explain)?;
        retries(of_policy(OnFull::EvictLeastDebt, Used::Exhausted(seed)), now, cost, false).map_err(explain)?;
    }
}

/// A peek at a new key, and then a call for it.
fn peek_and_call(limiter: &Keyed, now: u64, key: u64, cost: Tokens) -> TestCaseResult {
    let peek = limiter.key(&key).at(now).peek();
    let available = limiter.key(&key).at(now).available_tokens();
    let wait = limiter.key(&key).at(now).time_until(cost);
    let before = (limiter.len(), limiter.evictions(), limiter.refusals());
    prop_assert_eq!(peek.allowed(), !peek.table_is_full());
    prop_assert_eq!(f64::from(peek.remaining()), available.floor().min(f64::from(u32::MAX)));
    let call = limiter.key(&key).at(now).decide(cost);
    prop_assert_eq!(call.table_is_full(), peek.table_is_full(), "{:?}, and {:?}", peek, call);
    let reported = call.retry_after();
    prop_assert!(call.allowed() || reported == wait, "{:?}, but a peek reports {:?}", call, wait);
    prop_assert_eq!(call.allowed(), wait == Some(Duration::ZERO), "{:?} after {:?}", call, wait);
    prop_assert!(!peek.table_is_full() || available == 0.0 && peek.remaining() == 0);
    prop_assert_eq!(limiter.refusals(), before.2 + u64::from(peek.table_is_full()), "only the call is counted");
    if let Some(wait) = wait.filter(|_| !call.allowed()) {
        let then = now + wait.as_nanos() as u64;
        let answer = limiter.key(&key).at(then).try_acquire_n(cost);
        prop_assert!(answer.is_ok(), "{:?} after {:?}, {:?}", answer, wait, call);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_look_at_a_new_key_agrees_with_the_call(
        genes in any::<[u64; 6]>(),
        time in any::<u64>(),
        price in any::<u64>(),
        seed in any::<u64>(),
        keys in 1..60u64,
        steps in prop::collection::vec(any::<u64>(), 1..6),
    ) {
        let (quota, mut now) = (any_full_quota(genes), any_size(time, 57));
        let places = if seed % 2 == 0 { Places::Same } else { Places::Anywhere };
        let used = [Used::Some(seed), Used::Exhausted(seed), Used::Alike][(seed / 2 % 3) as usize];
        for on_full in POLICIES {
            let limiter = table(quota, keys, places, on_full);
            fill(&limiter, now, used);
            let token = Counted::new(quota).earning(1).clamp(1, u128::from(LAST / 64)) as u64;
            for (nth, step) in steps.iter().enumerate() {
                let cost = cost_of(quota, price.wrapping_mul(nth as u64 + 1));
                peek_and_call(&limiter, now, NEW + nth as u64, cost).map_err(explained(quota, now))?;
                now += step % token.saturating_mul(2);
            }
        }
    }
}

/// The bucket of a new key at a full table starts with less than the cost. The call is repeated
/// after each stated wait, and each refusal is counted.
#[test]
fn a_new_key_that_starts_with_too_little_is_admitted_or_counted() {
    const TOKEN: u64 = SECOND / 10;
    for (initial, cost) in [(0, 1), (0, 10), (1, 2), (3, 4)] {
        let quota = Quota::per_second(10).burst(10).initial(initial);
        for (places, on_full) in [Places::Same, Places::Anywhere].into_iter().flat_map(|p| POLICIES.map(|o| (p, o))) {
            // The tokens that each known key holds.
            for held in [0, 1, 9] {
                let limiter = table(quota, 16, places, on_full);
                for key in 0..16 {
                    limiter.key(&key).at(SECOND).reset();
                    assert!(limiter.key(&key).at(SECOND).try_acquire_n(10 - held).is_ok());
                }
                let (mut now, mut reported) = (SECOND, Vec::new());
                let tries = (0..8).find(|_| {
                    let before = (limiter.evictions(), limiter.refusals());
                    let answer = limiter.key(&NEW).at(now).try_acquire_n(cost);
                    let after = (limiter.evictions() - before.0, limiter.refusals() - before.1);
                    let known = limiter.len() == 16;
                    match answer {
                        Ok(()) => return true,
                        Err(TryAcquireError::TableFull(_)) => assert_eq!(after, (0, 1)),
                        Err(_) => assert!(known && after.1 == 0),
                    }
                    let wait = answer.unwrap_err().retry_after().unwrap();
                    reported.push((answer, after, wait));
                    now += wait.as_nanos() as u64;
                    false
                });
                let context = format!("{quota}, {cost} at {on_full:?}, {places:?}, {held} held: {reported:?}");
                assert!(tries.is_some(), "{context}");
                let evicts = held > 0 && on_full == OnFull::EvictLeastDebt;
                assert_eq!(reported[0].1, if evicts { (1, 0) } else { (0, 1) }, "{context}");
                // At most a wait for a place, and then one for the tokens.
                assert!(reported.len() <= 2, "{context}");
                let room = if evicts {
                    0
                } else if on_full == OnFull::Deny {
                    10 - u64::from(held)
                } else {
                    1
                };
                let missing = u64::from(cost - initial);
                assert_eq!(now, SECOND + (room + missing) * TOKEN, "{context}");
            }
        }
    }
}

/// A wait on a new key at a full table gets a place, or is counted as a refusal.
#[test]
fn a_wait_on_a_new_key_at_a_full_table_has_a_place_or_is_counted() {
    for (initial, cost) in [(0, 1), (1, 2), (10, 10)] {
        let quota = Quota::per_second(10).burst(10).initial(initial);
        for (on_full, held) in POLICIES.into_iter().flat_map(|policy| [0, 1, 9].map(|held| (policy, held))) {
            let limiter = table(quota, 16, Places::Same, on_full);
            for key in 0..16 {
                limiter.key(&key).reset();
                assert!(limiter.try_acquire_n(&key, 10 - held).is_ok());
            }
            let mut wait = limiter.acquire_n(&NEW, cost);
            let first = poll(&mut wait);
            let context = format!("{quota}, {cost} at {on_full:?}, {held} held: {first:?}");
            let counted = (limiter.evictions(), limiter.refusals(), limiter.len());
            if held == 0 || on_full == OnFull::Deny {
                assert!(matches!(first, Some(Err(AcquireError::TableFull(_)))), "{context}");
                assert_eq!(counted, (0, 1, 16), "{context}");
                continue;
            }
            assert_eq!(counted, (1, 0, 16), "{context}");
            assert_eq!(first.is_some(), cost <= initial, "{context}");
            limiter.clock().advance(Duration::from_millis(100));
            assert!(first.is_some() || matches!(poll(&mut wait), Some(Ok(_))), "{context}");
        }
    }
}

/// `remove` forgives the debt of the key itself, `clear` also the debt of evicted keys.
#[test]
fn what_was_evicted_is_forgiven_by_clear_and_not_by_remove() {
    let limiter = table(Quota::per_second(10).burst(10), 16, Places::Same, OnFull::EvictLeastDebt);
    // One key has six tokens left, and the others two. The one is evicted.
    for key in 0..16 {
        assert!(limiter.key(&key).at(0).try_acquire_n(if key == 5 { 4 } else { 8 }).is_ok());
    }
    assert!(limiter.key(&NEW).at(0).try_acquire_n(9).is_ok());
    assert_eq!((limiter.evictions(), limiter.len()), (1, 16));
    // The evicted key starts with what it had left, and so does every other new key.
    assert!(!limiter.remove(&5), "the key was evicted");
    assert_eq!((limiter.key(&5).at(0).balance(), limiter.key(&(NEW + 1)).at(0).balance()), (6.0, 6.0));
    // The key's own debt is forgiven.
    assert_eq!(limiter.key(&7).at(0).balance(), 2.0);
    assert!(limiter.remove(&7) && !limiter.remove(&7));
    assert_eq!((limiter.key(&7).at(0).balance(), limiter.len()), (6.0, 15));
    assert!(limiter.key(&7).at(0).try_acquire_n(6).is_ok() && !limiter.key(&7).at(0).allow());
    limiter.clear();
    for key in [5, 7, NEW, NEW + 1] {
        assert_eq!(limiter.key(&key).at(0).balance(), 10.0);
        assert!(limiter.key(&key).at(0).try_acquire_n(10).is_ok());
    }
}

/// A decision at a full table shows the refusal, and no tokens.
#[test]
fn a_refusal_by_a_full_table_shows_no_tokens() {
    let limiter = table(Quota::per_second(10).burst(10), 16, Places::Same, OnFull::Deny);
    fill(&limiter, 0, Used::Alike);
    let shown = |decision: Decision| (decision.allowed(), decision.remaining(), decision.exceeds_burst());
    assert_eq!(shown(limiter.key(&NEW).at(0).decide(1)), (false, 0, false));
    assert_eq!(shown(limiter.key(&NEW).at(0).peek()), (false, 0, false));
    assert_eq!(shown(limiter.key(&3).at(0).peek()), (true, 9, false));
    // A cost above the burst is never admitted, with or without a place, and is not counted as a
    // refusal.
    let refusals = limiter.refusals();
    assert!(limiter.key(&NEW).at(0).decide(11).exceeds_burst());
    assert!(matches!(limiter.key(&NEW).at(0).try_acquire_n(11), Err(TryAcquireError::ExceedsBurst(_))));
    assert_eq!((limiter.key(&NEW).at(0).time_until(11), limiter.refusals()), (None, refusals));
}

/// The last wait on a key ends, and there is no place left for the key: its debt stays its own, and no
/// other key pays for it.
#[test]
fn an_exhausted_key_is_not_forgotten_when_its_last_wait_ends() {
    for on_full in POLICIES {
        // All keys share two groups, and an eighth of 1000 keys may be in no slot.
        let limiter = table(Quota::per_hour(1).burst(10), 1_000, Places::Same, on_full);
        let exhausted = 0;
        assert!(limiter.key(&exhausted).try_acquire_n(10).is_ok());
        let mut wait = limiter.acquire(&exhausted);
        assert!(poll(&mut wait).is_none());
        let mut key = 1;
        while limiter.refusals() + limiter.evictions() == 0 {
            let _ = limiter.try_acquire_n(&key, 1);
            key += 1;
        }
        assert!(key > 16 + 64, "the last of them found no place");
        let (evictions, new) = (limiter.evictions(), key);
        let tokens_of_a_new_key = limiter.key(&new).balance();
        drop(wait);
        assert!(!limiter.allow(&exhausted));
        assert_eq!(limiter.key(&exhausted).balance(), 0.0, "{on_full:?}");
        assert_eq!((limiter.evictions(), limiter.key(&new).balance()), (evictions, tokens_of_a_new_key));
        // A place comes free, and the key has it.
        assert!(limiter.remove(&1));
        assert!(!limiter.allow(&exhausted));
        assert_eq!((limiter.waiting_keys(), limiter.key(&exhausted).balance()), (0, 0.0));
    }
}

/// A look is not counted as a refusal, also if buckets do not start full.
#[test]
fn a_look_at_a_full_table_counts_no_refusal() {
    for initial in [0, 1, 10] {
        let builder = keyed(Quota::per_second(10).burst(10).initial(initial), 1).hasher(Places::Same);
        let limiter = builder.on_full(OnFull::Deny).build().unwrap();
        assert!(limiter.key(&0).at(SECOND).try_acquire_n(5).is_ok() || initial < 5);
        let new = limiter.key(&1).at(SECOND);
        assert_eq!((new.available_tokens(), new.peek().table_is_full()), (0.0, true), "initial {initial}");
        assert_eq!((limiter.refusals(), limiter.len()), (0, 1));
        assert!(new.try_acquire().is_err());
        assert_eq!((limiter.refusals(), limiter.len()), (1, 1));
    }
}
