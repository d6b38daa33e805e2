//! [`RedisSlidingWindowLimiterBuilder`]: the settings of a sliding window.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use brimful::{KeyedCompositeLimiter, Quota, Quotas};

use super::limiter::RedisSlidingWindowLimiter;
use super::script::Window;
use crate::redis::{Connect, RedisStore};
use crate::shared::{BuildError, FailurePolicy, Fallback, Settings, Unavailable};

/// The settings of a [`RedisSlidingWindowLimiter`].
#[must_use = "a builder does nothing until `build`"]
pub struct RedisSlidingWindowLimiterBuilder<K: ?Sized> {
    limit: u32,
    length: Duration,
    sub_windows: u32,
    settings: Settings,
    keys: PhantomData<fn(&K)>,
}

impl<K: fmt::Display + ?Sized> RedisSlidingWindowLimiter<K> {
    /// Returns a builder of a limiter of at most `n` tokens in any window of this length, for each key. The length is
    /// rounded up to microseconds.
    pub fn builder(n: u32, length: Duration) -> RedisSlidingWindowLimiterBuilder<K> {
        RedisSlidingWindowLimiterBuilder {
            limit: n,
            length,
            sub_windows: 64,
            settings: Settings::default(),
            keys: PhantomData,
        }
    }
}

impl<K: fmt::Display + ?Sized> RedisSlidingWindowLimiterBuilder<K> {
    /// Sets the number of sub-windows, 1 to 1000: 64 by default. A token comes back at most `length / sub_windows` late,
    /// and a key takes up to about 14 bytes for each.
    pub fn sub_windows(mut self, number: u32) -> Self {
        self.sub_windows = number.clamp(1, 1000);
        self
    }

    /// Sets the beginning of the store's keys: `brimful` by default. Limiters with the same prefix share the windows of
    /// equal keys. Their windows must have the same length: a shorter one forgets what a longer one still counts. (The
    /// limit may change at any time.)
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

    /// Gives each request an id, as [`RedisRateLimiterBuilder::repeat_lost`](crate::RedisRateLimiterBuilder::repeat_lost).
    pub fn repeat_lost(mut self, remembered: Duration) -> Self {
        self.settings.remembered = Some(remembered);
        self
    }

    /// Names the policy, for metrics and events: by default it is called by the limit, as `at most 100 in 60s`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = Some(name.into());
        self
    }

    /// Sets a function that is called, on the task of the call, for each call that the store did not decide.
    pub fn on_failure_hook(mut self, hook: impl Fn(&Unavailable) + Send + Sync + 'static) -> Self {
        self.settings.hook = Some(Arc::new(hook));
        self
    }

    /// Returns a limiter on this store.
    ///
    /// # Errors
    ///
    /// Returns an error if the limit or the deadline is zero, the window is shorter than a microsecond or longer than 50
    /// years, or a local share is not possible.
    pub fn build<L: Connect>(self, store: RedisStore<L>) -> Result<RedisSlidingWindowLimiter<K, L>, BuildError> {
        let (limit, length) = (self.limit, self.length);
        let name = format!("at most {limit} in {length:?}");
        Ok(RedisSlidingWindowLimiter {
            window: Window::new(limit, length, self.sub_windows)?,
            fallback: Fallback::of(self.settings.policy, |n| share(limit, length, n))?,
            prefix: self.settings.prefix.clone(),
            requests: self.settings.requests(store, || name.clone())?,
            name,
            keys: PhantomData,
        })
    }
}

/// Returns the limiter of one of `n` processes: its share of the tokens in any window.
fn share(limit: u32, length: Duration, n: u32) -> Result<KeyedCompositeLimiter<str>, BuildError> {
    let failed = |why: String| BuildError::LocalShare(n, why);
    let quota = Quota::at_most(u64::from((limit / n).max(1)), length).map_err(|error| failed(error.to_string()))?;
    KeyedCompositeLimiter::new(Quotas::from(quota.initial(0))).map_err(|error| failed(error.to_string()))
}

impl<K: ?Sized> fmt::Debug for RedisSlidingWindowLimiterBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSlidingWindowLimiterBuilder")
            .field("limit", &self.limit)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}
