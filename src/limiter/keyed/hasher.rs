//! The default hasher of keys.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};

/// The default hasher of a keyed limiter: SipHash-1-3 under a random seed. A stranger who chooses
/// keys cannot choose their places.
///
/// Unlike that of the standard library, the seed can be read and given again: limiters with the
/// same seed find the same keys in the same places. The seed is a secret.
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
pub struct SipState {
    seed: [u64; 2],
    /// The words that every hash begins with, worked out once. Libraries work them out for each
    /// hash, which is why the algorithm stands here.
    words: Words,
}

impl SipState {
    /// With a seed that the operating system's random numbers choose.
    #[must_use]
    pub fn new() -> Self {
        // The standard library's keys are random, so what they make of two numbers is too.
        let random = RandomState::new();
        SipState::from_seed([0u64, 1].map(|half| random.hash_one(half)))
    }

    /// With this seed, for instance that of another limiter.
    #[must_use]
    pub const fn from_seed(seed: [u64; 2]) -> Self {
        let [a, b] = seed;
        let words = Words {
            v0: a ^ 0x736f_6d65_7073_6575,
            v1: b ^ 0x646f_7261_6e64_6f6d,
            v2: a ^ 0x6c79_6765_6e65_7261,
            v3: b ^ 0x7465_6462_7974_6573,
        };
        SipState { seed, words }
    }

    /// Returns the seed. Keep it secret: with it, a stranger can choose keys that are all in one
    /// place.
    #[must_use]
    pub const fn seed(&self) -> [u64; 2] {
        self.seed
    }
}

impl Default for SipState {
    fn default() -> Self {
        SipState::new()
    }
}

impl BuildHasher for SipState {
    type Hasher = SipHasher;

    #[inline]
    fn build_hasher(&self) -> SipHasher {
        SipHasher { words: self.words, tail: 0, length: 0 }
    }
}

/// Does not show the seed.
impl fmt::Debug for SipState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SipState").finish_non_exhaustive()
    }
}

/// The hasher of [`SipState`]: SipHash-1-3 (J.-P. Aumasson and D. J. Bernstein, 2012) of the bytes
/// that are written.
#[derive(Clone)]
pub struct SipHasher {
    words: Words,
    /// The bytes that do not make a whole word yet, the first one lowest.
    tail: u64,
    /// The bytes so far.
    length: usize,
}

impl SipHasher {
    /// Takes up to eight bytes, the first one lowest.
    #[inline]
    fn write_word(&mut self, bytes: u64, count: usize) {
        let held = self.length % 8;
        self.length = self.length.wrapping_add(count);
        let word = self.tail | (bytes << (8 * held));
        if held + count < 8 {
            self.tail = word;
            return;
        }
        self.words.compress(word);
        self.tail = if held == 0 { 0 } else { bytes >> (8 * (8 - held)) };
        if held + count == 8 {
            self.tail = 0;
        }
    }
}

impl Hasher for SipHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((word, more)) = rest.split_first_chunk() {
            self.write_word(u64::from_le_bytes(*word), 8);
            rest = more;
        }
        if !rest.is_empty() {
            self.write_word(rest.iter().rev().fold(0, |word, &byte| (word << 8) | u64::from(byte)), rest.len());
        }
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        self.write_word(byte.into(), 1);
    }

    #[inline]
    fn write_u16(&mut self, number: u16) {
        self.write_word(number.to_le().into(), 2);
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.write_word(number.to_le().into(), 4);
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.write_word(number.to_le(), 8);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.write_word((number as u64).to_le(), size_of::<usize>());
    }

    #[inline]
    fn finish(&self) -> u64 {
        let mut words = self.words;
        words.compress(((self.length as u64) << 56) | self.tail);
        words.v2 ^= 0xff;
        (0..3).for_each(|_| words.round());
        words.v0 ^ words.v1 ^ words.v2 ^ words.v3
    }
}

/// Does not show the state, which the seed could be guessed from.
impl fmt::Debug for SipHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SipHasher").finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
struct Words {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl Words {
    #[inline]
    fn compress(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }

    #[inline]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hash;

    use siphasher::sip::SipHasher13;

    use super::*;

    const SEED: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

    fn both<T: Hash + ?Sized>(key: &T) {
        let mut theirs = SipHasher13::new_with_keys(SEED[0], SEED[1]);
        key.hash(&mut theirs);
        assert_eq!(SipState::from_seed(SEED).hash_one(key), theirs.finish());
    }

    #[test]
    fn it_is_siphash_1_3() {
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 0..70 {
            both(&bytes[..length]);
            for first in 0..20.min(length) {
                both(&(&bytes[..first], length as u32, &bytes[first..length]));
            }
        }
        for number in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            both(&number);
            both(&(number as u8, number, number as u16, number as u32, u128::from(number), number as usize));
        }
        both("a key");
        both(&(7u64, String::from("a tenant"), 'x', true));
    }
}
