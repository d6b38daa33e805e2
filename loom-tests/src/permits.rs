//! Models of concurrency limits: permits, waits for them, and changes of the limit.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use brimful::{
    AcquirePermitError, Clock, ConcurrencyLimit, KeyedConcurrencyLimit, OwnedAcquirePermit, OwnedPermit, Timer,
    TryAcquirePermitError,
};
use loom::sync::atomic::AtomicU64;

use crate::model::{explore_each, panicked, reset_panics};
use crate::subject::IdentityState;
use crate::timers::{ModelTimers, TimerFaults};

/// The key of models with one key.
const KEY: u64 = 7;

/// A clock that only timers move.
#[derive(Clone)]
struct PermitClock {
    time: Arc<AtomicU64>,
    timers: Arc<ModelTimers>,
}

impl Clock for PermitClock {
    // Relaxed: a clock orders nothing, so the model must not get order from it.
    fn now(&self) -> u64 {
        self.time.load(Ordering::Relaxed)
    }

    fn timer(&self) -> Option<Box<dyn Timer>> {
        Some(ModelTimers::timer(&self.timers))
    }
}

/// A limit, or one key of a keyed limit.
enum Limit {
    Lone(Arc<ConcurrencyLimit<PermitClock>>),
    Keyed(KeyedConcurrencyLimit<u64, PermitClock, IdentityState>),
}

/// Calls the same method of a limit, or of the key of a keyed limit.
macro_rules! on {
    ($limit:expr, $lone:ident => $of_lone:expr, $keyed:ident => $of_key:expr) => {
        match $limit {
            Limit::Lone($lone) => $of_lone,
            Limit::Keyed($keyed) => $of_key,
        }
    };
}

impl Limit {
    fn new(keyed: bool, limit: usize, clock: PermitClock) -> Self {
        if keyed {
            Limit::Keyed(KeyedConcurrencyLimit::builder(limit).clock(clock).hasher(IdentityState).build())
        } else {
            Limit::Lone(Arc::new(ConcurrencyLimit::with_clock(limit, clock)))
        }
    }

    fn try_acquire(&self) -> Result<OwnedPermit<PermitClock>, TryAcquirePermitError> {
        on!(self, lone => lone.try_acquire_owned(), keyed => keyed.try_acquire_owned(&KEY))
    }

    fn acquire(&self) -> OwnedAcquirePermit<PermitClock> {
        on!(self, lone => lone.acquire_owned(), keyed => keyed.acquire_owned(&KEY))
    }

    fn resize(&self, limit: usize) {
        on!(self, lone => lone.resize(limit), keyed => keyed.resize(limit));
    }

    fn close(&self) {
        on!(self, lone => lone.close(), keyed => keyed.close());
    }

    fn limit(&self) -> usize {
        on!(self, lone => lone.limit(), keyed => keyed.limit())
    }

    fn in_flight(&self) -> usize {
        on!(self, lone => lone.in_flight(), keyed => keyed.in_flight(&KEY))
    }

    fn waiters(&self) -> usize {
        on!(self, lone => lone.waiters(), keyed => keyed.waiters(&KEY))
    }

    fn is_closed(&self) -> bool {
        on!(self, lone => lone.is_closed(), keyed => keyed.is_closed())
    }
}

/// A permit that a thread of the model owns. The owners are counted.
pub struct Held {
    permit: Option<OwnedPermit<PermitClock>>,
    owners: Arc<AtomicUsize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.owners.fetch_sub(1, Ordering::Relaxed);
        drop(self.permit.take());
    }
}

/// Counts its wakes.
#[derive(Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A wait that was polled and is pending.
pub struct PendingPermit {
    id: usize,
    wakes: Arc<Wakes>,
    acquire: OwnedAcquirePermit<PermitClock>,
}

impl PendingPermit {
    fn poll(&mut self) -> Poll<Result<OwnedPermit<PermitClock>, AcquirePermitError>> {
        let waker = Waker::from(self.wakes.clone());
        Pin::new(&mut self.acquire).poll(&mut Context::from_waker(&waker))
    }
}

/// One thread of a model. The locks in it are the standard library's, which loom does not see.
#[derive(Clone)]
pub struct PermitActor {
    caller: usize,
    limit: Arc<Limit>,
    timers: Arc<ModelTimers>,
    /// Passes a value to another thread, with no memory ordering of its own.
    pub mailbox: Arc<AtomicU64>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    owners: Arc<AtomicUsize>,
    /// The highest limit so far: no more permits may ever be owned.
    most: AtomicUsize,
    /// The letters of the calls of each thread.
    outcomes: Mutex<Vec<String>>,
    parked: Mutex<Vec<Option<PendingPermit>>>,
    kept: Mutex<Vec<Held>>,
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a failed model ends at once")
}

fn letter(error: AcquirePermitError) -> char {
    match error {
        AcquirePermitError::TimedOut(_) => 't',
        AcquirePermitError::QueueFull(_) => 'q',
        AcquirePermitError::LimiterClosed(_) => 'e',
        error => unreachable!("unexpected {error}"),
    }
}

