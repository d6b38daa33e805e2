//! The timer for tokio's runtimes.

use std::fmt;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::courier::{Courier, Place};
use super::{Timer, default_timer};

/// A timer that wakes waiters from within a tokio runtime. To wake many tasks of the runtime costs
/// less from within than from another thread.
///
/// The timer lives in the runtime in which the first waiter, or the last one that was served, was
/// polled. When a waiter is due, the default timer calls one task of that runtime, and the task wakes
/// the waiters. The runtime needs no time driver. Outside of any runtime, and after the runtime was shut
/// down, the default timer wakes the waiters itself.
///
/// # Lateness
///
/// A lone waiter is served as soon as the default timer has fired and the runtime has run the task:
/// tokio's own timers, which have a resolution of a millisecond, are not involved. A lone task on a
/// bucket with a burst of 1 reached 0.98 of the rate at 50/s, 0.95 at 200/s and at 500/s, 0.92 at
/// 1000/s and 0.86 at 5000/s; with the default timer it reached 0.99, 0.98, 0.97, 0.93 and 0.86
/// (two busy virtual cores; one task in place of the crowd of `cargo xtask bench waiting`). Waiters that
/// are due within two milliseconds of each other are served by one wake, up to two milliseconds late,
/// but never so late that tokens are lost.
///
/// # A runtime that is not driven
///
/// If the runtime has not run the task 100 ms after it was called (`block_on` has returned, or its
/// thread is blocked), the default timer wakes the waiters itself, until the runtime runs again. At most
/// one task per runtime waits to be run, whatever the number of limiters, keys and waits.
///
/// # Paused time
///
/// If the runtime's time is paused (`tokio::time::pause`), the timer compares the limiter's clock
/// with it. A clock that reads `tokio::time::Instant` moves with it, and then a sleep of tokio's wakes the
/// waiters: the runtime advances its time to that instant when it is idle, rounded up to a millisecond.
/// Any other clock, such as the default one, goes on in real time; its waiters are served in real time,
/// and their waits do not move tokio's time. Pause the time before the first wait: a wait that has
/// already begun is served when its real time is over, or at the next call on its bucket. While a sleep of
/// tokio's is to wake the waiters, the default timer does not: the runtime must be driven.
///
/// # Panics
///
/// If time is paused in a runtime without a time driver, tokio's sleep panics in the task. tokio
/// has no way to ask for a time driver.
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
    /// The default timer, which calls the runtime when the first waiter is due.
    alarm: Option<Alarm>,
    /// The default timer, which wakes the queue itself if the runtime does not.
    guard: Option<Alarm>,
    /// The place in the runtime in which the timer was armed last.
    seat: Option<Seat>,
}

/// The time that a runtime has to wake the queue before the default timer does.
const GRACE: Duration = Duration::from_millis(100);

/// The slack of the timer: to wake a thread of the runtime costs more than to grant ten tokens.
const SLACK: Duration = Duration::from_millis(2);

/// The default timer, and the instant that it was armed for.
struct Alarm {
    timer: Box<dyn Timer>,
    at: Instant,
}

impl Alarm {
    /// Arms the timer for an instant, and makes the timer if there is none. Leaves the timer as it
    /// is if it will fire at most `soon` after that instant.
    fn arm(alarm: &mut Option<Alarm>, now: Instant, at: Instant, soon: Duration, waker: &Waker) {
        if alarm.as_ref().is_some_and(|alarm| now < alarm.at && alarm.at <= at + soon) {
            return;
        }
        let wait = u64::try_from(at.saturating_duration_since(now).as_nanos()).unwrap_or(u64::MAX);
        let alarm = alarm.get_or_insert_with(|| Alarm { timer: default_timer(), at });
        alarm.timer.arm(0, wait, waker);
        alarm.at = at;
    }
}

/// A timer's place in a runtime.
struct Seat {
    ring: Arc<Ring>,
    waker: Waker,
    /// The times at the last arming; `None` if tokio's time was not paused.
    seen: Option<Seen>,
}

/// A waker that the default timer wakes. It wakes the queue from within the runtime.
struct Ring {
    courier: Arc<Courier>,
    place: Place,
    bell: Waker,
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.courier.call(&self.place, &self.bell, GRACE) {
            self.bell.wake_by_ref();
        }
    }
}

/// The readings of three clocks when the timer was armed.
#[derive(Clone, Copy)]
struct Seen {
    limiter: u64,
    tokio: tokio::time::Instant,
    system: Instant,
}

