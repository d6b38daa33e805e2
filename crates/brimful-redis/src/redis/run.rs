//! [`Script`]: a script of one kind of limit, and how a store runs it.

use std::sync::OnceLock;
use std::time::Duration;

use redis::{Cmd, RedisError, Value};
use tokio::time::Instant;

use super::link::{Connect, Sign};
use super::script::{Failure, is_unknown_script};
use super::store::RedisStore;
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
        let link = self.link();
        let (mut connection, number) = link.get().await.map_err(|error| StoreError::new(false, error))?;
        let until = Instant::now() + patience.mul_f64(0.9);
        let mut report = Report { link, number, until, sign: None };
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
        let reply = reply.map_err(Failure::of_call);
        report.sign = Some(match &reply {
            Err(failure) if failure.is_lost() => Sign::Lost,
            _ => Sign::Answered,
        });
        Ok(read(reply?).map_err(Failure::of_call)?)
    }
}

/// Reports the result of a request, also if the request is dropped.
struct Report<'a, L: Connect> {
    link: &'a L,
    number: u64,
    /// A request that is dropped later than this was dropped by its deadline.
    until: Instant,
    sign: Option<Sign>,
}

impl<L: Connect> Drop for Report<'_, L> {
    fn drop(&mut self) {
        let by_time = || if Instant::now() < self.until { Sign::Dropped } else { Sign::Silent };
        self.link.report(self.number, self.sign.unwrap_or_else(by_time));
    }
}
