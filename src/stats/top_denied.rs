//! [`TopDenied`]: the keys with the most denials, as they were read.

use std::fmt;

use super::top::Denials;

/// The identity of a key in one keyed limiter, from
/// [`KeyedRateLimiter::key_id`](crate::KeyedRateLimiter::key_id).
///
/// A limiter keeps no keys, so it can only recognise them. To learn which key an id is of, compare the ids of the keys
/// that the program knows, or log the id beside the key when a call is refused. Two keys that share a bucket have one
/// id. The id is a hash by the limiter's hasher: with the default one it shows nothing of the key, and is
/// another one in each limiter and after each start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u64);

impl KeyId {
    pub(crate) fn new(hash: u64) -> Self {
        KeyId(hash)
    }
}

/// Prints sixteen hexadecimal digits.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A key with many denials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeniedKey {
    /// The key.
    pub key: KeyId,
    /// The denials of the key, or more.
    pub denied: u64,
    /// The most by which [`denied`](DeniedKey::denied) is too high, because another key had the place before.
    pub error: u64,
}

/// The keys with the most denials, from [`KeyedRateLimiter::top_denied`](crate::KeyedRateLimiter::top_denied).
///
/// # Error bound
///
/// For `k` keys there are `4 k` places. A key without a place takes the place with the lowest count, and
/// inherits that count. Let `n` be the denials that were counted. Then for each key that is named,
///
/// ```text
/// denied − error − skipped  ≤  its denials  ≤  denied + skipped,    error ≤ n / 4k
/// ```
///
/// and a key that has no place was denied at most `n / 4k + skipped` times. So a key with more than that share of
/// all denials is never missed. [`skipped`](TopDenied::skipped) is zero unless threads deny at the same moment, and
/// one of their keys has no place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopDenied {
    /// The keys, the one with the most denials first.
    pub keys: Vec<DeniedKey>,
    /// The denials that are in no count, or in that of another key, because another thread had the lock of the
    /// places or gave a place to another key.
    pub skipped: u64,
}

impl TopDenied {
    pub(crate) fn new((denials, skipped): (Vec<Denials>, u64), id: impl Fn(&Denials) -> KeyId) -> Self {
        let named = |denials: &Denials| DeniedKey { key: id(denials), denied: denials.denied, error: denials.error };
        TopDenied { keys: denials.iter().map(named).collect(), skipped }
    }
}

/// Prints a line for each key: the id, the denials, and the error if it is not zero.
impl fmt::Display for TopDenied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, key) in self.keys.iter().enumerate() {
            f.write_str(if nth == 0 { "" } else { "\n" })?;
            write!(f, "{}{:>12}", key.key, key.denied)?;
            if key.error > 0 {
                write!(f, "  at most {} less", key.error)?;
            }
        }
        Ok(())
    }
}
