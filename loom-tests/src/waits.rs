//! The limiter's methods that wait. Each call is recorded.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use brimful::{AcquireError, Granted, RateLimiter, Tokens};

use crate::PICO;
use crate::actor::Actor;
use crate::clock::ModelClock;
use crate::history::{Failure, Op};
use crate::queue::Waiter;
use crate::subject::{Key, Subject, Table};

/// The result of a wait.
type Answer = Result<Granted, AcquireError>;

/// A wait that has not ended.
type AcquireFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The tokens that a caller waits for.
#[derive(Clone, Copy)]
pub struct WaitRequest {
    /// The tokens to take.
    pub n: u32,
    /// The tokens that must be left in the bucket.
    pub leaving: u32,
    /// The deadline, if there is one.
    pub until: Option<u64>,
    /// The waker reads the bucket at once, on the thread that wakes it.
    pub peeking: bool,
    /// The grant is held back until the deadline: the jitter is far longer.
    pub held: bool,
}

impl WaitRequest {
    /// A wait for `n` tokens, without a deadline.
    #[must_use]
    pub const fn of(n: u32) -> WaitRequest {
        WaitRequest { n, leaving: 0, until: None, peeking: false, held: false }
    }

    /// The same, with `leaving` tokens left in the bucket.
    #[must_use]
    pub const fn leaving(self, leaving: u32) -> WaitRequest {
        WaitRequest { leaving, ..self }
    }

    /// The same, with a deadline.
    #[must_use]
    pub const fn until(self, deadline: u64) -> WaitRequest {
        WaitRequest { until: Some(deadline), ..self }
    }

    /// The same, with a waker that reads the bucket.
    #[must_use]
    pub const fn peeking(self) -> WaitRequest {
        WaitRequest { peeking: true, ..self }
    }

    /// The same, with a deadline until which the grant is held back. The deadline is at most a
    /// microsecond after the grant, and the jitter is random: it is shorter once in 2³² times.
    #[must_use]
    pub const fn held_until(self, deadline: u64) -> WaitRequest {
        WaitRequest { until: Some(deadline), held: true, ..self }
    }

    fn waiter(self, id: u64) -> Waiter {
        let pico = |n: u32| i64::from(n) * PICO;
        let deadline = self.until.unwrap_or(u64::MAX);
        Waiter { id, cost: pico(self.n), leaving: pico(self.leaving), deadline, held: self.held }
    }
}

/// A limiter whose callers may wait.
pub trait Waitable: Subject {
    /// Whether the limiter has one bucket.
    const LONE: bool;

    /// A future that has not been polled.
    fn acquire(self: &Arc<Self>, key: Key, request: WaitRequest) -> AcquireFuture;

    /// Blocks the thread until the tokens are granted.
    ///
    /// # Errors
    ///
    /// The error of the limiter.
    fn acquire_blocking(&self, key: Key, request: WaitRequest) -> Answer;
}

/// Sets the options of a wait.
macro_rules! acquire {
    ($acquire:expr, $request:expr) => {{
        let acquire = $acquire.leaving(Tokens::from($request.leaving));
        let acquire = if $request.held { acquire.jitter(LONGEST_JITTER) } else { acquire };
        match $request.until {
            Some(deadline) => acquire.until(deadline),
            None => acquire,
        }
    }};
}

/// The longest jitter that the limiter takes.
const LONGEST_JITTER: Duration = Duration::from_micros(u32::MAX as u64);

impl Waitable for RateLimiter<ModelClock> {
    const LONE: bool = true;

    fn acquire(self: &Arc<Self>, _: Key, request: WaitRequest) -> AcquireFuture {
        Box::pin(acquire!(self.acquire_n_owned(request.n), request))
    }

    fn acquire_blocking(&self, _: Key, request: WaitRequest) -> Answer {
        acquire!(self.acquire_n(request.n), request).wait()
    }
}

impl Waitable for Table {
    const LONE: bool = false;

    fn acquire(self: &Arc<Self>, key: Key, request: WaitRequest) -> AcquireFuture {
        Box::pin(acquire!(self.acquire_n_owned(&key, request.n), request))
    }

    fn acquire_blocking(&self, key: Key, request: WaitRequest) -> Answer {
        acquire!(self.key(&key).acquire_n(request.n), request).wait()
    }
}

/// A waker that counts how many times it was woken.
struct Wakes {
    count: AtomicUsize,
    then: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Wakes {
    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if let Some(then) = &self.then {
            then();
        }
    }
}

/// A wait that has been polled, and that a thread owns.
pub struct PendingWait {
    key: Key,
    waiter: Waiter,
    wakes: Arc<Wakes>,
    acquire: AcquireFuture,
}

impl PendingWait {
    fn poll(&mut self) -> Poll<Answer> {
        let waker = Waker::from(self.wakes.clone());
        self.acquire.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn answered(&self, answer: &Answer, by_timer: bool) -> (Op, Option<u64>) {
        match answer {
            Ok(granted) => (Op::Serve { waiter: self.waiter, by_timer }, Some(granted.granted_at())),
            Err(AcquireError::TooLate(_)) => (Op::Late { waiter: self.waiter, by_timer }, None),
            Err(error) => {
                assert!(!by_timer, "a waiter that failed slept until a timer fired: {error}");
                (Op::Fail(self.waiter, failure(error)), None)
            }
        }
    }
}

fn failure(error: &AcquireError) -> Failure {
    match error {
        AcquireError::TooLate(_) => Failure::TooLate,
        AcquireError::QueueFull(_) => Failure::QueueFull,
        AcquireError::KeyRemoved(_) => Failure::KeyRemoved,
        AcquireError::LimiterClosed(_) => Failure::LimiterClosed,
        error => unreachable!("unexpected {error}"),
    }
}

/// The waits that no thread owns. The lock is the standard library's, like that of the recorder.
#[derive(Default)]
pub(crate) struct ParkedWaits {
    parked: Mutex<Vec<Option<PendingWait>>>,
    leaked: AtomicBool,
}

impl ParkedWaits {
    fn parked(&self) -> MutexGuard<'_, Vec<Option<PendingWait>>> {
        self.parked.lock().expect("a failed model ends at once")
    }

