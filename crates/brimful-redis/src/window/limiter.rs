//! [`RedisSlidingWindowLimiter`]: its verbs.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use brimful::Tokens;
use tokio::time::Instant;

use super::script::{Answer, Call, Operation, Window};
use crate::redis::{Connect, Link, RedisStore};
use crate::shared::{
    Fallback, LimitState, Requests, SharedDecision, SharedError, SharedStats, Source, Unavailable, next_id,
    until_admitted,
};

/// A limiter of at most `n` tokens in any window of a length, for each key, shared by any number of processes.
///
/// A token bucket admits its burst at once, and earns more at once: nearly twice a quota of `n` per window in the first
/// window. This one counts what was granted in the window that ends now, so all `n` tokens may be taken at once, and each
/// comes back when it is as old as the window. Use it if the limit is that of another server, which counts so.
///
/// Each decision is one round trip and one atomic step of the server, by the server's clock.
///
/// # The bound
///
/// In **any** window `[a, a + length)` of the server's clock, at most `n` tokens are granted to a key by all processes
/// together, never more. [`reset`](RedisSlidingWindowLimiter::reset) begins anew, and so does a server that has lost its
/// data. If the server's clock steps back, it stands still for the keys in use until it has caught up.
///
/// A key's log has at most [`sub_windows`](crate::RedisSlidingWindowLimiterBuilder::sub_windows) + 1 entries. As long as
/// a window has no more grants than that, each token comes back exactly when it has left the window. If it has more, the
/// grants of one sub-window come back together, with the newest: up to `length / sub_windows` late, never early. So a
/// limiter that is asked all the time grants at least `n` tokens in `length × (1 + 1 / sub_windows)`.
///
/// The time that a refusal reports is exact: at that microsecond the call is admitted, if no other call comes first, and a
/// microsecond before it is not.
///
/// # Memory
///
/// A key takes 72 bytes with one grant, and up to 952 with the 64 sub-windows of the default. It expires when its window is
/// empty.
///
/// # Failures
///
/// As [`RedisRateLimiter`](crate::RedisRateLimiter#failures).
/// With [`LocalShare`](crate::FailurePolicy::LocalShare), a process admits at most `n` divided by the number of processes, or
/// one token, in any window, by a bucket of its own that starts empty.
///
/// # Cancel safety
///
/// A dropped future of a verb may have charged its cost all the same, because the request may be on its way. A dropped
/// [`acquire`](RedisSlidingWindowLimiter::acquire) charges nothing while it sleeps.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// use brimful_redis::{RedisSlidingWindowLimiter, RedisStore};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::connect("redis://127.0.0.1/").await?;
/// let limiter = RedisSlidingWindowLimiter::<str>::builder(100, Duration::from_secs(60)).build(store)?;
/// if let Err(refused) = limiter.try_acquire_n("alice", 5).await {
///     println!("refused: {refused}");
/// }
/// # Ok(())
/// # }
/// ```
pub struct RedisSlidingWindowLimiter<K: ?Sized, L = Link> {
    pub(super) window: Window,
    /// The name of the limit in decisions and errors.
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) requests: Requests<RedisStore<L>>,
    pub(super) fallback: Fallback,
    pub(super) keys: PhantomData<fn(&K)>,
}

impl<K: fmt::Display + ?Sized, L: Connect> RedisSlidingWindowLimiter<K, L> {
    /// Returns the counts of decisions by their origin.
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

    /// Takes one token, if fewer than `n` were taken in the window that ends now.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](RedisSlidingWindowLimiter::try_acquire_n).
    pub async fn try_acquire(&self, key: &K) -> Result<(), SharedError> {
        self.try_acquire_n(key, Tokens::ONE).await
    }

    /// Takes `n` tokens, all or none. A cost is counted in whole tokens, rounded up.
    ///
    /// # Errors
    ///
    /// [`SharedError::RateLimited`] if the window has too many tokens, [`SharedError::ExceedsBurst`] if the cost is above
    /// the limit, and [`SharedError::Unavailable`] if the store did not decide and the policy is to deny.
    pub async fn try_acquire_n(&self, key: &K, n: impl Into<Tokens>) -> Result<(), SharedError> {
        self.take(&self.key(key), n.into()).await
    }

