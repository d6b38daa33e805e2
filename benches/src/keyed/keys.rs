//! Keys, and the order in which they call.

use std::hash::Hash;

/// What a limiter is keyed by.
pub(super) trait Key: Hash + Eq + Clone + Send + Sync + 'static {
    const KIND: &'static str;

    fn of(number: u64) -> Self;

    /// rate-net's limiter takes what converts into a key of its own, or bytes.
    fn take_from(&self, limiter: &rate_net::RateLimiter, n: u32) -> bool;
}

impl Key for u64 {
    const KIND: &'static str = "u64";

    fn of(number: u64) -> Self {
        number
    }

    #[inline]
    fn take_from(&self, limiter: &rate_net::RateLimiter, n: u32) -> bool {
        limiter.check_n(*self, n).is_allow()
    }
}

impl Key for String {
    const KIND: &'static str = "String";

    /// Of 21 bytes.
    fn of(number: u64) -> Self {
        format!("user-{number:016x}")
    }

    #[inline]
    fn take_from(&self, limiter: &rate_net::RateLimiter, n: u32) -> bool {
        limiter.check_n_bytes(self, n).is_allow()
    }
}

/// Random numbers (Marsaglia's xorshift), none twice within 2⁶⁴.
#[derive(Clone, Debug)]
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    #[inline]
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    #[inline]
    pub(super) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}

/// How often each key calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    Uniform,
    /// The k-th as often as 1/k^1.1.
    Zipf,
}

/// The keys of a table.
pub(super) fn keys<K: Key>(n: u64) -> Vec<K> {
    let mut numbers = Numbers::new(1);
    (0..n).map(|_| K::of(numbers.next())).collect()
}

/// Accesses at random, one after the other in memory, so that reading which key is next costs
/// next to nothing.
pub(super) fn order<K: Key>(keys: &[K], spread: Spread, accesses: usize) -> Vec<K> {
    let mut numbers = Numbers::new(2);
    match spread {
        Spread::Uniform => (0..accesses).map(|_| keys[numbers.below(keys.len() as u64) as usize].clone()).collect(),
        Spread::Zipf => {
            let mut sum = 0.0;
            let shares = (1..=keys.len()).map(|rank| {
                sum += (rank as f64).powf(-1.1);
                sum
            });
            let up_to: Vec<f64> = shares.collect();
            let pick = |number: u64| {
                let share = number as f64 / 2f64.powi(64) * sum;
                up_to.partition_point(|&end| end < share).min(keys.len() - 1)
            };
            (0..accesses).map(|_| keys[pick(numbers.next())].clone()).collect()
        }
    }
}
