//! The state of a queue: the bucket's word and the wait list. All work here is done under the
//! queue's lock, one call after the other, on a word that no other thread can reach.

use std::hash::{BuildHasher, RandomState};
use std::task::Waker;
use std::time::Duration;

use crate::algorithm::Terms;
use crate::algorithm::token_bucket::{self, Demand, Step};
use crate::cell::Taken;
use crate::word::{Due, Intercept, Level, Reading, Snapshot, Units, Word};

use super::config::QueueConfig;
use super::dispatcher::Pass;
use super::wait_list::{Collected, Id, Left, MOST_CLASSES, Outcome, Refusal, WaitList, Waiting};

/// The request of a caller that is ready to wait.
pub(crate) struct WaitRequest {
    pub(crate) demand: Demand,
    /// The latest instant at which the tokens may be there; [`Reading::MAX`] for no deadline.
    pub(crate) deadline: Reading,
    /// The most microseconds between the grant and the wake-up.
    pub(crate) hold: u32,
    /// Taken if the call waits. It is cloned before the lock is taken, because a clone may run any
    /// code.
    pub(crate) waker: Option<Waker>,
}

/// The result of a [`WaitRequest`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Enqueued {
    Granted(Reading),
    /// Joined the wait list. `alone` is the instant of the grant if the waiter is first, `None` if
    /// it is behind others.
    Waiting {
        id: Id,
        alone: Option<Due>,
    },
    /// The tokens will be there only at this instant, after the deadline.
    TooLate(Due),
    /// The call needs more than the burst, which is this since the quota changed.
    ExceedsBurst(Units),
    /// The queue has its maximum number of waiters.
    Full,
    /// The waiters leave as many different amounts as permitted, which is this number.
    TooManyClasses(usize),
    /// The limiter was closed.
    Closed,
}

/// The state of a queue.
pub(crate) struct QueueState {
    /// `None` if the word is in its cell; then there are no waiters.
    word: Option<Word>,
    list: WaitList,
    /// Set after a charge, which may make waiters behind the first miss their deadlines.
    recheck: bool,
    /// Set after the quota changed, which may lower the burst below the needs of a waiter.
    requoted: bool,
    /// Set if a dispatch is needed, as of the last call.
    needs_dispatch: bool,
    /// The wakers of waiters that were displaced: the next dispatch wakes them.
    displaced: Vec<Waker>,
    /// Set if there are to be no waiters any more. The word stays here then, so that each call that is
    /// ready to wait comes here and is refused.
    closed: bool,
}

impl QueueState {
    pub(super) fn new(word: Option<Word>) -> Self {
        QueueState {
            word,
            list: WaitList::new(),
            recheck: false,
            requoted: false,
            needs_dispatch: false,
            displaced: Vec::new(),
            closed: false,
        }
    }

    /// Puts the word, which was handed over, into the state.
    pub(super) fn hand_over(&mut self, word: Word) {
        self.word = Some(word);
    }

    pub(crate) fn has_word(&self) -> bool {
        self.word.is_some()
    }

    /// Removes and returns the word if there are no waiters; the caller hands it back.
    pub(super) fn reclaim(&mut self) -> Option<Word> {
        if self.is_idle() { self.word.take() } else { None }
    }

    /// Returns whether grants are held back.
    pub(super) fn holds_back(&self) -> bool {
        self.list.unfinished() > self.list.waiting()
    }

    /// Returns the number of waiters.
    pub(crate) fn waiting(&self) -> u32 {
        self.list.waiting()
    }

    /// Returns whether the word can be handed back.
    pub(super) fn is_idle(&self) -> bool {
        self.word.is_some() && self.list.waiting() == 0 && !self.closed
    }

    /// Gives up the dispatches: the next call has to dispatch. Waiters that were granted and held
    /// back are released now, because the next call may not come here. The caller wakes the
    /// returned wakers when it holds no lock.
    pub(super) fn give_up(&mut self) -> Vec<Waker> {
        self.needs_dispatch = true;
        let mut woken = std::mem::take(&mut self.displaced);
        woken.extend(self.list.release_all());
        woken
    }

    /// Returns whether a dispatch is needed since the previous call of this function.
    pub(super) fn needs_dispatch(&mut self) -> bool {
        std::mem::take(&mut self.needs_dispatch)
    }

    /// Takes the tokens, unless they are not there or a waiter comes first. Returns `None` if the
    /// word is not here.
    pub(crate) fn take(&mut self, terms: &Terms<'_>, demand: Demand, now: Reading) -> Option<Taken> {
        let Demand { cost, needed } = demand;
        Some(match self.admit(terms, demand, now)? {
            Ok(held) => Taken::Admitted { cost, held, now },
            Err(deficit) => Taken::Denied { needed, deficit, now },
        })
    }

