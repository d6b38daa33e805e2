//! Many threads wait at once, and waits misbehave: they are cancelled, leaked, or panic.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use brimful::{Clock, KeyedRateLimiter, MockClock, QuantaClock, Quota, RateLimiter, Timer};
use brimful_oracle::window::{Bound, worst_window};

use crate::support::{Random, operations};
use crate::waiting::{Outcome, WakeCount, on_wake, poll, poll_by};

const THREADS: u64 = 4;

/// A token takes a millisecond, and a test earns less than the burst, so nothing is clipped.
fn unclipped() -> Quota {
    Quota::per_second(1_000).burst(1_000_000).initial(0)
}

/// Begins waits, polls and drops some of them at random, and moves the clock. Returns the tokens
/// that were granted and kept.
fn storm<F>(clock: &MockClock, random: &mut Random, waits: u64, begin: impl Fn(u32) -> F) -> u64
where
    F: Future<Output = Outcome> + Unpin,
{
    let (mut held, mut kept) = (VecDeque::new(), 0);
    for _ in 0..waits {
        let cost = 1 + (random.next() % 3) as u32;
        held.push_back((begin(cost), cost, random.next() % 6));
        if held.len() < 8 {
            continue;
        }
        let which = random.next() as usize % held.len();
        let (wait, cost, polls) = &mut held[which];
        match (poll(wait), *polls) {
            (Some(outcome), _) => {
                outcome.expect("nothing is refused");
                kept += u64::from(*cost);
                held.swap_remove_back(which);
            }
            (None, 0) => drop(held.swap_remove_back(which)),
            (None, _) => *polls -= 1,
        }
        if random.next().is_multiple_of(16) {
            // The clock stays below the time at which the bucket would be full.
            if clock.now() < 900_000_000_000 {
                clock.advance(Duration::from_micros(random.next() % 8_000));
            }
            thread::yield_now();
        }
    }
    kept
}

#[test]
fn a_storm_of_cancellations_loses_no_token() {
    let waits = operations("BRIMFUL_STORM", 1_000_000) / THREADS;
    let clock = MockClock::new();
    let limiter = RateLimiter::with_clock(unclipped(), clock.clone());
    let kept = AtomicU64::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (limiter, clock, kept) = (&limiter, &clock, &kept);
            scope.spawn(move || {
                let got = storm(clock, &mut Random::new(thread), waits, |cost| limiter.acquire_n(cost));
                kept.fetch_add(got, Ordering::Relaxed);
            });
        }
    });
    let (now, kept) = (clock.now(), kept.into_inner());
    assert!(kept > 1_000, "{kept} tokens were kept");
    let held = now as i64 - kept as i64 * 1_000_000;
    assert_eq!((limiter.balance() * 1e6).round() as i64, held, "{kept} kept in {now} ns");
    assert_eq!(limiter.waiters(), 0);
}

