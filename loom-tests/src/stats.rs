//! Models of statistics: every call is read once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use brimful::{Clock, KeyedRateLimiter, Quota, RateLimiter, TopDenied};

use crate::model::explore_each;
use crate::subject::{IdentityState, Key};

/// A clock that stands still: the models are not about time.
#[derive(Clone)]
struct Still;

impl Clock for Still {
    fn now(&self) -> u64 {
        0
    }
}

/// A limiter with statistics and the keys with most denials, and one thread that uses it. The locks in it are the
/// standard library's, which loom does not see.
#[derive(Clone)]
pub struct StatsActor {
    caller: usize,
    lone: Arc<RateLimiter<Still>>,
    keyed: Arc<KeyedRateLimiter<Key, Still, IdentityState>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The calls on the lone limiter that have ended, and those that were read by `take_stats`.
    called: AtomicU64,
    taken: AtomicU64,
    /// The denials of each key that have ended, and the counts that were read.
    denied: Mutex<BTreeMap<Key, u64>>,
    taken_keys: Mutex<Vec<TopDenied>>,
    /// The letters of each thread.
    outcomes: Mutex<Vec<String>>,
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a failed model ends at once")
}

impl StatsActor {
    fn record(&self, letters: &str) {
        guard(&self.shared.outcomes)[self.caller].push_str(letters);
    }

    /// Calls, and is denied.
    ///
    /// # Panics
    ///
    /// If the call is admitted.
    pub fn call(&self) {
        assert!(!self.lone.allow());
        self.shared.called.fetch_add(1, Ordering::Relaxed);
        self.record("d");
    }

    /// Calls on a key that is known, and is denied.
    ///
    /// # Panics
    ///
    /// If the call is admitted.
    pub fn call_key(&self, key: Key) {
        assert!(!self.keyed.allow(&key));
        *guard(&self.shared.denied).entry(key).or_default() += 1;
        self.record("d");
    }

    /// Makes a key known: its only token is taken.
    ///
    /// # Panics
    ///
    /// If the call is denied.
    pub fn know(&self, key: Key) {
        assert!(self.keyed.allow(&key));
    }

    /// Takes the statistics. Records the calls in them.
    ///
    /// # Panics
    ///
    /// If there are no statistics.
    pub fn take(&self) {
        let read = self.lone.take_stats().expect("there are statistics").rate_limited;
        self.shared.taken.fetch_add(read, Ordering::Relaxed);
        self.record(&read.to_string());
    }

    /// Takes the keys with most denials. They are added to those that are read in the end.
    ///
    /// # Panics
    ///
    /// If denials are not counted.
    pub fn take_keys(&self) {
        guard(&self.shared.taken_keys).push(self.keyed.take_top_denied().expect("they are counted"));
    }

    /// Every call was read once.
    fn check_calls(&self) {
        self.take();
        let (called, taken) = (self.shared.called.load(Ordering::Relaxed), self.shared.taken.load(Ordering::Relaxed));
        assert_eq!(taken, called, "calls that were read (left), of these (right)");
    }

    /// The counts of keys meet their error bound, in the sum of all reads.
    fn check_keys(&self) {
        self.take_keys();
        let (reads, denied) = (guard(&self.shared.taken_keys), guard(&self.shared.denied));
        let skipped: u64 = reads.iter().map(|read| read.skipped).sum();
        for (key, &exact) in &*denied {
            let id = self.keyed.key_id(key);
            let (mut least, mut most) = (0, skipped);
            for read in &*reads {
                match read.keys.iter().find(|found| found.key == id) {
                    Some(found) => {
                        least += found.denied - found.error;
                        most += found.denied;
                    }
                    // A key without a place was denied at most as often as those with one.
                    None => most += read.keys.iter().map(|found| found.denied).min().unwrap_or(0),
                }
            }
            assert!(least <= exact + skipped && exact <= most, "{least} to {most} for {exact}: {reads:?}");
        }
        let sum: u64 = reads.iter().flat_map(|read| &read.keys).map(|found| found.denied).sum();
        assert!(sum <= denied.values().sum(), "more denials than there were: {reads:?}");
    }
}

/// The calls of one thread.
type Body = fn(&StatsActor);

/// A limiter with statistics, and the threads that use it.
pub struct StatsModel {
    setup: Body,
    threads: Vec<Body>,
    preemptions: Option<usize>,
    checks_keys: bool,
}

impl StatsModel {
    /// A model of the counters of calls.
    #[must_use]
    pub fn calls() -> Self {
        StatsModel { setup: |_| {}, threads: Vec::new(), preemptions: None, checks_keys: false }
    }

    /// A model of the keys with most denials. There are two places.
    #[must_use]
    pub fn keys() -> Self {
        StatsModel { checks_keys: true, ..StatsModel::calls() }
    }

    /// Sets the calls before the threads start.
    #[must_use]
    pub fn setup(self, setup: Body) -> Self {
        StatsModel { setup, ..self }
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
        StatsModel { preemptions: Some(bound), ..self }
    }

    /// Explores the model, with the threads started in every order. `outcomes` is the exact set of outcomes.
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
        let threads = self.threads.len();
        let quota = Quota::per_hour(1);
        let lone = RateLimiter::builder().quota(quota.initial(0)).clock(Still).stats().build();
        let keyed = KeyedRateLimiter::builder().quota(quota).max_keys(8).clock(Still).hasher(IdentityState);
        let actor = StatsActor {
            caller: threads,
            lone: Arc::new(lone.expect("a limiter")),
            keyed: Arc::new(keyed.top_denied(2).build().expect("a table")),
            shared: Arc::default(),
        };
        *guard(&actor.shared.outcomes) = vec![String::new(); threads + 1];
        (self.setup)(&actor);
        guard(&actor.shared.outcomes)[threads].clear();
        let spawn = |&caller: &usize| {
            let (actor, body) = (StatsActor { caller, ..actor.clone() }, self.threads[caller]);
            loom::thread::spawn(move || body(&actor))
        };
        for handle in order.iter().map(spawn).collect::<Vec<_>>() {
            handle.join().expect("a failed model ends at once");
        }
        if self.checks_keys {
            actor.check_keys();
        } else {
            actor.check_calls();
        }
        std::mem::take(&mut *guard(&actor.shared.outcomes))[..threads].join("|")
    }
}