    /// Returns whether a new caller would be admitted at `now`.
    fn could_admit(&self, terms: &Terms<'_>, demand: Demand, now: Reading) -> bool {
        let held = self.word.map(|word| token_bucket::level(terms, word, now).0);
        let is_open = !self.list.has_ahead(demand.leaving()) && !terms.are_paused(now);
        is_open && held.is_some_and(|held| held >= demand.needed.0 as i64)
    }

    /// Charges `demand` if it can be admitted. Returns the amount held before the charge, or the
    /// deficit: the units that are missing for it and for all waiters ahead of it.
    fn admit(&mut self, terms: &Terms<'_>, demand: Demand, now: Reading) -> Option<Result<Units, Units>> {
        let word = self.word?;
        let leaving = demand.leaving();
        if !self.list.has_ahead(leaving) {
            match token_bucket::step_exact(terms, word, now, demand) {
                Step::Admitted { next, held } => {
                    self.word = Some(next);
                    return Some(Ok(held));
                }
                Step::Denied { deficit, .. } => return Some(Err(deficit)),
                Step::Cold => unreachable!("only special words are cold to the exact step"),
            }
        }
        let held = token_bucket::level(terms, word, now);
        // The first waiter is due and the timer is late: the caller may do the timer's work.
        let is_due = |first: &Waiting| first.demand.needed.0 as i64 <= held.0 && !terms.are_paused(now);
        self.needs_dispatch |= self.list.first().is_some_and(|(_, first)| is_due(first));
        let missing = held.missing(u128::from(demand.needed.0) + self.list.ahead_of(leaving));
        Some(Err(missing.max(Units(1))))
    }

