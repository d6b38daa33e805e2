//! The default timer: one thread, which serves all limiters of a process.

use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::Timer;
use super::timer_queue::{TimerQueue, TimerSlot};
use crate::sync::ignore_panic;

/// The thread ends after this time without a waker to wake, and the next arming starts another.
const IDLE: Duration = Duration::from_secs(10);

static THREAD: LazyLock<TimerThread> = LazyLock::new(|| TimerThread {
    origin: Instant::now(),
    state: Mutex::new(State { queue: TimerQueue::new(), process: None, sleeps_until: None }),
    changed: Condvar::new(),
});

struct TimerThread {
    /// The origin of the queue's instants, which are in nanoseconds.
    origin: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    queue: TimerQueue,
    /// The process in which the thread runs. A forked child has the queue, but not the thread.
    process: Option<u32>,
    /// The instant until which the thread sleeps; `None` while it is awake.
    sleeps_until: Option<u64>,
}

impl TimerThread {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Arms a slot: replaces its waker.
    fn arm(&'static self, slot: &mut TimerSlot, wait: u64, waker: Waker) {
        let at = self.now().saturating_add(wait);
        let mut state = self.lock();
        let replaced = state.queue.remove(slot);
        state.queue.insert(slot, at, waker);
        let process = std::process::id();
        let must_start = state.process.replace(process) != Some(process);
        let must_wake = state.sleeps_until.is_some_and(|until| at < until);
        if must_start || must_wake {
            state.sleeps_until = None;
        }
        drop(state);
        drop(replaced);
        if must_start {
            self.start();
        } else if must_wake {
            self.changed.notify_one();
        }
    }

    /// # Panics
    ///
    /// Panics if the system refuses another thread.
    fn start(&'static self) {
        let thread = std::thread::Builder::new().name("brimful-timer".to_owned());
        if let Err(error) = thread.spawn(|| self.run()) {
            self.lock().process = None;
            panic!("cannot start the timer thread: {error}");
        }
    }

    fn run(&self) {
        wake_on_time();
        let mut state = self.lock();
        loop {
            let now = self.now();
            // All that are due now, before those that are armed meanwhile.
            let due = state.queue.pop_all(now);
            if !due.is_empty() {
                drop(state);
                // A waker that panics must not end the thread.
                due.into_iter().for_each(|waker| ignore_panic(|| waker.wake()));
                state = self.lock();
                continue;
            }
            let next = state.queue.first();
            state.sleeps_until = Some(next.unwrap_or(u64::MAX));
            let wait = next.map_or(IDLE, |next| Duration::from_nanos(next - now));
            let (woken, slept) = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.sleeps_until = None;
            if slept.timed_out() && state.queue.first().is_none() {
                state.process = None;
                return;
            }
        }
    }
}

/// Asks Linux to wake this thread on time, instead of up to 50 µs later, as it does by default to
/// save power. If that is not permitted, the thread is late by so much.
fn wake_on_time() {
    if !cfg!(target_os = "linux") {
        return;
    }
    if let Ok(thread) = std::fs::read_link("/proc/thread-self") {
        if let Some(id) = thread.file_name() {
            let _ = std::fs::write(std::path::Path::new("/proc").join(id).join("timerslack_ns"), "1");
        }
    }
}

/// A timer of limiters whose clock has none, and whose builder was given none.
struct DefaultTimer(TimerSlot);

pub(crate) fn default_timer() -> Box<dyn Timer> {
    Box::new(DefaultTimer(THREAD.lock().queue.join()))
}

impl Timer for DefaultTimer {
    fn arm(&mut self, now_ns: u64, at_ns: u64, waker: &Waker) {
        THREAD.arm(&mut self.0, at_ns.saturating_sub(now_ns), waker.clone());
    }
}

impl Drop for DefaultTimer {
    fn drop(&mut self) {
        let waker = THREAD.lock().queue.remove(&mut self.0);
        drop(waker);
    }
}
