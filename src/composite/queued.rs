//! [`QueuedLimits`]: the limits of a queue; and [`Waiters`]: the operations of the queue.

use std::task::{Poll, Waker};

use super::together::{Parts, Refused};
use crate::permits::Permits;
use crate::queue::{Id, Outcome};
use crate::word::{Reading, Units};

/// The limits that a queue keeps alive, and the calls on them.
pub(crate) trait QueuedLimits: Send + Sync + 'static {
    /// The tokens that a call takes.
    type Order: Copy + Send + 'static;

    /// The limits, as they are until it is dropped. No two of a thread exist at a time.
    type View<'a>
    where
        Self: 'a;

    type Call<'a>: Parts
    where
        Self: 'a;

    /// The reason why the limits refuse a call, for the caller.
    type Refusal: Copy + Send + 'static;

    fn view(&self) -> Self::View<'_>;

    fn call<'a>(view: &'a Self::View<'_>, order: Self::Order) -> Self::Call<'a>;

    /// Returns the reason for the caller, which `waits` or does not.
    fn refusal(call: Self::Call<'_>, refused: Refused, waits: bool) -> Self::Refusal;

    /// Returns the class of a waiter, which does not depend on the current quotas. The lowest is served first.
    fn class(call: Self::Call<'_>) -> Units;

    /// Reads the clock.
    fn read(&self) -> Reading;

    /// Returns the permits of which each call takes one, if there are any. The queue gives none back, but those of
    /// calls that the limits refuse.
    fn permits(&self) -> Option<&Permits> {
        None
    }

    /// Returns a mark of the limits as they are, which each grant carries.
    fn mark(_: &Self::View<'_>) -> Units {
        Units(1)
    }
}

/// The reason why a waiter was not served.
#[derive(Clone, Copy)]
pub(crate) enum NotServed<R> {
    /// The tokens will not be there before the deadline, or never. The reason is that of the limit with the longest
    /// wait.
    Refused(R),
    /// No permit came free before the deadline.
    NoPermit,
    /// The key was removed.
    Removed,
    /// A caller that leaves less took the place.
    Displaced,
    Closed,
}

/// The effect of a change of the limits, other than by a call that was admitted, on the waiters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A waiter may be served earlier.
    Earlier,
    /// Waiters may miss their deadlines.
    Later,
    /// A quota changed. Waiters may also need more than its burst.
    Requoted,
}

/// The request of a caller that is ready to wait.
pub(crate) struct CompositeRequest<O> {
    pub(crate) order: O,
    pub(crate) deadline: Reading,
    /// The most microseconds between the grant and the wake-up.
    pub(crate) hold: u32,
    /// Taken if the call waits.
    pub(crate) waker: Option<Waker>,
}

/// The result of a [`CompositeRequest`].
pub(crate) enum Entered<R> {
    /// Under limits with this [mark](QueuedLimits::mark).
    Granted(Reading, Units),
    Waiting(Id),
    NotServed(NotServed<R>),
    /// The queue has its maximum number of waiters, which is this.
    Full(u32),
    /// The waiters leave as many different amounts as permitted, which is this number.
    TooManyClasses(usize),
    /// Nothing was done: the queue was given up, and the key has another one, or none.
    Gone,
}

/// The operations of a queue, whatever the clock is.
pub(crate) trait Waiters<O, R>: Send + Sync {
    /// Returns whether callers wait.
    fn has_waiters(&self) -> bool;

    /// Takes the tokens of an order unless a waiter comes first, and returns the [mark](QueuedLimits::mark) of the
    /// limits; `None` if the queue was given up. The error is that of a limit, also of the one that the first waiter waits
    /// for, unless only the lack of a permit refuses the order. `at` is the time of the call; `None` for the clock.
    fn take(&self, order: O, at: Option<Reading>) -> Option<Result<Units, Option<R>>>;

    /// Called after a limit was changed, other than by a call that was admitted, if callers may wait.
    fn changed(&self, effect: Effect);

    fn waiting(&self) -> u32;

    /// Takes tokens or joins the queue. If the second result is `true`, the caller has to
    /// [`dispatch`](Waiters::dispatch) once it has recorded that it waits.
    fn enter(&self, request: &mut CompositeRequest<O>) -> (Entered<R>, bool);

    fn dispatch(&self);

    /// Returns the outcome of a waiter, or registers `by` to be woken for it.
    fn poll(&self, id: Id, by: &Waker) -> Poll<Outcome<NotServed<R>>>;

    /// Removes a waiter, and returns its outcome if it has one. If the second result is `true`, the caller has to
    /// [`dispatch`](Waiters::dispatch).
    fn leave(&self, id: Id) -> (Option<Outcome<NotServed<R>>>, bool);

    /// Refuses every waiter, now and later.
    fn close(&self);

    /// Gives the queue up if no caller waits, and returns whether it did. Does not wait for the lock.
    fn give_up_if_idle(&self) -> bool;

    /// Gives the queue up, and refuses its waiters, because the key was removed.
    fn remove(&self);
}
