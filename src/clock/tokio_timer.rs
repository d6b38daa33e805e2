//! Timers of tokio's.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Waker;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::{Timer, default_timer};

/// Wakes those who wait from within a tokio runtime, so that no other thread is needed.
///
/// tokio's timers have a resolution of a millisecond: a single waiter is served 1 ms late as a rule,
/// where the default timer is late by less than 0.1 ms. A crowd is served as well by either.
///
/// It lives in the runtime on which the first waiter, or whoever is served, is polled; that needs time
/// enabled. Where there is none (a thread waits, or the runtime was shut down), the default timer
/// takes its place.
///
/// # Examples
///
/// ```
/// use brimful::{Quota, RateLimiter, TokioTimer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let limiter = RateLimiter::builder().quota(Quota::per_second(200).burst(1)).timer(TokioTimer::new).build()?;
/// limiter.acquire().await?;
/// limiter.acquire().await?; // 5 ms later
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct TokioTimer {
    armed: Option<Arc<Armed>>,
    /// Where there is no runtime.
    other: Option<Box<dyn Timer>>,
}

/// One call to be woken.
struct Armed {
    state: AtomicU8,
}

const PENDING: u8 = 0;
/// It was woken, or is not to be.
const OVER: u8 = 1;
/// The runtime was shut down before.
const LOST: u8 = 2;

impl Armed {
    fn end(&self, state: u8) -> bool {
        self.state.compare_exchange(PENDING, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// Is dropped with the task, wherever that ends.
struct Guard {
    armed: Arc<Armed>,
    waker: Waker,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.armed.end(LOST) {
            self.waker.wake_by_ref();
        }
    }
}

impl TokioTimer {
    /// A timer, to be given to [`RateLimiterBuilder::timer`](crate::RateLimiterBuilder::timer).
    #[must_use]
    pub fn new() -> Self {
        TokioTimer::default()
    }
}

impl Timer for TokioTimer {
    fn arm(&mut self, now_ns: u64, at_ns: u64, waker: &Waker) {
        let before = self.armed.take();
        let lost = before.is_some_and(|armed| !armed.end(OVER) && armed.state.load(Ordering::Acquire) == LOST);
        let runtime = if lost { None } else { Handle::try_current().ok() };
        let (Some(runtime), None) = (runtime, &self.other) else {
            return self.other.get_or_insert_with(default_timer).arm(now_ns, at_ns, waker);
        };
        let armed = Arc::new(Armed { state: AtomicU8::new(PENDING) });
        self.armed = Some(armed.clone());
        let guard = Guard { armed, waker: waker.clone() };
        let wait = Duration::from_nanos(at_ns.saturating_sub(now_ns));
        runtime.spawn(async move {
            tokio::time::sleep_until(Instant::now() + wait).await;
            if guard.armed.end(OVER) {
                guard.waker.wake_by_ref();
            }
        });
    }
}

impl Drop for TokioTimer {
    fn drop(&mut self) {
        if let Some(armed) = self.armed.take() {
            armed.end(OVER);
        }
    }
}

impl fmt::Debug for TokioTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioTimer").field("in_runtime", &self.other.is_none()).finish_non_exhaustive()
    }
}
