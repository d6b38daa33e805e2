//! The dispatcher: runs one dispatch at a time, arms the timer, and is woken by the timer.
//!
//! Each queue has a dispatcher. The timer that all queues of a table share
//! ([`SharedTimer`](super::shared_timer::SharedTimer)) has one too.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::clock::Timer;
use crate::sync::{AtomicU64, Mutex, Ordering, ignore_panic, lock, yield_now};
use crate::word::Reading;

use super::driver::TimeDriver;

/// One request for a dispatch.
const REQUEST: u64 = 1;

/// One request for a dispatch, made by the timer.
const FIRED: u64 = 1 << 32;

/// The shortest time, in nanoseconds, between two dispatches if the clock stands still.
const SELDOM: u64 = 1_000_000;

/// An object that the dispatcher works on, one dispatch at a time.
pub(crate) trait Dispatch: Send + Sync + 'static {
    fn dispatcher(&self) -> &Dispatcher;

    /// Returns `None` if no caller has ever waited.
    fn drive(&self) -> Option<&TimeDriver>;

    /// Makes one pass. `slack` is that of the timer. `fired` is `true` if the timer has fired since
    /// the pass before.
    fn look(&self, drive: &TimeDriver, slack: Duration, fired: bool) -> Pass;

    /// Gives up after repeated panics, and [closes](Dispatcher::close) the dispatcher: no timer is
    /// armed, and the next call has to dispatch.
    fn give_up(&self);
}

/// The result of one pass.
pub(crate) struct Pass {
    pub(crate) now: Reading,
    /// The instant at which the next pass is due.
    pub(crate) next: Option<Reading>,
    pub(crate) woken: Vec<Waker>,
}

pub(crate) struct Dispatcher {
    /// The requests since the running dispatch began; zero if no dispatch runs. The upper half
    /// counts the requests by the timer.
    calls: AtomicU64,
    armed_timer: Mutex<ArmedTimer>,
    timer_waker: Waker,
}

/// The timer, and the instants for which it is armed.
#[derive(Default)]
struct ArmedTimer {
    timer: Option<Box<dyn Timer>>,
    /// The reading at which the timer was armed, and the instant for which it was armed.
    armed: Option<(Reading, Reading)>,
    /// Set if the clock had not moved when the timer last fired.
    clock_stalled: bool,
}

/// The waker that the timer wakes.
struct TimerWaker<P>(Weak<P>);

impl<P: Dispatch> Wake for TimerWaker<P> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(object) = self.0.upgrade().filter(|object| object.dispatcher().call(FIRED)) {
            // The clock and the timer are user code, and the thread belongs to other code: a panic
            // must not reach it.
            ignore_panic(|| run(&*object));
        }
    }
}

impl Dispatcher {
    pub(crate) fn new<P: Dispatch>(object: Weak<P>) -> Self {
        let timer_waker = Waker::from(Arc::new(TimerWaker(object)));
        Dispatcher { calls: AtomicU64::new(0), armed_timer: Mutex::new(ArmedTimer::default()), timer_waker }
    }

    /// Requests a dispatch. If this returns `true`, the caller has to [`run`] it.
    pub(crate) fn request(&self) -> bool {
        self.call(REQUEST)
    }

    fn call(&self, call: u64) -> bool {
        self.calls.fetch_add(call, Ordering::AcqRel) == 0
    }

    /// Swaps the timer between the dispatcher and the running dispatch. The dispatch holds the
    /// timer outside the lock, because a timer may wake from within `arm`, or panic.
    fn exchange(&self, armed_timer: &mut ArmedTimer) {
        std::mem::swap(&mut *lock(&self.armed_timer), armed_timer);
    }

    /// Ends the running dispatch and discards all requests.
    pub(crate) fn close(&self) {
        self.calls.store(0, Ordering::Release);
    }

    /// Returns whether a dispatch is running or requested.
    pub(crate) fn is_busy(&self) -> bool {
        self.calls.load(Ordering::Acquire) != 0
    }
}

