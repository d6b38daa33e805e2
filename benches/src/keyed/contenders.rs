//! Who is measured: brimful, its peers, and what one writes by hand.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brimful::{Clock, KeyedRateLimiter, QuantaClock, SipState};
use crossbeam_utils::CachePadded;
use governor::clock::{DefaultClock, QuantaInstant};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;

use super::floor::{Array, Swap};
use super::keys::Key;

/// A limiter of keys.
pub(super) trait Keyed<K>: Send + Sync {
    /// Takes one token.
    fn hit(&self, key: &K) -> bool;

    /// Takes several.
    fn take(&self, key: &K, n: u32) -> bool;
}

/// A token's time. With so slow a quota, no bucket that a token was taken from is full again
/// while a bench lasts.
pub(super) const PERIOD: Duration = Duration::from_secs(400);

/// More than the most frequent key takes in all runs. The longest that governor's 64 bits of
/// nanoseconds have room for.
pub(super) const BURST: u32 = 20_000_000;

pub(super) type Brimful<K, S> = KeyedRateLimiter<K, QuantaClock, S>;

pub(super) fn brimful<K: Key, S: BuildHasher>(max_keys: u64, hasher: S) -> Brimful<K, S> {
    let quota = brimful::Quota::new(1, PERIOD).burst(BURST);
    brimful_of(quota, max_keys, hasher)
}

pub(super) fn brimful_of<K: Key, S: BuildHasher>(quota: brimful::Quota, max_keys: u64, hasher: S) -> Brimful<K, S> {
    // The first reading calibrates.
    let _ = QuantaClock.now();
    match KeyedRateLimiter::builder().quota(quota).max_keys(max_keys).hasher(hasher).build() {
        Ok(limiter) => limiter,
        Err(error) => panic!("{error}"),
    }
}

impl<K: Key, S: BuildHasher + Send + Sync> Keyed<K> for Brimful<K, S> {
    #[inline]
    fn hit(&self, key: &K) -> bool {
        self.allow(key)
    }

    fn take(&self, key: &K, n: u32) -> bool {
        self.try_acquire_n(key, n).is_ok()
    }
}

pub(super) type Governor<K, S> =
    governor::RateLimiter<K, DashMapStateStore<K, S>, DefaultClock, NoOpMiddleware<QuantaInstant>>;

pub(super) fn governor<K: Key, S: BuildHasher + Default + Clone>(hasher: S) -> Governor<K, S> {
    let count = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    let Some(quota) = governor::Quota::with_period(PERIOD) else { unreachable!("the period is not zero") };
    let quota = quota.allow_burst(count(BURST));
    governor::RateLimiter::dashmap_with_clock_and_hasher(quota, DefaultClock::default(), hasher)
}

impl<K: Key, S: BuildHasher + Clone + Send + Sync> Keyed<K> for Governor<K, S> {
    #[inline]
    fn hit(&self, key: &K) -> bool {
        self.check_key(key).is_ok()
    }

    fn take(&self, key: &K, n: u32) -> bool {
        NonZeroU32::new(n).is_none_or(|n| self.check_key_n(key, n).is_ok_and(|inner| inner.is_ok()))
    }
}

/// rate-net, which always hashes by ahash.
pub(super) struct RateNet(rate_net::RateLimiter);

impl RateNet {
    pub(super) fn new(max_keys: u64) -> Self {
        let eviction = rate_net::Eviction::capacity(max_keys as usize);
        RateNet(rate_net::RateLimiter::builder().quota(1, PERIOD).burst(BURST).eviction(eviction).build())
    }
}

impl<K: Key> Keyed<K> for RateNet {
    #[inline]
    fn hit(&self, key: &K) -> bool {
        key.take_from(&self.0, 1)
    }

    fn take(&self, key: &K, n: u32) -> bool {
        key.take_from(&self.0, n)
    }
}

/// What one writes without a library: buckets of floats in a map, in one or several mutexes.
pub(super) struct Hand<K, S> {
    maps: Box<[Buckets<K, S>]>,
    hasher: S,
}

/// The tokens, and as of when.
type Buckets<K, S> = CachePadded<Mutex<HashMap<K, (f64, Instant), S>>>;

impl<K: Key, S: BuildHasher + Clone> Hand<K, S> {
    /// In so many mutexes: a power of two.
    pub(super) fn new(shards: usize, hasher: S) -> Self {
        let map = |_| CachePadded::new(Mutex::new(HashMap::with_hasher(hasher.clone())));
        Hand { maps: (0..shards).map(map).collect(), hasher }
    }

    #[inline]
    fn admit(&self, key: &K, n: f64) -> bool {
        let shard = match self.maps.len() {
            1 => 0,
            shards => self.hasher.hash_one(key) as usize & (shards - 1),
        };
        let Ok(mut map) = self.maps[shard].lock() else { return false };
        let now = Instant::now();
        let burst = f64::from(BURST);
        let Some((tokens, last)) = map.get_mut(key) else {
            map.insert(key.clone(), (burst - n, now));
            return true;
        };
        let held = (*tokens + now.duration_since(*last).as_secs_f64() / PERIOD.as_secs_f64()).min(burst);
        let there = held >= n;
        (*tokens, *last) = (if there { held - n } else { held }, now);
        there
    }
}

impl<K: Key, S: BuildHasher + Clone + Send + Sync> Keyed<K> for Hand<K, S> {
    #[inline]
    fn hit(&self, key: &K) -> bool {
        self.admit(key, 1.0)
    }

    fn take(&self, key: &K, n: u32) -> bool {
        self.admit(key, f64::from(n))
    }
}

/// What is to be done with a limiter, whoever's it is.
pub(super) trait Job<K> {
    type Answer;

    fn run<L: Keyed<K>>(self, make: impl FnOnce() -> L) -> Self::Answer;
}

/// Those who can be asked for by name, in a process of their own.
pub(super) const NAMES: [&str; 7] = [
    "floor: plain array of the final size",
    "brimful",
    "governor",
    "Mutex<HashMap>",
    "brimful, ahash",
    "governor, ahash",
    "rate-net (ahash)",
];

/// From here on they hash by ahash, and before by their default.
pub(super) const FAST: usize = 4;

/// Does the job with whoever has that name; `None` where nobody has.
pub(super) fn with<K: Key, J: Job<K>>(name: &str, max_keys: u64, job: J) -> Option<J::Answer> {
    let fast = ahash::RandomState::new;
    Some(match NAMES.iter().position(|known| *known == name)? {
        0 => job.run(|| Swap(Arc::new(Array::new(max_keys, SipState::new())))),
        1 => job.run(|| brimful(max_keys, SipState::new())),
        2 => job.run(|| governor(RandomState::new())),
        3 => job.run(|| Hand::new(1, RandomState::new())),
        4 => job.run(|| brimful(max_keys, fast())),
        5 => job.run(|| governor(fast())),
        _ => job.run(|| RateNet::new(max_keys)),
    })
}
