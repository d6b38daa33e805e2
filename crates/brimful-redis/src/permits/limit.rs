//! [`RedisConcurrencyLimit`]: its verbs.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::error::SharedPermitError;
use super::keeper::{Exit, Gone};
use super::lease::{Held, Lease};
use super::permit::SharedPermit;
use super::script::{Permits, Taken};
use super::turns::{Turn, Turns};
use crate::redis::{Connect, Link, RedisStore};
use crate::shared::{AFTER_FAILURE, FailurePolicy, Requests, SharedStats, Unavailable, next_id, random};

/// A limit of the calls in flight for each key, shared by any number of processes: at most this many permits are held at a
/// time.
///
/// A permit is a lease in the store. While the permit lives, one task of its process renews the leases of all its permits,
/// by one call for each key. A process that dies renews nothing, so its permits are free when their
/// [leases](crate::RedisConcurrencyLimitBuilder::lease) end.
///
/// # The bound
///
/// A permit is granted only while the store has fewer leases of the key than the limit of the caller. So at any instant of
/// the server's clock, **at most `n` leases** go on, if no process has a higher limit than `n`.
/// [`resize`](RedisConcurrencyLimit::resize) changes the limit of this process: after a lower one, permits that are held
/// stay valid.
///
/// The holders of these leases run at most `n` at a time, as long as each stops when its permit
/// [is lost](crate::SharedPermit::lost). A process that was paused for longer than its lease may believe in a permit that is
/// another's by then, until it looks: for this there is a [fencing number](crate::SharedPermit::fence).
/// If the store loses its data, up to `n` further permits are granted, and those before are lost with their next renewal,
/// about half a lease later at the latest. If its clock steps back, it stands still for the keys in use until it has caught
/// up, and no lease ends meanwhile.
///
/// # Fairness
///
/// Waiting calls of one process for one key are served in order of arrival. The first of them has a place in a queue in the
/// store, so that processes take turns, in order of their places: no call gets a permit that would go to a waiter with a
/// place, also none that does not wait. A waiter asks again as soon as this process has released a permit of the key, and
/// otherwise after an eighth of the time that it has waited: 2 ms at least, 100 ms at most. A place is lost if its waiter does
/// not ask for a second.
///
/// # Memory
///
/// A lease takes about 30 bytes of the store's memory, or about 120 if a key has more than 128. A key expires a lease after
/// its last permit: so long, its fencing numbers rise also if the server's clock steps back.
///
/// # Failures
///
/// A decision takes no longer than the builder's [deadline](crate::RedisConcurrencyLimitBuilder::deadline). If the store
/// has no answer by then, or fails, a [`FailurePolicy`] decides. A permit of the policy has no lease, and the store never
/// counts it. With [`LocalShare`](FailurePolicy::LocalShare), the policy grants a permit while this process holds fewer of
/// the key than the limit divided by the number of processes, or fewer than one.
///
/// # Cancel safety
///
/// A dropped future may have taken a permit all the same, because the request may be on its way. It is released at once;
/// if that is lost, or overtakes the request, the permit is free when its lease ends.
///
/// # Examples
///
/// ```no_run
/// use brimful_redis::{RedisConcurrencyLimit, RedisStore};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::connect("redis://127.0.0.1/").await?;
/// let exports = RedisConcurrencyLimit::<str>::builder(4).prefix("exports").build(store)?;
/// let permit = exports.acquire("alice").await?;
/// // Four exports of alice at a time, on all machines.
/// drop(permit);
/// # Ok(())
/// # }
/// ```
pub struct RedisConcurrencyLimit<K: ?Sized, L = Link> {
    /// Relaxed: it orders nothing.
    pub(super) limit: AtomicUsize,
    pub(super) prefix: String,
    pub(super) policy: FailurePolicy,
    pub(super) lease: Duration,
    pub(super) requests: Arc<Requests<RedisStore<L>>>,
    pub(super) held: Arc<Held>,
    pub(super) turns: Arc<Turns>,
    pub(super) exit: Exit,
    pub(super) keys: PhantomData<fn(&K)>,
}

impl<K: ?Sized, L> RedisConcurrencyLimit<K, L> {
    /// Returns the limit of this process.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Changes the limit of this process, for all keys. Permits that are held stay valid. A limit of 0 pauses: it grants
    /// nothing, and waiters wait, but have no places in the store.
    ///
    /// Each grant is made under the limit of its caller, so resize in all processes.
    pub fn resize(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
        self.turns.resized();
    }
}

