//! The default hasher of keys.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;

use siphasher::sip::SipHasher13;

/// The default hasher of a keyed limiter: SipHash-1-3 under a random seed, so that whoever
/// chooses the keys cannot choose where they go.
///
/// Its seed can be told and given again, unlike that of the standard library's: limiters with the
/// same seed find the same keys in the same places. It is a secret.
///
/// # Examples
///
/// ```
/// use brimful::SipState;
/// use std::hash::BuildHasher;
///
/// let state = SipState::new();
/// let same = SipState::from_seed(state.seed());
/// assert_eq!(state.hash_one("key"), same.hash_one("key"));
/// ```
#[derive(Clone)]
pub struct SipState([u64; 2]);

impl SipState {
    /// With a seed that the operating system's random numbers choose.
    #[must_use]
    pub fn new() -> Self {
        // The standard library's keys are random; what they make of two numbers is, too.
        let random = RandomState::new();
        SipState([0u64, 1].map(|half| random.hash_one(half)))
    }

    /// With a seed of yours, for instance that of another one.
    #[must_use]
    pub const fn from_seed(seed: [u64; 2]) -> Self {
        SipState(seed)
    }

    /// The seed. Keep it secret: who knows it can choose keys that are all in one place.
    #[must_use]
    pub const fn seed(&self) -> [u64; 2] {
        self.0
    }
}

impl Default for SipState {
    fn default() -> Self {
        SipState::new()
    }
}

impl BuildHasher for SipState {
    type Hasher = SipHasher13;

    #[inline]
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0[0], self.0[1])
    }
}

/// Does not show the seed.
impl fmt::Debug for SipState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SipState").finish_non_exhaustive()
    }
}
