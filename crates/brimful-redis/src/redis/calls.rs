//! [`Calls`]: requests that wait at the same time are sent in one call of the script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{RedisError, Value};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::link::{Connect, Sign};
use super::script::{self, Failure, Reply};
use crate::engine::{Limit, Operation, Outcome, Request, RequestId, StoreError};

/// The calls that are on their way at a time, unless a full one waits: the server executes one while another is made or
/// read here.
const CALLS: usize = 2;

/// So few requests go in one call, which costs as much as they do.
const FEW: usize = 8;

/// A call that takes longer holds up no requests.
const LONG: Duration = Duration::from_millis(1);

/// The calls of a store.
///
/// A request that finds fewer than [`CALLS`] on their way is sent at once. Others wait until a call is over or takes
/// [`LONG`], or until [`Connect::MOST`] wait. So calls grow with the load, and a slow network does not limit them.
///
/// A task makes calls in turn while requests wait. It takes those of a call when it has a connection, and leaves out those
/// whose callers have gone by then. If a call has one request only, this is taken before: its key may need a connection
/// that is not the next one's.
pub(super) struct Calls<L> {
    link: L,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// The tasks that make calls.
    calls: usize,
    /// The tasks that have not taken their requests yet.
    due: usize,
    /// The requests on their way.
    sent: usize,
    /// Whether the callers of a call were answered, and no call has taken requests since.
    has_answered: bool,
}

/// A request, and its caller.
struct Waiting {
    key: String,
    operation: Operation,
    limits: Vec<(Limit, u64)>,
    id: Option<(RequestId, Duration)>,
    patience: Duration,
    caller: oneshot::Sender<Result<Outcome, StoreError>>,
}

impl Waiting {
    fn request(&self) -> Request<'_> {
        let Waiting { key, operation, limits, id, patience, .. } = self;
        Request { key, operation: *operation, limits, id: *id, patience: *patience }
    }
}

/// The requests of a call, and the reply.
type Answered = (Vec<Waiting>, Result<Value, RedisError>);

impl<L: Connect> Calls<L> {
    pub(super) fn new(link: L) -> Self {
        Calls { link, state: Mutex::default() }
    }

    pub(super) fn link(&self) -> &L {
        &self.link
    }

    /// Executes a request, together with others.
    pub(super) async fn execute(self: &Arc<Self>, request: Request<'_>) -> Result<Outcome, StoreError> {
        let Request { key, operation, limits, id, patience } = request;
        let (caller, outcome) = oneshot::channel();
        self.add(Waiting { key: key.to_owned(), operation, limits: limits.to_vec(), id, patience, caller });
        // The caller is let go without an answer if the call has none.
        outcome.await.unwrap_or_else(|_| Err(StoreError::new(true, "there was no answer in time")))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(self: &Arc<Self>, waiting: Waiting) {
        let is_due = {
            let mut state = self.lock();
            state.waiting.push_back(waiting);
            let is_due = state.calls < CALLS || state.has_full_call::<L>();
            state.calls += usize::from(is_due);
            state.due += usize::from(is_due);
            is_due
        };
        if is_due {
            let turn = Turn { calls: self.clone(), is_due: true, sent: 0, is_over: false };
            tokio::spawn(turn.run());
        }
    }

    /// Reports the result of a call, and answers its callers.
    fn answer(&self, connection: &L::Connection, (requests, reply): Answered) {
        let outcomes: Vec<Result<Outcome, Failure>> = match reply.map_err(Failure::of_call).and_then(Reply::new) {
            Ok(mut reply) => requests.iter().map(|waiting| reply.next(&waiting.request())).collect(),
            Err(failure) => requests.iter().map(|_| Err(failure.clone())).collect(),
        };
        let is_lost = outcomes.iter().any(|outcome| outcome.as_ref().is_err_and(Failure::is_lost));
        self.link.report(connection, if is_lost { Sign::Lost } else { Sign::Answered });
        self.lock().has_answered = true;
        for (waiting, outcome) in requests.into_iter().zip(outcomes) {
            let _ = waiting.caller.send(outcome.map_err(StoreError::from));
        }
    }

    /// Fails the requests that wait: nothing was done.
    fn fail(&self, why: impl Fn() -> StoreError) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        fail(waiting, why);
    }

    /// Returns the key of the request that waits longest.
    fn first_key(&self) -> Option<String> {
        self.lock().waiting.front().map(|waiting| waiting.key.clone())
    }
}

fn fail(requests: impl IntoIterator<Item = Waiting>, why: impl Fn() -> StoreError) {
    for waiting in requests {
        let _ = waiting.caller.send(Err(why()));
    }
}

impl State {
    /// Returns whether there are requests for one more full call.
    fn has_full_call<L: Connect>(&self) -> bool {
        self.waiting.len() >= L::MOST * (self.due + 1)
    }

