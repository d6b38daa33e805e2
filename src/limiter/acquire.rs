//! Waiting until the tokens are there: one future for threads and tasks, whatever the limiter.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::RateLimiter;
use super::account::exceeding;
use super::hold::{Hold, Place, Shared};
use super::keyed::{Bucket, SipState};
use crate::algorithm::token_bucket::Ask;
use crate::cell::Taken;
use crate::clock::{Clock, QuantaClock};
use crate::error::{AcquireError, Crowd, Forgotten, QueueFull, TableFull, TooLate};
use crate::table::Arrival;
use crate::tokens::Tokens;
use crate::wait::{Call, Entered, Id, Outcome, Parker, Queue, Refusal, quietly, while_dropped};
use crate::word::{Due, Reading};

/// Tokens that were waited for, and when they were granted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    since: Reading,
    at: Reading,
}

impl Granted {
    /// When they were granted, in nanoseconds since the origin of the limiter's clock. This is what
    /// the window bound holds for; whoever waited may come to hear of it later.
    #[must_use]
    pub fn granted_at(&self) -> u64 {
        self.at.nanos()
    }

    /// How long it took from the first look at the bucket to the grant: zero where the tokens were
    /// there.
    #[must_use]
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.at.nanos().saturating_sub(self.since.nanos()))
    }
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted").field("granted_at", &self.granted_at()).field("waited", &self.waited()).finish()
    }
}

/// When a wait has to be over.
#[derive(Clone, Copy, Debug)]
enum Limit {
    None,
    Within(Duration),
    Until(Reading),
}

impl Limit {
    /// As an instant, for a wait that begins now.
    fn deadline(self, now: Reading) -> Reading {
        match self {
            Limit::None => Reading::MAX,
            Limit::Until(deadline) => deadline,
            Limit::Within(timeout) => {
                let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
                Reading::from_nanos(now.nanos().saturating_add(nanos))
            }
        }
    }
}

/// A wait, begun or not.
struct Wait<H: Hold> {
    hold: H,
    n: Tokens,
    leaving: Tokens,
    limit: Limit,
    jitter: Duration,
    stage: Stage,
}

enum Stage {
    New,
    Waiting { queue: Arc<Queue>, id: Id, since: Reading },
    Over,
}

/// What came of beginning to wait.
enum Begun {
    Over(Answer),
    /// It waits: before all others, and until then, or behind some.
    Waiting {
        alone: Option<Due>,
    },
}

impl Begun {
    fn poll(self) -> Poll<Answer> {
        match self {
            Begun::Over(answer) => Poll::Ready(answer),
            Begun::Waiting { .. } => Poll::Pending,
        }
    }
}

type Answer = Result<Granted, AcquireError>;

impl<H: Hold> Wait<H> {
    #[inline]
    fn new(hold: H, n: Tokens, leaving: Tokens, limit: Limit) -> Self {
        Wait { hold, n, leaving, limit, jitter: Duration::ZERO, stage: Stage::New }
    }

    #[inline(always)]
    fn poll(&mut self, by: &Waker) -> Poll<Answer> {
        if !matches!(self.stage, Stage::New) || self.n.is_zero() || matches!(self.limit, Limit::Until(_)) {
            return self.poll_cold(by);
        }
        let taken = self.hold.place().take(self.n, self.leaving);
        if let Some(Taken::Admitted { now, .. }) = taken {
            self.stage = Stage::Over;
            return Poll::Ready(Ok(at_once(now)));
        }
        self.wait(taken, by).poll()
    }

    /// Takes, unless the deadline has passed; what would be refused for good, is.
    #[cold]
    fn take_by(&self, deadline: Reading) -> Result<Option<Taken>, AcquireError> {
        let place = self.hold.place();
        let (layout, now) = (place.layout(), place.now());
        let ask = Ask::new(layout, self.n, self.leaving);
        if now > deadline && ask.needed <= layout.capacity() {
            if let Some(due) = place.due(ask, now) {
                return Err(AcquireError::TooLate(TooLate(due)));
            }
        }
        Ok(place.take_at(self.n, self.leaving, now))
    }

