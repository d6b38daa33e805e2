//! [`Link`]: a connection that all tasks share, and that is made anew when it is lost.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_postgres::{Client, Error, Statement};

use crate::engine::{Flight, StoreError};

/// The requests in a row that had no answer by their deadlines after which the connection is made anew: it may be half
/// open, and then no request is ever answered.
const SILENT: u32 = 3;

/// The longest time for a new connection.
const CONNECTING: Duration = Duration::from_secs(5);

/// A connection that is being made.
pub(super) type Connecting = Pin<Box<dyn Future<Output = Result<Live, Error>> + Send>>;

/// A connection that works, as far as is known.
pub(super) struct Live {
    pub(super) client: Client,
    /// The task that reads and writes.
    pub(super) driver: AbortHandle,
    /// The statements, which are prepared when they are needed first.
    pub(super) decide: OnceCell<Statement>,
    pub(super) sweep: OnceCell<Statement>,
}

/// A connection that all tasks share, and that is made anew when it is lost or answers nothing any longer.
///
/// One task of its own connects, for up to five seconds, and the requests wait for it, each until its own deadline. So a
/// connection that takes longer than a deadline is made all the same.
pub(super) struct Link(Arc<Shared>);

struct Shared {
    connect: Box<dyn Fn() -> Connecting + Send + Sync>,
    state: Mutex<State>,
    connecting: Flight<StoreError>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Live>>,
    /// The number of connections so far.
    made: u64,
    /// The requests in a row on this connection that had no answer.
    silent: u32,
}

impl Link {
    /// Returns a link that is connected when it is first asked for a connection.
    pub(super) fn new(connect: impl Fn() -> Connecting + Send + Sync + 'static) -> Self {
        Link(Arc::new(Shared { connect: Box::new(connect), state: Mutex::default(), connecting: Flight::default() }))
    }

    /// Returns the connection, and makes one if there is none, or if the one that was there is known to be closed.
    pub(super) async fn get(&self) -> Result<Arc<Live>, StoreError> {
        if let Some(live) = self.0.current() {
            return Ok(live);
        }
        let failed = |why: &str| StoreError::new(false, why);
        let connecting = self.0.connecting.join(|| self.0.clone().connect(), || failed("the runtime has ended"));
        connecting.await?;
        self.0.current().ok_or_else(|| failed("the connection was lost at once"))
    }

    /// Returns the number of connections so far.
    pub(super) fn made(&self) -> u64 {
        self.0.lock().made
    }

    /// Called when the server has answered on a connection.
    fn answered(&self, live: &Arc<Live>) {
        let mut state = self.0.lock();
        if state.is_current(live) {
            state.silent = 0;
        }
    }

    /// Called when a request had no answer by its deadline.
    fn was_silent(&self, live: &Arc<Live>) {
        let mut state = self.0.lock();
        if state.is_current(live) {
            state.silent += 1;
            if state.silent >= SILENT {
                state.lose();
            }
        }
    }

    /// Called when a connection is lost, or leads to a server that does not take writes.
    fn lost(&self, live: &Arc<Live>) {
        let mut state = self.0.lock();
        if state.is_current(live) {
            state.lose();
        }
    }
}

impl State {
    fn is_current(&self, live: &Arc<Live>) -> bool {
        self.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, live))
    }

    /// Closes the connection: a half-open one would stay for hours.
    fn lose(&mut self) {
        if let Some(live) = self.current.take() {
            live.driver.abort();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the connection, unless there is none, or it is known to be closed.
    fn current(&self) -> Option<Arc<Live>> {
        let mut state = self.lock();
        state.current = state.current.take().filter(|live| !live.client.is_closed());
        state.current.clone()
    }

    /// Makes a connection if there is none.
    async fn connect(self: Arc<Self>) -> Result<(), StoreError> {
        if self.current().is_some() {
            return Ok(());
        }
        let connected = tokio::time::timeout(CONNECTING, (self.connect)()).await;
        let late = |_| StoreError::new(false, format!("no connection within {CONNECTING:?}"));
        let live = connected.map_err(late)?.map_err(|error| StoreError::new(false, described(&error)))?;
        let mut state = self.lock();
        *state = State { current: Some(Arc::new(live)), made: state.made + 1, silent: 0 };
        Ok(())
    }
}

/// Returns the text of an error with its cause, which its `Display` leaves out. Of an error of the server it has the message,
/// but not the detail, which may name a key.
pub(super) fn described(error: &Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(answer), _) => format!("{}: {} ({})", answer.severity(), answer.message(), answer.code().code()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

/// The outcome of a request, as far as the connection is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Answered,
    Lost,
}

/// Reports the outcome of a request to the link, also if the request is dropped.
pub(super) struct Report<'a> {
    link: &'a Link,
    live: Arc<Live>,
    /// A request that is dropped later than this was dropped by its deadline.
    until: Instant,
    sign: Option<Sign>,
}

impl<'a> Report<'a> {
    pub(super) fn new(link: &'a Link, live: Arc<Live>, patience: Duration) -> Self {
        Report { link, live, until: Instant::now() + patience.mul_f64(0.9), sign: None }
    }

    pub(super) fn set(&mut self, sign: Sign) {
        self.sign = Some(sign);
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        match self.sign {
            Some(Sign::Answered) => self.link.answered(&self.live),
            Some(Sign::Lost) => self.link.lost(&self.live),
            None if Instant::now() < self.until => {}
            None => self.link.was_silent(&self.live),
        }
    }
}
