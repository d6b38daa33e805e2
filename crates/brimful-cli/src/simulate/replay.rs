//! Replays requests through the limiter on their own clock, and counts the decisions.

use std::cmp::Reverse;

use anyhow::{Result, bail};
use brimful::{Quotas, Tokens};
use brimful_oracle::window::{Bound, Window, WindowScan};

use super::limits::{Limits, Reason, Refusal};
use super::time::Stamp;
use super::timeline::Timeline;
use crate::bound::{bound, pico};

/// A request in the order of the replay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) stamp: Stamp,
    /// The number of the key, or zero without keys.
    pub(crate) key: u32,
    pub(crate) cost: Tokens,
}

/// A replay under way, through quotas that hold at once.
pub(crate) struct Replay {
    quotas: Quotas,
    /// `None` if another limiter decides.
    limits: Option<Limits>,
    /// The bound of each quota.
    bounds: Vec<Bound>,
    span: Option<(Stamp, Stamp)>,
    totals: Totals,
    /// The number of requests that each quota refused.
    refused: Vec<u64>,
    /// By the numbers of the keys; without keys, one account of all requests.
    accounts: Vec<Account>,
    /// The grants of each account, once for each quota.
    granted: Vec<WindowScan>,
    timeline: Option<Timeline>,
    /// The requests with their outcomes, if they are kept.
    decided: Option<Vec<Decided>>,
}

/// A request that was decided.
#[cfg_attr(not(feature = "redis"), allow(dead_code))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided {
    pub(crate) request: Ready,
    pub(crate) outcome: Result<(), Refusal>,
}

/// Sums over all requests. Costs are in 10⁻¹² token.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    pub(crate) admitted: u64,
    /// The most requests in a row that one key was denied.
    pub(crate) longest_run: u64,
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
#[derive(Default)]
pub(crate) struct Account {
    pub(crate) requests: u64,
    pub(crate) denied: u64,
    /// The denied requests since the last one that was admitted.
    run: u64,
    /// In 10⁻¹² token.
    pub(crate) cost_denied: u128,
}

/// The worst window, its key, and the index of the quota.
pub(crate) struct Worst {
    pub(crate) window: Window,
    pub(crate) key: u32,
    pub(crate) quota: usize,
}

/// A limiter's time begins a second before the first request.
const EARLIER: u64 = 1_000_000_000;

/// A limiter is exact for 2⁵⁹ ns and earns nothing after.
const LONGEST: u64 = (1 << 59) - EARLIER;

impl Replay {
    /// Has a bucket of each quota for each of at most `max_keys` keys at once, or for all requests.
    pub(crate) fn new(quotas: Quotas, max_keys: Option<u64>, timeline: bool) -> Result<Self> {
        let limits = Limits::new(&quotas, max_keys)?;
        let timeline = timeline.then(Timeline::default);
        Ok(Replay { limits: Some(limits), timeline, ..Replay::of_others(quotas) })
    }

    /// Has no buckets: another limiter decides.
    pub(crate) fn of_others(quotas: Quotas) -> Self {
        Replay {
            limits: None,
            bounds: quotas.as_slice().iter().map(bound).collect(),
            span: None,
            totals: Totals::default(),
            refused: vec![0; quotas.as_slice().len()],
            accounts: Vec::new(),
            granted: Vec::new(),
            timeline: None,
            decided: None,
            quotas,
        }
    }

    /// Takes the next requests, each no earlier than the one before.
    pub(crate) fn take_all(&mut self, requests: &[Ready]) -> Result<()> {
        requests.iter().try_for_each(|&request| self.take(request))
    }

    fn take(&mut self, request: Ready) -> Result<()> {
        let Ready { stamp, key, cost } = request;
        let reading = self.reach(stamp)?;
        let (Some(limits), (first, _)) = (&self.limits, self.span.unwrap_or((stamp, stamp))) else { return Ok(()) };
        if let Some(timeline) = &mut self.timeline {
            timeline.reach(stamp, |instant| limits.level(instant.since(first) + EARLIER));
        }
        let outcome = limits.take(reading, key, cost);
        if let Some(timeline) = &mut self.timeline {
            timeline.count(cost, outcome.is_ok(), limits.level(reading));
        }
        if let Some(decided) = &mut self.decided {
            decided.push(Decided { request, outcome });
        }
        self.count(reading, key as usize, pico(cost), outcome);
        Ok(())
    }

