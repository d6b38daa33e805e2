//! [`CompositeQueue`]: the waiters on several limits.
//!
//! The words stay in their places. While callers wait, every call comes here, and is refused unless it precedes
//! the waiters; so the limits are charged under the queue's lock only, but for calls that began before the first
//! waiter came. A waiter is charged when all limits admit it, and not before.
//!
//! **No waiter is forgotten.** A waiter sets the flag `has_waiters` before it looks at the limits; a call that
//! gives tokens back changes a limit before it looks at the flag (`Holder::changed`). Between the two, both have a
//! fence. So the waiter sees the tokens, or the call sees the flag and requests a dispatch. A call that is refused
//! after it has charged some of the limits gives these charges back, and looks at the flag too.

use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::ahead::{self, Ahead, NOTHING, Sums};
use super::order::{Order, OrderCall, OwnedLimits};
use super::together::{self, Part, Parts, Refused};
use crate::algorithm::token_bucket::Demand;
use crate::cell::{Taken, TimeSource};
use crate::clock::Clock;
use crate::queue::{
    self, Dispatch, Dispatcher, Id, Left, Outcome, Pass, TimeDriver, WaitConfig, WaitList, Waiting, ignore_panic,
    once_idle, poll_entry, wake,
};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, fence, lock, try_lock};
use crate::word::{Layout, Reading, Units};

/// The number of orders that are kept when no caller waits.
const SMALL: usize = 64;

/// The reason why a waiter was not served.
#[derive(Clone, Copy)]
pub(super) enum NotServed {
    /// The tokens will not be there before the deadline, or never. This limit has the longest wait.
    Refused(Refused),
    /// The key was removed.
    Removed,
    /// A caller that leaves less took the place.
    Displaced,
    Closed,
}

/// Returns the refusal behind a waiter: nothing is there.
fn behind(now: Reading) -> Refused {
    Refused::new(0, Taken::Denied { needed: Units(1), deficit: Units(1), now })
}

/// The effect of a change of the limits, other than by a call that was admitted, on the waiters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// A waiter may be served earlier.
    Earlier,
    /// Waiters may miss their deadlines.
    Later,
    /// A quota changed. Waiters may also need more than its burst.
    Requoted,
}

/// The request of a caller that is ready to wait.
pub(super) struct CompositeRequest {
    pub(super) order: Order,
    pub(super) deadline: Reading,
    /// The most microseconds between the grant and the wake-up.
    pub(super) hold: u32,
    /// Taken if the call waits.
    pub(super) waker: Option<Waker>,
}

/// The result of a [`CompositeRequest`].
pub(super) enum Entered {
    Granted(Reading),
    Waiting(Id),
    NotServed(NotServed),
    /// The queue has its maximum number of waiters, which is this.
    Full(u32),
    /// The waiters leave as many different amounts as permitted, which is this number.
    TooManyClasses(usize),
    /// Nothing was done: the queue was given up, and the key has another one, or none.
    Gone,
}

/// The operations of a queue, whatever the clock is.
pub(super) trait Waiters: Send + Sync {
    /// Returns whether callers wait.
    fn has_waiters(&self) -> bool;

    /// Takes the tokens of an order unless a waiter comes first; `None` if the queue was given up. `at` is the
    /// time of the call; `None` for the clock.
    fn take(&self, order: Order, at: Option<Reading>) -> Option<Result<(), Refused>>;

    /// Called after a limit was changed, other than by a call that was admitted, if callers may wait.
    fn changed(&self, effect: Effect);

    fn waiting(&self) -> u32;

    /// Takes tokens or joins the queue. If the second result is `true`, the caller has to
    /// [`dispatch`](Waiters::dispatch) once it has recorded that it waits.
    fn enter(&self, request: &mut CompositeRequest) -> (Entered, bool);

    fn dispatch(&self);

    /// Returns the outcome of a waiter, or registers `by` to be woken for it.
    fn poll(&self, id: Id, by: &Waker) -> Poll<Outcome<NotServed>>;