/// The time that the limiter's clock follows, as far as two readings of it show.
enum Pace {
    Real,
    Tokio,
    Unknown,
}

impl Seen {
    /// Compares the times that have passed since the previous arming. Decides for tokio's time only
    /// if it is much closer to the limiter's: a clock that stands still for a while, as a coarse
    /// one does, is recognised at a later arming.
    fn pace(self, before: Option<Seen>) -> Pace {
        let Some(before) = before else { return Pace::Unknown };
        let limiter = Duration::from_nanos(self.limiter.saturating_sub(before.limiter));
        let tokio = self.tokio.saturating_duration_since(before.tokio);
        let system = self.system.saturating_duration_since(before.system);
        if limiter.abs_diff(tokio) + system / 2 < limiter.abs_diff(system) { Pace::Tokio } else { Pace::Real }
    }
}

impl Seat {
    fn new(courier: Arc<Courier>, bell: &Waker) -> Self {
        let ring = Arc::new(Ring { place: courier.join(), courier, bell: bell.clone() });
        Seat { waker: Waker::from(ring.clone()), ring, seen: None }
    }

    /// Arms tokio's own timer and returns `true`, if tokio's time is paused and the limiter's clock
    /// follows it. If that is not known yet, makes the queue arm the timer again at once, with a
    /// second reading. Meanwhile the runtime is not idle, and does not advance its time.
    fn arm_on_tokio(&mut self, now: Instant, now_ns: u64, wait: Duration) -> bool {
        let tokio = tokio::time::Instant::now();
        if (now..=Instant::now()).contains(&tokio.into_std()) || tokio != tokio::time::Instant::now() {
            self.seen = None;
            return false;
        }
        let seen = Seen { limiter: now_ns, tokio, system: now };
        let pace = seen.pace(self.seen.replace(seen));
        let Ring { courier, place, bell } = &*self.ring;
        match pace {
            Pace::Real => false,
            Pace::Tokio => courier.call_at(place, tokio + wait, bell),
            Pace::Unknown => {
                courier.call(place, bell, GRACE);
                // The runtime may not be driven.
                false
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.ring.courier.leave(&self.ring.place);
    }
}

impl TokioTimer {
    /// Returns a timer, to be given to [`RateLimiterBuilder::timer`](crate::RateLimiterBuilder::timer).
    #[must_use]
    pub fn new() -> Self {
        TokioTimer::default()
    }

    /// Takes a seat in the runtime, or keeps the present seat.
    fn sit(&mut self, runtime: Option<Handle>, bell: &Waker) -> Option<&mut Seat> {
        if let Some(runtime) = runtime {
            let fits = |seat: &Seat| seat.ring.courier.runtime() == runtime.id() && seat.ring.bell.will_wake(bell);
            if !self.seat.as_ref().is_some_and(fits) {
                // The alarm would call the previous runtime.
                self.alarm = None;
                self.seat = Some(Seat::new(Courier::of(runtime), bell));
            }
        }
        self.seat.as_mut().filter(|seat| !seat.ring.courier.is_lost() && seat.ring.bell.will_wake(bell))
    }
}

impl Timer for TokioTimer {
    fn arm(&mut self, now_ns: u64, at_ns: u64, waker: &Waker) {
        // An instant beyond the range of the system's clock is as good as never.
        const NEVER: Duration = Duration::from_secs(1 << 32);
        let now = Instant::now();
        let wait = Duration::from_nanos(at_ns.saturating_sub(now_ns)).min(NEVER);
        let due = now + wait;
        let runtime = Handle::try_current().ok();
        let is_within = runtime.is_some();
        let Some(seat) = self.sit(runtime, waker) else {
            return Alarm::arm(&mut self.alarm, now, due, Duration::ZERO, waker);
        };
        if is_within && seat.arm_on_tokio(now, now_ns, wait) {
            // The threads of these timers would read the clock outside of the runtime, in which
            // alone the time is paused.
            (self.alarm, self.guard) = (None, None);
            return;
        }
        let ring = seat.waker.clone();
        Alarm::arm(&mut self.alarm, now, due, Duration::ZERO, &ring);
        Alarm::arm(&mut self.guard, now, due + GRACE, GRACE, waker);
    }

    fn slack(&self) -> Duration {
        SLACK
    }
}

impl fmt::Debug for TokioTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioTimer").field("in_runtime", &self.seat.is_some()).finish_non_exhaustive()
    }
}
