//! What the threads of one execution did, and the search for an order that explains it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use loom::thread::ThreadId;

use crate::PICO;
use crate::bucket::Bucket;
use crate::subject::Key;

/// Who calls before the threads start.
pub(crate) const SETUP: usize = usize::MAX;

/// A call's effect and answer, in 10⁻¹² tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// Asked for tokens.
    Take {
        /// What it asked for.
        cost: i64,
        /// The time to retry after, where it was denied.
        refused: Option<Duration>,
    },
    /// Asked for tokens, and found no place for a bucket.
    NoPlace,
    /// Gave tokens back, or put some in.
    Give {
        /// What it offered.
        amount: i64,
        /// What there was room for, where the verb tells.
        added: Option<i64>,
    },
    /// Charged, into debt if need be.
    Charge {
        /// What was to be charged.
        amount: i64,
        /// What was not, for the debt's limit.
        left: i64,
    },
    /// Filled the bucket.
    Reset,
    /// Forgot the key.
    Remove {
        /// Whether it was known.
        there: bool,
    },
    /// Forgot all keys.
    Clear,
}

impl Op {
    pub(crate) fn gives(&self) -> bool {
        matches!(self, Op::Give { .. } | Op::Reset | Op::Remove { .. } | Op::Clear)
    }

    fn writes(&self) -> bool {
        !matches!(self, Op::Take { refused: Some(_), .. } | Op::NoPlace)
    }
}

/// The time that a call stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// It reads the clock.
    Clock,
    /// It was given the time.
    At(u64),
    /// It has none.
    Never,
}

/// One call. Stamps count the recorded events of the execution, which runs one thread at a
/// time; they are finer than what the threads themselves could order.
#[derive(Clone, Debug)]
pub struct Call {
    who: usize,
    /// Whose bucket it was about; `None` for all.
    key: Option<Key>,
    pub(crate) op: Op,
    when: When,
    /// The clock's values and their stamps, or the one time that was given.
    readings: Vec<(u64, u64)>,
    began: u64,
    ended: u64,
}

impl Call {
    /// The thread, in the model's order.
    #[must_use]
    pub fn who(&self) -> usize {
        self.who
    }

    pub(crate) fn key(&self) -> Option<Key> {
        self.key
    }

    /// The last reading: the one that the answer stands on. The origin for a call without time.
    pub(crate) fn reading(&self) -> u64 {
        self.readings.last().map_or(0, |reading| reading.0)
    }

    /// How often it read the clock; 0 where the time was given.
    #[must_use]
    pub fn looks(&self) -> usize {
        if self.when == When::Clock { self.readings.len() } else { 0 }
    }

    /// Whether it took tokens.
    #[must_use]
    pub fn granted(&self) -> bool {
        matches!(self.op, Op::Take { refused: None, .. })
    }

    pub(crate) fn is_single_look(&self) -> bool {
        self.looks() == 1
    }

    /// How an outcome shows it.
    pub(crate) fn glyph(&self) -> String {
        match self.op {
            Op::Take { refused: None, .. } => "+".into(),
            Op::Take { refused: Some(_), .. } => "-".into(),
            Op::NoPlace => "f".into(),
            Op::Give { added: None, .. } => "g".into(),
            Op::Give { added: Some(added), .. } => format!("a{}", added / PICO),
            Op::Charge { left, .. } => format!("d{}", left / PICO),
            Op::Reset => "r".into(),
            Op::Remove { there: true } => "x".into(),
            Op::Remove { there: false } => "o".into(),
            Op::Clear => "c".into(),
        }
    }

    /// Whether the bucket must have seen `self` before `other`.
    fn precedes(&self, other: &Call) -> bool {
        if self.who == SETUP && other.who != SETUP {
            return true;
        }
        if self.who == other.who {
            return self.began < other.began;
        }
        if self.op.writes() && other.op.writes() {
            return self.ended < other.began;
        }
        // A denial may have seen an old word, but none that is newer than its only look: the
        // word is loaded before the clock is read, and if it has to be loaded again, so has
        // the clock.
        !self.op.writes() && self.is_single_look() && other.op.writes() && self.readings[0].1 < other.began
    }
}

/// Collects the calls. Its lock is the standard library's: loom runs one thread at a time and
/// switches only at its own atomics, none of which is touched under it.
pub(crate) struct Recorder {
    record: Mutex<Record>,
    /// How often a call may read the clock.
    looks: usize,
}

#[derive(Default)]
struct Record {
    stamp: u64,
    threads: HashMap<ThreadId, usize>,
    open: HashMap<usize, Open>,
    calls: Vec<Call>,
}

#[derive(Default)]
struct Open {
    calls: usize,
    began: u64,
    readings: Vec<(u64, u64)>,
}

