//! [`Script`]: a script of one kind of limit, and how a store runs it.

use std::sync::OnceLock;
use std::time::Duration;

use redis::{Cmd, RedisError, Value};
use tokio::time::Instant;

use super::link::{Connect, Sign};
use super::store::{RedisStore, Report, failure, is_lost, is_unknown_script};
use crate::engine::StoreError;

/// A script, by its text.
pub(crate) struct Script {
    source: &'static str,
    /// The hash by which the server knows the script.
    hash: OnceLock<String>,
}

impl Script {
    pub(crate) const fn new(source: &'static str) -> Self {
        Script { source, hash: OnceLock::new() }
    }

    fn hash(&self) -> &str {
        self.hash.get_or_init(|| redis::Script::new(self.source).get_hash().to_owned())
    }
}

impl<L: Connect> RedisStore<L> {
    /// Runs a script, with the number of keys, the keys and the arguments that `fill` adds, and reads its reply. A script
    /// that the server does not know is sent.
    pub(crate) async fn run<T>(
        &self,
        script: &Script,
        fill: impl Fn(&mut Cmd),
        patience: Duration,
        read: impl FnOnce(Value) -> Result<T, RedisError>,
    ) -> Result<T, StoreError> {
        let (mut connection, number) = self.link.get().await.map_err(|error| StoreError::new(false, error))?;
        let until = Instant::now() + patience.mul_f64(0.9);
        let mut report = Report { link: &*self.link, number, until, sign: None };
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script);
            fill(&mut command);
            command
        };
        let by_hash = command("EVALSHA", script.hash());
        let mut reply: Result<Value, RedisError> = by_hash.query_async(&mut connection).await;
        if reply.as_ref().is_err_and(is_unknown_script) {
            // In one step, so that no flush of the server's scripts comes between.
            reply = command("EVAL", script.source).query_async(&mut connection).await;
        }
        report.sign = Some(match &reply {
            Err(error) if is_lost(error) => Sign::Lost,
            _ => Sign::Answered,
        });
        reply.and_then(read).map_err(failure)
    }
}
