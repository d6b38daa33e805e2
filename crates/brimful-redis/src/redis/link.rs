//! [`Link`]: a connection that is made anew when it is lost; and [`Given`], one that the user keeps.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, RedisError};
use tokio::sync::watch;

/// The requests in a row that had no answer by their deadlines after which the connection is made anew: it may be half
/// open, and then no request is ever answered.
const SILENT: u32 = 3;

/// The longest time for a new connection.
const CONNECTING: Duration = Duration::from_secs(5);

/// The result of a request, as far as the connection is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The server answered.
    Answered,
    /// The connection is lost, or leads to a server that does not take writes.
    Lost,
    /// There was no answer by the deadline.
    Silent,
    /// The request was dropped before.
    Dropped,
}

/// A source of connections.
pub trait Connect: Send + Sync + 'static {
    /// The connection.
    type Connection: ConnectionLike + Send + Sync;

    /// The most requests in one call. One, if their keys may be on several nodes: a call goes to one node.
    const MOST: usize = 1;

    /// Returns a connection, and its number.
    fn get(&self) -> impl Future<Output = Result<(Self::Connection, u64), RedisError>> + Send;

    /// Called with the result of a request on the connection with this number.
    fn report(&self, number: u64, sign: Sign);

    /// Returns the number of connections so far; zero if it is not known.
    fn connections(&self) -> u64 {
        0
    }
}

/// A connection that all tasks share, and that is made anew when it is lost or answers nothing any longer.
///
/// One task of its own connects, for up to five seconds, and the requests wait for it, each until its own deadline. So a
/// connection that takes longer than a deadline is made all the same.
pub struct Link(Arc<Shared>);

struct Shared {
    client: Client,
    state: Mutex<State>,
}

struct State {
    current: Option<MultiplexedConnection>,
    /// The number of connections so far.
    number: u64,
    /// The requests in a row on this connection that had no answer.
    silent: u32,
    /// The outcome of the task that connects.
    connecting: Option<watch::Receiver<Option<Failure>>>,
}

/// `None` if the connection was made.
type Failure = Option<Arc<str>>;

impl Link {
    /// Returns a link that is connected when it is first asked for a connection.
    pub(super) fn new(client: Client) -> Self {
        let state = State { current: None, number: 0, silent: 0, connecting: None };
        Link(Arc::new(Shared { client, state: Mutex::new(state) }))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a connection, and returns the reason if there is none.
    async fn connect(&self) -> Failure {
        // The limiter has its own deadline.
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let connected = tokio::time::timeout(CONNECTING, connecting).await;
        let mut state = self.lock();
        state.connecting = None;
        match connected {
            Ok(Ok(connection)) => {
                (state.current, state.silent) = (Some(connection), 0);
                state.number += 1;
                None
            }
            Ok(Err(error)) => Some(error.to_string().into()),
            Err(_) => Some(format!("no connection within {CONNECTING:?}").into()),
        }
    }
}

impl Connect for Link {
    type Connection = MultiplexedConnection;

    // The server does nothing else while the script runs: some 150 µs for so many.
    const MOST: usize = 64;

    async fn get(&self) -> Result<(MultiplexedConnection, u64), RedisError> {
        let mut outcome = {
            let mut state = self.0.lock();
            if let Some(current) = &state.current {
                return Ok((current.clone(), state.number));
            }
            let shared = self.0.clone();
            let connect = || {
                let (sender, receiver) = watch::channel(None);
                tokio::spawn(async move { sender.send(Some(shared.connect().await)) });
                receiver
            };
            state.connecting.get_or_insert_with(connect).clone()
        };
        let failure = match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().flatten(),
            Err(_) => Some("the runtime has ended".into()),
        };
        let state = self.0.lock();
        match (failure, &state.current) {
            (None, Some(current)) => Ok((current.clone(), state.number)),
            (failure, _) => {
                let why = failure.unwrap_or_else(|| "the connection was lost at once".into());
                Err(io::Error::new(io::ErrorKind::NotConnected, &*why).into())
            }
        }
    }

    fn report(&self, number: u64, sign: Sign) {
        let mut state = self.0.lock();
        if number != state.number {
            return;
        }
        let is_lost = match sign {
            Sign::Dropped => return,
            Sign::Lost => true,
            Sign::Answered => {
                state.silent = 0;
                false
            }
            Sign::Silent => {
                state.silent += 1;
                state.silent >= SILENT
            }
        };
        if is_lost {
            state.current = None;
        }
    }

    fn connections(&self) -> u64 {
        self.0.lock().number
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
