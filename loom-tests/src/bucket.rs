//! The exact sequential bucket that recorded calls are held against.

use std::time::Duration;

use brimful::{Quota, Tokens};

use crate::PICO;
use crate::history::{Call, Op};

/// A bucket's state between two calls. Amounts are in units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    per_token: i64,
    /// Units earned in `period` nanoseconds.
    rate: i128,
    period: i128,
    /// Nanoseconds to which a word knows when it was written.
    tick: u64,
    capacity: i64,
    debt: i64,
    /// Units held less units earned since the origin.
    balance: i64,
    /// The tick in which it was last written.
    written: u64,
    /// The amount that it starts with at its first call, if it does not start full.
    initial: Option<i64>,
    /// The same until the first call has started it.
    unborn: Option<i64>,
    /// A table knows its key: it has been charged, or waited on.
    known: bool,
    /// The limiter may forget it, and its own bucket then holds no more than this one.
    forgettable: bool,
}

impl Bucket {
    /// With the limiter's unit, and the nanoseconds to which its words know when they were written.
    pub(crate) fn new(quota: &Quota, (unit, tick): (Tokens, u64)) -> Bucket {
        let (tokens, period) = quota.rate();
        let resolution = i64::try_from(unit.pico()).expect("less than a token");
        let told = |per_token: i64| (PICO + per_token - 1) / per_token == resolution;
        // A unit is what a nanosecond earns, where that divides a token; a table's is coarser.
        let whole = (tokens == 1).then_some(period.as_nanos() as i64).filter(|&per_token| told(per_token));
        let per_token = whole.unwrap_or(PICO / resolution);
        assert!(told(per_token), "the unit that the limiter tells");
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
            unborn: (initial < capacity).then_some(initial),
            known: false,
            forgettable: false,
        }
    }

    /// Of a key that the limiter may forget: it grants no more, and in the end holds no more, but
    /// may do with less.
    pub(crate) fn forgettable(self, forgettable: bool) -> Bucket {
        Bucket { forgettable, ..self }
    }

    /// 10⁻¹² tokens in units; the nearest, since what a verb returns was rounded.
    pub(crate) fn units(&self, pico: i64) -> i64 {
        ((i128::from(pico) * i128::from(self.per_token) + i128::from(PICO) / 2) / i128::from(PICO)) as i64
    }

    fn earned(&self, at: u64) -> i64 {
        (i128::from(at) * self.rate).div_euclid(self.period) as i64
    }

    /// What a full bucket's balance is, rounded against the taker.
    fn brim(&self, at: u64) -> i64 {
        self.capacity + (-i128::from(at) * self.rate).div_euclid(self.period) as i64
    }

    /// Whether the limiter may hold `tokens` as of the clock's origin: just what this bucket does.
    pub(crate) fn is_at_origin(&self, tokens: f64) -> bool {
        let (balance, exact) = ((tokens * self.per_token as f64).round() as i64, self.unborn.unwrap_or(self.balance));
        balance == exact || self.forgettable && balance < exact
    }

    /// Whether `granted` may have been granted within `nanos`: burst + rate × nanos. Exact.
    pub(crate) fn bounds(&self, granted: i64, nanos: u64) -> bool {
        i128::from(granted - self.capacity) * self.period <= self.rate * i128::from(nanos)
    }

    /// What it holds, in units.
    pub(crate) fn held(&self, now: u64) -> i64 {
        (self.balance + self.earned(now)).min(self.capacity)
    }

    /// The bucket, which starts now if it has not.
    pub(crate) fn started(mut self, now: u64) -> Bucket {
        if let Some(initial) = self.unborn.take() {
            (self.balance, self.written) = (initial - self.capacity + self.brim(now), now - now % self.tick);
            self.known = true;
        }
        self
    }

    pub(crate) fn is_forgettable(&self) -> bool {
        self.forgettable
    }

    /// The bucket after somebody was granted what was there.
    pub(crate) fn charged(mut self, cost: i64, now: u64) -> Bucket {
        self.balance = self.balance.min(self.brim(now)) - cost;
        self.written = self.written.max(now - now % self.tick);
        self.known = true;
        self
    }

    /// The bucket of a key that callers wait on.
    pub(crate) fn waited_on(self) -> Bucket {
        Bucket { known: true, ..self }
    }

    /// The bucket after `call`, and the units that the call added to it; `None` where a bucket
    /// in this state would have answered otherwise.
    pub(crate) fn after(mut self, call: &Call) -> Option<(Bucket, i64)> {
        let now = call.reading();
        let tick = now - now % self.tick;
        let held = self.held(now);
        let was = self.balance;
        match call.op {
            Op::NoPlace | Op::Sweep => return Some((self, 0)),
            Op::Take { refused: Some(_), .. } if self.forgettable => return Some((self, 0)),
            Op::Take { cost, refused: Some(retry) } => {
                let cost = self.units(cost);
                // A reading from before the tick of the last write does not settle a denial,
                // where the clock can be read again.
                let settled = !call.is_single_look() || tick >= self.written;
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
                let room = (self.brim(now.max(self.written)) - self.balance).max(0);
                let adds = self.units(amount).min(room);
                if added.is_some_and(|added| self.units(added) != adds) && !self.forgettable {
                    return None;
                }
                if adds > 0 {
                    self.balance += adds;
                    self.written = self.written.max(tick);
                }
            }
            // Full since the origin: at every reading.
            Op::Reset => (self.balance, self.written) = (self.capacity, 0),
            Op::Remove { there } if there != self.known && !self.forgettable => return None,
            Op::Remove { .. } | Op::Clear => {
                (self.balance, self.written) = (self.capacity, 0);
                (self.unborn, self.known) = (self.initial, false);
            }
            _ => unreachable!("the queue answers those who wait"),
        }
        Some((self, if call.op.gives() { (self.balance - was).max(0) } else { 0 }))
    }

    /// From `now` to the first nanosecond at which `cost` is there.
    pub(crate) fn wait_for(&self, cost: i64, now: u64) -> Duration {
        Duration::from_nanos(self.due(cost, now).saturating_sub(now))
    }

    /// The first nanosecond at which `cost` is there, if nothing is earned in excess of what it
    /// holds at `now`.
    pub(crate) fn due(&self, cost: i64, now: u64) -> u64 {
        let balance = self.balance.min(self.brim(now));
        let due = -(-i128::from(cost - balance) * self.period).div_euclid(self.rate);
        u64::try_from(due.max(0)).expect("within the clock's range")
    }
}
