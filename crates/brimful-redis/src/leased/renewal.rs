//! The calls to the store: batches that are taken, and credits that are given back.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use brimful::Tokens;
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinSet;

use super::lease::Lease;
use super::limiter::Inner;
use crate::engine::{Operation, Outcome, Store};
use crate::shared::{SharedError, Source, Unavailable, Wait};

impl<K: fmt::Display + Hash + ?Sized + 'static, S: Store> Inner<K, S> {
    /// Takes `n` tokens for which the credit did not suffice, within the deadline of a decision. Returns the origin of the
    /// decision.
    #[cold]
    pub(super) async fn take_slowly(
        self: &Arc<Self>,
        id: u64,
        key: String,
        n: Tokens,
    ) -> (Source, Result<(), SharedError>) {
        if let Err(never) = self.direct.check_cost(n) {
            return (Source::Lease, Err(never));
        }
        // No lease would hold it.
        let is_direct = n > Tokens::new(self.max_batch) || self.direct.has_small_burst();
        let lease = if is_direct { None } else { self.leases.get_or_make(id, || key.clone()) };
        let Some(lease) = lease else {
            let decision = self.direct.decide_by(&key, n).await;
            return (decision.source(), decision.into_result().map(drop));
        };
        if let Some(wait) = lease.empty_for(self.leases.now()) {
            lease.refused();
            return (Source::Lease, Err(self.direct.rate_limited(wait)));
        }
        let deadline = self.direct.deadline();
        let granted = tokio::time::timeout(deadline, self.take_from_renewal(id, lease.clone(), n)).await;
        match granted.unwrap_or(Err(Unavailable::TimedOut(deadline))) {
            Ok(None) => (Source::Lease, Ok(())),
            Ok(Some(wait)) => {
                lease.refused();
                (Source::Lease, Err(self.direct.rate_limited(wait)))
            }
            Err(why) => (Source::Policy, self.direct.decide_by_policy(&lease.key, n, why)),
        }
    }

    /// Takes `n` tokens from the credit that another call brings, or from a batch that this one asks for. Returns the time
    /// to wait if there are none.
    async fn take_from_renewal(
        self: &Arc<Self>,
        id: u64,
        mut lease: Arc<Lease>,
        n: Tokens,
    ) -> Result<Option<Wait>, Unavailable> {
        // Calls that come at the same time share one round trip.
        let asking = loop {
            let asking = lease.asking().await;
            if !lease.is_over() {
                break asking;
            }
            match self.leases.get_or_make(id, || lease.key.clone()) {
                Some(next) => lease = next,
                // For the moment. There are too many keys.
                None => return Ok(Some(Wait::default())),
            }
        };
        if lease.take(n).is_some() {
            return Ok(None);
        }
        if let Some(wait) = lease.empty_for(self.leases.now()) {
            return Ok(Some(wait));
        }
        // On a task of its own: what the store has charged comes to the credit, whatever becomes of this call.
        let inner = self.clone();
        let renewal = tokio::spawn(async move { inner.renew(&lease, n, &asking).await });
        renewal.await.unwrap_or_else(|_| Err(Unavailable::TimedOut(self.direct.deadline())))
    }

    /// Takes the next batch, so that the credit is `n` tokens at least and `max_batch` at most, and `n` of it for the call
    /// that pays for the trip. Returns the time to wait if the store does not have them.
    pub(super) async fn renew(
        &self,
        lease: &Lease,
        n: Tokens,
        _: &OwnedMutexGuard<()>,
    ) -> Result<Option<Wait>, Unavailable> {
        let held = lease.held();
        let missing = n.saturating_sub(held);
        let missing = missing.whole() + u32::from(missing.pico() > 0);
        // Calls may take from the credit meanwhile, but only this one adds to it.
        let room = self.max_batch - held.whole().min(self.max_batch);
        let batch = lease.next_batch(self.leases.now(), self.horizon, self.max_batch).clamp(missing.min(room), room);
        self.direct.count_renewal();
        let outcome = self.direct.ask(&lease.key, Operation::TakeUpTo, Tokens::new(batch)).await?;
        let taken = self.direct.least_done(&outcome);
        if taken < Tokens::new(batch) {
            lease.set_empty(self.leases.now(), self.pause(&outcome, batch));
        }
        if taken >= n {
            // This call comes first: others take from the credit as soon as it is there.
            lease.add(taken.saturating_sub(n));
            return Ok(None);
        }
        lease.add(taken);
        if lease.take(n).is_some() {
            return Ok(None);
        }
        Ok(Some(self.direct.time_until(&outcome, Tokens::new(missing).saturating_sub(taken))))
    }

    /// Returns the time for which the store is not asked after it had fewer tokens than a batch: until it has one, and then
    /// until it has a batch, but not for more than a tenth of the horizon, nor until a bucket is more than half full, which
    /// might lose tokens.
    fn pause(&self, outcome: &Outcome, batch: u32) -> Wait {
        let one = self.direct.time_until(outcome, Tokens::ONE);
        let some = self.direct.time_until(outcome, self.direct.half_a_burst().min(Tokens::new(batch)));
        Wait { time: one.time.max(some.time.min(self.horizon / 10)), ..one }
    }

    /// Gives the credits of idle keys back, or of all. So many keys at a time.
    pub(super) async fn give_back(self: &Arc<Self>, all: bool) {
        const AT_A_TIME: usize = 64;
        let mut tasks = JoinSet::new();
        for (id, lease) in self.leases.all() {
            if !(lease.is_idle() || all) {
                continue;
            }
            if tasks.len() >= AT_A_TIME {
                tasks.join_next().await;
            }
            let inner = self.clone();
            tasks.spawn(async move { inner.give_one_back(id, &lease, all).await });
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn give_one_back(&self, id: u64, lease: &Lease, waits: bool) {
        let asking = if waits { Some(lease.asking().await) } else { lease.try_asking() };
        let Some(_asking) = asking.filter(|_| !lease.is_over()) else { return };
        // Whole tokens, as they were taken. A call may take some of them meanwhile: then the key is not idle.
        let whole = Tokens::new(lease.held().whole());
        if !whole.is_zero() {
            if lease.take(whole).is_none() {
                return;
            }
            if let Err(why) = self.direct.ask(&lease.key, Operation::Add, whole).await {
                // If the outcome is not known, the tokens are lost: they may be with the store.
                if !why.may_be_done() {
                    lease.add(whole);
                }
                return;
            }
        }
        lease.end();
        self.leases.remove(id);
    }
}
