//! The calls to the store: batches that are taken, and credits that are given back.

use std::fmt;
use std::hash::Hash;

use brimful::Tokens;

use super::lease::Lease;
use super::limiter::Inner;
use crate::engine::{Operation, Outcome, Store};
use crate::shared::{SharedError, Unavailable, Wait};

impl<K: fmt::Display + Hash + ?Sized + 'static, S: Store> Inner<K, S> {
    /// Takes `n` tokens for which the credit did not suffice.
    #[cold]
    pub(super) async fn take_slowly(&self, id: u64, key: &K, n: Tokens) -> Result<(), SharedError> {
        self.direct.check_cost(n)?;
        if n > Tokens::new(self.max_batch) {
            // No lease would hold it.
            return self.direct.try_acquire_n(key, n).await;
        }
        if let Some(wait) = self.leases.get(id).and_then(|lease| lease.empty_for(self.leases.now())) {
            return Err(self.direct.rate_limited(wait));
        }
        let (lease, _asking) = loop {
            let Some(lease) = self.leases.get_or_make(id, || self.direct.key(key)) else {
                return self.direct.try_acquire_n(key, n).await;
            };
            // Calls that come at the same time share one round trip.
            let asking = lease.asking().await;
            if !lease.is_over() {
                break (lease, asking);
            }
        };
        if self.credits.try_acquire_n(&id, n).is_ok() {
            return Ok(());
        }
        if let Some(wait) = lease.empty_for(self.leases.now()) {
            return Err(self.direct.rate_limited(wait));
        }
        let wait = match self.renew(id, &lease, n).await {
            Ok(wait) => wait,
            Err(why) => return self.direct.decide_by_policy(&lease.key, n, why),
        };
        self.credits.try_acquire_n(&id, n).map_err(|_| self.direct.rate_limited(wait))
    }

    /// Takes the next batch, so that the credit is `n` tokens at least and `max_batch` at most. Returns the time until the
    /// store has the tokens that are missing for `n`. The lease's `asking` is held.
    pub(super) async fn renew(&self, id: u64, lease: &Lease, n: Tokens) -> Result<Wait, Unavailable> {
        let held = self.held(id);
        let missing = n.saturating_sub(held);
        let missing = missing.whole() + u32::from(missing.pico() > 0);
        // Calls may take from the credit meanwhile, but only this one adds to it.
        let room = self.max_batch - held.whole().min(self.max_batch);
        let batch = lease.next_batch(self.leases.now(), self.horizon, self.max_batch).clamp(missing.min(room), room);
        let outcome = self.direct.ask(&lease.key, Operation::TakeUpTo, Tokens::new(batch)).await?;
        let taken = self.direct.least_done(&outcome);
        if !taken.is_zero() {
            let credit = self.credits.key(&id);
            if lease.is_first_batch() {
                // A bucket that starts may lose a unit, of a thousand millionth of a token.
                credit.add_tokens(self.credits.quota().resolution());
            }
            credit.add_tokens(taken);
        }
        if taken < Tokens::new(batch) {
            lease.set_empty(self.leases.now(), self.pause(&outcome, batch));
        }
        Ok(self.direct.time_until(&outcome, Tokens::new(missing).saturating_sub(taken)))
    }

    /// Returns the time for which the store is not asked after it had fewer tokens than a batch: until it has one, and then
    /// until it has a batch, but not for more than a tenth of the horizon, nor until a bucket is more than half full, which
    /// might lose tokens.
    fn pause(&self, outcome: &Outcome, batch: u32) -> Wait {
        let one = self.direct.time_until(outcome, Tokens::ONE);
        let some = self.direct.time_until(outcome, self.direct.half_a_burst().min(Tokens::new(batch)));
        Wait { time: one.time.max(some.time.min(self.horizon / 10)), ..one }
    }

    /// Returns the credit of a key.
    fn held(&self, id: u64) -> Tokens {
        Tokens::try_from(self.credits.key(&id).available_tokens()).unwrap_or(Tokens::ZERO)
    }

    /// Gives the credits of idle keys back, or of all.
    pub(super) async fn give_back(&self, all: bool) {
        for (id, lease) in self.leases.all() {
            let Some(_asking) = lease.try_asking() else { continue };
            let credit = self.credits.key(&id);
            let held = self.held(id);
            if !(lease.is_idle(held) || all) {
                continue;
            }
            // Whole tokens, as they were taken. A call may take some of them meanwhile: then the key is not idle.
            let whole = Tokens::new(held.whole());
            if !whole.is_zero() {
                if credit.try_acquire_n(whole).is_err() {
                    continue;
                }
                if let Err(why) = self.direct.ask(&lease.key, Operation::Add, whole).await {
                    // If the outcome is not known, the tokens are lost: they may be with the store.
                    if !why.may_be_done() {
                        credit.add_tokens(whole);
                    }
                    continue;
                }
            }
            lease.end();
            self.leases.remove(id);
            self.credits.remove(&id);
        }
    }
}
