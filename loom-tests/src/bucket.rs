//! The exact sequential bucket with which the recorded calls are compared.

use std::time::Duration;

use brimful::{Quota, Tokens};

use crate::PICO;
use crate::history::{Call, Op};

/// The state of a bucket between two calls. Amounts are in units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    per_token: i64,
    /// Units earned in `period` nanoseconds.
    rate: i128,
    period: i128,
    /// The length of a tick in nanoseconds: the precision with which a word knows the time of its
    /// last write.
    tick: u64,
    capacity: i64,
    debt: i64,
    /// The units held, less the units earned since the origin.
    balance: i64,
    /// The start of the tick of the last write.
    written: u64,
    /// The amount that the bucket has at its first call, if it does not start full.
    initial: Option<i64>,
    /// The same until the first call has started the bucket; then `None`.
    not_started: Option<i64>,
    /// The table has the key: the bucket was charged, or a caller waits on it.
    known: bool,
    /// The limiter may forget the key. The limiter's bucket then holds at most what this one holds.
    forgettable: bool,
}

impl Bucket {
    /// Creates a full bucket. `unit` and `tick` are those of the limiter.
    pub(crate) fn new(quota: &Quota, (unit, tick): (Tokens, u64)) -> Bucket {
        let (tokens, period) = quota.rate();
        let resolution = i64::try_from(unit.pico()).expect("a unit is less than a token");
        let agrees = |per_token: i64| (PICO + per_token - 1) / per_token == resolution;
        // A unit is what a nanosecond earns, if that divides a token. A table's unit is coarser.
        let whole = (tokens == 1).then_some(period.as_nanos() as i64).filter(|&per_token| agrees(per_token));
        let per_token = whole.unwrap_or(PICO / resolution);
        assert!(agrees(per_token), "the unit that the limiter reports");
        let units = |tokens: Tokens| i64::from(tokens.whole()) * per_token;
        let (capacity, initial) = (units(quota.capacity()), units(quota.initial_tokens()));
        Bucket {
            per_token,
            rate: i128::from(tokens) * i128::from(per_token),
            period: period.as_nanos() as i128,
            tick,
            capacity,
            debt: units(quota.debt_limit()),
            balance: capacity,
            written: 0,
            initial: (initial < capacity).then_some(initial),
            not_started: (initial < capacity).then_some(initial),
            known: false,
            forgettable: false,
        }
    }

    /// Marks the bucket as one that the limiter may forget. The limiter then grants at most what
    /// this bucket grants, and ends with at most its balance.
    pub(crate) fn forgettable(self, forgettable: bool) -> Bucket {
        Bucket { forgettable, ..self }
    }

    /// Converts 10⁻¹² tokens to units, rounded to the nearest, because a returned amount is
    /// rounded.
    pub(crate) fn units(&self, pico: i64) -> i64 {
        ((i128::from(pico) * i128::from(self.per_token) + i128::from(PICO) / 2) / i128::from(PICO)) as i64
    }

    fn earned(&self, at: u64) -> i64 {
        (i128::from(at) * self.rate).div_euclid(self.period) as i64
    }

    /// The balance of a full bucket, rounded down.
    fn full_balance(&self, at: u64) -> i64 {
        self.capacity + (-i128::from(at) * self.rate).div_euclid(self.period) as i64
    }

    /// Whether the limiter may hold `tokens` as of the clock's origin: exactly what this bucket
    /// holds.
    pub(crate) fn is_at_origin(&self, tokens: f64) -> bool {
        let (balance, exact) =
            ((tokens * self.per_token as f64).round() as i64, self.not_started.unwrap_or(self.balance));
        balance == exact || self.forgettable && balance < exact
    }

    /// Whether at most burst + rate × nanos units were granted within `nanos`. Exact.
    pub(crate) fn bounds(&self, granted: i64, nanos: u64) -> bool {
        i128::from(granted - self.capacity) * self.period <= self.rate * i128::from(nanos)
    }

