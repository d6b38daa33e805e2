//! Models of the limits of an LLM: slots and tokens, waits for both, and changes of the quota.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64 as Untracked, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use std::time::Duration;

use brimful::model::{
    Dimension, DimensionHint, ModelAcquire, ModelCause, ModelError, ModelHandle, ModelLimiter, ModelQuota, Permit,
    ServerHints,
};
use brimful::{Clock, Timer};
use loom::sync::atomic::AtomicU64;

use crate::model::{explore_each, panicked, reset_panics};
use crate::permits::Wakes;
use crate::timers::{ModelTimers, TimerFaults};
use crate::{STEP, T};

/// The name of the model.
const NAME: &str = "m";

/// A clock that advances with every reading while the threads run. Timers move it too.
#[derive(Clone)]
struct LlmClock {
    time: Arc<AtomicU64>,
    step: Arc<Untracked>,
    timers: Arc<ModelTimers>,
}

impl Clock for LlmClock {
    // Relaxed: a clock orders nothing, so the model must not get order from it.
    fn now(&self) -> u64 {
        match self.step.load(Ordering::Relaxed) {
            0 => self.time.load(Ordering::Relaxed),
            step => self.time.fetch_add(step, Ordering::Relaxed),
        }
    }

    fn timer(&self) -> Option<Box<dyn Timer>> {
        Some(ModelTimers::timer(&self.timers))
    }
}

/// A call that was admitted, and the tokens that it is charged.
pub struct LlmCall(Permit<LlmClock>, u32);

/// A wait that was polled and is pending.
pub struct PendingLlm {
    id: usize,
    n: u32,
    wakes: Arc<Wakes>,
    acquire: ModelAcquire<LlmClock>,
}

impl PendingLlm {
    fn poll(&mut self) -> Poll<Result<Permit<LlmClock>, ModelError>> {
        let waker = Waker::from(self.wakes.clone());
        Pin::new(&mut self.acquire).poll(&mut Context::from_waker(&waker))
    }
}

/// One thread of a model. The locks in it are the standard library's, which loom does not see.
#[derive(Clone)]
pub struct LlmActor {
    caller: usize,
    limiter: Arc<ModelLimiter<LlmClock>>,
    handle: ModelHandle<LlmClock>,
    clock: LlmClock,
    shared: Arc<Shared>,
}

struct Shared {
    /// The letters of the calls of each thread.
    outcomes: Mutex<Vec<String>>,
    parked: Mutex<Vec<Option<PendingLlm>>>,
    kept: Mutex<Vec<Option<LlmCall>>>,
    /// The tokens that were charged, less those that were given back.
    charged: Mutex<i64>,
    /// Set if hints changed what is left.
    corrected: Mutex<bool>,
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a failed model ends at once")
}

impl LlmActor {
    fn record(&self, letter: char) {
        guard(&self.shared.outcomes)[self.caller].push(letter);
    }

    fn admitted(&self, permit: Permit<LlmClock>, n: u32) -> LlmCall {
        *guard(&self.shared.charged) += i64::from(n);
        self.record('+');
        LlmCall(permit, n)
    }

    /// Begins a call of `n` tokens without waiting, if it is admitted.
    #[must_use]
    pub fn take(&self, n: u32) -> Option<LlmCall> {
        match self.handle.try_acquire(u64::from(n)) {
            Ok(permit) => Some(self.admitted(permit, n)),
            Err(_) => {
                self.record('-');
                None
            }
        }
    }

    /// Keeps a call until a thread claims it.
    pub fn keep(&self, call: Option<LlmCall>) {
        guard(&self.shared.kept).push(call);
    }

    /// Claims a call that was kept before the threads started.
    ///
    /// # Panics
    ///
    /// If it was not kept.
    #[must_use]
    pub fn kept(&self, nth: usize) -> LlmCall {
        guard(&self.shared.kept)[nth].take().expect("the call was kept")
    }

    /// Ends a call, which keeps its charge.
    pub fn end(&self, call: LlmCall) {
        drop(call);
        self.record('g');
    }

