//! The limiter of a model: of one bucket, or of many keys.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use brimful::{Clock, KeyedRateLimiter, Quota, RateLimiter, Reservation, Tokens, TryAcquireError};

use crate::clock::ModelClock;

/// The key of a call. A limiter of one bucket ignores it.
pub type Key = u64;

/// A limiter that can be modelled.
pub trait Subject: Send + Sync + Sized + 'static {
    /// The limiter's reservation.
    type Reservation<'a>: ReservationOps;

    /// The most readings of the clock in one call.
    const MAX_CLOCK_READS: usize;

    /// Makes all calls read the clock before they load the word; `None` if the limiter never does
    /// so.
    const READ_CLOCK_FIRST: Option<fn(&Self)> = None;

    /// The unit, and the length of a tick in nanoseconds.
    fn unit_and_tick(&self) -> (Tokens, u64);

    /// Takes `n` tokens, at a given time or by the clock.
    ///
    /// # Errors
    ///
    /// The error of the limiter.
    fn take(&self, key: Key, at: Option<u64>, n: u32) -> Result<(), TryAcquireError>;

    /// Reserves `n` tokens.
    ///
    /// # Errors
    ///
    /// The error of the limiter.
    fn reserve(&self, key: Key, n: u32) -> Result<Self::Reservation<'_>, TryAcquireError>;

    /// Adds `n` tokens, at a given time or by the clock. Returns the tokens that fitted.
    fn add(&self, key: Key, at: Option<u64>, n: u32) -> Tokens;

    /// Fills the bucket.
    fn reset(&self, key: Key);

    /// The tokens that the bucket holds as of the clock's origin, at which nothing has been earned
    /// and nothing is clipped.
    fn at_origin(&self, key: Key) -> f64;

    /// Whether a queue has waiters, or has not handed its word back.
    fn has_waiters(&self) -> bool;

    /// Whether every word is in its cell or slot, and not in a queue.
    fn has_every_word(&self) -> bool;

    /// Asserts invariants of the limiter after an execution. May change the limiter.
    fn check_invariants(&self) {}
}

/// A reservation that is not settled yet.
pub trait ReservationOps {
    /// The tokens that are reserved.
    fn tokens(&self) -> Tokens;

    /// Gives all tokens back.
    fn cancel(self);

    /// Settles for `actual`, and returns the tokens that were left uncharged.
    fn commit(self, actual: u32) -> Tokens;
}

impl<C: Clock> ReservationOps for Reservation<'_, C> {
    fn tokens(&self) -> Tokens {
        Reservation::tokens(self)
    }

    fn cancel(self) {
        Reservation::cancel(self);
    }

    fn commit(self, actual: u32) -> Tokens {
        Reservation::commit(self, actual)
    }
}

impl<C: Clock + Send + Sync + 'static> Subject for RateLimiter<C> {
    type Reservation<'a> = Reservation<'a, C>;

    const MAX_CLOCK_READS: usize = 2;

    const READ_CLOCK_FIRST: Option<fn(&Self)> = Some(RateLimiter::read_clock_first);

    fn unit_and_tick(&self) -> (Tokens, u64) {
        (self.quota().resolution(), tick(self.quota()))
    }

    fn take(&self, _: Key, at: Option<u64>, n: u32) -> Result<(), TryAcquireError> {
        match at {
            Some(now) => self.at(now).try_acquire_n(n),
            None => self.try_acquire_n(n),
        }
    }

    fn reserve(&self, _: Key, n: u32) -> Result<Reservation<'_, C>, TryAcquireError> {
        self.try_reserve_n(n)
    }

    fn add(&self, _: Key, at: Option<u64>, n: u32) -> Tokens {
        match at {
            Some(now) => self.at(now).add_tokens(n),
            None => self.add_tokens(n),
        }
    }

    fn reset(&self, _: Key) {
        RateLimiter::reset(self);
    }

    fn at_origin(&self, _: Key) -> f64 {
        self.at(0).balance()
    }

    fn has_waiters(&self) -> bool {
        self.waiters() > 0
    }

    fn has_every_word(&self) -> bool {
        !format!("{self:?}").contains("waiters")
    }
}

/// A clock that stands still.
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> u64 {
        0
    }
}

/// The length of a tick in nanoseconds. The debug text of a fresh limiter shows it, because the
/// limiter was last written in the first tick.
fn tick(quota: Quota) -> u64 {
    let shown = format!("{:?}", RateLimiter::with_clock(quota, Stopped));
    let first = |k: u32| format!("last_refill: 0ns..{:?}", Duration::from_nanos((1 << k) - 1));
    (1..59).find(|&k| shown.contains(&first(k))).map(|k| 1 << k).expect("the debug text of a limiter shows its tick")
}

/// The limiter of many keys.
pub type Table = KeyedRateLimiter<Key, ModelClock, IdentityState>;

impl Subject for Table {
    type Reservation<'a> = Reservation<'a, ModelClock>;

    // A call that finds its key removed begins anew.
    const MAX_CLOCK_READS: usize = usize::MAX;

    /// The layout is that of a limiter of one bucket with the same quota.
    fn unit_and_tick(&self) -> (Tokens, u64) {
        (self.quota().resolution(), tick(self.quota()))
    }

    fn take(&self, key: Key, at: Option<u64>, n: u32) -> Result<(), TryAcquireError> {
        match at {
            Some(now) => self.key(&key).at(now).try_acquire_n(n),
            None => self.try_acquire_n(&key, n),
        }
    }

    fn reserve(&self, key: Key, n: u32) -> Result<Self::Reservation<'_>, TryAcquireError> {
        self.key(&key).try_reserve_n(n)
    }

    fn add(&self, key: Key, at: Option<u64>, n: u32) -> Tokens {
        match at {
            Some(now) => self.key(&key).at(now).add_tokens(n),
            None => self.key(&key).add_tokens(n),
        }
    }

    fn reset(&self, key: Key) {
        KeyedRateLimiter::key(self, &key).reset();
    }

    fn at_origin(&self, key: Key) -> f64 {
        self.key(&key).at(0).balance()
    }

    fn has_waiters(&self) -> bool {
        self.waiting_keys() > 0
    }

    fn has_every_word(&self) -> bool {
        self.waiting_keys() == 0
    }

    /// The table counts its keys correctly: it has at most `max_keys`, and none after all buckets
    /// are full and were removed.
    fn check_invariants(&self) {
        const LATE: u64 = 1 << 50;
        assert!(self.len() <= self.max_keys(), "{} keys of {}", self.len(), self.max_keys());
        self.clock().set(LATE);
        self.retain_recent();
        assert_eq!(self.len(), 0, "keys that are counted, but are in no slot");
    }
}

/// A key with a given home line, and a given preferred line in its second group. Lines 2n and 2n +
/// 1 are group n. `name` distinguishes keys with the same lines.
///
/// In the models, a line has one slot, and the fingerprint of a key is the key. The bits of the
/// name are above all ticks and counts of the models' words, so no word of one key is a word of
/// another.
#[must_use]
pub const fn key(name: u8, home: u64, second: u64) -> Key {
    ((name as u64) << 52) | (home << 31) | (second << 3) | 1
}

/// Hashes a key to itself.
#[derive(Clone, Copy, Default)]
pub struct IdentityState;

impl BuildHasher for IdentityState {
    type Hasher = IdentityHasher;

    fn build_hasher(&self) -> IdentityHasher {
        IdentityHasher(0)
    }
}

/// The hasher of [`IdentityState`].
pub struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u64");
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