impl PermitActor {
    fn record(&self, letter: char) {
        guard(&self.shared.outcomes)[self.caller].push(letter);
    }

    fn hold(&self, permit: OwnedPermit<PermitClock>) -> Held {
        let (owners, most) = (self.shared.owners.clone(), self.shared.most.load(Ordering::Relaxed));
        assert!(owners.fetch_add(1, Ordering::Relaxed) < most, "more than {most} permits are owned");
        self.record('+');
        Held { permit: Some(permit), owners }
    }

    /// Takes a permit without waiting.
    #[must_use]
    pub fn take(&self) -> Option<Held> {
        match self.limit.try_acquire() {
            Ok(permit) => Some(self.hold(permit)),
            Err(error) => {
                self.record(if let TryAcquirePermitError::NoPermit(_) = error { '-' } else { 'e' });
                None
            }
        }
    }

    /// Takes a permit without waiting, and gives it back at once.
    pub fn take_and_give(&self) {
        if let Some(held) = self.take() {
            self.give(held);
        }
    }

    /// Takes a permit without waiting, and keeps it.
    pub fn take_and_keep(&self) {
        if let Some(held) = self.take() {
            self.keep(held);
        }
    }

    /// Gives a permit back.
    pub fn give(&self, held: Held) {
        self.record('g');
        drop(held);
    }

    /// Keeps a permit, for a thread that comes later.
    pub fn keep(&self, held: Held) {
        guard(&self.shared.kept).push(held);
    }

    /// Gives back a permit that was kept before the threads started.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn give_kept(&self) {
        let held = guard(&self.shared.kept).pop().expect("a permit was kept");
        self.give(held);
    }

    /// Begins to wait. A permit that is granted at once is given back at once.
    pub fn enter(&self) {
        self.enter_as(self.limit.acquire());
    }

    /// As [`enter`](PermitActor::enter), with a deadline.
    pub fn enter_until(&self, deadline: u64) {
        self.enter_as(self.limit.acquire().until(deadline));
    }

    fn enter_as(&self, acquire: OwnedAcquirePermit<PermitClock>) {
        let id = {
            let mut parked = guard(&self.shared.parked);
            parked.push(None);
            parked.len() - 1
        };
        self.poll_or_park(PendingPermit { id, wakes: Arc::default(), acquire }, 'w');
    }

    /// Takes a wait that was parked before the threads started.
    ///
    /// # Panics
    ///
    /// If it was not parked.
    #[must_use]
    pub fn claim(&self, id: usize) -> PendingPermit {
        guard(&self.shared.parked)[id].take().expect("the wait was parked")
    }

    /// Polls a wait. A permit that it has is given back at once.
    pub fn poll(&self, wait: PendingPermit) {
        self.poll_or_park(wait, '.');
    }

    fn poll_or_park(&self, mut wait: PendingPermit, pending: char) {
        match wait.poll() {
            Poll::Ready(Ok(permit)) => {
                let held = self.hold(permit);
                drop(wait);
                self.give(held);
            }
            Poll::Ready(Err(error)) => self.record(letter(error)),
            Poll::Pending => {
                self.record(pending);
                let id = wait.id;
                guard(&self.shared.parked)[id] = Some(wait);
            }
        }
    }

    /// Cancels a wait.
    pub fn leave(&self, wait: PendingPermit) {
        self.record('l');
        drop(wait);
    }

    /// Blocks the thread until it has a permit.
    #[must_use]
    pub fn block(&self) -> Option<Held> {
        self.block_as(self.limit.acquire())
    }

    /// As [`block`](PermitActor::block), with a deadline.
    #[must_use]
    pub fn block_until(&self, deadline: u64) -> Option<Held> {
        self.block_as(self.limit.acquire().until(deadline))
    }

    fn block_as(&self, acquire: OwnedAcquirePermit<PermitClock>) -> Option<Held> {
        match acquire.wait() {
            Ok(permit) => Some(self.hold(permit)),
            Err(error) => {
                self.record(letter(error));
                None
            }
        }
    }

    /// Changes the limit.
    pub fn resize(&self, limit: usize) {
        self.shared.most.fetch_max(limit, Ordering::Relaxed);
        self.record('r');
        self.limit.resize(limit);
    }

    /// Closes the limit.
    pub fn close(&self) {
        self.record('z');
        self.limit.close();
    }

    /// Returns the number of permits in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.limit.in_flight()
    }

    /// Returns the limit.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.limit()
    }

    /// Fires the first armed timer, if there is one.
    pub fn fire(&self) {
        self.timers.fire();
    }

    /// Fires every armed timer, until the other threads have ended.
    fn keep_time(&self) {
        self.timers.fire_until_done();
    }

    /// Ends every wait and every permit. No waiter may be forgotten, and the count must be exact.
    fn drain(&self) {
        let limit = &self.limit;
        let (in_flight, waiters) = (limit.in_flight(), limit.waiters());
        assert!(waiters == 0 || in_flight >= limit.limit(), "a permit is free, and {waiters} wait");
        if waiters == 0 && !limit.is_closed() {
            let free = limit.limit().saturating_sub(in_flight);
            let permits: Vec<_> = (0..free).map(|_| limit.try_acquire()).collect();
            assert!(permits.iter().all(Result::is_ok), "a free permit is refused");
            assert!(limit.try_acquire().is_err(), "a permit is granted above the limit");
        }
        guard(&self.shared.kept).clear();
        if limit.limit() == 0 {
            self.shared.most.fetch_max(1, Ordering::Relaxed);
            limit.resize(1);
        }
        loop {
            while let Some(wait) = self.woken() {
                self.poll_or_park(wait, '?');
            }
            if !self.timers.fire() {
                break;
            }
        }
        assert!(guard(&self.shared.parked).iter().all(Option::is_none), "a waiter was forgotten");
        assert_eq!((limit.in_flight(), limit.waiters()), (0, 0));
        if let Limit::Keyed(keyed) = &**limit {
            assert!(keyed.is_empty(), "a key without permits is kept");
        }
        if !limit.is_closed() {
            let permits: Vec<_> = (0..limit.limit()).map(|_| limit.try_acquire()).collect();
            assert!(permits.iter().all(Result::is_ok), "a permit was lost");
            assert!(limit.try_acquire().is_err(), "a permit was granted twice");
        }
    }

    /// Returns the first parked wait that was woken. It was woken once, and has an outcome.
    fn woken(&self) -> Option<PendingPermit> {
        let mut parked = guard(&self.shared.parked);
        let count = |wait: &PendingPermit| wait.wakes.count();
        assert!(parked.iter().flatten().all(|wait| count(wait) <= 1), "a waiter was woken twice");
        parked.iter_mut().find(|wait| wait.as_ref().is_some_and(|wait| count(wait) == 1))?.take()
    }
}

