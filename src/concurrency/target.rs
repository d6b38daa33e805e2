//! [`PermitHandle`]: a borrow or a share of a limit, and the permits there.

use std::sync::Arc;

use crate::error::{AcquirePermitError, LimiterClosed, NoPermit, TryAcquirePermitError};
use crate::permits::{PermitSource, Unavailable};
use crate::stats::Recording;

use super::state::{ConcurrencyLimit, KeyedState};

/// A borrow or a share of a limit, and the permits there.
pub(super) trait PermitHandle: Clone {
    type Clock;

    fn source(&self) -> PermitSource<'_>;

    fn clock(&self) -> &Self::Clock;

    fn recording(&self) -> &Recording;

    /// Takes a permit, unless callers wait. The outcome is counted.
    #[inline]
    fn take(&self) -> Result<(), TryAcquirePermitError> {
        match self.source().take() {
            Ok(()) => {
                self.recording().permitted(false);
                Ok(())
            }
            Err(unavailable) => Err(self.refused(unavailable)),
        }
    }

    /// Counts a refusal, and returns its error.
    #[cold]
    fn refused(&self, unavailable: Unavailable) -> TryAcquirePermitError {
        match unavailable {
            Unavailable::NoPermit(word) => {
                self.recording().not_permitted(None);
                TryAcquirePermitError::NoPermit(NoPermit { in_flight: word.in_flight(), limit: word.limit() })
            }
            Unavailable::Closed => {
                let closed = LimiterClosed(());
                self.recording().not_permitted(Some(&AcquirePermitError::LimiterClosed(closed)));
                TryAcquirePermitError::LimiterClosed(closed)
            }
        }
    }
}

/// A limit that is borrowed.
pub(crate) struct BorrowedTarget<'a, C> {
    pub(super) source: PermitSource<'a>,
    pub(super) clock: &'a C,
    pub(super) recording: &'a Recording,
}

impl<'a, C> BorrowedTarget<'a, C> {
    /// Returns whether both are the same limit, or the same key of one.
    pub(crate) fn is_same(self, other: Self) -> bool {
        self.source.is_same(other.source)
    }

    pub(crate) fn clock(self) -> &'a C {
        self.clock
    }
}

// By hand: the clock itself need not be `Clone`.
impl<C> Clone for BorrowedTarget<'_, C> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for BorrowedTarget<'_, C> {}

impl<C> PermitHandle for BorrowedTarget<'_, C> {
    type Clock = C;

    #[inline]
    fn source(&self) -> PermitSource<'_> {
        self.source
    }

    fn clock(&self) -> &C {
        self.clock
    }

    #[inline]
    fn recording(&self) -> &Recording {
        self.recording
    }
}

/// A limit that its owner keeps alive.
pub(crate) enum OwnedTarget<C> {
    Lone(Arc<ConcurrencyLimit<C>>),
    /// By the hash of the key.
    Key(Arc<KeyedState<C>>, u64),
}

impl<C> Clone for OwnedTarget<C> {
    fn clone(&self) -> Self {
        match self {
            OwnedTarget::Lone(limit) => OwnedTarget::Lone(limit.clone()),
            OwnedTarget::Key(state, key) => OwnedTarget::Key(state.clone(), *key),
        }
    }
}

impl<C> PermitHandle for OwnedTarget<C> {
    type Clock = C;

    #[inline]
    fn source(&self) -> PermitSource<'_> {
        match self {
            OwnedTarget::Lone(limit) => PermitSource::Lone(limit.permits()),
            OwnedTarget::Key(state, key) => PermitSource::Key(&state.permits, *key),
        }
    }

    fn clock(&self) -> &C {
        match self {
            OwnedTarget::Lone(limit) => limit.clock(),
            OwnedTarget::Key(state, _) => &state.clock,
        }
    }

    #[inline]
    fn recording(&self) -> &Recording {
        match self {
            OwnedTarget::Lone(limit) => limit.recording(),
            OwnedTarget::Key(state, _) => &state.recording,
        }
    }
}
