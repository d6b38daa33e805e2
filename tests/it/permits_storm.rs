//! Many threads take permits, and misbehave: they panic, cancel waits at any moment, and drop permits elsewhere. The
//! count of permits is exact in the end.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use brimful::{ConcurrencyLimit, KeyedConcurrencyLimit, MockClock, OwnedAcquirePermit, OwnedPermit};

use crate::support::{Random, operations};
use crate::waiting::poll;

const THREADS: u64 = 4;

/// The highest limit.
const MOST: usize = 3;

type Wait = OwnedAcquirePermit<MockClock>;

/// Counts the permits that are owned.
struct Held<'a> {
    _permit: OwnedPermit<MockClock>,
    owned: &'a AtomicUsize,
}

impl<'a> Held<'a> {
    fn new(permit: OwnedPermit<MockClock>, owned: &'a AtomicUsize) -> Self {
        assert!(owned.fetch_add(1, Ordering::SeqCst) < MOST, "more permits are owned than ever permitted");
        Held { _permit: permit, owned }
    }
}

impl Drop for Held<'_> {
    // Before the permit is given back, which is dropped after this.
    fn drop(&mut self) {
        self.owned.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Panics with a permit, cancels a wait, and drops a permit, each at least `count` times. Waits are also dropped when
/// they may have been granted permits. Returns the number of grants.
fn misbehave(random: &mut Random, count: u64, owned: &AtomicUsize, begin: impl Fn() -> Wait) -> u64 {
    let (mut waits, mut left, mut granted) = (VecDeque::new(), [count; 3], 0);
    while left.iter().any(|&left| left > 0) {
        let kind = random.below(3) as usize;
        let done = match kind {
            1 => {
                granted += cancel(owned, &begin);
                true
            }
            _ => {
                waits.push_back(begin());
                let which = random.below(waits.len() as u64) as usize;
                let wait = &mut waits[which];
                poll(wait).is_some_and(|permit| {
                    let held = Held::new(permit.expect("nothing is refused"), owned);
                    granted += 1;
                    give_back(held, kind == 0);
                    // A wait that is over is pending for ever.
                    *wait = begin();
                    true
                })
            }
        };
        left[kind] = left[kind].saturating_sub(u64::from(done));
        while waits.len() > 4 {
            drop(waits.swap_remove_back(random.below(4) as usize));
        }
        if random.next().is_multiple_of(32) {
            thread::yield_now();
        }
    }
    granted
}

/// Drops a permit, or panics with it.
fn give_back(held: Held<'_>, by_panic: bool) {
    let work = AssertUnwindSafe(|| {
        let _held = held;
        if by_panic {
            resume_unwind(Box::new("the work fails"));
        }
    });
    assert_eq!(catch_unwind(work).is_err(), by_panic);
}

/// Takes permits until none is free, and cancels the wait for the next. Returns the number of grants.
fn cancel(owned: &AtomicUsize, begin: impl Fn() -> Wait) -> u64 {
    let mut held = Vec::new();
    loop {
        match poll(&mut begin()) {
            Some(permit) => held.push(Held::new(permit.expect("nothing is refused"), owned)),
            None => return held.len() as u64,
        }
    }
}

fn count() -> u64 {
    operations("BRIMFUL_STORM", 100_000) / THREADS
}

#[test]
fn the_count_is_exact_after_panics_cancellations_and_drops() {
    let limit = Arc::new(ConcurrencyLimit::with_clock(MOST, MockClock::new()));
    let (owned, granted, running) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(THREADS as usize));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (limit, owned, granted, running) = (&limit, &owned, &granted, &running);
            scope.spawn(move || {
                let got = misbehave(&mut Random::new(thread), count(), owned, || limit.acquire_owned());
                granted.fetch_add(got as usize, Ordering::SeqCst);
                running.fetch_sub(1, Ordering::SeqCst);
            });
        }
        // The limit changes all the time.
        let (limit, running) = (&limit, &running);
        scope.spawn(move || {
            let mut random = Random::new(99);
            while running.load(Ordering::SeqCst) > 0 {
                limit.resize(random.below(MOST as u64 + 1) as usize);
                assert!(limit.in_flight() <= MOST);
                thread::yield_now();
            }
            limit.resize(MOST);
        });
    });
    assert!(granted.into_inner() > 1_000);
    assert_eq!((limit.in_flight(), limit.waiters(), owned.into_inner()), (0, 0, 0));
    let permits: Vec<_> = (0..MOST).map(|_| limit.try_acquire()).collect();
    assert!(permits.iter().all(Result::is_ok) && limit.try_acquire().is_err());
}

#[test]
fn the_counts_of_keys_are_exact_and_no_key_stays() {
    const KEYS: u64 = 5;
    let limit = Arc::new(KeyedConcurrencyLimit::<u64, _>::with_clock(MOST, MockClock::new()));
    let owned: Vec<AtomicUsize> = (0..KEYS).map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (limit, owned) = (&limit, &owned);
            scope.spawn(move || {
                let mut random = Random::new(thread);
                for round in 0..KEYS * 4 {
                    let key = (thread + round) % KEYS;
                    let begin = || limit.acquire_owned(&key);
                    let granted = misbehave(&mut random, count() / (KEYS * 4), &owned[key as usize], begin);
                    assert!(granted > 0);
                }
            });
        }
    });
    assert!(limit.is_empty(), "{limit:?}");
    for key in 0..KEYS {
        let permits: Vec<_> = (0..MOST).map(|_| limit.try_acquire(&key)).collect();
        assert!(permits.iter().all(Result::is_ok) && limit.try_acquire(&key).is_err());
    }
}

/// Threads that block hand the permits on; each permit is dropped by another thread.
#[test]
fn blocked_threads_hand_permits_on() {
    let limit = Arc::new(ConcurrencyLimit::new(2));
    let (sender, permits) = mpsc::channel::<OwnedPermit>();
    let dropper = thread::spawn(move || permits.into_iter().count() as u64);
    let calls = count() / 4;
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (limit, sender) = (limit.clone(), sender.clone());
            thread::spawn(move || {
                for _ in 0..calls {
                    sender.send(limit.acquire_owned().wait().expect("a permit")).expect("the dropper lives");
                }
            })
        })
        .collect();
    drop(sender);
    threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
    assert_eq!(dropper.join().expect("no thread panics"), THREADS * calls);
    assert_eq!((limit.in_flight(), limit.waiters()), (0, 0));
}
