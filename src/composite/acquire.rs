//! The futures of waits on several limits: [`CompositeAcquire`] and [`CompositeReserve`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::error::CompositeAcquireError;
use super::holder::Holder;
use super::limits::Leaving;
use super::reservation::CompositeReservation;
use super::wait::{Answer, CompositeWait};
use crate::clock::{Clock, QuantaClock};
use crate::limiter::{Granted, wait};
use crate::queue::Deadline;
use crate::tokens::Tokens;
use crate::word::Reading;

/// A wait for tokens from several limits: a future; or, by [`wait`](CompositeAcquire::wait), a call that blocks
/// the thread.
///
/// It begins, and takes its place in the queue, when it is polled for the first time. Waiters are served in order
/// of arrival. Nothing is charged while a call waits: all limits are charged at the grant.
///
/// # Cancel safety
///
/// A dropped future gives up its place, and any tokens that it was granted without having completed: nothing is
/// lost, and later waiters move up.
///
/// # Examples
///
/// ```
/// use brimful::CompositeLimiter;
/// use std::time::Duration;
///
/// # async_io::block_on(async {
/// let limiter = CompositeLimiter::new("1000/s burst 1; daily: 50000/day".parse()?);
/// limiter.acquire().await?;
/// let granted = limiter.acquire().within(Duration::from_secs(60)).await?;
/// println!("waited {:?}", granted.waited());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[must_use = "nothing is acquired until it is awaited, or `wait` is called"]
pub struct CompositeAcquire<'a, C: Clock + Clone + Send + Sync + 'static = QuantaClock>(CompositeWait<Holder<'a, C>>);

wait!(
    CompositeAcquire,
    ['a, C],
    CompositeWait<Holder<'a, C>>,
    (Holder<'a, C>, Leaving),
    Result<Granted, CompositeAcquireError>,
    |_: &CompositeWait<Holder<'a, C>>, answer: Answer| answer
);

/// A wait for tokens from several limits whose use is known later: a [`CompositeAcquire`] that ends in a
/// [`CompositeReservation`].
#[must_use = "nothing is acquired until it is awaited, or `wait` is called"]
pub struct CompositeReserve<'a, C: Clock + Clone + Send + Sync + 'static = QuantaClock>(CompositeWait<Holder<'a, C>>);

wait!(
    CompositeReserve,
    ['a, C],
    CompositeWait<Holder<'a, C>>,
    (Holder<'a, C>, Leaving),
    Result<CompositeReservation<'a, C>, CompositeAcquireError>,
    |wait: &CompositeWait<Holder<'a, C>>, answer: Answer| answer.map(|_| CompositeReservation::new(wait.handle, wait.n, None))
);
