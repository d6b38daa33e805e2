//! [`RedisRateLimiter`]: its verbs.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use brimful::{Quotas, Tokens};
use tokio::time::Instant;

use super::decision::{SharedDecision, Source};
use super::error::{SharedError, Unavailable};
use super::fallback::Fallback;
use super::requests::Requests;
use super::reservation::SharedReservation;
use super::stats::SharedStats;
use super::waiting::until_admitted;
use crate::engine::{Limit, Operation, Outcome, Store};
use crate::redis::RedisStore;

/// A limiter of one or several quotas for each key, whose buckets are on a server that many processes share.
///
/// Each decision is one round trip: the server decides, in one atomic step, by its own clock. So for each key all processes
/// together are never granted more than `burst + rate × T` in a time T of the server's clock, and the decisions are those
/// of one [`KeyedCompositeLimiter`](brimful::KeyedCompositeLimiter). If the server loses its data, every bucket starts
/// anew. If the server's clock steps back, it stands still for the keys that are in use.
///
/// A key is written by `Display`. Two keys that are written alike share a bucket.
///
/// # Failures
///
/// A decision takes no longer than the builder's [deadline](crate::RedisRateLimiterBuilder::deadline). If the store has no
/// answer by then, or fails, a [`FailurePolicy`](crate::FailurePolicy) decides. After three failures in a row the store is
/// not asked for a while, and then by one call first.
///
/// # Cancel safety
///
/// A dropped future of a verb may have charged its cost all the same, because the request may be on its way. A dropped
/// [`acquire`](RedisRateLimiter::acquire) charges nothing while it sleeps.
///
/// # Examples
///
/// ```no_run
/// use brimful::Quota;
/// use brimful_redis::{FailurePolicy, RedisRateLimiter, RedisStore};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::connect("redis://127.0.0.1/").await?;
/// let limiter = RedisRateLimiter::<str>::builder(Quota::per_second(100).burst(200))
///     .prefix("api")
///     .on_failure(FailurePolicy::LocalShare(3))
///     .build(store)?;
/// match limiter.try_acquire("alice").await {
///     Ok(()) => println!("served"),
///     Err(refused) => println!("refused: {refused}"),
/// }
/// # Ok(())
/// # }
/// ```
pub struct RedisRateLimiter<K: ?Sized, S = RedisStore> {
    pub(super) quotas: Quotas,
    /// The quotas in integers.
    pub(super) limits: Vec<Limit>,
    pub(super) prefix: String,
    pub(super) requests: Requests<S>,
    pub(super) fallback: Fallback,
    pub(super) keys: PhantomData<fn(&K)>,
}

impl<K: fmt::Display + ?Sized, S: Store> RedisRateLimiter<K, S> {
    /// Returns the quotas.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Returns the counts of decisions by their origin.
    #[must_use]
    pub fn stats(&self) -> SharedStats {
        self.requests.stats()
    }

    /// Takes one token of each quota if all are there.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](RedisRateLimiter::try_acquire_n).
    pub async fn try_acquire(&self, key: &K) -> Result<(), SharedError> {
        self.try_acquire_n(key, Tokens::ONE).await
    }

    /// Takes `n` tokens of each quota, all or none.
    ///
    /// # Errors
    ///
    /// [`SharedError::RateLimited`] if the tokens are not there yet, [`SharedError::ExceedsBurst`] if they never could be,
    /// and [`SharedError::Unavailable`] if the store did not decide and the policy is to deny.
    pub async fn try_acquire_n(&self, key: &K, n: impl Into<Tokens>) -> Result<(), SharedError> {
        self.take(&self.key(key), n.into()).await.map(drop)
    }

    /// Takes `n` tokens of each quota if all are there, and returns the numbers for response headers.
    pub async fn decide(&self, key: &K, n: impl Into<Tokens>) -> SharedDecision {
        self.decide_by(&self.key(key), n.into()).await
    }

    /// As [`decide`](RedisRateLimiter::decide), but takes nothing. If the store is not available, the policy decides, and a
    /// local share is charged.
    pub async fn preview(&self, key: &K, n: impl Into<Tokens>) -> SharedDecision {
        self.preview_by(&self.key(key), n.into()).await
    }

    /// Waits until `n` tokens of each quota are there, and takes them.
    ///
    /// The call asks, and sleeps for the time that the store reports, and a random part of up to a tenth more, until it is
    /// admitted. Waiting calls have no order among them. If the store is not available and the policy denies, the call
    /// asks again when the breaker lets it.
    ///
    /// # Errors
    ///
    /// [`SharedError::ExceedsBurst`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is charged while the call sleeps. If it is dropped while it asks, its cost may have been charged.
    pub async fn acquire_n(&self, key: &K, n: impl Into<Tokens>) -> Result<(), SharedError> {
        self.acquire_by(key, n.into(), None).await.map(drop)
    }

