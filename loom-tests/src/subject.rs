//! What a model is about: the limiter of one bucket, or the one of many keys.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use brimful::{Clock, KeyedRateLimiter, Quota, RateLimiter, Reservation, Tokens, TryAcquireError};

use crate::clock::ModelClock;

/// Whose bucket. The limiter of one bucket does not ask.
pub type Key = u64;

/// A limiter that models can be made of.
pub trait Subject: Send + Sync + Sized + 'static {
    /// What it gives out for a reservation.
    type Reservation<'a>: Pledge;

    /// How often a call may read the clock.
    const LOOKS: usize;

    /// Has its calls read the clock before they load the word; `None` where they never do.
    const READ_CLOCK_FIRST: Option<fn(&Self)> = None;

    /// Its unit, and the nanoseconds to which a word knows when it was written.
    fn grain(&self) -> (Tokens, u64);

    /// Takes `n`, at a given time or on the clock.
    ///
    /// # Errors
    ///
    /// The limiter's own.
    fn take(&self, key: Key, at: Option<u64>, n: u32) -> Result<(), TryAcquireError>;

    /// Reserves `n`.
    ///
    /// # Errors
    ///
    /// The limiter's own.
    fn reserve(&self, key: Key, n: u32) -> Result<Self::Reservation<'_>, TryAcquireError>;

    /// Puts `n` in, at a given time or on the clock, and tells what there was room for.
    fn add(&self, key: Key, at: Option<u64>, n: u32) -> Tokens;

    /// Fills the bucket.
    fn reset(&self, key: Key);

    /// What the bucket holds as of the clock's origin, where nothing has been earned, and nothing
    /// is clipped.
    fn at_origin(&self, key: Key) -> f64;

    /// Whether anybody waits, or their word is not yet home.
    fn is_waited_on(&self) -> bool;

    /// Whether all words are home.
    fn is_home(&self) -> bool;

    /// Asserts what must hold of the limiter itself when all is over, and may change it.
    fn close(&self) {}
}

/// Tokens that are taken, to be settled.
pub trait Pledge {
    /// What was reserved.
    fn tokens(&self) -> Tokens;

    /// Gives all back.
    fn cancel(self);

    /// Settles for `actual`, and returns what was left uncharged.
    fn commit(self, actual: u32) -> Tokens;
}

impl<C: Clock> Pledge for Reservation<'_, C> {
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

    const LOOKS: usize = 2;

    const READ_CLOCK_FIRST: Option<fn(&Self)> = Some(RateLimiter::read_clock_first);

    fn grain(&self) -> (Tokens, u64) {
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

    fn is_waited_on(&self) -> bool {
        self.waiters() > 0
    }

    fn is_home(&self) -> bool {
        !format!("{self:?}").contains("waiters")
    }
}

/// A clock that nobody follows.
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> u64 {
        0
    }
}

/// The tick's length, which a fresh limiter shows: it was last written in the first one.
fn tick(quota: Quota) -> u64 {
    let shown = format!("{:?}", RateLimiter::with_clock(quota, Stopped));
    let first = |k: u32| format!("last_refill: 0ns..{:?}", Duration::from_nanos((1 << k) - 1));
    (1..59).find(|&k| shown.contains(&first(k))).map(|k| 1 << k).expect("a limiter shows its tick")
}

/// The limiter of many keys.
pub type Table = KeyedRateLimiter<Key, ModelClock, AsIs>;

impl Subject for Table {
    type Reservation<'a> = Reservation<'a, ModelClock>;

    // A call that finds its key gone starts anew.
    const LOOKS: usize = usize::MAX;

    /// The layout is that of a limiter of one bucket.
    fn grain(&self) -> (Tokens, u64) {
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

    fn is_waited_on(&self) -> bool {
        self.waiting_keys() > 0
    }

    fn is_home(&self) -> bool {
        self.waiting_keys() == 0
    }

    /// The keys are counted right: there are no more than there may be, and none when all are full
    /// and forgotten.
    fn close(&self) {
        const LATE: u64 = 1 << 50;
        assert!(self.len() <= self.max_keys(), "{} keys of {}", self.len(), self.max_keys());
        self.clock().set(LATE);
        self.retain_recent();
        assert_eq!(self.len(), 0, "keys that are counted, and nowhere");
    }
}

/// The key with these lines: the home line and, in the second group, the preferred one. Lines 2n
/// and 2n + 1 are group n. `name` tells the key from others there.
///
/// A table's fingerprints are not mixed in the models, and a line has one slot. The name stands
/// above all ticks and counts of the models' words, so that no word of one key is another's.
#[must_use]
pub const fn key(name: u8, home: u64, second: u64) -> Key {
    ((name as u64) << 52) | (home << 31) | (second << 3) | 1
}

/// A key's hash is the key.
#[derive(Clone, Copy, Default)]
pub struct AsIs;

impl BuildHasher for AsIs {
    type Hasher = Copied;

    fn build_hasher(&self) -> Copied {
        Copied(0)
    }
}

/// The hasher of [`AsIs`].
pub struct Copied(u64);

impl Hasher for Copied {
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
