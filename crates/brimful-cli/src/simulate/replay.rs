//! Replays requests through the limiter on their own clock, and counts the decisions.

use std::cmp::Reverse;

use anyhow::{Context, Result, bail};
use brimful::{KeyedRateLimiter, QuantaClock, Quota, RateLimiter, SipState, Tokens, TryAcquireError};
use brimful_oracle::window::{Bound, Window, WindowScan};

use super::time::Stamp;
use super::timeline::Timeline;
use crate::bound::{bound, pico};

/// A replay under way.
pub(crate) struct Replay {
    limiter: Limiter,
    bound: Bound,
    span: Option<(Stamp, Stamp)>,
    totals: Totals,
    /// By the numbers of the keys; without keys, one account of all requests.
    accounts: Vec<Account>,
    timeline: Option<Timeline>,
}

/// Sums over all requests. Costs are in 10⁻¹² token.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    pub(crate) admitted: u64,
    /// The denied requests whose cost is above the burst.
    pub(crate) above_burst: u64,
    /// The denied requests with a new key for which the limiter had no room.
    pub(crate) no_room: u64,
    pub(crate) cost: u128,
    pub(crate) cost_admitted: u128,
}

impl Totals {
    pub(crate) fn denied(&self) -> u64 {
        self.requests - self.admitted
    }
}

/// The decisions on one key's requests. Its size does not grow with the requests.
pub(crate) struct Account {
    pub(crate) requests: u64,
    pub(crate) denied: u64,
    /// In 10⁻¹² token.
    pub(crate) cost_denied: u128,
    granted: WindowScan,
}

/// The worst window, and its key.
pub(crate) struct Worst {
    pub(crate) window: Window,
    pub(crate) key: u32,
}

/// A limiter's time begins a second before the first request.
const EARLIER: u64 = 1_000_000_000;

/// A limiter is exact for 2⁵⁹ ns and earns nothing after.
const LONGEST: u64 = (1 << 59) - EARLIER;

impl Replay {
    /// Has a bucket for each of at most `max_keys` keys at once, or one bucket for all requests.
    pub(crate) fn new(quota: &Quota, max_keys: Option<u64>, timeline: bool) -> Result<Self> {
        let limiter = match max_keys {
            Some(max_keys) => Limiter::keyed(*quota, max_keys)?,
            None => Limiter::Lone(Box::new(RateLimiter::new(*quota))),
        };
        let timeline = timeline.then(Timeline::default);
        let totals = Totals::default();
        Ok(Replay { limiter, bound: bound(quota), span: None, totals, accounts: Vec::new(), timeline })
    }

    /// Takes the next request, which is no earlier than the one before.
    pub(crate) fn take(&mut self, stamp: Stamp, key: u32, cost: Tokens) -> Result<()> {
        let (first, _) = self.span.unwrap_or((stamp, stamp));
        self.span = Some((first, stamp));
        if stamp.since(first) > LONGEST {
            let zero = if first == Stamp::default() { ", which is a time of 0," } else { "" };
            bail!("the log spans more than 18 years, from {first}{zero} to {stamp}: a limiter's time ends there");
        }
        let reading = stamp.since(first) + EARLIER;
        if let Some(timeline) = &mut self.timeline {
            timeline.reach(stamp, |instant| self.limiter.level(instant.since(first) + EARLIER));
        }
        let outcome = self.limiter.take(reading, key, cost);
        if let Some(timeline) = &mut self.timeline {
            timeline.count(cost, outcome.is_ok(), self.limiter.level(reading));
        }
        self.count(reading, key, pico(cost), outcome);
        Ok(())
    }

    fn count(&mut self, reading: u64, key: u32, cost: u128, outcome: Result<(), TryAcquireError>) {
        let key = key as usize;
        if key >= self.accounts.len() {
            self.accounts.resize_with(key + 1, || Account::new(self.bound));
        }
        let (totals, account) = (&mut self.totals, &mut self.accounts[key]);
        totals.requests += 1;
        totals.cost += cost;
        account.requests += 1;
        if let Err(refusal) = outcome {
            account.denied += 1;
            account.cost_denied += cost;
            match refusal {
                TryAcquireError::ExceedsBurst(_) => totals.above_burst += 1,
                TryAcquireError::TableFull(_) => totals.no_room += 1,
                _ => {}
            }
        } else {
            totals.admitted += 1;
            totals.cost_admitted += cost;
            account.granted.push(reading, cost as i128);
        }
    }

    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Returns the first and the last instant.
    pub(crate) fn span(&self) -> Option<(Stamp, Stamp)> {
        self.span
    }

