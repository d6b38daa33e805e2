//! Tables whose keys come, go and move all the time at one reading of the clock, so that the same
//! words return to the same slots. The bucket of each key is counted exactly.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use brimful::{OnFull, Quota};

use crate::keyed_support::{Keyed, Places, keyed};
use crate::support::{Random, SECOND, operations};

const BURST: u32 = 20;

/// Nothing is earned at one reading, so tokens can be counted exactly.
const NOW: u64 = SECOND;

/// A table, and the number of keys that call it. The keys of a few groups are more than the slots
/// of those groups, but no more than the slots and the overflow.
const TABLES: [(Places, u64); 5] = [
    (Places::Anywhere, 3_000),
    (Places::Anywhere, 60),
    (Places::Few(5), 100),
    (Places::Few(2), 60),
    (Places::Same, 50),
];

fn table(places: Places, keys: u64) -> Keyed {
    keyed(Quota::per_hour(1).burst(BURST), keys).hasher(places).on_full(OnFull::Deny).build().unwrap()
}

/// Takes, gives back, removes and resets, compared with a map of the tokens that each key has left.
#[test]
fn keys_that_return_to_their_slots_are_counted_exactly() {
    let steps = operations("BRIMFUL_CHURN_OPS", 400_000) / TABLES.len() as u64;
    for (places, keys) in TABLES {
        let mut random = Random::new(keys);
        let mut done = 0;
        while done < steps {
            let limiter = table(places, keys);
            let mut left: HashMap<u64, u32> = HashMap::new();
            // Few keys at first, then all, so that the table doubles again and again.
            let length = 2_000 + 2 * keys;
            for step in 0..length {
                let key = random.below(1 + step.min(keys - 1));
                let held = *left.get(&key).unwrap_or(&BURST);
                match random.below(16) {
                    0..=2 => {
                        assert_eq!(limiter.remove(&key), left.remove(&key).is_some(), "{key}, step {step}");
                    }
                    // F leaves, G comes to its slot, G leaves, and F comes back.
                    3 | 4 => {
                        let other = random.below(keys);
                        limiter.remove(&key);
                        left.remove(&key);
                        for _ in 0..random.below(20) {
                            limiter.remove(&other);
                            assert!(limiter.key(&other).at(NOW).try_acquire_n(3).is_ok());
                            left.insert(other, BURST - 3);
                        }
                    }
                    5 => {
                        limiter.key(&key).at(NOW).reset();
                        left.entry(key).and_modify(|left| *left = BURST);
                    }
                    6 => {
                        let added = limiter.key(&key).at(NOW).add_tokens(2);
                        assert_eq!(added.whole(), 2.min(BURST - held), "{key}, step {step}");
                        left.entry(key).and_modify(|left| *left += added.whole());
                    }
                    7 => drop(limiter.key(&key).at(NOW).try_reserve_n(held).map(|_| left.insert(key, held))),
                    _ => {
                        let cost = 1 + random.below(6) as u32;
                        let answer = limiter.key(&key).at(NOW).try_acquire_n(cost);
                        assert_eq!(answer.is_ok(), cost <= held, "{places:?}, {key} with {held}, step {step}");
                        if answer.is_ok() {
                            left.insert(key, held - cost);
                        }
                    }
                }
                let shown = limiter.key(&key).at(NOW).balance();
                assert_eq!(shown, f64::from(*left.get(&key).unwrap_or(&BURST)), "{places:?}, {key}, step {step}");
                assert_eq!(limiter.len(), left.len());
            }
            for (key, held) in left {
                assert_eq!(limiter.key(&key).at(NOW).balance(), f64::from(held), "{places:?}, {key}");
            }
            done += length;
        }
    }
}

/// The calls of all threads on a key.
#[derive(Default)]
struct Account {
    granted: AtomicU64,
    /// How many times the key was removed.
    removed: AtomicU64,
}

