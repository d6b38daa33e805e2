//! [`LeasedRateLimiterBuilder`]: the settings of leases.

use std::fmt;
use std::hash::{Hash, RandomState};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::lease::{Leases, credit_quota};
use super::limiter::{Inner, LeasedRateLimiter};
use crate::engine::Store;
use crate::shared::{BuildError, RedisRateLimiterBuilder};

/// The settings of a [`LeasedRateLimiter`], made by [`RedisRateLimiterBuilder::leased`].
#[must_use = "a builder does nothing until `build`"]
pub struct LeasedRateLimiterBuilder<K: ?Sized> {
    shared: RedisRateLimiterBuilder<K>,
    max_batch: u32,
    horizon: Duration,
    idle: Duration,
    max_keys: usize,
}

impl<K: fmt::Display + ?Sized> RedisRateLimiterBuilder<K> {
    /// Returns a builder of a limiter that takes tokens from the store in batches, and grants them by itself.
    pub fn leased(self) -> LeasedRateLimiterBuilder<K> {
        LeasedRateLimiterBuilder {
            shared: self,
            max_batch: 1_000,
            horizon: Duration::from_millis(50),
            idle: Duration::from_secs(1),
            max_keys: 100_000,
        }
    }
}

impl<K: fmt::Display + Hash + ?Sized + 'static> LeasedRateLimiterBuilder<K> {
    /// Sets the most tokens that a process takes at a time, and so the most that it holds of a key: 1000 by default.
    pub fn max_batch(mut self, tokens: u32) -> Self {
        self.max_batch = tokens.max(1);
        self
    }

    /// Sets the time for which a batch is to last: 50 ms by default.
    pub fn horizon(mut self, horizon: Duration) -> Self {
        self.horizon = horizon;
        self
    }

    /// Sets the time after which the tokens of a key that is not used are given back: between one and two times this one,
    /// which is a second by default.
    pub fn give_back_after(mut self, idle: Duration) -> Self {
        self.idle = idle.max(Duration::from_millis(1));
        self
    }

    /// Sets the most keys whose tokens are leased at a time: 100 000 by default. Calls for further keys ask the store.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Returns a limiter on this store. A task gives unused tokens back until the limiter is dropped.
    ///
    /// # Errors
    ///
    /// As [`RedisRateLimiterBuilder::build`]; and if there is no tokio runtime here.
    pub fn build<S: Store>(self, store: S) -> Result<LeasedRateLimiter<K, S>, BuildError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let credit = credit_quota().map_err(|error| BuildError::Credits(error.to_string()))?;
        let inner = Arc::new(Inner {
            direct: Arc::new(self.shared.build(store)?),
            runtime: runtime.clone(),
            leases: Leases::new(self.max_keys, credit),
            hasher: RandomState::new(),
            max_batch: self.max_batch,
            horizon: self.horizon,
        });
        let (weak, period) = (Arc::downgrade(&inner), self.idle);
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(period).await;
                let Some(inner) = weak.upgrade() else { return };
                inner.give_back(false).await;
            }
        });
        Ok(LeasedRateLimiter { inner, keys: PhantomData })
    }
}

impl<K: ?Sized> fmt::Debug for LeasedRateLimiterBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedRateLimiterBuilder").field("max_batch", &self.max_batch).finish_non_exhaustive()
    }
}
