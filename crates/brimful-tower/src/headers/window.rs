//! The window of a quota, for `RateLimit-Policy`.

use brimful::Quota;

const PICO: u128 = 1_000_000_000_000;
const NANOS: u128 = 1_000_000_000;

/// Returns the time in which an empty bucket fills, in seconds, rounded up: the bucket earns a burst in each such time.
/// `None` if the time is beyond the numbers.
pub(super) fn window(quota: &Quota) -> Option<u64> {
    let (tokens, period) = quota.rate();
    let burst = quota.capacity();
    let pico = u128::from(burst.whole()) * PICO + u128::from(burst.pico());
    let amount = pico.checked_mul(period.as_nanos())?;
    let of_a_second = u128::from(tokens).checked_mul(PICO * NANOS)?;
    u64::try_from(amount.div_ceil(of_a_second)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_rounded_up() {
        for (quota, expected) in [
            ("100/s", 1),
            ("100/s burst 200", 2),
            ("100/s burst 201", 3),
            ("100/s burst 5", 1),
            ("60/min", 60),
            ("60/min burst 10", 10),
            ("7/min burst 3", 26),
            ("50000/day", 86_400),
            ("1000/s burst 0.5", 1),
            ("1/day burst 1000", 86_400_000),
        ] {
            assert_eq!(window(&quota.parse().unwrap()), Some(expected), "{quota}");
        }
    }
}
