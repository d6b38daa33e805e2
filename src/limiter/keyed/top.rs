//! The keys with the most denials.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use super::limiter::KeyedRateLimiter;
use crate::stats::{KeyId, TopDenied};
use crate::table::Fingerprint;

impl<K: ?Sized, C, S: BuildHasher> KeyedRateLimiter<K, C, S> {
    /// Returns the keys with the most denials since the limiter was built, or since the last
    /// [`take_top_denied`](KeyedRateLimiter::take_top_denied), and the [bound](TopDenied#error-bound) of their errors;
    /// `None` unless the builder was asked for [`top_denied`](crate::KeyedRateLimiterBuilder::top_denied).
    ///
    /// Every denial counts once, whatever the cost: of calls, and of waits that failed. The limiter keeps no keys, so
    /// they are named by ids.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{KeyedRateLimiter, Quota};
    ///
    /// let limiter = KeyedRateLimiter::<str>::builder().quota(Quota::per_hour(2)).top_denied(3).build()?;
    /// for client in ["alice", "bob", "alice", "alice", "alice", "bob", "bob"] {
    ///     if limiter.try_acquire(client).is_err() {
    ///         println!("{client} is refused: {}", limiter.key_id(client));
    ///     }
    /// }
    /// let top = limiter.top_denied().unwrap();
    /// assert_eq!(top.keys[0].key, limiter.key_id("alice"));
    /// assert_eq!((top.keys[0].denied, top.keys[0].error), (2, 0));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[must_use]
    pub fn top_denied(&self) -> Option<TopDenied> {
        self.buckets.stats.top_denied().map(|denials| TopDenied::new(denials, |found| self.id(found.key)))
    }

    /// Returns the keys with the most denials as [`top_denied`](KeyedRateLimiter::top_denied) does, and begins anew.
    pub fn take_top_denied(&self) -> Option<TopDenied> {
        self.buckets.stats.take_top_denied().map(|denials| TopDenied::new(denials, |found| self.id(found.key)))
    }

    /// Returns the id of a key in this limiter, to be compared with those that
    /// [`top_denied`](KeyedRateLimiter::top_denied) names. The key need not be known.
    #[must_use]
    pub fn key_id<Q: Hash + ?Sized>(&self, key: &Q) -> KeyId
    where
        K: Borrow<Q>,
    {
        self.id(Fingerprint::of(self.hasher().hash_one(key)))
    }

    /// The fingerprint says where the key is in the table, so it is hashed once more: with the ids, a stranger who
    /// chooses keys still cannot find some that share a line.
    fn id(&self, key: Fingerprint) -> KeyId {
        KeyId::new(self.hasher().hash_one(key.bits()))
    }
}
