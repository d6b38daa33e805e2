//! The wait list: the waiters in the order in which they will be served.

use std::collections::BTreeSet;
use std::task::{Poll, Waker};

use crate::algorithm::token_bucket::Demand;
use crate::sync::ignore_panic;
use crate::word::{Due, Reading, Units};

/// The index of an entry. It belongs to the waiter until the waiter takes the entry out.
pub(crate) type Id = u32;

/// The number of entries that are kept when all are vacant.
const SMALL: usize = 64;

/// The most classes that leave something. Calls look at each of them under the queue's lock.
pub(crate) const MOST_CLASSES: usize = 64;

/// The id of no entry.
const NONE: Id = Id::MAX;

/// A waiter.
pub(crate) struct Waiting {
    pub(super) demand: Demand,
    /// The latest instant at which the tokens may be there.
    pub(super) deadline: Reading,
    /// The microseconds between the grant and the wake-up.
    pub(super) hold: u32,
    waker: Waker,
    previous: Id,
    next: Id,
}

impl Waiting {
    pub(crate) fn new(demand: Demand, deadline: Reading, hold: u32, waker: Waker) -> Self {
        Waiting { demand, deadline, hold, waker, previous: NONE, next: NONE }
    }

    pub(crate) fn deadline(&self) -> Reading {
        self.deadline
    }

    /// The units to be left in the bucket, which identify the waiter's class.
    pub(crate) fn leaving(&self) -> Units {
        self.demand.leaving()
    }
}

/// The reason why a waiter will not be served.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// The tokens will not be there before the deadline. A new wait would end at this instant.
    TooLate(Due),
    /// The waiter needs more than the burst, which is this since the quota changed.
    ExceedsBurst(Units),
    /// The bucket that the waiter waited on was removed.
    Forgotten,
    /// A caller that leaves less took the place.
    Displaced,
    /// The limiter was closed.
    Closed,
}

/// The outcome of a wait. `R` is the reason of a refusal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome<R = Refusal> {
    Granted { cost: Units, at: Reading },
    Refused(R),
}

enum Entry<R> {
    Vacant {
        next: Id,
    },
    Waiting(Waiting),
    /// Granted, but woken later.
    Held {
        cost: Units,
        at: Reading,
        until: Reading,
        waker: Waker,
    },
    Settled(Outcome<R>),
}

/// The result of [`WaitList::collect`].
pub(crate) enum Collected<R = Refusal> {
    Settled(Outcome<R>),
    Pending,
    /// Another waker has to be registered: call again with a clone of it. A clone may run any code,
    /// so it is made when no lock is held.
    Stale,
}

/// The content of an entry that was taken out.
pub(crate) enum Left<R = Refusal> {
    Waiting { was_first: bool },
    Settled(Outcome<R>),
}

/// The waiters that leave the same amount in the bucket, first come, first served.
struct PriorityClass {
    leaving: Units,
    first: Id,
    last: Id,
    /// The sum of their costs.
    cost: u128,
}

/// The entries, in classes. A class is served before every class that leaves more in the bucket.
pub(crate) struct WaitList<R = Refusal> {
    entries: Vec<Entry<R>>,
    vacant: Id,
    /// The number of entries that are not vacant.
    taken: u32,
    /// Sorted by `leaving`. Usually there is one class, and a map's node has room for eleven.
    classes: Vec<PriorityClass>,
    /// The sum of the costs of all waiters.
    cost: u128,
    waiting: u32,
    /// The number of grants that are held back.
    held: u32,
    /// The instants at which a waiter is to be refused or a held grant is to be released.
    timeouts: BTreeSet<(Reading, Id)>,
}

impl<R: Copy> WaitList<R> {
    pub(crate) const fn new() -> Self {
        WaitList {
            entries: Vec::new(),
            vacant: NONE,
            taken: 0,
            classes: Vec::new(),
            cost: 0,
            waiting: 0,
            held: 0,
            timeouts: BTreeSet::new(),
        }
    }

    /// Returns the number of waiters.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Returns the number of waiters, and of grants that are held back.
    pub(crate) fn unfinished(&self) -> u32 {
        self.waiting + self.held
    }

