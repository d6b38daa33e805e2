//! [`CompositeQueue`]: the waiters on several limits, which may also wait for a permit.
//!
//! The words stay in their places. While callers wait, every call comes here, and is refused unless it precedes
//! the waiters; so the limits are charged under the queue's lock only, but for calls that began before the first
//! waiter came. A waiter is charged when all limits admit it, and not before. If the limits come with permits
//! ([`QueuedLimits::permits`]), each call takes one of them first.
//!
//! **No waiter is forgotten.** A waiter sets the flag `has_waiters` before it looks at the limits; a call that
//! gives tokens back changes a limit before it looks at the flag (`Holder::changed`). Between the two, both have a
//! fence. So the waiter sees the tokens, or the call sees the flag and requests a dispatch. A call that is refused
//! after it has charged some of the limits gives these charges back, and looks at the flag too. A permit that is given
//! back needs no fence: a waiter changes the word of the permits as well ([`Permits::meet`]), and the later of two changes
//! of one word sees what was done before the earlier.

use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::ahead::{self, Ahead, NOTHING, Sums};
use super::queued::{CompositeRequest, Effect, Entered, NotServed, QueuedLimits, Waiters};
use super::together::{self, Part, Parts, Refused};
use crate::algorithm::token_bucket::Demand;
use crate::cell::Taken;
use crate::permits::Permits;
use crate::queue::{
    self, Dispatch, Dispatcher, Id, Left, Outcome, Pass, TimeDriver, WaitConfig, WaitList, Waiting, ignore_panic,
    once_idle, poll_entry, wake,
};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, fence, lock, try_lock};
use crate::word::{Layout, Reading, Units};

/// The number of orders that are kept when no caller waits.
const SMALL: usize = 64;

/// The waiters on limits that are charged together.
pub(crate) struct CompositeQueue<L: QueuedLimits> {
    limits: L,
    config: Arc<WaitConfig>,
    /// Woken last by each dispatch.
    hook: Option<Waker>,
    /// One if calls have to come here: callers wait, or the limiter was closed.
    has_waiters: AtomicU64,
    state: Mutex<State<L>>,
    dispatcher: Dispatcher,
}

struct State<L: QueuedLimits> {
    list: WaitList<NotServed<L::Refusal>>,
    /// The orders of the waiters, by id.
    orders: Vec<Option<(L::Order, Sums)>>,
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

impl<L: QueuedLimits> State<L> {
    /// Removes what is known about a waiter that waits no longer.
    fn forget(&mut self, id: Id, class: Units) {
        if let Some((_, costs)) = self.orders.get_mut(id as usize).and_then(Option::take) {
            self.ahead.remove(class, &costs);
        }
    }

    fn refuse(&mut self, id: Id, class: Units, why: NotServed<L::Refusal>) -> Option<Waker> {
        self.forget(id, class);
        self.list.refuse(id, why)
    }

    fn order(&self, id: Id) -> Option<&(L::Order, Sums)> {
        self.orders.get(id as usize)?.as_ref()
    }

    /// Returns the waiters in order, with their classes.
    fn ids(&self) -> Vec<(Id, Units)> {
        self.list.ids().map(|(id, waiting)| (id, waiting.leaving())).collect()
    }

    /// Refuses every waiter.
    fn refuse_all(&mut self, why: NotServed<L::Refusal>) -> Vec<Waker> {
        let mut woken = std::mem::take(&mut self.woken);
        for (id, class) in self.ids() {
            woken.extend(self.refuse(id, class, why));
        }
        woken
    }
}

impl<L: QueuedLimits> CompositeQueue<L> {
    pub(crate) fn new(limits: L, config: Arc<WaitConfig>, hook: Option<Waker>) -> Arc<Self> {
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

    /// Returns the limits.
    #[inline]
    pub(crate) fn limits(&self) -> &L {
        &self.limits
    }

    /// Returns the configuration.
    pub(crate) fn config(&self) -> &WaitConfig {
        &self.config
    }

    fn lock(&self) -> MutexGuard<'_, State<L>> {
        lock(&self.state)
    }

    /// Takes a permit, if the limits come with permits, and the tokens of an order. The error is the limit that
    /// refuses it, if it is not for lack of a permit.
    fn charge(&self, call: L::Call<'_>, at: Option<Reading>) -> Result<(), Option<Refused>> {
        // Given back also if the clock panics. No waiter needs to know: this thread has the lock of the queue.
        let slot = self.limits.permits().map(|permits| permits.hold(|| ())).transpose().map_err(|_| None)?;
        together::take_cold(call, at, &mut |_, _: Taken| ()).map_err(Some)?;
        if let Some(slot) = slot {
            slot.keep();
        }
        Ok(())
    }

