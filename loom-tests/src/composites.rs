//! Models of several limits that are charged together: composites, their waiters, and limits that calls join.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64 as Untracked, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use brimful::{
    AcquireCause, AcquireError, AllOf, Bucket, Charge, Clock, CompositeAcquireError, CompositeBucket, CompositeLimiter,
    CompositeReservation, Granted, KeyedCompositeLimiter, KeyedRateLimiter, Quota, Quotas, RateLimiter, Timer,
};
use loom::sync::atomic::AtomicU64;

use crate::model::{explore_each, panicked, reset_panics};
use crate::permits::Wakes;
use crate::subject::{IdentityState, Key, key};
use crate::timers::{ModelTimers, TimerFaults};
use crate::{STEP, T};

/// The key of models with one key.
const KEY: Key = key(1, 0, 2);

/// The names of the limits.
const NAMES: [&str; 3] = ["first", "second", "third"];

/// The instant at which the limits start.
const START: u64 = 4 * T;

/// A clock that advances with every reading while the threads run. Timers move it too.
#[derive(Clone)]
struct CompositeClock {
    time: Arc<AtomicU64>,
    step: Arc<Untracked>,
    timers: Arc<ModelTimers>,
}

impl Clock for CompositeClock {
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

/// The kinds of limits that a model runs on.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A [`CompositeLimiter`].
    Lone,
    /// One key of a [`KeyedCompositeLimiter`].
    Keyed,
    /// Rate limiters that calls join.
    Joined,
    /// One key of each of a few keyed rate limiters that calls join.
    JoinedKeys,
}

enum Limits {
    Lone(CompositeLimiter<CompositeClock>),
    Keyed(KeyedCompositeLimiter<Key, CompositeClock, IdentityState>),
    Joined(Vec<RateLimiter<CompositeClock>>),
    JoinedKeys(Vec<KeyedRateLimiter<Key, CompositeClock, IdentityState>>),
}

impl Limits {
    fn new(kind: Kind, quotas: &[Quota], clock: CompositeClock) -> Self {
        let list = || Quotas::named(std::iter::zip(NAMES, quotas.iter().copied())).expect("a list of quotas");
        match kind {
            Kind::Lone => Limits::Lone(CompositeLimiter::with_clock(list(), clock)),
            Kind::Keyed => {
                let builder = KeyedCompositeLimiter::<Key>::builder().quotas(list()).max_keys(2).clock(clock);
                Limits::Keyed(builder.hasher(IdentityState).build().expect("a limiter"))
            }
            Kind::Joined => {
                Limits::Joined(quotas.iter().map(|&quota| RateLimiter::with_clock(quota, clock.clone())).collect())
            }
            Kind::JoinedKeys => {
                let builder = || KeyedRateLimiter::<Key>::builder().max_keys(2).clock(clock.clone());
                let limiter = |&quota: &Quota| builder().quota(quota).hasher(IdentityState).build().expect("a limiter");
                Limits::JoinedKeys(quotas.iter().map(limiter).collect())
            }
        }
    }

    /// Calls the composite's verbs, or those of the key.
    fn composite<T>(&self, call: impl FnOnce(CompositeBucket<'_, CompositeClock>) -> T) -> T {
        match self {
            Limits::Lone(limiter) => call(limiter.leaving(0)),
            Limits::Keyed(limiter) => call(limiter.key(&KEY)),
            Limits::Joined(_) | Limits::JoinedKeys(_) => unreachable!("the limits are no composite"),
        }
    }

    /// Returns the `nth` of the limits that calls join.
    fn bucket(&self, nth: usize) -> Bucket<'_, CompositeClock> {
        match self {
            Limits::Joined(limiters) => (&limiters[nth]).into(),
            Limits::JoinedKeys(limiters) => limiters[nth].key(&KEY),
            Limits::Lone(_) | Limits::Keyed(_) => unreachable!("the limits are a composite"),
        }
    }

    fn is_composite(&self) -> bool {
        matches!(self, Limits::Lone(_) | Limits::Keyed(_))
    }