    pub(crate) fn timeline(&self) -> Option<&Timeline> {
        self.timeline.as_ref()
    }

    pub(crate) fn keys(&self) -> u64 {
        self.accounts.len() as u64
    }

    /// Returns the bytes that the limiter uses.
    pub(crate) fn limiter_bytes(&self) -> u64 {
        match &self.limiter {
            Limiter::Lone(limiter) => size_of_val(&**limiter) as u64,
            Limiter::Keyed(limiter) => limiter.memory_usage() as u64,
        }
    }

    /// Returns the number of keys that the limiter evicted while they were in use.
    pub(crate) fn evictions(&self) -> u64 {
        match &self.limiter {
            Limiter::Lone(_) => 0,
            Limiter::Keyed(limiter) => limiter.evictions(),
        }
    }

    /// Returns the instant of a reading.
    pub(crate) fn stamp(&self, reading: u64) -> Stamp {
        let (first, _) = self.span.unwrap_or_default();
        first.plus(reading.saturating_sub(EARLIER))
    }

    /// Returns the window of all keys with the least margin, and the number of keys with a window that
    /// breaks the bound.
    pub(crate) fn windows(&self) -> (Option<Worst>, u64) {
        let mut worst: Option<Worst> = None;
        let mut violations = 0;
        for (key, account) in (0..).zip(&self.accounts) {
            let Some(window) = account.granted.worst() else { continue };
            violations += u64::from(window.margin.is_violation());
            if worst.as_ref().is_none_or(|worst| window.margin < worst.window.margin) {
                worst = Some(Worst { window, key });
            }
        }
        (worst, violations)
    }

    /// Returns the keys that were denied most often, with their accounts. Of keys that were denied as
    /// often, the one that was denied more tokens is first, and then the one that came first.
    pub(crate) fn most_denied(&self, most: usize) -> Vec<(u32, &Account)> {
        let mut denied: Vec<_> = (0..).zip(&self.accounts).filter(|(_, account)| account.denied > 0).collect();
        denied.sort_by_key(|(_, account)| Reverse((account.denied, account.cost_denied)));
        denied.truncate(most);
        denied
    }
}

impl Account {
    fn new(bound: Bound) -> Self {
        Account { requests: 0, denied: 0, cost_denied: 0, granted: WindowScan::new(bound) }
    }
}

enum Limiter {
    Lone(Box<RateLimiter>),
    Keyed(Box<KeyedRateLimiter<u32, QuantaClock, SipState>>),
}

impl Limiter {
    /// The seed is fixed, so that each replay of a log has the same result: the hashes decide which
    /// keys beyond `max_keys` find room.
    fn keyed(quota: Quota, max_keys: u64) -> Result<Limiter> {
        let hasher = SipState::from_seed([0, 0]);
        let limiter =
            KeyedRateLimiter::builder().quota(quota).max_keys(usize::try_from(max_keys)?).hasher(hasher).build();
        Ok(Limiter::Keyed(Box::new(limiter.context("--max-keys")?)))
    }

    fn take(&self, reading: u64, key: u32, cost: Tokens) -> Result<(), TryAcquireError> {
        match self {
            Limiter::Lone(limiter) => limiter.at(reading).try_acquire_n(cost),
            Limiter::Keyed(limiter) => limiter.key(&key).at(reading).try_acquire_n(cost),
        }
    }

    /// Returns the available tokens, or `None` with keys, which have a level each.
    fn level(&self, reading: u64) -> Option<f64> {
        match self {
            Limiter::Lone(limiter) => Some(limiter.at(reading).available_tokens()),
            Limiter::Keyed(_) => None,
        }
    }
}
