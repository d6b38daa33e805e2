//! A clock whose reading is one load. An upkeep moves it on.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use super::Timer;
use super::{Clock, QuantaClock};

/// A clock that returns the reading of [`QuantaClock`] at which it was last moved on. A reading is
/// one load, which is cheaper than a reading of the counter.
///
/// A [`CoarseUpkeep`] moves the clock on: a thread does so at an interval, or an event loop in each
/// of its turns. While no upkeep lives, each reading is a reading of [`QuantaClock`], and costs a
/// compare-exchange more than that.
///
/// `CoarseClock` is a handle without state: all handles return the same time.
///
/// # Guarantees
///
/// - **The clock is monotonic**, also across threads, and also when an upkeep starts, stops or starts
///   again: a reading that happens after another is never lower. If the counters of two cores differ,
///   the clock stands still until the slower counter has caught up.
/// - **A reading is at most σ behind.** With a thread, σ is the interval and the time by which the
///   operating system runs the thread late (typically 0.1 ms if a core is free). By hand, σ is the
///   longest time between two refreshes. While no upkeep lives, σ is zero.
/// - **A reading is never ahead**, except by the difference of the cores' counters
///   ([`clock_health`](crate::clock_health)).
///
/// A limiter is exact for the readings of its clock. In real time it admits in no window more than
/// `burst + rate × (window + σ)`, because calls that are admitted in a window have readings in a
/// window that begins at most σ earlier. Tokens are seen up to σ after they were earned: a call
/// that comes back after its `retry_after` may be refused for up to σ more, and timeouts are off by
/// up to σ. A burst that is smaller than the tokens earned in σ limits the rate to one burst per σ.
/// Waiters are woken by the precise time, which then moves this clock on.
///
/// The coarse clocks of operating systems would be no better: a reading of them takes about as long
/// as a reading of the counter, and they move every 1 to 16 ms.
///
/// # Examples
///
/// ```
/// use brimful::{CoarseClock, CoarseUpkeep, Quota, RateLimiter};
/// use std::time::Duration;
///
/// // Moves the clock on until it is dropped.
/// let _upkeep = CoarseUpkeep::start(Duration::from_millis(1))?;
///
/// let limiter = RateLimiter::with_clock(Quota::per_second(1_000_000), CoarseClock);
/// assert!(limiter.allow());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CoarseClock;

static TIME: Time = Time::new();

/// The number of upkeeps that live.
static LIVE: Mutex<usize> = Mutex::new(0);

/// The latest reading, and whether an upkeep moves it on:
///
/// ```text
///  63    62 …… 0
/// ┌──────┬──────────────────────────────────┐
/// │ kept │ nanoseconds: they never decrease │
/// └──────┴──────────────────────────────────┘
/// ```
///
/// All accesses are relaxed: the only promise is about this one word. The changes of one word have
/// one order, and readings that happen one after the other follow it.
struct Time(CachePadded<AtomicU64>);

const KEPT: u64 = 1 << 63;

impl Time {
    const fn new() -> Self {
        Time(CachePadded::new(AtomicU64::new(0)))
    }

    /// Returns the latest reading while an upkeep lives; otherwise the precise time, or the latest
    /// reading if that is later.
    #[inline]
    fn read(&self, precise: impl FnOnce() -> u64) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            kept if kept & KEPT != 0 => kept & !KEPT,
            _ => self.read_precisely(precise),
        }
    }

    /// Reads the precise time, and records it so that no later reading is lower. A later reading
    /// could be lower on a core whose counter is behind, or after an upkeep began with a time that
    /// it had read earlier.
    #[cold]
    #[inline(never)]
    fn read_precisely(&self, precise: impl FnOnce() -> u64) -> u64 {
        let now = precise() & !KEPT;
        // A kept word is greater than any other word, and stays as it is.
        let before = self.0.fetch_max(now, Ordering::Relaxed);
        if before & KEPT != 0 { before & !KEPT } else { before.max(now) }
    }

    /// Moves the kept time on, or begins to keep the time.
    fn keep(&self, now: u64) {
        let later = |word: u64| Some(KEPT | (word & !KEPT).max(now & !KEPT));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    /// Ends the keeping that [`keep`](Time::keep) began.
    fn let_go(&self) {
        self.0.fetch_and(!KEPT, Ordering::Relaxed);
    }
}

impl Clock for CoarseClock {
    #[inline]
    fn now(&self) -> u64 {
        TIME.read(|| QuantaClock.now())
    }

    fn timer(&self) -> Option<Box<dyn Timer>> {
        Some(Box::new(Punctual(super::default_timer())))
    }
}

/// A timer on the precise time. It moves the coarse time on before it wakes a waiter.
struct Punctual(Box<dyn Timer>);

impl Timer for Punctual {
    fn arm(&mut self, _: u64, at_ns: u64, waker: &Waker) {
        self.0.arm(QuantaClock.now(), at_ns, &Waker::from(Arc::new(Strike(waker.clone()))));
    }

