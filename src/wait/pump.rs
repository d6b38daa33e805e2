//! One look at a time, the timer, and who is woken by it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use crate::clock::Timer;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::word::Reading;

use super::{Looked, Queue, wake};

/// A call for a look.
const KICK: u64 = 1;

/// The same, by the timer.
const FIRED: u64 = 1 << 32;

/// A clock that stands still is not looked at more often than this, in nanoseconds.
const SELDOM: u64 = 1_000_000;

pub(super) struct Pump {
    /// Calls for a look since who looks began to; zero while nobody does. By the timer's in the
    /// upper half.
    calls: AtomicU64,
    alarm: Mutex<Alarm>,
    bell: Waker,
}

/// The timer, which only whoever looks touches.
struct Alarm {
    timer: Option<Box<dyn Timer>>,
    /// When it was armed, and for when.
    armed: Option<(Reading, Reading)>,
}

/// What the timer wakes.
struct Bell(Weak<Queue>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(queue) = self.0.upgrade().filter(|queue| queue.pump.call(FIRED)) {
            // The clock and the timer are the user's; the thread is somebody else's.
            let _ = catch_unwind(AssertUnwindSafe(|| run(&queue)));
        }
    }
}

impl Pump {
    pub(super) fn new(queue: Weak<Queue>) -> Self {
        let bell = Waker::from(Arc::new(Bell(queue)));
        Pump { calls: AtomicU64::new(0), alarm: Mutex::new(Alarm { timer: None, armed: None }), bell }
    }

    /// Calls for a look. Who is told to has to [`run`] it.
    pub(super) fn kick(&self) -> bool {
        self.call(KICK)
    }

    fn call(&self, call: u64) -> bool {
        self.calls.fetch_add(call, Ordering::AcqRel) == 0
    }

    /// Whether a look is under way, or called for.
    pub(super) fn is_busy(&self) -> bool {
        self.calls.load(Ordering::Acquire) != 0
    }
}

/// Whoever looks; ends it, also where something panics, and wakes those who were served.
struct Shift<'a> {
    pump: &'a Pump,
    woken: Vec<Waker>,
    over: bool,
}

impl Drop for Shift<'_> {
    fn drop(&mut self) {
        if !self.over {
            // A look was broken off: the next one arms the timer, whatever it was armed for.
            lock(&self.pump.alarm).armed = None;
            self.pump.calls.store(0, Ordering::Release);
        }
        wake(std::mem::take(&mut self.woken));
    }
}

/// Looks, until no look was called for meanwhile.
pub(super) fn run(queue: &Arc<Queue>) {
    let pump = &queue.pump;
    let mut shift = Shift { pump, woken: Vec::new(), over: false };
    // Without a drive, nobody has ever waited.
    let Some(drive) = queue.terms.drive.get() else { return };
    let mut before = 0;
    while !shift.over {
        let seen = pump.calls.load(Ordering::Acquire);
        let fired = seen / FIRED != before / FIRED;
        before = seen;
        let Looked { now, next, woken } = {
            let mut loan = queue.lock();
            let now = (drive.now)();
            loan.look(&queue.terms.rule, now)
        };
        shift.woken.extend(woken);
        let mut alarm = lock(&pump.alarm);
        alarm.set(now, next, fired, &pump.bell, || drive.timer.make());
        drop(alarm);
        shift.over = pump.calls.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if !shift.over {
            // However often a look is called for, those who were served need not wait for the end.
            wake(std::mem::take(&mut shift.woken));
        }
    }
}

impl Alarm {
    /// Arms the timer, unless it will fire before then as it is.
    fn set(
        &mut self,
        now: Reading,
        next: Option<Reading>,
        fired: bool,
        bell: &Waker,
        make: impl Fn() -> Box<dyn Timer>,
    ) {
        let before = if fired { self.armed.take() } else { None };
        let Some(mut next) = next else { return };
        // One that should have fired, and has not, will not: a look was broken off.
        if self.armed.is_some_and(|(_, at)| now < at && at <= next) {
            return;
        }
        // A clock that did not move while the timer ran may never move.
        if before.is_some_and(|(then, _)| now <= then) {
            next = next.max(Reading::from_nanos(now.nanos() + SELDOM));
        }
        let next = next.max(now);
        self.armed = None;
        self.timer.get_or_insert_with(make).arm(now.nanos(), next.nanos(), bell);
        self.armed = Some((now, next));
    }
}
