//! The arithmetic of a limit that follows demand.

use std::time::Duration;

use crate::quota::Quota;

/// The constants of a limit that follows demand.
#[derive(Clone, Copy, Debug)]
pub(super) struct DemandPolicy {
    pub(super) period: Duration,
    /// The tokens of the first period.
    pub(super) initial: u32,
    pub(super) max_refill: u32,
    /// The share of the last period's requests in the next refill, in percent.
    pub(super) weight: u8,
    /// The periods whose refill a full bucket holds.
    pub(super) burst_periods: u32,
    pub(super) max_burst: u32,
}

impl DemandPolicy {
    /// Returns the refill after a period with `requests`, rounded up: at least one, if it was at least one.
    pub(super) fn next_refill(&self, refill: u32, requests: u64) -> u32 {
        let (weight, refill) = (u128::from(self.weight.min(100)), u128::from(refill));
        let mean = (weight * u128::from(requests) + (100 - weight) * refill).div_ceil(100);
        u32::try_from(mean).unwrap_or(u32::MAX).clamp(1, self.max_refill)
    }

    /// Returns the quota of a refill.
    pub(super) fn quota(&self, refill: u32) -> Quota {
        let burst = refill.saturating_mul(self.burst_periods).min(self.max_burst).max(1);
        Quota::new(refill.into(), self.period).burst(burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refills_round_up_and_stay_within_their_bounds() {
        let policy = DemandPolicy {
            period: Duration::from_secs(1),
            initial: 5,
            max_refill: 10,
            weight: 50,
            burst_periods: 2,
            max_burst: 20,
        };
        for (refill, requests, next) in [(5, 5, 5), (5, 3, 4), (4, 2, 3), (3, 9, 6), (1, 0, 1), (5, u64::MAX, 10)] {
            assert_eq!(policy.next_refill(refill, requests), next, "{requests} requests at {refill}");
        }
        let all = DemandPolicy { weight: 100, ..policy };
        assert_eq!(all.next_refill(5, 9), 9);
        assert_eq!(all.next_refill(5, 0), 1);
    }
}
