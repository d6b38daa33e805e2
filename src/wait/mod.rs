//! The queue of those who wait: threads and tasks, first come, first served.
//!
//! **The word is lent.** Who wants to wait takes the bucket's word out of its cell and puts it
//! under the queue's lock. While somebody waits there, every call for tokens finds it gone, comes
//! to the queue, and is refused unless it comes before all who wait. So what is granted is decided
//! by one after the other, on a word that nobody else can reach ([`Loan`]); and a queue needs no
//! way to its limiter, which may be a `static`, or have been moved. When nobody waits any longer,
//! whoever comes by with the limiter at hand brings the word home: the last who was served, or
//! the next call.
//!
//! **The queue owns the timer**, whose waker is the queue's own: when it fires, all who are due are
//! granted what they asked for, each is woken once, and the timer is armed for the next. No waiter
//! has to be polled for another to be served.
//!
//! The timers of a table's queues are parts of one ([`SharedTimer`]).
//!
//! **The pump.** What calls for a look (the timer fired; the first went; tokens were given back)
//! counts it. Who counts from zero looks, and looks again until nothing was counted meanwhile, so
//! that one does at a time, and no call for a look is lost. The timer is armed by them, never under
//! the queue's lock: a timer may wake from within. Wakers are woken, cloned and dropped where no lock
//! is held: all of it may run anything.
//!
//! # Memory ordering
//!
//! Whatever is done to the loan is done under its lock, which orders it. The swap that lends the
//! word acquires what whoever wrote it released, and the store that brings it home releases what
//! was done under the lock; so what a thread did before it gave tokens back happens before what
//! another does that is granted them, lent or not. The pump's counter is acquired and released:
//! what was done before a look was called for is seen by the look.

mod line;
mod loan;
mod park;
mod pump;
mod shared_timer;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Poll, Waker};

use crate::algorithm::token_bucket::Ask;
use crate::cell::Cell;
use crate::clock::Timer;
use crate::sync::{Mutex, MutexGuard, OnceLock, lock, panicking, yield_now};
use crate::word::{Due, Reading, Units, Word};

use line::Collected;
pub(crate) use line::{Id, Outcome, Refusal};
pub(crate) use loan::{Loan, Rule};
pub(crate) use park::Parker;
use pump::{Looked, Pump, Pumped};
use shared_timer::SharedTimer;

/// What makes a queue's timer.
#[derive(Clone)]
pub(crate) struct MakeTimer(Arc<dyn Fn() -> Box<dyn Timer> + Send + Sync>);

impl MakeTimer {
    pub(crate) fn new<T: Timer + 'static>(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        MakeTimer(Arc::new(move || Box::new(make())))
    }

    fn make(&self) -> Box<dyn Timer> {
        (self.0)()
    }
}

/// What a queue reads the time from, and what wakes it.
pub(crate) struct Drive {
    now: Arc<dyn Fn() -> Reading + Send + Sync>,
    timer: MakeTimer,
    /// The one timer of all queues, where there are many.
    shared: Option<Arc<SharedTimer>>,
}

impl Drive {
    pub(crate) fn new(now: impl Fn() -> Reading + Send + Sync + 'static, timer: MakeTimer) -> Self {
        Drive { now: Arc::new(now), timer, shared: None }
    }

    /// The same, of many queues, whose timers are parts of one.
    pub(crate) fn shared(self) -> Self {
        Drive { now: self.now.clone(), timer: self.timer.clone(), shared: Some(SharedTimer::new(self)) }
    }

    fn timer(&self) -> Box<dyn Timer> {
        match &self.shared {
            None => self.timer.make(),
            Some(shared) => Box::new(shared.part()),
        }
    }
}

// What is called here may panic, and leave what it shares with its user as it likes; nothing of ours
// is half done then. So a limiter is no less safe to look at after a panic than without waiting.
impl UnwindSafe for MakeTimer {}
impl RefUnwindSafe for MakeTimer {}
impl UnwindSafe for Drive {}
impl RefUnwindSafe for Drive {}

/// What all queues of a limiter have in common.
pub(crate) struct Terms {
    pub(crate) rule: Rule,
    /// The most who may wait on one bucket.
    pub(crate) max_waiters: u32,
    /// The timer that was chosen.
    timer: Option<MakeTimer>,
    /// Comes with the first who waits.
    drive: OnceLock<Drive>,
}

