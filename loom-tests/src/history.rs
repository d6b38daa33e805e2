//! What the threads of one execution did.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use loom::thread::ThreadId;

use crate::PICO;
use crate::line::Place;
use crate::subject::Key;

/// Who calls before the threads start.
pub(crate) const SETUP: usize = usize::MAX;

/// Who calls when they are through.
pub(crate) const CLOSING: usize = usize::MAX - 1;

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
    /// Forgot all full buckets.
    Sweep,
    /// Came to wait.
    Enter(Place),
    /// Was granted what it waited for.
    Serve {
        /// Whose wait.
        place: Place,
        /// Nobody but the timer was there to serve it.
        by_timer: bool,
    },
    /// Waited, and could not be served in time.
    Late {
        /// Whose wait.
        place: Place,
        /// Nobody but the timer was there to tell.
        by_timer: bool,
    },
    /// Waited, and its key was forgotten.
    Forgotten(Place),
    /// Waits on.
    Pending,
    /// Gave its wait up.
    Leave {
        /// Whose wait.
        place: Place,
        /// The limiter has one bucket.
        lone: bool,
    },
    /// Did not begin to wait, for it would not have been served in time.
    Hopeless(Place),
    /// Waited, or not, and was granted it at that instant.
    Block(Place, u64),
}

impl Op {
    pub(crate) fn gives(&self) -> bool {
        matches!(self, Op::Give { .. } | Op::Reset | Op::Remove { .. } | Op::Clear | Op::Leave { .. })
    }

    fn writes(&self) -> bool {
        !matches!(self, Op::Take { refused: Some(_), .. } | Op::NoPlace | Op::Pending | Op::Hopeless(_) | Op::Sweep)
    }

    /// What it took, where it did.
    pub(crate) fn took(&self) -> Option<i64> {
        match *self {
            Op::Take { cost, refused: None } => Some(cost),
            Op::Serve { place, .. } | Op::Block(place, _) => Some(place.cost),
            _ => None,
        }
    }

    /// What became of a wait: when that was, its thread does not know.
    fn is_told(&self) -> bool {
        matches!(self, Op::Serve { .. } | Op::Late { .. } | Op::Forgotten(_))
    }

    /// Whose fate it tells.
    fn settles(&self) -> Option<u64> {
        match *self {
            Op::Serve { place, .. } | Op::Late { place, .. } | Op::Forgotten(place) => Some(place.id),
            _ => None,
        }
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
        self.op.took().is_some()
    }

    /// Another call at this one's place.
    pub(crate) fn with(&self, op: Op, at: u64) -> Call {
        Call { op, readings: vec![(at, self.ended)], ..self.clone() }
    }

    /// Whose wait it tells the end of.
    pub(crate) fn settles(&self) -> Option<u64> {
        self.op.settles()
    }

    /// Whose wait it gave up, and when.
    pub(crate) fn leaves(&self) -> Option<(u64, u64)> {
        if let Op::Leave { place, .. } = self.op { Some((place.id, self.ended)) } else { None }
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
            Op::Sweep => "s".into(),
            Op::Enter(_) => "w".into(),
            Op::Serve { .. } | Op::Block(..) => "+".into(),
            Op::Late { by_timer: true, .. } => "T".into(),
            Op::Late { .. } | Op::Hopeless(_) => "t".into(),
            Op::Forgotten(_) => "n".into(),
            Op::Pending => ".".into(),
            Op::Leave { lone: true, .. } if self.looks() > 0 => "b".into(),
            Op::Leave { .. } => "l".into(),
        }
    }

    /// Whether the bucket must have seen `self` before `other`.
    pub(crate) fn precedes(&self, other: &Call) -> bool {
        if self.who == SETUP && other.who != SETUP {
            return true;
        }
        if self.who == other.who && !self.op.is_told() && !other.op.is_told() {
            return self.began < other.began;
        }
        if self.op.writes() && other.op.writes() {
            return self.ended < other.began;
        }
        // A denial may have seen an old word, but none that is newer than its only look: who
        // reads the clock once has loaded the word before that, and has not had to load it again.
        // Who would wait may have seen two.
        let denied = !self.op.writes() && !matches!(self.op, Op::Hopeless(_));
        denied && self.is_single_look() && other.op.writes() && self.readings[0].1 < other.began
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
    /// The times at which queues looked, and their stamps.
    looks: Vec<(u64, u64)>,
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
        record.open.get(&who).map_or((who, 0, 0), |open| (who, open.calls, open.readings.len()))
    }

    pub(crate) fn read(&self, who: usize, value: u64) {
        let mut record = self.record();
        let stamp = record.stamp();
        record.open.entry(who).or_default().readings.push((value, stamp));
    }

    /// A queue has looked.
    pub(crate) fn looked(&self, value: u64) {
        let mut record = self.record();
        let stamp = record.stamp();
        record.looks.push((value, stamp));
    }

    /// The times at which queues looked, each with its first stamp.
    pub(crate) fn looks(&self) -> Vec<(u64, u64)> {
        let mut looks = self.record().looks.clone();
        looks.sort_unstable();
        looks.dedup_by_key(|look| look.0);
        looks
    }

    /// Runs and records a call.
    pub(crate) fn call<R>(&self, who: usize, key: Option<Key>, when: When, call: impl FnOnce() -> (Op, R)) -> R {
        let began = self.begin(who);
        let (op, result) = call();
        let (ended, mut readings) = self.end(who);
        assert_eq!(readings.is_empty(), when != When::Clock, "given a time, or read the clock");
        assert!(readings.len() <= self.looks, "a call reads the clock at most {} times", self.looks);
        if let When::At(now) = when {
            readings.push((now, began));
        }
        self.record().calls.push(Call { who, key, op, when, readings, began, ended });
        result
    }

    /// Runs and records a call that waits. `call` returns what it came to, and when it was granted
    /// what it waited for. What becomes of a wait may become of it from when it began to wait, if
    /// that is told.
    pub(crate) fn wait<R>(
        &self,
        who: usize,
        key: Key,
        waits_since: Option<u64>,
        call: impl FnOnce(u64) -> (Op, Option<u64>, R),
    ) -> R {
        let began = self.begin(who);
        let (op, at, result) = call(began);
        let (ended, mut readings) = self.end(who);
        if let Some(at) = at {
            readings = vec![(at, ended)];
        }
        let began = waits_since.filter(|_| op.is_told()).unwrap_or(began);
        self.record().calls.push(Call { who, key: Some(key), op, when: When::Clock, readings, began, ended });
        result
    }

    fn begin(&self, who: usize) -> u64 {
        let mut record = self.record();
        let began = record.stamp();
        record.open.entry(who).or_default().readings.clear();
        began
    }

    fn end(&self, who: usize) -> (u64, Vec<(u64, u64)>) {
        let mut record = self.record();
        let ended = record.stamp();
        let open = record.open.get_mut(&who).expect("it was begun");
        open.calls += 1;
        (ended, std::mem::take(&mut open.readings))
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.record().calls.clone()
    }
}
