//! [`Permit`] and [`OwnedPermit`].

use std::fmt;

use crate::clock::QuantaClock;
use crate::error::TryAcquirePermitError;
use crate::permits::PermitSource;

use super::target::{BorrowedTarget, OwnedTarget, PermitHandle};

/// A permit for one call in flight. It is given back when it is dropped, also by a panic, and then goes to the
/// first waiter.
///
/// Made by [`try_acquire`](crate::ConcurrencyLimit::try_acquire) and [`acquire`](crate::ConcurrencyLimit::acquire).
/// An [`OwnedPermit`] does not borrow its limit.
///
/// A permit that is leaked (by [`mem::forget`](std::mem::forget)) stays in flight.
#[must_use = "dropping a permit gives it back at once"]
pub struct Permit<'a>(PermitSource<'a>);

impl<'a> Permit<'a> {
    #[inline]
    pub(super) fn new(source: PermitSource<'a>) -> Self {
        Permit(source)
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// A [`Permit`] that keeps its limit alive, and so may go to another thread or task. Made by
/// [`try_acquire_owned`](crate::ConcurrencyLimit::try_acquire_owned) and
/// [`acquire_owned`](crate::ConcurrencyLimit::acquire_owned).
#[must_use = "dropping a permit gives it back at once"]
pub struct OwnedPermit<C = QuantaClock>(OwnedTarget<C>);

impl<C> OwnedPermit<C> {
    #[inline]
    pub(super) fn new(target: OwnedTarget<C>) -> Self {
        OwnedPermit(target)
    }
}

impl<C> Drop for OwnedPermit<C> {
    #[inline]
    fn drop(&mut self) {
        self.0.source().give_back();
    }
}

impl<C> fmt::Debug for OwnedPermit<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").finish_non_exhaustive()
    }
}

impl<'a, C> BorrowedTarget<'a, C> {
    /// Takes a permit, unless callers wait.
    #[inline]
    pub(crate) fn try_acquire(self) -> Result<Permit<'a>, TryAcquirePermitError> {
        self.take().map(|()| Permit::new(self.source))
    }
}
