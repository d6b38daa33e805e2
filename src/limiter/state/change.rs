//! Changes of a lone limiter's quota.

use core::time::Duration;

use super::rate_limiter::RateLimiter;
use crate::algorithm::Terms;
use crate::algorithm::token_bucket;
use crate::cell::{self, QuotaCell};
use crate::clock::Clock;
use crate::error::{SetQuotaError, SetQuotaErrorKind};
use crate::quota::{Quota, QuotaChange};
use crate::word::{Reading, Units, Word};

impl<C: Clock> RateLimiter<C> {
    /// Returns a limiter that starts with a quota below its highest.
    pub(crate) fn with_highest(highest: Quota, quota: Quota, clock: C) -> Result<Self, SetQuotaError> {
        let cell = QuotaCell::new(highest, quota)?;
        let terms = cell.terms();
        let word = if quota.starts_full() {
            token_bucket::filled(&terms)
        } else {
            let initial = terms.piece().map_or(Units(0), |piece| piece.initial);
            token_bucket::started(&terms, Reading::from_nanos(clock.now()), initial)
        };
        let limiter = RateLimiter::started(highest, word, clock).with_changed_quota(cell);
        limiter.cells().move_word(|word| word);
        limiter.on_move();
        Ok(limiter)
    }

    /// Replaces the quota.
    pub(crate) fn change_quota(&self, change: QuotaChange) -> Result<(), SetQuotaError> {
        if self.has_no_limit() {
            return Err(SetQuotaError(SetQuotaErrorKind::Unlimited));
        }
        let quota = self.changed_quota();
        quota.check(&change.quota)?;
        self.move_to_second();
        let clip = || self.clip();
        quota.change(change, || self.live().read(), Some(&clip))?;
        // So that the bucket is exact, however often the quota changes before the next call.
        self.change(self.live(), |terms, word, _| (token_bucket::carried(terms, word), Units(0)));
        self.requote();
        Ok(())
    }

    /// Clips the bucket at the burst. Called under the lock of the quota, so no waiter is woken.
    fn clip(&self) {
        let clip = |terms: &Terms<'_>, word, now| (token_bucket::clipped(terms, word, now), Units(0));
        loop {
            let Some(second) = self.second() else { return };
            if cell::change(&second, second.terms(), self.live(), clip).is_some() {
                return;
            }
            // The clock is user code: it is read before the queue's lock is taken.
            let now = self.live().read();
            if self.queue().rewrite(|word| clip(&self.terms(), word, now).0) {
                return;
            }
        }
    }

    /// Admits nothing for a time.
    pub(crate) fn pause(&self, duration: Duration) {
        if !self.has_no_limit() {
            self.move_to_second();
            self.changed_quota().pause(duration, || self.live().read());
            self.recording().paused();
            self.requote();
        }
    }

    /// Moves the word to the cell of limiters whose quota has changed. A bucket that is not started starts
    /// now.
    fn move_to_second(&self) {
        if self.second().is_none() {
            let now = self.live().read();
            let started = |word: Word| match word.is_special() {
                true => token_bucket::started(&Terms::of(self.layout()), now, self.initial_units()),
                false => word,
            };
            self.queue().move_word(self.cells(), started);
            self.on_move();
        }
    }

    /// Notifies the waiters that the quota has changed.
    fn requote(&self) {
        self.queue().requote();
    }
}
