//! A bucket is forgotten only after it was full for `forget_after`. So keys that call again within
//! that time keep their buckets through any flood, and memory follows the number of keys in that
//! time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use brimful::{KeyedRateLimiter, MockClock, OnFull, Quota, QuotaChange, Tokens, TryAcquireError};

use crate::keyed_support::{Keyed, Places, keyed};
use crate::support::{LAST, Random, SECOND, operations};
use crate::waiting_panics::PanickingClock;

/// A bucket is full again 10 ms after one call.
const TOKEN: u64 = SECOND / 100;

/// The default of `forget_after`.
const DEFAULT: Duration = Duration::from_secs(10);

/// Sixteen keys in all slots of two groups have called at `SECOND`. Returns the number of known
/// keys after a new one called at `now`.
fn known_after_a_new_key(forget_after: Option<Duration>, now: u64) -> u64 {
    let builder = keyed(Quota::per_second(100).burst(10), 60).hasher(Places::Same);
    let builder = match forget_after {
        Some(idle) => builder.forget_after(idle),
        None => builder,
    };
    let limiter = builder.build().unwrap();
    assert!((0..16).all(|key| limiter.key(&key).at(SECOND).allow()));
    assert!(limiter.key(&16).at(now).allow());
    assert!((0..17).all(|key| limiter.key(&key).at(now).balance() >= 9.0), "all buckets are full, known or not");
    limiter.len() as u64
}

/// A new key takes the slot of a bucket that has been full for `forget_after`, and not a nanosecond
/// earlier.
#[test]
fn a_slot_is_reused_when_its_bucket_was_full_for_so_long() {
    let times = [0, 1, 1_000_000, SECOND, 10 * SECOND, 3_600 * SECOND];
    let cases = times.map(|nanos| (Some(Duration::from_nanos(nanos)), nanos));
    for (forget_after, nanos) in cases.into_iter().chain([(None, DEFAULT.as_nanos() as u64)]) {
        let full = SECOND + TOKEN;
        assert_eq!(known_after_a_new_key(forget_after, full + nanos - 1), 17, "{forget_after:?}");
        assert_eq!(known_after_a_new_key(forget_after, full + nanos), 16, "{forget_after:?}");
    }
    for idle in [Duration::MAX, Duration::from_nanos(u64::MAX), Duration::from_nanos(LAST)] {
        for now in [SECOND + TOKEN, 100_000 * SECOND, LAST] {
            assert_eq!(known_after_a_new_key(Some(idle), now), 17, "{idle:?}");
        }
    }
}

/// The groups that a new key searches at the limit beside its own: see `OnFull`.
const SEARCHED: usize = 32;

/// At its limit a table forgets a full bucket at once, whatever `forget_after` is. A call that
/// makes the table full keeps all the others.
///
/// The table has no more groups than one call searches. In a larger one, the last full buckets may be in the
/// groups that the call does not come to.
#[test]
fn a_full_bucket_makes_room_at_the_limit_at_once() {
    // Four keys for five slots, and eight slots in a group: 25 groups, and so 32.
    const KEYS: u64 = 160;
    for idle in [Duration::ZERO, DEFAULT, Duration::MAX] {
        let quota = Quota::per_second(100).burst(10);
        let limiter = keyed(quota, KEYS).forget_after(idle).on_full(OnFull::Deny).build().unwrap();
        assert!((0..KEYS).all(|key| limiter.key(&key).at(SECOND).allow()));
        let known = limiter.key(&KEYS).at(SECOND + TOKEN - 1).allow();
        assert_eq!((limiter.len() as u64, known), (KEYS, false), "{idle:?}");
        assert!((KEYS + 1..=2 * KEYS).all(|key| limiter.key(&key).at(SECOND + TOKEN).allow()), "{idle:?}");
        assert!(limiter.len() as u64 <= KEYS && limiter.evictions() == 0);
    }
}