/// Several threads take from all keys, and remove the keys from `stable` on, all at one reading.
/// One thread also calls `also` now and then.
fn contend(limiter: &Keyed, accounts: &[Account], stable: u64, calls: u64, seed: u64, also: impl Fn(u64) + Sync) {
    const THREADS: u64 = 3;
    let keys = accounts.len() as u64;
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let also = &also;
            scope.spawn(move || {
                let mut random = Random::new(seed * THREADS + thread);
                for nth in 0..calls / THREADS {
                    // Few keys at first, then all.
                    let key = random.below(1 + (nth / 4).min(keys - 1));
                    let account = &accounts[key as usize];
                    match random.below(8) {
                        0..=2 if key >= stable => {
                            // Counted before the removal, because a grant that it permits comes
                            // after.
                            account.removed.fetch_add(1, Ordering::Relaxed);
                            limiter.remove(&key);
                        }
                        3 => drop(limiter.key(&key).at(NOW).try_reserve_n(1)),
                        4 if nth % 32 == 0 => assert!(limiter.retain_recent() <= keys as usize),
                        5 if thread == 0 => also(nth),
                        _ => {
                            if limiter.key(&key).at(NOW).allow() {
                                account.granted.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                }
            });
        }
    });
}

/// A key that is never removed was granted exactly the tokens that its bucket lacks, however many
/// tenants its slot had and however many times it moved. The other keys were granted at most a
/// burst for each removal.
#[test]
fn keys_among_others_that_come_and_go_lose_nothing_and_gain_nothing() {
    let calls = operations("BRIMFUL_CHURN_OPS", 400_000) / 10;
    for (places, keys) in TABLES {
        let (mut granted, mut removed) = (0, 0);
        for round in 0..10 {
            let (limiter, stable) = (table(places, keys), keys / 3);
            let accounts: Vec<Account> = (0..keys).map(|_| Account::default()).collect();
            contend(&limiter, &accounts, stable, calls / 2, round, |_| ());
            assert_eq!(limiter.refusals(), 0);
            for (key, account) in accounts.iter().enumerate() {
                let of_key = [&account.granted, &account.removed].map(|count| count.load(Ordering::Relaxed));
                let left = limiter.key(&(key as u64)).at(NOW).balance();
                let most = u64::from(BURST) * (1 + of_key[1]);
                assert!(of_key[0] as f64 + left <= most as f64, "{places:?}, {key}: {of_key:?}, {left} left");
                assert!(
                    of_key[1] > 0 || of_key[0] as f64 + left == most as f64,
                    "{places:?}, {key}: {of_key:?}, {left}"
                );
                (granted, removed) = (granted + of_key[0], removed + of_key[1]);
            }
        }
        println!("{places:?}, {keys} keys: {granted} granted, {removed} removed");
        assert!(granted > calls && removed > calls / 16);
    }
}

/// While another thread clears the table, a key is granted at most a burst for each `clear`.
#[test]
fn a_table_that_is_cleared_under_its_callers_grants_a_burst_each_time() {
    let calls = operations("BRIMFUL_CHURN_OPS", 400_000) / 10;
    for (places, keys) in TABLES {
        let mut cleared = 0;
        for round in 0..4 {
            let (limiter, clears) = (table(places, keys), AtomicU64::new(0));
            let accounts: Vec<Account> = (0..keys).map(|_| Account::default()).collect();
            contend(&limiter, &accounts, keys, calls, round, |nth| {
                if nth % 16 == 0 {
                    clears.fetch_add(1, Ordering::Relaxed);
                    limiter.clear();
                }
            });
            let clears = clears.into_inner();
            for (key, account) in accounts.iter().enumerate() {
                let granted = account.granted.load(Ordering::Relaxed);
                assert!(granted <= u64::from(BURST) * (1 + clears), "{places:?}, {key}: {granted} in {clears} clears");
            }
            cleared += clears;
            limiter.clear();
            assert!(limiter.is_empty());
            assert!((0..keys).all(|key| limiter.key(&key).at(NOW).try_acquire_n(BURST).is_ok()));
        }
        println!("{places:?}, {keys} keys: cleared {cleared} times");
        assert!(cleared > 10);
    }
}
