//! Keys, and the order in which they call.

use std::hash::Hash;
use std::net::Ipv6Addr;

/// The key of a limiter.
pub(super) trait Key: Hash + Eq + Clone + Send + Sync + 'static {
    const KIND: &'static str;

    fn of(number: u64) -> Self;

    /// Takes from a limiter of rate-net, which converts its keys from a few types or from bytes.
    fn take_from<C: clock_lib::Clock + Clone>(&self, limiter: &rate_net::RateLimiter<C>, n: u32) -> bool;
}

impl Key for u64 {
    const KIND: &'static str = "u64";

    fn of(number: u64) -> Self {
        number
    }

    #[inline]
    fn take_from<C: clock_lib::Clock + Clone>(&self, limiter: &rate_net::RateLimiter<C>, n: u32) -> bool {
        limiter.check_n(*self, n).is_allow()
    }
}

impl Key for Ipv6Addr {
    const KIND: &'static str = "IPv6 address";

    fn of(number: u64) -> Self {
        Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(number))
    }

    #[inline]
    fn take_from<C: clock_lib::Clock + Clone>(&self, limiter: &rate_net::RateLimiter<C>, n: u32) -> bool {
        limiter.check_n(*self, n).is_allow()
    }
}

impl Key for String {
    const KIND: &'static str = "String";

    /// 20 bytes.
    fn of(number: u64) -> Self {
        format!("user{number:016x}")
    }

    #[inline]
    fn take_from<C: clock_lib::Clock + Clone>(&self, limiter: &rate_net::RateLimiter<C>, n: u32) -> bool {
        limiter.check_n_bytes(self, n).is_allow()
    }
}

impl Key for (u64, String) {
    const KIND: &'static str = "(u64, String)";

    fn of(number: u64) -> Self {
        (number % 1_000, String::of(number))
    }

    /// Joins both in a buffer, as a caller would.
    #[inline]
    fn take_from<C: clock_lib::Clock + Clone>(&self, limiter: &rate_net::RateLimiter<C>, n: u32) -> bool {
        let mut joined = [0; 28];
        joined[..8].copy_from_slice(&self.0.to_le_bytes());
        joined[8..].copy_from_slice(self.1.as_bytes());
        limiter.check_n_bytes(joined, n).is_allow()
    }
}

/// Random numbers (Marsaglia's xorshift). No number comes twice within 2⁶⁴.
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

/// Returns the keys of a table.
pub(super) fn keys<K: Key>(n: u64) -> Vec<K> {
    let mut numbers = Numbers::new(1);
    (0..n).map(|_| K::of(numbers.next())).collect()
}

/// Returns passes over all keys, each pass in an order of its own. Between two calls of a key there
/// are as many other calls as there are keys on average, and at most twice as many. The accesses
/// stand one after the other in memory, so that reading the next key costs next to nothing.
pub(super) fn passes<K: Key>(keys: &[K], least: usize) -> Vec<K> {
    let mut numbers = Numbers::new(2);
    let mut places: Vec<u32> = (0..keys.len() as u32).collect();
    let mut order = Vec::with_capacity(least.div_ceil(keys.len()) * keys.len());
    while order.len() < least {
        for end in (1..places.len()).rev() {
            places.swap(end, numbers.below(end as u64 + 1) as usize);
        }
        order.extend(places.iter().map(|&place| keys[place as usize].clone()));
    }
    order
}

/// Returns random accesses, in which the k-th key has a frequency of 1/k^1.1.
pub(super) fn zipf<K: Key>(keys: &[K], accesses: usize) -> Vec<K> {
    let mut numbers = Numbers::new(2);
    let mut sum = 0.0;
    let shares = (1..=keys.len()).map(|rank| {
        sum += (rank as f64).powf(-1.1);
        sum
    });
    let up_to: Vec<f64> = shares.collect();
    let mut pick = || {
        let share = numbers.next() as f64 / 2f64.powi(64) * sum;
        up_to.partition_point(|&end| end < share).min(keys.len() - 1)
    };
    (0..accesses).map(|_| keys[pick()].clone()).collect()
}
