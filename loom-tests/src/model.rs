//! Running a model to its end.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brimful::{KeyedRateLimiter, OnFull, Quota, RateLimiter};

use crate::T;
use crate::actor::Actor;
use crate::alarms::{Alarms, Whims};
use crate::bucket::Bucket;
use crate::clock::{Hand, ModelClock};
use crate::explain::{explain, outcome};
use crate::history::{CLOSING, Call, Recorder, SETUP};
use crate::subject::{AsIs, Key, Subject, Table};
use crate::waits::{Waited, Waits};

/// The nanoseconds for which a bucket stays full before a table forgets it, unless told otherwise.
const DEFAULT: u64 = 10_000_000_000;

/// What a thread does.
type Does<L> = fn(&Actor<L>);

/// How a limiter is made.
type Make<L> = Box<dyn Fn(Quota, ModelClock) -> L + Send + Sync>;

/// A limiter, and what threads do to it.
pub struct Model<L: Subject> {
    quota: Quota,
    limiter: Make<L>,
    setup: Does<L>,
    threads: Vec<(Hand, Does<L>)>,
    /// The keys that may be forgotten.
    forgettable: &'static [Key],
    check: fn(&[Call]),
    preemptions: Option<usize>,
    /// The most that a call may read the clock.
    looks: usize,
    /// What is to be seen where calls begin by reading the clock, if not the same.
    clock_first: Option<&'static [&'static str]>,
    /// The thread that keeps the time, if one does.
    keeper: Option<usize>,
    whims: Whims,
    see_off: Does<L>,
}

impl Model<RateLimiter<ModelClock>> {
    /// On a limiter with the model's clock.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Model::on(quota, RateLimiter::with_clock)
    }

    /// The same, which can be waited on.
    ///
    /// # Panics
    ///
    /// Where it cannot be built.
    #[must_use]
    pub fn waited_on(quota: Quota) -> Self {
        // Its queue is made with it: what makes it later is not loom's.
        let limiter =
            |quota, clock| RateLimiter::builder().quota(quota).clock(clock).max_waiters(8).build().expect("a limiter");
        Model::on(quota, limiter).waits()
    }
}

impl Model<Table> {
    /// On a limiter for so many keys.
    ///
    /// # Panics
    ///
    /// Where it cannot be built.
    #[must_use]
    pub fn table(quota: Quota, max_keys: usize, on_full: OnFull) -> Self {
        Model::table_that_forgets(quota, max_keys, on_full, DEFAULT)
    }

    /// The same, if buckets may be forgotten when they have been full for so many nanoseconds.
    ///
    /// # Panics
    ///
    /// Where it cannot be built.
    #[must_use]
    pub fn table_that_forgets(quota: Quota, max_keys: usize, on_full: OnFull, forget_after: u64) -> Self {
        Model::on(quota, move |quota, clock| {
            let builder = KeyedRateLimiter::<Key>::builder();
            let builder = builder.quota(quota).max_keys(max_keys).on_full(on_full).clock(clock).hasher(AsIs);
            builder.forget_after(Duration::from_nanos(forget_after)).build().expect("a table")
        })
    }

    /// The same, which can be waited on.
    ///
    /// # Panics
    ///
    /// Where it cannot be built.
    #[must_use]
    pub fn waited_on_table(quota: Quota, max_keys: usize, on_full: OnFull) -> Self {
        Model::table(quota, max_keys, on_full).waits()
    }

    /// These keys may be forgotten, and then start with less than they would have had.
    #[must_use]
    pub fn forgettable(self, forgettable: &'static [Key]) -> Self {
        Model { forgettable, ..self }
    }
}

impl<L: Subject> Model<L> {
    /// On a limiter that is made otherwise.
    pub fn on(quota: Quota, limiter: impl Fn(Quota, ModelClock) -> L + Send + Sync + 'static) -> Self {
        let limiter: Make<L> = Box::new(limiter);
        let (setup, check): (Does<L>, fn(&[Call])) = (|_| {}, |_| {});
        let (threads, looks) = (Vec::new(), L::LOOKS);
        Model {
            quota,
            limiter,
            setup,
            threads,
            forgettable: &[],
            check,
            preemptions: None,
            looks,
            clock_first: None,
            keeper: None,
            whims: Whims::default(),
            see_off: |_| {},
        }
    }

    /// What happens before the threads start, at times that are given.
    #[must_use]
    pub fn setup(self, setup: fn(&Actor<L>)) -> Self {
        Model { setup, ..self }
    }

    /// One more thread.
    #[must_use]
    pub fn thread(mut self, hand: Hand, does: fn(&Actor<L>)) -> Self {
        self.threads.push((hand, does));
        self
    }

    /// One more thread, which fires whatever timer is armed, until the others are through.
    #[must_use]
    pub fn timekeeper(self) -> Self {
        let keeper = Some(self.threads.len());
        Model { keeper, ..self.thread(Hand::Calls(&[]), Actor::keep_time) }
    }

    /// Timers wake at once, from within, where they are armed for the first time.
    #[must_use]
    pub fn hasty_timers(self) -> Self {
        let whims = Whims { hasty: true, ..self.whims };
        Model { whims, ..self }
    }

    /// So many armings of timers go well, and so many then panic.
    #[must_use]
    pub fn broken_timers(self, well: usize, broken: usize) -> Self {
        let whims = Whims { broken: well..well + broken, ..self.whims };
        Model { whims, ..self }
    }

