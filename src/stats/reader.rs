//! [`Reader`]: reads of the counters, each of them from where the last one ended.

use std::time::Duration;

use super::counters::{Amount, Counter, Counters, Sums};
use super::snapshot::{KeyStats, Stats};
use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// One of those that read the counters. No read changes a counter, so each reader has all counts.
pub(super) struct Reader {
    /// The longest wait since the last [`take`](Reader::take), in nanoseconds.
    longest: AtomicU64,
    taken: Mutex<Taken>,
}

/// The numbers at the last [`take`](Reader::take).
struct Taken {
    sums: Sums,
    keys: KeyStats,
}

/// Statistics that were taken, and the sums of which they are the difference: the earlier and the later.
pub(super) struct Interval {
    pub(super) stats: Stats,
    pub(super) sums: [Sums; 2],
}

impl Interval {
    fn new([earlier, later]: [Sums; 2], longest: u64, keys: Option<KeyStats>) -> Self {
        Interval { stats: stats(&later.since(&earlier), longest, keys), sums: [earlier, later] }
    }

    /// Returns what was counted between the two sums.
    pub(super) fn counted(&self) -> Sums {
        let [earlier, later] = &self.sums;
        later.since(earlier)
    }

    /// Returns the calls that the nth of several limits refused.
    pub(super) fn refused_by(&self, nth: usize) -> u64 {
        self.counted().refused_by(nth)
    }
}

impl Reader {
    pub(super) fn new() -> Self {
        Reader { longest: AtomicU64::new(0), taken: Mutex::new(Taken { sums: Sums::ZERO, keys: KeyStats::default() }) }
    }

    /// Notes the time of a wait.
    pub(super) fn waited(&self, waited: Duration) {
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        // Relaxed: a number, which orders nothing.
        self.longest.fetch_max(nanos, Ordering::Relaxed);
    }

    /// Returns the statistics since the last [`take`](Reader::take). `keys` returns the totals of a
    /// table. It is called under the lock, so that a later read has later numbers.
    pub(super) fn read(&self, counters: &Counters, keys: impl FnOnce() -> Option<KeyStats>) -> Interval {
        let taken = lock(&self.taken);
        let (sums, keys) = (counters.sums(), keys().map(|keys| keys.since(&taken.keys)));
        Interval::new([taken.sums, sums], self.longest.load(Ordering::Relaxed), keys)
    }

    /// Returns the same, and begins anew.
    pub(super) fn take(&self, counters: &Counters, keys: impl FnOnce() -> Option<KeyStats>) -> Interval {
        let mut taken = lock(&self.taken);
        let (sums, keys) = (counters.sums(), keys());
        let earlier = std::mem::replace(&mut *taken, Taken { sums, keys: keys.unwrap_or_default() });
        let longest = self.longest.swap(0, Ordering::Relaxed);
        Interval::new([earlier.sums, sums], longest, keys.map(|keys| keys.since(&earlier.keys)))
    }
}

fn stats(sums: &Sums, longest: u64, keys: Option<KeyStats>) -> Stats {
    let get = |counter| sums.get(counter);
    Stats {
        admitted: get(Counter::Single).wrapping_add(get(Counter::Several)),
        tokens_admitted: sums.tokens(Amount::Admitted),
        rate_limited: get(Counter::SingleDenied).wrapping_add(get(Counter::RateLimited)),
        exceeds_burst: get(Counter::ExceedsBurst),
        table_full: get(Counter::TableFull),
        too_late: get(Counter::TooLate),
        queue_full: get(Counter::QueueFull),
        ended: get(Counter::Ended),
        tokens_denied: sums.tokens(Amount::Denied),
        abandoned: get(Counter::Abandoned),
        waited: get(Counter::Waited),
        total_wait: Duration::from_micros(get(Counter::WaitMicros)),
        longest_wait: Duration::from_nanos(longest),
        refunds: get(Counter::Refunds),
        tokens_refunded: sums.tokens(Amount::Refunded),
        quota_changes: get(Counter::Changes),
        pauses: get(Counter::Pauses),
        keys,
    }
}
