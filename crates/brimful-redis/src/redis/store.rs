//! [`RedisStore`]: buckets on a Redis server.

use std::fmt;
use std::sync::Arc;

use redis::RedisError;
use redis::aio::ConnectionLike;

use super::calls::Calls;
#[cfg(feature = "cluster")]
use super::cluster::Cluster;
use super::link::{Connect, Given, Link, Place};
use super::server;
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
        let client = server::client(url).map_err(not_done)?;
        RedisStore::on(Link::new(Place::Server(client))).await
    }

    /// Connects to the primary that these sentinels know by this name, such as `redis://10.0.0.1:26379/` and
    /// `my-primary`. In place of the name, a URL with the name as its host states the user, the password and the database
    /// of the primary: `redis://:secret@my-primary/0`.
    ///
    /// The sentinels are asked for the primary if the connection is lost, gives no answers, or leads to a server that has
    /// become a replica (`READONLY`); and every second while the store is in use, because an old primary may go on deciding
    /// until it learns of the new one. All sentinels are asked at the same time. When most of them name a new primary, the
    /// requests go there within two seconds if the old one still answers. If it hangs, an attempt to reach it takes a second
    /// more, and the limiter's breaker may be open for two: about four seconds together.
    ///
    /// Tokens of which the new primary had not heard are granted once more, and so are those that the old one grants until
    /// the store leaves it. The servers' option `min-replicas-to-write` bounds the time for which a primary decides that
    /// is cut off from the others.
    ///
    /// # Errors
    ///
    /// Returns an error if a URL is malformed, or no sentinel names a primary that can be reached.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use brimful_redis::RedisStore;
    ///
    /// let sentinels = ["redis://10.0.0.1:26379/", "redis://10.0.0.2:26379/", "redis://10.0.0.3:26379/"];
    /// let store = RedisStore::sentinel(&sentinels, "my-primary").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "sentinel")]
    pub async fn sentinel(sentinels: &[&str], primary: &str) -> Result<Self, StoreError> {
        let primary = super::sentinel::Primary::new(sentinels, primary).map_err(not_done)?;
        RedisStore::on(Link::new(Place::Primary(primary))).await
    }

    /// Returns a store on a link, when that is connected.
    async fn on(link: Link) -> Result<Self, StoreError> {
        link.get("").await.map_err(not_done)?;
        Ok(RedisStore { calls: Arc::new(Calls::new(link)) })
    }
}

#[cfg(feature = "cluster")]
impl RedisStore<Cluster> {
    /// Connects to a cluster, of which these servers are asked for the others.
    ///
    /// A request goes to the server that has the slot of its key. It follows up to three redirects (`MOVED`,
    /// `ASK`), because a server that answers by one has done nothing, and is not repeated otherwise. If a server is lost, the
    /// cluster is asked for its successor. While a slot moves, requests with an id
    /// ([`repeat_lost`](crate::RedisRateLimiterBuilder::repeat_lost)) may be refused by the server, because they have
    /// two keys (`TRYAGAIN`): then nothing was done, and the limiter's policy decides.
    ///
    /// Tokens of which the successor of a server had not heard are granted once more.
    ///
    /// # Errors
    ///
    /// Returns an error if a URL is malformed, the list is empty, or no server answers.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use brimful_redis::RedisStore;
    ///
    /// let store = RedisStore::cluster(&["redis://10.0.0.1/", "redis://10.0.0.2/", "redis://10.0.0.3/"]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn cluster(urls: &[&str]) -> Result<Self, StoreError> {
        let cluster = Cluster::new(urls).map_err(not_done)?;
        cluster.ask().await.map_err(not_done)?;
        Ok(RedisStore { calls: Arc::new(Calls::new(cluster)) })
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

/// Returns the failure of a request that was not sent.
fn not_done(error: RedisError) -> StoreError {
    StoreError::new(false, error)
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