    /// Takes a request that another limiter has decided, no earlier than the one before.
    #[cfg(feature = "redis")]
    pub(crate) fn add(&mut self, Decided { request: Ready { stamp, key, cost }, outcome }: Decided) -> Result<()> {
        let reading = self.reach(stamp)?;
        self.count(reading, key as usize, pico(cost), outcome);
        Ok(())
    }

    /// Returns the reading of a stamp.
    fn reach(&mut self, stamp: Stamp) -> Result<u64> {
        let (first, _) = self.span.unwrap_or((stamp, stamp));
        self.span = Some((first, stamp));
        if stamp.since(first) > LONGEST {
            let zero = if first == Stamp::default() { ", which is a time of 0," } else { "" };
            bail!("the log spans more than 18 years, from {first}{zero} to {stamp}: a limiter's time ends there");
        }
        Ok(stamp.since(first) + EARLIER)
    }

    fn count(&mut self, reading: u64, key: usize, cost: u128, outcome: Result<(), Refusal>) {
        while key >= self.accounts.len() {
            self.accounts.push(Account::default());
            self.granted.extend(self.bounds.iter().map(|&bound| WindowScan::new(bound)));
        }
        let (totals, account) = (&mut self.totals, &mut self.accounts[key]);
        totals.requests += 1;
        totals.cost += cost;
        account.requests += 1;
        if let Err(Refusal { quota, reason }) = outcome {
            self.refused[quota] += 1;
            account.denied += 1;
            account.cost_denied += cost;
            account.run += 1;
            totals.longest_run = totals.longest_run.max(account.run);
            match reason {
                Reason::AboveBurst => totals.above_burst += 1,
                Reason::NoRoom => totals.no_room += 1,
                Reason::TooEarly => {}
            }
        } else {
            totals.admitted += 1;
            totals.cost_admitted += cost;
            account.run = 0;
            let first = key * self.bounds.len();
            self.granted[first..first + self.bounds.len()].iter_mut().for_each(|scan| scan.push(reading, cost as i128));
        }
    }

    pub(crate) fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Returns the number of requests that each quota refused. If several quotas refuse a request, the
    /// first one counts.
    pub(crate) fn refused(&self) -> &[u64] {
        &self.refused
    }

    /// Returns the number of keys of which a request was denied.
    pub(crate) fn keys_limited(&self) -> u64 {
        self.accounts.iter().filter(|account| account.denied > 0).count() as u64
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

    pub(crate) fn limits(&self) -> Option<&Limits> {
        self.limits.as_ref()
    }

    /// Keeps the requests that come, with their outcomes.
    #[cfg(feature = "redis")]
    pub(crate) fn keeping(self) -> Self {
        Replay { decided: Some(Vec::new()), ..self }
    }

    /// Returns the requests that were kept, in the order of their stamps.
    #[cfg(feature = "redis")]
    pub(crate) fn take_decided(&mut self) -> Vec<Decided> {
        self.decided.take().unwrap_or_default()
    }

    /// Returns the instant of a reading.
    pub(crate) fn stamp(&self, reading: u64) -> Stamp {
        let (first, _) = self.span.unwrap_or_default();
        first.plus(reading.saturating_sub(EARLIER))
    }

    /// Returns the window of all keys and quotas with the least margin, and the number of keys with a
    /// window that breaks a bound.
    pub(crate) fn windows(&self) -> (Option<Worst>, u64) {
        let mut worst: Option<Worst> = None;
        let mut violations = 0;
        for (key, granted) in (0..).zip(self.granted.chunks(self.bounds.len())) {
            let mut is_violated = false;
            for (quota, scan) in granted.iter().enumerate() {
                let Some(window) = scan.worst() else { continue };
                is_violated |= window.margin.is_violation();
                if worst.as_ref().is_none_or(|worst| window.margin < worst.window.margin) {
                    worst = Some(Worst { window, key, quota });
                }
            }
            violations += u64::from(is_violated);
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