    /// Returns the instant at which each limit is full, as of `now`. Only a charge or a token given back moves it.
    fn full_at(&self, limits: usize, now: u64) -> Vec<u64> {
        let instant = |decision: &brimful::Decision| {
            now + decision.reset_after().expect("within the clock's range").as_nanos() as u64
        };
        if self.is_composite() {
            let decision = self.composite(|bucket| bucket.at(now).decide(0));
            return decision.limits().map(|(_, decision)| instant(decision)).collect();
        }
        (0..limits).map(|nth| instant(&self.bucket(nth).at(now).decide(0))).collect()
    }

    fn waiters(&self) -> usize {
        if self.is_composite() { self.composite(|bucket| bucket.waiters()) } else { 0 }
    }
}

type Answer = Result<Granted, CompositeAcquireError>;

/// A wait that was polled and is pending.
pub struct PendingComposite {
    id: usize,
    n: u32,
    wakes: Arc<Wakes>,
    acquire: Pin<Box<dyn Future<Output = Answer> + Send>>,
}

impl PendingComposite {
    fn poll(&mut self) -> Poll<Answer> {
        let waker = Waker::from(self.wakes.clone());
        self.acquire.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

/// One thread of a model. The locks in it are the standard library's, which loom does not see.
#[derive(Clone)]
pub struct CompositeActor {
    caller: usize,
    limits: Arc<Limits>,
    clock: CompositeClock,
    /// Passes a value to another thread, with no memory ordering of its own.
    pub mailbox: Arc<AtomicU64>,
    shared: Arc<Shared>,
}

struct Shared {
    /// The letters of the calls of each thread.
    outcomes: Mutex<Vec<String>>,
    parked: Mutex<Vec<Option<PendingComposite>>>,
    /// The tokens that each limit was charged, less those that were given back.
    charged: Mutex<Vec<i64>>,
    /// Set if the key was removed, and its charges with it.
    forgiven: std::sync::atomic::AtomicBool,
    /// Set if a timer was fired after the threads had ended.
    late: std::sync::atomic::AtomicBool,
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a failed model ends at once")
}

fn letter(error: CompositeAcquireError) -> char {
    match error.cause() {
        AcquireCause::Tokens(AcquireError::TooLate(_)) => 't',
        AcquireCause::Tokens(AcquireError::LimiterClosed(_)) => 'e',
        AcquireCause::Tokens(AcquireError::KeyRemoved(_)) => 'n',
        cause => unreachable!("unexpected {cause}"),
    }
}

impl CompositeActor {
    fn record(&self, letter: char) {
        guard(&self.shared.outcomes)[self.caller].push(letter);
    }

    fn charge_all(&self, n: i64) {
        guard(&self.shared.charged).iter_mut().for_each(|charged| *charged += n);
    }

    fn taken(&self, n: u32, admitted: bool) -> bool {
        if admitted {
            self.charge_all(n.into());
        }
        self.record(if admitted { '+' } else { '-' });
        admitted
    }

    /// Takes `n` tokens of each limit without waiting. Returns whether they were there.
    #[allow(clippy::must_use_candidate)]
    pub fn take(&self, n: u32) -> bool {
        self.taken(n, self.limits.composite(|bucket| bucket.try_acquire_n(n)).is_ok())
    }

    /// As [`take`](CompositeActor::take), with the numbers of each limit.
    pub fn decide(&self, n: u32) {
        self.taken(n, self.limits.composite(|bucket| bucket.decide(n)).allowed());
    }

    /// Takes one token of each of these limits, which calls join, in this order.
    pub fn take_of<const N: usize>(&self, limits: [usize; N]) {
        let charges = limits.map(|nth| Charge::new(NAMES[nth], self.limits.bucket(nth), 1));
        let admitted = AllOf::new(charges).try_acquire().is_ok();
        if admitted {
            limits.iter().for_each(|&nth| guard(&self.shared.charged)[nth] += 1);
        }
        self.record(if admitted { '+' } else { '-' });
    }

    /// Reserves `n` tokens of each limit, settles for `actual` if that succeeds, and returns whether it did.
    #[allow(clippy::must_use_candidate)]
    pub fn reserve_and_commit(&self, n: u32, actual: u32) -> bool {
        self.reserve_and(n, actual, |reserved| _ = reserved.commit(actual))
    }

    /// Reserves `n` tokens of each limit, drops the reservation if that succeeds, and returns whether it did.
    #[allow(clippy::must_use_candidate)]
    pub fn reserve_and_drop(&self, n: u32) -> bool {
        self.reserve_and(n, 0, |reserved| drop(reserved))
    }

    fn reserve_and(&self, n: u32, actual: u32, settle: impl FnOnce(CompositeReservation<'_, CompositeClock>)) -> bool {
        self.limits.composite(|bucket| match bucket.try_reserve_n(n) {
            Ok(reserved) => {
                self.taken(n, true);
                settle(reserved);
                self.charge_all(i64::from(actual) - i64::from(n));
                self.record('g');
                true
            }
            Err(_) => self.taken(n, false),
        })
    }

    /// Adds `n` tokens to each limit.
    pub fn add(&self, n: u32) {
        self.limits.composite(|bucket| bucket.add_tokens(n));
        self.charge_all(-i64::from(n));
        self.record('a');
    }

    /// Begins to wait for `n` tokens of each limit.
    pub fn enter(&self, n: u32) {
        self.enter_as(n, None);
    }

    /// As [`enter`](CompositeActor::enter), with a deadline.
    pub fn enter_within(&self, n: u32, nanos: u64) {
        self.enter_as(n, Some(Duration::from_nanos(nanos)));
    }

    fn enter_as(&self, n: u32, within: Option<Duration>) {
        let id = {
            let mut parked = guard(&self.shared.parked);
            parked.push(None);
            parked.len() - 1
        };
        let limits = self.limits.clone();
        // The future owns the limits that it borrows.
        let acquire = Box::pin(async move {
            let acquire = limits.composite_acquire(n);
            match within {
                Some(within) => acquire.within(within).await,
                None => acquire.await,
            }
        });
        self.poll_or_park(PendingComposite { id, n, wakes: Arc::default(), acquire }, 'w');
    }

    /// Takes a wait that was parked before the threads started.
    ///
    /// # Panics
    ///
    /// If it was not parked.
    #[must_use]
    pub fn claim(&self, id: usize) -> PendingComposite {
        guard(&self.shared.parked)[id].take().expect("the wait was parked")
    }

    /// Polls a wait.
    pub fn poll(&self, wait: PendingComposite) {
        self.poll_or_park(wait, '.');
    }

    fn answered(&self, n: u32, answer: Answer) {
        match answer {
            Ok(_) => {
                self.charge_all(n.into());
                self.record('+');
            }
            Err(error) => {
                let letter = letter(error);
                let is_late = self.shared.late.load(Ordering::Relaxed);
                self.record(if is_late { letter.to_ascii_uppercase() } else { letter });
            }
        }
    }

    fn poll_or_park(&self, mut wait: PendingComposite, pending: char) {
        match wait.poll() {
            Poll::Ready(answer) => self.answered(wait.n, answer),
            Poll::Pending => {
                self.record(pending);
                let id = wait.id;
                guard(&self.shared.parked)[id] = Some(wait);
            }
        }
    }

    /// Cancels a wait.
    pub fn leave(&self, wait: PendingComposite) {
        drop(wait);
        self.record('l');
    }

    /// Blocks the thread until it has `n` tokens of each limit.
    pub fn block(&self, n: u32) {
        self.answered(n, self.limits.composite_acquire(n).wait());
    }

    /// Closes a composite that is not keyed.
    pub fn close(&self) {
        if let Limits::Lone(limiter) = &*self.limits {
            limiter.close();
        }
        self.record('z');
    }

    fn forgive(&self) {
        self.shared.forgiven.store(true, Ordering::Relaxed);
    }

    /// Removes the key.
    pub fn remove(&self) {
        self.forgive();
        if let Limits::Keyed(limiter) = &*self.limits {
            limiter.remove(&KEY);
        }
        self.record('x');
    }

    /// Removes all keys.
    pub fn clear(&self) {
        self.forgive();
        if let Limits::Keyed(limiter) = &*self.limits {
            limiter.clear();
        }
        self.record('c');
    }

    /// Fires the first armed timer, if there is one.
    pub fn fire(&self) {
        self.clock.timers.fire();
    }

    fn now(&self) -> u64 {
        self.clock.time.load(Ordering::Relaxed)
    }

    /// Asserts that every limit was charged exactly for the calls that were admitted.
    fn check_charges(&self, periods: &[u64], full_at: &[u64]) {
        if self.shared.forgiven.load(Ordering::Relaxed) {
            return;
        }
        let charged = guard(&self.shared.charged);
        let expected: Vec<_> = std::iter::zip(periods, std::iter::zip(full_at, &*charged))
            .map(|(&period, (&full_at, &charged))| full_at.saturating_add_signed(charged * period as i64))
            .collect();
        let is = self.limits.full_at(periods.len(), self.now());
        assert_eq!(is, expected, "the instants at which the limits are full (left), and for their charges (right)");
    }

    /// Serves every waiter. None may be forgotten, and none may be served later than the limits permit.
    fn drain(&self) {
        loop {
            while let Some(wait) = self.woken() {
                self.poll_or_park(wait, '?');
            }
            let asleep = guard(&self.shared.parked).iter().flatten().map(|wait| wait.n).min();
            let waiting = guard(&self.shared.parked).iter().flatten().count();
            assert_eq!(self.limits.waiters(), waiting, "the waiters in the queue, and those that sleep");
            let Some(n) = asleep else { break };
            let wait = self.limits.composite(|bucket| bucket.time_until(n)).expect("within the burst");
            assert!(!wait.is_zero(), "the tokens are there, and a waiter was not woken");
            let due = self.now() + wait.as_nanos() as u64;
            assert!(self.clock.timers.fire(), "a waiter is left, and no timer is armed");
            self.shared.late.store(true, Ordering::Relaxed);
            assert!(self.now() <= due, "the timer fires at {}, and a waiter is due at {due}", self.now());
        }
        if let Limits::Keyed(limiter) = &*self.limits {
            assert_eq!(limiter.waiting_keys(), 0, "a queue without waiters is kept");
        }
    }

    /// Returns the first parked wait that was woken. It was woken once, and has an outcome.
    fn woken(&self) -> Option<PendingComposite> {
        let mut parked = guard(&self.shared.parked);
        assert!(parked.iter().flatten().all(|wait| wait.wakes.count() <= 1), "a waiter was woken twice");
        parked.iter_mut().find(|wait| wait.as_ref().is_some_and(|wait| wait.wakes.count() == 1))?.take()
    }
}

impl Limits {
    fn composite_acquire(&self, n: u32) -> brimful::CompositeAcquire<'_, CompositeClock> {
        match self {
            Limits::Lone(limiter) => limiter.acquire_n(n),
            Limits::Keyed(limiter) => limiter.acquire_n(&KEY, n),
            Limits::Joined(_) | Limits::JoinedKeys(_) => unreachable!("the limits are no composite"),
        }
    }
}

/// The calls of one thread.
type Body = fn(&CompositeActor);

/// Limits that are charged together, and the threads that use them.
pub struct CompositeModel {
    quotas: Vec<Quota>,
    taken: u32,
    setup: Body,
    threads: Vec<Body>,
    preemptions: Option<usize>,
}

impl CompositeModel {
    /// A model of limits with these bursts, from each of which `taken` tokens are taken at the start. Each earns a
    /// token in [`T`].
    #[must_use]
    pub fn new(bursts: &[u32], taken: u32) -> Self {
        let quotas = bursts.iter().map(|&burst| crate::quota(burst)).collect();
        CompositeModel { quotas, taken, setup: |_| {}, threads: Vec::new(), preemptions: None }
    }

    /// Makes the first limit earn a token in 64 [`T`] only.
    #[must_use]
    pub fn slow_first(mut self) -> Self {
        let burst = self.quotas[0].capacity().whole();
        self.quotas[0] = Quota::new(1, Duration::from_nanos(64 * T)).burst(burst);
        self
    }

    /// Sets the calls before the threads start.
    #[must_use]
    pub fn setup(self, setup: Body) -> Self {
        CompositeModel { setup, ..self }
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
        CompositeModel { preemptions: Some(bound), ..self }
    }

    /// Explores the model on a composite and on a key of a keyed one. `outcomes` is the exact set of outcomes.
    ///
    /// # Panics
    ///
    /// If the model fails.
    #[track_caller]
    pub fn explore(self, outcomes: &[&str]) {
        self.explore_on([Kind::Lone, Kind::Keyed], outcomes);
    }

    /// Explores the model on a composite that is not keyed.
    ///
    /// # Panics
    ///
    /// If the model fails.
    #[track_caller]
    pub fn explore_lone(self, outcomes: &[&str]) {
        self.explore_on([Kind::Lone], outcomes);
    }

    /// Explores the model on a key of a keyed composite.
    ///
    /// # Panics
    ///
    /// If the model fails.
    #[track_caller]
    pub fn explore_keyed(self, outcomes: &[&str]) {
        self.explore_on([Kind::Keyed], outcomes);
    }

    /// Explores the model on limits, and on keys, that calls join.
    ///
    /// # Panics
    ///
    /// If the model fails.
    #[track_caller]
    pub fn explore_joined(self, outcomes: &[&str]) {
        self.explore_on([Kind::Joined, Kind::JoinedKeys], outcomes);
    }

    #[track_caller]
    fn explore_on<const N: usize>(self, kinds: [Kind; N], outcomes: &[&str]) {
        let (threads, preemptions, model) = (self.threads.len(), self.preemptions, Arc::new(self));
        explore_each(kinds, threads, preemptions, outcomes, move |kind, order| model.execute(kind, order));
    }

    fn execute(&self, kind: Kind, order: &[usize]) -> String {
        reset_panics();
        let (threads, limits) = (self.threads.len(), self.quotas.len());
        let (time, step) = (Arc::new(AtomicU64::new(START)), Arc::new(Untracked::new(0)));
        let timers = ModelTimers::new(time.clone(), 0, TimerFaults::default());
        let clock = CompositeClock { time, step, timers };
        let shared = Shared {
            outcomes: Mutex::new(vec![String::new(); threads + 1]),
            parked: Mutex::default(),
            charged: Mutex::new(vec![0; limits]),
            forgiven: Default::default(),
            late: Default::default(),
        };
        let actor = CompositeActor {
            caller: threads,
            limits: Arc::new(Limits::new(kind, &self.quotas, clock.clone())),
            clock,
            mailbox: Arc::new(AtomicU64::new(0)),
            shared: Arc::new(shared),
        };
        let periods: Vec<_> = self.quotas.iter().map(|quota| quota.rate().1.as_nanos() as u64).collect();
        if actor.limits.is_composite() {
            actor.make_queue();
            assert!(actor.limits.composite(|bucket| bucket.try_acquire_n(self.taken)).is_ok());
        } else {
            (0..limits).for_each(|nth| assert!(actor.limits.bucket(nth).try_acquire_n(self.taken).is_ok()));
        }
        let full_at = actor.limits.full_at(limits, START);
        (self.setup)(&actor);
        guard(&actor.shared.outcomes)[threads].clear();
        actor.clock.step.store(STEP, Ordering::Relaxed);
        let handles: Vec<_> = order
            .iter()
            .map(|&caller| {
                let (actor, body) = (CompositeActor { caller, ..actor.clone() }, self.threads[caller]);
                loom::thread::spawn(move || body(&actor))
            })
            .collect();
        for handle in handles {
            handle.join().expect("a failed model ends at once");
        }
        actor.clock.step.store(0, Ordering::Relaxed);
        if actor.limits.is_composite() {
            actor.drain();
        }
        actor.check_charges(&periods, &full_at);
        assert!(!panicked(), "user code panicked, and the queue discarded the panic");
        let mut outcomes = std::mem::take(&mut *guard(&actor.shared.outcomes));
        if outcomes.last().is_some_and(String::is_empty) {
            outcomes.pop();
        }
        outcomes.join("|")
    }
}

impl CompositeActor {
    /// Makes what the first waiter makes under locks that loom does not see. No burst has the tokens of this wait,
    /// so it is refused.
    fn make_queue(&self) {
        let mut acquire = self.limits.composite_acquire(u32::MAX);
        let refused = Pin::new(&mut acquire).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(refused, Poll::Ready(Err(_))), "more than each burst");
    }
}