    /// Returns whether a call need not wait for a permit.
    fn has_permit(&self) -> bool {
        self.limits.permits().is_none_or(Permits::has_permit)
    }

    /// Makes calls come here, or not.
    fn mark(&self, state: &mut State<L>) {
        // The memory of a crowd is freed.
        if state.list.waiting() == 0 && state.orders.len() > SMALL {
            state.orders = Vec::new();
        }
        let has_waiters = state.list.waiting() > 0 || state.closed || state.gone;
        self.has_waiters.store(has_waiters.into(), Ordering::SeqCst);
    }

    /// Returns the first waiters whose tokens were not there by their deadlines, if the timer is late. The limits are
    /// looked at before any waiter is charged: a charge at `now` discards what was above a burst by then, and so may
    /// hide what was there before.
    fn missed(state: &State<L>, view: &L::View<'_>, now: Reading) -> Vec<(Id, Refused)> {
        let (mut missed, mut ahead) = (Vec::new(), NOTHING);
        if state.list.first_timeout().is_none_or(|at| at >= now) {
            return missed;
        }
        for (id, waiting) in state.list.ids() {
            let (Some(&(order, costs)), deadline) = (state.order(id), waiting.deadline()) else { break };
            let call = L::call(view, order);
            match refusal(call, &ahead, deadline.min(now)) {
                None => ahead::add(&mut ahead, &costs),
                Some(refused) if misses(refused, call, deadline) => missed.push((id, refused)),
                Some(_) => break,
            }
        }
        missed
    }

    /// Grants the first waiters, one after the other, while the limits admit them.
    fn serve(&self, state: &mut State<L>, view: &L::View<'_>, now: Reading, woken: &mut Vec<Waker>) {
        let mut missed = Self::missed(state, view, now).into_iter().peekable();
        while let Some((id, deadline, class)) =
            state.list.first().map(|(id, first)| (id, first.deadline(), first.leaving()))
        {
            let Some(&(order, _)) = state.order(id) else { return };
            let call = L::call(view, order);
            let outcome = match missed.next_if(|&(of, _)| of == id) {
                Some((_, refused)) => Err(Some(refused)),
                // A call that waits for a permit may be one that no limit will ever admit.
                None => self.charge(call, Some(now)).map_err(|why| why.or_else(|| refusal(call, &NOTHING, now))),
            };
            match outcome {
                Ok(()) => {
                    state.forget(id, class);
                    woken.extend(state.list.grant_as(id, now, L::mark(view)));
                }
                Err(Some(refused)) if misses(refused, call, deadline) => {
                    woken.extend(state.refuse(id, class, NotServed::Refused(L::refusal(call, refused, true))));
                }
                Err(_) => return,
            }
        }
    }

    /// Refuses a waiter whose deadline has passed.
    fn refuse_late(&self, state: &mut State<L>, view: &L::View<'_>, id: Id, now: Reading) -> Option<Waker> {
        let class = state.list.at(id)?.leaving();
        let &(order, costs) = state.order(id)?;
        let ahead = state.ahead.of_last(class, &costs);
        let call = L::call(view, order);
        let refused = refusal(call, &ahead, now).or_else(|| Self::behind_first(state, view, now));
        let why = match refused {
            None if self.limits.permits().is_some() => NotServed::NoPermit,
            refused => NotServed::Refused(L::refusal(call, refused.unwrap_or_else(|| Refused::behind(0, now)), true)),
        };
        state.refuse(id, class, why)
    }

    /// Returns the refusal of a call that no limit refuses by itself: by the limit that refuses the first waiter.
    fn behind_first(state: &State<L>, view: &L::View<'_>, now: Reading) -> Option<Refused> {
        let &(order, _) = state.order(state.list.first()?.0)?;
        Some(Refused::behind(refusal(L::call(view, order), &NOTHING, now)?.nth, now))
    }

    /// Refuses every waiter that is never served: usually one that needs more than a burst.
    fn refuse_those_above_a_burst(state: &mut State<L>, view: &L::View<'_>, now: Reading, woken: &mut Vec<Waker>) {
        for (id, class) in state.ids() {
            let Some(&(order, _)) = state.order(id) else { continue };
            let call = L::call(view, order);
            if let Some(never) = refusal(call, &NOTHING, now).filter(|refused| refused.due(call).is_none()) {
                woken.extend(state.refuse(id, class, NotServed::Refused(L::refusal(call, never, true))));
            }
        }
    }

    /// Refuses every waiter whose deadline is before its grant, at any place in the list.
    fn refuse_hopeless(state: &mut State<L>, view: &L::View<'_>, now: Reading, woken: &mut Vec<Waker>) {
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
            let call = L::call(view, order);
            match refusal(call, &ahead, now) {
                Some(refused) if misses(refused, call, deadline) => {
                    woken.extend(state.refuse(id, class, NotServed::Refused(L::refusal(call, refused, true))));
                }
                _ => ahead::add(&mut ahead, &costs),
            }
        }
    }

