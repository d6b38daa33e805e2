//! The order of load and clock: a denial never rests on a word that was loaded after the clock was
//! read, even if calls read the clock first after a failed swap.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use brimful::{Clock, Quota, RateLimiter};

const SECOND: u64 = 1_000_000_000;

/// A reading at which the hint switches to clock-first after a failed swap.
const START: u64 = 1 << 40;

/// Counts its readings, and makes another call during one of them.
#[derive(Clone, Default)]
struct InterleavingClock(Arc<Interleaving>);

#[derive(Default)]
struct Interleaving {
    limiter: OnceLock<Weak<RateLimiter<InterleavingClock>>>,
    seconds: AtomicU64,
    readings: AtomicU64,
    /// The seconds after a reading at which the other call is made, and its cost.
    next: Mutex<Option<(u64, u32)>>,
}

impl Clock for InterleavingClock {
    fn now(&self) -> u64 {
        self.0.readings.fetch_add(1, Ordering::SeqCst);
        let seconds = self.0.seconds.load(Ordering::SeqCst);
        let next = self.0.next.lock().unwrap().take();
        if let Some((later, n)) = next {
            self.0.seconds.store(seconds + later, Ordering::SeqCst);
            let limiter = self.0.limiter.get().and_then(Weak::upgrade).expect("the limiter still exists");
            limiter.at(START + (seconds + later) * SECOND).try_acquire_n(n).expect("the tokens are there");
        }
        START + seconds * SECOND
    }
}

impl InterleavingClock {
    fn call_during_reading(&self, later: u64, n: u32) {
        *self.0.next.lock().unwrap() = Some((later, n));
    }
}

/// A limiter of a token per second, whose last call failed a swap.
fn contended(burst: u32) -> (Arc<RateLimiter<InterleavingClock>>, InterleavingClock) {
    let clock = InterleavingClock::default();
    let limiter = Arc::new(RateLimiter::with_clock(Quota::per_second(1).burst(burst), clock.clone()));
    clock.0.limiter.set(Arc::downgrade(&limiter)).expect("once");
    clock.call_during_reading(0, 1);
    assert!(limiter.allow());
    (limiter, clock)
}

#[test]
fn a_denial_reads_the_clock_again_where_it_came_first_and_then_it_does_not() {
    let (limiter, clock) = contended(3);
    assert!(limiter.allow());
    let readings = || clock.0.readings.swap(0, Ordering::SeqCst);
    assert_eq!(readings(), 2);
    assert!(!limiter.allow());
    assert_eq!(readings(), 2);
    assert!(!limiter.allow());
    assert_eq!(readings(), 1);
}

/// As of the first reading the bucket is empty, but it was not empty at any time.
#[test]
fn a_token_that_was_there_all_the_time_is_not_denied() {
    let (limiter, clock) = contended(3);
    clock.call_during_reading(2, 2);
    assert!(limiter.allow());
}