    /// As [`acquire_n`](RedisRateLimiter::acquire_n) for one token.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RedisRateLimiter::acquire_n).
    pub async fn acquire(&self, key: &K) -> Result<(), SharedError> {
        self.acquire_by(key, Tokens::ONE, None).await.map(drop)
    }

    /// As [`acquire_n`](RedisRateLimiter::acquire_n), but fails with the last error as soon as the next attempt would be
    /// later than `timeout` from now. The last attempt may take a decision's
    /// [deadline](crate::RedisRateLimiterBuilder::deadline) longer.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](RedisRateLimiter::try_acquire_n).
    pub async fn acquire_n_within(&self, key: &K, n: impl Into<Tokens>, timeout: Duration) -> Result<(), SharedError> {
        self.acquire_by(key, n.into(), Instant::now().checked_add(timeout)).await.map(drop)
    }

    /// Takes `n` tokens for a cost that is known later.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](RedisRateLimiter::try_acquire_n).
    pub async fn try_reserve_n(
        &self,
        key: &K,
        n: impl Into<Tokens>,
    ) -> Result<SharedReservation<'_, K, S>, SharedError> {
        let (key, n) = (self.key(key), n.into());
        let decision = self.take(&key, n).await?;
        Ok(SharedReservation::new(self, key, n, decision.source()))
    }

    /// Returns the numbers of a key's buckets, and takes nothing.
    ///
    /// # Errors
    ///
    /// [`SharedError::Unavailable`], with any policy.
    pub async fn peek(&self, key: &K) -> Result<SharedDecision, SharedError> {
        let limits = self.amounts(|_| 0);
        let outcome = self.requests.ask(&self.key(key), Operation::Peek, &limits).await;
        let outcome = outcome.map_err(SharedError::Unavailable)?;
        Ok(SharedDecision::of_store(&self.quotas, &limits, Tokens::ZERO, &outcome))
    }

    /// Gives `n` tokens to each of the key's buckets, up to full ones, and returns the least that a bucket got.
    ///
    /// # Errors
    ///
    /// [`SharedError::Unavailable`], with any policy.
    pub async fn add_tokens(&self, key: &K, n: impl Into<Tokens>) -> Result<Tokens, SharedError> {
        self.add(&self.key(key), n.into()).await
    }

    /// Fills the key's buckets.
    ///
    /// # Errors
    ///
    /// [`SharedError::Unavailable`], with any policy.
    pub async fn reset(&self, key: &K) -> Result<(), SharedError> {
        self.ask(&self.key(key), Operation::Reset, Tokens::ZERO).await.map(drop).map_err(SharedError::Unavailable)
    }
}

impl<K: fmt::Display + ?Sized, S: Store> RedisRateLimiter<K, S> {
    pub(crate) fn key(&self, key: &K) -> String {
        format!("{}:{key}", self.prefix)
    }

    /// Takes, by the store or the policy.
    pub(super) async fn take(&self, key: &str, n: Tokens) -> Result<SharedDecision, SharedError> {
        self.decide_by(key, n).await.into_result()
    }

    /// Decides, by the store or the policy.
    pub(crate) async fn decide_by(&self, key: &str, n: Tokens) -> SharedDecision {
        let limits = self.amounts(|limit| limit.cost(n));
        match self.requests.ask(key, Operation::Take, &limits).await {
            Ok(outcome) => {
                self.requests.decided(outcome.admitted);
                SharedDecision::of_store(&self.quotas, &limits, n, &outcome)
            }
            Err(why) => self.decision_of_policy(key, n, why),
        }
    }

    /// Decides without a charge of the store.
    pub(crate) async fn preview_by(&self, key: &str, n: Tokens) -> SharedDecision {
        let limits = self.amounts(|limit| limit.cost(n));
        match self.requests.ask(key, Operation::Peek, &limits).await {
            Ok(mut outcome) => {
                let holds = |((limit, amount), bucket): (&(Limit, u64), &(u64, u64))| {
                    *amount == 0 || bucket.0 + amount <= limit.capacity()
                };
                outcome.admitted = limits.iter().zip(&outcome.buckets).all(holds);
                self.requests.decided(outcome.admitted);
                SharedDecision::of_store(&self.quotas, &limits, n, &outcome)
            }
            Err(why) => self.decision_of_policy(key, n, why),
        }
    }

    fn decision_of_policy(&self, key: &str, n: Tokens, why: Unavailable) -> SharedDecision {
        SharedDecision::new(Source::Policy, &self.quotas, self.decide_by_policy(key, n, why))
    }

    /// Decides by the policy.
    pub(crate) fn decide_by_policy(&self, key: &str, n: Tokens, why: Unavailable) -> Result<(), SharedError> {
        let reason = why.reason();
        let decided = self.fallback.decide(|nth| self.quotas.name(nth), key, n, why);
        self.requests.decided_by_policy(decided.is_ok(), reason);
        decided
    }

