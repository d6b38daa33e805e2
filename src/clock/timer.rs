//! [`Timer`]: wakes a limiter when its first waiter is due.

use std::task::Waker;
use std::time::Duration;

/// A timer that wakes a limiter when its first waiter is due.
///
/// A limiter makes one timer at its first wait; a keyed limiter makes one for all its keys. The default
/// timer needs no runtime: it is one thread for the whole process, which serves all limiters and ends
/// after 10 s without waiters; the next wait starts another, also in a forked process (if no thread was
/// using the timer at the moment of the fork). [`MockClock`](crate::MockClock) has timers
/// that follow it. [`RateLimiterBuilder::timer`](crate::RateLimiterBuilder::timer) sets any other timer.
///
/// # Examples
///
/// A timer that sleeps on a thread of its own:
///
/// ```
/// use brimful::{Quota, RateLimiter, Timer};
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::sync::Arc;
/// use std::task::Waker;
/// use std::time::Duration;
///
/// #[derive(Default)]
/// struct Sleeper(Arc<AtomicU64>);
///
/// impl Timer for Sleeper {
///     fn arm(&mut self, now_ns: u64, at_ns: u64, waker: &Waker) {
///         let (armed, waker) = (self.0.clone(), waker.clone());
///         let mine = armed.fetch_add(1, Ordering::Relaxed) + 1;
///         std::thread::spawn(move || {
///             std::thread::sleep(Duration::from_nanos(at_ns - now_ns));
///             if armed.load(Ordering::Relaxed) == mine {
///                 waker.wake();
///             }
///         });
///     }
/// }
///
/// let limiter = RateLimiter::builder().quota(Quota::per_second(100).burst(1)).timer(Sleeper::default).build()?;
/// limiter.acquire_blocking()?;
/// limiter.acquire_blocking()?; // 10 ms later
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Timer: Send {
    /// Wakes `waker` once the limiter's clock, which reads `now_ns` now, reads `at_ns` or later;
    /// `at_ns` is not below `now_ns`.
    ///
    /// This replaces the previous arming. The timer may wake at once (also from within this call),
    /// early, or twice: the queue then looks at the clock, and arms the timer again. If the timer wakes
    /// late, waiters are served late, and tokens beyond the burst are lost meanwhile. If it never wakes,
    /// waiters are stranded. The limiter holds no lock during this call that another call of it would
    /// take.
    ///
    /// `waker.wake()` looks at the clock, serves and wakes the waiters that are due, and arms this same
    /// timer. The timer must not hold a lock during `wake` that any of these steps takes.
    fn arm(&mut self, now_ns: u64, at_ns: u64, waker: &Waker);

    /// Returns the time by which a waiter that is due may be served late, if another waiter is due
    /// within that time: one wake then serves both. A waiter that is alone is never kept waiting, and
    /// none so long that tokens could be lost. One millisecond by default.
    fn slack(&self) -> Duration {
        Duration::from_millis(1)
    }
}

impl<T: Timer + ?Sized> Timer for Box<T> {
    fn arm(&mut self, now_ns: u64, at_ns: u64, waker: &Waker) {
        (**self).arm(now_ns, at_ns, waker);
    }

    fn slack(&self) -> Duration {
        (**self).slack()
    }
}
