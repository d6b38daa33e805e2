//! [`LeasedRateLimiter`]: its verbs.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use brimful::{Quotas, Tokens};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::lease::{Lease, Leases};
use crate::engine::Store;
use crate::redis::RedisStore;
use crate::shared::{
    OwnedSharedReservation, RedisRateLimiter, SharedDecision, SharedError, SharedFuture, SharedStats, Source,
    until_admitted,
};

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
    pub(super) direct: Arc<RedisRateLimiter<K, S>>,
    pub(super) runtime: Handle,
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
        if inner.take_leased(id, n) {
            return Ok(());
        }
        inner.take_slowly(id, inner.direct.key(key), n).await.1
    }

    /// As [`decide`](LeasedRateLimiter::decide), if this process knows the decision: the tokens are in its credit, which the
    /// call may begin to renew. `None` if the store has to be asked; nothing was taken then.
    #[must_use]
    pub fn decide_leased(&self, key: &K, n: impl Into<Tokens>) -> Option<SharedDecision> {
        let is_taken = self.inner.take_leased(self.inner.hasher.hash_one(key), n.into());
        is_taken.then(|| SharedDecision::new(Source::Lease, self.quotas(), Ok(())))
    }

    /// As [`try_acquire_n`](LeasedRateLimiter::try_acquire_n), and returns the decision. Its
    /// [numbers](SharedDecision::limits) are few, because a lease does not know the store's.
    pub async fn decide(&self, key: &K, n: impl Into<Tokens>) -> SharedDecision {
        let (inner, n) = (&self.inner, n.into());
        inner.decide_by(inner.hasher.hash_one(key), inner.direct.key(key), n).await
    }

    /// As [`decide`](LeasedRateLimiter::decide), by a future that owns its share of the limiter.
    pub fn decide_owned(&self, key: &K, n: impl Into<Tokens>) -> SharedFuture<SharedDecision> {
        let (inner, n) = (self.inner.clone(), n.into());
        let (id, key) = (inner.hasher.hash_one(key), inner.direct.key(key));
        Box::pin(async move { inner.decide_by(id, key, n).await })
    }

    /// As [`RedisRateLimiter::preview_owned`]: asks the store, because a credit is not all that there is.
    pub fn preview_owned(&self, key: &K, n: impl Into<Tokens>) -> SharedFuture<SharedDecision> {
        self.inner.direct.preview_owned(key, n)
    }

    /// As [`RedisRateLimiter::acquire_n_owned`].
    pub fn acquire_n_owned(
        &self,
        key: &K,
        n: impl Into<Tokens>,
        timeout: Duration,
        refused: Option<SharedError>,
    ) -> SharedFuture<Result<SharedDecision, SharedError>> {
        let (inner, n) = (self.inner.clone(), n.into());
        let (id, key) = (inner.hasher.hash_one(key), inner.direct.key(key));
        let deadline = Instant::now().checked_add(timeout);
        Box::pin(async move {
            let ask = || async { inner.decide_by(id, key.clone(), n).await.into_result() };
            until_admitted(ask, refused, deadline).await
        })
    }

    /// Waits until `n` tokens of each quota are there, and takes them, as [`RedisRateLimiter::acquire_n_within`].
    ///
    /// # Errors
    ///
    /// As [`RedisRateLimiter::acquire_n_within`].
    pub async fn acquire_n_within(&self, key: &K, n: impl Into<Tokens>, timeout: Duration) -> Result<(), SharedError> {
        self.acquire_n_owned(key, n, timeout, None).await.map(drop)
    }

    /// As [`RedisRateLimiter::settle_later`]. A settlement for another cost asks the store.
    pub fn settle_later(&self, key: &K, n: impl Into<Tokens>, source: Source) -> OwnedSharedReservation<K, S> {
        self.inner.direct.settle_later(key, n, source)
    }

    /// Gives all credits back, such as before the process ends.
    pub async fn give_back(&self) {
        self.inner.give_back(true).await;
    }
}

impl<K: fmt::Display + Hash + ?Sized + 'static, S: Store> Inner<K, S> {
    /// Takes from the credit of a key.
    #[inline]
    fn take_leased(self: &Arc<Self>, id: u64, n: Tokens) -> bool {
        let Some(lease) = self.leases.get(id) else { return false };
        let Some(left) = lease.take(n) else { return false };
        self.look_ahead(lease, left);
        true
    }

    async fn decide_by(self: &Arc<Self>, id: u64, key: String, n: Tokens) -> SharedDecision {
        let (source, decided) =
            if self.take_leased(id, n) { (Source::Lease, Ok(())) } else { self.take_slowly(id, key, n).await };
        SharedDecision::new(source, self.direct.quotas(), decided)
    }

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
        self.runtime.spawn(async move {
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
