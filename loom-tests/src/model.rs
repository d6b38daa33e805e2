//! Running a model to its end.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brimful::{Clock, Quota, RateLimiter};

use crate::T;
use crate::actor::Actor;
use crate::bucket::Bucket;
use crate::clock::{Hand, ModelClock};
use crate::history::{Call, Recorder, SETUP, explain, outcome};

/// What a thread does.
type Does<C> = fn(&Actor<C>);

/// A limiter, and what threads do to it.
pub struct Model<C: Clock> {
    quota: Quota,
    limiter: fn(Quota, ModelClock) -> RateLimiter<C>,
    setup: Does<C>,
    threads: Vec<(Hand, Does<C>)>,
    check: fn(&[Call]),
    preemptions: Option<usize>,
}

impl Model<ModelClock> {
    /// On a limiter with the model's clock.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Model::on(quota, RateLimiter::with_clock)
    }
}

impl<C: Clock + Send + Sync + 'static> Model<C> {
    /// On a limiter that is made otherwise.
    pub fn on(quota: Quota, limiter: fn(Quota, ModelClock) -> RateLimiter<C>) -> Self {
        Model { quota, limiter, setup: |_| {}, threads: Vec::new(), check: |_| {}, preemptions: None }
    }

    /// What happens before the threads start, at times that are given.
    #[must_use]
    pub fn setup(self, setup: fn(&Actor<C>)) -> Self {
        Model { setup, ..self }
    }

    /// One more thread.
    #[must_use]
    pub fn thread(mut self, hand: Hand, does: fn(&Actor<C>)) -> Self {
        self.threads.push((hand, does));
        self
    }

    /// What is to be asserted of the calls of an execution, besides what always is.
    #[must_use]
    pub fn check(self, check: fn(&[Call])) -> Self {
        Model { check, ..self }
    }

    /// At most so many preemptions in an execution, where all of them would take too long.
    #[must_use]
    pub fn preemptions(self, bound: usize) -> Self {
        Model { preemptions: Some(bound), ..self }
    }

    /// Explores the model with its threads started in every order, since loom remembers only
    /// the last access to an object where it looks for interleavings, so that one order can
    /// miss some. `outcomes` are all that occur, no more and no less: a model that no longer
    /// reaches what it is about fails too.
    ///
    /// # Panics
    ///
    /// Where the model fails.
    #[track_caller]
    pub fn explore(self, outcomes: &[&str]) {
        let model = Arc::new(self);
        let orders = permutations(model.threads.len());
        let began = Instant::now();
        let (executions, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(BTreeSet::new())));
        for order in &orders {
            let before = executions.load(Ordering::Relaxed);
            let (run, order, counter, seen) = (model.clone(), order.clone(), executions.clone(), seen.clone());
            model.builder().check(move || {
                counter.fetch_add(1, Ordering::Relaxed);
                let outcome = run.execute(&order);
                seen.lock().expect("a failed model ends at once").insert(outcome);
            });
            assert!(executions.load(Ordering::Relaxed) - before > 1, "nothing was interleaved");
        }
        println!(
            "{} executions, {} orders, preemptions {}, {} ms",
            executions.load(Ordering::Relaxed),
            orders.len(),
            model.preemptions.map_or("unbounded".into(), |bound| format!("<= {bound}")),
            began.elapsed().as_millis(),
        );
        let seen = seen.lock().expect("a failed model ends at once");
        let outcomes: BTreeSet<String> = outcomes.iter().map(|&outcome| outcome.into()).collect();
        assert_eq!(*seen, outcomes, "outcomes seen (left), and to be seen");
    }

    /// loom ends silently at its limits of time and number: without them, and whatever the
    /// environment says, `check` returns when all is explored. Too many branches panic.
    fn builder(&self) -> loom::model::Builder {
        let mut builder = loom::model::Builder::new();
        builder.max_threads = self.threads.len() + 1;
        builder.max_branches = 1_000;
        builder.max_permutations = None;
        builder.max_duration = None;
        builder.checkpoint_file = None;
        builder.expect_explicit_explore = false;
        builder.preemption_bound = self.preemptions;
        builder
    }

    fn execute(&self, order: &[usize]) -> String {
        let recorder = Arc::new(Recorder::default());
        let clock = ModelClock::new(4 * T, self.threads.iter().map(|thread| thread.0).collect(), recorder.clone());
        let limiter = Arc::new((self.limiter)(self.quota, clock));
        let tick = tick(self.quota);
        let mailbox = Arc::new(loom::sync::atomic::AtomicU64::new(0));
        let actor = |who| Actor { who, limiter: limiter.clone(), recorder: recorder.clone(), mailbox: mailbox.clone() };
        (self.setup)(&actor(SETUP));
        let handles: Vec<_> = order
            .iter()
            .map(|&who| {
                let (actor, does) = (actor(who), self.threads[who].1);
                loom::thread::spawn(move || {
                    actor.recorder.enrol(who);
                    does(&actor);
                })
            })
            .collect();
        for handle in handles {
            handle.join().expect("a failed model ends at once");
        }
        let calls = recorder.calls();
        (self.check)(&calls);
        // As of the clock's origin nothing has been earned, and nothing is clipped.
        explain(Bucket::new(&self.quota, tick), &calls, limiter.balance_at(0));
        outcome(&calls, self.threads.len())
    }
}

/// A clock that nobody follows.
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> u64 {
        0
    }
}

/// The tick's length, which a fresh limiter shows: it was last written in the first one.
fn tick(quota: Quota) -> u64 {
    let shown = format!("{:?}", RateLimiter::with_clock(quota, Stopped));
    let first = |k: u32| format!("last_refill: 0ns..{:?}", Duration::from_nanos((1 << k) - 1));
    (1..59).find(|&k| shown.contains(&first(k))).map(|k| 1 << k).expect("a limiter shows its tick")
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
