//! Who waits, in the order in which they will be served.

use std::collections::BTreeSet;
use std::task::Waker;

use crate::algorithm::token_bucket::Ask;
use crate::word::{Due, Reading, Units};

/// An entry's place. It belongs to whoever entered, until they take the entry out.
pub(crate) type Id = u32;

/// So many entries are kept when all are vacant.
const SMALL: usize = 64;

/// No entry.
const NONE: Id = Id::MAX;

/// Somebody who waits.
pub(super) struct Waiting {
    pub(super) ask: Ask,
    /// The latest instant that the tokens may be there.
    pub(super) deadline: Reading,
    /// Microseconds after its grant that it is to be told.
    pub(super) hold: u32,
    waker: Waker,
    previous: Id,
    next: Id,
}

impl Waiting {
    pub(super) fn new(ask: Ask, deadline: Reading, hold: u32, waker: Waker) -> Self {
        Waiting { ask, deadline, hold, waker, previous: NONE, next: NONE }
    }

    /// The classes are told apart by this.
    fn leaving(&self) -> Units {
        self.ask.leaving()
    }
}

/// Why somebody will not be served.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// The tokens will not be there in time: a new wait would end then.
    TooLate(Due),
    /// The bucket that it waited on was forgotten.
    Forgotten,
}

/// What became of somebody.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Granted { cost: Units, at: Reading },
    Refused(Refusal),
}

enum Entry {
    Vacant {
        next: Id,
    },
    Waiting(Waiting),
    /// Granted, and to be told later.
    Held {
        cost: Units,
        at: Reading,
        until: Reading,
        waker: Waker,
    },
    Settled(Outcome),
}

/// What came of asking for somebody.
pub(super) enum Collected {
    Settled(Outcome),
    Pending,
    /// Another is to be woken for them: ask again, with it cloned. A clone may run anything, and is
    /// made where no lock is held.
    Stale,
}

/// What was taken out.
pub(super) enum Left {
    Waiting { was_first: bool },
    Settled(Outcome),
}

/// Those who are to leave as much in the bucket, first come, first served.
struct Class {
    leaving: Units,
    first: Id,
    last: Id,
    /// What all of them cost.
    cost: u128,
}

/// The entries, in classes: a class is served before any that is to leave more.
pub(super) struct Line {
    entries: Vec<Entry>,
    vacant: Id,
    /// Entries that are not vacant.
    taken: u32,
    /// In order. As a rule there is one, and a map's node has room for eleven.
    classes: Vec<Class>,
    /// What all cost who wait.
    cost: u128,
    waiting: u32,
    /// When who waits is to be refused, and who is held to be told.
    timeouts: BTreeSet<(Reading, Id)>,
}