    /// Whether a wait was leaked, so that its grant is never collected.
    pub(crate) fn leaked(&self) -> bool {
        self.leaked.load(Ordering::Relaxed)
    }
}

impl<L: Waitable> Actor<L> {
    /// Takes the tokens, or begins to wait.
    #[must_use]
    pub fn enter(&self, request: WaitRequest) -> Option<PendingWait> {
        self.recorder.wait(self.caller, self.key, None, |id| {
            let waiter = request.waiter(id);
            let (limiter, key) = (Arc::downgrade(&self.limiter), self.key);
            let look: Box<dyn Fn() + Send + Sync> =
                Box::new(move || _ = limiter.upgrade().map(|limiter| limiter.at_origin(key)));
            let wakes = Arc::new(Wakes { count: AtomicUsize::new(0), then: Some(look).filter(|_| request.peeking) });
            let acquire = self.limiter.acquire(self.key, request);
            let mut waiting = PendingWait { key: self.key, waiter, wakes, acquire };
            match waiting.poll() {
                Poll::Pending => (Op::Enter(waiter), None, Some(waiting)),
                Poll::Ready(Ok(granted)) => (Op::Admit(waiter), Some(granted.granted_at()), None),
                Poll::Ready(Err(error)) => (Op::WaitRefused(waiter, failure(&error)), None, None),
            }
        })
    }

    /// Begins to wait, and parks the wait.
    pub fn enter_and_park(&self, request: WaitRequest) {
        if let Some(waiting) = self.enter(request) {
            self.park(waiting);
        }
    }

    /// Polls a wait, and parks it if it is still pending.
    pub fn poll_and_park(&self, waiting: PendingWait) {
        if let Some(waiting) = self.poll(waiting) {
            self.park(waiting);
        }
    }

    /// Polls a wait, and returns it if it is still pending.
    #[must_use]
    pub fn poll(&self, waiting: PendingWait) -> Option<PendingWait> {
        self.poll_as(waiting, false)
    }

    fn poll_as(&self, mut waiting: PendingWait, by_timer: bool) -> Option<PendingWait> {
        let (key, since) = (waiting.key, waiting.waiter.id);
        self.recorder.wait(self.caller, key, Some(since), |_| match waiting.poll() {
            Poll::Pending => (Op::Pending, None, Some(waiting)),
            Poll::Ready(answer) => {
                let (op, at) = waiting.answered(&answer, by_timer);
                (op, at, None)
            }
        })
    }

    /// Cancels a wait.
    pub fn leave(&self, waiting: PendingWait) {
        let PendingWait { key, waiter, acquire, .. } = waiting;
        self.recorder.wait(self.caller, key, None, |_| {
            drop(acquire);
            (Op::Leave { waiter, lone: L::LONE }, None, ())
        });
    }

    /// Leaks a wait, without cancelling it.
    pub fn leak(&self, waiting: PendingWait) {
        self.waits.leaked.store(true, Ordering::Relaxed);
        std::mem::forget(waiting);
    }

    /// Parks a wait for a thread that claims it, or for the end of the execution.
    pub fn park(&self, waiting: PendingWait) {
        self.waits.parked().push(Some(waiting));
    }

    /// Claims the wait that was parked as number `number`, counted from zero.
    ///
    /// # Panics
    ///
    /// If it is not parked.
    #[must_use]
    pub fn claim(&self, number: usize) -> PendingWait {
        self.waits.parked()[number].take().expect("no other thread claims it")
    }

    /// Blocks the thread until the wait is over.
    pub fn block(&self, request: WaitRequest) {
        self.recorder.wait(self.caller, self.key, None, |id| {
            let waiter = request.waiter(id);
            match self.limiter.acquire_blocking(self.key, request) {
                Ok(granted) => (Op::Block(waiter, granted.granted_at()), None, ()),
                Err(error) => (Op::BlockFailed(waiter, failure(&error)), None, ()),
            }
        });
    }

    /// Fires timers after all threads have ended, until no waiter is left. Each waiter was woken
    /// once already, or the timer wakes it.
    pub(crate) fn drain(&self) {
        let mut by_timer = false;
        loop {
            let (woken, asleep): (Vec<_>, Vec<_>) =
                self.waits.parked().drain(..).flatten().partition(|waiting| waiting.wakes.count() > 0);
            for waiting in woken {
                assert_eq!(waiting.wakes.count(), 1, "the number of wake-ups");
                assert!(self.poll_as(waiting, by_timer).is_none(), "woken, but still pending");
            }
            let strands = !asleep.is_empty();
            *self.waits.parked() = asleep.into_iter().map(Some).collect();
            if !(strands || self.limiter.has_waiters()) || !self.timers.fire() {
                assert!(!strands, "a waiter is left, and no timer is armed");
                return;
            }
            by_timer = true;
        }
    }
}

impl<L: Subject> Actor<L> {
    /// Fires the first armed timer, if there is one.
    pub fn fire(&self) {
        self.timers.fire();
    }

    /// Fires the first armed timer, if there is one. Every arming on this thread panics meanwhile.
    pub fn fire_broken(&self) {
        self.timers.fire_broken();
    }

    /// Fires every armed timer, until the other threads have ended.
    pub(crate) fn keep_time(&self) {
        self.timers.fire_until_done();
    }
}