    /// Returns the instant of the next pass: when the first waiter is due, or somewhat later if more waiters
    /// are due soon after, and no limit is filled more than half of its free capacity meanwhile.
    fn next(&self, state: &State<L>, view: &L::View<'_>, now: Reading, slack: Duration) -> Option<Reading> {
        // A thread that gives a permit back requests a dispatch.
        let due = if self.has_permit() { Self::next_due(state, view, now, slack) } else { None };
        [due, state.list.first_timeout()].into_iter().flatten().min()
    }

    fn next_due(state: &State<L>, view: &L::View<'_>, now: Reading, slack: Duration) -> Option<Reading> {
        let due = |order: L::Order, ahead: &Sums| {
            let call = L::call(view, order);
            match refusal(call, ahead, now) {
                Some(refused) => refused.due(call),
                None => Some(now),
            }
        };
        let mut ids = state.list.ids();
        let &(order, costs) = state.order(ids.next()?.0)?;
        let first = due(order, &NOTHING)?;
        let Some((second, _)) = ids.next() else { return Some(first) };
        let slack = u64::try_from(slack.as_nanos()).unwrap_or(u64::MAX);
        let latest =
            Reading::from_nanos(first.nanos().saturating_add(slack)).min(half_filled(L::call(view, order), now));
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

    /// Settles what follows from the work on the state. Returns whether the caller has to dispatch when it has
    /// released the lock.
    fn settle(&self, state: &mut State<L>) -> bool {
        self.mark(state);
        std::mem::take(&mut state.needs_dispatch) && self.dispatcher.request()
    }

    /// Ends the work on the state, and dispatches if that is due.
    fn finish(&self, mut state: MutexGuard<'_, State<L>>) {
        let needs_dispatch = self.settle(&mut state);
        drop(state);
        if needs_dispatch {
            queue::run(self);
        }
    }

    /// Changes the limits by `change`, in which other limits may take their places, and times the waiters anew.
    /// No limit is charged meanwhile, but by calls that came before the first waiter.
    pub(crate) fn replace_limits<T>(&self, change: impl FnOnce(&L) -> T) -> T {
        let mut state = self.lock();
        let changed = change(&self.limits);
        let view = self.limits.view();
        state.ahead = Ahead::new();
        for (id, class) in state.ids() {
            let Some(Some((order, costs))) = state.orders.get_mut(id as usize) else { continue };
            *costs = costs_of(L::call(&view, *order));
            let costs = *costs;
            state.ahead.add(class, &costs);
        }
        drop(view);
        (state.recheck, state.requoted) = (true, true);
        state.needs_dispatch |= state.list.waiting() > 0;
        self.finish(state);
        changed
    }
}

/// The units that a call takes from each limit.
fn costs_of(call: impl Parts) -> Sums {
    let mut costs = NOTHING;
    for (nth, cost) in costs.iter_mut().enumerate().take(call.len()) {
        let Part { target, n, .. } = call.part(nth);
        *cost = u128::from(Layout::cost(n, target.layout().per_token()).0);
    }
    costs
}

/// Returns the limit with the longest wait of a call behind waiters that take `ahead`; `None` if all limits would
/// admit it at once.
fn refusal(call: impl Parts, ahead: &Sums, now: Reading) -> Option<Refused> {
    together::look_behind(call, Some(now), 0, None, |nth| ahead[nth])
}

/// Returns whether a call is refused instead of waiting: it would be too late, or there is no room for its key.
fn misses(refused: Refused, call: impl Parts, deadline: Reading) -> bool {
    refused.is_table_full() || refused.due(call).is_none_or(|due| due > deadline)
}

/// Returns the first instant at which a limit holds a call's tokens and half of the capacity above them. A limit that
/// holds the tokens already is not the one that is waited for, and does not count.
fn half_filled<P: Parts>(call: P, now: Reading) -> Reading {
    let of = |nth| {
        let part = call.part(nth);
        let Part { target, n, leaving } = part;
        let needed = Demand::new(target.layout(), n, leaving).needed.0;
        let half = target.terms().capacity().0.saturating_sub(needed) / 2;
        together::foresee::<P>(&part, 0, Some(now))?;
        let taken = together::foresee::<P>(&part, half.into(), Some(now))?;
        Refused::new(nth, taken).due(call)
    };
    (0..call.len()).filter_map(of).min().unwrap_or(Reading::MAX)
}

impl<L: QueuedLimits> Waiters<L::Order, L::Refusal> for CompositeQueue<L> {
    fn has_waiters(&self) -> bool {
        self.has_waiters.load(Ordering::SeqCst) != 0
    }