    /// Takes the requests of a call: half of those that wait or are on their way, so that two calls are of a size.
    fn take<L: Connect>(&mut self) -> Vec<Waiting> {
        let half = (self.waiting.len() + self.sent).div_ceil(2).max(FEW);
        let most = half.min(self.waiting.len()).min(L::MOST);
        let mut taken = Vec::with_capacity(most);
        while taken.len() < most {
            match self.waiting.pop_front() {
                // The caller has gone.
                Some(waiting) if waiting.caller.is_closed() => {}
                Some(waiting) => taken.push(waiting),
                None => break,
            }
        }
        taken
    }
}

/// A task that makes calls.
struct Turn<L: Connect> {
    calls: Arc<Calls<L>>,
    /// Whether it is counted in [`State::due`].
    is_due: bool,
    /// Its part of [`State::sent`].
    sent: usize,
    is_over: bool,
}

impl<L: Connect> Turn<L> {
    async fn run(mut self) {
        while !self.is_over {
            let mut alone = if L::MOST == 1 { self.take() } else { Vec::new() };
            let key = match L::MOST {
                1 => alone.first().map(|waiting| waiting.key.clone()),
                _ => self.calls.first_key(),
            };
            let Some(key) = key else {
                // Other tasks have taken the requests.
                self.next();
                continue;
            };
            match self.calls.link.get(&key).await {
                Ok(connection) => {
                    alone.retain(|waiting| !waiting.caller.is_closed());
                    let requests = if L::MOST == 1 { alone } else { self.take() };
                    if !requests.is_empty() {
                        self.call(requests, connection).await;
                        // The callers that were answered may ask again: then they are part of the next call.
                        yield_now().await;
                    }
                }
                // The others may need other connections.
                Err(error) if L::MOST == 1 => fail(alone, || StoreError::new(false, error.clone())),
                Err(error) => self.calls.fail(|| StoreError::new(false, error.clone())),
            }
            self.next();
        }
    }

    fn take(&mut self) -> Vec<Waiting> {
        let mut state = self.calls.lock();
        let taken = state.take::<L>();
        state.due -= 1;
        state.sent += taken.len();
        state.has_answered = false;
        (self.is_due, self.sent) = (false, taken.len());
        taken
    }

    /// Makes a call. If it takes long, another task waits for the answer, so that it does not hold up further requests.
    async fn call(&self, mut requests: Vec<Waiting>, connection: L::Connection) {
        let patience = || requests.iter().map(|waiting| waiting.patience);
        let (first, last) = (patience().min().unwrap_or_default(), patience().max().unwrap_or_default());
        let silent = patience().filter(|&patience| patience == first).count();
        // The script wants the requests on a key together. They stay in their order.
        requests.sort_by(|one, other| one.key.cmp(&other.key));
        let mut asked = connection.clone();
        let mut call = Box::pin(async move {
            let all: Vec<Request<'_>> = requests.iter().map(Waiting::request).collect();
            let reply = script::SCRIPT.call(&mut asked, |command| script::fill(&all, command)).await;
            (requests, reply)
        });
        if let Ok(answered) = timeout(LONG, &mut call).await {
            if self.calls.lock().has_answered {
                // Two calls that reach the server together are answered together. Then the server would idle while their
                // callers run, and these would all wait for the server. So the callers of one come first, and send again.
                yield_now().await;
            }
            return self.calls.answer(&connection, answered);
        }
        let calls = self.calls.clone();
        tokio::spawn(async move {
            if let Ok(answered) = timeout(first, &mut call).await {
                return calls.answer(&connection, answered);
            }
            (0..silent).for_each(|_| calls.link.report(&connection, Sign::Silent));
            if let Ok(answered) = timeout(last - first, call).await {
                calls.answer(&connection, answered);
            }
        });
    }

    /// Ends the turn, or makes it the next call's.
    fn next(&mut self) {
        let mut state = self.calls.lock();
        state.due -= usize::from(self.is_due);
        state.sent -= self.sent;
        let goes_on = !state.waiting.is_empty() && (state.calls <= CALLS || state.has_full_call::<L>());
        state.due += usize::from(goes_on);
        state.calls -= usize::from(!goes_on);
        (self.is_due, self.sent, self.is_over) = (goes_on, 0, !goes_on);
    }
}

impl<L: Connect> Drop for Turn<L> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // The runtime has ended. There may be another one, with callers of its own.
        let mut state = self.calls.lock();
        state.due -= usize::from(self.is_due);
        state.sent -= self.sent;
        state.calls -= 1;
        drop(state);
        self.calls.fail(|| StoreError::new(false, "the runtime has ended"));
    }
}
