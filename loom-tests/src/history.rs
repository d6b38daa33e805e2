//! The record of the calls of one execution.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use loom::thread::ThreadId;

use crate::PICO;
use crate::queue::Waiter;
use crate::subject::Key;

/// The number of the caller before the threads start.
pub(crate) const SETUP: usize = usize::MAX;

/// The number of the caller after the threads have ended.
pub(crate) const CLOSING: usize = usize::MAX - 1;

/// The reason for which a wait failed, or did not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The tokens would not have been there by its deadline.
    TooLate,
    /// There were as many waiters as permitted. A waiter that fails for this reason was displaced.
    QueueFull,
    /// Its key was removed.
    KeyRemoved,
    /// The limiter was closed.
    LimiterClosed,
}

/// The effect and the answer of a call. Amounts are in 10⁻¹² tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// Asked for tokens.
    Take {
        /// The tokens that it asked for.
        cost: i64,
        /// The time to retry after, if the call was denied.
        refused: Option<Duration>,
    },
    /// Asked for tokens, but the table had no room for the key.
    TableFull,
    /// Gave tokens back, or added some.
    Give {
        /// The tokens that were offered.
        amount: i64,
        /// The tokens that fitted, if the method returns them.
        added: Option<i64>,
    },
    /// Charged a cost, into debt if necessary.
    Charge {
        /// The tokens to charge.
        amount: i64,
        /// The tokens that the debt limit left uncharged.
        left: i64,
    },
    /// Filled the bucket.
    Reset,
    /// Removed the key.
    Remove {
        /// Whether the table had the key.
        known: bool,
    },
    /// Removed all keys.
    Clear,
    /// Removed all full buckets.
    Sweep,
    /// Was ready to wait, and was granted its tokens at once.
    Admit(Waiter),
    /// Joined the queue, and displaced a waiter if the queue was full.
    Enter(Waiter),
    /// Waited, and was granted its tokens.
    Serve {
        /// The waiter.
        waiter: Waiter,
        /// Only the timer served it: no thread ran a dispatch for it.
        by_timer: bool,
    },
    /// Waited, and failed because it could not be served by its deadline.
    Late {
        /// The waiter.
        waiter: Waiter,
        /// Only the timer's dispatch reported it.
        by_timer: bool,
    },
    /// Waited, and failed for another reason.
    Fail(Waiter, Failure),
    /// Was granted its tokens, and has left its place among the waiters.
    Release(Waiter),
    /// Polled, and still waits.
    Pending,
    /// Cancelled its wait.
    Leave {
        /// The waiter.
        waiter: Waiter,
        /// The limiter has one bucket.
        lone: bool,
    },
    /// Did not join the queue.
    WaitRefused(Waiter, Failure),
    /// Blocked, with or without waiting, and was granted its tokens at that time.
    Block(Waiter, u64),
    /// Blocked, with or without waiting, and failed.
    BlockFailed(Waiter, Failure),
    /// Closed the limiter.
    Close,
}

impl Failure {
    /// The letter of a call that fails for this reason.
    fn glyph(self) -> &'static str {
        match self {
            Failure::TooLate => "t",
            Failure::QueueFull => "q",
            Failure::KeyRemoved => "n",
            Failure::LimiterClosed => "e",
        }
    }
}

impl Op {
    pub(crate) fn gives(&self) -> bool {
        matches!(self, Op::Give { .. } | Op::Reset | Op::Remove { .. } | Op::Clear | Op::Leave { .. })
    }

    /// Whether it wrote, or was decided under the queue's lock.
    fn writes(&self) -> bool {
        !matches!(
            self,
            Op::Take { refused: Some(_), .. }
                | Op::TableFull
                | Op::Pending
                | Op::WaitRefused(_, Failure::TooLate)
                | Op::Sweep
        )
    }

    /// The tokens that it took, if it took any.
    pub(crate) fn took(&self) -> Option<i64> {
        match *self {
            Op::Take { cost, refused: None } => Some(cost),
            Op::Admit(waiter) | Op::Serve { waiter, .. } | Op::Block(waiter, _) => Some(waiter.cost),
            _ => None,
        }
    }

    /// Whether it is the end of a wait. The thread does not know when that happened.
    fn ends_wait(&self) -> bool {
        matches!(self, Op::Serve { .. } | Op::Late { .. } | Op::Fail(..) | Op::Release(_))
    }

    /// The waiter whose outcome this call reports.
    fn settles(&self) -> Option<u64> {
        match *self {
            Op::Serve { waiter, .. } | Op::Late { waiter, .. } | Op::Fail(waiter, _) => Some(waiter.id),
            _ => None,
        }
    }
}

