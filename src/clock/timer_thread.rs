//! The default timer: one thread, which serves all limiters of a process.

use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::Timer;
use super::timer_queue::{TimerQueue, TimerSlot};
use crate::sync::ignore_panic;

/// The idle time of the process's thread. The next arming starts another thread.
const IDLE: Duration = Duration::from_secs(10);

static THREAD: LazyLock<TimerThread> = LazyLock::new(|| TimerThread::new(IDLE));

struct TimerThread {
    /// The time after which the thread ends if no waker is armed.
    idle: Duration,
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
    fn new(idle: Duration) -> Self {
        TimerThread {
            idle,
            origin: Instant::now(),
            state: Mutex::new(State { queue: TimerQueue::new(), process: None, sleeps_until: None }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Arms a slot: replaces its waker.
    fn arm(&'static self, slot: &mut TimerSlot, wait: u64, waker: Waker) {
        let (at, process) = (self.now().saturating_add(wait), std::process::id());
        let mut state = self.lock();
        let replaced = state.queue.remove(slot);
        state.queue.insert(slot, at, waker);
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
            let mut state = self.lock();
            state.process = None;
            // Other threads have relied on this one. Their queues arm again.
            let armed = state.queue.pop_all(u64::MAX);
            drop(state);
            armed.into_iter().for_each(|waker| ignore_panic(|| waker.wake()));
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
            let wait = next.map_or(self.idle, |next| Duration::from_nanos(next - now));
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::resume_unwind;
    use std::sync::{Arc, mpsc};
    use std::task::Wake;
    use std::thread::{self, ThreadId};

    /// A test fails after this time, instead of waiting for ever.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Sends the id of the thread that wakes it.
    struct Report(mpsc::Sender<ThreadId>);

    impl Wake for Report {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(thread::current().id());
        }
    }

    /// Panics when it is woken, without the panic's message.
    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            resume_unwind(Box::new("woken"));
        }
    }

    fn timer(idle: Duration) -> &'static TimerThread {
        Box::leak(Box::new(TimerThread::new(idle)))
    }

    /// Arms a slot, and returns the thread that wakes its waker.
    fn woken_by(timer: &'static TimerThread, wait: Duration) -> ThreadId {
        let (sender, woken) = mpsc::channel();
        let mut slot = timer.lock().queue.join();
        timer.arm(&mut slot, wait.as_nanos() as u64, Waker::from(Arc::new(Report(sender))));
        woken.recv_timeout(PATIENCE).expect("the thread wakes the waker")
    }

    /// Yields until the thread has ended.
    fn wait_for_end(timer: &TimerThread) {
        let start = Instant::now();
        while timer.lock().process.is_some() {
            assert!(start.elapsed() < PATIENCE, "the thread ends");
            thread::yield_now();
        }
    }

    /// Bugs that were planted: the thread ends without a change of `process`; the thread ends after its
    /// idle time although a waker is armed.
    #[test]
    fn the_thread_ends_when_it_is_idle_and_the_next_wait_starts_another() {
        let idle = Duration::from_millis(1);
        let timer = timer(idle);
        let first = woken_by(timer, 10 * idle);
        wait_for_end(timer);
        let second = woken_by(timer, Duration::ZERO);
        assert_ne!(first, second);
        wait_for_end(timer);
    }

    #[test]
    fn one_thread_serves_waits_that_follow_each_other() {
        let timer = timer(PATIENCE);
        let first = woken_by(timer, Duration::ZERO);
        assert_eq!(woken_by(timer, Duration::from_millis(1)), first);
    }

    /// Bug that was planted: a panic of a waker is not caught.
    #[test]
    fn a_waker_that_panics_does_not_end_the_thread() {
        let timer = timer(PATIENCE);
        let first = woken_by(timer, Duration::ZERO);
        for _ in 0..2 {
            let mut slot = timer.lock().queue.join();
            timer.arm(&mut slot, 0, Waker::from(Arc::new(Panics)));
        }
        assert_eq!(woken_by(timer, Duration::from_millis(1)), first);
        assert!(timer.lock().queue.first().is_none(), "the wakers that panic were woken");
    }
}