    /// Returns the number of waiters with a deadline.
    pub(crate) fn deadlines(&self) -> usize {
        // The other timeouts are those of grants that are held back.
        self.timeouts.len() - self.held as usize
    }

    /// Returns whether a waiter with this `leaving` can be added. One that leaves nothing always can.
    pub(crate) fn has_class_for(&self, leaving: Units) -> bool {
        let leave_nothing = usize::from(self.has_ahead(Units(0)));
        leaving == Units(0) || self.classes.len() - leave_nothing < MOST_CLASSES || self.place_of(leaving).is_ok()
    }

    /// Returns the waiter that is served last, if a caller with this `leaving` precedes it.
    pub(super) fn last_behind(&self, leaving: Units) -> Option<Id> {
        self.last().filter(|&(_, of)| of > leaving).map(|(id, _)| id)
    }

    /// Returns the waiter that is served last, and its class.
    pub(crate) fn last(&self) -> Option<(Id, Units)> {
        self.classes.last().map(|class| (class.last, class.leaving))
    }

    /// Returns the sum of the costs of all waiters that precede a caller with this `leaving`.
    pub(super) fn ahead_of(&self, leaving: Units) -> u128 {
        self.classes.iter().take_while(|class| class.leaving <= leaving).map(|class| class.cost).sum()
    }

    /// Returns whether a waiter precedes a caller with this `leaving`.
    pub(crate) fn has_ahead(&self, leaving: Units) -> bool {
        self.classes.first().is_some_and(|class| class.leaving <= leaving)
    }

    /// Returns whether a caller with this `leaving` precedes a waiter.
    pub(crate) fn precedes_some(&self, leaving: Units) -> bool {
        self.classes.last().is_some_and(|class| class.leaving > leaving)
    }

    /// Returns the waiter that is served next.
    pub(crate) fn first(&self) -> Option<(Id, &Waiting)> {
        let first = self.classes.first()?.first;
        Some((first, self.at(first)?))
    }

    /// Returns the index of the class, or the index at which to insert it.
    fn place_of(&self, leaving: Units) -> Result<usize, usize> {
        self.classes.binary_search_by_key(&leaving, |class| class.leaving)
    }

    /// Returns the waiter that is served after `waiting`.
    fn after(&self, waiting: &Waiting) -> Option<(Id, &Waiting)> {
        let next = match waiting.next {
            NONE => {
                let leaving = waiting.leaving();
                self.classes.get(self.classes.partition_point(|class| class.leaving <= leaving))?.first
            }
            next => next,
        };
        Some((next, self.at(next)?))
    }

    /// Returns the units that have to be earned, from an empty bucket, for the second waiter and
    /// for the last one. Returns `None` if there are fewer than two.
    pub(super) fn second_and_last(&self) -> Option<(u128, u128)> {
        let (_, first) = self.first()?;
        let (_, second) = self.after(first)?;
        let last = self.at(self.classes.last()?.last)?;
        let left_by_last = u128::from(last.leaving().0);
        Some((u128::from(first.demand.cost.0) + u128::from(second.demand.needed.0), self.cost + left_by_last))
    }

    pub(crate) fn at(&self, id: Id) -> Option<&Waiting> {
        match self.entries.get(id as usize)? {
            Entry::Waiting(waiting) => Some(waiting),
            _ => None,
        }
    }

    fn at_mut(&mut self, id: Id) -> Option<&mut Waiting> {
        match self.entries.get_mut(id as usize)? {
            Entry::Waiting(waiting) => Some(waiting),
            _ => None,
        }
    }

