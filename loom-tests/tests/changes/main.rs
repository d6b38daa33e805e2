//! Models of a quota that changes, one for each hazard. Empty without `--cfg brimful_loom`.
//!
//! The time is 4 T when the threads start. If a model says so, each reading of the clock moves it on.
//! No timer ever fires: only calls serve waiters here.
#![cfg(brimful_loom)]

mod fast;
mod keys;
mod takers;
mod waiters;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use brimful::{Clock, Quota, RateLimiter, Timer};
use brimful_loom_tests::T;
use loom::thread;

/// A clock that all threads share. Each reading moves it on by `step` nanoseconds.
#[derive(Clone)]
struct SharedClock {
    nanos: Arc<AtomicU64>,
    step: u64,
}

impl SharedClock {
    fn new(step: u64) -> Self {
        SharedClock::at(4 * T, step)
    }

    fn at(nanos: u64, step: u64) -> Self {
        SharedClock { nanos: Arc::new(AtomicU64::new(nanos)), step }
    }
}

impl Clock for SharedClock {
    // Not loom's atomic: the threads switch at the limiter's own.
    fn now(&self) -> u64 {
        self.nanos.fetch_add(self.step, Ordering::Relaxed)
    }
}

/// A clock that loom sees: a reading also sees what came before the reading before it, or before the time was set.
#[derive(Clone)]
struct OrderedClock {
    nanos: Arc<loom::sync::atomic::AtomicU64>,
    step: u64,
}

impl OrderedClock {
    fn new(nanos: u64, step: u64) -> Self {
        OrderedClock { nanos: Arc::new(loom::sync::atomic::AtomicU64::new(nanos)), step }
    }

    fn set(&self, nanos: u64) {
        self.nanos.store(nanos, Ordering::Release);
    }
}

impl Clock for OrderedClock {
    fn now(&self) -> u64 {
        if self.step == 0 {
            return self.nanos.load(Ordering::Acquire);
        }
        self.nanos.fetch_add(self.step, Ordering::AcqRel)
    }
}

/// A quota so slow, a token in 13 days, that no reading earns a token.
fn glacial(burst: u32) -> Quota {
    Quota::new(1, Duration::from_nanos(1 << 50)).burst(burst)
}

/// The start of a tick of that quota. An era begins with a tick.
const TICK: u64 = 1 << 54;
/// The time between two readings, longer than the leap of limiter time when an era begins.
const STEP: u64 = 1 << 23;

/// A timer that never fires.
struct NoTimer;

impl Timer for NoTimer {
    fn arm(&mut self, _: u64, _: u64, _: &Waker) {}
}

type Lone = RateLimiter<SharedClock>;

/// Returns a limiter whose queue exists: one that is made later uses a lock that loom does not see.
fn lone(quota: Quota, step: u64) -> Lone {
    let builder = RateLimiter::builder().quota(quota).clock(SharedClock::new(step));
    builder.timer(|| NoTimer).max_waiters(8).build().expect("a limiter")
}

/// Runs two threads and then `check`, in every interleaving, with each thread begun first.
fn explore<L: Send + Sync + 'static>(make: fn() -> L, threads: [fn(&L); 2], check: fn(&L), preemptions: Option<usize>) {
    for order in [[0, 1], [1, 0]] {
        run(preemptions, move || {
            let limiter = Arc::new(make());
            let handles = order.map(|at: usize| {
                let (limiter, body) = (limiter.clone(), threads[at]);
                thread::spawn(move || body(&limiter))
            });
            for handle in handles {
                handle.join().expect("no thread panics");
            }
            check(&limiter);
        });
    }
}

/// Runs `body` in every interleaving of its threads.
fn run(preemptions: Option<usize>, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 5_000;
    builder.max_permutations = None;
    builder.max_duration = None;
    builder.preemption_bound = preemptions;
    let executions = Arc::new(AtomicU64::new(0));
    let counter = executions.clone();
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        body();
    });
    let executions = executions.load(Ordering::Relaxed);
    assert!(executions > 1, "the threads were not interleaved");
    println!("{executions} executions");
}

/// Polls a wait once.
fn poll<F: Future + Unpin>(wait: &mut F) -> Poll<F::Output> {
    Pin::new(wait).poll(&mut Context::from_waker(Waker::noop()))
}
