//! [`Row`]: the refusals by the server in a row.

use std::time::Duration;

use crate::word::Reading;

/// The pause after a refusal without a time, doubled by each further one in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The most times that it is doubled.
const MOST_DOUBLINGS: u32 = 6;

/// The refusals by the server in a row. Those of calls that were in flight together count as one: an answer counts only
/// if its call was begun after the pause of the last refusal that counted.
#[derive(Clone, Copy)]
pub(super) struct Row {
    refusals: u32,
    /// The epoch that began with the pause of the last one.
    epoch: u64,
    /// The end of that pause.
    until: Reading,
}

/// The call that a server answered.
#[derive(Clone, Copy)]
pub(super) enum Answered {
    /// One that was admitted in this epoch.
    Call(u64),
    /// Any: it counts as begun before a pause that is on at this reading.
    Some(Reading),
}

impl Row {
    pub(super) const NONE: Row = Row { refusals: 0, epoch: 0, until: Reading::from_nanos(0) };

    /// Returns whether an answer counts.
    pub(super) fn counts(&self, of: Answered) -> bool {
        match of {
            Answered::Call(epoch) => epoch >= self.epoch,
            Answered::Some(now) => now >= self.until,
        }
    }

    /// Returns whether an answer that is no refusal ends the row.
    pub(super) fn ends(&self, of: Answered) -> bool {
        self.refusals > 0 && self.counts(of)
    }

    /// Ends the row. Calls that were begun before the last refusal still do not count.
    pub(super) fn served(&mut self) {
        self.refusals = 0;
    }

    /// Counts a refusal, and returns the pause after it.
    pub(super) fn refused(&mut self) -> Duration {
        let pause = FIRST_PAUSE * (1 << self.refusals.min(MOST_DOUBLINGS));
        self.refusals = self.refusals.saturating_add(1);
        pause
    }

    /// Returns the same row after its pause was ended at a reading.
    pub(super) fn resumed(self, now: Reading) -> Self {
        Row { until: self.until.min(now), ..self }
    }

    /// Sets the pause of the last refusal: the epoch that it began, and its end.
    pub(super) fn paused(&mut self, epoch: u64, until: Reading) {
        (self.epoch, self.until) = (epoch, until);
    }
}
