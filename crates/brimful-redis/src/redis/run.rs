//! How a store runs the scripts of other limits than buckets.

use std::time::Duration;

use redis::{Cmd, RedisError, Value};
use tokio::time::Instant;

use super::eval::Script;
use super::link::{Connect, Sign};
use super::script::Failure;
use super::store::RedisStore;
use crate::engine::StoreError;

impl<L: Connect> RedisStore<L> {
    /// Calls a script, with the number of keys, the keys and the arguments that `fill` adds, on the server that has the
    /// keys of this one, and reads its reply.
    pub(crate) async fn run<T>(
        &self,
        script: &Script,
        key: &str,
        fill: impl Fn(&mut Cmd),
        patience: Duration,
        read: impl FnOnce(Value) -> Result<T, RedisError>,
    ) -> Result<T, StoreError> {
        let link = self.link();
        let connection = link.get(key).await.map_err(|error| StoreError::new(false, error))?;
        let until = Instant::now() + patience.mul_f64(0.9);
        let mut report = Report { link, connection, until, sign: None };
        let reply = script.call(&mut report.connection, fill).await.map_err(Failure::of_call);
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
    connection: L::Connection,
    /// A request that is dropped later than this was dropped by its deadline.
    until: Instant,
    sign: Option<Sign>,
}

impl<L: Connect> Drop for Report<'_, L> {
    fn drop(&mut self) {
        let by_time = || if Instant::now() < self.until { Sign::Dropped } else { Sign::Silent };
        self.link.report(&self.connection, self.sign.unwrap_or_else(by_time));
    }
}