#[test]
fn a_storm_on_keys_loses_no_token() {
    const KEYS: u64 = 6;
    let waits = operations("BRIMFUL_STORM", 400_000) / THREADS;
    let clock = MockClock::new();
    let limiter = KeyedRateLimiter::<u64, _>::builder()
        .quota(unclipped())
        .clock(clock.clone())
        .max_keys(KEYS as usize)
        .build()
        .expect("a table");
    // The denied calls start the buckets.
    assert!((0..KEYS).all(|key| !limiter.allow(&key)));
    let kept: Vec<AtomicU64> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (limiter, clock, kept) = (&limiter, &clock, &kept);
            scope.spawn(move || {
                let mut random = Random::new(thread);
                for round in 0..waits / 50 {
                    let key = (thread + round) % KEYS;
                    let got = storm(clock, &mut random, 50, |cost| limiter.acquire_n(&key, cost));
                    kept[key as usize].fetch_add(got, Ordering::Relaxed);
                    if limiter.allow(&key) {
                        kept[key as usize].fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    for (key, kept) in (0..).zip(kept) {
        let held = clock.now() as i64 - kept.into_inner() as i64 * 1_000_000;
        assert_eq!((limiter.key(&key).balance() * 1e6).round() as i64, held, "key {key}");
    }
    assert_eq!((limiter.len(), limiter.waiting_keys()), (KEYS as usize, 0));
}

fn emptied() -> (Arc<RateLimiter<MockClock>>, MockClock) {
    let clock = MockClock::new();
    let limiter = Arc::new(RateLimiter::with_clock(Quota::per_second(10).burst(10), clock.clone()));
    assert!(limiter.try_acquire_n(10).is_ok());
    (limiter, clock)
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_being_served() {
    let (limiter, clock) = emptied();
    let (mut bad, mut good) = (limiter.acquire(), limiter.acquire());
    let count = Arc::new(WakeCount::default());
    assert!(poll_by(&mut bad, &on_wake(|| panic!("a waker panics"))).is_none());
    assert!(poll_by(&mut good, &count.clone().into()).is_none());
    clock.advance(Duration::from_millis(200));
    assert_eq!(count.woken(), 1);
    assert!(poll(&mut good).is_some_and(|outcome| outcome.is_ok()));
    assert!(poll(&mut bad).is_some_and(|outcome| outcome.is_ok()));
}

#[test]
fn a_waker_may_use_the_limiter() {
    let (limiter, clock) = emptied();
    let mine = Arc::new(Mutex::new(Some(limiter.acquire_n_owned(2))));
    let (seen, other) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Some(limiter.acquire_n_owned(10)))));
    let waker = {
        let (limiter, mine, other, seen) = (limiter.clone(), mine.clone(), other.clone(), seen.clone());
        on_wake(move || {
            let polled = poll(mine.lock().unwrap().as_mut().unwrap());
            assert!(polled.is_some_and(|outcome| outcome.is_ok()));
            // Cancels the first waiter, calls the limiter, and gives tokens back.
            drop(other.lock().unwrap().take());
            assert!(!limiter.allow());
            limiter.add_tokens(1);
            assert!(limiter.allow());
            seen.fetch_add(1, Ordering::SeqCst);
        })
    };
    assert!(poll_by(mine.lock().unwrap().as_mut().unwrap(), &waker).is_none());
    assert!(poll(other.lock().unwrap().as_mut().unwrap()).is_none());
    clock.advance(Duration::from_millis(200));
    assert_eq!(seen.load(Ordering::SeqCst), 1, "the waker ran to its end");
}

#[test]
fn a_panic_while_waiting_loses_nothing() {
    let (limiter, clock) = emptied();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut wait = limiter.acquire_n(5);
        assert!(poll(&mut wait).is_none());
        clock.advance(Duration::from_millis(500));
        panic!("after the grant, before the poll");
    }));
    assert!(panicked.is_err());
    assert_eq!(limiter.available_tokens(), 5.0);
    let thread = {
        let limiter = limiter.clone();
        thread::spawn(move || {
            let _wait = limiter.acquire_n_blocking(10).unwrap();
            panic!("the granted tokens stay taken");
        })
    };
    while limiter.waiters() == 0 {
        thread::yield_now();
    }
    clock.advance(Duration::from_secs(1));
    assert!(thread.join().is_err());
    assert_eq!(limiter.available_tokens(), 5.0);
}

/// A clock that stands still, and panics while `panics` is set.
#[derive(Clone, Default)]
struct FaultyClock {
    clock: MockClock,
    panics: Arc<AtomicBool>,
}

impl Clock for FaultyClock {
    fn now(&self) -> u64 {
        assert!(!self.panics.load(Ordering::SeqCst), "a clock panics");
        self.clock.now()
    }

    fn timer(&self) -> Option<Box<dyn Timer>> {
        self.clock.timer()
    }
}