impl Line {
    pub(super) const fn new() -> Self {
        Line {
            entries: Vec::new(),
            vacant: NONE,
            taken: 0,
            classes: Vec::new(),
            cost: 0,
            waiting: 0,
            timeouts: BTreeSet::new(),
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting
    }

    /// What all cost that come before somebody who is to leave so much.
    pub(super) fn ahead_of(&self, leaving: Units) -> u128 {
        self.classes.iter().take_while(|class| class.leaving <= leaving).map(|class| class.cost).sum()
    }

    /// Whether anybody comes before somebody who is to leave so much.
    pub(super) fn is_led(&self, leaving: Units) -> bool {
        self.classes.first().is_some_and(|class| class.leaving <= leaving)
    }

    /// Whether somebody who is to leave so much comes before anybody.
    pub(super) fn leads(&self, leaving: Units) -> bool {
        self.classes.last().is_some_and(|class| class.leaving > leaving)
    }

    /// Who is served next.
    pub(super) fn first(&self) -> Option<(Id, &Waiting)> {
        let first = self.classes.first()?.first;
        Some((first, self.at(first)?))
    }

    /// Where the class is, or would be.
    fn place_of(&self, leaving: Units) -> Result<usize, usize> {
        self.classes.binary_search_by_key(&leaving, |class| class.leaving)
    }

    /// Who comes after somebody.
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

    /// The second, if anybody, and the last: what has to be earned for them, from an empty bucket.
    pub(super) fn second_and_last(&self) -> Option<(u128, u128)> {
        let (_, first) = self.first()?;
        let (_, second) = self.after(first)?;
        let last = self.at(self.classes.last()?.last)?;
        let left_by_last = u128::from(last.leaving().0);
        Some((u128::from(first.ask.cost.0) + u128::from(second.ask.needed.0), self.cost + left_by_last))
    }

    pub(super) fn at(&self, id: Id) -> Option<&Waiting> {
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

    /// One more, last of its class. `None` where there is no number left for it.
    pub(super) fn push(&mut self, mut waiting: Waiting) -> Option<Id> {
        let (leaving, deadline, cost) = (waiting.leaving(), waiting.deadline, u128::from(waiting.ask.cost.0));
        let id = match self.vacant {
            NONE => Id::try_from(self.entries.len()).ok().filter(|&id| id != NONE)?,
            vacant => vacant,
        };
        let place = self.place_of(leaving).unwrap_or_else(|place| {
            if self.classes.len() == self.classes.capacity() {
                self.classes.reserve_exact(self.classes.len().max(1));
            }
            self.classes.insert(place, Class { leaving, first: id, last: NONE, cost: 0 });
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

    fn store(&mut self, id: Id, entry: Entry) {
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

    /// Takes somebody out of the line, and puts what became of them in the entry.
    fn unlink(&mut self, id: Id, entry: Entry) -> Option<Waiting> {
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
            class.cost -= u128::from(waiting.ask.cost.0);
            self.cost -= u128::from(waiting.ask.cost.0);
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

    /// The first is granted what they asked for, and to be told by the waker, if not later.
    pub(super) fn grant(&mut self, id: Id, at: Reading) -> Option<Waker> {
        let cost = self.at(id)?.ask.cost;
        let granted = || Entry::Settled(Outcome::Granted { cost, at });
        let Waiting { hold, deadline, waker, .. } = self.unlink(id, granted())?;
        if hold == 0 {
            return Some(waker);
        }
        let until = Reading::from_nanos(at.nanos() + u64::from(hold) * 1_000).min(deadline);
        self.entries[id as usize] = Entry::Held { cost, at, until, waker };
        self.timeouts.insert((until, id));
        None
    }

    /// Somebody will not be served.
    pub(super) fn refuse(&mut self, id: Id, why: Refusal) -> Option<Waker> {
        self.unlink(id, Entry::Settled(Outcome::Refused(why))).map(|waiting| waiting.waker)
    }

    /// The next instant at which something is to be told or refused.
    pub(super) fn first_timeout(&self) -> Option<Reading> {
        self.timeouts.first().map(|&(at, _)| at)
    }

    /// What is to be done at that instant: tells who was held, by the waker, or who is to be
    /// refused.
    pub(super) fn time_out(&mut self) -> Option<Result<Waker, Id>> {
        let (_, id) = self.timeouts.pop_first()?;
        Some(self.tell(id).ok_or(id))
    }

    /// Tells somebody who was held.
    fn tell(&mut self, id: Id) -> Option<Waker> {
        let entry = self.entries.get_mut(id as usize)?;
        let Entry::Held { cost, at, .. } = *entry else { return None };
        match std::mem::replace(entry, Entry::Settled(Outcome::Granted { cost, at })) {
            Entry::Held { waker, .. } => Some(waker),
            _ => None,
        }
    }

    /// Tells all who were held.
    pub(super) fn tell_all(&mut self) -> Vec<Waker> {
        let is_held = |&(_, id): &(Reading, Id)| matches!(self.entries.get(id as usize), Some(Entry::Held { .. }));
        let held: Vec<_> = self.timeouts.iter().copied().filter(is_held).collect();
        held.iter().for_each(|timeout| _ = self.timeouts.remove(timeout));
        held.into_iter().filter_map(|(_, id)| self.tell(id)).collect()
    }

    /// Those who wait, in order.
    pub(super) fn ids(&self) -> impl Iterator<Item = (Id, &Waiting)> {
        std::iter::successors(self.first(), |(_, waiting)| self.after(waiting))
    }

    /// Takes out what became of somebody, or exchanges who is to be woken for them: `fresh`, which
    /// then is the old one, to be dropped where no lock is held.
    pub(super) fn collect(&mut self, id: Id, by: &Waker, fresh: &mut Option<Waker>) -> Collected {
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

    /// Takes an entry out, whatever became of it; with the waker, to be dropped where no lock is
    /// held.
    pub(super) fn take_out(&mut self, id: Id) -> Option<(Left, Option<Waker>)> {
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
                    self.timeouts.remove(&(until, id));
                    (Left::Settled(Outcome::Granted { cost, at }), Some(waker))
                }
                Entry::Settled(outcome) => (Left::Settled(outcome), None),
                _ => return None,
            },
        };
        (self.vacant, self.taken) = (id, self.taken - 1);
        // After a crowd, its memory is given back once all have gone.
        if self.taken == 0 && self.entries.len() > SMALL {
            (self.entries, self.vacant) = (Vec::new(), NONE);
        }
        Some(left)
    }
}
