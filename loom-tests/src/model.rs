//! A model, and its exploration.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brimful::{KeyedRateLimiter, OnFull, Quota, RateLimiter};

use crate::T;
use crate::actor::Actor;
use crate::bucket::Bucket;
use crate::clock::{ModelClock, Readings};
use crate::explain::{explain, outcome};
use crate::history::{CLOSING, Call, Op, Recorder, SETUP};
use crate::subject::{IdentityState, Key, Subject, Table};
use crate::timers::{ModelTimers, TimerFaults};
use crate::waits::{ParkedWaits, Waitable};

/// The nanoseconds for which a bucket must have been full before a table forgets it, by default.
const FORGET_AFTER: u64 = 10_000_000_000;

/// The most waiters on a bucket, by default.
const MAX_WAITERS: usize = 8;

/// The calls of one thread.
type Body<L> = fn(&Actor<L>);

/// The constructor of the limiter.
type Make<L> = Box<dyn Fn(Quota, ModelClock) -> L + Send + Sync>;

/// A limiter, and the threads that use it.
pub struct Model<L: Subject> {
    quota: Quota,
    limiter: Make<L>,
    setup: Body<L>,
    threads: Vec<(Readings, Body<L>)>,
    /// The keys that may be forgotten.
    forgettable: &'static [Key],
    check: fn(&[Call]),
    preemptions: Option<usize>,
    /// The most readings of the clock in one call.
    max_clock_reads: usize,
    /// The outcomes if calls read the clock before they load the word, if they differ.
    clock_first: Option<&'static [&'static str]>,
    /// The thread that fires the timers, if there is one.
    timekeeper: Option<usize>,
    /// The most waiters on a bucket.
    max_waiters: usize,
    faults: TimerFaults,
    drain: Body<L>,
}

impl Model<RateLimiter<ModelClock>> {
    /// A model of a limiter of one bucket.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Model::on(quota, RateLimiter::with_clock)
    }

    /// A model of a limiter of one bucket whose callers may wait.
    ///
    /// # Panics
    ///
    /// If the limiter cannot be built.
    #[must_use]
    pub fn waited_on(quota: Quota) -> Self {
        Model::waited_on_by(quota, MAX_WAITERS)
    }

    /// A model of a limiter of one bucket on which at most `max_waiters` callers may wait.
    ///
    /// # Panics
    ///
    /// If the limiter cannot be built.
    #[must_use]
    pub fn waited_on_by(quota: Quota, max_waiters: usize) -> Self {
        // `max_waiters` makes the queue with the limiter. A queue that is made later uses a lock
        // that loom does not see.
        let limiter = move |quota, clock| {
            RateLimiter::builder().quota(quota).clock(clock).max_waiters(max_waiters).build().expect("a limiter")
        };
        Model { max_waiters, ..Model::on(quota, limiter).waits() }
    }
}

impl Model<Table> {
    /// A model of a limiter of up to `max_keys` keys.
    ///
    /// # Panics
    ///
    /// If the limiter cannot be built.
    #[must_use]
    pub fn table(quota: Quota, max_keys: usize, on_full: OnFull) -> Self {
        Model::table_that_forgets(quota, max_keys, on_full, FORGET_AFTER)
    }

    /// A model of a table that may forget a bucket after `forget_after` nanoseconds of being full.
    ///
    /// # Panics
    ///
    /// If the limiter cannot be built.
    #[must_use]
    pub fn table_that_forgets(quota: Quota, max_keys: usize, on_full: OnFull, forget_after: u64) -> Self {
        Model::on(quota, move |quota, clock| {
            let builder = KeyedRateLimiter::<Key>::builder();
            let builder = builder.quota(quota).max_keys(max_keys).on_full(on_full).clock(clock).hasher(IdentityState);
            builder.forget_after(Duration::from_nanos(forget_after)).build().expect("a table")
        })
    }