    fn take(&self, order: L::Order, at: Option<Reading>) -> Option<Result<Units, Option<L::Refusal>>> {
        let mut state = self.lock();
        if state.gone {
            return None;
        }
        let view = self.limits.view();
        let call = L::call(&view, order);
        let class = L::class(call);
        if !state.list.has_ahead(class) {
            let charged = self.charge(call, at);
            return Some(match charged {
                Ok(()) => Ok(L::mark(&view)),
                Err(why) => Err(why.map(|refused| L::refusal(call, refused, false))),
            });
        }
        let now = at.unwrap_or_else(|| self.limits.read());
        let refused = refusal(call, &state.ahead.of(class), now).or_else(|| Self::behind_first(&state, &view, now));
        let refused = refused.map(|refused| L::refusal(call, refused, false));
        // The first waiter is due and the timer is late: this call does the timer's work.
        let first = state.list.first().and_then(|(first, _)| state.order(first));
        let is_due = first.is_some_and(|&(first, _)| refusal(L::call(&view, first), &NOTHING, now).is_none());
        state.needs_dispatch |= is_due && self.has_permit();
        drop(view);
        self.finish(state);
        Some(Err(refused))
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

    fn enter(&self, request: &mut CompositeRequest<L::Order>) -> (Entered<L::Refusal>, bool) {
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
        let now = self.limits.read();
        // Before the look at the limits: see `changed`.
        self.has_waiters.store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if let Some(permits) = self.limits.permits() {
            permits.meet();
        }
        let entered = self.enter_marked(state, (order, now), deadline, hold, waker);
        (entered, self.settle(state))
    }

    fn dispatch(&self) {
        queue::run(self);
    }

    fn poll(&self, id: Id, by: &Waker) -> Poll<Outcome<NotServed<L::Refusal>>> {
        poll_entry(by, |fresh| (self.lock().list.collect(id, by, fresh), ())).map(|(outcome, ())| outcome)
    }

    fn leave(&self, id: Id) -> (Option<Outcome<NotServed<L::Refusal>>>, bool) {
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

impl<L: QueuedLimits> CompositeQueue<L> {
    /// Takes tokens or joins the list, when calls come here already.
    fn enter_marked(
        &self,
        state: &mut State<L>,
        (order, now): (L::Order, Reading),
        deadline: Reading,
        hold: u32,
        waker: &mut Option<Waker>,
    ) -> Entered<L::Refusal> {
        let view = self.limits.view();
        let call = L::call(&view, order);
        let class = L::class(call);
        if !state.list.has_ahead(class) && self.charge(call, Some(now)).is_ok() {
            return Entered::Granted(now, L::mark(&view));
        }
        let refused = refusal(call, &state.ahead.of(class), now);
        if let Some(refused) = refused.filter(|&refused| misses(refused, call, deadline)) {
            return Entered::NotServed(NotServed::Refused(L::refusal(call, refused, true)));
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
        let costs = costs_of(call);
        if state.orders.len() <= id as usize {
            state.orders.resize_with(id as usize + 1, || None);
        }
        state.orders[id as usize] = Some((order, costs));
        state.ahead.add(class, &costs);
        let first = state.list.first().map(|(first, _)| first);
        // The deadline may be earlier than the instant for which the timer is armed: in front of other waiters; and
        // behind the first one, if that leaves more in one of the limits.
        let is_earlier = |first| {
            let due = |&(first, _): &(L::Order, Sums)| {
                let call = L::call(&view, first);
                refusal(call, &NOTHING, now)?.due(call)
            };
            state.order(first).and_then(due).is_some_and(|due| deadline < due)
        };
        let is_urgent = deadline < Reading::MAX && (state.list.precedes_some(class) || first.is_some_and(is_earlier));
        state.needs_dispatch |= first == Some(id) || is_urgent;
        Entered::Waiting(id)
    }
}

impl<L: QueuedLimits> Dispatch for CompositeQueue<L> {
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
        let view = self.limits.view();
        if std::mem::take(&mut state.requoted) {
            Self::refuse_those_above_a_burst(state, &view, now, &mut woken);
        }
        if std::mem::take(&mut state.recheck) {
            Self::refuse_hopeless(state, &view, now, &mut woken);
        }
        loop {
            self.serve(state, &view, now, &mut woken);
            if state.list.first_timeout().is_none_or(|at| at > now) {
                break;
            }
            match state.list.time_out() {
                Some(Ok(waker)) => woken.push(waker),
                Some(Err(id)) => woken.extend(self.refuse_late(state, &view, id, now)),
                None => {}
            }
        }
        // The limits are looked at again: they may have been changed by calls that began before the first waiter
        // came.
        let next = self.next(state, &view, now, slack);
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
