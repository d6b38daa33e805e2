//! The script of the permits of a key: its arguments and its replies.

use std::time::Duration;

use redis::{Cmd, FromRedisValue, RedisError, Value};

use crate::engine::StoreError;
use crate::redis::{Connect, RedisStore, Script};

static SCRIPT: Script = Script::new(include_str!("permits.lua"));

/// The time for which the place of a waiter is kept that does not ask.
const PLACE: Duration = Duration::from_secs(1);

/// The permits of a key on a store.
pub(super) struct Permits<'a, L> {
    pub(super) store: &'a RedisStore<L>,
    /// With the limit's prefix.
    pub(super) key: &'a str,
    pub(super) lease: Duration,
    /// The time after which the caller drops the request.
    pub(super) patience: Duration,
}

/// The answer to a call that takes a permit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) granted: bool,
    /// The number of the permit, if it was granted.
    pub(super) fence: u64,
    /// The permits that others hold.
    pub(super) held: usize,
    /// The time until the first lease ends; zero if there is none.
    pub(super) first_end: Duration,
}

impl<L: Connect> Permits<'_, L> {
    /// Takes a permit with this id, if fewer than `limit` are held and no earlier waiter would get it. If the permit with
    /// this id is held already, it is granted again. A caller that waits gets a place among the waiters, or keeps its own.
    pub(super) async fn take(&self, id: u128, limit: usize, waits: bool) -> Result<Taken, StoreError> {
        let fill = |command: &mut Cmd| {
            command.arg(limit).arg(&id.to_be_bytes()[..]).arg(u8::from(waits));
        };
        self.run("take", fill, |reply| {
            let [granted, fence, held, _, first_end] = <[u64; 5]>::from_redis_value(reply)?;
            let first_end = Duration::from_micros(first_end);
            Ok(Taken { granted: granted == 1, fence, held: held as usize, first_end })
        })
        .await
    }

    /// Renews the leases of these permits. Returns for each whether it went on.
    pub(super) async fn renew(&self, ids: &[u128]) -> Result<Vec<bool>, StoreError> {
        self.run("renew", all(ids), |reply| Ok(Vec::<bool>::from_redis_value(reply)?)).await
    }

    /// Releases these permits, and the places of waiters with these ids.
    pub(super) async fn release(&self, ids: &[u128]) -> Result<(), StoreError> {
        self.run("release", all(ids), |_| Ok(())).await
    }

    /// Returns the number of permits that are held.
    pub(super) async fn held(&self) -> Result<usize, StoreError> {
        self.run("peek", |_| (), |reply| Ok(<[usize; 2]>::from_redis_value(reply)?[0])).await
    }

    async fn run<T>(
        &self,
        operation: &str,
        fill: impl Fn(&mut Cmd),
        read: impl FnOnce(Value) -> Result<T, RedisError>,
    ) -> Result<T, StoreError> {
        let fill = |command: &mut Cmd| {
            let key = self.key;
            // The braces make both keys live in the same slot of a cluster.
            command.arg(2).arg(format!("{{{key}}}:permits")).arg(format!("{{{key}}}:waiters"));
            command.arg(operation).arg(micros(self.lease)).arg(micros(PLACE));
            fill(command);
        };
        self.store.run(&SCRIPT, fill, self.patience, read).await
    }
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

fn all(ids: &[u128]) -> impl Fn(&mut Cmd) {
    move |command| ids.iter().for_each(|id| _ = command.arg(&id.to_be_bytes()[..]))
}
