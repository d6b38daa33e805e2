//! [`RedisStore`]: buckets on a Redis server.

use std::fmt;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{ErrorKind, RedisError};

use super::script;
use crate::engine::{Outcome, Request, Store, StoreError};

/// Buckets on a Redis server, or on any connection of the crate `redis` that can be cloned, such as that of a cluster.
///
/// Requests of all tasks share the connection, and are pipelined: none waits for the reply to another. A lost connection
/// is made anew. The script is loaded when the server does not know it (`NOSCRIPT`), also after `SCRIPT FLUSH`.
#[derive(Clone)]
pub struct RedisStore<C = ConnectionManager> {
    connection: C,
}

impl RedisStore {
    /// Connects to a server, such as `redis://127.0.0.1/`.
    ///
    /// A request is repeated by the connection in no case: a limiter decides on that.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is malformed, or the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let client = redis::Client::open(url).map_err(|error| StoreError::new(false, error))?;
        // A limiter has its own deadline, and its own breaker.
        let config = ConnectionManagerConfig::new().set_number_of_retries(0).set_response_timeout(None);
        let connection = client.get_connection_manager_with_config(config).await;
        Ok(RedisStore { connection: connection.map_err(|error| StoreError::new(false, error))? })
    }
}

impl<C> RedisStore<C> {
    /// Returns a store on this connection.
    pub fn new(connection: C) -> Self {
        RedisStore { connection }
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Store for RedisStore<C> {
    async fn decide(&self, request: Request<'_>) -> Result<Outcome, StoreError> {
        let mut connection = self.connection.clone();
        let reply = script::invocation(&request).invoke_async(&mut connection).await;
        reply.and_then(|reply| script::outcome(reply, request.limits.len())).map_err(failure)
    }
}

/// An answer of the server means that nothing was done; any other failure leaves that open.
fn failure(error: RedisError) -> StoreError {
    let is_answer = error.code().is_some();
    let is_unsent = matches!(error.kind(), ErrorKind::InvalidClientConfig | ErrorKind::AuthenticationFailed);
    let is_refused = error.is_connection_refusal();
    StoreError::new(!is_answer && !is_unsent && !is_refused, error)
}

impl<C> fmt::Debug for RedisStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}
