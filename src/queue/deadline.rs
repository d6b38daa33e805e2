//! [`Deadline`]: the time that a wait may take.

use std::time::Duration;

use crate::word::Reading;

/// The time that a wait may take.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    None,
    Within(Duration),
    Until(Reading),
}

impl Deadline {
    /// Returns the deadline as an instant, for a wait that begins at `now`.
    pub(crate) fn from(self, now: Reading) -> Reading {
        match self {
            Deadline::None => Reading::MAX,
            Deadline::Until(deadline) => deadline,
            Deadline::Within(timeout) => {
                let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
                Reading::from_nanos(now.nanos().saturating_add(nanos))
            }
        }
    }
}
