//! The state of concurrency limits; the numbers of a [`ConcurrencyLimit`], and its changes.

use std::fmt;
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use crate::clock::{Clock, QuantaClock};
use crate::permits::{KeyedPermits, PermitWord, Permits};
use crate::queue::WaitConfig;
use crate::stats::{PermitStats, Recording};

/// A limit of the calls in flight: at most this many permits are out at a time. A permit is given back when it
/// is dropped, also by a panic.
///
/// Any number of threads share it, by reference, in an [`Arc`] or as a `static`. To take or to give back a
/// permit is one atomic operation. It takes no lock, except while callers wait. Waiters get permits in order of
/// arrival, and no call overtakes them.
///
/// Bound the calls per time with a [`RateLimiter`](crate::RateLimiter), and the calls at a time with this. Each
/// key has a limit of its own in a [`KeyedConcurrencyLimit`](crate::KeyedConcurrencyLimit).
///
/// # Which verb
///
/// | to | use |
/// |---|---|
/// | get a permit, or none | [`try_acquire`](ConcurrencyLimit::try_acquire) |
/// | wait for a permit | [`acquire`](ConcurrencyLimit::acquire); [`acquire_blocking`](ConcurrencyLimit::acquire_blocking) for threads |
/// | wait, but not longer than a limit | `acquire` with [`within`](crate::AcquirePermit::within) or [`until`](crate::AcquirePermit::until) |
/// | take a permit to another task | [`try_acquire_owned`](ConcurrencyLimit::try_acquire_owned), [`acquire_owned`](ConcurrencyLimit::acquire_owned) |
/// | change the limit, or pause | [`resize`](ConcurrencyLimit::resize) |
/// | end all waits | [`close`](ConcurrencyLimit::close) |
/// | look | [`in_flight`](ConcurrencyLimit::in_flight), [`limit`](ConcurrencyLimit::limit), [`waiters`](ConcurrencyLimit::waiters) |
///
/// # Guarantees
///
/// 1. **Bound.** A permit is granted only while fewer are in flight than the limit at that moment. So more are in
///    flight than the limit only after [`resize`](ConcurrencyLimit::resize) has lowered it, until as many have
///    returned.
/// 2. **No lost permits.** A permit is given back exactly once: when it is dropped, or when a wait that was granted
///    it is dropped. A permit that is leaked (by [`mem::forget`](std::mem::forget)) stays in flight.
/// 3. **FIFO.** Waiters get permits in the order of their first polls. A call that begins after an enqueue has
///    completed never overtakes it; so `try_acquire` is refused while callers wait.
/// 4. **No lost wake-up.** If a permit is free while callers wait, a thread is about to grant it.
///
/// The proofs are in [`internals::permits`](crate::internals::permits).
///
/// # Memory ordering
///
/// Everything that a thread did before it gave a permit back happens before everything that another thread
/// does after it was granted a permit later. The same holds for a look by
/// [`in_flight`](ConcurrencyLimit::in_flight) that does not count that permit any longer.
///
/// # Examples
///
/// ```
/// use brimful::ConcurrencyLimit;
///
/// static DATABASE: ConcurrencyLimit = ConcurrencyLimit::new(2);
///
/// # async_io::block_on(async {
/// let first = DATABASE.acquire().await?;
/// let second = DATABASE.acquire().await?;
/// assert!(DATABASE.try_acquire().is_err());
/// drop(first);
/// assert!(DATABASE.try_acquire().is_ok());
/// # drop(second);
/// # Ok::<(), brimful::AcquirePermitError>(())
/// # }).unwrap();
/// ```
pub struct ConcurrencyLimit<C = QuantaClock> {
    // The word has its own cache lines.
    permits: CachePadded<Permits>,
    recording: Recording,
    clock: C,
}

impl ConcurrencyLimit {
    /// The highest limit, 2³¹ − 1. A number above it counts as this.
    pub const MAX_LIMIT: usize = PermitWord::MOST;

    /// Returns a limit of `limit` permits, on the process's clock. The clock is read for deadlines only. A limit
    /// of 0 grants nothing until it is resized.
    #[cfg(not(brimful_loom))]
    #[must_use]
    pub const fn new(limit: usize) -> ConcurrencyLimit {
        ConcurrencyLimit::from_parts(Permits::new(PermitWord::new(limit)), QuantaClock)
    }

    /// The same, for the models: loom's atomics cannot be made in a constant.
    #[cfg(brimful_loom)]
    #[must_use]
    pub fn new(limit: usize) -> ConcurrencyLimit {
        ConcurrencyLimit::from_parts(Permits::new(PermitWord::new(limit)), QuantaClock)
    }
}

impl<C: Clock> ConcurrencyLimit<C> {
    /// Returns a limit of `limit` permits, with this clock for deadlines.
    #[must_use]
    pub fn with_clock(limit: usize, clock: C) -> Self {
        ConcurrencyLimit::from_parts(Permits::new(PermitWord::new(limit)), clock)
    }
}