/// The calls of one thread.
type Body = fn(&PermitActor);

/// A limit, and the threads that use it.
pub struct PermitModel {
    limit: usize,
    setup: Body,
    threads: Vec<Body>,
    preemptions: Option<usize>,
    timekeeper: Option<usize>,
}

impl PermitModel {
    /// A model of a limit of `limit` permits.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        PermitModel { limit, setup: |_| {}, threads: Vec::new(), preemptions: None, timekeeper: None }
    }

    /// Sets the calls before the threads start.
    #[must_use]
    pub fn setup(self, setup: Body) -> Self {
        PermitModel { setup, ..self }
    }

    /// Adds a thread.
    #[must_use]
    pub fn thread(mut self, body: Body) -> Self {
        self.threads.push(body);
        self
    }

    /// Adds a thread that fires every armed timer, until the other threads have ended.
    #[must_use]
    pub fn timekeeper(self) -> Self {
        let timekeeper = Some(self.threads.len());
        PermitModel { timekeeper, ..self.thread(PermitActor::keep_time) }
    }

    /// Limits the preemptions of an execution, if the full search takes too long.
    #[must_use]
    pub fn preemptions(self, bound: usize) -> Self {
        PermitModel { preemptions: Some(bound), ..self }
    }

    /// Explores the model, with the threads started in every order: on a limit, and on a key. `outcomes` is the
    /// exact set of outcomes: a model that no longer reaches its hazard fails too.
    ///
    /// # Panics
    ///
    /// If the model fails.
    #[track_caller]
    pub fn explore(self, outcomes: &[&str]) {
        let (threads, preemptions, model) = (self.threads.len(), self.preemptions, Arc::new(self));
        explore_each([false, true], threads, preemptions, outcomes, move |keyed, order| model.execute(keyed, order));
    }

    fn execute(&self, keyed: bool, order: &[usize]) -> String {
        reset_panics();
        let threads = self.threads.len();
        let time = Arc::new(AtomicU64::new(0));
        let timers = ModelTimers::new(time.clone(), threads - 1, TimerFaults::default());
        let limit = Arc::new(Limit::new(keyed, self.limit, PermitClock { time, timers: timers.clone() }));
        let shared = Arc::new(Shared::default());
        shared.most.store(self.limit, Ordering::Relaxed);
        *guard(&shared.outcomes) = vec![String::new(); threads + 1];
        let mailbox = Arc::new(AtomicU64::new(0));
        let actor = PermitActor { caller: threads, limit, timers, mailbox, shared };
        (self.setup)(&actor);
        guard(&actor.shared.outcomes)[threads].clear();
        let handles: Vec<_> = order
            .iter()
            .map(|&caller| {
                let (actor, body) = (PermitActor { caller, ..actor.clone() }, self.threads[caller]);
                let timekeeper = self.timekeeper;
                loom::thread::spawn(move || {
                    body(&actor);
                    if timekeeper.is_some_and(|timekeeper| timekeeper != caller) {
                        actor.timers.done();
                    }
                })
            })
            .collect();
        for handle in handles {
            handle.join().expect("a failed model ends at once");
        }
        actor.drain();
        assert!(!panicked(), "user code panicked, and the queue discarded the panic");
        let mut outcomes = std::mem::take(&mut *guard(&actor.shared.outcomes));
        if outcomes.last().is_some_and(String::is_empty) {
            outcomes.pop();
        }
        outcomes.join("|")
    }
}
