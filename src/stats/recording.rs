//! [`Recording`]: the statistics of a limiter, or their absence.

use crate::cell::Taken;
#[cfg(any(feature = "metrics", feature = "tracing"))]
use crate::clock::Clock;
use crate::tokens::Tokens;

#[cfg(feature = "std")]
use super::counters::Counter;
#[cfg(feature = "std")]
use super::limit_stats::CompositeStats;
#[cfg(feature = "std")]
use super::options::StatsOptions;
#[cfg(feature = "std")]
use super::permit_stats::PermitStats;
#[cfg(feature = "std")]
use super::recorder::Recorder;
#[cfg(feature = "std")]
use super::snapshot::{KeyStats, Stats};
#[cfg(feature = "std")]
use super::top::{Denials, Top};
#[cfg(feature = "std")]
use crate::error::{AcquireError, AcquirePermitError, TryAcquireError};
#[cfg(feature = "std")]
use crate::quota::Quotas;
#[cfg(feature = "std")]
use crate::table::Fingerprint;
#[cfg(feature = "std")]
use std::fmt::Display;
#[cfg(feature = "std")]
use std::time::Duration;

/// Counts the outcomes of calls, if statistics were asked for. Without `std`, there are none.
///
/// Calls that cost nothing are not counted.
pub(crate) struct Recording {
    #[cfg(feature = "std")]
    recorder: Option<Box<Recorder>>,
}

#[cfg_attr(not(feature = "std"), allow(unused_variables))]
impl Recording {
    /// No statistics.
    pub(crate) const OFF: Recording = Recording {
        #[cfg(feature = "std")]
        recorder: None,
    };

    /// Counts an admitted call.
    #[inline(always)]
    pub(crate) fn admitted(&self, n: Tokens) {
        #[cfg(feature = "std")]
        if let Some(recorder) = &self.recorder {
            recorder.admitted(n);
        }
    }

    /// Counts a call that was denied for now, or for good if it `exceeds` the burst.
    #[inline(always)]
    pub(crate) fn denied(&self, n: Tokens, exceeds: bool) {
        #[cfg(feature = "std")]
        if let Some(recorder) = &self.recorder {
            recorder.denied(n, if exceeds { Counter::ExceedsBurst } else { Counter::RateLimited });
        }
    }

    /// Counts the outcome of a call for these [bits](Tokens::to_bits) of tokens, which took the cold path. If it was
    /// denied and `exceeds` the burst, it was denied for good.
    #[inline]
    pub(crate) fn taken(&self, n: u128, taken: &Taken, exceeds: bool) {
        #[cfg(feature = "std")]
        if let Some(recorder) = &self.recorder {
            let n = Tokens::from_bits(n);
            match taken {
                Taken::Admitted { .. } | Taken::Unlimited => recorder.admitted(n),
                Taken::Denied { .. } => self.denied(n, exceeds),
                Taken::TableFull { .. } => recorder.denied(n, Counter::TableFull),
            }
        }
    }

    /// Counts tokens that were given back.
    #[inline]
    pub(crate) fn refunded(&self, n: Tokens) {
        self.refunded_by(|| n);
    }

    /// The same. The tokens are computed if they are counted.
    #[inline]
    pub(crate) fn refunded_by(&self, n: impl FnOnce() -> Tokens) {
        #[cfg(feature = "std")]
        if let Some(recorder) = &self.recorder {
            recorder.refunded(n());
        }
    }

    /// Counts tokens that an admitted call was charged later. They are computed if they are counted.
    #[inline]
    pub(crate) fn charged_by(&self, n: impl FnOnce() -> Tokens) {
        #[cfg(feature = "std")]
        if let Some(recorder) = &self.recorder {
            recorder.charged(n());
        }
    }
}

#[cfg(feature = "std")]
impl Recording {
    /// The statistics that were asked for. They begin now. `policy` is the name of a limiter that was given none.
    pub(crate) fn new(options: &StatsOptions, policy: impl Display) -> Self {
        Recording { recorder: options.on.then(|| Box::new(Recorder::new(options, policy))) }
    }

    /// Counts a call that one of several limits refused.
    #[inline]
    pub(crate) fn refused(&self, n: Tokens, error: &TryAcquireError) {
        if let Some(recorder) = &self.recorder {
            recorder.refused(n, error);
        }
    }

    /// Counts a call on a key that was denied for now, or for good if it `exceeds` the burst.
    #[inline(always)]
    pub(crate) fn denied_key(&self, n: Tokens, exceeds: bool, key: Fingerprint) {
        if let Some(recorder) = &self.recorder {
            recorder.denied(n, if exceeds { Counter::ExceedsBurst } else { Counter::RateLimited });
            recorder.add_to_top(key);
        }
    }

    /// Adds a denial of a key, which is counted already, to the keys with the most denials.
    #[inline]
    pub(crate) fn add_to_top(&self, key: Fingerprint) {
        if let Some(recorder) = &self.recorder {
            recorder.add_to_top(key);
        }
    }