/// A search goes on from the end of the last one. So as many calls as it takes to search all groups find the
/// last full bucket, wherever it is.
#[test]
fn the_last_full_bucket_is_found_by_the_next_calls() {
    const KEYS: u64 = 500;
    const GROUPS: usize = 128;
    let quota = Quota::per_second(100).burst(10);
    for full in (0..KEYS).step_by(7) {
        let limiter = keyed(quota, KEYS).on_full(OnFull::Deny).build().unwrap();
        for key in 0..KEYS {
            assert!(limiter.key(&key).at(SECOND).try_acquire_n(if key == full { 1 } else { 2 }).is_ok());
        }
        let calls = 1 + (0..).take_while(|_| !limiter.key(&KEYS).at(SECOND + TOKEN).allow()).count();
        assert!(calls <= GROUPS / SEARCHED, "{calls} calls");
        assert_eq!((limiter.len() as u64, limiter.refusals()), (KEYS, calls as u64 - 1));
    }
}

/// Healthy clients, which are full again at every call, and keys that call once.
///
/// A client that is forgotten starts with one token, and is then denied the five that it asks for.
struct Flood {
    limiter: KeyedRateLimiter<u64, MockClock>,
    healthy: u64,
    next: u64,
}

impl Flood {
    fn new(healthy: u64, max_keys: u64, forget_after: Option<Duration>) -> Self {
        let builder = keyed(Quota::per_second(100).burst(10).initial(1), max_keys);
        let builder = match forget_after {
            Some(idle) => builder.forget_after(idle),
            None => builder,
        };
        let flood = Flood { limiter: builder.build().unwrap(), healthy, next: healthy };
        for key in 0..healthy {
            assert!(flood.limiter.key(&key).at(0).try_acquire_n(5).is_err());
        }
        flood
    }

    /// One second, in which each client calls once and `new` keys call. Returns the number of
    /// clients that were forgotten.
    fn second(&mut self, second: u64, new: u64) -> u64 {
        let mut forgotten = 0;
        let calls = self.healthy + new;
        let (mut client, start) = (0, second * SECOND);
        for nth in 0..calls {
            let now = start + nth * (SECOND / calls);
            // The calls of the clients are spread among those of the new keys.
            if (nth + 1) * self.healthy / calls > client {
                forgotten += u64::from(self.limiter.key(&client).at(now).try_acquire_n(5).is_err());
                client += 1;
            } else {
                assert!(self.limiter.key(&self.next).at(now).allow());
                self.next += 1;
            }
        }
        assert_eq!(client, self.healthy);
        assert!(self.limiter.memory_usage() <= self.limiter.memory_limit());
        forgotten
    }
}

/// The number of slots of a table that uses `bytes`, now or after it has doubled. The slots are a
/// power of two, at 16 bytes each. The rest is for its stripes, and for the few keys of the
/// overflow.
fn slots_in(bytes: usize) -> usize {
    const STRIPES_AND_A_FEW_KEYS: usize = 16 << 10;
    ((bytes - STRIPES_AND_A_FEW_KEYS) / 16).next_power_of_two()
}

#[test]
fn no_client_that_calls_within_the_time_is_forgotten_in_a_flood() {
    const CLIENTS: u64 = 10_000;
    const NEW: u64 = 8_000;
    let seconds = operations("BRIMFUL_FLOOD_SECONDS", 40);
    // By default, ten seconds of new keys are 80 000, and with the clients they fit into 2^17
    // slots. A table that finds few idle buckets when it becomes full doubles once more, which
    // depends on the hashes.
    for (forget_after, idle, slots) in [(None, 10, 1 << 18), (Some(Duration::from_secs(2)), 2, 1 << 16)] {
        let mut flood = Flood::new(CLIENTS, 1_000_000, forget_after);
        for second in 1..=seconds {
            assert_eq!(flood.second(second, NEW), 0, "{forget_after:?}, second {second}");
        }
        let limiter = &flood.limiter;
        let (usage, len) = (limiter.memory_usage(), limiter.len());
        println!("{forget_after:?}: {} keys came, {len} are known in {usage} bytes", flood.next);
        assert!(slots_in(usage) <= slots, "{forget_after:?}: {usage} bytes");
        assert!(len >= (CLIENTS + (idle - 1) * NEW) as usize, "{len} are known");
        // The flood is over, and its keys have been idle for long enough. The next keys take their
        // slots.
        let pause = seconds + 2 * idle;
        let mut idle_clients = 0;
        for second in seconds + 1..=pause {
            idle_clients += flood.second(second, 1);
        }
        assert_eq!(idle_clients, 0);
        for second in pause + 1..=pause + idle {
            assert_eq!(flood.second(second, NEW), 0, "{forget_after:?}, second {second}");
        }
        let usage = flood.limiter.memory_usage();
        assert!(slots_in(usage) <= slots, "{forget_after:?}: {usage} bytes after the second flood");
    }
}

