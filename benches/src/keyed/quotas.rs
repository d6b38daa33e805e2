//! The quotas of the matrix.

use std::time::Duration;

use crate::bench::Scale;
use crate::limit::Limit;

/// One quota, and the cost of a call that is usual for it.
///
/// Every contender can express each of them exactly: a token's time is a whole number of
/// nanoseconds, and burst × token time fits into governor's 64 bits of nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    pub(super) name: &'static str,
    pub(super) limit: Limit,
    /// One request, or the bytes of one packet.
    pub(super) cost: u32,
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// From the longest refill to the shortest token, in no order that matters.
pub(super) const QUOTAS: [Quota; 10] = [
    Quota::of("1/s burst 10^9", 1, SECOND, 1_000_000_000, 1),
    Quota::of("60/min", 60, Duration::from_secs(60), 60, 1),
    Quota::of("100/s burst 200", 100, SECOND, 200, 1),
    Quota::of("10000/s burst 10000", 10_000, SECOND, 10_000, 1),
    Quota::of("50000/h", 50_000, HOUR, 50_000, 1),
    Quota::of("2000000/day", 2_000_000, DAY, 2_000_000, 1),
    Quota::of("10 MB/s burst 100 MB", 10_000_000, SECOND, 100_000_000, 1_500),
    Quota::of("1 GB/s", 1_000_000_000, SECOND, 1_000_000_000, 1_500),
    Quota::of("1000000/s burst 1000", 1_000_000, SECOND, 1_000, 1),
    Quota::of("1000/day", 1_000, DAY, 1_000, 1),
];

impl Quota {
    const fn of(name: &'static str, tokens: u32, period: Duration, burst: u32, cost: u32) -> Self {
        Quota { name, limit: Limit { tokens, period, burst }, cost }
    }

    /// Returns the quota of that name, for a child process.
    pub(super) fn named(name: &str) -> Option<&'static Quota> {
        QUOTAS.iter().find(|quota| quota.name == name)
    }

    /// Returns the nanoseconds in which a bucket earns the cost of one call.
    pub(super) fn call_nanos(&self) -> f64 {
        self.limit.token().as_nanos() as f64 * f64::from(self.cost)
    }

    /// Returns the nanoseconds in which an empty bucket refills.
    pub(super) fn refill_nanos(&self) -> f64 {
        self.limit.token().as_nanos() as f64 * f64::from(self.limit.burst)
    }
}

/// Returns the quotas that `--quotas` asks for; all quotas without it.
pub(super) fn selected(scale: &Scale) -> Vec<&'static Quota> {
    let asked = &scale.narrow.quotas;
    let wanted = |quota: &&Quota| asked.is_empty() || asked.iter().any(|text| quota.name.contains(text.as_str()));
    QUOTAS.iter().filter(wanted).collect()
}

/// Returns the sizes that `--sizes` asks for, or those of a section. With `--quick`, the sizes are
/// small.
pub(super) fn sizes(scale: &Scale, section: &[u64]) -> Vec<u64> {
    match () {
        () if !scale.narrow.sizes.is_empty() => scale.narrow.sizes.clone(),
        () if scale.quick => vec![1_000, 20_000],
        () => section.to_vec(),
    }
}