    #[cold]
    fn poll_cold(&mut self, by: &Waker) -> Poll<Answer> {
        match &self.stage {
            &Stage::Waiting { ref queue, id, since } => match queue.poll(id, by) {
                Poll::Ready((outcome, idle)) => {
                    let idle = idle.then(|| queue.clone());
                    self.stage = Stage::Over;
                    if let Some(queue) = idle {
                        // As of the grant: the clock is not read again for this.
                        let now = if let Outcome::Granted { at, .. } = outcome { at } else { since };
                        self.hold.place().bring_home(&queue, now);
                    }
                    Poll::Ready(told(outcome, since))
                }
                Poll::Pending => Poll::Pending,
            },
            Stage::New => match self.limit {
                Limit::Until(deadline) if !self.n.is_zero() => match self.take_by(deadline) {
                    Ok(taken) => self.wait(taken, by).poll(),
                    Err(late) => {
                        self.stage = Stage::Over;
                        Poll::Ready(Err(late))
                    }
                },
                _ => {
                    let now = self.hold.place().now();
                    self.stage = Stage::Over;
                    Poll::Ready(Ok(at_once(now)))
                }
            },
            Stage::Over => Poll::Pending,
        }
    }

    /// Waits for what was not there.
    #[cold]
    #[inline(never)]
    fn wait(&mut self, taken: Option<Taken>, by: &Waker) -> Begun {
        let begun = self.begin(taken, by);
        // Not before: what is the user's may panic, and the wait has not ended then.
        if let Begun::Over(_) = begun {
            self.stage = Stage::Over;
        }
        begun
    }

    #[inline]
    fn begin(&mut self, taken: Option<Taken>, by: &Waker) -> Begun {
        let place = self.hold.place();
        let layout = place.layout();
        let ask = Ask::new(layout, self.n, self.leaving);
        let due_at = |now, deficit| Due::new(layout.earned(), now, deficit);
        let full = |deficit, now| Err(AcquireError::TableFull(TableFull(due_at(now, deficit))));
        let (due, now) = match taken {
            Some(Taken::Admitted { now, .. }) => return Begun::Over(Ok(at_once(now))),
            Some(Taken::Unlimited) => return Begun::Over(Ok(at_once(place.now()))),
            Some(Taken::Refused { deficit, now }) => return Begun::Over(full(deficit, now)),
            _ if ask.needed > layout.capacity() => {
                let exceeding = exceeding(layout, self.n.total_pico(), self.leaving.total_pico());
                return Begun::Over(Err(AcquireError::ExceedsBurst(exceeding)));
            }
            Some(Taken::Denied { deficit, now, .. }) => (Some(due_at(now, deficit)), now),
            None => (None, place.now()),
        };
        let deadline = self.limit.deadline(now);
        // What is hopeless need not come to the queue.
        if let Some(due) = due.filter(|due| due.misses(deadline)) {
            return Begun::Over(Err(AcquireError::TooLate(TooLate(due))));
        }
        let hold = u32::try_from(self.jitter.as_micros()).unwrap_or(u32::MAX);
        let queue_full = |crowd| Err(AcquireError::QueueFull(QueueFull(crowd)));
        let mut call = Call { ask, deadline, hold, waker: Some(by.clone()) };
        let (queue, entered, stirred) = match place.enter(&mut call, now) {
            Arrival::Entered { queue, entered, stirred } => (queue, entered, stirred),
            Arrival::TooManyKeys(most) => return Begun::Over(queue_full(Crowd::Keys(most))),
            Arrival::NoPlace { deficit, now } => return Begun::Over(full(deficit, now)),
        };
        quietly(|| drop(call.waker.take()));
        // Before the look, which may panic where the clock or the timer does.
        self.stage = match entered {
            Entered::Waiting { id, .. } => Stage::Waiting { queue: queue.clone(), id, since: now },
            _ => Stage::Over,
        };
        if stirred {
            queue.look();
        }
        Begun::Over(match entered {
            Entered::Waiting { alone, .. } => return Begun::Waiting { alone },
            Entered::Granted(at) => Ok(Granted { since: now, at }),
            Entered::TooLate(due) => Err(AcquireError::TooLate(TooLate(due))),
            Entered::Full => queue_full(Crowd::Waiters(queue.terms().max_waiters)),
        })
    }

    #[inline(always)]
    fn block(mut self) -> Answer {
        if matches!(self.stage, Stage::Waiting { .. }) {
            return self.sleep(&Parker::new());
        }
        // One that is over blocks for once more.
        self.stage = Stage::Over;
        if self.n.is_zero() {
            return Ok(at_once(self.hold.place().now()));
        }
        if let Limit::Until(deadline) = self.limit {
            return self.take_by(deadline).and_then(|taken| self.park(taken));
        }
        let taken = self.hold.place().take(self.n, self.leaving);
        if let Some(Taken::Admitted { now, .. }) = taken {
            return Ok(at_once(now));
        }
        self.park(taken)
    }

