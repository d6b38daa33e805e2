//! Many keys at once.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use super::limiter::KeyedRateLimiter;
use crate::cell::TimeSource;
use crate::clock::Clock;
use crate::error::TryAcquireError;
use crate::table::Fingerprint;
use crate::tokens::Tokens;

/// So many keys are looked for while the first of them is decided on.
const AHEAD: usize = 16;

/// Verbs for many keys at once. The clock is read once for all of them, and again for each key that is
/// new or not in its first place. The memory of each key is requested before the keys ahead of it are
/// decided, so the cache misses overlap if the table is far larger than the caches.
///
/// Each call is decided by itself, in order: a batch is not all or nothing.
impl<K: Hash + ?Sized, C: Clock, S: BuildHasher> KeyedRateLimiter<K, C, S> {
    /// Takes one token from the bucket of each key, if it is there. `out` is cleared, and then holds an
    /// answer for each key, in order.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{KeyedRateLimiter, Quota};
    ///
    /// let limiter = KeyedRateLimiter::<u64>::new(Quota::per_minute(1));
    /// let mut out = Vec::new();
    /// limiter.try_acquire_many(&[1, 2, 1], &mut out);
    /// let admitted: Vec<bool> = out.iter().map(|answer| answer.is_ok()).collect();
    /// assert_eq!(admitted, [true, true, false]);
    /// ```
    pub fn try_acquire_many<Q: Hash>(&self, keys: &[Q], out: &mut Vec<Result<(), TryAcquireError>>)
    where
        K: Borrow<Q>,
    {
        self.many(keys, |key| (key, Tokens::ONE), self.read_once(), out);
    }

    /// As [`try_acquire_many`](KeyedRateLimiter::try_acquire_many), for calls of `(key, cost)`.
    pub fn try_acquire_many_n<Q: Hash>(&self, calls: &[(Q, Tokens)], out: &mut Vec<Result<(), TryAcquireError>>)
    where
        K: Borrow<Q>,
    {
        self.many(calls, |(key, n)| (key, *n), self.read_once(), out);
    }

    /// The clock, read for all calls of a batch. A call that finds its key outside its home line, or its
    /// slot changed, reads the clock itself.
    fn read_once(&self) -> TimeSource<'_, C> {
        TimeSource::cached(self.live().read(), self.buckets.clock())
    }

    fn many<T, Q: Hash>(
        &self,
        calls: &[T],
        call: impl Fn(&T) -> (&Q, Tokens),
        now: TimeSource<'_, C>,
        out: &mut Vec<Result<(), TryAcquireError>>,
    ) where
        K: Borrow<Q>,
    {
        out.clear();
        out.reserve(calls.len());
        let none = Fingerprint::of(0);
        for chunk in calls.chunks(AHEAD) {
            let mut keys = [none; AHEAD];
            for (place, item) in keys.iter_mut().zip(chunk) {
                *place = self.fingerprint(call(item).0);
            }
            for &key in &keys[..chunk.len()] {
                self.buckets.table.touch(key);
            }
            out.extend(
                keys.iter()
                    .zip(chunk)
                    .map(|(&key, item)| self.buckets.try_take(key, (call(item).1, Tokens::ZERO), now)),
            );
        }
    }
}
