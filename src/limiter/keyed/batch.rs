//! Many keys at once.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use super::{Clock, Fingerprint, KeyedRateLimiter, Tokens, TryAcquireError};
use crate::cell::Now;
use crate::limiter::source::{Noted, given};

/// So many keys are looked for while the first of them is decided on.
const AHEAD: usize = 16;

/// Many keys at once. The clock is read once for all of them, and each key's memory is asked for
/// before the ones before it are decided on, so that where a table is far larger than the caches,
/// the waits for it overlap.
///
/// Each call is decided by itself, in order: a batch is not all or nothing.
impl<K: Hash + ?Sized, C: Clock, S: BuildHasher> KeyedRateLimiter<K, C, S> {
    /// Takes one token for each of the keys. `out` is cleared, and then holds an answer for each
    /// key, in order.
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
        self.many(keys, |key| (key, Tokens::ONE), Noted::new(&self.buckets.clock), out);
    }

    /// Takes what each call costs, of `(key, cost)`; as
    /// [`try_acquire_many`](KeyedRateLimiter::try_acquire_many).
    pub fn try_acquire_many_n<Q: Hash>(&self, calls: &[(Q, Tokens)], out: &mut Vec<Result<(), TryAcquireError>>)
    where
        K: Borrow<Q>,
    {
        self.many(calls, |(key, n)| (key, *n), Noted::new(&self.buckets.clock), out);
    }

    /// [`try_acquire_many`](KeyedRateLimiter::try_acquire_many) at `now_ns`.
    pub fn try_acquire_many_at<Q: Hash>(&self, now_ns: u64, keys: &[Q], out: &mut Vec<Result<(), TryAcquireError>>)
    where
        K: Borrow<Q>,
    {
        self.many(keys, |key| (key, Tokens::ONE), given(now_ns), out);
    }

    /// [`try_acquire_many_n`](KeyedRateLimiter::try_acquire_many_n) at `now_ns`.
    pub fn try_acquire_many_n_at<Q: Hash>(
        &self,
        now_ns: u64,
        calls: &[(Q, Tokens)],
        out: &mut Vec<Result<(), TryAcquireError>>,
    ) where
        K: Borrow<Q>,
    {
        self.many(calls, |(key, n)| (key, *n), given(now_ns), out);
    }

    fn many<T, Q: Hash>(
        &self,
        calls: &[T],
        call: impl Fn(&T) -> (&Q, Tokens),
        now: impl Now,
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
                keys.iter().zip(chunk).map(|(&key, item)| self.bucket(key).try_take(call(item).1, Tokens::ZERO, now)),
            );
        }
    }
}