    /// Commits a call for `actual` tokens, and ends it.
    pub fn commit(&self, LlmCall(mut permit, n): LlmCall, actual: u32) {
        permit.commit(u64::from(actual));
        *guard(&self.shared.charged) += i64::from(actual) - i64::from(n);
        drop(permit);
        self.record('c');
    }

    /// Commits a call for `actual` tokens, and keeps it in flight.
    pub fn stream(&self, LlmCall(mut permit, n): LlmCall, actual: u32) {
        permit.commit(u64::from(actual));
        *guard(&self.shared.charged) += i64::from(actual) - i64::from(n);
        self.record('k');
        self.keep(Some(LlmCall(permit, actual)));
    }

    /// Begins to wait for a call of `n` tokens.
    pub fn enter(&self, n: u32) {
        let id = {
            let mut parked = guard(&self.shared.parked);
            parked.push(None);
            parked.len() - 1
        };
        let acquire = self.handle.acquire(u64::from(n));
        self.poll_or_park(PendingLlm { id, n, wakes: Arc::default(), acquire }, 'w');
    }

    /// Takes a wait that was parked before the threads started.
    ///
    /// # Panics
    ///
    /// If it was not parked.
    #[must_use]
    pub fn claim(&self, id: usize) -> PendingLlm {
        guard(&self.shared.parked)[id].take().expect("the wait was parked")
    }

    /// Polls a wait. A call that is granted ends at once.
    pub fn poll(&self, wait: PendingLlm) {
        self.poll_or_park(wait, '.');
    }

    fn poll_or_park(&self, mut wait: PendingLlm, pending: char) {
        match wait.poll() {
            Poll::Ready(Ok(permit)) => drop(self.admitted(permit, wait.n)),
            Poll::Ready(Err(error)) => self.record(match error.cause() {
                ModelCause::ModelRemoved => 'n',
                ModelCause::ExceedsLimit(..) => 'b',
                cause => unreachable!("unexpected {cause:?}"),
            }),
            Poll::Pending => {
                self.record(pending);
                let id = wait.id;
                guard(&self.shared.parked)[id] = Some(wait);
            }
        }
    }

    /// Cancels a wait.
    pub fn leave(&self, wait: PendingLlm) {
        drop(wait);
        self.record('l');
    }

    /// Changes the quota.
    ///
    /// # Panics
    ///
    /// If the quota is not valid.
    pub fn set(&self, quota: ModelQuota) {
        self.limiter.set_model(NAME, quota).expect("a quota");
        self.record('s');
    }

    /// Changes the quota of models that are not listed.
    ///
    /// # Panics
    ///
    /// If the quota is not valid.
    pub fn set_default(&self, quota: ModelQuota) {
        self.limiter.set_default(quota).expect("a quota");
        self.record('d');
    }

    /// Returns the quota.
    #[must_use]
    pub fn quota(&self) -> ModelQuota {
        self.handle.quota()
    }

    /// Takes over that the server refused a call.
    pub fn refused(&self) {
        self.handle.observe(&ServerHints::new().refused());
        self.record('r');
    }

    /// Takes over that the server has this many tokens left.
    pub fn correct(&self, left: u32) {
        self.hint(left);
        self.record('h');
    }

    fn hint(&self, left: u32) {
        *guard(&self.shared.corrected) = true;
        let hint = DimensionHint::new().remaining(left.into());
        self.handle.observe(&ServerHints::new().dimension(Dimension::Tpm, hint));
    }

    /// Makes calls of one token, while the server says that `left` tokens are left, and returns how many were admitted.
    #[must_use]
    pub fn drained(&self, left: u32) -> usize {
        let admits = || {
            self.hint(left);
            self.handle.try_acquire(1).is_ok()
        };
        (0..40).filter(|_| admits()).count()
    }

    /// Moves the clock by minutes, before the threads start.
    pub fn advance_minutes(&self, minutes: u64) {
        self.clock.time.fetch_add(minutes * 60_000_000_000, Ordering::Relaxed);
    }

