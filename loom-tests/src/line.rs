//! The exact sequential queue before a bucket.

use crate::bucket::Bucket;
use crate::history::{Call, Op};

/// Somebody's place in the queue. Amounts are in 10⁻¹² tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) id: u64,
    pub(crate) cost: i64,
    /// What is to be left in the bucket. Who is to leave less is served first.
    pub(crate) leaving: i64,
    pub(crate) deadline: u64,
}

/// What all states of an execution have in common.
pub(crate) struct Line<'a> {
    /// The times at which queues looked, and their first stamps.
    pub(crate) looks: &'a [(u64, u64)],
    /// Those whose fate is told by a call.
    pub(crate) told: &'a [u64],
    /// Those who gave up, and the stamps of when they had.
    pub(crate) left: &'a [(u64, u64)],
}

/// The bucket and the queue between two calls.
#[derive(Clone)]
pub(crate) struct State<'a> {
    line: &'a Line<'a>,
    bucket: Bucket,
    /// Those who wait, in order.
    waiting: Vec<Place>,
    /// Those who were served without being told yet.
    served: Vec<u64>,
    /// Those whose key was forgotten.
    forgotten: Vec<u64>,
}

impl<'a> State<'a> {
    pub(crate) fn new(bucket: Bucket, line: &'a Line<'a>) -> Self {
        State { line, bucket, waiting: Vec::new(), served: Vec::new(), forgotten: Vec::new() }
    }

    /// Whether the limiter may end so: nobody waits, and this is its balance as of the clock's
    /// origin.
    pub(crate) fn may_end(&self, at_origin: f64) -> bool {
        self.bucket.is_at_origin(at_origin) && self.waiting.is_empty()
    }

    /// What those cost who come before somebody who leaves so much; `None` where nobody does.
    fn ahead_of(&self, leaving: i64) -> Option<i64> {
        let ahead = self.waiting.iter().filter(|place| place.leaving <= leaving);
        ahead.map(|place| place.cost).reduce(|all, cost| all + cost)
    }

    fn units(&self, pico: i64) -> i64 {
        self.bucket.units(pico)
    }

    fn needs(&self, place: Place) -> i64 {
        self.units(place.cost + place.leaving)
    }

    /// The state after `call`, and the units that the call added; `None` where it would have been
    /// answered otherwise.
    pub(crate) fn after(&self, call: &Call) -> Option<(State<'a>, i64)> {
        let now = call.reading();
        let bucket = self.bucket.started(now);
        let mut next = State { bucket, ..self.clone() };
        match call.op {
            Op::Pending => {}
            Op::Hopeless(place) => {
                let ahead = self.units(self.ahead_of(place.leaving).unwrap_or(0));
                return (bucket.due(self.needs(place) + ahead, now) > place.deadline).then_some((next, 0));
            }
            Op::Enter(place) => {
                let ahead = self.ahead_of(place.leaving);
                let all = self.needs(place) + self.units(ahead.unwrap_or(0));
                let has_to = ahead.is_some() || bucket.held(now) < all || bucket.is_forgettable();
                if !has_to || bucket.due(all, now) > place.deadline {
                    return None;
                }
                let before = |other: &Place| other.leaving <= place.leaving;
                next.bucket = bucket.waited_on();
                next.waiting.insert(self.waiting.iter().filter(|other| before(other)).count(), place);
            }
            Op::Serve { place, by_timer } => {
                // To the nanosecond, where nobody came by.
                let late = by_timer && bucket.held(now.saturating_sub(1)) >= self.needs(place);
                next = self.serve(place.id, now).filter(|_| !late)?;
                next.served.pop();
            }
            Op::Late { place, .. } => {
                let at = self.waiting.iter().position(|other| other.id == place.id)?;
                let ahead: i64 = self.waiting[..at].iter().map(|other| self.units(other.cost)).sum();
                if bucket.due(self.needs(place) + ahead, now) <= place.deadline {
                    return None;
                }
                next.waiting.remove(at);
            }
            Op::Forgotten(place) => {
                next.forgotten.retain(|&id| id != place.id);
                return (next.forgotten.len() < self.forgotten.len()).then_some((next, 0));
            }
            Op::Leave { place, lone } => return self.without(place, lone, call),
            Op::Remove { there } if !self.waiting.is_empty() => {
                return there.then(|| self.forget(call)).flatten();
            }
            Op::Clear => return self.forget(call),
            Op::Take { refused: None, .. } if self.ahead_of(0).is_some() => return None,
            Op::Take { cost, refused: Some(retry) } => {
                let Some(ahead) = self.ahead_of(0) else { return self.bucket_after(call) };
                let needed = self.units(cost) + self.units(ahead);
                // Where it is there, and theirs who wait, the answer is any time but none.
                let told =
                    if bucket.held(now) < needed { retry == bucket.wait_for(needed, now) } else { !retry.is_zero() };
                return (told || bucket.is_forgettable()).then_some((next, 0));
            }
            _ => return self.bucket_after(call),
        }
        Some((next, 0))
    }

    fn bucket_after(&self, call: &Call) -> Option<(State<'a>, i64)> {
        let forgets = matches!(call.op, Op::Remove { .. } | Op::Clear);
        let bucket = if forgets { self.bucket } else { self.bucket.started(call.reading()) };
        let (bucket, added) = bucket.after(call)?;
        Some((State { bucket, ..self.clone() }, added))
    }

    /// The first is served.
    fn serve(&self, id: u64, at: u64) -> Option<State<'a>> {
        let first = *self.waiting.first().filter(|first| first.id == id)?;
        let needed = self.needs(first);
        let in_time = self.bucket.held(at.min(first.deadline)) >= needed;
        if self.bucket.held(at) < needed || !in_time {
            return None;
        }
        let mut next = self.clone();
        next.waiting.remove(0);
        next.served.push(id);
        next.bucket = self.bucket.charged(self.units(first.cost), at);
        Some(next)
    }

    /// Somebody goes, and gives back what they were granted, if they had been. The limiter of one
    /// bucket reads the clock for nothing else.
    fn without(&self, place: Place, lone: bool, call: &Call) -> Option<(State<'a>, i64)> {
        let mut next = self.clone();
        let gone = |ids: &mut Vec<u64>| ids.iter().position(|&id| id == place.id).map(|at| ids.remove(at)).is_some();
        if gone(&mut next.served) {
            let give = Op::Give { amount: place.cost, added: None };
            return (call.looks() > 0).then(|| next.bucket_after(&call.with(give, call.reading()))).flatten();
        }
        next.waiting.retain(|other| other.id != place.id);
        let found = next.waiting.len() < self.waiting.len() || gone(&mut next.forgotten);
        (found && !(lone && call.looks() > 0)).then_some((next, 0))
    }

    /// Whoever waits is told that the key is forgotten.
    fn forget(&self, call: &Call) -> Option<(State<'a>, i64)> {
        let (mut next, added) = self.bucket_after(&call.with(Op::Clear, 0))?;
        next.forgotten.extend(next.waiting.drain(..).map(|place| place.id));
        Some((next, added))
    }

    /// The states in which the first was served at one of the looks, if no call tells what became
    /// of them.
    pub(crate) fn unseen(&self) -> impl Iterator<Item = State<'a>> {
        let Line { looks, told, left } = *self.line;
        let first = self.waiting.first().map(|first| first.id).filter(|id| !told.contains(id));
        first.into_iter().flat_map(move |id| {
            let left = left.iter().find(|left| left.0 == id).map_or(u64::MAX, |left| left.1);
            looks.iter().filter(move |look| look.1 < left).filter_map(move |look| self.serve(id, look.0))
        })
    }
}