    /// What is to be asserted of the calls of an execution, besides what always is.
    #[must_use]
    pub fn check(self, check: fn(&[Call])) -> Self {
        Model { check, ..self }
    }

    /// What is to be seen where calls read the clock before they load the word, if not the same.
    #[must_use]
    pub fn clock_first(self, outcomes: &'static [&'static str]) -> Self {
        Model { clock_first: Some(outcomes), ..self }
    }

    /// At most so many preemptions in an execution, where all of them would take too long.
    #[must_use]
    pub fn preemptions(self, bound: usize) -> Self {
        Model { preemptions: Some(bound), ..self }
    }

    /// Explores the model with its threads started in every order, since loom remembers only
    /// the last access to an object where it looks for interleavings, so that one order can
    /// miss some. `outcomes` are all that occur, no more and no less: a model that no longer
    /// reaches what it is about fails too. All of it is done once more with the clock read first, where
    /// the limiter may do that.
    ///
    /// # Panics
    ///
    /// Where the model fails.
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
            self.builder().check(move || {
                counter.fetch_add(1, Ordering::Relaxed);
                let outcome = run.execute(&order, clock_first);
                seen.lock().expect("a failed model ends at once").insert(outcome);
            });
            assert!(executions.load(Ordering::Relaxed) - before > 1, "nothing was interleaved");
        }
        let seen = seen.lock().expect("a failed model ends at once");
        let outcomes: BTreeSet<String> = outcomes.iter().map(|&outcome| outcome.into()).collect();
        let clock_first = clock_first.is_some();
        assert_eq!(*seen, outcomes, "outcomes seen (left), and to be seen; the clock first: {clock_first}");
        executions.load(Ordering::Relaxed)
    }

    /// loom ends silently at its limits of time and number: without them, and whatever the
    /// environment says, `check` returns when all is explored. Too many branches panic.
    fn builder(&self) -> loom::model::Builder {
        let mut builder = loom::model::Builder::new();
        builder.max_threads = self.threads.len() + 1;
        builder.max_branches = 5_000;
        builder.max_permutations = None;
        builder.max_duration = None;
        builder.checkpoint_file = None;
        builder.expect_explicit_explore = false;
        builder.preemption_bound = self.preemptions;
        builder
    }

    fn execute(&self, order: &[usize], clock_first: Option<fn(&L)>) -> String {
        PANICKED.set(false);
        let recorder = Arc::new(Recorder::new(self.looks));
        let time = Arc::new(loom::sync::atomic::AtomicU64::new(4 * T));
        let (alarms, waits) =
            (Alarms::new(time.clone(), self.threads.len() - 1, self.whims.clone()), Arc::new(Waits::default()));
        let hands = self.threads.iter().map(|thread| thread.0).collect();
        recorder.enrol(SETUP);
        let limiter = (self.limiter)(self.quota, ModelClock::new(time, hands, recorder.clone(), alarms.clone()));
        let bucket = Bucket::new(&self.quota, limiter.grain());
        let mailbox = Arc::new(loom::sync::atomic::AtomicU64::new(0));
        let actor = Actor { who: SETUP, key: 0, limiter: Arc::new(limiter), recorder, alarms, waits, mailbox };
        (self.setup)(&actor);
        if let Some(read_clock_first) = clock_first {
            read_clock_first(&actor.limiter);
        }
        let handles: Vec<_> = order
            .iter()
            .map(|&who| {
                let (actor, does) = (Actor { who, ..actor.clone() }, self.threads[who].1);
                let keeper = self.keeper;
                loom::thread::spawn(move || {
                    actor.recorder.enrol(who);
                    does(&actor);
                    if keeper.is_some_and(|keeper| keeper != who) {
                        actor.alarms.through();
                    }
                })
            })
            .collect();
        for handle in handles {
            handle.join().expect("a failed model ends at once");
        }
        actor.recorder.enrol(CLOSING);
        (self.see_off)(&Actor { who: CLOSING, ..actor.clone() });
        let Actor { limiter, recorder, waits, .. } = actor;
        assert!(waits.leaked() || limiter.is_home(), "a word is left lent");
        let calls = recorder.calls();
        (self.check)(&calls);
        for key in calls.iter().filter_map(Call::key).collect::<BTreeSet<_>>() {
            let calls: Vec<Call> = calls.iter().filter(|call| call.key().is_none_or(|of| of == key)).cloned().collect();
            let bucket = bucket.forgettable(self.forgettable.contains(&key));
            explain(bucket, &calls, &recorder.looks(), limiter.at_origin(key));
        }
        limiter.close();
        assert!(limiter.is_home(), "a word is left lent");
        assert!(!PANICKED.get(), "somebody panicked, and the queue went on");
        outcome(&calls, self.threads.len())
    }
}

impl<L: Waited> Model<L> {
    /// Somebody may wait: a call reads the clock as often as it comes to the queue, and nobody is
    /// left waiting at the end.
    fn waits(self) -> Self {
        Model { looks: usize::MAX, see_off: Actor::see_off, ..self }
    }
}

thread_local! {
    /// Whether anything panicked on this thread, on which loom runs all of a model.
    static PANICKED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// The queue goes on where what it calls panics: an assertion that fails there has to be noted.
fn note_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICKED.set(true);
            report(info);
        }));
    });
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
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