    /// Returns the time until the pause is over.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        self.handle.try_acquire(0).err()?.retry_after()
    }

    /// Makes a call of one token to a model by its name, which ends at once and keeps its charge.
    pub fn call(&self, name: &str) {
        let answer = self.limiter.try_acquire(name, 1);
        self.record(if answer.is_ok() { '+' } else { '-' });
    }

    /// Makes a model that is not listed, by its name.
    ///
    /// # Panics
    ///
    /// If there is no place for it.
    pub fn make(&self, name: &str) {
        drop(self.limiter.model(name).expect("there is a place"));
    }

    /// Returns the tokens that are charged to the model.
    ///
    /// # Panics
    ///
    /// If it has no limit of tokens.
    #[must_use]
    pub fn used_tokens(&self) -> u64 {
        self.handle.stats().dimension(Dimension::Tpm).expect("it has a limit").used
    }

    /// Returns the tokens that are charged to a model; `None` if there is no such model.
    #[must_use]
    pub fn used(&self, name: &str) -> Option<u64> {
        Some(self.limiter.stats_of(name)?.dimension(Dimension::Tpm)?.used)
    }

    /// Removes the model.
    pub fn remove(&self) {
        self.limiter.remove_model(NAME);
        self.record('x');
    }

    /// Fires the first armed timer, if there is one.
    pub fn fire(&self) {
        self.clock.timers.fire();
    }

    /// Returns the tokens that are left, below zero in debt.
    fn left(&self) -> i64 {
        let tokens = self.handle.stats().dimension(Dimension::Tpm).expect("it has a limit");
        tokens.limit as i64 - tokens.used as i64
    }

    /// Serves every waiter: none may be forgotten.
    fn drain(&self) {
        loop {
            while let Some(wait) = self.woken() {
                self.poll_or_park(wait, '?');
            }
            let stats = self.handle.stats();
            let asleep: Vec<u32> = guard(&self.shared.parked).iter().flatten().map(|wait| wait.n).collect();
            assert_eq!(stats.waiting, asleep.len(), "the waiters in the queue, and those that sleep");
            let slots = self.handle.quota().max_parallel_requests.unwrap_or(u64::MAX);
            let is_free = (stats.in_flight as u64) < slots;
            let least = asleep.iter().min().map(|&n| i64::from(n));
            let is_forgotten = is_free && least.is_some_and(|n| self.left() >= n);
            assert!(!is_forgotten, "the tokens and a slot are there, and a waiter was not woken");
            // The calls that are kept end one by one.
            let kept = guard(&self.shared.kept).iter_mut().find_map(Option::take);
            if kept.is_none() && asleep.is_empty() {
                assert_eq!(stats.in_flight, 0, "all calls have ended");
                break;
            }
            let ended = kept.is_some();
            drop(kept);
            assert!(ended || self.clock.timers.fire(), "a waiter is left, and no timer is armed");
        }
    }

    /// Takes a wait that was woken.
    fn woken(&self) -> Option<PendingLlm> {
        let mut parked = guard(&self.shared.parked);
        let woken = parked.iter_mut().find(|wait| wait.as_ref().is_some_and(|wait| wait.wakes.count() > 0));
        let wait = woken?.take();
        if let Some(wait) = &wait {
            assert_eq!(wait.wakes.count(), 1, "a waiter is woken once");
        }
        wait
    }
}

type Body = fn(&LlmActor);

/// An LLM with slots and tokens per minute, and the threads that call it.
pub struct LlmModel {
    quota: ModelQuota,
    setup: Body,
    threads: Vec<Body>,
    preemptions: Option<usize>,
    is_listed: bool,
    at_end: fn(&LlmActor, &[String]),
}

impl LlmModel {
    /// A model of an LLM with this quota, which has tokens per minute.
    #[must_use]
    pub fn new(quota: ModelQuota) -> Self {
        LlmModel { quota, setup: |_| {}, threads: Vec::new(), preemptions: None, is_listed: true, at_end: |_, _| {} }
    }

    /// The LLM is not listed. It was made by the default.
    #[must_use]
    pub fn unlisted(self) -> Self {
        LlmModel { is_listed: false, ..self }
    }

