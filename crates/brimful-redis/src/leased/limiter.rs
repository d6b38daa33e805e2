//! [`LeasedRateLimiter`]: its verbs.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use brimful::{Quotas, Tokens};

use super::lease::{Lease, Leases};
use crate::engine::Store;
use crate::redis::RedisStore;
use crate::shared::{RedisRateLimiter, SharedError, SharedStats};

/// A limiter of one or several quotas for each key, shared by many processes, that takes tokens from the store in batches.
///
/// A process holds a *credit* for each of its keys: tokens that the store has charged already. A call that finds its cost
/// there is decided in this process, without a lock. When half of a batch is left, the next batch is taken, ahead of need. A
/// batch is as large as the demand of the process needs for the builder's
/// [horizon](crate::LeasedRateLimiterBuilder::horizon), and at most
/// [`max_batch`](crate::LeasedRateLimiterBuilder::max_batch). Unused tokens are given back.
///
/// # The bound
///
/// The store is exact. The tokens that a process grants in a window were taken from the store in it, or are credit from
/// before, which is at most `max_batch`. So in a time T of the server's clock, `nodes` processes together grant at most
///
/// ```text
/// burst + rate × T + nodes × max_batch
/// ```
///
/// for each key. The last summand is smaller if the demand is: a process that makes c calls in the horizon holds about c
/// tokens. A process that ends without [`give_back`](LeasedRateLimiter::give_back) loses its credit, which is then never
/// granted.
///
/// # Refusals
///
/// If the store has no token left, the refusal holds for all calls of the key in this process, without a further round trip,
/// until the store has earned a token, but not for longer than a second: others may give tokens back. At a fast limit, it
/// holds until the store has earned a batch, and up to a tenth of the horizon. Calls that find no credit at the same time
/// share one round trip. A process that is refused asks again for as much as its demand, so at an exhausted key the
/// processes get tokens by how often they ask.
///
/// # Failures
///
/// Credits are granted also while the store is away. After that, the [`FailurePolicy`](crate::FailurePolicy) decides.
///
/// # Cancel safety
///
/// A dropped call may charge its cost. A batch that it has asked for comes to the credit all the same.
pub struct LeasedRateLimiter<K: ?Sized, S = RedisStore> {
    pub(super) inner: Arc<Inner<K, S>>,
    pub(super) keys: PhantomData<fn(&K)>,
}

pub(super) struct Inner<K: ?Sized, S> {
    pub(super) direct: RedisRateLimiter<K, S>,
    pub(super) leases: Leases,
    pub(super) hasher: RandomState,
    pub(super) max_batch: u32,
    pub(super) horizon: Duration,
}

impl<K: fmt::Display + Hash + ?Sized + 'static, S: Store> LeasedRateLimiter<K, S> {
    /// Returns the quotas.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        self.inner.direct.quotas()
    }

    /// Returns the counts of requests to the store, and of decisions by the store or the policy. Calls that a credit admits
    /// are not counted.
    #[must_use]
    pub fn stats(&self) -> SharedStats {
        self.inner.direct.stats()
    }

    /// Emits the counts since the last emission, as [`RedisRateLimiter::emit_stats`] does. Calls that a credit admits are not
    /// counted.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub fn emit_stats(&self) {
        self.inner.direct.emit_stats();
    }

    /// Returns the number of keys that have a lease.
    #[must_use]
    pub fn leases(&self) -> usize {
        self.inner.leases.len()
    }

    /// Takes one token of each quota if all are there.
    ///
    /// # Errors
    ///
    /// As [`RedisRateLimiter::try_acquire_n`].
    pub async fn try_acquire(&self, key: &K) -> Result<(), SharedError> {
        self.try_acquire_n(key, Tokens::ONE).await
    }

    /// Takes `n` tokens of each quota, all or none.
    ///
    /// # Errors
    ///
    /// As [`RedisRateLimiter::try_acquire_n`].
    pub async fn try_acquire_n(&self, key: &K, n: impl Into<Tokens>) -> Result<(), SharedError> {
        let (inner, n) = (&self.inner, n.into());
        let id = inner.hasher.hash_one(key);
        if let Some(lease) = inner.leases.get(id) {
            if let Some(left) = lease.take(n) {
                inner.look_ahead(lease, left);
                return Ok(());
            }
        }
        inner.take_slowly(id, key, n).await
    }

    /// Gives all credits back, such as before the process ends.
    pub async fn give_back(&self) {
        self.inner.give_back(true).await;
    }
}

impl<K: fmt::Display + Hash + ?Sized + 'static, S: Store> Inner<K, S> {
    /// Renews a lease ahead of need if its credit is below half of a batch.
    #[inline]
    fn look_ahead(self: &Arc<Self>, lease: Arc<Lease>, left: u32) {
        let batch = lease.batch();
        if batch > 1 && left < batch.div_ceil(2) && lease.empty_for(self.leases.now()).is_none() && lease.begin_ahead()
        {
            self.renew_ahead(lease);
        }
    }

    #[cold]
    fn renew_ahead(self: &Arc<Self>, lease: Arc<Lease>) {
        let inner = self.clone();
        tokio::spawn(async move {
            if let Some(asking) = lease.try_asking().filter(|_| !lease.is_over()) {
                // A failure is counted, and the calls without credit see it.
                let _ = inner.renew(&lease, Tokens::ZERO, &asking).await;
            }
            lease.end_ahead();
        });
    }
}

impl<K: ?Sized, S> Clone for LeasedRateLimiter<K, S> {
    fn clone(&self) -> Self {
        LeasedRateLimiter { inner: self.inner.clone(), keys: PhantomData }
    }
}

impl<K: ?Sized, S> fmt::Debug for LeasedRateLimiter<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedRateLimiter").field("max_batch", &self.inner.max_batch).finish_non_exhaustive()
    }
}
