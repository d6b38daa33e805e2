//! Shared helpers of the keyed modules: hashers that choose the groups of a key, and the exact
//! buckets that the keys are compared with.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;

use brimful::{KeyedRateLimiter, KeyedRateLimiterBuilder, MockClock, Quota};
use brimful_oracle::ExactBucket;

use crate::support::{Counted, LAST};

/// The groups of the keys, which are numbers below 4096.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Places {
    /// The groups that follow from the key itself.
    Anywhere,
    /// A few groups: this number of first and of second ones, at most five.
    Few(u64),
    /// The same two groups for all keys.
    Same,
}

impl Places {
    fn hash(self, key: u64) -> u64 {
        match self {
            Places::Anywhere => key,
            Places::Few(homes) => {
                // One of the groups is even, and the other is odd.
                let (home, second) = (key % homes, (key / homes) % homes);
                placed(home, second & !1 | !home & 1, key / homes)
            }
            Places::Same => placed(0, 1, key),
        }
    }
}

/// The fingerprint that a table makes of a hash.
///
/// ```text
///  59 ……… 32     31          30 … 4          3
/// home group    home line   second group    second line
/// ```
pub(crate) fn mixed(hash: u64) -> u64 {
    let product = u128::from(hash) * 0x9e37_79b9_7f4a_7c15;
    product as u64 ^ (product >> 64) as u64
}

/// The two groups of a hash, in a table of 2^`bits` groups: of the same stripe, and never the same
/// group, because they differ in the lowest bit above the stripe's.
pub(crate) fn groups_of(hash: u64, bits: u32, stripes: u64) -> (u64, u64) {
    let (mixed, mask) = (mixed(hash), (1 << bits) - 1);
    let (home, second, stripe) = ((mixed >> 32) & mask, (mixed >> 4) & mask, stripes - 1);
    (home, second & !stripe & !stripes | home & stripe | !home & stripes & mask)
}

const HOMES: u64 = 6;

/// The hash of the `nth` key with these groups, in every table of up to 128 groups.
fn placed(first: u64, second: u64, nth: u64) -> u64 {
    static HASHES: LazyLock<Vec<Vec<u64>>> = LazyLock::new(|| {
        let mut hashes = vec![Vec::new(); (HOMES * HOMES) as usize];
        let placed = (1u64..).map(|hash| (hash, groups_of(hash, 7, 1)));
        for (hash, (first, second)) in placed.filter(|&(_, (first, second))| first < HOMES && second < HOMES) {
            let class = &mut hashes[(first * HOMES + second) as usize];
            class.push(hash);
            if (first, second) == (0, 1) && class.len() == 4_096 {
                return hashes;
            }
        }
        unreachable!("there is a hash for every place")
    });
    HASHES[(first * HOMES + second) as usize][nth as usize]
}

impl BuildHasher for Places {
    type Hasher = PlacesHasher;

    fn build_hasher(&self) -> PlacesHasher {
        PlacesHasher { places: *self, key: 0 }
    }
}

pub(crate) struct PlacesHasher {
    places: Places,
    key: u64,
}

impl Hasher for PlacesHasher {
    fn finish(&self) -> u64 {
        self.places.hash(self.key)
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers");
    }

    fn write_u64(&mut self, key: u64) {
        self.key = key;
    }
}

pub(crate) type Keyed<S = Places> = KeyedRateLimiter<u64, MockClock, S>;

/// A limiter for numbers on a clock that stands at zero.
pub(crate) fn keyed(quota: Quota, max_keys: u64) -> KeyedRateLimiterBuilder<u64, MockClock> {
    KeyedRateLimiter::<u64>::builder().quota(quota).max_keys(max_keys as usize).clock(MockClock::new())
}

/// The bounds between which a key's bucket must be.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// The exact bucket.
    pub(crate) most: ExactBucket,
    /// The least that the bucket may hold. A key that was full may have been forgotten, and then
    /// starts full as of the latest reading, with at most the quota's initial tokens.
    pub(crate) least: ExactBucket,
}

/// The exact buckets of all keys.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) counted: Counted,
    /// In units, if a bucket does not start full.
    initial: Option<u128>,
    /// The latest reading of any call.
    pub(crate) latest: u64,
    keys: HashMap<u64, Bounds>,
}

