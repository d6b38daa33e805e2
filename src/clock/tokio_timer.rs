//! Timers of tokio's.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Id};
use tokio::task::AbortHandle;

use super::{Timer, default_timer};

/// Wakes those who wait from within a tokio runtime, which costs a crowd of its tasks less than to
/// be woken from elsewhere.
///
/// tokio's timers have a resolution of a millisecond: a single waiter is served 1 ms late as a rule.
///
/// It lives in the runtime on which the first waiter, or whoever is served, is polled. Where there is
/// none (a thread waits, the runtime was shut down, or has no time driver), the default timer takes
/// its place; also, every second time, where the runtime's time runs faster than the clock, as a
/// paused one's does. Where there is one that nobody drives (`block_on` has returned, or its thread
/// is blocked), the default timer comes to help when somebody has been due for 100 ms.
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
    runtime: Option<Handle>,
    /// The last runtime in which no task could sleep.
    unfit: Option<Id>,
    task: Option<Task>,
    /// Takes the runtime's place, or looks after it.
    other: Option<Other>,
}

/// How late a runtime may be before the default timer comes to help.
const GRACE: Duration = Duration::from_millis(100);

/// The task that sleeps.
struct Task {
    armed: Arc<Armed>,
    abort: AbortHandle,
    due: Instant,
}

/// The default timer, and when it was armed for.
struct Other {
    timer: Box<dyn Timer>,
    at: Instant,
}

/// What became of a call to be woken.
struct Armed(AtomicU8);

const PENDING: u8 = 0;
/// It was woken, or is not to be.
const OVER: u8 = 1;
/// The runtime was shut down before, or cannot sleep.
const LOST: u8 = 2;

impl Armed {
    /// Whether this ended it.
    fn end(&self, state: u8) -> bool {
        self.0.compare_exchange(PENDING, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
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

    /// Ends the task that sleeps, and tells whether its runtime can be trusted with the next.
    fn end_task(&mut self, now: Instant) -> bool {
        let Some(Task { armed, abort, due }) = self.task.take() else { return true };
        let was_pending = armed.end(OVER);
        abort.abort();
        if was_pending {
            return now < due + GRACE / 2;
        }
        let is_lost = armed.0.load(Ordering::Acquire) == LOST;
        if is_lost {
            self.unfit = self.runtime.as_ref().map(Handle::id);
        }
        // It sleeps no less than it is asked to; but its time may run faster than ours.
        !is_lost && due <= now
    }

    /// Arms the default timer for an instant, unless it will fire soon after that as it is.
    fn arm_other(&mut self, now: Instant, at: Instant, soon: Duration, waker: &Waker) {
        if self.other.as_ref().is_some_and(|other| now < other.at && other.at <= at + soon) {
            return;
        }
        let wait = u64::try_from(at.saturating_duration_since(now).as_nanos()).unwrap_or(u64::MAX);
        let other = self.other.get_or_insert_with(|| Other { timer: default_timer(), at });
        other.timer.arm(0, wait, waker);
        other.at = at;
    }
}

impl Timer for TokioTimer {
    fn arm(&mut self, now_ns: u64, at_ns: u64, waker: &Waker) {
        // Beyond the system's clock is as good as never.
        const NEVER: Duration = Duration::from_secs(1 << 32);
        let now = Instant::now();
        let due = now + Duration::from_nanos(at_ns.saturating_sub(now_ns)).min(NEVER);
        let trusted = self.end_task(now);
        if let Ok(runtime) = Handle::try_current() {
            self.runtime = Some(runtime).filter(|runtime| Some(runtime.id()) != self.unfit);
        }
        let Some(runtime) = self.runtime.clone().filter(|_| trusted) else {
            self.runtime = None;
            return self.arm_other(now, due, Duration::ZERO, waker);
        };
        let armed = Arc::new(Armed(AtomicU8::new(PENDING)));
        let guard = Guard { armed: armed.clone(), waker: waker.clone() };
        let task = runtime.spawn(async move {
            tokio::time::sleep_until(due.into()).await;
            if guard.armed.end(OVER) {
                guard.waker.wake_by_ref();
            }
        });
        self.task = Some(Task { armed, abort: task.abort_handle(), due });
        self.arm_other(now, due + GRACE, GRACE, waker);
    }
}

impl Drop for TokioTimer {
    fn drop(&mut self) {
        self.end_task(Instant::now());
    }
}

impl fmt::Debug for TokioTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioTimer").field("in_runtime", &self.runtime.is_some()).finish_non_exhaustive()
    }
}
