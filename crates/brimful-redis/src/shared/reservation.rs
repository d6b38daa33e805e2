//! [`SharedReservation`]: tokens for a cost that is known later.

use std::fmt;

use brimful::Tokens;

use super::decision::Source;
use super::error::SharedError;
use super::limiter::RedisRateLimiter;
use crate::engine::Store;

/// Tokens that were taken for a cost that is known later.
///
/// A drop gives nothing back, because it cannot ask the store: what was reserved stays charged. So settle a reservation by
/// [`commit`](SharedReservation::commit) or [`cancel`](SharedReservation::cancel).
#[must_use = "the tokens stay charged unless the reservation is settled"]
pub struct SharedReservation<'a, K: ?Sized, S> {
    limiter: &'a RedisRateLimiter<K, S>,
    key: String,
    reserved: Tokens,
    source: Source,
}

impl<'a, K: fmt::Display + ?Sized, S: Store> SharedReservation<'a, K, S> {
    pub(super) fn new(limiter: &'a RedisRateLimiter<K, S>, key: String, reserved: Tokens, source: Source) -> Self {
        SharedReservation { limiter, key, reserved, source }
    }

    /// Returns the tokens that are reserved.
    #[must_use]
    pub fn reserved(&self) -> Tokens {
        self.reserved
    }

    /// Settles the reservation for its true cost: gives back the rest, or charges the missing tokens, into debt if need
    /// be. Returns the tokens that the debt limit left uncharged.
    ///
    /// If the policy had admitted the call, the store was charged nothing, and is not now.
    ///
    /// # Errors
    ///
    /// [`SharedError::Unavailable`]: the store may not know of the difference.
    pub async fn commit(self, actual: impl Into<Tokens>) -> Result<Tokens, SharedError> {
        let actual = actual.into();
        if self.source != Source::Store || actual == self.reserved {
            return Ok(Tokens::ZERO);
        }
        if actual < self.reserved {
            self.limiter.add(&self.key, self.reserved.saturating_sub(actual)).await?;
            return Ok(Tokens::ZERO);
        }
        let more = actual.saturating_sub(self.reserved);
        let charged = self.limiter.charge(&self.key, more).await?;
        Ok(more.saturating_sub(charged))
    }

    /// Gives all tokens back.
    ///
    /// # Errors
    ///
    /// [`SharedError::Unavailable`]: the tokens may stay charged.
    pub async fn cancel(self) -> Result<(), SharedError> {
        self.commit(Tokens::ZERO).await.map(drop)
    }
}

impl<K: ?Sized, S> fmt::Debug for SharedReservation<'_, K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedReservation").field("reserved", &self.reserved).finish_non_exhaustive()
    }
}