/// With a zero time, a client's bucket is forgotten as soon as it is full and its slot is needed.
/// With an endless time, it is never forgotten. Both stay within the memory limit.
#[test]
fn the_time_may_be_zero_or_without_end() {
    const CLIENTS: u64 = 1_000;
    const NEW: u64 = 4_000;
    let mut never = Flood::new(CLIENTS, 40_000, Some(Duration::ZERO));
    let mut always = Flood::new(CLIENTS, 40_000, Some(Duration::MAX));
    let (mut forgotten, mut kept) = (0, 0);
    for second in 1..=8 {
        forgotten += never.second(second, NEW);
        kept += always.second(second, NEW);
    }
    let (never, always) = (never.limiter, always.limiter);
    println!(
        "zero: {forgotten} forgotten, {} bytes; without end: {} bytes",
        never.memory_usage(),
        always.memory_usage()
    );
    assert!(forgotten > CLIENTS && kept == 0, "{forgotten}, {kept}");
    assert_eq!(always.len() as u64, CLIENTS + 8 * NEW);
    assert!(never.memory_usage() < always.memory_usage() / 15, "{never:?}, {always:?}");
    assert_eq!([never.evictions(), never.refusals(), always.evictions(), always.refusals()], [0; 4]);
}

/// Keys that have used up their quota keep their debt, whatever `forget_after` is, wherever they
/// are kept, and whatever else happens to the table.
#[test]
fn an_exhausted_key_is_never_forgotten() {
    const EXHAUSTED: u64 = 40;
    let flood = operations("BRIMFUL_FLOOD_KEYS", 1_000_000) / 4;
    for (places, max_keys) in [(Places::Anywhere, 2_000), (Places::Same, 60)] {
        for on_full in [OnFull::EvictLeastDebt, OnFull::Deny] {
            let builder = keyed(Quota::per_hour(60).burst(10), max_keys).hasher(places).on_full(on_full);
            let limiter: Keyed = builder.forget_after(Duration::ZERO).build().unwrap();
            assert!((0..EXHAUSTED).all(|key| limiter.key(&key).at(0).try_acquire_n(10).is_ok()));
            let (mut random, mut full) = (Random::new(5), 0);
            // There are hashes for 4096 keys with the same groups.
            let keys = if places == Places::Same { 4_096 } else { u64::MAX };
            for nth in 0..flood {
                let now = nth * 59 * SECOND / flood;
                let key = EXHAUSTED + nth % (keys - EXHAUSTED);
                match random.below(64) {
                    0 => assert!(limiter.key(&key).at(now).balance() <= 10.0),
                    1 => assert!(limiter.key(&key).at(now).add_tokens(10) <= Tokens::new(10)),
                    2 => drop(limiter.key(&key).at(now).try_reserve_n(3)),
                    3 => assert!(!limiter.remove(&key) || limiter.len() < max_keys as usize),
                    4 if nth % 64 == 0 => assert!(limiter.retain_recent() <= max_keys as usize),
                    _ => {
                        let answer = limiter.key(&key).at(now).try_acquire();
                        full += u64::from(matches!(answer, Err(TryAcquireError::TableFull(_))));
                    }
                }
                let known = nth % EXHAUSTED;
                assert!(!limiter.key(&known).at(now).allow(), "{places:?}, {on_full:?}, after {nth}");
            }
            assert!(
                (0..EXHAUSTED).all(|key| limiter.key(&key).at(60 * SECOND).balance() == 1.0),
                "{places:?}, {on_full:?}"
            );
            println!("{places:?}, {on_full:?}: {} evicted, {full} refused", limiter.evictions());
        }
    }
}

