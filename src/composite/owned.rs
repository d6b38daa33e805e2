//! Waits and reservations that keep their limits alive, and so may go to another task.

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::error::{CompositeAcquireError, LimitError};
use super::holder::{CompositeHandle, Holder, KeyedLimits};
use super::keyed::KeyedCompositeLimiter;
use super::limiter::CompositeLimiter;
use super::limits::Leaving;
use super::reservation::{Pending, reservation};
use super::wait::{Answer, CompositeWait};
use crate::clock::{Clock, QuantaClock};
use crate::limiter::{Granted, wait};
use crate::queue::Deadline;
use crate::table::Fingerprint;
use crate::tokens::Tokens;
use crate::word::Reading;

/// A composite, for all callers or for one key, that its owner keeps alive.
pub(crate) enum OwnedHolder<C> {
    Single(Arc<CompositeLimiter<C>>),
    Key(Arc<KeyedLimits<C>>, Fingerprint),
}

// By hand: the clock itself need not be `Clone`.
impl<C> Clone for OwnedHolder<C> {
    fn clone(&self) -> Self {
        match self {
            OwnedHolder::Single(limiter) => OwnedHolder::Single(limiter.clone()),
            OwnedHolder::Key(limits, key) => OwnedHolder::Key(limits.clone(), *key),
        }
    }
}

impl<C> CompositeHandle for OwnedHolder<C> {
    type Clock = C;

    #[inline]
    fn holder(&self) -> Holder<'_, C> {
        match self {
            OwnedHolder::Single(limiter) => Holder::Single(&limiter.limits),
            OwnedHolder::Key(limits, key) => Holder::Key(limits, *key),
        }
    }
}

/// A [`CompositeAcquire`](crate::CompositeAcquire) that keeps its limits alive, and so may go to another task. Made by
/// `acquire_owned` and `acquire_n_owned`.
///
/// # Examples
///
/// ```
/// use brimful::CompositeLimiter;
/// use std::sync::Arc;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let limiter = Arc::new(CompositeLimiter::new("1000/s burst 1; daily: 50000/day".parse()?));
/// let tasks: Vec<_> = (0..3).map(|_| tokio::spawn(limiter.acquire_owned())).collect();
/// for task in tasks {
///     println!("waited {:?}", task.await?.map(|granted| granted.waited()));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[must_use = "nothing is acquired until it is awaited, or `wait` is called"]
pub struct OwnedCompositeAcquire<C: Clock + Clone + Send + Sync + 'static = QuantaClock>(CompositeWait<OwnedHolder<C>>);

wait!(
    OwnedCompositeAcquire,
    [C],
    CompositeWait<OwnedHolder<C>>,
    (OwnedHolder<C>, Leaving),
    Result<Granted, CompositeAcquireError>,
    |_: &CompositeWait<OwnedHolder<C>>, answer: Answer| answer
);

/// A [`CompositeReserve`](crate::CompositeReserve) that keeps its limits alive, and so may go to another task. It ends
/// in an [`OwnedCompositeReservation`].
#[must_use = "nothing is acquired until it is awaited, or `wait` is called"]
pub struct OwnedCompositeReserve<C: Clock + Clone + Send + Sync + 'static = QuantaClock>(CompositeWait<OwnedHolder<C>>);

wait!(
    OwnedCompositeReserve,
    [C],
    CompositeWait<OwnedHolder<C>>,
    (OwnedHolder<C>, Leaving),
    Result<OwnedCompositeReservation<C>, CompositeAcquireError>,
    |wait: &CompositeWait<OwnedHolder<C>>, answer: Answer| {
        answer.map(|_| OwnedCompositeReservation::new(wait.handle.clone(), wait.n, None))
    }
);

/// A [`CompositeReservation`](crate::CompositeReservation) that keeps its limits alive, and so may go to another
/// thread or task. Made by `try_reserve_n_owned` and `reserve_n_owned`.
#[must_use = "dropping a reservation gives its tokens back at once"]
pub struct OwnedCompositeReservation<C: Clock = QuantaClock>(Pending<OwnedHolder<C>>);

reservation!(OwnedCompositeReservation, [C], OwnedHolder<C>);

impl<C: Clock> CompositeLimiter<C> {
    /// As [`try_reserve_n`](CompositeLimiter::try_reserve_n), for a reservation that keeps the limiter alive, and so
    /// may go to another thread or task.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](CompositeLimiter::try_acquire_n).
    pub fn try_reserve_n_owned(
        self: &Arc<Self>,
        n: impl Into<Tokens>,
    ) -> Result<OwnedCompositeReservation<C>, LimitError> {
        let n = n.into();
        self.try_acquire_n(n)?;
        Ok(self.settle_later(n))
    }