    /// Called when a batch is taken for a lease.
    pub(crate) fn count_renewal(&self) {
        self.requests.counters.renewed();
    }

    async fn acquire_by(&self, key: &K, n: Tokens, deadline: Option<Instant>) -> Result<SharedDecision, SharedError> {
        let key = self.key(key);
        until_admitted(|| self.take(&key, n), None, deadline).await
    }

    /// Settles `reserved` tokens that a decision of this origin took for their true cost. Returns the tokens that the debt
    /// limit left uncharged.
    pub(super) async fn settle(
        &self,
        key: &str,
        source: Source,
        reserved: Tokens,
        actual: Tokens,
    ) -> Result<Tokens, SharedError> {
        if source == Source::Policy || actual == reserved {
            return Ok(Tokens::ZERO);
        }
        if actual < reserved {
            self.add(key, reserved.saturating_sub(actual)).await?;
            return Ok(Tokens::ZERO);
        }
        let more = actual.saturating_sub(reserved);
        let charged = self.charge(key, more).await?;
        Ok(more.saturating_sub(charged))
    }

    pub(super) async fn add(&self, key: &str, n: Tokens) -> Result<Tokens, SharedError> {
        self.done(key, Operation::Add, n).await
    }

    /// Charges `n` tokens to each of the key's buckets, into debt if need be, and returns the least that a bucket was
    /// charged.
    pub(super) async fn charge(&self, key: &str, n: Tokens) -> Result<Tokens, SharedError> {
        self.done(key, Operation::Charge, n).await
    }

    /// Asks the store, and returns the least that was taken from a bucket or given back.
    async fn done(&self, key: &str, operation: Operation, n: Tokens) -> Result<Tokens, SharedError> {
        let outcome = self.ask(key, operation, n).await.map_err(SharedError::Unavailable)?;
        Ok(self.least_done(&outcome))
    }

    /// Asks the store. Amounts that are given back are rounded down, and costs up.
    pub(crate) async fn ask(&self, key: &str, operation: Operation, n: Tokens) -> Result<Outcome, Unavailable> {
        let units = |limit: &Limit| if operation == Operation::Add { limit.given_back(n) } else { limit.cost(n) };
        self.requests.ask(key, operation, &self.amounts(units)).await
    }

    /// Returns the least tokens that were taken from a bucket or given back.
    pub(crate) fn least_done(&self, outcome: &Outcome) -> Tokens {
        let done = self.limits.iter().zip(&outcome.buckets).map(|(limit, bucket)| limit.tokens(bucket.1));
        done.min().unwrap_or(Tokens::ZERO)
    }

    /// Returns the time after a decision until `n` tokens are there, if no call comes between.
    pub(crate) fn time_until(&self, outcome: &Outcome, n: Tokens) -> Wait {
        let each = self.limits.iter().zip(&outcome.buckets).enumerate().map(|(nth, (limit, bucket))| Wait {
            time: outcome.time_until(limit, bucket.0, limit.cost(n)),
            limit: nth,
        });
        each.max_by_key(|wait| wait.time).unwrap_or_default()
    }

    /// Returns the longest time for a decision.
    pub(crate) fn deadline(&self) -> Duration {
        self.requests.deadline
    }

    /// Returns whether a burst is below one token, so that no whole token can be taken.
    pub(crate) fn has_small_burst(&self) -> bool {
        self.quotas.as_slice().iter().any(|quota| quota.capacity() < Tokens::ONE)
    }

    /// Returns half of the least burst, in whole tokens.
    pub(crate) fn half_a_burst(&self) -> Tokens {
        let least = self.quotas.as_slice().iter().map(|quota| quota.capacity().whole()).min();
        Tokens::new(least.unwrap_or_default() / 2)
    }

    /// Returns the error of a call that has to wait.
    pub(crate) fn rate_limited(&self, wait: Wait) -> SharedError {
        let limit = self.quotas.name(wait.limit).unwrap_or_default().to_owned();
        SharedError::RateLimited { limit, retry_after: wait.time }
    }

    /// Returns an error if a cost is above a burst.
    pub(crate) fn check_cost(&self, n: Tokens) -> Result<(), SharedError> {
        match self.quotas.iter().find(|(_, quota)| n > quota.capacity()) {
            Some((name, quota)) => {
                Err(SharedError::ExceedsBurst { limit: name.to_owned(), requested: n, burst: quota.capacity() })
            }
            None => Ok(()),
        }
    }

    /// Returns the limits, each with the units of an amount.
    fn amounts(&self, units: impl Fn(&Limit) -> u64) -> Vec<(Limit, u64)> {
        self.limits.iter().map(|limit| (*limit, units(limit))).collect()
    }
}

/// The time until a limit has tokens, and the index of the limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wait {
    pub(crate) time: Duration,
    pub(crate) limit: usize,
}

impl<K: ?Sized, S> fmt::Debug for RedisRateLimiter<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRateLimiter")
            .field("quotas", &self.quotas)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