/// A change of the quota that fails, or whose clock panics, leaves the old quota, by which keys are forgotten as before.
#[test]
fn a_change_that_fails_does_not_keep_full_buckets() {
    type Late = KeyedRateLimiter<u64, PanickingClock>;
    let late = |limiter: &Late| {
        let changed = limiter.set_quota(QuotaChange::reset(Quota::per_second(1)));
        assert!(changed.is_err(), "no era begins after half of the limiter's time");
    };
    let panics = |limiter: &Late, change: &dyn Fn()| {
        limiter.clock().left.store(1, Ordering::SeqCst);
        assert!(catch_unwind(AssertUnwindSafe(change)).is_err());
    };
    let changes: [&dyn Fn(&Late); 3] =
        [&late, &|limiter| panics(limiter, &|| limiter.pause_for(Duration::from_secs(1))), &|limiter| {
            panics(limiter, &|| limiter.set_quota(Quota::per_second(1)).unwrap());
        }];
    for on_full in [OnFull::Deny, OnFull::EvictLeastDebt] {
        for change in changes {
            let clock = PanickingClock::default();
            clock.clock.set(1 << 58);
            let limiter = keyed(Quota::per_second(1), 16).clock(clock.clone()).on_full(on_full).build().unwrap();
            change(&limiter);
            assert!((0..16).all(|key| limiter.allow(&key)));
            clock.clock.advance(Duration::from_secs(3600));
            assert!(limiter.allow(&16), "{on_full:?}");
            assert_eq!(limiter.retain_recent() + limiter.len(), 16, "{on_full:?}");
            assert_eq!((limiter.len(), limiter.evictions()), (1, 0), "the newcomer's bucket is not full");
        }
    }
}

/// A bucket that was full before the quota changed is forgotten after it. A new key starts full nevertheless.
#[test]
fn a_new_key_starts_full_after_a_change_and_forgetting() {
    for after in [Quota::per_second(1).burst(10), Quota::per_minute(1).burst(10), Quota::per_second(100).burst(3)] {
        for forget_after in [Duration::ZERO, DEFAULT, Duration::from_secs(60)] {
            let clock = MockClock::new();
            let builder = keyed(Quota::per_second(100).burst(10), 60).hasher(Places::Same).clock(clock.clone());
            let limiter = builder.forget_after(forget_after).build().unwrap();
            clock.set(100 * SECOND);
            assert!((0..16).all(|key| limiter.allow(&key)));
            clock.set(200 * SECOND);
            limiter.set_quota(after).unwrap();
            clock.set(202 * SECOND);
            assert!(limiter.allow(&16));
            assert_eq!(limiter.len(), 16, "one of them was forgotten for the new key");
            let burst = f64::from(after.capacity().whole());
            assert_eq!(limiter.key(&17).balance(), burst, "{after}, {forget_after:?}");
            assert!(limiter.try_acquire_n(&17, after.capacity()).is_ok());
        }
    }
}

/// A full bucket is forgotten for a new key at a reading that does not earn a whole number of units. The next new key
/// starts full at the same reading.
#[test]
fn a_new_key_starts_full_at_the_reading_of_forgetting() {
    for quota in [Quota::per_second(3).burst(1), Quota::per_minute(7).burst(2)] {
        for nanos in 0..20 {
            let (limiter, now) = (keyed(quota, 16).hasher(Places::Same).build().unwrap(), 100 * SECOND + nanos);
            let fills = |key: u64, at: u64| limiter.key(&key).at(at).try_acquire_n(quota.capacity()).is_ok();
            assert!((0..16).all(|key| fills(key, SECOND)));
            assert!(fills(16, now) && fills(17, now), "{quota}, {nanos}");
        }
    }
}
