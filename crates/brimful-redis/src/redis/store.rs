//! [`RedisStore`]: buckets on a Redis server.

use std::fmt;
use std::sync::Arc;

use redis::IntoConnectionInfo;
use redis::aio::ConnectionLike;

use super::calls::Calls;
use super::link::{Connect, Given, Link};
use crate::engine::{Outcome, Request, Store, StoreError};

/// Buckets on a Redis server.
///
/// Requests of all tasks share one connection. A request that comes alone is sent at once. While two calls are on their
/// way, further requests gather for the next one, up to 64: the server decides them in turn, in one call of the script.
/// Each has its own outcome: an error that concerns one key fails the requests on this key alone.
///
/// A connection that is lost is made anew, by one task at a time, and so is one on which three requests in a row had no
/// answer by their deadlines: it may be half open. The script is sent when the server does not know it (`NOSCRIPT`), also
/// after `SCRIPT FLUSH`.
///
/// # Cancel safety
///
/// A request whose caller has gone is not sent. If it was sent before, it is executed.
pub struct RedisStore<L = Link> {
    calls: Arc<Calls<L>>,
}

impl RedisStore {
    /// Connects to a server, such as `redis://127.0.0.1/`.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is malformed, or the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let not_done = |error| StoreError::new(false, error);
        let server = url.into_connection_info().map_err(not_done)?;
        // A call is sent at once: Nagle's algorithm would hold it back until the call before it is answered.
        let settings = server.tcp_settings().clone().set_nodelay(true);
        let client = redis::Client::open(server.set_tcp_settings(settings)).map_err(not_done)?;
        let link = Link::new(client);
        link.get().await.map_err(not_done)?;
        Ok(RedisStore { calls: Arc::new(Calls::new(link)) })
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisStore<Given<C>> {
    /// Returns a store on a connection of the crate `redis`, such as that of a cluster. Its requests are pipelined, but each
    /// is a call of its own, because their keys may be on several nodes.
    ///
    /// The connection has to keep itself connected, and **must not repeat requests**: set its number of retries to zero. A
    /// request that is repeated charges twice, or gives back twice, unless it has an id.
    pub fn new(connection: C) -> Self {
        RedisStore { calls: Arc::new(Calls::new(Given(connection))) }
    }
}

impl<L: Connect> RedisStore<L> {
    pub(super) fn link(&self) -> &L {
        self.calls.link()
    }
}

impl<L: Connect> Store for RedisStore<L> {
    async fn decide(&self, request: Request<'_>) -> Result<Outcome, StoreError> {
        self.calls.execute(request).await
    }

    fn connections(&self) -> u64 {
        self.link().connections()
    }
}

impl<L> Clone for RedisStore<L> {
    fn clone(&self) -> Self {
        RedisStore { calls: self.calls.clone() }
    }
}

impl<L> fmt::Debug for RedisStore<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}