/// The source of the time of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// The call reads the clock.
    Clock,
    /// The call was given the time.
    At(u64),
    /// The call has no time.
    Never,
}

/// One call. Stamps number the recorded events of the execution. loom runs one thread at a time, so
/// stamps order more events than the threads themselves can order.
#[derive(Clone, Debug)]
pub struct Call {
    caller: usize,
    /// The key of the call; `None` for a call on all keys.
    key: Option<Key>,
    pub(crate) op: Op,
    when: When,
    /// The readings of the clock with their stamps, or the one time that was given.
    readings: Vec<(u64, u64)>,
    began: u64,
    ended: u64,
}

impl Call {
    /// The number of the thread in the model.
    #[must_use]
    pub fn caller(&self) -> usize {
        self.caller
    }

    pub(crate) fn key(&self) -> Option<Key> {
        self.key
    }

    /// The last reading, which decides the answer; 0 for a call without a time.
    pub(crate) fn reading(&self) -> u64 {
        self.readings.last().map_or(0, |reading| reading.0)
    }

    /// Another operation in the place of this call, with its readings.
    pub(crate) fn with_op(&self, op: Op) -> Call {
        Call { op, ..self.clone() }
    }

    /// The same call, begun at another stamp.
    pub(crate) fn since(self, began: u64) -> Call {
        Call { began, ..self }
    }

    /// How many times the call read the clock; 0 if the time was given.
    #[must_use]
    pub fn clock_reads(&self) -> usize {
        if self.when == When::Clock { self.readings.len() } else { 0 }
    }

    /// Whether the call took tokens.
    #[must_use]
    pub fn granted(&self) -> bool {
        self.op.took().is_some()
    }

    /// Another operation in the place of this call.
    pub(crate) fn with(&self, op: Op, at: u64) -> Call {
        Call { op, readings: vec![(at, self.ended)], ..self.clone() }
    }

    /// The waiter whose outcome this call reports.
    pub(crate) fn settles(&self) -> Option<u64> {
        self.op.settles()
    }

    /// The waiter that this call cancelled, and the stamp.
    pub(crate) fn leaves(&self) -> Option<(u64, u64)> {
        if let Op::Leave { waiter, .. } = self.op { Some((waiter.id, self.ended)) } else { None }
    }

    pub(crate) fn reads_clock_once(&self) -> bool {
        self.clock_reads() == 1
    }

    /// The letter of the call in an outcome.
    pub(crate) fn glyph(&self) -> String {
        match self.op {
            Op::Take { refused: None, .. } => "+".into(),
            Op::Take { refused: Some(_), .. } => "-".into(),
            Op::TableFull => "f".into(),
            Op::Give { added: None, .. } => "g".into(),
            Op::Give { added: Some(added), .. } => format!("a{}", added / PICO),
            Op::Charge { left, .. } => format!("d{}", left / PICO),
            Op::Reset => "r".into(),
            Op::Remove { known: true } => "x".into(),
            Op::Remove { known: false } => "o".into(),
            Op::Clear => "c".into(),
            Op::Sweep => "s".into(),
            Op::Enter(_) => "w".into(),
            Op::Admit(_) | Op::Serve { .. } | Op::Block(..) => "+".into(),
            Op::Late { by_timer: true, .. } => "T".into(),
            Op::Late { .. } => "t".into(),
            Op::Fail(_, Failure::QueueFull) => "p".into(),
            Op::Fail(_, why) | Op::WaitRefused(_, why) | Op::BlockFailed(_, why) => why.glyph().into(),
            Op::Release(_) => unreachable!("no call reports it"),
            Op::Close => "z".into(),
            Op::Pending => ".".into(),
            Op::Leave { lone: true, .. } if self.clock_reads() > 0 => "b".into(),
            Op::Leave { .. } => "l".into(),
        }
    }

    /// Whether every order has `self` before `other`.
    pub(crate) fn precedes(&self, other: &Call) -> bool {
        if self.caller == SETUP && other.caller != SETUP {
            return true;
        }
        if self.caller == other.caller && !self.op.ends_wait() && !other.op.ends_wait() {
            return self.began < other.began;
        }
        if self.op.writes() && other.op.writes() {
            return self.ended < other.began;
        }
        // A denial may have loaded an old word. But a call that read the clock only once loaded the
        // word before that reading, and did not load it again. So its word is no newer than the
        // reading. A call that would join the queue may have loaded two words.
        let denied = !self.op.writes() && !matches!(self.op, Op::WaitRefused(..));
        denied && self.reads_clock_once() && other.op.writes() && self.readings[0].1 < other.began
    }
}

