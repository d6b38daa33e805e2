//! [`Settings`]: the settings that the limits of all kinds have.

use std::time::Duration;

use super::breaker::Breaker;
use super::error::BuildError;
use super::events::Events;
use super::fallback::FailurePolicy;
use super::requests::{Hook, Requests};
use super::stats::Counters;

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) prefix: String,
    pub(crate) policy: FailurePolicy,
    pub(crate) deadline: Duration,
    pub(crate) remembered: Option<Duration>,
    pub(crate) hook: Option<Hook>,
    /// The name in metrics and events.
    pub(crate) name: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            prefix: "brimful".to_owned(),
            policy: FailurePolicy::default(),
            deadline: Duration::from_millis(100),
            remembered: None,
            hook: None,
            name: None,
        }
    }
}

impl Settings {
    /// Returns the way to ask a store. Without a name, metrics and events have the text of `unnamed`.
    pub(crate) fn requests<S>(self, store: S, unnamed: impl FnOnce() -> String) -> Result<Requests<S>, BuildError> {
        if self.deadline.is_zero() {
            return Err(BuildError::NoDeadline);
        }
        if let Some(remembered) = self.remembered.filter(|remembered| *remembered <= self.deadline) {
            return Err(BuildError::Remembered(remembered, self.deadline));
        }
        Ok(Requests {
            store,
            deadline: self.deadline,
            remembered: self.remembered,
            breaker: Breaker::new(self.deadline),
            counters: Counters::default(),
            events: Events::new(self.name.unwrap_or_else(unnamed)),
            hook: self.hook,
        })
    }
}
