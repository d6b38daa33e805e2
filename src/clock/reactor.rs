//! The default timer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use super::Timer;

/// A timer of async-io's, whose one thread serves all of a process.
struct Reactor(async_io::Timer);

/// The timer of limiters whose clock has none, and that were given none.
pub(crate) fn default_timer() -> Box<dyn Timer> {
    Box::new(Reactor(async_io::Timer::never()))
}

impl Timer for Reactor {
    fn arm(&mut self, now_ns: u64, at_ns: u64, waker: &Waker) {
        // Not at once: whoever is due again and again would keep the thread from all other timers.
        const SOON: Duration = Duration::from_micros(10);
        let wait = Duration::from_nanos(at_ns.saturating_sub(now_ns)).max(SOON);
        // Beyond the system's clock is as good as never.
        self.0 = Instant::now().checked_add(wait).map_or_else(async_io::Timer::never, async_io::Timer::at);
        // It asks for nothing before it is polled.
        if Pin::new(&mut self.0).poll(&mut Context::from_waker(waker)).is_ready() {
            waker.wake_by_ref();
        }
    }
}