impl Terms {
    pub(crate) fn new(rule: Rule, max_waiters: u32, timer: Option<MakeTimer>) -> Arc<Self> {
        Arc::new(Terms { rule, max_waiters, timer, drive: OnceLock::new() })
    }

    /// The time; `None` where nobody has ever waited.
    fn now(&self) -> Option<Reading> {
        self.drive.get().map(|drive| (drive.now)())
    }

    /// What drives the queues; made by the first who waits.
    pub(crate) fn drive(&self, make: impl FnOnce(Option<&MakeTimer>) -> Drive) {
        self.drive.get_or_init(|| make(self.timer.as_ref()));
    }
}

/// The queue of a lone limiter, made when somebody waits for the first time.
pub(crate) struct Waiters(OnceLock<Arc<Queue>>);

impl Waiters {
    pub(crate) const fn new() -> Self {
        Waiters(OnceLock::new())
    }

    pub(crate) fn on(terms: Arc<Terms>) -> Self {
        Waiters(OnceLock::from(Queue::new(terms, None)))
    }

    pub(crate) fn queue(&self, terms: impl FnOnce() -> Arc<Terms>) -> &Arc<Queue> {
        self.0.get_or_init(|| Queue::new(terms(), None))
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> u32 {
        self.0.get().map_or(0, |queue| queue.waiting())
    }
}

/// What somebody wants who is ready to wait for it.
pub(crate) struct Call {
    pub(crate) ask: Ask,
    /// The latest instant that it may be there; [`Reading::MAX`] for none.
    pub(crate) deadline: Reading,
    /// The most microseconds that they are to be told after the grant.
    pub(crate) hold: u32,
    /// Taken, where they wait; cloned before, because a clone may run anything.
    pub(crate) waker: Option<Waker>,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entered {
    Granted(Reading),
    /// Before all others, and until then, or behind some.
    Waiting {
        id: Id,
        alone: Option<Due>,
    },
    /// It would not be there in time, but then.
    TooLate(Due),
    /// As many wait as may.
    Full,
}

/// The queue of one bucket.
pub(crate) struct Queue {
    terms: Arc<Terms>,
    loan: Mutex<Loan>,
    pump: Pump,
}

impl Queue {
    /// A queue; with the word, where it is lent from the start.
    pub(crate) fn new(terms: Arc<Terms>, word: Option<Word>) -> Arc<Self> {
        Arc::new_cyclic(|queue| Queue { terms, loan: Mutex::new(Loan::new(word)), pump: Pump::new(queue.clone()) })
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    fn lock(&self) -> MutexGuard<'_, Loan> {
        lock(&self.loan)
    }

    /// Works on the loan. Who calls has to [`look`](Queue::look) when no lock is held that a waker
    /// could want, if told to.
    #[must_use = "a look may be called for"]
    pub(crate) fn work_apart<T>(&self, work: impl FnOnce(&mut Loan) -> T) -> (T, bool) {
        let mut loan = self.lock();
        let result = work(&mut loan);
        // Under the lock: who sees what was done sees that a look is to come.
        let stirred = loan.is_stirred() && self.pump.kick();
        (result, stirred)
    }

    /// Serves who is due, wakes them, and sees to it that the next will be.
    pub(crate) fn look(&self) {
        pump::run(self);
    }

    /// Does what the timer does, for who finds that it is time.
    pub(crate) fn ring(&self) {
        pump::ring(self);
    }

    /// Whether a look is under way, or a timer about to be armed.
    fn is_busy(&self) -> bool {
        let shared = self.terms.drive.get().and_then(|drive| drive.shared.as_ref());
        self.pump.is_busy() || shared.is_some_and(|shared| shared.pump().is_busy())
    }

    /// How many wait, with the timer armed for them. Where that is under way, it takes a moment.
    pub(crate) fn waiting(&self) -> u32 {
        // Not for ever: from a clock or a timer, one would wait for oneself.
        const TRIES: usize = 1_000;
        for _ in 0..TRIES {
            let waiting = self.lock().waiting();
            if !self.is_busy() {
                return waiting;
            }
            yield_now();
        }
        self.lock().waiting()
    }

    /// Works on the loan of a lone cell, and looks if that is called for; `None` where its word is at
    /// home by then.
    pub(crate) fn work_for<T>(self: &Arc<Self>, cell: &Cell, work: impl FnOnce(&mut Loan) -> Option<T>) -> Option<T> {
        let (result, stirred) = self.work_apart(|loan| {
            bring_home(loan, cell);
            work(loan)
        });
        if stirred {
            self.look();
        }
        result
    }

