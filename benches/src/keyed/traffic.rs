//! The traffic of the matrix: the state in which each call finds its bucket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use cpu_time::ThreadTime;

use super::clock::{Driven, Real, Step};
use super::contenders::{Contender, How, Plan, Table, build};
use super::keys::{Key, keys, passes, zipf};
use super::quotas::Quota;
use crate::harness;

/// The state in which a call finds its bucket.
///
/// With a real clock, most pairs of a quota and a size allow only one of these states. A bucket of
/// 1000000/s burst 1000 is full again before any of 10^5 other keys is done; a bucket of 60/min is
/// exhausted at once. So the first three states drive the clock. Every contender gets the same
/// calls at the same times, and the time of a call is exact to 2^-32 ns. Tables are filled at 20 ns
/// per call, as fast as a real table can grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    /// Half full, and a call takes the tokens that the bucket has earned since the last call:
    /// admitted.
    InUse,
    /// Full again at each call (at 99.8% of them: the order is random): healthy clients.
    Healthy,
    /// Nothing is left, and nothing is earned: denied.
    Exhausted,
    /// The real clock, each library's default. Buckets are half full at first, and then in the
    /// state that back-to-back calls leave them in. The table shows the share of calls that was
    /// admitted.
    Real,
    /// Like `Real`, but the k-th key calls with a frequency of 1/k^1.1.
    Zipf,
}

impl Traffic {
    pub(super) fn name(self) -> &'static str {
        match self {
            Traffic::InUse => "in use",
            Traffic::Healthy => "full again",
            Traffic::Exhausted => "exhausted",
            Traffic::Real => "real clock",
            Traffic::Zipf => "Zipf 1.1",
        }
    }

    fn is_real(self) -> bool {
        matches!(self, Traffic::Real | Traffic::Zipf)
    }

    /// Returns the share of the calls that is to be admitted, at least and at most.
    pub(super) fn admitted(self) -> [f64; 2] {
        match self {
            Traffic::InUse | Traffic::Healthy => [1.0, 1.0],
            Traffic::Exhausted => [0.0, 0.001],
            Traffic::Real | Traffic::Zipf => [0.0, 1.0],
        }
    }

    /// Returns the time by which each call of `keys` keys advances the clock.
    fn step(self, quota: &Quota, keys: u64) -> Step {
        let earned_in_a_pass = |calls: f64| Step::nanos(quota.call_nanos() * calls / keys as f64);
        match self {
            Traffic::InUse => earned_in_a_pass(1.0),
            // Two calls of a key are closer together than a sixteenth of a pass in one of 500
            // cases.
            Traffic::Healthy => earned_in_a_pass(16.0),
            // The clock advances by less than one call's cost in all runs.
            Traffic::Exhausted => Step::nanos(quota.call_nanos() / 1e10),
            Traffic::Real | Traffic::Zipf => Step::NONE,
        }
    }

    /// Brings a bucket into its state, just after a call has taken from it.
    fn settle<K>(self, quota: &Quota, table: &dyn Table<K>, key: &K) {
        let (burst, cost) = (quota.limit.burst, quota.cost);
        let _ = match self {
            Traffic::InUse | Traffic::Real | Traffic::Zipf => table.take(key, burst / 2),
            Traffic::Healthy => true,
            // The bucket may have refilled while the table was filled.
            Traffic::Exhausted => table.take(key, burst) || table.take(key, burst - cost),
        };
    }
}

/// The time of a call while a table is filled, if the clock is driven.
const FILL_NANOS: f64 = 20.0;

/// The keys of a table, and the calls.
pub(super) struct Calls<K> {
    keys: Vec<K>,
    order: Arc<[K]>,
}

impl<K: Key> Calls<K> {
    pub(super) fn new(n: u64, traffic: Traffic) -> Self {
        const ACCESSES: usize = 2_000_000;
        let keys = keys(n);
        let order = if traffic == Traffic::Zipf { zipf(&keys, ACCESSES) } else { passes(&keys, ACCESSES) };
        Calls { keys, order: order.into() }
    }

    pub(super) fn len(&self) -> u64 {
        self.keys.len() as u64
    }

