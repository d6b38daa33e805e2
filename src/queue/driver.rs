//! The clock that a queue reads, and the timer that wakes it.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use crate::clock::{Clock, Timer, default_timer};
use crate::word::Reading;

/// A factory for a queue's timer.
#[derive(Clone)]
pub(crate) struct TimerFactory(Arc<dyn Fn() -> Box<dyn Timer> + Send + Sync>);

impl TimerFactory {
    pub(crate) fn new<T: Timer + 'static>(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        TimerFactory(Arc::new(move || Box::new(make())))
    }
}

/// The clock that a queue reads, and the factory of the timer that wakes the queue.
pub(crate) struct TimeDriver {
    clock: Arc<dyn Fn() -> Reading + Send + Sync>,
    timer: TimerFactory,
}

impl TimeDriver {
    /// Returns a driver that reads a clone of `clock`. Its timer is the chosen one, or else the clock's own,
    /// or else the default timer.
    pub(crate) fn on<C>(clock: &C, chosen: Option<&TimerFactory>) -> TimeDriver
    where
        C: Clock + Clone + Send + Sync + 'static,
    {
        let (time, own) = (clock.clone(), clock.clone());
        let default = || TimerFactory::new(move || own.timer().unwrap_or_else(default_timer));
        TimeDriver::new(move || Reading::from_nanos(time.now()), chosen.cloned().unwrap_or_else(default))
    }

    fn new(clock: impl Fn() -> Reading + Send + Sync + 'static, timer: TimerFactory) -> Self {
        TimeDriver { clock: Arc::new(clock), timer }
    }

    /// Returns a driver with the same clock and this timer.
    pub(super) fn with_timer(&self, timer: TimerFactory) -> Self {
        TimeDriver { clock: self.clock.clone(), timer }
    }

    /// Reads the clock.
    pub(crate) fn now(&self) -> Reading {
        (self.clock)()
    }

    /// Makes a timer.
    pub(super) fn timer(&self) -> Box<dyn Timer> {
        (self.timer.0)()
    }
}

// The clock and the timer factory are user code. They may panic, and may leave the state that they
// share with their user as it is at that moment. Nothing of this crate is half done then, so
// waiting does not make a limiter less safe to use after a panic.
impl UnwindSafe for TimerFactory {}
impl RefUnwindSafe for TimerFactory {}
impl UnwindSafe for TimeDriver {}
impl RefUnwindSafe for TimeDriver {}