    /// Adds a waiter at the end of its class. Returns `None` if no id is left for it.
    pub(crate) fn push(&mut self, mut waiting: Waiting) -> Option<Id> {
        let (leaving, deadline, cost) = (waiting.leaving(), waiting.deadline, u128::from(waiting.demand.cost.0));
        let id = match self.vacant {
            NONE => Id::try_from(self.entries.len()).ok().filter(|&id| id != NONE)?,
            vacant => vacant,
        };
        let place = self.place_of(leaving).unwrap_or_else(|place| {
            if self.classes.len() == self.classes.capacity() {
                self.classes.reserve_exact(self.classes.len().max(1));
            }
            self.classes.insert(place, PriorityClass { leaving, first: id, last: NONE, cost: 0 });
            place
        });
        let class = &mut self.classes[place];
        let previous = std::mem::replace(&mut class.last, id);
        class.cost += cost;
        self.cost += cost;
        waiting.previous = previous;
        if let Some(previous) = self.at_mut(previous) {
            previous.next = id;
        }
        self.store(id, Entry::Waiting(waiting));
        (self.taken, self.waiting) = (self.taken + 1, self.waiting + 1);
        if deadline < Reading::MAX {
            self.timeouts.insert((deadline, id));
        }
        Some(id)
    }

    fn store(&mut self, id: Id, entry: Entry<R>) {
        if let Some(place) = self.entries.get_mut(id as usize) {
            if let Entry::Vacant { next } = *place {
                self.vacant = next;
            }
            *place = entry;
        } else {
            // Doubling would leave half of a crowd's memory unused.
            if self.entries.len() == self.entries.capacity() {
                self.entries.reserve_exact((self.entries.len() / 4).max(1));
            }
            self.entries.push(entry);
        }
    }

    /// Unlinks a waiter from its class and puts `entry` in its place.
    fn unlink(&mut self, id: Id, entry: Entry<R>) -> Option<Waiting> {
        self.at(id)?;
        let place = &mut self.entries[id as usize];
        let Entry::Waiting(waiting) = std::mem::replace(place, entry) else { return None };
        let Waiting { previous, next, .. } = waiting;
        if let Some(previous) = self.at_mut(previous) {
            previous.next = next;
        }
        if let Some(next) = self.at_mut(next) {
            next.previous = previous;
        }
        if let Ok(place) = self.place_of(waiting.leaving()) {
            let class = &mut self.classes[place];
            class.cost -= u128::from(waiting.demand.cost.0);
            self.cost -= u128::from(waiting.demand.cost.0);
            match (previous, next) {
                (NONE, NONE) => drop(self.classes.remove(place)),
                (NONE, next) => class.first = next,
                (previous, NONE) => class.last = previous,
                _ => {}
            }
        }
        self.waiting -= 1;
        if waiting.deadline < Reading::MAX {
            self.timeouts.remove(&(waiting.deadline, id));
        }
        Some(waiting)
    }

    /// Grants a waiter. Returns its waker if it is to be woken now, `None` if it is woken later.
    pub(crate) fn grant(&mut self, id: Id, at: Reading) -> Option<Waker> {
        let cost = self.at(id)?.demand.cost;
        self.grant_as(id, at, cost)
    }

    /// The same, with another cost in the outcome.
    pub(crate) fn grant_as(&mut self, id: Id, at: Reading, cost: Units) -> Option<Waker> {
        let granted = || Entry::Settled(Outcome::Granted { cost, at });
        let Waiting { hold, deadline, waker, .. } = self.unlink(id, granted())?;
        if hold == 0 {
            return Some(waker);
        }
        let until = Reading::from_nanos(at.nanos() + u64::from(hold) * 1_000).min(deadline);
        self.entries[id as usize] = Entry::Held { cost, at, until, waker };
        self.held += 1;
        self.timeouts.insert((until, id));
        None
    }

    /// Refuses a waiter and returns its waker.
    pub(crate) fn refuse(&mut self, id: Id, why: R) -> Option<Waker> {
        self.unlink(id, Entry::Settled(Outcome::Refused(why))).map(|waiting| waiting.waker)
    }

    /// Returns the next instant at which a waiter is to be refused or a held grant is to be
    /// released.
    pub(crate) fn first_timeout(&self) -> Option<Reading> {
        self.timeouts.first().map(|&(at, _)| at)
    }

    /// Handles the first timeout: returns the waker of a held grant, or the id of a waiter that is
    /// to be refused.
    pub(crate) fn time_out(&mut self) -> Option<Result<Waker, Id>> {
        let (_, id) = self.timeouts.pop_first()?;
        Some(self.release(id).ok_or(id))
    }

