//! Facts about a quota, in whole numbers.

use brimful::{Quota, Tokens};
use brimful_oracle::bucket::PICO;

use crate::bound::bound;

const SECOND: u64 = 1_000_000_000;

/// A second, a minute, an hour and a day, in nanoseconds.
pub(super) const LENGTHS: [u64; 4] = [SECOND, 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND];

/// Returns the most whole tokens that a window of `length` nanoseconds can admit:
/// `burst + rate × length`, rounded down.
pub(super) fn most(quota: &Quota, length: u64) -> u64 {
    // The margin of a window without a grant is the whole bound. It is positive.
    let whole = bound(quota).margin(length, 0).whole.unsigned_abs();
    u64::try_from(whole / u128::from(PICO)).unwrap_or(u64::MAX)
}

/// Returns [`LENGTHS`] and the period of the rate in lowest terms, in order, each once.
pub(super) fn lengths(quota: &Quota) -> Vec<u64> {
    let own = u64::try_from(quota.rate().1.as_nanos()).ok();
    let mut lengths: Vec<u64> = LENGTHS.into_iter().chain(own).collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

/// Returns the nanoseconds in which `amount` is earned, rounded up.
pub(super) fn earned_in(quota: &Quota, amount: Tokens) -> u128 {
    let (tokens, period) = quota.rate();
    let (tokens, nanos, pico) = (u128::from(tokens), period.as_nanos(), u128::from(PICO));
    // Whole tokens are divided first: the product of all of `amount` has more than 128 bits.
    let whole = u128::from(amount.whole()) * nanos;
    let rest = whole % tokens * pico + u128::from(amount.pico()) * nanos;
    whole / tokens + rest.div_ceil(tokens * pico)
}

/// Returns the tokens that are earned in `length` nanoseconds, in 10⁻⁶ token and rounded down, and
/// whether that is exact.
pub(super) fn rate_in(quota: &Quota, length: u64) -> (u128, bool) {
    let (tokens, period) = quota.rate();
    let (all, nanos) = (u128::from(tokens) * u128::from(length), period.as_nanos());
    let rest = all % nanos * 1_000_000;
    (all / nanos * 1_000_000 + rest / nanos, rest.is_multiple_of(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(text: &str) -> Quota {
        text.parse().unwrap()
    }

    const MINUTE: u64 = 60 * SECOND;

    #[test]
    fn the_most_of_a_window_is_exact() {
        for (text, length, expected) in [
            ("100/s burst 200", SECOND, 300),
            ("100/s burst 200", SECOND - 1, 299),
            ("100/s burst 200", 0, 200),
            ("7/min burst 2.5", MINUTE, 9),
            ("7/min burst 2.5", MINUTE + 4_285_714_285, 9),
            ("7/min burst 2.5", MINUTE + 4_285_714_286, 10),
            ("1000000000/s burst 4294967295", u64::MAX, u64::MAX),
            ("1/3652500 days burst 1", SECOND, 1),
        ] {
            assert_eq!(most(&quota(text), length), expected, "{text} {length}");
        }
    }

    #[test]
    fn the_time_that_an_amount_takes_is_rounded_up() {
        for (text, amount, expected) in [
            ("100/s", "200", 2 * u128::from(SECOND)),
            ("3/s", "1", 333_333_334),
            ("3/s", "0.000000000001", 1),
            ("1000000000/s", "4294967295.999999999999", 4_294_967_296),
            ("1/3652500 days", "4294967295", 4_294_967_295 * 3_652_500 * 86_400 * u128::from(SECOND)),
        ] {
            assert_eq!(earned_in(&quota(text), amount.parse().unwrap()), expected, "{text} {amount}");
        }
    }

    #[test]
    fn the_own_period_stands_among_the_lengths() {
        assert_eq!(lengths(&quota("100/s"))[0], 10_000_000);
        assert_eq!(lengths(&quota("60/h")), LENGTHS);
        assert_eq!(lengths(&quota("1/3652500 days")), LENGTHS);
    }

    #[test]
    fn rates_say_whether_they_are_exact() {
        assert_eq!(rate_in(&quota("90/min"), SECOND), (1_500_000, true));
        assert_eq!(rate_in(&quota("1/min"), SECOND), (16_666, false));
        let odd = Quota::new(u64::MAX, std::time::Duration::from_secs(18_446_744_074));
        assert_eq!(rate_in(&odd, 86_400 * SECOND).0, 86_399_999_998_639_611_393);
    }
}