    /// A model of a limiter of many keys whose callers may wait.
    ///
    /// # Panics
    ///
    /// If the limiter cannot be built.
    #[must_use]
    pub fn waited_on_table(quota: Quota, max_keys: usize, on_full: OnFull) -> Self {
        Model::waited_on_table_by(quota, max_keys, on_full, MAX_WAITERS)
    }

    /// A model of a limiter of many keys on each of which at most `max_waiters` callers may wait.
    ///
    /// # Panics
    ///
    /// If the limiter cannot be built.
    #[must_use]
    pub fn waited_on_table_by(quota: Quota, max_keys: usize, on_full: OnFull, max_waiters: usize) -> Self {
        let table = move |quota, clock| {
            let builder = KeyedRateLimiter::<Key>::builder().quota(quota).max_keys(max_keys).on_full(on_full);
            let builder = builder.clock(clock).hasher(IdentityState).max_waiters(max_waiters);
            builder.forget_after(Duration::from_nanos(FORGET_AFTER)).build().expect("a table")
        };
        Model { max_waiters, ..Model::on(quota, table).waits() }
    }

    /// Allows the table to forget these keys. They then start with fewer tokens than their exact
    /// buckets.
    #[must_use]
    pub fn forgettable(self, forgettable: &'static [Key]) -> Self {
        Model { forgettable, ..self }
    }
}

impl<L: Subject> Model<L> {
    /// A model of a limiter with another constructor.
    pub fn on(quota: Quota, limiter: impl Fn(Quota, ModelClock) -> L + Send + Sync + 'static) -> Self {
        let limiter: Make<L> = Box::new(limiter);
        let (setup, check): (Body<L>, fn(&[Call])) = (|_| {}, |_| {});
        let (threads, max_clock_reads) = (Vec::new(), L::MAX_CLOCK_READS);
        Model {
            quota,
            limiter,
            setup,
            threads,
            forgettable: &[],
            check,
            preemptions: None,
            max_clock_reads,
            clock_first: None,
            timekeeper: None,
            max_waiters: MAX_WAITERS,
            faults: TimerFaults::default(),
            drain: |_| {},
        }
    }

    /// Sets the calls before the threads start. They are given their times.
    #[must_use]
    pub fn setup(self, setup: fn(&Actor<L>)) -> Self {
        Model { setup, ..self }
    }

    /// Adds a thread.
    #[must_use]
    pub fn thread(mut self, readings: Readings, body: fn(&Actor<L>)) -> Self {
        self.threads.push((readings, body));
        self
    }

    /// Adds a thread that fires every armed timer, until the other threads have ended.
    #[must_use]
    pub fn timekeeper(self) -> Self {
        let timekeeper = Some(self.threads.len());
        Model { timekeeper, ..self.thread(Readings::Calls(&[]), Actor::keep_time) }
    }

    /// Makes each timer wake its waker from within `arm`, the first time that it is armed.
    #[must_use]
    pub fn waking_timers(self) -> Self {
        let faults = TimerFaults { wake_when_armed: true, ..self.faults };
        Model { faults, ..self }
    }

    /// Makes `count` armings panic, after `after` armings that succeed.
    #[must_use]
    pub fn panicking_timers(self, after: usize, count: usize) -> Self {
        let faults = TimerFaults { panicking: after..after + count, ..self.faults };
        Model { faults, ..self }
    }

    /// Adds an assertion on the calls of each execution.
    #[must_use]
    pub fn check(self, check: fn(&[Call])) -> Self {
        Model { check, ..self }
    }

