//! [`Top`]: the keys with the most denials, in fixed memory.

use crate::sync::{AtomicU64, Mutex, Ordering, lock, try_lock};
use crate::table::Fingerprint;

/// The places for each key that is asked for: more places make the counts more exact. The models have one.
const EACH: usize = if cfg!(brimful_loom) { 1 } else { 4 };

/// The most keys that can be asked for: a denial looks at all places.
const MOST: usize = 100;

/// The key of a place that no key has. A fingerprint is odd.
const VACANT: u64 = 0;

/// Counts the denials of the keys that have most of them, by the algorithm Space-Saving (Metwally, Agrawal and El
/// Abbadi, 2005): a key without a place takes the place with the lowest count, and inherits that count, which is the
/// most by which its own is too high.
///
/// A denial of a key with a place takes no lock. One of another key takes the lock if it is free. If it is not free,
/// the denial is counted as skipped, so that no call waits.
///
/// # Memory ordering
///
/// A thread that gives a place to another key marks it vacant first, and then raises the count. A thread that
/// raises the count of a key that it found before acquires that mark by the same count, so it sees that the
/// place is no longer the key's, and counts the denial as skipped. All else is relaxed.
pub(super) struct Top {
    most: usize,
    places: Box<[Place]>,
    /// The most by which the count of each place is too high. Locked by the thread that gives places to keys.
    errors: Mutex<Box<[u64]>>,
    skipped: AtomicU64,
}

struct Place {
    key: AtomicU64,
    count: AtomicU64,
}

/// A key's denials. At least `denied - error` of them were its own.
pub(crate) struct Denials {
    pub(crate) key: Fingerprint,
    pub(crate) denied: u64,
    pub(crate) error: u64,
}

impl Top {
    /// Makes places to name the first `most` keys.
    pub(super) fn new(most: usize) -> Self {
        let most = most.clamp(1, MOST);
        let place = |_| Place { key: AtomicU64::new(VACANT), count: AtomicU64::new(0) };
        Top {
            most,
            places: (0..EACH * most).map(place).collect(),
            errors: Mutex::new(vec![0; EACH * most].into()),
            skipped: AtomicU64::new(0),
        }
    }

    /// Counts a denial of a key.
    #[cold]
    #[inline(never)]
    pub(super) fn add(&self, key: Fingerprint) {
        let key = key.bits();
        if !self.add_in_place(key) && !self.add_in_new_place(key) {
            self.skip();
        }
    }

    fn skip(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// Raises the count of a key that has a place. Returns whether it has.
    fn add_in_place(&self, key: u64) -> bool {
        let Some(place) = self.places.iter().find(|place| place.key.load(Ordering::Relaxed) == key) else {
            return false;
        };
        // Acquires the mark of a thread that gave the place to another key.
        place.count.fetch_add(1, Ordering::Acquire);
        if place.key.load(Ordering::Relaxed) != key {
            self.skip();
        }
        true
    }

    /// Gives a key the place with the lowest count. Returns false if that would wait, or if another thread raised
    /// that count meanwhile.
    fn add_in_new_place(&self, key: u64) -> bool {
        let Some(mut errors) = try_lock(&self.errors) else { return false };
        // Another thread may have given the key a place meanwhile.
        if self.add_in_place(key) {
            return true;
        }
        let counts = self.places.iter().map(|place| place.count.load(Ordering::Relaxed));
        let Some((at, least)) = counts.enumerate().min_by_key(|&(_, count)| count) else { return false };
        let place = &self.places[at];
        let last = place.key.load(Ordering::Relaxed);
        place.key.store(VACANT, Ordering::Relaxed);
        // Releases the mark. If the count has been raised, it may no longer be the lowest.
        let raised = place.count.compare_exchange(least, least + 1, Ordering::Release, Ordering::Relaxed).is_ok();
        if raised {
            errors[at] = least;
        }
        place.key.store(if raised { key } else { last }, Ordering::Relaxed);
        raised
    }

    /// Returns the keys with the most denials, the first one with the most, and the denials that were skipped.
    pub(super) fn read(&self) -> (Vec<Denials>, u64) {
        let read = |place: &Place, error: &mut u64| (place.count.load(Ordering::Relaxed), *error);
        self.read_by(read, self.skipped.load(Ordering::Relaxed))
    }

    /// Returns the same, and begins anew. The keys keep their places.
    pub(super) fn take(&self) -> (Vec<Denials>, u64) {
        let take = |place: &Place, error: &mut u64| (place.count.swap(0, Ordering::Relaxed), std::mem::take(error));
        self.read_by(take, self.skipped.swap(0, Ordering::Relaxed))
    }

    fn read_by(&self, read: impl Fn(&Place, &mut u64) -> (u64, u64), skipped: u64) -> (Vec<Denials>, u64) {
        let mut errors = lock(&self.errors);
        let denials = self.places.iter().zip(&mut **errors).filter_map(|(place, error)| {
            let key = Fingerprint::from_slot(place.key.load(Ordering::Relaxed))?;
            let (denied, error) = read(place, error);
            (denied > 0).then_some(Denials { key, denied, error })
        });
        let mut denials: Vec<_> = denials.collect();
        drop(errors);
        denials.sort_by_key(|key| std::cmp::Reverse(key.denied));
        denials.truncate(self.most);
        (denials, skipped)
    }
}
