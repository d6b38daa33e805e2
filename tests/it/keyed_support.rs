//! What the keyed modules share: hashers that say where a key goes, and what each key is held
//! against.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use brimful::{KeyedRateLimiter, KeyedRateLimiterBuilder, MockClock, Quota};
use brimful_oracle::ExactBucket;

use crate::support::{Counted, LAST};

/// Where keys go, which are numbers below 4096.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Places {
    /// Wherever their own value takes them.
    Anywhere,
    /// To a few sets: so many first and second homes.
    Few(u64),
    /// All to the same two homes.
    Same,
}

impl Places {
    fn hash(self, key: u64) -> u64 {
        match self {
            Places::Anywhere => key,
            Places::Few(homes) => placed(key % homes, (key / homes) % homes, key),
            Places::Same => placed(0, 1, key),
        }
    }
}

/// The hash of a key that is to have these homes, in the first of the shards.
fn placed(first: u64, second: u64, key: u64) -> u64 {
    // Homes stand at bits 3 and 32; what makes the keys differ stands above what counts sets here.
    unmixed((second << 32) | ((key & 0xfff) << 20) | (first << 3) | 1)
}

/// The hash that the table mixes into this.
fn unmixed(mixed: u64) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    // Newton's iteration: each round doubles the bits that are right.
    let inverse = (0..6).fold(FACTOR, |x, _| x.wrapping_mul(2u64.wrapping_sub(FACTOR.wrapping_mul(x))));
    let x = (mixed ^ (mixed >> 32)).wrapping_mul(inverse);
    x ^ (x >> 32)
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
    KeyedRateLimiter::<u64>::builder().quota(quota).max_keys(max_keys).clock(MockClock::new())
}

/// What a key's bucket may hold: it lies between the two.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// The exact bucket.
    pub(crate) most: ExactBucket,
    /// The least that is left of it: a key that was full was perhaps forgotten, and starts from
    /// full as of the latest reading, and with no more than the quota's initial tokens.
    pub(crate) least: ExactBucket,
}

/// The exact buckets of all keys.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) counted: Counted,
    /// In units, where a bucket does not start full.
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

    /// The nanoseconds of a whole number of units: at multiples of it nothing is rounded.
    pub(crate) fn grain(&self) -> u64 {
        u64::try_from(self.counted.rate().1).unwrap().min(LAST / 8)
    }

    /// Whether a bucket does not start full.
    pub(crate) fn starts_with_less(&self) -> bool {
        self.initial.is_some()
    }

    /// What the key's bucket may hold at `now`, if it begins then where it is new.
    pub(crate) fn look(&self, key: u64, now: u64) -> Bounds {
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
        // Forgotten, perhaps, if it was ever full.
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

    /// The same for a call that makes the key known.
    pub(crate) fn enter(&mut self, key: u64, now: u64) -> &mut Bounds {
        let bounds = self.look(key, now);
        self.keys.entry(key).insert_entry(bounds).into_mut()
    }

    /// The key's bucket is full at `now`, and was before, or begins anew.
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

    /// Whether a bucket that was never forgotten is in use at every reading so far.
    pub(crate) fn surely_in_use(&self, key: u64) -> bool {
        self.keys.get(&key).is_some_and(|bounds| !bounds.most.has(self.latest, self.counted.capacity, -2))
    }

    /// How many are.
    pub(crate) fn surely(&self) -> u64 {
        self.keys.keys().filter(|&&key| self.surely_in_use(key)).count() as u64
    }

    /// How many keys but this one may be in use at `now`.
    pub(crate) fn perhaps(&self, now: u64, but: Option<u64>) -> u64 {
        // What may be missing to a full bucket by rounding.
        let before = now.saturating_sub(self.counted.earning(3) as u64);
        let others = self.keys.iter().filter(|&(&key, _)| Some(key) != but);
        others.filter(|(_, bounds)| !bounds.least.has(before, self.counted.capacity, 0)).count() as u64
    }
}
