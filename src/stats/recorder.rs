//! [`Recorder`]: what is counted for each outcome, and the reads.

use std::time::Duration;

use super::counters::{Amount, Counter, Counters, Sums};
use super::snapshot::{KeyStats, Stats};
use crate::error::{AcquireError, TryAcquireError};
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::tokens::Tokens;

/// The counters of a limiter with statistics.
pub(crate) struct Recorder {
    counters: Counters,
    /// The longest wait since the last [`take`](Recorder::take), in nanoseconds.
    longest: AtomicU64,
    /// The numbers at the last [`take`](Recorder::take).
    taken: Mutex<Taken>,
}

/// The numbers that were read and will not be read again.
struct Taken {
    sums: Sums,
    keys: KeyStats,
}

impl Recorder {
    pub(super) fn new() -> Self {
        let taken = Taken { sums: Sums::ZERO, keys: KeyStats::default() };
        Recorder { counters: Counters::new(), longest: AtomicU64::new(0), taken: Mutex::new(taken) }
    }

    // Cold, as all of these: so that a limiter without statistics goes straight on.
    #[cold]
    #[inline(never)]
    pub(super) fn admitted(&self, n: Tokens) {
        let here = self.counters.here();
        if n == Tokens::ONE {
            here.add(Counter::Single, 1);
        } else {
            here.add(Counter::Several, 1);
            here.add_tokens(Amount::Admitted, n);
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn denied(&self, n: Tokens, kind: Counter) {
        let here = self.counters.here();
        match kind {
            Counter::RateLimited if n == Tokens::ONE => here.add(Counter::SingleDenied, 1),
            _ => {
                here.add(kind, 1);
                here.add_tokens(Amount::Denied, n);
            }
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn refused(&self, n: Tokens, error: &TryAcquireError) {
        let kind = match error {
            TryAcquireError::RateLimited(_) => Counter::RateLimited,
            TryAcquireError::ExceedsBurst(_) => Counter::ExceedsBurst,
            TryAcquireError::TableFull(_) => Counter::TableFull,
        };
        self.denied(n, kind);
    }

    /// Counts a wait that has ended.
    #[cold]
    #[inline(never)]
    pub(super) fn waited(&self, n: Tokens, answer: Result<Duration, &AcquireError>) {
        let kind = match answer {
            Ok(waited) => {
                self.admitted(n);
                if !waited.is_zero() {
                    let here = self.counters.here();
                    here.add(Counter::Waited, 1);
                    here.add(Counter::WaitMicros, u64::try_from(waited.as_micros()).unwrap_or(u64::MAX));
                    self.longest.fetch_max(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
                }
                return;
            }
            Err(AcquireError::ExceedsBurst(_)) => Counter::ExceedsBurst,
            Err(AcquireError::TableFull(_)) => Counter::TableFull,
            Err(AcquireError::TooLate(_)) => Counter::TooLate,
            Err(AcquireError::QueueFull(_)) => Counter::QueueFull,
            Err(AcquireError::KeyRemoved(_) | AcquireError::LimiterClosed(_)) => Counter::Ended,
        };
        self.denied(n, kind);
    }

    #[cold]
    #[inline(never)]
    pub(super) fn refunded(&self, n: Tokens) {
        let here = self.counters.here();
        here.add(Counter::Refunds, 1);
        here.add_tokens(Amount::Refunded, n);
    }

    /// Counts tokens that a call was charged after it was admitted.
    #[cold]
    #[inline(never)]
    pub(super) fn charged(&self, n: Tokens) {
        self.counters.here().add_tokens(Amount::Admitted, n);
    }

    #[cold]
    #[inline(never)]
    pub(super) fn count(&self, counter: Counter) {
        self.counters.here().add(counter, 1);
    }

    /// Returns the statistics since the last [`take`](Recorder::take). `keys` returns the totals of a
    /// table. It is called under the lock, so that a later read has later numbers.
    pub(crate) fn read(&self, keys: impl FnOnce() -> Option<KeyStats>) -> Stats {
        let taken = lock(&self.taken);
        let sums = self.counters.sums().since(&taken.sums);
        stats(&sums, self.longest.load(Ordering::Relaxed), keys().map(|keys| keys.since(&taken.keys)))
    }

    /// Returns the same, and begins anew.
    pub(crate) fn take(&self, keys: impl FnOnce() -> Option<KeyStats>) -> Stats {
        let mut taken = lock(&self.taken);
        let (sums, keys) = (self.counters.sums(), keys());
        let longest = self.longest.swap(0, Ordering::Relaxed);
        let stats = stats(&sums.since(&taken.sums), longest, keys.map(|keys| keys.since(&taken.keys)));
        *taken = Taken { sums, keys: keys.unwrap_or_default() };
        stats
    }
}

fn stats(sums: &Sums, longest: u64, keys: Option<KeyStats>) -> Stats {
    let get = |counter| sums.get(counter);
    let (single, single_denied) = (get(Counter::Single), get(Counter::SingleDenied));
    Stats {
        admitted: single.wrapping_add(get(Counter::Several)),
        tokens_admitted: single as f64 + sums.tokens(Amount::Admitted),
        rate_limited: single_denied.wrapping_add(get(Counter::RateLimited)),
        exceeds_burst: get(Counter::ExceedsBurst),
        table_full: get(Counter::TableFull),
        too_late: get(Counter::TooLate),
        queue_full: get(Counter::QueueFull),
        ended: get(Counter::Ended),
        tokens_denied: single_denied as f64 + sums.tokens(Amount::Denied),
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