    fn slack(&self) -> Duration {
        self.0.slack()
    }
}

struct Strike(Waker);

impl Wake for Strike {
    fn wake(self: Arc<Self>) {
        // Under the lock: after the last upkeep is gone, no other upkeep would move the time on
        // again.
        let live = live();
        if *live > 0 {
            move_on();
        }
        drop(live);
        self.0.wake_by_ref();
    }
}

fn live() -> MutexGuard<'static, usize> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Moves [`CoarseClock`] on until it is dropped.
///
/// If several upkeeps live, each of them moves the clock on. If an upkeep by hand lives that is not
/// refreshed, and no upkeep with a thread, the time stands still for all handles. After a `fork`,
/// start another upkeep in the child.
///
/// # Examples
///
/// An event loop moves the time on:
///
/// ```
/// use brimful::{Clock, CoarseClock, CoarseUpkeep};
///
/// let upkeep = CoarseUpkeep::by_hand();
/// let began = CoarseClock.now();
/// for _event in 0..3 {
///     upkeep.refresh();
///     // Every decision until the next refresh is made as of now.
/// }
/// assert!(CoarseClock.now() >= began);
/// ```
#[must_use = "the time is kept for as long as this lives"]
pub struct CoarseUpkeep {
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

impl CoarseUpkeep {
    /// Starts a thread that moves the time on at this interval; 0.1 to 1 ms is usual. The thread takes
    /// about a microsecond of CPU time at each interval, and ends when the upkeep is dropped.
    ///
    /// # Errors
    ///
    /// The interval is zero, or the system cannot start a thread.
    pub fn start(every: Duration) -> io::Result<Self> {
        if every.is_zero() {
            let message = "the time cannot be moved on every 0 ns: 1 ms is usual";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let mut upkeep = CoarseUpkeep::by_hand();
        let (stop, stopped) = mpsc::channel();
        let run = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(every) {
                move_on();
            }
        };
        let thread = Builder::new().name("brimful coarse clock".into()).spawn(run)?;
        upkeep.thread = Some((stop, thread));
        Ok(upkeep)
    }

    /// Returns an upkeep without a thread. It moves the time on now, and at each
    /// [`refresh`](CoarseUpkeep::refresh).
    pub fn by_hand() -> Self {
        *live() += 1;
        move_on();
        CoarseUpkeep { thread: None }
    }

    /// Moves the time on. Call it at the start of each turn of an event loop, before any decision.
    pub fn refresh(&self) {
        move_on();
    }
}

impl fmt::Debug for CoarseUpkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoarseUpkeep").field("by_hand", &self.thread.is_none()).finish()
    }
}

/// Sets the time to now, unless another thread has set a later one. Called only while an upkeep
/// lives.
fn move_on() {
    TIME.keep(QuantaClock.now());
}

impl Drop for CoarseUpkeep {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            let _ = thread.join();
        }
        let mut live = live();
        *live -= 1;
        if *live == 0 {
            // No upkeep moves the time on any longer. An upkeep that is made meanwhile waits for
            // the lock.
            TIME.let_go();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Step {
        /// A reading while the precise time is this, and the result.
        Read(u64, u64),
        Keep(u64),
        LetGo,
    }
    use Step::{Keep, LetGo, Read};

    fn check(steps: &[Step]) {
        let time = Time::new();
        for (place, step) in steps.iter().enumerate() {
            match *step {
                Read(precise, expected) => assert_eq!(time.read(|| precise), expected, "step {place}"),
                Keep(now) => time.keep(now),
                LetGo => time.let_go(),
            }
        }
    }

    #[test]
    fn an_upkeep_that_read_the_time_early_begins_with_the_latest_reading() {
        check(&[Read(100, 100), Keep(90), Read(0, 100), Keep(99), Read(0, 100), Keep(101), Read(0, 101)]);
    }

    #[test]
    fn a_core_that_is_behind_reads_the_latest_reading() {
        check(&[Read(100, 100), Read(40, 100), Read(101, 101)]);
        check(&[Keep(100), LetGo, Read(40, 100), Read(101, 101)]);
    }

    #[test]
    fn an_upkeep_that_starts_again_goes_on_from_the_latest_reading() {
        check(&[Keep(100), LetGo, Keep(60), Read(0, 100), LetGo, Read(110, 110), Keep(105), Read(0, 110)]);
    }

    #[test]
    fn a_reading_during_which_an_upkeep_starts_is_the_upkeeps() {
        let time = Time::new();
        let read = time.read(|| {
            time.keep(50);
            60
        });
        assert_eq!((read, time.read(|| 0)), (50, 50));
    }

    #[test]
    fn the_time_is_not_ahead_of_what_was_read() {
        check(&[Keep(100), Read(500, 100), LetGo, Read(500, 500)]);
    }
}
