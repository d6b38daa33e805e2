//! [`Recording`]: the statistics of a limiter, or their absence.

use crate::cell::{Taken, TermsSource};
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

    /// Counts the outcome of a call that took the cold path.
    #[inline]
    pub(crate) fn taken(&self, n: Tokens, taken: &Taken, terms: TermsSource<'_>) {
        #[cfg(feature = "std")]
        if let Some(recorder) = &self.recorder {
            match taken {
                Taken::Admitted { .. } | Taken::Unlimited => recorder.admitted(n),
                Taken::Denied { needed, .. } => self.denied(n, *needed > terms.terms().capacity()),
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
