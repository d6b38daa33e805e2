//! [`Decided`]: a decision on one limit or on several.

use std::time::Duration;

use brimful::{CompositeDecision, Decision};
#[cfg(feature = "redis")]
use brimful_redis::SharedDecision;

use super::limit_decision::LimitDecision;

/// A decision on one limit or on several. [`headers`](crate::headers()) takes each by reference.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'a>(Limits<'a>);

#[derive(Clone, Copy, Debug)]
enum Limits<'a> {
    One(&'a Decision),
    /// They have names.
    Several(&'a CompositeDecision),
    /// By a limiter that many processes share. One quota alone has no name, as of the first kind.
    #[cfg(feature = "redis")]
    Shared(&'a SharedDecision),
}

impl<'a> From<&'a Decision> for Decided<'a> {
    fn from(decision: &'a Decision) -> Self {
        Decided(Limits::One(decision))
    }
}

impl<'a> From<&'a CompositeDecision> for Decided<'a> {
    fn from(decision: &'a CompositeDecision) -> Self {
        Decided(Limits::Several(decision))
    }
}

#[cfg(feature = "redis")]
impl<'a> From<&'a SharedDecision> for Decided<'a> {
    fn from(decision: &'a SharedDecision) -> Self {
        Decided(Limits::Shared(decision))
    }
}

impl<'a> Decided<'a> {
    pub(crate) fn allowed(self) -> bool {
        match self.0 {
            Limits::One(decision) => decision.allowed(),
            Limits::Several(decision) => decision.allowed(),
            #[cfg(feature = "redis")]
            Limits::Shared(decision) => decision.allowed(),
        }
    }

    pub(crate) fn retry_after(self) -> Option<Duration> {
        match self.0 {
            Limits::One(decision) => decision.retry_after(),
            Limits::Several(decision) => decision.retry_after(),
            #[cfg(feature = "redis")]
            Limits::Shared(decision) => decision.retry_after(),
        }
    }

    /// Returns whether the call was refused for another reason than its rate: there was no room for a new key, or the store
    /// of a shared limiter was not available.
    pub(crate) fn is_shed(self) -> bool {
        #[cfg(feature = "redis")]
        if let Limits::Shared(decision) = self.0 {
            return decision.is_unavailable();
        }
        self.limits().any(|(_, decision)| !decision.allowed() && decision.table_is_full())
    }

    /// Returns the names of the limits that refused the call.
    pub(crate) fn violated(self) -> impl Iterator<Item = Option<&'a str>> {
        self.limits().filter(|(_, decision)| !decision.allowed()).map(|(name, _)| name)
    }

    /// Returns the decision of each limit, with its name if it has one.
    pub(crate) fn limits(self) -> impl Iterator<Item = (Option<&'a str>, LimitDecision<'a>)> {
        let (mut one, mut several) = (None, None);
        #[cfg(feature = "redis")]
        let mut shared = None;
        match self.0 {
            Limits::One(decision) => one = Some((None, LimitDecision::new(decision))),
            Limits::Several(decision) => several = Some(decision.limits()),
            #[cfg(feature = "redis")]
            Limits::Shared(decision) => shared = Some(decision),
        }
        let several = several.into_iter().flatten().map(|(name, decision)| (Some(name), LimitDecision::new(decision)));
        let limits = one.into_iter().chain(several);
        #[cfg(feature = "redis")]
        let limits = limits.chain(shared.into_iter().flat_map(|decision| {
            let has_names = decision.quotas() > 1;
            let name = move |name: &'a String| Some(name.as_str()).filter(|_| has_names);
            decision.limits().iter().map(move |state| (name(&state.name), LimitDecision::shared(state)))
        }));
        limits
    }

    /// Returns the decision of the limit with the fewest tokens left.
    pub(crate) fn tightest(self) -> Option<LimitDecision<'a>> {
        self.limits().map(|(_, decision)| decision).min_by_key(|decision| decision.remaining())
    }
}
