//! The operations of a wait on its bucket.

use std::sync::Arc;

use crate::cell::{Taken, TimeSource};
use crate::clock::Clock;
use crate::limiter::target::{Handle, Target};
use crate::queue::{Queue, TimeDriver, TimerFactory, WaitRequest};
use crate::table::Arrival;
use crate::tokens::Tokens;
use crate::word::Reading;

/// A borrow or a share of a limiter whose clock can drive a queue.
pub(super) trait WaitHandle: Handle<Clock: Clock + Clone + Send + Sync + 'static> + Unpin {}

impl<H: Handle<Clock: Clock + Clone + Send + Sync + 'static> + Unpin> WaitHandle for H {}

impl<C: Clock + Clone + Send + Sync + 'static> Target<'_, C> {
    /// Reads the clock.
    pub(super) fn read(&self) -> Reading {
        self.live().read()
    }

    /// Takes. `None`: the queue decides.
    #[inline(always)]
    pub(super) fn take_or_queue(&self, n: Tokens, leaving: Tokens, now: TimeSource<'_, C>) -> Option<Taken> {
        match self {
            Target::Single(limiter) => limiter.take_in_cell(n, leaving, now),
            Target::Key(buckets, key) => Some(buckets.table.take(*key, (n, leaving), now)),
        }
    }

    /// Takes, or waits.
    pub(super) fn enter(&self, call: &mut WaitRequest, now: Reading) -> Arrival {
        let drive = |chosen: Option<&TimerFactory>| drive(self.clock(), chosen);
        match self {
            Target::Single(limiter) => limiter.enter(call, now, drive),
            Target::Key(buckets, key) => buckets.table.enter(*key, call, now, drive),
        }
    }

    /// Takes the bucket's word back from its queue, if there are no waiters.
    pub(super) fn take_back(&self, queue: &Arc<Queue>, now: Reading) {
        match self {
            Target::Single(limiter) => limiter.take_back(),
            Target::Key(buckets, key) => buckets.table.take_back(*key, queue, now),
        }
    }
}

/// The clock and the timer of the queues of a limiter with this clock. The timer is the chosen one, or
/// the clock's own, or the default one.
fn drive<C>(clock: &C, chosen: Option<&TimerFactory>) -> TimeDriver
where
    C: Clock + Clone + Send + Sync + 'static,
{
    let (time, own) = (clock.clone(), clock.clone());
    let default = || TimerFactory::new(move || own.timer().unwrap_or_else(crate::clock::default_timer));
    TimeDriver::new(move || Reading::from_nanos(time.now()), chosen.cloned().unwrap_or_else(default))
}