    /// Releases a held grant and returns its waker.
    fn release(&mut self, id: Id) -> Option<Waker> {
        let entry = self.entries.get_mut(id as usize)?;
        let Entry::Held { cost, at, .. } = *entry else { return None };
        self.held -= 1;
        match std::mem::replace(entry, Entry::Settled(Outcome::Granted { cost, at })) {
            Entry::Held { waker, .. } => Some(waker),
            _ => None,
        }
    }

    /// Releases all held grants.
    pub(crate) fn release_all(&mut self) -> Vec<Waker> {
        let is_held = |&(_, id): &(Reading, Id)| matches!(self.entries.get(id as usize), Some(Entry::Held { .. }));
        let held: Vec<_> = self.timeouts.iter().copied().filter(is_held).collect();
        held.iter().for_each(|timeout| _ = self.timeouts.remove(timeout));
        held.into_iter().filter_map(|(_, id)| self.release(id)).collect()
    }

    /// Returns the waiters in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = (Id, &Waiting)> {
        std::iter::successors(self.first(), |(_, waiting)| self.after(waiting))
    }

    /// Takes out the outcome of a waiter, or replaces its waker by `fresh`. Then `fresh` is the old
    /// waker, which the caller drops when it holds no lock.
    pub(crate) fn collect(&mut self, id: Id, by: &Waker, fresh: &mut Option<Waker>) -> Collected<R> {
        let waker = match self.entries.get_mut(id as usize) {
            Some(Entry::Waiting(Waiting { waker, .. }) | Entry::Held { waker, .. }) => waker,
            _ => match self.take_out(id) {
                Some((Left::Settled(outcome), _)) => return Collected::Settled(outcome),
                _ => return Collected::Pending,
            },
        };
        if waker.will_wake(by) {
            return Collected::Pending;
        }
        let Some(fresh) = fresh else { return Collected::Stale };
        std::mem::swap(waker, fresh);
        Collected::Pending
    }

    /// Takes out an entry in any state. Also returns the waker, which the caller drops when it
    /// holds no lock.
    pub(crate) fn take_out(&mut self, id: Id) -> Option<(Left<R>, Option<Waker>)> {
        let vacant = Entry::Vacant { next: self.vacant };
        let was_first = self.first().is_some_and(|(first, _)| first == id);
        let left = match self.entries.get(id as usize)? {
            Entry::Waiting(_) => {
                let waiting = self.unlink(id, vacant)?;
                (Left::Waiting { was_first }, Some(waiting.waker))
            }
            Entry::Vacant { .. } => return None,
            _ => match std::mem::replace(&mut self.entries[id as usize], vacant) {
                Entry::Held { cost, at, until, waker } => {
                    self.held -= 1;
                    self.timeouts.remove(&(until, id));
                    (Left::Settled(Outcome::Granted { cost, at }), Some(waker))
                }
                Entry::Settled(outcome) => (Left::Settled(outcome), None),
                _ => return None,
            },
        };
        (self.vacant, self.taken) = (id, self.taken - 1);
        // The memory of a crowd is freed once all entries are vacant.
        if self.taken == 0 && self.entries.len() > SMALL {
            (self.entries, self.vacant) = (Vec::new(), NONE);
        }
        Some(left)
    }
}

/// Polls a waiter: collects its outcome by `collect`, which takes the lock of the list, or registers `by` to
/// be woken. `collect` may return more that it saw under the lock.
pub(crate) fn poll_entry<R, T>(
    by: &Waker,
    mut collect: impl FnMut(&mut Option<Waker>) -> (Collected<R>, T),
) -> Poll<(Outcome<R>, T)> {
    let mut fresh = None;
    loop {
        match collect(&mut fresh) {
            (Collected::Settled(outcome), seen) => {
                // The drop may panic, and the outcome would be lost.
                ignore_panic(|| drop(fresh));
                return Poll::Ready((outcome, seen));
            }
            (Collected::Pending, _) => return Poll::Pending,
            (Collected::Stale, _) => fresh = Some(by.clone()),
        }
    }
}
