//! Promise 5: a keyed limiter never exceeds its number of keys or its memory limit, a flood of new
//! keys resets no known key, and no key is refused while there is room.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use brimful::{FullEvent, KeyedRateLimiter, OnFull, Quota, Tokens, TryAcquireError};

use crate::keyed_support::{Keyed, Places, keyed};
use crate::support::{Counted, Random, SECOND, operations};

const POLICIES: [OnFull; 2] = [OnFull::EvictLeastDebt, OnFull::Deny];

/// An attacker got past a limiter that forgot a limited key to make room for new ones.
#[test]
fn an_exhausted_key_stays_exhausted_through_a_flood_of_new_keys() {
    const EXHAUSTED: u64 = 1_000;
    const PROBES: u64 = 20;
    let flood = operations("BRIMFUL_FLOOD_KEYS", 1_000_000);
    for on_full in POLICIES {
        let reported = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let hook = {
            let reported = Arc::clone(&reported);
            move |event| {
                reported[usize::from(event == FullEvent::Evicted)].fetch_add(1, Ordering::Relaxed);
            }
        };
        let quota = Quota::per_hour(60).burst(10);
        let limiter = keyed(quota, 100_000).on_full(on_full).on_full_hook(hook).build().unwrap();
        for key in 0..EXHAUSTED {
            assert!(limiter.key(&key).at(0).try_acquire_n(10).is_ok());
        }
        let (mut admitted, mut full, mut limited) = (0, 0, 0);
        // The flood takes less than the time of a token.
        for nth in 0..flood {
            let now = nth * 59 * SECOND / flood;
            match limiter.key(&(EXHAUSTED + nth)).at(now).try_acquire() {
                Ok(()) => admitted += 1,
                Err(TryAcquireError::TableFull(_)) => full += 1,
                Err(_) => limited += 1,
            }
            if nth % (flood / PROBES) == 0 {
                assert!((0..EXHAUSTED).all(|key| !limiter.key(&key).at(now).allow()), "{on_full:?} after {nth}");
                assert!((0..EXHAUSTED).all(|key| limiter.key(&key).at(now).balance() < 1.0), "{on_full:?} after {nth}");
                assert!(limiter.len() <= 100_000);
            }
        }
        let (evicted, refused) = (limiter.evictions(), limiter.refusals());
        println!(
            "{on_full:?}: {flood} new keys: {admitted} admitted, {evicted} evicted, {refused} refused, {limited} limited"
        );
        assert_eq!([refused, evicted], [&reported[0], &reported[1]].map(|reported| reported.load(Ordering::Relaxed)));
        assert_eq!(full, refused);
        // Every new key has a free slot, or evicted another key.
        assert_eq!(admitted, 100_000 - EXHAUSTED + evicted);
        assert_eq!(admitted + full + limited, flood);
        match on_full {
            OnFull::Deny => assert_eq!((evicted, limited), (0, 0)),
            _ => assert!(evicted > 0),
        }
        let later = 60 * SECOND;
        assert!((0..EXHAUSTED).all(|key| limiter.key(&key).at(later).balance() == 1.0), "{on_full:?}");
    }
}

/// Keys that call once and never again. A quarter of the table's keys are in use at a time.
#[test]
fn keys_that_come_and_go_need_no_more_than_those_in_use() {
    const IN_USE: u64 = 2_500;
    for quota in [Quota::per_hour(5_000), Quota::per_second(100).burst(200), Quota::per_day(1_000)] {
        for on_full in POLICIES {
            let limiter = keyed(quota, 10_000).on_full(on_full).build().unwrap();
            let counted = Counted::of_keys(&limiter);
            let token = counted.earning(counted.per_token) as u64;
            let (arrivals, mut most) = (25 * IN_USE, 0);
            for key in 0..arrivals {
                let now = 7 * SECOND + key * token / IN_USE;
                assert!(limiter.key(&key).at(now).try_acquire().is_ok(), "{quota}: {key} of {limiter:?}");
                most = most.max(limiter.len());
            }
            println!("{quota}, {on_full:?}: {arrivals} keys, {most} known at most, {} bytes", limiter.memory_usage());
            assert_eq!((limiter.evictions(), limiter.refusals()), (0, 0));
            assert!(most <= 10_000 && limiter.memory_usage() <= limiter.memory_limit());
        }
    }
}

