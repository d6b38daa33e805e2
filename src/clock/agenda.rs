//! Who is to be woken when.

use std::collections::BTreeMap;
use std::task::Waker;

/// Whom to wake at which instant. Each has a number, so that those of one instant are woken in the
/// order in which they came to it.
#[derive(Default)]
pub(crate) struct Agenda {
    wakers: BTreeMap<(u64, u64), Waker>,
    members: u64,
}

/// Somebody's place on an agenda.
pub(crate) struct Entry {
    number: u64,
    at: Option<u64>,
}

impl Agenda {
    /// A place for somebody who will be woken once and again.
    pub(crate) fn join(&mut self) -> Entry {
        self.members += 1;
        Entry { number: self.members, at: None }
    }

    /// The first instant.
    pub(crate) fn first(&self) -> Option<u64> {
        self.wakers.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Who is the first, if that is by then.
    pub(crate) fn pop(&mut self, by: u64) -> Option<Waker> {
        let first = self.wakers.first_entry().filter(|first| first.key().0 <= by)?;
        Some(first.remove())
    }

    pub(crate) fn insert(&mut self, entry: &mut Entry, at: u64, waker: Waker) {
        entry.at = Some(at);
        self.wakers.insert((at, entry.number), waker);
    }

    /// To be dropped where no lock is held.
    #[must_use]
    pub(crate) fn remove(&mut self, entry: &mut Entry) -> Option<Waker> {
        self.wakers.remove(&(entry.at.take()?, entry.number))
    }
}