    /// Replaces the word by the result of `change`, and returns the amount that was added or
    /// charged.
    pub(crate) fn change(
        &mut self,
        terms: &Terms<'_>,
        now: Reading,
        change: impl FnOnce(&Terms<'_>, Word, Reading) -> (Word, Units),
    ) -> Option<Units> {
        let before = self.word?;
        let (word, amount) = change(terms, before, now);
        self.word = Some(word);
        let (Intercept(was), Intercept(is)) =
            (token_bucket::current_intercept(terms, before), token_bucket::current_intercept(terms, word));
        // Only a lower level can make a waiter miss its deadline.
        self.recheck |= is < was;
        self.needs_dispatch |= is != was && self.list.waiting() > 0;
        Some(amount)
    }

    /// Replaces the word if it is here.
    pub(super) fn rewrite(&mut self, word: impl FnOnce(Word) -> Word) -> bool {
        self.word = self.word.map(word);
        self.word.is_some()
    }

    /// Called after the quota changed: the next pass looks at every waiter.
    pub(super) fn requote(&mut self) {
        self.requoted = true;
        self.recheck = true;
        self.needs_dispatch |= self.list.waiting() > 0;
    }

    /// Returns a snapshot of the bucket for a caller that has to leave `leaving` units.
    pub(crate) fn snapshot(&self, terms: &Terms<'_>, leaving: Units, now: Reading) -> Option<Snapshot> {
        let queued = self.list.ahead_of(leaving).min(1 << 62) as u64;
        let snapshot = Snapshot::held(now, token_bucket::level(terms, self.word?, now));
        Some(Snapshot { queued: Units(queued), ..snapshot })
    }

    /// Takes the tokens or joins the wait list. The word must be here.
    pub(crate) fn enter(&mut self, config: &QueueConfig, call: &mut WaitRequest, now: Reading) -> Enqueued {
        let WaitRequest { demand, deadline, hold, ref mut waker } = *call;
        if self.closed {
            return Enqueued::Closed;
        }
        // Other calls may have been served since the caller's reading. A new reading keeps the
        // instants of grants in order.
        let now = if self.could_admit(&config.terms(), demand, now) { config.now().unwrap_or(now) } else { now };
        let terms = config.terms();
        let deficit = match self.admit(&terms, demand, now) {
            Some(Ok(_)) => return Enqueued::Granted(now),
            Some(Err(deficit)) => deficit,
            None => unreachable!("it was lent under this lock"),
        };
        // The burst may be lower than it was when the caller looked.
        if demand.needed > terms.capacity() {
            return Enqueued::ExceedsBurst(terms.capacity());
        }
        let due = terms.due(now, deficit);
        if due.misses(deadline) {
            return Enqueued::TooLate(due);
        }
        if !self.list.has_class_for(demand.leaving()) {
            return Enqueued::TooManyClasses(MOST_CLASSES);
        }
        if self.list.unfinished() >= config.max_waiters && !self.displace(demand.leaving()) {
            return Enqueued::Full;
        }
        let hold = random_up_to(hold);
        let Some(id) = waker.take().and_then(|waker| self.list.push(Waiting::new(demand, deadline, hold, waker)))
        else {
            return Enqueued::Full;
        };
        // A deadline in front of other waiters may be earlier than the instant for which the timer
        // is armed.
        let is_first = self.list.first().is_some_and(|(first, _)| first == id);
        self.needs_dispatch |= is_first || deadline < Reading::MAX && self.list.precedes_some(demand.leaving());
        Enqueued::Waiting { id, alone: is_first.then_some(due) }
    }

    /// Refuses the waiter that is served last, if a caller with this `leaving` precedes it, and returns
    /// whether it did: a caller is not refused for want of a place that such a waiter has.
    fn displace(&mut self, leaving: Units) -> bool {
        let Some(last) = self.list.last_behind(leaving) else { return false };
        self.displaced.extend(self.list.refuse(last, Refusal::Displaced));
        self.needs_dispatch = true;
        true
    }

    /// Makes one pass: grants the waiters that are due, refuses those that cannot be served in
    /// time, and returns the instant of the next pass.
    pub(super) fn look(&mut self, terms: &Terms<'_>, now: Reading, slack: Duration) -> Pass {
        let mut woken = std::mem::take(&mut self.displaced);
        self.needs_dispatch = false;
        if std::mem::take(&mut self.requoted) {
            self.refuse_those_above_the_burst(terms, &mut woken);
        }
        if std::mem::take(&mut self.recheck) {
            self.refuse_the_hopeless(terms, now, &mut woken);
        }
        loop {
            self.serve(terms, now, &mut woken);
            if self.list.first_timeout().is_none_or(|at| at > now) {
                break;
            }
            match self.list.time_out() {
                Some(Ok(waker)) => woken.push(waker),
                // `serve` has granted every waiter that is due, so this waiter's deadline has
                // passed.
                Some(Err(id)) => woken.extend(self.refuse(terms, id, now)),
                None => {}
            }
        }
        Pass { now, next: self.next(terms, now, slack), woken }
    }

    /// Grants the first waiters, one after the other, while the bucket holds enough.
    fn serve(&mut self, terms: &Terms<'_>, now: Reading, woken: &mut Vec<Waker>) {
        let (mut begun, mut granted) = (None, 0);
        while let (Some(word), Some((id, first))) = (self.word, self.list.first()) {
            let (demand, deadline) = (first.demand, first.deadline);
            // By the word before this pass: a timer that is late must not make a waiter miss its deadline.
            let before = *begun.get_or_insert(word);
            let missed =
                deadline < now && was_due_after(terms, before, granted + u128::from(demand.needed.0), deadline);
            match token_bucket::step_exact(terms, word, now, demand) {
                Step::Admitted { next, .. } if !missed => {
                    self.word = Some(next);
                    granted += u128::from(demand.cost.0);
                    woken.extend(self.list.grant(id, now));
                }
                Step::Denied { deficit, .. } if !after(terms, now, deficit, deadline) => return,
                _ => woken.extend(self.refuse(terms, id, now)),
            }
        }
    }

    /// Refuses a waiter, and records when a new wait for the same amount would end.
    fn refuse(&mut self, terms: &Terms<'_>, id: Id, now: Reading) -> Option<Waker> {
        let demand = self.list.at(id)?.demand;
        let held = self.word.map_or(Level(0), |word| token_bucket::level(terms, word, now));
        let ahead = self.list.ahead_of(demand.leaving()) - u128::from(demand.cost.0);
        let missing = held.missing(ahead + u128::from(demand.needed.0));
        let due = terms.due(now, missing.max(Units(1)));
        self.list.refuse(id, Refusal::TooLate(due))
    }

    /// Refuses every waiter that needs more than the burst.
    fn refuse_those_above_the_burst(&mut self, terms: &Terms<'_>, woken: &mut Vec<Waker>) {
        let capacity = terms.capacity();
        let above = |(id, waiting): (Id, &Waiting)| (waiting.demand.needed > capacity).then_some(id);
        let above: Vec<Id> = self.list.ids().filter_map(above).collect();
        woken.extend(above.into_iter().filter_map(|id| self.list.refuse(id, Refusal::ExceedsBurst(capacity))));
    }

    /// Refuses every waiter whose deadline is before its grant, at any place in the wait list.
    fn refuse_the_hopeless(&mut self, terms: &Terms<'_>, now: Reading, woken: &mut Vec<Waker>) {
        let mut deadlines = self.list.deadlines();
        let Some(word) = self.word.filter(|_| deadlines > 0) else { return };
        let held = token_bucket::level(terms, word, now);
        let (mut ahead, mut hopeless) = (0, Vec::new());
        for (id, waiting) in self.list.ids() {
            // Those behind the last deadline may wait for ever.
            if deadlines == 0 {
                break;
            }
            deadlines -= usize::from(waiting.deadline < Reading::MAX);
            let (needed, deadline) = (ahead + u128::from(waiting.demand.needed.0), waiting.deadline);
            let missing = held.missing(needed);
            // A waiter that `serve` is about to grant is refused as `serve` would refuse it.
            let is_hopeless = if missing == Units(0) && !terms.are_paused(now) {
                deadline < now && was_due_after(terms, word, needed, deadline)
            } else {
                after(terms, now, missing, deadline)
            };
            if is_hopeless {
                hopeless.push(id);
            } else {
                ahead += u128::from(waiting.demand.cost.0);
            }
        }
        for id in hopeless {
            woken.extend(self.refuse(terms, id, now));
        }
    }

    /// Returns the instant of the next pass: when the first waiter is due, or somewhat later if
    /// more waiters are due soon after.
    fn next(&self, terms: &Terms<'_>, now: Reading, slack: Duration) -> Option<Reading> {
        let due = self.word.and_then(|word| self.next_due(terms, word, now, slack));
        [due, self.list.first_timeout()].into_iter().flatten().min()
    }

    fn next_due(&self, terms: &Terms<'_>, word: Word, now: Reading, slack: Duration) -> Option<Reading> {
        let held = token_bucket::level(terms, word, now);
        let due = |needed: u128| terms.due(now, held.missing(needed)).at();
        let needed = self.list.first()?.1.demand.needed.0;
        let first = due(needed.into())?;
        let Some((second, last)) = self.list.second_and_last() else { return Some(first) };
        // While the first waiter is kept waiting, at most half of the free capacity may be
        // refilled. The other half is for the lateness of the timer.
        let half = terms.capacity().0.saturating_sub(needed) / 2;
        let filled = due(u128::from(needed) + u128::from(half)).unwrap_or(Reading::MAX);
        let slack = u64::try_from(slack.as_nanos()).unwrap_or(u64::MAX);
        let latest = Reading::from_nanos(first.nanos().saturating_add(slack)).min(filled);
        let unhurried = due(second).is_some_and(|second| second <= latest);
        Some(if unhurried { due(last).map_or(latest, |last| last.min(latest)) } else { first })
    }

    /// Returns the outcome of a waiter, or registers `by` to be woken for it.
    pub(super) fn collect(&mut self, id: Id, by: &Waker, fresh: &mut Option<Waker>) -> Collected {
        self.list.collect(id, by, fresh)
    }

    /// Removes a waiter. Returns its outcome, if it has one, and its waker, which the caller drops
    /// when it holds no lock.
    pub(super) fn leave(&mut self, id: Id) -> (Option<Outcome>, Option<Waker>) {
        match self.list.take_out(id) {
            Some((Left::Waiting { was_first }, waker)) => {
                // The timer may be armed for several waiters, and one that is alone is not kept waiting.
                self.needs_dispatch |= was_first && self.list.waiting() > 0 || self.list.waiting() == 1;
                (None, waker)
            }
            Some((Left::Settled(outcome), waker)) => (Some(outcome), waker),
            None => (None, None),
        }
    }

    /// Removes the bucket's word.
    pub(super) fn drop_word(&mut self) {
        self.word = None;
    }

    /// Refuses every waiter on a bucket that was removed.
    pub(super) fn forget(&mut self) -> Vec<Waker> {
        self.refuse_all(Refusal::Forgotten)
    }

    /// Refuses every waiter, now and later. The word must be here.
    pub(super) fn close(&mut self) -> Vec<Waker> {
        self.closed = true;
        self.refuse_all(Refusal::Closed)
    }

    fn refuse_all(&mut self, why: Refusal) -> Vec<Waker> {
        let ids: Vec<Id> = self.list.ids().map(|(id, _)| id).collect();
        let mut woken = std::mem::take(&mut self.displaced);
        woken.extend(ids.into_iter().filter_map(|id| self.list.refuse(id, why)));
        woken
    }
}

/// Returns whether the units will have been earned only after the deadline.
fn after(terms: &Terms<'_>, now: Reading, missing: Units, deadline: Reading) -> bool {
    terms.due(now, missing).misses(deadline)
}

/// Returns whether the units, which are there now, were not yet there at the deadline.
fn was_due_after(terms: &Terms<'_>, word: Word, needed: u128, deadline: Reading) -> bool {
    i128::from(token_bucket::level_unbounded(terms, word, deadline).0) < needed as i128
}

/// Returns a random number from 0 to `most`.
pub(crate) fn random_up_to(most: u32) -> u32 {
    if most == 0 {
        return 0;
    }
    // Each of the standard library's hashers has a new key.
    let random = RandomState::new().hash_one(0);
    ((u128::from(random) * (u128::from(most) + 1)) >> 64) as u32
}
