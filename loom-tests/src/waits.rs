//! The limiter's verbs that wait, recorded.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use brimful::{AcquireError, Granted, RateLimiter, Tokens};

use crate::PICO;
use crate::actor::Actor;
use crate::clock::ModelClock;
use crate::history::Op;
use crate::line::Place;
use crate::subject::{Key, Subject, Table};

/// What a wait comes to.
type Answer = Result<Granted, AcquireError>;

/// A wait that has not ended.
type Acquire = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Ask {
    /// So many tokens.
    pub n: u32,
    /// So many are to be left.
    pub leaving: u32,
    /// By then, if ever.
    pub until: Option<u64>,
    /// Whoever is woken looks at the bucket at once, on the thread that wakes them.
    pub eager: bool,
}

impl Ask {
    /// So many tokens, whenever they are there.
    #[must_use]
    pub const fn of(n: u32) -> Ask {
        Ask { n, leaving: 0, until: None, eager: false }
    }

    /// What leaves so many.
    #[must_use]
    pub const fn leaving(self, leaving: u32) -> Ask {
        Ask { leaving, ..self }
    }

    /// If it is there by then.
    #[must_use]
    pub const fn until(self, deadline: u64) -> Ask {
        Ask { until: Some(deadline), ..self }
    }

    /// With a waker that looks at the bucket.
    #[must_use]
    pub const fn eager(self) -> Ask {
        Ask { eager: true, ..self }
    }
}

/// A limiter that can be waited on.
pub trait Waited: Subject {
    /// It has one bucket.
    const LONE: bool;

    /// A wait that is not begun.
    fn acquire(self: &Arc<Self>, key: Key, ask: Ask) -> Acquire;

    /// Waits by blocking the thread.
    ///
    /// # Errors
    ///
    /// The limiter's own.
    fn acquire_blocking(&self, key: Key, n: u32) -> Answer;
}

macro_rules! acquire {
    ($acquire:expr, $ask:expr) => {{
        let acquire = $acquire.leaving(Tokens::from($ask.leaving));
        match $ask.until {
            Some(deadline) => Box::pin(acquire.until(deadline)),
            None => Box::pin(acquire),
        }
    }};
}

impl Waited for RateLimiter<ModelClock> {
    const LONE: bool = true;

    fn acquire(self: &Arc<Self>, _: Key, ask: Ask) -> Acquire {
        acquire!(self.acquire_n_owned(ask.n), ask)
    }

    fn acquire_blocking(&self, _: Key, n: u32) -> Answer {
        self.acquire_n_blocking(n)
    }
}

impl Waited for Table {
    const LONE: bool = false;

    fn acquire(self: &Arc<Self>, key: Key, ask: Ask) -> Acquire {
        acquire!(self.acquire_n_owned(&key, ask.n), ask)
    }

    fn acquire_blocking(&self, key: Key, n: u32) -> Answer {
        self.key(&key).acquire_n_blocking(n)
    }
}

/// Counts how often it was woken.
struct Wakes {
    count: AtomicUsize,
    then: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Wakes {
    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if let Some(then) = &self.then {
            then();
        }
    }
}

/// A wait that was begun, in somebody's hands.
pub struct Waiting {
    key: Key,
    place: Place,
    wakes: Arc<Wakes>,
    acquire: Acquire,
}

impl Waiting {
    fn poll(&mut self) -> Poll<Answer> {
        let waker = Waker::from(self.wakes.clone());
        self.acquire.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn told(&self, answer: &Answer, by_timer: bool) -> (Op, Option<u64>) {
        match answer {
            Ok(granted) => (Op::Serve { place: self.place, by_timer }, Some(granted.granted_at())),
            Err(AcquireError::TooLate(_)) => (Op::Late { place: self.place, by_timer }, None),
            Err(AcquireError::KeyRemoved(_)) => (Op::Forgotten(self.place), None),
            Err(error) => unreachable!("{error} in the queue"),
        }
    }
}

/// The waits that are in nobody's hands. Its lock is the standard library's, as the recorder's is.
#[derive(Default)]
pub(crate) struct Waits {
    parked: Mutex<Vec<Option<Waiting>>>,
    leaked: AtomicBool,
}

impl Waits {
    fn parked(&self) -> MutexGuard<'_, Vec<Option<Waiting>>> {
        self.parked.lock().expect("a failed model ends at once")
    }

    /// Whether somebody waits who will not come for what they are granted.
    pub(crate) fn leaked(&self) -> bool {
        self.leaked.load(Ordering::Relaxed)
    }
}