/// Runs a dispatch. If one is running already, it makes one more pass instead.
pub(super) fn notify<P: Dispatch>(object: &P) {
    if object.dispatcher().request() {
        run(object);
    }
}

/// Makes passes until no new request has arrived, and wakes the waiters that were served.
///
/// After a panic, the pass is made again; otherwise one failure would leave the waiters without a
/// timer. A panic that repeats each time is passed on.
pub(crate) fn run<P: Dispatch>(object: &P) {
    const TRIES: u32 = 3;
    let mut guard = PassGuard::default();
    for tries in 1..=TRIES {
        let look = catch_unwind(AssertUnwindSafe(|| guard.look(object)));
        wake(std::mem::take(&mut guard.woken));
        let Err(panic) = look else { return };
        // The old timer may be in any state after a panic, so the next pass makes a new timer.
        let armed_timer = std::mem::take(&mut guard.armed_timer);
        ignore_panic(|| drop(armed_timer));
        if tries == TRIES {
            object.give_up();
            resume_unwind(panic);
        }
        std::mem::forget(panic);
    }
}

/// The timer and the wakers that the running dispatch holds. They outlive a pass that panics,
/// because user code may do anything when it is dropped during a panic.
#[derive(Default)]
struct PassGuard {
    armed_timer: ArmedTimer,
    woken: Vec<Waker>,
}

impl PassGuard {
    fn look<P: Dispatch>(&mut self, object: &P) {
        let (dispatcher, mut before) = (object.dispatcher(), 0);
        let Some(drive) = object.drive() else { return dispatcher.close() };
        loop {
            dispatcher.exchange(&mut self.armed_timer);
            let seen = dispatcher.calls.load(Ordering::Acquire);
            let fired = seen / FIRED != before / FIRED;
            before = seen;
            let slack = self.armed_timer.timer.get_or_insert_with(|| drive.timer()).slack();
            let Pass { now, next, woken } = object.look(drive, slack, fired);
            self.woken.extend(woken);
            self.armed_timer.set(now, next, fired, &dispatcher.timer_waker);
            dispatcher.exchange(&mut self.armed_timer);
            if dispatcher.calls.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return;
            }
            // Requests may arrive without end. The waiters that were served must not wait for the
            // last one.
            wake(std::mem::take(&mut self.woken));
        }
    }
}

impl ArmedTimer {
    /// Arms the timer for `next`, unless the timer will fire by then as it is armed now.
    fn set(&mut self, now: Reading, next: Option<Reading>, fired: bool, timer_waker: &Waker) {
        let before = if fired { self.armed.take() } else { None };
        let Some(mut next) = next else { return };
        // A timer that should have fired, and has not, will not fire: a pass was broken off.
        if self.armed.is_some_and(|(_, at)| now < at && at <= next) {
            return;
        }
        // A clock that did not move while the timer ran twice may never move. One run proves
        // nothing: another thread may have armed the timer again after it was due and before it
        // fired.
        let stands = before.is_some_and(|(then, at)| now <= then && (then < at || next <= now));
        if std::mem::replace(&mut self.clock_stalled, stands) && stands {
            next = next.max(Reading::from_nanos(now.nanos() + SELDOM));
        }
        let next = next.max(now);
        self.armed = None;
        if let Some(timer) = &mut self.timer {
            timer.arm(now.nanos(), next.nanos(), timer_waker);
        }
        self.armed = Some((now, next));
    }
}

/// Returns the result of `look`, once no dispatch runs and no timer is about to be armed. Yields for a moment
/// while `is_busy`.
pub(crate) fn once_idle<T>(is_busy: impl Fn() -> bool, look: impl Fn() -> T) -> T {
    // The number of tries is bounded: a call from within a clock or a timer would wait for itself.
    const TRIES: usize = 1_000;
    for _ in 0..TRIES {
        let seen = look();
        if !is_busy() {
            return seen;
        }
        yield_now();
    }
    look()
}

/// Wakes the wakers in order.
pub(crate) fn wake(woken: Vec<Waker>) {
    for waker in woken {
        // A waker that panics must not keep the others from being woken, nor end a timer's thread.
        ignore_panic(|| waker.wake());
    }
}
