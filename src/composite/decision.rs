//! [`CompositeDecision`]: a decision on several limits, with the numbers of each.

use std::fmt;
use std::time::Duration;

use super::error::LimitError;
use super::together::{self, MOST_LIMITS, Parts, Refused};
use crate::error::LimitName;
use crate::error::Wait;
use crate::limiter::Decision;
use crate::word::Reading;

/// A decision on several limits, with the numbers of each, for response headers.
///
/// If the call was refused, nothing was charged anywhere. Each limit that would have refused it by itself is shown
/// as refusing, and the others are shown as by a look.
#[derive(Clone, Copy)]
#[must_use]
pub struct CompositeDecision {
    limits: [Option<(LimitName, Decision)>; MOST_LIMITS],
    refused: Option<LimitError>,
}

impl CompositeDecision {
    /// Takes, and returns the decision. Calls `gave_back` if limits were charged for a moment.
    pub(super) fn of(parts: impl Parts, at: Option<Reading>, gave_back: impl FnOnce()) -> Self {
        let mut decided = CompositeDecision { limits: [None; MOST_LIMITS], refused: None };
        // Limits beyond the array are decided on, and not shown.
        let mut set = |nth: usize, decision| {
            if let Some(place) = decided.limits.get_mut(nth) {
                *place = Some((parts.name(nth), decision));
            }
        };
        let taken = together::take(parts, at, |nth, taken| set(nth, parts.part(nth).decision(taken, at)));
        if let Err(refused) = taken {
            if refused.gave_back {
                gave_back();
            }
            for nth in 0..parts.len() {
                set(nth, refused.decision(nth, parts, at));
            }
            decided.refused = Some(refused.error(parts));
        }
        decided
    }

    /// Returns the decision of a call that was decided behind waiters: the numbers of an admitted call are those
    /// of a look after it.
    pub(super) fn behind(parts: impl Parts, taken: Result<(), Refused>, at: Option<Reading>) -> Self {
        let refused = taken.err();
        let mut decided =
            CompositeDecision { limits: [None; MOST_LIMITS], refused: refused.map(|refused| refused.error(parts)) };
        for (nth, place) in decided.limits.iter_mut().enumerate().take(parts.len()) {
            let decision = match refused {
                Some(refused) => refused.decision(nth, parts, at),
                None => parts.part(nth).look(at),
            };
            *place = Some((parts.name(nth), decision));
        }
        decided
    }

    /// Returns whether the call was admitted, and charged to every limit.
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.refused.is_none()
    }

    /// Returns the refusal, which names the limit that refused the call; `None` if the call was admitted.
    #[must_use]
    pub fn refusal(&self) -> Option<LimitError> {
        self.refused
    }

    /// Returns the time until every limit admits the same call, if nothing else takes tokens: zero if this
    /// call was admitted, `None` if it never is.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.refused.map_or(Some(Duration::ZERO), |refused| refused.retry_after())
    }

    /// Returns the name and the decision of each limit, in order.
    pub fn limits(&self) -> impl Iterator<Item = (&str, &Decision)> {
        self.limits.iter().flatten().map(|(name, decision)| (name.as_str(), decision))
    }

    /// Returns the decision of the limit with this name.
    #[must_use]
    pub fn limit(&self, name: &str) -> Option<&Decision> {
        self.limits().find_map(|(of, decision)| (of == name).then_some(decision))
    }

    /// Returns the name and the decision of the limit with the fewest whole tokens left: the one to be shown
    /// if a client is shown only one.
    #[must_use]
    pub fn tightest(&self) -> Option<(&str, &Decision)> {
        self.limits().min_by_key(|(_, decision)| decision.remaining())
    }
}

impl fmt::Debug for CompositeDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("CompositeDecision");
        debug.field("allowed", &self.allowed()).field("retry_after", &Wait(self.retry_after()));
        for (name, decision) in self.limits() {
            debug.field(name, decision);
        }
        debug.finish()
    }
}
