//! [`PermitSource`]: the permits of a limit or of a key.

use crate::queue::{TimeDriver, TimerFactory};

use super::keyed::KeyedPermits;
use super::lone::{Permits, Unavailable, default_config};
use super::queue::{Entered, PermitRequest};

/// The permits of a limit, or of one key.
#[derive(Clone, Copy)]
pub(crate) enum PermitSource<'a> {
    Lone(&'a Permits),
    /// By the hash of the key.
    Key(&'a KeyedPermits, u64),
}

impl PermitSource<'_> {
    /// Returns whether both are the permits of one limit, or of one key.
    pub(crate) fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (PermitSource::Lone(one), PermitSource::Lone(other)) => std::ptr::eq(one, other),
            (PermitSource::Key(one, key), PermitSource::Key(other, other_key)) => {
                std::ptr::eq(one, other) && key == other_key
            }
            _ => false,
        }
    }

    /// Takes a permit, unless callers wait.
    #[inline]
    pub(crate) fn take(self) -> Result<(), Unavailable> {
        match self {
            PermitSource::Lone(permits) => permits.take(),
            PermitSource::Key(keys, key) => keys.take(key),
        }
    }

    /// Takes a permit or joins the queue. If the second result is `true`, the caller has to
    /// [`dispatch`](super::PermitWaiter::dispatch) once it has recorded that it waits.
    pub(crate) fn enter(self, request: &mut PermitRequest) -> (Entered, bool) {
        match self {
            PermitSource::Lone(permits) => permits.enter(default_config, request),
            PermitSource::Key(keys, key) => keys.enter(key, request),
        }
    }

    /// Sets the clock and the timer of the queue, unless an earlier waiter has set them.
    pub(crate) fn drive(self, make: impl FnOnce(Option<&TimerFactory>) -> TimeDriver) {
        match self {
            PermitSource::Lone(permits) => permits.drive(make),
            PermitSource::Key(keys, _) => keys.drive(make),
        }
    }

    /// Gives a permit back, and wakes the waiter that gets it.
    #[inline]
    pub(crate) fn give_back(self) {
        match self {
            PermitSource::Lone(permits) => permits.give_back(),
            PermitSource::Key(keys, key) => keys.give_back(key),
        }
    }

    /// Frees the memory of a key after its last waiter has left without a permit.
    pub(crate) fn left(self) {
        if let PermitSource::Key(keys, key) = self {
            keys.left(key);
        }
    }
}
