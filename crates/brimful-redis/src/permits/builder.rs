//! [`RedisConcurrencyLimitBuilder`]: the settings of a concurrency limit.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc::unbounded_channel;

use super::keeper::Keeper;
use super::lease::Held;
use super::limit::RedisConcurrencyLimit;
use super::turns::Turns;
use crate::redis::{Connect, RedisStore};
use crate::shared::{BuildError, FailurePolicy, Settings, Unavailable};

/// The settings of a [`RedisConcurrencyLimit`].
#[must_use = "a builder does nothing until `build`"]
pub struct RedisConcurrencyLimitBuilder<K: ?Sized> {
    limit: usize,
    lease: Duration,
    settings: Settings,
    keys: PhantomData<fn(&K)>,
}

impl<K: fmt::Display + ?Sized> RedisConcurrencyLimit<K> {
    /// Returns a builder of a limit of this many permits for each key.
    pub fn builder(limit: usize) -> RedisConcurrencyLimitBuilder<K> {
        let lease = Duration::from_secs(10);
        RedisConcurrencyLimitBuilder { limit, lease, settings: Settings::default(), keys: PhantomData }
    }
}

impl<K: fmt::Display + ?Sized> RedisConcurrencyLimitBuilder<K> {
    /// Sets the length of a lease: 10 s by default, and an hour at most. After it the permits of a process that has died
    /// are free. Leases are renewed when between a third and a half of their length has passed, and a renewal that fails is
    /// repeated, so a holder keeps its permits if the store is away for less than about half of the length.
    pub fn lease(mut self, length: Duration) -> Self {
        self.lease = length.min(Duration::from_secs(3_600));
        self
    }

    /// Sets the beginning of the store's keys: `brimful` by default. Limits with the same prefix share the permits of equal
    /// keys.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.prefix = prefix.into();
        self
    }

    /// Sets the decision on calls if the store is not available: [`FailurePolicy::Deny`] by default.
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Sets the longest time for a decision: 100 ms by default. After it, the policy decides.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// Names the policy, for metrics and events: by default it is called by the limit, as `4 in flight`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = Some(name.into());
        self
    }

    /// Sets a function that is called, on the task of the call, for each attempt that the store did not decide.
    pub fn on_failure_hook(mut self, hook: impl Fn(&Unavailable) + Send + Sync + 'static) -> Self {
        self.settings.hook = Some(Arc::new(hook));
        self
    }

    /// Returns a limit on this store. A task renews and releases its permits until the limit and all its permits are dropped.
    ///
    /// # Errors
    ///
    /// Returns an error if the deadline is zero, the lease is shorter than three deadlines, a local share is that of zero
    /// processes, or there is no tokio runtime here.
    pub fn build<L: Connect>(self, store: RedisStore<L>) -> Result<RedisConcurrencyLimit<K, L>, BuildError> {
        let runtime = Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let Settings { policy, deadline, .. } = self.settings;
        if self.lease < deadline * 3 {
            return Err(BuildError::Lease(self.lease, deadline));
        }
        let policy = policy.checked()?;
        let prefix = self.settings.prefix.clone();
        let requests = Arc::new(self.settings.requests(store, || format!("{} in flight", self.limit))?);
        let (held, turns) = (Arc::new(Held::new(self.lease)), Arc::new(Turns::default()));
        let (exit, gone) = unbounded_channel();
        let (requests_of_keeper, lease) = (requests.clone(), self.lease);
        let keeper = Keeper { requests: requests_of_keeper, held: held.clone(), turns: turns.clone(), lease };
        runtime.spawn(Arc::new(keeper).run(gone));
        let limit = AtomicUsize::new(self.limit);
        Ok(RedisConcurrencyLimit { limit, prefix, policy, lease, requests, held, turns, exit, keys: PhantomData })
    }
}

impl<K: ?Sized> fmt::Debug for RedisConcurrencyLimitBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConcurrencyLimitBuilder")
            .field("limit", &self.limit)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}