    /// Sets the check after the threads have ended, which gets the outcome of each.
    #[must_use]
    pub fn at_end(self, at_end: fn(&LlmActor, &[String])) -> Self {
        LlmModel { at_end, ..self }
    }

    /// Sets the calls before the threads start.
    #[must_use]
    pub fn setup(self, setup: Body) -> Self {
        LlmModel { setup, ..self }
    }

    /// Adds a thread.
    #[must_use]
    pub fn thread(mut self, body: Body) -> Self {
        self.threads.push(body);
        self
    }

    /// Limits the preemptions of an execution, if the full search takes too long.
    #[must_use]
    pub fn preemptions(self, bound: usize) -> Self {
        LlmModel { preemptions: Some(bound), ..self }
    }

    /// Explores the model. `outcomes` is the exact set of outcomes.
    ///
    /// # Panics
    ///
    /// If the model fails.
    #[track_caller]
    pub fn explore(self, outcomes: &[&str]) {
        let (threads, preemptions, model) = (self.threads.len(), self.preemptions, Arc::new(self));
        explore_each([()], threads, preemptions, outcomes, move |(), order| model.execute(order));
    }

    fn execute(&self, order: &[usize]) -> String {
        reset_panics();
        let threads = self.threads.len();
        let (time, step) = (Arc::new(AtomicU64::new(4 * T)), Arc::new(Untracked::new(0)));
        let timers = ModelTimers::new(time.clone(), 0, TimerFaults::default());
        let clock = LlmClock { time, step, timers };
        let builder = ModelLimiter::builder().default(self.quota).max_models(1).clock(clock.clone());
        let builder = if self.is_listed { builder.model(NAME, self.quota) } else { builder };
        let limiter = builder.build().expect("a limiter");
        let handle = limiter.model(NAME).expect("it is listed");
        let shared = Shared {
            outcomes: Mutex::new(vec![String::new(); threads + 1]),
            parked: Mutex::default(),
            kept: Mutex::default(),
            charged: Mutex::new(0),
            corrected: Mutex::new(false),
        };
        let actor = LlmActor { caller: threads, limiter: Arc::new(limiter), handle, clock, shared: Arc::new(shared) };
        // Makes what the first waiter makes under locks that loom does not see. No burst has the tokens of this wait.
        let mut refused = actor.handle.acquire(u64::MAX);
        assert!(Pin::new(&mut refused).poll(&mut Context::from_waker(Waker::noop())).is_ready());
        let before = actor.left();
        (self.setup)(&actor);
        guard(&actor.shared.outcomes)[threads].clear();
        actor.clock.step.store(STEP, Ordering::Relaxed);
        let handles: Vec<_> = order
            .iter()
            .map(|&caller| {
                let (actor, body) = (LlmActor { caller, ..actor.clone() }, self.threads[caller]);
                loom::thread::spawn(move || body(&actor))
            })
            .collect();
        for handle in handles {
            handle.join().expect("a failed model ends at once");
        }
        actor.clock.step.store(0, Ordering::Relaxed);
        let at_end = actor.clock.time.load(Ordering::Relaxed);
        (self.at_end)(&actor, &guard(&actor.shared.outcomes).clone());
        actor.drain();
        // A token is earned in a quarter of a minute or more: far longer than the threads run. A waiter that is served
        // later has waited for what it is charged.
        if actor.clock.time.load(Ordering::Relaxed) == at_end && !*guard(&actor.shared.corrected) {
            let tokens = actor.handle.quota().tpm.expect("it has a limit") as i64;
            let uncharged = (before - *guard(&actor.shared.charged)).min(tokens);
            assert_eq!(actor.left(), uncharged, "the tokens that are left, and those that are not charged");
        }
        assert!(!panicked(), "user code panicked, and the queue discarded the panic");
        let mut outcomes = std::mem::take(&mut *guard(&actor.shared.outcomes));
        if outcomes.last().is_some_and(String::is_empty) {
            outcomes.pop();
        }
        outcomes.join("|")
    }
}
