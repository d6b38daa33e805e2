//! [`Link`]: a connection that is made anew when it is lost; and [`Given`], one that the user keeps.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Client, Cmd, Pipeline, RedisError, RedisFuture, Value};

#[cfg(feature = "sentinel")]
use super::sentinel::Primary;
use super::server::{self, not_connected, runtime_ended};
use crate::engine::Flight;

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
    /// A connection, for one call. Its clones are the same connection.
    type Connection: ConnectionLike + Clone + Send + Sync;

    /// The most requests in one call. One, if their keys may be on several nodes: a call goes to one node.
    const MOST: usize = 1;

    /// Returns a connection to the server that has the buckets of this key.
    fn get(&self, key: &str) -> impl Future<Output = Result<Self::Connection, RedisError>> + Send;

    /// Called with the result of a request on a connection.
    fn report(&self, connection: &Self::Connection, sign: Sign);

    /// Returns the number of connections so far; zero if it is not known.
    fn connections(&self) -> u64 {
        0
    }
}

/// A connection that all tasks share, and that is made anew when it is lost or answers nothing any longer.
///
/// One task of its own connects, for up to five seconds, and the requests wait for it, each until its own deadline. So a
/// connection that takes longer than a deadline is made all the same.
#[derive(Clone)]
pub struct Link(Arc<Shared>);

struct Shared {
    place: Place,
    state: Mutex<State>,
    connecting: Flight<RedisError>,
}

/// The server that a link leads to.
pub(super) enum Place {
    Server(Client),
    #[cfg(feature = "sentinel")]
    Primary(Primary),
}

#[derive(Default)]
struct State {
    current: Option<MultiplexedConnection>,
    /// The number of connections so far.
    number: u64,
    /// The requests in a row on this connection that had no answer.
    silent: u32,
}

impl Link {
    /// Returns a link that is connected when it is first asked for a connection.
    pub(super) fn new(place: Place) -> Self {
        Link(Arc::new(Shared { place, state: Mutex::default(), connecting: Flight::default() }))
    }

    /// Returns the connection that there is.
    pub(super) fn current(&self) -> Option<Lent> {
        self.0.current()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the connection that there is.
    fn current(&self) -> Option<Lent> {
        let state = self.lock();
        let connection = state.current.clone()?;
        Some(Lent { connection, number: state.number })
    }

    /// Makes a connection if there is none.
    async fn connect(self: Arc<Self>) -> Result<(), RedisError> {
        if self.current().is_some() {
            return Ok(());
        }
        let connecting = async {
            match &self.place {
                Place::Server(client) => server::connect(client).await,
                #[cfg(feature = "sentinel")]
                Place::Primary(primary) => primary.connect().await,
            }
        };
        let connection = tokio::time::timeout(CONNECTING, connecting).await;
        let late = |_| not_connected(format!("no connection within {CONNECTING:?}"));
        let connection = connection.map_err(late)??;
        let mut state = self.lock();
        *state = State { current: Some(connection), number: state.number + 1, silent: 0 };
        Ok(())
    }
}

#[cfg(feature = "sentinel")]
impl Shared {
    /// Asks the sentinels now and then, and gives the connection up if they name another server.
    fn check(self: &Arc<Self>, number: u64) {
        let Place::Primary(primary) = &self.place else { return };
        if !primary.is_due() {
            return;
        }
        let shared = self.clone();
        tokio::spawn(async move {
            let Place::Primary(primary) = &shared.place else { return };
            if primary.is_elsewhere().await {
                let mut state = shared.lock();
                if state.number == number {
                    state.current = None;
                }
            }
        });
    }
}

impl Connect for Link {
    type Connection = Lent;

    // The server does nothing else while the script runs: some 150 µs for so many.
    const MOST: usize = 64;

    async fn get(&self, _: &str) -> Result<Lent, RedisError> {
        if let Some(lent) = self.current() {
            #[cfg(feature = "sentinel")]
            self.0.check(lent.number);
            return Ok(lent);
        }
        self.0.connecting.join(|| self.0.clone().connect(), runtime_ended).await?;
        self.current().ok_or_else(|| not_connected("the connection was lost at once"))
    }

    fn report(&self, lent: &Lent, sign: Sign) {
        let mut state = self.0.lock();
        if lent.number != state.number {
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

/// The connection of a [`Link`], for one call.
#[derive(Clone)]
pub struct Lent {
    connection: MultiplexedConnection,
    /// The number of the connection.
    number: u64,
}

impl ConnectionLike for Lent {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.connection.req_packed_command(command)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.connection.req_packed_commands(commands, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").field("number", &self.number).finish_non_exhaustive()
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

    async fn get(&self, _: &str) -> Result<C, RedisError> {
        Ok(self.0.clone())
    }

    fn report(&self, _: &C, _: Sign) {}
}