    /// Returns a reservation of `n` tokens that another verb has taken from each limit already, such as
    /// [`decide`](CompositeLimiter::decide) or a wait. It takes nothing. See
    /// [`RateLimiter::settle_later`](crate::RateLimiter::settle_later).
    pub fn settle_later(self: &Arc<Self>, n: impl Into<Tokens>) -> OwnedCompositeReservation<C> {
        OwnedCompositeReservation::new(OwnedHolder::Single(self.clone()), n.into(), None)
    }
}

/// Verbs that wait, by futures that keep the limiter alive, and so may go to another task.
impl<C: Clock + Clone + Send + Sync + 'static> CompositeLimiter<C> {
    /// As [`acquire`](CompositeLimiter::acquire), by a future that may go to another task.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](CompositeLimiter::acquire_n).
    pub fn acquire_owned(self: &Arc<Self>) -> OwnedCompositeAcquire<C> {
        self.acquire_n_owned(Tokens::ONE)
    }

    /// As [`acquire_n`](CompositeLimiter::acquire_n), by a future that may go to another task.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](CompositeLimiter::acquire_n).
    pub fn acquire_n_owned(self: &Arc<Self>, n: impl Into<Tokens>) -> OwnedCompositeAcquire<C> {
        OwnedCompositeAcquire::new(OwnedHolder::Single(self.clone()), n.into(), Leaving::NOTHING)
    }

    /// As [`reserve_n`](CompositeLimiter::reserve_n), by a future that may go to another task.
    ///
    /// # Errors
    ///
    /// As [`acquire_n`](CompositeLimiter::acquire_n).
    pub fn reserve_n_owned(self: &Arc<Self>, n: impl Into<Tokens>) -> OwnedCompositeReserve<C> {
        OwnedCompositeReserve::new(OwnedHolder::Single(self.clone()), n.into(), Leaving::NOTHING)
    }
}

impl<K: Hash + ?Sized, C: Clock, S: BuildHasher> KeyedCompositeLimiter<K, C, S> {
    fn owned<Q: Hash + ?Sized>(&self, key: &Q) -> OwnedHolder<C>
    where
        K: Borrow<Q>,
    {
        OwnedHolder::Key(self.limits.clone(), self.fingerprint(key))
    }

    /// As [`CompositeLimiter::try_reserve_n_owned`](crate::CompositeLimiter::try_reserve_n_owned), on the key's
    /// buckets. The reservation keeps the buckets of all keys alive.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_n`](KeyedCompositeLimiter::try_acquire_n).
    pub fn try_reserve_n_owned<Q: Hash + ?Sized>(
        &self,
        key: &Q,
        n: impl Into<Tokens>,
    ) -> Result<OwnedCompositeReservation<C>, LimitError>
    where
        K: Borrow<Q>,
    {
        let n = n.into();
        self.try_acquire_n(key, n)?;
        Ok(self.settle_later(key, n))
    }

    /// As [`CompositeLimiter::settle_later`](crate::CompositeLimiter::settle_later), on the key's buckets.
    pub fn settle_later<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> OwnedCompositeReservation<C>
    where
        K: Borrow<Q>,
    {
        OwnedCompositeReservation::new(self.owned(key), n.into(), None)
    }
}

/// Verbs that wait, by futures that keep the buckets of all keys alive, and so may go to another task.
impl<K: Hash + ?Sized, C: Clock + Clone + Send + Sync + 'static, S: BuildHasher> KeyedCompositeLimiter<K, C, S> {
    /// As [`acquire`](KeyedCompositeLimiter::acquire), by a future that may go to another task.
    ///
    /// # Errors
    ///
    /// As [`CompositeLimiter::acquire_n`](crate::CompositeLimiter::acquire_n).
    pub fn acquire_owned<Q: Hash + ?Sized>(&self, key: &Q) -> OwnedCompositeAcquire<C>
    where
        K: Borrow<Q>,
    {
        self.acquire_n_owned(key, Tokens::ONE)
    }

    /// As [`acquire_n`](KeyedCompositeLimiter::acquire_n), by a future that may go to another task.
    ///
    /// # Errors
    ///
    /// As [`CompositeLimiter::acquire_n`](crate::CompositeLimiter::acquire_n).
    pub fn acquire_n_owned<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> OwnedCompositeAcquire<C>
    where
        K: Borrow<Q>,
    {
        OwnedCompositeAcquire::new(self.owned(key), n.into(), Leaving::NOTHING)
    }

    /// Waits for `n` tokens from each of the key's buckets, for a call whose cost is known later, by a future that
    /// may go to another task.
    ///
    /// # Errors
    ///
    /// As [`CompositeLimiter::acquire_n`](crate::CompositeLimiter::acquire_n).
    pub fn reserve_n_owned<Q: Hash + ?Sized>(&self, key: &Q, n: impl Into<Tokens>) -> OwnedCompositeReserve<C>
    where
        K: Borrow<Q>,
    {
        OwnedCompositeReserve::new(self.owned(key), n.into(), Leaving::NOTHING)
    }
}
