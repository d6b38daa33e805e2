//! Running a model to its end.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use brimful::{KeyedRateLimiter, OnFull, Quota, RateLimiter};

use crate::T;
use crate::actor::Actor;
use crate::bucket::Bucket;
use crate::clock::{Hand, ModelClock};
use crate::history::{Call, Recorder, SETUP, explain, outcome};
use crate::subject::{AsIs, Key, Subject, Table};

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
}

impl Model<RateLimiter<ModelClock>> {
    /// On a limiter with the model's clock.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Model::on(quota, RateLimiter::with_clock)
    }
}

impl Model<Table> {
    /// On a limiter for so many keys.
    ///
    /// # Panics
    ///
    /// Where it cannot be built.
    #[must_use]
    pub fn table(quota: Quota, max_keys: u64, on_full: OnFull) -> Self {
        Model::on(quota, move |quota, clock| {
            let builder = KeyedRateLimiter::<Key>::builder();
            builder.quota(quota).max_keys(max_keys).on_full(on_full).clock(clock).hasher(AsIs).build().expect("a table")
        })
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
        Model { quota, limiter, setup, threads: Vec::new(), forgettable: &[], check, preemptions: None }
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
        builder.max_branches = 5_000;
        builder.max_permutations = None;
        builder.max_duration = None;
        builder.checkpoint_file = None;
        builder.expect_explicit_explore = false;
        builder.preemption_bound = self.preemptions;
        builder
    }

    fn execute(&self, order: &[usize]) -> String {
        let recorder = Arc::new(Recorder::new(L::LOOKS));
        let clock = ModelClock::new(4 * T, self.threads.iter().map(|thread| thread.0).collect(), recorder.clone());
        let limiter = Arc::new((self.limiter)(self.quota, clock));
        let bucket = Bucket::new(&self.quota, limiter.grain());
        let mailbox = Arc::new(loom::sync::atomic::AtomicU64::new(0));
        let actor = |who| {
            let (limiter, recorder, mailbox) = (limiter.clone(), recorder.clone(), mailbox.clone());
            Actor { who, key: 0, limiter, recorder, mailbox }
        };
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
        for key in calls.iter().filter_map(Call::key).collect::<BTreeSet<_>>() {
            let calls: Vec<Call> = calls.iter().filter(|call| call.key().is_none_or(|of| of == key)).cloned().collect();
            let bucket = bucket.forgettable(self.forgettable.contains(&key));
            explain(bucket, &calls, limiter.at_origin(key));
        }
        limiter.close();
        outcome(&calls, self.threads.len())
    }
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