impl<K: fmt::Display + ?Sized, L: Connect> RedisConcurrencyLimit<K, L> {
    /// Returns the counts of decisions by their origin. Renewals and releases are not counted.
    #[must_use]
    pub fn stats(&self) -> SharedStats {
        self.requests.stats()
    }

    /// Emits the counts since the last emission, as [`RedisRateLimiter::emit_stats`](crate::RedisRateLimiter::emit_stats)
    /// does.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub fn emit_stats(&self) {
        self.requests.emit_stats();
    }

    /// Takes a permit of the key if one is free and no waiter would get it.
    ///
    /// # Errors
    ///
    /// [`SharedPermitError::NoPermit`], and [`SharedPermitError::Unavailable`] if the store did not decide and the policy is
    /// to deny.
    pub async fn try_acquire(&self, key: &K) -> Result<SharedPermit, SharedPermitError> {
        let mut call = Call::new(self, key);
        let outcome = match call.take(false).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(taken)) => Err(SharedPermitError::NoPermit { in_flight: taken.held, limit: self.limit() }),
            Err(why) => return call.take_by_policy(why),
        };
        self.requests.decided(outcome.is_ok());
        outcome
    }

    /// Waits until a permit of the key is free, and takes it. If the store is not available and the policy denies, the call
    /// asks again when the breaker lets it.
    ///
    /// # Cancel safety
    ///
    /// A dropped call loses its place. If it is dropped while it asks, a permit that it was granted is released.
    ///
    /// # Errors
    ///
    /// None at present: the call waits for a store that is not available.
    pub async fn acquire(&self, key: &K) -> Result<SharedPermit, SharedPermitError> {
        self.acquire_by(key, None).await
    }

    /// As [`acquire`](RedisConcurrencyLimit::acquire), for `timeout` at most, and for the deadline of a last decision.
    ///
    /// # Errors
    ///
    /// [`SharedPermitError::TimedOut`], and [`SharedPermitError::Unavailable`] if the store did not decide last and the
    /// policy is to deny.
    pub async fn acquire_within(&self, key: &K, timeout: Duration) -> Result<SharedPermit, SharedPermitError> {
        self.acquire_by(key, Instant::now().checked_add(timeout)).await
    }

    /// Returns the number of the key's permits that all processes hold.
    ///
    /// # Errors
    ///
    /// [`SharedPermitError::Unavailable`], with any policy.
    pub async fn in_flight(&self, key: &K) -> Result<usize, SharedPermitError> {
        let key = self.key(key);
        let permits = self.permits(&key);
        let held = self.requests.within_deadline(true, || permits.held()).await;
        held.map_err(SharedPermitError::Unavailable)
    }

    pub(crate) async fn acquire_by(
        &self,
        key: &K,
        deadline: Option<Instant>,
    ) -> Result<SharedPermit, SharedPermitError> {
        let mut call = Call::new(self, key);
        let joined = self.turns.join(&call.key);
        let outcome = match by(deadline, joined.turn.first.lock()).await {
            Some(_first) => call.take_in_turn(&joined.turn, deadline).await,
            None => Err(SharedPermitError::TimedOut),
        };
        if let Err(SharedPermitError::TimedOut) = outcome {
            self.requests.decided(false);
        }
        outcome
    }

    fn key(&self, key: &K) -> Arc<str> {
        format!("{}:{key}", self.prefix).into()
    }
}

impl<K: ?Sized, L: Connect> RedisConcurrencyLimit<K, L> {
    fn permits<'a>(&'a self, key: &'a str) -> Permits<'a, L> {
        Permits { store: &self.requests.store, key, lease: self.lease, patience: self.requests.deadline }
    }

    fn permit(&self, lease: Arc<Lease>) -> SharedPermit {
        SharedPermit::new(lease, self.held.clone(), self.exit.clone())
    }
}

/// A call for a permit.
struct Call<'a, K: ?Sized, L> {
    limit: &'a RedisConcurrencyLimit<K, L>,
    key: Arc<str>,
    id: u128,
    /// Whether the store may have a permit or a place for this call.
    is_known: bool,
}

impl<'a, K: fmt::Display + ?Sized, L: Connect> Call<'a, K, L> {
    fn new(limit: &'a RedisConcurrencyLimit<K, L>, key: &K) -> Self {
        Call { limit, key: limit.key(key), id: next_id().0, is_known: false }
    }