impl<L: Waited> Actor<L> {
    /// Takes, or begins to wait.
    #[must_use]
    pub fn enter(&self, ask: Ask) -> Option<Waiting> {
        let pico = |n: u32| i64::from(n) * PICO;
        self.recorder.wait(self.who, self.key, None, |id| {
            let deadline = ask.until.unwrap_or(u64::MAX);
            let place = Place { id, cost: pico(ask.n), leaving: pico(ask.leaving), deadline };
            let (limiter, key) = (Arc::downgrade(&self.limiter), self.key);
            let look: Box<dyn Fn() + Send + Sync> =
                Box::new(move || _ = limiter.upgrade().map(|limiter| limiter.at_origin(key)));
            let wakes = Arc::new(Wakes { count: AtomicUsize::new(0), then: Some(look).filter(|_| ask.eager) });
            let acquire = self.limiter.acquire(self.key, ask);
            let mut waiting = Waiting { key: self.key, place, wakes, acquire };
            match waiting.poll() {
                Poll::Pending => (Op::Enter(place), None, Some(waiting)),
                Poll::Ready(Ok(granted)) => {
                    (Op::Take { cost: place.cost, refused: None }, Some(granted.granted_at()), None)
                }
                Poll::Ready(Err(AcquireError::TooLate(_))) => (Op::Hopeless(place), None, None),
                Poll::Ready(Err(error)) => unreachable!("{error} at first"),
            }
        })
    }

    /// Begins to wait, and leaves the wait to whoever claims it, or to the end.
    pub fn enter_and_park(&self, ask: Ask) {
        if let Some(waiting) = self.enter(ask) {
            self.park(waiting);
        }
    }

    /// Polls a wait, and parks it if it is not over.
    pub fn poll_and_park(&self, waiting: Waiting) {
        if let Some(waiting) = self.poll(waiting) {
            self.park(waiting);
        }
    }

    /// Polls a wait, which is returned if it is not over.
    #[must_use]
    pub fn poll(&self, waiting: Waiting) -> Option<Waiting> {
        self.poll_as(waiting, false)
    }

    fn poll_as(&self, mut waiting: Waiting, by_timer: bool) -> Option<Waiting> {
        let (key, since) = (waiting.key, waiting.place.id);
        self.recorder.wait(self.who, key, Some(since), |_| match waiting.poll() {
            Poll::Pending => (Op::Pending, None, Some(waiting)),
            Poll::Ready(answer) => {
                let (op, at) = waiting.told(&answer, by_timer);
                (op, at, None)
            }
        })
    }

    /// Gives a wait up.
    pub fn leave(&self, waiting: Waiting) {
        let Waiting { key, place, acquire, .. } = waiting;
        self.recorder.wait(self.who, key, None, |_| {
            drop(acquire);
            (Op::Leave { place, lone: L::LONE }, None, ())
        });
    }

    /// Forgets a wait without giving it up.
    pub fn leak(&self, waiting: Waiting) {
        self.waits.leaked.store(true, Ordering::Relaxed);
        std::mem::forget(waiting);
    }

    /// Leaves a wait to whoever claims it, or to the end.
    pub fn park(&self, waiting: Waiting) {
        self.waits.parked().push(Some(waiting));
    }

    /// The wait that was parked after so many others.
    ///
    /// # Panics
    ///
    /// Where there is none.
    #[must_use]
    pub fn claim(&self, number: usize) -> Waiting {
        self.waits.parked()[number].take().expect("nobody else claims it")
    }

    /// Waits by blocking the thread.
    ///
    /// # Panics
    ///
    /// Where it is refused.
    pub fn block(&self, n: u32) {
        self.recorder.wait(self.who, self.key, None, |id| {
            let place = Place { id, cost: i64::from(n) * PICO, leaving: 0, deadline: u64::MAX };
            let granted = self.limiter.acquire_blocking(self.key, n).expect("it may wait for ever");
            (Op::Block(place, granted.granted_at()), None, ())
        });
    }

    /// When all threads are through, nobody is left waiting: whoever waits was woken, or will be by
    /// the timer.
    pub(crate) fn see_off(&self) {
        let mut by_timer = false;
        loop {
            let (woken, asleep): (Vec<_>, Vec<_>) =
                self.waits.parked().drain(..).flatten().partition(|waiting| waiting.wakes.count() > 0);
            for waiting in woken {
                assert_eq!(waiting.wakes.count(), 1, "woken once");
                assert!(self.poll_as(waiting, by_timer).is_none(), "woken in vain");
            }
            let strands = !asleep.is_empty();
            *self.waits.parked() = asleep.into_iter().map(Some).collect();
            if !(strands || self.limiter.is_waited_on()) || !self.alarms.fire() {
                assert!(!strands, "somebody is left waiting");
                return;
            }
            by_timer = true;
        }
    }
}

impl<L: Subject> Actor<L> {
    /// The first timer fires, if one is armed.
    pub fn fire(&self) {
        self.alarms.fire();
    }

    /// Fires whatever timer is armed, until the other threads are through.
    pub(crate) fn keep_time(&self) {
        self.alarms.keep();
    }
}
