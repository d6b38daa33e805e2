//! [`RedisStore`]: buckets on a Redis server.

use std::fmt;
use std::sync::Arc;

use redis::aio::ConnectionLike;
use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::time::Instant;

use super::link::{Connect, Given, Link, Sign};
use super::script;
use crate::engine::{Outcome, Request, Store, StoreError};

/// Buckets on a Redis server.
///
/// Requests of all tasks share one connection, and are pipelined: none waits for the reply to another. A connection that is
/// lost is made anew, by one task at a time, and so is one on which three requests in a row had no answer by their
/// deadlines: it may be half open. The script is sent when the server does not know it (`NOSCRIPT`), also after
/// `SCRIPT FLUSH`.
pub struct RedisStore<L = Link> {
    link: Arc<L>,
}

impl RedisStore {
    /// Connects to a server, such as `redis://127.0.0.1/`.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is malformed, or the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let client = redis::Client::open(url).map_err(|error| StoreError::new(false, error))?;
        let link = Link::new(client);
        link.get().await.map_err(|error| StoreError::new(false, error))?;
        Ok(RedisStore { link: Arc::new(link) })
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisStore<Given<C>> {
    /// Returns a store on a connection of the crate `redis`, such as that of a cluster. The connection has to keep itself
    /// connected, and **must not repeat requests**: set its number of retries to zero. A request that is repeated charges
    /// twice, or gives back twice, unless it has an id.
    pub fn new(connection: C) -> Self {
        RedisStore { link: Arc::new(Given(connection)) }
    }
}

impl<L: Connect> Store for RedisStore<L> {
    async fn decide(&self, request: Request<'_>) -> Result<Outcome, StoreError> {
        let (mut connection, number) = self.link.get().await.map_err(|error| StoreError::new(false, error))?;
        let until = Instant::now() + request.patience.mul_f64(0.9);
        let mut report = Report { link: &*self.link, number, until, sign: None };
        let mut reply: Result<Value, RedisError> = script::by_hash(&request).query_async(&mut connection).await;
        if reply.as_ref().is_err_and(is_unknown_script) {
            reply = script::by_source(&request).query_async(&mut connection).await;
        }
        report.sign = Some(match &reply {
            Err(error) if is_lost(error) => Sign::Lost,
            _ => Sign::Answered,
        });
        reply.and_then(|reply| script::outcome(reply, request.limits.len())).map_err(failure)
    }

    fn connections(&self) -> u64 {
        self.link.connections()
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

/// Returns whether another connection is needed: this one is lost, or the server has become a replica, or is not ready.
fn is_lost(error: &RedisError) -> bool {
    let by_server = matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading)
    );
    by_server || error.is_unrecoverable_error() || error.is_io_error() || error.to_string().contains("READONLY")
}

/// Returns whether the server does not know the script.
fn is_unknown_script(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::NoScript))
}

/// An answer of the server means that nothing was done. Any other failure leaves that open, because the request was sent.
fn failure(error: RedisError) -> StoreError {
    let is_answer = error.code().is_some();
    StoreError::new(!is_answer, error)
}

impl<L> Clone for RedisStore<L> {
    fn clone(&self) -> Self {
        RedisStore { link: self.link.clone() }
    }
}

impl<L> fmt::Debug for RedisStore<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}