    /// Returns the keys with the most denials, and the denials that were skipped.
    pub(crate) fn top_denied(&self) -> Option<(Vec<Denials>, u64)> {
        self.recorder.as_ref()?.top().map(Top::read)
    }

    /// Returns the same, and begins anew.
    pub(crate) fn take_top_denied(&self) -> Option<(Vec<Denials>, u64)> {
        self.recorder.as_ref()?.top().map(Top::take)
    }

    /// Returns whether calls are counted.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.recorder.is_some()
    }

    /// Counts a call that the nth of several limits refused, beside its outcome.
    #[inline]
    pub(crate) fn refused_by(&self, nth: usize) {
        if let Some(recorder) = &self.recorder {
            recorder.refused_by(nth);
        }
    }

    /// Counts a wait that has ended, by the time that it took or by its error.
    #[inline]
    pub(crate) fn waited(&self, n: Tokens, answer: Result<Duration, &AcquireError>) {
        if let Some(recorder) = &self.recorder {
            recorder.waited(n, answer);
        }
    }

    /// Counts a permit that was granted, after a wait in the queue or without one.
    #[inline]
    pub(crate) fn permitted(&self, waited: bool) {
        self.admitted(Tokens::ONE);
        if waited {
            self.count(Counter::Waited);
        }
    }

    /// Counts a call that got no permit, by its error; `None` if it did not wait and found none.
    #[inline]
    pub(crate) fn not_permitted(&self, error: Option<&AcquirePermitError>) {
        if let Some(recorder) = &self.recorder {
            recorder.count(match error {
                None => Counter::SingleDenied,
                Some(AcquirePermitError::TimedOut(_)) => Counter::TooLate,
                Some(AcquirePermitError::QueueFull(_)) => Counter::QueueFull,
                Some(AcquirePermitError::LimiterClosed(_)) => Counter::Ended,
            });
        }
    }

    /// Counts a wait that was dropped before it ended.
    pub(crate) fn abandoned(&self) {
        self.count(Counter::Abandoned);
    }

    /// Counts a change of the quota.
    pub(crate) fn changed(&self) {
        self.count(Counter::Changes);
    }

    /// Counts a pause.
    pub(crate) fn paused(&self) {
        self.count(Counter::Pauses);
    }

    fn count(&self, counter: Counter) {
        if let Some(recorder) = &self.recorder {
            recorder.count(counter);
        }
    }

    /// Returns the statistics since the last [`take`](Recording::take).
    pub(crate) fn read(&self, keys: impl FnOnce() -> Option<KeyStats>) -> Option<Stats> {
        self.recorder.as_ref().map(|recorder| recorder.read(keys).stats)
    }

    /// Returns the same, and begins anew.
    pub(crate) fn take(&self, keys: impl FnOnce() -> Option<KeyStats>) -> Option<Stats> {
        self.recorder.as_ref().map(|recorder| recorder.take(keys).stats)
    }

    /// Returns the statistics of permits, of which `in_flight` are out.
    pub(crate) fn read_permits(&self, in_flight: impl FnOnce() -> u64) -> Option<PermitStats> {
        self.recorder.as_ref().map(|recorder| PermitStats::new(&recorder.read(|| None).counted(), in_flight()))
    }

    /// Returns the same, and begins anew.
    pub(crate) fn take_permits(&self, in_flight: impl FnOnce() -> u64) -> Option<PermitStats> {
        self.recorder.as_ref().map(|recorder| PermitStats::new(&recorder.take(|| None).counted(), in_flight()))
    }

    /// Returns the statistics with those of each limit.
    pub(crate) fn read_limits(
        &self,
        keys: impl FnOnce() -> Option<KeyStats>,
        quotas: &Quotas,
    ) -> Option<CompositeStats> {
        self.recorder.as_ref().map(|recorder| CompositeStats::new(&recorder.read(keys), quotas))
    }

    /// Returns the same, and begins anew.
    pub(crate) fn take_limits(
        &self,
        keys: impl FnOnce() -> Option<KeyStats>,
        quotas: &Quotas,
    ) -> Option<CompositeStats> {
        self.recorder.as_ref().map(|recorder| CompositeStats::new(&recorder.take(keys), quotas))
    }

    /// Emits what was counted since the last emission.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn emit(&self, keys: impl FnOnce() -> Option<KeyStats>) {
        if let Some(recorder) = &self.recorder {
            recorder.emit(keys);
        }
    }

    /// Emits as [`emit`](Recording::emit), if the last call that did so is at least `period` ago. Returns whether
    /// it did.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn emit_every(
        &self,
        period: Duration,
        clock: &impl Clock,
        keys: impl FnOnce() -> Option<KeyStats>,
    ) -> bool {
        let due = self.recorder.as_ref().filter(|recorder| recorder.is_due(clock.now(), period));
        due.is_some_and(|recorder| {
            recorder.emit(keys);
            true
        })
    }
}