impl Record {
    fn stamp(&mut self) -> u64 {
        self.stamp += 1;
        self.stamp
    }
}

impl Recorder {
    pub(crate) fn new(looks: usize) -> Self {
        Recorder { record: Mutex::default(), looks }
    }

    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().expect("a failed model ends at once")
    }

    pub(crate) fn enrol(&self, who: usize) {
        let id = loom::thread::current().id();
        self.record().threads.insert(id, who);
    }

    /// The thread that reads the clock, which of its calls that is, and which reading of it.
    pub(crate) fn reader(&self) -> (usize, usize, usize) {
        let id = loom::thread::current().id();
        let record = self.record();
        let who = record.threads[&id];
        let open = &record.open[&who];
        (who, open.calls, open.readings.len())
    }

    pub(crate) fn read(&self, who: usize, value: u64) {
        let mut record = self.record();
        let stamp = record.stamp();
        record.open.get_mut(&who).expect("a call is under way").readings.push((value, stamp));
    }

    /// Runs and records a call.
    pub(crate) fn call<R>(&self, who: usize, key: Option<Key>, when: When, call: impl FnOnce() -> (Op, R)) -> R {
        {
            let mut record = self.record();
            let began = record.stamp();
            record.open.entry(who).or_default().began = began;
        }
        let (op, result) = call();
        let mut record = self.record();
        let ended = record.stamp();
        let open = record.open.get_mut(&who).expect("it was opened above");
        let began = open.began;
        open.calls += 1;
        let mut readings = std::mem::take(&mut open.readings);
        assert_eq!(readings.is_empty(), when != When::Clock, "given a time, or read the clock");
        assert!(readings.len() <= self.looks, "a call reads the clock at most {} times", self.looks);
        if let When::At(now) = when {
            readings.push((now, began));
        }
        record.calls.push(Call { who, key, op, when, readings, began, ended });
        result
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.record().calls.clone()
    }
}

/// The calls of each thread in its own order, threads parted by bars.
pub(crate) fn outcome(calls: &[Call], threads: usize) -> String {
    let of = |who| calls.iter().filter(move |call| call.who == who).map(Call::glyph).collect::<String>();
    (0..threads).map(of).collect::<Vec<_>>().join("|")
}

/// Asserts that some order of the calls, one after the other on an exact bucket, gives every
/// call the answer it got and ends in the balance that is there (charge once, or not at all),
/// and that the window bound holds in that order.
pub(crate) fn explain(start: Bucket, calls: &[Call], at_origin: f64) {
    let mut order = Vec::new();
    assert!(
        search(start, calls, at_origin, &mut order),
        "no order of the calls explains them and a balance of {at_origin} from {start:?}: {calls:#?}"
    );
    let (mut bucket, mut steps) = (start, Vec::new());
    for &index in &order {
        let (next, added) = bucket.after(&calls[index]).expect("the order was found so");
        bucket = next;
        steps.push((&calls[index], added));
    }
    window_bound(start, &steps);
}

fn search(bucket: Bucket, calls: &[Call], at_origin: f64, order: &mut Vec<usize>) -> bool {
    if order.len() == calls.len() {
        return bucket.is_at_origin(at_origin);
    }
    for (index, call) in calls.iter().enumerate() {
        let next = !order.contains(&index)
            && !calls.iter().enumerate().any(|(other, earlier)| !order.contains(&other) && earlier.precedes(call));
        let Some((bucket, _)) = next.then(|| bucket.after(call)).flatten() else { continue };
        order.push(index);
        if search(bucket, calls, at_origin, order) {
            return true;
        }
        order.pop();
    }
    false
}

/// For all a ≤ b: what was granted to readings in [a, b], less what was given back between the
/// first and the last of these grants, is at most burst + rate × (b − a). Exact.
fn window_bound(bucket: Bucket, steps: &[(&Call, i64)]) {
    let readings: Vec<u64> = steps.iter().filter(|(call, _)| call.granted()).map(|(call, _)| call.reading()).collect();
    for &a in &readings {
        for &b in readings.iter().filter(|&&b| a <= b) {
            let inside = |(call, _): &(&Call, i64)| call.granted() && (a..=b).contains(&call.reading());
            let first = steps.iter().position(inside).expect("a and b are such readings");
            let last = steps.iter().rposition(inside).expect("a and b are such readings");
            let (mut granted, mut given) = (0, 0);
            for step in &steps[first..=last] {
                given += step.1;
                if let (true, Op::Take { cost, .. }) = (inside(step), step.0.op) {
                    granted += bucket.units(cost);
                }
            }
            assert!(bucket.bounds(granted - given, b - a), "{granted} units less {given} in [{a}, {b}]: {steps:#?}");
        }
    }
}