    /// Returns a full table, in the state of a traffic.
    pub(super) fn filled(&self, contender: Contender, quota: &Quota, traffic: Traffic) -> Result<Filled<K>, String> {
        let plan = Plan::roomy(quota, self.len());
        let table = match traffic.is_real() {
            true => build::<K, Real>(contender, plan)?,
            false => build::<K, Driven<true>>(contender, plan)?,
        };
        table.run(&self.keys, How { cost: quota.cost, serial: false, step: Step::nanos(FILL_NANOS) });
        for key in &self.keys {
            traffic.settle(quota, &*table, key);
        }
        let how = How { cost: quota.cost, serial: false, step: traffic.step(quota, self.len()) };
        let walk = Walk { order: self.order.clone(), place: Arc::default(), counts: Arc::default() };
        Ok(Filled { table, how, walk })
    }
}

/// The clock by which a run is timed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Timer {
    /// The thread's CPU time, in which another process on the core does not count. For one thread,
    /// which never sleeps on a lock.
    Cpu,
    Wall,
}

impl Timer {
    fn nanos(self, run: impl FnOnce()) -> f64 {
        let time = match self {
            Timer::Cpu => {
                let begin = ThreadTime::now();
                run();
                begin.elapsed()
            }
            Timer::Wall => {
                let begin = Instant::now();
                run();
                begin.elapsed()
            }
        };
        time.as_nanos() as f64
    }
}

/// A table whose runs go on through the calls.
pub(super) struct Filled<K> {
    pub(super) table: Arc<dyn Table<K>>,
    how: How,
    walk: Walk<K>,
}

/// The calls of one table. Its runs continue each other, so that no key calls out of turn.
struct Walk<K> {
    order: Arc<[K]>,
    place: Arc<AtomicUsize>,
    /// Calls, and admitted calls.
    counts: Arc<[AtomicU64; 2]>,
}

impl<K> Clone for Walk<K> {
    fn clone(&self) -> Self {
        Walk { order: self.order.clone(), place: self.place.clone(), counts: self.counts.clone() }
    }
}

impl<K: Key> Filled<K> {
    /// Returns a contender of the harness, whose name states which run of the table it is.
    pub(super) fn contender(&self, name: &str, serial: bool, timer: Timer) -> harness::Contender<'static> {
        let (table, how) = (self.table.clone(), How { serial, ..self.how });
        self.timed(name, timer, move |keys| table.run(keys, how))
    }

    /// Returns a contender that calls in batches, on the real clock.
    pub(super) fn batches(&self, name: &str, size: usize) -> harness::Contender<'static> {
        let table = self.table.clone();
        self.timed(name, Timer::Cpu, move |keys| table.batches(keys, size))
    }

    fn timed(
        &self,
        name: &str,
        timer: Timer,
        run: impl Fn(&[K]) -> u64 + Send + Sync + 'static,
    ) -> harness::Contender<'static> {
        let walk = self.walk.clone();
        harness::Contender::timed(name, move |calls| walk.timed(calls as usize, timer, &run))
    }

    /// Returns the share of the calls that was admitted.
    pub(super) fn admitted(&self) -> f64 {
        let [calls, admitted] = &*self.walk.counts;
        admitted.load(Ordering::Relaxed) as f64 / calls.load(Ordering::Relaxed) as f64
    }
}

impl<K> Walk<K> {
    /// Returns the nanoseconds of `calls` calls, after half as many calls that warm the caches
    /// again.
    fn timed(&self, calls: usize, timer: Timer, run: &impl Fn(&[K]) -> u64) -> f64 {
        let ahead = calls / 2;
        let start = self.place.fetch_add(ahead + calls, Ordering::Relaxed);
        let mut admitted = self.walk(start, ahead, run);
        let nanos = timer.nanos(|| admitted += self.walk(start + ahead, calls, run));
        self.counts[0].fetch_add((ahead + calls) as u64, Ordering::Relaxed);
        self.counts[1].fetch_add(admitted, Ordering::Relaxed);
        nanos
    }

    fn walk(&self, start: usize, calls: usize, run: &impl Fn(&[K]) -> u64) -> u64 {
        let (mut place, mut left, mut admitted) = (start % self.order.len(), calls, 0);
        while left > 0 {
            let part = left.min(self.order.len() - place);
            admitted += run(&self.order[place..place + part]);
            (place, left) = (0, left - part);
        }
        admitted
    }
}
