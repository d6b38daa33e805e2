//! [`Decided`]: a decision on one limit or on several.

use std::time::Duration;

use brimful::{CompositeDecision, Decision};

/// A decision on one limit or on several. [`headers`](crate::headers()) takes either by reference.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'a>(Limits<'a>);

#[derive(Clone, Copy, Debug)]
enum Limits<'a> {
    One(&'a Decision),
    /// They have names.
    Several(&'a CompositeDecision),
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

impl<'a> Decided<'a> {
    pub(crate) fn allowed(self) -> bool {
        match self.0 {
            Limits::One(decision) => decision.allowed(),
            Limits::Several(decision) => decision.allowed(),
        }
    }

    pub(crate) fn retry_after(self) -> Option<Duration> {
        match self.0 {
            Limits::One(decision) => decision.retry_after(),
            Limits::Several(decision) => decision.retry_after(),
        }
    }

    /// Returns whether there was no room for a new key.
    pub(crate) fn is_full(self) -> bool {
        self.limits().any(|(_, decision)| !decision.allowed() && decision.table_is_full())
    }

    /// Returns the names of the limits that refused the call.
    pub(crate) fn violated(self) -> impl Iterator<Item = Option<&'a str>> {
        self.limits().filter(|(_, decision)| !decision.allowed()).map(|(name, _)| name)
    }

    /// Returns the decision of each limit, with its name if it has one.
    pub(crate) fn limits(self) -> impl Iterator<Item = (Option<&'a str>, &'a Decision)> {
        let (one, several) = match self.0 {
            Limits::One(decision) => (Some(decision), None),
            Limits::Several(decision) => (None, Some(decision.limits())),
        };
        let named = several.into_iter().flatten().map(|(name, decision)| (Some(name), decision));
        one.map(|decision| (None, decision)).into_iter().chain(named)
    }

    /// Returns the decision of the limit with the fewest tokens left.
    pub(crate) fn tightest(self) -> Option<&'a Decision> {
        self.limits().map(|(_, decision)| decision).min_by_key(|decision| decision.remaining())
    }
}
