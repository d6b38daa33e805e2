//! [`Recorder`]: what is counted for each outcome, and the reads.

use std::fmt::Display;
use std::time::Duration;

use super::counters::{Amount, Counter, Counters};
#[cfg(any(feature = "metrics", feature = "tracing"))]
use super::emit::Emitter;
use super::options::StatsOptions;
use super::reader::{Interval, Reader};
use super::snapshot::KeyStats;
use super::top::Top;
use crate::error::{AcquireError, TryAcquireError};
use crate::table::Fingerprint;
use crate::tokens::Tokens;

/// The counters of a limiter with statistics.
pub(crate) struct Recorder {
    counters: Counters,
    reader: Reader,
    top: Option<Top>,
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    emitter: Emitter,
}

impl Recorder {
    /// Makes counters that begin now. `policy` is the name of a limiter that was given none.
    #[cfg_attr(not(any(feature = "metrics", feature = "tracing")), allow(unused_variables))]
    pub(super) fn new(options: &StatsOptions, policy: impl Display) -> Self {
        Recorder {
            counters: Counters::new(),
            reader: Reader::new(),
            top: options.top_denied.map(Top::new),
            #[cfg(any(feature = "metrics", feature = "tracing"))]
            emitter: match &options.name {
                Some(name) => Emitter::new(name),
                None => Emitter::new(&policy.to_string()),
            },
        }
    }

    /// Counts an admitted call.
    // Amounts are passed in registers, so that they need no memory in the caller.
    #[inline(always)]
    pub(super) fn admitted(&self, n: Tokens) {
        if n == Tokens::ONE {
            self.count_here(Counter::Single);
        } else {
            self.admitted_several(n.whole(), n.pico());
        }
    }

    /// Counts a denied call.
    #[inline(always)]
    pub(super) fn denied(&self, n: Tokens, kind: Counter) {
        match kind {
            Counter::RateLimited if n == Tokens::ONE => self.count_here(Counter::SingleDenied),
            _ => self.denied_several(kind, n.whole(), n.pico()),
        }
    }

    /// Counts one. The usual case, in the caller: a handful of instructions.
    #[inline(always)]
    pub(super) fn count_here(&self, counter: Counter) {
        if !self.counters.count_if_own(counter) {
            self.count(counter);
        }
    }

    // Cold, as all of these: so that a limiter without statistics goes straight on.
    #[cold]
    #[inline(never)]
    pub(super) fn admitted_several(&self, whole: u32, pico: u64) {
        // A call that costs nothing is not counted.
        if whole == 0 && pico == 0 {
            return;
        }
        let here = self.counters.here();
        here.add(Counter::Several, 1);
        here.add_tokens(Amount::Admitted, whole, pico);
    }

    #[cold]
    #[inline(never)]
    pub(super) fn denied_several(&self, kind: Counter, whole: u32, pico: u64) {
        let here = self.counters.here();
        here.add(kind, 1);
        here.add_tokens(Amount::Denied, whole, pico);
    }

    /// Adds a denial of a key to the keys with the most denials, if they are counted.
    #[inline(always)]
    pub(super) fn add_to_top(&self, key: Fingerprint) {
        if let Some(top) = &self.top {
            top.add(key);
        }
    }

    pub(super) fn top(&self) -> Option<&Top> {
        self.top.as_ref()
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
                    self.reader.waited(waited);
                    #[cfg(any(feature = "metrics", feature = "tracing"))]
                    self.emitter.waited(waited);
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
        here.add_tokens(Amount::Refunded, n.whole(), n.pico());
    }

    /// Counts a call that the nth of several limits refused, beside its outcome.
    #[cold]
    #[inline(never)]
    pub(super) fn refused_by(&self, nth: usize) {
        self.counters.here().add_refusal(nth);
    }

    /// Counts tokens that a call was charged after it was admitted.
    #[cold]
    #[inline(never)]
    pub(super) fn charged(&self, n: Tokens) {
        self.counters.here().add_tokens(Amount::Admitted, n.whole(), n.pico());
    }

    #[cold]
    #[inline(never)]
    pub(super) fn count(&self, counter: Counter) {
        self.counters.here().add(counter, 1);
    }

    /// Returns the statistics since the last [`take`](Recorder::take). `keys` returns the totals of a table.
    pub(super) fn read(&self, keys: impl FnOnce() -> Option<KeyStats>) -> Interval {
        self.reader.read(&self.counters, keys)
    }

    /// Returns the same, and begins anew.
    pub(super) fn take(&self, keys: impl FnOnce() -> Option<KeyStats>) -> Interval {
        self.reader.take(&self.counters, keys)
    }

    /// Emits what was counted since the last emission.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) fn emit(&self, keys: impl FnOnce() -> Option<KeyStats>) {
        self.emitter.emit(&self.counters, keys);
    }

    /// Returns whether a periodic emission is due, as [`Emitter::is_due`] does.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) fn is_due(&self, now: u64, period: Duration) -> bool {
        self.emitter.is_due(now, period)
    }
}