/// The same from several threads that look for room at the same time. In the time of each token new
/// keys arrive, and the earlier ones become full.
#[test]
fn threads_that_bring_new_keys_are_not_refused_while_there_is_room() {
    const THREADS: u64 = 4;
    let arrivals = operations("BRIMFUL_FLOOD_KEYS", 1_000_000) / 4;
    let token = SECOND / 100;
    for (max_keys, in_use) in [(10_000, 2_500), (10_000, 9_900), (2_000, 1_950), (100, 99)] {
        let limiter = keyed(Quota::per_second(100).burst(200), max_keys).on_full(OnFull::Deny).build().unwrap();
        let (rounds, together) = (arrivals / in_use, Barrier::new(THREADS as usize));
        let refused: u64 = thread::scope(|scope| {
            let run = |thread: u64| {
                let (limiter, together) = (&limiter, &together);
                scope.spawn(move || {
                    let mut refused = 0;
                    for round in 0..rounds {
                        together.wait();
                        for nth in (thread..in_use).step_by(THREADS as usize) {
                            // The last full buckets may move while a call looks for them.
                            let tries = (0..1_000)
                                .position(|_| limiter.key(&(round * in_use + nth)).at(SECOND + round * token).allow());
                            refused += tries.expect("there is room") as u64;
                        }
                    }
                    refused
                })
            };
            let running: Vec<_> = (0..THREADS).map(run).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        println!("{in_use} in use of {max_keys}: {refused} of {} refused, {} known", rounds * in_use, limiter.len());
        assert_eq!(refused, limiter.refusals());
        assert!(refused <= if in_use < max_keys / 2 { 0 } else { arrivals / 1_000 }, "{in_use} in use of {max_keys}");
    }
}

/// A charge is not lost if its bucket is forgotten meanwhile. Of a key and a newcomer at a table
/// for one key, exactly one is admitted.
#[test]
fn of_a_call_and_a_new_key_that_want_the_same_slot_one_gets_it() {
    let trials = operations("BRIMFUL_TRIALS", 100_000);
    let limiter = keyed(Quota::per_second(1).burst(1), 1).hasher(Places::Same).on_full(OnFull::Deny).build().unwrap();
    let arrived = AtomicU64::new(0);
    // The keys take turns: the one that got the slot is the full one the next time.
    let run = |parity: u64| {
        let (mut admitted, mut random) = (Vec::with_capacity(trials as usize), Random::new(parity));
        for trial in 0..trials {
            arrived.fetch_add(1, Ordering::AcqRel);
            let mut spins = 0;
            while arrived.load(Ordering::Acquire) < 2 * (trial + 1) {
                spins += 1;
                if spins % 128 == 0 { thread::yield_now() } else { spin_loop() }
            }
            // Without this, the last thread to arrive would always be the first to go on.
            (0..random.below(60)).for_each(|_| spin_loop());
            admitted.push(limiter.key(&parity).at((trial + 1) * 2 * SECOND).allow());
        }
        admitted
    };
    let (one, other) = thread::scope(|scope| {
        let other = scope.spawn(|| run(1));
        (run(0), other.join().unwrap())
    });
    let both = one.iter().zip(&other).filter(|&(&one, &other)| one && other).count();
    let none = one.iter().zip(&other).filter(|&(&one, &other)| !one && !other).count();
    println!("the one got {} of {trials}", one.iter().filter(|&&got| got).count());
    assert_eq!((both, none), (0, 0), "trials that admitted both, and none, of {trials}");
}

/// A key that came back just before it expired had its burst doubled.
#[test]
fn a_key_that_returns_gets_what_its_exact_bucket_has() {
    const STEPS: u64 = 200;
    let quotas = [
        Quota::per_minute(5),
        Quota::per_second(100).burst(20),
        Quota::per_minute(7),
        Quota::per_hour(5_000).burst(50),
    ];
    for quota in quotas {
        let burst = u64::from(quota.capacity().whole());
        for step in 0..=STEPS {
            for on_full in POLICIES {
                let limiter: Keyed = keyed(quota, 8).hasher(Places::Anywhere).on_full(on_full).build().unwrap();
                let counted = Counted::of_keys(&limiter);
                let (fill, grain) = (counted.earning(counted.capacity) as u64, counted.rate().1 as u64);
                let idle = fill * 2 * step / STEPS / grain * grain;
                let mut exact = counted.exact();
                assert!(limiter.key(&0).at(0).try_acquire_n(burst as u32).is_ok());
                exact.take(0, counted.capacity);
                // Other keys come and go meanwhile. Six of them are in use at a time.
                let (mut now, token) = (0, counted.earning(counted.per_token) as u64);
                for other in 1.. {
                    now += token.div_ceil(6).next_multiple_of(grain);
                    if now > idle {
                        break;
                    }
                    assert!(limiter.key(&other).at(now).allow(), "{other} at {now}");
                }
                let got = (0..=2 * burst).filter(|_| limiter.key(&0).at(idle).allow()).count() as u64;
                let has = (0..=2 * burst).filter(|_| exact.try_take(idle, counted.per_token)).count() as u64;
                assert_eq!(got, has, "{quota}, {on_full:?}, idle {idle}");
                assert_eq!((limiter.evictions(), limiter.refusals()), (0, 0));
            }
        }
    }
}

/// With as many keys as permitted, the next one is refused, and the refusal says when to retry.
#[test]
fn nobody_is_refused_below_the_most_keys() {
    let quota = Quota::per_second(100).burst(200);
    let token = SECOND / 100;
    for max_keys in (1..=40).chain([100, 1_000, 5_000, 20_000]) {
        for places in [Places::Anywhere, Places::Few(3), Places::Same] {
            // If keys collide, only some of them find a place.
            if places != Places::Anywhere && max_keys > 40 {
                continue;
            }
            let limiter = keyed(quota, max_keys).hasher(places).on_full(OnFull::Deny).build().unwrap();
            for key in 0..max_keys {
                assert!(limiter.key(&key).at(SECOND).try_acquire().is_ok(), "{key} of {max_keys}, {places:?}");
            }
            assert_eq!((limiter.len(), limiter.refusals()), (max_keys as usize, 0));
            let refused = limiter.key(&max_keys).at(SECOND).try_acquire().unwrap_err();
            assert!(matches!(refused, TryAcquireError::TableFull(_)), "{refused}");
            assert_eq!(refused.retry_after(), Some(Duration::from_nanos(token)), "{max_keys}, {places:?}");
            assert!(refused.to_string().contains("max_keys"), "{refused}");
            assert!(!limiter.key(&max_keys).at(SECOND).decide(1).allowed());
            // Known keys are served.
            assert!(limiter.key(&0).at(SECOND).allow() && limiter.refusals() == 2);
            let then = SECOND + 2 * token;
            for key in max_keys..2 * max_keys {
                assert!(limiter.key(&key).at(then).try_acquire().is_ok(), "{key} of {max_keys}, {places:?}");
            }
            assert_eq!((limiter.len(), limiter.refusals()), (max_keys as usize, 2));
        }
    }
}

/// Buckets in the overflow become full like others, and then make room.
#[test]
fn a_bucket_without_a_slot_makes_room_when_it_is_full() {
    let limiter =
        keyed(Quota::per_second(100).burst(200), 20).hasher(Places::Same).on_full(OnFull::Deny).build().unwrap();
    for key in 0..20 {
        // The first sixteen keys fill all slots of their groups.
        let cost = if key < 16 { 200 } else { 1 };
        assert!(limiter.key(&key).at(0).try_acquire_n(cost).is_ok());
    }
    assert!(limiter.key(&20).at(0).try_acquire().is_err());
    assert!((21..25).all(|key| limiter.key(&key).at(SECOND / 100).allow()), "{limiter:?}");
    assert!(limiter.key(&25).at(SECOND / 100).try_acquire().is_err());
}

/// A bucket that starts with less begins to fill at its first call, even if another key must be
/// evicted for it.
#[test]
fn a_bucket_that_starts_empty_fills_in_a_table_of_full_ones() {
    const KEYS: u64 = 40;
    let quota = Quota::per_second(100).burst(5).initial(0);
    for newcomer in KEYS..2 * KEYS {
        let limiter = keyed(quota, KEYS).hasher(Places::Anywhere).on_full(OnFull::Deny).build().unwrap();
        assert!((0..KEYS).all(|key| !limiter.key(&key).at(0).allow()));
        // All buckets are full by now. Then all but one are emptied, and that one is in another
        // group.
        assert!((1..KEYS).all(|key| limiter.key(&key).at(SECOND).try_acquire_n(5).is_ok()));
        assert!(!limiter.key(&newcomer).at(SECOND).allow());
        assert!(limiter.key(&newcomer).at(SECOND + SECOND / 100).allow(), "{newcomer}");
    }
}

#[test]
fn memory_is_what_was_promised() {
    for max_keys in [1, 10, 1_000, 50_000, 99_999, 100_000, 123_456, 1_000_000, 10_000_000] {
        let limiter = keyed(Quota::per_minute(5), max_keys).build().unwrap();
        assert!(limiter.memory_usage() <= limiter.memory_limit(), "{max_keys}");
        assert!(
            max_keys < 100_000 || limiter.memory_limit() <= (58 * max_keys) as usize,
            "{max_keys}: {}",
            limiter.memory_limit()
        );
        let by_bytes = KeyedRateLimiter::<u64>::builder().quota(Quota::per_minute(5)).max_bytes(limiter.memory_limit());
        let by_bytes = by_bytes.build().unwrap();
        assert!(by_bytes.max_keys() >= max_keys as usize && by_bytes.memory_limit() <= limiter.memory_limit());
    }
    for max_keys in [1, 17, 1_000, 100_000] {
        let limiter = keyed(Quota::per_minute(5), max_keys).on_full(OnFull::Deny).build().unwrap();
        for key in 0..max_keys + 50 {
            let _ = limiter.key(&key).at(0).try_acquire();
            assert!(limiter.memory_usage() <= limiter.memory_limit() && limiter.len() <= max_keys as usize);
        }
        assert_eq!(limiter.len(), max_keys as usize);
    }
}

/// Other limiters took 38 to 250 bytes for each key, forever. Measured in a separate process, so
/// that the memory of other tests does not count.
#[test]
#[cfg(target_os = "linux")]
fn resident_memory_is_at_most_40_bytes_a_key() {
    const KEYS: u64 = 1_000_000;
    // Names the kind of keys, for the child process that only holds them.
    const CHILD: &str = "BRIMFUL_RESIDENT_KEYS";
    let resident = || {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        4_096 * pages.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    match std::env::var(CHILD).as_deref() {
        Ok("numbers") => {
            let before = resident();
            let limiter = keyed(Quota::per_day(5), KEYS).build().unwrap();
            assert!((0..KEYS).all(|key| limiter.key(&key).at(0).allow()));
            println!("resident {} of {KEYS}", resident() - before);
        }
        Ok(_) => {
            let before = resident();
            let limiter =
                KeyedRateLimiter::<String>::builder().quota(Quota::per_day(5)).max_keys(KEYS as usize).build().unwrap();
            assert!((0..KEYS).all(|key| limiter.key(&format!("a user's name of some length: {key}")).at(0).allow()));
            println!("resident {} of {KEYS}", resident() - before);
        }
        Err(_) => {
            for kind in ["numbers", "strings"] {
                let test = "keyed_bounded::resident_memory_is_at_most_40_bytes_a_key";
                let child = std::process::Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", test, "--nocapture", "--test-threads=1"])
                    .env(CHILD, kind)
                    .output()
                    .unwrap();
                let output = String::from_utf8_lossy(&child.stdout);
                let line = output.lines().find_map(|line| line.split_once("resident "));
                let bytes = line.and_then(|(_, line)| line.split_whitespace().next()?.parse::<u64>().ok());
                let bytes = bytes.unwrap_or_else(|| panic!("{output}\n{}", String::from_utf8_lossy(&child.stderr)));
                println!("{kind}: {:.1} bytes a key", bytes as f64 / KEYS as f64);
                assert!((16 * KEYS..=40 * KEYS).contains(&bytes), "{bytes} bytes for {KEYS} {kind}");
            }
        }
    }
}

/// Full buckets are found in every group: a call looks at its own slots and at 32 more groups, and
/// the next call continues from there.
#[test]
fn the_last_full_buckets_make_room_too() {
    const KEYS: u64 = 20_000;
    let limiter = keyed(Quota::per_hour(1), KEYS).on_full(OnFull::Deny).build().unwrap();
    assert!((0..KEYS).all(|key| limiter.key(&key).at(SECOND).allow()));
    assert!((KEYS..KEYS + 5).all(|key| !limiter.key(&key).at(SECOND).allow()));
    let filled = [3, 4_711, 19_999];
    limiter.key(&filled[0]).at(SECOND).reset();
    assert!(filled[1..].iter().all(|key| limiter.key(key).at(SECOND).add_tokens(1) == Tokens::ONE));
    // 20 000 keys have 4096 groups of slots.
    let newcomers = 2 * KEYS..2 * KEYS + 4_096 / 32 + filled.len() as u64;
    let admitted = newcomers.filter(|key| limiter.key(key).at(SECOND).allow()).count();
    assert_eq!((admitted, limiter.len()), (filled.len(), KEYS as usize));
}

/// A full bucket in the overflow is moved at a far later reading. At an earlier reading it still
/// holds what it held: its word was given a tick that is long past.
#[test]
fn a_bucket_that_is_moved_late_is_not_filled_by_that() {
    let start = 1_000 * SECOND;
    for nth in 0..2_000 {
        let limiter = keyed(Quota::per_second(1).burst(10), 100).build().unwrap();
        for _ in 0..200 {
            assert!(limiter.key(&7).at(start).allow() && limiter.remove(&7));
        }
        assert!(limiter.key(&7).at(start).try_acquire_n(10).is_ok());
        let later = start + 30 * SECOND + nth * (SECOND + 1);
        assert_eq!(limiter.key(&7).at(later).add_tokens(1), Tokens::ZERO);
        assert!(
            limiter.key(&7).at(start + 1).try_acquire_n(1).is_err(),
            "{later}: {}",
            limiter.key(&7).at(start + 1).balance()
        );
    }
}