    /// Sets the outcomes if calls read the clock before they load the word, if they differ.
    #[must_use]
    pub fn clock_first(self, outcomes: &'static [&'static str]) -> Self {
        Model { clock_first: Some(outcomes), ..self }
    }

    /// Limits the preemptions of an execution, if the full search takes too long.
    #[must_use]
    pub fn preemptions(self, bound: usize) -> Self {
        Model { preemptions: Some(bound), ..self }
    }

    /// Explores the model. `outcomes` is the exact set of outcomes: a model that no longer reaches
    /// its hazard fails too.
    ///
    /// The threads are started in every order. loom remembers only the last access to an object
    /// when it looks for interleavings, so one order can miss some. If the limiter can read the
    /// clock first, the model is explored once more with that order of load and clock.
    ///
    /// # Panics
    ///
    /// If the model fails.
    #[track_caller]
    pub fn explore(self, outcomes: &[&str]) {
        note_panics();
        let clock_first = self.clock_first.unwrap_or(outcomes);
        let (model, began) = (Arc::new(self), Instant::now());
        let mut executions = model.explore_in_every_order(None, outcomes);
        if L::READ_CLOCK_FIRST.is_some() {
            executions += model.explore_in_every_order(L::READ_CLOCK_FIRST, clock_first);
        }
        println!(
            "{executions} executions, preemptions {}, {} ms",
            model.preemptions.map_or("unbounded".into(), |bound| format!("<= {bound}")),
            began.elapsed().as_millis(),
        );
    }

    #[track_caller]
    fn explore_in_every_order(self: &Arc<Self>, clock_first: Option<fn(&L)>, outcomes: &[&str]) -> usize {
        let (executions, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(BTreeSet::new())));
        for order in permutations(self.threads.len()) {
            let before = executions.load(Ordering::Relaxed);
            let (run, counter, seen) = (self.clone(), executions.clone(), seen.clone());
            builder(self.threads.len() + 1, self.preemptions).check(move || {
                counter.fetch_add(1, Ordering::Relaxed);
                let outcome = run.execute(&order, clock_first);
                seen.lock().expect("a failed model ends at once").insert(outcome);
            });
            assert!(executions.load(Ordering::Relaxed) - before > 1, "the threads were not interleaved");
        }
        let seen = seen.lock().expect("a failed model ends at once");
        let outcomes: BTreeSet<String> = outcomes.iter().map(|&outcome| outcome.into()).collect();
        let clock_first = clock_first.is_some();
        assert_eq!(*seen, outcomes, "outcomes found (left) and expected (right); reads the clock first: {clock_first}");
        executions.load(Ordering::Relaxed)
    }

    fn execute(&self, order: &[usize], clock_first: Option<fn(&L)>) -> String {
        reset_panics();
        let recorder = Arc::new(Recorder::new(self.max_clock_reads));
        let time = Arc::new(loom::sync::atomic::AtomicU64::new(4 * T));
        let (timers, waits) = (
            ModelTimers::new(time.clone(), self.threads.len() - 1, self.faults.clone()),
            Arc::new(ParkedWaits::default()),
        );
        let readings = self.threads.iter().map(|thread| thread.0).collect();
        recorder.register(SETUP);
        let limiter = (self.limiter)(self.quota, ModelClock::new(time, readings, recorder.clone(), timers.clone()));
        let bucket = Bucket::new(&self.quota, limiter.unit_and_tick());
        let mailbox = Arc::new(loom::sync::atomic::AtomicU64::new(0));
        let actor = Actor { caller: SETUP, key: 0, limiter: Arc::new(limiter), recorder, timers, waits, mailbox };
        (self.setup)(&actor);
        if let Some(read_clock_first) = clock_first {
            read_clock_first(&actor.limiter);
        }
        let handles: Vec<_> = order
            .iter()
            .map(|&caller| {
                let (actor, body) = (Actor { caller, ..actor.clone() }, self.threads[caller].1);
                let timekeeper = self.timekeeper;
                loom::thread::spawn(move || {
                    actor.recorder.register(caller);
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
        actor.recorder.register(CLOSING);
        (self.drain)(&Actor { caller: CLOSING, ..actor.clone() });
        let Actor { limiter, recorder, waits, .. } = actor;
        let calls = recorder.calls();
        // The queue of a closed limiter keeps its word.
        let closed = calls.iter().any(|call| matches!(call.op, Op::Close));
        assert!(waits.leaked() || limiter.has_every_word() != closed, "the word is not where it belongs");
        (self.check)(&calls);
        for key in calls.iter().filter_map(Call::key).collect::<BTreeSet<_>>() {
            let calls: Vec<Call> = calls.iter().filter(|call| call.key().is_none_or(|of| of == key)).cloned().collect();
            let bucket = bucket.forgettable(self.forgettable.contains(&key));
            explain(bucket, self.max_waiters, &calls, &recorder.queue_readings(), limiter.at_origin(key));
        }
        limiter.check_invariants();
        assert!(limiter.has_every_word() != closed, "the word is not where it belongs");
        assert!(!panicked(), "user code panicked, and the queue discarded the panic");
        outcome(&calls, self.threads.len())
    }
}

impl<L: Waitable> Model<L> {
    /// Allows callers to wait. A call reads the clock each time that it comes to the queue, and no
    /// waiter may be left at the end.
    fn waits(self) -> Self {
        Model { max_clock_reads: usize::MAX, drain: Actor::drain, ..self }
    }
}

/// Explores a model of `threads` threads on subjects of different kinds, with the threads started in every order.
/// `execute` returns the outcome of one execution. `outcomes` is the exact set of outcomes of each kind.
///
/// # Panics
///
/// If the model fails.
#[track_caller]
pub(crate) fn explore_each<K: Copy + Debug + Send + Sync + 'static, const N: usize>(
    kinds: [K; N],
    threads: usize,
    preemptions: Option<usize>,
    outcomes: &[&str],
    execute: impl Fn(K, &[usize]) -> String + Send + Sync + 'static,
) {
    note_panics();
    let (execute, began) = (Arc::new(execute), Instant::now());
    let expected: BTreeSet<String> = outcomes.iter().map(|&outcome| outcome.into()).collect();
    let counts = kinds.map(|kind| {
        let (executions, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(BTreeSet::new())));
        for order in permutations(threads) {
            let before = executions.load(Ordering::Relaxed);
            let (execute, counter, seen) = (execute.clone(), executions.clone(), seen.clone());
            builder(threads + 1, preemptions).check(move || {
                counter.fetch_add(1, Ordering::Relaxed);
                let outcome = execute(kind, &order);
                seen.lock().expect("a failed model ends at once").insert(outcome);
            });
            assert!(executions.load(Ordering::Relaxed) - before > 1, "the threads were not interleaved");
        }
        let seen = seen.lock().expect("a failed model ends at once");
        assert_eq!(*seen, expected, "outcomes found (left) and expected (right); kind: {kind:?}");
        executions.load(Ordering::Relaxed).to_string()
    });
    println!(
        "{} executions, preemptions {}, {} ms",
        counts.join(" + "),
        preemptions.map_or("unbounded".into(), |bound| format!("<= {bound}")),
        began.elapsed().as_millis(),
    );
}

thread_local! {
    /// Whether user code panicked on this thread. loom runs all threads of a model on one thread.
    static PANICKED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Returns a builder without loom's limits of time and number, at which it ends without an error. So `check`
/// returns after a full search, whatever the environment variables say. An execution with too many branches
/// panics.
pub(crate) fn builder(threads: usize, preemptions: Option<usize>) -> loom::model::Builder {
    let mut builder = loom::model::Builder::new();
    builder.max_threads = threads;
    builder.max_branches = 5_000;
    builder.max_permutations = None;
    builder.max_duration = None;
    builder.checkpoint_file = None;
    builder.expect_explicit_explore = false;
    builder.preemption_bound = preemptions;
    builder
}

pub(crate) fn reset_panics() {
    PANICKED.set(false);
}

/// Returns whether a panic was noted since the last reset.
pub(crate) fn panicked() -> bool {
    PANICKED.get()
}

/// Notes every panic. The queue discards the panics of user code, so an assertion that fails in a
/// waker would be lost.
pub(crate) fn note_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICKED.set(true);
            report(info);
        }));
    });
}

pub(crate) fn permutations(n: usize) -> Vec<Vec<usize>> {
    let Some(last) = n.checked_sub(1) else { return vec![Vec::new()] };
    let shorter = permutations(last);
    (0..n)
        .flat_map(|at| {
            shorter.iter().map(move |order| {
                let mut order = order.clone();
                order.insert(at, last);
                order
            })
        })
        .collect()
}
