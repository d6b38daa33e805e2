//! [`Granted`]: the result of a wait.

use std::fmt;
use std::time::Duration;

use crate::word::Reading;

/// Tokens that a caller waited for, and the instant at which they were granted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    since: Reading,
    at: Reading,
}

impl Granted {
    pub(super) fn new(since: Reading, at: Reading) -> Self {
        Granted { since, at }
    }

    /// Returns the instant of the grant, in nanoseconds since the origin of the limiter's clock. The
    /// window bound holds for these instants. A task may run later than that.
    #[must_use]
    pub fn granted_at(&self) -> u64 {
        self.at.nanos()
    }

    /// Returns the time from the first look at the bucket to the grant: zero if the tokens were there.
    #[must_use]
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.at.nanos().saturating_sub(self.since.nanos()))
    }
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted").field("granted_at", &self.granted_at()).field("waited", &self.waited()).finish()
    }
}
