//! [`Link`]: a connection that is made anew when it is lost; and [`Given`], one that the user keeps.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, RedisError};

/// The requests in a row without an answer after which the connection is made anew: it may be half open, and then no
/// request is ever answered.
const SILENT: u32 = 3;

/// The result of a request, as far as the connection is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The server answered.
    Answered,
    /// The connection is lost.
    Lost,
    /// The request was dropped before it was answered.
    Silent,
}

/// A source of connections.
pub trait Connect: Send + Sync + 'static {
    /// The connection.
    type Connection: ConnectionLike + Send + Sync;

    /// Returns a connection, and its number.
    fn get(&self) -> impl Future<Output = Result<(Self::Connection, u64), RedisError>> + Send;

    /// Called with the result of a request on the connection with this number.
    fn report(&self, number: u64, sign: Sign);
}

/// A connection that all tasks share, and that is made anew when it is lost or answers nothing any longer.
pub struct Link {
    client: Client,
    current: Mutex<Option<(MultiplexedConnection, u64)>>,
    /// Held by the one task that connects. Others wait for it.
    connecting: tokio::sync::Mutex<()>,
    /// The number of the last connection that is lost. Relaxed, as `silent`: a task that reads an old value fails once more.
    lost: AtomicU64,
    silent: AtomicU32,
}

impl Link {
    /// Returns a link that is connected when it is first asked for a connection.
    pub(super) fn new(client: Client) -> Self {
        Link {
            client,
            current: Mutex::new(None),
            connecting: tokio::sync::Mutex::new(()),
            lost: AtomicU64::new(0),
            silent: AtomicU32::new(0),
        }
    }

    fn current(&self) -> Option<(MultiplexedConnection, u64)> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.clone().filter(|(_, number)| *number > self.lost.load(Ordering::Relaxed))
    }
}

impl Connect for Link {
    type Connection = MultiplexedConnection;

    async fn get(&self) -> Result<(MultiplexedConnection, u64), RedisError> {
        if let Some(current) = self.current() {
            return Ok(current);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(current) = self.current() {
            return Ok(current);
        }
        // The limiter has its own deadline.
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let number = current.as_ref().map_or(1, |(_, number)| number + 1);
        self.silent.store(0, Ordering::Relaxed);
        Ok(current.insert((connection, number)).clone())
    }

    fn report(&self, number: u64, sign: Sign) {
        let is_lost = match sign {
            Sign::Answered => {
                if self.silent.load(Ordering::Relaxed) != 0 {
                    self.silent.store(0, Ordering::Relaxed);
                }
                false
            }
            Sign::Lost => true,
            Sign::Silent => self.silent.fetch_add(1, Ordering::Relaxed) + 1 >= SILENT,
        };
        if is_lost {
            self.lost.fetch_max(number, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// A connection that the user made, and that keeps itself connected.
#[derive(Clone, Debug)]
pub struct Given<C>(pub(super) C);

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Connect for Given<C> {
    type Connection = C;

    async fn get(&self) -> Result<(C, u64), RedisError> {
        Ok((self.0.clone(), 0))
    }

    fn report(&self, _: u64, _: Sign) {}
}
