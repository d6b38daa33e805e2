//! A world in the time of a mock clock: tasks, and a server that counts what it is asked.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use brimful::{Clock, MockClock, RateLimiter, Timer};
use brimful_tower::client::BoxError;
use http::{Request, Response};
use tower::Service;

/// All times are whole milliseconds.
const STEP: Duration = Duration::from_millis(1);

pub(super) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Tasks on a mock clock.
#[derive(Default)]
pub(super) struct World {
    pub(super) clock: MockClock,
    tasks: Vec<Option<Task>>,
    any_woken: Arc<AtomicBool>,
}

type Task = (Pin<Box<dyn Future<Output = ()>>>, Arc<Flag>);

struct Flag {
    is_woken: AtomicBool,
    /// Whether any task of the world is.
    any: Arc<AtomicBool>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Relaxed);
        self.any.store(true, Ordering::Relaxed);
    }
}

/// The result of a task.
pub(super) struct Joined<T>(Rc<RefCell<Option<T>>>);

impl<T> Joined<T> {
    pub(super) fn take(&self) -> Option<T> {
        self.0.borrow_mut().take()
    }
}

impl World {
    pub(super) fn now(&self) -> u64 {
        self.clock.now() / 1_000_000
    }

    pub(super) fn spawn<T: 'static>(&mut self, task: impl Future<Output = T> + 'static) -> Joined<T> {
        let result = Rc::new(RefCell::new(None));
        let place = result.clone();
        let task = async move {
            let output = task.await;
            *place.borrow_mut() = Some(output);
        };
        let flag = Arc::new(Flag { is_woken: AtomicBool::new(false), any: self.any_woken.clone() });
        flag.clone().wake();
        self.tasks.push(Some((Box::pin(task), flag)));
        Joined(result)
    }

    /// Drops the task that was spawned as this one, from zero.
    pub(super) fn abort(&mut self, nth: usize) {
        self.tasks[nth] = None;
    }

    /// Runs all tasks until none is woken.
    pub(super) fn settle(&mut self) {
        while self.any_woken.swap(false, Ordering::Relaxed) {
            for place in &mut self.tasks {
                let Some((task, flag)) = place else { continue };
                if !flag.is_woken.swap(false, Ordering::Relaxed) {
                    continue;
                }
                let waker = Waker::from(flag.clone());
                if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                    *place = None;
                }
            }
        }
    }

    /// Runs all tasks until this time, in milliseconds.
    pub(super) fn run_until(&mut self, time: u64) {
        self.settle();
        while self.now() < time {
            self.clock.advance(STEP);
            self.settle();
        }
    }

    /// Runs all tasks to their end, which must come within an hour.
    pub(super) fn run(&mut self) {
        self.settle();
        while self.tasks.iter().any(Option::is_some) {
            assert!(self.now() < 3_600_000, "a task never ends");
            self.clock.advance(STEP);
            self.settle();
        }
    }
}

/// Sleeps for a time of the clock.
pub(super) async fn sleep(clock: MockClock, time: Duration) {
    let at = clock.now() + time.as_nanos() as u64;
    let mut timer: Option<Box<dyn Timer>> = None;
    std::future::poll_fn(|context| {
        let now = clock.now();
        if now >= at {
            return Poll::Ready(());
        }
        timer.get_or_insert_with(|| clock.timer().expect("a timer")).arm(now, at, context.waker());
        Poll::Pending
    })
    .await;
}

/// The answer of a server to a call: the status and the headers.
pub(super) type Reply = (u16, Vec<(&'static str, String)>);

type ReplyTo = dyn Fn(&Request<String>) -> Reply;

/// A server that records when each call left for it, and with which status it was answered.
pub(super) struct Server {
    clock: MockClock,
    reply: Box<ReplyTo>,
    pub(super) log: RefCell<Vec<Call>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// When it left, in milliseconds.
    pub(super) left: u64,
    /// When its answer came back.
    pub(super) back: u64,
    pub(super) host: String,
    pub(super) body: String,
    pub(super) status: u16,
}

/// The time from a client to a server, and back.
pub(super) const WAY: Duration = Duration::from_millis(20);

impl Server {
    pub(super) fn new(clock: &MockClock, reply: impl Fn(&Request<String>) -> Reply + 'static) -> Rc<Self> {
        Rc::new(Server { clock: clock.clone(), reply: Box::new(reply), log: RefCell::default() })
    }

    /// Serves what a bucket admits, and names the milliseconds until the next token with each refusal.
    pub(super) fn of_bucket(clock: &MockClock, quota: &str) -> Rc<Self> {
        let bucket = RateLimiter::with_clock(quota.parse().unwrap(), clock.clone());
        Server::new(clock, move |_| match bucket.try_acquire() {
            Ok(()) => (200, Vec::new()),
            Err(error) => {
                let wait = error.retry_after().expect("a rate").as_micros().div_ceil(1_000);
                (429, vec![("retry-after-ms", wait.to_string())])
            }
        })
    }

    /// Returns a client without a limit.
    pub(super) fn client(self: &Rc<Self>) -> Client {
        Client(self.clone())
    }

    pub(super) fn log(&self) -> Vec<Call> {
        let mut log = self.log.borrow().clone();
        log.sort_by_key(|call| call.left);
        log
    }

    /// Returns the times at which calls left for a host.
    pub(super) fn times(&self, host: &str) -> Vec<u64> {
        self.log().iter().filter(|call| call.host == host).map(|call| call.left).collect()
    }

    /// Returns the number of calls that were answered by this status.
    pub(super) fn count(&self, status: u16) -> usize {
        self.log.borrow().iter().filter(|call| call.status == status).count()
    }
}

/// A client that has no limit.
#[derive(Clone)]
pub(super) struct Client(Rc<Server>);

impl Service<Request<String>> for Client {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, BoxError>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let (server, left) = (self.0.clone(), self.0.clock.now() / 1_000_000);
        Box::pin(async move {
            sleep(server.clock.clone(), WAY).await;
            let (status, headers) = (server.reply)(&request);
            sleep(server.clock.clone(), WAY).await;
            let (back, host) = (server.clock.now() / 1_000_000, request.uri().host().unwrap_or_default().to_owned());
            let body = request.into_body();
            server.log.borrow_mut().push(Call { left, back, host, body: body.clone(), status });
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(body)?)
        })
    }
}

pub(super) fn request(host: &str, body: impl ToString) -> Request<String> {
    Request::post(format!("https://{host}/")).body(body.to_string()).unwrap()
}
