//! One look at a time, the timer, and who is woken by it.
//!
//! Of a queue, and of what wakes all queues of a table ([`SharedTimer`](super::SharedTimer)).

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::clock::Timer;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::word::Reading;

use super::{Drive, quietly, wake};

/// A call for a look.
const KICK: u64 = 1;

/// The same, by the timer.
const FIRED: u64 = 1 << 32;

/// A clock that stands still is not looked at more often than this, in nanoseconds.
const SELDOM: u64 = 1_000_000;

/// What is looked at, by one at a time.
pub(super) trait Pumped: Send + Sync + 'static {
    fn pump(&self) -> &Pump;

    /// `None` where nobody has ever waited.
    fn drive(&self) -> Option<&Drive>;

    /// Once more, and since the timer fired, if it did.
    fn look(&self, drive: &Drive, fired: bool) -> Looked;

    /// Returns the latest instant up to which the next look may be put off, after one at `now` that
    /// served a crowd.
    fn latest(&self, now: Reading) -> Reading {
        now
    }

    /// Looks are given up, by a [`close`](Pump::close) of the pump: no timer is armed, and the next
    /// call is to look.
    fn give_up(&self);
}

/// What came of a look.
pub(super) struct Looked {
    pub(super) now: Reading,
    /// When the next is due.
    pub(super) next: Option<Reading>,
    pub(super) woken: Vec<Waker>,
}

pub(super) struct Pump {
    /// Calls for a look since who looks began to; zero while nobody does. By the timer's in the
    /// upper half.
    calls: AtomicU64,
    alarm: Mutex<Alarm>,
    bell: Waker,
}

/// The timer.
#[derive(Default)]
struct Alarm {
    timer: Option<Box<dyn Timer>>,
    /// When it was armed, and for when.
    armed: Option<(Reading, Reading)>,
    /// The clock had not moved when it fired last.
    stood: bool,
}

/// What the timer wakes.
struct Bell<P>(Weak<P>);

impl<P: Pumped> Wake for Bell<P> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(pumped) = self.0.upgrade().filter(|pumped| pumped.pump().call(FIRED)) {
            // The clock and the timer are the user's; the thread is somebody else's.
            quietly(|| run(&*pumped));
        }
    }
}

impl Pump {
    pub(super) fn new<P: Pumped>(pumped: Weak<P>) -> Self {
        let bell = Waker::from(Arc::new(Bell(pumped)));
        Pump { calls: AtomicU64::new(0), alarm: Mutex::new(Alarm::default()), bell }
    }

    /// Calls for a look. Who is told to has to [`run`] it.
    pub(super) fn kick(&self) -> bool {
        self.call(KICK)
    }

    fn call(&self, call: u64) -> bool {
        self.calls.fetch_add(call, Ordering::AcqRel) == 0
    }

    /// Whoever looks has the alarm in hand: a timer may wake from within, or panic, where no lock is
    /// held.
    fn exchange(&self, alarm: &mut Alarm) {
        std::mem::swap(&mut *lock(&self.alarm), alarm);
    }

    /// Nobody looks any longer, whatever was called for.
    pub(super) fn close(&self) {
        self.calls.store(0, Ordering::Release);
    }

    /// Whether a look is under way, or called for.
    pub(super) fn is_busy(&self) -> bool {
        self.calls.load(Ordering::Acquire) != 0
    }
}

/// Looks, or has whoever does look again.
pub(super) fn ring<P: Pumped>(pumped: &P) {
    if pumped.pump().kick() {
        run(pumped);
    }
}

/// Looks, until no look was called for meanwhile, and wakes those who were served. Where something
/// panics, the look is made again: else those who wait would be forgotten for what went wrong once.
/// What panics each time is passed on.
pub(super) fn run<P: Pumped>(pumped: &P) {
    const TRIES: u32 = 3;
    let mut shift = Shift::default();
    for tries in 1..=TRIES {
        let look = catch_unwind(AssertUnwindSafe(|| shift.look(pumped)));
        wake(std::mem::take(&mut shift.woken));
        let Err(panic) = look else { return };
        // The next look has a new timer, whatever the old one was armed for.
        let alarm = std::mem::take(&mut shift.alarm);
        quietly(|| drop(alarm));
        if tries == TRIES {
            pumped.give_up();
            resume_unwind(panic);
        }
        std::mem::forget(panic);
    }
}

/// What whoever looks has in hand. A look that panics drops none of it: what is the user's may do
/// anything where it is dropped.
#[derive(Default)]
struct Shift {
    alarm: Alarm,
    woken: Vec<Waker>,
}

impl Shift {
    fn look<P: Pumped>(&mut self, pumped: &P) {
        let (pump, mut before) = (pumped.pump(), 0);
        let Some(drive) = pumped.drive() else { return pump.close() };
        loop {
            pump.exchange(&mut self.alarm);
            let seen = pump.calls.load(Ordering::Acquire);
            let fired = seen / FIRED != before / FIRED;
            before = seen;
            let Looked { now, next, woken } = pumped.look(drive, fired);
            let is_crowd = woken.len() > 1;
            self.woken.extend(woken);
            let next = next.map(|next| if is_crowd { self.alarm.put_off(next, || pumped.latest(now)) } else { next });
            self.alarm.set(now, next, fired, &pump.bell, || drive.timer());
            pump.exchange(&mut self.alarm);
            if pump.calls.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return;
            }
            // However often a look is called for, those who were served need not wait for the end.
            wake(std::mem::take(&mut self.woken));
        }
    }
}

impl Alarm {
    /// Returns the instant of the next look, put off by the timer's slack, but not beyond `latest`.
    fn put_off(&self, next: Reading, latest: impl FnOnce() -> Reading) -> Reading {
        let slack = self.timer.as_ref().map_or(Duration::ZERO, |timer| timer.slack());
        if slack.is_zero() {
            return next;
        }
        let slack = u64::try_from(slack.as_nanos()).unwrap_or(u64::MAX);
        Reading::from_nanos(next.nanos().saturating_add(slack)).min(latest()).max(next)
    }

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
        // A clock that did not move while the timer ran twice may never move. Once, somebody may have
        // armed it between its being due and its being told.
        let stands = before.is_some_and(|(then, at)| now <= then && (then < at || next <= now));
        if std::mem::replace(&mut self.stood, stands) && stands {
            next = next.max(Reading::from_nanos(now.nanos() + SELDOM));
        }
        let next = next.max(now);
        self.armed = None;
        self.timer.get_or_insert_with(make).arm(now.nanos(), next.nanos(), bell);
        self.armed = Some((now, next));
    }
}