impl Model {
    pub(crate) fn new<S>(limiter: &Keyed<S>) -> Self {
        let (quota, counted) = (limiter.quota(), Counted::of_keys(limiter));
        let initial = (quota.initial_tokens() < quota.capacity()).then(|| counted.down(quota.initial_tokens()));
        Model { counted, initial, latest: 0, keys: HashMap::new() }
    }

    /// The nanoseconds that earn a whole number of units. Nothing is rounded at multiples of this
    /// time.
    pub(crate) fn grain(&self) -> u64 {
        u64::try_from(self.counted.rate().1).unwrap().min(LAST / 8)
    }

    /// Whether a bucket starts with less than its burst.
    pub(crate) fn starts_with_less(&self) -> bool {
        self.initial.is_some()
    }

    /// The bounds of the key's bucket at `now`. A new bucket starts at `now`.
    pub(crate) fn bounds_at(&self, key: u64, now: u64) -> Bounds {
        let capacity = self.counted.capacity;
        let (mut bounds, new) = match self.keys.get(&key) {
            Some(bounds) => (bounds.clone(), false),
            None => {
                let mut exact = self.counted.exact();
                if let Some(initial) = self.initial {
                    exact.start(now, initial);
                }
                (Bounds { most: exact.clone(), least: exact }, true)
            }
        };
        // The bucket may have been forgotten, if it was ever full.
        if new || bounds.most.has(self.latest, capacity, -1) {
            let least = &mut bounds.least;
            if least.has(self.latest, capacity, 0) {
                least.start(self.latest, capacity);
            }
            if let Some(initial) = self.initial.filter(|&initial| least.has(now, initial, 0)) {
                least.start(now, initial);
            }
        }
        bounds
    }

    /// The same for a call after which the table has the key.
    pub(crate) fn enter(&mut self, key: u64, now: u64) -> &mut Bounds {
        let bounds = self.bounds_at(key, now);
        self.keys.entry(key).insert_entry(bounds).into_mut()
    }

    /// The bucket of the key is full at `now`: it was full already, or starts again.
    pub(crate) fn refill(&mut self, key: u64, now: u64) {
        let (most, mut least) = (self.counted.exact(), self.counted.exact());
        least.start(now, self.counted.capacity);
        self.keys.insert(key, Bounds { most, least });
    }

    pub(crate) fn forget(&mut self, key: u64) {
        self.keys.remove(&key);
    }

    pub(crate) fn clear(&mut self) {
        self.keys.clear();
    }

    /// Whether the bucket, if it was never forgotten, is in use at every reading so far.
    pub(crate) fn surely_in_use(&self, key: u64) -> bool {
        self.keys.get(&key).is_some_and(|bounds| !bounds.most.has(self.latest, self.counted.capacity, -2))
    }

    /// The number of keys that are surely in use.
    pub(crate) fn least_in_use(&self) -> u64 {
        self.keys.keys().filter(|&&key| self.surely_in_use(key)).count() as u64
    }

    /// The number of keys, except for `but`, that may be in use at `now`.
    pub(crate) fn most_in_use(&self, now: u64, but: Option<u64>) -> u64 {
        // A full bucket may lack this much because of rounding.
        let before = now.saturating_sub(self.counted.earning(3) as u64);
        let others = self.keys.iter().filter(|&(&key, _)| Some(key) != but);
        others.filter(|(_, bounds)| !bounds.least.has(before, self.counted.capacity, 0)).count() as u64
    }
}

/// Other tests rely on this: sixteen keys fill the slots of two groups, and the others are in the
/// overflow.
#[test]
fn keys_that_are_sent_to_the_same_groups_share_their_slots() {
    // The bytes that a limiter reports for a key in the overflow.
    const OVERFLOW: u64 = 42;
    for (places, expected) in [(Places::Same, 4), (Places::Few(2), 4), (Places::Few(4), 0), (Places::Anywhere, 0)] {
        let limiter = keyed(Quota::per_hour(1), 40).hasher(places).build().unwrap();
        assert!((0..16).all(|key| limiter.key(&key).at(0).allow()));
        let before = limiter.memory_usage();
        assert!((16..20).all(|key| limiter.key(&key).at(0).allow()));
        assert_eq!(limiter.memory_usage() - before, (expected * OVERFLOW) as usize, "{places:?}");
    }
}