    /// The units that the bucket holds at `now`.
    pub(crate) fn held(&self, now: u64) -> i64 {
        (self.balance + self.earned(now)).min(self.capacity)
    }

    /// The bucket after a call at `now`, which starts it if it has not started.
    pub(crate) fn started(mut self, now: u64) -> Bucket {
        if let Some(initial) = self.not_started.take() {
            (self.balance, self.written) = (initial - self.capacity + self.full_balance(now), now - now % self.tick);
            self.known = true;
        }
        self
    }

    pub(crate) fn is_forgettable(&self) -> bool {
        self.forgettable
    }

    /// The bucket after `cost` was granted at `now`.
    pub(crate) fn charged(mut self, cost: i64, now: u64) -> Bucket {
        self.balance = self.balance.min(self.full_balance(now)) - cost;
        self.written = self.written.max(now - now % self.tick);
        self.known = true;
        self
    }

    /// The bucket of a key with waiters.
    pub(crate) fn waited_on(self) -> Bucket {
        Bucket { known: true, ..self }
    }

    /// The bucket after `call`, and the units that the call added. `None` if a bucket in this state
    /// gives another answer.
    pub(crate) fn after(mut self, call: &Call) -> Option<(Bucket, i64)> {
        let now = call.reading();
        let tick = now - now % self.tick;
        let held = self.held(now);
        let was = self.balance;
        match call.op {
            Op::TableFull | Op::Sweep => return Some((self, 0)),
            Op::Take { refused: Some(_), .. } if self.forgettable => return Some((self, 0)),
            Op::Take { cost, refused: Some(retry) } => {
                let cost = self.units(cost);
                // A reading from before the tick of the last write does not settle a denial, if the
                // call can read the clock again.
                let settled = !call.reads_clock_once() || tick >= self.written;
                return (held < cost && settled && retry == self.wait_for(cost, now)).then_some((self, 0));
            }
            Op::Take { cost, refused: None } => {
                let cost = self.units(cost);
                if held < cost {
                    return None;
                }
                return Some((self.charged(cost, now), 0));
            }
            Op::Charge { amount, left } => {
                let amount = self.units(amount);
                let charged = amount.min((held + self.debt).max(0));
                if self.units(left) != amount - charged && !self.forgettable {
                    return None;
                }
                if charged > 0 {
                    self = self.charged(charged, now);
                }
            }
            Op::Give { amount, added } => {
                let room = (self.full_balance(now.max(self.written)) - self.balance).max(0);
                let adds = self.units(amount).min(room);
                if added.is_some_and(|added| self.units(added) != adds) && !self.forgettable {
                    return None;
                }
                if adds > 0 {
                    self.balance += adds;
                    self.written = self.written.max(tick);
                }
            }
            // A reset bucket has been full since the origin, so it is full at every reading.
            Op::Reset => (self.balance, self.written) = (self.capacity, 0),
            Op::Remove { known } if known != self.known && !self.forgettable => return None,
            Op::Remove { .. } | Op::Clear => {
                (self.balance, self.written) = (self.capacity, 0);
                (self.not_started, self.known) = (self.initial, false);
            }
            _ => unreachable!("the queue answers the waiters"),
        }
        Some((self, if call.op.gives() { (self.balance - was).max(0) } else { 0 }))
    }

    /// The time from `now` to the first nanosecond at which the bucket holds `cost`.
    pub(crate) fn wait_for(&self, cost: i64, now: u64) -> Duration {
        Duration::from_nanos(self.due(cost, now).saturating_sub(now))
    }

    /// The first nanosecond at which the bucket holds `cost`. Tokens above the capacity at `now` do
    /// not count.
    pub(crate) fn due(&self, cost: i64, now: u64) -> u64 {
        let balance = self.balance.min(self.full_balance(now));
        let due = -(-i128::from(cost - balance) * self.period).div_euclid(self.rate);
        u64::try_from(due.max(0)).expect("within the clock's range")
    }
}
