//! What wakes whoever waits.

use std::task::Waker;
use std::time::Duration;

/// Wakes a limiter when the first who wait there are due.
///
/// A limiter makes one, for all its keys if it has any, when somebody waits for the first time: by
/// default on
/// [`async-io`](https://docs.rs/async-io)'s timers, which need no runtime;
/// [`MockClock`](crate::MockClock) has timers that follow it; and
/// [`RateLimiterBuilder::timer`](crate::RateLimiterBuilder::timer) takes any other.
///
/// # Examples
///
/// One that sleeps on a thread of its own:
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
    /// It replaces what was armed before. It may wake at once, from within this call too, early, or
    /// twice: the queue looks at the clock, and arms it again. Woken late, those who wait are served
    /// late, and tokens beyond the burst are lost meanwhile. One that does not wake at all strands
    /// them. No lock is held that a call of the limiter would take.
    ///
    /// To wake it looks at the clock, serves who is due, wakes them, and arms this very timer: hold no
    /// lock that any of it takes.
    fn arm(&mut self, now_ns: u64, at_ns: u64, waker: &Waker);

    /// Returns the time by which the queue may put off the next wake after one that served more than one
    /// waiter. The next wake then serves more waiters. The queue never puts off a wake so long that tokens
    /// could be lost. Zero by default.
    fn slack(&self) -> Duration {
        Duration::ZERO
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