impl<C> ConcurrencyLimit<C> {
    const fn from_parts(permits: Permits, clock: C) -> Self {
        ConcurrencyLimit { permits: CachePadded::new(permits), recording: Recording::OFF, clock }
    }

    pub(super) fn with_config(limit: usize, config: Arc<WaitConfig>, recording: Recording, clock: C) -> Self {
        let limit = ConcurrencyLimit::from_parts(Permits::on(PermitWord::new(limit), config), clock);
        ConcurrencyLimit { recording, ..limit }
    }

    #[inline]
    pub(super) fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Returns the statistics since the limit was built, or since the last
    /// [`take_stats`](ConcurrencyLimit::take_stats); `None` unless the builder was asked for
    /// [`stats`](crate::ConcurrencyLimitBuilder::stats).
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::ConcurrencyLimit;
    ///
    /// let limit = ConcurrencyLimit::builder(1).stats().build();
    /// let permit = limit.try_acquire()?;
    /// assert!(limit.try_acquire().is_err());
    /// let stats = limit.stats().unwrap();
    /// assert_eq!((stats.admitted, stats.no_permit, stats.in_flight), (1, 1, 1));
    /// # Ok::<(), brimful::TryAcquirePermitError>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Option<PermitStats> {
        self.recording.read_permits(|| self.in_flight() as u64)
    }

    /// Returns the statistics as [`stats`](ConcurrencyLimit::stats) does, and begins anew.
    pub fn take_stats(&self) -> Option<PermitStats> {
        self.recording.take_permits(|| self.in_flight() as u64)
    }

    #[inline]
    pub(super) fn permits(&self) -> &Permits {
        &self.permits
    }

    /// Returns the clock.
    #[must_use]
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    /// Returns the limit.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.permits.word().limit()
    }

    /// Returns the number of permits that are out, also of those that were granted to waits that have not
    /// completed yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.permits.word().in_flight()
    }

    /// Returns the number of waiters. If they have deadlines, the timer is armed for them: a mock clock may be
    /// moved then.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.permits.waiting() as usize
    }

    /// Returns whether the limit was [closed](ConcurrencyLimit::close).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.permits.word().is_closed()
    }

    /// Changes the limit. Permits that are out stay valid.
    ///
    /// If the limit rises, the first waiters are granted permits at once. If it falls below the number in flight,
    /// it takes effect as permits are given back: none is granted until fewer than `limit` are in flight. A limit
    /// of 0 pauses: it grants nothing, and waiters keep their places.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::ConcurrencyLimit;
    ///
    /// let limit = ConcurrencyLimit::new(2);
    /// let (first, second) = (limit.try_acquire()?, limit.try_acquire()?);
    /// limit.resize(1);
    /// assert_eq!((limit.in_flight(), limit.limit()), (2, 1));
    /// drop(first);
    /// assert!(limit.try_acquire().is_err(), "one is in flight");
    /// drop(second);
    /// assert!(limit.try_acquire().is_ok());
    /// # Ok::<(), brimful::TryAcquirePermitError>(())
    /// ```
    pub fn resize(&self, limit: usize) {
        self.permits.resize(limit);
    }

    /// Refuses every call, now and later, with `LimiterClosed`: for a shutdown. Waits end at once. Permits that
    /// are out stay valid, and [`in_flight`](ConcurrencyLimit::in_flight) falls to zero as they are given back. It
    /// cannot be undone. To pause, [resize](ConcurrencyLimit::resize) to 0.
    ///
    /// Calls that do not wait are refused as well: with them, the number in flight might never fall to zero. A
    /// [`RateLimiter`](crate::RateLimiter::close) that is closed goes on to admit them.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{AcquirePermitError, ConcurrencyLimit};
    ///
    /// let limit = ConcurrencyLimit::new(1);
    /// let permit = limit.acquire_blocking()?;
    /// std::thread::scope(|scope| {
    ///     let worker = scope.spawn(|| limit.acquire_blocking());
    ///     limit.close();
    ///     assert!(matches!(worker.join().unwrap(), Err(AcquirePermitError::LimiterClosed(_))));
    /// });
    /// drop(permit);
    /// assert_eq!(limit.in_flight(), 0);
    /// # Ok::<(), AcquirePermitError>(())
    /// ```
    pub fn close(&self) {
        self.permits.close();
    }
}

impl<C> fmt::Debug for ConcurrencyLimit<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.permits.word();
        f.debug_struct("ConcurrencyLimit")
            .field("limit", &word.limit())
            .field("in_flight", &word.in_flight())
            .field("closed", &word.is_closed())
            .finish_non_exhaustive()
    }
}

/// All of a keyed limit that does not depend on the type of its keys. It is shared with owned permits and waits.
pub(crate) struct KeyedState<C> {
    pub(super) permits: KeyedPermits,
    pub(super) clock: C,
    pub(super) recording: Recording,
}