    /// Removes a waiter, and returns its outcome if it has one. If the second result is `true`, the caller has to
    /// [`dispatch`](Waiters::dispatch).
    fn leave(&self, id: Id) -> (Option<Outcome<NotServed>>, bool);

    /// Refuses every waiter, now and later.
    fn close(&self);

    /// Gives the queue up if no caller waits, and returns whether it did. Does not wait for the lock.
    fn give_up_if_idle(&self) -> bool;

    /// Gives the queue up, and refuses its waiters, because the key was removed.
    fn remove(&self);
}

pub(super) struct CompositeQueue<C> {
    limits: OwnedLimits<C>,
    config: Arc<WaitConfig>,
    /// Woken last by each dispatch.
    hook: Option<Waker>,
    /// One if calls have to come here: callers wait, or the limiter was closed.
    has_waiters: AtomicU64,
    state: Mutex<State>,
    dispatcher: Dispatcher,
}

struct State {
    list: WaitList<NotServed>,
    /// The orders of the waiters, by id.
    orders: Vec<Option<(Order, Sums)>>,
    ahead: Ahead,
    /// Waiters to be woken by the next pass.
    woken: Vec<Waker>,
    /// Set if waiters may miss their deadlines, because a limit was charged.
    recheck: bool,
    /// Set if waiters may never be served, because a quota changed.
    requoted: bool,
    needs_dispatch: bool,
    closed: bool,
    /// Set if the queue was given up: it takes no waiters any longer.
    gone: bool,
}

impl State {
    /// Removes what is known about a waiter that waits no longer.
    fn forget(&mut self, id: Id, class: Units) {
        if let Some((_, costs)) = self.orders.get_mut(id as usize).and_then(Option::take) {
            self.ahead.remove(class, &costs);
        }
    }

    fn refuse(&mut self, id: Id, class: Units, why: NotServed) -> Option<Waker> {
        self.forget(id, class);
        self.list.refuse(id, why)
    }

    fn order(&self, id: Id) -> Option<&(Order, Sums)> {
        self.orders.get(id as usize)?.as_ref()
    }

    /// Returns the waiters in order, with their classes.
    fn ids(&self) -> Vec<(Id, Units)> {
        self.list.ids().map(|(id, waiting)| (id, waiting.leaving())).collect()
    }

    /// Refuses every waiter.
    fn refuse_all(&mut self, why: NotServed) -> Vec<Waker> {
        let mut woken = std::mem::take(&mut self.woken);
        for (id, class) in self.ids() {
            woken.extend(self.refuse(id, class, why));
        }
        woken
    }
}