/// Collects the calls. The lock is the standard library's: loom runs one thread at a time and
/// switches threads only at its own atomics, and no such atomic is used under the lock.
pub(crate) struct Recorder {
    record: Mutex<Record>,
    /// The most readings of the clock in one call.
    max_clock_reads: usize,
}

#[derive(Default)]
struct Record {
    stamp: u64,
    threads: HashMap<ThreadId, usize>,
    open: HashMap<usize, Open>,
    calls: Vec<Call>,
    /// The times at which queues read the clock, with their stamps.
    queue_readings: Vec<(u64, u64)>,
}

#[derive(Default)]
struct Open {
    calls: usize,
    readings: Vec<(u64, u64)>,
}

impl Record {
    fn stamp(&mut self) -> u64 {
        self.stamp += 1;
        self.stamp
    }
}

impl Recorder {
    pub(crate) fn new(max_clock_reads: usize) -> Self {
        Recorder { record: Mutex::default(), max_clock_reads }
    }

    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().expect("a failed model ends at once")
    }

    pub(crate) fn register(&self, caller: usize) {
        let id = loom::thread::current().id();
        self.record().threads.insert(id, caller);
    }

    /// The thread that reads the clock, the number of its call, and the number of the reading in
    /// that call.
    pub(crate) fn reader(&self) -> (usize, usize, usize) {
        let id = loom::thread::current().id();
        let record = self.record();
        let caller = record.threads[&id];
        record.open.get(&caller).map_or((caller, 0, 0), |open| (caller, open.calls, open.readings.len()))
    }

    pub(crate) fn read(&self, caller: usize, value: u64) {
        let mut record = self.record();
        let stamp = record.stamp();
        record.open.entry(caller).or_default().readings.push((value, stamp));
    }

    /// Records that a queue read the clock.
    pub(crate) fn queue_read(&self, value: u64) {
        let mut record = self.record();
        let stamp = record.stamp();
        record.queue_readings.push((value, stamp));
    }

    /// The times at which queues read the clock, each with its first stamp.
    pub(crate) fn queue_readings(&self) -> Vec<(u64, u64)> {
        let mut queue_readings = self.record().queue_readings.clone();
        queue_readings.sort_unstable();
        queue_readings.dedup_by_key(|reading| reading.0);
        queue_readings
    }

    /// Runs and records a call.
    pub(crate) fn call<R>(&self, caller: usize, key: Option<Key>, when: When, call: impl FnOnce() -> (Op, R)) -> R {
        let began = self.begin(caller);
        let (op, result) = call();
        let (ended, mut readings) = self.end(caller);
        assert_eq!(
            readings.is_empty(),
            when != When::Clock,
            "a call reads the clock exactly if it is not given the time"
        );
        assert!(
            readings.len() <= self.max_clock_reads,
            "a call reads the clock at most {} times",
            self.max_clock_reads
        );
        if let When::At(now) = when {
            readings.push((now, began));
        }
        self.record().calls.push(Call { caller, key, op, when, readings, began, ended });
        result
    }

    /// Runs and records a call on a wait. `call` returns the operation, and the time of the grant
    /// if there was one. The end of a wait may have happened at any time after `waits_since`, so
    /// the call is recorded as one that began then.
    pub(crate) fn wait<R>(
        &self,
        caller: usize,
        key: Key,
        waits_since: Option<u64>,
        call: impl FnOnce(u64) -> (Op, Option<u64>, R),
    ) -> R {
        let began = self.begin(caller);
        let (op, at, result) = call(began);
        let (ended, mut readings) = self.end(caller);
        if let Some(at) = at {
            readings = vec![(at, ended)];
        }
        let began = waits_since.filter(|_| op.ends_wait()).unwrap_or(began);
        self.record().calls.push(Call { caller, key: Some(key), op, when: When::Clock, readings, began, ended });
        result
    }

    fn begin(&self, caller: usize) -> u64 {
        let mut record = self.record();
        let began = record.stamp();
        record.open.entry(caller).or_default().readings.clear();
        began
    }

    fn end(&self, caller: usize) -> (u64, Vec<(u64, u64)>) {
        let mut record = self.record();
        let ended = record.stamp();
        let open = record.open.get_mut(&caller).expect("the call has begun");
        open.calls += 1;
        (ended, std::mem::take(&mut open.readings))
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.record().calls.clone()
    }
}
