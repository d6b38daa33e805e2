//! [`UncountedAcquire`]: a wait that is not counted in the statistics.

use std::task::{Poll, Waker};

use super::future::{Answer, Wait};
use crate::clock::Clock;
use crate::limiter::target::{Handle, Target};
use crate::queue::Deadline;
use crate::stats::Recording;
use crate::tokens::Tokens;

/// A bucket whose statistics are not kept.
struct Uncounted<'a, C>(Target<'a, C>);

impl<C> Handle for Uncounted<'_, C> {
    type Clock = C;

    #[inline]
    fn target(&self) -> Target<'_, C> {
        self.0
    }

    fn recording(&self) -> &Recording {
        static OFF: Recording = Recording::OFF;
        &OFF
    }

    #[inline]
    fn count_admitted(&self, _: Tokens) {}
}

/// A wait that is part of a longer one. It is counted by its caller, when that one ends.
pub(crate) struct UncountedAcquire<'a, C: Clock + Clone + Send + Sync + 'static>(Wait<Uncounted<'a, C>>);

impl<'a, C: Clock + Clone + Send + Sync + 'static> UncountedAcquire<'a, C> {
    pub(crate) fn new(target: Target<'a, C>, n: Tokens, leaving: Tokens, deadline: Deadline) -> Self {
        let mut wait = Wait::new(Uncounted(target), n, leaving);
        wait.deadline = deadline;
        UncountedAcquire(wait)
    }

    pub(crate) fn poll(&mut self, by: &Waker) -> Poll<Answer> {
        self.0.poll(by)
    }
}
