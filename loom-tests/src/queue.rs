//! The exact sequential queue of a bucket.

use crate::bucket::Bucket;
use crate::history::{Call, Failure, Op};

/// A caller in the queue. Amounts are in 10⁻¹² tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiter {
    pub(crate) id: u64,
    pub(crate) cost: i64,
    /// The tokens that must be left in the bucket. Waiters that leave fewer are served first.
    pub(crate) leaving: i64,
    pub(crate) deadline: u64,
    /// A grant before the deadline is held back until then.
    pub(crate) held: bool,
}

impl Waiter {
    /// Whether a grant at `at` is held back.
    pub(crate) fn is_held(&self, at: u64) -> bool {
        self.held && at < self.deadline
    }
}

/// The facts of an execution, the same for all of its states.
pub(crate) struct Context<'a> {
    /// The most waiters, counting the grants that are held back.
    pub(crate) max_waiters: usize,
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
    /// The waiters that were served, and whose grants are held back.
    held: Vec<Waiter>,
    /// The waiters that failed, and whose calls have not reported it yet.
    failed: Vec<(u64, Failure)>,
    /// The limiter was closed.
    closed: bool,
}

impl<'a> State<'a> {
    pub(crate) fn new(bucket: Bucket, context: &'a Context<'a>) -> Self {
        let (waiting, served, held, failed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        State { context, bucket, waiting, served, held, failed, closed: false }
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

    fn is_full(&self) -> bool {
        self.waiting.len() + self.held.len() >= self.context.max_waiters
    }

    /// Whether a call has to wait at `now`, and may be served by its deadline.
    fn must_wait(&self, waiter: Waiter, now: u64) -> bool {
        let ahead = self.ahead_of(waiter.leaving);
        let all = self.needs(waiter) + self.units(ahead.unwrap_or(0));
        let has_to = ahead.is_some() || self.bucket.held(now) < all || self.bucket.is_forgettable();
        has_to && self.bucket.due(all, now) <= waiter.deadline
    }

    /// The index of the waiter that `waiter` may displace.
    fn behind(&self, waiter: Waiter) -> Option<usize> {
        self.waiting.iter().rposition(|other| other.leaving > waiter.leaving)
    }

    /// The state after `call`, and the units that the call added. `None` if the call gets another
    /// answer in this state.
    pub(crate) fn after(&self, call: &Call) -> Option<(State<'a>, i64)> {
        let now = call.reading();
        let bucket = self.bucket.started(now);
        let mut next = State { bucket, ..self.clone() };
        match call.op {
            Op::Pending => {}
            Op::WaitRefused(waiter, Failure::QueueFull) => {
                let full = !self.closed && next.is_full() && next.behind(waiter).is_none();
                return (full && next.must_wait(waiter, now)).then_some((next, 0));
            }
            Op::WaitRefused(_, Failure::LimiterClosed) => return self.closed.then_some((next, 0)),
            Op::WaitRefused(waiter, _) => {
                let ahead = self.units(self.ahead_of(waiter.leaving).unwrap_or(0));
                return (bucket.due(self.needs(waiter) + ahead, now) > waiter.deadline).then_some((next, 0));
            }
            Op::Enter(waiter) => {
                if self.closed || !next.must_wait(waiter, now) {
                    return None;
                }
                if next.is_full() {
                    let displaced = next.waiting.remove(next.behind(waiter)?);
                    next.failed.push((displaced.id, Failure::QueueFull));
                }
                let before = |other: &Waiter| other.leaving <= waiter.leaving;
                next.bucket = bucket.waited_on();
                next.waiting.insert(next.waiting.iter().filter(|other| before(other)).count(), waiter);
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
            Op::Fail(waiter, why) => {
                next.failed.retain(|&failed| failed != (waiter.id, why));
                return (next.failed.len() < self.failed.len()).then_some((next, 0));
            }
            Op::Release(waiter) => {
                next.held.retain(|held| held.id != waiter.id);
                return self.holds(waiter.id).then_some((next, 0));
            }
            Op::Close => {
                next.closed = true;
                next.fail_all(Failure::LimiterClosed);
            }
            Op::Leave { waiter, lone } => return self.without(waiter, lone, call),
            Op::Remove { known } if !self.waiting.is_empty() => {
                return known.then(|| self.forget(call)).flatten();
            }
            Op::Clear => return self.forget(call),
            Op::Admit(waiter) => {
                let comes_first = self.ahead_of(waiter.leaving).is_none();
                if self.closed || !comes_first || bucket.held(now) < self.needs(waiter) {
                    return None;
                }
                let take = Op::Take { cost: waiter.cost, refused: None };
                return self.bucket_after(&call.with(take, now));
            }
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
        next.held.extend(Some(first).filter(|first| first.is_held(at)));
        next.bucket = self.bucket.charged(self.units(first.cost), at);
        Some(next)
    }

    /// The state after a waiter was cancelled. If the waiter had been served, its tokens are given
    /// back. A limiter of one bucket reads the clock only in that case.
    fn without(&self, waiter: Waiter, lone: bool, call: &Call) -> Option<(State<'a>, i64)> {
        let mut next = self.clone();
        let gone = |ids: &mut Vec<u64>| ids.iter().position(|&id| id == waiter.id).map(|at| ids.remove(at)).is_some();
        next.held.retain(|other| other.id != waiter.id);
        if gone(&mut next.served) {
            let give = Op::Give { amount: waiter.cost, added: None };
            return (call.clock_reads() > 0).then(|| next.bucket_after(&call.with(give, call.reading()))).flatten();
        }
        next.waiting.retain(|other| other.id != waiter.id);
        next.failed.retain(|other| other.0 != waiter.id);
        let found = next.waiting.len() < self.waiting.len() || next.failed.len() < self.failed.len();
        (found && !(lone && call.clock_reads() > 0)).then_some((next, 0))
    }

    /// The state after the key was removed: every waiter fails with `KeyRemoved`.
    fn forget(&self, call: &Call) -> Option<(State<'a>, i64)> {
        let (mut next, added) = self.bucket_after(&call.with(Op::Clear, 0))?;
        next.fail_all(Failure::KeyRemoved);
        Some((next, added))
    }

    fn fail_all(&mut self, why: Failure) {
        self.failed.extend(self.waiting.drain(..).map(|waiter| (waiter.id, why)));
    }

    fn holds(&self, id: u64) -> bool {
        self.held.iter().any(|held| held.id == id)
    }

    /// The states after an event that no call reports: the first waiter was served at one of the
    /// queue's readings, or a grant was released.
    pub(crate) fn unseen(&self) -> impl Iterator<Item = State<'a>> {
        let Context { queue_readings, answered, left, .. } = *self.context;
        let first = self.waiting.first().map(|first| first.id).filter(|id| !answered.contains(id));
        let served = first.into_iter().flat_map(move |id| {
            let left = left.iter().find(|left| left.0 == id).map_or(u64::MAX, |left| left.1);
            queue_readings
                .iter()
                .filter(move |reading| reading.1 < left)
                .filter_map(move |reading| self.serve(id, reading.0))
        });
        let over = |held: &Waiter| queue_readings.iter().any(|reading| reading.0 >= held.deadline);
        let released = self.held.iter().filter(move |held| !answered.contains(&held.id) && over(held)).map(|held| {
            let mut next = self.clone();
            next.held.retain(|other| other.id != held.id);
            next
        });
        served.chain(released)
    }
}