#[test]
fn a_clock_that_panics_once_wedges_nobody() {
    let faulty = FaultyClock::default();
    let limiter = RateLimiter::with_clock(Quota::per_second(10).burst(1), faulty.clone());
    assert!(limiter.allow());
    let mut wait = limiter.acquire();
    assert!(poll(&mut wait).is_none());
    faulty.panics.store(true, Ordering::SeqCst);
    // The clock panics when the timer fires.
    faulty.clock.advance(Duration::from_millis(100));
    faulty.panics.store(false, Ordering::SeqCst);
    assert!(poll(&mut wait).is_none());
    let mut next = limiter.acquire();
    assert!(poll(&mut next).is_none(), "the next wait serves the first, which is due");
    assert!(poll(&mut wait).is_some_and(|outcome| outcome.is_ok()));
    faulty.clock.advance(Duration::from_millis(100));
    assert!(poll(&mut next).is_some_and(|outcome| outcome.is_ok()), "the timer was armed again");
}

/// A timer that wakes early and from within `arm`, for the first `wakes` armings.
struct EarlyTimer {
    inner: Box<dyn Timer>,
    wakes: u32,
}

impl Timer for EarlyTimer {
    fn arm(&mut self, now_ns: u64, at_ns: u64, waker: &Waker) {
        if self.wakes > 0 {
            self.wakes -= 1;
            waker.wake_by_ref();
            waker.wake_by_ref();
        } else {
            self.inner.arm(now_ns, at_ns, waker);
        }
    }
}

#[test]
fn a_timer_may_wake_early_and_at_once() {
    let clock = MockClock::new();
    let timers = clock.clone();
    let limiter = RateLimiter::builder()
        .quota(Quota::per_second(10).burst(1))
        .clock(clock.clone())
        .timer(move || EarlyTimer { inner: timers.timer().expect("the mock clock has timers"), wakes: 1_000 })
        .build()
        .unwrap();
    assert!(limiter.allow());
    let mut wait = limiter.acquire();
    assert!(poll(&mut wait).is_none());
    clock.advance(Duration::from_secs(1));
    assert!(poll(&mut wait).is_some_and(|outcome| outcome.is_ok_and(|granted| granted.granted_at() >= 100_000_000)));
}

#[test]
fn nobody_is_early_in_real_time() {
    let waits = operations("BRIMFUL_WAITS", 20_000) / THREADS;
    static LIMITER: RateLimiter = RateLimiter::new(Quota::per_second(100_000).burst(100));
    let mut grants: Vec<(u64, u32)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let mut random = Random::new(thread);
                    let mut grant = || {
                        let n = 1 + (random.next() % 3) as u32;
                        (LIMITER.acquire_n_blocking(n).unwrap().granted_at(), n)
                    };
                    (0..waits).map(|_| grant()).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let worst = worst_window(Bound::new(100, 100_000, 1_000_000_000), &mut grants).unwrap();
    assert!(!worst.margin.is_violation(), "{worst:?}");
}

/// A clock in real time. It is not `Clone`, so the test shares it in an `Arc`.
struct OsClock(Instant);

impl Clock for OsClock {
    fn now(&self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

#[test]
fn a_users_clock_is_shared() {
    let limiter = RateLimiter::with_clock(Quota::per_second(1_000).burst(1), Arc::new(OsClock(Instant::now())));
    assert!((0..3).all(|_| limiter.acquire_blocking().is_ok()));
}

#[test]
fn futures_are_sent_and_kept() {
    fn sent<T: Send + Sync + 'static>(value: T) -> T {
        value
    }
    let limiter = Arc::new(RateLimiter::new(Quota::per_second(1_000).burst(2)));
    assert!(sent(limiter.acquire_n_owned(1)).wait().is_ok());
    let keyed = Arc::new(KeyedRateLimiter::<String>::new(Quota::per_second(1_000).burst(2)));
    assert!(sent(keyed.acquire_n_owned("a", 1)).wait().is_ok());
    sent(QuantaClock);
    let wait = sent(keyed.acquire_n_owned("a", 2));
    drop((limiter, keyed));
    assert!(wait.wait().is_ok());
}
