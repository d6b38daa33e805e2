//! The exact sequential queue of a bucket.

use crate::bucket::Bucket;
use crate::history::{Call, Op};

/// A caller in the queue. Amounts are in 10⁻¹² tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiter {
    pub(crate) id: u64,
    pub(crate) cost: i64,
    /// The tokens that must be left in the bucket. Waiters that leave fewer are served first.
    pub(crate) leaving: i64,
    pub(crate) deadline: u64,
}

/// The facts of an execution, the same for all of its states.
pub(crate) struct Context<'a> {
    /// The times at which queues read the clock, with their first stamps.
    pub(crate) queue_readings: &'a [(u64, u64)],
    /// The waiters whose outcome a call reports.
    pub(crate) answered: &'a [u64],
    /// The waiters that were cancelled, with the stamps of the cancelling calls.
    pub(crate) left: &'a [(u64, u64)],
}

/// The bucket and the queue between two calls.
#[derive(Clone)]
pub(crate) struct State<'a> {
    context: &'a Context<'a>,
    bucket: Bucket,
    /// The waiters, in order.
    waiting: Vec<Waiter>,
    /// The waiters that were served, and whose calls have not reported it yet.
    served: Vec<u64>,
    /// The waiters whose key was removed.
    removed: Vec<u64>,
}

impl<'a> State<'a> {
    pub(crate) fn new(bucket: Bucket, context: &'a Context<'a>) -> Self {
        State { context, bucket, waiting: Vec::new(), served: Vec::new(), removed: Vec::new() }
    }

    /// Whether an execution may end in this state: no waiter is left, and the balance as of the
    /// clock's origin is `at_origin`.
    pub(crate) fn may_end(&self, at_origin: f64) -> bool {
        self.bucket.is_at_origin(at_origin) && self.waiting.is_empty()
    }

    /// The cost of the waiters that come before a call that leaves `leaving` tokens; `None` if
    /// there are no such waiters.
    fn ahead_of(&self, leaving: i64) -> Option<i64> {
        let ahead = self.waiting.iter().filter(|waiter| waiter.leaving <= leaving);
        ahead.map(|waiter| waiter.cost).reduce(|all, cost| all + cost)
    }

    fn units(&self, pico: i64) -> i64 {
        self.bucket.units(pico)
    }

    fn needs(&self, waiter: Waiter) -> i64 {
        self.units(waiter.cost + waiter.leaving)
    }

    /// The state after `call`, and the units that the call added. `None` if the call gets another
    /// answer in this state.
    pub(crate) fn after(&self, call: &Call) -> Option<(State<'a>, i64)> {
        let now = call.reading();
        let bucket = self.bucket.started(now);
        let mut next = State { bucket, ..self.clone() };
        match call.op {
            Op::Pending => {}
            Op::WaitRefused(waiter) => {
                let ahead = self.units(self.ahead_of(waiter.leaving).unwrap_or(0));
                return (bucket.due(self.needs(waiter) + ahead, now) > waiter.deadline).then_some((next, 0));
            }
            Op::Enter(waiter) => {
                let ahead = self.ahead_of(waiter.leaving);
                let all = self.needs(waiter) + self.units(ahead.unwrap_or(0));
                let has_to = ahead.is_some() || bucket.held(now) < all || bucket.is_forgettable();
                if !has_to || bucket.due(all, now) > waiter.deadline {
                    return None;
                }
                let before = |other: &Waiter| other.leaving <= waiter.leaving;
                next.bucket = bucket.waited_on();
                next.waiting.insert(self.waiting.iter().filter(|other| before(other)).count(), waiter);
            }
            Op::Serve { waiter, by_timer } => {
                // If no thread ran a dispatch, the timer must have served it at the very
                // nanosecond.
                let late = by_timer && bucket.held(now.saturating_sub(1)) >= self.needs(waiter);
                next = self.serve(waiter.id, now).filter(|_| !late)?;
                next.served.pop();
            }
            Op::Late { waiter, .. } => {
                let at = self.waiting.iter().position(|other| other.id == waiter.id)?;
                let ahead: i64 = self.waiting[..at].iter().map(|other| self.units(other.cost)).sum();
                if bucket.due(self.needs(waiter) + ahead, now) <= waiter.deadline {
                    return None;
                }
                next.waiting.remove(at);
            }
            Op::KeyRemoved(waiter) => {
                next.removed.retain(|&id| id != waiter.id);
                return (next.removed.len() < self.removed.len()).then_some((next, 0));
            }
            Op::Leave { waiter, lone } => return self.without(waiter, lone, call),
            Op::Remove { known } if !self.waiting.is_empty() => {
                return known.then(|| self.forget(call)).flatten();
            }
            Op::Clear => return self.forget(call),
            Op::Take { refused: None, .. } if self.ahead_of(0).is_some() => return None,
            Op::Take { cost, refused: Some(retry) } => {
                let Some(ahead) = self.ahead_of(0) else { return self.bucket_after(call) };
                let needed = self.units(cost) + self.units(ahead);
                // If the bucket holds the tokens, but they belong to the waiters, any time except
                // zero is right.
                let agrees =
                    if bucket.held(now) < needed { retry == bucket.wait_for(needed, now) } else { !retry.is_zero() };
                return (agrees || bucket.is_forgettable()).then_some((next, 0));
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

    /// The state after the first waiter was served.
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

    /// The state after a waiter was cancelled. If the waiter had been served, its tokens are given
    /// back. A limiter of one bucket reads the clock only in that case.
    fn without(&self, waiter: Waiter, lone: bool, call: &Call) -> Option<(State<'a>, i64)> {
        let mut next = self.clone();
        let gone = |ids: &mut Vec<u64>| ids.iter().position(|&id| id == waiter.id).map(|at| ids.remove(at)).is_some();
        if gone(&mut next.served) {
            let give = Op::Give { amount: waiter.cost, added: None };
            return (call.clock_reads() > 0).then(|| next.bucket_after(&call.with(give, call.reading()))).flatten();
        }
        next.waiting.retain(|other| other.id != waiter.id);
        let found = next.waiting.len() < self.waiting.len() || gone(&mut next.removed);
        (found && !(lone && call.clock_reads() > 0)).then_some((next, 0))
    }

    /// The state after the key was removed: every waiter fails with `KeyRemoved`.
    fn forget(&self, call: &Call) -> Option<(State<'a>, i64)> {
        let (mut next, added) = self.bucket_after(&call.with(Op::Clear, 0))?;
        next.removed.extend(next.waiting.drain(..).map(|waiter| waiter.id));
        Some((next, added))
    }

    /// The states in which the first waiter was served at one of the queue's readings, if no call
    /// reports its outcome.
    pub(crate) fn unseen(&self) -> impl Iterator<Item = State<'a>> {
        let Context { queue_readings, answered, left } = *self.context;
        let first = self.waiting.first().map(|first| first.id).filter(|id| !answered.contains(id));
        first.into_iter().flat_map(move |id| {
            let left = left.iter().find(|left| left.0 == id).map_or(u64::MAX, |left| left.1);
            queue_readings
                .iter()
                .filter(move |reading| reading.1 < left)
                .filter_map(move |reading| self.serve(id, reading.0))
        })
    }
}
