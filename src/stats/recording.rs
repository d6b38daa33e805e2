//! [`Recording`]: the statistics of a limiter, or their absence.

use crate::cell::Taken;
use crate::tokens::Tokens;

#[cfg(feature = "std")]
use super::counters::Counter;
#[cfg(feature = "std")]
use super::recorder::Recorder;
#[cfg(feature = "std")]
use super::snapshot::{KeyStats, Stats};
#[cfg(feature = "std")]
use crate::error::{AcquireError, TryAcquireError};
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
        #[cfg(feature = "std")]
        if let Some(recorder) = &self.recorder {
            recorder.refunded(n);
        }
    }

    /// Counts tokens that an admitted call was charged later.
    #[inline]
    pub(crate) fn charged(&self, n: Tokens) {
        #[cfg(feature = "std")]
        if let Some(recorder) = &self.recorder {
            recorder.charged(n);
        }
    }
}

#[cfg(feature = "std")]
impl Recording {
    /// Statistics that begin now.
    pub(crate) fn on() -> Self {
        Recording { recorder: Some(Box::new(Recorder::new())) }
    }

    /// Counts a call that one of several limits refused.
    #[inline]
    pub(crate) fn refused(&self, n: Tokens, error: &TryAcquireError) {
        if let Some(recorder) = &self.recorder {
            recorder.refused(n, error);
        }
    }

    /// Counts a wait that has ended, by the time that it took or by its error.
    #[inline]
    pub(crate) fn waited(&self, n: Tokens, answer: Result<Duration, &AcquireError>) {
        if let Some(recorder) = self.recorder.as_ref().filter(|_| !n.is_zero()) {
            recorder.waited(n, answer);
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
        self.recorder.as_ref().map(|recorder| recorder.read(keys))
    }

    /// Returns the same, and begins anew.
    pub(crate) fn take(&self, keys: impl FnOnce() -> Option<KeyStats>) -> Option<Stats> {
        self.recorder.as_ref().map(|recorder| recorder.take(keys))
    }
}
