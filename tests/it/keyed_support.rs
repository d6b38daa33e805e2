//! What the keyed modules share: hashers that say where a key goes, and what each key is held
//! against.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;

use brimful::{KeyedRateLimiter, KeyedRateLimiterBuilder, MockClock, Quota};
use brimful_oracle::ExactBucket;

use crate::support::{Counted, LAST};

/// Where keys go, which are numbers below 4096.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Places {
    /// Wherever their own value takes them.
    Anywhere,
    /// To a few groups: so many first and second ones, five at most.
    Few(u64),
    /// All to the same two groups.
    Same,
}

impl Places {
    fn hash(self, key: u64) -> u64 {
        match self {
            Places::Anywhere => key,
            Places::Few(homes) => placed(key % homes, (key / homes) % homes, key / (homes * homes)),
            Places::Same => placed(0, 1, key),
        }
    }
}

/// The number that a table makes of a hash.
///
/// ```text
///  59 ……… 32     31          30 … 4          3
/// home group    home line   second group    second line
/// ```
pub(crate) fn mixed(hash: u64) -> u64 {
    let product = u128::from(hash) * 0x9e37_79b9_7f4a_7c15;
    product as u64 ^ (product >> 64) as u64
}

/// The numbers of the two groups of a hash, in a table of 2^`bits` groups and one stripe.
pub(crate) fn groups_of(hash: u64, bits: u32) -> (u64, u64) {
    let (mixed, mask) = (mixed(hash), (1 << bits) - 1);
    ((mixed >> 32) & mask, (mixed >> 4) & mask)
}

const HOMES: u64 = 5;

/// The hash of the `nth` key that has these groups in every table of up to 128 of them.
fn placed(first: u64, second: u64, nth: u64) -> u64 {
    static HASHES: LazyLock<Vec<Vec<u64>>> = LazyLock::new(|| {
        let mut hashes = vec![Vec::new(); (HOMES * HOMES) as usize];
        let placed = (1u64..).map(|hash| (hash, groups_of(hash, 7)));
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

/// The other tests rely on it: sixteen keys fill the slots of two groups, and the rest are in none.
#[test]
fn keys_that_are_sent_to_the_same_groups_share_their_slots() {
    // What a limiter reports for a key in no slot.
    const OVERFLOW: u64 = 42;
    for (places, expected) in [(Places::Same, 4), (Places::Few(2), 4), (Places::Few(4), 0), (Places::Anywhere, 0)] {
        let limiter = keyed(Quota::per_hour(1), 40).hasher(places).build().unwrap();
        assert!((0..16).all(|key| limiter.key(&key).at(0).allow()));
        let before = limiter.memory_usage();
        assert!((16..20).all(|key| limiter.key(&key).at(0).allow()));
        assert_eq!(limiter.memory_usage() - before, (expected * OVERFLOW) as usize, "{places:?}");
    }
}
