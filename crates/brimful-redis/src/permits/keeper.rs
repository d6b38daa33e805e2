//! [`Keeper`]: the task of a limit that renews the leases of this process, and releases its permits.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};

use super::lease::{Held, Lease};
use super::script::Permits;
use super::turns::Turns;
use crate::engine::StoreError;
use crate::redis::{Connect, RedisStore};
use crate::shared::{Requests, until_known};

/// The most ids in one call of the script.
const IDS: usize = 500;

/// The most calls on their way in a round of renewals.
const AT_A_TIME: usize = 64;

/// A permit that is released, or a waiter that has gone.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) key: Arc<str>,
    pub(super) id: u128,
    /// Sent to when the store has confirmed it.
    pub(super) confirmed: Option<oneshot::Sender<()>>,
}

/// The way to the keeper. When the last sender is dropped, the keeper ends, after what was sent.
pub(super) type Exit = UnboundedSender<Gone>;

pub(super) struct Keeper<L> {
    pub(super) requests: Arc<Requests<RedisStore<L>>>,
    pub(super) held: Arc<Held>,
    pub(super) turns: Arc<Turns>,
    pub(super) lease: Duration,
}

impl<L: Connect> Keeper<L> {
    /// Renews and releases, until no limit and no permit is left.
    pub(super) async fn run(self: Arc<Self>, mut gone: UnboundedReceiver<Gone>) {
        // A lease is due when a third of it has passed. A renewal that fails is repeated by the next round.
        let period = self.lease / 12;
        let (mut next, mut batch, mut round) = (Instant::now() + period, Vec::new(), None::<JoinHandle<()>>);
        loop {
            match timeout_at(next, gone.recv_many(&mut batch, IDS)).await {
                Ok(0) => return,
                Ok(_) => {
                    let (keeper, batch) = (self.clone(), std::mem::take(&mut batch));
                    tokio::spawn(async move { keeper.release(batch).await });
                }
                Err(_) => {}
            }
            if Instant::now() >= next {
                next = Instant::now() + period;
                if round.as_ref().is_none_or(JoinHandle::is_finished) {
                    let keeper = self.clone();
                    round = Some(tokio::spawn(async move { keeper.renew().await }));
                }
            }
        }
    }

    /// Releases permits, by one call for each key.
    async fn release(self: Arc<Self>, batch: Vec<Gone>) {
        let mut keys = HashMap::<Arc<str>, Vec<Gone>>::new();
        for gone in batch {
            keys.entry(gone.key.clone()).or_default().push(gone);
        }
        for (key, gone) in keys {
            let keeper = self.clone();
            tokio::spawn(async move {
                let ids: Vec<u128> = gone.iter().map(|gone| gone.id).collect();
                // If it fails, the leases end by themselves.
                let permits = keeper.permits(&key);
                if keeper.surely(|| permits.release(&ids)).await.is_some() {
                    keeper.turns.released(&key);
                    gone.into_iter().filter_map(|gone| gone.confirmed).for_each(|confirmed| _ = confirmed.send(()));
                }
            });
        }
    }

    /// Renews the leases that are due, by one call for each key.
    async fn renew(self: Arc<Self>) {
        let mut calls = JoinSet::new();
        for (key, leases) in self.held.due() {
            for leases in leases.chunks(IDS) {
                if calls.len() >= AT_A_TIME {
                    calls.join_next().await;
                }
                let (keeper, key, leases) = (self.clone(), key.clone(), leases.to_vec());
                calls.spawn(async move { keeper.renew_some(&key, &leases).await });
            }
        }
        while calls.join_next().await.is_some() {}
    }

    async fn renew_some(&self, key: &str, leases: &[Arc<Lease>]) {
        let ids: Vec<u128> = leases.iter().map(|lease| lease.id).collect();
        let (permits, asked) = (self.permits(key), Instant::now());
        if let Some(went_on) = self.surely(|| permits.renew(&ids)).await {
            self.held.renewed(leases, &went_on, asked);
        }
    }

    fn permits<'a>(&'a self, key: &'a str) -> Permits<'a, L> {
        Permits { store: &self.requests.store, key, lease: self.lease, patience: self.patience() }
    }

    /// The time for a call: longer than for a decision, because no caller waits for it.
    fn patience(&self) -> Duration {
        self.lease / 6
    }

    /// Asks the store, whatever the breaker says: to renew and to release is safe to repeat, and one task does it.
    async fn surely<T, F>(&self, attempt: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        timeout(self.patience(), until_known(true, attempt)).await.ok()?.ok()
    }
}
