//! A clock that is read in a load, and moved on by somebody else.

use std::fmt;
use std::io;
#[cfg(feature = "wait")]
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
#[cfg(feature = "wait")]
use std::task::{Wake, Waker};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_utils::CachePadded;

#[cfg(feature = "wait")]
use super::Timer;
use super::{Clock, QuantaClock};

/// A clock that tells what [`QuantaClock`] read when it was last moved on: a load, instead of
/// the counter, where decisions are so many that this counts. It is moved on by a
/// [`CoarseUpkeep`]: a thread, or an event loop, each time around. While none lives, it reads
/// [`QuantaClock`] itself.
///
/// It is a handle without state: all of them tell the same time.
///
/// # What holds for it
///
/// A reading is behind by at most σ. With a thread, that is its interval, and what it comes late,
/// which is up to the operating system (typically 0.1 ms where cores are free); by hand, the longest
/// time between two refreshes. It is never ahead, but for what the cores' counters differ by
/// ([`clock_health`](crate::clock_health)).
///
/// The limiter is exact for what it reads. In real time it admits in no window more than
/// `burst + rate × (window + σ)`, since what is admitted in a window has readings in one that
/// begins at most σ earlier. What is earned is seen up to σ late: who comes back after a
/// `retry_after` may be told to wait up to σ more, and timeouts are off by as much. A burst smaller
/// than what is earned in σ caps the rate at one burst per σ. Those who wait are woken by the precise
/// time, which then moves this clock on.
///
/// The operating systems' own coarse clocks would be no better: to ask them takes about as long
/// as the counter, and they go on every 1 to 16 ms.
///
/// # Examples
///
/// ```
/// use brimful::{CoarseClock, CoarseUpkeep, Quota, RateLimiter};
/// use std::time::Duration;
///
/// // For as long as it lives.
/// let _upkeep = CoarseUpkeep::start(Duration::from_millis(1))?;
///
/// let limiter = RateLimiter::with_clock(Quota::per_second(1_000_000), CoarseClock);
/// assert!(limiter.allow());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CoarseClock;

/// What the clocks tell; zero while nobody moves it on.
static TIME: CachePadded<AtomicU64> = CachePadded::new(AtomicU64::new(0));

/// How many upkeeps live.
static LIVE: Mutex<usize> = Mutex::new(0);

impl Clock for CoarseClock {
    #[inline]
    fn now(&self) -> u64 {
        // Relaxed: a clock orders nothing.
        match TIME.load(Ordering::Relaxed) {
            0 => precise(),
            now => now,
        }
    }

    #[cfg(feature = "wait")]
    fn timer(&self) -> Option<Box<dyn Timer>> {
        Some(Box::new(Punctual(super::default_timer())))
    }
}

/// A timer by the precise time, which moves the coarse one on before it wakes.
#[cfg(feature = "wait")]
struct Punctual(Box<dyn Timer>);

#[cfg(feature = "wait")]
impl Timer for Punctual {
    fn arm(&mut self, _: u64, at_ns: u64, waker: &Waker) {
        self.0.arm(QuantaClock.now(), at_ns, &Waker::from(Arc::new(Strike(waker.clone()))));
    }
}

#[cfg(feature = "wait")]
struct Strike(Waker);

#[cfg(feature = "wait")]
impl Wake for Strike {
    fn wake(self: Arc<Self>) {
        // Under the lock: after the last upkeep has gone, nobody would move it on again.
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

#[cold]
#[inline(never)]
fn precise() -> u64 {
    QuantaClock.now()
}

/// Moves [`CoarseClock`] on, for as long as it lives. Where there are several, whichever comes first
/// does; while one by hand lives and nobody refreshes it, and no thread is there, the time stands still
/// for all. After a `fork`, start one anew.
///
/// # Examples
///
/// An event loop keeps the time by itself:
///
/// ```
/// use brimful::{Clock, CoarseClock, CoarseUpkeep};
///
/// let upkeep = CoarseUpkeep::by_hand();
/// let began = CoarseClock.now();
/// for _event in 0..3 {
///     upkeep.refresh();
///     // All that is decided until the next time around is decided as of now.
/// }
/// assert!(CoarseClock.now() >= began);
/// ```
#[must_use = "the time is kept for as long as this lives"]
pub struct CoarseUpkeep {
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

impl CoarseUpkeep {
    /// Starts a thread that moves the time on every so often; 0.1 to 1 ms is usual. It takes about
    /// a microsecond of CPU time each time, and ends when this is dropped.
    ///
    /// # Errors
    ///
    /// An interval of zero; and where the system has no thread to give.
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

    /// One that moves the time on when it is told to: now, and by [`refresh`](CoarseUpkeep::refresh).
    pub fn by_hand() -> Self {
        *live() += 1;
        move_on();
        CoarseUpkeep { thread: None }
    }

    /// Moves the time on. Call it where an event loop begins anew, before anything is decided.
    pub fn refresh(&self) {
        move_on();
    }
}

impl fmt::Debug for CoarseUpkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoarseUpkeep").field("by_hand", &self.thread.is_none()).finish()
    }
}

/// The time is now, unless another thread was faster.
fn move_on() {
    TIME.fetch_max(QuantaClock.now(), Ordering::Relaxed);
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
            // Nobody moves it on any longer: an upkeep that is made meanwhile waits for the lock.
            TIME.store(0, Ordering::Relaxed);
        }
    }
}