impl<C: Clock + Send + Sync + 'static> CompositeQueue<C> {
    pub(super) fn new(limits: OwnedLimits<C>, config: Arc<WaitConfig>, hook: Option<Waker>) -> Arc<Self> {
        let state = State {
            list: WaitList::new(),
            orders: Vec::new(),
            ahead: Ahead::new(),
            woken: Vec::new(),
            recheck: false,
            requoted: false,
            needs_dispatch: false,
            closed: false,
            gone: false,
        };
        Arc::new_cyclic(|queue| CompositeQueue {
            limits,
            config,
            hook,
            has_waiters: AtomicU64::new(0),
            state: Mutex::new(state),
            dispatcher: Dispatcher::new(queue.clone()),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn call(&self, order: Order) -> OrderCall<'_, C> {
        OrderCall { limits: self.limits.limits(), order }
    }

    fn read(&self) -> Reading {
        match self.limits.limits().targets().next() {
            Some(target) => target.live().read(),
            None => Reading::NONE,
        }
    }

    /// The units that an order takes from each limit.
    fn costs(&self, order: Order) -> Sums {
        let mut costs = NOTHING;
        for (cost, target) in costs.iter_mut().zip(self.limits.limits().targets()) {
            *cost = u128::from(Layout::cost(order.n, target.layout().per_token()).0);
        }
        costs
    }

    /// Returns the limit with the longest wait of an order behind waiters that take `ahead`; `None` if all
    /// limits would admit it at once.
    fn refusal(&self, order: Order, ahead: &Sums, now: Reading) -> Option<Refused> {
        together::look_behind(self.call(order), Some(now), 0, None, |nth| ahead[nth])
    }

    /// Returns the instant at which a refused order is admitted, if nothing else takes tokens; `None` if it
    /// never is.
    fn due(&self, refused: Refused, order: Order) -> Option<Reading> {
        refused.due(self.call(order))
    }

    /// Returns whether an order is refused instead of waiting: it would be too late, or there is no room for its
    /// key.
    fn misses(&self, refused: Refused, order: Order, deadline: Reading) -> bool {
        refused.is_table_full() || self.due(refused, order).is_none_or(|due| due > deadline)
    }

    /// Makes calls come here, or not.
    fn mark(&self, state: &mut State) {
        // The memory of a crowd is freed.
        if state.list.waiting() == 0 && state.orders.len() > SMALL {
            state.orders = Vec::new();
        }
        let has_waiters = state.list.waiting() > 0 || state.closed;
        self.has_waiters.store(has_waiters.into(), Ordering::SeqCst);
    }

    /// Returns the first waiters whose tokens were not there by their deadlines, if the timer is late. The limits are
    /// looked at before any waiter is charged: a charge at `now` discards what was above a burst by then, and so may
    /// hide what was there before.
    fn missed(&self, state: &State, now: Reading) -> Vec<(Id, Refused)> {
        let (mut missed, mut ahead) = (Vec::new(), NOTHING);
        if state.list.first_timeout().is_none_or(|at| at >= now) {
            return missed;
        }
        for (id, waiting) in state.list.ids() {
            let (Some(&(order, costs)), deadline) = (state.order(id), waiting.deadline()) else { break };
            match self.refusal(order, &ahead, deadline.min(now)) {
                None => ahead::add(&mut ahead, &costs),
                Some(refused) if self.misses(refused, order, deadline) => missed.push((id, refused)),
                Some(_) => break,
            }
        }
        missed
    }

    /// Grants the first waiters, one after the other, while the limits admit them.
    fn serve(&self, state: &mut State, now: Reading, woken: &mut Vec<Waker>) {
        let mut missed = self.missed(state, now).into_iter().peekable();
        while let Some((id, deadline, class)) =
            state.list.first().map(|(id, first)| (id, first.deadline(), first.leaving()))
        {
            let Some(&(order, _)) = state.order(id) else { return };
            let outcome = match missed.next_if(|&(of, _)| of == id) {
                Some((_, refused)) => Err(refused),
                None => together::take_cold(self.call(order), Some(now), &mut |_, _: Taken| ()),
            };
            match outcome {
                Ok(()) => {
                    state.forget(id, class);
                    woken.extend(state.list.grant(id, now));
                }
                Err(refused) if self.misses(refused, order, deadline) => {
                    woken.extend(state.refuse(id, class, NotServed::Refused(refused)));
                }
                Err(_) => return,
            }
        }
    }

    /// Refuses a waiter whose deadline has passed.
    fn refuse_late(&self, state: &mut State, id: Id, now: Reading) -> Option<Waker> {
        let class = state.list.at(id)?.leaving();
        let &(order, costs) = state.order(id)?;
        let ahead = state.ahead.of_last(class, &costs);
        let refused = self.refusal(order, &ahead, now).unwrap_or(behind(now));
        state.refuse(id, class, NotServed::Refused(refused))
    }

    /// Refuses every waiter that is never served: usually one that needs more than a burst.
    fn refuse_those_above_a_burst(&self, state: &mut State, now: Reading, woken: &mut Vec<Waker>) {
        for (id, class) in state.ids() {
            let Some(&(order, _)) = state.order(id) else { continue };
            if let Some(never) =
                self.refusal(order, &NOTHING, now).filter(|&refused| self.due(refused, order).is_none())
            {
                woken.extend(state.refuse(id, class, NotServed::Refused(never)));
            }
        }
    }

    /// Refuses every waiter whose deadline is before its grant, at any place in the list.
    fn refuse_hopeless(&self, state: &mut State, now: Reading, woken: &mut Vec<Waker>) {
        let mut deadlines = state.list.deadlines();
        let mut ahead = NOTHING;
        for (id, class) in state.ids() {
            // Those behind the last deadline may wait for ever.
            if deadlines == 0 {
                return;
            }
            let (Some(waiting), Some(&(order, costs))) = (state.list.at(id), state.order(id)) else { continue };
            let deadline = waiting.deadline();
            deadlines -= usize::from(deadline < Reading::MAX);
            match self.refusal(order, &ahead, now) {
                Some(refused) if self.misses(refused, order, deadline) => {
                    woken.extend(state.refuse(id, class, NotServed::Refused(refused)));
                }
                _ => ahead::add(&mut ahead, &costs),
            }
        }
    }

    /// Returns the instant of the next pass: when the first waiter is due, or somewhat later if more waiters
    /// are due soon after, and no limit is filled more than half of its free capacity meanwhile.
    fn next(&self, state: &State, now: Reading, slack: Duration) -> Option<Reading> {
        let due = self.next_due(state, now, slack);
        [due, state.list.first_timeout()].into_iter().flatten().min()
    }

    fn next_due(&self, state: &State, now: Reading, slack: Duration) -> Option<Reading> {
        let due = |order: Order, ahead: &Sums| match self.refusal(order, ahead, now) {
            Some(refused) => self.due(refused, order),
            None => Some(now),
        };
        let mut ids = state.list.ids();
        let &(order, costs) = state.order(ids.next()?.0)?;
        let first = due(order, &NOTHING)?;
        let Some((second, _)) = ids.next() else { return Some(first) };
        let slack = u64::try_from(slack.as_nanos()).unwrap_or(u64::MAX);
        let latest = Reading::from_nanos(first.nanos().saturating_add(slack)).min(self.half_filled(order, now));
        let unhurried = |second: Id| due(state.order(second)?.0, &costs).filter(|&second| second <= latest);
        if unhurried(second).is_none() {
            return Some(first);
        }
        let last = state.list.last().and_then(|(id, class)| {
            let &(order, costs) = state.order(id)?;
            due(order, &state.ahead.of_last(class, &costs))
        });
        // Waiters may be due before the first one, if that leaves more in one of the limits.
        Some(last.map_or(latest, |last| last.min(latest)).max(first))
    }

    /// Returns the first instant at which a limit holds an order's tokens and half of the capacity above them.
    /// A limit that holds the tokens already is not the one that is waited for, and does not count.
    fn half_filled(&self, order: Order, now: Reading) -> Reading {
        let call = self.call(order);
        let of = |nth| {
            let Part { target, n, leaving } = call.part(nth);
            let needed = Demand::new(target.layout(), n, leaving).needed.0;
            let half = target.terms().capacity().0.saturating_sub(needed) / 2;
            target.foresee(n, leaving, TimeSource::given(now))?;
            let taken = target.foresee_behind(half.into(), n, leaving, TimeSource::given(now))?;
            Refused::new(nth, taken).due(call)
        };
        (0..call.len()).filter_map(of).min().unwrap_or(Reading::MAX)
    }

    /// Settles what follows from the work on the state. Returns whether the caller has to dispatch when it has
    /// released the lock.
    fn settle(&self, state: &mut State) -> bool {
        self.mark(state);
        std::mem::take(&mut state.needs_dispatch) && self.dispatcher.request()
    }

    /// Ends the work on the state, and dispatches if that is due.
    fn finish(&self, mut state: MutexGuard<'_, State>) {
        let needs_dispatch = self.settle(&mut state);
        drop(state);
        if needs_dispatch {
            self.dispatch();
        }
    }
}

impl<C: Clock + Send + Sync + 'static> Waiters for CompositeQueue<C> {
    fn has_waiters(&self) -> bool {
        self.has_waiters.load(Ordering::SeqCst) != 0
    }

    fn take(&self, order: Order, at: Option<Reading>) -> Option<Result<(), Refused>> {
        let mut state = self.lock();
        if state.gone {
            return None;
        }
        let class = self.call(order).class();
        if !state.list.has_ahead(class) {
            return Some(together::take_cold(self.call(order), at, &mut |_, _: Taken| ()));
        }
        let now = at.unwrap_or_else(|| self.read());
        let refused = self.refusal(order, &state.ahead.of(class), now);
        // The first waiter is due and the timer is late: this call does the timer's work.
        let first = state.list.first().and_then(|(first, _)| state.order(first));
        state.needs_dispatch |= first.is_some_and(|&(first, _)| self.refusal(first, &NOTHING, now).is_none());
        self.finish(state);
        Some(Err(refused.unwrap_or(behind(now))))
    }

    fn changed(&self, effect: Effect) {
        let mut state = self.lock();
        state.recheck |= effect != Effect::Earlier;
        state.requoted |= effect == Effect::Requoted;
        state.needs_dispatch |= state.list.waiting() > 0;
        self.finish(state);
    }

    fn waiting(&self) -> u32 {
        once_idle(|| self.dispatcher.is_busy(), || self.lock().list.waiting())
    }

    fn enter(&self, request: &mut CompositeRequest) -> (Entered, bool) {
        let mut state = self.lock();
        let state = &mut *state;
        if state.gone {
            return (Entered::Gone, false);
        }
        if state.closed {
            return (Entered::NotServed(NotServed::Closed), false);
        }
        let CompositeRequest { order, deadline, hold, ref mut waker } = *request;
        // The clock may panic, so it is read before anything is changed.
        let now = self.read();
        // Before the look at the limits: see the module.
        self.has_waiters.store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let entered = self.enter_marked(state, (order, now), deadline, hold, waker);
        (entered, self.settle(state))
    }

    fn dispatch(&self) {
        queue::run(self);
    }

    fn poll(&self, id: Id, by: &Waker) -> Poll<Outcome<NotServed>> {
        poll_entry(by, |fresh| (self.lock().list.collect(id, by, fresh), ())).map(|(outcome, ())| outcome)
    }

    fn leave(&self, id: Id) -> (Option<Outcome<NotServed>>, bool) {
        let mut state = self.lock();
        if let Some(class) = state.list.at(id).map(Waiting::leaving) {
            state.forget(id, class);
        }
        let (outcome, waker) = match state.list.take_out(id) {
            Some((Left::Waiting { was_first }, waker)) => {
                let waiting = state.list.waiting();
                state.needs_dispatch |= was_first && waiting > 0 || waiting == 1;
                (None, waker)
            }
            Some((Left::Settled(outcome), waker)) => (Some(outcome), waker),
            None => (None, None),
        };
        let needs_dispatch = self.settle(&mut state);
        drop(state);
        // The drop may panic, and the dispatch would be lost.
        ignore_panic(|| drop(waker));
        (outcome, needs_dispatch)
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let woken = state.refuse_all(NotServed::Closed);
        self.mark(&mut state);
        drop(state);
        wake(woken);
    }

    fn give_up_if_idle(&self) -> bool {
        let Some(mut state) = try_lock(&self.state) else { return false };
        // The next queue of the key would not count the grants that are held back.
        state.gone = state.list.unfinished() == 0;
        state.gone
    }

    fn remove(&self) {
        let mut state = self.lock();
        state.gone = true;
        let woken = state.refuse_all(NotServed::Removed);
        self.mark(&mut state);
        drop(state);
        wake(woken);
    }
}

