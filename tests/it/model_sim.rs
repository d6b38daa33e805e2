//! An executor in the time of a mock clock, and a server with limits, for calls to models.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use brimful::model::{Dimension, DimensionHint, ServerHints, Usage};
use brimful::{Clock, MockClock, Quota, RateLimiter, Tokens};

/// The time that the clock is moved at once, in nanoseconds.
const STEP: u64 = 1_000_000;

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs tasks until all have ended.
pub(crate) struct Sim {
    pub(crate) clock: MockClock,
    /// The sleeps: their ends, and their tasks.
    sleeps: Mutex<BTreeSet<(u64, usize)>>,
    ready: Arc<Mutex<Vec<usize>>>,
    /// The task that is polled.
    current: Mutex<usize>,
}

struct Ready(Arc<Mutex<Vec<usize>>>, usize);

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.0.lock().expect("no panic").push(self.1);
    }
}

impl Sim {
    pub(crate) fn new() -> Self {
        let (sleeps, ready) = (Mutex::new(BTreeSet::new()), Arc::new(Mutex::new(Vec::new())));
        Sim { clock: MockClock::new(), sleeps, ready, current: Mutex::new(0) }
    }

    /// Sleeps until an instant.
    pub(crate) async fn sleep_until(&self, at: u64) {
        poll_fn(|_| {
            if self.clock.now() >= at {
                return Poll::Ready(());
            }
            let task = *self.current.lock().expect("no panic");
            self.sleeps.lock().expect("no panic").insert((at, task));
            Poll::Pending
        })
        .await;
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.sleep_until(self.clock.now() + time.as_nanos() as u64).await;
    }

    /// Runs the tasks. Panics if none can go on: there is a deadlock.
    pub(crate) fn run(&self, tasks: Vec<Task<'_>>) {
        let mut tasks: Vec<_> = tasks.into_iter().map(Some).collect();
        let mut left = tasks.len();
        self.ready.lock().expect("no panic").extend(0..left);
        let mut idle = 0;
        while left > 0 {
            let ready = std::mem::take(&mut *self.ready.lock().expect("no panic"));
            idle = if ready.is_empty() { idle + 1 } else { 0 };
            for nth in ready {
                let Some(task) = &mut tasks[nth] else { continue };
                *self.current.lock().expect("no panic") = nth;
                let waker = Waker::from(Arc::new(Ready(self.ready.clone(), nth)));
                if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                    tasks[nth] = None;
                    left -= 1;
                }
            }
            if !self.ready.lock().expect("no panic").is_empty() {
                continue;
            }
            let now = self.clock.now();
            let next = self.sleeps.lock().expect("no panic").first().map_or(u64::MAX, |&(at, _)| at);
            assert!(next < u64::MAX || idle < 10_000_000, "{left} tasks wait for ever");
            self.clock.advance(Duration::from_nanos(next.clamp(now, now + STEP) - now));
            let now = self.clock.now();
            let mut sleeps = self.sleeps.lock().expect("no panic");
            while let Some(&(at, task)) = sleeps.first().filter(|&&(at, _)| at <= now) {
                sleeps.remove(&(at, task));
                self.ready.lock().expect("no panic").push(task);
            }
        }
    }
}

/// A server that counts the actual usage of each call when it comes, in a bucket for requests and one for tokens.
pub(crate) struct Server {
    requests: RateLimiter<MockClock>,
    tokens: RateLimiter<MockClock>,
    pub(crate) answers: Mutex<Answers>,
}

#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Answers {
    pub(crate) served: u64,
    pub(crate) refused: u64,
    /// The tokens of calls that were served.
    pub(crate) tokens: u64,
}

impl Server {
    pub(crate) fn new(rpm: u32, tpm: u32, clock: &MockClock) -> Self {
        let limiter = |per_minute| RateLimiter::with_clock(Quota::per_minute(per_minute), clock.clone());
        Server { requests: limiter(rpm), tokens: limiter(tpm), answers: Mutex::default() }
    }

    /// Answers a call that uses this much: with what it says about its limits, and whether it serves the call.
    pub(crate) fn call(&self, usage: Usage) -> (bool, ServerHints) {
        let n = Tokens::try_from(usage.total()).expect("a few tokens");
        let wait = self.requests.time_until(1).max(self.tokens.time_until(n)).expect("within the limits");
        let mut answers = self.answers.lock().expect("no panic");
        let hints = if wait.is_zero() {
            assert!(self.requests.allow() && self.tokens.try_acquire_n(n).is_ok());
            answers.served += 1;
            answers.tokens += usage.total();
            ServerHints::new()
        } else {
            answers.refused += 1;
            ServerHints::new().refused().retry_after(wait)
        };
        let left = |limiter: &RateLimiter<MockClock>| {
            let most = limiter.quota().capacity().whole().into();
            DimensionHint::new().limit(most).remaining(limiter.available_tokens() as u64)
        };
        let hints = hints.dimension(Dimension::Rpm, left(&self.requests)).dimension(Dimension::Tpm, left(&self.tokens));
        (wait.is_zero(), hints)
    }
}
