//! [`SharedReservation`] and [`OwnedSharedReservation`]: tokens for a cost that is known later.

use std::fmt;
use std::sync::Arc;

use brimful::Tokens;

use super::decision::Source;
use super::error::SharedError;
use super::limiter::RedisRateLimiter;
use crate::engine::Store;
use crate::redis::RedisStore;

/// Tokens that were taken for a cost that is known later.
///
/// A drop gives nothing back, because it cannot ask the store: what was reserved stays charged. So settle a reservation by
/// [`commit`](SharedReservation::commit) or [`cancel`](SharedReservation::cancel).
#[must_use = "the tokens stay charged unless the reservation is settled"]
pub struct SharedReservation<'a, K: ?Sized, S> {
    limiter: &'a RedisRateLimiter<K, S>,
    reserved: Reserved,
}

/// As [`SharedReservation`], with a share of the limiter, so that it may go to another task: made by
/// [`RedisRateLimiter::settle_later`] or [`LeasedRateLimiter::settle_later`](crate::LeasedRateLimiter::settle_later).
#[must_use = "the tokens stay charged unless the reservation is settled"]
pub struct OwnedSharedReservation<K: ?Sized, S = RedisStore> {
    limiter: Arc<RedisRateLimiter<K, S>>,
    reserved: Reserved,
}

/// Tokens that were taken from the buckets of a key.
#[derive(Debug)]
struct Reserved {
    key: String,
    tokens: Tokens,
    source: Source,
}

/// The verbs of a reservation.
macro_rules! verbs {
    () => {
        /// Returns the tokens that are reserved.
        #[must_use]
        pub fn reserved(&self) -> Tokens {
            self.reserved.tokens
        }

        /// Settles the reservation for its true cost: gives back the rest, or charges the missing tokens, into debt if
        /// need be. Returns the tokens that the debt limit left uncharged. If the cost is what was reserved, the store is
        /// not asked.
        ///
        /// If the policy had admitted the call, the store was charged nothing, and is not now.
        ///
        /// # Errors
        ///
        /// [`SharedError::Unavailable`]: the store may not know of the difference.
        pub async fn commit(self, actual: impl Into<Tokens>) -> Result<Tokens, SharedError> {
            let Reserved { key, tokens, source } = self.reserved;
            self.limiter.settle(&key, source, tokens, actual.into()).await
        }

        /// Gives all tokens back.
        ///
        /// # Errors
        ///
        /// [`SharedError::Unavailable`]: the tokens may stay charged.
        pub async fn cancel(self) -> Result<(), SharedError> {
            self.commit(Tokens::ZERO).await.map(drop)
        }
    };
}

impl<'a, K: fmt::Display + ?Sized, S: Store> SharedReservation<'a, K, S> {
    pub(super) fn new(limiter: &'a RedisRateLimiter<K, S>, key: String, tokens: Tokens, source: Source) -> Self {
        SharedReservation { limiter, reserved: Reserved { key, tokens, source } }
    }

    verbs!();
}

impl<K: fmt::Display + ?Sized, S: Store> OwnedSharedReservation<K, S> {
    pub(crate) fn new(limiter: Arc<RedisRateLimiter<K, S>>, key: String, tokens: Tokens, source: Source) -> Self {
        OwnedSharedReservation { limiter, reserved: Reserved { key, tokens, source } }
    }

    verbs!();
}

impl<K: ?Sized, S> fmt::Debug for SharedReservation<'_, K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedReservation").field("reserved", &self.reserved).finish_non_exhaustive()
    }
}

impl<K: ?Sized, S> fmt::Debug for OwnedSharedReservation<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedSharedReservation").field("reserved", &self.reserved).finish_non_exhaustive()
    }
}