impl<C: Clock + Send + Sync + 'static> CompositeQueue<C> {
    /// Takes tokens or joins the list, when calls come here already.
    fn enter_marked(
        &self,
        state: &mut State,
        (order, now): (Order, Reading),
        deadline: Reading,
        hold: u32,
        waker: &mut Option<Waker>,
    ) -> Entered {
        let call = self.call(order);
        let class = call.class();
        if !state.list.has_ahead(class) {
            if let Ok(()) = together::take_cold(call, Some(now), &mut |_, _: Taken| ()) {
                return Entered::Granted(now);
            }
        }
        let refused = self.refusal(order, &state.ahead.of(class), now);
        if let Some(refused) = refused.filter(|&refused| self.misses(refused, order, deadline)) {
            return Entered::NotServed(NotServed::Refused(refused));
        }
        if !state.list.has_class_for(class) {
            return Entered::TooManyClasses(queue::MOST_CLASSES);
        }
        if state.list.unfinished() >= self.config.max_waiters {
            let Some((last, of)) = state.list.last().filter(|&(_, of)| of > class) else {
                return Entered::Full(self.config.max_waiters);
            };
            let displaced = state.refuse(last, of, NotServed::Displaced);
            state.woken.extend(displaced);
            state.needs_dispatch = true;
        }
        // Only the class counts: the costs are kept apart, for each limit.
        let demand = Demand { cost: Units(1), needed: Units(1 + class.0) };
        let hold = queue::random_up_to(hold);
        let pushed = waker.take().and_then(|waker| state.list.push(Waiting::new(demand, deadline, hold, waker)));
        let Some(id) = pushed else { return Entered::Full(self.config.max_waiters) };
        let costs = self.costs(order);
        if state.orders.len() <= id as usize {
            state.orders.resize_with(id as usize + 1, || None);
        }
        state.orders[id as usize] = Some((order, costs));
        state.ahead.add(class, &costs);
        let first = state.list.first().map(|(first, _)| first);
        // The deadline may be earlier than the instant for which the timer is armed: in front of other waiters; and
        // behind the first one, if that leaves more in one of the limits.
        let is_earlier = |first| {
            let due = state.order(first).and_then(|&(first, _)| self.due(self.refusal(first, &NOTHING, now)?, first));
            due.is_some_and(|due| deadline < due)
        };
        let is_urgent = deadline < Reading::MAX && (state.list.precedes_some(class) || first.is_some_and(is_earlier));
        state.needs_dispatch |= first == Some(id) || is_urgent;
        Entered::Waiting(id)
    }
}

