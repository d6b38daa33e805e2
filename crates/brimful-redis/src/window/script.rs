//! The script of a sliding window: its arguments and its reply.

use std::time::Duration;

use brimful::Tokens;
use redis::{Cmd, FromRedisValue, RedisError, Value};

use crate::engine::{RequestId, StoreError};
use crate::redis::{Connect, RedisStore, Script};
use crate::shared::BuildError;

static SCRIPT: Script = Script::new(include_str!("sliding_window.lua"));

/// A limit of the tokens in any window of a length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) limit: u32,
    /// In microseconds.
    length: u64,
    /// The number of sub-windows.
    parts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Take,
    Peek,
    Reset,
}

/// A call of the script.
pub(super) struct Call<'a> {
    pub(super) key: &'a str,
    pub(super) operation: Operation,
    pub(super) cost: u64,
    pub(super) id: Option<(RequestId, Duration)>,
    pub(super) patience: Duration,
}

/// The reply of the script.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) admitted: bool,
    /// The tokens that count.
    pub(super) used: u64,
    /// The time until a refused cost is admitted.
    pub(super) wait: Duration,
    /// The time until nothing counts.
    pub(super) empty: Duration,
}

impl Window {
    pub(super) fn new(limit: u32, length: Duration, parts: u32) -> Result<Self, BuildError> {
        /// 50 years. An instant and a window are together below 2^53 microseconds.
        const LONGEST: u128 = 50 * 366 * 86_400 * 1_000_000;
        // A longer window admits less.
        let micros = length.as_nanos().div_ceil(1_000);
        match micros {
            _ if limit == 0 => Err(BuildError::NoTokens),
            1..=LONGEST => Ok(Window { limit, length: micros as u64, parts }),
            _ => Err(BuildError::Window(length)),
        }
    }

    /// Returns a cost in whole tokens, rounded up.
    pub(super) fn cost(n: Tokens) -> u64 {
        u64::from(n.whole()) + u64::from(n.pico() > 0)
    }

    pub(super) async fn ask<L: Connect>(&self, store: &RedisStore<L>, call: &Call<'_>) -> Result<Answer, StoreError> {
        store.run(&SCRIPT, |command| self.fill(call, command), call.patience, answer).await
    }

    fn fill(&self, call: &Call<'_>, command: &mut Cmd) {
        let Call { key, id, .. } = call;
        command.arg(1 + usize::from(id.is_some())).arg(format!("{{{key}}}:window"));
        if let Some((id, _)) = id {
            // The braces make both keys live in the same slot of a cluster.
            command.arg(format!("{{{key}}}:window#{:032x}", id.0));
        }
        let lifetime = id.map_or(0, |(_, lifetime)| lifetime.as_millis().clamp(1, u128::from(u32::MAX)) as u64);
        let operation = match call.operation {
            Operation::Take => "take",
            Operation::Peek => "peek",
            Operation::Reset => "reset",
        };
        let part = self.length.div_ceil(u64::from(self.parts));
        command.arg(operation).arg(lifetime).arg(self.limit).arg(self.length).arg(part).arg(self.parts).arg(call.cost);
    }
}

fn answer(reply: Value) -> Result<Answer, RedisError> {
    let [admitted, ahead, used, wait, empty] = <[u64; 5]>::from_redis_value(reply)?;
    // While the clock stands still, nothing grows older.
    let time = |micros: u64| Duration::from_micros(if micros > 0 { ahead + micros } else { 0 });
    Ok(Answer { admitted: admitted == 1, used, wait: time(wait), empty: time(empty) })
}
