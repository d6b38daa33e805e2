//! Wakers ordered by deadline.

use std::collections::BTreeMap;
use std::task::Waker;

/// Wakers by instant. Each member has a number, so that wakers of one instant are woken in the order
/// in which the members joined.
pub(crate) struct TimerQueue {
    wakers: BTreeMap<(u64, u64), Waker>,
    members: u64,
}

/// A member's place in a [`TimerQueue`].
pub(crate) struct TimerSlot {
    number: u64,
    at: Option<u64>,
}

impl TimerQueue {
    pub(crate) const fn new() -> Self {
        TimerQueue { wakers: BTreeMap::new(), members: 0 }
    }

    /// Returns a place for a member, which holds one waker at a time.
    pub(crate) fn join(&mut self) -> TimerSlot {
        self.members += 1;
        TimerSlot { number: self.members, at: None }
    }

    /// Returns the first instant.
    pub(crate) fn first(&self) -> Option<u64> {
        self.wakers.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Removes and returns the first waker, if it is due at `now`.
    pub(crate) fn pop(&mut self, now: u64) -> Option<Waker> {
        let first = self.wakers.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    /// Removes and returns all wakers that are due at `now`, in order.
    pub(crate) fn pop_all(&mut self, now: u64) -> Vec<Waker> {
        std::iter::from_fn(|| self.pop(now)).collect()
    }

    pub(crate) fn insert(&mut self, slot: &mut TimerSlot, at: u64, waker: Waker) {
        slot.at = Some(at);
        self.wakers.insert((at, slot.number), waker);
    }

    /// Removes and returns the member's waker, which the caller drops when it holds no lock.
    #[must_use]
    pub(crate) fn remove(&mut self, slot: &mut TimerSlot) -> Option<Waker> {
        self.wakers.remove(&(slot.at.take()?, slot.number))
    }
}

impl Default for TimerQueue {
    fn default() -> Self {
        TimerQueue::new()
    }
}