impl<C: Clock + Send + Sync + 'static> Dispatch for CompositeQueue<C> {
    fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    fn drive(&self) -> Option<&TimeDriver> {
        self.config.driver()
    }

    fn look(&self, drive: &TimeDriver, slack: Duration, _: bool) -> Pass {
        let mut state = self.lock();
        let state = &mut *state;
        let now = drive.now();
        let mut woken = std::mem::take(&mut state.woken);
        state.needs_dispatch = false;
        if std::mem::take(&mut state.requoted) {
            self.refuse_those_above_a_burst(state, now, &mut woken);
        }
        if std::mem::take(&mut state.recheck) {
            self.refuse_hopeless(state, now, &mut woken);
        }
        loop {
            self.serve(state, now, &mut woken);
            if state.list.first_timeout().is_none_or(|at| at > now) {
                break;
            }
            match state.list.time_out() {
                Some(Ok(waker)) => woken.push(waker),
                Some(Err(id)) => woken.extend(self.refuse_late(state, id, now)),
                None => {}
            }
        }
        // The limits are looked at again: they may have been changed by calls that began before the first waiter
        // came.
        let next = self.next(state, now, slack);
        self.mark(state);
        woken.extend(self.hook.clone());
        Pass { now, next, woken }
    }

    fn give_up(&self) {
        let mut state = self.lock();
        state.needs_dispatch = true;
        let mut woken = std::mem::take(&mut state.woken);
        woken.extend(state.list.release_all());
        self.dispatcher.close();
        drop(state);
        wake(woken);
    }
}