    /// Blocks the thread for what was not there.
    #[cold]
    #[inline(never)]
    fn park(&mut self, taken: Option<Taken>) -> Answer {
        let parker = Parker::new();
        match self.wait(taken, parker.waker()) {
            Begun::Over(answer) => answer,
            Begun::Waiting { alone } => {
                if let (Some(due), Stage::Waiting { queue, .. }) = (alone, &self.stage) {
                    if !parker.sleep(due.after().unwrap_or(Duration::MAX)) {
                        queue.ring();
                    }
                }
                self.sleep(&parker)
            }
        }
    }

    /// Blocks the thread until it is over.
    #[cold]
    #[inline(never)]
    fn sleep(&mut self, parker: &Parker) -> Answer {
        loop {
            if let Poll::Ready(answer) = self.poll_cold(parker.waker()) {
                return answer;
            }
            parker.sleep(Duration::MAX);
        }
    }
}

fn at_once(now: Reading) -> Granted {
    Granted { since: now, at: now }
}

fn told(outcome: Outcome, since: Reading) -> Answer {
    match outcome {
        Outcome::Granted { at, .. } => Ok(Granted { since, at }),
        Outcome::Refused(Refusal::TooLate(due)) => Err(AcquireError::TooLate(TooLate(due))),
        Outcome::Refused(Refusal::Forgotten) => Err(AcquireError::Forgotten(Forgotten(()))),
    }
}

impl<H: Hold> Wait<H> {
    /// Gives up the place, and what was granted.
    #[cold]
    #[inline(never)]
    fn give_up(&mut self) {
        let Stage::Waiting { queue, id, since } = std::mem::replace(&mut self.stage, Stage::Over) else { return };
        let (outcome, stirred) = queue.leave(id);
        // It may panic, and so may what follows.
        let look = catch_unwind(AssertUnwindSafe(|| {
            if stirred {
                queue.look();
            }
        }));
        let place = self.hold.place();
        if let Some(Outcome::Granted { cost, .. }) = outcome {
            place.give_back(cost.0);
        }
        place.bring_home(&queue, since);
        if let Err(panic) = look {
            resume_unwind(panic);
        }
    }
}

impl<H: Hold> Drop for Wait<H> {
    #[inline]
    fn drop(&mut self) {
        if matches!(self.stage, Stage::Waiting { .. }) {
            while_dropped(|| self.give_up());
        }
    }
}

/// The options of a wait, its future, and its blocking form, whatever it is waited on.
macro_rules! acquire {
    ($name:ident, [$($generics:tt)*], [$($args:tt)*], $hold:ty) => {
        impl<$($generics)*> $name<$($args)*> {
            #[inline]
            pub(super) fn new(hold: $hold, n: Tokens) -> Self {
                $name(Wait::new(hold, n, Tokens::ZERO, Limit::None))
            }

            /// Refused, if it cannot end within `timeout` of its first poll: at once where that is
            /// known then; when a debt is made, at once too; and where those who are to leave less
            /// came before it, by the deadline.
            pub fn within(mut self, timeout: Duration) -> Self {
                self.0.limit = Limit::Within(timeout);
                self
            }

            /// The same by an instant, in nanoseconds since the origin of the limiter's clock; refused at
            /// once after that, unless it costs nothing. What was there by then is granted, also where
            /// the timer is late: [`granted_at`](Granted::granted_at) may then be after the deadline.
            pub fn until(mut self, deadline_ns: u64) -> Self {
                self.0.limit = Limit::Until(Reading::from_nanos(deadline_ns));
                self
            }

            /// Takes only what leaves so many tokens in the bucket. Those who are to leave less are
            /// served first, whenever they came; those who are to leave as much, in their order.
            pub fn leaving(mut self, leaving: impl Into<Tokens>) -> Self {
                self.0.leaving = leaving.into();
                self
            }

            /// Comes to hear of a grant that was waited for up to so much later, by chance, so that
            /// those who wait for the same do not all go on at once. In microseconds, up to 71 minutes;
            /// never after a deadline. The tokens are granted as without it, so what is done with
            /// them in a window is bounded by `burst + rate × (window + jitter)`.
            pub fn jitter(mut self, most: Duration) -> Self {
                self.0.jitter = most;
                self
            }

            /// Waits by blocking the thread, for once more where the future was over. Where the clock
            /// stands still, as a mock clock does, it takes another thread to move it.
            ///
            /// # Errors
            ///
            /// As of the future.
            #[inline]
            pub fn wait(self) -> Result<Granted, AcquireError> {
                self.0.block()
            }
        }

        impl<$($generics)*> Future for $name<$($args)*> {
            type Output = Result<Granted, AcquireError>;

            #[inline]
            fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
                self.0.poll(context.waker())
            }
        }

        impl<$($generics)*> fmt::Debug for $name<$($args)*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("tokens", &self.0.n).finish_non_exhaustive()
            }
        }
    };
}

