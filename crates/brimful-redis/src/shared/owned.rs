//! The verbs of a limiter whose futures own their share of it.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use brimful::Tokens;
use tokio::time::Instant;

use super::decision::{SharedDecision, Source};
use super::error::SharedError;
use super::limiter::RedisRateLimiter;
use super::reservation::OwnedSharedReservation;
use super::waiting::until_admitted;
use crate::engine::Store;

/// A future that owns its share of a limiter, and may go to another task.
pub type SharedFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<K: Display + ?Sized + 'static, S: Store> RedisRateLimiter<K, S> {
    /// As [`decide`](RedisRateLimiter::decide), by a future that owns its share of the limiter.
    pub fn decide_owned(self: &Arc<Self>, key: &K, n: impl Into<Tokens>) -> SharedFuture<SharedDecision> {
        let (limiter, key, n) = (self.clone(), self.key(key), n.into());
        Box::pin(async move { limiter.decide_by(&key, n).await })
    }

    /// As [`preview`](RedisRateLimiter::preview), by a future that owns its share of the limiter.
    pub fn preview_owned(self: &Arc<Self>, key: &K, n: impl Into<Tokens>) -> SharedFuture<SharedDecision> {
        let (limiter, key, n) = (self.clone(), self.key(key), n.into());
        Box::pin(async move { limiter.preview_by(&key, n).await })
    }

    /// As [`acquire_n_within`](RedisRateLimiter::acquire_n_within), by a future that owns its share of the limiter. The
    /// time begins now. A call that was refused already gives its refusal, after which it sleeps first. Returns the
    /// decision that admits the call.
    pub fn acquire_n_owned(
        self: &Arc<Self>,
        key: &K,
        n: impl Into<Tokens>,
        timeout: Duration,
        refused: Option<SharedError>,
    ) -> SharedFuture<Result<SharedDecision, SharedError>> {
        let (limiter, key, n) = (self.clone(), self.key(key), n.into());
        let deadline = Instant::now().checked_add(timeout);
        Box::pin(async move { until_admitted(|| limiter.take(&key, n), refused, deadline).await })
    }

    /// Returns a reservation of `n` tokens that a decision of this origin has taken already. It takes nothing.
    pub fn settle_later(
        self: &Arc<Self>,
        key: &K,
        n: impl Into<Tokens>,
        source: Source,
    ) -> OwnedSharedReservation<K, S> {
        OwnedSharedReservation::new(self.clone(), self.key(key), n.into(), source)
    }
}
