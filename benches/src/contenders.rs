//! The contenders: the floors, brimful, and its peers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use brimful::{Clock, QuantaClock};
use crossbeam_utils::CachePadded;
use governor::clock::{Clock as GovernorClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};

/// A clock that reads the time-stamp counter as the default clock does, and then returns a time of
/// its own. That time goes on by a fixed step with every reading. So a limiter stays in the state
/// that a bench is about, and a decision still waits for the counter.
///
/// For one thread only: the readings of several threads would overwrite each other.
#[derive(Debug)]
pub struct Stepped {
    now: AtomicU64,
    step: u64,
}

impl Stepped {
    /// Returns a clock that goes on by `step` nanoseconds with every reading.
    #[must_use]
    pub fn new(step: u64) -> Self {
        Stepped { now: AtomicU64::new(1_000_000_000), step }
    }

    #[inline]
    fn read(&self) -> u64 {
        let now = self.now.load(Ordering::Relaxed);
        self.now.store(now + self.step, Ordering::Relaxed);
        // The counter's value is always below 2⁶³, which the processor does not know.
        now + (QuantaClock.now() >> 63)
    }
}

impl Clock for Stepped {
    #[inline]
    fn now(&self) -> u64 {
        self.read()
    }
}

/// [`Stepped`] for governor, which needs a clock that clones.
#[derive(Debug)]
pub struct GovernorStepped(pub Stepped);

impl Clone for GovernorStepped {
    fn clone(&self) -> Self {
        GovernorStepped(Stepped { now: AtomicU64::new(self.0.now.load(Ordering::Relaxed)), step: self.0.step })
    }
}

/// An instant for governor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(u64);

impl std::ops::Add<Nanos> for At {
    type Output = At;

    #[inline]
    fn add(self, other: Nanos) -> At {
        At(self.0 + other.as_u64())
    }
}

impl Reference for At {
    #[inline]
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    #[inline]
    fn saturating_sub(&self, duration: Nanos) -> Self {
        At(self.0.saturating_sub(duration.as_u64()))
    }
}

impl GovernorClock for GovernorStepped {
    type Instant = At;

    #[inline]
    fn now(&self) -> At {
        At(self.0.read())
    }
}

/// governor's limiter for one bucket, on any clock.
pub type Governor<C> = governor::RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as GovernorClock>::Instant>>;

/// The machine's floor: the work that no limiter with one shared word and a clock can avoid.
#[derive(Debug, Default)]
pub struct Floor(CachePadded<AtomicU64>);

impl Floor {
    /// Reads the clock.
    #[inline]
    pub fn clock(&self, clock: &impl Clock) -> u64 {
        clock.now()
    }

    /// Loads the word and reads the clock: the least that a denial can cost.
    #[inline]
    pub fn look(&self, clock: &impl Clock) -> bool {
        let word = self.0.load(Ordering::Relaxed);
        word == clock.now()
    }

    /// Loads the word, reads the clock, and swaps the word until a swap succeeds.
    #[inline]
    pub fn swap(&self, clock: &impl Clock) -> u64 {
        self.swap_for(clock, u64::wrapping_add)
    }

    /// Like [`swap`](Floor::swap), for a word that holds a time and a count. Takes one token, even
    /// if none is there. Both fields are as wide as in a limiter whose tick is 2^k ns.
    #[inline]
    pub fn swap_packed(&self, clock: &impl Clock, k: u32) -> u64 {
        let mask = (1 << (k + 3)) - 1;
        self.swap_for(clock, |word, now| (now << 3 & !mask) | (word.wrapping_sub(1) & mask))
    }

    #[inline(always)]
    fn swap_for(&self, clock: &impl Clock, next: impl Fn(u64, u64) -> u64) -> u64 {
        let mut word = self.0.load(Ordering::Relaxed);
        let now = clock.now();
        loop {
            let next = next(word, now);
            match self.0.compare_exchange(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return next,
                Err(current) => word = current,
            }
        }
    }

    /// Loads and swaps the word, without a clock.
    #[inline]
    pub fn swap_timeless(&self) -> u64 {
        let word = self.0.load(Ordering::Relaxed);
        let _ = self.0.compare_exchange(word, word.wrapping_add(1), Ordering::AcqRel, Ordering::Relaxed);
        word
    }
}

/// A limiter that is written by hand, without a library: a bucket of floats behind a mutex.
#[derive(Debug)]
pub struct MutexBucket {
    state: Mutex<(f64, Instant)>,
    rate: f64,
    burst: f64,
}

impl MutexBucket {
    /// Returns a full bucket.
    #[must_use]
    pub fn new(rate: f64, burst: f64) -> Self {
        MutexBucket { state: Mutex::new((burst, Instant::now())), rate, burst }
    }

    /// Takes `n` tokens if they are there.
    pub fn try_acquire(&self, n: f64) -> bool {
        self.try_acquire_at(n, Instant::now)
    }

    /// Takes `n` tokens if they are there, at a time of the caller's that is read under the lock.
    #[inline]
    pub fn try_acquire_at(&self, n: f64, now: impl FnOnce() -> Instant) -> bool {
        let Ok(mut state) = self.state.lock() else { return false };
        let now = now();
        let (tokens, last) = *state;
        let held = (tokens + now.duration_since(last).as_secs_f64() * self.rate).min(self.burst);
        let there = held >= n;
        *state = (if there { held - n } else { held }, now);
        there
    }
}