/// A wait for tokens, made by [`RateLimiter::acquire`] and its kin: a future, or, by
/// [`wait`](Acquire::wait), a thread's.
///
/// It begins when it is polled for the first time, and takes its place in the queue then. The
/// options have no effect after that.
///
/// # Cancel safety
///
/// Dropped, it gives up its place, and whatever it was granted without having been told: nothing is
/// lost, and who comes after moves up. Dropped after it was ready, it changes nothing. One that is
/// forgotten (by [`mem::forget`](std::mem::forget)) is granted its tokens in its turn, and keeps its
/// entry in the queue, and with it the memory of the largest crowd that was there.
///
/// # Errors
///
/// [`AcquireError`] where it will never be served ([`ExceedsBurst`](AcquireError::ExceedsBurst)),
/// not in time ([`TooLate`](AcquireError::TooLate)), or too many wait
/// ([`QueueFull`](AcquireError::QueueFull)). Nothing is charged then.
///
/// # Examples
///
/// ```
/// use brimful::{Quota, RateLimiter};
/// use std::time::Duration;
///
/// static API: RateLimiter = RateLimiter::new(Quota::per_second(1000).burst(2));
///
/// # async_io::block_on(async {
/// API.acquire().await?;
/// let granted = API.acquire_n(2).within(Duration::from_secs(60)).await?;
/// println!("waited {:?}", granted.waited());
/// # Ok::<(), brimful::AcquireError>(())
/// # }).unwrap();
/// ```
#[must_use = "nothing is acquired until it is awaited, or `wait` is called"]
pub struct Acquire<'a, C: Clock + Clone + Send + Sync + 'static = QuantaClock>(Wait<&'a RateLimiter<C>>);

acquire!(Acquire, ['a, C: Clock + Clone + Send + Sync + 'static], ['a, C], &'a RateLimiter<C>);

/// An [`Acquire`] that keeps its limiter alive, made by [`RateLimiter::acquire_n_owned`].
#[must_use = "nothing is acquired until it is awaited, or `wait` is called"]
pub struct OwnedAcquire<C: Clock + Clone + Send + Sync + 'static = QuantaClock>(Wait<Arc<RateLimiter<C>>>);

acquire!(OwnedAcquire, [C: Clock + Clone + Send + Sync + 'static], [C], Arc<RateLimiter<C>>);

/// A wait for tokens of one key, made by
/// [`KeyedRateLimiter::acquire`](crate::KeyedRateLimiter::acquire) and its kin; as [`Acquire`]
/// otherwise.
///
/// While somebody waits on a key it has a queue of its own, and the table cannot forget it.
/// [`remove`](crate::KeyedRateLimiter::remove) and [`clear`](crate::KeyedRateLimiter::clear) end the
/// wait with [`AcquireError::Forgotten`].
#[must_use = "nothing is acquired until it is awaited, or `wait` is called"]
pub struct KeyedAcquire<'a, C: Clock + Clone + Send + Sync + 'static = QuantaClock>(Wait<Bucket<'a, C>>);

acquire!(KeyedAcquire, ['a, C: Clock + Clone + Send + Sync + 'static], ['a, C], Bucket<'a, C>);

/// A [`KeyedAcquire`] that keeps its limiter alive, made by
/// [`KeyedRateLimiter::acquire_n_owned`](crate::KeyedRateLimiter::acquire_n_owned).
#[must_use = "nothing is acquired until it is awaited, or `wait` is called"]
pub struct OwnedKeyedAcquire<K: ?Sized, C: Clock + Clone + Send + Sync + 'static = QuantaClock, S = SipState>(
    Wait<Shared<K, C, S>>,
);

acquire!(OwnedKeyedAcquire, [K: ?Sized, C: Clock + Clone + Send + Sync + 'static, S], [K, C, S], Shared<K, C, S>);