    /// Takes `n` tokens, all or none, and returns the numbers for response headers. The burst in them is the limit.
    pub async fn decide(&self, key: &K, n: impl Into<Tokens>) -> SharedDecision {
        self.decide_by(&self.key(key), n.into()).await
    }

    /// Waits until `n` tokens can be taken, and takes them.
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
        self.acquire_by(key, n.into(), None).await
    }

    /// As [`acquire_n`](RedisSlidingWindowLimiter::acquire_n) for one token.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](RedisSlidingWindowLimiter::acquire_n).
    pub async fn acquire(&self, key: &K) -> Result<(), SharedError> {
        self.acquire_by(key, Tokens::ONE, None).await
    }

    /// As [`acquire_n`](RedisSlidingWindowLimiter::acquire_n), but fails with the last error as soon as the next attempt
    /// would be later than `timeout` from now.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](RedisSlidingWindowLimiter::try_acquire_n).
    pub async fn acquire_n_within(&self, key: &K, n: impl Into<Tokens>, timeout: Duration) -> Result<(), SharedError> {
        self.acquire_by(key, n.into(), Instant::now().checked_add(timeout)).await
    }

    /// Returns the numbers of a key's window, and takes nothing.
    ///
    /// # Errors
    ///
    /// [`SharedError::Unavailable`], with any policy.
    pub async fn peek(&self, key: &K) -> Result<SharedDecision, SharedError> {
        let answer = self.ask(&self.key(key), Operation::Peek, 0).await.map_err(SharedError::Unavailable)?;
        Ok(self.decision(&answer, Tokens::ZERO))
    }

    /// Empties the key's window.
    ///
    /// # Errors
    ///
    /// [`SharedError::Unavailable`], with any policy.
    pub async fn reset(&self, key: &K) -> Result<(), SharedError> {
        self.ask(&self.key(key), Operation::Reset, 0).await.map(drop).map_err(SharedError::Unavailable)
    }
}

impl<K: fmt::Display + ?Sized, L: Connect> RedisSlidingWindowLimiter<K, L> {
    fn key(&self, key: &K) -> String {
        format!("{}:{key}", self.prefix)
    }

    async fn acquire_by(&self, key: &K, n: Tokens, deadline: Option<Instant>) -> Result<(), SharedError> {
        let key = self.key(key);
        until_admitted(|| self.take(&key, n), None, deadline).await
    }

    /// Takes, by the store or the policy.
    async fn take(&self, key: &str, n: Tokens) -> Result<(), SharedError> {
        self.decide_by(key, n).await.into_result().map(drop)
    }

    /// Decides, by the store or the policy.
    async fn decide_by(&self, key: &str, n: Tokens) -> SharedDecision {
        match self.ask(key, Operation::Take, Window::cost(n)).await {
            Ok(answer) => {
                self.requests.decided(answer.admitted);
                self.decision(&answer, n)
            }
            Err(why) => {
                let reason = why.reason();
                let decided = self.fallback.decide(|_| Some(&self.name), key, n, why);
                self.requests.decided_by_policy(decided.is_ok(), reason);
                let burst = |_: &str| Some(Tokens::new(self.window.limit));
                SharedDecision::without_numbers(Source::Policy, 1, burst, decided)
            }
        }
    }

    async fn ask(&self, key: &str, operation: Operation, cost: u64) -> Result<Answer, Unavailable> {
        let id = self.requests.remembered.filter(|_| operation == Operation::Take).map(|time| (next_id(), time));
        let call = Call { key, operation, cost, id, patience: self.requests.deadline };
        let is_safe = id.is_some() || operation != Operation::Take;
        self.requests.within_deadline(is_safe, || self.window.ask(&self.requests.store, &call)).await
    }

    fn decision(&self, answer: &Answer, n: Tokens) -> SharedDecision {
        let (limit, cost) = (self.window.limit, Window::cost(n));
        let state = LimitState {
            name: self.name.clone(),
            burst: Tokens::new(limit),
            remaining: u64::from(limit).saturating_sub(answer.used) as u32,
            retry_after: (cost <= u64::from(limit)).then_some(answer.wait),
            reset_after: Some(answer.empty),
        };
        SharedDecision::of_states(answer.admitted, vec![state], n)
    }
}

impl<K: ?Sized, L> fmt::Debug for RedisSlidingWindowLimiter<K, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSlidingWindowLimiter")
            .field("window", &self.name)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
