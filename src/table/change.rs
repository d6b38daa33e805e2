//! Changes of the quota of all keys.

use std::time::Duration;

use crate::cell::TimeSource;
use crate::clock::Clock;
use crate::error::SetQuotaError;
use crate::quota::{Quota, QuotaChange};

use super::state::Table;

impl Table {
    /// Returns the current quota.
    pub(crate) fn quota(&self) -> Quota {
        self.quota.quota()
    }

    /// Returns the highest quota.
    pub(crate) fn highest(&self) -> &Quota {
        self.quota.highest()
    }

    /// Replaces the quota of all keys.
    pub(crate) fn change_quota(
        &self,
        change: QuotaChange,
        source: TimeSource<'_, impl Clock>,
    ) -> Result<(), SetQuotaError> {
        self.quota.check(&change.quota)?;
        self.set_changed();
        self.quota.change(change, || source.read(), None)?;
        self.requote();
        Ok(())
    }

    /// Admits nothing, on any key, for a time.
    pub(crate) fn pause(&self, duration: Duration, source: TimeSource<'_, impl Clock>) {
        self.set_changed();
        self.quota.pause(duration, || source.read());
        self.requote();
    }
}