    /// Asks the store for the permit.
    async fn take(&mut self, waits: bool) -> Result<Result<SharedPermit, Taken>, Unavailable> {
        let (limit, was_known) = (self.limit, self.is_known);
        self.is_known = true;
        let (permits, most, asked) = (limit.permits(&self.key), limit.limit(), Instant::now());
        // A limit of zero has no place, so that processes with another one are not held up.
        let waits = waits && most > 0;
        let answer = limit.requests.within_deadline(true, || permits.take(self.id, most, waits)).await;
        match answer {
            Ok(taken) if taken.granted => {
                self.is_known = false;
                Ok(Ok(limit.permit(limit.held.insert(&self.key, self.id, taken.fence, asked))))
            }
            Ok(taken) => {
                self.is_known = was_known || waits;
                Ok(Err(taken))
            }
            Err(why) => {
                self.is_known = was_known || why.may_be_done();
                Err(why)
            }
        }
    }

    fn take_by_policy(&self, why: Unavailable) -> Result<SharedPermit, SharedPermitError> {
        let (limit, reason) = (self.limit, why.reason());
        let most = match limit.policy {
            FailurePolicy::Deny => {
                limit.requests.decided_by_policy(false, reason);
                return Err(SharedPermitError::Unavailable(why));
            }
            FailurePolicy::Allow => usize::MAX,
            FailurePolicy::LocalShare(n) => share(limit.limit(), n),
        };
        // The store may have a permit with the id of the call, which is released.
        let outcome = limit.held.insert_below(&self.key, next_id().0, most);
        limit.requests.decided_by_policy(outcome.is_ok(), reason);
        let failed = |in_flight| SharedPermitError::NoPermit { in_flight, limit: most };
        outcome.map(|lease| limit.permit(lease)).map_err(failed)
    }

    /// Asks until the permit is granted.
    async fn take_in_turn(
        &mut self,
        turn: &Turn,
        deadline: Option<Instant>,
    ) -> Result<SharedPermit, SharedPermitError> {
        let begun = Instant::now();
        loop {
            let (failure, pause) = match self.take(true).await {
                Ok(Ok(permit)) => {
                    self.limit.requests.decided(true);
                    return Ok(permit);
                }
                Ok(Err(taken)) => (SharedPermitError::TimedOut, pause(begun, Some(taken.first_end))),
                Err(why) => {
                    let open = why.retry_after();
                    match self.take_by_policy(why) {
                        Ok(permit) => return Ok(permit),
                        Err(failure @ SharedPermitError::Unavailable(_)) => (failure, open.unwrap_or(AFTER_FAILURE)),
                        Err(_) => (SharedPermitError::TimedOut, pause(begun, None)),
                    }
                }
            };
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Err(failure);
            }
            let next = now + pause.mul_f64(1.0 - random() / 4.0);
            let next = deadline.map_or(next, |deadline| deadline.min(next));
            let _ = timeout_at(next, turn.released.notified()).await;
        }
    }
}

impl<K: ?Sized, L> Drop for Call<'_, K, L> {
    fn drop(&mut self) {
        if self.is_known {
            // Without a keeper, because the runtime has ended, the lease ends by itself.
            let _ = self.limit.exit.send(Gone { key: self.key.clone(), id: self.id, confirmed: None });
        }
    }
}

/// Returns the share of one of `n` processes.
fn share(limit: usize, n: u32) -> usize {
    let n = usize::try_from(n).unwrap_or(usize::MAX).max(1);
    (limit / n).max(limit.min(1))
}

/// Returns the time to the next attempt of a waiter, if no permit is released in this process: until a lease may end, or
/// less.
fn pause(begun: Instant, first_end: Option<Duration>) -> Duration {
    const SHORTEST: Duration = Duration::from_millis(2);
    const LONGEST: Duration = Duration::from_millis(100);
    let pause = (begun.elapsed() / 8).clamp(SHORTEST, LONGEST);
    match first_end {
        Some(end) if !end.is_zero() => pause.min(end.max(SHORTEST)),
        _ => pause,
    }
}

/// Returns the output of a future, unless the deadline comes first.
async fn by<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

impl<K: ?Sized, L> fmt::Debug for RedisConcurrencyLimit<K, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConcurrencyLimit")
            .field("limit", &self.limit())
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
