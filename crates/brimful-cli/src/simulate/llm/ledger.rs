//! [`Ledger`]: what a limiter charged in each dimension, held against the bound.

use std::time::Duration;

use anyhow::{Context, Result};
use brimful::Quota;
use brimful::model::{Dimension, ModelQuota, Usage};
use brimful_oracle::ExactBucket;
use brimful_oracle::window::{Window, WindowScan};

use crate::bound::{bound, whole};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The accounts of the dimensions that have a bucket and a limit.
pub(super) struct Ledger {
    pub(super) accounts: Vec<Account>,
}

/// The account of a dimension.
pub(super) struct Account {
    pub(super) dimension: Dimension,
    quota: Quota,
    /// The charges at the grants, less what was given back.
    scan: WindowScan,
    /// A full bucket takes nothing back.
    bucket: ExactBucket,
    /// The requests, or the tokens that were used by the calls that were granted.
    pub(super) used: u64,
}

impl Ledger {
    pub(super) fn new(limits: &ModelQuota) -> Result<Self> {
        let accounts = Dimension::ALL.into_iter().filter_map(|dimension| {
            let most = limits.limit(dimension)?;
            let window = match dimension {
                Dimension::MaxParallelRequests => return None,
                Dimension::Rpd | Dimension::Tpd => DAY,
                _ => MINUTE,
            };
            let quota = if limits.strict { Quota::at_most(most, window) } else { Quota::try_new(most, window) };
            Some(quota.map(|quota| Account::new(dimension, quota)).with_context(|| format!("{dimension} {most}")))
        });
        Ok(Ledger { accounts: accounts.collect::<Result<_>>()? })
    }

    /// Counts a call that was granted at an instant, with the estimate that it was charged.
    pub(super) fn grant(&mut self, at: u64, charged: Usage, usage: Usage) {
        for account in &mut self.accounts {
            account.used += amount(usage, account.dimension);
            let cost = account.cost(charged);
            account.bucket.take(at, cost.unsigned_abs());
            account.scan.push(at, cost);
        }
    }

    /// Counts what was given back at an instant, if the estimate was above the usage: as much as the bucket took.
    ///
    /// If it was below, the rest is charged, perhaps into debt, and the next grants wait for it: the bound is one of the
    /// charges at the grants.
    pub(super) fn settle(&mut self, at: u64, charged: Usage, usage: Usage) {
        for account in &mut self.accounts {
            let back = account.cost(charged) - whole(amount(usage, account.dimension));
            if back > 0 {
                let before = account.bucket.held_pico(at);
                account.bucket.give_back(at, back.unsigned_abs());
                account.scan.push(at, before - account.bucket.held_pico(at));
            } else {
                account.bucket.charge(at, back.unsigned_abs());
            }
        }
    }
}

impl Account {
    fn new(dimension: Dimension, quota: Quota) -> Self {
        let ((tokens, period), capacity) = (quota.rate(), whole(quota.capacity().whole().into()).unsigned_abs());
        let bucket = ExactBucket::new(tokens, period.as_nanos(), capacity, capacity);
        Account { dimension, quota, scan: WindowScan::new(bound(&quota)), bucket, used: 0 }
    }

    /// Returns the charge for an estimate as it was scaled, in 10⁻¹² token: at most the burst. A call whose own estimate
    /// is above it is never granted.
    fn cost(&self, charged: Usage) -> i128 {
        whole(amount(charged, self.dimension)).min(whole(self.quota.capacity().whole().into()))
    }

    /// Returns the window with the smallest margin.
    pub(super) fn worst(&self) -> Option<Window> {
        self.scan.worst()
    }

    /// Returns the used part of what the bucket admits from its beginning to an instant: burst + rate × time.
    pub(super) fn utilisation(&self, until: u64) -> f64 {
        let (tokens, period) = self.quota.rate();
        let earned = tokens as f64 * (until as f64 / period.as_nanos() as f64);
        self.used as f64 / (self.quota.capacity().as_f64() + earned)
    }
}

/// Returns what a call uses in a dimension.
fn amount(usage: Usage, dimension: Dimension) -> u64 {
    match dimension {
        Dimension::Tpm | Dimension::Tpd => usage.total(),
        Dimension::InputTpm => usage.input,
        Dimension::OutputTpm => usage.output,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Returns whether each dimension broke its bound.
    fn broken(limits: ModelQuota, grants: &[(u64, u64, u64)]) -> Vec<bool> {
        let mut ledger = Ledger::new(&limits).unwrap();
        for &(second, charged, used) in grants {
            ledger.grant(second * SECOND, Usage::from(charged), Usage::from(used));
            ledger.settle(second * SECOND, Usage::from(charged), Usage::from(used));
        }
        ledger.accounts.iter().map(|account| account.worst().unwrap().margin.is_violation()).collect()
    }

    #[test]
    fn every_dimension_is_held_against_its_own_bound() {
        let limits = ModelQuota::new().rpm(3).tpm(600).input_tpm(6_000).output_tpm(1).rpd(3);
        for (grants, expected) in [
            (&[(0, 200, 200), (0, 200, 200), (0, 200, 200)][..], [false; 5]),
            (&[(0, 300, 300), (5, 300, 300), (20, 200, 200)], [false; 5]),
            (&[(0, 300, 300), (5, 300, 300), (19, 191, 191)], [false, true, false, false, false]),
            (&[(0, 1, 1), (1, 1, 1), (2, 1, 1), (19, 1, 1)], [true, false, false, false, true]),
            // Tokens that are given back do not count, and tokens beyond the estimate have no bound.
            (&[(0, 600, 300), (0, 300, 300), (30, 300, 600)], [false; 5]),
            (&[(0, 600, 300), (0, 301, 300), (30, 300, 600)], [false; 5]),
            (&[(0, 600, 299), (0, 300, 300), (1, 12, 12)], [false, true, false, false, false]),
            (&[(0, 600, 300), (0, 300, 300), (1, 10, 10)], [false; 5]),
        ] {
            assert_eq!(broken(limits, grants), expected, "{grants:?}");
        }
        // A bucket that is full again takes nothing back.
        let mut ledger = Ledger::new(&ModelQuota::new().tpm(600)).unwrap();
        ledger.grant(0, Usage::from(600), Usage::from(0));
        ledger.settle(60 * SECOND, Usage::from(600), Usage::from(0));
        ledger.grant(60 * SECOND, Usage::from(600), Usage::from(600));
        ledger.grant(60 * SECOND, Usage::from(1), Usage::from(1));
        assert!(ledger.accounts[0].worst().unwrap().margin.is_violation());
        // A strict limit has half of it at once.
        assert_eq!(broken(ModelQuota::new().rpm(4).strict(), &[(0, 1, 1), (0, 1, 1), (1, 1, 1)]), [true]);
    }
}