    /// Takes, or waits, at a lone cell; `home` tells what its word stands for. Who calls has to
    /// [`look`](Queue::look), if told to, when they know that they wait.
    pub(crate) fn enter_for(
        &self,
        cell: &Cell,
        home: impl FnOnce(Word) -> Word,
        call: &mut Call,
        now: Reading,
    ) -> (Entered, bool) {
        self.work_apart(|loan| {
            if !loan.is_lent() {
                loan.lend(home(cell.lend()));
            }
            let entered = loan.enter(&self.terms, call, now);
            bring_home(loan, cell);
            entered
        })
    }

    /// What became of somebody, and whether the word could go home; until that is known, `by` is
    /// woken.
    pub(crate) fn poll(&self, id: Id, by: &Waker) -> Poll<(Outcome, bool)> {
        let mut fresh = None;
        loop {
            let mut loan = self.lock();
            let collected = loan.collect(id, by, &mut fresh);
            let idle = loan.is_idle();
            drop(loan);
            match collected {
                Collected::Settled(outcome) => {
                    // Should it panic, the outcome would be lost.
                    quietly(|| drop(fresh));
                    return Poll::Ready((outcome, idle));
                }
                Collected::Pending => return Poll::Pending,
                Collected::Stale => fresh = Some(by.clone()),
            }
        }
    }

    /// Somebody goes, and is told what became of them, if anything had. Who calls has to
    /// [`look`](Queue::look), if told to.
    pub(crate) fn leave(&self, id: Id) -> (Option<Outcome>, bool) {
        // The waker is dropped here, where no lock is held; it may panic, and the look be lost.
        let ((outcome, waker), stirred) = self.work_apart(|loan| loan.leave(id));
        quietly(|| drop(waker));
        (outcome, stirred)
    }

    /// The word of a lone cell goes home, if nobody waits.
    pub(crate) fn bring_home(&self, cell: &Cell) {
        bring_home(&mut self.lock(), cell);
    }

    /// The word, where nobody waits: it goes home, and the queue with it.
    pub(crate) fn reclaim(&self) -> Option<Word> {
        self.lock().reclaim()
    }

    /// Everybody is refused, and the bucket forgotten. Those are to be woken where no lock is held.
    pub(crate) fn forget(&self) -> Vec<Waker> {
        self.lock().forget()
    }
}

impl Pumped for Queue {
    fn pump(&self) -> &Pump {
        &self.pump
    }

    fn drive(&self) -> Option<&Drive> {
        self.terms.drive.get()
    }

    fn look(&self, drive: &Drive, _: bool) -> Looked {
        let mut loan = self.lock();
        let now = (drive.now)();
        loan.look(&self.terms.rule, now)
    }

    /// The instant at which half of the bucket will be full: the other half is for the timer's lateness.
    fn latest(&self, now: Reading) -> Reading {
        let Rule { layout, .. } = &self.terms.rule;
        let Some(worth) = self.lock().worth(&self.terms.rule, Units(0), now) else { return now };
        let half = u128::from(layout.capacity().0 / 2);
        Due::new(layout.earned(), now, worth.held.missing(half)).at().unwrap_or(now)
    }

    fn give_up(&self) {
        let mut loan = self.lock();
        let told = loan.give_up();
        self.pump.close();
        drop(loan);
        wake(told);
    }
}

/// Where nobody waits, the word goes home.
fn bring_home(loan: &mut Loan, cell: &Cell) {
    if let Some(word) = loan.reclaim() {
        cell.come_home(word);
    }
}

/// Wakes them, in their order.
pub(crate) fn wake(woken: Vec<Waker>) {
    for waker in woken {
        // One that panics must not keep the others from being woken, nor end a timer's thread.
        quietly(|| waker.wake());
    }
}

/// Does what is the user's, and may panic.
pub(crate) fn quietly(work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        // What it panicked with may panic too, where it is dropped.
        std::mem::forget(panic);
    }
}

/// Does what a drop has to do; should that panic while the thread does already, it would end the
/// process, and is broken off instead.
pub(crate) fn while_dropped(work: impl FnOnce()) {
    if panicking() {
        quietly(work);
    } else {
        work();
    }
}

/// A random number, so many at most.
fn random_up_to(most: u32) -> u32 {
    if most == 0 {
        return 0;
    }
    // Each of the standard library's hashers is keyed anew.
    let random = RandomState::new().hash_one(0);
    ((u128::from(random) * (u128::from(most) + 1)) >> 64) as u32
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}
